"""The measured faithfulness of an overlay. docs/explain.md defines the bars; their thresholds live here, once.

Nothing here knows how an overlay was made: it compares what an overlay predicts with what really happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from ..protocol import Check

COALITIONS = 128
"""Random sets of removed tiles per share: fewer make the correlation itself a matter of luck."""
FEW, MANY = 0.1, 0.5
"""Shares of the tiles that a coalition removes"""
COMPLETENESS = 1e-5
R_FEW, R2_FEW, R_MANY = 0.9, 0.7, 0.8
LEAD = 0.3
"""By how much the overlay's correlation must exceed that of the best control that never asks the model"""

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
    """B3 where every set of players was looked at: what the sum of their shares says, against what each set gives."""
    return (
        at_least("B3", "r, all sets", correlation(predicted, happened), R_FEW),
        at_least("B3", "R2, all sets", explained(predicted, happened), R2_FEW),
    )


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


def explained(predicted: Values, happened: Values) -> float:
    """R2 = 1 - sum (happened - predicted)^2 / sum (happened - mean)^2, at least -10; 0 when nothing varied."""
    spread = float(((happened - happened.mean()) ** 2).sum())
    if spread <= 1e-15:
        return 0.0
    return max(-10.0, 1 - float(((happened - predicted) ** 2).sum()) / spread)


def at_least(bar: str, name: str, value: float, threshold: float) -> Check:
    """A bar that is met from its threshold on"""
    return Check(bar, name, value, threshold, value >= threshold)
