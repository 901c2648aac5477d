"""Layers out of the EXRs that the engine writes: one part, rows packed with ZIP or not at all. numpy, no bpy.

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
FEW = 64
"""Blocks of rows that are enough for a preview"""


@dataclass(frozen=True)
class _Sheet:
    """What the header says of how pixels lie."""

    size: tuple[int, int]
    """Width and height"""
    top: int
    """The number of the first row"""
    channels: tuple[tuple[str, np.dtype[np.generic]], ...]
    """In the order in which they lie in a row"""
    zipped: bool
    rows: int
    """That are packed together"""
    places: tuple[int, ...]
    """Of the blocks of rows in the file"""

    @property
    def row_bytes(self) -> int:
        return self.size[0] * sum(kind.itemsize for _, kind in self.channels)


def names(file: Path) -> tuple[str, ...]:
    """The layers of an EXR, `ViewLayer.Attribution Scale`, in the order of their names; bare channels are ""."""
    with _opened(file) as stream:
        return tuple(dict.fromkeys(name.rpartition(".")[0] for name, _ in _sheet(stream, file).channels))


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
        sheet = _sheet(stream, file)
        wanted = _wanted(sheet, name, file)
        step = -(-len(sheet.places) // FEW) if few else 1
        with ThreadPoolExecutor() as threads:
            blocks = threads.map(lambda packed: _unpacked(sheet, packed, wanted), _packed(stream, sheet, step))
            try:
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


def _sheet(stream: BinaryIO, file: Path) -> _Sheet:
    try:
        return _header(stream)
    except (struct.error, LookupError, ValueError) as error:
        raise EngineError(
            f"The layers of {file.name} cannot be read here.", "Choose a file that Pentimento has written."
        ) from error


def _header(stream: BinaryIO) -> _Sheet:
    start, flags = struct.unpack("<4sI", stream.read(8))
    if start != shots.EXR or flags & (shots.SEVERAL_PARTS | 0x200):
        raise ValueError("no EXR of one part with rows")
    attributes = dict(shots.exr_attributes(stream))
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    compression = attributes["compression"][0]
    rows = shots.BLOCK_ROWS[compression]
    count = -(-(bottom - top + 1) // rows)
    places = struct.unpack(f"<{count}Q", stream.read(8 * count))
    channels = tuple(_channels(attributes["channels"]))
    return _Sheet((right - left + 1, bottom - top + 1), top, channels, ZIPPED[compression], rows, places)


def _channels(block: bytes) -> Iterator[tuple[str, np.dtype[np.generic]]]:
    """Each is a name that ends with a zero, and 16 bytes, the first of them its type."""
    place = 0
    while end := block.index(0, place) - place:
        kind = TYPES[struct.unpack_from("<i", block, place + end + 1)[0]]
        yield block[place : place + end].decode("utf-8", "replace"), kind
        place += end + 17


def _wanted(sheet: _Sheet, name: str, file: Path) -> list[int]:
    """The places of the layer's channels, in the order in which they are wanted."""
    wanted = f".{name.replace(' ', '.')}"
    found = [
        (number, channel.rpartition(".")[2])
        for number, (channel, _) in enumerate(sheet.channels)
        if f".{channel.rpartition('.')[0]}".replace(" ", ".").endswith(wanted if name else ".")
    ]
    if not found:
        raise EngineError(f"{file.name} has no layer {name}.", "Choose another layer, or paint it again.")
    order = {channel: place for place, channel in enumerate(ORDER)}
    return [number for number, channel in sorted(found, key=lambda each: (order.get(each[1], len(order)), each[1]))]


def _packed(stream: BinaryIO, sheet: _Sheet, step: int) -> Iterator[tuple[int, bytes]]:
    """How many rows a block has, and its bytes."""
    for place in sheet.places[::step]:
        stream.seek(place)
        row, length = struct.unpack("<ii", stream.read(8))
        yield min(sheet.rows, sheet.top + sheet.size[1] - row), stream.read(length)


def _unpacked(sheet: _Sheet, packed: tuple[int, bytes], wanted: list[int]) -> Floats:
    """(rows, W, C) of a block: each row has one channel after the other."""
    count, data = packed
    is_packed = sheet.zipped and len(data) < count * sheet.row_bytes
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
