"""Which place of a surface each texel shows, and the margin around what they show."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import explain, shown
from ..errors import EngineError
from ..picture import Floats
from ..protocol import MeshBlock

MOST_LAYERS = 16
"""Times that a mesh may cover its texture: beyond, its UV are made for tiling"""
_AT_ONCE = 1 << 21
"""Texels that are laid out together"""
SAME = 2.0
"""Texels apart on the surface up to which two places on one texel are one: triangles share their edges"""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, corner by corner."""

    positions: Floats
    """(T, 3, 3): triangle, corner, xyz in metres in the world"""
    normals: Floats
    """(T, 3, 3): of the shading, in the world"""
    uv: Floats
    """(T, 3, 2): v goes up; beyond 0..1 the texture repeats"""


@dataclass(frozen=True, eq=False)
class Texels:
    """What lies on the texels of a texture: one entry for each texel and surface on it."""

    size: tuple[int, int]
    """height, width of the texture"""
    index: NDArray[np.int64]
    """(N,): row * width + column, row 0 at the top"""
    positions: Floats
    """(3, N) metres"""
    normals: Floats
    """(3, N), length 1"""
    edge: Floats
    """(N,): metres that a texel is wide on the surface"""

    def __len__(self) -> int:
        return len(self.index)

    def only(self, some: NDArray) -> Texels:
        """Those entries."""
        kept = self.index[some], self.positions[:, some], self.normals[:, some], self.edge[some]
        return Texels(self.size, *kept)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(H, W)"""
        flat = np.zeros(self.size[0] * self.size[1], bool)
        flat[self.index] = True
        return flat.reshape(self.size)

    def shared(self) -> NDArray[np.int64]:
        """Of the entries whose texel has others, too: where they are, by texel."""
        counts = np.bincount(self.index, minlength=1)
        several = np.flatnonzero(counts[self.index] > 1)
        return several[np.argsort(self.index[several], kind="stable")]

    def overlapping(self) -> NDArray[np.int64]:
        """The texels on which places lie that are not the same."""
        several = self.shared()
        if not len(several):
            return several
        texels, first = np.unique(self.index[several], return_index=True)
        points = self.positions[:, several]
        spread = np.maximum.reduceat(points, first, axis=1) - np.minimum.reduceat(points, first, axis=1)
        apart = np.sqrt(np.square(spread).sum(axis=0))
        return np.asarray(texels[apart > SAME * np.maximum.reduceat(self.edge[several], first)])


def read_mesh(block: MeshBlock) -> Mesh:
    """The mesh beside a message. Raises EngineError where it is none, or empty."""
    try:
        stored = np.fromfile(block.path, np.float32)
    except OSError as error:
        raise explain(error, block.path, "read") from error
    if not block.triangles or stored.size != block.triangles * 24:
        raise EngineError(
            f"There is no mesh in {shown(Path(block.path))}.", "Choose an object with faces, and start again."
        )
    corners = stored.reshape(block.triangles, 3, 8)
    if not np.isfinite(corners).all():
        raise EngineError("The mesh has corners that are nowhere.", "Clean it up: Mesh > Clean Up, and start again.")
    return Mesh(corners[..., :3], corners[..., 3:6], corners[..., 6:])


def laid_out(mesh: Mesh, size: tuple[int, int]) -> Texels:
    """The texels of a texture (height, width) whose middles lie in a triangle, row by row of each triangle.

    Raises EngineError where the UV cover the texture so often that they must be made for tiling, or nowhere."""
    height, width = size
    corners = mesh.uv.astype(np.float64) * [width, -height] + [-0.5, height - 0.5]
    # where the texture repeats, a triangle may lie anywhere: near 0 nothing is lost to rounding
    corners -= np.floor(corners.min(axis=1, keepdims=True) / [width, height]) * [width, height]
    _check_layers(corners, height * width)
    area, steep = _gradients(corners)
    triangles, rows, starts, counts = _spans(corners, area)
    parts = [
        _filled(mesh, corners, steep, size, triangles[some], rows[some], starts[some], counts[some])
        for some in _portions(counts)
    ]
    if not parts:
        raise EngineError(
            "The UV map covers none of the texture.", "Unwrap the mesh (UV > Unwrap), or switch New UV Map on."
        )
    edge = _edges(mesh, area)
    index, positions, normals, whose = (np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True))
    return Texels(size, index, positions, normals, edge[whose])


def _check_layers(corners: NDArray[np.float64], texels: int) -> None:
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    covered = float(np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).sum()) / 2
    if covered > MOST_LAYERS * texels:
        raise EngineError(
            f"The UV map covers the texture {covered / texels:.0f} times, so that each texel stands for many places.",
            "Switch New UV Map on: then every place has texels of its own.",
        )


def _gradients(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Twice the signed area (T,) of triangles (T, 3, 2) in texels, and how the share of each corner changes by a column
    and by a row, (T, 3, 2)."""
    x, y = corners[..., 0], corners[..., 1]
    following, last = [1, 2, 0], [2, 0, 1]
    steps = np.stack([y[:, following] - y[:, last], x[:, last] - x[:, following]], axis=2)
    area = (steps[..., 0] * x).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return area, np.nan_to_num(steps / area[:, None, None], posinf=0, neginf=0)


def _spans(
    corners: NDArray[np.float64], area: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The rows of triangles: whose, which, the first column and how many, (S,) each."""
    low, high = np.ceil(corners[..., 1].min(axis=1)), np.floor(corners[..., 1].max(axis=1))
    counts = np.where(area != 0, np.maximum(high - low + 1, 0), 0).astype(np.int64)
    triangles = np.repeat(np.arange(len(corners)), counts)
    rows = low.astype(np.int64)[triangles] + _counted(counts)
    left, right = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    for corner in range(3):
        start, end = corners[triangles, corner], corners[triangles, (corner + 1) % 3]
        crosses = (np.minimum(start[:, 1], end[:, 1]) <= rows) & (rows <= np.maximum(start[:, 1], end[:, 1]))
        rise = end[:, 1] - start[:, 1]
        flat = rise == 0
        share = np.where(flat, 0, (rows - start[:, 1]) / np.where(flat, 1, rise))
        at = start[:, 0] + share * (end[:, 0] - start[:, 0])
        others = np.where(flat, end[:, 0], at)
        left = np.where(crosses, np.minimum(left, np.minimum(at, others)), left)
        right = np.where(crosses, np.maximum(right, np.maximum(at, others)), right)
    found = left <= right
    triangles, rows, left, right = triangles[found], rows[found], left[found], right[found]
    starts = np.ceil(left).astype(np.int64)
    return triangles, rows, starts, np.maximum(np.floor(right).astype(np.int64) - starts + 1, 0)


def _counted(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 .. n - 1 for each of the counts n, one after the other"""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)


def _portions(counts: NDArray[np.int64]) -> list[slice]:
    """Spans that are laid out together"""
    ends = np.cumsum(counts)
    if not len(ends) or not ends[-1]:
        return []
    cuts = np.searchsorted(ends, np.arange(_AT_ONCE, ends[-1] + _AT_ONCE, _AT_ONCE), "left") + 1
    edges = [0, *np.unique(np.minimum(cuts, len(ends))).tolist()]
    return [slice(start, end) for start, end in pairwise(edges)]


def _filled(
    mesh: Mesh,
    corners: NDArray[np.float64],
    steep: NDArray[np.float64],
    size: tuple[int, int],
    *spans: NDArray[np.int64],
) -> tuple[NDArray[np.int64], Floats, Floats, NDArray[np.int64]]:
    """Texels.index, .positions and .normals of some rows of triangles, and whose they are"""
    triangles, rows, starts, counts = spans
    columns = np.repeat(starts, counts) + _counted(counts)
    rows, whose = np.repeat(rows, counts), np.repeat(triangles, counts)
    index = (rows % size[0]) * size[1] + columns % size[1]
    positions = np.zeros((3, len(index)), np.float32)
    normals = np.zeros_like(positions)
    for corner in range(3):
        away = np.stack([columns, rows]) - corners[whose, corner].T
        share = (1 + (steep[whose, corner].T * away).sum(axis=0)).astype(np.float32)
        positions += mesh.positions[whose, corner].T * share
        normals += mesh.normals[whose, corner].T * share
    normals /= np.maximum(np.sqrt(np.square(normals).sum(axis=0)), np.float32(1e-12))
    return index, positions, normals, whose


def _edges(mesh: Mesh, area: NDArray[np.float64]) -> Floats:
    """(T,): metres that a texel is wide on each triangle"""
    first, second = (mesh.positions[:, n] - mesh.positions[:, 0] for n in (1, 2))
    metres = np.sqrt(np.square(np.cross(first, second)).sum(axis=1))
    return np.sqrt(metres / np.maximum(np.abs(area), 1e-12)).astype(np.float32)


def with_margin(pixels: Floats, covered: NDArray[np.bool_], margin: int) -> None:
    """Goes on beyond what is covered (H, W) for `margin` texels, in place, so that filters and smaller mipmaps of the
    texture find no other colour at its seams. pixels: (H, W, 3). The borders of the texture are not crossed."""
    width = covered.shape[1]
    flat, known = pixels.reshape(-1, pixels.shape[2]), np.pad(covered, 1)
    for _ in range(margin):
        inner = known[1:-1, 1:-1]
        rows, columns = np.nonzero(_beside(known) & ~inner)
        if not len(rows):
            return
        source = np.full(len(rows), -1)
        for down, across in _AROUND:
            near = known[rows + 1 + down, columns + 1 + across] & (source < 0)
            source[near] = ((rows + down) * width + columns + across)[near]
        flat[rows * width + columns] = flat[source]
        inner[rows, columns] = True


_AROUND = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def _beside(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) of (H + 2, W + 2): itself or one of the eight around it"""
    rows = known[:-2] | known[1:-1] | known[2:]
    return np.asarray(rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:])
