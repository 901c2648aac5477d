"""View transforms as tables, with curves whose answers are known: there, back, and what cannot be reached."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine import protocol
from engine.errors import EngineError
from engine.files import ExrLayer, create_png, open_picture, open_view, read_exr, write_exr
from engine.picture import coverage, encode, from_display, to_display
from engine.protocol import PictureSource, PixelBlock, StyleShare, Stylized, StylizeRequest, StylizeSettings, ViewTable
from engine.stylize import stylize
from engine.view import SAME, View

VALUES = (0.0, *(2.0 ** (stop / 3) for stop in range(-30, 22)))
Curve = Callable[[np.ndarray], np.ndarray]


def standard(linear: np.ndarray) -> np.ndarray:
    """Each channel on the sRGB curve, clipped at 1"""
    return np.clip(encode(linear.astype(np.float32)), 0, 1)


def filmic(linear: np.ndarray) -> np.ndarray:
    """Like AgX: light bleeds into the other channels, then a curve over 16 stops that ends at 1"""
    mixed = linear @ (np.full((3, 3), 0.08) + 0.76 * np.eye(3))
    place = np.clip((np.log2(np.maximum(mixed, 1e-9)) + 11) / 16, 0, 1)
    return place**2 * (3 - 2 * place)


def noise(linear: np.ndarray) -> np.ndarray:
    """No transform at all: neighbouring colours show as anything"""
    return np.random.default_rng(1).random(linear.shape)


CURVES = [standard, filmic, noise]


def table(curve: Curve, values: tuple[float, ...] = VALUES) -> np.ndarray:
    cube = np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1)
    return np.rint(curve(cube) * 65535).astype(np.uint16)


@cache
def view(curve: Curve) -> View:
    return View(table(curve), VALUES, curve.__name__)


def light(count: int, seed: int = 0) -> np.ndarray:
    """Scene-linear colours (count, 3) of all brightnesses, from 2 ** -10 to 100"""
    rng = np.random.default_rng(seed)
    grey, tint = rng.uniform(-10, 6, (count, 1)), rng.uniform(-1.5, 1, (count, 3))
    return np.minimum(2 ** (grey + tint), 100).astype(np.float32)


# ---------------------------------------------------------------- there


@pytest.mark.parametrize("curve", [standard, filmic])
def test_a_table_shows_what_its_curve_shows(curve: Curve) -> None:
    linear = light(20_000)
    error = np.abs(view(curve).encode(linear) - curve(linear.astype(np.float64)))
    assert error.max() < 2.5 / 255 and error.mean() < 0.15 / 255


@pytest.mark.parametrize("curve", CURVES)
def test_the_points_of_a_table_are_met_exactly(curve: Curve) -> None:
    linear = np.array([[VALUES[4], VALUES[40], VALUES[11]], [0, 0, 0], [VALUES[-1]] * 3], np.float32)
    expected = table(curve)[[4, 0, -1], [40, 0, -1], [11, 0, -1]] / np.float32(65535)
    assert np.allclose(view(curve).encode(linear), expected, atol=1e-5)


def test_beyond_the_table_its_border_goes_on() -> None:
    seen = view(filmic).encode(np.array([[-5, -1e30, 0], [1e30, 1e5, 65504]], np.float32))
    assert np.array_equal(seen, view(filmic).encode(np.array([[0, 0, 0], [VALUES[-1]] * 3], np.float32)))


@settings(deadline=None, max_examples=12)
@given(
    steps=st.lists(st.sampled_from((1e-9, 1e-6, 1e-4, 0.01, 0.3, 1.0, 40.0)), min_size=1, max_size=12),
    linear=hnp.arrays(np.float32, (60, 3), elements=st.floats(-1, 50, width=32)),
)
@example(steps=[0.01, 1e-6, 1e-6, 1e-6, 1.0], linear=np.ones((60, 3), np.float32))
def test_values_may_lie_anywhere(steps: list[float], linear: np.ndarray) -> None:
    """Even, far apart, or so close that single precision hardly tells them: seen is what lies in between."""
    values = (0.0, *(float(value) for value in np.cumsum(steps)))
    shares = np.linspace(0, 1, len(values))
    cube = np.stack(np.meshgrid(shares, shares, shares, indexing="ij"), axis=-1)
    odd = View(np.rint(cube * 65535).astype(np.uint16), values, "odd")
    linear[: len(values)] = np.array(values, np.float32)[:, None]
    # Two values that fall on one number are one step: either end of it is right.
    low, high = (np.interp(linear + side * (1e-6 * np.abs(linear) + 1e-12), values, shares) for side in (-1, 1))
    seen = odd.encode(linear)
    assert (seen >= low - 2e-5).all() and (seen <= high + 2e-5).all()


# ---------------------------------------------------------------- and back


@settings(deadline=None, max_examples=60)
@given(
    linear=hnp.arrays(np.float32, (4, 5, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    curve=st.sampled_from(CURVES),
)
def test_what_was_not_painted_is_bit_for_bit_what_it_was(linear: np.ndarray, curve: Curve) -> None:
    """Lamps, negative guard values, colours that show alike: whatever the view transform loses is not lost."""
    assert np.array_equal(view(curve).decode(view(curve).encode(linear), linear), linear)


@settings(deadline=None, max_examples=60)
@given(display=hnp.arrays(np.float32, (6, 3), elements=st.floats(0, 1, width=32)), seed=st.integers(0, 99))
def test_every_colour_that_can_be_reached_is(display: np.ndarray, seed: int) -> None:
    result = view(standard).decode(display, light(6, seed))
    assert np.abs(view(standard).encode(result) - display).max() <= SAME


def test_colours_of_a_film_are_reached_over_any_light() -> None:
    painted = view(filmic).encode(light(20_000, seed=1))
    result = view(filmic).decode(painted, light(20_000, seed=2))
    error = np.abs(view(filmic).encode(result) - painted).max(axis=1)
    assert np.percentile(error, 99) < 0.2 / 255 and error.max() < 2.5 / 255
    assert result.min() >= 0


def test_a_lamp_that_is_painted_is_a_lamp_no_more() -> None:
    lamp, dark_blue = np.full((1, 3), 100, np.float32), np.array([[0.1, 0.12, 0.3]], np.float32)
    for curve in (standard, filmic):
        result = view(curve).decode(dark_blue, lamp)
        assert result.max() < 0.2
        assert np.abs(view(curve).encode(result) - dark_blue).max() < 0.5 / 255


def test_a_lamp_fades_out_without_a_jump() -> None:
    """As the strength of a style grows, its light goes down in small steps, not from 100 to 1 at once."""
    strength = np.linspace(0, 4 / 255, 400, dtype=np.float32)[:, None]
    result = view(standard).decode(1 - strength * np.float32([1, 0.8, 0.6]), np.full((400, 3), 100, np.float32))
    assert result[0].tolist() == [100, 100, 100] and result[-1].max() < 1
    assert np.abs(np.diff(result[:, 0])).max() < 5


def test_what_cannot_be_reached_becomes_about_the_nearest() -> None:
    """Compared with the best of all the table's points."""
    display = np.random.default_rng(3).random((150, 3), dtype=np.float32)
    shown = view(filmic).encode(view(filmic).decode(display, light(150)))
    points = table(filmic).reshape(-1, 3) / np.float32(65535)
    best = np.array([np.sqrt(((points - colour) ** 2).sum(axis=1)).min() for colour in display])
    found = np.sqrt(((shown - display) ** 2).sum(axis=1))
    assert (best > 0.05).mean() > 0.2, "many of them cannot be reached"
    assert (found - best).max() < 5 / 255


@settings(deadline=None, max_examples=30)
@given(start=st.integers(0, 300), count=st.integers(1, 300), curve=st.sampled_from(CURVES))
def test_a_part_is_converted_as_in_the_whole(start: int, count: int, curve: Curve) -> None:
    """Bit for bit: tiled must equal untiled."""
    linear, painted = light(600), np.random.default_rng(4).random((600, 3), dtype=np.float32)
    painted[:100] = view(curve).encode(linear[:100]) + np.float32(0.004) * (painted[:100] - 0.5)
    part = np.s_[start : start + count]
    assert np.array_equal(view(curve).encode(linear[part]), view(curve).encode(linear)[part])
    assert np.array_equal(view(curve).decode(painted[part], linear[part]), view(curve).decode(painted, linear)[part])


def test_rows_are_converted_as_in_the_picture() -> None:
    """Bit for bit, where a picture is more than is converted at a time, with all kinds of pixels mixed."""
    linear = light(60_000).reshape(200, 300, 3)
    seen, rng = view(filmic).encode(linear), np.random.default_rng(8)
    hardly, other = (rng.random(linear.shape, dtype=np.float32) for _ in range(2))
    kind = rng.integers(0, 4, (200, 300, 1))
    reached = view(filmic).encode(light(60_000, seed=9).reshape(linear.shape))
    painted = np.select([kind == 0, kind == 1, kind == 2], [seen, seen + (hardly - 0.5) / 100, reached], other)
    whole = view(filmic).decode(painted, linear)
    rows = [view(filmic).decode(painted[row : row + 7], linear[row : row + 7]) for row in range(0, 200, 7)]
    assert np.array_equal(np.concatenate(rows), whole)
    assert np.array_equal(whole[kind[..., 0] == 0], linear[kind[..., 0] == 0])


def test_a_broken_painting_breaks_nothing() -> None:
    painted = np.array([[np.nan, 0.5, 0.5], [np.inf, -np.inf, 0.2], [-3, 7, 0]], np.float32)
    result = view(filmic).decode(painted, light(3))
    assert np.isfinite(result).all() and result.min() >= 0


def test_no_transform_breaks_the_way_back() -> None:
    flat = View(np.full((3, 3, 3, 3), 30000, np.uint16), (0, 0.5, 1), "flat")
    for odd in (view(noise), flat):
        result = odd.decode(np.random.default_rng(5).random((500, 3), dtype=np.float32), light(500))
        assert np.isfinite(result).all() and result.min() >= 0 and result.max() <= odd.values[-1]


# ---------------------------------------------------------------- as the way of a picture


def test_soft_edges_keep_their_cover() -> None:
    """The model sees the true colour; what it paints is laid under the same alpha."""
    full = np.array([[[0.6, 0.2, 0.1, 1.0]]], np.float32)
    painted = np.array([[[0.2, 0.3, 0.5]]], np.float32)
    solid = from_display(painted, full, "linear", "premultiplied", view(filmic))
    for alpha in (0.7, 0.25):
        edge = full * np.float32(alpha)
        seen = to_display(edge, "linear", "premultiplied", view(filmic))
        assert np.allclose(seen, to_display(full, "linear", "premultiplied", view(filmic)), atol=1e-4)
        back = from_display(painted, edge, "linear", "premultiplied", view(filmic))
        assert np.allclose(back[..., :3], solid[..., :3] * coverage(edge), rtol=1e-3)
        assert np.array_equal(back[..., 3], edge[..., 3])
        kept = from_display(seen, edge, "linear", "premultiplied", view(filmic))
        assert np.allclose(kept, edge, rtol=1e-5)


def test_empty_and_broken_pixels_stay() -> None:
    pixels = np.array([[[0, 0, 0, 0], [np.nan, np.inf, 1, 1]]], np.float16)
    result = from_display(np.full((1, 2, 3), 0.5, np.float32), pixels, "linear", "premultiplied", view(filmic))
    assert not result[0, 0].any()
    assert np.isnan(result[0, 1, 0]) and result[0, 1, 1] == np.inf and np.isfinite(result[0, 1, 2])


@pytest.mark.parametrize("encoding", ["srgb", "data"])
def test_only_scene_linear_pictures_are_seen_through_it(tmp_path: Path, encoding: str) -> None:
    pixels = np.random.default_rng(6).random((20, 24, 3), dtype=np.float32)
    done = job(tmp_path, tiny_styles.identity(tmp_path / "style"), block(tmp_path, pixels, encoding))
    assert "view" not in done.recipe


# ---------------------------------------------------------------- the job


def saved(folder: Path, curve: Curve = filmic) -> ViewTable:
    """The table as Blender hands it over."""
    count = len(VALUES)
    return write_table(folder / "view.png", table(curve).reshape(count, count**2, 3))


def write_table(path: Path, pixels: np.ndarray) -> ViewTable:
    with create_png(path, *pixels.shape, pixels.dtype, {}) as png:
        png.write_rows(pixels)
    return ViewTable("AgX", str(path), VALUES)


def block(folder: Path, pixels: np.ndarray, encoding: str = "linear") -> PictureSource:
    (folder / "in.raw").write_bytes(pixels.tobytes())
    raw = PixelBlock(str(folder / "in.raw"), pixels.shape, str(pixels.dtype))  # type: ignore[arg-type]
    return PictureSource("Stone", pixels=raw, encoding=encoding, alpha="none" if pixels.shape[2] == 3 else "straight")


def job(folder: Path, style: Path, source: PictureSource, out: str = "out", **choices: Any) -> Stylized:
    """Through a line of the protocol, as the worker gets it."""
    deliver = "pixels" if source.pixels else "files"
    chosen = StylizeSettings((StyleShare(str(style)),), **choices)
    asked = StylizeRequest("job", (source,), chosen, str(folder / out), deliver, saved(folder))
    (done,) = (e for e in stylize(protocol.from_line(protocol.to_line(asked))) if isinstance(e, Stylized))
    return done


def test_a_render_goes_through_and_comes_back(tmp_path: Path) -> None:
    pixels = np.concatenate([light(40 * 56).reshape(40, 56, 3), np.ones((40, 56, 1))], axis=2).astype(np.float16)
    write_exr(tmp_path / "in.exr", [ExrLayer.of("ViewLayer.Combined", pixels)], {})
    source = PictureSource("in", str(tmp_path / "in.exr"))
    done = job(tmp_path, tiny_styles.identity(tmp_path / "style"), source)
    stylized = read_exr(done.path).layers["ViewLayer.Stylized"]
    assert np.array_equal(stylized.pixels(), pixels)
    assert done.recipe["view"] == {"name": "AgX", "hash": view(filmic).hash}
    assert json.loads(read_exr(done.path).header["pentimento"]) == done.recipe


def test_the_preview_shows_what_blender_will_show(tmp_path: Path) -> None:
    write_exr(tmp_path / "in.exr", [ExrLayer.of("Combined", light(400).reshape(20, 20, 3))], {})
    style = tiny_styles.flat(tmp_path / "style", "Flat", (0.3, 0.4, 0.5))
    done = job(tmp_path, style, PictureSource("in", str(tmp_path / "in.exr")))
    preview = open_picture(Path(done.path).with_suffix(".png")).read(0, 0, 20, 20)
    assert np.abs(preview / 255 - (0.3, 0.4, 0.5)).max() <= 1 / 255


def test_tiles_strength_and_overlays_work_as_ever(tmp_path: Path) -> None:
    style = tiny_styles.brush(tmp_path / "style")
    source = block(tmp_path, light(150 * 130).reshape(150, 130, 3))
    results = []
    for number, tile in enumerate((0, 64)):
        done = job(tmp_path, style, source, f"out{number}", tile=tile, strength=0.7, overlays=("Scale", "Removal"))
        results.append([np.fromfile(layer.pixels.path, "float32") for layer in done.layers if layer.pixels])
    assert len(results[0]) == 3
    for whole_one, tiled in zip(*results, strict=True):
        assert np.isfinite(whole_one).all() and np.array_equal(whole_one, tiled)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "values",
    [
        (),
        (0.0,),
        (0.0, 1.0),
        (0.0, *VALUES[:0:-1]),
        (0.1, *VALUES[1:]),
        (*VALUES[:-1], float("nan")),
        (*VALUES[:-1], float("inf")),
        (*VALUES[:-1], 1e30),
        (*VALUES[:-1], VALUES[-2]),
        tuple(float(value) for value in range(200)),
    ],
    ids=["none", "one", "too few", "falling", "not from 0", "nan", "infinite", "huge", "twice", "too many"],
)
def test_impossible_values_are_refused(tmp_path: Path, values: tuple[float, ...]) -> None:
    with pytest.raises(EngineError) as caught:
        open_view(replace(saved(tmp_path), values=values))
    assert caught.value.fix
    with pytest.raises(EngineError):
        View(table(filmic), values, "x")


def test_impossible_files_are_refused(tmp_path: Path) -> None:
    good = saved(tmp_path)
    count = len(VALUES)
    bad = [
        write_table(tmp_path / "8bit.png", np.zeros((count, count**2, 3), np.uint8)),
        write_table(tmp_path / "alpha.png", np.zeros((count, count**2, 4), np.uint16)),
        write_table(tmp_path / "small.png", np.zeros((count, count, 3), np.uint16)),
        replace(good, path=str(tmp_path / "gone.png")),
        replace(good, path=str(tmp_path)),
        replace(good, path=""),
    ]
    cut = tmp_path / "cut.png"
    cut.write_bytes(Path(good.path).read_bytes()[:4000])
    for hostile in (*bad, replace(good, path=str(cut))):
        with pytest.raises(EngineError) as caught:
            open_view(hostile)
        assert caught.value.fix


@pytest.mark.parametrize(
    "change",
    [{"values": "0 1"}, {"values": [0, "1"]}, {"path": None}, {"name": 3}, {"size": 3}, {"values": None}],
    ids=str,
)
def test_messages_that_say_something_else_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    asked = StylizeRequest("job", (PictureSource("x"),), StylizeSettings((StyleShare("s"),)), ".", view=saved(tmp_path))
    data = json.loads(protocol.to_line(asked))
    assert protocol.from_line(json.dumps(data)) == asked
    data["view"].update(change)
    with pytest.raises(EngineError, match="could not be read"):
        protocol.from_line(json.dumps(data))
