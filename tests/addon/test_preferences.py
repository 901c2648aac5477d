"""The Python for CUDA and training, and styles that come in."""

from __future__ import annotations

import os
import shutil
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_styles
from blender import bpy, new_image


@pytest.fixture
def other_python(tmp_path: Path) -> Callable[..., str]:
    """Makes a Python of its own, as an artist would for CUDA, with these folders of packages."""

    def make(*packages: Path) -> str:
        venv.create(tmp_path / "python", with_pip=False)
        (library,) = (tmp_path / "python").glob("[Ll]ib/**/site-packages")
        (library / "more.pth").write_text("".join(f"{folder}\n" for folder in packages))
        return str(tmp_path / "python" / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))

    return make


def test_a_python_is_checked_when_it_is_entered(addon: Any, other_python: Callable[..., str]) -> None:
    preferences = addon.props.library.preferences()
    preferences.python = other_python(addon.engine_client.PRIVATE_PACKAGES)
    assert preferences.verdict.startswith("Can stylize")
    assert "numpy" in preferences.verdict


def test_what_a_python_lacks_is_said(addon: Any, other_python: Callable[..., str]) -> None:
    preferences = addon.props.library.preferences()
    preferences.python = other_python()
    assert "lacks" in preferences.verdict
    assert "onnxruntime" in preferences.verdict


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/cat", "/bin/true"])
def test_what_is_no_python_is_said(addon: Any, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = addon.engine_client.Limits(ready=2.0, silence=2.0)
    monkeypatch.setattr(addon.setting_up, "PATIENCE", limits)
    preferences = addon.props.library.preferences()
    preferences.python = python
    assert "stylize" not in preferences.verdict
    assert preferences.verdict
    preferences.python = ""
    assert preferences.verdict.startswith("Can stylize"), "Blender's own Python is there again"


def test_the_chosen_python_does_the_work(addon: Any, styles: Any, other_python: Callable[..., str]) -> None:
    chosen = addon.props.library.preferences().python = other_python(addon.engine_client.PRIVATE_PACKAGES)
    new_image()
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
    assert addon.jobs.PAINTING.slot.worker.interpreter == addon.engine_client.Interpreter(chosen)


def test_a_style_is_imported_and_chosen(addon: Any, tmp_path: Path) -> None:
    addon.props.library.preferences().styles_folder = str(tmp_path / "mine")
    tiny_styles.bgr_255(tmp_path / "mosaic.onnx")
    path = str(tmp_path / "mosaic.onnx")
    assert bpy.ops.pentimento.import_style(filepath=path, name="My Mosaic") == {"FINISHED"}
    assert [style.name for style in addon.props.library.styles() if style.folder.is_relative_to(tmp_path)] == [
        "My Mosaic"
    ]
    assert bpy.context.scene.pentimento.style == "My Mosaic"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x80\x04\x95 a pickle"])
def test_what_is_no_style_is_refused(addon: Any, tmp_path: Path, content: bytes) -> None:
    addon.props.library.preferences().styles_folder = str(tmp_path / "mine")
    for name in ("style.zip", "style.onnx"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RuntimeError):
            bpy.ops.pentimento.import_style(filepath=str(tmp_path / name))
        assert addon.jobs.last_report().fix
    assert addon.props.library._styles_in(tmp_path / "mine") == []


def test_broken_packs_in_the_folder_do_not_show(addon: Any, packs: Path, tmp_path: Path) -> None:
    for name, text in (("a", "{"), ("b", "[]"), ("c", "{}"), ("d", '{"name": 3}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "style.json").write_text(text)
    (tmp_path / "file").write_text("")
    addon.props.library.preferences().styles_folder = str(tmp_path)
    assert [style.name for style in addon.props.library.styles() if style.folder.is_relative_to(tmp_path)] == ["3"]


def test_a_hash_that_does_not_fit_is_refused_by_the_worker(addon: Any, tmp_path: Path) -> None:
    tiny_styles.identity(tmp_path / "mine")
    model = tmp_path / "mine" / "generator.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    addon.props.library.preferences().styles_folder = str(tmp_path)
    bpy.context.scene.pentimento.style = "Identity"
    new_image()
    with pytest.raises(RuntimeError):
        bpy.ops.pentimento.stylize_image(image="Stone")
    assert addon.jobs.last_report().fix
    assert set(bpy.data.images.keys()) == {"Stone"}


def test_shipped_styles_are_offered(addon: Any) -> None:
    shipped = [style for style in addon.props.library.styles() if style.folder.parent == addon.engine_client.STYLES]
    assert all(style.preview.is_file() for style in shipped)


def test_pictures_of_styles_outlive_the_list(addon: Any, styles: Any, tmp_path: Path) -> None:
    """One that is freed while Blender's job loads it is freed twice, and Blender crashes: at the end of a training."""
    library, file = addon.props.library, tmp_path / "preview.png"
    assert library.picture_of(file) == 0, "there is no such file"
    shutil.copyfile(Path(addon.engine_client.STYLES, "pastel", "preview.png"), file)
    library.picture_of(file)  # no number in background, where nothing is drawn
    pictures = library._previews
    (name,) = pictures
    library.refresh_styles()
    library.picture_of(file)
    assert library._previews is pictures and list(pictures) == [name]
    os.utime(file, ns=(1, 1))
    library.picture_of(file)
    assert len(pictures) == 2, "written anew, it is another picture"
    library.free_pictures()
    assert library._previews is None


def test_a_file_remembers_its_style_by_name(addon: Any, styles: Any, tmp_path: Path) -> None:
    styles.style = "Brush"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    tiny_styles.identity(tmp_path / "more" / "aaa", name="AAA")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert bpy.context.scene.pentimento.style == "Brush"
    addon.props.library.preferences().styles_folder = str(tmp_path / "more")
    with pytest.raises(addon.engine_client.EngineError, match="'Brush' is not installed"):
        addon.props.chosen_style(bpy.context.scene.pentimento)
