"""What earlier versions kept in the extension's own folder, which Blender empties with it, is moved out of there."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_styles
from blender import bpy, new_image
from conftest import PACKAGE


@pytest.fixture
def former(addon: Any) -> Iterator[Path]:
    """The extension's own folder as an earlier version left it: two styles, one of them in a folder, favourites, a
    render; and the places where they are kept now, empty."""
    place = Path(bpy.utils.extension_path_user(PACKAGE))
    for name in addon.keeping.FOLDERS:
        for folder in (place / name, addon.compat.kept_folder(name)):
            shutil.rmtree(folder, ignore_errors=True)
    tiny_styles.identity(place / "styles" / "calm", name="Calm")
    tiny_styles.brush(place / "styles" / "Client" / "wild", name="Wild")
    (place / "gallery").mkdir()
    (place / "gallery" / "favourites.json").write_text(json.dumps(["Calm"]))
    image = new_image("Render")
    image.filepath_raw, image.file_format = str(place / "renders" / "shot" / "frame.png"), "PNG"
    image.save()
    yield place
    for name in addon.keeping.FOLDERS:
        shutil.rmtree(addon.compat.kept_folder(name), ignore_errors=True)
        shutil.rmtree(place / name, ignore_errors=True)
    addon.gallery.forget_favourites()


def enable_again() -> None:
    """As after an update"""
    bpy.ops.preferences.addon_disable(module=PACKAGE)
    bpy.ops.preferences.addon_enable(module=PACKAGE)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kept(addon: Any) -> dict[str, bytes]:
    root = addon.compat.kept_folder("styles").parent
    return {name: data for name, data in contents(root).items() if name.split("/")[0] in addon.keeping.FOLDERS}


def installed(addon: Any) -> dict[str, str]:
    return {style.name: style.group for style in addon.props.library.all_styles() if not style.ships}


def test_on_enabling_everything_moves_to_where_it_is_kept(addon: Any, former: Path) -> None:
    before = contents(former)
    assert installed(addon) == {} and len(before) > 6
    enable_again()
    assert kept(addon) == before, "to the byte"
    assert not any((former / name).exists() for name in addon.keeping.FOLDERS), "and nothing is left behind"
    assert installed(addon) == {"Calm": "", "Wild": "Client"}
    assert addon.gallery.favourites() == {"Calm"}
    enable_again()
    assert kept(addon) == before, "a second time there is nothing to do"


def test_what_is_there_already_stays_as_it_is(addon: Any, former: Path) -> None:
    now = addon.compat.kept_folder("styles")
    tiny_styles.blur(now / "calm", name="Mine")
    tiny_styles.blur(now / "Client" / "other", name="Other")
    (addon.compat.kept_folder("gallery") / "favourites.json").write_text(json.dumps(["Mine"]))
    taken, left = contents(now), contents(former / "styles" / "calm")
    enable_again()
    assert {name: data for name, data in contents(now).items() if name in taken} == taken
    assert contents(former / "styles" / "calm") == left, "what has no place stays where it was"
    assert installed(addon) == {"Mine": "", "Other": "Client", "Wild": "Client"}, "folders are put together"
    assert addon.gallery.favourites() == {"Mine"}


def test_to_another_disk_it_is_copied_beside_blender(addon: Any, former: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, rename = contents(former), Path.rename

    def renamed(old: Path, new: Path) -> Path:
        if old.is_relative_to(former):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(old, new)

    monkeypatch.setattr(Path, "rename", renamed)
    threads: list[Any] = []
    monkeypatch.setattr(addon.keeping, "_wait_for", lambda thread: threads.append(thread))
    monkeypatch.setattr(bpy.app.timers, "register", lambda timer, **_: timer())
    addon.keeping.move()
    threads[0].join(30)
    monkeypatch.undo()
    assert addon.keeping._wait_for(threads[0]) is None, "the timer ends with the thread"
    assert kept(addon) == before
    assert not any((former / name).exists() for name in addon.keeping.FOLDERS)
    assert installed(addon) == {"Calm": "", "Wild": "Client"}


def test_a_file_finds_the_renders_it_painted_before_it_was_saved(addon: Any, former: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "gone.png"
    other = new_image("Other")
    other.filepath_raw = str(elsewhere)
    for name in ("Render", "Other"):
        bpy.data.images[name].source, bpy.data.images[name].use_fake_user = "FILE", True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"), relative_remap=False)
    enable_again()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    image = bpy.data.images["Render"]
    assert Path(image.filepath) == addon.compat.kept_folder("renders") / "shot" / "frame.png"
    assert len(image.pixels) > 16, "and Blender has read it"
    assert bpy.data.images["Other"].filepath == str(elsewhere), "what is missing elsewhere is not ours"
