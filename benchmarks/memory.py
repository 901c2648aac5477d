"""Peak memory of the whole process tree while a large texture is stylized through the command line.

    python -m benchmarks.memory [--size 8192 16384] [--style NAME] [--tileable]

Makes a noisy PNG of that size, runs `python -m engine stylize`, samples the tree's memory twenty times a second, checks
that the result wraps, and writes the numbers into results/. Linux only (/proc). The bars: 2 GB at 8192, 3 GB at 16384.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import style_pack
from engine.files import create_png, open_picture

from . import machine

REPO = Path(__file__).resolve().parent.parent
BARS = {8192: 2.0, 16384: 3.0}
"""Edge of the texture -> GB"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[8192, 16384])
    parser.add_argument("--style", default="", help="a style; by default a tiny one made for the purpose")
    parser.add_argument("--tileable", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        style = arguments.style or _tiny(folder / "brush")
        runs = [measure(folder, size, style, arguments.tileable) for size in arguments.size]
    for run in runs:
        print(json.dumps(run))
    print(machine.write("memory", {"runs": runs}))
    return int(not all(run["passed"] for run in runs))


def measure(folder: Path, size: int, style: str, tileable: bool, more: Sequence[str] = ()) -> dict[str, Any]:
    """One run: GB at the peak, seconds, and how the result's border compares with its inner rows. more: arguments of
    `stylize`."""
    source = folder / f"texture_{size}.png"
    _write_texture(source, size)
    command = [sys.executable, "-m", "engine", "stylize", str(source), "--style", style, "--out", str(folder / "out")]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--json", *(["--tileable"] if tileable else []), *more],
        cwd=REPO,
        stdout=subprocess.PIPE,
        text=True,
    )
    peak = _watch(process)
    seconds = time.perf_counter() - started
    (done,) = [event for event in map(json.loads, process.stdout or ()) if event["type"] == "Stylized"]
    pack = style_pack.find(style)
    gigabytes = peak / 1e9
    seam, inner = _seam(Path(done["path"]))
    source.unlink()
    Path(done["path"]).unlink()
    return {
        "size": size,
        "style": pack.name,
        "macs_per_pixel": pack.model.macs_per_pixel,
        "tileable": tileable,
        "peak_gb": round(gigabytes, 3),
        "bar_gb": BARS.get(size),
        "seconds": round(seconds, 1),
        "stages": {stage: round(value, 2) for stage, value in done["seconds"].items()},
        "border_difference": seam,
        "inner_difference": inner,
        "passed": process.returncode == 0 and gigabytes <= BARS.get(size, 1e9) and (seam <= inner or not tileable),
    }


def _watch(process: subprocess.Popen[str]) -> int:
    """The largest sum of resident memory over the process and all below it, in bytes."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(_resident, _tree(process.pid))))
        time.sleep(0.05)
    return peak


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(map(int, task.read_text().split()))
            except OSError:  # it ended meanwhile
                continue
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _write_texture(path: Path, size: int) -> None:
    """A texture that tiles: waves and grain, RGB, 8 bits."""
    rng = np.random.default_rng(0)
    x = np.arange(size) * (2 * np.pi / size)
    with create_png(path, size, size, 3, np.uint8) as png:
        for top in range(0, size, 256):
            y = x[top : top + 256, None]
            wave = np.stack([np.sin(9 * x[None] + np.cos(5 * y)), np.cos(13 * y + 2 * x), np.sin(31 * (x + y))], axis=2)
            grain = rng.integers(-20, 20, wave.shape, dtype=np.int16)
            png.write_rows(np.clip(wave * 90 + 128 + grain, 0, 255).astype(np.uint8))


def _seam(path: Path) -> tuple[float, float]:
    """Mean difference between the last and the first row, and the largest between neighbouring inner rows."""
    reader = open_picture(path)
    rows = reader.read(0, 0, 64, reader.width).astype(np.int16)
    last = reader.read(reader.height - 1, 0, 1, reader.width).astype(np.int16)
    inner = np.abs(np.diff(rows, axis=0)).mean(axis=(1, 2))
    return round(float(np.abs(rows[:1] - last).mean()), 3), round(float(inner.max()), 3)


def _tiny(folder: Path) -> str:
    sys.path.insert(0, str(REPO / "tests" / "engine"))
    import tiny_styles  # type: ignore[import-not-found]

    return str(tiny_styles.brush(folder, name="Tiny brush", channels=16))


if __name__ == "__main__":
    sys.exit(main())
