"""Attribution.Passes and .Objects: how much of this area comes from which light, and from which object?

Exact shares (Shapley values) of the result's luminance, in every pixel of the region. A light that does not play is not
in the render; an object that does not play is blurred away. Against nothing: of Passes a black picture, of Objects one
in which all is blurred.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..canvas import ArrayCanvas
from ..errors import EngineError
from ..passes import Passes, lights, matte
from ..picture import Floats, PictureReader, to_display, whole
from ..protocol import Certificate, Check
from ..resample import Resampled
from . import certificate
from .overlay import Overlay, box_of
from .pyramid import blurred
from .removal import Look
from .shapley import MOST, shapley

DISPLAY = (-0.5, 0.5)
"""Half of what the eye can see"""
REST = "everything else"
GONE = 6
"""Halvings that nothing of an object survives: about 250 pixels"""


@dataclass(frozen=True, eq=False)
class Players:
    """Who shares, and what the picture is when only some of them are in it."""

    names: tuple[str, ...]
    picture: Callable[[Sequence[bool]], Floats]
    """Planes (3, H, W) 0..1 with those for whom True is told"""


def of_passes(passes: Passes, reader: PictureReader, size: tuple[int, int], wrap: bool) -> Players:
    """The lights of a render, whose Combined `reader` shows, at a size (height, width). Taken from Combined one by one,
    so that all together are the picture itself, denoised or not."""
    found, combined = lights(passes), whole(reader).astype(np.float32)

    def picture(present: Sequence[bool]) -> Floats:
        left = combined.copy()
        for light, plays in zip(found.values(), present, strict=True):
            if not plays:
                left[..., :3] -= light
        display = to_display(left, reader.encoding, reader.alpha, reader.view).transpose(2, 0, 1)
        return _sized(np.clip(display, 0, 1), size, wrap)

    return Players(tuple(found), picture)


def of_objects(passes: Passes, before: Floats, region: np.ndarray, reach: int, wrap: bool) -> Players:
    """The objects that cover most of what a region can see of the picture `before`, planes (3, H, W) 0..1, and all that
    is left as one more."""
    top, left, height, width = box_of(region) or (0, 0, *region.shape)
    seen = np.zeros(region.shape, bool)
    seen[max(0, top - reach) : top + height + reach, max(0, left - reach) : left + width + reach] = True
    covers = _covers(passes, seen, wrap)
    rest = np.clip(1 - sum(covers.values(), np.zeros(region.shape, np.float32)), 0, 1)
    mattes = [*covers.values(), rest]
    fill = blurred(before, GONE, wrap)

    def picture(present: Sequence[bool]) -> Floats:
        gone = sum((m for m, plays in zip(mattes, present, strict=True) if not plays), np.zeros_like(rest))
        return np.asarray(before + np.clip(gone, 0, 1) * (fill - before), np.float32)

    return Players((*covers, REST), picture)


def _covers(passes: Passes, seen: np.ndarray, wrap: bool) -> Mapping[str, Floats]:
    """Coverage (H, W) of the largest objects within `seen`, the largest first."""
    found = {}
    for name in passes.objects():
        cover = _sized(matte(passes, name, "CryptoObject")[None].astype(np.float32), seen.shape, wrap)[0]
        if cover[seen].any():
            found[name] = np.clip(cover, 0, 1)
    if not found:
        raise EngineError("No object can be seen from this area.", "Choose another area.")
    largest = sorted(found, key=lambda name: -float(found[name][seen].sum()))[: MOST - 1]
    return {name: found[name] for name in largest}


def _sized(planes: Floats, size: tuple[int, ...], wrap: bool) -> Floats:
    if planes.shape[1:] == tuple(size):
        return planes
    height, width = size
    return np.clip(Resampled(ArrayCanvas(planes, wrap), height, width).read(0, 0, height, width), 0, 1)


def shares(name: str, players: Players, look: Look, region: np.ndarray) -> Generator[float | Overlay, None, Overlay]:
    """Yields the fraction done; returns the overlay, a channel for each player: what it adds to the result's luminance,
    0 outside the region (H, W). Strokes follow the forms of the whole picture, whoever plays."""
    box = box_of(region)
    assert box is not None  # a region has a pixel
    everyone = players.picture([True] * len(players.names))
    inside = np.s_[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]
    means: dict[tuple[bool, ...], float] = {}
    ends: dict[int, Floats] = {}

    def value(present: tuple[bool, ...]) -> Floats:
        light = look.light(players.picture(present), box, everyone)
        means[present] = float(light[region[inside]].mean(dtype=np.float64))
        if sum(present) in (0, len(present)):
            ends[sum(present)] = light
        return light

    found = yield from shapley(players.names, value)
    pixels = np.zeros((*region.shape, len(players.names)), np.float32)
    pixels[inside] = (found * region[inside]).transpose(1, 2, 0)
    change = (ends[len(players.names)].astype(np.float64) - ends[0])[region[inside]]
    parts = found[:, region[inside]]
    complete = certificate.completeness(parts.T, change)
    checks = (complete, *_checks(parts.mean(axis=1), means))
    sentence = _sentence(players.names, parts.mean(axis=1), float(change.mean()))
    return Overlay(f"Attribution.{name}", players.names, pixels, sentence, DISPLAY, Certificate(checks), True)


def _checks(parts: np.ndarray, means: Mapping[tuple[bool, ...], float]) -> tuple[Check, ...]:
    """B3, at no cost: every set was looked at. Does what the players add foretell what any set of them gives?"""
    sets = np.array(list(means), np.float64)
    happened = np.array(list(means.values()))
    return certificate.foretold(sets @ parts, happened - happened[0])


def _sentence(names: Sequence[str], parts: np.ndarray, change: float) -> str:
    if abs(change) < 1e-4:
        return "With and without all of them this area is equally light."
    percent = {names[n]: round(100 * float(parts[n]) / change) for n in np.argsort(-np.abs(parts))[:3]}
    return "Of the light of this area " + ", ".join(f"{p} % come from {name}" for name, p in percent.items() if p) + "."
