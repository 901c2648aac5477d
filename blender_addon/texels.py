"""What a texture's pixels tell of how it is used: does it repeat, and which of them does no surface show? numpy only.

Called in threads: nothing of Blender's in here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
"""Rows averaged, of a picture of 512; more of a larger one, whose borders a program may have softened when it was made
larger. Grain drowns a seam from row to row, not from block to block"""
SAMPLES = 1024
"""Places along a seam that are looked at"""
EVEN = 0.002
"""Steps below half a byte: no seam"""
COVERAGE = 2048
"""Longest edge of the grid on which UV maps are laid out"""
LARGE = 32
"""Steps of the grid: larger triangles are filled one by one, smaller ones by points, many at once"""


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
    unit = max(round(height / 512), 1)
    return all(_stands_out(first, last, unit * count) <= STANDS_OUT for count in BLOCKS)


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


# ---------------------------------------------------------------- how it lies on surfaces


@dataclass(frozen=True, eq=False)
class Faces:
    """Those of a mesh that show a texture, as Blender tells of them at once: reading triangles takes it much longer."""

    starts: NDArray[np.int32]
    """(F,) of each face its first corner; its others follow"""
    places: Floats
    """(L, 2) UV coordinates of all corners"""
    shown: Mask
    """(F,) faces with the texture"""
    cut: NDArray[np.int32] | None
    """(T, 4) corners of each triangle, and its face; None where no face has more than four corners"""

    @property
    def triangles(self) -> Floats:
        """(n, 3, 2)"""
        cut = self._fans() if self.cut is None else self.cut
        found: Floats = self.places[cut[self.shown[cut[:, 3]], :3]]
        return found

    @property
    def count(self) -> int:
        """Of triangles"""
        return int((corners_of(self.starts, len(self.places)) - 2)[self.shown].sum())

    def _fans(self) -> NDArray[np.int32]:
        """Every face as triangles around its first corner: what four corners cover, unless they are dented."""
        sides, faces = corners_of(self.starts, len(self.places)), np.arange(len(self.starts), dtype=np.int32)
        parts = []
        for more in range(2, int(sides.max(initial=0))):
            first, face = self.starts[sides > more], faces[sides > more]
            parts.append(np.stack((first, first + (more - 1), first + more, face), 1))
        return np.concatenate(parts) if parts else np.empty((0, 4), np.int32)


def corners_of(starts: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """(F,) how many corners each face has, of `count` in all"""
    return np.diff(starts, append=np.int32(count)).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Islands:
    """Where surfaces show a texture."""

    faces: tuple[Faces, ...] | None
    """None: nobody knows"""
    tile: tuple[int, int] | None = None
    """Only those that lie on this tile of a UDIM image: u and v of its lower left corner"""

    def on_tile(self, u: int, v: int) -> Islands:
        return replace(self, tile=(u, v))

    @property
    def triangles(self) -> Floats | None:
        """(n, 3, 2) UV coordinates, from the lower left corner of the tile"""
        if self.faces is None:
            return None
        empty = np.empty((0, 3, 2), np.float32)
        found: Floats = np.concatenate([empty, *(faces.triangles for faces in self.faces)])
        if self.tile is None:
            return found
        there = (np.floor(found.mean(axis=1)) == self.tile).all(axis=1)
        return found[there] - np.array(self.tile, np.float32)


# ---------------------------------------------------------------- what no surface shows


def outside(rows: Floats, triangles: Floats | None) -> Mask | None:
    """Texels around the islands of a baked texture, (H, W); None where there are none.

    rows: (H, W, C) as Blender keeps them, bottom row first; so is the mask. triangles: (n, 3, 2) UV coordinates of all
    faces that show the texture; None: unknown. Fully transparent texels are outside. So are those that no face covers
    and that have the one colour of most of them: the background. Any other colour there is a margin that was baked.
    """
    empty = rows[..., 3] == 0 if rows.shape[2] == 4 else np.zeros(rows.shape[:2], bool)
    if triangles is not None and not (free := ~covered(triangles, rows.shape[:2])).any():
        triangles = None  # all is covered, as by a texture that repeats
    if triangles is not None:
        empty |= _background(rows, free)
    return empty if empty.any() and not empty.all() else None


def _background(rows: Floats, free: Mask) -> Mask:
    """Those of the free texels that have the colour of at least half of a sample of them"""
    places = np.flatnonzero(free)
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
    corners = (triangles * np.array((width, height), np.float32)).astype(np.float32)
    sides = (corners.max(axis=1) - corners.min(axis=1)).max(axis=1)
    for triangle in corners[sides > LARGE]:
        _fill(mask, triangle)
    steps = (2 ** np.ceil(np.log2(np.maximum(2 * sides, 1)))).astype(int)
    for count in np.unique(steps[sides <= LARGE]):
        _touch(mask, corners[(steps == count) & (sides <= LARGE)], int(count))
    if (height, width) == tuple(size[:2]) or mask.all():
        return mask if (height, width) == tuple(size[:2]) else np.ones(size[:2], bool)
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


def _fill(mask: Mask, corners: Floats) -> None:
    """Marks a triangle (3, 2), in texels: row by row from its left to its right edge."""
    height, width = mask.shape
    # What a triangle has beyond so many repeats would take its time and mark nothing new.
    low, high = np.floor(corners[:, 1].min()), np.floor(corners[:, 1].max())
    rows = np.arange(low, min(high, low + height - 1) + 1)
    spans = [_crossed(corners[one], corners[other], rows) for one, other in ((0, 1), (1, 2), (2, 0))]
    left = np.floor(np.nanmin([span[0] for span in spans], axis=0)).astype(int)
    right = np.floor(np.nanmax([span[1] for span in spans], axis=0)).astype(int)
    for row, first, last in zip(rows.astype(int) % height, left, right, strict=True):
        _mark(mask[row], int(first), int(last) + 1, width)


def _crossed(one: Floats, other: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """The least and the greatest x of an edge within each row of texels; NaN where it does not come."""
    bottom, top = (one, other) if one[1] <= other[1] else (other, one)
    low, high = np.maximum(rows, bottom[1]), np.minimum(rows + 1, top[1])
    slope = (top[0] - bottom[0]) / max(float(top[1] - bottom[1]), 1e-9)
    if top[1] - bottom[1] < 1e-6:  # level: all of it lies in one row
        first, last = np.full_like(low, min(one[0], other[0])), np.full_like(low, max(one[0], other[0]))
    else:
        ends = bottom[0] + slope * (low - bottom[1]), bottom[0] + slope * (high - bottom[1])
        first, last = np.minimum(*ends), np.maximum(*ends)
    away = low > high
    return np.where(away, np.nan, first), np.where(away, np.nan, last)


def _mark(row: Mask, first: int, end: int, width: int) -> None:
    """Texels first .. end of a row that repeats"""
    if end - first >= width:
        row[:] = True
        return
    first, end = first % width, first % width + end - first
    row[first : min(end, width)] = True
    row[: max(end - width, 0)] = True
