"""How long Match Display takes, there and back, and how true the way back is, under view transforms of Blender's.

    python -m benchmarks.view --shared FOLDER [--style NAME] [--before REVISION] [--rounds 5]

The add-on, installed in a fresh profile, hands over Blender's own tables. Four renders side by side, made scene-linear,
are painted by the style as each view transform shows them. One thread then encodes the light and decodes the painting,
in slices of rows as a job does. Seconds are the processor's own: other work on the machine costs less of them than of
the clock's. With --before, engine/view.py of that revision takes turns with ours. Writes results/view_<machine>.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import engine.view
from engine import style_pack
from engine.canvas import ROWS, ArrayCanvas
from engine.files import open_picture, whole
from engine.runtime import Paint, Session, painted
from engine.view import TOLERANCE

from . import machine
from .addon_start import INSTALL, PACKAGE, build_addon, in_blender

Floats = NDArray[np.float32]
Table = tuple[NDArray[np.uint16], list[float]]

REPO = Path(__file__).resolve().parent.parent
VIEWS = ("AgX", "Filmic", "Khronos PBR Neutral")
RENDERS = ("0083_city.jpg", "0085_figure.jpg", "0090_night.jpg", "0093_stilllife.jpg")
"""Held out of the training of the shipped styles"""
LAMP = 8
"""A white pixel of a render counts as so much above white: renders have lamps, JPEG files have none."""
ROUNDING = 1e-3 / 255
"""What single precision adds to the tolerance of a colour that was found"""

TABLES = f"""
import json, pathlib, sys, bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.preferences.addon_enable(module="{PACKAGE}")
scene, gather_view = bpy.context.scene, sys.modules["{PACKAGE}.scene_io"].gather_view
for name in {VIEWS}:
    folder = pathlib.Path(sys.argv[1], name)
    folder.mkdir()
    scene.view_settings.view_transform = name
    (folder / "values.json").write_text(json.dumps(gather_view(scene, str(folder)).values))
"""


def main() -> int:
    arguments = _arguments()
    light = load_light(arguments.shared / "content" / "renders")
    session = Session(style_pack.find(arguments.style), "cpu")
    modules = {"now": engine.view}
    if arguments.before:
        modules["before"] = module_of(arguments.before)
    with tempfile.TemporaryDirectory() as folder:
        tables = load_tables(Path(folder))
    views = {name: measure(table, light, session, modules, arguments.rounds) for name, table in tables.items()}
    _print(views)
    numbers = {"style": arguments.style, "megapixels": _megapixels(light), "before": arguments.before, "views": views}
    print(f"Written: {machine.write('view', numbers).relative_to(REPO)}")
    return 0


def measure(
    table: Table, light: Floats, session: Session, modules: dict[str, ModuleType], rounds: int
) -> dict[str, Any]:
    """By module: seconds to build, seconds per megapixel and thread there and back, and how true the way back is."""
    judge = engine.view.View(*table, "")
    painting = paint(session, judge.encode(light))
    seconds: dict[str, dict[str, list[float]]] = {which: {} for which in modules}
    result: dict[str, Any] = {}
    for _ in range(rounds):
        for which, module in modules.items():
            taken = seconds[which]
            view = _timed(taken, "build_s", 1, module.View, *table, "")
            _timed(taken, "encode_s_per_mp", _megapixels(light), in_slices, view.encode, light)
            back = _timed(taken, "decode_s_per_mp", _megapixels(light), in_slices, view.decode, painting, light)
            result[which] = truth(judge.encode(back), painting)
    for which in modules:
        result[which] |= {name: median(runs) for name, runs in seconds[which].items()}
    if "before" in modules:
        now, before = result["now"], result["before"]
        result["times_faster"] = {name: before[name] / now[name] for name in seconds["now"]}
    return result


def truth(shown: Floats, painting: Floats) -> dict[str, float]:
    """What shows against what was painted: shares of the pixels, and differences in bytes' steps."""
    error = np.abs(shown - painting).max(axis=-1)
    return {
        "share_found": float((error <= TOLERANCE + ROUNDING).mean()),
        "share_within_2": float((error <= 2 / 255).mean()),
        "mean_error": float(error.mean() * 255),
        "largest_error": float(error.max() * 255),
    }


def in_slices(convert: Callable[..., Floats], *pictures: Floats) -> Floats:
    """As a job does it: ROWS rows at a time."""
    starts = range(0, len(pictures[0]), ROWS)
    return np.concatenate([convert(*(picture[row : row + ROWS] for picture in pictures)) for row in starts])


def _timed(taken: dict[str, list[float]], name: str, amount: float, work: Callable[..., Any], *arguments: Any) -> Any:
    start = time.process_time()
    result = work(*arguments)
    taken.setdefault(name, []).append((time.process_time() - start) / amount)
    return result


def _megapixels(picture: Floats) -> float:
    return picture.shape[0] * picture.shape[1] / 1e6


# ---------------------------------------------------------------- what is measured


def load_light(folder: Path) -> Floats:
    """The renders side by side, scene-linear, their highlights up to LAMP above white."""
    shown = np.concatenate([np.asarray(Image.open(folder / name).convert("RGB")) for name in RENDERS], axis=1) / 255
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    lit: Floats = (linear * (1 + LAMP * linear.max(axis=2, keepdims=True) ** 4)).astype(np.float32)
    return lit


def paint(session: Session, seen: Floats) -> Floats:
    """(H, W, 3), 0..1, as the style paints it."""
    planes = painted(session, ArrayCanvas(seen.transpose(2, 0, 1)), Paint()).read(0, 0, *seen.shape[:2])
    return np.ascontiguousarray(np.clip(planes.transpose(1, 2, 0), 0, 1))


def load_tables(folder: Path) -> dict[str, Table]:
    """By view transform: the table (n, n, n, 3) and its n values, as Blender hands them over."""
    in_blender(str(folder / "profile"), INSTALL, str(build_addon.build(output=folder)))
    in_blender(str(folder / "profile"), TABLES, str(folder))
    tables: dict[str, Table] = {}
    for name in VIEWS:
        values = json.loads((folder / name / "values.json").read_text())
        shape = (len(values),) * 3
        tables[name] = whole(open_picture(folder / name / "view.png")).reshape(*shape, 3), values
    return tables


def module_of(revision: str) -> ModuleType:
    """engine/view.py as it was at a revision of this repository."""
    show = ["git", "show", f"{revision}:engine/view.py"]
    source = subprocess.run(show, cwd=REPO, check=True, stdout=subprocess.PIPE, text=True).stdout
    module = ModuleType("engine.view_before")
    module.__package__ = "engine"
    sys.modules[module.__name__] = module  # dataclasses look themselves up there
    exec(compile(source, "view_before.py", "exec"), module.__dict__)
    return module


def _print(views: dict[str, Any]) -> None:
    for name, numbers in views.items():
        print(name)
        for which in ("before", "now"):
            if which in numbers:
                print("  " + ", ".join(f"{key} {value:.4g}" for key, value in numbers[which].items()) + f" ({which})")
        print("  " + ", ".join(f"{key} {value:.2f}" for key, value in numbers.get("times_faster", {}).items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--style", default="Starry Night", metavar="NAME", help="style that paints")
    parser.add_argument("--before", default="", metavar="REVISION", help="compare with engine/view.py of that revision")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
