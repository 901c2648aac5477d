"""The frames of a shot, from files to files: as many as there are, whatever happens to some of them.

    reading thread  decodes the next frame
    caller's        paints, and says what happens: a job is a generator, to cancel it is to close it
    writing thread  packs the frame before and puts it on the disk

onnxruntime, the codecs and hashing let go of Python's lock. At most three frames are in memory (and anchors of strokes
that stick: shot.held), and nothing is kept of one that is done. A frame is handed on when the one before it is on the
disk, so a process that is killed loses the one that is being painted and the one that is being written, and no other.

What a look measures is measured on the first frame of the shot: `_anchored`.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from . import durations, machine, outputs
from .atomic import NewFile, reading, remove_leftovers, shown, unique_path, writing
from .canvas import Canvas
from .errors import EngineError
from .explain.overlay import OF_A_RESULT, Overlay
from .exr import read_if_exr
from .files import open_view
from .ledger import Ledger, read_frame, seen
from .mixing import Styles, open_styles
from .painter import Clock, Opened, Painting, check_large_enough, no_memory, opened
from .passes import Passes, fullest_of
from .picture import Array, Floats
from .protocol import AnimateRequest, Done, Event, FrameDone, FrameFailed, Json, PictureSource, Progress
from .runtime import Session
from .sequence import Sequence, results, sequence
from .style_pack import slug
from .stylize import check_overlays, check_settings
from .view import View

if TYPE_CHECKING:
    from .shot.steady import Steady

MOST_WORKERS = 64
_TRIES = 10
"""Frames that are tried for the first of the shot"""
_PATIENCE = 0.5
"""Seconds of waiting for a disk after which the job says so, and can be cancelled"""
_FRAMES_EACH = 4
"""Frames for each process from which on it pays to start it: it takes about a second"""
_PROCESS_BYTES, _PIXEL_BYTES = 500 << 20, 500
"""Memory that a process takes, by itself and for each pixel of three frames with thirty channels"""
_PACE = 20
"""Frames over which the pace is measured"""

T = TypeVar("T")


def animate(request: AnimateRequest) -> Iterator[Event]:
    """Stylize the frames. One that fails is tried once more after all others where that can help, then told, and the
    batch goes on. What concerns all of them is one EngineError before any work.

    Yields Progress, FrameDone and FrameFailed for each frame, and Done."""
    plan = yield from prepared(request)
    workers = request.workers or _that_pay(plan)
    work = _Batch(plan) if workers == 1 else _crew(plan, workers)
    try:
        yield from work.run()
    finally:
        work.stop()
    yield plan.tally.done()


class Work(Protocol):
    """What makes the frames of a plan."""

    def run(self) -> Iterator[Event]: ...
    def stop(self) -> None: ...


def _crew(plan: Plan, workers: int) -> Work:
    from .crew import Crew  # loads what is started only then

    return Crew(plan, workers)


def _that_pay(plan: Plan) -> int:
    """One process for each core: a network of this size keeps one core busy, several only mostly (two on two cores are
    a third faster than one, benchmarks/animate). Fewer where frames are so few that starting costs more, or where
    memory is short. On a graphics card one feeds it."""
    in_order = plan.steady is not None and plan.steady.in_order
    if in_order or plan.tally.session.device != "cpu":
        return 1
    each = _PROCESS_BYTES + _PIXEL_BYTES * plan.shot.height * plan.shot.width
    room = int(machine.available_memory() * 0.7) // each
    return max(1, min(machine.cores(), len(plan.numbers) // _FRAMES_EACH, room, MOST_WORKERS))


# ---------------------------------------------------------------- before any work


@dataclass
class Tally:
    """How many frames a job has done, and how fast."""

    request: AnimateRequest
    session: Session
    """That tells of the device"""
    total: int
    made: int = 0
    skipped: int = 0
    failed: list[int] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    times: deque[float] = field(default_factory=lambda: deque(maxlen=_PACE))
    """When the last frames were done"""
    furthest: float = 0.0

    def begin(self) -> None:
        """The first frame is about to be made."""
        self.started = time.monotonic()
        self.times.append(self.started)

    def tell(self, event: Event) -> Event:
        """Count it, and hand it on."""
        if isinstance(event, FrameFailed):
            self.failed.append(event.frame)
        elif isinstance(event, FrameDone) and event.made:
            self.made += 1
            self.times.append(time.monotonic())
        elif isinstance(event, FrameDone):
            self.skipped += 1
        return event

    @property
    def over(self) -> int:
        return self.made + self.skipped + len(self.failed)

    @property
    def rate(self) -> float:
        """Frames a second, over the last ones; 0 where none is done yet"""
        if len(self.times) < 2:
            return 0.0
        return (len(self.times) - 1) / max(time.monotonic() - self.times[0], 1e-9)

    def progress(self, stage: str, more: float = 0.0) -> Progress:
        """more: of the frames at work, how much is done. It never goes back: frames are tried again."""
        self.furthest = min(1.0, max(self.furthest, (self.over + more) / max(1, self.total)))
        left = durations.in_words((self.total - self.over) / self.rate) if self.rate else ""
        pace = f", {self.rate:.3g} frames/s, {left} left" if self.rate else ""
        return Progress(self.request.job, self.furthest, f"{stage} ({self.over} of {self.total}{pace})")

    def done(self) -> Done:
        rate = round(self.made / max(time.monotonic() - self.started, 1e-9), 3)
        made = f"{self.made} frame{'s' * (self.made != 1)} made ({rate:.3g} a second)"
        said = [f"{made}, {self.skipped} there already, {_failed(self.failed)}."]
        report: Json = {"done": self.made, "skipped": self.skipped, "failed": len(self.failed)}
        more = {"failed_frames": sorted(self.failed), "frames_per_second": rate, **self.session.ran_on(), "say": said}
        return Done(self.request.job, {**report, **more})


def _failed(numbers: list[int]) -> str:
    if not numbers:
        return "none failed"
    shown = ", ".join(map(str, sorted(numbers)[:20])) + (", ..." if len(numbers) > 20 else "")
    return f"{len(numbers)} failed: {shown}"


@dataclass(frozen=True)
class Common:
    """What all frames of a shot have in common."""

    key: str
    height: int
    width: int
    bytes: bool
    """8 or 16 bits a value; else floats with passes"""
    recipe: Json
    """Of any of its frames, but for the name and the encoding of the source; as it is read from a file"""

    def check(self, found: Opened) -> None:
        """Raise an EngineError for a frame that is none of this shot."""
        reader = found.reader
        if (reader.height, reader.width) != (self.height, self.width):
            raise EngineError(
                f"{found.source.name!r} is {reader.width} x {reader.height}, the shot {self.width} x {self.height}.",
                "Render it again in the size of the others, or stylize it on its own.",
            )
        if (reader.dtype.kind == "u") != self.bytes:
            kinds = ("bytes", "floats") if self.bytes else ("floats", "bytes")
            raise EngineError(
                f"{found.source.name!r} holds {kinds[1]}, the shot {kinds[0]}.", "Save all frames in one format."
            )


@dataclass(frozen=True, eq=False)
class Plan:
    """A job that can begin."""

    request: AnimateRequest
    styles: Styles
    view: View | None
    frames: Sequence
    results: Sequence
    layers: Sequence
    """Raw floats of the overlays of byte pictures"""
    shot: Common
    ledger: Ledger
    numbers: tuple[int, ...]
    """What is to be made, in this order"""
    notes: list[str]
    tally: Tally
    steady: Steady | None
    """What makes strokes stick from frame to frame"""
    once_more: frozenset[int] = frozenset()
    """Of `numbers`, those that are there: strokes are carried on from them, so they are painted and not written"""

    def files(self, number: int) -> list[Path]:
        """All that belong to the result of a frame."""
        apart = self.shot.bytes and bool(self.request.settings.overlays)
        return [self.results.path(number), *([self.layers.path(number)] if apart else [])]


def prepared(request: AnimateRequest) -> Generator[Event, None, Plan]:
    """All that can go wrong for every frame alike, as one EngineError; then what is left to do. Says which frames are
    there already."""
    _check(request)
    frames, folder = sequence(request.frames), Path(request.folder)
    there = frames.there()
    numbers = tuple(dict.fromkeys(request.numbers)) or tuple(there)
    if request.sequential:  # strokes are carried forwards only
        numbers = tuple(sorted(numbers))
    if not there:
        raise EngineError(f"There is no frame {shown(str(frames))} in {shown(frames.folder)}.", "Check the path.")
    notes: list[str] = []
    yield Progress(request.job, 0.0, "Opening the style")
    styles = open_styles(request.settings, notes.append)
    view = open_view(request.view) if request.view else None
    shot = _anchored(styles, view, frames, there, numbers)
    named = results(frames, slug(styles.name), folder, ".png" if shot.bytes else ".exr")
    layers = results(frames, slug(f"{styles.name[:40]} layers"), folder, ".exr")
    tally = Tally(request, styles.first, len(numbers))
    steady = _steady(request, styles, view, frames, shot, numbers[0])
    if steady is not None:
        _check_passes(request, frames, _first_tried(numbers, there))
    ledger = _opened(named.path(numbers[0]))
    plan = Plan(request, styles, view, frames, named, layers, shot, ledger, numbers, notes, tally, steady)
    todo = yield from _standing(plan)
    tally.begin()
    if steady is None or not steady.in_order:
        return replace(plan, numbers=todo)
    chained = _chained(plan.numbers, todo)
    return replace(plan, numbers=chained, once_more=frozenset(chained) - frozenset(todo))


def _chained(numbers: tuple[int, ...], todo: tuple[int, ...]) -> tuple[int, ...]:
    """What is to be painted so that strokes come to `todo` as if nothing had been there before: each after all that
    follow each other up to it."""
    wanted, chained = set(todo), list[int]()
    for number in reversed(numbers):
        if number in wanted or (chained and chained[-1] == number + 1):
            chained.append(number)
    return tuple(reversed(chained))


def _check(request: AnimateRequest) -> None:
    """Checks that cost nothing come first."""
    check_settings(request.settings)
    check_overlays(request.settings, OF_A_RESULT)
    if not 0 <= request.workers <= MOST_WORKERS:
        raise EngineError(f"{request.workers} workers cannot be started.", f"Choose from 1 to {MOST_WORKERS}.")
    if any(number < 0 for number in request.numbers):
        raise EngineError(f"There is no frame {min(request.numbers)}.", "Choose numbers from 0 on.")


def _opened(one: Path) -> Ledger:
    """Of the folder for the results, in which one of them could be written."""
    with writing(one.parent):
        if one.parent.is_file():
            raise EngineError(f"{shown(one.parent)} is a file, not a folder.", "Choose a folder for the results.")
        one.parent.mkdir(parents=True, exist_ok=True)
    if not one.is_dir():  # which is told of with all others that are in the way
        NewFile(one).discard()
    return Ledger(one.parent)


def _anchored(
    styles: Styles, view: View | None, frames: Sequence, there: list[int], numbers: tuple[int, ...]
) -> Common:
    """What holds for a whole shot, whichever frames this job does: chunks of a shot on several machines agree, and give
    the same bytes as one run. What the frames are like is taken from the first of `numbers` that can be read.

    Leaves in `styles` what is measured on the first frame there is: the statistics of locked styles, the colours of a
    histogram."""
    key = f"{frames.folder}/{frames}"
    if styles.settings.lock or styles.settings.colours == "histogram":
        _measure(styles, view, frames, there[0], key)
    problem: EngineError | None = None
    for number in _first_tried(numbers, there):
        try:
            return _common(styles, view, frames, number, key)
        except (EngineError, MemoryError) as error:
            problem = problem or _told(error, frames.source(number))
    assert problem is not None
    raise problem


def _first_tried(numbers: tuple[int, ...], there: list[int]) -> list[int]:
    """Frames by which the others are judged: asked ones, then others, since all asked ones may be broken."""
    all_there, all_asked = set(there), set(numbers)
    asked = [number for number in numbers if number in all_there]
    others = [number for number in there if number not in all_asked]
    return [*asked[:_TRIES], *others[:_TRIES]]


def _check_passes(request: AnimateRequest, frames: Sequence, tried: list[int]) -> None:
    """Of frames whose strokes are to stick. Raises EngineError where none of them has the passes; where some have, the
    others fail by themselves."""
    names = ("Position", "Depth") if request.shot else ("Vector",)
    problem: EngineError | None = None
    for number in tried:
        passes = _passes(frames.source(number).path)
        try:
            if passes is not None:
                passes.need(*names)
                return
        except EngineError as error:
            problem = problem or error
    if problem is not None:
        raise problem


def _passes(path: str) -> Passes | None:
    """None where a frame cannot be read: it fails by itself."""
    try:
        file = read_if_exr(path)
    except (EngineError, MemoryError):
        return None
    return None if file is None else fullest_of(file, path)


def _measure(styles: Styles, view: View | None, frames: Sequence, first: int, key: str) -> None:
    try:
        _common(styles, view, frames, first, key)
    except (EngineError, MemoryError) as error:
        told = _told(error, frames.source(first))
        decides = f"The first frame of the shot, {shown(frames.path(first).name)}, decides for all others."
        raise EngineError(f"{decides} {told.message}", told.fix) from error


def _common(styles: Styles, view: View | None, frames: Sequence, number: int, key: str) -> Common:
    source = frames.source(number)
    found = opened(styles, source, view)
    check_large_enough(styles.settings, found)
    mix = styles.over(source, found.reader, found.passes, key)
    reader, recipe = found.reader, Painting(styles, found, mix).recipe()
    return Common(key, reader.height, reader.width, reader.dtype.kind == "u", json.loads(json.dumps(recipe)))


def _told(error: EngineError | MemoryError, source: PictureSource) -> EngineError:
    return error if isinstance(error, EngineError) else no_memory(source)


# ---------------------------------------------------------------- what is there already


_OURS = ("done", "todo", "changed")


def _standing(plan: Plan) -> Generator[Event, None, tuple[int, ...]]:
    """The frames that are to be made. Says which are there, and clears away what is in the way."""
    if not plan.request.resume:
        _refuse_any(plan)
        return plan.numbers
    remove_leftovers(plan.results.folder)
    states: dict[int, str] = {}
    for number in plan.numbers:
        states[number] = _state(plan, number)
        yield plan.tally.progress("Looking at what is there")
    _refuse_others(plan, {number: state for number, state in states.items() if state not in _OURS})
    if plan.steady is not None and plan.steady.in_order:
        states |= dict.fromkeys(_begun_elsewhere(plan, states), "todo")
        states |= dict.fromkeys(_taken_away(plan, states), "todo")
    for number, state in states.items():
        if state == "changed":
            _put_aside(plan, number)
        if state == "done":
            path = str(plan.results.path(number))
            yield plan.tally.tell(FrameDone(plan.request.job, number, path, {}, made=False))
    return tuple(number for number, state in states.items() if state != "done")


def _begun_elsewhere(plan: Plan, states: dict[int, str]) -> Iterator[int]:
    """Frames that are done, but whose strokes began anew after one that failed or was not asked for then, and goes now:
    not what one run makes."""
    begins: dict[int, int] = {}
    fails = cache(lambda number: _fails(plan, number))
    for number in plan.numbers:
        begins[number] = begins.get(number - 1, number)
        noted = plan.ledger.begun(plan.results.path(number)) if states[number] == "done" else set()
        if noted and begins[number] not in noted:
            still = [began for began in noted if began - 1 in states and fails(began - 1)]
            if not still:
                yield number
            begins[number] = min(still, default=begins[number])


def _taken_away(plan: Plan, states: dict[int, str]) -> Iterator[int]:
    """Frames that are done, but whose strokes come from one that was rendered anew. Their results go at once: were they
    to stay until they are made again, a job that is killed would leave them to the next, which could not tell."""
    stale: set[int] = set()
    for number in plan.numbers:
        path = plan.results.path(number)
        if not plan.ledger.is_of(path, plan.frames.path(number)):
            stale.add(number)
        elif number - 1 in stale and number not in plan.ledger.begun(path):
            stale.add(number)
            if states[number] == "done":
                with writing(path):
                    path.unlink()
                yield number


def _fails(plan: Plan, number: int) -> bool:
    """Is it plain that a frame cannot be painted?"""
    try:
        plan.shot.check(opened(plan.styles, plan.frames.source(number), plan.view))
    except (EngineError, MemoryError):
        return True
    return False


def _refuse_any(plan: Plan) -> None:
    """Nothing is overwritten."""
    there = [path for number in plan.numbers for path in plan.files(number) if path.is_symlink() or path.exists()]
    if there:
        raise EngineError(
            f"{_and_more(there[0].name, len(there))} already there.",
            "Go on with --resume (Resume in Blender), or choose another folder.",
        )


def _state(plan: Plan, number: int) -> str:
    """One of _OURS, or what it is instead: the worst of its files."""
    states = [_file_state(plan, number, path) for path in plan.files(number)]
    return max(states, key=lambda state: _OURS.index(state) if state in _OURS else len(_OURS))


def _file_state(plan: Plan, number: int, path: Path) -> str:
    if path.is_dir():
        return "as a folder"
    if path.is_symlink() and not path.exists():
        return "as a link to a file that is gone"
    found = plan.ledger.find(path, outputs.RECIPE)
    if found is None or found.state == "damaged":
        return "todo"
    if found.state == "changed":
        return "changed"
    if found.recipe is None:
        return "made by another program"
    ours = {**plan.shot.recipe, **(plan.steady.recipe(number) if plan.steady else {})}
    ours |= {"source": shown(plan.frames.source(number).name)}
    differences = list(_differences(ours, {**found.recipe, "source": _of_source(found.recipe, "name")}))
    if (
        differences == ["shot"] and {"shot"} <= ours.keys() & found.recipe.keys()
    ):  # the shot was looked at again, and holds this frame in another way
        return "todo"
    if not differences and not plan.ledger.is_of(path, plan.frames.path(number)):
        return "todo"
    if not differences and _of_source(found.recipe, "size") != [plan.shot.width, plan.shot.height]:
        differences = ["source.size"]
    return f"made with another {', '.join(differences[:4])}" if differences else "done"


def _of_source(recipe: Json, key: str) -> object:
    """name | size; encoding and alpha are those of the frame, which need not be like the first."""
    source = recipe.get("source")
    return source.get(key) if isinstance(source, dict) else source


def _differences(ours: Json, theirs: Json, within: str = "") -> Iterator[str]:
    """Names of the entries in which two recipes differ: settings.seed"""
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        mine, other = ours.get(key), theirs.get(key)
        if isinstance(mine, dict) and isinstance(other, dict):
            yield from _differences(mine, other, f"{within}{key}.")
        elif mine != other:
            yield f"{within}{key}"


def _refuse_others(plan: Plan, others: dict[int, str]) -> None:
    if others:
        number, how = next(iter(others.items()))
        raise EngineError(
            f"{_and_more(plan.results.path(number).name, len(others))} there already, {how}.",
            "Choose another folder, or the same settings and versions; or delete them.",
        )


def _and_more(name: str, count: int) -> str:
    return f"{name} is" if count == 1 else f"{name} and {count - 1} more are"


def _put_aside(plan: Plan, number: int) -> None:
    """Somebody's work, perhaps: it gets out of the way, and out of the sequence."""
    for path in plan.files(number):
        if _file_state(plan, number, path) == "changed":
            with writing(path):
                path.rename(unique_path(path.with_name(f"{path.stem}_changed{path.suffix}")))


# ---------------------------------------------------------------- frame by frame


@dataclass(frozen=True, eq=False)
class _Painted:
    """A frame that waits for the disk."""

    number: int
    opened: Opened
    recipe: Json
    rows: list[Array]
    overlays: list[Overlay]
    beneath: Floats | None
    seconds: dict[str, float]
    began: int | None = None
    """The frame from which on strokes were carried to it"""


class _Bands:
    """Bands of rows, for another thread to write."""

    def __init__(self) -> None:
        self.rows: list[Array] = []

    def write_rows(self, rows: Array) -> None:
        self.rows.append(rows)


class _Batch:
    """The frames of a plan on their way."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.tally = plan, plan.tally
        self.reader, self.writer = ThreadPoolExecutor(1, "reading"), ThreadPoolExecutor(1, "writing")
        self.stopped = threading.Event()
        self.seen: dict[int, tuple[int, int]] = {}
        """What the ledger calls seen, of frames at work"""
        self.begun: tuple[int, int] | None = None
        """The last frame over which strokes were carried, and the one at which they began"""
        self.written: tuple[int, Future[FrameDone]] | None = None
        self.again: list[int] | None = []
        """Frames to try once more; None while that is being done"""

    def run(self) -> Iterator[Event]:
        yield from self._round(self.plan.numbers)
        again, self.again = self.again or [], None
        yield from self._round(tuple(again))

    def stop(self) -> None:
        """Ends the threads: what is half written goes away."""
        self.stopped.set()
        for threads in (self.reader, self.writer):
            threads.shutdown(wait=True, cancel_futures=True)

    def _round(self, numbers: tuple[int, ...]) -> Iterator[Event]:
        coming: deque[Future[tuple[Opened, float]]] = deque()
        for index, number in enumerate(numbers):
            for following in numbers[index + len(coming) : index + 2]:
                coming.append(self.reader.submit(self._read, following))
            yield from self._frame(number, coming.popleft())
        yield from self._settle()

    def _frame(self, number: int, coming: Future[tuple[Opened, float]]) -> Iterator[Event]:
        """From decoded to handed on to the disk."""
        try:
            found, seconds = yield from self._waited(coming, f"Reading frame {number}")
        except (EngineError, MemoryError) as error:
            yield from self._failed(number, error)
            return
        try:
            if number in self.plan.once_more:
                yield from self._painted_once_more(number, found)
                self._carry(number)
                return
            painted = yield from self._painted(number, found, seconds)
            self._carry(number)
        except MemoryError as error:
            yield from self._failed(number, error)
            return
        except EngineError as error:
            yield from self._failed(number, error, hopeless=True)
            return
        yield from self._settle()
        self.written = (
            number,
            self.writer.submit(self._write, replace(painted, began=self.begun[1] if self.begun else None)),
        )

    def _carry(self, number: int) -> None:
        """A frame is painted: the next goes on from it, if strokes are carried."""
        if self.plan.steady is not None and self.plan.steady.in_order:
            goes_on = self.begun is not None and self.begun[0] == number - 1
            self.begun = number, self.begun[1] if self.begun and goes_on else number

    def _painted_once_more(self, number: int, found: Opened) -> Iterator[Event]:
        """For the strokes that are carried on from it."""
        assert self.plan.steady is not None
        yield self.tally.progress(f"Frame {number} once more, for those after it")
        yield from self._steadied(number, self._painting(number, found))

    def _painting(self, number: int, found: Opened) -> Painting:
        plan = self.plan
        plan.shot.check(found)
        check_large_enough(plan.request.settings, found)
        mix = plan.styles.over(found.source, found.reader, found.passes, plan.shot.key)

        def say(fraction: float, _: str) -> Progress:
            return self.tally.progress(f"Frame {number}", fraction)

        return Painting(plan.styles, found, mix, say, plan.notes)

    def _painted(self, number: int, found: Opened, seconds: float) -> Generator[Event, None, _Painted]:
        plan, held = self.plan, _Bands()
        painting = self._painting(number, found)
        painting.seconds["read"] = seconds
        canvas = painting.canvas() if plan.steady is None else (yield from self._steadied(number, painting))
        overlays, beneath = yield from painting.work(canvas, held)
        made = {**painting.recipe(), **(plan.steady.recipe(number) if plan.steady else {})}
        return _Painted(number, found, made, held.rows, overlays, beneath, painting.seconds)

    def _steadied(self, number: int, painting: Painting) -> Generator[Event, None, Canvas]:
        """What is painted of a frame whose strokes stick."""
        assert self.plan.steady is not None
        work = self.plan.steady.over(number, painting)
        while True:
            with Clock(painting.seconds, "inference"):
                try:
                    next(work)
                except StopIteration as done:
                    canvas: Canvas = done.value
                    return canvas
            yield self.tally.progress(f"Frame {number}")

    def _settle(self) -> Iterator[Event]:
        """Wait until the frame before is on the disk."""
        if self.written is None:
            return
        (number, writing_), self.written = self.written, None
        try:
            done = yield from self._waited(writing_, f"Writing frame {number}")
        except (EngineError, MemoryError) as error:
            yield from self._failed(number, error)
            return
        yield self.tally.tell(done)

    def _waited(self, future: Future[T], stage: str) -> Generator[Event, None, T]:
        """What a thread gives. Says from time to time that it has not come yet."""
        while not wait([future], _PATIENCE).done:
            yield self.tally.progress(stage)
        return future.result()

    def _failed(self, number: int, error: EngineError | MemoryError, hopeless: bool = False) -> Iterator[Event]:
        """hopeless: it would go the same way at a second try, as do frames whose strokes have gone on without them.

        Raises EngineError where strokes of frames that are to be made can no longer be carried on as they were."""
        in_order = self.plan.steady is not None and self.plan.steady.in_order
        if self.again is not None and not hopeless and not in_order:
            self.again.append(number)
            return
        told = _told(error, self.plan.frames.source(number))
        if number in self.plan.once_more:
            raise EngineError(f"Strokes are carried on from frame {number}, which fails: {told.message}", told.fix)
        yield self.tally.tell(FrameFailed(self.plan.request.job, number, told.message, told.fix))

    # ------------------------------------------------------------ in the threads

    def _read(self, number: int) -> tuple[Opened, float]:
        """The frame, and the seconds that took."""
        plan, seconds = self.plan, {"read": 0.0}
        path = plan.frames.path(number)
        with reading(path):
            if not path.exists():
                raise EngineError(f"{shown(path.name)} is missing.", "Render it, then resume.")
        self.seen[number] = seen(path)
        with Clock(seconds, "read"):
            return opened(plan.styles, plan.frames.source(number), plan.view, keep=True), seconds["read"]

    def _write(self, painted: _Painted) -> FrameDone:
        number, plan = painted.number, self.plan
        with Clock(painted.seconds, "write"):
            path, layers = plan.results.path(number), plan.layers.path(number)
            with outputs.frame(path, layers, painted.opened, painted.recipe, plan.request.one_part) as opened_:
                output = painted.opened.into(opened_)
                for band in painted.rows:
                    self._go_on()
                    output.write_rows(band)
                output.finish(painted.overlays, painted.beneath)
            made_of = read_frame(plan.frames.path(number), self.seen.pop(number))
            for file in plan.files(number):
                plan.ledger.add(file, made_of, painted.began)
        return FrameDone(plan.request.job, number, str(path), dict(painted.seconds))

    def _go_on(self) -> None:
        if self.stopped.is_set():
            raise EngineError("The job was cancelled.", "Resume it.")


def _steady(
    request: AnimateRequest, styles: Styles, view: View | None, frames: Sequence, shot: Common, first: int
) -> Steady | None:
    if not request.shot and not request.sequential:
        return None
    from .shot.steady import opened as steady  # loaded only then

    def open_frame(number: int) -> Painting:
        found = opened(styles, frames.source(number), view, keep=True)
        shot.check(found)
        return Painting(styles, found, styles.over(found.source, found.reader, found.passes, shot.key))

    return steady(request, open_frame, (shot.height, shot.width), not shot.bytes, first)
