"""Worlds whose every pixel is known: planes, boxes and spheres that move, seen by a pinhole camera.

Rays meet the forms in closed form, so that Position, Depth, Vector, UV and ids are exact to the rounding of float64.
Each form is a unit one at rest, put into the world by an affine map for each frame: a rigid one times one and the same
size where it moves, another size in every frame where it deforms. UV are those of the form at rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.exr import ExrLayer, write_exr
from engine.passes import Passes, name_hash, read_passes
from engine.shot.camera import Camera
from engine.shot.surfaces import FAR, Surfaces, surfaces

SKY = 1e10
"""Depth where there is nothing, as Blender writes it"""
EVERYTHING = ("Depth", "Position", "Vector", "UV", "IndexOB", "CryptoObject00")

Matrix = np.ndarray
At = Callable[[float], Matrix]
"""Frame -> (3, 4) from rest to world"""


def affine(
    move: Sequence[float] = (0, 0, 0), size: Sequence[float] = (1, 1, 1), turn: float = 0.0, axis: str = "z"
) -> Matrix:
    """(3, 4): scale along the form's axes, turn about one of the world's, move."""
    return np.hstack([turned(turn, axis) @ np.diag(np.float64(size)), np.float64(move)[:, None]])


def turned(angle: float, axis: str = "z") -> Matrix:
    """(3, 3): radians about one of the world's axes"""
    c, s = np.cos(angle), np.sin(angle)
    i = "xyz".index(axis)
    result = np.eye(3)
    first, second = (i + 1) % 3, (i + 2) % 3
    result[first, first] = result[second, second] = c
    result[first, second], result[second, first] = -s, s
    return result


def still(place: Matrix) -> At:
    return lambda _: place


@dataclass(frozen=True, eq=False)
class Form:
    """A thing in the world."""

    name: str
    kind: str
    """plane (z = 0, x and y within -1..1), box (all within -1..1), sphere (radius 1)"""
    at: At
    light: Callable[[float], float] = lambda _: 1.0
    """Frame -> how bright it is lit"""

    @property
    def id(self) -> int:
        """As `surfaces` tells it"""
        return name_hash(self.name) + FAR + 1


def looking(place: Sequence[float], to: Sequence[float], size: tuple[int, int], focal: float = 1.2) -> Camera:
    """A camera that is upright along z. size: height, width; focal: in widths of the frame."""
    height, width = size
    ahead = _unit(np.float64(to) - place)
    right = _unit(np.cross(ahead, [0, 0, 1]))
    down = np.cross(ahead, right)
    rotation = np.stack([right, down, ahead])
    inner = np.array([[focal * width, 0, (width - 1) / 2], [0, focal * width, (height - 1) / 2], [0, 0, 1]])
    return Camera(inner @ np.hstack([rotation, -rotation @ np.float64(place)[:, None]]))


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


@dataclass(frozen=True, eq=False)
class Seen:
    """What a frame of a world shows."""

    form: np.ndarray
    """(H, W): index of the form, -1 for the sky"""
    rest: np.ndarray
    """(3, H, W): the place on the form at rest"""
    position: np.ndarray
    """(3, H, W), 0 in the sky"""
    depth: np.ndarray
    """(H, W), SKY in the sky"""


@dataclass(frozen=True, eq=False)
class World:
    forms: tuple[Form, ...]
    camera: Callable[[float], Camera]
    size: tuple[int, int] = (72, 96)
    _kept: dict[int, Seen] = field(default_factory=dict)

    def seen(self, frame: int) -> Seen:
        if frame not in self._kept:
            self._kept[frame] = self._cast(frame)
        return self._kept[frame]

    def where(self, frame: int, then: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns (H, W) in the frame `then` of what each pixel of a frame shows, hidden or not."""
        seen, camera = self.seen(frame), self.camera(then)
        rows, columns = camera.project_far(self._rays(self.camera(frame)))
        for index, form in enumerate(self.forms):
            mine = seen.form == index
            rows[mine], columns[mine] = camera.project(_put(form.at(then), seen.rest[:, mine]))
        return rows, columns

    def ids(self, frame: int) -> np.ndarray:
        """(H, W) as `surfaces` tells them"""
        return np.array([*(form.id for form in self.forms), FAR])[self.seen(frame).form]

    def surfaces(self, frame: int) -> Surfaces:
        """As they are, without a file between"""
        seen = self.seen(frame)
        position, depth = seen.position.astype(np.float32), seen.depth.astype(np.float32)
        return Surfaces(position, self.ids(frame), depth, self.camera(frame), self.uv(frame)[:2])

    def uv(self, frame: int) -> np.ndarray:
        """(3, H, W) float32: as Blender, 1 in the third where there is a surface"""
        seen = self.seen(frame)
        result = np.zeros((3, *self.size))
        for index, form in enumerate(self.forms):
            mine = seen.form == index
            result[:2, mine], result[2, mine] = _uv(form.kind, seen.rest[:, mine]), 1
        return result.astype(np.float32)

    def colours(self, frame: int) -> np.ndarray:
        """(H, W, 3) scene-linear: waves on each form that move with it, times its light; an even sky"""
        seen = self.seen(frame)
        result = np.full((*self.size, 3), 0.4)
        for index, form in enumerate(self.forms):
            mine = seen.form == index
            x, y, z = seen.rest[:, mine] * 4
            waves = np.stack([np.sin(x + index), np.sin(y + 2), np.sin(z + x + 1)], 1)
            result[mine] = (0.25 + 0.15 * waves) * form.light(frame)
        return result

    def vector(self, frame: int) -> np.ndarray:
        """(4, H, W): as Blender writes it, 0 in the sky"""
        rows, columns = np.indices(self.size, np.float64)
        before, after = self.where(frame, frame - 1), self.where(frame, frame + 1)
        found = np.stack([before[1] - columns, rows - before[0], columns - after[1], after[0] - rows])
        return np.where(self.seen(frame).form >= 0, np.nan_to_num(found), 0)

    def write(
        self,
        path: Path,
        frame: int,
        passes: Sequence[str] = EVERYTHING,
        type_: Any = np.float32,
        colours: np.ndarray | None = None,
    ) -> Path:
        """As Blender does. type_: of Position, Vector and UV; colours: (H, W, 3) in place of its own."""
        seen, shown = self.seen(frame), self.colours(frame) if colours is None else colours
        there = (seen.form >= 0).astype(np.float32)
        combined = np.concatenate([shown, np.ones((*self.size, 1))], 2).astype(np.float16)
        ids = np.array([*(name_hash(form.name) for form in self.forms), 0], np.uint32)[seen.form].view(np.float32)
        made = {
            "Depth": (seen.depth[..., None].astype(np.float32), "Z"),
            "Position": (seen.position.transpose(1, 2, 0).astype(type_), "XYZ"),
            "Vector": (self.vector(frame).transpose(1, 2, 0).astype(type_), "XYZW"),
            "UV": (self.uv(frame).transpose(1, 2, 0).astype(type_), "UVA"),
            "IndexOB": ((seen.form[..., None] + 1).astype(np.float32), "X"),
            "CryptoObject00": (np.stack([ids, there, ids * 0, ids * 0], 2).astype(np.float32), "rgba"),
        }
        layers = [ExrLayer.of("ViewLayer.Combined", combined)]
        layers += [ExrLayer.of(f"ViewLayer.{name}", made[name][0], tuple(made[name][1])) for name in passes]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_exr(path, layers)
        return path

    def passes(self, folder: Path, frame: int, *passes: Any, **options: Any) -> Passes:
        return read_passes(self.write(folder / f"frame_{frame:04d}.exr", frame, *passes, **options))

    def shot(self, folder: Path, numbers: Sequence[int], **options: Any) -> str:
        """The frames, and the pattern that stands for them"""
        for number in numbers:
            self.write(folder / f"shot_{number:04d}.exr", number, **options)
        return str(folder / "shot_####.exr")

    def _rays(self, camera: Camera) -> np.ndarray:
        """(3, H, W): one metre along the camera's axis"""
        rows, columns = np.indices(self.size, np.float64)
        places = np.stack([columns, rows, np.ones(self.size)])
        return np.tensordot(np.linalg.inv(camera.matrix[:, :3]), places, 1)

    def _cast(self, frame: int) -> Seen:
        camera = self.camera(frame)
        rays = self._rays(camera).reshape(3, -1)
        eye = -np.linalg.inv(camera.matrix[:, :3]) @ camera.matrix[:, 3]
        nearest, index = np.full(rays.shape[1], np.inf), np.full(rays.shape[1], -1)
        rest = np.zeros(rays.shape)
        for number, form in enumerate(self.forms):
            at = form.at(frame)
            back = np.linalg.inv(at[:, :3])
            start, way = back @ (eye - at[:, 3]), back @ rays
            far = _HITS[form.kind](start, way)
            closer = far < nearest
            nearest, index = np.where(closer, far, nearest), np.where(closer, number, index)
            rest = np.where(closer, start[:, None] + way * np.where(closer, far, 0), rest)
        there = index >= 0
        far = np.where(there, nearest, 0)
        position = np.where(there, eye[:, None] + rays * far, 0).reshape(3, *self.size)
        depth = np.where(there, nearest, SKY).reshape(self.size)
        return Seen(index.reshape(self.size), rest.reshape(3, *self.size), position, depth)


def _put(at: Matrix, rest: np.ndarray) -> np.ndarray:
    return np.asarray(at[:, :3] @ rest + at[:, 3:])


def _plane(start: np.ndarray, way: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        far = -start[2] / way[2]
        x, y = (start[axis] + way[axis] * far for axis in (0, 1))
        return np.where((far > 0) & (abs(x) <= 1) & (abs(y) <= 1), far, np.inf)


def _box(start: np.ndarray, way: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.sort(np.stack([(side - start[:, None]) / way for side in (-1, 1)]), axis=0)
        near, far = ends[0].max(axis=0), ends[1].min(axis=0)
        return np.where((near <= far) & (near > 0), near, np.inf)


def _sphere(start: np.ndarray, way: np.ndarray) -> np.ndarray:
    a, b, c = (way * way).sum(axis=0), start @ way, start @ start - 1
    inner = b * b - a * c
    with np.errstate(invalid="ignore"):
        far = (-b - np.sqrt(inner)) / a
        return np.where((inner >= 0) & (far > 0), far, np.inf)


_HITS = {"plane": _plane, "box": _box, "sphere": _sphere}


def _uv(kind: str, rest: np.ndarray) -> np.ndarray:
    """(2, N) 0..1: planes from above, spheres by longitude and latitude, boxes face by face"""
    x, y, z = rest
    if kind == "plane":
        return np.stack([x + 1, y + 1]) / 2
    if kind == "sphere":
        return np.stack([np.arctan2(x, -y) / (2 * np.pi) + 0.5, np.arcsin(np.clip(z, -1, 1)) / np.pi + 0.5])
    face = np.abs(rest).argmax(axis=0)
    u, v = np.where(face == 0, y, x), np.where(face == 2, y, z)
    side = 2 * face + (np.take_along_axis(rest, face[None], 0)[0] > 0)
    return np.stack([(side + 0.05 + 0.45 * (u + 1)) / 6, (v + 1) / 2])


# ---------------------------------------------------------------- worlds that several tests look at


def room(camera: Callable[[float], Camera] | None = None, size: tuple[int, int] = (72, 96), **more: Form) -> World:
    """A floor, a wall and a box that stand still, below a sky."""
    forms = (
        Form("Floor", "plane", still(affine((0, 2, 0), (6, 6, 1)))),
        Form("Wall", "box", still(affine((0, 7, 1), (3.0, 0.2, 1.2)))),
        Form("Box", "box", still(affine((0.9, 1.5, 0.7), (0.7, 0.6, 0.7), 0.5))),
    )
    return World((*forms, *more.values()), camera or (lambda _: looking((0, -6, 2.4), (0, 2, 0.9), size)), size)


def orbiting(size: tuple[int, int] = (72, 96), step: float = 0.03) -> Callable[[float], Camera]:
    """A camera that goes around the room, a step in radians from frame to frame"""

    def camera(frame: float) -> Camera:
        place = turned(step * frame) @ np.array([0, -8, 2.4]) + [0, 2, 0]
        return looking(place, (0, 2, 0.9), size)

    return camera


def sliding(step: float = 0.12, turn: float = 0.0) -> Form:
    """A box that moves to the right"""
    return Form("Slider", "box", lambda frame: affine((-1.6 + step * frame, 0.2, 0.5), (0.5, 0.4, 0.5), turn * frame))


def breathing() -> Form:
    """A ball that grows and shrinks along one of its axes"""
    return Form("Blob", "sphere", lambda frame: affine((-1, 0.5, 0.9), (0.8, 0.8, 0.8 + 0.06 * np.sin(1.2 * frame))))


def file_surfaces(world: World, folder: Path, frame: int, **options: Any) -> Surfaces:
    """As they are read off a file"""
    return surfaces(world.passes(folder, frame, **options))
