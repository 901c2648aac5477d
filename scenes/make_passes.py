"""Makes the picture of docs/passes.md: the still life with one pass of it painted. Needs bpy.

python scenes/make_passes.py [--render life.exr] [--output docs/images/passes.jpg]

With --render an EXR that was rendered before is painted; where there is none it is rendered there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import still_life

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from engine.contact_sheet import Cell, Look, contact_sheet, save_jpeg  # noqa: E402 (the engine lies beside this folder)
from engine.protocol import PictureSource, StyleShare, Stylized, StylizeRequest, StylizeSettings  # noqa: E402
from engine.stylize import stylize  # noqa: E402

SHOOT = still_life.Shoot(width=640, height=360, samples=64, frames=1)
LOOK = Look(width=500, height=281, text=16)
FAMILIES = ("diffuse", "glossy", "transmission")
LIGHTS = [f"{family}_{kind}" for family in FAMILIES for kind in ("direct", "indirect", "color")]
WHEAT, STARRY = StyleShare("Wheat Field"), StyleShare("Starry Night")
JUG = tuple(StyleShare("Starry Night", matte=name) for name in ("Jug", "Handle"))
PAINTED: dict[str, dict[str, Any]] = {
    "Combined in Wheat Field": {"styles": (WHEAT,)},
    "Diffuse Color in Wheat Field": {"styles": (WHEAT,), "painted_pass": "DiffCol"},
    "The same, the jug in Starry Night": {"styles": (WHEAT, *JUG), "painted_pass": "DiffCol"},
    "Diffuse Color in Starry Night": {"styles": (STARRY,), "painted_pass": "DiffCol"},
    "Environment in Wheat Field": {"styles": (WHEAT,), "painted_pass": "Env"},
}


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        path = arguments.render or Path(scratch) / "life.exr"
        if not path.exists():
            render(path)
        shown = {"As rendered": {"styles": (WHEAT,), "strength": 0.0}, **PAINTED}
        cells = [Cell(paint(path, Path(scratch), **choice), name) for name, choice in shown.items()]
        save_jpeg(contact_sheet([cells[:2], cells[2:4], cells[4:]], look=LOOK), arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.2f} MB")


def render(path: Path) -> None:
    """With every pass that Combined is made of"""
    import bpy

    scene: Any = still_life.build(SHOOT)
    layer = scene.view_layers[0]
    for name in (*LIGHTS, "emit", "environment"):
        setattr(layer, f"use_pass_{name}", True)
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):  # Blender 5.0 on
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR_MULTILAYER", "16", "ZIP"
    scene.frame_set(1)
    scene.render.filepath, scene.render.use_file_extension = str(path.resolve()), False
    bpy.ops.render.render(write_still=True)


def paint(path: Path, folder: Path, **choice: Any) -> Path:
    """The preview of the result"""
    settings = StylizeSettings(seed=3, device="cpu", **choice)
    request = StylizeRequest("passes", (PictureSource(path.stem, str(path)),), settings, str(folder))
    (result,) = [event for event in stylize(request) if isinstance(event, Stylized)]
    return Path(result.path).with_suffix(".png")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--render", type=Path, help="multilayer EXR")
    parser.add_argument("--output", type=Path, default=REPO / "docs" / "images" / "passes.jpg")
    return parser.parse_args()


if __name__ == "__main__":
    main()
