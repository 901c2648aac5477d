"""Strokes that follow forms: directions of known pictures, exact windows, and which strokes are laid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_styles
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import noise, style_pack
from engine.canvas import ArrayCanvas
from engine.forms import CELL, REACH, flow
from engine.picture import Floats
from engine.runtime import Paint, Session, painted, tiles


def picture(height: int, width: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((3, height, width), dtype=np.float32)


def stripes(angle: float, height: int = 200, width: int = 240) -> Floats:
    """Lines at an angle in degrees, from x to the right towards y down."""
    down, across = np.mgrid[:height, :width].astype(np.float32)
    away = np.cos(np.radians(angle)) * down - np.sin(np.radians(angle)) * across
    return np.repeat((0.5 + 0.3 * np.sin(away / 9))[None], 3, 0).astype(np.float32)


def degrees(vectors: Floats) -> Floats:
    """Of doubled angles (2, ...), 0 .. 180"""
    return np.asarray(np.degrees(np.arctan2(vectors[1], vectors[0])) / 2 % 180)


def apart(one: Floats, other: float) -> Floats:
    return np.abs((one - other + 90) % 180 - 90)


# ---------------------------------------------------------------- directions


@pytest.mark.parametrize("angle", [0, 30, 45, 90, 120, 157])
def test_forms_run_along_lines(angle: float) -> None:
    told = degrees(flow(ArrayCanvas(stripes(angle)), (15, 15, 20, 30), wrap=False))
    assert apart(told, angle).max() < 3


def test_an_even_picture_has_no_forms() -> None:
    assert not flow(ArrayCanvas(np.full((3, 70, 90), 0.3, np.float32)), (0, 0, 18, 23), wrap=False).any()


def test_on_an_even_wall_the_outlines_around_decide() -> None:
    """A disc alone: far outside it, too, everything runs around it."""
    down, across = np.mgrid[:400, :400].astype(np.float32) - 200
    disc = np.repeat((np.hypot(down, across) < 50)[None], 3, 0).astype(np.float32)
    told = degrees(flow(ArrayCanvas(disc), (0, 0, 100, 100), wrap=False))
    for row, column, wanted in ((50, 74, 90), (50, 26, 90), (24, 50, 0), (76, 50, 0), (32, 32, 135), (32, 68, 45)):
        assert apart(told[row, column], wanted) < 6


def test_what_runs_out_of_a_picture_is_not_bent() -> None:
    told = degrees(flow(ArrayCanvas(stripes(30)), (-4, -4, 58, 68), wrap=False))
    assert apart(told, 30).max() < 20 and apart(told, 30).mean() < 3


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(16, 300),
    width=st.integers(16, 300),
    top=st.integers(-20, 60),
    left=st.integers(-20, 60),
    wrap=st.booleans(),
)
def test_a_window_is_the_same_window_of_the_whole(height: int, width: int, top: int, left: int, wrap: bool) -> None:
    canvas = ArrayCanvas(picture(height, width), wrap)
    whole = flow(canvas, (-20, -20, 100, 110), wrap)
    part = flow(canvas, (top, left, 20, 30), wrap)
    np.testing.assert_array_equal(part, whole[:, top + 20 : top + 40, left + 20 : left + 50])


def test_forms_go_on_over_the_border_of_a_tileable_picture() -> None:
    canvas = ArrayCanvas(picture(64, 128), wrap=True)
    np.testing.assert_array_equal(flow(canvas, (-3, 5, 9, 9), True), flow(canvas, (13, 37, 9, 9), True))


def test_nothing_beyond_reach_has_a_say() -> None:
    before = picture(8 * REACH, 4 * REACH)
    after = before.copy()
    after[:, (REACH + 20) * CELL :] = 0
    one, two = (flow(ArrayCanvas(planes), (0, 0, 20, 20), wrap=False) for planes in (before, after))
    np.testing.assert_array_equal(one, two)


# ---------------------------------------------------------------- strokes


def constant(turns: int) -> Floats:
    """Strokes of each direction that are its number everywhere."""
    return np.arange(turns, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 3, 3), np.float32)


def doubled(angle: float) -> Floats:
    doubled_ = np.radians(2 * angle)
    return (
        np.full((2, 1, 1), 0.1, np.float32) * np.array([np.cos(doubled_), np.sin(doubled_)], np.float32)[:, None, None]
    )


@pytest.mark.parametrize("turns", [4, 8, 16])
def test_strokes_of_the_nearest_direction_are_laid(turns: int) -> None:
    for number in range(turns):
        for off in (-0.2, 0, 0.2):  # parts of the way to the next direction
            there = doubled((number + off) * 180 / turns)
            assert noise.along(constant(turns), there, 0, 0, 0, 1, 1, None).item() == number


def test_half_way_both_are_laid_with_their_squares_adding_up() -> None:
    fields = np.stack([np.full((1, 3, 3), value, np.float32) for value in (1, 0, 0, 0)])
    first = noise.along(fields, doubled(22.5), 0, 0, 0, 1, 1, None).item()
    second = noise.along(fields[[1, 0, 2, 3]], doubled(22.5), 0, 0, 0, 1, 1, None).item()
    assert first**2 + second**2 == pytest.approx(1) and first == pytest.approx(0.5**0.5, abs=1e-3)


def test_where_nothing_has_a_form_the_painters_own_strokes_lie() -> None:
    base, along = np.ones((1, 1, 1), np.float32), np.full((1, 1, 1), 5, np.float32)
    for length, follow, wanted in ((0.0, 1.0, 1.0), (1e-3, 1.0, 5.0), (1e-3, 0.0, 1.0)):
        there = np.array([length, 0], np.float32).reshape(2, 1, 1)
        assert noise.following(base, along, there, follow).item() == pytest.approx(wanted)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder: Path = tmp_path_factory.mktemp("styles")
    return Session(style_pack.load(tiny_styles.following(folder / "following")), "cpu")


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(16, 200),
    width=st.integers(16, 200),
    edge=st.integers(64, 200),
    wrap=st.booleans(),
    stroke=st.sampled_from([1.0, 0.5, 1.37, 2.0]),
)
def test_tiles_are_exact_where_strokes_follow(
    session: Session, height: int, width: int, edge: int, wrap: bool, stroke: float
) -> None:
    canvas = painted(session, ArrayCanvas(picture(height, width), wrap), Paint(3, stroke, wrap))
    whole = canvas.read(0, 0, height, width)
    for top, left, tall, wide in tiles(height, width, edge):
        part = canvas.read(top, left, tall, wide)
        np.testing.assert_array_equal(part, whole[:, top : top + tall, left : left + wide])


def test_not_following_is_painting_with_the_stroke_field_alone(session: Session, tmp_path: Path) -> None:
    plain = Session(style_pack.load(tiny_styles.strokes(tmp_path / "strokes")), "cpu")
    source = ArrayCanvas(stripes(30, 80, 96))
    alone = painted(plain, source, Paint(2)).read(0, 0, 80, 96)
    np.testing.assert_array_equal(painted(session, source, Paint(2, follow=0)).read(0, 0, 80, 96), alone)
    assert not np.array_equal(painted(session, source, Paint(2)).read(0, 0, 80, 96), alone)
