"""Somebody else's model, tried before it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from blender import bpy, new_image, pump
from test_panels import draw

RANGES = {"UNIT": (0.0, 1.0), "SIGNED": (-1.0, 1.0), "BYTES": (0.0, 255.0)}


@pytest.fixture
def mine(addon: Any, tmp_path: Path) -> Any:
    addon.props.library.preferences().styles_folder = str(tmp_path / "mine")
    yield tmp_path / "mine"
    addon.importing.checking = None


def chosen(addon: Any) -> Any:
    return addon.props.gallery.import_settings(bpy.context)


def spec(folder: Path) -> Any:
    return json.loads((folder / "style.json").read_text())["model"]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("values", list(RANGES))
def test_each_layout_and_range_is_tried_and_kept(
    addon: Any, mine: Path, tmp_path: Path, layout: str, values: str
) -> None:
    path = tiny_styles.negative(tmp_path / "look.onnx", layout.lower(), RANGES[values])
    assert bpy.ops.pentimento.try_import(filepath=str(path)) == {"FINISHED"}
    assert chosen(addon).layout == layout
    chosen(addon).value_range, chosen(addon).licence = values, "CC0-1.0"
    assert bpy.ops.pentimento.try_import() == {"FINISHED"}
    before, after = addon.importing.checking.pictures
    assert np.abs(before.astype(int) + after - 255).max() <= 1, "the negative"
    assert bpy.ops.pentimento.keep_import() == {"FINISHED"}
    assert addon.importing.checking is None and bpy.context.scene.pentimento.style == "Look"
    kept = spec(mine / "look")
    assert tuple(kept["range"]) == RANGES[values] and kept["inputs"]["image"]["layout"] == layout


def test_it_is_tried_on_the_picture_in_view(addon: Any, mine: Path, tmp_path: Path) -> None:
    from blender import use_in_material

    stone = new_image(size=(96, 64))
    use_in_material(stone)
    bpy.ops.pentimento.try_import(filepath=str(tiny_styles.negative(tmp_path / "look.onnx", "nchw", (0.0, 1.0))))
    assert addon.importing.checking.image == "Stone"
    assert addon.importing.checking.pictures[0].shape == (64, 96, 3)
    rows = np.array(stone.pixels[:]).reshape(64, 96, 4)[::-1, :, :3]
    assert set(bpy.data.images.keys()) == {"Stone"}, "nothing is added to the file"
    assert abs(addon.importing.checking.pictures[0].mean() / 255 - rows.mean()) < 0.02


def test_everything_can_be_changed(addon: Any, mine: Path, tmp_path: Path) -> None:
    bpy.ops.pentimento.try_import(filepath=str(tiny_styles.negative(tmp_path / "look.onnx", "nchw", (0.0, 1.0))))
    c = chosen(addon)
    c.name, c.author, c.channel_order, c.normalisation, c.multiple = "Mine", "Me", "BGR", "IMAGENET", 32
    c.value_range, c.low, c.high, c.output_range = "OTHER", -2.0, 3.0, "BYTES"
    bpy.ops.pentimento.try_import()
    facts = addon.importing.checking.facts
    assert (facts.channel_order, facts.normalisation, facts.multiple) == ("bgr", "imagenet", 32)
    assert (facts.value_range, facts.output_range) == ((-2.0, 3.0), (0.0, 255.0))
    assert (c.name, c.author) == ("Mine", "Me"), "a further trial leaves what the artist wrote"
    bpy.ops.pentimento.keep_import()
    kept = spec(mine / "mine")
    assert kept["inputs"]["image"]["deviation"] == [0.229, 0.224, 0.225] and kept["stride"] == 32


def test_what_cannot_be_run_is_said_and_can_be_mended(addon: Any, mine: Path, tmp_path: Path) -> None:
    bpy.ops.pentimento.try_import(filepath=str(tiny_styles.negative(tmp_path / "look.onnx", "nchw", (0.0, 1.0))))
    chosen(addon).layout = "NHWC"
    with pytest.raises(RuntimeError, match="Choose NCHW"):
        bpy.ops.pentimento.try_import()
    assert "Choose NCHW" in draw(addon, "ImageImportPanel").replace("  ", " ")
    with pytest.raises(RuntimeError):
        bpy.ops.pentimento.keep_import()
    assert addon.importing.checking is not None and not mine.exists()
    chosen(addon).layout = "NCHW"
    assert bpy.ops.pentimento.try_import() == {"FINISHED"} and addon.importing.checking.problem is None
    assert bpy.ops.pentimento.discard_import() == {"FINISHED"}
    assert addon.importing.checking is None and not mine.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no model", b"\x80\x04\x95 a pickle"])
def test_what_is_no_model_is_refused(addon: Any, mine: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(RuntimeError):
        bpy.ops.pentimento.try_import(filepath=str(tmp_path / "a.onnx"))
    assert addon.importing.checking.problem.fix and addon.importing.checking.facts is None
    assert not bpy.ops.pentimento.keep_import.poll()
    assert draw(addon, "ViewportImportPanel")


def test_several_are_looked_at_one_after_the_other(addon: Any, mine: Path, tmp_path: Path) -> None:
    paths = [tiny_styles.negative(tmp_path / f"{name}.onnx", "nchw", (0.0, 1.0)) for name in ("one", "two", "three")]
    addon.importing.begin(paths, None)
    assert "2 more wait" in draw(addon, "RenderImportPanel")
    bpy.ops.pentimento.try_import()
    bpy.ops.pentimento.keep_import()
    assert addon.importing.checking.path == paths[1] and addon.importing.checking.facts is None
    bpy.ops.pentimento.discard_import()
    bpy.ops.pentimento.try_import()
    assert chosen(addon).name == "Three", "filled anew for the next one"
    bpy.ops.wm.read_homefile(use_empty=True)
    assert addon.importing.checking is None, "it belonged to the file before"


def test_scripts_say_what_they_know(addon: Any, mine: Path, tmp_path: Path) -> None:
    path = tiny_styles.negative(tmp_path / "look.onnx", "nhwc", (-1.0, 1.0))
    known = {"channel_order": "bgr", "value_range": (-1.0, 1.0), "layout": "nhwc", "author": "Somebody"}
    assert bpy.ops.pentimento.import_style(filepath=str(path), name="Look", **known) == {"FINISHED"}
    assert spec(mine / "look")["range"] == [-1.0, 1.0] and spec(mine / "look")["order"] == "BGR"


def test_a_change_is_tried_in_a_moment_and_only_the_last_one(
    addon: Any, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a window: Blender's timers are stood in for, the worker is the real one."""
    importing, started = addon.importing, []
    start = addon.jobs.start
    monkeypatch.setattr(addon.jobs, "start", lambda job: (started.append(job), start(job))[1])
    importing.begin([tiny_styles.negative(tmp_path / "look.onnx", "nchw", (0.0, 1.0))], None)
    assert importing._try() is None, "it starts the job and goes"
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert importing.checking.pictures is not None
    chosen(addon).value_range = "BYTES"
    importing._due = importing.time.monotonic() + 0.05
    assert 0 < importing._try() <= 0.05 and len(started) == 1, "it waits for the last change"
    importing._due = 0.0
    assert importing._try() is None and len(started) == 2
    assert importing._try() == 0.1 and addon.jobs.current().cancelling, "it tries what is no longer asked"
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert importing._try() is None
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert importing.checking.facts.value_range == (0.0, 255.0)


def test_the_panel_shows_what_was_found_out(addon: Any, mine: Path, tmp_path: Path) -> None:
    tiny_styles.bgr_255(tmp_path / "mosaic.onnx", metadata=True)
    bpy.ops.pentimento.try_import(filepath=str(tmp_path / "mosaic.onnx"))
    for panel in ("ImageImportPanel", "ViewportImportPanel", "RenderImportPanel"):
        said = draw(addon, panel).replace("  ", " ")
        assert {"channel_order", "value_range", "normalisation", "layout", "multiple"} <= set(said.split())
        assert "The file says: channels, values, layout." in said
        assert "Only 64 x 64 pixels at once" in said
