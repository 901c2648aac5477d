"""What an overlay is before it becomes a layer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ..picture import Floats
from ..protocol import Bar, Certificate

S = TypeVar("S")
E = TypeVar("E")
R = TypeVar("R")

OF_A_RESULT = ("Scale", "Removal")
"""The overlays that say something of a whole result"""
OF_A_REGION = (
    *("Influence", "Detail", "Removal", "Scale", "Styles"),
    *("Passes", "Objects", "Provenance", "StyleFit"),
)
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
    apart: bool = False
    """Each channel is somebody's: they become layers of their own, any number of them"""
    unit: str = ""
    """Of the values, in words, for the legend"""
    bars: tuple[Bar, ...] = ()
    """What is said of the whole area in a few numbers, in that unit"""
    beside: Floats | None = None
    """(h, w, 3) display-referred 0..1: a picture that shows what the values point to, for looking at"""

    def layers(self) -> tuple[Overlay, ...]:
        """Itself, or where channels stay apart one for each: Attribution.Passes.Diffuse"""
        if not self.apart:
            return (self,)
        return tuple(
            replace(
                self,
                name=f"{self.name}.{channel}",
                channels=(channel,),
                pixels=self.pixels[..., n : n + 1],
                apart=False,
            )
            for n, channel in enumerate(self.channels)
        )


def told(work: Generator[S, None, R], say: Callable[[S], Iterable[E]]) -> Generator[E, None, R]:
    """Works to the end, says every step in the words of whoever asked, and returns the result."""
    while True:
        try:
            step = next(work)
        except StopIteration as finished:
            result: R = finished.value
            return result
        yield from say(step)


def finished(work: Generator[S, None, R]) -> R:
    """Works to the end where nobody asks about the steps."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: R = done.value
            return result


def box_of(region: np.ndarray) -> tuple[int, int, int, int] | None:
    """(top, left, height, width) around all of a region (H, W); None where it is empty."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
