"""Which results in a folder are finished: what is asked before a frame is skipped.

A finished file reads back whole: every byte is what was written, so every pixel decodes. Decoding a thousand frames
takes minutes, so whoever writes a result notes its size, its times and its sha256 in a ledger beside the results
(`.pentimento/*.jsonl`, one file for each process: nobody waits for anybody, also on a farm). Later a file counts as

whole    when size, time of change and time of the last write are those of the ledger, to the nanosecond: the file
         system has had no reason to touch it since (the time of change cannot be set back by any program, so not even
         a tool that keeps times goes unseen). Or when its sha256 is: copied, or moved to another disk.
         Where no ledger knows it (the hidden folder was left behind): when every pixel decodes.
damaged  when it surely is what is left of ours: empty, nothing but zeros (a disk that lost power leaves them), or
         shorter than a file of the ledger whose first half it begins with.
changed  else: repainted by an artist, with bits that are wrong, or nothing that we can read. What an artist's program
         saved may be of any kind under any suffix, so that we cannot read a file does not say that it is broken.

Only what neither changes size nor times, decay on the disk itself, goes unseen.

With a result the frame is noted that it was made of: its size, the time of its last write, its sha256. One that was
rendered anew, or is of another shot with the same names, is another; one that was copied is not.

In any case the file is opened, and its recipe read from its own header: it is no use if it was made in another way.
A ledger is a help and no authority. Entries may be torn or missing; then their files are decoded.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from .atomic import reading
from .errors import EngineError
from .exr import MAGIC, read_entries
from .files import open_picture, read_exr
from .picture import whole
from .png import SIGNATURE, read_texts
from .protocol import Json

FOLDER = ".pentimento"
_BLOCK = 1 << 20

Stamp = tuple[int, int, int]
"""Size in bytes, times of the last write and the last change in nanoseconds"""


@dataclass(frozen=True)
class Frame:
    """What a result was made of."""

    size: int
    written: int
    """Time of its last write in nanoseconds"""
    digest: str
    """sha256; empty where it was written anew before it could be taken"""


@dataclass(frozen=True)
class Entry:
    """What a ledger notes of a file."""

    stamp: Stamp
    digest: str
    """sha256 of all of it"""
    half: str = ""
    """sha256 of its first half, by which it is known when it was cut off"""
    frame: Frame | None = None
    """None: not known"""
    began: int | None = None
    """The number of the frame from which on strokes were carried to it; None: not known, or none were"""

    def line(self, name: str) -> bytes:
        frame = astuple(self.frame) if self.frame else None
        return json.dumps([name, *self.stamp, self.digest, self.half, frame, self.began]).encode() + b"\n"


@dataclass(frozen=True)
class Found:
    """What lies under the name of a result."""

    state: str
    """whole | changed | damaged"""
    recipe: Json | None = None
    """None: it is none of ours, or can no longer be read"""


class Ledger:
    """What is known of the results in a folder. One for each process that writes into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self.mine = self.folder / f"{secrets.token_hex(6)}.jsonl"
        self._known: dict[str, list[Entry]] = defaultdict(list)
        for name, entry in _entries(self.folder):
            self._known[name].append(entry)

    def add(self, path: Path, frame: Frame | None, began: int | None = None) -> None:
        """`path` is in place. What cannot be noted will be decoded instead."""
        with suppress(OSError, EngineError):
            stamp = _stamp(path)
            entry = Entry(stamp, _digest(path), _digest(path, stamp[0] // 2), frame, began)
            if stamp == _stamp(path):  # else somebody wrote it in the meantime, and notes it himself
                self._note(path.name, entry)

    def _note(self, name: str, entry: Entry) -> None:
        self._known[name].append(entry)
        self.folder.mkdir(exist_ok=True)
        with self.mine.open("ab", buffering=0) as file:  # one write: lines of a process that is killed are whole
            file.write(entry.line(name))

    def is_of(self, path: Path, frame: Path) -> bool:
        """Was the result at `path`, or what was there and is gone, made of `frame` as it is now? Yes where nobody noted
        it, or the frame is gone."""
        noted = (self._noted(path) if path.exists() else ()) or tuple(self._known.get(path.name, ()))
        frames = [entry.frame for entry in noted if entry.frame]
        if not frames or not frame.exists():
            return True
        with reading(frame):
            size, written, _ = _stamp(frame)
        if any((one.size, one.written) == (size, written) for one in frames):
            return True
        if all(one.size != size for one in frames):
            return False
        now = Frame(size, written, _digest(frame))
        for entry in noted:
            if entry.frame and entry.frame.digest == now.digest:  # copied
                with suppress(OSError):
                    self._note(path.name, replace(entry, frame=now))  # so that the next time is quick
                return True
        return False

    def find(self, path: Path, key: str) -> Found | None:
        """What is at `path`; None where nothing is. key: of the recipe in the file."""
        if not os.path.lexists(path):
            return None
        with reading(path), path.open("rb") as stream:  # what may not be read is no damage
            start = stream.read(len(SIGNATURE))
        if not start.strip(b"\0") and _is_zeros(path):
            return Found("damaged")
        if not start.startswith(MAGIC) and start != SIGNATURE:
            return Found(self._unread(path) if path.name in self._known else "whole")
        try:
            recipe = _recipe(path, start, key)
        except EngineError:
            return Found(self._unread(path))
        state = self._state(path, start)
        return Found(state, recipe)

    def begun(self, path: Path) -> set[int]:
        """From which frames on strokes were carried to the whole result at `path`; empty where nobody noted it."""
        with suppress(OSError):
            return {entry.began for entry in self._noted(path) if entry.began is not None}
        return set()

    def _noted(self, path: Path) -> tuple[Entry, ...]:
        """All that is noted of what is at `path`: several where several have made the same"""
        stamp, known = _stamp(path), self._known.get(path.name, [])
        digests = {entry.digest for entry in known if entry.stamp == stamp}
        return tuple(entry for entry in known if entry.digest in digests)

    def _state(self, path: Path, start: bytes) -> str:
        stamp, known = _stamp(path), self._known.get(path.name, [])
        if any(stamp == entry.stamp for entry in known):
            return "whole"
        digest = _digest(path)
        noted = next((entry for entry in known if entry.digest == digest), None)
        if noted is None:
            if not _decodes(path, start):
                return self._unread(path)
            if known:
                return "changed"
        with suppress(OSError):  # so that the next time is quick
            again = replace(noted, stamp=stamp) if noted else Entry(stamp, digest, _digest(path, stamp[0] // 2))
            self._note(path.name, again)
        return "whole"

    def _unread(self, path: Path) -> str:
        """Of a file that cannot be read: damaged where it is the beginning of one of ours, else changed."""
        size = path.stat().st_size
        for entry in self._known.get(path.name, []):
            half = entry.stamp[0] // 2
            if half <= size < entry.stamp[0] and entry.half == _digest(path, half):
                return "damaged"
        return "changed"


def _entries(folder: Path) -> Iterator[tuple[str, Entry]]:
    for path in folder.glob("*.jsonl") if folder.is_dir() else ():
        with suppress(OSError):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError, TypeError):  # torn
                    name, size, written, changed, digest, *more = json.loads(line)
                    half, frame, began = more or ("", None, None)
                    stamp = int(size), int(written), int(changed)
                    yield str(name), Entry(stamp, str(digest), str(half), Frame(*frame) if frame else None, began)


def seen(frame: Path) -> tuple[int, int]:
    """Size and time of the last write of a frame that is about to be read"""
    with reading(frame):
        return _stamp(frame)[:2]


def read_frame(frame: Path, seen_as: tuple[int, int]) -> Frame | None:
    """What to note of a frame that was read. seen_as: what `seen` gave before that."""
    try:
        digest = _digest(frame)
        return Frame(*seen_as, digest if seen(frame) == seen_as else "")
    except EngineError:  # it is gone
        return Frame(*seen_as, "")


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest(path: Path, size: int | None = None) -> str:
    """size: of so many of the first bytes"""
    found = hashlib.sha256()
    with reading(path), path.open("rb") as stream:
        for block in _blocks(stream, size):
            found.update(block)
    return found.hexdigest()


def _is_zeros(path: Path) -> bool:
    with reading(path), path.open("rb") as stream:
        return not any(block.strip(b"\0") for block in _blocks(stream))


def _blocks(stream: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    left = sys.maxsize if size is None else size
    while block := stream.read(min(left, _BLOCK)):
        left -= len(block)
        yield block


def _recipe(path: Path, start: bytes, key: str) -> Json | None:
    """The recipe in a PNG or EXR. Raises EngineError for a file that is damaged, as far as its head and ends tell."""
    entries: dict[str, Any] = read_entries(path) if start.startswith(MAGIC) else dict(read_texts(path))
    try:
        found = json.loads(entries.get(key, "null"))
    except (ValueError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def _decodes(path: Path, start: bytes) -> bool:
    """Does every pixel?"""
    try:
        if start.startswith(MAGIC):
            read_exr(path)
        else:
            whole(open_picture(path))
    except EngineError:
        return False
    return True
