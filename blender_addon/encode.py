"""Pixels as the bytes of a picture file, which Blender packs as they are. numpy and the standard library, no bpy.

Blender could do this itself with `Image.pack()`, but it would stand still meanwhile: seconds for a 4K texture. This
runs in a thread; compressing lets the main thread go on. Copying bytes does not: what is large is put together once.
"""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 1
"""Of zlib. Paintings hardly get smaller with more, only slower."""
PARTS = 2
"""Of a PNG, packed at once: Blender has nothing else to wait for, and the smallest of machines two cores"""
ZIP_ROWS = 16
"""Rows that an EXR of compression ZIP packs together."""


def png(rows: NDArray[np.uint8]) -> bytes:
    """A PNG file of (H, W, 1 | 3 | 4) bytes, top row first. Each row is stored as its difference to the one above."""
    height, width, channels = rows.shape
    flat = rows.reshape(height, width * channels)
    filtered = np.empty((height, 1 + flat.shape[1]), np.uint8)
    filtered[:, 0], filtered[0, 1:] = 2, flat[0]
    np.subtract(flat[1:], flat[:-1], out=filtered[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [*_png_chunk(b"IHDR", head), *_png_chunk(b"IDAT", *_packed(filtered)), *_png_chunk(b"IEND")]
    return b"".join((b"\x89PNG\r\n\x1a\n", *chunks))


def _packed(filtered: NDArray[np.uint8]) -> list[bytes]:
    """As zlib packs it, in parts at once: a stream of deflated parts is one stream (RFC 1950, 1951)."""
    height = len(filtered)
    edges = [height * part // PARTS for part in range(PARTS + 1)]
    parts = [filtered[first:last] for first, last in pairwise(edges)]
    with ThreadPoolExecutor(max_workers=PARTS) as threads:
        packed = threads.map(_deflated, parts, [last == height for last in edges[1:]])
        pieces = [piece for part in packed for piece in part]
    return [b"\x78\x01", *pieces, struct.pack(">I", zlib.adler32(filtered.data))]


def _deflated(part: NDArray[np.uint8], is_last: bool) -> tuple[bytes, bytes]:
    """Runs alone, as libpng advises for filtered pictures: of paintings about as small as with all that zlib can find
    in them, in half the time."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=zlib.Z_RLE)
    return packer.compress(part.data), packer.flush(zlib.Z_FINISH if is_last else zlib.Z_FULL_FLUSH)


def _png_chunk(kind: bytes, *data: bytes) -> list[bytes]:
    check = 0
    for piece in (kind, *data):
        check = zlib.crc32(piece, check)
    return [struct.pack(">I", sum(map(len, data))), kind, *data, struct.pack(">I", check)]


def exr(rows: NDArray[np.floating[Any]]) -> bytes:
    """An OpenEXR file of (H, W, 1 | 3 | 4) numbers, top row first: float32, ZIP. One channel becomes R = G = B."""
    height, width, channels = rows.shape
    # Channels lie in alphabetical order, each row one channel after the other: A, B, G, R.
    order = [3, 2, 1, 0] if channels == 4 else [2, 1, 0] if channels == 3 else [0, 0, 0]
    packed = []
    for top in range(0, height, ZIP_ROWS):
        block = rows[top : top + ZIP_ROWS, :, order].astype("<f4", copy=False)
        packed.append(_zip(np.ascontiguousarray(block.transpose(0, 2, 1)).view(np.uint8).ravel()))
    return _exr_file(height, width, "ABGR"[4 - len(order) :], packed)


def blank_exr(height: int, width: int) -> bytes:
    """The same of zeros in four channels: one block of rows is packed, for the others are like it."""
    sizes = [min(ZIP_ROWS, height - top) for top in range(0, height, ZIP_ROWS)]
    packed = {rows: _zip(np.zeros(rows * width * 16, np.uint8)) for rows in set(sizes)}
    return _exr_file(height, width, "ABGR", [packed[rows] for rows in sizes])


def _exr_file(height: int, width: int, names: str, packed: list[bytes]) -> bytes:
    """packed: the blocks of ZIP_ROWS rows, from the top"""
    blocks = [struct.pack("<ii", ZIP_ROWS * number, len(data)) + data for number, data in enumerate(packed)]
    head = _exr_head(height, width, names)
    first = len(head) + 8 * len(blocks)
    offsets = np.cumsum([first, *map(len, blocks[:-1])], dtype="<u8").tobytes()
    return b"".join((head, offsets, *blocks))


def _zip(raw: NDArray[np.uint8]) -> bytes:
    """As OpenEXR does: even bytes, then odd ones, each as the step from the one before; plain if shorter."""
    apart = np.concatenate((raw[0::2], raw[1::2]))
    apart[1:] = apart[1:] - apart[:-1] + np.uint8(128)
    packed = zlib.compress(apart.data, LEVEL)
    return packed if len(packed) < raw.size else raw.tobytes()


def _exr_head(height: int, width: int, names: str) -> bytes:
    window = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    float32 = struct.pack("<iBBBBii", 2, 0, 0, 0, 0, 1, 1)
    attributes = (
        ("channels", "chlist", b"".join(name.encode() + b"\0" + float32 for name in names) + b"\0"),
        ("compression", "compression", b"\x03"),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<ff", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    )
    text = (f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value for name, kind, value in attributes)
    return b"\x76\x2f\x31\x01\x02\0\0\0" + b"".join(text) + b"\0"
