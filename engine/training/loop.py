"""Training a style, from pictures to a style pack that is ready to use."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ..checkup import card_unused
from ..errors import EngineError
from ..protocol import (
    TRAINED,
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
from . import ranks
from .config import TrainConfig, from_json
from .diagnostics import Diagnostics
from .foresight import Foresight
from .keyframes import FromKeyframes
from .meters import Meter
from .pictures import FromPictures
from .texture import FromTexture
from .trainer import Care, Trainer
from .training_sheet import write_sheet
from .workspace import GOOD, STATE, Workspace


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


KINDS: dict[str, Callable[[Any, TrainRequest], Kind]] = {
    "pictures": FromPictures,
    "keyframes": FromKeyframes,
    "texture": FromTexture,
}
"""Each is made from its own config."""


def train(request: TrainRequest, started: float | None = None) -> Iterator[Event]:
    """Train one style and write its pack. Yields progress, losses, diagnoses, previews; then StyleReady and Done.

    Everything needed to go on later lies in `<out>.training` beside the pack; `resume` continues there, and on a CPU
    the resumed run equals the uninterrupted one, at whichever step it was closed. protocol.finish_file ends it early
    with the style it has by then.

    started: time.monotonic() from which a budget counts; None: now.
    """
    started = time.monotonic() if started is None else started
    config = named(from_json(request.config), request)
    with ranks.joined(config.batch):
        if ranks.rank():
            _follow(config, request)
        else:
            yield from _lead(config, request, started)


def _lead(config: TrainConfig, request: TrainRequest, started: float) -> Iterator[Event]:
    """The training as its first process sees it, or the only one."""
    folder = Workspace(training_folder(request.out))
    try:
        kind = KINDS[config.kind](config, request)
        device = choose_device(config.device)
        _refuse_parts(config)
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
        ranks.agree()  # all is there for the others
        diagnostics = Diagnostics(trainer, folder)
        if config.budget:
            yield from _foreseen(request, kind, trainer, diagnostics, started)
        yield from _steps(request, trainer, diagnostics, folder, started)
    finally:
        ranks.agree(ranks.OVER)
    _keep(trainer, folder, started)
    ended = _end(diagnostics, finish_file(request.out).exists())
    finish_file(request.out).unlink(missing_ok=True)
    last = diagnostics.look(request.job, time.monotonic() - started)
    yield last

    yield Progress(request.job, TRAINED, "Exporting the style and checking it against the training network")
    sheet = write_sheet(folder, trainer, [*diagnostics.history, last], ended)
    yield Preview(request.job, str(sheet), "Training sheet")
    pack = kind.export(Path(request.out), trainer)
    yield StyleReady(request.job, pack.name, str(pack.folder))
    seconds = time.monotonic() - started
    report = {
        **{"style": pack.name, "steps": trainer.steps_done, "seconds": seconds, "say": [ended]},
        **{"device": device.type, **({"fell_back": why} if (why := _fell_back(config.device, device)) else {})},
    }
    yield Done(request.job, report)


def _foreseen(
    request: TrainRequest, kind: Kind, trainer: Trainer, diagnostics: Diagnostics, started: float
) -> Iterator[Event]:
    """How long the end will take is known to the trainer then; a session before this one may have found it out."""
    if trainer.end or time.monotonic() - started >= trainer.config.budget:
        return
    said = "The export is rehearsed, to know how long it takes"
    yield Progress(request.job, trainer.progress(time.monotonic() - started), said)
    begun = time.monotonic()
    _rehearse(request, kind, trainer, diagnostics)
    trainer.end = time.monotonic() - begun
    trainer.began += trainer.end  # it is no part of the run whose shares count
    trainer.set_out(time.monotonic() - started)
    diagnostics.folder.spend(time.monotonic() - started)


def _rehearse(request: TrainRequest, kind: Kind, trainer: Trainer, diagnostics: Diagnostics) -> None:
    """All that follows the last step, thrown away. What could not be exported is refused here, not after hours."""
    aside = Workspace(diagnostics.folder.folder / "rehearsal")
    meter, trainer.meter = trainer.meter, Meter()  # it is read at the next diagnosis
    try:
        aside.folder.mkdir(exist_ok=True)
        write_sheet(aside, trainer, [*diagnostics.history, diagnostics.look(request.job, 0.0)], "")
        kind.export(aside.folder / "style", trainer)
    finally:
        trainer.meter = meter
        shutil.rmtree(aside.folder, ignore_errors=True)


def _follow(config: TrainConfig, request: TrainRequest) -> None:
    """The training as any further process sees it: its part of every step, as the first one tells. Says and writes
    nothing."""
    folder = Workspace(training_folder(request.out))
    try:
        ranks.agree()
        kind, device = KINDS[config.kind](config, request), choose_device(config.device)
        for _ in kind.prepare(request.job, folder, device, 0.0):
            pass
        trainer = kind.trainer(device, 0.0)
        if request.resume and folder.has(STATE):
            folder.load(trainer)
        while True:
            elapsed = _told(trainer, folder)
            for _ in _step(request, trainer, elapsed):
                pass
    except ranks.Over:
        return


def _tell(trainer: Trainer, elapsed: float) -> None:
    """Where the training is, for the other processes: what time and diagnoses have made of it."""
    ranks.lead([elapsed, trainer.began, trainer.end, trainer.steps_done, *astuple(trainer.care)])


def _told(trainer: Trainer, folder: Workspace) -> float:
    """What `_tell` has told is so here, too. Returns the seconds elapsed."""
    elapsed, began, end, steps, rate, critic_rate, turn, diagnoses = ranks.follow(8)
    if steps != trainer.steps_done:  # a diagnosis went back to when all was well
        folder.load(trainer, GOOD)
    trainer.began, trainer.end = began, end
    trainer.care = Care(rate, critic_rate, turn, int(diagnoses))
    return elapsed


def _step(request: TrainRequest, trainer: Trainer, elapsed: float) -> Generator[Event, None, dict[str, Tensor]]:
    """One step, smaller where a graphics card cannot hold it, which is said. Returns its loss terms."""
    while True:
        try:
            return trainer.step(elapsed)
        except torch.OutOfMemoryError:
            pass  # only outside is what the step held really gone
        yield Progress(request.job, trainer.progress(elapsed), trainer.make_room())


def _steps(
    request: TrainRequest, trainer: Trainer, diagnostics: Diagnostics, folder: Workspace, started: float
) -> Iterator[Event]:
    """Step by step to the end of the run. Closed on the way, it keeps the state of that very step."""
    config, spoken, asked = trainer.config, 0.0, False
    foresight = Foresight(trainer.end)
    values: dict[str, float]
    try:
        while not (asked or diagnostics.exhausted or trainer.finished(time.monotonic() - started, foresight.end)):
            elapsed, values = time.monotonic() - started, {}
            _tell(trainer, elapsed)
            terms = yield from _step(request, trainer, elapsed)
            foresight.add(frozenset(terms), time.monotonic() - started - elapsed)
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


def _end(diagnostics: Diagnostics, asked: bool) -> str:
    """Why the run ended, in a sentence; the networks that are kept are in place then. asked: to finish."""
    trainer = diagnostics.trainer
    if diagnostics.exhausted:
        count = trainer.config.patience
        why = f"its score had not improved for {count} {'diagnosis' if count == 1 else 'diagnoses'}"
    elif 0 < trainer.config.steps <= trainer.steps_done:
        why = "all were done"
    else:
        why = "it was asked to finish" if asked else "its time was used up"
    why = "; ".join(filter(None, (why, diagnostics.settle())))
    number = f"{trainer.steps_done} of {trainer.config.steps}" if trainer.config.steps else str(trainer.steps_done)
    ended = f"The training ended after {number} steps: {why}."
    return " ".join(filter(None, (ended, trainer.made_smaller())))


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
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if ranks.count() == 1:
        return torch.device("cuda")
    mine, there = ranks.local_rank(), torch.cuda.device_count()
    if mine >= there:
        raise EngineError(
            f"{mine + 1} processes were started, and this computer has {there} CUDA devices.",
            f"Start as many as there are: torchrun --nproc-per-node {there}.",
        )
    torch.cuda.set_device(mine)
    return torch.device("cuda", mine)


def _fell_back(wanted: str, device: torch.device) -> str:
    """Why it was the processor that trained, where a card is there."""
    card = card_unused() if wanted == "auto" and device.type == "cpu" else ""
    why = "was built for the processor" if torch.version.cuda is None else "cannot start CUDA"
    return f"{card} was not used: this Python's PyTorch {why}." if card else ""


def _refuse_parts(config: TrainConfig) -> None:
    if ranks.count() > 1 and config.critic_norm == "batch":
        raise EngineError(
            "Batch norm of the critic does not go with several processes: each would see the norm of its own part.",
            "Choose another critic_norm, or train with one process.",
        )
