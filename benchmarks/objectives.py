"""The adversarial objectives compared: the same painting, the teacher's same pairs, several seeds each.

    python -m benchmarks.objectives --shared FOLDER --work FOLDER [--only NAME ...] [--seeds N ...] [--steps N]
        [--set FIELD=JSON ...] [--table FILE] [--sheet FILE]

Every objective is trained with what was published for it, and with `--set` on top. Records the held-out score (mean
patch distance of eight pictures never trained on) and the way closed between colour transfer and teacher for each seed,
and the seconds of a step. A stopped run goes on where it was when it is started again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.atomic import NewFile
from engine.contact_sheet import Cell, Look, contact_sheet, save_jpeg
from engine.training.config import PicturesConfig, from_json
from engine.training.data import load_pair, load_picture
from engine.training.loop import choose_device
from engine.training.objectives import OBJECTIVES
from engine.training.pictures import PictureSamples, PicturesTrainer
from engine.training.teacher import Exemplar

from . import machine
from .candidates import STYLE, measure, references, train_candidate
from .train_library import practice_content

ROUNDS = 16
"""Steps timed of each objective: twice `r1_every`, so that lazy R1 counts for what it costs."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(OBJECTIVES), choices=list(OBJECTIVES), metavar="NAME")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=PicturesConfig().steps)
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=JSON", help="fields of PicturesConfig, for all")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--table", type=Path, help="Markdown to write")
    parser.add_argument("--sheet", type=Path, help="JPEG to write: the first seed's pictures of each objective")
    arguments = parser.parse_args()
    given = {field: json.loads(value) for field, _, value in (change.partition("=") for change in arguments.set)}
    configs = {name: config_of(name, given) for name in arguments.only}  # wrong ones end it here
    content = practice_content(arguments.shared / "content", arguments.work / "content")
    painting = load_picture(arguments.shared / "styles" / STYLE.picture, STYLE.side)
    wanted = references(arguments.shared, painting)
    measured: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in arguments.only}
    pictures: dict[str, list[Any]] = {}
    for seed in arguments.seeds:  # outermost, so that a run cut short has compared all objectives on some seeds
        for name in arguments.only:
            run = f"{name} seed {seed}"
            train_candidate(run, {"objective": name, **given, "seed": seed}, content, arguments)
            numbers, made = measure(run, arguments, painting, wanted)
            measured[name][seed] = numbers
            pictures.setdefault(name, made)
            print(json.dumps({"objective": name, "seed": seed, **numbers}), flush=True)
    seconds = seconds_per_step(configs, painting, arguments)
    rows = [row(configs[name], measured[name], seconds[name]) for name in arguments.only]
    known = {
        "colour_transfer": round(statistics.mean(reference.colour_transfer for reference in wanted), 4),
        "teacher": round(statistics.mean(reference.teacher for reference in wanted), 4),
    }
    result = {"painting": STYLE.name, "steps": arguments.steps, "set": given, "distances": known, "rows": rows}
    print(machine.write("_".join(["objectives", *given]), result))  # beside the result as published, not over it
    if arguments.table:
        with NewFile(arguments.table) as new:
            new.file.write(table(rows, known, arguments.steps, given).encode())
    if arguments.sheet:
        cells = [[Cell(p, name) for p in made] for name, made in pictures.items()]
        save_jpeg(contact_sheet(cells, STYLE.name, Look(width=256, height=256)), arguments.sheet)
    return 0


def config_of(objective: str, given: dict[str, Any]) -> PicturesConfig:
    config = from_json({"objective": objective, **given})
    assert isinstance(config, PicturesConfig)
    return config


def seconds_per_step(
    configs: dict[str, PicturesConfig], painting: Tensor, arguments: argparse.Namespace
) -> dict[str, float]:
    """Mean of a step in which the critic plays. The objectives take turns: a busy moment is nobody's alone."""
    device = choose_device(arguments.device)
    pairs = [load_pair(path) for path in sorted((arguments.work / "pairs").glob("*.safetensors"))]
    playing = {name: replace(config, warm_up=0.0) for name, config in configs.items()}
    samples = {
        name: PictureSamples(config, pairs, [], [Exemplar(painting)], device) for name, config in playing.items()
    }
    trainers = {name: PicturesTrainer(crops, device) for name, crops in samples.items()}
    taken: dict[str, list[float]] = {name: [] for name in configs}
    for _ in range(1 + ROUNDS):
        for name, trainer in trainers.items():
            started = time.perf_counter()
            trainer.step(0.0)
            if device.type == "cuda":
                torch.cuda.synchronize()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.mean(times[1:]) for name, times in taken.items()}  # the first one warms up


def row(config: PicturesConfig, measured: dict[int, dict[str, Any]], seconds: float) -> dict[str, Any]:
    """What one objective came to over its seeds, beside the settings that it played with."""
    settings = ("optimiser", "learning_rate", "critic_learning_rate", "critic_steps", "clip", "penalty", "r1")
    scores = {seed: numbers["mean_distance"] for seed, numbers in measured.items()}
    closed = {seed: numbers["median_way_closed"] for seed, numbers in measured.items()}
    return {
        "objective": config.objective,
        "median_score": round(statistics.median(scores.values()), 4),
        "spread": round(max(scores.values()) - min(scores.values()), 4),
        "scores": scores,
        "way_closed": closed,
        "seconds_per_step": round(seconds, 3),
        **{name: getattr(config, name) for name in settings},
    }


def table(rows: list[dict[str, Any]], known: dict[str, float], steps: int, given: dict[str, Any]) -> str:
    """The same as a page of the docs."""
    here = machine.describe()
    seeds = ", ".join(map(str, rows[0]["scores"]))
    titles = (
        *("objective", "R1", "optimiser", "learning rates", "critic steps"),
        *("score, median of seeds", "each seed", "spread", "way closed, each seed", "seconds per step"),
    )
    lines = [
        "# Adversarial objectives",
        "",
        "At the end of this page you know which of five objectives to train by, and what speaks for each.",
        "",
        "![The same pictures by each objective](images/objectives.jpg)",
        "",
        f"{STYLE.name}, {steps} steps, seeds {seeds}. Each objective with the optimiser, critic steps, clip, penalty",
        f"and R1 published for it (hinge with ours){f'; for all of them {json.dumps(given)}' if given else ''}.",
        "The default is hinge, for the eye decided: [benchmarks](../benchmarks/README.md) say why others score better.",
        f"Measured by `benchmarks.objectives` on {here['graphics'] or here['processor']}, {here['date']}.",
        "",
        "Score: bidirectional patch distance to the painting, mean of eight pictures never trained on; less is closer.",
        f"Of a plain colour transfer {known['colour_transfer']:.3f}, of the teacher {known['teacher']:.3f}.",
        "Way closed: share of the way from colour transfer (0) to teacher (1), median of the eight.",
        "Seconds: of a step in which the critic plays.",
        "",
        "| " + " | ".join(titles) + " |",
        "|" + "---|" * len(titles),
    ]
    for r in rows:
        cells = (
            *(r["objective"], r["r1"], r["optimiser"], f"{r['learning_rate']:g}, {r['critic_learning_rate']:g}"),
            *(r["critic_steps"], f"{r['median_score']:.3f}", ", ".join(f"{c:.3f}" for c in r["scores"].values())),
            *(f"{r['spread']:.3f}", ", ".join(f"{c:g}" for c in r["way_closed"].values()), r["seconds_per_step"]),
        )
        lines.append("| " + " | ".join(f"{cell}" for cell in cells) + " |")
    return "\n".join([*lines, "", "Back to [Training in depth](training_details.md)."]) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
