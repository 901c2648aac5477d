"""Where things end in front of others, and how far strokes reach across."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..forms import blurred
from ..picture import Floats

CLEAR = 8.0
"""Pixels, times the stroke size, from a silhouette, beyond which strokes are of one surface alone"""
SOFT = 0.6
"""Deviation in pixels, times the stroke size, by which silhouettes are softened: about as soft as styles paint them"""
_SIDES = (slice(None, -1), slice(1, None))


def clearness(objects: NDArray, stroke: float) -> Floats:
    """(H, W): 1 where the strokes of a frame are of one surface alone, 0 on silhouettes."""
    return cleared(silhouettes(objects), stroke)


def cleared(rim: NDArray[np.bool_], stroke: float) -> Floats:
    """(H, W): 0 on a rim (H, W), and up to 1 away from it."""
    far = round(CLEAR * stroke)
    clear = np.ones(rim.shape, np.float32)
    for ring in range(far):
        clear[rim & (clear == 1)] = ring / far
        rim = wider(rim)
    return clear


def silhouettes(objects: NDArray, depth: Floats | None = None) -> NDArray[np.bool_]:
    """(H, W): pixels beside another object; with a depth only those of the nearer one."""
    rim = np.zeros(objects.shape, bool)
    for axis in (0, 1):
        first, second = (tuple(side if a == axis else slice(None) for a in (0, 1)) for side in _SIDES)
        edge = objects[first] != objects[second]
        nearer = None if depth is None else depth[first] <= depth[second]
        rim[first] |= edge if nearer is None else edge & nearer
        rim[second] |= edge if nearer is None else edge & ~nearer
    return rim


def wider(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    wide = np.pad(mask, 1)
    return wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]


def soften(result: Floats, objects: NDArray, depth: Floats, stroke: float) -> None:
    """Silhouettes without steps, in place: things that hold their strokes are cut out by the pixel. Only the pixels of
    the nearer thing change: what lies behind stays as it is while things pass before it."""
    rim = silhouettes(objects, depth)
    soft = blurred(blurred(result, SOFT * stroke, 1), SOFT * stroke, 2)
    result[:, rim] = soft[:, rim]
