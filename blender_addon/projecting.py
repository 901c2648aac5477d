"""A mesh painted from views: what its cameras render, and where the new texture goes.

Views are rendered in a scene of our own, of a copy of the mesh as it stands: the artist's scene, its passes, its
cameras and its render settings are not touched, and there is nothing to put back. The scene is gone once it has
rendered.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="attr-defined, union-attr, arg-type, index, assignment, misc"

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector
from numpy.typing import NDArray

from . import compat, props, scene_io, switches
from .engine_client import EngineError, looks, protocol

NAME = "Pentimento Views"
"""Of the scene in which views are rendered, and all that is in it"""
UV_MAP = "Pentimento"
"""What a new UV map is called, with a number where that is taken"""
PASSES = ("position", "z")
COLOUR = {"Emit": "emit", "DiffCol": "diffuse_color"}
"""By the pass that is painted where light is left out: its switch"""
SAMPLES, LIT_SAMPLES = 8, 64
"""Of Cycles: colours are told by the first thing a ray meets, light takes more rays"""
ANGLE = math.radians(25)
"""How wide our own cameras see: so little that what faces them is seen straight on, also beside the middle"""
ROOM = 1.04
"""Of a view, beside the object"""
SMOOTH = math.radians(66)
"""Angle up to which Smart UV Project, as Blender has it, keeps faces on one island"""


@dataclass(frozen=True)
class Plan:
    """A texture that has yet to be made. Names, not references: undo replaces what those point at."""

    scene: str
    thing: str
    """The object"""
    material: str
    """Whose faces are painted; empty where the object has none yet"""
    slot: int
    uv: str
    """The UV map that the texture lies on; the name of a new one where `new_uv`"""
    new_uv: bool
    texture: str
    """The image that shows on that map so far, as it is: painted where no view sees the object. Empty: none"""
    cameras: tuple[str, ...]
    """Empty: our own"""
    count: int
    view_size: int
    size: int
    margin: int
    light: bool
    style: str
    """What results are named after"""
    how: protocol.StylizeSettings
    guides: tuple[str, ...]
    """What styles are told of a view beside its colours: switches of passes"""
    notes: tuple[str, ...] = ()
    """What the artist should know"""


@dataclass(frozen=True, eq=False)
class Shape:
    """What a mesh was when the job began."""

    corners: NDArray[np.float32]
    """(T, 3, 8): see protocol.MeshBlock; the faces of the material alone"""
    uv: NDArray[np.float32]
    """(L * 2,) of the new UV map, in the order of the mesh's own corners; empty where there is none"""


# ---------------------------------------------------------------- what it starts from


def plan(context: bpy.types.Context) -> Plan:
    """What the panel says, checked as far as it costs nothing."""
    chosen, look = props.projection.settings(context), props.settings(context)
    thing = _thing(context)
    material = thing.active_material
    texture, uv = _lies_on(thing, material)
    new = UV_MAP if chosen.new_uv else ""
    while new in thing.data.uv_layers:
        new = f"{UV_MAP}.{int(new.rpartition('.')[2] or 0) + 1:03d}" if "." in new else f"{UV_MAP}.001"
    how = _how(look, "Combined" if chosen.light else _colour_pass(material))
    return Plan(
        *(context.scene.name, thing.name, material.name if material else "", thing.active_material_index),
        *(new or uv, bool(new), "" if new or texture is None or chosen.light else texture.name),
        *(_cameras(context, chosen.cameras), chosen.count, chosen.view_size, chosen.size, chosen.margin, chosen.light),
        *(props.look_name(look), how, switches.needed(replace(how, painted_pass="Combined"), props.guides(look))),
        notes=tuple(_notes(thing, material)),
    )


def why_not(context: bpy.types.Context) -> str:
    """For the panel: why there is nothing to paint; empty where there is."""
    try:
        thing = _thing(context)
        _lies_on(thing, thing.active_material)
        _cameras(context, props.projection.settings(context).cameras)
    except EngineError as error:
        return str(error)
    return ""


def _thing(context: bpy.types.Context) -> bpy.types.Object:
    thing = context.object
    if thing is None or thing.type != "MESH":
        raise EngineError("The active object is no mesh.", "Select the object that is to be painted.")
    if thing.mode == "EDIT":
        raise EngineError(f"{thing.name!r} is being edited.", "Leave Edit Mode first.")
    if thing.library is not None or thing.data.library is not None:
        raise EngineError(f"{thing.name!r} is linked from another file.", "Press Object > Relations > Make Local.")
    if not thing.data.uv_layers and not props.projection.settings(context).new_uv:
        raise EngineError(f"{thing.name!r} has no UV map.", "Switch New UV Map on, or unwrap it.")
    return thing


def _colour_pass(material: bpy.types.Material | None) -> str:
    """What tells the colour of a surface. Diffuse Color lacks what a coat or metal takes of it, so the copy shines by
    itself in the very colour that arrives at the material's shader; where it has none such, Diffuse Color must do."""
    return "DiffCol" if material is None or _colour_socket(material) is None else "Emit"


def _how(look: Any, painted_pass: str) -> protocol.StylizeSettings:
    """Views have no masks, and their overlay is their own."""
    how = props.stylize_settings(look, is_render=False)
    if how.strength_of or any(part.mask for part in props.all_styles(look)):
        raise EngineError(
            "Masks are for textures as they lie flat, not for views of a mesh.", "Remove them in Mixing and Controls."
        )
    return replace(how, overlays=(), tileable=False, painted_pass=painted_pass)


def _cameras(context: bpy.types.Context, which: str) -> tuple[str, ...]:
    if which == "AROUND":
        return ()
    cameras = [thing for thing in context.scene.objects if thing.type == "CAMERA"]
    found = [thing for thing in cameras if which == "ALL" or thing.select_get()]
    found.sort(key=lambda thing: thing.name)
    if not found:
        raise EngineError("There is no such camera.", "Select cameras beside the object, or choose Views: Around It.")
    for camera in found:
        if camera.data.type not in ("PERSP", "ORTHO"):
            raise EngineError(
                f"The camera {camera.name!r} is neither perspective nor orthographic.", "Choose other cameras."
            )
    return tuple(camera.name for camera in found)


def _lies_on(thing: bpy.types.Object, material: bpy.types.Material | None) -> tuple[bpy.types.Image | None, str]:
    """The image that is the material's colour, as it is, and the UV map it lies on; else no image, and the map that
    renders."""
    maps = thing.data.uv_layers
    usual = next((layer.name for layer in maps if layer.active_render), "")
    node = _texture_node(material)
    if node is None or node.image.source in {"TILED", "SEQUENCE", "MOVIE"} or 0 in node.image.size[:]:
        return None, usual
    uv = _map_of(node, usual)
    return (node.image, uv) if uv in maps else (None, usual)


def _texture_node(material: bpy.types.Material | None) -> Any:
    """What the colour of a material comes from where that is an image, nodes of ours left out"""
    target = _colour_socket(material) if material else None
    source = target.links[0].from_node if target and target.links else None
    if source is not None and source.get(scene_io.ROLE) == scene_io.GROUP:
        links = source.inputs["Original"].links
        source = links[0].from_node if links else None
    return source if source is not None and source.type == "TEX_IMAGE" and source.image else None


def _map_of(node: Any, usual: str) -> str:
    """The UV map that an image lies on; empty where it lies otherwise"""
    if node.projection != "FLAT":
        return ""
    if not node.inputs["Vector"].links:
        return usual
    link = node.inputs["Vector"].links[0]
    if link.from_node.type == "UVMAP":
        return link.from_node.uv_map or usual
    return usual if link.from_node.type == "TEX_COORD" and link.from_socket.name == "UV" else ""


def _notes(thing: bpy.types.Object, material: bpy.types.Material | None) -> Iterator[str]:
    if material is None:
        return
    if len([slot for slot in thing.material_slots if slot.material]) > 1:
        yield f"Only the faces with the material {material.name!r} are painted."
    if others := [other for other in bpy.data.objects if other != thing and _uses(other, material)]:
        yield f"The material {material.name!r} is on {others[0].name!r} too, which shows the new texture as well."


def _uses(thing: bpy.types.Object, material: bpy.types.Material) -> bool:
    return any(slot.material == material for slot in thing.material_slots) and not _is_ours(thing)


# ---------------------------------------------------------------- a scene of our own


def requests(chosen: Plan, shape: list[Shape], blocking: bool) -> Generator[Any, Any, str]:
    """Renders the views, then asks for the texture. shape: takes the mesh, for `take`."""
    with scene_io.scratch() as folder:
        with _stage(chosen) as (scene, found):
            shape.append(found)
            views = yield from _rendered(chosen, scene, Path(folder), blocking)
        yield (yield from _request(chosen, found, views, folder))
    return "\n".join(chosen.notes)


def _request(
    chosen: Plan, shape: Shape, views: tuple[protocol.CameraView, ...], folder: str
) -> Generator[None, None, protocol.ProjectRequest]:
    mesh = Path(folder, "mesh.raw")
    with scene_io.artist_words("The mesh could not be written"):
        mesh.write_bytes(shape.corners.tobytes())
    texture = None
    if chosen.texture:
        texture = (yield from scene_io.gather(scene_io.find_image(chosen.texture), folder)).source
    return protocol.ProjectRequest(
        *(props.new_job(), chosen.thing, protocol.MeshBlock(str(mesh), len(shape.corners)), views, chosen.how, folder),
        *(chosen.size, chosen.size, texture, chosen.margin, "pixels"),
    )


@contextmanager
def _stage(chosen: Plan) -> Iterator[tuple[str, Shape]]:
    """The name of the scene of our own, with the mesh and its cameras in it until they have rendered."""
    try:
        scene = _ours(bpy.data.scenes.new(NAME))
        shape = _copied(chosen, scene)
        _set_up(chosen, scene)
        yield scene.name, shape
    finally:
        _clear()


def _ours(thing: Any) -> Any:
    """A datablock of the scene of our own"""
    thing[scene_io.ROLE] = NAME
    return thing


def _is_ours(thing: Any) -> bool:
    return thing.get(scene_io.ROLE) == NAME


def _clear() -> None:
    """Found by what marks them: while it rendered, an undo may have replaced everything."""
    for kept in (bpy.data.objects, bpy.data.meshes, bpy.data.cameras, bpy.data.materials, bpy.data.scenes):
        for thing in filter(_is_ours, list(kept)):
            kept.remove(thing)


def _copied(chosen: Plan, scene: bpy.types.Scene) -> Shape:
    """A mesh without modifiers where the object stands, as the viewport shows it: what is rendered is what is laid out,
    corner by corner."""
    thing = bpy.data.objects[chosen.thing]
    uv = _unwrapped(thing, chosen.uv, scene) if chosen.new_uv else np.zeros(0, np.float32)
    source, layer = (scene.objects[0], scene.view_layers[0]) if chosen.new_uv else (thing, bpy.context.view_layer)
    layer.update()
    evaluated = source.evaluated_get(layer.depsgraph)
    mesh = bpy.data.meshes.new_from_object(evaluated, preserve_all_data_layers=True, depsgraph=layer.depsgraph)
    mesh.name = NAME
    copy = _ours(bpy.data.objects.new(NAME, _ours(mesh)))
    place = thing.evaluated_get(bpy.context.view_layer.depsgraph).matrix_world.copy()
    for other in list(scene.objects):
        bpy.data.objects.remove(other)
    scene.collection.objects.link(copy)
    copy.matrix_world = place
    _keep_materials(thing, mesh)
    if chosen.material:
        mesh.materials[chosen.slot] = _unpainted(bpy.data.materials[chosen.material], chosen)
    return Shape(_corners(mesh, chosen, np.array(place)), uv)


def _keep_materials(thing: bpy.types.Object, mesh: bpy.types.Mesh) -> None:
    """Materials may be the object's, not the mesh's; generated coordinates are those of the mesh before modifiers."""
    for number, slot in enumerate(thing.material_slots):
        if number < len(mesh.materials):
            mesh.materials[number] = slot.material
        else:
            mesh.materials.append(slot.material)
    mesh.use_auto_texspace = False
    mesh.texspace_location, mesh.texspace_size = thing.data.texspace_location, thing.data.texspace_size


def _unpainted(material: bpy.types.Material, chosen: Plan) -> bpy.types.Material:
    """A copy that shows what the material was before it was painted; shining by itself where light is left out."""
    copy = _ours(material.copy())
    for group in [node for node in _nodes(copy) if node.get(scene_io.ROLE) == scene_io.GROUP]:
        group.inputs["Mix"].default_value = group.inputs["Overlay Mix"].default_value = 0.0
    if chosen.how.painted_pass == "Emit":
        tree, target = copy.node_tree, _colour_socket(copy)
        shine = tree.nodes.new("ShaderNodeEmission")
        shine.inputs["Color"].default_value = target.default_value
        for link in target.links:
            tree.links.new(link.from_socket, shine.inputs["Color"])
        tree.links.new(shine.outputs[0], _output_of(copy).inputs["Surface"])
    return copy


def _nodes(material: bpy.types.Material) -> list[Any]:
    return list(material.node_tree.nodes) if material.node_tree else []


def _unwrapped(thing: bpy.types.Object, name: str, scene: bpy.types.Scene) -> NDArray[np.float32]:
    """A new UV map for a copy of the object, with its modifiers, which is left in the scene. (L * 2,)"""
    copy = _ours(thing.copy())
    copy.name, copy.data = NAME, _ours(thing.data.copy())
    copy.data.name = NAME
    scene.collection.objects.link(copy)
    maps = copy.data.uv_layers
    maps.active = maps.new(name=name)
    layer = scene.view_layers[0]
    layer.objects.active = copy
    copy.select_set(True, view_layer=layer)
    where = {"scene": scene, "view_layer": layer, "object": copy, "active_object": copy, "selected_objects": [copy]}
    with bpy.context.temp_override(**where):
        bpy.ops.object.mode_set(mode="EDIT")
        with bpy.context.temp_override(**where, edit_object=copy):
            bpy.ops.mesh.reveal(select=True)
            bpy.ops.mesh.select_all(action="SELECT")
            bpy.ops.uv.smart_project(angle_limit=SMOOTH, island_margin=0.004)
        bpy.ops.object.mode_set(mode="OBJECT")
    found = np.zeros(len(copy.data.loops) * 2, np.float32)
    copy.data.uv_layers[name].data.foreach_get("uv", found)
    return found


def _corners(mesh: bpy.types.Mesh, chosen: Plan, place: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T, 3, 8): see protocol.MeshBlock; of the faces with the material."""
    compat.calculate_normals(mesh)
    mesh.calc_loop_triangles()
    triangles = mesh.loop_triangles
    if chosen.uv not in mesh.uv_layers:
        raise EngineError(f"The modifiers of {chosen.thing!r} leave no UV map {chosen.uv!r}.", "Apply or remove them.")
    points = _read(mesh.vertices, "co", 3)[_read(triangles, "vertices", 3, np.int32)]
    uv = _read(mesh.uv_layers[chosen.uv].data, "uv", 2)[_read(triangles, "loops", 3, np.int32)]
    normals = _read(triangles, "split_normals", 9).reshape(-1, 3, 3) @ np.linalg.inv(place[:3, :3])
    normals = normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
    places = points @ place[:3, :3].T + place[:3, 3]
    slots = max(len(mesh.materials), 1)
    mine = np.clip(_read(triangles, "material_index", 1, np.int32)[:, 0], 0, slots - 1) == chosen.slot
    found = np.concatenate([places, normals, uv], axis=2)[mine if chosen.material else slice(None)]
    if not len(found):
        raise EngineError(
            f"No face of {chosen.thing!r} has the material {chosen.material!r}.", "Choose another material slot."
        )
    return np.ascontiguousarray(found, np.float32)


def _read(things: Any, name: str, width: int, kind: Any = np.float32) -> NDArray[Any]:
    values = np.zeros(len(things) * width, kind)
    things.foreach_get(name, values)
    return values.reshape(-1, width)


def _set_up(chosen: Plan, scene: bpy.types.Scene) -> None:
    """Cycles, whatever the artist renders with: colours are the same, and every pass is there. Nothing behind the
    object."""
    home = bpy.data.scenes[chosen.scene]
    scene.frame_current = home.frame_current
    scene.render.engine, scene.render.film_transparent = "CYCLES", True
    scene.render.resolution_percentage = 100
    scene.render.threads_mode, scene.render.threads = home.render.threads_mode, home.render.threads
    scene.cycles.device, scene.cycles.use_adaptive_sampling = home.cycles.device, False
    scene.cycles.samples, scene.cycles.use_denoising = (LIT_SAMPLES, True) if chosen.light else (SAMPLES, False)
    scene.cycles.pixel_filter_type = "BOX"
    if chosen.light:
        scene.world = home.world
        for other in _around(home, chosen.thing):
            scene.collection.objects.link(other)
    else:
        scene.cycles.max_bounces = 0
    switches.switch_on(scene, (*PASSES, *(() if chosen.light else (COLOUR[chosen.how.painted_pass],)), *chosen.guides))
    for number, (name, matrix, data) in enumerate(_views(chosen, scene)):
        camera = _ours(bpy.data.objects.new(f"{number:02d} {name}"[:60], data))
        camera.matrix_world = matrix
        scene.collection.objects.link(camera)
    scene.view_layers[0].update()


def _around(home: bpy.types.Scene, thing: str) -> list[bpy.types.Object]:
    """What lights the object, and throws shadows on it"""
    things = (other for other in home.view_layers[0].objects if other.name != thing and other.type != "CAMERA")
    return [other for other in things if not other.hide_render]


def _views(chosen: Plan, scene: bpy.types.Scene) -> Iterator[tuple[str, Matrix, bpy.types.Camera]]:
    """Name, place and lens of each camera; the lenses are new."""
    for name in chosen.cameras:
        camera = bpy.data.objects[name]
        data = camera.data.copy()
        data.name, data.dof.use_dof = NAME, False
        yield name, camera.matrix_world.copy(), _ours(data)
    if not chosen.cameras:
        yield from _own_views(chosen.count, next(thing for thing in scene.objects if _is_ours(thing)))


def _own_views(count: int, thing: bpy.types.Object) -> Iterator[tuple[str, Matrix, bpy.types.Camera]]:
    """Around what the copy shows, in its own axes, each as far away as it takes to see all of it."""
    points = _read(thing.data.vertices, "co", 3) @ np.array(thing.matrix_world)[:3, :3].T
    points += np.array(thing.matrix_world.translation)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = max(float(np.linalg.norm(points - centre, axis=1).max()) * ROOM, 1e-6)
    turn = thing.matrix_world.to_quaternion()
    for name, direction in directions(count):
        data = _ours(bpy.data.cameras.new(NAME))
        data.sensor_fit, data.angle = "AUTO", ANGLE
        away = radius / math.sin(ANGLE / 2)
        data.clip_start, data.clip_end = (away - radius) / 2, (away + radius) * 2
        yield name, _looking(Vector(centre), turn @ direction, away), data


def directions(count: int) -> list[tuple[str, Vector]]:
    """Where cameras stand around a thing at the origin: a ring that begins before it, half of it a little above and
    half a little below where it is closer than four, one on top, one beneath."""
    ring = count - 2 if count >= 5 else count
    rise = 0.35 if ring > 4 else 0.0
    found = []
    for number in range(ring):
        turn = 2 * math.pi * number / ring
        height = rise * (1 if number % 2 else -1)
        found.append((f"Side {number + 1}", Vector((math.sin(turn), -math.cos(turn), height)).normalized()))
    return [*found, *([("Top", Vector((0, 0, 1))), ("Bottom", Vector((0, 0, -1)))] if count >= 5 else [])]


def _looking(at: Vector, direction: Vector, away: float) -> Matrix:
    turn: Quaternion = direction.to_track_quat("Z", "Y")
    return Matrix.Translation(at + direction * away) @ turn.to_matrix().to_4x4()


def _rendered(
    chosen: Plan, stage: str, folder: Path, blocking: bool
) -> Generator[protocol.Progress | None, None, tuple[protocol.CameraView, ...]]:
    """Renders every view."""
    things = bpy.data.scenes[stage].objects
    names = sorted(thing.name for thing in things if _is_ours(thing) and thing.type == "CAMERA")
    found = []
    for number, name in enumerate(names):
        said = name[3:]
        yield protocol.Progress("", number / len(names), f"Rendering {said} ({number + 1} of {len(names)})")
        scene, path = bpy.data.scenes[stage], folder / f"view_{number:02d}.exr"
        scene.camera = bpy.data.objects[name]
        _size_view(chosen, scene.render)
        matrix = _matrix(scene)
        with scene_io.multilayer_output(stage, path), scene_io.no_render_window():
            for _ in scene_io.rendering(stage, blocking):
                yield None
        if not path.is_file():
            raise EngineError("The render was stopped.", "Start again, and let it finish.")
        found.append(protocol.CameraView(said, str(path), matrix))
    return tuple(found)


def _size_view(chosen: Plan, render: bpy.types.RenderSettings) -> None:
    """Our own views are square, those of the artist's cameras have the shape of the scene's renders."""
    home = bpy.data.scenes[chosen.scene].render
    wide, high = (home.resolution_x, home.resolution_y) if chosen.cameras else (1, 1)
    if chosen.cameras:
        render.pixel_aspect_x, render.pixel_aspect_y = home.pixel_aspect_x, home.pixel_aspect_y
    longer = max(wide, high)
    render.resolution_x = max(round(chosen.view_size * wide / longer), 16)
    render.resolution_y = max(round(chosen.view_size * high / longer), 16)


def _matrix(scene: bpy.types.Scene) -> tuple[float, ...]:
    """protocol.CameraView.matrix of the scene's camera"""
    render, layer = scene.render, scene.view_layers[0]
    layer.update()
    width, height = render.resolution_x, render.resolution_y
    lens = scene.camera.calc_matrix_camera(
        layer.depsgraph, x=width, y=height, scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y
    )
    where, turn, _scale = scene.camera.matrix_world.decompose()
    place = Matrix.Translation(where) @ turn.to_matrix().to_4x4()
    seen = np.array(lens @ place.inverted())
    rows = (
        (seen[0] + seen[3]) * (width / 2) - seen[3] / 2,
        (seen[3] - seen[1]) * (height / 2) - seen[3] / 2,
        seen[3],
    )
    return tuple(float(value) for row in rows for value in row)


# ---------------------------------------------------------------- where the texture goes


def take(event: protocol.Event, chosen: Plan, shape: list[Shape]) -> scene_io.Work | None:
    """The new texture and its overlay as images, and into the material."""
    return _take(event, chosen, shape[0]) if isinstance(event, protocol.Stylized) else None


def _take(event: protocol.Stylized, chosen: Plan, shape: Shape) -> scene_io.Work:
    added: dict[str, bpy.types.Image] = {}
    with ThreadPoolExecutor(max_workers=1) as thread:
        files = [(layer, thread.submit(scene_io.encoded, layer)) for layer in event.layers]
        for layer, file in files:
            while not file.done():
                yield
            added[layer.name] = _new_image(layer, file.result(), chosen, event)
    thing = bpy.data.objects.get(chosen.thing)
    if thing is None:
        return f"There is no object {chosen.thing!r} any more: the texture is not in its material."
    if chosen.new_uv and not _add_map(thing, chosen.uv, shape.uv):
        return f"{chosen.thing!r} has other faces now: the texture does not lie on them, and is not in its material."
    overlay = event.layers[1]
    shown = scene_io.Overlay(added[overlay.name], overlay.display, looks.kind_of(overlay.channels, overlay.display))
    said = _wire(_material_of(thing, chosen), chosen.uv, added["Stylized"], shown)
    return "\n".join(part for part in (f"{added['Stylized'].name}: {overlay.sentence}", said) if part)


def _new_image(
    layer: protocol.Layer, pixels: scene_io.Encoded, chosen: Plan, event: protocol.Stylized
) -> bpy.types.Image:
    is_overlay = scene_io.is_overlay(layer)
    base = chosen.texture or chosen.thing
    suffix = f" {layer.name}" if is_overlay else f" Views ({chosen.style})"
    image = scene_io.empty_image(scene_io.named(base, suffix), pixels, layer.encoding == "data")
    image[scene_io.LIES_ON] = chosen.uv
    if chosen.texture:
        image[scene_io.SOURCE] = chosen.texture
    scene_io.fill_image(image, pixels)
    image[scene_io.RECIPE] = json.dumps(event.recipe, sort_keys=True)
    if is_overlay:
        scene_io.describe_overlay(image, layer)
    else:
        image[scene_io.OVERLAYS] = json.dumps(scene_io.findings(event))
        scene_io.note_made(image, pixels.thumbnail)
    return image


def _add_map(thing: bpy.types.Object, name: str, uv: NDArray[np.float32]) -> bool:
    """The new UV map, beside the others: which of them is active and which one renders stays as it is. False where the
    mesh has changed meanwhile."""
    maps = thing.data.uv_layers
    if len(thing.data.loops) * 2 != len(uv):
        return False
    active, renders = maps.active_index, next((n for n, layer in enumerate(maps) if layer.active_render), None)
    layer = maps.new(name=name, do_init=False)
    layer.data.foreach_set("uv", uv)
    if renders is not None:
        maps.active_index = active
        maps[renders].active_render = True
    return True


def _material_of(thing: bpy.types.Object, chosen: Plan) -> bpy.types.Material:
    """The material that was painted; a new one where there was none."""
    found = bpy.data.materials.get(chosen.material)
    if found is None:
        found = bpy.data.materials.new(chosen.thing)
        if chosen.slot < len(thing.material_slots):
            thing.material_slots[chosen.slot].material = found
        else:
            thing.data.materials.append(found)
    if found.node_tree is None:
        found.use_nodes = True
    return found


def _wire(material: bpy.types.Material, uv: str, image: bpy.types.Image, overlay: scene_io.Overlay) -> str:
    """Before the colour of the material, through our group: what views show is the colour that arrives there, whatever
    it is made of. Returns what went wrong."""
    target = _colour_socket(material) if material.library is None else None
    if target is None:
        return f"The material {material.name!r} has no colour that it could take: the texture is not in it."
    tree = material.node_tree
    group = _group_before(tree, target)
    scene_io.feed_on_map(tree, group, "Stylized", uv, image)
    scene_io.feed_on_map(tree, group, "Overlay", uv, overlay.image)
    scene_io.set_range(group, overlay.display, overlay.kind)
    return ""


def _group_before(tree: bpy.types.NodeTree, target: Any) -> bpy.types.Node:
    """Our group before a socket, with what it had as the original."""
    source = target.links[0].from_socket if target.links else None
    if source is None:
        group = scene_io.new_group_node(tree)
        group.location = (target.node.location.x - 260, target.node.location.y)
        group.inputs["Original"].default_value = target.default_value
        tree.links.new(group.outputs["Result"], target)
        return group
    if source.node.get(scene_io.ROLE) == scene_io.GROUP:
        return source.node
    if source.node.type == "TEX_IMAGE":
        return scene_io.insert_group(tree, source)
    group = scene_io.new_group_node(tree)
    group.location = (target.node.location.x - 260, target.node.location.y)
    tree.links.new(source, group.inputs["Original"])
    tree.links.new(group.outputs["Result"], target)
    return group


def _colour_socket(material: bpy.types.Material) -> Any:
    """Where the colour of a material's surface arrives; None where it has none."""
    end = _output_of(material)
    return _first_colour([link.from_node for link in end.inputs["Surface"].links]) if end else None


def _output_of(material: bpy.types.Material) -> Any:
    """The node that tells what Cycles renders; None where there is none"""
    ends = [node for node in _nodes(material) if node.type == "OUTPUT_MATERIAL" and node.is_active_output]
    return next((node for node in ends if node.target in ("ALL", "CYCLES")), None)


def _first_colour(nodes: Iterable[Any]) -> Any:
    """The colour of the first of these shaders that has one, or of those that they mix"""
    for node in nodes:
        for name in ("Base Color", "Color"):
            if name in node.inputs:
                return node.inputs[name]
        mixed = [link.from_node for socket in node.inputs if socket.type == "SHADER" for link in socket.links]
        if found := _first_colour(mixed):
            return found
    return None
