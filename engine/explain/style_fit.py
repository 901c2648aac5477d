"""Attribution.StyleFit: where does the result not look like the style?

How rough, in which directions and at which scales, and of which colours a place is: 23 numbers for every cell of 8
pixels. How far they lie from those of the style pictures is a Mahalanobis distance, and 1 means: as far as the most
unusual twentieth of the style pictures themselves (of the part that training never saw, where there is one).

Why not the critic's verdicts: at the end of a training they tell what this generator still does wrong, and little else.
Of defects of six kinds planted into results they find half, these numbers 99 of 100 (benchmarks/style_fit.py).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from ..canvas import ArrayCanvas, Canvas
from ..errors import EngineError
from ..picture import Floats
from ..protocol import Bar, Certificate, Check
from ..style_pack import FIT, FIT_NUMBERS, StylePack
from . import certificate
from .overlay import Overlay
from .provenance import OPPONENT, softened

CELL = 8
"""Pixels to each side of what gets one value"""
REACH = 10
"""Pixels from the middle of a cell, where a place counts most, to where it counts nothing. With more, what is wrong
beside a cell stands out in it as well; with less, single dots of a raster decide"""
LEVELS = 4
"""Halvings at which roughness is measured: strokes are 2 to 40 pixels wide"""
SIGHT = 64
"""Pixels read beyond what is looked at, a multiple of CELL, and judged beyond a planted defect: more than a cell sees,
which is its neighbours and no further"""
FLOOR = 2e-3
"""Squares of differences below which nothing is told apart: a twentieth of the way from black to white. With less the
answer changes with what nobody sees"""
COLOUR = 4.0
"""Times mean colours count, so that they spread as far as the logarithms of roughness"""
RIDGE = 0.1
"""Share of the mean variance added to each: nothing is judged by what next to never varies in the style picture"""
FINEST = slice(3, 8)
"""Roughness from one pixel to the next, which counts only where there is more than usual: the grain of a photograph of
a painting is nobody's stroke"""
FEWEST = 4 * FIT_NUMBERS
"""Cells to know what is usual by"""
USUAL = 0.95
DISPLAY = (0.0, 3.0)
UNIT = "1: as unlike the style as the most unusual twentieth of the style picture; bars: share of the area beyond that"
_ROWS = 512

PLANT = 48
"""Edge of a planted defect"""
PLANTS = 8
"""Of each kind"""
FOUND = 0.95


@dataclass(frozen=True, eq=False)
class Fit:
    """What is usual in a style."""

    mean: np.ndarray
    """(23,) float32"""
    inverse: np.ndarray
    """(23, 23) float32: of the squares and products of what is away from it"""
    usual: float
    """The distance that 95 of 100 places of the style pictures do not exceed"""

    @classmethod
    def of(
        cls, pictures: Sequence[Floats], held_out: Sequence[Floats] = (), masks: Sequence[Floats] = ()
    ) -> Fit | None:
        """pictures: planes (3, h, w) 0..1 at the size of training; held_out: parts of them that no training saw; masks:
        (h, w) of the pictures, 0 where nothing is to be learned from. None of fewer than FEWEST cells."""
        every = [_taken(picture, *masks[n : n + 1]) for n, picture in enumerate(pictures)]
        seen = np.concatenate(every)
        if len(seen) < FEWEST:
            return None
        raw = cls(seen.mean(axis=0), np.eye(seen.shape[1], dtype=np.float32), 1.0)
        away = raw._away(seen.T).astype(np.float64)
        spread = away @ away.T / len(seen)
        spread += RIDGE * float(np.trace(spread)) / len(spread) * np.eye(len(spread))
        raw = replace(raw, inverse=np.linalg.inv(spread).astype(np.float32))
        judged = np.concatenate([_taken(picture) for picture in held_out] or every)
        return replace(raw, usual=float(np.quantile(raw.distance(judged.T), USUAL)))

    def distance(self, numbers: Floats) -> Floats:
        """(23, ...) -> (...): 1 as above"""
        away = self._away(numbers.reshape(len(self.mean), -1))
        squares = (away * (self.inverse @ away)).sum(axis=0).reshape(numbers.shape[1:])
        return np.asarray(np.sqrt(np.maximum(squares, 0)) / self.usual, np.float32)

    def _away(self, numbers: Floats) -> Floats:
        """(23, N) -> how far each is from what is usual"""
        away: Floats = numbers - self.mean[:, None]
        away[FINEST] = np.maximum(away[FINEST], 0)
        return away

    def to_bytes(self) -> bytes:
        """As a style pack holds it: little-endian float32"""
        return np.concatenate([self.mean, self.inverse.ravel(), [self.usual]]).astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Fit:
        numbers = np.frombuffer(data, "<f4").astype(np.float32)
        count = FIT_NUMBERS
        return cls(numbers[:count], numbers[count:-1].reshape(count, count), float(numbers[-1]))


def need_fit(pack: StylePack) -> None:
    """Raises EngineError for a style that does not say what is usual in it."""
    if FIT not in pack.files:
        raise EngineError(
            f"The style {pack.name!r} does not say what it looks like.",
            "Choose a style trained with Pentimento from pictures or keyframes, or another overlay.",
        )


def style_fit(
    fit: Fit, before: Floats, after: Floats, region: np.ndarray, wrap: bool, seed: int = 0
) -> Generator[float | Overlay, None, Overlay]:
    """Yields the fraction done, and the overlay once before it is certified; returns it with its certificate.

    before, after: the picture and its result, planes (3, H, W) 0..1 in the size the style sees. region: (H, W) bool, of
    which the sentence speaks; the map shows the rest as well.
    """
    values = yield from _values(fit, ArrayCanvas(after, wrap))
    pixels = _smooth(values, region.shape)[..., None]
    share = float((pixels[region] > 1).mean())
    answer = Overlay(
        "Attribution.StyleFit",
        ("unlike",),
        pixels,
        _sentence(share, float(np.median(pixels[region]))),
        DISPLAY,
        Certificate(()),
        unit=UNIT,
        bars=(Bar("unlike the style", share),),
    )
    yield answer
    checks = yield from _certify(fit, before, after, region, wrap, seed)
    return replace(answer, certificate=Certificate(checks))


def _values(fit: Fit, canvas: Canvas) -> Generator[float, None, Floats]:
    """(rows, columns) of cells, in strips that need little memory."""
    strips = []
    for top in range(0, canvas.height, _ROWS):
        strips.append(fit.distance(numbers(canvas, top, 0, min(_ROWS, canvas.height - top), canvas.width)))
        yield 0.5 * (top + _ROWS) / max(canvas.height, _ROWS + top)
    return np.concatenate(strips)


# ---------------------------------------------------------------- what a place looks like


def numbers(canvas: Canvas, top: int, left: int, height: int, width: int) -> Floats:
    """(23, rows, columns) for the cells of a window that begins at a multiple of CELL: logarithms of how rough it is
    along, down, across and in two colours, at each level, and its mean colour."""
    rows, columns = -(-height // CELL), -(-width // CELL)
    seen = canvas.read(top - SIGHT, left - SIGHT, rows * CELL + 2 * SIGHT, columns * CELL + 2 * SIGHT)
    colours: Floats = np.tensordot(OPPONENT, seen, axes=1)
    found = [_means(COLOUR * colours, 1, (rows, columns))]
    for level in range(LEVELS):
        colours = _halved(colours) if level else colours
        found.append(np.log(_means(_roughness(colours), 2**level, (rows, columns)) + FLOOR))
    return np.concatenate(found).astype(np.float32)


def _roughness(colours: Floats) -> Floats:
    """(5, h, w): squared second differences of the luminance across, down and diagonally, and of both colours."""
    wide = np.pad(colours, ((0, 0), (1, 1), (1, 1)), "edge")
    centre = 2 * colours
    across = wide[:, 1:-1, 2:] - centre + wide[:, 1:-1, :-2]
    down = wide[:, 2:, 1:-1] - centre + wide[:, :-2, 1:-1]
    luminance = wide[0]
    diagonal = luminance[2:, 2:] - luminance[2:, :-2] - luminance[:-2, 2:] + luminance[:-2, :-2]
    both = np.square(across[1:]) + np.square(down[1:])
    return np.concatenate([np.square(np.stack([across[0], down[0], diagonal])), both])


def _means(planes: Floats, edge: int, cells: tuple[int, int]) -> Floats:
    """(C, rows, columns): the mean of planes (C, h, w), whose pixels are `edge` wide, over each cell and a little
    beside it (see REACH), so that a cell that a defect lies in sees more of it than one beyond. Where a cell is one
    pixel, that pixel."""
    step = CELL // edge
    pixels = np.arange(-step, 2 * step)
    away = np.abs((pixels + 0.5) * edge - CELL / 2)
    weights = np.maximum(1 - away / (REACH if step > 1 else CELL), 0).astype(np.float32)
    weights /= weights.sum()
    for axis, count in zip((1, 2), cells, strict=True):
        first = SIGHT // edge + step * np.arange(count)
        seen = ((weight, first + pixel) for pixel, weight in zip(pixels, weights, strict=True) if weight > 0)
        planes = reduce(np.add, (weight * np.take(planes, places, axis) for weight, places in seen))
    return planes


def _halved(planes: Floats) -> Floats:
    """The mean of every four pixels and of none beside them: softened before, cells would see far beyond themselves."""
    _, height, width = planes.shape
    return planes.reshape(-1, height // 2, 2, width // 2, 2).mean(axis=(2, 4))


def _taken(picture: Floats, mask: Floats | None = None) -> Floats:
    """(N, 23) of the cells of a picture that lie in it as a whole, and so do in its mask they and their neighbours."""
    _, height, width = picture.shape
    rows, columns = height // CELL, width // CELL
    found = numbers(ArrayCanvas(picture), 0, 0, height, width)[:, :rows, :columns]
    if mask is None:
        return np.ascontiguousarray(found.reshape(len(found), -1).T)
    free = mask[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).min(axis=(1, 3)) > 0
    wide = np.pad(free, 1, constant_values=True)
    near = [wide[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return np.ascontiguousarray(found[:, np.logical_and.reduce(near)].T)


def _smooth(values: Floats, size: tuple[int, ...]) -> Floats:
    """Values of cells in every pixel, between their middles along straight lines."""
    for axis in (0, 1):
        places = (np.arange(size[axis]) + 0.5) / CELL - 0.5
        low = np.clip(np.floor(places).astype(int), 0, values.shape[axis] - 1)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        part = np.clip(places - low, 0, 1).astype(np.float32)
        part = part[:, None] if axis == 0 else part
        values = np.take(values, low, axis) * (1 - part) + np.take(values, high, axis) * part
    return values


# ---------------------------------------------------------------- in words, and how far it holds


def _sentence(share: float, middle: float) -> str:
    if share < 0.005:
        return f"All of this area looks like the style: {middle:.2f} of what its own unusual places reach."
    return f"{100 * share:.0f} % of this area looks less like the style than 95 % of the style picture does."


def _certify(
    fit: Fit, before: Floats, after: Floats, region: np.ndarray, wrap: bool, seed: int
) -> Generator[float, None, tuple[Check, ...]]:
    """B2: defects planted into this very result, around the region, are found. B6: the answer stays when the result is
    moved a little."""
    rng = np.random.default_rng([seed, 3])
    window = _around(region, rng)
    picture, result = (_near(planes, window, wrap) for planes in (before, after))
    hits = []
    for number, one in enumerate(_planted(fit, picture, result, rng)):
        hits.append(one)
        yield 0.5 + 0.45 * (number + 1) / (PLANTS * len(DEFECTS))
    if not hits:
        return (Check("B2", "planted defects found", 0.0, FOUND, False),)
    found = certificate.at_least("B2", "planted defects found", float(np.mean(hits)), FOUND)
    moved = certificate.stability(lambda planes: _cells(fit, planes), result, seed)
    for step in moved:
        if isinstance(step, tuple):
            return (found, *step)
        yield 0.95 + 0.05 * step
    raise AssertionError("stability ends with its check")


def _around(region: np.ndarray, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A window (top, left, height, width) of whole cells around a place of the region drawn by chance, within the
    picture: as large as it takes to see what a defect changes beside it."""
    places = np.flatnonzero(region)
    place = divmod(int(places[rng.integers(len(places))]), region.shape[1])
    starts, lengths = [], []
    for middle, size in zip(place, region.shape, strict=True):
        length = min(size, PLANT + 2 * SIGHT) // CELL * CELL
        starts.append(int(np.clip(middle - length // 2, 0, size - length)) // CELL * CELL)
        lengths.append(length)
    return starts[0], starts[1], lengths[0], lengths[1]


def _near(planes: Floats, window: tuple[int, int, int, int], wrap: bool) -> Floats:
    """A window of planes (3, H, W), with all that its cells see."""
    top, left, height, width = window
    return ArrayCanvas(planes, wrap).read(top - SIGHT, left - SIGHT, height + 2 * SIGHT, width + 2 * SIGHT)


def _cells(fit: Fit, near: Floats) -> Floats:
    """The values of a window, of what `_near` gave."""
    height, width = (edge - 2 * SIGHT for edge in near.shape[1:])
    return fit.distance(numbers(ArrayCanvas(near), SIGHT, SIGHT, height, width))


def _planted(fit: Fit, picture: Floats, result: Floats, rng: np.random.Generator) -> Iterator[bool]:
    """For every defect, planted into a window of a result, whether the value rises most where it is: see hit. picture,
    result: of `_near`."""
    room = [edge - 2 * SIGHT - PLANT + 1 for edge in result.shape[1:]]
    if min(room) < 1:
        return
    still = _cells(fit, result)
    for defect in DEFECTS.values():
        for _ in range(PLANTS):
            row, column = (int(rng.integers(places)) for places in room)
            place = np.s_[:, SIGHT + row : SIGHT + row + PLANT, SIGHT + column : SIGHT + column + PLANT]
            broken = result.copy()
            broken[place] = defect(result[place], picture[place], rng)
            yield hit(_cells(fit, broken) - still, (row, column))


def hit(values: Floats, place: tuple[int, int]) -> bool:
    """Does the largest value of cells lie in the PLANT at a place (row, column of pixels), a cell more or less?"""
    found = divmod(int(values.argmax()), values.shape[1])
    middles = (CELL * at + CELL / 2 for at in found)
    return all(-CELL <= middle - start < PLANT + CELL for middle, start in zip(middles, place, strict=True))


def _blur(result: Floats, picture: Floats, rng: np.random.Generator) -> Floats:
    for _ in range(6):
        result = softened(softened(result, 1), 2)
    return result


def _shuffled(result: Floats, picture: Floats, rng: np.random.Generator) -> Floats:
    flat = result.reshape(3, -1)
    return flat[:, rng.permutation(flat.shape[1])].reshape(result.shape)


def _grid(result: Floats, picture: Floats, rng: np.random.Generator) -> Floats:
    """What a stride leaves behind (Odena et al., "Deconvolution and Checkerboard Artifacts", 2016)"""
    odd = np.add.outer(np.arange(result.shape[1]), np.arange(result.shape[2])) % 2
    return np.clip(result + np.float32(0.12) * (odd - np.float32(0.5)), 0, 1).astype(np.float32)


DEFECTS: dict[str, Callable[[Floats, Floats, np.random.Generator], Floats]] = {
    "blurred": _blur,
    "one colour": lambda result, picture, rng: np.broadcast_to(result.mean(axis=(1, 2), keepdims=True), result.shape),
    "noise": lambda result, picture, rng: np.clip(
        result.mean(axis=(1, 2), keepdims=True) + rng.normal(0, 0.15, result.shape), 0, 1
    ).astype(np.float32),
    "shuffled": _shuffled,
    "chequered": _grid,
    "not painted": lambda result, picture, rng: picture,
}
"""What can go wrong with a place of a result (3, h, w), given the picture that was painted"""
