"""Attribution.Styles: shares of a mix whose answer is known, and what moving a share does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_styles

from engine import style_pack
from engine.canvas import ArrayCanvas
from engine.controls import Strengths
from engine.errors import EngineError
from engine.explain import styles
from engine.explain.families import Subject, check, overlay
from engine.explain.overlay import Overlay
from engine.explain.removal import LUMINANCE, Look
from engine.mixing import Matte, Mix, Part, alone
from engine.picture import Floats
from engine.runtime import Paint, Session

HEIGHT, WIDTH = 40, 52
BOX = np.s_[10:20, 12:30]


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Session]:
    folder = tmp_path_factory.mktemp("styles")
    made = {maker.__name__: maker(folder / maker.__name__) for maker in (tiny_styles.brush, tiny_styles.blur)}
    made["red"] = tiny_styles.flat(folder / "red", "Red", (1, 0, 0))
    made["white"] = tiny_styles.flat(folder / "white", "White", (2, 2, 2))  # clamped
    return {name: Session(style_pack.load(path), "cpu") for name, path in made.items()}


def picture() -> Floats:
    return np.random.default_rng(0).random((3, HEIGHT, WIDTH), np.float32)


def left_half(name: str = "Cube") -> Matte:
    plane = np.zeros((1, HEIGHT, WIDTH), np.float32)
    plane[:, :, :20] = 1
    return Matte(name, ArrayCanvas(plane), {})


def ask(look: Look, before: Floats) -> Overlay:
    region = np.zeros((HEIGHT, WIDTH), bool)
    region[BOX] = True
    work, steps = overlay("Styles", Subject(look, before, before, region)), []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as done:
            fractions = [step for step in steps if isinstance(step, float)]
            assert fractions == sorted(fractions) and fractions[-1] <= 1
            assert sum(isinstance(step, Overlay) for step in steps) == 1
            found: Overlay = done.value
            assert not found.pixels[~region].any()
            return found


def light(planes: Floats) -> np.ndarray:
    """(h, w) in the box"""
    return np.tensordot(LUMINANCE.astype(np.float64), planes[(slice(None), *BOX)], axes=1)


def test_flat_colours_share_by_their_weights(sessions: dict[str, Session]) -> None:
    before = picture()
    mix = Mix((Part(sessions["red"], 3.0), Part(sessions["white"], 1.0)))
    found = ask(Look(mix, Paint(), 0.5), before)
    assert found.channels == ("Red", "White") and found.apart
    for channel, weight, colour in ((0, 0.75, float(LUMINANCE[0])), (1, 0.25, 1.0)):
        wanted = 0.5 * weight * (colour - light(before))
        assert np.allclose(found.pixels[BOX][..., channel], wanted, atol=1e-6)
        assert found.bars[channel].value == pytest.approx(wanted.mean(), abs=1e-6)
    assert found.certificate.faithful and [check.bar for check in found.certificate.checks] == ["B1", "B3", "B3"]
    assert "Red" in found.sentence and "White" in found.sentence


def test_parts_add_up_to_the_change_in_every_pixel(sessions: dict[str, Session]) -> None:
    mix = Mix(
        (Part(sessions["brush"], 2.0), Part(sessions["blur"], 1.0), Part(sessions["red"], 1.0, left_half())),
    )
    look, before = Look(mix, Paint(seed=3), 0.7), picture()
    found = ask(look, before)
    change = light(look.result(before)) - light(before)
    assert np.abs(found.pixels[BOX].sum(axis=-1) - change).max() <= 1e-6
    assert not found.pixels[BOX][:, 8:, 2].any()  # beyond its matte
    assert found.certificate.faithful


def test_what_no_matte_covers_is_nobodys(sessions: dict[str, Session]) -> None:
    found = ask(Look(Mix((Part(sessions["white"], 1.0, left_half()),)), Paint()), picture())
    assert found.pixels[BOX][:, :8].all() and not found.pixels[BOX][:, 8:].any()


def test_a_palette_is_read_as_it_paints(sessions: dict[str, Session]) -> None:
    mix = Mix((Part(sessions["brush"]), Part(sessions["blur"])), palette=sessions["red"])
    look, before = Look(mix, Paint()), picture()
    found = ask(look, before)
    assert np.abs(found.pixels[BOX].sum(axis=-1) - light(look.result(before)) + light(before)).max() <= 1e-6
    assert found.certificate.faithful


@pytest.mark.parametrize("count", [1, 2])
def test_where_strength_goes_by_place_shares_do_too(sessions: dict[str, Session], count: int) -> None:
    parts = (Part(sessions["red"], 3.0), Part(sessions["white"], 1.0))[:count]
    whole, before = ask(Look(Mix(parts), Paint()), picture()), picture()
    look = Look(Mix(parts, strengths=Strengths(0.5, ((left_half(), 0.25),))), Paint())
    found = ask(look, before)
    strength = np.where(np.arange(12, 30) < 20, 0.25, 0.5)[None, :, None]
    assert np.allclose(found.pixels[BOX], strength * whole.pixels[BOX], atol=1e-6)
    assert np.abs(found.pixels[BOX].sum(axis=-1) - light(look.result(before)) + light(before)).max() <= 1e-6
    assert found.certificate.faithful


def test_one_style_alone_has_it_all(sessions: dict[str, Session]) -> None:
    look, before = Look(alone(sessions["brush"]), Paint()), picture()
    found = ask(look, before)
    assert found.channels == ("Brush",) and found.certificate.faithful
    assert np.allclose(found.pixels[BOX][..., 0], light(look.result(before)) - light(before), atol=1e-6)


@pytest.mark.parametrize("shares", [(1.0, 1.0, 1.0), (5.0, 0.5, 2.0), (0.001, 1.0, 3.0)])
@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_it_foretells_what_moving_a_share_or_the_strength_does(
    sessions: dict[str, Session], shares: tuple[float, ...], strength: float
) -> None:
    """The control of this overlay. Shares are made to add up to 1, so moving one moves the others too."""
    before, old = picture(), (2.0, 1.0, 1.0)
    parts = tuple(Part(sessions[name], share) for name, share in zip(("brush", "blur", "red"), old, strict=True))
    found = ask(Look(Mix(parts), Paint(seed=1), 0.8), before)
    times = np.array(shares) / sum(shares) * sum(old) / np.array(old) * strength / 0.8
    moved = Mix(tuple(replace(part, share=share) for part, share in zip(parts, shares, strict=True)))
    happened = light(Look(moved, Paint(seed=1), strength).result(before)) - light(before)
    assert np.abs(found.pixels[BOX] @ times - happened).max() <= 1e-5


def test_many_styles_are_checked_on_random_sets(sessions: dict[str, Session]) -> None:
    parts = tuple(Part(sessions[name], 1.0 + n) for n, name in enumerate(["red", "white", "blur", "brush"] * 2))
    found = ask(Look(Mix(parts), Paint()), picture())
    assert found.channels[:5] == ("Red", "White", "Blur", "Brush", "Red 2")
    assert found.certificate.faithful


def test_a_wrong_share_fails(sessions: dict[str, Session], monkeypatch: pytest.MonkeyPatch) -> None:
    right = styles._shares
    monkeypatch.setattr(styles, "_shares", lambda *told: right(*told)[..., ::-1])
    mix = Mix((Part(sessions["red"], 3.0), Part(sessions["white"], 1.0)))
    checks = ask(Look(mix, Paint()), picture()).certificate.checks
    assert checks[0].passed and not all(check.passed for check in checks[1:])


def test_two_of_one_name_are_told_apart_by_where_they_paint(sessions: dict[str, Session], tmp_path: Path) -> None:
    mix = Mix((Part(sessions["red"]), Part(sessions["red"], 1.0, left_half(str(tmp_path / "vase.png")))))
    assert ask(Look(mix, Paint()), picture()).channels == ("Red", "Red on vase.png")


def test_too_many_styles_are_refused_before_anything_is_computed(sessions: dict[str, Session]) -> None:
    mix = Mix(tuple(Part(sessions["red"], 1.0) for _ in range(9)))
    with pytest.raises(EngineError, match="9 styles") as caught:
        check("Styles", Subject(Look(mix, Paint()), picture(), picture()))
    assert caught.value.fix
