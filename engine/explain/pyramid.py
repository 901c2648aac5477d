"""Blurring by halving and doubling (Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code", 1983).

The grids are those of the whole picture, so a window of it that is blurred with its surroundings equals the same window
of the blurred picture, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..canvas import mirrored
from ..picture import Floats

FINE_LEVELS = 3
"""Halvings that strokes do not survive: what repeats within about 32 pixels, at stroke size 1"""
COARSE_LEVELS = 5
"""Halvings that form does not survive: about 140 pixels. What is left is colour"""
BANDS = ("colour", "form", "stroke")
"""What is left after COARSE_LEVELS, what they take away of what FINE_LEVELS leave, and what those take away"""

_KERNEL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def levels(stroke: float) -> tuple[int, int]:
    """(FINE_LEVELS, COARSE_LEVELS) for a stroke size: bands follow it by whole halvings."""
    larger = round(math.log2(stroke))
    return FINE_LEVELS + larger, COARSE_LEVELS + larger


def reach(count: int) -> int:
    """How far to each side, in pixels, a pixel blurred by so many levels looks: twice 1, 2, 4, ... on the way down, and
    the same again on the way up."""
    return 4 * (2**count - 1)


def blurred(planes: Floats, count: int, wrap: bool = False) -> Floats:
    """Planes (C, h, w) without what is finer than about 2^count pixels, same size. wrap: the picture is tileable."""
    height, width = planes.shape[1:]
    return Blur(height, width, count, wrap, (0, 0, height, width)).of(planes)


class Blur:
    """A window of a picture on its way to being blurred: what must be read for it, and what becomes of that."""

    def __init__(self, height: int, width: int, count: int, wrap: bool, window: tuple[int, int, int, int]) -> None:
        """height, width: of the picture. count: levels. window (top, left, height, width): inside it."""
        while count and 2 ** (count - 1) >= max(height, width):
            count -= 1  # of one pixel there is nothing to halve
        top, left, tall, wide = window
        self.rows = _Axis.around(height, count, wrap, top, tall)
        self.columns = _Axis.around(width, count, wrap, left, wide)

    @property
    def window(self) -> tuple[int, int, int, int]:
        """What is to be read (top, left, height, width): inside the picture, or of the endless plane where it is
        tileable."""
        rows, columns = self.rows.read[0], self.columns.read[0]
        return rows.first, columns.first, rows.count, columns.count

    def of(self, planes: Floats) -> Floats:
        """planes: (C, ...) of that window; returns the blurred window."""
        small = planes
        for level in range(self.rows.levels):
            small = _halved(small, 1, *self.rows.read[level : level + 2])
            small = _halved(small, 2, *self.columns.read[level : level + 2])
        for level in reversed(range(self.rows.levels)):
            small = _doubled(small, 1, *self.rows.made[level : level + 2])
            small = _doubled(small, 2, *self.columns.made[level : level + 2])
        return small

    def cut(self, planes: Floats, window: tuple[int, int, int, int]) -> Floats:
        """A part of what was read."""
        rows = self.rows.read[0].index(np.arange(window[0], window[0] + window[2]))
        columns = self.columns.read[0].index(np.arange(window[1], window[1] + window[3]))
        return planes[:, rows[:, None], columns[None, :]]


@dataclass(frozen=True)
class _Stretch:
    """A run of places along one axis of one level."""

    first: int
    count: int
    size: int
    """Of the axis at this level"""
    wrap: bool

    @staticmethod
    def over(places: np.ndarray, size: int, wrap: bool) -> _Stretch:
        """All of these places. Of a tileable picture they count on beyond its border, unless that would be more than
        all of it; else they are mirrored into it."""
        if not wrap:
            places = mirrored(places, size, wrap)
        first, count = int(places.min()), int(np.ptp(places)) + 1
        return _Stretch(first, count, size, wrap) if count < size else _Stretch(0, size, size, wrap)

    @property
    def places(self) -> np.ndarray:
        return np.arange(self.first, self.first + self.count)

    def index(self, places: np.ndarray) -> np.ndarray:
        """Where these places lie in the stretch."""
        endless = self.wrap and self.count < self.size
        found: np.ndarray = (places if endless else mirrored(places, self.size, self.wrap)) - self.first
        return found


@dataclass(frozen=True)
class _Axis:
    """The stretches of one axis by levels, the finest first."""

    read: tuple[_Stretch, ...]
    """What is halved"""
    made: tuple[_Stretch, ...]
    """What is doubled"""

    @property
    def levels(self) -> int:
        return len(self.read) - 1

    @staticmethod
    def around(size: int, count: int, wrap: bool, first: int, length: int) -> _Axis:
        sizes = [size]
        for _ in range(count):
            sizes.append(-(-sizes[-1] // 2))
        made = [_Stretch(first, length, size, wrap)]
        for small in sizes[1:]:
            middle = _halfway(made[-1], small)
            made.append(_Stretch.over(_with(middle, 1), small, wrap))
        read = made[-1:]
        for large in reversed(sizes[:-1]):
            read.insert(0, _Stretch.over(_with(_centres(read[0], large), 2), large, wrap))
        return _Axis(tuple(read), tuple(made))


def _with(places: np.ndarray, around: int) -> np.ndarray:
    """Places and their neighbours"""
    return np.arange(places.min() - around, places.max() + around + 1)


def _centres(small: _Stretch, large: int) -> np.ndarray:
    """Where the places of a stretch lie on the next finer level, of size `large`. The grid begins anew at every border
    of a tileable picture."""
    turns, places = np.divmod(small.places, small.size)
    return np.asarray(turns * large + 2 * places)


def _halfway(large: _Stretch, small: int) -> np.ndarray:
    """The places of the next coarser level, of size `small`, at or before those of a stretch"""
    turns, places = np.divmod(large.places, large.size)
    return np.asarray(turns * small + places // 2)


def _halved(planes: Floats, axis: int, large: _Stretch, small: _Stretch) -> Floats:
    centres = _centres(small, large.size)
    total: Floats | None = None
    for offset, weight in zip(range(-2, 3), _KERNEL, strict=True):
        part = np.take(planes, large.index(centres + offset), axis=axis)
        part *= weight
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None  # the kernel has five taps
    return total


def _doubled(planes: Floats, axis: int, large: _Stretch, small: _Stretch) -> Floats:
    """Even places take 1/8, 6/8, 1/8 of their neighbours, odd ones 1/2, 1/2: the kernel again, times two."""
    before = _halfway(large, small.size)
    even = large.places % large.size % 2 == 0

    def taken(places: np.ndarray) -> Floats:
        return np.take(planes, small.index(places), axis=axis)

    result = np.empty([large.count if i == axis else n for i, n in enumerate(planes.shape)], np.float32)
    here = before[even]
    result[_along(axis, even)] = 0.125 * (taken(here - 1) + taken(here + 1)) + 0.75 * taken(here)
    here = before[~even]
    result[_along(axis, ~even)] = 0.5 * (taken(here) + taken(here + 1))
    return result


def _along(axis: int, chosen: np.ndarray) -> tuple[slice | np.ndarray, ...]:
    """Where `chosen` along an axis, as a slice where it is every second place"""
    places = np.flatnonzero(chosen)
    plain = len(places) > 0 and bool((np.diff(places) == 2).all())
    part = slice(int(places[0]), int(places[-1]) + 1, 2) if plain else places
    return (slice(None), part) if axis == 1 else (slice(None), slice(None), part)
