"""A graphics card whose memory is full, planted on this processor: smaller batches and crops, smaller searches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import QUICK, pictures, request
from torch import Tensor

from engine import style_pack
from engine.errors import EngineError
from engine.protocol import Done, Preview, Progress, TrainStep
from engine.training import teacher
from engine.training.config import from_json, smaller
from engine.training.loop import train
from engine.training.pictures import PicturesTrainer
from engine.training.teacher import nearest_both_ways, nearest_patches

__all__ = ["pictures"]  # the fixture


def holding(monkeypatch: pytest.MonkeyPatch, batch: int, crop: int) -> None:
    """The memory holds no more pictures, and no larger ones, once the critic judges."""
    run = PicturesTrainer.run

    def full(self: PicturesTrainer, name: str, *inputs: Tensor) -> Any:
        judges = name == "critic" and not next(self.critic.parameters()).requires_grad
        if judges and (self.config.batch > batch or self.config.crop > crop):
            raise torch.OutOfMemoryError("planted")
        return run(self, name, *inputs)

    monkeypatch.setattr(PicturesTrainer, "run", full)


@pytest.mark.parametrize(
    ("changes", "processes", "sizes"),
    [
        ({}, 1, [(2, 176), (1, 176)]),  # three scales of the critic see 152 pixels
        ({"kind": "keyframes", "batch": 8}, 1, [(4, 64), (2, 64), (2, 48), (2, 44), (1, 44)]),
        ({"batch": 12}, 2, [(6, 192), (6, 176), (2, 176)]),
        ({"critic_norm": "batch", "r1": 0.0}, 1, [(2, 176)]),
        ({"route": "adversarial", "critic_scales": 1, "crop": 80}, 1, [(2, 72), (1, 72)]),
    ],
)
def test_first_the_batch_then_the_crop_then_one_at_a_time(
    changes: dict, processes: int, sizes: list[tuple[int, int]]
) -> None:
    config, found = from_json(changes), []
    while (less := smaller(config, processes)) is not None:
        assert from_json({**changes, "batch": less.batch, "crop": less.crop}) == less  # a setting that is allowed
        found.append((less.batch, less.crop))
        config = less
    assert found == sizes


def test_a_training_goes_on_smaller_and_says_so(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the step on that did not fit, which is repeated; the recipe tells what was asked for and what was held."""
    holding(monkeypatch, batch=2, crop=44)
    asked = request(pictures, batch=4, warm_up=0.5, steps=6)
    events = list(train(asked))
    said = [event.stage for event in events if isinstance(event, Progress) and "memory" in event.stage]
    assert ["step 3" in line for line in said] == [True, True]
    assert "batches of 2 crops of 48" in said[0] and "batches of 2 crops of 44" in said[1]
    done = events[-1]
    assert isinstance(done, Done) and done.report["steps"] == 6
    assert "batches of 2 crops of 44 pixels (4 of 48 were asked for)" in done.report["say"][0]
    recipe = style_pack.load(pictures / "style").recipe
    assert (recipe["training"]["batch"], recipe["training"]["crop"]) == (2, 44)
    assert recipe["asked"] == {"batch": 4, "crop": 48}


def test_a_resumed_training_stays_small(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holding(monkeypatch, batch=2, crop=48)
    asked = request(pictures, batch=4, warm_up=0.0, steps=6)
    training = train(asked)
    next(event for event in training if isinstance(event, Preview))
    training.close()  # type: ignore[attr-defined]
    events = list(train(replace(asked, resume=True)))
    assert isinstance(events[-1], Done)
    assert not any(isinstance(event, Progress) and "memory" in event.stage for event in events)
    assert style_pack.load(pictures / "style").recipe["training"]["batch"] == 2


def test_nothing_smaller_is_left(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holding(monkeypatch, batch=0, crop=0)
    with pytest.raises(EngineError, match=r"even with batches of 1 crops of 44") as caught:
        list(train(request(pictures, warm_up=0.0)))
    assert "--device cpu" in caught.value.fix


def test_what_fits_from_the_start_is_told_of_nowhere(pictures: Path) -> None:
    events = list(train(request(pictures)))
    assert any(isinstance(event, TrainStep) for event in events)
    assert not any(isinstance(event, Progress) and "memory" in event.stage for event in events)
    assert style_pack.load(pictures / "style").recipe["asked"] == {}
    assert QUICK["batch"] == style_pack.load(pictures / "style").recipe["training"]["batch"]


# ---------------------------------------------------------------- the teacher


def searching(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """The memory holds `most` distances at once. Returns how many were asked for, each time."""
    asked: list[int] = []
    blocks = teacher._blocks

    def held(left: Tensor, right: Tensor, block: tuple[int, int]) -> Any:
        asked.append(block[0] * block[1])
        if asked[-1] > most:
            raise torch.OutOfMemoryError("planted")
        return blocks(left, right, block)

    monkeypatch.setattr(teacher, "_blocks", held)
    return asked


def test_the_teacher_finds_the_same_in_smaller_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(0)
    queries, keys = (torch.rand(count, 12, generator=random) for count in (700, 1500))
    best, nearest = nearest_both_ways(queries, keys), nearest_patches(queries, keys, 0.1)
    asked = searching(monkeypatch, 2**15)
    for ours, theirs in zip(nearest_both_ways(queries, keys), best, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert asked == [2**18, 2**16, 2**14]
    assert torch.equal(nearest_patches(queries, keys, 0.1), nearest)


def test_a_memory_too_small_for_the_teacher_is_said(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searching(monkeypatch, 0)
    with pytest.raises(EngineError, match="for the teacher") as caught:
        list(train(request(pictures)))
    assert "style_side" in caught.value.fix


def test_so_is_one_too_small_beside_the_search(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("planted")

    monkeypatch.setattr(teacher, "_atlas_at", full)
    with pytest.raises(EngineError, match="for the teacher"):
        list(train(request(pictures)))
