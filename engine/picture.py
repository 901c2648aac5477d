"""Pictures: pixels with a meaning (colour encoding, kind of alpha), and the way to what a style model sees and back.

A model sees display-referred sRGB clamped to 0..1. So every picture goes

    stored pixels -> to_display -> split -> (inside) the model, (beyond) kept -> sum -> from_display -> stored pixels

and an identity model gives the picture back: exactly for bytes, within 1e-3 relative or 1e-4 absolute for floats.
Row 0 is the top row everywhere. A scene-linear picture goes on a curve of our own, whatever view transform Blender
applies afterwards, or, when it has a `View`, through that view transform and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

import numpy as np
from numpy.typing import NDArray

from .errors import EngineError
from .protocol import PictureSource, PixelBlock
from .view import View

Encoding = Literal["srgb", "linear", "data"]
"""srgb: display-referred as stored. linear: scene-linear Rec.709. data: numbers, never converted (normals)."""
Alpha = Literal["none", "straight", "premultiplied"]
Array = NDArray[Any]
Floats = NDArray[np.float32]

DTYPES: tuple[np.dtype[Any], ...] = tuple(np.dtype(name) for name in ("uint8", "uint16", "float16", "float32"))
HALF_MAX = 65504.0

# sRGB (IEC 61966-2-1), with the branch points Blender uses.
_LINEAR_KNEE = 0.0031308
_DISPLAY_KNEE = 12.92 * _LINEAR_KNEE
# The slope of the sRGB curve at 1. A shoulder 1 + slope * ln(x) continues value and slope there.
_SLOPE = 1.055 / 2.4
# The display value of the largest float32: beyond it exp would overflow.
_DISPLAY_MAX = 1 + _SLOPE * 88.7228
# Below this coverage a premultiplied pixel is black and empty: dividing by it would only meet denormals.
_COVERAGE_MIN = 1e-30


class PictureReader(Protocol):
    """A picture that can be read in windows; a big one never has to be in memory as a whole."""

    @property
    def name(self) -> str: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def channels(self) -> int:
        """1 grey, 2 grey + alpha, 3 RGB, 4 RGBA"""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 | uint16 | float16 | float32"""
        ...

    @property
    def encoding(self) -> Encoding: ...
    @property
    def alpha(self) -> Alpha: ...
    @property
    def view(self) -> View | None:
        """What a scene-linear picture is seen through; None: a curve of our own."""
        ...

    def read(self, top: int, left: int, height: int, width: int) -> Array:
        """The window as (height, width, channels) of the stored dtype. It must lie inside the picture."""
        ...


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture over an array, in memory or memory-mapped."""

    pixels: Array
    """(H, W, C), C 1..4, uint8 | uint16 | float16 | float32, row 0 at the top"""
    encoding: Encoding
    alpha: Alpha = "none"
    name: str = ""
    view: View | None = None

    def __post_init__(self) -> None:
        check_meaning(self.encoding, self.alpha)
        if self.pixels.ndim != 3 or not 1 <= self.pixels.shape[2] <= 4 or 0 in self.pixels.shape:
            raise ValueError(f"a picture is (H, W, 1..4), not {self.pixels.shape}")
        if self.pixels.dtype not in DTYPES:
            raise ValueError(f"a picture is one of {[str(dtype) for dtype in DTYPES]}, not {self.pixels.dtype}")

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[2])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.pixels.dtype

    def read(self, top: int, left: int, height: int, width: int) -> Array:
        """A view of the window, (height, width, C) of the stored dtype."""
        check_window(self, top, left, height, width)
        return self.pixels[top : top + height, left : left + width]


def whole(reader: PictureReader) -> Array:
    """All pixels, (H, W, C) of the stored dtype."""
    return reader.read(0, 0, reader.height, reader.width)


def check_meaning(encoding: str, alpha: str) -> None:
    """Raise ValueError unless both words are known ("auto" is not: somebody must have decided by now)."""
    if encoding not in get_args(Encoding) or alpha not in get_args(Alpha):
        raise ValueError(f"unknown encoding {encoding!r} or alpha {alpha!r}")


def check_window(reader: PictureReader, top: int, left: int, height: int, width: int) -> None:
    """Raise ValueError unless the window is not empty and lies inside."""
    inside = 0 <= top < top + height <= reader.height and 0 <= left < left + width <= reader.width
    if not inside:
        window = f"window {height}x{width} at ({top}, {left})"
        raise ValueError(f"{window} is not inside {reader.height}x{reader.width}")


def has_alpha(channels: int) -> bool:
    """Grey + alpha and RGBA have their alpha last."""
    return channels in (2, 4)


def result_channels(channels: int) -> int:
    """Channels of a stylized picture: a painting has colour even where the picture was grey."""
    return 4 if has_alpha(channels) else 3


# ---------------------------------------------------------------- pixels beside a message


def from_block(source: PictureSource) -> Picture:
    """The picture whose raw pixels lie in a file beside the message, memory-mapped."""
    block = source.pixels
    if block is None:
        raise EngineError(f"The picture {source.name!r} came without pixels.", "Send it again from the Image Editor.")
    try:
        return Picture(_mapped(block), cast(Encoding, source.encoding), _block_alpha(source, block), source.name)
    except (OSError, ValueError, TypeError) as error:
        raise EngineError(
            f"The pixels of {source.name!r} could not be handed over ({error}).",
            "Check that the disk with the temporary files is not full, then try again.",
        ) from error


def _mapped(block: PixelBlock) -> Array:
    dtype = np.dtype(block.dtype)
    expected = int(np.prod([int(size) for size in block.shape], dtype=object)) * dtype.itemsize
    found = Path(block.path).stat().st_size
    if dtype not in DTYPES or expected <= 0 or found != expected:
        raise ValueError(f"{found} bytes are not {block.shape} of {block.dtype}")
    return np.memmap(block.path, dtype=dtype, mode="r", shape=tuple(block.shape))


def _block_alpha(source: PictureSource, block: PixelBlock) -> Alpha:
    if source.alpha == "auto" and not has_alpha(block.shape[2]):
        return "none"
    return cast(Alpha, source.alpha)


# ---------------------------------------------------------------- colour: there and back


def to_display(pixels: Array, encoding: Encoding, alpha: Alpha, view: View | None = None) -> Floats:
    """Stored pixels (h, w, 1..4) as display-referred RGB, float32 (h, w, 3), not clamped.

    srgb and data: the stored values (integers divided by their maximum). linear: the sRGB curve below 1, a log
    shoulder above, odd-symmetric below 0; with a view what that shows, 0..1. Premultiplied colour is divided by its
    coverage first. NaN becomes 0 and infinity the largest half float, so that a model never meets them.
    """
    if encoding != "linear":
        return _true_colour(pixels, alpha)
    if view is not None:
        return view.encode(_true_colour(pixels, alpha))
    if pixels.dtype == np.float16 and not _uncovered(pixels, alpha):
        return _half_table()[_colour(pixels).view(np.uint16)]
    return encode(_true_colour(pixels, alpha))


def split(display: Floats) -> tuple[Floats, Floats]:
    """What a model sees (clamped to 0..1) and what the clamp cuts off; their sum is `display`, bit for bit."""
    inside = np.clip(display, 0.0, 1.0)
    return inside, display - inside


def from_display(display: Floats, like: Array, encoding: Encoding, alpha: Alpha, view: View | None = None) -> Array:
    """Display-referred RGB (h, w, 3) back into the encoding, alpha and dtype of the pixels `like` it came from.

    like: (h, w, 1..4). Returns (h, w, 3), or (h, w, 4) when `like` has alpha, whose bits are copied untouched.
    A colour value that was NaN or infinite in `like` stays what it was. view: what `to_display` got.
    """
    colour = display
    if encoding == "linear":
        colour = decode(display) if view is None else view.decode(display, _true_colour(like, alpha))
    if _uncovered(like, alpha):
        cover = coverage(like)
        colour = colour * np.where(cover >= _COVERAGE_MIN, cover, 0)
    result = np.empty((*like.shape[:2], result_channels(like.shape[2])), like.dtype)
    result[..., :3] = _keep_broken(_stored(colour, like.dtype), _colour(like))
    if has_alpha(like.shape[2]):
        result[..., 3] = like[..., -1]
    return result


def encode(linear: Floats) -> Floats:
    """Scene-linear values as display-referred ones: sRGB below 1, 1 + slope * ln(x) above, odd-symmetric."""
    size = np.abs(linear, dtype=np.float32)
    curve = 1.055 * np.power(np.clip(size, _LINEAR_KNEE, 1.0), np.float32(1 / 2.4)) - np.float32(0.055)
    curve += np.float32(_SLOPE) * np.log(np.maximum(size, np.float32(1)))
    display = np.where(size < _LINEAR_KNEE, np.minimum(size, 1) * np.float32(12.92), curve)
    return np.copysign(display, linear)


def decode(display: Floats) -> Floats:
    """The inverse of `encode`, within a few float32 roundings up to the largest finite values."""
    size = np.minimum(np.abs(display, dtype=np.float32), np.float32(_DISPLAY_MAX))
    below = np.clip(size, _DISPLAY_KNEE, 1.0)
    curve = np.power((below + np.float32(0.055)) / np.float32(1.055), np.float32(2.4))
    with np.errstate(over="ignore"):  # rounding at the very end of float32; the result is clamped when stored
        curve *= np.exp((np.maximum(size, np.float32(1)) - np.float32(1)) / np.float32(_SLOPE))
    linear = np.where(size < _DISPLAY_KNEE, size / np.float32(12.92), curve)
    return np.copysign(linear, display)


def coverage(pixels: Array) -> Floats:
    """How much of each premultiplied pixel is there, float32 (h, w, 1) in 0..1.

    Alpha, or the brightness where that is more: a glow has colour without alpha (fire, halos). Dividing by this
    shows the model the true colour of a soft edge, never more than 1 where alpha alone would give infinity,
    and a painted glow stays as faint as it was. An empty black pixel has coverage 0 and stays empty.
    """
    alpha = np.clip(_finite(_unit(pixels[..., -1:])), 0.0, 1.0)
    light = np.abs(_finite(_unit(pixels[..., :-1]))).max(axis=2, keepdims=True)
    return np.maximum(alpha, np.minimum(light, np.float32(1)))


def _true_colour(pixels: Array, alpha: Alpha) -> Floats:
    """Finite colour, float32 (h, w, 3), premultiplied colour divided by its coverage; integers as 0..1."""
    colour = _finite(_unit(_colour(pixels)))
    if not _uncovered(pixels, alpha):
        return colour
    cover = coverage(pixels)
    return np.divide(colour, cover, out=np.zeros_like(colour), where=cover >= _COVERAGE_MIN)


def _uncovered(pixels: Array, alpha: Alpha) -> bool:
    """Is there a pixel whose premultiplied colour is not its true colour? Most renders are opaque: that is quick."""
    return alpha == "premultiplied" and has_alpha(pixels.shape[2]) and not bool((_unit(pixels[..., -1]) == 1).all())


@cache
def _half_table() -> Floats:
    """The display value of every half float by its bits, float32 (65536,): ten times faster than the curve."""
    return encode(_finite(np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)))


def _colour(pixels: Array) -> Array:
    """The colour channels as (h, w, 3) of the stored dtype; grey is repeated."""
    count = pixels.shape[2]
    return pixels[..., :3] if count >= 3 else np.repeat(pixels[..., :1], 3, axis=2)


def _unit(pixels: Array) -> Floats:
    """Integers as 0..1, floats as they are; float32."""
    if pixels.dtype.kind == "u":
        return np.divide(pixels, np.float32(np.iinfo(pixels.dtype).max), dtype=np.float32)
    return pixels.astype(np.float32)


def _finite(values: Floats) -> Floats:
    return np.nan_to_num(values, nan=0.0, posinf=HALF_MAX, neginf=-HALF_MAX)


def _stored(colour: Floats, dtype: np.dtype[Any]) -> Array:
    """Float colour in a stored dtype: rounded and clamped to what it can hold."""
    if dtype.kind == "u":
        top = np.float32(np.iinfo(dtype).max)
        return np.rint(np.clip(np.nan_to_num(colour), 0.0, 1.0) * top).astype(dtype)
    limit = np.float32(np.finfo(dtype).max)
    return np.clip(colour, -limit, limit).astype(dtype)


def _keep_broken(result: Array, stored: Array) -> Array:
    if stored.dtype.kind == "u":
        return result
    sound = np.isfinite(stored)
    return result if sound.all() else np.where(sound, result, stored)
