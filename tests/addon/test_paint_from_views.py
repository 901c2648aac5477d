"""Paint from Views: views in a scene of our own, the texture into the material, everything else as it was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from blender import bpy, pixels_of, pump
from test_panels import draw


def texture(name: str = "Paint", size: int = 256) -> Any:
    """Waves of colour, no edge"""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size * 2 * np.pi
    colours = [0.5 + 0.3 * np.sin(5 * u), 0.5 + 0.3 * np.cos(4 * v), 0.5 + 0.3 * np.sin(3 * u + 2 * v), np.ones_like(u)]
    image = bpy.data.images.new(name, size, size)
    image.pixels.foreach_set(np.stack(colours, 2).astype(np.float32).ravel())
    image.update()
    image.pack()
    return image


def base_colour(material: Any) -> Any:
    return next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED").inputs["Base Color"]


@pytest.fixture
def cube(addon: Any, styles: Any) -> Any:
    """A textured cube, turned and moved, in a scene with passes, frames and settings of its own"""
    scene = bpy.context.scene
    bpy.ops.mesh.primitive_cube_add()
    thing = bpy.context.object
    thing.location, thing.rotation_euler, thing.scale = (1, -2, 0.5), (0.3, 0.2, 0.9), (1, 1, 1.2)
    material = bpy.data.materials.new("Surface")
    if material.node_tree is None:
        material.use_nodes = True
    thing.data.materials.append(material)
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = texture()
    material.node_tree.links.new(node.outputs["Color"], base_colour(material))
    scene.render.resolution_x, scene.render.resolution_y, scene.frame_current = 320, 180, 7
    chosen = scene.pentimento_projection
    chosen.view_size, chosen.size = 256, 256
    return thing


def state() -> dict[str, Any]:
    """All that must stay as it is, as plain values"""
    scene, layer = bpy.context.scene, bpy.context.view_layer
    switches = {
        f.identifier: getattr(layer, f.identifier) for f in layer.bl_rna.properties if "use_pass" in f.identifier
    }
    kinds = ("scenes", "objects", "meshes", "cameras", "worlds", "materials", "collections")
    return {
        **{kind: sorted(thing.name for thing in getattr(bpy.data, kind)) for kind in kinds},
        "switches": switches,
        "settings": repr([(name, getattr(scene.render, name)) for name in RENDER]),
        "format": scene.render.image_settings.file_format,
        "frame": scene.frame_current,
        "camera": scene.camera and scene.camera.name,
        "active": layer.objects.active.name,
        "selected": sorted(thing.name for thing in bpy.context.selected_objects),
        "scene": scene.name,
    }


RENDER = (
    *("engine", "resolution_x", "resolution_y", "resolution_percentage", "filepath", "film_transparent"),
    *("use_compositing", "use_sequencer", "use_file_extension", "use_motion_blur"),
)


def maps_of(thing: Any) -> dict[str, Any]:
    found = {}
    for layer in thing.data.uv_layers:
        uv = np.zeros(len(thing.data.loops) * 2, np.float32)
        layer.data.foreach_get("uv", uv)
        found[layer.name] = (layer.active, layer.active_render, uv.tolist())
    return found


def covered(overlay: Any) -> np.ndarray:
    return pixels_of(overlay)[..., 0] > 0


def result(base: str = "Paint", style: str = "Identity") -> tuple[Any, Any]:
    return bpy.data.images[f"{base} Views ({style})"], bpy.data.images[f"{base} Attribution.Views"]


def test_an_identity_gives_the_texture_back(addon: Any, cube: Any) -> None:
    before, maps = state(), maps_of(cube)
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    assert state() == before and maps_of(cube) == maps
    image, overlay = result()
    original = bpy.data.images["Paint"]
    there = covered(overlay)
    error = np.abs(pixels_of(image) - pixels_of(original))[there][:, :3]
    assert 0.3 < there.mean() < 0.4  # Blender's cube covers three eighths of its map
    assert error.mean() < 0.002 and np.quantile(error, 0.99) < 0.01
    assert image.packed_file and tuple(image.size) == (256, 256)
    assert image.colorspace_settings.name == "sRGB" and overlay.colorspace_settings.name == "Non-Color"
    assert json.loads(image[addon.scene_io.RECIPE])["projection"]["seen"] > 0.99
    assert "of the surface is seen by 6 views" in addon.jobs.last_report().fix


def test_it_is_wired_behind_the_texture(addon: Any, cube: Any) -> None:
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    tree = cube.active_material.node_tree
    group = base_colour(cube.active_material).links[0].from_node
    assert group.node_tree.name.startswith("Pentimento Layers")
    feeds = {name: group.inputs[name].links[0].from_node for name in ("Original", "Stylized", "Overlay")}
    image, overlay = result()
    assert [node.image.name for node in feeds.values()] == ["Paint", image.name, overlay.name]
    assert group.inputs["Mix"].default_value == 1 and group.inputs["Overlay Mix"].default_value == 0
    where = feeds["Stylized"].inputs["Vector"].links[0].from_node
    assert where.type == "UVMAP" and where.uv_map == cube.data.uv_layers[0].name
    count = len(tree.nodes)
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    assert len(tree.nodes) == count, "the second time takes the place of the first"
    assert feeds["Stylized"].image.name == f"{image.name}.001" and image.name in bpy.data.images


def test_the_eye_shows_it_on_its_own_map_after_another_result(addon: Any, cube: Any) -> None:
    """One result lies as the texture does, the other on a map of its own: whichever shows lies where it was made."""
    bpy.context.scene.pentimento_projection.new_uv = True
    cube.active_material.node_tree.nodes["Image Texture"].extension = "MIRROR"
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    projected = next(image for image in bpy.data.images if "Views (" in image.name)
    own = projected[addon.scene_io.LIES_ON]
    assert own == "Pentimento" and own in cube.data.uv_layers
    bpy.ops.pentimento.stylize_image(image="Paint")
    tree = cube.active_material.node_tree
    group = base_colour(cube.active_material).links[0].from_node
    flat = bpy.data.images["Paint (Identity)"]

    def feeder() -> tuple[str, Any, str]:
        node = group.inputs["Stylized"].links[0].from_node
        links = node.inputs["Vector"].links
        return node.image.name, links[0].from_node.uv_map if links else None, node.extension

    assert feeder() == (flat.name, None, "MIRROR")
    projected[addon.scene_io.SOURCE] = "Paint"  # as where it is painted upon the texture's own map
    for image, lies in ((projected, (own, "EXTEND")), (flat, (None, "MIRROR"))):
        bpy.ops.pentimento.toggle_layer(image=image.name)
        assert feeder() == (image.name, *lies)
        maps = [node for node in tree.nodes if node.type == "UVMAP"]
        assert len(maps) == 1 + (lies[0] is not None), "that of the overlay, and none that nothing uses"
    bpy.ops.pentimento.toggle_layer(image=projected.name)
    bpy.ops.pentimento.apply_textures()
    assert addon.scene_io.LIES_ON not in projected and base_colour(cube.active_material).links[0].from_node.image


def test_a_style_that_paints_changes_it(addon: Any, cube: Any, styles: Any) -> None:
    styles.style = "Brush"
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    image, overlay = result(style="Brush")
    there = covered(overlay)
    assert np.abs(pixels_of(image) - pixels_of(bpy.data.images["Paint"]))[there].mean() > 0.02
    assert "their strokes differ by" in addon.jobs.last_report().fix or "seen by" in addon.jobs.last_report().fix


def test_the_artists_cameras(addon: Any, cube: Any) -> None:
    """Two cameras see one side each, one of them orthographic and shifted; the rest is the texture as it lies flat."""
    cube.rotation_euler, cube.location, cube.scale = (0, 0, 0), (0, 0, 0), (1, 1, 1)
    scene = bpy.context.scene
    quarter = math.pi / 2
    for name, place, turn in (("Front", (0, -5, 0.3), (quarter, 0, 0)), ("Right", (6, 0.2, 0), (quarter, 0, quarter))):
        camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
        camera.location, camera.rotation_euler = place, turn
        scene.collection.objects.link(camera)
    front, right = bpy.data.objects["Front"].data, bpy.data.objects["Right"].data
    front.shift_y, front.dof.use_dof = -0.05, True
    right.type, right.ortho_scale, right.shift_x = "ORTHO", 4.5, 0.03
    bpy.context.view_layer.update()
    scene.pentimento_projection.cameras, scene.pentimento_projection.margin = "ALL", 0
    before = state()
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    assert state() == before and front.dof.use_dof
    image, overlay = result()
    number = np.rint(pixels_of(overlay)[..., 0])
    assert {1, 2} <= set(np.unique(number)) and 0.1 < (number > 0).mean() < 0.14
    error = np.abs(pixels_of(image) - pixels_of(bpy.data.images["Paint"]))[..., :3]
    assert error[number == 1].mean() < 0.01 and error[number == 2].mean() < 0.01
    assert error[number == 0].mean() < 0.01, "painted flat from the texture"
    assert "painted from the texture as it lies flat" in addon.jobs.last_report().fix
    recipe = json.loads(image[addon.scene_io.RECIPE])
    assert [view["name"] for view in recipe["projection"]["views"]] == ["Front", "Right"]


def test_only_selected_cameras(addon: Any, cube: Any) -> None:
    bpy.context.scene.pentimento_projection.cameras = "SELECTED"
    assert "no such camera" in draw(addon, "ViewportProjectionPanel")
    with pytest.raises(RuntimeError, match="no such camera"):
        bpy.ops.pentimento.project_views()


def test_a_new_uv_map_on_request(addon: Any, cube: Any) -> None:
    maps = maps_of(cube)
    bpy.context.scene.pentimento_projection.new_uv = True
    before = state()
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    assert state() == before
    found = maps_of(cube)
    assert list(found) == [*maps, "Pentimento"] and {name: found[name] for name in maps} == maps
    assert not found["Pentimento"][0] and not found["Pentimento"][1], "neither active nor rendered"
    group = base_colour(cube.active_material).links[0].from_node
    feed = group.inputs["Stylized"].links[0].from_node
    assert feed.inputs["Vector"].links[0].from_node.uv_map == "Pentimento"
    assert not group.inputs["Original"].links[0].from_node.inputs["Vector"].links, "the old one lies where it lay"
    # each face shows in its middle on the new map what it showed on the old one
    old = next(iter(maps))
    pictures = {
        "Pentimento": pixels_of(bpy.data.images["Cube Views (Identity)"]),
        old: pixels_of(bpy.data.images["Paint"]),
    }
    for face in range(6):
        colours = []
        for name, pixels in pictures.items():
            u, v = np.array(found[name][2]).reshape(-1, 2)[4 * face : 4 * face + 4].mean(axis=0)
            colours.append(pixels[int(v * 256), int(u * 256), :3])
        assert np.abs(colours[0] - colours[1]).max() < 0.06
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    assert list(maps_of(cube)) == [*maps, "Pentimento", "Pentimento.001"]


@pytest.fixture
def on_own_map(addon: Any, cube: Any) -> Any:
    """The material of a cube that was painted from views, on a UV map of its own"""
    bpy.context.scene.pentimento_projection.new_uv = True
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    return cube.active_material


def test_it_is_in_the_history_and_is_not_made_again_flat(addon: Any, on_own_map: Any) -> None:
    name = "Cube Views (Identity)"
    assert [image.name for image in addon.layering.history()] == [name]
    assert tuple(bpy.data.images[name].preview.image_size) == (128, 128)
    with pytest.raises(RuntimeError, match="Press Paint from Views again"):
        bpy.ops.pentimento.make_again(image=name)
    assert bpy.ops.pentimento.remove_layer(image=name) == {"FINISHED"}
    assert name not in bpy.data.images


def maps_in(material: Any) -> list[Any]:
    return [node for node in material.node_tree.nodes if node.type == "UVMAP"]


def test_painted_flat_afterwards_it_lies_as_the_texture_does(addon: Any, on_own_map: Any) -> None:
    bpy.context.scene.pentimento.overlays = {"Scale"}
    assert bpy.ops.pentimento.stylize_image(image="Paint") == {"FINISHED"}
    group = base_colour(on_own_map).links[0].from_node
    for socket in ("Stylized", "Overlay"):
        feed = group.inputs[socket].links[0].from_node
        assert not feed.inputs["Vector"].links and feed.extension == "REPEAT"
    assert group.inputs["Stylized"].links[0].from_node.image.name == "Paint (Identity)"
    assert not maps_in(on_own_map)


def test_applied_it_lies_on_its_own_map(addon: Any, on_own_map: Any) -> None:
    assert addon.materials.apply(on_own_map) == 1
    node = base_colour(on_own_map).links[0].from_node
    assert node.image.name == "Cube Views (Identity)" and node.extension == "EXTEND"
    where = node.inputs["Vector"].links[0].from_node
    assert maps_in(on_own_map) == [where] and where.uv_map == "Pentimento"
    assert not [node for node in on_own_map.node_tree.nodes if node.get(addon.scene_io.ROLE)]


def test_reverted_or_removed_no_map_stays(addon: Any, on_own_map: Any) -> None:
    assert len(maps_in(on_own_map)) == 2
    addon.scene_io.unfeed([bpy.data.images["Cube Views (Identity)"]])
    assert len(maps_in(on_own_map)) == 1, "the overlay's"
    addon.materials.revert(on_own_map)
    assert not maps_in(on_own_map)
    assert base_colour(on_own_map).links[0].from_node.image.name == "Paint"


def test_a_material_without_a_texture(addon: Any, cube: Any) -> None:
    material = cube.active_material
    material.node_tree.nodes.remove(base_colour(material).links[0].from_node)
    base_colour(material).default_value = (0.2, 0.5, 0.1, 1)
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    image, overlay = result("Cube")
    group = base_colour(material).links[0].from_node
    assert group.inputs["Stylized"].links[0].from_node.image == image
    assert list(group.inputs["Original"].default_value)[:3] == pytest.approx([0.2, 0.5, 0.1])
    shown = pixels_of(image)[covered(overlay)][:, :3].mean(axis=0)
    expected = [1.055 * value ** (1 / 2.4) - 0.055 for value in (0.2, 0.5, 0.1)]
    assert shown == pytest.approx(expected, abs=0.01)


def test_colours_that_are_computed_are_painted_as_they_arrive(addon: Any, cube: Any) -> None:
    """The texture is made darker on its way; what is painted is that, and the result is not darkened again."""
    material = cube.active_material
    tree, target = material.node_tree, base_colour(material)
    gamma = tree.nodes.new("ShaderNodeGamma")
    gamma.inputs["Gamma"].default_value = 2.0
    source = target.links[0].from_socket
    tree.links.new(source, gamma.inputs["Color"])
    tree.links.new(gamma.outputs["Color"], target)
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    group = target.links[0].from_node
    assert group.inputs["Original"].links[0].from_node == gamma
    image, overlay = result("Cube")
    pixels = pixels_of(bpy.data.images["Paint"])[..., :3]
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    expected = 1.055 * np.maximum(linear**2, 1e-6) ** (1 / 2.4) - 0.055
    there = covered(overlay)
    assert np.abs(pixels_of(image)[..., :3] - expected)[there].mean() < 0.012


def test_what_metal_and_coats_take_of_a_colour_is_not_missing(addon: Any, cube: Any) -> None:
    shader = base_colour(cube.active_material).node
    shader.inputs["Metallic"].default_value = 1.0
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    image, overlay = result()
    error = np.abs(pixels_of(image) - pixels_of(bpy.data.images["Paint"]))[covered(overlay)][:, :3]
    assert error.mean() < 0.002


def test_painting_again_paints_the_original(addon: Any, cube: Any, styles: Any) -> None:
    styles.style = "Brush"
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    first, second = (pixels_of(bpy.data.images[f"Paint Views (Brush){end}"]) for end in ("", ".001"))
    assert np.abs(first - second).max() < 0.02  # one byte or two, of the rays' own noise


def test_an_object_without_a_material_gets_one(addon: Any, cube: Any) -> None:
    cube.data.materials.clear()
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    image, _ = result("Cube")
    group = base_colour(cube.active_material).links[0].from_node
    assert group.inputs["Stylized"].links[0].from_node.image == image


def test_faces_of_other_materials_stay(addon: Any, cube: Any) -> None:
    other = bpy.data.materials.new("Other")
    cube.data.materials.append(other)
    cube.data.polygons[0].material_index = 1
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    _, overlay = result()
    assert 0.29 < covered(overlay).mean() < 0.33  # five of six faces
    assert "Only the faces with the material 'Surface' are painted." in addon.jobs.last_report().fix


def test_modifiers_are_painted_as_the_viewport_shows_them(addon: Any, cube: Any) -> None:
    modifier = cube.modifiers.new("Round", "SUBSURF")
    modifier.levels, modifier.render_levels = 2, 4
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    image, overlay = result()
    there = covered(overlay)
    error = np.abs(pixels_of(image) - pixels_of(bpy.data.images["Paint"]))[there][:, :3]
    assert there.mean() > 0.3 and error.mean() < 0.012
    assert len(cube.data.polygons) == 6


def test_with_light_the_light_is_in_the_texture(addon: Any, cube: Any) -> None:
    scene = bpy.context.scene
    cube.rotation_euler, cube.location, cube.scale = (0, 0, 0), (0, 0, 0), (1, 1, 1)
    lamp = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    lamp.data.energy = 3
    scene.collection.objects.link(lamp)
    chosen = scene.pentimento_projection
    chosen.light, chosen.view_size, chosen.size = True, 96, 96
    before = state()
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    assert state() == before
    image, overlay = result("Cube")
    number, light = np.rint(pixels_of(overlay)[..., 0]), pixels_of(image)[..., :3].mean(axis=2)
    assert light[number == 5].mean() > 0.4 and light[number == 6].mean() < 0.1  # top and bottom


def test_undo_takes_it_back(addon: Any, cube: Any) -> None:
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.pentimento.project_views() == {"FINISHED"}
    bpy.ops.ed.undo_push(message="after")
    assert base_colour(bpy.data.materials["Surface"]).links[0].from_node.type == "GROUP"
    bpy.ops.ed.undo()
    assert base_colour(bpy.data.materials["Surface"]).links[0].from_node.type == "TEX_IMAGE"
    assert "Paint Views (Identity)" not in bpy.data.images and sorted(bpy.data.scenes.keys()) == ["Scene"]


def test_in_the_background_it_arrives_the_same(addon: Any, cube: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = addon.projecting.plan(bpy.context)
    job = addon.operators.projection.projection_job(plan, blocking=True)
    addon.jobs.start(job)
    pump(addon.jobs, lambda: addon.jobs.current() is None, 90)
    image, _ = result()
    assert base_colour(cube.active_material).links[0].from_node.inputs["Stylized"].links[0].from_node.image == image


def test_a_render_that_fails_leaves_nothing(addon: Any, cube: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state()

    def stopped(*_: Any) -> Any:
        return iter(())

    monkeypatch.setattr(addon.scene_io, "rendering", stopped)
    with pytest.raises(RuntimeError, match="The render was stopped"):
        bpy.ops.pentimento.project_views()
    assert state() == before and "Paint Views (Identity)" not in bpy.data.images


def test_cancel_while_it_renders_leaves_nothing(addon: Any, cube: Any) -> None:
    before = state()
    addon.jobs.start(addon.operators.projection.projection_job(addon.projecting.plan(bpy.context), blocking=True))
    assert len(bpy.data.scenes) == 2
    addon.jobs.cancel()
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert state() == before and "was cancelled" in addon.jobs.last_report().message


REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda thing: thing.data.uv_layers.remove(thing.data.uv_layers[0]), "has no UV map"),
    (lambda _: setattr(bpy.context.view_layer.objects, "active", None), "is no mesh"),
    (lambda _: bpy.ops.object.mode_set(mode="EDIT"), "is being edited"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_it_says_why_not(addon: Any, cube: Any, change: Callable[[Any], Any], words: str) -> None:
    change(cube)
    assert words in draw(addon, "ViewportProjectionPanel")
    assert not bpy.ops.pentimento.project_views.poll()


def test_masks_are_refused(addon: Any, cube: Any, styles: Any) -> None:
    styles.mask = texture("Mask")
    with pytest.raises(RuntimeError, match="Masks are for textures as they lie flat"):
        bpy.ops.pentimento.project_views()


def test_a_linked_or_tiled_coordinate_is_not_taken_for_the_map(addon: Any, cube: Any) -> None:
    """A texture that repeats through a Mapping node does not lie on the map: the colours around go on instead."""
    tree = cube.active_material.node_tree
    node = next(node for node in tree.nodes if node.type == "TEX_IMAGE")
    mapping, where = tree.nodes.new("ShaderNodeMapping"), tree.nodes.new("ShaderNodeTexCoord")
    mapping.inputs["Scale"].default_value = (2, 2, 2)
    tree.links.new(where.outputs["UV"], mapping.inputs["Vector"])
    tree.links.new(mapping.outputs["Vector"], node.inputs["Vector"])
    assert addon.projecting.plan(bpy.context).texture == ""
    tree.links.new(where.outputs["UV"], node.inputs["Vector"])
    assert addon.projecting.plan(bpy.context).texture == "Paint"


def test_the_panel_shows_what_can_be_chosen(addon: Any, cube: Any) -> None:
    said = draw(addon, "ViewportProjectionPanel").split()
    assert {"cameras", "count", "view_size", "size", "margin", "new_uv", "light", "pentimento.project_views"} <= set(
        said
    )


@pytest.mark.parametrize("count", [3, 4, 5, 6, 8, 13])
def test_our_own_cameras_stand_all_around(addon: Any, count: int) -> None:
    found = addon.projecting.directions(count)
    assert len({name for name, _ in found}) == count
    ways = np.array([way for _, way in found])
    assert np.allclose(np.linalg.norm(ways, axis=1), 1)
    assert np.linalg.norm(ways.mean(axis=0)) < 0.2
    assert found[0][1][1] < -0.9, "the first stands before it"
