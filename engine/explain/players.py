"""Attribution.Passes and .Objects: how much of this area comes from which light, and from which object?

Exact shares (Shapley values) of the result's luminance, in every pixel of the region. A light that does not play is
taken out of the render; what is no light of its own (a denoiser's doing, passes switched off) stays. An object
that does not play is blurred away.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..canvas import ArrayCanvas
from ..controls import turned
from ..errors import EngineError
from ..passes import Passes, lights, matte
from ..picture import Floats, PictureReader, to_display, whole
from ..protocol import Bar, Certificate, Check, LightGain
from ..resample import Resampled
from . import certificate
from .overlay import Overlay, box_of
from .pyramid import blurred
from .removal import Look
from .shapley import MOST, shapley

DISPLAY = (-0.5, 0.5)
"""Half of what the eye can see"""
UNIT = "luminance of the result, white is 1"
REST = "everything else"
GONE = 6
"""Halvings that nothing of an object survives: about 250 pixels"""


@dataclass(frozen=True, eq=False)
class Players:
    """Who shares, and what the picture is when only some of them are in it."""

    names: tuple[str, ...]
    picture: Callable[[Sequence[bool]], Floats]
    """Planes (3, H, W) 0..1 with those for whom True is told"""
    against: str
    """What is left when nobody plays, in words"""


def of_passes(
    passes: Passes, reader: PictureReader, size: tuple[int, int], wrap: bool, gains: Sequence[LightGain] = ()
) -> Players:
    """The lights of a render, whose Combined `reader` shows with these gains, at a size (height, width). Taken from
    Combined one by one, so that all together are the picture itself, denoised or not."""
    found, combined = turned(lights(passes), gains), whole(reader).astype(np.float32)

    def picture(present: Sequence[bool]) -> Floats:
        left = combined.copy()
        for light, plays in zip(found.values(), present, strict=True):
            if not plays:
                left[..., :3] -= light
        display = to_display(left, reader.encoding, reader.alpha, reader.view).transpose(2, 0, 1)
        return _sized(np.clip(display, 0, 1), size, wrap)

    return Players(tuple(found), picture, "without any of them")


def of_objects(passes: Passes, before: Floats, region: np.ndarray, reach: int, wrap: bool) -> Players:
    """The objects that cover most of what a region can see of the picture `before`, planes (3, H, W) 0..1, and all that
    is left as one more."""
    top, left, height, width = box_of(region) or (0, 0, *region.shape)
    rows, columns = (
        np.arange(max(start - reach, start - size), min(start + count + reach, start + size)) % size
        if wrap
        else np.arange(max(0, start - reach), min(size, start + count + reach))
        for start, count, size in zip((top, left), (height, width), region.shape, strict=True)
    )
    seen = np.zeros(region.shape, bool)
    seen[rows[:, None], columns] = True
    covers = _covers(passes, seen, wrap)
    rest = np.clip(1 - sum(covers.values(), np.zeros(region.shape, np.float32)), 0, 1)
    mattes = [*covers.values(), rest]
    fill = blurred(before, GONE, wrap)

    def picture(present: Sequence[bool]) -> Floats:
        gone = sum((m for m, plays in zip(mattes, present, strict=True) if not plays), np.zeros_like(rest))
        return np.asarray(before + np.clip(gone, 0, 1) * (fill - before), np.float32)

    return Players((*covers, REST), picture, "with all of it blurred away")


def _covers(passes: Passes, seen: np.ndarray, wrap: bool) -> Mapping[str, Floats]:
    """Coverage (H, W) of the largest objects within `seen`, the largest first."""
    found: list[tuple[float, str, Floats]] = []
    for name in passes.objects():
        cover = np.clip(_sized(matte(passes, name, "CryptoObject")[None].astype(np.float32), seen.shape, wrap)[0], 0, 1)
        if cover[seen].any():
            found.append((float(cover[seen].sum()), name, cover))
            found = sorted(found, key=lambda one: -one[0])[: MOST - 1]  # planes of no more than these are kept
    if not found:
        raise EngineError("No object can be seen from this area.", "Choose another area.")
    return {name: cover for _, name, cover in found}


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
    sentence = said(players.names, parts.mean(axis=1), float(change.mean()), players.against)
    bars = tuple(map(Bar, players.names, parts.mean(axis=1).tolist(), _alone_gone(means)))
    layer = f"Attribution.{name}"
    return Overlay(layer, players.names, pixels, sentence, DISPLAY, Certificate(checks), True, UNIT, bars)


def _alone_gone(means: Mapping[tuple[bool, ...], float]) -> list[float]:
    """What taking each player away from all others does: those sets were looked at, too."""
    everyone = max(means, key=sum)
    return [means[tuple(n != gone for n in range(len(everyone)))] - means[everyone] for gone in range(len(everyone))]


def _checks(parts: np.ndarray, means: Mapping[tuple[bool, ...], float]) -> tuple[Check, ...]:
    """B3, at no cost: every set was looked at. Does what the players add foretell what any set of them gives?"""
    sets = np.array(list(means), np.float64)
    happened = np.array(list(means.values()))
    return certificate.foretold(sets @ parts, happened - happened[0])


def said(names: Sequence[str], parts: np.ndarray, change: float, against: str) -> str:
    """parts: what each adds to the luminance of the area, change: all of them together; against: what is left without
    them, in words."""
    if np.abs(parts).max() < 1e-4:
        return f"This area looks the same {against}."
    largest = [n for n in np.argsort(-np.abs(parts))[:3] if abs(parts[n]) >= 1e-4]
    said = ", ".join(f"{names[n]} {100 * float(parts[n]):+.1f}" for n in largest)
    word = "lighter" if change >= 0 else "darker"
    return f"This area is {100 * abs(change):.1f} % of white {word} than {against}: {said}."
