"""The identity style gives every picture back, whatever the scene's view transform: colours go through us unharmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender import bpy, new_image, new_scene, pixels_of

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


@pytest.mark.parametrize("view", VIEWS)
def test_floats_come_back_with_highlights_and_negatives(addon: Any, styles: Any, view: str) -> None:
    set_view(view)
    stone = new_image(is_float=True)
    result = stylize(stone)
    assert result.is_float
    assert_close(pixels_of(result), pixels_of(stone))


@pytest.mark.parametrize("view", VIEWS)
def test_renders_come_back(addon: Any, styles: Any, view: str, tmp_path: Path) -> None:
    import OpenEXR

    scene = new_scene()
    set_view(view)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    (path,) = (path for path in (tmp_path / "pentimento").glob("*.exr") if "dentity" in path.name)
    layers = {}
    for part in OpenEXR.File(str(path), separate_channels=True).parts:
        layers.update({name: channel.pixels for name, channel in part.channels.items()})
    for channel in "RGB":
        (combined,) = (pixels for name, pixels in layers.items() if name.endswith(f"Combined.{channel}"))
        (stylized,) = (pixels for name, pixels in layers.items() if name.endswith(f"Stylized.{channel}"))
        assert combined.max() > 0
        assert_close(stylized.astype(np.float32), combined.astype(np.float32))
    assert scene.view_settings.view_transform == view


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
