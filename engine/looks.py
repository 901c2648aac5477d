"""Overlays for the eye. The raw floats are the overlay; what is made here is only for looking at it.

numpy alone and nothing else of the engine, so that Blender shows the very same pictures as the files beside a result.
The picture lies beneath in grey at low contrast, the map over it; colours are even steps for the eye.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Kind = Literal["signed", "amount", "bands", "places"]

# sRGB bytes at even steps of the range.
DIVERGING = ((33, 64, 154), (120, 155, 214), (243, 243, 240), (224, 138, 106), (158, 22, 40))
"""For signed values, 0 in the middle: blue over near-white to red, as light on both sides (after Moreland, "Diverging
Color Maps for Scientific Visualization", 2009)"""
CIVIDIS = ((0, 34, 78), (65, 77, 108), (124, 123, 120), (188, 175, 111), (254, 232, 56))
"""For amounts from 0 on: every step as much lighter as the last, also for colour-blind eyes (after Nuñez, Anderton and
Renslow, "Optimizing colormaps with consideration for color vision deficiency", 2018)"""
BANDS = ((214, 140, 40), (46, 150, 122), (112, 106, 196))
"""Ochre, green, violet: three parts of one whole, about equally light"""
CORNERS = ((196, 144, 60), (198, 110, 150), (70, 150, 110), (84, 120, 200))
"""Places on another picture: its top left, top right, bottom left, bottom right corner; as light as each other"""

PICTURE = 0.24
"""Share of what is seen that is the picture in grey: enough to know where one is, too little to be taken for the map"""
PAPER = 0.95
"""What nothing to be told looks like, where colours are laid on"""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
INK = 0.12
GROUND = (38, 38, 38)
"""sRGB bytes: what legends stand on, and what lies beside a picture narrower than its legend"""
HATCH, HATCH_LINE = 12, 2
"""Pixels from one line to the next over an overlay that failed its certificate, and of a line"""
MASSES = (0.5, 0.8, 0.95)
"""Isolines: within the innermost lies half of what an overlay tells"""
MASS_OF = ("Influence", "Detail")
"""Overlays that divide one whole over the picture, so that it can be said where most of it is"""
FINE = 2048
"""Steps of a map: finer than a byte tells apart, and an even number, so that 0 has a colour of its own"""
SMOOTH = 1 / 100
"""Of the long side, over which values are averaged before lines are drawn around them"""
NARROWEST, MOST = 480, 2_000_000
"""Pixels across that a legend needs, and pixels of a display picture that can be drawn again while somebody waits"""


class Measured(Protocol):
    """One measured bar of a certificate, as protocol.Check has it"""

    @property
    def bar(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    @property
    def passed(self) -> bool: ...


def failures(checks: Sequence[Measured]) -> list[str]:
    """The failed bars of a certificate in words and numbers; of one without bars, that it has none."""
    if not checks:
        return ["Nothing was measured."]
    return [_failure(check) for check in checks if not check.passed]


def _failure(check: Measured) -> str:
    if math.isnan(check.value):  # on no side of the threshold, so that nobody can say from it which side was wanted
        return f"{check.bar}, {check.name}: not a number, {check.threshold:.3g} wanted."
    wanted = "at least" if check.value < check.threshold else "at most"
    return f"{check.bar}, {check.name}: {check.value:.3g}, {wanted} {check.threshold:.3g} wanted."


def kind_of(channels: Sequence[str], display: tuple[float, float]) -> Kind:
    """What an overlay's numbers are: places on another picture, parts of one whole, signed, or from 0 on."""
    if tuple(channels[:3]) == ("u", "v", "confidence"):
        return "places"
    if len(channels) == 3:
        return "bands"
    return "signed" if display[0] < 0 else "amount"


def over(
    values: Array,
    channels: Sequence[str],
    display: tuple[float, float],
    beneath: Array | None = None,
    region: Mask | None = None,
    lines: bool = False,
    faithful: bool = True,
) -> NDArray[np.uint8]:
    """(H, W, 3) sRGB bytes: an overlay over its picture. Lines are drawn as thin as pixels are: `enlarged` before.

    values: (H, W, C) in the overlay's units. beneath: (H, W, 3) display-referred 0..1; None: plain. region: (H, W), the
    area that was asked about, outlined. lines: isolines of its mass. Not faithful: hatched.
    """
    kind = kind_of(channels, display)
    shown = _coloured(values, kind, display)
    if kind == "amount" and region is not None:
        shown[~region] = PAPER  # nothing was asked there, which is another thing than 0
    grey = np.float32(0.5) if beneath is None else (beneath[..., :3] @ LUMINANCE)[..., None]
    shown = (1 - PICTURE) * shown + PICTURE * grey
    if lines:
        for line in isolines(values[..., 0]):
            shown[line] = INK
    if not faithful:
        shown[hatch(*values.shape[:2])] *= 0.6
    if region is not None and not region.all():
        _outline(shown, region)
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)


def bar(kind: Kind, width: int) -> Array:
    """(width, 3) sRGB 0..1: the colours from the lower to the upper end of the display range, as `over` shows them on
    a mid grey."""
    along = np.linspace(-1 if kind == "signed" else 0, 1, width, dtype=np.float32)
    colours = _diverging(along) if kind == "signed" else _between(CIVIDIS, along)
    return np.asarray((1 - PICTURE) * colours + PICTURE * 0.5, np.float32)


def step_of(height: int, width: int) -> int:
    """Every how many pixels of an overlay are enough for its display picture."""
    return math.ceil(math.sqrt(height * width / MOST))


def enlarged(pixels: Any) -> Any:
    """Pixels (H, W, ...) as often as it takes for a legend to have room below, or as the picture can be drawn again
    while somebody waits: a high, narrow one stays narrower, see `framed`. At least once."""
    times = _times(*pixels.shape[:2])
    return pixels if times == 1 else pixels.repeat(times, axis=0).repeat(times, axis=1)


def enlarged_width(height: int, width: int) -> int:
    """Of the display picture of an overlay of that size, `enlarged` and `framed`."""
    return max(NARROWEST, width * _times(height, width))


def _times(height: int, width: int) -> int:
    return max(1, min(math.ceil(NARROWEST / width), MOST // (NARROWEST * height)))


def framed(shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A display picture (H, W, 3) in the middle of ground where it is narrower than a legend; otherwise itself."""
    missing = NARROWEST - shown.shape[1]
    if missing <= 0:
        return shown
    sheet = np.full((shown.shape[0], NARROWEST, 3), GROUND, np.uint8)
    sheet[:, missing // 2 : missing // 2 + shown.shape[1]] = shown
    return sheet


def hatch(height: int, width: int) -> Mask:
    """Diagonal lines: "indicative only", also for who prints it in grey."""
    return (np.arange(height)[:, None] + np.arange(width)[None, :]) % HATCH < HATCH_LINE


def isolines(values: Array) -> list[Mask]:
    """The borders of the smallest places that hold MASSES of the sum of |values| (H, W), averaged a little first:
    otherwise every grain would have a line of its own. One pixel wide, the innermost two."""
    mass = _averaged(np.abs(values), max(1, round(max(values.shape) * SMOOTH)))
    ranked = np.sort(mass.ravel())[::-1]
    within = np.cumsum(ranked, dtype=np.float64)
    if within[-1] <= 0:
        return []
    levels = [ranked[np.searchsorted(within, share * within[-1])] for share in MASSES]
    inner, *others = (mass >= max(float(level), 1e-12) for level in levels)
    return [border(inner) | border(~inner), *map(border, others)]


def border(mask: Mask) -> Mask:
    """The pixels of a mask that touch what is none of it; the edge of the picture is no border."""
    wide = np.pad(mask, 1, mode="edge")
    around = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask & ~around


# ---------------------------------------------------------------- colours


def _coloured(values: Array, kind: Kind, display: tuple[float, float]) -> Array:
    """(H, W, 3) sRGB 0..1, the map alone."""
    low, high = display
    if kind == "places":
        # Confidences are small numbers: their root still tells more from less, and can be seen.
        return _laid_on(_places(values[..., 0], values[..., 1]), np.sqrt(np.clip(values[..., 2], 0, 1)))
    if kind == "bands":
        return _bands(np.maximum(values, 0), high)
    if kind == "signed":
        return _diverging(np.clip(values[..., 0] / max(high, -low), -1, 1))
    return _between(CIVIDIS, np.clip((values[..., 0] - low) / (high - low), 0, 1))


def _diverging(scaled: Array) -> Array:
    """-1..1 -> sRGB"""
    return _between(DIVERGING, (scaled + 1) / 2)


def _between(stops: Sequence[tuple[int, int, int]], scaled: Array) -> Array:
    """0..1 -> sRGB 0..1, straight from stop to stop, in FINE steps"""
    colours, places = np.array(stops) / 255, np.linspace(0, 1, len(stops))
    table = np.stack([np.interp(np.linspace(0, 1, FINE + 1), places, colours[:, i]) for i in range(3)], axis=-1)
    return np.asarray(table.astype(np.float32)[np.rint(scaled * FINE).astype(np.intp)])


def _bands(parts: Array, high: float) -> Array:
    """The hue tells which part is the largest, how strong it is how much there is of them all."""
    whole = parts.sum(axis=-1)
    hues = parts @ (np.array(BANDS, np.float32) / 255) / np.maximum(whole, 1e-9)[..., None]
    return _laid_on(hues, np.clip(whole / high, 0, 1))


def _places(u: Array, v: Array) -> Array:
    corners = np.array(CORNERS, np.float32).reshape(2, 2, 3) / 255
    u, v = np.clip(u, 0, 1)[..., None], np.clip(v, 0, 1)[..., None]
    top, bottom = ((1 - u) * row[0] + u * row[1] for row in corners)
    return np.asarray((1 - v) * top + v * bottom, np.float32)


def _laid_on(colours: Array, amount: Array) -> Array:
    """Over paper: 0 leaves it white."""
    return np.asarray(PAPER + amount[..., None] * (colours - PAPER), np.float32)


def _outline(shown: Array, region: Mask) -> None:
    """Around the region: a light line between two dark ones, so that it shows on anything."""
    line = border(~region)
    thick = line | border(region) | border(~(region | line))
    shown[thick], shown[line] = INK, 1.0


def _averaged(values: Array, reach: int) -> Array:
    """Means over `reach` pixels to each side, those at the edge repeated: along one axis, then along the other."""
    for axis in (0, 1):
        wide = np.pad(values, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        sums = np.cumsum(np.pad(wide, [(1, 0) if a == axis else (0, 0) for a in (0, 1)]), axis=axis, dtype=np.float64)
        size = 2 * reach + 1
        ends = sums[size:] - sums[:-size] if axis == 0 else sums[:, size:] - sums[:, :-size]
        values = (ends / size).astype(np.float32)
    return values
