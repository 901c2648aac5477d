"""Colours that go on where there are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..picture import Floats


def gone_on(pixels: Floats, known: NDArray[np.bool_]) -> Floats:
    """(H, W, C): where pixels are not known (H, W), those around, the further away the smoother; 0 where none is known.

    Pull and push (Gortler et al., "The Lumigraph", 1996, section 4.2): means of what is known over 2 x 2 pixels, over
    4 x 4 and so on, and back, to where nothing finer is known.
    """
    share = known.astype(np.float32)[..., None]
    return np.where(known[..., None], pixels, _filled(np.where(share > 0, pixels, 0).astype(np.float32), share))


def _filled(pixels: Floats, share: Floats) -> Floats:
    """pixels (h, w, C) times share (h, w, 1) 0..1 -> without a gap, not times it"""
    height, width = pixels.shape[:2]
    own = pixels / np.maximum(share, np.float32(1e-6))
    if share.all() or height * width == 1:
        return np.asarray(own, np.float32)
    around = _doubled(_filled(_halved(pixels), _halved(share)), height, width)
    weight = np.minimum(share * 4, np.float32(1))  # as soon as a quarter is known that counts
    return np.asarray(own * weight + around * (1 - weight), np.float32)


def _halved(planes: Floats) -> Floats:
    """Means over 2 x 2; the last row and column twice where they are odd"""
    wide = np.pad(planes, ((0, planes.shape[0] % 2), (0, planes.shape[1] % 2), (0, 0)), "edge")
    return np.asarray((wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]) / np.float32(4))


def _doubled(planes: Floats, height: int, width: int) -> Floats:
    """Along straight lines between the middles of pixels"""
    for axis, size in ((0, height), (1, width)):
        lines = np.moveaxis(planes, axis, 0)
        wide = np.concatenate([lines[:1], lines, lines[-1:]])
        low, high = (wide[:-1] + 3 * wide[1:]) / 4, (3 * wide[:-1] + wide[1:]) / 4
        both = np.stack([low[:-1], high[1:]], axis=1).reshape(2 * len(lines), *lines.shape[1:])
        planes = np.moveaxis(both[:size], 0, axis)
    return np.asarray(planes, np.float32)
