"""One pass of a render, painted in place of Combined, and Combined made again with it: a painted DiffCol under the
light and the shadow that Blender rendered.

What the pass changes is added to Combined (passes.replace_pass), so what lies beside it stays bit for bit: the sky,
reflections, alpha, what the denoiser did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import EngineError
from .explain.overlay import Overlay
from .explain.pyramid import blurred
from .files import shown
from .outputs import STYLIZED, Output
from .passes import COMBINED, LIGHTS, PARTS, TERMS, Passes, canonical, term_of, weight
from .picture import Array, Floats, Picture, PictureReader
from .protocol import Layer, StylizeSettings

COLOURS = tuple(colour for colour, _ in TERMS if colour)
"""Passes that hold what surfaces are like, not light"""
SPREAD = 6
"""Halvings: colours are spread about 250 pixels far, further than any style sees from the edge"""


def check(settings: StylizeSettings) -> None:
    """Checks that cost nothing."""
    if canonical(settings.painted_pass) not in (COMBINED, *PARTS):
        raise EngineError(
            f"The pass {shown(settings.painted_pass)!r} cannot be painted.",
            f"Choose among: {', '.join((COMBINED, *PARTS))}.",
        )


@dataclass(frozen=True, eq=False)
class PaintedPass:
    """The pass that is painted, and what it takes to make Combined again."""

    name: str
    """Canonical: DiffCol"""
    stored: Array
    """The pass as it was rendered, (H, W, 3) scene-linear"""
    picture: Picture
    """What the style sees: the same, but where there is nothing of it (the sky of DiffCol is black) the nearest
    colours, for else every outline would be painted dark"""
    cover: Floats
    """How much of each pixel there is something of it, (H, W) 0..1"""
    combined: PictureReader
    """The render, its lights turned up and down"""
    weight: Floats
    """How much Combined rises where the pass rises by 1, (H, W, 3)"""

    def into(self, output: Output) -> Recombining:
        """Where the painted picture is written to, so that `output` takes Combined."""
        return Recombining(self, output)

    def recombined(self, top: int, painted: Array) -> tuple[Array, Array]:
        """Rows of the painted picture (h, W, 3) from `top` on: the pass with them, as it is stored, and the rows
        (h, W, C) of Combined with that. What is not finite changes nothing."""
        place = np.s_[top : top + len(painted)]
        before, after = self.stored[place], self._laid(place, painted)
        rows = self.combined.read(top, 0, len(painted), self.picture.width).copy()
        with np.errstate(invalid="ignore", over="ignore"):
            lit = rows[..., :3] + self.weight[place] * (after.astype(np.float32) - before.astype(np.float32))
        limit = np.finfo(rows.dtype).max
        sound = np.isfinite(lit) & np.isfinite(rows[..., :3])
        rows[..., :3] = np.where(sound, np.clip(lit, -limit, limit), rows[..., :3])
        return after, rows

    def _laid(self, place: slice, painted: Array) -> Array:
        """The pass with as much of the paint as there is of the pass."""
        cover, seen, stored = self.cover[place, :, None], self.picture.pixels[place], self.stored[place]
        limit = np.finfo(painted.dtype).max
        with np.errstate(invalid="ignore"):
            change = cover * (painted.astype(np.float32) - seen.astype(np.float32))
            laid = np.clip(stored.astype(np.float32) + change, -limit, limit).astype(painted.dtype)
        full = (cover == 1) & (seen == stored)
        return np.where(full, painted, np.where(cover == 0, stored, laid))


class Recombining:
    """An Output that takes the painted pass. The result is Combined with it, the pass a layer beside."""

    def __init__(self, chosen: PaintedPass, output: Output) -> None:
        self.chosen, self.output, self.path = chosen, output, output.path
        self.pixels = np.empty_like(chosen.stored)
        self.filled = 0

    def write_rows(self, rows: Array) -> None:
        """rows: (h, W, 3) of what the style saw, painted"""
        painted, combined = self.chosen.recombined(self.filled, rows)
        self.pixels[self.filled : self.filled + len(rows)] = painted
        self.filled += len(rows)
        self.output.write_rows(combined)

    def finish(
        self, overlays: Sequence[Overlay], beneath: Floats | None = None, beside: Sequence[Picture] = ()
    ) -> tuple[Layer, ...]:
        layer = f"{STYLIZED}.{self.chosen.name}"
        return self.output.finish(overlays, beneath, (*beside, Picture(self.pixels, "linear", name=layer)))


def chosen(combined: PictureReader, passes: Passes | None, settings: StylizeSettings) -> PaintedPass | None:
    """What is painted in place of Combined; None where Combined itself is. combined: as the gains leave it; passes: of
    the same render. Gains count where it is put together again, the style sees the pass as it was rendered.

    Surface colours are not seen through the view transform: that shows light, and nobody ever sees them through it.
    """
    name = canonical(settings.painted_pass)
    if name == COMBINED:
        return None
    if passes is None:
        raise EngineError(
            f"{shown(combined.name)!r} has no passes, so {name} cannot be painted.",
            "Give the render as OpenEXR MultiLayer, or paint Combined.",
        )
    how_much, stored = weight(passes, name), passes[name][..., :3]
    seen, cover = _seen(name, stored, how_much, settings.tileable)
    view = None if name in COLOURS else combined.view
    picture = Picture(seen, "linear", "none", combined.name, view)
    return PaintedPass(name, stored, picture, cover, combined, how_much * _gain(name, settings))


def _seen(name: str, stored: Array, weight: Floats, wrap: bool) -> tuple[Array, Floats]:
    """PaintedPass.picture and .cover. A light that falls on something is black in shadows, too, and those are painted;
    a colour, and a light of its own, is black where there is none, and fades into that at its edges."""
    alone, lit = not term_of(name)[0], name not in COLOURS and bool(term_of(name)[0])
    finite = np.isfinite(stored).all(axis=2)
    none = (stored == 0).all(axis=2) & (alone | (weight == 0).all(axis=2))
    if not none.any():
        return stored, finite.astype(np.float32)
    edge = np.zeros_like(none) if lit else _beside(none, wrap) & ~none
    known = finite & ~none & ~edge
    spread = _spread(np.where(known[..., None], stored, 0).astype(np.float32), known.astype(np.float32), wrap)
    cover = np.where(finite & ~none, np.float32(1), np.float32(0))
    brightness = [pixels[edge].astype(np.float32).sum(axis=1) for pixels in (stored, spread)]
    cover[edge] *= np.clip(brightness[0] / np.maximum(brightness[1], np.float32(1e-6)), 0, 1)
    return np.where(known[..., None], stored, spread.astype(stored.dtype)), cover


def _beside(none: NDArray[np.bool_], wrap: bool) -> NDArray[np.bool_]:
    """Those pixels and the eight around each"""
    grown = np.pad(none, 1, mode="wrap" if wrap else "edge")
    grown = grown[:-2] | grown[1:-1] | grown[2:]
    return grown[:, :-2] | grown[:, 1:-1] | grown[:, 2:]


def _spread(pixels: Floats, known: Floats, wrap: bool) -> Floats:
    """Where pixels (H, W, 3) are not known, the nearest that are, blurred the more the further away; beyond SPREAD
    their mean. known: (H, W) 1 or 0."""
    planes = np.concatenate([pixels, known[..., None]], axis=2).transpose(2, 0, 1)
    total = planes.sum(axis=(1, 2))
    found = np.where(known == 1, planes[:3], (total[:3] / max(total[3], 1))[:, None, None])
    missing = known == 0
    for count in range(1, SPREAD + 1):
        near = blurred(planes, count, wrap)
        reached = missing & (near[3] > 0.01)
        found[:, reached] = near[:3, reached] / near[3, reached]
        missing &= ~reached
    return np.asarray(found.transpose(1, 2, 0), np.float32)


def _gain(name: str, settings: StylizeSettings) -> np.float32:
    """Of the light that a pass counts in"""
    light = LIGHTS[TERMS.index(term_of(name))]
    return np.float32({gain.light: gain.gain for gain in settings.gains}.get(light, 1.0))
