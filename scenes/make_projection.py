"""Makes docs/images/projection.jpg: a mesh painted from six views, seen from between them. Needs bpy.

python scenes/make_projection.py [--style NAME ...] [--output FILE.jpg] [--size 2048] [--views 1024]

The add-on is installed from its zip in a profile of its own, and its button is pressed. Says what that took, and what
Attribution.Views says.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from math import radians
from pathlib import Path
from typing import Any

from PIL import Image

REPO = Path(__file__).resolve().parent.parent
EDGE = 420
"""Pixels of each picture"""
COLOURS = (
    *((0.30, (0.03, 0.07, 0.25)), (0.43, (0.10, 0.30, 0.40)), (0.50, (0.75, 0.45, 0.10))),
    *((0.60, (0.80, 0.70, 0.45)), (0.70, (0.45, 0.08, 0.04))),
)
"""Of Suzanne: no image, so that nothing but views can tell them"""


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as profile:
        os.environ["BLENDER_USER_RESOURCES"] = profile  # before Blender is imported
        make(arguments, Path(profile))
    return 0


def make(arguments: argparse.Namespace, folder: Path) -> None:
    import bpy

    sys.path.insert(0, str(REPO))
    from press_buttons import install, press

    import build_addon

    bpy.ops.wm.read_factory_settings(use_empty=True)
    install(build_addon.build(), None)
    scene: Any = bpy.context.scene
    thing = suzanne()
    camera_between(scene, thing)
    light(scene)
    pictures = [look(scene, folder / "before.png")]
    chosen = scene.pentimento_projection
    chosen.size, chosen.view_size = arguments.size, arguments.views
    for number, style in enumerate(arguments.style):
        scene.pentimento.style = style
        pressed = press(scene, "project_views")
        overlay: Any = bpy.data.images[next(name for name in pressed["images"] if "Attribution" in name)]
        print(f"{style}: {pressed['seconds']} s. {overlay['pentimento_sentence']}", flush=True)
        pictures.append(look(scene, folder / f"{number}.png"))
    sheet = Image.new("RGB", (EDGE * len(pictures), EDGE))
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (EDGE * number, 0))
    sheet.save(arguments.output, quality=88)


def suzanne() -> Any:
    import bpy

    bpy.ops.mesh.primitive_monkey_add()
    thing: Any = bpy.context.object
    thing.modifiers.new("Round", "SUBSURF").levels = 2
    thing.modifiers["Round"].render_levels = 2
    bpy.ops.object.shade_smooth()
    material: Any = bpy.data.materials.new("Glaze")
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    where, noise, ramp = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("TexCoord", "TexNoise", "ValToRGB"))
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 2.2, 3
    stops = ramp.color_ramp.elements
    while len(stops) < len(COLOURS):
        stops.new(0.5)
    for stop, (position, colour) in zip(stops, COLOURS, strict=True):
        stop.position, stop.color = position, (*colour, 1)
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.7
    tree.links.new(where.outputs["Object"], noise.inputs["Vector"])
    tree.links.new(noise.outputs[0], ramp.inputs[0])
    tree.links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
    thing.data.materials.append(material)
    return thing


def camera_between(scene: Any, thing: Any) -> None:
    """Half way between the views from the front, from the side, and from above"""
    import bpy
    from mathutils import Vector

    camera: Any = bpy.data.objects.new("Between", bpy.data.cameras.new("Between"))
    way = Vector((0.64, -0.64, 0.42))
    camera.location, camera.rotation_euler = way * 6.2, way.to_track_quat("Z", "Y").to_euler()
    camera.data.angle = radians(27)
    scene.collection.objects.link(camera)
    scene.camera = camera


def light(scene: Any) -> None:
    import bpy

    sun: Any = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 1.6, (0.7, 0.3, 0.5)
    scene.collection.objects.link(sun)
    scene.world = bpy.data.worlds.new("World")
    if scene.world.node_tree is None:
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.62, 0.64, 0.66, 1)


def look(scene: Any, path: Path) -> Image.Image:
    import bpy

    scene.render.engine, scene.view_settings.view_transform = "CYCLES", "Standard"
    scene.cycles.samples, scene.cycles.use_denoising = 16, False
    scene.render.resolution_x = scene.render.resolution_y = EDGE * 2
    scene.render.image_settings.file_format, scene.render.filepath = "PNG", str(path)
    bpy.ops.render.render(write_still=True)
    return Image.open(path).convert("RGB").resize((EDGE, EDGE), Image.Resampling.LANCZOS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Paint a mesh from views, and look at it.")
    parser.add_argument("--style", action="append")
    parser.add_argument("--output", type=Path, default=REPO / "docs" / "images" / "projection.jpg")
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--views", type=int, default=1024)
    arguments = parser.parse_args()
    arguments.style = arguments.style or ["Starry Night", "Wheat Field"]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
