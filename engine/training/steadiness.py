"""What makes frames of a moving picture agree, taught from stills: a picture, and the same a moment later.

Nothing has to be filmed. A still that is shifted, turned and enlarged a little is what a camera sees a moment later,
and where everything went is known (Ruder et al., "Artistic Style Transfer for Videos and Spherical Images", 2018,
section 3.2, trains so). Noise goes along, as it does where it is anchored to surfaces: strokes are to lie on what
moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor

SHIFT = 6.0
"""Pixels that a picture moves at most, across and down: more than a cell of noise, less than a stroke is long"""
TURN = 0.035
"""Radians that it is turned at most: two degrees"""
ZOOM = 0.03
"""Share that it grows or shrinks at most"""


@dataclass(frozen=True, eq=False)
class Move:
    """Where each of N pictures goes: shift, turn and zoom, the same for all that belongs to one picture."""

    turned: Tensor
    """(N, 2, 2): from places after to places before, in pixels from the middle"""
    shift: Tensor
    """(N, 2): then so much across and down, in pixels"""

    @classmethod
    def drawn(cls, count: int, random_: torch.Generator, device: torch.device) -> Move:
        """Another one for each picture."""
        shift, turn, zoom = (
            (torch.rand(count, size, generator=random_, device=device) * 2 - 1) * most
            for size, most in ((2, SHIFT), (1, TURN), (1, ZOOM))
        )
        cos, sin = turn.cos() * (1 + zoom), turn.sin() * (1 + zoom)
        return cls(torch.stack([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)], 1), shift)

    def of(self, pictures: Tensor, every: int = 1) -> Tensor:
        """(N, C, H, W) as they are a moment later, bilinear; what comes in from outside repeats the border. every: the
        pixels that one value stands for."""
        return F.grid_sample(pictures, self._grid(pictures, every), padding_mode="border", align_corners=False)

    def of_noise(self, noise: Tensor, every: int) -> Tensor:
        """The same of noise (N, C, h, w), as strong as it was: what is mixed of neighbours would be weaker."""
        moved = self.of(noise, every)
        spread = noise.std((1, 2, 3), keepdim=True) / moved.std((1, 2, 3), keepdim=True).clamp_min(1e-6)
        return moved * spread

    def inside(self, pictures: Tensor) -> Tensor:
        """(N, 1, H, W): 1 where a picture shows what it showed before"""
        grid = self._grid(pictures, 1)
        height, width = pictures.shape[2:]
        inner = 1 - 1 / torch.tensor([width, height], device=grid.device) + 1e-5  # of rounding
        return (grid.abs() <= inner).all(3)[:, None].float()

    def _grid(self, pictures: Tensor, every: int) -> Tensor:
        """(N, H, W, 2): where each pixel was, -1..1 from border to border"""
        height, width = pictures.shape[2:]
        rows, columns = (
            torch.arange(size, device=pictures.device, dtype=torch.float32) + 0.5 - size / 2 for size in (height, width)
        )
        places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), 2).reshape(-1, 2)
        before = places @ self.turned.transpose(1, 2) + self.shift[:, None] / every
        scale = 2 / torch.tensor([width, height], device=pictures.device)
        return (before * scale).reshape(-1, height, width, 2)


def terms(
    paint: Callable[[Tensor, Tensor], Tensor],
    seen: Tensor,
    noise: Tensor,
    painted: Tensor,
    random_: torch.Generator,
) -> dict[str, Tensor]:
    """Two terms from one more picture that the generator paints.

    seen: (N, C >= 3, H, W), the picture in the first three; noise: (N, c, h, w), painted: what `paint` made of both.

    steadiness        what is painted of the moved picture beside what was painted, moved along: mean |difference|
                      (temporal loss of Ruder et al. 2018, equation 6, in L1, with the true motion)
    frame_difference  how the painting changes beside how the picture changes, mean square (Xu et al., "Frame
                      Difference-Based Temporal Loss for Video Stylization", 2021, equation 3: no motion is needed, so
                      it holds for light and for what comes into view as well)
    """
    every = seen.shape[2] // noise.shape[2]
    move = Move.drawn(len(seen), random_, seen.device)
    later = move.of(seen)
    again = paint(later, move.of_noise(noise, every))
    shown = move.inside(seen)
    steady = ((again - move.of(painted)).abs() * shown).sum() / (3 * shown.sum()).clamp_min(1)
    changes = (again - painted) - (later[:, :3] - seen[:, :3])
    return {"steadiness": steady, "frame_difference": changes.square().mean()}
