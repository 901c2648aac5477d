"""Texture styles beside their exemplars: a sheet to look at, and what a texture costs and how it wraps.

    python -m benchmarks.textures --pair EXEMPLAR PACK [--pair ...] --sheet docs/images/textures.jpg

Each row shows an exemplar, three seeds, and one of them four times side by side: a seam would stand out there. The
numbers go to results/textures_<machine>.json.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from engine import style_pack
from engine.contact_sheet import Cell, Look, contact_sheet
from engine.picture import Floats
from engine.runtime import Paint, Session, texture
from engine.training.data import load_picture

SIZE = 512
SEEDS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", nargs=2, action="append", required=True, type=Path, metavar=("EXEMPLAR", "PACK"))
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--quality", type=int, default=74, help="of the JPEG")
    arguments = parser.parse_args()
    rows, numbers = [], {}
    for exemplar, folder in arguments.pair:
        session = Session(style_pack.load(folder), "cpu")
        made = [whole(session, SIZE, seed) for seed in SEEDS]
        rows.append(cells(exemplar, session, made))
        numbers[session.pack.name] = measured(session, made)
        print(session.pack.name, numbers[session.pack.name], flush=True)
    sheet = contact_sheet(rows, look=Look(width=256, height=256))
    sheet.save(arguments.sheet, quality=arguments.quality, optimize=True)
    print(machine.write("textures", {"size": SIZE, "styles": numbers}))


def whole(session: Session, size: int, seed: int) -> Floats:
    """(3, size, size) 0..1"""
    return np.clip(texture(session, size, size, Paint(seed, wrap=True)).read(0, 0, size, size), 0, 1)


def cells(exemplar: Path, session: Session, made: list[Floats]) -> list[Cell]:
    training: dict[str, Any] = session.pack.recipe["training"]
    real = load_picture(exemplar, training["style_side"]).numpy()
    shown = [Cell(_rows(real), f"{exemplar.stem}: exemplar")]
    shown += [Cell(_rows(one[:, :256, :256]), f"seed {seed}") for seed, one in zip(SEEDS, made, strict=True)]
    return [*shown, Cell(_rows(np.tile(made[0], (1, 2, 2))), f"{SIZE} pixels, 2 x 2 times")]


def measured(session: Session, made: list[Floats]) -> dict[str, float]:
    """seam: step across the border to the largest between neighbouring rows or columns inside; seconds: for a texture
    of 2048 x 2048 in memory."""
    seams = [
        np.abs(np.take(one, 0, axis) - np.take(one, -1, axis)).mean()
        / np.abs(np.diff(one, axis=axis)).mean((0, 3 - axis)).max()
        for one in made
        for axis in (1, 2)
    ]
    difference = np.mean([np.abs(made[0] - other).mean() for other in made[1:]])
    started = time.perf_counter()
    canvas = texture(session, 2048, 2048, Paint(0, wrap=True))
    for top in range(0, 2048, 1024):
        for left in range(0, 2048, 1024):
            canvas.read(top, left, 1024, 1024)
    return {
        "seam": round(float(max(seams)), 3),
        "seed_difference": round(float(difference), 3),
        "seconds_2048": round(time.perf_counter() - started, 2),
        "steps": session.pack.recipe["steps"],
        "parameters": session.pack.model.parameters,
        "gmac_1920x1080": round(session.pack.model.macs_per_pixel * 1920 * 1080 / 1e9, 1),
    }


def _rows(planes: Floats) -> Floats:
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


if __name__ == "__main__":
    main()
