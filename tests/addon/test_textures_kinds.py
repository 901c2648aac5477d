"""Every kind of texture comes back as it was from a style that changes nothing: files, depths, alpha, tiles, sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import texture_sets
from blender import bpy, new_image, pixels_of
from texture_sets import file_of, random, surface, tile_files, tiles_of


def stylize(expected: str = "FINISHED") -> None:
    assert bpy.ops.pentimento.stylize_textures() == {expected}


def make(kind: str, addon: Any, folder: Path) -> Any:
    if kind == "generated":
        image = bpy.data.images.new("Stone", 48, 32)
        image.generated_type = "COLOR_GRID"
        return image
    if kind == "painted":
        return new_image()
    if kind == "packed":
        image = new_image()
        image.pack()
        return image
    if kind == "16 bit":
        values = np.random.default_rng(1).integers(0, 65536, (32, 48, 3), np.uint16)
        return bpy.data.images.load(str(texture_sets.write_png16(folder / "Stone.png", values)))
    channels = 4 if "alpha" in kind else 3
    path = folder / ("Stone.exr" if "float" in kind else "Stone.png")
    pixels = random(channels=channels)
    if channels == 4:
        pixels[:8, :, 3] = 0
        pixels[8:, :, 3] = np.maximum(pixels[8:, :, 3], 1 / 255)
    if "float" in kind:
        pixels[..., :3] *= 8 * pixels[..., 3:] if channels == 4 else 8
    image = bpy.data.images.load(str(file_of(addon, path, pixels)))
    image.alpha_mode = "CHANNEL_PACKED" if kind == "alpha, packed channels" else image.alpha_mode
    return image


BYTES = ("generated", "painted", "packed", "external", "alpha", "alpha, packed channels")


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("tileable", ["OFF", "ON"])
def test_bytes_are_exact(addon: Any, styles: Any, tmp_path: Path, kind: str, tileable: str) -> None:
    image = make(kind, addon, tmp_path)
    before = pixels_of(image).copy()
    surface("Thing", image)
    styles.tileable = tileable
    stylize()
    result = next(found for found in bpy.data.images if found.name.endswith(" (Identity)"))
    assert (pixels_of(result) == before).all()
    assert not result.is_float
    assert (pixels_of(image) == before).all()
    assert result.colorspace_settings.name == image.colorspace_settings.name


@pytest.mark.parametrize("kind", ["16 bit", "float", "float, alpha"])
def test_more_than_bytes(addon: Any, styles: Any, tmp_path: Path, kind: str) -> None:
    """16 bits: within a twentieth of one of 65,536 codes, so that each stays itself. Floats: within 1e-3 or 1e-4; their
    alpha to the bit."""
    image = make(kind, addon, tmp_path)
    before = pixels_of(image).copy()
    surface("Thing", image)
    styles.colours = "SCENE"
    stylize()
    after = pixels_of(next(found for found in bpy.data.images if found.name.endswith(" (Identity)")))
    if kind == "16 bit":
        assert np.abs(code(after) - code(before)).max() < 0.05
    assert (np.abs(after - before) <= np.maximum(1e-3 * np.abs(before), 1e-4)).all()
    assert (after[..., 3] == before[..., 3]).all()


def code(linear: np.ndarray) -> np.ndarray:
    """Scene-linear as 16 bits of sRGB, not rounded"""
    linear = linear[..., :3].astype(np.float64)
    shown = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    return shown * 65535


# ---------------------------------------------------------------- UDIM


def udim(kind: str, addon: Any, folder: Path) -> Any:
    if kind == "files":
        return tile_files(addon, folder, (1001, 1002, 1011))
    if kind == "floats":
        return tile_files(addon, folder, (1001, 1012), "exr")
    if kind == "alpha":
        return tile_files(addon, folder, (1001, 1002), channels=4)
    if kind == "packed":
        image = tile_files(addon, folder, (1001, 1002))
        image.pack()
        for file in folder.iterdir():
            file.unlink()
        return image
    if kind == "unsaved":
        image = tile_files(addon, folder, (1001, 1002))
        image.pixels.foreach_set(np.concatenate((random((32, 32), 9), np.ones((32, 32, 1), np.float32)), 2).ravel())
        assert image.is_dirty
        return image
    image = bpy.data.images.new("wood", 32, 32, tiled=True)
    image.tiles.active = image.tiles.new(1002)
    with bpy.context.temp_override(edit_image=image):
        bpy.ops.image.tile_fill(color=(0.2, 0.4, 0.8, 1), width=48, height=32, float=False, alpha=True)
    return image


@pytest.mark.parametrize("kind", ["files", "floats", "alpha", "packed", "unsaved", "generated"])
def test_every_tile_of_a_set_is_exact(addon: Any, styles: Any, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "textures"
    image = udim(kind, addon, folder)
    material = surface("Thing", image)
    (tmp_path / "read").mkdir()
    was_dirty, files = image.is_dirty, sorted(folder.iterdir()) if folder.is_dir() else []
    before = tiles_of(addon, image, tmp_path / "read")
    styles.colours = "SCENE"
    stylize()
    result = next(found for found in bpy.data.images if found.name.endswith(" (Identity)"))
    assert result.source == "TILED"
    after = tiles_of(addon, result, tmp_path / "read")
    assert after.keys() == before.keys()
    for number in before:
        assert after[number].shape == before[number].shape
        if kind == "floats":
            assert np.allclose(after[number], before[number], rtol=1e-3, atol=1e-4)
        else:
            assert (after[number] == before[number]).all(), number
    painted = next(node for node in material.node_tree.nodes if node.label == "Pentimento Stylized")
    assert painted.image == result
    assert image.is_dirty == was_dirty, "what is unsaved stays to be saved"
    new = sorted(set(folder.iterdir()) - set(files)) if folder.is_dir() else []
    expected = {"files": 3, "floats": 2, "alpha": 2, "unsaved": 2}.get(kind, 0)
    assert len(new) == expected and all(path.name.startswith("wood_identity.1") for path in new)
    assert bool(result.packed_files) == (not expected)


def test_tiles_live_on_in_the_file(addon: Any, styles: Any, tmp_path: Path) -> None:
    """Those of files and those that are packed, both after saving, closing and opening."""
    surface("Thing", tile_files(addon, tmp_path / "textures", (1001, 1002)))
    surface("Other", udim("packed", addon, tmp_path / "packed"))
    styles.style = "Brush"
    stylize()
    (tmp_path / "read").mkdir()
    names = [image.name for image in bpy.data.images if image.name.endswith(" (Brush)")]
    assert len(names) == 2
    before = {name: tiles_of(addon, bpy.data.images[name], tmp_path / "read") for name in names}
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    for name in names:
        after = tiles_of(addon, bpy.data.images[name], tmp_path / "read")
        assert all((after[number] == before[name][number]).all() for number in before[name]), name


def test_painted_again_no_tile_is_overwritten(addon: Any, styles: Any, tmp_path: Path) -> None:
    folder = tmp_path / "textures"
    surface("Thing", tile_files(addon, folder, (1001, 1002)))
    stylize()
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    styles.style = "Brush"
    stylize()
    styles.style = "Identity"
    stylize()
    assert all(path.read_bytes() == data for path, data in kept.items())
    assert {path.name for path in folder.iterdir()} - {path.name for path in kept} == {
        f"wood_{name}.{number}.png" for name in ("brush", "identity_2") for number in (1001, 1002)
    }


def test_tiles_are_made_again_and_are_in_the_history(addon: Any, styles: Any, tmp_path: Path) -> None:
    surface("Thing", tile_files(addon, tmp_path / "wood", (1001, 1002)))
    styles.style, styles.seed = "Brush", 3
    stylize()
    styles.style = "Identity"
    name = "wood.1001.png (Brush)"
    assert bpy.ops.pentimento.make_again(image=name) == {"FINISHED"}
    first, again = (tiles_of(addon, bpy.data.images[name + end], tmp_path / "read") for end in ("", ".001"))
    assert list(first) == [1001, 1002] and all((first[number] == again[number]).all() for number in first)
    made = addon.layering.history()
    assert [image.name for image in made] == [f"{name}.001", name]
    assert made[0].preview.image_size[:] == made[0].size[:], "of its first tile"
    assert bpy.ops.pentimento.remove_layer(image=f"{name}.001") == {"FINISHED"}
    assert [image.name for image in addon.layering.history()] == [name]


def test_where_nothing_can_be_written_tiles_go_to_the_results(
    addon: Any, styles: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "textures"
    surface("Thing", tile_files(addon, folder, (1001, 1002)))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    # Whoever runs this may write anywhere (root): the folder says no by what the system is asked.
    allowed = addon.scene_io.os.access
    monkeypatch.setattr(addon.scene_io.os, "access", lambda path, mode: path != folder and allowed(path, mode))
    stylize()
    assert sorted(path.name for path in (tmp_path / "pentimento").iterdir()) == [
        "wood_identity.1001.png",
        "wood_identity.1002.png",
    ]
    assert len(list(folder.iterdir())) == 2


def test_a_tile_that_is_lost_is_said(addon: Any, styles: Any, tmp_path: Path) -> None:
    image = tile_files(addon, tmp_path / "textures", (1001, 1002))
    surface("Thing", image)
    (tmp_path / "textures" / "wood.1002.png").unlink()
    with pytest.raises(RuntimeError, match=r"Tile 1002 of .* has no file.*External Data"):
        bpy.ops.pentimento.stylize_textures()
    assert not [found for found in bpy.data.images if found.name.endswith(" (Identity)")]


# ---------------------------------------------------------------- repeats, margins


def repeats() -> dict[str, bool]:
    import json

    made = (image for image in bpy.data.images if "pentimento_recipe" in image)
    return {image.name: json.loads(image["pentimento_recipe"])["settings"]["tileable"] for image in made}


def wave_image(name: str, shift: float) -> Any:
    y, x = np.mgrid[0:64, 0:64] / 64
    values = np.repeat((np.sin(2 * np.pi * (2 * x + 3 * y)) / 4 + 0.4 + shift * x)[..., None], 4, 2)
    values[..., 3] = 1
    image = bpy.data.images.new(name, 64, 64)
    image.pixels.foreach_set(values.astype(np.float32).ravel())
    image.update()
    return image


def test_textures_that_repeat_are_found_by_their_borders(addon: Any, styles: Any) -> None:
    surface("One", wave_image("Repeats", 0.0))
    surface("Two", wave_image("Ends", 0.3))
    photo = wave_image("Photo", 0.0)
    stylize()
    bpy.ops.pentimento.stylize_image(image=photo.name)
    assert repeats() == {"Repeats (Identity)": True, "Ends (Identity)": False, "Photo (Identity)": False}
    styles.tileable = "OFF"
    bpy.ops.pentimento.stylize_image(image="Repeats")
    assert repeats()["Repeats (Identity).001"] is False


def atlas(background: tuple[float, ...]) -> Any:
    """A baked texture: one island in a corner, with a margin of four texels around it"""
    pixels = np.full((64, 64, 4), background, np.float32)
    pixels[:36, :36] = (0.6, 0.4, 0.2, 1)
    image = bpy.data.images.new("Atlas", 64, 64, alpha=background[3] == 0)
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    return image


@pytest.mark.parametrize("background", [(0, 0, 0, 1), (1, 1, 1, 1), (0, 0, 0, 0)])
def test_the_background_of_a_baked_texture_runs_into_no_stroke(
    addon: Any, styles: Any, tmp_path: Path, background: tuple[float, ...]
) -> None:
    """The island comes out as it does where all is island; the background as it was, texel for texel."""
    import tiny_styles

    tiny_styles.blur(tmp_path / "blur")
    addon.props.library.preferences().styles_folder = str(tmp_path)
    styles.style = "Blur"
    image = atlas(background)
    surface("Thing", image)
    thing = bpy.context.object
    thing.data.uv_layers[0].data.foreach_set("uv", [0, 0, 0.5, 0, 0.5, 0.5, 0, 0.5])
    before = pixels_of(image).copy()
    stylize()
    assert (pixels_of(bpy.data.images["Atlas (Blur)"]) == before).all(), "an even island, blurred within itself"
    bpy.context.scene.pentimento_textures.margin = "OFF"
    stylize()
    after = pixels_of(bpy.data.images["Atlas (Blur).001"])
    assert np.abs(after[:36, :36] - before[:36, :36]).max() > 0.1
