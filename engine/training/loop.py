"""Training a style, from pictures to a style pack that is ready to use."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ..atomic import NewFile, write_json
from ..contact_sheet import Cell, Look, contact_sheet, save_png
from ..errors import EngineError
from ..protocol import Done, Event, Preview, Progress, StyleReady, TrainRequest, TrainStep
from . import losses
from .augment import augment
from .config import TrainConfig, from_json, to_json
from .data import Pair, find_content, load_pair, load_picture, make_pair, random_crop, save_pair, to_bytes, to_float
from .export import export
from .networks import STRIDE, Critic, Encoder, Generator, initialise
from .objectives import OBJECTIVES, gradient_penalty, r1_penalty
from .teacher import Guide, resize

PAIRS_SHARE = 0.35
"""Share of a time budget the teacher may use."""
EXPORT_SECONDS = 10.0
"""Kept back from a time budget for the export and its parity check (5 s measured on two busy cores)."""


def train(request: TrainRequest) -> Iterator[Event]:
    """Train one style and write its pack. Yields progress, losses, previews; then StyleReady and Done.

    Everything needed to go on later lies in `<out>.training` beside the pack; `resume` continues there, and on a CPU
    the resumed run equals the uninterrupted one.
    """
    config = named(from_json(request.config), request)
    started = time.monotonic()
    contents = find_content(Path(request.content))
    styles = [style_picture(Path(p), config) for p in request.style_pictures]
    device = choose_device(config.device)
    folder = Workspace(Path(request.out).with_name(Path(request.out).name + ".training"))
    folder.prepare(config, request.resume)

    pairs: list[Pair] = []
    if config.route == "teacher":
        yield Progress(request.job, 0.0, "The teacher looks at the pictures")
        for pair in painted_pairs(config, contents, styles, folder, device, started):
            pairs.append(pair)
            done = len(pairs) / config.pairs
            yield Progress(request.job, PAIRS_SHARE * done, f"The teacher paints picture {len(pairs)}/{config.pairs}")

    samples = Samples(config, pairs, contents, styles, device)
    trainer = Trainer(config, samples, device, began=time.monotonic() - started)
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
    sample = resize(load_picture(contents[0], 256), (256, 256))
    networks = (trainer.averaged, trainer.averaged_encoder, trainer.critic)
    pack = export(Path(request.out), *networks, pairs, sample, config, trainer.steps_done)
    yield StyleReady(request.job, pack.name, str(pack.folder))
    yield Done(request.job, {"style": pack.name, "steps": trainer.steps_done, "seconds": time.monotonic() - started})


def named(config: TrainConfig, request: TrainRequest) -> TrainConfig:
    """With a name: that of the first style picture ("starry_night.jpg" -> "Starry Night") where none was given."""
    if not request.style_pictures:
        raise EngineError("There is no style picture.", "Give at least one with --style-picture.")
    return replace(config, name=config.name or Path(request.style_pictures[0]).stem.replace("_", " ").title())


def style_picture(path: Path, config: TrainConfig) -> Tensor:
    """The style picture at the scale of training, (3, h, w) 0..1. Raises EngineError when no crop fits into it."""
    picture = load_picture(path, config.style_side)
    if min(picture.shape[1:]) < config.crop:
        raise EngineError(
            f"{path.name} is too small: {picture.shape[2]}x{picture.shape[1]} pixels at the scale of training, "
            f"where crops of {config.crop} are cut from it.",
            "Choose a larger picture, a larger style_side or a smaller crop.",
        )
    return picture


def choose_device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            "This Python's torch finds no CUDA device.", "Install torch for CUDA, or train with --device cpu."
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def painted_pairs(
    config: TrainConfig,
    contents: list[Path],
    styles: list[Tensor],
    folder: Workspace,
    device: torch.device,
    started: float,
) -> Iterator[Pair]:
    """The teacher's pairs, from the disk where they lie, else painted now. Ends early when a budget's share is used."""
    guides = [Guide([load_picture(p, 128).to(device) for p in contents], s.to(device), config.teacher) for s in styles]
    for index in range(config.pairs):
        path = folder.pair(index)
        if path.exists():
            yield load_pair(path)
            continue
        if config.budget and index and time.monotonic() - started > PAIRS_SHARE * config.budget:
            return
        which = index % len(styles)
        style = styles[which].to(device)
        pair = make_pair(contents, style, guides[which], config.teacher, config.size, config.seed, index)
        save_pair(pair, path)
        yield pair


@dataclass(frozen=True)
class Samples:
    """Crops to train on. Step k's crops depend on (seed, k) alone, so a resumed run sees what it would have seen."""

    config: TrainConfig
    pairs: list[Pair]
    contents: list[Path]
    styles: list[Tensor]
    device: torch.device

    def batch(self, step: int, turn: int = 0) -> tuple[Tensor, Tensor | None, Tensor]:
        """(content, what the teacher made of it or None, crops of the style pictures), each (N, 3, S, S) 0..1.

        turn: of the critic, where it takes several to a step.
        """
        choose = random.Random(f"{self.config.seed}/batch/{step}" + (f"/{turn}" if turn else ""))
        style = self._stack([_cut([choose.choice(self.styles)], self.config.crop, choose)[0] for _ in self._each()])
        if self.pairs:
            chosen = [self._pair(choose) for _ in self._each()]
            return self._stack([c for c, _ in chosen]), self._stack([t for _, t in chosen]), style
        crops = [
            random_crop(load_picture(choose.choice(self.contents)), self.config.crop, choose) for _ in self._each()
        ]
        return self._stack(crops), None, style

    def _each(self) -> range:
        return range(self.config.batch)

    def _pair(self, choose: random.Random) -> tuple[Tensor, Tensor]:
        pair = choose.choice(self.pairs)
        content, painted = _cut([pair.content, pair.painted], self.config.crop, choose)
        return to_float(content), to_float(painted)

    def _stack(self, pictures: list[Tensor]) -> Tensor:
        return torch.stack(pictures).to(self.device)


def _cut(pictures: list[Tensor], size: int, choose: random.Random) -> list[Tensor]:
    """The same random window of each, mirrored half of the time."""
    height, width = pictures[0].shape[1:]
    top, left = choose.randint(0, height - size), choose.randint(0, width - size)
    cut = [p[:, top : top + size, left : left + size] for p in pictures]
    return [p.flip(2) for p in cut] if choose.random() < 0.5 else cut


class Trainer:
    """The two networks, their optimisers, and one step."""

    def __init__(self, config: TrainConfig, samples: Samples, device: torch.device, began: float = 0.0) -> None:
        """began: seconds of a time budget that the teacher has used."""
        self.began = began
        torch.manual_seed(config.seed)
        self.config, self.samples, self.device = config, samples, device
        self.generator = Generator(config.generator).to(device)
        initialise(self.generator, config.init)
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        self.critic = Critic(config.critic_width, config.critic_scales, config.critic_norm).to(device)
        initialise(self.critic, config.init)
        self.encoder = Encoder(config.generator).to(device)
        # Averaged as well: an averaged generator does not understand what today's encoder says.
        self.averaged_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.objective = OBJECTIVES[config.objective]
        self.generator_optimiser = _optimiser(self.generator, config.learning_rate, config)
        self.encoder_optimiser = _optimiser(self.encoder, config.learning_rate, config)
        self.critic_optimiser = _optimiser(self.critic, config.critic_learning_rate, config)
        # Torch's convolutions on a CPU take 1.6 times as long in the usual order (torch 2.13, AVX-512).
        for module in self._modules().values():
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub forgot this one
        self.steps_done = 0

    def step(self, elapsed: float) -> dict[str, Tensor]:
        """One step of both networks. `elapsed` seconds place it in a time budget. Returns the loss terms."""
        config = self.config
        self.steps_done += 1
        warming_up, part = self._part(self.progress(elapsed))
        self._set_learning_rate(part)
        random_ = torch.Generator(self.device).manual_seed(config.seed * 1_000_003 + self.steps_done)
        content, target, style = self.samples.batch(self.steps_done)
        noise = torch.randn(noise_shape(content, config), generator=random_, device=self.device)
        terms: dict[str, Tensor] = {}

        # 1. The encoder reads off the teacher's pictures which strokes it chose, and the generator repeats them.
        free = noise
        if target is not None and config.reconstruction:
            mean, log_variance = self.encoder(content, target)
            free, noise = mean.detach().roll(1, 0), mean + noise * (log_variance / 2).exp()
            terms["code"] = losses.code_divergence(mean, log_variance)
        painted = self.generator(content, noise)
        if target is not None and config.reconstruction:
            terms["reconstruction"] = (painted - target).abs().mean()

        # 2. The critic says what regression cannot: whether they are strokes. It judges strokes that were told: of free
        #    ones nobody knows where they belong, and the generator would answer with grain.
        if not warming_up and (config.adversarial or config.features):
            terms |= self._judged(painted, target, style, random_)

        # 3. With the strokes of its neighbour, as in use, where they come from the style's stroke field and have to fit
        #    any content, forms and colours must stay in their place.
        if target is None:
            terms["structure"] = losses.structure(painted, content)
        elif not warming_up:
            painted = painted if free is noise else self.generator(content, free)
            terms["coarse"] = losses.coarse_l1(painted, target, config.coarse_pixels)

        # 4. Which patches there are, at three scales, wherever they lie.
        if config.patches and not warming_up:
            wanted = style if target is None else target
            terms["patches"] = losses.sliced_wasserstein(painted, wanted, 7, 3, 48, random_)

        total = sum(getattr(config, name) * value for name, value in terms.items() if name != "critic")
        assert isinstance(total, Tensor)
        self.generator_optimiser.zero_grad()
        self.encoder_optimiser.zero_grad()
        total.backward()
        self.generator_optimiser.step()
        self.encoder_optimiser.step()
        self._average()
        return {name: value.detach() for name, value in terms.items()}

    def _judged(
        self, painted: Tensor, target: Tensor | None, style: Tensor, random_: torch.Generator
    ) -> dict[str, Tensor]:
        """One step of the critic, or several on crops of their own, and its verdict on what the generator painted."""
        for turn in range(1, self.config.critic_steps):
            self._teach_critic(*self._more(turn, random_), random_)
        real = style if target is None else _mixed(target, style, self.config.style_share, random_)
        loss = self._teach_critic(real, painted.detach(), random_)

        # It stands still while it judges, and through the same augmentation: judged on whole pictures the generator
        # would learn what the critic never sees, their borders.
        self.critic.requires_grad_(False)
        window = random_.get_state()
        verdicts = self.critic(augment(painted, random_))
        random_.set_state(window)
        with torch.no_grad():
            wanted = self.critic(augment(style if target is None else target, random_))
        self.critic.requires_grad_(True)
        return {
            "critic": loss,
            "adversarial": self.objective.generator_loss(verdicts),
            "features": losses.feature_statistics(verdicts, wanted),
        }

    def _teach_critic(self, real: Tensor, fake: Tensor, random_: torch.Generator) -> Tensor:
        """One step of the critic. Both sides are augmented alike, or it would learn the augmentation (Zhao et al.,
        "Differentiable Augmentation", 2020). Returns the objective's loss, without penalties."""
        config = self.config
        penalised = bool(config.r1) and self.steps_done % config.r1_every == 0
        real = augment(real, random_).requires_grad_(penalised)
        fake = augment(fake, random_)
        real_verdicts = self.critic(real)
        loss = total = self.objective.critic_loss(real_verdicts, self.critic(fake))
        if penalised:
            total = total + config.r1_every * config.r1 / 2 * r1_penalty(real, real_verdicts)
        if config.penalty:
            total = total + config.penalty * gradient_penalty(self.critic, real, fake, random_)
        self.critic_optimiser.zero_grad()
        total.backward()
        self.critic_optimiser.step()
        if config.clip:
            with torch.no_grad():
                for weight in self.critic.parameters():
                    weight.clamp_(-config.clip, config.clip)
        return loss.detach()

    @torch.no_grad()
    def _more(self, turn: int, random_: torch.Generator) -> tuple[Tensor, Tensor]:
        """Reals and fakes for another step of the critic, from crops of their own."""
        content, target, style = self.samples.batch(self.steps_done, turn)
        noise = torch.randn(noise_shape(content, self.config), generator=random_, device=self.device)
        if target is None:
            return style, self.generator(content, noise)
        if self.config.reconstruction:
            noise = self.encoder(content, target)[0]
        return _mixed(target, style, self.config.style_share, random_), self.generator(content, noise)

    def progress(self, elapsed: float) -> float:
        """0..1: by steps, or by what is left of a time budget where that runs out sooner."""
        share = self.steps_done / self.config.steps
        if self.config.budget:
            share = max(share, (elapsed - self.began) / max(1.0, self.config.budget - EXPORT_SECONDS - self.began))
        return min(1.0, share)

    def finished(self, elapsed: float) -> bool:
        return self.progress(elapsed) >= 1.0 and self.steps_done > 0

    def seconds_left(self, elapsed: float) -> float:
        share = self.progress(elapsed)
        return elapsed * (1 - share) / share if share else 0.0

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, as flat names -> tensors."""
        flat = {"steps": torch.tensor(self.steps_done)}
        for name, module in self._modules().items():
            flat.update({f"{name}/{key}": value for key, value in module.state_dict().items()})
        for name, optimiser in self._optimisers().items():
            for index, values in optimiser.state_dict()["state"].items():
                flat.update({f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in values.items()})
        return flat

    def restore(self, flat: dict[str, Tensor]) -> None:
        self.steps_done = int(flat["steps"])
        for name, module in self._modules().items():
            module.load_state_dict(_below(flat, name))
        for name, optimiser in self._optimisers().items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(flat, name).items():
                index, field = key.split("/")
                state.setdefault(int(index), {})[field] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})

    def _modules(self) -> dict[str, nn.Module]:
        return {
            "generator": self.generator,
            "averaged": self.averaged,
            "encoder": self.encoder,
            "averaged_encoder": self.averaged_encoder,
            "critic": self.critic,
        }

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "generator_optimiser": self.generator_optimiser,
            "encoder_optimiser": self.encoder_optimiser,
            "critic_optimiser": self.critic_optimiser,
        }

    def _part(self, progress: float) -> tuple[bool, float]:
        """Is the run still in its warm-up, and which share of the part it is in has passed?"""
        config = self.config
        warm_up = config.warm_up if config.route == "teacher" and config.reconstruction else 0.0
        if progress < warm_up:
            return True, progress / warm_up
        return False, (progress - warm_up) / max(1 - warm_up, 1e-9)

    def _set_learning_rate(self, part: float) -> None:
        """Constant, then over the last `decay` of either part of the run falling to a twentieth."""
        factor = min(1.0, max(0.05, (1 - part) / max(self.config.decay, 1e-9)))
        rates = (self.config.learning_rate, self.config.learning_rate, self.config.critic_learning_rate)
        for optimiser, rate in zip(self._optimisers().values(), rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.average, 1 - 1 / (self.steps_done + 1))
        for average, module in ((self.averaged, self.generator), (self.averaged_encoder, self.encoder)):
            for kept, now in zip(average.parameters(), module.parameters(), strict=True):
                kept.lerp_(now, 1 - decay)


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
        write_json(settings, wanted)

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
        """Some contents and what the averaged generator makes of them, as one PNG."""
        content, target, _ = trainer.samples.batch(0)
        noise = torch.randn(noise_shape(content, trainer.config), generator=torch.Generator().manual_seed(0))
        noise = noise.to(content.device)
        with torch.no_grad():
            if target is not None and trainer.config.reconstruction:  # each with the strokes of its neighbour
                noise = trainer.averaged_encoder(content, target)[0].roll(1, 0)
            result = trainer.averaged(content, noise).clamp(0, 1)
        rows = {"content": content, "stylized": result} | ({} if target is None else {"teacher": target})
        cells = [[Cell(_pixels(p), label) for p in pictures] for label, pictures in rows.items()]
        path = self.folder / f"preview_{trainer.steps_done:06d}.png"
        save_png(contact_sheet(cells, trainer.config.name, Look(width=content.shape[3], height=content.shape[2])), path)
        return path


def noise_shape(pictures: Tensor, config: TrainConfig) -> tuple[int, int, int, int]:
    count, _, height, width = pictures.shape
    return count, config.generator.noise, height // STRIDE, width // STRIDE


def _optimiser(module: nn.Module, rate: float, config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimiser == "rmsprop":
        return torch.optim.RMSprop(module.parameters(), rate)
    return torch.optim.Adam(module.parameters(), rate, betas=(config.beta1, config.beta2))


def _mixed(target: Tensor, style: Tensor, share: float, random_: torch.Generator) -> Tensor:
    """The teacher's pictures, each with a chance of `share` replaced by a crop of the painting itself."""
    replaced = torch.rand(len(target), 1, 1, 1, generator=random_, device=target.device) < share
    return torch.where(replaced, style, target)


def _pixels(picture: Tensor) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = to_bytes(picture).permute(1, 2, 0).numpy()
    return pixels


def _below(flat: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(name + "/"): value for key, value in flat.items() if key.startswith(name + "/")}


def _without_length(settings: dict[str, Any]) -> dict[str, Any]:
    """A run may be resumed for longer, with more pauses or another budget; anything else makes another style."""
    return {k: v for k, v in settings.items() if k not in ("steps", "budget", "preview_every", "device")}
