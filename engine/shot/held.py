"""Strokes that stick: each frame takes them from the anchors of its shot, wherever those show the same surfaces.

A style paints every frame anew, so its strokes are others wherever a surface has moved on. Here the anchors of a shot
are painted, and a frame gets their strokes at the places where they show what it shows (surfaces.places): as if they
were painted onto the things themselves. Light may change meanwhile: what has become lighter or darker since the anchor
gets lighter or darker as the style answers to light. What no anchor shows is painted anew.

A frame depends on its anchors and on nothing else, so frames can be made in any order, anywhere.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..canvas import ROWS, by_rows
from ..explain.overlay import finished
from ..forms import blurred
from ..motion import bilinear
from ..picture import Floats
from .coarse import COARSE, at, enlarged, smooth, step
from .light import LIGHT, answer_to_light, lit_change, unusual
from .record import Frame, Shot
from .silhouettes import clearness, soften
from .strokes import Blend, Strokes
from .surfaces import Places, Surfaces, places

BETTER = (0.7, 1.2)
"""An anchor gives way to another that shows a place with two to three times its pixels (powers of e): what was painted
on a sliver would come to stand smeared over a face. That is told in the anchor itself, so in all frames alike: nothing
changes hands while things move"""
GIVES_WAY = (4.0, 8.0)
"""Pixels of the anchor to one of the frame, or the other way round, over which strokes give way to fresh ones: by
then they are too large or too small"""
_BYTES = 1 << 30
"""Of anchors kept in memory"""


@dataclass(frozen=True, eq=False)
class Anchor:
    """A frame that holds strokes."""

    frame: Frame
    surfaces: Surfaces
    picture: Floats
    """(3, H, W) 0..1, as the style saw it"""
    painted: Floats
    """(3, H, W) 0..1"""
    stroke: float = 1.0

    @cached_property
    def clear(self) -> Floats:
        """(1, H, W): see clearness."""
        return clearness(self.surfaces.objects, self.stroke)[None]

    @cached_property
    def strokes(self) -> Strokes:
        return Strokes.of(self.painted, self.stroke)

    @cached_property
    def light(self) -> Floats:
        """(3, h, w), coarse: the picture without its grain"""
        return smooth(self.picture, LIGHT * self.stroke)

    @cached_property
    def answer(self) -> Floats:
        """See answer_to_light."""
        return answer_to_light(self.picture, self.painted, self.stroke)

    @property
    def bytes(self) -> int:
        """With what is made of it when it is asked for"""
        held = (self.surfaces.position, self.surfaces.objects, self.surfaces.depth, self.surfaces.uv)
        return sum(planes.nbytes for planes in (*held, self.picture, self.painted) if planes is not None) * 5 // 3


@dataclass(frozen=True, eq=False)
class _Take:
    """What an anchor gives to a frame."""

    anchor: Anchor
    places: Places
    weight: Floats
    """(H, W)"""


class Held:
    """The frames of a shot, held by its anchors."""

    def __init__(self, shot: Shot, anchor: Callable[[Frame], Anchor], stroke: float = 1.0, lit: bool = True) -> None:
        """anchor: opens and paints one. lit: light falls on what is painted; else its colours stay what they are."""
        self.shot, self.stroke, self.lit = shot, stroke, lit
        self._open = anchor
        self._kept: OrderedDict[int, Anchor] = OrderedDict()
        self._firsts: tuple[tuple[int, ...], list[Floats]] = ((), [])

    def painted(self, number: int, seen: Surfaces, picture: Floats, fresh: Floats) -> tuple[Floats, float]:
        """The frame with its strokes held, planes (3, H, W) 0..1, and the share of it that is not.

        picture: as the style saw it; fresh: as it paints it alone; both (3, H, W) 0..1."""
        return finished(self.painting(number, seen, picture, fresh))

    def painting(
        self, number: int, seen: Surfaces, picture: Floats, fresh: Floats
    ) -> Generator[None, None, tuple[Floats, float]]:
        """The same in steps, between which a job can be cancelled."""
        frame = self.shot.frame(number)
        takes, left = yield from self._takes(frame, seen)
        blend = Blend(seen.size, self.stroke)
        blend.lay_own(fresh, left)
        for take in takes:
            if take.weight.any():
                yield
                self._lay(take, picture, blend)
        yield
        result = blend.painted()
        soften(result, seen.objects, seen.depth, self.stroke)
        return result, float(left.mean())

    def missing(self, frame: Frame) -> list[Frame]:
        """Its anchors that are not in memory"""
        return [self.shot.frame(number) for number in frame.anchors if number not in self._kept]

    def keep(self, anchor: Anchor, frame: Frame) -> None:
        """In memory, for a frame. Anchors of others are let go where there is no room: longest ago used, first."""
        self._kept[anchor.frame.number] = anchor
        for number in frame.anchors:
            if number in self._kept:
                self._kept.move_to_end(number)
        while self._over() and next(iter(self._kept)) not in frame.anchors:
            self._kept.popitem(last=False)

    def _takes(self, frame: Frame, seen: Surfaces) -> Generator[None, None, tuple[list[_Take], Floats]]:
        """What each anchor gives, and what is left for fresh strokes (H, W). An anchor comes first where its strokes
        are of one surface alone and none shows that much better; what is left is held by whichever shows it."""
        for missing in self.missing(frame):
            self.keep(self._open(missing), frame)
            yield
        anchors = [self._kept[number] for number in frame.anchors]
        found: list[Places] = []
        for anchor in anchors:
            found.append(places(seen, anchor.surfaces, frame.poses, anchor.frame.poses, self.shot.deforming))
            yield
        firsts = yield from self._comes_first(anchors)
        stays = [keeps_size(one, seen.objects) * one.found for one in found]
        weights = [np.zeros(seen.size, np.float32) for _ in anchors]
        left = np.ones(seen.size, np.float32)
        for clear in (True, False):
            for first, one, stay, weight in zip(firsts, found, stays, weights, strict=True):
                more = left * stay
                if clear:
                    more *= bilinear(first, one.rows, one.columns)[0]
                weight += more
                left = left - more
        return [_Take(*parts) for parts in zip(anchors, found, weights, strict=True)], left

    def _comes_first(self, anchors: Sequence[Anchor]) -> Generator[None, None, list[Floats]]:
        """(1, H, W) of each anchor: how far it comes first. Kept for the next frame, which mostly has the same ones."""
        numbers = tuple(anchor.frame.number for anchor in anchors)
        if numbers != self._firsts[0]:
            firsts = []
            for anchor in anchors:
                firsts.append(anchor.clear * (1 - self._outdone(anchor, anchors)))
                yield
            self._firsts = numbers, firsts
        return self._firsts[1]

    def _outdone(self, anchor: Anchor, anchors: Sequence[Anchor]) -> Floats:
        """(H, W): 1 where another anchor shows a place of this one much better, or in a more usual light, 0 where none
        does. The edge of a shadow that lay there when the strokes were painted would stay in them."""
        few = anchor.surfaces.reduced(COARSE)
        here = np.indices(few.size, np.float32) * COARSE + COARSE // 2
        best, lights = np.zeros(few.size, np.float32), [at(anchor.light, *here)] if self.lit else []
        for other in anchors:
            if other is not anchor:
                found = places(few, other.surfaces, anchor.frame.poses, other.frame.poses, self.shot.deforming)
                most, least = _spans(found, few.objects)
                best = np.where(found.found, np.maximum(best, most + least), best)
                if self.lit:
                    light = at(other.light, found.rows, found.columns)
                    lights.append(np.where(found.found, light, np.float32(np.nan)))
        outdone = step(best, *BETTER)
        if self.lit:
            outdone = np.maximum(outdone, unusual(lights))
        return enlarged(outdone[None], anchor.surfaces.size)[0]

    def _over(self) -> bool:
        return sum(anchor.bytes for anchor in self._kept.values()) > _BYTES

    def _lay(self, take: _Take, picture: Floats, blend: Blend) -> None:
        """What an anchor gives, in the light of this frame."""
        changed = self._changed(take, picture) if self.lit else None

        def lay(row: int) -> None:
            y, x = np.nonzero(take.weight[row : row + ROWS] > 0)
            y += row
            painted, strokes = take.anchor.strokes.at(take.places.rows[y, x], take.places.columns[y, x])
            if changed is not None:
                painted += changed[:, y, x]
            blend.lay(y, x, painted, strokes, take.weight[y, x])

        by_rows(picture.shape[1], lay)

    def _changed(self, take: _Take, picture: Floats) -> Floats:
        """(3, H, W): how the painting changes as the light has changed since the anchor."""
        change = np.zeros_like(picture)

        def compare(row: int) -> None:
            y, x = np.nonzero(take.weight[row : row + ROWS] > 0)
            y += row
            before = bilinear(take.anchor.picture, take.places.rows[y, x], take.places.columns[y, x])
            change[:, y, x] = picture[:, y, x] - before

        by_rows(picture.shape[1], compare)
        return lit_change(change, take.weight > 0, take.anchor.answer, self.stroke)


def area(found: Places, objects: NDArray) -> Floats:
    """(H, W): with how many pixels the anchor shows what one of the frame shows, as a power of e."""
    most, least = _spans(*_few(found, objects))
    return enlarged((most + least)[None], objects.shape)[0]


def keeps_size(found: Places, objects: NDArray) -> Floats:
    """(H, W): 1 where strokes keep about their size, 0 where they do not."""
    most, least = _spans(*_few(found, objects))
    stays = (1 - step(np.exp(most), *GIVES_WAY)) * (1 - step(np.exp(-least), *GIVES_WAY))
    return enlarged(stays[None], objects.shape)[0]


def _few(found: Places, objects: NDArray) -> tuple[Places, NDArray]:
    """Every COARSEth pixel, as Surfaces.reduced takes them"""
    some = np.s_[COARSE // 2 :: COARSE, COARSE // 2 :: COARSE]
    return Places(found.rows[some], found.columns[some], found.found[some]), objects[some]


def _spans(few: Places, objects: NDArray) -> tuple[Floats, Floats]:
    """How many pixels one of the other frame spans, in the direction in which it spans most and in the other, as powers
    of e. few, objects: of every COARSEth pixel."""
    most, least = (np.log(np.maximum(span, 1e-3) / COARSE) for span in few.scales(objects))
    known = np.isfinite(most)
    most, least = (_filled(np.where(known, one, 0), known) for one in (most, least))
    return most, least


def _filled(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """Smoothed among what is known; 0 far from it."""
    both = np.stack([np.where(known, values, 0), known]).astype(np.float32)
    both = blurred(blurred(both, 1.0, 1), 1.0, 2)
    return np.asarray(both[0] / np.maximum(both[1], np.float32(1e-3)))
