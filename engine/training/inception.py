"""FID, KID and Inception Score, with whatever feature network the user brings as an ONNX file.

The distances are torchmetrics' (Apache-2.0); torchmetrics itself would load its network from a pickle, ours is ONNX,
looked through before it is run. The contract of the file is in docs/evaluate.md:
  input    float32 (N, 3, H, W), RGB, display-referred sRGB 0..1; H and W of any size or fixed, N of any size or 1
  features float32 (N, D): the output of that name, else the first
  logits   float32 (N, K), only for the Inception Score: the output of that name
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from .. import onnx_graph, runtime
from ..atomic import reading
from ..errors import EngineError
from ..picture import Floats
from .teacher import resize

CROPS = 256
"""Crops of the painting, and as many of all results together. The covariance of D features wants more than D."""
EDGE = 128
"""Edge of a crop in pixels at the scale of training: wide enough for strokes to follow each other."""
BATCH = 16
_FIX = "Export the feature network as docs/evaluate.md describes."


@dataclass(frozen=True)
class Features:
    """What the network says of N crops."""

    features: Tensor
    """(N, D) float64"""
    logits: Tensor | None
    """(N, K) float64, where the network has such an output"""


class Extractor:
    """A feature network from an ONNX file."""

    def __init__(self, path: Path) -> None:
        with reading(path):
            data = path.read_bytes()
        try:
            summary = onnx_graph.inspect(data)
        except EngineError as error:
            raise EngineError(f"{path.name}: {error.message}", _FIX) from error
        self.name = path.name
        self.input, self.size, self.batch = _picture_input(summary, path.name)
        names = [output.name for output in summary.outputs]
        self.outputs = ["features" if "features" in names else names[0], *(["logits"] if "logits" in names else [])]
        self.session = runtime.open_untrusted(data)

    def __call__(self, crops: Sequence[Tensor]) -> Features:
        """Crops (3, h, w), display-referred sRGB 0..1, all of one size."""
        runs = [self._run(torch.stack(list(some))) for some in self._batches(crops)]
        features, *logits = (torch.cat(parts).double() for parts in zip(*runs, strict=True))
        return Features(features, logits[0] if logits else None)

    def _batches(self, crops: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
        for start in range(0, len(crops), self.batch):
            yield crops[start : start + self.batch]

    def _run(self, crops: Tensor) -> list[Tensor]:
        if self.size:
            crops = torch.stack([resize(crop, self.size).clamp(0, 1) for crop in crops])
        found = runtime.run_untrusted(self.session, {self.input: crops.numpy()}, self.outputs)
        for output, values in zip(self.outputs, found, strict=True):
            if values.ndim != 2 or len(values) != len(crops):
                raise EngineError(
                    f"{self.name} gave {output} of shape {values.shape} for {len(crops)} pictures, not (N, D).", _FIX
                )
            if not np.isfinite(values).all():
                raise EngineError(f"{self.name} gave {output} that are no numbers.", _FIX)
        return [torch.from_numpy(values) for values in found]


def _picture_input(summary: onnx_graph.GraphSummary, name: str) -> tuple[str, tuple[int, int] | None, int]:
    """Name of the input, its fixed size if it has one, and how many pictures it takes at once."""
    item = summary.inputs[0] if len(summary.inputs) == 1 else None
    if item and item.dtype == onnx_graph.FLOAT and item.shape and len(item.shape) == 4:
        count, channels, height, width = item.shape
        if count in (0, 1) and channels == 3:
            return item.name, (height, width) if height and width else None, count or BATCH
    raise EngineError(f"{name} does not take one float input of shape (N, 3, H, W), N free or 1.", _FIX)


class FeatureMetrics:
    """FID and KID against a painting, and IS, of a set of results."""

    def __init__(self, path: Path, metrics: Collection[str]) -> None:
        """metrics: those of fid, kid and is that are wanted; IS is left out where the network gives no logits."""
        self.extractor, self.metrics = Extractor(path), metrics

    def need_logits(self) -> None:
        """Raise an EngineError where the network gives none."""
        if len(self.extractor.outputs) < 2:
            raise EngineError(
                f"{self.extractor.name} has no output called logits, which the Inception Score is made of.", _FIX
            )

    def of(self, results: Sequence[Floats], painting: Tensor | None) -> dict[str, float]:
        """The numbers of results (3, H, W), against a painting (3, h, w) at their scale."""
        pictures = [torch.from_numpy(result) for result in results]
        everything = pictures if painting is None else [*pictures, painting]
        edge = min(EDGE, *(length for picture in everything for length in picture.shape[1:]))
        ours = self.extractor(crops_of(pictures, edge))
        numbers = {} if painting is None else self._distances(ours, self.extractor(crops_of([painting], edge)))
        if "is" in self.metrics and ours.logits is not None:
            numbers["inception_score"] = inception_score(ours.logits)
        return numbers

    def _distances(self, ours: Features, theirs: Features) -> dict[str, float]:
        distances = {"fid": frechet_distance, "kid": kernel_distance}
        return {name: of(ours.features, theirs.features) for name, of in distances.items() if name in self.metrics}


def crops_of(pictures: Sequence[Tensor], edge: int) -> list[Tensor]:
    """CROPS crops (3, edge, edge) at random places, always the same, as many from each picture (3, H, W)."""
    choose = random.Random(0)
    found = []
    for index in range(CROPS):
        picture = pictures[index % len(pictures)]
        top, left = (choose.randint(0, length - edge) for length in picture.shape[1:])
        found.append(picture[:, top : top + edge, left : left + edge])
    return found


def frechet_distance(ours: Tensor, theirs: Tensor) -> float:
    """FID: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of features (N, D) (Heusel et al. 2017, eq. 6)."""
    metric = FrechetInceptionDistance(_AsGiven(ours.shape[1]))
    metric.update(theirs, real=True)
    metric.update(ours, real=False)
    return float(metric.compute())


def kernel_distance(ours: Tensor, theirs: Tensor) -> float:
    """KID: unbiased squared MMD with the kernel (x.y / D + 1)^3 (Binkowski et al. 2018), of two sets of one size."""
    with _quiet():
        metric = KernelInceptionDistance(_AsGiven(ours.shape[1]), subsets=1, subset_size=len(ours))
    metric.update(theirs, real=True)
    metric.update(ours, real=False)
    return float(metric.compute()[0])


def inception_score(logits: Tensor) -> float:
    """IS: exp E KL(p(y|x) || p(y)) of logits (N, K) (Salimans et al. 2016), over all samples at once. 1 .. K"""
    with _quiet():
        metric = InceptionScore(_AsGiven(logits.shape[1]), splits=1)
        metric.update(logits)
        return float(metric.compute()[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """torchmetrics warns of the memory for a few hundred features, and of a deviation that nobody asks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


class _AsGiven(nn.Module):
    """torchmetrics takes a network: ours has run already, once for all three."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.num_features = count

    def forward(self, features: Tensor) -> Tensor:
        return features
