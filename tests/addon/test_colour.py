"""The identity style gives every picture back, whatever the scene's view transform: colours go through us unharmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from blender import bpy, layers_of, new_image, new_scene, pixels_of

VIEWS = ("Standard", "Filmic", "AgX", "Raw")


def stylize(image: Any) -> Any:
    assert bpy.ops.pentimento.stylize_image(image=image.name) == {"FINISHED"}
    return bpy.data.images[f"{image.name} (Identity)"]


def assert_close(result: np.ndarray, original: np.ndarray) -> None:
    """1e-3 relative or 1e-4 absolute, as DESIGN.md promises for floats."""
    error = np.abs(result - original)
    assert (error <= np.maximum(1e-4, 1e-3 * np.abs(original))).all(), error.max()


def set_view(name: str) -> None:
    bpy.context.scene.view_settings.view_transform = name


@pytest.mark.parametrize("view", VIEWS)
def test_bytes_come_back_as_they_were(addon: Any, styles: Any, view: str) -> None:
    set_view(view)
    stone = new_image()
    result = stylize(stone)
    assert np.array_equal(np.rint(pixels_of(result) * 255), np.rint(pixels_of(stone) * 255))
    assert not result.is_float
    assert result.colorspace_settings.name == stone.colorspace_settings.name


@pytest.mark.parametrize("colours", ["SCENE", "DISPLAY"])
@pytest.mark.parametrize("view", VIEWS)
def test_floats_come_back_with_lamps_and_negatives(addon: Any, styles: Any, view: str, colours: str) -> None:
    """Though a view transform shows all lamps alike."""
    set_view(view)
    styles.colours = colours
    stone = new_image(is_float=True)
    pixels = pixels_of(stone).copy()
    pixels[:4, :, :3] *= 100
    stone.pixels.foreach_set(pixels.ravel())
    original = pixels_of(stone).copy()
    result = stylize(stone)
    assert result.is_float
    assert_close(pixels_of(result), original)
    seen_through = json.loads(result["pentimento_recipe"]).get("view", {"name": ""})["name"]
    assert seen_through == (view if colours == "DISPLAY" else "")


@pytest.mark.parametrize("colours", ["SCENE", "DISPLAY"])
@pytest.mark.parametrize("view", VIEWS)
def test_renders_come_back(addon: Any, styles: Any, view: str, colours: str, tmp_path: Path) -> None:
    scene = new_scene()
    set_view(view)
    styles.colours = colours
    combined, stylized = rendered(tmp_path)
    assert combined.max() > 0
    assert_close(stylized, combined)
    assert scene.view_settings.view_transform == view


def rendered(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The scene's render and what Stylize Render made of it, (H, W, 3) each."""
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    (path,) = (path for path in (folder / "pentimento").glob("*.exr") if "dentity" in path.name)
    planes = {name.partition(".")[2]: pixels for name, pixels in layers_of(path).items()}
    combined, stylized = (
        np.stack([planes[f"{layer}.{channel}"] for channel in "RGB"], axis=-1).astype(np.float32)
        for layer in ("Combined", "Stylized")
    )
    return combined, stylized


@pytest.mark.parametrize("is_float", [False, True])
@pytest.mark.parametrize("mode", ["STRAIGHT", "PREMUL", "CHANNEL_PACKED", "NONE"])
def test_alpha_is_left_alone(addon: Any, styles: Any, mode: str, is_float: bool, tmp_path: Path) -> None:
    """Now, and after the file was saved and opened again."""
    stone = new_image(alpha=True)
    if is_float:
        bpy.data.images.remove(stone)
        stone = new_image(is_float=True, alpha=True)
    stone.alpha_mode = mode
    pixels = pixels_of(stone).copy()
    pixels[:, :, 3] = np.linspace(0, 1, pixels.shape[1]) if mode != "NONE" else 1
    if is_float and mode != "CHANNEL_PACKED":
        pixels[:, :, :3] *= pixels[:, :, 3:]
    stone.pixels.foreach_set(pixels.ravel())
    stone.update()
    original = pixels_of(stone).copy()
    stylize(stone)
    for _ in range(2):
        result = pixels_of(bpy.data.images["Stone (Identity)"])
        if is_float:
            assert_close(result, original)
        else:
            assert np.array_equal(np.rint(result * 255), np.rint(original * 255))
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))


@pytest.mark.parametrize("is_float", [False, True])
@pytest.mark.parametrize("space", ["Non-Color", "sRGB", "Linear Rec.709"])
def test_colour_spaces_survive_saving(addon: Any, styles: Any, space: str, is_float: bool, tmp_path: Path) -> None:
    stone = new_image(is_float=is_float)
    stone.colorspace_settings.name = space
    stone.pixels.foreach_set(pixels_of(new_image("Other", is_float=is_float)).ravel())
    original = pixels_of(stone).copy()
    result = stylize(stone)
    assert result.colorspace_settings.is_data == (space == "Non-Color")
    for _ in range(2):
        assert_close(pixels_of(bpy.data.images["Stone (Identity)"]), original)
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_files_of_every_kind(addon: Any, styles: Any, mode: str, tmp_path: Path) -> None:
    """Grey, grey with alpha, colour, 16 bit: Blender keeps four channels of each, and so do we."""
    from PIL import Image

    values = np.random.default_rng(3).integers(0, 256, (20, 24, 4), np.uint8)
    if mode == "I;16":
        Image.fromarray(values[:, :, 0].astype(np.uint16) * 257).save(tmp_path / "stone.png")
    else:
        Image.fromarray(values).convert(mode).save(tmp_path / "stone.png")
    stone = bpy.data.images.load(str(tmp_path / "stone.png"))
    result = stylize(stone)
    assert result.is_float == stone.is_float == (mode == "I;16")
    assert_close(pixels_of(result), pixels_of(stone))


# ---------------------------------------------------------------- match display

PALETTE = (
    (0.18, 0.25, 0.45),
    (0.62, 0.24, 0.16),
    (0.8, 0.7, 0.42),
    (0.3, 0.42, 0.3),
    (0.05, 0.05, 0.06),
    (0.9, 0.88, 0.84),
)
"""Display colours that AgX can reach: night, brick, straw, moss, ink, paper"""


def as_shown(image: Any, folder: Path) -> np.ndarray:
    """What Blender's own view transform makes of an image, (H, W, 3) 0..1, bottom row first like `pixels_of`."""
    from PIL import Image

    settings = bpy.context.scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"
    bpy.context.scene.render.dither_intensity = 0
    image.save_render(str(folder / "shown.png"), scene=bpy.context.scene)
    return np.asarray(Image.open(folder / "shown.png"))[::-1] / 255


@pytest.mark.parametrize(
    "choices",
    [
        {"view_transform": "Standard"},
        {"view_transform": "Filmic"},
        {"view_transform": "Filmic", "look": "High Contrast", "exposure": -2.5},
        {"view_transform": "AgX"},
        {"view_transform": "AgX", "look": "AgX - Punchy", "exposure": 3.0, "gamma": 1.2},
        {"view_transform": "Raw"},
    ],
    ids=lambda choices: " ".join(str(value) for value in choices.values()),
)
def test_a_painted_colour_shows_as_it_was_painted(
    addon: Any, styles: Any, choices: dict[str, Any], tmp_path: Path
) -> None:
    """Over any light, a lamp of 100 too; within 2/255 after Blender's own view transform."""
    for name, value in choices.items():
        setattr(bpy.context.scene.view_settings, name, value)
    styles.colours = "DISPLAY"
    for number, colour in enumerate(PALETTE):
        tiny_styles.flat(tmp_path / "styles" / str(number), f"Flat {number}", colour)
    addon.props.library.preferences().styles_folder = str(tmp_path / "styles")
    addon.props.library.refresh_styles()
    stone = new_image(is_float=True)
    pixels = pixels_of(stone).copy()
    pixels[:4, :, :3] = 100
    stone.pixels.foreach_set(pixels.ravel())
    for number, colour in enumerate(PALETTE):
        styles.style = f"Flat {number}"
        assert bpy.ops.pentimento.stylize_image(image=stone.name) == {"FINISHED"}
        shown = as_shown(bpy.data.images[f"{stone.name} (Flat {number})"], tmp_path)
        assert np.abs(shown - colour).max() <= 2 / 255, colour


def test_matching_the_display_leaves_bytes_data_and_settings_alone(addon: Any, styles: Any) -> None:
    set_view("AgX")
    styles.colours = "DISPLAY"
    settings = bpy.context.scene.render.image_settings
    settings.file_format, settings.color_mode, settings.quality = "JPEG", "BW", 71
    settings.color_management = "OVERRIDE"
    for is_float in (False, True):
        stone = new_image(f"Stone {is_float}", is_float=is_float, is_data=is_float)
        assert "view" not in json.loads(stylize(stone)["pentimento_recipe"])
    lamp = new_image("Lamp", is_float=True)
    assert "view" in json.loads(stylize(lamp)["pentimento_recipe"])
    assert (settings.file_format, settings.color_mode, settings.quality) == ("JPEG", "BW", 71)
    assert settings.color_management == "OVERRIDE"
    assert {image.name.partition(" (")[0] for image in bpy.data.images} == {"Stone False", "Stone True", "Lamp"}


def test_overlays_explain_what_was_shown(addon: Any, styles: Any) -> None:
    set_view("AgX")
    styles.colours, styles.style, styles.overlays = "DISPLAY", "Brush", {"Scale", "Removal"}
    stone = new_image(is_float=True)
    assert bpy.ops.pentimento.stylize_image(image=stone.name) == {"FINISHED"}
    change = pixels_of(bpy.data.images[f"{stone.name} Attribution.Scale"])[..., :3]
    assert np.isfinite(change).all() and 0 < np.abs(change).max() < 3
