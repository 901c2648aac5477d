"""Attribution.Styles: how much of what became of this area comes from which style of a mix?

A style that does not play leaves the picture itself where it would have painted. So the result is a sum: the picture,
and for each style its weight times what it makes of the picture. Every order in which styles could come gives the same
shares, and the exact ones (Shapley values) cost one run of each style where lights and objects cost 2^k.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from itertools import count, product
from pathlib import Path

import numpy as np

from ..canvas import ArrayCanvas, Canvas
from ..errors import EngineError
from ..files import shown
from ..mixing import Mix, Mixed
from ..picture import Floats
from ..protocol import Bar, Certificate
from . import certificate
from .influence import middle
from .overlay import Overlay, box_of
from .players import DISPLAY, said
from .removal import LUMINANCE, Look, mixed
from .shapley import MOST

Window = tuple[int, int, int, int]
"""top, left, height, width"""
LAYER = "Attribution.Styles"
UNIT = "luminance that the style adds to the picture, white is 1"
AGAINST = "in the picture itself"
SETS = 8
"""Sets of styles that are really painted for the certificate: all there are of three"""


def styles(look: Look, before: Floats, region: np.ndarray, seed: int = 0) -> Generator[float | Overlay, None, Overlay]:
    """Yields the fraction done, and the overlay once before it is certified; returns it with its certificate.

    A channel for each style: luminance that it adds to the picture, 0 outside the region. before: planes (3, H, W) 0..1
    in the size the style sees. region: (H, W) bool, not empty. Raises EngineError for more than MOST styles.
    """
    check_count(look)
    names, canvas = names_of(look.mix), _over(look, before)
    pixels = np.zeros((*region.shape, len(names)), np.float32)
    windows = list(_windows(look, region))
    for number, window in enumerate(windows):
        inside = _place(window)
        pixels[inside] = _shares(look, before, canvas, window) * region[inside][..., None]
        yield 0.6 * (number + 1) / len(windows)
    change = _change(look, before, canvas, region)
    parts = pixels[region].mean(axis=0, dtype=np.float64)
    sentence, bars = said(names, parts, change, AGAINST), tuple(map(Bar, names, parts.tolist()))
    complete = certificate.completeness(parts, np.array(change))
    answer = Overlay(LAYER, names, pixels, sentence, DISPLAY, Certificate((complete,)), True, UNIT, bars)
    yield answer
    foretold = certificate.foretold(*(yield from _painted(look, before, canvas, pixels, middle(region), seed)))
    return replace(answer, certificate=Certificate((complete, *foretold)))


def check_count(look: Look) -> None:
    """Raises EngineError for a mix of more styles than an overlay keeps apart."""
    if len(look.mix.parts) > MOST:
        raise EngineError(
            f"A mix of {len(look.mix.parts)} styles is too large to be told apart.",
            f"Give a share to {MOST} of them at most, or ask Removal.",
        )


def names_of(mix: Mix) -> tuple[str, ...]:
    """A name for each style of a mix, each another: where it paints, or a number, tells two of one name apart."""
    names: list[str] = []
    plain = [part.session.pack.name for part in mix.parts]
    for part, name in zip(mix.parts, plain, strict=True):
        if plain.count(name) > 1 and part.matte:
            name = f"{name} on {shown(Path(part.matte.name).name)}"
        number = next(n for n in count(1) if (name if n == 1 else f"{name} {n}") not in names)
        names.append(name if number == 1 else f"{name} {number}")
    return tuple(names)


# ---------------------------------------------------------------- shares


def _over(look: Look, before: Floats) -> Mixed:
    """The styles over a picture, one alone too."""
    source = ArrayCanvas(before, look.paint.wrap)
    canvas = look.mix.painted(source, look.paint)
    return canvas if isinstance(canvas, Mixed) else Mixed(source, look.mix.parts, [canvas])


def _windows(look: Look, region: np.ndarray) -> Iterator[Window]:
    """All of a region, as memory allows."""
    box = box_of(region)
    assert box is not None  # a region has a pixel
    for top, left, height, width in look.mix.tiles(box[2], box[3], look.paint):
        yield box[0] + top, box[1] + left, height, width


def _place(window: Window) -> tuple[slice, slice]:
    top, left, height, width = window
    return slice(top, top + height), slice(left, left + width)


def _shares(look: Look, before: Floats, canvas: Mixed, window: Window) -> np.ndarray:
    """Luminance (h, w, styles) that each style adds to the picture in a window."""
    picture, (weights, _) = before[(slice(None), *_place(window))], canvas.weights(window)
    shares = np.zeros((*window[2:], len(weights)))
    for number, (weight, style) in enumerate(zip(weights, canvas.canvases, strict=True)):
        if weight.any():
            change = np.clip(style.read(*window), 0, 1).astype(np.float64) - picture
            shares[..., number] = look.strength * weight * np.tensordot(LUMINANCE, change, axes=1)
    return shares


# ---------------------------------------------------------------- certificate


class _Some(Mixed):
    """A mix with the picture itself in the place of the styles that do not play."""

    def __init__(self, all_of_them: Mixed, plays: Sequence[bool]) -> None:
        super().__init__(all_of_them.source, all_of_them.parts, all_of_them.canvases, all_of_them.strengths)
        self.plays = plays

    def weights(self, window: Window) -> tuple[list[Floats], Floats]:
        weights, untouched = super().weights(window)
        idle = [weight for weight, plays in zip(weights, self.plays, strict=True) if not plays]
        played = [weight * np.float32(plays) for weight, plays in zip(weights, self.plays, strict=True)]
        return played, sum(idle, untouched)


def _change(look: Look, before: Floats, canvas: Canvas, region: np.ndarray) -> float:
    """By how much the mean luminance of a region really changes where this is painted over the picture."""
    total = 0.0
    for window in _windows(look, region):
        picture, inside = before[(slice(None), *_place(window))], region[_place(window)]
        result = mixed(picture, canvas.read(*window), look.strength)
        total += float(np.tensordot(LUMINANCE, result.astype(np.float64) - picture, axes=1)[inside].sum())
    return total / float(region.sum())


def _painted(
    look: Look, before: Floats, canvas: Mixed, pixels: Floats, region: np.ndarray, seed: int
) -> Generator[float, None, tuple[np.ndarray, np.ndarray]]:
    """B3: sets of styles are really painted. Yields the fraction done; returns what their shares say of each set, and
    by how much the region's mean luminance really changed."""
    sets = _sets(len(canvas.parts), seed)
    changes = []
    for number, plays in enumerate(sets):
        changes.append(_change(look, before, _Some(canvas, plays), region))
        yield 0.6 + 0.4 * (number + 1) / len(sets)
    return sets @ pixels[region].mean(axis=0, dtype=np.float64), np.array(changes)


def _sets(styles_: int, seed: int) -> np.ndarray:
    """Sets of styles, bool for each: all there are, or SETS random ones."""
    if 2**styles_ <= SETS:
        return np.array(list(product((False, True), repeat=styles_)))
    return np.random.default_rng([seed, 5]).random((SETS, styles_)) < 0.5
