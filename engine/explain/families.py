"""The overlays by their names, and what each wants to know."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from ..errors import EngineError
from ..passes import Passes
from ..picture import Floats, PictureReader
from ..protocol import LightGain
from .influence import check_gradients, influence
from .overlay import Overlay
from .players import Players, of_objects, of_passes, shares
from .removal import Look, removal
from .scale import scale

OF_RENDERS = ("Passes", "Objects")
"""Those that ask the passes of a render"""


@dataclass(frozen=True, eq=False)
class Subject:
    """What overlays are asked about."""

    look: Look
    before: Floats
    after: Floats
    """The picture and its result, planes (3, H, W) 0..1"""
    region: np.ndarray | None = None
    """(H, W) bool; None: everywhere"""
    reader: PictureReader | None = None
    passes: Passes | None = None
    """Of a render: its picture in full size, and its passes"""
    gains: tuple[LightGain, ...] = ()
    """Of its lights, in the picture already"""

    @property
    def area(self) -> np.ndarray:
        return np.ones(self.before.shape[1:], bool) if self.region is None else self.region


def overlay(name: str, subject: Subject) -> Generator[float | Overlay, None, Overlay]:
    """Yields the fraction done, and where that takes long the overlay once before it is certified; returns it with its
    certificate."""
    look, before, after = subject.look, subject.before, subject.after
    if name == "Scale":
        return scale(before, after, look.paint.wrap, look.paint.stroke, subject.region)
    if name == "Removal":
        return (yield from removal(look, before, after, subject.region))
    if name == "Influence":
        return (yield from influence(look, before, subject.area))
    return (yield from shares(name, _players(name, subject), look, subject.area))


def check(name: str, subject: Subject) -> None:
    """Raises EngineError where an overlay cannot answer, before anything is computed."""
    if name == "Influence":
        check_gradients(subject.look)
    elif name in OF_RENDERS and subject.passes is None:
        raise EngineError(
            "The picture has no passes.", "Ask Influence or Removal, or give the render as OpenEXR MultiLayer."
        )


def _players(name: str, subject: Subject) -> Players:
    look, before, wrap = subject.look, subject.before, subject.look.paint.wrap
    size = (before.shape[1], before.shape[2])
    assert subject.passes is not None and subject.reader is not None  # see check
    if name == "Passes":
        return of_passes(subject.passes, subject.reader, size, wrap, subject.gains)
    reach = look.reach(*size)
    return of_objects(subject.passes, before, subject.area, max(size) if reach is None else reach, wrap)
