"""How long one 1920x1080 picture takes on two processor cores: our generator, CycleGAN's and fast-neural-style's.

    python -m benchmarks.inference [--style NAME] [--rounds 3]

All three run in one process, one after the other in every round, with the same session options, threads and picture;
the medians over the rounds count. Then `pentimento stylize` of such a picture as a process of its own, for its
peak memory. CycleGAN wants some 12 GB at this size. Writes results/inference_<machine>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from engine import style_pack
from engine.style_pack import GENERATOR, ModelInput, ModelSpec, StylePack, new_pack, write_pack

from . import machine, peers

REPO = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 1920, 1080
BARS = {"seconds": 1.0, "memory_mb": 1536, "cyclegan": 20.0, "fast-neural-style": 4.0}
"""Issue 2: at most, at most, at least as many times slower, likewise."""


def main() -> int:
    arguments = _arguments()
    if hasattr(os, "sched_setaffinity"):  # children inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    with tempfile.TemporaryDirectory() as folder:
        ours = _our_style(arguments.style, Path(folder))
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            seconds = pool.submit(measure, ours, Path(folder), arguments.rounds).result()
        numbers = _summary(style_pack.load(ours), seconds, measure_stylize(ours, Path(folder)))
    _print(numbers)
    print(f"Written: {machine.write('inference', numbers).relative_to(REPO)}")
    return 0


# ---------------------------------------------------------------- measuring


def measure(ours: Path, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of every run, by network: interleaved, so that whatever else the machine does meets all alike."""
    from engine.canvas import ArrayCanvas
    from engine.runtime import Paint, Session, noise_for

    sessions = {"ours": Session(style_pack.load(ours), "cpu")}
    for name in peers.PEERS:
        sessions[name] = Session(_peer_pack(name, folder), "cpu")
    picture = np.random.default_rng(0).random((1, 3, HEIGHT, WIDTH), dtype=np.float32)
    canvas = ArrayCanvas(picture[0])
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(rounds + 1):
        for name, session in sessions.items():
            start = time.perf_counter()
            ours_too = name == "ours"  # its strokes are laid along the forms of the picture: that is part of its time
            session.run(picture, noise_for(session, Paint(), (0, 0, HEIGHT, WIDTH), canvas) if ours_too else None)
            if number:  # the first round allocates
                seconds[name].append(time.perf_counter() - start)
    return seconds


def measure_stylize(style: Path, folder: Path) -> dict[str, Any]:
    """`pentimento stylize` of a 1920x1080 PNG: its own account of the seconds, and the peak memory of its process."""
    picture = folder / "picture.png"
    _write_picture(picture)
    stylize = [sys.executable, "-m", "engine", "stylize", str(picture), "--style", str(style), "--out", str(folder)]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *stylize, "--device", "cpu", "--json"],
        cwd=REPO,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    wall = time.perf_counter() - start
    *events, peak = map(json.loads, done.stdout.splitlines())
    (stylized,) = (event for event in events if event["type"] == "Stylized")
    return {"wall": wall, "seconds": stylized["seconds"], "peak_memory_mb": peak["kilobytes"] / 1024}


LAUNCHER = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(json.dumps({"kilobytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}))
sys.exit(code)
"""
"""Runs a command and says its peak memory. A process of its own, because Linux counts what the parent of a process
held when it started as the process's own: here that would be torch and CycleGAN."""


def _summary(pack: StylePack, seconds: dict[str, list[float]], whole: dict[str, Any]) -> dict[str, Any]:
    medians = {name: statistics.median(runs) for name, runs in seconds.items()}
    return {
        "picture": [WIDTH, HEIGHT],
        "style": pack.name,
        "gmac": round(pack.model.macs_per_pixel * WIDTH * HEIGHT / 1e9, 2),
        "parameters": pack.model.parameters,
        "median_seconds": medians,
        "times_slower": {name: medians[name] / medians["ours"] for name in peers.PEERS},
        "all_seconds": seconds,
        "stylize": whole,
    }


def _print(numbers: dict[str, Any]) -> None:
    print(f"{numbers['style']}: {numbers['parameters']:,} parameters, {numbers['gmac']} GMAC at {WIDTH}x{HEIGHT}")
    for name, seconds in numbers["median_seconds"].items():
        factor = numbers["times_slower"].get(name)
        bar = f"  {factor:5.1f} times slower (bar: {BARS[name]:g})" if factor else f"  (bar: {BARS['seconds']:g} s)"
        print(f"  {name:20}{seconds:7.3f} s{bar}")
    whole = numbers["stylize"]
    parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in whole["seconds"].items())
    print(f"  pentimento stylize: {whole['wall']:.2f} s in all ({parts})")
    print(f"  peak memory {whole['peak_memory_mb']:.0f} MB (bar: {BARS['memory_mb']} MB)")


# ---------------------------------------------------------------- what is measured


def _our_style(name: str, folder: Path) -> Path:
    """The style to measure: the one asked for, else the first that ships, else random weights in the same network."""
    if name:
        return style_pack.find(name).source
    own = [style for style in style_pack.installed() if style.kind == "pentimento" and not style.problem]
    shipped = [style for style in own if style.makes == "pictures"]
    return Path(shipped[0].folder) if shipped else _random_style(folder / "random")


def _random_style(folder: Path) -> Path:
    """The generator that ships, untrained, exported as training exports it."""
    from engine.training.export import model_spec, onnx_bytes
    from engine.training.networks import STRIDE, Generator, GeneratorConfig

    generator = Generator(GeneratorConfig()).eval()
    noise = ModelInput(generator.config.noise, scale=STRIDE)
    pack = new_pack("Random weights", model_spec(generator, noise))
    return write_pack(folder, pack, {GENERATOR: onnx_bytes(generator)}).source


def _peer_pack(name: str, folder: Path) -> StylePack:
    """A peer as a style pack, so that it runs in exactly the session our own styles run in."""
    data = peers.onnx_bytes(peers.PEERS[name](), HEIGHT, WIDTH)
    spec = ModelSpec({"image": ModelInput(3)}, fixed_size=(HEIGHT, WIDTH))
    return write_pack(folder / name, new_pack(name, spec, kind="third-party"), {GENERATOR: data})


def _write_picture(path: Path) -> None:
    """Soft colours with some grain: what a render is like to a PNG encoder."""
    from PIL import Image

    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) / HEIGHT
    waves = np.stack([0.5 + 0.4 * np.sin(5 * x + shift) * np.cos(4 * y - shift) for shift in (0.0, 1.0, 2.0)], 2)
    grain = np.random.default_rng(1).normal(0, 0.01, waves.shape)
    Image.fromarray((np.clip(waves + grain, 0, 1) * 255).astype(np.uint8)).save(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", default="", metavar="NAME", help="style to measure (default: the first that ships)")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default 3)")
    parser.add_argument("--cores", type=int, default=2, help="processor cores to use (default 2)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
