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
from dataclasses import dataclass
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
_START_ROUNDS, _ROUNDS = 40, 12
_DAMPING = np.float32(1e-5)
_GIVEN_UP = 1e3
"""Damping at which a colour is as near as it gets"""
_FARTHEST = np.float32(6)
"""Cells of the table that one round may cross: a slope says little about what lies further away."""
_PIXELS = 1 << 14
"""Pixels converted at a time: what they need in between stays in the processor's cache."""


@dataclass(frozen=True, eq=False)
class _Lattice:
    """Colours at the points of a cubic lattice, in between interpolated in tetrahedra.

    Places are lattice coordinates, 0..count - 1 on every axis. Every result depends on its own place alone, so a
    picture converted in parts is the same bit for bit.
    """

    points: Floats
    """(3, count ** 3), colours in columns; the last axis of the cube lies closest"""
    count: int

    @property
    def steps(self) -> NDArray[np.int32]:
        """(3, 1): from a point to the next one along each axis."""
        return np.array([[self.count**2], [self.count], [1]], np.int32)

    def at(self, places: Floats) -> Floats:
        """Colours (3, N) at the places (3, N)."""
        return self.around(places)[0]

    def around(self, places: Floats) -> tuple[Floats, Floats]:
        """Colours (3, N) at the places (3, N), and how they change along each axis: (axis, colour, N)."""
        cell = np.minimum(places.astype(np.int32), self.count - 2)
        inside = places - cell.astype(np.float32)
        corner, steps = (cell * self.steps).sum(axis=0, dtype=np.int32), self.steps.ravel()
        first, last = _first(inside), _last(inside)
        ends = (corner, corner + steps[first], corner + (steps.sum() - steps[last]), corner + steps.sum())
        colours = [self.points.take(end, axis=1) for end in ends]
        edges = [after - before for before, after in pairwise(colours)]
        # Along the axis farthest inside leads the first edge of the tetrahedron, along the least far one the last.
        slopes = np.stack([np.where(first == axis, edges[0], edges[1]) for axis in range(3)])
        for axis in range(3):
            np.copyto(slopes[axis], edges[2], where=last == axis)
        return colours[0] + slopes[0] * inside[0] + slopes[1] * inside[1] + slopes[2] * inside[2], slopes

    def nearest(self, places: Floats) -> Floats:
        """Colours (3, N) at the points nearest to the places (3, N)."""
        return self.points.take((np.rint(places).astype(np.int32) * self.steps).sum(axis=0), axis=1)


def _first(inside: Floats) -> NDArray[np.integer]:
    """The axis (N,) along which a place (3, N) lies farthest inside its cell."""
    red, green, blue = inside
    return np.where((red >= green) & (red >= blue), 0, np.where(green >= blue, 1, 2))


def _last(inside: Floats) -> NDArray[np.integer]:
    """The axis along which it lies least far inside, never the same as the first."""
    red, green, blue = inside
    return np.where((blue <= green) & (blue <= red), 2, np.where(green <= red, 1, 0))


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
        self._shown = _Lattice(np.ascontiguousarray(shown.T), count)
        self._starts = _Lattice(self._inverted(), _START)

    def encode(self, linear: Floats) -> Floats:
        """Scene-linear RGB (..., 3), finite, as the display shows it, float32 (..., 3) in 0..1."""
        return _in_parts(lambda part: self._shown.at(self._places(part)), linear)

    def decode(self, display: Floats, linear: Floats) -> Floats:
        """Painted display RGB (..., 3), 0..1, as scene-linear RGB, float32 (..., 3), that shows so.

        linear: (..., 3), what was there before. Where the display colour is what that showed as, it comes back bit
        for bit: lamps, negative guard values and all. Elsewhere the result is within 0 and the table's last value.
        NaN is taken for black: a broken style must not end in a crash.
        """
        return _in_parts(self._decoded, np.clip(np.nan_to_num(display), 0, 1), linear)

    # Below, colours and places are columns (3, N): sums over three rows are fast, over three columns they are not.

    def _decoded(self, painted: Floats, linear: Floats) -> Floats:
        change = _size(painted - self._shown.at(self._places(linear)))
        result = linear.copy()
        far = np.flatnonzero(change >= SAME)
        result[:, far] = self._linear(self._found(painted[:, far]))
        near = np.flatnonzero((change > TOLERANCE) & (change < SAME))
        result[:, near] = self._kept(painted[:, near], linear[:, near], change[near] / np.float32(SAME))
        return result

    def _kept(self, painted: Floats, linear: Floats, change: Floats) -> Floats:
        """Between what was there and what it became, so that a style that fades in switches no lamp off at once.

        change: (N,), 0 kept .. 1 painted; up to one half the colour is sought from where the pixel was.
        """
        before, found = self._places(linear), self._found(painted)
        share = np.minimum(2 - 2 * change, np.float32(1))
        places = found + share * (self._refined(before, painted, _ROUNDS) - found)
        kept = self._linear(places) + share * (linear - self._linear(before))
        # Where a view transform folds, the way between the two may lead elsewhere.
        astray = _size(self._shown.at(self._places(kept)) - painted) > SAME
        return np.where(astray, self._linear(found), kept)

    def _found(self, display: Floats) -> Floats:
        """The places that show as these colours, from what was inverted beforehand."""
        seat = np.interp(display, _AXIS, np.arange(_START)).astype(np.float32)
        places = self._refined(self._starts.at(seat), display, _ROUNDS)
        missed = np.flatnonzero(_size(self._shown.at(places) - display) > TOLERANCE)
        # Between two colours that were inverted to far apart places nothing is a start: then the nearer one is.
        other = self._refined(self._starts.nearest(seat[:, missed]), display[:, missed], _ROUNDS)
        better = self._far(other, display[:, missed]) < self._far(places[:, missed], display[:, missed])
        places[:, missed[better]] = other[:, better]
        return places

    def _far(self, places: Floats, display: Floats) -> Floats:
        """Squared distance (N,) of what shows at the places to the colours."""
        return _dot(*[self._shown.at(places) - display] * 2)

    def _places(self, linear: Floats) -> Floats:
        return np.interp(linear, self.values, np.arange(len(self.values))).astype(np.float32)

    def _linear(self, places: Floats) -> Floats:
        return np.interp(places, np.arange(len(self.values)), self.values).astype(np.float32)

    def _inverted(self) -> Floats:
        """The places (3, _START ** 3) of the display colours at _AXIS.

        Each is sought twice, from where the greys show as its red, green and blue, and from the point of the table
        that shows nearest to it. Some view transforms fold (Khronos PBR Neutral): one start could get caught.
        """
        display = np.stack(np.meshgrid(_AXIS, _AXIS, _AXIS, indexing="ij")).reshape(3, -1)
        starts = (self._among_greys(display), self._among_points(display))
        greys, points = (self._refined(start, display, _START_ROUNDS) for start in starts)
        return np.where(self._far(greys, display) <= self._far(points, display) + TOLERANCE**2, greys, points)

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

    def _refined(self, places: Floats, display: Floats, rounds: int) -> Floats:
        """Places (3, N) moved to where the table is nearest to the colours (3, N): Levenberg and Marquardt's method.

        Each moves until its colour is found or gets no nearer.
        """
        places = places.copy()
        shown, slopes = self._shown.around(places)
        count = places.shape[1]
        search = _Search(np.arange(count), np.full(count, _DAMPING), slopes, display - shown)
        for _ in range(rounds):
            search = search.unfinished()
            if not search.which.size:
                break
            self._go_on(search, places, display)
        return places

    def _go_on(self, search: _Search, places: Floats, display: Floats) -> None:
        """One round: every colour of the search tries a step, and takes it where that leads nearer."""
        last = len(self.values) - 1
        here = places[:, search.which]
        there = np.clip(here + search.step(here, last), 0, np.float32(last))
        shown, slopes = self._shown.around(there)
        better = search.learn(slopes, display[:, search.which] - shown)
        places[:, search.which] = np.where(better, there, here)


@dataclass(eq=False)
class _Search:
    """Colours on their way to where the table shows them."""

    which: NDArray[np.intp]
    """Their columns"""
    damping: Floats
    """(N,): how little the slopes are trusted"""
    slopes: Floats
    """(axis, colour, N): how what shows changes along each axis"""
    missing: Floats
    """(3, N): what does not show yet"""

    def unfinished(self) -> _Search:
        """Those that are neither found nor as near as they get."""
        going = (_size(self.missing) > TOLERANCE) & (self.damping < _GIVEN_UP)
        if going.all():
            return self
        return _Search(self.which[going], self.damping[going], self.slopes[..., going], self.missing[:, going])

    def step(self, places: Floats, last: int) -> Floats:
        """How far (3, N) to move so that what is missing is gained; an axis at its end moves only inwards."""
        gain = np.stack([_dot(slope, self.missing) for slope in self.slopes])
        stuck = ((places <= 0) & (gain < 0)) | ((places >= last) & (gain > 0))
        free = np.where(stuck[:, None], np.float32(0), self.slopes)
        step = _solved(free, np.where(stuck, np.float32(0), gain), self.damping)
        return step * np.minimum(np.float32(1), _FARTHEST / np.maximum(_size(step), np.float32(1e-6)))

    def learn(self, slopes: Floats, missing: Floats) -> NDArray[np.bool_]:
        """Take over what was found at the end of a step where that is nearer. Returns where."""
        before, after = _dot(self.missing, self.missing), _dot(missing, missing)
        better: NDArray[np.bool_] = after < before
        np.copyto(self.slopes, slopes, where=better)
        np.copyto(self.missing, missing, where=better)
        less = np.maximum(self.damping * np.float32(0.1), _DAMPING)
        more = np.maximum(self.damping * 8, np.float32(0.5))
        slow = better & (after > np.float32(0.98) * before) & (self.damping < 0.01)
        self.damping = np.where(slow, np.float32(_GIVEN_UP), np.where(better, less, more))
        return better


def _solved(slopes: Floats, gain: Floats, damping: Floats) -> Floats:
    """x (3, N) of (S S^T + damping) x = gain, for N matrices S (axis, colour, N) at once.

    Each axis is first measured in its own steepness, which differs by a thousand between darkness and light.
    """
    units = np.stack([1 / np.sqrt(_dot(slope, slope) + np.float32(1e-16)) for slope in slopes])
    red, green, blue = (slope * unit for slope, unit in zip(slopes, units, strict=True))
    d, a, b, c = 1 + damping, _dot(red, green), _dot(red, blue), _dot(green, blue)
    first, second, third = d * d - c * c, b * c - a * d, a * c - b * d
    fourth, fifth, sixth = d * d - b * b, a * b - c * d, d * d - a * a
    x, y, z = gain * units / np.maximum(d * first + a * second + b * third, np.float32(1e-7))
    return units * np.stack(
        (
            first * x + second * y + third * z,
            second * x + fourth * y + fifth * z,
            third * x + fifth * y + sixth * z,
        )
    )


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
        result[part] = convert(*(np.ascontiguousarray(colour[part].T) for colour in flat)).T
    return result.reshape(colours[0].shape)


def _check(table: NDArray[np.uint16], values: Sequence[float]) -> None:
    count = len(values)
    rising = all(low < high for low, high in pairwise(values))
    sound = 2 <= count <= MAX_VALUES and values[0] == 0 and rising and values[-1] < 1e15
    if not sound or table.shape != (count, count, count, 3) or table.dtype != np.uint16:
        raise EngineError(
            "The view transform could not be handed over.", "Choose Colours: Scene, or install the add-on again."
        )
