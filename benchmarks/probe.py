"""How long does an answer take? Influence and Removal of one pixel of a 960x540 picture, until they are answered.

    python -m benchmarks.probe --picture FILE [--style NAME ...]

The certificate follows as its own event; its time is told beside. The style is opened anew each time, as the first
question of a session does. Medians of three.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from engine.explanation import explain
from engine.protocol import Answered, Explained, ExplainRequest, PictureSource, Region, StyleShare, StylizeSettings

from . import machine

SIZE = (960, 540)
BARS = {"Influence": 1.0, "Removal": 10.0}
"""Seconds on two processor cores"""
TIMES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--style", nargs="*", default=["Starry Night", "Metzinger", "Risograph"])
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        with Image.open(arguments.picture) as opened:
            opened.convert("RGB").resize(SIZE).save(picture)
        for style in arguments.style:
            for overlay, bar in BARS.items():
                told = [seconds(picture, style, overlay, Path(folder)) for _ in range(TIMES)]
                answered, certified = (round(statistics.median(column), 2) for column in zip(*told, strict=True))
                rows.append({"style": style, "overlay": overlay, "answered": answered, "certified": certified})
                print(rows[-1], "met" if answered <= bar else f"NOT met ({bar} s)", flush=True)
    print(machine.write("probe", {"size": SIZE, "bars": BARS, "rows": rows}))


def seconds(picture: Path, style: str, overlay: str, folder: Path) -> tuple[float, float]:
    """Until the answer, and until its certificate"""
    settings = StylizeSettings((StyleShare(style),), overlays=(overlay,), device="cpu")
    source, region = PictureSource("picture", str(picture)), Region(at=(SIZE[0] // 2, SIZE[1] // 2))
    began, answered = time.perf_counter(), 0.0
    for event in explain(ExplainRequest("probe", source, settings, str(folder), region)):
        if isinstance(event, Answered):
            answered = time.perf_counter() - began
        if isinstance(event, Explained):
            return answered, time.perf_counter() - began
    raise AssertionError("explain ends with its overlay")


if __name__ == "__main__":
    main()
