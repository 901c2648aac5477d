"""Runs inside Blender for make_screenshots.py --newcomer: who has only the zip and the guide, from an empty profile to
a stylized material, by presses of the mouse and the keyboard alone.

In the background it saves the newcomer's own file: a crate with a picture on it. In a window that has opened this file
it presses and looks: what a press has to change is waited for, and it fails where nothing comes of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import bpy
from bpy_extras import view3d_utils

sys.path.insert(0, str(Path(__file__).resolve().parent))

import screenshots_inside as inside

SETTINGS, HEIGHT = inside.SETTINGS, inside.SETTINGS["size"][1]
ZIP = Path(SETTINGS["zip"])
PATIENCE = 8.0
"""Seconds for what a press has to change, also on a crowded machine; then it is made once more: the first click into a
new window may only tell the window manager which one is meant"""
TRIES = 2
COLOURFUL = 12
"""Of 255: what separates the channels of a painted crate; a grey one has 0"""
Step = inside.Step


class Presses:
    """Counts what the newcomer does, and the time since the first of it."""

    def __init__(self) -> None:
        self.count = 0
        self.since = 0.0

    def make(self, what: str, keys: list[Any], done: Callable[[], Any]) -> Generator[Step, None, None]:
        """One press, and what comes of it. keys: for xdotool"""
        self.since = self.since or time.monotonic()
        for _ in range(TRIES):
            self.count += 1
            subprocess.Popen(["xdotool", *map(str, keys)])
            until = time.monotonic() + PATIENCE
            yield lambda until=until: bool(done()) or time.monotonic() > until
            if done():
                break
        assert done(), f"nothing came of a press: {what}"
        yield 0.5  # it is drawn, and read
        print(f"SHOWN {self.seconds:5.1f} s: {what}", flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since


presses = Presses()


def press(what: str, x: float, y: float, done: Callable[[], Any]) -> Generator[Step, None, None]:
    """A click on a place of the display. y: from the top"""
    x, y = int(x), int(y)
    keys = ["mousemove", x - 3, y - 2, "sleep", 0.3, "mousemove", x, y, "sleep", 0.5, "click", 1]
    yield from presses.make(what, keys, done)


def newcomer() -> Generator[Step, None, None]:
    """The guide to the word: docs/install.md, then docs/materials.md."""
    assert "pentimento" not in bpy.context.preferences.addons, "the profile is empty"
    yield 2.0
    inside.click(SETTINGS["size"][0] // 2, HEIGHT - 8)  # on nothing: the window manager learns which window is meant
    yield 1.0
    yield from install()
    yield from stylize()
    print("CHECKED all", flush=True)


# ---------------------------------------------------------------- Put it into Blender


def install() -> Generator[Step, None, None]:
    """Preferences > Add-ons > Install, the zip, the check box; and the preferences are closed."""
    manager, preferences = bpy.context.window_manager, bpy.context.preferences
    yield from press("Edit", 86, 14, lambda: True)
    yield from press("Preferences", 134, 311, lambda: find("PREFERENCES"))
    window, _ = find("PREFERENCES")
    yield from press("Add-ons", *at(window, 38, 189), lambda: preferences.active_section == "ADDONS")
    yield from press("Install", *at(window, 533, 17), lambda: find("FILE_BROWSER"))
    yield from pick_zip()
    yield from press_install(manager)
    yield from press("the check box", *at(window, 209, 74), lambda: "pentimento" in preferences.addons)
    closing = ["mousemove", *map(int, at(window, 60, 500)), "sleep", 0.2, "key", "alt+F4"]
    yield from presses.make("close the preferences", closing, lambda: len(manager.windows) == 1)


def pick_zip() -> Generator[Step, None, None]:
    """Downloads, in the file browser's list of places; the zip, in the list of files."""
    window, browser = find("FILE_BROWSER")
    chosen = browser.spaces.active.params
    folder = lambda: Path(chosen.directory.decode()) == ZIP.parent  # noqa: E731
    yield from press("Downloads", *at(window, 77, 198), folder)
    yield from press(ZIP.name, *at(window, 348, 77), lambda: chosen.filename == ZIP.name)


def press_install(manager: Any) -> Generator[Step, None, None]:
    window, browser = find("FILE_BROWSER")
    bar = next(region for region in browser.regions if region.type == "EXECUTE")
    x, y = at(window, bar.x + bar.width - 80, window.height - bar.y - bar.height / 2)
    yield from press("Install Add-on", x, y, lambda: manager.addon_search == "Pentimento")


# ---------------------------------------------------------------- Paint the texture of an object


def stylize() -> Generator[Step, None, None]:
    """The object, the sidebar, the tab, a style, the button; Material Preview, where the painting is seen."""
    view = find("VIEW_3D")[1]
    space, crate = view.spaces.active, bpy.data.objects["Crate"]
    x, y = place_of(view, crate)
    assert colourfulness(x, y) < COLOURFUL, "before anything is painted the viewport is grey"
    yield from press("the crate", x, y, lambda: bpy.context.view_layer.objects.active == crate and crate.select_get())
    keys = ["mousemove", x, y + 200, "sleep", 0.3, "key", "n"]
    yield from presses.make("N", keys, lambda: space.show_region_ui)
    top = HEIGHT - view.y - view.height
    yield from press("the tab Pentimento", view.x + view.width - 12, top + inside.TAB["VIEW_3D"], lambda: True)
    yield from choose_style(view)
    yield from press_stylize(view, crate)
    seen = lambda: space.shading.type == "MATERIAL"  # noqa: E731
    yield from press("Material Preview", view.x + view.width - 60, top + 13, seen)
    yield lambda: colourfulness(x, y) >= COLOURFUL
    tell(x, y)
    inside.park()
    yield 2.0
    inside.shoot("newcomer.png", view)


def choose_style(view: Any) -> Generator[Step, None, None]:
    """The large picture opens the list of styles. Ours stands in it where nobody can ask; the scene tells what was
    chosen."""
    bar = inside.sidebar(view)
    x, y = bar.x + 100, HEIGHT - bar.y - bar.height + 100
    yield from press("the picture of the style", x, y, lambda: True)
    chosen = lambda: bpy.context.scene.pentimento.style == SETTINGS["style"]  # noqa: E731
    yield from press(SETTINGS["style"], x - 182, y + 120, chosen)


def press_stylize(view: Any, crate: Any) -> Generator[Step, None, None]:
    """Until the material wears the painting."""
    jobs = sys.modules["pentimento.jobs"]
    start, presses.count = time.monotonic(), presses.count + 1
    yield from inside.click_button(view, "pentimento.stylize_image", down=370)
    yield lambda: jobs.current() is not None or jobs.last_report() is not None
    yield lambda: jobs.current() is None
    report = jobs.last_report()
    assert report.level == "INFO", report
    assert painted(crate.active_material), "the painting feeds the surface"
    print(f"SHOWN {presses.seconds:5.1f} s: Stylize, {time.monotonic() - start:.1f} s of it", flush=True)


def painted(material: Any) -> bool:
    """Does a new image go through our group into the surface?"""
    group = next(node for node in material.node_tree.nodes if node.type == "GROUP")
    sources = [link.from_node for each in group.inputs for link in each.links]
    images = {node.image.name for node in sources if node.type == "TEX_IMAGE"}
    fed = [link.to_node.type for each in group.outputs for link in each.links]
    return f"{SETTINGS['picture']} ({SETTINGS['style']})" in images and "BSDF_PRINCIPLED" in fed


def tell(x: int, y: int) -> None:
    """What was measured, for the result file"""
    told = {
        "seconds": round(presses.seconds, 1),
        "presses": presses.count,
        "blender": bpy.app.version_string,
        "zip_bytes": ZIP.stat().st_size,
        "colourfulness": colourfulness(x, y),
    }
    print(f"MEASURED {json.dumps(told)}", flush=True)


# ---------------------------------------------------------------- where things are


def find(kind: str) -> tuple[Any, Any] | None:
    """The window and the area of the first editor of that kind."""
    for window in reversed(bpy.context.window_manager.windows):
        for area in window.screen.areas:
            if area.type == kind:
                return window, area
    return None


def at(window: Any, x: float, y: float) -> tuple[float, float]:
    """Of the display, from pixels from a window's upper left corner"""
    return window.x + x, HEIGHT - window.y - window.height + y


def place_of(view: Any, thing: Any) -> tuple[int, int]:
    canvas = next(region for region in view.regions if region.type == "WINDOW")
    seen = view3d_utils.location_3d_to_region_2d(canvas, view.spaces.active.region_3d, thing.location)
    return int(canvas.x + seen.x), int(HEIGHT - canvas.y - seen.y)


def colourfulness(x: int, y: int) -> int:
    """How far the channels of what the display shows around a place lie apart, of 255"""
    crop = f"40x40+{x - 20}+{y + 20}"
    mean = ["-window", "root", "-crop", crop, "+repage", "-resize", "1x1!", "-depth", "8", "rgb:-"]
    seen = subprocess.run(["import", *mean], capture_output=True, check=True).stdout
    return max(seen) - min(seen)


def save_file() -> None:
    """What a newcomer may have: an object with a picture on it, in a viewport as a new file has it."""
    image = bpy.data.images.load(str(ZIP.parents[1] / SETTINGS["picture"]))
    image.pack()
    inside.give_to_cube(image)
    crate = bpy.data.objects["Cube"]
    crate.name, crate.active_material.name = "Crate", "Painted Wood"
    bpy.ops.wm.save_as_mainfile(filepath=str(ZIP.parents[1] / "My Scene.blend"))


if bpy.app.background:
    save_file()
else:
    inside.main(newcomer())
