"""A worker that misbehaves, for the tests whose subject is just that. Usage: fake_worker.py MODE

silent     answers the start, then never says a word
mute       never says anything at all
garbage    answers a request with a line that is no message
endless    answers a request with one long line that never ends
dies       answers a request by ending with an error on stderr
closes     answers a request by closing its output, and lives on
slow       computes for ever, with heartbeats, and stops when asked to
deaf       computes for ever, with a flood of progress, and cannot be stopped
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine import protocol
from engine.protocol import Cancelled, CancelRequest, Heartbeat, Progress, Ready


def say(message: protocol.Event) -> None:
    sys.stdout.write(protocol.to_line(message) + "\n")
    sys.stdout.flush()


def beat(interval: float = 0.2) -> None:
    while True:
        say(Heartbeat())
        time.sleep(interval)


def flood(job: str) -> None:
    while True:
        say(Progress(job, 0.25, "Painting"))
        time.sleep(0.002)


def answer(mode: str, request: protocol.Request) -> None:
    if isinstance(request, CancelRequest):
        if mode == "slow":
            say(Cancelled(request.job))
    elif mode == "garbage":
        print("Segmentation fault (core dumped)", flush=True)
    elif mode == "endless":
        os.write(1, b"y" * (20 * 2**20))
    elif mode == "dies":
        sys.exit("the library libstyle.so was not found")
    elif mode == "closes":
        os.close(1)
    elif mode == "slow":
        say(Progress(request.job, 0.25, "Painting"))
    elif mode == "deaf":
        threading.Thread(target=flood, args=(request.job,), daemon=True).start()


def main(mode: str) -> None:
    if mode == "mute":
        time.sleep(600)
    say(Ready(os.getpid(), sys.executable, {"engine": "fake"}))
    if mode in ("slow", "deaf"):
        threading.Thread(target=beat, daemon=True).start()
    for line in sys.stdin:
        answer(mode, protocol.from_line(line))


if __name__ == "__main__":
    main(sys.argv[1])
