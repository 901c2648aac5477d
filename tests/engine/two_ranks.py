"""What one of several processes does in test_ranks.py: `two_ranks.py steps FOLDER`, or `train REQUEST STOP`.

Started with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in the environment, as torchrun does.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.protocol import Event, Preview, TrainRequest, to_line
from engine.training import ranks
from engine.training.config import KeyframesConfig, PicturesConfig, from_json
from engine.training.data import Pair
from engine.training.keyframes import Keyframe, KeyframeSamples, KeyframesTrainer
from engine.training.loop import train
from engine.training.pictures import PictureSamples, PicturesTrainer
from engine.training.teacher import Exemplar
from engine.training.trainer import Care, Trainer

CPU = torch.device("cpu")
TINY = {"width": 8, "blocks": 1, "half": 4, "full": 4, "noise": 2}
SHARED: dict[str, Any] = {"crop": 48, "batch": 4, "critic_scales": 1, "critic_width": 4, "steps": 4, "r1_every": 2}
SHARED |= {"device": "cpu", "generator": TINY}
SLOW = {"learning_rate": 1e-5, "critic_learning_rate": 1e-5}
SETTINGS: dict[str, dict[str, Any]] = {
    "pictures": {"warm_up": 0.3},
    # Small rates: rounding grows with every step of Adam, for which the smallest gradient's sign is a whole step.
    "critic steps": {"warm_up": 0.0, "objective": "wgan-gp", "critic_steps": 2, "r1": 0.1, **SLOW},
    "spectral": {"warm_up": 0.0, "objective": "lsgan", "critic_norm": "spectral"},
    "keyframes": {"kind": "keyframes", "warm_up": 0.3},
}
FULL = "memory full"
"""The fifth: the second process's memory holds no crop above 36 pixels, and no batch above 2"""
Losses = list[dict[str, float]]


def trainer_of(name: str) -> Trainer:
    config = from_json({**SHARED, **({"size": 64, "style_side": 96} if name != "keyframes" else {}), **SETTINGS[name]})
    random = torch.Generator().manual_seed(0)
    if isinstance(config, KeyframesConfig):
        mask = torch.zeros(1, 70, 90)  # a different part of every patch
        mask[:, 20:, 10:60] = 1
        picture = torch.rand(3, 70, 90, generator=random)
        found = Keyframe(picture, picture.flip(0), mask)
        return KeyframesTrainer(KeyframeSamples(config, [found], [picture, picture], CPU), CPU)
    assert isinstance(config, PicturesConfig)
    contents = [torch.randint(0, 256, (3, 80, 80), generator=random, dtype=torch.uint8) for _ in range(3)]
    pairs = [Pair(content, content.flip(0), torch.zeros(3, 1, 1)) for content in contents]
    style = [Exemplar(torch.rand(3, 90, 100, generator=random))]
    return PicturesTrainer(PictureSamples(config, pairs, [], style, CPU), CPU)


def stepped(name: str) -> tuple[Losses, dict[str, Tensor]]:
    """Four steps: the loss terms of each, and the state they end in. What the critic sees is turned, too."""
    trainer = trainer_of(name)
    trainer.care = Care(turn=0.5)
    losses = [{name: float(value) for name, value in trainer.step(0.0).items()} for _ in range(trainer.config.steps)]
    return losses, trainer.state()


def cramped() -> tuple[Losses, dict[str, Tensor]]:
    """Two steps, with room for less on the second of two processes."""
    SETTINGS[FULL] = {"warm_up": 0.0, "crop": 64, "batch": 8}
    trainer, losses = trainer_of(FULL), []
    if ranks.rank() == 1:
        crowd(trainer)
    while trainer.steps_done < 2:
        try:
            losses.append({name: float(value) for name, value in trainer.step(0.0).items()})
        except torch.OutOfMemoryError:
            trainer.make_room()
    return losses, trainer.state()


def crowd(trainer: Trainer, batch: int = 2, crop: int = 48) -> None:
    """From now on its memory holds no more pictures, and no larger ones, when the critic looks at them."""
    run = trainer.run

    def full(name: str, *inputs: Tensor) -> Any:
        if name == "critic" and (len(inputs[0]) > batch or inputs[0].shape[2] > crop):
            raise torch.OutOfMemoryError("planted")
        return run(name, *inputs)

    trainer.run = full  # type: ignore[method-assign]


def events(request: TrainRequest, stop: str) -> list[Event]:
    """Of a training, as far as the preview with the caption `stop`; empty: to its end."""
    said, training = [], train(request)
    for event in training:
        said.append(event)
        if isinstance(event, Preview) and event.caption == stop:
            break
    training.close()  # type: ignore[attr-defined]
    return said


def threads() -> set[str]:
    """The names of this process's threads, where the system tells"""
    return {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}


def main(what: str, *arguments: str) -> None:
    torch.set_num_threads(1)
    if what == "train":
        request = TrainRequest(**json.loads(arguments[0]))
        request = replace(request, style_pictures=tuple(request.style_pictures))
        print("\n".join(to_line(event) for event in events(request, arguments[1])))
        return
    folder = Path(arguments[0])
    with ranks.joined(4):
        made = {name: stepped(name) for name in SETTINGS} | {FULL: cramped()}
        for name, (losses, state) in made.items():
            beside = folder / f"{name} {ranks.rank()}"
            beside.with_suffix(".json").write_text(json.dumps(losses))
            save_file({key: value.contiguous() for key, value in state.items()}, beside.with_suffix(".safetensors"))


if __name__ == "__main__":
    main(*sys.argv[1:])
    # One that outlives its group may end the process with an abort, now and then.
    assert not any("gloo" in name for name in threads()), threads()
