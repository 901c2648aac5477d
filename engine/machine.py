"""What this computer offers: cores, memory, packages. numpy and the standard library only."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

CORES = "PENTIMENTO_CORES"
"""Environment variable: at most so many cores are used, of a computer that several processes share"""
PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "openexr", "pillow", "torch", "onnx", "safetensors")


def cores() -> int:
    """Physical cores this process may use. Two hardware threads of one core only get in each other's way here."""
    allowed = os.environ.get(CORES, "")
    return min(int(allowed) if allowed.isdecimal() and int(allowed) else _most_cores(), _most_cores())


def _most_cores() -> int:
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 2) // (2 if platform.machine() in ("AMD64", "x86_64") else 1))
    return max(1, len({_siblings(cpu) for cpu in os.sched_getaffinity(0)}))


def _siblings(cpu: int) -> str:
    """The hardware threads that share a core with `cpu`, as Linux writes them ("0,8"); itself when unknown."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def available_memory() -> int:
    """Bytes that can still be used without swapping; a container's limit counts."""
    if sys.platform == "linux":
        return min(_linux_available(), _container_left())
    if sys.platform == "win32":
        return _windows_available()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _linux_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _container_left() -> int:
    """What the control group (version 2) still allows; very much when there is none."""
    root = Path("/sys/fs/cgroup")
    try:
        limit, used = (root / "memory.max").read_text(), (root / "memory.current").read_text()
        return max(0, int(limit) - int(used))
    except (OSError, ValueError):  # ValueError: the limit is the word "max"
        return 1 << 62


def _windows_available() -> int:
    class Status(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ("total", "available", "page", "page_free", "virtual", "virtual_free", "extra")
            ),
        ]

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined, unused-ignore]
    return int(status.available)


def versions() -> dict[str, str]:
    """The engine's version and those of the packages that are there; nothing is imported for it."""
    return dict(_found())


@cache
def _found() -> dict[str, str]:
    from . import __version__

    found = {"engine": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
