"""Numbers that say how close a result is to the hand of a painting. Never used in training."""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor

from .losses import structure
from .teacher import luminance, nearest_both_ways, patches, resize

PATCH = 9
PROJECTED = 7
"""Edge of the patches whose distribution is compared: as in training."""


def nearest_distance(asking: Tensor, answering: Tensor, count: int = 500) -> float:
    """Mean distance of patches (N, K) to their nearest among others (M, K). `count` of them are drawn at random to ask,
    always the same."""
    nearest, _ = nearest_both_ways(_some(asking, count), answering)
    return float(nearest.sqrt().mean())


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


def patch_distance(picture: Tensor, painting: Tensor, search: float) -> tuple[float, float]:
    """The bidirectional patch distance at the scale of the teacher's search, `search` of the scale of training.

    A stroke is some four pixels wide there, and a 9x9 patch holds one. At full scale smooth pictures come out ahead
    even of the teacher.
    """
    small, wanted = (resize(p, tuple(max(PATCH, round(s * search)) for s in p.shape[1:])) for p in (picture, painting))
    return bidirectional_patch_distance(small, wanted)


def way_closed(distance: float, colour_transfer: float, teacher: float) -> float:
    """0 at the colour transfer, 1 at the teacher. Where the teacher is no better than the colour transfer, 1 or 0."""
    span = colour_transfer - teacher
    if span <= 0:
        return float(distance <= teacher)
    return (colour_transfer - distance) / span


def sliced_wasserstein_distance(result: Tensor, painting: Tensor, scales: int = 3, directions: int = 64) -> float:
    """Mean over random axes and over scales 1, 1/2, 1/4 of the 1-Wasserstein distance of the projected 7x7 patches.

    Both (3, H, W) of any size, display-referred sRGB 0..1, both at the scale of training. In one dimension the
    distance is the mean difference of the quantiles (Rabin et al. 2011). The axes are always the same.
    """
    random = torch.Generator().manual_seed(0)
    result, painting = result[None], painting[None]
    terms = []
    for _ in range(scales):
        axes = torch.randn(directions, 3, PROJECTED, PROJECTED, generator=random).to(result.device)
        axes = axes / axes.flatten(1).norm(dim=1)[:, None, None, None]
        ours, theirs = (F.conv2d(x, axes, stride=3)[0].flatten(1).sort(1).values for x in (result, painting))
        count = min(ours.shape[1], theirs.shape[1])
        terms.append((_quantiles(ours, count) - _quantiles(theirs, count)).abs().mean())
        result, painting = F.avg_pool2d(result, 2), F.avg_pool2d(painting, 2)
    return float(torch.stack(terms).mean())


def _quantiles(ordered: Tensor, count: int) -> Tensor:
    """(K, N) -> (K, count): the values in the middle of `count` equal shares."""
    places = (torch.arange(count, device=ordered.device) + 0.5) * (ordered.shape[1] / count)
    return ordered[:, places.long()]


def structure_kept(result: Tensor, content: Tensor) -> float:
    """How much of the content's structure at 1/2 to 1/8 scale is left: 1 all of it, 0 none, below 0 turned over.

    Both (3, H, W), display-referred sRGB 0..1, 72 pixels or more to each side. The local correlation of luminance (see
    losses.structure) as a share of what the content has with itself: flat places have none.
    """
    kept, there = (1 - float(structure(picture[None], content[None])) for picture in (result, content))
    return kept / max(there, 1e-3)


def pairwise_distance(pictures: Tensor) -> float:
    """Root mean square difference of two of the pictures (N, 3, H, W), mean over all pairs; N >= 2."""
    pairs = list(combinations(pictures, 2))
    return sum(float((a - b).square().mean().sqrt()) for a, b in pairs) / len(pairs)


def deviation(pictures: Tensor) -> float:
    """Standard deviation of each value over the pictures (N, 3, H, W), mean over all values; N >= 2."""
    return float(pictures.std(0).mean())


def palette_distance(pictures: Tensor, style: Tensor) -> float:
    """1-Wasserstein distance between the colours of the two, mean over red, green and blue: 0 .. 1.

    (3, H, W) each, of any size. A tint of .1 on everything is a distance of .1.
    """
    ours, theirs = (_quantiles(x.flatten(1).sort(1).values, 256) for x in (pictures, style))
    return float((ours - theirs).abs().mean())


FAINT = 3 / 255
"""Amplitude of a grid that can just be seen on an even wall"""


def grid_energy(pictures: Tensor, period: int) -> float:
    """How far a regular grid of that period, or of half of it, stands out: about 1 where there is none, and strokes.

    (N, 3, H, W) 0..1, H and W at least 8 periods. The power of the rows' (or columns') luminance at the grid's
    frequency, over the median power at the frequencies around it and that of a grid which can just be seen; mean over
    all rows, the largest of those.
    """
    light = torch.stack([luminance(picture)[0] for picture in pictures])
    return max(_peak(light, period), _peak(light.transpose(1, 2), period))


def _peak(light: Tensor, period: int) -> float:
    """Along the last axis of (N, H, W)."""
    length = light.shape[2] // (2 * period) * 2 * period  # so that both frequencies fall on a bin
    window = torch.hann_window(length, device=light.device)
    rows = light[..., :length] - light[..., :length].mean(2, keepdim=True)
    power = torch.fft.rfft(rows * window).abs().square().mean((0, 1))
    faint = (FAINT * length / 4) ** 2  # of a sine of that amplitude, through the window
    return max(_stands_out(power, length // period, faint), _stands_out(power, 2 * length // period, faint))


def _stands_out(power: Tensor, at: int, faint: float) -> float:
    """The window spreads a peak over its neighbours: what counts as around it begins two bins away."""
    reach = max(6, len(power) // 12)
    around = torch.cat([power[max(1, at - reach) : at - 2], power[at + 3 : at + reach + 1]])
    return float(power[at] / (around.median() + faint))


def _some(rows: Tensor, count: int) -> Tensor:
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count]]


def colour_transfer(content: Tensor, painting: Tensor) -> Tensor:
    """The plain rival: each pixel takes the painting's mean colour at its luminance rank (luminance-to-palette)."""
    light = luminance(painting).flatten()
    order = light.argsort()
    palette = torch.stack([_smooth(channel.flatten()[order]) for channel in painting])
    ranks = luminance(content).flatten().argsort().argsort()
    index = (ranks.double() / max(1, ranks.numel() - 1) * (palette.shape[1] - 1)).round().long()
    return palette[:, index].view_as(content)


def _smooth(values: Tensor) -> Tensor:
    """256 mean colours along the luminance order."""
    return torch.stack([part.mean() for part in values.tensor_split(256)])
