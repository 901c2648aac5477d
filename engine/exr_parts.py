"""Parts of OpenEXR files laid beside each other without unpacking them: what was compressed once stays as it is.

A render with its passes is several megabytes that a result takes over untouched. To decode and compress them again
takes longer than to paint the frame, and on a processor it takes the very cores that paint. Here their chunks are
copied as they lie in the file; only what is new is compressed.

The layout of files is that of "OpenEXR File Layout" (openexr.com, Technical Introduction): magic and version, a header
of attributes for each part, a table with the place of each chunk of each part, then the chunks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

_MAGIC = b"\x76\x2f\x31\x01"
_LONG_NAMES, _SEVERAL = 0x400, 0x1000
_OTHER_KINDS = 0x200 | 0x800
"""Version flags of tiled and deep files"""
_SHORT = 31
"""Bytes of a name that every version of the format reads"""
_LINES = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}
"""Rows of a chunk, by compression: none RLE ZIPS ZIP PIZ PXR24 B44 B44A DWAA DWAB"""
_SHARED = ("displayWindow", "pixelAspectRatio", "timeCode", "chromaticities")
"""Attributes that must not differ between the parts of a file"""

Attributes = dict[str, tuple[str, bytes]]
"""Name -> type, value as it lies in the file"""
Piece = bytes | memoryview


class UncopiedError(Exception):
    """A file whose chunks cannot be taken over as they are: tiled, deep, of a compression that came later, torn."""


@dataclass(frozen=True, eq=False)
class Part:
    """Scan lines of one part, compressed."""

    attributes: Attributes
    chunks: tuple[memoryview, ...]
    """From the top: y, size, data"""

    @property
    def name(self) -> str:
        """Empty where it has none, as the only part of a file"""
        return self.attributes["name"][1].rstrip(b"\0").decode() if "name" in self.attributes else ""


def parts_of(file: bytes) -> list[Part]:
    """The parts of an EXR file. Raises UncopiedError."""
    try:
        return _parts(memoryview(file))
    except (struct.error, LookupError, OverflowError, ValueError) as error:
        raise UncopiedError from error


def beside(theirs: Mapping[str, Part], ours: Mapping[str, Part], entries: Mapping[str, str]) -> Iterator[Piece]:
    """A file of their parts, each as it is, and of ours, by name, as the pieces to write one after the other.

    entries: texts that go into the header of the first, where readers look for them."""
    first = next(iter(theirs.values()))
    shared = {key: first.attributes[key] for key in _SHARED if key in first.attributes}
    added = {key: ("string", text.encode()) for key, text in entries.items()}
    parts = {
        name: Part({**part.attributes, **(added if part is first else {})}, part.chunks)
        for name, part in theirs.items()
    }
    for name, part in ours.items():
        kept = {key: value for key, value in part.attributes.items() if key not in _SHARED}
        parts[name] = Part({**kept, **shared}, part.chunks)
    heads = [_header(part, name) for name, part in parts.items()]
    long_names = any(len(text.encode()) > _SHORT for part in parts.values() for text in _texts(part))
    yield _MAGIC + struct.pack("<I", 2 | _SEVERAL | (_LONG_NAMES if long_names else 0))
    yield from heads
    yield b"\0"
    yield from _tables(list(parts.values()), 8 + sum(map(len, heads)) + 1)
    for number, part in enumerate(parts.values()):
        for chunk in part.chunks:
            yield struct.pack("<i", number)
            yield chunk


def within(part: Part, name: str) -> Part:
    """The part with channels that are named as those of a part of that name: without it and the dot that follows."""
    kind, packed = part.attributes["channels"]
    prefix = f"{name}.".encode()
    channels = [(channel.removeprefix(prefix), rest) for channel, rest in _channels(packed)]
    listed = b"".join(channel + b"\0" + rest for channel, rest in channels) + b"\0"
    return Part({**part.attributes, "channels": (kind, listed)}, part.chunks)


# ---------------------------------------------------------------- reading


def _parts(file: memoryview) -> list[Part]:
    if bytes(file[:4]) != _MAGIC:
        raise UncopiedError
    (flags,) = struct.unpack_from("<I", file, 4)
    if flags & 0xFF != 2 or flags & _OTHER_KINDS:
        raise UncopiedError
    several, place = bool(flags & _SEVERAL), 8
    heads: list[Attributes] = []
    while not heads or (several and file[place]):
        attributes, place = _attributes(file, place)
        heads.append(attributes)
    place += several
    tables = []
    for attributes in heads:
        count = _chunk_count(attributes)
        tables.append(struct.unpack_from(f"<{count}Q", file, place))
        place += 8 * count
    if any(offset < place for table in tables for offset in table):  # 0 where a row was never written
        raise UncopiedError
    parts = [
        Part(attributes, tuple(_chunk(file, offset, number if several else None) for offset in table))
        for number, (attributes, table) in enumerate(zip(heads, tables, strict=True))
    ]
    if len({part.name for part in parts}) != len(parts):
        raise UncopiedError
    return parts


def _attributes(file: memoryview, place: int) -> tuple[Attributes, int]:
    found: Attributes = {}
    while file[place]:
        name, place = _text(file, place)
        kind, place = _text(file, place)
        (size,) = struct.unpack_from("<i", file, place)
        if size < 0 or place + 4 + size > len(file):
            raise UncopiedError
        found[name] = kind, bytes(file[place + 4 : place + 4 + size])
        place += 4 + size
    return found, place + 1


def _text(file: memoryview, place: int) -> tuple[str, int]:
    end = place
    while file[end]:
        end += 1
    return bytes(file[place:end]).decode(), end + 1


def _chunk_count(attributes: Attributes) -> int:
    if attributes.get("type", ("", b"scanlineimage"))[1].rstrip(b"\0") != b"scanlineimage":
        raise UncopiedError
    lines = _LINES.get(attributes["compression"][1][0]) if "compression" in attributes else None
    if lines is None or "dataWindow" not in attributes:
        raise UncopiedError
    _, top, _, bottom = struct.unpack("<4i", attributes["dataWindow"][1])
    return -(-(bottom + 1 - top) // lines)


def _chunk(file: memoryview, offset: int, number: int | None) -> memoryview:
    """number: that of the part, which stands before each chunk where a file has several"""
    if number is not None:
        if struct.unpack_from("<i", file, offset) != (number,):
            raise UncopiedError
        offset += 4
    _, size = struct.unpack_from("<ii", file, offset)
    if size < 0 or offset + 8 + size > len(file):
        raise UncopiedError
    return file[offset : offset + 8 + size]


# ---------------------------------------------------------------- writing


def _header(part: Part, name: str) -> bytes:
    needed = {
        "chunkCount": ("int", struct.pack("<i", len(part.chunks))),
        "name": ("string", name.encode()),
        "type": ("string", b"scanlineimage"),
    }
    # By name, as the library writes them.
    attributes = sorted({**part.attributes, **needed}.items())
    return b"".join(_attribute(key, kind, value) for key, (kind, value) in attributes) + b"\0"


def _attribute(name: str, kind: str, value: bytes) -> bytes:
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value


def _texts(part: Part) -> Iterator[str]:
    """All names whose length a flag tells of"""
    yield from part.attributes
    yield from (channel.decode() for channel, _ in _channels(part.attributes["channels"][1]))


def _channels(packed: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name of each channel, and the 16 bytes that say of what type it is and how it was sampled."""
    place = 0
    while packed[place]:
        end = packed.index(b"\0", place)
        yield packed[place:end], packed[end + 1 : end + 17]
        place = end + 17


def _tables(parts: list[Part], start: int) -> Iterator[bytes]:
    """Where each chunk will lie."""
    place = start + 8 * sum(len(part.chunks) for part in parts)
    for part in parts:
        places = [place]
        for chunk in part.chunks:
            places.append(places[-1] + 4 + len(chunk))
        place = places[-1]
        yield b"".join(struct.pack("<Q", before) for before, _ in pairwise(places))
