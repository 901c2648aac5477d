"""What a diagnosis costs, as a share of the steps between two: `python -m benchmarks.diagnosis --shared FOLDER`.

The default config on Starry Night, a strip of which is held out, in both parts of a run. Measured in processor seconds
of one thread, so that other programs on the machine count little.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from engine.training.config import PicturesConfig
from engine.training.data import Pair, load_picture, to_bytes
from engine.training.diagnostics import Diagnostics
from engine.training.pictures import PictureSamples, PicturesTrainer, split_style
from engine.training.workspace import Workspace

from . import machine

ROUNDS, STEPS = 3, 16
"""Diagnoses measured, and steps between them: twice `r1_every`, so that lazy R1 counts for what it costs."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    painting = load_picture(arguments.shared / "styles" / "starry_night.jpg", PicturesConfig.style_side)
    rows = [measured(painting, part, warm_up) for part, warm_up in (("strokes", 1.0), ("critic", 0.0))]
    print(json.dumps(rows, indent=2))
    print(machine.write("diagnosis", {"rows": rows}))
    return 0


def measured(painting: torch.Tensor, part: str, warm_up: float) -> dict[str, object]:
    """Seconds of a step and of a diagnosis in one part of a run."""
    config = replace(PicturesConfig(), warm_up=warm_up)
    style, strip = split_style(painting, config)
    assert strip is not None
    crops = [painting[:, :400, left : left + 400] for left in (0, 200, 400)]
    pairs = [Pair(to_bytes(crop.flip(0)), to_bytes(crop), torch.zeros(2, 1, 1)) for crop in crops]
    device = torch.device("cpu")
    trainer = PicturesTrainer(PictureSamples(config, pairs, [], [style], device, [], [strip]), device)
    with tempfile.TemporaryDirectory() as folder:
        doctor = Diagnostics(trainer, Workspace(Path(folder)))
        trainer.step(0.0)  # the first one warms up
        step, diagnosis = [], []
        for _ in range(ROUNDS):
            started = time.process_time()
            for _ in range(STEPS):
                trainer.step(0.0)
            between = time.process_time()
            doctor.examine("benchmark", 0.0)
            step.append((between - started) / STEPS)
            diagnosis.append(time.process_time() - between)
    seconds, cost = statistics.median(step), statistics.median(diagnosis)
    share = cost / (config.diagnose_every * seconds)
    return {"part": part, "step_s": round(seconds, 3), "diagnosis_s": round(cost, 3), "share": round(share, 4)}


if __name__ == "__main__":
    raise SystemExit(main())
