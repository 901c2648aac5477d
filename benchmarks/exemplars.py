"""Exemplars of the project's own: procedural pictures that stand for a hand, as a painting does for a painter's.

    python -m benchmarks.exemplars --out FOLDER [--only NAME ...] [--seed N]

Each draws the landscape of scenery.py in one manner. Strokes are 6 to 14 pixels wide at the size drawn (1280x960), so
that they are whole strokes at the scale of training. Everything follows from the seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.scenery import (
    CLOUD,
    FAR,
    FIELD,
    HILL,
    LEAF,
    ROOF,
    SKY,
    STONE,
    SUN,
    TRUNK,
    WALL,
    WATER,
    Draw,
    Mask,
    Plane,
    Scene,
    blurred,
    landscape,
    noise,
)

SIZE = (1280, 960)
"""Width and height: with a strip held out and shrunk to 1024 it is as large as the paintings are while training."""
FINER = 2
"""Strokes are drawn this many times as large, for their edges."""
PACE = 4.0
"""Pixels from one point of a line to the next"""
SHARPEST = 0.85
"""Cosine of the sharpest turn from one point to the next: no hand draws a spiral three pixels wide."""
Colour = tuple[int, int, int]
Line = list[tuple[float, float]]
"""x and y of its points, PACE apart"""


# ---------------------------------------------------------------- lines that follow forms


@dataclass(frozen=True)
class Lines:
    """How lines lie beside each other. Lengths in pixels."""

    gap: float
    """Between neighbours"""
    longest: float
    shortest: float = 16.0
    turn: float = 0.0
    """Radians from the way of the form"""
    wobble: float = 0.06
    """Radians by which a hand strays"""


def evenly(scene: Scene, where: Mask, how: Lines, random: np.random.Generator) -> list[Line]:
    """Lines along the forms that fill `where`, none nearer to its neighbours than the gap.

    Jobard and Lefer, "Creating Evenly-Spaced Streamlines of Arbitrary Density", 1997: new lines begin beside old ones.
    A line ends where the thing does.
    """
    way = scene.way + how.turn + how.wobble * noise(scene.height, scene.width, 60, random)
    steps = np.stack([np.cos(way), np.sin(way)], -1) * PACE
    ground = np.where(where, scene.thing + 1, 0)
    taken = np.zeros((scene.height // 2 + 1, scene.width // 2 + 1), bool)
    found: list[Line] = []
    for start in _scattered(scene, how.gap, random):
        beside = [start]
        while beside:
            line = _line(beside.pop(), steps, ground, taken, how.longest * random.uniform(0.6, 1.2))
            if len(line) * PACE >= how.shortest:
                _take(line, taken, how.gap)
                found.append(line)
                beside += _neighbours(line, how.gap * 1.05)
    return found


def _scattered(scene: Scene, gap: float, random: np.random.Generator) -> list[tuple[float, float]]:
    rows, columns = np.mgrid[0 : scene.height : 2 * gap, 0 : scene.width : 2 * gap]
    places = np.stack([columns.ravel(), rows.ravel()], 1) + random.uniform(0, 2 * gap, (rows.size, 2))
    return [(float(x), float(y)) for x, y in random.permutation(places)]


def _line(start: tuple[float, float], steps: NDArray, ground: NDArray, taken: Mask, longest: float) -> Line:
    """Both ways from `start`, while the ground is the same and free."""
    height, width = ground.shape
    x, y = start
    if not (0 <= x < width and 0 <= y < height):
        return []
    own = ground[int(y), int(x)]
    if not own or taken[int(y) >> 1, int(x) >> 1]:
        return []
    halves: list[Line] = []
    for side in (1.0, -1.0):
        (x, y), half, (dx, dy) = start, [], steps[int(start[1]), int(start[0])] * side
        for _ in range(int(longest / 2 / PACE)):
            half.append((x, y))
            x, y = x + dx, y + dy
            if not (0 <= x < width and 0 <= y < height) or ground[int(y), int(x)] != own:
                break
            if taken[int(y) >> 1, int(x) >> 1]:
                break
            ahead = steps[int(y), int(x)]
            along = ahead[0] * dx + ahead[1] * dy
            if abs(along) < SHARPEST * PACE**2:
                break
            dx, dy = ahead if along > 0 else -ahead
        halves.append(half)
    return [*halves[1][:0:-1], *halves[0]]


def _take(line: Line, taken: Mask, gap: float) -> None:
    reach = max(1, int(gap * 0.42))
    for x, y in line:
        row, column = int(y) >> 1, int(x) >> 1
        taken[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = True


def _neighbours(line: Line, gap: float) -> Line:
    """Places beside a line's middle and quarters, on both sides."""
    places = []
    for index in (len(line) // 4, 3 * len(line) // 4, len(line) // 2):
        (x0, y0), (x1, y1) = line[max(0, index - 1)], line[min(len(line) - 1, index + 1)]
        long = hypot(x1 - x0, y1 - y0) or 1.0
        across = (-(y1 - y0) / long * gap, (x1 - x0) / long * gap)
        places += [(x0 + side * across[0], y0 + side * across[1]) for side in (1, -1)]
    return places


def stroke(draw: ImageDraw.ImageDraw, line: Line, widths: NDArray, fill: int | Colour) -> None:
    """A line as a shape of changing width, on a canvas FINER times as large."""
    if len(line) < 2:
        return
    points, half = np.array(line), widths[:, None] / 2
    along = np.gradient(points, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], 1) / (np.hypot(*along.T)[:, None] + 1e-6)
    outline = np.concatenate([points + across * half, (points - across * half)[::-1]]) * FINER
    draw.polygon([(float(x), float(y)) for x, y in outline], fill=fill)


def tapered(count: int, width: float, sharp: float, random: np.random.Generator) -> NDArray:
    """Widths of a stroke that swells and ends thin; `sharp` 0 is blunt, 1 is a needle."""
    along = np.linspace(0, 1, count)
    shape = np.minimum(1, np.sin(pi * np.clip(along, 0.02, 0.98)) * (3 - 2 * sharp)) ** (0.4 + sharp)
    return width * shape * (1 + 0.12 * np.sin(along * random.uniform(4, 9) + random.uniform(0, 6)))


def canvas(scene: Scene) -> Image.Image:
    return Image.new("L", (scene.width * FINER, scene.height * FINER), 0)


def covered(picture: Image.Image) -> Plane:
    """A canvas as a plane 0..1 in the scene's size."""
    small = picture.resize((picture.width // FINER, picture.height // FINER), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def outlines(scene: Scene, width: float, random: np.random.Generator) -> Plane:
    """0..1: lines where things meet, thicker and thinner as a pen is pressed."""
    edge = np.zeros_like(scene.light)
    for axis in (0, 1):
        edge += np.abs(np.diff(scene.thing, axis=axis, append=np.take(scene.thing, [-1], axis))) > 0
    soft = blurred(np.minimum(edge, 1), width / 3) * width / 2
    pressed = 0.3 + 0.12 * noise(scene.height, scene.width, 90, random)
    return np.clip((soft - pressed) * 6 + 0.5, 0, 1)


# ---------------------------------------------------------------- paper and ink


def paper(scene: Scene, colour: Colour, random: np.random.Generator, rough: float = 0.02) -> Plane:
    """(H, W, 3) 0..1: a sheet with grain and fibres."""
    height, width = scene.height, scene.width
    grain = blurred(random.normal(0, 1, (height, width)).astype(np.float32), 1) * 2.2
    sheet = 1 + rough * (grain + 0.6 * noise(height, width, 9, random) + 0.5 * noise(height, width, 160, random))
    return np.clip(np.array(colour, np.float32) / 255 * sheet[..., None], 0, 1)


def printed(sheet: Plane, ink: Colour, cover: Plane) -> Plane:
    """Opaque ink over a sheet (H, W, 3), where `cover` (H, W) says."""
    return sheet + (np.array(ink, np.float32) / 255 - sheet) * cover[..., None]


def glazed(sheet: Plane, ink: Colour, cover: Plane) -> Plane:
    """Transparent ink: what lies below shines through (colours multiply)."""
    return sheet * (1 - (1 - np.array(ink, np.float32) / 255) * cover[..., None])


def pixels(picture: Plane) -> NDArray[np.uint8]:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def table(colours: dict[int, Colour]) -> NDArray[np.float32]:
    """(12, 3) 0..1, by matter."""
    return np.array([colours[matter] for matter in range(12)], np.float32) / 255


# ---------------------------------------------------------------- 1. pen and ink


def hatching(scene: Scene, random: np.random.Generator) -> NDArray[np.uint8]:
    """Pen and brown-black ink: one layer of lines for each step into the dark, each across the last one."""
    ink = canvas(scene)
    draw = ImageDraw.Draw(ink)
    for below, turn, gap, width in ((0.86, 0.0, 13, 4), (0.58, 0.95, 12, 4.5), (0.36, -0.8, 11, 5), (0.18, 0.45, 8, 6)):
        soft = scene.light + 0.05 * noise(scene.height, scene.width, 30, random)
        for line in evenly(scene, soft < below, Lines(gap, 170, 22, turn), random):
            light = np.array([scene.light[int(y), int(x)] for x, y in line])
            pressed = np.clip(0.7 + 1.8 * (below - light), 0.6, 1.5)
            stroke(draw, line, tapered(len(line), width * random.uniform(0.8, 1.2), 0.35, random) * pressed, 255)
    cover = np.maximum(covered(ink), outlines(scene, 6, random))
    tooth = 0.93 + 0.07 * noise(scene.height, scene.width, 3, random)
    return pixels(printed(paper(scene, (243, 232, 208), random), (38, 28, 26), np.clip(cover * tooth, 0, 1)))


# ---------------------------------------------------------------- 2. linocut

CLEARED = 0.8
"""Light above which a block is cut away altogether"""


def linocut(scene: Scene, random: np.random.Generator) -> NDArray[np.uint8]:
    """A black block carved with a gouge along the forms, over a block of one colour with the lights cut away."""
    carved = canvas(scene)
    draw = ImageDraw.Draw(carved)
    for line in evenly(scene, scene.light > 0.1, Lines(15, 150, 20), random):
        light = np.array([scene.light[int(y), int(x)] for x, y in line])
        width = np.clip((light - 0.06) * 25, 1.5, 15)
        stroke(draw, line, tapered(len(line), 1.0, 0.25, random) * width, 255)
    rim = outlines(scene, 8, random)
    black = 1 - covered(carved)
    chatter = covered(_chatter(scene, random))
    black = np.where(scene.light > CLEARED, chatter, black)
    black = np.maximum(black, rim * (scene.light < 0.93))
    salt = 1.25 * noise(scene.height, scene.width, 3, random) + 0.9 * noise(scene.height, scene.width, 25, random)
    salt = np.clip(salt - 1.25, 0, 1)
    tint = np.isin(scene.matter, (SKY, WATER, ROOF, HILL, LEAF))
    sheet = paper(scene, (240, 229, 205), random)
    sheet = glazed(sheet, (226, 122, 72), 0.95 * tint * (1 - 0.7 * salt))
    return pixels(printed(sheet, (27, 24, 28), np.clip(black * (1 - 0.8 * salt), 0, 0.97)))


def _chatter(scene: Scene, random: np.random.Generator) -> Image.Image:
    """What a gouge leaves standing where all was cleared."""
    left = canvas(scene)
    draw = ImageDraw.Draw(left)
    for line in evenly(scene, scene.light > CLEARED, Lines(46, 60, 24), random):
        stroke(draw, line, tapered(len(line), 3.5, 0.8, random), 255)
    return left


# ---------------------------------------------------------------- 3. risograph


def risograph(scene: Scene, random: np.random.Generator) -> NDArray[np.uint8]:
    """Three inks through screens of round dots, each drum a little out of place."""
    inks: tuple[tuple[Colour, float, tuple[int, int]], ...] = (
        ((255, 214, 40), 0.0, (2, -1)), ((255, 92, 92), 1.31, (-2, 2)), ((22, 92, 150), 0.785, (0, 0)),
    )  # fmt: skip
    colours = _lit(scene, POSTER)
    yellow, red, blue = _separated(colours, [np.array(ink, np.float32) / 255 for ink, _, _ in inks])
    sheet = paper(scene, (246, 242, 230), random, 0.012)
    for amount, (ink, angle, (right, down)) in zip((yellow, red, blue), inks, strict=True):
        dots = np.roll(np.pad(halftone(amount, 12.5, angle), 2, mode="edge"), (down, right), (0, 1))[2:-2, 2:-2]
        grain = (
            0.9
            + 0.1 * noise(scene.height, scene.width, 2, random)
            + 0.06 * noise(scene.height, scene.width, 90, random)
        )
        sheet = glazed(sheet, ink, np.clip(dots * grain, 0, 1))
    return pixels(sheet)


def halftone(amount: Plane, pitch: float, angle: float) -> Plane:
    """0..1 -> dots whose area is that share, on a screen turned by `angle`; past a half they leave round holes."""
    rows, columns = np.indices(amount.shape, np.float32)
    u, v = columns * cos(angle) + rows * sin(angle), rows * cos(angle) - columns * sin(angle)
    wave = (np.cos(2 * pi * u / pitch) + np.cos(2 * pi * v / pitch)) / 2
    ranked = np.sort(wave[::7, ::7].ravel())
    limit = np.interp(1 - amount, np.linspace(0, 1, ranked.size), ranked)
    dots = np.clip((wave - limit) * pitch / 4 + 0.5, 0, 1)
    return np.where(amount < 0.04, 0, np.where(amount > 0.96, 1, dots)).astype(np.float32)


def _separated(colours: Plane, inks: Sequence[NDArray]) -> list[Plane]:
    """How much of each ink: least squares in densities, where inks add up, then the share a dot has to cover."""
    density = -np.log(np.clip(colours, 0.03, 1))
    mixing = np.stack([-np.log(np.clip(ink, 0.05, 1)) for ink in inks], 1)
    amounts = density @ np.linalg.pinv(mixing).T
    return [np.clip(amounts[..., index], 0, 1).astype(np.float32) for index in range(len(inks))]


# ---------------------------------------------------------------- 4. watercolour


def watercolour(scene: Scene, random: np.random.Generator) -> NDArray[np.uint8]:
    """Wet washes, light ones first, then dabs of the brush: pigment gathers at edges and in the grain of the paper."""
    height, width = scene.height, scene.width
    grain = blurred(random.normal(0, 1, (height, width)).astype(np.float32), 1) * 3 + 0.6 * noise(
        height, width, 6, random
    )
    pools = noise(height, width, 120, random) + 0.6 * noise(height, width, 40, random)
    sheet = paper(scene, (250, 246, 236), random, 0.012)
    loose = _shaken(scene, 4.0, random)
    colours = _running(table(WASHES)[loose.matter], random)
    tone = loose.light + 0.07 * noise(height, width, 80, random) + 0.04 * noise(height, width, 18, random)
    for below, strength in ((0.97, 0.42), (0.66, 0.5), (0.4, 0.62), (0.2, 0.8)):
        # A wet edge spreads, a dry one is sharp: the sky's and the water's are wet.
        wet = np.isin(loose.matter, (SKY, WATER, CLOUD))
        soft = np.where(wet, np.clip((below - tone) * 9 + 0.5, 0, 1), tone < below).astype(np.float32)
        sheet = _glazed_by(sheet, colours, strength * _wash(soft, loose, grain, pools))
    dabs = _dabs(scene, random)
    rim = np.clip(dabs - blurred(dabs, 3), 0, 1)
    drawn = pixels(_glazed_by(sheet, colours * 0.9, dabs * (0.3 + 0.1 * grain) + 0.5 * rim))
    return np.asarray(Image.fromarray(drawn).filter(ImageFilter.GaussianBlur(0.8)))


def _glazed_by(sheet: Plane, colours: Plane, amount: Plane) -> Plane:
    """Thicker pigment is darker and fuller: light goes through it twice."""
    return sheet * np.clip(colours, 0.02, 1) ** np.clip(amount, 0, 2.5)[..., None]


def _wash(soft: Plane, scene: Scene, grain: Plane, pools: Plane) -> Plane:
    """How much pigment lies where: more at the edge, where it dried last; in pools; in the paper's pits. Between two
    things a brush leaves a little paper."""
    area = np.where(soft > 0.5, scene.matter.astype(np.int32) + 1, 0)
    border = np.zeros_like(soft)
    for axis in (0, 1):
        border += np.diff(area, axis=axis, append=np.take(area, [-1], axis)) != 0
    near, far = blurred(np.minimum(border, 1), 1) * 3, blurred(np.minimum(border, 1), 5) * 10
    amount = soft * (0.6 + 0.55 * np.clip(far, 0, 1) + 0.28 * pools + 0.1 * grain)
    left = np.clip(near - 0.4, 0, 1) * (pools > 0.45)
    return amount * (1 - 0.75 * left)


def _running(colours: Plane, random: np.random.Generator) -> Plane:
    """Where it was wet enough neighbouring colours run into each other; no wash has one hue throughout."""
    height, width = colours.shape[:2]
    ran = np.stack([blurred(colours[..., channel], 16) for channel in range(3)], -1)
    wet = np.clip(noise(height, width, 150, random) * 2, 0, 1)[..., None]
    hues = 0.05 * np.stack([noise(height, width, 130, random) for _ in range(3)], -1)
    return np.clip(colours + (ran - colours) * wet + hues, 0.02, 1)


def _dabs(scene: Scene, random: np.random.Generator) -> Plane:
    """0..1: single touches of a round brush in what is not light."""
    touched = canvas(scene)
    draw = ImageDraw.Draw(touched)
    free = (scene.light < 0.62) & (scene.matter != SKY)
    for line in evenly(scene, free, Lines(19, 60, 18, 0.0, 0.35), random):
        if random.random() < 0.6:
            stroke(draw, line, tapered(len(line), random.uniform(7, 13), 0.5, random), int(random.uniform(140, 255)))
    return covered(touched)


def _shaken(scene: Scene, far: float, random: np.random.Generator) -> Scene:
    """The scene as a loose brush sees it: every edge runs a little beside its place."""
    rows, columns = np.indices(scene.light.shape)
    y, x = (np.clip(p + _astray(scene, far, random), 0, p.max()) for p in (rows, columns))
    loose = Scene(scene.height, scene.width)
    loose.light, loose.matter, loose.thing, loose.way = (
        p[y, x] for p in (scene.light, scene.matter, scene.thing, scene.way)
    )
    return loose


def _astray(scene: Scene, far: float, random: np.random.Generator) -> NDArray[np.int64]:
    wide, narrow = (noise(scene.height, scene.width, grain, random) for grain in (45, 14))
    return np.rint(far * (wide + 0.5 * narrow)).astype(np.int64)


# ---------------------------------------------------------------- 5. pastel


def pastel(scene: Scene, random: np.random.Generator) -> NDArray[np.uint8]:
    """Chalk on dark paper, whose tooth breaks every stroke: first its broad side, then lines, the lightest last."""
    height, width = scene.height, scene.width
    sheet = paper(scene, (36, 38, 50), random, 0.05)
    colours = _lit(scene, CHALKS)
    tooth = blurred(random.normal(0, 1, (height, width)).astype(np.float32), 1) * 2.6 + 0.4 * noise(
        height, width, 6, random
    )
    rubbed = np.clip((0.5 + 0.5 * tooth + 0.3 * noise(height, width, 60, random)) * 1.2, 0, 1)
    sheet += (colours - sheet) * (0.55 * rubbed * np.clip(scene.light * 6 - 0.2, 0, 1))[..., None]
    for gap, wide, above, press in ((11, 14, 0.1, 0.6), (12, 12, 0.34, 0.7), (15, 10, 0.6, 0.85)):
        lines = evenly(scene, scene.light > above, Lines(gap, 140, 20, random.normal(0, 0.15), 0.2), random)
        chalk, cover = Image.new("RGB", (width * FINER, height * FINER)), canvas(scene)
        draw, mask = ImageDraw.Draw(chalk), ImageDraw.Draw(cover)
        for line in lines:
            x, y = line[len(line) // 2]
            tint = np.clip(colours[int(y), int(x)] * 255 + random.normal(0, 10) + random.normal(0, 12, 3), 0, 255)
            widths = tapered(len(line), wide * random.uniform(0.7, 1.2), 0.1, random)
            stroke(draw, line, widths + 3, (int(tint[0]), int(tint[1]), int(tint[2])))
            stroke(mask, line, widths, int(random.uniform(130, 255)))
        laid = np.clip((covered(cover) * (1 + press) - 0.7 + 0.42 * tooth) * 1.6, 0, 1)
        colour = np.asarray(chalk.resize((width, height), Image.Resampling.BOX), np.float32) / 255
        sheet += (colour - sheet) * laid[..., None] * 0.93
    return pixels(sheet)


# ---------------------------------------------------------------- colours


def _lit(scene: Scene, colours: dict[int, tuple[Colour, Colour]]) -> Plane:
    """(H, W, 3) 0..1: from the colour of a matter in the shade to its colour in the light."""
    dark, light = (table({matter: pair[side] for matter, pair in colours.items()})[scene.matter] for side in (0, 1))
    return dark + (light - dark) * np.clip(scene.light, 0, 1)[..., None]


POSTER: dict[int, tuple[Colour, Colour]] = {
    SKY: ((40, 110, 170), (252, 214, 190)), SUN: ((255, 120, 90), (255, 100, 92)),
    CLOUD: ((120, 160, 200), (255, 252, 240)), FAR: ((36, 70, 130), (240, 150, 150)),
    HILL: ((24, 84, 110), (246, 214, 90)), FIELD: ((30, 80, 110), (252, 190, 100)),
    LEAF: ((14, 50, 96), (150, 190, 90)), TRUNK: ((20, 40, 80), (190, 110, 80)),
    WALL: ((80, 96, 140), (255, 244, 214)), ROOF: ((120, 40, 70), (255, 110, 80)),
    WATER: ((24, 84, 140), (220, 240, 236)), STONE: ((40, 40, 90), (252, 224, 200)),
}  # fmt: skip
WASHES: dict[int, Colour] = {
    SKY: (88, 140, 196), SUN: (250, 206, 90), CLOUD: (150, 160, 190), FAR: (118, 122, 176), HILL: (142, 168, 84),
    FIELD: (206, 178, 84), LEAF: (66, 116, 82), TRUNK: (92, 66, 62), WALL: (214, 176, 140), ROOF: (196, 92, 70),
    WATER: (80, 150, 176), STONE: (140, 120, 130),
}  # fmt: skip
CHALKS: dict[int, tuple[Colour, Colour]] = {
    SKY: ((44, 66, 130), (248, 178, 132)), SUN: ((255, 200, 90), (255, 232, 150)),
    CLOUD: ((110, 96, 150), (255, 232, 214)), FAR: ((62, 58, 128), (214, 140, 168)),
    HILL: ((30, 86, 92), (206, 206, 96)), FIELD: ((92, 74, 52), (246, 196, 92)),
    LEAF: ((20, 66, 72), (146, 196, 92)), TRUNK: ((62, 40, 48), (180, 110, 80)),
    WALL: ((96, 84, 132), (255, 240, 206)), ROOF: ((112, 44, 62), (238, 110, 74)),
    WATER: ((26, 88, 124), (190, 232, 220)), STONE: ((70, 62, 96), (238, 206, 178)),
}  # fmt: skip


EXEMPLARS: dict[str, Draw] = {
    "hatching": hatching, "linocut": linocut, "risograph": risograph, "watercolour": watercolour, "pastel": pastel,
}  # fmt: skip


def exemplar(name: str, size: tuple[int, int] = SIZE, seed: int = 0) -> Image.Image:
    """The picture of that name (a key of EXEMPLARS), `size` its width and height."""
    drawn = EXEMPLARS[name](landscape(*size, seed), np.random.default_rng(seed))
    return Image.fromarray(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], choices=[*EXEMPLARS], metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or EXEMPLARS:
        exemplar(name, seed=arguments.seed).save(arguments.out / f"{name}.png")


if __name__ == "__main__":
    main()
