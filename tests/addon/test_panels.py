"""The panels draw, in every state a job can be in. No window here: a stand-in for the layout checks each call."""

from __future__ import annotations

import types
from typing import Any

import pytest
from blender import FAKE_WORKER, bpy, new_image, pump, use_in_material

PANELS = ("ImageEditorPanel", "ViewportPanel", "RenderPanel")


class Properties:
    """Takes what an operator of that kind takes."""

    def __init__(self, kind: Any) -> None:
        object.__setattr__(self, "kind", kind)

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self.kind.properties, name


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
            if name == "template_list":
                assert hasattr(bpy.types, values[0]) and values[3] in values[2].bl_rna.properties, values
            if name in ("prop", "prop_enum", "prop_search", "template_icon_view"):
                assert values[1] in values[0].bl_rna.properties, values
                self.said.append(values[1])
            if name == "operator":
                module, _, operator = values[0].partition(".")
                kind = getattr(getattr(bpy.ops, module), operator).get_rna_type()
                self.said.extend((values[0], str(named.get("text", ""))))
                return Properties(kind)
            if "icon" in named:
                assert named["icon"] in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
            self.said.append(str(named.get("text", "")))
            return Layout(self.said)

        return call


def draw(addon: Any, panel: str, image: Any = None, shading: str = "SOLID") -> str:
    return " ".join(lines_of(addon, panel, image, shading))


def lines_of(addon: Any, panel: str, image: Any = None, shading: str = "SOLID") -> list[str]:
    """The panel's texts, as if it were drawn in a sidebar 200 pixels wide. shading: how the viewport shows objects"""
    said: list[str] = []
    cls = next(cls for cls in addon.panels.CLASSES if cls.__name__ == panel)
    space = types.SimpleNamespace(type="IMAGE_EDITOR", image=image)
    shown = types.SimpleNamespace(type=shading, bl_rna=bpy.types.View3DShading.bl_rna)
    view = types.SimpleNamespace(type="VIEW_3D", shading=shown)
    context = types.SimpleNamespace(
        window_manager=bpy.context.window_manager,
        scene=bpy.context.scene,
        preferences=types.SimpleNamespace(system=types.SimpleNamespace(ui_scale=1.0)),
        region=types.SimpleNamespace(width=200, type="UI"),
        space_data=space if panel.startswith("Image") else view if panel.startswith("Viewport") else None,
        object=bpy.context.object,
        view_layer=bpy.context.view_layer,
    )
    drawing = types.SimpleNamespace(
        layout=Layout(said),
        paints_renders=getattr(cls, "paints_renders", False),
        draw_button=lambda *given: cls.draw_button(None, *given),
    )
    cls.draw(drawing, context)
    return said


@pytest.mark.parametrize("panel", PANELS)
def test_at_rest(addon: Any, styles: Any, panel: str) -> None:
    said = draw(addon, panel)
    empty = {"RenderPanel": "pentimento.stylize_render", "ViewportPanel": "No Image Texture"}
    assert empty.get(panel, "No Image in View") in said
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
    addon.jobs.start(addon.operators.painting.image_job(bpy.context, "Stone", blocking=False))
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


def test_a_viewport_without_textures_says_where_the_painting_is_seen(addon: Any, styles: Any) -> None:
    """A new file's viewport is grey: who stylized a texture there saw nothing happen."""
    styles.style = "Brush"
    use_in_material(new_image())
    assert "shows no textures" not in " ".join(draw(addon, "ViewportPanel").split()), "nothing is painted yet"
    bpy.ops.pentimento.stylize_image(image="Stone")
    for shading in ("SOLID", "WIREFRAME", "MATERIAL", "RENDERED"):
        said = " ".join(draw(addon, "ViewportPanel", shading=shading).split())
        is_told = "This viewport shows no textures. The painting is seen in: type" in said
        assert is_told == (shading in ("SOLID", "WIREFRAME")), shading


def test_an_object_without_a_texture_is_told_what_to_do(addon: Any, styles: Any) -> None:
    said = " ".join(draw(addon, "ViewportPanel").split())
    assert "No Image Texture" in said and "Select an object whose material has an Image Texture." in said


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
    monkeypatch.setattr(addon.props.library, "STYLES", tmp_path)
    addon.props.library.preferences().styles_folder = str(tmp_path)
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


def test_mixing_draws_one_row_for_each_style(addon: Any, styles: Any) -> None:
    alone = draw(addon, "ImageMixingPanel").split()
    assert "share" not in alone, "of a style alone there is nothing to share"
    assert {"mask", "palette", "diversity"} <= set(alone)
    bpy.ops.pentimento.add_style()
    assert draw(addon, "ViewportMixingPanel").split().count("share") == 2
    said = draw(addon, "RenderMixingPanel").split()
    assert said.count("matte") == 2
    assert "mask" not in said


@pytest.mark.parametrize("panel", ["ImageTrainingPanel", "ViewportTrainingPanel"])
def test_training_says_how_to_get_a_python_for_it(addon: Any, styles: Any, panel: str) -> None:
    preferences = addon.props.library.preferences()
    preferences.can_train = False
    said = draw(addon, panel)
    assert "Training needs PyTorch, which Blender lacks" in said.replace("  ", " ")
    assert {"pentimento.copy_setup", "preferences.addon_show"} <= set(said.split())
    assert "pentimento.train" not in said.split()


def test_training_tells_an_artist_what_was_measured_last(addon: Any, styles: Any, monkeypatch: Any) -> None:
    """By plain names; what this kind of style has not is left out, and so is the time left once it has ended."""
    protocol, training = addon.engine_client.protocol, addon.training
    addon.props.library.preferences().can_train, training.view = True, training.View("Own Hand")
    numbers = {"patch_distance": 1.2345, "content_diversity": 0.81, "seed_diversity": 0.4, "gradient": 3.0}
    lane = addon.jobs.TRAINING
    running = types.SimpleNamespace(title="Training Own Hand", fraction=0.5, stage="", cancelling=False, lane=lane)
    monkeypatch.setattr(addon.jobs, "current", lambda lane: running)
    training.take(protocol.Diagnosis("", 100, {"code": 0.5}, numbers, (), 0.314, 960.0))
    training.take(protocol.TrainStep("", 130, 400, {"code": 0.5}, 610.0))
    said = [line for line in lines_of(addon, "ImageTrainingPanel") if line]
    named = {name: said[said.index(name) + 1] for name in said if name in MEASURED}
    assert named == dict(zip(MEASURED, ("1.23", "81%", "40%", "0.314", "10 min"), strict=True))

    training.take(protocol.Diagnosis("", 400, {"code": 0.5}, {"patch_distance": 0.5}, (), 0.2, 0.0))
    training.take(protocol.Diagnosis("", 400, {}, {"patch_distance": 0.7}, (), 30.0, 0.0))  # no step came before it
    monkeypatch.setattr(addon.jobs, "current", lambda lane: None)
    said = [line for line in lines_of(addon, "ImageTrainingPanel") if line]
    assert [said[said.index(name) + 1] for name in said if name in MEASURED] == ["0.50", "0.2"]


MEASURED = ("Distance to Style", "Diversity", "Diversity of Seeds", "Seconds per Step", "Time Left")


@pytest.mark.parametrize("panel", ["ImageTrainingPanel", "ViewportTrainingPanel"])
def test_training_at_rest_and_at_work(
    addon: Any, styles: Any, panel: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    import sys

    addon.props.library.preferences().can_train, addon.training.view = True, None
    addon.props.library.preferences().styles_folder = str(tmp_path)
    settings = bpy.context.scene.pentimento_training
    assert "No Style Picture" in draw(addon, panel)
    settings.pictures.add().image = new_image("own_hand.jpg", size=(64, 64))
    new_image("Other", size=(64, 64))
    new_image("Another", size=(64, 64))
    for content in ("FRAMES", "IMAGES", "FOLDER"):
        settings.content = content
        assert "Train Own Hand" in draw(addon, panel)
    assert "folder" in draw(addon, panel).split()
    settings.content = "IMAGES"
    assert "At most 15 minutes" in draw(addon, panel).replace("  ", " ")
    assert {"author", "licence"} <= set(draw(addon, panel.replace("Training", "Signature")).split())

    monkeypatch.setattr(addon.engine_client, "command", lambda _python: [sys.executable, str(FAKE_WORKER), "slow"])
    plan = addon.training.plan(bpy.context, {})
    addon.jobs.start(addon.operators.training.training_job("Own Hand", plan.out, addon.training.requests(plan)))
    pump(addon.jobs, lambda: addon.jobs.current(addon.jobs.TRAINING).fraction > 0, 10)
    addon.training.take(addon.engine_client.protocol.TrainStep("", 1, 9, {"code": 0.5}, 60.0))
    finding = addon.engine_client.protocol.Finding("grid artefact", "A grid stands out.", "Train for longer.")
    addon.training.take(addon.engine_client.protocol.Diagnosis("", 1, {}, {}, (finding,), 0.5, 60.0))
    said = draw(addon, panel)
    assert "Grid artefact: A grid stands out. " in said.replace("  ", " ")
    assert "Train for longer." in said.replace("  ", " ")
    assert {"pentimento.pause_training", "pentimento.stop_training"} <= set(said.split())
    assert "Training Own Hand" in said
    assert "code 0.5" in said
    assert "pentimento.train" not in said.split()

    (tmp_path / "own_hand.training" / "config.json").write_text("{}")
    bpy.ops.pentimento.pause_training()
    pump(addon.jobs, lambda: addon.jobs.current(addon.jobs.TRAINING) is None, 10)
    said = draw(addon, panel).replace("  ", " ")
    assert "Own Hand is unfinished." in said
    assert "is paused" in said
    assert {"pentimento.resume_training", "pentimento.discard_training"} <= set(said.split())


@pytest.mark.parametrize("place", ["Image", "Viewport"])
def test_panels_keep_their_order(addon: Any, place: str) -> None:
    """Also where one has been registered again: Blender would put that one last."""
    first = "ImageEditorPanel" if place == "Image" else "ViewportPanel"
    named = {cls.__name__: cls for cls in addon.panels.CLASSES}
    panels = [named[name] for name in (first, f"{place}TexturePanel", f"{place}TrainingPanel")]
    orders = [panel.bl_order for panel in panels]
    assert orders == sorted(set(orders))
