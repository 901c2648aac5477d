"""How long the patch teacher takes for one picture of 512 x 512 pixels, after each picture of the library (paintings,
and exemplars of our own) and after two of them at once.

    python -m benchmarks.teacher --shared FOLDER [--device auto|cpu|cuda] [--size 512] [--rounds 3]

Medians over the rounds; the first picture on a graphics card is painted beforehand and not counted.
Writes results/teacher_<machine>.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.training.data import load_picture
from engine.training.loop import choose_device
from engine.training.teacher import Exemplar, Guide, TeacherConfig, paint, resize

from . import machine
from .quality import INPUTS
from .train_library import LIBRARY, LibraryStyle, seen

BARS = {"cpu": 60.0, "cuda": 2.0}
"""Issue 3: seconds at most for 512 pixels, on two cores and on a data-centre card."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    content = load_picture(arguments.shared / "content" / INPUTS[0])
    content = resize(content, (arguments.size, arguments.size)).clamp(0, 1).to(device)
    hands = [*([style] for style in LIBRARY), LIBRARY[:2]]
    rows = [measured(styles, content, arguments) for styles in hands]
    bar = BARS[device.type]
    passed = all(row["seconds"] <= bar for row in rows)
    numbers = {"device": device.type, "size": arguments.size, "bar": bar, "passed": passed, "rows": rows}
    print(json.dumps(numbers, indent=2))
    print(machine.write("teacher", numbers))
    return int(not passed)


def measured(styles: Sequence[LibraryStyle], content: Tensor, arguments: argparse.Namespace) -> dict[str, Any]:
    hand = [Exemplar(seen(style, arguments.shared).to(content.device)) for style in styles]
    config = TeacherConfig()
    guide = Guide([content], hand, config)
    seconds = []
    for number in range(arguments.rounds + int(content.is_cuda)):
        started = time.perf_counter()
        paint(content, hand, guide, config, torch.Generator(content.device).manual_seed(number))
        if content.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    counted = seconds[int(content.is_cuda) :]
    name = " and ".join(style.name for style in styles)
    return {"style": name, "seconds": round(statistics.median(counted), 2), "threads": torch.get_num_threads()}


if __name__ == "__main__":
    raise SystemExit(main())
