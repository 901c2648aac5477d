"""What a material does with its textures, and our nodes in it: put in, taken out again, or made the artist's own.

A texture's role is where its colours end up: in a Principled BSDF's Base Color, Roughness, Metallic; through a Normal
Map or Bump node in what light sees of the surface; as the factor of a mix in a mask. Base colours are painted. All else
are numbers, which a painting would spoil.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined, arg-type, return-value, index, misc"

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import bpy

from . import scene_io
from .scene_io import GROUP, ROLE

COLOUR = "Base Color"
EMISSION = "Emission"
UNUSED = "Unused"
AMBIENT = "Ambient Occlusion"
MAP = "Relief"
"""ROLE of a Normal Map node of ours"""
_NORMALS = {"NORMAL_MAP": "Normal", "BUMP": "Height", "DISPLACEMENT": "Height", "VECTOR_DISPLACEMENT": "Height"}
_NAMES = {
    "Color": COLOUR,
    "Subsurface Color": COLOUR,
    "Emission Color": EMISSION,
    "Emission Strength": EMISSION,
    "Fac": "Mask",
    "Factor": "Mask",
}
_MIXES = {"MIX", "MIX_RGB", "MIX_SHADER"}
_At = tuple[Any, tuple[Any, ...]]
"""An output, and the group nodes that it lies in, from the outermost"""

LOOKED_AT = 60
"""Nodes, where nobody may notice that they are looked at: less than a millisecond"""


# ---------------------------------------------------------------- roles


def textures(material: bpy.types.Material) -> Iterator[tuple[bpy.types.Node, str]]:
    """The texture nodes of the artist's with an image, and the role of each. Those inside node groups are left out."""
    if material.node_tree is None:
        return
    links = _Links()
    for node in material.node_tree.nodes:
        if is_texture_node(node):
            yield node, role_of(node, links)


def is_texture_node(node: Any) -> bool:
    """One of the artist's, with an image. By the name of its class: for `type` some versions look it up in a table."""
    return node.bl_idname == "ShaderNodeTexImage" and node.image is not None and not node.get(ROLE)


def may_show(owners: Iterable[bpy.types.Material], role: str) -> bool:
    """Has any of them a texture of that role? For what Blender asks whenever it draws: of materials of more than
    LOOKED_AT nodes that is not known, and counts as yes."""
    for number, (node, links) in enumerate((node, links) for owner in owners for node, links in _nodes(owner)):
        if number >= LOOKED_AT or (is_texture_node(node) and role_of(node, links) == role):
            return True
    return False


def _nodes(material: bpy.types.Material) -> Iterator[tuple[Any, _Links]]:
    links = _Links()
    for node in material.node_tree.nodes if material.node_tree is not None else ():
        yield node, links


@dataclass(eq=False)
class _Links:
    """Where sockets lead, for many textures of a material. Of one socket Blender looks through all links of its tree,
    so they are looked through once. Only good until somebody changes a tree."""

    trees: set[int] = field(default_factory=set)
    """Those that were looked through"""
    by_socket: dict[int, list[tuple[Any, Any]]] = field(default_factory=dict)
    """(node, socket) that a socket feeds"""
    steps: dict[tuple[int, ...], tuple[set[str], list[_At]]] = field(default_factory=dict)
    """By socket, and the groups that it lies in: see _step"""

    def of(self, output: Any) -> list[tuple[Any, Any]]:
        tree = output.id_data
        if tree.as_pointer() not in self.trees:
            self.trees.add(tree.as_pointer())
            for link in tree.links:
                self.by_socket.setdefault(link.from_socket.as_pointer(), []).append((link.to_node, link.to_socket))
        return self.by_socket.get(output.as_pointer(), [])


def role_of(node: bpy.types.Node, links: _Links | None = None) -> str:
    """Base Color, Normal, Roughness, Metallic, Height, Mask ..., several where a texture is packed; Unused."""
    links = links or _Links()
    ends = _ends(node.outputs["Color"], links) or _ends(node.outputs["Alpha"], links)
    if node.image.colorspace_settings.is_data:
        ends = {"Mask" if end in (COLOUR, EMISSION) else end for end in ends}
    elif COLOUR in ends:
        return AMBIENT if _is_ambient(node) else COLOUR
    return ", ".join(sorted(ends)) or UNUSED


def _is_ambient(node: bpy.types.Node) -> bool:
    """Is it multiplied into the colour, and called so? By its nodes alone it could as well be the other of the two."""
    name = re.split(r"[^a-z]+", node.image.name.lower())
    mixed = any(getattr(link.to_node, "blend_type", "") == "MULTIPLY" for link in node.outputs["Color"].links)
    return mixed and any(word in ("ao", "occlusion", "ambientocclusion", "cavity") for word in name)


def _ends(output: Any, links: _Links) -> set[str]:
    """The names of shader inputs that a socket reaches."""
    found: set[str] = set()
    seen: set[tuple[int, ...]] = set()
    waiting: list[_At] = [(output, ())]
    while waiting:
        place = waiting.pop()
        key = (place[0].as_pointer(), *(group.as_pointer() for group in place[1]))
        if key not in seen:
            seen.add(key)
            if key not in links.steps:
                links.steps[key] = _step(*place, links)
            found |= links.steps[key][0]
            waiting += links.steps[key][1]
    return found


def _step(output: Any, inside: tuple[Any, ...], links: _Links) -> tuple[set[str], list[_At]]:
    """What a socket feeds: names of shader inputs, and the outputs behind all else."""
    fed = [(_end_of(node, socket), node, socket) for node, socket in links.of(output)]
    behind = [after for name, node, socket in fed if not name for after in _beyond(node, socket, inside)]
    return {name for name, *_ in fed if name}, behind


def _end_of(node: Any, socket: Any) -> str:
    """What a texture is for that ends up here; empty where it only passes through."""
    kind = node.type
    if kind in _NORMALS and socket.name != "Normal":
        return _NORMALS[kind]
    if kind in _MIXES and (socket.name.startswith("Fac") or socket.identifier.startswith("Factor")):
        return "Mask"
    if kind == "EMISSION":
        return EMISSION
    is_shader = kind == "OUTPUT_MATERIAL" or any(out.type == "SHADER" for out in node.outputs)
    return _NAMES.get(socket.name, socket.name) if is_shader and socket.type != "SHADER" else ""


def _beyond(node: Any, socket: Any, inside: tuple[Any, ...]) -> Iterator[_At]:
    """Where it goes on behind a node: into a group, out of one, or to all of its outputs."""
    kind = node.type
    if kind == "GROUP" and node.node_tree is not None:
        for start in [start for start in node.node_tree.nodes if start.type == "GROUP_INPUT"]:
            yield from ((out, (*inside, node)) for out in start.outputs if out.identifier == socket.identifier)
    elif kind == "GROUP_OUTPUT":
        if inside:
            yield from ((out, inside[:-1]) for out in inside[-1].outputs if out.identifier == socket.identifier)
    else:
        yield from ((out, inside) for out in node.outputs)


def of_objects(objects: Iterable[bpy.types.Object]) -> list[bpy.types.Material]:
    """Their materials, each once, in order."""
    found = (slot.material for thing in objects for slot in thing.material_slots if slot.material is not None)
    return list(dict.fromkeys(found))


def is_texture(image: bpy.types.Image) -> bool:
    """Does any material show it?"""
    return any(shown_by(material, image) for material in bpy.data.materials)


def shown_by(material: bpy.types.Material, image: bpy.types.Image) -> list[Any]:
    """The nodes of a material that show an image, ours as well"""
    nodes = material.node_tree.nodes if material.node_tree is not None else ()
    return [node for node in nodes if node.bl_idname == "ShaderNodeTexImage" and node.image == image]


# ---------------------------------------------------------------- where relief goes


@dataclass(frozen=True)
class ReliefMaps:
    """The maps that light sees beside a colour texture."""

    normal: str = ""
    """The image; empty: none yet"""
    roughness: str = ""
    rough: float = 0.5
    """Where there is no roughness map"""
    makes: tuple[str, ...] = ()
    """Which of them can be made anew: others are computed by nodes, or lie in other places of the surface"""


def relief_maps(material: bpy.types.Material, image: bpy.types.Image) -> ReliefMaps:
    """Those of the Principled BSDF whose Base Color is this image"""
    colour = next((node for node, role in textures(material) if node.image == image and role == COLOUR), None)
    shader = _principled(material)
    if colour is None or shader is None:
        return ReliefMaps()
    normal, rough = _map_at(normal_socket(shader), colour), _map_at(shader.inputs["Roughness"], colour)
    makes = tuple(name for name, found in (("Normal", normal), ("Roughness", rough)) if found is not None)
    return ReliefMaps(normal or "", rough or "", min(max(shader.inputs["Roughness"].default_value, 0), 1), makes)


def _principled(material: bpy.types.Material) -> Any:
    return next((node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"), None)


def normal_socket(shader: Any) -> Any:
    """Where a normal map goes in: the colour of the Normal Map node there, the artist's or ours; else the socket that
    one could feed, behind Bump nodes; None where other nodes feed that."""
    socket = shader.inputs["Normal"]
    while socket.links and socket.links[0].from_node.type == "BUMP":
        socket = socket.links[0].from_node.inputs["Normal"]
    if not socket.links:
        return socket
    node = socket.links[0].from_node
    return node.inputs["Color"] if node.type == "NORMAL_MAP" and node.space == "TANGENT" else None


def _map_at(socket: Any, colour: Any) -> str | None:
    """The image that feeds a socket; empty where nothing does, None where something else does, or where it lies on the
    surface in another way than the colours."""
    if socket is None:
        return None
    link = socket.links[0] if socket.links else None
    if link is not None and link.from_node.get(ROLE) == GROUP:
        original = link.from_node.inputs["Original"]
        link = original.links[0] if original.links else None
    if link is None:
        return ""
    node = link.from_node
    is_map = node.type == "TEX_IMAGE" and link.from_socket.name == "Color" and node.image is not None
    return node.image.name if is_map and _lies_alike(node, colour) else None


def _lies_alike(one: Any, other: Any) -> bool:
    ways = [[link.from_socket for link in node.inputs["Vector"].links] for node in (one, other)]
    return ways[0] == ways[1] and one.projection == other.projection


def wire_relief(
    material: bpy.types.Material, colour: bpy.types.Image, maps: ReliefMaps, made: dict[str, bpy.types.Image]
) -> None:
    """The new maps behind those they were made from; where there was none, through a group of ours before the shader.
    made: by Normal, Roughness."""
    node = next((node for node, _ in textures(material) if node.image == colour), None)
    shader = _principled(material)
    if node is None or shader is None or material.library is not None:
        return
    for name, image in made.items():
        old = bpy.data.images.get(maps.normal if name == "Normal" else maps.roughness)
        if old is not None:
            scene_io.wire_material(material, old, image, None)
        else:
            flat = (0.5, 0.5, 1.0) if name == "Normal" else (maps.rough,) * 3
            socket = _new_normal_map(shader) if name == "Normal" else shader.inputs["Roughness"]
            _feed_alone(material.node_tree, socket, flat, node, image)


def _new_normal_map(shader: Any) -> Any:
    """The colour of a Normal Map node of ours; the one that is there already, if it is."""
    socket = normal_socket(shader)
    if socket.node.type == "NORMAL_MAP":
        return socket
    tree = shader.id_data
    node = tree.nodes.new("ShaderNodeNormalMap")
    node[ROLE], node.label = MAP, "Pentimento Relief"
    node.location = (shader.location.x - 200, shader.location.y - 700)
    tree.links.new(node.outputs["Normal"], socket)
    return node.inputs["Color"]


def _feed_alone(tree: Any, socket: Any, flat: tuple[float, ...], like: Any, image: bpy.types.Image) -> None:
    """A group of ours that has no texture of the artist's behind it, only the value that was there."""
    if socket.links:
        group = socket.links[0].from_node
    else:
        group = scene_io.new_group_node(tree)
        group.inputs["Original"].default_value = (*flat, 1.0)
        group.location = (socket.node.location.x - 220, socket.node.location.y)
        tree.links.new(group.outputs["Result"], socket)
    scene_io.feed_texture(tree, group, "Stylized", like, image)


# ---------------------------------------------------------------- back, or for good


def groups(material: bpy.types.Material) -> list[bpy.types.Node]:
    """Ours in a material that is the artist's to change"""
    if material.node_tree is None or material.library is not None:
        return []
    return [node for node in material.node_tree.nodes if node.get(ROLE) == GROUP]


def may_be_painted(owners: Iterable[bpy.types.Material]) -> bool:
    """Are there groups of ours in any of them? For what Blender asks whenever it draws, as in `may_show`."""
    if not any(tree.users for tree in bpy.data.node_groups if tree.get(ROLE) == GROUP):
        return False
    ours = (owner for owner in owners if owner.library is None)
    nodes = (node for owner in ours for node, _ in _nodes(owner))
    return any(number >= 10 * LOOKED_AT or node.get(ROLE) == GROUP for number, node in enumerate(nodes))


def revert(material: bpy.types.Material) -> set[bpy.types.Image]:
    """The material as it was before anything of ours came in. Returns the images that it no longer shows."""
    tree, shown = material.node_tree, set()
    for group in groups(material):
        source = _source(group)
        for socket in [link.to_socket for link in group.outputs["Result"].links]:
            if socket.node.get(ROLE) == MAP:
                tree.nodes.remove(socket.node)
            elif source is not None:
                tree.links.new(source, socket)
        shown |= _remove(tree, group)
    _forget_groups()
    return shown


def apply(material: bpy.types.Material) -> int:
    """What was painted takes the place of the originals, whatever Mix says; nodes of ours go, or become the artist's.
    Originals stay in the file. Returns how many were replaced."""
    tree, count = material.node_tree, 0
    for group in groups(material):
        painted = _feeder(group, "Stylized")
        source = _source(group)
        fed = [link.to_socket for link in group.outputs["Result"].links]
        if painted is not None and painted.image is not None:
            count += 1
            for name in (scene_io.SOURCE, scene_io.LIES_ON):  # a texture of its own from here on
                painted.image.pop(name, None)
            source = _put_in_place(painted, source)
        for socket in fed:
            if socket.node.get(ROLE) == MAP:
                del socket.node[ROLE]
                socket.node.label = ""
            if source is not None:
                tree.links.new(source, socket)
        _remove(tree, group)
    _forget_groups()
    return count


def _put_in_place(painted: Any, source: Any) -> Any:
    """Returns the socket that gives the painted texture from now on."""
    if source is not None and source.node.type == "TEX_IMAGE":
        source.node.image.use_fake_user = True
        source.node.image = painted.image
        if (uv := _own_map(painted)) is not None:
            painted.id_data.links.new(uv.outputs["UV"], source.node.inputs["Vector"])
            for setting in scene_io.LIES:
                setattr(source.node, setting, getattr(painted, setting))
        return source
    _own_map(painted)
    del painted[ROLE]
    painted.label = ""
    return painted.outputs["Color"]


def _own_map(painted: Any) -> Any:
    """The UV Map node of ours by which it lies on the surface, the artist's from here on; None where there is none."""
    links = painted.inputs["Vector"].links
    uv = links[0].from_node if links and links[0].from_node.get(ROLE) == scene_io.UV else None
    if uv is not None:
        del uv[ROLE]
        uv.label = ""
    return uv


def _source(group: Any) -> Any:
    links = group.inputs["Original"].links
    return links[0].from_socket if links else None


def _feeder(group: Any, socket: str) -> Any:
    """The node of ours that feeds a socket of the group"""
    return next((link.from_node for link in group.inputs[socket].links if link.from_node.get(ROLE) == socket), None)


def _remove(tree: Any, group: Any) -> set[bpy.types.Image]:
    """The group and what of ours feeds it. Returns the images that were shown."""
    feeders = [node for socket in ("Stylized", "Overlay") if (node := _feeder(group, socket)) is not None]
    shown = {node.image for node in feeders if node.image is not None}
    for node in (*feeders, group):
        tree.nodes.remove(node)
    scene_io.forget_maps(tree)
    return shown


def _forget_groups() -> None:
    """Node groups of ours that nothing uses any more"""
    for tree in [tree for tree in bpy.data.node_groups if tree.get(ROLE) == GROUP and tree.users == 0]:
        bpy.data.node_groups.remove(tree)
