"""Does the likeness to an area fall when nothing is learned from it? Two quick trainings, with and without.

    python -m benchmarks.exclusion --shared FOLDER --work FOLDER [--style NAME] [--set FIELD=JSON ...]

The style is trained from scratch; the ninth of its picture to which Attribution.Provenance of its results points most
is excluded, and it is trained again, all else alike. What is compared is the share of the likeness, weighed by
confidence, that lies in that ninth, over pictures that no training saw.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import style_pack
from engine.canvas import ArrayCanvas
from engine.explain import provenance
from engine.explain.overlay import Overlay
from engine.picture import Floats
from engine.protocol import TrainRequest
from engine.runtime import Paint, Session, painted
from engine.style_pack import StylePack
from engine.training.data import load_picture
from engine.training.loop import train

from . import machine
from .train_library import HELD_OUT_SEEDS, LIBRARY, picture_request, practice_content

QUICK = {"size": 256, "pairs": 24, "steps": 600, "crop": 128, "critic_scales": 2, "held_out": 0.0}
"""Minutes on one processor core: palette and strokes are there, and the teacher's places are learned"""
PICTURES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--style", default="Wheat Field")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=JSON")
    arguments = parser.parse_args()
    content = practice_content(arguments.shared / "content", arguments.work / "content")
    style = next(one for one in LIBRARY if one.name == arguments.style)
    asked = picture_request(style, content, arguments)
    quick = replace(asked, config={**asked.config, **QUICK, **changes(arguments.set)})
    renders = sorted((arguments.shared / "content" / "renders").glob("*.jpg"))
    pictures = [load_picture(path, 256).numpy() for path in renders if int(path.name[:4]) in HELD_OUT_SEEDS][:PICTURES]
    whole, seconds = trained(quick, arguments.work / "whole", ())
    places = provenance.reference(whole)  # of which nothing is left out
    before = masses(whole, places, pictures)
    row, column = divmod(int(before.argmax()), 3)
    area = (column / 3, row / 3, (column + 1) / 3, (row + 1) / 3)
    after = masses(trained(quick, arguments.work / "excluded", area)[0], places, pictures)
    fall = 1 - float(after[row, column] / before[row, column])
    numbers = {"style": style.name, "settings": {**QUICK, **changes(arguments.set)}, "seconds of a training": seconds}
    numbers |= {"area": area, "before": before.tolist(), "after": after.tolist(), "fall": fall}
    print(json.dumps(numbers, indent=2))
    if not arguments.set:
        print(machine.write("exclusion", numbers))


def changes(told: list[str]) -> dict[str, Any]:
    return {field: json.loads(value) for field, _, value in (change.partition("=") for change in told)}


def trained(request: TrainRequest, out: Path, excluded: tuple[float, ...]) -> tuple[StylePack, float]:
    """The style, and how long it took."""
    began = time.monotonic()
    for _ in train(replace(request, out=str(out), config={**request.config, "excluded": list(excluded)})):
        pass
    return style_pack.load(out), round(time.monotonic() - began, 1)


def masses(pack: StylePack, places: provenance.Reference, pictures: list[Floats]) -> np.ndarray:
    """(3, 3): the share of the likeness in each ninth of the style picture, over all results"""
    session = Session(pack, "cpu")
    total = np.zeros((3, 3))
    for picture in pictures:
        size = picture.shape[1:]
        result = np.clip(painted(session, ArrayCanvas(picture), Paint()).read(0, 0, *size), 0, 1)
        work = provenance.provenance(places, result, np.ones(size, bool), False)
        overlay = next(step for step in work if isinstance(step, Overlay))
        mass = provenance.mass(overlay, places.pictures[0])
        total += [[part.sum() for part in np.array_split(rows, 3, axis=1)] for rows in np.array_split(mass, 3, axis=0)]
    return total / len(pictures)


if __name__ == "__main__":
    main()
