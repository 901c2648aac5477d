"""What a training step minimises. All pictures are (N, 3, H, W), display-referred sRGB 0..1."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor

from .objectives import Verdicts
from .teacher import LUMA


def feature_statistics(fake: Verdicts, target: Verdicts) -> Tensor:
    """L1 between means and deviations over the crop of each critic feature.

    The statistics say which strokes there are, not where: the generator may place its own.
    """
    terms = []
    for (_, ours), (_, theirs) in zip(fake, target, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            if a[0, 0].numel() < 9:
                continue  # a deviation of so few values says nothing, and that of one is not a number
            terms.append((a.mean((2, 3)) - b.mean((2, 3))).abs().mean())
            terms.append((a.std((2, 3)) - b.std((2, 3))).abs().mean())
    return _mean(terms) * 2


def feature_matching(fake: Verdicts, target: Verdicts, paired: int | None = None) -> Tensor:
    """L1 between each critic feature and the target's at the same place (Wang et al., "High-Resolution Image Synthesis
    and Semantic Manipulation with Conditional GANs", 2018, eq. 4): for pairs, where every stroke has its place.

    paired: how many of the batch are pairs, the first ones; None: all.
    """
    terms = [
        (a[:paired] - b[:paired]).abs().mean()
        for (_, ours), (_, theirs) in zip(fake, target, strict=True)
        for a, b in zip(ours, theirs, strict=True)
    ]
    return _mean(terms)


def code_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, variance) from N(0, 1), mean over elements (Kingma and Welling 2014, appendix B)."""
    return (mean.square() + log_variance.exp() - log_variance - 1).mean() / 2


def coarse_l1(result: Tensor, target: Tensor, pixels: int) -> Tensor:
    """L1 between pictures averaged over `pixels` x `pixels`: at full resolution it would average strokes away."""
    return (F.avg_pool2d(result, pixels) - F.avg_pool2d(target, pixels)).abs().mean()


def structure(result: Tensor, content: Tensor) -> Tensor:
    """1 - local normalised cross-correlation of luminance, 9x9 windows, at 1/2, 1/4 and 1/8 scale.

    At full scale it would keep photographic detail and kill the strokes.
    """
    ours, theirs = _luminance(result), _luminance(content)
    terms = []
    for _ in range(3):
        ours, theirs = F.avg_pool2d(ours, 2), F.avg_pool2d(theirs, 2)
        terms.append(1 - _correlation(ours, theirs).mean())
    return _mean(terms)


def sliced_wasserstein(
    result: Tensor,
    style: Tensor,
    patch: int,
    scales: int,
    directions: int,
    random: torch.Generator,
) -> Tensor:
    """Sliced Wasserstein distance between the patches of two batches of one size, mean over scales.

    Patches of each are projected on the same random directions; sorted projections are compared (Rabin et al. 2011).
    A projection of every patch is a convolution: no patch is ever cut out.
    """
    terms = []
    for _ in range(scales):
        axes = torch.randn(directions, 3, patch, patch, generator=random, device=result.device)
        axes = axes / axes.flatten(1).norm(dim=1)[:, None, None, None]
        ours, theirs = (F.conv2d(x, axes, stride=3).transpose(0, 1).flatten(1) for x in (result, style))
        terms.append((ours.sort(1).values - theirs.sort(1).values).abs().mean())
        result, style = F.avg_pool2d(result, 2), F.avg_pool2d(style, 2)
    return _mean(terms)


def _luminance(picture: Tensor) -> Tensor:
    weights = torch.tensor(LUMA, device=picture.device, dtype=picture.dtype)
    return (picture * weights[:, None, None]).sum(1, keepdim=True)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    def local(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 9, stride=1)

    mean_a, mean_b = local(a), local(b)
    covariance = local(a * b) - mean_a * mean_b
    variance = (local(a * a) - mean_a**2).clamp_min(0) * (local(b * b) - mean_b**2).clamp_min(0)
    # Flat windows have no structure to keep: with the small constant they count as uncorrelated, without a spike
    return covariance / (variance + 1e-6).sqrt()


def _mean(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).mean()
