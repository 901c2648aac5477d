"""The door to files: pictures in and out, and everything else that is written.

PNG and JPEG are taken as sRGB: an ICC profile or gamma chunk is not applied (Blender does not either).
OpenEXR is scene-linear Rec.709 with premultiplied alpha, as Blender writes it.
"""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from PIL import ExifTags, Image

from .atomic import NewFile, StrPath, explain, reading, shown, unique_path, write_json, write_text, writing
from .errors import EngineError
from .exr import MAGIC as EXR
from .exr import ExrFile, ExrLayer, ExrPart, blender_name, main_layer, picture_in, read_exr, write_beside, write_exr
from .picture import (
    Alpha,
    Array,
    Encoding,
    Floats,
    PictureReader,
    check_meaning,
    check_window,
    from_block,
    has_alpha,
    whole,
)
from .png import SIGNATURE as PNG
from .png import PngWriter, create_png, read_index
from .png_reader import can_stream, open_streamed
from .protocol import PictureSource, ViewTable
from .view import MAX_VALUES, View

__all__ = [
    "ExrFile",
    "ExrLayer",
    "ExrPart",
    "NewFile",
    "PictureWriter",
    "PngWriter",
    "blender_name",
    "create_png",
    "explain",
    "main_layer",
    "open_picture",
    "open_source",
    "open_view",
    "picture_in",
    "planes_of",
    "read_exr",
    "reading",
    "shown",
    "unique_path",
    "write_beside",
    "write_exr",
    "write_json",
    "write_text",
    "writing",
]

JPEG = b"\xff\xd8\xff"
MAX_PIXELS = 2**29
"""Pixels of one picture: 32768 x 16384. A JPEG of that size takes a little over 2 GB while it is open."""
# Pillow decodes faster than our own reader, but holds 4 bytes a pixel: beyond 8192 x 8192 memory counts more.
_PILLOW_PIXELS = 2**26
# A JPEG spends at least one bit on a block of 8 x 8 pixels; one that claims more has lost its pixels.
_JPEG_PIXELS_PER_BYTE = 1024

# Pillow's own limit (179 million pixels) would refuse a 16K texture; ours is checked before anything is decoded.
Image.MAX_IMAGE_PIXELS = None

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
"""What Pillow raises when a file is not what it says."""

# EXIF orientation -> (transposed, rows reversed, columns reversed) of the upright picture.
_UPRIGHT = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


class PictureWriter(Protocol):
    """Takes a picture as bands of rows from the top. `with`: in place at the end, removed after an error."""

    def write_rows(self, rows: Array) -> None:
        """Append rows (n, width, channels) of the writer's dtype."""
        ...

    def __enter__(self) -> PictureWriter: ...
    def __exit__(self, kind: Any, error: Any, trace: Any) -> None: ...


def open_picture(path: StrPath) -> PictureReader:
    """The picture in a PNG (8 or 16 bit), JPEG or OpenEXR file, told apart by its content, not its name.

    PNG and JPEG: uint8 or uint16, "srgb", alpha "straight" or "none"; an EXIF orientation is honoured.
    OpenEXR: float16 or float32, "linear", alpha "premultiplied" or "none"; the Combined pass of a render.
    """
    with reading(path), Path(path).open("rb") as stream:
        start = stream.read(8)
    if start == PNG:
        index = read_index(path)
        _check_size(path, index.width, index.height)
        large = index.width * index.height > _PILLOW_PIXELS and can_stream(index)
        return open_streamed(path, index) if index.depth == 16 or large else _open_8bit(path)
    if start.startswith(JPEG):
        return _open_8bit(path)
    if start.startswith(EXR):
        return picture_in(read_exr(path))
    raise EngineError(f"{shown(path)} is not a PNG, JPEG or OpenEXR picture.", "Save it in one of these formats.")


def open_source(source: PictureSource, view: View | None = None, file: ExrFile | None = None) -> PictureReader:
    """The picture of a request: a file or pixels beside the message, with the encoding and alpha the request says.

    view: what it is seen through when it turns out to be scene-linear. file: what is in it, where it is an EXR that was
    read already.
    """
    found = from_block(source) if source.pixels is not None else _open_file(source, file)
    if view is None or found.encoding != "linear":
        return found
    return cast(PictureReader, replace(cast(Any, found), view=view))


def _open_file(source: PictureSource, file: ExrFile | None) -> PictureReader:
    found = open_picture(source.path) if file is None else picture_in(file)
    encoding = found.encoding if source.encoding == "auto" else source.encoding
    alpha = found.alpha if source.alpha == "auto" or not has_alpha(found.channels) else source.alpha
    check_meaning(encoding, alpha)
    meaning = {"encoding": cast(Encoding, encoding), "alpha": cast(Alpha, alpha)}
    return cast(PictureReader, replace(cast(Any, found), **meaning, name=source.name or found.name))


def open_view(table: ViewTable) -> View:
    """The view transform of a request. Raises EngineError where file and values are no table."""
    reader, count = open_picture(table.path), len(table.values)
    fits = (reader.height, reader.width, reader.channels, reader.dtype) == (count, count**2, 3, np.uint16)
    if not fits or count > MAX_VALUES:
        raise EngineError(
            f"{shown(table.path)} is no table of a view transform.",
            "Choose Colours: Scene, or install the add-on again.",
        )
    return View(whole(reader).reshape(count, count, count, 3), table.values, table.name)


def _check_size(path: StrPath, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise EngineError(
            f"{shown(path)} is too large ({width} x {height}).", f"Use at most {MAX_PIXELS // 2**20} million pixels."
        )


# ---------------------------------------------------------------- 8 bits, through Pillow


@dataclass(frozen=True, eq=False)
class Picture8:
    """An 8-bit PNG or JPEG. Pillow decodes it at the first window (4 bytes a pixel); only windows become arrays."""

    path: Path
    stored: tuple[int, int]
    """height and width in the file, before the EXIF orientation"""
    mode: str
    """Pillow's mode that windows are converted to: L, LA, RGB or RGBA"""
    turned: tuple[bool, bool, bool]
    """transposed, rows reversed, columns reversed: from the file to the upright picture"""
    encoding: Encoding
    alpha: Alpha
    name: str
    view: View | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def height(self) -> int:
        return self.stored[self.turned[0]]

    @property
    def width(self) -> int:
        return self.stored[not self.turned[0]]

    @property
    def channels(self) -> int:
        return len(self.mode)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def read(self, top: int, left: int, height: int, width: int) -> Array:
        """The window, uint8 (height, width, channels)."""
        check_window(self, top, left, height, width)
        transposed, rows, columns = self.turned
        top = self.height - top - height if rows else top
        left = self.width - left - width if columns else left
        box = (top, left, height, width) if not transposed else (left, top, width, height)
        pixels = self._stored_window(*box)
        pixels = pixels.transpose(1, 0, 2) if transposed else pixels
        return pixels[:: -1 if rows else 1, :: -1 if columns else 1]

    def _stored_window(self, top: int, left: int, height: int, width: int) -> Array:
        with self._lock:
            window = self._image.crop((left, top, left + width, top + height))
        plain = window if window.mode == self.mode else window.convert(self.mode)
        return np.asarray(plain).reshape(height, width, -1)

    @cached_property
    def _image(self) -> Image.Image:
        return _attempt(self.path, lambda: _decoded(self.path))


def _open_8bit(path: StrPath) -> Picture8:
    def head() -> Picture8:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            return _described(Path(path), image)

    return _attempt(path, head)


def _described(path: Path, image: Image.Image) -> Picture8:
    width, height = image.size
    _check_size(path, width, height)
    if image.format != "PNG" and width * height > path.stat().st_size * _JPEG_PIXELS_PER_BYTE:
        raise ValueError("too little data")
    mode = _plain_mode(image)
    alpha: Alpha = "straight" if has_alpha(len(mode)) else "none"
    return Picture8(path, (height, width), mode, _turned(image), "srgb", alpha, path.stem)


def _plain_mode(image: Image.Image) -> str:
    """The mode of 8-bit grey, grey + alpha, RGB or RGBA that loses nothing of the image's own."""
    clear = image.has_transparency_data
    if image.mode in ("1", "L", "LA"):
        return "LA" if clear else "L"
    return "RGBA" if clear else "RGB"


def _turned(image: Image.Image) -> tuple[bool, bool, bool]:
    """How the EXIF orientation turns the picture. A PNG may hold it behind its pixels: not worth decoding them."""
    exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
    return _UPRIGHT.get(exif.get(ExifTags.Base.Orientation, 1), _UPRIGHT[1])


def _decoded(path: Path) -> Image.Image:
    image = Image.open(path, formats=("PNG", "JPEG"))
    image.load()
    return image


def planes_of(data: bytes, name: str, largest: int) -> Floats:
    """A JPEG in memory, of a style pack: planes (3, h, w) display-referred 0..1.

    Raises EngineError where it is broken, and before it is decoded where it is larger than `largest` to a side."""
    image = _attempt(name, lambda: Image.open(io.BytesIO(data), formats=("JPEG",)))
    if max(image.size) > largest:
        raise EngineError(
            f"{shown(name)} is larger than {largest} pixels.", "Get the style pack again from its author."
        )
    decoded = _attempt(name, lambda: image.convert("RGB"))
    return np.ascontiguousarray(np.asarray(decoded, np.float32).transpose(2, 0, 1)) / np.float32(255)


def _attempt(path: StrPath, work: Callable[[], Any]) -> Any:
    """Do something with Pillow; a refusal of the system or a broken file becomes an EngineError."""
    try:
        return work()
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno:
            raise explain(error, path, "read") from error
        raise EngineError(
            f"{shown(path)} is damaged or was not written to its end.", "Save or copy it again."
        ) from error
