"""The overlays that need nothing but a picture and its result, by their names."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from ..picture import Floats
from .influence import influence
from .overlay import Overlay
from .removal import Look, removal
from .scale import scale


def overlay(
    name: str, look: Look, before: Floats, after: Floats, region: np.ndarray | None = None
) -> Generator[float | Overlay, None, Overlay]:
    """Yields the fraction done, and the overlay once before it is certified; returns it with its certificate.

    before, after: a picture and its result, planes (3, H, W) 0..1. region: (H, W) bool; None: everywhere.
    """
    if name == "Scale":
        return scale(before, after, look.paint.wrap, look.paint.stroke, region)
    if name == "Removal":
        return (yield from removal(look, before, after, region))
    assert name == "Influence", name
    everywhere = np.ones(before.shape[1:], bool)
    return (yield from influence(look, before, everywhere if region is None else region))
