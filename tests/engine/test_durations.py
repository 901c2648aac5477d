"""Seconds in words: one way to say them, on either side."""

from __future__ import annotations

import pytest

from engine.durations import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "1 s"),
        (0.4, "1 s"),
        (1.5, "2 s"),
        (59.6, "60 s"),
        (90.4, "90 s"),
        (90.6, "2 min"),
        (149.0, "2 min"),
        (151.0, "3 min"),
        (25 * 60.0, "25 min"),
        (3569.0, "59 min"),
        (3571.0, "1 h 0 min"),
        (3 * 3600 + 10 * 60 + 29.0, "3 h 10 min"),
        (30 * 3600.0, "30 h 0 min"),
    ],
)
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
