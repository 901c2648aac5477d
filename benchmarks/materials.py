"""Materials of the project's own: procedural exemplars for textures, and pieces of paintings that are one material.

    python -m benchmarks.materials --out FOLDER [--seed N]

Stone and terrazzo tile. Everything follows from the seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float64]
"""(S, S), wraps around"""
SIDE = 512


# ---------------------------------------------------------------- on a torus


def clouds(grain: float, random: np.random.Generator, side: int = SIDE) -> Plane:
    """Smooth noise of mean 0 and deviation 1; its blobs are some `grain` pixels wide."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    made = np.fft.ifft2(np.fft.fft2(random.normal(0, 1, (side, side))) * np.exp(-((frequency * grain * 2) ** 2))).real
    plane: Plane = (made - made.mean()) / made.std()
    return plane


def scattered(across: int, random: np.random.Generator, stray: float = 0.75) -> NDArray[np.float64]:
    """(N, 2) places 0..1, one in each cell of a grid, every other row half a cell on: none too near to the next."""
    rows, columns = np.mgrid[0:across, 0:across]
    places = np.stack([rows.ravel() + 0.5, columns.ravel() + 0.5 + 0.5 * (rows.ravel() % 2)], 1)
    strayed: NDArray[np.float64] = ((places + random.uniform(-stray / 2, stray / 2, places.shape)) / across) % 1
    return strayed


def cells(places: NDArray[np.float64], bent: tuple[Plane, Plane]) -> tuple[NDArray[np.int64], Plane, Plane]:
    """Of each pixel, `bent` pixels beside its own place: whose cell it lies in, how far it is to that cell's place, and
    to the next one's. Distances in pixels (Worley, "A Cellular Texture Basis Function", 1996)."""
    reach = 1.5 * bent[0].shape[0] / len(places) ** 0.5
    while True:
        found = _cells(places, bent, reach)
        if found[2].max() <= reach:  # no place farther away could have been nearer
            return found
        reach *= 1.5


def _cells(
    places: NDArray[np.float64], bent: tuple[Plane, Plane], reach: float
) -> tuple[NDArray[np.int64], Plane, Plane]:
    """The same where each place is looked for within `reach` pixels only."""
    side = bent[0].shape[0]
    y, x = (plane + offset for plane, offset in zip(np.indices(bent[0].shape), bent, strict=True))
    nearest, second, whose = np.full((side, side), np.inf), np.full((side, side), np.inf), np.zeros((side, side), int)
    away = [reach + float(np.abs(offset).max()) for offset in bent]
    for index, (row, column) in enumerate(places * side):
        here = np.ix_(_around(row, away[0], side), _around(column, away[1], side))
        down, right = ((plane + side / 2) % side - side / 2 for plane in (y[here] - row, x[here] - column))
        far, before = np.hypot(down, right), nearest[here]
        second[here] = np.minimum(second[here], np.maximum(far, before))
        whose[here] = np.where(far < before, index, whose[here])
        nearest[here] = np.minimum(far, before)
    return whose, nearest, second


def _around(place: float, away: float, side: int) -> NDArray[np.int64]:
    """Positions of an axis that goes around, each once."""
    first, last = int(np.floor(place - away)), int(np.ceil(place + away))
    return np.arange(side) if last - first + 1 >= side else np.arange(first, last + 1) % side


def lit(height: Plane, strength: float) -> Plane:
    """Light from above and left on a relief: around 0, brighter where it faces the light."""
    down, right = ((np.roll(height, -1, axis) - np.roll(height, 1, axis)) / 2 for axis in (0, 1))
    slope: Plane = -(down + right) * strength
    return slope / np.sqrt(1 + down**2 + right**2)


def pixels(picture: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


# ---------------------------------------------------------------- materials

STONES = np.array([[128, 122, 112], [152, 142, 124], [108, 106, 104], [142, 122, 102], [120, 124, 118]]) / 255
MORTAR, MOSS = np.array([62, 58, 50]) / 255, np.array([72, 84, 44]) / 255


def fieldstone(seed: int = 0) -> NDArray[np.uint8]:
    """(S, S, 3): a dry wall of rounded stones, 50 pixels wide, with moss in some of the joints."""
    random = np.random.default_rng(seed)
    bent = (5 * clouds(46, random) + 1.6 * clouds(12, random), 5 * clouds(46, random) + 1.6 * clouds(12, random))
    whose, nearest, second = cells(scattered(10, random), bent)
    inside = np.clip((second - nearest - 2.0) / 11, 0, 1)
    relief = np.sqrt(1 - (1 - inside) ** 2) * 6 + 0.5 * clouds(9, random) * inside + 0.22 * clouds(3, random)
    colour = STONES[random.integers(len(STONES), size=100)] * random.uniform(0.82, 1.14, (100, 1))
    grain = 1 + 0.05 * clouds(30, random) + 0.045 * clouds(5, random) + 0.03 * clouds(2, random)
    stone = colour[whose] * grain[..., None]
    joint = MORTAR + (MOSS - MORTAR) * np.clip(clouds(60, random) + 0.3, 0, 1)[..., None]
    joint = joint * (1 + 0.14 * clouds(3, random))[..., None]
    covered = np.clip((inside - 0.03) * 9, 0, 1)[..., None]
    shade = 0.55 + 0.45 * np.clip(inside * 2.2, 0, 1) + 0.22 * lit(relief, 1.0)
    return pixels((joint + (stone - joint) * covered) * shade[..., None])


CHIPS = np.array([[198, 92, 66], [44, 74, 96], [226, 168, 92], [112, 132, 112], [244, 238, 226], [70, 62, 66]]) / 255
GROUND = np.array([228, 218, 204]) / 255


def terrazzo(seed: int = 0) -> NDArray[np.uint8]:
    """(S, S, 3): chips of stone in light cement, three sizes, up to 45 pixels wide; polished flat."""
    random = np.random.default_rng(seed)
    picture = GROUND * (1 + 0.012 * clouds(40, random) + 0.018 * clouds(2, random))[..., None]
    for across, share, least in ((30, 0.5, 3.5), (18, 0.5, 5.0), (9, 0.75, 9.0)):
        bent = (2.0 * clouds(9, random), 2.0 * clouds(9, random))
        whose, nearest, second = cells(scattered(across, random), bent)
        count = across * across
        gap = np.where(random.random(count) < share, random.uniform(least, 3 * least, count), np.inf)
        chip = np.clip(second - nearest - gap[whose] + 0.5, 0, 1)[..., None]
        colour = CHIPS[random.integers(len(CHIPS), size=count)] * random.uniform(0.9, 1.08, (count, 1))
        veined = 1 + 0.05 * clouds(14, random) + 0.03 * clouds(3, random)
        picture = picture + (colour[whose] * veined[..., None] - picture) * chip
    return pixels(picture)


MATERIALS = {"fieldstone": fieldstone, "terrazzo": terrazzo}


# ---------------------------------------------------------------- pieces of paintings

SKIES = ((368, 0, 664, 272), (560, 158, 812, 345))
"""Of The Starry Night, 1024 pixels wide: left, top, right and bottom of two whirls between stars and hills"""
LARGER = 1.75
"""Its strokes are 3 pixels wide there, finer than the noise of a texture can tell: a mesh came out."""


def night_sky(painting: Image.Image) -> list[Image.Image]:
    """Starry Night's sky without a star, in two pieces, LARGER than in a painting 1024 pixels wide."""
    painting = painting.convert("RGB")
    scale = painting.width / 1024
    pieces = []
    for left, top, right, bottom in SKIES:
        size = round((right - left) * LARGER), round((bottom - top) * LARGER)
        box = left * scale, top * scale, right * scale, bottom * scale
        pieces.append(painting.resize(size, Image.Resampling.LANCZOS, box))
    return pieces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, draw in MATERIALS.items():
        Image.fromarray(draw(arguments.seed)).save(arguments.out / f"{name}.png")


if __name__ == "__main__":
    main()
