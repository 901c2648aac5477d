"""Strokes read between the pixels of a painted frame, and kinds of them laid over each other."""

from __future__ import annotations

import numpy as np
import pytest
from planes import SIZE, even, noise

from engine.shot.coarse import smooth
from engine.shot.strokes import Blend, Strokes, between, sharpened

EVERYWHERE = tuple(place.ravel() for place in np.indices(SIZE))


# ---------------------------------------------------------------- the spline


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 40), (33, 20), (1, 50)])
def test_the_spline_goes_through_the_pixels(size: tuple[int, int]) -> None:
    """Those of the border as well, and of pictures smaller than its memory"""
    planes = noise(0, size)
    rows, columns = (places.ravel() for places in np.indices(size, np.float32))
    found = between(sharpened(planes), rows, columns).T.reshape(planes.shape)
    np.testing.assert_allclose(found, planes, atol=1e-5)


def test_between_the_pixels_a_ramp_stays_a_ramp() -> None:
    rows, columns = np.indices((40, 50), np.float32)
    planes = np.stack([rows, columns, 3 - rows * 0.5 + columns * 0.25])
    random = np.random.default_rng(1)
    down, across = random.uniform(12, 27, 200).astype(np.float32), random.uniform(12, 37, 200).astype(np.float32)
    found = between(sharpened(planes), down, across)
    np.testing.assert_allclose(found, np.stack([down, across, 3 - down * 0.5 + across * 0.25], 1), atol=2e-5)


def test_an_even_picture_stays_even_up_to_its_corners() -> None:
    strokes = sharpened(even(0.3, (20, 20)))
    edge = np.float32([0, 0, 0.4, 19, 18.6, 10])
    np.testing.assert_allclose(between(strokes, edge, edge[::-1].copy()), 0.3, atol=1e-6)


def test_fine_strokes_are_kept_better_than_by_straight_lines() -> None:
    """A wave of four pixels, moved by half of one: straight lines keep 71 % of it."""
    columns = np.arange(64, dtype=np.float32)
    planes = np.broadcast_to(np.sin(columns * np.pi / 2), (3, 16, 64)).astype(np.float32)
    at = columns[16:48] + np.float32(0.5)
    found = between(sharpened(planes), np.full_like(at, 8), at)[:, 0]
    kept = np.abs(np.fft.rfft(found)).max() / 16
    assert 0.93 < kept < 1.01, kept


@pytest.mark.parametrize("stroke", [0.5, 1.0, 3.0])
def test_tones_and_strokes_are_what_is_painted(stroke: float) -> None:
    rows, columns = (place.astype(np.float32) for place in EVERYWHERE)
    painted, strokes = Strokes.of(noise(0), stroke).at(rows, columns)
    np.testing.assert_allclose(painted, noise(0).reshape(3, -1), atol=1e-5)
    assert (painted - strokes).std() < 0.7 * strokes.std()
    painted, strokes = Strokes.of(even(0.3), stroke).at(rows, columns)
    np.testing.assert_allclose(painted, 0.3, atol=1e-6)
    np.testing.assert_allclose(strokes, 0, atol=1e-6)


# ---------------------------------------------------------------- kinds over each other


def fine(seed: int) -> np.ndarray:
    """(3, H, W): strokes without any tone"""
    return (noise(seed) - 0.5) * np.float32(0.3)


def blended(*kinds: tuple[np.ndarray, float, float]) -> np.ndarray:
    """Of strokes, their tone and their share, everywhere"""
    blend = Blend(SIZE, 1.0)
    for strokes, tone, share in kinds:
        flat = strokes.reshape(3, -1)
        blend.lay(*EVERYWHERE, flat + np.float32(tone), flat, np.full(flat.shape[1], share, np.float32))
    return blend.painted()


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_one_kind_alone_stays_as_it_is(share: float) -> None:
    np.testing.assert_allclose(blended((fine(0), 0.4, share)), fine(0) + np.float32(0.4), atol=1e-6)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.2), (0.05, 0.05), (0.4, 0.3, 0.3)])
def test_kinds_that_have_nothing_in_common_keep_their_strength(shares: tuple[float, ...]) -> None:
    kinds = [(fine(seed), 0.5, share) for seed, share in enumerate(shares)]
    mean = sum(strokes * share for strokes, _, share in kinds) / np.float32(sum(shares))
    result = blended(*kinds)
    assert result.std() == pytest.approx(fine(0).std(), rel=0.04)
    assert mean.std() < 0.87 * fine(0).std(), "else nothing was tested"
    assert np.corrcoef((result - 0.5).ravel(), mean.ravel())[0, 1] > 0.999, "and are nothing but stronger"


def test_kinds_that_are_alike_are_not_made_stronger() -> None:
    np.testing.assert_allclose(blended((fine(0), 0.5, 0.5), (fine(0), 0.5, 0.5)), fine(0) + 0.5, atol=1e-5)
    half = (fine(0) + fine(1)) / np.float32(2**0.5)  # as strong as each, and .71 of it the first
    assert blended((fine(0), 0.5, 0.5), (half, 0.5, 0.5)).std() == pytest.approx(fine(0).std(), rel=0.04)


def test_strength_is_told_place_by_place() -> None:
    """What lies alone is nothing but itself, right beside what is mixed."""
    left, right = (np.nonzero(np.arange(96)[None] // 48 == side + np.zeros((72, 1))) for side in (0, 1))
    blend = Blend(SIZE, 1.0)
    for seed, places, share in ((0, left, 1.0), (0, right, 0.5), (1, right, 0.5)):
        strokes = fine(seed)[:, *places]
        blend.lay(*places, strokes + np.float32(0.5), strokes, np.full(strokes.shape[1], share, np.float32))
    result = blend.painted()
    np.testing.assert_allclose(result[:, :, :48], fine(0)[:, :, :48] + 0.5, atol=1e-6)
    assert result[:, :, 48:].std() == pytest.approx(fine(0).std(), rel=0.05)


def test_tones_are_averaged_and_four_kinds_are_the_most_that_is_made_up_for() -> None:
    assert blended((fine(0), 0.3, 0.25), (fine(1), 0.7, 0.75)).mean() == pytest.approx(0.6, abs=2e-3)
    many = blended(*((fine(seed), 0.5, 1 / 9) for seed in range(9)))
    assert many.std() == pytest.approx(fine(0).std() * 2 / 3, rel=0.05)


def test_a_frames_own_strokes_are_laid_as_they_are() -> None:
    share = np.zeros(SIZE, np.float32)
    share[:, 10:50] = 1
    blend = Blend(SIZE, 1.0)
    blend.lay_own(noise(2), share)
    result = blend.painted()
    np.testing.assert_array_equal(result[:, :, 10:50], noise(2)[:, :, 10:50])
    assert not result[:, :, :10].any() and not result[:, :, 50:].any()
    assert np.abs(smooth(result[:, :, 10:50], 3.0) - smooth(noise(2)[:, :, 10:50], 3.0)).max() < 1e-5
