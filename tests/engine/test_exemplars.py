"""Exemplars of the project's own: tiny ones, and one at full size."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.exemplars import EXEMPLARS, Lines, evenly, exemplar, halftone
from benchmarks.scenery import SKY, Scene, blurred, landscape

SMALL = (320, 240)
PAPER = {"hatching": (243, 232, 208), "linocut": (240, 229, 205), "risograph": (246, 242, 230)}
INK = {"hatching": (38, 28, 26), "linocut": (27, 24, 28)}


def drawn(name: str, seed: int = 0) -> np.ndarray:
    return np.asarray(exemplar(name, SMALL, seed), np.float32)


@pytest.mark.parametrize("name", EXEMPLARS)
def test_an_exemplar_follows_from_its_seed(name: str) -> None:
    first = drawn(name)
    assert first.shape == (240, 320, 3)
    assert np.array_equal(first, drawn(name)) and not np.array_equal(first, drawn(name, 1))


@pytest.mark.parametrize("name", EXEMPLARS)
def test_an_exemplar_has_lights_and_darks(name: str) -> None:
    """Also where lines or dots are seen together."""
    light = drawn(name).mean(2) / 255
    dark, bright = np.quantile(light, (0.01, 0.99))
    assert dark < 0.3 and bright > 0.75
    dark, bright = np.quantile(blurred(light, 6), (0.02, 0.98))
    assert bright - dark > 0.35


@pytest.mark.parametrize("name", PAPER)
def test_what_is_not_printed_is_paper(name: str) -> None:
    near = np.abs(drawn(name) - PAPER[name]).max(2) < 20
    assert near.mean() > 0.05


@pytest.mark.parametrize("name", INK)
def test_what_is_printed_is_ink(name: str) -> None:
    near = np.abs(drawn(name) - INK[name]).max(2) < 20
    assert near.mean() > 0.1


def test_a_hatching_is_darker_where_the_scene_is() -> None:
    scene = landscape(*SMALL, 0)
    tone = blurred(drawn("hatching").mean(2), 6)
    assert tone[scene.light < 0.2].mean() < tone[(scene.light > 0.4) & (scene.light < 0.6)].mean()
    assert tone[(scene.light > 0.4) & (scene.light < 0.6)].mean() < tone[scene.light > 0.8].mean()


def flat(width: int, height: int, way: float) -> Scene:
    scene = Scene(height, width)
    scene.put(np.ones((height, width), bool), SKY, 0.5, way)
    return scene


def test_lines_keep_their_distance_and_fill_what_they_may() -> None:
    scene = flat(200, 160, 0.0)
    where = scene.x < 100 / 160
    lines = evenly(scene, where, Lines(12, 90, 10, wobble=0.0), np.random.default_rng(0))
    middles = sorted(y for line in lines for x, y in line if 48 <= x < 52)
    assert all(x < 104 for line in lines for x, _ in line)
    assert min(np.diff(middles)) > 7 and max(np.diff(middles)) < 26


def test_a_line_ends_where_the_thing_does() -> None:
    scene = flat(200, 160, 0.0)
    scene.put(scene.x > 100 / 160, SKY, 0.5, 0.0)
    for line in evenly(scene, scene.x >= 0, Lines(12, 150, 10), np.random.default_rng(0)):
        assert len({x >= 101 for x, _ in line}) == 1


@pytest.mark.parametrize("amount", [0.1, 0.3, 0.5, 0.8])
def test_dots_cover_what_they_should(amount: float) -> None:
    assert halftone(np.full((300, 300), amount, np.float32), 12.5, 0.4).mean() == pytest.approx(amount, abs=0.03)


def test_a_landscape_has_everything_at_any_size() -> None:
    for size in ((320, 240), (200, 320)):
        scene = landscape(*size, 0)
        assert scene.light.shape == size[::-1] and scene.light.min() >= 0 and scene.light.max() <= 1
        assert len(np.unique(scene.matter)) == 12


def test_a_picture_of_full_size_has_what_a_training_needs() -> None:
    assert exemplar("risograph").size == (1280, 960)
