"""Styles from pictures: the generator learns from pairs that the patch teacher painted in the hand of these."""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor, nn

from ..atomic import shown
from ..errors import EngineError
from ..protocol import Event, Json, Progress, SourceFailed, TrainRequest
from ..style_pack import StylePack
from . import losses, ranks
from .config import PicturesConfig, TextureConfig, TrainConfig
from .data import (
    Pair,
    Window,
    find_content,
    load_content,
    load_exemplar,
    load_pair,
    load_picture,
    make_pair,
    random_crop,
    save_pair,
    to_float,
    told,
)
from .export import KEPT_PAIRS, MadeOf, export
from .meters import Probe
from .networks import SIGHT, STRIDE, Encoder
from .strokes import Strokes, strokes_of
from .teacher import Exemplar, Guide, memory_full, resize
from .trainer import Trainer, standing_still
from .workspace import Workspace

PAIRS_SHARE = 0.35
"""Share of a time budget the teacher may use."""
FREE_EVERY = 2
"""Steps of the warm-up between those with free strokes: they cost as much again as the told ones."""
CONTENTS = 200
"""Contents that a training takes from a folder of thousands, unless it has more pairs: each is read once before the
first step, and all are kept in small."""
SPARED, MOST_SPARED = 8, 8
"""One content picture of this many is kept from training, to measure with, and of many pictures this many at most."""
PROBED = 4
"""Pictures a diagnosis looks at, and seeds."""


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
        self.folder = Path(request.content)
        self.contents, self.held_out_contents = split_content(find_content(self.folder))
        _refuse_too_few(self.contents)
        exemplars = style_pictures(request, config, config.crop)
        self.pictures = [(exemplar.picture, exemplar.mask) for exemplar in exemplars]
        parts = [split_exemplar(exemplar, config) for exemplar in exemplars]
        self.style = [taught for taught, _ in parts]
        self.strips = [strip for _, strip in parts if strip is not None]
        self.pairs: list[Pair] = []

    def prepare(self, job: str, folder: Workspace, device: torch.device, started: float) -> Iterator[Event]:
        """The contents are looked through, then the teacher paints its pairs."""
        yield Progress(job, 0.0, "The teacher looks at the pictures")
        small = yield from self._look_through(job)
        if self.config.route != "teacher":
            return
        style = [exemplar.to(device) for exemplar in self.style]
        guide = Guide([content.to(device) for content in small], style, self.config.teacher)
        for pair in self._painted_pairs(folder, style, guide, started):
            self.pairs.append(pair)
            yield self._progress(job, time.monotonic() - started)
        if self.config.budget and not ranks.rank():
            for pair in self.pairs[:KEPT_PAIRS]:
                _ = pair.packed  # now: nothing of it depends on the training, and the end is the shorter

    def _progress(self, job: str, elapsed: float) -> Progress:
        """How far the training is: by the teacher's pictures, or by the time where that is further or alone counts."""
        done, most, budget = len(self.pairs), self.config.pairs, self.config.budget
        by_time = min(1.0, elapsed / budget) if budget else 0.0
        by_pictures = PAIRS_SHARE * done / most if self.config.steps else 0.0
        return Progress(
            job,
            max(by_time, by_pictures),
            f"The teacher paints picture {done}{' of at most ' if budget else '/'}{most}",
        )

    def trainer(self, device: torch.device, began: float) -> PicturesTrainer:
        samples = PictureSamples(
            self.config, self.pairs, self.contents, self.style, device, self.held_out_contents, self.strips
        )
        return PicturesTrainer(samples, device, began)

    def export(self, out: Path, trainer: Trainer) -> StylePack:
        sample = resize(load_picture(self.contents[0], 256), (256, 256))
        made_of = MadeOf(self.pictures, [(exemplar.picture, exemplar.mask) for exemplar in self.style], self.strips)
        return export(out, trainer, sample, self.pairs, self._held_out(), self._strokes(trainer), made_of)

    def _strokes(self, trainer: Trainer) -> Strokes | None:
        """Those of the style pictures, where an encoder has learned to read them."""
        if "encoder" not in trainer.averages:
            return None
        return strokes_of(copy.deepcopy(trainer.averages["encoder"]).cpu(), self.style, self.config.turned)

    def _held_out(self) -> Json:
        """For the recipe: what can be measured with because no step saw it."""
        return {
            "style": [list(strip.shape[1:]) for strip in self.strips],
            "content": [path.relative_to(self.folder).as_posix() for path in self.held_out_contents],
        }

    def _look_through(self, job: str) -> Generator[Event, None, list[Tensor]]:
        """Keeps the contents that can be used, says which cannot, and returns in small those to practise on.

        Which of them are held out is settled before, by name alone: a broken one moves none of the others.
        """
        spared = yield from self._usable(job, self.held_out_contents, MOST_SPARED)
        shuffled = random.Random(self.config.seed).sample(self.contents, len(self.contents))
        small = yield from self._usable(job, shuffled, max(CONTENTS, self.config.pairs))
        self.contents, self.held_out_contents = sorted(small), list(spared)
        _refuse_too_few(self.contents)
        return [small[path] for path in self.contents]

    def _usable(self, job: str, paths: list[Path], most: int) -> Generator[Event, None, dict[Path, Tensor]]:
        """The first of `paths` that can be used, in small, `most` of them; those before that cannot are named."""
        small: dict[Path, Tensor] = {}
        for path in paths:
            if len(small) == most:
                break
            try:
                small[path] = load_content(path, self.config.size, 128)
                if all(exemplar.guides for exemplar in self.style):
                    told(path)
            except EngineError as problem:
                yield SourceFailed(job, shown(path), problem.message, problem.fix)
        return small

    def _painted_pairs(self, folder: Workspace, style: list[Exemplar], guide: Guide, started: float) -> Iterator[Pair]:
        """From the disk where they lie, else painted now. Ends early when a budget's share has no room for one more."""
        config = self.config
        last = 0.0
        for index in range(config.pairs):
            path = folder.pair(index)
            if path.exists():
                yield load_pair(path)
                continue
            if ranks.rank():
                return  # what the first process has not painted is not painted
            begun = time.monotonic()
            if config.budget and index and begun + last - started > PAIRS_SHARE * config.budget:
                return
            try:
                pair = make_pair(self.contents, style, guide, config.teacher, config.size, config.seed, index)
            except torch.OutOfMemoryError as error:  # beside the search, which makes do with what there is
                raise memory_full() from error
            save_pair(pair, path)
            last = time.monotonic() - begun
            yield pair


def _refuse_too_few(contents: list[Path]) -> None:
    if len(contents) < 2:
        found = f"only one picture ({shown(contents[0])})" if contents else "no picture that can be used"
        raise EngineError(
            f"There is {found} to practise on. What is learned from one picture fits that picture alone.",
            "Put some more into the content folder: other frames, views or textures.",
        )


def style_pictures(request: TrainRequest, config: PicturesConfig | TextureConfig, crop: int) -> list[Exemplar]:
    """The style pictures with their weights and masks, at the scale of training. crop: edge of what is cut from them.

    Raises EngineError where one cannot be read, no crop fits into it, or weights and masks do not fit their number.
    """
    paths = request.style_pictures
    weights, masks = config.weights or (1.0,) * len(paths), request.style_masks or ("",) * len(paths)
    if not len(paths) == len(weights) == len(masks):
        raise EngineError(
            f"There are {len(paths)} style pictures, {len(weights)} weights and {len(masks)} masks.",
            "Give a weight, and a mask, for each of the pictures or for none.",
        )
    sides = config.style_side
    excluded = [config.excluded if isinstance(config, PicturesConfig) else (), *((),) * (len(paths) - 1)]
    asked = zip(paths, weights, masks, excluded, strict=True)
    return [_style_picture(Path(path), weight, mask, out, sides, crop) for path, weight, mask, out in asked]


def _style_picture(
    path: Path, weight: float, mask: str, excluded: tuple[float, ...], style_side: int, crop: int
) -> Exemplar:
    exemplar = without(load_exemplar(path, style_side, weight, Path(mask) if mask else None), excluded)
    height, width = exemplar.picture.shape[1:]
    if min(height, width) < crop:
        raise EngineError(
            f"{path.name} is too small: {width}x{height} pixels at the scale of training, "
            f"where crops of {crop} are cut from it.",
            "Choose a larger picture, a larger style_side or a smaller crop.",
        )
    if not len(free_windows(exemplar, crop)):
        raise EngineError(
            f"What its mask or transparency leaves of {path.name} ({width}x{height} pixels at the scale of training) "
            f"holds no crop of {crop} pixels.",
            "Leave a larger area free, or choose a larger style_side or a smaller crop.",
        )
    return exemplar


def without(exemplar: Exemplar, excluded: Sequence[float]) -> Exemplar:
    """The style picture without areas of it: see PicturesConfig.excluded."""
    if not excluded:
        return exemplar
    size = exemplar.picture.shape[1:]
    mask = torch.ones(size, dtype=torch.uint8) if exemplar.mask is None else exemplar.mask.clone()
    for left, top, right, bottom in zip(*(excluded[start::4] for start in range(4)), strict=True):
        rows, columns = (
            slice(math.floor(low * edge), math.ceil(high * edge))
            for low, high, edge in ((top, bottom, size[0]), (left, right, size[1]))
        )
        mask[rows, columns] = 0
    return replace(exemplar, mask=mask)


def free_windows(exemplar: Exemplar, size: int) -> Tensor:
    """(N,): the windows of `size` pixels to each side in which nothing is masked, counted row by row."""
    barred = torch.zeros_like(exemplar.picture[:1]) if exemplar.mask is None else (exemplar.mask == 0).float()[None]
    barred = F.max_pool2d(F.max_pool2d(barred, (size, 1), 1), (1, size), 1)
    return (barred == 0).flatten().nonzero()[:, 0]


def split_style(picture: Tensor, config: PicturesConfig) -> tuple[Tensor, Tensor | None]:
    """What is trained on and what is held out of a style picture (3, h, w): a strip at the end of its long side, so
    that it has all that lies across. None where the picture is too small to spare it: see config.held_out."""
    axis = 2 if picture.shape[2] >= picture.shape[1] else 1
    strip, length = SIGHT << (config.critic_scales - 1), picture.shape[axis]
    if strip > config.held_out * length or length - strip < config.crop:
        return picture, None
    return picture.narrow(axis, 0, length - strip), picture.narrow(axis, length - strip, strip)


def split_exemplar(exemplar: Exemplar, config: PicturesConfig) -> tuple[Exemplar, Tensor | None]:
    """The same of a style picture with what is known about it. A masked one stays whole: it has given away enough."""
    if exemplar.mask is not None:
        return exemplar, None
    taught, strip = split_style(exemplar.picture, config)
    _, height, width = taught.shape  # the strip is cut from the end
    guides = {name: plane[:, :height, :width] for name, plane in exemplar.guides.items()}
    return replace(exemplar, picture=taught, guides=guides), strip


def split_content(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """What is trained on and what is held out: every eighth picture, evenly over the folder; none of fewer."""
    held_out = paths[SPARED - 1 :: SPARED]
    held_out = held_out[:: -(-len(held_out) // MOST_SPARED)] if held_out else []
    return [path for path in paths if path not in held_out], held_out


@dataclass(frozen=True)
class PictureSamples:
    """Crops to train on. Step k's crops depend on (seed, k) alone, so a resumed run sees what it would have seen.

    They are cut where the training computes: nothing but the choice of a window crosses to a graphics card.
    """

    config: PicturesConfig
    pairs: list[Pair]
    contents: list[Path]
    style: list[Exemplar]
    device: torch.device
    held_out_contents: list[Path] = field(default_factory=list)
    strips: list[Tensor] = field(default_factory=list)
    """Of the style pictures, held out"""

    def batch(self, step: int, turn: int = 0, places: slice = slice(None)) -> tuple[Tensor, Tensor | None, Tensor]:
        """(content, what the teacher made of it or None, crops of the style pictures), each (N, 3, S, S) 0..1.

        turn: of the critic, where it takes several to a step. places: which of the batch; all are chosen, so that a
        crop is the same whoever cuts it.
        """
        choose = random.Random(f"{self.config.seed}/batch/{step}" + (f"/{turn}" if turn else ""))
        windows = [self._of_style(choose) for _ in self._each()][places]
        style = torch.stack([window.of(self._styles) for window in windows])
        if self.pairs:
            chosen = [self._of_pair(choose) for _ in self._each()][places]
            content, painted = (torch.stack([window.of(side) for window in chosen]) for side in self._sides)
            return to_float(content), to_float(painted), style
        crops = [
            random_crop(load_picture(choose.choice(self.contents)), self.config.crop, choose) for _ in self._each()
        ]
        return torch.stack(crops[places]).to(self.device), None, style

    def held_out_content(self) -> Tensor | None:
        """(PROBED, 3, S, S) crops of contents that no step sees, always the same; None where none are held out."""
        if not self.held_out_contents:
            return None
        choose, size = random.Random(f"{self.config.seed}/held out"), self.config.size
        pictures = [self.held_out_contents[i % len(self.held_out_contents)] for i in range(PROBED)]
        crops = [random_crop(load_picture(path), size, choose) for path in pictures]
        return torch.stack([crop[:, : self.config.crop, : self.config.crop] for crop in crops]).to(self.device)

    def _each(self) -> range:
        return range(self.config.batch)

    def _of_style(self, choose: random.Random) -> Window:
        """Of one of the style pictures, of each as often as its weight says, wherever nothing is masked."""
        (index,) = choose.choices(range(len(self.style)), [exemplar.weight for exemplar in self.style])
        picture, windows = self.style[index].picture, self._free[index]
        place = int(windows[choose.randrange(len(windows))])
        top, left = divmod(place, picture.shape[2] - self.config.crop + 1)
        return Window(index, top, left, self.config.crop, choose.random() < 0.5)

    def _of_pair(self, choose: random.Random) -> Window:
        index, size = choose.randrange(len(self.pairs)), self.config.crop
        height, width = self.pairs[index].content.shape[1:]
        top, left = choose.randint(0, height - size), choose.randint(0, width - size)
        return Window(index, top, left, size, choose.random() < 0.5)

    @cached_property
    def _free(self) -> list[Tensor]:
        return [free_windows(exemplar, self.config.crop).cpu() for exemplar in self.style]

    @cached_property
    def _styles(self) -> list[Tensor]:
        return [exemplar.picture.to(self.device) for exemplar in self.style]

    @cached_property
    def _sides(self) -> tuple[list[Tensor], list[Tensor]]:
        """Contents, and what the teacher made of them, as bytes: a quarter of the card's memory that floats take."""
        contents = [pair.content.to(self.device) for pair in self.pairs]
        return contents, [pair.painted.to(self.device) for pair in self.pairs]


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
        return super().warm_up() if self._reads_strokes() else 0.0

    def terms(self, warming_up: bool, random_: torch.Generator) -> dict[str, Tensor]:
        config = self.config
        content, target, style = self.samples.batch(self.steps_done, 0, ranks.places(config.batch))
        noise = self._noise(content, random_)
        terms: dict[str, Tensor] = {}

        # 1. The encoder reads off the teacher's pictures which strokes it chose, and the generator repeats them.
        if target is not None and "encoder" in self.taught:
            mean, log_variance = self.run("encoder", content, target)
            told = self.run("generator", content, mean + noise * (log_variance / 2).exp())
            terms["code"] = losses.code_divergence(mean, log_variance)
            terms["reconstruction"] = (told - target).abs().mean()
            if warming_up and self.steps_done % FREE_EVERY:
                return terms
            noise = ranks.neighbours(mean)

        # 2. Free strokes: its neighbour's, as in use, where they come from the style's stroke field and have to fit any
        #    content. Colours and forms must stay in their place, and the strokes be there to be read again.
        painted = self.run("generator", content, noise)
        if target is None:
            terms["structure"] = losses.structure(painted, content)
        else:
            terms["coarse"] = losses.coarse_l1(painted, target, config.coarse_pixels)
        if config.latent and "encoder" in self.taught:
            terms["latent"] = (self._read(content, painted) - noise).abs().mean()

        def paint(later: Tensor, strokes: Tensor) -> Tensor:
            result: Tensor = self.run("generator", later, strokes)
            return result

        terms |= self.steady(paint, content, noise, painted, random_)

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
        content, target, style = self.samples.batch(self.steps_done, turn, ranks.places(self.config.batch))
        noise = self._noise(content, random_)
        if target is None:
            return style, self.run("generator", content, noise)
        if "encoder" in self.taught:
            noise = ranks.neighbours(self.run("encoder", content, target)[0])
        return _mixed(target, style, self.config.style_share, random_), self.run("generator", content, noise)

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
        with standing_still(self.taught["encoder"]):
            strokes: Tensor = self.run("encoder", content, painted)[0]
        return strokes

    @torch.no_grad()
    def probe(self) -> Probe:
        """Contents that no step sees, where there are such, each with other strokes; and the first with all of them."""
        content, practised, targets = self._probed
        if targets is not None and "encoder" in self.averages:  # as in use, the strokes of painted pictures
            strokes = self.averages["encoder"](practised, targets)[0]
        else:
            strokes = torch.randn(self._noise_shape(content), generator=torch.Generator().manual_seed(0))
            strokes = strokes.to(self.device)
        generator = self.averages["generator"]
        return Probe(
            painted=generator(content, strokes.roll(1, 0)).clamp(0, 1),
            seeds=generator(content[:1].expand_as(content), strokes).clamp(0, 1),
            styles=tuple(exemplar.picture.to(self.device) for exemplar in self.samples.style),
            held_out=tuple(strip.to(self.device) for strip in self.samples.strips),
            content=content,
            scale=self.config.teacher.levels[-1],
        )

    @cached_property
    def _probed(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """PROBED contents to look at, as many that are practised on, and what the teacher made of those."""
        batches = [self.samples.batch(0, turn) for turn in range(-(-PROBED // self.config.batch))]
        practised = torch.cat([content for content, _, _ in batches])[:PROBED]
        targets = [target for _, target, _ in batches if target is not None]
        held_out = self.samples.held_out_content()
        content = practised if held_out is None else held_out
        return content, practised, torch.cat(targets)[:PROBED] if targets else None

    def _reads_strokes(self) -> bool:
        return bool(self.samples.pairs and self.samples.config.reconstruction)

    def adopt(self, config: TrainConfig) -> None:
        super().adopt(config)
        self.samples = replace(self.samples, config=self.config)
        self.__dict__.pop("_probed", None)  # it shows crops of that size

    def _noise(self, pictures: Tensor, random_: torch.Generator) -> Tensor:
        count, *rest = self._noise_shape(pictures)
        return ranks.own(torch.randn(ranks.whole(count), *rest, generator=random_, device=self.device))

    def _noise_shape(self, pictures: Tensor) -> tuple[int, int, int, int]:
        count, _, height, width = pictures.shape
        return count, self.config.generator.noise, height // STRIDE, width // STRIDE


def _mixed(target: Tensor, style: Tensor, share: float, random_: torch.Generator) -> Tensor:
    """The teacher's pictures, each with a chance of `share` replaced by a crop of the painting itself."""
    replaced = ranks.own(torch.rand(ranks.whole(len(target)), 1, 1, 1, generator=random_, device=target.device)) < share
    return torch.where(replaced, style, target)
