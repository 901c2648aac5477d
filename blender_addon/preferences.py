"""Choices that hold for every file: which Python computes, and where the artist's own styles are."""

# Blender wants properties as annotations (real ones: it does not evaluate strings).
# mypy: disable-error-code="valid-type, union-attr"

import sys
from pathlib import Path
from typing import Any

import bpy

from . import jobs, props
from .engine_client import EngineError, Interpreter, Limits, blender_python, protocol

PATIENCE = Limits(ready=20.0, silence=20.0)
"""A program that is no Python at all says nothing for ever; importing torch from a cold disk takes its time."""
NEEDED = ("torch", "onnx", "safetensors")
SETUP = "Make one with the commands that the Training panel copies, then enter it in the add-on's preferences."
PACKAGES = ("numpy", "pillow", "onnxruntime", "openexr", "torch", "onnx", "safetensors")


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
        "Install them there, then press Check Python in the preferences.",
    )


def setup_commands() -> str:
    """Two lines for a terminal that make a Python for training, and the path to enter then."""
    folder = Path.home() / "pentimento-python"
    maker, program = ("py", "Scripts\\python.exe") if sys.platform == "win32" else ("python3", "bin/python")
    python = f'"{folder / program}"'
    return (
        f'{maker} -m venv "{folder}"\n{python} -m pip install {" ".join(PACKAGES)}\n'
        f"echo Enter this in the preferences of Pentimento: {python}\n"
    )


def check_job() -> jobs.Job:
    """Asks the Python what it can do; the answer is kept in the preferences."""
    return jobs.Job("Checking the Python", _check_requests(), _keep_verdict, interpreter(), _keep_failure, PATIENCE)


def _check_requests() -> jobs.Requests:
    props.library.preferences().verdict = "Checking ..."
    yield protocol.CheckRequest(props.new_job())


def _keep_verdict(event: protocol.Event) -> None:
    if isinstance(event, protocol.Checked):
        props.library.preferences().verdict = verdict(event)
        props.library.preferences().can_train = event.training


def _keep_failure(report: jobs.Report) -> None:
    if report.level != "INFO":
        props.library.preferences().verdict = f"{report.message} {report.fix}".strip()


def verdict(checked: protocol.Checked) -> str:
    """What the Python can do in one sentence; what is in it in a second line."""
    can = ["stylize", *(["use CUDA"] if checked.cuda else []), *(["train styles"] if checked.training else [])]
    packages = ", ".join(f"{name} {version}" for name, version in checked.versions.items())
    return f"{checked.problem or f'Can {_and(can)}.'}\n{packages}"


def _and(words: list[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _python_changed(preferences: Any, _context: Any) -> None:
    """Checks the Python as soon as it is entered, without waiting for the answer."""
    preferences.verdict, preferences.can_train = "", False
    try:
        (jobs.run if bpy.app.background else jobs.start)(check_job())
    except EngineError as error:
        preferences.verdict = str(error)


def _styles_folder_changed(_preferences: Any, _context: Any) -> None:
    props.library.refresh_styles()


class PentimentoPreferences(bpy.types.AddonPreferences):
    bl_idname = props.library.PACKAGE

    python: bpy.props.StringProperty(
        name="Python for CUDA and Training",
        description="A Python with PyTorch or onnxruntime-gpu. Empty: Blender's own, on the processor",
        subtype="FILE_PATH",
        update=_python_changed,
    )
    verdict: bpy.props.StringProperty(name="What this Python can do", options={"SKIP_SAVE"})
    can_train: bpy.props.BoolProperty(name="Can train", description="What the last check found", options={"HIDDEN"})
    styles_folder: bpy.props.StringProperty(
        name="Styles Folder",
        description="Where imported and trained styles are kept. Empty: a folder of the add-on's own",
        subtype="DIR_PATH",
        update=_styles_folder_changed,
    )

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "python")
        column = layout.column(align=True)
        column.operator("pentimento.check_python", icon="CHECKMARK")
        for line in self.verdict.splitlines():
            column.label(text=line)
        layout.prop(self, "styles_folder")
        layout.operator("pentimento.import_style", icon="IMPORT")


def register() -> None:
    bpy.utils.register_class(PentimentoPreferences)


def unregister() -> None:
    bpy.utils.unregister_class(PentimentoPreferences)
