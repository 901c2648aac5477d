"""How a training is doing: numbers, symptoms found in them, and what is done about those.

    Trainer.meter, Trainer.probe  ->  numbers  ->  a finding for each symptom  ->  Care: how the training goes on

Evidence first, then advice. The losses of critic and generator go up and down while both learn; that alone is no
symptom, and none is read off them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor

from ..errors import EngineError
from ..protocol import Diagnosis, Finding
from .meters import Probe
from .metrics import (
    PATCH,
    grid_energy,
    nearest_distance,
    pairwise_distance,
    palette_distance,
    sliced_wasserstein_distance,
)
from .networks import SIGHT, STRIDE
from .objectives import verdict_numbers
from .teacher import patches, resize
from .trainer import Care, Trainer
from .workspace import BEST, GOOD, Workspace

ANSWERING = 8000
"""Patches that are looked through for the nearest one: more take longer and order pictures the same."""
VIEWS = 8
"""Windows on each of training style, held-out style and results that the critic is asked about."""
NUMBERS = {
    "patch_distance": "patch distance to the style, both ways: to its held-out part where there is one",
    "nearest_training_patch": "distance to the nearest training patch",
    "wasserstein": "sliced Wasserstein distance to the same",
    "palette": "distance of the colours from the style's",
    "grid": "power of a regular grid, to that of the strokes around it",
    "content_diversity": "difference of results, as a share of that of their contents, or of what was painted of them",
    "seed_diversity": "difference of results with other seeds, as a share of their contrast",
    "gradient": "gradient norm of the generator",
    "critic_gradient": "gradient norm of the critic",
    "critic_real": "critic's mean logit for the style",
    "critic_fake": "critic's mean logit for results",
    "critic_held_out": "critic's mean logit for the held-out style",
    "told_apart": "share of patches the critic tells apart (.5: guessing)",
    "r_t": "r_t: mean sign of the critic's logits for the style",
    "r_v": "r_v: how far held-out style counts as a result (0: not at all)",
    "r1": "R1 penalty",
    "penalty": "gradient penalty",
    "turned": "chance of what the critic sees to be turned",
    "learning_rate": "share of the learning rates that is left after cuts",
}
"""What a diagnosis measures, in words. What it does not have is left out: no critic, no `told_apart`."""
Numbers = dict[str, float]


@dataclass(frozen=True)
class Limits:
    """From where on a number is a symptom. Healthy: what trainings on Starry Night, Wheat Field and Metzinger showed
    that looked as they should, by both routes."""

    lasting: int = 3
    """Diagnoses in a row that must agree: what comes and goes is how two networks learn from each other."""
    told_apart: float = 0.985
    """Share of patches told apart: with one in a hundred left there is nothing the generator can please. Healthy: .47
    to .87."""
    memorised: float = 0.5
    """r_v at which what the critic never saw counts as much as a result as it counts as style. Healthy: at most .33,
    and often below 0, for no two strips of a painting are alike."""
    sure: float = 0.6
    """r_t above which the critic is sure enough of what it learned for r_v to mean something: the target of Karras et
    al. 2020."""
    alike: float = 0.1
    """Difference of results to that of their contents: a tenth is less than luminance alone would give. Healthy: .57 to
    1.1."""
    deaf: float = 0.02
    """Difference that another seed makes, to the contrast of a result: below it no eye sees any. Healthy: .07 in the
    first steps, .3 to .9 at the end."""
    exploding: float = 30.0
    """Times the largest gradient before. Adam divides by a usual one, so a step is as many times too long. Healthy: at
    most two, apart from where the critic sets in, which counts as a part of its own."""
    vanishing: float = 1e-3
    """Times the usual gradient: what is left is rounding."""
    drift: float = 0.08
    """How much farther from the style's colours than they have been: 20 of 255 on average, clearly another palette.
    Healthy: .05 for a moment where a critic has all to teach."""
    grid: float = 2.5
    """Times the power of what is around it. Healthy: at most .34 on any of eight pictures in the three styles
    that ship, 1 in paintings. On an even wall a grid of 5 of 255 comes to 2.8 and is plainly seen, one of 3 to 1 and is
    hardly seen; over Starry Night one of 10 comes to 2.2."""
    young: int = 100
    """Steps before which results tell nothing of collapse: every generator begins with one grey."""
    most_turned: float = 0.6
    """Chance of turning up to which the generator still learns which way up is meant (Karras et al. 2020, figure 4)"""
    smallest_rate: float = 1 / 8
    """Share of the learning rates below which cutting them further would only end the run more slowly."""


LIMITS = Limits()


class Diagnostics:
    """Examines one training, treats it, and keeps the record."""

    def __init__(self, trainer: Trainer, folder: Workspace) -> None:
        """Of a trainer that is new or has been restored from its checkpoint."""
        self.trainer, self.folder = trainer, folder
        self.history = folder.history(trainer.care.diagnoses)
        self._looked = time.monotonic(), trainer.steps_done
        if not folder.has(GOOD):
            folder.save(trainer, GOOD)

    def examine(self, job: str, elapsed: float) -> Diagnosis:
        """Look, write it down, and treat what can be treated. All that a checkpoint needs to know is done on return."""
        found = self.look(job, elapsed)
        care, findings = treated(self.trainer.care, found.findings, found.numbers)
        lost = any(finding.symptom == LOST for finding in findings)
        if lost:
            findings = (replace(findings[0], done=self._roll_back()),)
            care = self.trainer.care
        found = replace(found, findings=findings)
        self.trainer.care = replace(care, diagnoses=care.diagnoses + 1)
        self.history.append(found)
        self.folder.remember(found)
        if not lost:
            self.folder.save(self.trainer, GOOD)
        if self.trainer.config.patience and self._waited() == 0:
            self.folder.save(self.trainer, BEST)
        return found

    def look(self, job: str, elapsed: float) -> Diagnosis:
        """The numbers of now and what is found in them; nothing is changed but the meter, which begins anew."""
        losses, numbers = self._numbers()
        gone = lost({**losses, **numbers})
        history = [{"step": past.step, **past.numbers} for past in self.history]
        findings = (gone,) if gone else symptoms([*history, {"step": self.trainer.steps_done, **numbers}])
        seconds, left = self._seconds_per_step(), self.trainer.seconds_left(elapsed)
        return Diagnosis(job, self.trainer.steps_done, _finite(losses), _finite(numbers), findings, seconds, left)

    @property
    def exhausted(self) -> bool:
        """Has the score not improved for as long as the config's patience? While a critic stands by that is still to
        play, nothing is said."""
        config, scored = self.trainer.config, self._scored()
        plays = bool(scored) and "told_apart" in scored[-1].numbers
        to_come = bool(config.adversarial or config.features) and self.trainer.warm_up() < 1 and not plays
        return bool(config.patience and scored) and not to_come and self._waited() >= config.patience

    def settle(self) -> str:
        """Puts the averaged networks in place that are worth keeping: the best where a run has patience, and the last
        good ones where it ends lost. Returns which, in words; empty: those of now."""
        averages = self.trainer.averages.values()
        if self.trainer.config.patience and self._scored():
            self.folder.load_averages(self.trainer, BEST)
            best = self._scored()[-1 - self._waited()].step
            return f"the style is that of step {best}, which had the best"
        if not all(bool(torch.isfinite(p).all()) for network in averages for p in network.parameters()):
            self.folder.load_averages(self.trainer, GOOD)
            return "the style is the last that was well, for after it numbers were lost"
        return ""

    def _numbers(self) -> tuple[Numbers, Numbers]:
        """Loss terms, and all else."""
        trainer, means = self.trainer, self.trainer.meter.read()
        losses = {name: value for name, value in means.items() if name not in NUMBERS}
        numbers = {name: value for name, value in means.items() if name in NUMBERS}
        probe = trainer.probe()
        if not bool(torch.isfinite(probe.painted).all()):
            numbers["patch_distance"] = math.nan
        else:
            numbers |= probe_numbers(probe)
            numbers |= critic_numbers(trainer, probe) if "told_apart" in numbers else {}
        return losses, {**numbers, "turned": trainer.care.turn, "learning_rate": trainer.care.rate}

    def _roll_back(self) -> str:
        """To where all was last well, with smaller steps. Raises EngineError when that has not helped before."""
        trainer, care = self.trainer, self.trainer.care
        if care.rate / 2 < LIMITS.smallest_rate:
            raise EngineError(
                f"The training lost its way: at step {trainer.steps_done} its losses are no numbers any more, also "
                "after it went back and took smaller steps.",
                "Start anew with a smaller learning_rate and critic_learning_rate.",
            )
        began, end = trainer.began, trainer.end
        self.folder.load(trainer, GOOD)
        trainer.began, trainer.end = began, end  # time does not go back
        trainer.care = replace(care, rate=care.rate / 2)
        return f"It went back to step {trainer.steps_done} and goes on with half the learning rates."

    def _scored(self) -> list[Diagnosis]:
        """The diagnoses with a score, of this part of the run: with the critic or without."""
        scored = [past for past in self.history if "patch_distance" in past.numbers]
        return [past for past in scored if ("told_apart" in past.numbers) == ("told_apart" in scored[-1].numbers)]

    def _waited(self) -> int:
        """How many diagnoses the best score lies back; the first of several counts. -1: there is none."""
        scores = [past.numbers["patch_distance"] for past in self._scored()]
        return len(scores) - 1 - scores.index(min(scores)) if scores else -1

    def _seconds_per_step(self) -> float:
        (then, steps), now = self._looked, time.monotonic()
        self._looked = now, self.trainer.steps_done
        return (now - then) / max(1, self.trainer.steps_done - steps)


# ---------------------------------------------------------------- symptoms: numbers in, a finding out
# Each is asked for the last of the numbers, which also hold their step.


def critic_wins(history: Sequence[Numbers], limits: Limits = LIMITS) -> Finding | None:
    now = history[-1].get("told_apart", 0.0)
    if not _lasts(history, limits, lambda n: n.get("told_apart", 0.0) >= limits.told_apart):
        return None
    return Finding(
        "critic wins",
        f"The critic tells {now:.1%} of all patches of the style and of results apart, {limits.lasting} diagnoses in a "
        "row: nothing the generator tries pleases it any more.",
        "Give the critic less: a smaller critic_learning_rate, or a larger r1.",
    )


def critic_memorises(history: Sequence[Numbers], limits: Limits = LIMITS) -> Finding | None:
    def memorises(n: Numbers) -> bool:
        return n.get("r_v", 0.0) >= limits.memorised and n.get("r_t", 1.0) >= limits.sure

    if not _lasts(history, limits, memorises):
        return None
    return Finding(
        "critic memorises",
        "The critic knows the style pictures by heart: parts of them that it never saw count for "
        f"{history[-1]['r_v']:.0%} as results (r_v), {limits.lasting} diagnoses in a row.",
        "Give more style pictures of the same hand, or fewer steps.",
    )


def mode_collapse(history: Sequence[Numbers], limits: Limits = LIMITS) -> Finding | None:
    if not _lasts(_grown(history, limits), limits, lambda n: n.get("content_diversity", 1.0) <= limits.alike):
        return None
    return Finding(
        "mode collapse",
        f"Results differ from each other only {history[-1]['content_diversity']:.1%} as much as the pictures they were "
        "made of: whatever the content, nearly the same comes out.",
        "Start anew with a smaller weight `adversarial`.",
    )


def stroke_collapse(history: Sequence[Numbers], limits: Limits = LIMITS) -> Finding | None:
    if not _lasts(_grown(history, limits), limits, lambda n: n.get("seed_diversity", 1.0) <= limits.deaf):
        return None
    return Finding(
        "stroke collapse",
        f"With another seed a result changes by {history[-1]['seed_diversity']:.1%} of its contrast: the generator "
        "does not listen to its noise, every seed will paint the same strokes.",
        "Start anew; a style from pictures with a smaller weight `code` or a larger `reconstruction`.",
    )


def vanishing_gradient(history: Sequence[Numbers], limits: Limits = LIMITS) -> Finding | None:
    before, now = _before("gradient", history), history[-1].get("gradient", 1.0)
    usual = median(before) if before else 0.0
    if not usual or not _lasts(history, limits, lambda n: n.get("gradient", 1.0) <= limits.vanishing * usual):
        return None
    return Finding(
        "vanishing gradient",
        f"The generator's gradient is {now:.1e}, where {usual:.1e} was usual: it has stopped learning.",
        "Start anew with another objective (hinge or lsgan), or a smaller critic_learning_rate.",
    )


def exploding_gradient(history: Sequence[Numbers], limits: Limits = LIMITS) -> Finding | None:
    """Of either network; one diagnosis is enough: three more of such steps undo a thousand."""
    for name, whose in (("gradient", "generator"), ("critic_gradient", "critic")):
        # The largest before, not the usual one: that of a critic which has nothing to learn for a while is 0.
        largest, now = max(_before(name, history), default=0.0), history[-1].get(name, 0.0)
        if largest and now >= limits.exploding * largest:
            return Finding(
                "exploding gradient",
                f"The gradient of the {whose} is {now:.1e}, {now / largest:.0f} times the largest before, "
                f"{largest:.1e}.",
                "If it comes again, start anew with smaller learning rates.",
            )
    return None


def palette_drift(history: Sequence[Numbers], limits: Limits = LIMITS) -> Finding | None:
    known = [n["palette"] for n in history if "palette" in n]
    if not known or not _lasts(history, limits, lambda n: n.get("palette", 0.0) >= min(known) + limits.drift):
        return None
    return Finding(
        "palette drift",
        f"The colours of results are {known[-1]:.2f} away from the style's on average (1: black from white), and have "
        f"been as near as {min(known):.2f}.",
        "Start anew with a larger weight `coarse` on the teacher's route, or a smaller `adversarial`.",
    )


def grid_artefact(history: Sequence[Numbers], limits: Limits = LIMITS) -> Finding | None:
    if not _lasts(history, limits, lambda n: n.get("grid", 1.0) >= limits.grid):
        return None
    return Finding(
        "grid artefact",
        f"A regular grid of {STRIDE} or {STRIDE // 2} pixels has {history[-1]['grid']:.0f} times the power of the "
        "strokes around it.",
        "Train for longer; if it stays, start anew with a smaller weight `adversarial`.",
    )


SYMPTOMS: tuple[Callable[[Sequence[Numbers]], Finding | None], ...] = (
    *(critic_wins, critic_memorises, mode_collapse, stroke_collapse),
    *(vanishing_gradient, exploding_gradient, palette_drift, grid_artefact),
)
LOST = "no numbers"
"""The symptom of a loss, a gradient or a result that is infinite or not a number; no other is looked for then"""


def symptoms(history: Sequence[Numbers]) -> tuple[Finding, ...]:
    """What is found in the diagnoses of a run, the last of which is now."""
    return tuple(finding for symptom in SYMPTOMS if (finding := symptom(history)) is not None)


def lost(values: Numbers) -> Finding | None:
    terms = [name for name, value in values.items() if not math.isfinite(value)]
    if not terms:
        return None
    return Finding(
        LOST,
        f"No longer finite: {', '.join(terms)}.",
        "If it comes again, start anew with smaller learning rates.",
    )


def treated(care: Care, findings: Sequence[Finding], numbers: Numbers) -> tuple[Care, tuple[Finding, ...]]:
    """What is done about the findings, and the findings with what was done.

    Nothing is done about those for which more of the same training, in another way, would have to be guessed.
    """
    done = {finding.symptom: "" for finding in findings}
    if "critic wins" in done and care.critic_rate > LIMITS.smallest_rate:
        care = replace(care, critic_rate=care.critic_rate / 2)
        done["critic wins"] = f"The critic now learns at {care.critic_rate:.3g} of its rate."
    elif numbers.get("told_apart", 1.0) < 0.9 and care.critic_rate < 1:
        care = replace(care, critic_rate=care.critic_rate * 2)
    if "critic memorises" in done and care.turn < LIMITS.most_turned:
        care = replace(care, turn=round(care.turn + 0.1, 1))
        done["critic memorises"] = f"What it sees is now turned with a chance of {care.turn:.1f}."
    elif numbers.get("r_v", 1.0) < LIMITS.memorised / 2 and care.turn > 0:
        care = replace(care, turn=round(care.turn - 0.1, 1))
    if "exploding gradient" in done and care.rate > LIMITS.smallest_rate:
        care = replace(care, rate=care.rate / 2)
        done["exploding gradient"] = f"The learning rates were cut to {care.rate:.3g} of the setting."
    return care, tuple(replace(finding, done=done[finding.symptom]) for finding in findings)


def _lasts(history: Sequence[Numbers], limits: Limits, holds: Callable[[Numbers], bool]) -> bool:
    recent = history[-limits.lasting :]
    return len(recent) == limits.lasting and all(holds(numbers) for numbers in recent)


def _grown(history: Sequence[Numbers], limits: Limits) -> Sequence[Numbers]:
    return [numbers for numbers in history if numbers.get("step", limits.young) >= limits.young]


def _before(name: str, history: Sequence[Numbers]) -> list[float]:
    """What came before in this part of the run, with the critic or without; nothing where that is fewer than three."""
    now = history[-1]
    before = [n[name] for n in history[:-1] if name in n and ("told_apart" in n) == ("told_apart" in now)]
    return before if len(before) >= 3 else []


def _finite(values: Numbers) -> Numbers:
    return {name: value for name, value in values.items() if math.isfinite(value)}


# ---------------------------------------------------------------- numbers


@torch.no_grad()
def probe_numbers(probe: Probe) -> Numbers:
    """What pictures say. All distances are to the held-out style, or to the style itself where nothing is held out."""
    wanted = probe.held_out or probe.styles
    ours, theirs = (_patches(p, probe.scale) for p in (list(probe.painted), wanted))
    nearest = nearest_distance(ours, theirs)
    known = nearest_distance(ours, _patches(probe.styles, probe.scale)) if probe.held_out else nearest
    row = torch.cat(list(probe.painted), 2)
    wholes = wanted if probe.wanted is None else (torch.cat(list(probe.wanted), 2),)
    numbers = {
        "patch_distance": (nearest + nearest_distance(theirs, ours)) / 2,
        "nearest_training_patch": known,
        "wasserstein": sum(sliced_wasserstein_distance(row, style) for style in wholes) / len(wholes),
        "palette": palette_distance(_colours([row]), _colours(probe.styles)),
        "grid": grid_energy(probe.painted, STRIDE) / max(1.0, *(grid_energy(s[None], STRIDE) for s in probe.styles)),
    }
    if probe.seeds is not None:
        contrast = float(probe.seeds.std((2, 3)).mean())
        numbers["seed_diversity"] = pairwise_distance(probe.seeds) / max(contrast, 1e-3)
    # A hand that paints everything alike is repeated as it is.
    different = probe.content if probe.wanted is None else probe.wanted
    spread = 0.0 if different is None else pairwise_distance(different)
    return {**numbers, "content_diversity": pairwise_distance(probe.painted) / spread} if spread > 0 else numbers


@torch.no_grad()
def critic_numbers(trainer: Trainer, probe: Probe) -> Numbers:
    """What the critic says of the style it learned from, of what it never saw, and of results: its mean logits, and
    r_v = (D_train - D_held_out) / (D_train - D_generated) (Karras et al. 2020, eq. 1) where it tells the last two
    apart at all."""
    edge = min(min(picture.shape[1:]) for picture in (*probe.styles, *probe.held_out, *probe.painted))
    if not probe.held_out or edge < SIGHT << (len(trainer.critic.scales) - 1):
        return {}
    trainer.critic.eval()  # a batch norm must not learn from what is only looked at
    seen, kept, made = (
        trainer.critic(torch.stack(_windows(pictures, edge)))
        for pictures in (probe.styles, probe.held_out, tuple(probe.painted))
    )
    trainer.critic.train()
    train, held_out, fake = (float(torch.stack([v.mean() for v, _ in x]).mean()) for x in (seen, kept, made))
    numbers = {"critic_held_out": held_out}
    if float(verdict_numbers(trainer.objective, seen, made)["told_apart"]) > 0.7 and train > fake:
        numbers["r_v"] = (train - held_out) / (train - fake)
    return numbers


def _patches(pictures: Sequence[Tensor], scale: float) -> Tensor:
    """About ANSWERING patches, evenly over all of the pictures, as rows."""
    small = [resize(p, tuple(max(PATCH, round(s * scale)) for s in p.shape[1:])) for p in pictures]
    stride = max(1, round((sum(p[0].numel() for p in small) / ANSWERING) ** 0.5))
    return torch.cat([patches(p, PATCH, stride) for p in small])


def _colours(pictures: Sequence[Tensor]) -> Tensor:
    """(3, N): the colour of every seventh pixel."""
    return torch.cat([picture.flatten(1)[:, ::7] for picture in pictures], 1)


def _windows(pictures: Sequence[Tensor], edge: int) -> list[Tensor]:
    """VIEWS squares at most, evenly over the pictures."""
    found = []
    for picture in pictures:
        rows, columns = (range(0, size - edge + 1, edge) for size in picture.shape[1:])
        found += [picture[:, y : y + edge, x : x + edge] for y in rows for x in columns]
    return found[:: -(-len(found) // VIEWS)]
