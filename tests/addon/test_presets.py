"""Presets: everything comes back, lists too; nothing in them is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from blender import bpy, new_image
from test_panels import draw


@pytest.fixture
def scene(addon: Any, styles: Any) -> Any:
    for path in addon.presets.own_folder().glob("*.json"):
        path.unlink()
    return bpy.context.scene


def fill(scene: Any) -> None:
    """A setting of every kind, and both lists"""
    look = scene.pentimento
    look.style, look.strength, look.seed, look.tileable = "Brush", 0.25, 77, "ON"
    look.overlays, look.whose_colours, look.band_stroke, look.gain_glossy = {"Scale", "Removal"}, "luma", 0.5, 2.0
    added = look.mixed.add()
    added.style_name, added.share, added.matte, added.mask = "Identity", 0.125, "Cube", new_image("Mask")
    for name, strength in (("Cube", 0.25), ("Lamp", 0.75)):
        place = look.places.add()
        place.matte, place.strength = name, strength
    look.places[1].mask = bpy.data.images["Mask"]
    scene.pentimento_animation.strokes, scene.pentimento_animation.movie = "CARRY", True
    scene.pentimento_texture.width, scene.pentimento_texture.style_name = 2048, "Terrazzo"


def said(addon: Any, scene: Any) -> Any:
    groups = addon.presets.SECTIONS.values()
    return json.loads(json.dumps([addon.presets._plain(getattr(scene, group), out) for group, out in groups]))


def test_everything_comes_back_with_its_lists(addon: Any, scene: Any) -> None:
    fill(scene)
    before = said(addon, scene)
    assert bpy.ops.pentimento.save_preset(name="Dark & Light") == {"FINISHED"}
    other = bpy.data.scenes.new("Other")
    assert said(addon, other) != before
    assert addon.presets.load(other, addon.presets.find("Dark & Light").path) == []
    assert said(addon, other) == before
    assert other.pentimento.places[1].mask == bpy.data.images["Mask"]
    assert [place.matte for place in other.pentimento.places] == ["Cube", "Lamp"]
    bpy.ops.pentimento.load_preset(name="Dark & Light")
    assert len(scene.pentimento.places) == 2, "lists are set, not added to"


def test_what_belongs_to_a_file_or_computer_stays(addon: Any, scene: Any) -> None:
    scene.pentimento.device, scene.pentimento_animation.folder = "cpu", "//mine"
    scene.pentimento_animation.after_render = True
    bpy.ops.pentimento.save_preset(name="A")
    text = addon.presets.find("A").path.read_text()
    assert not any(word in text for word in ("device", "//mine", "after_render", "frames"))
    scene.pentimento.device = "auto"
    bpy.ops.pentimento.load_preset(name="A")
    assert scene.pentimento.device == "auto"


def test_in_another_file_what_is_missing_is_said(addon: Any, scene: Any, tmp_path: Path) -> None:
    """The picture of a mask is not there, a style is not installed: each with what to do, and the rest is set."""
    fill(scene)
    bpy.ops.pentimento.save_preset(name="A")
    path = addon.presets.find("A").path
    data = json.loads(path.read_text())
    data["settings"]["look"]["style_name"] = data["settings"]["look"]["mixed"][0]["style_name"] = "Gone"
    path.write_text(json.dumps(data))
    bpy.ops.wm.read_homefile(use_empty=True)
    fresh = bpy.context.scene
    notes = addon.presets.load(fresh, path)
    assert notes[0] == "The style 'Gone' is not installed: choose another style, or import this one."
    assert notes[1:] == ["The picture 'Mask' is not in this file: choose its mask again."]
    assert fresh.pentimento.strength == 0.25 and len(fresh.pentimento.places) == 2
    assert "The style Gone is" in draw(addon, "ViewportPanel")
    assert bpy.ops.pentimento.load_preset(name="A") == {"FINISHED"}
    with pytest.raises(addon.engine_client.EngineError, match="'Gone' is not installed"):
        addon.props.chosen_style(fresh.pentimento)


PYTHON = "import bpy\nbpy.data.scenes[0].name = 'Run'\n"
NO_PRESETS = (
    *("", "{", "[]", "3", PYTHON, '{"pentimento_preset": 1}', "[" * 100000),
    '{"pentimento_preset": 2, "name": "a", "settings": {}}',
    '{"pentimento_preset": 1, "name": "a", "settings": {"look": {"strength": NaN}}}',
)


@pytest.mark.parametrize("text", NO_PRESETS)
def test_what_is_no_preset_is_refused_and_not_run(addon: Any, scene: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    before = said(addon, scene)
    with pytest.raises(RuntimeError, match="preset"):
        bpy.ops.pentimento.load_preset(filepath=str(tmp_path / "a.json"))
    assert said(addon, scene) == before and scene.name != "Run"
    (addon.presets.own_folder() / "a.json").write_text(text)
    assert all(preset.ships for preset in addon.presets.found())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strength", "1"),
        ("strength", True),
        ("seed", 1.5),
        ("seed", 2**40),
        ("overlays", ["Nothing"]),
        ("overlays", "Scale"),
        ("whose_colours", "nobody"),
        ("mixed", {"a": 1}),
        ("places", [3]),
        ("places", [{}] * 65),
        ("bl_rna", {}),
        ("__class__", "x"),
        ("device", "cuda"),
    ],
)
def test_what_does_not_fit_is_left_and_said(addon: Any, scene: Any, tmp_path: Path, name: str, value: Any) -> None:
    data = {"pentimento_preset": 1, "name": "A", "settings": {"look": {name: value, "stroke": 2.0}}}
    (tmp_path / "a.json").write_text(json.dumps(data))
    before = said(addon, scene)
    notes = addon.presets.load(scene, tmp_path / "a.json")
    assert len(notes) == 1, notes
    assert scene.pentimento.stroke == 2.0
    scene.pentimento.stroke = 1.0
    assert said(addon, scene) == before


def test_numbers_beyond_the_panel_are_kept_within_it(addon: Any, scene: Any, tmp_path: Path) -> None:
    data = {"pentimento_preset": 1, "name": "A", "settings": {"look": {"strength": 7, "stroke": -1.0}}}
    (tmp_path / "a.json").write_text(json.dumps(data))
    assert addon.presets.load(scene, tmp_path / "a.json") == []
    assert (scene.pentimento.strength, scene.pentimento.stroke) == (1.0, 0.25)


def test_shipped_presets_say_only_what_there_is(addon: Any, scene: Any) -> None:
    """None names a style: they go with the one that is chosen, and set back what another one moved."""
    shipped = [preset for preset in addon.presets.found() if preset.ships]
    assert len(shipped) >= 3 and all(preset.about for preset in shipped)
    keys = {tuple(sorted(json.loads(preset.path.read_text())["settings"]["look"])) for preset in shipped}
    assert len(keys) == 1, "each sets what any other sets"
    looks = set()
    for preset in shipped:
        assert addon.presets.load(scene, preset.path) == []
        assert scene.pentimento.style == "Identity"
        looks.add(json.dumps(said(addon, scene)))
    assert len(looks) == len(shipped)
    with pytest.raises(RuntimeError, match="came with Pentimento"):
        bpy.ops.pentimento.remove_preset(name=shipped[0].name)


def test_own_presets_replace_hide_and_go(addon: Any, scene: Any) -> None:
    name = next(preset.name for preset in addon.presets.found() if preset.ships)
    for seed in (1, 2):
        scene.pentimento.seed = seed
        bpy.ops.pentimento.save_preset(name=name)
    assert [preset.ships for preset in addon.presets.found() if preset.name == name] == [False]
    assert json.loads(addon.presets.find(name).path.read_text())["settings"]["look"]["seed"] == 2
    bpy.ops.pentimento.remove_preset(name=name)
    assert addon.presets.find(name).ships
    with pytest.raises(RuntimeError, match="needs a name"):
        bpy.ops.pentimento.save_preset(name="  ")


def test_the_name_nobody_chose_is_not_used_twice(addon: Any, scene: Any) -> None:
    names = ["New Preset", "New Preset.001", "New Preset.002"]
    for seed, name in enumerate(names):
        scene.pentimento.seed = seed
        bpy.ops.pentimento.save_preset()
        saved = {preset.name for preset in addon.presets.found() if not preset.ships}
        assert saved == {*names[: seed + 1]}, name
    seeds = [json.loads(addon.presets.find(name).path.read_text())["settings"]["look"]["seed"] for name in names]
    assert seeds == [0, 1, 2], "none took the place of another"
    bpy.ops.pentimento.remove_preset(name=names[1])
    bpy.ops.pentimento.save_preset()
    assert {*names} == {preset.name for preset in addon.presets.found() if not preset.ships}, "the gap is filled"
    addon.props.gallery.gallery(bpy.context).preset_name = "Own Way"
    for _ in range(2):
        bpy.ops.pentimento.save_preset()
    assert "Own Way.001" not in [preset.name for preset in addon.presets.found()], "a chosen name is meant"


def test_the_menu_lists_them(addon: Any, scene: Any) -> None:
    addon.props.gallery.gallery(bpy.context).preset_name = "Own Way"
    bpy.ops.pentimento.save_preset()
    said_ = draw(addon, "PresetsPanel")
    assert "Own Way" in said_ and said_.count("pentimento.remove_preset") == 1
    assert said_.count("pentimento.load_preset") == len(addon.presets.found())
