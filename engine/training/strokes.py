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
"""Cells to each side of a piece: several strokes long, small enough to find calm places."""


def stroke_field(encoder: Encoder, pairs: Sequence[Pair], seed: int = 0) -> Tensor:
    """(channels, E, E): pieces of the pictures' strokes side by side, joined without a seam, across the borders too."""
    choose = random.Random(seed)
    pieces = calm_pieces(encoder, pairs)
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


def calm_pieces(encoder: Encoder, pairs: Sequence[Pair]) -> list[Tensor]:
    """Strokes (channels, P, P) from where the pictures show least: there they are the painter's own. Windows and leaves
    would leave their outlines in every picture."""
    found: list[tuple[float, Tensor]] = []
    edge = min(min(p.content.shape[1:]) for p in pairs) // STRIDE
    margin = SLOW // 2  # near a picture's border the encoder sees nothing beyond
    piece = max(4, min(PIECE, edge - 2 * margin))
    starts = sorted({min(margin, edge - piece), max(0, edge - margin - piece)})
    for pair in pairs:
        strokes, shown = read_strokes(encoder, pair), detail(pair)
        for top, left in product(starts, starts):
            window = slice(top, top + piece), slice(left, left + piece)
            found.append((float(shown[window].mean()), strokes[:, window[0], window[1]]))
    found.sort(key=lambda entry: entry[0])
    return [strokes for _, strokes in found[: max(1, len(found) // 4)]]


def detail(pair: Pair) -> Tensor:
    """(h/4, w/4): mean step between neighbouring pixels of the content."""
    content = to_float(pair.content)
    down = F.pad((content[:, 1:] - content[:, :-1]).abs(), (0, 0, 0, 1))
    across = F.pad((content[:, :, 1:] - content[:, :, :-1]).abs(), (0, 1))
    return F.avg_pool2d((down + across).mean(0, keepdim=True), STRIDE)[0]


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
