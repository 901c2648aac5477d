"""Run by a Python with bpy: renders a tiny scene with every light pass and all cryptomattes into a multilayer EXR.

python render_passes.py out.exr '{"samples": 2, "denoise": false, "transparent": false, "depth": "32"}'
"""

from __future__ import annotations

import json
import sys
from typing import Any

import bpy

LIGHT_PASSES = [
    f"use_pass_{family}_{kind}"
    for family in ("diffuse", "glossy", "transmission")
    for kind in ("direct", "indirect", "color")
]
OTHER_PASSES = [
    "use_pass_emit",
    "use_pass_environment",
    "use_pass_z",
    "use_pass_mist",
    "use_pass_normal",
    "use_pass_position",
    "use_pass_vector",
    "use_pass_uv",
    "use_pass_object_index",
    "use_pass_material_index",
    "use_pass_ambient_occlusion",
    "use_pass_cryptomatte_object",
    "use_pass_cryptomatte_material",
    "use_pass_cryptomatte_asset",
]


def main() -> None:
    out, options = sys.argv[-2], json.loads(sys.argv[-1])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    build(scene)
    configure(scene, options)
    scene.render.filepath = out
    bpy.ops.render.render(write_still=True)


def build(scene: Any) -> None:
    """Floor, painted monkey, mirror ball, glass cube, glowing lamp, fog: a bit of every light pass."""
    bpy.ops.mesh.primitive_plane_add(size=20)
    bpy.context.object.data.materials.append(material("Floor", (0.5, 0.4, 0.3), roughness=0.6))
    add("Suzanne", bpy.ops.mesh.primitive_monkey_add, (-1.6, 0, 1), material("Painted", (0.1, 0.3, 0.8), roughness=0.4))
    add("Ball", bpy.ops.mesh.primitive_uv_sphere_add, (0.6, 0.3, 1), material("Mirror", (0.9, 0.8, 0.6), metallic=1.0))
    add("Glass", bpy.ops.mesh.primitive_cube_add, (3.1, 0, 1), material("Glass", (0.9, 1.0, 0.9), transmission=1.0))
    add("Lamp", bpy.ops.mesh.primitive_ico_sphere_add, (0, 4, 3.2), material("Glow", (1.0, 0.5, 0.2), emission=6.0))
    add("Fog", bpy.ops.mesh.primitive_cube_add, (-3.6, 1, 1), fog())
    bpy.data.objects["Suzanne"].pass_index = 7
    light = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    light.data.energy, light.rotation_euler = 3, (0.6, 0.3, 0)
    scene.collection.objects.link(light)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location, camera.rotation_euler = (0, -9, 3), (1.35, 0, 0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.world = bpy.data.worlds.new("World")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.2, 0.3, 0.5, 1)


def add(name: str, operator: Any, location: tuple[float, float, float], made_of: Any) -> None:
    operator(location=location)
    bpy.context.object.name = name
    bpy.context.object.data.materials.append(made_of)


def material(
    name: str,
    colour: tuple[float, float, float],
    roughness: float = 0.1,
    metallic: float = 0.0,
    transmission: float = 0.0,
    emission: float = 0.0,
) -> Any:
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    inputs = made.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value = (*colour, 1)
    inputs["Roughness"].default_value = roughness
    inputs["Metallic"].default_value = metallic
    inputs["Transmission Weight"].default_value = transmission
    inputs["Emission Color"].default_value = (*colour, 1)
    inputs["Emission Strength"].default_value = emission
    return made


def fog() -> Any:
    made = bpy.data.materials.new("Fog")
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.remove(tree.nodes["Principled BSDF"])
    scatter = tree.nodes.new("ShaderNodeVolumeScatter")
    scatter.inputs["Density"].default_value = 0.7
    tree.links.new(scatter.outputs["Volume"], tree.nodes["Material Output"].inputs["Volume"])
    return made


def configure(scene: Any, options: dict[str, Any]) -> None:
    layer = scene.view_layers[0]
    for name in LIGHT_PASSES + OTHER_PASSES:
        setattr(layer, name, True)
    layer.cycles.use_pass_volume_direct = layer.cycles.use_pass_volume_indirect = True
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = options["samples"]
    scene.cycles.use_denoising = options["denoise"]
    scene.render.film_transparent = options["transparent"]
    scene.render.resolution_x, scene.render.resolution_y = options.get("size", (64, 36))
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER"
    settings.color_depth, settings.exr_codec = options["depth"], "ZIP"


if __name__ == "__main__":
    main()
