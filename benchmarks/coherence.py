"""Do strokes stick? Warp error and stroke energy of a shot, painted alone, held and carried, beside a perfect stick.

    python -m benchmarks.coherence --shared FOLDER [--life FOLDER] [--style NAME ...] [--picture FILE]
    python -m benchmarks.coherence --table

The perfect stick is the painting of the first frame as a texture on the things themselves: looked up in every frame
where that shows the same surfaces (surfaces.places), and compared only where it does. Where light falls on what is
painted (Combined) it is given a second time, rendered anew in the light of each frame: light is Combined / DiffCol, and
what a texture shows goes with it. Energy: the mean square of what is finer than 3 pixels, beside that of the frames
painted alone; inside things, where strokes are alone, and everywhere, with silhouettes.

--life: frames of scenes/make_shot.py. Two passes are painted: DiffCol, whose colours no light moves, and Combined,
whose light does. --table measures nothing: it writes the table of docs/animation_details.md anew from the result file
of this machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import style_pack
from engine.canvas import ArrayCanvas
from engine.contact_sheet import Cell, Look, contact_sheet, save_jpeg
from engine.explain.overlay import finished
from engine.forms import blurred
from engine.motion import Motion, bilinear, motion, warp_error
from engine.passes import Passes, read_passes
from engine.picture import Floats, decode, encode, to_display
from engine.protocol import Done, ShotRequest
from engine.runtime import Paint, Session, painted
from engine.shot import record
from engine.shot.carried import Carried
from engine.shot.held import Anchor, Held, area
from engine.shot.scan import scan
from engine.shot.silhouettes import silhouettes, wider
from engine.shot.strokes import between, sharpened
from engine.shot.surfaces import Places, Surfaces, places, surfaces

from . import machine

SHOTS = {"orbit": "sequences/orbit/orbit_####.exr", "walk": "sequences/walk/walk_####.exr"}
STYLES = ("Starry Night", "Wheat Field", "Pastel")
OTHERS = ("Water Lilies", "Risograph", "Metzinger")
"""No bar was tuned with these"""
PAINTED = ("DiffCol", "Combined")
RESULTS = "coherence"
DOCUMENT = Path(__file__).parent.parent / "docs" / "animation_details.md"
BEGIN, END = "<!-- coherence table -->", "<!-- end -->"
FINE = 3.0
"""Pixels: strokes are finer than that, forms are not"""
INSIDE = 6
"""Pixels from a silhouette beyond which its edge has no part in what is finer than FINE"""
SMEARED = -0.7
"""Power of e: with less than half as many pixels, strokes of the first frame are drawn out and soft"""
RESTS = 0.02
"""Warp error of a frame itself up to which light rests: about grain and resampling"""
DARK = 0.01
"""Scene-linear: keeps light told of black surfaces finite"""
MOST_LIGHT = 8.0
"""Times the light of the first frame, or a part of it"""
STRIP = 4
"""Frames of a strip to look at"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--shared", type=Path)
    way.add_argument("--table", action="store_true")
    parser.add_argument("--life", type=Path)
    parser.add_argument("--style", nargs="*", default=STYLES + OTHERS)
    parser.add_argument("--picture", type=Path, help="a strip of frames of the last shot and the first style")
    arguments = parser.parse_args()
    if arguments.table:
        rows = json.loads(machine.result_file(RESULTS).read_text(encoding="utf-8"))["rows"]
        DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8"), rows), encoding="utf-8")
        return
    found = {name: str(arguments.shared / pattern) for name, pattern in SHOTS.items()}
    if arguments.life:
        found["life"] = str(arguments.life / "life_####.exr")
    rows = []
    for name, pattern in found.items():
        shot = Frames(pattern)
        for layer in PAINTED:
            for style in arguments.style:
                trial = Trial(shot, layer, style)
                rows.append({"shot": name, "painted": layer, "style": style, **trial.numbers()})
                print(rows[-1], flush=True)
                if arguments.picture and (layer, style) == ("Combined", arguments.style[0]):
                    trial.strip(arguments.picture)
    print(machine.write(RESULTS, {"fine_pixels": FINE, "rows": rows}))


class Frames:
    """A shot in memory."""

    def __init__(self, pattern: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            out = str(Path(folder) / "shot.json")
            (done,) = [event for event in scan(ShotRequest("shot", pattern, out)) if isinstance(event, Done)]
            self.record = record.read(out)
        print("\n".join(done.report["say"]))
        path = Path(pattern)
        names = [path.with_name(path.name.replace("####", f"{number:04d}")) for number in self.record.by_number]
        self.passes = [read_passes(name) for name in names]
        self.numbers = list(self.record.by_number)
        self.surfaces: list[Surfaces] = [
            surfaces(passes, self.record.by_number[number].camera)
            for passes, number in zip(self.passes, self.numbers, strict=True)
        ]
        self.ways: list[Motion] = [motion(before, now) for before, now in pairwise(self.passes)]

    def pictures(self, layer: str) -> list[Floats]:
        return [_display(passes, layer) for passes in self.passes]


@dataclass(eq=False)
class Trial:
    """One pass of a shot in one style."""

    shot: Frames
    layer: str
    style: str

    @cached_property
    def pictures(self) -> list[Floats]:
        return self.shot.pictures(self.layer)

    @cached_property
    def session(self) -> Session:
        folder = Path(__file__).parent.parent / "engine" / "styles" / style_pack.slug(self.style)
        return Session(style_pack.load(folder), "cpu")

    def fresh(self, picture: Floats, paint: Paint) -> Floats:
        """A frame as it is painted for itself"""
        return np.clip(painted(self.session, ArrayCanvas(picture), paint).read(0, 0, *picture.shape[1:]), 0, 1)

    @cached_property
    def alone(self) -> list[Floats]:
        return [self.fresh(one, Paint()) for one in self.pictures]

    @cached_property
    def held(self) -> list[Floats]:
        held = Held(self.shot.record, self._anchor, lit=self.layer == "Combined")
        frames = zip(self.shot.numbers, self.shot.surfaces, self.pictures, self.alone, strict=True)
        return [held.painted(*frame)[0] for frame in frames]

    @cached_property
    def carried(self) -> list[Floats]:
        carried = Carried(lit=self.layer == "Combined")
        frames = []
        for passes, picture in zip(self.shot.passes, self.pictures, strict=True):
            seen, moved = finished(carried.to_paint(passes, picture))
            fresh = self.fresh(seen, Paint(moved=moved))
            frames.append(carried.painted(passes, picture, fresh)[0])
        return frames

    @cached_property
    def found(self) -> list[Places]:
        """Where the first frame shows what each frame shows"""
        shot = self.shot
        first = shot.record.by_number[shot.numbers[0]].poses
        return [
            places(seen, shot.surfaces[0], shot.record.by_number[number].poses, first, shot.record.deforming)
            for number, seen in zip(shot.numbers, shot.surfaces, strict=True)
        ]

    @cached_property
    def stuck(self) -> list[Floats]:
        """The perfect stick; NaN where the first frame does not show what a frame shows"""
        strokes, frames = sharpened(self.alone[0]), []
        for found, seen in zip(self.found, self.shot.surfaces, strict=True):
            values = np.clip(between(strokes, found.rows.ravel(), found.columns.ravel()), 0, 1)
            frames.append(np.where(found.found, values.T.reshape(3, *seen.size), np.float32(np.nan)))
        return frames

    @cached_property
    def relit(self) -> list[Floats]:
        """The perfect stick rendered anew in the light of each frame"""
        lights = [_light(passes) for passes in self.shot.passes]
        return [
            _in_light(planes, light / bilinear(lights[0], found.rows, found.columns))
            for planes, light, found in zip(self.stuck, lights, self.found, strict=True)
        ]

    def numbers(self) -> dict[str, Any]:
        rests = [_warp(pair, way) < RESTS for pair, way in _pairs(self.pictures, self.shot.ways)]
        seen = [np.isfinite(_warp(pair, way)) for pair, way in _pairs(self.stuck, self.shot.ways)]
        stuck = _mean(self.stuck, self.shot.ways, seen)
        result: dict[str, Any] = {"perfect stick": round(stuck, 5), "compared": round(_share(seen), 3)}
        result["of that, light rests"] = round(_share(rests), 3)
        for name in ("pictures", "alone", "held", "carried"):
            frames = getattr(self, name)
            result[name] = round(_mean(frames, self.shot.ways, seen), 5)
            result[f"{name} everywhere"] = round(_mean(frames, self.shot.ways, None), 5)
        still = [mask & calm for mask, calm in zip(seen, rests, strict=True)]
        crisp = [mask & plain for mask, plain in zip(seen, self._crisp(), strict=True)]
        result["of that, not smeared"] = round(_share(crisp), 3)
        for name in ("alone", "held", "carried"):
            calm = _mean(getattr(self, name), self.shot.ways, still) / _mean(self.stuck, self.shot.ways, still)
            result[f"{name}, the same where light rests"] = round(calm, 3)
            plain = _mean(getattr(self, name), self.shot.ways, crisp) / _mean(self.stuck, self.shot.ways, crisp)
            result[f"{name}, the same where the stick is not smeared"] = round(plain, 3)
            result[f"{name}, times the perfect stick"] = round(result[name] / stuck, 3)
            if self.layer == "Combined":
                relit = _mean(self.relit, self.shot.ways, seen)
                result[f"{name}, times the stick in the light of each frame"] = round(result[name] / relit, 3)
            result[f"{name}, energy"] = round(self._energy(name, inside=True), 3)
            result[f"{name}, energy everywhere"] = round(self._energy(name, inside=False), 3)
        return result

    def _energy(self, name: str, inside: bool) -> float:
        """Of strokes, times that of the frames painted alone"""
        there = [_far_inside(seen.objects) if inside else np.s_[:] for seen in self.shot.surfaces]
        mine, fresh = (
            sum(float(_fine(one)[mask].sum()) for one, mask in zip(frames, there, strict=True))
            for frames in (getattr(self, name), self.alone)
        )
        return mine / fresh

    def _crisp(self) -> Iterator[np.ndarray]:
        """Of the visible pixels of each pair, those that the first frame shows with half as many pixels at least."""
        for found, seen, way in zip(self.found[1:], self.shot.surfaces[1:], self.shot.ways, strict=True):
            yield area(found, seen.objects)[way.visible] > SMEARED

    def strip(self, out: Path) -> None:
        some = np.linspace(0, len(self.alone) - 1, STRIP).round().astype(int)
        names = {"pictures": "As rendered", "alone": "Painted alone", "held": "Held", "carried": "Carried"}
        rows = [
            [Cell(_bytes(getattr(self, kind)[index]), f"{name}, frame {self.shot.numbers[index]}") for index in some]
            for kind, name in names.items()
        ]
        height, width = self.alone[0].shape[1:]
        save_jpeg(contact_sheet(rows, look=Look(width=400, height=400 * height // width, text=14)), out)

    def _anchor(self, frame: record.Frame) -> Anchor:
        index = self.shot.numbers.index(frame.number)
        return Anchor(frame, self.shot.surfaces[index], self.pictures[index], self.alone[index])


def with_table(text: str, rows: Sequence[dict[str, Any]]) -> str:
    """The document with its table written anew."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n\n" + "\n".join(table(rows)) + "\n\n" + END + rest.split(END, 1)[1]


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Warp errors in thousandths of the perfect stick and the frames; then times the perfect stick: over all that is
    compared, where light rests, where the stick is not smeared; times the stick in the light of each frame; and the
    energy of strokes in per cent, inside things and everywhere."""
    ours = "held | in its light | strokes | carried | in its light | strokes"
    yield f"| shot | painted | style | perfect stick | the frames | alone | {ours} |"
    yield "|" + 12 * "---|"
    for row in rows:
        cells = [row["shot"], row["painted"], row["style"]]
        cells += [f"{1000 * row[name]:.1f}" for name in ("perfect stick", "pictures")]
        cells.append(f"{row['alone, times the perfect stick']:.1f}")
        for name in ("held", "carried"):
            in_light = row.get(f"{name}, times the stick in the light of each frame")
            kinds = ("times the perfect stick", "the same where light rests", "the same where the stick is not smeared")
            cells.append(" / ".join(f"{row[f'{name}, {kind}']:.2f}" for kind in kinds))
            cells.append("" if in_light is None else f"{in_light:.2f}")
            inside, everywhere = (100 * row[f"{name}, energy{where}"] for where in ("", " everywhere"))
            cells.append(f"{inside:.0f} / {everywhere:.0f} %")
        yield "| " + " | ".join(cells) + " |"


def _display(passes: Passes, layer: str) -> Floats:
    colours = passes[layer][..., :3].astype(np.float32)
    return np.clip(to_display(colours, "linear", "none"), 0, 1).transpose(2, 0, 1).copy()


def _light(passes: Passes) -> Floats:
    """(3, H, W): what falls on surfaces, scene-linear"""
    seen, own = (passes[layer][..., :3].astype(np.float32).transpose(2, 0, 1) for layer in ("Combined", "DiffCol"))
    return (np.maximum(seen, 0) + DARK) / (np.maximum(own, 0) + DARK)


def _in_light(planes: Floats, times: Floats) -> Floats:
    """Display-referred planes (3, H, W) with so many times their light"""
    times = np.clip(times, 1 / MOST_LIGHT, MOST_LIGHT)
    return np.clip(encode(decode(planes) * times), 0, 1)


def _pairs(frames: Sequence[Floats], ways: Sequence[Motion]) -> Iterator[tuple[tuple[Floats, Floats], Motion]]:
    yield from zip(pairwise(frames), ways, strict=True)


def _warp(pair: tuple[Floats, Floats], way: Motion) -> Floats:
    return warp_error(*pair, way)


def _mean(frames: Sequence[Floats], ways: Sequence[Motion], seen: Sequence[np.ndarray] | None) -> float:
    errors = [_warp(pair, way) for pair, way in _pairs(frames, ways)]
    if seen is not None:
        errors = [error[mask] for error, mask in zip(errors, seen, strict=True)]
    return float(np.concatenate(errors).mean())


def _share(seen: Sequence[np.ndarray]) -> float:
    return float(np.concatenate(seen).mean())


def _fine(planes: Floats) -> Floats:
    """(H, W): the square of what is finer than FINE"""
    return np.asarray(np.square(planes - blurred(blurred(planes, FINE, 1), FINE, 2)).sum(axis=0))


def _far_inside(objects: NDArray) -> NDArray[np.bool_]:
    rim = silhouettes(objects)
    for _ in range(INSIDE):
        rim = wider(rim)
    return ~rim


def _bytes(planes: Floats) -> Any:
    return np.rint(planes.transpose(1, 2, 0) * 255).astype(np.uint8)


if __name__ == "__main__":
    main()
