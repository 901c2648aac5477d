"""Diagnosis: numbers of real tiny networks, each symptom provoked on purpose, healthy runs, and how a run ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from test_training import QUICK, pictures, request
from torch import Tensor

from engine import style_pack
from engine.errors import EngineError
from engine.protocol import (
    Diagnosis,
    Done,
    Event,
    Finding,
    Preview,
    Progress,
    StyleReady,
    TrainStep,
    finish_file,
    from_line,
    to_line,
)
from engine.training import diagnostics
from engine.training.augment import augment
from engine.training.charts import Chart, picture, svg
from engine.training.config import PicturesConfig, from_json
from engine.training.data import Pair, to_bytes
from engine.training.diagnostics import Diagnostics, symptoms, treated
from engine.training.loop import train
from engine.training.meters import Meter, Probe
from engine.training.metrics import grid_energy, palette_distance
from engine.training.networks import SIGHT, Generator, GeneratorConfig
from engine.training.objectives import OBJECTIVES, verdict_numbers
from engine.training.pictures import PictureSamples, PicturesTrainer, split_content, split_style
from engine.training.teacher import Exemplar
from engine.training.trainer import Care
from engine.training.workspace import GOOD, Workspace

__all__ = ["pictures"]  # the fixture
CPU = torch.device("cpu")


def blobs(seed: int, height: int = 60, width: int = 150) -> Tensor:
    """A soft pattern (3, height, width), as no other seed makes it."""
    coarse = torch.rand(1, 3, height // 6, width // 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0]


def trainer_of(**changes: object) -> PicturesTrainer:
    """A tiny one on pairs, or on its own contents by the adversarial route, with a strip of its style held out."""
    config = from_json({**QUICK, "warm_up": 0.0, "steps": 10**6, "crop": 48, "critic_width": 8, **changes})
    assert isinstance(config, PicturesConfig)
    style, strip = split_style(blobs(0, 80, 160), config)
    assert strip is not None
    return PicturesTrainer(PictureSamples(config, pairs(), [], [Exemplar(style)], CPU, [], [strip]), CPU)


def pairs() -> list[Pair]:
    """Patterns and what a hand makes of them that swaps red and blue: nothing in it is left to chance."""
    contents = [to_bytes(blobs(100 + seed, 100, 100)) for seed in range(3)]
    return [Pair(content, content.flip(0), torch.zeros(2, 1, 1)) for content in contents]


def examined(trainer: PicturesTrainer, folder: Path, times: int, every: int = 2) -> list[Diagnosis]:
    """`times` more diagnoses of a trainer, one after `every` steps."""
    doctor = Diagnostics(trainer, Workspace(folder))
    for _ in range(times):
        for _ in range(every):
            trainer.step(0.0)
        doctor.examine("job", 0.0)
    return doctor.history[-times:]


def found(diagnosis: Diagnosis) -> set[str]:
    return {finding.symptom for finding in diagnosis.findings}


# ---------------------------------------------------------------- known answers


@pytest.mark.parametrize(
    ("history", "symptom"),
    [
        ([{"told_apart": 0.99}] * 3, "critic wins"),
        ([{"r_v": 0.6, "r_t": 0.7}] * 3, "critic memorises"),
        ([{"content_diversity": 0.05}] * 3, "mode collapse"),
        ([{"seed_diversity": 0.01}] * 3, "stroke collapse"),
        ([{"gradient": 10.0}] * 4 + [{"gradient": 0.009}] * 3, "vanishing gradient"),
        ([{"gradient": 10.0}] * 3 + [{"gradient": 301.0}], "exploding gradient"),
        ([{"critic_gradient": 1.0}] * 3 + [{"critic_gradient": 31.0}], "exploding gradient"),
        ([{"palette": 0.05}] + [{"palette": 0.14}] * 3, "palette drift"),
        ([{"grid": 3.0}] * 3, "grid artefact"),
    ],
)
def test_each_symptom_is_found_and_said_in_a_sentence(history: list[dict[str, float]], symptom: str) -> None:
    (finding,) = symptoms(history)
    assert finding.symptom == symptom
    assert re.search(r"\d", finding.evidence) and finding.evidence.endswith(".") and finding.advice.endswith(".")


@pytest.mark.parametrize(
    "history",
    [
        [{"told_apart": 0.99}, {"told_apart": 0.9}, {"told_apart": 0.99}, {"told_apart": 0.99}],  # comes and goes
        [{"r_v": 0.9, "r_t": 0.2}] * 3,  # an unsure critic has learned nothing by heart
        [{"gradient": 10.0}] * 2 + [{"gradient": 301.0}],  # nothing is usual yet
        [{"gradient": 1.0}] * 9 + [{"gradient": 40.0, "told_apart": 0.5}],  # the critic sets in
        [{"critic_gradient": g} for g in (0.0, 3.0, 0.0, 0.0, 5.0)],  # hinge: right about everything for a while
        [{"palette": 0.3}] * 3 + [{"palette": 0.1}],  # on its way there
        [{"grid": 3.0}] * 2,
        [{"content_diversity": 0.0, "step": 30}] * 3,  # too young to tell
        [{"critic": 0.1, "adversarial": 3.0}, {"critic": 2.0, "adversarial": -3.0}] * 4,  # losses, up and down
        [{}],
    ],
)
def test_what_is_no_symptom(history: list[dict[str, float]]) -> None:
    assert symptoms(history) == ()


def test_treatments_go_up_and_down_and_end_somewhere() -> None:
    wins, memorises = (Finding(symptom, "", "") for symptom in ("critic wins", "critic memorises"))
    care, (said, _) = treated(Care(), (wins, memorises), {"told_apart": 0.99, "r_v": 0.6})
    assert care == Care(critic_rate=0.5, turn=0.1) and "0.5" in said.done
    assert treated(care, (), {"told_apart": 0.95, "r_v": 0.4})[0] == care
    assert treated(care, (), {"told_apart": 0.8, "r_v": 0.1})[0] == Care()
    for _ in range(20):
        care, last = treated(care, (wins, memorises), {})
    assert care == Care(critic_rate=0.125, turn=0.6) and [finding.done for finding in last] == ["", ""]


def test_what_the_critic_says_on_hand_computed_numbers() -> None:
    real, fake = torch.tensor([3.0, 1.0, -1.0, 1.0]), torch.tensor([-1.0, -1.0, 0.0, 2.0])
    numbers = verdict_numbers(OBJECTIVES["hinge"], [(real, [])], [(fake, [])])
    # the middle of the means 1 and 0 is .5: three of four lie above it, three of four below
    wanted = {"critic_real": 1.0, "critic_fake": 0.0, "told_apart": 0.75, "r_t": 0.5}
    assert {name: float(value) for name, value in numbers.items()} == wanted
    assert float(verdict_numbers(OBJECTIVES["lsgan"], [(real, [])], [(fake, [])])["r_t"]) == 0.5
    assert "r_t" not in verdict_numbers(OBJECTIVES["wgan"], [(real, [])], [(fake, [])])


def test_a_meter_gives_means_and_survives_a_checkpoint() -> None:
    meter, other = Meter(), Meter()
    for value in (1.0, 2.0):
        meter.add(loss=torch.tensor(value))
    other.restore(meter.state(), CPU)
    for one in (meter, other):
        one.add(loss=torch.tensor(6.0), late=torch.tensor(5.0))
        assert one.read() == {"loss": 3.0, "late": 5.0}
        assert one.read() == {}


def test_palette_distance_of_a_tint() -> None:
    pattern = blobs(3) * 0.8
    assert palette_distance(pattern, pattern) == 0.0
    assert palette_distance(pattern + 0.1, pattern) == pytest.approx(0.1, abs=1e-4)
    assert palette_distance(pattern.flip(2), pattern) == 0.0  # where colours lie does not matter


def test_pixel_shuffle_leaves_a_grid_and_resize_convolutions_do_not() -> None:
    torch.manual_seed(0)
    content = torch.stack([blobs(seed, 96, 96) for seed in range(4)])
    shuffled = torch.nn.Sequential(
        torch.nn.Conv2d(3, 48, 8, stride=4, padding=2), torch.nn.PixelShuffle(4), torch.nn.Conv2d(3, 3, 3, padding=1)
    )
    with torch.no_grad():
        meshed = shuffled(content)
        resized = Generator(GeneratorConfig(width=8, blocks=1))(content, torch.randn(4, 4, 24, 24))
    assert grid_energy(meshed, 4) > diagnostics.LIMITS.grid
    assert grid_energy(resized, 4) < diagnostics.LIMITS.grid / 2


def test_a_grid_is_measured_against_a_style_that_has_one() -> None:
    """Woven linen, say: there it belongs to the hand."""
    woven = (blobs(1, 96, 96) + 0.2 * (torch.arange(96) % 4 < 2)) / 1.2
    painted = torch.stack([woven, woven.flip(1)])
    plain, linen = (
        diagnostics.probe_numbers(Probe(painted, painted, (style,)))["grid"] for style in (blobs(2, 96, 96), woven)
    )
    assert plain > diagnostics.LIMITS.grid and linen < 1.5


def test_turning_keeps_every_value_and_has_its_chance() -> None:
    pictures = torch.rand(400, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    shown = augment(pictures, torch.Generator().manual_seed(1), 0.0, 0.0, turn=0.25)
    assert torch.equal(shown.flatten(1).sort(1).values, pictures.flatten(1).sort(1).values)
    upright = (shown == pictures).flatten(1).all(1).float().mean()
    assert float(upright) == pytest.approx(0.75**2, abs=0.06)


# ---------------------------------------------------------------- held out


def test_no_crop_is_ever_cut_from_what_is_held_out() -> None:
    config = from_json(QUICK)
    assert isinstance(config, PicturesConfig)
    style = blobs(0, 80, 160) * 0.9
    style[:, :, -SIGHT:] = 1.0
    taught, strip = split_style(style, config)
    assert strip is not None and strip.shape == (3, 80, SIGHT) and float(strip.min()) == 1.0
    samples = PictureSamples(config, pairs(), [], [Exemplar(taught)], CPU)
    assert all(float(samples.batch(step)[2].max()) < 1.0 for step in range(50))
    tall, strip = split_style(style.transpose(1, 2), config)
    assert tall.shape == (3, 160 - SIGHT, 80) and strip is not None and float(strip.min()) == 1.0


@pytest.mark.parametrize("changes", [{}, {"style_side": 512, "held_out": 0.0}, {"style_side": 512, "held_out": 0.29}])
def test_small_style_pictures_stay_whole(changes: dict) -> None:
    config = from_json(changes)
    assert isinstance(config, PicturesConfig)
    picture = torch.zeros(3, 400, 512)
    assert split_style(picture, config) == (picture, None)


def test_content_is_held_out_evenly_and_never_of_a_few() -> None:
    paths = [Path(f"{n:03d}.png") for n in range(200)]
    for count, kept in ((7, 0), (8, 1), (31, 3), (200, 7)):
        taught, held_out = split_content(paths[:count])
        assert len(held_out) == kept and sorted(taught + held_out) == paths[:count]


def test_the_recipe_says_what_was_held_out(pictures: Path) -> None:
    for copy in range(7):
        (pictures / "content" / f"copy_{copy}.png").write_bytes((pictures / "content" / "a.png").read_bytes())
    list(train(request(pictures, held_out=0.5)))
    recipe = style_pack.load(pictures / "style").recipe
    assert recipe["held_out"] == {"style": [[82, SIGHT]], "content": ["copy_5.png"]}


# ---------------------------------------------------------------- planted failures


def test_a_critic_that_wins_is_reported_and_slowed(tmp_path: Path) -> None:
    trainer = trainer_of(learning_rate=1e-9, critic_learning_rate=0.01, r1=0.0, adversarial=1.0)
    told = examined(trainer, tmp_path, 8, every=8)
    (first, *_) = [finding for diagnosis in told for finding in diagnosis.findings]
    assert first.symptom == "critic wins" and "learns at 0.5 of its rate" in first.done
    assert trainer.care.critic_rate < 1.0


class Arrived(PicturesTrainer):
    """Its generator has arrived: results are patterns of the very kind the style is one of."""

    def judge_step(self) -> None:
        self.steps_done += 1
        random_ = torch.Generator().manual_seed(self.steps_done)
        fresh = torch.stack([blobs(1000 + 4 * self.steps_done + n, 48, 48) for n in range(4)])
        self._teach_critic(self.samples.batch(self.steps_done)[2], fresh, random_)

    def probe(self) -> Probe:
        fresh = torch.stack([blobs(500 + n, 48, 48) for n in range(4)])
        return replace(super().probe(), painted=fresh)


def test_a_critic_that_memorises_is_reported_and_shown_more(tmp_path: Path) -> None:
    """The whole style is one crop wide; what is held out is its continuation, which a critic of the hand would take."""
    config = from_json({**QUICK, "critic_width": 32, "critic_learning_rate": 2e-3, "r1": 0.0, "batch": 4})
    assert isinstance(config, PicturesConfig)
    style = blobs(0, 48, 48 + SIGHT)
    samples = PictureSamples(config, pairs(), [], [Exemplar(style[..., :48])], CPU, [], [style[..., 48:]])
    trainer = Arrived(samples, CPU)
    doctor = Diagnostics(trainer, Workspace(tmp_path))
    for _ in range(8):
        for _ in range(12):
            trainer.judge_step()
        doctor.examine("job", 0.0)
    (first, *_) = [finding for diagnosis in doctor.history for finding in diagnosis.findings]
    assert first.symptom == "critic memorises" and "chance of 0.1" in first.done
    assert trainer.care.turn > 0.0


def test_mode_collapse_is_reported(tmp_path: Path) -> None:
    """The hand paints everything one grey."""
    trainer = trainer_of(adversarial=0.0, features=0.0, learning_rate=5e-3)
    trainer.samples.pairs[:] = [replace(pair, painted=torch.full_like(pair.painted, 90)) for pair in pairs()]
    assert "mode collapse" in found(examined(trainer, tmp_path, 5, every=40)[-1])


def test_stroke_collapse_is_reported(tmp_path: Path) -> None:
    """Posterior collapse: a code that costs more than it brings tells nothing."""
    trainer = trainer_of(code=30.0, adversarial=0.0, features=0.0, learning_rate=5e-3)
    assert "stroke collapse" in found(examined(trainer, tmp_path, 5, every=40)[-1])


def test_a_vanishing_gradient_is_reported(tmp_path: Path) -> None:
    trainer = trainer_of(coarse=0.0, reconstruction=0.0, features=0.0, adversarial=1.0, critic_learning_rate=1e-12)
    examined(trainer, tmp_path, 4)
    with torch.no_grad():
        for scale in trainer.critic.scales:
            scale.out.weight.zero_()  # it says the same of everything
    assert "vanishing gradient" in found(examined(trainer, tmp_path, 3)[-1])


def test_an_exploding_gradient_is_reported_and_the_rates_are_cut(tmp_path: Path) -> None:
    trainer = trainer_of()
    examined(trainer, tmp_path, 4)
    with torch.no_grad():
        trainer.taught["generator"].inner[0].narrow.weight.mul_(1e4)
    (last,) = examined(trainer, tmp_path, 1, every=1)
    assert "exploding gradient" in found(last)
    assert trainer.care.rate == 0.5
    trainer.step(0.0)
    assert trainer.optimiser.param_groups[0]["lr"] == pytest.approx(trainer.config.learning_rate / 2, rel=1e-3)


def test_palette_drift_is_reported(tmp_path: Path) -> None:
    trainer = trainer_of(learning_rate=1e-9)
    trainer.averages["generator"].leave.bias.fill_(0.0)
    examined(trainer, tmp_path, 2)
    for network in (trainer.averages["generator"], trainer.taught["generator"]):
        network.leave.bias.data = torch.tensor([0.8, -0.8, -0.8])  # everything goes red
    assert "palette drift" in found(examined(trainer, tmp_path, 3)[-1])


class Chequered(Generator):
    """As where layers overlap unevenly: every other square of two pixels comes out lighter."""

    def forward(self, *maps: Tensor) -> Tensor:
        made = super().forward(*maps)
        rows, columns = (torch.arange(size) // 2 % 2 for size in made.shape[2:])
        return made + self.amplitude * (rows[:, None] ^ columns)

    amplitude = 0.08


class OnChequers(PicturesTrainer):
    def networks(self) -> dict[str, torch.nn.Module]:
        return {**super().networks(), "generator": Chequered(self.config.generator)}


@pytest.mark.parametrize("amplitude", [0.08, 0.0])
def test_a_grid_artefact_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amplitude: float) -> None:
    monkeypatch.setattr(Chequered, "amplitude", amplitude)
    trainer = OnChequers(trainer_of().samples, CPU)
    told = examined(trainer, tmp_path, 4, every=3)
    assert [found(diagnosis) for diagnosis in told] == [set(), set(), *[{"grid artefact"} if amplitude else set()] * 2]


def test_a_run_that_is_lost_goes_back_to_where_all_was_well(tmp_path: Path) -> None:
    trainer = trainer_of()
    (well,) = examined(trainer, tmp_path, 1, every=3)
    good = load_file(tmp_path / "good.safetensors")
    with torch.no_grad():
        trainer.taught["generator"].leave.weight[0, 0, 0, 0] = torch.nan
    (lost,) = examined(trainer, tmp_path, 1, every=3)
    assert (well.step, lost.step, trainer.steps_done) == (3, 6, 3) and found(lost) == {diagnostics.LOST}
    assert from_line(to_line(lost)) == lost  # JSON has no NaN
    state = trainer.state()
    assert all(torch.equal(state[name], good[name]) for name in good if name != "care")
    assert trainer.care == Care(rate=0.5, diagnoses=2)
    assert not found(examined(trainer, tmp_path, 1, every=3)[-1])


def test_a_run_that_ends_lost_keeps_what_was_well(tmp_path: Path) -> None:
    trainer = trainer_of()
    doctor = Diagnostics(trainer, Workspace(tmp_path))
    trainer.step(0.0)
    doctor.examine("job", 0.0)
    well = trainer.averages["generator"].leave.weight.clone()
    trainer.taught["generator"].leave.weight.data.fill_(torch.nan)
    trainer.step(0.0)
    assert not bool(torch.isfinite(trainer.averages["generator"].leave.weight).all())
    assert "last that was well" in doctor.settle()
    assert torch.equal(trainer.averages["generator"].leave.weight, well)


def test_a_run_that_is_lost_again_and_again_ends(pictures: Path) -> None:
    events: list[Event] = []
    with pytest.raises(EngineError, match="lost its way"):
        for event in train(request(pictures, steps=10**6, diagnose_every=3, learning_rate=1e9, warm_up=0.0)):
            events.append(event)
    assert all(to_line(event) for event in events)
    assert sum(diagnostics.LOST in found(event) for event in events if isinstance(event, Diagnosis)) == 3


# ---------------------------------------------------------------- healthy runs


@pytest.mark.parametrize(
    "settings", [{}, {"seed": 1}, {"seed": 2}, {"objective": "wgan-gp", "steps": 60}, {"objective": "lsgan", "r1": 0.1}]
)
def test_healthy_runs_raise_no_alarm(pictures: Path, settings: dict) -> None:
    wanted = {"steps": 150, "diagnose_every": 15, "preview_every": 1000, "held_out": 0.5, **settings}
    told = [event for event in train(request(pictures, **wanted)) if isinstance(event, Diagnosis)]
    assert len(told) == wanted["steps"] // 15 + 1 and not any(event.findings for event in told)
    last = told[-2]
    assert set(last.losses) == {"code", "reconstruction", "latent", "critic", "adversarial", "features", "coarse"}
    always = set(diagnostics.NUMBERS) - {"r_t", "r_v", "r1", "penalty"}
    assert always <= set(last.numbers) <= set(diagnostics.NUMBERS)
    assert last.seconds_per_step > 0


# ---------------------------------------------------------------- pause, finish, stop by itself


def test_a_run_stopped_at_any_step_equals_the_uninterrupted_one(pictures: Path) -> None:
    """Neither checkpoints nor diagnoses fall on every one of these steps."""
    settings = {"steps": 7, "diagnose_every": 3, "preview_every": 4, "held_out": 0.5}
    list(train(request(pictures, "whole", **settings)))
    stops = []
    for turn in range(7):
        paused = train(request(pictures, "paused", resume=turn > 0, **settings))
        stops.append(next(event for event in paused if isinstance(event, TrainStep)).step)
        paused.close()  # type: ignore[attr-defined]
    list(train(request(pictures, "paused", resume=True, **settings)))
    assert stops == list(range(1, 8))
    assert _made(pictures, "paused") == _made(pictures, "whole")


@pytest.mark.slow
def test_a_run_that_is_killed_and_resumed_equals_the_uninterrupted_one(pictures: Path) -> None:
    """As by a power cut, some steps after its last checkpoint: nothing has a chance to be kept or tidied up."""
    settings = {"steps": 40, "diagnose_every": 4, "preview_every": 5, "held_out": 0.5}
    asked = request(pictures, "killed", **settings)
    list(train(request(pictures, "whole", **settings)))
    given = [word for name, value in asked.config.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    command = [sys.executable, "-m", "engine", "train", "--style-picture", *asked.style_pictures, "--json"]
    command += ["--content", asked.content, "--out", asked.out, *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = (from_line(line) for line in process.stdout)
        kept = next(event for event in told if isinstance(event, Preview))
        after = next(event for event in told if isinstance(event, Diagnosis))
        process.kill()
    assert process.returncode and not Path(asked.out).exists()
    assert (kept.caption, after.step) == ("Step 5", 8)
    list(train(replace(asked, resume=True)))
    assert _made(pictures, "killed") == _made(pictures, "whole")


def _made(folder: Path, name: str) -> tuple[bytes, list[dict]]:
    """The generator, and the diagnoses without their times and the name of their job."""
    history = (folder / f"{name}.training" / "history.jsonl").read_text("utf-8")
    return style_pack.load(folder / name).files["generator.onnx"], [_timeless(line) for line in history.splitlines()]


def _timeless(line: str) -> dict:
    return {name: value for name, value in json.loads(line).items() if name not in ("job", *TIMES)}


TIMES = ("seconds_per_step", "seconds_left")


def test_care_and_meter_are_part_of_the_state(tmp_path: Path) -> None:
    one, two = trainer_of(), trainer_of()
    one.care = Care(0.5, 0.25, 0.3, 2)
    one.step(0.0)
    folder = Workspace(tmp_path)
    folder.save(one, GOOD)
    folder.load(two, GOOD)
    assert two.care == one.care
    for trainer in (one, two):
        trainer.step(0.0)
    assert one.meter.read() == two.meter.read()
    assert all(torch.equal(a, b) for a, b in zip(one.critic.parameters(), two.critic.parameters(), strict=True))


def test_what_came_after_the_checkpoint_is_forgotten(tmp_path: Path) -> None:
    folder, said = Workspace(tmp_path), [Diagnosis("job", n, {}, {}, (), 0.1, 1.0) for n in range(3)]
    for diagnosis in said:
        folder.remember(diagnosis)
    assert folder.history(2) == said[:2] and folder.history(3) == said[:2]


def test_asked_to_finish_it_exports_what_there_is(pictures: Path) -> None:
    asked = request(pictures, steps=10**6, preview_every=10**6)
    events: list[Event] = []
    for event in train(asked):
        events.append(event)
        if isinstance(event, TrainStep):
            finish_file(asked.out).touch()
    assert isinstance(events[-1], Done) and any(isinstance(event, StyleReady) for event in events)
    assert not finish_file(asked.out).exists()
    assert "asked to finish" in events[-1].report["say"][0]
    done = events[-1].report["steps"]
    resumed = list(train(replace(asked, config={**asked.config, "steps": done + 1}, resume=True)))
    assert isinstance(resumed[-1], Done) and resumed[-1].report["steps"] == done + 1


def test_before_the_first_step_there_is_nothing_to_finish(pictures: Path) -> None:
    asked = request(pictures)
    with pytest.raises(EngineError, match="Not one step"):
        for event in train(asked):
            assert isinstance(event, Progress)
            finish_file(asked.out).touch()
    assert isinstance(list(train(replace(asked, resume=True)))[-1], Done)


def test_it_stops_by_itself_and_keeps_the_best(pictures: Path) -> None:
    """A generator that learns nothing: the first score is the best, and two more are waited for."""
    settings = {"steps": 100, "diagnose_every": 2, "patience": 2, "warm_up": 0.0, "learning_rate": 1e-12}
    events = list(train(request(pictures, **settings)))
    done = events[-1]
    assert isinstance(done, Done) and done.report["steps"] == 6
    assert "not improved for 2 diagnoses" in done.report["say"][0] and "of step 2," in done.report["say"][0]
    best = load_file(pictures / "style.training" / "best.safetensors")
    assert int(best["steps"]) == 2
    model = onnx.load(pictures / "style" / "generator.onnx")
    kept = {weight.name: onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer}
    wanted = best["averaged_generator/leave.weight"].half()
    assert torch.equal(torch.from_numpy(kept["leave.weight.half"].copy()), wanted)


def test_patience_is_counted_where_the_critic_plays(pictures: Path) -> None:
    """Whatever the score does before, a run with a critic to come goes on until that has played."""
    settings = {"steps": 40, "diagnose_every": 2, "patience": 2, "warm_up": 0.5, "learning_rate": 1e-12}
    done = list(train(request(pictures, **settings)))[-1]
    assert isinstance(done, Done) and done.report["steps"] == 24  # the critic sets in with step 20
    assert "of step 20," in done.report["say"][0]


def test_patience_is_counted_where_no_critic_ever_plays(pictures: Path) -> None:
    settings = {"steps": 40, "diagnose_every": 2, "patience": 1, "learning_rate": 1e-12}
    for name, alone in (("all_warm_up", {"warm_up": 1.0}), ("no_critic", {"adversarial": 0.0, "features": 0.0})):
        done = list(train(request(pictures, name, **settings, **alone)))[-1]
        assert isinstance(done, Done) and done.report["steps"] == 4


# ---------------------------------------------------------------- the sheet


def test_the_sheet_is_complete_and_needs_nothing_else(pictures: Path) -> None:
    settings = {"steps": 9, "diagnose_every": 2, "preview_every": 3, "held_out": 0.5, "warm_up": 0.0}
    events = list(train(request(pictures, **settings)))
    (shown,) = [e for e in events if isinstance(e, Preview) and e.caption == "Training sheet"]
    with Image.open(shown.path) as sheet:
        assert sheet.width > 1200 and sheet.height > sheet.width
    page = Path(shown.path).with_suffix(".html").read_text("utf-8")
    assert not re.search(r"(?:src|href)=\"(?!data:)|url\(|@import|<script", page)
    for word in ("Painting", "all were done", "No symptom was found in 5 diagnoses", "Loss terms", "seed 4", "step 9"):
        assert word in page
    assert page.count("<svg") >= 7 and "$" not in page


def test_a_chart_is_the_same_as_a_page_and_as_a_picture() -> None:
    chart = Chart("Rising <fast>", {"line": [(0, 1.0), (100, 2.0)]}, marks=(50,))
    drawn = svg(chart, 300, 200)
    assert "Rising &lt;fast&gt;" in drawn
    (points,) = re.findall(r'points="([^"]*)"', drawn)
    (x0, y0), (x1, y1) = (tuple(map(float, point.split(","))) for point in points.split())
    assert x0 < x1 and y0 > y1  # upwards on a page
    pixels = picture(chart, 300, 200).load()
    assert pixels is not None
    red, _, blue = pixels[round((3 * x0 + x1) / 4), round((3 * y0 + y1) / 4)]  # type: ignore[misc]
    assert blue > red + 60  # the first colour, where the page has its line


def test_a_diagnosis_survives_the_pipe() -> None:
    finding = Finding("grid artefact", "A grid.", "Wait.", "Nothing.")
    diagnosis = Diagnosis("job", 7, {"coarse": 0.5}, {"grid": 9.0}, (finding,), 0.25, 60.0)
    assert from_line(to_line(diagnosis)) == diagnosis
