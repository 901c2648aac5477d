"""What a frame shows, pixel by pixel: which object, and which place of the world; and where another frame shows it.

A place is found again in another frame by the camera of that frame, after the object has been put back to where it was
then (moves). Position there has the last word: only what lies at the same place is the same surface. A deforming object
has no one move; its UV say which place is which, looked for around where the object as a whole would be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..atomic import shown
from ..errors import EngineError
from ..motion import SKY
from ..passes import Passes, first_ids
from ..picture import Floats
from .camera import FEWEST_POINTS, Camera, fitted, turned

NOWHERE, FAR = 0, 1
"""Ids of pixels that show no object: of nothing at all, and of the sky"""
SAME = 2.5
"""Pixels by which Position may be off where two frames show the same place: half a pixel to each side, on a surface
that is seen aslant"""
SAME_UV = 0.5
"""The same for UV"""
EDGE = 0.25
"""Pixels beyond the middles of the outermost pixels up to which a place counts as theirs: a frame shows its own border,
however its positions are rounded"""
STEPS = 5
"""Of Newton's method: UV are next to linear within a few pixels"""
LONGEST_STEP = 4.0
"""Pixels: beyond, UV may belong to another part"""
AROUND = tuple(sorted(product((-12, -6, 0, 6, 12), repeat=2), key=lambda place: (math.hypot(*place), place)))
"""Rows and columns beside where a deforming object's place is foretold, from which it is looked for, one after the
other: a limb may have moved as far"""


@dataclass(frozen=True, eq=False)
class Pose:
    """Where an object is in one frame, beside where it rests."""

    rest: int
    """Which of its rests: one that was lost sight of has another when it comes back"""
    matrix: NDArray[np.float64]
    """(3, 4), metres: from where it is to where it rests"""


Poses = Mapping[int, Pose]
"""Of the objects of a frame; those that never move have none"""


@dataclass(frozen=True, eq=False)
class Places:
    """Where another frame shows what the pixels of a frame show."""

    rows: Floats
    """(H, W); 0 where not found"""
    columns: Floats
    found: NDArray[np.bool_]

    def scales(self, objects: NDArray) -> tuple[Floats, Floats]:
        """(H, W) each: how many pixels of the other frame a pixel here spans, in the direction in which it spans most
        and in the one in which it spans least; NaN where not found. objects: (H, W) of this frame.

        The singular values of the derivative of the places."""
        down, across = (_step(np.stack([self.rows, self.columns]), self.found, objects, axis) for axis in (0, 1))
        squares = np.square(down).sum(axis=0) + np.square(across).sum(axis=0)
        area = np.abs(down[0] * across[1] - down[1] * across[0])
        root = np.sqrt(np.maximum(np.square(squares) - 4 * np.square(area), 0))
        return np.sqrt((squares + root) / 2), np.sqrt(np.maximum(squares - root, 0) / 2)


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What one frame shows."""

    position: Floats
    """(3, H, W) metres; anything where there is no surface"""
    objects: NDArray[np.int64]
    """(H, W): NOWHERE, FAR, or an id of the object"""
    depth: Floats
    """(H, W) metres along the camera's axis"""
    camera: Camera
    uv: Floats | None = None
    """(2, H, W)"""

    @property
    def size(self) -> tuple[int, int]:
        return self.objects.shape[0], self.objects.shape[1]

    @cached_property
    def pixel_size(self) -> Floats:
        """(H, W): metres that a pixel is wide on its surface, seen straight on"""
        return self.camera.pixel_size(self.depth)

    @cached_property
    def uv_slopes(self) -> tuple[Floats, Floats]:
        """UV from a row, and from a column, to the next: (2, H, W) each"""
        assert self.uv is not None
        return _slope(self.uv, self.objects, 0), _slope(self.uv, self.objects, 1)

    def reduced(self, step: int) -> Surfaces:
        """Every `step`th pixel."""
        first = step // 2
        some = np.s_[first::step, first::step]
        to_small = np.array([[1 / step, 0, -first / step], [0, 1 / step, -first / step], [0, 0, 1]])
        uv = None if self.uv is None else self.uv[:, *some].copy()
        kept = self.position[:, *some].copy(), self.objects[some].copy(), self.depth[some].copy()
        return Surfaces(*kept, Camera(to_small @ self.camera.matrix), uv)


def surfaces(passes: Passes, camera: Camera | None = None) -> Surfaces:
    """What a render shows. Raises EngineError without Position and Depth, or where they tell of no camera.

    camera: as Blender tells it; None reads it off Position."""
    position, depth = _where(passes)
    there = depth < SKY
    camera = camera or fitted(position, there, depth)
    if camera is None:
        raise EngineError(
            f"The pass Position in {passes.path} does not tell where the camera stands.",
            "Render it again with Blender's Position pass, to float or half, and a perspective camera: no other can be "
            "followed.",
        )
    objects = np.where(there, first_ids(passes) + FAR + 1, FAR)
    uv = passes["UV"][..., :2].transpose(2, 0, 1).astype(np.float32) if "UV" in passes else None
    return Surfaces(position, objects, depth, camera, uv)


def _where(passes: Passes) -> tuple[Floats, Floats]:
    """Position (3, H, W) and Depth (H, W), all finite."""
    passes.need("Position", "Depth")
    position = np.nan_to_num(passes["Position"][..., :3].transpose(2, 0, 1).astype(np.float32))
    return position, np.nan_to_num(passes["Depth"][..., 0].astype(np.float32), nan=SKY * 2, posinf=SKY * 2)


def camera_of(passes: Passes) -> Camera | None:
    """As Position tells it; None where it does not."""
    if "Position" not in passes or "Depth" not in passes:
        return None
    position, depth = _where(passes)
    return fitted(position, depth < SKY, depth)


def no_render(name: str) -> EngineError:
    return EngineError(
        f"{shown(name)} is no render with passes, by which strokes could stick.",
        "Render the shot to OpenEXR MultiLayer with Position, Depth, Vector, UV and Cryptomatte.",
    )


def is_empty(passes: Passes) -> bool:
    """Does a render show so little of surfaces that nothing can be told by them?"""
    passes.need("Position", "Depth")
    return int((passes["Depth"][..., 0] < SKY).sum()) < FEWEST_POINTS


def places(now: Surfaces, then: Surfaces, posed: Poses, were_posed: Poses, deforming: frozenset[int]) -> Places:
    """Where the frame `then` shows what `now` shows. posed, were_posed: the objects of the two frames; deforming: those
    that are not rigid. An object whose pose in one of the frames says nothing of the other is not found."""
    points = now.position.astype(np.float64)
    known = now.objects != NOWHERE
    for thing in {*posed, *were_posed}:
        mine = now.objects == thing
        is_, was = posed.get(thing), were_posed.get(thing)
        if is_ is None or was is None or is_.rest != was.rest:
            known &= ~mine
        elif mine.any():
            points[:, mine] = apply(inverse(was.matrix), apply(is_.matrix, points[:, mine]))
    rows, columns = then.camera.project(points)
    far = now.objects == FAR
    if far.any():
        directions = now.camera.directions(*(places.astype(np.float64) for places in np.nonzero(far)))
        rows[far], columns[far] = then.camera.project_far(directions)
    found = _checked(now, then, points, rows, columns) & known
    rows, columns = within_frame(then.size, rows, columns)
    result = Places(np.where(found, rows, 0).astype(np.float32), np.where(found, columns, 0).astype(np.float32), found)
    for thing in deforming:
        _by_uv(now, then, thing, rows, columns, result)
    return result


def apply(move: NDArray, points: NDArray) -> NDArray:
    """move: (3, 4); points: (3, N)"""
    return np.asarray(turned(move, points) + move[:, 3:])


def inverse(move: NDArray) -> NDArray:
    back = move[:, :3].T
    return np.hstack([back, -turned(back, move[:, 3:])])


def after(later: NDArray, first: NDArray) -> NDArray:
    """The move that `first` and then `later` make."""
    return np.hstack([later[:, :3] @ first[:, :3], later[:, :3] @ first[:, 3:] + later[:, 3:]])


def inside_frame(size: tuple[int, int], rows: NDArray, columns: NDArray) -> NDArray[np.bool_]:
    down, across = size[0] - 1 + EDGE, size[1] - 1 + EDGE
    with np.errstate(invalid="ignore"):  # NaN is behind the camera, and not inside
        return (rows >= -EDGE) & (rows <= down) & (columns >= -EDGE) & (columns <= across)


def within_frame(size: tuple[int, int], rows: NDArray, columns: NDArray) -> tuple[NDArray, NDArray]:
    """Moved from the edge to the middles of the outermost pixels, between which can be read."""
    return np.clip(rows, 0, size[0] - 1), np.clip(columns, 0, size[1] - 1)


def _checked(now: Surfaces, then: Surfaces, points: NDArray, rows: NDArray, columns: NDArray) -> NDArray[np.bool_]:
    """Is the place that `then` shows there the one that was looked for?"""
    inside = inside_frame(then.size, rows, columns)
    row, column = _nearest(then.size, np.where(inside, rows, 0), np.where(inside, columns, 0))
    same = inside & (then.objects[row, column] == now.objects)
    away = np.sqrt(np.square(then.position[:, row, column] - points).sum(axis=0))
    return np.asarray(same & ((away < SAME * then.pixel_size[row, column]) | (now.objects == FAR)))


# ---------------------------------------------------------------- deforming objects


def _by_uv(now: Surfaces, then: Surfaces, thing: int, rows: NDArray, columns: NDArray, result: Places) -> None:
    """Writes into `result` where `then` shows the UV of a deforming object, near the places that were foretold."""
    mine = now.objects == thing
    result.found[mine] = False
    if now.uv is None or then.uv is None or not mine.any():
        return
    wanted = now.uv[:, mine]
    start = [np.nan_to_num(place[mine], nan=-1e6) for place in (rows, columns)]
    found, best = np.zeros(wanted.shape[1], bool), np.zeros((2, wanted.shape[1]))
    for down, across in AROUND:
        left = np.flatnonzero(~found)
        *place, good = _newton(then, thing, wanted[:, left], start[0][left] + down, start[1][left] + across)
        best[:, left[good]], found[left[good]] = np.stack(place)[:, good], True
    result.rows[mine], result.columns[mine] = (np.where(found, place, 0) for place in within_frame(then.size, *best))
    result.found[mine] = found


def _newton(
    then: Surfaces, thing: int, wanted: Floats, rows: NDArray, columns: NDArray
) -> tuple[NDArray, NDArray, NDArray[np.bool_]]:
    """From places in a frame to those that have the wanted UV (2, N), and whether they do."""
    assert then.uv is not None
    for _ in range(STEPS):
        row, column = _nearest(then.size, rows, columns)
        down, across = (slopes[:, row, column] for slopes in then.uv_slopes)
        missing = wanted - then.uv[:, row, column]
        area = across[0] * down[1] - down[0] * across[1]
        area = np.where(np.abs(area) < 1e-12, np.inf, area)
        more = (across[0] * missing[1] - across[1] * missing[0]) / area
        further = (down[1] * missing[0] - down[0] * missing[1]) / area
        brake = np.maximum(np.hypot(more, further) / LONGEST_STEP, 1)
        rows, columns = row + more / brake, column + further / brake
    row, column = _nearest(then.size, rows, columns)
    down, across = (slopes[:, row, column] for slopes in then.uv_slopes)
    reached = then.uv[:, row, column] + down * (rows - row) + across * (columns - column)
    wide = np.sqrt(np.abs(across[0] * down[1] - down[0] * across[1]))
    near = (np.abs(rows - row) <= 1) & (np.abs(columns - column) <= 1) & (then.objects[row, column] == thing)
    good = near & (np.hypot(*(wanted - reached)) < SAME_UV * wide + 1e-6) & inside_frame(then.size, rows, columns)
    return rows, columns, good


def _step(planes: Floats, found: NDArray, objects: NDArray, axis: int) -> Floats:
    """From a pixel to the next along an axis, on the mean of both sides where both are of its surface; NaN where none
    is."""
    step = np.diff(planes, axis=axis + 1)
    pair = np.take(found, range(1, found.shape[axis]), axis) & np.take(found, range(found.shape[axis] - 1), axis)
    step = np.where(pair & (np.diff(objects, axis=axis) == 0), step, np.nan)
    room = [(0, 0), (0, 0), (0, 0)]
    room[axis + 1] = (0, 1)
    ahead = np.pad(step, room, constant_values=np.nan)
    room[axis + 1] = (1, 0)
    behind = np.pad(step, room, constant_values=np.nan)
    both = np.where(np.isnan(ahead), behind, np.where(np.isnan(behind), ahead, (ahead + behind) / 2))
    return np.where(found, both, np.nan).astype(np.float32)


def _nearest(size: tuple[int, int], rows: NDArray, columns: NDArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return (
        np.clip(np.rint(rows), 0, size[0] - 1).astype(np.intp),
        np.clip(np.rint(columns), 0, size[1] - 1).astype(np.intp),
    )


def _slope(planes: Floats, objects: NDArray, axis: int) -> Floats:
    """From a pixel to the next along an axis (0 rows, 1 columns), on the side where the surface goes on: between parts
    of a UV map there is no way."""
    step = np.diff(planes, axis=axis + 1)
    step = np.where(np.diff(objects, axis=axis) == 0, step, np.inf)
    room = [(0, 0), (0, 0), (0, 0)]
    room[axis + 1] = (0, 1)
    ahead = np.pad(step, room, constant_values=np.inf)
    room[axis + 1] = (1, 0)
    behind = np.pad(step, room, constant_values=np.inf)
    long, short = np.abs(ahead).sum(axis=0), np.abs(behind).sum(axis=0)
    even = np.maximum(long, short) < 2 * np.minimum(long, short) + 1e-6
    with np.errstate(invalid="ignore"):
        slope = np.where(even, (ahead + behind) / 2, np.where(long < short, ahead, behind))
    return np.where(np.isfinite(slope), slope, 0).astype(np.float32)
