"""The flicker meter: results whose flicker is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
import worlds

from engine import cli
from engine.animate import animate
from engine.errors import EngineError
from engine.exr import ExrLayer, read_exr, write_exr
from engine.files import open_picture
from engine.picture import decode
from engine.protocol import (
    AnimateRequest,
    Done,
    FlickerRequest,
    FrameDone,
    FrameFailed,
    ShotRequest,
    StyleShare,
    StylizeSettings,
    from_line,
    to_line,
)
from engine.shot.flicker import LAYER, flicker
from engine.shot.scan import scan

SIZE = (72, 96)


def result(world: worlds.World, path: Path, frame: int, painted: np.ndarray, **options: Any) -> None:
    """As animate writes one: the render with what was painted, (H, W, 3) scene-linear, beside it"""
    world.write(path, frame, **options)
    layers = list(read_exr(path).layers.values())
    write_exr(path, [*layers, ExrLayer.of("ViewLayer.Stylized", painted.astype(np.float32))])


def results(world: worlds.World, folder: Path, numbers: range, painted: Any, **options: Any) -> str:
    for number in numbers:
        result(world, folder / f"painted_{number:04d}.exr", number, painted(number), **options)
    return str(folder / "painted_####.exr")


def measured(pattern: str, folder: str = "") -> tuple[dict[str, Any], list[Any]]:
    events = list(flicker(FlickerRequest("j", pattern, folder)))
    assert [from_line(to_line(event)) for event in events] == events
    assert isinstance(events[-1], Done)
    return events[-1].report, events


def pattern_on_the_screen(_: int) -> np.ndarray:
    return np.random.default_rng(0).random((*SIZE, 3)) * 0.5


@pytest.fixture(scope="module")
def moving() -> worlds.World:
    return worlds.room(worlds.orbiting())


def test_frames_that_stand_still_do_not_flicker(tmp_path: Path) -> None:
    report, _ = measured(results(worlds.room(), tmp_path, range(3), pattern_on_the_screen))
    assert report["result"] == 0 and report["source"] == 0
    assert {tuple(one[:2]) for one in report["frames"].values()} == {(0, 0)}
    assert all(0.5 < one[2] < 1 for one in report["frames"].values()), "the sky is not measured"


def test_what_sticks_and_what_does_not(moving: worlds.World, tmp_path: Path) -> None:
    """Strokes on the surfaces, and a pattern that stands still on the screen"""
    stuck, _ = measured(results(moving, tmp_path / "a", range(4), moving.colours))
    frozen, _ = measured(results(moving, tmp_path / "b", range(4), pattern_on_the_screen))
    assert stuck["result"] < 0.02 and stuck["result"] == pytest.approx(stuck["source"], abs=1e-4)
    assert frozen["result"] > 15 * stuck["result"] and frozen["source"] == stuck["source"]


def test_every_change_of_the_whole_counts(tmp_path: Path) -> None:
    """Display values that change by .1 in each channel: a length of .1 times the root of three"""

    def painted(number: int) -> np.ndarray:
        return np.broadcast_to(decode(np.full((1, 1, 3), 0.3 + 0.1 * (number % 2), np.float32)), (*SIZE, 3))

    report, _ = measured(results(worlds.room(), tmp_path, range(4), painted))
    assert report["result"] == pytest.approx(0.1 * 3**0.5, abs=1e-4) and report["source"] == 0


def test_layers_show_what_the_numbers_say(moving: worlds.World, tmp_path: Path) -> None:
    pattern = results(moving, tmp_path, range(1, 4), pattern_on_the_screen)
    report, events = measured(pattern, str(tmp_path / "new" / "layers"))
    paths = {event.frame: event.path for event in events if isinstance(event, FrameDone)}
    assert list(paths) == [2, 3] and list(report["frames"]) == ["2", "3"]
    for number, path in paths.items():
        layer = read_exr(path).layers[LAYER]
        assert layer.channels == ("R", "G", "B"), "words would lose their order in Blender"
        error, source, more = (layer.planes[channel] for channel in "RGB")
        told = report["frames"][str(number)]
        visible = error > 0
        assert visible.mean() == pytest.approx(told[2], abs=1e-3)
        assert error.sum() / visible.sum() == pytest.approx(told[0], abs=1e-4)
        assert source.sum() / visible.sum() == pytest.approx(told[1], abs=1e-4)
        np.testing.assert_allclose(more, np.maximum(error - source, 0))
        assert open_picture(path).channels == 3
    assert "0002" in Path(paths[2]).name
    mean = np.mean([one[0] for one in report["frames"].values()])
    assert report["result"] == pytest.approx(mean, abs=1e-5)
    worst = max(report["frames"], key=lambda number: report["frames"][number][0] - report["frames"][number][1])
    assert f"frame {worst}" in report["say"][1]


def test_broken_pixels_are_no_numbers(moving: worlds.World, tmp_path: Path) -> None:
    def painted(number: int) -> np.ndarray:
        values = moving.colours(number)
        values[40:50, 10:20], values[50:52] = np.nan, np.inf
        return values

    report, _ = measured(results(moving, tmp_path, range(3), painted))
    assert np.isfinite([report["result"], report["source"]]).all()


def test_gaps_and_frames_that_fail(moving: worlds.World, tmp_path: Path) -> None:
    pattern = results(moving, tmp_path, range(1, 9), moving.colours)
    (tmp_path / "painted_0003.exr").unlink()
    (tmp_path / "painted_0006.exr").write_bytes(b"")
    moving.write(tmp_path / "painted_0008.exr", 8)
    report, events = measured(pattern)
    assert list(report["frames"]) == ["2", "5"], "pairs that follow each other"
    told = {event.frame: event for event in events if isinstance(event, FrameFailed)}
    assert set(told) == {6, 8} and "no result" in told[8].message and told[8].fix


def test_nothing_to_measure(moving: worlds.World, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not two frames"):
        list(flicker(FlickerRequest("j", str(tmp_path / "painted_####.exr"))))
    pattern = results(moving, tmp_path, range(1, 6, 2), moving.colours)
    report, _ = measured(pattern)
    assert "nothing was measured" in report["say"][0]


def test_frames_without_vector_are_told(moving: worlds.World, tmp_path: Path) -> None:
    pattern = results(moving, tmp_path, range(2), moving.colours, passes=("Depth", "Position"))
    _, events = measured(pattern)
    assert all("Vector" in event.message for event in events if isinstance(event, FrameFailed))
    assert sum(isinstance(event, FrameFailed) for event in events) == 2


def test_the_command_line(moving: worlds.World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = results(moving, tmp_path, range(2), moving.colours)
    assert cli.main(["flicker", pattern, "--out", str(tmp_path / "layers")]) == 0
    assert "Flicker 0.0" in capsys.readouterr().out
    assert len(list((tmp_path / "layers").glob("*.exr"))) == 1


def test_frames_with_a_compositors_picture_are_held_and_measured(tmp_path: Path) -> None:
    """Blender stores it as a view layer of its own, with Combined alone, and that is painted; the passes lie beside."""
    pattern = worlds.room(worlds.orbiting()).shot(tmp_path / "in", (1, 2))
    for path in (tmp_path / "in").iterdir():
        layers = list(read_exr(path).layers.values())
        colours = next(layer for layer in layers if layer.name == "ViewLayer.Combined")
        write_exr(path, [*layers, ExrLayer("Composite.Combined", colours.planes)])
    list(scan(ShotRequest("job", pattern, str(tmp_path / "shot.json"))))
    settings = StylizeSettings((StyleShare(str(tiny_styles.brush(tmp_path / "brush"))),), device="cpu")
    request = AnimateRequest("job", pattern, settings, str(tmp_path / "out"), shot=str(tmp_path / "shot.json"))
    events = list(animate(request))
    made = [event.path for event in events if isinstance(event, FrameDone)]
    assert len(made) == 2, [event for event in events if isinstance(event, FrameFailed)]
    (done,) = [one for one in flicker(FlickerRequest("job", made[0].replace("0001", "####"))) if isinstance(one, Done)]
    assert done.report["source"] > 0 and done.report["result"] > 0
