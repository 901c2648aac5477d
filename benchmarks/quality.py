"""Do the shipped styles have the painting's hand? Ours beside a plain colour transfer and the patch teacher.

    python -m benchmarks.quality --shared FOLDER [--styles FOLDER] [--only NAME ...] [--blind FOLDER] [--sheets FOLDER]

For every painted style that ships and eight pictures never trained on: the bidirectional patch distance of each
(METHODS: eyes are the judge, this number ranks right), the share of the way from colour transfer (0) to teacher (1),
contact sheets, and for eyes a folder of unlabelled triples with their key in a file of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine import style_pack
from engine.canvas import ArrayCanvas
from engine.contact_sheet import Cell, Look, contact_sheet, save_jpeg, save_png
from engine.runtime import Paint, Session, painted
from engine.training.config import PicturesConfig, from_json
from engine.training.data import load_picture, to_bytes
from engine.training.metrics import colour_transfer, patch_distance, way_closed
from engine.training.teacher import Exemplar, Guide, TeacherConfig, paint, resize

from . import machine
from .train_library import LIBRARY, LibraryStyle, held_out, seen

INPUTS = (
    "renders/0083_city.jpg",
    "renders/0085_figure.jpg",
    "renders/0090_night.jpg",
    "renders/0082_landscape.jpg",
    "renders/0094_interior.jpg",
    "renders/0093_stilllife.jpg",
    "textures/tex_008_leaves.jpg",
    "textures/tex_056_plaid.jpg",
)
"""Held out of training: renders of six kinds and two flat textures."""
SIZE = 384
"""Edge of the pictures compared: at the scale of training, large enough for strokes to show."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--styles", type=Path, default=Path(__file__).parent.parent / "engine" / "styles")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="no result file is written then")
    parser.add_argument("--blind", type=Path)
    parser.add_argument("--sheets", type=Path)
    arguments = parser.parse_args()
    contents = {name: square(arguments.shared / "content" / name) for name in INPUTS}
    curve = [load_picture(p, 128) for p in sorted((arguments.shared / "content").rglob("*.jpg")) if not held_out(p)]
    rows: list[dict[str, Any]] = []
    shipped = [style for style in LIBRARY if (arguments.styles / style_pack.slug(style.name)).exists()]
    for style in [style for style in shipped if not arguments.only or style.name in arguments.only]:
        compared = compare(style, arguments, contents, curve)
        rows += [numbers for numbers, _ in compared]
        if arguments.sheets:
            _sheet(style, [pictures for _, pictures in compared], arguments.sheets)
        if arguments.blind:
            _blind(style, [pictures for _, pictures in compared], arguments.blind)
    summary = summarise(rows)
    print(json.dumps(summary, indent=2))
    if not arguments.only:
        print(machine.write("quality", {"summary": summary, "rows": rows}))
    return int(not summary["passed"])


def compare(
    style: LibraryStyle, arguments: argparse.Namespace, contents: dict[str, Tensor], curve: list[Tensor]
) -> list[tuple[dict[str, Any], dict[str, Tensor]]]:
    """(numbers, pictures) for every input."""
    pack = style_pack.load(arguments.styles / style_pack.slug(style.name))
    config = from_json(pack.recipe["training"])
    assert isinstance(config, PicturesConfig)
    painting = seen(style, arguments.shared)
    hand, session = [Exemplar(painting)], Session(pack, "cpu")
    guide = Guide(curve, hand, config.teacher)
    results = []
    for name, content in contents.items():
        seed = torch.Generator().manual_seed(1)
        pictures = {
            "content": content,
            "colour transfer": colour_transfer(content, painting),
            "ours": torch.from_numpy(stylized(session, content)),
            "teacher": paint(content, hand, guide, config.teacher, seed).picture,
        }
        results.append((_numbers(style.name, name, pictures, painting), pictures))
        print(json.dumps(results[-1][0]), flush=True)
    return results


def stylized(session: Session, content: Tensor) -> Any:
    """(3, H, W) 0..1 through the product's own runtime."""
    canvas = painted(session, ArrayCanvas(content.numpy(), False), Paint(seed=0))
    return canvas.read(0, 0, *content.shape[1:]).clip(0, 1)


def _numbers(style: str, name: str, pictures: dict[str, Tensor], painting: Tensor) -> dict[str, Any]:
    distances = {label: distance(p, painting) for label, p in pictures.items() if label != "content"}
    closed = way_closed(distances["ours"], distances["colour transfer"], distances["teacher"])
    rounded = {label: round(value, 4) for label, value in distances.items()}
    return {"style": style, "input": name, **rounded, "closed": round(closed, 3)}


def distance(picture: Tensor, painting: Tensor) -> float:
    """Patch distance, mean of both ways, at the scale of the teacher's search."""
    return sum(patch_distance(picture, painting, TeacherConfig().levels[-1])) / 2


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The bar: below the colour transfer on 20 of 24, and half of the way to the teacher in the median."""
    better = sum(row["ours"] < row["colour transfer"] for row in rows)
    closed = statistics.median(row["closed"] for row in rows)
    return {
        "better_than_colour_transfer": better,
        "of": len(rows),
        "median_way_closed": closed,
        "worst_way_closed": min(row["closed"] for row in rows),
        "passed": better >= 20 / 24 * len(rows) and closed >= 0.5,
    }


def square(path: Path) -> Tensor:
    """A content file at the size of comparison, (3, SIZE, SIZE) 0..1."""
    return resize(load_picture(path), (SIZE, SIZE)).clamp(0, 1)


def _pixels(picture: Tensor) -> Any:
    return to_bytes(picture).permute(1, 2, 0).numpy()


def _sheet(style: LibraryStyle, compared: list[dict[str, Tensor]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [[Cell(_pixels(p[label]), label) for p in compared] for label in compared[0]]
    sheet = contact_sheet(rows, f"{style.name}: {style.author}", Look(width=256, height=256))
    save_jpeg(sheet, folder / f"style_{style_pack.slug(style.name)}.jpg")


def _blind(style: LibraryStyle, compared: list[dict[str, Tensor]], folder: Path) -> None:
    """One PNG per input: content, then ours, colour transfer and teacher in random order. The key is a file apart."""
    folder.mkdir(parents=True, exist_ok=True)
    key = {}
    for index, pictures in enumerate(compared):
        labels = ["ours", "colour transfer", "teacher"]
        random.Random(f"{style.name}/{index}").shuffle(labels)
        cells = [Cell(_pixels(pictures["content"]), "content")]
        cells += [Cell(_pixels(pictures[label]), letter) for label, letter in zip(labels, "ABC", strict=True)]
        name = f"{style_pack.slug(style.name)}_{index}.png"
        save_png(contact_sheet([cells], look=Look(width=SIZE, height=SIZE)), folder / name)
        key[name] = dict(zip("ABC", labels, strict=True))
    (folder / f"key_{style_pack.slug(style.name)}.json").write_text(json.dumps(key, indent=2))


if __name__ == "__main__":
    raise SystemExit(main())
