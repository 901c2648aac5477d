"""Where and with what a measurement was made: every result file carries it, or its numbers mean nothing."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("pentimento", "numpy", "onnxruntime", "onnxruntime-gpu", "torch", "pillow", "openexr", "bpy")
RESULTS = Path(__file__).resolve().parent / "results"


def describe() -> dict[str, Any]:
    """Machine, versions and date as plain JSON. No host name and no path: results are published."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "graphics": _graphics(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def processor() -> str:
    """The processor's own name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def result_file(name: str) -> Path:
    """`results/<name>_<machine>.json`"""
    here = describe()
    label = here["graphics"] or f"{here['processor']} {here['cores']} cores"
    return RESULTS / f"{name}_{re.sub(r'[^a-z0-9]+', '_', label.lower()).strip('_')}.json"


def write(name: str, numbers: dict[str, Any]) -> Path:
    """Write the result file of that name: the numbers beside the machine they were measured on."""
    path = result_file(name)
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": describe(), **numbers}, indent=2) + "\n", encoding="utf-8")
    return path


def _memory_gb() -> int:
    if not hasattr(os, "sysconf"):
        return 0
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _graphics() -> str:
    """The CUDA device's name, asked of the driver without importing torch; empty where there is none."""
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        found = re.search(r"^Model:\s*(.+)$", information.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1]
    return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
