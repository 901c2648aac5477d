"""Training a style, from pictures to a style pack that is ready to use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch

from ..errors import EngineError
from ..protocol import Done, Event, Preview, Progress, StyleReady, TrainRequest, TrainStep
from ..style_pack import StylePack
from .config import TrainConfig, from_json
from .keyframes import FromKeyframes
from .pictures import FromPictures
from .trainer import Trainer
from .workspace import Workspace


class Kind(Protocol):
    """One kind of style: what its training starts from, and the three things in which it differs from the others.

    It is made from its config and the request with the cheap checks done, raising EngineError.
    """

    def prepare(self, job: str, folder: Workspace, device: torch.device, started: float) -> Iterator[Event]:
        """What takes time before the first step."""
        ...

    def trainer(self, device: torch.device, began: float) -> Trainer:
        """began: seconds of a time budget that have passed."""
        ...

    def export(self, out: Path, trainer: Trainer) -> StylePack: ...


KINDS: dict[str, Callable[[Any, TrainRequest], Kind]] = {"pictures": FromPictures, "keyframes": FromKeyframes}
"""Each is made from its own config."""


def train(request: TrainRequest) -> Iterator[Event]:
    """Train one style and write its pack. Yields progress, losses, previews; then StyleReady and Done.

    Everything needed to go on later lies in `<out>.training` beside the pack; `resume` continues there, and on a CPU
    the resumed run equals the uninterrupted one.
    """
    config = named(from_json(request.config), request)
    started = time.monotonic()
    kind = KINDS[config.kind](config, request)
    device = choose_device(config.device)
    folder = Workspace(Path(request.out).with_name(Path(request.out).name + ".training"))
    folder.prepare(config, request.resume)
    yield from kind.prepare(request.job, folder, device, started)

    trainer = kind.trainer(device, time.monotonic() - started)
    if request.resume:
        folder.load(trainer)
    spoken = 0.0
    while not trainer.finished(time.monotonic() - started):
        terms = trainer.step(time.monotonic() - started)
        if trainer.steps_done % config.preview_every == 0:
            folder.save(trainer)
            yield Preview(request.job, str(folder.preview(trainer)), f"Step {trainer.steps_done}")
        if time.monotonic() - spoken > 1.0:
            spoken = time.monotonic()
            left = trainer.seconds_left(spoken - started)
            values = {name: float(value) for name, value in terms.items()}
            yield TrainStep(request.job, trainer.steps_done, config.steps, values, left)
    folder.save(trainer)

    yield Progress(request.job, 0.97, "Exporting the style and checking it against the training network")
    pack = kind.export(Path(request.out), trainer)
    yield StyleReady(request.job, pack.name, str(pack.folder))
    yield Done(request.job, {"style": pack.name, "steps": trainer.steps_done, "seconds": time.monotonic() - started})


def named(config: TrainConfig, request: TrainRequest) -> TrainConfig:
    """With a name: that of the first style picture or keyframe ("starry_night.jpg" -> "Starry Night") where none was
    given."""
    first = next(iter((*request.style_pictures, *request.keyframes)), "")
    return replace(config, name=config.name or Path(first).stem.replace("_", " ").title())


def choose_device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            "This Python's torch finds no CUDA device.", "Install torch for CUDA, or train with --device cpu."
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
