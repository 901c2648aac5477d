"""StyleFit: the style's own parts fit, what is broken does not, and a pack tells what is usual in it."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest
import torch

from engine import style_pack
from engine.canvas import ArrayCanvas
from engine.errors import EngineError
from engine.explain import style_fit
from engine.explain.overlay import Overlay
from engine.explain.style_fit import CELL, PLANT, Fit, numbers
from engine.files import planes_of
from engine.picture import Floats
from engine.style_pack import FIT, FIT_NUMBERS
from engine.training.export import MadeOf, style_pictures


def finished(work: Generator[float | Overlay, None, Overlay]) -> Overlay:
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Overlay = end.value
            return result


def strokes(seed: int, size: int = 256) -> Floats:
    """Slanting strokes in two colours"""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((size, size))
    waves = sum(
        np.sin((rows * rng.uniform(0.5, 0.7) + columns * rng.uniform(0.2, 0.3)) + rng.uniform(0, 6)) for _ in range(4)
    )
    colour = rng.uniform(0.3, 0.7, (3, 1, 1)) + np.array([0.1, 0.05, -0.1])[:, None, None] * waves
    return np.clip(colour, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def fit() -> Fit:
    return Fit.of([strokes(1), strokes(2), strokes(3)], [strokes(4)])


def test_the_style_itself_is_usual_and_another_is_not(fit: Fit) -> None:
    own = fit.distance(numbers(ArrayCanvas(strokes(4)), 0, 0, 256, 256))
    assert (own <= 1).mean() == pytest.approx(0.95, abs=0.01)
    turned = fit.distance(numbers(ArrayCanvas(strokes(4).transpose(0, 2, 1)), 0, 0, 256, 256))
    assert np.median(turned) > 1


def test_what_is_smoother_than_a_photograph_s_grain_is_no_fault(fit: Fit) -> None:
    """And more of it is one."""
    found = numbers(ArrayCanvas(strokes(1)), 0, 0, 256, 256)
    smoother, rougher = found.copy(), found.copy()
    smoother[style_fit.FINEST] -= 2
    rougher[style_fit.FINEST] += 3
    still = fit.distance(found).mean()
    assert fit.distance(smoother).mean() <= 1.02 * still
    assert fit.distance(rougher).mean() > 1.5 * still


def test_planted_defects_are_found_in_the_very_result(fit: Fit) -> None:
    picture = np.random.default_rng(0).random((3, 16, 16), np.float32).repeat(16, 1).repeat(16, 2)
    overlay = finished(style_fit.style_fit(fit, picture, strokes(1), np.ones((256, 256), bool), False))
    found, stays = overlay.certificate.checks
    assert (found.bar, stays.bar) == ("B2", "B6")
    assert found.value >= 0.95
    assert overlay.bars[0].value == pytest.approx((overlay.pixels > 1).mean(), abs=1e-6)


def test_a_defect_stands_out_where_it_is(fit: Fit) -> None:
    broken = strokes(1)
    broken[:, 96 : 96 + PLANT, 40 : 40 + PLANT] = np.random.default_rng(0).random((3, PLANT, PLANT))
    values = fit.distance(numbers(ArrayCanvas(broken), 0, 0, 256, 256))
    assert style_fit.hit(values, (96, 40))
    assert not style_fit.hit(values, (0, 160))


def test_numbers_of_a_window_are_those_of_the_picture() -> None:
    """So large results can be gone through in strips."""
    canvas = ArrayCanvas(strokes(5))
    whole = numbers(canvas, 0, 0, 256, 256)
    part = numbers(canvas, 64, 128, 72, 96)
    np.testing.assert_allclose(part, whole[:, 8:17, 16:28], atol=1e-4)


def test_a_cell_sees_no_further_than_its_neighbours() -> None:
    """At no scale: what breaks a place changes no value beyond."""
    whole, broken = strokes(5), strokes(5)
    broken[:, 128:136, 120:128] = np.random.default_rng(0).random((3, CELL, CELL))
    still, moved = (numbers(ArrayCanvas(planes), 0, 0, 256, 256) for planes in (whole, broken))
    changed = (still != moved).any(axis=0)
    assert changed[15:18, 14:17].all()
    changed[15:18, 14:17] = False
    assert not changed.any()


@pytest.mark.parametrize("beside", [0, 3, 7])
def test_what_lies_nearer_to_the_middle_of_a_cell_counts_more(beside: int) -> None:
    """A white line, so many pixels from a cell's border."""
    line = np.zeros((3, 256, 256), np.float32)
    line[:, :, 128 + beside] = 1
    found = numbers(ArrayCanvas(line), 0, 0, 256, 256)[0, 16]
    middles = CELL * np.arange(32) + CELL / 2
    away = np.abs(np.arange(256) + 0.5 - middles[:, None])
    weights = np.maximum(1 - away / style_fit.REACH, 0)
    expected = style_fit.COLOUR * style_fit.OPPONENT[0].sum() * weights[:, 128 + beside] / weights.sum(axis=1)
    np.testing.assert_allclose(found[1:-1], expected[1:-1], atol=1e-6)


def test_the_region_is_what_the_numbers_speak_of(fit: Fit) -> None:
    """The map shows all of the result."""
    broken = strokes(1)
    broken[:, :96] = np.random.default_rng(0).random((3, 96, 256))
    above, below = np.zeros((256, 256), bool), np.zeros((256, 256), bool)
    above[:64], below[192:] = True, True
    one, other = (finished(style_fit.style_fit(fit, broken, broken, region, True)) for region in (above, below))
    assert np.array_equal(one.pixels, other.pixels)
    assert one.bars[0].value == 1
    assert other.bars[0].value < 0.3


def test_a_result_too_small_for_a_defect_is_not_certified(fit: Fit) -> None:
    small = strokes(1)[:, :40, :40]
    overlay = finished(style_fit.style_fit(fit, small, small, np.ones((40, 40), bool), False))
    assert not overlay.certificate.faithful


def test_what_a_mask_leaves_out_is_not_learned() -> None:
    spoiled, mask = strokes(1), np.ones((256, 256), np.float32)
    spoiled[:, :128], mask[:128] = 0, 0
    alone = Fit.of([strokes(1)[:, 128 + CELL :]])
    masked = Fit.of([spoiled], masks=[mask])
    assert np.abs(masked.mean - alone.mean).max() < 0.35  # coarse roughness sees a little over its border
    assert np.abs(Fit.of([spoiled]).mean - alone.mean).max() > 1


def test_of_too_little_nothing_is_said() -> None:
    """A keyframe of which one blotch teaches: the style is made all the same."""
    mask = torch.zeros(256, 256)
    mask[100:140, 100:160] = 1
    picture = torch.from_numpy(strokes(1))
    assert MadeOf([(picture, mask)], [(picture, mask)]).fit() is None
    assert MadeOf([(picture, None)], [(picture, None)]).fit() is not None


def test_what_taught_nothing_is_not_in_the_pack() -> None:
    mask = torch.ones(256, 256)
    mask[:, :128] = 0
    narrow = torch.zeros(3, 16, 256)
    told, files = style_pictures([(torch.ones(3, 256, 256), mask), (narrow, None)])
    assert [picture.file for picture in told] == list(files) == ["picture_0.jpg"]  # 8 pixels are no picture
    shown = planes_of(files["picture_0.jpg"], "picture_0.jpg", 512)
    assert np.abs(shown[:, :, :60] - 0.5).max() < 0.05
    assert shown[:, :, 68:].min() > 0.95


def test_a_pack_keeps_it_to_the_bit(fit: Fit) -> None:
    again = Fit.from_bytes(fit.to_bytes())
    assert again.to_bytes() == fit.to_bytes()
    assert len(again.mean) == FIT_NUMBERS


@pytest.mark.parametrize("name", ["Starry Night", "Risograph", "Painted Keyframe"])
def test_styles_that_ship_say_what_is_usual(name: str) -> None:
    pack = style_pack.find(name)
    assert np.isfinite(np.frombuffer(pack.read(FIT), "<f4")).all()


def test_a_style_of_another_program_says_what_to_do() -> None:
    with pytest.raises(EngineError, match="does not say what it looks like") as problem:
        style_fit.need_fit(style_pack.find("Fieldstone"))
    assert problem.value.fix


def test_the_certificate_is_heard_of_to_its_end(fit: Fit) -> None:
    """Every defect that is planted, and every time the result is moved."""
    work = style_fit.style_fit(fit, strokes(2), strokes(1), np.ones((256, 256), bool), False)
    steps = [step for step in work if isinstance(step, float)]
    assert steps == sorted(steps) and steps[-1] == 1
    assert len(steps) == 1 + style_fit.PLANTS * len(style_fit.DEFECTS) + style_fit.certificate.TRIES
