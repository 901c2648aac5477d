"""Strokes carried on from frame to frame: what stays, what moves, what is painted anew, and a job that goes on."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shots
import tiny_styles
import worlds

from engine import style_pack
from engine.animate import animate
from engine.canvas import ArrayCanvas
from engine.errors import EngineError
from engine.explain.overlay import finished
from engine.exr import ExrLayer, write_exr
from engine.motion import bilinear
from engine.noise import Moved
from engine.passes import Passes, read_passes
from engine.protocol import AnimateRequest, FrameDone
from engine.runtime import Paint, Session
from engine.runtime import painted as paint
from engine.shot.carried import MOST_COATS, Carried
from engine.shot.coming import STRETCHED, grown, revealed
from engine.shot.strokes import sharpened

HEIGHT, WIDTH = 48, 64


def noise(seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """(3, H, W) white: no stroke of it is anywhere again"""
    return np.random.default_rng(seed).random((3, *size), np.float32) * np.float32(0.6) + np.float32(0.2)


def even(size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    return np.full((3, *size), 0.5, np.float32)


def shifted(path: Path, down: float, right: float) -> Passes:
    """A frame in which everything moves as a whole, from the one before and to the one after"""
    vector = np.broadcast_to(np.float32([-right, down, -right, down]), (HEIGHT, WIDTH, 4))
    layers = [
        ExrLayer.of("ViewLayer.Combined", np.ones((HEIGHT, WIDTH, 4), np.float32)),
        ExrLayer.of("ViewLayer.Vector", np.ascontiguousarray(vector), tuple("XYZW")),
        ExrLayer.of("ViewLayer.Depth", np.full((HEIGHT, WIDTH, 1), 5, np.float32), ("Z",)),
        ExrLayer.of("ViewLayer.IndexOB", np.ones((HEIGHT, WIDTH, 1), np.float32)),
    ]
    write_exr(path, layers)
    return read_passes(path)


def test_a_sky_that_stands_still_is_kept_up_to_its_corners(tmp_path: Path) -> None:
    """Where a slider moves below it, and cameras are read off half floats"""
    size = (72, 96)
    world = worlds.room(None, size, slider=worlds.sliding(0.2))
    passes = [world.passes(tmp_path, frame, type_=np.float16) for frame in range(5)]
    sky = world.seen(0).form < 0
    for other in range(1, 5):
        sky &= world.seen(other).form < 0
    carried = Carried()
    for number, one in enumerate(passes):
        painted, _ = carried.painted(one, even(size), noise(number, size))
        off = np.abs(painted - noise(0, size)).max(axis=0)[inner(sky, 4)]
        assert np.abs(painted - noise(0, size)).max(axis=0)[0, 0] < 0.05 and off.max() < 0.05, number


@pytest.mark.parametrize("lit", [True, False])
def test_where_nothing_moves_every_bit_stays(tmp_path: Path, lit: bool) -> None:
    still, carried = shifted(tmp_path / "a.exr", 0, 0), Carried(lit=lit)
    first, share = carried.painted(still, even(), noise(0))
    assert share == 1 and first.tobytes() == noise(0).tobytes()
    second, share = carried.painted(still, even(), noise(1))
    assert share == 0
    np.testing.assert_allclose(second, first, atol=1e-6)
    for number in range(2, 6):
        assert carried.painted(still, even(), noise(number))[0].tobytes() == second.tobytes()


def test_whole_pixels_move_exactly(tmp_path: Path) -> None:
    """Two rows down, three columns right; what comes into view is painted anew."""
    moving, carried = shifted(tmp_path / "a.exr", 2, 3), Carried()
    carried.painted(moving, even(), noise(0))
    for step in (1, 2, 3):
        painted, share = carried.painted(moving, even(), noise(step))
        down, right = 2 * step, 3 * step
        off = np.abs(painted[:, down:, right:] - noise(0)[:, :-down, :-right]).max(axis=0) > 1e-6
        assert off.sum() <= step, "but for the pixel in the corner of what came into view"
        np.testing.assert_allclose(painted[:, :2], noise(step)[:, :2], atol=1e-6)
        np.testing.assert_allclose(painted[:, :, :3], noise(step)[:, :, :3], atol=1e-6)
        assert share == pytest.approx(1 - (HEIGHT - 2) * (WIDTH - 3) / (HEIGHT * WIDTH), abs=1e-3)


def test_parts_of_pixels_add_up_and_nothing_gets_softer(tmp_path: Path) -> None:
    """Sixteen steps of a quarter are four columns: the strokes are those of the first frame, not a blur of blurs."""
    moving, carried = shifted(tmp_path / "a.exr", 0, 0.25), Carried()
    first = carried.painted(moving, even(), noise(0))[0]
    for _ in range(16):
        painted, _ = carried.painted(moving, even(), first)
    assert np.abs(painted[:, :, 12:-4] - noise(0)[:, :, 8:-8]).max() < 0.02


def test_origins_are_bounded(tmp_path: Path) -> None:
    moving, carried = shifted(tmp_path / "a.exr", 0, 1), Carried()
    most, held = 0, []
    for step in range(40):
        painted, _ = carried.painted(moving, even(), noise(step))
        assert carried._state is not None and np.isfinite(painted).all()
        most = max(most, len(carried._state.coats))
        held.append(sum(coat.origin.strokes.coefficients.nbytes + coat.share.nbytes for coat in carried._state.coats))
    assert 1 < most <= MOST_COATS and max(held[10:]) == max(held[:10])


def test_light_that_changes_is_followed(tmp_path: Path) -> None:
    rows, columns = np.indices((HEIGHT, WIDTH), np.float32) / 12
    toned = np.stack([np.sin(rows), np.sin(columns + 1), np.cos(rows + columns)]).astype(np.float32) * 0.2 + 0.4
    still = shifted(tmp_path / "a.exr", 0, 0)
    for lit in (True, False):
        carried = Carried(lit=lit)
        carried.painted(still, toned, toned)
        before = carried.painted(still, toned, noise(0))[0]
        after = carried.painted(still, toned + np.float32(0.05), noise(1))[0]
        change = float((after - before).mean())
        assert change == pytest.approx(0.05, abs=0.008) if lit else change == 0


@pytest.mark.parametrize("lit", [True, False])
def test_strokes_whose_light_has_gone_are_painted_anew_once_the_new_one_rests(tmp_path: Path, lit: bool) -> None:
    """A shadow in the middle of the first frame is fainter in the second, then gone. Its edge would stay in them."""
    still, carried = shifted(tmp_path / "a.exr", 0, 0), Carried(lit=lit)
    shaded, faint, plain = even(), even(), even()
    shaded[:, 12:36, 16:48], faint[:, 12:36, 16:48] = 0.2, 0.35
    middle, beside = np.s_[18:30, 22:40], np.s_[:, :4]
    kept = []
    for number, picture in enumerate((shaded, faint, plain, plain, plain, plain)):
        painted, share = carried.painted(still, picture, noise(number))
        assert carried._state is not None
        kept.append(float(carried._state.coats[0].share[middle].mean()))
        assert number == 0 or (share > 0) == (lit and number == 3)
    assert kept == ([1, 1, 1, 0, 0, 0] if lit else [1] * 6)
    assert (np.abs(painted - noise(3)).max(axis=0)[middle].max() < 1e-5) == lit
    np.testing.assert_allclose(painted[:, *beside], noise(0)[:, *beside], atol=0.02)


def test_light_that_goes_on_changing_leaves_strokes_where_they_are(tmp_path: Path) -> None:
    still, carried = shifted(tmp_path / "a.exr", 0, 0), Carried()
    for number in range(8):
        _, share = carried.painted(still, even() + np.float32(0.03 * number), noise(number))
        assert (share > 0) == (number == 0)


def test_what_an_object_uncovers_is_painted_anew(tmp_path: Path) -> None:
    size = (144, 192)
    world = worlds.room(None, size, slider=worlds.sliding(0.2))
    passes = [world.passes(tmp_path, frame) for frame in (0, 1)]
    carried = Carried()
    carried.painted(passes[0], even(size), noise(0, size))
    painted, share = carried.painted(passes[1], even(size), noise(1, size))
    was, now = (world.seen(frame).form == len(world.forms) - 1 for frame in (0, 1))
    uncovered, floor = was & ~now, world.seen(0).form == 0
    own = np.abs(painted - noise(1, size)).max(axis=0) < 1e-5
    assert own[inner(uncovered)].mean() > 0.95 and inner(uncovered).sum() > 20
    kept = np.abs(painted - noise(0, size)).max(axis=0) < 1e-5
    assert kept[inner(floor & (world.seen(1).form == 0))].mean() > 0.99, "the floor stays as it was"
    assert 0 < share < 0.5


def inner(mask: np.ndarray, edge: int = 3) -> np.ndarray:
    """Without a seam, which is softened"""
    for _ in range(edge):
        wide = np.pad(mask, 1)
        mask = wide[1:-1, 1:-1] & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask


def test_another_size_begins_anew(tmp_path: Path) -> None:
    carried = Carried()
    carried.painted(shifted(tmp_path / "a.exr", 0, 0), even(), noise(0))
    small = worlds.room(size=(40, 48)).passes(tmp_path, 0)
    painted, share = carried.painted(small, even((40, 48)), noise(1, (40, 48)))
    assert share == 1 and painted.tobytes() == noise(1, (40, 48)).tobytes()


# ---------------------------------------------------------------- through animate


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_styles.brush(tmp_path_factory.mktemp("style") / "brush"))


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> str:
    world = worlds.room(worlds.orbiting(), slider=worlds.sliding())
    return world.shot(tmp_path_factory.mktemp("shot"), range(1, 9), type_=np.float16)


@pytest.fixture(scope="module")
def whole(pattern: str, style: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The shot in one run"""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert shots.done(shots.run(asked(pattern, style, out))) == list(range(1, 9))
    return shots.contents(out)


def asked(pattern: str, style: str, out: Path, numbers: Any = (), **choices: Any) -> AnimateRequest:
    return replace(shots.request(pattern, style, out, numbers, **choices), sequential=True)


def name(number: int) -> str:
    return f"shot_brush_{number:04d}.exr"


def test_the_first_frame_is_painted_as_alone_also_where_it_tiles(pattern: str, style: str, tmp_path: Path) -> None:
    for tileable in (False, True):
        for sequential in (False, True):
            request = shots.request(pattern, style, tmp_path / f"{tileable}{sequential}", (1,), tileable=tileable)
            shots.run(replace(request, sequential=sequential))
    painted = {path.parent.name: read_passes(path)["Stylized"] for path in tmp_path.glob("*/*.exr")}
    np.testing.assert_array_equal(painted["FalseTrue"], painted["FalseFalse"])
    np.testing.assert_array_equal(painted["TrueTrue"], painted["TrueFalse"])
    assert np.abs(painted["TrueTrue"] - painted["FalseTrue"]).max() > 0.01, "else nothing was tested"


@pytest.mark.parametrize("after", [1, 3, 7])
def test_a_job_that_goes_on_makes_the_same_bytes(
    pattern: str, style: str, whole: dict[str, bytes], tmp_path: Path, after: int
) -> None:
    job = animate(asked(pattern, style, tmp_path / "out"))
    for event in job:
        if isinstance(event, FrameDone) and event.frame == after:
            break
    job.close()  # type: ignore[attr-defined]
    there = sorted(shots.contents(tmp_path / "out"))
    assert len(there) < 8
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.exr")}
    events = shots.run(asked(pattern, style, tmp_path / "out", resume=True))
    assert shots.done(events, made=False) == [int(one[-8:-4]) for one in there]
    assert sorted(shots.done(events) + shots.done(events, made=False)) == list(range(1, 9))
    assert shots.contents(tmp_path / "out") == whole
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items()), "what is there is not written again"
    assert events[-1].report["done"] == 8 - len(there)  # type: ignore[union-attr]


def test_frames_missing_in_the_middle_are_the_same_bytes(
    pattern: str, style: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shots.run(asked(pattern, style, out))
    (out / name(3)).unlink()
    (out / name(6)).write_bytes(whole[name(6)][:-400])
    events = shots.run(asked(pattern, style, out, resume=True))
    assert shots.done(events) == [3, 6] and shots.contents(out) == whole
    assert shots.done(shots.run(asked(pattern, style, out, resume=True))) == []


def test_after_a_gap_strokes_begin_anew(pattern: str, style: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    """A frame that is not asked for, and one that fails, are the same gap."""
    shots.run(asked(pattern, style, tmp_path / "chosen", (1, 2, 5, 6)))
    chosen = shots.contents(tmp_path / "chosen")
    assert [chosen[name(number)] == whole[name(number)] for number in (1, 2, 5, 6)] == [True, True, False, False]
    shots.run(asked(pattern, style, tmp_path / "alone", (5, 6)))
    for number in (5, 6):  # the same strokes, and a recipe that says where they began
        painted = [read_passes(tmp_path / run / name(number))["Stylized"] for run in ("alone", "chosen")]
        np.testing.assert_array_equal(*painted)
    assert shots.contents(tmp_path / "alone").keys() == {name(5), name(6)}
    with pytest.raises(EngineError, match="sequential_from"):
        shots.run(asked(pattern, style, tmp_path / "chosen", (5, 6), resume=True))
    folder = tmp_path / "in"
    folder.mkdir()
    for path in Path(pattern).parent.glob("*.exr"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "shot_0004.exr").write_bytes(b"")
    broken = str(folder / Path(pattern).name)
    events = shots.run(asked(broken, style, tmp_path / "broken", range(1, 7)))
    assert list(shots.failed(events)) == [4] and shots.done(events) == [1, 2, 3, 5, 6]
    made = shots.contents(tmp_path / "broken")
    assert all(made[name(number)] == whole[name(number)] for number in (1, 2, 3))
    assert all(made[name(number)] == chosen[name(number)] for number in (5, 6))
    (tmp_path / "broken" / name(6)).unlink()
    events = shots.run(asked(broken, style, tmp_path / "broken", range(1, 7), resume=True))
    assert list(shots.failed(events)) == [4] and shots.contents(tmp_path / "broken") == made


def test_frames_are_carried_forwards_in_whatever_order_they_are_asked_for(
    pattern: str, style: str, tmp_path: Path
) -> None:
    events = shots.run(asked(pattern, style, tmp_path / "back", (6, 5, 4)))
    assert [event.frame for event in events if isinstance(event, FrameDone)] == [4, 5, 6]
    shots.run(asked(pattern, style, tmp_path / "forth", (4, 5, 6)))
    assert shots.contents(tmp_path / "back") == shots.contents(tmp_path / "forth")


@pytest.fixture
def own(pattern: str, tmp_path: Path) -> str:
    """The shot, in a folder of which frames may be taken"""
    shutil.copytree(Path(pattern).parent, tmp_path / "in")
    return str(tmp_path / "in" / Path(pattern).name)


def test_a_frame_that_comes_late_takes_those_after_it_along(
    own: str, style: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    late, out = Path(own).with_name("shot_0003.exr"), tmp_path / "out"
    frame = late.read_bytes()
    late.unlink()
    events = shots.run(asked(own, style, out, range(1, 9)))
    assert list(shots.failed(events)) == [3]
    before = shots.contents(out)
    assert before[name(5)] != whole[name(5)]
    (out / name(7)).unlink()
    events = shots.run(asked(own, style, out, range(1, 9), resume=True))
    assert list(shots.failed(events)) == [3] and shots.done(events) == [7], "nothing else would be another"
    assert shots.contents(out) == before
    late.write_bytes(frame)
    events = shots.run(asked(own, style, out, resume=True))
    assert shots.done(events) == [3, 4, 5, 6, 7, 8] and shots.contents(out) == whole
    assert shots.done(shots.run(asked(own, style, out, resume=True))) == []


def test_a_frame_that_is_rendered_anew_takes_those_after_it_along(own: str, style: str, tmp_path: Path) -> None:
    """Also when the job that does so is cancelled, and when its result was deleted"""
    frame, out = Path(own).with_name("shot_0005.exr"), tmp_path / "out"
    worlds.room(worlds.orbiting(), slider=worlds.sliding()).write(frame, 5)
    shots.run(asked(own, style, tmp_path / "whole"))
    shutil.copy(frame.with_name("shot_0004.exr"), frame)
    shots.run(asked(own, style, out))
    worlds.room(worlds.orbiting(), slider=worlds.sliding()).write(frame, 5)
    (out / name(5)).unlink()
    job = animate(asked(own, style, out, resume=True))
    next(event for event in job if isinstance(event, FrameDone) and event.frame == 6)
    job.close()  # type: ignore[attr-defined]
    events = shots.run(asked(own, style, out, resume=True))
    assert shots.done(events, made=False)[:6] == [1, 2, 3, 4, 5, 6] and 8 in shots.done(events)
    assert shots.contents(out) == shots.contents(tmp_path / "whole")


def test_frames_that_were_not_asked_for_take_those_after_them_along(
    pattern: str, style: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shots.run(asked(pattern, style, out, (1, 2, 5, 6)))
    assert shots.done(shots.run(asked(pattern, style, out, (1, 2, 5, 6), resume=True))) == []
    events = shots.run(asked(pattern, style, out, resume=True))
    assert shots.done(events) == [3, 4, 5, 6, 7, 8] and shots.contents(out) == whole


def test_strokes_whose_frame_is_gone_cannot_be_carried_on(pattern: str, style: str, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for path in Path(pattern).parent.glob("*.exr"):
        (folder / path.name).write_bytes(path.read_bytes())
    gone = str(folder / Path(pattern).name)
    shots.run(asked(gone, style, out, range(1, 5)))
    (out / name(4)).unlink()
    (folder / "shot_0002.exr").unlink()
    with pytest.raises(EngineError, match="carried on from frame 2") as caught:
        list(animate(asked(gone, style, out, range(1, 5), resume=True)))
    assert "Render it" in caught.value.fix and not (out / name(4)).exists()


def test_frames_without_vector_are_one_error_first(style: str, tmp_path: Path) -> None:
    pattern = worlds.room().shot(tmp_path, range(1, 4), passes=("Depth", "Position"))
    with pytest.raises(EngineError, match="no pass Vector") as caught:
        list(animate(asked(pattern, style, tmp_path / "out")))
    assert "View Layer" in caught.value.fix and not (tmp_path / "out").exists()


def test_single_frames_without_vector_fail(style: str, tmp_path: Path) -> None:
    """The first as well, which would need none"""
    pattern = worlds.room().shot(tmp_path, range(1, 5))
    worlds.room().shot(tmp_path, range(1, 3), passes=("Depth", "Position"))
    events = shots.run(asked(pattern, style, tmp_path / "out"))
    told = shots.failed(events)
    assert set(told) == {1, 2} and all("Vector" in one.message and one.fix for one in told.values())
    assert shots.done(events) == [3, 4]


def test_strokes_along_a_silhouette_are_carried_too(tmp_path: Path) -> None:
    """A thing that slides by parts of a pixel keeps those of its border, which show another thing on one side."""
    size = (144, 192)
    world = worlds.room(None, size, slider=worlds.sliding(0.05))
    carried = Carried()
    for frame in range(4):
        carried.painted(world.passes(tmp_path, frame), even(size), noise(frame, size))
    slider = world.seen(3).form == len(world.forms) - 1
    border = slider & ~inner(slider, 1)
    assert carried._state is not None and border.sum() > 50
    # the side that comes forth from behind its own edge is new
    first = carried._state.coats[0].share
    assert (first[border] > 0.5).mean() > 0.6
    assert (first[inner(slider, 1)] > 0.5).mean() > 0.95


def test_the_border_between_two_coats_moves_with_what_it_lies_on(tmp_path: Path) -> None:
    """By parts of a pixel, and without a jump to the next one, which would flicker by .2 and more: each frame is the
    one before, moved. Coats are even here, so that nothing but their borders is seen."""
    moving, carried = shifted(tmp_path / "a.exr", 0, 0.3), Carried()
    carried.painted(moving, even(), even() * np.float32(0.2))
    light = even() * np.float32(1.8)
    before = carried.painted(moving, even(), light)[0]
    for step in range(8):
        painted, _ = carried.painted(moving, even(), light)
        columns = np.arange(1, WIDTH, dtype=np.float32) - np.float32(0.3)
        rows = np.repeat(np.arange(HEIGHT, dtype=np.float32)[:, None], len(columns), axis=1)
        moved = bilinear(before, rows, np.broadcast_to(columns, rows.shape))
        off = np.abs(painted[:, :, 1:] - moved)[:, :, 3:]  # at the border of the frame nothing was seen before
        assert off.max() < 0.05, step
        assert painted[0, 10].min() == pytest.approx(0.1, abs=0.01) and painted[0, 10].max() > 0.85
        before = painted


def test_coats_that_become_one_leave_the_picture_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next frame, where nothing moves, is the same within half a step of a byte: what is left of faint parts. Where
    others lie there, too, the two have a little more weight than before: they became one as strong as each."""
    moving, still = shifted(tmp_path / "a.exr", 0.4, 0.3), shifted(tmp_path / "b.exr", 0, 0)
    module = sys.modules[Carried.__module__]
    monkeypatch.setattr(module, "MOST_COATS", 3)
    carried, became_one = Carried(), 0
    for number in range(9):
        last = carried.painted(moving, even(), noise(number))[0]
        state = carried._state
        assert state is not None and len(state.coats) <= 3
        np.testing.assert_allclose(sum(coat.share for coat in state.coats), 1, atol=1e-5)
        became_one += not any(
            np.array_equal(coat.origin.strokes.coefficients, sharpened(noise(number))) for coat in state.coats
        )
        same = carried.painted(still, even(), noise(100))[0]
        # the borders of the frame come into view in each
        two = state.coats[-1].share
        off = np.abs(same - last).max(axis=0)
        assert off[1:-1, 1:-1][((two == 0) | (two > 0.999))[1:-1, 1:-1]].max() < 2e-3
        assert off[1:-1, 1:-1].max() < 0.06 and off[1:-1, 1:-1].mean() < 1.5e-3
        carried._state = state
    assert became_one >= 4, "else nothing was tested"


@pytest.mark.parametrize(("kind", "off"), [("brush", 1e-5), ("strokes", 1e-5), ("following", 0.05)])
def test_a_picture_that_has_moved_is_painted_with_strokes_that_have_moved(
    tmp_path: Path, kind: str, off: float
) -> None:
    """By whole steps of the noise, which is where a style paints the same at both places; forms are told from further
    around than these windows show alike."""
    session = Session(style_pack.load(getattr(tiny_styles, kind)(tmp_path / kind)), "cpu")
    wide = noise(3, (160, 176))
    windows = [ArrayCanvas(np.ascontiguousarray(wide[:, row : row + 128, row : row + 128])) for row in (0, 24)]
    moved = Moved(np.broadcast_to(np.float32([24.4, 23.2])[:, None, None], (2, 128, 128)))
    before = paint(session, windows[0], Paint(seed=5)).read(64, 64, 16, 16)
    after = paint(session, windows[1], Paint(seed=5, moved=moved)).read(40, 40, 16, 16)
    np.testing.assert_allclose(after, before, atol=off)
    assert np.abs(paint(session, windows[1], Paint(seed=5)).read(40, 40, 16, 16) - before).max() > 2 * off


def test_noise_moves_on_with_what_it_is_painted_on(tmp_path: Path) -> None:
    """What comes into view at a border of the frame with what lies beside it"""
    moving, carried = shifted(tmp_path / "a.exr", 2, 3.25), Carried()
    assert finished(carried.to_paint(moving, even()))[1] is None
    for step in range(4):
        carried.painted(moving, even(), noise(step))
        _, moved = finished(carried.to_paint(moving, even()))
        assert moved is not None
        np.testing.assert_allclose(moved.steps[0], -2 * (step + 1), atol=1e-4)
        np.testing.assert_allclose(moved.steps[1], -3.25 * (step + 1), atol=1e-4)


def test_noise_moves_with_a_thing_and_stays_around_it(tmp_path: Path) -> None:
    size = (144, 192)
    world = worlds.room(None, size, slider=worlds.sliding(0.2))
    carried = Carried()
    for frame in range(3):
        passes = world.passes(tmp_path, frame)
        finished(carried.to_paint(passes, even(size)))
        carried.painted(passes, even(size), noise(frame, size))
    passes, slider = world.passes(tmp_path, 3), world.seen(3).form == len(world.forms) - 1
    _, moved = finished(carried.to_paint(passes, even(size)))
    assert moved is not None and np.abs(moved.steps[:, ~slider]).max() < 1e-3
    rows, columns = world.where(3, 0)
    seen = inner(slider & np.isfinite(columns), 4)
    for steps, places, here in zip(moved.steps, (rows, columns), np.indices(size), strict=True):
        assert np.abs(steps - (places - here))[seen].max() < 1


def test_what_comes_into_view_is_nearest_to_what_it_belongs_to() -> None:
    known, objects = np.ones((6, 8), bool), np.zeros((6, 8), np.int64)
    steps = np.stack([np.full((6, 8), 2.0), np.arange(8) * np.ones((6, 1))]).astype(np.float32)
    objects[:, 4:] = 7
    known[:, 3:5], known[:, 7] = False, False
    result = grown(steps, known, objects)
    np.testing.assert_array_equal(result[0], 2)
    np.testing.assert_array_equal(result[1], np.broadcast_to([0, 1, 2, 2, 5, 5, 6, 6], (6, 8)))
    objects[2:4, 2:6], known[2:4, 2:6] = 9, False  # nothing of it was in view
    assert (grown(steps, known, objects)[1][2:4, 2:6] == np.median(steps[1][known])).all()
    assert not grown(steps, np.zeros_like(known), objects).any(), "nothing is known"


def test_after_a_cut_a_frame_is_painted_as_if_it_were_the_first(tmp_path: Path) -> None:
    """Nothing of the frame before is in view: other objects, or a camera that was torn around."""
    moving, carried = shifted(tmp_path / "a.exr", 2, 3), Carried()
    carried.painted(moving, even(), noise(0))
    carried.painted(moving, even(), noise(1))
    cut = shifted(tmp_path / "b.exr", 0, WIDTH)
    seen, moved = finished(carried.to_paint(cut, noise(2)))
    np.testing.assert_array_equal(seen, noise(2))
    assert moved is not None and not moved.steps.any()
    painted, share = carried.painted(cut, noise(2), noise(3))
    assert share == 1
    np.testing.assert_allclose(painted, noise(3), atol=1e-6)


def test_noise_is_not_stretched_without_end(tmp_path: Path) -> None:
    """A camera that zooms onto a wall: noise that grew with it would leave nothing to paint with"""
    path = tmp_path / "zoom.exr"
    down, right = np.indices((HEIGHT, WIDTH)).astype(np.float32) - np.float32([[[HEIGHT / 2]], [[WIDTH / 2]]])
    steps = np.float32([-right, down, -right, down]) * np.float32(0.1)
    layers = [
        ExrLayer.of("ViewLayer.Combined", np.ones((HEIGHT, WIDTH, 4), np.float32)),
        ExrLayer.of("ViewLayer.Vector", np.ascontiguousarray(steps.transpose(1, 2, 0)), tuple("XYZW")),
        ExrLayer.of("ViewLayer.Depth", np.full((HEIGHT, WIDTH, 1), 5, np.float32), ("Z",)),
        ExrLayer.of("ViewLayer.IndexOB", np.ones((HEIGHT, WIDTH, 1), np.float32)),
    ]
    write_exr(path, layers)
    zoom, carried, most = read_passes(path), Carried(), 1.0
    for number in range(30):
        _, moved = finished(carried.to_paint(zoom, even()))
        carried.painted(zoom, even(), noise(number))
        if moved is not None:
            across = 1 + np.diff(moved.steps[1], axis=1)[8:-8, 8:-8]
            assert across.min() > 1 / (STRETCHED * 1.2)
            most = min(most, float(across.min()))
    assert most < 0.6, "else nothing was tested"


def test_what_comes_forth_is_painted_without_the_colours_of_what_it_comes_forth_from() -> None:
    """Two pixels are new, the one at the silhouette is mixed. What is in view already stays, but beside them."""
    objects = np.repeat(np.int64([[1, 1, 1, 1, 1, 2, 2, 2, 2]]), 5, axis=0)
    values = np.float32([0.1, 0.1, 0.2, 0.2, 0.5, 0.9, 0.9, 0.9, 0.9])
    picture = np.broadcast_to(values, (3, 5, 9)).copy()
    new = np.zeros((5, 9), bool)
    new[:, 3:5] = True
    result = revealed(picture, new, objects, 0.75)
    np.testing.assert_allclose(result[0, 2], [0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.9, 0.9], atol=1e-6)
    np.testing.assert_array_equal(revealed(picture, np.zeros_like(new), objects, 0.75), picture)
    np.testing.assert_array_equal(revealed(picture, new, np.ones_like(objects), 0.75), picture)


def test_a_floor_that_comes_forth_keeps_its_colour(tmp_path: Path) -> None:
    """A dark box slides over it. A style that looks around would give it the colour of the box along its silhouette."""
    size = (144, 192)
    world = worlds.room(None, size, slider=worlds.sliding(0.1))
    session = Session(style_pack.load(tiny_styles.blur(tmp_path / "blur")), "cpu")
    carried, plain = Carried(lit=False), Carried(lit=False)
    for frame in range(4):
        passes, slider = world.passes(tmp_path, frame), world.seen(frame).form == len(world.forms) - 1
        picture = np.where(slider, np.float32(0.1), np.float32(0.8)) * np.ones((3, 1, 1), np.float32)
        seen, moved = finished(carried.to_paint(passes, picture))
        fresh = [paint(session, ArrayCanvas(one), Paint(moved=moved)).read(0, 0, *size) for one in (seen, picture)]
        results = [one.painted(passes, picture, each)[0] for one, each in zip((carried, plain), fresh, strict=True)]
    was = np.any([world.seen(frame).form == len(world.forms) - 1 for frame in range(3)], axis=0)
    uncovered = inner(was & (world.seen(3).form == 0), 1)
    off = [np.abs(result - 0.8).max(axis=0)[uncovered].mean() for result in results]
    assert uncovered.sum() > 20 and off[0] < 0.5 * off[1]


def test_what_comes_into_view_goes_on_where_the_last_strokes_end(tmp_path: Path) -> None:
    """A camera that pans over something even: each frame for itself begins with the same strokes at its border."""
    session = Session(style_pack.load(tiny_styles.strokes(tmp_path / "style")), "cpu")
    pan, carried = shifted(tmp_path / "a.exr", 0, 4), Carried()
    for _ in range(6):
        seen, moved = finished(carried.to_paint(pan, even()))
        fresh = paint(session, ArrayCanvas(seen), Paint(moved=moved)).read(0, 0, HEIGHT, WIDTH)
        result, _ = carried.painted(pan, even(), np.clip(fresh, 0, 1))
    inside = np.s_[:, 8:-8, 8:-8]
    np.testing.assert_allclose(result[inside], np.clip(fresh, 0, 1)[inside], atol=0.02)
