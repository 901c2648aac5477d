"""What a training shows of itself while it runs: numbers that fall off each step, and pictures to look at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


class Meter:
    """Means of single numbers since they were last read. They stay on the device until then: no step waits for one."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, **values: Tensor) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums[name] + value.detach() if name in self._sums else value.detach()
            self._counts[name] = self._counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """Every mean, and begin anew."""
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    def state(self) -> dict[str, Tensor]:
        """Sum and count of each, for a checkpoint."""
        return {name: torch.tensor([float(total), self._counts[name]]) for name, total in self._sums.items()}

    def restore(self, flat: dict[str, Tensor], device: torch.device) -> None:
        self._sums = {name: pair[0].to(device) for name, pair in flat.items()}
        self._counts = {name: int(pair[1]) for name, pair in flat.items()}


@dataclass(frozen=True)
class Probe:
    """What a diagnosis looks at: the same contents, seeds and places at every step. Pictures are (3, H, W) 0..1 sRGB,
    batches of them (N, 3, S, S), on the device of the training."""

    painted: Tensor
    """What the averaged generator makes now, N >= 2"""
    seeds: Tensor | None
    """One thing made with several seeds, N >= 2; None for a style whose noise is there to say nothing"""
    styles: tuple[Tensor, ...]
    """The style pictures as the steps see them"""
    held_out: tuple[Tensor, ...] = ()
    """Parts of the style pictures that no step ever sees; empty where none could be spared"""
    content: Tensor | None = None
    """What `painted` was made of, in the same order; None for a style that takes no picture"""
    wanted: Tensor | None = None
    """What the artist made of the same, in the same order; None where nobody did"""
    scale: float = 1.0
    """At which patches are compared. A stroke should be about four pixels wide there: see metrics.patch_distance."""
