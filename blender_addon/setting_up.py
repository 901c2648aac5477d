"""Which Python computes, what it can do, and how another one is set up for CUDA and training.

Blender's own Python, with the packages of the zip, always works, on the processor. Another one is the artist's own, or
an environment that the engine makes in a folder of ours: as a job in a lane of its own, so that painting goes on.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined"

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

import bpy

from . import compat, jobs, props
from .engine_client import EngineError, Interpreter, Limits, blender_python, packages, protocol
from .translation import heard, listed, worded

PATIENCE = Limits(ready=20.0, silence=20.0)
"""A program that is no Python at all says nothing for ever; importing torch from a cold disk takes its time."""
NEEDED = ("torch", "onnx", "safetensors")
SETUP = "Press Set Up in the add-on's preferences, or enter a Python that has it."

checked: protocol.Checked | None = None
"""What the Python in use said of itself when it was checked last in this session"""
entering = False
"""A set-up enters a Python that it has checked itself."""


# ---------------------------------------------------------------- the Python in use


def interpreter() -> Interpreter:
    """The Python that runs the worker: the chosen one with its own packages, else Blender's with ours."""
    chosen = props.library.preferences().python
    return Interpreter(bpy.path.abspath(chosen)) if chosen else blender_python()


def training_interpreter() -> Interpreter:
    """The Python that trains. Raises EngineError where the last check found none."""
    if props.library.preferences().can_train:
        return interpreter()
    if not props.library.preferences().python:
        raise EngineError("Training needs a Python with PyTorch.", SETUP)
    raise EngineError(
        f"The Python in the add-on's preferences cannot train: it lacks one of {', '.join(NEEDED)}.",
        "Set one up in the preferences; or install them there, then press Check Python.",
    )


def setup_commands() -> str:
    """Two lines for a terminal that make a Python for training, and the path to enter then."""
    made = Path.home() / "pentimento-python"
    maker, program = ("py", "Scripts\\python.exe") if sys.platform == "win32" else ("python3", "bin/python")
    python = f'"{made / program}"'
    return (
        f'{maker} -m venv "{made}"\n{python} -m pip install {" ".join(packages.KINDS["training"].pins)}\n'
        f"echo Enter this in the preferences of Pentimento: {python}\n"
    )


def check_job() -> jobs.Job:
    """Asks the Python what it can do; the answer is kept in the preferences."""
    return jobs.Job(
        worded("Checking the Python"), _check_requests(), _keep_verdict, interpreter(), _keep_failure, PATIENCE
    )


def check() -> None:
    """Checks the Python as soon as it is entered, without waiting for the answer."""
    preferences = props.library.preferences()
    preferences.verdict, preferences.can_train = "", False
    _keep(None)
    try:
        (jobs.run if bpy.app.background else jobs.start)(check_job())
    except EngineError as error:
        preferences.verdict = str(error)


def _check_requests() -> jobs.Requests:
    props.library.preferences().verdict = "Checking ..."
    yield protocol.CheckRequest(props.new_job())


def _keep_verdict(event: protocol.Event) -> None:
    if isinstance(event, protocol.Checked):
        props.library.preferences().verdict = verdict(event)
        props.library.preferences().can_train = event.training
        _keep(event)


def _keep_failure(report: jobs.Report) -> None:
    if report.level != "INFO":
        props.library.preferences().verdict = f"{report.message} {report.fix}".strip()
        _keep(None)


def _keep(event: protocol.Checked | None) -> None:
    global checked
    checked = event


def verdict(event: protocol.Checked) -> str:
    """What the Python can do in one sentence; what is in it in a second line."""
    can = worded("Can {what}.", what=_and(abilities(event)))
    return f"{event.problem or can}\n{_versions(event)}"


def abilities(event: protocol.Checked) -> list[str]:
    train = worded("train styles on CUDA" if event.training_cuda else "train styles")
    cuda = [worded("use CUDA")] if event.cuda else []
    return [worded("stylize"), *cuda, *([train] if event.training else [])]


def _versions(event: protocol.Checked) -> str:
    return ", ".join(f"{name} {version}" for name, version in event.versions.items())


def _and(words: list[str]) -> str:
    """a, b and c"""
    *before, last = words
    if not before:
        return last
    return worded("{some} and {last}", some=listed(before), last=last)


# ---------------------------------------------------------------- what the artist reads of it


def facts() -> list[tuple[str, str]]:
    """By name what is known of the Python in use; of its device and memory only after a check in this session."""
    own = not props.library.preferences().python
    whose = "Blender's own" if own else "Another"
    rows = [("Python", f"{whose}: {_short(interpreter().python)}")]
    if checked is not None:
        device = checked.device
        rows += [("Version", checked.versions.get("python", "unknown")), ("Device", device.name)]
        rows += [("Card Memory", f"{device.memory / 1e9:.1f} GB")] if device.memory else []
        rows += [("Memory", f"{device.free / 1e9:.1f} GB free"), *_answers(checked)]
    return rows


def _answers(found: protocol.Checked) -> list[tuple[str, str]]:
    """What it can do and, where it cannot, why."""
    processor = "" if found.training_cuda else ", on the processor"
    return [
        ("Stylize", f"No: {found.problem}" if found.problem else "Yes"),
        ("CUDA", "Yes" if found.cuda else f"No: {found.device.why}"),
        ("Train", f"Yes{processor}" if found.training else "No: it lacks PyTorch or packages beside it"),
    ]


def installed() -> list[tuple[str, str]]:
    """The packages of the Python in use and their versions"""
    return [] if checked is None else [item for item in checked.versions.items() if item[0] != "python"]


def _short(path: str) -> str:
    """With ~ for the home folder: reports are sent to others."""
    home = str(Path.home())
    return "~" + path[len(home) :] if len(home) > 1 and path.startswith(home) else path


def report() -> str:
    """All that a bug report needs: versions, the Python and its device, how the last jobs ended. No names or passwords
    besides what paths hold."""
    blender = f"Blender {bpy.app.version_string}, {platform.platform()}"
    lines = [blender, *(f"{name}: {value}" for name, value in facts()), props.library.preferences().verdict]
    if state := made():
        lines.append(f"Environment: {_short(str(folder()))}, {state}")
    for name, lane in (("Painting", jobs.PAINTING), ("Training", jobs.TRAINING), ("Set-up", jobs.SETUP)):
        if (last := jobs.last_report(lane)) is not None:
            lines.append(f"\n{name}: {last.level} {last.text}")
    text = re.sub(r"://[^/@\s]+@", "://...@", "\n".join(lines))
    home = str(Path.home())
    return text.replace(home + os.sep, "~" + os.sep) if len(home) > 1 else text


# ---------------------------------------------------------------- an environment of ours


def folder() -> Path:
    """Where it lies or would lie."""
    chosen = props.library.preferences().setup_folder
    name = f"py{sys.version_info.major}{sys.version_info.minor}"
    return Path(bpy.path.abspath(chosen), name) if chosen else _own_place() / name


def _own_place() -> Path:
    """On Windows beside the roaming profile, not in it: gigabytes have no business there, and PyTorch's longest paths
    would not fit behind the path of an extension."""
    local = os.environ.get("LOCALAPPDATA", "")
    if sys.platform == "win32" and local:
        return Path(local, "Pentimento")
    return compat.user_folder(props.library.PACKAGE, "python")


def python_of(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def made(kind_name: str = "") -> str:
    """Whether there is an environment (of that kind): "" | unfinished | ready"""
    state = _state() if kind_name in ("", _kind_made()) else {}
    return ("ready" if state.get("ready") else "unfinished") if state else ""


def _kind_made() -> str:
    """What the environment is for; empty where there is none"""
    name = str(_state().get("kind", ""))
    return name if name in packages.KINDS else ""


def _state() -> dict[str, Any]:
    """What the engine has written down of the environment"""
    with contextlib.suppress(OSError, ValueError):
        state = json.loads((folder() / "pentimento.json").read_text(encoding="utf-8"))
        return state if isinstance(state, dict) else {}
    return {}


def in_use() -> bool:
    """Is the environment the Python that works?"""
    return Path(interpreter().python) == python_of(folder())


def kind() -> packages.Kind:
    return packages.KINDS[props.library.preferences().setup_kind]


def kind_for_training() -> str:
    """What to offer somebody who wants to train: with CUDA where a card is known to be there."""
    names = [each.name for each in packages.kinds()]
    return "cuda-training" if checked is not None and checked.card and "cuda-training" in names else "training"


def announcement(chosen: packages.Kind) -> list[str]:
    """What a set-up will do, said before it begins."""
    size, there = packages.size(chosen.name), _kind_made()
    if made(chosen.name) == "ready":
        again = worded("Set Up Again checks it, mends what is broken, and uses it.")
        return [worded("It is set up, in {folder}", folder=_short(str(folder()))), again]
    if props.library.preferences().setup_wheels:
        source = worded("Installs it from the folder of wheels. Nothing is downloaded.")
    else:
        source = worded("Downloads about {size} GB.", size=f"{size.download:.1f}")
    place = {"size": f"{size.installed:.1f}", "folder": _short(str(folder()))}
    lines = [source, worded("Takes about {size} GB on the disk, in {folder}", **place)]
    if (sys.platform, chosen.name) == ("linux", "training") and _takes_what_comes():
        lines.append(worded("With PyTorch's address for processors (Package Index in Options) only 0.3 GB and 1.1 GB."))
    if (sys.platform, chosen.name) == ("win32", "cuda-training"):
        lines.append(worded("To train on CUDA, too, enter PyTorch's package index for it (Options)."))
    if there not in ("", chosen.name):
        lines.append(worded("Replaces what is there: {title}.", title=worded(packages.KINDS[there].title)))
    return [*lines, worded("Blender's own Python stays as it is. You can go on working meanwhile.")]


def _takes_what_comes() -> bool:
    """Does it install what the usual package index has, because nothing else is entered?"""
    preferences = props.library.preferences()
    return not (preferences.setup_wheels or preferences.setup_index)


def refusal() -> EngineError | None:
    """Why nothing can be set up now."""
    if props.library.preferences().setup_wheels or compat.may_go_online():
        return None
    return EngineError(
        "Blender may not go online.",
        "Switch on Allow Online Access (Preferences, System, Network), or choose a folder of wheels.",
    )


def set_up_job(chosen: packages.Kind) -> jobs.Job:
    """Makes the environment, checks it, and puts it to use. Raises EngineError where it may not."""
    if (refused := refusal()) is not None:
        raise refused
    _free(folder())
    preferences = props.library.preferences()
    wheels = bpy.path.abspath(preferences.setup_wheels) if preferences.setup_wheels else ""
    place = str(folder())
    request = protocol.EnvironmentRequest(props.new_job(), place, chosen.name, wheels, preferences.setup_index.strip())
    job = _setup_job(
        worded("Set Up {title}", title=worded(chosen.title)), "was cancelled. Set Up goes on where it stopped"
    )
    answers: list[protocol.Event] = []
    job.requests = _set_up(job, request, answers)
    job.on_event = answers.append
    return job


def remove_job() -> jobs.Job:
    """Removes the environment; Blender's own Python works again."""
    place = folder()
    _free(place)
    job = _setup_job(worded("Remove Environment"), "was cancelled. Some of it is left: remove it again")
    job.delivered = True  # there is no event to wait for
    job.requests = _remove(protocol.RemoveEnvironmentRequest(props.new_job(), str(place)))
    return job


def use_blenders_own() -> None:
    """The environment stays, and a set-up puts it to use again in a moment."""
    props.library.preferences().python = ""
    _note_change()


def _leave() -> None:
    """What is about to be changed or removed is not worked with meanwhile. Blender's own does, unchecked."""
    if in_use():
        _use("")
        props.library.preferences().verdict, props.library.preferences().can_train = "", False
        _keep(None)


def _use(python: str) -> None:
    global entering
    entering = True
    try:
        props.library.preferences().python = python
    finally:
        entering = False
    _note_change()


def _note_change() -> None:
    """What a script changes Blender would not save with the preferences."""
    bpy.context.preferences.is_dirty = True


def _setup_job(title: str, stopped: str) -> jobs.Job:
    return jobs.Job(
        title,
        _nothing(),
        lambda event: None,
        blender_python(),
        lambda report: jobs.SETUP.slot.stop(),
        lane=jobs.SETUP,
        stopped=stopped,
        loses_nothing=True,
        outlives_file=True,
    )


def _nothing() -> jobs.Requests:
    yield from ()


def _set_up(job: jobs.Job, request: protocol.EnvironmentRequest, answers: list[protocol.Event]) -> jobs.Requests:
    _leave()
    yield request
    python = next(event.python for event in answers if isinstance(event, protocol.EnvironmentReady))
    job.interpreter = Interpreter(python)
    job.stage = "Checking what it can do"
    yield protocol.CheckRequest(props.new_job())
    found = next(event for event in answers if isinstance(event, protocol.Checked))
    _check_promise(packages.KINDS[request.kind], found)
    _enter(python, found)
    can = worded("It can {what}, and is in use now.", what=_and(abilities(found)))
    return f"{can} {_shortfall(request.kind, found)}".strip()


def _check_promise(chosen: packages.Kind, found: protocol.Checked) -> None:
    """Raises EngineError for an environment that is of no use for what it was made for."""
    if found.problem or ("torch==" in " ".join(chosen.pins) and not found.training):
        raise EngineError(
            f"The environment was set up, but it cannot be used: {found.problem or 'it cannot train'}",
            "Remove it and set it up again; if it stays, copy the report and send it to us.",
        )


def _shortfall(name: str, found: protocol.Checked) -> str:
    """What was wanted and is not there, though it can be used."""
    if "cuda" in name and not found.cuda:
        return worded("It works on the processor: {why}.", why=heard(found.device.why))
    if name == "cuda-training" and not found.training_cuda:
        return worded(
            "It trains on the processor: its PyTorch was built without CUDA. Enter the package index of one with it."
        )
    return ""


def _enter(python: str, found: protocol.Checked) -> None:
    _use(python)
    _keep_verdict(found)


def _remove(request: protocol.RemoveEnvironmentRequest) -> jobs.Requests:
    was_in_use = in_use()
    _leave()
    yield request
    return "Blender's own Python is in use." if was_in_use else ""


def _free(place: Path) -> None:
    """Ends idle workers that run the environment: Windows keeps their libraries locked. Raises EngineError where one is
    at work."""
    for lane in (jobs.PAINTING, jobs.TRAINING):
        worker: Any = lane.slot.worker
        if worker is None or not Path(worker.interpreter.python).is_relative_to(place):
            continue
        if lane.job is not None:
            raise EngineError(f"{lane.job.title} is using the environment.", "Wait for it or stop it, then try again.")
        lane.slot.stop()
