"""Textures out of noise: one for each seed, of any size, made in tiles and written in bands of rows.

No texture is ever in memory as floats: a window of the style's endless plane is made, stored in its columns of a band,
and a band that is full leaves for the file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import outputs, recipe, style_pack
from .canvas import ROWS, Canvas, by_rows
from .errors import EngineError
from .picture import Array, Encoding, Floats
from .protocol import Done, Event, Json, Progress, TextureMade, TextureRequest
from .runtime import Paint, Session, tiles
from .runtime import texture as plane

SMALLEST, LARGEST = 16, 65536
"""Pixels to each side: Blender and most other programs refuse larger pictures."""
DEPTHS: dict[int, np.dtype[Any]] = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16)}


@dataclass(frozen=True)
class Sheet:
    """What a texture is stored as: see outputs.Sheet."""

    height: int
    width: int
    dtype: np.dtype[Any]
    channels: int = 3
    encoding: Encoding = "srgb"


def texture(request: TextureRequest) -> Iterator[Event]:
    """Make the texture of every seed. Yields Progress, a TextureMade for each, and Done."""
    _check(request)
    yield Progress(request.job, 0.0, "Opening the style")
    notes: list[str] = []
    session = open_style(request, notes)
    _check_variant(request, session)
    for number, seed in enumerate(request.seeds):
        yield from _made(request, session, number, seed, notes)
    yield Done(request.job, {"done": len(request.seeds), **session.ran_on()})


def open_style(request: TextureRequest, notes: list[str]) -> Session:
    """The style at work. Raises EngineError for one that takes pictures."""
    pack = style_pack.find(request.style)
    if not pack.model.makes_textures:
        raise EngineError(
            f"The style {pack.name!r} paints pictures: it makes no texture out of noise.",
            "Choose a style trained with `pentimento train --kind texture`, or give this one a picture: "
            f"pentimento stylize IN --style {pack.name!r}.",
        )
    return Session(pack, request.device, notes.append, request.precision)


def _check(request: TextureRequest) -> None:
    """Checks that cost nothing come first."""
    if not all(SMALLEST <= size <= LARGEST for size in (request.width, request.height)):
        raise EngineError(
            f"A texture cannot be {request.width} x {request.height} pixels.",
            f"Choose a width and a height from {SMALLEST} to {LARGEST}.",
        )
    if not request.seeds:
        raise EngineError("There is no seed.", "Give at least one.")
    for seed in request.seeds:
        if not 0 <= seed < 2**31:
            raise EngineError(f"The seed is {seed}.", "Choose a seed from 0 to 2147483647.")
    if not 0 <= request.diversity <= 1.5:
        raise EngineError(f"The diversity is {request.diversity:g}.", "Choose a diversity from 0 to 1.5.")
    if request.depth not in DEPTHS:
        raise EngineError(f"A texture cannot have {request.depth} bits.", "Choose 8 or 16.")
    if request.tile and request.tile < 16:
        raise EngineError(f"Tiles of {request.tile} pixels are too small.", "Choose 16 or more, or 0 for automatic.")
    if request.deliver not in ("files", "pixels"):
        raise EngineError(f"Results cannot be delivered as {request.deliver!r}.", "Ask for files or pixels.")


def _check_variant(request: TextureRequest, session: Session) -> None:
    variants, name = session.spec.variants, session.pack.name
    if not 0 <= request.variant <= variants:
        advice = f"Choose one from 1 to {variants}, or 0 for all of them." if variants else "Leave the variant out."
        has = f"has {variants} variants" if variants else "was made from one exemplar"
        raise EngineError(f"The style {name!r} {has}: there is no variant {request.variant}.", advice)


def _made(request: TextureRequest, session: Session, number: int, seed: int, notes: list[str]) -> Iterator[Event]:
    """One texture on its way to its file."""
    variant = f"_variant_{request.variant}" if request.variant else ""
    name = f"{style_pack.slug(session.pack.name)}_{request.width}x{request.height}{variant}_seed_{seed}"
    sheet = Sheet(request.height, request.width, DEPTHS[request.depth])
    paint = Paint(seed, wrap=request.tileable, diversity=request.diversity, variant=request.variant)
    canvas = plane(session, request.height, request.width, paint)
    made = _recipe(request, session, seed)
    windows = list(tiles(sheet.height, sheet.width, request.tile, session.bytes_per_pixel))
    seconds = {"inference": 0.0, "write": 0.0}
    with outputs.made(request, name, sheet, made) as output:
        for index, (top, left, height, width) in enumerate(windows):
            started = time.perf_counter()
            if left == 0:
                band = np.empty((height, sheet.width, sheet.channels), sheet.dtype)
            _store(canvas, (top, left, height, width), band)
            seconds["inference"] += time.perf_counter() - started
            if left + width == sheet.width:
                started = time.perf_counter()
                output.write_rows(band)
                seconds["write"] += time.perf_counter() - started
            fraction = (number + (index + 1) / len(windows)) / len(request.seeds)
            while notes:
                yield Progress(request.job, fraction, notes.pop(0))
            yield Progress(request.job, fraction, f"Making {name}")
        (layer,) = output.finish(())
    yield TextureMade(request.job, name, seed, layer, output.path, seconds, made)


def _store(canvas: Canvas, window: tuple[int, int, int, int], band: Array) -> None:
    """A window of the texture in its columns of the band, as its integers."""
    _, left, height, width = window
    made: Floats = canvas.read(*window)
    scale = np.float32(np.iinfo(band.dtype).max)

    def store(row: int) -> None:
        part = np.clip(made[:, row : row + ROWS], 0, 1) * scale
        band[row : row + ROWS, left : left + width] = np.rint(part).transpose(1, 2, 0)

    by_rows(height, store)


def _recipe(request: TextureRequest, session: Session, seed: int) -> Json:
    pack = session.pack
    return {
        "texture": {"name": pack.name, "hash": pack.hash, "precision": session.precision},
        "settings": {
            "seed": seed,
            "size": [request.width, request.height],
            "tileable": request.tileable,
            "diversity": request.diversity,
            "variant": request.variant,
            "depth": request.depth,
        },
        "device": session.device,
        "versions": recipe.versions(),
    }
