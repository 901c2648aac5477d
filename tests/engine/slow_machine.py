"""A machine whose clock goes on only by what a training does on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.training import pictures
from engine.training.loop import KINDS
from engine.training.trainer import Trainer


class SlowMachine:
    """So many seconds for a step, an export and a picture of the teacher's, times the load at that moment."""

    def __init__(self, patch: pytest.MonkeyPatch, step: float, export: float, pair: float = 0.0) -> None:
        self.now = 1000.0
        self.load: Callable[[float], float] = lambda passed: 1.0
        """By the seconds that have passed"""
        self.exports = 0
        patch.setattr(time, "monotonic", lambda: self.now)
        patch.setattr(Trainer, "step", self._slow(Trainer.step, step))
        patch.setattr(pictures, "make_pair", self._slow(pictures.make_pair, pair))
        for kind in KINDS.values():
            patch.setattr(kind, "export", self._counted(self._slow(kind.export, export)))  # type: ignore[attr-defined]

    def _slow(self, work: Callable[..., Any], seconds: float) -> Callable[..., Any]:
        def slow(*arguments: Any) -> Any:
            self.now += seconds * self.load(self.now - 1000.0)
            return work(*arguments)

        return slow

    def _counted(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self.exports += 1
            return work(*arguments)

        return counted
