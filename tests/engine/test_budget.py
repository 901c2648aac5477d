"""Trainings that are given a time: they use it, and are done within it. The clock is a faked one but in one test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import test_keyframes
import test_texture_training
import test_training
import torch
from slow_machine import SlowMachine
from test_keyframes import shot
from test_training import QUICK, pictures, trainer_of

from engine import style_pack
from engine.errors import EngineError
from engine.protocol import Done, Event, Progress, TrainRequest, TrainStep
from engine.training.config import from_json
from engine.training.foresight import MOST_SPARE, RECENT, Foresight, last_call
from engine.training.loop import train
from engine.training.pictures import PAIRS_SHARE, FromPictures, PicturesTrainer
from engine.training.training_sheet import recipe
from engine.training.workspace import Workspace

__all__ = ["pictures", "shot"]  # fixtures


def request(folder: Path, out: str = "style", resume: bool = False, **changes: object) -> TrainRequest:
    """Of a style from pictures, with no number of steps unless it is given."""
    asked = test_training.request(folder, out, resume, **changes)
    config = {n: v for n, v in asked.config.items() if n != "steps" or n in changes}
    return replace(asked, config={**config, "preview_every": 50})


def done(events: list[Event]) -> dict[str, object]:
    assert isinstance(events[-1], Done)
    return events[-1].report


# ---------------------------------------------------------------- settings


def test_a_budget_alone_sets_no_number_of_steps() -> None:
    assert from_json({"budget": 60.0}).steps == 0
    assert from_json({"budget": 60.0, "steps": 50}).steps == 50
    assert from_json({}).steps == from_json({"budget": 0.0}).steps == 3200
    with pytest.raises(EngineError, match="steps and batch must be at least 1"):
        from_json({"steps": 0})


def test_the_sheet_says_so_in_words() -> None:
    assert ("steps *", "as many as the time allows") in recipe(from_json({"budget": 60.0}))
    assert ("steps *", "50") in recipe(from_json({"budget": 60.0, "steps": 50}))


# ---------------------------------------------------------------- what is foreseen


def test_the_end_takes_as_many_times_longer_as_the_steps_do() -> None:
    foresight = Foresight(8.0)
    for _ in range(2 * RECENT):
        foresight.add("told", 0.5)
    assert foresight.end == pytest.approx(8.5, rel=0.1)
    for _ in range(2 * RECENT):
        foresight.add("told", 1.5)
    assert foresight.load == pytest.approx(3.0) and foresight.end == pytest.approx(25.5, rel=0.1)
    for _ in range(2 * RECENT):
        foresight.add("told", 0.5)
    assert foresight.end == pytest.approx(8.5, rel=0.1)


def test_longer_steps_of_another_kind_are_no_load() -> None:
    foresight = Foresight(8.0)
    for _ in range(RECENT):
        foresight.add("told", 1.0)
    for _ in range(RECENT):
        foresight.add("told", 2.0)  # the machine is twice as busy ...
    for _ in range(RECENT):
        foresight.add("judged", 6.0)  # ... and still is when the critic comes
    assert foresight.load == pytest.approx(2.0)
    for _ in range(RECENT):
        foresight.add("judged", 3.0)
    assert foresight.load == pytest.approx(1.0)


def test_a_step_that_waited_is_no_load() -> None:
    foresight = Foresight(8.0)
    for number in range(40):
        foresight.add("told", 60.0 if number in (0, 20, 21) else 0.5)
    assert foresight.load == pytest.approx(1.0)


@pytest.mark.parametrize("budget", [20.0, 120.0, 300.0, 3600.0])
@pytest.mark.parametrize("end", [0.0, 4.0, 16.0])
def test_what_is_spare_is_little(budget: float, end: float) -> None:
    assert 0 < budget - end - last_call(budget, end) <= MOST_SPARE * budget + 1e-9 < 0.05 * budget


# ---------------------------------------------------------------- shares of a run


def test_without_a_number_of_steps_all_goes_by_the_time() -> None:
    trainer = trainer_of(from_json({**QUICK, "steps": 0, "budget": 108.0, "warm_up": 0.75}), began=40.0)
    trainer.end = 5.6
    assert last_call(108.0, 5.6) == pytest.approx(100.0)
    critics, rates = [], []
    for elapsed in (40.0, 50.0, 62.5, 84.0, 86.0, 99.9):
        critics.append("critic" in trainer.step(elapsed))
        rates.append(trainer.optimiser.param_groups[0]["lr"] / trainer.config.learning_rate)
    assert critics == [False, False, False, False, True, True]  # at three quarters of the time, after four steps
    assert rates == pytest.approx([1.0, 7 / 9, 0.5, 0.05, 14 / 15, 0.05], abs=1e-3)
    trainer.steps_done = 10**6
    assert not trainer.finished(99.9) and trainer.finished(100.0)


def test_with_both_whichever_is_first_ends_the_run() -> None:
    trainer = trainer_of(from_json({**QUICK, "steps": 10, "budget": 100.0}))
    trainer.steps_done = 5
    assert trainer.progress(10.0) == 0.5
    assert trainer.progress(80.0) == pytest.approx(80 / last_call(100.0, 0.0))
    trainer.steps_done = 10
    assert trainer.finished(10.0)


def test_a_longer_end_ends_the_run_earlier_and_changes_no_share() -> None:
    trainer = trainer_of(from_json({**QUICK, "steps": 0, "budget": 100.0}))
    trainer.step(0.0)
    trainer.end = 4.0
    assert trainer.progress(45.0) == pytest.approx(45.0 / last_call(100.0, 4.0))
    assert trainer.finished(57.1, end=40.0) and not trainer.finished(56.9, end=40.0)
    assert not trainer.finished(57.1)


def test_a_critic_that_plays_plays_on_when_the_machine_gets_calmer(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = SlowMachine(monkeypatch, step=1.5, export=8.0, pair=15.0)
    machine.load = lambda passed: 2.5 if 150.0 < passed < 230.0 else 1.0
    events = list(train(request(pictures, budget=300.0, warm_up=0.6)))
    told = ["critic" in event.losses for event in events if isinstance(event, TrainStep)]
    assert told == sorted(told) and {*told} == {False, True}


def test_the_end_that_was_foreseen_is_kept() -> None:
    config = from_json({**QUICK, "steps": 0, "budget": 100.0})
    trainer, other = trainer_of(config), trainer_of(config)
    trainer.end = 7.5
    other.restore(trainer.state())
    assert other.end == 7.5


# ---------------------------------------------------------------- whole trainings


def busier(passed: float) -> float:
    return 1.0 if passed < 150.0 else 2.5


def calmer(passed: float) -> float:
    return 2.5 if passed < 200.0 else 1.0


@pytest.mark.parametrize("load", [lambda passed: 1.0, busier, calmer])
def test_a_style_from_pictures_is_there_in_time(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[[float], float]
) -> None:
    machine = SlowMachine(monkeypatch, step=1.5, export=8.0, pair=15.0)
    machine.load = load
    events = list(train(request(pictures, budget=300.0, pairs=500)))
    assert 0.95 * 300.0 <= done(events)["seconds"] <= 300.0
    assert machine.exports == 2
    pairs = len(list((pictures / "style.training" / "pairs").iterdir()))
    assert pairs * 15.0 * load(0.0) <= PAIRS_SHARE * 300.0 < (pairs + 1) * 15.0 * load(0.0)
    recipe = style_pack.load(pictures / "style").recipe
    assert (recipe["steps"], recipe["training"]["steps"]) == (done(events)["steps"], 0)
    assert done(events)["say"] == [f"The training ended after {recipe['steps']} steps: its time was used up."]
    assert {event.steps for event in events if isinstance(event, TrainStep)} == {0}
    assert [e.fraction for e in events if isinstance(e, Progress)][1 : pairs + 1] == sorted(
        e.fraction for e in events if isinstance(e, Progress) and "The teacher paints" in e.stage
    )


def test_how_far_a_training_is_goes_by_the_time_where_that_alone_ends_it(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pairs of 15 seconds are a quarter of two minutes, whatever share the teacher might have taken."""
    SlowMachine(monkeypatch, step=1.5, export=8.0, pair=15.0)
    events = train(request(pictures, budget=120.0, pairs=2))
    told = [e.fraction for e in events if isinstance(e, Progress) and "The teacher paints" in e.stage]
    assert told == pytest.approx([0.125, 0.25], abs=0.01)


def test_a_style_from_keyframes_is_there_in_time(shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SlowMachine(monkeypatch, step=1.5, export=3.0).load = busier
    asked = test_keyframes.request(shot, budget=200.0)
    asked.config.pop("steps")
    assert 0.95 * 200.0 <= done(list(train(asked)))["seconds"] <= 200.0


def test_a_texture_is_there_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SlowMachine(monkeypatch, step=2.0, export=6.0).load = busier
    test_texture_training.save(test_texture_training.bricks(), tmp_path / "red_bricks.png")
    asked = test_texture_training.request(tmp_path, budget=200.0)
    asked.config.pop("steps")
    assert 0.95 * 200.0 <= done(list(train(asked)))["seconds"] <= 200.0


@pytest.mark.parametrize("busy", [1.0, 2.5])
def test_sessions_keep_to_one_budget_and_rehearse_once(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, busy: float
) -> None:
    """How busy the machine was before the pause tells nothing of what comes after it."""
    machine = SlowMachine(monkeypatch, step=2.0, export=8.0, pair=5.0)
    machine.load = lambda passed: busy if 60.0 < passed < 1000.0 else 1.0
    asked = request(pictures, budget=200.0)
    training = train(asked)
    for event in training:
        if isinstance(event, TrainStep) and machine.now > 1090.0:
            break
    training.close()  # type: ignore[attr-defined]
    machine.now += 5000.0
    events = list(train(replace(asked, resume=True)))
    assert 0.95 * 200.0 <= done(events)["seconds"] <= 200.0
    assert machine.exports == 2


def test_a_budget_added_to_a_paused_training_is_kept(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SlowMachine(monkeypatch, step=2.0, export=8.0, pair=5.0)
    training = train(request(pictures, steps=10**6))
    for event in training:
        if isinstance(event, TrainStep) and event.step > 10:
            break
    training.close()  # type: ignore[attr-defined]
    events = list(train(request(pictures, resume=True, budget=200.0)))
    assert 0.95 * 200.0 <= done(events)["seconds"] <= 200.0


def test_the_clock_of_whoever_started_it_counts(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command has loaded torch before its training begins."""
    machine = SlowMachine(monkeypatch, step=1.0, export=8.0)
    started = machine.now
    machine.now += 20.0
    assert 95.0 <= done(list(train(request(pictures, budget=100.0), started)))["seconds"] <= 100.0
    assert machine.now - started <= 100.0


def test_a_rehearsal_changes_nothing_and_leaves_nothing(pictures: Path) -> None:
    """The same steps make the same style whether their time is limited or not."""
    list(train(request(pictures, "free", steps=4)))
    list(train(request(pictures, "timed", steps=4, budget=1e6)))
    free, timed = (style_pack.load(pictures / name) for name in ("free", "timed"))
    for name in ("generator.onnx", "training.safetensors", "strokes.bytes"):
        assert free.files[name] == timed.files[name]
    kept = [{path.name for path in (pictures / f"{name}.training").iterdir()} for name in ("free", "timed")]
    assert kept[0] | {"clock.json"} == kept[1] | {"clock.json"}
    assert not (pictures / "timed.training" / "rehearsal").exists()


def test_what_cannot_be_exported_is_refused_before_the_first_step(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise EngineError("planted", "planted")

    monkeypatch.setattr(FromPictures, "export", refuse)
    monkeypatch.setattr(PicturesTrainer, "step", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(EngineError, match="planted"):
        list(train(request(pictures, budget=1000.0)))
    assert not (pictures / "style.training" / "rehearsal").exists()


def test_time_does_not_go_back_where_a_training_does(pictures: Path) -> None:
    from engine.training.diagnostics import Diagnostics
    from engine.training.workspace import GOOD

    trainer = trainer_of(from_json({**QUICK, "steps": 0, "budget": 100.0}), began=10.0)
    folder = Workspace(pictures)
    diagnostics = Diagnostics(trainer, folder)
    assert folder.has(GOOD)
    trainer.began, trainer.end = 18.0, 8.0
    trainer.step(20.0)
    next(trainer.taught["generator"].parameters()).data.fill_(torch.nan)
    trainer.step(21.0)
    diagnostics.examine("job", 22.0)
    assert (trainer.steps_done, trainer.began, trainer.end) == (0, 18.0, 8.0)


def test_a_real_clock(pictures: Path) -> None:
    """The margin is wide: other work may come and go."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.monotonic()
    report = done(list(train(request(pictures, budget=20.0))))
    torch.set_num_threads(threads)
    assert 12.0 < time.monotonic() - started < 30.0
    assert report["steps"] > 0
