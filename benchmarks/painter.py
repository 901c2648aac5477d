"""A procedural painter: stands in for the artist who paints over a keyframe.

Curved strokes along the forms, from a wide brush to a fine one, each where the canvas still differs from the frame
(Hertzmann, "Painterly Rendering with Curved Brush Strokes of Multiple Sizes", 1998), with warm lights and violet
shadows. Every painting is made anew: painted over each frame of a shot its strokes jump about, as a person's would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Place = tuple[float, float]
"""x and y in pixels of the frame"""

FINER = 3
"""The canvas is this many times as large as the frame while it is painted."""
GROUND = (196, 164, 112)
"""Ochre, where no stroke comes to lie"""
VIOLET, WARM = np.array([30, 4, 58], np.float32), np.array([22, 12, -16], np.float32)
"""What shadows and lights are tinted with"""
PULL = np.array([0.94, -0.34])
"""Where the hand goes on surfaces without a form to follow"""
PACE = 1.5
"""Pixels from one point of a stroke to the next"""


@dataclass(frozen=True)
class Brush:
    """All lengths in pixels of the frame, colours 0..255."""

    width: float
    length: float
    spacing: float
    jitter: float
    """Deviation of a stroke's colour"""
    tolerance: float
    """Difference between canvas and frame that is left alone"""


BRUSHES = (Brush(9, 16, 5, 8, -1), Brush(5, 13, 3.2, 10, 14), Brush(2.6, 9, 2.2, 12, 22))


def painting(frame: Floats, seed: int) -> Pixels:
    """A frame (3, H, W), display-referred sRGB 0..1, painted over: (H, W, 3)."""
    picture = Image.fromarray(np.rint(frame.transpose(1, 2, 0) * 255).astype(np.uint8))
    canvas = Image.new("RGB", (picture.width * FINER, picture.height * FINER), GROUND)
    random = np.random.default_rng(seed)
    for brush in BRUSHES:
        _layer(picture, canvas, brush, random)
    return np.asarray(canvas.resize(picture.size, Image.Resampling.LANCZOS))


def _layer(picture: Image.Image, canvas: Image.Image, brush: Brush, random: np.random.Generator) -> None:
    """One brush's strokes, in random order, where they are needed (and some where they are not)."""
    colours = np.asarray(picture.filter(ImageFilter.GaussianBlur(brush.width / 3)), np.float32)
    grey = picture.convert("L").filter(ImageFilter.GaussianBlur(brush.width / 1.5))
    slope = np.stack(np.gradient(np.asarray(grey, np.float32))[::-1], 2)
    there = np.asarray(canvas.resize(picture.size, Image.Resampling.BOX), np.float32)
    rows, columns = np.mgrid[0 : picture.height : brush.spacing, 0 : picture.width : brush.spacing]
    starts = np.stack([columns.ravel(), rows.ravel()], 1) + random.uniform(0, brush.spacing, (rows.size, 2))
    draw = ImageDraw.Draw(canvas)
    for x, y in random.permutation(starts):
        colour = toned(_at(colours, (x, y)))
        if np.abs(colour - _at(there, (x, y))).mean() > brush.tolerance or random.random() < 0.12:
            way = [*_half((x, y), -PULL, colours, slope, brush)[::-1], *_half((x, y), PULL, colours, slope, brush)[1:]]
            tint = np.clip(colour + random.normal(0, brush.jitter) + random.normal(0, brush.jitter, 3), 0, 255)
            _stroke(draw, way, brush.width * random.uniform(0.75, 1.1), tint)


def _half(start: Place, ahead: NDArray, colours: Floats, slope: Floats, brush: Brush) -> list[Place]:
    """Half a stroke: from `start` along the form, until the colour changes."""
    way, colour, pull = [start], _at(colours, start), ahead
    for _ in range(int(brush.length / 2 / PACE)):
        x, y = way[-1]
        if np.abs(_at(colours, (x, y)) - colour).mean() > 14:
            break
        across = _at(slope, (x, y))
        steep = float(np.hypot(*across))
        along = np.array([-across[1], across[0]]) / steep if steep > 0.6 else pull
        along = along if along @ ahead >= 0 else -along
        ahead = 0.6 * ahead + 0.4 * along if len(way) > 1 else along  # a hand turns little by little
        ahead = ahead / np.hypot(*ahead)
        way.append((x + PACE * ahead[0], y + PACE * ahead[1]))
    return way


def _stroke(draw: ImageDraw.ImageDraw, way: list[Place], width: float, tint: NDArray) -> None:
    points = [(x * FINER, y * FINER) for x, y in way]
    colour, half = tuple(int(value) for value in tint), width * FINER / 2
    if len(points) > 1:
        draw.line(points, colour, round(2 * half), joint="curve")
    for x, y in (points[0], points[-1]):
        draw.ellipse((x - half, y - half, x + half, y + half), colour)


def toned(colour: Floats) -> Floats:
    """A colour (3,) 0..255 as this hand mixes it: fuller, shadows toward violet, lights warm."""
    light = colour.mean() / 255
    full = colour + (colour - colour.mean()) * 0.35
    mixed: Floats = full * (0.85 + 0.3 * light) + VIOLET * (1 - light) ** 2 + WARM * light
    return mixed


def _at(values: Floats, place: Place) -> Floats:
    column, row = (min(max(0, int(p)), size - 1) for p, size in zip(place, values.shape[1::-1], strict=True))
    return values[row, column]
