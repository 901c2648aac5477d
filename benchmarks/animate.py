"""A batch of frames: its pace against that of its slowest stage, its memory, how fast it resumes and stops.

    python -m benchmarks.animate --shared FOLDER [--size 960x540 1920x1080] [--style NAME] [--frames 16] [--small 1000]

Frames are those of the sequence `walk` with all their passes, laid side by side to the size. Each stage alone, then
the batch, in turns; medians over the rounds. Beside the slowest stage stands what the processor allows: where painting
uses every core already, no overlap can hide that decoding and packing need them, too; at best the processor never
rests. Memory is measured over many small frames. Writes the numbers into results/. Linux only (/proc).

Bars: at least 90 % of the slowest stage's pace; memory even within 5 %; 1,000 finished frames resumed in 5 s; stopped
within 2 s.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engine import animate as module
from engine.files import ExrLayer, read_exr, write_exr
from engine.ledger import FOLDER
from engine.painter import Clock
from engine.protocol import AnimateRequest, FrameDone, StyleShare, StylizeSettings

from . import machine

SMALL = (128, 72)
"""Width and height of the frames over which memory is measured"""
WARM = 100
"""Frames after which memory should be even"""
T = TypeVar("T")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with sequences/walk")
    parser.add_argument("--size", nargs="+", default=["960x540"])
    parser.add_argument("--style", default="Starry Night")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", type=int, default=1000, help="small frames; 0 leaves memory and resume out")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    walk = sorted((arguments.shared / "sequences" / "walk").glob("*.exr"))
    numbers: dict[str, Any] = {"load_before": round(load, 2), "style": arguments.style, "device": arguments.device}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for size in arguments.size:
            width, height = map(int, size.split("x"))
            pattern = frames(folder / size, walk, (width, height), arguments.frames)
            asked = request(pattern, arguments.style, arguments.device)
            alone = pace(asked, folder / "out", arguments.rounds)
            by_workers = shared(asked, folder / "shared", arguments.rounds)
            slowest = max(alone["seconds_per_frame"][stage] for stage in ("read", "paint", "write"))
            numbers[size] = {
                **alone,
                "frames_per_second_by_workers": by_workers,
                "of_slowest_stage_by_workers": {
                    workers: round(rate * slowest, 3) for workers, rate in by_workers.items()
                },
                **stopping(asked, folder / "stopped"),
            }
            print(json.dumps({size: numbers[size]}), flush=True)
        if arguments.small:
            pattern = frames(folder / "small", walk, SMALL, arguments.small)
            few = replace(request(pattern, arguments.style, arguments.device), numbers=tuple(range(1, 16)))
            numbers["of_slowest_stage_where_stages_only_wait"] = schedule(few, folder / "waiting")
            numbers["small"] = small(request(pattern, arguments.style, arguments.device), folder / "many")
            print(json.dumps(numbers["small"]))
    print(machine.write("animate", numbers))
    return 0


def request(pattern: str, style: str, device: str) -> AnimateRequest:
    return AnimateRequest(
        "1", pattern, StylizeSettings((StyleShare(style),), device=device), "", resume=True, workers=1
    )


def frames(folder: Path, sources: Sequence[Path], size: tuple[int, int], count: int) -> str:
    """That many frames of a size; beyond the sources they are the same again under another name."""
    folder.mkdir()
    for number in range(1, count + 1):
        path = folder / f"walk_{number:04d}.exr"
        if number > len(sources):
            os.link(folder / f"walk_{(number - 1) % len(sources) + 1:04d}.exr", path)
            continue
        found = read_exr(sources[number - 1])
        layers = found.layers.values()
        sized = [ExrLayer(layer.name, {k: _sized(v, size) for k, v in layer.planes.items()}) for layer in layers]
        write_exr(path, sized, {key: value for key, value in found.header.items() if "Window" not in key})
    return str(folder / "walk_####.exr")


def _sized(plane: Any, size: tuple[int, int]) -> Any:
    width, height = size
    across, down = -(-width // plane.shape[1]), -(-height // plane.shape[0])
    return np.tile(plane, (down, across))[:height, :width]


# ---------------------------------------------------------------- pace


def pace(asked: AnimateRequest, out: Path, rounds: int) -> dict[str, Any]:
    """Seconds a frame of each stage alone and of the batch, medians; and of the processor."""
    found = [_round(asked, out) for _ in range(rounds)]
    median = {name: statistics.median(one[name] for one in found) for name in found[0]}
    alone = [median[stage] for stage in ("read", "paint", "write")]
    slowest = max(alone)
    cores = len(os.sched_getaffinity(0))
    return {
        "seconds_per_frame": {name: round(value, 4) for name, value in median.items()},
        "frames_per_second": round(1 / median["batch"], 3),
        "of_slowest_stage": round(slowest / median["batch"], 3),
        "of_what_the_processor_allows": round(max(slowest, median["processor"] / cores) / median["batch"], 3),
        "times_as_fast_as_one_after_the_other": round(sum(alone) / median["batch"], 3),
    }


def _round(asked: AnimateRequest, out: Path) -> dict[str, float]:
    batch = module._Batch(_plan(asked, out / "stages"))
    numbers = batch.plan.numbers
    _end(batch._painted(numbers[0], *batch._read(numbers[0])))  # the first run of a session is another
    spent = dict.fromkeys(("read", "paint", "write"), 0.0)
    used = time.process_time()
    for number in numbers:
        with Clock(spent, "read"):
            found, seconds = batch._read(number)
        with Clock(spent, "paint"):
            painted = _end(batch._painted(number, found, seconds))
        with Clock(spent, "write"):
            batch._write(painted)
    used = time.process_time() - used
    batch.stop()
    whole = module._Batch(_plan(asked, out / "batch"))
    started, computing = time.perf_counter(), time.process_time()
    for _ in whole.run():
        pass
    elapsed, computing = time.perf_counter() - started, time.process_time() - computing
    whole.stop()
    shutil.rmtree(out)
    spent |= {"batch": elapsed, "processor": used, "processor_of_batch": computing}
    return {name: value / len(numbers) for name, value in spent.items()}


def _plan(asked: AnimateRequest, out: Path) -> module.Plan:
    return _end(module.prepared(_into(asked, out)))


def _into(asked: AnimateRequest, out: Path) -> AnimateRequest:
    return replace(asked, folder=str(out))


def _end(work: Generator[Any, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as finished:
            result: T = finished.value
            return result


def shared(asked: AnimateRequest, out: Path, rounds: int, most: int = 2) -> dict[str, float]:
    """Frames a second of one process and of several that share the cores, once all of them paint; medians."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for workers in range(1, most + 1):
            job = module.animate(replace(_into(asked, out), workers=workers))
            times = [time.perf_counter() for event in job if isinstance(event, FrameDone)]
            first = len(times) // 4
            found.setdefault(str(workers), []).append((len(times) - first - 1) / (times[-1] - times[first]))
            shutil.rmtree(out)
    return {workers: round(statistics.median(rates), 3) for workers, rates in found.items()}


WAITS = 0.3
"""Seconds that each stage only waits; the slowest a third longer"""


class _Waiting(module._Batch):
    """A batch on a computer with more cores than it can use: its stages wait, and hardly compute."""

    slowest = "read"

    def _wait(self, stage: str) -> None:
        time.sleep(WAITS * (4 / 3 if stage == self.slowest else 1))

    def _read(self, number: int) -> Any:
        self._wait("read")
        return super()._read(number)

    def _painted(self, *arguments: Any) -> Any:
        self._wait("paint")
        return (yield from super()._painted(*arguments))

    def _write(self, painted: Any) -> Any:
        self._wait("write")
        return super()._write(painted)


def schedule(asked: AnimateRequest, out: Path) -> dict[str, float]:
    """The pace that overlapping reaches where the processor is not what limits it, by the slowest stage: of that
    stage's. Measured from the third frame on: the first passes through all stages."""
    found = {}
    for slowest in ("read", "paint", "write"):
        batch = _Waiting(_plan(asked, out))
        batch.slowest = slowest
        times = [time.perf_counter() for event in batch.run() if isinstance(event, FrameDone)]
        batch.stop()
        found[slowest] = round(WAITS * 4 / 3 * (len(times) - 3) / (times[-1] - times[2]), 3)
        shutil.rmtree(out)
    return found


# ---------------------------------------------------------------- stopping


def stopping(asked: AnimateRequest, out: Path, times: int = 6) -> dict[str, Any]:
    """Seconds that closing takes, at several moments, and the longest silence before: a wish to stop waits so long."""
    closing, silence = [], 0.0
    for moment in range(times):
        job = module.animate(_into(asked, out))
        heard = 0
        said = time.perf_counter()
        for event in job:
            heard += isinstance(event, FrameDone)
            silence = max(silence, (time.perf_counter() - said) if heard else 0.0)
            said = time.perf_counter()
            if heard > moment // 2 and (moment % 2 or not isinstance(event, FrameDone)):
                break
        started = time.perf_counter()
        job.close()  # type: ignore[attr-defined]
        closing.append(time.perf_counter() - started)
        assert not list(out.rglob("*.tmp"))
        shutil.rmtree(out)
    return {"closing_seconds_most": round(max(closing), 3), "silence_seconds_most": round(silence, 3)}


# ---------------------------------------------------------------- many small frames


def small(asked: AnimateRequest, out: Path) -> dict[str, Any]:
    """Memory over many frames, then how long it takes to find them done: by their times, hashes, pixels."""
    asked, memory = _into(asked, out), []
    for event in module.animate(asked):
        if isinstance(event, FrameDone):
            memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
    even = memory[WARM:]
    middle = statistics.mean(even)
    resumed = {"resume_seconds": _resumed(asked)}
    for path in out.glob("*.exr"):
        os.utime(path)
    resumed["resume_by_hash_seconds"] = _resumed(asked)
    shutil.rmtree(out / FOLDER)
    resumed["resume_by_decoding_seconds"] = _resumed(asked)
    return {
        "frames": len(memory),
        "size": list(SMALL),
        "megabytes": {"first": round(even[0], 1), "last": round(even[-1], 1), "most": round(max(even), 1)},
        "largest_deviation": round(max(abs(value / middle - 1) for value in even), 4),
        "file_kilobytes": round(statistics.mean(path.stat().st_size for path in out.glob("*.exr")) / 1e3, 1),
        **resumed,
    }


def _resumed(asked: AnimateRequest) -> float:
    started = time.perf_counter()
    made = [event for event in module.animate(asked) if isinstance(event, FrameDone) and event.made]
    assert not made
    return round(time.perf_counter() - started, 3)


if __name__ == "__main__":
    sys.exit(main())
