"""Pictures as a model sees them: planes of display-referred colour that can be read anywhere, also beyond the border.

A canvas answers `read` for any window of the endless plane: beyond its border the picture is mirrored, or goes on
from the other side where it is tileable. Every value depends on its absolute place alone, so a window read in parts
equals the same window read at once, bit for bit: that is what exact tiling stands on.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Protocol

import numpy as np

from . import machine
from .picture import Alpha, Array, Floats, PictureReader, to_display

ROWS = 64
"""Rows converted at a time: 64 rows of 1920 float pixels stay in the processor's cache."""


class Canvas(Protocol):
    """Planes of display-referred colour."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        """Display-referred RGB of any window, float32 (3, height, width)."""
        ...


class PictureCanvas:
    """A picture, clamped to the 0..1 a model sees."""

    def __init__(self, reader: PictureReader, wrap: bool = False) -> None:
        self.reader = reader
        self.wrap = wrap
        self.height, self.width = reader.height, reader.width

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        # The border is added to the stored pixels: bytes move four times faster than floats.
        stored = beyond_border(self._stored, self.height, self.width, self.wrap, (top, left, height, width))
        planes = np.empty((3, height, width), np.float32)
        if is_plain(self.reader):
            top_value = np.float32(np.iinfo(stored.dtype).max)
            for channel in range(3):
                place = channel if stored.shape[2] >= 3 else 0
                np.divide(stored[..., place], top_value, out=planes[channel], dtype=np.float32)
            return planes

        def convert(row: int) -> None:
            part = stored[row : row + ROWS]
            display = to_display(part, self.reader.encoding, alpha_of(part, self.reader.alpha), self.reader.view)
            np.clip(display.transpose(2, 0, 1), 0, 1, out=planes[:, row : row + ROWS])

        by_rows(height, convert)
        return planes

    def _stored(self, top: int, left: int, height: int, width: int) -> Array:
        return self.reader.read(top, left, height, width)


def is_plain(reader: PictureReader) -> bool:
    """Display-referred integers: dividing by their maximum is all there is to do, nothing lies beyond 0..1."""
    return reader.dtype.kind == "u" and reader.encoding != "linear" and reader.alpha != "premultiplied"


def alpha_of(stored: Array, alpha: Alpha) -> Alpha:
    """Opaque premultiplied pixels are the same as straight ones, bit for bit, and ten times faster to convert."""
    if (
        alpha == "premultiplied"
        and stored.shape[2] in (2, 4)
        and stored.dtype.kind == "f"
        and (stored[..., -1] == 1).all()
    ):
        return "straight"
    return alpha


def by_rows(height: int, work: Callable[[int], None]) -> None:
    """Call `work` with the first row of every slice of ROWS rows, in as many threads as there are cores.

    numpy lets go of Python's lock while it computes; what a slice gives does not depend on the others.
    """
    starts = range(0, height, ROWS)
    if len(starts) == 1 or machine.cores() == 1:
        for row in starts:
            work(row)
        return
    for _ in _threads().map(work, starts):
        pass


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(machine.cores(), "rows")


class ArrayCanvas:
    """Planes in memory, (3, H, W) float32 display-referred."""

    def __init__(self, planes: Floats, wrap: bool = False) -> None:
        self.planes = planes
        self.wrap = wrap
        self.height, self.width = int(planes.shape[1]), int(planes.shape[2])

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        rows = border_indices(top, height, self.height, self.wrap)
        columns = border_indices(left, width, self.width, self.wrap)
        return self.planes[:, rows[:, None], columns[None, :]]


def beyond_border(
    inside: Callable[[int, int, int, int], Array],
    height: int,
    width: int,
    wrap: bool,
    window: tuple[int, int, int, int],
    axis: int = 0,
) -> Array:
    """Any window (top, left, height, width) of a picture that `inside` can only read within its border.

    axis: where rows are in what `inside` returns, columns follow: 0 for (h, w, C), 1 for (C, h, w).
    """
    top, left, tall, wide = window
    if top >= 0 and left >= 0 and top + tall <= height and left + wide <= width:
        return inside(top, left, tall, wide)
    down = _stretches(border_indices(top, tall, height, wrap))
    across = _stretches(border_indices(left, wide, width, wrap))
    bands = [
        np.concatenate([_picked(inside, rows, columns, axis) for columns in across], axis=axis + 1) for rows in down
    ]
    return np.concatenate(bands, axis=axis) if len(bands) > 1 else bands[0]


def border_indices(start: int, count: int, size: int, wrap: bool) -> np.ndarray:
    """Positions start .. start + count on an endless axis as positions within 0..size - 1.

    wrap: the axis repeats. Otherwise it is mirrored at its first and last pixel, which are not doubled.
    """
    return mirrored(np.arange(start, start + count), size, wrap)


def mirrored(places: np.ndarray, size: int, wrap: bool) -> np.ndarray:
    """The same for any positions."""
    if wrap or size == 1:
        return places % size
    places = places % (2 * size - 2)
    return np.minimum(places, 2 * size - 2 - places)


def _stretches(indices: np.ndarray) -> list[np.ndarray]:
    """Cut where the picture starts again, so that no read spans what lies between (a tileable 16K texture)."""
    jumps = np.flatnonzero(np.abs(np.diff(indices)) > 1) + 1
    return np.split(indices, jumps)


def _picked(inside: Callable[[int, int, int, int], Array], rows: np.ndarray, columns: np.ndarray, axis: int) -> Array:
    top, left = int(rows.min()), int(columns.min())
    block = inside(top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1)
    picked = np.take(block, rows - top, axis=axis) if not _plain(rows) else block
    return np.take(picked, columns - left, axis=axis + 1) if not _plain(columns) else picked


def _plain(indices: np.ndarray) -> bool:
    return bool((np.diff(indices) == 1).all())
