"""Exact shares against games whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from engine.errors import EngineError
from engine.explain.shapley import shapley

Value = Callable[[tuple[bool, ...]], np.ndarray]


def shares(count: int, value: Value) -> np.ndarray:
    work = shapley([f"player {n}" for n in range(count)], value)
    done = []
    while True:
        try:
            done.append(next(work))
        except StopIteration as finished:
            assert len(done) == 2**count and done[-1] == 1
            found: np.ndarray = finished.value
            return found


def test_passes_that_add_and_multiply_share_as_computed_by_hand() -> None:
    """sum w_i p_i + g p_1 p_2: the product belongs to both by half (B2, to 1e-5)."""
    random = np.random.default_rng(0)
    w, p, g = random.standard_normal(5), random.standard_normal((5, 6, 7)), 3.0

    def value(present: tuple[bool, ...]) -> np.ndarray:
        playing = p * np.array(present)[:, None, None]
        return np.tensordot(w, playing, 1) + g * playing[0] * playing[1]

    wanted = w[:, None, None] * p
    wanted[:2] += g * p[0] * p[1] / 2
    assert np.abs(shares(5, value) - wanted).max() < 1e-12


def test_who_changes_nothing_gets_nothing_and_alike_get_alike() -> None:
    """Of three voters of whom two must agree, and a fourth whom nobody asks."""
    found = shares(4, lambda present: np.array(float(sum(present[:3]) >= 2)))
    assert np.allclose(found, [1 / 3, 1 / 3, 1 / 3, 0])


def test_it_is_the_mean_over_all_orders() -> None:
    table = np.random.default_rng(1).standard_normal((2, 2, 2, 2))
    found = shares(4, lambda present: table[tuple(map(int, present))])
    wanted = np.zeros(4)
    for order in permutations(range(4)):
        present = [0] * 4
        for player in order:
            before = table[tuple(present)]
            present[player] = 1
            wanted[player] += (table[tuple(present)] - before) / 24
    assert np.allclose(found, wanted)
    assert found.sum() == pytest.approx(table[1, 1, 1, 1] - table[0, 0, 0, 0])


@pytest.mark.parametrize("count", [0, 9])
def test_too_many_players_are_refused(count: int) -> None:
    with pytest.raises(EngineError, match=f"of {count} players") as caught:
        shares(count, lambda present: np.zeros(1))
    assert caught.value.fix
