"""The measured faithfulness of an overlay. docs/explain_details.md defines the bars; their thresholds live here, once.

Nothing here knows how an overlay was made: it compares what an overlay predicts with what really happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from ..picture import Floats
from ..protocol import Check

COALITIONS = 128
"""Random sets of removed tiles per share: fewer make the correlation itself a matter of luck."""
FEW, MANY = 0.1, 0.5
"""Shares of the tiles that a coalition removes"""
COMPLETENESS = 1e-5
PATH = 0.01
"""The same where the parts are sums along a path: what is left over, of the whole"""
R_FEW, R2_FEW, R_MANY = 0.9, 0.7, 0.8
ROUNDING = 1e-6
"""Of a luminance"""
LEAD = 0.3
"""By how much the overlay's correlation must exceed that of the best control that never asks the model"""
ORDERS, CUTS = 20, 5
"""Deletion: random orders to stand out from, and parts in which the tiles of an order go"""
Z = 2.0
SPEARMAN = 0.3
RADIUS, TRIES, SENSITIVITY = 0.02, 8, 0.5
"""Stability: how far every value of the picture is moved at most, how often, and how far the overlay may follow"""

KINDS = ("lead over", "parts add up,", "deletion: ahead of")
"""How the names of checks begin that go on differently each time"""

Values = np.ndarray
"""float64, one value per coalition or per tile"""


def completeness(parts: np.ndarray, whole: np.ndarray, value_range: float = 1.0) -> Check:
    """B1: do the parts add up to the whole, everywhere? Worst case over all pixels.

    parts: (..., C), whole: (...); the error is relative, to at least one hundredth of the value range.
    """
    error = np.abs(parts.sum(axis=-1) - whole) / np.maximum(np.abs(whole), 0.01 * value_range)
    worst = float(error.max()) if error.size else 0.0
    return Check("B1", "parts add up to the whole", worst, COMPLETENESS, worst <= COMPLETENESS)


def coalitions(tiles: int, share: float, seed: int, count: int = COALITIONS) -> np.ndarray:
    """Random sets of `share` of the tiles, (count, tiles) bool. Fixed seed: the same question every time."""
    rng = np.random.default_rng([seed, int(share * 1000)])
    size = max(1, round(share * tiles))
    sets = np.zeros((count, tiles), bool)
    for row in sets:
        row[rng.choice(tiles, size, replace=False)] = True
    return sets


def interventions(
    effects: Values, happened: Callable[[np.ndarray], float], controls: Mapping[str, Values], seed: int
) -> Iterator[float | tuple[Check, ...]]:
    """B3: remove held-out random coalitions and compare. Yields the fraction done, at last the checks.

    effects: what the overlay says removing each tile does (its predictor is their sum). happened(set of tiles,
    bool per tile) -> what it really did. controls: the same from simple measures of the picture.
    """
    sets = {share: coalitions(len(effects), share, seed) for share in (FEW, MANY)}
    total = sum(map(len, sets.values()))
    changes: dict[float, list[float]] = {share: [] for share in sets}
    for share, rows in sets.items():
        for row in rows:
            changes[share].append(happened(row))
            yield sum(map(len, changes.values())) / total
    few, many = np.array(changes[FEW]), np.array(changes[MANY])
    predicted = {share: sets[share] @ effects for share in sets}
    r_few = correlation(predicted[FEW], few)
    rival, best = strongest({name: abs(correlation(sets[FEW] @ value, few)) for name, value in controls.items()})
    yield (
        at_least("B3", "r, 10 % removed", r_few, R_FEW),
        at_least("B3", "R2, 10 % removed", explained(predicted[FEW], few), R2_FEW),
        at_least("B3", "r, 50 % removed", correlation(predicted[MANY], many), R_MANY),
        at_least("B3", f"lead over {rival}", r_few - best, LEAD),
    )


def foretold(predicted: Values, happened: Values) -> tuple[Check, ...]:
    """B3 where every set of players was looked at: what the sum of their shares says, against what each set gives.
    Where no set changes anything, and that was said, all was foretold."""
    same = bool(np.abs(predicted - happened).max() <= ROUNDING)
    r, r2 = (1.0, 1.0) if same else (correlation(predicted, happened), explained(predicted, happened))
    return at_least("B3", "r, all sets", r, R_FEW), at_least("B3", "R2, all sets", r2, R2_FEW)


def summed(left_over: float, points: int) -> Check:
    """B1 of a sum along a path. left_over: what its parts do not explain, of the whole."""
    return Check("B1", f"parts add up, {points} points of the way", left_over, PATH, left_over <= PATH)


def deletion(
    effects: Values,
    fills: Mapping[str, Callable[[np.ndarray], float]],
    controls: Mapping[str, Values],
    seed: int,
) -> Iterator[float | tuple[Check, ...]]:
    """B4: tiles go until none is left, those first that should darken most by going: how small is the area under what
    is left, in deviations of that of random orders? Yields the fraction done, at last the checks.

    effects: what removing each tile does by the overlay. fills: what removing a set of tiles (bool per tile) really
    does where this comes in their place. controls: simple measures of the picture; each may go either way round.
    """
    rng = np.random.default_rng([seed, 4])
    orders = {"": np.argsort(effects, kind="stable")}
    for name, value in controls.items():
        orders |= {f"{name} {way}": np.argsort(way * value, kind="stable") for way in (1, -1)}
    chance = [rng.permutation(len(effects)) for _ in range(ORDERS)]
    every = [*orders.values(), *chance]
    z: dict[str, float] = {}
    lead: dict[str, float] = {}
    for number, (fill, happened) in enumerate(fills.items()):
        areas = []
        for done, order in enumerate(every):
            areas.append(_area(order, happened))
            yield (number + (done + 1) / len(every)) / len(fills)
        lucky = np.array(areas[len(orders) :])
        spread = max(float(lucky.std(ddof=1)), 1e-12)
        z[fill] = (float(lucky.mean()) - areas[0]) / spread
        lead[fill] = (min(areas[1 : len(orders)], default=areas[0]) - areas[0]) / spread
    checks = [at_least("B4", f"deletion, {fill}: deviations below chance", value, Z) for fill, value in z.items()]
    yield *checks, at_least("B4", "deletion: ahead of the best control by", max(lead.values()), 0.0)


def _area(order: np.ndarray, happened: Callable[[np.ndarray], float]) -> float:
    """Mean of what is left while the tiles go in this order. Before the first and after the last all orders agree."""
    values = []
    for part in range(1, CUTS):
        gone = np.zeros(len(order), bool)
        gone[order[: round(part * len(order) / CUTS)]] = True
        values.append(happened(gone))
    return float(np.mean(values))


def randomised(values: Values, others: Sequence[Values]) -> Check:
    """B5: an overlay of the style beside those of networks like it whose weights are random: what they share tells of
    the picture, not of the style (Adebayo et al., "Sanity Checks for Saliency Maps", 2018). Signed: without signs
    unlike maps look alike.

    The mean of |r| over all of them, as there: a map that any weights would give is like every one of them. The largest
    of several r speaks of luck. A network that learned nothing passes light on with one sign, the same everywhere, and
    one of two has the style's; beside each other, two that share nothing reach .45. |r|, as a map of which the weights
    decide no more than the sign would have a mean of 0 with signs."""
    shared = float(np.mean([abs(ranked(values, other)) for other in others]))
    return Check("B5", "Spearman's r beside random weights", shared, SPEARMAN, shared <= SPEARMAN)


def stability(overlay: Callable[[Floats], Values], picture: Floats, seed: int) -> Iterator[float | tuple[Check, ...]]:
    """B6: the largest change of an overlay, of its length, when every value of the picture (3, H, W) is moved by up to
    RADIUS (max sensitivity: Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", 2019). Yields the
    fraction done, at last the check."""
    rng = np.random.default_rng([seed, 6])
    still = overlay(picture)
    length, worst = float(np.sqrt(np.square(still, dtype=np.float64).sum())), 0.0
    for number in range(TRIES):
        moved = np.clip(picture + rng.uniform(-RADIUS, RADIUS, picture.shape).astype(np.float32), 0, 1)
        change = float(np.sqrt(np.square(overlay(moved) - still, dtype=np.float64).sum()))
        worst = max(worst, change / length if length > 0 else float(change > 0))
        yield (number + 1) / TRIES
    name = f"change of the overlay by a change of {RADIUS:g}"
    yield (Check("B6", name, worst, SENSITIVITY, worst <= SENSITIVITY),)


def unmeasured() -> Check:
    """An honest hole: nothing was removed to see whether the overlay is right."""
    return Check("B3", "coalitions measured", 0.0, float(COALITIONS), False)


def strongest(values: Mapping[str, float]) -> tuple[str, float]:
    """Name and value of the largest; ("nothing", 0) when there is none."""
    name = max(values, key=lambda key: values[key], default="nothing")
    return name, values.get(name, 0.0)


def correlation(a: Values | Sequence[float], b: Values | Sequence[float]) -> float:
    """Pearson's r; 0 when one side does not vary: then nothing was shown."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / scale if scale > 1e-15 else 0.0


def ranked(a: Values, b: Values) -> float:
    """Spearman's r, equal values sharing their rank."""

    def ranks(values: Values) -> Values:
        _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        found: Values = (np.cumsum(counts) - (counts - 1) / 2)[places.ravel()]
        return found

    return correlation(ranks(a), ranks(b))


def explained(predicted: Values, happened: Values) -> float:
    """R2 = 1 - sum (happened - predicted)^2 / sum (happened - mean)^2, at least -10; 0 when nothing varied."""
    spread = float(((happened - happened.mean()) ** 2).sum())
    if spread <= 1e-15:
        return 0.0
    return max(-10.0, 1 - float(((happened - predicted) ** 2).sum()) / spread)


def kind_of(check: Check) -> str:
    """What was checked, without what differs from one time to the next: the name of the rival, the number of points."""
    for kind in KINDS:
        if check.name.startswith(kind):
            return kind
    return check.name


def at_least(bar: str, name: str, value: float, threshold: float) -> Check:
    """A bar that is met from its threshold on"""
    return Check(bar, name, value, threshold, value >= threshold)
