"""The generators others use, built after the published architectures, with random weights: for measuring only.

Speed and memory of a convolutional network do not depend on its weights, so none are needed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn


def cyclegan() -> nn.Module:
    """resnet_9blocks of Zhu et al., "Unpaired Image-to-Image Translation" (2017): 11.4 M parameters.

    c7s1-64, d128, d256, nine residual blocks of 256, u128, u64, c7s1-3; instance norm, reflection padding.
    """
    return nn.Sequential(
        *_unit(3, 64, 7),
        *_unit(64, 128, 3, stride=2),
        *_unit(128, 256, 3, stride=2),
        *(Residual(256) for _ in range(9)),
        *_transposed(256, 128),
        *_transposed(128, 64),
        nn.ReflectionPad2d(3),
        nn.Conv2d(64, 3, 7),
        nn.Tanh(),
    )


def fast_neural_style() -> nn.Module:
    """The image transformation network of Johnson et al., "Perceptual Losses" (2016), as commonly built: 1.68 M.

    9x9 32, 3x3 64 and 128 with stride 2, five residual blocks of 128, nearest upsampling with 3x3 64 and 32, 9x9 3;
    affine instance norm, reflection padding.
    """
    return nn.Sequential(
        *_unit(3, 32, 9, affine=True),
        *_unit(32, 64, 3, stride=2, affine=True),
        *_unit(64, 128, 3, stride=2, affine=True),
        *(Residual(128, affine=True) for _ in range(5)),
        nn.Upsample(scale_factor=2),
        *_unit(128, 64, 3, affine=True),
        nn.Upsample(scale_factor=2),
        *_unit(64, 32, 3, affine=True),
        nn.ReflectionPad2d(4),
        nn.Conv2d(32, 3, 9),
    )


PEERS: dict[str, Callable[[], nn.Module]] = {"cyclegan": cyclegan, "fast-neural-style": fast_neural_style}


class Residual(nn.Module):
    """Two 3x3 convolutions with instance norm beside a skip."""

    def __init__(self, width: int, affine: bool = False) -> None:
        super().__init__()
        *second, _relu = _unit(width, width, 3, affine=affine)
        self.body = nn.Sequential(*_unit(width, width, 3, affine=affine), *second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def onnx_bytes(network: nn.Module, height: int, width: int) -> bytes:
    """The network as ONNX for pictures of one size: `image` (1, 3, H, W) -> `stylized`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 3, height, width),),
            path,
            input_names=["image"],
            output_names=["stylized"],
            opset_version=18,
            dynamo=False,  # keeps instance norm one operator, the fastest form there is for these networks
        )
        return path.read_bytes()


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1, affine: bool = False) -> list[nn.Module]:
    """Reflection padding, convolution, instance norm, ReLU."""
    pad: nn.Module = nn.ReflectionPad2d(kernel // 2)
    norm = nn.InstanceNorm2d(outputs, affine=affine)
    return [pad, nn.Conv2d(inputs, outputs, kernel, stride), norm, nn.ReLU()]


def _transposed(inputs: int, outputs: int) -> list[nn.Module]:
    up = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return [up, nn.InstanceNorm2d(outputs), nn.ReLU()]
