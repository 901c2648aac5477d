"""The add-on in Chinese: every text has a translation, and is drawn in lines that fit.

The `bpy` module is built without languages, so here a stand-in looks texts up; what Blender itself makes of the file is
asked of an installed Blender, where there is one.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import error_texts
import pytest
import ui_strings
from blender import new_image, pump
from conftest import PACKAGE, REPO
from test_panels import draw, lines_of

CHINESE = "zh_HANS"
PROPER_NAMES = {"BGR", "CPU", "CUDA", "ImageNet", "MP4", "Pentimento", "Python", "RGB", "UV"}
"""The same in every language"""
FILES = {"style.json"}


@pytest.fixture
def texts(addon: Any) -> list[ui_strings.Text]:
    return ui_strings.every(PACKAGE)


@pytest.fixture(scope="module")
def translated() -> dict[str, dict[str, str]]:
    return ui_strings.translation(CHINESE)


@pytest.fixture(scope="module")
def messages() -> dict[str, str]:
    """What goes wrong, in Chinese"""
    return ui_strings.translation(f"{CHINESE}_messages")["*"]


@pytest.fixture
def in_chinese(
    addon: Any, translated: dict[str, dict[str, str]], messages: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a Blender that is set to Chinese, but for what it looks up by itself."""
    found = {**translated, "*": {**messages, **translated["*"]}}
    monkeypatch.setattr(addon.translation, "look_up", lambda text, context: found[context].get(text, text))


def pairs(translated: dict[str, dict[str, str]]) -> list[tuple[str, str]]:
    return [pair for context in translated.values() for pair in context.items()]


# ---------------------------------------------------------------- the file


def test_every_text_is_translated(texts: list[ui_strings.Text], translated: dict[str, dict[str, str]]) -> None:
    lacking = ui_strings.missing(texts, translated)
    assert not lacking, json.dumps(lacking, ensure_ascii=False, indent=2)


def test_nothing_is_left_of_texts_that_are_gone(
    texts: list[ui_strings.Text], translated: dict[str, dict[str, str]]
) -> None:
    used = {(context, text.english) for text in texts for context in text.contexts}
    left = [(context, text) for context, some in translated.items() for text in some if (context, text) not in used]
    assert not left


def test_translations_name_the_same_values(translated: dict[str, dict[str, str]]) -> None:
    for english, chinese in pairs(translated):
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), english


def test_only_proper_names_stay_as_they_are(translated: dict[str, dict[str, str]]) -> None:
    assert {english for english, chinese in pairs(translated) if chinese in (english, "")} <= PROPER_NAMES


def test_whatever_goes_wrong_is_translated(translated: dict[str, dict[str, str]], messages: dict[str, str]) -> None:
    """Each message of the sources and what to do then; and nothing is left of those that are gone."""
    said = error_texts.templates()
    lacking = {text: where for text, where in said.items() if text not in messages}
    assert not lacking, json.dumps(lacking, ensure_ascii=False, indent=2)
    assert not set(messages) - set(said)
    others = {text: chinese for context in translated.values() for text, chinese in context.items()}
    assert not [text for text in messages if others.get(text, messages[text]) != messages[text]], "one translation"


def test_messages_name_the_same_values(messages: dict[str, str]) -> None:
    for english, chinese in messages.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), english
        assert chinese != english or english in FILES, english
        assert re.search("[\u4e00-\u9fff]", chinese) or english in FILES, english
        assert english[-1] not in ".?" or chinese[-1] in "。？.", english  # noqa: RUF001


def test_tooltips_end_as_those_of_blender(texts: list[ui_strings.Text], translated: dict[str, dict[str, str]]) -> None:
    """Blender adds the full stop. They are of one line: what is between two lines differs by the version of Python."""
    tooltips = [text for text in texts if text.is_tooltip]
    assert len(tooltips) > 100
    for text in tooltips:
        assert "\n" not in text.english, text
        assert text.english[-1] not in ".!:,", text
        assert translated[text.context][text.english][-1] not in "。.！：，", text  # noqa: RUF001


def test_sentences_are_not_put_together_where_nothing_can_look_them_up() -> None:
    assert not list(ui_strings.put_together())


def test_the_glossary_is_kept(translated: dict[str, dict[str, str]], messages: dict[str, str]) -> None:
    """One word for one thing, also in Chinese."""
    for english, chinese in (*pairs(translated), *messages.items()):
        for word, meant in (
            ("stroke", "笔触"),
            ("overlay", "叠加"),
            ("compositor", "合成器"),
            ("preferences", "偏好设置"),
        ):
            if re.search(rf"\b{word}s?\b", re.sub(r"\{\w+\}", "", english), re.IGNORECASE):
                assert meant in chinese, (english, chinese)


# ---------------------------------------------------------------- what jobs and the engine say


def test_what_is_recognised_is_still_said(addon: Any) -> None:
    """Each piece of a sentence stands in the sources of the add-on or of the engine."""
    folders = (REPO / "engine", REPO / "blender_addon")
    files = (path for folder in folders for path in folder.rglob("*.py") if "translation" not in path.parts)
    sources = "\n".join(path.read_text(encoding="utf-8") for path in files)
    sources = re.sub(r'"\s*\n\s*f?"', "", sources)  # texts that go on in the next line
    for template in addon.translation.HEARD:
        # How many frames is put in as a whole: the plural is made there.
        for piece in re.split(r"(?:1|\{count\}) frames?|\{\w+\}|\. |, ", template):
            assert piece.strip(" .:,()") in sources, (template, piece)


@pytest.mark.parametrize(
    ("said", "chinese"),
    [
        ("Stylize Stone: done.", "Stylize Stone：完成。"),  # noqa: RUF001
        ("Painting Stone", "正在绘制 Stone"),
        ("Painting the result", "正在绘制结果"),
        ("Rendering frame 12", "正在渲染第 12 帧"),
        ("Explaining Stone: Scale", "正在解释 Stone：尺度"),  # noqa: RUF001
        ("3 of 10, 1.2 frames/s, 6 s left", "3/10，1.2 帧/秒，剩余 6 秒"),  # noqa: RUF001
        ("3 of 10", "3/10"),
        ("64 % of the change is colour, 5 % form.", "64 % of the change is colour, 5 % form."),
        ("Step 120, 3 h 10 min left", "第 120 步，剩余 3 小时 10 分"),  # noqa: RUF001
        ("There is no style 'Sea'. Press Refresh in the gallery.", "没有风格 'Sea'。请在风格库中点击“刷新”。"),
        (
            "The ONNX model keeps weights in another file. Download it. Find the file, or paint it again.",
            "该 ONNX 模型将权重保存在另一个文件中。Download it. 请找到该文件，或重新绘制。",  # noqa: RUF001
        ),
        (
            "'Sea' could not be written: its disk is read-only. Choose a folder on a disk that can be written.",
            "无法写入 'Sea'：其磁盘为只读。请选择可写入的磁盘上的文件夹。",  # noqa: RUF001
        ),
        (
            "Scale: 64 % of the change is colour, 5 % form and 31 % strokes. (indicative only)",
            "尺度：变化的 64% 是颜色，5% 是形体，31% 是笔触。（仅供参考）",  # noqa: RUF001
        ),
        (
            "The part that matters most lies at the top on the left: without it this area is 3.5 % darker.",
            "最重要的部分位于左上方：没有它，此区域会暗 3.5%。",  # noqa: RUF001
        ),
        ("No: no NVIDIA driver was found", "否：未找到 NVIDIA 驱动程序"),  # noqa: RUF001
        ("1 frame painted, 0 there already.", "绘制了 1 帧，0 帧已存在。"),  # noqa: RUF001
        ("Saved in /tmp/My Shots.", "已保存在 /tmp/My Shots。"),
        ("Something that nobody translated", "Something that nobody translated"),
    ],
)
def test_what_was_said_is_recognised(addon: Any, in_chinese: None, said: str, chinese: str) -> None:
    assert addon.translation.heard(said) == chinese


OF_OVERLAYS = {"detail", "families", "influence", "players", "provenance", "removal", "scale", "style_fit"}
"""Modules of the engine that make an overlay's sentence"""


def test_an_overlay_that_is_named_first_is_no_part_of_its_sentence(addon: Any, in_chinese: None) -> None:
    """Nor where the sentence begins with what is put in: "Scale: 39 % of the change is colour"."""
    templates = [text for text, where in error_texts.templates().items() if where.partition(",")[0] in OF_OVERLAYS]
    assert "{colour} % of the change is colour, {form} % form and {stroke} % strokes." in templates
    for template in templates:
        sentence = re.sub(r"\{\w+\}", "7", template)
        for name, chinese in (("Scale", "尺度"), ("StyleFit", "风格契合度"), ("Removal", "移除测试")):
            alone = addon.translation.heard(sentence)
            assert addon.translation.heard(f"{name}: {sentence}") == f"{chinese}：{alone}", template  # noqa: RUF001


SETTINGS = {
    "adversarial",
    "coarse",
    "code",
    "reconstruction",
    "learning_rate",
    "critic_learning_rate",
    "hinge",
    "lsgan",
}
"""Of a training, as they are written in its settings: advice names them"""


def test_what_a_diagnosis_finds_is_chinese(addon: Any, in_chinese: None) -> None:
    """What was found, what was done about it and what one may do, as the panel puts it together"""
    found = [text for text, where in error_texts.templates().items() if where.startswith("diagnostics")]
    assert len(found) > 15
    done = "The critic now learns at 0.5 of its rate."
    for template in found:
        said = re.sub(r"\{\w+\}", "7", template)
        for text in (said, f"{done} {said}"):
            chinese = addon.translation.heard(text)
            assert not set(re.findall("[A-Za-z_]{4,}", chinese)) - SETTINGS, (text, chinese)


def test_overlays_are_recognised_by_name(addon: Any) -> None:
    pattern = re.compile(addon.translation.OVERLAY)
    assert all(pattern.fullmatch(name) for name in addon.props.choices.QUESTIONS)


def test_what_is_no_number_is_named(addon: Any, in_chinese: None) -> None:
    said = "No longer finite: adversarial, frame_difference, r1."
    assert addon.translation.heard(said) == "不再是有限值：对抗、帧间差异、r1。"  # noqa: RUF001


def test_in_english_it_is_as_it_was_said(addon: Any) -> None:
    for said in ("Stylize {Stone}: done.", "Rendering frame 12", "Saved C:\\{x}\\y.exr.", "Nothing known"):
        assert addon.translation.heard(said) == said
    assert addon.translation.worded("Stylize {name}", name="{Stone}") == "Stylize {Stone}"


# ---------------------------------------------------------------- panels


def test_panels_speak_chinese(addon: Any, styles: Any, in_chinese: None) -> None:
    stone = new_image()
    assert "风格化 Stone" in draw(addon, "ImageEditorPanel", stone)
    assert "没有图像纹理" in draw(addon, "ViewportPanel")
    assert "第 1 到 250 帧。" in draw(addon, "ImageAnimationPanel")
    styles.style_name = "Gone"
    assert "未安装风格 Gone。" in draw(addon, "ViewportPanel")


def test_words_that_blender_has_for_other_things_are_ours(
    addon: Any, styles: Any, in_chinese: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blender 3.4 looks up names of properties among its own: there Scale is what one does to an object."""
    import bpy

    ours = {"Strength", "Overlays", "Overlay", "Pass", "Style", "Paint", "Stroke", "Volume", "Emission", "Layout"}
    groups = [cls for cls in bpy.types.PropertyGroup.__subclasses__() if cls.__module__.startswith(PACKAGE)]
    found = [one for cls in groups if cls.is_registered for one in cls.bl_rna.properties if one.name in ours]
    assert len(found) > 10
    assert {one.translation_context for one in found if one.name} == {addon.translation.OURS}
    for has_meanings in (True, False):
        monkeypatch.setattr(addon.compat, "HAS_MEANINGS", has_meanings)
        assert {"强度"} <= set(lines_of(addon, "ImageEditorPanel", new_image()))
    assert {"叠加层", "尺度", "移除测试"} <= set(lines_of(addon, "ImageEditorPanel", new_image()))
    bpy.context.scene.pentimento_explain.place = "PICTURE"
    assert {"像素", "尺度", "移除测试", "风格契合度"} <= set(lines_of(addon, "ImageExplainPanel", new_image()))


def losses_of_the_engine() -> set[str]:
    """What trainings of every kind add up, by the functions that answer it"""
    functions = [
        node
        for path in (REPO / "engine" / "training").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name in ("terms", "compared", "judged")
    ]
    inside = [node for function in functions for node in ast.walk(function)]
    keys = [key for node in inside if isinstance(node, ast.Dict) for key in node.keys]
    keys += [node.slice for node in inside if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)]
    return {str(key.value) for key in keys if isinstance(key, ast.Constant)}


def test_losses_have_names(addon: Any, in_chinese: None) -> None:
    training = sys.modules[f"{PACKAGE}.panels.training"]
    assert losses_of_the_engine() == set(training.TERMS)
    addon.training.view = addon.training.View("Sea")
    addon.training.view.losses = {name: [(1.0, 0.5)] for name in training.TERMS}
    addon.props.library.preferences().can_train = True
    said = draw(addon, "ImageTrainingPanel")
    addon.training.view = None
    assert "对抗 0.5" in said and "帧间差异 0.5" in said
    assert not re.search("[a-z_]+ 0.5", said)


def test_a_job_speaks_chinese(addon: Any, styles: Any, in_chinese: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import bpy
    from blender import FAKE_WORKER

    monkeypatch.setattr(addon.engine_client, "command", lambda _python: [sys.executable, str(FAKE_WORKER), "slow"])
    new_image()
    addon.jobs.start(addon.operators.painting.image_job(bpy.context, "Stone", blocking=False))
    pump(addon.jobs, lambda: addon.jobs.current().fraction > 0, 10)
    said = draw(addon, "ImageEditorPanel")
    assert "风格化 Stone" in said
    assert "Stylize" not in said
    addon.jobs.cancel()
    pump(addon.jobs, lambda: addon.jobs.current() is None, 10)
    assert "风格化Stone：已取消。" in "".join(draw(addon, "ImageEditorPanel").split())  # noqa: RUF001


def test_chinese_lines_fit(addon: Any, styles: Any, in_chinese: None, translated: dict[str, dict[str, str]]) -> None:
    """The sidebar of the tests has room for nineteen Latin letters, as measured for them."""
    wrapping = sys.modules[f"{PACKAGE}.panels.wrapping"]
    addon.jobs.PAINTING.report = addon.jobs.Report(
        "ERROR", "Pentimento made a mistake.", "Your picture is as it was. Copy the report and send it to us."
    )
    lines = [line for line in lines_of(addon, "ViewportPanel") if re.search("[\u4e00-\u9fff]", line)]
    assert "".join(lines).endswith(translated["*"]["Your picture is as it was. Copy the report and send it to us."])
    assert len(lines) > 3
    assert all(wrapping.width(line) <= 19 for line in lines)


@pytest.mark.parametrize("columns", [16, 19, 25, 40, 80])
def test_text_wraps_by_what_it_takes(addon: Any, translated: dict[str, dict[str, str]], columns: int) -> None:
    """Nothing is lost, no line is too wide, none begins with what closes, and Latin words stay whole."""
    wrapping = sys.modules[f"{PACKAGE}.panels.wrapping"]
    for english, chinese in pairs(translated):
        for text in (english, chinese):
            lines = wrapping.wrapped(text, columns)
            assert "".join("".join(lines).split()) == "".join(text.split())
            assert all(wrapping.width(line) <= columns for line in lines), lines
            assert not any(line[0] in wrapping.CLOSING or line[-1] in wrapping.OPENING for line in lines), lines
        words = [word for word in re.findall(r"[\x21-\x7e]+", chinese) if len(word) <= columns - 4]
        assert all(any(word in line for line in wrapping.wrapped(chinese, columns)) for word in words)


def test_what_belongs_together_stays_so(addon: Any) -> None:
    """A number and its %; and two sentences that were put together as English ones are, with a space between them"""
    wrapped = sys.modules[f"{PACKAGE}.panels.wrapping"].wrapped
    assert wrapped("39 % of it", 5) == ["39 %", "of it"]
    assert wrapped("形体 49 % 是", 8) == ["形体", "49 % 是"]
    assert wrapped("文件说明：布局。 试运行得知。", 40) == ["文件说明：布局。试运行得知。"]  # noqa: RUF001


def test_text_wraps_by_what_its_letters_take(addon: Any) -> None:
    """Narrow letters go on where wide ones need another line, and a path that fits into none is cut."""
    wrapped = sys.modules[f"{PACKAGE}.panels.wrapping"].wrapped

    def measure(text: str) -> float:
        return sum(9.0 if letter in "mw" else 3.0 for letter in text)

    assert wrapped("ill ill ill mm mm", 33.0, measure) == ["ill ill ill", "mm", "mm"]
    assert wrapped("in /mmmm/iii\n", 27.0, measure) == ["in", "/mm", "mm/ii", "i"]


# ---------------------------------------------------------------- Blender itself

ASK = """
import json, sys, bpy, addon_utils
contexts, messages = (json.loads(open(file, encoding="utf-8").read())["contexts"] for file in sys.argv[-2:])
contexts["*"] |= messages["*"]
view = bpy.context.preferences.view
view.language = "zh_CN" if bpy.app.version < (4, 0, 0) else "zh_HANS"
view.use_translate_interface = view.use_translate_tooltips = True
assert addon_utils.enable("pentimento") is not None
look_up, translation = bpy.app.translations.pgettext_iface, sys.modules["pentimento.translation"]
others = [(context, text, found, chinese) for context, some in contexts.items() for text, chinese in some.items()
          if (found := look_up(text, context)) != chinese]
worded = translation.worded("Stylize {name}", name="Stone"), translation.worded("Scale"), translation.worded("Style")
addon_utils.disable("pentimento")
print("FOUND", json.dumps([others, worded, look_up("Stylize {name}")]))
"""


def test_blender_finds_every_translation(addon_zip: Path, tmp_path: Path) -> None:
    """In its own catalogue first: what stands there with another meaning has to be in a context of ours."""
    blender = shutil.which("blender")
    if blender is None:
        pytest.skip("no Blender with languages is installed here")
    scripts = tmp_path / "scripts" / "addons"
    shutil.unpack_archive(addon_zip, scripts / "pentimento")
    data = [scripts / "pentimento" / "translation" / f"{CHINESE}{part}.json" for part in ("", "_messages")]
    (tmp_path / "ask.py").write_text(ASK, encoding="utf-8")
    places = {f"BLENDER_USER_{kind}": str(tmp_path / kind.lower()) for kind in ("CONFIG", "SCRIPTS", "DATAFILES")}
    command = [blender, "--background", "--factory-startup", "--python-exit-code", "1"]
    command += ["--python", str(tmp_path / "ask.py"), "--", *map(str, data)]
    answer = subprocess.run(
        command, env={**os.environ, **places}, capture_output=True, text=True, timeout=120, check=False
    )
    found = [line for line in answer.stdout.splitlines() if line.startswith("FOUND ")]
    assert found, answer.stdout + answer.stderr
    others, worded, afterwards = json.loads(found[0].removeprefix("FOUND "))
    assert not others
    assert worded == ["风格化 Stone", "尺度", "风格"]
    assert afterwards == "Stylize {name}", "the add-on takes its texts with it"
