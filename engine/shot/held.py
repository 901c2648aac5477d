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
from .camera import turned
from .record import Frame, Shot
from .surfaces import Places, Surfaces, places

CLEAR = (0.0, 5.0)
"""Pixels, times the stroke size, from a silhouette: up to the first an anchor's strokes are of two surfaces, beyond the
second of one alone"""
BETTER = (0.7, 1.2)
"""An anchor gives way to another that shows a place with two to three times its pixels (powers of e): what was painted
on a sliver would come to stand smeared over a face. That is told in the anchor itself, so in all frames alike: nothing
changes hands while things move"""
GIVES_WAY = (4.0, 8.0)
"""Pixels of the anchor to one of the frame, or the other way round, over which strokes give way to fresh ones: by
then they are too large or too small"""
COARSE = 4
"""Pixels over which weights and light are told: they change little from one to the next"""
LIGHT = 4.0
"""Pixels, times the stroke size: light that changes within less counts as grain of the render"""
TONES = 4.0
"""The same, over which a style's answer to colours is measured"""
RIDGE = 1e-3
"""Keeps the answer to colours that an anchor hardly shows at bay"""
SOFT = 0.6
"""Deviation in pixels, times the stroke size, by which silhouettes are softened: about as soft as styles paint them"""
_SIDES = (slice(None, -1), slice(1, None))
_POLE = np.float32(3**0.5 - 2)
_MEMORY = 16
"""Lines after which nothing that a float holds is left of a pixel: the pole's 16th power is 7e-10"""
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
    def strokes(self) -> Floats:
        """(H, W, 3): what is painted, to be read between its pixels"""
        return sharpened(self.painted)

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
        result = fresh * left
        for take in takes:
            if take.weight.any():
                yield
                self._lay(take, picture, result)
        np.clip(result, 0, 1, out=result)
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
        """(1, H, W) of each anchor: 1 where its strokes are of one surface alone and no other anchor shows that much
        better, down to 0. Kept for the next frame, which mostly has the same anchors."""
        numbers = tuple(anchor.frame.number for anchor in anchors)
        if numbers != self._firsts[0]:
            firsts = []
            for anchor in anchors:
                firsts.append(anchor.clear * (1 - self._outdone(anchor, anchors)))
                yield
            self._firsts = numbers, firsts
        return self._firsts[1]

    def _outdone(self, anchor: Anchor, anchors: Sequence[Anchor]) -> Floats:
        """(H, W): 1 where another anchor shows a place of this one much better, 0 where none does."""
        few = anchor.surfaces.reduced(COARSE)
        best = np.zeros(few.size, np.float32)
        for other in anchors:
            if other is not anchor:
                found = places(few, other.surfaces, anchor.frame.poses, other.frame.poses, self.shot.deforming)
                most, least = _spans(found, few.objects)
                best = np.where(found.found, np.maximum(best, most + least), best)
        return _enlarged(_step(best, *BETTER)[None], anchor.surfaces.size)[0]

    def _over(self) -> bool:
        return sum(anchor.bytes for anchor in self._kept.values()) > _BYTES

    def _lay(self, take: _Take, picture: Floats, result: Floats) -> None:
        """Add what an anchor gives, in the light of this frame."""
        changed = self._changed(take, picture) if self.lit else None

        def lay(row: int) -> None:
            some = slice(row, row + ROWS)
            y, x = np.nonzero(take.weight[some] > 0)
            y += row
            given = between(take.anchor.strokes, take.places.rows[y, x], take.places.columns[y, x]).T
            if changed is not None:
                given += changed[:, y, x]
            result[:, y, x] += np.clip(given, 0, 1) * take.weight[y, x]

        by_rows(result.shape[1], lay)

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


# ---------------------------------------------------------------- light


def answer_to_light(picture: Floats, painted: Floats, stroke: float) -> Floats:
    """(3, 3): what becomes of a small change of colour; the linear part of the best affine map from what a style saw to
    what it painted, both (3, H, W) and both without strokes."""
    seen, answered = (_tones(planes, TONES * stroke).reshape(3, -1) for planes in (picture, painted))
    ones = np.vstack([seen, np.ones((1, seen.shape[1]), np.float32)]).astype(np.float64)
    # summed plane by plane, in the same order on every processor (see camera.turned)
    both = [[float((mine * other).sum()) for other in (*ones, *answered)] for mine in ones]
    known, wanted = np.split(np.array(both), [4], axis=1)
    ridge = RIDGE * seen.shape[1] * np.diag([1.0, 1.0, 1.0, 0.0])
    return np.asarray(np.linalg.solve(known + ridge, wanted).T[:, :3], np.float32)


def lit_change(change: Floats, found: NDArray[np.bool_], answer: Floats, stroke: float) -> Floats:
    """(3, H, W): how a painting changes as its picture has changed (3, H, W), in more than its grain. found: (H, W),
    where that is known."""
    deviation = LIGHT * stroke / COARSE
    smooth, share = (
        blurred(blurred(_reduced(planes), deviation, 1), deviation, 2)
        for planes in (np.where(found, change, 0), found[None].astype(np.float32))
    )
    light = turned(answer, smooth / np.maximum(share, np.float32(0.05)))
    return _enlarged(light.astype(np.float32), found.shape)


# ---------------------------------------------------------------- parts


def sharpened(planes: Floats) -> Floats:
    """(H, W, C) of planes (C, H, W): the coefficients of the cubic B-spline that goes through the pixels, which keeps
    strokes that other kernels of its size would soften (Unser, Aldroubi & Eden, "B-spline signal processing", 1993; a
    recursive filter of pole sqrt(3) - 2 there and back along each axis).

    Beyond the border lies the mirror image, the outermost pixel twice: the coefficient there is that of the outermost
    pixel, as `between` takes it."""
    result = planes.transpose(1, 2, 0).astype(np.float32)
    for axis in (0, 1):
        lines = np.moveaxis(result, axis, 0)
        lines[0] = _from_beyond(lines)
        for line in range(1, len(lines)):
            lines[line] += _POLE * lines[line - 1]
        lines[-1] /= 1 - _POLE
        for line in range(len(lines) - 2, -1, -1):
            lines[line] += _POLE * lines[line + 1]
        lines *= -6 * _POLE
    return np.ascontiguousarray(result)  # colours lie together, as `between` takes them


def _from_beyond(lines: Floats) -> Floats:
    """What the filter has gathered at the first line when it comes from far beyond the border"""
    mirrored = np.pad(np.arange(len(lines)), (0, _MEMORY), "symmetric")
    gathered = np.zeros_like(lines[0])
    for line in mirrored[:_MEMORY][::-1]:
        gathered = (gathered + lines[line]) * _POLE
    return np.asarray(lines[0] + gathered)


def between(coefficients: Floats, rows: Floats, columns: Floats) -> Floats:
    """(N, C): the spline of `sharpened` at places between the pixels."""
    height, width, channels = coefficients.shape
    pixels = coefficients.reshape(-1, channels)
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    down, across = _bumps(rows - top), _bumps(columns - left)
    near = [np.clip(left + x - 1, 0, width - 1) for x in range(len(across))]
    total = np.zeros((len(rows), channels), np.float32)
    for y, weight_down in enumerate(down):
        first = np.clip(top + y - 1, 0, height - 1) * width
        for column, weight_across in zip(near, across, strict=True):
            total += pixels.take(first + column, axis=0) * (weight_down * weight_across)[:, None]
    return total


def _bumps(t: Floats) -> tuple[Floats, ...]:
    """The four cubic B-splines that reach a place t (0..1) after the second of their middles"""
    t = t.astype(np.float32)
    rest = 1 - t
    outer, inner = t * t * t / 6, 2 / 3 - t * t * (2 - t) / 2
    return rest * rest * rest / 6, inner, 2 / 3 - rest * rest * (2 - rest) / 2, outer


def clearness(objects: NDArray, stroke: float) -> Floats:
    """(H, W): 1 where the strokes of a frame are of one surface alone, 0 on silhouettes."""
    return cleared(silhouettes(objects), stroke)


def cleared(rim: NDArray[np.bool_], stroke: float) -> Floats:
    """(H, W): 0 on a rim (H, W), and up to 1 away from it."""
    near, far = (round(edge * stroke) for edge in CLEAR)
    clear = np.ones(rim.shape, np.float32)
    for ring in range(far):
        clear[rim & (clear == 1)] = max(0, ring - near) / (far - near)
        rim = wider(rim)
    return clear


def silhouettes(objects: NDArray, depth: Floats | None = None) -> NDArray[np.bool_]:
    """(H, W): pixels beside another object; with a depth only those of the nearer one."""
    rim = np.zeros(objects.shape, bool)
    for axis in (0, 1):
        first, second = (tuple(side if a == axis else slice(None) for a in (0, 1)) for side in _SIDES)
        edge = objects[first] != objects[second]
        nearer = None if depth is None else depth[first] <= depth[second]
        rim[first] |= edge if nearer is None else edge & nearer
        rim[second] |= edge if nearer is None else edge & ~nearer
    return rim


def wider(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    wide = np.pad(mask, 1)
    return wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]


def area(found: Places, objects: NDArray) -> Floats:
    """(H, W): with how many pixels the anchor shows what one of the frame shows, as a power of e."""
    most, least = _spans(*_few(found, objects))
    return _enlarged((most + least)[None], objects.shape)[0]


def keeps_size(found: Places, objects: NDArray) -> Floats:
    """(H, W): 1 where strokes keep about their size, 0 where they do not."""
    most, least = _spans(*_few(found, objects))
    stays = (1 - _step(np.exp(most), *GIVES_WAY)) * (1 - _step(np.exp(-least), *GIVES_WAY))
    return _enlarged(stays[None], objects.shape)[0]


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


def _step(values: Floats, low: float, high: float) -> Floats:
    """0 up to low, 1 from high on, smooth between"""
    x = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1).astype(np.float32)
    return np.asarray(x * x * (3 - 2 * x))


def soften(result: Floats, objects: NDArray, depth: Floats, stroke: float) -> None:
    """Silhouettes without steps, in place: things that hold their strokes are cut out by the pixel. Only the pixels of
    the nearer thing change: what lies behind stays as it is while things pass before it."""
    rim = silhouettes(objects, depth)
    soft = blurred(blurred(result, SOFT * stroke, 1), SOFT * stroke, 2)
    result[:, rim] = soft[:, rim]


def _tones(planes: Floats, deviation: float) -> Floats:
    """Without strokes, reduced"""
    small = _reduced(planes)
    return blurred(blurred(small, deviation / COARSE, 1), deviation / COARSE, 2)


def _reduced(planes: Floats) -> Floats:
    """Means over squares of COARSE pixels; borders are repeated."""
    _, height, width = planes.shape
    wide = np.pad(planes, ((0, 0), (0, -height % COARSE), (0, -width % COARSE)), "edge")
    return wide.reshape(len(planes), wide.shape[1] // COARSE, COARSE, -1, COARSE).mean(axis=(2, 4), dtype=np.float32)


def _enlarged(planes: Floats, size: Sequence[int]) -> Floats:
    """Back from COARSE, along straight lines."""
    for axis in (1, 2):
        places_ = (np.arange(size[axis - 1], dtype=np.float32) + 0.5) / COARSE - 0.5
        low = np.clip(np.floor(places_).astype(np.intp), 0, planes.shape[axis] - 1)
        high = np.minimum(low + 1, planes.shape[axis] - 1)
        part = np.clip(places_ - low, 0, 1)
        part = part[:, None] if axis == 1 else part
        planes = np.take(planes, low, axis) * (1 - part) + np.take(planes, high, axis) * part
    return np.asarray(planes, np.float32)
