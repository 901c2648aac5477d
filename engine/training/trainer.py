"""Generator and critic, their optimisers and one step: what trainings of every kind have in common."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import EngineError
from . import losses, ranks, steadiness
from .augment import augment
from .config import TrainConfig, smaller
from .foresight import last_call
from .meters import Meter, Probe
from .networks import Critic, Generator, initialise
from .objectives import OBJECTIVES, Verdicts, gradient_penalty, r1_penalty, verdict_numbers

AVERAGED_STEPS = 10
"""An average over a tenth of the steps so far, as far as `average` allows: longer, and short runs end pale, for it
lags behind; shorter, and it is no calmer than the generator itself."""


@dataclass(frozen=True)
class Care:
    """What diagnosis has changed in how a training goes on, and how far its record reaches. Part of the state."""

    rate: float = 1.0
    """Factor on both learning rates"""
    critic_rate: float = 1.0
    """Another one on the critic's alone"""
    turn: float = 0.0
    """Chance of what the critic sees to be turned, where it is larger than the config's `rotate`"""
    diagnoses: int = 0
    """How many there have been"""


class Trainer(ABC):
    """Generator and critic, their optimisers, and one step. What a step teaches is for each kind of style to say."""

    def __init__(self, config: TrainConfig, device: torch.device, began: float = 0.0) -> None:
        """began: seconds of a time budget that have passed before the first step."""
        self.config, self.asked, self.device, self.began = config, config, device, began
        self.seconds = began
        """That the training has taken over all its sessions, when its state was last kept"""
        self.end = 0.0
        """Seconds of a time budget that what follows the last step took when it was rehearsed; 0: it was not yet"""
        torch.manual_seed(config.seed)
        self.taught = {name: network.to(device) for name, network in self.networks().items()}
        initialise(self.taught["generator"], config.init)
        self.averages = {name: copy.deepcopy(n).requires_grad_(False) for name, n in self.taught.items()}
        self.critic = Critic(config.critic_width, config.critic_scales, config.critic_norm).to(device)
        initialise(self.critic, config.init)
        self.objective = OBJECTIVES[config.objective]
        taught = [p for network in self.taught.values() for p in network.parameters()]
        self.optimiser = _optimiser(taught, config.learning_rate, config)
        self.critic_optimiser = _optimiser(self.critic.parameters(), config.critic_learning_rate, config)
        # Torch's convolutions on a CPU take 1.6 times as long in the usual order (torch 2.13, AVX-512).
        for module in self._modules().values():
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub forgot this one
        able = device.type == "cuda" and torch.cuda.is_bf16_supported(False)
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and able)
        """Do networks compute in bfloat16?"""
        self.steps_done = 0
        self.set_out(began)
        self.care = Care()
        self.meter = Meter()

    def networks(self) -> dict[str, nn.Module]:
        """What the loss terms teach: `generator`, and what helps it. An average of each is what is kept."""
        return {"generator": Generator(self.config.generator)}

    @abstractmethod
    def terms(self, warming_up: bool, random_: torch.Generator) -> dict[str, Tensor]:
        """What a step teaches: each term of the loss by the name of its weight in the config."""

    @abstractmethod
    def another(self, turn: int, random_: torch.Generator) -> tuple[Tensor, Tensor]:
        """Reals and fakes for another step of the critic, from crops of their own; no gradients."""

    @abstractmethod
    def preview(self) -> dict[str, Tensor]:
        """Rows of pictures (N, 3, H, W) 0..1 by their label, the same at every step."""

    @abstractmethod
    def probe(self) -> Probe:
        """What a diagnosis looks at, beside the numbers of the steps."""

    def run(self, name: str, *inputs: Tensor) -> Any:
        """What a taught network, or the critic, makes of its inputs, in float32 whatever it computes in."""
        network = self.critic if name == "critic" else self.taught[name]
        if not self.half:
            return network(*inputs)
        with torch.autocast(self.device.type, torch.bfloat16):
            result = network(*inputs)
        return _in_full(result)

    def warm_up(self) -> float:
        """Share of the run in which the critic stands by."""
        return self.config.warm_up

    def step(self, elapsed: float) -> dict[str, Tensor]:
        """One step of all networks. `elapsed` seconds place it in a time budget. Returns the loss terms.

        Raises torch.OutOfMemoryError where the graphics card cannot hold it: see make_room.
        """
        self.steps_done += 1
        warming_up, part = self._part(self.progress(elapsed))
        self._set_learning_rate(part)
        random_ = torch.Generator(self.device).manual_seed(self.config.seed * 1_000_003 + self.steps_done)
        with ranks.together():
            terms = self.terms(warming_up, random_)
            total = sum(getattr(self.config, name) * value for name, value in terms.items() if name != "critic")
            assert isinstance(total, Tensor)
            self.optimiser.zero_grad()
            total.backward()
            terms = {name: value.detach() for name, value in terms.items()}
            ranks.average([*_gradients(self.optimiser), *terms.values()])
            self.optimiser.step()
            self._average()
        self.meter.add(**terms, gradient=_gradient_norm(self.taught["generator"]))
        return terms

    def make_room(self) -> str:
        """After a step for which the memory did not suffice: it is to come again with a smaller batch or crop. Returns
        which, in a sentence. The critic may have learned from it once; that once more is no harm.

        Raises EngineError where nothing smaller is left.
        """
        config = smaller(self.config, ranks.count())
        if config is None:
            raise EngineError(
                f"The graphics card's memory is too small to train with, even {self._size()}.",
                "Close other programs that use it, start anew with a smaller generator, or train with --device cpu.",
            )
        self.steps_done -= 1
        self.adopt(config)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # kept in pieces of the old size otherwise
        return f"The graphics card's memory is full: from step {self.steps_done + 1} on {self._size()}"

    def adopt(self, config: TrainConfig) -> None:
        """Go on with this batch and crop; all else of the config is as it was."""
        self.config = config

    def made_smaller(self) -> str:
        """What `make_room` has come to in all, as a sentence; empty: nothing."""
        asked = (self.asked.batch, self.asked.crop)
        if asked == (self.config.batch, self.config.crop):
            return ""
        return f"The graphics card's memory held it only {self._size()} ({asked[0]} of {asked[1]} were asked for)."

    def _size(self) -> str:
        return f"with batches of {self.config.batch} crops of {self.config.crop} pixels"

    def steady(
        self, paint: Callable[[Tensor, Tensor], Tensor], seen: Tensor, noise: Tensor, painted: Tensor, random_: Any
    ) -> dict[str, Tensor]:
        """The terms that make frames agree, where they have a weight: see steadiness.terms."""
        wanted = [name for name in ("steadiness", "frame_difference") if getattr(self.config, name)]
        found = steadiness.terms(paint, seen, noise, painted, random_) if wanted else {}
        return {name: found[name] for name in wanted}

    def judged(
        self,
        painted: Tensor,
        real: Tensor,
        wanted: Tensor,
        random_: torch.Generator,
        match: Callable[[Verdicts, Verdicts], Tensor] = losses.feature_statistics,
    ) -> dict[str, Tensor]:
        """One step of the critic, or several on crops of their own, and its verdict on what the generator painted.

        real: what the critic is taught to be of the hand; wanted: whose features the painted ones are to match, and
        match: how far they are from it.
        """
        for turn in range(1, self.config.critic_steps):
            self._teach_critic(*self.another(turn, random_), random_)
        loss = self._teach_critic(real, painted.detach(), random_)

        # It stands still while it judges, and through the same augmentation: judged on whole pictures the generator
        # would learn what the critic never sees, their borders.
        with standing_still(self.critic):
            window = random_.get_state()
            verdicts = self.run("critic", self._augmented(painted, random_))
            random_.set_state(window)
            with torch.no_grad():
                wanted_verdicts = self.run("critic", self._augmented(wanted, random_))
        return {
            "critic": loss,
            "adversarial": self.objective.generator_loss(verdicts),
            "features": match(verdicts, wanted_verdicts),
        }

    def _augmented(self, pictures: Tensor, random_: torch.Generator) -> Tensor:
        """What the critic sees of them"""
        return augment(pictures, random_, turn=max(self.config.rotate, self.care.turn))

    def _teach_critic(self, real: Tensor, fake: Tensor, random_: torch.Generator) -> Tensor:
        """One step of the critic. Both sides are augmented alike, or it would learn the augmentation (Zhao et al.,
        "Differentiable Augmentation", 2020). Returns the objective's loss, without penalties."""
        config = self.config
        penalised = bool(config.r1) and self.steps_done % config.r1_every == 0
        real = self._augmented(real, random_).requires_grad_(penalised)
        fake = self._augmented(fake, random_)
        # What a penalty is the gradient of is computed in full: in bfloat16 its square would be noise.
        real_verdicts = self.critic(real) if penalised else self.run("critic", real)
        fake_verdicts = self.run("critic", fake)
        loss = total = self.objective.critic_loss(real_verdicts, fake_verdicts)
        numbers = verdict_numbers(self.objective, real_verdicts, fake_verdicts)
        if penalised:
            numbers["r1"] = r1_penalty(real, real_verdicts)
            total = total + config.r1_every * config.r1 / 2 * numbers["r1"]
        if config.penalty:
            numbers["penalty"] = gradient_penalty(self.critic, real, fake, random_)
            total = total + config.penalty * numbers["penalty"]
        self.critic_optimiser.zero_grad()
        total.backward()
        loss, numbers = loss.detach(), {name: value.detach() for name, value in numbers.items()}
        ranks.average([*_gradients(self.critic_optimiser), loss, *numbers.values()])
        self.critic_optimiser.step()
        self.meter.add(**numbers, critic_gradient=_gradient_norm(self.critic))
        if config.clip:
            with torch.no_grad():
                for weight in self.critic.parameters():
                    weight.clamp_(-config.clip, config.clip)
        return loss

    def progress(self, elapsed: float) -> float:
        """0..1: by the number of steps where there is one, or by what is left of a time budget where that runs out
        sooner."""
        config = self.config
        share = self.steps_done / config.steps if config.steps else 0.0
        if config.budget:
            there = last_call(config.budget, self.end) - self.began
            share = max(share, (elapsed - self.began) / max(there, 1e-3))
        return min(1.0, share)

    def finished(self, elapsed: float, end: float | None = None) -> bool:
        """end: seconds that what follows the last step would take now, where more is known than from its rehearsal. The
        shares of a run do not change with it: a critic that plays goes on playing when a busy machine gets calmer."""
        config = self.config
        if self.steps_done == 0:
            return False
        if 0 < config.steps <= self.steps_done:
            return True
        return config.budget > 0 and elapsed >= last_call(config.budget, self.end if end is None else end)

    def seconds_left(self, elapsed: float) -> float:
        """At the pace of this session's steps: what came before them, or before a pause, tells nothing of it."""
        (since, before), share = self._set_out, self.progress(elapsed)
        return (elapsed - since) * (1 - share) / (share - before) if share > before else 0.0

    def set_out(self, elapsed: float) -> None:
        """A session begins its steps: here, or where `restore` has put it."""
        self._set_out = elapsed, self.progress(elapsed)

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, as flat names -> tensors."""
        care = torch.tensor(astuple(self.care), dtype=torch.float64)
        clock = torch.tensor([self.began, self.seconds, self.end], dtype=torch.float64)
        size = torch.tensor([self.config.batch, self.config.crop])
        flat = {"steps": torch.tensor(self.steps_done), "care": care, "clock": clock, "size": size}
        flat.update({f"meter/{name}": value for name, value in self.meter.state().items()})
        for name, module in self._modules().items():
            flat.update({f"{name}/{key}": value for key, value in module.state_dict().items()})
        for name, optimiser in self._optimisers().items():
            for index, values in optimiser.state_dict()["state"].items():
                flat.update({f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in values.items()})
        return flat

    def restore(self, flat: dict[str, Tensor]) -> None:
        self.steps_done = int(flat["steps"])
        self.began, self.seconds, self.end = (*flat["clock"].tolist(), 0.0)[:3]  # the last came later
        batch, crop = flat["size"].tolist()
        if (batch, crop) != (self.config.batch, self.config.crop):
            self.adopt(replace(self.config, batch=batch, crop=crop))
        rate, critic_rate, turn, diagnoses = flat["care"].tolist()
        self.care = Care(rate, critic_rate, turn, int(diagnoses))
        self.meter.restore(_below(flat, "meter"), self.device)
        for name, module in self._modules().items():
            module.load_state_dict(_below(flat, name))
        for name, optimiser in self._optimisers().items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(flat, name).items():
                index, field = key.split("/")
                state.setdefault(int(index), {})[field] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})

    def take_averages(self, flat: dict[str, Tensor]) -> None:
        """The averaged networks of another state, and nothing else of it."""
        for name, network in self.averages.items():
            network.load_state_dict(_below(flat, f"averaged_{name}"))

    def _modules(self) -> dict[str, nn.Module]:
        averages = {f"averaged_{name}": network for name, network in self.averages.items()}
        return {**self.taught, **averages, "critic": self.critic}

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"optimiser": self.optimiser, "critic_optimiser": self.critic_optimiser}

    def _part(self, progress: float) -> tuple[bool, float]:
        """Is the run still in its warm-up, and which share of the part it is in has passed?"""
        warm_up = self.warm_up()
        if progress < warm_up:
            return True, progress / warm_up
        return False, (progress - warm_up) / max(1 - warm_up, 1e-9)

    def _set_learning_rate(self, part: float) -> None:
        """Constant, then over the last `decay` of either part of the run falling to a twentieth."""
        factor = self.care.rate * min(1.0, max(0.05, (1 - part) / max(self.config.decay, 1e-9)))
        rates = (self.config.learning_rate, self.config.critic_learning_rate * self.care.critic_rate)
        for optimiser, rate in zip(self._optimisers().values(), rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.average, 1 - AVERAGED_STEPS / (self.steps_done + AVERAGED_STEPS))
        for name, average in self.averages.items():
            for kept, now in zip(average.parameters(), self.taught[name].parameters(), strict=True):
                kept.lerp_(now, 1 - decay)


@contextmanager
def standing_still(network: nn.Module) -> Iterator[None]:
    """It judges or reads, and does not learn from it."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _in_full(result: Any) -> Any:
    """Every tensor in what a network returned, in float32."""
    return result.float() if isinstance(result, Tensor) else type(result)(_in_full(part) for part in result)


def _gradients(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """Of all that the optimiser teaches."""
    return [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]


def _gradient_norm(network: nn.Module) -> Tensor:
    return nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])


def _optimiser(parameters: Iterable[nn.Parameter], rate: float, config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimiser == "rmsprop":
        return torch.optim.RMSprop(parameters, rate)
    return torch.optim.Adam(parameters, rate, betas=(config.beta1, config.beta2))


def _below(flat: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(name + "/"): value for key, value in flat.items() if key.startswith(name + "/")}
