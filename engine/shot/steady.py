"""From the painting of a frame to one whose strokes stick: what animate puts around it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Protocol

import numpy as np

from ..atomic import shown
from ..canvas import ArrayCanvas, Canvas, PictureCanvas
from ..errors import EngineError
from ..explain.overlay import finished
from ..painted_pass import COLOURS
from ..painter import Painting
from ..passes import Passes, canonical, fullest_of
from ..picture import Floats
from ..protocol import AnimateRequest, Json, StylizeSettings
from ..sequence import sequence
from . import record
from .camera import WORST
from .carried import Carried
from .held import Anchor, Held
from .record import Frame
from .surfaces import FAR, Surfaces, no_render, surfaces

SAMPLES = 500
"""Pixels by which a frame is known again"""
OF_A_PICTURE = ("Scale",)
"""Overlays that ask nothing of the style: what they say holds for strokes that come from elsewhere, too"""


class Steady(Protocol):
    """Makes strokes stick from frame to frame."""

    in_order: bool
    """Each frame needs the one before"""

    def over(self, number: int, painting: Painting) -> Generator[None, None, Canvas]:
        """What is painted of a frame, in place of `painting.canvas()`: in steps, between which a job can be
        cancelled."""
        ...

    def recipe(self, number: int) -> Json:
        """What a frame is to be made again by, beside its painting's own"""
        ...


def opened(
    request: AnimateRequest, open_frame: Callable[[int], Painting], size: tuple[int, int], floats: bool, first: int
) -> Steady:
    """What the request asks for, where it asks for one. open_frame: any frame of the shot; size,
    floats: height and width of all, and whether they are renders, not bytes; first: the number of the first frame."""
    _check(request)
    if not floats:
        raise no_render(Path(request.frames).name)
    if request.shot:
        return _ByShot(request, open_frame, size)
    return _InOrder(request.settings, first)


def _check(request: AnimateRequest) -> None:
    if request.shot and request.sequential:
        raise EngineError("Strokes cannot be both held and carried.", "Leave out either --shot or --sequential.")
    if request.sequential and request.workers > 1:
        raise EngineError("Several workers cannot carry strokes from frame to frame.", "Use one, or --shot.")
    others = [name for name in request.settings.overlays if name not in OF_A_PICTURE]
    if others:
        raise EngineError(
            f"{others[0]} runs the style on single frames and knows nothing of strokes that stick.",
            "Ask it of one frame with pentimento explain, or leave out --shot and --sequential.",
        )


class _ByShot:
    """By the anchors of a shot.json."""

    in_order = False

    def __init__(self, request: AnimateRequest, open_frame: Callable[[int], Painting], size: tuple[int, int]) -> None:
        path = Path(request.shot)
        self.shot = record.read(path)
        if self.shot.size != size:
            sizes = " x ".join(map(str, size[::-1])), " x ".join(map(str, self.shot.size[::-1]))
            raise EngineError(
                f"The frames have the size {sizes[0]}, those of {shown(path.name)} {sizes[1]}.",
                "Look at the shot again: pentimento shot.",
            )
        asked = str(sequence(request.frames))
        if self.shot.frames != asked:
            raise EngineError(
                f"{shown(path.name)} tells of {shown(self.shot.frames)}, not of {shown(asked)}.",
                "Look at this shot: pentimento shot.",
            )
        self.open_frame = open_frame
        settings = request.settings
        self.held = Held(self.shot, self._opened, settings.stroke, is_lit(settings))

    def over(self, number: int, painting: Painting) -> Generator[None, None, Canvas]:
        if number in self.shot.empty:
            return painting.canvas()
        frame = self.shot.frame(number)
        seen = _as_looked_at(frame, passes_to_follow(painting))
        for missing in self.held.missing(frame):
            self.held.keep((yield from self._anchor(missing, number)), frame)
        picture = _picture(painting)
        fresh = yield from _painted(painting, painting.canvas())
        return ArrayCanvas((yield from self.held.painting(number, seen, picture, fresh))[0])

    def recipe(self, number: int) -> Json:
        """Of all that was found only what this frame goes by: the shot may grow, and the others stay."""
        return {"shot": self.shot.hash_of(number)}

    def _anchor(self, frame: Frame, holding: int) -> Generator[None, None, Anchor]:
        try:
            painting = self.open_frame(frame.number)
            seen = _as_looked_at(frame, passes_to_follow(painting))
        except EngineError as error:
            told = f"Frame {frame.number}, which holds strokes of frame {holding}, cannot be painted: {error.message}"
            raise EngineError(told, error.fix) from error
        picture = _picture(painting)
        painted = yield from _painted(painting, painting.canvas())
        return Anchor(frame, seen, picture, painted, self.held.stroke)

    def _opened(self, frame: Frame) -> Anchor:
        return finished(self._anchor(frame, frame.number))


class _InOrder:
    """By the frame before."""

    in_order = True

    def __init__(self, settings: StylizeSettings, first: int) -> None:
        self.settings, self.first = settings, first
        self.carried = Carried(settings.stroke, is_lit(settings))
        self.last: int | None = None

    def over(self, number: int, painting: Painting) -> Generator[None, None, Canvas]:
        """Begins anew where the frame before is not there, or has failed."""
        passes = passes_to_follow(painting)
        passes.need("Vector")
        if self.last != number - 1:
            self.carried = Carried(self.settings.stroke, is_lit(self.settings))
        picture = _picture(painting)
        seen, moved = yield from self.carried.to_paint(passes, picture)
        canvas = painting.canvas(ArrayCanvas(seen, painting.settings.tileable), moved)
        fresh = yield from _painted(painting, canvas)
        self.last = None  # until this one is done
        painted, _ = yield from self.carried.painting(passes, picture, fresh)
        self.last = number
        return ArrayCanvas(painted)

    def recipe(self, number: int) -> Json:
        return {"sequential_from": self.first}  # a run that begins elsewhere has other strokes


def is_lit(settings: StylizeSettings) -> bool:
    """Does light fall on what is painted? Colours of surfaces stay what they are."""
    return canonical(settings.painted_pass) not in COLOURS


def passes_to_follow(painting: Painting) -> Passes:
    """Of a frame whose surfaces are to be found again."""
    found = painting.opened
    if found.file is None:
        raise no_render(found.source.name)
    return fullest_of(found.file, found.source.path)


def _as_looked_at(frame: Frame, passes: Passes) -> Surfaces:
    """What a frame shows, if it is still the one that the shot was looked at with."""
    seen = surfaces(passes, frame.camera)
    rows, columns = np.nonzero(seen.objects > FAR)
    some = np.random.default_rng(0).permutation(len(rows))[:SAMPLES]
    found = frame.camera.project(seen.position[:, rows[some], columns[some]].astype(np.float64))
    off = np.nan_to_num(np.hypot(found[0] - rows[some], found[1] - columns[some]), nan=np.inf)
    if not len(off) or np.median(off) > WORST:
        raise EngineError(
            f"Frame {frame.number} was rendered anew, with another camera, since the shot was looked at.",
            "Look at the shot again: pentimento shot.",
        )
    return seen


def _picture(painting: Painting) -> Floats:
    """(3, H, W) 0..1: what the style sees"""
    return PictureCanvas(painting.reader, False).read(0, 0, painting.reader.height, painting.reader.width)


def _painted(painting: Painting, canvas: Canvas) -> Generator[None, None, Floats]:
    """(3, H, W) 0..1: what is painted. A step for each tile."""
    height, width = painting.reader.height, painting.reader.width
    fresh = np.empty((3, height, width), np.float32)
    for window in painting.mix.tiles(height, width, painting.styles.paint, painting.settings.tile):
        top, left, tall, wide = window
        np.clip(canvas.read(*window), 0, 1, out=fresh[:, top : top + tall, left : left + wide])
        yield
    return fresh
