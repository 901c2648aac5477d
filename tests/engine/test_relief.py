"""Normal and roughness maps from the strokes of a painted texture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from PIL import Image

from engine import cli, relief
from engine.errors import EngineError
from engine.protocol import PictureSource, Relief, SourceFailed, StyleShare, Stylized, StylizeRequest, StylizeSettings
from engine.stylize import stylize


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("styles")
    return {make.__name__: str(make(folder / make.__name__)) for make in (tiny_styles.identity, tiny_styles.brush)}


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tileable texture with a normal map twice as large and a roughness map as large."""
    folder, rng = tmp_path_factory.mktemp("maps"), np.random.default_rng(3)
    normal = np.concatenate((rng.uniform(-0.5, 0.5, (128, 192, 2)), np.ones((128, 192, 1))), 2)
    normal /= np.sqrt((normal**2).sum(2, keepdims=True))
    wave = np.sin(np.mgrid[0:64, 0:96] * 2 * np.pi / 32).transpose(1, 2, 0)
    colour = np.concatenate((wave, wave[..., :1] * wave[..., 1:]), 2) / 2 + 0.5
    for name, values in {"bricks": colour, "normal": normal / 2 + 0.5, "rough": rng.random((64, 96, 3))}.items():
        Image.fromarray(np.rint(values * 255).astype(np.uint8)).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in ("bricks", "normal", "rough")}


def made(style: str, out: Path, texture: Path, wanted: Relief, **choices: Any) -> dict[str, np.ndarray]:
    """By layer, as bytes of the file"""
    settings = StylizeSettings((StyleShare(style),), device="cpu", **choices)
    asked = StylizeRequest("job", (PictureSource("bricks", str(texture)),), settings, str(out), reliefs=(wanted,))
    event = next(event for event in stylize(asked) if isinstance(event, Stylized))
    assert event.recipe["relief"]["strength"] == wanted.strength
    return {layer.name: np.asarray(Image.open(layer.path)) for layer in event.layers}


def source(path: Path) -> PictureSource:
    return PictureSource(path.stem, str(path), encoding="data")


def test_no_strokes_leave_the_maps_as_they_are(styles: dict[str, str], maps: dict[str, Path], tmp_path: Path) -> None:
    """Byte for byte, normals that are not quite of unit length too."""
    wanted = Relief(1.0, source(maps["normal"]), source(maps["rough"]))
    found = made(styles["identity"], tmp_path, maps["bricks"], wanted)
    assert list(found) == ["Stylized", "Relief.Normal", "Relief.Roughness"]
    for layer, name in (("Stylized", "bricks"), ("Relief.Normal", "normal"), ("Relief.Roughness", "rough")):
        assert (found[layer] == np.asarray(Image.open(maps[name]))).all(), layer


def test_without_maps_there_are_flat_ones(styles: dict[str, str], maps: dict[str, Path], tmp_path: Path) -> None:
    found = made(styles["identity"], tmp_path, maps["bricks"], Relief(rough=0.8))
    assert (found["Relief.Normal"] == (128, 128, 255)).all()
    assert (found["Relief.Roughness"] == 204).all()


def test_strokes_show_in_both_maps_and_more_with_strength(
    styles: dict[str, str], maps: dict[str, Path], tmp_path: Path
) -> None:
    steep = []
    for strength in (0.0, 0.5, 2.0):
        found = made(styles["brush"], tmp_path, maps["bricks"], Relief(strength))
        normal = found["Relief.Normal"].astype(float) / 127.5 - 1
        assert np.abs(np.sqrt((normal**2).sum(2)) - 1).max() < 0.02, "unit normals"
        assert (normal[..., 2] > 0).all(), "none faces inwards"
        steep.append((np.abs(normal[..., :2]).mean(), found["Relief.Roughness"].std()))
    assert steep[0][1] == 0
    assert steep[0] < steep[1] < steep[2]


def test_green_is_up() -> None:
    """A ridge along a row: above it the surface faces up the picture, which is +Y as OpenGL and Blender have it."""
    height = np.zeros((33, 16), np.float32)
    height[16] = 0.1
    normal = relief.laid_on(
        np.broadcast_to(np.float32([0.5, 0.5, 1]), (33, 16, 3)), *np.gradient(height, axis=(1, 0)), strength=1.0
    )
    above, below = normal[15, 8] * 2 - 1, normal[17, 8] * 2 - 1
    assert above[1] > 0.1 and below[1] < -0.1
    assert abs(above[0]) < 1e-6
    side = relief.laid_on(
        np.broadcast_to(np.float32([0.5, 0.5, 1]), (16, 33, 3)), *np.gradient(height.T, axis=(1, 0)), strength=1.0
    )
    assert side[8, 15, 0] < 0.4 and side[8, 17, 0] > 0.6, "left of a ridge it faces left"


def test_strokes_are_laid_into_the_frame_of_the_map() -> None:
    """Reoriented normal mapping: on a flat map it is the detail, and a flat detail is the map."""
    flat = np.broadcast_to(np.float32([0.5, 0.5, 1]), (4, 4, 3))
    slope, none = np.full((4, 4), 0.02, np.float32), np.zeros((4, 4), np.float32)
    detail = relief.laid_on(flat, slope, none, 1.0)
    # A base that leans as the detail does: together they lean twice the angle.
    both = relief.laid_on(detail, slope, none, 1.0)
    once, twice = (np.arctan2(n[..., 0] * 2 - 1, n[..., 2] * 2 - 1) for n in (detail, both))
    assert np.allclose(twice, 2 * once, atol=1e-4)
    assert np.array_equal(relief.laid_on(detail, none, none, 1.0), detail)


def test_a_tileable_texture_has_tileable_maps(styles: dict[str, str], maps: dict[str, Path], tmp_path: Path) -> None:
    """The maps of a texture rolled by half its size are the maps, rolled, where the style's noise repeats too."""
    rng = np.random.default_rng(1)
    change = rng.standard_normal((64, 96)).astype(np.float32)
    rolled = np.roll(change, (32, 32), (0, 1))  # by whole cells of the coarsest grid
    height = relief.stroke_height(change, 1.0, wrap=True)
    assert np.allclose(relief.stroke_height(rolled, 1.0, wrap=True), np.roll(height, (32, 32), (0, 1)), atol=1e-6)
    found = made(styles["brush"], tmp_path, maps["bricks"], Relief(), tileable=True)["Relief.Normal"].astype(float)
    seam, inner = np.abs(found[0] - found[-1]).mean(), np.abs(np.diff(found, axis=0)).mean((1, 2))
    assert seam <= inner.max()


def test_a_larger_map_stays_as_large_and_slopes_keep_their_angle() -> None:
    """In texels of a map twice as large the same stroke rises half as fast: it must not come out flatter."""
    height = np.repeat(np.sin(np.arange(64) * 2 * np.pi / 32).astype(np.float32)[None], 32, 0) * 0.1
    like = np.broadcast_to(np.float32([0.5, 0.5, 1]), (64, 128, 3))

    class Found:
        islands = None

    from engine.picture import Picture

    maps = relief.Maps(Relief(), Found(), StylizeSettings((), tileable=True), None, None)  # type: ignore[arg-type]
    along, down = maps._slopes(height, Picture(like, "data"))
    assert along.shape == (64, 128)
    assert np.abs(along).max() == pytest.approx(np.abs(relief._gradient(height, 1, True)).max(), rel=0.02)
    assert np.abs(down).max() < 1e-6


def test_what_is_no_map_is_refused(styles: dict[str, str], maps: dict[str, Path], tmp_path: Path) -> None:
    settings = StylizeSettings((StyleShare(styles["identity"]),), device="cpu")
    picture = PictureSource("bricks", str(maps["bricks"]))
    for reliefs, said in (
        ((Relief(), Relief()), "one relief for each"),
        ((Relief(3.0),), "The relief is 3"),
        ((Relief(rough=2.0),), "The roughness is 2"),
        ((Relief(makes=("Height",)),), "no relief 'Height'"),
    ):
        with pytest.raises(EngineError, match=said):
            list(stylize(StylizeRequest("job", (picture,), settings, str(tmp_path), reliefs=reliefs)))
    Image.new("L", (96, 64)).save(tmp_path / "grey.png")
    asked = (picture, picture), (Relief(normal=source(tmp_path / "grey.png")), None)
    events = list(stylize(StylizeRequest("job", asked[0], settings, str(tmp_path / "out"), reliefs=asked[1])))
    assert [event.message for event in events if isinstance(event, SourceFailed)] == [
        "'grey' is grey: it is no normal map."
    ]


def test_from_the_command_line(styles: dict[str, str], maps: dict[str, Path], tmp_path: Path) -> None:
    bricks, normal, out = (str(path) for path in (maps["bricks"], maps["normal"], tmp_path))
    given = ["stylize", bricks, "--style", styles["brush"], "--out", out, "--device", "cpu", "--tileable"]
    assert cli.main([*given, "--relief", ".7", "--normal-map", normal]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        *("bricks_brush.png", "bricks_brush_normal.png", "bricks_brush_roughness.png")
    }
    assert Image.open(tmp_path / "bricks_brush_normal.png").size == (192, 128)
    assert cli.main([*given[:2], bricks, *given[2:], "--normal-map", normal]) != 0
