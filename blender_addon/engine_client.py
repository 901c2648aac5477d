"""The worker: started, spoken to, listened to. Free of bpy, and the only importer of the engine: of its protocol and
errors, of looks, which shows overlays in Blender as in the engine's own pictures and needs numpy alone, of packages,
which is a list of names and versions, and of durations, which says them in words.

Two threads per worker read its pipes and put what they hear into a queue; Blender's main thread takes it out with
`receive`, which never blocks. Every way a worker can fail (it exits, is killed, closes its pipe, falls silent, talks
nonsense) ends as one `protocol.Failed` for the job at hand, so that no wait lasts for ever.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine import durations, looks, packages, protocol
    from engine.errors import EngineError
else:
    from .engine import durations, looks, packages, protocol
    from .engine.errors import EngineError

__all__ = [
    "STYLES",
    "EngineError",
    "Interpreter",
    "Limits",
    "Slot",
    "blender_python",
    "durations",
    "looks",
    "packages",
    "protocol",
]

ADDON = Path(__file__).resolve().parent
STYLES = ADDON / "engine" / "styles"
PRIVATE_PACKAGES = ADDON / "private_packages"
MAX_LINE = 16 * 2**20
"""Bytes. Messages are a few kilobytes; a line longer than this comes from something that is no worker."""


@dataclass(frozen=True)
class Interpreter:
    """The Python that runs the worker."""

    python: str
    site: str = ""
    """Folder with the packages the worker imports. Empty: the Python's own packages."""


@dataclass(frozen=True)
class Limits:
    """How long to wait, in seconds, before a worker counts as lost."""

    ready: float = 60.0
    """From the start to its first word: a cold disk and a virus scanner that reads 100 MB of libraries."""
    silence: float = 15.0
    """It says something every second, also while it computes."""
    cancel: float = 10.0
    """From the wish to stop to the stop; then it is killed."""


def blender_python() -> Interpreter:
    """Blender's own Python with the packages that came in the add-on's zip; nobody else sees those."""
    python = Path(sys.executable)
    if not python.stem.lower().startswith("python"):
        # Some builds name the program itself; its Python lies in the same place on every platform.
        suffix = ".exe" if sys.platform == "win32" else f"3.{sys.version_info.minor}"
        python = Path(sys.prefix, "bin", f"python{suffix}")
    return Interpreter(str(python), str(PRIVATE_PACKAGES))


class Worker:
    """One worker process and the queue of what it said."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.limits = Limits()
        self._process = _start(interpreter)
        self._heard: queue.SimpleQueue[protocol.Event] = queue.SimpleQueue()
        self._progress: protocol.Progress | None = None
        self._last_words: deque[str] = deque(maxlen=200)
        self._lost = False
        self._talking = False
        self._heard_at = self._polled_at = time.monotonic()
        self._cancelled_at: float | None = None
        self._job = ""
        self.busy = False
        """It was asked, and its last word has not been heard"""
        for target in (self._listen, self._keep_stderr):
            threading.Thread(target=target, name=f"pentimento {target.__name__}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._lost and self._process.poll() is None

    def send(self, request: protocol.Request) -> None:
        """Hands the request over. A broken pipe is no error here: the listening thread reports the death."""
        if isinstance(request, protocol.CancelRequest):
            self._cancelled_at = time.monotonic()
        else:
            self._job, self._cancelled_at, self.busy = request.job, None, True
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(protocol.to_line(request).encode("ascii") + b"\n")
            self._process.stdin.flush()

    def receive(self, timeout: float = 0.0) -> protocol.Event | None:
        """What the worker said next, or None. Waits at most `timeout` seconds."""
        try:
            event = self._heard.get(timeout=timeout) if timeout else self._heard.get_nowait()
        except queue.Empty:
            progress, self._progress = self._progress, None
            return self._overdue() or progress
        self.busy = self.busy and not isinstance(event, protocol.LAST_WORDS)
        if isinstance(event, protocol.Failed) and not event.job:
            event = protocol.Failed(self._job, event.message, event.fix, event.report)
        return event

    def stop(self) -> None:
        """Ends the process and waits for it: on Windows its libraries are locked until then."""
        self._lost = True
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    # ------------------------------------------------------------ in the threads

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while line := pipe.readline(MAX_LINE):
                self._heard_at = time.monotonic()
                try:
                    event = protocol.from_line(line.decode("utf-8", "replace"))
                except EngineError as error:
                    self._lost = True
                    self._process.kill()
                    self._heard.put(protocol.Failed("", error.message, error.fix, "".join(self._last_words)))
                    return
                self._talking = True
                if isinstance(event, protocol.Progress):
                    # Only the latest counts: a window that draws slowly must not lag behind hundreds of old ones.
                    self._progress = event
                elif not isinstance(event, protocol.Heartbeat):
                    self._heard.put(event)
        self._heard.put(self._death())

    def _keep_stderr(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as pipe:
            while line := pipe.readline(4096):
                self._last_words.append(line.decode("utf-8", "replace"))

    def _death(self) -> protocol.Failed:
        """The end of the worker, in the artist's words. Called in the listening thread: it may wait a moment."""
        self._lost = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.5)
        self._process.kill()
        code = self._process.wait()
        time.sleep(0.05)  # its last lines on stderr may still be on their way
        said = f"exit code {code} {_signal(code)}\n{''.join(self._last_words)}"
        return protocol.Failed("", _what_happened(code), _what_to_do(code, self._talking), said)

    # ------------------------------------------------------------ in the main thread

    def _overdue(self) -> protocol.Failed | None:
        now, polled = time.monotonic(), self._polled_at
        self._polled_at = now
        if now - polled > self.limits.silence / 2:
            # Nobody asked for a while: the computer slept, or Blender was busy. Only silence from now on counts.
            self._heard_at = max(self._heard_at, now)
        limit = self.limits.silence if self._talking else self.limits.ready
        if self._lost or not self._job:
            return None
        if self._cancelled_at is not None and now - self._cancelled_at > self.limits.cancel:
            return self._give_up(f"The engine did not stop within {self.limits.cancel:g} s and was ended.")
        if now - self._heard_at > limit:
            return self._give_up(f"The engine has said nothing for {limit:g} s and was ended.")
        return None

    def _give_up(self, message: str) -> protocol.Failed:
        self.stop()
        fix = "Start again: a new engine is used. If it stays so, restart the computer or choose another Python."
        return protocol.Failed(self._job, message, fix, "".join(self._last_words))


def command(interpreter: Interpreter) -> list[str]:
    """Isolated: neither the environment nor the user's own packages reach the worker."""
    site = ["--site", interpreter.site] if interpreter.site else []
    return [interpreter.python, "-I", str(ADDON / "engine" / "boot.py"), *site]


def _start(interpreter: Interpreter) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command(interpreter),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            # Ctrl-C in Blender's terminal is Blender's: the worker ends when its pipe closes.
            start_new_session=os.name == "posix",
        )
    except (OSError, ValueError) as error:
        raise EngineError(
            f"The Python {interpreter.python!r} could not be started ({error}).", _how_to_start(error)
        ) from error


def _how_to_start(error: OSError | ValueError) -> str:
    """What helps a program that the system does not even start."""
    code, windows = getattr(error, "errno", None), getattr(error, "winerror", None)
    if code == errno.ENOEXEC or windows in (193, 216) or code == getattr(errno, "EBADARCH", -1):
        return "It was made for another kind of processor or system: enter one for this computer, or leave it empty."
    if code in (errno.EACCES, errno.EPERM):
        return (
            "The system does not allow it: make the file executable; on macOS take it out of quarantine "
            "(xattr -d com.apple.quarantine); or leave the field empty to use Blender's own Python."
        )
    return "Correct it in the add-on's preferences, or leave the field empty to use Blender's own Python."


def _what_happened(code: int) -> str:
    return "The engine stopped." if code >= 0 else "The engine stopped: the system ended it."


def _signal(code: int) -> str:
    """Its name for a bug report, where it has one"""
    return next((each.name for each in signal.Signals if each == -code), "")


def _what_to_do(code: int, talked: bool) -> str:
    if not talked and sys.platform == "darwin" and code == -signal.SIGKILL:
        return "macOS has blocked it: allow it under Privacy & Security, then start again."
    if not talked:
        return "Start again. If it happens again set it up anew in the preferences, or send us the copied report."
    if code == -getattr(signal, "SIGKILL", 9):
        return "Start again. If it happens again the memory ran out: close other programs or choose a smaller picture."
    return "Start again. If it happens again copy the report and send it to us."


# ---------------------------------------------------------------- a worker when there is work


class Slot:
    """A place for one worker: started by the first request, replaced when it is dead or runs another Python."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._changing = threading.RLock()
        """Blender tells of a render in a thread of its own, while the main thread may begin a job."""

    def submit(self, request: protocol.Request, interpreter: Interpreter, limits: Limits | None = None) -> None:
        """Sends the request to the worker; starts one where there is none that can take it."""
        with self._changing:
            if self._worker is None or not self._worker.alive or self._worker.interpreter != interpreter:
                self.stop()
                self._worker = Worker(interpreter)
            self._worker.limits = limits or Limits()
            self._worker.send(request)

    def release(self) -> None:
        """Ends a worker that has nothing to do, so that its memory, on a card too, is free for others."""
        with self._changing:
            if self._worker and not self._worker.busy:
                self.stop()

    def receive(self, timeout: float = 0.0) -> protocol.Event | None:
        """The next event of the worker, or None when it has said nothing new within `timeout` seconds."""
        return self._worker.receive(timeout) if self._worker else None

    def cancel(self, job: str) -> None:
        if self._worker:
            self._worker.send(protocol.CancelRequest(job))

    @property
    def worker(self) -> Worker | None:
        """The worker, as long as it lives."""
        return self._worker if self._worker and self._worker.alive else None

    def stop(self) -> None:
        """Ends the worker, if there is one. The next request starts a new one."""
        with self._changing:
            if self._worker:
                self._worker.stop()
                self._worker = None
