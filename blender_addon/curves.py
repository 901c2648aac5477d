"""Curves as pixels, for a picture inside Blender. numpy only, no bpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
"""Display-referred, 0..1"""
GROUND, LINES = 0.1, 0.2
"""Grey of the ground, and of the lines at each quarter"""
MARGIN = 0.06
"""Share of the height that stays free above and below the curves"""
SMOOTH = 0.02
"""Share of the width over which a curve is averaged: single steps jump about."""


def drawn(
    curves: Mapping[str, Sequence[tuple[float, float]]], colours: Sequence[Colour], width: int, height: int
) -> NDArray[np.float32]:
    """(height, width, 4) RGBA, bottom row first, alpha 1: each curve of (x, y) points, x rising, in its own range.

    The x of all curves share one axis, so one that began later begins further right.
    """
    picture = np.full((height, width, 4), GROUND, np.float32)
    picture[[height * quarter // 4 for quarter in (1, 2, 3)]] = LINES
    picture[:, :, 3] = 1
    ends = [points[end][0] for points in curves.values() if points for end in (0, -1)]
    for (_, points), colour in zip(curves.items(), colours, strict=False):
        if len(points) > 1:
            picture[_line(points, min(ends), max(ends), width, height), :3] = colour
    return picture


def _line(
    points: Sequence[tuple[float, float]], first: float, last: float, width: int, height: int
) -> NDArray[np.bool_]:
    """The pixels (height, width) of one curve, at least two thick and without gaps where it is steep."""
    x, y = np.array(points, np.float64).T
    columns = np.linspace(first, max(last, first + 1e-9), width)
    inside = (columns >= x[0]) & (columns <= x[-1])
    level = _smoothed(np.interp(columns, x, y), inside, max(1, round(SMOOTH * width)))
    low, high = level[inside].min(), level[inside].max()
    rows = (MARGIN + (1 - 2 * MARGIN) * (level - low) / max(high - low, 1e-9)) * (height - 1)
    before = np.concatenate((rows[:1], rows[:-1]))
    before[~np.concatenate((inside[:1], inside[:-1]))] = rows[~np.concatenate((inside[:1], inside[:-1]))]
    row = np.arange(height)[:, None]
    pixels: NDArray[np.bool_] = (
        (row >= np.minimum(rows, before) - 1) & (row <= np.maximum(rows, before) + 1) & inside[None]
    )
    pixels[:, 1:] |= pixels[:, :-1]
    return pixels


def _smoothed(level: NDArray[np.float64], inside: NDArray[np.bool_], reach: int) -> NDArray[np.float64]:
    """Means over `reach` columns to each side, of those where the curve is."""
    kernel = np.ones(2 * reach + 1)
    count = np.convolve(inside.astype(float), kernel, "same")
    return np.convolve(np.where(inside, level, 0), kernel, "same") / np.maximum(count, 1)
