"""Somebody else's model before it is kept: what it is taken for, and what it paints then.

An ONNX file does not say everything. A dialog cannot run a job, and closes at the first click beside it: so the model
waits here, the sidebar shows it, and every change of a value tries it again in the worker, a moment after the last one.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined"

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews
import numpy as np

from . import jobs, props, scene_io, setting_up
from .engine_client import EngineError, protocol
from .translation import listed, worded

DEBOUNCE = 0.4
"""Seconds after the last change: somebody who types a number is not done at its first digit"""
TITLE = "Try Model"


@dataclass(eq=False)
class Checking:
    """The model that is looked at."""

    path: Path
    waiting: list[Path] = field(default_factory=list)
    """Looked at after it"""
    image: str = ""
    """What it is tried on; empty: a picture of the engine's"""
    found: protocol.ModelFacts | None = None
    """What it was taken for at first, before the artist changed anything"""
    facts: protocol.ModelFacts | None = None
    problem: EngineError | None = None
    """Why it could not be tried as it is"""
    pictures: tuple[np.ndarray, np.ndarray] | None = None
    """The picture, and what the model made of it: bytes (h, w, 3), row 0 at the top"""
    seconds: float = 0.0


checking: Checking | None = None
_due = 0.0
_filling = False
_previews: Any = None
_icons: dict[str, int] = {}


def begin(paths: list[Path], image: bpy.types.Image | None) -> None:
    """Look at these, one after the other. In background somebody has to ask for each trial."""
    global checking
    checking = Checking(paths[0], list(paths[1:]), usable(image))
    _forget_pictures()
    changed()


def next_one(path: Path) -> None:
    """The model is kept or left."""
    global checking
    if checking is None or checking.path != path:
        return
    image = bpy.data.images.get(checking.image)
    waiting, checking = checking.waiting, None
    _forget_pictures()
    if waiting:
        begin(waiting, image)


def usable(image: bpy.types.Image | None) -> str:
    """The name of an image whose pixels can be read, without those of renders and of overlays"""
    try:
        if image is not None:
            scene_io.check(image)
    except EngineError:
        return ""
    return image.name if image is not None else ""


def changed() -> None:
    """Tries the model in a moment, unless something changes again."""
    global _due
    if checking is None or _filling or bpy.app.background:
        return
    _due = time.monotonic() + DEBOUNCE
    if not bpy.app.timers.is_registered(_try):
        bpy.app.timers.register(_try, first_interval=DEBOUNCE)


def _try() -> float | None:
    """The timer: waits for the last change, and for whatever runs."""
    if checking is None:
        return None
    left, running = _due - time.monotonic(), jobs.current()
    if left > 0:
        return left
    if running is not None:
        if running.title == TITLE:  # it tries what is no longer asked
            jobs.cancel()
        return 0.1
    try:
        jobs.start(job())
    except EngineError as error:
        checking.problem = error
    jobs.redraw()
    return None


# ---------------------------------------------------------------- the job


def job() -> jobs.Job:
    """Tries the model as the panel says; the first time, as the engine finds out. Raises EngineError without one."""
    if checking is None:
        raise EngineError("There is no model to try.", "Choose an .onnx file with Import Style.")
    checking.problem = None
    return jobs.Job(TITLE, _requests(checking), _take, setting_up.interpreter(), _ended)


def _requests(model: Checking) -> jobs.Requests:
    chosen = props.gallery.import_settings(bpy.context)
    options = props.gallery.options(chosen) if model.facts else protocol.ImportOptions()
    with scene_io.scratch() as folder:
        image = bpy.data.images.get(model.image)
        source = (yield from scene_io.gather(image, folder)).source if image is not None else None
        yield protocol.PreviewImportRequest(props.new_job(), str(model.path), folder, options, source)


def _take(event: protocol.Event) -> None:
    global _filling
    if checking is None or not isinstance(event, protocol.ImportPreviewed):
        return
    first, checking.facts = checking.facts is None, event.facts
    checking.found = checking.found or event.facts
    checking.pictures, checking.seconds = (_pixels(event.before), _pixels(event.after)), event.seconds
    _forget_pictures()
    if first:
        _filling = True
        try:
            props.gallery.fill(props.gallery.import_settings(bpy.context), event.facts)
        finally:
            _filling = False


def _pixels(block: protocol.PixelBlock) -> np.ndarray:
    return np.fromfile(block.path, block.dtype).reshape(block.shape)


def _ended(report: jobs.Report) -> None:
    if checking is not None and report.level == "ERROR":
        checking.problem = EngineError(report.message, report.fix)
    if report.level == "INFO" and not bpy.app.background:
        jobs.forget_report()  # the pictures say it


# ---------------------------------------------------------------- what the panel shows


FOUND_OUT = {
    "channel_order": "channels",
    "value_range": "values",
    "layout": "layout",
    "normalisation": "normalisation",
}
"""Facts of a model, and what they are called"""


def how_known(found: protocol.ModelFacts) -> str:
    """One sentence for each way in which something was found out."""
    by_way: dict[str, list[str]] = {}
    for key, name in FOUND_OUT.items():
        by_way.setdefault(found.known[key], []).append(worded(name))
    said = {
        "file": "The file says: {names}.",
        "trial": "Seen in a trial: {names}.",
        "usual": "Not said, so as usual: {names}. Look at the colours.",
    }
    return " ".join(worded(said[way], names=listed(by_way[way])) for way in said if way in by_way)


def icon(which: str) -> int:
    """Of the picture ("before") or the result ("after"); 0 where there is none, as in background."""
    global _previews
    if bpy.app.background or checking is None or checking.pictures is None:
        return 0
    if which not in _icons:
        if _previews is None:
            _previews = bpy.utils.previews.new()
        _icons[which] = _made(_previews.new(which), checking.pictures[which == "after"])
    return _icons[which]


def _made(preview: Any, pixels: np.ndarray) -> int:
    """Its middle, as icons are square. Blender keeps the bottom row first, and four channels."""
    side = min(pixels.shape[:2])
    top, left = ((size - side) // 2 for size in pixels.shape[:2])
    pixels = pixels[top : top + side, left : left + side]
    shown = np.ones((side, side, 4), np.float32)
    shown[..., :3] = pixels[::-1] / np.float32(255)
    preview.image_size = side, side
    preview.image_pixels_float.foreach_set(shown.ravel())
    return preview.icon_id


def _forget_pictures() -> None:
    global _previews
    _icons.clear()
    if _previews is not None:
        bpy.utils.previews.remove(_previews)
        _previews = None


# ---------------------------------------------------------------- registration


@bpy.app.handlers.persistent
def _another_file(*_: object) -> None:
    """What was looked at belonged to the window of the file before."""
    global checking
    checking = None
    _forget_pictures()


def register() -> None:
    props.gallery.on_change = changed
    bpy.app.handlers.load_post.append(_another_file)


def unregister() -> None:
    props.gallery.on_change = None
    bpy.app.handlers.load_post.remove(_another_file)
    if bpy.app.timers.is_registered(_try):
        bpy.app.timers.unregister(_try)
    _another_file()
