"""Styles from keyframes: do strokes stick, with which guides, and how long does it take?

    python -m benchmarks.keyframes --shared FOLDER --work FOLDER [--only NAME ...] [--budget SECONDS] [--sheet FILE]

A procedural painter (painter.py) paints over one frame of each shot. For every choice of guides: seconds (wall and
processor), E_warp over the shot beside that of the frames themselves and of the painter who paints every frame anew,
and how much detail is left, for a blurred result does not flicker either. A sheet to look at: eyes judge.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine import style_pack
from engine.atomic import write_json
from engine.canvas import ArrayCanvas
from engine.contact_sheet import Cell, Look, contact_sheet, save_jpeg, save_png
from engine.motion import motion, warp_error
from engine.passes import read_passes
from engine.picture import Floats
from engine.protocol import Done, Preview, TrainRequest, training_folder
from engine.runtime import Paint, Session, painted
from engine.training.data import load_picture
from engine.training.loop import train

from . import machine
from .painter import painting

KEYFRAME = 8
"""The frame that is painted over, in the middle of each shot"""
SHOWN = (8, 1, 16)
"""Frames on the sheet: the painted one and those farthest away"""
QUALITY = 68
"""Of the sheet's JPEG: strokes weigh much, and docs hold at most 400 KB a picture."""


@dataclass(frozen=True)
class Candidate:
    shot: str
    guides: tuple[str, ...] = ()
    changes: dict[str, float] = field(default_factory=dict)
    """Settings of the training that differ from their defaults"""


CANDIDATES = {
    "walk": Candidate("walk"),
    "walk, normal uv": Candidate("walk", ("normal", "uv")),
    "orbit": Candidate("orbit"),
    "orbit, normal position": Candidate("orbit", ("normal", "position")),
}
STEADY = {
    f"{shot}, {name}": Candidate(shot, changes=changes)
    for shot in ("walk", "orbit")
    for name, changes in (
        ("plain", {}),
        ("steadiness 1", {"steadiness": 1.0}),
        ("steadiness 4", {"steadiness": 4.0}),
        ("frame difference 20", {"frame_difference": 20.0}),
    )
}
"""What the terms for steadiness do; asked for by name, and kept in a result file of its own"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), choices=[*CANDIDATES, *STEADY], metavar="NAME")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--budget", type=float, help="seconds for each")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    rows, cells = [], []
    for name in arguments.only:
        shot = Shot(arguments.shared / "sequences" / chosen(name).shot)
        keyframe = shot.painted_over(KEYFRAME, arguments.work)
        numbers = train_one(name, shot, keyframe, arguments)
        results = shot.stylized(arguments.work / style_pack.slug(name))
        rows.append({"candidate": name, **numbers, **shot.compared(results, shot.painted_anew(arguments.work))})
        shown = (Cell(results[n - 1].transpose(1, 2, 0), f"frame {n}") for n in SHOWN)
        cells.append([Cell(keyframe, f"{name}: painted over frame {KEYFRAME}"), *shown])
        print(json.dumps(rows[-1]), flush=True)
    print(machine.write("keyframes" if set(arguments.only) & set(CANDIDATES) else "steadiness", {"rows": rows}))
    if arguments.sheet:
        sheet = contact_sheet(cells, "Styles from keyframes", Look(width=384, height=216))
        save_jpeg(sheet, arguments.sheet, QUALITY)
    return 0


def chosen(name: str) -> Candidate:
    return (CANDIDATES | STEADY)[name]


def train_one(name: str, shot: Shot, keyframe: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains where no finished style lies, going on where a stopped run was; steps and seconds it took."""
    out = arguments.work / style_pack.slug(name)
    seconds = out.with_name(out.name + ".seconds.json")
    if not (out / style_pack.MANIFEST).exists():
        resume = (training_folder(str(out)) / "config.json").exists()
        clock = Clock(seconds, resume)
        request = TrainRequest(
            name, (), "", str(out), config_of(name, arguments), resume,
            frames=str(shot.folder), keyframes=(str(keyframe),),
        )  # fmt: skip
        for event in train(request):
            if isinstance(event, (Preview, Done)):  # what was learned so far has just been written
                clock.write()
    return {"steps": style_pack.load(out).recipe["steps"], **json.loads(seconds.read_text("utf-8"))}


def config_of(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    limits = {"steps": arguments.steps, "budget": arguments.budget}
    config: dict[str, Any] = {name_: value for name_, value in limits.items() if value is not None}
    guided = {"generator": {"guides": list(chosen(name).guides)}}
    return config | guided | chosen(name).changes | {"kind": "keyframes", "name": name, "device": arguments.device}


class Clock:
    """Seconds a training has taken so far, wall and processor, in a file beside its pack: a stopped run keeps them."""

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        earlier = json.loads(path.read_text("utf-8")) if resume and path.exists() else {}
        self.before = {"seconds": 0.0, "processor_seconds": 0.0} | earlier
        self.started, self.used = time.monotonic(), time.process_time()

    def write(self) -> None:
        passed = {"seconds": time.monotonic() - self.started, "processor_seconds": time.process_time() - self.used}
        write_json(self.path, {name: round(self.before[name] + value, 1) for name, value in passed.items()})


class Shot:
    """The frames of a shot, and what can be measured on results for them: (3, H, W) each, 0..1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = sorted(folder.glob("*.exr"))
        self.passes = [read_passes(path) for path in self.paths]
        self.frames = [load_picture(path).numpy() for path in self.paths]
        self.ways = [motion(before, now) for before, now in pairwise(self.passes)]

    def painted_over(self, number: int, work: Path) -> Path:
        """Frame `number` as the painter paints it: five seconds, so it is kept."""
        path = work / f"{self.paths[number - 1].stem}_painted.png"
        if not path.exists():
            work.mkdir(parents=True, exist_ok=True)
            save_png(Image.fromarray(painting(self.frames[number - 1], number)), path)
        return path

    def painted_anew(self, work: Path) -> list[Floats]:
        """Every frame painted over."""
        return [load_picture(self.painted_over(number, work)).numpy() for number in range(1, len(self.paths) + 1)]

    def stylized(self, pack: Path) -> list[Floats]:
        session = Session(style_pack.load(pack), "cpu")
        canvases = (
            painted(session, ArrayCanvas(frame), Paint(), passes)
            for frame, passes in zip(self.frames, self.passes, strict=True)
        )
        return [canvas.read(0, 0, canvas.height, canvas.width).clip(0, 1) for canvas in canvases]

    def compared(self, results: list[Floats], anew: list[Floats]) -> dict[str, float]:
        numbers = {
            "warp_error": self.warp_error(results),
            "warp_error_frames": self.warp_error(self.frames),
            "warp_error_painted_anew": self.warp_error(anew),
            "detail_keyframe": _crisp(results, anew, KEYFRAME),
            "detail_first_last": (_crisp(results, anew, 1) + _crisp(results, anew, len(anew))) / 2,
        }
        return {name: round(value, 4) for name, value in numbers.items()}

    def warp_error(self, pictures: list[Floats]) -> float:
        errors = (warp_error(*two, way) for two, way in zip(pairwise(pictures), self.ways, strict=True))
        return float(np.concatenate(list(errors)).mean())


def _crisp(results: list[Floats], anew: list[Floats], number: int) -> float:
    """Detail of a frame beside that of the painter's own: 1 means as crisp."""
    return detail(results[number - 1]) / detail(anew[number - 1])


def detail(picture: Floats) -> float:
    """Mean difference of neighbouring pixels"""
    return float(np.abs(np.diff(picture, axis=1)).mean() + np.abs(np.diff(picture, axis=2)).mean())


if __name__ == "__main__":
    raise SystemExit(main())
