"""Mixing in the panel: shares, places, palette, diversity; the request that comes of it, and the picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from blender import bpy, layers_of, new_image, new_scene, pixels_of

RED, BLUE = (0.9, 0.1, 0.1), (0.1, 0.1, 0.9)


@pytest.fixture
def flats(addon: Any, styles: Any, tmp_path: Path) -> Any:
    """The settings, with Red chosen and Blue to mix in: what each paints is known."""
    tiny_styles.flat(tmp_path / "red", "Red", RED)
    tiny_styles.flat(tmp_path / "blue", "Blue", BLUE)
    tiny_styles.brush(tmp_path / "brush")
    addon.props.library.preferences().styles_folder = str(tmp_path)
    styles.style = "Red"
    return styles


def mix(flats: Any, style: str = "Blue") -> Any:
    assert bpy.ops.pentimento.add_style() == {"FINISHED"}
    flats.mixed[-1].style = style
    return flats.mixed[-1]


def painted(name: str) -> np.ndarray:
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
    return pixels_of(bpy.data.images[name])[:, :, :3]


def test_untouched_it_asks_for_what_it_always_did(addon: Any, flats: Any) -> None:
    protocol = addon.engine_client.protocol
    how = addon.props.stylize_settings(flats, is_render=False)
    folder = str(addon.props.library.style_of("Red").folder)
    assert how == protocol.StylizeSettings((protocol.StyleShare(folder),), overlays=())


def test_shares_mix_and_the_name_says_both(addon: Any, flats: Any) -> None:
    new_image()
    flats.share = 0.3
    mix(flats).share = 0.1
    result = painted("Stone (Red, Blue)")
    assert result[5, 5] == pytest.approx(np.array(RED) * 0.75 + np.array(BLUE) * 0.25, abs=2 / 255)
    recipe = json.loads(bpy.data.images["Stone (Red, Blue)"][addon.scene_io.RECIPE])
    assert [part["name"] for part in recipe["styles"]] == ["Red", "Blue"]
    assert bpy.ops.pentimento.remove_style(index=0) == {"FINISHED"}
    assert painted("Stone (Red)")[5, 5] == pytest.approx(RED, abs=2 / 255), "alone it has it all"


def test_a_mask_that_was_painted_in_blender_says_where(flats: Any) -> None:
    new_image()
    mask = bpy.data.images.new("Mask", 48, 32)
    white = np.zeros((32, 48, 4), np.float32)
    white[:, :, 3], white[:10] = 1, 1  # the lowest rows
    mask.pixels.foreach_set(white.ravel())
    mix(flats).mask = mask
    result = painted("Stone (Red, Blue)")
    assert result[2, 5] == pytest.approx(BLUE, abs=2 / 255)
    assert result[20, 5] == pytest.approx(RED, abs=2 / 255)


def test_a_mask_of_another_size_is_refused(flats: Any) -> None:
    new_image()
    mix(flats).mask = bpy.data.images.new("Mask", 8, 8)
    with pytest.raises(RuntimeError, match=r"'Mask' is 8 x 8, the image 48 x 32.*\n?.*Scale the mask"):
        bpy.ops.pentimento.stylize_image(image="Stone")


def test_palette_and_diversity_reach_the_engine(addon: Any, flats: Any) -> None:
    new_image(size=(96, 64))
    flats.style = "Brush"
    own = painted("Stone (Brush)").copy()
    flats.palette = "Blue"
    result = painted("Stone (Brush in Blue)")
    assert result.mean((0, 1))[2] > result.mean((0, 1))[0] + 0.3
    flats.palette, flats.diversity = "OWN", 0.0
    assert np.abs(painted("Stone (Brush).001") - own).max() > 1 / 255


def test_a_missing_palette_is_named(flats: Any) -> None:
    new_image()
    flats.palette_name = "Gone"
    with pytest.raises(RuntimeError, match="'Gone', whose palette was chosen, is not installed"):
        bpy.ops.pentimento.stylize_image(image="Stone")


def test_undo_takes_a_style_out_again(flats: Any) -> None:
    bpy.ops.ed.undo_push(message="before")
    mix(flats)
    bpy.ops.ed.undo_push(message="Add Style")
    bpy.ops.ed.undo()
    assert len(bpy.context.scene.pentimento.mixed) == 0


def test_an_object_of_the_render_has_a_style_of_its_own(addon: Any, flats: Any) -> None:
    scene = new_scene()
    flats.colours = "SCENE"
    mix(flats).matte = "Cube"
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    assert "Switched on for this render, and off again: Cryptomatte: Object." in addon.jobs.last_report().fix
    assert not scene.view_layers[0].use_pass_cryptomatte_object
    assert [part.matte for part in addon.props.stylize_settings(flats, is_render=True).styles] == ["", "Cube"]
    (image,) = [image for image in bpy.data.images if "(Red, Blue)" in image.name]
    layers = layers_of(Path(bpy.path.abspath(image.filepath)))
    red, blue = (next(found for name, found in layers.items() if name.endswith(f"Stylized.{c}")) for c in "RB")
    assert blue[16, 24] > red[16, 24], "the cube in the middle"
    assert red[1, 1] > blue[1, 1], "what is around it"
