"""Overlays for the eye. The raw floats are the overlay; these pictures are only made for looking at it."""

from __future__ import annotations

import numpy as np

from ..picture import Array, Floats
from .overlay import Overlay

# Zero-centred and without a rainbow: blue over near-white to red, for signed values (after Moreland,
# "Diverging Color Maps for Scientific Visualization", 2009). sRGB bytes at -1, -1/2, 0, 1/2, 1.
_DIVERGING = np.array([(33, 64, 154), (120, 155, 214), (243, 243, 240), (224, 138, 106), (158, 22, 40)], np.float32)
_HATCH = 12
"""Pixels between the lines over an overlay that failed its certificate"""


def picture_of(overlay: Overlay) -> Array:
    """uint8 RGB (H, W, 3). One channel: diverging colours. Three: red, green, blue. Failed certificate: hatched."""
    low, high = overlay.display
    scaled = np.clip((overlay.pixels - low) / (high - low), 0, 1)
    colour = _diverging(scaled[..., 0]) if scaled.shape[2] == 1 else scaled * 255
    if not overlay.certificate.faithful:
        colour = np.where(_lines(*scaled.shape[:2])[..., None], colour * 0.55, colour)
    return np.rint(colour).astype(np.uint8)


def _diverging(values: Floats) -> Floats:
    """0..1 -> sRGB 0..255."""
    stops = np.linspace(0, 1, len(_DIVERGING))
    return np.stack([np.interp(values, stops, _DIVERGING[:, channel]) for channel in range(3)], axis=-1)


def _lines(height: int, width: int) -> np.ndarray:
    """Diagonal lines: "indicative only", also for who prints it in grey."""
    return (np.arange(height)[:, None] + np.arange(width)[None, :]) % _HATCH < 2
