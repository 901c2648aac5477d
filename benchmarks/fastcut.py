"""The usual way to learn a style without pairs, for comparison: FastCUT at its published size.

Built after Park et al., "Contrastive Learning for Unpaired Image-to-Image Translation" (ECCV 2020), sections 3 and 4.1:
resnet_9 generator, 70x70 patch discriminator, least squares, PatchNCE of weight 10 on five layers.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor, nn

from . import peers

RATE, BETAS = 2e-4, (0.5, 0.999)
CONTRAST, PATCHES, TEMPERATURE = 10.0, 256, 0.07
LOOKED_AT = (0, 6, 10, 13, 17)
"""What goes into these layers of the generator is contrasted: the picture, both halvings, the first and the fifth
residual block, as they chose."""
CROP = 256


class FastCut:
    """Generator, discriminator, the heads of the contrast, and one step on crops (1, 3, S, S) 0..1."""

    def __init__(self, contents: Sequence[Tensor], styles: Sequence[Tensor], device: torch.device, seed: int) -> None:
        torch.manual_seed(seed)
        self.contents, self.styles, self.device = contents, styles, device
        self.random = random.Random(seed)
        self.generator = peers.cyclegan().to(device)
        self.discriminator = patch_discriminator().to(device)
        widths = [f.shape[1] for f in self._features(torch.zeros(1, 3, 64, 64, device=device))]
        self.heads = nn.ModuleList(_head(width) for width in widths).to(device)
        learned = itertools.chain(self.generator.parameters(), self.heads.parameters())
        self.optimiser = torch.optim.Adam(learned, RATE, BETAS)
        self.discriminator_optimiser = torch.optim.Adam(self.discriminator.parameters(), RATE, BETAS)

    def step(self) -> None:
        content, style = self._crop(self.contents), self._crop(self.styles)
        flipped = self.random.random() < 0.5  # FastCUT's flip equivariance (section 4.1)
        if flipped:
            content = content.flip(3)
        painted = self.generator(content)

        self.discriminator.requires_grad_(True)
        real, fake = self.discriminator(style), self.discriminator(painted.detach())
        self.discriminator_optimiser.zero_grad()
        (((real - 1).square().mean() + fake.square().mean()) / 2).backward()
        self.discriminator_optimiser.step()

        self.discriminator.requires_grad_(False)
        adversarial = (self.discriminator(painted) - 1).square().mean()
        self.optimiser.zero_grad()
        (adversarial + CONTRAST * self._contrast(content, painted)).backward()
        self.optimiser.step()

    def stylized(self, content: Tensor) -> Tensor:
        """(3, H, W) 0..1 -> the same"""
        with torch.no_grad():
            result: Tensor = self.generator(content[None].to(self.device) * 2 - 1)[0]
        return (result.cpu() / 2 + 0.5).clamp(0, 1)

    def _crop(self, pictures: Sequence[Tensor]) -> Tensor:
        picture = self.random.choice(pictures)
        top, left = (self.random.randint(0, max(0, side - CROP)) for side in picture.shape[1:])
        return picture[None, :, top : top + CROP, left : left + CROP].to(self.device) * 2 - 1

    def _features(self, picture: Tensor) -> list[Tensor]:
        found, x = [], picture
        for index, layer in enumerate(self.generator.children()):
            if index in LOOKED_AT:
                found.append(x)
            if index == max(LOOKED_AT):
                break
            x = layer(x)
        return found

    def _contrast(self, content: Tensor, painted: Tensor) -> Tensor:
        """PatchNCE: each place of the result is to be told, among others, as the same place of the content (eq. 3)."""
        terms = []
        for head, query, key in zip(self.heads, self._features(painted), self._features(content), strict=True):
            places = torch.randperm(query.shape[2] * query.shape[3], device=self.device)[:PATCHES]
            asked, there = (F.normalize(head(f.flatten(2)[0, :, places].T), dim=1) for f in (query, key))
            likeness = asked @ there.detach().T / TEMPERATURE
            terms.append(F.cross_entropy(likeness, torch.arange(len(places), device=self.device)))
        return torch.stack(terms).mean()


def patch_discriminator() -> nn.Module:
    """70x70 PatchGAN of Isola et al. (CVPR 2017), section 6.1.2: C64-C128-C256-C512, instance norm."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        *_stage(64, 128, 2), *_stage(128, 256, 2), *_stage(256, 512, 1),
        nn.Conv2d(512, 1, 4, padding=1),
    )  # fmt: skip


def _stage(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 4, stride, 1), nn.InstanceNorm2d(outputs), nn.LeakyReLU(0.2)]


def _head(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 256))
