"""Makes the add-on's zip: the add-on, the engine inside it, and the packages its worker imports.

    python build_addon.py [--platform linux-x64|windows-x64|macos-arm64] [--python 3.11|3.13] [--output DIR]

The packages lie in `private_packages/`, where only the worker looks. They are not the manifest's `wheels`: Blender
would share those with every other add-on, and a newer numpy there breaks others. The same inputs give the same zip, bit
for bit. It is checked here and by Blender's own validator where the `bpy` wheel is installed; exit code 1 on failure.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import email.parser
import fnmatch
import hashlib
import importlib.util
import json
import os
import platform as this_machine
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine import packages

REPO = Path(__file__).resolve().parent
BUILD = REPO / "build"

PACKAGES = packages.STYLIZE
"""All that the worker imports for pictures. onnxruntime asks for flatbuffers, packaging and protobuf too, but only its
conversion tools import them, and those stay out."""

LICENCES = {"openexr": "BSD-3-Clause"}
"""Of packages whose metadata names none; the text is in their dist-info."""

NEVER_IMPORTED = (
    "*/tests/*",
    "*.pyi",
    "*.dist-info/RECORD",
    "*.dist-info/WHEEL",
    "*.dist-info/entry_points.txt",
    "*.dist-info/top_level.txt",
    "numpy/f2py/*",
    "numpy/distutils/*",
    "numpy/_core/include/*",
    "numpy/_core/lib/*",
    "numpy/random/lib/*",
    "numpy/random/_examples/*",
    "onnxruntime/backend/*",
    "onnxruntime/datasets/*",
    "onnxruntime/quantization/*",
    "onnxruntime/tools/*",
    "onnxruntime/transformers/*",
    # The library for C programs. The Python module holds all of it a second time, linked in.
    "onnxruntime/capi/libonnxruntime.*",
    "onnxruntime/capi/onnxruntime.dll",
    "PIL/_avif.*",
    "PIL/.dylibs/libavif*",
    "pillow.libs/libavif*",
)
"""A third of the wheels, by measure. tests/addon starts the worker from what is left."""

NOT_FOR_BLENDER = ("__pycache__", "*.pyc", ".*", "samples")
"""What stays out of the engine's copy; the samples are for the demo where no Blender is."""
MAX_ZIP = 200 * 10**6
"""Bytes that extensions.blender.org takes."""
MAX_PATH = 120
"""Characters inside the zip: Windows allows 260 in all, and the folder of the extensions may take 130 of them."""
TIMESTAMP = (2026, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Target:
    """What the zip is for."""

    platform: str
    """linux-x64 | windows-x64 | macos-arm64, in Blender's words"""
    python: str
    """3.11 (Blender 4.2 to 5.0) | 3.13 (5.1 and later)"""

    @property
    def short_python(self) -> str:
        return "py" + self.python.replace(".", "")

    @property
    def wheel_tags(self) -> tuple[str, ...]:
        return WHEEL_TAGS[self.platform]


WHEEL_TAGS = {
    # Blender itself asks for glibc 2.28.
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_24_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_14_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64"),
}
BLENDERS = {"3.11": ("4.2.0", "5.1.0"), "3.13": ("5.1.0", "")}
"""The first Blender with this Python, and the first without it."""


class BuildError(Exception):
    """The zip cannot be made, or must not be shipped."""


def build(platform: str = "", python: str = "3.11", output: Path = REPO / "dist") -> Path:
    """Makes and checks the zip; returns its path."""
    target = Target(platform or this_platform(), python)
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"pentimento-{version()}-{target.platform}-{target.short_python}.zip"
    with own_folder() as staged:
        stage(target, staged)
        write_zip(staged, path)
    problems = [*check(path), *blender_validate(path)]
    if problems:
        raise BuildError(f"{path.name} must not be shipped:\n  " + "\n  ".join(problems))
    return path


def this_platform() -> str:
    known = {"Linux-x86_64": "linux-x64", "Windows-AMD64": "windows-x64", "Darwin-arm64": "macos-arm64"}
    here = f"{this_machine.system()}-{this_machine.machine()}"
    if here not in known:
        raise BuildError(f"There is no Blender for {here}. Name a platform: {', '.join(WHEEL_TAGS)}.")
    return known[here]


def version() -> str:
    return str(tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


# ---------------------------------------------------------------- staging


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A new folder in `build/` that goes afterwards: several builds may run at the same time."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="staged_") as folder:
        yield Path(folder)


def stage(target: Target, staged: Path) -> None:
    """Puts all that goes into the zip into the folder."""
    left_out = shutil.ignore_patterns(*NOT_FOR_BLENDER)
    shutil.copytree(REPO / "blender_addon", staged, ignore=left_out, dirs_exist_ok=True)
    shutil.copytree(REPO / "engine", staged / "engine", ignore=left_out)
    if (REPO / "LICENSE").is_file():
        shutil.copy(REPO / "LICENSE", staged)
    (staged / "blender_manifest.toml").write_text(manifest(target), encoding="utf-8")
    unpack(download(target), staged / "private_packages")


def manifest(target: Target) -> str:
    """The add-on's manifest with what depends on the build."""
    text = (REPO / "blender_addon" / "blender_manifest.toml").read_text(encoding="utf-8")
    first, end = BLENDERS[target.python]
    blenders = f'blender_version_min = "{first}"\n' + (f'blender_version_max = "{end}"\n' if end else "")
    text = re.sub(r'^version = ".*"$', f'version = "{version()}"', text, flags=re.MULTILINE)
    return re.sub(
        r'^blender_version_min = ".*"\n', f'{blenders}platforms = ["{target.platform}"]\n', text, flags=re.MULTILINE
    )


def download(target: Target) -> list[Path]:
    """The wheels for the target, from the package index that pip is set up for; kept between builds."""
    folder = BUILD / "wheels" / f"{target.platform}-{target.short_python}"
    wheels = [wheel for package in PACKAGES if (wheel := _kept(folder, package))]
    if len(wheels) == len(PACKAGES):
        return wheels
    tags = [f"--platform={tag}" for tag in target.wheel_tags]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", f"--python-version={target.python}", *tags, *PACKAGES]
    folder.mkdir(parents=True, exist_ok=True)
    with own_folder() as fetched:
        if subprocess.run([*command, f"--dest={fetched}"], check=False).returncode != 0:
            wanted = ", ".join(PACKAGES)
            raise BuildError(f"pip could not fetch {wanted} for {target.platform}. Check the network and try again.")
        for wheel in fetched.iterdir():
            wheel.replace(folder / wheel.name)
    return [wheel for package in PACKAGES if (wheel := _kept(folder, package))]


def _kept(folder: Path, package: str) -> Path | None:
    name, number = package.split("==")
    return next(iter(sorted(folder.glob(f"{name}-{number}-*.whl"))), None)


def unpack(wheels: list[Path], folder: Path) -> None:
    """The packages, without what is never imported, and a list of what they are."""
    folder.mkdir(parents=True)
    lines = ["Packages that only Pentimento's worker process imports: name, version, licence, SHA-256 of the wheel", ""]
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not name.endswith("/") and not any(fnmatch.fnmatchcase(name, pattern) for pattern in NEVER_IMPORTED):
                    archive.extract(name, folder)
        lines.append(_describe(wheel, folder))
    (folder / "LIST.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _describe(wheel: Path, folder: Path) -> str:
    name, number = wheel.name.split("-")[:2]
    metadata = email.parser.Parser().parsestr(
        (folder / f"{name}-{number}.dist-info" / "METADATA").read_text(encoding="utf-8"), headersonly=True
    )
    licence = metadata["License-Expression"] or metadata["License"] or LICENCES[name]
    return f"{name} {number}, {licence}, {hashlib.sha256(wheel.read_bytes()).hexdigest()}"


# ---------------------------------------------------------------- the zip


def write_zip(folder: Path, path: Path) -> None:
    """Sorted names, one timestamp, plain permissions: nothing of the day or the machine gets in."""
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), TIMESTAMP)
            info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o100644 << 16, 3
            archive.writestr(info, file.read_bytes(), compresslevel=6)
    unfinished.replace(path)


def check(path: Path) -> list[str]:
    """What is wrong with the zip, by our own rules."""
    with zipfile.ZipFile(path) as archive:
        names, damaged = archive.namelist(), archive.testzip()
        return [
            *([f"{damaged} is damaged"] if damaged else []),
            *([f"it has {path.stat().st_size} bytes, more than {MAX_ZIP}"] if path.stat().st_size > MAX_ZIP else []),
            *(f"{name} is missing" for name in REQUIRED if name not in names),
            *(f"{name} has no place in it" for name in names if _is_foreign(name)),
            *(f"{name} is too long for Windows" for name in names if len(name) > MAX_PATH),
            *_check_versions(archive),
            *_check_syntax(archive),
            *_check_styles(archive),
        ]


REQUIRED = (
    "__init__.py",
    "blender_manifest.toml",
    "engine/boot.py",
    "engine/worker.py",
    "engine/protocol.py",
    "private_packages/LIST.txt",
    "private_packages/numpy/__init__.py",
    "private_packages/onnxruntime/__init__.py",
    "private_packages/PIL/__init__.py",
)


def _is_foreign(name: str) -> bool:
    unsafe = name.startswith(("/", "\\")) or ".." in name.split("/")
    return unsafe or "__pycache__" in name or name.endswith((".pyc", ".pkl", ".pickle", ".pth", ".pt", ".whl"))


def _check_versions(archive: zipfile.ZipFile) -> Iterator[str]:
    """One version everywhere."""
    declared = tomllib.loads(archive.read("blender_manifest.toml").decode())
    legacy = re.search(r'"version": \((\d+), (\d+), (\d+)\)', archive.read("__init__.py").decode())
    engine = re.search(r'__version__ = "(.*)"', archive.read("engine/__init__.py").decode())
    found = {
        "the manifest": declared["version"],
        "bl_info": ".".join(legacy.groups()) if legacy else "none",
        "the engine": engine.group(1) if engine else "none",
    }
    yield from (
        f"{where} says version {number}, not {version()}" for where, number in found.items() if number != version()
    )
    if "wheels" in declared:
        yield "the manifest declares wheels, which would be shared with other add-ons"


def _check_syntax(archive: zipfile.ZipFile) -> Iterator[str]:
    """Our own files are Python 3.11."""
    for name in archive.namelist():
        if name.endswith(".py") and not name.startswith("private_packages/"):
            try:
                ast.parse(archive.read(name), name, feature_version=(3, 11))
            except SyntaxError as error:
                yield f"{name}, line {error.lineno}: {error.msg}"


def _check_styles(archive: zipfile.ZipFile) -> Iterator[str]:
    """Each style's files are those that its style.json was written for."""
    for name in archive.namelist():
        if name.startswith("engine/styles/") and name.endswith("/style.json"):
            folder = name.removesuffix("style.json")
            for file, digest in json.loads(archive.read(name)).get("files", {}).items():
                if folder + file not in archive.namelist():
                    yield f"{folder}{file} is missing"
                elif hashlib.sha256(archive.read(folder + file)).hexdigest() != digest:
                    yield f"{folder}{file} is not the file that style.json names"


def blender_validate(path: Path) -> list[str]:
    """What Blender's own validator says, where the bpy wheel brings it."""
    bpy = importlib.util.find_spec("bpy")
    tools = (
        Path(bpy.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py") if bpy and bpy.origin else []
    )
    tool = next(iter(tools), None)
    if tool is None:
        print("Blender's own validator is not here (no bpy in this Python): checked by our own rules only.")
        return []
    answer = subprocess.run(
        [sys.executable, str(tool), "validate", str(path)], capture_output=True, text=True, check=False
    )
    return (
        []
        if answer.returncode == 0
        else [line for line in (answer.stdout + answer.stderr).splitlines() if line.strip()]
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the add-on's zip.")
    parser.add_argument("--platform", choices=sorted(WHEEL_TAGS), default="", help="default: this machine")
    parser.add_argument(
        "--python", choices=sorted(BLENDERS), default="3.11", help="3.11: Blender 4.2 to 5.0; 3.13: 5.1 on"
    )
    parser.add_argument("--output", type=Path, default=REPO / "dist", help="folder for the zip")
    chosen = parser.parse_args(arguments)
    try:
        path = build(chosen.platform, chosen.python, chosen.output)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    with zipfile.ZipFile(path) as archive:
        print(archive.read("private_packages/LIST.txt").decode())
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
