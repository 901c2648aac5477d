"""Makes the sample frames that ship with the engine, from the still life. Needs bpy.

    python scenes/make_samples.py

Two small frames with every pass, in Blender 4.x's layout (one part), as little as they can be: halves, data rounded to
what a pixel can show, ZIP. Rendered again only when the scene changes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import still_life

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from engine.exr import ExrLayer, write_exr  # noqa: E402 (the engine lies beside this folder)
from engine.passes import Passes, read_passes  # noqa: E402

SHOOT = still_life.Shoot(width=320, height=180, samples=32, frames=2)
STEP = {"DiffCol": 1 / 512, "Normal": 1 / 128, "Vector": 1 / 32, "Position": 1 / 64, "UV": 1 / 256}
"""Passes are rounded to this; the rest of their digits is noise that does not compress."""
LEFT_OUT = ("Noisy Image",)


def main() -> None:
    scene = still_life.build(SHOOT)
    scene.view_layers[0].pass_cryptomatte_depth = 2
    target = REPO / "engine" / "samples"
    target.mkdir(exist_ok=True)
    for frame in range(1, SHOOT.frames + 1):
        scene.frame_set(frame)
        with tempfile.TemporaryDirectory() as folder:
            passes = render(scene, Path(folder) / "frame.exr")
        path = target / f"still_life_{frame:04d}.exr"
        write_exr(path, [small(passes, name) for name in passes if name not in LEFT_OUT], lasting(passes.file.header))
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


def render(scene: Any, path: Path) -> Passes:
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):  # Blender 5.0 on
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR_MULTILAYER", "32", "ZIP"
    scene.render.filepath, scene.render.use_file_extension = str(path), False
    bpy.ops.render.render(write_still=True)
    return read_passes(path)


def small(passes: Passes, name: str) -> ExrLayer:
    """A pass under its 4.x name, in the smallest type that keeps its meaning."""
    planes = {channel: _smaller(name, plane) for channel, plane in passes.layer(name).planes.items()}
    return ExrLayer(f"{passes.view_layer}.{name}", planes)


def _smaller(name: str, plane: Any) -> Any:
    if name.startswith("Crypto"):
        return plane  # every bit of an id counts
    if name == "Depth":
        # Stays 32-bit: the sky's 1e10 is more than a half can hold. The digits of a half are enough.
        return (np.ascontiguousarray(plane).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
    step = STEP.get(name, 0)
    return (np.rint(plane / step) * step if step else plane).astype(np.float16)


def lasting(header: dict[str, Any]) -> dict[str, Any]:
    """What the header says about the picture; not when, where and how fast it was made."""
    return {key: value for key, value in header.items() if key.startswith(("cryptomatte/", "Software", "xDensity"))}


if __name__ == "__main__":
    main()
