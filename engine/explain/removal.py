"""Attribution.Removal: what if this part weren't there?

Tiles of the picture are replaced by a blurred fill, and the model runs again. The overlay's value is the change of
the result's luminance per removed pixel: the sum over any set of tiles, divided by the pixels of the region, is the
predicted change of the region's mean luminance. Negative: without this part the result gets darker.

A local style sees no further than its receptive field, so tiles that lie far enough apart are removed in one run and
told apart by where the result changes. That is exact, and a dozen runs do for hundreds of tiles. Strokes go on to
follow the forms of the whole picture: what is measured is what the pixels give, not which way they turn the hand.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from ..canvas import ArrayCanvas
from ..mixing import Mix
from ..picture import Floats
from ..protocol import Certificate, Check
from ..resample import Resampled
from ..runtime import Followed, Paint
from . import certificate
from .overlay import Overlay, box_of, finished, told
from .pyramid import blurred

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Rec.709, on display-referred values: what the eye calls light and dark"""
DISPLAY = (-0.5, 0.5)
"""A removed white pixel that turns half as bright"""
UNIT = "luminance of the result for every pixel that is gone"
TILES_ALONG = 16
"""Tiles along the longer side: fine enough to point at an object, coarse enough to matter alone"""
TILES_ALONG_WHOLE_FRAME = 8
"""The same for styles that look at the whole frame: every tile costs a run of its own"""
CERTIFICATE_EDGE = 96
"""The certificate's interventions run on the picture reduced to this many pixels along its longer side"""
CERTIFICATE_TILES = 12


T = TypeVar("T")


@dataclass(frozen=True)
class Look:
    """Styles as they are applied to a picture: everything but the picture. Mattes stay where they are when a part of
    the picture is removed."""

    mix: Mix
    paint: Paint
    strength: float = 1.0
    _followed: dict[int, tuple[Floats, Followed]] = field(init=False, default_factory=dict, compare=False, repr=False)
    """The picture whose forms strokes followed last: a certificate asks hundreds of times about one. Never that of
    another Look: it may wrap where this one does not"""

    def forms(self, planes: Floats) -> Followed:
        """The picture (3, H, W) as one whose forms strokes follow. It must not change while it is asked about."""
        known = self._followed.get(id(planes))
        if known is None or known[0] is not planes:
            self._followed.clear()
            known = self._followed[id(planes)] = planes, Followed(planes, self.paint.wrap)
        return known[1]

    def result(self, planes: Floats, followed: Floats | None = None) -> Floats:
        """The stylized picture of planes (3, H, W) 0..1, also (3, H, W) 0..1. followed: the picture whose forms its
        strokes follow, where it is another one."""
        return finished(self.result_in_steps(planes, followed))

    def result_in_steps(self, planes: Floats, followed: Floats | None = None) -> Generator[float, None, Floats]:
        """The same. Yields the fraction done, once for every window."""
        forms = None if followed is None else self.forms(followed)
        canvas = self.mix.painted(ArrayCanvas(planes, self.paint.wrap), self.paint, forms)
        style = np.empty_like(planes)
        windows = list(self.mix.tiles(canvas.height, canvas.width, self.paint))
        for number, (top, left, height, width) in enumerate(windows):
            style[:, top : top + height, left : left + width] = canvas.read(top, left, height, width)
            yield (number + 1) / len(windows)
        return mixed(planes, style, self.strength)

    def light(self, planes: Floats, box: tuple[int, int, int, int], followed: Floats) -> Floats:
        """The luminance of the same in a box (top, left, height, width) alone, (height, width)."""
        return finished(self.light_in_steps(planes, box, followed))

    def light_in_steps(
        self, planes: Floats, box: tuple[int, int, int, int], followed: Floats
    ) -> Generator[float, None, Floats]:
        """The same. Yields the fraction done, once for every window."""
        canvas = self.mix.painted(ArrayCanvas(planes, self.paint.wrap), self.paint, self.forms(followed))
        light = np.empty(box[2:], np.float32)
        windows = list(self.mix.tiles(box[2], box[3], self.paint))
        for number, (y, x, height, width) in enumerate(windows):
            top, left = box[0] + y, box[1] + x
            style = canvas.read(top, left, height, width)
            result = mixed(planes[:, top : top + height, left : left + width], style, self.strength)
            light[y : y + height, x : x + width] = np.tensordot(LUMINANCE, result, axes=1)
            yield (number + 1) / len(windows)
        return light

    def reach(self, height: int, width: int) -> int | None:
        """How far to each side, in pixels of a picture of this size, a removed pixel can change the result.

        None: everywhere.
        """
        return self.mix.reach(height, width, self.paint)


def mixed(before: Floats, style: Floats, strength: float) -> Floats:
    """The model's answer (not clamped) laid over the picture: 0 keeps it, 1 is the full style. (3, h, w) 0..1."""
    clamped = np.clip(style, 0, 1)
    if strength == 1:
        return clamped
    return np.asarray(before + np.float32(strength) * (clamped - before), np.float32)


def removal(
    look: Look, before: Floats, after: Floats, region: np.ndarray | None = None, seed: int = 0
) -> Generator[float | Overlay, None, Overlay]:
    """Yields the fraction done, and the overlay once before it is certified; returns it with its certificate.

    before, after: the picture and its result, planes (3, H, W) 0..1. region: (H, W) bool, where the result is looked
    at; None: everywhere.
    """
    height, width = before.shape[1:]
    along = TILES_ALONG_WHOLE_FRAME if look.reach(height, width) is None else TILES_ALONG
    grid = Grid.over(height, width, along)
    effects = yield from _scaled(_effects(look, grid, before, after, region), 0.0, 0.6)
    area = float(region.sum()) if region is not None else float(before[0].size)
    what = "the result" if region is None else "this area"
    pixels = grid.painted(effects / grid.areas())[..., None]
    sentence = _sentence(grid, effects / max(1.0, area), what)
    answer = Overlay("Attribution.Removal", ("luminance",), pixels, sentence, DISPLAY, Certificate(()), unit=UNIT)
    yield answer
    checks = yield from _scaled(_certify(look, before, region, seed), 0.6, 1.0)
    return replace(answer, certificate=Certificate(checks))


def _scaled(work: Generator[float, None, T], low: float, high: float) -> Generator[float, None, T]:
    """Part of the progress."""
    return told(work, lambda fraction: [low + (high - low) * fraction])


# ---------------------------------------------------------------- tiles


@dataclass(frozen=True)
class Grid:
    """Square tiles over a picture, numbered row by row; those at the right and bottom may be smaller."""

    height: int
    width: int
    edge: int

    @classmethod
    def over(cls, height: int, width: int, along: int) -> Grid:
        return cls(height, width, max(1, math.ceil(max(height, width) / along)))

    @property
    def rows(self) -> int:
        return math.ceil(self.height / self.edge)

    @property
    def columns(self) -> int:
        return math.ceil(self.width / self.edge)

    def window(self, tile: int, margin: int = 0) -> tuple[slice, slice]:
        """Rows and columns of a tile, with a margin, within the picture."""
        row, column = divmod(tile, self.columns)
        return _span(row, self.edge, margin, self.height), _span(column, self.edge, margin, self.width)

    def areas(self) -> np.ndarray:
        """Pixels of each tile."""
        tall = np.minimum(self.edge, self.height - self.edge * np.arange(self.rows))
        wide = np.minimum(self.edge, self.width - self.edge * np.arange(self.columns))
        return (tall[:, None] * wide[None, :]).ravel().astype(np.float64)

    def painted(self, values: np.ndarray) -> np.ndarray:
        """One value per tile as a picture (H, W), or sets of tiles (bool) as masks."""
        blocks = values.reshape(self.rows, self.columns)
        plane = blocks.repeat(self.edge, axis=0).repeat(self.edge, axis=1)[: self.height, : self.width]
        return plane if plane.dtype == bool else plane.astype(np.float32)

    def sums(self, plane: np.ndarray) -> np.ndarray:
        """Sum of a (H, W) plane over each tile."""
        starts = np.arange(0, self.height, self.edge), np.arange(0, self.width, self.edge)
        rows = np.add.reduceat(plane.astype(np.float64), starts[0], axis=0)
        return np.add.reduceat(rows, starts[1], axis=1).ravel()

    def groups(self, reach: int | None, wrap: bool) -> list[np.ndarray]:
        """Sets of tiles whose effects cannot meet, (tiles,) bool each: they can be removed in one run."""
        if reach is None:
            return list(np.eye(self.rows * self.columns, dtype=bool))
        down = _colours(self.rows, self.edge, reach, self.height, wrap)
        across = _colours(self.columns, self.edge, reach, self.width, wrap)
        pairs = [(a, b) for a in range(max(down) + 1) for b in range(max(across) + 1)]
        return [np.outer(np.array(down) == a, np.array(across) == b).ravel() for a, b in pairs]


def _span(index: int, edge: int, margin: int, size: int) -> slice:
    return slice(max(0, index * edge - margin), min(size, (index + 1) * edge + margin))


def _colours(count: int, edge: int, reach: int, size: int, wrap: bool) -> list[int]:
    """A number for each tile along an axis; tiles of one number lie at least twice the reach apart."""
    step = math.ceil((edge + 2 * reach) / edge)
    if not wrap:
        return [index % step for index in range(count)]
    # A ring is cut into even stretches of at least one step; a last tile that is cut off makes it shorter.
    stretches = max(1, count // (step + (size % edge != 0)))
    starts = [stretch * count // stretches for stretch in range(stretches)]
    return [index - max(start for start in starts if start <= index) for index in range(count)]


# ---------------------------------------------------------------- effects


def _effects(
    look: Look, grid: Grid, before: Floats, after: Floats, region: np.ndarray | None
) -> Generator[float, None, np.ndarray]:
    """What removing each tile does to the luminance of the region, summed over its pixels. Yields the fraction done."""
    fill = filled(before, grid, look.paint.wrap)
    light = _light(after, region)
    effects = np.zeros(grid.rows * grid.columns)
    reach = look.reach(grid.height, grid.width)
    groups = grid.groups(reach, look.paint.wrap)
    box = box_of(region) if region is not None and reach is not None and not look.paint.wrap else None
    if region is not None and box is not None and _small(box, reach or 0, grid, len(groups)):
        yield from _beside(look, grid, (before, fill), region, box, reach or 0, effects)
        return effects
    for number, group in enumerate(groups):
        low, high = number / len(groups), (number + 1) / len(groups)
        result = yield from _scaled(look.result_in_steps(without(before, fill, grid, group), before), low, high)
        change = _light(result, region) - light
        for tile in np.flatnonzero(group):
            effects[tile] = _around(change, grid, int(tile), reach, look.paint.wrap)
    return effects


def _near(box: tuple[int, int, int, int], reach: int, grid: Grid) -> list[int]:
    """Tiles that a box can see something of."""
    rows, columns = (
        range(max(0, start - reach) // grid.edge, min(size - 1, start + count - 1 + reach) // grid.edge + 1)
        for start, count, size in ((box[0], box[2], grid.height), (box[1], box[3], grid.width))
    )
    return [row * grid.columns + column for row in rows for column in columns]


def _small(box: tuple[int, int, int, int], reach: int, grid: Grid, groups: int) -> bool:
    """Is it less work to look at the box for each tile that it sees than at the whole picture for each group?"""
    return (
        len(_near(box, reach, grid)) * (box[2] + 2 * reach) * (box[3] + 2 * reach) < groups * grid.height * grid.width
    )


def _beside(
    look: Look,
    grid: Grid,
    pictures: tuple[Floats, Floats],
    region: np.ndarray,
    box: tuple[int, int, int, int],
    reach: int,
    effects: np.ndarray,
) -> Generator[float, None, None]:
    """The same for a small region: only its box is looked at, and only tiles that it sees are removed. pictures: the
    picture and its fill; what is found goes into `effects`."""
    before, fill = pictures
    inside = region[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]
    light = look.light(before, box, before)[inside]
    near = _near(box, reach, grid)
    for number, tile in enumerate(near):
        gone = np.zeros(len(effects), bool)
        gone[tile] = True
        changed = look.light(without(before, fill, grid, gone), box, before)[inside]
        effects[tile] = (changed.astype(np.float64) - light).sum()
        yield (number + 1) / len(near)


def filled(before: Floats, grid: Grid, wrap: bool) -> Floats:
    """The picture as it looks where a part is gone: blurred beyond the size of a tile."""
    return blurred(before, max(1, math.ceil(math.log2(max(2, grid.edge)))), wrap)


def without(before: Floats, fill: Floats, grid: Grid, tiles_gone: np.ndarray) -> Floats:
    """The picture with a set of tiles ((tiles,) bool) replaced by the fill."""
    return np.where(grid.painted(tiles_gone), fill, before)


def _light(planes: Floats, region: np.ndarray | None) -> np.ndarray:
    """Luminance (H, W) of planes (3, H, W); 0 outside the region."""
    light = np.tensordot(LUMINANCE, planes, axes=1)
    return light if region is None else np.where(region, light, np.float32(0))


def _around(change: np.ndarray, grid: Grid, tile: int, reach: int | None, wrap: bool) -> float:
    """The change within reach of a tile: its own, as no other tile of the group reaches there."""
    if reach is None:
        return float(change.sum(dtype=np.float64))
    if not wrap:
        return float(change[grid.window(tile, reach)].sum(dtype=np.float64))
    row, column = divmod(tile, grid.columns)
    rows = _ring(row, grid.edge, reach, grid.height)
    columns = _ring(column, grid.edge, reach, grid.width)
    return float(change[np.ix_(rows, columns)].sum(dtype=np.float64))


def _ring(index: int, edge: int, reach: int, size: int) -> np.ndarray:
    """Positions within reach of a tile along an axis that goes around, each once."""
    return np.unique(np.arange(index * edge - reach, min((index + 1) * edge, size) + reach) % size)


# ---------------------------------------------------------------- certificate and sentence


def _certify(
    look: Look, before: Floats, region: np.ndarray | None, seed: int
) -> Generator[float, None, tuple[Check, ...]]:
    """B3 on this very picture, reduced: the same method, then held-out coalitions of removed tiles."""
    small, small_region = small_of(before, region, look.paint.wrap)
    height, width = small.shape[1:]
    if look.reach(height, width) is None:  # every intervention would be a whole run of a large model
        return (certificate.unmeasured(),)
    grid = Grid.over(height, width, CERTIFICATE_TILES)
    after = look.result(small)
    effects = yield from _scaled(_effects(look, grid, small, after, small_region), 0.0, 0.4)
    fill = filled(small, grid, look.paint.wrap)
    light = _light(after, small_region).sum(dtype=np.float64)

    def happened(gone: np.ndarray) -> float:
        changed = look.result(without(small, fill, grid, gone), small)
        return float(_light(changed, small_region).sum(dtype=np.float64) - light)

    for step in certificate.interventions(effects, happened, rivals(small, fill, grid, seed), seed):
        if isinstance(step, tuple):
            return step
        yield 0.4 + 0.6 * step
    raise AssertionError("interventions end with their checks")


def small_of(before: Floats, region: np.ndarray | None, wrap: bool) -> tuple[Floats, np.ndarray | None]:
    """The picture and the region at no more than CERTIFICATE_EDGE pixels along the longer side."""
    height, width = before.shape[1:]
    shrink = min(1.0, CERTIFICATE_EDGE / max(height, width))
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    small = np.clip(Resampled(ArrayCanvas(before, wrap), *size).read(0, 0, *size), 0, 1)
    if region is None:
        return small, None
    # A pixel of the small one is part of it where any of it is: a point would be lost between the others.
    small_region = np.zeros(size, bool)
    places = np.argwhere(region) * np.array(size) // np.array([height, width])
    small_region[places[:, 0], places[:, 1]] = True
    return small, small_region


def rivals(before: Floats, fill: Floats, grid: Grid, seed: int) -> dict[str, np.ndarray]:
    """What could be said about the tiles without ever asking the model: an overlay must do better than these."""
    light = np.tensordot(LUMINANCE, before, axes=1)
    down, across = np.gradient(light) if min(light.shape) > 1 else (np.zeros_like(light),) * 2
    return {
        "edges": grid.sums(np.hypot(down, across)),
        "|x - b|": grid.sums(np.abs(before - fill).sum(axis=0)),
        "random": np.random.default_rng([seed, 1]).standard_normal(grid.rows * grid.columns),
    }


def _sentence(grid: Grid, effects: np.ndarray, what: str) -> str:
    """effects: change of the region's mean luminance when a tile is removed; what: the region, in words."""
    tile = int(np.abs(effects).argmax())
    change = float(effects[tile]) * 100
    if abs(change) < 0.005:
        return f"No single part of this picture decides how light {what} is."
    row, column = divmod(tile, grid.columns)
    place = _place((row + 0.5) / grid.rows, (column + 0.5) / grid.columns)
    word = "darker" if change < 0 else "lighter"
    return f"The part that matters most lies {place}: without it {what} is {abs(change):.2g} % {word}."


def _place(down: float, across: float) -> str:
    vertical = ("at the top", "in the middle", "at the bottom")[min(2, int(3 * down))]
    horizontal = (" on the left", "", " on the right")[min(2, int(3 * across))]
    return vertical + horizontal
