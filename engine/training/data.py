"""Style pictures, content pictures and the teacher's pairs, as tensors."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ..atomic import NewFile, shown
from ..errors import EngineError
from ..files import open_picture
from ..guides import GUIDES, planes
from ..passes import painted_passes
from ..picture import PictureReader, split, to_display, whole
from .teacher import Exemplar, Guide, TeacherConfig, Tile, luminance, paint, resize

SUFFIXES = {".png", ".jpg", ".jpeg", ".exr"}
TOLD = ("albedo", "normal")
"""Guides that the teacher compares by where a content and every style picture have them: what a thing is, and how it
stands in the light (Fiser et al., "StyLit: Illumination-Guided Example-Based Stylization", 2016)"""


@dataclass(frozen=True)
class Pair:
    """A content crop and what the teacher made of it."""

    content: Tensor
    """(3, S, S) uint8 sRGB"""
    painted: Tensor
    """(3, S, S) uint8 sRGB"""
    match_field: Tensor
    """(3, h, w) int16: see teacher.Painting"""
    tiles: Tensor = field(default_factory=lambda: torch.tensor([Tile(0)], dtype=torch.float32))
    """(T, 4) float32: what its first number stands for, as numbers of a teacher.Tile (picture, turn, mirrored, scale);
    the one style picture as it is, unless told"""

    @cached_property
    def packed(self) -> tuple[Tensor, Tensor]:
        """(N,) uint8 each: content and match field as files, WebP and PNG without loss. The smallest WebP takes three
        seconds of one core, so it is made once."""
        content = Image.fromarray(self.content.permute(1, 2, 0).numpy())
        matches = Image.fromarray(self.match_field.flatten(0, 1).numpy().astype(np.uint16))
        return (
            _as_bytes(content, "WEBP", lossless=True, quality=100, method=6),
            _as_bytes(matches, "PNG", optimize=True),
        )


def _as_bytes(picture: Image.Image, kind: str, **how: Any) -> Tensor:
    """(N,) uint8: a file of that kind"""
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)


class Window(NamedTuple):
    """Where a crop is cut from one of several pictures."""

    which: int
    top: int
    left: int
    size: int
    mirrored: bool = False

    def of(self, pictures: Sequence[Tensor]) -> Tensor:
        """(C, size, size) of the picture (C, H, W) it is in."""
        rows, columns = (slice(start, start + self.size) for start in (self.top, self.left))
        crop = pictures[self.which][:, rows, columns]
        return crop.flip(2) if self.mirrored else crop


_PAIR = tuple(field.name for field in fields(Pair))


def load_picture(path: Path, long_side: int = 0) -> Tensor:
    """A file as (3, H, W) float32, display-referred sRGB 0..1, shrunk so that its long side is `long_side`."""
    reader = open_picture(path)
    picture = _colour(reader, path)
    return resize(picture, _shrunk(picture, long_side)).clamp(0, 1)


def load_content(path: Path, size: int, long_side: int) -> Tensor:
    """A picture to practise on, in small. Raises EngineError where it cannot be read, or is so small that crops of
    `size` would be enlarged more than four times."""
    reader = open_picture(path)
    if min(reader.height, reader.width) * 4 < size:
        raise EngineError(
            f"{shown(path)} is too small to practise on: {reader.width}x{reader.height} pixels.",
            f"Choose pictures of at least {size // 4} pixels to each side.",
        )
    return load_picture(path, long_side)


def load_exemplar(path: Path, long_side: int, weight: float = 1.0, mask: Path | None = None) -> Exemplar:
    """A style picture of at most `long_side`, without what is transparent in it or dark in its mask. A painted-over
    render that still has its passes brings what they tell.

    Raises EngineError where the mask is not of the picture's shape.
    """
    reader = open_picture(path)
    picture = _colour(reader, path)
    size = _shrunk(picture, long_side)
    free = opaque(reader)
    if mask is not None:
        free = torch.minimum(resize(free, size), resize(_bright(mask, picture, path), size))
    # Shrinking mixes colours, so what is taken has nothing of the rest in it.
    taken = resize(free, size)[0] > 0.99
    guides = {name: resize(plane, size) for name, plane in told(path).items()}
    return Exemplar(resize(picture, size).clamp(0, 1), weight, None if taken.all() else taken.to(torch.uint8), guides)


def told(path: Path) -> dict[str, Tensor]:
    """What the teacher can be told of a render beside its colours, (C, H, W) each, from its passes; else nothing."""
    passes = painted_passes(path) if path.suffix.lower() == ".exr" else None
    names = [name for name in TOLD if passes is not None and GUIDES[name].source in passes]
    return {name: torch.from_numpy(planes(name, passes or {})) for name in names}


def _colour(reader: PictureReader, path: Path) -> Tensor:
    """(3, H, W) float32, display-referred sRGB 0..1"""
    if min(reader.height, reader.width) < 16:
        raise EngineError(
            f"{shown(path)} is only {reader.width}x{reader.height} pixels.",
            "Choose a picture of at least 16 pixels to each side.",
        )
    inside, _ = split(to_display(whole(reader), reader.encoding, reader.alpha))
    return torch.from_numpy(np.ascontiguousarray(inside.transpose(2, 0, 1)))


def _shrunk(picture: Tensor, long_side: int) -> tuple[int, ...]:
    longest = max(picture.shape[1:])
    if not long_side or longest <= long_side:
        return tuple(picture.shape[1:])
    return tuple(max(16, round(s * long_side / longest)) for s in picture.shape[1:])


def opaque(reader: PictureReader) -> Tensor:
    """(1, H, W): 1 where more of the picture is there than not, else 0."""
    if reader.alpha == "none":
        return torch.ones(1, reader.height, reader.width)
    alpha = whole(reader)[..., -1]
    full = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1
    return torch.from_numpy(alpha >= full / 2).float()[None]


def _bright(mask: Path, picture: Tensor, path: Path) -> Tensor:
    """(1, h, w): 1 where the mask is bright, else 0."""
    bright = luminance(load_picture(mask)) >= 0.5
    (height, width), (rows, columns) = picture.shape[1:], bright.shape[1:]
    if abs(height * columns - width * rows) > max(height, width) + max(rows, columns):
        raise EngineError(
            f"The mask {shown(mask)} is {columns}x{rows} pixels, and {shown(path)} is {width}x{height}.",
            "Paint the mask over the style picture itself, so that both have one shape.",
        )
    return bright.float()


def find_content(folder: Path) -> list[Path]:
    """Every picture below `folder`, in a fixed order. Raises EngineError when there is none."""
    if not folder.is_dir():
        raise EngineError(
            f"The content folder {shown(folder)} does not exist.", "Choose a folder with renders or photos."
        )
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not found:
        raise EngineError(
            f"There is no picture in the content folder {shown(folder)}.",
            "Put some PNG, JPEG or EXR pictures there, or choose another folder.",
        )
    return found


def make_pair(
    contents: Sequence[Path],
    style: Sequence[Exemplar],
    guide: Guide,
    config: TeacherConfig,
    size: int,
    seed: int,
    index: int,
) -> Pair:
    """Endless variety from the contents at hand: each pair is a crop at a scale of its own, painted by the teacher.

    Pair i depends on (seed, i) alone, so a set can be continued after a break.
    """
    order = random.Random(seed).sample(range(len(contents)), len(contents))
    choose = random.Random(f"{seed}/{index}")
    path = contents[order[index % len(order)]]
    picture, guides = load_picture(path), told(path) if all(e.guides for e in style) else {}
    device = style[0].picture.device
    together = random_crop(torch.cat([picture, *guides.values()]), size, choose).to(device)
    crop, *cut = together.split([3, *(len(plane) for plane in guides.values())])
    random_ = torch.Generator(device).manual_seed(choose.getrandbits(31))
    painting = paint(crop, style, guide, config, random_, dict(zip(guides, cut, strict=True)))
    tiles = torch.tensor(painting.tiles, dtype=torch.float32)
    return Pair(to_bytes(crop), to_bytes(painting.picture), painting.match_field.cpu(), tiles)


def random_crop(picture: Tensor, size: int, choose: random.Random) -> Tensor:
    """A (3, size, size) crop at a random scale between the whole picture and its full resolution (at most 2x). Planes
    below the picture are cut along."""
    short = min(picture.shape[1:])
    target = round(size * min(2.0, max(1.0, short / size)) ** choose.random())
    scale = target / short
    picture = resize(picture, tuple(max(size, round(s * scale)) for s in picture.shape[1:]))
    picture = torch.cat([picture[:3].clamp(0, 1), picture[3:]])
    top = choose.randint(0, picture.shape[1] - size)
    left = choose.randint(0, picture.shape[2] - size)
    return picture[:, top : top + size, left : left + size]


def save_pair(pair: Pair, path: Path) -> None:
    with NewFile(path) as new:
        new.file.write(save({name: getattr(pair, name).contiguous() for name in _PAIR}))


def load_pair(path: Path) -> Pair:
    """Raises EngineError where the file is not what `save_pair` wrote."""
    try:
        stored = load_file(path)
        return Pair(**{name: stored[name] for name in _PAIR})
    except (OSError, SafetensorError, KeyError) as error:
        raise EngineError(f"The teacher's picture {shown(path)} cannot be read.", "Start the training anew.") from error


def to_bytes(picture: Tensor) -> Tensor:
    """(3, H, W) 0..1 -> uint8."""
    return (picture.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu()


def to_float(picture: Tensor) -> Tensor:
    """uint8 -> 0..1"""
    return picture.float() / 255
