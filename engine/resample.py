"""A canvas at another resolution, for the stroke size. Each result pixel is computed from its absolute place alone."""

from __future__ import annotations

import math

import numpy as np

from .canvas import ROWS, Canvas, PictureCanvas
from .picture import Floats, PictureReader


class Resampled:
    """`source` resampled to height x width; reads anywhere, as its source does.

    Cubic convolution (Keys 1981, a = -1/2); when reducing the kernel widens, so nothing aliases. Values may leave
    0..1 a little beside hard edges.
    """

    def __init__(self, source: Canvas, height: int, width: int) -> None:
        self.source = source
        self.height, self.width = height, width

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        rows, down = taps(top, height, self.source.height, self.height)
        columns, across = taps(left, width, self.source.width, self.width)
        block = self.source.read(rows[0], columns[0], rows[1], columns[1])
        return combined(combined(block, *down, axis=1), *across, axis=2)


def reduced(reader: PictureReader, size: tuple[int, int], wrap: bool) -> Floats:
    """The picture at a size (height, width), as a model sees it: planes (3, height, width) 0..1."""
    canvas: Canvas = PictureCanvas(reader, wrap)
    small = canvas if size == (reader.height, reader.width) else Resampled(canvas, *size)
    planes = np.empty((3, *size), np.float32)
    rows = max(1, ROWS * size[0] // reader.height)
    for row in range(0, size[0], rows):
        count = min(rows, size[0] - row)
        planes[:, row : row + count] = np.clip(small.read(row, 0, count, size[1]), 0, 1)
    return planes


Taps = tuple[np.ndarray, np.ndarray]
"""Positions (n, taps) within the block read, and their weights (n, taps) float32"""


def taps(start: int, count: int, source: int, target: int) -> tuple[tuple[int, int], Taps]:
    """Which source pixels make the target pixels start .. start + count of an axis resampled from source to target.

    Returns ((first source position, how many), (positions relative to the first, weights)); pixel centres at + 0.5.
    """
    scale = source / target
    wide = max(scale, 1.0)
    number = 2 * math.ceil(2 * wide) + 1
    centre = (np.arange(start, start + count, dtype=np.float64) + 0.5) * source / target - 0.5
    first = np.floor(centre).astype(np.int64) - math.ceil(2 * wide)
    places = first[:, None] + np.arange(number)[None, :]
    weights = _cubic((places - centre[:, None]) / wide)
    weights /= weights.sum(axis=1, keepdims=True)
    low, high = int(places.min()), int(places.max())
    return (low, high - low + 1), (places - low, weights.astype(np.float32))


def combined(planes: Floats, places: np.ndarray, weights: np.ndarray, axis: int) -> Floats:
    """Weighted sums along an axis (1 rows, 2 columns) of (3, h, w); tap by tap, so the order of additions is fixed."""
    shape = (1, -1, 1) if axis == 1 else (1, 1, -1)
    total: Floats | None = None
    for tap in range(places.shape[1]):
        if not weights[:, tap].any():
            continue
        part = np.take(planes, places[:, tap], axis=axis)
        part *= weights[:, tap].reshape(shape)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None  # the weights of a pixel sum to 1
    return total


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
