"""Textures as artists have them: files of every depth, UDIM tile sets, materials with PBR sets, baked atlases."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from blender import bpy, new_image, pixels_of


def write_png16(path: Path, values: np.ndarray) -> Path:
    """(H, W, 3 | 4) uint16, top row first"""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in parts
        )
    )
    return path


def file_of(addon: Any, path: Path, pixels: np.ndarray) -> Path:
    """A PNG of bytes or an EXR of floats, from rows as Blender keeps them (bottom first)."""
    rows = pixels[::-1]
    is_float = path.suffix == ".exr"
    data = addon.encode.exr(rows) if is_float else addon.encode.png(np.rint(rows * 255).astype(np.uint8))
    path.write_bytes(data)
    return path


def random(size: tuple[int, int] = (48, 32), seed: int = 0, channels: int = 3) -> np.ndarray:
    """(H, W, C) of whole bytes, 0..1"""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels)).astype(np.float32) / 255


def tile_files(addon: Any, folder: Path, numbers: tuple[int, ...], suffix: str = "png", **more: Any) -> Any:
    """A UDIM image of files of several sizes"""
    folder.mkdir(exist_ok=True)
    for place, number in enumerate(numbers):
        file_of(addon, folder / f"wood.{number}.{suffix}", random((32 + 16 * place, 32), number, **more))
    image = bpy.data.images.load(str(folder / f"wood.{numbers[0]}.{suffix}"))
    image.source = "TILED"
    return image


def tiles_of(addon: Any, image: Any, folder: Path) -> dict[int, np.ndarray]:
    """The pixels of every tile, (H, W, 4) as Blender keeps them"""
    found = {}
    for tile in addon.udim.tiles(image, folder):
        one = bpy.data.images.load(str(tile.file))
        addon.udim._set_meaning(one, image, tile.is_copy)
        found[tile.number] = pixels_of(one).copy()
        bpy.data.images.remove(one)
    return found


def surface(name: str, image: Any, **maps: Any) -> Any:
    """A selected plane whose material has a base colour, and other textures: Normal through a Normal Map node, Height
    through Bump, the others straight into the shader; AO multiplied into the colour."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new()
    layer.data.foreach_set("uv", [0, 0, 1, 0, 1, 1, 0, 1])
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.view_layer.objects.active = thing
    thing.select_set(True)
    material = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True
    mesh.materials.append(material)
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    for role, one in {"Base Color": image, **maps}.items():
        node = tree.nodes.new("ShaderNodeTexImage")
        node.name, node.image = role, one
        _plug(tree, shader, role, node)
    return material


def _plug(tree: Any, shader: Any, role: str, node: Any) -> None:
    if role in ("Normal", "Height"):
        between = tree.nodes.new("ShaderNodeNormalMap" if role == "Normal" else "ShaderNodeBump")
        tree.links.new(node.outputs["Color"], between.inputs["Color" if role == "Normal" else "Height"])
        tree.links.new(between.outputs["Normal"], shader.inputs["Normal"])
    elif role == "AO":
        mix = tree.nodes.new("ShaderNodeMixRGB")
        mix.blend_type = "MULTIPLY"
        before = shader.inputs["Base Color"].links[0].from_socket
        tree.links.new(before, mix.inputs[1])
        tree.links.new(node.outputs["Color"], mix.inputs[2])
        tree.links.new(mix.outputs[0], shader.inputs["Base Color"])
    else:
        tree.links.new(node.outputs["Color"], shader.inputs[role])


def data_image(name: str, size: tuple[int, int] = (48, 32)) -> Any:
    image = new_image(name, size)
    image.colorspace_settings.name = "Non-Color"
    return image


def normal_map(name: str, size: tuple[int, int] = (48, 32)) -> Any:
    """Unit normals that lean a little, as bytes"""
    image = data_image(name, size)
    leaning = np.random.default_rng(2).uniform(-0.3, 0.3, (size[1], size[0], 2))
    up = np.sqrt(1 - (leaning**2).sum(2, keepdims=True))
    values = np.concatenate((leaning / 2 + 0.5, up / 2 + 0.5, np.ones_like(up)), 2)
    image.pixels.foreach_set((np.rint(values * 255) / 255).astype(np.float32).ravel())
    image.update()
    return image


def state(material: Any) -> tuple[Any, ...]:
    """All that a material is made of: nodes with their images and places, links by socket."""
    tree = material.node_tree
    nodes = {
        (node.name, node.type, node.label, tuple(node.location), getattr(getattr(node, "image", None), "name", ""))
        for node in tree.nodes
    }
    links = {
        (link.from_node.name, link.from_socket.identifier, link.to_node.name, link.to_socket.identifier)
        for link in tree.links
    }
    values = {
        (node.name, socket.identifier, tuple(socket.default_value) if socket.type == "RGBA" else socket.default_value)
        for node in tree.nodes
        for socket in node.inputs
        if socket.type in ("RGBA", "VALUE")
    }
    return nodes, links, values
