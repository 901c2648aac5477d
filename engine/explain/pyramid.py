"""Blurring by halving and doubling (Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code", 1983)."""

from __future__ import annotations

import numpy as np

from ..canvas import mirrored
from ..picture import Floats

_KERNEL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def blurred(planes: Floats, levels: int, wrap: bool = False) -> Floats:
    """Planes (C, h, w) without what is finer than about 2^levels pixels, same size. wrap: the picture is tileable."""
    sizes = []
    small = planes
    for _ in range(levels):
        if max(small.shape[1:]) <= 1:
            break
        sizes.append(small.shape[1:])
        small = _halved(_halved(small, 1, wrap), 2, wrap)
    for height, width in reversed(sizes):
        small = _doubled(_doubled(small, 1, height, wrap), 2, width, wrap)
    return small


def _halved(planes: Floats, axis: int, wrap: bool) -> Floats:
    size = planes.shape[axis]
    places = np.arange(0, size, 2)
    total = np.zeros_like(np.take(planes, places, axis=axis))
    for offset, weight in zip(range(-2, 3), _KERNEL, strict=True):
        total += weight * np.take(planes, mirrored(places + offset, size, wrap), axis=axis)
    return total


def _doubled(planes: Floats, axis: int, size: int, wrap: bool) -> Floats:
    """Even places take 1/8, 6/8, 1/8 of their neighbours, odd ones 1/2, 1/2: the kernel again, times two."""
    small = planes.shape[axis]
    even, odd = np.arange(0, size, 2) // 2, np.arange(1, size, 2) // 2
    result = np.empty([size if i == axis else n for i, n in enumerate(planes.shape)], np.float32)
    before, after = mirrored(even - 1, small, wrap), mirrored(even + 1, small, wrap)
    sides = np.take(planes, before, axis=axis) + np.take(planes, after, axis=axis)
    _along(result, axis, slice(0, None, 2))[...] = 0.125 * sides + 0.75 * np.take(planes, even, axis=axis)
    right = np.take(planes, mirrored(odd + 1, small, wrap), axis=axis)
    _along(result, axis, slice(1, None, 2))[...] = 0.5 * (np.take(planes, odd, axis=axis) + right)
    return result


def _along(planes: Floats, axis: int, part: slice) -> Floats:
    return planes[:, part] if axis == 1 else planes[:, :, part]
