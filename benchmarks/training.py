"""How fast a style is learned: our trainer beside FastCUT at its published size, same data, same machine, same clock.

    python -m benchmarks.training --shared FOLDER --work FOLDER [--minutes 60] [--device auto|cpu|cuda] [--sheet FILE]

Each for `--minutes`, the teacher's pairs included: on a graphics card one after the other, on a processor side by side
with one thread each and the thread's own seconds for a clock, so that both have the same machine at the same hour. Ten
times on the way, with the clock stopped, both paint the eight held-out pictures: patch distance, way closed between
colour transfer and teacher (see benchmarks.quality), sliced Wasserstein distance and structure kept, all medians.
Writes steps a second, the two curves, and when each reached half of what ours gained in the end.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from engine.contact_sheet import Cell, Look, contact_sheet, save_jpeg
from engine.training.config import PicturesConfig
from engine.training.data import Pair, load_picture, make_pair, to_bytes
from engine.training.export import stylized
from engine.training.foresight import SPARE_SECONDS
from engine.training.loop import choose_device
from engine.training.metrics import colour_transfer, sliced_wasserstein_distance, structure_kept, way_closed
from engine.training.networks import Encoder, Generator
from engine.training.pictures import PAIRS_SHARE, PictureSamples, PicturesTrainer
from engine.training.strokes import strokes_of
from engine.training.teacher import Exemplar, Guide, paint

from . import machine
from .fastcut import CROP, FastCut
from .quality import INPUTS, distance, square
from .train_library import LIBRARY, practice_content

STYLE = LIBRARY[0]
OURS, PEER = RUNS = ("pentimento", "FastCUT")
LOOKS = 10
Painter = Callable[[Tensor], Tensor]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    at_once = 1 if choose_device(arguments.device).type == "cuda" else len(RUNS)
    with ProcessPoolExecutor(at_once, get_context("spawn")) as processes:
        runs = dict(zip(RUNS, processes.map(trained, RUNS, [arguments] * len(RUNS)), strict=True))
    curves = {name: points for name, (points, _) in runs.items()}
    rows = {name: summary(points, curves[OURS][-1]["way_closed"] / 2) for name, points in curves.items()}
    print(json.dumps(rows, indent=2))
    print(machine.write("training", {"minutes": arguments.minutes, "rows": rows, "curves": curves}))
    if arguments.sheet:
        pictures = {name: made for _, shown in runs.values() for name, made in shown.items()}
        cells = [[Cell(p, name) for p in made] for name, made in pictures.items()]
        save_jpeg(contact_sheet(cells, STYLE.name, Look(width=256, height=256)), arguments.sheet)
    return 0


def trained(name: str, arguments: argparse.Namespace) -> tuple[list[dict[str, float]], dict[str, list[Any]]]:
    """One of RUNS in a process of its own: its curve, and the held-out pictures with what was last made of them."""
    device = choose_device(arguments.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    contents = sorted(practice_content(arguments.shared / "content", arguments.work / "content").iterdir())
    painting = load_picture(arguments.shared / "styles" / STYLE.picture, STYLE.side)
    judge = Judge(painting, [square(arguments.shared / "content" / file) for file in INPUTS], contents)
    seconds, clock = 60 * arguments.minutes, Clock(device)
    run = ours(contents, painting, clock, seconds) if name == OURS else fastcut(contents, painting, clock)
    points = curve(name, run, judge, seconds, clock)
    return points, {shown: [_pixels(p) for p in pictures] for shown, pictures in judge.last.items()}


class Judge:
    """The held-out pictures, and how far between colour transfer and teacher a painter has come on them."""

    def __init__(self, painting: Tensor, inputs: list[Tensor], contents: list[Path]) -> None:
        config = PicturesConfig().teacher
        style = [Exemplar(painting)]
        guide = Guide([load_picture(p, 128) for p in contents], style, config)
        self.painting, self.inputs, self.last = painting, inputs, {"content": inputs}
        self.plain = [distance(colour_transfer(i, painting), painting) for i in inputs]
        seed = torch.Generator().manual_seed(1)
        self.taught = [distance(paint(i, style, guide, config, seed).picture, painting) for i in inputs]

    def look(self, painter: Painter, name: str) -> dict[str, float]:
        made = self.last[name] = [painter(content) for content in self.inputs]
        distances = [distance(picture, self.painting) for picture in made]
        closed = [way_closed(*three) for three in zip(distances, self.plain, self.taught, strict=True)]
        kept = [structure_kept(picture, content) for picture, content in zip(made, self.inputs, strict=True)]
        moved = [sliced_wasserstein_distance(picture, self.painting) for picture in made]
        numbers = {"distance": distances, "way_closed": closed, "sliced_wasserstein": moved, "structure": kept}
        return {number: round(statistics.median(values), 4) for number, values in numbers.items()}


@dataclass
class Clock:
    """Seconds and steps of a training. It stands still while the judge looks."""

    device: torch.device
    seconds: float = 0.0
    steps: int = 0

    def now(self) -> float:
        """On a processor the seconds this process computed; on a graphics card, once all is computed, those passed."""
        if self.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.monotonic()


def ours(contents: list[Path], painting: Tensor, clock: Clock, limit: float) -> Iterator[Painter]:
    """The defaults, teacher's pairs included, with as many steps as there is time for. Yields after every step."""
    # Without an end to foresee nothing is kept back but what is spare.
    config = PicturesConfig(name=STYLE.name, style_side=STYLE.side, budget=limit + SPARE_SECONDS, steps=0)
    device = clock.device
    style = [Exemplar(painting.to(device))]
    guide = Guide([load_picture(p, 128).to(device) for p in contents], style, config.teacher)
    pairs: list[Pair] = []
    while len(pairs) < config.pairs and clock.seconds < PAIRS_SHARE * limit:
        pairs.append(make_pair(contents, style, guide, config.teacher, config.size, config.seed, len(pairs)))
        yield lambda content: content
    trainer = PicturesTrainer(PictureSamples(config, pairs, [], style, device), device, began=clock.seconds)
    while True:
        trainer.step(clock.seconds)
        clock.steps += 1
        yield lambda content: _by_ours(trainer, style, content)


def _by_ours(trainer: PicturesTrainer, style: list[Exemplar], content: Tensor) -> Tensor:
    generator, encoder = (copy.deepcopy(trainer.averages[name]).cpu() for name in ("generator", "encoder"))
    return stylized(cast(Generator, generator), content, strokes_of(cast(Encoder, encoder), style))


def fastcut(contents: list[Path], painting: Tensor, clock: Clock) -> Iterator[Painter]:
    peer = FastCut([load_picture(p, 2 * CROP) for p in contents], [painting], clock.device, seed=0)
    while True:
        peer.step()
        clock.steps += 1
        yield peer.stylized


def curve(name: str, run: Iterator[Painter], judge: Judge, limit: float, clock: Clock) -> list[dict[str, float]]:
    """LOOKS points on the way: seconds, steps, and what the judge saw."""
    points: list[dict[str, float]] = []
    while len(points) < LOOKS:
        started = clock.now()
        painter = next(run)
        clock.seconds += clock.now() - started
        if clock.seconds >= limit * (len(points) + 1) / LOOKS:
            points.append({"seconds": round(clock.seconds, 1), "steps": clock.steps, **judge.look(painter, name)})
            print(name, json.dumps(points[-1]), flush=True)
    return points


def summary(points: list[dict[str, float]], wanted: float) -> dict[str, Any]:
    """wanted: the way closed whose first sight is looked for."""
    reached = [point["seconds"] for point in points if point["way_closed"] >= wanted]
    last = points[-1]
    steps_per_second = round(last["steps"] / last["seconds"], 2)
    return {**last, "steps_per_second": steps_per_second, "seconds_to_half": reached[0] if reached else None}


def _pixels(picture: Tensor) -> Any:
    return to_bytes(picture).permute(1, 2, 0).numpy()


if __name__ == "__main__":
    raise SystemExit(main())
