"""The panels draw, in every state a job can be in. No window here: a stand-in for the layout checks each call."""

from __future__ import annotations

import types
from typing import Any

import pytest
from blender import FAKE_WORKER, bpy, new_image, pump, use_in_material

PANELS = ("ImageEditorPanel", "ViewportPanel", "RenderPanel")


class Layout:
    """Takes what Blender's own layout of this version takes, and remembers the texts."""

    def __init__(self, said: list[str]) -> None:
        object.__setattr__(self, "said", said)

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in bpy.types.UILayout.bl_rna.properties, name

    def __getattr__(self, name: str) -> Any:
        function = bpy.types.UILayout.bl_rna.functions[name]

        def call(*values: Any, **named: Any) -> Layout:
            assert set(named) <= set(function.parameters.keys()), (name, named)
            if name in ("prop", "template_icon_view"):
                assert values[1] in values[0].bl_rna.properties, values
                self.said.append(values[1])
            if name == "operator":
                module, _, operator = values[0].partition(".")
                assert getattr(getattr(bpy.ops, module), operator).get_rna_type(), values
                self.said.append(values[0])
            if "icon" in named:
                assert named["icon"] in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
            self.said.append(str(named.get("text", "")))
            return Layout(self.said)

        return call


def draw(addon: Any, panel: str, image: Any = None) -> str:
    return " ".join(lines_of(addon, panel, image))


def lines_of(addon: Any, panel: str, image: Any = None) -> list[str]:
    """The panel's texts, as if it were drawn in a sidebar 200 pixels wide."""
    said: list[str] = []
    cls = getattr(addon.panels, panel)
    space = types.SimpleNamespace(type="IMAGE_EDITOR", image=image)
    context = types.SimpleNamespace(
        scene=bpy.context.scene,
        preferences=types.SimpleNamespace(system=types.SimpleNamespace(ui_scale=1.0)),
        region=types.SimpleNamespace(width=200),
        space_data=space if panel == "ImageEditorPanel" else None,
        object=bpy.context.object,
    )
    drawing = types.SimpleNamespace(
        layout=Layout(said), paints_renders=cls.paints_renders, draw_button=lambda *given: cls.draw_button(None, *given)
    )
    cls.draw(drawing, context)
    return said


@pytest.mark.parametrize("panel", PANELS)
def test_at_rest(addon: Any, styles: Any, panel: str) -> None:
    said = draw(addon, panel)
    expected = "pentimento.stylize_render" if panel == "RenderPanel" else "No Image in View"
    assert expected in said
    assert "pentimento.import_style" in said


def test_the_button_names_what_it_paints(addon: Any, styles: Any) -> None:
    stone = new_image()
    assert "Stylize Stone" in draw(addon, "ImageEditorPanel", stone)
    use_in_material(stone)
    assert "Stylize Stone" in draw(addon, "ViewportPanel")
    render = types.SimpleNamespace(type="RENDER_RESULT")
    assert "pentimento.stylize_render" in draw(addon, "ImageEditorPanel", render)


def test_colours_are_asked_for_where_there_is_light(addon: Any, styles: Any) -> None:
    """Bytes and data are painted as they are: there the setting would do nothing."""
    assert "colours" in draw(addon, "RenderPanel")
    assert "colours" in draw(addon, "ImageEditorPanel", types.SimpleNamespace(type="RENDER_RESULT"))
    assert "colours" not in draw(addon, "ViewportPanel")
    for is_float, is_data in ((False, False), (True, True), (True, False)):
        image = new_image(f"{is_float} {is_data}", is_float=is_float, is_data=is_data)
        assert ("colours" in draw(addon, "ImageEditorPanel", image)) == (is_float and not is_data)


@pytest.mark.parametrize("panel", PANELS)
def test_while_a_job_runs(addon: Any, styles: Any, panel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(addon.engine_client, "command", lambda _python: [sys.executable, str(FAKE_WORKER), "slow"])
    new_image()
    addon.jobs.start(addon.operators.image_job(bpy.context, "Stone", blocking=False))
    pump(addon.jobs, lambda: addon.jobs.current().fraction > 0, 10)
    said = draw(addon, panel)
    assert "Painting" in said
    assert "25%" in said
    assert "pentimento.cancel" in said
    assert "pentimento.stylize" not in said


@pytest.mark.parametrize("panel", PANELS)
def test_after_a_job(addon: Any, styles: Any, panel: str) -> None:
    styles.style, styles.overlays = "Brush", {"Scale"}
    stone = new_image()
    bpy.ops.pentimento.stylize_image(image="Stone")
    said = draw(addon, panel, stone)
    assert "Stylize Stone: done." in said
    assert "% of the change" in said.replace("  ", " ")
    assert "pentimento.copy_report" in said


def test_a_result_of_yesterday_still_says_what_was_found(addon: Any, styles: Any) -> None:
    styles.style, styles.overlays = "Brush", {"Scale"}
    new_image()
    bpy.ops.pentimento.stylize_image(image="Stone")
    addon.jobs.PAINTING.report = None
    assert "Scale: " in draw(addon, "ImageEditorPanel", bpy.data.images["Stone (Brush)"])


def test_an_error_and_its_fix_are_readable(addon: Any, styles: Any) -> None:
    addon.jobs.PAINTING.report = addon.jobs.Report(
        "ERROR", "The engine stopped " * 5, "Start it again. " * 8, "Traceback"
    )
    said = draw(addon, "ViewportPanel")
    assert "The engine stopped" in said
    assert "Start it again." in said
    assert all(len(line) < 30 for line in lines_of(addon, "ViewportPanel"))


def test_without_styles_it_says_so(addon: Any, styles: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addon.props, "STYLES", tmp_path)
    addon.props.preferences().styles_folder = str(tmp_path)
    assert "No style is installed" in draw(addon, "ViewportPanel")


def test_a_missing_style_is_named(addon: Any, styles: Any) -> None:
    styles.style_name = "Gone"
    assert "The style Gone is" in draw(addon, "ViewportPanel")
    with pytest.raises(RuntimeError, match="'Gone' is not installed"):
        new_image()
        bpy.ops.pentimento.stylize_image(image="Stone")


def test_the_report_is_copied(addon: Any) -> None:
    addon.jobs.PAINTING.report = addon.jobs.Report("ERROR", "What", "How", "Traceback")
    assert bpy.ops.pentimento.copy_report() == {"FINISHED"}
    assert addon.jobs.last_report().text == "What\nHow\nTraceback"
