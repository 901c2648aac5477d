"""Light that has changed since strokes were painted: how a style answers, and which light of a place is usual."""

from __future__ import annotations

import numpy as np
from planes import SIZE, TONED, even, noise

from engine.shot.light import answer_to_light, lit_change, unusual


def test_the_answer_to_light_is_the_styles_own() -> None:
    mixing = np.float32([[0.5, 0.2, 0], [0, 0.8, -0.1], [0.1, 0, 1.2]])
    painted = np.tensordot(mixing, TONED, 1).astype(np.float32) + 0.05
    answer = answer_to_light(TONED, painted, 1.0)
    assert np.abs(answer - mixing).max() < 0.08, "the ridge takes a little"
    strokes = (noise(3) - 0.5) * 0.2
    assert np.abs(answer_to_light(TONED, painted + strokes, 1.0) - answer).max() < 0.1, "strokes are no answer"


def test_what_an_anchor_never_shows_is_not_answered() -> None:
    """One even colour: nothing is known of any other"""
    with np.errstate(all="raise", under="ignore"):
        answer = answer_to_light(even(0.4), noise(0), 1.0)
    assert np.isfinite(answer).all() and np.abs(answer).max() < 0.1


def test_light_that_changes_changes_the_painting_as_the_answer_says() -> None:
    answer = np.float32([[0.5, 0, 0], [0, 2, 0], [0.25, 0, 1]])
    found = np.ones(SIZE, bool)
    changed = lit_change(even(0.1), found, answer, 1.0)
    for plane, expected in zip(changed, (0.05, 0.2, 0.125), strict=True):
        np.testing.assert_allclose(plane, expected, rtol=1e-5)
    assert not lit_change(even(0.1), ~found, answer, 1.0).any(), "where nothing is known nothing changes"
    half = found.copy()
    half[:, 48:] = False
    np.testing.assert_allclose(lit_change(even(0.1), half, answer, 1.0)[0, :, :48], 0.05, rtol=1e-4)
    grain = lit_change(noise(0) - 0.5, found, np.eye(3, dtype=np.float32), 1.0)
    assert grain.std() < 0.03 < (noise(0) - 0.5).std() / 8, "grain is not light"


def shaded() -> np.ndarray:
    """Even light, and a shadow in the middle"""
    light = even(0.5, (10, 12))
    light[:, 3:7, 4:8] = 0.3
    return light


def test_a_shadow_that_others_do_not_see_is_unusual() -> None:
    plain = even(0.5, (10, 12))
    dark = shaded()[0] < 0.4
    np.testing.assert_array_equal(unusual([shaded(), plain, plain]) == 1, dark)
    assert not unusual([plain, shaded(), plain]).any(), "it lies in another frame"
    assert not unusual([shaded(), shaded(), plain]).any(), "most see it"
    assert not unusual([even(0.5, (10, 12)), even(0.54, (10, 12)), even(0.54, (10, 12))]).any(), "hardly a change"


def test_what_few_frames_show_has_no_usual_light() -> None:
    plain, nowhere = even(0.5, (10, 12)), even(np.nan, (10, 12))
    assert not unusual([shaded()]).any() and not unusual([shaded(), plain]).any()
    assert not unusual([shaded(), plain, nowhere]).any()
    assert unusual([shaded(), plain, nowhere, plain, nowhere]).any(), "those that do not show a place have no say"
