"""Makes the pictures of the guide that show what settings do, from the still life. Needs bpy.

python scenes/make_guide.py [--only NAME ...] [--render life.png] [--output docs/images]

With --render a picture that was rendered before is painted; where there is none it is rendered there.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(REPO / "docs")]

from shrink_pictures import shrink  # noqa: E402 (lies in docs/)

from engine import cli  # noqa: E402 (the engine lies beside this folder)
from engine.contact_sheet import Cell, Look, contact_sheet, font, save_jpeg  # noqa: E402
from engine.protocol import PictureSource, StyleShare, Stylized, StylizeRequest, StylizeSettings  # noqa: E402
from engine.stylize import stylize  # noqa: E402

STARRY, WHEAT = (StyleShare("Starry Night"),), (StyleShare("Wheat Field"),)
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "Strength": ({"strength": 0.3}, {"strength": 0.6}, {"strength": 1.0}),
    "Stroke Size": ({"stroke": 0.5}, {"stroke": 1.0}, {"stroke": 2.0}),
    "Forms": ({"follow": 0.0}, {"follow": 0.5}, {"follow": 1.0}),
    "Seed": ({"seed": 0}, {"seed": 1}, {"seed": 2}),
}
"""As the panel calls them, and the values that are shown of each"""
TERMINAL = (
    "styles",
    "stylize {render} --style 'Starry Night' --overlay Scale --out painted",
    "texture --style Fieldstone --size 512 --seed 1 2 --out textures",
)
"""Commands whose answers are short"""
COMPUTERS = ("anna: --frames 1-50", "bert: --frames 51-100", "carl: --frames 101-150", "dora: --frames 151-200")


@dataclass(frozen=True)
class Work:
    """What the pictures are made from."""

    render: Path
    scratch: Path

    def paint(self, picture: Path, **choice: Any) -> Path:
        """Where the result lies"""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        request = StylizeRequest(
            "guide",
            (PictureSource(picture.stem, str(picture)),),
            StylizeSettings(**{"styles": STARRY, "device": "cpu", **choice}),
            str(folder),
        )
        (result,) = [event for event in stylize(request) if isinstance(event, Stylized)]
        return Path(result.path)


def first_image(work: Work) -> Image.Image:
    """What it is about: a render, and its painting."""
    painted = work.paint(work.render)
    return contact_sheet([[Cell(work.render, "Rendered"), Cell(painted, "In Starry Night")]], look=Look(620, 349))


def settings(work: Work) -> Image.Image:
    """A row for each, on the part of the picture where it is seen best."""
    rows = [
        [Cell(part(work.paint(work.render, **choice)), f"{name} {next(iter(choice.values())):g}") for choice in values]
        for name, values in SETTINGS.items()
    ]
    return contact_sheet(rows, look=Look(400, 250))


def part(picture: Path) -> Image.Image:
    """The middle of it, in its own size"""
    with Image.open(picture) as opened:
        width, height = opened.size
        left, top = (width - 400) // 2, (height - 250) // 2
        return opened.convert("RGB").crop((left, top, left + 400, top + 250))


def tileable(work: Work) -> Image.Image:
    """Four times the same cloth beside each other, where the seams lie."""
    import numpy as np
    import textures

    cloth = Image.fromarray(np.rint(textures.tablecloth(320) * 255).astype(np.uint8))
    cloth.save(path := work.scratch / "cloth.png")
    painted = [four(Image.open(work.paint(path, styles=WHEAT, tileable=each))) for each in (False, True)]
    captions = ("The cloth", "Painted, Tileable off", "Painted, Tileable on")
    cells = [Cell(picture, name) for picture, name in zip([four(cloth), *painted], captions, strict=True)]
    return contact_sheet([cells], look=Look(400, 400))


def four(picture: Image.Image) -> Image.Image:
    """Where four copies meet"""
    width, height = picture.size
    sheet = Image.new("RGB", (2 * width, 2 * height))
    for x in (0, width):
        for y in (0, height):
            sheet.paste(picture, (x, y))
    return sheet.crop((width // 2, height // 2, width * 3 // 2, height * 3 // 2))


def terminal(work: Work) -> Image.Image:
    """What commands really say, drawn as a terminal shows it."""
    lines = []
    with contextlib.chdir(work.scratch):
        for command in TERMINAL:
            lines.append(f"$ pentimento {command.format(render=work.render.name)}")
            said = io.StringIO()
            words = command.format(render=str(work.render)).replace("'Starry Night'", "Starry_Night").split()
            with contextlib.redirect_stdout(said):
                assert cli.main([word.replace("Starry_Night", "Starry Night") for word in words]) == 0
            lines += [*said.getvalue().splitlines(), ""]
    return drawn(lines[:-1])


def drawn(lines: list[str]) -> Image.Image:
    """Light on dark, one line below the other"""
    letters, step = fixed_width(14), 20
    width = round(max(letters.getlength(line) for line in lines)) + 32
    sheet = Image.new("RGB", (width, step * len(lines) + 24), (30, 30, 30))
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        ink = (240, 200, 120) if line.startswith("$") else (215, 215, 215)
        pen.text((16, 12 + number * step), line, ink, letters)
    return sheet


def fixed_width(size: int) -> Any:
    """A terminal's columns stand below each other; Pillow brings no font of that kind."""
    try:
        return ImageFont.truetype("DejaVuSansMono.ttf", size)
    except OSError:
        return font(size)


def farm(work: Work) -> Image.Image:
    """Frames go to four computers, each with its own part; results come into one folder."""
    small = (200, 112)
    rendered, painted = (Image.open(path).resize(small) for path in (work.render, work.paint(work.render)))
    sheet = Image.new("RGB", (980, 400), (38, 38, 38))
    pen, letters, ink = ImageDraw.Draw(sheet), font(16), (225, 225, 225)
    for left, picture, name in ((40, rendered, "renders/shot_####.exr"), (740, painted, "painted/")):
        for back in (16, 8, 0):  # a pile of frames
            sheet.paste(picture, (left + back, 144 - back))
        pen.text((left, 270), name, ink, letters)
    for number, name in enumerate(COMPUTERS):
        top = 40 + number * 86
        pen.line([(260, 200), (350, top + 26)], (120, 120, 120), 2)
        pen.line([(630, top + 26), (735, 200)], (120, 120, 120), 2)
        pen.rounded_rectangle((350, top, 630, top + 54), 8, (66, 66, 66))
        pen.text((370, top + 17), name, ink, letters)
    return sheet


PICTURES: dict[str, Callable[[Work], Image.Image]] = {
    "first_image.jpg": first_image,
    "settings.jpg": settings,
    "tileable.jpg": tileable,
    "command_line.png": terminal,
    "farm.jpg": farm,
}


def main() -> None:
    chosen = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        work = Work((chosen.render or Path(scratch) / "life.png").resolve(), Path(scratch))
        if not work.render.exists():
            render(work.render)
        for name in chosen.only or PICTURES:
            path, picture = chosen.output / name, PICTURES[name](work)
            if path.suffix == ".jpg":
                save_jpeg(picture, path)
            else:
                picture.save(path)
            shrink(path)
            print(f"{path}: {path.stat().st_size // 1000} KB")


def render(path: Path) -> None:
    """As for the picture of all styles"""
    import make_pictures

    make_pictures.render(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the pictures of the guide.")
    parser.add_argument("--only", nargs="+", default=[], choices=PICTURES, metavar="NAME", help="default: all")
    parser.add_argument("--render", type=Path, help="PNG of the still life, 960 x 540")
    parser.add_argument("--output", type=Path, default=REPO / "docs" / "images")
    return parser.parse_args()


if __name__ == "__main__":
    main()
