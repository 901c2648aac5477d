"""Strokes that a style brings: noise that looks like what the encoder reads off painted pictures.

Strokes are long and run along with their neighbours; noise drawn cell by cell is neither. So fields are quilted from
the strokes of the style pictures themselves: one as the painter laid them, and one to each direction, so that they can
follow the forms of any picture. The generator paints wherever they are laid.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor, nn

from .. import forms, noise
from ..canvas import ArrayCanvas
from ..style_pack import ModelInput, StrokeField, TurnedStrokes
from .networks import SLOW, STRIDE
from .teacher import Exemplar, blur, luminance

FILE, TURNED_FILE = "strokes.bytes", "turned.bytes"
EDGE = 256
"""Cells to each side, about: 1024 pixels until strokes repeat, 256 KB in the pack."""
LOUD = 0.92
"""Share of values that are kept as they are. Cut back, the loudest are no longer seen as spots in calm places; the
strokes stay."""
PIECE = 64
"""Cells to each side of a piece: long enough for strokes that sweep, small enough to find calm places."""
MARGIN = SLOW // 2
"""Cells along a border that no piece has: the encoder sees nothing beyond it"""
CALM = 1 / 6
"""Share of a painting that strokes are taken from: with a third a portrait's eye looked out of walls."""
OUTLINES = 6.0
"""Deviation in pixels of the blur under which strokes vanish and outlines stay."""
FORMS = 2.0
"""Deviation in pixels of the blur that takes the strokes from a painting and leaves its forms. With 6 a spire counted
as a stroke, and stood in every picture."""
GRAIN = 1.0
"""Deviation in pixels of the blur before the direction of strokes is measured: canvas and compression have others"""
TURNS = 8
"""Directions of turned strokes: with fewer, strokes on a round form break at the corners of a polygon."""
TURNED_EDGE, TURNED_PIECE = 96, 32
"""The same of one direction. Smaller pieces: over larger ones hardly any strokes run one way."""
TURNED_CALM = 0.4
"""Share of the turned paintings that pieces of one direction are chosen from"""
BEST = 12
"""Pieces of one direction at most: those in which most strokes run that way"""


@dataclass(frozen=True)
class Strokes:
    """What a style brings, on the processor."""

    field: Tensor
    """(channels, E, E): as the painter laid them. It repeats without a seam."""
    turned: Tensor | None = None
    """(TURNS, channels, e, e): the same for each direction, see style_pack.TurnedStrokes"""
    limit: float = 0.0
    """Of the values, which are cut back to it; 0 cuts back the loudest"""

    def over(self, content: Tensor) -> Tensor:
        """(channels, H/4, W/4): as the runtime lays them over a content (3, H, W), at seed 0."""
        _, height, width = content.shape
        window = (0, 0, height // STRIDE, width // STRIDE)
        plain = noise.strokes(self.field.numpy(), 0, *window, None)
        if self.turned is None:
            return torch.from_numpy(plain)
        flow = forms.flow(ArrayCanvas(content.numpy()), window, wrap=False)
        along = noise.along(self.turned.numpy(), flow, 0, *window, None)
        return torch.from_numpy(noise.following(plain, along, flow, 1.0))

    def packed(self) -> tuple[ModelInput, dict[str, bytes]]:
        """The noise input of a style, and its files."""
        limit = self.limit or float(self.field.abs().quantile(LOUD)) or 1.0
        files, turned = {FILE: _bytes(self.field, limit)}, None
        strokes = StrokeField(FILE, *self.field.shape[1:])
        if self.turned is not None:
            files[TURNED_FILE] = _bytes(self.turned, limit)
            turned = TurnedStrokes(TURNED_FILE, len(self.turned), *self.turned.shape[2:])
        item = ModelInput(self.field.shape[0], scale=STRIDE, range=(-limit, limit), strokes=strokes, turned=turned)
        return item, files


def _bytes(values: Tensor, limit: float) -> bytes:
    stored: bytes = ((values / limit + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy().tobytes()
    return stored


def drawn_strokes(channels: int, rows: int, columns: int, seed: int) -> Strokes:
    """Noise of mean 0 and deviation 1, each cell by itself, to tell strokes that have yet to be learned. At most EDGE
    cells to each side; it is stored as it is."""
    size = (channels, min(rows, EDGE), min(columns, EDGE))
    stored = torch.randint(0, 256, size, generator=torch.Generator().manual_seed(seed))
    limit = math.sqrt(3)  # of uniform values with deviation 1
    return Strokes((stored / 127.5 - 1) * limit, limit=limit)


def strokes_of(encoder: nn.Module, style: Sequence[Exemplar], turned: bool = True, seed: int = 0) -> Strokes:
    """The strokes of style pictures, as an encoder reads them that has learned from the teacher's. turned: by their
    directions, too."""
    choose = random.Random(seed)
    field = _quilt(calm_pieces(encoder, style), EDGE, choose)
    if not turned:
        return Strokes(field)
    return Strokes(field, torch.stack([_quilt(p, TURNED_EDGE, choose) for p in pieces_by_direction(encoder, style)]))


def _quilt(pieces: Sequence[Tensor], about: int, choose: random.Random) -> Tensor:
    """(channels, E, E), E about so many cells: pieces side by side, joined without a seam, across the borders too."""
    channels, piece, _ = pieces[0].shape
    overlap = piece // 4
    count = max(1, round(about / (piece - overlap)))
    edge = count * (piece - overlap)
    field = torch.zeros(channels, edge, edge)
    window = _fade(piece, overlap)
    for index in range(count * count):
        top, left = (place * (piece - overlap) for place in divmod(index, count))
        rows, columns = ((torch.arange(piece) + start) % edge for start in (top, left))
        field[:, rows[:, None], columns] += choose.choice(pieces) * window[:, None] * window
    return field


def _fade(length: int, overlap: int) -> Tensor:
    """Weights whose squares add up to 1 where neighbours overlap: strokes stay as strong as they are."""
    ramp = torch.sin((torch.arange(overlap) + 0.5) / overlap * math.pi / 2)
    return torch.cat([ramp, torch.ones(length - 2 * overlap), ramp.flip(0)])


@dataclass(frozen=True)
class _Piece:
    """Strokes from a window of a painting."""

    strokes: Tensor
    """(channels, P, P)"""
    outlines: float
    """How strong the outlines in it are; infinite where something is masked"""
    direction: tuple[float, float]
    """Of its strokes, as a doubled angle; the length says how many run that way, 0 .. 1"""


def calm_pieces(encoder: nn.Module, style: Sequence[Exemplar]) -> list[Tensor]:
    """Strokes (channels, P, P) from where a painting shows least but strokes, and nothing is masked.

    The outline of what it shows, an eye or a roof, would stand in every picture to come.
    """
    return [piece.strokes for piece in _calm(encoder, style, _size(style, PIECE), CALM)]


def pieces_by_direction(encoder: nn.Module, style: Sequence[Exemplar]) -> list[list[Tensor]]:
    """For each of TURNS directions the calm pieces in which most strokes run that way, off paintings that were turned:
    a painter whose strokes all fall one way has them in every direction then."""
    turned = [[_rotated(exemplar, turn * math.pi / TURNS) for exemplar in style] for turn in range(TURNS)]
    size = min(_size(style_, TURNED_PIECE) for style_ in turned)
    calm = [piece for style_ in turned for piece in _calm(encoder, style_, size, TURNED_CALM)]
    count = max(1, min(BEST, len(calm) // TURNS))
    found = []
    for turn in range(TURNS):
        x, y = math.cos(2 * math.pi * turn / TURNS), math.sin(2 * math.pi * turn / TURNS)
        best = sorted(calm, key=lambda piece: -(piece.direction[0] * x + piece.direction[1] * y))[:count]
        found.append([piece.strokes for piece in best])
    return found


def _calm(encoder: nn.Module, style: Sequence[Exemplar], size: int, share: float) -> list[_Piece]:
    """The calmest pieces of the style pictures, this share of them."""
    pieces = [piece for exemplar in style for piece in _pieces(encoder, exemplar, size)]
    return sorted(pieces, key=lambda piece: piece.outlines)[: max(1, round(share * len(pieces)))]


def _size(style: Sequence[Exemplar], wanted: int) -> int:
    """Cells to each side of a piece: `wanted`, or what fits into the smallest of the pictures."""
    shortest = min(min(exemplar.picture.shape[1:]) // STRIDE for exemplar in style)
    return max(4, min(wanted, shortest - 2 * MARGIN))


def _pieces(encoder: nn.Module, exemplar: Exemplar, size: int) -> Iterator[_Piece]:
    """All pieces of a style picture, `size` cells to each side."""
    strokes, outlines = read_strokes(encoder, exemplar.picture[None])[0].cpu(), _outlines(exemplar.picture)
    masked, tensor = _masked(exemplar, outlines), _tensor(exemplar.picture)
    for top, left in product(*(_starts(length, size) for length in outlines.shape)):
        rows, columns = slice(top, top + size), slice(left, left + size)
        strength = math.inf if masked[rows, columns].any() else float(outlines[rows, columns].quantile(0.95))
        x, y, all_ = (float(part[rows, columns].mean()) for part in tensor)
        yield _Piece(strokes[:, rows, columns], strength, (x / max(all_, 1e-12), y / max(all_, 1e-12)))


def _starts(length: int, size: int) -> range:
    first = max(0, min(MARGIN, (length - size) // 2))
    return range(first, max(first, length - size - MARGIN) + 1, max(1, size // 4))


def _rotated(exemplar: Exemplar, angle: float) -> Exemplar:
    """A style picture turned by an angle in radians, without the corners: as much of its shape as fits inside."""
    if angle == 0:
        return exemplar
    _, height, width = exemplar.picture.shape
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    part = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
    tall, wide = int(part * height), int(part * width)
    down, across = torch.arange(tall) + 0.5 - tall / 2, torch.arange(wide) + 0.5 - wide / 2
    x = math.cos(angle) * across[None, :] - math.sin(angle) * down[:, None]
    y = math.sin(angle) * across[None, :] + math.cos(angle) * down[:, None]
    grid = torch.stack([2 * x / width, 2 * y / height], -1)[None]

    def turned(planes: Tensor, mode: str) -> Tensor:
        return F.grid_sample(planes[None].cpu().float(), grid, mode, "border", align_corners=False)[0]

    mask = None if exemplar.mask is None else turned(exemplar.mask[None], "nearest")[0].to(torch.uint8)
    return replace(exemplar, picture=turned(exemplar.picture, "bicubic").clamp(0, 1), mask=mask)


def _tensor(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(h/4, w/4) each: along which way a painting (3, h, w) is painted, as the doubled angle times how strongly, and
    how strongly it is painted at all (the structure tensor of its luminance, as in forms.py)."""
    light = blur(luminance(_whole_cells(picture).cpu()), GRAIN)[0]
    down, across = torch.gradient(light)
    parts = (down**2 - across**2, -2 * down * across, down**2 + across**2)
    x, y, all_ = (F.avg_pool2d(part[None], STRIDE)[0] for part in parts)
    return x, y, all_


def _outlines(picture: Tensor) -> Tensor:
    """(h/4, w/4): how steeply a painting (3, h, w) changes there apart from its strokes."""
    forms = F.avg_pool2d(blur(_whole_cells(picture).cpu(), OUTLINES)[None], STRIDE)
    down, right = (
        F.pad(forms.diff(dim=axis), pad).square().sum(1)[0] for axis, pad in ((2, (0, 0, 0, 1)), (3, (0, 1)))
    )
    return (down + right).sqrt()


def _whole_cells(picture: Tensor) -> Tensor:
    height, width = (size // STRIDE * STRIDE for size in picture.shape[-2:])
    return picture[..., :height, :width]


def _masked(exemplar: Exemplar, like: Tensor) -> Tensor:
    """(h, w) of bool, in cells"""
    if exemplar.mask is None:
        return torch.zeros_like(like, dtype=torch.bool)
    cells = F.max_pool2d((exemplar.mask.cpu() == 0).float()[None], STRIDE)[0]
    return cells[: like.shape[0], : like.shape[1]] > 0


def read_strokes(encoder: nn.Module, painted: Tensor) -> Tensor:
    """(N, channels, h/4, w/4): what would make the generator paint the pictures (N, 3, h, w), were their forms the
    content.

    Read off the painting itself strokes run as the painter laid them, over whole skies. Read off the teacher's pictures
    they brought along bricks and cobbles of what had been painted.
    """
    painted = _whole_cells(painted)
    with torch.no_grad():
        mean: Tensor = encoder(blur(painted.flatten(0, 1), FORMS).view_as(painted), painted)[0]
    return mean
