"""How objects moved from one frame to the next: read off Vector, which says where each pixel was, and Position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..motion import Motion, bilinear
from .surfaces import FAR, Surfaces, apply

FEWEST = 30
"""Pixels of an object in both frames by which its move can be told"""
MOST = 6000
ROUNDS = 6
STRAY = 2.5
"""Times the median distance from which on a pixel is left out: silhouettes, and interpolation across folds"""
STILL = 0.02
"""Pixels that an object may seem to have moved while it stands still: what is left of a file's rounding"""
RIGID = 0.3
"""Pixels by which the median pixel of an object may be off its move. With more, it deforms"""


@dataclass(frozen=True, eq=False)
class Move:
    """Of one object, from a frame to the one before."""

    matrix: NDArray[np.float64] | None
    """(3, 4), metres; None: it stood still"""
    rigid: bool
    """Turned and shifted; False: it also changed its form, and the matrix is what comes nearest"""


def moves(before: Surfaces, now: Surfaces, way: Motion) -> dict[int, Move]:
    """Of every object that both frames show well enough. way: from `now` back to `before`."""
    rows, columns = np.nonzero(way.visible & (now.objects > FAR))
    objects = now.objects[rows, columns]
    order = np.argsort(objects, kind="stable")
    things, starts = np.unique(objects[order], return_index=True)
    return {
        int(thing): _move(before, now, way, rows[pixels], columns[pixels])
        for thing, pixels in zip(things, np.split(order, starts[1:]), strict=True)
        if len(pixels) >= FEWEST
    }


def _move(before: Surfaces, now: Surfaces, way: Motion, rows: NDArray, columns: NDArray) -> Move:
    if len(rows) > MOST:
        some = np.random.default_rng(0).permutation(len(rows))[:MOST]
        rows, columns = rows[some], columns[some]
    here = now.position[:, rows, columns].astype(np.float64)
    there = bilinear(before.position, way.rows[rows, columns], way.columns[rows, columns]).astype(np.float64)
    pixel = float(np.median(now.pixel_size[rows, columns]))
    matrix, off = _fitted(here, there)
    went = float(np.sqrt(np.square(apply(matrix, here) - here).sum(axis=0).mean()))
    rigid = off < RIGID * pixel
    return Move(None if rigid and went < STILL * pixel else matrix, rigid)


def _fitted(here: NDArray, there: NDArray) -> tuple[NDArray, float]:
    """The rigid move with the least squares, again without the strays; and the median distance that is left."""
    good = np.ones(here.shape[1], bool)
    matrix, off = np.eye(3, 4), np.zeros(here.shape[1])
    for _ in range(ROUNDS):
        matrix = _rigid(here[:, good], there[:, good])
        off = np.sqrt(np.square(apply(matrix, here) - there).sum(axis=0))
        nearer = off <= max(STRAY * float(np.median(off[good])), float(np.sort(off)[min(FEWEST, len(off)) - 1]))
        if (nearer == good).all():
            break
        good = nearer
    return matrix, float(np.median(off))


def _rigid(here: NDArray, there: NDArray) -> NDArray:
    """Kabsch, "A solution for the best rotation to relate two sets of vectors", 1976."""
    from_, to = here.mean(axis=1, keepdims=True), there.mean(axis=1, keepdims=True)
    left, _, right = np.linalg.svd((here - from_) @ (there - to).T)
    mirrored = np.sign(np.linalg.det(right.T @ left.T)) or 1.0
    turn = right.T @ np.diag([1.0, 1.0, mirrored]) @ left.T
    return np.hstack([turn, to - turn @ from_])
