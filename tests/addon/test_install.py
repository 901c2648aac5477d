"""What the zip puts into Blender, how fast, and that it leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from blender import bpy, new_image, pump
from conftest import PACKAGE, PROFILE, REPO

import build_addon

INSTALLED = PROFILE / "extensions" / "user_default" / "pentimento"


def in_fresh_blender(code: str, *arguments: str, profile: Path = PROFILE) -> subprocess.CompletedProcess[str]:
    """Runs code in a new process with a Blender of the same version; `arguments` are in sys.argv[1:].

    It ends without the exit handlers of the C library: in those the bpy module of 4.2 frees its panels after Python is
    gone, and crashes wherever a property with a callback was registered before, unregistered or not, by whomever."""
    code += "\nimport os, sys\nsys.stdout.flush()\nsys.stderr.flush()\nos._exit(0)\n"
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(profile)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def test_the_installed_extension_is_what_the_zip_holds(addon: Any, addon_zip: Path) -> None:
    with zipfile.ZipFile(addon_zip) as archive:
        for name in archive.namelist():
            assert (INSTALLED / name).read_bytes() == archive.read(name), name


def test_blender_finds_nothing_wrong_with_the_zip(addon_zip: Path) -> None:
    assert build_addon.blender_validate(addon_zip) == []
    assert build_addon.check(addon_zip) == []


def test_the_private_packages_are_listed_with_versions_and_licences(addon_zip: Path) -> None:
    with zipfile.ZipFile(addon_zip) as archive:
        listed = archive.read("private_packages/LIST.txt").decode()
        for package in build_addon.PACKAGES:
            name, number = package.split("==")
            line = next(line for line in listed.splitlines() if line.startswith(f"{name} {number}, "))
            assert len(line.split(", ")[-1]) == 64
            places = (f"private_packages/{name}-{number}.dist-info/licenses/", f"private_packages/{name}/LICENSE")
            assert any(file.startswith(places) for file in archive.namelist())


def test_nothing_of_ours_is_shared_with_other_addons(addon: Any) -> None:
    assert not (PROFILE / "extensions" / ".local").exists()
    assert not any("private_packages" in path for path in sys.path)


def test_the_same_sources_give_the_same_zip(tmp_path: Path) -> None:
    folder = tmp_path / "staged"
    (folder / "b").mkdir(parents=True)
    for name, text in (("z.py", "1"), ("b/a.txt", "2" * 1000)):
        (folder / name).write_text(text)
    digests = []
    for attempt in ("1.zip", "2.zip"):
        build_addon.write_zip(folder, tmp_path / attempt)
        digests.append(hashlib.sha256((tmp_path / attempt).read_bytes()).hexdigest())
        os.utime(folder / "z.py", (1e9, 1e9))
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("engine/styles/old.pth", b"", "has no place"),
        ("../evil.py", b"", "has no place"),
        ("engine/broken.py", b"def f[T](): pass", "line 1"),
        ("engine/" + "a" * 120, b"", "too long for Windows"),
        ("engine/styles/x/style.json", b'{"files": {"generator.onnx": "00"}}', "generator.onnx is missing"),
    ],
)
def test_a_zip_that_must_not_be_shipped_is_refused(
    addon_zip: Path, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    bad = shutil.copy(addon_zip, tmp_path / "bad.zip")
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr(name, content)
    assert any(said in problem for problem in build_addon.check(bad))


MEASURE = """
import json, sys, time
import bpy, addon_utils
bpy.ops.wm.read_factory_settings(use_empty=True)
start = time.perf_counter()
addon_utils.enable(sys.argv[1], default_set=True)
print(json.dumps({"seconds": time.perf_counter() - start, "modules": [m for m in sys.modules if "." not in m]}))
"""


def test_enabling_is_quick_and_imports_no_engine(addon: Any) -> None:
    answer = in_fresh_blender(MEASURE, PACKAGE)
    assert answer.returncode == 0, answer.stderr
    measured = json.loads(answer.stdout.splitlines()[-1])
    print(f"enabled in {measured['seconds'] * 1000:.0f} ms")
    assert measured["seconds"] < 0.5, "benchmarks/addon_start.py holds it to 0.2 s on a quiet machine"
    assert not {"torch", "onnxruntime", "PIL", "OpenEXR"} & set(measured["modules"])


AFTER_A_JOB = """
import sys
import bpy, addon_utils
bpy.ops.wm.read_factory_settings(use_empty=True)
numpy_of_blender = __import__("numpy").__file__
addon_utils.enable(sys.argv[1], default_set=True)
bpy.context.preferences.addons[sys.argv[1]].preferences.styles_folder = sys.argv[2]
bpy.context.scene.pentimento.style = "Brush"
bpy.context.scene.pentimento.overlays = {"Scale"}
bpy.data.images.new("Stone", 32, 32).pack()
assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
assert "Stone (Brush)" in bpy.data.images
assert __import__("numpy").__file__ == numpy_of_blender
print("LOADED", {"torch", "onnxruntime", "PIL", "OpenEXR"} & set(sys.modules))
"""


def test_after_a_job_blender_has_loaded_none_of_the_engines_packages(addon: Any, packs: Path) -> None:
    answer = in_fresh_blender(AFTER_A_JOB, PACKAGE, str(packs))
    assert answer.returncode == 0, answer.stderr
    assert "LOADED set()" in answer.stdout


IMPORTED = """
import json, sys
before = set(sys.modules)
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + sys.argv[1:]
import engine.stylize, engine.files, engine.runtime, onnxruntime, OpenEXR, PIL.Image, numpy
print(json.dumps({name: getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - before}))
"""


def test_the_worker_needs_nothing_but_the_private_packages(addon: Any) -> None:
    """Started as the add-on starts it; all that it and its libraries import lies in Python itself or in our folder."""
    interpreter = addon.engine_client.blender_python()
    command = addon.engine_client.command(interpreter)
    assert command[1] == "-I"
    assert command[3:] == ["--site", str(INSTALLED / "private_packages")]
    command = [interpreter.python, "-I", "-c", IMPORTED, str(INSTALLED), interpreter.site]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    files = json.loads(answer.stdout)
    for name in ("numpy", "onnxruntime", "OpenEXR", "PIL"):
        assert Path(files[name]).is_relative_to(INSTALLED / "private_packages"), files[name]
    outside = {name for name, file in files.items() if file and "site-packages" in file}
    assert not outside


def test_the_worker_ignores_what_the_environment_says_about_python(
    addon: Any, styles: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    new_image()
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}


def traces() -> dict[str, Any]:
    """All that an add-on could leave in Blender."""
    return {
        "types": sorted(name for name in dir(bpy.types) if "entimento" in name.lower() or name in PANELS),
        "operators": sorted(dir(bpy.ops.pentimento)) if hasattr(bpy.ops, "pentimento") else [],
        "scene": hasattr(bpy.types.Scene, "pentimento"),
        "handlers": [str(handler) for handler in bpy.app.handlers.load_pre if "pentimento" in str(handler)],
    }


PANELS = {"PENTIMENTO_PT_image", "PENTIMENTO_PT_view", "PENTIMENTO_PT_render"}


def test_twice_on_and_off_leaves_nothing(addon: Any, styles: Any) -> None:
    new_image()
    bpy.ops.pentimento.stylize_image(image="Stone")
    there = traces()
    assert set(there["types"]) >= PANELS
    pid = addon.jobs.PAINTING.slot.worker.pid
    assert pid
    for _ in range(2):
        bpy.ops.preferences.addon_disable(module=PACKAGE)
        gone = traces()
        assert gone == {"types": [], "operators": [], "scene": False, "handlers": []}
        bpy.ops.preferences.addon_enable(module=PACKAGE)
        assert traces() == there
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_disabling_in_the_middle_of_a_job_ends_it(addon: Any, styles: Any) -> None:
    new_image()
    addon.jobs.start(addon.operators.painting.image_job(bpy.context, "Stone", blocking=False))
    pump(addon.jobs, lambda: addon.jobs.PAINTING.slot.worker is not None, 5)
    pid = addon.jobs.PAINTING.slot.worker.pid
    bpy.ops.preferences.addon_disable(module=PACKAGE)
    assert not bpy.app.timers.is_registered(addon.jobs._tick)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    bpy.ops.preferences.addon_enable(module=PACKAGE)


LEGACY = """
import sys
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.preferences.addon_install(filepath=sys.argv[1])
assert bpy.ops.preferences.addon_enable(module="pentimento") == {"FINISHED"}
bpy.context.preferences.addons["pentimento"].preferences.styles_folder = sys.argv[2]
bpy.context.scene.pentimento.style = "Brush"
bpy.data.images.new("Stone", 32, 32).pack()
assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
assert "Stone (Brush)" in bpy.data.images
bpy.ops.preferences.addon_disable(module="pentimento")
print("LEGACY WORKS")
"""


def test_the_same_sources_install_as_a_legacy_addon(addon_zip: Path, packs: Path, tmp_path: Path) -> None:
    staged = tmp_path / "staged" / "pentimento"
    shutil.unpack_archive(addon_zip, staged)
    archive = shutil.make_archive(str(tmp_path / "legacy"), "zip", staged.parent, "pentimento")
    answer = in_fresh_blender(LEGACY, archive, str(packs), profile=tmp_path / "profile")
    assert "LEGACY WORKS" in answer.stdout, answer.stderr


def test_each_interpreter_and_platform_has_its_blenders() -> None:
    for python in build_addon.BLENDERS:
        for platform in build_addon.WHEEL_TAGS:
            text = build_addon.manifest(build_addon.Target(platform, python))
            assert f'platforms = ["{platform}"]' in text
            assert 'version = "' + build_addon.version() in text
    assert (REPO / "LICENSE").is_file()
