"""Makes the picture at the top of README.md from the still life and the styles that ship. Needs bpy.

python scenes/make_pictures.py [--styles DIR] [--output docs/images/overview.jpg]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import bpy
import still_life

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from engine import style_pack  # noqa: E402 (the engine lies beside this folder)
from engine.contact_sheet import Cell, Look, contact_sheet, save_jpeg  # noqa: E402
from engine.protocol import PictureSource, StyleInfo, StyleShare, Stylized, StylizeRequest, StylizeSettings  # noqa: E402
from engine.stylize import stylize  # noqa: E402

SHOOT = still_life.Shoot(width=960, height=540, samples=48, frames=1)
LOOK = Look(width=620, height=349, text=18)
COLUMNS = 2


def main() -> None:
    arguments = _arguments()
    shipped = REPO / "engine" / "styles"
    folder = arguments.styles or shipped
    infos = [style for style in style_pack.installed([folder]) if style.makes == "pictures"]
    styles = [style for style in infos if Path(style.folder).parent == folder.resolve() and not style.problem]
    with tempfile.TemporaryDirectory() as scratch:
        picture = render(Path(scratch) / "render.png")
        cells = [Cell(picture, "As rendered"), *(Cell(paint(picture, style), style.name) for style in styles)]
        rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
        save_jpeg(contact_sheet(rows, look=LOOK), arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.2f} MB, {len(styles)} styles")


def render(path: Path) -> Path:
    scene = still_life.build(SHOOT)
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return path


def paint(picture: Path, style: StyleInfo) -> Path:
    source = PictureSource(name=f"{picture.stem}", path=str(picture))
    request = StylizeRequest("pictures", (source,), StylizeSettings((StyleShare(style.folder),)), str(picture.parent))
    (done,) = (event for event in stylize(request) if isinstance(event, Stylized))
    return Path(done.path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the picture of README.md.")
    parser.add_argument("--styles", type=Path, default=None, help="a folder of styles (default: those that ship)")
    parser.add_argument("--output", type=Path, default=REPO / "docs" / "images" / "overview.jpg")
    return parser.parse_args()


if __name__ == "__main__":
    main()
