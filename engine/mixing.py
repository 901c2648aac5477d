"""Several styles in one picture: by shares, by mattes, and the strokes of one in the colours of another.

Every style paints the picture as if it were alone; its answer is clamped to 0..1 and the answers are added up by
weights, in the display-referred colour the models work in. All weights are functions of the place, so tiles stay exact,
and one tile passes through all styles before the next one begins: nothing is held as a whole picture but mattes.

Styles that share a matte (or none) divide its place by their shares. Mattes that overlap divide it by how much each
covers. What no matte covers belongs to the styles without one; where there is none the picture stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from . import colours, controls, guides, palette, style_pack
from .canvas import Canvas
from .colours import Coloured, Colours, Matched, luma
from .errors import EngineError
from .files import shown
from .mattes import Coverage, Matte, open_matte
from .passes import COMBINED, Passes
from .picture import Floats, PictureReader
from .protocol import Json, PictureSource, StyleShare, StylizeSettings
from .resample import reduced
from .runtime import Paint, Session, Statistics, inner_size, painted, tiles

_WEIGHTS_BYTES = 60
"""Working memory per pixel for weights and sums, beside that of the style at work"""
_PALETTE_BYTES = 120
"""The same for the averages of a palette"""
_COLOURS_BYTES = 60
"""The same for the colours of the picture"""


@dataclass(frozen=True, eq=False)
class Part:
    """One style of several."""

    session: Session
    share: float = 1.0
    """Above 0. Only its ratio to the other shares under the same matte matters"""
    matte: Matte | None = None
    """None: wherever no matte of another style is"""
    colours: Colours | None = None
    """What becomes of the colours it paints; None: they stay"""


@dataclass(frozen=True, eq=False)
class Mix:
    """The styles of one picture, ready to paint it."""

    parts: tuple[Part, ...]
    palette: Session | None = None
    """Every part keeps its strokes and takes the colours of this style"""
    passes: Passes | None = None
    """Of the render that is painted, for styles with guides"""
    bands: controls.Bands = controls.EVEN
    """How strongly each band of what a style changes shows"""
    strengths: controls.Strengths | None = None
    """By place; None: whoever lays what is painted over the picture decides"""

    @property
    def sessions(self) -> tuple[Session, ...]:
        return (*(part.session for part in self.parts), *([self.palette] if self.palette else []))

    @property
    def bytes_per_pixel(self) -> float:
        """Working memory per pixel of a tile."""
        mixing = _WEIGHTS_BYTES * (len(self.parts) > 1 or self.parts[0].matte is not None or self.strengths is not None)
        recolouring = _PALETTE_BYTES * (self.palette is not None)
        recolouring += _COLOURS_BYTES * any(part.colours is not None for part in self.parts)
        banding = controls.BANDS_BYTES * (self.bands != controls.EVEN)
        return max(s.bytes_per_pixel for s in self.sessions) + mixing + recolouring + banding

    def tiles(self, height: int, width: int, paint: Paint, edge: int = 0) -> Iterator[tuple[int, int, int, int]]:
        """The windows in which a picture is best painted; see runtime.tiles."""
        return tiles(height, width, edge, self.bytes_per_pixel, controls.bands_reach(self.bands, paint.stroke))

    def painted(
        self, source: Canvas, paint: Paint, followed: Canvas | None = None, seen: Canvas | None = None
    ) -> Canvas:
        """The stylized picture as a canvas of the same size: display-referred, any window on demand.

        `source` wraps when `paint.wrap` is set. It may be a reduced picture: mattes are reduced with it. followed: see
        runtime.painted. seen: what the styles see in place of the source.
        """
        told = (seen or source, paint, self.passes, followed)
        palette_ = _Remembered(painted(self.palette, *told)) if self.palette else None
        canvases = [painted(part.session, *told) for part in self.parts]
        if palette_:
            canvases = [Recoloured(canvas, palette_, paint.stroke) for canvas in canvases]
        canvases = [
            canvas if part.colours is None else Coloured(source, canvas, part.colours)
            for part, canvas in zip(self.parts, canvases, strict=True)
        ]
        if self.bands != controls.EVEN:
            canvases = [controls.Banded(source, canvas, self.bands, paint) for canvas in canvases]
        lone = len(self.parts) == 1 and self.parts[0].matte is None
        return canvases[0] if lone and not self.strengths else Mixed(source, self.parts, canvases, self.strengths)

    def reach(self, height: int, width: int, paint: Paint) -> int | None:
        """How far to each side, in pixels of a picture of this size, a pixel changes the result where strokes go on to
        follow the forms they followed; None: everywhere."""
        reaches = [_reach(session, height, width, paint) for session in self.sessions]
        if None in reaches:
            return None
        recoloured = palette.reach(paint.stroke) if self.palette else 0
        return max(reach or 0 for reach in reaches) + recoloured + controls.bands_reach(self.bands, paint.stroke)

    def recipe(self) -> Json:
        """What must be known of the styles to make the result again."""
        styles = [
            {
                **_named(part.session),
                "share": part.share,
                **({"matte": part.matte.described} if part.matte else {}),
                **({"colours": part.colours.described()} if isinstance(part.colours, Matched) else {}),
            }
            for part in self.parts
        ]
        return {
            "styles": styles,
            **({"palette": _named(self.palette)} if self.palette else {}),
            **(self.strengths.described() if self.strengths else {}),
        }


def alone(session: Session) -> Mix:
    """One style for the whole picture."""
    return Mix((Part(session),))


def _named(session: Session) -> Json:
    locked = {"locked_to": session.locked_to} if session.locked_to else {}
    return {"name": session.pack.name, "hash": session.pack.hash, "precision": session.precision, **locked}


def _reach(session: Session, height: int, width: int, paint: Paint) -> int | None:
    spec, stroke = session.spec, paint.stroke
    if not spec.local or spec.receptive_radius is None:
        return None
    if inner_size(spec, height, width, paint) == (height, width):
        return spec.receptive_radius
    # Resampled to the model's size and back, each with a kernel of two pixels of the coarser grid to each side.
    inner = spec.receptive_radius + 3 * max(1.0, 1 / stroke)
    return math.ceil(inner * stroke * 1.25 + 4 * max(1.0, stroke)) + spec.stride


# ---------------------------------------------------------------- from names to styles at work


@dataclass(frozen=True, eq=False)
class Styles:
    """The styles of a job, opened once for all its pictures."""

    shares: tuple[tuple[StyleShare, Session], ...]
    palette: Session | None
    settings: StylizeSettings
    matched: dict[str, tuple[Matched, ...]] = field(default_factory=dict)
    """By shots: to what the colours of each style are brought"""
    statistics: dict[tuple[str, str], Statistics] = field(default_factory=dict)
    """By shots and styles: what styles are locked to. It is small"""
    locked: dict[str, tuple[str, Session]] = field(default_factory=dict)
    """By styles: the shot that was painted last, and the style locked to it. A session is as large as its network, and
    every picture without a number is a shot of its own"""

    @property
    def name(self) -> str:
        """What results are named after: `Starry Night, Metzinger in Wheat Field`."""
        names = ", ".join(dict.fromkeys(session.pack.name for _, session in self.shares))
        return f"{names} in {self.palette.pack.name}" if self.palette else names

    @property
    def first(self) -> Session:
        """The one that tells of the device: all run on the same."""
        return self.shares[0][1]

    @property
    def asks_passes(self) -> bool:
        """Must the passes of a render be read to paint it?"""
        settings = self.settings
        asked = settings.gains or settings.strength_of or settings.painted_pass != COMBINED
        return self._guided or bool(asked) or any(share.matte for share, _ in self.shares)

    @property
    def _sessions(self) -> list[Session]:
        return [session for _, session in self.shares] + ([self.palette] if self.palette else [])

    @property
    def _guided(self) -> bool:
        return any(session.guides for session in self._sessions)

    @property
    def paint(self) -> Paint:
        chosen = self.settings
        return Paint(chosen.seed, chosen.stroke, chosen.tileable, chosen.diversity, chosen.follow)

    def over(self, source: PictureSource, reader: PictureReader, passes: Passes | None, shot: str = "") -> Mix:
        """The styles over one picture, with its mattes and guides. passes: of the render, where `asks_passes`. shot:
        what the frames of one shot have in common; empty: as names tell (colours.shot)."""
        wrap = self.settings.tileable
        for session in self._sessions:
            guides.need(session.guides, passes, f"The style {session.pack.name!r}", shown(reader.name))
        names = dict.fromkeys(share.matte for share, _ in self.shares if share.matte)
        mattes = {name: open_matte(name, passes, reader, wrap) for name in names}
        shot = shot or colours.shot(source, reader)
        told = passes if self._guided else None
        parts = (
            Part(self._locked(session, shot, reader, told), share.share, mattes.get(share.matte))
            for share, session in self.shares
        )
        palette_ = self._locked(self.palette, shot, reader, told) if self.palette else None
        strengths = controls.strengths(self.settings, reader, passes, wrap)
        mix = Mix(tuple(parts), palette_, told, self.settings.bands, strengths)
        return replace(mix, parts=self._coloured(mix, shot, reader))

    def _locked(self, session: Session, shot: str, reader: PictureReader, passes: Passes | None) -> Session:
        """A style as it paints a shot: with the statistics of its first frame, where they are to be locked."""
        if not self.settings.lock or session.spec.receptive_radius is not None:
            return session
        style = session.pack.hash
        if self.locked.get(style, ("",))[0] != shot:
            self.locked.pop(style, None)  # frees it first
            self.locked[style] = shot, session.locked(self._statistics(session, shot, reader, passes))
        return self.locked[style][1]

    def _statistics(self, session: Session, shot: str, reader: PictureReader, passes: Passes | None) -> Statistics:
        key = shot, session.pack.hash
        if key not in self.statistics:
            size = session.reference_size(reader.height, reader.width, self.paint.stroke)
            planes = reduced(reader, size, self.paint.wrap)
            self.statistics[key] = session.statistics(planes, self.paint, shown(reader.name), passes)
        return self.statistics[key]

    def _coloured(self, mix: Mix, shot: str, reader: PictureReader) -> tuple[Part, ...]:
        """The parts with what becomes of their colours. The first frame of a shot decides for the others."""
        if self.settings.colours == "style":
            return mix.parts
        if self.settings.colours == "luma":
            return tuple(replace(part, colours=luma) for part in mix.parts)
        if shot not in self.matched:
            self.matched[shot] = self._measured(mix, reader)
        return tuple(replace(part, colours=found) for part, found in zip(mix.parts, self.matched[shot], strict=True))

    def _measured(self, mix: Mix, reader: PictureReader) -> tuple[Matched, ...]:
        """How each style's colours are brought to those of a picture."""
        small, weights = colours.measured_on(reader, self.paint.wrap)
        window = (0, 0, small.height, small.width)
        picture = small.read(*window)
        return tuple(
            colours.matching(
                np.clip(painted(part.session, small, self.paint, mix.passes).read(*window), 0, 1),
                picture,
                weights,
                shown(reader.name),
            )
            for part in mix.parts
        )


def check_styles(styles: Sequence[StyleShare]) -> None:
    """Checks that cost nothing."""
    if not any(share.share > 0 for share in styles):
        raise EngineError("There is no style to paint with.", "Choose at least one style with a share above 0.")
    for share in styles:
        if not 0 <= share.share < math.inf:
            raise EngineError(f"The share of {share.style!r} is {share.share:g}.", "Choose a share of 0 or more.")


def open_styles(settings: StylizeSettings, note: Callable[[str], None]) -> Styles:
    """Open every style once. Those without a share are left out; one named twice under one matte is one."""
    opened: dict[str, Session] = {}

    def session(name: str) -> Session:
        pack = style_pack.find_for_pictures(name)
        if pack.hash not in opened:
            opened[pack.hash] = Session(pack, settings.device, note, settings.precision)
        return opened[pack.hash]

    merged: dict[tuple[Session, str], StyleShare] = {}
    for share in settings.styles:
        if share.share > 0:
            key = session(share.style), share.matte
            merged[key] = replace(share, share=share.share + (merged[key].share if key in merged else 0))
    shares = tuple((share, key[0]) for key, share in merged.items())
    return Styles(shares, session(settings.palette) if settings.palette else None, settings)


# ---------------------------------------------------------------- canvases


class Mixed:
    """The weighted sum of what the styles paint, and of the picture where none of them does."""

    def __init__(
        self,
        source: Canvas,
        parts: Sequence[Part],
        canvases: Sequence[Canvas],
        strengths: controls.Strengths | None = None,
    ) -> None:
        """canvases: what each part paints, over the whole picture. strengths: how strongly they show; None: fully."""
        self.source, self.parts, self.canvases, self.strengths = source, parts, canvases, strengths
        self.height, self.width = source.height, source.width
        self.strength = controls.StrengthMap(strengths, self.height, self.width) if strengths else None
        self.coverage = Coverage([part.matte for part in parts if part.matte], self.height, self.width)
        groups = [part.matte and part.matte.name for part in parts]
        totals = [
            sum(other.share for other, name in zip(parts, groups, strict=True) if name == mine) for mine in groups
        ]
        self.shares = [np.float32(part.share / total) for part, total in zip(parts, totals, strict=True)]

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        window = (top, left, height, width)
        weights, untouched = self.weights(window)
        total = np.zeros((3, height, width), np.float32)
        if untouched.any():
            total += self.source.read(*window) * untouched
        for weight, canvas in zip(weights, self.canvases, strict=True):
            if weight.any():  # elsewhere the style need not run, and adding its zeros would change no bit
                total += np.clip(canvas.read(*window), 0, 1) * weight
        return total

    def weights(self, window: tuple[int, int, int, int]) -> tuple[list[Floats], Floats]:
        """How much each part, and the picture itself, counts in each pixel (h, w); together 1."""
        cover, rest = self.coverage.read(window)
        weights = [
            share * (cover[part.matte.name] if part.matte else rest)
            for part, share in zip(self.parts, self.shares, strict=True)
        ]
        untouched = rest if all(part.matte for part in self.parts) else np.zeros_like(rest)
        if self.strength is None:
            return weights, untouched
        strength = self.strength.read(window)
        return [weight * strength for weight in weights], np.float32(1) - strength * (np.float32(1) - untouched)


class Recoloured:
    """What one style paints, in the colours of another."""

    def __init__(self, strokes: Canvas, colours: Canvas, stroke: float) -> None:
        self.strokes, self.colours, self.stroke = strokes, colours, stroke
        self.height, self.width = strokes.height, strokes.width

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        reach = palette.reach(self.stroke)
        window = (top - reach, left - reach, height + 2 * reach, width + 2 * reach)
        strokes, colours = (np.clip(canvas.read(*window), 0, 1) for canvas in (self.strokes, self.colours))
        return palette.recoloured(strokes, colours, self.stroke)


class _Remembered:
    """A canvas that several styles read in turn: the last window is computed once."""

    def __init__(self, source: Canvas) -> None:
        self.source = source
        self.height, self.width = source.height, source.width
        self._last: tuple[tuple[int, int, int, int], Floats] | None = None

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        window = (top, left, height, width)
        if self._last is None or self._last[0] != window:
            self._last = None  # frees the old one first
            self._last = window, self.source.read(*window)
        return self._last[1]
