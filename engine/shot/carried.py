"""Strokes that are carried on from frame to frame by Blender's Vector pass: in order, one frame after the other.

What is carried is not the picture, which would get softer with each frame, but for every pixel the frame and the place
that its stroke was painted in (Bousseau et al., "Video Watercolorization using Bidirectional Texture Advection", 2007,
carry coordinates, too). Where a surface comes into view, strokes are painted anew.

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
from ..motion import SKY, Ways, bilinear, ways
from ..passes import Passes, first_ids
from ..picture import Floats
from .held import answer_to_light, between, clearness, lit_change, sharpened, soften
from .surfaces import Places, camera_of, inside_frame, within_frame

MOST_ORIGINS = 6
"""Frames of which strokes are carried; beyond, all are taken from the last result, which softens them once"""
CLEARER = 0.9
"""What came into view at a silhouette was painted with strokes of both sides: it is painted once more when it is this
much clearer of it"""
NEIGHBOURS = 5
"""Of eight"""
SPAN = 6.0
"""Pixels of the origin to one of the frame, or the other way round, from which on strokes are painted anew: between the
two of held.GIVES_WAY, for here all of a face changes at once"""
SAME_PATCH = 3.0
"""Pixels between the origins of two pixels side by side, up to which their strokes were painted side by side"""


@dataclass(frozen=True, eq=False)
class _Origin:
    strokes: Floats
    """(H, W, 3) of held.sharpened"""
    picture: Floats
    """(3, H, W)"""
    objects: NDArray[np.int64]
    """(H, W): passes.first_ids"""


@dataclass(frozen=True, eq=False)
class _State:
    """Where the strokes of a frame were painted."""

    passes: Passes
    origins: tuple[_Origin, ...]
    owner: NDArray[np.int64]
    """(H, W): the origin"""
    rows: Floats
    columns: Floats
    clear: Floats
    """(H, W): how clear of silhouettes (held.clearness) the stroke was painted"""


class Carried:
    """The frames of a shot, one after the other."""

    def __init__(self, stroke: float = 1.0, lit: bool = True) -> None:
        """lit: see held.Held."""
        self.stroke, self.lit = stroke, lit
        self._state: _State | None = None
        self._answer = np.zeros((3, 3), np.float32)

    def painted(self, passes: Passes, picture: Floats, fresh: Floats) -> tuple[Floats, float]:
        """The next frame, planes (3, H, W) 0..1, and the share of it that is painted anew. picture, fresh: see Held."""
        return finished(self.painting(passes, picture, fresh))

    def painting(self, passes: Passes, picture: Floats, fresh: Floats) -> Generator[None, None, tuple[Floats, float]]:
        """The same in steps, between which a job can be cancelled."""
        if self._state is None or self._state.owner.shape != fresh.shape[1:]:
            self._answer = answer_to_light(picture, fresh, self.stroke)
            self._state = _begun(passes, _Origin(sharpened(fresh), picture, first_ids(passes)), self._clear(passes))
            return fresh, 1.0
        state, anew = _followed(self._state, passes)
        yield
        clear = self._clear(passes)
        anew = _patches(anew | (clear > state.clear + CLEARER))
        state = _with_origin(state, anew, clear, _Origin(sharpened(fresh), picture, first_ids(passes)))
        result = yield from self._laid(state, picture)
        if "Depth" in passes:
            soften(result, first_ids(passes), passes["Depth"][..., 0].astype(np.float32), self.stroke)
        if len(state.origins) > MOST_ORIGINS:
            state = _begun(passes, _Origin(sharpened(result), picture, first_ids(passes)), state.clear)
        self._state = state
        return result, float(anew.mean())

    def _clear(self, passes: Passes) -> Floats:
        return clearness(first_ids(passes), self.stroke)

    def _laid(self, state: _State, picture: Floats) -> Generator[None, None, Floats]:
        result, before = np.empty_like(picture), np.empty_like(picture)

        def lay(row: int) -> None:
            for index, origin in enumerate(state.origins):
                y, x = np.nonzero(state.owner[row : row + ROWS] == index)
                y += row
                rows, columns = state.rows[y, x], state.columns[y, x]
                result[:, y, x] = between(origin.strokes, rows, columns).T
                before[:, y, x] = bilinear(origin.picture, rows, columns)

        by_rows(picture.shape[1], lay)
        for index in range(len(state.origins)) if self.lit else ():
            yield
            mine = state.owner == index  # light has changed by as much as each stroke is old
            result[:, mine] += lit_change(picture - before, mine, self._answer, self.stroke)[:, mine]
        return np.clip(result, 0, 1, out=result)


def _begun(passes: Passes, origin: _Origin, clear: Floats) -> _State:
    rows, columns = np.indices(origin.picture.shape[1:], np.float32)
    return _State(passes, (origin,), np.zeros(rows.shape, np.int64), rows, columns, clear)


def _followed(state: _State, passes: Passes) -> tuple[_State, NDArray[np.bool_]]:
    """Where the strokes of the next frame were painted, and where (H, W) nothing of it was in view."""
    way = _with_sky(ways(state.passes, passes), state.passes, passes)
    owner, objects = state.owner[way.top, way.left], first_ids(passes)
    rows, columns = _origins(state, way, owner, objects)
    size = (passes.height, passes.width)
    inside = inside_frame(size, rows, columns)
    rows, columns = within_frame(size, rows, columns)
    inside &= _shown(state.origins, owner, rows, columns) == objects  # beyond a silhouette lies another thing
    found = Places(rows.astype(np.float32), columns.astype(np.float32), way.visible & inside)
    most, least = found.scales(owner)
    with np.errstate(invalid="ignore"):  # NaN where a pixel stands alone: it stays
        anew = ~found.found | (most > SPAN) | (least < 1 / SPAN)
    clear = state.clear[way.top, way.left]
    return replace(state, passes=passes, owner=owner, rows=found.rows, columns=found.columns, clear=clear), anew


def _origins(state: _State, way: Ways, owner: NDArray, objects: NDArray) -> tuple[Floats, Floats]:
    """(H, W) each: the row and the column of the origin in which the stroke of each pixel was painted; between pixels
    where those around are of one patch, else going on from the one pixel that is known."""
    smooth = _smooth(state, way, owner, objects)
    rows, columns = (
        np.where(smooth, bilinear(known[None], way.rows, way.columns)[0], known[way.top, way.left] + place - nearest)
        for known, place, nearest in ((state.rows, way.rows, way.top), (state.columns, way.columns, way.left))
    )
    return rows, columns


def _shown(origins: Sequence[_Origin], owner: NDArray, rows: NDArray, columns: NDArray) -> NDArray[np.int64]:
    """(H, W): the object that each pixel's origin shows at its place"""
    shown = np.empty(owner.shape, np.int64)
    for index, origin in enumerate(origins):
        mine = owner == index
        shown[mine] = origin.objects[tuple(np.rint(place[mine]).astype(np.intp) for place in (rows, columns))]
    return shown


def _with_sky(way: Ways, before: Passes, now: Passes) -> Ways:
    """Also of what is infinitely far away, for which Vector is 0 whatever the camera does: by the cameras, where
    Position tells them; else it stands where it stood."""
    far, was_far = (passes["Depth"][..., 0] >= SKY if "Depth" in passes else None for passes in (now, before))
    if far is None or was_far is None or not far.any():
        return way
    rows, columns = (place.astype(np.float64) for place in np.nonzero(far))
    cameras = camera_of(now), camera_of(before)
    if cameras[0] and cameras[1]:
        rows, columns = cameras[1].project_far(cameras[0].directions(rows, columns))
    seen = inside_frame((now.height, now.width), rows, columns)
    rows, columns = within_frame((now.height, now.width), np.where(seen, rows, 0), np.where(seen, columns, 0))
    seen &= was_far[np.rint(rows).astype(np.intp), np.rint(columns).astype(np.intp)]
    result = Ways(way.rows.copy(), way.columns.copy(), way.visible.copy(), way.top.copy(), way.left.copy())
    result.rows[far], result.columns[far], result.visible[far] = rows, columns, seen
    result.top[far], result.left[far] = np.rint(rows), np.rint(columns)
    return result


def _smooth(state: _State, way: Ways, owner: NDArray, objects: NDArray) -> NDArray[np.bool_]:
    """(H, W): the four pixels around each place show the same thing, with strokes of one origin, painted side by
    side."""
    rows, columns, shown = way.rows, way.columns, first_ids(state.passes)
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    bottom, right = np.minimum(top + 1, owner.shape[0] - 1), np.minimum(left + 1, owner.shape[1] - 1)
    smooth = np.ones(owner.shape, bool)
    first = state.rows[top, left], state.columns[top, left]
    for corner in ((top, left), (top, right), (bottom, left), (bottom, right)):
        smooth &= (state.owner[corner] == owner) & (shown[corner] == objects)
        for known, start in zip((state.rows, state.columns), first, strict=True):
            smooth &= np.abs(known[corner] - start) < SAME_PATCH
    return smooth


def _patches(anew: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Also pixels that have most of their neighbours painted anew: a stroke is wider than a pixel."""
    wide = np.pad(anew, 1).astype(np.uint8)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return np.asarray(anew | (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] >= NEIGHBOURS))


def _with_origin(state: _State, anew: NDArray[np.bool_], clear: Floats, origin: _Origin) -> _State:
    """The frame's own strokes where `anew`; origins of which nothing is left are let go."""
    owner = np.where(anew, len(state.origins), state.owner)
    kept, owner = np.unique(owner, return_inverse=True)
    origins = (*state.origins, origin)
    rows, columns = np.indices(anew.shape, np.float32)
    return replace(
        state,
        origins=tuple(origins[index] for index in kept),
        owner=owner.reshape(anew.shape),
        rows=np.where(anew, rows, state.rows),
        columns=np.where(anew, columns, state.columns),
        clear=np.where(anew, clear, state.clear),
    )
