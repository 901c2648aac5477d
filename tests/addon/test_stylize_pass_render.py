"""Stylize Render with one pass of the render: it switches on what it needs, says so, and puts it back."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender import bpy, compositor_of, layers_of, new_scene, pump, wiring
from test_panels import draw

DIFFUSE = "Diffuse: Direct, Indirect, Color"


@pytest.fixture
def shot(addon: Any, styles: Any, tmp_path: Path) -> Any:
    """A saved scene with no pass but Combined"""
    scene = new_scene()
    cube = bpy.data.objects["Cube"]
    surface = bpy.data.materials.new("Surface")
    if surface.node_tree is None:
        surface.use_nodes = True
    cube.data.materials.append(surface)
    for switch, on in switches_of(scene).items():
        setattr(owner(scene, switch), f"use_pass_{switch}", on and switch == "combined")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return scene


def owner(scene: Any, switch: str) -> Any:
    return scene.view_layers[0].cycles if switch.startswith("volume_") else scene.view_layers[0]


def switches_of(scene: Any) -> dict[str, bool]:
    """Every switch of the view layer that an artist sees"""
    layer = scene.view_layers[0]
    named = [field.identifier for field in layer.bl_rna.properties if field.identifier.startswith("use_pass_")]
    volume = ["use_pass_volume_direct", "use_pass_volume_indirect"]
    return {
        **{name.removeprefix("use_pass_"): getattr(layer, name) for name in named},
        **{name.removeprefix("use_pass_"): getattr(layer.cycles, name) for name in volume},
    }


def result_of(folder: Path, style: str = "dentity") -> Path:
    return max((folder / "pentimento").glob(f"*{style}*.exr"), key=lambda path: path.stat().st_mtime_ns)


def planes(layers: dict[str, np.ndarray], *names: str) -> np.ndarray:
    """(H, W, 3) float32 of the layer under one of its names"""
    ends = [next(key for key in layers if key.rpartition(".")[0].rpartition(".")[2] in names)]
    prefix = ends[0].rpartition(".")[0]
    return np.stack([layers[f"{prefix}.{channel}"] for channel in "RGB"], 2).astype(np.float32)


def within_half(result: np.ndarray, expected: np.ndarray) -> bool:
    """Within what storing a half float costs"""
    return bool((np.abs(result - expected) <= np.maximum(np.abs(expected) * 2.0**-11, 2.0**-25)).all())


# ---------------------------------------------------------------- painting


@pytest.mark.parametrize(
    ("name", "colours"),
    [("DiffCol", "SCENE"), ("DiffCol", "DISPLAY"), ("GlossDir", "DISPLAY"), ("VolumeDir", "SCENE"), ("Env", "DISPLAY")],
)
def test_an_identity_gives_the_render_back(
    addon: Any, shot: Any, styles: Any, tmp_path: Path, name: str, colours: str
) -> None:
    styles.painted_pass, styles.colours = name, colours
    before = switches_of(shot)
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    layers = layers_of(result_of(tmp_path))
    assert within_half(planes(layers, "Stylized"), planes(layers, "Combined"))
    assert planes(layers, f"Stylized {name}").any() == (name != "VolumeDir"), "there is no fog"
    assert switches_of(shot) == before


def test_a_painted_diffuse_colour_is_lit_as_it_was(addon: Any, shot: Any, styles: Any, tmp_path: Path) -> None:
    styles.style, styles.colours, styles.painted_pass = "Brush", "SCENE", "DiffCol"
    styles.overlays = {"Scale"}
    before = switches_of(shot)
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    layers = layers_of(result_of(tmp_path, "rush"))
    painted, colour = planes(layers, "Stylized DiffCol"), planes(layers, "DiffCol", "Diffuse Color")
    light = planes(layers, "DiffDir", "Diffuse Direct") + planes(layers, "DiffInd", "Diffuse Indirect")
    expected = planes(layers, "Combined") + light * (painted - colour)
    assert np.abs(painted - colour).max() > 0.05
    assert np.allclose(planes(layers, "Stylized"), expected, rtol=2e-3, atol=2e-3)
    links = wiring(compositor_of(shot))
    assert "Pentimento Stylized.Stylized -> Pentimento Layers.Stylized" in links
    assert "Pentimento Overlay.Attribution Scale -> Pentimento Layers.Overlay" in links
    report = addon.jobs.last_report().fix
    assert f"Switched on for this render, and off again: {DIFFUSE}." in report
    assert "Scale: In DiffCol: " in report
    assert switches_of(shot) == before


def test_only_what_is_off_is_switched(addon: Any, shot: Any, styles: Any) -> None:
    layer = shot.view_layers[0]
    layer.use_pass_diffuse_direct = layer.use_pass_mist = True
    before, styles.painted_pass = switches_of(shot), "DiffCol"
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    assert "off again: Diffuse: Indirect, Color." in addon.jobs.last_report().fix
    assert switches_of(shot) == before


def test_lights_and_places_are_switched_on_too(addon: Any, shot: Any, styles: Any) -> None:
    styles.gain_volume = 0.0
    place = styles.places.add()
    place.matte, place.strength = "Surface", 0.5
    before = switches_of(shot)
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    said = f"off again: {DIFFUSE}; Volume: Direct, Indirect; Cryptomatte: Material."
    assert said in addon.jobs.last_report().fix
    assert switches_of(shot) == before


def test_guides_of_a_style_are_switched_on_too(addon: Any, shot: Any, styles: Any, packs: Path) -> None:
    import tiny_styles

    tiny_styles.guided(packs / "guided")
    addon.props.library.refresh_styles()
    styles.style = "Guided"
    before = switches_of(shot)
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    guides = addon.props.guides(styles)
    assert guides and "off again: " in addon.jobs.last_report().fix
    assert switches_of(shot) == before


def test_nothing_is_said_where_nothing_is_switched(addon: Any, shot: Any, styles: Any) -> None:
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    assert "Switched" not in addon.jobs.last_report().fix
    assert "Switched" not in draw(addon, "RenderPanel")


# ---------------------------------------------------------------- put back, however it ends


def test_switches_are_as_they_were_after_an_error(
    addon: Any, shot: Any, styles: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles.painted_pass, before = "DiffCol", switches_of(shot)
    monkeypatch.setattr(addon.engine_client, "command", lambda _python: ["/nowhere/python"])
    with pytest.raises(RuntimeError, match="could not be started"):
        bpy.ops.pentimento.stylize_render()
    assert switches_of(shot) == before


class Rendering:
    """Blender as scene_io sees it, with a render in a window: it takes `steps` turns, and no file comes of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, addon: Any, steps: int) -> None:
        self.left = steps
        self.seen: list[dict[str, bool]] = []
        app = types.SimpleNamespace(is_job_running=self._is_running)
        ops = types.SimpleNamespace(render=types.SimpleNamespace(render=self._render))
        blender = types.SimpleNamespace(app=app, ops=ops, data=bpy.data, types=bpy.types, context=bpy.context)
        monkeypatch.setattr(addon.scene_io, "bpy", blender)

    def _render(self, *_: str, **__: Any) -> None:
        self.seen.append(switches_of(bpy.context.scene))

    def _is_running(self, _kind: str) -> bool:
        self.left -= 1
        return self.left >= 0


def test_switches_are_as_they_were_when_the_render_is_stopped(
    addon: Any, shot: Any, styles: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles.painted_pass, before = "DiffCol", switches_of(shot)
    rendering = Rendering(monkeypatch, addon, steps=2)
    with pytest.raises(RuntimeError, match="render was stopped"):
        bpy.ops.pentimento.stylize_render()
    on = {switch for switch, value in rendering.seen[0].items() if value and not before[switch]}
    assert on == {"diffuse_direct", "diffuse_indirect", "diffuse_color"}
    assert switches_of(shot) == before


def test_switches_are_as_they_were_after_a_cancel(
    addon: Any, shot: Any, styles: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled while Blender still renders in its window"""
    styles.painted_pass, before = "DiffCol", switches_of(shot)
    Rendering(monkeypatch, addon, steps=10**6)
    addon.jobs.start(addon.operators.painting.render_job(bpy.context, "", blocking=False))
    assert switches_of(shot)["diffuse_color"] and not before["diffuse_color"]
    addon.jobs.cancel()
    pump(addon.jobs, lambda: addon.jobs.current() is None, 30)
    assert "cancelled" in addon.jobs.last_report().message
    assert switches_of(shot) == before


# ---------------------------------------------------------------- the panel, and what is refused


def test_the_panel_has_the_pass_and_says_what_it_switches(addon: Any, shot: Any, styles: Any) -> None:
    from engine import passes

    fields = styles.bl_rna.properties["painted_pass"]
    assert tuple(fields.enum_items.keys()) == ("Combined", *passes.PARTS)
    assert all(item.description for item in fields.enum_items)
    assert {addon.props.light_of(name) for name in passes.PARTS} == set(passes.LIGHTS)
    styles.painted_pass = "DiffCol"
    said = draw(addon, "RenderPanel").replace("  ", " ")
    assert "painted_pass" in said.split() and "Switched on" in said and "Color" in said
    assert "painted_pass" not in draw(addon, "ViewportPanel").split()


def test_a_texture_has_no_pass(addon: Any, styles: Any) -> None:
    styles.painted_pass = "DiffCol"
    assert addon.props.stylize_settings(styles, is_render=False).painted_pass == "Combined"
    assert addon.props.stylize_settings(styles, is_render=True).painted_pass == "DiffCol"


def test_only_cycles_has_the_passes(addon: Any, shot: Any, styles: Any, tmp_path: Path) -> None:
    styles.painted_pass, shot.render.engine = "DiffCol", "BLENDER_WORKBENCH"
    with pytest.raises(RuntimeError, match=r"Only Cycles renders every pass.*\n?.*set Pass to Combined"):
        bpy.ops.pentimento.stylize_render()
    assert not (tmp_path / "pentimento").exists()


def test_a_given_render_without_the_passes_is_refused(addon: Any, shot: Any, styles: Any, tmp_path: Path) -> None:
    assert bpy.ops.pentimento.stylize_render() == {"FINISHED"}
    (source,) = [path for path in (tmp_path / "pentimento").glob("*.exr") if "dentity" not in path.name]
    styles.painted_pass = "DiffCol"
    with pytest.raises(RuntimeError, match=r"no pass DiffCol, DiffDir, DiffInd.*\n?.*Light > Diffuse: Color"):
        bpy.ops.pentimento.stylize_render(filepath=str(source))
