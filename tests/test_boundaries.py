"""Who may import whom (DESIGN.md, "Who may import whom"): read from the sources, and proved in fresh interpreters."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
ENGINE = sorted((REPO / "engine").rglob("*.py"))
ADDON = sorted((REPO / "blender_addon").rglob("*.py"))
STDLIB = set(sys.stdlib_module_names)

INFERENCE = {"numpy", "onnxruntime", "OpenEXR", "PIL"}
"""What travels in the zip's private packages."""
BY_ROOM = {
    "training": {"torch", "torchmetrics", "onnx", "onnxscript", "safetensors", "rich"},
    "cli": {"rich"},
    "demo": {"rich"},
}
"""What some rooms may import besides."""
NUMPY_ONLY = {"looks"}
"""Blender's own process imports it too."""
STANDARD_LIBRARY_ONLY = {"protocol", "errors", "boot", "worker", "packages", "environment", "pip_errors", "durations"}
"""`worker` imports each job's module on its first request; before that it needs nothing."""

NO_BPY = {"engine_client", "decode", "encode", "curves", "texels"}
BELOW = {
    "preferences": {"panels", "props", "setting_up", "engine_client", "translation"},
    "setting_up": {"compat", "jobs", "props", "engine_client", "translation"},
    "props": {"compat", "shots", "engine_client", "translation"},
    "scene_io": {"compat", "decode", "encode", "props", "switches", "texels", "engine_client"},
    "materials": {"scene_io"},
    "udim": {"compat", "scene_io", "texels", "engine_client"},
    "laying": {"compat", "jobs", "materials", "props", "scene_io", "texels"},
    "texturing": {
        *("jobs", "laying", "materials", "props", "scene_io", "texels", "udim"),
        *("engine_client", "translation"),
    },
    "switches": {"props", "engine_client", "translation"},
    "explaining": {"compat", "encode", "props", "scene_io", "shots", "engine_client", "translation"},
    "layering": {"compat", "decode", "encode", "explaining", "props", "scene_io", "shots", "engine_client"},
    "masking": {"encode", "explaining", "layering", "props", "scene_io", "engine_client", "translation"},
    "remaking": {"encode", "layering", "props", "scene_io", "engine_client", "translation"},
    "wiping": {"compat", "encode", "layering", "scene_io", "engine_client"},
    "animating": {"compat", "props", "scene_io", "shots", "switches", "engine_client", "translation"},
    "projecting": {"compat", "props", "scene_io", "switches", "engine_client"},
    "training": {"curves", "props", "scene_io", "shots", "engine_client"},
    "gallery": {"compat", "props", "engine_client", "translation"},
    "keeping": {"compat", "gallery", "props"},
    "importing": {"jobs", "setting_up", "props", "scene_io", "engine_client", "translation"},
    "presets": {"props", "engine_client"},
    "decode": {"shots", "engine_client"},
    "texels": set(),
    "curves": set(),
    "shots": {"engine_client"},
    "encode": set(),
    "jobs": {"writing", "engine_client"},
    "writing": set(),
    "translation": {"compat"},
    "compat": set(),
}
"""What each room may import; operators and panels any of these, never each other"""
ADDON_EDGES = {
    **BELOW,
    "__init__": {
        "explaining",
        "importing",
        "jobs",
        "keeping",
        "operators",
        "panels",
        "preferences",
        "props",
        "translation",
        "wiping",
        "writing",
    },
    "operators": {*BELOW, "engine_client"},
    "panels": {*BELOW, "engine_client"} - {"preferences"},
    "engine_client": {"engine.protocol", "engine.errors", "engine.looks", "engine.packages", "engine.durations"},
}


@dataclass(frozen=True)
class Import:
    """One import statement, as the absolute name of what it asks for."""

    target: str
    line: int
    at_import: bool
    """Runs when the module is imported: not inside a function, not for type checkers only"""


def imports_of(path: Path, package: str) -> list[Import]:
    """All imports of a file. Relative ones are resolved from `package`, the dotted name of its folder."""
    return list(_walk(ast.parse(path.read_text(encoding="utf-8")), package, True))


def _walk(node: ast.AST, package: str, at_import: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_import) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - child.level + 1]) if child.level else ""
            whole = ".".join(part for part in (base, child.module or "") if part)
            is_package = child.module in (None, "engine")  # then the names are modules
            names = [f"{whole}.{alias.name}" for alias in child.names] if is_package else [whole]
            yield from (Import(name, child.lineno, at_import) for name in names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (found for line in child.orelse for found in _walk(_block(line), package, at_import))
        else:
            inner = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _walk(child, package, at_import and not inner)


def _block(statement: ast.stmt) -> ast.Module:
    return ast.Module([statement], [])


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(REPO).parent.parts)


def room_of(path: Path) -> str:
    """engine/training/loop.py -> training, engine/cli.py -> cli; blender_addon/panels/mixing.py -> panels"""
    inside = path.relative_to(REPO / path.relative_to(REPO).parts[0])
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: str(path.relative_to(REPO)))
def test_the_engine_knows_no_blender_and_imports_itself_relatively(path: Path) -> None:
    for found in imports_of(path, package_of(path)):
        top = found.target.split(".")[0]
        assert top not in {"bpy", "mathutils", "blender_addon", "build_addon"}, f"line {found.line}"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        assert not any(name.split(".")[0] == "engine" for name in names), f"line {node.lineno}: not relative"


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: str(path.relative_to(REPO)))
def test_each_room_imports_only_what_it_may(path: Path) -> None:
    room = room_of(path)
    allowed = set() if room in STANDARD_LIBRARY_ONLY else INFERENCE | BY_ROOM.get(room, set())
    for found in imports_of(path, package_of(path)):
        top = found.target.split(".")[0]
        assert room not in NUMPY_ONLY or top in {*STDLIB, "numpy"}, f"{room} imports {found.target}"
        if top not in STDLIB | {"engine"}:
            assert top in allowed, f"{room} imports {found.target} in line {found.line}"


def test_every_package_of_the_engine_is_installed() -> None:
    """Without `-e`, too: pip installs what is listed, and no more."""
    listed = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    assert set(listed) == {package_of(path) for path in ENGINE if path.name == "__init__.py"}


def test_nobody_imports_the_worker() -> None:
    for path in [*ENGINE, *ADDON]:
        assert not any(found.target == "engine.worker" for found in imports_of(path, package_of(path))), path


def test_only_training_imports_torch() -> None:
    users = {
        path for path in ENGINE for found in imports_of(path, package_of(path)) if found.target.startswith("torch")
    }
    assert all(room_of(path) == "training" for path in users)


@pytest.mark.parametrize("path", ADDON, ids=lambda path: str(path.relative_to(REPO)))
def test_the_addons_rooms_import_along_the_arrows(path: Path) -> None:
    ours = [
        found.target.removeprefix("blender_addon.")
        for found in imports_of(path, package_of(path))
        if found.target.startswith("blender_addon")
    ]
    rooms = {name if name.startswith("engine.") else name.split(".")[0] for name in ours} - {room_of(path)}
    assert rooms <= ADDON_EDGES[room_of(path)], f"{path} imports {rooms - ADDON_EDGES[room_of(path)]}"


@pytest.mark.parametrize("path", ADDON, ids=lambda path: str(path.relative_to(REPO)))
def test_the_addon_needs_nothing_that_blender_has_not(path: Path) -> None:
    brought = {"bpy", "gpu", "gpu_extras", "blf", "mathutils", "numpy", "engine", "blender_addon"}
    for found in imports_of(path, package_of(path)):
        top = found.target.split(".")[0]
        assert top in STDLIB | brought, f"line {found.line}: {found.target}"
        assert top != "bpy" or path.stem not in NO_BPY, "threads must never touch bpy"


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after running the code in the repository."""
    ask = f"import sys; sys.path.insert(0, {str(REPO)!r}); {code}; import json; print(json.dumps(list(sys.modules)))"
    answer = subprocess.run([sys.executable, "-I", "-c", ask], capture_output=True, text=True, timeout=60, check=True)
    return {name.split(".")[0] for name in json.loads(answer.stdout.splitlines()[-1])}


@pytest.mark.parametrize("module", ["protocol", "errors", "worker"])
def test_the_protocol_and_an_idle_worker_load_the_standard_library_only(module: str) -> None:
    started_with = loaded_by("pass")
    assert loaded_by(f"import engine.{module}") - started_with - STDLIB == {"engine"}


def test_inference_loads_neither_torch_nor_bpy() -> None:
    loaded = loaded_by("import engine.stylize, engine.style_jobs, engine.files, engine.passes, engine.runtime")
    assert "numpy" in loaded
    assert not loaded & {"torch", "onnx", "bpy", "safetensors", "rich"}
