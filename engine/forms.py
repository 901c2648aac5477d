"""Along which way the forms of a picture run: what strokes follow where nothing else tells the hand.

The structure tensor of luminance (Bigun and Granlund, "Optimal orientation detection of linear symmetry", 1987) on
cells of four pixels, smoothed over near and far: beside an outline the outline decides, on an even wall the outlines
around it, as strokes of a sky sweep around what stands before it. Everything depends on the absolute place alone, by
additions in one fixed order, so a window equals the same window of the whole picture, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from .canvas import Canvas, beyond_border
from .picture import Floats

CELL = 4
"""Pixels to each side of a cell: the grid of the generator's noise"""
GRAIN = 1.5
"""Deviation in cells of the blur before differences are taken: render noise and weave are no forms"""
NEAR = 2.5
"""Deviation in cells of the window around a place: half a stroke to each side"""
COARSE = 4
"""Cells to each side of a coarse cell, on which what is far is summed"""
FAR = ((2.0, 0.15), (6.0, 0.05))
"""Deviations in coarse cells and weights of what is far: nothing beside an outline, everything on an even surface. With
twice the weight a figure's limbs took the direction of the whole figure."""
REACH = 96
"""Cells beyond a window that are looked at: 78 have a say in it"""


def flow(source: Canvas, window: tuple[int, int, int, int], wrap: bool) -> Floats:
    """(2, h, w): the direction of the forms in a window of cells (top, left, height, width), as the doubled angle
    (cos 2a, sin 2a), a from the x axis towards the y axis, times how strong they are there.

    source: display-referred; wrap: it is tileable. The length is in squares of luminance steps from cell to cell.
    """
    top, left, height, width = window
    rows, columns = (
        _Stretch.around(*part, wrap) for part in ((top, height, source.height), (left, width, source.width))
    )
    light = _light(source, rows, columns, wrap)
    tensor = np.pad(_tensor(light), ((0, 0), rows.room, columns.room))
    smooth = tensor + _far(tensor)
    for axis in (1, 2):
        smooth = blurred(smooth, NEAR, axis)
    top, left = top - rows.first, left - columns.first
    return smooth[:, top : top + height, left : left + width]


@dataclass(frozen=True)
class _Stretch:
    """What has a say in a window, along one axis, in cells."""

    first: int
    """A multiple of COARSE, wherever the window lies"""
    read: int
    """The first one that the picture has"""
    count: int
    """How many it has"""
    room: tuple[int, int]
    """How many lie beyond the border of a picture that does not wrap, where nothing has a form: a mirror image would
    bend what runs out of the picture"""

    @staticmethod
    def around(start: int, count: int, size: int, wrap: bool) -> _Stretch:
        """size: of the picture, in pixels"""
        first = (start - REACH) // COARSE * COARSE
        last = -(-(start + count + REACH) // COARSE) * COARSE
        cells = -(-size // CELL)
        low, high = (first, last) if wrap else (min(max(0, first), cells - 1), max(min(last, cells), 1))
        return _Stretch(first, low, high - low, (low - first, last - high))


def _light(source: Canvas, rows: _Stretch, columns: _Stretch, wrap: bool) -> Floats:
    """(h, w): mean luminance of the cells. What repeats is read once, and within the border."""

    def cells(top: int, left: int, height: int, width: int) -> Floats:
        return _luminance(source.read(top * CELL, left * CELL, height * CELL, width * CELL))

    if not wrap or source.height % CELL or source.width % CELL:
        return cells(rows.read, columns.read, rows.count, columns.count)
    down, across = source.height // CELL, source.width // CELL
    once = (rows.read, columns.read, min(rows.count, down), min(columns.count, across))
    light = beyond_border(cells, down, across, True, once)
    for axis, (stretch, period) in enumerate(((rows, down), (columns, across))):
        if stretch.count > period:
            light = np.take(light, np.arange(stretch.count) % period, axis=axis)
    return light


def _luminance(planes: Floats) -> Floats:
    """(h, w) of cells: their mean luminance."""
    light = np.float32(0.2126) * planes[0] + np.float32(0.7152) * planes[1] + np.float32(0.0722) * planes[2]
    for axis in (0, 1):
        parts = [light[(slice(None),) * axis + (slice(i, None, CELL),)] for i in range(CELL)]
        light = ((parts[0] + parts[1]) + (parts[2] + parts[3])) * np.float32(1 / CELL)
    return light


def _tensor(light: Floats) -> Floats:
    """(2, h, w): the direction across which luminance changes, turned by a right angle, as `flow` gives it."""
    light = blurred(blurred(light[None], GRAIN, 1), GRAIN, 2)[0]
    padded = np.pad(light, 1, mode="edge")
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) * np.float32(0.5)
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]) * np.float32(0.5)
    return np.stack([down * down - across * across, np.float32(-2) * down * across])


def _far(tensor: Floats) -> Floats:
    """What outlines far away say, as large as the tensor."""
    coarse = tensor
    for axis in (1, 2):
        parts = [coarse[(slice(None),) * axis + (slice(i, None, COARSE),)] for i in range(COARSE)]
        coarse = ((parts[0] + parts[1]) + (parts[2] + parts[3])) * np.float32(1 / COARSE)
    total = np.zeros_like(coarse)
    for deviation, weight in FAR:
        total += np.float32(weight) * blurred(blurred(coarse, deviation, 1), deviation, 2)
    return total.repeat(COARSE, 1).repeat(COARSE, 2)


def blurred(planes: Floats, deviation: float, axis: int) -> Floats:
    """Gaussian, along one axis, the outermost values going on: sums of slices, so that the order is always the same."""
    weights = _gaussian(deviation)
    radius, count = len(weights) // 2, planes.shape[axis]
    room = [(radius, radius) if a == axis else (0, 0) for a in range(planes.ndim)]
    padded = np.pad(planes, room, mode="edge")
    total = np.zeros_like(planes)
    for offset, weight in enumerate(weights):
        total += padded[(slice(None),) * axis + (slice(offset, offset + count),)] * weight
    return total


@cache
def _gaussian(deviation: float) -> tuple[np.float32, ...]:
    """Weights out to two deviations and a half, that add up to 1"""
    places = np.arange(-int(2.5 * deviation), int(2.5 * deviation) + 1)
    weights = np.exp(-(places**2) / (2 * deviation**2))
    return tuple((weights / weights.sum()).astype(np.float32))
