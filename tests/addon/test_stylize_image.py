"""Stylize Image: new images beside the old one, wired into the material, with undo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from blender import bpy, new_image, pixels_of, pump, use_in_material, wiring

WIRED = {
    "Image Texture.Color -> Pentimento Layers.Original",
    "Pentimento Stylized.Color -> Pentimento Layers.Stylized",
    "Pentimento Overlay.Color -> Pentimento Layers.Overlay",
    "Pentimento Layers.Result -> Principled BSDF.Base Color",
    "Pentimento Layers.Result -> Principled BSDF.Emission Color",
    "Texture Coordinate.UV -> Image Texture.Vector",
    "Texture Coordinate.UV -> Pentimento Stylized.Vector",
    "Texture Coordinate.UV -> Pentimento Overlay.Vector",
    "Principled BSDF.BSDF -> Material Output.Surface",
}


def stylize(name: str = "Stone") -> None:
    assert bpy.ops.pentimento.stylize_image(image=name) == {"FINISHED"}


def test_the_result_is_a_new_image_and_the_original_stays(addon: Any, styles: Any) -> None:
    stone = new_image()
    before = pixels_of(stone).copy()
    styles.style = "Brush"
    stylize()
    result = bpy.data.images["Stone (Brush)"]
    assert tuple(result.size) == tuple(stone.size)
    assert np.abs(pixels_of(result) - before)[:, :, :3].max() > 0.02
    assert (pixels_of(stone) == before).all()


def test_overlays_are_raw_floats_beside_the_result(addon: Any, styles: Any) -> None:
    new_image()
    styles.style, styles.overlays = "Brush", {"Scale", "Removal"}
    stylize()
    for name in ("Scale", "Removal"):
        overlay = bpy.data.images[f"Stone Attribution.{name}"]
        assert overlay.is_float
        assert overlay.colorspace_settings.is_data
        assert tuple(overlay.size) == (48, 32)
        assert np.abs(pixels_of(overlay)[:, :, :3]).max() > 0
    found = json.loads(bpy.data.images["Stone (Brush)"][addon.scene_io.OVERLAYS])
    assert [entry["name"] for entry in found] == ["Scale", "Removal"]
    assert all(entry["sentence"] for entry in found)
    assert "Scale: " in addon.jobs.last_report().fix


def test_the_recipe_goes_with_every_image(addon: Any, styles: Any) -> None:
    new_image()
    styles.style, styles.seed, styles.overlays = "Brush", 5, {"Scale"}
    stylize()
    for name in ("Stone (Brush)", "Stone Attribution.Scale"):
        recipe = json.loads(bpy.data.images[name][addon.scene_io.RECIPE])
        assert "5" in json.dumps(recipe)
        assert "Brush" in json.dumps(recipe)


def test_settings_reach_the_engine(addon: Any, styles: Any) -> None:
    new_image()
    styles.style, styles.strength = "Brush", 0.0
    stylize()
    assert np.array_equal(pixels_of(bpy.data.images["Stone (Brush)"]), pixels_of(bpy.data.images["Stone"]))
    styles.strength = 1.0
    results = []
    for seed in (0, 1):
        styles.seed = seed
        stylize()
        results.append(pixels_of(bpy.data.images[f"Stone (Brush).{seed + 1:03d}"]))
    assert not np.array_equal(*results)


def test_results_survive_saving_and_opening(addon: Any, styles: Any, tmp_path: Path) -> None:
    new_image().pack()
    styles.style, styles.overlays = "Brush", {"Scale"}
    stylize()
    names = ("Stone (Brush)", "Stone Attribution.Scale")
    before = {name: pixels_of(bpy.data.images[name]).copy() for name in names}
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    for name in names:
        assert (pixels_of(bpy.data.images[name]) == before[name]).all(), name
        assert addon.scene_io.RECIPE in bpy.data.images[name]


def test_the_material_gets_one_group(addon: Any, styles: Any) -> None:
    material = use_in_material(new_image())
    styles.overlays = {"Scale"}
    stylize()
    assert wiring(material.node_tree) == WIRED
    group = next(node for node in material.node_tree.nodes if node.label == "Pentimento Layers")
    assert group.inputs["Mix"].default_value == 1
    assert group.inputs["Overlay Mix"].default_value == 0
    painted = next(node for node in material.node_tree.nodes if node.label == "Pentimento Stylized")
    assert painted.extension == "EXTEND"
    assert painted.image.name == "Stone (Identity)"


def test_again_replaces_the_images_and_never_stacks(addon: Any, styles: Any) -> None:
    material = use_in_material(new_image())
    styles.overlays = {"Scale"}
    stylize()
    group = next(node for node in material.node_tree.nodes if node.label == "Pentimento Layers")
    group.inputs["Mix"].default_value = 0.25
    styles.style = "Brush"
    stylize()
    assert wiring(material.node_tree) == WIRED
    assert group.inputs["Mix"].default_value == 0.25, "what the artist set stays"
    painted = next(node for node in material.node_tree.nodes if node.label == "Pentimento Stylized")
    assert painted.image.name == "Stone (Brush)"
    assert [tree.name for tree in bpy.data.node_groups] == ["Pentimento Layers"]


def test_a_material_that_does_not_use_the_image_is_left_alone(addon: Any, styles: Any) -> None:
    material = use_in_material(new_image("Wood"))
    before = wiring(material.node_tree)
    new_image("Stone")
    stylize()
    assert wiring(material.node_tree) == before


def render_pixel() -> np.ndarray:
    """The colour that an orthographic camera sees in the middle of a plane with the active material's emission."""
    import OpenEXR

    scene = bpy.context.scene
    path = Path(bpy.app.tempdir, "pixel.exr")
    scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "OPEN_EXR", "32"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    channels = OpenEXR.File(str(path), separate_channels=True).channels()
    return np.array([channels[channel].pixels[4, 4] for channel in "RGB"])


def test_the_group_shows_original_result_and_overlay(addon: Any, styles: Any) -> None:
    """By rendering: Mix fades between original and result, Overlay Mix to the overlay in the colours of its range."""
    scene_io, scene = addon.scene_io, bpy.context.scene
    tree = scene_io.layers_group("ShaderNodeTree")
    material = bpy.data.materials.new("Flat")
    if material.node_tree is None:
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    group, light, end = (nodes.new(f"ShaderNode{kind}") for kind in ("Group", "Emission", "OutputMaterial"))
    group.node_tree = tree
    links.new(group.outputs["Result"], light.inputs["Color"])
    links.new(light.outputs[0], end.inputs["Surface"])
    for name, value in (("Original", 0.1), ("Stylized", 3.0)):
        group.inputs[name].default_value = (value, value, value, 1)
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.render.resolution_x = scene.render.resolution_y = 8
    bpy.ops.mesh.primitive_plane_add(size=10)
    bpy.context.object.data.materials.append(material)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.type, camera.location.z = "ORTHO", 2
    scene.collection.objects.link(camera)
    scene.camera = camera
    for mix, expected in ((0, 0.1), (1, 3.0), (0.5, 1.55)):
        group.inputs["Mix"].default_value = mix
        assert np.allclose(render_pixel(), expected, atol=1e-3), mix
    looks = addon.engine_client.looks
    group.inputs["Overlay Mix"].default_value = 1
    white = np.rint(255 * looks.PAPER) / 255
    places = (0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.75, 0.25, 0.09), (0.5, 0.5, 0.0)
    for values, display, kind, expected in (
        *((place, (0.0, 1.0), "Places", looks._coloured(np.float32([[place]]), "places", (0, 1))) for place in places),
        ((0.0, 0.0, 0.0), (-1.0, 3.0), "", np.array(looks.DIVERGING[1]) / 255),
        ((1.0, 1.0, 1.0), (-1.0, 1.0), "", np.array(looks.DIVERGING[4]) / 255),
        ((0.25, 0.25, 0.25), (0.0, 0.5), "", np.array(looks.CIVIDIS[2]) / 255),
        ((0.0, 0.5, 0.0), (0.0, 0.5), "Bands", np.array(looks.BANDS[1]) / 255),
        ((0.0, 0.0, 0.0), (0.0, 0.5), "Bands", np.full(3, white)),
    ):
        group.inputs["Overlay"].default_value = (*values, 1)
        group.inputs["Overlay Low"].default_value, group.inputs["Overlay High"].default_value = display
        for socket in ("Bands", "Places"):
            group.inputs[f"Overlay {socket}"].default_value = socket == kind
        linear = render_pixel()
        shown = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
        assert np.allclose(shown, expected, atol=0.01), (values, display)


def test_undo_takes_the_result_away_and_redo_brings_it_back(addon: Any, styles: Any) -> None:
    use_in_material(new_image()).use_fake_user = True
    bpy.data.images["Stone"].pack()
    bpy.ops.ed.undo_push(message="before")
    before = wiring(bpy.data.materials["Surface"].node_tree)
    stylize()
    bpy.ops.ed.undo_push(message="Stylize Image")  # the window does this after an operator; the module has none
    bpy.ops.ed.undo()
    assert set(bpy.data.images.keys()) == {"Stone"}
    assert wiring(bpy.data.materials["Surface"].node_tree) == before
    bpy.ops.ed.redo()
    assert "Stone (Identity)" in bpy.data.images
    assert (pixels_of(bpy.data.images["Stone (Identity)"]) == pixels_of(bpy.data.images["Stone"])).all()


def test_a_background_job_makes_an_undo_step_of_its_own(addon: Any, styles: Any) -> None:
    new_image().pack()
    bpy.data.images["Stone"].use_fake_user = True
    bpy.ops.ed.undo_push(message="before")
    addon.jobs.start(addon.operators.painting.image_job(bpy.context, "Stone", blocking=False))
    pump(addon.jobs, lambda: addon.jobs.current() is None, 30)
    assert "Stone (Identity)" in bpy.data.images
    bpy.ops.ed.undo()
    assert set(bpy.data.images.keys()) == {"Stone"}


def test_undo_during_a_job_does_no_harm(addon: Any, styles: Any) -> None:
    """Names travel, not references: undo replaces every datablock while the worker computes."""
    new_image().pack()
    bpy.data.images["Stone"].use_fake_user = True
    bpy.ops.ed.undo_push(message="one")
    bpy.context.scene.frame_current = 7
    bpy.ops.ed.undo_push(message="two")
    addon.jobs.start(addon.operators.painting.image_job(bpy.context, "Stone", blocking=False))
    bpy.ops.ed.undo()
    pump(addon.jobs, lambda: addon.jobs.current() is None, 30)
    assert addon.jobs.last_report().level == "INFO"
    assert "Stone (Identity)" in bpy.data.images


def test_an_image_that_vanishes_during_the_job_is_said(addon: Any, styles: Any) -> None:
    new_image()
    addon.jobs.start(addon.operators.painting.image_job(bpy.context, "Stone", blocking=False))
    bpy.data.images.remove(bpy.data.images["Stone"])
    pump(addon.jobs, lambda: addon.jobs.current() is None, 30)
    assert addon.jobs.last_report().level == "ERROR"
    assert "There is no image 'Stone' any more" in addon.jobs.last_report().message


def test_pressed_on_a_result_it_paints_the_original_again(addon: Any, styles: Any) -> None:
    new_image()
    stylize()
    styles.style = "Brush"
    stylize("Stone (Identity)")
    assert bpy.data.images["Stone (Brush)"][addon.scene_io.SOURCE] == "Stone"


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 3), (33, 16)])
def test_small_and_odd_sizes(addon: Any, styles: Any, size: tuple[int, int]) -> None:
    """Painted, or refused in plain words; never a crash, never half a result."""
    new_image(size=size)
    styles.style, styles.overlays = "Brush", {"Scale", "Removal"}
    try:
        stylize()
    except RuntimeError as error:
        assert min(size) < 16
        assert addon.jobs.last_report().fix in str(error)
        assert set(bpy.data.images.keys()) == {"Stone"}
    else:
        assert tuple(bpy.data.images["Stone (Brush)"].size) == size


def test_long_names_keep_what_they_are(addon: Any, styles: Any) -> None:
    new_image("Ä" * 30)
    styles.overlays = {"Scale"}
    stylize("Ä" * 30)
    names = set(bpy.data.images.keys())
    assert any(name.endswith(" (Identity)") for name in names)
    assert any(name.endswith(" Attribution.Scale") for name in names)


def refused(said: str, **arguments: Any) -> None:
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.pentimento.stylize_image(**arguments)


def test_what_has_no_pixels_is_refused(addon: Any, styles: Any) -> None:
    missing = bpy.data.images.new("Missing", 8, 8)
    missing.source, missing.filepath = "FILE", "//nowhere.png"
    refused("has no pixels.*External Data", image="Missing")
    new_image("Film").source = "SEQUENCE"
    refused("not one picture", image="Film")
    refused("There is no image 'Nobody'", image="Nobody")
    refused("There is no image in view")
    assert addon.jobs.PAINTING.slot.worker is None, "what costs nothing is checked before a worker is started"


def test_without_a_style_it_says_what_to_do(addon: Any, styles: Any, tmp_path: Path) -> None:
    new_image()
    tiny_styles.brush(tmp_path / "brush")
    addon.props.library.preferences().styles_folder = str(tmp_path)
    refused("'Identity' is not installed. Choose another", image="Stone")


def test_tileable_and_stroke_run(addon: Any, styles: Any) -> None:
    new_image(size=(64, 64))
    styles.style, styles.tileable, styles.stroke = "Brush", "ON", 2.0
    stylize()
    assert "Stone (Brush)" in bpy.data.images
