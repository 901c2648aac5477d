"""One view of a mesh: what a style paints of it, and how well it shows a place of the surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError
from ..explain.pyramid import blurred, levels
from ..looks import LUMINANCE
from ..motion import SKY, bilinear
from ..passes import Passes
from ..picture import Array, Floats, Picture
from ..protocol import CameraView
from ..shot.camera import Camera, turned
from ..shot.silhouettes import cleared
from ..shot.strokes import between, sharpened
from .gone_on import gone_on
from .texels import Texels

SAME = 2.5
"""Pixels by which Position may be off where a view shows a place: half a pixel to each side, on a surface that is seen
aslant; across the surface this far and no further, however aslant"""
JUMP = 8.0
"""Pixels by which depth may change from one pixel to the next on one surface: it is seen at 7 degrees then"""
_NEIGHBOURS = ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]))
_THERE = 0.1
"""Share of a pixel from which on its colour can be told"""
_LOWEST = 0.05
"""Cosine that surfaces seen more aslant are taken to have"""
ON_EDGES = 0.02
"""How much places on an edge count beside others: any view that shows them in full goes first, but they are shown"""


@dataclass(frozen=True, eq=False)
class Sight:
    """What a camera shows of the mesh, before it is painted."""

    name: str
    camera: Camera
    position: Floats
    """(3, H, W) metres"""
    depth: Floats
    """(H, W) metres along the camera's axis; beyond SKY where there is nothing"""
    picture: Picture
    """The pass that is painted, scene-linear; the nearest colours where there is nothing of it"""
    stroke: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        return self.depth.shape[0], self.depth.shape[1]

    @cached_property
    def clear(self) -> Floats:
        """(1, H, W): 0 at edges in depth and at the border of the frame, 1 where strokes are of one surface alone."""
        return cleared(self._rim(), self.stroke)[None]

    def shows(self, texels: Texels, side: float) -> tuple[NDArray[np.int64], Floats, Floats, Floats, Floats]:
        """Of the entries that the view shows: which, how well (0..1), a score by which it compares with other views
        (pixels a metre in the direction in which there are fewest, less near edges), and where: rows and columns."""
        some, cosine, shown, rows, columns = self._looked_at(texels)
        quality = np.where(cosine * side > 0, np.abs(cosine), 0) * shown
        edges = np.maximum(bilinear(self.clear, rows, columns)[0], np.float32(ON_EDGES))
        score = quality * self._density(texels.positions[:, some]) * edges
        seen = quality > 0
        found = (np.asarray(values[seen], np.float32) for values in (quality, score, rows, columns))
        return (some[seen], *found)  # type: ignore[return-value]

    def side(self, texels: Texels) -> float:
        """1 where normals point to the camera, -1 where the mesh has them turned or is seen from its back. What points
        the other way is the far side of something thinner than a pixel. texels: enough of them to tell."""
        some, cosine, shown, *_ = self._looked_at(texels)
        area = cosine * shown * np.square(texels.edge[some])
        near, far = float(area[area > 0].sum()), -float(area[area < 0].sum())
        return -1.0 if far > 2 * near else 1.0  # all of a thin wall shows both

    def _looked_at(self, texels: Texels) -> tuple[NDArray[np.int64], Floats, Floats, Floats, Floats]:
        """Of the entries within the frame: which, the cosine between their normal and the way to the camera, how much
        the view shows them, rows, and columns"""
        rows, columns = self.camera.project(texels.positions.astype(np.float64))
        height, width = self.size
        with np.errstate(invalid="ignore"):
            inside = (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
        some = np.flatnonzero(inside)
        rows, columns = rows[some].astype(np.float32), columns[some].astype(np.float32)
        place, normal = texels.positions[:, some], texels.normals[:, some]
        cosine = -(self._away(place) * normal).sum(axis=0)
        return some, cosine, self._shown(place, normal, np.abs(cosine), rows, columns), rows, columns

    def _shown(self, place: Floats, normal: Floats, cosine: Floats, rows: Floats, columns: Floats) -> Floats:
        """(N,) 0..1: how much of the four pixels around shows that very place (as shadows are filtered: Reeves, Salesin
        & Cook, "Rendering Antialiased Shadows with Depth Maps", 1987)."""
        top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
        down, across = rows - top, columns - left
        height, width = self.size
        near = np.float32(SAME) / self._density(place)
        far = near / np.maximum(cosine, np.float32(_LOWEST))
        total = np.zeros_like(rows)
        for y, share_down in ((top, 1 - down), (np.minimum(top + 1, height - 1), down)):
            for x, share_across in ((left, 1 - across), (np.minimum(left + 1, width - 1), across)):
                off = self.position[:, y, x] - place
                same = np.abs((off * normal).sum(axis=0)) <= near
                same &= np.sqrt(np.square(off).sum(axis=0)) <= far
                total += share_down * share_across * (same & (self.depth[y, x] < SKY))
        return np.where(total > 0.999, np.float32(1), total)

    def _away(self, place: Floats) -> Floats:
        """(3, N), length 1: from the camera to places."""
        matrix = self.camera.matrix
        if not matrix[2, :3].any():  # orthographic
            way = np.cross(matrix[0, :3], matrix[1, :3])
            return np.broadcast_to((way / np.linalg.norm(way)).astype(np.float32)[:, None], place.shape)
        centre = -np.linalg.solve(matrix[:, :3], matrix[:, 3])
        way = place - centre.astype(np.float32)[:, None]
        return np.asarray(way / np.maximum(np.sqrt(np.square(way).sum(axis=0)), np.float32(1e-12)))

    def _density(self, place: Floats) -> Floats:
        """(N,): pixels a metre at places, on what faces the camera."""
        matrix = self.camera.matrix
        if not matrix[2, :3].any():
            return np.full(place.shape[1], np.linalg.norm(matrix[0, :3]), np.float32)
        focal = np.linalg.norm(np.cross(matrix[0, :3], matrix[2, :3]))
        far = turned(matrix[2:], place)[0] + matrix[2, 3]
        return np.asarray(focal / np.maximum(far, 1e-9), np.float32)

    def _rim(self) -> NDArray[np.bool_]:
        """(H, W): pixels beside which another surface begins, and the border of the frame"""
        rim = np.ones(self.size, bool)
        rim[1:-1, 1:-1] = False
        there = self.depth < SKY
        pixel = 1 / self._density(self.position.reshape(3, -1)).reshape(self.size)
        for first, second in _NEIGHBOURS:
            jump = np.abs(self.depth[first] - self.depth[second]) > JUMP * np.minimum(pixel[first], pixel[second])
            edge = (jump & there[first] & there[second]) | (there[first] != there[second])
            rim[first] |= edge
            rim[second] |= edge
        return rim


@dataclass(frozen=True, eq=False)
class Painted:
    """A view with what a style paints of it."""

    sight: Sight
    before: Floats
    """(3, H, W) 0..1, as the style saw it"""
    after: Floats
    """(3, H, W) 0..1"""

    @cached_property
    def strokes(self) -> Floats:
        """(H, W, 3): what is painted, to be read between its pixels"""
        return sharpened(self.after)

    @cached_property
    def change(self) -> Floats:
        """(3, H, W): how the painting changes the colours of the mesh, without its strokes"""
        there = (self.sight.depth < SKY).astype(np.float32)
        both = np.concatenate([(self.after - self.before) * there, there[None]])
        smooth = blurred(both, levels(self.sight.stroke)[1])
        return np.asarray(smooth[:3] / np.maximum(smooth[3], np.float32(1e-3)))

    @cached_property
    def relief(self) -> Floats:
        """(1, H, W): how far strokes stand out, in deviations: those that are lighter than what is around them"""
        light = np.tensordot(LUMINANCE, self.after - self.before, 1)[None]
        fine = blurred(light, levels(self.sight.stroke)[0] - 2) - blurred(light, levels(self.sight.stroke)[0])
        deviation = float(fine[:, self.sight.depth < SKY].std()) if (self.sight.depth < SKY).any() else 0.0
        return np.clip(fine / np.float32(max(deviation, 1 / 255)), -2, 2)

    def at(self, rows: Floats, columns: Floats) -> Floats:
        """(3, N): what is painted at places between the pixels"""
        return np.clip(between(self.strokes, rows, columns), 0, 1).T


def open_sight(view: CameraView, passes: Passes, painted_pass: str, stroke: float) -> Sight:
    """A render as a view. Raises EngineError where it lacks passes, or the camera is none that can be followed."""
    passes.need("Position", "Depth", painted_pass)
    position = np.nan_to_num(passes["Position"][..., :3].transpose(2, 0, 1).astype(np.float32))
    depth = np.nan_to_num(passes["Depth"][..., 0].astype(np.float32), nan=SKY * 2, posinf=SKY * 2)
    picture = _seen(view.name, passes[painted_pass][..., :3], depth < SKY, _cover(passes))
    return Sight(view.name, _camera(view), position, depth, picture, stroke)


def _cover(passes: Passes) -> Floats:
    """(H, W) 0..1: how much of each pixel is not transparent"""
    combined = passes.get("Combined")
    if combined is None or combined.shape[2] < 4:
        return np.ones((passes.height, passes.width), np.float32)
    return np.clip(np.nan_to_num(combined[..., 3].astype(np.float32)), 0, 1)


def _seen(name: str, stored: Array, there: NDArray[np.bool_], cover: Floats) -> Picture:
    """The nearest colours where there is nothing: else every outline would be painted against black. What is there in
    part of a pixel only is as bright as the rest of it."""
    known = there & (cover > _THERE) & np.isfinite(stored).all(axis=2)
    whole = np.where(known[..., None], stored / np.maximum(cover, np.float32(_THERE))[..., None], 0)
    if not known.all():
        whole = gone_on(whole.astype(np.float32), known)
    return Picture(whole.astype(np.float32), "linear", "none", name)


def _camera(view: CameraView) -> Camera:
    matrix = np.array(view.matrix, np.float64)
    if matrix.shape != (12,) or not np.isfinite(matrix).all():
        raise EngineError(f"The camera {view.name!r} has no matrix of 3 x 4.", "Install the add-on again.")
    matrix = matrix.reshape(3, 4)
    along = np.linalg.norm(matrix[2, :3])
    return Camera(matrix / (along if along > 1e-9 else matrix[2, 3] or 1.0))
