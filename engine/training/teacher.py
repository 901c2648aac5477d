"""The patch teacher: paints a content picture with patches of style pictures, with no network at all.

Coarse to fine, every patch of the current estimate (with the content's luminance beside it) looks for its nearest
patch in all style pictures at once; the found patches are averaged where they overlap. Dividing each distance by how
well the style patch is already served makes the whole painting get used (Granot et al., "Drop the GAN", CVPR 2022,
eq. 2); the luminance guide keeps the content readable, and neighbours that take neighbouring patches keep strokes whole
(both Hertzmann et al., "Image Analogies", SIGGRAPH 2001). Where a style picture was painted over a render, its passes
guide the search too (Fiser et al., "StyLit", SIGGRAPH 2016).

For the search the style pictures, and turned, mirrored or scaled variants of them, lie on top of each other in one
picture, the atlas. Each is a tile of it, and no patch crosses from one into the next.
The teacher is slow and global; the generator learns from its pairs to do the same at once and locally.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor

from ..errors import EngineError

LUMA = (0.2126, 0.7152, 0.0722)
"""Rec.709 weights, applied to display-referred values: a perceived brightness is what the guide needs."""
LEAST_BLOCK = 2**14
"""Distances computed at once (64 KB) below which a smaller block would make no room worth having"""
REGION = 0.01
"""Share of the style below which a value of its masks is no region: the soft edges between regions are not."""


Found = TypeVar("Found")


@dataclass(frozen=True)
class TeacherConfig:
    """How freely the teacher paints."""

    patch: int = 7
    """Edge of a patch in pixels: about the width of a brush stroke at the scale of training."""
    levels: tuple[float, ...] = (0.22, 0.31, 0.44, 0.625)
    """Scales from coarse to fine. Starting coarser lets the painting's large forms replace the content's. The last is
    where the search ends: the patches it found are then laid at full scale, as sharp as they are in the painting."""
    rounds: tuple[int, ...] = (3, 3, 2, 2)
    """Search-and-average rounds per level; the estimate settles after two or three."""
    luminance: float = 2.0
    """Weight of the content's luminance beside a colour patch: 1 lets the painting swallow the content."""
    chroma: float = 0.7
    """Weight of the content's chroma: keeps a red figure apart from a blue wall of the same brightness."""
    guide_blur: float = 1.5
    """Deviation in pixels of the blur on both guides before they are compared: finer than this the strokes are free."""
    tone: float = 0.0
    """Deviation in pixels, at full scale, of a blur on the style pictures before their colours are compared with the
    content's. Lines and dots make their greys by how close they lie: pixel by pixel a hatching knows ink and paper
    alone, and every content came out in two tones. About the distance between lines; 0 for paint."""
    completeness: float = 0.1
    """Smaller forces more of the painting to be used, larger lets every patch take what fits it best.
    In units of the median nearest distance, so that it means the same for flat and for busy paintings."""
    jitter: float = 0.03
    """Deviation of noise on what each patch looks for: neighbours on a perfectly flat wall, as only renders have them,
    would otherwise all take one and the same patch and weave a mesh. With .1 strokes break up into a maze."""
    stride: int = 2
    """Step between query patches: twelve votes per pixel. With 3 flat walls fill with short curls instead of strokes,
    in two thirds of the time."""
    keys: int = 20000
    """Style patches looked at per round, drawn anew each round. Several tiles share them."""
    coherence: float = 1.5
    """How much farther, as a share of its distance, a patch may be when it lies beside its neighbours' patches in the
    style picture too. Strokes come over whole; at 0 they are pieced together from patches of many and blur."""
    spread: int = 4
    """Turns in which neighbours offer each other the patches beside their own."""
    components: int = 40
    """Principal components kept of a patch: they hold > 97 % of its variance and make the search five times faster."""
    guides: float = 1.0
    """Weight of each further guide (normals, albedo) that content and style pictures have."""
    turns: tuple[int, ...] = (0,)
    """Quarter turns in which each style picture is looked at. With all four outlines get clearer, for strokes of every
    direction are there, but strokes run where the painter's never did; and it takes 1.3 to 1.6 times as long."""
    mirrored: bool = False
    """Whether each style picture is looked at mirrored, too. It changed little by eye, and light then falls from both
    sides."""
    scales: tuple[float, ...] = (1.0,)
    """Sizes in which each style picture is looked at: strokes get wider and narrower than at the scale of training, and
    the hand less even."""
    tiles: int = 8
    """Pictures and variants that one search looks at; of more, each painting draws its own. Each costs 50 MB at a long
    side of 1024 (40 components at 0.625), and the time to project it."""


@dataclass(frozen=True)
class Exemplar:
    """A style picture, and what there is to know about it."""

    picture: Tensor
    """(3, h, w), display-referred sRGB 0..1, at the scale of training: a stroke of the result is as many pixels wide"""
    weight: float = 1.0
    """Its share of the patches looked at, beside the other weights: of equally good ones as many come from it."""
    mask: Tensor | None = None
    """(h, w) uint8: 0 is never taken (a frame, a signature), other values name regions. None: 1 everywhere."""
    guides: Mapping[str, Tensor] = field(default_factory=dict)
    """(C, h, w) by name: of what it was painted over, normals or albedo, in the units of the content's"""

    def to(self, device: torch.device) -> Exemplar:
        mask = None if self.mask is None else self.mask.to(device)
        guides = {name: guide.to(device) for name, guide in self.guides.items()}
        return replace(self, picture=self.picture.to(device), mask=mask, guides=guides)


class Tile(NamedTuple):
    """One way of looking at a style picture."""

    picture: int
    """Which one of the style pictures"""
    turn: int = 0
    """Quarter turns counter-clockwise, after mirroring"""
    mirrored: bool = False
    """Left to right, after scaling"""
    scale: float = 1.0

    def of(self, picture: Tensor) -> Tensor:
        """The style picture, or what lies beside it, (C, h, w) as this tile. Given the rows and columns of its pixels,
        this tells where in the style picture each pixel of the tile came from."""
        scaled = resize(picture, tuple(max(16, round(s * self.scale)) for s in picture.shape[1:]))
        return (scaled.flip(2) if self.mirrored else scaled).rot90(self.turn, (1, 2))


@dataclass(frozen=True)
class Painting:
    """What the teacher made."""

    picture: Tensor
    """(3, H, W), display-referred sRGB 0..1"""
    match_field: Tensor
    """(3, h, w) int16: tile, row and column of the style patch each query patch took; one query every `stride` pixels
    at the last level's scale, the last one flush with the border. Row and column are of the patch's upper left pixel,
    in pixels of the tile, whose size is that of the style picture as it was given times the tile's scale (turned, where
    the tile is). The patch has round(patch / last level) pixels to each side: `lay` makes the picture of it again. This
    is exact provenance, kept in pairs and in style packs."""
    tiles: tuple[Tile, ...]
    """What the first number of the match field stands for"""


class Guide:
    """How content is compared with the style: luminance and chroma, brought to the style's distribution.

    Fitted once on all content, then fixed. A curve per picture would tie every pixel to the whole frame: the generator,
    which is local, could not learn it, and a lamp entering a shot would change the sky.
    """

    def __init__(self, contents: Sequence[Tensor], style: Sequence[Exemplar], config: TeacherConfig) -> None:
        content = torch.cat([_opponent(c).flatten(1)[:, ::7] for c in contents], 1)
        target = _weighed(style, config.tone)
        self.tone = config.tone
        quantiles = torch.linspace(0, 1, 256, device=target.device)
        self.knots = _quantile(content[0], quantiles)
        self.curve = _quantile(target[0], quantiles)
        self.mean, self.deviation = content[1:].mean(1), content[1:].std(1).clamp_min(1e-3)
        self.style_mean, self.style_deviation = target[1:].mean(1), target[1:].std(1)
        self.weights = torch.tensor([config.luminance, config.chroma, config.chroma], device=target.device)

    def of_content(self, content: Tensor) -> Tensor:
        """(3, H, W) display-referred sRGB -> (3, H, W) weighted guide in the style's terms."""
        opponent = _opponent(content)
        light = _interpolate(opponent[0], self.knots, self.curve)
        scale = (self.style_deviation / self.deviation)[:, None, None]
        chroma = (opponent[1:] - self.mean[:, None, None]) * scale + self.style_mean[:, None, None]
        return torch.cat([light[None], chroma]) * self.weights[:, None, None]

    def of_style(self, style: Tensor) -> Tensor:
        """(3, h, w) display-referred sRGB -> (3, h, w) weighted guide."""
        return _opponent(blur(style, self.tone)) * self.weights[:, None, None]


def _weighed(style: Sequence[Exemplar], tone: float) -> Tensor:
    """(3, N) opponent colours of what may be taken, from each picture as many as its weight says."""
    seen = [blur(e.picture, tone) for e in style]
    free = [p if e.mask is None else p[:, e.mask > 0][:, None] for p, e in zip(seen, style, strict=True)]
    colours = [_opponent(picture).flatten(1) for picture in free]
    if not all(c.shape[1] for c in colours):
        raise _nothing_left()
    unit = min(c.shape[1] / e.weight for c, e in zip(colours, style, strict=True))
    counts = [max(1, min(c.shape[1], round(unit * e.weight))) for c, e in zip(colours, style, strict=True)]
    evenly = [torch.arange(n, device=c.device) * c.shape[1] // n for c, n in zip(colours, counts, strict=True)]
    return torch.cat([c[:, places] for c, places in zip(colours, evenly, strict=True)], 1)


def paint(
    content: Tensor,
    style: Sequence[Exemplar],
    guide: Guide,
    config: TeacherConfig,
    random: torch.Generator,
    guides: Mapping[str, Tensor] | None = None,
    regions: Tensor | None = None,
) -> Painting:
    """Paint `content` (3, H, W), display-referred sRGB 0..1, in the hand of `style`; everything on one device.

    guides: (C, H, W) by name, further channels to compare by; one counts where every style picture has it, too.
    regions: (H, W) uint8; each place is painted with patches of the region of that number in the style pictures' masks,
    or of the nearest number they have (in a hundredth of their area at least). None: with all.

    Raises EngineError where masks leave nothing to paint with.
    """
    further = _shared_guides(style, guides or {})
    tiles = _tiles(style, guide, further, regions is not None, config, random)
    content_guide = _beside(guide.of_content(content), guides or {}, further, config)
    asked = _asked_regions(regions, tiles, content)
    estimate: Tensor | None = None
    found, level = torch.zeros(0), None
    for scale, rounds in zip(config.levels, config.rounds, strict=True):
        size = _scaled(content, scale, config)
        level, subject = _atlas_at(scale, tiles, config), _Subject(resize(content_guide, size), _nearest(asked, size))
        if estimate is not None:
            estimate = resize(estimate, size)
        for _ in range(rounds):
            estimate, found = _round(estimate, subject, level, config, random)
    assert level is not None
    match_field = _at_full_scale(found, level.starts, content, tiles, config)
    picture = lay(match_field, [t.picture for t in tiles], (content.shape[1], content.shape[2]), config).clamp(0, 1)
    return Painting(picture, match_field, tuple(t.tile for t in tiles))


@dataclass(frozen=True)
class _Tile:
    """A tile at full scale."""

    tile: Tile
    weight: float
    picture: Tensor
    """(3, h, w)"""
    guide: Tensor
    """(G, h, w), weighted"""
    labels: Tensor
    """(1, h, w) float: the region, 0 where nothing may be taken"""


@dataclass(frozen=True)
class _Atlas:
    """All tiles at one scale, on top of each other."""

    colour: Tensor
    """(3, A, W)"""
    guide: Tensor
    """(G, A, W), blurred"""
    labels: Tensor
    """(A - patch + 1, W - patch + 1): of each patch its region; 0 where it may not be taken or crosses a border"""
    starts: Tensor
    """(T,): the first row of each tile"""
    shares: tuple[float, ...]
    """Of the patches looked at, for each tile"""


@dataclass(frozen=True)
class _Subject:
    """What is painted, at one scale."""

    guide: Tensor
    """(G, H, W), weighted"""
    labels: Tensor
    """(1, H, W) float: the region to paint it with"""


def _shared_guides(style: Sequence[Exemplar], guides: Mapping[str, Tensor]) -> list[str]:
    return sorted(name for name in guides if all(name in exemplar.guides for exemplar in style))


def _beside(guide: Tensor, guides: Mapping[str, Tensor], names: Sequence[str], config: TeacherConfig) -> Tensor:
    """(3, H, W) -> (G, H, W): the named guides, weighted, under luminance and chroma."""
    return torch.cat([guide, *(guides[name] * config.guides for name in names)])


def _tiles(
    style: Sequence[Exemplar], guide: Guide, names: Sequence[str], by_region: bool, config: TeacherConfig,
    random: torch.Generator,
) -> list[_Tile]:  # fmt: skip
    """What this painting looks at: every variant of every picture, or as many as there is room for."""
    mirrors = (False, True) if config.mirrored else (False,)
    variants = list(product(config.turns, mirrors, config.scales))
    tiles = [Tile(index, *variant) for index in range(len(style)) for variant in variants]
    if len(tiles) > config.tiles:
        drawn = torch.randperm(len(tiles), generator=random, device=random.device)[: config.tiles]
        tiles = [tiles[index] for index in sorted(drawn.tolist())]
    return [_tile(tile, style[tile.picture], guide, names, by_region, config) for tile in tiles]


def _tile(
    tile: Tile, exemplar: Exemplar, guide: Guide, names: Sequence[str], by_region: bool, config: TeacherConfig
) -> _Tile:
    picture = exemplar.picture
    beside = _beside(guide.of_style(picture), exemplar.guides, names, config)
    mask = torch.ones_like(picture[0]) if exemplar.mask is None else exemplar.mask.to(picture)
    barred = tile.of((mask == 0).to(picture)[None]) > 0
    labels = tile._replace(scale=1.0).of(mask[None] if by_region else (mask > 0).to(picture)[None])
    labels = torch.where(barred, 0, _nearest(labels, barred.shape[1:]))
    return _Tile(tile, exemplar.weight, tile.of(picture), tile.of(beside), labels)


def _asked_regions(regions: Tensor | None, tiles: Sequence[_Tile], content: Tensor) -> Tensor:
    """(1, H, W) float: for each place of the content a region that the tiles have."""
    if regions is None:
        return torch.ones_like(content[:1])
    values, counts = torch.cat([t.labels[t.labels > 0] for t in tiles]).unique(return_counts=True)
    known = values[counts >= (REGION * counts.sum()).minimum(counts.max())]
    return known[(regions.to(content)[..., None] - known).abs().argmin(-1)][None]


def _nearest(labels: Tensor, size: Sequence[int]) -> Tensor:
    """(1, H, W) -> (1, *size), without values in between."""
    if tuple(labels.shape[1:]) == tuple(size):
        return labels
    return F.interpolate(labels[None], size=tuple(size), mode="nearest-exact")[0]


def _atlas_at(scale: float, tiles: Sequence[_Tile], config: TeacherConfig) -> _Atlas:
    sizes = [_scaled(t.picture, scale, config) for t in tiles]
    colours = [resize(t.picture, size) for t, size in zip(tiles, sizes, strict=True)]
    guides = [blur(resize(t.guide, size), config.guide_blur) for t, size in zip(tiles, sizes, strict=True)]
    inner = config.patch - 1
    labels = [
        F.pad(_patch_labels(t.labels, size, config.patch), (0, inner, 0, inner))
        for t, size in zip(tiles, sizes, strict=True)
    ]
    total = sum(t.weight for t in tiles)
    return _Atlas(
        _stacked(colours),
        _stacked(guides),
        _stacked(labels)[0, : -inner or None, : -inner or None],
        _starts(colours),
        tuple(t.weight / total for t in tiles),
    )


def _patch_labels(labels: Tensor, size: tuple[int, int], patch: int) -> Tensor:
    """(1, H, W) at full scale -> (1, h - patch + 1, w - patch + 1): the region in the middle of each patch at the scale
    of `size`, 0 where the patch holds anything barred."""
    barred = resize((labels == 0).float(), size)
    # One pixel wider: at full scale patches are laid to the nearest pixel.
    barred = F.max_pool2d(F.max_pool2d(barred[None], 3, 1, 1), patch, 1)[0] > 0
    rows, columns = (slice(patch // 2, patch // 2 + s - patch + 1) for s in size)
    return torch.where(barred, 0, _nearest(labels, size)[:, rows, columns])


def _stacked(pictures: Sequence[Tensor]) -> Tensor:
    """Pictures (C, h, w) on top of each other: (C, sum of h, largest w), 0 beside the narrower ones."""
    width = max(p.shape[2] for p in pictures)
    return torch.cat([F.pad(p, (0, width - p.shape[2])) for p in pictures], 1)


def _starts(pictures: Sequence[Tensor]) -> Tensor:
    """The first row of each when stacked."""
    heights = torch.tensor([p.shape[1] for p in pictures], device=pictures[0].device)
    return heights.cumsum(0) - heights


def _at_full_scale(
    found: Tensor, starts: Tensor, content: Tensor, tiles: Sequence[_Tile], config: TeacherConfig
) -> Tensor:
    """The match field (see Painting) of the places (2, h, w) found in the last level's atlas.

    Shifts are scaled, not places: patches that lay side by side do so again, to the pixel, and what they show together
    stays sharp.
    """
    scale = config.levels[-1]
    size, edge = _scaled(content, scale, config), round(config.patch / scale)
    places = torch.stack(torch.meshgrid(*(positions(s, config.patch, config.stride) for s in size), indexing="ij"))
    full = torch.stack(
        torch.meshgrid(*(full_positions(length, edge, config) for length in content.shape[1:]), indexing="ij")
    )
    tile = torch.bucketize(found[0].contiguous(), starts[1:], right=True)
    inside = torch.stack([found[0] - starts[tile], found[1]])
    shift = ((inside - places.to(found.device)) / scale).round().long()
    last = torch.tensor([t.picture.shape[1:] for t in tiles], device=found.device)[tile].permute(2, 0, 1) - edge
    place = (full.to(found.device) + shift).clamp_min(0).minimum(last)
    return torch.cat([tile[None], place]).to(torch.int16)


def lay(match_field: Tensor, tiles: Sequence[Tensor], size: tuple[int, int], config: TeacherConfig) -> Tensor:
    """The picture (3, *size) that the patches of a match field make; tiles: (3, h, w) each, at full scale."""
    scale = config.levels[-1]
    edge = round(config.patch / scale)
    rows, columns = (full_positions(length, edge, config).to(match_field.device) for length in size)
    tile, row, column = match_field.long().flatten(1)
    found = cut(_stacked(tiles), edge, torch.stack([row + _starts(tiles)[tile], column]))
    return average(found, size, edge, rows, columns)


def luminance(picture: Tensor) -> Tensor:
    """(3, H, W) -> (1, H, W), same encoding."""
    weights = torch.tensor(LUMA, device=picture.device, dtype=picture.dtype)
    return (weights[:, None, None] * picture).sum(0, keepdim=True)


def _opponent(picture: Tensor) -> Tensor:
    """(3, H, W) RGB -> (3, H, W) luminance, red - luminance, blue - luminance."""
    light = luminance(picture)
    return torch.cat([light, picture[0:1] - light, picture[2:3] - light])


def _quantile(values: Tensor, at: Tensor) -> Tensor:
    ordered = values.sort().values
    return ordered[(at * (ordered.numel() - 1)).long()]


def _interpolate(values: Tensor, knots: Tensor, curve: Tensor) -> Tensor:
    """Piecewise linear curve through (knots, curve), constant outside."""
    right = torch.searchsorted(knots, values.contiguous()).clamp(1, knots.numel() - 1)
    left = right - 1
    share = ((values - knots[left]) / (knots[right] - knots[left]).clamp_min(1e-6)).clamp(0, 1)
    return curve[left] + share * (curve[right] - curve[left])


def _scaled(picture: Tensor, scale: float, config: TeacherConfig) -> tuple[int, int]:
    height, width = (_scaled_length(s, scale, config) for s in picture.shape[1:])
    return height, width


def _scaled_length(length: int, scale: float, config: TeacherConfig) -> int:
    return max(config.patch, round(length * scale))


def resize(picture: Tensor, size: tuple[int, ...]) -> Tensor:
    """(C, H, W) -> (C, *size), area-true when shrinking."""
    if tuple(picture.shape[1:]) == tuple(size):
        return picture
    return F.interpolate(picture[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]


def blur(picture: Tensor, deviation: float) -> Tensor:
    """Gaussian blur of (C, H, W), borders reflected."""
    if deviation == 0:
        return picture
    radius = min(math.ceil(3 * deviation), min(picture.shape[1:]) - 1)
    offsets = torch.arange(-radius, radius + 1, device=picture.device, dtype=picture.dtype)
    kernel = torch.exp(-offsets.square() / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(picture[:, None], (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[:, 0]


def _round(
    estimate: Tensor | None, subject: _Subject, level: _Atlas, config: TeacherConfig, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One search-and-average round. Before the first estimate only the guides are compared.

    Returns the next estimate and, for each query patch, the place in the atlas (2, h, w) of the patch it took.
    """
    p, guide, device = config.patch, blur(subject.guide, config.guide_blur), level.colour.device
    known = level.guide if estimate is None else torch.cat([level.guide, level.colour])
    asked = guide if estimate is None else torch.cat([guide, estimate])
    chosen = _drawn(level, config.keys, random)
    rows, columns = (positions(s, p, config.stride).to(device) for s in guide.shape[1:])
    labels = subject.labels[0, rows + p // 2][:, columns + p // 2]

    space = PatchSpace(known, p, _places(chosen, level.labels.shape[1]), config.components)
    keys = space.project(known)
    queries = space.project(asked)[:, rows][:, :, columns]
    queries = queries + config.jitter * torch.randn(queries.shape, generator=random, device=device)
    nearest = _nearest_of_region(
        queries.flatten(1).T, keys.flatten(1)[:, chosen].T, labels.flatten(), level.labels.flatten()[chosen], config
    )
    found = _places(chosen[nearest], keys.shape[2]).view(2, *queries.shape[1:])
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    found = coherent(found, places, queries, keys, labels, level.labels, config)
    laid = cut(level.colour, p, found.flatten(1))
    return average(laid, (guide.shape[1], guide.shape[2]), p, rows, columns), found


def _drawn(level: _Atlas, keys: int, random: torch.Generator) -> Tensor:
    """The patches to look at, as indices into the atlas: from each tile its share, as far as it has as many."""
    across, device = level.labels.shape[1], level.labels.device
    ends = [*level.starts.tolist()[1:], len(level.labels)]
    drawn = []
    for start, end, share in zip(level.starts.tolist(), ends, level.shares, strict=True):
        free = level.labels[start:end].flatten().nonzero()[:, 0] + start * across
        order = torch.randperm(len(free), generator=random, device=device)
        drawn.append(free[order[: math.ceil(share * keys)]])
    chosen = torch.cat(drawn)
    if not len(chosen):
        raise _nothing_left()
    return chosen


def _nothing_left() -> EngineError:
    return EngineError(
        "The masks of the style pictures leave nothing to paint with.",
        "Leave larger areas free: a few strokes to each side at least.",
    )


def _nearest_of_region(
    queries: Tensor, keys: Tensor, labels: Tensor, key_labels: Tensor, config: TeacherConfig
) -> Tensor:
    """Index (N,) of the key each query (N, K) takes, within its region where that has any."""
    asked = labels.unique()
    if len(asked) == 1 and bool((key_labels == asked).all()):
        return nearest_patches(queries, keys, config.completeness)
    nearest = torch.empty(len(queries), dtype=torch.long, device=queries.device)
    for label in asked:
        own = (key_labels == label).nonzero()[:, 0]
        own = own if len(own) else torch.arange(len(keys), device=keys.device)
        mine = labels == label
        nearest[mine] = own[nearest_patches(queries[mine], keys[own], config.completeness)]
    return nearest


def _places(index: Tensor, across: int) -> Tensor:
    """Index (N,) into the patches of a picture with `across` of them side by side -> row and column (2, N)."""
    return torch.stack([index // across, index % across])


class PatchSpace:
    """Patches as points: the principal components of some of them, in which distances are those of the patches."""

    def __init__(self, picture: Tensor, patch: int, places: Tensor, components: int) -> None:
        """Fitted on the patches of `picture` (C, H, W) at `places` (2, N)."""
        some = cut(picture, patch, places)
        self.mean = some.mean(0)
        # The covariance of a few thousand patches tells the same axes as all of them.
        _, axes = torch.linalg.eigh((some - self.mean).T @ (some - self.mean))
        self.axes = axes[:, -components:]
        self.patch = patch

    def project(self, picture: Tensor) -> Tensor:
        """(C, H, W) -> (components, H - patch + 1, W - patch + 1): each patch of the picture as a point."""
        kernels = self.axes.T.reshape(-1, picture.shape[0], self.patch, self.patch)
        return F.conv2d(picture[None], kernels)[0] - (self.mean @ self.axes)[:, None, None]


def coherent(
    found: Tensor,
    places: Tensor,
    queries: Tensor,
    keys: Tensor,
    labels: Tensor,
    key_labels: Tensor,
    config: TeacherConfig,
) -> Tensor:
    """Places of style patches, where neighbours take neighbouring ones if those fit nearly as well.

    found: (2, h, w), the style patch that each query took; places: (2, h, w), where the queries lie; queries:
    (K, h, w) and keys: (K, H, W), their patches as points; labels (h, w) and key_labels (H, W): which go together. A
    patch costs its squared distance, times
    1 + coherence * (share of the four neighbours whose patches do not lie beside it): Image Analogies' coherence term
    (section 3.2), settled by offers between neighbours (Barnes et al., "PatchMatch", SIGGRAPH 2009, section 3.2).
    """
    shift = found - places  # constant where patches lie side by side
    against = _Rivals(places, queries, keys, labels, key_labels, config.coherence)
    even = places.new_tensor([[row + column for column in range(shift.shape[2])] for row in range(shift.shape[1])]) % 2
    for turn in range(2 * config.spread):
        around = _around(shift)
        cost = against.cost(shift, around)
        for offer in around:
            offered = against.cost(offer, around)
            better = (even == turn % 2) & (offered < cost)
            shift, cost = torch.where(better, offer, shift), torch.where(better, offered, cost)
    return shift + places


def _around(shift: Tensor) -> Tensor:
    """The four neighbours' (4, 2, h, w); beyond the border a query is its own neighbour."""
    up, left = torch.cat([shift[:, :1], shift[:, :-1]], 1), torch.cat([shift[..., :1], shift[..., :-1]], 2)
    down, right = torch.cat([shift[:, 1:], shift[:, -1:]], 1), torch.cat([shift[..., 1:], shift[..., -1:]], 2)
    return torch.stack([up, down, left, right])


@dataclass(frozen=True)
class _Rivals:
    """The patches that queries decide between: see coherent."""

    places: Tensor
    queries: Tensor
    keys: Tensor
    labels: Tensor
    key_labels: Tensor
    coherence: float

    def cost(self, shift: Tensor, around: Tensor) -> Tensor:
        """(h, w), infinite where the patch lies outside the tile or may not be taken here."""
        (row, column), (height, width) = shift + self.places, self.keys.shape[1:]
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
        allowed = inside & (self.key_labels[row, column] == self.labels)
        strangers = (around != shift).any(1).float().mean(0)
        distance = (self.queries - self.keys[:, row, column]).square().sum(0) * (1 + self.coherence * strangers)
        return torch.where(allowed, distance, torch.inf)


def cut(picture: Tensor, patch: int, places: Tensor) -> Tensor:
    """The patches (N, C * patch * patch) of a picture (C, H, W) at `places` (2, N), their upper left corners."""
    take = torch.arange(patch, device=picture.device)
    y, x = (p.long()[:, None] + take for p in places)
    return picture[:, y[:, :, None], x[:, None, :]].transpose(0, 1).flatten(1)


def positions(length: int, patch: int, stride: int) -> Tensor:
    """Starts of the patches along one axis: every `stride`, and the last one flush with the end."""
    starts = list(range(0, length - patch + 1, stride))
    if starts[-1] != length - patch:
        starts.append(length - patch)
    return torch.tensor(starts)


def patches(picture: Tensor, patch: int, stride: int) -> Tensor:
    """(C, H, W) -> (N, C * patch * patch), row by row."""
    rows = positions(picture.shape[1], patch, stride).to(picture.device)
    columns = positions(picture.shape[2], patch, stride).to(picture.device)
    windows = picture.unfold(1, patch, 1).unfold(2, patch, 1)[:, rows][:, :, columns]
    return windows.permute(1, 2, 0, 3, 4).reshape(rows.numel() * columns.numel(), -1)


def full_positions(length: int, edge: int, config: TeacherConfig) -> Tensor:
    """Where the patches of the search lie at full scale; rounding must not leave the last pixel bare."""
    scale = config.levels[-1]
    starts = positions(_scaled_length(length, scale, config), config.patch, config.stride)
    starts = (starts / scale).round().long().clamp(max=length - edge)
    starts[-1] = length - edge
    return starts


def average(found: Tensor, size: tuple[int, int], patch: int, rows: Tensor, columns: Tensor) -> Tensor:
    """The inverse of `patches` for overlapping patches (N, C * patch * patch): their weighted mean, (C, H, W).

    `rows` and `columns` are where the patches begin.

    A patch's middle counts most: with equal weights the number of votes jumps every `stride` pixels and leaves a mesh,
    which the critic would take for a part of the hand.
    """
    channels = found.shape[1] // (patch * patch)
    votes = found.view(rows.numel(), columns.numel(), channels, patch, patch)
    total = found.new_zeros(channels, *size)
    weight = found.new_zeros(1, *size)
    window = torch.hann_window(patch + 2, periodic=False)[1:-1]
    for y in range(patch):
        for x in range(patch):
            share = float(window[y] * window[x])
            total[:, (rows + y)[:, None], columns + x] += share * votes[..., y, x].permute(2, 0, 1)
            weight[:, (rows + y)[:, None], columns + x] += share
    return total / weight


def nearest_patches(queries: Tensor, keys: Tensor, completeness: float) -> Tensor:
    """Index (N,) of the key each query (N, K) takes.

    Squared distances d(q, k) / (completeness * median + min_q' d(q', k)): a key that some query already fits well must
    be fitted really well by others to be taken again (Granot et al. 2022, eq. 2).
    """
    best, served = nearest_both_ways(queries, keys)
    need = 1 / (completeness * best.median().clamp_min(1e-6) + served)
    return _nearest_weighted(queries, keys, need)


def nearest_both_ways(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest squared distance of each query to the keys, and of each key to the queries."""
    left, right = _extended(queries, keys, torch.ones_like(keys[:, 0]))

    def search(block: Block) -> tuple[Tensor, Tensor]:
        best = queries.new_full((queries.shape[0],), float("inf"))
        served = keys.new_full((keys.shape[0],), float("inf"))
        for rows, columns, distances in _blocks(left, right, block):
            best[rows] = torch.minimum(best[rows], distances.amin(1))
            served[columns] = torch.minimum(served[columns], distances.amin(0))
        return best.clamp_min_(0), served.clamp_min_(0)

    return _in_memory(search, left.is_cuda)


def _nearest_weighted(queries: Tensor, keys: Tensor, need: Tensor) -> Tensor:
    """Index of the key with the smallest need * squared distance, for each query."""
    left, right = _extended(queries, keys, need)

    def search(block: Block) -> Tensor:
        best = queries.new_full((queries.shape[0],), float("inf"))
        nearest = torch.zeros(queries.shape[0], dtype=torch.long, device=queries.device)
        for rows, columns, distances in _blocks(left, right, block):
            value, index = _smallest(distances)
            better = value < best[rows]
            best[rows] = torch.where(better, value, best[rows])
            nearest[rows] = torch.where(better, index + columns.start, nearest[rows])
        return nearest

    return _in_memory(search, left.is_cuda)


def _extended(queries: Tensor, keys: Tensor, need: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose dot products are need * |q - k|^2: the whole distance comes out of one matrix product."""
    ones = torch.ones_like(queries[:, :1])
    left = torch.cat([queries, ones, queries.square().sum(1, keepdim=True)], 1)
    right = torch.cat([-2 * keys, keys.square().sum(1, keepdim=True), torch.ones_like(keys[:, :1])], 1)
    return left, right * need[:, None]


Block = tuple[int, int]
"""Queries and keys whose distances are computed at once"""


def _in_memory(search: Callable[[Block], Found], cuda: bool) -> Found:
    """The search in blocks that the memory holds. What is found is the same in any.

    On a CPU a block (1 MB) stays in the cache: six times faster. On a graphics card it begins with 1 GB.
    """
    height, width = (4096, 65536) if cuda else (256, 1024)
    while height * width >= LEAST_BLOCK:
        with suppress(torch.OutOfMemoryError):
            return search((height, width))
        height, width = height // 2, width // 2
    raise memory_full()


def memory_full() -> EngineError:
    return EngineError(
        "The graphics card's memory is too small for the teacher.",
        "Close other programs that use it, choose a smaller style_side, or train with --device cpu.",
    )


def _blocks(left: Tensor, right: Tensor, block: Block) -> Iterator[tuple[slice, slice, Tensor]]:
    """The matrix left @ right.T block by block."""
    height, width = block
    space = left.new_empty(height * width)
    for top in range(0, left.shape[0], height):
        rows = slice(top, min(top + height, left.shape[0]))
        for start in range(0, right.shape[0], width):
            columns = slice(start, min(start + width, right.shape[0]))
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            out = space[: shape[0] * shape[1]].view(shape)
            yield rows, columns, torch.mm(left[rows], right[columns].T, out=out)


def _smallest(distances: Tensor) -> tuple[Tensor, Tensor]:
    if distances.is_cuda:
        return torch.min(distances, 1)
    # torch's argmin on a CPU is not vectorised: numpy's is seven times faster (torch 2.13, numpy 1.26)
    index = torch.from_numpy(distances.numpy().argmin(1))
    return distances.gather(1, index[:, None])[:, 0], index
