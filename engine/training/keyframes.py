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
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from .. import guides
from ..errors import EngineError
from ..files import open_picture
from ..passes import painted_passes
from ..protocol import Event, TrainRequest
from ..style_pack import StylePack
from . import losses, ranks
from .config import KeyframesConfig, TrainConfig
from .data import Window, find_content, load_picture, opaque
from .export import export
from .networks import STRIDE
from .trainer import Trainer
from .workspace import Workspace

MOST = 5
"""Keyframes at most: each is held in memory with its guides, and more is what a style from pictures is for."""
SHOWN = 512
"""Longest side in pixels of what previews show of a frame."""


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
        for path, found in zip(keyframes.values(), self.keyframes, strict=True):
            if min(found.seen.shape[1:]) < config.crop:
                raise EngineError(
                    f"{path.name} is too small for patches of {config.crop} pixels.",
                    "Render larger frames, or train with a smaller crop.",
                )
        # The frames farthest from the painted ones show best what was learned.
        self.others = [seen_in(frames[place], names) for place in (0, -1)]

    def prepare(self, job: str, folder: Workspace, device: torch.device, started: float) -> Iterator[Event]:
        """Everything is there: the artist has painted it."""
        yield from ()

    def trainer(self, device: torch.device, began: float) -> KeyframesTrainer:
        return KeyframesTrainer(KeyframeSamples(self.config, self.keyframes, device), self.others, device, began)

    def export(self, out: Path, trainer: Trainer) -> StylePack:
        return export(out, trainer, _middle(self.others[-1], SHOWN))


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


@dataclass(frozen=True)
class KeyframeSamples:
    """Patches to train on. Those of step k depend on (seed, k) alone, so a resumed run sees what it would have seen.

    They are cut where the training computes: see PictureSamples.
    """

    config: KeyframesConfig
    keyframes: list[Keyframe]
    device: torch.device

    def batch(self, step: int, turn: int = 0, places: slice = slice(None)) -> tuple[Tensor, Tensor, Tensor]:
        """(seen, painted, mask) of the patches of a step: see Keyframe. turn: of the critic, where it takes several;
        places: see PictureSamples.batch."""
        choose = random.Random(f"{self.config.seed}/{step}/{turn}")
        windows = [self._patch(choose) for _ in range(self.config.batch)][places]
        seen, painted, mask = (torch.stack([window.of(side) for window in windows]) for side in self._sides)
        return seen, painted, mask

    def _patch(self, choose: random.Random) -> Window:
        """Around a place that teaches."""
        index, size = choose.randrange(len(self.keyframes)), self.config.crop
        found = self.keyframes[index]
        place = found.taught[choose.randrange(len(found.taught))].tolist()
        top, left = (
            min(max(0, middle - size // 2), length - size)
            for middle, length in zip(place, found.mask.shape[1:], strict=True)
        )
        return Window(index, top, left, size)

    @cached_property
    def _sides(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What is seen, painted and masked of each keyframe."""
        found = self.keyframes
        seen, painted = [f.seen.to(self.device) for f in found], [f.painted.to(self.device) for f in found]
        return seen, painted, [f.mask.to(self.device) for f in found]


class KeyframesTrainer(Trainer):
    """L1 to what was painted, a critic, and its features at the same place."""

    config: KeyframesConfig

    def __init__(
        self, samples: KeyframeSamples, others: Sequence[Tensor], device: torch.device, began: float = 0.0
    ) -> None:
        """others: frames nobody painted, for previews: see Keyframe.seen."""
        self.samples, self.others = samples, others
        super().__init__(samples.config, device, began)

    def terms(self, warming_up: bool, random_: torch.Generator) -> dict[str, Tensor]:
        seen, target, mask = self._batch()
        return self.compared(self._painted(seen, random_), target, mask, None if warming_up else random_)

    def compared(
        self, painted: Tensor, target: Tensor, mask: Tensor, random_: torch.Generator | None
    ) -> dict[str, Tensor]:
        """The terms for patches (N, 3, S, S); without `random_` no critic is asked.

        Where the mask (N, 1, S, S) is 0 nothing is taught: both sides are black there, so the critic cannot tell them
        apart by it and no gradient flows back.
        """
        painted, wanted = painted * mask, target * mask
        area = mask.sum()
        ranks.average([area])  # so that a pixel counts the same wherever it is taught
        terms = {"reconstruction": (painted - wanted).abs().sum() / (3 * area)}
        if random_ and (self.config.adversarial or self.config.features):
            terms |= self.judged(painted, wanted, wanted, random_, losses.feature_matching)
        return terms

    @torch.no_grad()
    def another(self, turn: int, random_: torch.Generator) -> tuple[Tensor, Tensor]:
        seen, target, mask = self._batch(turn)
        return target * mask, self._painted(seen, random_) * mask

    @torch.no_grad()
    def preview(self) -> dict[str, Tensor]:
        """Frames nobody painted, and what the averaged generator makes of them."""
        seen = torch.stack([_middle(frame, SHOWN) for frame in self.others]).to(self.device)
        random_ = torch.Generator(self.device).manual_seed(0)
        stylized = self._painted(seen, random_, self.averages["generator"]).clamp(0, 1)
        return {"frame": seen[:, :3], "stylized": stylized}

    def adopt(self, config: TrainConfig) -> None:
        super().adopt(config)
        self.samples = replace(self.samples, config=self.config)

    def _batch(self, turn: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        return self.samples.batch(self.steps_done, turn, ranks.places(self.config.batch))

    def _painted(self, seen: Tensor, random_: torch.Generator, generator: torch.nn.Module | None = None) -> Tensor:
        """seen (N, C, H, W) -> (N, 3, H, W), with the generator that learns where no other is given."""
        count, _, height, width = seen.shape
        shape = (ranks.whole(count), self.config.generator.noise, height // STRIDE, width // STRIDE)
        noise = ranks.own(torch.randn(shape, generator=random_, device=self.device))
        told = [guides.GUIDES[name].channels for name in self.config.generator.guides]
        inputs = _split(seen, told, noise)
        painted: Tensor = generator(*inputs) if generator else self.run("generator", *inputs)
        return painted


def _split(seen: Tensor, told: list[int], noise: Tensor) -> list[Tensor]:
    """In the order the generator takes them: picture, noise, guides."""
    image, *rest = seen.split([3, *told], 1)
    return [image, noise, *rest]


def _middle(frame: Tensor, most: int) -> Tensor:
    """The middle of a frame, at most `most` pixels to each side, multiples of the generator's stride."""
    height, width = (min(size, most) // STRIDE * STRIDE for size in frame.shape[1:])
    top, left = (frame.shape[1] - height) // 2, (frame.shape[2] - width) // 2
    return frame[:, top : top + height, left : left + width]
