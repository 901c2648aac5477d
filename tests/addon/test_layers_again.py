"""Recipes: told in words, put back into the panel, made again to the byte; and the history of results."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from blender import bpy, new_image, new_scene, pixels_of, use_in_material
from test_layers import drawn, stack


def recipe(addon: Any, name: str) -> dict[str, Any]:
    return json.loads(bpy.data.images[name][addon.scene_io.RECIPE])


def panel(settings: Any) -> dict[str, Any]:
    """What the panel says, with its styles and places"""
    plain = ("strength", "stroke", "follow", "seed", "diversity", "whose_colours", "painted_pass")
    bands = ("band_colour", "band_form", "band_stroke", "gain_diffuse", "palette_name")
    return {
        **{name: getattr(settings, name) for name in (*plain, *bands)},
        "overlays": set(settings.overlays),
        "styles": [(part.style_name, part.share, part.matte, part.mask) for part in (settings, *settings.mixed)],
        "places": [(place.matte, place.mask, place.strength) for place in settings.places],
    }


@pytest.fixture
def rich(addon: Any, styles: Any) -> Any:
    """The panel with nearly everything moved: two styles by masks, a place of its own, bands"""
    white = np.ones((32, 48, 4), np.float32)
    for name, left in (("Left", 1.0), ("Right", 0.0)):
        mask = new_image(name)
        white[:, :24, :3], white[:, 24:, :3] = left, 1 - left
        mask.pixels.foreach_set(white.ravel())
        mask.pack()
    styles.style, styles.strength, styles.seed, styles.stroke = "Brush", 0.75, 7, 1.5
    styles.overlays, styles.band_stroke, styles.mask = {"Scale"}, 0.5, bpy.data.images["Left"]
    other = styles.mixed.add()
    other.style_name, other.mask, other.share = "Identity", bpy.data.images["Right"], 0.25
    place = styles.places.add()
    place.mask, place.strength = bpy.data.images["Right"], 0.125
    return styles


def test_the_same_recipe_gives_the_same_bytes(addon: Any, rich: Any) -> None:
    new_image()
    bpy.ops.pentimento.stylize_image(image="Stone")
    first = bpy.data.images["Stone (Brush, Identity)"]
    addon.props.reset_controls(rich)
    rich.mixed.clear()
    rich.mask, rich.seed, rich.strength, rich.overlays, rich.style = None, 0, 1.0, set(), "Identity"
    before = panel(rich)
    assert bpy.ops.pentimento.make_again(image=first.name) == {"FINISHED"}
    again = bpy.data.images["Stone (Brush, Identity).001"]
    assert pixels_of(again).tobytes() == pixels_of(first).tobytes()
    assert again.packed_file.data == first.packed_file.data
    assert recipe(addon, again.name) == recipe(addon, first.name)
    assert panel(rich) == before, "the panel stays as it is"
    overlays = [bpy.data.images[f"Stone Attribution.Scale{end}"] for end in ("", ".001")]
    assert np.array_equal(*map(pixels_of, overlays))


def test_a_recipe_sets_the_panel_as_it_was(addon: Any, rich: Any) -> None:
    new_image()
    bpy.ops.pentimento.stylize_image(image="Stone")
    before = panel(rich)
    bpy.data.images["Left"].name = "Renamed"
    addon.props.reset_controls(rich)
    rich.mixed.clear()
    rich.mask, rich.seed, rich.strength, rich.overlays, rich.style = None, 0, 1.0, set(), "Identity"
    assert panel(rich) != before
    bpy.ops.pentimento.use_recipe(image="Stone (Brush, Identity)")
    assert panel(rich) == before, "masks are found by what is in them"
    assert rich.tileable == "OFF", "as it was found to be, not to be found anew"


def test_a_mask_that_was_painted_on_is_said(addon: Any, rich: Any) -> None:
    new_image()
    bpy.ops.pentimento.stylize_image(image="Stone")
    bpy.data.images["Left"].pixels[0] = 0.5
    rich.seed = 1
    before = panel(rich)
    with pytest.raises(RuntimeError, match="mask of this layer is not there any more"):
        bpy.ops.pentimento.use_recipe(image="Stone (Brush, Identity)")
    assert panel(rich) == before, "nothing is changed by half"
    with pytest.raises(RuntimeError, match="mask of this layer"):
        bpy.ops.pentimento.make_again(image="Stone (Brush, Identity)")


def test_a_float_image_is_made_again_through_its_view(addon: Any, styles: Any) -> None:
    new_image(is_float=True)
    styles.style, styles.colours = "Brush", "DISPLAY"
    bpy.ops.pentimento.stylize_image(image="Stone")
    styles.colours = "SCENE"
    bpy.ops.pentimento.make_again(image="Stone (Brush)")
    first, again = (bpy.data.images[name] for name in ("Stone (Brush)", "Stone (Brush).001"))
    assert pixels_of(first).tobytes() == pixels_of(again).tobytes()
    bpy.ops.pentimento.use_recipe(image="Stone (Brush)")
    assert styles.colours == "DISPLAY"
    bpy.context.scene.view_settings.exposure = 2.0
    found = stack(addon, first)
    said = addon.remaking.problems(recipe(addon, first.name), found, bpy.context.scene)
    assert len(said) == 1 and "view transform" in said[0]


def test_a_render_is_painted_again_to_the_byte(addon: Any, styles: Any, tmp_path: Path) -> None:
    scene = new_scene()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    styles.style, styles.overlays, styles.seed = "Brush", {"Scale"}, 3
    bpy.ops.pentimento.stylize_render()
    first = addon.layering.painting_in_compositor(scene)
    styles.seed = 0
    bpy.ops.pentimento.make_again(image=first.name, layer="Stylized")
    again = addon.layering.painting_in_compositor(scene)
    files = [Path(bpy.path.abspath(image.filepath)) for image in (first, again)]
    assert files[0] != files[1]
    assert files[0].read_bytes() == files[1].read_bytes()
    source = next(path for path in files[0].parent.glob("*.exr") if "brush" not in path.name)
    source.rename(tmp_path / "elsewhere.exr")
    with pytest.raises(RuntimeError, match="not beside its painting any more"):
        bpy.ops.pentimento.make_again(image=first.name, layer="Stylized")


def test_an_answer_is_asked_for_again(addon: Any, styles: Any) -> None:
    new_image(size=(60, 40))
    bpy.context.scene.pentimento_explain.questions = {"Scale"}
    styles.style = "Brush"
    bpy.ops.pentimento.explain(image="Stone", at=(30, 10))
    bpy.ops.pentimento.make_again(image="Stone Attribution.Scale")
    first, again = (bpy.data.images[f"Stone Attribution.Scale{end}"] for end in ("", ".001"))
    assert np.array_equal(pixels_of(first), pixels_of(again))
    assert recipe(addon, first.name) == recipe(addon, again.name)


def test_a_texture_is_made_again(addon: Any, styles: Any, tmp_path: Path) -> None:
    tiny_styles.pattern(tmp_path / "pattern", name="Weave")
    addon.props.library.preferences().styles_folder = str(tmp_path)
    chosen = bpy.context.scene.pentimento_texture
    chosen.style, chosen.width, chosen.height, chosen.seed = "Weave", 64, 48, 5
    bpy.ops.pentimento.new_texture()
    first = bpy.data.images["Weave 5"]
    chosen.seed = chosen.width = 20
    bpy.ops.pentimento.make_again(image=first.name)
    assert pixels_of(bpy.data.images["Weave 5.001"]).tobytes() == pixels_of(first).tobytes()
    bpy.ops.pentimento.use_recipe(image=first.name)
    assert (chosen.width, chosen.height, chosen.seed) == (64, 48, 5)
    assert ("Size", "64 x 48") in addon.remaking.lines(recipe(addon, first.name))


# ---------------------------------------------------------------- in words


def test_a_recipe_is_told_in_words(addon: Any, rich: Any) -> None:
    new_image()
    bpy.ops.pentimento.stylize_image(image="Stone")
    told = dict(addon.remaking.lines(recipe(addon, "Stone (Brush, Identity)")))
    shares = rich.share, rich.mixed[0].share
    percent = [f"{100 * share / sum(shares):.0f} % (by a mask)" for share in shares]
    assert told["Style"] == f"Brush {percent[0]}, Identity {percent[1]}"
    assert (told["Strength"], told["Seed"], told["Stroke Size"]) == ("0.75", "7", "1.5")
    assert told["Bands"] == "colour 1, form 1, stroke 0.5" and told["Strength: by a mask"] == "0.125"


def test_a_style_that_is_missing_or_another_is_said(addon: Any, styles: Any, tmp_path: Path) -> None:
    image = new_image()
    styles.style = "Brush"
    bpy.ops.pentimento.stylize_image(image="Stone")
    made, found = recipe(addon, "Stone (Brush)"), stack(addon, image)
    assert addon.remaking.problems(made, found, bpy.context.scene) == []
    preferences = addon.props.library.preferences()
    tiny_styles.blur(tmp_path / "blur", name="Brush")
    preferences.styles_folder = str(tmp_path)
    assert "The style Brush is another one now" in drawn_words(addon, image)
    preferences.styles_folder = str(tmp_path / "empty")
    assert "The style Brush is not installed." in drawn_words(addon, image)
    with pytest.raises(RuntimeError, match=r"'Brush' is not installed\. Import it"):
        bpy.ops.pentimento.make_again(image="Stone (Brush)")


def test_a_style_is_found_by_its_hash_when_it_has_another_name(addon: Any, styles: Any, tmp_path: Path) -> None:
    image = new_image()
    tiny_styles.blur(tmp_path / "blur", name="Soft")
    addon.props.library.preferences().styles_folder = str(tmp_path)
    styles.style = "Soft"
    bpy.ops.pentimento.stylize_image(image="Stone")
    bpy.ops.pentimento.rename_style(name="Soft", new_name="Mist")
    tiny_styles.identity(tmp_path / "identity", name="Soft")
    addon.props.library.refresh_styles()
    made = recipe(addon, "Stone (Soft)")
    assert addon.remaking.problems(made, stack(addon, image), bpy.context.scene) == []
    styles.style = "Soft"
    bpy.ops.pentimento.use_recipe(image="Stone (Soft)")
    assert styles.style_name == "Mist"
    bpy.ops.pentimento.make_again(image="Stone (Soft)")
    first, again = (bpy.data.images[name] for name in ("Stone (Soft)", "Stone (Mist)"))
    assert recipe(addon, again.name)["styles"][0]["name"] == "Mist"
    assert pixels_of(first).tobytes() == pixels_of(again).tobytes()


def drawn_words(addon: Any, image: Any) -> str:
    bpy.ops.pentimento.choose_layer(image="Stone (Brush)")
    return " ".join(drawn(addon, "ImageRecipePanel", image))


def test_hashes_are_those_of_the_engine(addon: Any, packs: Path) -> None:
    from engine.style_pack import load

    library = addon.props.library
    library.preferences().styles_folder = str(packs)
    for style in library._installed():
        assert library.hash_of(style) == load(style.folder).hash, style.name
    assert len(library._installed()) > 5


# ---------------------------------------------------------------- the history


def test_the_history_has_the_latest_first_with_thumbnails(addon: Any, styles: Any, tmp_path: Path) -> None:
    image = new_image(size=(300, 200))
    image.pack()
    image.use_fake_user, styles.style = True, "Brush"
    for seed in (1, 2):
        styles.seed = seed
        bpy.ops.pentimento.stylize_image(image="Stone")
    names = ["Stone (Brush).001", "Stone (Brush)"]
    assert [made.name for made in addon.layering.history()] == names
    before = {name: thumbnail(bpy.data.images[name]) for name in names}
    step = -(-300 // addon.scene_io.THUMBNAIL)
    rows = pixels_of(bpy.data.images[names[0]])[::-1][step // 2 :: step, step // 2 :: step]
    assert np.allclose(before[names[0]][::-1, :, :3], rows[..., :3], atol=1.01 / 255)
    made = hashlib.sha256(bpy.data.images[names[0]][addon.scene_io.RECIPE].encode()).hexdigest()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert [made.name for made in addon.layering.history()] == names
    for name in names:
        assert np.array_equal(thumbnail(bpy.data.images[name]), before[name]), "saved with the file"
    assert made == hashlib.sha256(bpy.data.images[names[0]][addon.scene_io.RECIPE].encode()).hexdigest()
    said = drawn(addon, "ImageHistoryPanel", bpy.data.images["Stone"])
    assert said.count("Stone") == 2 and "Brush" in said, "what was painted, and the style below"
    bpy.data.images.remove(bpy.data.images["Stone (Brush)"])
    assert [made.name for made in addon.layering.history()] == names[:1]


def thumbnail(image: Any) -> np.ndarray:
    width, height = image.preview.image_size
    pixels = np.empty(width * height * 4, np.float32)
    image.preview.image_pixels_float.foreach_get(pixels)
    return pixels.reshape(height, width, 4)


def test_a_recipe_holds_no_clock(addon: Any, styles: Any) -> None:
    new_image()
    bpy.ops.pentimento.stylize_image(image="Stone")
    image = bpy.data.images["Stone (Identity)"]
    assert float(image[addon.scene_io.MADE]) > 1e9
    assert str(int(image[addon.scene_io.MADE]))[:6] not in image[addon.scene_io.RECIPE]


def test_a_result_that_is_removed_leaves_no_magenta(addon: Any, styles: Any) -> None:
    stone = new_image()
    material = use_in_material(stone)
    bpy.ops.pentimento.stylize_image(image="Stone")
    bpy.ops.pentimento.remove_layer(image="Stone (Identity)")
    group = next(node for node in material.node_tree.nodes if node.label == "Pentimento Layers")
    assert group.inputs["Mix"].default_value == 0 and not group.inputs["Stylized"].links
    assert set(bpy.data.images.keys()) == {"Stone"}
    with pytest.raises(RuntimeError, match="no layer of Pentimento's"):
        bpy.ops.pentimento.remove_layer(image="Stone")
    assert "Stone" in bpy.data.images


def test_a_click_shows_a_result(addon: Any, styles: Any) -> None:
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "IMAGE_EDITOR"
    area.spaces.active.image = new_image("Wood")
    new_image()
    bpy.ops.pentimento.stylize_image(image="Stone")
    bpy.ops.pentimento.show_result(image="Stone (Identity)")
    assert area.spaces.active.image.name == "Stone (Identity)"
    with pytest.raises(RuntimeError, match="no image 'Nobody'"):
        bpy.ops.pentimento.show_result(image="Nobody")
