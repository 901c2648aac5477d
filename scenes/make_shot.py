"""Renders a run of frames of the still life, with every pass by which strokes can stick. Needs bpy.

python scenes/make_shot.py --output FOLDER [--frames 12]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import bpy
import still_life
from make_samples import render


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--output", type=Path, required=True, help="folder for life_0001.exr, life_0002.exr, ...")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--width", type=int, default=640)
    arguments = parser.parse_args()
    size = {"width": arguments.width, "height": arguments.width * 9 // 16}
    scene: Any = still_life.build(still_life.Shoot(**size, samples=16, frames=arguments.frames))
    arguments.output.mkdir(parents=True, exist_ok=True)
    for frame in range(1, arguments.frames + 1):
        path = arguments.output.resolve() / f"life_{frame:04d}.exr"
        if not path.exists():  # a run that was ended goes on
            scene.frame_set(frame)
            render(scene, path)
            print(path.name, bpy.app.version_string, flush=True)


if __name__ == "__main__":
    main()
