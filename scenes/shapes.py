"""Simple meshes with UVs, linked to the current scene. Needs bpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import bpy

Point = tuple[float, float, float]
Profile = Sequence[tuple[float, float]]
"""(radius, height) in metres, from the bottom up, to be turned on a lathe."""
Thing = Any
"""A bpy object. Blender's stubs make nearly every attribute optional, which would drown what a scene says."""


def mesh(
    name: str, corners: Sequence[Point], faces: Sequence[Sequence[int]], uv: Sequence[tuple[float, float]]
) -> Thing:
    """A mesh object with one UV per corner."""
    data: Thing = bpy.data.meshes.new(name)
    data.from_pydata(list(corners), [], [tuple(face) for face in faces])
    layer = data.uv_layers.new(name="UVMap")
    for loop in data.loops:
        layer.data[loop.index].uv = uv[loop.vertex_index]
    data.update()
    return link(bpy.data.objects.new(name, data))


def link(thing: Thing) -> Thing:
    """Put an object into the scene."""
    scene: Thing = bpy.context.scene
    scene.collection.objects.link(thing)
    return thing


def sheet(name: str, columns: int, rows: int, place: Callable[[float, float], Point]) -> Thing:
    """A smooth grid of quads; `place(u, v)` with u, v in 0..1 says where each corner lies."""
    uv = [(column / columns, row / rows) for row in range(rows + 1) for column in range(columns + 1)]
    step = columns + 1
    starts = [row * step + column for row in range(rows) for column in range(columns)]
    thing = mesh(name, [place(u, v) for u, v in uv], [(i, i + 1, i + 1 + step, i + step) for i in starts], uv)
    return smooth(thing)


def lathe(name: str, profile: Profile, location: Point, rotation: Point = (0, 0, 0), turns: int = 32) -> Thing:
    """The profile turned around the vertical axis."""

    def place(u: float, v: float) -> Point:
        radius, height = profile[round(v * (len(profile) - 1))]
        return radius * math.cos(2 * math.pi * u), radius * math.sin(2 * math.pi * u), height

    thing = sheet(name, turns, len(profile) - 1, place)
    thing.modifiers.new("Weld", "WELD").merge_threshold = 1e-4  # closes the seam and the poles
    thing.location, thing.rotation_euler = location, rotation
    return smooth(thing, levels=2)


def ball(name: str, location: Point, radius: float, tilt: float) -> Thing:
    outline = [(radius * math.sin(math.pi * i / 12), -radius * math.cos(math.pi * i / 12)) for i in range(13)]
    return lathe(name, outline, location, rotation=(tilt, tilt / 2, 0))


def box(name: str, location: Point, size: Point) -> Thing:
    """A box with slightly rounded edges."""
    bpy.ops.mesh.primitive_cube_add(size=1.0, location=location)
    thing: Thing = bpy.context.object
    thing.name, thing.scale = name, size
    bevel = thing.modifiers.new("Bevel", "BEVEL")
    bevel.width, bevel.segments = 0.01, 2
    return thing


def tube(name: str, path: Sequence[Point], radius: float, location: Point, turn: float) -> Thing:
    """A round tube along a smooth path."""
    curve = bpy.data.curves.new(name, "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", radius, 4
    spline = curve.splines.new("BEZIER")
    spline.bezier_points.add(len(path) - 1)
    for point, place in zip(spline.bezier_points, path, strict=True):
        point.co = place
        point.handle_left_type = point.handle_right_type = "AUTO"
    thing = link(bpy.data.objects.new(name, curve))
    thing.location, thing.rotation_euler = location, (0, 0, turn)
    return thing


def smooth(thing: Thing, levels: int = 0) -> Thing:
    """Shade smooth; with levels, subdivide too."""
    for polygon in thing.data.polygons:
        polygon.use_smooth = True
    if levels:
        modifier = thing.modifiers.new("Subdivision", "SUBSURF")
        modifier.levels = modifier.render_levels = levels
    return thing


def move(thing: Thing, path: str, index: int, first: float, last: float, frames: int = 24) -> None:
    """Animate one channel evenly from frame 1 on. No easing: neighbouring frames would hardly differ."""
    for frame, value in ((1, first), (1 + frames, last)):
        getattr(thing, path)[index] = value
        thing.keyframe_insert(path, index=index, frame=frame)
    for curve in _curves(thing.animation_data.action):
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"


def _curves(action: Any) -> Any:
    if hasattr(action, "fcurves"):  # up to 4.5
        return action.fcurves
    return action.layers[0].strips[0].channelbags[0].fcurves
