"""Which view paints which texel.

Each place belongs to the view that shows it best: with the most pixels along its shortest side, away from edges. An
average of several views would have no strokes left. So strokes change hands within a narrow seam, and the seam goes
around them: a stroke that stands out holds its ground. What a painting does to colours at large, which no seam should
show, changes hands over a wide one (two bands, as Burt & Adelson, "A Multiresolution Spline With Application to Image
Mosaics", 1983; over a mesh: Baumberg, "Blending images for texturing 3D models", BMVC 2002). It is the change of the
colours that is blended widely, not they themselves: the mesh's own colours are the same in all views, and stay sharp.

All of it is told by places of the surface, never by where they lie on the texture: what lies beside each other on the
mesh goes on over the seams of its UV map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..canvas import ROWS, by_rows
from ..motion import bilinear
from ..picture import Floats
from .sight import Painted, Sight
from .texels import Texels

NARROW, WIDE = 48.0, 3.0
"""Powers of how well a view shows a place, by which strokes and colours at large are shared out"""
STANDS_OUT = 0.12
"""By how much better a view shows a place for each deviation that a stroke of its stands out there"""
UNSEEN = (0.06, 0.2)
"""How well a place must be shown: below the first (87 degrees aslant) no view paints it, from the second on (78)
nothing else does"""
LEAST = 1e-3
"""Share of a texel below which a view need not be asked"""
COMPARED = 20_000
"""Places at which views are compared"""
BOTH_SEE = 0.3
"""How well two views must show a place to be compared there"""
_BLOCK = 1024
"""Entries that count as one of the rows of `by_rows`"""


@dataclass(frozen=True, eq=False)
class Look:
    """What one view shows of the texels."""

    which: NDArray[np.int64]
    """(n,) entries of the texels, rising"""
    quality: Floats
    """(n,) 0..1"""
    score: Floats
    """(n,): by which views are compared, above 0"""
    rows: Floats
    columns: Floats


@dataclass(frozen=True, eq=False)
class Disagreement:
    """How far views differ where two of them show a place, display-referred 0..1."""

    strokes: float
    """Mean over the three channels"""
    colours: float
    """The same without strokes"""


@dataclass(frozen=True, eq=False)
class Shared:
    """The texels, shared out among views."""

    texels: Texels
    """One entry for each texel"""
    looks: tuple[Look, ...]
    views: tuple[Painted, ...]

    @cached_property
    def seen(self) -> Floats:
        """(N,) 0..1: how much of an entry the views paint; the rest is filled"""
        best = np.zeros(len(self.texels), np.float32)
        for look in self.looks:
            best[look.which] = np.maximum(best[look.which], look.quality)
        x = np.clip((best - UNSEEN[0]) / (UNSEEN[1] - UNSEEN[0]), 0, 1)
        return np.asarray(x * x * (3 - 2 * x), np.float32)

    @cached_property
    def narrow(self) -> tuple[Floats, ...]:
        """(n,) for each view: its share of the strokes; together 1 wherever a view sees anything"""
        standing = [
            look.score * np.exp(np.float32(STANDS_OUT) * bilinear(view.relief, look.rows, look.columns)[0])
            for look, view in zip(self.looks, self.views, strict=True)
        ]
        return self._shares(standing, NARROW)

    @cached_property
    def wide(self) -> tuple[Floats, ...]:
        """(n,) for each view: its share of the colours at large"""
        return self._shares([look.score for look in self.looks], WIDE)

    def _shares(self, scores: Sequence[Floats], power: float) -> tuple[Floats, ...]:
        best, total = (np.zeros(len(self.texels), np.float32) for _ in range(2))
        for look, score in zip(self.looks, scores, strict=True):
            best[look.which] = np.maximum(best[look.which], score)
        raised = [
            (score / best[look.which]) ** np.float32(power) for look, score in zip(self.looks, scores, strict=True)
        ]
        for look, share in zip(self.looks, raised, strict=True):
            total[look.which] += share
        return tuple(share / total[look.which] for look, share in zip(self.looks, raised, strict=True))

    def strokes_of(self, number: int) -> tuple[NDArray[np.int64], Floats]:
        """What a view gives to the texels: entries (n,), and colours (3, n) times its share. To be added up."""
        look, view, share = self.looks[number], self.views[number], self.narrow[number]
        some = share > LEAST
        given = np.zeros((3, len(look.which)), np.float32)
        kept = np.flatnonzero(some)

        def read(part: slice) -> None:
            mine = kept[part]
            given[:, mine] = view.at(look.rows[mine], look.columns[mine]) * share[mine]

        _in_blocks(len(kept), read)
        return look.which, given

    def change_of(self, number: int) -> Floats:
        """(3, n): what its change of colours at large adds, beyond what its strokes bring along"""
        look, view = self.looks[number], self.views[number]
        share = self.wide[number] - self.narrow[number]
        return np.asarray(bilinear(view.change, look.rows, look.columns) * share)

    def before_of(self, number: int) -> Floats:
        """(3, n): the unpainted colours of the mesh, times the view's share of the strokes"""
        look, view = self.looks[number], self.views[number]
        return np.asarray(bilinear(view.before, look.rows, look.columns) * self.narrow[number])

    def disagreement(self) -> Disagreement | None:
        """None where no place is shown by two views."""
        both = self._shown_twice()
        if not len(both):
            return None
        chosen = np.random.default_rng(0).permutation(both)[:COMPARED]
        strokes, colours = (self._differences(chosen, read) for read in (_strokes, _colours))
        return Disagreement(strokes, colours)

    def _shown_twice(self) -> NDArray[np.int64]:
        counts = np.zeros(len(self.texels), np.int64)
        for look in self.looks:
            counts[look.which[look.quality > BOTH_SEE]] += 1
        return np.flatnonzero(counts > 1)

    def _differences(self, chosen: NDArray[np.int64], read: Callable[[Painted, Floats, Floats], Floats]) -> float:
        """Mean of how far views lie apart: the highest less the lowest of each channel"""
        high, low = np.full((3, len(chosen)), -9, np.float32), np.full((3, len(chosen)), 9, np.float32)
        place = np.full(len(self.texels), -1)
        place[chosen] = np.arange(len(chosen))
        for look, view in zip(self.looks, self.views, strict=True):
            mine = np.flatnonzero((look.quality > BOTH_SEE) & (place[look.which] >= 0))
            at, values = place[look.which[mine]], read(view, look.rows[mine], look.columns[mine])
            high[:, at], low[:, at] = np.maximum(high[:, at], values), np.minimum(low[:, at], values)
        return float((high - low).mean())


def _strokes(view: Painted, rows: Floats, columns: Floats) -> Floats:
    return view.at(rows, columns)


def _colours(view: Painted, rows: Floats, columns: Floats) -> Floats:
    return np.asarray(bilinear(view.change, rows, columns))


def looked_at(sight: Sight, texels: Texels) -> Look:
    """What a view shows of the texels."""
    parts: dict[int, tuple[NDArray, ...]] = {}
    side = sight.side(texels.only(np.random.default_rng(0).integers(0, len(texels), COMPARED)))

    def look(part: slice) -> None:
        which, *others = sight.shows(texels.only(np.arange(len(texels))[part]), side)
        parts[part.start] = (which + part.start, *others)

    _in_blocks(len(texels), look)
    joined = [np.concatenate(arrays) for arrays in zip(*(parts[start] for start in sorted(parts)), strict=True)]
    return Look(*joined)


def best_places(texels: Texels, looks: Sequence[Look]) -> tuple[Texels, tuple[Look, ...]]:
    """One entry for each texel: where several places of the surface lie on one, the one that is shown best."""
    several = texels.shared()
    if not len(several):
        return texels, tuple(looks)
    best = np.zeros(len(texels), np.float32)
    for look in looks:
        best[look.which] = np.maximum(best[look.which], look.quality)
    order = several[np.lexsort((-best[several], texels.index[several]))]
    others = order[1:][np.diff(texels.index[order]) == 0]
    kept = np.ones(len(texels), bool)
    kept[others] = False
    number = np.cumsum(kept) - 1
    return texels.only(kept), tuple(_only(look, kept, number) for look in looks)


def _only(look: Look, kept: NDArray[np.bool_], number: NDArray[np.int64]) -> Look:
    some = kept[look.which]
    values = (values[some] for values in (look.quality, look.score, look.rows, look.columns))
    return Look(number[look.which[some]], *values)


def _in_blocks(count: int, work: Callable[[slice], None]) -> None:
    """`work` on slices of 0 .. count, in as many threads as there are cores."""
    if count:
        by_rows(-(-count // _BLOCK), lambda row: work(slice(row * _BLOCK, min((row + ROWS) * _BLOCK, count))))
