"""Strokes of a painted frame, read between its pixels, and kinds of them laid over each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..canvas import ROWS, by_rows
from ..picture import Floats
from .coarse import at, enlarged, smooth

FINE = 3.0
"""Pixels, times the stroke size: strokes are finer than that, tones are not"""
ALIKE = 6.0
"""The same, over which it is told how much two kinds of strokes have in common"""
WEAKEST = 0.25
"""Share of their strength that is left where four kinds with nothing in common lie over each other: more is not made up
for"""
_POLE = np.float32(3**0.5 - 2)
_MEMORY = 16
"""Lines after which nothing that a float holds is left of a pixel: the pole's 16th power is 7e-10"""


@dataclass(frozen=True, eq=False)
class Strokes:
    """What is painted in one frame, to be read between its pixels."""

    coefficients: Floats
    """(H, W, 3): see sharpened"""
    tones: Floats
    """(3, h, w), coarse: what is painted, without strokes"""

    @classmethod
    def of(cls, painted: Floats, stroke: float) -> Strokes:
        """painted: (3, H, W)"""
        return cls(sharpened(painted), smooth(painted, FINE * stroke))

    def at(self, rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
        """(3, N) each: what is painted at these places, and the strokes in it, which are that less its tones."""
        painted = between(self.coefficients, rows, columns).T
        return painted, painted - at(self.tones, rows, columns)


class Blend:
    """Kinds of strokes laid over each other, without any of them getting weaker.

    The mean of strokes that have nothing in common is fainter than each: dark meets light. So it is made as strong
    again as they were (variance-preserving blending: Yu, Neyret, Bruneton & Holzschuh, "Lagrangian Texture Advection",
    2011), by how much they have in common, for what is alike loses nothing. Tones are averaged, and that is all. Where
    one kind lies alone it stays as it is, to the bit.
    """

    def __init__(self, size: tuple[int, int], stroke: float) -> None:
        self.stroke = stroke
        self._painted, self._strokes = (np.zeros((3, *size), np.float32) for _ in range(2))
        self._strength, self._shares, self._squares = (np.zeros(size, np.float32) for _ in range(3))

    def lay(self, y: NDArray[np.intp], x: NDArray[np.intp], painted: Floats, strokes: Floats, share: Floats) -> None:
        """Another kind, in the pixels y, x, (N,) each. painted, the strokes in it: (3, N); share: (N,)."""
        self._painted[:, y, x] += painted * share
        self._strokes[:, y, x] += strokes * share
        self._strength[y, x] += np.square(strokes).sum(axis=0) * share
        self._shares[y, x] += share
        self._squares[y, x] += np.square(share)

    def lay_own(self, painted: Floats, share: Floats) -> None:
        """Those of the frame itself. painted: (3, H, W); share: (H, W)"""
        coarse = smooth(painted, FINE * self.stroke)

        def lay(row: int) -> None:
            y, x = np.nonzero(share[row : row + ROWS] > 0)
            y += row
            own = painted[:, y, x]
            self.lay(y, x, own, own - at(coarse, y.astype(np.float32), x.astype(np.float32)), share[y, x])

        by_rows(share.shape[0], lay)

    def painted(self) -> Floats:
        """(3, H, W), 0..1: what they look like together; 0 where there are none."""
        shares = np.where(self._shares > 0, self._shares, 1)
        painted, strokes, strength = (planes / shares for planes in (self._painted, self._strokes, self._strength))
        mixed = np.where(self._shares > 0, 1 - self._squares / np.square(shares), 0)
        unlike = self._unlike(strength - np.square(strokes).sum(axis=0), mixed * strength)
        weaker = mixed * enlarged(unlike, mixed.shape)[0]
        return np.clip(painted + strokes * (1 / np.sqrt(np.maximum(1 - weaker, WEAKEST)) - 1), 0, 1)

    def _unlike(self, lost: Floats, most: Floats) -> Floats:
        """(1, h, w), coarse: 0 where kinds of strokes are the same, 1 where they have nothing in common. lost: (H, W),
        of their strength; most: what would be lost of it if they had nothing in common"""
        lost, most = (smooth(np.maximum(part, 0)[None], ALIKE * self.stroke) for part in (lost, most))
        return np.clip(lost / np.maximum(most, np.float32(1e-7)), 0, 1)


def sharpened(planes: Floats) -> Floats:
    """(H, W, C) of planes (C, H, W): the coefficients of the cubic B-spline that goes through the pixels, which keeps
    strokes that other kernels of its size would soften (Unser, Aldroubi & Eden, "B-spline signal processing", 1993; a
    recursive filter of pole sqrt(3) - 2 there and back along each axis).

    Beyond the border lies the mirror image, the outermost pixel twice: the coefficient there is that of the outermost
    pixel, as `between` takes it."""
    result = planes.transpose(1, 2, 0).astype(np.float32)
    for axis in (0, 1):
        lines = np.moveaxis(result, axis, 0)
        lines[0] = _from_beyond(lines)
        for line in range(1, len(lines)):
            lines[line] += _POLE * lines[line - 1]
        lines[-1] /= 1 - _POLE
        for line in range(len(lines) - 2, -1, -1):
            lines[line] += _POLE * lines[line + 1]
        lines *= -6 * _POLE
    return np.ascontiguousarray(result)  # colours lie together, as `between` takes them


def _from_beyond(lines: Floats) -> Floats:
    """What the filter has gathered at the first line when it comes from far beyond the border"""
    mirrored = np.pad(np.arange(len(lines)), (0, _MEMORY), "symmetric")
    gathered = np.zeros_like(lines[0])
    for line in mirrored[:_MEMORY][::-1]:
        gathered = (gathered + lines[line]) * _POLE
    return np.asarray(lines[0] + gathered)


def between(coefficients: Floats, rows: Floats, columns: Floats) -> Floats:
    """(N, C): the spline of `sharpened` at places between the pixels."""
    height, width, channels = coefficients.shape
    pixels = coefficients.reshape(-1, channels)
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    down, across = _bumps(rows - top), _bumps(columns - left)
    near = [np.clip(left + x - 1, 0, width - 1) for x in range(len(across))]
    total = np.zeros((len(rows), channels), np.float32)
    for y, weight_down in enumerate(down):
        first = np.clip(top + y - 1, 0, height - 1) * width
        for column, weight_across in zip(near, across, strict=True):
            total += pixels.take(first + column, axis=0) * (weight_down * weight_across)[:, None]
    return total


def _bumps(t: Floats) -> tuple[Floats, ...]:
    """The four cubic B-splines that reach a place t (0..1) after the second of their middles"""
    t = t.astype(np.float32)
    rest = 1 - t
    outer, inner = t * t * t / 6, 2 / 3 - t * t * (2 - t) / 2
    return rest * rest * rest / 6, inner, 2 / 3 - rest * rest * (2 - rest) / 2, outer
