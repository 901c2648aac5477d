"""Runs inside Blender's window for make_screenshots.py: sets the scene, presses buttons, looks, takes pictures.

The steps are a generator; a timer advances it, so that Blender draws and handles events between them. A step yields
the seconds to wait, or a function that has to become true.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import mathutils

SETTINGS: dict[str, Any] = json.loads(sys.argv[sys.argv.index("--") + 1])
Step = float | Callable[[], bool]
PATIENCE = 600.0


LATE: list[str] = []
"""What took longer than it may: told at the end, for pictures are no worse for it"""


def expect_within(limit: float, took: float, what: str) -> None:
    """Seconds that hold for a machine with nothing else to do."""
    print(f"SHOWN {what} after {took:.2f} s (at most {limit:g})", flush=True)
    if took > limit:
        LATE.append(what)


@dataclass(frozen=True)
class Stage:
    """Where scenes play: the add-on, and the Image Editor that shows the still life."""

    addon: Any
    editor: Any

    @property
    def properties(self) -> Any:
        return next(area for area in bpy.context.screen.areas if area.type == "PROPERTIES")

    @property
    def view(self) -> Any:
        return next(area for area in bpy.context.screen.areas if area.type == "VIEW_3D")

    def on(self, area: Any) -> Any:
        """What is done in this block is done in the main region of an editor. It must not yield: Blender would go on
        in that context, and crash."""
        canvas = next(region for region in area.regions if region.type == "WINDOW")
        return bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=canvas)


def steps() -> Generator[Step, None, None]:
    stage = yield from prepare()
    for name in SETTINGS["scenes"] or SCENES:
        print(f"SHOWN scene {name}", flush=True)
        park()
        yield from SCENES[name](stage)
        stage.editor.spaces.active.image = bpy.data.images["Still Life"]
        stage.addon.jobs.PAINTING.report = None
        yield 0.2
    bpy.ops.preferences.addon_disable(module="pentimento")
    yield 0.5
    print("SHOWN too late" if LATE else "CHECKED all", flush=True)


def prepare() -> Generator[Step, None, Stage]:
    """The add-on as it is installed, the still life on the factory scene's cube and in the Image Editor."""
    addon = install()
    yield 1.0
    image = bpy.data.images.load(SETTINGS["picture"])
    image.name = "Still Life"
    image.pack()
    image.use_fake_user = True
    give_to_cube(image)
    area = editors()
    area.spaces.active.image = image
    settings = bpy.context.scene.pentimento
    if any(style.name == SETTINGS["style"] for style in addon.props.library.styles()):
        settings.style = SETTINGS["style"]
    settings.overlays = {"Scale", "Removal"}
    bpy.ops.ed.undo_push(message="Ready")
    yield 1.0
    yield from click_tabs(area)
    stage = Stage(addon, area)
    speak(SETTINGS["language"])  # not before: where a tab is depends on the length of the words above it
    with stage.on(area):
        bpy.ops.image.view_zoom_ratio(ratio=1.0)
        bpy.ops.image.view_pan(offset=(0.5 * sidebar(area).width, 0.0))  # it would lie half beneath the sidebar
    bpy.context.preferences.view.smooth_view = 0
    with stage.on(stage.view):
        bpy.ops.view3d.view_selected()
        for _ in range(4):
            bpy.ops.view3d.zoom(delta=-1)
    seen = stage.view.spaces.active.region_3d
    right = seen.view_rotation @ mathutils.Vector((1.0, 0.0, 0.0))
    seen.view_location += 0.13 * seen.view_distance * right  # out from under the sidebar
    yield 1.0
    return stage


def show_image(stage: Stage) -> Generator[Step, None, None]:
    """The first image: the button returns at once, the result stands in the editor and on the cube, one undo takes it
    away."""
    addon, area = stage.addon, stage.editor
    shoot("panel_image_editor.png", area)
    yield from click_button(area, "pentimento.stylize_image")
    assert addon.jobs.current() is not None, "a click on the button begins a job, and Blender goes on"
    park()
    yield lambda: addon.jobs.current() is None or addon.jobs.current().fraction > 0.3
    yield 0.2
    if addon.jobs.current():
        shoot("panel_progress.png", area)
    yield lambda: addon.jobs.current() is None
    yield from settle(stage)
    report = addon.jobs.last_report()
    print(f"SHOWN {report}")
    assert report.level == "INFO", report
    assert area.spaces.active.image.name.startswith("Still Life ("), "the editor shows the result"
    assert not bpy.app.timers.is_registered(addon.jobs._tick), "no timer without a job"
    shoot("panel_result.png", area)
    yield 8.0  # a card that is none compiles shaders slowly
    shoot("panel_viewport.png", stage.view)
    yield from show_nodes(stage)
    before = set(bpy.data.images.keys())
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.ed.undo()
    assert len(before - set(bpy.data.images.keys())) == 3, "one undo takes the result and its overlays away"
    yield 1.0


def show_nodes(stage: Stage) -> Generator[Step, None, None]:
    """What the material has become: the node group between the picture and the surface."""
    view = stage.view
    view.ui_type = "ShaderNodeTree"
    view.spaces.active.show_region_ui = False
    yield 1.0
    with stage.on(view):
        for node in bpy.data.objects["Cube"].active_material.node_tree.nodes:
            node.select = node.type in ("TEX_IMAGE", "GROUP")
        bpy.ops.node.view_selected()
        bpy.ops.view2d.zoom_in()
    yield 1.5
    shoot("nodes_material.png", view)
    view.ui_type = "VIEW_3D"
    yield 0.5


def cancel_a_job(stage: Stage) -> Generator[Step, None, None]:
    """Cancelled in the middle: it ends at once, and nothing is left of it."""
    addon, area = stage.addon, stage.editor
    wall = bpy.data.images.new("Wall", 3000, 3000)
    wall.generated_type = "COLOR_GRID"
    area.spaces.active.image = wall
    before = set(bpy.data.images.keys())
    start = time.perf_counter()
    press(area)
    expect_within(1.0, time.perf_counter() - start, "the button returned")
    yield lambda: addon.jobs.current().fraction > 0.1
    start = time.monotonic()
    bpy.ops.pentimento.cancel()
    yield lambda: addon.jobs.current() is None
    expect_within(2.0, time.monotonic() - start, "cancelled")
    assert "was cancelled" in addon.jobs.last_report().message, addon.jobs.last_report()
    assert set(bpy.data.images.keys()) == before and area.spaces.active.image == wall
    bpy.data.images.remove(wall)


def lose_the_worker(stage: Stage) -> Generator[Step, None, None]:
    """Killed from outside in the middle of a job: said within two seconds, and the panel shows what to do."""
    addon, area = stage.addon, stage.editor
    wall = bpy.data.images.new("Wall", 3000, 3000)  # so large that the job takes its time
    wall.generated_type = "COLOR_GRID"
    area.spaces.active.image = wall
    arrange(addon.panels, {addon.panels.painting.ImageEditorPanel})
    press(area)
    yield lambda: addon.jobs.current().stage.startswith("Explaining")
    os.kill(addon.jobs.PAINTING.slot.worker.pid, signal.SIGKILL)
    start = time.monotonic()
    yield lambda: addon.jobs.current() is None
    expect_within(2.0, time.monotonic() - start, "the killed worker was reported")
    assert addon.jobs.last_report().level == "ERROR"
    yield from settle(stage)
    shoot("panel_error.png", area)
    bpy.ops.pentimento.copy_report()
    assert addon.jobs.last_report().message in bpy.context.window_manager.clipboard
    bpy.data.images.remove(wall)


def show_explaining(stage: Stage) -> Generator[Step, None, None]:
    """A box around the place that a click points at: what is said while it is checked, and what at last."""
    addon, area = stage.addon, stage.editor
    chosen, panels = bpy.context.scene.pentimento_explain, addon.panels
    chosen.place, chosen.size, chosen.questions = "BOX", 60, {"Influence", "Removal", "Scale"}
    arrange(panels, {panels.explanation.ImageExplainPanel})
    yield 1.0
    window = bpy.context.window_manager.windows[0]
    canvas = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=canvas):
        bpy.ops.pentimento.point("INVOKE_DEFAULT")
    x, y = canvas.view2d.view_to_region(0.35, 0.45)
    click(canvas.x + x, SETTINGS["size"][1] - canvas.y - y)
    yield lambda: addon.explaining.asking is not None
    yield lambda: addon.explaining.asking is None or bool(addon.explaining.asking.answers)
    assert addon.explaining.asking, "said before it is checked"
    yield lambda: addon.jobs.current() is None
    print(f"SHOWN {addon.jobs.last_report()}")
    assert addon.jobs.last_report().level == "INFO", addon.jobs.last_report()
    assert area.spaces.active.image.name == "Still Life Explained", "the editor shows the answer"
    found = addon.explaining.answer_beside(area.spaces.active.image)
    assert "60 x 60" in found[0].about, found[0].about
    with bpy.context.temp_override(window=window, area=area, region=canvas):
        bpy.ops.screen.screen_full_area()
    yield 1.0
    large = bpy.context.window_manager.windows[0].screen.areas[0]
    canvas = next(region for region in large.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=large, region=canvas):
        bpy.ops.image.view_zoom_ratio(ratio=1.5)
    yield from settle(stage)
    shoot("panel_explain.png", large)
    with bpy.context.temp_override(window=window, area=large, region=canvas):
        bpy.ops.image.view_zoom_ratio(ratio=1.0)
        bpy.ops.screen.back_to_previous()
    yield 1.0
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.pentimento.discard_answer()


def show_mixing(stage: Stage) -> Generator[Step, None, None]:
    """Two styles by a mask, and the palette of a third."""
    addon, area = stage.addon, stage.editor
    chosen, panels = bpy.context.scene.pentimento, addon.panels
    others = [style.name for style in addon.props.library.styles() if style.name != chosen.style]
    bpy.ops.pentimento.add_style()
    chosen.share, chosen.mixed[0].share, chosen.palette = 0.6, 0.4, others[-1]
    arrange(panels, {panels.painting.ImageEditorPanel, panels.mixing.ImageMixingPanel})
    yield from scroll(area)
    shoot("panel_mixing.png", area)
    chosen.palette = "OWN"
    bpy.ops.pentimento.remove_style(index=0)


def show_gallery(stage: Stage) -> Generator[Step, None, None]:
    """Styles found by a word, one of them with a star, and the card of the chosen one."""
    panels = stage.addon.panels
    arrange(panels, {panels.painting.ImageEditorPanel, panels.gallery.ImageGalleryPanel})
    bpy.ops.pentimento.mark_style(name="Wheat Field", favourite=True)
    chosen = bpy.context.window_manager.pentimento_gallery
    chosen.search = "gogh"
    found = [style.name for style in stage.addon.gallery.shown(chosen)]
    assert found == ["Starry Night", "Wheat Field"], found
    chosen.favourites = True
    assert [style.name for style in stage.addon.gallery.shown(chosen)] == ["Wheat Field"]
    bpy.ops.pentimento.choose_style(name="Wheat Field")
    assert bpy.context.scene.pentimento.style == "Wheat Field"
    chosen.favourites = False
    bpy.ops.pentimento.choose_style(name=SETTINGS["style"])
    bpy.context.preferences.view.ui_scale = 0.82  # it is higher than the window
    large = yield from enlarge(stage)
    yield from scroll(large)
    shoot("panel_gallery.png", sidebar(large))
    bpy.ops.pentimento.mark_style(name="Wheat Field", favourite=False)
    chosen.search = ""
    bpy.context.preferences.view.ui_scale = 1.0
    yield from make_small(stage, large)


def show_presets(stage: Stage) -> Generator[Step, None, None]:
    """The list behind the button in the panel's header."""
    area, panels = stage.editor, stage.addon.panels
    arrange(panels, {panels.painting.ImageEditorPanel})
    yield 1.0
    bar = sidebar(area)
    top = SETTINGS["size"][1] - bar.y - bar.height
    subprocess.run(["xdotool", "mousemove", str(bar.x + 80), str(top + 28)], check=True)
    yield 0.5
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=bar):
        bpy.ops.wm.call_panel("INVOKE_DEFAULT", name=panels.presets.PresetsPanel.bl_idname)
    yield 0.5
    subprocess.run(["xdotool", "mousemove", str(bar.x + 80), str(top + 132)], check=True)  # between: no tooltip
    yield 1.5
    take("panel_presets.png", area.x, top, area.width, 420)
    subprocess.run(["xdotool", "key", "Escape"], check=True)
    yield 0.5
    keep_a_preset(stage)


def keep_a_preset(stage: Stage) -> None:
    """How the panel is set comes back by its name, until that is gone."""
    chosen, presets = bpy.context.scene.pentimento, stage.addon.presets
    chosen.strength, chosen.seed = 0.7, 3
    bpy.ops.pentimento.save_preset(name="Evening")
    bpy.ops.pentimento.load_preset(name="A Touch of Paint")
    assert chosen.strength != 0.7, "a preset that ships has been loaded"
    bpy.ops.pentimento.load_preset(name="Evening")
    assert (round(chosen.strength, 3), chosen.seed) == (0.7, 3)
    bpy.ops.pentimento.remove_preset(name="Evening")
    assert "Evening" not in [preset.name for preset in presets.found()]
    chosen.strength, chosen.seed = 1.0, 0


def enlarge(stage: Stage) -> Generator[Step, None, Any]:
    """The Image Editor as large as the window. Returns it: it is another one for Blender."""
    with stage.on(stage.editor):
        bpy.ops.screen.screen_full_area()
    yield 1.0
    return bpy.context.window_manager.windows[0].screen.areas[0]


def make_small(stage: Stage, large: Any) -> Generator[Step, None, None]:
    with stage.on(large):
        bpy.ops.screen.back_to_previous()
    yield 1.0


def show_layers(stage: Stage) -> Generator[Step, None, None]:
    """What a result is made of, what made it, and the line between the picture and its painting while it is dragged."""
    addon, area, panels = stage.addon, stage.editor, stage.addon.panels
    press(area)
    yield lambda: addon.jobs.current() is None
    yield 1.0
    assert addon.jobs.last_report().level == "INFO", addon.jobs.last_report()
    addon.jobs.PAINTING.report, result = None, area.spaces.active.image
    rooms = panels.layers
    bpy.ops.pentimento.choose_layer(image="Still Life Attribution.Scale")
    yield from shoot_layers(stage, "panel_layers.png", {rooms.ImageLayersPanel})
    bpy.ops.pentimento.choose_layer(image=result.name)
    open_ones = {rooms.ImageLayersPanel, rooms.ImageRecipePanel, rooms.ImageHistoryPanel}
    yield from shoot_layers(stage, "panel_recipe.png", open_ones)
    yield from drag_wipe(stage, result)
    hide_and_show(stage, result)
    mask_by_layer(stage)
    yield from make_again(stage, result)
    for _ in range(2):
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.ed.undo()
        yield 1.0
    assert not [image for image in bpy.data.images if stage.addon.scene_io.MADE in image], "undone"


def hide_and_show(stage: Stage, result: Any) -> None:
    """The eye takes the painting off the cube and puts it back; the star shows a layer alone, and what was there."""
    space, layering = stage.editor.spaces.active, stage.addon.layering
    stack = layering.stack_of(result, bpy.context.scene)
    painting = stack.find(result.name, "")
    for shows in (False, True):
        bpy.ops.pentimento.toggle_layer(image=result.name)
        assert layering.shows(painting, layering.wired(stack, bpy.context.scene)) == shows
    overlay = "Still Life Attribution.Scale"
    for shown in (overlay, result.name):
        bpy.ops.pentimento.solo_layer(image=overlay)
        shows = space.image.get(stage.addon.explaining.SHOWN, space.image.name)
        assert shows == shown, (shows, shown)


def mask_by_layer(stage: Stage) -> None:
    """A strength of its own where an overlay is bright."""
    chosen, overlay = bpy.context.scene.pentimento, "Still Life Attribution.Scale"
    bpy.ops.pentimento.use_as_mask(image=overlay, part="stroke", target="NEW_PLACE")
    mask = chosen.places[0].mask
    assert tuple(mask.size) == tuple(bpy.data.images["Still Life"].size), tuple(mask.size)
    assert len(set(mask.pixels[:])) > 10, "it is grey"
    bpy.ops.pentimento.remove_place(index=0)
    bpy.data.images.remove(mask)


def make_again(stage: Stage, result: Any) -> Generator[Step, None, None]:
    """By its recipe, whatever the panel says now: the same pixels. And the recipe sets the panel."""
    addon, chosen = stage.addon, bpy.context.scene.pentimento
    chosen.strength, chosen.seed = 0.5, 9
    with stage.on(stage.editor):
        bpy.ops.pentimento.make_again("INVOKE_DEFAULT", image=result.name)
    yield lambda: addon.jobs.current() is None
    assert addon.jobs.last_report().level == "INFO", addon.jobs.last_report()
    again = bpy.data.images[f"{result.name}.001"]
    assert again.pixels[:] == result.pixels[:], "the same pixels"
    assert chosen.seed == 9, "the panel stays as it is"
    bpy.ops.pentimento.use_recipe(image=result.name)
    assert (chosen.strength, chosen.seed) == (1.0, 0)


def shoot_layers(stage: Stage, name: str, open_ones: set[Any]) -> Generator[Step, None, None]:
    arrange(stage.addon.panels, {stage.addon.panels.painting.ImageEditorPanel, *open_ones})
    large = yield from enlarge(stage)
    yield from scroll(large)
    shoot(name, sidebar(large))
    yield from make_small(stage, large)


def drag_wipe(stage: Stage, result: Any) -> Generator[Step, None, None]:
    """The picture follows the line, and nothing is left of it."""
    area, wiping, images = stage.editor, stage.addon.wiping, set(bpy.data.images.keys())
    yield from scroll(area)
    yield from settle(stage)
    with stage.on(area):
        bpy.ops.pentimento.compare("INVOKE_DEFAULT", image=result.name)
    wipe = wiping.wipe
    yield 1.0
    canvas = next(region for region in area.regions if region.type == "WINDOW")
    x, y = canvas.view2d.view_to_region(0.5, 0.5)
    x, y = canvas.x + x, SETTINGS["size"][1] - canvas.y - y
    drag: list[Any] = ["mousemove", x, y, "sleep", 0.2, "mousedown", 1, "sleep", 0.2]
    drag += ["mousemove", x - 40, y, "mousemove", x - 60, y]
    subprocess.Popen(["xdotool", *map(str, drag)])
    yield lambda: wipe.wanted < 0.45
    yield 1.0
    assert wipe.seen == wiping.column_of(wipe.wanted, wipe.sheet.shape[1])
    line_is_seen(area, wipe)
    take("compare.png", area.x, SETTINGS["size"][1] - area.y - area.height, area.width, 560)
    subprocess.Popen(["xdotool", "mouseup", "1", "key", "Escape"])
    yield lambda: wiping.wipe is None
    assert area.spaces.active.image == result and set(bpy.data.images.keys()) == images


def line_is_seen(area: Any, wipe: Any) -> None:
    """Does the display show a line where the two pictures meet? Its middle is white, its edges are darker than that."""
    canvas = next(region for region in area.regions if region.type == "WINDOW")
    x, _ = canvas.view2d.view_to_region(wipe.wanted, 0.5, clip=False)
    _, y = canvas.view2d.view_to_region(0.5, 0.25, clip=False)  # below the handle
    left, top = canvas.x + x - 8, SETTINGS["size"][1] - canvas.y - y - 20
    crop = ["-window", "root", "-crop", f"17x40+{left}+{top}", "+repage", "-depth", "8", "gray:-"]
    seen = subprocess.run(["import", *crop], capture_output=True, check=True).stdout
    columns = [sum(seen[column::17]) / 40 for column in range(17)]
    brightest = max(range(17), key=columns.__getitem__)
    others = sum(columns) / 17
    said = f"{columns[brightest]:.0f} of 255, around it {others:.0f}; {brightest - 8:+} px off"
    print(f"SHOWN the line is {said}")
    assert columns[brightest] > 200 and abs(brightest - 8) <= 2, columns
    assert min(columns[brightest - 3 : brightest + 4]) < columns[brightest] - 60, columns


def show_import(stage: Stage) -> Generator[Step, None, None]:
    """A model of another program: what it is taken for, and what it paints then of a picture of ours."""
    addon, area, panels = stage.addon, stage.editor, stage.addon.panels
    area.spaces.active.image = None
    arrange(panels, {panels.importing.ImageImportPanel})
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=sidebar(area)):
        bpy.ops.pentimento.import_style("INVOKE_DEFAULT", filepath=SETTINGS["model"])
    tried = addon.importing.checking
    yield lambda: (tried.facts is not None or tried.problem is not None) and addon.jobs.current() is None
    assert tried.problem is None, tried.problem
    yield from settle(stage)
    shoot("panel_import.png", area)
    for name, is_kept in (("Kept", True), ("Left", False)):
        yield from end_import(stage, name, is_kept)


def end_import(stage: Stage, name: str, is_kept: bool) -> Generator[Step, None, None]:
    """Kept, the model is a style that is chosen; left, it is none. Then it is imported anew, or deleted."""
    addon, before = stage.addon, bpy.context.scene.pentimento.style
    if addon.importing.checking is None:
        with stage.on(stage.editor):
            bpy.ops.pentimento.import_style("INVOKE_DEFAULT", filepath=SETTINGS["model"])
        yield lambda: addon.importing.checking.facts is not None and addon.jobs.current() is None
    bpy.context.window_manager.pentimento_import.name = name
    yield from settle(stage)
    kind = "keep" if is_kept else "discard"
    yield from click_button(stage.editor, f"pentimento.{kind}_import", 60 if is_kept else 170)
    yield lambda: addon.jobs.current() is None
    assert addon.importing.checking is None
    assert (addon.props.library.style_of(name) is not None) == is_kept
    assert bpy.context.scene.pentimento.style == (name if is_kept else before)
    if is_kept:
        bpy.ops.pentimento.delete_style(name=name)
        assert addon.props.library.style_of(name) is None
        bpy.context.scene.pentimento.style = before


def show_textures(stage: Stage) -> Generator[Step, None, None]:
    """The textures of the cube, listed with what each is for."""
    view, panels = stage.view, stage.addon.panels
    more = bpy.context.scene.pentimento_textures
    more.scope, more.relief = "SLOTS", True
    maps = [give_map(name) for name in ("Roughness", "Normal")]
    arrange(panels, {panels.painting.ViewportPanel, panels.textures.ViewportTexturesPanel}, "VIEW_3D")
    with stage.on(view):
        bpy.ops.pentimento.list_textures()
    yield from scroll(view)
    shoot("panel_textures.png", view)
    more.scope, more.relief = "SELECTED", False
    more.slots.clear()
    yield from paint_textures(stage)
    for node in maps:
        bpy.data.images.remove(node.image)
        node.id_data.nodes.remove(node)


def paint_textures(stage: Stage) -> Generator[Step, None, None]:
    """Painted, put back, painted again and applied: the cube wears the painting as a texture of its own."""
    addon, material = stage.addon, bpy.data.objects["Cube"].active_material
    still_life = bpy.data.images["Still Life"]
    texture = next(node for node, _ in addon.materials.textures(material) if node.image == still_life)
    links = len(material.node_tree.links)
    for ends in ("Revert", "Apply"):
        with stage.on(stage.view):
            bpy.ops.pentimento.stylize_textures("INVOKE_DEFAULT")
        yield lambda: addon.jobs.current() is None
        assert addon.jobs.last_report().level == "INFO", addon.jobs.last_report()
        assert len(addon.materials.groups(material)) == 1, "the painting lies over the picture"
        yield from settle(stage)
        with stage.on(stage.view):
            if ends == "Revert":
                bpy.ops.pentimento.revert_textures(remove_images=True)
            else:
                bpy.ops.pentimento.apply_textures()
        assert not addon.materials.groups(material) and len(material.node_tree.links) == links, ends
        painted = texture.image.name != "Still Life"
        assert painted == (ends == "Apply"), texture.image.name
    texture.image = still_life
    for image in [image for image in bpy.data.images if addon.scene_io.MADE in image]:
        bpy.data.images.remove(image)


def give_map(name: str) -> Any:
    """The cube's material gets a map that is no colour. Returns its node."""
    tree = bpy.data.objects["Cube"].active_material.node_tree
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = bpy.data.images.new(f"Still Life {name}", 64, 64, is_data=True)
    node.image.generated_color = (0.5, 0.5, 1.0 if name == "Normal" else 0.5, 1.0)
    target = tree.nodes["Principled BSDF"].inputs[name]
    if name == "Normal":
        between = tree.nodes.new("ShaderNodeNormalMap")
        tree.links.new(between.outputs["Normal"], target)
        target = between.inputs["Color"]
    tree.links.new(node.outputs["Color"], target)
    return node


def show_projection(stage: Stage) -> Generator[Step, None, None]:
    """What is asked before a mesh is painted from views."""
    panels = stage.addon.panels
    arrange(panels, {panels.painting.ViewportPanel, panels.projection.ViewportProjectionPanel}, "VIEW_3D")
    yield from scroll(stage.view)
    shoot("panel_projection.png", stage.view)
    addon, material = stage.addon, bpy.data.objects["Cube"].active_material
    chosen, images = bpy.context.scene.pentimento_projection, set(bpy.data.images.keys())
    chosen.count, chosen.view_size, chosen.size = 3, 128, 256
    bpy.ops.ed.undo_push(message="Before")
    with stage.on(stage.view):
        bpy.ops.pentimento.project_views("INVOKE_DEFAULT")
    yield lambda: addon.jobs.current() is None
    print(f"SHOWN {addon.jobs.last_report()}")
    assert addon.jobs.last_report().level == "INFO", addon.jobs.last_report()
    assert len(bpy.context.window_manager.windows) == 1, "views are rendered without a window"
    painted = [bpy.data.images[name] for name in set(bpy.data.images.keys()) - images]
    worn = [node.image for node in material.node_tree.nodes if node.type == "TEX_IMAGE"]
    assert {tuple(image.size) for image in painted if image in worn} == {(256, 256)}, painted
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.ed.undo()
    yield 1.0
    assert set(bpy.data.images.keys()) == images, set(bpy.data.images.keys()) ^ images


def show_set_up(stage: Stage) -> Generator[Step, None, None]:
    """What Training shows while no Python can train."""
    panels = stage.addon.panels
    arrange(panels, {panels.training.ImageTrainingPanel})
    yield from scroll(stage.editor)
    shoot("panel_training_setup.png", stage.editor)
    bpy.ops.pentimento.copy_setup()
    assert "-m pip install torch" in bpy.context.window_manager.clipboard, bpy.context.window_manager.clipboard


SHORT = {"size": 160, "crop": 128, "critic_scales": 2, "style_side": 400, "pairs": 4, "steps": 4000, "budget": 0.0}
"""A training that has something to show within a minute or two"""


def show_texture(stage: Stage) -> Generator[Step, None, None]:
    """A material out of noise."""
    addon, area = stage.addon, stage.editor
    chosen = bpy.context.scene.pentimento_texture
    chosen.style, chosen.width, chosen.height, chosen.seed = "Fieldstone", 1024, 512, 2
    area.spaces.active.image = None
    arrange(addon.panels, {addon.panels.new_texture.ImageTexturePanel})
    yield from scroll(area)
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=sidebar(area)):
        bpy.ops.pentimento.new_texture("INVOKE_DEFAULT")
    yield lambda: addon.jobs.current() is None
    assert addon.jobs.last_report().level == "INFO", addon.jobs.last_report()
    yield 1.0
    shoot("panel_texture.png", area)
    bpy.data.images.remove(area.spaces.active.image)


def show_training(stage: Stage) -> Generator[Step, None, None]:
    """What is asked, what it shows while it runs; the style that it makes stands in the picker."""
    addon, area = stage.addon, stage.editor
    panels, preferences = addon.panels, addon.props.library.preferences()
    preferences.python = SETTINGS["python"]
    yield lambda: addon.jobs.current() is None
    assert preferences.can_train, preferences.verdict
    arrange(panels, {panels.training.ImageTrainingPanel, panels.training.ImageSignaturePanel})
    preferences.styles_folder = SETTINGS["trained"]
    chosen = bpy.context.scene.pentimento_training
    chosen.pictures.add().image = bpy.data.images.load(SETTINGS["painting"])
    bpy.data.images.load(SETTINGS["another"])  # one picture is not enough to practise on
    chosen.content, chosen.name = "IMAGES", "My Hand"
    yield 1.0
    yield from settle(stage)
    shoot("panel_training.png", area)
    arrange(panels, {panels.training.ImageTrainingPanel})
    yield from show_keyframes(stage, chosen)

    start = time.perf_counter()
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window, area=area, region=sidebar(area)):
        bpy.ops.pentimento.train("INVOKE_DEFAULT", settings=json.dumps(SHORT))
    expect_within(1.0, time.perf_counter() - start, "the button returned")
    for step in range(100, 201, 100):
        yield lambda step=step: addon.training.view.caption == f"Step {step}" or not addon.jobs.TRAINING.job
    assert addon.jobs.TRAINING.job, addon.jobs.TRAINING.report
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.pentimento.show_training(image=addon.training.PREVIEW)
    yield from settle(stage)
    shoot("panel_training_progress.png", area)
    yield from pause_training(stage)
    yield lambda: addon.training.view.caption == "Step 800" or not addon.jobs.TRAINING.job  # for the training sheet
    bpy.ops.pentimento.stop_training()
    yield lambda: addon.jobs.current(addon.jobs.TRAINING) is None
    print(f"SHOWN {addon.jobs.last_report(addon.jobs.TRAINING)}")
    assert addon.props.library.style_of("My Hand"), "the new style stands in the picker"
    sheet = next(Path(SETTINGS["trained"]).glob("*.training/training_sheet.png"))
    shutil.copy(sheet, SETTINGS["output"])
    preferences.styles_folder = SETTINGS["styles"]


def pause_training(stage: Stage) -> Generator[Step, None, None]:
    """Paused, the panel offers to go on; then it does."""
    addon, area = stage.addon, stage.editor
    bpy.ops.pentimento.pause_training()
    yield lambda: addon.jobs.current(addon.jobs.TRAINING) is None
    report = addon.jobs.last_report(addon.jobs.TRAINING)
    assert "is paused" in report.message, report
    assert [found.name for found in addon.training.unfinished()] == ["My Hand"]
    yield from settle(stage)
    shoot("panel_training_paused.png", area)
    with stage.on(area):
        bpy.ops.pentimento.resume_training("INVOKE_DEFAULT", name="My Hand")
    yield lambda: addon.training.view.caption == "Step 300" or not addon.jobs.TRAINING.job
    assert addon.jobs.TRAINING.job, addon.jobs.last_report(addon.jobs.TRAINING)


def show_keyframes(stage: Stage, chosen: Any) -> Generator[Step, None, None]:
    """A frame of the still life as if it had been painted over, and the guides that the frames have passes for."""
    addon, area = stage.addon, stage.editor
    render, chosen.kind = bpy.context.scene.render, "KEYFRAMES"
    before = render.filepath, render.image_settings.file_format
    render.filepath, render.image_settings.file_format = SETTINGS["frames"], "OPEN_EXR_MULTILAYER"
    keyframe = chosen.keyframes.add()
    keyframe.image, keyframe.number = bpy.data.images.load(SETTINGS["another"]), 2
    keyframe.image.name = "painted_0002.png"
    yield from settle(stage)
    shoot("panel_training_keyframes.png", area)
    bpy.data.images.remove(keyframe.image)
    render.filepath, render.image_settings.file_format = before
    chosen.kind = "PICTURES"
    addon.jobs.redraw()


def arrange(panels: Any, open_ones: set[Any], space: str = "IMAGE_EDITOR") -> None:
    """Opens these panels of the Image Editor, or of another one, and closes the others."""
    every = [panel for panel in panels.CLASSES if getattr(panel, "bl_space_type", "") == space]
    drawn_anew(every, open_ones)
    if space == "IMAGE_EDITOR":
        ARRANGED[:] = [(every, open_ones)]


ARRANGED: list[tuple[list[Any], set[Any]]] = []
"""The panels of the Image Editor, and those of them that are open"""
TURNS = itertools.count(1)


def drawn_anew(every: list[Any], open_ones: set[Any]) -> None:
    """Opens some panels and closes the rest. No script can ask that of a panel that has been drawn: they come back
    under new names, as panels that have not. Names that become long are cut, and then they are the old ones."""
    turn = next(TURNS)
    for panel in reversed(every):
        bpy.utils.unregister_class(panel)
    for panel in every:
        panel.bl_idname = f"{panel.bl_idname.partition('_again')[0]}_again{turn}"
        if hasattr(panel, "bl_parent_id"):
            panel.bl_parent_id = f"{panel.bl_parent_id.partition('_again')[0]}_again{turn}"
        panel.bl_options = set() if panel in open_ones else {"DEFAULT_CLOSED"}
        bpy.utils.register_class(panel)


def settle(stage: Stage) -> Generator[Step, None, None]:
    """A panel that has grown moves those below it when the mouse comes over it, and not even then at times: they all
    come back as new ones."""
    for every, open_ones in ARRANGED:
        drawn_anew(every, open_ones)
    for _ in range(2):
        stage.addon.jobs.redraw()
        yield 0.4
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "IMAGE_EDITOR")
    bar = sidebar(area)
    for down in (14, 18):  # on a header, which has no tooltip
        place = [str(bar.x + 100), str(SETTINGS["size"][1] - bar.y - bar.height + down)]
        subprocess.Popen(["xdotool", "mousemove", *place])
        yield 0.4
    park()
    yield 0.8


def scroll(area: Any) -> Generator[Step, None, None]:
    """To the lower end of a sidebar."""
    yield 1.0
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=sidebar(area)):
        for _ in range(40):
            bpy.ops.view2d.scroll_down(deltax=0, deltay=200)
    yield 1.0


def show_render(stage: Stage) -> Generator[Step, None, None]:
    """A still: what is chosen in the render properties, and the painting in front of the compositor."""
    addon, area = stage.addon, stage.properties
    area.spaces.active.context = "RENDER"
    quick_cycles()
    bpy.context.scene.pentimento.painted_pass = "DiffCol"
    yield from open_render_panels(addon.panels, area, {addon.panels.painting.RenderPanel})
    shoot("panel_render.png", area)
    bpy.context.scene.pentimento.painted_pass = "Combined"
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area):
        bpy.ops.pentimento.stylize_render("INVOKE_DEFAULT")
    yield lambda: addon.jobs.current() is None
    print(f"SHOWN {addon.jobs.last_report()}")
    assert addon.jobs.last_report().level == "INFO", addon.jobs.last_report()
    assert any(node.label == "Pentimento Layers" for node in bpy.context.scene.node_tree.nodes)
    for window in bpy.context.window_manager.windows[1:]:  # Blender's own, with the render
        with bpy.context.temp_override(window=window):
            bpy.ops.wm.window_close()
    yield 1.0
    layers = addon.panels.layers.RenderLayersPanel
    yield from open_render_panels(addon.panels, area, {addon.panels.painting.RenderPanel, layers})
    shoot("panel_render_layers.png", area)


def quick_cycles() -> None:
    """Enough for a picture of a panel."""
    bpy.context.scene.render.engine = "CYCLES"
    bpy.context.scene.cycles.samples, bpy.context.scene.cycles.use_denoising = 1, False
    bpy.context.scene.render.resolution_percentage = 25


def show_controls(stage: Stage) -> Generator[Step, None, None]:
    """Of a render that tells its lights apart: less of the strokes, no reflections, a cube that holds back."""
    addon, area = stage.addon, stage.properties
    area.spaces.active.context = "RENDER"
    quick_cycles()
    chosen, layer, panels = bpy.context.scene.pentimento, bpy.context.view_layer, addon.panels
    for light in ("diffuse", "glossy"):
        for part in ("direct", "indirect", "color"):
            setattr(layer, f"use_pass_{light}_{part}", True)
    layer.use_pass_environment = True
    bpy.ops.pentimento.add_place(active=True)
    chosen.places[0].strength, chosen.band_stroke, chosen.gain_glossy = 0.3, 0.5, 0.0
    yield from open_render_panels(panels, area, {panels.painting.RenderPanel, panels.controls.RenderControlsPanel})
    shoot("panel_controls.png", area)
    bpy.ops.pentimento.reset_controls()


def open_render_panels(panels: Any, area: Any, open_ones: set[Any]) -> Generator[Step, None, None]:
    """Opens them, closes our others and scrolls down: they come last."""
    every = [panel for panel in panels.CLASSES if getattr(panel, "bl_space_type", "") == "PROPERTIES"]
    drawn_anew([panel for panel in every if panel.bl_region_type == "WINDOW"], open_ones)
    yield 1.0
    region = next(region for region in area.regions if region.type == "WINDOW")
    for _ in range(30):  # it goes a line at a time, whatever one asks for
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
            bpy.ops.view2d.scroll_down(deltax=0, deltay=200)
        yield 0.05
    yield 1.0


def show_animation(stage: Stage) -> Generator[Step, None, None]:
    """Rendered in Blender's own window and painted meanwhile, with a movie; then cancelled, and gone on with."""
    addon, area = stage.addon, stage.properties
    area.spaces.active.context = "RENDER"
    quick_cycles()
    scene, chosen, panels = bpy.context.scene, bpy.context.scene.pentimento_animation, addon.panels
    before = scene.render.filepath, scene.render.image_settings.file_format, scene.frame_current
    scene.frame_start, scene.frame_end = 1, 6
    chosen.movie, scene.pentimento.overlays = bpy.app.ffmpeg.supported, {"Scale"}
    yield from open_render_panels(panels, area, {panels.painting.RenderPanel, panels.animation.RenderAnimationPanel})
    shoot("panel_animation.png", area)
    chosen.movie &= bpy.app.version >= (
        4,
        2,
    )  # before, Blender does not see the layers of our files: no movie, no nodes
    chosen.folder = SETTINGS["animation"]
    yield from animate(addon, area, "ANEW")
    folder = Path(SETTINGS["animation"])
    assert len(list(folder.glob("Scene_*.exr"))) == 6, list(folder.iterdir())
    assert len(list(folder.glob("*.mp4"))) == chosen.movie
    assert [scene.name for scene in bpy.data.scenes] == ["Scene"], "the movie's scene is gone"
    chosen.folder, scene.frame_end = str(folder / "stick"), 200
    yield from animate(addon, area, "STICK", cancel_at=3)
    scene.frame_end = 4
    yield from animate(addon, area, "STICK")
    assert "there already" in addon.jobs.last_report().fix
    assert before == (scene.render.filepath, scene.render.image_settings.file_format, scene.frame_current)
    yield from after_render(addon, folder)


def after_render(addon: Any, folder: Path) -> Generator[Step, None, None]:
    """Blender's own Render Animation, whose frames are painted when it has ended."""
    scene, chosen = bpy.context.scene, bpy.context.scene.pentimento_animation
    chosen.after_render, chosen.folder = True, str(folder / "after")
    bpy.ops.pentimento.switch_on_passes()
    scene.render.use_compositing = False  # it shows the painting
    scene.render.image_settings.file_format, scene.render.filepath = "OPEN_EXR_MULTILAYER", str(folder / "own_")
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.render.render("INVOKE_DEFAULT", animation=True)
    yield lambda: addon.jobs.current() is not None
    yield lambda: addon.jobs.current() is None
    print(f"SHOWN {addon.jobs.last_report()}")
    assert addon.jobs.last_report().level == "INFO", addon.jobs.last_report()
    assert len(list((folder / "after").glob("own_*.exr"))) == 4
    chosen.after_render = False


def animate(addon: Any, area: Any, strokes: str, cancel_at: int = 0) -> Generator[Step, None, None]:
    """Presses the button, and waits for the end. cancel_at: the frame after which Cancel is pressed."""
    chosen = bpy.context.scene.pentimento_animation
    chosen.strokes = strokes
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area):
        start = time.perf_counter()
        bpy.ops.pentimento.stylize_animation("INVOKE_DEFAULT")
        expect_within(1.0, time.perf_counter() - start, "the button returned")
    if cancel_at:
        cut = Path(chosen.folder, "frames", f"Scene_{cancel_at:04d}.exr")
        yield cut.exists
        start = time.monotonic()
        addon.jobs.cancel()
        yield lambda: addon.jobs.current() is None
        expect_within(2.0, time.monotonic() - start, "cancelled")
        assert "cancelled" in addon.jobs.last_report().message, addon.jobs.last_report()
        yield lambda: not bpy.app.is_job_running("RENDER")
        return
    yield lambda: addon.jobs.current() is None
    print(f"SHOWN {addon.jobs.last_report()}")
    assert addon.jobs.last_report().level == "INFO", addon.jobs.last_report()


def show_preferences(stage: Stage) -> Generator[Step, None, None]:
    """The add-on's preferences in a window of their own, with Blender's own Python."""
    others = blender_windows()
    bpy.ops.screen.userpref_show("INVOKE_DEFAULT")
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Pentimento"
    bpy.ops.preferences.addon_expand(module="pentimento")
    preferences = bpy.context.preferences.addons["pentimento"].preferences
    yield lambda: stage.addon.jobs.current() is None
    preferences.python = ""
    yield lambda: stage.addon.jobs.current() is None
    print(f"SHOWN {preferences.verdict}")
    assert stage.addon.setting_up.checked is not None, "it can stylize"
    (found,) = blender_windows() - others  # what it is called depends on the language
    subprocess.run(["xdotool", "windowmove", found, "20", "10", "windowsize", found, "690", "870"], check=True)
    subprocess.run(["xdotool", "mousemove", "5", "5"], check=True)  # no tooltip over what is to be seen
    yield 2.0
    window = bpy.context.window_manager.windows[-1]
    take("preferences.png", window.x, SETTINGS["size"][1] - window.y - window.height, window.width, window.height)


def blender_windows() -> set[str]:
    """Numbers of those that are shown: that of a render may still be there."""
    find = ["xdotool", "search", "--onlyvisible", "--class", "Blender"]
    return set(subprocess.run(find, capture_output=True, text=True, check=True).stdout.split())


def install() -> Any:
    bpy.ops.preferences.addon_install(filepath=SETTINGS["addon"], overwrite=True)
    bpy.ops.preferences.addon_enable(module="pentimento")
    preferences = bpy.context.preferences
    preferences.view.show_splash = False
    preferences.view.ui_scale = 1.0
    if SETTINGS["styles"]:
        preferences.addons["pentimento"].preferences.styles_folder = SETTINGS["styles"]
    return sys.modules["pentimento"]


def speak(language: str) -> None:
    """The interface in a language, as Blender 4 calls it; empty: as it is."""
    view = bpy.context.preferences.view
    if language:
        view.language = {"zh_HANS": "zh_CN"}.get(language, language) if bpy.app.version < (4, 0, 0) else language
        view.use_translate_interface = view.use_translate_tooltips = True


def give_to_cube(image: Any) -> None:
    """The factory scene's cube wears the picture."""
    tree = bpy.data.objects["Cube"].active_material.node_tree
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image, texture.location = image, (-620, 300)
    tree.nodes.active = texture
    tree.links.new(texture.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])


def editors() -> Any:
    """The 3D viewport is split: the Image Editor on the left, both with their sidebars."""
    screen = bpy.context.window_manager.windows[0].screen
    view = next(area for area in screen.areas if area.type == "VIEW_3D")
    others = set(screen.areas)
    window = bpy.context.window_manager.windows[0]
    region = next(region for region in view.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=view, region=region):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.5)
    new = next(area for area in screen.areas if area not in others)
    left = min((new, view), key=lambda area: area.x)
    left.type = "IMAGE_EDITOR"
    for area in (new, view):
        area.spaces.active.show_region_ui = True
    view.spaces.active.shading.type = "MATERIAL"
    return left


def sidebar(area: Any) -> Any:
    return next(region for region in area.regions if region.type == "UI")


def click_tabs(area: Any) -> Generator[Step, None, None]:
    """Sidebars show the tab that was clicked last; there is no other way before Blender 4.2."""
    click(SETTINGS["size"][0] // 2, 5)  # the first click only tells the window manager which window is meant
    yield 1.0
    for each in [area, *(area for area in bpy.context.screen.areas if area.type == "VIEW_3D")]:
        click(each.x + each.width - 12, SETTINGS["size"][1] - each.y - each.height + TAB[each.type])
        yield 1.0


TAB = {"IMAGE_EDITOR": 280, "VIEW_3D": 240}
"""Pixels from the top of the editor to our tab"""


def park() -> None:
    """The mouse where it lies on nothing: no tooltip comes up, and no button is lit."""
    subprocess.run(["xdotool", "mousemove", str(SETTINGS["size"][0] // 2), "2"], check=True)


def click_button(area: Any, operator: str, across: int = 110, down: int = 120) -> Generator[Step, None, None]:
    """With the mouse, as an artist does. Where a button is nobody can ask; but Ctrl C over one copies its operator.
    down: pixels from the top of the sidebar to where it is looked for first"""
    bar, manager = sidebar(area), bpy.context.window_manager
    manager.clipboard = ""
    for y in range(bar.y + bar.height - down, bar.y + 40, -14):
        place = [str(bar.x + across), str(SETTINGS["size"][1] - y)]
        subprocess.Popen(["xdotool", "mousemove", *place, "sleep", "0.1", "key", "ctrl+c"])
        yield 0.3
        if operator in manager.clipboard:
            click(bar.x + across, SETTINGS["size"][1] - y)
            yield 0.6
            return
    raise AssertionError(f"no button of {operator} was found")


def click(x: int, y: int) -> None:
    subprocess.Popen(["xdotool", "mousemove", str(x), str(y), "sleep", "0.2", "click", "1"])


def press(area: Any) -> None:
    """As the button in the panel does."""
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window, area=area, region=sidebar(area)):
        bpy.ops.pentimento.stylize_image("INVOKE_DEFAULT")


def shoot(name: str, area: Any) -> None:
    """What the display shows of an editor, or of one region of it."""
    take(name, area.x, SETTINGS["size"][1] - area.y - area.height, area.width, area.height)


def take(name: str, left: int, top: int, width: int, height: int) -> None:
    crop = f"{width}x{height}+{max(left, 0)}+{max(top, 0)}"
    path = Path(SETTINGS["output"], name)
    subprocess.run(["import", "-window", "root", "-crop", crop, "+repage", str(path)], check=True)
    print(f"SHOWN {name}", flush=True)


SCENES = {
    "image": show_image,
    "import": show_import,
    "cancel": cancel_a_job,
    "error": lose_the_worker,
    "explain": show_explaining,
    "mixing": show_mixing,
    "gallery": show_gallery,
    "presets": show_presets,
    "layers": show_layers,
    "textures": show_textures,
    "projection": show_projection,
    "texture": show_texture,
    "set_up": show_set_up,
    "training": show_training,
    "controls": show_controls,
    "render": show_render,
    "animation": show_animation,
    "preferences": show_preferences,
}
"""Name for --only -> scene. A new panel is a scene and a line in here: `arrange` opens panels of the Image Editor,
`open_render_panels` those of the render properties, `shoot` takes the picture. Each begins with the still life in the
Image Editor and no report in the panels; what else it changes it puts back."""


def write_allowed(act: Callable[[], Any]) -> Any:
    """What it returns, also where timers may not write any more: blender_addon/writing.py says why."""
    scene, manager = bpy.context.scene, bpy.context.window_manager
    try:
        scene.render.use_motion_blur = scene.render.use_motion_blur
    except AttributeError:
        print("SHOWN Blender forbids timers to write: they go through a callback", flush=True)
    else:
        return act()
    returned, raised = list[Any](), list[BaseException]()

    def turned(_self: Any, _context: Any) -> None:
        try:
            returned.append(act())
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)

    bpy.types.WindowManager.screenshots_turn = bpy.props.BoolProperty(update=turned)
    manager.screenshots_turn = not manager.screenshots_turn
    if raised:
        raise raised[0]
    return returned[0]


def main(todo: Generator[Step, None, None]) -> None:
    waiting: list[Step] = [0.0]
    until = time.monotonic() + PATIENCE

    def go_on() -> float | None:
        nonlocal until
        wait = waiting[0]
        try:
            if callable(wait) and not wait():
                assert time.monotonic() < until, "waited for too long"
                return 0.05
            waiting[0], until = write_allowed(lambda: next(todo)), time.monotonic() + PATIENCE
        except StopIteration:
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the whole point: nothing may leave this window open for ever
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        return 0.0 if callable(waiting[0]) else float(waiting[0])

    bpy.app.timers.register(go_on, first_interval=2.0)


if __name__ == "__main__":
    main(steps())
