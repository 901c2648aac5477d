"""B4, B5 and B6 on overlays whose worth is known. B1 and B3: test_explain."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from engine.explain import certificate
from engine.protocol import Check

TILES = 100


def last(steps: Iterator[float | tuple[Check, ...]]) -> tuple[Check, ...]:
    *fractions, checks = steps
    assert fractions == sorted(fractions) and fractions[-1] == 1  # type: ignore[type-var]
    assert isinstance(checks, tuple)
    return checks


@pytest.fixture
def true() -> np.ndarray:
    """What each tile gives, some up, some down"""
    return np.random.default_rng(0).standard_normal(TILES)


def removed(true: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda gone: float(true[gone].sum())


def test_the_right_order_of_deletion_stands_out_from_chance_and_from_controls(true: np.ndarray) -> None:
    controls = {"size": np.abs(true), "near": np.arange(float(TILES))}
    checks = last(certificate.deletion(true, {"blurred": removed(true), "grey": removed(2 * true)}, controls, 0))
    assert [check.bar for check in checks] == ["B4"] * 3 and all(check.passed for check in checks)
    assert checks[0].value == pytest.approx(checks[1].value)  # counted in deviations


@pytest.mark.parametrize("wrong", [-1.0, 0.0])
def test_a_wrong_order_of_deletion_does_not(true: np.ndarray, wrong: float) -> None:
    guess = wrong * true if wrong else np.random.default_rng(1).standard_normal(TILES)
    checks = last(certificate.deletion(guess, {"blurred": removed(true)}, {"truth": true}, 0))
    assert not any(check.passed for check in checks)


def test_where_one_tile_decides_no_order_stands_out() -> None:
    """Why B4 wants tiles that are small beside what matters."""
    one = np.zeros(TILES)
    one[40] = -1
    checks = last(certificate.deletion(one, {"blurred": removed(one)}, {}, 0))
    assert 1 < checks[0].value < 2.5 and certificate.Z == 2


def test_maps_that_random_weights_share_are_found_out(true: np.ndarray) -> None:
    others = list(np.random.default_rng(2).standard_normal((8, TILES)))
    assert certificate.randomised(true, others).passed
    # What never asked the model, and that of which the weights decide but the sign or a half
    shared = [true] * 8, [true, -(true**3)] * 4, [true + other for other in others]
    for maps in shared:
        assert not certificate.randomised(true, maps).passed


def test_one_network_that_happens_to_be_like_the_style_is_luck(true: np.ndarray) -> None:
    others = list(np.random.default_rng(2).standard_normal((7, TILES)))
    check = certificate.randomised(true, [*others, true])
    alone = certificate.randomised(true, others)
    assert check.passed and check.value == pytest.approx((7 * alone.value + 1) / 8)


def test_equal_values_share_their_rank() -> None:
    assert certificate.ranked(np.array([1, 1, 2, 3]), np.array([5, 5, 6, 90])) == pytest.approx(1)
    # By hand: ranks 1.5 1.5 3 4 against 1 2 3 4
    assert certificate.ranked(np.array([1, 1, 2, 3]), np.array([1, 2, 3, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_stability_is_the_largest_change_by_the_length() -> None:
    grey = np.full((3, 8, 8), 0.5, np.float32)
    (still,) = last(certificate.stability(lambda picture: picture, grey, 0))
    assert 0 < still.value <= certificate.RADIUS / 0.5 and still.passed
    (jumps,) = last(certificate.stability(lambda picture: np.sign(picture - 0.5) + (picture == 0.5), grey, 0))
    assert jumps.value > 1 and not jumps.passed


def test_stability_moves_nothing_out_of_the_picture() -> None:
    seen: list[np.ndarray] = []
    black = np.zeros((3, 4, 4), np.float32)
    last(certificate.stability(lambda picture: seen.append(picture) or np.ones(3), black, 0))  # type: ignore[func-returns-value]
    assert len(seen) == certificate.TRIES + 1 and min(one.min() for one in seen) == 0
    assert max(one.max() for one in seen) <= certificate.RADIUS


def test_that_nothing_changes_can_be_foretold() -> None:
    """A pixel that stays white whatever is taken away"""
    nothing = np.zeros(8)
    assert all(check.passed and check.value == 1 for check in certificate.foretold(nothing, nothing))
    assert not any(check.passed for check in certificate.foretold(np.linspace(0, 0.1, 8), nothing))
    assert not any(check.passed for check in certificate.foretold(nothing, np.linspace(0, 0.1, 8)))
