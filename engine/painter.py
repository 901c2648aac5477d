"""A picture becomes a painting: what every job that stylizes does with one picture, a still or a frame.

It is painted in tiles and leaves in bands of rows, so a big one is never in memory as floats. Overlays that explain it
are made right after it, of what the model saw and answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from . import controls, painted_pass, recipe
from .canvas import ROWS, Canvas, PictureCanvas, alpha_of, by_rows, is_plain
from .errors import EngineError
from .explain.overlay import Overlay, told
from .exr import ExrFile, read_if_exr
from .files import open_source
from .islands import Islands, islands
from .mixing import Mix, Styles
from .noise import Moved
from .outputs import Output
from .painted_pass import PaintedPass
from .passes import Passes, passes_of
from .picture import Array, Floats, Picture, PictureReader, from_display, has_alpha, result_channels, split, to_display
from .protocol import Event, Json, PictureSource, Progress, StylizeSettings
from .resample import reduced
from .view import View

OVERLAY_PIXELS = 16_000_000
"""Overlays of larger pictures are computed on the picture reduced to this: they hold several floats per pixel."""
STAGES = ("read", "inference", "overlays", "write")

Say = Callable[[float, str], Progress]
"""(how much of this picture is done, what happens now) -> the event that says so"""


class Rows(Protocol):
    """Takes a picture as bands of rows from the top."""

    def write_rows(self, rows: Array) -> None: ...


def no_memory(source: PictureSource) -> EngineError:
    return EngineError(
        f"There is not enough memory for {source.name!r}.", "Close other programs, or use a smaller picture."
    )


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture that is ready to be painted."""

    source: PictureSource
    reader: PictureReader
    """What the style sees: the picture, or the pass that is painted"""
    sheet: PictureReader
    """The picture, its lights turned as the settings ask: what the result is stored like"""
    passes: Passes | None
    """Of a render, where something asks for them"""
    chosen: PaintedPass | None = None
    """The pass that is painted in place of the picture"""
    file: ExrFile | None = None
    """All that is in an EXR, where it is kept for the result"""
    islands: Islands | None = None
    """Of a baked texture"""

    def into(self, output: Output) -> Output:
        """Where what is painted goes, so that `output` takes the whole picture."""
        if self.islands:
            output = self.islands.into(output)
        return self.chosen.into(output) if self.chosen else output


def opened(styles: Styles, source: PictureSource, view: View | None, keep: bool = False) -> Opened:
    """Open a picture, once. keep: hold everything that is in an EXR, which otherwise is read again for the result."""
    file = read_if_exr(source.path, keep) if source.pixels is None else None
    reader = open_source(source, view, file)
    around = islands(source, reader) if isinstance(reader, Picture) else None
    reader = around.picture if around else reader
    reader.read(0, 0, 1, 1)  # decoders work at the first read: its time is not the network's
    passes = passes_of(file, source.path) if file is not None and styles.asks_passes else None
    sheet = controls.gained(reader, passes, styles.settings.gains)
    chosen = painted_pass.chosen(sheet, passes, styles.settings)
    return Opened(source, chosen.picture if chosen else sheet, sheet, passes, chosen, file if keep else None, around)


@dataclass(eq=False)
class Painting:
    """One picture on its way through a job."""

    styles: Styles
    opened: Opened
    mix: Mix
    """What `Styles.over` makes of this picture"""
    say: Say = lambda fraction, stage: Progress("", fraction, stage)
    notes: list[str] = field(default_factory=list)
    """Messages of the runtime, passed on as progress"""
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @property
    def settings(self) -> StylizeSettings:
        return self.styles.settings

    @property
    def reader(self) -> PictureReader:
        return self.opened.reader

    @property
    def strength(self) -> float:
        return controls.left_strength(self.settings)

    def canvas(self, seen: Canvas | None = None, moved: Moved | None = None) -> Canvas:
        """What the styles paint over the whole picture, display-referred, any window on demand. seen: what they are to
        see in its place; moved: see Paint.

        The one place where a picture becomes a painting: what is to hold from frame to frame goes around it.
        """
        paint = replace(self.styles.paint, moved=moved)
        return self.mix.painted(PictureCanvas(self.reader, self.settings.tileable), paint, seen=seen)

    def work(self, canvas: Canvas, output: Rows) -> Generator[Event, None, tuple[list[Overlay], Floats | None]]:
        """Paint and explain. canvas: what `canvas` gave, or what was made of it. Returns the overlays in the order in
        which they were asked for, and what they lie over: (H, W, 3) display-referred."""
        seen = _Seen(self.reader) if self.settings.overlays and not _too_large(self.reader) else None
        yield from self._paint(canvas, output, seen)
        return (yield from self._explain(seen))

    def recipe(self) -> Json:
        device = self.styles.first.device
        made = recipe.of_picture(self.mix.recipe(), self.settings, self.opened.source.name, self.reader, device)
        if self.settings.overlays:
            height, width = overlay_size(self.reader)
            made["overlay_size"] = [width, height]
        return made

    def _paint(self, canvas: Canvas, output: Rows, seen: _Seen | None) -> Iterator[Event]:
        reader, share = self.reader, 0.5 if self.settings.overlays else 0.95
        windows = list(self.mix.tiles(reader.height, reader.width, self.styles.paint, self.settings.tile))
        band: Array | None = None
        for index, (top, left, height, width) in enumerate(windows):
            with Clock(self.seconds, "inference"):
                if band is None:
                    band = np.empty((height, reader.width, result_channels(reader.channels)), reader.dtype)
                self._compose(canvas.read(top, left, height, width), (top, left), band, seen)
            if left + width == reader.width:
                with Clock(self.seconds, "write"):
                    output.write_rows(band)
                band = None
            yield from self._told_notes(share * (index + 1) / len(windows))
            yield self.say(share * (index + 1) / len(windows), f"Painting {self.opened.source.name}")

    def _compose(self, style: Floats, place: tuple[int, int], band: Array, seen: _Seen | None) -> None:
        """Lay the model's answer (3, h, w) over the picture at `place` and store it in its columns of the band.

        In slices of rows that stay in the processor's cache.
        """
        reader, (top, left) = self.reader, place
        height, width = style.shape[1:]
        if seen is None and self.strength == 1 and is_plain(reader):
            self._store(style, place, band)
            return

        def compose(row: int) -> None:
            count = min(ROWS, height - row)
            stored = reader.read(top + row, left, count, width)
            alpha = alpha_of(stored, reader.alpha)
            inside, beyond = split(to_display(stored, reader.encoding, alpha, reader.view))
            result = _mixed(inside, style[:, row : row + count].transpose(1, 2, 0), self.strength)
            if seen is not None:
                seen.keep(top + row, left, inside, result)
            result += beyond
            back = from_display(result, stored, reader.encoding, alpha, reader.view)
            band[row : row + count, left : left + width] = back

        by_rows(height, compose)

    def _store(self, style: Floats, place: tuple[int, int], band: Array) -> None:
        """The same for bytes at full strength, where the picture itself no longer shows: only its alpha is kept."""
        reader, (top, left) = self.reader, place
        height, width = style.shape[1:]
        window = band[:, left : left + width]
        scale = np.float32(np.iinfo(band.dtype).max)

        def store(row: int) -> None:
            part = np.clip(style[:, row : row + ROWS], 0, 1)
            part *= scale
            np.rint(part, out=part)
            for channel in range(3):
                window[row : row + ROWS, :, channel] = part[channel]

        by_rows(height, store)
        if has_alpha(reader.channels):
            window[..., 3] = reader.read(top, left, height, width)[..., -1]

    def _explain(self, seen: _Seen | None) -> Generator[Event, None, tuple[list[Overlay], Floats | None]]:
        """The overlays that were asked for, in that order, and what they lie over: (H, W, 3) display-referred."""
        if not self.settings.overlays:
            return [], None
        from .explain.removal import Look  # overlays are only loaded when somebody asks why

        look = Look(self.mix, self.styles.paint, self.strength)
        started = time.perf_counter()
        if seen is None:
            yield self.say(0.5, "Reducing the picture for the overlays")
            before = reduced(self.reader, overlay_size(self.reader), self.settings.tileable)
            said = [self.say(0.5, "Painting it in that size")]
            after = yield from told(look.result_in_steps(before), lambda _: said)
        else:
            before, after = seen.before, seen.after
        overlays: list[Overlay] = []
        for name in self.settings.overlays:
            overlays.append((yield from self._overlay(name, look, before, after, len(overlays))))
        self.seconds["overlays"] += time.perf_counter() - started
        return overlays, before.transpose(1, 2, 0)

    def _overlay(
        self, name: str, look: Any, before: Floats, after: Floats, index: int
    ) -> Generator[Event, None, Overlay]:
        from .explain.families import Subject, overlay

        count = len(self.settings.overlays)
        base, share = 0.5 + 0.48 * index / count, 0.48 / count

        def say(step: float | Overlay) -> Iterator[Event]:
            if isinstance(step, float):
                yield self.say(base + share * step, f"Explaining {self.opened.source.name}: {name}")

        yield from say(0.0)
        subject = Subject(look, before, after, painted_pass=self.settings.painted_pass)
        return (yield from told(overlay(name, subject), say))

    def _told_notes(self, fraction: float) -> Iterator[Event]:
        while self.notes:
            yield self.say(fraction, self.notes.pop(0))


def check_large_enough(settings: StylizeSettings, opened: Opened) -> None:
    """Of a picture that is to be explained"""
    reader = opened.reader
    if settings.overlays and min(reader.height, reader.width) < 16:
        raise EngineError(
            f"{opened.source.name!r} is too small to be explained ({reader.width} x {reader.height}).",
            "Turn its overlays off, or use a picture of at least 16 x 16 pixels.",
        )


class _Seen:
    """What the model saw and what became of it, kept for the overlays: planes (3, H, W) 0..1."""

    def __init__(self, reader: PictureReader) -> None:
        self.before = np.empty((3, reader.height, reader.width), np.float32)
        self.after = np.empty_like(self.before)

    def keep(self, top: int, left: int, before: Floats, after: Floats) -> None:
        """before, after: (h, w, 3)"""
        window = np.s_[:, top : top + before.shape[0], left : left + before.shape[1]]
        self.before[window] = before.transpose(2, 0, 1)
        self.after[window] = after.transpose(2, 0, 1)


class Clock:
    """Adds the time spent inside to a stage."""

    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self.seconds, self.stage = seconds, stage

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.stage] += time.perf_counter() - self.started


def _mixed(inside: Floats, style: Floats, strength: float) -> Floats:
    """The model's answer, clamped, laid over what it saw; a new array (h, w, 3) 0..1."""
    result = np.empty_like(inside)
    np.clip(style, 0, 1, out=result)
    if strength != 1:
        result -= inside
        result *= np.float32(strength)
        result += inside
    return result


def _too_large(reader: PictureReader) -> bool:
    return reader.height * reader.width > OVERLAY_PIXELS


def overlay_size(reader: PictureReader) -> tuple[int, int]:
    """Height and width of the picture's overlays."""
    shrink = min(1.0, (OVERLAY_PIXELS / (reader.height * reader.width)) ** 0.5)
    return max(16, int(reader.height * shrink)), max(16, int(reader.width * shrink))
