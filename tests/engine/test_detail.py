"""Attribution.Detail against known answers (B2), its way and its certificate on a network that bends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_styles
import torch

from engine import mixing, style_pack
from engine.errors import EngineError
from engine.explain import certificate, detail, influence
from engine.explain.families import Subject, check, overlay
from engine.explain.influence import gradient_of, light_of
from engine.explain.overlay import Overlay
from engine.explain.pyramid import blurred
from engine.explain.removal import LUMINANCE, Look
from engine.mixing import alone
from engine.picture import Floats
from engine.protocol import Check
from engine.runtime import Paint, Session, tiles
from engine.style_pack import EXPLAIN, GENERATOR, ModelInput, StrokeField, TurnedStrokes, new_pack, write_pack
from engine.training.export import explain_bytes, half_storage, model_spec, onnx_bytes
from engine.training.networks import Generator, GeneratorConfig

HEIGHT, WIDTH = 64, 72


def picture() -> Floats:
    """Blobs and grain"""
    grain = np.random.default_rng(0).random((3, HEIGHT, WIDTH), np.float32)
    return np.clip(blurred(grain, 2) * 2 - 0.5 + 0.2 * (grain - 0.5), 0, 1)


def box(top: int, left: int, height: int = 1, width: int = 1) -> np.ndarray:
    region = np.zeros((HEIGHT, WIDTH), bool)
    region[top : top + height, left : left + width] = True
    return region


def ask(look: Look, before: Floats, region: np.ndarray) -> tuple[Overlay, Overlay]:
    """The answer, and the same with its certificate"""
    work, steps = overlay("Detail", Subject(look, before, before, region)), []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as done:
            fractions = [step for step in steps if isinstance(step, float)]
            (answer,) = [step for step in steps if isinstance(step, Overlay)]
            assert fractions == sorted(fractions) and fractions[-1] <= 1
            return answer, done.value


def the(bar: str, found: Overlay) -> list[Check]:
    return [check for check in found.certificate.checks if check.bar == bar]


@pytest.fixture(scope="module")
def blur(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("blur")
    return Session(style_pack.load(tiny_styles.explained(tiny_styles.blur(folder / "blur"))), "cpu")


@pytest.fixture(scope="module")
def bent(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A generator as it is trained, wild enough to be far from linear, with strokes that follow forms"""
    config = GeneratorConfig("separable", 8, 1, (1,), 2, 8, 8)
    torch.manual_seed(1)
    network = Generator(config)
    for weight in network.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    data = half_storage(onnx_bytes(network.half().float().eval()))
    field, turned = StrokeField("strokes.bytes", 5, 7), TurnedStrokes("turned.bytes", 4, 6, 5)
    noise = ModelInput(config.noise, scale=4, range=(-2.0, 2.0), strokes=field, turned=turned)
    random = np.random.default_rng(4)
    files = {
        GENERATOR: data,
        EXPLAIN: explain_bytes(data),
        field.file: random.integers(0, 256, 2 * 5 * 7, np.uint8).tobytes(),
        turned.file: random.integers(0, 256, 4 * 2 * 6 * 5, np.uint8).tobytes(),
    }
    folder = tmp_path_factory.mktemp("bent") / "bent"
    return Session(write_pack(folder, new_pack("Bent", model_spec(network, noise)), files), "cpu")


def test_a_linear_filter_gives_its_kernel_times_the_detail(blur: Session) -> None:
    before = picture()
    answer, found = ask(Look(alone(blur), Paint()), before, box(20, 30))
    gone = np.tensordot(LUMINANCE, before - blurred(before, detail.GONE), axes=1)
    wanted = np.zeros((HEIGHT, WIDTH))
    wanted[18:23, 28:33] = gone[18:23, 28:33] / 25
    pixels = found.pixels[..., 0]
    assert np.allclose(pixels, wanted, atol=1e-6) and not pixels[wanted == 0].any()  # exactly
    (summed,) = the("B1", found)
    assert summed.value < 1e-4 and "9 points" in summed.name
    lighter, darker = (bar.value for bar in found.bars)
    assert lighter + darker == pytest.approx(wanted.sum(), abs=1e-6) and darker <= 0 <= lighter
    assert not answer.certificate.checks and answer.sentence == found.sentence
    word = "lighter" if wanted.sum() > 0 else "darker"
    assert f"{abs(100 * wanted.sum()):.2g} % of white {word}" in found.sentence


def test_parts_are_those_of_all_pixels_of_a_region_together(blur: Session) -> None:
    """Beside the border too, and across the seam of a picture that wraps."""
    for wrap in (False, True):
        look, before = Look(alone(blur), Paint(wrap=wrap)), picture()
        _, found = ask(look, before, box(0, 0, 2, 3))
        fill = blurred(before, detail.GONE, wrap)
        change = LUMINANCE @ (look.result(before, before) - look.result(fill, before))[:, :2, :3].reshape(3, -1)
        assert found.pixels.sum() == pytest.approx(change.sum(), abs=1e-5)
        assert found.pixels[-1].any() == wrap


def test_what_a_style_does_not_look_at_gives_nothing(tmp_path: Path) -> None:
    pack = tiny_styles.explained(tiny_styles.flat(tmp_path / "flat", "Flat", (0.3, 0.6, 0.9)))
    _, found = ask(Look(alone(Session(style_pack.load(pack), "cpu")), Paint()), picture(), box(20, 30))
    assert not found.pixels.any() and "Detail gives this area nothing" in found.sentence


def test_on_a_network_that_bends_it_adds_up_and_foretells(bent: Session) -> None:
    _, found = ask(Look(alone(bent), Paint(seed=3), 0.8), picture(), box(20, 24, 10, 12))
    assert found.certificate.faithful, found.certificate
    assert {check.bar for check in found.certificate.checks} == {"B1", "B3", "B4"}


def test_a_wrong_gradient_fails_and_says_what_is_left_over(bent: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    right = bent.gradient
    monkeypatch.setattr(bent, "gradient", lambda *told: 1.5 * right(*told))
    monkeypatch.setattr(detail, "MOST", 16)
    work = detail.integrated(Look(alone(bent), Paint(seed=3)), picture(), box(20, 24, 2, 2))
    fractions = []
    with pytest.raises(StopIteration) as done:
        while True:
            fractions.append(next(work))
    summed = done.value.value.check
    assert len([done for done in fractions if done]) == 17 and "17 points" in summed.name
    assert summed.value == pytest.approx(0.5, abs=0.02) and not summed.passed


def test_on_the_way_strokes_follow_the_forms_of_the_picture(bent: Session) -> None:
    look, before = Look(alone(bent), Paint()), picture()
    fill, weights = blurred(before, detail.GONE), light_of(box(20, 24, 6, 6))
    step = 0.0005 * np.random.default_rng(1).standard_normal(before.shape).astype(np.float32)
    moved = [(weights * look.result(fill + way * step, before)).sum(dtype=np.float64) for way in (1, -1)]
    happened = (moved[0] - moved[1]) / 2
    assert (gradient_of(look, fill, weights, before) * step).sum() == pytest.approx(happened, rel=0.02)
    assert (gradient_of(look, fill, weights) * step).sum() != pytest.approx(happened, rel=0.02)


def test_every_point_of_the_way_is_walked_once() -> None:
    walked: list[float] = []
    for count, places in detail._halved():
        walked += places.tolist()
        assert sorted(walked) == (np.arange(count + 1) / count).tolist()
    assert count == detail.MOST == 256


def test_a_large_region_is_certified_in_its_middle(blur: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    right = certificate.interventions
    monkeypatch.setattr(
        certificate, "interventions", lambda effects, *rest: asked.append(effects) or right(effects, *rest)
    )
    _, found = ask(Look(alone(blur), Paint()), picture(), box(0, 0, HEIGHT, WIDTH))
    whole = -float(found.pixels.sum(dtype=np.float64))
    assert len(asked) == 1 and asked[0].sum() != pytest.approx(whole, rel=0.05)


def test_a_large_question_is_heard_of_after_every_window(blur: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (influence, mixing):
        monkeypatch.setattr(module, "tiles", lambda height, width, *_: tiles(height, width, 24))
    work = detail.integrated(Look(alone(blur), Paint()), picture(), box(0, 0, HEIGHT, WIDTH))
    fractions = list(work)
    assert fractions == sorted(fractions)
    assert fractions.count(0.0) == 2 * 9 and len(fractions) == 11 * 9  # two results and nine gradients, nine windows


def test_what_has_no_gradient_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    plain = Look(alone(Session(style_pack.load(tiny_styles.blur(tmp_path / "plain")), "cpu")), Paint())
    with pytest.raises(EngineError, match="does not bring its gradients") as caught:
        check("Detail", Subject(plain, picture(), picture()))
    assert caught.value.fix
