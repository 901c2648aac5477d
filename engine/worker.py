"""The worker: reads requests, runs one job at a time, says its events. Nobody imports it.

Lines of JSON on the pipes it was started with. What libraries print goes to stderr. When the other end of stdin
closes, Blender is gone, and so is the worker.

    main thread       waits for a request, runs its generator, writes its events
    reader thread     reads lines: requests go to the main thread, a cancel sets a flag, the end ends the process
    heartbeat thread  one line a second, also while a job computes
"""

from __future__ import annotations

import importlib
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import IO, Any

from . import machine
from .errors import EngineError
from .protocol import (
    LAST_WORDS,
    AnimateRequest,
    Cancelled,
    CancelRequest,
    CertifyRequest,
    CheckRequest,
    Done,
    EnvironmentRequest,
    EvaluateRequest,
    Event,
    ExplainRequest,
    ExportStyleRequest,
    Failed,
    FlickerRequest,
    Heartbeat,
    ImportStyleRequest,
    PreviewImportRequest,
    ProjectRequest,
    Ready,
    RemoveEnvironmentRequest,
    ShotRequest,
    StylesRequest,
    StylizeRequest,
    TextureRequest,
    TrainRequest,
    VotesRequest,
    from_line,
    to_line,
)

JOBS: dict[type, tuple[str, str]] = {
    StylizeRequest: (".stylize", "stylize"),
    AnimateRequest: (".animate", "animate"),
    ShotRequest: (".shot.scan", "scan"),
    FlickerRequest: (".shot.flicker", "flicker"),
    ExplainRequest: (".explanation", "explain"),
    TextureRequest: (".texture", "texture"),
    ProjectRequest: (".projection.job", "project"),
    TrainRequest: (".training.loop", "train"),
    EvaluateRequest: (".evaluate", "evaluate"),
    CertifyRequest: (".certification", "certify"),
    VotesRequest: (".blind", "count_votes"),
    StylesRequest: (".style_jobs", "styles"),
    ImportStyleRequest: (".style_jobs", "import_style"),
    PreviewImportRequest: (".style_jobs", "preview_import"),
    ExportStyleRequest: (".style_jobs", "export_style"),
    CheckRequest: (".checkup", "check"),
    EnvironmentRequest: (".environment", "make"),
    RemoveEnvironmentRequest: (".environment", "remove"),
}
"""Request -> module and function, imported on the first request: a worker that stylizes never loads torch."""
HEARTBEAT = 1.0
GRACE = 0.5
"""Seconds a job gets to remove its half-written files once Blender is gone"""
_MAX_LINE = 1 << 24


def main() -> None:
    requests, answers = _take_over_pipes()
    Worker(requests, answers).run()


def _take_over_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes to Blender, out of reach of libraries: what they print on fd 1 goes to stderr, fd 0 is empty."""
    requests, answers = os.dup(0), os.dup(1)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb", buffering=0)


class Worker:
    """One per process."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests, self._answers = requests, answers
        self._waiting: queue.Queue[Any] = queue.Queue()
        self._writing = threading.Lock()
        self._job = ""
        self._busy = threading.Lock()
        self._cancel = threading.Event()

    def run(self) -> None:
        # Ctrl-C in Blender's terminal is Blender's: when it goes, the pipe closes.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.excepthook = self._surface
        threading.excepthook = lambda args: self._surface(
            args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
        )
        self.say(Ready(os.getpid(), sys.executable, machine.versions()))
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        while True:
            self._do(self._waiting.get())

    def say(self, event: Event) -> None:
        line = to_line(event).encode() + b"\n"
        with self._writing:
            try:
                self._write(line)
            except OSError:  # nobody listens any more
                os._exit(0)

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[self._answers.write(rest) or 0 :]

    # ------------------------------------------------------------ main thread

    def _do(self, request: Any) -> None:
        """Run one job to its last word. An error nobody named surfaces through the hook, and ends the process."""
        last: Event = Done(request.job)
        try:
            for event in self._events(request):
                if isinstance(event, LAST_WORDS):
                    last = event
                    break
                self.say(event)
        except EngineError as error:
            last = Failed(request.job, error.message, error.fix)
        self._finish(last)

    def _events(self, request: Any) -> Iterator[Event]:
        events = iter(_function(request)(request))
        for event in events:
            yield event
            if self._cancel.is_set() and not isinstance(event, LAST_WORDS):
                events.close()  # type: ignore[attr-defined]  # a job is a generator
                yield Cancelled(request.job)
                return

    def _finish(self, last: Event) -> None:
        """Free before the last word: who hears it may ask again at once."""
        self._job = ""
        self._cancel.clear()
        self._busy.release()
        self.say(last)

    # ------------------------------------------------------------ the other threads

    def _read(self) -> None:
        while line := self._requests.readline(_MAX_LINE):
            if line.strip():
                self._take(line)
        self._end()

    def _take(self, line: bytes) -> None:
        try:
            request = from_line(line.decode("utf-8", "replace"))
        except EngineError as error:
            self.say(Failed("", error.message, error.fix))
            return
        if isinstance(request, CancelRequest):
            if request.job == self._job:
                self._cancel.set()
        elif type(request) not in JOBS:
            self.say(Failed("", f"A {type(request).__name__} is not a request.", "Restart Blender."))
        elif not self._busy.acquire(blocking=False):
            self.say(
                Failed(request.job, "The engine is busy with another job.", "Wait until it is done, or cancel it.")
            )
        else:
            self._job = request.job
            self._cancel.clear()
            self._waiting.put(request)

    def _end(self) -> None:
        """Blender is gone. A running job gets a moment to clean up behind itself."""
        self._cancel.set()
        if self._busy.acquire(timeout=GRACE):
            os._exit(0)
        os._exit(1)

    def _beat(self) -> None:
        while True:
            time.sleep(HEARTBEAT)
            self.say(Heartbeat())

    def _surface(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """What nobody caught: said once, with all that a bug report needs; then a fresh worker must come."""
        text = "".join(traceback.format_exception(kind, error, trace))
        versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
        self.say(
            Failed(
                self._job,
                f"Something went wrong that Pentimento did not expect ({kind.__name__}: {str(error)[:200]}).",
                "Try again; if it stays, send the report to Pentimento's authors.",
                report=f"{text}\n{versions}\n{platform.platform()}",
            )
        )
        print(text, file=sys.stderr, flush=True)
        os._exit(1)


def _function(request: Any) -> Callable[[Any], Iterator[Event]]:
    """The job's function. Its module is imported now, when somebody needs it."""
    module, name = JOBS[type(request)]
    try:
        function: Callable[[Any], Iterator[Event]] = getattr(importlib.import_module(module, __package__), name)
    except ImportError as error:
        raise EngineError(
            f"This Python cannot do that: {error}.",
            "Enter a Python that has what is missing in the preferences, or install the add-on again.",
        ) from error
    return function
