"""Attribution.Scale: what did the style change, and at which scale? Costs no run of the model.

The change D = result - picture is cut by a Laplacian pyramid into colour (coarse), form (middle) and stroke (fine).
Each channel is the part of the change's length that its band carries: <band, D> / |D|. The three add up to |D|
exactly; a negative value means that the band works against the change.
"""

from __future__ import annotations

import numpy as np

from ..picture import Floats
from ..protocol import Bar, Certificate
from .certificate import completeness
from .overlay import Overlay
from .pyramid import BANDS, blurred, levels

DISPLAY = (0.0, 0.5)
UNIT = "length of the change in colour, black to white is 1.7; bars: share of the whole"
_ROWS = 256


def scale(
    before: Floats, after: Floats, wrap: bool = False, stroke: float = 1.0, region: np.ndarray | None = None
) -> Overlay:
    """before, after: display-referred planes (3, H, W) in 0..1. wrap: the picture is tileable.

    stroke: the stroke size it was painted with; the bands follow it. region: (H, W) bool, what the sentence speaks of.
    """
    change = after - before
    fine, coarse = (blurred(change, count, wrap) for count in levels(stroke))
    height, width = change.shape[1:]
    pixels = np.empty((height, width, 3), np.float32)
    length = np.empty((height, width), np.float32)
    for top in range(0, height, _ROWS):
        rows = np.s_[:, top : top + _ROWS]
        bands = (coarse[rows], fine[rows] - coarse[rows], change[rows] - fine[rows])
        pixels[top : top + _ROWS], length[top : top + _ROWS] = _shares(bands, change[rows])
    percent = _percent(pixels, length) if region is None else _percent(pixels[region], length[region])
    return Overlay(
        "Attribution.Scale",
        BANDS,
        pixels,
        _sentence(percent),
        DISPLAY,
        Certificate((completeness(pixels, length),)),
        unit=UNIT,
        bars=tuple(Bar(name, share / 100) for name, share in zip(BANDS, percent, strict=True)),
    )


def _shares(bands: tuple[Floats, Floats, Floats], change: Floats) -> tuple[Floats, Floats]:
    """<band, D> / |D| as (h, w, 3), and |D| as (h, w). In double precision: bands much longer than D cancel."""
    exact = change.astype(np.float64)
    length = np.sqrt((exact * exact).sum(axis=0))
    inverse = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    shares = [((band * exact).sum(axis=0) * inverse).astype(np.float32) for band in bands]
    return np.stack(shares, axis=-1), length.astype(np.float32)


def _percent(pixels: Floats, length: Floats) -> tuple[float, ...]:
    """What each band carries of the whole change, in %; nothing where next to nothing was changed."""
    whole = float(length.sum(dtype=np.float64))
    if whole < 1e-4 * length.size:
        return (0.0,) * len(BANDS)
    return tuple(100 * float(pixels[..., i].sum(dtype=np.float64)) / whole for i in range(len(BANDS)))


def _sentence(percent: tuple[float, ...]) -> str:
    if not any(percent):
        return "The style changes next to nothing in this picture."
    colour, form, stroke = map(round, percent)
    return f"{colour} % of the change is colour, {form} % form and {stroke} % strokes."
