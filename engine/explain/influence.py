"""Attribution.Influence: what could change this spot?

The gradient of the region's luminance by every pixel of the picture: how much lighter the region gets, summed over its
pixels, for every bit by which this pixel gets lighter. Negative: it gets darker. A local style sees no further than its
receptive field, so only windows around the region are gone through backwards, and beyond them the answer is exactly 0:
no part of it goes through the whole frame. As for Removal, strokes go on to follow the forms they followed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np

from .. import controls
from ..canvas import ArrayCanvas, Canvas
from ..errors import EngineError
from ..mixing import Mixed
from ..picture import Floats
from ..protocol import Certificate, Check
from ..runtime import Local, OutOfMemoryError, tiles
from . import certificate
from .overlay import Overlay, box_of, finished, told
from .removal import LUMINANCE, Grid, Look

DISPLAY = (-1.0, 1.0)
"""A region that follows the pixel as a copy would"""
UNIT = "luminance of the area for every bit of light of the pixel"
STEP = 0.02
"""By how much the certificate's interventions move pixels: a gradient tells of small changes"""
CERTIFIED = 32
"""Edge of the part of the region that is certified, in its middle: 256 runs of the window around it take seconds"""
CERTIFICATE_TILES = 12
GONE_BACK = 0.4
"""Of the progress, for the answer; the certificate takes the rest"""
BYTES_PER_PIXEL = 1600
"""Working memory: all that a network computed is kept until it is gone through backwards"""


def influence(
    look: Look, before: Floats, region: np.ndarray, seed: int = 0
) -> Generator[float | Overlay, None, Overlay]:
    """Yields the fraction done, and the overlay once before it is certified; returns it with its certificate.

    before: planes (3, H, W) 0..1 in the size the style sees, so look.paint.stroke is 1. region: (H, W) bool.
    Raises EngineError for a style without gradients, and for strokes in the colours of another style.
    """
    work = gradient_in_steps(look, before, light_of(region))
    gradient = yield from told(work, lambda done: [GONE_BACK * done])
    strength = np.sqrt(np.square(gradient).sum(axis=0))
    sentence = _sentence(strength, region, look.reach(*region.shape) or 0, look.paint.wrap)
    pixels = gradient.sum(axis=0)[..., None]
    answer = Overlay("Attribution.Influence", ("direct",), pixels, sentence, DISPLAY, Certificate(()), unit=UNIT)
    yield answer
    checks: tuple[Check, ...] = ()
    for step in _certify(look, before, middle(region), seed):
        if isinstance(step, tuple):
            checks = step
        else:
            yield GONE_BACK + (1 - GONE_BACK) * step
    return replace(answer, certificate=Certificate(checks))


def check_gradients(look: Look) -> None:
    """Raises EngineError where one of the styles has no gradient, or the way they are used."""
    if look.mix.palette:
        raise EngineError(
            "What is painted in the colours of another style has no gradient.", "Take the palette off, or ask Removal."
        )
    if look.mix.bands != controls.EVEN or any(part.colours for part in look.mix.parts):
        raise EngineError(
            "What is cut into bands or painted in the colours of the picture has no gradient here.",
            "Set all bands to 1 and choose the colours of the style, or ask Removal.",
        )
    for session in look.mix.sessions:
        session.need_gradients()
        if not session.spec.local or session.locked_to:  # what is locked is another network than what it brings
            raise EngineError(
                f"The style {session.pack.name!r} looks at the whole frame or takes one size only: it has no gradient.",
                "Ask Removal, or choose a style trained with Pentimento.",
            )


def light_of(region: np.ndarray) -> Floats:
    """(3, H, W): the weights of the result's values in the luminance of a region (H, W), summed over its pixels."""
    return LUMINANCE[:, None, None] * region.astype(np.float32)


def gradient_of(look: Look, before: Floats, weights: Floats, followed: Floats | None = None) -> Floats:
    """The gradient (3, H, W) of sum(weights * look.result(before, followed)) by the picture, all (3, H, W)."""
    return finished(gradient_in_steps(look, before, weights, followed))


def gradient_in_steps(
    look: Look, before: Floats, weights: Floats, followed: Floats | None = None
) -> Generator[float, None, Floats]:
    """The same. Yields the fraction done, for each style in every window: of a whole frame there are dozens."""
    check_gradients(look)
    source = ArrayCanvas(before, look.paint.wrap)
    forms = None if followed is None else look.forms(followed)
    strength = np.float32(look.strength)
    onto = (1 - strength) * weights
    canvas = look.mix.painted(source, look.paint, forms)
    windows = _windows(weights)
    for number, window in enumerate(windows):
        top, left, height, width = window
        asked = strength * weights[:, top : top + height, left : left + width]
        for done, (share, painted) in enumerate(_painted(canvas, window, onto, asked), 1):
            _pull(painted, share * asked, window, onto)
            yield (number + done / len(look.mix.parts)) / len(windows)
    return onto


def _painted(
    canvas: Canvas, window: tuple[int, int, int, int], onto: Floats, asked: Floats
) -> Iterator[tuple[Floats | float, Canvas]]:
    """What each style of a mix paints, and how much it counts in each pixel of a window; what stays as it is is added
    to `onto` at once."""
    if not isinstance(canvas, Mixed):
        yield 1.0, canvas
        return
    top, left, height, width = window
    weights, untouched = canvas.weights(window)
    onto[:, top : top + height, left : left + width] += untouched * asked
    for weight, part in zip(weights, canvas.canvases, strict=True):
        if weight.any():
            yield weight, part


def _pull(canvas: Canvas, weights: Floats, window: tuple[int, int, int, int], onto: Floats) -> None:
    """Through one style. Where its answer is clamped nothing changes it."""
    if not isinstance(canvas, Local):
        raise EngineError(
            "A picture that is resized for the style has no gradient here.", "Ask Removal, or choose stroke size 1."
        )
    answer = canvas.read(*window)
    try:
        canvas.pulled(weights * ((answer >= 0) & (answer <= 1)), window[0], window[1], onto)
    except OutOfMemoryError as error:
        raise EngineError(
            "There is not enough memory to go through the style backwards.", "Close other programs, or ask about less."
        ) from error


def _windows(weights: Floats) -> list[tuple[int, int, int, int]]:
    """Windows (top, left, height, width) over all that is not 0, each no larger than memory allows."""
    box = box_of(weights.any(axis=0))
    if box is None:
        return []
    top, left, height, width = box
    return [(top + y, left + x, tall, wide) for y, x, tall, wide in tiles(height, width, 0, BYTES_PER_PIXEL)]


# ---------------------------------------------------------------- certificate and sentence


def middle(region: np.ndarray) -> np.ndarray:
    """Of a larger region the part within CERTIFIED pixels around its middlemost pixel"""
    places = np.argwhere(region)
    if not len(places):
        return region
    row, column = places[np.abs(places - places.mean(axis=0)).sum(axis=1).argmin()]
    part = np.zeros_like(region)
    window = tuple(slice(max(0, at - CERTIFIED // 2), at + CERTIFIED // 2) for at in (row, column))
    part[window] = region[window]
    return part


def _certify(look: Look, before: Floats, region: np.ndarray, seed: int) -> Iterator[float | tuple[Check, ...]]:
    """B3 on this very picture: parts of what the region sees are made a little lighter or darker, and what becomes of
    the region is what the gradient foretold."""
    box, reach = box_of(region), look.reach(*region.shape)
    if box is None or reach is None:
        yield (certificate.unmeasured(),)
        return
    seen = (slice(None), *seen_from(box, reach, region.shape, look.paint.wrap))
    grid = Grid.over(before[seen].shape[1], before[seen].shape[2], CERTIFICATE_TILES)
    step = np.where(before[seen] > 0.5, -STEP, STEP).astype(np.float32)  # never out of 0..1
    asked = light_of(region)
    effects = grid.sums((gradient_of(look, before, asked)[seen] * step).sum(axis=0))

    inside = region[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]

    def light(picture: Floats) -> float:
        return float(look.light(picture, box, before)[inside].sum(dtype=np.float64))

    still = light(before)

    def happened(moved: np.ndarray) -> float:
        picture = before.copy()
        picture[seen] += step * grid.painted(moved)
        return light(picture) - still

    yield from certificate.interventions(effects, happened, _rivals(before[seen], step, grid, seed), seed)


def seen_from(box: tuple[int, int, int, int], reach: int, shape: tuple[int, ...], wrap: bool) -> tuple[slice, slice]:
    """Rows and columns of a picture (height, width) that a box (top, left, height, width) sees; the whole axis where it
    sees across a seam."""

    def along(start: int, count: int, size: int) -> slice:
        low, high = start - reach, start + count + reach
        return slice(0, size) if wrap and (low < 0 or high > size) else slice(max(0, low), min(size, high))

    return along(box[0], box[2], shape[0]), along(box[1], box[3], shape[1])


def _rivals(before: Floats, step: Floats, grid: Grid, seed: int) -> dict[str, np.ndarray]:
    """What maps that never ask the model would foretell of the same steps."""
    light = np.tensordot(LUMINANCE, before, axes=1)
    down, across = np.gradient(light) if min(light.shape) > 1 else (np.zeros_like(light),) * 2
    maps = {"edges": np.hypot(down, across), "nearness": nearness(light.shape), "all pixels alike": np.ones_like(light)}
    foretold = {name: grid.sums((plane * step).sum(axis=0)) for name, plane in maps.items()}
    return {**foretold, "random": np.random.default_rng([seed, 1]).standard_normal(grid.rows * grid.columns)}


def nearness(shape: tuple[int, ...]) -> np.ndarray:
    """How near each pixel (height, width) lies to the middle."""
    rows, columns = (np.abs(np.arange(size) - (size - 1) / 2) for size in shape)
    away = np.hypot(rows[:, None], columns)
    result: np.ndarray = away.max() - away
    return result


def _sentence(strength: np.ndarray, region: np.ndarray, reach: int, wrap: bool) -> str:
    """strength: length of the gradient in each pixel."""
    if float(strength.sum(dtype=np.float64)) <= 1e-6 * max(1, int(region.sum())):
        return "Nothing in the picture changes this area: its colours are at their limit."
    near = half_within(strength, region, wrap)
    beside = "in the area itself" if near == 0 else f"within {near} pixels of it"
    return f"Half of what can change this area lies {beside}. Nothing further than {reach} pixels away counts at all."


def half_within(strength: Floats, region: np.ndarray, wrap: bool) -> int:
    """How many pixels around the box of a region (H, W) hold half of `strength` (H, W), at least 0 and not all 0."""
    top, left, height, width = box_of(region) or (0, 0, *region.shape)
    down, across = (
        _away(start, count, size, wrap)
        for start, count, size in zip((top, left), (height, width), region.shape, strict=True)
    )
    away = np.ceil(np.hypot(down[:, None], across)).astype(int)
    within = np.cumsum(np.bincount(away.ravel(), strength.ravel().astype(np.float64)))
    return int(np.argmax(within >= 0.5 * within[-1]))


def _away(start: int, count: int, size: int, wrap: bool) -> np.ndarray:
    """How far each place of an axis lies from start .. start + count, the other way around where it is a ring."""
    shifts = (0, size, -size) if wrap else (0,)
    places = [np.arange(size) + shift for shift in shifts]
    return np.min([np.maximum(np.maximum(start - p, p - (start + count - 1)), 0) for p in places], axis=0)
