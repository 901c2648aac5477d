"""What critic and generator learn from the critic's verdicts: the adversarial objectives of the literature.

A critic gives logits of any size; no objective here wants a sigmoid behind it. Each sample's verdict at one scale is
the mean over its patches, and every loss is the mean over samples and scales.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor

from . import ranks

Verdicts = list[tuple[Tensor, list[Tensor]]]
"""What `networks.Critic` returns: logits (N, 1, h, w) and features per scale."""


@dataclass(frozen=True)
class Objective:
    """One adversarial objective."""

    real: Callable[[Tensor], Tensor]
    """Critic's loss, element by element, of its logits for real pictures"""
    fake: Callable[[Tensor], Tensor]
    """Critic's loss of its logits for generated ones"""
    generator: Callable[[Tensor], Tensor]
    """Generator's loss of the critic's logits for what it made"""
    undecided: float | None
    """The logit of a critic that cannot tell; None where only differences between logits mean something"""
    published: dict[str, Any]
    """Fields of TrainConfig as published: they hold wherever the artist names the objective and nothing else."""

    def critic_loss(self, real: Verdicts, fake: Verdicts) -> Tensor:
        return _mean([self.real(r).mean() + self.fake(f).mean() for (r, _), (f, _) in zip(real, fake, strict=True)])

    def generator_loss(self, fake: Verdicts) -> Tensor:
        return _mean([self.generator(logits).mean() for logits, _ in fake])


_ADAM = {"optimiser": "adam", "critic_steps": 1, "clip": 0.0, "penalty": 0.0, "r1": 0.0}

OBJECTIVES = {
    # Non-saturating (Goodfellow et al. 2014, section 3). Settings of DCGAN (Radford et al. 2016, section 3).
    "bce": Objective(
        lambda x: F.softplus(-x),
        F.softplus,
        lambda x: F.softplus(-x),
        0.0,
        {**_ADAM, "learning_rate": 2e-4, "critic_learning_rate": 2e-4, "beta1": 0.5, "beta2": 0.999},
    ),
    # Mao et al. 2017, eq. 9 with a = 0, b = c = 1, as CycleGAN weights it. Settings of CycleGAN (Zhu et al. 2017).
    "lsgan": Objective(
        lambda x: (x - 1).square() / 2,
        lambda x: x.square() / 2,
        lambda x: (x - 1).square(),
        0.5,
        {**_ADAM, "learning_rate": 2e-4, "critic_learning_rate": 2e-4, "beta1": 0.5, "beta2": 0.999},
    ),
    # Arjovsky et al. 2017, algorithm 1.
    "wgan": Objective(
        torch.neg,
        torch.Tensor.clone,
        torch.neg,
        None,
        {
            **{**_ADAM, "optimiser": "rmsprop", "critic_steps": 5, "clip": 0.01},
            **{"learning_rate": 5e-5, "critic_learning_rate": 5e-5},
        },
    ),
    # Gulrajani et al. 2017, algorithm 1.
    "wgan-gp": Objective(
        torch.neg,
        torch.Tensor.clone,
        torch.neg,
        None,
        {
            **{**_ADAM, "critic_steps": 5, "penalty": 10.0, "beta1": 0.0, "beta2": 0.9},
            **{"learning_rate": 1e-4, "critic_learning_rate": 1e-4},
        },
    ),
    # Lim and Ye 2017; Miyato et al. 2018, eq. 16 and 17. Their settings (spectral norm, Adam 0 and .9) left our critic
    # blind to strokes (benchmarks/README.md), so the defaults of TrainConfig stand.
    "hinge": Objective(lambda x: F.relu(1 - x), lambda x: F.relu(1 + x), torch.neg, 0.0, {}),
}


def r1_penalty(real: Tensor, verdicts: Verdicts) -> Tensor:
    """E |grad_x D(x)|^2 on reals, D being the mean logit summed over scales (Mescheder et al. 2018, eq. 9).

    `real` must require grad and `verdicts` come from it. Multiply by gamma / 2.
    """
    return _gradient(real, verdicts).square().sum((1, 2, 3)).mean()


def gradient_penalty(
    critic: Callable[[Tensor], Verdicts], real: Tensor, fake: Tensor, random: torch.Generator
) -> Tensor:
    """E (|grad D(x)| - 1)^2 between reals and fakes (Gulrajani et al. 2017, eq. 3). Multiply by lambda.

    D is the mean logit over scales, as in the loss: its slope is what has to be 1. Each sample gets a place of its own
    on the way from fake to real, both (N, 3, H, W).
    """
    share = ranks.own(torch.rand(ranks.whole(len(real)), 1, 1, 1, generator=random, device=real.device))
    between = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_(True)
    verdicts = critic(between)
    # Not the root of a sum of squares: where a critic is flat its slope is infinite, and weights would be lost.
    norm = torch.linalg.vector_norm(_gradient(between, verdicts) / len(verdicts), dim=(1, 2, 3))
    return (norm - 1).square().mean()


@torch.no_grad()
def verdict_numbers(objective: Objective, real: Verdicts, fake: Verdicts) -> dict[str, Tensor]:
    """What a critic's step says of the critic, each the mean over scales.

    `critic_real`, `critic_fake`: mean logits. `told_apart`: share of patches on the right side of the middle between
    the two; .5 is guessing. `r_t`: E sign D(real), of objectives whose logits have a sign (Karras et al., "Training
    Generative Adversarial Networks with Limited Data", 2020, eq. 1).
    """
    found: dict[str, list[Tensor]] = {}
    for (ours, _), (theirs, _) in zip(real, fake, strict=True):
        middle = (ours.mean() + theirs.mean()) / 2
        right = ((ours > middle).float().mean() + (theirs < middle).float().mean()) / 2
        numbers = {"critic_real": ours.mean(), "critic_fake": theirs.mean(), "told_apart": right}
        if objective.undecided is not None:
            numbers["r_t"] = (ours - objective.undecided).sign().mean()
        for name, value in numbers.items():
            found.setdefault(name, []).append(value.float())
    return {name: torch.stack(values).mean() for name, values in found.items()}


def _gradient(pictures: Tensor, verdicts: Verdicts) -> Tensor:
    """Of each sample's verdict, mean over patches and summed over scales, for that sample; differentiable."""
    # One number per sample first: a gradient of the batch's mean would shrink with the batch.
    per_sample = sum(
        (logits.float().mean((1, 2, 3)) for logits, _ in verdicts), torch.zeros((), device=pictures.device)
    )
    (gradient,) = torch.autograd.grad(per_sample.sum(), pictures, create_graph=True)
    return gradient


def _mean(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).mean()
