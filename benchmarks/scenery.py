"""A landscape to be drawn: what a hand needs to know of each place, and no picture yet.

Procedural styles are taught by exemplars of the project's own (exemplars.py). What they show is the same for all: a sun
over hills, clouds and trees as round as spheres, houses with flat walls, a lake. So there is every tone from white to
black, edges, forms, and wide places where there is nothing but strokes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import pi

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Plane = NDArray[np.float32]
"""(H, W)"""
Mask = NDArray[np.bool_]
Box = tuple[slice, slice]
"""Rows and columns"""
ALL = (slice(None), slice(None))

SKY, SUN, CLOUD, FAR, HILL, FIELD, LEAF, TRUNK, WALL, ROOF, WATER, STONE = range(12)
"""What there is to see: the numbers in Scene.matter"""
LIGHT = np.array([0.45, -0.68, 0.58], np.float32)
"""Where light comes from: right, down, toward us"""


@dataclass
class Scene:
    """All planes are (H, W)."""

    height: int
    width: int
    light: Plane = field(init=False)
    """0 dark .. 1 light"""
    way: Plane = field(init=False)
    """Direction in which strokes follow the form, in radians, x to the right and y down"""
    matter: NDArray[np.uint8] = field(init=False)
    thing: NDArray[np.int32] = field(init=False)
    """A number for each single thing: outlines run where it changes"""

    def __post_init__(self) -> None:
        shape = (self.height, self.width)
        self.light, self.way = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.matter, self.thing = np.zeros(shape, np.uint8), np.zeros(shape, np.int32)
        rows, columns = np.indices(shape, np.float32)
        self.x, self.y = columns / self.height, rows / self.height
        self.things = 0

    @property
    def aspect(self) -> float:
        return self.width / self.height

    def put(self, where: Mask, matter: int, light: Plane | float, way: Plane | float, box: Box = ALL) -> None:
        """A thing in front of all that is there. All are as large as the box."""
        self.things += 1
        for plane, value in ((self.light, light), (self.way, way), (self.matter, matter), (self.thing, self.things)):
            np.copyto(plane[box], np.asarray(value, plane.dtype), where=where)

    def box(self, centre: tuple[float, float], radii: tuple[float, float]) -> Box:
        """What a thing with these half axes may cover."""
        (x, y), (a, b) = centre, radii
        rows, columns = ((self.height * (p - r), self.height * (p + r) + 2) for p, r in ((y, b), (x, a)))
        return slice(max(0, int(rows[0])), max(0, int(rows[1]))), slice(
            max(0, int(columns[0])), max(0, int(columns[1]))
        )


def landscape(width: int, height: int, seed: int = 0) -> Scene:
    """Far things first: each covers what is behind it."""
    scene, random = Scene(height, width), np.random.default_rng(seed)
    _sky(scene, random)
    for x, y, size in ((0.24, 0.16, 0.1), (0.55, 0.27, 0.06), (1.2, 0.12, 0.09), (0.02, 0.3, 0.06)):
        _cloud(scene, x * scene.aspect / 1.33, y, size, random)
    _mountains(scene, random)
    _hill(scene, HILL, 0.53, 0.035, 5.0, random)
    _lake(scene, random)
    _hill(scene, FIELD, 0.66, 0.05, 3.1, random)
    for x, y, size in ((0.34, 0.64, 0.13), (0.16, 0.67, 0.1)):
        _house(scene, x * scene.aspect, y, size)
    for x, y, size in ((0.57, 0.7, 0.075), (0.66, 0.74, 0.1), (0.05, 0.72, 0.07)):
        _tree(scene, x * scene.aspect, y, size, random)
    _hill(scene, HILL, 0.84, 0.05, 2.2, random)
    for x, y, size in ((0.3, 0.93, 0.085), (0.42, 0.97, 0.055), (0.12, 0.97, 0.07)):
        _ball(scene, STONE, (x * scene.aspect, y), (size, size * 0.8), random)
    _cypress(scene, 0.87 * scene.aspect, 0.98, 0.62, random)
    _cypress(scene, 0.78 * scene.aspect, 0.97, 0.36, random)
    scene.light = np.clip(scene.light + 0.03 * noise(height, width, 40, random), 0, 1)
    return scene


def noise(height: int, width: int, grain: float, random: np.random.Generator) -> Plane:
    """(H, W) of about -1 .. 1, smooth over `grain` pixels."""
    small = random.uniform(-1, 1, (max(2, round(height / grain) + 2), max(2, round(width / grain) + 2)))
    picture = Image.fromarray(small.astype(np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), np.float32)


def blurred(plane: Plane, radius: float) -> Plane:
    """Three box blurs, which are near enough to a Gaussian of that deviation; borders are repeated."""
    reach = max(1, round(radius))
    for _ in range(3):
        for axis in (0, 1):
            pad = [(reach + 1, reach) if a == axis else (0, 0) for a in (0, 1)]
            sums = np.cumsum(np.pad(plane, pad, mode="edge"), axis, dtype=np.float64)
            ends = np.take(sums, range(2 * reach + 1, sums.shape[axis]), axis)
            starts = np.take(sums, range(sums.shape[axis] - 2 * reach - 1), axis)
            plane = ((ends - starts) / (2 * reach + 1)).astype(np.float32)
    return plane


# ---------------------------------------------------------------- things


def _sky(scene: Scene, random: np.random.Generator) -> None:
    """Light toward the horizon, with a sun that its strokes run around."""
    x, y = scene.x - 0.66 * scene.aspect, scene.y - 0.25
    distance = np.hypot(x, y)
    around, waves = np.arctan2(y, x) + pi / 2, 0.5 * noise(scene.height, scene.width, scene.height / 4, random)
    near = np.exp(-((distance / 0.34) ** 2))
    # A way and its opposite are one: they are mixed as doubled angles.
    across, down = (near * f(2 * around) + (1 - near) * f(2 * waves) for f in (np.cos, np.sin))
    way = np.arctan2(down, across) / 2
    scene.put(np.ones_like(x, bool), SKY, 0.4 + 0.62 * scene.y + 0.3 * near, way)
    scene.put(distance < 0.085, SUN, 0.92, around)


def _cloud(scene: Scene, x: float, y: float, size: float, random: np.random.Generator) -> None:
    """Balls on a flat floor, the big ones in the middle and in front."""
    offsets = np.linspace(-1.7, 1.7, 7)
    radii = size * (1.05 - 0.35 * np.abs(offsets)) * random.uniform(0.85, 1.15, 7)
    first = scene.things
    for index in (0, 6, 1, 5, 2, 4, 3):
        offset, radius = offsets[index], radii[index]
        centre = (x + offset * size, y + random.uniform(-0.3, 0.1) * size)
        where, light, around, box = _dome(scene, centre, (radius, radius))
        where &= scene.y[box] < y + (0.35 + 0.1 * np.cos(9 * scene.x[box] / size)) * size
        scene.put(where, CLOUD, 0.5 + 0.55 * light, around, box)
        scene.thing[box][where] = first + 1


def _mountains(scene: Scene, random: np.random.Generator) -> None:
    """Slopes in the light and in the shade of a ridge that zigzags down."""
    columns = scene.x[0]
    for base, tall, light in ((0.5, 0.16, 0.62), (0.52, 0.1, 0.5)):
        peaks = random.uniform(0, scene.aspect, 5)
        height = np.max([tall * random.uniform(0.6, 1.1) - 0.75 * np.abs(columns - peak) for peak in peaks], 0)
        ridge = base - np.maximum(height, 0.02) + 0.006 * noise(1, scene.width, 14, random)[0]
        bend = 0.04 * noise(scene.height, scene.width, scene.height / 14, random)
        nearest = peaks[np.abs(columns[:, None] - peaks).argmin(-1)]
        lit = scene.x + bend > nearest
        shade = np.where(lit, light + 0.22, light - 0.2)
        scene.put(scene.y > ridge, FAR, shade, np.where(lit, 0.9, pi - 1.0).astype(np.float32))


def _hill(scene: Scene, matter: int, level: float, tall: float, waves: float, random: np.random.Generator) -> None:
    """Furrows run along a hill's curve; what falls away from the light is dark."""
    phase = random.uniform(0, 2 * pi, 2)
    curve = np.sin(waves * scene.x + phase[0]) + 0.4 * np.sin(2.7 * waves * scene.x + phase[1])
    top = level - tall * curve
    slope = -tall * waves * (np.cos(waves * scene.x + phase[0]) + 1.08 * np.cos(2.7 * waves * scene.x + phase[1]))
    deep = np.clip((scene.y - top) / 0.25, 0, 1)
    light = 0.62 - 1.1 * slope * (1 - deep) - 0.25 * deep
    light += 0.1 * noise(scene.height, scene.width, scene.height / 12, random)
    scene.put(scene.y > top, matter, light, np.arctan(slope * (1 - deep)) + 0.35 * deep)


def _lake(scene: Scene, random: np.random.Generator) -> None:
    """A flat light with dark reflections that are drawn out sideways."""
    shore = 0.575 + 0.008 * noise(1, scene.width, scene.width / 9, random)[0]
    ripples = noise(scene.height, scene.width // 8, scene.height / 60, random)
    wide = np.asarray(Image.fromarray(ripples).resize((scene.width, scene.height), Image.Resampling.BICUBIC))
    under = np.clip((scene.y - shore) / 0.09, 0, 1)
    light = 0.3 + 0.6 * under + 0.35 * wide * (1 - 0.5 * under)
    where = (scene.y > shore) & (np.abs(scene.x - 0.62 * scene.aspect) < 0.5 * scene.aspect - 4 * (scene.y - shore))
    scene.put(where, WATER, light, 0.0)


def _house(scene: Scene, x: float, y: float, size: float) -> None:
    """A lit gable, a wall in the shade, and a roof. No doors and windows: a teacher puts them into every light wall."""

    def part(points: list[tuple[float, float]], matter: int, light: float, way: float) -> None:
        mask = Image.new("1", (scene.width, scene.height))
        places = [((x + size * a) * scene.height, (y + size * b) * scene.height) for a, b in points]
        ImageDraw.Draw(mask).polygon(places, fill=1)
        scene.put(np.asarray(mask), matter, light, way)

    part([(-1.1, -0.75), (0, -0.75), (0, 0.35), (-1.1, 0.25)], WALL, 0.3, pi / 2)
    part([(0, -0.75), (0.45, -1.2), (0.9, -0.7), (0.9, 0.25), (0, 0.35)], WALL, 0.96, 0.0)
    part([(-1.25, -0.68), (-0.75, -1.25), (0.45, -1.25), (-0.08, -0.65)], ROOF, 0.5, 2.25)
    part([(0.45, -1.25), (0.52, -1.25), (1.0, -0.68), (0.9, -0.68)], ROOF, 0.15, 0.8)


def _tree(scene: Scene, x: float, y: float, size: float, random: np.random.Generator) -> None:
    """A crown of balls, its shadow on the ground to the left."""
    shade = np.hypot((scene.x - x + size) / (1.9 * size), (scene.y - y) / (0.3 * size)) < 1
    scene.put(shade, FIELD, 0.12, 0.0)
    trunk = (np.abs(scene.x - x) < 0.13 * size) & (scene.y < y) & (scene.y > y - 1.2 * size)
    scene.put(trunk, TRUNK, 0.15 + (scene.x - x) / size * 2, pi / 2)
    for a, b, radius in ((0, -1.9, 0.85), (-0.75, -1.35, 0.75), (0.75, -1.4, 0.75), (0, -1.1, 0.7), (0.2, -2.1, 0.6)):
        _ball(scene, LEAF, (x + a * size, y + b * size), (radius * size, radius * size), random)


def _cypress(scene: Scene, x: float, y: float, tall: float, random: np.random.Generator) -> None:
    """A dark flame: the deepest shade of all, its strokes rise."""
    up = np.clip((y + 0.03 - scene.y) / tall, 0, 1)
    sway = 0.014 * noise(scene.height, 1, scene.height / 6, random)
    ragged = noise(scene.height, scene.width, scene.height / 60, random)
    wide = 0.13 * tall * np.clip(np.sin(pi * up**0.62), 0, 1) ** 0.8
    across = (scene.x - x - sway) / np.maximum(wide, 1e-4) + 0.25 * ragged
    where = (np.abs(across) < 1) & (scene.y > y - tall) & (scene.y < y + 0.01)
    light = 0.05 + 0.4 * np.clip(across, 0, 1) ** 2 + 0.1 * noise(scene.height, scene.width, 16, random)
    scene.put(where, LEAF, light, pi / 2 + 0.5 * across)


def _ball(
    scene: Scene, matter: int, centre: tuple[float, float], radii: tuple[float, float], random: np.random.Generator
) -> None:
    where, light, around, box = _dome(scene, centre, radii)
    if matter == LEAF:
        ragged = noise(where.shape[0], where.shape[1], 14, random)
        where &= (
            np.hypot((scene.x[box] - centre[0]) / radii[0], (scene.y[box] - centre[1]) / radii[1])
            < 0.95 - 0.07 * ragged
        )
    scene.put(where, matter, 0.06 + 0.9 * light**1.2, around, box)


def _dome(scene: Scene, centre: tuple[float, float], radii: tuple[float, float]) -> tuple[Mask, Plane, Plane, Box]:
    """Where half an ellipsoid is seen, how light it is there, the way around it, and its box."""
    box = scene.box(centre, radii)
    a, b = (scene.x[box] - centre[0]) / radii[0], (scene.y[box] - centre[1]) / radii[1]
    square = a**2 + b**2
    toward = np.sqrt(np.clip(1 - square, 0, 1))
    light = np.clip(a * LIGHT[0] + b * LIGHT[1] + toward * LIGHT[2], 0, 1)
    return square < 1, light, np.arctan2(b, a) + pi / 2, box


Draw = Callable[[Scene, np.random.Generator], NDArray[np.uint8]]
"""A hand: what it makes of a scene, (H, W, 3) uint8 sRGB"""
