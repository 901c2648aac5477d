"""Attribution.Influence against known answers (B2), and its certificate on a network that bends (B3)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
import torch

from engine import style_pack
from engine.canvas import ArrayCanvas
from engine.errors import EngineError
from engine.explain import influence as influence_
from engine.explain.detail import detail
from engine.explain.influence import check_gradients, gradient_of, influence, light_of
from engine.explain.overlay import Overlay
from engine.explain.removal import LUMINANCE, Look
from engine.mixing import Matte, Mix, Part, alone
from engine.picture import Floats
from engine.runtime import Paint, Session, tiles
from engine.style_pack import EXPLAIN, GENERATOR, ModelInput, new_pack, write_pack
from engine.training.export import explain_bytes, half_storage, model_spec, onnx_bytes
from engine.training.networks import Generator, GeneratorConfig


def picture(height: int = 40, width: int = 50) -> Floats:
    return np.random.default_rng(0).random((3, height, width), np.float32) * 0.6 + 0.2


def spot(row: int, column: int, height: int = 40, width: int = 50) -> np.ndarray:
    region = np.zeros((height, width), bool)
    region[row, column] = True
    return region


def overlay_of(look: Look, before: Floats, region: np.ndarray) -> Overlay:
    work = influence(look, before, region)
    while True:
        try:
            next(work)
        except StopIteration as done:
            found: Overlay = done.value
            return found


@pytest.fixture
def blur(tmp_path: Path) -> Session:
    return Session(style_pack.load(tiny_styles.explained(tiny_styles.blur(tmp_path / "blur"))), "cpu")


@pytest.fixture
def bent(tmp_path: Path) -> Session:
    """A generator as it is trained, wild enough to be far from linear"""
    config = GeneratorConfig("separable", 16, 2, (1, 2), 2, 8, 8)
    torch.manual_seed(1)
    network = Generator(config)
    for weight in network.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    network = network.half().float().eval()
    data = half_storage(onnx_bytes(network))
    spec = model_spec(network, ModelInput(config.noise, scale=4))
    pack = new_pack("Bent", spec)
    files = {GENERATOR: data, EXPLAIN: explain_bytes(data)}
    return Session(write_pack(tmp_path / "bent", pack, files), "cpu")


def test_a_linear_filter_gives_its_kernel(blur: Session) -> None:
    found = overlay_of(Look(alone(blur), Paint()), picture(), spot(20, 30))
    wanted = np.zeros((40, 50))
    wanted[18:23, 28:33] = 1 / 25
    assert np.allclose(found.pixels[..., 0], wanted, atol=1e-6)
    assert not found.pixels[..., 0][wanted == 0].any()  # exactly
    assert "further than 2 pixels" in found.sentence
    foretold = {check.name: check.value for check in found.certificate.checks}
    assert min(foretold[name] for name in foretold if name.startswith("r")) > 0.9999
    assert foretold["R2, 10 % removed"] > 0.9999


def test_pixels_that_are_mirrored_beyond_the_border_count_as_often_as_they_are_seen(blur: Session) -> None:
    before = picture()
    gradient = gradient_of(Look(alone(blur), Paint()), before, light_of(spot(0, 1)))
    assert gradient.sum() == pytest.approx(1, abs=1e-5)
    assert gradient[:, 1, 1].sum() == pytest.approx(4 / 25, abs=1e-6)  # above and below, seen twice each way
    assert gradient[:, 0, 3].sum() == pytest.approx(1 / 25, abs=1e-6)
    wrapped = gradient_of(Look(alone(blur), Paint(wrap=True)), before, light_of(spot(0, 1)))
    assert wrapped[:, 39, 49].sum() == pytest.approx(1 / 25, abs=1e-6)


def test_on_a_tileable_picture_near_is_near_across_the_seam(blur: Session) -> None:
    found = overlay_of(Look(alone(blur), Paint(wrap=True)), picture(), spot(0, 0))
    assert found.sentence.startswith(
        ("Half of what can change this area lies within 1", "Half of what can change this area lies within 2")
    )


def test_strength_mixes_with_the_picture_itself(blur: Session) -> None:
    gradient = gradient_of(Look(alone(blur), Paint(), 0.25), picture(), light_of(spot(20, 30)))
    assert np.allclose(gradient[:, 20, 30], LUMINANCE * (0.75 + 0.25 / 25), atol=1e-6)


def test_styles_of_a_mix_count_by_their_shares_and_mattes(blur: Session, tmp_path: Path) -> None:
    still = tiny_styles.explained(tiny_styles.flat(tmp_path / "flat", "Flat", (0.5, 0.5, 0.5)))
    other = Session(style_pack.load(still), "cpu")
    mix = Mix((Part(blur, 0.6), Part(other, 0.4)))
    gradient = gradient_of(Look(mix, Paint()), picture(), light_of(spot(20, 30)))
    assert gradient[:, 20, 30].sum() == pytest.approx(0.6 / 25, abs=1e-6)
    plane = ArrayCanvas(np.full((1, 40, 50), 0.25, np.float32))
    masked = Mix((Part(blur, 1.0, Matte("Cube", plane, {})),))
    gradient = gradient_of(Look(masked, Paint()), picture(), light_of(spot(20, 30)))
    assert gradient[:, 20, 30].sum() == pytest.approx(0.25 / 25 + 0.75, abs=1e-6)


@pytest.mark.parametrize("colour", [(0.3, 0.6, 0.9), (1.5, 1.5, 1.5)])
def test_what_nothing_changes_has_no_influence(tmp_path: Path, colour: Any) -> None:
    """A constant, and a result that is clamped."""
    pack = tiny_styles.explained(tiny_styles.flat(tmp_path / "flat", "Flat", colour))
    found = overlay_of(Look(alone(Session(style_pack.load(pack), "cpu")), Paint()), picture(), spot(20, 30))
    assert not found.pixels.any() and "Nothing in the picture changes" in found.sentence


def test_on_a_network_that_bends_it_foretells_small_changes(bent: Session) -> None:
    region = np.zeros((120, 130), bool)
    region[50:60, 60:75] = True
    found = overlay_of(Look(alone(bent), Paint(seed=3)), picture(120, 130), region)
    assert found.certificate.faithful, found.certificate
    reach = bent.spec.receptive_radius or 0
    outside = np.ones((120, 130), bool)
    outside[max(0, 50 - reach) : 60 + reach, max(0, 60 - reach) : 75 + reach] = False
    assert outside.any() and not found.pixels[outside].any()


def test_a_wrong_gradient_fails_its_certificate(bent: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    right = bent.gradient
    monkeypatch.setattr(bent, "gradient", lambda *told: right(*told)[:, :, ::-1].copy())
    region = np.zeros((120, 130), bool)
    region[50:60, 60:75] = True
    assert not overlay_of(Look(alone(bent), Paint(seed=3)), picture(120, 130), region).certificate.faithful


def test_a_large_question_is_heard_of_after_every_window(blur: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two steps nothing can be cancelled."""
    monkeypatch.setattr(influence_, "tiles", lambda height, width, *_: tiles(height, width, 16))
    region, before = np.ones((40, 50), bool), picture()
    mix = Mix((Part(blur, 0.5), Part(Session(blur.pack, "cpu"), 0.5)))
    for look, count in ((Look(alone(blur), Paint()), 12), (Look(mix, Paint()), 24)):
        fractions = []
        for step in influence(look, before, region):
            if isinstance(step, Overlay):
                break
            fractions.append(step / influence_.GONE_BACK)
        assert np.allclose(fractions, np.arange(1, count + 1) / count)
        assert np.allclose(step.pixels[..., 0], gradient_of(look, before, light_of(region)).sum(axis=0))  # type: ignore[union-attr]


def test_a_style_that_is_not_local_has_no_gradient_though_it_brings_one(blur: Session, tmp_path: Path) -> None:
    files = {name: blur.pack.read(name) for name in blur.pack.files}
    for name, changes in (("whole", {"receptive_radius": None}), ("sized", {"fixed_size": (64, 64)})):
        model = replace(blur.spec, **changes)  # type: ignore[arg-type]
        pack = write_pack(tmp_path / name, replace(blur.pack, model=model), files)
        look = Look(alone(Session(style_pack.load(tmp_path / name), "cpu")), Paint())
        assert pack.explains
        for ask in (influence, detail):
            with pytest.raises(EngineError, match="whole frame or takes one size only") as caught:
                next(ask(look, picture(), spot(20, 30)))
            assert "Removal" in caught.value.fix


def test_a_locked_style_is_another_network_than_its_gradients_are_of(tmp_path: Path) -> None:
    spotlight = style_pack.load(tiny_styles.spotlight(tmp_path / "spotlight"))
    files = {name: spotlight.read(name) for name in spotlight.files}
    explained = tiny_styles.explained(tiny_styles.blur(tmp_path / "blur"))
    files[EXPLAIN] = style_pack.load(explained).read(EXPLAIN)
    session = Session(write_pack(tmp_path / "both", spotlight, files), "cpu")
    locked = session.locked(session.statistics(picture(), Paint(), "it"))
    assert locked.spec.local and locked.pack.explains
    with pytest.raises(EngineError, match="whole frame"):
        check_gradients(Look(alone(locked), Paint()))


def test_what_has_no_gradient_says_so(blur: Session, tmp_path: Path) -> None:
    plain = Session(style_pack.load(tiny_styles.blur(tmp_path / "plain")), "cpu")
    for mix, paint, said in (
        (alone(plain), Paint(), "does not bring its gradients"),
        (Mix((Part(blur),), palette=blur), Paint(), "colours of another style"),
        (alone(blur), Paint(stroke=2), "resized"),
    ):
        with pytest.raises(EngineError, match=said) as caught:
            overlay_of(Look(mix, paint), picture(), spot(20, 30))
        assert caught.value.fix
    with pytest.raises(EngineError) as caught:
        plain.need_gradients()
    assert all(name in caught.value.fix for name in ("Removal", "Scale", "Styles", "Passes", "Objects"))
