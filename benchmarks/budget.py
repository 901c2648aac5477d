"""Does `pentimento train --budget` keep to its time? Asked, taken from start to exit, and the steps it had.

    python -m benchmarks.budget --shared FOLDER --work FOLDER [--only NAME ...] [--threads N]

The command as an artist gives it, a process of its own, one after the other; the keyframe is painted by the procedural
painter (painter.py). Also when the rehearsal was and how long the end took, so that one sees what was foreseen. With
--threads as many as told (a result file of their own), else as many as torch takes (0 in the file). What else the
machine does is told by its load.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import machine
from .keyframes import KEYFRAME, Shot

CONTENTS = 24
"""Of the shared pictures, renders and textures alike"""


@dataclass(frozen=True)
class Case:
    kind: str
    minutes: int


CASES = {
    "pictures 2m": Case("pictures", 2),
    "pictures 5m": Case("pictures", 5),
    "keyframes 2m": Case("keyframes", 2),
    "texture 2m": Case("texture", 2),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES), metavar="NAME")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    threads, rows = arguments.threads or 0, []
    for name in arguments.only:
        given = given_to(CASES[name].kind, arguments.shared, arguments.work)
        rows.append({"case": name, "threads": threads, **timed(CASES[name], given, arguments)})
        print(json.dumps(rows[-1]), flush=True)
        written = machine.write("budget" if not threads else f"budget_{threads}_threads", {"rows": rows})
    print(written)
    return 0


def given_to(kind: str, shared: Path, work: Path) -> list[str]:
    """What a training of this kind starts from, as arguments."""
    if kind == "keyframes":
        shot = Shot(shared / "sequences" / "walk")
        return ["--keyframe", str(shot.painted_over(KEYFRAME, work)), "--frames", str(shot.folder)]
    if kind == "texture":
        return ["--style-picture", str(next((shared / "content" / "textures").glob("*stone.jpg")))]
    return ["--style-picture", str(shared / "styles" / "starry_night.jpg"), "--content", str(contents(shared, work))]


def contents(shared: Path, work: Path) -> Path:
    """A folder of CONTENTS pictures, evenly chosen."""
    folder = work / "content"
    folder.mkdir(exist_ok=True)
    found = sorted(path for path in (shared / "content").rglob("*") if path.suffix in (".png", ".jpg"))
    for index in range(CONTENTS):
        path = found[index * len(found) // CONTENTS]
        shutil.copyfile(path, folder / path.name)
    return folder


def timed(case: Case, given: list[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """One training: seconds asked and taken, the steps it had, and how long rehearsal and end took of them."""
    out = arguments.work / f"{case.kind} {case.minutes}m"
    for old in (out, out.with_name(out.name + ".training")):
        shutil.rmtree(old, ignore_errors=True)
    line = [sys.executable, "-m", "engine", "train", "--json", "--kind", case.kind, *given]
    line += ["--budget", f"{case.minutes}m", "--out", str(out)]
    threads = {"OMP_NUM_THREADS": str(arguments.threads)} if arguments.threads else {}
    load, started, said = os.getloadavg()[0], time.monotonic(), []
    with subprocess.Popen(line, env={**os.environ, **threads}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            said.append((time.monotonic() - started, json.loads(text)))
    if process.returncode:
        raise SystemExit(f"The training failed: {said[-1:]}")
    return {**times(case.minutes * 60, time.monotonic() - started, said), "load": [load, os.getloadavg()[0]]}


def times(asked: int, taken: float, said: list[tuple[float, dict[str, Any]]]) -> dict[str, Any]:
    """said: the events with the seconds they came at."""
    at = [when for when, event in said if "rehearsed" in event.get("stage", "")]
    steps = [when for when, event in said if event["type"] == "TrainStep"]
    ready = next(when for when, event in said if event["type"] == "StyleReady")
    numbers = {
        "asked": asked,
        "taken": taken,
        "share": taken / asked,
        "style_ready": ready,
        "rehearsal_began": at[0] if at else taken,  # none where the time was over before
        "first_step_told": steps[0],
        "last_step_told": steps[-1],
    }
    pairs = sum("paints" in event.get("stage", "") for _, event in said)
    rounded = {name: round(value, 3 if name == "share" else 1) for name, value in numbers.items()}
    return {**rounded, "steps": said[-1][1]["report"]["steps"], "pairs": pairs}


if __name__ == "__main__":
    raise SystemExit(main())
