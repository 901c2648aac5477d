"""A Python environment of Pentimento's own: made, gone on with, removed. Standard library only: it runs in Blender's
own Python, as a job of the worker, so that pip never runs in Blender and every step can be cancelled.

In the folder lies `pentimento.json` from the first moment on: what it is for and which packages are whole. A set-up
that was cancelled or killed goes on from there; a folder without that file is never touched. Packages are installed one
after the other, each with what it brings along, so that no more than one is lost. pip finds them as it is configured
(index, proxy, certificates), or in a folder of wheels. Its temporary files lie in the folder too: the system's own
place cannot always be written, and the disk that is asked for room is the one that is used.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import queue
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import packages, pip_errors
from .errors import EngineError
from .protocol import Done, EnvironmentReady, EnvironmentRequest, Event, Failed, Progress, RemoveEnvironmentRequest

STATE = "pentimento.json"
STALLED = 900.0
"""Seconds without a word or a byte after which pip counts as stuck: a slow disk unpacks PyTorch in a few minutes."""
TICK = 0.2
"""Seconds between two looks at what has been downloaded; a cancel is heard as often."""
LONGEST = 190
"""Characters of the longest path inside an environment with PyTorch: licences of its parts, measured"""
WINDOWS_LIMIT = 259
KEPT_LINES = 400
"""Of what pip said, for a report"""

Steps = Generator[Event, None, None]


@dataclass
class State:
    """What is written in the folder."""

    kind: str
    python: str
    """The version it was made with: 3.11"""
    done: list[str] = field(default_factory=list)
    """Pins that are installed as a whole"""
    ready: bool = False

    @staticmethod
    def of(folder: Path) -> State | None:
        """None where there is none, or none that can be read."""
        try:
            return State(**json.loads((folder / STATE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        unfinished = folder / f"{STATE}.part"
        unfinished.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        unfinished.replace(folder / STATE)


class PipError(Exception):
    """A step that ended badly; what it said is in the log."""


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


# ---------------------------------------------------------------- the jobs


def make(request: EnvironmentRequest) -> Iterator[Event]:
    """Makes the environment, or goes on with it. Yields Progress and EnvironmentReady."""
    folder, log = Path(request.folder), [f"Python {platform.python_version()}, {platform.platform()}", request.kind]
    try:
        _check(request, folder)
        yield from _make(request, folder, log)
    except PipError:
        offline = bool(request.wheels)
        message, fix = pip_errors.explain("\n".join(log), offline)
        yield Failed(request.job, message, fix, "\n".join(log[-KEPT_LINES:]))
    except OSError as error:
        log.append(f"OSError: {error}")
        message, fix = pip_errors.explain(f"OSError: {error}", bool(request.wheels))
        yield Failed(request.job, message, fix, "\n".join(log[-KEPT_LINES:]))
    else:
        yield Done(request.job)
    finally:
        _clear(folder / "temporary")


def remove(request: RemoveEnvironmentRequest) -> Iterator[Event]:
    """Removes an environment that `make` has made, whole or not."""
    folder = Path(request.folder)
    yield Progress(request.job, 0.0, "Removing")
    if not (folder / STATE).is_file():
        raise EngineError(f"{folder} is no environment of Pentimento.", "Remove it yourself, if it is not needed.")
    for part in [part for part in folder.iterdir() if part.name != STATE]:
        _clear(part)
        yield Progress(request.job, 0.5, "Removing")
    if left := [part.name for part in folder.iterdir() if part.name != STATE]:
        raise EngineError(
            f"{left[0]} in {folder} could not be removed: another program has it open, or it is protected.",
            "Close other Blenders and try again, or remove the folder yourself.",
        )
    _clear(folder)
    yield Done(request.job)


def _make(request: EnvironmentRequest, folder: Path, log: list[str]) -> Steps:
    yield Progress(request.job, 0.0, "Making a Python of its own")
    state = _begun(request, folder)
    (folder / "temporary").mkdir(exist_ok=True)
    yield from _python(request, folder, log)
    pins = packages.KINDS[request.kind].pins
    for number, pin in enumerate(pins, 1):
        if pin not in state.done:
            yield from _install(request, folder, number, pin, log)
            state.done.append(pin)
            state.write(folder)
    yield Progress(request.job, 0.99, "Checking")
    for _ in _run([*_pip(folder), "check"], folder, log):
        yield Progress(request.job, 0.99, "Checking")
    _clear(folder / "downloads")
    state.ready = True
    state.write(folder)
    yield EnvironmentReady(request.job, str(folder), str(python_of(folder)))


def _begun(request: EnvironmentRequest, folder: Path) -> State:
    """What an earlier set-up has left, if this one can go on with it; else a new beginning."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    state, pins = State.of(folder), packages.KINDS[request.kind].pins
    if state and (state.kind, state.python) == (request.kind, python) and set(state.done) <= set(pins):
        state.ready = False
    else:
        _empty(folder)
        state = State(request.kind, python)
    folder.mkdir(parents=True, exist_ok=True)
    state.write(folder)
    return state


def _empty(folder: Path) -> None:
    """Raises EngineError where something of somebody else's lies there."""
    if not folder.exists():
        return
    if any(folder.iterdir()) and not (folder / STATE).exists():
        raise EngineError(f"{folder} holds other things already.", "Choose an empty folder in the preferences.")
    for part in folder.iterdir():
        _clear(part)


# ---------------------------------------------------------------- checks that cost nothing


def _check(request: EnvironmentRequest, folder: Path) -> None:
    if request.kind not in packages.KINDS:
        raise EngineError(f"There is no set-up {request.kind!r}.", f"Choose among: {', '.join(packages.KINDS)}.")
    wheels = Path(request.wheels)
    if request.wheels and not any(wheels.glob("*.whl")):
        raise EngineError(
            f"There are no wheels in {wheels}.",
            "Choose the folder that holds the .whl files, or leave the field empty to download them.",
        )
    check_length(folder, sys.platform, _long_paths())
    _check_writable(folder)
    _check_room(request, folder)


def check_length(folder: Path, system: str, long_paths: bool) -> None:
    """Windows takes 259 characters in all unless somebody has switched that off."""
    if system == "win32" and not long_paths and len(str(folder)) + LONGEST > WINDOWS_LIMIT:
        raise EngineError(
            f"The path {folder} is too long: Windows allows {WINDOWS_LIMIT} characters, and PyTorch needs {LONGEST}.",
            "Choose a shorter folder in the preferences, such as C:\\Pentimento, or switch on long paths in Windows.",
        )


def _long_paths() -> bool:
    """Are they switched on in Windows?"""
    if sys.platform != "win32":
        return True
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    except OSError:
        return False


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise EngineError(
            f"{folder} cannot be written ({error.strerror or error}).",
            "Choose another folder under Set Up in the preferences, one that is yours.",
        ) from error


def _check_room(request: EnvironmentRequest, folder: Path) -> None:
    """Only before the first package: what is missing later is not known."""
    state = State.of(folder)
    if request.wheels or (state and state.done):
        return
    size = packages.size(request.kind)
    # A download lies there twice for a moment: in pip's store, from which a later try takes it, and being unpacked.
    needed, free = size.installed + size.download, shutil.disk_usage(folder).free / 1e9
    if free < needed and not request.index:  # another index may have smaller ones
        raise EngineError(
            f"The disk of {folder} has {free:.1f} GB free; the set-up needs about {needed:.1f} GB.",
            "Make room, or choose a folder on another disk.",
        )


# ---------------------------------------------------------------- its steps


def _python(request: EnvironmentRequest, folder: Path, log: list[str]) -> Steps:
    """The Python itself and its pip. One that starts is kept; one whose Blender has moved is made again around its
    packages."""
    if not _starts(folder, log):
        for link in python_of(folder).parent.glob("python*"):
            _clear(link)  # venv does not replace a link that leads nowhere
        for _ in _run([sys.executable, "-I", "-m", "venv", "--without-pip", str(folder)], folder, log):
            yield Progress(request.job, 0.0, "Making a Python of its own")
    if not _has_pip(folder) and importlib.util.find_spec("ensurepip"):
        for _ in _run([str(python_of(folder)), "-I", "-m", "ensurepip", "--default-pip"], folder, log):
            yield Progress(request.job, 0.01, "Making a Python of its own")


def _starts(folder: Path, log: list[str]) -> bool:
    try:
        ask = [str(python_of(folder)), "-I", "-c", "pass"]
        return subprocess.run(ask, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        log.append(f"No Python there yet: {error}")
        return False


def _site(folder: Path) -> Path:
    lib = folder / "Lib" if os.name == "nt" else folder / f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    return lib / "site-packages"


def _has_pip(folder: Path) -> bool:
    return any(_site(folder).glob("pip-*.dist-info/INSTALLER"))


PIP = """
import os, runpy, threading
def end_with_worker():
    while os.read(0, 1): pass
    os._exit(3)
threading.Thread(target=end_with_worker, daemon=True).start()
runpy.run_module("pip", run_name="__main__")
"""
"""pip that ends when the worker does, however that ended: two of them in one folder would spoil it."""


def _pip(folder: Path) -> list[str]:
    """The command; the environment's own pip, or, where Python came without one, that of the Python that runs this."""
    if _has_pip(folder):
        return [str(python_of(folder)), "-I", "-c", PIP]
    if importlib.util.find_spec("pip") is None:
        raise EngineError(
            f"The Python {sys.executable} has neither pip nor ensurepip.",
            "Install its package `python3-venv`, or use Blender as its makers publish it.",
        )
    return [sys.executable, "-I", "-c", PIP, "--python", str(python_of(folder))]


def _install(request: EnvironmentRequest, folder: Path, number: int, pin: str, log: list[str]) -> Steps:
    pins = packages.KINDS[request.kind].pins
    _forget_halves(_site(folder))
    constraints = folder / "temporary" / "pins.txt"
    # Without its own: of a package that is not found pip would then say that it conflicts with itself.
    others = [packages.shown(each).replace(" ", "==") for each in pins if each != pin]
    constraints.write_text("\n".join(others), encoding="utf-8")
    options = ["--no-input", "--disable-pip-version-check", "--progress-bar=off", "--only-binary=:all:", "--no-compile"]
    options += [f"--cache-dir={folder / 'downloads'}", f"--constraint={constraints}"]
    options += ["--no-index", f"--find-links={request.wheels}"] if request.wheels else []
    options += [f"--extra-index-url={request.index}"] if request.index and not request.wheels else []
    watch = _Watch(folder / "temporary", packages.shown(pin))
    begins, share = _share(pins, number)
    for line in _run([*_pip(folder), "install", *options, pin], folder, log):
        watch.see(line)
        stage = f"{watch.stage} ({number} of {len(pins)}{watch.amount})"
        yield Progress(request.job, begins + share * watch.fraction, stage)


def _share(pins: tuple[str, ...], number: int) -> tuple[float, float]:
    """Where in the whole a package begins and how much of it it is: torch is most of everything."""
    weights = [20 if packages.name_of(pin) in ("torch", "onnxruntime-gpu") else 1 for pin in pins]
    return 0.02 + 0.96 * sum(weights[: number - 1]) / sum(weights), 0.96 * weights[number - 1] / sum(weights)


def _forget_halves(site: Path) -> None:
    """Of packages whose installation was cut off: pip would take them for whole. It writes INSTALLER last of all."""
    for info in site.glob("*.dist-info"):
        if not (info / "INSTALLER").is_file():
            _clear(info)


class _Watch:
    """How far pip is, of what it says and of the file that grows in its temporary folder."""

    def __init__(self, temporary: Path, shown: str) -> None:
        self._temporary, self._shown = temporary, shown
        self.stage, self.fraction, self.amount = f"Looking for {shown}", 0.0, ""

    def see(self, line: str) -> None:
        if found := re.match(r"\s*Downloading (\S+?)-\d\S* \(([\d.]+) ([kMG])B\)", line):
            self._name, self._size = found[1], float(found[2]) * {"k": 1e3, "M": 1e6, "G": 1e9}[found[3]]
            self.stage = f"Downloading {self._shown}"
            self.fraction = max(self.fraction, 0.05)
        elif line.startswith("Installing collected packages"):
            self.stage, self.fraction, self.amount = f"Installing {self._shown}", 0.8, ""
        elif self.stage.startswith("Downloading"):
            self._measure()

    def _measure(self) -> None:
        had = max(_downloading(self._temporary), default=0)
        if self._size > 20e6:
            self.amount = f", {self._name}: {min(had, self._size) / 1e6:.0f} of {self._size / 1e6:.0f} MB"
            self.fraction = max(self.fraction, 0.05 + 0.6 * min(had / self._size, 1.0))


def _downloading(temporary: Path) -> list[int]:
    """Bytes of the wheels that pip is fetching. It removes them at any moment."""
    with contextlib.suppress(OSError):
        return [file.stat().st_size for file in temporary.glob("pip-*/*.whl")]
    return []


# ---------------------------------------------------------------- processes and files


def _run(command: list[str], folder: Path, log: list[str]) -> Iterator[str]:
    """Runs it and yields what it says, line by line, and an empty line now and then. Ended when nobody wants more of
    it. Raises PipError where it fails or is stuck."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(folder),
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(process, said.put), daemon=True).start()
    try:
        yield from _lines(said, folder, log)
        if code := process.wait():
            log.append(f"{command[0]} ended with code {code}.")
            raise PipError
    finally:
        process.kill()
        process.wait()


def _listen(process: subprocess.Popen[bytes], put: Callable[[str | None], None]) -> None:
    assert process.stdout is not None
    with process.stdout as pipe:
        for line in pipe:
            put(line.decode("utf-8", "replace").rstrip())
    put(None)


def _lines(said: queue.SimpleQueue[str | None], folder: Path, log: list[str]) -> Iterator[str]:
    heard_at, seen = time.monotonic(), 0
    while True:
        try:
            line = said.get(timeout=TICK)
        except queue.Empty:
            line = ""
        if line is None:
            return
        grown = sum(_downloading(folder / "temporary"))
        if line or grown != seen:
            heard_at, seen = time.monotonic(), grown
        if line:
            log.append(line)
        elif time.monotonic() - heard_at > STALLED:
            log.append(f"Nothing for {STALLED:g} s: given up.")
            raise PipError
        yield line


def _environment(folder: Path) -> dict[str, str]:
    """The artist's own, so that pip has its configuration and proxies; but packages go nowhere else."""
    temporary = str(folder / "temporary")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
    }
    return {**kept, "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary, "PIP_USER": "0", "PYTHONUTF8": "1"}


def _clear(path: Path) -> None:
    """Removes it as far as the system lets us."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_unlock)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _unlock(act: Callable[..., Any], path: str, _why: Any) -> None:
    """Windows removes nothing that is read-only."""
    with contextlib.suppress(OSError):
        Path(path).chmod(stat.S_IRWXU)
        act(path)
