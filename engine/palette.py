"""The strokes of one style in the colours of another: what is light and what is dark decides, place by place.

Around every pixel the second painting says which colour it lays where, and which of its colours are its lights and
which its darks: its mean, and the line through its chroma over its luminance (the guided filter of He, Sun and Tang,
"Guided Image Filtering", 2010, with its own luminance as guide). Along that line run the strokes of the first painting,
brought to the contrast of the second: their lights take the lights' colours, their darks the darks'.

Everything is a mean over a window of fixed size, so a result pixel sees no further than `reach`: tiles stay exact and
nothing flickers because something enters the frame. The means are sums of whole numbers, so they do not depend on
where a tile begins, bit for bit.
"""

from __future__ import annotations

import numpy as np

from .picture import Floats

WINDOW = 10
"""Half the width of one averaging, in pixels at stroke size 1; two of them make a window of about four strokes."""
FLATNESS = 2e-3
"""Variance of luminance (0..1) below which the second painting shows one colour there, not lights and darks"""
GAIN = (np.float32(0.5), np.float32(2))
"""How far the contrast of the strokes follows that of the second painting: dark, glowing palettes live from it"""
_SILENCE = np.float32(4e-4)
"""Variance that counts as none: what is flat in both paintings stays as it is"""
_STEPS = float(1 << 16)
"""Whole numbers in 0..1: sums of them are exact in 64 bits up to windows of 400 pixels."""
_LUMINANCE = (np.float32(0.2126), np.float32(0.7152), np.float32(0.0722))


def window(stroke: float) -> int:
    """Half the width of one averaging for a stroke size."""
    return max(1, round(WINDOW * stroke))


def reach(stroke: float) -> int:
    """How far to each side, in pixels, a result pixel sees into both paintings."""
    return 2 * window(stroke)


def recoloured(strokes: Floats, colours: Floats, stroke: float) -> Floats:
    """strokes, colours: two paintings of one window, planes (3, h, w) display-referred 0..1, with `reach` pixels more
    on every side than the result, (3, h - 2 reach, w - 2 reach), which is not clamped."""
    half, margin = window(stroke), reach(stroke)
    light, theirs = luminance(strokes), luminance(colours)
    (usual, spread), (mean, contrast) = _spread(light, half), _spread(theirs, half)
    gain = np.clip(np.sqrt((contrast + _SILENCE) / (spread + _SILENCE)), *GAIN)
    detail = (light[margin:-margin, margin:-margin] - usual) * gain
    result = np.empty((3, *detail.shape), np.float32)
    for channel in range(3):
        chroma = colours[channel] - theirs
        hue = _averaged(chroma, half)
        slope = (_averaged(chroma * theirs, half) - hue * mean) / (contrast + FLATNESS)
        result[channel] = mean + hue + (1 + slope) * detail
    return result


def _spread(light: Floats, half: int) -> tuple[Floats, Floats]:
    """Mean and variance around each pixel."""
    mean = _averaged(light, half)
    return mean, np.maximum(_averaged(light * light, half) - mean * mean, 0)


def luminance(planes: Floats) -> Floats:
    """Rec.709 on display-referred values, (h, w); summed in one order, whatever the window."""
    red, green, blue = (weight * plane for weight, plane in zip(_LUMINANCE, planes, strict=True))
    return np.asarray(red + green + blue, np.float32)


def _averaged(plane: Floats, half: int) -> Floats:
    """Means (h - 4 half, w - 4 half) of a plane (h, w) under a pyramid of 4 half + 1 pixels along each axis."""
    total = np.rint(plane * np.float32(_STEPS)).astype(np.int64)
    width = 2 * half + 1
    for axis in (0, 0, 1, 1):
        total = _summed(total, width, axis)
    return (total / (_STEPS * float(width) ** 4)).astype(np.float32)


def _summed(plane: np.ndarray, width: int, axis: int) -> np.ndarray:
    """Sums over `width` neighbours along an axis, where all of them are there."""
    sums = np.cumsum(plane, axis=axis)
    result = sums[_along(axis, slice(width - 1, None))].copy()
    result[_along(axis, slice(1, None))] -= sums[_along(axis, slice(plane.shape[axis] - width))]
    return result


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (part,) if axis == 0 else (slice(None), part)
