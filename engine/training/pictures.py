"""Styles from pictures: the generator learns from pairs that the patch teacher painted in the hand of these."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import EngineError
from ..protocol import Event, Progress, TrainRequest
from ..style_pack import StylePack
from . import losses
from .config import PicturesConfig
from .data import Pair, find_content, load_pair, load_picture, make_pair, random_crop, save_pair, to_float
from .export import export
from .networks import STRIDE, Encoder
from .teacher import Guide, resize
from .trainer import Trainer
from .workspace import Workspace

PAIRS_SHARE = 0.35
"""Share of a time budget the teacher may use."""
FREE_EVERY = 2
"""Steps of the warm-up between those with free strokes: they cost as much again as the told ones."""


class FromPictures:
    """What a training from pictures starts from, and how it goes its way: see loop.Kind."""

    def __init__(self, config: PicturesConfig, request: TrainRequest) -> None:
        if not request.style_pictures:
            raise EngineError("There is no style picture.", "Give at least one with --style-picture.")
        if not request.content:
            raise EngineError(
                "There is nothing to practise on.", "Give a folder with renders or photos with --content."
            )
        self.config = config
        self.contents = find_content(Path(request.content))
        self.styles = [style_picture(Path(p), config) for p in request.style_pictures]
        self.pairs: list[Pair] = []

    def prepare(self, job: str, folder: Workspace, device: torch.device, started: float) -> Iterator[Event]:
        """The teacher paints its pairs."""
        if self.config.route != "teacher":
            return
        yield Progress(job, 0.0, "The teacher looks at the pictures")
        for pair in self._painted_pairs(folder, device, started):
            self.pairs.append(pair)
            done = len(self.pairs)
            said = f"The teacher paints picture {done}/{self.config.pairs}"
            yield Progress(job, PAIRS_SHARE * done / self.config.pairs, said)

    def trainer(self, device: torch.device, began: float) -> PicturesTrainer:
        samples = PictureSamples(self.config, self.pairs, self.contents, self.styles, device)
        return PicturesTrainer(samples, device, began)

    def export(self, out: Path, trainer: Trainer) -> StylePack:
        sample = resize(load_picture(self.contents[0], 256), (256, 256))
        return export(out, trainer, sample, self.pairs)

    def _painted_pairs(self, folder: Workspace, device: torch.device, started: float) -> Iterator[Pair]:
        """From the disk where they lie, else painted now. Ends early when a budget's share is used."""
        config = self.config
        small = [load_picture(p, 128).to(device) for p in self.contents]
        guides = [Guide(small, s.to(device), config.teacher) for s in self.styles]
        for index in range(config.pairs):
            path = folder.pair(index)
            if path.exists():
                yield load_pair(path)
                continue
            if config.budget and index and time.monotonic() - started > PAIRS_SHARE * config.budget:
                return
            which = index % len(self.styles)
            style = self.styles[which].to(device)
            pair = make_pair(self.contents, style, guides[which], config.teacher, config.size, config.seed, index)
            save_pair(pair, path)
            yield pair


def style_picture(path: Path, config: PicturesConfig) -> Tensor:
    """The style picture at the scale of training, (3, h, w) 0..1. Raises EngineError when no crop fits into it."""
    picture = load_picture(path, config.style_side)
    if min(picture.shape[1:]) < config.crop:
        raise EngineError(
            f"{path.name} is too small: {picture.shape[2]}x{picture.shape[1]} pixels at the scale of training, "
            f"where crops of {config.crop} are cut from it.",
            "Choose a larger picture, a larger style_side or a smaller crop.",
        )
    return picture


@dataclass(frozen=True)
class PictureSamples:
    """Crops to train on. Step k's crops depend on (seed, k) alone, so a resumed run sees what it would have seen."""

    config: PicturesConfig
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


class PicturesTrainer(Trainer):
    """Strokes first, from the teacher's pairs; then a critic judges them. Without a teacher the critic has it all."""

    config: PicturesConfig

    def __init__(self, samples: PictureSamples, device: torch.device, began: float = 0.0) -> None:
        self.samples = samples
        super().__init__(samples.config, device, began)

    def networks(self) -> dict[str, nn.Module]:
        """With an encoder, where there are pairs whose strokes it can learn to read."""
        helpers = {"encoder": Encoder(self.config.generator)} if self._reads_strokes() else {}
        return {**super().networks(), **helpers}

    def warm_up(self) -> float:
        return self.config.warm_up if self._reads_strokes() else 0.0

    def terms(self, warming_up: bool, random_: torch.Generator) -> dict[str, Tensor]:
        config = self.config
        content, target, style = self.samples.batch(self.steps_done)
        noise = torch.randn(self._noise_shape(content), generator=random_, device=self.device)
        terms: dict[str, Tensor] = {}

        # 1. The encoder reads off the teacher's pictures which strokes it chose, and the generator repeats them.
        if target is not None and "encoder" in self.taught:
            mean, log_variance = self.taught["encoder"](content, target)
            told = self.taught["generator"](content, mean + noise * (log_variance / 2).exp())
            terms["code"] = losses.code_divergence(mean, log_variance)
            terms["reconstruction"] = (told - target).abs().mean()
            if warming_up and self.steps_done % FREE_EVERY:
                return terms
            noise = mean.detach().roll(1, 0)

        # 2. Free strokes: its neighbour's, as in use, where they come from the style's stroke field and have to fit any
        #    content. Colours and forms must stay in their place, and the strokes be there to be read again.
        painted = self.taught["generator"](content, noise)
        if target is None:
            terms["structure"] = losses.structure(painted, content)
        else:
            terms["coarse"] = losses.coarse_l1(painted, target, config.coarse_pixels)
        if config.latent and "encoder" in self.taught:
            terms["latent"] = (self._read(content, painted) - noise).abs().mean()

        # 3. The critic says what regression cannot: whether they are this hand's strokes.
        if not warming_up and (config.adversarial or config.features):
            real = style if target is None else _mixed(target, style, config.style_share, random_)
            terms |= self.judged(painted, real, style if target is None else target, random_)

        # 4. Which patches there are, at three scales, wherever they lie.
        if config.patches and not warming_up:
            wanted = style if target is None else target
            terms["patches"] = losses.sliced_wasserstein(painted, wanted, 7, 3, 48, random_)
        return terms

    @torch.no_grad()
    def another(self, turn: int, random_: torch.Generator) -> tuple[Tensor, Tensor]:
        content, target, style = self.samples.batch(self.steps_done, turn)
        noise = torch.randn(self._noise_shape(content), generator=random_, device=self.device)
        if target is None:
            return style, self.taught["generator"](content, noise)
        if "encoder" in self.taught:
            noise = self.taught["encoder"](content, target)[0].roll(1, 0)
        return _mixed(target, style, self.config.style_share, random_), self.taught["generator"](content, noise)

    @torch.no_grad()
    def preview(self) -> dict[str, Tensor]:
        """Some contents and what the averaged generator makes of them."""
        content, target, _ = self.samples.batch(0)
        noise = torch.randn(self._noise_shape(content), generator=torch.Generator().manual_seed(0))
        noise = noise.to(content.device)
        if target is not None and "encoder" in self.averages:  # each with the strokes of its neighbour
            noise = self.averages["encoder"](content, target)[0].roll(1, 0)
        stylized = self.averages["generator"](content, noise).clamp(0, 1)
        return {"content": content, "stylized": stylized} | ({} if target is None else {"teacher": target})

    def _read(self, content: Tensor, painted: Tensor) -> Tensor:
        """The strokes of a painted picture. The encoder stands still: it learns from the teacher's pictures alone, or
        the two would agree on marks that nobody sees."""
        encoder = self.taught["encoder"].requires_grad_(False)
        strokes: Tensor = encoder(content, painted)[0]
        encoder.requires_grad_(True)
        return strokes

    def _reads_strokes(self) -> bool:
        return bool(self.samples.pairs and self.samples.config.reconstruction)

    def _noise_shape(self, pictures: Tensor) -> tuple[int, int, int, int]:
        count, _, height, width = pictures.shape
        return count, self.config.generator.noise, height // STRIDE, width // STRIDE


def _mixed(target: Tensor, style: Tensor, share: float, random_: torch.Generator) -> Tensor:
    """The teacher's pictures, each with a chance of `share` replaced by a crop of the painting itself."""
    replaced = torch.rand(len(target), 1, 1, 1, generator=random_, device=target.device) < share
    return torch.where(replaced, style, target)
