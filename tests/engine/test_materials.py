"""Materials of the project's own, and the piece of a painting that is one material."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.materials import MATERIALS, cells, clouds, night_sky, scattered
from engine.training.config import TextureConfig


@pytest.mark.parametrize("name", MATERIALS)
def test_a_material_follows_from_its_seed_and_tiles(name: str) -> None:
    drawn = MATERIALS[name](0)
    assert np.array_equal(drawn, MATERIALS[name](0)) and not np.array_equal(drawn, MATERIALS[name](1))
    planes = drawn.astype(np.float64)
    for axis in (0, 1):
        seam = np.abs(np.take(planes, 0, axis) - np.take(planes, -1, axis)).mean()
        assert seam <= np.abs(np.diff(planes, axis=axis)).mean((1 - axis, 2)).max()


def test_clouds_have_their_grain() -> None:
    for grain in (4, 16):
        made = clouds(grain, np.random.default_rng(0))
        assert made.mean() == pytest.approx(0, abs=1e-9) and made.std() == pytest.approx(1)
        near, far = ((made * np.roll(made, distance, 0)).mean() for distance in (grain // 2, 3 * grain))
        assert near > 0.7 and abs(far) < 0.2


def test_a_pixel_lies_in_the_cell_of_its_nearest_place_over_borders_too() -> None:
    places, still = np.array([[0.05, 0.5], [0.5, 0.5]]), np.zeros((40, 40))
    whose, nearest, second = cells(places, (still, still))
    assert whose[38, 20] == 0 and nearest[38, 20] == pytest.approx(4) and second[38, 20] == pytest.approx(18)
    assert whose[20, 20] == 1 and nearest[20, 20] == 0
    assert (nearest <= second).all()


def test_places_keep_their_distance() -> None:
    places = scattered(8, np.random.default_rng(0), stray=0.5)
    apart = np.abs((places[:, None] - places[None] + 0.5) % 1 - 0.5)
    far = np.hypot(*np.moveaxis(apart, -1, 0))
    assert len(places) == 64 and far[~np.eye(64, dtype=bool)].min() > 0.25 / 8


def test_pieces_of_the_sky_are_large_enough_to_train_on() -> None:
    for piece in night_sky(Image.new("RGB", (2048, 1280), "blue")):
        assert min(piece.size) >= TextureConfig().size
