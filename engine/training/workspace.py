"""The folder beside a style pack that holds what a resumed training needs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..atomic import NewFile, shown, write_json, write_text, writing
from ..contact_sheet import Cell, Look, contact_sheet, save_png, to_image
from ..errors import EngineError
from ..protocol import Diagnosis, from_line, to_line
from .config import PicturesConfig, TrainConfig, to_json
from .data import to_bytes
from .networks import Critic, parameters
from .trainer import Trainer

TO_LOOK_AT = 4_000_000
"""Bytes of previews and of the training sheet, about"""
STATE, GOOD, BEST = "state", "good", "best"
"""Checkpoints: where a resumed run goes on, where a diagnosis last found all well, and the best score."""


class Workspace:
    """The folder beside the pack that holds what a resumed run needs. Safetensors and JSON only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, config: TrainConfig, resume: bool) -> None:
        settings = self.folder / "config.json"
        wanted = json.loads(json.dumps(to_json(config)))
        if resume and not settings.exists():
            raise EngineError(f"There is no training to resume in {self.folder}.", "Start it without --resume.")
        if resume and _without_length(json.loads(settings.read_text("utf-8"))) != _without_length(wanted):
            raise EngineError(
                "The training to resume was started with other settings.", "Give the same settings, or start anew."
            )
        if not resume and settings.exists():
            raise EngineError(
                f"A training lies in {self.folder} already.", "Resume it with --resume, or choose another name."
            )
        try:
            (self.folder / "pairs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EngineError(
                f"The folder {self.folder} cannot be made ({error.strerror}).", "Choose a folder you may write to."
            ) from error
        self._refuse_full_disk(config)
        write_json(settings, wanted)

    def _refuse_full_disk(self, config: TrainConfig) -> None:
        """Now, not after an hour."""
        there = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        needed, free = space_needed(config) - there, shutil.disk_usage(self.folder).free
        if free < needed:
            raise EngineError(
                f"The disk with {shown(self.folder)} has {free / 1e6:.1f} MB left, and this training may need "
                f"{needed / 1e6:.1f} MB for its checkpoints.",
                "Free some space, or choose a folder on another disk.",
            )

    def pair(self, index: int) -> Path:
        return self.folder / "pairs" / f"{index:04d}.safetensors"

    def has(self, which: str) -> bool:
        return self._checkpoint(which).exists()

    def save(self, trainer: Trainer, which: str = STATE) -> None:
        with NewFile(self._checkpoint(which)) as new:
            new.file.write(save({name: value.contiguous().cpu() for name, value in trainer.state().items()}))

    def load(self, trainer: Trainer, which: str = STATE) -> None:
        try:
            trainer.restore(self._read(which))
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise _unreadable(self._checkpoint(which), error) from error

    def spend(self, seconds: float) -> None:
        """Before there is a checkpoint, which knows by itself what the training has taken."""
        write_json(self._clock, {"seconds": seconds})

    def spent(self) -> float:
        """Seconds that the training has taken, over all its sessions, as far as it has been kept."""
        if self.has(STATE):
            clock = self._read(STATE).get("clock")
            return 0.0 if clock is None else float(clock[1])
        return float(json.loads(self._clock.read_text("utf-8"))["seconds"]) if self._clock.exists() else 0.0

    def load_averages(self, trainer: Trainer, which: str) -> None:
        """The averaged networks of a checkpoint, and nothing else of it."""
        trainer.take_averages(self._read(which))

    @property
    def _clock(self) -> Path:
        return self.folder / "clock.json"

    def _checkpoint(self, which: str) -> Path:
        return self.folder / f"{which}.safetensors"

    def _read(self, which: str) -> dict[str, Tensor]:
        path = self._checkpoint(which)
        try:
            return load(path.read_bytes())
        except SafetensorError as error:
            raise _unreadable(path, error) from error

    def history(self, count: int) -> list[Diagnosis]:
        """The first `count` diagnoses. Later ones are forgotten: the run goes on from before them."""
        path = self.folder / "history.jsonl"
        lines = path.read_text("utf-8").splitlines()[:count] if path.exists() else []
        write_text(path, "".join(line + "\n" for line in lines))
        return [from_line(line) for line in lines]

    def remember(self, diagnosis: Diagnosis) -> None:
        path = self.folder / "history.jsonl"
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(to_line(diagnosis) + "\n")
            file.flush()
            os.fsync(file.fileno())  # a checkpoint counts on the lines before it

    def samples(self) -> list[Path]:
        """What `preview` kept of results on the way, in the order of steps."""
        return sorted(self.folder.glob("samples_*.png"))

    def preview(self, trainer: Trainer) -> Path:
        """What the averaged generator can do now, as one PNG."""
        rows = trainer.preview()
        height, width = next(iter(rows.values())).shape[2:]
        cells = [[Cell(_pixels(p), label) for p in pictures] for label, pictures in rows.items()]
        path = self.folder / f"preview_{trainer.steps_done:06d}.png"
        save_png(contact_sheet(cells, trainer.config.name, Look(width=width, height=height)), path)
        row = self.folder / f"samples_{trainer.steps_done:06d}.png"
        save_png(to_image(side_by_side(trainer.probe().painted)), row)
        return path


def space_needed(config: TrainConfig) -> int:
    """Bytes that a training may fill, about: its checkpoint five times (today's, the good and the best one, a new one
    beside them for a moment, and the pack), what there is to look at, and the teacher's pictures."""
    generator = parameters(config.generator.network())
    critic = parameters(Critic(config.critic_width, config.critic_scales, config.critic_norm))
    # Weights in float32 and two moments of each; of what is taught, which an encoder doubles at most, the average too.
    checkpoint = 4 * (4 * 2 * generator + 3 * critic)
    if not isinstance(config, PicturesConfig) or config.route != "teacher":
        return 5 * checkpoint + TO_LOOK_AT
    # Content and painting, three bytes a pixel each; the match field is a tenth of that.
    return 5 * checkpoint + TO_LOOK_AT + config.pairs * 7 * config.size**2


def side_by_side(pictures: Tensor | Sequence[Tensor]) -> NDArray[np.uint8]:
    """Pictures of one height as pixels (H, W, 3)."""
    return _pixels(torch.cat(list(pictures), 2))


def _unreadable(path: Path, error: Exception) -> EngineError:
    return EngineError(f"The saved training in {path} cannot be read ({error}).", "Start the training anew.")


def _pixels(picture: Tensor) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = to_bytes(picture).permute(1, 2, 0).numpy()
    return pixels


def _without_length(settings: dict[str, Any]) -> dict[str, Any]:
    """A run may be resumed for longer, with more pauses or another budget; anything else makes another style."""
    return {k: v for k, v in settings.items() if k not in ("steps", "budget", "preview_every", "device", "precision")}
