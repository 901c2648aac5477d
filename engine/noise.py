"""The noise a style paints with: a function of the place and the seed, never of the tile.

Any window can be made alone, in any order, and it wraps where the picture wraps. Plain noise is counter-based: every
value is a hash of (row, column, channel, seed). A stroke field is a table that a style brings: noise in which the
strokes of its painting run; the seed says where on the table a picture begins.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np

from .picture import Floats

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

    Arguments as those of `normal`.
    """
    rows = np.arange(top, top + height, dtype=np.int64)
    columns = np.arange(left, left + width, dtype=np.int64)
    if period:
        rows, columns = rows % period[0], columns % period[1]
    down, across = (int(_mix(np.array([(seed ^ axis) & 0xFFFFFFFF], np.uint32))[0]) for axis in (0, 0x5BD1E995))
    rows, columns = (rows + down) % field.shape[1], (columns + across) % field.shape[2]
    return np.ascontiguousarray(field[:, rows[:, None], columns])


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
