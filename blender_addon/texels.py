"""What a texture's pixels tell of how it is used: does it repeat, and which of them does no surface show? numpy only.

Called in threads: nothing of Blender's in here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

SHARE = 0.125
"""Of the picture, at each border, whose steps the seam is held against"""
STANDS_OUT = 1.2
"""Times the largest step beside it. Of 64 tileable textures one seam is above it (a knit, which repeats off the grid),
of 150 paintings and renders two are below (Mondrian's and Hokusai's even edges); the test measures both."""
BLOCKS = (1, 2, 4)
"""Rows averaged: grain drowns a seam from row to row, not from block to block"""
SAMPLES = 1024
"""Places along a seam that are looked at"""
EVEN = 0.002
"""Steps below half a byte: no seam"""
COVERAGE = 2048
"""Longest edge of the grid on which UV maps are laid out"""


def wraps(rows: Floats) -> bool:
    """Does a picture (H, W, C) of display-referred values go on over all of its borders?

    Where the last row meets the first, it may step no more than rows near the borders do; columns likewise. A picture
    that is even along its borders says nothing: it counts as one that ends there.
    """
    if min(rows.shape[:2]) < 16:
        return False
    return all(_closes(picture) for picture in (rows, rows.transpose(1, 0, 2)))


def _closes(rows: Floats) -> bool:
    """The last row against the first"""
    height, width = rows.shape[:2]
    band = max(int(height * SHARE), 9)
    part = slice(None, None, max(width // SAMPLES, 1))
    first, last = (np.clip(rows[side, part, :3], 0, 1) for side in (slice(0, band), slice(height - band, height)))
    if max(float(first[0].std(axis=0).max()), float(last[-1].std(axis=0).max())) < EVEN:
        return False
    return all(_stands_out(first, last, count) <= STANDS_OUT for count in BLOCKS)


def _stands_out(first: Floats, last: Floats, count: int) -> float:
    """The step over the seam, in largest steps near it; of averages of `count` rows."""
    blocks = len(first) // count
    begin = first[: blocks * count].reshape(blocks, count, *first.shape[1:]).mean(axis=1)
    end = last[len(last) - blocks * count :].reshape(blocks, count, *last.shape[1:]).mean(axis=1)
    largest = max(float(_steps(np.diff(side, axis=0)).max()) for side in (begin, end))
    return float(_steps((begin[0] - end[-1])[None])[0]) / max(largest, EVEN)


def _steps(differences: Floats) -> Floats:
    """Root mean square of each row"""
    result: Floats = np.sqrt((differences**2).mean(axis=(1, 2)))
    return result


# ---------------------------------------------------------------- what no surface shows


def outside(rows: Floats, triangles: Floats | None) -> Mask | None:
    """Texels around the islands of a baked texture, (H, W); None where there are none.

    rows: (H, W, C) as Blender keeps them, bottom row first; so is the mask. triangles: (n, 3, 2) UV coordinates of all
    faces that show the texture; None: unknown. Fully transparent texels are outside. So are those that no face covers
    and that have the one colour of most of them: the background. Any other colour there is a margin that was baked.
    """
    empty = rows[..., 3] == 0 if rows.shape[2] == 4 else np.zeros(rows.shape[:2], bool)
    if triangles is not None:
        empty |= _background(rows, ~covered(triangles, rows.shape[:2]))
    return empty if empty.any() and not empty.all() else None


def _background(rows: Floats, free: Mask) -> Mask:
    """Those of the free texels that have the colour of at least half of a sample of them"""
    places = np.flatnonzero(free)
    if not places.size:
        return free
    flat = rows.reshape(-1, rows.shape[2])
    some = flat[places[:: max(places.size // 4096, 1)]]
    colours, counts = np.unique(some, axis=0, return_counts=True)
    if counts.max() * 2 < len(some):
        return np.zeros_like(free)
    found: Mask = free & (rows == colours[counts.argmax()]).all(axis=2)
    return found


def covered(triangles: Floats, size: tuple[int, ...]) -> Mask:
    """(H, W), bottom row first: texels that a triangle touches. UV coordinates beyond 0..1 come in again at the other
    side, as textures repeat. On a grid of at most COVERAGE, so up to a few texels too many on large ones."""
    shrink = min(1.0, COVERAGE / max(size))
    height, width = (max(round(edge * shrink), 1) for edge in size[:2])
    mask = np.zeros((height, width), bool)
    corners = triangles * np.array((width, height), np.float32)
    sides = np.abs(corners - np.roll(corners, 1, axis=1)).max(axis=(1, 2))
    steps = np.clip(2 ** np.ceil(np.log2(np.maximum(2 * sides, 1))), 1, 4 * COVERAGE).astype(int)
    for count in np.unique(steps):
        _touch(mask, corners[steps == count], int(count))
    if (height, width) == tuple(size[:2]):
        return mask
    rows, columns = (np.arange(edge) * small // edge for edge, small in zip(size, (height, width), strict=False))
    return mask[rows[:, None], columns[None, :]]


def _touch(mask: Mask, corners: Floats, count: int) -> None:
    """Marks points of triangles (n, 3, 2), in texels, at most half a texel apart: `count` steps along each side."""
    height, width = mask.shape
    a, b = (part.ravel().astype(np.float32) / count for part in np.mgrid[0 : count + 1, 0 : count + 1])
    inside = a + b <= 1 + 1e-6
    weights = np.stack((1 - a - b, a, b), 1)[inside]
    each = max(2_000_000 // len(weights), 1)
    for first in range(0, len(corners), each):
        places = np.floor(np.einsum("pc,ncx->npx", weights, corners[first : first + each])).astype(int)
        mask[places[..., 1] % height, places[..., 0] % width] = True
