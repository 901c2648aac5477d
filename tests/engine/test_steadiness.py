"""What makes frames agree, taught from stills: known moves, known answers, and that it is learned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.errors import EngineError
from engine.training import steadiness
from engine.training.config import KeyframesConfig, PicturesConfig, from_json
from engine.training.data import Pair
from engine.training.networks import GeneratorConfig
from engine.training.pictures import PictureSamples, PicturesTrainer
from engine.training.steadiness import Move
from engine.training.teacher import Exemplar
from engine.training.trainer import Trainer

SEED = torch.Generator()
PICTURES = torch.rand(2, 3, 40, 52, generator=torch.Generator().manual_seed(1))
SMOOTH = torch.nn.functional.avg_pool2d(PICTURES, 5, 1, 2)


def shifted(across: float, down: float) -> Move:
    return Move(torch.eye(2).expand(2, 2, 2), torch.tensor([[across, down]]).expand(2, 2))


def test_a_shift_by_whole_pixels_is_exact() -> None:
    later = shifted(3, -2).of(PICTURES)
    assert torch.allclose(later[:, :, 2:, :-3], PICTURES[:, :, :-2, 3:], atol=1e-5)
    inside = shifted(3, -2).inside(PICTURES)
    assert inside[:, :, 2:, :-3].all() and not inside[:, :, :2].any() and not inside[:, :, :, -3:].any()


def test_noise_goes_as_far_as_the_picture_and_stays_as_strong() -> None:
    """One value of it stands for 4 pixels."""
    noise = torch.randn(2, 4, 10, 13, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(shifted(4, 0).of(noise, 4)[..., :-1], noise[..., 1:], atol=1e-5)
    moved = shifted(2, 2).of_noise(noise, 4)
    assert torch.allclose(moved.std((1, 2, 3)), noise.std((1, 2, 3)), rtol=1e-4)


def test_moves_differ_from_picture_to_picture_and_are_the_same_for_the_same_seed() -> None:
    one = Move.drawn(8, torch.Generator().manual_seed(3), torch.device("cpu"))
    two = Move.drawn(8, torch.Generator().manual_seed(3), torch.device("cpu"))
    assert torch.equal(one.turned, two.turned) and torch.equal(one.shift, two.shift)
    assert len({tuple(shift.tolist()) for shift in one.shift}) == 8
    assert one.shift.abs().max() <= steadiness.SHIFT
    grown = one.turned.det().sqrt() - 1
    assert grown.abs().max() <= steadiness.ZOOM + 1e-6


@pytest.mark.parametrize("name", ["steadiness", "frame_difference"])
def test_who_gives_the_picture_back_is_steady(name: str) -> None:
    terms = steadiness.terms(lambda seen, _: seen, PICTURES, PICTURES[..., ::4, ::4], PICTURES, SEED.manual_seed(4))
    assert float(terms[name]) < 1e-9


def test_who_paints_strokes_where_they_were_is_not() -> None:
    """A pattern that lies still over the screen while the picture moves; one that goes along costs little."""
    noise = torch.randn(2, 3, 10, 13, generator=torch.Generator().manual_seed(5))

    def still(seen: Tensor, _: Tensor) -> Tensor:
        return seen + noise.repeat_interleave(4, 2).repeat_interleave(4, 3)

    def along(seen: Tensor, strokes: Tensor) -> Tensor:
        return seen + torch.nn.functional.interpolate(strokes, scale_factor=4, mode="bilinear")

    found = [
        steadiness.terms(paint, PICTURES, noise, paint(PICTURES, noise), SEED.manual_seed(6))["steadiness"]
        for paint in (still, along)
    ]
    assert float(found[1]) < float(found[0]) / 2


def test_a_painting_that_changes_more_than_the_picture_differs() -> None:
    """Twice the contrast: the difference of frames is twice as large, so the square of theirs is what is left."""
    terms = steadiness.terms(
        lambda seen, _: 2 * seen, PICTURES, PICTURES[..., ::4, ::4], 2 * PICTURES, SEED.manual_seed(7)
    )
    move = Move.drawn(2, SEED.manual_seed(7), torch.device("cpu"))
    assert torch.allclose(terms["frame_difference"], (move.of(PICTURES) - PICTURES).square().mean())


def waves(size: int, phase: float) -> Tensor:
    """(3, size, size) uint8, smooth"""
    rows, columns = torch.meshgrid(torch.arange(size) / 5, torch.arange(size) / 7, indexing="ij")
    planes = [(wave + phase).sin() for wave in (rows, columns, rows + columns)]
    return ((torch.stack(planes) + 1) * 127).to(torch.uint8)


def trainer(**changes: Any) -> PicturesTrainer:
    generator = GeneratorConfig(width=12, blocks=1, half=8, full=8, noise=4)
    config = replace(
        PicturesConfig(
            device="cpu", size=64, crop=48, batch=2, critic_scales=1, steps=120, warm_up=1.0, generator=generator
        ),
        **changes,
    )
    pairs = [Pair(waves(64, 0.0), waves(64, 1.0), torch.zeros(3, 64, 64, dtype=torch.int16))]
    style = Exemplar(waves(96, 1.0) / 255)
    return PicturesTrainer(PictureSamples(config, pairs, [], [style], torch.device("cpu")), torch.device("cpu"))


def unsteadiness(trained: Trainer) -> float:
    generator = trained.averages["generator"]
    noise = torch.randn(2, 4, 10, 13, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        painted = generator(SMOOTH, noise)
        return float(steadiness.terms(generator, SMOOTH, noise, painted, SEED.manual_seed(10))["steadiness"])


def test_it_is_learned() -> None:
    """Where hardly anything else is taught."""
    found = {}
    for weight in (0.0, 20.0):
        trained = trainer(steadiness=weight, reconstruction=1.0, coarse=1.0, latent=0.0)
        for _ in range(60):
            terms = trained.step(0.0)
        assert ("steadiness" in terms) == (weight > 0) or trained.steps_done % 2
        found[weight] = unsteadiness(trained)
    assert found[20.0] < 0.8 * found[0.0], found


def test_without_a_weight_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No random number is drawn, no picture painted for it."""
    monkeypatch.setattr(steadiness, "terms", lambda *_: pytest.fail("it has no weight"))
    trained = trainer()
    for _ in range(2):
        trained.step(0.0)


def test_a_texture_does_not_move() -> None:
    with pytest.raises(EngineError, match="pictures that move"):
        from_json({"kind": "texture", "steadiness": 1.0})
    with pytest.raises(EngineError, match="at least 0"):
        from_json({"steadiness": -1.0})
    assert isinstance(from_json({"kind": "keyframes", "frame_difference": 1.0}), KeyframesConfig)
