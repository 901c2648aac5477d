"""Explain: a place of the picture in view is asked about; answers are images beside it that speak for themselves."""

from __future__ import annotations

import json
import os
import signal
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tiny_styles
from blender import FAKE_WORKER, bpy, compositor_of, new_image, new_scene, pixels_of, pump, use_in_material
from test_panels import Layout

SIZE = (60, 40)


@pytest.fixture(scope="session")
def blur_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blur, whose answers are known: the mean of 5 x 5 pixels, with its gradients. Foreign, from another program."""
    folder = tmp_path_factory.mktemp("blurs")
    tiny_styles.explained(tiny_styles.blur(folder / "blur"))
    tiny_styles.identity(folder / "old", "Old")
    return folder


@pytest.fixture
def blur(addon: Any, blur_packs: Path) -> Any:
    """What to ask: Influence of a pixel, with the style Blur"""
    addon.props.library.preferences().styles_folder = str(blur_packs)
    bpy.context.scene.pentimento.style = "Blur"
    asked = bpy.context.scene.pentimento_explain
    asked.questions = {"Influence"}
    return asked


@pytest.fixture
def editor(addon: Any) -> Any:
    """An Image Editor with its area, as there is one even in background"""
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "IMAGE_EDITOR"
    with bpy.context.temp_override(window=window, area=area):
        yield area.spaces.active


def explain(**arguments: Any) -> None:
    assert bpy.ops.pentimento.explain(**arguments) == {"FINISHED"}


def refused(said: str, **arguments: Any) -> None:
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.pentimento.explain(**arguments)


def influence(name: str = "Stone Attribution.Influence") -> np.ndarray:
    """Of the picture in its own rows, the first at the top"""
    return pixels_of(bpy.data.images[name])[::-1, :, 0]


def kernel(x: int, y: int) -> np.ndarray:
    """What is known of a pixel of a blurred picture"""
    wanted = np.zeros(SIZE[::-1], np.float32)
    wanted[y - 2 : y + 3, x - 2 : x + 3] = 1 / 25
    return wanted


# ---------------------------------------------------------------- answers


def test_a_pixel_is_explained_by_raw_floats(addon: Any, blur: Any) -> None:
    stone = new_image(size=SIZE)
    before = pixels_of(stone).copy()
    explain(image="Stone", at=(30, 10))
    overlay = bpy.data.images["Stone Attribution.Influence"]
    assert overlay.is_float and overlay.colorspace_settings.is_data
    assert np.allclose(influence(), kernel(30, 10), atol=1e-6)
    assert (pixels_of(stone) == before).all()
    assert "Influence: Half of what can change this area" in addon.jobs.last_report().fix


def test_the_cursor_of_the_editor_says_where(addon: Any, blur: Any, editor: Any) -> None:
    editor.image = new_image(size=SIZE)
    editor.cursor_location = (20.5 / 60, 9.5 / 40)
    explain()
    assert np.allclose(influence(), kernel(20, 30), atol=1e-6)
    assert editor.image.name == "Stone Explained", "the editor shows it"

    # Again where the editor shows the explanation, and counts in pixels: its legend is no part of the picture.
    editor.uv_editor.show_pixel_coords = True
    shown = editor.image
    legend = shown[addon.explaining.STRIP] * shown.size[1]
    editor.cursor_location = (20.5 / 60 * shown.size[0], legend + 9.5 / 40 * (shown.size[1] - legend))
    explain()
    assert np.allclose(influence("Stone Attribution.Influence.001"), kernel(20, 30), atol=1e-6)
    assert np.allclose(influence(), kernel(20, 30), atol=1e-6), "the first answer stays"
    editor.cursor_location = (10, legend / 2)
    refused("is not inside the picture")


@pytest.mark.parametrize("across, up, pixel", [(0, 0, (0, 39)), (1, 1, (59, 0)), (0.51, 0.49, (30, 20))])
def test_places_of_an_editor_are_pixels(addon: Any, across: float, up: float, pixel: tuple[int, int]) -> None:
    assert addon.explaining.place_of(across, up, 0.0, SIZE) == pixel
    assert addon.explaining.place_of(across, 0.2 + 0.8 * up, 0.2, SIZE) == pixel


def test_a_box_and_the_whole_picture(addon: Any, blur: Any) -> None:
    new_image(size=SIZE)
    blur.place, blur.size = "BOX", 4
    explain(image="Stone", at=(30, 20))
    assert influence().sum() == pytest.approx(16, rel=1e-4)
    assert np.argwhere(influence() > 1e-6).min(0).tolist() == [16, 26]
    explain(image="Stone", at=(0, 0))  # only as much of a box as there is picture
    assert 0 < influence("Stone Attribution.Influence.001").sum() <= 4
    blur.place = "PICTURE"
    explain(image="Stone")
    told = addon.explaining.told(bpy.data.images["Stone Attribution.Influence.002"])
    assert told.about == "the whole picture of Stone in Blur"


def test_an_overlay_says_what_it_means(addon: Any, blur: Any) -> None:
    new_image(size=SIZE)
    blur.questions = {"Influence", "Scale"}
    explain(image="Stone", at=(30, 10))
    image = bpy.data.images["Stone Attribution.Scale"]
    assert image["pentimento_sentence"].endswith("% strokes.") and image["pentimento_unit"]
    assert list(image["pentimento_display"]) == [0.0, 0.5]
    (check,) = json.loads(image["pentimento_certificate"])
    assert check[0] == "B1" and check[-1] is True
    assert json.loads(image[addon.scene_io.RECIPE])["region"] == {"at": [30, 10]}
    told = addon.explaining.told(image)
    assert [bar.name for bar in told.bars] == ["colour", "form", "stroke"]
    assert told.faithful and told.channels == ("colour", "form", "stroke")
    image["pentimento_bars"] = "[somebody was here"
    assert addon.explaining.told(image) is None


def test_the_settings_are_those_of_the_panel(addon: Any, blur: Any) -> None:
    new_image(size=SIZE)
    bpy.context.scene.pentimento.strength = 0.5
    explain(image="Stone", at=(30, 20))
    wanted = kernel(30, 20) / 2
    wanted[20, 30] += 0.5
    assert np.allclose(influence(), wanted, atol=1e-6)


def test_stylized_overlays_mean_something_too(addon: Any, blur: Any) -> None:
    new_image(size=SIZE)
    bpy.context.scene.pentimento.overlays = {"Scale"}
    bpy.ops.pentimento.stylize_image(image="Stone")
    told = addon.explaining.told(bpy.data.images["Stone Attribution.Scale"])
    assert told.unit and told.bars and told.checks


# ---------------------------------------------------------------- looking at it


def display() -> np.ndarray:
    return pixels_of(bpy.data.images["Stone Explained"])[::-1, :, :3]


class InAWindow:
    """What explaining sees of Blender, with a window and timers that wait for the test"""

    timers: ClassVar[list[Any]] = []
    data, context = bpy.data, bpy.context

    class app:  # noqa: N801
        background = False

        class timers:  # noqa: N801
            @staticmethod
            def is_registered(step: Any) -> bool:
                return step in InAWindow.timers

            @staticmethod
            def register(step: Any, first_interval: float) -> None:
                InAWindow.timers.append(step)


def test_the_slider_lays_the_overlay_over_the_picture(addon: Any, blur: Any, editor: Any) -> None:
    editor.image = stone = new_image(size=SIZE)
    explain(at=(30, 20))
    raw, full = influence().copy(), display().copy()
    larger = full.shape[1] // SIZE[0]
    assert full.shape[1] == 480 and larger == 8, "so large that the legend can be read"
    blur.blend = 0.0
    picture = pixels_of(stone)[::-1, :, :3].repeat(larger, axis=0).repeat(larger, axis=1)
    assert np.allclose(display()[: len(picture)], picture, atol=1 / 255)
    assert (display()[len(picture) :] == full[len(picture) :]).all(), "the legend stays"
    blur.blend = 0.5
    assert np.allclose(display()[: len(picture)], (full[: len(picture)] + picture) / 2, atol=1.5 / 255)
    assert (influence() == raw).all()


def test_a_step_of_the_slider_only_blends(
    addon: Any, blur: Any, editor: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    editor.image = new_image(size=SIZE)
    explain(at=(30, 20))
    blur.blend = 0.5
    half = display().copy()
    blur.blend = 1.0
    full = display().copy()
    with monkeypatch.context() as patched:
        patched.delattr(addon.scene_io, "rows_of")
        patched.delattr(addon.engine_client.looks, "over")
        blur.blend = 0.5
        assert np.array_equal(display(), half), "neither overlay nor picture is read again"
    addon.explaining._forget()  # as after an undo
    blur.blend = 1.0
    assert np.array_equal(display(), full)


def test_moves_of_the_slider_are_drawn_together_and_packed_at_rest(
    addon: Any, blur: Any, editor: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a window, where timers fire; here the test fires."""
    explaining = addon.explaining
    editor.image = new_image(size=SIZE)
    explain(at=(30, 20))
    blur.blend = 0.5
    half = display().copy()
    blur.blend = 1.0
    full, packed = display().copy(), bpy.data.images["Stone Explained"].packed_file.data
    monkeypatch.setattr(explaining, "bpy", InAWindow())
    for blend in (0.9, 0.1, 0.5):
        explaining.slide(blend)
        assert np.array_equal(display(), full), "not yet"
    assert InAWindow.timers == [explaining._step]
    assert explaining._step() == explaining.STEP
    assert np.array_equal(display(), half)
    assert bpy.data.images["Stone Explained"].packed_file.data == packed, "pixels alone"
    assert explaining._step() == explaining.STEP, "it may go on"
    monkeypatch.setattr(explaining, "REST", 0.0)
    explaining.slide(0.5)
    assert explaining._step() == explaining.STEP and explaining._step() is None
    assert bpy.data.images["Stone Explained"].packed_file.data != packed
    bpy.data.images["Stone Explained"].buffers_free()
    assert np.array_equal(display(), half), "from the file in the scene"


def test_another_layer_and_the_picture_again(addon: Any, blur: Any, editor: Any) -> None:
    editor.image = new_image(size=SIZE)
    blur.questions = {"Influence", "Scale"}
    explain(at=(30, 20))
    first = display().copy()
    bpy.ops.pentimento.look_at(image="Stone Attribution.Scale")
    assert editor.image.name == "Stone Explained" and not np.array_equal(display(), first)
    assert [image.name for image in bpy.data.images if "Explained" in image.name] == ["Stone Explained"]
    bpy.ops.pentimento.look_at(image="Stone")
    assert editor.image.name == "Stone"
    bpy.ops.pentimento.look_at(image="Stone Attribution.Scale")
    with pytest.raises(RuntimeError, match="no image 'Nobody'"):
        bpy.ops.pentimento.look_at(image="Nobody")


def test_the_material_is_fed_where_our_group_is(addon: Any, blur: Any) -> None:
    material = use_in_material(new_image(size=SIZE))
    explain(image="Stone", at=(30, 20))
    assert not any(node.label == "Pentimento Layers" for node in material.node_tree.nodes)
    bpy.context.scene.pentimento.overlays = {"Scale"}
    bpy.ops.pentimento.stylize_image(image="Stone")
    group = next(node for node in material.node_tree.nodes if node.label == "Pentimento Layers")
    assert group.inputs["Overlay Bands"].default_value == 1
    group.inputs["Overlay Mix"].default_value = 0.3
    explain(image="Stone", at=(30, 20))
    (link,) = group.inputs["Overlay"].links
    assert link.from_node.image.name == "Stone Attribution.Influence.001"
    values = [group.inputs[name].default_value for name in ("Overlay Low", "Overlay High", "Overlay Bands")]
    assert values == [-1, 1, 0]
    assert group.inputs["Overlay Mix"].default_value == pytest.approx(0.3), "what the artist set stays"


def test_answers_are_there_when_the_file_is_opened_again(addon: Any, blur: Any, editor: Any, tmp_path: Path) -> None:
    editor.image = new_image(size=SIZE)
    editor.image.pack()
    explain(at=(30, 20))
    before, shown = addon.explaining.answer_beside(bpy.data.images["Stone"]), display().copy()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert addon.explaining.answer_beside(bpy.data.images["Stone"]) == before
    assert np.array_equal(display(), shown)
    assert np.allclose(influence(), kernel(30, 20), atol=1e-6)
    addon.jobs.finish(addon.explaining.look_at(bpy.data.images["Stone Attribution.Influence"], 1.0))
    assert np.array_equal(display(), shown), "drawn again, with its legend"


def test_places_on_several_style_pictures_have_a_fourth_number(addon: Any, blur: Any, tmp_path: Path) -> None:
    """Which picture: no transparency, and as raw as the others."""
    protocol = addon.engine_client.protocol
    stone = new_image(size=SIZE)
    material = use_in_material(stone)
    bpy.ops.pentimento.stylize_image(image="Stone")
    values = np.random.default_rng(0).random((40, 60, 4), np.float32)
    values[..., 3] = values[..., 3] > 0.5
    beneath, legend = np.full((40, 60, 4), 255, np.uint8), np.full((9, 480, 3), 40, np.uint8)

    def block(name: str, pixels: np.ndarray) -> Any:
        pixels.tofile(tmp_path / name)
        return protocol.PixelBlock(str(tmp_path / name), pixels.shape, str(pixels.dtype))

    check = protocol.Check("B6", "r", 1.0, 0.9, True)
    layer = protocol.Layer(
        *("Attribution.Provenance", ("u", "v", "confidence", "picture"), "data", block("values", values)),
        sentence="Likeness, not cause.",
        certificate=protocol.Certificate((check,)),
        legend=block("legend", legend),
    )
    under = protocol.Layer("Picture", ("R", "G", "B", "region"), "srgb", block("under", beneath))
    event = protocol.Explained("", "Stone", (layer,), "", 1.0, {}, under)
    for _ in addon.explaining.take(event, "Stone", "a test", 1.0):
        pass
    assert np.array_equal(pixels_of(bpy.data.images["Stone Attribution.Provenance"])[::-1], values)
    assert addon.explaining.answer_beside(stone)[0].channels[-1] == "picture"
    first = display().copy()
    addon.jobs.finish(addon.explaining.look_at(bpy.data.images["Stone Attribution.Provenance"], 1.0))
    assert np.array_equal(display(), first), "drawn from the image as from the file"
    group = next(node for node in material.node_tree.nodes if node.label == "Pentimento Layers")
    assert [group.inputs[f"Overlay {kind}"].default_value for kind in ("Bands", "Places")] == [0, 1]
    assert group.inputs["Overlay"].links[0].from_node.image.name == "Stone Attribution.Provenance"


def test_a_group_of_an_older_version_is_not_fed_what_it_cannot_colour(addon: Any, blur: Any) -> None:
    material = use_in_material(stone := new_image(size=SIZE))
    bpy.context.scene.pentimento.overlays = set()
    bpy.ops.pentimento.stylize_image(image="Stone")
    group = next(node for node in material.node_tree.nodes if node.label == "Pentimento Layers")
    sockets = group.node_tree.interface
    sockets.remove(sockets.items_tree["Overlay Places"])
    for kind in ("places", "amount"):
        addon.scene_io.feed_overlay(stone, addon.scene_io.Overlay(stone, (0.0, 1.0), kind))
        assert bool(group.inputs["Overlay"].links) == (kind == "amount")
    assert addon.scene_io.layers_group("ShaderNodeTree") != group.node_tree


def test_an_answer_can_be_discarded(addon: Any, blur: Any, editor: Any) -> None:
    editor.image = new_image(size=SIZE)
    explain(at=(30, 20))
    explain(at=(10, 20))
    assert len(bpy.data.images) == 6  # two answers with what they lie over, one display picture, the stone
    bpy.ops.pentimento.discard_answer()
    assert editor.image.name == "Stone"
    assert "Stone Attribution.Influence" in bpy.data.images
    assert "Stone Attribution.Influence.001" not in bpy.data.images
    bpy.ops.pentimento.discard_answer()
    assert set(bpy.data.images.keys()) == {"Stone"}


def test_a_discarded_answer_leaves_no_node_without_an_image(addon: Any, blur: Any) -> None:
    """A texture node without one is magenta, and Overlay Mix may be up."""
    stone = new_image(size=SIZE)
    material = use_in_material(stone)
    bpy.context.scene.pentimento.overlays = set()
    bpy.ops.pentimento.stylize_image(image="Stone")
    nodes = material.node_tree.nodes
    group = next(node for node in nodes if node.label == "Pentimento Layers")
    before = {node.name for node in nodes}
    explain(image="Stone", at=(30, 20))
    group.inputs["Overlay Mix"].default_value = 0.7
    explain(image="Stone", at=(10, 20))
    addon.explaining.discard(bpy.data.images["Stone Attribution.Influence"])
    assert group.inputs["Overlay Mix"].default_value == pytest.approx(0.7), "not what is shown there"
    addon.explaining.discard(stone)
    assert group.inputs["Overlay Mix"].default_value == 0
    assert all(node.image for node in nodes if node.type == "TEX_IMAGE")
    assert {node.name for node in nodes} == before
    explain(image="Stone", at=(30, 20))
    (link,) = group.inputs["Overlay"].links
    assert link.from_node.image.name == "Stone Attribution.Influence"


def test_the_answer_of_the_image_in_view_is_shown_else_the_latest(addon: Any, blur: Any) -> None:
    stone = new_image(size=SIZE)
    explain(image="Stone", at=(30, 20))
    explain(image="Stone", at=(10, 20))
    beside = addon.explaining.answer_beside
    assert [told.about for told in beside(stone)] == ["the pixel 10, 20 of Stone in Blur"]
    first = bpy.data.images["Stone Attribution.Influence"]
    assert [told.about for told in beside(first)] == ["the pixel 30, 20 of Stone in Blur"]
    addon.jobs.finish(addon.explaining.look_at(first, 1.0))
    assert beside(bpy.data.images["Stone Explained"])[0].image == first.name
    assert beside(None) == []


# ---------------------------------------------------------------- what cannot be answered


def test_bad_places_are_refused_before_a_worker_starts(addon: Any, blur: Any, editor: Any) -> None:
    editor.image = new_image(size=SIZE)
    refused(r"The point 60, 5 is not inside the picture \(60 x 40\). Press Point", at=(60, 5))
    editor.cursor_location = (1.5, 0.5)
    refused("The point 90, 20 is not inside the picture")
    blur.place = "OBJECT"
    refused("this is no render with passes. Ask about a box")
    assert addon.jobs.PAINTING.slot.worker is None


def test_without_an_editor_there_is_no_cursor(addon: Any, blur: Any) -> None:
    new_image(size=SIZE)
    refused("There is no 2D cursor here. Ask in an Image Editor", image="Stone")


def test_a_render_that_was_not_painted_says_what_to_do(addon: Any, blur: Any, editor: Any) -> None:
    result = bpy.data.images.new("Result", 4, 4)
    view = types.SimpleNamespace(type="RENDER_RESULT", get=result.get)
    with pytest.raises(addon.engine_client.EngineError, match="keeps no pixels of a render") as caught:
        addon.explaining.subject_of(view, bpy.context.scene)
    assert "Press Stylize Render first" in caught.value.fix


def test_a_style_of_another_program_answers_what_it_can(addon: Any, blur: Any, tmp_path: Path) -> None:
    tiny_styles.bgr_255(tmp_path / "mosaic.onnx")
    addon.props.library.preferences().styles_folder = str(tmp_path / "mine")
    bpy.ops.pentimento.import_style(filepath=str(tmp_path / "mosaic.onnx"), name="Foreign")
    image = new_image(size=SIZE)
    reason = "Influence: the style Foreign was made by another program and brings no gradients"
    refused(f"Nothing is asked that can be answered here. {reason}", image="Stone", at=(30, 20))
    blur.questions = {"Influence", "Scale"}
    explain(image="Stone", at=(30, 20))
    assert [told.name for told in addon.explaining.answer_beside(image)] == ["Scale"]


def test_reasons_are_those_of_picture_and_style(addon: Any, blur: Any) -> None:
    explaining, chosen = addon.explaining, bpy.context.scene.pentimento
    plain = explaining.Subject("Stone", SIZE)
    bare = explaining.Subject("shot", SIZE, "shot.exr", frozenset({"Combined", "Depth"}))
    lit = explaining.Subject("shot", SIZE, "shot.exr", frozenset({*explaining.LIGHTS[1], "CryptoObject00"}))

    def able(subject: Any) -> set[str]:
        return {name for name in addon.props.choices.QUESTIONS if not explaining.lacks(name, chosen, subject)}

    own = {"Influence", "Detail", "Removal", "Scale"}
    assert able(plain) == able(bare) == own
    assert able(lit) == own | {"Passes", "Objects"}
    assert "switch on Diffuse" in explaining.lacks("Passes", chosen, bare)
    assert "switch on Cryptomatte" in explaining.lacks("Objects", chosen, bare)
    assert "brings no style picture: it is of an older version" in explaining.lacks("Provenance", chosen, plain)
    chosen.mixed.add().style_name = "Old"
    assert able(lit) == {"Passes", "Objects", "Styles", "Removal", "Scale"}
    assert "older version" in explaining.lacks("Influence", chosen, lit)
    assert "this is a mix" in explaining.lacks("StyleFit", chosen, lit)
    chosen.mixed.clear()
    chosen.palette = "Old"
    assert "colours of another style" in explaining.lacks("Detail", chosen, lit)
    chosen.style_name = "Nobody"
    assert "'Nobody' is not installed" in explaining.lacks("Influence", chosen, lit)
    assert not explaining.lacks("Scale", chosen, plain)


def test_one_style_in_two_places_is_a_mix_of_one_style(addon: Any, blur: Any) -> None:
    """As the engine judges: it tells the places apart, and compares with the one style picture."""
    explaining, chosen = addon.explaining, bpy.context.scene.pentimento
    plain, lit = explaining.Subject("Stone", SIZE), explaining.Subject("shot", SIZE, "shot.exr")
    chosen.mixed.add().style_name = "Blur"
    assert "one style only" in explaining.lacks("Styles", chosen, plain), "in the same place it is one style"
    chosen.mixed[0].mask = new_image("Mask", SIZE)
    assert not explaining.lacks("Styles", chosen, plain)
    assert "one style only" in explaining.lacks("Styles", chosen, lit), "a render knows no masks"
    chosen.mixed[0].matte = "Cube"
    assert not explaining.lacks("Styles", chosen, lit)
    for name in ("Provenance", "StyleFit"):
        assert "older version" in explaining.lacks(name, chosen, plain)


def test_styles_without_a_share_are_in_no_mix(addon: Any) -> None:
    """The panel gives no share of 0, but a script or an older file may."""
    explaining, chosen = addon.explaining, bpy.context.scene.pentimento
    chosen.style = "Starry Night"
    chosen.mixed.add().style_name = "Wheat Field"
    for name in ("Provenance", "StyleFit"):
        assert "this is a mix" in explaining.lacks(name, chosen, None), name
    assert not explaining.lacks("Styles", chosen, None)
    row = chosen.mixed[0]
    getattr(row, "bl_system_properties_get", lambda: row)()["share"] = 0.0  # past what the slider allows
    assert row.share == 0
    for name in ("Provenance", "StyleFit"):
        assert not explaining.lacks(name, chosen, None), name
    assert "one style only" in explaining.lacks("Styles", chosen, None)


def test_a_style_picture_is_compared_in_its_own_colours_only(addon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    explaining, chosen = addon.explaining, bpy.context.scene.pentimento
    chosen.style, chosen.palette = "Starry Night", "Wheat Field"
    assert explaining.lacks("Provenance", chosen, None) == "not in the colours of another style"
    assert not explaining.lacks("StyleFit", chosen, None)
    chosen.palette = "OWN"
    how = replace(addon.props.stylize_settings(chosen, False), colours="luma")
    monkeypatch.setattr(addon.props, "stylize_settings", lambda _chosen, is_render: how)
    assert explaining.lacks("Provenance", chosen, None) == "not in the colours of the picture"
    assert not explaining.lacks("StyleFit", chosen, None)


def test_a_style_that_ships_can_be_asked_everything(addon: Any) -> None:
    chosen = bpy.context.scene.pentimento
    chosen.style = "Starry Night"
    for name in ("Influence", "Detail", "Provenance", "StyleFit"):
        assert not addon.explaining.lacks(name, chosen, None), name


def test_every_question_has_a_tooltip_and_a_known_need(addon: Any) -> None:
    from engine.explain.overlay import OF_A_REGION

    assert set(OF_A_REGION) == set(addon.props.choices.QUESTIONS)
    for question in addon.props.choices.QUESTIONS.values():
        assert question.about.endswith("?") and question.needs in addon.explaining.NEEDS


# ---------------------------------------------------------------- jobs


def test_while_it_is_checked_the_answer_stands_there(addon: Any, blur: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addon.engine_client, "command", lambda _python: [sys.executable, str(FAKE_WORKER), "slow"])
    new_image(size=SIZE)
    addon.jobs.start(addon.operators.explanation.explain_job(bpy.context, "Stone", (30, 20), blocking=False))
    pump(addon.jobs, lambda: addon.jobs.current().fraction > 0, 10)
    protocol = addon.engine_client.protocol
    addon.jobs.current().on_event(
        protocol.Answered("", "Scale", "All strokes.", 1.0, "", (protocol.Bar("stroke", 1.0),))
    )
    said = drawn(addon)
    assert "Scale: All strokes." in said and "Being checked." in said and "+" not in said and "100 %" in said
    assert "if this ends before, none of them is" in said
    addon.jobs.cancel()
    pump(addon.jobs, lambda: addon.jobs.current() is None, 15)
    assert "was cancelled" in addon.jobs.last_report().message
    assert addon.explaining.asking is None
    assert set(bpy.data.images.keys()) == {"Stone"}, "nothing half-checked stays"


def test_a_killed_worker_ends_the_question(addon: Any, blur: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    new_image(size=SIZE)
    with monkeypatch.context() as patched:
        patched.setattr(addon.engine_client, "command", lambda _python: [sys.executable, str(FAKE_WORKER), "slow"])
        addon.jobs.start(addon.operators.explanation.explain_job(bpy.context, "Stone", (30, 20), blocking=False))
        pump(addon.jobs, lambda: addon.jobs.current().fraction > 0, 10)
        os.kill(addon.jobs.PAINTING.slot.worker.pid, signal.SIGKILL)
        pump(addon.jobs, lambda: addon.jobs.current() is None, 10)
    assert addon.jobs.last_report().level == "ERROR" and addon.explaining.asking is None
    explain(image="Stone", at=(30, 20))
    assert np.allclose(influence(), kernel(30, 20), atol=1e-6)


def test_in_the_background_it_is_one_undo_step(addon: Any, blur: Any) -> None:
    stone = new_image(size=SIZE)
    stone.pack()
    stone.use_fake_user = True
    bpy.ops.ed.undo_push(message="before")
    addon.jobs.start(addon.operators.explanation.explain_job(bpy.context, "Stone", (30, 20), blocking=False))
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert addon.jobs.last_report().level == "INFO" and "Stone Explained" in bpy.data.images
    bpy.ops.ed.undo()
    assert set(bpy.data.images.keys()) == {"Stone"}


# ---------------------------------------------------------------- renders


@pytest.fixture
def render(addon: Any, blur: Any, tmp_path: Path) -> Any:
    """A cube that was rendered with its lights and its Cryptomatte, and painted"""
    scene = new_scene()
    layer = scene.view_layers[0]
    for name in ("diffuse_direct", "diffuse_indirect", "diffuse_color", "environment", "cryptomatte_object"):
        setattr(layer, f"use_pass_{name}", True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    return next(image for image in bpy.data.images if image.name.startswith("shot_0001 ("))


def test_lights_and_objects_of_a_render(addon: Any, blur: Any, render: Any) -> None:
    blur.questions, blur.place = {"Passes", "Objects", "Influence"}, "PICTURE"
    explain(image=render.name)
    answer = addon.explaining.answer_beside(render)
    assert {told.family for told in answer} == {"Influence", "Passes", "Objects"}
    names = {told.name for told in answer}
    assert {"Passes.Diffuse", "Objects.Cube", "Objects.everything else"} <= names
    bars = {told.family: {bar.name: bar.value for bar in told.bars} for told in answer}
    for family in ("Passes", "Objects"):
        for told in answer:
            if told.family == family:
                mean = pixels_of(bpy.data.images[told.image])[..., 0].mean()
                assert mean == pytest.approx(bars[family][told.name.partition(".")[2]], abs=1e-4)
    group = next(node for node in compositor_of(bpy.context.scene).nodes if node.label == "Pentimento Layers")
    (link,) = group.inputs["Overlay"].links
    assert link.from_node.image.name == answer[0].image


def test_an_object_of_a_render_is_asked_about_by_its_name(addon: Any, blur: Any, render: Any) -> None:
    blur.place = "OBJECT"
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    explain(image=render.name)
    (told,) = addon.explaining.answer_beside(render)
    assert told.about.startswith("the object Cube of ")
    bpy.ops.object.empty_add()  # later than the render
    refused("no matte 'Empty'. Choose one of: .*Cube", image=render.name)
    bpy.context.view_layer.objects.active = None
    refused("No object is active. Click one", image=render.name)


def test_blenders_render_stands_for_the_painting_that_is_shown(addon: Any, render: Any) -> None:
    view = types.SimpleNamespace(type="RENDER_RESULT", get=lambda _name, default: default)
    subject = addon.explaining.subject_of(view, bpy.context.scene)
    assert subject.image == render.name and subject.size == (48, 32) and "CryptoObject00" in subject.passes


# ---------------------------------------------------------------- the panel


def drawn(addon: Any, image: Any = None) -> str:
    """The panel's texts, as if it were drawn in a sidebar 2000 pixels wide: no line is cut."""
    said: list[str] = []
    area = bpy.context.window_manager.windows[0].screen.areas[0]
    area.type = "IMAGE_EDITOR"
    space = area.spaces.active
    space.image = image
    context = types.SimpleNamespace(
        scene=bpy.context.scene,
        preferences=types.SimpleNamespace(system=types.SimpleNamespace(ui_scale=1.0)),
        region=types.SimpleNamespace(width=2000, type="UI"),
        space_data=space,
        object=bpy.context.object,
    )
    addon.panels.explanation.ImageExplainPanel.draw(types.SimpleNamespace(layout=Layout(said)), context)
    return "\n".join(said)


def test_the_panel_asks(addon: Any, blur: Any) -> None:
    assert "No Image in View" in drawn(addon)
    said = drawn(addon, new_image(size=SIZE)).split("\n")
    assert said.count("questions") == len(addon.props.choices.QUESTIONS)
    assert {"place", "cursor_location", "pentimento.explain", "pentimento.point"} <= set(said)
    assert "Passes, Objects: this is no render with passes." in said
    assert "size" not in said
    blur.place = "BOX"
    assert "size" in drawn(addon, bpy.data.images["Stone"]).split("\n")
    blur.place = "OBJECT"
    assert "No object is active" in drawn(addon, bpy.data.images["Stone"])
    bpy.data.images["Stone"].source = "SEQUENCE"
    assert "not one picture but many" in drawn(addon, bpy.data.images["Stone"])


def test_the_panel_answers(addon: Any, blur: Any) -> None:
    stone = new_image(size=SIZE)
    blur.questions = {"Influence", "Scale"}
    explain(image="Stone", at=(30, 20))
    said = drawn(addon, stone).split("\n")
    assert "About the pixel 30, 20 of Stone in Blur" in said
    assert said.index("Scale") > said.index("Influence")
    assert "Certified." in said and "Shown from 0 to 0.5: " in "".join(said)
    told = next(told for told in addon.explaining.answer_beside(stone) if told.name == "Scale")
    largest_first = [bar.name for bar in sorted(told.bars, key=lambda bar: -abs(bar.value))]
    assert [text for text in said if text in largest_first] == largest_first
    assert "blend" in said and "pentimento.discard_answer" in said


def test_a_failed_certificate_is_said_in_words_and_numbers(addon: Any, blur: Any) -> None:
    stone = new_image(size=SIZE)
    explain(image="Stone", at=(30, 20))
    checks = [["B3", "r, 10 % removed", 0.5, 0.9, False], ["B3", "lead over edges", 0.4, 0.3, True]]
    bpy.data.images["Stone Attribution.Influence"]["pentimento_certificate"] = json.dumps(checks)
    said = drawn(addon, stone)
    assert "Indicative only." in said and "Certified." not in said
    assert "B3, r, 10 % removed: 0.5, at least 0.9 wanted." in said and "lead over edges" not in said
