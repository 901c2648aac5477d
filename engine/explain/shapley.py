"""Shares of several players in one result, exactly.

The Shapley value of a player is what it adds to a set of others, averaged over all orders in which they could come
(Shapley, "A Value for n-Person Games", 1953). It is the only division that adds up to the whole, gives nothing to who
changes nothing, and treats alike who adds alike. Orders are never walked through: every set is looked at once, 2^k of
them, and counts by how many orders it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import product

import numpy as np

from ..errors import EngineError
from ..picture import Floats

MOST = 8
"""Players: 256 results"""


def shapley(players: Sequence[str], value: Callable[[tuple[bool, ...]], Floats]) -> Generator[float, None, np.ndarray]:
    """Yields the fraction done; returns (k, ...) float64, what each player adds: value(all) - value(none) in sum.

    value: of a set of players, told for each whether it plays; arrays of one shape. Raises EngineError for too many.
    """
    if not 1 <= len(players) <= MOST:
        raise EngineError(
            f"The shares of {len(players)} players cannot be told apart exactly.", f"Choose from 1 to {MOST} of them."
        )
    shares: np.ndarray | None = None
    for number, present in enumerate(product((False, True), repeat=len(players))):
        found = value(present).astype(np.float64)
        shares = np.zeros((len(players), *found.shape)) if shares is None else shares
        for player, weight in enumerate(weights(present)):
            shares[player] += weight * found
        yield (number + 1) / 2 ** len(players)
    assert shares is not None
    return shares


def weights(present: Sequence[bool]) -> Iterator[float]:
    """How much the value of a set counts for each player: for who is in it by the orders in which it came last, against
    who is not by those in which it comes next."""
    count, size = len(present), sum(present)
    for plays in present:
        before = size - 1 if plays else size
        orders = math.factorial(before) * math.factorial(count - before - 1) / math.factorial(count)
        yield orders if plays else -orders
