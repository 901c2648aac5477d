"""What the end of a run will take: what a time budget has to leave for the last diagnosis, the sheet and the export.

How long that is depends on the machine, and on what else it does. So all of it is done once before the first step, and
thrown away; and how busy the machine has become since then is read off the pace of the steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from statistics import median

RECENT = 9
"""Steps of one kind whose median tells the pace: one that waited for something else does not count."""
SURE = 0.1
"""Change of what is foreseen, as a share of it, below which it stays: all shares of the run are counted by it."""
SPARE, SPARE_SECONDS, MOST_SPARE = 0.25, 1.0, 0.03
"""Kept back besides: a share of what is foreseen, for load comes and goes, and curves that are not drawn yet take time
as well; seconds, to begin and leave the process; but no more than that share of the budget."""


class Foresight:
    """Seconds that the end of a run would take now."""

    def __init__(self, rehearsed: float) -> None:
        """rehearsed: seconds it took before the steps that `add` will tell of."""
        self.end = self._rehearsed = rehearsed
        self.load = 1.0
        """How many times as long as then everything takes"""
        self._recent: dict[Hashable, deque[float]] = {}
        self._usual: dict[Hashable, float] = {}

    def add(self, kind: Hashable, seconds: float) -> None:
        """A step took so long. Steps of one kind take the same time where the machine does nothing else."""
        recent = self._recent.setdefault(kind, deque(maxlen=RECENT))
        recent.append(seconds)
        pace = median(recent)
        if len(recent) == RECENT:
            # A kind that comes later is first seen on a machine as busy as the others have just found it.
            self.load = pace / self._usual.setdefault(kind, max(pace, 1e-9) / self.load)
        end = self._rehearsed * self.load + pace  # no step may begin that has no time to end
        if abs(end - self.end) > SURE * self.end:
            self.end = end


def last_call(budget: float, end: float) -> float:
    """Seconds of a budget after which no step begins, where the end takes so long."""
    return budget - end - min(SPARE * end + SPARE_SECONDS, MOST_SPARE * budget)
