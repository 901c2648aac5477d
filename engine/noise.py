"""The noise a style paints with: a function of the place and the seed, never of the tile.

Any window can be made alone, in any order, and it wraps where the picture wraps. Plain noise is counter-based: every
value is a hash of (row, column, channel, seed). A stroke field is a table that a style brings: noise in which the
strokes of its painting run; the seed says where on the table a picture begins.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .picture import Floats

FADE = 16
"""Cells over which strokes change where a tileable picture begins again: two strokes long."""
_LEVELS = 1 << 14
"""Distinct values of the normal distribution: a table, so that every machine gives the same bits."""


def normal(
    seed: int, channels: int, top: int, left: int, height: int, width: int, period: tuple[int, int] | None
) -> Floats:
    """Standard normal noise (channels, height, width) of a window on the absolute noise grid; indices may be negative.

    period: rows and columns after which it repeats, for pictures that tile; None: never.
    """
    rows = np.arange(top, top + height, dtype=np.int64)
    columns = np.arange(left, left + width, dtype=np.int64)
    if period:
        rows, columns = rows % period[0], columns % period[1]
    table = _quantiles()
    result = np.empty((channels, height, width), np.float32)
    for channel in range(channels):
        key = _mix(_mix(np.array([seed & 0xFFFFFFFF], np.uint32)) + np.uint32(channel))
        across = _mix(_mix(columns.astype(np.uint32)) ^ key)
        down = _mix(_mix(rows.astype(np.uint32) + np.uint32(0x9E3779B9)) ^ key)
        place = _mix(down[:, None] + across[None, :])
        np.take(table, place >> np.uint32(32 - 14), out=result[channel])
    return result


def strokes(
    field: Floats, seed: int, top: int, left: int, height: int, width: int, period: tuple[int, int] | None
) -> Floats:
    """A window (channels, height, width) of a stroke field (channels, rows, columns), which repeats without a seam.

    Arguments as those of `normal`. Where a picture tiles, strokes go on over its border: the last cells fade into what
    lies before the first ones.
    """
    down, across = (int(_mix(np.array([(seed ^ axis) & 0xFFFFFFFF], np.uint32))[0]) for axis in (0, 0x5BD1E995))
    rows = np.arange(top, top + height, dtype=np.int64)
    columns = np.arange(left, left + width, dtype=np.int64)
    result = np.zeros((field.shape[0], height, width), np.float32)
    for row, share_down in _places(rows, period and period[0], down, field.shape[1]):
        for column, share_across in _places(columns, period and period[1], across, field.shape[2]):
            result += field[:, row[:, None], column] * (share_down[:, None] * share_across)
    return result


def _places(
    indices: NDArray[np.int64], period: int | None, offset: int, size: int
) -> list[tuple[NDArray[np.int64], Floats]]:
    """Where on the field these rows or columns lie, and with which weights (the squares add up to 1)."""
    if not period or period % size == 0:
        return [((indices + offset) % size, np.ones(len(indices), np.float32))]
    inside = indices % period
    fade = min(FADE, period // 2)
    share = np.clip((inside - (period - fade) + 0.5) / max(1, fade), 0, 1) * np.pi / 2
    ends = ((inside, np.cos(share)), (inside - period, np.sin(share)))
    return [((place + offset) % size, weight.astype(np.float32)) for place, weight in ends]


@cache
def _quantiles() -> Floats:
    """The normal distribution cut into equally likely slices, the middle of each."""
    upper = [NormalDist().inv_cdf((i + 0.5) / _LEVELS) for i in range(_LEVELS // 2, _LEVELS)]
    return np.array([-value for value in reversed(upper)] + upper, np.float32)


def _mix(value: np.ndarray) -> np.ndarray:
    """A 32-bit integer hash of xor-shifts and odd multipliers (Wellons, "Prospecting for hash functions", 2018)."""
    value = value ^ (value >> np.uint32(16))
    value = value * np.uint32(0x7FEB352D)
    value = value ^ (value >> np.uint32(15))
    value = value * np.uint32(0x846CA68B)
    return value ^ (value >> np.uint32(16))
