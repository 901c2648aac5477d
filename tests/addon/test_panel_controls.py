"""Controls in the panel: what they ask of the engine, what comes back, and what is refused before anything renders."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from blender import bpy, layers_of, new_image, new_scene, pixels_of
from test_panels import Layout, draw, lines_of

LIGHT_PASSES = [f"{light}_{part}" for light in ("diffuse", "glossy") for part in ("direct", "indirect", "color")]


@pytest.fixture
def lit(addon: Any, styles: Any, tmp_path: Path) -> Any:
    """A saved scene whose render tells light and objects apart; Brush paints it as the light it is."""
    scene = new_scene()
    surface = bpy.data.materials.new("Surface")
    if surface.node_tree is None:
        surface.use_nodes = True  # one that mirrors
    bpy.data.objects["Cube"].data.materials.append(surface)
    for name in (*LIGHT_PASSES, "environment", "cryptomatte_object"):
        setattr(scene.view_layers[0], f"use_pass_{name}", True)
    styles.style, styles.colours = "Brush", "SCENE"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return scene


def stylized_render(**arguments: Any) -> dict[str, np.ndarray]:
    """The layers of a new result"""
    before = set(bpy.data.images.keys())
    assert bpy.ops.pentimento.stylize_render(**arguments) == {"FINISHED"}
    added = [bpy.data.images[name] for name in set(bpy.data.images.keys()) - before]
    (image,) = [image for image in added if image.filepath.endswith(".exr")]
    return layers_of(Path(bpy.path.abspath(image.filepath)))


def painted(layers: dict[str, np.ndarray], layer: str = "Stylized") -> np.ndarray:
    """(H, W, 3), the first row at the top"""
    found = [next(pixels for name, pixels in layers.items() if name.endswith(f"{layer}.{c}")) for c in "RGB"]
    return np.stack(found, 2).astype(np.float32)


def place(settings: Any, strength: float, matte: str = "", mask: Any = None) -> Any:
    assert bpy.ops.pentimento.add_place() == {"FINISHED"}
    added = settings.places[-1]
    added.matte, added.mask, added.strength = matte, mask, strength
    return added


def move_all(settings: Any) -> None:
    settings.whose_colours, settings.lock = "luma", True
    settings.band_colour, settings.band_form, settings.band_stroke = 0.0, 0.5, 2.0
    settings.gain_glossy, settings.gain_environment = 0.0, 4.0


# ---------------------------------------------------------------- what is asked


def test_they_are_what_the_command_line_calls_them(addon: Any, styles: Any, tmp_path: Path) -> None:
    """The same choice in both gives the same settings; ranges and names are the engine's."""
    from engine import cli, colours, controls, passes
    from engine.explain.pyramid import BANDS

    move_all(styles)
    place(styles, 0.25, "Cube")
    place(styles, 0.75)  # not filled in yet
    line = "stylize x.exr --style X --out y --colours luma --bands 0,.5,2 --gain Glossy=0 --gain Environment=4"
    asked = cli._settings(cli._parser().parse_args([*line.split(), "--strength-of", "Cube=.25"]))
    how = addon.props.stylize_settings(styles, is_render=True)
    for name in ("colours", "bands"):
        assert getattr(how, name) == getattr(asked, name)
    assert [(gain.light, gain.gain) for gain in how.gains] == [(gain.light, gain.gain) for gain in asked.gains]
    assert [(one.matte, one.strength) for one in how.strength_of] == [("Cube", 0.25)]
    assert [(one.matte, one.strength) for one in asked.strength_of] == [("Cube", 0.25)]

    fields = styles.bl_rna.properties
    assert tuple(fields["whose_colours"].enum_items.keys()) == colours.WAYS
    assert [fields[name].name.lower() for name in addon.props.choices.BANDS] == list(BANDS)
    assert tuple(addon.props.choices.GAINS) == tuple(addon.switches.LIGHT_PASSES) == passes.LIGHTS
    assert [fields[name].name for name in addon.props.choices.GAINS.values()] == list(passes.LIGHTS)
    assert {fields[name].hard_max for name in addon.props.choices.BANDS} == {controls.MOST_BAND}
    assert {fields[name].hard_max for name in addon.props.choices.GAINS.values()} == {controls.MOST_GAIN}


def test_every_tooltip_names_what_foretells_it(addon: Any, styles: Any) -> None:
    fields = styles.bl_rna.properties
    named = ["whose_colours", "lock", *addon.props.choices.BANDS, *addon.props.choices.GAINS.values()]
    tooltips = [fields[name].description for name in named]
    tooltips.append(fields["places"].fixed_type.properties["strength"].description)
    for said in tooltips:
        assert "Attribution." in said and ". " not in said and not said.endswith("."), said


def test_a_texture_has_masks_and_no_lights(addon: Any, styles: Any) -> None:
    move_all(styles)
    place(styles, 0.25, "Cube")
    place(styles, 0.5, mask=new_image("Mask"))
    how = addon.props.stylize_settings(styles, is_render=False)
    assert how.gains == () and how.bands == (0.0, 0.5, 2.0)
    assert [(one.matte, one.strength) for one in how.strength_of] == [("Mask", 0.5)]


def test_only_styles_of_other_programs_are_locked(addon: Any, styles: Any, tmp_path: Path) -> None:
    styles.lock = True
    assert not addon.props.can_lock(styles)
    assert "lock" not in draw(addon, "ImageControlsPanel", new_image("Own")).split()
    assert not addon.props.stylize_settings(styles, is_render=True).lock
    addon.props.library.preferences().styles_folder = str(tmp_path)
    tiny_styles.normalised(tmp_path / "theirs.onnx")
    assert bpy.ops.pentimento.import_style(filepath=str(tmp_path / "theirs.onnx"), name="Theirs") == {"FINISHED"}
    assert addon.props.can_lock(styles)
    assert "lock" in draw(addon, "ImageControlsPanel", bpy.data.images["Own"]).split()
    assert addon.props.stylize_settings(styles, is_render=True).lock
    new_image(size=(96, 64))
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
    recipe = json.loads(bpy.data.images["Stone (Theirs)"][addon.scene_io.RECIPE])
    assert recipe["settings"]["lock"] is True


# ---------------------------------------------------------------- what comes back


def test_a_light_that_is_off_paints_what_the_engine_paints(lit: Any, styles: Any, tmp_path: Path, packs: Path) -> None:
    from engine import cli

    as_rendered = painted(stylized_render())
    (source,) = [path for path in (tmp_path / "pentimento").glob("*.exr") if "rush" not in path.name]
    styles.gain_glossy = 0.0
    off = painted(stylized_render(filepath=str(source)))
    assert np.abs(off - as_rendered).max() > 0.01
    command = ["stylize", str(source), "--style", str(packs / "brush"), "--gain", "Glossy=0", "--out", str(tmp_path)]
    assert cli.main(command) == 0
    (own,) = tmp_path.glob("*rush*.exr")
    assert np.array_equal(painted(layers_of(own)), off)


def test_an_object_has_a_strength_of_its_own(lit: Any, styles: Any) -> None:
    place(styles, 0.0, "Cube")
    layers = stylized_render()
    result, render = painted(layers), painted(layers, "Combined")
    assert np.allclose(result[14:18, 22:26], render[14:18, 22:26], rtol=2e-3), "the cube in the middle stays"
    assert np.abs(result[:3] - render[:3]).max() > 0.01, "what is around it is painted"


def test_a_texture_is_weaker_where_a_mask_is_white(styles: Any) -> None:
    stone = new_image()
    mask = bpy.data.images.new("Mask", 48, 32)
    white = np.zeros((32, 48, 4), np.float32)
    white[:, :, 3], white[:10] = 1, 1  # the lowest rows
    mask.pixels.foreach_set(white.ravel())
    styles.style = "Brush"
    place(styles, 0.0, mask=mask)
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
    moved = np.abs(pixels_of(bpy.data.images["Stone (Brush)"]) - pixels_of(stone))[..., :3].max((1, 2))
    assert moved[:10].max() < 1 / 255 < 0.05 < moved[10:].max()


def test_an_explanation_is_of_the_result_as_it_is(addon: Any, lit: Any, styles: Any) -> None:
    styles.gain_glossy, styles.band_stroke = 0.0, 0.5
    place(styles, 0.25, "Cube")
    stylized_render()
    image = next(image for image in bpy.data.images if image.name.startswith("shot_0001 ("))
    asked = bpy.context.scene.pentimento_explain
    asked.place, asked.questions = "PICTURE", {"Influence", "Passes", "Scale"}
    assert bpy.ops.pentimento.explain(image=image.name) == {"FINISHED"}
    answer = addon.explaining.answer_beside(image)
    assert {told.family for told in answer} == {"Passes", "Scale"}, "Influence has no gradient of bands"
    assert "Glossy" not in {bar.name for told in answer for bar in told.bars}, "it is off"
    settings = json.loads(bpy.data.images[answer[0].image][addon.scene_io.RECIPE])["settings"]
    assert settings["gains"] == {"Glossy": 0.0} and settings["bands"] == [1.0, 1.0, 0.5]


def test_gradients_are_not_asked_of_bands_and_kept_colours(addon: Any, styles: Any) -> None:
    styles.style = "Starry Night"
    assert not addon.explaining.lacks("Influence", styles, None)
    styles.band_form = 0.5
    assert "not with bands" in addon.explaining.lacks("Influence", styles, None)
    styles.band_form, styles.whose_colours = 1.0, "luma"
    assert "colours of the picture" in addon.explaining.lacks("Detail", styles, None)
    assert not addon.explaining.lacks("Removal", styles, None)


# ---------------------------------------------------------------- what is refused


def refused(said: str, **arguments: Any) -> None:
    """Before anything is rendered: no result of Blender's is there afterwards."""
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.pentimento.stylize_render(**arguments)


def test_what_the_render_cannot_tell_is_refused_before_it(lit: Any, styles: Any, tmp_path: Path) -> None:
    place(styles, 0.5, "Vase")
    refused(r"There is no object 'Vase' any more.*\n?.*Choose another one in Controls")
    styles.places.clear()
    styles.gain_volume = 2.0
    lit.render.engine = "BLENDER_WORKBENCH"
    refused(r"Only Cycles renders every pass.*\n?.*lights in Controls to 1")
    styles.gain_volume, styles.whose_colours, styles.palette = 1.0, "luma", "Identity"
    refused(r"of a palette and of the picture.*\n?.*Whose Colours: Style")
    assert not (tmp_path / "pentimento").exists()


def test_an_object_that_came_after_the_render_is_named(addon: Any, lit: Any, styles: Any, tmp_path: Path) -> None:
    stylized_render()
    (source,) = [path for path in (tmp_path / "pentimento").glob("*.exr") if "rush" not in path.name]
    bpy.ops.object.empty_add()
    place(styles, 0.5, "Empty")
    refused(r"no matte 'Empty'.*\n?.*Choose one of: .*Cube", filepath=str(source))
    assert "Cube" in addon.jobs.last_report().fix


def test_a_mask_of_another_size_is_refused(styles: Any) -> None:
    new_image()
    place(styles, 0.5, mask=bpy.data.images.new("Mask", 8, 8))
    with pytest.raises(RuntimeError, match=r"'Mask' is 8 x 8, the image 48 x 32.*\n?.*Scale the mask"):
        bpy.ops.pentimento.stylize_image(image="Stone")


# ---------------------------------------------------------------- files


def test_a_file_without_them_opens_as_it_was_and_with_them_keeps_them(addon: Any, styles: Any, tmp_path: Path) -> None:
    """A file holds what was set, so one in which only the strength was set is one from before there were controls."""
    file, protocol = str(tmp_path / "old.blend"), addon.engine_client.protocol
    styles.strength = 0.25
    moved = [*addon.props.choices.BANDS, *addon.props.choices.GAINS.values(), "whose_colours", "lock"]
    assert not any(styles.is_property_set(name) for name in moved)
    bpy.ops.wm.save_as_mainfile(filepath=file)
    move_all(styles)
    bpy.ops.wm.open_mainfile(filepath=file)
    chosen = bpy.context.scene.pentimento
    how = addon.props.stylize_settings(chosen, is_render=True)
    share = protocol.StyleShare(str(addon.props.library.style_of("Identity").folder))
    assert how == protocol.StylizeSettings((share,), strength=0.25)
    assert not addon.props.moved_controls(chosen)

    move_all(chosen)
    place(chosen, 0.25, "Cube")
    asked = addon.props.stylize_settings(chosen, is_render=True)
    bpy.ops.wm.save_as_mainfile(filepath=file)
    bpy.ops.wm.open_mainfile(filepath=file)
    assert addon.props.stylize_settings(bpy.context.scene.pentimento, is_render=True) == asked


# ---------------------------------------------------------------- the panel


def test_the_panel_offers_what_the_picture_has(addon: Any, lit: Any, styles: Any) -> None:
    place(styles, 0.5, "Cube")
    said = draw(addon, "RenderControlsPanel").split()
    assert [name for name in said if name.startswith("gain_")] == list(addon.props.choices.GAINS.values())
    assert "matte" in said and "mask" not in said and "Layer" not in said
    stylized_render()
    result = next(image for image in bpy.data.images if image.name.startswith("shot_0001 ("))
    assert {"gain_glossy", "matte"} <= set(draw(addon, "ImageControlsPanel", result).split()), "a render in the editor"
    lit.render.engine = "BLENDER_WORKBENCH"
    styles.gain_volume = 2.0
    said = draw(addon, "RenderControlsPanel").split()
    assert [name for name in said if name.startswith("gain_")] == ["gain_volume"], "so that it can be moved back"
    assert "Only Cycles" in draw(addon, "RenderControlsPanel")
    for panel in ("ImageControlsPanel", "ViewportControlsPanel"):
        said = draw(addon, panel, new_image(panel)).split()
        assert {"whose_colours", "band_colour", "band_form", "band_stroke", "mask"} <= set(said)
        assert not any(name.startswith("gain_") for name in said)


def test_moved_controls_can_be_set_back(addon: Any, styles: Any) -> None:
    def header() -> list[str]:
        said: list[str] = []
        drawing = types.SimpleNamespace(layout=Layout(said))
        addon.panels.controls.RenderControlsPanel.draw_header(drawing, bpy.context)
        return said

    assert header() == []
    bpy.ops.ed.undo_push(message="before")
    move_all(styles)
    place(styles, 0.5, "Cube")
    bpy.ops.ed.undo_push(message="moved")
    assert "pentimento.reset_controls" in header()
    assert bpy.ops.pentimento.reset_controls() == {"FINISHED"}
    bpy.ops.ed.undo_push(message="Reset Controls")
    assert header() == []
    bpy.ops.ed.undo()
    assert bpy.context.scene.pentimento.band_stroke == 2.0 and len(bpy.context.scene.pentimento.places) == 1


def test_a_place_of_a_render_is_the_active_object(addon: Any, lit: Any, styles: Any) -> None:
    for expected in ("Cube", ""):  # once
        bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
        assert bpy.ops.pentimento.add_place(active=True) == {"FINISHED"}
        assert styles.places[-1].matte == expected
    assert bpy.ops.pentimento.remove_place(index=0) == {"FINISHED"}
    assert [one.matte for one in styles.places] == [""]
    assert lines_of(addon, "RenderControlsPanel").count("matte") == 1
