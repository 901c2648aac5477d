"""Attribution.Detail: which detail of the picture made this, against a blurred one?

Integrated gradients (Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017): the picture comes
into focus, from one of which only the broad colours are left, and what every pixel adds to the region on the way is
summed up: (picture - blurred) * mean gradient along the way. So the parts add up to how much lighter the region is for
all the detail, whatever the network does in between. As for Removal, strokes go on to follow the forms they followed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..picture import Floats
from ..protocol import Bar, Certificate, Check
from . import certificate
from .influence import (
    CERTIFICATE_TILES,
    check_gradients,
    gradient_in_steps,
    half_within,
    light_of,
    middle,
    nearness,
    seen_from,
)
from .overlay import Overlay, box_of, finished, told
from .pyramid import blurred
from .removal import Grid, Look, rivals

DISPLAY = (-0.5, 0.5)
"""A pixel of grey that is black or white for its detail, copied"""
UNIT = "luminance of the area, all its pixels together; bars: their mean"
GONE = 6
"""Halvings after which no detail is left: what is smaller than about 250 pixels, more than a style sees at a time"""
FEWEST, MOST = 8, 256
"""Stretches into which the way is cut: doubled until the parts add up"""
DELETED_TILES = 32
"""Along the longer side of what is seen, for B4. They are small: where one tile decides all, the best of orders is no
more than 1.7 deviations from chance, as every place of that tile in a random order is as likely"""


def detail(look: Look, before: Floats, region: np.ndarray, seed: int = 0) -> Generator[float | Overlay, None, Overlay]:
    """Yields the fraction done, and the overlay once before it is certified; returns it with its certificate.

    before: planes (3, H, W) 0..1 in the size the style sees, so look.paint.stroke is 1. region: (H, W) bool, not empty.
    Raises EngineError for a style without gradients, and for strokes in the colours of another style.
    """
    found = yield from told(integrated(look, before, region), _at(0.0, 0.4))
    pixels = np.zeros(region.shape, np.float32)
    pixels[found.seen] = found.parts
    answer = Overlay(
        "Attribution.Detail",
        ("luminance",),
        pixels[..., None],
        _sentence(found, np.abs(pixels), region, look.paint.wrap),
        DISPLAY,
        Certificate(()),
        unit=UNIT,
        bars=_bars(found.parts, int(region.sum())),
    )
    yield answer
    part = middle(region)
    own = found if np.array_equal(part, region) else (yield from told(integrated(look, before, part), _at(0.4, 0.5)))
    checks = yield from told(_certify(look, before, part, own, seed), _at(0.5, 1.0))
    return replace(answer, certificate=Certificate((found.check, *checks)))


def _at(low: float, high: float) -> Callable[[float], list[float]]:
    """A stretch of the progress"""
    return lambda fraction: [low + (high - low) * fraction]


# ---------------------------------------------------------------- the way from the blurred picture


@dataclass(frozen=True, eq=False)
class Integrated:
    """What detail gives a region."""

    seen: tuple[slice, slice]
    """Rows and columns that the region sees something of; what lies elsewhere gives it nothing"""
    parts: Floats
    """(h, w) of these: luminance that the detail of each pixel adds to the region, summed over the region's pixels"""
    change: float
    """By how much the region's mean luminance differs from that of the blurred picture's result"""
    check: Check
    """B1: do the parts add up to it?"""


def integrated(look: Look, before: Floats, region: np.ndarray) -> Generator[float, None, Integrated]:
    """Yields the fraction done. See `detail`.

    By the trapezoid rule: all its points serve again when stretches are halved, so n of them cost n + 1 gradients.
    """
    check_gradients(look)
    fill, seen = blurred(before, GONE, look.paint.wrap), _seen(look, region)
    whole = yield from told(_light_in_steps(look, before, before, region), _at(0.0, 0.0))
    whole -= yield from told(_light_in_steps(look, fill, before, region), _at(0.0, 0.0))
    part, step = (slice(None), *seen), (before - fill)[(slice(None), *seen)]
    weights, picture, total = light_of(region), before.copy(), np.zeros(step.shape)
    for count, places in _halved():
        for number, place in enumerate(places):
            picture[part] = fill[part] + np.float32(place) * step
            low, high = (1 - (1 - 0.5 * at / len(places)) * FEWEST / count for at in (number, number + 1))
            gradient = yield from told(gradient_in_steps(look, picture, weights, before), _at(low, high))
            total += gradient[part] * (0.5 if place in (0, 1) else 1.0)
        left_over = abs(float((step * total).sum()) / count - whole) / max(abs(whole), 0.01 * float(region.sum()))
        if left_over <= certificate.PATH:
            break
    parts = (step * total).sum(axis=0) / count
    check = certificate.summed(left_over, count + 1)
    return Integrated(seen, parts.astype(np.float32), whole / float(region.sum()), check)


def _halved() -> Iterator[tuple[int, np.ndarray]]:
    """Into how many stretches the way is cut, and the places (0 blurred, 1 sharp) that are new by that."""
    yield FEWEST, np.arange(FEWEST + 1) / FEWEST
    count = FEWEST
    while count < MOST:
        yield 2 * count, (np.arange(count) + 0.5) / count
        count *= 2


def _seen(look: Look, region: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that a region sees something of."""
    box, reach = box_of(region), look.reach(*region.shape)
    assert box is not None and reach is not None  # a region has a pixel, a style with gradients is local
    return seen_from(box, reach, region.shape, look.paint.wrap)


def _light_of(look: Look, before: Floats, region: np.ndarray) -> Callable[[Floats], float]:
    """Of a picture (3, H, W): the luminance of its result, summed over the region. Strokes follow `before`."""
    return lambda picture: finished(_light_in_steps(look, picture, before, region))


def _light_in_steps(look: Look, picture: Floats, before: Floats, region: np.ndarray) -> Generator[float, None, float]:
    """The same, yielding the fraction done."""
    box = box_of(region)
    assert box is not None  # a region has a pixel
    light = yield from look.light_in_steps(picture, box, before)
    inside = region[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]
    return float(light[inside].sum(dtype=np.float64))


# ---------------------------------------------------------------- certificate and sentence


def _certify(
    look: Look, before: Floats, region: np.ndarray, found: Integrated, seed: int
) -> Generator[float, None, tuple[Check, ...]]:
    """B3 and B4 on this very picture: parts of what the region sees lose their detail."""
    part, light = (slice(None), *found.seen), _light_of(look, before, region)
    sharp, blank = before[part], blurred(before, GONE, look.paint.wrap)[part]
    still = light(before)

    def removed(grid: Grid, fill: Floats) -> Callable[[np.ndarray], float]:
        """What removing tiles does where this comes in their place."""

        def happened(gone: np.ndarray) -> float:
            picture = before.copy()
            picture[part] = np.where(grid.painted(gone), fill, sharp)
            return light(picture) - still

        return happened

    def asked(along: int) -> tuple[Grid, np.ndarray, dict[str, np.ndarray]]:
        grid = Grid.over(sharp.shape[1], sharp.shape[2], along)
        near = {"nearness": grid.sums(nearness(sharp.shape[1:]))}
        return grid, -grid.sums(found.parts), rivals(sharp, blank, grid, seed) | near

    grid, effects, others = asked(CERTIFICATE_TILES)
    sets = certificate.interventions(effects, removed(grid, blank), others, seed)
    foretold = yield from _checked(sets, _at(0.0, 0.5))
    grid, effects, others = asked(DELETED_TILES)
    grey = np.broadcast_to(sharp.mean(axis=(1, 2), keepdims=True), sharp.shape)
    fills = {"blurred": removed(grid, blank), "grey": removed(grid, grey)}
    deleted = yield from _checked(certificate.deletion(effects, fills, others, seed), _at(0.5, 1.0))
    return (*foretold, *deleted)


def _checked(
    steps: Iterator[float | tuple[Check, ...]], say: Callable[[float], list[float]]
) -> Generator[float, None, tuple[Check, ...]]:
    for step in steps:
        if isinstance(step, tuple):
            return step
        yield from say(step)
    raise AssertionError("measuring ends with its checks")


def _bars(parts: Floats, area: int) -> tuple[Bar, ...]:
    """area: pixels of the region."""
    lighter, darker = (float(side(parts, 0).sum(dtype=np.float64)) / area for side in (np.maximum, np.minimum))
    return Bar("detail that makes it lighter", lighter), Bar("detail that makes it darker", darker)


def _sentence(found: Integrated, strength: Floats, region: np.ndarray, wrap: bool) -> str:
    """strength: what the detail of each pixel (H, W) gives, without its sign."""
    if float(strength.sum(dtype=np.float64)) < 1e-4 * float(region.sum()):
        return "Detail gives this area nothing: it looks the same where the picture is blurred."
    near = half_within(strength, region, wrap)
    beside = "the area itself" if near == 0 else f"within {near} pixel{'s' * (near > 1)} of it"
    change = 100 * found.change
    if abs(change) < 0.05:
        against = "in all it is as light as against a blurred picture"
    else:
        against = (
            f"against a blurred picture it is {abs(change):.2g} % of white {'lighter' if change > 0 else 'darker'}"
        )
    return f"Half of what detail gives this area comes from {beside}; {against}."
