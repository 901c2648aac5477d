"""Where a surface was one frame ago: Blender's Vector pass, and the pixels on which it can be trusted.

Vector, in pixels: X, Y = previous - current position, Z, W = current - next position; Y and W point up, rows here
point down. Measured with Blender 4.5 on a moving camera and on moving objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import EngineError
from .passes import Passes, first_ids
from .picture import Floats

AGREEMENT = 0.5
"""Pixels by which two frames may disagree about one surface's motion."""
GOES_ON = 1.0
"""The same for strokes to go on by: on silhouettes Vector is a mixture of what moves there"""
SAME_DEPTH = 0.05
"""Share by which a surface's depth may change from frame to frame, where there is no object index to ask."""
FAINT = np.float32(1e-3)
"""A part of a pixel that is none: about what rounding leaves"""
SKY = 1e6
"""Metres from which on a pixel shows nothing: Blender's Vector is 0 there even when the camera turns."""


@dataclass(frozen=True, eq=False)
class Motion:
    """From one frame back to the one before."""

    rows: Floats
    """(H, W): the row in the earlier frame of what each pixel shows"""
    columns: Floats
    visible: NDArray[np.bool_]
    """(H, W): both frames show it; elsewhere rows and columns mean nothing"""


def motion(before: Passes, now: Passes) -> Motion:
    """How to get from frame `now` to the frame `before` it. Needs Vector, and IndexOB or Depth.

    A pixel is visible when its earlier place lies inside the frame, when both frames show the same surface there, and
    when both agree about its motion.
    """
    vector, earlier, rows, columns, inside = _earlier(before, now)
    difference = vector[:2] - bilinear(earlier[2:], rows, columns)
    agreed = np.hypot(*difference) < AGREEMENT
    return Motion(rows, columns, inside & agreed & _same_surface(before, now, rows, columns))


@dataclass(frozen=True, eq=False)
class Ways(Motion):
    """A motion, and the pixels of the earlier frame from which each pixel goes on: of the four around its place there
    those that show the same."""

    corners: NDArray[np.intp]
    """(4, H, W): the pixels around each place, counted row by row"""
    weights: Floats
    """(4, H, W): the part of each, 0 for those that show something else; together 1 where visible, else 0"""

    @property
    def size(self) -> tuple[int, int]:
        return self.visible.shape[0], self.visible.shape[1]

    @property
    def nearest(self) -> NDArray[np.intp]:
        """(H, W): the pixel that has most part"""
        return np.take_along_axis(self.corners, self.weights.argmax(axis=0)[None], axis=0)[0]


def ways(before: Passes, now: Passes) -> Ways:
    """As `motion`, for strokes to go on by: of the pixels around the earlier place one will do that shows the same
    surface and agrees about its motion. To ask all four, as `motion` does to compare frames, would let go of the
    strokes along silhouettes in every frame."""
    vector, earlier, rows, columns, inside = _earlier(before, now)
    same = _same(before, now)

    def goes_on(y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.bool_]:
        return inside & (np.hypot(*(vector[:2] - earlier[2:, y, x])) < GOES_ON) & same(y, x)

    return ways_to(rows, columns, goes_on)


def ways_to(rows: Floats, columns: Floats, goes_on: Callable[[NDArray, NDArray], NDArray[np.bool_]]) -> Ways:
    """To places (H, W) within the earlier frame, of the same size. goes_on: of rows and columns of pixels there
    (H, W), whether they show what is here."""
    (height, width), corners, parts, good = rows.shape, [], [], []
    for y, down in zip(_around(rows, height), _parts(rows), strict=True):
        for x, across in zip(_around(columns, width), _parts(columns), strict=True):
            corners.append(y * width + x)
            good.append(goes_on(y, x))
            parts.append(down * across * good[-1])
    weights, known = np.stack(parts), np.stack(good)
    weights = np.where(weights.sum(axis=0) < FAINT, known, weights)  # what lies almost on a pixel that will not do
    return Ways(rows, columns, known.any(axis=0), np.stack(corners), weights / np.maximum(weights.sum(axis=0), FAINT))


def _parts(places: Floats) -> tuple[Floats, Floats]:
    """Of the pixels before and after each place"""
    after = (places - np.floor(places)).astype(np.float32)
    return 1 - after, after


def _earlier(before: Passes, now: Passes) -> tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_]]:
    """Vector of now and of before, (4, H, W) each; the row and the column in which each pixel was before, 0 where that
    is outside the frame; and whether it is inside, (H, W) each."""
    if (before.height, before.width) != (now.height, now.width):
        raise EngineError(f"{before.path} and {now.path} have different sizes.", "Render the shot again in one size.")
    vector = _vector(now)
    rows = np.arange(now.height, dtype=np.float32)[:, None] - vector[1]
    columns = np.arange(now.width, dtype=np.float32)[None, :] + vector[0]
    inside = (rows >= 0) & (rows <= now.height - 1) & (columns >= 0) & (columns <= now.width - 1)
    return vector, _vector(before), np.where(inside, rows, 0), np.where(inside, columns, 0), inside


def _same(before: Passes, now: Passes) -> Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.bool_]]:
    """(H, W): do pixels of the earlier frame show the surface that is here? By objects, where a render tells them; else
    by depth."""
    here, there = first_ids(now), first_ids(before)
    if (here != 1).any():
        return lambda rows, columns: (here != 0) & (there[rows, columns] == here)
    for passes in (before, now):
        passes.need("Depth")
    depth, was = (passes["Depth"][..., 0].astype(np.float32) for passes in (now, before))
    return lambda rows, columns: (depth < SKY) & (np.abs(was[rows, columns] - depth) <= SAME_DEPTH * depth)


def bilinear(planes: Floats, rows: Floats, columns: Floats) -> Floats:
    """(C, H, W) at places within the frame (h, w) -> (C, h, w). Index 0 is the middle of the first pixel."""
    (top, bottom), (left, right) = _around(rows, planes.shape[1]), _around(columns, planes.shape[2])
    down, across = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    upper = planes[:, top, left] * (1 - across) + planes[:, top, right] * across
    lower = planes[:, bottom, left] * (1 - across) + planes[:, bottom, right] * across
    return upper * (1 - down) + lower * down


def warp_error(before: Floats, now: Floats, way: Motion) -> Floats:
    """|now - warp(before)| of each visible pixel, float32 (N,): the length over RGB.

    before, now: (3, H, W), display-referred 0..1. Their mean over a shot is E_warp (Lai et al., "Learning Blind Video
    Temporal Consistency", ECCV 2018, section 4.2, with the length in place of its square): 0 where strokes stick to
    what they are painted on.
    """
    difference = now[:, way.visible] - bilinear(before, way.rows[way.visible], way.columns[way.visible])
    return np.sqrt(np.square(difference).sum(0))


def _around(places: Floats, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pixels before and after each place along an axis."""
    first = np.floor(places).astype(np.intp)
    return first, np.minimum(first + 1, size - 1)


def _vector(passes: Passes) -> Floats:
    """(4, H, W): X, Y, Z, W"""
    passes.need("Vector")
    stored = passes["Vector"]
    if stored.shape[2] != 4:
        raise EngineError(
            f"The pass Vector in {passes.path} has {stored.shape[2]} channels in place of 4.",
            "Render the frame again with Blender's Vector pass, motion blur off.",
        )
    return stored.transpose(2, 0, 1).astype(np.float32)


def _same_surface(before: Passes, now: Passes, rows: Floats, columns: Floats) -> NDArray[np.bool_]:
    """(H, W): by object index where objects have one, else by depth. Empty pixels are no surface."""
    if all("IndexOB" in passes and passes["IndexOB"].any() for passes in (before, now)):
        there, here = (passes["IndexOB"][..., 0] for passes in (before, now))
        around = _corners(there, rows, columns)
        return (here != 0) & np.all([corner == here for corner in around], axis=0)
    for passes in (before, now):
        passes.need("Depth")
    there, here = (passes["Depth"][..., 0].astype(np.float32) for passes in (before, now))
    found = bilinear(there[None], rows, columns)[0]
    return (here < SKY) & (np.abs(found - here) <= SAME_DEPTH * here)


def _corners(plane: NDArray, rows: Floats, columns: Floats) -> Sequence[NDArray]:
    """The four pixels around each place."""
    return [plane[y, x] for y in _around(rows, plane.shape[0]) for x in _around(columns, plane.shape[1])]
