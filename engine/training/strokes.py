"""The stroke field: noise that looks like what the encoder reads off painted pictures.

Strokes are long and run along with their neighbours; noise drawn cell by cell is neither. So the field is quilted from
the strokes of the style pictures themselves, and the generator paints wherever it is laid.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from numpy.typing import NDArray
from torch import Tensor

from ..style_pack import ModelInput, StrokeField
from .networks import SLOW, STRIDE, Encoder
from .teacher import Exemplar, blur

FILE = "strokes.bytes"
EDGE = 256
"""Cells to each side, about: 1024 pixels until strokes repeat, 256 KB in the pack."""
LOUD = 0.92
"""Share of values that are kept as they are. Cut back, the loudest are no longer seen as spots in calm places; the
strokes stay."""
PIECE = 64
"""Cells to each side of a piece: long enough for strokes that sweep, small enough to find calm places."""
CALM = 1 / 6
"""Share of a painting that strokes are taken from: with a third a portrait's eye looked out of walls."""
OUTLINES = 6.0
"""Deviation in pixels of the blur under which strokes vanish and outlines stay."""
FORMS = 2.0
"""Deviation in pixels of the blur that takes the strokes from a painting and leaves its forms. With 6 a spire counted
as a stroke, and stood in every picture."""


def stroke_field(encoder: Encoder, style: Sequence[Exemplar], seed: int = 0) -> Tensor:
    """(channels, E, E): pieces of the style pictures' strokes side by side, joined without a seam, across the borders
    too. On the processor."""
    choose = random.Random(seed)
    pieces = calm_pieces(encoder, style)
    piece = pieces[0].shape[1]
    overlap = piece // 4
    count = max(1, round(EDGE / (piece - overlap)))
    edge = count * (piece - overlap)
    field = torch.zeros(encoder.channels, edge, edge)
    window = _fade(piece, overlap)
    for index in range(count * count):
        top, left = (place * (piece - overlap) for place in divmod(index, count))
        rows, columns = ((torch.arange(piece) + start) % edge for start in (top, left))
        field[:, rows[:, None], columns] += choose.choice(pieces) * window[:, None] * window
    return field


def calm_pieces(encoder: Encoder, style: Sequence[Exemplar]) -> list[Tensor]:
    """Strokes (channels, P, P) from where a painting shows least but strokes, and nothing is masked.

    The outline of what it shows, an eye or a roof, would stand in every picture to come.
    """
    found: list[tuple[float, Tensor]] = []
    for exemplar in style:
        strokes, outlines = read_strokes(encoder, exemplar.picture), _outlines(exemplar.picture)
        masked = _masked(exemplar, outlines)
        for rows, columns in _windows(*outlines.shape):
            strength = float(outlines[rows, columns].quantile(0.95))
            found.append((torch.inf if masked[rows, columns].any() else strength, strokes[:, rows, columns]))
    calm = sorted(found, key=lambda entry: entry[0])[: max(1, round(CALM * len(found)))]
    return [strokes for _, strokes in calm]


def _outlines(picture: Tensor) -> Tensor:
    """(h/4, w/4): how steeply a painting (3, h, w) changes there apart from its strokes."""
    forms = F.avg_pool2d(blur(_whole_cells(picture), OUTLINES)[None], STRIDE)
    down, right = (
        F.pad(forms.diff(dim=axis), pad).square().sum(1)[0] for axis, pad in ((2, (0, 0, 0, 1)), (3, (0, 1)))
    )
    return (down + right).sqrt()


def _whole_cells(picture: Tensor) -> Tensor:
    return picture[:, : picture.shape[1] // STRIDE * STRIDE, : picture.shape[2] // STRIDE * STRIDE].cpu()


def _windows(height: int, width: int) -> list[tuple[slice, slice]]:
    """Where pieces are taken from so many cells: near a border the encoder sees nothing beyond."""
    margin = SLOW // 2
    piece = max(4, min(PIECE, height - 2 * margin, width - 2 * margin))
    rows, columns = (_starts(length, piece, margin) for length in (height, width))
    return [(slice(top, top + piece), slice(left, left + piece)) for top, left in product(rows, columns)]


def _starts(length: int, piece: int, margin: int) -> range:
    first = max(0, min(margin, (length - piece) // 2))
    return range(first, max(first, length - piece - margin) + 1, max(1, piece // 4))


def _masked(exemplar: Exemplar, like: Tensor) -> Tensor:
    """(h, w) of bool, in cells"""
    if exemplar.mask is None:
        return torch.zeros_like(like, dtype=torch.bool)
    cells = F.max_pool2d((exemplar.mask.cpu() == 0).float()[None], STRIDE)[0]
    return cells[: like.shape[0], : like.shape[1]] > 0


def read_strokes(encoder: Encoder, painted: Tensor) -> Tensor:
    """(channels, h/4, w/4): what would make the generator paint the picture (3, h, w), if its forms were the content.

    Read off the painting itself strokes run as the painter laid them, over whole skies. Read off the teacher's pictures
    they brought along bricks and cobbles of what had been painted.
    """
    painted = _whole_cells(painted)
    with torch.no_grad():
        mean: Tensor = encoder(blur(painted, FORMS)[None], painted[None])[0][0]
    return mean


def packed(field: Tensor) -> tuple[ModelInput, bytes]:
    """The field as a noise input of a style, and its bytes."""
    limit = float(field.abs().quantile(LOUD)) or 1.0
    stored: NDArray[np.uint8] = ((field / limit + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    table = StrokeField(FILE, field.shape[1], field.shape[2])
    return ModelInput(field.shape[0], scale=STRIDE, range=(-limit, limit), strokes=table), stored.tobytes()


def _fade(length: int, overlap: int) -> Tensor:
    """Weights whose squares add up to 1 where neighbours overlap: strokes stay as strong as they are."""
    ramp = torch.sin((torch.arange(overlap) + 0.5) / overlap * math.pi / 2)
    return torch.cat([ramp, torch.ones(length - 2 * overlap), ramp.flip(0)])
