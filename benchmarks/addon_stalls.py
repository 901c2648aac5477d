"""How long Blender stands still in heavy files: at the press, in the timer, whenever a panel is drawn.

    python benchmarks/addon_stalls.py [--zip FILE] [--style NAME]

Fresh processes of the `bpy` module with the zip installed; the timer of a job is called as a window would.

* `meshes`: 20 textures on as many meshes of 200 000 triangles, Stylize Textures: the press, and the longest call of
  the timer beside what Blender takes to read and to pack pixels.
* `nodes`: 300 objects with materials of 60 nodes, one texture in ten of them, all selected: the polls of the buttons
  and whole panels, once where colours are textures and once where none is.
* `layers`: of a painting of 4096 x 4096 with a mask: its overlay shown alone, that made into a mask, its settings into
  the panel. Each as a button does it: the press, and the longest call of the timer.

The bars: a press 250 ms, a call of the timer 30 ms beside its pixel calls, a poll 1 ms.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

import build_addon  # noqa: E402
from benchmarks import machine  # noqa: E402
from benchmarks.addon_start import INSTALL, OPENED, PACKAGE, in_blender  # noqa: E402

BARS = {"press": 0.25, "call": 0.03, "poll": 0.001}
"""Seconds"""

START = """
jobs, scene_io, panels, operators = map(room, ("jobs", "scene_io", "panels", "operators"))
scene = bpy.context.scene
scene.pentimento.style, scene.pentimento.overlays = chosen["style"], set()
for owner, name in ((scene_io, "rows_of"), (scene_io, "fill_image"), (room("explaining"), "_fill_display")):
    setattr(owner, name, timed(getattr(owner, name)))

def took(function):
    pixel[0], start = 0.0, time.perf_counter()
    function()
    return time.perf_counter() - start - pixel[0]

def typical(function):
    return sorted(took(function) for _ in range(9))[4]

def pumped(lane):
    calls = []
    while jobs.current(lane) is not None:
        time.sleep(jobs.INTERVAL)
        calls.append(took(jobs._tick))
    report = jobs.last_report(lane)
    assert report.level == "INFO", report.text
    return calls

def material(name, nodes, image, socket):
    made = bpy.data.materials.new(name)
    if made.node_tree is None:
        made.use_nodes = True
    tree = made.node_tree
    shader, last = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED"), None
    for number in range(nodes - 2):
        node = tree.nodes.new("ShaderNodeMath" if number % 10 or image is None else "ShaderNodeTexImage")
        if node.bl_idname == "ShaderNodeTexImage":
            node.image = image
        if last is not None and node.inputs:
            tree.links.new(last.outputs[0], node.inputs[0])
        last = node
    tree.links.new(last.outputs[0], shader.inputs[socket])
    return made

def done(**found):
    jobs.stop()
    addon_utils.disable(chosen["package"])
    print(json.dumps({"blender": bpy.app.version_string, **found}))
"""

MESHES = """
for number in range(20):
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=316, y_subdivisions=316)
    image = bpy.data.images.new(f"Image {number}", 256, 256)
    image.pixels.foreach_set(np.random.default_rng(number).random(256 * 256 * 4, np.float32))
    bpy.context.object.data.materials.append(material(f"Material {number}", 3, image, "Base Color"))
for thing in scene.objects:
    thing.select_set(True)
press = took(lambda: jobs.start(operators.textures.StylizeTextures.job(None, bpy.context, False)))
calls = pumped(jobs.PAINTING)
done(press_s=press, longest_call_s=max(calls), calls=len(calls))
"""

NODES = """
class Layout:
    operator = operator_menu_enum = prop = menu = lambda self, *given, **named: types.SimpleNamespace()
    label = template_list = progress = separator = template_icon = lambda self, *given, **named: None
    row = column = box = split = grid_flow = lambda self, *given, **named: Layout()
    def __getattr__(self, name):
        return Layout.row

def draw(panel):
    context = types.SimpleNamespace(
        scene=scene, view_layer=bpy.context.view_layer, object=bpy.context.object,
        preferences=types.SimpleNamespace(system=types.SimpleNamespace(ui_scale=1.0)),
        region=types.SimpleNamespace(width=300, type="UI"), space_data=types.SimpleNamespace(type="VIEW_3D"),
    )
    panel.draw(types.SimpleNamespace(layout=Layout()), context)

found = {}
for case, socket in (("colours", "Base Color"), ("no colours", "Roughness"), ("no textures", None)):
    for data in (bpy.data.objects, bpy.data.meshes, bpy.data.materials, bpy.data.images):
        bpy.data.batch_remove(list(data))
    for number in range(300):
        image = bpy.data.images.new(f"Image {number}", 4, 4)
        thing = bpy.data.objects.new(f"Thing {number}", bpy.data.meshes.new(f"Thing {number}"))
        image = image if socket else None
        thing.data.materials.append(material(f"Material {number}", 60, image, socket or "Roughness"))
        scene.collection.objects.link(thing)
        thing.select_set(True)
    bpy.context.view_layer.objects.active = thing
    textures = operators.textures
    can = room("texturing").problem(bpy.context) == "" and case == "colours"
    found[case] = {
        "press_s": took(lambda: room("texturing").tasks(bpy.context)) if can else None,
        "poll_s": {cls.__name__: typical(lambda: cls.poll(bpy.context)) for cls in (
            textures.StylizeTextures, textures.RevertTextures, textures.ApplyTextures, operators.projection.ProjectViews
        )},
        "draw_s": {name: typical(lambda: draw(getattr(getattr(panels, room), name))) for room, name in (
            ("textures", "ViewportTexturesPanel"), ("layers", "ViewportLayersPanel"),
            ("layers", "ViewportHistoryPanel"), ("layers", "ViewportRecipePanel"),
        )},
    }
done(**found)
"""

LAYERS = """
size = 4096
random = np.random.default_rng(0)
for name in ("Stone", "Mask"):
    image = bpy.data.images.new(name, size, size)
    pixels = np.kron(random.random((size // 16, size // 16, 4), np.float32), np.ones((16, 16, 1), np.float32))
    pixels[..., 3] = 1
    image.pixels.foreach_set(pixels.ravel())
    image.pack()
scene.pentimento.overlays, scene.pentimento.mask = {"Scale"}, image
bpy.ops.pentimento.stylize_image(image="Stone")
scene.pentimento.mask = None
area = bpy.context.window_manager.windows[0].screen.areas[0]
area.type = "IMAGE_EDITOR"
overlay, result = "Stone Attribution.Scale", f"Stone ({chosen['style']})"
for image in bpy.data.images:
    len(image.pixels)  # Blender has read it, for editors show it
image = scene.pentimento.mask or bpy.data.images["Mask"]
found, layers, base = {}, operators.layers, room("operators.base")
for name, cls, given in (
    ("shown alone", layers.SoloLayer, {"image": overlay}),
    ("made a mask", layers.UseAsMask, {"image": overlay, "part": "stroke", "target": "STYLE"}),
    ("settings used", layers.UseRecipe, {"image": result}),
):
    pressed = types.SimpleNamespace(**{"layer": "", "part": "", "target": "", **given})
    press = took(lambda: base.read(cls.bl_label, cls.work(pressed, bpy.context)))
    found[name] = {"press_s": press, "longest_call_s": max([0.0, *pumped(jobs.READING)])}
assert scene.pentimento.mask == image
done(**found)
"""


def measure(archive: Path, style: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as profile:
        in_blender(profile, INSTALL, str(archive))
        chosen = json.dumps({"package": PACKAGE, "style": style})
        answers = {
            name: json.loads(in_blender(profile, OPENED + START + code, chosen, timeout=600).splitlines()[-1])
            for name, code in CASES.items()
        }
    return {**answers, "bars_s": BARS, "passed": passed(answers)}


CASES = {"meshes": MESHES, "nodes": NODES, "layers": LAYERS}


def passed(answers: dict[str, Any]) -> bool:
    nodes, layers = (
        [case for case in answers[name].values() if isinstance(case, dict)] for name in ("nodes", "layers")
    )
    jobs = [answers["meshes"], *layers]
    presses = [case["press_s"] or 0.0 for case in (*jobs, *nodes)]
    polls = [seconds for case in nodes for seconds in case["poll_s"].values()]
    calls = [case["longest_call_s"] for case in jobs]
    return max(presses) <= BARS["press"] and max(calls) <= BARS["call"] and max(polls) <= BARS["poll"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", default="Starry Night")
    parser.add_argument("--zip", type=Path, help="default: built from these sources")
    chosen = parser.parse_args()
    try:
        found = measure(chosen.zip or build_addon.build(), chosen.style)
    except subprocess.CalledProcessError as error:
        print(error.stdout, error.stderr, sep="\n")
        return 2
    print(json.dumps(found, indent=2))
    print(machine.write("addon_stalls", found))
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
