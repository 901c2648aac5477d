"""Styles from keyframes: the generator learns, patch by patch, what the artist painted over a few frames of a shot.

After Texler et al., "Interactive Video Stylization Using Few-Shot Patch-Based Training", 2020: L1, a critic, and
matched features on small patches of the keyframes alone. Where they flow noise along with the video so that strokes
stick, a render has better: passes that tell where on its surface each pixel lies (guides.py).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor

from .. import guides, noise
from ..errors import EngineError
from ..files import open_picture
from ..passes import painted_passes
from ..protocol import Event, TrainRequest
from ..style_pack import StylePack
from . import losses, ranks
from .config import KeyframesConfig, TrainConfig
from .data import Window, find_content, load_picture, opaque
from .export import MadeOf, export
from .meters import Probe
from .networks import STRIDE
from .strokes import Strokes, drawn_strokes
from .trainer import Trainer
from .workspace import Workspace

MOST = 5
"""Keyframes at most: each is held in memory with its guides, and more is what a style from pictures is for."""
PRACTICE = 8
"""Frames at most, spread over the shot, on which the critic judges what nobody painted: held in memory as well."""
SHOWN = 512
"""Longest side in pixels of what previews show of a frame."""
EDGES = (128, 96, 64, 48, 32)
"""Sides in pixels of the windows that diagnoses look at, the largest first that masks and frames leave room for."""
LOOKED_AT = 4
"""Such windows over all keyframes, of five one in each"""
SEEDS = 2
"""With which the first of them is painted, to see whether noise tells anything"""
SEARCH = 0.5
"""Scale at which a diagnosis compares patches: as the teacher of styles from pictures does. At full scale soft strokes
come out ahead of sharp ones (see metrics.patch_distance)."""


@dataclass(frozen=True)
class Keyframe:
    """A frame, and what the artist made of it."""

    seen: Tensor
    """(3 and the channels of its guides, H, W): the frame 0..1 sRGB, its guides below"""
    painted: Tensor
    """(3, H, W) 0..1 sRGB"""
    mask: Tensor
    """(1, H, W): 1 where the painted frame teaches, 0 where it does not"""

    @cached_property
    def taught(self) -> Tensor:
        """(N, 2): row and column of the pixels that teach"""
        return (self.mask[0] > 0.5).nonzero()


class FromKeyframes:
    """What a training from keyframes starts from: see loop.Kind."""

    def __init__(self, config: KeyframesConfig, request: TrainRequest) -> None:
        self.config = config
        if not 1 <= len(request.keyframes) <= MOST:
            raise EngineError(
                f"There are {len(request.keyframes)} keyframes.", f"Give one to {MOST} painted frames with --keyframe."
            )
        if not request.frames:
            raise EngineError("There are no frames.", "Give the folder with the frames of the shot with --frames.")
        frames = find_content(Path(request.frames))
        keyframes = paired(request.keyframes, frames, "keyframe")
        masks = paired(request.masks, frames, "mask")
        for frame in masks.keys() - keyframes.keys():
            raise EngineError(
                f"The mask {masks[frame].name} belongs to {frame.name}, which has no keyframe.",
                "Give its keyframe too, or leave the mask out.",
            )
        names = config.generator.guides
        self.keyframes = [keyframe(frame, keyframes[frame], masks.get(frame), names) for frame in keyframes]
        practice = spread(frames, PRACTICE)
        self.others = [seen_in(frame, names) for frame in practice]
        for path, seen in zip((*keyframes, *practice), (*(k.seen for k in self.keyframes), *self.others), strict=True):
            if min(seen.shape[1:]) < config.crop:
                raise EngineError(
                    f"{path.name} is too small for patches of {config.crop} pixels.",
                    "Render larger frames, or train with a smaller crop.",
                )

    def prepare(self, job: str, folder: Workspace, device: torch.device, started: float) -> Iterator[Event]:
        """Everything is there: the artist has painted it."""
        yield from ()

    def trainer(self, device: torch.device, began: float) -> KeyframesTrainer:
        return KeyframesTrainer(KeyframeSamples(self.config, self.keyframes, self.others, device), device, began)

    def export(self, out: Path, trainer: Trainer) -> StylePack:
        assert isinstance(trainer, KeyframesTrainer)
        taught = [(keyframe.painted, keyframe.mask[0]) for keyframe in self.keyframes]
        made_of = MadeOf(taught, taught)
        return export(out, trainer, _middle(self.others[-1], SHOWN), strokes=trainer.samples.strokes, made_of=made_of)


def paired(pictures: Sequence[str], frames: Sequence[Path], what: str) -> dict[Path, Path]:
    """Frame -> the picture that belongs to it: `walk_0008` or `walk_0008_painted` by name, else by its last number.

    Raises EngineError for a picture with no frame or with several, and for two pictures with one frame.
    """
    found: dict[Path, Path] = {}
    for picture in map(Path, pictures):
        frame = _frame_of(picture, frames, what)
        if frame in found:
            raise EngineError(
                f"{found[frame].name} and {picture.name} both belong to {frame.name}.", f"Give one {what} for a frame."
            )
        found[frame] = picture
    return found


def _frame_of(picture: Path, frames: Sequence[Path], what: str) -> Path:
    named = [f for f in frames if picture.stem == f.stem or picture.stem.startswith(f"{f.stem}_")]
    longest = max((len(f.stem) for f in named), default=0)
    fitting = [f for f in named if len(f.stem) == longest] or [
        f for f in frames if _number(f) is not None and _number(f) == _number(picture)
    ]
    if len(fitting) == 1:
        return fitting[0]
    example = frames[0].stem
    if fitting:
        raise EngineError(
            f"The {what} {picture.name} fits {len(fitting)} frames: {fitting[0].name}, {fitting[1].name} ...",
            f"Name it after its frame, like {example}_painted.png, and keep one shot in the folder.",
        )
    raise EngineError(
        f"There is no frame for the {what} {picture.name}.",
        f"Name it after its frame, like {example}_painted.png, or give it the frame's number.",
    )


def _number(path: Path) -> int | None:
    """The last number in a name: 8 of `walk_0008_v`."""
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else None


def spread(frames: Sequence[Path], most: int) -> list[Path]:
    """The first, the last and as many between them, evenly: at most `most`, at least the two."""
    count = min(len(frames), most)
    return [frames[round(place * (len(frames) - 1) / max(1, count - 1))] for place in range(max(2, count))]


def keyframe(frame: Path, painted: Path, mask: Path | None, names: tuple[str, ...]) -> Keyframe:
    """Where the painted picture is transparent nothing was painted: there it teaches no more than under its mask.

    Raises EngineError where sizes differ, nothing is left to teach, or the frame lacks passes for the guides `names`.
    """
    seen, hand = seen_in(frame, names), _sized(painted, frame)
    where = torch.ones(1, *hand.shape[1:]) if mask is None else _sized(mask, frame).mean(0, keepdim=True)
    if mask is not None and not where.max() > 0.5:
        raise EngineError(f"The mask {mask.name} is black.", "Paint white where its keyframe teaches.")
    where = where * opaque(open_picture(painted))
    if not where.max() > 0.5:
        raise EngineError(f"{painted.name} is transparent wherever it could teach.", "Save it with what was painted.")
    return Keyframe(seen, hand, where)


def _sized(picture: Path, frame: Path) -> Tensor:
    """A picture of exactly the size of its frame, (3, H, W) 0..1."""
    found, wanted = load_picture(picture), load_picture(frame)
    if found.shape != wanted.shape:
        raise EngineError(
            f"{picture.name} has {found.shape[2]} x {found.shape[1]} pixels, its frame {frame.name} "
            f"{wanted.shape[2]} x {wanted.shape[1]}.",
            "Save it in the size of the frame, neither cropped nor scaled.",
        )
    return found


def seen_in(frame: Path, names: tuple[str, ...]) -> Tensor:
    """What a generator with the guides `names` is shown of a frame: see Keyframe.seen."""
    picture = load_picture(frame)
    if not names:
        return picture
    passes = painted_passes(frame)
    guides.need(names, passes, "This training", frame.name)
    return torch.cat([picture, *(torch.from_numpy(guides.planes(name, passes or {})) for name in names)])


class Place(NamedTuple):
    """A patch of a frame, and the seed of the noise it is painted with."""

    frame: int
    top: int
    left: int
    seed: int


@dataclass(frozen=True)
class KeyframeSamples:
    """Patches to train on. Those of step k depend on (seed, k) alone, so a resumed run sees what it would have seen.

    Where a guide says where on its surface a pixel lies, strokes are learned by it, and noise is drawn anew for every
    patch, to say nothing. Without such a guide the noise has to say which strokes are meant: it lies still over each
    keyframe, and comes along with the style. Another seed lays the same noise elsewhere, so it always tells something.

    Patches are cut where the training computes: see PictureSamples.
    """

    config: KeyframesConfig
    keyframes: list[Keyframe]
    others: list[Tensor]
    """Frames nobody painted: see Keyframe.seen"""
    device: torch.device

    def batch(self, step: int, turn: int = 0, places: slice = slice(None)) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(seen, painted, mask, noise) of the patches of a step: see Keyframe; noise (N, channels, S/4, S/4). turn: of
        the critic, where it takes several; places: see PictureSamples.batch."""
        choose = random.Random(f"{self.config.seed}/{step}/{turn}")
        chosen = [self._place(choose) for _ in range(self.config.batch)][places]
        seen, painted, mask = (self._cut(side, chosen) for side in self._sides)
        return seen, painted, mask, self._noise(chosen)

    def free(self, step: int) -> tuple[Tensor, Tensor]:
        """(seen, noise) of half as many patches of frames nobody painted, from anywhere; of several processes each has
        its own."""
        choose = random.Random(f"{self.config.seed}/{step}/free/{ranks.rank()}")
        places = []
        for _ in range(max(1, self.config.batch // ranks.count() // 2)):
            index = choose.randrange(len(self.others))
            top, left = (choose.randint(0, length - self.config.crop) for length in self.others[index].shape[1:])
            places.append(self._noted(index, top, left, 0, choose))
        return self._cut(self._unpainted, places), self._noise(places)

    def looked_at(self) -> tuple[Tensor, Tensor, Tensor]:
        """(seen, painted, mask) of windows of the keyframes, always the same: see `windows`."""
        seen, painted, mask = (torch.stack([window.of(side) for window in self.windows]) for side in self._sides)
        return seen, painted, mask

    @cached_property
    def windows(self) -> list[Window]:
        """What diagnoses look at of the keyframes: squares in which everything teaches. Where a mask leaves no room for
        the smallest, those of them with the most that does."""
        taught = [found.mask[0] > 0.5 for found in self.keyframes]
        fitting = [edge for edge in EDGES if all(min(mask.shape) >= edge for mask in taught)]
        edge = next((e for e in fitting if all(bool((_area(m, e) == e * e).any()) for m in taught)), fitting[-1])
        chosen = []
        for index, mask in enumerate(taught):
            area = _area(mask, edge)
            places = (area == area.max()).nonzero() * STRIDE
            count = len(range(index, max(LOOKED_AT, len(taught)), len(taught)))
            chosen += [Window(index, top, left, edge) for top, left in _apart(places, count)]
        return chosen

    def _place(self, choose: random.Random) -> Place:
        """Around a pixel that teaches."""
        index, size = choose.randrange(len(self.keyframes)), self.config.crop
        found = self.keyframes[index]
        middle = found.taught[choose.randrange(len(found.taught))].tolist()
        top, left = (
            min(max(0, place - size // 2), length - size)
            for place, length in zip(middle, found.mask.shape[1:], strict=True)
        )
        return self._noted(index, top, left, index, choose)

    def _noted(self, index: int, top: int, left: int, seed: int, choose: random.Random) -> Place:
        if self.strokes is None:
            return Place(index, top, left, choose.getrandbits(31))
        return Place(index, top // STRIDE * STRIDE, left // STRIDE * STRIDE, seed)

    def _cut(self, pictures: list[Tensor], places: list[Place]) -> Tensor:
        windows = [Window(place.frame, place.top, place.left, self.config.crop) for place in places]
        return torch.stack([window.of(pictures) for window in windows])

    def _noise(self, places: list[Place]) -> Tensor:
        cells = self.config.crop // STRIDE
        drawn = [self.drawn(p.seed, p.top // STRIDE, p.left // STRIDE, cells, cells) for p in places]
        return torch.stack(drawn).to(self.device)

    def drawn(self, seed: int, top: int, left: int, height: int, width: int) -> Tensor:
        """(channels, height, width): the noise of a window of cells, as the runtime lays it."""
        if self.strokes is None:
            return torch.from_numpy(noise.normal(seed, self.config.generator.noise, top, left, height, width, None))
        return torch.from_numpy(noise.strokes(self.strokes.field.numpy(), seed, top, left, height, width, None))

    @cached_property
    def strokes(self) -> Strokes | None:
        """What tells them where no guide does; as large as the first keyframe"""
        if any(name in guides.ANCHORS for name in self.config.generator.guides):
            return None
        rows, columns = (-(-size // STRIDE) for size in self.keyframes[0].mask.shape[1:])
        return drawn_strokes(self.config.generator.noise, rows, columns, self.config.seed)

    @cached_property
    def wholly_painted(self) -> bool:
        """No mask leaves out what the critic would then miss on other frames."""
        return all(bool((found.mask > 0.5).all()) for found in self.keyframes)

    @cached_property
    def _sides(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What is seen, painted and masked of each keyframe."""
        found = self.keyframes
        seen, painted = [f.seen.to(self.device) for f in found], [f.painted.to(self.device) for f in found]
        return seen, painted, [f.mask.to(self.device) for f in found]

    @cached_property
    def _unpainted(self) -> list[Tensor]:
        return [frame.to(self.device) for frame in self.others]


class KeyframesTrainer(Trainer):
    """L1 to what was painted; at the end a critic, its features at the same place, and its verdict on other frames."""

    config: KeyframesConfig

    def __init__(self, samples: KeyframeSamples, device: torch.device, began: float = 0.0) -> None:
        self.samples = samples
        super().__init__(samples.config, device, began)

    def terms(self, warming_up: bool, random_: torch.Generator) -> dict[str, Tensor]:
        seen, target, mask, strokes = self._batch()
        count = len(seen)
        if not warming_up and self.samples.wholly_painted:
            more, theirs = self.samples.free(self.steps_done)
            seen, strokes = torch.cat([seen, more]), torch.cat([strokes, theirs])
        painted = self._painted(seen, strokes)
        free = painted[count:] if len(painted) > count else None
        terms = self.compared(painted[:count], target, mask, None if warming_up else random_, free)
        return terms | self.steady(self._painted, seen, strokes, painted, random_)

    def compared(
        self,
        painted: Tensor,
        target: Tensor,
        mask: Tensor,
        random_: torch.Generator | None,
        free: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The terms for patches (N, 3, S, S); without `random_` no critic is asked. free: at most N patches more, of
        frames nobody painted, which the critic judges as well.

        Where the mask (N, 1, S, S) is 0 nothing is taught: both sides are black there, so the critic cannot tell them
        apart by it and no gradient flows back.
        """
        judged, wanted = painted * mask, target * mask
        area = mask.sum()
        ranks.average([area])  # so that a pixel counts the same wherever it is taught
        terms = {"reconstruction": (judged - wanted).abs().sum() / (3 * area)}
        if random_ and (self.config.adversarial or self.config.features):
            if free is not None:
                judged, wanted = torch.cat([judged, free]), torch.cat([wanted, wanted[: len(free)]])
            match = partial(losses.feature_matching, paired=len(painted))
            terms |= self.judged(judged, wanted, wanted, random_, match)
        return terms

    @torch.no_grad()
    def another(self, turn: int, random_: torch.Generator) -> tuple[Tensor, Tensor]:
        seen, target, mask, strokes = self._batch(turn)
        return target * mask, self._painted(seen, strokes) * mask

    @torch.no_grad()
    def preview(self) -> dict[str, Tensor]:
        """Frames nobody painted, and what the averaged generator makes of them."""
        # The frames farthest from the painted ones show best what was learned.
        ends = (self.samples.others[0], self.samples.others[-1])
        seen = torch.stack([_middle(frame, SHOWN) for frame in ends]).to(self.device)
        (top, height), (left, width) = (_inner(size, SHOWN) for size in ends[0].shape[1:])
        drawn = self.samples.drawn(0, *(value // STRIDE for value in (top, left, height, width)))
        strokes = drawn.to(self.device).expand(len(seen), -1, -1, -1)
        stylized = self._painted(seen, strokes, self.averages["generator"]).clamp(0, 1)
        return {"frame": seen[:, :3], "stylized": stylized}

    @torch.no_grad()
    def probe(self) -> Probe:
        """What the averaged generator makes of windows of the frames that were painted over, beside what the artist
        made of them. Nothing is held out: of a painted frame there is none to spare."""
        seen, wanted, mask = self.samples.looked_at()
        generator, windows = self.averages["generator"], self.samples.windows
        strokes = torch.stack([self._strokes(window, window.which) for window in windows])
        painted = self._painted(seen, strokes, generator).clamp(0, 1) * mask
        seeds = None
        if self.samples.strokes is not None:  # else noise is there to say nothing
            strokes = torch.stack([self._strokes(windows[0], seed) for seed in range(SEEDS)])
            seeds = self._painted(seen[:1].expand(SEEDS, -1, -1, -1), strokes, generator).clamp(0, 1) * mask[:1]
        wanted = wanted * mask
        return Probe(painted, seeds, tuple(wanted), content=seen[:, :3], wanted=wanted, scale=SEARCH)

    def _strokes(self, window: Window, seed: int) -> Tensor:
        """Noise of a window, as the runtime lays it over the whole frame."""
        cells = window.size // STRIDE
        return self.samples.drawn(seed, window.top // STRIDE, window.left // STRIDE, cells, cells).to(self.device)

    def _part(self, progress: float) -> tuple[bool, float]:
        """Learning rates fall once, over the whole run: anew with the critic, it undid what had been learned."""
        return super()._part(progress)[0], progress

    def adopt(self, config: TrainConfig) -> None:
        super().adopt(config)
        self.samples = replace(self.samples, config=self.config)

    def _batch(self, turn: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.samples.batch(self.steps_done, turn, ranks.places(self.config.batch))

    def _painted(self, seen: Tensor, strokes: Tensor, generator: torch.nn.Module | None = None) -> Tensor:
        """seen (N, C, H, W), noise (N, noise, H/4, W/4) -> (N, 3, H, W), with the generator that learns where no other
        is given."""
        image, *told = seen.split([3, *(guides.GUIDES[name].channels for name in self.config.generator.guides)], 1)
        inputs = (image, strokes, *told)
        painted: Tensor = generator(*inputs) if generator else self.run("generator", *inputs)
        return painted


def _area(taught: Tensor, edge: int) -> Tensor:
    """How many pixels of a mask (H, W) lie in each square of `edge` pixels that begins on the generator's grid."""
    table = F.pad(taught.long().cumsum(0).cumsum(1), (1, 0, 1, 0))
    within: Tensor = table[edge:, edge:] - table[:-edge, edge:] - table[edge:, :-edge] + table[:-edge, :-edge]
    return within[::STRIDE, ::STRIDE]


def _apart(places: Tensor, count: int) -> list[list[int]]:
    """That place of (N, 2) which lies in the middle of all, then each as far as can be from those before."""
    away = -(places - places.float().mean(0)).square().sum(1)
    chosen: list[Tensor] = []
    for _ in range(count):
        chosen.append(places[away.argmax()])
        away = torch.stack([(places - place).square().sum(1) for place in chosen]).amin(0)
    return [place.tolist() for place in chosen]


def _middle(frame: Tensor, most: int) -> Tensor:
    """The middle of a frame, at most `most` pixels to each side, multiples of the generator's stride."""
    (top, height), (left, width) = (_inner(size, most) for size in frame.shape[1:])
    return frame[:, top : top + height, left : left + width]


def _inner(size: int, most: int) -> tuple[int, int]:
    """Where the middle of an edge begins, and how long it is: multiples of the generator's stride."""
    length = min(size, most) // STRIDE * STRIDE
    return (size - length) // 2 // STRIDE * STRIDE, length
