"""Fixtures of the engine's tests: real renders, disks that refuse, a process measured from outside."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
RENDER = Path(__file__).with_name("render_passes.py")

Render = Callable[..., Path]


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """render(samples=2, denoise=False, transparent=False, depth="32", size=(64, 36)) -> path of a multilayer EXR.

    Made by this Python's bpy (5.x: one part per pass), in a process of its own, once for each choice.
    """
    pytest.importorskip("bpy", reason="this Python has no bpy")
    folder = tmp_path_factory.mktemp("renders")

    def make(**choice: Any) -> Path:
        options = {"samples": 2, "denoise": False, "transparent": False, "depth": "32", "size": (64, 36), **choice}
        out = folder / ("-".join(str(value) for value in options.values()).replace(", ", "x") + ".exr")
        if not out.exists():
            blender(str(RENDER), str(out), json.dumps(options))
        return out

    return make


def blender(*arguments: str, timeout: int = 120) -> str:
    """Run a script in a fresh Python with bpy; what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def run_blender() -> Callable[..., str]:
    """run_blender(script, *arguments): a fresh Python with bpy, killed after two minutes."""
    pytest.importorskip("bpy", reason="this Python has no bpy")
    return blender


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of one megabyte."""
    with mounted("size=1m") as folder:
        yield folder


@pytest.fixture
def roomy_disk() -> Iterator[Path]:
    """A disk of eight megabytes: enough for a training of tiny networks."""
    with mounted("size=8m") as folder:
        yield folder


@pytest.fixture
def read_only_disk() -> Iterator[Path]:
    """A disk that holds `old.txt` and cannot be written."""
    with mounted("size=64k") as folder:
        (folder / "old.txt").write_text("old")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, capture_output=True)
        yield folder


@contextlib.contextmanager
def mounted(options: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        mount = ["mount", "-t", "tmpfs", "-o", options, "pentimento-test", name]
        done = subprocess.run(mount, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "-l", name], check=True, capture_output=True)


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder this process may look into but not write, and a file `secret.png` it may not read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "secret.png").write_bytes(b"secret")
        (folder / "secret.png").chmod(0o000)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


Measure = Callable[[str], dict[str, Any]]


@pytest.fixture
def measured() -> Measure:
    """measured(code): run code that sets `result` in a fresh Python -> {"result", "peak_mb"} of that process."""

    def run(code: str) -> dict[str, Any]:
        if not Path("/proc/self/status").exists():
            pytest.skip("peak memory is read from /proc")
        ending = (
            "\nimport json, re, pathlib\n"
            "peak = int(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1]) / 1024\n"
            "print('MEASURED' + json.dumps({'result': result, 'peak_mb': peak}))\n"
        )
        said = blender("-c", code + ending, timeout=300)
        return dict(json.loads(said.rpartition("MEASURED")[2]))

    return run
