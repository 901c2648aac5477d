"""Which results in a folder are finished: what is asked before a frame is skipped.

A finished file reads back whole: every byte is what was written, so every pixel decodes. Decoding a thousand frames
takes minutes, so whoever writes a result notes its size, its times and its sha256 in a ledger beside the results
(`.pentimento/*.jsonl`, one file for each process: nobody waits for anybody, also on a farm). Later a file counts as

whole    when size, time of change and time of the last write are those of the ledger, to the nanosecond: the file
         system has had no reason to touch it since (the time of change cannot be set back by any program, so not even
         a tool that keeps times goes unseen). Or when its sha256 is: copied, or moved to another disk.
         Where no ledger knows it (the hidden folder was left behind): when every pixel decodes.
changed  when it decodes, and is none of those that the ledgers know under its name: repainted by an artist, or a bit
         that no checksum of the format covers.
damaged  else: cut off, or empty.

Only what neither changes size nor times, decay on the disk itself, goes unseen.

In any case the file is opened, and its recipe read from its own header: it is no use if it was made in another way.
A ledger is a help and no authority. Entries may be torn or missing; then their files are decoded.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .atomic import reading
from .errors import EngineError
from .exr import MAGIC, read_entries
from .files import open_picture, read_exr
from .picture import whole
from .png import SIGNATURE, read_texts
from .protocol import Json

FOLDER = ".pentimento"

Stamp = tuple[int, int, int]
"""Size in bytes, times of the last write and the last change in nanoseconds"""


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
        self._known: dict[str, list[tuple[Stamp, str]]] = defaultdict(list)
        for name, stamp, digest in _entries(self.folder):
            self._known[name].append((stamp, digest))

    def add(self, path: Path) -> None:
        """`path` is in place. What cannot be noted will be decoded instead."""
        with suppress(OSError, EngineError):
            stamp, digest = _stamp(path), _digest(path)
            if stamp == _stamp(path):  # else somebody wrote it in the meantime, and notes it himself
                self._note(path.name, stamp, digest)

    def _note(self, name: str, stamp: Stamp, digest: str) -> None:
        self._known[name].append((stamp, digest))
        self.folder.mkdir(exist_ok=True)
        with self.mine.open("ab", buffering=0) as file:  # one write: lines of a process that is killed are whole
            file.write(json.dumps([name, *stamp, digest]).encode() + b"\n")

    def find(self, path: Path, key: str) -> Found | None:
        """What is at `path`; None where nothing is. key: of the recipe in the file."""
        if not os.path.lexists(path):
            return None
        with reading(path), path.open("rb") as stream:  # what may not be read is no damage
            start = stream.read(len(SIGNATURE))
        if not start.startswith(MAGIC) and start != SIGNATURE:
            ours = path.name in self._known or not start.strip(b"\0")  # a disk that lost power leaves zeros
            return Found("damaged" if ours else "whole")
        try:
            recipe = _recipe(path, start, key)
        except EngineError:
            return Found("damaged")
        return Found(self._state(path, start), recipe)

    def _state(self, path: Path, start: bytes) -> str:
        stamp, known = _stamp(path), self._known.get(path.name, [])
        if any(stamp == noted for noted, _ in known):
            return "whole"
        digest = _digest(path)
        if not any(digest == noted for _, noted in known):
            if not _decodes(path, start):
                return "damaged"
            if known:
                return "changed"
        with suppress(OSError):
            self._note(path.name, stamp, digest)  # so that the next time is quick
        return "whole"


def _entries(folder: Path) -> Iterator[tuple[str, Stamp, str]]:
    for path in folder.glob("*.jsonl") if folder.is_dir() else ():
        with suppress(OSError):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError, TypeError):  # torn
                    name, size, written, changed, digest = json.loads(line)
                    yield str(name), (int(size), int(written), int(changed)), str(digest)


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest(path: Path) -> str:
    with reading(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
