"""The main job in real Blender: install the add-on's zip, render the still life, press its buttons. Needs bpy.

    python scenes/press_buttons.py --zip ADDON.zip --folder DIR --style NAME [--style NAME ...] [--frames 2]

Started by `pentimento demo` with BLENDER_USER_RESOURCES set to a private profile. Renders and results appear in
DIR/pentimento beside the saved DIR/still_life.blend, where the add-on puts them; DIR/pressed.json says what was
pressed. Lines on stdout that start with `STAGE` are for the progress bar.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import still_life

OPERATORS: Any = bpy.ops
"""Those of add-ons are known to no stub."""


def main() -> int:
    arguments = _arguments()
    steps = 2 + arguments.frames + len(arguments.style)
    stage = _Stages(steps)
    stage("Building the scene")
    shoot = still_life.Shoot(arguments.width, arguments.height, arguments.samples, arguments.frames)
    scene = still_life.build(shoot)
    stage("Installing the add-on")
    install(arguments.zip, arguments.styles)
    bpy.ops.wm.save_as_mainfile(filepath=str(arguments.folder / "still_life.blend"))
    pressed = [*press_for_frames(scene, arguments, stage), *press_for_texture(scene, arguments.style[0], stage)]
    answer = {"blender": bpy.app.version_string, "pressed": pressed, "texture": save_texture(arguments.folder)}
    (arguments.folder / "pressed.json").write_text(json.dumps(answer), encoding="utf-8")
    bpy.ops.wm.save_as_mainfile(filepath=str(arguments.folder / "still_life.blend"))
    return 0


def install(path: Path, styles: Path | None) -> None:
    """The zip as an artist installs it. `styles`: a folder of styles of the user's own."""
    OPERATORS.extensions.package_install_files(filepath=str(path), repo="user_default", enable_on_install=True)
    context: Any = bpy.context
    preferences = context.preferences.addons["bl_ext.user_default.pentimento"].preferences
    if styles:
        preferences.styles_folder = str(styles)


def press_for_frames(scene: Any, arguments: argparse.Namespace, stage: Callable[[str], None]) -> list[dict[str, Any]]:
    """Stylize Render for every frame in the first style, then the first frame's render again in the other styles."""
    pressed = []
    settings = scene.pentimento
    settings.overlays = {"Scale", "Removal"}
    for frame in range(1, arguments.frames + 1):
        stage(f"Rendering and painting frame {frame}")
        scene.frame_set(frame)
        settings.style = arguments.style[0]
        pressed.append(press(scene, "stylize_render"))
    settings.overlays = {"Scale"}
    scene.frame_set(1)
    render = arguments.folder / "pentimento" / "still_life_0001.exr"
    for style in arguments.style[1:]:
        stage(f"Painting frame 1 as {style}")
        settings.style = style
        pressed.append(press(scene, "stylize_render", filepath=str(render)))
    return pressed


def press_for_texture(scene: Any, style: str, stage: Callable[[str], None]) -> list[dict[str, Any]]:
    """Stylize Image on the tablecloth's texture, tileable, wired into its material."""
    stage("Painting the tablecloth")
    settings = scene.pentimento
    settings.style, settings.tileable, settings.overlays = style, "ON", {"Scale"}
    context: Any = bpy.context
    context.view_layer.objects.active = bpy.data.objects["Cloth"]
    return [press(scene, "stylize_image", image=still_life.TEXTURE)]


def press(scene: Any, operator: str, **choices: str) -> dict[str, Any]:
    """Press a button as a script does; raises RuntimeError with the add-on's words where it fails."""
    before = set(bpy.data.images.keys())
    started = time.perf_counter()
    answer = getattr(OPERATORS.pentimento, operator)(**choices)
    return {
        "operator": f"pentimento.{operator}",
        "answer": sorted(answer),
        "frame": scene.frame_current,
        "style": scene.pentimento.style,
        "images": sorted(set(bpy.data.images.keys()) - before),
        "seconds": round(time.perf_counter() - started, 2),
    }


def save_texture(folder: Path) -> dict[str, str]:
    """The tablecloth and what became of it as PNG files, to be looked at outside Blender."""
    images: Any = bpy.data.images
    painted = next(
        image for image in images if image.get("pentimento_source") == still_life.TEXTURE and not image.is_float
    )
    saved = {"before": images[still_life.TEXTURE], "after": painted}
    for name, image in saved.items():
        image.save(filepath=str(folder / f"texture_{name}.png"))
    return {name: f"texture_{name}.png" for name in saved}


class _Stages:
    """Tells whoever started this how far it is."""

    def __init__(self, count: int) -> None:
        self.count, self.done = count, 0

    def __call__(self, text: str) -> None:
        print(f"STAGE {self.done / self.count:.3f} {text}", flush=True)
        self.done += 1


def _arguments() -> argparse.Namespace:
    shoot = still_life.Shoot()
    parser = argparse.ArgumentParser(description="Install the add-on and press its buttons.")
    parser.add_argument("--zip", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--style", action="append", required=True)
    parser.add_argument("--styles", type=Path, default=None, help="a folder of styles beside those in the zip")
    parser.add_argument("--frames", type=int, default=shoot.frames)
    parser.add_argument("--width", type=int, default=shoot.width)
    parser.add_argument("--height", type=int, default=shoot.height)
    parser.add_argument("--samples", type=int, default=shoot.samples)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
