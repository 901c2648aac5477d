"""Augmentation for the critic (Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020).

Translation and cutout only: colour augmentation would leak into the palette, and the palette is the style.
"""

from __future__ import annotations

import torch
from torch import Tensor


def augment(pictures: Tensor, random: torch.Generator, shift: float = 0.125, hole: float = 0.25) -> Tensor:
    """(N, C, H, W) shifted by up to `shift` of its size (zeros come in) and with a hole of `hole` of its edge."""
    return _cutout(_translate(pictures, random, shift), random, hole)


def _translate(pictures: Tensor, random: torch.Generator, share: float) -> Tensor:
    count, _, height, width = pictures.shape
    down = _integers(random, count, round(height * share), pictures.device)
    right = _integers(random, count, round(width * share), pictures.device)
    rows = torch.arange(height, device=pictures.device)[None] - down[:, None]
    columns = torch.arange(width, device=pictures.device)[None] - right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    which = torch.arange(count, device=pictures.device)[:, None, None]
    moved = pictures.permute(0, 2, 3, 1)[
        which, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]
    ]
    return (moved * inside[..., None]).permute(0, 3, 1, 2)


def _cutout(pictures: Tensor, random: torch.Generator, share: float) -> Tensor:
    count, _, height, width = pictures.shape
    tall, wide = round(height * share), round(width * share)
    top = torch.randint(0, height - tall + 1, (count, 1), generator=random, device=pictures.device)
    left = torch.randint(0, width - wide + 1, (count, 1), generator=random, device=pictures.device)
    rows = torch.arange(height, device=pictures.device)[None]
    columns = torch.arange(width, device=pictures.device)[None]
    hole = ((rows >= top) & (rows < top + tall))[:, :, None] & ((columns >= left) & (columns < left + wide))[:, None, :]
    return pictures * ~hole[:, None]


def _integers(random: torch.Generator, count: int, limit: int, device: torch.device) -> Tensor:
    return torch.randint(-limit, limit + 1, (count,), generator=random, device=device)
