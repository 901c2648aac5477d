"""Relief: what light sees of a painted texture's strokes.

A style paints the base colour of a material; its normal and roughness map still tell of the surface that was there.
Here they are made anew from the same strokes, so that paint lies on the surface as paint does.

Height. Where the painting differs from the picture in stroke-sized detail, paint was laid on: with d the display-
referred luminance of the painting less that of the picture,

    h = blur(d, 1 level) - blur(d, FINE_LEVELS),

the band of strokes of the same pyramid as Attribution.Scale (Burt and Adelson 1983), without grain of a pixel. Detail
that the picture had already is not in d: the existing normal map has it. That bright strokes stand higher is a
convention, as in Hertzmann, "Fast Paint Texture" (NPAR 2002), who gives strokes a height map and lights it.

Normal. n = normalise(-k dh/dx, -k dh/dy, 1), y upwards (OpenGL's green, as Blender's), laid upon the existing map by
reoriented normal mapping (Barre-Brisebois and Hill, "Blending in Detail", 2012), which turns the detail into the frame
of the base instead of averaging the two. Where strokes are flat the map stays as it was, byte for byte.

Roughness. Ridges of thick paint are smoother than the gaps between: r - ROUGHNESS * strength * tanh(h / EVEN), 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .canvas import ArrayCanvas
from .errors import EngineError
from .explain.overlay import Overlay
from .explain.pyramid import blurred, levels
from .files import open_source
from .outputs import Output
from .painter import Opened
from .picture import Array, Floats, Picture, PictureReader, to_display, whole
from .protocol import Json, Layer, PictureSource, Relief, StylizeRequest, StylizeSettings
from .resample import Resampled

MAPS = ("Normal", "Roughness")
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
STEEP = 7.0
"""Texels that a stroke from black to white rises at strength 1; by looking at spheres of three styles under one lamp"""
STEEPEST = 1.2
"""Slope that no edge exceeds: about 50 degrees"""
ROUGHNESS = 0.12
"""How far roughness moves at most, at strength 1"""
EVEN = 0.05
"""Height at which three quarters of that are reached"""


def check(request: StylizeRequest) -> None:
    """Checks that cost nothing come first."""
    if request.reliefs and len(request.reliefs) != len(request.sources):
        raise EngineError("There is not one relief for each picture.", "Send one for each, or none at all.")
    for wanted in filter(None, request.reliefs):
        if not 0 <= wanted.strength <= 2:
            raise EngineError(f"The relief is {wanted.strength:g}.", "Choose a relief from 0 to 2.")
        if not 0 <= wanted.rough <= 1:
            raise EngineError(f"The roughness is {wanted.rough:g}.", "Choose a roughness from 0 to 1.")
        if unknown := [name for name in wanted.makes if name not in MAPS]:
            raise EngineError(f"There is no relief {unknown[0]!r}.", "Choose among: " + ", ".join(MAPS) + ".")


def opened(request: StylizeRequest, number: int, found: Opened) -> Maps | None:
    """The maps are opened before anything is painted: what is wrong with them is told at once. None where the picture
    is to have no relief. number: of the picture in the request."""
    wanted = request.reliefs[number] if request.reliefs else None
    if wanted is None:
        return None
    normal = _opened(wanted.normal, "normal map") if "Normal" in wanted.makes else None
    roughness = _opened(wanted.roughness, "roughness map") if "Roughness" in wanted.makes else None
    if request.deliver == "files" and found.sheet.dtype.kind == "f":
        _check_sizes(found.sheet, normal, roughness)
    return Maps(wanted, found, request.settings, normal, roughness)


def _check_sizes(texture: PictureReader, *maps: PictureReader | None) -> None:
    """All layers of an EXR have one size."""
    for found in filter(None, maps):
        if (found.height, found.width) != (texture.height, texture.width):
            raise EngineError(
                f"{found.name!r} is {found.width} x {found.height}, the texture {texture.width} x {texture.height}.",
                "Scale it to the size of the texture, or use a texture of 8 or 16 bits.",
            )


def _opened(source: PictureSource | None, what: str) -> PictureReader | None:
    if source is None:
        return None
    reader = open_source(source)
    if reader.encoding == "linear":
        raise EngineError(
            f"The {what} {source.name!r} is said to be light.", "Set its colour space to Non-Color, then start again."
        )
    if what == "normal map" and reader.channels < 3:
        raise EngineError(f"{source.name!r} is grey: it is no normal map.", "Choose the normal map of this texture.")
    return reader


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of one texture, to be made when it is painted."""

    wanted: Relief
    found: Opened
    settings: StylizeSettings
    normal: PictureReader | None
    roughness: PictureReader | None

    def into(self, output: Output) -> Watched:
        """Where the painted picture is written to, so that `output` gets the maps beside it."""
        return Watched(self, output)

    def recipe(self) -> Json:
        named = {"normal": self.normal, "roughness": self.roughness}
        return {"strength": self.wanted.strength, **{key: map_.name for key, map_ in named.items() if map_}}

    def made(self, change: Floats) -> list[Picture]:
        """change: (H, W), the painting's luminance less the picture's."""
        height = stroke_height(change, self.settings.stroke, self.settings.tileable)
        made = []
        if "Normal" in self.wanted.makes:
            like = self.normal or self._flat((0.5, 0.5, 1.0))
            pixels = laid_on(whole(like), *self._slopes(height, like), self.wanted.strength)
            made.append(self._picture("Relief.Normal", pixels, like))
        if "Roughness" in self.wanted.makes:
            like = self.roughness or self._flat((self.wanted.rough,) * 3)
            pixels = modulated(whole(like), self._sized(height, like), self.wanted.strength)
            made.append(self._picture("Relief.Roughness", pixels, like))
        return made

    def _slopes(self, height: Floats, like: PictureReader) -> tuple[Floats, Floats]:
        """Of the height along columns and rows of the map, in height per texel of the texture."""
        sized = self._sized(height, like)
        along = _gradient(sized, 1, self.settings.tileable) * np.float32(like.width / height.shape[1])
        down = _gradient(sized, 0, self.settings.tileable) * np.float32(like.height / height.shape[0])
        return along, down

    def _sized(self, height: Floats, like: PictureReader) -> Floats:
        """As large as the map: the finer of the two is not lost."""
        size = like.height, like.width
        if size == height.shape:
            return height
        return Resampled(ArrayCanvas(height[None], self.settings.tileable), *size).read(0, 0, *size)[0]

    def _flat(self, value: tuple[float, float, float]) -> Picture:
        """A map of one value, as large as the texture and of its kind."""
        reader = self.found.sheet
        dtype = reader.dtype
        scale = np.iinfo(dtype).max if dtype.kind == "u" else 1
        pixel = np.array(value, np.float32) * scale
        stored = (np.rint(pixel) if dtype.kind == "u" else pixel).astype(dtype)
        return Picture(np.broadcast_to(stored, (reader.height, reader.width, 3)), "data")

    def _picture(self, name: str, pixels: Array, like: PictureReader) -> Picture:
        around = self.found.islands
        if around is not None and around.outside.shape == pixels.shape[:2]:
            pixels[around.outside] = whole(like)[around.outside]
        return Picture(pixels, "data", like.alpha, name)


@dataclass(eq=False)
class Watched:
    """An Output that keeps what of the luminance changes, and makes the maps of it."""

    maps: Maps
    output: Output
    written: int = 0
    change: Floats = field(init=False)
    """(H, W)"""

    def __post_init__(self) -> None:
        reader = self.maps.found.reader
        self.path = self.output.path
        self.change = np.empty((reader.height, reader.width), np.float32)

    def write_rows(self, rows: Array) -> None:
        reader = self.maps.found.reader
        stored = reader.read(self.written, 0, len(rows), reader.width)
        before, after = (
            np.clip(to_display(pixels, reader.encoding, reader.alpha, reader.view), 0, 1) @ LUMINANCE
            for pixels in (stored, rows)
        )
        self.change[self.written : self.written + len(rows)] = after - before
        self.written += len(rows)
        self.output.write_rows(rows)

    def finish(
        self, overlays: Sequence[Overlay], beneath: Floats | None = None, beside: Sequence[Picture] = ()
    ) -> tuple[Layer, ...]:
        return self.output.finish(overlays, beneath, (*beside, *self.maps.made(self.change)))


def stroke_height(change: Floats, stroke: float, wrap: bool) -> Floats:
    """(H, W): the band of strokes in a change of luminance, -1..1. wrap: the texture is tileable, and so is this."""
    planes = change[None]
    coarse = max(levels(stroke)[0], 2)
    height: Floats = (blurred(planes, 1, wrap) - blurred(planes, coarse, wrap))[0]
    return height


def _gradient(values: Floats, axis: int, wrap: bool) -> Floats:
    """Central differences (H, W) per texel; at the border of what does not repeat, one-sided."""
    if not wrap:
        result: Floats = np.gradient(values, axis=axis)
        return result
    halved: Floats = (np.roll(values, -1, axis) - np.roll(values, 1, axis)) * np.float32(0.5)
    return halved


def laid_on(normals: Array, along: Floats, down: Floats, strength: float) -> Array:
    """A normal map (H, W, 3..4), stored as it is, with relief laid upon it. along, down: slopes to the right and
    downwards. A fourth channel stays as it is; so does the length of each normal."""
    slopes = np.stack((along, down), 2) * np.float32(STEEP * strength)
    slopes /= np.sqrt(1 + (slopes / np.float32(STEEPEST)) ** 2)
    length = np.sqrt(1 + (slopes**2).sum(axis=2))
    # The detail with its x and y turned round, as the formula wants it; rows go down where y goes up.
    u = np.stack((slopes[..., 0], -slopes[..., 1], np.ones_like(length)), 2) / length[..., None]
    base = _unit(normals[..., :3]) * 2 - 1
    t = base + np.array((0, 0, 1), np.float32)
    steep = np.maximum(t[..., 2:], np.float32(1e-3))
    mixed = t * ((t * u).sum(axis=2, keepdims=True) / steep) - u
    mixed *= _lengths(base) / np.maximum(_lengths(mixed), np.float32(1e-6))
    flat = (slopes == 0).all(axis=2, keepdims=True)
    result = normals[..., : max(normals.shape[2], 3)].copy()
    result[..., :3] = _stored(np.where(flat, base, mixed) / 2 + np.float32(0.5), normals.dtype)
    return result


def modulated(roughness: Array, height: Floats, strength: float) -> Array:
    """A roughness map (H, W, 1..4), stored as it is, smoother on ridges. Alpha stays as it is. Returns (H, W, 3..4)."""
    colour = roughness[..., :3] if roughness.shape[2] >= 3 else np.repeat(roughness[..., :1], 3, axis=2)
    less = np.float32(ROUGHNESS * strength) * np.tanh(height / np.float32(EVEN))
    rough = _stored(np.clip(_unit(colour) - less[..., None], 0, 1), roughness.dtype)
    return np.concatenate((rough, roughness[..., 3:]), 2) if roughness.shape[2] == 4 else rough


def _lengths(vectors: Floats) -> Floats:
    result: Floats = np.sqrt((vectors**2).sum(axis=2, keepdims=True))
    return result


def _unit(pixels: Array) -> Floats:
    if pixels.dtype.kind == "u":
        return np.divide(pixels, np.float32(np.iinfo(pixels.dtype).max), dtype=np.float32)
    return pixels.astype(np.float32)


def _stored(values: Floats, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "u":
        return np.rint(np.clip(values, 0, 1) * np.float32(np.iinfo(dtype).max)).astype(dtype)
    return values.astype(dtype)
