"""PNG decoded band by band as windows ask for it, for what Pillow does badly: 16 bits, of which it silently keeps the
upper 8, and very large pictures, for which it needs 4 bytes a pixel.

All five row filters are undone with numpy; the decoder's state at the start of every band is kept, so a 16K texture
is read with a few hundred megabytes.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .atomic import StrPath, reading, shown
from .errors import EngineError
from .picture import Alpha, Array, Encoding, check_window, has_alpha
from .png import AVERAGE, PAETH, PALETTE, SUB, UP, Bytes, PngIndex, damaged
from .view import View

# One decoded band of rows, and how many of them stay in memory for the tiles beside and below.
_BAND_BYTES = 1 << 25
_BANDS_KEPT = 8


@dataclass(frozen=True, eq=False)
class StreamedPng:
    """An 8- or 16-bit PNG, decoded in bands of rows as windows ask for them.

    The state of the decoder is kept at the start of every band, so going back costs one band, not the whole file;
    the last bands stay in memory for the tiles that share them.
    """

    path: Path
    index: PngIndex
    encoding: Encoding
    alpha: Alpha
    name: str
    view: View | None = None

    @property
    def height(self) -> int:
        return self.index.height

    @property
    def width(self) -> int:
        return self.index.width

    @property
    def channels(self) -> int:
        return self.index.channels + bool(self.index.transparent and not has_alpha(self.index.channels))

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16 if self.index.depth == 16 else np.uint8)

    def read(self, top: int, left: int, height: int, width: int) -> Array:
        """The window, uint8 or uint16 (height, width, channels)."""
        check_window(self, top, left, height, width)
        bands = self._bands
        values = np.empty((height, width, self.index.channels), self.dtype)
        for number in range(top // bands.rows, (top + height - 1) // bands.rows + 1):
            first = number * bands.rows
            start, stop = max(top, first), min(top + height, first + bands.rows)
            rows = bands.band(number)[start - first : stop - first]
            pixels = rows.view(self.dtype.newbyteorder(">")).reshape(len(rows), self.width, -1)
            values[start - top : stop - top] = pixels[:, left : left + width]
        return self._with_key(values)

    @cached_property
    def _bands(self) -> _Bands:
        return _Bands(self.path, self.index)

    def _with_key(self, values: Array) -> Array:
        """Add the alpha that a transparent colour (tRNS) means."""
        if self.channels == self.index.channels:
            return values
        key = np.frombuffer(self.index.transparent, ">u2", self.index.channels)
        seen = np.any(values != key, axis=2, keepdims=True)
        alpha = seen * self.dtype.type(np.iinfo(self.dtype).max)
        return np.concatenate([values, alpha], axis=2)


def can_stream(index: PngIndex) -> bool:
    """Palettes, a few bits per value and interlacing are left to Pillow."""
    return index.depth >= 8 and index.colour_type != PALETTE and not index.interlaced


def open_streamed(path: StrPath, index: PngIndex) -> StreamedPng:
    """A PNG as a picture that is decoded as windows ask for it: sRGB, alpha straight."""
    if not can_stream(index):
        raise EngineError(
            f"{shown(path)} is an interlaced 16-bit PNG, which is not supported.", "Save it without interlacing."
        )
    if index.transparent and len(index.transparent) < 2 * index.channels:
        raise damaged(path)
    alpha: Alpha = "straight" if has_alpha(index.channels) or index.transparent else "none"
    return StreamedPng(Path(path), index, "srgb", alpha, Path(path).stem)


@dataclass
class _State:
    """A decoder at the start of a band."""

    unpacker: Any
    """zlib's decompressor"""
    tail: bytes
    """Packed bytes that were read and not used yet"""
    chunk: int
    offset: int
    """The next packed byte: in this IDAT chunk, this far"""
    above: Bytes
    """(stride,) the decoded row before the band"""

    def copy(self) -> _State:
        return _State(self.unpacker.copy(), self.tail, self.chunk, self.offset, self.above)


class _Bands:
    """Decoded bands of rows of one PNG; safe to ask from several threads."""

    def __init__(self, path: Path, index: PngIndex) -> None:
        self.rows = max(1, min(index.height, _BAND_BYTES // index.stride))
        self._path, self._index = path, index
        self._starts = [_State(zlib.decompressobj(), b"", 0, 0, np.zeros(index.stride, np.uint8))]
        self._kept: OrderedDict[int, Bytes] = OrderedDict()
        self._lock = threading.Lock()

    def band(self, number: int) -> Bytes:
        """Rows number * rows ... as bytes (n, stride)."""
        with self._lock:
            if number not in self._kept:
                self._decode_up_to(number)
            self._kept.move_to_end(number)
            return self._kept[number]

    def _decode_up_to(self, number: int) -> None:
        with reading(self._path), self._path.open("rb") as stream:
            for current in range(min(number, len(self._starts) - 1), number + 1):
                try:
                    self._keep(current, self._decode(current, stream))
                except (zlib.error, ValueError) as error:
                    raise damaged(self._path) from error

    def _keep(self, number: int, band: Bytes) -> None:
        self._kept[number] = band
        while len(self._kept) > _BANDS_KEPT:
            self._kept.popitem(last=False)

    def _decode(self, number: int, stream: BinaryIO) -> Bytes:
        state = self._starts[number].copy()
        rows = min(self.rows, self._index.height - number * self.rows)
        packed = np.frombuffer(self._unpack(state, stream, rows * (self._index.stride + 1)), np.uint8)
        packed = packed.reshape(rows, -1)
        band = unfilter(packed[:, 1:], packed[:, 0], state.above, self._index.pixel)
        state.above = band[-1].copy()
        if len(self._starts) == number + 1:
            self._starts.append(state)
        return band

    def _unpack(self, state: _State, stream: BinaryIO, wanted: int) -> bytearray:
        """The next `wanted` bytes behind the state, which moves on."""
        found = bytearray()
        while len(found) < wanted:
            packed = state.tail or self._packed(state, stream)
            if not packed:
                raise ValueError("the pixels end too early")
            found += state.unpacker.decompress(packed, wanted - len(found))
            state.tail = state.unpacker.unconsumed_tail
        return found

    def _packed(self, state: _State, stream: BinaryIO) -> bytes:
        """Up to 64 kB of packed data; empty at the end."""
        while state.chunk < len(self._index.data):
            offset, length = self._index.data[state.chunk]
            if state.offset < length:
                stream.seek(offset + state.offset)
                piece = stream.read(min(1 << 16, length - state.offset))
                state.offset += len(piece)
                return piece
            state.chunk, state.offset = state.chunk + 1, 0
        return b""


# ---------------------------------------------------------------- row filters, backwards


def unfilter(rows: Bytes, filters: Bytes, above: Bytes, pixel: int) -> Bytes:
    """Undo the row filters. rows (n, stride), filters (n,), above (stride,) the row before; bytes of a pixel."""
    if filters.max(initial=0) > PAETH:
        raise ValueError("unknown row filter")
    if (filters >= AVERAGE).any():
        return _unfilter_wave(rows, filters, above, pixel)
    return _unfilter_rows(rows, filters, above, pixel)


def _unfilter_rows(rows: Bytes, filters: Bytes, above: Bytes, pixel: int) -> Bytes:
    """None, Sub and Up: whole rows at a time. All sums wrap at 256."""
    result = np.empty_like(rows, order="C")
    for row, kind, target in zip(rows, filters.tolist(), result, strict=True):
        if kind == SUB:
            np.cumsum(row.reshape(-1, pixel), axis=0, dtype=np.uint8, out=target.reshape(-1, pixel))
        elif kind == UP:
            np.add(row, above, out=target)
        else:
            target[:] = row
        above = target
    return result


def _unfilter_wave(rows: Bytes, filters: Bytes, above: Bytes, pixel: int) -> Bytes:
    """All five filters at once, by a wave that runs over the anti-diagonals.

    Average and Paeth need the pixels to the left, above and above left decoded, so neither a row nor a column can
    be done as one array; all pixels with the same row + column can. The rows are laid out so that such a diagonal
    is contiguous: wave[d, r] is pixel d - r of row r (row 0 is `above`, already decoded), two empty diagonals first.
    """
    count, width = rows.shape[0] + 1, rows.shape[1] // pixel
    wave = np.zeros((count + width + 1, count, pixel), np.int16)
    skewed = _skewed(wave, width)
    skewed[0] = above.reshape(width, pixel)
    skewed[1:] = rows.reshape(count - 1, width, pixel)
    choose = _Predictor(filters, pixel)
    for diagonal in range(3, count + width + 1):
        low, high = max(1, diagonal - 1 - width), min(count, diagonal - 1)
        left, upper, corner = wave[diagonal - 1], wave[diagonal - 1], wave[diagonal - 2]
        predicted = choose(left[low:high], upper[low - 1 : high - 1], corner[low - 1 : high - 1], low - 1, high - 1)
        target = wave[diagonal, low:high]
        target += predicted
        target &= 255
    return skewed[1:].astype(np.uint8).reshape(count - 1, -1)


def _skewed(wave: NDArray[np.int16], width: int) -> NDArray[np.int16]:
    """View of the wave as plain rows (row, column, byte): row r, column c lies on diagonal r + c + 2."""
    along, across, byte = wave.strides
    return np.lib.stride_tricks.as_strided(
        wave[2:], (wave.shape[1], width, wave.shape[2]), (along + across, along, byte)
    )


class _Predictor:
    """What each of the five filters predicts for pixels of several rows at once."""

    def __init__(self, filters: Bytes, pixel: int) -> None:
        kind = np.repeat(filters[:, None], pixel, axis=1)
        # None, Sub, Up and Average are (left * a + upper * b) >> c.
        self._left = ((kind == SUB) | (kind == AVERAGE)).astype(np.int16)
        self._upper = ((kind == UP) | (kind == AVERAGE)).astype(np.int16)
        self._shift = (kind == AVERAGE).astype(np.int16)
        self._paeth = -(kind == PAETH).astype(np.int16)

    def __call__(self, left: Array, upper: Array, corner: Array, low: int, high: int) -> Array:
        """Predictions for the rows low..high; all arrays (high - low, pixel) int16."""
        rows = np.s_[low:high]
        linear = left * self._left[rows]
        linear += upper * self._upper[rows]
        linear >>= self._shift[rows]
        return _select(self._paeth[rows], _paeth(left, upper, corner), linear)


def _paeth(left: Array, upper: Array, corner: Array) -> Array:
    """Left, upper or corner: whichever is nearest to left + upper - corner, in this order."""
    to_left, to_upper = upper - corner, left - corner
    to_corner = np.abs(to_left + to_upper)
    np.abs(to_left, out=to_left)
    np.abs(to_upper, out=to_upper)
    second = _select(_less(to_corner, to_upper), corner, upper)
    return _select(_less(np.minimum(to_upper, to_corner), to_left), second, left)


def _less(a: Array, b: Array) -> Array:
    """-1 (all bits) where a < b, else 0; int16."""
    return (a - b) >> 15


def _select(mask: Array, yes: Array, no: Array) -> Array:
    """`yes` where the mask has all bits, else `no`: numpy.where takes twenty times as long on data like these."""
    chosen = yes ^ no
    chosen &= mask
    chosen ^= no
    return chosen
