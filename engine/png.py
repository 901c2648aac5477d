"""PNG: a writer that takes rows as they come (8 and 16 bit), and what a file says about itself before decoding.

Why our own: Pillow cannot write 16-bit RGB, and would need the whole picture in memory.
Values are big-endian in the file; row 0 is the top. `png_reader` reads 16 bits, Pillow (in `files`) reads 8.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .atomic import NewFile, StrPath, reading, shown
from .errors import EngineError
from .picture import Array

SIGNATURE = b"\x89PNG\r\n\x1a\n"
Bytes = NDArray[np.uint8]

_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
_CHANNELS = {colour_type: channels for channels, colour_type in _COLOUR_TYPE.items()}
PALETTE = 3
NONE, SUB, UP, AVERAGE, PAETH = range(5)
"""The row filters of a PNG: what is subtracted from each byte."""

# Painted pictures are noisy: level 1 packs them within a few percent of level 6 in a fifth of the time.
_LEVEL = 1
_IDAT_BYTES = 1 << 20
# Rows are filtered and packed in pieces of this size, so that a caller may pass a band of any height.
_FILTER_BYTES = 1 << 22

# deflate cannot pack tighter than 1032 : 1, so a smaller file has lost its pixels.
_MAX_RATIO = 1040
# Encoders put 8 kB or more into a chunk. Very many tiny ones only cost time.
_SMALL_CHUNK = 1024
_MAX_CHUNKS = 2**19


# ---------------------------------------------------------------- writing


class PngWriter:
    """Rows from the top, in bands of any height; in place under its name once all have come.

    Use it in a `with` block: an error inside removes what was written.
    """

    def __init__(
        self, path: StrPath, height: int, width: int, channels: int, dtype: Any, text: Mapping[str, str], srgb: bool
    ) -> None:
        self.shape = (height, width, channels)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.uint8, np.uint16) or channels not in _COLOUR_TYPE or min(height, width) < 1:
            raise ValueError(f"no PNG has {height} x {width} x {channels} {self.dtype}")
        self._next = 0
        self._above = np.zeros((1, width * channels * self.dtype.itemsize), np.uint8)
        self._packer = zlib.compressobj(_LEVEL)
        self._packed = bytearray()
        self._new = NewFile(path)
        self._start(text, srgb)

    def __enter__(self) -> PngWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._new.__exit__(kind, error, trace)
            return
        with self._new:
            if self._next != self.shape[0]:
                raise ValueError(f"{self._next} of {self.shape[0]} rows were written")
            self._finish()

    def write_rows(self, rows: Array) -> None:
        """Append rows: (n, width, channels) of the writer's dtype."""
        if rows.shape[1:] != self.shape[1:] or rows.dtype != self.dtype or self._next + len(rows) > self.shape[0]:
            raise ValueError(f"rows {rows.shape} {rows.dtype} do not continue {self.shape} at row {self._next}")
        self._next += len(rows)
        step = max(1, _FILTER_BYTES // self._above.shape[1])
        for top in range(0, len(rows), step):
            self._pack(_as_bytes(rows[top : top + step]))

    def _start(self, text: Mapping[str, str], srgb: bool) -> None:
        with self._cleaned():
            height, width, channels = self.shape
            depth = 8 * self.dtype.itemsize
            head = struct.pack(">IIBBBBB", width, height, depth, _COLOUR_TYPE[channels], 0, 0, 0)
            self._new.file.write(SIGNATURE + _chunk(b"IHDR", head))
            if srgb:
                self._new.file.write(_chunk(b"sRGB", b"\x00"))
            for key, value in text.items():
                self._new.file.write(_text_chunk(key, value))

    def _cleaned(self) -> _Cleaned:
        return _Cleaned(self._new)

    def _pack(self, rows: Bytes) -> None:
        with self._cleaned():
            filtered = _filtered(rows, self._above, self.shape[2] * self.dtype.itemsize)
            self._above = rows[-1:].copy()
            self._packed += self._packer.compress(filtered)
            if len(self._packed) >= _IDAT_BYTES:
                self._flush()

    def _flush(self) -> None:
        self._new.file.write(_chunk(b"IDAT", bytes(self._packed)))
        self._packed.clear()

    def _finish(self) -> None:
        self._packed += self._packer.flush()
        self._flush()
        self._new.file.write(_chunk(b"IEND", b""))


class _Cleaned:
    """Inside, any error removes the unfinished file; the system's refusals become EngineErrors."""

    def __init__(self, new: NewFile) -> None:
        self._new = new

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._new.__exit__(kind, error, trace)


def create_png(
    path: StrPath,
    height: int,
    width: int,
    channels: int,
    dtype: Any,
    text: Mapping[str, str] | None = None,
    srgb: bool = True,
) -> PngWriter:
    """A PNG to be written row by row. channels 1..4, dtype uint8 | uint16; text goes into the file (the recipe).

    srgb: say in the file that its colours are sRGB; off for data (normals, roughness).
    """
    return PngWriter(path, height, width, channels, dtype, text or {}, srgb)


def _as_bytes(rows: Array) -> Bytes:
    """(n, width, channels) as the file's bytes (n, stride): 16-bit values big-endian."""
    big_endian = rows.astype(rows.dtype.newbyteorder(">"), copy=False)
    return np.ascontiguousarray(big_endian).view(np.uint8).reshape(len(rows), -1)


def _filtered(rows: Bytes, above: Bytes, pixel: int) -> bytes:
    """Each row as its difference to the left or upper pixel, whichever is smaller, with the filter's number before.

    rows: (n, stride); above: (1, stride), the row before the first; pixel: bytes of one pixel.
    """
    up = rows - np.concatenate([above, rows[:-1]])
    sub = rows.copy()
    sub[:, pixel:] -= rows[:, :-pixel]
    better_up = _cost(up) < _cost(sub)
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = np.where(better_up, UP, SUB)
    filtered[:, 1:] = np.where(better_up[:, None], up, sub)
    return filtered.tobytes()


def _cost(differences: Bytes) -> NDArray[np.int64]:
    """How large the differences of each row are, as signed bytes: a good guess of how they will pack."""
    return np.abs(differences.view(np.int8).astype(np.int16)).sum(axis=1, dtype=np.int64)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _text_chunk(key: str, value: str) -> bytes:
    """tEXt where Latin-1 will do, since everything reads it; iTXt (UTF-8) for the rest."""
    name = key.encode("latin-1")
    if not 1 <= len(name) <= 79 or b"\x00" in name or "\x00" in value:
        raise ValueError(f"{key!r} cannot be the name of a text in a PNG, or the text holds a NUL")
    if value.isascii():
        return _chunk(b"tEXt", name + b"\x00" + value.encode("ascii"))
    return _chunk(b"iTXt", name + b"\x00\x00\x00\x00\x00" + value.encode("utf-8"))


# ---------------------------------------------------------------- what a file says about itself

_TEXTS = (b"tEXt", b"iTXt")
_MOST_TEXT = 1 << 24
"""Bytes to which a packed text may unpack"""


@dataclass(frozen=True)
class PngIndex:
    """Head of a PNG and where its pixels lie, found without decoding any."""

    width: int
    height: int
    depth: int
    """bits per value: 1, 2, 4, 8, 16"""
    colour_type: int
    interlaced: bool
    transparent: bytes
    """The tRNS chunk: for grey and RGB the one colour that is transparent"""
    data: tuple[tuple[int, int], ...]
    """Offset and length of each IDAT chunk's content"""

    @property
    def channels(self) -> int:
        """Channels stored (a palette counts as one)."""
        return _CHANNELS.get(self.colour_type, 1)

    @property
    def pixel(self) -> int:
        """Bytes of one pixel as the row filters see it."""
        return max(1, self.channels * self.depth // 8)

    @property
    def stride(self) -> int:
        """Bytes of one row, without the filter's number."""
        return -(-self.width * self.channels * self.depth // 8)


def read_index(path: StrPath) -> PngIndex:
    """Walk over the chunks. Raises EngineError for a file that is damaged or cut off."""
    with reading(path), Path(path).open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(len(SIGNATURE))
        try:
            index = _index(stream, size)
        except (struct.error, ValueError, KeyError) as error:
            raise damaged(path) from error
    packed = sum(length for _, length in index.data)
    if index.height * (index.stride + 1) > packed * _MAX_RATIO:
        raise damaged(path)
    return index


def read_texts(path: StrPath) -> dict[str, str]:
    """The texts in a PNG, all but zTXt. Raises EngineError for a file that is damaged or cut off."""
    with reading(path), Path(path).open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(len(SIGNATURE))
        try:
            found = [(kind, stream.read(length)) for kind, _, length in _chunks(stream, size) if kind in _TEXTS]
            return dict(_text(kind, data) for kind, data in found)
        except (struct.error, ValueError, zlib.error) as error:
            raise damaged(path) from error


def _text(kind: bytes, data: bytes) -> tuple[str, str]:
    key, _, value = data.partition(b"\x00")
    return key.decode("latin-1"), value.decode("latin-1") if kind == b"tEXt" else _international(value)


def _international(value: bytes) -> str:
    """Of an iTXt, after its key: is it packed, how, a language and a translated key that end with a NUL, and UTF-8."""
    text = value[2:].split(b"\x00", 2)[2] if value.count(b"\x00", 2) > 1 else b""
    return (zlib.decompressobj().decompress(text, _MOST_TEXT) if value[:1] == b"\x01" else text).decode("utf-8")


def _index(stream: BinaryIO, size: int) -> PngIndex:
    head, transparent, data = b"", b"", []
    for kind, offset, length in _chunks(stream, size):
        if kind == b"IHDR":
            head = stream.read(13)
        elif kind == b"tRNS":
            transparent = stream.read(min(length, 256))
        elif kind == b"IDAT":
            data.append((offset, length))
    width, height, depth, colour_type, _, _, interlace = struct.unpack(">IIBBBBB", head)
    if not width or not height or depth not in (1, 2, 4, 8, 16) or colour_type not in (*_CHANNELS, PALETTE):
        raise ValueError("impossible head")
    return PngIndex(width, height, depth, colour_type, bool(interlace), transparent, tuple(data))


def _chunks(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and length of every chunk up to IEND; ValueError where the file ends before that."""
    for _ in range(min(_MAX_CHUNKS, 1000 + size // _SMALL_CHUNK)):
        length, kind = struct.unpack(">I4s", stream.read(8))
        offset = stream.tell()
        if offset + length + 4 > size:
            raise ValueError("cut off")
        yield kind, offset, length
        if kind == b"IEND":
            return
        stream.seek(offset + length + 4)
    raise ValueError("too many chunks")


def damaged(path: StrPath) -> EngineError:
    """The error for a file that ends too early or is not what it says."""
    return EngineError(f"{shown(path)} is damaged or was not written to its end.", "Save or copy it again.")
