"""Following surfaces from frame to frame: synthetic shots with known motion, and real ones."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.errors import EngineError
from engine.exr import ExrLayer, write_exr
from engine.motion import bilinear, motion, warp_error, ways
from engine.passes import Passes, read_passes
from engine.picture import Floats

HEIGHT, WIDTH = 24, 32


def frame(path: Path, vector: tuple[float, float, float, float], **planes: Floats) -> Passes:
    """A frame that moves as a whole. planes: IndexOB, Depth, Vector of (H, W) or (H, W, 4)."""
    usual = {"Vector": np.broadcast_to(np.float32(vector), (HEIGHT, WIDTH, 4))}
    layers = [ExrLayer.of("ViewLayer.Combined", np.ones((HEIGHT, WIDTH, 4), np.float32))]
    for name, values in {**usual, **planes}.items():
        channels = tuple("XYZW") if name == "Vector" else ("Z",) if name == "Depth" else ("X",)
        layers.append(ExrLayer.of(f"ViewLayer.{name}", np.float32(values).reshape(HEIGHT, WIDTH, -1), channels))
    write_exr(path, layers)
    return read_passes(path)


def everywhere(value: float) -> Floats:
    return np.full((HEIGHT, WIDTH), value, np.float32)


def test_a_shift_is_followed_exactly(tmp_path: Path) -> None:
    """Everything moves two rows down and three columns right: Y points up, so previous - current is -3, +2."""
    index = everywhere(1)
    before = frame(tmp_path / "a.exr", (0, 0, -3, 2), IndexOB=index)
    now = frame(tmp_path / "b.exr", (-3, 2, 0, 0), IndexOB=index)
    way = motion(before, now)
    assert way.visible.sum() == (HEIGHT - 2) * (WIDTH - 3)
    assert not way.visible[:2].any() and not way.visible[:, :3].any()
    first = np.random.default_rng(0).random((3, HEIGHT, WIDTH), dtype=np.float32)
    second = np.roll(first, (2, 3), (1, 2))
    np.testing.assert_allclose(warp_error(first, second, way), 0, atol=1e-6)
    # colours off by (.3, 0, .4): a length of .5 at every pixel
    off = second + np.float32([0.3, 0, 0.4])[:, None, None]
    np.testing.assert_allclose(warp_error(first, off, way), 0.5, atol=1e-5)


def test_between_pixels_a_ramp_stays_a_ramp() -> None:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    places = (np.float32([[2.25]]), np.float32([[7.5]]))
    assert bilinear(np.stack([rows, columns, rows + columns]), *places)[:, 0, 0].tolist() == [2.25, 7.5, 9.75]
    corner = (np.float32([[HEIGHT - 1]]), np.float32([[WIDTH - 1]]))
    assert bilinear(rows[None], *corner).item() == HEIGHT - 1


@pytest.mark.parametrize("by", ["IndexOB", "Depth"])
def test_what_an_object_uncovers_is_not_compared(tmp_path: Path, by: str) -> None:
    """A square slides four columns to the right over a wall that stands still."""

    def shot(name: str, left: int, columns: tuple[int, int]) -> Passes:
        square = np.zeros((HEIGHT, WIDTH), bool)
        square[8:16, left : left + 8] = True
        vector = np.zeros((HEIGHT, WIDTH, 4), np.float32)
        vector[square] = (columns[0], 0, columns[1], 0)
        return frame(
            tmp_path / name,
            (0, 0, 0, 0),
            Vector=vector,
            Depth=np.where(square, 2.0, 9.0),
            IndexOB=np.where(square, 2, 1) if by == "IndexOB" else everywhere(0),  # as Blender leaves it
        )

    way = motion(shot("a.exr", 4, (0, -4)), shot("b.exr", 8, (-4, 0)))
    uncovered = np.zeros((HEIGHT, WIDTH), bool)
    uncovered[8:16, 4:8] = True
    assert not way.visible[uncovered].any()
    assert way.visible[9:15, 9:15].all(), "the square itself is followed"
    assert way.visible[:7].all() and way.visible[:, 17:].all(), "and the wall, where it was seen before"


def test_strokes_go_on_by_those_pixels_around_that_show_the_same(tmp_path: Path) -> None:
    """Half a pixel to the right beside an object that rests: of two pixels one goes on, where the other is its."""
    index = everywhere(1)
    index[:, 10:] = 2
    vector = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    vector[:, 10:, [0, 2]] = -0.5
    before = frame(tmp_path / "a.exr", (0, 0, 0, 0), IndexOB=index, Vector=vector)
    now = frame(tmp_path / "b.exr", (0, 0, 0, 0), IndexOB=index, Vector=vector)
    compared, way = motion(before, now), ways(before, now)
    assert not compared.visible[:, 10].any() and way.visible.all()
    parts = {column: way.weights[:, 3, column].tolist() for column in (5, 10, 11)}
    assert parts == {5: [1, 0, 0, 0], 10: [0, 1, 0, 0], 11: [0.5, 0.5, 0, 0]}
    assert (way.nearest[3, [5, 10]] % WIDTH).tolist() == [5, 10] and (way.weights.sum(axis=0) == 1).all()


def test_the_sky_is_not_compared(tmp_path: Path) -> None:
    depth = everywhere(5)
    depth[:10] = 1e10
    shots = [frame(tmp_path / name, (0, 0, 0, 0), Depth=depth) for name in ("a.exr", "b.exr")]
    way = motion(*shots)
    assert not way.visible[:10].any() and way.visible[10:].all()


def test_frames_that_do_not_follow_each_other_disagree(tmp_path: Path) -> None:
    before = frame(tmp_path / "a.exr", (0, 0, -1, 0), IndexOB=everywhere(1))
    later = frame(tmp_path / "c.exr", (-2, 0, 0, 0), IndexOB=everywhere(1))
    assert not motion(before, later).visible.any()


def test_missing_passes_are_named(tmp_path: Path) -> None:
    plain = frame(tmp_path / "a.exr", (0, 0, 0, 0))
    with pytest.raises(EngineError, match="Depth"):
        motion(plain, plain)
    write_exr(tmp_path / "b.exr", [ExrLayer.of("ViewLayer.Combined", np.ones((8, 8, 4), np.float32))])
    bare = read_passes(tmp_path / "b.exr")
    with pytest.raises(EngineError, match="Vector"):
        motion(bare, bare)
    with pytest.raises(EngineError, match="different sizes"):
        motion(bare, plain)


@pytest.mark.parametrize(("shot", "kept", "warped"), [("orbit", 0.943, 0.0048), ("walk", 0.927, 0.0053)])
def test_real_shots_give_what_was_measured_on_them(shared: Path, shot: str, kept: float, warped: float) -> None:
    """Pixels kept and mean absolute error of the warped DiffCol, over all 15 pairs (sequences/README.md)."""
    frames = [read_passes(path) for path in sorted((shared / "sequences" / shot).glob("*.exr"))]
    shares, errors = [], []
    for before, now in pairwise(frames):
        way = motion(before, now)
        first, second = (f["DiffCol"].transpose(2, 0, 1).astype(np.float32) for f in (before, now))
        difference = np.abs(second - bilinear(first, way.rows, way.columns))[:, way.visible]
        shares.append(way.visible.mean())
        errors.append(difference.mean())
    assert np.mean(shares) == pytest.approx(kept, abs=0.001)
    assert np.mean(errors) == pytest.approx(warped, abs=0.0001)
