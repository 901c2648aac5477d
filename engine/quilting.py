"""Quilted noise: laid of square pieces of tables, in which a style brings the noise that would draw its exemplar.

Endless, a function of place and seed like all noise, and each piece fits those beside it (image quilting: Efros and
Freeman, "Image Quilting for Texture Synthesis and Transfer", 2001). There pieces are laid row by row, so that the last
depends on the first. Here every fourth is chosen by a hash, and the others are fitted around it in three rounds, each
to what the rounds before have laid:

    0 2 0 2
    3 1 3 1
    0 2 0 2

So which piece lies where depends on no more than three pieces to each side, and every window can be made alone. Fitted
once more, the free ones too, pieces choose what fits everything: the least there is to see, over and over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .noise import mix
from .picture import Floats
from .style_pack import PIECE

OVERLAP = 2
"""Coarse cells by which a piece lies over its neighbour: there they are to be alike."""
FADE = 1
"""Coarse cells in the middle of those over which one fades into the other. Over both of them a joint that goes on was a
little softer, and where one does not two were seen, each half as dark."""
STEPS, LIMIT = 16, 63
"""Codes are compared as whole numbers, of sixteenths and up to 4: sums of them are exact, in whatever order they are
added, so a piece is the same from whichever window it is looked at."""
MOST = 4096
"""Places of a table that a piece is sought among, evenly chosen where there are more"""
AT_ONCE = 256
"""Pieces fitted in one go: with MOST places their distances take 8 MB."""
ROUND = np.array([[0, 2], [3, 1]])
"""When a piece is laid, by whether its row and its column are odd"""
FREE = 0x51ED270B
"""Makes the hash another one than that of plain noise of the same seed."""
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """Where the pieces of one axis begin. period: coarse cells after which it repeats; None: never."""

    period: int | None

    @property
    def length(self) -> int:
        return self.period or PIECE - OVERLAP

    @property
    def count(self) -> int:
        """Pieces in `length`: in a period an even number, so that the rounds go on over its end; one, where it holds
        no two. They lie nearer together or farther apart so that whole ones fit in."""
        if self.period is None:
            return 1
        count = 2 * round(self.period / (2 * (PIECE - OVERLAP)))
        return max(1, count if self.period <= count * (PIECE - FADE) else count + 2 * (self.period > PIECE - FADE))

    @property
    def overlap(self) -> int:
        """Cells by which any two pieces lie over each other"""
        return PIECE + -self.length // self.count

    def numbers(self, cells: Numbers) -> Numbers:
        """Of the last piece that begins at or before each coarse cell."""
        return cells // self.length * self.count + (-(-(cells % self.length + 1) * self.count // self.length) - 1)

    def starts(self, numbers: Numbers) -> Numbers:
        """The first coarse cell of each piece"""
        return numbers // self.count * self.length + numbers % self.count * self.length // self.count

    def same(self, numbers: Numbers) -> Numbers:
        """One number for all pieces that are one because the axis repeats"""
        return numbers % self.count if self.period else numbers

    @property
    def reach(self) -> int:
        """Pieces that may lie over a cell before the last one that begins there"""
        return -(-PIECE * self.count // self.length) - 1


class Quilt:
    """The tables of a style's noises by name, each (channels, rows, columns) on its own grid; `noise` is the coarse
    one, by which pieces are fitted.

    parts: the rows of each of its parts, where the coarse table has several below each other. No piece is taken across
    two of them.
    """

    def __init__(self, tables: Mapping[str, Floats], parts: Sequence[int] = ()) -> None:
        self.tables, self.parts = dict(tables), tuple(parts)
        self._last: tuple[object, tuple[Numbers, Numbers]] | None = None

    def laid(
        self, name: str, seed: int, top: int, left: int, height: int, width: int, period: tuple[int, int] | None
    ) -> Floats:
        """A window (channels, height, width) of one of the noises, on the grid of its table; indices may be negative.

        period: rows and columns of this grid after which it repeats. Noises of one seed show the same pieces. Where
        they overlap they fade into each other so that noise of mean 0 stays as strong as it is.
        """
        table, times = self.tables[name], self.tables[name].shape[1] // self.tables["noise"].shape[1]
        axes = [Axis(size // times) for size in period] if period else [Axis(None)] * 2
        down = _covering(np.arange(top, top + height), times, axes[0])
        across = _covering(np.arange(left, left + width), times, axes[1])
        corner = [min(int(numbers.min()) for numbers, _, _ in found) for found in (down, across)]
        shape = [
            max(int(n.max()) for n, _, _ in found) - c + 1 for found, c in zip((down, across), corner, strict=True)
        ]
        asked = (seed, *axes, *corner, *shape)
        if self._last is None or self._last[0] != asked:  # the noises of a window show the same pieces
            self._last = asked, self._places(seed, axes, corner, shape)
        places = self._last[1]
        result = np.zeros((table.shape[0], height, width), np.float32)
        for number, place, weight in down:
            for other, beside, share in across:
                row, column = (p[number - corner[0]][:, other - corner[1]] * times for p in places)
                result += table[:, row + place[:, None], column + beside] * (weight[:, None] * share)
        return result

    def part(self, number: int) -> Quilt:
        """A quilt of one of the parts alone, counted from 1."""
        end = sum(self.parts[:number])
        begin, rows = end - self.parts[number - 1], self.tables["noise"].shape[1]
        times = {name: table.shape[1] // rows for name, table in self.tables.items()}
        return Quilt({name: table[:, begin * times[name] : end * times[name]] for name, table in self.tables.items()})

    # ------------------------------------------------------------ which piece lies where

    def _places(self, seed: int, axes: list[Axis], corner: list[int], shape: list[int]) -> tuple[Numbers, Numbers]:
        """Rows and columns of the coarse table, each of the given shape, where the pieces from `corner` on begin."""
        around = 3  # a piece of the last round depends on three rounds before it, each a piece further off
        numbers = [np.arange(c - around, c + s + around) for c, s in zip(corner, shape, strict=True)]
        same = [axis.same(n) for axis, n in zip(axes, numbers, strict=True)]
        starts = [axis.starts(n) for axis, n in zip(axes, numbers, strict=True)]
        rounds = ROUND[same[0][:, None] % 2, same[1] % 2]
        chosen = self._free(seed, *same)
        for turn in (1, 2, 3):
            fitting = np.argwhere(rounds == turn)
            inside = fitting[((fitting >= turn) & (fitting < np.array(rounds.shape) - turn)).all(1)]
            for first in range(0, len(inside), AT_ONCE):
                row, column = inside[first : first + AT_ONCE].T
                chosen[row, column] = self._fitted(row, column, chosen, rounds < turn, starts)
        within = chosen[around : around + shape[0], around : around + shape[1]]
        return self._sought[0][within], self._sought[1][within]

    def _free(self, seed: int, rows: Numbers, columns: Numbers) -> Numbers:
        """(R, C): for every piece one of the places, by a hash of its number."""
        key = mix(mix(np.array([seed & 0xFFFFFFFF], np.uint32)) + np.uint32(FREE))
        hashed = mix(mix(mix(rows.astype(np.uint32)) ^ key)[:, None] + mix(columns.astype(np.uint32) + key))
        return hashed.astype(np.int64) * len(self._sought[0]) >> 32

    def _fitted(
        self, rows: Numbers, columns: Numbers, chosen: Numbers, lying: NDArray[np.bool_], starts: list[Numbers]
    ) -> Numbers:
        """For each piece the place whose codes differ least, in squares, from what lies under it already."""
        under = np.zeros((len(rows), *self._pieces.shape[1:]))
        often = np.zeros((len(rows), PIECE, PIECE))
        for down, right in ((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
            there = lying[rows + down, columns + right]
            y = starts[0][rows + down] - starts[0][rows]
            x = starts[1][columns + right] - starts[1][columns]
            for offset in {(int(a), int(b)) for a, b in zip(y[there], x[there], strict=True)}:
                mine, theirs = _common(offset)
                these = there & (y == offset[0]) & (x == offset[1])
                neighbours = self._pieces[chosen[rows[these] + down, columns[these] + right]]
                under[(these, slice(None), *mine)] += neighbours[(slice(None), slice(None), *theirs)]
                often[(these, *mine)] += 1
        codes = self._pieces.reshape(len(self._pieces), -1)
        cost = often.reshape(-1, PIECE * PIECE) @ self._squares.T - 2 * under.reshape(-1, codes.shape[1]) @ codes.T
        best: Numbers = cost.argmin(1)
        return best

    @cached_property
    def _sought(self) -> tuple[Numbers, Numbers]:
        """Rows and columns of the places that pieces are taken from"""
        height, width = self.tables["noise"].shape[1:]
        ends = np.cumsum(self.parts or (height,))
        begins = np.concatenate(
            [np.arange(e - n, e - PIECE + 1) for e, n in zip(ends, self.parts or ends, strict=True)]
        )
        across = width - PIECE + 1
        every = np.arange(0, len(begins) * across, -(-len(begins) * across // MOST))
        return begins[every // across], every % across

    @cached_property
    def _pieces(self) -> NDArray[np.float64]:
        """(places, channels, PIECE, PIECE): the codes there as whole numbers"""
        codes: NDArray[np.float64] = np.clip(np.rint(self.tables["noise"] * np.float64(STEPS)), -LIMIT, LIMIT)
        windows = np.lib.stride_tricks.sliding_window_view(codes, (PIECE, PIECE), (1, 2))  # type: ignore[call-overload]
        return np.ascontiguousarray(windows[:, self._sought[0], self._sought[1]].transpose(1, 0, 2, 3))

    @cached_property
    def _squares(self) -> NDArray[np.float64]:
        """(places, PIECE * PIECE): sums over channels"""
        squares: NDArray[np.float64] = np.square(self._pieces).sum(1).reshape(len(self._pieces), -1)
        return squares


def _common(offset: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Which rows and columns of a piece lie over one that begins so many cells further, and which of that one."""
    mine = tuple(slice(max(0, by), min(PIECE, PIECE + by)) for by in offset)
    theirs = tuple(slice(max(0, -by), min(PIECE, PIECE - by)) for by in offset)
    return (mine[0], mine[1]), (theirs[0], theirs[1])


def _covering(cells: Numbers, times: int, axis: Axis) -> list[tuple[Numbers, Numbers, Floats]]:
    """The pieces that lie over each cell of an axis, `times` cells to a coarse one: their numbers, where in the piece
    the cell lies, and how much it counts (the squares add up to 1)."""
    last, blunt = axis.numbers(cells // times), (axis.overlap - FADE) / 2 * times
    found = []
    for back in range(axis.reach + 1):
        number = last - back
        place = cells - axis.starts(number) * times
        ramp = (np.minimum(place + 0.5, PIECE * times - place - 0.5) - blunt) / (FADE * times)
        found.append((number, np.clip(place, 0, PIECE * times - 1), np.sin(np.clip(ramp, 0, 1) * (np.pi / 2))))
    total = np.sqrt(sum(weight**2 for _, _, weight in found))
    return [(number, place, (weight / total).astype(np.float32)) for number, place, weight in found]
