"""UDIM images: their tiles as pictures, and new ones made of pictures.

Blender gives Python the pixels of the first tile only. So every tile is a file for a moment: the artist's own, the one
that is packed, or a copy that Blender saves of what is not saved yet (painted or generated tiles).
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined, arg-type, return-value, misc"

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from . import compat, scene_io, texels
from .engine_client import EngineError

TOKEN = "<UDIM>"
FIRST = 1001


@dataclass(frozen=True)
class Tile:
    number: int
    """1001, 1002 .. 1010 from left to right, 1011 above 1001"""
    file: Path
    is_copy: bool
    """Made for us, with the pixels as Blender has them"""

    @property
    def place(self) -> tuple[int, int]:
        """Where it lies among UV coordinates: u and v of its lower left corner"""
        return (self.number - FIRST) % 10, (self.number - FIRST) // 10


def tiles(image: bpy.types.Image, folder: Path) -> list[Tile]:
    """The tiles of a UDIM image as files; into `folder` goes what is none yet. Raises EngineError where one is lost."""
    scene_io.check(image, tiles=True)
    numbers = [tile.number for tile in image.tiles]
    if image.is_dirty or not (image.filepath or image.packed_files):
        return _saved(image, numbers, folder)
    if image.packed_files:
        return _unpacked(image, folder)
    found = [Tile(number, Path(path_of(image.filepath, number)), False) for number in numbers]
    for tile in found:
        if not tile.file.is_file():
            raise EngineError(
                f"Tile {tile.number} of {image.name!r} has no file.",
                "If it was moved or deleted, find it with File > External Data, or remove the tile.",
            )
    return found


def path_of(pattern: str, number: int) -> str:
    """`//wood.<UDIM>.png` -> the file of a tile; <UVTILE> is the other way to count."""
    u, v = (number - FIRST) % 10 + 1, (number - FIRST) // 10 + 1
    return bpy.path.abspath(pattern.replace(TOKEN, str(number)).replace("<UVTILE>", f"u{u}_v{v}"))


def _unpacked(image: bpy.types.Image, folder: Path) -> list[Tile]:
    found = []
    for packed in image.packed_files:
        suffix = Path(packed.filepath or image.filepath).suffix or ".png"
        tile = Tile(packed.tile_number, folder / f"tile.{packed.tile_number}{suffix}", False)
        with scene_io.artist_words("The tiles could not be read"):
            tile.file.write_bytes(packed.packed_file.data)
        found.append(tile)
    return found


def _saved(image: bpy.types.Image, numbers: list[int], folder: Path) -> list[Tile]:
    """Copies, without loss, of tiles that have no file or other pixels than it."""
    suffix = "exr" if image.is_float else "png"
    with _format(image, "OPEN_EXR" if image.is_float else "PNG"):
        try:
            compat.save_copy(image, str(folder / f"copy.{TOKEN}.{suffix}"))
        except RuntimeError as error:
            raise EngineError(
                f"The tiles of {image.name!r} could not be read.", "Save it in the Image Editor, then start again."
            ) from error
    found = [Tile(number, folder / f"copy.{number}.{suffix}", True) for number in numbers]
    if missing := [tile.number for tile in found if not tile.file.is_file()]:
        raise EngineError(f"Tile {missing[0]} of {image.name!r} is empty.", "Fill it, or remove the tile.")
    return found


@contextmanager
def _format(image: Any, wanted: str) -> Iterator[None]:
    kept = image.file_format
    image.file_format = wanted
    try:
        yield
    finally:
        image.file_format = kept


def gather(
    image: bpy.types.Image, folder: str, islands: texels.Islands | None = None
) -> Generator[None, None, dict[int, scene_io.Gathered]]:
    """Every tile as a picture source, by number; see scene_io.gather. islands: of the whole image."""
    found = {}
    name = image.name
    for tile in tiles(image, Path(folder)):
        here = islands and islands.on_tile(*tile.place)
        found[tile.number] = yield from scene_io.written(_read(tile, scene_io.find_image(name)), folder, here)
    return found


def _read(tile: Tile, like: bpy.types.Image) -> scene_io.Read:
    one = bpy.data.images.load(str(tile.file))
    try:
        _set_meaning(one, like, tile.is_copy)
        return scene_io.read(one, like, f"{like.name}.{tile.number}")
    finally:
        bpy.data.images.remove(one)


def _set_meaning(one: bpy.types.Image, like: bpy.types.Image, is_copy: bool) -> None:
    one.colorspace_settings.name = like.colorspace_settings.name
    # A copy holds the pixels as they are in Blender: nothing is to be made of its alpha.
    one.alpha_mode = "CHANNEL_PACKED" if is_copy else like.alpha_mode


# ---------------------------------------------------------------- results


def where(image: bpy.types.Image, style: str, suffix: str, scratch: str) -> tuple[str, bool]:
    """The path of a new image's tiles, with <UDIM> in it, and whether they are packed then.

    Beside the originals where those are files: `wood_starry_night.<UDIM>.png`; where nothing can be written there, in
    the folder for results. Where the originals are in the .blend, so is what is made of them.
    """
    name = re.sub(r"\.?(<UDIM>|<UVTILE>|\d{4})?(\.\w+)?$", "", bpy.path.basename(image.filepath)) or image.name
    stem = f"{_plain(name)}_{_plain(style)}"
    if image.packed_files or not image.filepath:
        return str(Path(scratch, f"{stem}.{TOKEN}.{suffix}")), True
    folder = Path(bpy.path.abspath(image.filepath)).parent
    try:
        scene_io.writable(folder)
    except EngineError:
        folder = scene_io.writable(scene_io.results_folder())
    numbers = ("", *(f"_{number}" for number in range(2, 10**6)))
    free = next(number for number in numbers if not list(folder.glob(f"{_glob(stem + number)}.[0-9]*")))
    return str(folder / f"{stem}{free}.{TOKEN}.{suffix}"), False


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name).strip("_").lower() or "tiles"


def _glob(name: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", name)


def write(pattern: str, number: int, file: bytes) -> None:
    """A tile of a new image under its name; whole, or not at all. In a thread: nothing of Blender's in here."""
    path = Path(pattern.replace(TOKEN, str(number)))
    part = path.with_name(path.name + ".part")
    with scene_io.artist_words(f"The tile {scene_io.shown(path)} could not be written"):
        try:
            part.write_bytes(file)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def new_image(name: str, pattern: str, numbers: Iterable[int], packed: bool) -> bpy.types.Image:
    """The image of tiles that are written. Colour space and alpha are the caller's to set."""
    wanted = sorted(numbers)
    image = bpy.data.images.load(pattern.replace(TOKEN, str(wanted[0])))
    image.name, image.use_fake_user = name, True
    image.source = "TILED"  # finds the other tiles, and those alone, by their names
    there = {tile.number for tile in image.tiles}
    for number in [number for number in wanted if number not in there]:
        image.tiles.new(number)
    if packed:
        image.pack()
    return image
