"""How long something takes, as people say it. Standard library only: Blender's own process says it too."""

from __future__ import annotations

SECONDS_UNTIL = 90
"""Below this minutes would be too coarse to plan a coffee with"""


def in_words(seconds: float) -> str:
    """90 s, 25 min, 3 h 10 min. seconds: 0 or more; less than one is said to be one: what is left is not nothing."""
    whole = max(round(seconds), 1)
    if whole <= SECONDS_UNTIL:
        return f"{whole} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
