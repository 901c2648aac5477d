"""shot.json: what is written, what is refused, and what a look at a shot finds."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import worlds

from engine import cli
from engine.errors import EngineError
from engine.passes import read_passes
from engine.protocol import Done, FrameFailed, Progress, ShotRequest, from_line, to_line
from engine.shot import record
from engine.shot.camera import Camera
from engine.shot.record import Frame, Shot
from engine.shot.scan import scan
from engine.shot.surfaces import Pose, Surfaces, after, apply, inverse, places, surfaces

SIZE = (72, 96)


def looked(pattern: str, out: Path, numbers: tuple[int, ...] = ()) -> tuple[Shot, dict[str, Any], list[FrameFailed]]:
    """The shot, what is reported, and which frames failed; every event survives a pipe."""
    events = list(scan(ShotRequest("j", pattern, str(out), numbers)))
    assert [from_line(to_line(event)) for event in events] == events
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions) and 0 <= fractions[0] <= fractions[-1] <= 1
    last = events[-1]
    assert isinstance(last, Done)
    failures = [event for event in events if isinstance(event, FrameFailed)]
    return record.read(out), last.report, failures


def sound(shot: Shot) -> None:
    """What holds of every shot"""
    assert set(shot.anchors) <= set(shot.by_number)
    assert next(iter(shot.by_number)) in shot.anchors, "the first frame holds strokes"
    for frame in shot.by_number.values():
        assert 0 <= frame.fresh <= 1 and len(set(frame.anchors)) == len(frame.anchors)
    for number in shot.anchors:
        assert shot.frame(number).anchors, f"{number} holds strokes, its own among them"


# ---------------------------------------------------------------- shot.json


def example() -> Shot:
    random = np.random.default_rng(0)
    frames = [
        Frame(
            number,
            Camera(random.normal(0, 1000, (3, 4))),
            {2**32 + 1: Pose(number, random.normal(0, 1e-7, (3, 4))), 5: Pose(0, np.eye(3, 4) / 3)},
            (7, 3),
            0.25,
        )
        for number in (3, 4, 7)
    ]
    return Shot("shot_####.exr", (270, 480), frozenset({5, 2**32 + 1}), {frame.number: frame for frame in frames})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    shot = example()
    record.write(tmp_path / "shot.json", shot)
    found = record.read(tmp_path / "shot.json")
    assert (found.frames, found.size, found.deforming) == (shot.frames, shot.size, shot.deforming)
    assert found.anchors == (7, 3) and list(found.by_number) == [3, 4, 7]
    for number, frame in shot.by_number.items():
        same = found.frame(number)
        assert (same.number, same.anchors, same.fresh) == (frame.number, frame.anchors, frame.fresh)
        assert same.camera.matrix.tobytes() == frame.camera.matrix.tobytes()
        assert list(same.poses) == list(frame.poses)
        for thing, pose in frame.poses.items():
            assert same.poses[thing].rest == pose.rest
            assert same.poses[thing].matrix.tobytes() == pose.matrix.tobytes()
    record.write(tmp_path / "again.json", found)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "shot.json").read_bytes()


def test_a_frame_that_is_not_in_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="frame 5") as caught:
        example().frame(5)
    assert "pentimento shot" in caught.value.fix


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        held = json.loads(data)
        change(held)
        return json.dumps(held).encode()

    return edit


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: data[:-30], "not valid JSON"),
        (lambda data: b"", "not valid JSON"),
        (lambda data: b"[]", "JSON object"),
        (lambda data: b"\xff" + data, "not valid JSON"),
        (lambda data: data.replace(b"0.25", b"NaN"), "NaN"),
        (lambda data: b"[" * 100 + data, "nested"),
        (edited(lambda held: held.update(schema=2)), "another version"),
        (edited(lambda held: held.pop("size")), "does not describe a shot"),
        (edited(lambda held: held.update(size=[1, 2, 3])), "does not describe a shot"),
        (edited(lambda held: held["shot"][0].update(camera=[1, 2])), "does not describe a shot"),
        (edited(lambda held: held["shot"][0].update(camera=[1e999] * 12)), "Infinity"),
        (edited(lambda held: held["shot"][0].update(anchors=3)), "does not describe a shot"),
        (edited(lambda held: held["shot"][0].update(poses={"x": [0] * 13})), "does not describe a shot"),
        (edited(lambda held: held["shot"][0].update(poses={"5": []})), "does not describe a shot"),
        (edited(lambda held: held["shot"][0].update(poses=[1])), "does not describe a shot"),
        (edited(lambda held: held["shot"][0].update(anchors=[99])), "does not describe a shot"),
        (edited(lambda held: held.update(shot=[])), "does not describe a shot"),
        (edited(lambda held: held.update(size=[0, -4])), "does not describe a shot"),
    ],
)
def test_what_is_no_shot_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], expected: str) -> None:
    path = tmp_path / "shot.json"
    record.write(path, example())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EngineError, match=expected) as caught:
        record.read(path)
    assert "pentimento shot" in caught.value.fix


def test_a_file_that_is_too_large_or_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shot.json"
    with pytest.raises(EngineError, match=r"shot\.json"):
        record.read(path)
    record.write(path, example())
    monkeypatch.setattr(record, "MOST_BYTES", path.stat().st_size - 1)
    with pytest.raises(EngineError, match="larger than"):
        record.read(path)


def test_a_number_that_is_none_is_never_written(tmp_path: Path) -> None:
    shot = example()
    shot.frame(3).camera.matrix[0, 0] = np.nan
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.write(tmp_path / "shot.json", shot)
    assert not (tmp_path / "shot.json").exists()


# ---------------------------------------------------------------- a world that is known


@pytest.fixture(scope="module")
def world() -> worlds.World:
    """A camera on its way around a room, a box that slides and turns, a ball that breathes"""
    return worlds.room(
        worlds.orbiting((144, 192)), (144, 192), slider=worlds.sliding(0.15, 0.08), blob=worlds.breathing()
    )


@pytest.fixture(scope="module")
def pattern(world: worlds.World, tmp_path_factory: pytest.TempPathFactory) -> str:
    return world.shot(tmp_path_factory.mktemp("shot"), range(1, 9))


@pytest.fixture(scope="module")
def shot(pattern: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shot, dict[str, Any]]:
    found, report, failures = looked(pattern, tmp_path_factory.mktemp("out") / "shot.json")
    assert not failures
    return found, report


def test_cameras_and_poses_are_those_of_the_world(world: worlds.World, shot: tuple[Shot, dict[str, Any]]) -> None:
    found, report = shot
    sound(found)
    slider, blob = world.forms[-2:]
    assert (found.frames, found.size) == ("shot_####.exr", (144, 192))
    assert found.deforming == {blob.id} and report["deforming"] == 1 and report["moving"] == 2
    for number, frame in found.by_number.items():
        np.testing.assert_allclose(frame.camera.matrix, world.camera(number).matrix, atol=1e-3)
        assert set(frame.poses) == {slider.id, blob.id}
        mine = world.seen(number).position[:, world.ids(number) == slider.id]
        start, now = (np.vstack([slider.at(at), [0, 0, 0, 1]]) for at in (1, number))
        true = (start @ np.linalg.inv(now))[:3]
        assert frame.poses[slider.id].rest == 0
        off = np.abs(apply(frame.poses[slider.id].matrix, mine) - apply(true, mine)).max()
        assert off < 0.02, f"{number}: {off} metres, a pixel is {np.median(world.surfaces(number).pixel_size):.4f}"


def test_what_it_says_is_what_is_written(shot: tuple[Shot, dict[str, Any]]) -> None:
    found, report = shot
    assert report["frames"] == 8 and report["failed"] == 0 and report["anchors"] == list(found.anchors)
    fresh = float(np.mean([frame.fresh for frame in found.by_number.values()]))
    assert report["fresh"] == pytest.approx(fresh, abs=2e-4)
    assert any(f"held by {len(found.anchors)} frames" in line for line in report["say"])
    assert fresh < 0.1, "eight frames of a slow shot have most in common"


def test_two_looks_are_one(pattern: str, shot: tuple[Shot, dict[str, Any]], tmp_path: Path) -> None:
    """Identical bytes, wherever the frames lie; no clock, no host, no folder"""
    moved = tmp_path / "elsewhere"
    shutil.copytree(Path(pattern).parent, moved)
    looked(pattern, tmp_path / "a.json")
    looked(str(moved / Path(pattern).name), tmp_path / "b.json", (8, 7, 6, 5, 4, 3, 2, 1, 1))
    first = (tmp_path / "a.json").read_text()
    assert (tmp_path / "b.json").read_text() == first
    for word in (str(tmp_path), str(Path(pattern).parent), socket.gethostname(), "/"):
        assert word not in first


def test_frames_that_are_missing_or_damaged(pattern: str, world: worlds.World, tmp_path: Path) -> None:
    """They are told and left out; what moves has another rest beyond a gap."""
    folder = tmp_path / "in"
    shutil.copytree(Path(pattern).parent, folder)
    (folder / "shot_0003.exr").write_bytes(b"")
    (folder / "shot_0005.exr").unlink()
    found, report, failures = looked(str(folder / "shot_####.exr"), tmp_path / "shot.json", tuple(range(1, 9)))
    assert [event.frame for event in failures] == [3, 5] and all(event.fix for event in failures)
    assert list(found.by_number) == [1, 2, 4, 6, 7, 8] and report["failed"] == 2
    slider = world.forms[-2].id
    assert [frame.poses[slider].rest for frame in found.by_number.values()] == [0, 0, 1, 2, 2, 2]
    sound(found)


def test_frames_of_another_size(pattern: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(Path(pattern).parent, folder)
    worlds.room().write(folder / "shot_0004.exr", 4)
    found, _, failures = looked(str(folder / "shot_####.exr"), tmp_path / "shot.json")
    assert [event.frame for event in failures] == [4] and "size" in failures[0].message
    assert 4 not in found.by_number


def test_what_hides_and_comes_back_has_another_rest(tmp_path: Path) -> None:
    """A box that slides behind the wall"""

    def at(frame: float) -> worlds.Matrix:
        return worlds.affine((-5.5 + 1.1 * frame, 9.5, 0.5), (0.6, 0.6, 0.6))

    hider = worlds.Form("Hider", "box", at)
    world = worlds.room(None, (144, 192), hider=hider)
    numbers = range(0, 11)
    counts = [int((world.ids(number) == hider.id).sum()) for number in numbers]
    hidden = [number for number in numbers if counts[number] == 0]
    assert hidden and counts[0] > 60 and counts[-1] > 60, "it goes in and comes out"
    found, _, _ = looked(world.shot(tmp_path, numbers), tmp_path / "shot.json")
    sound(found)
    rests = {number: frame.poses[hider.id].rest for number, frame in found.by_number.items() if hider.id in frame.poses}
    assert not set(rests) & set(hidden)
    before, behind = (
        {rest for number, rest in rests.items() if (number < hidden[0]) is early and counts[number] > 60}
        for early in (True, False)
    )
    assert before == {0} and behind and min(behind) > 0
    first, last = (world.surfaces(number) for number in (0, 10))
    poses = [found.frame(number).poses for number in (10, 0)]
    assert not places(last, first, *poses, found.deforming).found[last.objects == hider.id].any()


def test_a_still_camera_is_one_and_the_same_in_all_frames(tmp_path: Path) -> None:
    """Whatever moves before it, in files of half floats"""
    world = worlds.room(None, (144, 192), slider=worlds.sliding(0.3), blob=worlds.breathing())
    found, _, _ = looked(world.shot(tmp_path, range(4), type_=np.float16), tmp_path / "shot.json")
    assert len({frame.camera.matrix.tobytes() for frame in found.by_number.values()}) == 1
    slow = worlds.room(worlds.orbiting((144, 192), 0.001), (144, 192))
    found, _, _ = looked(slow.shot(tmp_path / "slow", range(4)), tmp_path / "slow.json")
    assert len({frame.camera.matrix.tobytes() for frame in found.by_number.values()}) == 4, "a tenth of a pixel a frame"


def test_a_still_camera_and_still_things_need_one_anchor(tmp_path: Path) -> None:
    found, report, _ = looked(worlds.room().shot(tmp_path, range(5)), tmp_path / "shot.json")
    assert found.anchors == (0,) and report["moving"] == 0 and report["fresh"] == 0
    assert all(frame.anchors == (0,) and not frame.poses for frame in found.by_number.values())


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        (("Depth", "Position", "UV", "CryptoObject00"), "no pass Vector"),
        (("Depth", "Position", "Vector", "CryptoObject00"), "no pass UV"),
        (("Depth", "Position", "Vector", "UV"), "neither Cryptomatte nor an object index"),
    ],
)
def test_passes_that_are_missed_are_told(tmp_path: Path, passes: tuple[str, ...], expected: str) -> None:
    world = worlds.room(None, (144, 192), blob=worlds.breathing())
    found, report, _ = looked(world.shot(tmp_path, range(3), passes=passes), tmp_path / "shot.json")
    assert any(expected in line for line in report["say"]), report["say"]
    sound(found)


def test_frames_without_position_are_one_error(tmp_path: Path) -> None:
    pattern = worlds.room().shot(tmp_path, range(2), passes=("Depth", "Vector"))
    with pytest.raises(EngineError, match="Position") as caught:
        list(scan(ShotRequest("j", pattern, str(tmp_path / "shot.json"))))
    assert "View Layer" in caught.value.fix and not (tmp_path / "shot.json").exists()


def test_what_cannot_begin(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no frame"):
        list(scan(ShotRequest("j", str(tmp_path / "shot_####.exr"), str(tmp_path / "shot.json"))))


def test_a_disk_that_refuses_is_told_first(tmp_path: Path, read_only_disk: Path) -> None:
    pattern = worlds.room().shot(tmp_path, range(2))
    job = scan(ShotRequest("j", pattern, str(read_only_disk / "shot.json")))
    with pytest.raises(EngineError, match="read-only"):
        next(job)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = worlds.room().shot(tmp_path, range(3))
    assert cli.main(["shot", pattern, "--frames", "0-1", "--out", str(tmp_path / "new" / "shot.json")]) == 0
    assert "2 frames, 0 moving objects" in capsys.readouterr().out
    assert list(record.read(tmp_path / "new" / "shot.json").by_number) == [0, 1]
    assert cli.main(["shot", str(tmp_path / "no_####.exr"), "--out", str(tmp_path / "x.json")]) == 1
    assert "no frame" in capsys.readouterr().err


# ---------------------------------------------------------------- real shots


@pytest.fixture(scope="module", params=["orbit", "walk"])
def real(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Shot]:
    """Six frames each"""
    folder = shared / "sequences" / request.param
    out = tmp_path_factory.mktemp("real") / "shot.json"
    shot, report, failures = looked(str(folder / f"{request.param}_####.exr"), out, tuple(range(5, 11)))
    assert not failures and report["frames"] == 6
    return request.param, folder, shot


def test_a_real_shot(real: tuple[str, Path, Shot]) -> None:
    name, folder, shot = real
    sound(shot)
    assert shot.size == (216, 384)
    moving = {thing for frame in shot.by_number.values() for thing in frame.poses}
    assert len(moving) == 5 if name == "walk" else drift(folder, shot) < 1
    assert len(shot.deforming) == 1 if name == "walk" else len(shot.deforming) <= 1  # a small thing, stored with loss
    assert shot.anchors[0] == 5
    assert len({frame.camera.matrix.tobytes() for frame in shot.by_number.values()}) == (1 if name == "walk" else 6)
    frames = [surfaces_in(folder, name, number) for number in (5, 10)]
    found = places(*frames, shot.frame(5).poses, shot.frame(10).poses, shot.deforming)
    assert found.found.mean() > 0.75, f"{found.found.mean():.3f}"


def drift(folder: Path, shot: Shot) -> float:
    """Pixels by which things that stand still seem to have moved after five frames: their heights were stored with
    loss, of up to .06 m"""
    seen = surfaces_in(folder, "orbit", 10)
    went = [0.0]
    for thing, pose in shot.frame(10).poses.items():
        mine = seen.objects == thing
        points = seen.position[:, mine].astype(np.float64)
        metres = np.sqrt(np.square(apply(pose.matrix, points) - points).sum(axis=0))
        went.append(float((metres / seen.pixel_size[mine]).mean()))
    return max(went)


def surfaces_in(folder: Path, name: str, number: int) -> Surfaces:
    return surfaces(read_passes(folder / f"{name}_{number:04d}.exr"))


def test_poses_of_a_real_shot_chain(real: tuple[str, Path, Shot]) -> None:
    """A point of a moving object, put to rest and out again five frames later, lies on that object there: what it is
    within pixels is what places go by."""
    name, folder, shot = real
    for thing, pose in shot.frame(6).poses.items():
        later = shot.frame(7).poses.get(thing)
        if later is None or later.rest != pose.rest or thing in shot.deforming:
            continue
        now, then = (surfaces_in(folder, name, number) for number in (7, 6))
        mine = now.objects == thing
        back = apply(after(inverse(pose.matrix), later.matrix), now.position[:, mine].astype(np.float64))
        rows, columns = then.camera.project(back)
        row = np.clip(np.rint(rows), 0, then.size[0] - 1).astype(int)
        column = np.clip(np.rint(columns), 0, then.size[1] - 1).astype(int)
        assert (then.objects[row, column] == thing).mean() > 0.85


def test_frames_of_nothing_but_sky_are_painted_alone(tmp_path: Path) -> None:
    """The camera looks up in one frame: it is no failure, and says so."""
    world = worlds.room(lambda frame: worlds.looking((0, -6, 2.4), (0, 2, 200.0 if frame == 2 else 0.9), (72, 96)))
    events = list(scan(ShotRequest("job", world.shot(tmp_path, (1, 2, 3)), str(tmp_path / "shot.json"))))
    assert not [event for event in events if isinstance(event, FrameFailed)]
    assert events[-1].report["empty"] == [2] and "nothing but sky" in " ".join(events[-1].report["say"])
    shot = record.read(tmp_path / "shot.json")
    assert shot.empty == {2} and sorted(shot.by_number) == [1, 3]
