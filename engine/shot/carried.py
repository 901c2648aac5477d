"""Strokes that are carried on from frame to frame by Blender's Vector pass: in order, one frame after the other.

What is carried is not the picture, which would get softer with each frame, but for every pixel the frames and the
places in which its strokes were painted (Bousseau et al., "Video Watercolorization using Bidirectional Texture
Advection", 2007, carry coordinates, too). Where a surface comes into view, strokes are painted anew: so a frame shows
several coats, each painted in another frame, whose borders are carried on, too.

It needs Vector, and Depth or the object index (motion.motion); no Position, no shot.json. Its frames depend on all that
came before them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..canvas import ROWS, by_rows
from ..explain.overlay import finished
from ..motion import SKY, Ways, bilinear, ways, ways_to
from ..noise import Moved
from ..passes import Passes, first_ids
from ..picture import Floats
from .coarse import enlarged, smooth
from .coming import moved_on, revealed
from .light import LIGHT, answer_to_light, lit_change
from .silhouettes import clearness, soften
from .strokes import Blend, Strokes
from .surfaces import Places, camera_of, inside_frame, within_frame

MOST_COATS = 8
"""Frames of which strokes are carried; beyond, the two smallest become one, of what they look like by then: that
softens their strokes once, and they count as painted in the light of then"""
CLEARER = 0.9
"""What came into view at a silhouette was painted with strokes of both sides: it is painted once more when it is this
much clearer of it"""
SPAN = 6.0
"""Pixels of the origin to one of the frame, or the other way round, from which on strokes are painted anew: between the
two of held.GIVES_WAY, for here all of a face changes at once"""
FEWEST = 0.01
"""Share below which strokes have no part in a pixel: else every border would grow by a pixel a frame"""
LEAST = 0.25
"""Share of what strokes are there up to which a pixel is painted anew"""
OTHER_LIGHT = 0.045
"""Display values by which light may be another than the strokes were painted in, once it rests: then they are painted
anew in it. The edge of a shadow that has gone would stay in them"""
RESTS = 0.015
"""The same, up to which light rests from one frame to the next"""
SAME_PATCH = 5.0
"""Pixels between the origins of two pixels side by side, up to which their strokes were painted side by side"""


@dataclass(frozen=True, eq=False)
class _Origin:
    """A frame in which strokes were painted."""

    strokes: Strokes
    picture: Floats | None
    """(3, H, W); None where light asks nothing"""
    objects: NDArray[np.uint32]
    """(H, W): passes.first_ids"""


@dataclass(frozen=True, eq=False)
class _Coat:
    """The strokes of one frame, where they have been carried to."""

    origin: _Origin
    share: Floats
    """(H, W): the part that they have in each pixel"""
    rows: Floats
    """(H, W): where in the origin each was painted; anything where they have no part"""
    columns: Floats


@dataclass(frozen=True, eq=False)
class _State:
    """Where the strokes of a frame were painted."""

    passes: Passes
    coats: tuple[_Coat, ...]
    """Their shares together are 1"""
    clear: Floats
    """(H, W): how clear of silhouettes (clearness) the strokes were painted"""
    picture: Floats
    """(3, H, W)"""
    lit: Floats
    """(H, W): by how much the light is another than the strokes were painted in, display values"""
    moved: Moved
    """How far surfaces have moved since their strokes were painted, or those beside them"""


@dataclass(frozen=True, eq=False)
class _Next:
    """The way to the next frame, told once."""

    passes: Passes
    way: Ways
    moved: Moved


class Carried:
    """The frames of a shot, one after the other."""

    def __init__(self, stroke: float = 1.0, lit: bool = True) -> None:
        """lit: see held.Held."""
        self.stroke, self.lit = stroke, lit
        self._state: _State | None = None
        self._next: _Next | None = None
        self._answer = np.zeros((3, 3), np.float32)

    def to_paint(self, passes: Passes, picture: Floats) -> Generator[None, None, tuple[Floats, Moved | None]]:
        """What a style is to see of the next frame (3, H, W), and how its noise has moved: what comes into view goes on
        where strokes beside it end. Else each strip would begin with the same strokes, and they would look like a comb.
        In steps, as `painting`."""
        there = self._way_to(passes)
        yield
        if there is None:
            return picture, None
        return revealed(picture, ~there.way.visible, first_ids(passes), self.stroke), there.moved

    def _way_to(self, passes: Passes) -> _Next | None:
        """None to the first frame"""
        state = self._state
        if state is None or state.clear.shape != (passes.height, passes.width):
            return None
        if self._next is None or self._next.passes is not passes:
            way = _with_sky(ways(state.passes, passes), state.passes, passes)
            self._next = _Next(passes, way, moved_on(state.moved, way, first_ids(passes)))
        return self._next

    def painted(self, passes: Passes, picture: Floats, fresh: Floats) -> tuple[Floats, float]:
        """The next frame, planes (3, H, W) 0..1, and the share of it that is painted anew. picture, fresh: see Held."""
        return finished(self.painting(passes, picture, fresh))

    def painting(self, passes: Passes, picture: Floats, fresh: Floats) -> Generator[None, None, tuple[Floats, float]]:
        """The same in steps, between which a job can be cancelled."""
        objects = first_ids(passes)
        clear = clearness(objects, self.stroke)
        origin = self._origin(fresh, picture, passes)
        there = self._way_to(passes)
        if self._state is None or there is None:
            self._answer = answer_to_light(picture, fresh, self.stroke)
            self._state, self._next = _begun(passes, origin, clear, picture), None
            return fresh, 1.0
        state, anew = _followed(self._state, there, objects)
        yield
        anew |= clear > state.clear + CLEARER
        if self.lit:
            anew |= (state.lit > OTHER_LIGHT) & self._rests(there.way, picture) & (clear == 1)
        state = _with_origin(state, anew, clear, origin)
        blend, lit = yield from self._laid(state.coats, picture)
        result = blend.painted()
        state = replace(state, picture=picture, lit=lit)
        if len(state.coats) > MOST_COATS:
            state = yield from self._fewer(state, result, picture)
        if "Depth" in passes:
            soften(result, objects, passes["Depth"][..., 0].astype(np.float32), self.stroke)
        self._state, self._next = state, None
        return result, float(anew.mean())

    def _rests(self, way: Ways, picture: Floats) -> NDArray[np.bool_]:
        """(H, W): where light is what it was a frame ago."""
        assert self._state is not None
        was = bilinear(self._state.picture, way.rows, way.columns)
        changed = np.where(way.visible, np.abs(picture - was).mean(axis=0), 0)
        return enlarged(smooth(changed[None], LIGHT * self.stroke), changed.shape)[0] < RESTS

    def _origin(self, painted: Floats, picture: Floats, passes: Passes) -> _Origin:
        objects = first_ids(passes).astype(np.uint32)
        return _Origin(Strokes.of(painted, self.stroke), picture if self.lit else None, objects)

    def _laid(self, coats: Sequence[_Coat], picture: Floats) -> Generator[None, None, tuple[Blend, Floats]]:
        """All of them in the light of a frame, and (H, W) by how much that is another than they were painted in."""
        blend, lit = Blend((picture.shape[1], picture.shape[2]), self.stroke), np.zeros(picture.shape[1:], np.float32)
        for coat in coats:
            yield
            change = self._change(coat, picture)
            if change is not None:
                lit += coat.share * np.abs(change).mean(axis=0)
                change = lit_change(change, coat.share > 0, self._answer, self.stroke)
            _lay(coat, change, blend)
        return blend, enlarged(smooth(lit[None], LIGHT * self.stroke), lit.shape)[0]

    def _fewer(self, state: _State, result: Floats, picture: Floats) -> Generator[None, None, _State]:
        """The two smallest coats as one, of what they have become."""
        *others, last, least = sorted(state.coats, key=lambda coat: -float(coat.share.sum(dtype=np.float64)))
        share = last.share + least.share
        blend, _ = yield from self._laid((last, least), picture)
        with_others = (share > 0) & (share < 1 - FEWEST)
        theirs = np.where(with_others, blend.painted(), result)
        origin = self._origin(theirs, picture, state.passes)
        return replace(state, coats=(*others, replace(_painted(origin, share > 0), share=share)))

    def _change(self, coat: _Coat, picture: Floats) -> Floats | None:
        """(3, H, W): how the picture has changed since the strokes were painted; None where light asks nothing."""
        was = coat.origin.picture
        if was is None:
            return None
        change = np.zeros_like(picture)

        def compare(row: int) -> None:
            y, x = _there(coat, row)
            change[:, y, x] = picture[:, y, x] - bilinear(was, coat.rows[y, x], coat.columns[y, x])

        by_rows(picture.shape[1], compare)
        return change


def _lay(coat: _Coat, change: Floats | None, blend: Blend) -> None:
    """Add its strokes, as far as they have a part. change: (3, H, W), of what is painted"""

    def lay(row: int) -> None:
        y, x = _there(coat, row)
        painted, strokes = coat.origin.strokes.at(coat.rows[y, x], coat.columns[y, x])
        if change is not None:
            painted += change[:, y, x]
        blend.lay(y, x, painted, strokes, coat.share[y, x])

    by_rows(coat.share.shape[0], lay)


def _there(coat: _Coat, row: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pixels of a few rows in which a coat has a part"""
    y, x = np.nonzero(coat.share[row : row + ROWS])
    return y + row, x


def _painted(origin: _Origin, where: NDArray[np.bool_]) -> _Coat:
    """Strokes where they were painted"""
    rows, columns = np.indices(where.shape, np.float32)
    return _Coat(origin, where.astype(np.float32), rows, columns)


def _begun(passes: Passes, origin: _Origin, clear: Floats, picture: Floats) -> _State:
    """One coat, which lies where it was painted."""
    coat = _painted(origin, np.ones(clear.shape, bool))
    still = Moved(np.zeros((2, *clear.shape), np.float32))
    return _State(passes, (coat,), clear, picture, np.zeros_like(clear), still)


def _followed(state: _State, there: _Next, objects: NDArray[np.int64]) -> tuple[_State, NDArray[np.bool_]]:
    """Where the strokes of the next frame were painted, and where (H, W) nothing of it was in view."""
    way = there.way
    coats = [_moved(coat, way, objects, at) for coat, at in zip(state.coats, _reached(state.coats, way), strict=True)]
    total = np.sum([coat.share for coat in coats], axis=0)
    kept = np.asarray(total >= LEAST)
    coats = [replace(coat, share=np.where(kept, coat.share / np.where(kept, total, 1), 0)) for coat in coats]
    clear, lit = (plane.ravel()[way.nearest] for plane in (state.clear, state.lit))
    return _State(there.passes, tuple(coats), clear, state.picture, lit, there.moved), ~kept


def _reached(coats: Sequence[_Coat], way: Ways) -> list[NDArray[np.intp]]:
    """Of each coat the pixels, counted row by row, that go on from one of its own."""
    mine, around = np.zeros(way.size, np.uint8), np.zeros(way.size, np.uint8)  # a bit for each: MOST_COATS
    for index, coat in enumerate(coats):
        mine |= (coat.share > 0).astype(np.uint8) << np.uint8(index)
    for corner, weight in zip(way.corners, way.weights, strict=True):
        around |= mine.ravel()[corner] * (weight > 0)
    return [np.flatnonzero(around & (1 << index)) for index in range(len(coats))]


def _moved(coat: _Coat, way: Ways, objects: NDArray[np.int64], at: NDArray[np.intp]) -> _Coat:
    """A coat in the next frame, in the pixels `at`. Shares are carried as pictures are, so that the border between
    two coats moves with what it lies on, and never jumps to the next pixel; strokes are not."""
    corners = way.corners.reshape(4, -1)[:, at]
    parts = way.weights.reshape(4, -1)[:, at] * coat.share.ravel()[corners]
    share = parts.sum(axis=0)
    rows, columns = _origins(coat, way, corners, parts, at)
    good = inside_frame(way.size, rows, columns) & (share > FEWEST)
    rows, columns = within_frame(way.size, rows, columns)
    shows = coat.origin.objects[np.rint(rows).astype(np.intp), np.rint(columns).astype(np.intp)]
    good &= shows == objects.ravel()[at]  # beyond a silhouette lies another thing
    planes = [np.zeros(objects.shape, np.float32) for _ in range(3)]
    for plane, values in zip(planes, (share * good, rows, columns), strict=True):
        plane.ravel()[at] = values
    return _sized(_Coat(coat.origin, *planes), objects)


def _origins(
    coat: _Coat, way: Ways, corners: NDArray[np.intp], parts: Floats, at: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """(N,) each: the row and the column of the origin in which the strokes of the pixels `at` were painted: between
    those that they go on from where these were painted side by side, else on from the one that has most part."""
    width = way.size[1]
    steps = way.rows.ravel()[at] - corners // width, way.columns.ravel()[at] - corners % width
    known = [plane.ravel()[corners] for plane in (coat.rows, coat.columns)]
    torn = np.any([_spread(one, parts > 0) > SAME_PATCH for one in known], axis=0)
    parts = np.where(torn & (parts < parts.max(axis=0)), 0, parts)
    total = np.maximum(parts.sum(axis=0), np.float32(1e-9))
    rows, columns = (((one + step) * parts).sum(axis=0) / total for one, step in zip(known, steps, strict=True))
    return rows.astype(np.float32), columns.astype(np.float32)


def _spread(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """(N,): from the least to the most of (4, N)"""
    return np.where(known, values, -np.inf).max(axis=0) - np.where(known, values, np.inf).min(axis=0)


def _sized(coat: _Coat, objects: NDArray[np.int64]) -> _Coat:
    """Without strokes that are too large or too small by now."""
    most, least = Places(coat.rows, coat.columns, coat.share > 0).scales(objects)
    with np.errstate(invalid="ignore"):  # NaN where a pixel stands alone: it stays
        return replace(coat, share=np.where((most > SPAN) | (least < 1 / SPAN), 0, coat.share))


def _with_sky(way: Ways, before: Passes, now: Passes) -> Ways:
    """Also of what is infinitely far away, for which Vector is 0 whatever the camera does: by the cameras, where
    Position tells them; else it stands where it stood."""
    far, was_far = (passes["Depth"][..., 0] >= SKY if "Depth" in passes else None for passes in (now, before))
    if far is None or was_far is None or not far.any():
        return way
    places = [place.astype(np.float64) for place in np.nonzero(far)]
    cameras = camera_of(now), camera_of(before)
    if cameras[0] and cameras[1]:
        places = list(cameras[1].project_far(cameras[0].directions(*places)))
    seen = inside_frame(way.size, *places)
    rows, columns = (_plane(far, place) for place in within_frame(way.size, *(np.where(seen, p, 0) for p in places)))
    in_view = _plane(far, seen)
    sky = ways_to(rows, columns, lambda y, x: in_view & was_far[y, x])
    return Ways(
        np.where(far, sky.rows, way.rows),
        np.where(far, sky.columns, way.columns),
        np.where(far, sky.visible, way.visible),
        np.where(far, sky.corners, way.corners),
        np.where(far, sky.weights, way.weights),
    )


def _plane(where: NDArray[np.bool_], values: NDArray) -> NDArray:
    """(H, W): values (N,) there, 0 elsewhere"""
    plane = np.zeros(where.shape, bool if values.dtype == bool else np.float32)
    plane[where] = values
    return plane


def _with_origin(state: _State, anew: NDArray[np.bool_], clear: Floats, origin: _Origin) -> _State:
    """The frame's own strokes where `anew`; coats of which nothing is left are let go."""
    coats = [replace(coat, share=np.where(anew, 0, coat.share)) for coat in state.coats]
    coats = [coat for coat in (*coats, _painted(origin, anew)) if coat.share.any()]
    return replace(state, coats=tuple(coats), clear=np.where(anew, clear, state.clear))
