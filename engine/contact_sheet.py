"""Labelled grids of pictures: what the demo, the docs and the training previews show."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .atomic import NewFile, reading

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Shown = Image.Image | Path | NDArray[Any]
"""A PIL picture, the path of a PNG or JPEG, or pixels (H, W, 1..4): uint8, or float display-referred 0..1."""


@dataclass(frozen=True)
class Cell:
    """One place of the grid. Without a picture it stays empty, so that columns keep their meaning."""

    picture: Shown | None
    caption: str = ""


@dataclass(frozen=True)
class Look:
    """How a sheet looks. The background is a mid-dark neutral grey, so that it does not tint the pictures' colours."""

    width: int = 320
    """Width of a cell in pixels; pictures are fitted into width x height, never enlarged by more than `enlarge`."""
    height: int = 180
    gap: int = 12
    text: int = 14
    """Height of the captions in pixels; titles are half as large again."""
    enlarge: float = 4.0
    background: tuple[int, int, int] = (38, 38, 38)
    ink: tuple[int, int, int] = (225, 225, 225)


def contact_sheet(rows: Sequence[Sequence[Cell]], title: str = "", look: Look | None = None) -> Image.Image:
    """An RGB picture with the cells in rows; captions wrapped below each picture, the title above all."""
    look = look or Look()
    columns = max((len(row) for row in rows), default=0)
    captions = [[wrapped(cell.caption, look.width, look.text) for cell in row] for row in rows]
    heights = [_row_height(row, look) for row in captions]
    top = look.gap + (2 * look.text if title else 0)
    size = (look.gap + columns * (look.width + look.gap), top + sum(heights))
    sheet = Image.new("RGB", size, look.background)
    draw = ImageDraw.Draw(sheet)
    draw.text((look.gap, look.gap // 2), title, look.ink, font(look.text * 3 // 2))
    for row, lines, height in zip(rows, captions, heights, strict=True):
        for column, cell in enumerate(row):
            _place(sheet, draw, cell, lines[column], (look.gap + column * (look.width + look.gap), top), look)
        top += height
    return sheet


def save_png(picture: Image.Image, path: Path) -> None:
    """Write atomically. Not optimised: that takes six times as long for 4 % (a training sheet: 3.4 s)."""
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    with NewFile(path) as new:
        new.file.write(encoded.getvalue())


def save_jpeg(picture: Image.Image, path: Path, quality: int = 88) -> None:
    """Write atomically, RGB. For the docs, where a PNG would weigh megabytes."""
    encoded = io.BytesIO()
    picture.convert("RGB").save(encoded, "JPEG", quality=quality, optimize=True, subsampling=0)
    with NewFile(path) as new:
        new.file.write(encoded.getvalue())


def to_image(shown: Shown) -> Image.Image:
    """Anything that can be shown, as an RGB picture. Transparent pixels show a neutral checker's grey."""
    if isinstance(shown, Path):
        with reading(shown), Image.open(shown) as opened:
            opened.load()
            return _flat(opened)
    if isinstance(shown, Image.Image):
        return _flat(shown)
    return _flat(_from_pixels(shown))


def _from_pixels(pixels: NDArray[Any]) -> Image.Image:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(np.nan_to_num(pixels), 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels)


def _flat(picture: Image.Image) -> Image.Image:
    if picture.mode not in ("RGBA", "LA", "PA"):
        return picture.convert("RGB")
    ground = Image.new("RGBA", picture.size, (128, 128, 128, 255))
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")


def _row_height(captions: Sequence[Sequence[str]], look: Look) -> int:
    lines = max((len(caption) for caption in captions), default=0)
    return look.height + lines * _line_step(look) + look.gap


def _line_step(look: Look) -> int:
    return look.text * 4 // 3


def _place(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: Cell,
    caption: Sequence[str],
    corner: tuple[int, int],
    look: Look,
) -> None:
    left, top = corner
    if cell.picture is not None:
        picture = _fitted(to_image(cell.picture), look)
        # Centred across, but standing on the line of the captions.
        sheet.paste(picture, (left + (look.width - picture.width) // 2, top + look.height - picture.height))
    for number, line in enumerate(caption):
        draw.text((left, top + look.height + 2 + number * _line_step(look)), line, look.ink, font(look.text))


def _fitted(picture: Image.Image, look: Look) -> Image.Image:
    scale = min(look.width / picture.width, look.height / picture.height, look.enlarge)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def wrapped(text: str, width: int, size: int) -> list[str]:
    """Text of that size in lines of at most `width` pixels, broken between words."""
    lines: list[str] = []
    for paragraph in text.split("\n") if text else []:
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and font(size).getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


@cache
def font(size: int) -> Font:
    """Pillow's own, so that it looks the same everywhere"""
    return ImageFont.load_default(size)
