"""Trains the styles that ship, from scratch, with the settings in their recipes.

    python -m benchmarks.train_library --shared FOLDER --work FOLDER [--only NAME ...] [--set FIELD=JSON ...]

FOLDER holds `styles` (paintings), `content` (renders and textures) and `sequences` (shots with passes). Packs are
written to `--out` (engine/styles by default); what a stopped run needs to go on is kept in `--work` and used when it is
started again. Exemplars of our own (exemplars.py) are drawn into `--work`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from engine.contact_sheet import save_png
from engine.protocol import Done, Progress, StyleReady, TrainRequest, TrainStep, training_folder
from engine.style_pack import slug
from engine.training.data import load_picture
from engine.training.loop import train

from .exemplars import EXEMPLARS, exemplar
from .materials import MATERIALS, night_sky
from .painter import painting

HELD_OUT_SEEDS = range(80, 96)
"""Renders never trained on: one of each category, for the tests and the comparisons."""


@dataclass(frozen=True)
class LibraryStyle:
    """A painting, or an exemplar of our own, and how to look at it."""

    name: str
    picture: str
    """A file of the folder `styles`, or a key of exemplars.EXEMPLARS"""
    side: int
    """Long side while training: strokes in results are as many pixels wide as in the picture at this size."""
    author: str = "Pentimento (benchmarks/exemplars.py)"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the training config, where the defaults are not the best or came later than the style"""


LINES = {"teacher": {"tone": 4.0, "luminance": 3.0, "chroma": 2.0}, "coarse_pixels": 8}
"""How lines and dots are looked at, at sides where they lie 7 to 9 pixels apart: finer than paint, or a figure would be
lost in them. With less chroma one grey is printed in any ink that is as dark, and the student takes the mean of all.
Their tone is held over one of them: over 16 pixels figures vanished."""

FIRST = {"critic_width": 32, "held_out": 0.0}
"""The first styles were trained before a strip of the painting was held out, and before a narrower critic turned out to
do as well."""
HALF = {"precision": "bfloat16"}
"""Trained on a processor that computes it, in two thirds of the time; auto asks for it on a card alone."""

SMALL = {**HALF, "crop": 128, "critic_scales": 2, "warm_up": 0.6}
"""Small crops: dots and lines lie 7 to 9 pixels apart, so a verdict that sees 76 sees how they follow each other."""

LIBRARY = (
    LibraryStyle(
        *("Starry Night", "starry_night.jpg", 1024, "after Vincent van Gogh, The Starry Night, 1889"),
        settings=FIRST,
    ),
    LibraryStyle("Wheat Field", "vg_wheat_field.jpg", 1024, "after Vincent van Gogh, Wheat Field with Cypresses, 1889"),
    LibraryStyle(
        *("Metzinger", "delaunay_1906_portrait.jpg", 900, "after Robert Delaunay, Portrait of Metzinger, 1906"),
        settings={**FIRST, "turned": False},
    ),
    LibraryStyle("Great Wave", "great_wave.jpg", 928, "after Katsushika Hokusai, The Great Wave off Kanagawa, c. 1831"),
    LibraryStyle(
        *("Water Lilies", "water_lilies_monet.jpg", 1100, "after Claude Monet, Water Lilies, 1919"), settings=HALF
    ),
    LibraryStyle("Risograph", "risograph", 800, settings={**LINES, **SMALL, "turned": False}),
    LibraryStyle("Pastel", "pastel", 1000, settings=HALF),
    LibraryStyle("Hatching", "hatching", 720, settings=LINES),
    LibraryStyle("Watercolour", "watercolour", 1000),
    LibraryStyle("Linocut", "linocut", 720, settings=LINES),
)
"""In the order in which they are released."""


@dataclass(frozen=True)
class KeyframeStyle:
    """A shot of which the procedural painter (painter.py) paints one frame over."""

    name: str
    shot: str
    frame: int
    guides: tuple[str, ...] = ()
    """None: a style that ships is for any picture. benchmarks/README.md says what guides are worth."""


KEYFRAME_STYLES = (KeyframeStyle("Painted Keyframe", "walk", 8),)


@dataclass(frozen=True)
class TextureStyle:
    """A material to make any amount of."""

    name: str
    material: str
    """A key of materials.MATERIALS, or a file of the folder `styles` of whose sky it is made"""
    side: int
    """Long side while training, as large as it is: what repeats is 40 to 60 pixels wide."""
    author: str = "Pentimento (benchmarks/materials.py)"
    settings: Mapping[str, Any] = field(default_factory=lambda: HALF)
    """Of the training config: see LibraryStyle"""


TEXTURE_STEPS = 900
"""Of a wall of stones 2,400 looked no better than 420: finer grain, the same stones."""

TEXTURE_STYLES = (
    TextureStyle("Fieldstone", "fieldstone", 512),
    TextureStyle("Terrazzo", "terrazzo", 512),
    TextureStyle("Night Sky", "starry_night.jpg", 518, "after Vincent van Gogh, The Starry Night, 1889"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=JSON", help="fields of the style's config")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "engine" / "styles")
    parser.add_argument("--work", type=Path, help="where content links and unfinished trainings lie", required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    content = practice_content(arguments.shared / "content", arguments.work / "content")
    for style in LIBRARY:
        if not arguments.only or style.name in arguments.only:
            train_one(picture_request(style, content, arguments), arguments)
    for painted in KEYFRAME_STYLES:
        if not arguments.only or painted.name in arguments.only:
            train_one(keyframe_request(painted, arguments), arguments)
    for texture in TEXTURE_STYLES:
        if not arguments.only or texture.name in arguments.only:
            train_one(texture_request(texture, arguments), arguments)


def practice_content(content: Path, links: Path) -> Path:
    """A folder of links to the content that may be trained on."""
    links.mkdir(parents=True, exist_ok=True)
    for path in sorted(content.rglob("*.jpg")):
        link = links / path.name
        if not held_out(path) and not link.exists():
            link.symlink_to(path.resolve())
    return links


def held_out(path: Path) -> bool:
    if path.parent.name == "renders":
        return int(path.name[:4]) in HELD_OUT_SEEDS
    return int(path.name[4:7]) % 8 == 0


def picture_request(style: LibraryStyle, content: Path, arguments: argparse.Namespace) -> TrainRequest:
    ours = style.picture in EXEMPLARS
    config = {
        "name": style.name,
        "author": style.author,
        "licence": licence(ours),
        "style_side": style.side,
        **style.settings,
        **changes(arguments),
    }
    picture = str(picture_of(style, arguments.shared, arguments.work))
    return TrainRequest(style.name, (picture,), str(content), str(arguments.work / slug(style.name)), config)


def picture_of(style: LibraryStyle, shared: Path, work: Path) -> Path:
    """The painting, or the exemplar of our own, drawn into `work`."""
    return drawn(style.picture, work) if style.picture in EXEMPLARS else shared / "styles" / style.picture


def seen(style: LibraryStyle, shared: Path) -> Tensor:
    """(3, h, w) 0..1 at the scale of training."""
    with tempfile.TemporaryDirectory() as scratch:
        return load_picture(picture_of(style, shared, Path(scratch)), style.side)


def licence(ours: bool) -> str:
    return "CC0-1.0" if ours else "CC0-1.0 (the painting is in the public domain)"


def drawn(name: str, work: Path) -> Path:
    """The exemplar of that name: every time the same."""
    path = work / f"{name}.png"
    save_png(exemplar(name), path)
    return path


def keyframe_request(style: KeyframeStyle, arguments: argparse.Namespace) -> TrainRequest:
    """Paints the keyframe where none lies."""
    frames = arguments.shared / "sequences" / style.shot
    frame = frames / f"{style.shot}_{style.frame:04d}.exr"
    keyframe = arguments.work / f"{frame.stem}_painted.png"
    if not keyframe.exists():
        save_png(Image.fromarray(painting(load_picture(frame).numpy(), style.frame)), keyframe)
    config = {
        "kind": "keyframes",
        "name": style.name,
        "author": "the procedural painter of Pentimento (benchmarks/painter.py)",
        "licence": "CC0-1.0",
        "generator": {"guides": list(style.guides)},
        **changes(arguments),
    }
    out = str(arguments.work / slug(style.name))
    return TrainRequest(style.name, (), "", out, config, frames=str(frames), keyframes=(str(keyframe),))


def texture_request(style: TextureStyle, arguments: argparse.Namespace) -> TrainRequest:
    ours = style.material in MATERIALS
    config = {
        "kind": "texture",
        "name": style.name,
        "author": style.author,
        "licence": licence(ours),
        "style_side": style.side,
        "steps": TEXTURE_STEPS,
        **style.settings,
        **changes(arguments),
    }
    if ours:
        pictures = [Image.fromarray(MATERIALS[style.material]())]
    else:
        pictures = night_sky(Image.open(arguments.shared / "styles" / style.material))
    paths = [arguments.work / f"{slug(style.name)}_{number}.png" for number in range(len(pictures))]
    for picture, path in zip(pictures, paths, strict=True):
        save_png(picture, path)
    out = str(arguments.work / slug(style.name))
    return TrainRequest(style.name, tuple(map(str, paths)), "", out, config)


def changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """What --set says."""
    return {field: json.loads(value) for field, _, value in (change.partition("=") for change in arguments.set)}


def train_one(asked: TrainRequest, arguments: argparse.Namespace) -> None:
    """Goes on where a stopped run was."""
    out = Path(asked.out)
    resume = (training_folder(asked.out) / "config.json").exists()
    started = spoken = time.monotonic()
    for event in train(replace(asked, resume=resume)):
        if isinstance(event, (StyleReady, Done)):
            print(event, flush=True)
        elif isinstance(event, (TrainStep, Progress)) and time.monotonic() - spoken > 15:
            spoken = time.monotonic()
            said = event.stage if isinstance(event, Progress) else f"{event.step}/{event.steps} {_short(event.losses)}"
            print(f"{asked.job}: {spoken - started:.0f} s, {said}", flush=True)
    final = arguments.out / out.name
    final.mkdir(parents=True, exist_ok=True)
    for path in out.iterdir():
        (final / path.name).write_bytes(path.read_bytes())


def _short(losses: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in losses.items())


if __name__ == "__main__":
    main()
