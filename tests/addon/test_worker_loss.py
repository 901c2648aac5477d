"""A worker that dies, falls silent or talks nonsense: the artist hears of it, and the next job runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest
from blender import FAKE_WORKER, bpy, new_image, pixels_of, pump


@pytest.fixture
def fake(addon: Any, styles: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a misbehaving worker in the real one's place, and shortens the patience."""

    def use(mode: str, ready: float = 5.0) -> None:
        addon.jobs.PAINTING.slot.stop()
        monkeypatch.setattr(addon.engine_client, "command", lambda _python: [sys.executable, str(FAKE_WORKER), mode])
        limits = addon.engine_client.Limits(ready=ready, silence=1.0, cancel=1.0)
        monkeypatch.setattr(addon.jobs, "LIMITS", limits)

    return use


def start_stylize(addon: Any) -> None:
    """As the button does: the job runs on, the operator has returned."""
    addon.jobs.start(addon.operators.painting.image_job(bpy.context, "Stone", blocking=False))


def failure_of(addon: Any, seconds: float) -> Any:
    pump(addon.jobs, lambda: addon.jobs.current() is None, seconds)
    return addon.jobs.last_report()


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("dies", "The engine stopped."),
        ("closes", "The engine stopped"),
        ("garbage", "could not be read"),
        ("endless", "could not be read"),
    ],
)
def test_a_worker_that_breaks_is_reported_at_once(addon: Any, fake: Any, mode: str, said: str) -> None:
    new_image()
    fake(mode)
    start_stylize(addon)
    report = failure_of(addon, 4.0)
    assert report.level == "ERROR"
    assert said in report.message
    assert report.fix
    assert not addon.jobs.PAINTING.slot.worker


def test_the_last_words_of_a_dead_worker_are_in_the_report(addon: Any, fake: Any) -> None:
    new_image()
    fake("dies")
    start_stylize(addon)
    report = failure_of(addon, 4.0)
    assert "libstyle.so was not found" in report.details and "exit code 1" in report.details
    assert "exit code" not in report.message + report.fix


@pytest.mark.parametrize(("mode", "ready"), [("silent", 5.0), ("mute", 1.0)])
def test_a_silent_worker_is_ended(addon: Any, fake: Any, mode: str, ready: float) -> None:
    new_image()
    fake(mode, ready)
    start_stylize(addon)
    pump(addon.jobs, lambda: addon.jobs.PAINTING.slot.worker is not None, 5)
    pid = addon.jobs.PAINTING.slot.worker.pid
    report = failure_of(addon, 4.0)
    assert report.level == "ERROR"
    assert "said nothing for 1 s" in report.message
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_cancel_stops_a_job(addon: Any, fake: Any) -> None:
    new_image()
    fake("slow")
    start_stylize(addon)
    pump(addon.jobs, lambda: addon.jobs.current().stage == "Painting", 5)
    bpy.ops.pentimento.cancel()
    assert failure_of(addon, 2.0).message == "Stylize Stone was cancelled."
    assert addon.jobs.PAINTING.slot.worker, "a worker that stopped when asked is kept for the next job"


def test_a_worker_that_cannot_be_cancelled_is_ended(addon: Any, fake: Any) -> None:
    new_image()
    fake("deaf")
    start_stylize(addon)
    pump(addon.jobs, lambda: addon.jobs.current().stage == "Painting", 5)
    addon.jobs.cancel()
    report = failure_of(addon, 3.0)
    assert report.message == "Stylize Stone was cancelled."
    assert not addon.jobs.PAINTING.slot.worker


def test_a_blocking_call_ends_with_an_error_too(addon: Any, fake: Any) -> None:
    new_image()
    fake("dies")
    with pytest.raises(RuntimeError, match="The engine stopped"):
        bpy.ops.pentimento.stylize_image(image="Stone")
    assert set(bpy.data.images.keys()) == {"Stone"}


def test_a_second_job_is_refused_while_one_runs(addon: Any, fake: Any) -> None:
    new_image()
    fake("slow")
    start_stylize(addon)
    with pytest.raises(addon.engine_client.EngineError, match="still running"):
        start_stylize(addon)


def test_opening_another_file_ends_the_job(addon: Any, fake: Any) -> None:
    new_image()
    fake("slow")
    start_stylize(addon)
    bpy.ops.wm.read_homefile(use_empty=True)
    assert addon.jobs.current() is None
    assert "another file was opened" in addon.jobs.last_report().message
    assert addon.jobs._file_closes not in bpy.app.handlers.load_pre


def test_a_tick_is_short_while_the_worker_computes(addon: Any, fake: Any) -> None:
    import time

    new_image()
    fake("slow")
    start_stylize(addon)
    pump(addon.jobs, lambda: addon.jobs.current().stage == "Painting", 5)
    spent = []
    for _ in range(50):
        start = time.perf_counter()
        addon.jobs._tick()
        spent.append(time.perf_counter() - start)
    assert sorted(spent)[45] < 0.01


def test_killed_from_outside_then_the_next_job_runs(addon: Any, styles: Any) -> None:
    """The real worker, in the middle of real work."""
    styles.style, styles.overlays = "Brush", {"Removal"}
    stone = new_image(size=(2048, 2048))
    before = pixels_of(stone).copy()
    start_stylize(addon)
    pump(addon.jobs, lambda: addon.jobs.current().stage.startswith("Explaining"), 60)
    os.kill(addon.jobs.PAINTING.slot.worker.pid, signal.SIGKILL)
    seconds = pump(addon.jobs, lambda: addon.jobs.current() is None, 2.0)
    report = addon.jobs.last_report()
    print(f"reported after {seconds:.2f} s: {report.message} {report.fix}")
    assert report.level == "ERROR"
    assert "SIGKILL" in report.details and "SIGKILL" not in report.message
    assert "memory" in report.fix
    assert set(bpy.data.images.keys()) == {"Stone"}
    assert (pixels_of(stone) == before).all()
    new_image("Small")
    styles.overlays = set()
    assert bpy.ops.pentimento.stylize_image(image="Small") == {"FINISHED"}
    assert "Small (Brush)" in bpy.data.images
