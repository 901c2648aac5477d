"""What comes into view, from behind a thing or at a border of the frame: it is painted as a part of what is there.

Beside it lie strokes that were painted before. New ones go on from them if their noise does, and if the style sees more
of what they belong to than of the thing that they come forth from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..motion import Ways
from ..noise import Moved
from ..picture import Floats
from .silhouettes import silhouettes
from .surfaces import Places

STRETCHED = 2.5
"""Times by which the strokes of a place may have become larger or smaller for new ones to go on from them"""
NEAR = 64
"""Pixels over which new strokes go on from those beside them: further, and nobody sees where those ended"""
BEYOND = 4
"""Pixels, times the stroke size, by which what comes into view is made to go on beyond its silhouettes"""


def moved_on(moved: Moved, way: Ways, objects: NDArray[np.int64]) -> Moved:
    """To the next frame. What comes into view has moved as what it belongs to has moved beside it."""
    here = np.indices(way.size, np.float32)
    places = np.zeros_like(here)
    for corner, weight in zip(way.corners, way.weights, strict=True):
        was = np.stack(np.divmod(corner, way.size[1])) + moved.steps.reshape(2, -1)[:, corner]
        places += (was * weight).astype(np.float32)
    most, least = Places(places[0], places[1], way.visible).scales(objects)
    with np.errstate(invalid="ignore"):
        known = way.visible & ~silhouettes(objects) & ~((most > STRETCHED) | (least < 1 / STRETCHED))
    return Moved(grown(places - here, known, objects))


def grown(steps: Floats, known: NDArray[np.bool_], objects: NDArray[np.int64]) -> Floats:
    """(2, H, W): what is known, and near it on the same object what is nearest; else what most is, or 0."""
    if not known.any():
        return np.zeros_like(steps)
    flat, there, ids = steps.reshape(2, -1).copy(), known.ravel().copy(), objects.ravel()
    beside = np.flatnonzero(~there)
    flat[:, beside] = np.median(flat[:, there], axis=1)[:, None]
    for _ in range(NEAR):
        around = _beside(beside, known.shape)
        good = there[around] & (ids[around] == ids[beside])
        reached = good.any(axis=0)
        edge = beside[reached]
        flat[:, edge] = _mean(flat, around[:, reached], good[:, reached])
        there[edge] = True
        beside = np.unique(_beside(edge, known.shape))
        beside = beside[~there[beside]]
    return flat.reshape(steps.shape)


def revealed(picture: Floats, new: NDArray[np.bool_], objects: NDArray[np.int64], stroke: float) -> Floats:
    """The picture as if what comes into view went on a little beyond its silhouettes. Strokes are painted in view of
    what lies around: they would keep the colours of the thing that is passing by for good. What is painted over here
    was in view before, so hardly anything of it is painted anew."""
    flat, ids, fresh = picture.reshape(3, -1).copy(), objects.ravel(), new.ravel()
    shown = np.where(fresh & ~silhouettes(objects).ravel(), ids, -1)  # a pixel of a silhouette is a mixture
    edge = np.flatnonzero(shown >= 0)
    for _ in range(round(BEYOND * stroke)):
        beside = np.unique(_beside(edge, objects.shape))
        beside = beside[shown[beside] < 0]
        around = _beside(beside, objects.shape)
        good = (shown[around] >= 0) & ((shown[around] == ids[beside]) == fresh[beside])
        reached = good.any(axis=0)
        edge, around, good = beside[reached], around[:, reached], good[:, reached]
        flat[:, edge] = _mean(flat, around, good)
        shown[edge] = np.where(good, shown[around], -1).max(axis=0)
    return flat.reshape(picture.shape)


def _beside(places: NDArray[np.intp], size: tuple[int, ...]) -> NDArray[np.intp]:
    """(4, N): the pixels beside those at `places`, all counted row by row; at the border of the frame itself."""
    height, width = size
    y, x = np.divmod(places, width)
    rows = [np.clip(y + step, 0, height - 1) * width + x for step in (-1, 1)]
    columns = [y * width + np.clip(x + step, 0, width - 1) for step in (-1, 1)]
    return np.stack(rows + columns)


def _mean(flat: Floats, around: NDArray[np.intp], good: NDArray[np.bool_]) -> Floats:
    """(C, N) of planes (C, H * W), over those of the pixels `around` that are good, (4, N) each."""
    return np.asarray((flat[:, around] * good).sum(axis=1) / good.sum(axis=0), np.float32)
