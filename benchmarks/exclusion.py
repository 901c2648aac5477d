"""Does the likeness to an area fall when nothing is learned from it? Two quick trainings, with and without.

    python -m benchmarks.exclusion --shared FOLDER --work FOLDER [--only NAME ...] [--set FIELD=JSON ...]

A style is trained from scratch; the ninth of its picture to which Attribution.Provenance of its results points most
is excluded, and it is trained again, all else alike. What is compared is the share of the likeness that lies in that
ninth, of all of it and of what is surer than chance, over pictures that no training saw: painted by the teacher, by the
student with the strokes of that picture told to it by its encoder, and by the student as it is used, with free
strokes. Those are also asked about as an artist does who has trained anew, in the style picture of the new style. And
what do colours alone make? The same pictures, unpainted, in the colours of the painting. Styles that lie in --work are
not trained again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load

from engine import style_pack
from engine.canvas import ArrayCanvas
from engine.explain import provenance
from engine.explain.overlay import Overlay
from engine.explain.provenance import Reference
from engine.picture import Floats
from engine.protocol import TrainRequest
from engine.runtime import Paint, Session, painted
from engine.style_pack import StylePack, slug
from engine.training.config import PicturesConfig, from_json
from engine.training.data import load_content, load_picture
from engine.training.export import TRAINING
from engine.training.loop import train
from engine.training.pictures import style_pictures
from engine.training.teacher import Guide, paint

from . import machine
from .provenance import encoder_of
from .train_library import HELD_OUT_SEEDS, LIBRARY, LibraryStyle, picture_request, practice_content

QUICK = {"size": 256, "pairs": 24, "steps": 600, "crop": 128, "critic_scales": 2, "held_out": 0.0}
"""Minutes on one processor core: palette and strokes are there, and the teacher's places are learned"""
PICTURES = 8
STYLES = "Wheat Field", "Starry Night"
FREE = "student, free strokes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=STYLES, metavar="NAME", help="no result file is written then")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=JSON", help="nor then")
    arguments = parser.parse_args()
    rows = {style.name: measured(style, arguments) for style in LIBRARY if style.name in arguments.only}
    settings = {**QUICK, **changes(arguments.set)}
    numbers = {"settings": settings, "pictures": PICTURES, "styles": rows}
    print(json.dumps(numbers, indent=2))
    if not arguments.set and tuple(arguments.only) == STYLES:
        print(machine.write("exclusion", numbers))


def changes(told: list[str]) -> dict[str, Any]:
    return {field: json.loads(value) for field, _, value in (change.partition("=") for change in told)}


def measured(style: LibraryStyle, arguments: argparse.Namespace) -> dict[str, Any]:
    """Of who painted, what share of the likeness lies in the excluded ninth, without and with exclusion."""
    content = practice_content(arguments.shared / "content", arguments.work / "content")
    asked = picture_request(style, content, arguments)
    quick = replace(asked, config={**asked.config, **QUICK, **changes(arguments.set)})
    renders = sorted((arguments.shared / "content" / "renders").glob("*.jpg"))
    pictures = [load_picture(path, 256).numpy() for path in renders if int(path.name[:4]) in HELD_OUT_SEEDS][:PICTURES]
    whole = trained(quick, arguments.work / slug(style.name) / "whole", ())
    places = provenance.reference(whole)  # of which nothing is left out
    before = {name: masses(places, results) for name, results in painted_by(whole, quick, pictures).items()}
    row, column = divmod(int(before[FREE]["all"].argmax()), 3)
    area = (column / 3, row / 3, (column + 1) / 3, (row + 1) / 3)
    excluded = trained(quick, arguments.work / slug(style.name) / "excluded", area)
    results = painted_by(excluded, quick, pictures)
    after = {name: masses(places, painted) for name, painted in results.items()}
    falls = {
        name: {kind: _fall(mass[row, column], after[name][kind][row, column]) for kind, mass in kinds.items()}
        for name, kinds in before.items()
    }
    anew = masses(provenance.reference(excluded), results[FREE])
    asked_anew = {kind: _fall(mass[row, column], anew[kind][row, column]) for kind, mass in before[FREE].items()}
    coloured = masses(places, [recoloured(picture, places.pictures[0]) for picture in pictures])
    unpainted = {kind: float(mass[row, column]) for kind, mass in coloured.items()}
    alone = {f"{FREE}, asked of the new style": asked_anew, "unpainted, in its colours": unpainted}
    return {"area": area, "chance": places.chance, **falls, **alone}


def recoloured(picture: Floats, style: Floats) -> Floats:
    """A picture (3, H, W) with each channel's values of a style picture (3, h, w), in the order they had."""
    ranks = [plane.ravel().argsort().argsort() / (plane.size - 1) for plane in picture]
    values = [
        np.interp(rank, np.linspace(0, 1, plane.size), np.sort(plane, axis=None))
        for plane, rank in zip(style, ranks, strict=True)
    ]
    return np.asarray(values, np.float32).reshape(picture.shape)


def _fall(before: float, after: float) -> dict[str, float]:
    return {"before": float(before), "after": float(after), "fall": 1 - float(after / before) if before > 0 else 0.0}


def trained(request: TrainRequest, out: Path, excluded: tuple[float, ...]) -> StylePack:
    """The style: that which lies there, or a new one."""
    if not (out / "style.json").exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        for _ in train(replace(request, out=str(out), config={**request.config, "excluded": list(excluded)})):
            pass
        print(f"{request.job}, {out.name}: {time.monotonic() - began:.0f} s", flush=True)
    return style_pack.load(out)


def painted_by(pack: StylePack, request: TrainRequest, pictures: list[Floats]) -> dict[str, list[Floats]]:
    """Every picture, (3, H, W) 0..1, as the teacher of a style paints it, and the style itself."""
    config, session = from_json(pack.recipe["training"]), Session(pack, "cpu")
    assert isinstance(config, PicturesConfig)
    encoder = encoder_of(load(pack.read(TRAINING)), config)
    style = style_pictures(request, config, config.crop)
    contents = [load_content(path, config.size, 128) for path in sorted(Path(request.content).iterdir())]
    guide, random = Guide(contents, style, config.teacher), torch.Generator().manual_seed(0)
    results: dict[str, list[Floats]] = {"teacher": [], "student, strokes told": [], FREE: []}
    for picture in pictures:
        content = torch.from_numpy(picture)
        teacher = paint(content, style, guide, config.teacher, random).picture.clamp(0, 1)
        with torch.no_grad():
            strokes, _ = encoder(content[None], teacher[None])
        results["teacher"].append(teacher.numpy())
        results["student, strokes told"].append(np.clip(session.run(picture[None], strokes.numpy())[0], 0, 1))
        free = painted(session, ArrayCanvas(picture), Paint()).read(0, 0, *picture.shape[1:])
        results[FREE].append(np.clip(free, 0, 1))
    return results


def masses(places: Reference, results: list[Floats]) -> Mapping[str, np.ndarray]:
    """The share of the likeness in each ninth of the style picture, (3, 3), over all results: of all of it, and of what
    is surer than chance."""
    overlays = [_overlay(places, result) for result in results]
    together = replace(overlays[0], pixels=np.concatenate([overlay.pixels for overlay in overlays]))
    chances = {"all": 0.0, "beyond chance": places.chance}
    return {kind: _ninths(provenance.mass(together, places.pictures[0], 0, by)) for kind, by in chances.items()}


def _overlay(places: Reference, result: Floats) -> Overlay:
    work = provenance.provenance(places, result, np.ones(result.shape[1:], bool), False)
    return next(step for step in work if isinstance(step, Overlay))


def _ninths(mass: Floats) -> np.ndarray:
    rows = [np.array_split(part, 3, axis=1) for part in np.array_split(mass, 3, axis=0)]
    return np.array([[part.sum() for part in row] for row in rows])


if __name__ == "__main__":
    main()
