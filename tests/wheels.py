"""Wheels made by hand, so that a set-up needs no network: each has its real name and version, and one small module."""

from __future__ import annotations

import zipfile
from pathlib import Path

MODULES = {"openexr": "OpenEXR", "pillow": "PIL", "onnxruntime-gpu": "onnxruntime"}
"""Where the module is not called like the package"""


def wheel(folder: Path, pin: str, needs: tuple[str, ...] = (), points_to: Path | None = None) -> Path:
    """pin: name==version. points_to: a folder that has the real package, in place of a module that does nothing.
    Returns the .whl file."""
    name, _, version = pin.partition("==")
    name = name.partition("[")[0]
    module, info = MODULES.get(name, name.replace("-", "_")), f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {need}\n" for need in needs
    )
    extras = "Provides-Extra: cuda\nProvides-Extra: cudnn\n"
    files = {
        f"{info}/METADATA": metadata + extras,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    where, text = (f"{module}.pth", f"{points_to}\n") if points_to else (f"{module}/__init__.py", "")
    files[where] = text
    record = "".join(f"{file},,\n" for file in files) + f"{info}/RECORD,,\n"
    path = folder / f"{info.removesuffix('.dist-info')}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, content)
    return path


def wheels(folder: Path, pins: tuple[str, ...], real: Path | None = None) -> Path:
    """real: a folder with the packages that paint; those of the pins that train stay empty."""
    for pin in pins:
        name = pin.partition("==")[0].partition("[")[0]
        paints = name in ("numpy", "onnxruntime", "onnxruntime-gpu", "openexr", "pillow")
        wheel(folder, pin, points_to=real if paints else None)
    return folder
