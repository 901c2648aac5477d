"""Where the camera of a frame stands: read off its Position pass, or told by Blender."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..picture import Floats

MOST_POINTS = 4000
"""Pixels a camera is fitted to: their error goes down with the root of their number, .1 pixels of rounding to .002"""
FEWEST_POINTS = 64
ROUNDS = 4
"""Of fitting without those that lie too far off: silhouettes, where Position is of one surface and the pixel of two"""
STRAY = 3.0
"""Times the median distance from which on a pixel is left out"""
FLAT = 1e-3
"""Of the length of what is seen, its thickness up to which it is a plane: half floats are as coarse"""
SAME_DEPTH = 0.02
"""Share by which the median pixel may be nearer or farther than Depth says: an orthographic camera has no such depth"""
WORST = 0.5
"""Pixels by which the median pixel of a fitted camera may be off; with more there was no such camera"""


@dataclass(frozen=True, eq=False)
class Camera:
    """A projection of the world onto the pixels of one frame."""

    matrix: NDArray[np.float64]
    """(3, 4): (x, y, z, 1) in metres -> (column, row, 1) times the distance along the camera's axis. Index 0 is the
    middle of the first pixel"""

    def project(self, points: NDArray) -> tuple[NDArray, NDArray]:
        """Rows and columns (...) of points (3, ...) in the world; NaN of those behind the camera."""
        return self._divided(turned(self.matrix, points) + _column(self.matrix[:, 3], points))

    def project_far(self, directions: NDArray) -> tuple[NDArray, NDArray]:
        """The same for places that are infinitely far away, such as the sky: directions (3, ...) in the world."""
        return self._divided(turned(self.matrix, directions))

    def directions(self, rows: NDArray, columns: NDArray) -> NDArray:
        """(3, ...): from the camera through places of the frame."""
        first, second, third = self.matrix[:, :3]
        adjugate = np.stack([np.cross(second, third), np.cross(third, first), np.cross(first, second)], 1)
        return turned(adjugate / (first * adjugate[:, 0]).sum(), np.stack([columns, rows, np.ones_like(rows)]))

    def pixel_size(self, depth: Floats) -> Floats:
        """Metres that a pixel is wide at a distance along the camera's axis."""
        along, across = (float(np.sqrt(np.square(self.matrix[row, :3]).sum())) for row in (2, 0))
        centre = float((self.matrix[0, :3] * self.matrix[2, :3]).sum()) / along**2
        focal = np.sqrt(max((across / along) ** 2 - centre**2, 1e-12))
        return np.asarray(depth / np.float32(focal), np.float32)

    @staticmethod
    def _divided(seen: NDArray) -> tuple[NDArray, NDArray]:
        distance = np.where(seen[2] > 0, seen[2], np.nan)
        return seen[1] / distance, seen[0] / distance


def turned(matrix: NDArray, points: NDArray) -> NDArray:
    """(3, ...): the first three columns of a matrix times points (3, ...). Always added in the same order: a library
    of linear algebra has its own for each processor, and the frames of a shot may be made on several."""
    x, y, z = points
    return np.stack([row[0] * x + row[1] * y + row[2] * z for row in matrix])


def _column(values: NDArray, like: NDArray) -> NDArray:
    return values.reshape(-1, *(1,) * (like.ndim - 1))


def fitted(position: Floats, there: NDArray[np.bool_], depth: Floats) -> Camera | None:
    """The camera that shows every pixel's place where the pixel is; None where the frame does not tell, or where it is
    no camera whose rays meet in one place.

    position: (3, H, W) metres, of the pixels that are `there`; depth: (H, W) metres along the camera's axis. The direct
    linear transform on normalised points (Hartley & Zisserman, "Multiple View Geometry", 2nd ed., algorithm 7.1), again
    without the strays.
    """
    rows, columns = np.nonzero(there)
    if len(rows) < FEWEST_POINTS:
        return None
    some = np.random.default_rng(0).permutation(len(rows))[:MOST_POINTS]
    rows, columns = rows[some], columns[some]
    points, far = position[:, rows, columns].astype(np.float64), depth[rows, columns].astype(np.float64)
    good = np.isfinite(points).all(axis=0) & np.isfinite(far)
    points = np.where(good, points, 0)
    matrix, off = np.zeros((3, 4)), np.zeros(len(rows))
    for _ in range(ROUNDS):
        if good.sum() < FEWEST_POINTS:
            return None
        known = points[:, good], rows[good], columns[good]
        matrix = _of_a_plane(*known, far[good], there.shape) if _is_flat(known[0]) else _direct(*known)
        off = _off(matrix, points, rows, columns)
        good = off < max(STRAY * float(np.median(off[good])), 0.05)
    along = matrix[2, :3] @ points + matrix[2, 3]
    if np.median(off) < WORST and np.median(np.abs(along - far)) < SAME_DEPTH * np.median(far):
        return Camera(matrix)
    return None


def _is_flat(points: NDArray) -> bool:
    """Do points (3, N) lie in a plane, in which many cameras show them alike?"""
    spreads = np.linalg.eigvalsh(np.cov(points))
    return bool(spreads[0] <= FLAT**2 * spreads[2])


def _of_a_plane(
    points: NDArray, rows: NDArray, columns: NDArray, far: NDArray, size: tuple[int, ...]
) -> NDArray[np.float64]:
    """The (3, 4) matrix of a camera that looks through the middle of its frame, with square pixels (ibid., section 8.1:
    the columns of what maps a plane are those of a rotation, times the focal length). far: (N,) along its axis."""
    middle = points.mean(axis=1, keepdims=True)
    plane = np.linalg.eigh(np.cov(points))[1][:, :0:-1]
    axes = np.column_stack([plane, np.cross(plane[:, 0], plane[:, 1])])
    centre = (np.array(size[::-1]) - 1) / 2
    ends = np.vstack([plane.T @ (points - middle), np.ones(points.shape[1])]) / far
    seen = np.stack([columns - centre[0], rows - centre[1], np.ones(len(rows))])
    mapped = np.linalg.lstsq(ends.T, seen.T, rcond=None)[0].T
    focal = np.sqrt(max(np.square(mapped[:2, :2]).sum(), 1e-12) / max(2 - np.square(mapped[2, :2]).sum(), 1e-12))
    inner = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    first, second, moved = (mapped / [[focal], [focal], [1]]).T
    turn = np.column_stack([first, second, np.cross(first, second)]) @ axes.T
    return np.asarray(inner @ np.hstack([turn, moved[:, None] - turn @ middle]))


def _direct(points: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
    """The (3, 4) matrix with the least algebraic error, third row of length 1, points ahead of it."""
    middle, spread = points.mean(axis=1), max(float(points.std()), 1e-12)
    centre, scale = np.array([columns.mean(), rows.mean()]), max(float(np.std([columns, rows])), 1e-12)
    ends = np.vstack([(points - middle[:, None]) / spread, np.ones(points.shape[1])]).T
    u, v = (columns - centre[0]) / scale, (rows - centre[1]) / scale
    nothing = np.zeros_like(ends)
    equations = np.block([[ends, nothing, -u[:, None] * ends], [nothing, ends, -v[:, None] * ends]])
    solved = np.linalg.eigh(equations.T @ equations)[1][:, 0].reshape(3, 4)
    to_pixels = np.array([[scale, 0, centre[0]], [0, scale, centre[1]], [0, 0, 1]])
    from_world = np.eye(4) / spread
    from_world[:3, 3], from_world[3, 3] = -middle / spread, 1
    matrix = to_pixels @ solved @ from_world
    ahead = np.sign(np.median(matrix[2, :3] @ points + matrix[2, 3])) or 1.0
    return np.asarray(matrix * ahead / max(float(np.linalg.norm(matrix[2, :3])), 1e-300))


def _off(matrix: NDArray, points: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
    """Pixels by which each point is off; infinite behind the camera."""
    found_rows, found_columns = Camera(matrix).project(points)
    return np.nan_to_num(np.hypot(found_rows - rows, found_columns - columns), nan=np.inf)
