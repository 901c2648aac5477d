"""The islands of a baked texture, and what lies around them: background that must not run into the strokes.

Around islands there is nothing to paint, but a network looks at its surroundings. So the background is filled with what
the nearest islands' edges are like before it is painted, and put back afterwards, texel for texel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import EngineError
from .explain.overlay import Overlay
from .outputs import Output
from .picture import Array, Floats, Picture, PictureReader, from_block
from .protocol import Layer, PictureSource


@dataclass(frozen=True, eq=False)
class Islands:
    """A picture whose background is filled, and what lay there."""

    picture: Picture
    """Filled: what the style sees"""
    stored: PictureReader
    """As it came"""
    outside: Array
    """(H, W) bool: the background"""

    def into(self, output: Output) -> Kept:
        """Where the painted picture is written to, so that `output` gets the background as it was."""
        return Kept(self, output)


def islands(source: PictureSource, stored: Picture) -> Islands | None:
    """What the source says of its background; None where it says nothing."""
    if source.outside is None:
        return None
    shape = (stored.height, stored.width, 1)
    if source.outside.dtype != "uint8" or tuple(source.outside.shape) != shape:
        raise EngineError(
            f"The background of {source.name!r} has not its size ({source.outside.shape}, {shape}).",
            "Send it again, one byte for each pixel.",
        )
    mask = from_block(PictureSource(source.name, pixels=source.outside, encoding="data")).pixels[..., 0] > 0
    return Islands(filled(stored, mask), stored, mask)


def filled(picture: Picture, outside: Array) -> Picture:
    """The picture with the background made of the islands around it. outside: (H, W) bool.

    Pull and push (Gortler et al., "The Lumigraph", 1996, section 3.4): averages of what is known, each level half as
    large, until something is known everywhere; then back down into what was not. In the stored values of all channels.
    """
    pixels = np.array(picture.pixels)
    known = ~outside
    if known.any() and outside.any():
        rows, columns = np.nonzero(outside)
        around = _pushed(*_pulled(pixels, known))[rows // 2, columns // 2]
        pixels[rows, columns] = np.rint(around) if pixels.dtype.kind == "u" else around
    return Picture(pixels, picture.encoding, picture.alpha, picture.name, picture.view)


def _pulled(values: Array, known: Array) -> tuple[Floats, Array]:
    """Means of what is known of 2 x 2 values (h, w, C), float32, and where there was any. Odd edges stand alone."""
    height, width = known.shape
    total = np.zeros(((height + 1) // 2, (width + 1) // 2, values.shape[2]), np.float32)
    count = np.zeros(total.shape[:2], np.float32)
    for row in (0, 1):
        for column in (0, 1):
            part, weight = values[row::2, column::2], known[row::2, column::2]
            place = np.s_[: part.shape[0], : part.shape[1]]
            # Background may be anything, NaN too: it is not multiplied by zero but left out.
            total[place] += np.where(weight[..., None], part, 0)
            count[place] += weight
    return total / np.maximum(count, 1)[..., None], count > 0


def _pushed(values: Floats, known: Array) -> Floats:
    """The same values, with what is not known taken from the next smaller level."""
    if known.all():
        return values
    below = _pushed(*_pulled(values, known))
    rows, columns = np.nonzero(~known)
    values[rows, columns] = below[rows // 2, columns // 2]
    return values


class Kept:
    """An Output that puts the background back into the rows on their way."""

    def __init__(self, around: Islands, output: Output) -> None:
        self.around, self.output, self.path = around, output, output.path
        self.written = 0

    def write_rows(self, rows: Array) -> None:
        place = np.s_[self.written : self.written + len(rows)]
        mask = self.around.outside[place]
        stored = self.around.stored.read(self.written, 0, len(rows), rows.shape[1])[mask]
        rows[mask, :3] = stored[:, :3] if stored.shape[1] >= 3 else stored[:, :1]
        rows[mask, 3:] = stored[:, 3:] if stored.shape[1] >= 3 else stored[:, 1:]
        self.written += len(rows)
        self.output.write_rows(rows)

    def finish(
        self, overlays: Sequence[Overlay], beneath: Floats | None = None, beside: Sequence[Picture] = ()
    ) -> tuple[Layer, ...]:
        return self.output.finish(overlays, beneath, beside)
