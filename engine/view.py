"""A view transform of Blender's (AgX, Filmic, a look, curves ...) as a table: the way there and the way back.

For the mode *match display*. A style paints what the artist sees, so scene-linear colour goes through the scene's view
transform into the model. On the way back every painted colour becomes a scene-linear one that Blender will show as
just that colour:

    linear -> encode -> (the model paints) -> decode -> linear'     with     encode(linear') == painted

Many scene-linear colours show alike (a lamp of 20 and one of 100 are both white), and some display colours no
scene-linear one shows as (pure blue under AgX). So `decode` asks what was there before: a pixel that was not painted
stays what it was, a painted one becomes the darkest that shows so, or that shows nearest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from .errors import EngineError

Floats = NDArray[np.float32]

MAX_VALUES = 129
"""Of a table along each axis: 26 MB as floats."""
TOLERANCE = 0.1 / 255
"""Display difference at which a colour counts as found: a tenth of a byte's step."""
SAME = 2 / 255
"""Display difference at which a pixel counts as painted: below, it keeps more and more of what it was."""
_START = 33
"""Display colours along each axis that are inverted beforehand, to start the others from"""
_AXIS = (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, _START))).astype(np.float32)
"""Their values: closest near black and white, where most curves are flat"""
_START_ROUNDS, _ROUNDS = 40, 8
_DAMPING = np.float32(1e-5)
_GIVEN_UP = 1e3
"""Damping at which a colour is as near as it gets"""
_FARTHEST = np.float32(6)
"""Cells of the table that one round may cross: a slope says little about what lies further away."""
_PIXELS = 1 << 15
"""Pixels converted at a time: few enough for the processor's cache, many enough that calling numpy costs little."""
_DROPPED = 14
"""Last bits of a float that do not count where its cell is looked up: 512 steps to its double are left."""


class _Axis:
    """Rising values from 0, and places between them: at value number i the place is i. Immutable."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        """values: (n,), n at most 256"""
        self._values = values.astype(np.float32)
        self._next = np.append(self._values[1:], np.float32(np.inf))
        self._widths = np.append(np.diff(self._values), np.float32(0))
        self._slopes = np.append(1 / np.maximum(self._widths[:-1], np.float32(1e-30)), np.float32(0))
        # The first bits of a positive float count up with it: they tell its cell, or one a little before.
        starts = (np.arange(1 << 31 - _DROPPED, dtype=np.uint32) << _DROPPED).view(np.float32)
        self._cells = (np.searchsorted(self._values, starts, side="right") - 1).astype(np.uint8)
        self._most = int(np.diff(self._cells).max())
        """Cells that begin among floats of the same first bits, at most"""

    def places(self, values: Floats) -> Floats:
        """Where values of any shape lie, 0..n - 1; below the first and beyond the last as those."""
        values = np.clip(values, self._values[0], self._values[-1])
        cell = self._cells.take(values.view(np.int32) >> _DROPPED, mode="clip")
        for _ in range(self._most):
            cell += values >= self._next.take(cell, mode="clip")
        return (values - self._values.take(cell, mode="clip")) * self._slopes.take(cell, mode="clip") + cell

    def values(self, places: Floats) -> Floats:
        """The values at places of any shape, 0..n - 1."""
        cell = places.astype(np.int32)
        inside = places - cell.astype(np.float32)
        return self._values.take(cell, mode="clip") + inside * self._widths.take(cell, mode="clip")


class _Lattice:
    """Colours at the points of a cubic lattice, in between interpolated in tetrahedra. Immutable.

    Places are lattice coordinates, 0..count - 1 on every axis. Every result depends on its own place alone, so a
    picture converted in parts is the same bit for bit.

    Three edges lead from the first corner of a cell to its last, one along each axis; they and the corners on the way
    are a tetrahedron's. A place lies in the one whose first edge is along the axis on which it is farthest inside the
    cell, and whose last edge is along that on which it is least far. What a place needs of that is looked up by its
    order: three comparisons as the bits of a number, "red at least as far as green", "as blue", "green as blue".
    """

    def __init__(self, points: Floats, count: int) -> None:
        """points: (3, count ** 3), colours in columns; the last axis of the cube lies closest"""
        self.points = points
        self._count = count
        self._steps = np.array([[count**2], [count], [1]], np.int32)
        """From a point to the next one along each axis"""
        self._edges = self._by_order()
        """(axis, order): from the first corner to where the edge along the axis begins"""
        _, self._second, self._third = np.sort(self._edges, axis=0)
        """(order,): from the first corner to the second and third"""

    def _by_order(self) -> NDArray[np.int32]:
        red, green, blue = self._steps
        order = np.arange(8, dtype=np.int32)
        red_green, red_blue, green_blue = order >> 2, order >> 1 & 1, order & 1
        return np.stack(
            (
                (1 - red_green) * green + (1 - red_blue) * blue,
                red_green * red + (1 - green_blue) * blue,
                red_blue * red + green_blue * green,
            )
        )

    def at(self, places: Floats) -> Floats:
        """Colours (3, N) at the places (3, N)."""
        corner, order, inside = self._cells(places)
        red, green, blue = inside
        low, high = np.minimum(red, green), np.maximum(red, green)
        middle = np.maximum(low, np.minimum(high, blue))
        low, high = np.minimum(low, blue), np.maximum(high, blue)
        result = self._colours(corner) * (1 - high)
        result += self._colours(corner + self._second.take(order, mode="clip")) * (high - middle)
        result += self._colours(corner + self._third.take(order, mode="clip")) * (middle - low)
        result += self._colours(corner + self._steps.sum(dtype=np.int32)) * low
        return result

    def around(self, places: Floats) -> tuple[Floats, Floats]:
        """Colours (3, N) at the places (3, N), and how they change along each axis: (colour, axis, N)."""
        corner, order, (red, green, blue) = self._cells(places)
        begin = self._edges.take(order, axis=1, mode="clip") + corner
        slopes = self._colours(begin + self._steps)
        slopes -= self._colours(begin)
        return self._colours(corner) + slopes[:, 0] * red + slopes[:, 1] * green + slopes[:, 2] * blue, slopes

    def _cells(self, places: Floats) -> tuple[NDArray[np.int32], NDArray[np.uint8], Floats]:
        """First corner (N,) of the cells of places (3, N), order (N,), and how far inside (3, N) they are, 0..1."""
        cell = np.minimum(places.astype(np.int32), self._count - 2)
        inside = places - cell.astype(np.float32)
        red, green, blue = inside
        order = (red >= green) * np.uint8(4) + (red >= blue) * np.uint8(2) + (green >= blue)
        return self._index(cell), order, inside

    def nearest(self, places: Floats) -> Floats:
        """Colours (3, N) at the points nearest to the places (3, N)."""
        return self._colours(self._index(np.rint(places).astype(np.int32)))

    def _index(self, point: NDArray[np.int32]) -> NDArray[np.int32]:
        red, green, blue = point
        return (red * self._count + green) * self._count + blue

    def _colours(self, index: NDArray[np.int32]) -> Floats:
        return self.points.take(index, axis=1, mode="clip")  # no index needs it, but "clip" is the fastest mode


class View:
    """One view transform. Immutable, so that threads may share it."""

    def __init__(self, table: NDArray[np.uint16], values: Sequence[float], name: str) -> None:
        """table: (n, n, n, 3), what shows for red, green and blue of `values`; 65535 is display 1.

        values: n scene-linear values, rising from 0; beyond the last the table goes on as there.
        Raises EngineError where the two do not fit.
        """
        _check(table, values)
        count = len(values)
        self.name = name
        self.values = np.array(values, np.float64)
        digest = hashlib.sha256(self.values.astype("<f8").tobytes())
        digest.update(np.ascontiguousarray(table, "<u2").data)
        self.hash = digest.hexdigest()
        """sha256 of values and table, for the recipe"""
        shown = np.divide(table, np.float32(65535), dtype=np.float32).reshape(-1, 3)
        self._axis = _Axis(self.values)
        self._shown = _Lattice(np.ascontiguousarray(shown.T), count)
        self._starts = _Lattice(self._inverted(), _START)

    def encode(self, linear: Floats) -> Floats:
        """Scene-linear RGB (..., 3), finite, as the display shows it, float32 (..., 3) in 0..1."""
        return _in_parts(lambda part: self._shown.at(self._axis.places(part)), linear)

    def decode(self, display: Floats, linear: Floats) -> Floats:
        """Painted display RGB (..., 3), 0..1, as scene-linear RGB, float32 (..., 3), that shows so.

        linear: (..., 3), what was there before. Where the display colour is what that showed as, it comes back bit
        for bit: lamps, negative guard values and all. Elsewhere the result is within 0 and the table's last value.
        NaN is taken for black: a broken style must not end in a crash.
        """
        result = _in_parts(self._at_once, display, linear)
        # What takes long does so together: a few pixels at a time cost more to call numpy for than to compute.
        rest = np.isnan(result[..., 0])
        result[rest] = _in_parts(self._sought, display[rest], linear[rest])
        return result

    # Below, colours and places are columns (3, N): sums over three rows are fast, over three columns they are not.

    def _at_once(self, display: Floats, linear: Floats) -> Floats:
        """What was not painted, and what is found in one step from what was inverted beforehand; NaN for the rest."""
        painted, change = self._change(display, linear)
        result = np.where(change > TOLERANCE, np.float32(np.nan), linear)
        far = np.flatnonzero(change >= SAME)
        wanted = painted.take(far, axis=1)
        start = self._starts.at(_seats(wanted))
        shown, slopes = self._shown.around(start)
        places = self._stepped(start, wanted - shown, slopes, _DAMPING)
        missed = _size(wanted - self._shown.at(places)) > TOLERANCE
        result[:, far] = np.where(missed, np.float32(np.nan), self._axis.values(places))
        return result

    def _sought(self, display: Floats, linear: Floats) -> Floats:
        """What was painted, in as many steps as it takes."""
        painted, change = self._change(display, linear)
        found = self._found(painted)
        result = self._axis.values(found)
        near = np.flatnonzero(change < SAME)
        # Up to half way to SAME a colour is sought from where the pixel was.
        share = np.minimum(2 - 2 * change[near] / np.float32(SAME), np.float32(1))
        result[:, near] = self._kept(painted[:, near], linear[:, near], found[:, near], share)
        return result

    def _change(self, display: Floats, linear: Floats) -> tuple[Floats, Floats]:
        """What was painted (3, N), within 0..1, and by how much (N,) that differs from what was there."""
        painted = np.fmin(np.fmax(display, np.float32(0)), np.float32(1))  # these two prefer a number to NaN
        return painted, _size(painted - self._shown.at(self._axis.places(linear)))

    def _kept(self, painted: Floats, linear: Floats, found: Floats, share: Floats) -> Floats:
        """Between what was there and what it became, so that a style that fades in switches no lamp off at once.

        found: (3, N), places that show as painted. share: (N,), 0 as found .. 1 sought from where the pixel was.
        """
        before = self._axis.places(linear)
        places = found + share * (self._refined(before, painted, _ROUNDS)[0] - found)
        kept = self._axis.values(places) + share * (linear - self._axis.values(before))
        # Where a view transform folds, the way between the two may lead elsewhere.
        astray = _size(self._shown.at(self._axis.places(kept)) - painted) > SAME
        return np.where(astray, self._axis.values(found), kept)

    def _found(self, display: Floats) -> Floats:
        """The places that show as these colours, from what was inverted beforehand."""
        seats = _seats(display)
        places, missing = self._refined(self._starts.at(seats), display, _ROUNDS)
        missed = np.flatnonzero(_size(missing) > TOLERANCE)
        # Between two colours that were inverted to far apart places nothing is a start: then the nearer one is.
        nearest = self._starts.nearest(seats.take(missed, axis=1))
        other, still = self._refined(nearest, display.take(missed, axis=1), _ROUNDS)
        better = _dot(still, still) < _dot(missing, missing)[missed]
        places[:, missed[better]] = other[:, better]
        return places

    def _inverted(self) -> Floats:
        """The places (3, _START ** 3) of the display colours at _AXIS.

        Each is sought twice, from where the greys show as its red, green and blue, and from the point of the table
        that shows nearest to it. Some view transforms fold (Khronos PBR Neutral): one start could get caught.
        """
        display = np.stack(np.meshgrid(_AXIS, _AXIS, _AXIS, indexing="ij")).reshape(3, -1)
        greys, left = self._refined(self._among_greys(display), display, _START_ROUNDS)
        points, missing = self._refined(self._among_points(display), display, _START_ROUNDS)
        return np.where(_dot(left, left) <= _dot(missing, missing) + TOLERANCE**2, greys, points)

    def _among_greys(self, display: Floats) -> Floats:
        count = len(self.values)
        diagonal = np.arange(count) * (count**2 + count + 1)
        shown = np.maximum.accumulate(self._shown.points[:, diagonal].mean(axis=0, dtype=np.float64))
        # Of all that are white the darkest: the table may end in many equal values.
        shown, first = np.unique(shown, return_index=True)
        return np.interp(display, shown, first).astype(np.float32)

    def _among_points(self, display: Floats) -> Floats:
        """The points of the table that show nearest, found by jump flooding: neighbours tell each other theirs."""
        best = self._one_each().reshape(_START, _START, _START)
        far = np.full(best.shape, np.inf, np.float32)
        colours = display.reshape(3, *best.shape)
        for jump in (16, 8, 4, 2, 1, 1):
            for move in product((-jump, 0, jump), repeat=3):
                here, there = _shifted(move), _shifted([-step for step in move])
                offer = best[there]
                distance = _dot(*[self._shown.points[:, offer] - colours[:, *here]] * 2)
                better = (offer >= 0) & (distance < far[here])
                best[here] = np.where(better, offer, best[here])
                far[here] = np.where(better, distance, far[here])
        return np.stack(np.unravel_index(best.ravel(), (len(self.values),) * 3)).astype(np.float32)

    def _one_each(self) -> NDArray[np.intp]:
        """For every display colour at _AXIS a point (its index) of the table that shows so or nearly so; else -1."""
        shown = self._shown.points
        red, green, blue = np.searchsorted((_AXIS[1:] + _AXIS[:-1]) / 2, shown)
        seat = (red * _START + green) * _START + blue
        result = np.full(_START**3, -1)
        # The last of equal ones is kept: the darkest, because the table may end in many that are white.
        result[seat[::-1]] = np.arange(shown.shape[1])[::-1]
        return result

    def _refined(self, places: Floats, display: Floats, rounds: int) -> tuple[Floats, Floats]:
        """Places (3, N) moved to where the table is nearest to the colours (3, N), and what is still missing there.

        Levenberg and Marquardt's method. Each moves until its colour is found or gets no nearer.
        """
        shown, slopes = self._shown.around(places)
        count = places.shape[1]
        search = _Search(np.arange(count), places, display, display - shown, slopes, np.full(count, _DAMPING))
        self._go_on(search)
        found, missing = search.places, search.missing
        for _ in range(rounds - 1):
            search = search.unfinished()
            if not search.which.size:
                break
            self._go_on(search)
            found[:, search.which], missing[:, search.which] = search.places, search.missing
        return found, missing

    def _go_on(self, search: _Search) -> None:
        """One round: every colour of the search tries a step, and takes it where that leads nearer."""
        there = self._stepped(search.places, search.missing, search.slopes, search.damping)
        search.learn(there, *self._shown.around(there))

    def _stepped(self, places: Floats, missing: Floats, slopes: Floats, damping: Floats | np.float32) -> Floats:
        """The places (3, N) moved so that what is missing (3, N) is gained; an axis at its end moves only inwards.

        slopes, damping: as in _Search.
        """
        last = np.float32(len(self.values) - 1)
        gain = _dot(slopes, missing)
        stuck = ((places <= 0) & (gain < 0)) | ((places >= last) & (gain > 0))
        # Each axis is measured in its own steepness, which differs by a thousand between darkness and light.
        steepness = np.sqrt(_dot(slopes, slopes) + np.float32(1e-16))
        units = np.where(stuck, np.float32(0), 1 / steepness)
        step = units * _solved(slopes * units, gain * units, damping)
        step *= np.minimum(np.float32(1), _FARTHEST / np.maximum(_size(step), np.float32(1e-6)))
        return np.clip(places + step, 0, last)


@dataclass(eq=False)
class _Search:
    """Colours on their way to where the table shows them."""

    which: NDArray[np.intp]
    """Their columns"""
    places: Floats
    """(3, N): where they are"""
    display: Floats
    """(3, N): what shall show"""
    missing: Floats
    """(3, N): what does not show yet"""
    slopes: Floats
    """(colour, axis, N): how what shows changes along each axis"""
    damping: Floats
    """(N,): how little the slopes are trusted"""

    def unfinished(self) -> _Search:
        """Those that are neither found nor as near as they get."""
        going = np.flatnonzero((_size(self.missing) > TOLERANCE) & (self.damping < _GIVEN_UP))
        return _Search(*(getattr(self, field.name).take(going, axis=-1) for field in fields(self)))

    def learn(self, places: Floats, shown: Floats, slopes: Floats) -> None:
        """Take over the end of a step where that is nearer, and trust the slopes more or less for it."""
        missing = self.display - shown
        before, after = _dot(self.missing, self.missing), _dot(missing, missing)
        better = after < before
        self.places = np.where(better, places, self.places)
        self.missing = np.where(better, missing, self.missing)
        self.slopes = np.where(better, slopes, self.slopes)
        less = np.maximum(self.damping * np.float32(0.1), _DAMPING)
        more = np.maximum(self.damping * 8, np.float32(0.5))
        slow = better & (after > np.float32(0.98) * before) & (self.damping < 0.01)
        self.damping = np.where(slow, np.float32(_GIVEN_UP), np.where(better, less, more))


def _solved(slopes: Floats, gain: Floats, damping: Floats | np.float32) -> Floats:
    """x (3, N) of (S' S + damping) x = gain, for N matrices S (colour, axis, N) at once.

    The columns of each S, one for every axis, are of length 1, or 0 where the axis is not to move.
    """
    red, green, blue = slopes.swapaxes(0, 1)
    d, a, b, c = 1 + damping, _dot(red, green), _dot(red, blue), _dot(green, blue)
    first, second, third = d * d - c * c, b * c - a * d, a * c - b * d
    fourth, fifth, sixth = d * d - b * b, a * b - c * d, d * d - a * a
    x, y, z = gain / np.maximum(d * first + a * second + b * third, np.float32(1e-7))
    return np.stack(
        (
            first * x + second * y + third * z,
            second * x + fourth * y + fifth * z,
            third * x + fifth * y + sixth * z,
        )
    )


def _seats(display: Floats) -> Floats:
    """Where display values 0..1 lie along _AXIS, 0.._START - 1."""
    return np.arccos(1 - 2 * display) * np.float32((_START - 1) / np.pi)


def _dot(one: Floats, other: Floats) -> Floats:
    """Over the three rows"""
    result: Floats = one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
    return result


def _size(difference: Floats) -> Floats:
    """The largest of each column (3, N) -> (N,)"""
    result: Floats = np.abs(difference).max(axis=0)
    return result


def _shifted(move: Sequence[int]) -> tuple[slice, ...]:
    """The part of a cube of _START that stays inside it when moved so."""
    return tuple(np.s_[max(0, -step) : _START - max(0, step)] for step in move)


def _in_parts(convert: Callable[..., Floats], *colours: Floats) -> Floats:
    """`convert`, which takes and gives columns (3, N), over colours (..., 3) of one shape, a part at a time."""
    flat = [colour.reshape(-1, 3) for colour in colours]
    result = np.empty(flat[0].shape, np.float32)
    for start in range(0, len(result), _PIXELS):
        part = np.s_[start : start + _PIXELS]
        result[part] = convert(*(np.ascontiguousarray(colour[part].T, np.float32) for colour in flat)).T
    return result.reshape(colours[0].shape)


def _check(table: NDArray[np.uint16], values: Sequence[float]) -> None:
    count = len(values)
    rising = all(low < high for low, high in pairwise(values))
    sound = 2 <= count <= MAX_VALUES and values[0] == 0 and rising and values[-1] < 1e15
    if not sound or table.shape != (count, count, count, 3) or table.dtype != np.uint16:
        raise EngineError(
            "The view transform could not be handed over.", "Choose Colours: Scene, or install the add-on again."
        )
