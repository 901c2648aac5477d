"""The stroke field: noise that looks like what the encoder reads off painted pictures.

Strokes are long and run along with their neighbours; noise drawn cell by cell is neither. So the field is quilted from
the strokes of the teacher's own pictures, and the generator paints wherever it is laid.
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
from .data import Pair, to_float
from .networks import SLOW, STRIDE, Encoder

FILE = "strokes.bytes"
EDGE = 256
"""Cells to each side, about: 1024 pixels until strokes repeat, 256 KB in the pack."""
LOUD = 0.92
"""Share of values that are kept as they are. Cut back, the loudest are no longer seen as spots in calm places; the
strokes stay."""
PIECE = 64
"""Cells to each side of a piece: several strokes long, small enough to find even places."""


def stroke_field(encoder: Encoder, pairs: Sequence[Pair], seed: int = 0) -> Tensor:
    """(channels, E, E): pieces of the pictures' strokes side by side, joined without a seam, across the borders too."""
    choose = random.Random(seed)
    pieces = even_pieces(encoder, pairs)
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


def even_pieces(encoder: Encoder, pairs: Sequence[Pair]) -> list[Tensor]:
    """Strokes (channels, P, P) from where they are lively and even.

    A loud spot is an outline of the picture it was read from, a window or a leaf, and would show in every picture to
    come; a silent one is a place without strokes, and would leave a hole in every picture.
    """
    found: list[tuple[float, float, Tensor]] = []
    for pair in pairs:
        strokes = read_strokes(encoder, pair)
        loudness = F.avg_pool2d(strokes.abs().mean(0, keepdim=True), SLOW, 1, SLOW // 2)[0]
        for rows, columns in _windows(min(strokes.shape[1:])):
            here = loudness[rows, columns]
            unevenness = float(here.max()) / max(float(here.min()), 1e-6)
            found.append((float(here.median()), unevenness, strokes[:, rows, columns]))
    lively = sorted(found, key=lambda entry: -entry[0])[: max(1, 2 * len(found) // 3)]
    even = sorted(lively, key=lambda entry: entry[1])[: max(1, len(found) // 8)]
    return [strokes for _, _, strokes in even]


def _windows(edge: int) -> list[tuple[slice, slice]]:
    """Where pieces are taken from pictures of `edge` cells: near a border the encoder sees nothing beyond."""
    margin = SLOW // 2
    piece = max(4, min(PIECE, edge - 2 * margin))
    room = max(0, edge - piece - 2 * margin)
    starts = sorted({min(margin, edge - piece) + room * third // 2 for third in range(3)})
    return [(slice(top, top + piece), slice(left, left + piece)) for top, left in product(starts, starts)]


def read_strokes(encoder: Encoder, pair: Pair) -> Tensor:
    """(channels, h/4, w/4): what would make the generator paint the pair's picture."""
    size = [s // STRIDE * STRIDE for s in pair.content.shape[1:]]
    content, painted = (to_float(p[:, : size[0], : size[1]])[None] for p in (pair.content, pair.painted))
    with torch.no_grad():
        mean: Tensor = encoder(content, painted)[0][0]
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
