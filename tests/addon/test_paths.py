"""Places that make trouble: names that are no UTF-8, folders that cannot be written, disks that are full."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blender import bpy, new_image, new_scene, pixels_of
from conftest import PACKAGE, PROFILE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes such names")
@pytest.mark.parametrize("name", ["Grüße 名前 🎨", os.fsdecode(b"gr\xfc\xdfe")], ids=["utf-8", "not utf-8"])
def test_names_in_any_script_or_none(addon: Any, styles: Any, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    new_scene()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    assert len(list((folder / "pentimento").glob("*dentity*.exr"))) == 1
    addon.jobs.last_report().fix.encode("utf-8")
    new_image()
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}


READ_ONLY = """
import os, sys
import bpy, addon_utils
bpy.ops.wm.read_factory_settings(use_empty=True)
addon_utils.enable(sys.argv[1], default_set=True)
bpy.context.preferences.addons[sys.argv[1]].preferences.styles_folder = sys.argv[2]
bpy.ops.wm.open_mainfile(filepath=sys.argv[3])
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
bpy.context.preferences.filepaths.temporary_directory = os.environ["TMPDIR"]
try:
    bpy.ops.pentimento.stylize_render()
except RuntimeError as error:
    print("REFUSED", error)
print("LEFT", sorted(bpy.data.images.keys()), bpy.context.scene.render.filepath)
"""


@pytest.mark.skipif(os.name != "posix", reason="modes of folders are a matter of POSIX")
def test_a_read_only_project_folder(addon: Any, styles: Any, packs: Path, tmp_path: Path) -> None:
    """As a user without rights: refused before anything is rendered, and nothing changed."""
    new_scene().render.filepath = "//mine"
    stone = new_image()
    stone.pack()
    stone.use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    parents = {*tmp_path.parents, *packs.parents} - {*Path(tempfile.gettempdir()).parents, Path(tempfile.gettempdir())}
    readable = [PROFILE, packs, tmp_path, *parents]
    modes = {folder: folder.stat().st_mode for folder in readable}
    for folder in readable:
        folder.chmod(0o755)
    tmp_path.chmod(0o555)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            Path(temporary).chmod(0o777)
            answer = subprocess.run(
                [sys.executable, "-c", READ_ONLY, PACKAGE, str(packs), str(tmp_path / "shot.blend")],
                capture_output=True,
                text=True,
                timeout=120,
                env={**os.environ, "BLENDER_USER_RESOURCES": str(PROFILE), "TMPDIR": temporary},
                check=False,
            )
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)
    assert "cannot be written" in answer.stdout, answer.stdout + answer.stderr
    assert "choose a place that can be written" in answer.stdout
    assert "Rendering" not in answer.stdout
    assert "LEFT ['Stone'] //mine" in answer.stdout, answer.stdout + answer.stderr
    assert not (tmp_path / "pentimento").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "pentimento", str(disk)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can only be mounted by root on Linux")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_for_temporary_files(
    addon: Any, styles: Any, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stone = new_image(size=(512, 512))
    before = pixels_of(stone).copy()
    temporary = addon.scene_io.tempfile.TemporaryDirectory

    def on_small_disk(**options: Any) -> Any:
        return temporary(**{**options, "dir": str(small_disk)})

    monkeypatch.setattr(addon.scene_io.tempfile, "TemporaryDirectory", on_small_disk)
    with pytest.raises(RuntimeError, match=r"could not be written.*No space left"):
        bpy.ops.pentimento.stylize_image(image="Stone")
    assert list(small_disk.iterdir()) == []
    assert set(bpy.data.images.keys()) == {"Stone"}
    assert (pixels_of(stone) == before).all()


@pytest.mark.parametrize("fits", ["nothing", "the layers without their preview"])
def test_a_full_disk_for_results(addon: Any, styles: Any, small_disk: Path, tmp_path: Path, fits: str) -> None:
    """The render fits, the result does not, or not all of it: an error with a fix, and nothing half-written."""
    new_scene(size=(100, 100))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    given, result = sorted((tmp_path / "pentimento").glob("*.exr"), key=lambda path: "dentity" in path.name)
    bpy.ops.wm.save_as_mainfile(filepath=str(small_disk / "shot.blend"), compress=True)
    room = 1 if fits == "nothing" else -(-result.stat().st_size // 4096)
    (small_disk / "fill").write_bytes(b"x" * max(0, (os.statvfs(small_disk).f_bavail - room) * 4096))
    with pytest.raises(RuntimeError):
        bpy.ops.pentimento.stylize_render(filepath=str(given))
    assert addon.jobs.last_report().fix
    assert list((small_disk / "pentimento").iterdir()) == []


def test_a_full_disk_for_renders(addon: Any, styles: Any, small_disk: Path) -> None:
    """Blender says that it has saved them, and has not: each is told, and none has the name of a whole one."""
    scene = new_scene(size=(64, 36))
    scene.frame_start, scene.frame_end = 1, 3
    chosen = scene.pentimento_animation
    chosen.folder, chosen.strokes = str(small_disk), "ANEW"
    (small_disk / "frames").mkdir()
    (small_disk / "fill").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * 4096))
    with pytest.raises(RuntimeError, match=r"Frame 1: It could not be rendered.*the disk may be full"):
        bpy.ops.pentimento.stylize_animation()
    assert list((small_disk / "frames").iterdir()) == []
    (small_disk / "fill").unlink()
    assert bpy.ops.pentimento.stylize_animation() == {"FINISHED"}
    assert len(list(small_disk.glob("*identity*.exr"))) == 3


def test_scratch_files_are_gone_after_the_job(addon: Any, styles: Any) -> None:
    new_image()
    before = set(Path(bpy.app.tempdir).iterdir())
    bpy.ops.pentimento.stylize_image(image="Stone")
    assert set(Path(bpy.app.tempdir).iterdir()) == before
