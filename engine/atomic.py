"""Files that are there as a whole or not at all, and the artist's words for what an operating system refuses.

A new file is written beside its target under a temporary name, flushed to the disk and then renamed.
Whatever goes wrong, the temporary file goes away and the target stays what it was.

A process that is killed leaves its temporary file behind. `remove_leftovers` removes it, and never one that somebody
still writes, though a farm's processes write into one folder: whoever writes holds a lock on the open file, which the
system lets go of when the process ends, however it ends. Locks can only be trusted between processes of one computer,
so names carry a mark of the computer, and files of others go by their age. On Windows all do: a file there is closed
before it gets its name, and in that moment nothing says that it is somebody's.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from .errors import EngineError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

StrPath = str | os.PathLike[str]

_HERE = hashlib.sha256(platform.node().encode("utf-8", "replace")).hexdigest()[:6]
"""A mark of this computer"""
_ABANDONED = 24 * 3600.0
"""Seconds after which a temporary file counts as left behind where locks say nothing: no file is written that long"""

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REASONS: dict[int, tuple[str, str]] = {
    errno.EACCES: (
        "access is not allowed",
        "Change its permissions, close programs that have it open, or choose another folder.",
    ),
    errno.EPERM: ("access is not allowed", "Change its permissions or choose another folder."),
    errno.EROFS: ("its disk is read-only", "Choose a folder on a disk that can be written."),
    errno.ENAMETOOLONG: ("its name is too long", "Choose a shorter name."),
    errno.EEXIST: ("something of that name is there already", "Choose another name."),
    errno.EISDIR: ("it is a folder", "Choose a file name that no folder has."),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "Correct the path."),
    errno.EILSEQ: ("this disk does not take its name", "Rename it with plain letters."),
    errno.EINVAL: (
        "the system does not take its name or kind",
        "Rename it with plain letters, or choose a usual file.",
    ),
    errno.EMFILE: ("too many files are open", "Close other programs and try again."),
}


class NewFile:
    """A file on its way to `path`. Inside `with`, write to `.file`; leaving without an error puts it in place."""

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        with writing(self.path):
            if self.path.is_dir():  # the rename would say so too, but only after all the work
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self.temp, self.file = _begun(self.path)

    def __enter__(self) -> NewFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.commit()
            return
        self.discard()
        if isinstance(error, OSError):
            raise explain(error, self.path, "written") from error

    def commit(self) -> None:
        """Flush to the disk and put the file in place; discard it if that fails."""
        try:
            with writing(self.path):
                self._settle()
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the temporary file, if it is still there. Never raises: it runs while another error is on its way."""
        with suppress(OSError):
            self.file.close()
        with suppress(OSError):
            self.temp.unlink(missing_ok=True)

    def _settle(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        if os.name == "nt":  # cannot rename what is open
            self.file.close()
        self.temp.replace(self.path)
        self.file.close()  # not before: until it has its name it needs its lock
        _sync_folder(self.path.parent)


def _begun(target: Path) -> tuple[Path, BinaryIO]:
    """A temporary file beside the target, open for writing and locked."""
    while True:
        # Short, so that a target whose own name is as long as a name may be can still be written.
        temp = target.with_name(f".pentimento-{_HERE}-{secrets.token_hex(6)}.tmp")
        file = temp.open("xb")
        if fcntl is not None:
            with suppress(OSError):  # some network disks have no locks; nobody removes by lock there either
                fcntl.flock(file, fcntl.LOCK_EX)
        if temp.exists():
            return temp, file
        file.close()  # taken for a leftover in the moment before it was locked


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that killed processes left in `folder`; those that are being written stay."""
    for path in folder.glob(".pentimento-*.tmp"):
        with suppress(OSError):  # locked by whoever writes it, or gone by now
            if fcntl is None or not path.name.startswith(f".pentimento-{_HERE}-"):
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()
            else:
                _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable. Windows and some network disks cannot: the file's data are safe by then."""
    if os.name == "nt":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: StrPath, text: str) -> None:
    """Write UTF-8 text with Unix line ends, atomically."""
    with NewFile(path) as new:
        new.file.write(text.encode("utf-8"))


def write_json(path: StrPath, data: Mapping[str, Any] | list[Any]) -> None:
    """Write indented JSON, atomically. NaN and infinity are refused (ValueError): JSON has none."""
    text = json.dumps(data, indent=2, allow_nan=False)
    write_text(path, text + "\n")


def unique_path(path: StrPath) -> Path:
    """`path` itself if nothing is there, else name_2.png, name_3.png, ...: nothing is ever overwritten."""
    wanted = Path(path)
    for candidate in _numbered(wanted):
        with writing(wanted):
            if not _taken(candidate):
                return candidate
    raise AssertionError("the numbers have no end")


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.stem}_{number}{path.suffix}")
        number += 1


def _taken(path: Path) -> bool:
    """Is there anything of that name (a dangling link too)? Path.exists would hide a refusal."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


# ---------------------------------------------------------------- what the system says, in the artist's words


@contextmanager
def reading(path: StrPath) -> Iterator[None]:
    """Turn the system's refusals while reading `path` into EngineErrors."""
    try:
        _refuse_nul(path)
        yield
    except OSError as error:
        raise explain(error, path, "read") from error


@contextmanager
def writing(path: StrPath) -> Iterator[None]:
    """Turn the system's refusals while writing `path` into EngineErrors."""
    try:
        _refuse_nul(path)
        yield
    except OSError as error:
        raise explain(error, path, "written") from error


def _refuse_nul(path: StrPath) -> None:
    """Python raises ValueError for a path with a NUL; to the artist it is a bad name like any other."""
    if "\x00" in os.fspath(path):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def explain(error: OSError, path: StrPath, done: str) -> EngineError:
    """An EngineError for an OSError at `path`. done: "read" or "written"."""
    name = shown(path)
    if error.errno in _FULL:
        return EngineError(
            f"The disk is full: {name} could not be {done}.", "Free some space or choose another folder."
        )
    if error.errno == errno.ENOENT:
        return _missing(name, shown(Path(path).parent), done)
    reason, fix = _REASONS.get(error.errno or 0, (error.strerror or str(error), "Check the disk and the path."))
    return EngineError(f"{name} could not be {done}: {reason}.", fix)


def _missing(name: str, folder: str, done: str) -> EngineError:
    if done == "read":
        return EngineError(f"There is no file {name}.", "Check the path.")
    return EngineError(
        f"{name} could not be written: there is no folder {folder}.", "Make the folder or choose another one."
    )


def shown(path: StrPath) -> str:
    """A path that can be printed and sent: bytes that are not UTF-8 become question marks."""
    return os.fsencode(path).decode("utf-8", "replace").replace("\x00", "?")
