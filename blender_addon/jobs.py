"""The one job at a time: started, pumped, cancelled, reported.

A job is a chain of small steps. `_step` makes one: first the job's own generator (what comes before the request, such
as a render; what a result needs, such as new images), then the worker. Two callers step: a timer, which stops after a
few milliseconds so that Blender stays at hand, and `run`, which blocks until the end (scripts, background, tests).
The timer exists only while a job runs.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr"

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Literal

import bpy

from . import engine_client
from .engine_client import EngineError, Interpreter, Limits, protocol

BUDGET = 0.005
"""Seconds of one timer call: half a frame at 100 Hz, so that nobody feels it."""
INTERVAL = 0.05
"""Seconds between two timer calls."""
LIMITS = Limits()
SHOWN_IN = {"IMAGE_EDITOR": "UI", "VIEW_3D": "UI", "PROPERTIES": "WINDOW", "PREFERENCES": "WINDOW"}
"""The editors that show a job, and in which of their regions: drawing a whole viewport for a progress bar is dear."""

Requests = Generator[protocol.Request | None, None, None]
"""What a job asks of the worker: None while it waits for Blender (a render), then the one request.
It is closed when the job has ended, so what it holds open (a folder for pixels) lives exactly as long."""
Work = Generator[None, None, str]
"""What a result needs, cut into pieces: Blender has its turn at every yield. Returns what the artist should know."""


@dataclass(frozen=True)
class Report:
    """How a job ended."""

    level: Literal["INFO", "WARNING", "ERROR"]
    message: str
    fix: str = ""
    details: str = ""
    """For a bug report; empty when the artist can mend it alone."""

    @property
    def text(self) -> str:
        return "\n".join(part for part in (self.message, self.fix, self.details) if part)


@dataclass(eq=False)
class Job:
    """What runs now."""

    title: str
    requests: Requests
    on_event: Callable[[protocol.Event], Work | None]
    """Takes what the worker delivers into Blender's data."""
    interpreter: Interpreter
    on_end: Callable[[Report], None] | None = None
    limits: Limits | None = None
    """Other patience than usual."""
    request: protocol.Request | None = None
    work: Work | None = None
    fraction: float = 0.0
    stage: str = "Starting"
    cancelling: bool = False
    delivered: bool = False
    notes: list[str] = field(default_factory=list)
    """What the artist should read when the job is over."""


_job: Job | None = None
_report: Report | None = None


def current() -> Job | None:
    return _job


def last_report() -> Report | None:
    return _report


def start(job: Job) -> None:
    """Starts the job and returns; a timer carries it on. Raises EngineError when it cannot even begin.

    The first step is made here: checks that cost nothing answer at once, and a render needs the operator's context.
    """
    _begin(job)
    _step()
    if _report is not None:
        _raise(_report)
    bpy.app.handlers.load_pre.append(_file_closes)
    if not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=0.0, persistent=True)


def run(job: Job) -> Report:
    """Starts the job and blocks until it has ended. Raises EngineError when it failed."""
    _begin(job)
    while _job is job:
        _step(wait=0.05)
    assert _report is not None
    _raise(_report)
    return _report


def cancel() -> None:
    """Asks the job to stop; it ends as cancelled within `LIMITS.cancel` seconds."""
    if _job and not _job.cancelling:
        _job.cancelling = True
        _job.stage = "Cancelling"
        if _job.request is not None:
            engine_client.cancel(_job.request.job)


def stop() -> None:
    """Ends job, timer and worker: the add-on goes."""
    if _job:
        _end(Report("WARNING", f"{_job.title} was ended: the add-on was disabled."))
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    engine_client.stop()


# ---------------------------------------------------------------- one step


def _begin(job: Job) -> None:
    global _job, _report
    if _job is not None:
        raise EngineError(f"{_job.title} is still running.", "Wait for it or press Cancel, then start again.")
    _job, _report = job, None


def _tick() -> float | None:
    """The timer: steps until its time is used up or nothing is left to do at the moment."""
    end = time.perf_counter() + BUDGET
    shown = (_job.fraction, _job.stage) if _job else None
    while _job is not None and _step() and time.perf_counter() < end:
        pass
    if _job is None or shown != (_job.fraction, _job.stage):
        redraw()
    return INTERVAL if _job is not None else None


def _step(wait: float = 0.0) -> bool:
    """One small step of the job. False when it is Blender's turn."""
    assert _job is not None
    again = understood = False
    try:
        again = _advance(_job, wait)
        understood = True
    except EngineError as error:
        understood = True
        _break_off(Report("ERROR", error.message, error.fix))
    except KeyboardInterrupt:
        understood = True
        _break_off(Report("WARNING", f"{_job.title} was interrupted."))
        raise
    finally:
        if not understood:
            # A mistake of ours surfaces in the console as any other does; but nobody waits for this job any more.
            _break_off(_defect())
    return again


def _advance(job: Job, wait: float) -> bool:
    if job.work is not None:
        _go_on(job, wait)
        return False
    if job.request is None:
        _ask(job, wait)
        return False
    event = engine_client.receive(wait)
    if event is not None and getattr(event, "job", job.request.job) == job.request.job:
        _hear(job, event)
    return event is not None


def _go_on(job: Job, wait: float) -> None:
    assert job.work is not None
    try:
        next(job.work)
        time.sleep(min(wait, 0.005))
    except StopIteration as end:
        job.work = None
        job.notes += [end.value] if end.value else []


def _ask(job: Job, wait: float) -> None:
    if job.cancelling:
        _end(Report("WARNING", f"{job.title} was cancelled."))
        return
    job.request = next(job.requests)
    if job.request is None:
        time.sleep(wait)
    else:
        engine_client.submit(job.request, job.interpreter, job.limits or LIMITS)


def _hear(job: Job, event: protocol.Event) -> None:
    if isinstance(event, protocol.Progress):
        job.fraction = event.fraction
        job.stage = job.stage if job.cancelling else event.stage
    elif isinstance(event, protocol.SourceFailed):
        job.notes.append(f"{event.message} {event.fix}")
    elif isinstance(event, protocol.LAST_WORDS):
        _end(_ending(job, event))
    else:
        job.work = job.on_event(event)
        job.delivered = job.delivered or not isinstance(event, protocol.Ready)


def _ending(job: Job, event: protocol.Event) -> Report:
    if isinstance(event, protocol.Cancelled) or (job.cancelling and not job.delivered):
        return Report("WARNING", f"{job.title} was cancelled.")
    if isinstance(event, protocol.Failed):
        return Report("ERROR", event.message, event.fix, event.report)
    if job.notes and not job.delivered:
        return Report("ERROR", f"{job.title} failed.", "\n".join(job.notes))
    return Report("INFO", f"{job.title}: done.", "\n".join(job.notes))


def _defect() -> Report:
    fix = "Your picture is as it was. Copy the report and send it to us."
    return Report("ERROR", "Pentimento made a mistake.", fix, traceback.format_exc())


def _break_off(report: Report) -> None:
    """Ends the job from our side. A worker that is still at it is ended too: the next job starts a new one."""
    if _job is not None and _job.request is not None:
        engine_client.stop()
    _end(report)


def _end(report: Report) -> None:
    global _job, _report
    job, _job, _report = _job, None, report
    if _file_closes in bpy.app.handlers.load_pre:
        bpy.app.handlers.load_pre.remove(_file_closes)
    if job is not None:
        for generator in (job.work, job.requests):
            if generator is not None:
                generator.close()
        if job.on_end:
            job.on_end(report)


def _raise(report: Report) -> None:
    if report.level == "ERROR":
        raise EngineError(report.message, report.fix)


@bpy.app.handlers.persistent
def _file_closes(*_: object) -> None:
    """Another file is opened: results have no place any more."""
    if _job:
        _break_off(Report("WARNING", f"{_job.title} was ended: another file was opened."))


def redraw() -> None:
    """Draws the panels again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if region.type == SHOWN_IN.get(area.type):
                    region.tag_redraw()
