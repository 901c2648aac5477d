"""Planes that change little from one pixel to the next: a value for every few pixels says as much, and costs less."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..forms import blurred
from ..motion import bilinear
from ..picture import Floats

COARSE = 4
"""Pixels to a value, along each axis"""


def smooth(planes: Floats, deviation: float) -> Floats:
    """(C, h, w) of planes (C, H, W): without what is finer than so many pixels."""
    small = reduced(planes)
    return blurred(blurred(small, deviation / COARSE, 1), deviation / COARSE, 2)


def at(small: Floats, rows: Floats, columns: Floats) -> Floats:
    """(C, ...) of coarse planes (C, h, w), at places of the whole."""
    places = ((place + np.float32(0.5)) / COARSE - np.float32(0.5) for place in (rows, columns))
    inside = (np.clip(place, 0, size - 1) for place, size in zip(places, small.shape[1:], strict=True))
    return bilinear(small, *inside)


def reduced(planes: Floats) -> Floats:
    """Means over squares of COARSE pixels; borders are repeated."""
    _, height, width = planes.shape
    wide = np.pad(planes, ((0, 0), (0, -height % COARSE), (0, -width % COARSE)), "edge")
    return wide.reshape(len(planes), wide.shape[1] // COARSE, COARSE, -1, COARSE).mean(axis=(2, 4), dtype=np.float32)


def enlarged(planes: Floats, size: Sequence[int]) -> Floats:
    """Back from COARSE, along straight lines."""
    for axis in (1, 2):
        places_ = (np.arange(size[axis - 1], dtype=np.float32) + 0.5) / COARSE - 0.5
        low = np.clip(np.floor(places_).astype(np.intp), 0, planes.shape[axis] - 1)
        high = np.minimum(low + 1, planes.shape[axis] - 1)
        part = np.clip(places_ - low, 0, 1)
        part = part[:, None] if axis == 1 else part
        planes = np.take(planes, low, axis) * (1 - part) + np.take(planes, high, axis) * part
    return np.asarray(planes, np.float32)


def step(values: Floats, low: float, high: float) -> Floats:
    """0 up to low, 1 from high on, smooth between"""
    x = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1).astype(np.float32)
    return np.asarray(x * x * (3 - 2 * x))
