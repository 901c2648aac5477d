"""The patch teacher: paints a content picture with patches of a style picture, with no network at all.

Coarse to fine, every patch of the current estimate (with the content's luminance beside it) looks for its nearest
patch in the style picture; the found patches are averaged where they overlap. Dividing each distance by how well the
style patch is already served makes the whole painting get used (Granot et al., "Drop the GAN", CVPR 2022, eq. 2);
the luminance guide keeps the content readable, and neighbours that take neighbouring patches keep strokes whole (both
Hertzmann et al., "Image Analogies", SIGGRAPH 2001).
The teacher is slow and global; the generator learns from its pairs to do the same at once and locally.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name the field uses)
from torch import Tensor

LUMA = (0.2126, 0.7152, 0.0722)
"""Rec.709 weights, applied to display-referred values: a perceived brightness is what the guide needs."""


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
    """Style patches looked at per round, drawn anew each round."""
    coherence: float = 1.5
    """How much farther, as a share of its distance, a patch may be when it lies beside its neighbours' patches in the
    style picture too. Strokes come over whole; at 0 they are pieced together from patches of many and blur."""
    spread: int = 4
    """Turns in which neighbours offer each other the patches beside their own."""
    components: int = 40
    """Principal components kept of a patch: they hold > 97 % of its variance and make the search five times faster."""


@dataclass(frozen=True)
class Painting:
    """What the teacher made."""

    picture: Tensor
    """(3, H, W), display-referred sRGB 0..1"""
    match_field: Tensor
    """(2, h, w) int16: row and column of the style patch each query patch took; one query every `stride` pixels.
    In pixels of the style picture as it was given. This is exact provenance."""


class Guide:
    """How content is compared with the style: luminance and chroma, brought to the style's distribution.

    Fitted once on all content, then fixed. A curve per picture would tie every pixel to the whole frame: the generator,
    which is local, could not learn it, and a lamp entering a shot would change the sky.
    """

    def __init__(self, contents: Sequence[Tensor], style: Tensor, config: TeacherConfig) -> None:
        content = torch.cat([_opponent(c).flatten(1)[:, ::7] for c in contents], 1)
        target = _opponent(style).flatten(1)
        quantiles = torch.linspace(0, 1, 256, device=style.device)
        self.knots = _quantile(content[0], quantiles)
        self.curve = _quantile(target[0], quantiles)
        self.mean, self.deviation = content[1:].mean(1), content[1:].std(1).clamp_min(1e-3)
        self.style_mean, self.style_deviation = target[1:].mean(1), target[1:].std(1)
        self.weights = torch.tensor([config.luminance, config.chroma, config.chroma], device=style.device)

    def of_content(self, content: Tensor) -> Tensor:
        """(3, H, W) display-referred sRGB -> (3, H, W) weighted guide in the style's terms."""
        opponent = _opponent(content)
        light = _interpolate(opponent[0], self.knots, self.curve)
        scale = (self.style_deviation / self.deviation)[:, None, None]
        chroma = (opponent[1:] - self.mean[:, None, None]) * scale + self.style_mean[:, None, None]
        return torch.cat([light[None], chroma]) * self.weights[:, None, None]

    def of_style(self, style: Tensor) -> Tensor:
        """(3, h, w) display-referred sRGB -> (3, h, w) weighted guide."""
        return _opponent(style) * self.weights[:, None, None]


def paint(content: Tensor, style: Tensor, guide: Guide, config: TeacherConfig, random: torch.Generator) -> Painting:
    """Paint `content` (3, H, W) in the hand of `style` (3, h, w); both display-referred sRGB 0..1, same device.

    `style` is taken at the scale of training: a stroke of the result is as many pixels wide as in `style`.
    """
    content_guide, style_guide = guide.of_content(content), guide.of_style(style)
    estimate: Tensor | None = None
    field = torch.zeros(0)
    for scale, rounds in zip(config.levels, config.rounds, strict=True):
        size = _scaled(content, scale, config)
        level_guide, level_style_guide = resize(content_guide, size), resize(style_guide, _scaled(style, scale, config))
        level_style = resize(style, _scaled(style, scale, config))
        if estimate is not None:
            estimate = resize(estimate, size)
        for _ in range(rounds):
            estimate, field = _round(estimate, level_guide, level_style, level_style_guide, config, random)
    field = _at_full_scale(field, content, style, config)
    return Painting(lay(field, style, (content.shape[1], content.shape[2]), config).clamp(0, 1), field)


def _at_full_scale(field: Tensor, content: Tensor, style: Tensor, config: TeacherConfig) -> Tensor:
    """The match field of the last level, int16, in pixels of the whole style picture.

    Shifts are scaled, not places: patches that lay side by side do so again, to the pixel, and what they show together
    stays sharp.
    """
    scale = config.levels[-1]
    size, edge = _scaled(content, scale, config), round(config.patch / scale)
    places = torch.stack(torch.meshgrid(*(positions(s, config.patch, config.stride) for s in size), indexing="ij"))
    full = torch.stack(
        torch.meshgrid(*(_full_positions(length, edge, config) for length in content.shape[1:]), indexing="ij")
    )
    shift = ((field - places.to(field.device)) / scale).round().long()
    last = torch.tensor(style.shape[1:], device=field.device)[:, None, None] - edge
    return (full.to(field.device) + shift).clamp_min(0).minimum(last).to(torch.int16)


def lay(field: Tensor, style: Tensor, size: tuple[int, int], config: TeacherConfig) -> Tensor:
    """The picture (3, *size) that the patches of a match field make, at the full scale of `style`."""
    scale = config.levels[-1]
    edge = round(config.patch / scale)
    rows, columns = (_full_positions(length, edge, config).to(field.device) for length in size)
    return average(cut(style, edge, field.flatten(1)), size, edge, rows, columns)


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
    estimate: Tensor | None,
    guide: Tensor,
    style: Tensor,
    style_guide: Tensor,
    config: TeacherConfig,
    random: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """One search-and-average round. Before the first estimate only the guides are compared."""
    p = config.patch
    known = _features(style_guide, None if estimate is None else style, config)
    asked = _features(guide, estimate, config)
    chosen = torch.randperm((style.shape[1] - p + 1) * (style.shape[2] - p + 1), generator=random, device=style.device)
    chosen = chosen[: config.keys]
    rows, columns = (positions(s, p, config.stride).to(style.device) for s in guide.shape[1:])

    space = PatchSpace(known, p, _places(chosen, style.shape[2] - p + 1), config.components)
    keys = space.project(known)
    queries = space.project(asked)[:, rows][:, :, columns]
    queries = queries + config.jitter * torch.randn(queries.shape, generator=random, device=style.device)
    nearest = nearest_patches(queries.flatten(1).T, keys.flatten(1)[:, chosen].T, config.completeness)
    field = _places(chosen[nearest], keys.shape[2]).view(2, *queries.shape[1:])
    field = coherent(field, torch.stack(torch.meshgrid(rows, columns, indexing="ij")), queries, keys, config)
    found = cut(style, p, field.flatten(1))
    return average(found, (guide.shape[1], guide.shape[2]), p, rows, columns), field


def _features(guide: Tensor, colour: Tensor | None, config: TeacherConfig) -> Tensor:
    """(3 or 6, H, W): what patches are compared by."""
    blurred = blur(guide, config.guide_blur)
    return blurred if colour is None else torch.cat([blurred, colour])


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


def coherent(field: Tensor, places: Tensor, queries: Tensor, keys: Tensor, config: TeacherConfig) -> Tensor:
    """A match field in which neighbours take neighbouring patches where those fit nearly as well.

    field: (2, h, w), the style patch that each query took; places: (2, h, w), where the queries lie; queries:
    (K, h, w) and keys: (K, H, W), their patches as points. A patch costs its squared distance, times
    1 + coherence * (share of the four neighbours whose patches do not lie beside it): Image Analogies' coherence term
    (section 3.2), settled by offers between neighbours (Barnes et al., "PatchMatch", SIGGRAPH 2009, section 3.2).
    """
    shift = field - places  # constant where patches lie side by side
    even = places.new_tensor([[row + column for column in range(shift.shape[2])] for row in range(shift.shape[1])]) % 2
    for turn in range(2 * config.spread):
        around = _around(shift)
        cost = _cost(shift, around, places, queries, keys, config)
        for offer in around:
            offered = _cost(offer, around, places, queries, keys, config)
            better = (even == turn % 2) & (offered < cost)
            shift, cost = torch.where(better, offer, shift), torch.where(better, offered, cost)
    return shift + places


def _around(shift: Tensor) -> Tensor:
    """The four neighbours' (4, 2, h, w); beyond the border a query is its own neighbour."""
    up, left = torch.cat([shift[:, :1], shift[:, :-1]], 1), torch.cat([shift[..., :1], shift[..., :-1]], 2)
    down, right = torch.cat([shift[:, 1:], shift[:, -1:]], 1), torch.cat([shift[..., 1:], shift[..., -1:]], 2)
    return torch.stack([up, down, left, right])


def _cost(
    shift: Tensor, around: Tensor, places: Tensor, queries: Tensor, keys: Tensor, config: TeacherConfig
) -> Tensor:
    """(h, w), infinite where the patch would lie outside the style picture."""
    (row, column), (height, width) = shift + places, keys.shape[1:]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    found = keys[:, row.clamp(0, height - 1), column.clamp(0, width - 1)]
    strangers = (around != shift).any(1).float().mean(0)
    distance = (queries - found).square().sum(0) * (1 + config.coherence * strangers)
    return torch.where(inside, distance, torch.inf)


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


def _full_positions(length: int, edge: int, config: TeacherConfig) -> Tensor:
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
    best = queries.new_full((queries.shape[0],), float("inf"))
    served = keys.new_full((keys.shape[0],), float("inf"))
    for rows, columns, distances in _blocks(left, right):
        best[rows] = torch.minimum(best[rows], distances.amin(1))
        served[columns] = torch.minimum(served[columns], distances.amin(0))
    return best.clamp_min_(0), served.clamp_min_(0)


def _nearest_weighted(queries: Tensor, keys: Tensor, need: Tensor) -> Tensor:
    """Index of the key with the smallest need * squared distance, for each query."""
    left, right = _extended(queries, keys, need)
    best = queries.new_full((queries.shape[0],), float("inf"))
    nearest = torch.zeros(queries.shape[0], dtype=torch.long, device=queries.device)
    for rows, columns, distances in _blocks(left, right):
        value, index = _smallest(distances)
        better = value < best[rows]
        best[rows] = torch.where(better, value, best[rows])
        nearest[rows] = torch.where(better, index + columns.start, nearest[rows])
    return nearest


def _extended(queries: Tensor, keys: Tensor, need: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose dot products are need * |q - k|^2: the whole distance comes out of one matrix product."""
    ones = torch.ones_like(queries[:, :1])
    left = torch.cat([queries, ones, queries.square().sum(1, keepdim=True)], 1)
    right = torch.cat([-2 * keys, keys.square().sum(1, keepdim=True), torch.ones_like(keys[:, :1])], 1)
    return left, right * need[:, None]


def _blocks(left: Tensor, right: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """The matrix left @ right.T block by block. On a CPU a block (1 MB) stays in the cache: six times faster."""
    height, width = (4096, 65536) if left.is_cuda else (256, 1024)
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
