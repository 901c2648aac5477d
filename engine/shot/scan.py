"""Looks at a shot once: where its camera stands in each frame, how objects move, and which frames hold the strokes.

The anchors are chosen as a set that covers most of what all frames show (greedily, each time the frame that shows most
of what no other does; Chvatal, "A greedy heuristic for the set-covering problem", 1979), on frames reduced to a hundred
or so pixels.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import NewFile, writing
from ..errors import EngineError
from ..exr import read_if_exr
from ..motion import motion
from ..passes import Passes, fullest_of
from ..protocol import Done, Event, FrameFailed, Json, Progress, ShotRequest
from ..sequence import Sequence, sequence
from . import record
from .camera import MOST_POINTS, Camera
from .moves import STILL, Move, moves
from .record import Frame, Shot
from .surfaces import FAR, Pose, Surfaces, after, is_empty, no_render, places, surfaces

SEEN = 128
"""Longer edge of the frames on which anchors are chosen"""
CANDIDATES = 64
"""Frames that are tried as anchors"""
REACH = 96
"""Frames to each side that an anchor is tried for"""
WORTH = 0.003
"""Of all that is shown within its reach, what an anchor must be the first to hold"""
CLAIM = 0.001
"""Share of a frame for which an anchor is called"""
NEXT = 3
"""Frames to each side for which it is called, too"""
SPAN = (1 / 2.5, 2.5)
"""Pixels of an anchor to a pixel of the frame between which it holds strokes: see held.GIVES_WAY"""


def scan(request: ShotRequest) -> Iterator[Event]:
    """Write shot.json. Yields Progress, FrameFailed for frames that cannot be read, which are left out, and Done.

    Raises EngineError where no frame can be read, or the passes tell nothing of places."""
    frames = sequence(request.frames)
    numbers = tuple(dict.fromkeys(request.numbers)) or tuple(frames.there())
    if not numbers:
        raise EngineError(f"There is no frame {frames} in {frames.folder}.", "Check the path.")
    out = Path(request.out)
    record.check_replaceable(out)
    with writing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    NewFile(out).discard()  # what cannot be written in the end is said at once
    looked, empty = yield from _looked(request, frames, tuple(sorted(numbers)))
    poses, deforming = posed(looked)
    shot = Shot(str(frames), looked[0].size, deforming, {}, empty)
    entries = [Frame(one.number, one.camera, pose) for one, pose in zip(looked, poses, strict=True)]
    entries = yield from _anchored(request, shot, looked, entries)
    shot = replace(shot, by_number={frame.number: frame for frame in entries})
    record.write(out, shot)
    yield Done(request.job, _report(shot, looked, numbers))


@dataclass(frozen=True, eq=False)
class Looked:
    """What is kept of a frame."""

    number: int
    size: tuple[int, int]
    camera: Camera
    small: Surfaces
    """Reduced to SEEN"""
    moves: dict[int, Move] | None
    """From the frame before it; None where that is not known"""


# ---------------------------------------------------------------- looking


def _looked(
    request: ShotRequest, frames: Sequence, numbers: tuple[int, ...]
) -> Generator[Event, None, tuple[list[Looked], frozenset[int]]]:
    """What was seen, and the numbers of the frames that show next to nothing."""
    looked: list[Looked] = []
    empty: set[int] = set()
    before: tuple[int, Passes, Surfaces] | None = None
    first: EngineError | None = None
    for index, number in enumerate(numbers):
        yield Progress(request.job, 0.8 * index / len(numbers), f"Looking at frame {number}")
        try:
            passes = _passes(frames.path(number))
            if is_empty(passes):
                empty.add(number)
                before = None
                continue
            seen = surfaces(passes)
            if looked and seen.size != looked[0].size:
                raise EngineError(f"Frame {number} has another size.", "Render it again in the size of the others.")
            seen = _steadied(seen, looked[-1].camera) if looked else seen
            looked.append(_kept(number, passes, seen, before))
        except EngineError as error:
            first = first or error
            yield FrameFailed(request.job, number, error.message, error.fix)
            before = None
            continue
        before = number, passes, seen
    if not looked:
        raise first or EngineError("The shot shows nothing but sky.", "Stylize it without --shot.")
    return looked, frozenset(empty)


def _passes(path: Path) -> Passes:
    file = read_if_exr(path)
    if file is None:
        raise no_render(path.name)
    return fullest_of(file, path)


def _steadied(seen: Surfaces, before: Camera) -> Surfaces:
    """With the camera of the frame before where it stands still: strokes on what stands still then are the same, bit
    for bit, whatever else moves."""
    points = seen.position[:, seen.objects > FAR][:, :: max(1, seen.objects.size // MOST_POINTS)].astype(np.float64)
    (rows, columns), (others, other_columns) = seen.camera.project(points), before.project(points)
    went = np.hypot(rows - others, columns - other_columns).mean()
    return replace(seen, camera=before) if went < STILL else seen


def _kept(number: int, passes: Passes, seen: Surfaces, before: tuple[int, Passes, Surfaces] | None) -> Looked:
    step = -(-max(seen.size) // SEEN)
    moved = None
    if before is not None and before[0] == number - 1 and all("Vector" in one for one in (passes, before[1])):
        moved = moves(before[2], seen, motion(before[1], passes))
    return Looked(number, seen.size, seen.camera, seen.reduced(step), moved)


# ---------------------------------------------------------------- poses


def posed(looked: list[Looked]) -> tuple[list[dict[int, Pose]], frozenset[int]]:
    """The poses of the moving objects that each frame shows, and which of them deform. Where a move is not known, an
    object begins at another rest."""
    told = [one.moves or {} for one in looked]
    moving = {thing for ones in told for thing, move in ones.items() if move.matrix is not None}
    deforming = frozenset(thing for ones in told for thing, move in ones.items() if not move.rigid)
    at = {thing: Pose(0, np.eye(3, 4)) for thing in moving}
    poses: list[dict[int, Pose]] = []
    for index, one in enumerate(looked):
        shown = set(np.unique(one.small.objects).tolist())
        for thing in moving if index else ():
            at[thing] = _next(at[thing], told[index].get(thing))
        poses.append({thing: at[thing] for thing in sorted(moving) if thing in shown or thing in told[index]})
    return poses, deforming


def _next(pose: Pose, move: Move | None) -> Pose:
    if move is None:
        return Pose(pose.rest + 1, np.eye(3, 4))
    return pose if move.matrix is None else Pose(pose.rest, after(pose.matrix, move.matrix))


# ---------------------------------------------------------------- anchors


def _anchored(
    request: ShotRequest, shot: Shot, looked: list[Looked], frames: list[Frame]
) -> Generator[Event, None, list[Frame]]:
    """The frames with their anchors."""
    tried = range(0, len(frames), -(-len(frames) // CANDIDATES))
    covers: dict[int, dict[int, NDArray[np.uint8]]] = {}
    for place, index in enumerate(tried):
        yield Progress(request.job, 0.8 + 0.2 * place / len(tried), "Choosing the frames that hold the strokes")
        near = range(max(0, index - REACH), min(len(frames), index + REACH + 1))
        covers[index] = {one: np.packbits(held_by(shot, looked, frames, one, index)) for one in near}
    chosen = _cover(covers)
    claims = [_claims(index, chosen, covers, looked[index].small.objects.size) for index in range(len(frames))]
    return [_called(frames, index, chosen, claims) for index in range(len(frames))]


def held_by(shot: Shot, looked: list[Looked], frames: list[Frame], now: int, then: int) -> NDArray[np.bool_]:
    """(h, w) of the reduced frame `now`: what `then` shows as well, and not much larger or smaller."""
    here, there = looked[now].small, looked[then].small
    found = places(here, there, frames[now].poses, frames[then].poses, shot.deforming)
    most, least = found.scales(here.objects)
    with np.errstate(invalid="ignore"):
        return np.asarray(found.found & ~(most > SPAN[1]) & ~(least < SPAN[0]))


def _cover(covers: dict[int, dict[int, NDArray[np.uint8]]]) -> list[int]:
    """Indices of the chosen frames: the first, as what an artist has seen of a shot is to stay, then each time the one
    that holds most of what none does."""
    held: dict[int, NDArray[np.uint8]] = {}
    chosen: list[int] = []
    while len(chosen) < len(covers):
        gains = {index: _gain(cover, held) for index, cover in covers.items() if index not in chosen}
        best = max(gains, key=lambda index: gains[index]) if chosen else 0
        if gains[best] < WORTH and chosen:
            break
        chosen.append(best)
        for frame, cover in covers[best].items():
            held[frame] = cover | held.get(frame, np.uint8(0))
    return chosen


def _gain(cover: dict[int, NDArray[np.uint8]], held: dict[int, NDArray[np.uint8]]) -> float:
    """The share of what is shown within reach that is newly held."""
    more = sum(_count(mine & ~held.get(frame, np.uint8(0))) for frame, mine in cover.items())
    return more / (8 * sum(mine.size for mine in cover.values()))


def _claims(
    index: int, chosen: list[int], covers: dict[int, dict[int, NDArray[np.uint8]]], size: int
) -> dict[int, float]:
    """The share of a frame that each anchor is the first to hold."""
    left = np.full(-(-size // 8), 255, np.uint8)
    left[-1] = 256 - (1 << (-size % 8))  # what packing added to the last byte is no pixel
    claims: dict[int, float] = {}
    for anchor in chosen:
        cover = covers[anchor].get(index)
        if cover is not None:
            claims[anchor] = _count(cover & left) / size
            left &= ~cover
    return claims


def _called(frames: list[Frame], index: int, chosen: list[int], claims: list[dict[int, float]]) -> Frame:
    """A frame with the anchors that it, or a frame next to it, has a use for: one that is called in a frame and not in
    the next would leave its strokes to others there."""
    near = claims[max(0, index - NEXT) : index + NEXT + 1]
    called = {anchor for ones in near for anchor, share in ones.items() if share > CLAIM}
    anchors = [anchor for anchor in chosen if anchor in called and anchor in claims[index]]
    numbers = tuple(frames[anchor].number for anchor in anchors)
    return replace(frames[index], anchors=numbers, fresh=1 - sum(claims[index].values()))


def _count(bits: NDArray[np.uint8]) -> int:
    return int(np.unpackbits(bits).sum())


# ---------------------------------------------------------------- in words


def _report(shot: Shot, looked: list[Looked], numbers: tuple[int, ...]) -> Json:
    frames = list(shot.by_number.values())
    fresh = float(np.mean([frame.fresh for frame in frames]))
    moving = {thing for frame in frames for thing in frame.poses}
    anchors = ", ".join(map(str, sorted(shot.anchors)))
    said = [
        f"{len(frames)} frames, {len(moving)} moving objects ({len(shot.deforming)} of them deforming).",
        f"Strokes are held by {len(shot.anchors)} frames: {anchors}.",
        f"{100 * fresh:.1f} % of what is shown is held by none and painted anew in each frame.",
        *_warnings(shot, looked),
    ]
    failed = len(numbers) - len(frames) - len(shot.empty)
    report: Json = {"frames": len(frames), "failed": failed, "empty": sorted(shot.empty), "anchors": list(shot.anchors)}
    return {**report, "fresh": round(fresh, 4), "moving": len(moving), "deforming": len(shot.deforming), "say": said}


def _warnings(shot: Shot, looked: list[Looked]) -> Iterator[str]:
    """What cannot be held, and what happens to it."""
    if shot.empty:
        yield f"{len(shot.empty)} frames show next to nothing but sky and are painted alone."
    if len(looked) > 1 and all(one.moves is None for one in looked):
        yield "There is no pass Vector: strokes on objects that move are painted anew in each frame."
    if shot.deforming and any(one.small.uv is None for one in looked):
        yield "There is no pass UV: strokes on objects that deform are painted anew in each frame."
    if all(np.isin(one.small.objects, (FAR, FAR + 2)).all() for one in looked):
        yield "There is neither Cryptomatte nor an object index: all objects move as one."
