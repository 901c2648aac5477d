"""Mattes: how much of each pixel belongs to an object or material of a render, or to what a picture marks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .canvas import ArrayCanvas, Canvas, PictureCanvas
from .errors import EngineError
from .files import open_source, reading, shown
from .passes import Passes, find_matte
from .picture import Floats, PictureReader
from .protocol import Json, PictureSource
from .resample import Resampled


@dataclass(frozen=True, eq=False)
class Matte:
    """How much of each pixel belongs to something."""

    name: str
    """What the artist wrote: an object or material of the render, or the path of a picture"""
    plane: Canvas
    """Coverage 0..1, read as one plane (1, h, w), of the size of the picture"""
    described: Json
    """For the recipe: names no place"""


def open_matte(name: str, passes: Passes | None, reader: PictureReader, wrap: bool) -> Matte:
    """The matte of an object, material or asset in the render itself, else the picture in the file `name`.

    passes: of the render; None for other pictures. A matte picture is taken as it is stored: black 0, white 1, colours
    by their mean.
    """
    known: tuple[str, ...] = ()
    if passes is not None:
        found, known = find_matte(passes, name)
        if found:
            return Matte(name, ArrayCanvas(found[1][None], wrap), {found[0]: name})
    if Path(name).is_file():
        return _picture_matte(name, reader, wrap)
    if known:
        raise EngineError(
            f"{shown(reader.name)!r} has no matte {name!r}.", f"Choose one of: {', '.join(known)}; or a picture file."
        )
    raise EngineError(
        f"There is no picture file {name!r}, and {shown(reader.name)!r} has no Cryptomatte.",
        "Choose a greyscale picture, or switch on Cryptomatte in View Layer Properties > Passes and render again.",
    )


def _picture_matte(path: str, reader: PictureReader, wrap: bool) -> Matte:
    found = open_source(PictureSource(Path(path).name, path, encoding="data"))
    if (found.height, found.width) != (reader.height, reader.width):
        raise EngineError(
            f"The matte {shown(path)} is {found.width} x {found.height}, the picture {reader.width} x {reader.height}.",
            "Save the matte in the size of the picture.",
        )
    with reading(path):
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return Matte(path, _Grey(PictureCanvas(found, wrap)), {"picture": shown(Path(path).name), "sha256": digest})


class _Grey:
    """A picture as one plane (1, h, w): the mean of its channels, 0..1."""

    def __init__(self, source: Canvas) -> None:
        self.source = source
        self.height, self.width = source.height, source.width

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        red, green, blue = self.source.read(top, left, height, width)
        return ((red + green + blue) / np.float32(3))[None]


class Coverage:
    """Several mattes over one picture, which may be a reduced one. Where they overlap they divide the place by how much
    each covers."""

    def __init__(self, mattes: Iterable[Matte], height: int, width: int) -> None:
        self.height, self.width = height, width
        self.planes = {matte.name: self._sized(matte.plane) for matte in mattes}

    def read(self, window: tuple[int, int, int, int]) -> tuple[dict[str, Floats], Floats]:
        """How much of each pixel (h, w) each matte has, by its name, and what is left over; together 1."""
        cover = {name: np.clip(plane.read(*window)[0], 0, 1) for name, plane in self.planes.items()}
        total = sum(cover.values(), np.zeros(window[2:], np.float32))
        most = np.maximum(total, np.float32(1))
        return {name: plane / most for name, plane in cover.items()}, 1 - total / most

    def _sized(self, plane: Canvas) -> Canvas:
        same = (plane.height, plane.width) == (self.height, self.width)
        return plane if same else Resampled(plane, self.height, self.width)
