"""What a texture shows where no view sees the surface: its own colours, painted as they lie flat."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..canvas import PictureCanvas
from ..controls import left_strength
from ..files import open_source
from ..mixing import Styles
from ..picture import Floats, Picture
from ..protocol import PictureSource
from ..resample import Resampled
from ..runtime import tiles
from .blending import Shared
from .gone_on import gone_on

SHOT = "views"
"""All views, and what lies flat, have the statistics and the colours of the first view"""
_SHOWS = 0.001
"""Share of a texel from which on a filling shows"""
_TILE = 256
_CLEAR = 0.5
"""How well a place must be shown to tell how large strokes are there"""


@dataclass(frozen=True, eq=False)
class Filling:
    """The colours that lie flat, and how to paint them."""

    styles: Styles
    shared: Shared
    name: str

    def painting(self, flat: Floats) -> Generator[float, None, None]:
        """Paints flat (H, W, 3), display-referred 0..1, in place, where no view sees the surface; in steps that say how
        much is done. Styles that are guided by passes leave it as it is: what lies flat has none."""
        needed = self._needed()
        if self._guided or not needed.any():
            return
        height, width = needed.shape
        source = Picture(flat.copy(), "srgb", name=self.name)
        mix = self.styles.over(PictureSource(self.name), source, None, SHOT)
        paint = replace(self.styles.paint, stroke=self._stroke())
        canvas = mix.painted(PictureCanvas(source), paint)
        strength = np.float32(left_strength(self.styles.settings))
        windows = [(*window, _place(*window)) for window in tiles(height, width, _TILE)]
        windows = [window for window in windows if needed[window[4]].any()]
        for number, (*window, place) in enumerate(windows, 1):
            painted = np.clip(canvas.read(*window), 0, 1).transpose(1, 2, 0)
            flat[place] += strength * (painted - flat[place])
            yield number / len(windows)

    def _needed(self) -> NDArray[np.bool_]:
        """(H, W): where the filling shows"""
        texels = self.shared.texels
        needed = np.zeros(texels.size[0] * texels.size[1], bool)
        needed[texels.index[self.shared.seen < 1 - _SHOWS]] = True
        return needed.reshape(texels.size)

    @property
    def _guided(self) -> bool:
        sessions = [session for _, session in self.styles.shares]
        sessions += [self.styles.palette] if self.styles.palette else []
        return any(session.guides for session in sessions)

    def _stroke(self) -> float:
        """As large on the surface as the strokes of the views"""
        edge, ratios = self.shared.texels.edge, []
        for look in self.shared.looks:
            clear = look.quality > _CLEAR
            ratios.append(look.quality[clear] / (edge[look.which[clear]] * look.score[clear]))
        found = np.concatenate(ratios) if ratios else np.zeros(0)
        texels_a_pixel = float(np.median(found)) if len(found) else 1.0
        return float(np.clip(self.styles.paint.stroke * texels_a_pixel, 0.25, 4))


def _place(top: int, left: int, height: int, width: int) -> tuple[slice, slice]:
    return slice(top, top + height), slice(left, left + width)


def given(texture: PictureSource, size: tuple[int, int]) -> Floats:
    """The colours of a texture in another size (height, width): (H, W, 3) display-referred 0..1"""
    canvas = Resampled(PictureCanvas(open_source(texture)), *size)
    return np.clip(canvas.read(0, 0, *size), 0, 1).transpose(1, 2, 0).copy()


def around(shared: Shared, colours: Floats) -> Floats:
    """(H, W, 3): colours (3, N) of what is seen, going on around it"""
    size, seen = shared.texels.size, shared.seen > 0.5
    pixels, known = np.zeros((size[0] * size[1], 3), np.float32), np.zeros(size[0] * size[1], bool)
    pixels[shared.texels.index[seen]], known[shared.texels.index[seen]] = colours[:, seen].T, True
    return np.clip(gone_on(pixels.reshape(*size, 3), known.reshape(size)), 0, 1)
