"""Light that has changed since strokes were painted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..picture import Floats
from .camera import turned
from .coarse import enlarged, smooth, step

LIGHT = 4.0
"""Pixels, times the stroke size: light that changes within less counts as grain of the render"""
TONES = 4.0
"""The same, over which a style's answer to colours is measured"""
RIDGE = 1e-3
"""Keeps the answer to colours that an anchor hardly shows at bay"""
USUAL = (0.05, 0.1)
"""Display values: up to the first a place is in its usual light, beyond the second it is not"""


def answer_to_light(picture: Floats, painted: Floats, stroke: float) -> Floats:
    """(3, 3): what becomes of a small change of colour; the linear part of the best affine map from what a style saw to
    what it painted, both (3, H, W) and both without strokes."""
    seen, answered = (smooth(planes, TONES * stroke).reshape(3, -1) for planes in (picture, painted))
    ones = np.vstack([seen, np.ones((1, seen.shape[1]), np.float32)]).astype(np.float64)
    # summed plane by plane, in the same order on every processor (see camera.turned)
    both = [[float((mine * other).sum()) for other in (*ones, *answered)] for mine in ones]
    known, wanted = np.split(np.array(both), [4], axis=1)
    ridge = RIDGE * seen.shape[1] * np.diag([1.0, 1.0, 1.0, 0.0])
    return np.asarray(np.linalg.solve(known + ridge, wanted).T[:, :3], np.float32)


def lit_change(change: Floats, found: NDArray[np.bool_], answer: Floats, stroke: float) -> Floats:
    """(3, H, W): how a painting changes as its picture has changed (3, H, W), in more than its grain. found: (H, W),
    where that is known."""
    light, share = (
        smooth(planes, LIGHT * stroke) for planes in (np.where(found, change, 0), found[None].astype(np.float32))
    )
    answered = turned(answer, light / np.maximum(share, np.float32(0.05)))
    return enlarged(answered.astype(np.float32), found.shape)


def unusual(lights: Sequence[Floats]) -> Floats:
    """(h, w): 0 where the first of them shows a place in its usual light, 1 where a shadow or a highlight just lies
    there. lights: (3, h, w) each: a place as some frames show it, NaN where one does not.

    Usual is the median; that of two says nothing."""
    seen = np.stack(lights)
    known = np.isfinite(seen[:, 0]).sum(axis=0) > 2
    away = np.abs(seen[0] - np.nanmedian(seen, axis=0)).mean(axis=0)
    return step(np.where(known, away, 0), *USUAL)
