"""Networks, losses, the training loop and its export, on real tiny networks."""

from __future__ import annotations

import io
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor
from torch.overrides import TorchFunctionMode

from engine import style_pack
from engine.errors import EngineError
from engine.protocol import Done, Event, Preview, Progress, StyleReady, TrainRequest, TrainStep
from engine.training import losses
from engine.training.augment import augment
from engine.training.config import PicturesConfig, from_json
from engine.training.data import Pair, load_pair
from engine.training.export import in_8_bits, onnx_bytes, parity
from engine.training.foresight import last_call
from engine.training.loop import train
from engine.training.metrics import bidirectional_patch_distance, colour_transfer
from engine.training.networks import (
    SIGHT,
    SLOW,
    STRIDE,
    Critic,
    Encoder,
    Generator,
    GeneratorConfig,
    PatchCritic,
    macs_per_pixel,
    parameters,
    receptive_radius,
)
from engine.training.pictures import PictureSamples, PicturesTrainer
from engine.training.strokes import TURNS, Strokes, calm_pieces, pieces_by_direction, read_strokes, strokes_of
from engine.training.teacher import Exemplar
from engine.training.workspace import Workspace

TINY = GeneratorConfig(width=8, blocks=1, half=4, full=4, noise=2)
QUICK = {
    "size": 64,
    "style_side": 96,
    "crop": 48,
    "batch": 2,
    "critic_scales": 1,
    "pairs": 2,
    "steps": 4,
    "preview_every": 2,
    "critic_width": 4,
    "device": "cpu",
    "r1_every": 2,
    "generator": {"width": 8, "blocks": 1, "half": 4, "full": 4, "noise": 2},
    "teacher": {"levels": [0.5, 1.0], "rounds": [1, 1], "keys": 500},
}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A painting and two contents, made of coloured waves."""
    (tmp_path / "content").mkdir()
    y, x = np.mgrid[0:96, 0:112] / 20.0
    for name, phase in (("painting.png", 0.0), ("content/a.png", 1.0), ("content/b.png", 2.0)):
        waves = np.stack([np.sin(3 * x + phase), np.sin(2 * y + phase), np.sin(x + y + phase)], 2)
        Image.fromarray(((waves + 1) * 127).astype(np.uint8)).save(tmp_path / name)
    return tmp_path


def request(folder: Path, out: str = "style", resume: bool = False, **changes: object) -> TrainRequest:
    config = {**QUICK, **changes}
    return TrainRequest(
        "job", (str(folder / "painting.png"),), str(folder / "content"), str(folder / out), config, resume
    )


def test_training_ends_in_a_style_that_runs(pictures: Path) -> None:
    events = list(train(request(pictures)))
    assert isinstance(events[-1], Done)
    ready = next(e for e in events if isinstance(e, StyleReady))
    pack = style_pack.load(Path(ready.folder))
    assert pack.model.receptive_radius == receptive_radius(from_json(QUICK).generator)
    assert pack.recipe["training"]["steps"] == 4
    assert pack.model.inputs["noise"].strokes is not None and "strokes.bytes" in pack.files
    session = onnxruntime.InferenceSession(pack.read("generator.onnx"), providers=["CPUExecutionProvider"])
    noise = np.zeros((1, 2, 9, 5), np.float32)
    (result,) = session.run(None, {"image": np.zeros((1, 3, 36, 20), np.float32), "noise": noise})
    assert result.shape == (1, 3, 36, 20)
    assert all(Path(e.path).exists() for e in events if isinstance(e, Preview))


def test_the_recipe_holds_the_numbers_that_were_published(pictures: Path) -> None:
    """Not only the objective's name: another version may know other numbers."""
    list(train(request(pictures, objective="wgan", critic_steps=2)))
    recipe = style_pack.load(pictures / "style").recipe["training"]
    wanted = {"objective": "wgan", "optimiser": "rmsprop", "learning_rate": 5e-5, "clip": 0.01, "critic_steps": 2}
    assert {name: recipe[name] for name in wanted} == wanted


def test_the_pack_keeps_what_explanations_need(pictures: Path) -> None:
    list(train(request(pictures)))
    with safe_open(str(pictures / "style" / "training.safetensors"), "pt") as kept:
        stored = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118 (no mapping)
    pair = load_pair(pictures / "style.training" / "pairs" / "0000.safetensors")
    opened = {name: np.asarray(Image.open(io.BytesIO(stored[f"{name}/0"].numpy().tobytes()))) for name in
              ("content_webp", "match_field_png")}  # fmt: skip
    assert np.array_equal(opened["content_webp"], pair.content.permute(1, 2, 0).numpy())
    assert np.array_equal(opened["match_field_png"].reshape(pair.match_field.shape), pair.match_field.numpy())
    assert stored["tiles/0"].tolist() == [[0, 0, 0, 1]]
    assert {name.split("/")[0] for name in stored} >= {"critic", "encoder"}


def test_a_critic_stored_in_8_bits_judges_the_same() -> None:
    critic = Critic(8, 2)
    stored = {name: in_8_bits(weight) for name, weight in critic.state_dict().items()}
    again = Critic(8, 2)
    again.load_state_dict({name: s[""].float() * s.get(".step", torch.ones(1)) for name, s in stored.items()})
    picture = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        verdicts = [network(picture) for network in (critic, again)]
    for (one, _), (two, _) in zip(*verdicts, strict=True):
        assert float((one - two).square().mean().sqrt()) < 0.05 * float(one.std() + one.abs().mean())
    assert stored["scales.0.wide.weight"][""].dtype == torch.int8


def test_the_generator_can_be_had_back_from_its_model(pictures: Path) -> None:
    """It is kept nowhere else. Weights are stored in half precision, under their names."""
    list(train(request(pictures)))
    pack = style_pack.load(pictures / "style")
    model = onnx.load_from_string(pack.read("generator.onnx"))
    weights = {w.name.removesuffix(".half"): onnx.numpy_helper.to_array(w) for w in model.graph.initializer}
    assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float16)}
    generator = Generator(from_json(QUICK).generator)
    generator.load_state_dict({name: torch.from_numpy(weight.copy()) for name, weight in weights.items()})
    image, noise = torch.rand(1, 3, 36, 20), torch.randn(1, 2, 9, 5)
    session = onnxruntime.InferenceSession(pack.read("generator.onnx"), providers=["CPUExecutionProvider"])
    (ran,) = session.run(None, {"image": image.numpy(), "noise": noise.numpy()})
    assert np.abs(ran - generator(image, noise).detach().numpy()).max() < 1e-5


@pytest.mark.parametrize("settings", [{}, {"objective": "wgan"}, {"objective": "wgan-gp", "critic_norm": "spectral"}])
def test_a_resumed_run_equals_the_uninterrupted_one(pictures: Path, settings: dict) -> None:
    """Also with RMSprop's memory, a critic of several steps and the state of a spectral norm."""
    list(train(request(pictures, "whole", steps=6, **settings)))
    broken = train(request(pictures, "broken", steps=6, **settings))
    for event in broken:  # stopped by hand after the second checkpoint
        if isinstance(event, Preview) and event.caption == "Step 4":
            break
    broken.close()  # type: ignore[attr-defined]
    list(train(request(pictures, "broken", resume=True, steps=6, **settings)))
    one, two = (style_pack.load(pictures / name) for name in ("whole", "broken"))
    assert one.files["generator.onnx"] == two.files["generator.onnx"]


def test_the_adversarial_route_trains_without_a_teacher(pictures: Path) -> None:
    events = list(train(request(pictures, route="adversarial", size=72, crop=72)))
    assert isinstance(events[-1], Done)
    assert not list((pictures / "style.training" / "pairs").iterdir())
    ready = next(e for e in events if isinstance(e, StyleReady))
    assert style_pack.load(Path(ready.folder)).model.inputs["noise"].strokes is None  # plain noise


def test_without_a_critic_only_the_coarse_term_is_left(pictures: Path) -> None:
    without = {"adversarial": 0.0, "features": 0.0, "patches": 0.0, "reconstruction": 0.0}
    events: list[Event] = list(train(request(pictures, **without)))
    steps = [e for e in events if isinstance(e, TrainStep)]
    assert steps
    assert set(steps[-1].losses) == {"coarse"}


def test_while_warming_up_the_critic_stands_by() -> None:
    trainer = trainer_of(from_json({**QUICK, "steps": 6, "warm_up": 0.5}))
    fresh = [p.clone() for p in trainer.critic.parameters()]
    told, free = {"code", "reconstruction"}, {"coarse", "latent"}
    assert set(trainer.step(0.0)) == told
    assert set(trainer.step(0.0)) == told | free
    assert all(torch.equal(a, b) for a, b in zip(fresh, trainer.critic.parameters(), strict=True))
    assert set(trainer.step(0.0)) == told | free | {"critic", "adversarial", "features"}
    assert not all(torch.equal(a, b) for a, b in zip(fresh, trainer.critic.parameters(), strict=True))


def trainer_of(config: PicturesConfig, began: float = 0.0) -> PicturesTrainer:
    samples = PictureSamples(config, pairs_with(0.5), [], [Exemplar(torch.rand(3, 100, 100))], torch.device("cpu"))
    return PicturesTrainer(samples, torch.device("cpu"), began)


@pytest.mark.parametrize("settings", [{}, {"objective": "wgan-gp", "critic_norm": "spectral"}])
def test_half_precision_teaches_what_full_precision_does(settings: dict) -> None:
    """As on a graphics card, here with what the processor has of it: losses near, and weights still float32."""
    config = from_json({**QUICK, "warm_up": 0.0, "r1_every": 1, **settings})
    full = trainer_of(config)
    assert not full.half  # never on a processor by itself
    wanted = replace(full.samples, config=replace(config, precision="bfloat16"))
    half = PicturesTrainer(wanted, torch.device("cpu"))
    assert half.half
    for _ in range(4):
        ours, theirs = half.step(0.0), full.step(0.0)
        assert set(ours) == set(theirs)
        for name, value in ours.items():
            assert value.dtype == torch.float32
            assert float(value) == pytest.approx(float(theirs[name]), rel=0.05, abs=0.02), name
    assert {p.dtype for network in half.taught.values() for p in network.parameters()} == {torch.float32}
    for name in {"r1", "penalty"} & set(theirs := full.meter.read()):
        assert half.meter.read()[name] == pytest.approx(theirs[name], rel=0.1)


def test_networks_compute_in_bfloat16_and_penalties_in_full() -> None:
    trainer = trainer_of(from_json({**QUICK, "warm_up": 0.0, "r1_every": 2, "objective": "wgan-gp", "r1": 0.1}))
    trainer.half = True
    seen: list[tuple[str, torch.dtype]] = []

    def watch(name: str, module: torch.nn.Module) -> None:
        module.register_forward_hook(lambda m, inputs, result: seen.append((name, result.dtype)))

    watch("generator", trainer.taught["generator"].leave)  # type: ignore[arg-type]
    watch("critic", trainer.critic.scales[0].out)  # type: ignore[arg-type]
    trainer.config = replace(trainer.config, critic_steps=1)
    trainer.step(0.0)
    assert {dtype for name, dtype in seen if name == "generator"} == {torch.bfloat16}
    # real, fake and between them; then what was painted and what is wanted
    half, full = torch.bfloat16, torch.float32
    assert [dtype for name, dtype in seen if name == "critic"] == [half, half, full, half, half]
    seen.clear()
    trainer.step(0.0)
    assert [dtype for name, dtype in seen if name == "critic"] == [full, half, full, half, half]


class Waits(TorchFunctionMode):
    """Notes where the engine asks for the value of a tensor: on a graphics card this process would wait for it."""

    ASKING = ("item", "tolist", "__float__", "__int__", "__bool__", "__index__", "cpu", "numpy", "nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        caller = sys._getframe(1).f_code
        if func.__name__ in self.ASKING and "engine/training" in Path(caller.co_filename).as_posix():
            self.places.add(caller.co_name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", [{}, {"objective": "wgan-gp", "r1": 0.1, "critic_steps": 2}])
def test_no_step_waits_for_what_it_computes(settings: dict) -> None:
    trainer = trainer_of(from_json({**QUICK, "warm_up": 0.0, "r1_every": 1, **settings}))
    trainer.care = replace(trainer.care, turn=0.5)
    trainer.step(0.0)  # the first one looks for free windows
    with Waits() as waits:
        trainer.step(0.0)
        places = set(waits.places)
        trainer.meter.read()  # this does wait, and is noticed
    assert places == {"_of_style"}  # which window is where, on the processor
    assert len(waits.places) == 2


def test_what_the_critic_sees_is_turned_from_the_first_step_where_asked() -> None:
    """At a chance of 1 it stands on its head and its sides are swapped; what diagnosis asks for is no less."""
    pictures = torch.rand(2, 3, 64, 64)
    plain, turned = (trainer_of(from_json({**QUICK, "rotate": rotate})) for rotate in (0.0, 1.0))
    seen, other = (t._augmented(pictures, torch.Generator().manual_seed(4)) for t in (plain, turned))
    assert torch.equal(other, seen.flip(2).transpose(2, 3))
    plain.care = replace(plain.care, turn=1.0)
    assert torch.equal(plain._augmented(pictures, torch.Generator().manual_seed(4)), other)
    with pytest.raises(EngineError, match="rotate"):
        from_json({**QUICK, "rotate": 1.5})


def test_learning_rates_fall_to_a_twentieth_in_either_part_of_a_run() -> None:
    trainer = trainer_of(from_json({**QUICK, "steps": 200, "warm_up": 0.5}))

    def rate(progress: float) -> float:
        trainer._set_learning_rate(trainer._part(progress)[1])
        return float(trainer.optimiser.param_groups[0]["lr"]) / trainer.config.learning_rate

    assert [rate(p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx([1.0, 0.5, 1.0, 0.5, 0.05])
    assert rate(0.499) == pytest.approx(0.05)


def test_what_the_teacher_used_of_a_budget_is_not_taken_from_the_warm_up() -> None:
    trainer = trainer_of(from_json({**QUICK, "steps": 10**6, "budget": 108.0}), began=40.0)
    trainer.end = 5.6
    assert last_call(108.0, trainer.end) == pytest.approx(100.0)
    assert trainer.progress(40.0) == 0.0
    assert trainer.progress(70.0) == pytest.approx(0.5)
    assert trainer.progress(100.0) == pytest.approx(1.0)


def test_what_is_left_is_told_by_the_pace_of_the_steps() -> None:
    """Not by the teacher's time before them, nor by the steps of an earlier run."""
    trainer = trainer_of(from_json({**QUICK, "steps": 100}), began=40.0)
    trainer.steps_done = 10
    assert trainer.seconds_left(45.0) == pytest.approx(45.0)
    resumed = trainer_of(from_json({**QUICK, "steps": 100}), began=1.0)
    resumed.restore(trainer.state())
    resumed.set_out(51.0)
    resumed.steps_done = 30
    assert resumed.seconds_left(61.0) == pytest.approx(35.0)


def test_a_resumed_run_goes_on_in_its_budget() -> None:
    """Where in the schedule it was, and with what was left: neither a pause nor loading again begins it anew."""
    config = from_json({**QUICK, "steps": 10**6, "budget": 108.0})
    paused = trainer_of(config, began=40.0)
    paused.end = 5.6
    assert last_call(108.0, paused.end) == pytest.approx(100.0)
    paused.step(58.0)
    resumed = trainer_of(config, began=64.0)  # four seconds for loading
    resumed.restore(paused.state())
    resumed.set_out(64.0)
    assert resumed.progress(64.0) == pytest.approx(0.4)
    assert resumed.seconds_left(67.0) == pytest.approx(33.0)
    assert not resumed.finished(99.0) and resumed.finished(100.1)


def paused_after(events: Iterator[Event], kind: type[Event]) -> None:
    next(event for event in events if isinstance(event, kind))
    events.close()  # type: ignore[attr-defined]


def test_a_pause_is_not_counted_and_the_sessions_are(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    asked = request(pictures, steps=10**6, budget=600.0)
    training = train(asked)
    assert isinstance(next(training), Progress)
    now[0] += 100.0
    paused_after(training, Progress)  # in the middle of the teacher's work
    now[0] += 5000.0
    again = train(replace(asked, resume=True))
    next(event for event in again if isinstance(event, TrainStep))
    now[0] += 200.0
    again.close()  # type: ignore[attr-defined]
    assert Workspace(pictures / "style.training").spent() == pytest.approx(300.0)

    now[0] += 5000.0
    last = train(replace(asked, resume=True))
    next(event for event in last if isinstance(event, TrainStep))
    now[0] += 50.0
    step = next(event for event in last if isinstance(event, TrainStep))
    assert step.seconds_left == pytest.approx(last_call(600.0, 0.0) - 350.0)  # by this clock the end takes no time


def test_a_run_whose_budget_is_used_up_ends_at_once_when_resumed(pictures: Path) -> None:
    asked = request(pictures, steps=10**6, budget=1.0)
    first = list(train(asked))[-1]
    spent = Workspace(pictures / "style.training").spent()
    events = list(train(replace(asked, resume=True)))
    assert isinstance(first, Done) and isinstance(events[-1], Done)
    assert events[-1].report["steps"] == first.report["steps"]
    assert not any(isinstance(event, TrainStep) for event in events)
    assert any(isinstance(event, StyleReady) for event in events)
    assert events[-1].report["seconds"] > spent > 0  # counted on from what was kept: an export is no part of it


def test_the_adversarial_route_brings_settings_of_its_own() -> None:
    config = from_json({"route": "adversarial", "patches": 6.0})
    assert (config.adversarial, config.features, config.patches, config.r1) == (1.0, 3.0, 6.0, 0.02)
    assert from_json({"route": "adversarial", "objective": "wgan"}).learning_rate == 5e-5
    assert from_json({"route": "teacher"}) == PicturesConfig()


def test_a_budget_ends_the_run(pictures: Path) -> None:
    events = list(train(request(pictures, steps=100000, budget=1.0)))
    assert isinstance(events[-1], Done)
    assert events[-1].report["steps"] < 100000


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"crop": 30}, "crop"),
        ({"critic_scales": 2}, "too small for that many scales"),
        ({"critic_scales": 0}, "critic_scales"),
        ({"precision": "half"}, "precision"),
        ({"route": "magic"}, "route"),
        ({"steps": "many"}, "steps"),
        ({"stepz": 3}, "stepz"),
        ({"generator": {"depth": 3}}, "depth"),
        ({"weights": [1, 0]}, "weights must be numbers above 0"),
        ({"weights": [0.3, 0.7]}, "1 style pictures, 2 weights"),
        ({"teacher": {"turns": [0, 4]}}, "turns"),
        ({"teacher": {"turns": [[0]]}}, "turns"),
        ({"teacher": {"scales": []}}, "scales"),
        ({"teacher": {"tiles": 0}}, "tiles"),
        ({"teacher": {"stride": 7}}, "stride"),
        ({"teacher": {"levels": [0.5, 1.0], "rounds": [1]}}, "rounds for each of its levels"),
        ({"teacher": {"levels": [], "rounds": []}}, "last level"),
        ({"teacher": {"levels": [0.1], "rounds": [1]}}, "last level must lay patches that fit into a crop"),
        ({"teacher": {"levels": [0.0, 1.0], "rounds": [1, 1]}}, "levels must be above 0"),
        ({"teacher": {"levels": ["half", 1.0]}}, "levels cannot be 'half'"),
        ({"teacher": {"rounds": [3, 3, 2, 0]}}, "rounds must be at least 1"),
        ({"teacher": {"keys": 0}}, "the teacher's keys must be at least 1"),
        ({"teacher": {"components": 0}}, "the teacher's components must be at least 1"),
        ({"teacher": {"spread": -1}}, "the teacher's spread must be at least 0"),
        ({"teacher": {"guide_blur": -1.0}}, "the teacher's guide_blur must be at least 0"),
        ({"teacher": {"completeness": 0.0}}, "completeness must be above 0"),
        ({"teacher": {"jitter": math.inf}}, "jitter cannot be inf"),
        ({"teacher": 3}, "teacher cannot be 3"),
        ({"preview_every": 0}, "preview_every must be at least 1"),
        ({"coarse_pixels": 0}, "coarse_pixels must be from 1 to crop"),
        ({"coarse_pixels": 49}, "coarse_pixels must be from 1 to crop"),
        ({"average": 2.0}, "average, beta1 and beta2 must be at least 0 and below 1"),
        ({"average": 1.0}, "average"),
        ({"style_share": 1.1}, "style_share must be between 0 and 1"),
        ({"style_share": -0.1}, "style_share must be between 0 and 1"),
        ({"learning_rate": math.nan}, "learning_rate cannot be nan"),
        ({"budget": math.inf}, "budget cannot be inf"),
        ({"critic_width": 0}, "critic_width must be at least 1"),
        ({"generator": {"width": 0}}, "generator.width must be at least 1"),
        ({"generator": {"blocks": 0}}, "generator.blocks must be at least 1"),
        ({"generator": {"half": 0}}, "generator.half must be at least 1"),
        ({"generator": {"full": -1}}, "generator.full must be at least 1"),
        ({"generator": {"noise": 0}}, "generator.noise must be at least 1"),
        ({"generator": {"kind": "sparse"}}, "dense or separable"),
        ({"generator": {"blocks": 2, "dilations": [1]}}, "one for each block"),
        ({"generator": {"dilations": [0]}}, "dilations must be at least 1"),
        ({"generator": {"guides": [[]]}}, "different ones"),
    ],
)
def test_wrong_settings_are_named_before_anything_starts(pictures: Path, changes: dict, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        next(train(request(pictures, **changes)))
    assert not (pictures / "style.training").exists()


def test_a_training_is_never_overwritten_by_accident(pictures: Path) -> None:
    list(train(request(pictures)))
    with pytest.raises(EngineError, match="already"):
        next(train(request(pictures)))
    with pytest.raises(EngineError, match="other settings"):
        next(train(request(pictures, resume=True, batch=1)))


SEPARABLE = GeneratorConfig(kind="separable", width=8, blocks=2, dilations=(1, 2), noise=2)


@pytest.mark.parametrize("config", [TINY, SEPARABLE, replace(TINY, skip=True)])
def test_the_generator_sees_no_further_than_it_says(config: GeneratorConfig) -> None:
    """Neither in the picture nor in the noise, from whichever place on the inner grid."""
    radius = receptive_radius(config)
    size = 2 * (radius + 4 * STRIDE) // STRIDE * STRIDE
    generator = Generator(config).double()
    reached = 0
    for offset in range(STRIDE):
        image = torch.rand(1, 3, size, size, dtype=torch.double, requires_grad=True)
        noise = torch.randn(1, config.noise, size // STRIDE, size // STRIDE, dtype=torch.double, requires_grad=True)
        centre = size // 2 + offset
        generator(image, noise)[0, :, centre, centre].sum().backward()
        assert image.grad is not None and noise.grad is not None
        for grad, cell in ((image.grad, 1), (noise.grad, STRIDE)):
            rows = (grad[0].abs().sum((0, 2)) > 0).nonzero()
            first, last = int(rows.min()) * cell, int(rows.max()) * cell + cell - 1
            assert centre - first <= radius and last - centre <= radius
            reached = max(reached, last - first)
    assert reached > radius  # the bound is not absurdly wide


def test_the_critic_sees_as_far_as_it_says() -> None:
    critic = PatchCritic(4)
    assert critic(torch.rand(1, 3, SIGHT, SIGHT))[0].shape == (1, 1, 1, 1)
    with pytest.raises(RuntimeError):
        critic(torch.rand(1, 3, SIGHT - 1, SIGHT - 1))


@pytest.mark.parametrize(
    ("kind", "weights", "biases"), [("dense", 2 * 9 * 8 * 8, 16), ("separable", 49 * 8 + 2 * 8 * 24, 8 + 24 + 8)]
)
def test_macs_and_parameters_of_a_known_network(kind: str, weights: int, biases: int) -> None:
    config = replace(TINY, kind=kind)
    # by hand, per picture pixel: stride-4 layers count 1/16, stride-2 layers 1/4
    inner = (3 * 64 + 2 * 9) * 8 + weights
    half = 9 * 8 * 4 + 9 * 4 * 4
    full = 9 * 4 * 4 + 9 * 4 * 3
    assert macs_per_pixel(config) == pytest.approx(inner / 16 + half / 4 + full)
    assert parameters(Generator(config)) == inner + half + full + (8 + 8 + biases + 4 + 4 + 4 + 3)


def test_the_encoder_learns_which_strokes_were_meant() -> None:
    """Told through its noise, the generator paints stripes that its grey content does not determine."""
    torch.manual_seed(0)
    generator, encoder = Generator(TINY), Encoder(TINY)
    content, painted = torch.full((2, 3, 48, 48), 0.5), torch.full((2, 3, 48, 48), 0.2)
    painted[0, :, (torch.arange(48) // 8) % 2 == 1] = 0.8
    painted[1, :, :, (torch.arange(48) // 8) % 2 == 1] = 0.8
    optimiser = torch.optim.Adam([*generator.parameters(), *encoder.parameters()], 0.01)
    for _ in range(100):
        mean, log_variance = encoder(content, painted)
        loss = (generator(content, mean) - painted).abs().mean() + 0.005 * losses.code_divergence(mean, log_variance)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float((generator(content, encoder(content, painted)[0]) - painted).abs().mean().detach()) < 0.1


def test_strokes_tell_nothing_that_changes_slowly() -> None:
    painted = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    mean = Encoder(TINY)(painted, painted)[0].detach()
    inside = mean[..., SLOW:-SLOW, SLOW:-SLOW]
    slow = torch.nn.functional.avg_pool2d(inside, 2 * SLOW, 1)
    assert float(slow.abs().mean()) < 0.1 * float(inside.abs().mean())


def test_strokes_are_equally_strong_where_there_are_any() -> None:
    """How lively a place is must not be told: it would leave holes in another content."""
    painted = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    painted[..., 80:] = 0.5 + (painted[..., 80:] - 0.5) * 0.4  # calmer strokes
    encoder = Encoder(TINY)
    with torch.no_grad():
        encoder.out.weight.mul_(10)  # far above silence
        mean = encoder(painted, painted)[0]
    lively, calm = (part.square().mean().sqrt() for part in (mean[..., 5:-5, 5:15], mean[..., 5:-5, 25:35]))
    assert float(calm / lively) == pytest.approx(1.0, abs=0.1)


def test_reading_free_strokes_again_teaches_the_generator_alone() -> None:
    """Else the two would agree on marks that nobody sees."""
    weights = dict.fromkeys(("code", "reconstruction", "coarse", "adversarial", "features", "patches"), 0.0)
    trainer = trainer_of(from_json({**QUICK, "warm_up": 0.0, **weights, "reconstruction": 1e-30}))
    before = {name: [p.clone() for p in network.parameters()] for name, network in trainer.taught.items()}
    trainer.step(0.0)
    moved = {
        name: any(not torch.allclose(a, b, atol=1e-6) for a, b in zip(before[name], network.parameters(), strict=True))
        for name, network in trainer.taught.items()
    }
    assert moved == {"generator": True, "encoder": False}


def pairs_with(detail: float, count: int = 3, size: int = 100) -> list[Pair]:
    random = torch.Generator().manual_seed(round(100 * detail))
    made = []
    for _ in range(count):
        content = (128 + detail * 60 * torch.randn(3, size, size, generator=random)).clamp(0, 255).byte()
        made.append(
            Pair(content, torch.randint(0, 256, (3, size, size), generator=random).byte(), torch.zeros(3, 1, 1))
        )
    return made


def painted(seed: int, height: int = 200, width: int = 240) -> Tensor:
    """(3, height, width) 0..1 with strokes everywhere"""
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def test_a_stroke_field_has_no_seam_and_keeps_the_strength_of_the_strokes() -> None:
    torch.manual_seed(0)
    encoder, pictures = Encoder(TINY), [painted(seed) for seed in range(3)]
    strokes = strokes_of(encoder, [Exemplar(picture) for picture in pictures])
    read = read_strokes(encoder, torch.stack(pictures))[:, :, 4:-4, 4:-4]
    assert strokes.turned.shape[:2] == (TURNS, 2) and 80 < strokes.turned.shape[3] < 112
    assert strokes.field.shape[0] == 2 and 200 < strokes.field.shape[2] < 312
    for field in (strokes.field, *strokes.turned):
        assert field.shape[1] == field.shape[2]
        assert float(field.std()) == pytest.approx(float(read.std()), rel=0.15)
        steps = (field - field.roll(1, 2)).abs().mean((0, 1))
        assert float(steps[0]) < 1.5 * float(steps.mean())  # across the border as anywhere


def test_a_stroke_field_is_quilted_from_calm_pieces() -> None:
    """A bright square in an otherwise calmly painted picture must not come along, nor what is masked."""
    torch.manual_seed(0)
    encoder, calm, spotted, masked = Encoder(TINY), painted(0), painted(1), painted(2)
    spotted[:, 80:140, 80:140] = 1.0
    mask = torch.ones(masked.shape[1:], dtype=torch.uint8)
    mask[90:100, 90:100] = 0
    pieces = calm_pieces(encoder, [Exemplar(spotted), Exemplar(calm), Exemplar(masked, mask=mask)])
    read = read_strokes(encoder, calm[None])[0]
    size = pieces[0].shape[1]
    windows = read.unfold(1, size, 1).unfold(2, size, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
    assert all((windows == piece).all((1, 2, 3)).any() for piece in pieces)


class Slope(Encoder):
    """Reads off a picture how steeply it changes across and down: strokes whose direction can be told."""

    def forward(self, content: Tensor, painted: Tensor) -> tuple[Tensor, Tensor]:
        light = torch.nn.functional.pad(painted.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        across, down = light[:, :, 1:-1, 2:] - light[:, :, 1:-1, :-2], light[:, :, 2:, 1:-1] - light[:, :, :-2, 1:-1]
        products = torch.cat([down**2 - across**2, -2 * down * across], 1)
        return torch.nn.functional.avg_pool2d(products, 4), torch.zeros(())


def test_strokes_by_directions_run_that_way() -> None:
    """A painting whose strokes all fall steeply has them in every direction, once it is turned."""
    down, across = torch.meshgrid(torch.arange(320.0), torch.arange(280.0), indexing="ij")
    angle = math.radians(60)  # from x to the right towards y down
    stripes = 0.5 + 0.4 * torch.sin((math.cos(angle) * down - math.sin(angle) * across) / 2)
    found = pieces_by_direction(Slope(TINY), [Exemplar(stripes.expand(3, 320, 280))])
    assert len(found) == TURNS
    for turn, pieces in enumerate(found):
        x, y = torch.stack(pieces).mean((0, 2, 3))
        wanted = 2 * math.pi * turn / TURNS
        away = math.remainder(math.atan2(y, x) - wanted, 2 * math.pi) / 2
        assert abs(math.degrees(away)) <= 90 / TURNS + 1


def test_what_is_masked_is_not_in_the_turned_strokes() -> None:
    torch.manual_seed(0)
    mask = torch.ones(240, 240, dtype=torch.uint8)
    mask[:120] = 0
    picture = torch.rand(3, 240, 240) * 0.2
    picture[:, :120] = torch.rand(3, 120, 240)  # five times as lively
    pieces = [piece for group in pieces_by_direction(Slope(TINY), [Exemplar(picture, mask=mask)]) for piece in group]
    assert max(float(piece.abs().mean()) for piece in pieces) < 0.1


def test_pieces_of_pictures_of_different_sizes_fit_together() -> None:
    torch.manual_seed(0)
    strokes = strokes_of(Encoder(TINY), [Exemplar(painted(0, 300, 340)), Exemplar(painted(1, 100, 200))])
    assert strokes.field.isfinite().all() and strokes.turned.isfinite().all()


def test_packed_strokes_are_what_they_were_within_half_a_step() -> None:
    random = torch.Generator().manual_seed(0)
    strokes = Strokes(torch.randn(2, 40, 48, generator=random), torch.randn(3, 2, 9, 8, generator=random))
    item, files = strokes.packed()
    low, high = item.range
    assert item.strokes and (item.strokes.rows, item.strokes.columns) == (40, 48)
    assert item.turned and (item.turned.turns, item.turned.rows, item.turned.columns) == (3, 9, 8)
    for table, wanted in ((item.strokes, strokes.field), (item.turned, strokes.turned)):
        values = low + np.frombuffer(files[table.file], np.uint8).reshape(wanted.shape) * ((high - low) / 255)
        assert np.abs(values - wanted.clamp(low, high).numpy()).max() <= (high - low) / 255 / 2 + 1e-5


def test_the_code_divergence_on_hand_computed_numbers() -> None:
    # KL of N(1, e) from N(0, 1) is (1 + e - 1 - 1) / 2
    divergence = losses.code_divergence(torch.ones(2, 2), torch.ones(2, 2))
    assert float(divergence) == pytest.approx((np.e - 1) / 2)
    assert float(losses.code_divergence(torch.zeros(2), torch.zeros(2))) == 0.0


def test_export_parity_and_its_alarm() -> None:
    generator = Generator(TINY)
    data = onnx_bytes(generator)
    assert parity(generator, data) <= 1e-4
    with torch.no_grad():
        generator.leave.bias += 0.01
    with pytest.raises(EngineError, match="differs"):
        parity(generator, data)


def test_coarse_l1_is_blind_to_strokes_and_sees_colour() -> None:
    stripes = torch.zeros(1, 3, 32, 32)
    stripes[..., ::2] = 1.0
    assert float(losses.coarse_l1(stripes, stripes.roll(1, 3), 8)) == 0.0
    assert float(losses.coarse_l1(stripes, stripes + 0.25, 8)) == pytest.approx(0.25)


def test_structure_ignores_brightness_and_sees_inversion() -> None:
    coarse = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    content = torch.nn.functional.interpolate(coarse, scale_factor=8.0)
    assert float(losses.structure(content * 0.5 + 0.2, content)) == pytest.approx(0.0, abs=0.02)
    assert float(losses.structure(1 - content, content)) == pytest.approx(2.0, abs=0.02)


def test_sliced_wasserstein_of_a_shift() -> None:
    """Shifting every value by c moves each projection by c * sum(axis): the distance is c * E|sum(axis)|."""
    random = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 40, 40, generator=random)
    assert float(losses.sliced_wasserstein(picture, picture, 7, 2, 32, random)) == 0.0
    distance = float(losses.sliced_wasserstein(picture + 0.1, picture, 7, 1, 4000, random))
    # a random unit axis in d dimensions has E|sum| = sqrt(2 / pi) for large d
    assert distance == pytest.approx(0.1 * (2 / np.pi) ** 0.5, rel=0.05)


def test_augmentation_shows_windows_with_holes_and_fills_nothing_in() -> None:
    pictures = torch.rand(3, 3, 32, 32) + 0.1
    pictures.requires_grad_()
    out = augment(pictures, torch.Generator().manual_seed(0))
    assert out.shape == (3, 3, 28, 28)
    values = set(out.detach().flatten().tolist())
    assert values <= set(pictures.detach().flatten().tolist()) | {0.0}
    assert int((out == 0).all(1).sum()) == 3 * 7 * 7  # the holes and nothing else
    out.sum().backward()
    assert pictures.grad is not None
    assert set(pictures.grad.unique().tolist()) == {0.0, 1.0}


def test_patch_distance_orders_known_pictures() -> None:
    painting = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    same = bidirectional_patch_distance(painting[:, :40, :40], painting)
    noise = bidirectional_patch_distance(torch.rand(3, 40, 40), painting)
    assert same[0] == pytest.approx(0.0, abs=1e-2)
    assert noise[0] > 1.0
    assert same[1] < noise[1] + 0.5


def test_colour_transfer_takes_the_palette_in_order_of_luminance() -> None:
    painting = torch.linspace(0, 1, 64 * 64).view(1, 64, 64) * torch.tensor([1.0, 0.5, 0.0]).view(3, 1, 1)
    content = torch.linspace(1, 0, 256).view(1, 16, 16).repeat(3, 1, 1)
    result = colour_transfer(content, painting)
    assert float(result[0, 0, 0]) > 0.95
    assert float(result[0, -1, -1]) < 0.05
    torch.testing.assert_close(result[1], result[0] / 2)


def test_config_survives_json() -> None:
    config = from_json(json.loads(json.dumps(QUICK)))
    assert config.generator.width == 8
    assert config.teacher.levels == (0.5, 1.0)
    assert from_json({}) == PicturesConfig()
