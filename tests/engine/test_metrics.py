"""The numbers of `evaluate` on pictures whose answer is known. (The patch distance itself: test_training.)"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.training.config import PicturesConfig
from engine.training.measure import diversity, seed_variety, training_of
from engine.training.metrics import (
    deviation,
    pairwise_distance,
    patch_distance,
    sliced_wasserstein_distance,
    structure_kept,
    way_closed,
)
from engine.training.teacher import TeacherConfig


def noise(height: int = 96, width: int = 80, seed: int = 0) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def waves(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height) / 9.0, torch.arange(width) / 7.0, indexing="ij")
    return torch.stack([y.sin(), x.sin(), (x + y).sin()]) / 2 + 0.5


def test_patches_are_compared_at_the_scale_of_the_search() -> None:
    painting = waves(120, 100)
    assert patch_distance(painting, painting, 0.5) == pytest.approx((0, 0), abs=1e-2)
    # stripes two pixels wide: half of the scale makes them grey, there nothing is left to tell them apart
    stripes = torch.zeros(3, 64, 64)
    stripes[:, :, ::2] = 1
    flat = torch.full((3, 64, 64), 0.5)
    assert patch_distance(stripes, flat, 1.0)[0] > 5
    assert patch_distance(stripes, flat, 0.25)[0] < 0.5


def test_the_way_closed_on_hand_computed_numbers() -> None:
    assert way_closed(1.5, colour_transfer=2.0, teacher=1.0) == pytest.approx(0.5)
    assert way_closed(2.0, colour_transfer=2.0, teacher=1.0) == 0
    assert way_closed(0.5, colour_transfer=2.0, teacher=1.0) == pytest.approx(1.5)
    assert way_closed(0.9, colour_transfer=1.0, teacher=1.0) == 1
    assert way_closed(1.1, colour_transfer=1.0, teacher=1.0) == 0


def test_sliced_wasserstein_does_not_ask_for_equal_sizes() -> None:
    whole = waves(240, 240)
    assert sliced_wasserstein_distance(whole, whole) == 0
    part = sliced_wasserstein_distance(whole[:, :150, :200], whole)
    assert part < 0.1 * sliced_wasserstein_distance(whole * 0.2, whole)


def test_sliced_wasserstein_of_a_shift_in_brightness() -> None:
    """Each projection moves by c * sum(axis), at every scale: the distance is c * E|sum(axis)| = c * sqrt(2 / pi)."""
    shifted = sliced_wasserstein_distance(noise() + 0.1, noise(), directions=4000)
    assert shifted == pytest.approx(0.1 * (2 / np.pi) ** 0.5, rel=0.05)


def test_structure_is_a_share_of_what_the_content_has() -> None:
    content = waves(96, 96)
    content[:, :, 48:] = 0.5  # a flat half has no structure to keep, and costs nothing
    assert structure_kept(content, content) == pytest.approx(1)
    assert structure_kept(content * 0.5 + 0.2, content) == pytest.approx(1, abs=0.05)
    assert structure_kept(1 - content, content) == pytest.approx(-1, abs=0.01)
    assert abs(structure_kept(noise(96, 96), content)) < 0.3


def test_distances_and_deviations_over_pictures() -> None:
    """Flat pictures of 0, .3 and .9: distances .3, .6, .9; deviation (n - 1) of the three."""
    several = torch.stack([torch.full((3, 8, 8), value) for value in (0.0, 0.3, 0.9)])
    assert pairwise_distance(several) == pytest.approx(0.6)
    assert deviation(several) == pytest.approx(np.std([0, 0.3, 0.9], ddof=1), rel=1e-5)


def test_diversity_is_a_share_of_the_contents_own() -> None:
    contents = [np.full((3, 8, 8), value, np.float32) for value in (0.0, 0.8)]
    results = [np.full((3, 8, 8), value, np.float32) for value in (0.5, 0.7)]
    found = diversity(results, contents, seed_distance=0.1)
    assert found == {"content_diversity": pytest.approx(0.25), "seed_diversity": pytest.approx(0.125)}
    assert diversity(results, contents, None) == {"content_diversity": pytest.approx(0.25)}
    assert diversity(results[:1], contents[:1], 0.1) == {}
    variety = seed_variety(results)
    assert variety == {"seed_distance": pytest.approx(0.2), "seed_deviation": pytest.approx(0.2 / 2**0.5, rel=1e-5)}


def test_scale_and_teacher_are_read_from_the_recipe() -> None:
    teacher = {"levels": [0.2, 0.5], "rounds": [2, 1], "tone": 4.0}
    found = training_of({"training": {"style_side": 600, "teacher": teacher}})
    assert found == PicturesConfig(style_side=600, teacher=TeacherConfig(levels=(0.2, 0.5), rounds=(2, 1), tone=4.0))
    for odd in (
        *(1, {"kind": ["pictures"]}, {"kind": "keyframes"}, {"style_side": "big"}, {"teacher": {"levels": []}}),
        *({"generator": {"guides": [[]]}}, {"teacher": {"levels": [float("nan")], "rounds": [1]}}),
    ):
        assert training_of({"training": odd}) == PicturesConfig() == training_of({})
