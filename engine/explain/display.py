"""Overlays as pictures to look at: over the picture they speak of, with a legend below. See engine/looks.py."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .. import looks
from ..contact_sheet import Font, font, wrapped
from ..picture import Array, Floats
from .overlay import Overlay

INK, FAINT = (228, 228, 228), (160, 160, 160)


@dataclass(frozen=True, eq=False)
class Beneath:
    """What overlays lie over."""

    picture: Floats | None
    """(H, W, 3) display-referred; None: nothing"""
    region: np.ndarray | None = None
    """(H, W) bool: the area that was asked about; None: all of it"""

    def bytes(self) -> Array:
        """uint8 (H, W, 4): the picture, and the area as 255 in the fourth channel"""
        assert self.picture is not None
        inside = np.ones(self.picture.shape[:2], bool) if self.region is None else self.region
        shown = np.rint(np.clip(self.picture[..., :3], 0, 1) * 255)
        return np.dstack((shown, inside * np.float32(255))).astype(np.uint8)


def picture_of(overlay: Overlay, beneath: Beneath | None = None) -> Array:
    """uint8 RGB (h, w, 3): map over picture, legend below, and what lies beside it; small ones enlarged by whole
    numbers, narrow ones framed."""
    under = beneath or Beneath(None)
    shown = looks.over(
        looks.enlarged(overlay.pixels),
        overlay.channels,
        overlay.display,
        None if under.picture is None else looks.enlarged(under.picture),
        None if under.region is None else looks.enlarged(under.region),
        lines=title_of(overlay) in looks.MASS_OF,
        faithful=overlay.certificate.faithful,
    )
    shown = looks.framed(shown)
    return np.concatenate((shown, below(overlay, shown.shape[1])))


def below(overlay: Overlay, width: int) -> Array:
    """uint8 RGB (h, width, 3): the legend, and what the values point to."""
    beside = () if overlay.beside is None else (_fitting(overlay.beside, width),)
    return np.concatenate((legend(overlay, width), *beside))


def _fitting(picture: Floats, width: int) -> Array:
    """uint8 RGB (h, width, 3): the picture (H, W, 3) 0..1, no larger than it is, on the legend's ground."""
    image = Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    image.thumbnail((width, image.height), Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (width, image.height), looks.GROUND)
    sheet.paste(image, ((width - image.width) // 2, 0))
    return np.asarray(sheet)


def title_of(overlay: Overlay) -> str:
    return overlay.name.removeprefix("Attribution.")


def legend(overlay: Overlay, width: int) -> Array:
    """A strip, uint8 RGB (h, width, 3): what the colours mean, and how far to trust them."""
    strip = _Strip(width)
    strip.title(title_of(overlay), overlay.certificate.faithful)
    kind = looks.kind_of(overlay.channels, overlay.display)
    if kind == "bands":
        strip.swatches({bar.name: bar.value for bar in overlay.bars}, overlay.channels, overlay.display[1])
    elif kind == "places":
        strip.corners()
    else:
        strip.scale(kind, overlay.display)
    strip.text(overlay.unit, FAINT)
    if title_of(overlay) in looks.MASS_OF:
        strip.text("Lines: half of it lies within the innermost, then 80 and 95 %.", FAINT)
    strip.text(overlay.sentence, INK)
    for line in looks.failures(overlay.certificate.checks):
        strip.text(line, FAINT)
    return strip.pixels()


class _Strip:
    """A legend, written from top to bottom and cut off where it ends."""

    def __init__(self, width: int) -> None:
        self.size = max(13, width // 70)
        self.gap = self.size * 3 // 4
        self.width, self.down = width, self.gap
        self.sheet = Image.new("RGB", (width, 40 * self.size), looks.GROUND)
        self.draw = ImageDraw.Draw(self.sheet)

    def title(self, name: str, faithful: bool) -> None:
        said = "certified" if faithful else "indicative only"
        mark = self.width - self.gap - self._wide(said, self.size)
        title = _fitted(name, mark - 4 * self.gap, self.size * 5 // 4)
        self.draw.text((self.gap, self.down), title, INK, self._font(5))
        self.draw.text((mark, self.down), said, INK, self._font())
        self._paste(_mark(self.size, faithful), mark - self.size - self.gap // 2)
        self.down += self.size * 7 // 4

    def scale(self, kind: looks.Kind, display: tuple[float, float]) -> None:
        """The colours from end to end, with the numbers at the ends and, of signed values, 0 in the middle."""
        across = self.width - 2 * self.gap
        colours = np.rint(looks.bar(kind, across) * 255).astype(np.uint8)
        self._paste(np.broadcast_to(colours, (self.size, across, 3)), self.gap)
        self.down += self.size * 5 // 4
        low, high = (f"{value:+.3g}" if kind == "signed" else f"{value:.3g}" for value in display)
        self.draw.text((self.gap, self.down), low, FAINT, self._font())
        self.draw.text((self.width - self.gap, self.down), high, FAINT, self._font(), anchor="ra")
        if kind == "signed":
            self.draw.text((self.width // 2, self.down), "0", FAINT, self._font(), anchor="ma")
        self.down += self.size * 3 // 2

    def swatches(self, values: dict[str, float], names: tuple[str, ...], full: float) -> None:
        """Of parts of one whole: their hues, names and shares."""
        left = self.gap
        for name, hue in zip(names, looks.BANDS, strict=True):
            self._paste(np.full((self.size, self.size, 3), hue, np.uint8), left)
            said = f"{name} {100 * values[name]:.0f} %" if name in values else name
            self.draw.text((left + self.size * 3 // 2, self.down), said, INK, self._font())
            left += self.size * 5 // 2 + self._wide(said, self.size)
        self.down += self.size * 7 // 4
        self.text(f"White: unchanged. Full colour: {full:.3g} and more.", FAINT)

    def corners(self) -> None:
        """The hues of places on another picture."""
        edge = 3 * self.size
        place = np.linspace(0, 1, edge, dtype=np.float32)
        v, u = np.meshgrid(place, place, indexing="ij")
        field = looks.over(np.stack((u, v, np.ones_like(u)), axis=-1), ("u", "v", "confidence"), (0, 1))
        self._paste(field, self.gap)
        self.draw.text((2 * self.gap + edge, self.down), "the style picture, corner by corner", INK, self._font())
        self.draw.text((2 * self.gap + edge, self.down + self.size * 3 // 2), "paler: less sure", FAINT, self._font())
        self.down += edge + self.gap

    def text(self, said: str, ink: tuple[int, int, int]) -> None:
        for line in wrapped(said, self.width - 2 * self.gap, self.size):
            self.draw.text((self.gap, self.down), line, ink, self._font())
            self.down += self.size * 4 // 3

    def pixels(self) -> Array:
        return np.asarray(self.sheet)[: self.down + self.gap].copy()

    def _paste(self, pixels: Array, left: int) -> None:
        self.sheet.paste(Image.fromarray(np.ascontiguousarray(pixels)), (left, self.down))

    def _wide(self, said: str, size: int) -> int:
        return math.ceil(font(size).getlength(said))

    def _font(self, quarters: int = 4) -> Font:
        return font(self.size * quarters // 4)


def _mark(size: int, faithful: bool) -> Array:
    """A square as the overlay is: plain, or hatched."""
    square = np.full((size, size, 3), 220, np.uint8)
    if not faithful:
        square[looks.hatch(size, size)] = 90
    return square


def _fitted(name: str, width: int, size: int) -> str:
    """As much of a name as there is room for."""
    if font(size).getlength(name) <= width:
        return name
    while name and font(size).getlength(name + "...") > width:
        name = name[:-1]
    return name + "..."
