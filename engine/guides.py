"""Guides: what a style is told beside the colours of a picture, made from the render passes of the frame.

albedo, normal and depth say what is there. position and uv are noise anchored to surfaces: by the place in the world
(still objects, moving camera) or on the object (moving objects). What is painted by them sticks to what it is painted
on, though every frame is painted alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from . import noise
from .errors import EngineError
from .picture import Array, Floats, to_display

CELL = 4.0
"""Pixels from one value of anchored noise to the next: a stroke's width. With 6 it told fewer strokes apart, and a
keyframe was learned more slowly."""
FINEST = 4.0
"""The same at least, for smaller strokes: finer noise would shimmer."""


@dataclass(frozen=True)
class Guide:
    """One named input of a style: planes of float32, about -1..1."""

    source: str
    """The pass it is made from, by its name in passes.py"""
    channels: int
    switch: str
    """Where Blender switches that pass on, below View Layer Properties > Passes"""


GUIDES = {
    "albedo": Guide("DiffCol", 3, "Light > Diffuse: Color"),
    "normal": Guide("Normal", 3, "Data > Normal"),
    "depth": Guide("Depth", 1, "Data > Z"),
    "position": Guide("Position", 3, "Data > Position"),
    "uv": Guide("UV", 3, "Data > UV"),
}

ANCHORS = ("position", "uv")
"""Guides that say where on its surface each pixel lies"""


def planes(name: str, passes: Mapping[str, Array], seed: int = 0, stroke: float = 1.0) -> Floats:
    """The guide `name` of a whole frame: (channels, H, W) float32, no NaN.

    albedo: the sRGB curve of DiffCol, -1..1. normal: world space, -1..1. depth: -1..1 by the logarithm of the distance,
    0 at 8 m. position, uv: noise of mean 0 and deviation 1 with cells of CELL * stroke pixels; another seed, other
    noise. Raises EngineError where the pass is missing or is no such pass.
    """
    stored = _values(name, passes)
    if name == "albedo":
        return np.clip(to_display(stored, "linear", "none"), 0, 1).transpose(2, 0, 1) * 2 - 1
    values = np.nan_to_num(stored.transpose(2, 0, 1).astype(np.float32), posinf=1e10, neginf=-1e10)
    if name == "normal":
        return np.clip(values, -1, 1)
    if name == "depth":
        return np.tanh(np.log2(np.maximum(values, np.float32(1e-6)) / 8) / 4)
    return noise.anchored(values, seed, max(FINEST, CELL * stroke))


def need(names: tuple[str, ...], passes: Mapping[str, Array] | None, whose: str, where: str) -> None:
    """Raise an EngineError that says which passes to switch on, unless all guides `names` can be made.

    passes: None for a plain picture. whose: who wants them, and where: the frame, in the artist's words.
    """
    missing = [GUIDES[name] for name in names if passes is None or GUIDES[name].source not in passes]
    if missing:
        sources = ", ".join(guide.source for guide in missing)
        switches = ", ".join(guide.switch for guide in missing)
        raise EngineError(
            f"{whose} is guided by render passes that {where} does not have: {sources}.",
            f"Switch on {switches} in View Layer Properties > Passes and render to OpenEXR MultiLayer.",
        )


def _values(name: str, passes: Mapping[str, Array]) -> Array:
    """The channels of its pass that a guide is made from, (H, W, C)."""
    guide = GUIDES[name]
    stored = passes[guide.source]
    wanted = {"depth": 1, "uv": 2}.get(name, 3)
    if stored.shape[2] < wanted:
        raise EngineError(
            f"The pass {guide.source} has {stored.shape[2]} channels in place of {wanted}.",
            "Render the frame again with Blender's own passes.",
        )
    return stored[..., :wanted]
