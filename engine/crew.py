"""Several worker processes that share the frames of a shot: what one process leaves of a computer's cores.

Each is started as Blender starts its own, and spoken to in the same lines (see worker). Frames are dealt out in turn,
every worker with an equal part of the cores. A worker that dies loses the frames it had at hand and no other: they are
tried by another, the first of them alone, so that a frame that kills its process is found out and told.
Results are the same bytes, whoever makes them.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import machine
from .animate import Plan
from .atomic import remove_leftovers
from .errors import EngineError
from .protocol import (
    Cancelled,
    CancelRequest,
    Done,
    Event,
    Failed,
    FrameDone,
    FrameFailed,
    Heartbeat,
    Progress,
    Ready,
    Request,
    from_line,
    to_line,
)

_PATIENCE = 0.5
"""Seconds without a word after which the job says so, and can be cancelled"""
_MOST_WAIT = 1.0
"""Seconds that workers get to stop before they are killed"""
_MAX_LINE = 1 << 24


class _Hand:
    """One worker process."""

    def __init__(self, heard: queue.SimpleQueue[tuple[_Hand, Any]], cores: int) -> None:
        self.process = _start(cores)
        self.left: list[int] = []
        """Frames it has not told of yet, in the order in which it takes them"""
        self.given = 0
        """How many it got with its last request"""
        self.ready = False
        self.failed: Failed | None = None
        threading.Thread(target=self._listen, args=(heard,), daemon=True).start()

    def send(self, request: Request) -> None:
        """A pipe that is broken is no error here: the listening thread tells of the end."""
        assert self.process.stdin is not None
        with suppress(OSError, ValueError):
            self.process.stdin.write(to_line(request).encode() + b"\n")
            self.process.stdin.flush()

    def end(self, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, seconds))
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()

    def _listen(self, heard: queue.SimpleQueue[tuple[_Hand, Any]]) -> None:
        """Everything it says, and None at its end."""
        assert self.process.stdout is not None
        with self.process.stdout as pipe, suppress(EngineError):  # it ended within a line
            while line := pipe.readline(_MAX_LINE):
                heard.put((self, from_line(line.decode("utf-8", "replace"))))
        heard.put((self, None))


def _start(cores: int) -> subprocess.Popen[bytes]:
    """Its packages are found as ours are: isolated where we are, from where boot was told to take them."""
    boot = Path(__file__).with_name("boot.py")
    site = sys.argv[1:] if Path(sys.argv[0]).name == boot.name else []
    try:
        return subprocess.Popen(
            [sys.executable, "-I" if sys.flags.isolated else "-P", str(boot), *site],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what it has to say of an error is in its last event
            env={**os.environ, machine.CORES: str(cores)},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            start_new_session=os.name == "posix",  # Ctrl-C is ours; they end when their pipe does
        )
    except OSError as error:
        raise EngineError(f"A worker could not be started ({error}).", "Use fewer workers.") from error


class Crew:
    """The frames of a plan, in the hands of several processes."""

    def __init__(self, plan: Plan, workers: int) -> None:
        self.plan, self.tally = plan, plan.tally
        self.heard: queue.SimpleQueue[tuple[_Hand, Any]] = queue.SimpleQueue()
        count = min(workers, max(1, len(plan.numbers)))
        self.cores = max(1, machine.cores() // count)
        self.waiting = deque(list(plan.numbers[start::count]) for start in range(count if plan.numbers else 0))
        """Shares of frames that nobody has"""
        self.hands: list[_Hand] = []
        self.most = count
        self.suspects: set[int] = set()
        """Frames that a worker had at hand when it died"""

    def run(self) -> Iterator[Event]:
        while self.waiting or self.hands:
            while self.waiting and len(self.hands) < self.most:
                self._employ(self.waiting.popleft())
            try:
                hand, event = self.heard.get(timeout=_PATIENCE)
            except queue.Empty:
                yield self.tally.progress(f"{len(self.hands)} workers paint")
                continue
            if hand in self.hands:  # else it was let go already
                yield from self._hear(hand, event)

    def stop(self) -> None:
        """Ends all workers, and what they leave."""
        for hand in self.hands:
            hand.send(CancelRequest(self.plan.request.job))
            with suppress(OSError):
                assert hand.process.stdin is not None
                hand.process.stdin.close()  # and without a job it ends
        limit = time.monotonic() + _MOST_WAIT
        for hand in self.hands:
            hand.end(limit - time.monotonic())
        if self.hands:
            remove_leftovers(self.plan.results.folder)
        self.hands.clear()

    def _employ(self, numbers: list[int]) -> None:
        hand = _Hand(self.heard, self.cores)
        self.hands.append(hand)
        self._give(hand, numbers)

    def _give(self, hand: _Hand, numbers: list[int]) -> None:
        """resume: what a worker that died had put in place is kept."""
        hand.left, hand.given = numbers, len(numbers)
        hand.send(replace(self.plan.request, numbers=tuple(numbers), resume=True, workers=1))

    def _hear(self, hand: _Hand, event: Any) -> Iterator[Event]:
        if isinstance(event, FrameDone | FrameFailed):
            hand.left = [number for number in hand.left if number != event.frame]
            yield self.tally.tell(event)
        elif isinstance(event, Ready):
            hand.ready = True
        elif isinstance(event, Progress | Heartbeat):  # beats of several keep the wait from ever being over
            yield self.tally.progress(f"{len(self.hands)} workers paint")
        elif isinstance(event, Failed) and not event.report:
            raise EngineError(event.message, event.fix)  # as it would have been told to one alone
        elif isinstance(event, Failed):
            hand.failed = event
        elif isinstance(event, Done | Cancelled):
            yield from self._next(hand)
        elif event is None:
            yield from self._bury(hand)

    def _next(self, hand: _Hand) -> Iterator[Event]:
        if self.waiting:
            self._give(hand, self.waiting.popleft())
        else:
            self._let_go(hand)
        yield self.tally.progress(f"{len(self.hands)} workers paint")

    def _let_go(self, hand: _Hand) -> None:
        self.hands.remove(hand)
        assert hand.process.stdin is not None
        with suppress(OSError):
            hand.process.stdin.close()
        hand.end(_MOST_WAIT)

    def _bury(self, hand: _Hand) -> Iterator[Event]:
        """It died. The first frame it had is tried alone: if that kills again, it is the one."""
        self._let_go(hand)
        if not hand.ready:
            raise EngineError(
                f"A worker ended before it began (code {hand.process.returncode}).", "Use one worker, or fewer."
            )
        remove_leftovers(self.plan.results.folder)
        first, rest = hand.left[:1], hand.left[1:]
        if hand.given == 1 and self.suspects.issuperset(first):
            for number in first:
                yield self.tally.tell(self._killer(hand, number))
            return
        self.suspects.update(first)
        self.waiting.extendleft(share for share in (rest, first) if share)
        yield self.tally.progress("A worker ended; another goes on")

    def _killer(self, hand: _Hand, number: int) -> FrameFailed:
        code = hand.process.returncode
        why = hand.failed.message if hand.failed else f"The worker ended with code {code}."
        return FrameFailed(
            self.plan.request.job,
            number,
            f"Frame {number} ends the process that paints it. {why}",
            "Stylize it alone to see why; where the memory ran out, use fewer workers or close other programs.",
        )
