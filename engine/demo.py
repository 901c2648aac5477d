"""`pentimento demo`: the main job on real input, from a render to a contact sheet.

Where Blender can be imported (the `bpy` wheel, Python 3.11) it is the whole way: the add-on's zip is built and
installed into a private profile, the project's own scene is rendered and the add-on's buttons are pressed, in a Blender
process of its own. Elsewhere the sample frames that ship, rendered from the same scene, are stylized here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from . import machine, outputs, style_pack
from .atomic import write_json, writing
from .contact_sheet import Cell, Look, contact_sheet, save_png
from .errors import EngineError
from .files import ExrFile, open_picture, read_exr
from .picture import to_display, whole
from .protocol import (
    Done,
    Event,
    Json,
    PictureSource,
    Preview,
    Progress,
    StyleInfo,
    StyleShare,
    StylizeRequest,
    StylizeSettings,
)

ENGINE = Path(__file__).resolve().parent
REPO = ENGINE.parent
SAMPLES = ENGINE / "samples"
OVERLAYS = ("Scale", "Removal")
MAX_STYLES = 6
"""Painting the first frame in each of more styles would cost more time than it tells."""
FIRST = "Starry Night"
"""The style that paints the whole animation, where it is there: the one whose strokes are plainest to see"""
CELL, COLUMNS = 380, 4
"""Width of a picture on the contact sheet, in pixels, and pictures in a row."""
PATIENCE = 900.0
"""Seconds after which a build or a Blender that does not come back is ended. Usual: one minute on two cores."""


@dataclass(frozen=True)
class DemoSettings:
    """What the demo makes."""

    out: Path
    frames: int = 2
    width: int = 640
    height: int = 360
    samples: int = 16
    """Of the render, per pixel"""
    styles: Path | None = None
    """A folder of styles to show beside those that ship"""
    blender: bool = True
    """False: the sample frames, even where Blender could be imported"""


def demo(job: str, settings: DemoSettings) -> Iterator[Event]:
    """Run the demo. Yields progress, then the contact sheet, then Done with the report."""
    clock = _Clock()
    styles = _styles(settings.styles)
    work = _prepare(settings.out)
    reason = _why_no_blender(settings)
    if reason:
        yield Progress(job, 0.0, reason)
        found = yield from _paint_samples(job, settings, styles, work, clock)
    else:
        found = yield from _press_buttons(job, settings, styles, work, clock)
    yield Progress(job, 0.95, "Collecting the layers")
    with clock("collect"):
        sheet = _collect(settings.out, found, styles)
    report = _report(found, styles, clock, reason)
    write_json(settings.out / "report.json", report)
    yield Preview(job, str(sheet), "Contact sheet")
    yield Progress(job, 1.0, "Done")
    yield Done(job, {**report, "say": _words(settings.out, report)})


@dataclass(frozen=True)
class Result:
    """A stylized frame as it lies on the disk: a multilayer EXR with its recipe in the header, pictures beside it."""

    path: Path

    @cached_property
    def exr(self) -> ExrFile:
        return read_exr(self.path)

    @cached_property
    def recipe(self) -> Json:
        recipe: Json = json.loads(self.exr.header[outputs.RECIPE])
        return recipe

    @cached_property
    def overlays(self) -> Json:
        """Name -> sentence, display range, checks of the certificate"""
        meanings: Json = json.loads(self.exr.header.get(outputs.LAYERS, "{}"))
        return meanings

    @property
    def frame(self) -> int:
        return int(self.recipe["source"]["name"][-4:])

    @property
    def style(self) -> str:
        return str(self.recipe["styles"][0]["name"])

    def look(self, kind: str = "") -> Path:
        """The picture to look at: of the result itself, or of an overlay ("scale", "removal")."""
        return self.path.with_name(f"{self.path.stem}_{kind}.png" if kind else f"{self.path.stem}.png")


@dataclass(frozen=True)
class Found:
    """What one of the two ways left behind."""

    frames: Sequence[Result]
    """Every frame in the first style, with all overlays"""
    others: Sequence[Result]
    """The first frame in the other styles"""
    texture: Sequence[Path] = ()
    """A texture before and after"""
    blender: Json = field(default_factory=dict)
    """Version, zip and pressed buttons"""


# ---------------------------------------------------------------- with Blender


def _why_no_blender(settings: DemoSettings) -> str:
    """Empty when Blender can do it; else the reason, in the artist's words."""
    if not settings.blender:
        return "Using the sample frames, as asked"
    if importlib.util.find_spec("bpy") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return f"This Python ({version}) has no bpy, so the sample frames are used (bpy 5.0.1 exists for Python 3.11)"
    if not (REPO / "build_addon.py").is_file():
        return "This is no checkout of the repository, so the sample frames are used"
    return ""


def _press_buttons(
    job: str, settings: DemoSettings, styles: Sequence[StyleInfo], work: Path, clock: _Clock
) -> Generator[Event, None, Found]:
    with tempfile.TemporaryDirectory(prefix="pentimento-", ignore_cleanup_errors=True) as scratch:
        yield Progress(job, 0.0, "Building the add-on")
        with clock("build the add-on"):
            for _ in _lines([sys.executable, str(REPO / "build_addon.py"), "--output", scratch]):
                pass
        (package,) = Path(scratch).glob("*.zip")
        with clock("Blender"):
            for line in _lines(_blender_command(settings, styles, package, work), _private(Path(scratch))):
                if line.startswith("STAGE "):
                    _, fraction, text = line.split(" ", 2)
                    yield Progress(job, 0.15 + 0.8 * float(fraction), text)
        facts = {"zip": package.name, "zip_sha256": hashlib.sha256(package.read_bytes()).hexdigest()}
    pressed: Json = json.loads((work / "pressed.json").read_text(encoding="utf-8"))
    texture = [work / pressed["texture"][name] for name in ("before", "after")]
    return _found(work / "pentimento", styles, texture, {**facts, **pressed})


def _blender_command(settings: DemoSettings, styles: Sequence[StyleInfo], package: Path, work: Path) -> list[str]:
    size = {"frames": settings.frames, "width": settings.width, "height": settings.height, "samples": settings.samples}
    return [
        *(sys.executable, str(REPO / "scenes" / "press_buttons.py"), "--zip", str(package), "--folder", str(work)),
        *(argument for style in styles for argument in ("--style", style.name)),
        *(argument for name, value in size.items() for argument in (f"--{name}", str(value))),
        *(("--styles", str(settings.styles)) if settings.styles else ()),
    ]


def _private(scratch: Path) -> Mapping[str, str]:
    """An environment in which Blender neither reads nor writes the user's preferences and extensions."""
    profile = scratch / "profile"
    profile.mkdir()
    return {**os.environ, "BLENDER_USER_RESOURCES": str(profile)}


def _lines(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a program of ours and yield what it prints. Raises EngineError when it fails or does not end in time."""
    last: deque[str] = deque(maxlen=15)
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    watch = threading.Timer(PATIENCE, process.kill)
    watch.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            yield line.rstrip()
        code = process.wait()
    finally:
        watch.cancel()
        process.kill()
        process.wait()
    if code:
        name = Path(command[1]).name
        raise EngineError(
            f"{name} ended with code {code}. It said last:\n" + "\n".join(last),
            "Mend what it names; README.md lists the system libraries Blender needs.",
        )


# ---------------------------------------------------------------- without Blender


def _paint_samples(
    job: str, settings: DemoSettings, styles: Sequence[StyleInfo], work: Path, clock: _Clock
) -> Generator[Event, None, Found]:
    from .stylize import stylize

    samples = sorted(SAMPLES.glob("*.exr"))[: settings.frames]
    runs = [(samples, styles[0], OVERLAYS), *((samples[:1], style, OVERLAYS[:1]) for style in styles[1:])]
    for number, (pictures, style, overlays) in enumerate(runs):
        sources = tuple(PictureSource(name=path.stem, path=str(path)) for path in pictures)
        how = StylizeSettings((StyleShare(style.folder),), overlays=overlays)
        with clock(f"paint as {style.name}"):
            for event in stylize(StylizeRequest(job, sources, how, str(work))):
                if isinstance(event, Progress):
                    yield Progress(job, 0.95 * (number + event.fraction) / len(runs), f"{style.name}: {event.stage}")
    return _found(work, styles)


# ---------------------------------------------------------------- collecting


def _found(
    folder: Path, styles: Sequence[StyleInfo], texture: Sequence[Path] = (), blender: Json | None = None
) -> Found:
    """The results among the EXRs in `folder`: those with a recipe (plain renders have none)."""
    results = [Result(path) for path in sorted(folder.glob("*.exr"))]
    results = sorted((r for r in results if outputs.RECIPE in r.exr.header), key=lambda result: result.frame)
    order = [style.name for style in styles]
    others = sorted((r for r in results if r.style != order[0]), key=lambda result: order.index(result.style))
    return Found([r for r in results if r.style == order[0]], others, texture, blender or {})


def _collect(out: Path, found: Found, styles: Sequence[StyleInfo]) -> Path:
    """Put layers and previews under names of the demo's own; returns the contact sheet."""
    rows = [_frame_row(out, result) for result in found.frames]
    rest = [_style_cell(out, result) for result in found.others] + _texture_cells(out, found.texture, styles[0].name)
    rows += [rest[start : start + COLUMNS] for start in range(0, len(rest), COLUMNS)]
    exr = found.frames[0].exr
    look = Look(width=CELL, height=round(CELL * exr.height / exr.width))
    title = f"Pentimento: {' · '.join(style.name for style in styles)}"
    save_png(contact_sheet(rows, title, look), out / "contact_sheet.png")
    return out / "contact_sheet.png"


def _frame_row(out: Path, result: Result) -> list[Cell]:
    """Render, painting and overlays of a frame."""
    stem = f"{result.frame:04d}"
    _kept(result.path, out / f"layers_{stem}.exr")
    cells = [
        Cell(_render_look(result, out / f"render_{stem}.png"), f"Frame {result.frame}, as rendered"),
        Cell(_kept(result.look(), out / f"stylized_{stem}.png"), result.style),
    ]
    for name, meaning in result.overlays.items():
        kind = name.rpartition(".")[2].lower()
        doubt = "" if meaning["faithful"] else " (indicative only)"
        caption = f"{name}{doubt}\n{meaning['sentence']}"
        cells.append(Cell(_map_alone(_kept(result.look(kind), out / f"{kind}_{stem}.png"), result), caption))
    return cells


def _map_alone(path: Path, result: Result) -> Any:
    """The picture of an overlay without the legend below: the caption says it in letters that can be read."""
    pixels = whole(open_picture(path))
    return pixels[: round(pixels.shape[1] * result.exr.height / result.exr.width)]


def _style_cell(out: Path, result: Result) -> Cell:
    name = f"stylized_{result.frame:04d}_{style_pack.slug(result.style)}.png"
    return Cell(_kept(result.look(), out / name), result.style)


def _texture_cells(out: Path, texture: Sequence[Path], style: str) -> list[Cell]:
    """The texture before and after, each laid twice in both directions: a seam would show."""
    captions = ("A texture, repeated", f"Its stylized copy, tileable: {style}")
    return [
        Cell(_repeated(_kept(path, out / path.name)), caption) for path, caption in zip(texture, captions, strict=False)
    ]


def _repeated(path: Path) -> Any:
    return np.tile(whole(open_picture(path)), (2, 2, 1))


def _render_look(result: Result, path: Path) -> Path:
    """The frame before: what the style was shown."""
    reader = open_picture(result.path)
    display = to_display(whole(reader), reader.encoding, reader.alpha)
    save_png(_byte_image(display), path)
    return path


def _byte_image(display: Any) -> Any:
    from PIL import Image

    return Image.fromarray(np.rint(np.clip(display, 0, 1) * 255).astype(np.uint8))


def _kept(source: Path, target: Path) -> Path:
    with writing(target):
        shutil.copyfile(source, target)
    return target


# ---------------------------------------------------------------- the report


def _report(found: Found, styles: Sequence[StyleInfo], clock: _Clock, reason: str) -> Json:
    return {
        "way": reason or f"Blender {found.blender['blender']}",
        "blender": found.blender,
        "styles": [style.name for style in styles],
        "frames": [_frame_report(result) for result in found.frames],
        "other_styles": [_frame_report(result) for result in found.others],
        "device": found.frames[0].recipe["device"],
        "seconds": clock.rounded(),
        "versions": machine.versions(),
    }


def _frame_report(result: Result) -> Json:
    return {
        "frame": result.frame,
        "style": result.style,
        "size": [result.exr.width, result.exr.height],
        "layers": list(result.exr.layers),
        "overlays": {name: meaning["sentence"] for name, meaning in result.overlays.items()},
        "certificates": {name: _certificate(meaning) for name, meaning in result.overlays.items()},
        "recipe": result.recipe,
    }


def _certificate(meaning: Json) -> Json:
    names = ("bar", "name", "value", "threshold", "passed")
    return {
        "faithful": meaning["faithful"],
        "checks": [dict(zip(names, check, strict=True)) for check in meaning["checks"]],
    }


def _words(out: Path, report: Json) -> list[str]:
    """For people: where to look."""
    total = sum(report["seconds"].values())
    return [
        f"{report['way']}. {len(report['frames'])} frames in {total:.0f} s.",
        f"Look at      {out / 'contact_sheet.png'}",
        f"Layers in    {out / 'layers_0001.exr'} ...",
        f"All about it {out / 'report.json'}",
    ]


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started

    def rounded(self) -> dict[str, float]:
        return {stage: round(seconds, 2) for stage, seconds in self.seconds.items()}


# ---------------------------------------------------------------- before it starts


def _styles(more: Path | None) -> list[StyleInfo]:
    """The styles to show: those that ship, then those in `more`. The user's own are not in the private profile, and a
    texture has no frame to paint."""
    places = [ENGINE / "styles", *([more.resolve()] if more else [])]
    found = [style for style in style_pack.installed([more] if more else []) if style.makes == "pictures"]
    styles = [style for style in found if not style.problem and Path(style.folder).parent in places]
    if not styles:
        raise EngineError(
            "No style ships with this copy.", "Train one (pentimento train) and put it into engine/styles."
        )
    styles.sort(key=lambda style: style.name != FIRST)
    return styles[:MAX_STYLES]


def _prepare(out: Path) -> Path:
    """The folder for the demo's work, empty: nothing there is ever overwritten, so an older run has to go."""
    work = out / "work"
    with writing(work):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
    return work.resolve()
