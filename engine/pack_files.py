"""The files of a style pack, in a folder or in a .zip, with nothing trusted. Standard library only.

A zip is judged by its table of contents before anything is decompressed, and decompressed into memory only, never
past the size it declared: there is no path of its own that it could write to.
"""

from __future__ import annotations

import contextlib
import json
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .errors import EngineError

MAX_FILES = 32
MAX_FILE = 100 << 20
MAX_TOTAL = 160 << 20
MAX_RATIO = 200
"""Compressed weights shrink by a tenth; a preview does not shrink. A zip bomb packs thousands to one."""
MAX_PREVIEW = 2048
MIN_STYLE_PICTURE, MAX_STYLE_PICTURE = 14, 512
KINDS = (".onnx", ".png", ".jpg", ".safetensors", ".bytes", ".json", ".txt", ".md")
_DROPPINGS = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_FIX = "Get the style pack again from its author; do not unpack this one by hand."


def names(source: Path) -> list[str]:
    """Names of all files of the pack (with the zip's inner folder). The zip's table of contents is judged here."""
    if source.is_dir():
        return _folder_names(source)
    if not source.exists():
        raise EngineError(f"There is no style at {source}.", "Check the path.")
    with _zip(source) as archive:
        return [entry.filename for entry in _entries(archive, source)]


def root(found: list[str], manifest: str, source: Path) -> str:
    """The inner folder of a zip that holds style.json ("" when it lies at the top); everything must be in it."""
    places = [name for name in found if PurePosixPath(name).name == manifest]
    if len(places) != 1 or places[0].count("/") > 1:
        raise EngineError(
            f"{source.name!r} is not a style pack: it holds no {manifest}.", "Choose the folder or .zip of a style."
        )
    inner = places[0].removesuffix(manifest)
    if stray := [name for name in found if not name.startswith(inner)]:
        raise _refused(source, f"holds a file outside its folder: {stray[0][:100]!r}")
    return inner


def read(source: Path, name: str) -> bytes:
    """One file of the pack, from a folder or decompressed from a zip. Its size is checked first."""
    if not source.is_dir():
        return _unzipped(source, name)
    path = source / name
    if not path.is_file():
        raise EngineError(f"The style in {source.name!r} lacks the file {name!r}.", _FIX)
    if path.stat().st_size > MAX_FILE:
        raise _refused(source, f"holds a file larger than {MAX_FILE >> 20} MB")
    # Read, not memory-mapped: what was verified must not change afterwards, and Windows keeps mapped files locked.
    return path.read_bytes()


def check_name(name: str, where: str) -> None:
    """A plain file name of a kind that belongs into a style pack; raises EngineError otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", name) or ".." in name:
        raise EngineError(f"The style {where!r} holds a file with an unsafe name: {name[:100]!r}.", _FIX)
    if not name.lower().endswith(KINDS):
        raise EngineError(f"The style {where!r} holds {name!r}, a kind of file that no style needs.", _FIX)


def check_kind(name: str, data: bytes) -> None:
    """The content is what the name says. Raises EngineError otherwise, and for pickles under any name."""
    start = data[:32]
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise EngineError(f"{name!r} is a Python pickle: it could run a program.", _FIX)
    if name.endswith(".png"):
        _check_png(name, start)
    elif name.endswith(".jpg"):
        _check_jpeg(name, data)
    elif name.endswith(".safetensors"):
        _check_safetensors(name, data)


def _check_png(name: str, start: bytes) -> None:
    good = start[:8] == b"\x89PNG\r\n\x1a\n" and start[12:16] == b"IHDR" and len(start) >= 24
    width, height = struct.unpack(">II", start[16:24]) if good else (0, 0)
    if not (0 < width <= MAX_PREVIEW and 0 < height <= MAX_PREVIEW):
        raise EngineError(f"{name!r} is not a PNG picture of at most {MAX_PREVIEW} pixels.", _FIX)


def _check_jpeg(name: str, data: bytes) -> None:
    """The size stands in the frame header (ITU-T T.81, B.2.2), before which only segments with a length come: a marker
    without one would be skipped as if it had. Whoever decodes looks at the size once more."""
    place, size = 2, (0, 0)
    while data[:2] == b"\xff\xd8" and place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], struct.unpack(">H", data[place + 2 : place + 4])[0]
        if marker in (0xC0, 0xC1, 0xC2):
            size = struct.unpack(">HH", data[place + 5 : place + 9])
        if not (0xE0 <= marker <= 0xEF or marker in (0xC4, 0xDB, 0xDD, 0xFE)):  # applications, tables, a comment
            break
        place += 2 + length
    if not all(MIN_STYLE_PICTURE <= edge <= MAX_STYLE_PICTURE for edge in size):
        raise EngineError(
            f"{name!r} is not a JPEG picture of {MIN_STYLE_PICTURE} to {MAX_STYLE_PICTURE} pixels to each side.", _FIX
        )


def _check_safetensors(name: str, data: bytes) -> None:
    """The header is JSON, and the tensors lie inside the file (github.com/huggingface/safetensors, "Format")."""
    broken = EngineError(f"{name!r} is not a readable safetensors file.", _FIX)
    size = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if not 2 <= size <= min(len(data) - 8, 1 << 20):
        raise broken
    try:
        header = json.loads(data[8 : 8 + size])
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        inside = all(isinstance(end, int) and 0 <= end <= len(data) - 8 - size for end in ends)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise broken from error
    if not inside:
        raise broken


def _refused(source: Path, why: str) -> EngineError:
    return EngineError(f"The style pack {source.name!r} {why}.", _FIX)


# ---------------------------------------------------------------- folders


def _folder_names(source: Path) -> list[str]:
    found: list[str] = []
    for entry in source.iterdir():
        if entry.name in _DROPPINGS:
            continue
        if len(found) >= MAX_FILES:
            raise _refused(source, f"holds more than {MAX_FILES} files")
        if entry.is_symlink() or not entry.is_file():
            raise _refused(source, f"holds something that is not a plain file: {entry.name[:100]!r}")
        found.append(entry.name)
    return found


# ---------------------------------------------------------------- zips


@contextlib.contextmanager
def _zip(source: Path) -> Iterator[zipfile.ZipFile]:
    try:
        _check_directory(source)
        with zipfile.ZipFile(source) as archive:
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, zlib.error, EOFError, struct.error) as error:
        raise EngineError(f"{source.name!r} is not a readable .zip ({error}).", _FIX) from error
    except (RuntimeError, UnicodeDecodeError, ValueError) as error:
        raise EngineError(f"{source.name!r} is encrypted or broken ({error}).", _FIX) from error


def _check_directory(source: Path) -> None:
    """zipfile reads the whole table of contents into memory: look at its size first."""
    size = source.stat().st_size
    if size > MAX_TOTAL:
        raise _refused(source, f"is larger than {MAX_TOTAL >> 20} MB")
    with source.open("rb") as file:
        file.seek(max(0, size - 65557))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise EngineError(f"{source.name!r} is not a .zip file.", "Choose the folder or .zip of a style.")
    count, length = struct.unpack("<HI", tail[at + 10 : at + 16])
    if count > 4 * MAX_FILES or length > 1 << 20:
        raise _refused(source, f"holds more than {MAX_FILES} files")


def _entries(archive: zipfile.ZipFile, source: Path) -> list[zipfile.ZipInfo]:
    """The files in the zip, after judging every entry."""
    entries = [entry for entry in archive.infolist() if not _dropping(entry.filename)]
    files = [entry for entry in entries if not entry.is_dir()]
    if len(entries) > MAX_FILES:
        raise _refused(source, f"holds more than {MAX_FILES} files")
    if sum(entry.file_size for entry in files) > MAX_TOTAL:
        raise _refused(source, f"would unpack to more than {MAX_TOTAL >> 20} MB")
    if len({entry.filename.casefold() for entry in entries}) != len(entries):
        raise _refused(source, "holds two files of one name")
    for entry in entries:
        _check_entry(entry, source)
    return files


def _check_entry(entry: zipfile.ZipInfo, source: Path) -> None:
    name = entry.filename
    parts = PurePosixPath(name).parts
    unsafe = (
        name.startswith(("/", "\\")) or "\\" in name or ":" in name or ".." in parts or "\x00" in entry.orig_filename
    )
    if unsafe or len(parts) > 2 or not all(part.isprintable() for part in parts):
        raise _refused(source, f"holds a file with an unsafe name: {name[:100]!r}")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(source, f"holds a link or device: {name[:100]!r}")
    if entry.flag_bits & 0x41:
        raise _refused(source, "is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(source, "uses an unusual compression")
    if entry.file_size > MAX_FILE:
        raise _refused(source, f"holds a file larger than {MAX_FILE >> 20} MB")
    if entry.file_size > 1 << 20 and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
        raise _refused(source, "is a zip bomb: it unpacks to far more than it holds")


def _dropping(name: str) -> bool:
    """What operating systems leave in folders and zips. Never read, never written."""
    return PurePosixPath(name).parts[:1] == (_DROPPINGS[0],) or PurePosixPath(name).name in _DROPPINGS


def _unzipped(source: Path, name: str) -> bytes:
    with _zip(source) as archive:
        entries = {entry.filename: entry for entry in _entries(archive, source)}
        if name not in entries:
            raise EngineError(f"{source.name!r} lacks the file {name!r}.", _FIX)
        with archive.open(entries[name]) as file:
            data = file.read(entries[name].file_size + 1)  # a lying header cannot make it longer
        if len(data) != entries[name].file_size:
            raise _refused(source, f"holds a file of another size than it says: {name[:100]!r}")
        return data
