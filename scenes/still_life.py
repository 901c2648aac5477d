"""The project's own animated scene: lunch on a table above the hills, in late-afternoon light. Needs bpy.

Everything is made here: no file is read, nothing is downloaded (Suzanne ships with Blender). The scene has what a
stylization must cope with: a smooth sky, fine texture, hard edges, soft shadows, moving objects and a moving camera.
Lengths are metres; the table top lies at height 0, the camera looks along +Y.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import bpy
from materials import Ramp, banded, patterned, plain, planks, printed, sky
from shapes import Point, Profile, Thing, ball, box, lathe, link, mesh, move, sheet, smooth, tube
from textures import new_image, tablecloth

PASSES = ("z", "normal", "position", "vector", "uv", "object_index", "diffuse_color", "cryptomatte_object")
"""The passes beside Combined, as view layers call them."""

TEXTURE = "Tablecloth"
"""The one image texture, on the object `Cloth`; all other materials are procedural."""


@dataclass(frozen=True)
class Shoot:
    """How the scene is rendered."""

    width: int = 640
    height: int = 360
    samples: int = 16
    """Few: the denoiser does the rest, and the demo must be quick on two cores."""
    frames: int = 2


def build(shoot: Shoot) -> Thing:
    """A fresh file with the scene in it, ready to render with every pass the add-on reads."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene: Thing = bpy.context.scene
    landscape()
    table()
    tableware()
    fruit()
    bust()
    light(scene)
    camera(scene)
    number(scene)
    render_settings(scene, shoot)
    return scene


# ---------------------------------------------------------------- what stands where


def landscape() -> None:
    meadow = [(0.25, (0.12, 0.20, 0.035)), (0.5, (0.30, 0.33, 0.05)), (0.75, (0.62, 0.47, 0.10))]
    green = [(0.3, (0.10, 0.19, 0.17)), (0.7, (0.20, 0.29, 0.20))]
    fields = patterned("Meadow", meadow, 9.0, 0.95, stretch=(1.0, 4.0, 1.0))
    blue = [(0.3, (0.16, 0.23, 0.36)), (0.8, (0.26, 0.33, 0.45))]
    ground("Meadow", Ground(y=32.0, depth=58.0, rise=1.3, base=-4.4, seed=3), fields)
    ground("Hills", Ground(y=80.0, depth=56.0, rise=8.4, base=-7.2, seed=11), patterned("Hills", green, 4.0, 0.95))
    far = patterned("Mountains", blue, 2.0, 0.95)
    ground("Mountains", Ground(y=170.0, depth=70.0, rise=24.0, base=-10.0, seed=20), far)
    chance = random.Random(5)
    places = [(-9.5, 24), (-8.2, 25.5), (-11.4, 27), (6.8, 30), (13.4, 27), (14.8, 29.5), (2.4, 38), (-3.0, 41)]
    for number, (x, y) in enumerate(places, start=1):
        cypress(f"Cypress {number}", (x, y, -4.4), chance)
    house((8.6, 33.0, -3.8))


@dataclass(frozen=True)
class Ground:
    """A strip of rolling land across the view."""

    y: float
    """Distance of its middle"""
    depth: float
    rise: float
    """Height of its crest over its base, roughly"""
    base: float
    seed: int
    """Chooses the phases of the sines it is a sum of"""


def ground(name: str, strip: Ground, material: Thing) -> None:
    chance = random.Random(strip.seed)
    waves = [(chance.uniform(0.25, 1.0), chance.uniform(0.2, 0.8), chance.uniform(0, 6.28), k) for k in range(5)]

    def place(u: float, v: float) -> Point:
        x, y = (u - 0.5) * (60 + 2 * strip.y), strip.y + strip.depth * (v - 0.5)
        across, along = 6 * x / (20 + strip.y), 3 * v
        height = sum(0.62**k * math.sin(2**k * (a * across + b * along) + phase) for a, b, phase, k in waves)
        # Never below a part of the crest: a dip would show the sky behind it, below the horizon.
        return x, y, strip.base + strip.rise * max(0.45, 0.65 + 0.35 * height) * math.sin(math.pi * v) ** 0.8

    sheet(name, 120, 40, place).data.materials.append(material)


def cypress(name: str, place: Point, chance: random.Random) -> None:
    height = chance.uniform(3.6, 5.4)
    outline = [(0, 0), (0.10, 0.02), (0.16, 0.2), (0.15, 0.45), (0.10, 0.72), (0.04, 0.92), (0, 1)]
    tree = lathe(name, [(r * height * chance.uniform(0.8, 1.15), h * height) for r, h in outline], place, turns=12)
    leaves = [(0.35, (0.012, 0.045, 0.018)), (0.65, (0.05, 0.12, 0.03))]
    tree.data.materials.append(patterned(name, leaves, 14.0, 0.9))


def house(place: Point) -> None:
    x, y, z = place
    box("House", (x, y, z + 0.9), (2.4, 1.8, 1.8)).data.materials.append(plain("Plaster", (0.80, 0.66, 0.48), 0.9))
    eaves = [(-1.35, -1.1, 0.0), (1.35, -1.1, 0.0), (1.35, 1.1, 0.0), (-1.35, 1.1, 0.0)]
    corners = [*eaves, (-1.35, 0.0, 0.95), (1.35, 0.0, 0.95)]
    faces = [(0, 1, 5, 4), (2, 3, 4, 5), (0, 4, 3), (1, 2, 5)]
    roof = mesh("Roof", corners, faces, [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0.5), (1, 0.5)])
    roof.location = (x, y, z + 1.8)
    roof.data.materials.append(plain("Tiles", (0.45, 0.12, 0.05), 0.8))


def table() -> None:
    wood: Ramp = [(0.2, (0.16, 0.062, 0.022)), (0.5, (0.33, 0.145, 0.05)), (0.8, (0.47, 0.235, 0.09))]
    box("Table", (0, 0.35, -0.04), (2.6, 1.7, 0.08)).data.materials.append(planks("Wood", wood))
    printed_linen = printed("Linen", new_image(TEXTURE, tablecloth()), repeats=3.0)
    sheet("Cloth", 90, 90, cloth).data.materials.append(printed_linen)


def cloth(u: float, v: float) -> Point:
    """Flat on the table with small ripples, folds where it hangs over the front edge."""
    x, y, edge = -0.95 + 1.25 * u + 0.10 * v, 1.0 - 1.35 * v, -0.52
    ripple = 0.012 * math.sin(9 * u + 5 * v) + 0.008 * math.sin(17 * u - 3 * v)
    if y > edge:
        return x, y, 0.012 + abs(ripple)
    return x, edge - 0.03 + 3 * ripple, 0.012 - (edge - y)


JUG: Profile = [
    *((0, 0), (0.17, 0), (0.2, 0.02), (0.27, 0.16), (0.285, 0.28), (0.23, 0.44), (0.135, 0.56), (0.125, 0.64)),
    *((0.165, 0.74), (0.15, 0.735), (0.11, 0.63), (0.12, 0.55), (0, 0.5)),
]
BOWL: Profile = [
    *((0, 0), (0.14, 0), (0.15, 0.025), (0.26, 0.085), (0.345, 0.19), (0.36, 0.215), (0.335, 0.20)),
    *((0.25, 0.105), (0.13, 0.055), (0, 0.05)),
]


def tableware() -> None:
    deep, white = (0.015, 0.075, 0.28), (0.72, 0.68, 0.55)
    bands: Ramp = [
        *((0.0, (0.012, 0.05, 0.2)), (0.30, (0.02, 0.10, 0.36)), (0.42, white)),
        *((0.50, (0.02, 0.11, 0.38)), (0.56, white), (0.62, deep)),
    ]
    jug = lathe("Jug", JUG, (-0.42, 0.42, 0))
    jug.data.materials.append(banded("Blue glaze", bands))
    handle = tube("Handle", [(-0.14, 0, 0.66), (-0.37, 0, 0.55), (-0.26, 0, 0.28)], 0.027, (-0.42, 0.42, 0), 0.5)
    handle.data.materials.append(plain("Handle glaze", deep, 0.2))
    clay = [(0.3, (0.36, 0.105, 0.035)), (0.7, (0.56, 0.20, 0.07))]
    lathe("Bowl", BOWL, (0.42, 0.30, 0)).data.materials.append(patterned("Terracotta", clay, 9.0, 0.55, bump=0.15))


PEAR: Profile = [
    *((0, 0.01), (0.05, 0), (0.105, 0.035), (0.135, 0.10), (0.125, 0.165), (0.085, 0.235)),
    *((0.058, 0.29), (0.04, 0.325), (0.012, 0.335), (0, 0.33)),
]
APPLE: Profile = [
    *((0, 0.018), (0.04, 0.004), (0.085, 0.02), (0.128, 0.09), (0.13, 0.15), (0.10, 0.205)),
    *((0.06, 0.222), (0.025, 0.205), (0, 0.175)),
]
LEMON: Profile = [
    *((0, -0.185), (0.02, -0.178), (0.03, -0.15), (0.068, -0.105), (0.098, -0.05), (0.105, 0)),
    *((0.098, 0.05), (0.068, 0.105), (0.028, 0.145), (0, 0.152)),
]


def fruit() -> None:
    orange = patterned("Orange", [(0.35, (0.86, 0.24, 0.012)), (0.65, (0.98, 0.37, 0.03))], 40.0, 0.35, bump=0.25)
    places = [(0.30, 0.24, 0.175), (0.51, 0.21, 0.18), (0.44, 0.42, 0.18), (0.40, 0.30, 0.31)]
    for number, place in enumerate(places, start=1):
        ball(f"Orange {number}", place, 0.118, tilt=number * 1.3).data.materials.append(orange)
    yellow = patterned("Lemon", [(0.35, (0.88, 0.60, 0.02)), (0.65, (0.97, 0.79, 0.10))], 30.0, 0.38, bump=0.2)
    for number, (x, y, turn) in enumerate([(0.02, -0.09, 0.5), (-0.20, 0.02, 2.2)], start=1):
        lathe(f"Lemon {number}", LEMON, (x, y, 0.103), (math.pi / 2, 0, turn)).data.materials.append(yellow)
    green: Ramp = [(0.3, (0.30, 0.36, 0.035)), (0.55, (0.52, 0.50, 0.06)), (0.75, (0.62, 0.30, 0.05))]
    pear = lathe("Pear", PEAR, (-0.86, 0.12, 0), (0.05, 0.12, 0))
    pear.data.materials.append(patterned("Pear", green, 4.0, 0.42, bump=0.06))
    stem(pear, 0.325)
    red: Ramp = [(0.30, (0.42, 0.012, 0.018)), (0.55, (0.60, 0.04, 0.025)), (0.8, (0.80, 0.36, 0.06))]
    apple = lathe("Apple", APPLE, (-0.60, -0.12, 0))
    apple.data.materials.append(patterned("Apple", red, 3.0, 0.25, bump=0.03, stretch=(3.0, 3.0, 0.6)))
    stem(apple, 0.175)
    move(apple, "location", 0, -0.60, -0.10)


def stem(on: Thing, height: float) -> None:
    """A little stem that goes where its fruit goes."""
    twig = lathe(
        f"{on.name} stem", [(0, 0), (0.008, 0), (0.006, 0.05), (0.010, 0.09), (0, 0.09)], (0, 0, height), turns=8
    )
    twig.rotation_euler = (0.15, 0.25, 0)
    twig.parent = on
    twig.data.materials.append(plain("Bark", (0.06, 0.03, 0.012), 0.8))


def bust() -> None:
    bpy.ops.mesh.primitive_monkey_add(size=0.58, location=(0.09, 0.74, 0.445), rotation=(-0.15, 0, 0.25))
    head: Thing = bpy.context.object
    head.name = "Suzanne"
    smooth(head, levels=2)
    patina: Ramp = [(0.30, (0.05, 0.22, 0.18)), (0.52, (0.14, 0.42, 0.33)), (0.75, (0.50, 0.30, 0.09))]
    head.data.materials.append(patterned("Patina", patina, 5.0, 0.45, bump=0.2, metallic=0.35))
    move(head, "rotation_euler", 2, 0.25, 1.45)
    foot = lathe(
        "Plinth", [(0, 0), (0.2, 0), (0.2, 0.05), (0.15, 0.07), (0.13, 0.13), (0.15, 0.16), (0, 0.16)], (0.09, 0.77, 0)
    )
    stone: Ramp = [(0.3, (0.25, 0.23, 0.2)), (0.7, (0.48, 0.45, 0.4))]
    foot.data.materials.append(patterned("Stone", stone, 12.0, 0.8, bump=0.3))


# ---------------------------------------------------------------- light, camera, render


def light(scene: Thing) -> None:
    """A warm, low sun from the left; a sky that is peach at the horizon and blue above."""
    lamp: Thing = bpy.data.lights.new("Sun", "SUN")
    lamp.energy, lamp.angle, lamp.color = 4.2, math.radians(2.5), (1.0, 0.80, 0.56)
    link(bpy.data.objects.new("Sun", lamp)).rotation_euler = (math.radians(58), 0, math.radians(-62))
    scene.world = bpy.data.worlds.new("Sky")
    gradient: Ramp = [
        *((0.0, (0.99, 0.66, 0.32)), (0.05, (0.93, 0.74, 0.52)), (0.10, (0.50, 0.66, 0.76))),
        *((0.16, (0.25, 0.48, 0.74)), (0.5, (0.12, 0.32, 0.66))),
    ]
    sky(scene.world, gradient, cloud=(1.0, 0.90, 0.78), strength=0.85)


def camera(scene: Thing) -> None:
    """On a short arc around the table, always looking at its middle."""
    target = link(bpy.data.objects.new("Target", None))
    target.location = (-0.08, 0.35, 0.485)
    scene.camera = link(bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera")))
    scene.camera.data.lens = 41.0
    pivot = link(bpy.data.objects.new("Pivot", None))
    pivot.location = target.location
    scene.camera.parent, scene.camera.location = pivot, (0, -2.9, 0.315)
    move(pivot, "rotation_euler", 2, math.radians(-8), math.radians(22))
    follow = scene.camera.constraints.new("TRACK_TO")
    follow.target, follow.track_axis, follow.up_axis = target, "TRACK_NEGATIVE_Z", "UP_Y"


def number(scene: Thing) -> None:
    """Object indices for the IndexOB pass: 1, 2, ... in the order of the names."""
    for index, thing in enumerate(sorted(scene.objects, key=lambda item: item.name), start=1):
        thing.pass_index = index


def render_settings(scene: Thing, shoot: Shoot) -> None:
    render = scene.render
    render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", shoot.samples
    scene.cycles.use_denoising, scene.cycles.denoiser = True, "OPENIMAGEDENOISE"
    scene.cycles.max_bounces = 5
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    render.resolution_x, render.resolution_y, render.resolution_percentage = shoot.width, shoot.height, 100
    render.use_motion_blur = False  # the Vector pass is empty with it
    scene.frame_start, scene.frame_end = 1, shoot.frames
    # Standard shows what the style sees: no second tone curve between the layer and the eye.
    scene.view_settings.view_transform = "Standard"
    for name in PASSES:
        setattr(scene.view_layers[0], f"use_pass_{name}", True)
