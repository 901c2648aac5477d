"""Layers out of the EXRs that the engine writes: rows packed with ZIP or not at all, in one part or in several. Parts
that are not wanted stay unread. numpy, no bpy.

Blender gives no pixels of a multilayer image, and its process loads no EXR library. What other programs packed in
another way is refused in plain words.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from . import shots
from .engine_client import EngineError

Floats = NDArray[np.float32]
TYPES = (np.dtype("<u4"), np.dtype("<f2"), np.dtype("<f4"))
"""Of a channel: unsigned, half, float"""
ZIPPED = {0: False, 2: True, 3: True}
"""Compressions that are understood: none, each row, 16 rows together"""
ORDER = ("R", "G", "B", "A", "X", "Y", "Z", "V", "colour", "form", "stroke", "u", "v", "confidence", "picture")
"""How channels follow each other in a layer; others come after these, by name"""
OTHER_KINDS = 0x200 | 0x800
"""Flags of files with tiles, and of deep ones"""
FEW = 64
"""Blocks of rows that are enough for a preview"""


@dataclass(frozen=True)
class _Sheet:
    """What the header of a part says of how pixels lie."""

    size: tuple[int, int]
    """Width and height"""
    top: int
    """The number of the first row"""
    channels: tuple[tuple[str, np.dtype[np.generic]], ...]
    """By full name, in the order in which they lie in a row"""
    compression: int
    rows: int
    """That are packed together"""
    places: tuple[int, ...]
    """Of the blocks of rows in the file"""
    mark: int
    """Bytes before each block that tell of which part it is"""

    @property
    def row_bytes(self) -> int:
        return self.size[0] * sum(kind.itemsize for _, kind in self.channels)


def names(file: Path) -> tuple[str, ...]:
    """The layers of an EXR, `ViewLayer.Attribution Scale`, in the order of their names; bare channels are ""."""
    with _opened(file) as stream:
        channels = (name for sheet in _sheets(stream, file) for name, _ in sheet.channels)
        return tuple(dict.fromkeys(name.rpartition(".")[0] for name in channels))


def layer(file: Path, name: str) -> Floats:
    """(H, W, C) of the layer whose name ends so, top row first. Raises EngineError where it cannot be had."""
    return _read(file, name, few=False)


def thumbnail(file: Path, name: str) -> Floats | None:
    """Some of its rows, and as many of its columns; None where it cannot be had, for nobody waits for a preview."""
    try:
        rows = _read(file, name, few=True)
    except EngineError:
        return None
    return rows


def _read(file: Path, name: str, few: bool) -> Floats:
    with _opened(file) as stream:
        sheet, wanted = _found(_sheets(stream, file), name, file)
        step = -(-len(sheet.places) // FEW) if few else 1
        try:
            with ThreadPoolExecutor() as threads:
                blocks = threads.map(lambda packed: _unpacked(sheet, packed, wanted), _packed(stream, sheet, step))
                pixels = np.concatenate(list(blocks))
        except (zlib.error, ValueError, struct.error) as error:
            raise EngineError(f"{file.name} is damaged.", "Paint it again.") from error
    return pixels[:, ::step] if few else pixels


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise EngineError(
            f"{file.name} cannot be read ({error.strerror}).", "Find the file, or paint it again."
        ) from error


def _sheets(stream: BinaryIO, file: Path) -> list[_Sheet]:
    try:
        return _headers(stream)
    except (struct.error, LookupError, ValueError) as error:
        raise EngineError(
            f"The layers of {file.name} cannot be read here.", "Choose a file that Pentimento has written."
        ) from error


def _headers(stream: BinaryIO) -> list[_Sheet]:
    start, flags = struct.unpack("<4sI", stream.read(8))
    if start != shots.EXR or flags & OTHER_KINDS:
        raise ValueError("no EXR with rows")
    several, heads = bool(flags & shots.SEVERAL_PARTS), []
    while attributes := dict(shots.exr_attributes(stream)):
        heads.append(attributes)
        if not several:
            break
    return [_sheet(stream, attributes, several) for attributes in heads]


def _sheet(stream: BinaryIO, attributes: dict[str, bytes], several: bool) -> _Sheet:
    """Reads the table of its blocks, which lie behind all headers in the order of the parts."""
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    part = attributes.get("name", b"").rstrip(b"\0").decode("utf-8", "replace") if several else ""
    compression = attributes["compression"][0]
    rows = shots.BLOCK_ROWS[compression]
    count = -(-(bottom - top + 1) // rows)
    places = struct.unpack(f"<{count}Q", stream.read(8 * count))
    channels = tuple((_full(name, part), kind) for name, kind in _channels(attributes["channels"]))
    size = (right - left + 1, bottom - top + 1)
    return _Sheet(size, top, channels, compression, rows, places, mark=4 if several else 0)


def _full(channel: str, part: str) -> str:
    """Blender 5 repeats the layer in the channel's name; others leave it to the name of the part."""
    return f"{part}.{channel}" if part and not channel.startswith(f"{part}.") else channel


def _channels(block: bytes) -> Iterator[tuple[str, np.dtype[np.generic]]]:
    """Each is a name that ends with a zero, and 16 bytes, the first of them its type."""
    place = 0
    while end := block.index(0, place) - place:
        kind = TYPES[struct.unpack_from("<i", block, place + end + 1)[0]]
        yield block[place : place + end].decode("utf-8", "replace"), kind
        place += end + 17


def _found(sheets: list[_Sheet], name: str, file: Path) -> tuple[_Sheet, list[int]]:
    """The part with a layer, and the places of its channels in the order in which they are wanted."""
    sheet, wanted = next(((sheet, found) for sheet in sheets if (found := _wanted(sheet, name))), (None, []))
    if sheet is None:
        raise EngineError(f"{file.name} has no layer {name}.", "Choose another layer, or paint it again.")
    if sheet.compression not in ZIPPED:
        raise EngineError(
            f"The layer {name} of {file.name} is compressed in a way that cannot be read here.",
            "Look at it in the compositor, or render with the codec ZIP.",
        )
    return sheet, wanted


def _wanted(sheet: _Sheet, name: str) -> list[int]:
    """A dot separates layer and channel, so a layer's own dot may have become a space."""
    wanted = f".{name.replace(' ', '.')}" if name else "."
    found = [
        (number, channel.rpartition(".")[2])
        for number, (channel, _) in enumerate(sheet.channels)
        if f".{channel.rpartition('.')[0]}".replace(" ", ".").endswith(wanted)
    ]
    order = {channel: place for place, channel in enumerate(ORDER)}
    return [number for number, channel in sorted(found, key=lambda each: (order.get(each[1], len(order)), each[1]))]


def _packed(stream: BinaryIO, sheet: _Sheet, step: int) -> Iterator[tuple[int, bytes]]:
    """How many rows a block has, and its bytes."""
    for place in sheet.places[::step]:
        stream.seek(place + sheet.mark)
        row, length = struct.unpack("<ii", stream.read(8))
        yield min(sheet.rows, sheet.top + sheet.size[1] - row), stream.read(length)


def _unpacked(sheet: _Sheet, packed: tuple[int, bytes], wanted: list[int]) -> Floats:
    """(rows, W, C) of a block: each row has one channel after the other."""
    count, data = packed
    is_packed = ZIPPED[sheet.compression] and len(data) < count * sheet.row_bytes
    rows = (_unzipped(data) if is_packed else np.frombuffer(data, np.uint8)).reshape(count, sheet.row_bytes)
    starts = np.cumsum([0, *(sheet.size[0] * kind.itemsize for _, kind in sheet.channels)])
    pixels = np.empty((count, sheet.size[0], len(wanted)), np.float32)
    for place, number in enumerate(wanted):
        kind = sheet.channels[number][1]
        pixels[..., place] = np.ascontiguousarray(rows[:, starts[number] : starts[number + 1]]).view(kind)
    return pixels


def _unzipped(data: bytes) -> NDArray[np.uint8]:
    """Even bytes, then odd ones, each as the step from the one before: `encode` does it the other way round."""
    steps = np.frombuffer(zlib.decompress(data), np.uint8).copy()
    steps[1:] += np.uint8(128)
    apart = np.cumsum(steps, dtype=np.uint8)
    whole = np.empty_like(apart)
    half = (len(apart) + 1) // 2
    whole[0::2], whole[1::2] = apart[:half], apart[half:]
    return whole
