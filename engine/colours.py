"""Whose colours a result has: those of the style, or those of the picture under the strokes of the style.

Two ways of Gatys, Bethge, Hertzmann and Shechtman ("Preserving Color in Neural Artistic Style Transfer", 2016):

luma       Luminance-only transfer. Luminance is that of the style, and what distinguishes the channels from it
           (R - Y, G - Y, B - Y) is that of the picture: adding the same to all three changes nothing there, so both are
           kept exactly. Where no colour of that luminance is as strong as the picture's, it is paled just as far as it
           must be. Luminance never gives way, so all that overlays say of luminance stays as it was.
histogram  Colour matching. What the style paints goes through the linear transform that brings its mean and covariance
           to those of the picture and moves colours the least in all: the Monge-Kantorovich map (Pitie and Kokaram,
           "The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer", 2007).

Everything happens in the display-referred colour that the style paints in, pixel by pixel. The statistics of a matching
are measured once, on the picture reduced, and the same for every tile.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .canvas import ArrayCanvas, Canvas
from .palette import luminance
from .picture import Floats, PictureReader, coverage, has_alpha
from .protocol import Json, PictureSource
from .resample import reduced

WAYS = ("style", "luma", "histogram")
MEASURED_EDGE = 512
"""Pixels of the longer side of the picture that statistics are measured on"""
FLAT = 1e-4
"""Variance (0..1) that counts as none, added to all: a style that paints one colour is not torn apart"""

Colours = Callable[[Floats, Floats], Floats]
"""(what a style painted, the picture), planes (3, h, w) display-referred 0..1 -> planes in other colours"""


def luma(style: Floats, picture: Floats) -> Floats:
    """The luminance of `style` in the colours of `picture`, 0..1."""
    light, own = luminance(style), luminance(picture)
    result = picture - own
    room = np.ones_like(light)
    for chroma in result:  # how much of it there is room for above, and below
        space = np.where(chroma > 0, 1 - light, light)
        size = np.abs(chroma)
        np.minimum(room, np.divide(space, size, out=np.ones_like(room), where=size > space), out=room)
    result *= room
    result += light
    return np.clip(result, 0, 1, out=result)


@dataclass(frozen=True)
class Matched:
    """What a style paints, matrix @ colour + offset."""

    matrix: tuple[tuple[float, ...], ...]
    """3 x 3, by rows"""
    offset: tuple[float, ...]
    of: str
    """Name of the picture that was measured"""

    def __call__(self, style: Floats, picture: Floats) -> Floats:
        result = np.empty_like(style)
        for channel, (row, offset) in enumerate(zip(self.matrix, self.offset, strict=True)):
            # written out: a matrix product would sum in another order for another size
            red, green, blue = (np.float32(weight) * plane for weight, plane in zip(row, style, strict=True))
            result[channel] = red + green + blue + np.float32(offset)
        return result

    def described(self) -> Json:
        """For the recipe"""
        return {"matched_to": self.of, "matrix": [list(row) for row in self.matrix], "offset": list(self.offset)}


class Coloured:
    """What a style painted, in other colours, not clamped."""

    def __init__(self, source: Canvas, style: Canvas, colours: Colours) -> None:
        self.source, self.style, self.colours = source, style, colours
        self.height, self.width = source.height, source.width

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        style = np.clip(self.style.read(top, left, height, width), 0, 1)
        return self.colours(style, self.source.read(top, left, height, width))


# ---------------------------------------------------------------- statistics


def matching(style: Floats, picture: Floats, weights: Floats, of: str = "") -> Matched:
    """The transform that gives `style` the mean and covariance of `picture`, planes (3, h, w) each. weights (h, w): how
    much each pixel counts."""
    (mean, spread), (wanted, target) = _moments(style, weights), _moments(picture, weights)
    root, inverse = _power(spread, 0.5), _power(spread, -0.5)
    matrix = inverse @ _power(root @ target @ root, 0.5) @ inverse
    offset = wanted - matrix @ mean
    return Matched(tuple(map(tuple, matrix.tolist())), tuple(offset.tolist()), of)


def _moments(planes: Floats, weights: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3,) and covariance (3, 3)"""
    share = weights.ravel().astype(np.float64)
    share /= share.sum()
    values = planes.reshape(3, -1).astype(np.float64)
    mean = values @ share
    away = values - mean[:, None]
    return mean, (away * share) @ away.T + FLAT * np.eye(3)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Of a symmetric positive matrix"""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, FLAT**2) ** exponent) @ vectors.T)


def measured_on(reader: PictureReader, wrap: bool) -> tuple[Canvas, Floats]:
    """The picture reduced to MEASURED_EDGE, and how much each of its pixels (h, w) can be seen."""
    shrink = min(1.0, MEASURED_EDGE / max(reader.height, reader.width))
    height, width = max(1, round(reader.height * shrink)), max(1, round(reader.width * shrink))
    weights = np.ones((height, width), np.float32)
    if has_alpha(reader.channels):
        columns = np.arange(width) * reader.width // width
        for row in range(height):
            stored = reader.read(row * reader.height // height, 0, 1, reader.width)[:, columns]
            weights[row] = coverage(stored)[0, :, 0] if reader.alpha == "premultiplied" else _opaque(stored)
        if not weights.any():
            weights[:] = 1
    return ArrayCanvas(reduced(reader, (height, width), wrap), wrap), weights


def _opaque(stored: np.ndarray) -> np.ndarray:
    """Straight alpha of one row, 0..1"""
    alpha = stored[0, :, -1]
    scale = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1
    return np.clip(np.nan_to_num(alpha.astype(np.float32)) / np.float32(scale), 0, 1)


def shot(source: PictureSource, reader: PictureReader) -> str:
    """What the frames of one shot have in common: folder, size, and the name but for its last number. A picture without
    a number is no frame, and has its name to itself."""
    path = Path(source.path or source.name)
    name, numbers = re.subn(r"\d+(?=\D*$)", "#", path.stem)
    return f"{path.parent}/{name if numbers else path.name}:{reader.width}x{reader.height}"
