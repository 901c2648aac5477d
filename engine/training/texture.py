"""Textures from noise: the generator learns to draw endless variations of an exemplar, or of several of one material.

After Jetchev et al., "Texture Synthesis with Spatial Generative Adversarial Networks", 2016 (SGAN), and Bergmann et
al., "Learning Texture Manifolds with the Periodic Spatial GAN", 2017 (PSGAN): noise on a grid, a generator without
fully connected layers, and a critic of patches. First it learns which patches there are (sliced Wasserstein distance,
cheap and steady), then the critic teaches how they go together.

Where the noise is quilted an encoder learns along with it to read noise off the exemplar (as in cVAE-GAN: Zhu et al.,
"Toward Multimodal Image-to-Image Translation", 2017), and textures are drawn of pieces of what it read: layouts come
with the noise, and the critic has only to teach how to join them.

What it draws in training goes on over its borders, and real pictures are cut from anywhere on the exemplar, over its
borders too where it tiles. So nothing it learns from has an edge.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import EngineError
from ..protocol import Event, TrainRequest
from ..quilting import Quilt
from ..style_pack import NOISES, PIECE, StylePack
from . import losses, ranks
from .config import TextureConfig, TrainConfig
from .export import as_stored, export_texture
from .meters import Probe
from .networks import COARSE, STRIDE, TextureEncoder, TextureGenerator, TextureGeneratorConfig
from .pictures import free_windows, style_pictures
from .teacher import Exemplar, luminance
from .trainer import Trainer
from .workspace import Workspace

SEEN = 4
"""Seeds that previews show and diagnoses look at."""
SEAM = 1.1
"""Times the largest difference of neighbouring rows that the last and the first one may differ by in a picture that
tiles."""
LONGEST, SHORTEST = 0.5, 12.0
"""Periods that are looked for: from so many pixels to that share of the exemplar's shorter side."""
EDGE = 32
"""Pixels along the border of a crop where what is drawn of its noise is not compared with it: what the generator draws
goes on over its borders, and the crop does not."""
BESIDE = 4
"""Coarse cells that are read of what lies beside an exemplar, and thrown away: the encoder sees about as far, and
where nothing is shown it would read an edge, which came back as bright lines."""
UNSURE = 0.1
"""Deviation of what is added to noise that was read: so that what is stored as bytes, or lies between two pieces, is
drawn as well."""
FREE_EVERY = 2
"""Steps of the warm-up between those with fresh noise."""
ALIKE = 3.0
"""Steps of the spectrum within which two peaks are one: the window widens each to two."""


class FromTexture:
    """What a training of a texture starts from: see loop.Kind."""

    def __init__(self, config: TextureConfig, request: TrainRequest) -> None:
        if not request.style_pictures:
            raise EngineError(
                "There is no exemplar.", "Give at least one picture of the material with --style-picture."
            )
        self.exemplars = style_pictures(request, config, config.size)
        if config.generator.quilted and any(exemplar.mask is not None for exemplar in self.exemplars):
            raise EngineError(
                "Quilted noise would take pieces from what is masked or transparent in an exemplar.",
                """Crop the exemplar, or train with --set 'generator={"distribution": "normal"}'.""",
            )
        self.wraps = [_may_wrap(exemplar, config) for exemplar in self.exemplars]
        self.config = with_waves(config, self.exemplars[0].picture)

    def prepare(self, job: str, folder: Workspace, device: torch.device, started: float) -> Iterator[Event]:
        """Everything is there."""
        yield from ()

    def trainer(self, device: torch.device, began: float) -> TextureTrainer:
        return TextureTrainer(TextureSamples(self.config, self.exemplars, self.wraps, device), device, began)

    def export(self, out: Path, trainer: Trainer) -> StylePack:
        assert isinstance(trainer, TextureTrainer)
        tables = trainer.tables()
        if tables is None:
            return export_texture(out, trainer, {})
        return export_texture(out, trainer, {name: getattr(tables, name) for name in NOISES}, tables.parts)


# ---------------------------------------------------------------- exemplars


def _may_wrap(exemplar: Exemplar, config: TextureConfig) -> bool:
    return exemplar.mask is None and (tiles(exemplar.picture) if config.wraps == "auto" else config.wraps == "yes")


def tiles(picture: Tensor) -> bool:
    """Does a picture (3, H, W) go on over its borders? Its last and first rows, and columns, are as alike as others."""

    def seamless(axis: int) -> bool:
        inner = picture.diff(dim=axis).abs().mean((0, 3 - axis)).max()
        seam = (picture.select(axis, 0) - picture.select(axis, -1)).abs().mean()
        return bool(seam <= SEAM * inner)

    return seamless(1) and seamless(2)


def with_waves(config: TextureConfig, picture: Tensor) -> TextureConfig:
    """With the waves of the exemplar that `periodic` asks for, and a size they fit into."""
    if not config.periodic or config.generator.waves:
        return config
    waves = strongest_waves(picture, config.periodic)
    generator = replace(config.generator, waves=waves)
    return replace(config, generator=generator, size=fitting_size(waves, config.size))


def strongest_waves(picture: Tensor, count: int) -> tuple[tuple[float, float], ...]:
    """Cycles per pixel, down and across, of the strongest plane waves in a picture (3, H, W): peaks of its spectrum,
    no two of them next to each other."""
    grey = luminance(picture)[0]
    grey = grey - grey.mean()
    height, width = grey.shape
    window = torch.hann_window(height, periodic=True)[:, None] * torch.hann_window(width, periodic=True)
    power = torch.fft.rfft2(grey * window).abs().square()
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    cycles = (down.square() + across.square()).sqrt()
    power[height // 2 + 1 :, 0] = 0  # the same waves once more, the other way round
    power[(cycles < 1 / (LONGEST * min(height, width))) | (cycles > 1 / SHORTEST)] = 0
    # What a material has at any scale falls with the square of the frequency; a period stands out of it.
    power = power * cycles.square()
    found: list[tuple[float, float]] = []
    while len(found) < count and power.max() > 0:
        row, column = divmod(int(power.argmax()), power.shape[1])
        wave = float(down[row, 0]), float(across[column])
        found.append(wave)
        for sign in (1, -1):  # what lies next to it may be told as its opposite
            offset = (down - sign * wave[0]) * height, (across - sign * wave[1]) * width
            power[offset[0].square() + offset[1].square() <= ALIKE**2] = 0
    return tuple(found)


def fitting_size(waves: tuple[tuple[float, float], ...], size: int) -> int:
    """The multiple of the coarse grid near `size` into which whole numbers of all waves fit best: what is drawn in
    training goes on over its borders."""

    def misfit(edge: int) -> tuple[float, int]:
        off = max((abs(edge * f - round(edge * f)) for wave in waves for f in wave), default=0.0)
        return round(off, 3), abs(edge - size)

    return min(range(size * 3 // 4 // COARSE * COARSE, size * 5 // 4 + 1, COARSE), key=misfit)


@dataclass(frozen=True)
class TextureSamples:
    """Crops of the exemplars. Those of step k depend on (seed, k) alone, so a resumed run sees what it would have
    seen."""

    config: TextureConfig
    exemplars: list[Exemplar]
    wraps: list[bool]
    """Which of them go on over their borders"""
    device: torch.device

    def batch(self, step: int, turn: int = 0, places: slice = slice(None)) -> Tensor:
        """(N, 3, S, S) 0..1. turn: of the critic, where it takes several; places: see PictureSamples.batch."""
        choose = random.Random(f"{self.config.seed}/{step}/{turn}")
        return torch.stack([self._crop(choose) for _ in range(self.config.batch)][places]).to(self.device)

    def _crop(self, choose: random.Random) -> Tensor:
        (index,) = choose.choices(range(len(self.exemplars)), [e.weight for e in self.exemplars])
        picture, size = self._around[index], self.config.size
        windows = self._free[index]
        place = int(windows[choose.randrange(len(windows))])
        top, left = divmod(place, picture.shape[2] - size + 1)
        crop = picture[:, top : top + size, left : left + size]
        return crop.flip(2) if self.config.mirror and choose.random() < 0.5 else crop

    @cached_property
    def _around(self) -> list[Tensor]:
        """The exemplars, those that wrap with their first rows and columns once more behind the last ones."""
        return [
            _repeated(exemplar.picture, self.config.size) if wraps else exemplar.picture
            for exemplar, wraps in zip(self.exemplars, self.wraps, strict=True)
        ]

    def surrounded(self) -> list[Tensor]:
        """The exemplars cut to the coarse grid, with BESIDE cells of what lies around them to each side: of those that
        wrap themselves, a piece more of them included; of others what their border shows, mirrored."""
        beside = BESIDE * COARSE
        pictures = []
        for exemplar, wraps in zip(self.exemplars, self.wraps, strict=True):
            more = PIECE * COARSE - 1 if wraps else 0
            sides = [(size + more) // COARSE * COARSE for size in exemplar.picture.shape[1:]]
            rows, columns = (torch.arange(-beside, side + beside) for side in sides)
            if wraps:
                rows, columns = rows % exemplar.picture.shape[1], columns % exemplar.picture.shape[2]
            else:
                rows, columns = _mirrored(rows, sides[0]), _mirrored(columns, sides[1])
            pictures.append(exemplar.picture[:, rows[:, None], columns])
        return pictures

    @cached_property
    def _free(self) -> list[Tensor]:
        pairs = zip(self.exemplars, self._around, strict=True)
        return [free_windows(replace(exemplar, picture=around), self.config.size) for exemplar, around in pairs]


def _repeated(picture: Tensor, more: int) -> Tensor:
    """(3, H + more - 1, W + more - 1): every window of `more` pixels begins somewhere on the picture."""
    rows, columns = (torch.arange(size + more - 1) % size for size in picture.shape[1:])
    return picture[:, rows[:, None], columns]


def _mirrored(places: Tensor, size: int) -> Tensor:
    """Rows or columns of a picture that goes on as in a mirror"""
    return (size - 1) - ((places % (2 * size - 2)) - (size - 1)).abs()


# ---------------------------------------------------------------- noise


def draw_noise(
    config: TextureGeneratorConfig, count: int, size: int, random_: torch.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Noise and grain for `count` textures of `size` pixels that go on over their borders: as noise.py makes them, but
    by torch's own numbers."""
    shape = (count, config.noise, size // COARSE, size // COARSE)
    coarse = _random(config.distribution, shape, random_, device)
    grain = _random(config.distribution, (count, config.grain, size // STRIDE, size // STRIDE), random_, device)
    if config.waves:
        coarse = torch.cat([coarse, _waves(config.waves, count, size, random_, device)], 1)
    return coarse, grain


def _random(distribution: str, shape: tuple[int, ...], random_: torch.Generator, device: torch.device) -> Tensor:
    if distribution == "uniform":
        return torch.rand(shape, generator=random_, device=device) * 2 - 1
    return torch.randn(shape, generator=random_, device=device)


def _waves(
    waves: tuple[tuple[float, float], ...], count: int, size: int, random_: torch.Generator, device: torch.device
) -> Tensor:
    """(count, 2 per wave, cells, cells): see noise.waves."""
    cells = torch.arange(size // COARSE, device=device) * COARSE
    moved = torch.rand(count, 2, generator=random_, device=device) * 65536
    planes = []
    for wave in waves:
        down, across = (round(f * size) / size for f in wave)
        place = down * cells[:, None] + across * cells
        shift = (moved * torch.tensor(wave, device=device)).sum(1)
        phase = 2 * math.pi * (place + shift[:, None, None])
        planes += [phase.sin() * math.sqrt(2), phase.cos() * math.sqrt(2)]
    return torch.stack(planes, 1)


@dataclass(frozen=True)
class Tables:
    """What noises are quilted of."""

    noise: Tensor
    grain: Tensor
    """Both (C, rows, columns), each on its own grid"""
    parts: tuple[int, ...] = ()
    """Rows of the coarse one that each of several exemplars has, one below the other"""


def quilt(tables: Tables, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise and grain (1, C, cells, cells) for a texture of `size` pixels, as the runtime lays them."""
    quilted = Quilt({name: getattr(tables, name).cpu().numpy() for name in NOISES}, tables.parts)
    sides = (size // COARSE, size // STRIDE)
    laid = [quilted.laid(name, seed, 0, 0, n, n, (n, n)) for name, n in zip(NOISES, sides, strict=True)]
    noise, grain = (torch.from_numpy(values)[None].to(tables.noise.device) for values in laid)
    return noise, grain


# ---------------------------------------------------------------- training


class TextureTrainer(Trainer):
    """Which patches there are, then a critic that sees how they go together."""

    config: TextureConfig

    def __init__(self, samples: TextureSamples, device: torch.device, began: float = 0.0) -> None:
        self.samples = samples
        super().__init__(samples.config, device, began)

    def networks(self) -> dict[str, nn.Module]:
        config = self.config.generator
        reader = {"encoder": TextureEncoder(config)} if config.quilted else {}
        return {"generator": TextureGenerator(config, wraps=True), **reader}

    def terms(self, warming_up: bool, random_: torch.Generator) -> dict[str, Tensor]:
        config = self.config
        real = self._batch()
        terms: dict[str, Tensor] = {}

        # 1. The encoder reads the exemplar's noise, and the generator draws the exemplar again.
        codes = None
        if config.generator.quilted:
            codes = self.run("encoder", real)
            drawn = self.run("generator", *(_unsure(code, random_) for code in codes))
            inside = (slice(None), slice(None), slice(EDGE, -EDGE), slice(EDGE, -EDGE))
            terms["reconstruction"] = (drawn - real)[inside].abs().mean()
            if warming_up and self.steps_done % FREE_EVERY:
                return terms

        # 2. Fresh noise. Its patches are to be those of the exemplar, wherever they lie.
        made = self._made(random_, codes)
        terms["patches"] = losses.sliced_wasserstein(made, real, 7, config.patch_scales, config.directions, random_)

        # 3. The critic says how they go together.
        if not warming_up and (config.adversarial or config.features):
            window = self._windows(made, random_)
            real = real[:, :, : config.crop, : config.crop]
            terms |= self.judged(window, real, real, random_)
        return terms

    @torch.no_grad()
    def another(self, turn: int, random_: torch.Generator) -> tuple[Tensor, Tensor]:
        crop = self.config.crop
        real = self._batch(turn)
        codes = self.run("encoder", real) if self.config.generator.quilted else None
        return real[:, :, :crop, :crop], self._windows(self._made(random_, codes), random_)

    @torch.no_grad()
    def preview(self) -> dict[str, Tensor]:
        """Crops of the exemplars, and textures of some seeds by the averaged generator."""
        real = torch.cat([self.samples.batch(0, turn) for turn in range(-(-SEEN // self.config.batch))])[:SEEN]
        return {"exemplar": real, "seeds": self._seeds()}

    @torch.no_grad()
    def probe(self) -> Probe:
        seeds = self._seeds()
        return Probe(seeds, seeds, tuple(exemplar.picture.to(self.device) for exemplar in self.samples.exemplars))

    @torch.no_grad()
    def tables(self) -> Tables | None:
        """What the encoder reads off the exemplars, one below the other, that textures are quilted of; None where they
        are not. What it reads of exemplars that tile goes on over their borders by a piece. Rounded as a pack stores
        it: a step of rounding may make another piece the one that fits."""
        if not self.config.generator.quilted:
            return None
        codes = [self._read(picture) for picture in self.samples.surrounded()]
        narrowest = min(coarse.shape[3] for coarse, _ in codes)
        return Tables(
            as_stored(torch.cat([coarse[0, :, :, :narrowest] for coarse, _ in codes], 1)),
            as_stored(torch.cat([grain[0, :, :, : narrowest * (COARSE // STRIDE)] for _, grain in codes], 1)),
            tuple(coarse.shape[2] for coarse, _ in codes) if len(codes) > 1 else (),
        )

    def _read(self, surrounded: Tensor) -> list[Tensor]:
        """What the encoder reads off an exemplar, without what lies around it"""
        edges = BESIDE, BESIDE * COARSE // STRIDE
        codes = zip(self.averages["encoder"](surrounded[None].to(self.device)), edges, strict=True)
        return [code[:, :, edge:-edge, edge:-edge] for code, edge in codes]

    def _seeds(self) -> Tensor:
        config, tables = self.config, self.tables()
        if tables is None:
            random_ = torch.Generator(self.device).manual_seed(0)
            cells = draw_noise(config.generator, SEEN, config.size, random_, self.device)
        else:
            cells = _together([quilt(tables, config.size, seed) for seed in range(SEEN)])
        seen: Tensor = self.averages["generator"](*cells)
        return seen.clamp(0, 1)

    def _made(self, random_: torch.Generator, codes: tuple[Tensor, Tensor] | None) -> Tensor:
        """(N, 3, S, S) of fresh noise: of pieces of the codes where there are such, each of its own crop's."""
        config = self.config
        if codes is None:
            drawn = draw_noise(config.generator, config.batch, config.size, random_, self.device)
            cells = ranks.own(drawn[0]), ranks.own(drawn[1])
        else:
            # Near the border of a crop the encoder sees nothing beyond.
            inner = [code[:, :, n:-n, n:-n].detach() for code, n in zip(codes, (1, COARSE // STRIDE), strict=True)]
            drawn_seeds = torch.randint(2**31, (config.batch,), generator=random_, device=self.device)
            seeds = ranks.own(drawn_seeds).tolist()
            cells = _together(
                [quilt(Tables(c, g), config.size, seed) for c, g, seed in zip(*inner, seeds, strict=True)]
            )
        made: Tensor = self.run("generator", *cells)
        return made

    def _batch(self, turn: int = 0) -> Tensor:
        return self.samples.batch(self.steps_done, turn, ranks.places(self.config.batch))

    def adopt(self, config: TrainConfig) -> None:
        super().adopt(config)
        self.samples = replace(self.samples, config=self.config)

    def _windows(self, made: Tensor, random_: torch.Generator) -> Tensor:
        """A crop of each anywhere, over its borders too: the critic is not to know where they are."""
        size, crop = self.config.size, self.config.crop
        places = ranks.own(torch.randint(size, (ranks.whole(len(made)), 2), generator=random_, device=self.device))
        rows, columns = ((torch.arange(crop, device=self.device) - places[:, axis, None]) % size for axis in (0, 1))
        picture = torch.arange(len(made), device=self.device)[:, None, None]
        # Indexing on both sides of the channels puts them last.
        return made[picture, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _unsure(code: Tensor, random_: torch.Generator) -> Tensor:
    drawn = torch.randn(ranks.whole(len(code)), *code.shape[1:], generator=random_, device=code.device)
    return code + UNSURE * ranks.own(drawn)


def _together(cells: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Noise and grain of several textures as one batch."""
    return torch.cat([coarse for coarse, _ in cells]), torch.cat([grain for _, grain in cells])
