"""How long Blender waits when the add-on is enabled: measured in fresh processes with the zip installed.

    python benchmarks/addon_start.py [--runs 9] [--zip FILE]

Prints the times and writes results/addon_start.json. The first run after an installation also compiles the add-on's
files; it is listed on its own. Exit code 1 when the median is above 200 ms.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

import build_addon  # noqa: E402

LIMIT = 0.2
"""Seconds"""
PACKAGE = "bl_ext.user_default.pentimento"

INSTALL = """
import sys, bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=False)
"""
ENABLE = """
import json, sys, time, bpy, addon_utils
bpy.ops.wm.read_factory_settings(use_empty=True)
modules, start = set(sys.modules), time.perf_counter()
addon_utils.enable(sys.argv[1], default_set=True)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "blender": bpy.app.version_string, "imported": len(set(sys.modules) - modules)}))
"""
OPENED = """
import functools, json, os, sys, time, types
import bpy, addon_utils
import numpy as np
chosen = json.loads(sys.argv[1])
bpy.ops.wm.read_factory_settings(use_empty=True)
addon_utils.enable(chosen["package"], default_set=True)
room = lambda name: sys.modules[f"{chosen['package']}.{name}"]
pixel = [0.0]

def timed(function):
    @functools.wraps(function)
    def call(*given):
        start = time.perf_counter()
        try:
            return function(*given)
        finally:
            pixel[0] += time.perf_counter() - start
    return call
"""
"""What other benchmarks begin with: the add-on enabled, and a clock for the calls that only move pixels"""


def in_blender(profile: str, code: str, argument: str, timeout: float = 120) -> str:
    """What the code says in a fresh Blender. Variables of this Python's stay out, as Blender ignores them: where one
    forbids to keep compiled files, every start would compile all of them again."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**own, "BLENDER_USER_RESOURCES": profile}
    command = [sys.executable, "-c", code, argument]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=True)
    return answer.stdout


def measure(archive: Path, runs: int) -> dict[str, Any]:
    """Seconds of `addon_utils.enable` in `runs` fresh processes, and of the very first."""
    with tempfile.TemporaryDirectory() as profile:
        in_blender(profile, INSTALL, str(archive))
        measured = [json.loads(in_blender(profile, ENABLE, PACKAGE).splitlines()[-1]) for _ in range(runs + 1)]
    first, *others = [run["seconds"] for run in measured]
    return {
        "first_s": first,
        "median_s": statistics.median(others),
        "slowest_s": max(others),
        "runs": runs,
        "imported_modules": measured[-1]["imported"],
        "zip_bytes": archive.stat().st_size,
        "blender": measured[-1]["blender"],
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "date": datetime.date.today().isoformat(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how long enabling the add-on takes.")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--zip", type=Path, help="default: built from these sources")
    chosen = parser.parse_args()
    result = measure(chosen.zip or build_addon.build(), chosen.runs)
    (REPO / "benchmarks" / "results").mkdir(exist_ok=True)
    (REPO / "benchmarks" / "results" / "addon_start.json").write_text(json.dumps(result, indent=2) + "\n")
    median, slowest, first = (f"{result[key] * 1000:.0f} ms" for key in ("median_s", "slowest_s", "first_s"))
    print(
        f"Blender {result['blender']}: enabled in {median} (slowest of {chosen.runs}: {slowest}, first ever: {first})"
    )
    return 0 if result["median_s"] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
