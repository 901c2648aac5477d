"""Do overlays foretell what their controls do? Every shipped style that paints, on one render.

    python -m benchmarks.controls --render FRAME.exr [--sheet FILE.jpg] [--texture 6144]

FRAME: a multilayer EXR with light passes and Cryptomatte (the still life of scenes/ with its light passes switched on).
  bands    Scale: share of a band times (gain - 1), against how far the result moved along the change, mean over pixels
  lights   Passes: what they say of a light gone alone, and its share, against what switching it off does to the
           luminance of the result; and for gains of .5 and 1.5 two ways to foretell them: what goes with the light
           alone times (1 - gain), or times what the gain does to the picture's luminance, of what switching off does
  colours  histogram: how far mean and deviation of the whole result are from the picture's, measured on it reduced
  texture  memory and time of a large one with and without bands
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import colours, controls, style_pack
from engine.canvas import PictureCanvas
from engine.contact_sheet import Cell, Look, contact_sheet, save_jpeg
from engine.explain.players import of_passes, shares
from engine.explain.pyramid import BANDS
from engine.explain.removal import LUMINANCE
from engine.explain.removal import Look as Applied
from engine.explain.scale import scale
from engine.files import open_picture
from engine.mattes import open_matte
from engine.mixing import Mix, alone
from engine.passes import Passes, painted_passes
from engine.picture import Floats, PictureReader
from engine.protocol import LightGain
from engine.runtime import Paint, Session

from . import machine, memory

PAINT = Paint(seed=3)
BAND_GAINS = (0.0, 0.5, 1.5)
LIGHT_GAINS = (0.5, 1.5)
SHEET_STYLE, SHEET_OBJECT = "Wheat Field", "Suzanne"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--render", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, help="only make the picture of the guide")
    parser.add_argument("--texture", type=int, default=6144, help="edge in pixels; 0: none")
    arguments = parser.parse_args()
    reader, passes = open_picture(arguments.render), painted_passes(arguments.render)
    if passes is None:
        parser.error("the render has no passes")
    styles = [style for style in style_pack.installed() if style.makes == "pictures"]
    sessions = {style.name: Session(style_pack.load(style.folder), "cpu") for style in styles}
    if arguments.sheet:
        save_jpeg(sheet(sessions[SHEET_STYLE], reader, passes), arguments.sheet)
        return 0
    found = {name: measured(one, reader, passes) for name, one in sessions.items() if not one.guides}
    print(json.dumps(found, indent=2))
    runs = textures(arguments.texture) if arguments.texture else []
    print(machine.write("controls", {"size": [reader.width, reader.height], "styles": found, "textures": runs}))
    return 0


def measured(session: Session, reader: PictureReader, passes: Passes) -> dict[str, Any]:
    before = PictureCanvas(reader).read(0, 0, reader.height, reader.width)
    return {
        "bands": bands(session, before),
        "lights": lights(session, reader, passes, before),
        "colours": statistics(session, reader, before),
    }


def result(mix: Mix, before: Floats, followed: Floats | None = None) -> Floats:
    return Applied(mix, PAINT).result(before, followed)


def bands(session: Session, before: Floats) -> dict[str, Any]:
    plain = result(alone(session), before)
    shares_ = scale(before, plain).pixels
    change = (plain - before).astype(np.float64)
    way = change / np.maximum(np.linalg.norm(change, axis=0), 1e-9)
    rows = {}
    for number, name in enumerate(BANDS):
        for gain in BAND_GAINS:
            colour, form, stroke = (gain if number == at else 1.0 for at in range(3))
            moved = result(replace(alone(session), bands=(colour, form, stroke)), before)
            foretold = float(shares_[..., number].mean(dtype=np.float64)) * (gain - 1)
            rows[f"{name} {gain:g}"] = [round(foretold, 5), round(float(((moved - plain) * way).sum(axis=0).mean()), 5)]
    return rows


def lights(session: Session, reader: PictureReader, passes: Passes, before: Floats) -> dict[str, Any]:
    size = (reader.height, reader.width)
    players = of_passes(passes, reader, size, False)
    overlay = _finished(shares("Passes", players, Applied(alone(session), PAINT), np.ones(size, bool)))
    base, rows = _light(session, before, before), {}
    pairs: dict[str, list[tuple[float, float]]] = {"by_gain": [], "by_picture": []}
    for bar in overlay.bars:
        moved = {gain: _light(session, _turned(reader, passes, bar.name, gain), before) for gain in (0.0, *LIGHT_GAINS)}
        off = moved[0.0]
        told = -(bar.alone_gone or 0.0)
        rows[bar.name] = {"share": bar.value, "told": told, "off": base[1] - off[1]}
        for gain in LIGHT_GAINS:
            happened = moved[gain][1] - base[1]
            pairs["by_gain"].append((told * (gain - 1), happened))
            pairs["by_picture"].append((told * (moved[gain][0] - base[0]) / max(base[0] - off[0], 1e-6), happened))
    lights_ = {name: {key: round(value, 4) for key, value in row.items()} for name, row in rows.items()}
    return {"lights": lights_, **{name: _agreement(both) for name, both in pairs.items()}}


def _agreement(pairs: list[tuple[float, float]]) -> dict[str, float]:
    told, happened = np.array(pairs).T
    error = np.square(happened - told).sum() / np.square(happened - happened.mean()).sum()
    return {"r": round(float(np.corrcoef(told, happened)[0, 1]), 3), "r2": round(1 - float(error), 3)}


def _turned(reader: PictureReader, passes: Passes, light: str, gain: float) -> Floats:
    found = controls.gained(reader, passes, (LightGain(light, gain),))
    return PictureCanvas(found).read(0, 0, reader.height, reader.width)


def _light(session: Session, picture: Floats, followed: Floats) -> tuple[float, float]:
    """Mean luminance of a picture, and of what is painted of it"""
    made = result(alone(session), picture, followed)
    both = (float(np.tensordot(LUMINANCE, planes, axes=1).mean(dtype=np.float64)) for planes in (picture, made))
    return next(both), next(both)


def statistics(session: Session, reader: PictureReader, before: Floats) -> dict[str, float]:
    small, weights = colours.measured_on(reader, False)
    window = (0, 0, small.height, small.width)
    painted = np.clip(alone(session).painted(small, PAINT).read(*window), 0, 1)
    matched = colours.matching(painted, small.read(*window), weights)
    (part,) = alone(session).parts
    made = result(Mix((replace(part, colours=matched),)), before)
    away = {
        "mean": np.abs(made.mean(axis=(1, 2)) - before.mean(axis=(1, 2))).max(),
        "deviation": np.abs(made.std(axis=(1, 2)) / before.std(axis=(1, 2)) - 1).max(),
    }
    return {name: round(float(value), 4) for name, value in away.items()}


def textures(edge: int) -> list[dict[str, Any]]:
    """The same texture without bands, with them, and with them in strokes four times as large"""
    with tempfile.TemporaryDirectory() as folder:
        return [
            {**memory.measure(Path(folder), edge, "Pastel", False, more), "choices": " ".join(more)}
            for more in ((), ("--bands", "1,1,.5"), ("--bands", "1,1,.5", "--stroke", "4"))
        ]


def sheet(session: Session, reader: PictureReader, passes: Passes) -> Any:
    """What each control does, for the guide."""
    before = PictureCanvas(reader).read(0, 0, reader.height, reader.width)
    mix = alone(session)
    (part,) = mix.parts
    place = open_matte(SHEET_OBJECT, passes, reader, False)
    dark = _turned(reader, passes, "Diffuse", 0.4)
    small, weights = colours.measured_on(reader, False)
    painted = np.clip(mix.painted(small, PAINT).read(0, 0, small.height, small.width), 0, 1)
    matched = colours.matching(painted, small.read(0, 0, small.height, small.width), weights)
    pictures = {
        "The render": before,
        f"{session.pack.name}": result(mix, before),
        "--bands 0,1,1": result(replace(mix, bands=(0.0, 1.0, 1.0)), before),
        "--bands 1,1,0": result(replace(mix, bands=(1.0, 1.0, 0.0)), before),
        "--bands 1,1,2": result(replace(mix, bands=(1.0, 1.0, 2.0)), before),
        "--gain Diffuse=.4": result(mix, dark),
        f"--strength-of {SHEET_OBJECT}=.2": result(
            replace(mix, strengths=controls.Strengths(1.0, ((place, 0.2),))), before
        ),
        "--colours luma": result(Mix((replace(part, colours=colours.luma),)), before),
        "--colours histogram": result(Mix((replace(part, colours=matched),)), before),
    }
    cells = [Cell(planes.transpose(1, 2, 0), caption) for caption, planes in pictures.items()]
    return contact_sheet([cells[i : i + 3] for i in (0, 3, 6)], look=Look(width=320, height=180))


def _finished(work: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value


if __name__ == "__main__":
    raise SystemExit(main())
