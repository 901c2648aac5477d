"""One pass of a render, painted in place of Combined, and Combined made again with it: a painted DiffCol under the
light and the shadow that Blender rendered.

What the pass changes is added to Combined (passes.replace_pass), so what lies beside it stays bit for bit: the sky,
reflections, alpha, what the denoiser did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import EngineError
from .explain.overlay import Overlay
from .files import shown
from .outputs import STYLIZED, Output
from .passes import COMBINED, LIGHTS, PARTS, TERMS, Passes, canonical, term_of, weight
from .picture import Array, Floats, Picture, PictureReader
from .protocol import Layer, StylizeSettings

COLOURS = tuple(colour for colour, _ in TERMS if colour)
"""Passes that hold what surfaces are like, not light"""


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
    picture: Picture
    """What the style sees: scene-linear, without alpha"""
    combined: PictureReader
    """The render, its lights turned up and down"""
    weight: Floats
    """How much Combined rises where the pass rises by 1, (H, W, 3)"""
    stands_alone: bool
    """Light that falls on nothing (Emit, Env, Volume): where it is black there is none of it, and none is painted.
    Black in other passes is a dark surface, or a shadow."""

    def into(self, output: Output) -> Recombining:
        """Where the painted pass is written to, so that `output` takes Combined."""
        return Recombining(self, output)

    def recombined(self, top: int, painted: Array) -> tuple[Array, Array]:
        """Rows of the painted pass (h, W, 3) from `top` on as they are stored, and the rows (h, W, C) of Combined with
        them. What is not finite changes nothing."""
        place = np.s_[top : top + len(painted)]
        before = self.picture.pixels[place]
        if self.stands_alone:
            painted = np.where((before == 0).all(axis=2, keepdims=True), before, painted)
        rows = self.combined.read(top, 0, len(painted), self.picture.width).copy()
        with np.errstate(invalid="ignore", over="ignore"):
            change = self.weight[place] * (painted.astype(np.float32) - before.astype(np.float32))
            lit = rows[..., :3] + change
        limit = np.finfo(rows.dtype).max
        sound = np.isfinite(lit) & np.isfinite(rows[..., :3])
        rows[..., :3] = np.where(sound, np.clip(lit, -limit, limit), rows[..., :3])
        return painted, rows


class Recombining:
    """An Output that takes the painted pass. The result is Combined with it, the pass a layer beside."""

    def __init__(self, chosen: PaintedPass, output: Output) -> None:
        self.chosen, self.output, self.path = chosen, output, output.path
        self.pixels = np.empty_like(chosen.picture.pixels)
        self.filled = 0

    def write_rows(self, rows: Array) -> None:
        """rows: (h, W, 3) of the pass"""
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
    how_much = weight(passes, name)
    pixels = passes[name][..., :3]
    view = None if name in COLOURS else combined.view
    stands_alone = not term_of(name)[0]
    picture = Picture(pixels, "linear", "none", combined.name, view)
    return PaintedPass(name, picture, combined, how_much * _gain(name, settings), stands_alone)


def _gain(name: str, settings: StylizeSettings) -> np.float32:
    """Of the light that a pass counts in"""
    light = LIGHTS[TERMS.index(term_of(name))]
    return np.float32({gain.light: gain.gain for gain in settings.gains}.get(light, 1.0))
