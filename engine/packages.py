"""The packages that a Python for Pentimento holds, each in one version, and how much there is to download.

The one place where versions are pinned: the add-on's zip, the environments that Blender sets up and the commands for a
terminal take them from here, and a test holds pyproject.toml to them. Standard library only: Blender loads it too.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

STYLIZE = ("numpy==2.4.6", "onnxruntime==1.32.0", "openexr==3.5.3", "pillow==13.0.0")
"""All that the worker imports for pictures"""
TRAIN = ("torch==2.13.0", "onnx==1.23.2", "onnxscript==0.7.2", "safetensors==0.8.0", "torchmetrics==1.9.0")
CUDA = ("onnxruntime-gpu[cuda,cudnn]==1.31.1",)
"""In place of onnxruntime, with NVIDIA's libraries (CUDA 13, as torch 2.13 has it)"""


@dataclass(frozen=True)
class Kind:
    """What an environment is for."""

    name: str
    title: str
    """As the artist reads it, after "Set Up ..." """
    about: str
    pins: tuple[str, ...]
    """In the order in which they are installed: torch first, for it asks for exact versions of NVIDIA's libraries, and
    onnxruntime takes those that are there"""


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "training",
            "Training on the Processor",
            "PyTorch, to train styles. Painting stays on the processor",
            (*TRAIN, *STYLIZE),
        ),
        Kind(
            "cuda",
            "CUDA",
            "Paint on an NVIDIA card. Not for training",
            (*CUDA, *(pin for pin in STYLIZE if not pin.startswith("onnxruntime"))),
        ),
        Kind(
            "cuda-training",
            "CUDA and Training",
            "Paint and train on an NVIDIA card",
            (*TRAIN, *CUDA, *(pin for pin in STYLIZE if not pin.startswith("onnxruntime"))),
        ),
    )
}


@dataclass(frozen=True)
class Size:
    """Of an environment, in gigabytes, with all that its packages bring along."""

    download: float
    installed: float


SIZES = {
    "linux": {"training": Size(2.8, 5.2), "cuda": Size(1.6, 2.6), "cuda-training": Size(3.0, 5.2)},
    "win32": {"training": Size(0.2, 1.1), "cuda": Size(1.4, 2.0), "cuda-training": Size(1.5, 3.1)},
    "darwin": {"training": Size(0.2, 1.1)},
}
"""Measured with pip in November 2026 for Python 3.11 and the usual package index. What is installed was measured on
Linux (1.1 GB with PyTorch for the processor) and, for CUDA, as the contents of the wheels; the others are their sums.
On Linux that index has PyTorch for CUDA only, elsewhere for the processor only."""


def kinds() -> tuple[Kind, ...]:
    """What can be set up on this system: macOS has no CUDA."""
    return tuple(KINDS[name] for name in SIZES.get(sys.platform, SIZES["linux"]))


def size(kind: str) -> Size:
    return SIZES.get(sys.platform, SIZES["linux"])[kind]


def name_of(pin: str) -> str:
    """onnxruntime-gpu[cuda,cudnn]==1.31.1 -> onnxruntime-gpu"""
    return pin.partition("==")[0].partition("[")[0]


def shown(pin: str) -> str:
    """torch==2.13.0 -> torch 2.13.0"""
    return f"{name_of(pin)} {pin.partition('==')[2]}"
