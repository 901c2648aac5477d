"""Layers: what is listed, what shows where, overlays as masks, and the panels that say so."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender import bpy, compositor_of, layers_of, new_image, new_scene, pixels_of, use_in_material
from test_panels import Layout


def stack(addon: Any, image: Any) -> Any:
    return addon.layering.stack_of(image, bpy.context.scene)


def labels(found: Any) -> list[tuple[str, str]]:
    return [(listed.kind, listed.label) for listed in found.layers]


def shown(addon: Any, found: Any) -> set[str]:
    places = addon.layering.wired(found, bpy.context.scene)
    return {listed.label for listed in found.layers if addon.layering.shows(listed, places)}


def group_in(tree: Any) -> Any:
    return next(node for node in tree.nodes if node.label == "Pentimento Layers")


@pytest.fixture
def stone(addon: Any, styles: Any) -> Any:
    """An image on a surface, painted by two styles, each with an overlay"""
    image = new_image()
    use_in_material(image)
    for style, overlay in (("Brush", "Scale"), ("Identity", "Removal")):
        styles.style, styles.overlays = style, {overlay}
        bpy.ops.pentimento.stylize_image(image="Stone")
    return image


@pytest.fixture
def editor(addon: Any) -> Any:
    """An Image Editor with its area, as there is one even in background"""
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "IMAGE_EDITOR"
    with bpy.context.temp_override(window=window, area=area):
        yield area.spaces.active


@pytest.fixture
def shot(addon: Any, styles: Any, tmp_path: Path) -> Any:
    """A painted render. The image that stands for its file"""
    scene = new_scene()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    styles.style, styles.overlays = "Brush", {"Scale"}
    bpy.ops.pentimento.stylize_render()
    return addon.layering.painting_in_compositor(scene)


OF_STONE = [
    ("ORIGINAL", "Stone"),
    ("RESULT", "Brush"),
    ("RESULT", "Identity"),
    ("OVERLAY", "Removal"),
    ("OVERLAY", "Scale"),
]

# ---------------------------------------------------------------- which there are


def test_every_layer_stands_for_its_picture(addon: Any, stone: Any) -> None:
    for name in ("Stone", "Stone (Brush)", "Stone Attribution.Scale"):
        assert labels(stack(addon, bpy.data.images[name])) == OF_STONE
    assert stack(addon, None) is None
    assert labels(stack(addon, new_image("Wood"))) == [("ORIGINAL", "Wood")]
    bpy.data.images["Stone (Brush)"].name = "My Favourite"
    assert ("RESULT", "My Favourite") in labels(stack(addon, stone))


def test_the_layers_of_a_render_are_read_off_its_header(addon: Any, shot: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(addon.decode, "layer", None)
    found = stack(addon, shot)
    assert found.kind == "RENDER"
    assert labels(found) == [("ORIGINAL", "Render"), ("RESULT", "Brush"), ("OVERLAY", "Scale")]
    told = addon.layering.told(found.layers[2], bpy.context.scene)
    assert told.channels == ("colour", "form", "stroke") and told.unit and told.checks and told.bars
    assert told.sentence in addon.jobs.last_report().fix
    view = types.SimpleNamespace(type="RENDER_RESULT", get=shot.get)
    assert stack(addon, view) == found, "what the compositor shows"


def test_the_layers_of_a_shot_are_those_of_the_frame(addon: Any, styles: Any, tmp_path: Path) -> None:
    scene = new_scene()
    scene.frame_start, scene.frame_end = 3, 4
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    chosen = scene.pentimento_animation
    chosen.strokes, styles.style, styles.overlays = "ANEW", "Brush", {"Scale"}
    bpy.ops.pentimento.stylize_animation()
    image = addon.layering.painting_in_compositor(scene)
    scene.frame_set(4)
    found = stack(addon, image)
    assert found.kind == "SEQUENCE"
    assert labels(found) == [("ORIGINAL", "Render"), ("RESULT", "Brush"), ("OVERLAY", "Scale")]
    assert addon.layering.file_of(image, scene).stem.endswith("0004")
    assert addon.layering.history() == [image] and addon.layering.style_of(image, scene) == "Brush"
    bpy.ops.pentimento.toggle_layer(image=image.name, layer="Attribution Scale")
    assert shown(addon, found) == {"Brush", "Scale"}
    (link,) = group_in(compositor_of(scene)).inputs["Overlay"].links
    node = link.from_node
    assert (node.frame_start, node.frame_duration, node.frame_offset) == (3, 2, 2)


# ---------------------------------------------------------------- what shows


def test_the_eye_hides_and_shows_and_remembers_how_much(addon: Any, stone: Any) -> None:
    group = group_in(bpy.data.materials["Surface"].node_tree)
    found = stack(addon, stone)
    assert shown(addon, found) == {"Identity"}
    group.inputs["Mix"].default_value = 0.3
    bpy.ops.pentimento.toggle_layer(image="Stone (Identity)")
    assert shown(addon, found) == {"Stone"} and group.inputs["Mix"].default_value == 0
    bpy.ops.pentimento.toggle_layer(image="Stone (Identity)")
    assert shown(addon, found) == {"Identity"}
    assert group.inputs["Mix"].default_value == pytest.approx(0.3)
    bpy.ops.pentimento.toggle_layer(image="Stone (Brush)")
    assert shown(addon, found) == {"Brush"}, "one result at a time"
    assert group.inputs["Mix"].default_value == pytest.approx(0.3)
    bpy.ops.pentimento.toggle_layer(image="Stone Attribution.Scale")
    assert shown(addon, found) == {"Brush", "Scale"}
    assert group.inputs["Overlay Mix"].default_value == 1 and group.inputs["Overlay Bands"].default_value == 1


def test_the_original_shows_alone_and_all_comes_back(addon: Any, stone: Any) -> None:
    group = group_in(bpy.data.materials["Surface"].node_tree)
    group.inputs["Mix"].default_value, group.inputs["Overlay Mix"].default_value = 0.8, 0.25
    bpy.ops.pentimento.toggle_layer(image="Stone")
    assert shown(addon, stack(addon, stone)) == {"Stone"}
    bpy.ops.pentimento.toggle_layer(image="Stone")
    values = [group.inputs[name].default_value for name in ("Mix", "Overlay Mix")]
    assert values == pytest.approx([0.8, 0.25])


def test_the_eye_wires_where_stylize_would_and_says_where_it_cannot(addon: Any, styles: Any) -> None:
    image = new_image()
    bpy.ops.pentimento.stylize_image(image="Stone")
    with pytest.raises(RuntimeError, match="no material has layers of Stone"):
        bpy.ops.pentimento.toggle_layer(image="Stone (Identity)")
    use_in_material(image)
    bpy.ops.pentimento.toggle_layer(image="Stone (Identity)")
    assert shown(addon, stack(addon, image)) == {"Identity"}


def test_the_layers_of_a_render_show_in_the_compositor(addon: Any, shot: Any) -> None:
    group, found = group_in(compositor_of(bpy.context.scene)), stack(addon, shot)
    assert shown(addon, found) == {"Brush"}
    bpy.ops.pentimento.toggle_layer(image=shot.name, layer="Attribution Scale")
    assert shown(addon, found) == {"Brush", "Scale"} and group.inputs["Overlay Mix"].default_value == 1
    bpy.ops.pentimento.toggle_layer(image=shot.name, layer="Stylized")
    assert shown(addon, found) == {"Scale"}
    bpy.ops.pentimento.stylize_render()
    later = addon.layering.painting_in_compositor(bpy.context.scene)
    assert later != shot and shown(addon, found) == set()
    bpy.ops.pentimento.toggle_layer(image=shot.name, layer="Stylized")
    assert addon.layering.painting_in_compositor(bpy.context.scene) == shot


def test_a_layer_alone_in_the_editor_and_back(addon: Any, stone: Any, editor: Any) -> None:
    material = group_in(bpy.data.materials["Surface"].node_tree)
    fed = material.inputs["Overlay"].links[0].from_node.image
    editor.image = stone
    bpy.ops.pentimento.solo_layer(image="Stone (Brush)")
    assert editor.image.name == "Stone (Brush)"
    bpy.ops.pentimento.solo_layer(image="Stone Attribution.Scale")
    assert editor.image.name == "Stone Explained", "in its colours"
    assert material.inputs["Overlay"].links[0].from_node.image == fed, "in the editor, and nowhere else"
    bpy.ops.pentimento.solo_layer(image="Stone Attribution.Scale")
    assert editor.image == stone


def named(name: str, layer: str, channel: str) -> bool:
    return f".{name}".endswith(f".{layer}.{channel}")


def test_a_file_layer_alone_has_the_numbers_of_the_file(addon: Any, shot: Any, editor: Any) -> None:
    editor.image = shot
    bpy.ops.pentimento.solo_layer(image=shot.name, layer="Stylized")
    pixels = layers_of(Path(bpy.path.abspath(shot.filepath)))
    loaded, file = editor.image, Path(bpy.path.abspath(shot.filepath))
    for layer in ("Stylized", "Combined"):  # a part of ours, and one as Blender wrote it
        found = addon.decode.layer(file, layer)
        for place, channel in enumerate("RGBA"):
            (plane,) = (plane for name, plane in pixels.items() if named(name, layer, channel))
            assert np.array_equal(found[..., place], plane.astype(np.float32)), (layer, channel)
    assert np.array_equal(pixels_of(loaded)[::-1], addon.decode.layer(file, "Stylized"))
    assert loaded.use_view_as_render and not loaded.use_fake_user, "as a render, and only for the moment"
    assert labels(stack(addon, loaded)) == labels(stack(addon, shot)), "it is no layer of its own"
    bpy.ops.pentimento.solo_layer(image=shot.name, layer="Attribution Scale")
    assert editor.image.name.endswith("Explained")
    bpy.ops.pentimento.solo_layer(image=shot.name, layer="Attribution Scale")
    assert editor.image == shot


def test_undo_takes_a_toggle_back(addon: Any, stone: Any) -> None:
    for image in bpy.data.images:
        image.use_fake_user = True
    stone.pack()
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.pentimento.toggle_layer(image="Stone (Brush)")
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    assert shown(addon, stack(addon, bpy.data.images["Stone"])) == {"Identity"}


# ---------------------------------------------------------------- masks


def test_a_mask_has_the_overlays_numbers(addon: Any, stone: Any, styles: Any) -> None:
    raw = pixels_of(bpy.data.images["Stone Attribution.Scale"])
    assert bpy.ops.pentimento.use_as_mask(image="Stone Attribution.Scale", part="stroke", target="STYLE") == {
        "FINISHED"
    }
    mask = styles.mask
    assert tuple(mask.size) == tuple(stone.size) and mask.colorspace_settings.is_data and not mask.is_float
    assert np.allclose(pixels_of(mask)[:, :, 0], np.clip(raw[:, :, 2] / 0.5, 0, 1), atol=0.51 / 255)
    assert np.ptp(pixels_of(mask)[:, :, :3], axis=2).max() == 0, "grey"
    bpy.ops.pentimento.use_as_mask(image="Stone Attribution.Scale", part="ALL", target="NEW_STYLE")
    assert len(styles.mixed) == 1 and styles.mixed[0].mask not in (None, mask)
    bpy.ops.pentimento.use_as_mask(image="Stone Attribution.Removal", target="NEW_PLACE")
    assert styles.places[0].mask
    mask.use_fake_user = False
    bpy.ops.pentimento.use_as_mask(image="Stone Attribution.Scale", part="form", target="STYLE")
    assert mask.use_fake_user, "the mask that was there stays in the file"
    bpy.ops.pentimento.stylize_image(image="Stone")


def told_of(addon: Any, channels: tuple[str, ...], display: tuple[float, float]) -> Any:
    return addon.explaining.Told("", "Detail", channels, "", "", display, (), (), "", 0)


def test_each_kind_of_overlay_has_its_greys(addon: Any) -> None:
    grey, values = addon.masking.grey, np.float32([[[-2.0], [-0.5], [0.0], [1.0]]])
    signed = told_of(addon, ("value",), (-1.0, 1.0))
    assert grey(values, signed, "BOTH").tolist() == [[1, 0.5, 0, 1]]
    assert grey(values, signed, "ABOVE").tolist() == [[0, 0, 0, 1]]
    assert grey(values, signed, "BELOW").tolist() == [[1, 0.5, 0, 0]]
    assert grey(values + 1, told_of(addon, ("value",), (0.0, 4.0)), "VALUE").tolist() == [[0, 0.125, 0.25, 0.5]]
    places = told_of(addon, ("u", "v", "confidence"), (0.0, 1.0))
    assert grey(np.float32([[[0.1, 0.2, 0.7]]]), places, "SURE")[0, 0] == np.float32(0.7)
    for found in (signed, places):
        assert addon.masking.parts_of(found)


def test_a_reduced_overlay_fits_its_picture(addon: Any) -> None:
    y, x = np.mgrid[0:10, 0:16].astype(np.float32)
    larger = addon.masking.sized(x / 15, 40, 64)
    wanted = np.clip((np.arange(64) + 0.5) / 4 - 0.5, 0, 15) / 15
    assert np.allclose(larger, wanted[None], atol=1e-6)
    assert np.allclose(addon.masking.sized(y / 9, 40, 64)[:, 0].max(), 1)
    assert addon.masking.sized(x, 10, 16) is x


def test_a_renders_overlay_is_an_image_and_no_more(addon: Any, shot: Any, styles: Any) -> None:
    arguments = {"image": shot.name, "layer": "Attribution Scale", "part": "colour"}
    with pytest.raises(RuntimeError, match="go by objects"):
        bpy.ops.pentimento.use_as_mask(target="STYLE", **arguments)
    bpy.ops.pentimento.use_as_mask(target="IMAGE", **arguments)
    (mask,) = (image for image in bpy.data.images if addon.layering.MASK in image)
    assert tuple(mask.size) == (48, 32) and styles.mask is None


# ---------------------------------------------------------------- the panels


class Menus(Layout):
    """Takes menus of an operator's choices, too."""

    def __getattr__(self, name: str) -> Any:
        if name != "operator_menu_enum":
            plain = super().__getattr__(name)

            def call(*values: Any, **named: Any) -> Any:
                answer = plain(*values, **named)
                return Menus(self.said) if isinstance(answer, Layout) else answer

            return call

        def menu(operator: str, prop: str, text: str = "", translate: bool = True) -> Any:
            self.said.append(text)
            kind = bpy.ops.pentimento.use_as_mask.get_rna_type()
            assert operator == "pentimento.use_as_mask" and prop in kind.properties
            return types.SimpleNamespace()

        return menu


def drawn(addon: Any, panel: str, image: Any, space: str = "IMAGE_EDITOR") -> list[str]:
    said: list[str] = []
    context = types.SimpleNamespace(
        scene=bpy.context.scene,
        preferences=types.SimpleNamespace(system=types.SimpleNamespace(ui_scale=1.0)),
        region=types.SimpleNamespace(width=2000, type="UI"),
        space_data=types.SimpleNamespace(type=space, image=image),
        object=bpy.context.object,
    )
    getattr(addon.panels.layers, panel).draw(types.SimpleNamespace(layout=Menus(said)), context)
    return [line for line in said if line]


def test_the_panel_lists_the_layers_from_above(addon: Any, stone: Any, editor: Any) -> None:
    bpy.context.scene.pentimento_layers.active = ""
    said = drawn(addon, "ImageLayersPanel", stone)
    names = [label for _, label in reversed(OF_STONE)]
    assert [line for line in said if line in names][:5] == names
    assert said.count("pentimento.toggle_layer") == said.count("pentimento.solo_layer") == 5
    assert "pentimento.compare" in said and "default_value" in said
    assert "Use as Mask" not in said, "a result is chosen"
    bpy.ops.pentimento.choose_layer(image="Stone Attribution.Scale")
    said = drawn(addon, "ImageLayersPanel", stone)
    assert {"Certified.", "Use as Mask"} <= set(said)
    assert [said.count(name) for name in ("Colour", "Form", "Stroke")] == [2, 2, 2], "a legend, and masks"
    assert any(line.startswith("Shown from 0 to 0.5: ") for line in said)
    bpy.ops.pentimento.choose_layer(image="Stone Attribution.Removal")
    assert {"Both", "Above 0", "-0.5", "0.5"} <= set(drawn(addon, "ImageLayersPanel", stone))
    said = drawn(addon, "ViewportLayersPanel", stone, "VIEW_3D")
    assert "Show Original" in said and "pentimento.compare" not in said


def test_a_failed_certificate_is_said_in_words(addon: Any, stone: Any, editor: Any) -> None:
    checks = [["B3", "r, 10 % removed", 0.5, 0.9, False]]
    bpy.data.images["Stone Attribution.Scale"]["pentimento_certificate"] = json.dumps(checks)
    bpy.ops.pentimento.choose_layer(image="Stone Attribution.Scale")
    said = drawn(addon, "ImageLayersPanel", stone)
    assert "Indicative only." in said and "B3, r, 10 % removed: 0.5, at least 0.9 wanted." in said


@pytest.mark.parametrize("panel", ["LayersPanel", "RecipePanel", "HistoryPanel"])
def test_every_panel_draws_where_there_is_nothing(addon: Any, editor: Any, panel: str) -> None:
    for place, space in (("Image", "IMAGE_EDITOR"), ("Viewport", "VIEW_3D"), ("Render", "PROPERTIES")):
        assert drawn(addon, place + panel, None, space)


def test_a_render_is_told_of_in_its_properties(addon: Any, shot: Any) -> None:
    bpy.ops.pentimento.choose_layer(image=shot.name, layer="Attribution Scale")
    said = drawn(addon, "RenderLayersPanel", None, "PROPERTIES")
    assert {"Render", "Brush", "Scale", "Certified.", "Show Original", "Stroke"} <= set(said)
    said = drawn(addon, "RenderRecipePanel", None, "PROPERTIES")
    assert "Brush" in said and "pentimento.make_again" in said
    assert shot.name in drawn(addon, "RenderHistoryPanel", None, "PROPERTIES")
