"""Several processes that train one style: what they make of a batch is what one makes, and they begin and end together.

Two real processes on this processor, over gloo; what each does is in two_ranks.py.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import two_ranks
from safetensors.torch import load_file
from test_training import QUICK, pictures, request

from engine import style_pack
from engine.errors import EngineError
from engine.protocol import Diagnosis, Done, Event, TrainRequest, TrainStep, finish_file, from_line, training_folder
from engine.training import ranks
from engine.training.config import from_json
from engine.training.loop import _told, train
from engine.training.trainer import Care
from engine.training.workspace import GOOD, Workspace

__all__ = ["pictures"]  # the fixture
REPO = Path(__file__).resolve().parents[2]
PATH = os.pathsep.join([str(REPO), str(Path(__file__).parent)])
EVERY_STEP = {"batch": 4, "diagnose_every": 1, "preview_every": 2, "warm_up": 0.3}


def both(*arguments: str) -> list[str]:
    """Run two_ranks.py in two processes; what each printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "PYTHONPATH": PATH, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = [
        subprocess.Popen(
            [sys.executable, str(Path(two_ranks.__file__)), *arguments],
            env={**shared, "OMP_NUM_THREADS": "1", "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        said = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said
    return [out for out, _ in said]


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where two processes have left their losses and states."""
    folder = tmp_path_factory.mktemp("ranks")
    both("steps", str(folder))
    return folder


def losses(folder: Path, name: str, rank: int) -> two_ranks.Losses:
    found: two_ranks.Losses = json.loads((folder / f"{name} {rank}.json").read_text())
    return found


def assert_one_state(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """Both processes ended in it, to the bit."""
    ours, theirs = (load_file(folder / f"{name} {rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    return ours


@pytest.mark.parametrize("name", two_ranks.SETTINGS)
def test_two_processes_make_of_a_batch_what_one_does(stepped: Path, name: str) -> None:
    alone, state = two_ranks.stepped(name)
    for rank in (0, 1):
        together = losses(stepped, name, rank)
        assert len(together) == len(alone)
        for ours, theirs in zip(together, alone, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-5)
    weights = assert_one_state(stepped, name)
    for key, value in state.items():
        if key.startswith(("generator/", "encoder/", "critic/")):
            torch.testing.assert_close(weights[key], value, rtol=0, atol=1e-4)
        if key.endswith("/exp_avg"):  # of the gradients, whatever the rates
            assert float((weights[key] - value).norm()) <= 1e-3 * float(value.norm()) + 1e-6, key
    assert {key for key in state if key.startswith("meter/")} == {key for key in weights if key.startswith("meter/")}


def test_memory_that_is_full_in_one_process_makes_all_smaller(stepped: Path) -> None:
    state = assert_one_state(stepped, two_ranks.FULL)
    assert state["size"].tolist() == [4, 48] and int(state["steps"]) == 2
    assert losses(stepped, two_ranks.FULL, 0) == losses(stepped, two_ranks.FULL, 1)


# ---------------------------------------------------------------- whole trainings


def trained(asked: TrainRequest, stop: str = "") -> list[Event]:
    """What the first of two processes said; the other one says nothing."""
    first, second = both("train", json.dumps(asdict(asked)), stop)
    assert not second.strip()
    return [from_line(line) for line in first.splitlines()]


def terms(events: list[Event]) -> dict[int, dict[str, float]]:
    return {event.step: event.losses for event in events if isinstance(event, Diagnosis) and event.losses}


def test_a_stop_ends_all_and_they_go_on_together(pictures: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the two have: with more the teacher's nearest patch is now and then another one
    alone = terms(list(train(request(pictures, "alone", **EVERY_STEP, **two_ranks.SLOW))))
    torch.set_num_threads(threads)
    asked = request(pictures, "shared", **EVERY_STEP, **two_ranks.SLOW)
    before = trained(asked, stop="Step 2")
    assert not any(isinstance(event, Done) for event in before)
    after = trained(replace(asked, resume=True))
    assert isinstance(after[-1], Done) and after[-1].report["steps"] == 4
    together = {**terms(before), **terms(after)}
    assert set(together) == set(alone) == {1, 2, 3, 4}
    for step, values in alone.items():
        assert together[step] == pytest.approx(values, abs=1e-5)
    assert style_pack.load(pictures / "shared").recipe["training"]["batch"] == 4


def test_torchrun_and_a_request_to_finish(pictures: Path) -> None:
    """The line of docs/training_details.md; whoever makes the file ends all of them with a style."""
    out = pictures / "style"
    settings = {**QUICK, "batch": 2, "steps": 10**6}
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "engine"]
    line += ["train", "--json", "--style-picture", str(pictures / "painting.png")]
    line += ["--content", str(pictures / "content"), "--out", str(out)]
    line += [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    env = {**os.environ, "PYTHONPATH": PATH, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        said = []
        for text in process.stdout:
            said.append(from_line(text))
            if isinstance(said[-1], TrainStep):
                finish_file(str(out)).touch()
        complaints, ended = process.stderr.read(), time.monotonic()
        assert process.wait(60) == 0, complaints
        assert time.monotonic() - ended < 60
    assert sum(isinstance(event, Done) for event in said) == 1
    assert style_pack.load(out).name == "Painting"
    assert not finish_file(str(out)).exists()


def test_where_the_first_goes_back_the_others_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A diagnosis has found lost numbers, went back to when all was well, and halved the learning rates."""
    trainer, folder = two_ranks.trainer_of("pictures"), Workspace(tmp_path)
    trainer.step(0.0)
    folder.save(trainer, GOOD)
    good = {name: value.clone() for name, value in trainer.state().items()}
    trainer.step(0.0)
    monkeypatch.setattr(ranks, "follow", lambda length: [12.0, 3.0, 8.0, 1, 0.5, 1.0, 0.1, 4][:length])
    assert _told(trainer, folder) == 12.0
    assert (trainer.steps_done, trainer.began, trainer.end) == (1, 3.0, 8.0)
    assert trainer.care == Care(0.5, 1.0, 0.1, 4)
    state = trainer.state()
    assert all(torch.equal(state[name], value) for name, value in good.items() if name.startswith("generator/"))


# ---------------------------------------------------------------- refused


def test_a_batch_that_cannot_be_dealt_out_is_refused(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineError, match="batch of 3") as caught:
        next(train(request(pictures, batch=3)))
    assert "batch=4" in caught.value.fix
    assert not training_folder(str(pictures / "style")).exists()


def test_batch_norm_of_parts_is_refused(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "count", lambda: 2)
    with pytest.raises(EngineError, match="Batch norm"):
        next(train(request(pictures, critic_norm="batch", r1=0.0)))
    assert not training_folder(str(pictures / "style")).exists()


def test_alone_nothing_is_exchanged() -> None:
    values = torch.rand(4, 3)
    with ranks.joined(from_json({}).batch), ranks.together():
        assert (ranks.count(), ranks.rank(), ranks.places(5)) == (1, 0, slice(0, 5))
        assert ranks.own(values) is not None and torch.equal(ranks.own(values), values)
        assert torch.equal(ranks.neighbours(values), values.roll(1, 0))
