"""Jobs: started, pumped, cancelled, reported. One at a time in each lane, so that neither a training nor a set-up
stops painting.

A job is a chain of small steps. `_step` makes one: the job's own generator (what comes before a request, such as a
render; what a result needs, such as new images), or the worker. Two callers step: a timer, which stops after a
few milliseconds so that Blender stays at hand, and `run`, which blocks until the end (scripts, background, tests).
The timer exists only while a job runs.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr"

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import bpy

from . import writing
from .engine_client import EngineError, Interpreter, Limits, Slot, durations, protocol

BUDGET = 0.005
"""Seconds of one timer call: half a frame at 100 Hz, so that nobody feels it."""
INTERVAL = 0.02
"""Seconds between two timer calls: what is ready waits half of it, and a texture passes through five hands."""
PARTING = 5.0
"""Seconds that closing Blender may take longer. A training hears of a wish to stop once a second, then it writes."""
LIMITS = Limits()
SHOWN_IN = {"IMAGE_EDITOR": "UI", "VIEW_3D": "UI", "PROPERTIES": "WINDOW", "PREFERENCES": "WINDOW"}
"""The editors that show a job, and in which of their regions: drawing a whole viewport for a progress bar is dear."""


@dataclass(frozen=True)
class Part:
    """What comes next is one of several things, as "Stone 2 of 7"."""

    number: int
    """From 0"""
    count: int
    name: str


@dataclass(frozen=True)
class Missed:
    """There is no result of one of several things; the others go on."""

    number: int
    said: str


Said = protocol.Progress | protocol.FrameFailed | Part | Missed
Requests = Generator[protocol.Request | Said | None, protocol.Done | protocol.Failed | None, Any]
"""What a job asks of the worker: None while it waits for Blender (a render), or what is to be said of that; then a
request. Each request gives the Done it was answered with, or the Failed of a job that goes on; with most jobs there is
one. Returns what the artist should know, or nothing. It is closed when the job has ended, so what it holds open (a
folder for pixels) lives as long."""
Beside = Generator[protocol.Progress | protocol.FrameFailed | None, None, None]
"""What Blender does while the worker works, such as rendering the next frame; it says how far it is"""
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
    partly: bool = False
    """Some frames failed, the others are in place"""
    device: str = ""
    """What computed: cpu | cuda; empty where nothing did"""

    @property
    def has_result(self) -> bool:
        return self.level == "INFO" or self.partly

    @property
    def text(self) -> str:
        return "\n".join(part for part in (self.message, self.fix, self.details) if part)


@dataclass(eq=False)
class Lane:
    """One job at a time, and the worker that does it."""

    slot: Slot = field(default_factory=Slot)
    job: Job | None = None
    """What runs now"""
    report: Report | None = None
    """How the last job ended"""


PAINTING, TRAINING, SETUP, READING = Lane(), Lane(), Lane(), Lane()
LANES = (PAINTING, TRAINING, SETUP, READING)
"""READING: what takes Blender a moment without the engine, as the picture of a layer that is to be shown"""


@dataclass(eq=False)
class Job:
    """What is to be done."""

    title: str
    requests: Requests
    on_event: Callable[[protocol.Event], Work | None]
    """Takes what the worker delivers into Blender's data."""
    interpreter: Interpreter
    on_end: Callable[[Report], None] | None = None
    limits: Limits | None = None
    """Other patience than usual."""
    lane: Lane = PAINTING
    stopped: str = "was cancelled"
    """What Cancel does to it, as the report says it."""
    loses_nothing: bool = False
    """What is finished has its place on disk: nothing is amiss when the worker has to be ended after Cancel."""
    outlives_file: bool = False
    """What it makes has its place on disk: it goes on when another file is opened."""
    goes_on: bool = False
    """A request that failed is its generator's to tell: others follow"""
    thing: str = "frame"
    """What its results are of, one by one"""
    part: Part | None = None
    """Which of them is at work"""
    beside: Beside | None = None
    request: protocol.Request | None = None
    answer: protocol.Done | protocol.Failed | None = None
    """To the request before; what comes next has yet to be asked"""
    asked: float = 0.0
    """When the worker was asked, on the clock of time.monotonic"""
    work: Work | None = None
    fraction: float = 0.0
    stage: str = "Starting"
    cancelling: bool = False
    delivered: bool = False
    device: str = ""
    """What computed, as the worker's last report says"""
    notes: list[str] = field(default_factory=list)
    """What the artist should read when the job is over."""
    failed: dict[int, str] = field(default_factory=dict)
    """By number: why there is no result of it"""


def current(lane: Lane = PAINTING) -> Job | None:
    return lane.job


def last_report(lane: Lane = PAINTING) -> Report | None:
    return lane.report


def forget_report(lane: Lane = PAINTING) -> None:
    """Nothing is to be said of how the last job ended."""
    lane.report = None


def start(job: Job) -> None:
    """Starts the job and returns; a timer carries it on. Raises EngineError when it cannot even begin.

    The first step is made here: checks that cost nothing answer at once, and a render needs the operator's context.
    """
    _begin(job)
    _step(job.lane)
    if job.lane.report is not None:
        _raise(job.lane.report)
    if _file_closes not in bpy.app.handlers.load_pre:
        bpy.app.handlers.load_pre.append(_file_closes)
    if not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=0.0, persistent=True)


def run(job: Job) -> Report:
    """Starts the job and blocks until it has ended. Raises EngineError when it failed."""
    _begin(job)
    while job.lane.job is job:
        _step(job.lane, wait=0.05)
    assert job.lane.report is not None
    _raise(job.lane.report)
    return job.lane.report


def finish(work: Work) -> str:
    """All of a work at once. Returns what the artist should know."""
    try:
        while True:
            next(work)
            time.sleep(0.001)
    except StopIteration as end:
        return str(end.value or "")


def drop(lane: Lane) -> None:
    """Ends what the lane does: something else is wanted now."""
    if lane.job is not None:
        _break_off(lane, Report("WARNING", f"{lane.job.title} was ended: something else was wanted."))


def cancel(lane: Lane = PAINTING) -> None:
    """Asks the job to stop; it ends as cancelled within its `limits.cancel` seconds."""
    job = lane.job
    if job and not job.cancelling:
        job.cancelling = True
        job.stage = "Cancelling"
        if job.request is not None:
            lane.slot.cancel(job.request.job)


def release() -> None:
    """Ends workers that have nothing to do: Blender renders, and needs the memory. A job that renders and paints in
    turns keeps its own."""
    for lane in LANES:
        if lane.job is None:
            lane.slot.release()


def refused(error: EngineError, lane: Lane = PAINTING) -> None:
    """What could not even begin, where no operator is there to say so."""
    if lane.job is None:
        lane.report = Report("ERROR", error.message, error.fix)


def stop() -> None:
    """Ends jobs, timer and workers: the add-on goes."""
    _part()
    for lane in LANES:
        if lane.job:
            _end(lane, Report("WARNING", f"{lane.job.title} was ended: the add-on was disabled."))
        lane.slot.stop()
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)


def _part() -> None:
    """Jobs that can go on another day get a moment to keep where they are: Blender may be closing."""
    lasting = [lane for lane in LANES if lane.job and lane.job.outlives_file]
    end = time.monotonic() + PARTING
    for lane in lasting:
        cancel(lane)
    for lane in lasting:
        while lane.job is not None and time.monotonic() < end:
            _step(lane, wait=0.05)


# ---------------------------------------------------------------- one step


def _begin(job: Job) -> None:
    lane = job.lane
    if lane.job is not None:
        raise EngineError(f"{lane.job.title} is still running.", "Wait for it or press Cancel, then start again.")
    lane.job, lane.report = job, None


def _tick() -> float | None:
    """The timer: steps until its time is used up or nothing is left to do at the moment."""
    before = _shown()
    writing.allowed(_steps)
    if before != _shown():
        redraw()
    return INTERVAL if any(lane.job for lane in LANES) else None


def _steps() -> None:
    end = time.perf_counter() + BUDGET
    for lane in LANES:
        while lane.job is not None and _step(lane) and time.perf_counter() < end:
            pass


def _shown() -> list[tuple[float, str] | None]:
    """What panels show of the jobs."""
    return [(lane.job.fraction, lane.job.stage) if lane.job else None for lane in LANES]


def _step(lane: Lane, wait: float = 0.0) -> bool:
    """One small step of the lane's job. False when it is Blender's turn."""
    assert lane.job is not None
    again = understood = False
    try:
        again = _advance(lane.job, wait)
        understood = True
    except EngineError as error:
        understood = True
        _break_off(lane, Report("ERROR", error.message, "\n".join([error.fix, *lane.job.notes])))
    except KeyboardInterrupt:
        understood = True
        _break_off(lane, Report("WARNING", f"{lane.job.title} was interrupted."))
        raise
    finally:
        if not understood:
            # A mistake of ours surfaces in the console as any other does; but nobody waits for this job any more.
            _break_off(lane, _defect())
    return again


def _advance(job: Job, wait: float) -> bool:
    if job.work is not None:
        _go_on(job, wait)
        return False
    if job.request is None:
        _ask(job, wait)
        return False
    event = job.lane.slot.receive(0.0 if job.beside else wait)
    if event is not None and getattr(event, "job", job.request.job) == job.request.job:
        _hear(job, event)
    elif event is None:
        _go_on_beside(job)
    return event is not None


def _go_on_beside(job: Job) -> None:
    """One step of what Blender does meanwhile; none after Cancel, so that no further frame is begun."""
    if job.beside is None or job.cancelling:
        return
    try:
        said = next(job.beside)
    except StopIteration:
        job.beside = None
    else:
        _say(job, said)


def _go_on(job: Job, wait: float) -> None:
    assert job.work is not None
    try:
        next(job.work)
        time.sleep(min(wait, 0.005))
    except StopIteration as end:
        job.work = None
        job.notes += [end.value] if end.value else []


def _ask(job: Job, wait: float) -> None:
    """What is asked next, if anything. A wish to stop that came with the last answer keeps what is there."""
    answer, job.answer = job.answer, None
    if not (job.cancelling and answer is None):
        try:
            asked = job.requests.send(answer)
        except StopIteration as end:
            job.notes += [end.value] if end.value else []
            _end(job.lane, _ending(job, None if job.goes_on else answer))
            return
    if job.cancelling:
        _end(job.lane, _stopped(job))
    elif asked is None or isinstance(asked, Said):
        _say(job, asked)
        _go_on_beside(job)
        time.sleep(wait)
    else:
        job.request, job.asked = asked, time.monotonic()
        job.lane.slot.submit(job.request, job.interpreter, job.limits or LIMITS)


def _say(job: Job, said: Said | None) -> None:
    """What a job's own generators tell."""
    if isinstance(said, Missed):
        job.failed[said.number] = said.said
    elif isinstance(said, Part):
        job.part = said
        _say(job, protocol.Progress("", 0.0, "Reading"))
    elif isinstance(said, protocol.FrameFailed):
        # What a later step says of a frame that failed already is a consequence.
        job.failed.setdefault(said.frame, f"Frame {said.frame}: {said.message} {said.fix}")
    elif said is not None:
        fraction, stage = said.fraction, said.stage
        if part := job.part:
            fraction = (part.number + fraction) / part.count
            stage = f"{part.name} {part.number + 1} of {part.count} ({stage})"
        job.fraction, job.stage = fraction, job.stage if job.cancelling else stage


def _hear(job: Job, event: protocol.Event) -> None:
    if isinstance(event, protocol.Progress):
        if job.beside is None:  # which says how far the whole is; the worker has only what was ready when it was asked
            _say(job, event)
    elif isinstance(event, protocol.FrameFailed):
        _say(job, event)
    elif isinstance(event, protocol.TrainStep):
        job.on_event(event)
        _hear_step(job, event)
    elif isinstance(event, protocol.SourceFailed):
        job.notes.append(f"{event.message} {event.fix}")
    elif isinstance(event, protocol.Done) or (job.goes_on and isinstance(event, protocol.Failed)):
        job.request, job.answer = None, event
        if isinstance(event, protocol.Done):
            _hear_device(job, event)
    elif isinstance(event, protocol.LAST_WORDS):
        _end(job.lane, _ending(job, event))
    else:
        if isinstance(event, protocol.FrameDone):
            job.failed.pop(event.frame, None)
        job.work = job.on_event(event)
        job.delivered = job.delivered or not isinstance(event, protocol.Ready)


def _hear_device(job: Job, done: protocol.Done) -> None:
    """A fallback to the processor is said: it is slower by far, and somebody may have paid for a card."""
    job.device = str(done.report.get("device", "")) or job.device
    why = str(done.report.get("fell_back", ""))
    job.notes += [why] if why and why not in job.notes else []


def _hear_step(job: Job, event: protocol.TrainStep) -> None:
    passed, left = time.monotonic() - job.asked, event.seconds_left
    job.fraction = passed / max(passed + left, 1e-9)
    stage = f"Step {event.step}, {durations.in_words(left)} left"
    job.stage = job.stage if job.cancelling else stage


MOST_TOLD = 10
"""Frames that failed, one by one"""


def _ending(job: Job, event: protocol.Event | None) -> Report:
    ended = job.loses_nothing and isinstance(event, protocol.Failed)
    if isinstance(event, protocol.Cancelled) or (job.cancelling and (ended or not job.delivered)):
        return _stopped(job)
    if isinstance(event, protocol.Failed):
        return Report("ERROR", event.message, event.fix, event.report)
    told = "\n".join([*job.notes, *_failures(job.failed, job.thing)])
    if told and not job.delivered:
        return Report("ERROR", f"{job.title} failed.", told)
    if job.failed:
        count = f"{len(job.failed)} {job.thing}{'s' * (len(job.failed) != 1)}"
        return Report("WARNING", f"{job.title}: done but for {count}.", told, partly=True)
    return Report("INFO", f"{job.title}: done.", told)


def _stopped(job: Job) -> Report:
    """After Cancel. Of several things, those that are finished stay."""
    keeps = job.goes_on and job.delivered
    told = "\n".join(_failures(job.failed, job.thing))
    return Report("WARNING", f"{job.title} {job.stopped}.", told, partly=keeps)


def _failures(failed: dict[int, str], thing: str) -> list[str]:
    """The first of them, by number; of the others only which they are."""
    numbers = sorted(failed)
    told, more = numbers[:MOST_TOLD], numbers[MOST_TOLD:]
    others = [f"Also {thing}s {', '.join(map(str, more[:50]))}{', ...' * (len(more) > 50)}."] if more else []
    return [failed[number] for number in told] + others


def _defect() -> Report:
    fix = "Your picture is as it was. Copy the report and send it to us."
    return Report("ERROR", "Pentimento made a mistake.", fix, traceback.format_exc())


def _break_off(lane: Lane, report: Report) -> None:
    """Ends the job from our side. A worker that is still at it is ended too: the next job starts a new one."""
    if lane.job is not None and lane.job.request is not None:
        lane.slot.stop()
    _end(lane, report)


def _end(lane: Lane, report: Report) -> None:
    job, lane.job = lane.job, None
    report = lane.report = replace(report, device=job.device if job else "")
    if not any(lane.job for lane in LANES) and _file_closes in bpy.app.handlers.load_pre:
        bpy.app.handlers.load_pre.remove(_file_closes)
    if job is not None:
        for generator in (job.work, job.beside, job.requests):
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
    for lane in LANES:
        if lane.job and not lane.job.outlives_file:
            _break_off(lane, Report("WARNING", f"{lane.job.title} was ended: another file was opened."))


def redraw() -> None:
    """Draws the panels again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if region.type == SHOWN_IN.get(area.type):
                    region.tag_redraw()
