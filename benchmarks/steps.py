"""Steps a second, with and without each thing that may make them faster: `python -m benchmarks.steps --shared FOLDER`.

    python -m benchmarks.steps --shared FOLDER [--device auto|cpu|cuda] [--without-compiler]

The default config on Starry Night, in both parts of a run; the choices take turns, so that a busy moment is nobody's
alone. On a processor in seconds of one thread's work, so that other programs on the machine count little; on a graphics
card by the clock, after it has caught up. Compiling is timed with the first steps, `torch.compile`'s compiler included
and nothing taken from its caches, and set against what it gains.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.training.config import PicturesConfig
from engine.training.data import Pair, load_picture, to_bytes
from engine.training.loop import choose_device
from engine.training.pictures import PictureSamples, PicturesTrainer
from engine.training.teacher import Exemplar

from . import machine

ROUNDS = 16
"""Steps timed of each choice: twice `r1_every`, so that lazy R1 counts for what it costs."""
FIRST = 4
"""Steps before those: with every second one, and with every one that a penalty is due, something new is compiled."""
CHOICES = ("float32", "bfloat16", "float32, usual memory order", "float32, compiled", "bfloat16, compiled")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--without-compiler", action="store_true", help="where this Python's torch finds none")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # in this process, whose seconds are counted
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        return measure(arguments)


def measure(arguments: argparse.Namespace) -> int:
    device = choose_device(arguments.device)
    painting = load_picture(arguments.shared / "styles" / "starry_night.jpg", PicturesConfig.style_side)
    names = [name for name in CHOICES if not (arguments.without_compiler and "compiled" in name)]
    parts = (("strokes", 1.0), ("critic", 0.0))
    rows = [
        row for part, warm_up in parts for row in measured(part, warm_up, names, painting, device, arguments.rounds)
    ]
    print(json.dumps(rows, indent=2))
    print(machine.write("steps", {"device": device.type, "rounds": arguments.rounds, "rows": rows}))
    return 0


def measured(
    part: str, warm_up: float, names: list[str], painting: Tensor, device: torch.device, rounds: int
) -> list[dict[str, Any]]:
    """One row for each choice: seconds of the first steps and of a later one, and of its crops alone."""
    torch.compiler.reset()
    trainers = {name: trainer_of(name, replace(PicturesConfig(), warm_up=warm_up), painting, device) for name in names}
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(FIRST + rounds):
        for name, trainer in trainers.items():
            taken[name].append(seconds(lambda trainer=trainer: trainer.step(0.0), device))
    samples = trainers[names[0]].samples
    crops = statistics.median(seconds(lambda step=step: samples.batch(step), device) for step in range(rounds))
    rows = []
    for name, times in taken.items():
        first, step = sum(times[:FIRST]), statistics.mean(times[FIRST:])
        plain = taken[name.partition(",")[0]]  # the same precision with nothing else
        extra, gain = first - sum(plain[:FIRST]), statistics.mean(plain[FIRST:]) - step
        rows.append(
            {
                "part": part,
                "choice": name,
                "first_steps_s": round(first, 2),
                "step_s": round(step, 4),
                "steps_per_second": round(1 / step, 2),
                "crops_s": round(crops, 5),
                "compiling_pays_after_steps": round(extra / gain) if "compiled" in name and gain > 0 else None,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def trainer_of(choice: str, config: PicturesConfig, painting: Tensor, device: torch.device) -> PicturesTrainer:
    crops = [painting[:, :400, left : left + 400] for left in (0, 200, 400)]
    pairs = [Pair(to_bytes(crop.flip(0)), to_bytes(crop), torch.zeros(2, 1, 1)) for crop in crops]
    trainer = PicturesTrainer(PictureSamples(config, pairs, [], [Exemplar(painting)], device), device)
    trainer.half = choice.startswith("bfloat16")
    if "usual memory order" in choice:
        for network in (*trainer.taught.values(), trainer.critic):
            network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if "compiled" in choice:  # the critic is not: compiled it cannot be differentiated twice, as its penalties want
        for network in trainer.taught.values():
            network.compile()
    return trainer


def seconds(work: Any, device: torch.device) -> float:
    started = clock(device)
    work()
    return clock(device) - started


def clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    compiler = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + compiler.ru_utime + compiler.ru_stime


if __name__ == "__main__":
    raise SystemExit(main())
