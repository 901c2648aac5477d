"""Routes, the critic's worth and generators compared: the same painting, the same steps, the same eight pictures.

    python -m benchmarks.candidates --shared FOLDER --work FOLDER [--only NAME ...] [--steps N] [--sheet FILE]

Every candidate is a training of its own that differs in the named settings only; the teacher's pairs are shared. Prints
and records patch distances, the way closed between colour transfer and teacher, seconds per step, parameters and GMAC.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine import style_pack
from engine.contact_sheet import Cell, Look, contact_sheet, save_jpeg
from engine.protocol import TrainRequest
from engine.runtime import Session
from engine.training.data import load_picture, to_bytes
from engine.training.loop import train
from engine.training.metrics import colour_transfer, way_closed
from engine.training.teacher import Exemplar, Guide, TeacherConfig, paint

from . import machine
from .quality import INPUTS, distance, square, stylized
from .train_library import LIBRARY, held_out, practice_content

CANDIDATES: dict[str, dict[str, Any]] = {
    "teacher": {},
    "no critic": {"adversarial": 0.0, "features": 0.0},
    "critic and patches": {"patches": 4.0},
    "adversarial": {"route": "adversarial"},
    "dense 48 x 4": {"generator": {"kind": "dense", "width": 48, "blocks": 4, "dilations": [1, 2, 4, 1]}},
    "dense 64 x 3": {"generator": {"kind": "dense", "width": 64, "blocks": 3, "dilations": [1, 2, 1]}},
}
STYLE = LIBRARY[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), choices=list(CANDIDATES), metavar="NAME")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    content = practice_content(arguments.shared / "content", arguments.work / "content")
    painting = load_picture(arguments.shared / "styles" / STYLE.picture, STYLE.side)
    wanted = references(arguments.shared, painting)
    rows, pictures = [], {}
    for name in arguments.only:
        seconds = train_candidate(name, CANDIDATES[name], content, arguments)
        numbers, pictures[name] = measure(name, arguments, painting, wanted)
        rows.append({"candidate": name, "steps": arguments.steps, "seconds": round(seconds), **numbers})
        print(json.dumps(rows[-1]), flush=True)
    print(machine.write("candidates", {"painting": STYLE.name, "rows": rows}))
    if arguments.sheet:
        cells = [[Cell(p, name) for p in made] for name, made in pictures.items()]
        save_jpeg(contact_sheet(cells, STYLE.name, Look(width=256, height=256)), arguments.sheet)
    return 0


def train_candidate(name: str, changes: dict[str, Any], content: Path, arguments: argparse.Namespace) -> float:
    """Trains with `changes` to the defaults. Seconds it took, without the teacher where its pairs lay there already."""
    out = _folder(name, arguments)
    config = {"style_side": STYLE.side, "steps": arguments.steps, "device": arguments.device, **changes}
    pairs = arguments.work / "pairs"
    mine = out.with_name(out.name + ".training") / "pairs"
    if pairs.is_dir() and not mine.exists():
        shutil.copytree(pairs, mine)
    started = time.monotonic()
    picture = str(arguments.shared / "styles" / STYLE.picture)
    resume = (mine.parent / "config.json").exists()
    for _ in train(TrainRequest(name, (picture,), str(content), str(out), config, resume)):
        pass
    if not pairs.is_dir() and any(mine.iterdir()):
        shutil.copytree(mine, pairs)
    return time.monotonic() - started


@dataclass(frozen=True)
class Reference:
    """A picture never trained on, and the patch distances between which a candidate is placed."""

    content: Tensor
    colour_transfer: float
    teacher: float


def references(shared: Path, painting: Tensor) -> list[Reference]:
    known = [load_picture(p, 128) for p in sorted((shared / "content").rglob("*.jpg")) if not held_out(p)]
    config, hand = TeacherConfig(), [Exemplar(painting)]
    guide = Guide(known, hand, config)
    found = []
    for file in INPUTS:
        content = square(shared / "content" / file)
        taught = paint(content, hand, guide, config, torch.Generator().manual_seed(1)).picture
        found.append(
            Reference(content, distance(colour_transfer(content, painting), painting), distance(taught, painting))
        )
    return found


def measure(
    name: str, arguments: argparse.Namespace, painting: Tensor, wanted: list[Reference]
) -> tuple[dict[str, Any], list[Any]]:
    pack = style_pack.load(_folder(name, arguments))
    session = Session(pack, "cpu")
    made = [torch.from_numpy(stylized(session, reference.content)) for reference in wanted]
    distances = [distance(m, painting) for m in made]
    closed = [way_closed(d, r.colour_transfer, r.teacher) for d, r in zip(distances, wanted, strict=True)]
    numbers = {
        "mean_distance": round(statistics.mean(distances), 4),
        "median_way_closed": round(statistics.median(closed), 3),
        "worst_way_closed": round(min(closed), 3),
        "parameters": pack.model.parameters,
        "gmac_1080p": round(pack.model.macs_per_pixel * 1920 * 1080 / 1e9, 1),
    }
    return numbers, [to_bytes(m).permute(1, 2, 0).numpy() for m in made]


def _folder(name: str, arguments: argparse.Namespace) -> Path:
    folder: Path = arguments.work / style_pack.slug(name)
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
