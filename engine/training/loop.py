"""Training a style, from pictures to a style pack that is ready to use."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch

from ..errors import EngineError
from ..protocol import (
    Done,
    Event,
    Preview,
    Progress,
    StyleReady,
    TrainRequest,
    TrainStep,
    finish_file,
    training_folder,
)
from ..style_pack import StylePack
from .config import TrainConfig, from_json
from .diagnostics import Diagnostics
from .keyframes import FromKeyframes
from .pictures import FromPictures
from .trainer import Trainer
from .training_sheet import write_sheet
from .workspace import STATE, Workspace


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
    """Train one style and write its pack. Yields progress, losses, diagnoses, previews; then StyleReady and Done.

    Everything needed to go on later lies in `<out>.training` beside the pack; `resume` continues there, and on a CPU
    the resumed run equals the uninterrupted one, at whichever step it was closed. protocol.finish_file ends it early
    with the style it has by then.
    """
    config = named(from_json(request.config), request)
    started = time.monotonic()
    kind = KINDS[config.kind](config, request)
    device = choose_device(config.device)
    folder = Workspace(training_folder(request.out))
    folder.prepare(config, request.resume)
    started -= folder.spent()  # a budget is counted over all sessions
    finish_file(request.out).unlink(missing_ok=True)
    for event in kind.prepare(request.job, folder, device, started):
        folder.spend(time.monotonic() - started)
        yield event
        if finish_file(request.out).exists() and not folder.has(STATE):
            raise EngineError("Not one step has been trained yet: there is no style to finish.", "Resume it later.")

    trainer = kind.trainer(device, time.monotonic() - started)
    if request.resume and folder.has(STATE):  # else it was stopped before the first step
        folder.load(trainer)
        trainer.set_out(time.monotonic() - started)
    diagnostics = Diagnostics(trainer, folder)
    yield from _steps(request, trainer, diagnostics, folder, started)
    _keep(trainer, folder, started)
    ended = _end(diagnostics, time.monotonic() - started)
    finish_file(request.out).unlink(missing_ok=True)
    last = diagnostics.look(request.job, time.monotonic() - started)
    yield last

    yield Progress(request.job, 0.97, "Exporting the style and checking it against the training network")
    sheet = write_sheet(folder, trainer, [*diagnostics.history, last], ended)
    yield Preview(request.job, str(sheet), "Training sheet")
    pack = kind.export(Path(request.out), trainer)
    yield StyleReady(request.job, pack.name, str(pack.folder))
    seconds = time.monotonic() - started
    report = {"style": pack.name, "steps": trainer.steps_done, "seconds": seconds, "say": [ended]}
    yield Done(request.job, report)


def _steps(
    request: TrainRequest, trainer: Trainer, diagnostics: Diagnostics, folder: Workspace, started: float
) -> Iterator[Event]:
    """Step by step to the end of the run. Closed on the way, it keeps the state of that very step."""
    config, spoken, asked = trainer.config, 0.0, False
    try:
        while not (asked or diagnostics.exhausted or trainer.finished(time.monotonic() - started)):
            terms, values = trainer.step(time.monotonic() - started), {}
            if time.monotonic() - spoken > 1.0:
                spoken = time.monotonic()
                values = {name: float(value) for name, value in terms.items()}
                asked = finish_file(request.out).exists()
            well = all(math.isfinite(value) for value in values.values())
            if not well or trainer.steps_done % config.diagnose_every == 0:
                yield diagnostics.examine(request.job, time.monotonic() - started)
            if well and trainer.steps_done % config.preview_every == 0:
                _keep(trainer, folder, started)
                yield Preview(request.job, str(folder.preview(trainer)), f"Step {trainer.steps_done}")
            if well and values:
                left = trainer.seconds_left(spoken - started)
                yield TrainStep(request.job, trainer.steps_done, config.steps, values, left)
    except GeneratorExit:
        _keep(trainer, folder, started)
        raise


def _keep(trainer: Trainer, folder: Workspace, started: float) -> None:
    trainer.seconds = time.monotonic() - started
    folder.save(trainer)


def _end(diagnostics: Diagnostics, elapsed: float) -> str:
    """Why the run ended, in a sentence; the networks that are kept are in place then."""
    trainer = diagnostics.trainer
    if diagnostics.exhausted:
        why = f"its held-out score had not improved for {trainer.config.patience} diagnoses"
    elif trainer.steps_done >= trainer.config.steps:
        why = "all were done"
    else:
        why = "its time was used up" if trainer.finished(elapsed) else "it was asked to finish"
    why = "; ".join(filter(None, (why, diagnostics.settle())))
    return f"The training ended after {trainer.steps_done} of {trainer.config.steps} steps: {why}."


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
