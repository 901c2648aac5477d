"""Augmentation for the critic (Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020).

Translation and cutout only: colour augmentation would leak into the palette, and the palette is the style.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import ranks

SHIFT = 0.125
"""Share of a crop's edge by which the window on it may lie elsewhere"""


def augment(
    pictures: Tensor, random: torch.Generator, shift: float = SHIFT, hole: float = 0.25, turn: float = 0.0
) -> Tensor:
    """(N, C, S, S) -> (N, C, S', S'): a window of 1 - `shift` of each picture, with a hole of `hole` of its edge.

    Nothing is filled in: a frame of zeros around a shifted picture would tell the critic what is augmented.
    turn: chance that a picture is turned on its head, and again that its sides are swapped. Below 1 the generator can
    tell which way up is meant (Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020,
    section 2.2).
    """
    shown = _cutout(_window(pictures, random, shift), random, hole)
    return _turned(shown, random, turn) if turn else shown


def _window(pictures: Tensor, random: torch.Generator, share: float) -> Tensor:
    room = [round(size * share) for size in pictures.shape[2:]]
    tops, lefts = (_places(pictures, r + 1, random) for r in room)
    height, width = (size - r for size, r in zip(pictures.shape[2:], room, strict=True))
    rows = tops[:, None] + torch.arange(height, device=pictures.device)
    columns = lefts[:, None] + torch.arange(width, device=pictures.device)
    # Gathered, not cut out: to cut, this process would have to know the numbers, and wait for the graphics card.
    shown = pictures.gather(2, rows[:, None, :, None].expand(-1, pictures.shape[1], -1, pictures.shape[3]))
    return shown.gather(3, columns[:, None, None].expand(-1, pictures.shape[1], height, -1))


def _cutout(pictures: Tensor, random: torch.Generator, share: float) -> Tensor:
    _, _, height, width = pictures.shape
    tall, wide = round(height * share), round(width * share)
    top = _places(pictures, height - tall + 1, random)[:, None]
    left = _places(pictures, width - wide + 1, random)[:, None]
    rows = torch.arange(height, device=pictures.device)[None]
    columns = torch.arange(width, device=pictures.device)[None]
    hole = ((rows >= top) & (rows < top + tall))[:, :, None] & ((columns >= left) & (columns < left + wide))[:, None, :]
    return pictures * ~hole[:, None]


def _turned(pictures: Tensor, random: torch.Generator, chance: float) -> Tensor:
    drawn = torch.rand(2, ranks.whole(len(pictures)), 1, 1, 1, generator=random, device=pictures.device) < chance
    pictures = torch.where(ranks.own(drawn[0]), pictures.flip(2), pictures)
    return torch.where(ranks.own(drawn[1]), pictures.transpose(2, 3), pictures)


def _places(pictures: Tensor, end: int, random: torch.Generator) -> Tensor:
    """(N,): for each picture a number below `end`."""
    return ranks.own(torch.randint(0, end, (ranks.whole(len(pictures)),), generator=random, device=pictures.device))
