"""Blender's datablocks -> pictures for the worker, and layers from the worker -> datablocks.

Names travel, not references: undo, renaming and opening a file replace what a reference points at.
Nothing of the artist's is overwritten: results are new images, wired in front of the old ones by one node group.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined, arg-type, return-value, index, misc, has-type, assignment"

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from . import compat, decode, encode, props, switches, texels
from .engine_client import EngineError, looks, protocol

ROLE = "pentimento"
"""Custom property of our nodes and node groups: what they are for."""
RECIPE = "pentimento_recipe"
"""Custom property of result images: JSON with everything needed to make the result again."""
SOURCE = "pentimento_source"
"""Custom property of result images: the name of the image they were made from."""
OVERLAYS = "pentimento_overlays"
"""Custom property of stylized images: JSON list of what the overlays say and whether they may be believed."""
OVERLAY = "pentimento_overlay"
"""Custom property of an overlay's image: its name. Beside it, each a property of its own: what `describe_overlay` puts
there."""
RELIEF = "pentimento_relief"
"""Custom property of a relief map: Normal or Roughness. It has a source, but is no layer: it feeds no colours"""
LIES_ON = "pentimento_uv_map"
"""Custom property of results that were painted from views: the UV map on which they lie, wherever they are shown"""
SEQUENCE = "pentimento_sequence"
"""Custom property of images that stand for stylized frames."""
MADE = "pentimento_made"
"""Custom property of results: when they came, seconds since 1970. Beside the recipe, which holds no clock."""

Work = Generator[None, None, str]
"""Changes of Blender's data in pieces; Blender has its turn at every yield. Returns what the artist should know."""


@dataclass(frozen=True)
class Overlay:
    """An overlay's image, and how it is displayed."""

    image: bpy.types.Image
    display: tuple[float, float]
    """Its fixed display range"""
    kind: looks.Kind
    """What its numbers are"""


RENDERS = {"RENDER_RESULT", "COMPOSITING"}
"""Images that stand for what was rendered or composited last, without pixels of their own."""
GROUP = "Pentimento Layers"
MIXES = {"Stylized": "Mix", "Overlay": "Overlay Mix"}
"""Sockets of the group: how much of what feeds the one shows is said by the other"""
UV = "UV Map"
"""Role of a node that says on which UV map a result lies"""
LIES = ("interpolation", "projection", "projection_blend", "extension")
"""Settings of a texture node that say how it lies on a surface"""
BANDS = "Overlay Bands"
"""Socket of the group: 1 where an overlay's three channels are parts of one whole"""
PLACES = "Overlay Places"
"""Socket of the group: 1 where they are a place on the style picture, and how sure that is"""
COLOUR_SOCKETS = ("Original", "Stylized", "Overlay")
NUMBER_SOCKETS = (
    ("Mix", 1, 0, 1),
    ("Overlay Mix", 0, 0, 1),
    ("Overlay Low", 0, -1e6, 1e6),
    ("Overlay High", 1, -1e6, 1e6),
    (BANDS, 0, 0, 1),
    (PLACES, 0, 0, 1),
)
"""What the group takes; of numbers the value at first, the least and the most"""
BAND = 32
"""Rows converted at a time: they stay in the processor's cache."""
MAX_NAME = 63
"""Bytes of a datablock's name that every version keeps."""


# ---------------------------------------------------------------- gather: an image -> a picture source


def find_image(name: str) -> bpy.types.Image:
    image = bpy.data.images.get(name)
    if image is None:
        raise EngineError(f"There is no image {name!r} any more.", "Choose an image and start again.")
    return image


def image_in_view(context: bpy.types.Context) -> bpy.types.Image | None:
    """The image of the Image Editor the artist works in, else the texture of the active material."""
    space = context.space_data
    if space is not None and space.type == "IMAGE_EDITOR":
        return space.image
    material = bpy.data.materials.get(active_material(context))
    return texture_of(material) if material else None


def active_image(context: bpy.types.Context) -> bpy.types.Image:
    image = image_in_view(context)
    if image is None:
        raise EngineError(
            "There is no image in view.", "Open one in the Image Editor, or select an object with an image texture."
        )
    return image


def active_material(context: bpy.types.Context) -> str:
    """The name of the active object's active material, or nothing."""
    material = getattr(context, "object", None) and context.object.active_material
    return material.name if material else ""


def texture_of(material: bpy.types.Material) -> bpy.types.Image | None:
    """The image of the active texture node, else of the first that has one. Nodes of ours stand for their original."""
    if material.node_tree is None:
        return None
    textures = [
        node for node in material.node_tree.nodes if node.type == "TEX_IMAGE" and node.image and not node.get(ROLE)
    ]
    active = [node for node in textures if node == material.node_tree.nodes.active]
    return next((node.image for node in (*active, *textures)), None)


def original_of(image: bpy.types.Image) -> bpy.types.Image:
    """The image to paint: a result of ours stands for the image it was made from, as long as that exists."""
    return bpy.data.images.get(str(image.get(SOURCE, "")), image)


def check(image: bpy.types.Image, tiles: bool = False) -> None:
    """Refuses what has no single picture of pixels, before anything is read. tiles: a UDIM image may have several."""
    if image.type in RENDERS:
        raise EngineError("Blender keeps no pixels of a render result.", "Press Stylize Render instead.")
    if image.source == "TILED" and not tiles:
        raise EngineError(
            f"{image.name!r} is a UDIM image of several tiles.", "Open one tile as an image of its own and use that."
        )
    if image.source in {"SEQUENCE", "MOVIE"}:
        raise EngineError(
            f"{image.name!r} is not one picture but many.", "Open one of its frames as an image of its own."
        )
    if image.type == "MULTILAYER":
        raise EngineError(f"{image.name!r} has several layers.", "Choose its file in Stylize Render instead.")
    if 0 in image.size[:]:
        raise EngineError(
            f"{image.name!r} has no pixels.", "If its file was moved or deleted, find it with File > External Data."
        )


@dataclass(frozen=True)
class Gathered:
    """A picture source, and what its pixels tell."""

    source: protocol.PictureSource
    wraps: bool
    """It goes on over its borders"""


def gather(
    image: bpy.types.Image, folder: str, islands: texels.Islands | None = None
) -> Generator[None, None, Gathered]:
    """The pixels of an image as a raw file in `folder`, row 0 at the top, as Blender stores them.

    Byte images: uint8, display-referred, straight alpha. Float images: float32, scene-linear (Non-Color: numbers),
    premultiplied alpha unless the channels are packed. Alpha that is 1 everywhere stays out. Blender has its turn while
    a thread looks at them and writes. islands: find out which texels no surface shows.
    """
    return (yield from written(read(image, image), folder, islands))


def read(image: bpy.types.Image, like: bpy.types.Image, name: str = "") -> Read:
    """like: the image whose pixels these are, where `image` only carries them. name: of the source, if not like's."""
    check(image)
    alpha = "none" if like.alpha_mode == "NONE" else _alpha(like)
    return Read(name or like.name, rows_of(image), image.is_float, _encoding(like), alpha)


def written(read: Read, folder: str, islands: texels.Islands | None) -> Generator[None, None, Gathered]:
    """See `gather`."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        found = thread.submit(read.write, Path(folder), islands)
        while not found.done():
            yield
    return found.result()


Found = TypeVar("Found")


def in_thread(act: Callable[..., Found], *given: Any) -> Generator[None, None, Found]:
    """What a function gives that touches nothing of Blender's; Blender has its turn meanwhile. Nobody waits for one
    that is not wanted any more."""
    thread = ThreadPoolExecutor(max_workers=1)
    try:
        found = thread.submit(act, *given)
        while not found.done():
            yield
        return found.result()
    finally:
        thread.shutdown(wait=False)


@dataclass(frozen=True, eq=False)
class Read:
    """What Blender told of an image. The rest is done in a thread: nothing of Blender's from here on."""

    name: str
    rows: NDArray[np.float32]
    is_float: bool
    encoding: str
    alpha: str

    def write(self, folder: Path, islands: texels.Islands | None) -> Gathered:
        """Two looks at the pixels at once: Blender has nothing else to wait for."""
        with ThreadPoolExecutor(max_workers=1) as beside:
            wraps = beside.submit(texels.wraps, self.rows)
            source = self._source(folder, islands)
            return Gathered(source, wraps.result())

    def _source(self, folder: Path, islands: texels.Islands | None) -> protocol.PictureSource:
        rows = self.rows
        opaque = self.alpha == "none" or rows.shape[2] != 4 or bool((rows[:, :, 3] == 1).all())
        outside = texels.outside(rows if not opaque else rows[:, :, :3], islands.triangles) if islands else None
        return protocol.PictureSource(
            self.name,
            pixels=_write_block(rows[:, :, :3] if opaque else rows, self.is_float, _free(folder, "source")),
            encoding=self.encoding,
            alpha="none" if opaque else self.alpha,
            outside=None if outside is None else _write_mask(outside, _free(folder, "outside")),
        )


def _free(folder: Path, stem: str) -> Path:
    """A name of a raw file that nobody has yet"""
    paths = (folder / f"{stem}{number}.raw" for number in itertools.count())
    return next(path for path in paths if not path.exists())


def _write_mask(mask: NDArray[np.bool_], path: Path) -> protocol.PixelBlock:
    with artist_words(f"The pixels could not be written to {path.parent}"):
        path.write_bytes(np.ascontiguousarray(mask[::-1]).data)
    return protocol.PixelBlock(str(path), (*mask.shape, 1), "uint8")


def rows_of(image: bpy.types.Image) -> NDArray[np.float32]:
    """(H, W, C) as Blender keeps them, bottom row first."""
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(image.size[1], image.size[0], -1)


def write_pictures(
    names: Iterable[str], folder: Path, numbers: Iterable[int] | None = None
) -> Generator[None, None, list[str]]:
    """The images as files in `folder`, whatever they are in Blender: PNG where it stores bytes, EXR where floats.

    Without their alpha where channels are packed, for there it is none. Blender has its turn while a thread writes.
    numbers: what they are called; counted where none are given.
    """
    with artist_words(f"The folder {shown(folder)} cannot be written"):
        folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with ThreadPoolExecutor(max_workers=1) as thread:
        for name, number in zip(names, itertools.count() if numbers is None else numbers, strict=False):
            image = find_image(name)
            check(image)
            path = folder / f"{number:04d}{'.exr' if image.is_float else '.png'}"
            rows = rows_of(image)[::-1, :, : 3 if image.alpha_mode in ("NONE", "CHANNEL_PACKED") else None]
            file = thread.submit(_write_picture, rows, image.is_float, path)
            while not file.done():
                yield
            file.result()
            paths.append(str(path))
    return paths


def _write_picture(rows: NDArray[np.float32], is_float: bool, path: Path) -> None:
    """In a thread: nothing of Blender's in here."""
    file = encode.exr(rows) if is_float else encode.png(as_bytes(rows))
    with artist_words(f"The picture {shown(path)} could not be written"):
        path.write_bytes(file)


def masks_of(chosen: props.PentimentoSettings, image: bpy.types.Image) -> list[str]:
    """The name of each style's mask for this image, empty where it has none. Refuses one of another size, also of a
    place."""
    names = mask_names(chosen)
    check_masks([*filter(None, names), *(place.mask.name for place in props.places(chosen, is_render=False))], image)
    return names


def mask_names(chosen: props.PentimentoSettings) -> list[str]:
    """Of each style, empty where it has none"""
    return [part.mask.name if part.mask else "" for part in props.all_styles(chosen)]


def check_masks(names: Iterable[str], image: bpy.types.Image) -> None:
    """Raises EngineError where a mask does not fit the image."""
    for mask in map(find_image, names):
        check(mask)
        if mask.size[:] != image.size[:]:
            raise EngineError(
                f"The mask {mask.name!r} is {mask.size[0]} x {mask.size[1]}, the image {image.size[0]} x "
                f"{image.size[1]}.",
                "Scale the mask to the size of the image (Image > Scale).",
            )


def with_masks(
    how: protocol.StylizeSettings, masks: Iterable[str], folder: str
) -> Generator[None, None, protocol.StylizeSettings]:
    """Each style and place with the file of its mask, written into the folder. masks: names of images, or nothing, for
    the styles; places have theirs."""
    masks = list(masks)
    names = [*filter(None, masks), *(place.matte for place in how.strength_of)]
    files = iter((yield from write_pictures(names, Path(folder, "masks"))))
    parts = [replace(part, matte=next(files) if mask else "") for part, mask in zip(how.styles, masks, strict=True)]
    places = [replace(place, matte=next(files)) for place in how.strength_of]
    return replace(how, styles=tuple(parts), strength_of=tuple(places))


def is_linear(image: bpy.types.Image) -> bool:
    """Scene-linear light, which Blender shows through the view transform?"""
    return image.is_float and not image.colorspace_settings.is_data


def _encoding(image: bpy.types.Image) -> str:
    if image.colorspace_settings.is_data:
        return "data"
    return "linear" if is_linear(image) else "srgb"


def _alpha(image: bpy.types.Image) -> str:
    """Blender keeps bytes straight and floats premultiplied, whatever the file had; data it leaves alone."""
    packed = image.alpha_mode == "CHANNEL_PACKED" or image.colorspace_settings.is_data
    return "premultiplied" if image.is_float and not packed else "straight"


def _write_block(rows: NDArray[np.float32], is_float: bool, path: Path) -> protocol.PixelBlock:
    """Writes (H, W, C) float32, bottom row first, as raw pixels, top row first; bytes where Blender stores bytes."""
    height, width, channels = rows.shape
    with artist_words(f"The pixels could not be written to {path.parent}"), path.open("wb") as file:
        for top in range(0, height, BAND):
            band = rows[max(height - top - BAND, 0) : height - top][::-1]
            file.write(np.ascontiguousarray(band if is_float else as_bytes(band)).data)
    return protocol.PixelBlock(str(path), (height, width, channels), "float32" if is_float else "uint8")


def as_bytes(band: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Stored bytes come as n/255: adding a half makes the truncation exact."""
    scaled = band * np.float32(255)
    scaled += np.float32(0.5)
    return scaled.astype(np.uint8)


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for pixels that goes when the job ends."""
    try:
        return tempfile.TemporaryDirectory(prefix="pentimento_", dir=bpy.app.tempdir, ignore_cleanup_errors=True)
    except OSError as error:
        raise EngineError(
            f"The folder for temporary files cannot be used ({error.strerror}).",
            "Choose another one in Preferences > File Paths > Temporary Files.",
        ) from error


def emptied(folder: str) -> Generator[None, None, None]:
    """Deletes what lies in a scratch folder that is not read any more: large files take a while, so in a thread. To its
    end, for Blender was seen to crash when an undo step was made beside it."""
    yield from in_thread(shutil.rmtree, folder, True)


@contextmanager
def artist_words(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineError(
            f"{what} ({error.strerror or error}).", "Free space, or choose a place that can be written."
        ) from error


# ---------------------------------------------------------------- gather: the scene's view transform

VIEW_VALUES = (
    0.0,
    *(2 ** (stop / 2) for stop in range(-20, -10)),
    *(2 ** (stop / 6) for stop in range(-30, 25)),
    *(2 ** (stop / 2) for stop in range(9, 15)),
)
"""Scene-linear values along each axis of the table at exposure 0: from a thousandth to what every view transform shows
as white, closest where most of a picture is. One of them is 1, where Standard and Raw have their corner."""


def view_table(scene: str, folder: str) -> protocol.ViewTable | None:
    """See `gather_view`; None where no scene is named."""
    return gather_view(bpy.data.scenes[scene], folder) if scene else None


def gather_view(scene: bpy.types.Scene, folder: str) -> protocol.ViewTable:
    """What the scene's view transform, with its look, exposure, gamma and curves, makes of a cube of colours."""
    # Exposure moves everything that a view transform does: the table moves with it.
    values = tuple(value * 2.0**-scene.view_settings.exposure for value in VIEW_VALUES)
    path, cube = Path(folder, "view.png"), _new_cube(values)
    try:
        with _kept_format(scene.render.image_settings) as settings:
            compat.write_view(settings)
            cube.save_render(str(path), scene=scene)
    except RuntimeError as error:
        raise EngineError(
            f"The view transform could not be written to {shown(Path(folder))}.",
            "Free space there, or choose Colours: Scene.",
        ) from error
    finally:
        bpy.data.images.remove(cube)
    return protocol.ViewTable(_view_name(scene.view_settings), str(path), values)


@contextmanager
def _kept_format(settings: bpy.types.ImageFormatSettings) -> Iterator[bpy.types.ImageFormatSettings]:
    kept = _values(settings, compat.format_fields(settings))
    try:
        yield settings
    finally:
        _set_all(settings, kept)


def _new_cube(values: tuple[float, ...]) -> bpy.types.Image:
    """Red by row from the top, green by groups of columns, blue by column within a group."""
    count = len(values)
    image = bpy.data.images.new("Pentimento View", count**2, count, float_buffer=True)
    pixels = np.ones((count, count, count, 4), np.float32)
    for axis in range(3):
        pixels[..., axis] = np.array(values, np.float32).reshape([-1 if place == axis else 1 for place in range(3)])
    image.pixels.foreach_set(pixels[::-1].ravel())
    return image


def view_name(scene: bpy.types.Scene) -> str:
    """As recipes call the scene's view transform"""
    return _view_name(scene.view_settings)


def _view_name(view: bpy.types.ColorManagedViewSettings) -> str:
    """The scene's choices in words; which curves or white point they are only the table's hash tells."""
    parts = {
        view.view_transform: True,
        f"look {view.look}": view.look not in ("", "None"),
        f"exposure {view.exposure:.6g}": view.exposure != 0,
        f"gamma {view.gamma:.6g}": view.gamma != 1,
        "curves": view.use_curve_mapping,
        "white balance": getattr(view, "use_white_balance", False),  # since 4.3
    }
    return ", ".join(name for name, said in parts.items() if said)


# ---------------------------------------------------------------- apply: layers -> images


@dataclass(frozen=True)
class Encoded:
    """A layer as a picture file, as Blender packs it into the .blend."""

    file: bytes
    is_float: bool
    has_alpha: bool
    thumbnail: NDArray[np.float32] | None = None
    """(h, w, 4) display-referred"""


def add_layers(
    event: protocol.Stylized,
    image: str,
    materials: Iterable[str],
    style: str,
    added: dict[str, bpy.types.Image] | None = None,
) -> Work:
    """New images beside the one named `image`, wired into those of the materials that use it. added: takes them, by
    layer."""
    added = {} if added is None else added
    with ThreadPoolExecutor(max_workers=1) as thread:
        files = [(layer, thread.submit(encoded, layer)) for layer in event.layers]
        for layer, file in files:
            while not file.done():
                yield
            added[layer.name] = new_image(layer, file.result(), find_image(image), style)
            if layer.name == "Stylized":
                note_made(added[layer.name], file.result().thumbnail)
    _describe(added, event)
    original, stylized = find_image(image), added["Stylized"]
    overlay = next(filter(is_overlay, event.layers), None)
    shown = overlay and Overlay(added[overlay.name], overlay.display, looks.kind_of(overlay.channels, overlay.display))
    for owner in [bpy.data.materials[name] for name in materials if name in bpy.data.materials]:
        wire_material(owner, original, stylized, shown)
    show_result(original, stylized)
    return says(event)


def encoded(layer: protocol.Layer) -> Encoded:
    """In a thread: nothing of Blender's in here."""
    assert layer.pixels is not None
    block = layer.pixels
    height, width, channels = block.shape
    with artist_words("The result could not be read"):
        stored = np.fromfile(block.path, block.dtype)
    if stored.size != height * width * channels:
        raise EngineError("The result is incomplete.", "Free some disk space and start again.")
    is_float = block.dtype != "uint8"
    rows = stored.reshape(height, width, channels)
    file = encode.exr(rows) if is_float else encode.png(rows)
    return Encoded(file, is_float, channels == 4, thumbnail_of(rows, layer.encoding == "linear"))


def new_image(layer: protocol.Layer, pixels: Encoded, original: bpy.types.Image, style: str) -> bpy.types.Image:
    """Everything that makes Blender load the pixels again is set before they are there."""
    image = empty_image(result_name(layer, original, style), pixels, layer.encoding == "data")
    image[SOURCE] = original.name
    set_meaning(image, layer, original, pixels.is_float)
    fill_image(image, pixels)
    return image


def set_meaning(image: bpy.types.Image, layer: protocol.Layer, original: bpy.types.Image, is_float: bool) -> None:
    """Colour space and alpha of a result, as those of the image that it was made of. Relief is numbers."""
    if layer.name != "Stylized" and layer.encoding == "data":
        image.colorspace_settings.name = "Non-Color"
    elif not is_float:
        # A float image keeps the scene-linear colour space of its buffer: read back as sRGB it would be darker.
        image.colorspace_settings.name = original.colorspace_settings.name
    image.alpha_mode = alpha_mode(original, is_float)
    if layer.name.startswith("Relief."):
        image[RELIEF] = layer.name.removeprefix("Relief.")


def result_name(layer: protocol.Layer, original: bpy.types.Image, style: str) -> str:
    """`Bricks (Wave)`, `Bricks Normal (Wave)`, `Bricks Attribution.Scale`"""
    if is_overlay(layer):
        return named(original.name, f" {layer.name}")
    map_ = layer.name.removeprefix("Relief.")
    return named(original.name, f" ({style})" if layer.name == "Stylized" else f" {map_} ({style})")


def empty_image(name: str, pixels: Encoded, is_data: bool) -> bpy.types.Image:
    """One pixel: the file brings its own size, and a black picture of that size would only take time."""
    image = bpy.data.images.new(name, 1, 1, alpha=pixels.has_alpha, float_buffer=pixels.is_float, is_data=is_data)
    image.use_fake_user = True
    return image


def fill_image(image: bpy.types.Image, pixels: Encoded) -> None:
    image.pack(data=pixels.file, data_len=len(pixels.file))
    image.source = "FILE"


def add_texture(event: protocol.Event, style: str) -> Work | None:
    """A new image of what a texture style made, packed into the .blend."""
    return _add_texture(event, style) if isinstance(event, protocol.TextureMade) else None


def _add_texture(event: protocol.TextureMade, style: str) -> Work:
    with ThreadPoolExecutor(max_workers=1) as thread:
        file = thread.submit(encoded, event.layer)
        while not file.done():
            yield
    image = empty_image(named(style, f" {event.seed}"), file.result(), is_data=False)
    fill_image(image, file.result())
    image[RECIPE] = json.dumps(event.recipe, sort_keys=True)
    note_made(image, file.result().thumbnail)
    show_in(lambda shown: shown is None, image)
    return f"{image.name}: {image.size[0]} x {image.size[1]} pixels"


def alpha_mode(original: bpy.types.Image, is_float: bool) -> Literal["CHANNEL_PACKED", "PREMUL", "STRAIGHT"]:
    """What the pixels are now, not what the original's file had: Blender keeps bytes straight, floats premultiplied."""
    if original.alpha_mode == "CHANNEL_PACKED":
        return "CHANNEL_PACKED"
    return "PREMUL" if is_float else "STRAIGHT"


def named(base: str, suffix: str) -> str:
    """Cut so that the suffix survives, with room for the .001 that Blender may add."""
    room = MAX_NAME - len(suffix.encode()) - 4
    return base.encode()[: max(room, 0)].decode("utf-8", "ignore") + suffix


THUMBNAIL = 128
"""Pixels of the longer side of a result's preview, which Blender saves with it"""


def note_made(image: bpy.types.Image, thumbnail: NDArray[np.float32] | None = None) -> None:
    """For the history. thumbnail: (h, w, 4) display-referred, top row first; None: there is none to be had."""
    image[MADE] = time.time()
    preview = image.preview_ensure() if thumbnail is not None else None
    if preview is not None and thumbnail is not None:
        preview.image_size = (thumbnail.shape[1], thumbnail.shape[0])
        preview.image_pixels_float.foreach_set(np.ascontiguousarray(thumbnail[::-1]).ravel())


def thumbnail_of(rows: NDArray[Any], is_linear: bool = False) -> NDArray[np.float32]:
    """(H, W, C) as a result's preview, every so many pixels. In a thread: nothing of Blender's in here."""
    step = -(-max(rows.shape[:2]) // THUMBNAIL)
    taken = rows[step // 2 :: step, step // 2 :: step]
    few = taken.astype(np.float32) / (255 if taken.dtype == np.uint8 else 1)
    shown = np.ones((*few.shape[:2], 4), np.float32)
    shown[..., :3] = np.clip(few[..., : 3 if few.shape[2] > 2 else 1], 0, 1)  # grey, where it has no colours
    if is_linear:
        shown[..., :3] = np.where(
            shown[..., :3] <= 0.0031308, shown[..., :3] * 12.92, 1.055 * shown[..., :3] ** (1 / 2.4) - 0.055
        )
    return shown


def _describe(added: dict[str, bpy.types.Image], event: protocol.Stylized) -> None:
    """Recipe and findings go with the images."""
    recipe = json.dumps(event.recipe, sort_keys=True)
    for image in added.values():
        image[RECIPE] = recipe
    for layer in filter(is_overlay, event.layers):
        describe_overlay(added[layer.name], layer)
    added["Stylized"][OVERLAYS] = json.dumps(findings(event))


def describe_overlay(image: bpy.types.Image, layer: protocol.Layer) -> None:
    """What an overlay means goes with its image, for the panel and for whoever looks at its custom properties."""
    checks = layer.certificate.checks if layer.certificate else ()
    image[OVERLAY] = layer.name.removeprefix("Attribution.")
    image["pentimento_sentence"], image["pentimento_unit"] = layer.sentence, layer.unit
    image["pentimento_display"] = list(layer.display)
    image["pentimento_channels"] = json.dumps(layer.channels)
    image["pentimento_bars"] = json.dumps([list(vars(bar).values()) for bar in layer.bars])
    image["pentimento_certificate"] = json.dumps([list(vars(check).values()) for check in checks])


def findings(event: protocol.Stylized) -> list[dict[str, Any]]:
    """What the overlays say, for the panel."""
    return [
        {
            "name": layer.name.removeprefix("Attribution."),
            "sentence": layer.sentence,
            "faithful": layer.certificate is not None and layer.certificate.faithful,
        }
        for layer in filter(is_overlay, event.layers)
    ]


def is_overlay(layer: protocol.Layer) -> bool:
    """Beside overlays, a result has the painting itself, and of a render the one pass that was painted."""
    return layer.name.startswith("Attribution.")


def says(event: protocol.Stylized) -> str:
    """The findings as text."""
    return "\n".join(
        f"{found['name']}: {found['sentence']}{'' if found['faithful'] else ' (indicative only)'}"
        for found in findings(event)
    )


def show_result(original: bpy.types.Image, stylized: bpy.types.Image) -> None:
    """Image Editors that showed the original show the result."""
    show_in(lambda shown: shown == original, stylized)


def show_in(wanted: Callable[[bpy.types.Image | None], bool], image: bpy.types.Image) -> None:
    """In the Image Editors whose image is wanted for it."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "IMAGE_EDITOR" and wanted(area.spaces.active.image):
                area.spaces.active.image = image


# ---------------------------------------------------------------- nodes


def layers_group(kind: str) -> bpy.types.NodeTree:
    """The one node group of a kind of tree: mixes original, result and overlay. Mix 0 shows the original again.

    One of an older version, which does not know the colours of every overlay, stays where it is used and is not used
    again.
    """
    ours = (tree for tree in bpy.data.node_groups if tree.bl_idname == kind and tree.get(ROLE) == GROUP)
    return next((tree for tree in ours if compat.has_group_socket(tree, PLACES)), None) or _new_group(kind)


def _new_group(kind: str) -> bpy.types.NodeTree:
    tree = bpy.data.node_groups.new(GROUP, kind)
    tree[ROLE] = GROUP
    for name in COLOUR_SOCKETS:
        compat.new_group_socket(tree, name, "NodeSocketColor")
    for name, value, low, high in NUMBER_SOCKETS:
        socket = compat.new_group_socket(tree, name, "NodeSocketFloat")
        socket.default_value, socket.min_value, socket.max_value = value, low, high
    compat.new_group_socket(tree, "Result", "NodeSocketColor", output=True)
    _fill_group(tree)
    return tree


def _fill_group(tree: bpy.types.NodeTree) -> None:
    """result = mix(mix(original, stylized), colours of the overlay within its display range): a map around zero where
    the range begins below it, one from dark to bright where not; of bands a hue for each, of places one by corner."""
    start, end = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    take = start.outputs
    painted = _mix(tree, "MIX", take["Mix"], take["Original"], take["Stylized"])
    parts = _within_range(tree, take)
    signed = _math(tree, "LESS_THAN", take["Overlay Low"], 0.0)
    amount, around = (_ramp(tree, parts[0], stops) for stops in (looks.CIVIDIS, looks.DIVERGING))
    one = _mix(tree, "MIX", signed, amount, around)
    bands: Any = _linear((int(255 * looks.PAPER),) * 3)
    for part, hue in zip(parts, looks.BANDS, strict=True):
        bands = _mix(tree, "MIX", part, bands, _linear(hue))
    colours = _mix(tree, "MIX", take[BANDS], one, bands)
    colours = _mix(tree, "MIX", take[PLACES], colours, _places(tree, *parts))
    tree.links.new(_mix(tree, "MIX", take["Overlay Mix"], painted, colours), end.inputs["Result"])
    for column, node in enumerate(tree.nodes):
        node.location.x = 200 * (column if node != end else len(tree.nodes))


def _places(tree: bpy.types.NodeTree, u: Any, v: Any, confidence: Any) -> Any:
    """A hue by the corner, paler where that is less sure. Laid on in display-referred colour, as looks does: in light
    the small confidences that are usual would drown in white."""
    corners = [_before_gamma(stop) for stop in looks.CORNERS]
    top, bottom = (_mix(tree, "MIX", u, left, right) for left, right in (corners[:2], corners[2:]))
    sure, paper = _math(tree, "POWER", confidence, 0.5), _before_gamma((255 * looks.PAPER,) * 3)
    shown = _mix(tree, "MIX", sure, paper, _mix(tree, "MIX", v, top, bottom))
    node = compat.new_colour_node(tree, "Gamma")
    node.inputs[1].default_value = 2.4
    tree.links.new(shown, node.inputs[0])
    return node.outputs[0]


def _before_gamma(stop: tuple[float, float, float]) -> tuple[float, float, float, float]:
    """sRGB 0..255, none of it near black, with alpha: so that a power of 2.4 makes it scene-linear, also when mixed"""
    red, green, blue = ((value / 255 + 0.055) / 1.055 for value in stop)
    return red, green, blue, 1.0


def _within_range(tree: bpy.types.NodeTree, take: Any) -> list[Any]:
    """Each channel of the overlay as 0..1 of its display range."""
    channels = compat.new_colour_node(tree, "SeparateColor")
    tree.links.new(take["Overlay"], channels.inputs[0])
    span = _math(tree, "SUBTRACT", take["Overlay High"], take["Overlay Low"])
    above = [_math(tree, "SUBTRACT", channel, take["Overlay Low"]) for channel in channels.outputs[:3]]
    return [_math(tree, "DIVIDE", value, span, clamp=True) for value in above]


def _math(tree: bpy.types.NodeTree, operation: str, a: Any, b: Any, clamp: bool = False) -> Any:
    node = compat.new_colour_node(tree, "Math")
    node.operation, node.use_clamp = operation, clamp
    _give(tree, node.inputs[0], a)
    _give(tree, node.inputs[1], b)
    return node.outputs[0]


def _mix(tree: bpy.types.NodeTree, blend: str, factor: Any, a: Any, b: Any) -> Any:
    node = compat.new_mix(tree, blend)
    for socket, value in ((node.factor, factor), (node.a, a), (node.b, b)):
        _give(tree, socket, value)
    return node.result


def _give(tree: bpy.types.NodeTree, socket: Any, value: Any) -> None:
    """A value, or what comes out of another node."""
    if isinstance(value, bpy.types.NodeSocket):
        tree.links.new(value, socket)
    else:
        socket.default_value = value


def _ramp(tree: bpy.types.NodeTree, value: Any, stops: tuple[tuple[int, int, int], ...]) -> Any:
    """Colours at even steps of 0..1"""
    node = compat.new_colour_node(tree, "ValToRGB")
    elements = node.color_ramp.elements
    while len(elements) < len(stops):
        elements.new(0.5)
    for number, (element, stop) in enumerate(zip(elements, stops, strict=True)):
        element.position, element.color = number / (len(stops) - 1), _linear(stop)
    tree.links.new(value, node.inputs[0])
    return node.outputs[0]


def _linear(stop: tuple[int, int, int]) -> tuple[float, float, float, float]:
    """sRGB bytes as scene-linear colour with alpha"""
    red, green, blue = (
        value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in stop
    )
    return red, green, blue, 1.0


def insert_group(tree: bpy.types.NodeTree, original: bpy.types.NodeSocket) -> bpy.types.Node:
    """Our group behind the socket, in front of everything the socket fed; the one that is there already, if it is."""
    for link in original.links:
        if link.to_node.get(ROLE) == GROUP:
            return link.to_node
    fed = [link.to_socket for link in original.links]
    group = new_group_node(tree)
    group.location = (original.node.location.x + original.node.width + 40, original.node.location.y)
    for socket in fed:
        tree.links.new(group.outputs["Result"], socket)
    tree.links.new(original, group.inputs["Original"])
    return group


def new_group_node(tree: bpy.types.NodeTree) -> Any:
    """Our group, not linked to anything."""
    group: Any = tree.nodes.new("ShaderNodeGroup" if tree.bl_idname == "ShaderNodeTree" else "CompositorNodeGroup")
    group.node_tree = layers_group(tree.bl_idname)
    group[ROLE] = group.label = GROUP
    group.width = 180
    return group


def feed(tree: bpy.types.NodeTree, group: bpy.types.Node, socket: str, kind: str) -> Any:
    """The image node of ours that feeds a socket of the group; made where there is none."""
    for link in group.inputs[socket].links:
        if link.from_node.get(ROLE) == socket:
            return link.from_node
    below = 330 if socket == "Stylized" else 620
    return new_feed(tree, socket, kind, (group.location.x - 320, group.location.y - below))


def new_feed(tree: bpy.types.NodeTree, socket: str, kind: str, location: Any) -> Any:
    node = tree.nodes.new(kind)
    node[ROLE], node.label, node.location = socket, f"Pentimento {socket}", location
    return node


def wire_material(
    material: bpy.types.Material, original: bpy.types.Image, stylized: bpy.types.Image, overlay: Overlay | None
) -> None:
    """Behind every texture node with the original. Does nothing where the material is not ours to change."""
    tree = material.node_tree
    if tree is None or material.library is not None:
        return
    for texture in [
        node for node in tree.nodes if node.type == "TEX_IMAGE" and node.image == original and not node.get(ROLE)
    ]:
        if not texture.outputs["Color"].links:
            continue
        group = insert_group(tree, texture.outputs["Color"])
        feed_texture(tree, group, "Stylized", texture, stylized)
        if overlay:
            feed_texture(tree, group, "Overlay", texture, overlay.image)
            set_range(group, overlay.display, overlay.kind)


def feed_texture(
    tree: bpy.types.NodeTree, group: bpy.types.Node, socket: str, like: Any, image: bpy.types.Image
) -> None:
    """A texture node that lies on the surface as `like` does; of an image with a UV map of its own, on that."""
    if uv := str(image.get(LIES_ON, "")):
        feed_on_map(tree, group, socket, uv, image)
        return
    node = feed(tree, group, socket, "ShaderNodeTexImage")
    node.image = image
    for setting in LIES:
        setattr(node, setting, getattr(like, setting))
    for link in list(node.inputs["Vector"].links):  # a projection may lie on a UV map of its own
        tree.links.remove(link)
    for link in like.inputs["Vector"].links:
        tree.links.new(link.from_socket, node.inputs["Vector"])
    tree.links.new(node.outputs["Color"], group.inputs[socket])
    forget_maps(tree)


def forget_maps(tree: bpy.types.NodeTree) -> None:
    """UV Map nodes of ours that nothing uses any more"""
    for node in [node for node in tree.nodes if node.get(ROLE) == UV and not node.outputs["UV"].links]:
        tree.nodes.remove(node)


def feed_on_map(tree: bpy.types.NodeTree, group: bpy.types.Node, socket: str, uv: str, image: bpy.types.Image) -> None:
    """A texture node that lies on a UV map, whichever one renders. The node may have shown another layer before."""
    node = feed(tree, group, socket, "ShaderNodeTexImage")
    node.image, node.extension, node.projection, node.interpolation = image, "EXTEND", "FLAT", "Linear"
    links = node.inputs["Vector"].links
    where = links[0].from_node if links and links[0].from_node.get(ROLE) == UV else None
    if where is None:
        where = new_feed(tree, UV, "ShaderNodeUVMap", (node.location.x - 220, node.location.y - 120))
    where.uv_map = uv
    tree.links.new(where.outputs["UV"], node.inputs["Vector"])
    tree.links.new(node.outputs["Color"], group.inputs[socket])


def set_range(group: bpy.types.Node, display: tuple[float, float], kind: looks.Kind) -> None:
    """How a group colours the overlay that it is fed"""
    group.inputs["Overlay Low"].default_value, group.inputs["Overlay High"].default_value = display
    for socket, meant in ((BANDS, "bands"), (PLACES, "places")):
        if socket in group.inputs:  # groups of an older version have not all of them
            group.inputs[socket].default_value = float(kind == meant)


def feed_overlay(original: bpy.types.Image, overlay: Overlay) -> None:
    """The overlay into every group of ours that stands behind the original, in materials and compositors. How much of
    it shows there stays as the artist has it: nothing, until Overlay Mix is raised. Groups of an older version that
    would show it in other colours are left out."""
    for material in bpy.data.materials:
        if material.node_tree is not None and material.library is None:
            _feed_material(material.node_tree, original, overlay)
    for scene in bpy.data.scenes:
        tree = compat.compositor_there(scene)
        groups = _groups(tree) if tree is not None else []
        for group in [group for group in groups if _can_show(group, overlay)]:
            painted = [link.from_node for link in group.inputs["Stylized"].links]
            if any(getattr(node, "image", None) == original for node in painted):
                _feed_image(tree, group, overlay)


def _feed_material(tree: bpy.types.NodeTree, original: bpy.types.Image, overlay: Overlay) -> None:
    for group in [group for group in _groups(tree) if _can_show(group, overlay)]:
        for link in group.inputs["Original"].links:
            if link.from_node.type == "TEX_IMAGE" and link.from_node.image == original:
                feed_texture(tree, group, "Overlay", link.from_node, overlay.image)
                set_range(group, overlay.display, overlay.kind)


def _can_show(group: bpy.types.Node, overlay: Overlay) -> bool:
    return overlay.kind != "places" or PLACES in group.inputs


def unfeed(images: Iterable[bpy.types.Image]) -> None:
    """Takes these layers, which are about to be removed, out of every group of ours: their mix goes to 0, for a texture
    node without an image is magenta."""
    gone = set(images)
    trees = [material.node_tree for material in bpy.data.materials if material.library is None]
    trees += [compat.compositor_there(scene) for scene in bpy.data.scenes]
    for tree, socket in itertools.product(filter(None, trees), MIXES):
        for group in _groups(tree):
            for node in [link.from_node for link in group.inputs[socket].links]:
                if getattr(node, "image", None) in gone:
                    group.inputs[MIXES[socket]].default_value = 0.0
                    tree.nodes.remove(node)
        forget_maps(tree)


def is_group(tree: bpy.types.NodeTree) -> bool:
    """Is it the node group of ours?"""
    return bool(tree.get(ROLE) == GROUP)


def groups_of(tree: bpy.types.NodeTree | None) -> list[bpy.types.Node]:
    """Ours in a tree of the artist's, if there is one"""
    return _groups(tree) if tree is not None else []


def show_texture(tree: bpy.types.NodeTree, group: bpy.types.Node, layer: bpy.types.Image | Overlay) -> None:
    """A result or an overlay into a material's group, lying on the surface as the original does."""
    for link in group.inputs["Original"].links:
        if isinstance(layer, bpy.types.Image):
            feed_texture(tree, group, "Stylized", link.from_node, layer)
        elif _can_show(group, layer):
            feed_texture(tree, group, "Overlay", link.from_node, layer.image)
            set_range(group, layer.display, layer.kind)


def show_overlay_image(tree: bpy.types.NodeTree, group: bpy.types.Node, overlay: Overlay) -> None:
    """The same for an overlay with pixels of its own, into a compositor's group."""
    if _can_show(group, overlay):
        _feed_image(tree, group, overlay)


def show_file_layer(
    tree: bpy.types.NodeTree, group: bpy.types.Node, socket: str, image: bpy.types.Image, names: tuple[str, ...]
) -> str:
    """One layer of an image's file, or of a sequence's, into a socket of a compositor's group. Returns what went
    wrong."""
    before = next((link.from_node for link in group.inputs["Stylized"].links), None)
    frames = (before.frame_start, before.frame_duration) if image.source == "SEQUENCE" and before else None
    problem = _feed_layer(tree, group, socket, image, names)
    if frames and not problem:
        set_frames(feed(tree, group, socket, "CompositorNodeImage"), *frames)
    return problem


def _groups(tree: bpy.types.NodeTree) -> list[bpy.types.Node]:
    """Ours in a tree of the artist's"""
    return [node for node in tree.nodes if node.get(ROLE) == GROUP]


def _feed_image(tree: Any, group: bpy.types.Node, overlay: Overlay) -> None:
    """An image of its own instead of a layer of the result's file."""
    old = feed(tree, group, "Overlay", "CompositorNodeImage")
    node = new_feed(tree, "Overlay", "CompositorNodeImage", old.location)
    tree.nodes.remove(old)
    node.image = overlay.image
    tree.links.new(node.outputs["Image"], group.inputs["Overlay"])
    set_range(group, overlay.display, overlay.kind)


# ---------------------------------------------------------------- renders


def render_path(scene: bpy.types.Scene) -> Path:
    """A new file for the render of this frame: in `//pentimento/` beside the .blend, else in a folder of ours."""
    blend = Path(bpy.data.filepath)
    folder = writable(results_folder())
    stem = f"{blend.stem or 'untitled'}_{scene.frame_current:04d}"
    numbers = (f"{stem}.exr" if number == 0 else f"{stem}.{number:03d}.exr" for number in range(10**6))
    return next(folder / name for name in numbers if not (folder / name).exists())


def results_folder() -> Path:
    """Where results go that are files: `//pentimento/` beside the .blend, else a folder of ours."""
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / "pentimento"
    return compat.kept_folder("renders")


def writable(folder: Path) -> Path:
    """The folder, made where there is none. Raises EngineError where nothing can be written into it."""
    with artist_words(f"The folder {shown(folder)} cannot be written"):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "access is not allowed")
    return folder


def shown(path: Path) -> str:
    """A path as text that any console and label can take."""
    return str(path).encode("utf-8", "replace").decode()


RENDER_SETTINGS = ("filepath", "use_file_extension", "use_compositing", "use_sequencer", "use_stamp_filename")


@contextmanager
def multilayer_output(scene_name: str, path: Path) -> Iterator[None]:
    """The scene renders its passes, as they are before compositor and sequencer, into `path`; then all is as it was."""
    render = bpy.data.scenes[scene_name].render
    image = render.image_settings
    kept = _values(render, RENDER_SETTINGS)
    kept_format = _values(image, compat.format_fields(image))
    try:
        compat.write_multilayer(image)
        image.color_depth, image.exr_codec = "16", "ZIP"
        render.filepath, render.use_file_extension = str(path), False
        render.use_compositing = render.use_sequencer = False
        # The .blend's name goes into the EXR's header, where only UTF-8 is text.
        render.use_stamp_filename = render.use_stamp_filename and _is_text(bpy.data.filepath)
        yield
    finally:
        # While it rendered, an undo may have replaced the scene that `render` points at.
        if scene := bpy.data.scenes.get(scene_name):
            _set_all(scene.render, kept)
            _set_all(scene.render.image_settings, kept_format)


def _values(owner: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(owner, name) for name in names}


def _set_all(owner: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(owner, name, value)


def _is_text(path: str) -> bool:
    return path == shown(Path(path)) or not path


def render(scene_name: str, path: Path, passes: Iterable[str], blocking: bool) -> Work:
    """Renders the current frame into `path`, with these passes switched on. Not blocking: Blender renders in its usual
    window; this waits for it."""
    check_camera(bpy.data.scenes[scene_name])
    with multilayer_output(scene_name, path), switches.switched_on(scene_name, passes):
        yield from rendering(scene_name, blocking)
    if not path.is_file():
        raise EngineError("The render was stopped.", "Press Stylize Render and let it finish.")
    return ""


def check_camera(scene: bpy.types.Scene) -> None:
    if scene.camera is None:
        raise EngineError("The scene has no camera.", "Add a camera, then start again.")


class Ours:
    """What Blender does because a job asked for it."""

    renders = False


def rendering(scene_name: str, blocking: bool, animation: bool = False) -> Iterator[None]:
    """Renders the current frame of the scene, or its animation, to where its output goes."""
    Ours.renders = True
    try:
        yield from _rendering(scene_name, blocking, animation)
    finally:
        Ours.renders = False


def _rendering(scene_name: str, blocking: bool, animation: bool) -> Iterator[None]:
    what = {"animation": animation, "write_still": not animation, "scene": scene_name}
    if blocking:
        bpy.ops.render.render("EXEC_DEFAULT", **what)
        return
    # A timer has no window, and Blender opens the one with the render from another one.
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.render.render("INVOKE_DEFAULT", **what)
    while bpy.app.is_job_running("RENDER"):
        yield


@contextmanager
def no_render_window() -> Iterator[None]:
    """Renders that only we look at open no window of Blender's."""
    view = bpy.context.preferences.view
    before, view.render_display_type = view.render_display_type, "NONE"
    try:
        yield
    finally:
        view.render_display_type = before


SHOWN_EVERYWHERE = "The compositor shows this painting in every frame; set Mix to 0 in its group to see the render."


def add_render(event: protocol.Event, scene: str, style: str, note: str = "") -> Work | None:
    """The finished multilayer EXR as an image, wired into the compositor of the scene named `scene`. note: what else
    the artist should know."""
    return _add_render(event, scene, style, note) if isinstance(event, protocol.Stylized) else None


def _add_render(event: protocol.Stylized, scene: str, style: str, note: str) -> Work:
    image = bpy.data.images.load(event.path)
    image.name = named(Path(event.source).name, f" ({style})")
    image.use_fake_user = True
    image[RECIPE] = json.dumps(event.recipe, sort_keys=True)
    image[OVERLAYS] = json.dumps(findings(event))
    name = image.name
    small = yield from in_thread(decode.thumbnail, Path(event.path), "Stylized")
    image = find_image(name)
    note_made(image, None if small is None else thumbnail_of(small, is_linear=True))
    overlay = next(filter(is_overlay, event.layers), None)
    wired = wire_compositor(bpy.data.scenes[scene], image, overlay) or SHOWN_EVERYWHERE
    return "\n".join(part for part in (f"Saved {shown(Path(event.path))}.", note, says(event), wired) if part)


def add_sequence(files: Mapping[int, str], scene: str, style: str) -> Work:
    """Finished frames, by number, as one image: frame 8 of the scene shows frame 8. Wired into its compositor. Returns
    what the artist should know."""
    first, last = min(files), max(files)
    small = yield from in_thread(decode.thumbnail, Path(files[first]), "Stylized")
    image = sequence_of(files[first])
    image.name = named(Path(files[first]).stem.rstrip("0123456789").rstrip("_") or style, "")
    note_made(image, None if small is None else thumbnail_of(small, is_linear=True))
    is_float = Path(files[first]).suffix.lower() == ".exr"
    names = ("Stylized", "Stylized.Combined") if is_float else ("Image",)
    return wire_compositor(bpy.data.scenes[scene], image, None, names, (first, last - first + 1))


def sequence_of(path: str) -> bpy.types.Image:
    """The image of ours that stands for the sequence of this file; an image that the artist has opened stays."""
    ours = (image for image in bpy.data.images if image.get(SEQUENCE))
    image = next((image for image in ours if Path(bpy.path.abspath(image.filepath)) == Path(path)), None)
    if image is None:
        image = bpy.data.images.load(path)
        image.source, image.use_fake_user, image[SEQUENCE] = "SEQUENCE", True, True
    else:
        image.reload()
    return image


def composites_painting(scene: bpy.types.Scene) -> bool:
    """Is a painting of ours in what Blender writes of this scene?"""
    tree = compat.compositor_there(scene) if scene.render.use_compositing else None
    groups = _groups(tree) if tree is not None else []
    return any(group.inputs["Stylized"].links and group.inputs["Mix"].default_value for group in groups)


def wire_compositor(
    scene: bpy.types.Scene,
    image: bpy.types.Image,
    overlay: protocol.Layer | None,
    names: tuple[str, ...] = ("Stylized", "Stylized.Combined"),
    frames: tuple[int, int] | None = None,
) -> str:
    """Behind the render layers, before everything the artist's compositor does. Returns what went wrong.

    names: of the layer that is the result. frames: the first one of a sequence, and how many there are."""
    tree = compat.compositor(scene)
    renders = (
        node for node in tree.nodes if node.type == "R_LAYERS" and node.scene == scene and node.outputs["Image"].links
    )
    render = next(renders, None)
    if render is None:
        return "The compositor uses no render layers, so the result was loaded but not wired."
    group = insert_group(tree, render.outputs["Image"])
    problem = _feed_layer(tree, group, "Stylized", image, names)
    if frames and not problem:
        set_frames(feed(tree, group, "Stylized", "CompositorNodeImage"), *frames)
    problems = [problem]
    if overlay:
        problems.append(_feed_layer(tree, group, "Overlay", image, (overlay.name,)))
        set_range(group, overlay.display, looks.kind_of(overlay.channels, overlay.display))
    return " ".join(filter(None, problems))


def set_frames(node: Any, first: int, count: int) -> None:
    """An image node shows in each frame of the scene the file of that number."""
    node.frame_start, node.frame_duration, node.frame_offset = first, count, first - 1
    node.use_auto_refresh, node.use_cyclic = True, False


def new_layer_node(
    tree: Any, image: bpy.types.Image, names: tuple[str, ...]
) -> tuple[Any, bpy.types.NodeSocket | None]:
    """An image node, and its output for a layer of the file."""
    node = tree.nodes.new("CompositorNodeImage")
    node.image = image
    return node, _layer_output(node, names)


def _feed_layer(tree: Any, group: bpy.types.Node, socket: str, image: bpy.types.Image, names: tuple[str, ...]) -> str:
    """An image node with one layer of the file. Returns what went wrong."""
    old = feed(tree, group, socket, "CompositorNodeImage")
    # A node that is given another file keeps the outputs of the old one: it is replaced instead.
    node = new_feed(tree, socket, "CompositorNodeImage", old.location)
    tree.nodes.remove(old)
    node.image = image
    output = _layer_output(node, names)
    if output is None:
        tree.nodes.remove(node)
        return f"The compositor cannot show the layer {names[0]} of this file."
    tree.links.new(output, group.inputs[socket])
    return ""


def _layer_output(node: Any, names: tuple[str, ...]) -> bpy.types.NodeSocket | None:
    """The output of an image node for a layer, in whichever of the file's groups of layers it is.

    In an EXR a dot separates group, layer and channel, so a layer's own dot may have become a space there.
    """
    wanted = tuple("." + name.replace(" ", ".") for name in names)
    for layer in _layers_of(node) or [""]:
        if layer:
            node.layer = layer
        for output in node.outputs:
            if f".{layer}.{output.name}".replace(" ", ".").endswith(wanted):
                return output
    return None


def _layers_of(node: Any) -> list[str]:
    """The groups of layers of a multilayer image. Blender tells them only when it complains about a wrong one."""
    try:
        node.layer = "?"
    except TypeError as error:
        return [name for name in str(error).split("(")[-1].rstrip(")").replace("'", "").split(", ") if name]
    return []
