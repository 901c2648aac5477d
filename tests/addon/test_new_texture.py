"""New Texture: a packed image out of a seed, with its recipe; the style pickers keep the two kinds apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from blender import bpy, new_image, pixels_of, pump
from test_panels import draw


@pytest.fixture
def texture(addon: Any, styles: Any, tmp_path: Path) -> Any:
    """The settings of the Texture panel, with one tiny texture style beside one for pictures."""
    tiny_styles.brush(tmp_path / "brush")
    tiny_styles.pattern(tmp_path / "pattern")
    addon.props.library.preferences().styles_folder = str(tmp_path)
    addon.props.library.refresh_styles()
    settings = bpy.context.scene.pentimento_texture
    settings.style, settings.width, settings.height, settings.seed = "Pattern", 96, 64, 7
    return settings


def test_it_makes_a_packed_image_with_its_recipe(addon: Any, texture: Any) -> None:
    assert bpy.ops.pentimento.new_texture() == {"FINISHED"}
    image = bpy.data.images["Pattern 7"]
    assert tuple(image.size) == (96, 64) and image.packed_file and not image.is_float
    assert image.colorspace_settings.name == "sRGB"
    recipe = json.loads(image[addon.scene_io.RECIPE])
    assert recipe["settings"]["seed"] == 7 and recipe["settings"]["size"] == [96, 64]
    assert recipe["texture"]["name"] == "Pattern"
    assert "96 x 64" in addon.jobs.last_report().fix
    assert pixels_of(image)[:, :, :3].std() > 0.01 and (pixels_of(image)[:, :, 3] == 1).all()


def test_the_image_is_what_the_engine_makes(addon: Any, texture: Any, tmp_path: Path) -> None:
    from engine.files import open_picture
    from engine.picture import whole
    from engine.protocol import TextureMade, TextureRequest
    from engine.texture import texture as make

    bpy.ops.pentimento.new_texture()
    asked = TextureRequest("job", str(tmp_path / "pattern"), 96, 64, str(tmp_path / "out"), (7,), device="cpu")
    path = next(event.path for event in make(asked) if isinstance(event, TextureMade))
    shown = pixels_of(bpy.data.images["Pattern 7"])[::-1, :, :3]
    assert np.array_equal(np.rint(shown * 255).astype(np.uint8), whole(open_picture(Path(path))))


def test_it_is_no_picture_to_practise_on(addon: Any, texture: Any) -> None:
    """Open Images are the artist's: a style that learns from results of a style learns its mistakes."""
    new_image("Stone")
    new_image("Wood")
    bpy.ops.pentimento.new_texture()
    assert "Pattern 7" in bpy.data.images
    assert set(addon.training._textures(())) == {"Stone", "Wood"}


def test_a_variant_can_be_chosen_where_there_are_such(addon: Any, texture: Any, tmp_path: Path) -> None:
    tiny_styles.patchwork(tmp_path / "patchwork")
    addon.props.library.refresh_styles()
    assert "variant" not in draw(addon, "ImageTexturePanel").split()
    texture.style, texture.variant = "Patchwork", 2
    assert "variant" in draw(addon, "ImageTexturePanel").split()
    bpy.ops.pentimento.new_texture()
    assert json.loads(bpy.data.images["Patchwork 7"][addon.scene_io.RECIPE])["settings"]["variant"] == 2
    texture.style = "Pattern"  # the number stays, and means nothing here
    bpy.ops.pentimento.new_texture()
    assert json.loads(bpy.data.images["Pattern 7"][addon.scene_io.RECIPE])["settings"]["variant"] == 0
    texture.style, texture.variant = "Patchwork", 3
    with pytest.raises(RuntimeError, match="there is no variant 3"):
        bpy.ops.pentimento.new_texture()


def test_nothing_is_overwritten(texture: Any) -> None:
    for _ in range(2):
        bpy.ops.pentimento.new_texture()
    assert {"Pattern 7", "Pattern 7.001"} <= set(bpy.data.images.keys())


def test_in_the_background_it_arrives_with_an_undo_step(addon: Any, texture: Any) -> None:
    addon.jobs.start(addon.operators.painting.texture_job(bpy.context, blocking=False))
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert "Pattern 7" in bpy.data.images


def test_the_pickers_keep_the_kinds_apart(addon: Any, texture: Any) -> None:
    assert "Pattern" not in [style.name for style in addon.props.library.styles()]
    assert "Pattern" in [style.name for style in addon.props.library.texture_styles()]
    assert texture.style == "Pattern"


@pytest.fixture
def nothing_installed(addon: Any, texture: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addon.props.library, "STYLES", tmp_path / "empty")  # nor does any ship
    addon.props.library.preferences().styles_folder = str(tmp_path / "empty")
    addon.props.library.refresh_styles()


def test_without_a_texture_style_it_says_what_to_do(nothing_installed: None) -> None:
    with pytest.raises(RuntimeError, match="No texture style is installed"):
        bpy.ops.pentimento.new_texture()


def test_a_texture_style_that_is_gone_is_named(addon: Any, texture: Any) -> None:
    texture.style_name = "Marble"
    with pytest.raises(RuntimeError, match="'Marble' is not installed"):
        bpy.ops.pentimento.new_texture()


def test_an_imported_texture_style_is_chosen(addon: Any, texture: Any, tmp_path: Path) -> None:
    from engine import style_pack

    zipped = style_pack.export_style(style_pack.load(tiny_styles.pattern(tmp_path / "b", "Basalt")), tmp_path / "b.zip")
    addon.props.library.preferences().styles_folder = str(tmp_path / "mine")
    bpy.ops.pentimento.import_style(filepath=str(zipped))
    assert bpy.context.scene.pentimento_texture.style == "Basalt"


@pytest.mark.parametrize("panel", ["ImageTexturePanel", "ViewportTexturePanel"])
def test_the_panel_shows_what_can_be_chosen(addon: Any, texture: Any, panel: str) -> None:
    said = draw(addon, panel).split()
    assert {"style", "width", "height", "seed", "pentimento.new_texture"} <= set(said)


@pytest.mark.parametrize("panel", ["ImageTexturePanel", "ViewportTexturePanel"])
def test_the_panel_says_how_to_get_a_texture_style(addon: Any, nothing_installed: None, panel: str) -> None:
    assert "No texture style is installed" in draw(addon, panel)
