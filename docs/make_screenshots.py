"""Takes the pictures of the panels for the guide, in a real Blender window on a display of its own.

    python docs/make_screenshots.py [--only SCENE ...] [--painting FILE] [--blender blender] [--styles DIR]
                                    [--style NAME] [--language LANGUAGE] [--output DIR]
    python docs/make_screenshots.py --newcomer

Needs Xvfb, openbox and a Blender that can run in a window (Debian's 3.4 does; the sources install there as a legacy
add-on). It is also a test of what only a window can show: the button returns at once, a timer carries the job on,
the sidebar draws, the result appears in the editor, one undo takes it away; a style is trained, by this Python,
which needs torch and onnx. Exit code 1 when any of it fails. Scenes are named at the end of screenshots_inside.py;
without --only all of them play.

With --newcomer Blender begins with an empty profile and a file of somebody's, and the mouse and the keyboard alone
install the zip and stylize a material (newcomer_inside.py). Exit code 1 when nothing comes of a press, or when it takes
longer than two minutes; the seconds are written into benchmarks/results/.

In another language (`--language zh_HANS --only image explain training preferences`) it is the way to look at a
translation; pictures are then named after the language, and go elsewhere with --output.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import shrink_pictures

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

SIZE = (1640, 900)
INSIDE = Path(__file__).with_name("screenshots_inside.py")
NEWCOMER = Path(__file__).with_name("newcomer_inside.py")
NEWCOMER_LIMIT = 120.0
"""Seconds from the first press to the stylized material"""
NO_DECORATION = """<openbox_config xmlns="http://openbox.org/3.4/rc">
<keyboard><keybind key="A-F4"><action name="Close"/></keybind></keyboard>
<applications><application name="*"><decor>no</decor></application></applications></openbox_config>"""
"""So that Blender's pixels are the display's pixels; what has no frame has no cross to close it, but a key"""
SYSTEM_PATH = "/usr/bin:/bin"
"""Debian's Blender takes the first Python of its version on the path for its own: here the system's, not one of ours"""
LONGEST = 3600.0
"""Seconds for all scenes, also on a crowded machine"""
IMAGES = REPO / "docs" / "images"
SAMPLES = REPO / "engine" / "samples"
PAINTING = REPO / "engine" / "styles" / "wheat-field" / "picture_0.jpg"
"""What a style is trained from where no other is given: the painting that a shipped style holds, reduced"""


@contextlib.contextmanager
def display(folder: Path) -> Iterator[str]:
    """An X display with a window manager. Yields its name."""
    read, write = os.pipe()
    screen = f"{SIZE[0]}x{SIZE[1]}x24"
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", screen, "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as answer:
        name = ":" + answer.readline().strip()
    plain = folder / "openbox.xml"
    plain.write_text(NO_DECORATION)
    manager = subprocess.Popen(
        ["openbox", "--config-file", str(plain)], env={**os.environ, "DISPLAY": name}, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(1)
        yield name
    finally:
        for process in (manager, server):
            process.terminate()
            process.wait()


def legacy_zip(folder: Path) -> Path:
    """The shipped zip with its files in a folder `pentimento`, as Blender before 4.2 wants it."""
    import build_addon

    shutil.unpack_archive(build_addon.build(), folder / "staged" / "pentimento")
    return Path(shutil.make_archive(str(folder / "legacy"), "zip", folder / "staged", "pentimento"))


def sample_picture(name: str, path: Path) -> None:
    """A frame of the project's own still life as an 8-bit picture: something that an artist might paint."""
    import numpy as np
    from PIL import Image

    from engine.files import open_picture
    from engine.picture import to_display

    reader = open_picture(SAMPLES / name)
    pixels = reader.read(0, 0, reader.height, reader.width)
    shown = np.clip(to_display(pixels, reader.encoding, reader.alpha), 0, 1)
    Image.fromarray(np.rint(shown * 255).astype(np.uint8)).save(path)


def sample_model(path: Path) -> None:
    """A style model as other programs write it: five shades of each colour."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    sides = [1, 3, "height", "width"]
    numbers = {"black": 0.0, "white": 1.0, "five": 4.999, "quarter": 0.25}
    nodes = [("Clip", ["image", "black", "white"], "seen"), ("Mul", ["seen", "five"], "many")]
    nodes += [("Floor", ["many"], "few"), ("Mul", ["few", "quarter"], "poster")]
    graph = helper.make_graph(
        [helper.make_node(kind, before, [after]) for kind, before, after in nodes],
        "poster",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("poster", TensorProto.FLOAT, sides)],
        [numpy_helper.from_array(np.float32(value), name) for name, value in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))


def main() -> int:
    parser = argparse.ArgumentParser(description="Take the pictures of the panels.")
    parser.add_argument("--blender", default="blender")
    parser.add_argument("--styles", default="", help="folder of styles besides the shipped ones")
    parser.add_argument("--style", default="Starry Night", help="the style to show, if it is installed")
    parser.add_argument("--only", nargs="+", default=[], metavar="SCENE", help="the scenes to play; default: all")
    parser.add_argument("--language", default="", help="of the interface, such as zh_HANS; default: English")
    parser.add_argument("--painting", type=Path, default=PAINTING, help="what a style is trained from")
    parser.add_argument("--output", type=Path, default=IMAGES)
    parser.add_argument("--newcomer", action="store_true", help="from an empty profile to a stylized material, timed")
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    if chosen.newcomer:
        return newcomer(chosen.blender, chosen.style, chosen.output)
    with tempfile.TemporaryDirectory() as temporary, display(folder := Path(temporary)) as name:
        sample_picture("still_life_0001.exr", folder / "Still Life.png")
        sample_picture("still_life_0002.exr", folder / "Another.png")
        painting = shutil.copy(chosen.painting, folder / f"Painting{chosen.painting.suffix}")
        (folder / "trained").mkdir()
        sample_model(folder / "Poster.onnx")
        settings = {
            "addon": str(legacy_zip(folder)),
            "picture": str(folder / "Still Life.png"),
            "model": str(folder / "Poster.onnx"),
            "another": str(folder / "Another.png"),
            "painting": str(painting),
            "frames": str(SAMPLES / "still_life_"),
            "python": sys.executable,
            "trained": str(folder / "trained"),
            "animation": str(folder / "animation"),
            "styles": chosen.styles,
            "style": chosen.style,
            "scenes": chosen.only,
            "language": chosen.language,
            "output": str(folder / "taken"),
            "size": SIZE,
        }
        (folder / "taken").mkdir()
        failed = run_blender(chosen.blender, folder, {**os.environ, "DISPLAY": name}, settings)
        keep_pictures(folder / "taken", chosen.output, chosen.language)
        return failed


def keep_pictures(taken: Path, output: Path, language: str = "") -> None:
    """In another language each is one more picture, and the guide has only a few of those: they are renewed."""
    for picture in sorted(taken.iterdir()):
        shrink_pictures.shrink(picture)
        name = f"{picture.stem}_{language}{picture.suffix}" if language else picture.name
        if not language or output != IMAGES or (output / name).exists():
            shutil.copy(picture, output / name)


def newcomer(blender: str, style: str, output: Path) -> int:
    """Plays the newcomer; returns the exit code."""
    with tempfile.TemporaryDirectory() as temporary, display(folder := Path(temporary)) as name:
        home = folder / "home"
        (home / "Downloads").mkdir(parents=True)
        (folder / "taken").mkdir()
        archive = shutil.move(legacy_zip(folder), home / "Downloads" / "pentimento.zip")
        sample_picture("still_life_0001.exr", home / "Wood.png")
        settings = {"zip": str(archive), "picture": "Wood.png", "style": style, "size": SIZE}
        told = ["-P", str(NEWCOMER), "--", json.dumps({**settings, "output": str(folder / "taken")})]
        own = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "BLENDER_"))}
        environment = {**own, "HOME": str(home), "DISPLAY": name, "LIBGL_ALWAYS_SOFTWARE": "1", "PATH": SYSTEM_PATH}
        first = [blender, "--background", "--factory-startup", "--python-exit-code", "1", *told]
        subprocess.run(first, env=environment, check=True, timeout=120, stdout=sys.stderr)
        window = [blender, "--window-geometry", "0", "0", *map(str, SIZE), str(home / "My Scene.blend"), *told]
        lines = play(window, environment, folder / "stderr")
        keep_pictures(folder / "taken", output)
        if lines is None:
            return 1
    return judge(next(line for line in lines if line.startswith("MEASURED ")))


def judge(line: str) -> int:
    """Writes down what was measured. Returns the exit code: was it quick enough?"""
    from benchmarks import machine

    measured = json.loads(line.removeprefix("MEASURED "))
    print(machine.write("newcomer", {**measured, "limit_seconds": NEWCOMER_LIMIT}))
    return 0 if measured["seconds"] <= NEWCOMER_LIMIT else 1


def run_blender(blender: str, folder: Path, environment: dict[str, str], settings: dict[str, object]) -> int:
    places = {
        f"BLENDER_USER_{kind}": str(folder / kind.lower()) for kind in ("CONFIG", "SCRIPTS", "DATAFILES", "RESOURCES")
    }
    for place in places.values():
        Path(place).mkdir()
    command = [blender, "--factory-startup", "--python-exit-code", "1", "--window-geometry", "0", "0"]
    command += [*map(str, SIZE), "-P", str(INSIDE), "--", json.dumps(settings)]
    more = {**environment, **places, "LIBGL_ALWAYS_SOFTWARE": "1", "PATH": SYSTEM_PATH}
    return 1 if play(command, more, folder / "stderr") is None else 0


def play(command: list[str], environment: dict[str, str], log: Path) -> list[str] | None:
    """Runs Blender until it ends. Returns what it said, or None when something failed: then it is told."""
    start, lines = time.monotonic(), list[str]()
    with log.open("w") as errors:
        window = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        watch = threading.Timer(LONGEST, window.kill)
        watch.start()
        assert window.stdout is not None
        for line in window.stdout:
            lines.append(line.rstrip())
            if line.startswith(("SHOWN", "CHECKED")):
                print(f"{time.monotonic() - start:7.1f} s {lines[-1]}", flush=True)
        window.wait()
        watch.cancel()
    if window.returncode == 0 and "CHECKED all" in lines:
        return lines
    print("\n".join(lines[-40:]), log.read_text()[-3000:], file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(main())
