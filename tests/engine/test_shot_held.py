"""Strokes held by anchors: splines that go through pixels, light, frames, and bytes that do not depend on the order."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import conftest
import numpy as np
import pytest
import shots
import tiny_styles
import worlds
from planes import SIZE, TONED, even, noise

from engine import cli
from engine.animate import animate
from engine.errors import EngineError
from engine.exr import read_exr
from engine.protocol import AnimateRequest, Event, FrameDone, FrameFailed, ShotRequest, StyleShare, StylizeSettings
from engine.shot import record
from engine.shot.held import Anchor, Held
from engine.shot.light import answer_to_light
from engine.shot.record import Frame, Shot
from engine.shot.scan import scan
from engine.shot.silhouettes import clearness, silhouettes, soften
from engine.shot.strokes import between, sharpened
from engine.shot.surfaces import FAR, Surfaces


class Painter:
    """Paints each frame with white noise of its own: what sticks can only be held."""

    def __init__(self, world: worlds.World, folder: Path, numbers: range, lit: bool = False) -> None:
        list(scan(ShotRequest("j", world.shot(folder, numbers), str(folder / "shot.json"))))
        self.shot, self.world, self.lit = record.read(folder / "shot.json"), world, lit
        self.seen: dict[int, Surfaces] = {}

    def surfaces(self, number: int) -> Surfaces:
        """The frame by the camera of shot.json"""
        if number not in self.seen:
            whole = self.world.surfaces(number)
            camera = self.shot.frame(number).camera
            self.seen[number] = Surfaces(whole.position, whole.objects, whole.depth, camera, whole.uv)
        return self.seen[number]

    def held(self) -> Held:
        def anchor(frame: Frame) -> Anchor:
            return Anchor(frame, self.surfaces(frame.number), even(0.5, self.world.size), self.fresh(frame.number))

        return Held(self.shot, anchor, lit=self.lit)

    def fresh(self, number: int) -> np.ndarray:
        return noise(number, self.world.size) * 0.6 + 0.2

    def painted(self, held: Held, number: int) -> tuple[np.ndarray, float]:
        return held.painted(number, self.surfaces(number), even(0.5, self.world.size), self.fresh(number))

    def inner(self, number: int) -> np.ndarray:
        """(H, W): pixels that are not softened as those of silhouettes are"""
        rim = silhouettes(self.surfaces(number).objects)
        for _ in range(2):
            wide = np.pad(rim, 1)
            rim = wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
        return ~rim


@pytest.fixture(scope="module")
def orbit(tmp_path_factory: pytest.TempPathFactory) -> Painter:
    world = worlds.room(worlds.orbiting((144, 192), 0.02), (144, 192), slider=worlds.sliding(0.1, 0.05))
    return Painter(world, tmp_path_factory.mktemp("orbit"), range(8))


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Painter:
    return Painter(worlds.room(), tmp_path_factory.mktemp("still"), range(4))


def test_an_anchor_shows_its_own_painting(orbit: Painter) -> None:
    held = orbit.held()
    for number in orbit.shot.anchors:
        if orbit.shot.frame(number).anchors[0] != number:
            continue
        painted, fresh = orbit.painted(held, number)
        clear = clearness(orbit.surfaces(number).objects, 1.0) == 1  # elsewhere others have a share in it
        assert np.abs(painted - orbit.fresh(number))[:, clear].max() < 1e-3
        assert fresh < 0.02
        return
    pytest.fail("no anchor comes first in its own frame")


def test_a_frame_shows_the_strokes_of_its_anchors_at_their_places(orbit: Painter) -> None:
    """Known by the world: what is painted is the anchor's spline at the true places."""
    number = 2
    anchor = orbit.shot.frame(number).anchors[0]
    assert anchor != number
    painted, fresh = orbit.painted(orbit.held(), number)
    rows, columns = orbit.world.where(number, anchor)
    height, width = orbit.world.size
    inside = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
    inside &= clearness(orbit.surfaces(number).objects, 1.0) == 1  # elsewhere others have a share in it
    y, x = np.nonzero(inside)
    expected = between(sharpened(orbit.fresh(anchor)), rows[y, x].astype(np.float32), columns[y, x].astype(np.float32))
    near = np.abs(painted[:, y, x] - expected.T).max(axis=0) < 0.02
    assert near.mean() > 0.95, f"{near.mean():.3f} of {len(near)} pixels"
    assert fresh < 0.1
    own = np.abs(painted - orbit.fresh(number)).max(axis=0)[y, x] < 0.02
    assert own.mean() < 0.1


def test_where_nothing_moves_every_bit_stays(still: Painter) -> None:
    held = still.held()
    assert still.shot.anchors == (0,)
    first, share = still.painted(held, 0)
    assert share == 0
    for number in (1, 2, 3):
        assert still.painted(held, number)[0].tobytes() == first.tobytes()


def test_frames_do_not_depend_on_what_was_made_before(orbit: Painter) -> None:
    whole = {number: orbit.painted(held, number)[0].tobytes() for held in [orbit.held()] for number in range(8)}
    for order in ((5, 2, 7), (3,), (6, 4, 1, 0)):
        held = orbit.held()
        for number in order:
            assert orbit.painted(held, number)[0].tobytes() == whole[number]


def test_anchors_that_are_let_go_come_back(orbit: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room at all, those of the frame at hand are kept, and none is opened twice for it."""
    whole = {number: orbit.painted(held, number)[0].tobytes() for held in [orbit.held()] for number in range(8)}
    monkeypatch.setattr("engine.shot.held._BYTES", 1)
    held = orbit.held()
    open_, opened = held._open, list[int]()

    def watched(frame: Frame) -> Anchor:
        opened.append(frame.number)
        return open_(frame)

    held._open = watched
    for number in (7, 4, 4, 0, 7):
        anchors = orbit.shot.frame(number).anchors
        there = set(held._kept) & set(anchors)
        opened.clear()
        assert orbit.painted(held, number)[0].tobytes() == whole[number]
        assert set(held._kept) == set(anchors) and sorted(opened) == sorted(set(anchors) - there)
    assert any(len(frame.anchors) > 1 for frame in orbit.shot.by_number.values())


def test_without_anchors_all_is_fresh(orbit: Painter) -> None:
    shot = Shot("s_####.exr", orbit.world.size, frozenset(), {3: Frame(3, orbit.shot.frame(3).camera, {})})
    held = Held(shot, lambda _: pytest.fail("no anchor is needed"))
    painted, share = orbit.painted(held, 3)
    assert share == 1
    inner = orbit.inner(3)
    np.testing.assert_array_equal(painted[:, inner], orbit.fresh(3)[:, inner])


@pytest.mark.parametrize("lit", [True, False])
def test_only_light_that_falls_changes_colours(still: Painter, lit: bool) -> None:
    """The picture is .05 brighter than at the anchor, and nothing has moved."""
    mixing = np.float32([[0.6, 0, 0], [0, 0.9, 0], [0, 0, 1.1]])
    painted = (np.tensordot(mixing, TONED, 1) + (noise(5) - 0.5) * 0.1).astype(np.float32)
    held = Held(still.shot, lambda frame: Anchor(frame, still.surfaces(0), TONED, painted), lit=lit)
    first, _ = held.painted(0, still.surfaces(0), TONED, noise(1))
    later, _ = held.painted(1, still.surfaces(1), TONED + np.float32(0.05), noise(2))
    inner = still.inner(0)
    if not lit:
        assert later.tobytes() == first.tobytes()
        return
    answer = answer_to_light(TONED, painted, 1.0)
    for channel, change in enumerate((later - first)[:, inner]):
        np.testing.assert_allclose(change, answer[channel].sum() * 0.05, atol=1e-4)
    assert answer.sum() * 0.05 > 0.1


def test_strokes_far_too_large_or_small_give_way(tmp_path: Path) -> None:
    """A camera that comes twelve times closer to a wall, and one that comes twice as close"""

    def camera(frame: float) -> Any:
        return worlds.looking((0, -0.01, 24 / (1, 2, 12)[int(frame)]), (0, 0, 0), SIZE)

    wall = worlds.Form("Wall", "plane", worlds.still(worlds.affine((0, 0, 0), (60, 60, 1))))
    world = worlds.World((wall,), camera, SIZE)
    frames = {number: Frame(number, camera(number), {}, (0,)) for number in range(3)}
    shot = Shot("s_####.exr", SIZE, frozenset(), frames)
    held = Held(shot, lambda frame: Anchor(frame, world.surfaces(0), even(0.5), noise(0)), lit=False)
    shares = [held.painted(number, world.surfaces(number), even(0.5), noise(1))[1] for number in range(3)]
    assert shares[0] == 0 and shares[1] < 0.01 and shares[2] > 0.99


def test_an_anchor_gives_way_to_one_that_shows_much_more_of_a_place(tmp_path: Path) -> None:
    """From four times as close a wall has sixteen times the pixels, where it is in view; told in the anchors, it is so
    for frames from anywhere."""

    def camera(frame: float) -> Any:
        return worlds.looking((0, -0.01, 24 / (1, 4, 1.5, 3)[int(frame)]), (0, 0, 0), SIZE)

    wall = worlds.Form("Wall", "plane", worlds.still(worlds.affine((0, 0, 0), (60, 60, 1))))
    world = worlds.World((wall,), camera, SIZE)
    frames = {number: Frame(number, camera(number), {}, (0, 1)) for number in range(4)}
    shot = Shot("s_####.exr", SIZE, frozenset(), frames)
    held = Held(shot, lambda frame: Anchor(frame, world.surfaces(frame.number), even(0.5), even(frame.number)))
    middle = np.s_[:, SIZE[0] // 2 - 6 : SIZE[0] // 2 + 6, SIZE[1] // 2 - 6 : SIZE[1] // 2 + 6]
    for number in (0, 2, 3):
        painted, share = held.painted(number, world.surfaces(number), even(0.5), even(0.5))
        assert share == 0 and painted[middle].min() > 0.99, "the near one, whose painting is white"
    assert held.painted(0, world.surfaces(0), even(0.5), even(0.5))[0][:, 0].max() < 0.01, "which does not reach there"


def test_nothing_but_silhouettes_is_softened(still: Painter) -> None:
    """And of those the nearer side: what lies behind stays as it is."""
    seen = still.surfaces(0)
    result = noise(0)
    soften(result, seen.objects, seen.depth, 1.0)
    changed = (result != noise(0)).any(axis=0)
    np.testing.assert_array_equal(changed, silhouettes(seen.objects, seen.depth))
    assert (changed <= silhouettes(seen.objects)).all() and not changed[seen.objects == FAR].any() and changed.any()
    alone = noise(0)
    soften(alone, np.ones(SIZE, np.int64), seen.depth, 1.0)
    np.testing.assert_array_equal(alone, noise(0))


@pytest.mark.parametrize("lit", [True, False])
def test_an_anchor_gives_way_where_a_shadow_just_lay(tmp_path: Path, lit: bool) -> None:
    """Its edge would stay in the strokes. Three anchors see the same wall; a shadow lies on it in the first."""
    wall = worlds.Form("Wall", "plane", worlds.still(worlds.affine((0, 0, 0), (60, 60, 1))))
    world = worlds.World((wall,), lambda _: worlds.looking((0, -0.01, 24), (0, 0, 0), SIZE), SIZE)
    frames = {number: Frame(number, world.camera(number), {}, (0, 1, 2)) for number in range(4)}
    shadow, middle, beside = even(0.5), np.s_[:, 30:42, 40:56], np.s_[:, :, :16]
    shadow[:, 20:52, 30:66] = 0.2

    def anchor(frame: Frame) -> Anchor:
        picture = shadow if frame.number == 0 else even(0.5)
        return Anchor(frame, world.surfaces(0), picture, noise(frame.number))

    shot = Shot("s_####.exr", SIZE, frozenset(), frames)
    painted, share = Held(shot, anchor, lit=lit).painted(3, world.surfaces(3), even(0.5), noise(3))
    assert share == 0
    first, second = (np.abs(painted - noise(number)) for number in (0, 1))
    assert first[beside].max() < 0.02, "the first anchor holds what lies in its usual light"
    assert (second if lit else first)[middle].max() < 0.02 and (first if lit else second)[middle].mean() > 0.1


@pytest.mark.parametrize("stroke", [0.25, 0.5, 1.0, 2.0, 4.0])
def test_any_stroke_size(still: Painter, stroke: float) -> None:
    def anchor(frame: Frame) -> Anchor:
        return Anchor(frame, still.surfaces(0), even(0.5), noise(0), stroke)

    with np.errstate(divide="raise", over="raise"):
        painted, share = Held(still.shot, anchor, stroke).painted(1, still.surfaces(1), even(0.5), noise(1))
    assert np.isfinite(painted).all() and share == 0


def test_as_many_threads_as_there_are_make_the_same_bytes(tmp_path: Path) -> None:
    """The nodes of a farm differ: in their cores, and in what their processors offer a library of linear algebra."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np, hashlib, pathlib, tempfile\n"
        "import worlds\n"
        "from engine.protocol import ShotRequest\n"
        "from engine.shot import record\n"
        "from engine.shot.carried import Carried\n"
        "from engine.shot.held import Anchor, Held, answer_to_light\n"
        "from engine.shot.surfaces import places, surfaces\n"
        "folder = pathlib.Path(sys.argv[2])\n"
        "shot = record.read(folder / 'shot.json')\n"
        "def noise(n): return np.random.default_rng(n).random((3, 360, 640), np.float32)\n"
        "def seen(n): return surfaces(worlds.read_passes(folder / f'shot_{n:04d}.exr'), shot.frame(n).camera)\n"
        "def said(*arrays): print(hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest())\n"
        "found = places(seen(1), seen(0), shot.frame(1).poses, shot.frame(0).poses, shot.deforming)\n"
        "said(found.rows, found.columns, found.found)\n"
        "said(answer_to_light(noise(0), noise(1), 1.0))\n"
        "held = Held(shot, lambda f: Anchor(f, seen(f.number), noise(f.number), noise(9 + f.number)))\n"
        "said(held.painted(1, seen(1), noise(4), noise(5))[0])\n"
        "carried = Carried()\n"
        "for n in (0, 1):\n"
        "    last = carried.painted(worlds.read_passes(folder / f'shot_{n:04d}.exr'), noise(n), noise(3 + n))[0]\n"
        "said(last)\n"
    )
    size = (360, 640)
    world = worlds.room(worlds.orbiting(size), size, s=worlds.sliding(0.1, 0.05), b=worlds.breathing())
    list(scan(ShotRequest("j", world.shot(tmp_path, range(2)), str(tmp_path / "shot.json"))))
    names = ("places", "answer to light", "held", "carried")
    found = {}
    for threads, processor in (("1", "Haswell"), ("2", "Haswell"), ("2", "Nehalem")):
        found[threads, processor] = _run(code, tmp_path, threads, processor)
    first = next(iter(found.values()))
    assert len(set(first)) == len(names)
    different = {key: [n for n, a, b in zip(names, first, one, strict=True) if a != b] for key, one in found.items()}
    assert not any(different.values()), different


def _run(code: str, folder: Path, threads: str, processor: str) -> list[str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PENTIMENTO_CORES")
    more = {**dict.fromkeys(names, threads), "OPENBLAS_CORETYPE": processor, "PYTHONPATH": str(conftest.REPO)}
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **more})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


# ---------------------------------------------------------------- through animate


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_styles.brush(tmp_path_factory.mktemp("style") / "brush"))


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Pattern of six frames, and their shot.json"""
    folder = tmp_path_factory.mktemp("job")
    world = worlds.room(worlds.orbiting(), slider=worlds.sliding())
    pattern = world.shot(folder, range(1, 7), type_=np.float16)
    list(scan(ShotRequest("j", pattern, str(folder / "shot.json"))))
    return pattern, str(folder / "shot.json")


def asked(pattern: str, style: str, out: Path, numbers: Any = (), **choices: Any) -> AnimateRequest:
    own = {key: choices.pop(key) for key in ("shot", "sequential") if key in choices}
    return replace(shots.request(pattern, style, out, numbers, **choices), **own)


def test_one_run_is_any_chunks_and_any_workers(job: tuple[str, str], style: str, tmp_path: Path) -> None:
    pattern, shot = job
    assert shots.done(shots.run(asked(pattern, style, tmp_path / "whole", shot=shot))) == [1, 2, 3, 4, 5, 6]
    whole = shots.contents(tmp_path / "whole")
    alone = tmp_path / "alone"
    shots.run(asked(pattern, style, alone))
    assert all(data != whole[name] for name, data in shots.contents(alone).items())
    for numbers in ((5, 4), (1,), (6, 2, 3)):
        shots.run(asked(pattern, style, tmp_path / "chunks", numbers, shot=shot))
    assert shots.contents(tmp_path / "chunks") == whole
    shots.run(asked(pattern, style, tmp_path / "workers", shot=shot, workers=3))
    assert shots.contents(tmp_path / "workers") == whole
    (tmp_path / "chunks" / "shot_brush_0004.exr").unlink()
    events = shots.run(asked(pattern, style, tmp_path / "chunks", shot=shot, resume=True))
    assert shots.done(events) == [4] and shots.contents(tmp_path / "chunks") == whole


def test_strokes_that_stick_are_another_look(job: tuple[str, str], style: str, tmp_path: Path) -> None:
    """Frames painted alone and frames that are held never mix in a folder."""
    pattern, shot = job
    shots.run(asked(pattern, style, tmp_path / "out", (1, 2)))
    with pytest.raises(EngineError, match="shot"):
        list(animate(asked(pattern, style, tmp_path / "out", shot=shot, resume=True)))


def test_a_scale_overlay_is_made(job: tuple[str, str], style: str, tmp_path: Path) -> None:
    pattern, shot = job
    shots.run(asked(pattern, style, tmp_path / "out", (2,), shot=shot, overlays=("Scale",)))
    assert "ViewLayer.Attribution Scale" in read_exr(tmp_path / "out" / "shot_brush_0002.exr").layers


def refusals(job: tuple[str, str], style: str, tmp_path: Path) -> Iterator[tuple[AnimateRequest, str]]:
    pattern, shot = job
    yield asked(pattern, style, tmp_path / "out", shot=shot, sequential=True), "both"
    yield asked(pattern, style, tmp_path / "out", shot=shot, overlays=("Removal",)), "Removal"
    yield asked(pattern, style, tmp_path / "out", sequential=True, overlays=("Scale", "Removal")), "Removal"
    yield asked(pattern, style, tmp_path / "out", sequential=True, workers=2), "workers"
    yield asked(pattern, style, tmp_path / "out", shot=str(tmp_path / "none.json")), "none.json"
    pictures = shots.shot(tmp_path / "bytes", range(1, 3), ".png")
    yield asked(pictures, style, tmp_path / "out", shot=shot), "no render with passes"
    yield asked(pictures, style, tmp_path / "out", sequential=True), "no render with passes"
    large = worlds.room(size=(80, 96)).shot(tmp_path / "large", range(1, 3))
    yield asked(large, style, tmp_path / "out", shot=shot), "size"
    less = worlds.room().shot(tmp_path / "less", range(1, 3), passes=("Depth", "Vector"))
    yield asked(less, style, tmp_path / "out", shot=shot), "no pass Position"


def test_what_concerns_all_frames_is_one_error_first(job: tuple[str, str], style: str, tmp_path: Path) -> None:
    for request, expected in refusals(job, style, tmp_path):
        with pytest.raises(EngineError, match=expected) as caught:
            list(animate(request))
        assert caught.value.fix, expected
        assert not (tmp_path / "out").exists(), expected


def test_frames_that_cannot_be_held_fail_alone(job: tuple[str, str], style: str, tmp_path: Path) -> None:
    """One that the shot does not know, and one without Position"""
    pattern, shot = job
    folder = tmp_path / "in"
    folder.mkdir()
    for path in Path(pattern).parent.glob("*.exr"):
        (folder / path.name).write_bytes(path.read_bytes())
    world = worlds.room(worlds.orbiting(), slider=worlds.sliding())
    world.write(folder / "shot_0007.exr", 7)
    world.write(folder / "shot_0003.exr", 3, passes=("Depth", "Vector"))
    events = shots.run(asked(str(folder / "shot_####.exr"), style, tmp_path / "out", (2, 3, 5, 7), shot=shot))
    anchored = record.read(shot).anchors
    told = shots.failed(events)
    assert set(told) >= {3, 7} and "frame 7" in told[7].message and "Position" in told[3].message
    assert all(event.fix for event in told.values())
    if 3 not in anchored:
        assert set(told) == {3, 7}


def test_the_command_line(job: tuple[str, str], style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern, shot = job
    common = ["animate", pattern, "--style", style, "--device", "cpu", "--frames", "1-2", "--out"]
    assert cli.main([*common, str(tmp_path / "held"), "--shot", shot]) == 0
    assert cli.main([*common, str(tmp_path / "carried"), "--sequential"]) == 0
    assert capsys.readouterr().out.count("2 frames made") == 2
    made = [shots.contents(tmp_path / name) for name in ("held", "carried")]
    for name in itertools.chain.from_iterable(made):
        assert name.startswith("shot_brush_")
    assert cli.main([*common, str(tmp_path / "none"), "--shot", shot, "--sequential"]) == 1
    assert "Leave out" in capsys.readouterr().err


# ---------------------------------------------------------------- what shot.json and the frames tell of each other


@pytest.fixture
def walked(tmp_path: Path) -> tuple[AnimateRequest, worlds.World]:
    """A shot that was looked at, its camera on its way"""
    world = worlds.room(worlds.orbiting())
    pattern = world.shot(tmp_path / "in", (1, 2, 3, 4))
    list(scan(ShotRequest("job", pattern, str(tmp_path / "shot.json"))))
    settings = StylizeSettings((StyleShare(str(tiny_styles.brush(tmp_path / "brush"))),), device="cpu")
    out = str(tmp_path / "out")
    return AnimateRequest("job", pattern, settings, out, resume=True, shot=str(tmp_path / "shot.json")), world


def failures(events: list[Event]) -> dict[int, str]:
    return {event.frame: event.message for event in events if isinstance(event, FrameFailed)}


def test_a_frame_that_was_rendered_anew_is_told(walked: tuple[AnimateRequest, worlds.World], tmp_path: Path) -> None:
    """Frame 2 with the camera of frame 12; and those whose strokes it holds say whose fault it is."""
    request, world = walked
    world.write(tmp_path / "in" / "shot_0002.exr", 12)
    told = failures(list(animate(request)))
    assert "rendered anew" in told[2]
    assert all("holds strokes of frame" in message for number, message in told.items() if number != 2)


def test_a_shot_that_grows_keeps_what_is_painted(walked: tuple[AnimateRequest, worlds.World], tmp_path: Path) -> None:
    """A frame goes by its own entry and those of its anchors: what else shot.json tells may change."""
    request, world = walked
    assert not failures(list(animate(request)))
    shot = record.read(request.shot)
    more = Frame(5, shot.frame(4).camera, {}, shot.frame(4).anchors)
    world.shot(tmp_path / "in", (5,))
    record.write(request.shot, replace(shot, by_number={**shot.by_number, 5: replace(more, camera=world.camera(5))}))
    events = list(animate(request))
    assert not failures(events)
    assert {event.frame: event.made for event in events if isinstance(event, FrameDone)} == {
        **dict.fromkeys((1, 2, 3, 4), False),
        5: True,
    }


def test_the_shot_json_of_another_shot_is_refused(walked: tuple[AnimateRequest, worlds.World], tmp_path: Path) -> None:
    request, world = walked
    for number in (1, 2):
        world.write(tmp_path / "other" / f"other_{number:04d}.exr", number)
    with pytest.raises(EngineError, match=r"tells of shot_####\.exr"):
        list(animate(replace(request, frames=str(tmp_path / "other" / "other_####.exr"))))


def test_nothing_but_a_shot_json_is_written_over(tmp_path: Path) -> None:
    pattern = worlds.room().shot(tmp_path / "in", (1, 2))
    notes, render = tmp_path / "notes.txt", tmp_path / "in" / "shot_0001.exr"
    notes.write_text("mine")
    for path, kept in ((notes, notes.read_bytes()), (render, render.read_bytes())):
        with pytest.raises(EngineError, match=r"no shot\.json"):
            list(scan(ShotRequest("job", pattern, str(path))))
        assert path.read_bytes() == kept
    for _ in range(2):  # its own it may
        list(scan(ShotRequest("job", pattern, str(tmp_path / "shot.json"))))


def test_what_a_new_look_holds_in_another_way_is_made_again(
    walked: tuple[AnimateRequest, worlds.World], tmp_path: Path
) -> None:
    request, _ = walked
    list(animate(request))
    shot = record.read(request.shot)
    alone = replace(shot.frame(3), anchors=(3,))
    record.write(request.shot, replace(shot, by_number={**shot.by_number, 3: alone}))
    events = [event for event in animate(request) if isinstance(event, FrameDone)]
    assert {event.frame for event in events if event.made} == {
        number for number, frame in shot.by_number.items() if 3 in (number, *frame.anchors)
    }
