"""The main job: pictures in, stylized layers and the overlays that explain them out.

A picture is painted in tiles and leaves in bands of rows, so a big one is never in memory as floats.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import controls, outputs, painted_pass, recipe
from .canvas import ROWS, PictureCanvas, alpha_of, by_rows, is_plain
from .errors import EngineError
from .explain.overlay import OF_A_RESULT, Overlay, told
from .files import open_source, open_view
from .mixing import Mix, Styles, check_styles, open_styles
from .passes import Passes, painted_passes
from .picture import Array, Floats, PictureReader, from_display, has_alpha, result_channels, split, to_display
from .protocol import (
    Done,
    Event,
    Json,
    PictureSource,
    Progress,
    SourceFailed,
    Stylized,
    StylizeRequest,
    StylizeSettings,
)
from .resample import reduced
from .runtime import Paint
from .view import View

OVERLAY_PIXELS = 16_000_000
"""Overlays of larger pictures are computed on the picture reduced to this: they hold several floats per pixel."""


def stylize(request: StylizeRequest) -> Iterator[Event]:
    """Stylize every source. One that fails is told and the next one follows; alone it fails the job."""
    _check(request)
    notes: list[str] = []
    yield Progress(request.job, 0.0, "Opening the style")
    styles = open_styles(request.settings, notes.append)
    view = open_view(request.view) if request.view else None
    done = 0
    for number, source in enumerate(request.sources):
        work = _Work(request, styles, source, view, number, notes)
        try:
            yield from work.run()
            done += 1
        except (EngineError, MemoryError) as error:
            problem = error if isinstance(error, EngineError) else no_memory(source)
            if len(request.sources) == 1:
                raise problem from error
            yield SourceFailed(request.job, source.name, problem.message, problem.fix)
    yield Done(request.job, {"done": done, "failed": len(request.sources) - done, "device": styles.first.device})


def no_memory(source: PictureSource) -> EngineError:
    return EngineError(
        f"There is not enough memory for {source.name!r}.", "Close other programs, or use a smaller picture."
    )


def _check(request: StylizeRequest) -> None:
    """Checks that cost nothing come first."""
    if not request.sources:
        raise EngineError("There is no picture to stylize.", "Choose at least one picture.")
    check_settings(request.settings)
    check_overlays(request.settings, OF_A_RESULT)
    check_delivery(request.deliver)


def check_delivery(deliver: str) -> None:
    if deliver not in ("files", "pixels"):
        raise EngineError(f"Results cannot be delivered as {deliver!r}.", "Ask for files or pixels.")


def check_settings(settings: StylizeSettings) -> None:
    """All but the overlays"""
    check_styles(settings.styles)
    if not 0 <= settings.diversity <= 1.5:
        raise EngineError(f"The diversity is {settings.diversity:g}.", "Choose a diversity from 0 to 1.5.")
    if not 0 <= settings.follow <= 1:
        raise EngineError(f"Strokes cannot follow forms by {settings.follow:g}.", "Choose a number from 0 to 1.")
    if not 0 <= settings.strength <= 1:
        raise EngineError(f"The strength is {settings.strength:g}.", "Choose a strength from 0 to 1.")
    controls.check(settings)
    painted_pass.check(settings)
    if not 0.25 <= settings.stroke <= 4:
        raise EngineError(f"The stroke size is {settings.stroke:g}.", "Choose a stroke size from 0.25 to 4.")
    if not 0 <= settings.seed < 2**31:
        raise EngineError(f"The seed is {settings.seed}.", "Choose a seed from 0 to 2147483647.")
    if settings.tile and settings.tile < 16:
        raise EngineError(f"Tiles of {settings.tile} pixels are too small.", "Choose 16 or more, or 0 for automatic.")


def check_overlays(settings: StylizeSettings, known: Sequence[str]) -> None:
    for name in settings.overlays:
        if name not in known:
            raise EngineError(f"There is no overlay {name!r} here.", "Choose among: " + ", ".join(known) + ".")


@dataclass
class _Work:
    """One source on its way through the job."""

    request: StylizeRequest
    styles: Styles
    source: PictureSource
    view: View | None
    number: int
    notes: list[str]
    """Messages of the runtime, passed on as progress"""
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("read", "inference", "overlays", "write"), 0.0)
    )

    @property
    def settings(self) -> StylizeSettings:
        return self.request.settings

    @property
    def strength(self) -> float:
        return controls.left_strength(self.settings)

    @property
    def paint(self) -> Paint:
        return self.styles.paint

    def run(self) -> Iterator[Event]:
        """Open, paint, explain, deliver."""
        yield self._progress(0.0, "Reading")
        with _Clock(self.seconds, "read"):
            reader = open_source(self.source, self.view)
            self._check_overlays(reader)
            reader.read(0, 0, 1, 1)  # decoders work at the first read: its time is not the network's
            passes = self._passes()
            combined = controls.gained(reader, passes, self.settings.gains)
            chosen = painted_pass.chosen(combined, passes, self.settings)
            reader = chosen.picture if chosen else combined
            mix = self.styles.over(self.source, reader, passes)
        made = self._recipe(reader, mix)
        seen = _Seen(reader) if self.settings.overlays and not _too_large(reader) else None
        with outputs.opened(self.request, self.source, self.styles.name, combined, made) as opened:
            output = chosen.into(opened) if chosen else opened
            yield from self._paint(reader, mix, output, seen)
            overlays, beneath = yield from self._explain(reader, mix, seen)
            yield self._progress(0.98, "Writing")
            with _Clock(self.seconds, "write"):
                layers = output.finish(overlays, beneath)
        yield self._progress(1.0, "Done")
        yield Stylized(self.request.job, self.source.name, layers, output.path, dict(self.seconds), made)

    def _passes(self) -> Passes | None:
        """Of a render, where something asks for them"""
        asked = self.styles.asks_passes and self.source.pixels is None
        return painted_passes(self.source.path) if asked else None

    def _check_overlays(self, reader: PictureReader) -> None:
        if self.settings.overlays and min(reader.height, reader.width) < 16:
            raise EngineError(
                f"{self.source.name!r} is too small to be explained ({reader.width} x {reader.height}).",
                "Turn its overlays off, or use a picture of at least 16 x 16 pixels.",
            )

    def _paint(self, reader: PictureReader, mix: Mix, output: outputs.Output, seen: _Seen | None) -> Iterator[Event]:
        share = 0.5 if self.settings.overlays else 0.95
        canvas = mix.painted(PictureCanvas(reader, self.settings.tileable), self.paint)
        windows = list(mix.tiles(reader.height, reader.width, self.paint, self.settings.tile))
        band: Array | None = None
        for index, (top, left, height, width) in enumerate(windows):
            with _Clock(self.seconds, "inference"):
                if band is None:
                    band = np.empty((height, reader.width, result_channels(reader.channels)), reader.dtype)
                style = canvas.read(top, left, height, width)
                self._compose(reader, style, (top, left), band, seen)
            if left + width == reader.width:
                with _Clock(self.seconds, "write"):
                    output.write_rows(band)
                band = None
            yield from self._told_notes(share * (index + 1) / len(windows))
            yield self._progress(share * (index + 1) / len(windows), f"Painting {self.source.name}")

    def _compose(
        self, reader: PictureReader, style: Floats, place: tuple[int, int], band: Array, seen: _Seen | None
    ) -> None:
        """Lay the model's answer (3, h, w) over the picture at `place` and store it in its columns of the band.

        In slices of rows that stay in the processor's cache.
        """
        top, left = place
        height, width = style.shape[1:]
        if seen is None and self.strength == 1 and is_plain(reader):
            self._store(reader, style, place, band)
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

    def _store(self, reader: PictureReader, style: Floats, place: tuple[int, int], band: Array) -> None:
        """The same for bytes at full strength, where the picture itself no longer shows: only its alpha is kept."""
        top, left = place
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

    def _explain(
        self, reader: PictureReader, mix: Mix, seen: _Seen | None
    ) -> Generator[Event, None, tuple[list[Overlay], Floats | None]]:
        """The overlays that were asked for, in that order, and what they lie over: (H, W, 3) display-referred."""
        if not self.settings.overlays:
            return [], None
        from .explain.removal import Look  # overlays are only loaded when somebody asks why

        look = Look(mix, self.paint, self.strength)
        started = time.perf_counter()
        if seen is None:
            yield self._progress(0.5, "Reducing the picture for the overlays")
            before = reduced(reader, overlay_size(reader), self.settings.tileable)
            said = [self._progress(0.5, "Painting it in that size")]
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
                yield self._progress(base + share * step, f"Explaining {self.source.name}: {name}")

        yield from say(0.0)
        subject = Subject(look, before, after, painted_pass=self.settings.painted_pass)
        return (yield from told(overlay(name, subject), say))

    def _recipe(self, reader: PictureReader, mix: Mix) -> Json:
        device = self.styles.first.device
        made = recipe.of_picture(mix.recipe(), self.settings, self.source.name, reader, device)
        if self.settings.overlays:
            height, width = overlay_size(reader)
            made["overlay_size"] = [width, height]
        return made

    def _progress(self, fraction: float, stage: str) -> Progress:
        return Progress(self.request.job, (self.number + fraction) / len(self.request.sources), stage)

    def _told_notes(self, fraction: float) -> Iterator[Event]:
        while self.notes:
            yield self._progress(fraction, self.notes.pop(0))


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


class _Clock:
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
