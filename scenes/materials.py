"""Procedural materials: patterns in rest-pose coordinates, coloured by ramps. Needs bpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

Colour = tuple[float, float, float]
"""Scene-linear Rec.709."""
Ramp = Sequence[tuple[float, Colour]]
"""Colours by position 0..1."""
Nodes = Any
"""A bpy node tree, node or socket; see shapes.Thing."""


def plain(name: str, colour: Colour, roughness: float) -> Nodes:
    """A material of one colour."""
    material: Nodes = bpy.data.materials.new(name)
    material.use_nodes = True
    surface = _surface(material)
    surface.inputs["Base Color"].default_value = (*colour, 1)
    surface.inputs["Roughness"].default_value = roughness
    return material


def patterned(
    name: str,
    colours: Ramp,
    scale: float,
    roughness: float,
    bump: float = 0.0,
    metallic: float = 0.0,
    stretch: Colour = (1.0, 1.0, 1.0),
) -> Nodes:
    """Noise that picks its colours from a ramp, with an optional relief."""
    material = plain(name, colours[0][1], roughness)
    tree = material.node_tree
    _surface(material).inputs["Metallic"].default_value = metallic
    pattern = noise(tree, scale, 4.0, stretch)
    tree.links.new(ramp(tree, colours, pattern), _surface(material).inputs["Base Color"])
    if bump:
        _relief(material, pattern, bump)
    return material


def planks(name: str, colours: Ramp) -> Nodes:
    """Wood: distorted bands across Y."""
    material = plain(name, colours[0][1], 0.38)
    tree = material.node_tree
    wave = tree.nodes.new("ShaderNodeTexWave")
    wave.bands_direction = "Y"
    for setting, value in (("Scale", 3.0), ("Distortion", 5.0), ("Detail", 4.0)):
        wave.inputs[setting].default_value = value
    tree.links.new(_coordinate(tree, "Generated", (1.0, 7.0, 1.0)), wave.inputs["Vector"])
    tree.links.new(ramp(tree, colours, wave.outputs[1]), _surface(material).inputs["Base Color"])
    _relief(material, wave.outputs[1], 0.12)
    return material


def printed(name: str, image: Nodes, repeats: float) -> Nodes:
    """An image texture in UV coordinates, wired straight into the colour."""
    material = plain(name, (0.8, 0.8, 0.8), 0.9)
    tree = material.node_tree
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = image
    tree.links.new(_coordinate(tree, "UV", (repeats, repeats, 1.0)), texture.inputs["Vector"])
    tree.links.new(texture.outputs["Color"], _surface(material).inputs["Base Color"])
    return material


def banded(name: str, colours: Ramp) -> Nodes:
    """Glazed bands around a pot: colour by height, with hard edges."""
    material = plain(name, colours[0][1], 0.18)
    tree = material.node_tree
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(_coordinate(tree, "Generated", (1.0, 1.0, 1.0)), split.inputs[0])
    glaze = ramp(tree, colours, split.outputs["Z"])
    glaze.node.color_ramp.interpolation = "CONSTANT"
    tree.links.new(glaze, _surface(material).inputs["Base Color"])
    return material


def sky(world: Nodes, colours: Ramp, cloud: Colour, strength: float) -> None:
    """A gradient from the horizon up (position = sine of the elevation), with soft clouds where noise says so."""
    world.use_nodes = True
    tree = world.node_tree
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(_coordinate(tree, "Generated", (1.0, 1.0, 1.0)), split.inputs[0])
    mix = tree.nodes.new("ShaderNodeMixRGB")
    cover = ramp(tree, [(0.52, (0, 0, 0)), (0.66, (0.8, 0.8, 0.8))], noise(tree, 3.4, 5.0, (1.0, 1.0, 7.0)))
    tree.links.new(cover, mix.inputs["Fac"])
    tree.links.new(ramp(tree, colours, split.outputs["Z"]), mix.inputs["Color1"])
    mix.inputs["Color2"].default_value = (*cloud, 1)
    background = tree.nodes["Background"]
    background.inputs["Strength"].default_value = strength
    tree.links.new(mix.outputs["Color"], background.inputs["Color"])


# ---------------------------------------------------------------- building blocks: each returns an output socket


def ramp(tree: Nodes, colours: Ramp, factor: Nodes) -> Nodes:
    node = tree.nodes.new("ShaderNodeValToRGB")
    elements = node.color_ramp.elements
    while len(elements) < len(colours):
        elements.new(0.5)
    for element, (position, colour) in zip(elements, colours, strict=True):
        element.position, element.color = position, (*colour, 1)
    tree.links.new(factor, node.inputs[0])
    return node.outputs["Color"]


def noise(tree: Nodes, scale: float, detail: float, stretch: Colour) -> Nodes:
    node = tree.nodes.new("ShaderNodeTexNoise")
    node.inputs["Scale"].default_value, node.inputs["Detail"].default_value = scale, detail
    tree.links.new(_coordinate(tree, "Generated", stretch), node.inputs["Vector"])
    return node.outputs[0]


def _coordinate(tree: Nodes, space: str, stretch: Colour) -> Nodes:
    source = tree.nodes.new("ShaderNodeTexCoord")
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = stretch
    tree.links.new(source.outputs[space], mapping.inputs["Vector"])
    return mapping.outputs["Vector"]


def _relief(material: Nodes, height: Nodes, strength: float) -> None:
    tree = material.node_tree
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value, bump.inputs["Distance"].default_value = strength, 0.02
    tree.links.new(height, bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], _surface(material).inputs["Normal"])


def _surface(material: Nodes) -> Nodes:
    return material.node_tree.nodes["Principled BSDF"]
