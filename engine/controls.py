"""What an artist can do with what a style painted, beside its strength. Each control is foretold by an overlay: how it
will move the result can be read off before it is moved (docs/controls_details.md).

Everything here is a function of the place and of what lies within a fixed reach, so tiles stay exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from . import colours
from .canvas import Canvas, beyond_border
from .errors import EngineError
from .explain.pyramid import BANDS, Blur, levels, reach
from .files import shown
from .mattes import Coverage, Matte, open_matte
from .passes import LIGHTS, Passes, lights, shown_lights
from .picture import Floats, Picture, PictureReader, whole
from .protocol import Json, LightGain, StylizeSettings
from .runtime import Paint

Bands = tuple[float, float, float]
"""A factor for each of explain.pyramid.BANDS"""
EVEN: Bands = (1.0, 1.0, 1.0)
MOST_BAND = 2.0
MOST_GAIN = 4.0
"""Two stops: further up lies more noise of the render than light"""
BANDS_BYTES = 120
"""Working memory per pixel of a tile that is cut into bands, beside that of the style at work"""


def check(settings: StylizeSettings) -> None:
    """Checks that cost nothing."""
    for name, gain in zip(BANDS, settings.bands, strict=True):
        if not 0 <= gain <= MOST_BAND:
            raise EngineError(f"The strength of {name} is {gain:g}.", f"Choose a number from 0 to {MOST_BAND:g}.")
    if settings.colours not in colours.WAYS:
        raise EngineError(f"There are no colours {settings.colours!r}.", f"Choose among: {', '.join(colours.WAYS)}.")
    if settings.colours != "style" and settings.palette:
        raise EngineError(
            "A result cannot have the colours of a palette and of the picture.",
            "Take the palette off, or choose the colours of the style.",
        )
    for place in settings.strength_of:
        if not 0 <= place.strength <= 1:
            raise EngineError(
                f"The strength of {shown(place.matte)!r} is {place.strength:g}.", "Choose a strength from 0 to 1."
            )
    for light in settings.gains:
        if light.light not in LIGHTS:
            raise EngineError(f"There is no light {light.light!r}.", f"Choose among: {', '.join(LIGHTS)}.")
        if not 0 <= light.gain <= MOST_GAIN:
            raise EngineError(
                f"The gain of {light.light} is {light.gain:g}.", f"Choose a number from 0 to {MOST_GAIN:g}."
            )


# ---------------------------------------------------------------- lights


def gained(reader: PictureReader, passes: Passes | None, gains: Sequence[LightGain]) -> PictureReader:
    """The picture with its lights turned up or down: Combined + sum of (gain - 1) * light, scene-linear, alpha and
    everything beside as it was. reader: the Combined of a render, passes: of the same. Without gains the reader itself.

    Raises EngineError for a picture without passes, and for a light whose passes are not in the render. One that is
    there and black stays black.
    """
    factors = {gain.light: gain.gain for gain in gains}
    if all(gain == 1 for gain in factors.values()):
        return reader
    if passes is None:
        raise EngineError(
            f"{shown(reader.name)!r} has no passes, so none of its lights can be turned up or down.",
            "Give the render as OpenEXR MultiLayer, or leave the gains out.",
        )
    here = shown_lights(passes)
    missing = [name for name in factors if name not in here]
    if missing:
        raise EngineError(
            f"{shown(reader.name)!r} has no light {', '.join(missing)}.",
            f"Choose among: {', '.join(here) or 'none'}; or switch its passes on in View Layer Properties > Passes.",
        )
    pixels = whole(reader).copy()
    change = np.zeros((*pixels.shape[:2], 3), np.float32)
    for name, light in lights(passes).items():
        change += np.float32(factors.get(name, 1.0) - 1) * light
    limit = np.finfo(pixels.dtype).max
    lit = np.clip(pixels[..., :3] + change, -limit, limit)
    pixels[..., :3] = np.where(np.isfinite(lit) & np.isfinite(pixels[..., :3]), lit, pixels[..., :3])
    return Picture(pixels, reader.encoding, reader.alpha, reader.name, reader.view)


def turned(found: Mapping[str, Floats], gains: Sequence[LightGain]) -> dict[str, Floats]:
    """Lights by their names, (H, W, 3) each, as the gains leave them; those that are off are none."""
    factors = {gain.light: np.float32(gain.gain) for gain in gains}
    return {name: light * factors.get(name, np.float32(1)) for name, light in found.items() if factors.get(name, 1)}


# ---------------------------------------------------------------- strength by place


@dataclass(frozen=True, eq=False)
class Strengths:
    """How strongly the style shows, by place."""

    everywhere: float
    """Where no matte is"""
    places: tuple[tuple[Matte, float], ...]

    def described(self) -> Json:
        """For the recipe"""
        return {"strength_of": [{"matte": matte.described, "strength": strength} for matte, strength in self.places]}


def strengths(settings: StylizeSettings, reader: PictureReader, passes: Passes | None, wrap: bool) -> Strengths | None:
    """Those of the settings over one picture; None where it is the same everywhere. Of a matte that is named twice the
    last strength counts."""
    named = {place.matte: place.strength for place in settings.strength_of}
    places = tuple((open_matte(name, passes, reader, wrap), strength) for name, strength in named.items())
    return Strengths(settings.strength, places) if places else None


def left_strength(settings: StylizeSettings) -> float:
    """How strongly what a Mix paints is laid over the picture: fully, where the Mix has laid it there by place."""
    return 1.0 if settings.strength_of else settings.strength


class StrengthMap:
    """Strengths over a picture, which may be a reduced one."""

    def __init__(self, strengths: Strengths, height: int, width: int) -> None:
        self.strengths = strengths
        self.coverage = Coverage((matte for matte, _ in strengths.places), height, width)

    def read(self, window: tuple[int, int, int, int]) -> Floats:
        """Of each pixel (h, w) of a window (top, left, height, width), 0..1"""
        cover, rest = self.coverage.read(window)
        total = rest * np.float32(self.strengths.everywhere)
        for matte, strength in self.strengths.places:
            total += cover[matte.name] * np.float32(strength)
        return total


# ---------------------------------------------------------------- bands


class Banded:
    """What a style painted with its change of the picture weighed by bands: picture + sum of gain * band of the change,
    planes (3, h, w), not clamped. The bands are those that Attribution.Scale tells apart."""

    def __init__(self, source: Canvas, style: Canvas, gains: Bands, paint: Paint) -> None:
        """source, style: the picture and what a style made of all of it; both wrap when `paint.wrap` is set."""
        self.source, self.style, self.gains, self.paint = source, style, gains, paint
        self.height, self.width = source.height, source.width

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        return beyond_border(self._inside, self.height, self.width, self.paint.wrap, (top, left, height, width), axis=1)

    def _inside(self, top: int, left: int, height: int, width: int) -> Floats:
        window = (top, left, height, width)
        fine, coarse = (self._blur(count, window) for count in levels(self.paint.stroke))
        change = self._change(coarse.window)
        weighed, middle = coarse.of(change), fine.of(coarse.cut(change, fine.window))
        inside = coarse.cut(change, window)
        colour, form, stroke = map(np.float32, self.gains)
        # colour * coarse + form * (middle - coarse) + stroke * (change - middle), in place
        weighed *= colour - form
        inside *= stroke
        inside += weighed
        middle *= form - stroke
        inside += middle
        inside += self.source.read(*window)
        return inside

    def _blur(self, count: int, window: tuple[int, int, int, int]) -> Blur:
        return Blur(self.height, self.width, count, self.paint.wrap, window)

    def _change(self, window: tuple[int, int, int, int]) -> Floats:
        change = np.clip(self.style.read(*window), 0, 1)
        change -= self.source.read(*window)
        return change


def bands_reach(gains: Bands, stroke: float) -> int:
    """How far beyond the reach of the style itself a pixel changes the result."""
    return reach(levels(stroke)[1]) if gains != EVEN else 0
