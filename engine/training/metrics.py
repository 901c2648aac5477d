"""Numbers that say how close a result is to the hand of a painting. Never used in training."""

from __future__ import annotations

import torch
from torch import Tensor

from .teacher import nearest_both_ways, patches

PATCH = 9


def bidirectional_patch_distance(result: Tensor, painting: Tensor, asking: int = 800) -> tuple[float, float]:
    """Mean distance of each 9x9 RGB patch of the result to its nearest in the painting, and back.

    Both (3, H, W), display-referred sRGB 0..1, both at the scale of training. Smaller is closer to the hand
    (Simakov et al., "Summarizing visual data using bidirectional similarity", 2008). `asking` patches are drawn at
    random to ask, always the same; all answer.
    """
    ours, theirs = patches(result, PATCH, 1), patches(painting, PATCH, 1)
    forth, _ = nearest_both_ways(_some(ours, asking), theirs)
    back, _ = nearest_both_ways(_some(theirs, asking), ours)
    return float(forth.sqrt().mean()), float(back.sqrt().mean())


def _some(rows: Tensor, count: int) -> Tensor:
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count]]


def colour_transfer(content: Tensor, painting: Tensor) -> Tensor:
    """The plain rival: each pixel takes the painting's mean colour at its luminance rank (luminance-to-palette)."""
    from .teacher import luminance

    light = luminance(painting).flatten()
    order = light.argsort()
    palette = torch.stack([_smooth(channel.flatten()[order]) for channel in painting])
    ranks = luminance(content).flatten().argsort().argsort()
    index = (ranks.double() / max(1, ranks.numel() - 1) * (palette.shape[1] - 1)).round().long()
    return palette[:, index].view_as(content)


def _smooth(values: Tensor) -> Tensor:
    """256 mean colours along the luminance order."""
    return torch.stack([part.mean() for part in values.tensor_split(256)])
