"""What the add-on's tests build in Blender, and what they read from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="this Python has no bpy: Blender has wheels for Python 3.11 only")

FAKE_WORKER = Path(__file__).resolve().parents[1] / "fake_worker.py"


def new_image(name: str = "Stone", size: tuple[int, int] = (48, 32), is_float: bool = False, **options: Any) -> Any:
    """An image of random pixels. Floats go from -0.5 to 8, with alpha 1."""
    image = bpy.data.images.new(name, *size, float_buffer=is_float, **options)
    pixels = np.random.default_rng(7).random((size[1] * size[0], 4), np.float32)
    if is_float:
        pixels = pixels * 8.5 - 0.5
        pixels[:, 3] = 1
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    return image


def waves(name: str, phase: float = 0.0, is_float: bool = False) -> Any:
    """An open image of coloured waves, 112 x 96, without a file."""
    y, x = np.mgrid[0:96, 0:112] / 20.0
    image = bpy.data.images.new(name, 112, 96, float_buffer=is_float)
    colours = (np.sin(3 * x + phase), np.sin(2 * y + phase), np.sin(x + y + phase))
    pixels = np.stack([*[(wave + 1) / 2 for wave in colours], np.ones_like(x)], 2).astype(np.float32)
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    return image


def pixels_of(image: Any) -> np.ndarray:
    """(H, W, 4) float32, bottom row first"""
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(image.size[1], image.size[0], -1)


def use_in_material(image: Any) -> Any:
    """An active object whose active material shows the image."""
    scene = bpy.context.scene
    thing = bpy.data.objects.new("Thing", bpy.data.meshes.new("Thing"))
    scene.collection.objects.link(thing)
    bpy.context.view_layer.objects.active = thing
    material = bpy.data.materials.new("Surface")
    if material.node_tree is None:
        material.use_nodes = True
    thing.data.materials.append(material)
    tree = material.node_tree
    texture, where = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeTexCoord")
    texture.image, texture.extension = image, "EXTEND"
    tree.links.new(where.outputs["UV"], texture.inputs["Vector"])
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    tree.links.new(texture.outputs["Color"], shader.inputs["Emission Color"])
    return material


def wiring(tree: Any) -> set[str]:
    """The links as text, nodes by label, else by name."""
    return {
        f"{link.from_node.label or link.from_node.name}.{link.from_socket.name} -> "
        f"{link.to_node.label or link.to_node.name}.{link.to_socket.name}"
        for link in tree.links
    }


def new_scene(size: tuple[int, int] = (48, 32)) -> Any:
    """Something to render in a moment: a bright lamp-like world, a cube, a camera; Cycles with one sample."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.render.resolution_x, scene.render.resolution_y = size
    bpy.ops.mesh.primitive_cube_add()
    scene.world = bpy.data.worlds.new("World")
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location.z = 6
    scene.collection.objects.link(camera)
    scene.camera = camera
    light = bpy.data.objects.new("Light", bpy.data.lights.new("Light", "POINT"))
    light.location, light.data.energy = (1, 1, 2.5), 3000
    scene.collection.objects.link(light)
    return scene


def compositor_of(scene: Any) -> Any:
    return scene.compositing_node_group if bpy.app.version >= (5, 0, 0) else scene.node_tree


def pump(jobs: Any, until: Callable[[], bool], seconds: float) -> float:
    """Calls the timer as Blender's window would, until something is true. Returns the seconds it took."""
    start = time.monotonic()
    while not until():
        assert time.monotonic() - start < seconds, f"still waiting: {jobs.current()}"
        jobs._tick()
        time.sleep(0.01)
    return time.monotonic() - start


def running(addon: Any) -> Any:
    """The training that is at work"""
    return addon.jobs.current(addon.jobs.TRAINING)


def ended(addon: Any) -> Any:
    """Waits for the end of a training. Returns its report."""
    pump(addon.jobs, lambda: running(addon) is None, 90)
    return addon.jobs.last_report(addon.jobs.TRAINING)


def layers_of(path: Path) -> dict[str, np.ndarray]:
    """Channels of an EXR by their full names, (H, W) each: of several parts, what is not named after its part is named
    after it."""
    import OpenEXR

    parts = OpenEXR.File(str(path), separate_channels=True).parts
    found = {}
    for part in parts:
        prefix = f"{part.name()}." if len(parts) > 1 else ""
        for name, channel in part.channels.items():
            found[name if name.startswith(prefix) else prefix + name] = channel.pixels
    return found
