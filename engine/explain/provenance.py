"""Attribution.Provenance: which place of the style picture do these strokes resemble?

Every patch of the result is compared with every patch of the style picture, by colour, at half the size the style was
trained at; u and v say where the most alike one lies. This is likeness, not cause: the network holds no pictures.

Confidence is one less the ratio of how far it is off to how far the best one elsewhere is off (Lowe, "Distinctive Image
Features from Scale-Invariant Keypoints", 2004, section 7.1): strokes that the painting repeats point nowhere in
particular. Why colours and not features of a network: measured against the teacher's own match field, patches of colour
find the place far more often than features of the critic or the encoder (docs/explain_details.md).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from ..canvas import ArrayCanvas
from ..errors import EngineError
from ..files import planes_of
from ..pack_files import MAX_STYLE_PICTURE
from ..picture import Floats
from ..protocol import Bar, Certificate, Check
from ..resample import Resampled
from ..style_pack import StylePack
from . import certificate
from .overlay import Overlay

PATCH = 14
"""Edge of a patch in pixels of the style picture as the pack holds it: half of those it was trained at"""
WINDOW = 5.0
"""Deviation of the bell that weighs a patch's pixels by how near its middle they are. Of patches of 12 with a bell of 4
not enough were found under noise in three of the styles that ship"""
STEP = 2
"""Pixels from one patch to the next"""
COMPONENTS = 60
"""Of a patch's numbers"""
ELSEWHERE = 12
"""Pixels between two places from which on they are not the same"""
CHANNELS = ("u", "v", "confidence")
UNIT = "u from the left, v from the top of the style picture, 0..1; confidence 0..1; bars: share of the likeness"
DISPLAY = (0.0, 1.0)
QUERIES = 60_000
"""Patches of a result at most: a step of two pixels up to 1080 rows"""
PLANTED = 256
NOISE = 0.2, 0.4
"""Deviations of the noise over planted patches, in those of the style picture's colours"""
FOUND = 0.99, 0.95
CHANCE = 0.99
"""Of patches that come from no place, so many are less sure than what `mass` counts as likeness"""
NOWHERE = 4096
"""Patches that come from no place, to see how sure they are of one"""
STABLE = 0.9
RADIUS = 0.02
"""By how much the picture is moved to see whether the answer stays"""
_BLOCK, _STRIP, _BAND = 256, 256, 16
OPPONENT = np.array([[0.2126, 0.7152, 0.0722], [0.5, -0.5, 0.0], [0.25, 0.25, -0.5]], np.float32)
"""Luminance, red against green, yellow against blue: what the teacher compares by"""
_AWAY = np.square(np.arange(PATCH, dtype=np.float32) - (PATCH - 1) / 2) / (2 * WINDOW**2)
_BELL = np.exp(-_AWAY[:, None] - _AWAY[None, :])
_NOTHING = 3 * float(np.square(_BELL).sum()) / 255**2
"""Squared distance of patches that differ by one step of 8 bits: less tells nothing"""


@dataclass(frozen=True, eq=False)
class Found:
    """Where each query lies most likely: (N,) each."""

    picture: np.ndarray
    """Which style picture"""
    row: np.ndarray
    column: np.ndarray
    """Of the patch's centre, in pixels of that picture"""
    confidence: np.ndarray


class Reference:
    """The style pictures of a style, as something to look in."""

    def __init__(self, pictures: Sequence[Floats], scale: float) -> None:
        """pictures: planes (3, h, w) 0..1 each; scale: their pixels for every pixel of a result."""
        self.pictures, self.scale = tuple(pictures), scale
        self._mean, self._basis, self._spread = _principal(self.pictures)
        self._grids = [((p.shape[1] - PATCH) // STEP + 1, (p.shape[2] - PATCH) // STEP + 1) for p in self.pictures]
        self._keys = [np.concatenate([self._projected(rows) for rows in _in_bands(p)]) for p in self.pictures]
        self._lengths = [np.square(keys).sum(axis=1) for keys in self._keys]
        self.deviation = float(np.mean([picture.std(axis=(1, 2)).mean() for picture in self.pictures]))

    @cached_property
    def chance(self) -> float:
        """The confidence that one in a hundred patches from no place exceeds (CHANCE). Those are drawn by chance with
        the mean and the covariance of the style pictures' own: as coloured and as even, without any of their strokes.
        """
        drawn = np.random.default_rng(0).standard_normal((NOWHERE, len(self._spread))).astype(np.float32)
        found = [self._find(part * self._spread) for part in np.array_split(drawn, NOWHERE // _BLOCK)]
        return float(np.quantile(joined(found).confidence, CHANCE))

    def _projected(self, rows: Floats) -> Floats:
        projected: Floats = (rows.reshape(-1, rows.shape[-1]) - self._mean) @ self._basis
        return projected

    def find(self, queries: Floats) -> Iterator[Found]:
        """The places of patches (N, 3 * PATCH * PATCH), in parts: as much at a time as is quick to stop."""
        for first in range(0, len(queries), _BLOCK):
            yield self._find(self._projected(queries[first : first + _BLOCK]))

    def _find(self, queries: Floats) -> Found:
        """In every picture the best and the best elsewhere; of these the best of all."""
        own = np.square(queries).sum(axis=1, keepdims=True)
        found = []
        for keys, lengths, grid in zip(self._keys, self._lengths, self._grids, strict=True):
            distances = np.maximum(own + lengths - 2 * (queries @ keys.T), 0)
            found.append((*_two(distances, grid), grid[1]))
        best = np.stack([first for _, first, _, _ in found])
        picture = best.argmin(axis=0)
        rows = np.arange(len(queries))
        place = np.stack([places for places, _, _, _ in found])[picture, rows]
        across = np.array([columns for _, _, _, columns in found])[picture]
        others = best.copy()
        others[picture, rows] = np.stack([second for _, _, second, _ in found])[picture, rows]
        ratio = np.sqrt((best[picture, rows] + _NOTHING) / (others.min(axis=0) + _NOTHING))
        row, column = (STEP * at + PATCH / 2 for at in (place // across, place % across))
        return Found(picture, row, column, np.clip(1 - ratio, 0, 1))


def _principal(pictures: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
    """Mean, the COMPONENTS main directions (3 * PATCH * PATCH, COMPONENTS) and the deviation along each of all their
    patches."""
    width = 3 * PATCH * PATCH
    count, total, squares = 0, np.zeros(width), np.zeros((width, width))
    for picture in pictures:
        for rows in _in_bands(picture):
            flat = rows.reshape(-1, rows.shape[-1])
            total = total + flat.sum(axis=0, dtype=np.float64)
            squares = squares + (flat.T @ flat).astype(np.float64)
            count += len(flat)
    mean = total / count
    variances, basis = np.linalg.eigh(squares / count - np.outer(mean, mean))
    spread = np.sqrt(np.maximum(variances[::-1][:COMPONENTS], 0)).astype(np.float32)
    return mean.astype(np.float32), np.ascontiguousarray(basis[:, ::-1][:, :COMPONENTS], np.float32), spread


def _in_bands(picture: Floats) -> Iterator[Floats]:
    """The patches of a picture, a band of rows at a time: all at once they take 200 times its memory."""
    soft = _soft(picture)
    for top in range(0, soft.shape[1] - PATCH + 1, STEP * _BAND):
        yield _cut(soft[:, top : top + STEP * (_BAND - 1) + PATCH], STEP)


def _two(distances: Floats, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each row of (N, rows * columns): the place of the smallest, the smallest, and the smallest further away."""
    places = distances.argmin(axis=1)
    first = distances[np.arange(len(places)), places].copy()
    cube = distances.reshape(-1, *grid)
    near = ELSEWHERE // STEP
    for row, place in zip(cube, places, strict=True):
        y, x = divmod(int(place), grid[1])
        row[max(0, y - near) : y + near + 1, max(0, x - near) : x + near + 1] = np.inf
    second = distances.min(axis=1)
    return places, first, np.where(np.isfinite(second), second, first)


def patches(picture: Floats, step: int) -> Floats:
    """(rows, columns, 3 * PATCH * PATCH) opponent colours of patches of planes (3, h, w), one every `step` pixels."""
    return _cut(_soft(picture), step)


def _cut(soft: Floats, step: int) -> Floats:
    windows = _windows(soft)[:, ::step, ::step].transpose(1, 2, 0, 3, 4)
    weighed: Floats = (windows * _BELL).reshape(*windows.shape[:2], -1)
    return weighed


def _windows(soft: Floats) -> Floats:
    """(3, rows, columns, PATCH, PATCH): a view, no copy."""
    view: Callable[..., Floats] = np.lib.stride_tricks.sliding_window_view
    return view(soft, (PATCH, PATCH), axis=(1, 2))


def _soft(picture: Floats) -> Floats:
    """Opponent colours (3, h, w), softened so that half a step to the side is no other patch."""
    return softened(softened(np.tensordot(OPPONENT, picture, axes=1), 1), 2)


def softened(planes: Floats, axis: int) -> Floats:
    """The mean of each value (twice) and its neighbours along an axis; borders are repeated."""
    wide = np.pad(planes, [(1, 1) if number == axis else (0, 0) for number in range(3)], "edge")
    first, middle, last = (np.take(wide, range(at, at + planes.shape[axis]), axis) for at in range(3))
    return np.asarray((first + 2 * middle + last) / 4, np.float32)


def need_pictures(pack: StylePack) -> None:
    """Raises EngineError for a style that does not bring what it was made of."""
    if not pack.pictures:
        raise EngineError(
            f"The style {pack.name!r} does not bring its style picture.",
            "Choose a style trained with Pentimento from pictures or keyframes, or another overlay.",
        )


def reference(pack: StylePack) -> Reference:
    """What the style was made of, to look in. Raises EngineError where it does not bring it."""
    need_pictures(pack)
    pictures = [planes_of(pack.read(picture.file), picture.file, MAX_STYLE_PICTURE) for picture in pack.pictures]
    return Reference(pictures, pack.pictures[0].scale)


def provenance(
    places: Reference, after: Floats, region: np.ndarray, wrap: bool, seed: int = 0
) -> Generator[float | Overlay, None, Overlay]:
    """Yields the fraction done, and the overlay once before it is certified; returns it with its certificate.

    after: the result, planes (3, H, W) 0..1 in the size the style sees. region: (H, W) bool; beyond it all is 0.
    """
    grid = _Grid.over(after, region, places.scale, wrap)
    found = yield from _found(places, grid.queries, 0.0, 0.8)
    pixels = grid.painted(found, places)
    shares = _shares(found, places)
    answer = Overlay(
        "Attribution.Provenance",
        CHANNELS if len(places.pictures) == 1 else (*CHANNELS, "picture"),
        pixels if len(places.pictures) > 1 else pixels[..., :3],
        _sentence(found, shares),
        DISPLAY,
        Certificate(()),
        unit=UNIT,
        bars=shares,
    )
    answer = replace(answer, beside=found_in(answer, places.pictures))
    yield answer
    checks = yield from _certify(places, grid, found, seed)
    return replace(answer, certificate=Certificate(checks))


def _found(places: Reference, queries: Floats, low: float, high: float) -> Generator[float, None, Found]:
    """All of them together; yields the fraction done, from low to high."""
    parts: list[Found] = []
    for part in places.find(queries):
        parts.append(part)
        yield low + (high - low) * min(1.0, len(parts) * _BLOCK / len(queries))
    return joined(parts)


def joined(parts: Sequence[Found]) -> Found:
    return Found(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Found)))


@dataclass(frozen=True, eq=False)
class _Grid:
    """The patches of a result that a region is made of."""

    small: Floats
    """The result at the scale of the reference, with half a patch of its surroundings to each side"""
    rows: np.ndarray
    columns: np.ndarray
    """(N,) Centres of the queries, in pixels of the small result"""
    cells: np.ndarray
    """(H, W) int: for each pixel of the region the query it belongs to; -1 beyond it"""

    @classmethod
    def over(cls, after: Floats, region: np.ndarray, scale: float, wrap: bool) -> _Grid:
        height, width = region.shape
        size = max(PATCH, round(height * scale)), max(PATCH, round(width * scale))
        half = PATCH // 2
        canvas = Resampled(ArrayCanvas(after, wrap), *size)
        small = np.clip(canvas.read(-half, -half, size[0] + PATCH, size[1] + PATCH), 0, 1)
        step = _step(region, size)
        down, across = (np.arange(full) * edge // full // step for full, edge in zip(region.shape, size, strict=True))
        count = int(across[-1]) + 1
        cells = np.where(region, down[:, None] * count + across[None, :], -1)
        used, numbered = np.unique(cells, return_inverse=True)
        cells = numbered.reshape(cells.shape) - (used[0] < 0)
        used = used[used >= 0]
        rows, columns = used // count * step + step // 2, used % count * step + step // 2
        return cls(small, np.minimum(rows, size[0] - 1), np.minimum(columns, size[1] - 1), cells)

    @property
    def queries(self) -> Floats:
        """(N, 3 * PATCH * PATCH)"""
        picked: Floats = _windows(_soft(self.small))[:, self.rows, self.columns].transpose(1, 0, 2, 3) * _BELL
        return picked.reshape(len(self.rows), -1)

    def painted(self, found: Found, places: Reference) -> Floats:
        """u, v, confidence and the number of the picture in every pixel (H, W, 4); 0 beyond the region. Inside a patch
        places go on as they do in the style picture."""
        height, width = self.cells.shape
        sizes = np.array([picture.shape[1:] for picture in places.pictures])[found.picture]
        scale = (self.small.shape[1] - PATCH) / height, (self.small.shape[2] - PATCH) / width
        pixels = np.zeros((height, width, 4), np.float32)
        for top in range(0, height, _STRIP):
            rows, columns = np.nonzero(self.cells[top : top + _STRIP] >= 0)
            rows += top
            which = self.cells[rows, columns]
            down = found.row[which] + (rows + 0.5) * scale[0] - self.rows[which]
            across = found.column[which] + (columns + 0.5) * scale[1] - self.columns[which]
            u, v = np.clip(across / sizes[which, 1], 0, 1), np.clip(down / sizes[which, 0], 0, 1)
            pixels[rows, columns] = np.stack([u, v, found.confidence[which], found.picture[which]], axis=-1)
        return pixels


def _step(region: np.ndarray, size: tuple[int, int]) -> int:
    """Pixels of the small result from one query to the next: STEP, more where there would be too many."""
    share = float(region.mean()) * size[0] * size[1]
    return max(STEP, int(np.ceil(np.sqrt(share / QUERIES))))


def mass(overlay: Overlay, picture: Floats, number: int = 0, chance: float = 0.0) -> Floats:
    """Where in a style picture, planes (3, h, w), the likeness lies: (h, w), 1 in sum over all of its pictures.

    chance: confidence that tells nothing (Reference.chance); only what lies above it counts. All 0 if nothing does.
    """
    height, width = picture.shape[1:]
    u, v = overlay.pixels[..., 0], overlay.pixels[..., 1]
    sure = np.maximum(overlay.pixels[..., 2] - np.float32(chance), 0)
    here = sure * (overlay.pixels[..., 3] == number) if overlay.pixels.shape[2] > 3 else sure
    places = np.minimum((v * height).astype(int), height - 1) * width + np.minimum((u * width).astype(int), width - 1)
    counted = np.bincount(places.ravel(), here.ravel().astype(np.float64), height * width)
    return (counted / max(float(sure.sum(dtype=np.float64)), 1e-12)).reshape(height, width).astype(np.float32)


def found_in(overlay: Overlay, pictures: Sequence[Floats]) -> Floats:
    """The style pictures above each other, (h, w, 3) 0..1: in colour where the likeness lies, fading to grey where all
    but the last of it is denser."""
    width = max(picture.shape[2] for picture in pictures)
    spread = [_spread(mass(overlay, picture, number)) for number, picture in enumerate(pictures)]
    every = np.concatenate([weight.ravel() for weight in spread])
    ranked = np.sort(every)[::-1]
    denser = np.concatenate(([0.0], np.cumsum(ranked, dtype=np.float64) / max(float(ranked.sum()), 1e-12)))
    shown = []
    for weight, picture in zip(spread, pictures, strict=True):
        before = np.searchsorted(-ranked, -weight.ravel()).reshape(weight.shape)
        light = np.where(weight > 0, np.sqrt(np.maximum(1 - denser[before], 0)), 0).astype(np.float32)
        grey = 0.5 * np.tensordot(OPPONENT[0], picture, axes=1)[None]
        shown.append(np.pad(grey + light * (picture - grey), ((0, 0), (0, 0), (0, width - picture.shape[2]))))
    return np.concatenate(shown, axis=1).transpose(1, 2, 0)


def _spread(weight: Floats) -> Floats:
    """Over the patch around each place: binomial, as wide as the bell its pixels are weighed by."""
    planes = weight[None]
    for _ in range(round(2 * WINDOW**2)):
        planes = softened(softened(planes, 1), 2)
    return planes[0]


# ---------------------------------------------------------------- in words, and how far it holds


_DOWN, _ACROSS = ("top", "middle", "bottom"), ("left", "centre", "right")


def _shares(found: Found, places: Reference) -> tuple[Bar, ...]:
    """How much of the likeness, weighed by confidence, lies in each ninth of the style pictures; the largest first."""
    sizes = np.array([picture.shape[1:] for picture in places.pictures])[found.picture]
    down, across = (
        np.minimum(2, 3 * at / size).astype(int) for at, size in ((found.row, sizes[:, 0]), (found.column, sizes[:, 1]))
    )
    mass = np.bincount(9 * found.picture + 3 * down + across, found.confidence, 9 * len(places.pictures))
    whole = float(mass.sum())
    if whole <= 0:
        return ()
    named = [(_name(number, len(places.pictures)), float(part) / whole) for number, part in enumerate(mass)]
    return tuple(Bar(name, part) for name, part in sorted(named, key=lambda one: -one[1]) if part >= 0.005)


def _name(number: int, pictures: int) -> str:
    """Of a ninth of a style picture"""
    picture, ninth = divmod(number, 9)
    place = f"{_DOWN[ninth // 3]} {_ACROSS[ninth % 3]}"
    return place if pictures == 1 else f"picture {picture + 1}, {place}"


def _sentence(found: Found, shares: Sequence[Bar]) -> str:
    if not shares:
        return "These strokes resemble no place of the style picture more than any other."
    sure = float(found.confidence.mean())
    return (
        f"Likeness, not cause: {100 * shares[0].value:.0f} % of what can be told points to the {shares[0].name} of the "
        f"style picture, with a confidence of {sure:.2f} on average."
    )


def _certify(places: Reference, grid: _Grid, found: Found, seed: int) -> Generator[float, None, tuple[Check, ...]]:
    """B2: patches of the style picture are found where they are, under noise. B6: the answer for this very picture
    stays where it is when the picture is moved a little."""
    rng = np.random.default_rng([seed, 2])
    checks = [
        certificate.at_least("B2", f"planted patches found, noise {noise}", planted(places, noise, rng), bar)
        for noise, bar in zip(NOISE, FOUND, strict=True)
    ]
    some = rng.permutation(len(grid.rows))[:1024]
    moved = grid.small + rng.uniform(-RADIUS, RADIUS, grid.small.shape).astype(np.float32)
    few = replace(grid, small=moved, rows=grid.rows[some], columns=grid.columns[some])
    again = yield from _found(places, few.queries, 0.85, 1.0)
    before = Found(*(getattr(found, field.name)[some] for field in fields(Found)))
    stable = weighed(same(again, before), before.confidence)
    return (*checks, certificate.at_least("B6", f"stays when moved by {RADIUS}", stable, STABLE))


def planted(places: Reference, noise: float, rng: np.random.Generator, count: int = PLANTED) -> float:
    """Patches of the style pictures, drawn by chance from those that are looked through, under noise of `noise`
    deviations of their colours: the share that is found within one patch of where it is."""
    which = rng.integers(len(places.pictures), size=count)
    rows, columns = (
        STEP * rng.integers([(places.pictures[n].shape[axis] - PATCH) // STEP + 1 for n in which]) for axis in (1, 2)
    )
    crops = [
        places.pictures[n][:, row : row + PATCH, column : column + PATCH]
        for n, row, column in zip(which, rows, columns, strict=True)
    ]
    noisy = [crop + rng.normal(0, noise * places.deviation, crop.shape).astype(np.float32) for crop in crops]
    found = joined(list(places.find(np.stack([patches(crop, 1)[0, 0] for crop in noisy]))))
    truth = Found(which, rows + PATCH / 2, columns + PATCH / 2, np.ones(count))
    return float(same(found, truth).mean())


def same(found: Found, other: Found) -> np.ndarray:
    """(N,) bool: no further than one patch from each other, in the same picture."""
    near = [np.abs(getattr(found, axis) - getattr(other, axis)) <= PATCH for axis in ("row", "column")]
    return (found.picture == other.picture) & near[0] & near[1]


def weighed(hits: np.ndarray, confidence: np.ndarray) -> float:
    """The share of hits, each counted by its confidence; 0 where nothing is sure."""
    return float((hits * confidence).sum() / max(float(confidence.sum()), 1e-12))
