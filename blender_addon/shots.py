"""The frames of a shot, as far as names and headers tell: which there are, how large, with which passes. No bpy.

No pixel is decoded: what is looked at before a training, or while a panel is drawn, must cost next to nothing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .engine_client import EngineError

READ_BY_THE_ENGINE = {".png", ".jpg", ".jpeg", ".exr"}
MOST = 1048574
"""The last frame that Blender has: a longer number in a name is no frame's."""
PNG, JPEG, EXR = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x76\x2f\x31\x01"
OURS = ("pentimento", "pentimento.layers")
"""Entries of an EXR that is a result of ours: its recipe, and what its overlays mean"""
SEVERAL_PARTS = 0x1000
"""Of an EXR's flags"""
BLOCK_ROWS = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256)
"""Rows that an EXR packs together, by its compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB"""


@dataclass(frozen=True)
class Header:
    """What a picture file says before its pixels."""

    size: tuple[int, int]
    """Width and height in pixels"""
    passes: frozenset[str] = frozenset()
    """Of an EXR, as the Blender that wrote it names them"""
    recipe: str = ""
    """Of a result of ours: JSON with what it was made by"""
    meanings: str = ""
    """JSON with what its overlays mean"""


# ---------------------------------------------------------------- names


def numbers_in(stem: str) -> list[int]:
    """8 and 2 of `walk_0008_v2`: what may be the number of a frame, in the order in which it stands there."""
    return [number for digits in re.findall(r"\d+", stem) if (number := int(digits)) <= MOST]


def frames_in(folder: Path, painted: Collection[Path] = ()) -> dict[int, Path]:
    """Frame by its number, the last one in its name, for every picture in `folder`.

    painted: files of keyframes and masks, which may lie among the frames. Raises EngineError where two frames have one
    number.
    """
    found: dict[int, list[Path]] = {}
    for file in pictures_in(folder):
        if numbers := numbers_in(file.stem):
            found.setdefault(numbers[-1], []).append(file)
    return {number: _frame(number, found[number], painted) for number in sorted(found)}


def _frame(number: int, files: list[Path], painted: Collection[Path]) -> Path:
    """The one that is not painted; a frame that is painted over in Blender and not saved yet is its own file."""
    frames = [file for file in files if file not in painted] or files
    if len(frames) > 1:
        raise EngineError(
            f"{frames[0].name} and {frames[1].name} both have the number {number}.",
            "Keep one shot in the folder, and other pictures somewhere else.",
        )
    return frames[0]


def pictures_in(folder: Path) -> list[Path]:
    """Every picture in `folder` that the engine can read, by name."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in READ_BY_THE_ENGINE)
    return sorted(path for path in found if not path.name.startswith("."))


# ---------------------------------------------------------------- sequences


def pattern_of(file: Path, number: int | None = None) -> Path:
    """`walk_0008_v2.exr` -> `walk_####_v2.exr`: one # for each digit of a frame's number, as the engine wants it. Of
    several numbers in the name it is the one in which most files beside it differ.

    number: the frame's, where that is known. Raises EngineError where the name has no number."""
    digits = [found for found in re.finditer(r"\d+", file.stem) if int(found[0]) <= MOST]
    digits = [found for found in digits if number is None or int(found[0]) == number]
    if not digits:
        raise EngineError(
            f"{file.name!r} has no number of a frame in its name.",
            "Choose one frame of a sequence, such as walk_0001.exr.",
        )
    beside = {found.span(): _lengths(file, found) for found in digits}
    start, end = max(beside, key=lambda span: (len(beside[span]), span))
    marks = "#" * min(beside[start, end])
    return file.with_name(f"{file.stem[:start]}{marks}{file.stem[end:]}{file.suffix}")


def _lengths(file: Path, digits: re.Match[str]) -> list[int]:
    """How many digits the number has in each file that differs in no more than these; of the file itself at least."""
    before, after = file.stem[: digits.start()], file.stem[digits.end() :] + file.suffix
    name = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
    try:
        names = [path.name for path in file.parent.iterdir()]
    except OSError:
        names = []
    found = [len(match[1]) for match in map(name.fullmatch, names) if match]
    return found or [len(digits[0])]


def frame_of(pattern: Path, number: int) -> Path:
    """`walk_####.exr`, 8 -> `walk_0008.exr`"""
    return pattern.with_name(re.sub("#+", lambda marks: f"{number:0{len(marks[0])}d}", pattern.name))


def frames_of(pattern: Path) -> list[int]:
    """The numbers of the files that there are, rising."""
    before, marks, after = re.split("(#+)", pattern.name, maxsplit=1)
    name = re.compile(rf"{re.escape(before)}(\d{{{len(marks)},}}){re.escape(after)}")
    try:
        found = [
            int(match[1]) for match in map(name.fullmatch, (path.name for path in pattern.parent.iterdir())) if match
        ]
    except OSError as error:
        raise EngineError(
            f"The folder {pattern.parent} cannot be read ({error.strerror}).", "Check the path."
        ) from error
    return sorted(number for number in found if number <= MOST)


# ---------------------------------------------------------------- headers


def header(file: Path) -> Header:
    """Of a PNG, JPEG or EXR. Raises EngineError where it is none or ends too early."""
    try:
        with file.open("rb") as stream:
            return _header(stream)
    except OSError as error:
        raise EngineError(f"{file.name} cannot be read ({error.strerror}).", "Render or copy it again.") from error
    except (struct.error, ValueError, LookupError) as error:
        raise EngineError(f"{file.name} is damaged, or no PNG, JPEG or EXR.", "Render or copy it again.") from error


def _header(stream: BinaryIO) -> Header:
    start = stream.read(len(PNG))
    if start == PNG:
        _, _, width, height = _unpacked(">I4sII", stream)
        return Header((width, height))
    if start.startswith(JPEG):
        return Header(_jpeg_size(stream))
    if start.startswith(EXR):
        return _exr_header(stream, several=bool(struct.unpack("<I", start[4:])[0] & SEVERAL_PARTS))
    raise ValueError("none of them")


def _unpacked(form: str, stream: BinaryIO) -> tuple[int, ...]:
    return struct.unpack(form, stream.read(struct.calcsize(form)))


def _jpeg_size(stream: BinaryIO) -> tuple[int, int]:
    """Each segment is a mark and its length; the one that begins a picture says how large that is."""
    stream.seek(2)
    while True:
        (mark,) = _unpacked(">H", stream)
        while mark == 0xFFFF:  # a mark may be padded
            (mark,) = struct.unpack(">H", b"\xff" + stream.read(1))
        (length,) = _unpacked(">H", stream)
        if 0xFFC0 <= mark <= 0xFFCF and mark not in (0xFFC4, 0xFFC8, 0xFFCC):
            _, height, width = _unpacked(">BHH", stream)
            return width, height
        stream.seek(length - 2, 1)


def _exr_header(stream: BinaryIO, several: bool) -> Header:
    """Blender 4 writes all passes into one part, Blender 5 each into one of its own. They are of one size."""
    sizes, passes, texts = [], set(), ["", ""]
    while attributes := dict(exr_attributes(stream)):
        left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
        sizes.append((right - left + 1, bottom - top + 1))
        texts = [
            attributes.get(key, b"").decode("utf-8", "replace") or text for key, text in zip(OURS, texts, strict=True)
        ]
        part = attributes.get("name", b"").decode("utf-8", "replace")
        for channel in _exr_channels(attributes["channels"]):
            full = f"{part}.{channel}" if several and "." not in channel else channel
            passes.update(full.split(".")[-2:-1])
        if not several:
            break
    return Header(sizes[0], frozenset(passes), *texts)


def is_whole(file: Path) -> bool:
    """Are all rows of an EXR there? On a full disk Blender says that it has saved one, and has not. No pixel is
    decoded: a table after the headers, written last, says where each block of rows lies."""
    try:
        with file.open("rb") as stream:
            return _has_all_rows(stream, file.stat().st_size)
    except (OSError, struct.error, ValueError, LookupError):
        return False


def _has_all_rows(stream: BinaryIO, size: int) -> bool:
    start, flags = struct.unpack("<4sI", stream.read(8))
    several, count = bool(flags & SEVERAL_PARTS), 0
    while start == EXR and (attributes := dict(exr_attributes(stream))):
        count += _blocks(attributes)
        if not several:
            break
    places = _unpacked(f"<{count}Q", stream)
    stream.seek(max(places) + (8 if several else 4))  # beyond the number of the part, and that of the first row
    (length,) = _unpacked("<i", stream)
    return 0 not in places and stream.tell() + length <= size


def _blocks(attributes: dict[str, bytes]) -> int:
    """How many blocks of rows a part has. Where it does not say so its compression does."""
    if "chunkCount" in attributes:
        return int(struct.unpack("<i", attributes["chunkCount"])[0])
    _, top, _, bottom = struct.unpack("<4i", attributes["dataWindow"])
    return -(-(bottom - top + 1) // BLOCK_ROWS[attributes["compression"][0]])


def exr_attributes(stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    while name := _text(stream):
        _text(stream)  # its type
        (length,) = _unpacked("<i", stream)
        yield name, stream.read(length)


def _exr_channels(block: bytes) -> Iterator[str]:
    """Each is a name that ends with a zero, and 16 bytes."""
    place = 0
    while end := block.index(0, place) - place:
        yield block[place : place + end].decode("utf-8", "replace")
        place += end + 17


def _text(stream: BinaryIO) -> str:
    letters = b""
    while (letter := stream.read(1)) not in (b"\0", b""):
        letters += letter
    return letters.decode("utf-8", "replace")
