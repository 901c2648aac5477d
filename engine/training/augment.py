"""Augmentation for the critic (Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020).

Translation and cutout only: colour augmentation would leak into the palette, and the palette is the style.
"""

from __future__ import annotations

import torch
from torch import Tensor

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
    tops, lefts = (torch.randint(0, r + 1, (len(pictures),), generator=random, device=pictures.device) for r in room)
    height, width = (size - r for size, r in zip(pictures.shape[2:], room, strict=True))
    cut = zip(pictures, tops.tolist(), lefts.tolist(), strict=True)
    return torch.stack([picture[:, top : top + height, left : left + width] for picture, top, left in cut])


def _cutout(pictures: Tensor, random: torch.Generator, share: float) -> Tensor:
    count, _, height, width = pictures.shape
    tall, wide = round(height * share), round(width * share)
    top = torch.randint(0, height - tall + 1, (count, 1), generator=random, device=pictures.device)
    left = torch.randint(0, width - wide + 1, (count, 1), generator=random, device=pictures.device)
    rows = torch.arange(height, device=pictures.device)[None]
    columns = torch.arange(width, device=pictures.device)[None]
    hole = ((rows >= top) & (rows < top + tall))[:, :, None] & ((columns >= left) & (columns < left + wide))[:, None, :]
    return pictures * ~hole[:, None]


def _turned(pictures: Tensor, random: torch.Generator, chance: float) -> Tensor:
    drawn = torch.rand(2, len(pictures), 1, 1, 1, generator=random, device=pictures.device) < chance
    pictures = torch.where(drawn[0], pictures.flip(2), pictures)
    return torch.where(drawn[1], pictures.transpose(2, 3), pictures)
