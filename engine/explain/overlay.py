"""What an overlay is before it becomes a layer."""

from __future__ import annotations

from dataclasses import dataclass

from ..picture import Floats
from ..protocol import Certificate

OF_A_RESULT = ("Scale", "Removal")
"""The overlays that say something of a whole result"""
OF_A_REGION = ("Influence", "Removal", "Scale")
"""Those that can be asked about a part of it"""


@dataclass(frozen=True, eq=False)
class Overlay:
    """A picture that explains, with its measured faithfulness."""

    name: str
    """Attribution.Scale, ..."""
    channels: tuple[str, ...]
    pixels: Floats
    """(H, W, C) float32, raw values in the overlay's own units"""
    sentence: str
    """The overlay said in one plain sentence"""
    display: tuple[float, float]
    """Fixed display range in the overlay's units; symmetric for signed values. The same for every frame."""
    certificate: Certificate
