"""Generators and the critic. Everything here is local: no statistic is ever taken over the frame."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor, nn

from ..guides import GUIDES

STRIDE = 4
"""The generator's inner grid: sizes it sees are multiples of this, and so are tile positions."""
COARSE = 16
"""The same of a texture's: its layout is drawn on cells so wide, its grain on cells of STRIDE."""

LIMIT = 3.0
"""Deviations a stroke may be away from the ordinary: without it single cells shouted and left spots everywhere."""
SLOW = 9
"""Cells over which strokes are told from forms: some four strokes wide."""
QUIET = 0.1
"""Deviation below which there are no strokes to tell. With a tenth of it noise was told for strokes, and repeated."""


@dataclass(frozen=True)
class GeneratorConfig:
    """The shape of a generator. benchmarks/README.md compares kinds and sizes."""

    kind: str = "separable"
    """dense | separable. At equal cost the separable one learns whole strokes in fewer steps, with fuller contrast."""
    width: int = 64
    """Channels on the inner grid (a quarter of the picture's resolution)."""
    blocks: int = 6
    """Residual blocks on the inner grid."""
    dilations: tuple[int, ...] = (1, 1, 1, 1, 1, 1)
    """Dilation of each block's first convolution: a wider view at no cost. Seven pixels wide, the separable ones see
    far enough without; dense blocks want 1, 2, 4, 1."""
    noise: int = 4
    """Noise channels on the inner grid: they choose among the strokes that would fit."""
    half: int = 16
    """Channels at half resolution. Multiples of 16 fill the blocks onnxruntime computes in on AVX-512:
    24 and 12 cost a third more time than 16 and 16."""
    full: int = 16
    """Channels at full resolution, where a channel costs sixteen times what it does inside."""
    skip: bool = False
    """Show picture and guides again on the way up, at half and at full resolution (Ronneberger et al., "U-Net", 2015).
    Where what is painted lies over what is seen, edges come into their place several times sooner. Where it does not,
    photographic detail comes through unpainted."""
    guides: tuple[str, ...] = ()
    """Names in guides.GUIDES: what it is told beside the picture, each an input of its own."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the generator takes, in order, as the exported model names it."""
        return ("image", "noise", *self.guides)

    @property
    def stride(self) -> int:
        """Sizes it takes are multiples of this."""
        return STRIDE

    def network(self) -> nn.Module:
        """The generator of this shape, as it is exported."""
        return Generator(self)

    def example(self, height: int, width: int, random: torch.Generator) -> tuple[Tensor, ...]:
        """Something for it to take, in the order of `inputs`, for a result of height x width."""
        image = torch.rand(1, 3, height, width, generator=random)
        noise = torch.randn(1, self.noise, height // STRIDE, width // STRIDE, generator=random)
        counts = [GUIDES[name].channels for name in self.guides]
        return image, noise, *(torch.randn(1, count, height, width, generator=random) for count in counts)


@dataclass(frozen=True)
class TextureGeneratorConfig(GeneratorConfig):
    """The shape of a generator of textures: noise in, from coarse to fine (DCGAN: Radford et al., "Unsupervised
    Representation Learning with Deep Convolutional Generative Adversarial Networks", 2016, made fully convolutional as
    by Jetchev et al., "Texture Synthesis with Spatial Generative Adversarial Networks", 2016)."""

    width: int = 96
    """Channels on the coarse grid (a sixteenth of the resolution), where they cost next to nothing."""
    blocks: int = 2
    """Residual blocks on the coarse grid: they agree on a layout over some hundred pixels to each side."""
    noise: int = 16
    """The z dimension: random channels on the coarse grid."""
    grain: int = 4
    """Random channels on the grid of 4 pixels, for what is finer than the layout."""
    distribution: str = "quilted"
    """normal | uniform (-1 .. 1, DCGAN's) | quilted: of both noises. Quilted noise is laid of pieces of what an encoder
    reads off the exemplar: the generator learns to draw it by plain regression. It drew stones after 100 steps, where
    normal noise and a critic gave blobs after 250."""
    waves: tuple[tuple[float, float], ...] = ()
    """The periodic part (Bergmann et al., "Learning Texture Manifolds with the Periodic Spatial GAN", 2017): cycles per
    pixel, down and across, of each plane wave. Found in the exemplar where TextureConfig.periodic asks for some."""
    eighth: int = 64
    """Channels at an eighth of the resolution"""
    quarter: int = 48
    """Channels at a quarter"""

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("noise", "grain")

    @property
    def stride(self) -> int:
        return COARSE

    @property
    def quilted(self) -> bool:
        return self.distribution == "quilted"

    @property
    def channels(self) -> int:
        """Of the coarse noise, with sine and cosine of each wave"""
        return self.noise + 2 * len(self.waves)

    def network(self) -> nn.Module:
        return TextureGenerator(self)

    def example(self, height: int, width: int, random: torch.Generator) -> tuple[Tensor, ...]:
        noise = torch.randn(1, self.channels, height // COARSE, width // COARSE, generator=random)
        return noise, torch.randn(1, self.grain, height // STRIDE, width // STRIDE, generator=random)


class Generator(nn.Module):
    """Picture (N, 3, H, W) 0..1 sRGB and noise (N, noise, H/4, W/4) standard normal -> stylized (N, 3, H, W).

    Guides follow in the order of the config, each (N, channels, H, W) as guides.planes makes them. H and W are
    multiples of 4. The result is not clamped. No normalisation layer: instance norm would couple the whole frame and
    leave droplets. Resize-convolutions, not transposed ones or pixel shuffle: those leave a grid.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        block = {"dense": DenseBlock, "separable": SeparableBlock}[config.kind]
        # Strided convolutions look at the picture: the same reach as unshuffling, without its slow transposes.
        seen = 3 + guide_channels(config)
        self.enter = nn.Conv2d(seen, config.width, 2 * STRIDE, stride=STRIDE, padding=STRIDE // 2)
        self.stir = _conv(config.noise, config.width)
        self.inner = nn.ModuleList(block(config.width, dilation) for dilation in config.dilations[: config.blocks])
        self.to_half = _conv(config.width, config.half)
        self.again = nn.Conv2d(seen, config.half, 4, stride=2, padding=1) if config.skip else None
        self.refine = _conv(config.half, config.half)
        self.to_full = _conv(config.half + (seen if config.skip else 0), config.full)
        self.leave = _conv(config.full, 3)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor, noise: Tensor, *guides: Tensor) -> Tensor:
        seen = torch.cat([image * 2 - 1, *guides], 1) if guides else image * 2 - 1
        x = _act(self.enter(seen) + self.stir(noise))
        for block in self.inner:
            x = block(x)
        x = self.to_half(_double(x))
        x = _act(x if self.again is None else x + self.again(seen))
        x = _double(_act(self.refine(x)))
        x = _act(self.to_full(x if self.again is None else torch.cat([x, seen], 1)))
        return self.leave(x) * 0.5 + 0.5


class TextureGenerator(nn.Module):
    """Noise (N, channels, H/16, W/16) and grain (N, grain, H/4, W/4) -> texture (N, 3, H, W), not clamped.

    H and W are multiples of 16. Local, and without normalisation, as Generator is.
    """

    def __init__(self, config: TextureGeneratorConfig, wraps: bool = False) -> None:
        """wraps: what it makes goes on over its borders, as in training, where no halo is to be paid for. Same weights,
        same result away from the borders."""
        super().__init__()
        self.config, self.wraps = config, wraps
        block = {"dense": DenseBlock, "separable": SeparableBlock}[config.kind]
        self.enter = _conv(config.channels, config.width)
        self.inner = nn.ModuleList(block(config.width, dilation) for dilation in config.dilations[: config.blocks])
        self.to_eighth = _conv(config.width, config.eighth)
        self.at_eighth = SeparableBlock(config.eighth, 1)
        self.to_quarter = _conv(config.eighth, config.quarter)
        self.stir = _conv(config.grain, config.quarter)
        self.at_quarter = SeparableBlock(config.quarter, 1)
        self.to_half = _conv(config.quarter, config.half)
        self.to_full = _conv(config.half, config.full)
        self.leave = _conv(config.full, 3)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]
        if wraps:
            for module in (self.enter, self.inner, self.to_eighth, self.at_eighth):
                _wrap(module)

    def forward(self, noise: Tensor, grain: Tensor) -> Tensor:
        x = _act(self.enter(noise))
        for block in self.inner:
            x = block(x)
        x = self.at_eighth(_act(self.to_eighth(_double(x))))
        # From here on padding each layer by itself would take longer than the layers do.
        ring = 3 if self.wraps else 0
        x, grain = _ringed(x, ring), _ringed(grain, 2 * ring)
        x = self.at_quarter(_act(self.to_quarter(_double(x)) + self.stir(grain)))
        x = _act(self.to_half(_double(x)))
        x = _act(self.to_full(_double(x)))
        x = self.leave(x) * 0.5 + 0.5
        return x[:, :, 8 * ring : -8 * ring, 8 * ring : -8 * ring] if ring else x


class TextureEncoder(nn.Module):
    """Reads off a picture (N, 3, H, W) 0..1 the noises with which it would be drawn: (N, noise, H/16, W/16) and
    (N, grain, H/4, W/4), each channel of mean 0 and deviation 1 over all that is read. Training only."""

    def __init__(self, config: TextureGeneratorConfig) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, config.quarter, 2 * STRIDE, stride=STRIDE, padding=STRIDE // 2)
        self.at_quarter = DenseBlock(config.quarter, 1)
        self.grain = _conv(config.quarter, config.grain)
        self.to_eighth = nn.Conv2d(config.quarter, config.eighth, 4, stride=2, padding=1)
        self.to_sixteenth = nn.Conv2d(config.eighth, config.width, 4, stride=2, padding=1)
        self.inner = DenseBlock(config.width, 1)
        self.noise = _conv(config.width, config.noise)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        x = self.at_quarter(_act(self.enter(picture * 2 - 1)))
        deep = self.inner(_act(self.to_sixteenth(_act(self.to_eighth(x)))))
        return _standard(self.noise(deep)), _standard(self.grain(x))


class DenseBlock(nn.Module):
    """Two 3x3 convolutions beside a skip."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = _conv(width, width, dilation)
        self.second = _conv(width, width)
        with torch.no_grad():  # residual branches start small: depth is safe without normalisation
            self.second.weight.mul_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(_act(self.first(x)))


class SeparableBlock(nn.Module):
    """A 7x7 depthwise convolution and two pointwise ones (Liu et al., "A ConvNet for the 2020s", 2022)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 7, padding=3 * dilation, dilation=dilation, groups=width)
        self.widen = nn.Conv2d(width, 3 * width, 1)
        self.narrow = nn.Conv2d(3 * width, width, 1)
        with torch.no_grad():
            self.narrow.weight.mul_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(_act(self.widen(self.spread(x))))


class Encoder(nn.Module):
    """Reads off a painted picture the noise with which the generator would paint it: its strokes. Training only.

    Content and painted picture (N, 3, H, W) 0..1 -> mean and log variance of the noise, each (N, noise, H/4, W/4).
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.channels = config.noise
        self.enter = nn.Conv2d(6, config.width, 2 * STRIDE, stride=STRIDE, padding=STRIDE // 2)
        self.inner = nn.Sequential(DenseBlock(config.width, 1), DenseBlock(config.width, 2))
        self.out = nn.Conv2d(config.width, 2 * config.noise, 1)

    def forward(self, content: Tensor, painted: Tensor) -> tuple[Tensor, Tensor]:
        x = _act(self.enter(torch.cat([content, painted], 1) * 2 - 1))
        mean, spread = self.out(self.inner(x)).chunk(2, 1)
        mean = LIMIT * torch.tanh(mean / LIMIT)
        # Without what changes slowly, and equally strong everywhere: colours, forms and how lively a place is are the
        # content's to tell. They would haunt another content, and leave holes where this one had no strokes.
        mean = mean - _slow(mean)
        mean = mean / (_slow(mean.square().mean(1, keepdim=True)) + QUIET**2).sqrt()
        return mean, (spread - 1).clamp(-8, 2)  # begins a little narrower than the prior


SIGHT = 38
"""Pixels to each side that one logit of the critic sees at its scale; smaller pictures have none"""


class Critic(nn.Module):
    """Patch discriminator at several scales (Isola et al. 2017; Wang et al. 2018). Returns logits and features.

    (N, 3, H, W) 0..1 -> one (logits (N, 1, h, w), [features ...]) per scale, full scale first.
    """

    def __init__(self, width: int = 32, scales: int = 2, norm: str = "none") -> None:
        """norm: none | batch | spectral (Miyato et al. 2018)"""
        super().__init__()
        self.scales = nn.ModuleList(PatchCritic(width, norm) for _ in range(scales))

    def forward(self, picture: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        x = picture * 2 - 1
        results = []
        for critic in self.scales:
            results.append(critic(x))
            x = F.avg_pool2d(x, 2)
        return results


class PatchCritic(nn.Module):
    """One scale: sees SIGHT pixels to a logit."""

    def __init__(self, width: int, norm: str = "none") -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width)
        # No padding: borders would be a feature that only crops have.
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2) for a, b in pairwise(widths))
        self.wide = nn.Conv2d(4 * width, 4 * width, 3)
        self.out = nn.Conv2d(4 * width, 1, 1)
        for layer in (*self.down, self.wide, self.out):
            nn.init.kaiming_normal_(layer.weight, 0.2)
            if norm == "spectral":
                nn.utils.parametrizations.spectral_norm(layer)
        # Not on what sees the picture (Radford et al. 2016, section 3).
        normalised = (*widths[2:], 4 * width) if norm == "batch" else ()
        self.norms = nn.ModuleList([nn.Identity(), *(nn.BatchNorm2d(w) for w in normalised)])

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for index, layer in enumerate((*self.down, self.wide)):
            x = layer(x)
            x = _act(self.norms[index](x) if index < len(self.norms) else x)
            features.append(x)
        return self.out(x), features


def initialise(module: nn.Module, how: str) -> None:
    """Every convolution's weights anew: normal with deviation .02 (DCGAN: Radford et al. 2016, section 3) or orthogonal
    (Saxe et al. 2014); `layer` leaves them as they are."""
    if how == "layer":
        return
    for weight in module.parameters():
        if weight.ndim == 4:  # only convolutions have such
            with torch.no_grad():
                nn.init.normal_(weight, 0, 0.02) if how == "normal" else nn.init.orthogonal_(weight)


def receptive_radius(config: GeneratorConfig) -> int:
    """How far to each side, in pixels, a result pixel can see. An upper bound, tested against gradients."""
    reach = {"dense": lambda d: d + 1, "separable": lambda d: 3 * d}[config.kind]
    blocks = sum(reach(d) for d in config.dilations[: config.blocks])
    if isinstance(config, TextureGeneratorConfig):
        at_quarter = 2 * (2 * (1 + blocks) + 1 + 1 + 3) + 1 + 1 + 3
        at_half = 2 * at_quarter + 1 + 1
        return 2 * at_half + 1 + 1 + 1 + COARSE
    at_half = 2 * (2 + blocks) + 1 + 1 + 1
    return 2 * at_half + 1 + 1 + STRIDE


def guide_channels(config: GeneratorConfig) -> int:
    return sum(GUIDES[name].channels for name in config.guides)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def macs_per_pixel(config: GeneratorConfig) -> float:
    """Multiply-adds per picture pixel, counted on the convolutions themselves."""
    total = 0

    def count(module: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        total += output[0].numel() * module.weight[0].numel()

    generator = config.network().eval()
    hooks = [m.register_forward_hook(count) for m in generator.modules() if isinstance(m, nn.Conv2d)]
    size = 64
    with torch.no_grad():
        generator(*config.example(size, size, torch.Generator().manual_seed(0)))
    for hook in hooks:
        hook.remove()
    return total / size**2


def _conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    # Zero padding is only ever seen inside the halo, which is cut off.
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)


def _wrap(module: nn.Module) -> None:
    """Its convolutions go on over the borders of what they see."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "circular"


def _ringed(x: Tensor, ring: int) -> Tensor:
    """With so many cells of the opposite side around it."""
    return F.pad(x, (ring,) * 4, mode="circular") if ring else x


def _standard(x: Tensor) -> Tensor:
    """Of mean 0 and deviation 1 in each channel."""
    return (x - x.mean((0, 2, 3), keepdim=True)) / (x.std((0, 2, 3), keepdim=True) + 1e-3)


def _slow(x: Tensor) -> Tensor:
    """The mean of SLOW x SLOW cells around each."""
    return F.avg_pool2d(F.pad(x, (SLOW // 2,) * 4, mode="reflect"), SLOW, stride=1)


def _act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
