"""How an image lies on surfaces: does it repeat there, and where is it shown? Asked when its turn comes in a job, a few
meshes at a time, so that a scene of heavy ones holds nobody up.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined, arg-type, return-value, index, misc"

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass

import bpy
import numpy as np

from . import compat, jobs, materials, props, scene_io, texels

MOST_FACES = 2_000_000
"""Triangles whose UV map is laid out; of more only alpha tells what is background"""


@dataclass(frozen=True)
class Use:
    """What is wanted to be known of an image."""

    tileable: str = "OFF"
    """OFF | ON | AUTO"""
    islands: bool = False
    """Which texels no surface shows"""


@dataclass(frozen=True)
class Laid:
    """How an image lies on surfaces."""

    tileable: str = "OFF"
    """As of `Use`"""
    islands: texels.Islands | None = None
    """Where it may be a baked texture"""

    def repeats(self, pictures: Iterable[scene_io.Gathered]) -> bool:
        """Does the picture wrap? Of several tiles each wraps for itself, if at all."""
        return self.tileable == "ON" or (self.tileable == "AUTO" and all(picture.wraps for picture in pictures))


@dataclass(frozen=True)
class _Shown:
    """Where a mesh shows an image. Names, for Blender has its turn before it is read."""

    mesh: tuple[str, str | None]
    """And the file that it is linked from"""
    slot: int
    uv_map: str
    """Empty: the one that renders"""


def use_of(context: bpy.types.Context) -> Use:
    """As the panel says"""
    return Use(props.settings(context).tileable, props.textures_settings(context).margin == "AUTO")


def use_as(context: bpy.types.Context, tileable: bool) -> Use:
    """As a recipe says: what is detected now is not asked."""
    return Use("ON" if tileable else "OFF", props.textures_settings(context).margin == "AUTO")


def laid(name: str, use: Use) -> Generator[None, None, Laid]:
    """Borders and background are only looked at where a material shows the image: those of a photo mean nothing."""
    image = scene_io.find_image(name)
    if use == Use() or not materials.is_texture(image):
        return Laid("ON" if use.tileable == "ON" else "OFF")
    # Tiles of a UDIM image lie beside each other: none goes on at its own other side.
    tileable = "OFF" if use.tileable == "AUTO" and image.source == "TILED" else use.tileable
    return Laid(tileable, texels.Islands((yield from _faces(image))) if use.islands else None)


def _faces(image: bpy.types.Image) -> Generator[None, None, tuple[texels.Faces, ...] | None]:
    """All faces that show the image; None where that cannot be told."""
    places = _places(image)
    if not places:
        return None
    found, count, end = [], 0, time.perf_counter() + jobs.BUDGET
    for place in places:
        if time.perf_counter() > end:
            yield
            end = time.perf_counter() + jobs.BUDGET
        mesh = _mesh_of(place)
        if mesh is None:
            continue  # removed meanwhile
        found.append(_read(mesh, place))
        count += found[-1].count
        if count > MOST_FACES:
            return None
    return tuple(found)


def _places(image: bpy.types.Image) -> list[_Shown]:
    """Each once, however many objects share a mesh; none where something shows it in another way than by a UV map, or
    is being edited: Blender keeps its UV maps to itself then."""
    ways = {owner: _ways(owner, image) for owner in bpy.data.materials}
    showing = {owner: maps for owner, maps in ways.items() if maps}
    found: dict[_Shown, None] = {}
    for thing in bpy.data.objects if showing else ():
        for number, slot in enumerate(thing.material_slots):
            maps = showing.get(slot.material, set())
            if maps and (thing.type != "MESH" or thing.data.is_editmode or None in maps):
                return []
            found.update((_Shown(_key(thing.data), number, name), None) for name in maps if name is not None)
    return list(found)


def _key(mesh: bpy.types.Mesh) -> tuple[str, str | None]:
    return mesh.name, mesh.library.filepath if mesh.library else None


def _ways(material: bpy.types.Material, image: bpy.types.Image) -> set[str | None]:
    """The UV maps by which a material shows an image, see _uv_map; nodes of ours are left out."""
    return {_uv_map(node) for node in materials.shown_by(material, image) if not node.get(scene_io.ROLE)}


def _uv_map(node: bpy.types.Node) -> str | None:
    """The UV map by which a texture lies on a mesh, empty for the active one; None where it lies in another way."""
    links = node.inputs["Vector"].links
    if node.projection != "FLAT":
        return None
    if not links:
        return ""
    before = links[0].from_node
    if before.type == "UVMAP":
        return before.uv_map
    return "" if before.type == "TEX_COORD" and links[0].from_socket.name == "UV" else None


def _mesh_of(place: _Shown) -> bpy.types.Mesh | None:
    try:
        mesh = bpy.data.meshes[place.mesh]
    except KeyError:
        return None
    return None if mesh.is_editmode else mesh


def _read(mesh: bpy.types.Mesh, place: _Shown) -> texels.Faces:
    """The faces of one material; what it takes to lay them out is for a thread."""
    maps = mesh.uv_layers
    layer = maps.get(place.uv_map) or next((uv for uv in maps if uv.active_render), None)
    starts = np.empty(len(mesh.polygons) if layer else 0, np.int32)
    if layer is None:
        return texels.Faces(starts, np.empty((0, 2), np.float32), np.empty(0, bool), None)
    mesh.polygons.foreach_get("loop_start", starts)
    places = compat.uv_places(layer, len(mesh.loops))
    sides = texels.corners_of(starts, len(places))
    cut = _cut(mesh) if sides.max(initial=0) > 4 else None
    slots, last = compat.face_slots(mesh), max(len(mesh.materials) - 1, 0)
    return texels.Faces(starts, places, np.minimum(slots, last) == place.slot, cut)


def _cut(mesh: bpy.types.Mesh) -> np.ndarray:
    """(T, 4): see texels.Faces"""
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    corners, faces = np.empty(3 * count, np.int32), np.empty(count, np.int32)
    mesh.loop_triangles.foreach_get("loops", corners)
    mesh.loop_triangles.foreach_get("polygon_index", faces)
    return np.column_stack((corners.reshape(-1, 3), faces))
