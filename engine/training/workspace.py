"""The folder beside a style pack that holds what a resumed training needs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..atomic import NewFile, shown, write_json
from ..contact_sheet import Cell, Look, contact_sheet, save_png
from ..errors import EngineError
from .config import PicturesConfig, TrainConfig, to_json
from .data import to_bytes
from .networks import Critic, Generator, parameters
from .trainer import Trainer


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

    def save(self, trainer: Trainer) -> None:
        with NewFile(self.folder / "state.safetensors") as new:
            new.file.write(save({name: value.contiguous().cpu() for name, value in trainer.state().items()}))

    def load(self, trainer: Trainer) -> None:
        path = self.folder / "state.safetensors"
        if not path.exists():  # stopped while the teacher still painted
            return
        try:
            trainer.restore(load(path.read_bytes()))
        except (SafetensorError, KeyError, RuntimeError) as error:
            raise EngineError(
                f"The saved training in {path} cannot be read ({error}).", "Start the training anew."
            ) from error

    def preview(self, trainer: Trainer) -> Path:
        """What the averaged generator can do now, as one PNG."""
        rows = trainer.preview()
        height, width = next(iter(rows.values())).shape[2:]
        cells = [[Cell(_pixels(p), label) for p in pictures] for label, pictures in rows.items()]
        path = self.folder / f"preview_{trainer.steps_done:06d}.png"
        save_png(contact_sheet(cells, trainer.config.name, Look(width=width, height=height)), path)
        return path


def space_needed(config: TrainConfig) -> int:
    """Bytes that a training may fill, about: its checkpoint three times (the new one lies beside the old for a moment,
    pack and previews take less than another), and the teacher's pictures."""
    generator = parameters(Generator(config.generator))
    critic = parameters(Critic(config.critic_width, config.critic_scales, config.critic_norm))
    # Weights in float32 and two moments of each; of what is taught, which an encoder doubles at most, the average too.
    checkpoint = 4 * (4 * 2 * generator + 3 * critic)
    if not isinstance(config, PicturesConfig) or config.route != "teacher":
        return 3 * checkpoint
    # Content and painting, three bytes a pixel each; the match field is a tenth of that.
    return 3 * checkpoint + config.pairs * 7 * config.size**2


def _pixels(picture: Tensor) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = to_bytes(picture).permute(1, 2, 0).numpy()
    return pixels


def _without_length(settings: dict[str, Any]) -> dict[str, Any]:
    """A run may be resumed for longer, with more pauses or another budget; anything else makes another style."""
    return {k: v for k, v in settings.items() if k not in ("steps", "budget", "preview_every", "device")}
