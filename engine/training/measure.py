"""What `evaluate` measures against a painting: planes of pictures in, numbers out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import EngineError
from ..picture import Floats
from ..protocol import Json
from .config import PicturesConfig, from_json
from .data import load_picture
from .metrics import (
    colour_transfer,
    deviation,
    pairwise_distance,
    patch_distance,
    sliced_wasserstein_distance,
    structure_kept,
    way_closed,
)
from .teacher import Exemplar, Guide, paint, resize

if TYPE_CHECKING:
    from .inception import FeatureMetrics

SMALLEST = 72
"""Shortest side in pixels: at 1/8 scale a window of 9 pixels must still fit."""


def training_of(recipe: Json) -> PicturesConfig:
    """The settings of a style's training, from its pack's recipe; the defaults where it does not say, or says what no
    training from pictures can be told (packs of other projects, styles from keyframes)."""
    training = recipe.get("training")
    try:
        config = from_json(training) if isinstance(training, dict) else None
    except EngineError:
        config = None
    return config if isinstance(config, PicturesConfig) else PicturesConfig()


def planes(path: Path, long_side: int = 0) -> Floats:
    """A picture as (3, H, W) float32, display-referred sRGB 0..1. Raises EngineError where it is too small."""
    picture = load_picture(path, long_side)
    if min(picture.shape[1:]) < SMALLEST:
        raise EngineError(
            f"{path.name} is too small to be measured: {picture.shape[2]}x{picture.shape[1]} pixels.",
            f"Choose pictures, and a size, of at least {SMALLEST} pixels to each side.",
        )
    return picture.numpy()


def sized(picture: Floats, like: Floats) -> Floats:
    """(3, h, w) at the size of `like`."""
    return resize(torch.from_numpy(picture), like.shape[1:]).clamp(0, 1).numpy()


class Hand:
    """A painting at the scale of one style's results, and the teacher that painted for it."""

    def __init__(self, style_picture: Path, training: PicturesConfig) -> None:
        self.painting = torch.from_numpy(planes(style_picture, training.style_side))
        self.style = [Exemplar(self.painting)]
        self.teacher = training.teacher

    def patches(self, result: Floats) -> dict[str, float]:
        """Patch distances of (3, H, W): from the result to the painting, back, and their mean."""
        forth, back = patch_distance(torch.from_numpy(result), self.painting, self.teacher.levels[-1])
        return {"patch_distance": (forth + back) / 2, "patch_distance_forth": forth, "patch_distance_back": back}

    def wasserstein(self, result: Floats) -> float:
        return sliced_wasserstein_distance(torch.from_numpy(result), self.painting)

    def way(self, result: Floats, content: Floats, guide: Guide) -> dict[str, float]:
        """How far the result has come from a plain colour transfer to the teacher, with both their patch distances."""
        there = torch.from_numpy(content)
        taught = paint(there, self.style, guide, self.teacher, torch.Generator().manual_seed(0)).picture
        rivals = [self.patches(picture.numpy()) for picture in (colour_transfer(there, self.painting), taught)]
        plain, teacher = (rival["patch_distance"] for rival in rivals)
        closed = way_closed(self.patches(result)["patch_distance"], plain, teacher)
        return {"way_closed": closed, "patch_distance_colour_transfer": plain, "patch_distance_teacher": teacher}

    def guide(self, contents: Sequence[Floats]) -> Guide:
        """What the teacher looks for: fitted on all contents, in small."""
        small = [resize(torch.from_numpy(content), (128, 128)) for content in contents]
        return Guide(small, self.style, self.teacher)


def structure(result: Floats, content: Floats) -> float:
    return structure_kept(torch.from_numpy(result), torch.from_numpy(content))


def seed_variety(results: Sequence[Floats]) -> dict[str, float]:
    """How far results of one content with different seeds, (3, H, W) each, are from each other."""
    several = torch.from_numpy(np.stack(results))
    return {"seed_distance": pairwise_distance(several), "seed_deviation": deviation(several)}


def diversity(results: Sequence[Floats], contents: Sequence[Floats], seed_distance: float | None) -> dict[str, float]:
    """Distances between results as a share of those between contents; nothing where all contents are alike.

    seed_distance: between results of one content, mean over the contents; None for results without seeds.
    """
    spread = _spread(contents)
    if spread == 0:
        return {}
    found = {"content_diversity": _spread(results) / spread}
    return found if seed_distance is None else found | {"seed_diversity": seed_distance / spread}


def _spread(pictures: Sequence[Floats]) -> float:
    """Mean distance of two of the pictures, all at the size of the first."""
    if len(pictures) < 2:
        return 0.0
    return pairwise_distance(torch.from_numpy(np.stack([sized(picture, pictures[0]) for picture in pictures])))


def features(path: Path, metrics: Collection[str]) -> FeatureMetrics:
    """FID, KID and IS as far as `metrics` wants them, with the network in `path`."""
    try:
        from .inception import FeatureMetrics
    except ModuleNotFoundError as error:
        raise EngineError(
            f"FID, KID and IS need the package {error.name}, which this Python does not have.",
            "Install it: pip install -e '.[train]' in the folder of Pentimento.",
        ) from error
    return FeatureMetrics(path, metrics)
