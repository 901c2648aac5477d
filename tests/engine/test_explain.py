"""Overlays: known answers, exact completeness, and certificates that can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_styles

from engine import mixing, style_pack
from engine.canvas import ArrayCanvas
from engine.explain import certificate, removal
from engine.explain.overlay import Overlay
from engine.explain.pyramid import blurred
from engine.explain.removal import Grid, Look
from engine.explain.scale import scale
from engine.picture import Floats
from engine.protocol import Check
from engine.runtime import Paint, Session, tiles


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Session]:
    folder = tmp_path_factory.mktemp("styles")
    makers = (tiny_styles.identity, tiny_styles.blur, tiny_styles.brush, tiny_styles.spotlight)
    return {m.__name__: Session(style_pack.load(m(folder / m.__name__)), "cpu") for m in makers}


def picture(height: int, width: int, seed: int = 0) -> Floats:
    """Blobs and grain, planes (3, H, W) 0..1."""
    rng = np.random.default_rng(seed)
    grain = rng.random((3, height, width), dtype=np.float32)
    return np.clip(blurred(grain, 3) * 3 - 1 + 0.2 * (grain - 0.5), 0, 1)


def explained(look: Look, before: Floats, region: np.ndarray | None = None) -> Overlay:
    work = removal.removal(look, before, look.result(before), region)
    fractions = []
    while True:
        try:
            step = next(work)
            fractions += [step] if isinstance(step, float) else []
        except StopIteration as done:
            assert fractions == sorted(fractions) and fractions[-1] <= 1
            overlay: Overlay = done.value
            return overlay


def test_a_small_region_is_asked_alone_and_answers_the_same(
    sessions: dict[str, Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Look(mixing.alone(sessions["brush"]), Paint(seed=2), 0.8)
    before, region = picture(150, 210), np.zeros((150, 210), bool)
    region[40:44, 100:103] = True
    alone = explained(look, before, region).pixels
    monkeypatch.setattr(removal, "_small", lambda *told: False)
    together = explained(look, before, region).pixels
    assert np.abs(alone).max() > 1e-4 and np.allclose(alone, together, atol=1e-6)


def test_a_point_is_not_lost_when_the_picture_is_reduced() -> None:
    before, region = picture(270, 480), np.zeros((270, 480), bool)
    region[135, 240] = True
    small, part = removal.small_of(before, region, False)
    assert small.shape == (3, 54, 96) and part is not None and np.argwhere(part).tolist() == [[27, 48]]
    _, whole = removal.small_of(before, np.ones((270, 480), bool), False)
    assert whole is not None and whole.all()


# ---------------------------------------------------------------- Scale


@pytest.mark.parametrize("size", [(40, 60), (17, 31), (1, 1), (128, 5)])
def test_the_three_bands_add_up_exactly(size: tuple[int, int]) -> None:
    before, after = picture(*size), picture(*size, seed=1)
    overlay = scale(before, after)
    length = np.linalg.norm((after - before).astype(np.float64), axis=0)
    np.testing.assert_allclose(overlay.pixels.sum(axis=2), length, rtol=1e-5, atol=1e-7)
    assert overlay.certificate.faithful and overlay.certificate.checks[0].bar == "B1"


def test_a_shift_of_colour_is_colour_and_grain_is_stroke() -> None:
    before = picture(128, 128) * 0.5 + 0.2
    tinted = scale(before, before + np.array([0.1, 0, -0.1], np.float32)[:, None, None])
    assert "100 % of the change is colour" in tinted.sentence
    checks = (np.indices((128, 128)).sum(axis=0) % 2 * 2 - 1).astype(np.float32)
    grainy = scale(before, before + 0.1 * checks)
    assert "100 % strokes" in grainy.sentence
    waves = np.sin(np.arange(128) * 2 * np.pi / 64).astype(np.float32)
    assert scale(before, before + 0.1 * waves).pixels.mean(axis=(0, 1)).argmax() == 1
    # With strokes twice as large the same waves are strokes.
    assert scale(before, before + 0.1 * waves, stroke=4).pixels.mean(axis=(0, 1)).argmax() == 2


def test_no_change_is_no_share_and_no_division() -> None:
    overlay = scale(picture(32, 32), picture(32, 32))
    assert not overlay.pixels.any() and "next to nothing" in overlay.sentence


def test_a_tileable_picture_is_cut_without_a_seam() -> None:
    before, after = picture(64, 64), picture(64, 64, 1)
    rolled = scale(np.roll(before, 32, 2), np.roll(after, 32, 2), wrap=True)
    np.testing.assert_allclose(np.roll(scale(before, after, wrap=True).pixels, 32, 1), rolled.pixels, atol=1e-5)


def test_a_false_overlay_fails_completeness() -> None:
    check = certificate.completeness(np.array([[0.5, 0.4]]), np.array([1.0]))
    assert not check.passed and check.value == pytest.approx(0.1)


# ---------------------------------------------------------------- Removal: known answers


def test_removal_of_a_linear_style_is_known(sessions: dict[str, Session]) -> None:
    """A 5x5 average keeps the mean: removing a tile changes the sum by what the fill changes there."""
    before = picture(84, 96)
    look = Look(mixing.alone(sessions["blur"]), Paint())
    overlay = explained(look, before)
    grid = Grid.over(84, 96, removal.TILES_ALONG)
    fill = removal.filled(before, grid, False)
    expected = grid.sums(np.tensordot(removal.LUMINANCE, fill - before, axes=1)) / grid.areas()
    inner = np.zeros((grid.rows, grid.columns), bool)
    inner[1:-1, 1:-1] = True  # at the border the average mirrors the picture
    got = overlay.pixels[:: grid.edge, :: grid.edge, 0].ravel()
    np.testing.assert_allclose(got[inner.ravel()], expected[inner.ravel()], atol=1e-5)


@pytest.mark.parametrize(
    ("style", "wrap", "stroke", "strength"),
    [("brush", False, 1, 1), ("brush", True, 1, 1), ("blur", False, 2, 0.5), ("blur", True, 1.5, 1)],
)
def test_tiles_removed_together_equal_tiles_removed_alone(
    sessions: dict[str, Session], style: str, wrap: bool, stroke: float, strength: float
) -> None:
    before = picture(88, 320)
    look = Look(mixing.alone(sessions[style]), Paint(stroke=stroke, wrap=wrap), strength)
    after = look.result(before)
    grid = Grid(88, 320, 36)
    groups = grid.groups(look.reach(88, 320), wrap)
    assert np.sum(groups, axis=0).tolist() == [1] * (grid.rows * grid.columns)
    assert len(groups) < grid.rows * grid.columns  # it saves something
    effects = _returned(removal._effects(look, grid, before, after, None))
    fill = removal.filled(before, grid, wrap)
    light = np.tensordot(removal.LUMINANCE, after, axes=1).sum(dtype=np.float64)
    for tile in (0, grid.columns - 1, grid.columns + 5, grid.rows * grid.columns - 1):
        alone = np.zeros(grid.rows * grid.columns, bool)
        alone[tile] = True
        changed = look.result(removal.without(before, fill, grid, alone))
        total = np.tensordot(removal.LUMINANCE, changed, axes=1).sum(dtype=np.float64)
        assert effects[tile] == pytest.approx(total - light, abs=1e-3)


def _returned(work: object) -> np.ndarray:
    while True:
        try:
            next(work)  # type: ignore[call-overload]
        except StopIteration as done:
            return np.asarray(done.value)


def test_a_part_outside_the_reach_of_a_region_has_no_effect_at_all(sessions: dict[str, Session]) -> None:
    before = picture(96, 400)
    region = np.zeros((96, 400), bool)
    region[:, :50] = True
    overlay = explained(Look(mixing.alone(sessions["brush"]), Paint()), before, region)
    reach = sessions["brush"].spec.receptive_radius or 0
    edge = Grid.over(96, 400, removal.TILES_ALONG).edge
    assert not overlay.pixels[:, 50 + reach + edge :].any()
    assert overlay.pixels[:, :50].any()


def test_a_look_made_of_another_remembers_no_forms_of_it(sessions: dict[str, Session]) -> None:
    before, look = picture(32, 40), Look(mixing.alone(sessions["brush"]), Paint())
    forms = look.forms(before)
    assert look.forms(before) is forms and not forms.wrap
    other = replace(look, paint=Paint(wrap=True))
    assert other.forms(before).wrap
    assert look.forms(before) is forms


def test_a_result_and_what_removal_asks_are_heard_of_after_every_window(
    sessions: dict[str, Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    look, before = Look(mixing.alone(sessions["blur"]), Paint()), picture(64, 96)
    after = look.result(before)
    monkeypatch.setattr(mixing, "tiles", lambda height, width, *_: tiles(height, width, 32))
    work, done = look.result_in_steps(before), []
    with pytest.raises(StopIteration) as end:
        while True:
            done.append(next(work))
    assert np.allclose(done, np.arange(1, 7) / 6) and np.array_equal(end.value.value, after)
    steps = removal._effects(look, Grid.over(64, 96, 4), before, after, None)
    fractions = list(steps)
    assert fractions == sorted(fractions) and len(fractions) % 6 == 0 and fractions[-1] == 1


def test_strokes_go_on_to_follow_what_was_removed(tmp_path: Path) -> None:
    """Which way strokes run is looked up far away: it is held, so that what is told apart by place stays apart."""
    session = Session(style_pack.load(tiny_styles.following(tmp_path / "following")), "cpu")
    before, look = picture(96, 160), Look(mixing.alone(session), Paint())
    np.testing.assert_array_equal(look.result(before, before), look.result(before))
    assert not np.array_equal(look.result(before, before[:, ::-1]), look.result(before))
    overlay = explained(look, before)
    assert overlay.certificate.checks[0].value > 0.99


def test_removing_light_makes_it_darker(sessions: dict[str, Session]) -> None:
    before = np.full((3, 96, 96), 0.2, np.float32)
    before[:, 40:52, 40:52] = 1
    overlay = explained(Look(mixing.alone(sessions["identity"]), Paint()), before)
    assert overlay.pixels[45, 45, 0] < -0.1
    assert "darker" in overlay.sentence and "in the middle" in overlay.sentence


def test_the_grid_counts_every_pixel_once() -> None:
    grid = Grid(50, 70, 16)
    plane = np.random.default_rng(0).random((50, 70)).astype(np.float32)
    assert grid.sums(plane).sum() == pytest.approx(plane.sum())
    assert grid.areas().sum() == 50 * 70
    values = np.arange(grid.rows * grid.columns, dtype=np.float64)
    np.testing.assert_array_equal(grid.sums(grid.painted(values)) / grid.areas(), values)


# ---------------------------------------------------------------- certificates


def test_the_certificate_of_a_local_style_passes(sessions: dict[str, Session]) -> None:
    overlay = explained(Look(mixing.alone(sessions["blur"]), Paint()), picture(120, 160))
    checks = {check.name: check for check in overlay.certificate.checks}
    assert {check.bar for check in checks.values()} == {"B3"} and len(checks) == 4
    assert checks["R2, 10 % removed"].value > 0.99 and overlay.certificate.faithful


def test_a_style_over_the_whole_frame_is_indicative_only(sessions: dict[str, Session]) -> None:
    overlay = explained(Look(mixing.alone(sessions["spotlight"]), Paint()), picture(64, 64))
    assert not overlay.certificate.faithful
    assert overlay.certificate.checks == (certificate.unmeasured(),)


def test_wrong_effects_fail_the_interventions() -> None:
    rng = np.random.default_rng(0)
    true, random = rng.standard_normal(64), rng.standard_normal(64)

    def checks(effects: np.ndarray) -> dict[str, Check]:
        steps = list(certificate.interventions(effects, lambda gone: float(true[gone].sum()), {"other": random}, 0))
        assert len(steps) == 2 * certificate.COALITIONS + 1
        return {check.name: check for check in steps[-1]}  # type: ignore[union-attr]

    assert all(check.passed for check in checks(true).values())
    assert not any(check.passed for name, check in checks(random).items())
    doubled = checks(2 * true)
    assert doubled["r, 10 % removed"].passed and not doubled["R2, 10 % removed"].passed


def test_a_control_that_knows_as_much_takes_the_lead_away() -> None:
    true = np.random.default_rng(0).standard_normal(64)
    steps = list(certificate.interventions(true, lambda gone: float(true[gone].sum()), {"edges": -true}, 0))
    lead = steps[-1][-1]  # type: ignore[index]
    assert lead.name == "lead over edges" and lead.value == pytest.approx(0, abs=1e-9) and not lead.passed


def test_nothing_varied_is_no_evidence() -> None:
    assert certificate.correlation([1, 1, 1], [1, 2, 3]) == 0
    assert certificate.explained(np.zeros(3), np.ones(3)) == 0


def test_coalitions_are_random_fixed_and_of_the_right_size() -> None:
    sets = certificate.coalitions(60, 0.1, seed=3)
    assert sets.shape == (128, 60) and (sets.sum(axis=1) == 6).all()
    np.testing.assert_array_equal(sets, certificate.coalitions(60, 0.1, seed=3))
    assert len(np.unique(sets, axis=0)) > 120


def test_the_same_picture_has_the_same_certificate(sessions: dict[str, Session]) -> None:
    look, before = Look(mixing.alone(sessions["blur"]), Paint(2)), picture(64, 80)
    one, two = explained(look, before), explained(look, before)
    assert one.certificate == two.certificate
    np.testing.assert_array_equal(one.pixels, two.pixels)


# ---------------------------------------------------------------- the rest


def test_blurring_keeps_constants_and_removes_detail() -> None:
    flat = np.full((3, 33, 50), 0.4, np.float32)
    np.testing.assert_allclose(blurred(flat, 4), 0.4, atol=1e-6)
    grain = np.random.default_rng(0).random((3, 64, 64), dtype=np.float32)
    assert blurred(grain, 4).std() < 0.05


def test_a_look_is_what_stylize_does(sessions: dict[str, Session], tmp_path: Path) -> None:
    before = picture(60, 70)
    from engine.runtime import painted

    style = painted(sessions["brush"], ArrayCanvas(before), Paint()).read(0, 0, 60, 70)
    half = Look(mixing.alone(sessions["brush"]), Paint(), 0.5).result(before)
    np.testing.assert_allclose(half, (before + np.clip(style, 0, 1)) / 2, atol=1e-6)
