"""Nothing English is left where the add-on is Chinese: panels are drawn in many states, and read word by word."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import test_panels
import tiny_styles
import ui_strings
from blender import bpy, new_image
from conftest import PACKAGE
from test_layers import Menus
from test_panels import lines_of
from test_translation import in_chinese, messages, translated  # noqa: F401 - fixtures

PROPER = """Pentimento Blender Python CUDA UV PyTorch ImageNet ONNX NHWC NCHW RGB BGR MP4 CPU NVIDIA onnxruntime numpy
onnx OpenEXR EXR GB CC wheel EEVEE Cycles Cryptomatte Vector"""
TESTS = "Stone Brush Identity Pattern Mosaic mosaic Attribution Scale Stylized Sea"
NAMES = {*PROPER.split(), *TESTS.split()}
"""Names of things, also those of these tests"""
ASKS = "ImageExplainPanel"
"""Needs a real editor: its answers are sentences of overlays, which the main panel draws, too"""


@pytest.fixture
def look_up(addon: Any, in_chinese: None, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """As Blender looks up what a panel leaves to it"""
    monkeypatch.setattr(test_panels, "Layout", Menus)
    contexts = ui_strings.translation("zh_HANS")
    return lambda text: next((texts[text] for texts in contexts.values() if text in texts), text)


def english(addon: Any, look_up: Any, panel: str, image: Any = None) -> set[str]:
    """What is drawn and has English words in it, besides names"""
    named = [*addon.props.library.all_styles(), *(one for one in addon.presets.found() if not one.ships)]
    names = {one.name for one in named}
    said = [look_up(line) for line in lines_of(addon, panel, image) if not re.fullmatch(r"[a-z_0-9.]*", line)]
    said = [line for line in said if line not in names]
    return {line for line in said if _words(line) - NAMES}


def _words(line: str) -> set[str]:
    others = r"\S*[/\\]\S*|\S+\.\d+|[A-Za-z]+-[A-Za-z]+"  # paths, versions, what a name begins with
    return set(re.findall(r"[A-Za-z]{2,}", re.sub(others, "", line)))


def left_in_all(addon: Any, look_up: Any, image: Any) -> dict[str, set[str]]:
    """Of every panel that would be drawn"""
    shown = (
        cls
        for cls in addon.panels.CLASSES
        if issubclass(cls, bpy.types.Panel) and cls.__name__ != ASKS and _is_shown(cls)
    )
    found = {cls.__name__: english(addon, look_up, cls.__name__, image) for cls in shown}
    return {panel: left for panel, left in found.items() if left}


def _is_shown(cls: Any) -> bool:
    return bool(cls.poll(bpy.context)) if any("poll" in vars(base) for base in cls.__mro__[:2]) else True


def test_at_rest_and_with_a_result(addon: Any, styles: Any, look_up: Any) -> None:
    stone = new_image()
    assert not left_in_all(addon, look_up, stone)
    styles.style, styles.overlays = "Brush", {"Scale", "Removal"}
    bpy.ops.pentimento.stylize_image(image="Stone")
    assert not left_in_all(addon, look_up, bpy.data.images["Stone (Brush)"])
    assert not left_in_all(addon, look_up, bpy.data.images["Stone Attribution.Scale"])


def test_the_card_of_every_style(addon: Any, styles: Any, look_up: Any, tmp_path: Path) -> None:
    addon.props.library.preferences().styles_folder = str(tmp_path)
    tiny_styles.guided(tmp_path / "guided", name="Sea")
    tiny_styles.pattern(tmp_path / "pattern")
    tiny_styles.bgr_255(tmp_path / "mosaic.onnx")
    bpy.ops.pentimento.import_style(filepath=str(tmp_path / "mosaic.onnx"), name="Mosaic")
    for style in addon.props.library.all_styles():
        own = {style.name, style.author, style.licence, style.group}
        for row in addon.gallery.card(style):
            assert row.text in own or not _words(row.text) - NAMES, (style.name, row)
            assert look_up(row.label) != row.label, row


def test_what_the_python_can_do(addon: Any, styles: Any, look_up: Any) -> None:
    bpy.ops.pentimento.check_python()
    engine = sys.modules[f"{PACKAGE}.panels.engine"]
    said: list[str] = []
    context = types.SimpleNamespace(
        preferences=types.SimpleNamespace(system=types.SimpleNamespace(ui_scale=1.0)),
        region=types.SimpleNamespace(type="WINDOW", width=400),
    )
    preferences = addon.props.library.preferences()
    assert addon.setting_up.checked is not None and len(addon.setting_up.facts()) > 5
    for _ in range(2):
        engine.draw_python(test_panels.Layout(said), context, preferences)
        addon.setting_up.checked = None  # then what the preferences keep of it is drawn
    left = [line for line in map(look_up, said) if re.search("[A-Z]", line) and _words(line) - NAMES]
    assert not left


@pytest.mark.parametrize(
    ("act", "chinese"),
    [
        (lambda: bpy.ops.pentimento.stylize_image(image="Nobody"), "图像 .* 已不存在"),
        (lambda: bpy.ops.pentimento.load_preset(name="Nobody"), "没有预设 'Nobody'。请在列表中选择一个。"),
        (lambda: bpy.ops.pentimento.rename_style(name="Nobody", new_name="Sea"), "没有风格 'Nobody'。请在风格库中"),
    ],
)
def test_what_goes_wrong(addon: Any, styles: Any, look_up: Any, act: Any, chinese: str) -> None:
    with pytest.raises(RuntimeError, match=chinese):
        act()
