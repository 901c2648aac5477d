"""OpenEXR in and out: every channel by its name, bit for bit, whatever the number of parts.

Blender 4.x writes one part with channels `ViewLayer.DiffCol.R`, Blender 5.0 one part per pass with channels
`ViewLayer.Diffuse Color.R`. Both become the same thing here: layers, named by everything before the last dot.

What Blender makes of names (seen with 4.2.23, 4.5.15, 5.0.1): the part after the last dot is the channel, the part
before it the pass, and ALL the rest the render layer. `ViewLayer.Attribution.Scale.R` is therefore a pass `Scale` of a
second render layer `ViewLayer.Attribution`, which the Image node only shows after switching its layer. So a dot inside
a pass name is written as a space (`ViewLayer.Attribution Scale.R`), as in Blender's own `Diffuse Color`: see
`blender_name`. Channels must be single letters (R G B A, X Y Z W, U V A): words lose their order in Blender.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import OpenEXR

from . import exr_parts, machine
from .atomic import NewFile, StrPath, reading, shown
from .errors import EngineError
from .picture import Alpha, Array, Encoding, check_window
from .view import View

MAGIC = b"\x76\x2f\x31\x01"

MAX_PIXELS = 2**29
"""Pixels of one part: 32768 x 16384."""
MAX_CHANNELS = 2048
"""Channels of a file. A render with every pass, 64 light groups and as many cryptomatte levels stays below."""
MAX_BYTES = 2**35
"""Decoded size of a file (32 GB)."""
# No codec packs a flat picture tighter than this many decoded bytes per byte of the file: zlib ends at 1032, DWA
# keeps one value per 8 x 8 block and packs those with zlib. A file that claims more has lost its pixels.
MAX_RATIO = 2**17

_STRUCTURE = {"channels", "chunkCount", "compression", "lineOrder", "name", "tiles", "type", "version", "view"}
"""Header entries that say how a file is laid out, not what it shows."""
_WINDOWS = {"dataWindow", "displayWindow"}
_ORDER = "RGBXYZWUVA"
"""Channels in the order of an array: R G B A, X Y Z W, U V A."""


@dataclass(frozen=True, eq=False)
class ExrLayer:
    """Channels that belong together: a pass, or one of our layers."""

    name: str
    """`ViewLayer.Combined`; empty for bare channels R G B A"""
    planes: Mapping[str, Array]
    """Channel -> (H, W) of float16 | float32 | uint32, row 0 at the top, in the order of `_ORDER`"""

    @classmethod
    def of(cls, name: str, pixels: Array, channels: Sequence[str] = ()) -> ExrLayer:
        """A layer from an array (H, W, C). Without names the channels are R, G, B, A; a single one is X."""
        names = tuple(channels) or ("X",) if pixels.shape[2] == 1 else tuple(channels) or tuple("RGBA")
        return cls(name, {name: pixels[..., index] for index, name in enumerate(names[: pixels.shape[2]])})

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.planes)

    @property
    def view_layer(self) -> str:
        """`ViewLayer` of `ViewLayer.Combined`; empty for bare channels. Our layers go beside it: see `blender_name`."""
        return self.name.rpartition(".")[0]

    def pixels(self, channels: Sequence[str] = ()) -> Array:
        """The channels (all, or those named) stacked: (H, W, C). Mixed types become float32."""
        planes = [self.planes[channel] for channel in channels or self.planes]
        return np.stack(planes, axis=2, dtype=_common([plane.dtype for plane in planes]))


@dataclass(frozen=True, eq=False)
class ExrPart:
    """One part as it lies in the file."""

    name: str
    header: Mapping[str, Any]
    planes: Mapping[str, Array]
    """Full channel name -> (h, w) of the part's data window"""
    window: tuple[int, int, int, int]
    """Data window: top, left, bottom, right; bottom and right exclusive; can be negative (overscan)"""


@dataclass(frozen=True, eq=False)
class ExrFile:
    """All that is in an EXR file. The picture is the data window, the union of those of the parts."""

    name: str
    parts: tuple[ExrPart, ...]
    stored: bytes = b""
    """The file as it lies on the disk, where it is kept to be taken over: see `write_beside`"""

    @cached_property
    def window(self) -> tuple[int, int, int, int]:
        """top, left, bottom, right of the union of all data windows"""
        tops, lefts, bottoms, rights = zip(*(part.window for part in self.parts), strict=True)
        return min(tops), min(lefts), max(bottoms), max(rights)

    @property
    def height(self) -> int:
        return self.window[2] - self.window[0]

    @property
    def width(self) -> int:
        return self.window[3] - self.window[1]

    @cached_property
    def header(self) -> dict[str, Any]:
        """What the file says about itself, for `write_exr`: entries of all parts (the first part wins), no layout."""
        merged: dict[str, Any] = {}
        for part in self.parts:
            for key, value in part.header.items():
                if key not in _STRUCTURE:
                    merged.setdefault(key, value)
        top, left, bottom, right = self.window
        return {**merged, "dataWindow": _box(top, left, bottom, right)}

    @cached_property
    def layers(self) -> dict[str, ExrLayer]:
        """Layers by name, in the order of the file, each as large as the picture."""
        found: dict[str, dict[str, Array]] = {}
        for part in self.parts:
            for full, plane in part.planes.items():
                layer, _, channel = full.rpartition(".")
                found.setdefault(layer, {})[channel] = self._placed(plane, part)
        return {name: ExrLayer(name, _ordered(planes)) for name, planes in found.items()}

    def _placed(self, plane: Array, part: ExrPart) -> Array:
        """A part's plane inside the picture; parts with a smaller window get zeros around."""
        if part.window == self.window:
            return plane
        canvas = np.zeros((self.height, self.width), plane.dtype)
        top, left = part.window[0] - self.window[0], part.window[1] - self.window[1]
        canvas[top : top + plane.shape[0], left : left + plane.shape[1]] = plane
        return canvas


@dataclass(frozen=True, eq=False)
class PlanesPicture:
    """A picture over separate (H, W) planes: windows are stacked when they are read."""

    planes: tuple[Array, ...]
    encoding: Encoding
    alpha: Alpha
    name: str
    view: View | None = None

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def channels(self) -> int:
        return len(self.planes)

    @property
    def dtype(self) -> np.dtype[Any]:
        return _common([plane.dtype for plane in self.planes])

    def read(self, top: int, left: int, height: int, width: int) -> Array:
        """The window, (height, width, C) float16 or float32."""
        check_window(self, top, left, height, width)
        window = np.s_[top : top + height, left : left + width]
        return np.stack([plane[window] for plane in self.planes], axis=2, dtype=self.dtype)


def _common(dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
    """One type that a picture can have: half if all are half, else float32 (object ids above 2^24 are no picture)."""
    half = all(dtype == np.float16 for dtype in dtypes)
    return np.dtype(np.float16 if half else np.float32)


def _ordered(planes: Mapping[str, Array]) -> dict[str, Array]:
    """Planes in the order of an array; channels with other names follow as they come."""

    def rank(channel: str) -> int:
        place = _ORDER.find(channel.upper()) if channel else -1
        return place if place >= 0 else len(_ORDER)

    return {channel: planes[channel] for channel in sorted(planes, key=rank)}


# ---------------------------------------------------------------- reading


def read_exr(path: StrPath, keep: bool = False) -> ExrFile:
    """Everything in an EXR file. Refuses what is truncated, deep, subsampled or unreasonably large. keep: hold what is
    on the disk as well, for `write_beside`."""
    with reading(path), Path(path).open("rb") as stream:
        heads = _parse(path, stream, header_only=True)
        _check_limits(path, heads, stream.seek(0, io.SEEK_END))
        stream.seek(0)
        stored = stream.read() if keep else b""
        parts = _parse(path, io.BytesIO(stored) if keep else stream, header_only=False)
    if len(parts) != len(heads):
        raise damaged(path)
    several = len(parts) > 1
    return ExrFile(Path(path).stem, tuple(_part(path, part, several) for part in parts), stored)


def read_if_exr(path: StrPath, keep: bool = False) -> ExrFile | None:
    """The same; None where the file's content is none of OpenEXR."""
    with reading(path), Path(path).open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return None
    return read_exr(path, keep)


def read_entries(path: StrPath) -> dict[str, Any]:
    """What an EXR says in the header of its first part, without its pixels. Refuses one whose table of chunks is not
    complete."""
    with reading(path), Path(path).open("rb") as stream:
        heads = _parse(path, stream, header_only=True)
    if not heads:
        raise damaged(path)
    return dict(heads[0].header)


def main_layer(file: ExrFile) -> ExrLayer:
    """The layer an artist means by a file: a Combined pass, else bare RGBA, else the first layer with colour."""
    coloured = [layer for layer in file.layers.values() if _colour_channels(layer)]
    for wanted in ("Combined", ""):
        for layer in coloured:
            if layer.name.rpartition(".")[2] == wanted:
                return layer
    if not coloured:
        raise EngineError(
            f"{file.name} holds no colour channels.", "Choose a file with a Combined pass or with R, G and B."
        )
    return coloured[0]


def picture_in(file: ExrFile) -> PlanesPicture:
    """The main layer as a picture: scene-linear, premultiplied where it has alpha."""
    layer = main_layer(file)
    names = _colour_channels(layer)
    alpha: Alpha = "premultiplied" if names[-1].upper() == "A" else "none"
    return PlanesPicture(tuple(layer.planes[name] for name in names), "linear", alpha, file.name)


def _colour_channels(layer: ExrLayer) -> list[str]:
    """R G B (A), or grey (Y or V) and A, as the layer spells them; empty when it has no colour."""
    spelled = {channel.upper(): channel for channel in layer.planes if layer.planes[channel].dtype != np.uint32}
    for names in ("RGBA", "RGB", "YA", "VA", "Y", "V"):
        if set(names) <= set(spelled):
            return [spelled[name] for name in names]
    return []


@cache
def _use_all_cores() -> None:
    """Packing and unpacking, that is: the library would use one thread. The files are the same bytes."""
    OpenEXR.set_global_thread_count(machine.cores())


def _parse(path: StrPath, stream: BinaryIO, header_only: bool) -> list[Any]:
    """The parts as the library gives them. It returns none, without raising, when pixels are missing."""
    _use_all_cores()
    try:
        return list(OpenEXR.File(stream, separate_channels=True, header_only=header_only).parts)
    except UnicodeDecodeError as error:
        raise EngineError(
            f"{shown(path)} has text in its header that is not UTF-8.",
            "Render it again from a .blend file (and with object names) spelled in plain letters.",
        ) from error
    except MemoryError as error:
        raise EngineError(
            f"{shown(path)} does not fit into memory.", "Close other programs or use a smaller picture."
        ) from error
    except (RuntimeError, ValueError, TypeError) as error:
        raise damaged(path) from error


def damaged(path: StrPath) -> EngineError:
    """The error for a file that ends too early or is not what it says."""
    return EngineError(f"{shown(path)} is damaged or was not written to its end.", "Render or copy it again.")


def _check_limits(path: StrPath, heads: list[Any], size: int) -> None:
    """Refuse by what the headers say, before any pixel is decoded."""
    if not heads:
        raise damaged(path)
    values = 0
    for head in heads:
        top, left, bottom, right = _window(head.header)
        channels = head.header["channels"]
        _check_kind(path, head.header, channels)
        pixels = max(bottom - top, 0) * max(right - left, 0)
        values += pixels * len(channels)
        # The header given to Python does not tell half from float: 4 bytes is the most a value takes, 2 the least.
        if pixels > MAX_PIXELS or len(channels) > MAX_CHANNELS or values * 4 > MAX_BYTES:
            raise _too_large(path, right - left, bottom - top)
    if not values or values * 2 > size * MAX_RATIO:
        raise damaged(path)


def _check_kind(path: StrPath, header: Mapping[str, Any], channels: list[Any]) -> None:
    if header.get("type") in (OpenEXR.deepscanline, OpenEXR.deeptile):
        raise EngineError(f"{shown(path)} is a deep EXR.", "Flatten it, or render it as a plain multilayer EXR.")
    if any(channel.xSampling != 1 or channel.ySampling != 1 for channel in channels):
        raise EngineError(
            f"{shown(path)} stores its colour at half resolution (luminance and chroma).", "Save it as RGB."
        )


def _too_large(path: StrPath, width: int, height: int) -> EngineError:
    return EngineError(
        f"{shown(path)} is too large ({width} x {height}).",
        f"Use at most {MAX_PIXELS // 2**20} million pixels, {MAX_CHANNELS} channels and {MAX_BYTES // 2**30} GB.",
    )


def _part(path: StrPath, part: Any, several: bool) -> ExrPart:
    window = _window(part.header)
    planes = {_full_name(name, part.name(), several): channel.pixels for name, channel in part.channels.items()}
    shape = (window[2] - window[0], window[3] - window[1])
    if not planes or any(plane is None or plane.shape != shape for plane in planes.values()):
        raise damaged(path)
    return ExrPart(part.name(), dict(part.header), planes, window)


def _full_name(channel: str, part: str, several: bool) -> str:
    """Blender 5 repeats the layer in the channel's name; we and others leave it to the name of the part."""
    return f"{part}.{channel}" if several and part and not channel.startswith(f"{part}.") else channel


def _window(header: Mapping[str, Any]) -> tuple[int, int, int, int]:
    (left, top), (right, bottom) = (corner.tolist() for corner in header["dataWindow"])
    return top, left, bottom + 1, right + 1


def _box(top: int, left: int, bottom: int, right: int) -> tuple[Array, Array]:
    return np.array([left, top], np.int32), np.array([right - 1, bottom - 1], np.int32)


# ---------------------------------------------------------------- writing


def blender_name(layer: str, view_layer: str = "ViewLayer") -> str:
    """The name under which one of our layers goes into an EXR so that Blender shows it beside the passes.

    "Attribution.Scale" -> "ViewLayer.Attribution Scale". An empty view layer is for files with bare R G B A.
    """
    name = layer.replace(".", " ")
    return f"{view_layer}.{name}" if view_layer else name


def write_exr(path: StrPath, layers: Sequence[ExrLayer], header: Mapping[str, Any] | None = None) -> None:
    """Write one multilayer part with ZIP (never lossy), each channel in its own type, atomically.

    header: entries to keep (those of `ExrFile.header`, a recipe ...). Its data window places the picture inside
    its display window; without one, or when the size differs, the picture starts at 0, 0.
    """
    with NewFile(path) as new:
        channels = _pack(path, layers, header or {}, new.file)
        _check_written(path, new, channels)


def write_beside(path: StrPath, original: ExrFile, layers: Sequence[ExrLayer], entries: Mapping[str, str]) -> None:
    """Write the layers beside all that is in `original`, atomically. entries: texts for the header.

    A render as Blender writes it stays as it is, byte for byte as compressed as it was, and each new layer is a part of
    its own. Anything else becomes one part (`write_exr`)."""
    theirs = _as_stored(original)
    if not theirs:
        write_exr(path, [*original.layers.values(), *layers], {**original.header, **entries})
        return
    ours, channels = {}, {channel for part in original.parts for channel in part.planes}
    for layer in layers:
        packed = io.BytesIO()
        _pack(path, [ExrLayer("", layer.planes)], original.header, packed)
        (ours[layer.name],) = exr_parts.parts_of(packed.getvalue())
        channels |= {f"{layer.name}.{channel}" for channel in layer.planes}
    with NewFile(path) as new:
        new.file.writelines(exr_parts.beside(theirs, ours, entries))
        _check_written(path, new, channels)


def _as_stored(original: ExrFile) -> dict[str, exr_parts.Part]:
    """The parts of a file by the names that they can have beside others; none where they cannot be taken over.

    What lies in one part without a name is taken over where all of it is of one view layer, whose name the part gets:
    every Blender puts the name of a part before those of its channels (4.2 always, later ones unless they begin so)."""
    view_layers = {layer.view_layer for layer in original.layers.values()}
    try:
        parts = exr_parts.parts_of(original.stored)
    except exr_parts.UncopiedError:
        return {}
    if "" in view_layers:
        return {}
    if len(parts) > 1:
        return {part.name: part for part in parts}
    return {name: exr_parts.within(parts[0], name) for name in view_layers} if len(view_layers) == 1 else {}


def _pack(path: StrPath, layers: Sequence[ExrLayer], header: Mapping[str, Any], stream: BinaryIO) -> set[str]:
    """One part with all layers, ZIP, for `path`. Returns the names of its channels."""
    channels = _channels(layers)
    height, width = next(iter(channels.values())).shape
    entries = _header(header, height, width)
    _use_all_cores()
    try:
        OpenEXR.File(entries, dict(channels)).write(stream)
    except (RuntimeError, ValueError) as error:
        raise EngineError(
            f"{shown(path)} could not be written ({error}).", "Check the disk and the names of the layers."
        ) from error
    return set(channels)


def _channels(layers: Sequence[ExrLayer]) -> dict[str, Array]:
    """Full channel name -> contiguous plane: the library writes other memory layouts wrongly, without a word."""
    channels: dict[str, Array] = {}
    for layer in layers:
        for channel, plane in layer.planes.items():
            full = f"{layer.name}.{channel}" if layer.name else channel
            if full in channels:
                raise ValueError(f"two channels are called {full}")
            channels[full] = np.ascontiguousarray(plane)
    if len({plane.shape for plane in channels.values()}) != 1:
        raise ValueError("the layers of one file must have one size")
    return channels


def _header(entries: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    kept = {key: value for key, value in entries.items() if key not in _STRUCTURE}
    if not _fits(kept, height, width):
        kept = {key: value for key, value in kept.items() if key not in _WINDOWS}
        kept["dataWindow"] = kept["displayWindow"] = _box(0, 0, height, width)
    return {**kept, "compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}


def _fits(entries: Mapping[str, Any], height: int, width: int) -> bool:
    if not set(entries) >= _WINDOWS:
        return False
    top, left, bottom, right = _window(entries)
    return (bottom - top, right - left) == (height, width)


def _check_written(path: StrPath, new: NewFile, channels: set[str]) -> None:
    """Read the header and the table of chunks back: on a full disk the library can stop without raising."""
    new.file.flush()
    with new.temp.open("rb") as stream:
        parts = _parse(path, stream, header_only=True)
        several = len(parts) > 1
        found = {
            _full_name(channel.name, part.name(), several) for part in parts for channel in part.header["channels"]
        }
    if found != channels:
        raise EngineError(f"{shown(path)} did not arrive on the disk.", "Check the disk, then try again.")
