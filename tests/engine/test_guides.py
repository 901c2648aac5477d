"""Guides from render passes: noise that sticks to surfaces, and styles that are told what is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tiny_styles

from engine import guides, noise, style_pack
from engine.canvas import ArrayCanvas
from engine.errors import EngineError
from engine.exr import ExrLayer, read_exr, write_exr
from engine.files import create_png
from engine.picture import Array, Floats
from engine.protocol import PictureSource, StyleShare, Stylized, StylizeRequest, StylizeSettings
from engine.runtime import Paint, Session, painted
from engine.stylize import stylize

HEIGHT, WIDTH = 60, 92
CELL = guides.CELL


def wall(step: float, across: float = 0.0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Floats:
    """Position (3, H, W) of a wall that a camera looks at straight on, `step` metres to a pixel; the camera has moved
    `across` pixels."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float64)
    return np.stack([(columns + across) * step, np.full(size, 3.0), 2 - rows * step]).astype(np.float32)


def floor(height: float, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Floats:
    """Position of a floor seen from `height` metres above it, out to the horizon."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float64)
    away = height / ((rows + 0.7) / size[1])
    return np.stack([away * (columns - size[1] / 2) / size[1], away, np.zeros(size)]).astype(np.float32)


def alike(one: Floats, two: Floats) -> float:
    """Correlation of noise of mean 0"""
    return float((one * two).mean() / np.sqrt((one * one).mean() * (two * two).mean()))


# ---------------------------------------------------------------- noise anchored to surfaces


def test_it_moves_with_the_surface_under_a_camera_move() -> None:
    """Seven pixels to the side: the same values, seven pixels on. Where the wall stood still, nothing would fit."""
    before, after = (noise.anchored(wall(0.01, across), 0, CELL) for across in (0, 7))
    np.testing.assert_allclose(before[:, :, 7:], after[:, :, :-7], atol=2e-3)
    assert abs(alike(before, after)) < 0.15


def test_between_pixels_it_does_not_shimmer() -> None:
    """A move by half a pixel lands about halfway between two neighbours: nothing in it is as fine as a pixel. Noise
    drawn for each pixel would be off by 1."""
    before, after = (noise.anchored(wall(0.01, across), 0, CELL) for across in (0, 0.5))
    halfway = (before[:, :, 1:] + before[:, :, :-1]) / 2
    assert float(np.abs(after[:, :, :-1] - halfway).mean()) < 0.08


@pytest.mark.parametrize("step", [2e-4, 0.013, 0.016, 0.02, 5.0])
def test_near_or_far_it_has_one_size_on_the_screen(step: float) -> None:
    made = noise.anchored(wall(step), 3, CELL)
    assert made.shape == (3, HEIGHT, WIDTH)
    assert abs(float(made.mean())) < 0.15 and float(made.std()) == pytest.approx(1, abs=0.12)
    assert 0.85 < alike(made[:, :, 1:], made[:, :, :-1]) < 0.98
    assert abs(alike(made[:, :, 30:], made[:, :, :-30])) < 0.2


def test_toward_the_horizon_it_stays_smooth_across_and_down() -> None:
    """Each row of pixels there lies metres behind the next: unfiltered noise would be white."""
    made = noise.anchored(floor(1.6), 0, CELL)
    assert alike(made[:, 1:], made[:, :-1]) > 0.8 and alike(made[:, :, 1:], made[:, :, :-1]) > 0.8


def test_a_camera_that_comes_closer_finds_the_same_values() -> None:
    """The wall twice as near after five steps: what was seen at a place is seen there again, frame by frame."""
    size, places = (40, 64), np.arange(8, 56)
    for step in 0.01 / np.linspace(1, 2, 6)[:-1]:
        nearer = step * 0.99
        before, after = (noise.anchored(wall(s, size=size), 0, CELL)[:, 0] for s in (step, nearer))
        there = np.stack([np.interp(places * step / nearer, np.arange(size[1]), row) for row in after])
        assert alike(there, before[:, places]) > 0.97


def test_the_sky_gets_none_and_a_silhouette_ends_a_surface() -> None:
    near, far = wall(0.01), wall(0.05) + 7
    mixed, half = near.copy(), WIDTH // 2
    mixed[:, :, half:] = far[:, :, half:]
    made = noise.anchored(mixed, 0, CELL)
    np.testing.assert_allclose(made[:, :, :half], noise.anchored(near, 0, CELL)[:, :, :half], atol=1e-4)
    np.testing.assert_allclose(made[:, :, half:], noise.anchored(far, 0, CELL)[:, :, half:], atol=1e-4)
    assert not noise.anchored(np.zeros((3, 20, 20), np.float32), 0, CELL).any()


def test_another_seed_gives_other_noise_and_channels_differ() -> None:
    one, two = (noise.anchored(wall(0.01), seed, CELL) for seed in (0, 1))
    assert abs(alike(one, two)) < 0.1
    assert abs(alike(one[0], one[1])) < 0.15 and abs(alike(one[1], one[2])) < 0.15


# ---------------------------------------------------------------- passes as guides


def passes(position: Floats | None = None) -> dict[str, Array]:
    """All passes that guides are made from, (H, W, C)."""
    rng = np.random.default_rng(2)
    position = wall(0.02) if position is None else position
    height, width = position.shape[1:]
    return {
        "DiffCol": rng.random((height, width, 3), np.float32),
        "Normal": rng.uniform(-1, 1, (height, width, 3)).astype(np.float32),
        "Depth": np.full((height, width, 1), 8.0, np.float32),
        "Position": position.transpose(1, 2, 0),
        "UV": np.concatenate([position[::2].transpose(1, 2, 0), np.ones((height, width, 1))], 2, dtype=np.float32),
    }


def test_guides_are_what_their_docstrings_say() -> None:
    found = {name: guides.planes(name, passes()) for name in guides.GUIDES}
    for name, values in found.items():
        assert values.shape == (guides.GUIDES[name].channels, HEIGHT, WIDTH) and values.dtype == np.float32
    np.testing.assert_array_equal(found["normal"], passes()["Normal"].transpose(2, 0, 1))
    np.testing.assert_array_equal(found["depth"], 0)
    assert -1 <= found["albedo"].min() < -0.8 and 0.8 < found["albedo"].max() <= 1
    grey = guides.planes("albedo", {"DiffCol": np.full((1, 1, 3), 0.2140, np.float32)})
    np.testing.assert_allclose(grey, 0, atol=1e-3)  # linear .214 is sRGB .5
    uv = noise.anchored(passes()["UV"][..., :2].transpose(2, 0, 1), 0, CELL)
    np.testing.assert_array_equal(found["uv"], uv)


def test_empty_and_broken_pixels_are_no_numbers_to_no_one() -> None:
    depth = np.float32([[[1e10], [0], [np.nan], [np.inf], [-1]]])
    made = guides.planes("depth", {"Depth": depth})
    assert np.isfinite(made).all() and np.abs(made).max() <= 1 and made[0, 0, 0] > 0.99
    normal = np.full((8, 8, 3), np.nan, np.float32)
    assert not guides.planes("normal", {"Normal": normal}).any()
    assert np.isfinite(guides.planes("position", {"Position": np.full((8, 8, 3), np.inf, np.float32)})).all()


def test_larger_strokes_come_with_larger_noise() -> None:
    small, large = (guides.planes("position", passes(), stroke=stroke) for stroke in (1.0, 3.0))
    assert alike(large[:, :, 1:], large[:, :, :-1]) > alike(small[:, :, 1:], small[:, :, :-1])


def test_a_pass_of_another_kind_is_refused() -> None:
    with pytest.raises(EngineError, match="Normal has 1 channels"):
        guides.planes("normal", {"Normal": np.zeros((8, 8, 1), np.float32)})


# ---------------------------------------------------------------- styles with guides


CHANNELS = {"DiffCol": "RGB", "Normal": "XYZ", "Depth": "Z", "Position": "XYZ", "UV": "UVA"}


def write_frame(path: Path, found: Mapping[str, Array], seed: int = 1) -> Path:
    """A render with these passes."""
    height, width = next(iter(found.values())).shape[:2]
    combined = np.random.default_rng(seed).random((height, width, 4), np.float32)
    combined[..., 3] = 1
    layers = [ExrLayer.of("ViewLayer.Combined", combined)]
    layers += [ExrLayer.of(f"ViewLayer.{name}", values, tuple(CHANNELS[name])) for name, values in found.items()]
    write_exr(path, layers)
    return path


@pytest.fixture
def guided(tmp_path: Path) -> Path:
    return tiny_styles.guided(tmp_path / "guided")


def stylized(frame: Path, style: Path, out: Path, **settings: object) -> Floats:
    """(H, W, 4), through the whole job"""
    chosen = StylizeSettings((StyleShare(str(style)),), device="cpu", **settings)  # type: ignore[arg-type]
    events = list(stylize(StylizeRequest("j", (PictureSource(frame.stem, str(frame)),), chosen, str(out))))
    (done,) = [event for event in events if isinstance(event, Stylized)]
    layers = read_exr(done.path).layers
    return next(layer for name, layer in layers.items() if name.endswith("Stylized")).pixels()


@pytest.mark.parametrize("stroke", [1.0, 2.0, 0.5])
def test_tiles_of_a_guided_style_are_the_whole_bit_for_bit(guided: Path, tmp_path: Path, stroke: float) -> None:
    frame = write_frame(tmp_path / "frame.exr", passes())
    whole = stylized(frame, guided, tmp_path / "whole", stroke=stroke)
    tiled = stylized(frame, guided, tmp_path / "tiled", stroke=stroke, tile=21)
    np.testing.assert_array_equal(whole, tiled)


def test_the_guides_reach_the_model_and_so_does_the_seed(guided: Path, tmp_path: Path) -> None:
    frame = write_frame(tmp_path / "frame.exr", passes())
    turned = write_frame(tmp_path / "turned.exr", {**passes(), "Normal": -passes()["Normal"]})
    first = stylized(frame, guided, tmp_path)
    assert np.abs(first - stylized(turned, guided, tmp_path)).mean() > 0.01
    assert np.abs(first - stylized(frame, guided, tmp_path, seed=1)).mean() > 0.01


def test_it_can_be_explained_and_mixed(guided: Path, tmp_path: Path) -> None:
    frame = write_frame(tmp_path / "frame.exr", passes())
    brush = tiny_styles.brush(tmp_path / "brush")
    plain = stylized(frame, guided, tmp_path)
    np.testing.assert_array_equal(stylized(frame, guided, tmp_path, overlays=("Removal",)), plain)
    assert stylized(frame, brush, tmp_path, palette=str(guided)).shape == plain.shape


def test_a_reduced_picture_is_painted_with_reduced_guides(guided: Path) -> None:
    session = Session(style_pack.load(guided), "cpu")
    source = ArrayCanvas(np.random.default_rng(0).random((3, HEIGHT // 2, WIDTH // 2), np.float32))
    made = painted(session, source, Paint(), passes()).read(0, 0, source.height, source.width)
    assert made.shape == source.planes.shape and np.isfinite(made).all()


def test_missing_passes_are_named_with_where_to_switch_them_on(guided: Path, tmp_path: Path) -> None:
    frame = write_frame(tmp_path / "frame.exr", {"Normal": passes()["Normal"]})
    with pytest.raises(EngineError, match="frame does not have: Position") as caught:
        stylized(frame, guided, tmp_path)
    assert "Data > Position in View Layer Properties > Passes" in caught.value.fix


def test_a_plain_picture_has_no_passes(guided: Path, tmp_path: Path) -> None:
    with create_png(tmp_path / "plain.png", 40, 40, 3, np.dtype(np.uint8), {}) as png:
        png.write_rows(np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(EngineError, match="does not have: Normal, Position") as caught:
        stylized(tmp_path / "plain.png", guided, tmp_path)
    assert "OpenEXR MultiLayer" in caught.value.fix
