"""A batch of frames that is killed (kill -9) at random moments, and resumed each time.

    python -m benchmarks.crashes [--kills 200] [--frames 600] [--seed 0]

Tiny frames and a tiny style, so that moments fall everywhere: while the style is opened, while a frame is decoded,
painted, written, renamed, noted. After every kill all files under final names are compared with those of a run that
nobody disturbed. Writes the numbers into results/. POSIX only: each run is a fork of one process that has imported
the engine already.

Bars: no corrupt file; no finished frame made again; at most one frame painted in vain per kill, on average. (A kill
can cost two frames that were painted to their end, where one waits while the one before is written.)
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import machine

REPO = Path(__file__).resolve().parent.parent
SIZE = (96, 128)
MOST = 2.0
"""Times its share of the frames that are left, that a process may paint before it is killed: so that kills do not run
out of frames"""
POLL = 0.002
"""Seconds"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        load, style = os.getloadavg()[0], tiny_style(folder / "brush")
        numbers = trial(folder, style, arguments.kills, arguments.frames, arguments.seed)
    print(json.dumps(numbers, indent=2))
    print(machine.write("crashes", {"load_before": round(load, 2), **numbers}))
    return int(not numbers["passed"])


def tiny_style(folder: Path) -> str:
    sys.path.insert(0, str(REPO / "tests" / "engine"))
    import tiny_styles  # type: ignore[import-not-found]

    return str(tiny_styles.brush(folder, channels=96))


@dataclass
class _Seen:
    """What was found after the kills."""

    corrupt: int = 0
    """Files under a final name that are not those of the undisturbed run"""
    again: int = 0
    """Files that were finished before a kill and were written again after it"""
    in_vain: list[int] = field(default_factory=list)
    """Frames painted to the end and not finished, by kills"""
    kills: int = 0


def trial(folder: Path, style: str, kills: int, frames: int, seed: int = 0) -> dict[str, Any]:
    """Kill a batch that many times. Frames must suffice: kills after its end count as none."""
    rng = random.Random(seed)
    pattern, log, out = _frames(folder / "in", frames), folder / "painted", folder / "out"
    with _Server(pattern, style, folder / "whole", log) as server:
        working, beginning = server.seconds(), server.seconds()  # the second time nothing is left to do
    share = 0.6 * max(0.01, working - beginning) / max(1, kills)
    longest = beginning + share + math.sqrt(share**2 + 2 * share * beginning)
    """Kills at moments evenly from 0 to here leave four tenths of the frames for after the last one"""
    whole, seen = _contents(folder / "whole"), _Seen()
    log.unlink()
    with _Server(pattern, style, out, log) as server:
        for _ in range(kills):
            before, painted = _stamps(out), _painted(log)
            server.begin()
            fair = (frames - len(before)) / (kills - seen.kills)
            _wait(rng.uniform(0, longest), log, painted + max(1, int(MOST * fair)))
            if not server.kill():
                break
            seen.kills += 1
            _look(out, whole, before, seen)
            seen.in_vain.append(_painted(log) - painted - (len(_stamps(out)) - len(before)))
        before = _stamps(out)
        server.begin()
        code = server.end()
        _look(out, whole, before, seen)
    total = _painted(log)
    return _told(seen, frames, total, code == 0 and _contents(out) == whole, list(out.rglob("*.tmp")))


def _wait(seconds: float, log: Path, most: int) -> None:
    """Until that time is over, or that many frames were painted: what was measured on a busy machine is too long on the
    same machine when it has nothing else to do."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and _painted(log) < most:
        time.sleep(min(POLL, max(0.0, end - time.monotonic())))


def _told(seen: _Seen, frames: int, painted: int, same: bool, leftovers: list[Path]) -> dict[str, Any]:
    good = same and not seen.corrupt and not seen.again and not leftovers
    return {
        "kills": seen.kills,
        "frames": frames,
        "size": list(SIZE[::-1]),
        "corrupt_files": seen.corrupt,
        "finished_made_again": seen.again,
        "painted": painted,
        "painted_in_vain_per_kill": round((painted - frames) / max(1, seen.kills), 3),
        "painted_in_vain_most": max(seen.in_vain, default=0),
        "leftovers": len(leftovers),
        "same_bytes_as_undisturbed": same,
        "passed": good and painted - frames <= seen.kills,
    }


def _look(out: Path, whole: dict[str, bytes], before: dict[str, tuple[int, ...]], seen: _Seen) -> None:
    stamps = _stamps(out)
    seen.corrupt += sum(whole.get(name) != data for name, data in _contents(out).items())
    seen.again += sum(stamps.get(name) != stamp for name, stamp in before.items())


def _contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.png")}


def _stamps(out: Path) -> dict[str, tuple[int, ...]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.glob("*.png")}


def _painted(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _frames(folder: Path, count: int) -> str:
    from engine.files import create_png

    folder.mkdir()
    for number in range(1, count + 1):
        pixels = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        with create_png(folder / f"shot_{number:04d}.png", *SIZE, 3, pixels.dtype) as png:
            png.write_rows(pixels)
    return str(folder / "shot_####.png")


# ---------------------------------------------------------------- runs to kill


class _Server:
    """A process that has imported the engine, and runs the batch in a fork of itself whenever it is asked to."""

    def __init__(self, pattern: str, style: str, out: Path, log: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.crashes", "--serve", pattern, style, str(out), str(log)]
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # what forks must have no threads
        self.process = subprocess.Popen(
            command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **single}
        )

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def seconds(self) -> float:
        """Of a run that nobody disturbs"""
        started = time.monotonic()
        self.begin()
        if self.end():
            raise SystemExit("The batch fails.")
        return time.monotonic() - started

    def begin(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.run = int(self._line())

    def kill(self) -> bool:
        """False where it had ended already."""
        os.kill(self.run, signal.SIGKILL)  # until `end` it is there, be it as a zombie
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        assert self.process.stdin
        self.process.stdin.write("wait\n")
        self.process.stdin.flush()
        return int(self._line())

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


def serve(pattern: str, style: str, out: str, log: str) -> None:
    """go -> the id of a process that runs the batch; wait -> how it ended."""
    from engine import animate as module
    from engine.protocol import AnimateRequest, StyleShare, StylizeSettings

    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    painted: Any = module._Batch._painted

    def counted(*arguments: Any) -> Any:
        result = yield from painted(*arguments)
        os.write(file, b".")
        return result

    module._Batch._painted = counted  # type: ignore[method-assign, assignment]
    request = AnimateRequest(
        "1", pattern, StylizeSettings((StyleShare(style),), device="cpu"), out, resume=True, workers=1
    )
    child = 0
    for line in sys.stdin:
        if line == "go\n":
            child = os.fork()
            if not child:
                for _ in module.animate(request):
                    pass
                os._exit(0)
            print(child, flush=True)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
