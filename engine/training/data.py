"""Style pictures, content pictures and the teacher's pairs, as tensors."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ..atomic import NewFile
from ..errors import EngineError
from ..files import open_picture
from ..picture import split, to_display
from .teacher import Guide, TeacherConfig, paint, resize

SUFFIXES = {".png", ".jpg", ".jpeg", ".exr"}


@dataclass(frozen=True)
class Pair:
    """A content crop and what the teacher made of it."""

    content: Tensor
    """(3, S, S) uint8 sRGB"""
    painted: Tensor
    """(3, S, S) uint8 sRGB"""
    match_field: Tensor
    """(2, h, w) int16: see teacher.Painting"""


_PAIR = tuple(field.name for field in fields(Pair))


def load_picture(path: Path, long_side: int = 0) -> Tensor:
    """A file as (3, H, W) float32, display-referred sRGB 0..1, shrunk so that its long side is `long_side`."""
    reader = open_picture(path)
    if min(reader.height, reader.width) < 16:
        raise EngineError(
            f"{path.name} is only {reader.width}x{reader.height} pixels.",
            "Choose a picture of at least 16 pixels to each side.",
        )
    stored = reader.read(0, 0, reader.height, reader.width)
    inside, _ = split(to_display(stored, reader.encoding, reader.alpha))
    picture = torch.from_numpy(np.ascontiguousarray(inside.transpose(2, 0, 1)))
    if not long_side or max(picture.shape) <= long_side:
        return picture
    scale = long_side / max(picture.shape[1:])
    return resize(picture, tuple(max(16, round(s * scale)) for s in picture.shape[1:])).clamp(0, 1)


def find_content(folder: Path) -> list[Path]:
    """Every picture below `folder`, in a fixed order. Raises EngineError when there is none."""
    if not folder.is_dir():
        raise EngineError(f"The content folder {folder} does not exist.", "Choose a folder with renders or photos.")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not found:
        raise EngineError(
            f"There is no picture in the content folder {folder}.",
            "Put some PNG, JPEG or EXR pictures there, or choose another folder.",
        )
    return found


def make_pairs(
    contents: Sequence[Path], style: Tensor, guide: Guide, config: TeacherConfig, count: int, size: int, seed: int
) -> Iterator[Pair]:
    """Endless variety from the contents at hand: each pair is a crop at a scale of its own, painted by the teacher.

    Pair i depends on (seed, i) alone, so a set can be continued after a break.
    """
    for index in range(count):
        yield make_pair(contents, style, guide, config, size, seed, index)


def make_pair(
    contents: Sequence[Path], style: Tensor, guide: Guide, config: TeacherConfig, size: int, seed: int, index: int
) -> Pair:
    order = random.Random(seed).sample(range(len(contents)), len(contents))
    choose = random.Random(f"{seed}/{index}")
    picture = load_picture(contents[order[index % len(order)]])
    crop = random_crop(picture, size, choose).to(style.device)
    painting = paint(crop, style, guide, config, torch.Generator(style.device).manual_seed(choose.getrandbits(31)))
    return Pair(to_bytes(crop), to_bytes(painting.picture), painting.match_field.cpu())


def random_crop(picture: Tensor, size: int, choose: random.Random) -> Tensor:
    """A (3, size, size) crop at a random scale between the whole picture and its full resolution (at most 2x)."""
    short = min(picture.shape[1:])
    target = round(size * min(2.0, max(1.0, short / size)) ** choose.random())
    scale = target / short
    picture = resize(picture, tuple(max(size, round(s * scale)) for s in picture.shape[1:])).clamp(0, 1)
    top = choose.randint(0, picture.shape[1] - size)
    left = choose.randint(0, picture.shape[2] - size)
    return picture[:, top : top + size, left : left + size]


def save_pair(pair: Pair, path: Path) -> None:
    with NewFile(path) as new:
        new.file.write(save({name: getattr(pair, name).contiguous() for name in _PAIR}))


def load_pair(path: Path) -> Pair:
    return Pair(**load_file(path))


def to_bytes(picture: Tensor) -> Tensor:
    """(3, H, W) 0..1 -> uint8."""
    return (picture.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu()


def to_float(picture: Tensor) -> Tensor:
    """uint8 -> 0..1"""
    return picture.float() / 255
