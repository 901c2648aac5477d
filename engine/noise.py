"""The noise a style paints with: a function of the place and the seed, never of the tile.

Any window can be made alone, in any order, and it wraps where the picture wraps. Plain noise is counter-based: every
value is a hash of (row, column, channel, seed). A stroke field is a table that a style brings: noise in which the
strokes of its painting run; the seed says where on the table a picture begins. Turned strokes are such tables, one to
a direction, and follow the forms of the picture (forms.py). Anchored noise is a function of the
place on a surface instead, so what is painted by it moves with the surface.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .picture import Floats

FADE = 16
"""Cells over which strokes change where a tileable picture begins again: two strokes long."""
CLEAR = (5.5e-4, 1.7e-3)
"""Luminance from cell to cell below which there is no form to follow, and above which there is nothing else: a sky
that darkens by a fifth over a picture has one"""
BASELINE = 4
"""Pixels over which the step of a surface from pixel to pixel is measured: files may store places as half floats, whose
rounding can be a quarter of a step."""
Cells = NDArray[np.int64]
_LEVELS = 1 << 14
"""Distinct values of the normal distribution: a table, so that every machine gives the same bits."""


@dataclass(frozen=True, eq=False)
class Moved:
    """By how much each pixel of a picture lies further on in the endless plane of the noise."""

    steps: Floats
    """(2, H, W): rows and columns, in pixels of the picture"""

    def cells(self, top: int, left: int, height: int, width: int, pixels: float) -> NDArray[np.int64]:
        """(2, height, width): of a window of noise whose cells are so many pixels wide, to the nearest cell."""
        rows, columns = (
            np.clip(((np.arange(first, first + count) + 0.5) * pixels).astype(np.int64), 0, size - 1)
            for first, count, size in zip((top, left), (height, width), self.steps.shape[1:], strict=True)
        )
        return np.rint(self.steps[:, rows[:, None], columns] / np.float32(pixels)).astype(np.int64)


def normal(
    seed: int,
    channels: int,
    top: int,
    left: int,
    height: int,
    width: int,
    period: tuple[int, int] | None,
    first: int = 0,
    moved: Cells | None = None,
) -> Floats:
    """Standard normal noise (channels, height, width) of a window on the absolute noise grid; indices may be negative.

    period: rows and columns after which it repeats, for pictures that tile; None: never. first: the number of its first
    channel; others hold other noise. moved: (2, height, width), rows and columns by which each value is taken from
    further on.
    """
    return _of_table(_quantiles(), seed, channels, top, left, height, width, period, first, moved)


def uniform(
    seed: int,
    channels: int,
    top: int,
    left: int,
    height: int,
    width: int,
    period: tuple[int, int] | None,
    first: int = 0,
) -> Floats:
    """The same with every value between -1 and 1 equally likely, as DCGAN draws it (Radford et al. 2016, section 4)."""
    return _of_table(_even(), seed, channels, top, left, height, width, period, first, None)


def _of_table(
    table: Floats,
    seed: int,
    channels: int,
    top: int,
    left: int,
    height: int,
    width: int,
    period: tuple[int, int] | None,
    first: int,
    moved: Cells | None,
) -> Floats:
    """A value of the table, all equally likely, for every place."""
    rows, columns = _grid(top, left, height, width, period, moved)
    result = np.empty((channels, height, width), np.float32)
    for channel in range(channels):
        key = mix(mix(np.array([seed & 0xFFFFFFFF], np.uint32)) + np.uint32(first + channel))
        across = mix(mix(columns.astype(np.uint32)) ^ key)
        down = mix(mix(rows.astype(np.uint32) + np.uint32(0x9E3779B9)) ^ key)
        place = mix(down + across)
        np.take(table, place >> np.uint32(32 - 14), out=result[channel])
    return result


def waves(
    cycles: Sequence[tuple[float, float]],
    seed: int,
    scale: int,
    top: int,
    left: int,
    height: int,
    width: int,
    period: tuple[int, int] | None,
) -> Floats:
    """Plane waves (2 per wave, height, width) of deviation 1, sine and cosine of each, on a grid of cells `scale`
    pixels wide: the periodic part of a texture's noise (Bergmann et al., "Learning Texture Manifolds with the Periodic
    Spatial GAN", 2017, section 3).

    cycles: per pixel, down and across. The seed moves them all alike, so that what they draw together stays whole.
    Where it repeats, a wave gets the nearest number of whole cycles to the period.
    """
    rows, columns = _indices(top, height, period and period[0]), _indices(left, width, period and period[1])
    moved = [int(mix(np.array([(seed ^ axis) & 0xFFFFFFFF], np.uint32))[0]) % 65536 for axis in (0, 0x5BD1E995)]
    table = _sines()
    result = np.empty((2 * len(cycles), height, width), np.float32)
    for index, wave in enumerate(cycles):
        turns = [
            (per_pixel * scale if period is None else round(per_pixel * scale * period[axis]) / period[axis])
            for axis, per_pixel in enumerate(wave)
        ]
        shift = sum(m * per_pixel for m, per_pixel in zip(moved, wave, strict=True))
        # Rounded before they are added: the same sum of integers for every window.
        down, across = (np.rint(n * t * _LEVELS).astype(np.int64) for n, t in zip((rows, columns), turns, strict=True))
        phase = down[:, None] + across[None, :] + round(shift * _LEVELS)
        np.take(table, phase % _LEVELS, out=result[2 * index])
        np.take(table, (phase + _LEVELS // 4) % _LEVELS, out=result[2 * index + 1])
    return result


def strokes(
    field: Floats,
    seed: int,
    top: int,
    left: int,
    height: int,
    width: int,
    period: tuple[int, int] | None,
    moved: Cells | None = None,
) -> Floats:
    """A window (channels, height, width) of a stroke field (channels, rows, columns), which repeats without a seam.

    Arguments as those of `normal`. Where a picture tiles, strokes go on over its border: the last cells fade into what
    lies before the first ones.
    """
    down, across = (int(mix(np.array([(seed ^ axis) & 0xFFFFFFFF], np.uint32))[0]) for axis in (0, 0x5BD1E995))
    rows, columns = _grid(top, left, height, width, None, moved)
    result = np.zeros((field.shape[0], height, width), np.float32)
    for row, share_down in _places(rows, period and period[0], down, field.shape[1]):
        for column, share_across in _places(columns, period and period[1], across, field.shape[2]):
            result += field[:, row, column] * (share_down * share_across)
    return result


def along(
    turned: Floats,
    flow: Floats,
    seed: int,
    top: int,
    left: int,
    height: int,
    width: int,
    period: tuple[int, int] | None,
    moved: Cells | None = None,
) -> Floats:
    """The same window of strokes that run along the forms. turned: (turns, channels, rows, columns), a stroke field for
    each direction, beginning at 0 degrees and evenly over the half circle; flow: (2, height, width), see forms.flow.

    Only additions, products and roots, so that every machine and every window gives the same bits.
    """
    length = np.sqrt(flow[0] * flow[0] + flow[1] * flow[1])
    x, y = flow / np.maximum(length, np.float32(1e-20))
    shares = [_share(x, y, index, len(turned)) for index in range(len(turned))]
    total = np.sqrt(np.maximum(sum(share * share for share in shares), np.float32(1e-20)))
    result = np.zeros((turned.shape[1], height, width), np.float32)
    for field, share in zip(turned, shares, strict=True):
        if share.any():
            result += strokes(field, seed, top, left, height, width, period, moved) * (share / total)
    return result


def _share(x: Floats, y: Floats, index: int, turns: int) -> Floats:
    """How much of the strokes of one direction is to be seen where forms run along (x, y), a doubled angle: next to it
    all, half way to its neighbour as much as of that one. The squares add up to about 1."""
    angle = 2 * math.pi * index / turns
    near = x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle))
    half_way = math.cos(math.pi / turns)
    slope = np.float32(1 / (2 * (1 - half_way)))
    share: Floats = np.sqrt(np.clip((near - np.float32(half_way)) * slope + np.float32(0.5), 0, 1))
    return share


def following(base: Floats, along_forms: Floats, flow: Floats, follow: float) -> Floats:
    """Strokes as the painter laid them, and where forms are (see CLEAR) those along them. follow: 0 nowhere .. 1."""
    strength = np.sqrt(np.sqrt(flow[0] * flow[0] + flow[1] * flow[1]))
    low, high = CLEAR
    share = np.clip((strength - np.float32(low)) * np.float32(1 / (high - low)), 0, 1) * np.float32(follow)
    mixed: Floats = base * np.sqrt(1 - share) + along_forms * np.sqrt(share)
    return mixed


def _places(
    indices: NDArray[np.int64], period: int | None, offset: int, size: int
) -> list[tuple[NDArray[np.int64], Floats]]:
    """Where on the field these rows or columns lie, and with which weights (the squares add up to 1)."""
    if not period or period % size == 0:
        return [((indices + offset) % size, np.ones(indices.shape, np.float32))]
    inside = indices % period
    fade = min(FADE, period // 2)
    share = np.clip((inside - (period - fade) + 0.5) / max(1, fade), 0, 1) * np.pi / 2
    ends = ((inside, np.cos(share)), (inside - period, np.sin(share)))
    return [((place + offset) % size, weight.astype(np.float32)) for place, weight in ends]


def anchored(places: Floats, seed: int, cell: float) -> Floats:
    """Smooth coloured noise (3, H, W) that sticks to surfaces: mean 0, deviation 1, and 0 where there is no surface.

    places: (D, H, W), where on its surface each pixel lies, in any unit (Position in metres, UV). cell: pixels from one
    value to the next, at least 4. The noise is a sum of octaves fixed to the surface, of which each pixel shows the two
    whose cells are next to `cell` pixels wide there: near or far, it has one size on the screen and nothing in it is
    finer than half of that, so it does not shimmer (band limiting by clamping: Norton et al., "Clamping", 1982; one
    size on the screen: Benard et al., "Dynamic Solid Textures", 2009). Places that stand still give 0: the sky.
    """
    step = _step(places)
    there = step > 0
    octaves = np.log2(np.where(there, step, 1) * np.float32(cell))
    octave = np.floor(octaves)
    turn = (octaves - octave) * np.float32(np.pi / 2)
    noise = np.cos(turn) * _lattice(places, octave, seed) + np.sin(turn) * _lattice(places, octave + 1, seed)
    return noise * there


def _step(places: Floats) -> Floats:
    """(H, W): how far a surface goes on from a pixel to the next, along the axis where it goes farther.

    To each side BASELINE pixels are looked at and the nearer side counts: across a silhouette another surface begins.
    """
    sides = []
    for axis in (1, 2):
        reach = min(BASELINE, places.shape[axis] - 1)
        ahead = np.take(places, range(reach, places.shape[axis]), axis)
        behind = np.take(places, range(places.shape[axis] - reach), axis)
        length = np.sqrt(np.square(ahead - behind).sum(0)) / np.float32(max(1, reach))
        room = [(0, 0), (0, 0)]
        room[axis - 1] = (0, reach)
        after = np.pad(length, room, "constant", constant_values=np.inf)
        room[axis - 1] = (reach, 0)
        before = np.pad(length, room, "constant", constant_values=np.inf)
        nearer = np.minimum(before, after)
        sides.append(np.where(np.isfinite(nearer), nearer, 0))
    return np.maximum(*sides)


def _lattice(places: Floats, octave: Floats, seed: int) -> Floats:
    """(3, H, W) of deviation 1: values at the corners of cells of 2 ** octave, and smoothly between them."""
    scaled = places * np.exp2(-octave)
    corner = np.floor(scaled)
    inside = scaled - corner
    fade = inside * inside * (3 - 2 * inside)
    first = corner.astype(np.int64).astype(np.uint32)
    key = mix(octave.astype(np.int32).view(np.uint32) ^ mix(np.array([seed & 0xFFFFFFFF], np.uint32)))
    total, power = np.zeros((3, *octave.shape), np.float32), np.zeros(octave.shape, np.float32)
    for offsets in product((0, 1), repeat=len(places)):
        weight, hashed = np.ones(octave.shape, np.float32), key
        for axis, offset in enumerate(offsets):
            weight = weight * (fade[axis] if offset else 1 - fade[axis])
            hashed = mix(hashed ^ (first[axis] + np.uint32(offset)))
        power += weight * weight
        for channel in range(3):  # ten bits to each, 0 .. 1023
            total[channel] += weight * ((hashed >> np.uint32(10 * channel)) & np.uint32(1023)).astype(np.float32)
    # The weights of a place sum to 1. Uniform values have a deviation of 1/sqrt(12) of their range.
    return (total - np.float32(511.5)) * (np.float32(12**0.5 / 1024) / np.sqrt(power))


def _grid(
    top: int, left: int, height: int, width: int, period: tuple[int, int] | None, moved: Cells | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (height, 1) and columns (1, width) of a window on the absolute grid; where they have moved (height, width)
    each."""
    if moved is None:
        rows, columns = _indices(top, height, period and period[0]), _indices(left, width, period and period[1])
        return rows[:, None], columns[None]
    places = (np.arange(top, top + height)[:, None] + moved[0], np.arange(left, left + width) + moved[1])
    return places if period is None else (places[0] % period[0], places[1] % period[1])


def _indices(start: int, count: int, period: int | None) -> NDArray[np.int64]:
    """Rows or columns of a window on the absolute grid, within the period where there is one."""
    places = np.arange(start, start + count, dtype=np.int64)
    return places % period if period else places


@cache
def _even() -> Floats:
    """-1 .. 1 cut into equal slices, the middle of each."""
    return ((np.arange(_LEVELS) + 0.5) * (2 / _LEVELS) - 1).astype(np.float32)


@cache
def _sines() -> Floats:
    """One turn of a sine of deviation 1. Integers give the same bits on every machine."""
    return np.array([math.sqrt(2) * math.sin(2 * math.pi * i / _LEVELS) for i in range(_LEVELS)], np.float32)


@cache
def _quantiles() -> Floats:
    """The normal distribution cut into equally likely slices, the middle of each."""
    upper = [NormalDist().inv_cdf((i + 0.5) / _LEVELS) for i in range(_LEVELS // 2, _LEVELS)]
    return np.array([-value for value in reversed(upper)] + upper, np.float32)


def mix(value: np.ndarray) -> np.ndarray:
    """A 32-bit integer hash of xor-shifts and odd multipliers (Wellons, "Prospecting for hash functions", 2018)."""
    value = value ^ (value >> np.uint32(16))
    value = value * np.uint32(0x7FEB352D)
    value = value ^ (value >> np.uint32(15))
    value = value * np.uint32(0x846CA68B)
    return value ^ (value >> np.uint32(16))
