"""shot.json: what a shot was found to be, once; every frame of it, wherever it is made, goes by it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import StrPath, reading, shown, write_text
from ..errors import EngineError
from ..protocol import Json
from ..strict_json import parse_object
from .camera import Camera
from .surfaces import Pose

VERSION = 1
MOST_BYTES = 64 << 20
"""Of a shot.json: a thousand frames with thirty moving objects take ten megabytes"""
_FIX = "Look at the shot again: pentimento shot."


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a shot."""

    number: int
    camera: Camera
    poses: Mapping[int, Pose]
    """Of the moving objects that it shows"""
    anchors: tuple[int, ...] = ()
    """Numbers of the frames that hold its strokes, in the order in which they come first"""
    fresh: float = 1.0
    """Share of its pixels that none of them holds"""


@dataclass(frozen=True, eq=False)
class Shot:
    """A run of frames."""

    frames: str
    """Name of its files: shot_####.exr, without the folder"""
    size: tuple[int, int]
    """Height and width"""
    deforming: frozenset[int]
    """Objects that change their form"""
    by_number: Mapping[int, Frame]
    empty: frozenset[int] = frozenset()
    """Frames that show next to no surface: there is nothing to hold strokes"""

    @property
    def anchors(self) -> tuple[int, ...]:
        """Of any frame"""
        return tuple(dict.fromkeys(anchor for frame in self.by_number.values() for anchor in frame.anchors))

    def hash_of(self, number: int) -> str:
        """Of all that a frame is made by"""
        found = self.by_number.get(number)
        used = [] if found is None else [found, *(self.frame(anchor) for anchor in found.anchors)]
        told = {"frames": list(map(_frame_json, used)), "deforming": sorted(self.deforming), "size": self.size}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def frame(self, number: int) -> Frame:
        if number not in self.by_number:
            raise EngineError(f"The shot was looked at before it had a frame {number}.", _FIX)
        return self.by_number[number]


def write(path: StrPath, shot: Shot) -> None:
    """Atomically, a line to a frame. No clock, no host, no folder."""
    frames = ",\n  ".join(json.dumps(_frame_json(frame), allow_nan=False) for frame in shot.by_number.values())
    head = {
        "schema": VERSION,
        "frames": shot.frames,
        "size": [shot.size[1], shot.size[0]],
        "deforming": sorted(shot.deforming),
        "empty": sorted(shot.empty),
    }
    text = json.dumps(head, indent=1, allow_nan=False).removesuffix("\n}")
    write_text(path, f'{text},\n "shot": [\n  {frames}\n ]\n}}\n')


def check_replaceable(path: Path) -> None:
    """Only another shot.json is written over: what else lies there is somebody's."""
    if not path.exists():
        return
    with reading(path):
        data = path.read_bytes()
    ours = data.startswith(b'{\n "schema"') and b'"shot": [' in data
    if not ours:
        raise EngineError(f"{shown(path.name)} is there, and no shot.json.", "Choose another name.")


def _frame_json(frame: Frame) -> Json:
    return {
        "number": frame.number,
        "camera": frame.camera.matrix.ravel().tolist(),
        "poses": {str(thing): [pose.rest, *pose.matrix.ravel().tolist()] for thing, pose in frame.poses.items()},
        "anchors": list(frame.anchors),
        "fresh": round(frame.fresh, 4),
    }


def read(path: StrPath) -> Shot:
    """Raises EngineError for a file that is no shot.json, or of another version."""
    with reading(path):
        data = Path(path).read_bytes()
    name = Path(path).name
    found = parse_object(data, name, _FIX, MOST_BYTES)
    try:
        if found["schema"] != VERSION:
            raise EngineError(f"{name} was written by another version of Pentimento.", _FIX)
        width, height = found["size"]
        frames = {one.number: one for one in map(_frame, found["shot"])}
        deforming = frozenset(int(thing) for thing in found["deforming"])
        empty = frozenset(int(number) for number in found["empty"])
        return _checked(Shot(str(found["frames"]), (int(height), int(width)), deforming, frames, empty))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise EngineError(f"{name} does not describe a shot ({error}).", _FIX) from error


def _checked(shot: Shot) -> Shot:
    if min(shot.size) < 1:
        raise ValueError("it has no size")
    if not shot.by_number or not set(shot.anchors) <= set(shot.by_number):
        raise ValueError("frames are missing")
    return shot


def _frame(entry: Any) -> Frame:
    poses = {int(thing): Pose(int(told[0]), _matrix(told[1:])) for thing, told in entry["poses"].items()}
    anchors = tuple(int(number) for number in entry["anchors"])
    return Frame(int(entry["number"]), Camera(_matrix(entry["camera"])), poses, anchors, float(entry["fresh"]))


def _matrix(numbers: Any) -> np.ndarray:
    found = np.array(numbers, np.float64).reshape(3, 4)
    if not np.isfinite(found).all():
        raise ValueError("a matrix is not finite")
    return found
