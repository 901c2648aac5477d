"""What ships for farms: Flamenco's job type compiled by node against Flamenco's interface, the OpenJD template run by
OpenJD's own command line. Either makes the bytes of one plain run."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_styles
import worlds
from shots import contents, request, run, shot

from engine import cli
from engine.atomic import NewFile

REPO = Path(__file__).resolve().parents[2]
FLAMENCO = REPO / "farm" / "pentimento_flamenco.js"
OPENJD = REPO / "farm" / "pentimento_openjd.yaml"
GUIDE = (REPO / "docs" / "farm.md").read_text(encoding="utf-8")
MANAGER = Path(__file__).with_name("flamenco_manager.js")
NODE = shutil.which("node") or shutil.which("nodejs")

needs_node = pytest.mark.skipif(not NODE, reason="node is not installed")
needs_openjd = pytest.mark.skipif(not importlib.util.find_spec("openjd"), reason="openjd-cli is not installed")


def commands() -> dict[str, argparse.ArgumentParser]:
    parser = cli._parser()
    (choices,) = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(choices)


needs_shot = pytest.mark.skipif("shot" not in commands(), reason="this version has no pentimento shot")


# ---------------------------------------------------------------- Flamenco: what it is told


def manager(answered: dict[str, Any]) -> Any:
    done = subprocess.run(
        [str(NODE), str(MANAGER), str(FLAMENCO)],
        input=json.dumps(answered),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compiled(**settings: Any) -> Any:
    """The job type and its tasks, or the error"""
    given = {"frames": "1-10", "chunk_size": 4, "rendered": "/in/s_####.exr", "style": "Wave", "out": "/out"}
    given |= settings
    options = given.get("options", "")
    return manager({"settings": given, "splits": {options: shlex.split(options)}})


def arguments(task: dict[str, Any]) -> list[str]:
    (command,) = task["commands"]
    assert command["name"] == "exec"
    return list(command["parameters"]["args"])


def value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


@needs_node
@pytest.mark.parametrize(
    ("frames", "size", "chunks"),
    [
        ("1..10,20..25,40,3..8", 4, ["1-4", "5-8", "9,10,20,21", "22-25", "40"]),
        ("47", 4, ["47"]),
        ("1-3", 3, ["1-3"]),
        (" 1  .. 10,\t20..25\n,40   ", 4, ["1-4", "5-8", "9,10,20,21", "22-25", "40"]),
    ],
)
def test_our_stand_in_chunks_as_flamenco_does(frames: str, size: int, chunks: list[str]) -> None:
    assert manager({"chunks": [frames, size]}) == chunks  # Flamenco's own tests expect these


@needs_node
def test_settings_are_such_as_flamenco_has() -> None:
    job_type = compiled()["type"]
    assert set(job_type) == {"label", "description", "settings"}
    keys = [setting["key"] for setting in job_type["settings"]]
    assert len(set(keys)) == len(keys)
    fields = {"key", "type", "subtype", "choices", "propargs", "description", "label", "default", "eval", "evalInfo",
              "visible", "required", "editable"}  # fmt: skip
    types = {"string": str, "int32": int, "float": float, "bool": bool}
    for setting in job_type["settings"]:
        assert set(setting) <= fields and setting["type"] in types
        assert setting.get("subtype", "file_path") in {"file_path", "dir_path", "file_name", "hashed_file_path"}
        assert setting.get("visible", "visible") in {"visible", "hidden", "submission", "web"}
        assert isinstance(setting.get("default", types[setting["type"]]()), types[setting["type"]])
        assert set(setting.get("evalInfo", ())) in (set(), {"showLinkButton", "description"})


@needs_node
@pytest.mark.parametrize(
    ("frames", "size", "expected"),
    [
        ("1-10", 4, [{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10}]),
        ("1-3, 40, 2", 2, [{1, 2}, {3, 40}]),
        ("7", 20, [{7}]),
        ("0-250", 1, [{number} for number in range(251)]),
    ],
)
def test_chunks_cover_every_frame_once(frames: str, size: int, expected: list[set[int]]) -> None:
    look, *chunks, check = compiled(frames=frames, chunk_size=size)["tasks"]
    found = [set(cli._frames(value(arguments(chunk), "--frames"))) for chunk in chunks]
    assert found == expected
    everything = set().union(*expected)
    assert set(cli._frames(value(arguments(check), "--frames"))) == everything
    assert set(cli._frames(value(arguments(look), "--frames"))) == everything


@needs_node
def test_look_comes_first_and_check_last() -> None:
    look, *chunks, check = compiled()["tasks"]
    assert [task["name"] for task in (look, *chunks, check)] == [
        "look", "paint-1-4", "paint-5-8", "paint-9,10", "check",
    ]  # fmt: skip
    assert look["dependencies"] == []
    assert all(chunk["dependencies"] == ["look"] for chunk in chunks)
    assert check["dependencies"] == [chunk["name"] for chunk in chunks]
    assert arguments(look) == ["shot", "/in/s_####.exr", "--frames", "1-10", "--out", "/out/shot.json"]
    assert {value(arguments(task), "--shot") for task in (*chunks, check)} == {"/out/shot.json"}
    assert all("--resume" in arguments(task) for task in (*chunks, check))


@needs_node
@pytest.mark.parametrize(("file", "given"), [("", None), ("/seen/shot.json", "/seen/shot.json")])
def test_without_a_look(file: str, given: str | None) -> None:
    *chunks, check = compiled(look_first=False, shot=file)["tasks"]
    assert all(chunk["dependencies"] == [] for chunk in chunks)
    for task in (*chunks, check):
        assert (value(arguments(task), "--shot") if "--shot" in arguments(task) else None) == given


@needs_node
def test_names_arrive_as_they_are() -> None:
    settings = {
        "rendered": r"S:\the renders\o'neil \"a\"_####.exr",
        "style": 'Bob\'s "Night" $HOME `ls` ; %PATH%',
        "out": r"S:\painted & more",
        "shot": r"S:\seen\shot.json",
        "options": "--strength .8 --palette 'My Palette' --strength-of 'C:\\mattes\\a b.png=.3'",
        "pentimento": "{pentimento}",
    }
    look, chunk, *_ = compiled(**settings)["tasks"]
    assert chunk["commands"][0]["parameters"]["exe"] == "{pentimento}"
    words = arguments(chunk)
    assert words[:2] == ["animate", settings["rendered"]] and arguments(look)[:2] == ["shot", settings["rendered"]]
    assert value(words, "--style") == settings["style"] and value(words, "--out") == settings["out"]
    assert value(words, "--shot") == value(arguments(look), "--out") == settings["shot"]
    more = ["--strength", ".8", "--palette", "My Palette", "--strength-of", r"C:\mattes\a b.png=.3", "--resume"]
    assert words[-7:] == more


@needs_node
def test_blender_s_whole_paths_go_before_what_was_typed() -> None:
    computed = {"rendered_path": "/job/in/s_####.exr", "out_path": "/job/out", "shot_path": "/job/x.json"}
    look, chunk, *_ = compiled(rendered="//in/s_####.exr", out="//out", shot="//x.json", **computed)["tasks"]
    assert value(arguments(chunk), "--out") == "/job/out" and arguments(chunk)[1] == "/job/in/s_####.exr"
    assert value(arguments(look), "--out") == "/job/x.json"


@needs_node
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"out": ""}, "out is empty"),
        ({"style": ""}, "style is empty"),
        ({"rendered": "/in/s_0001.exr"}, "has no #"),
        ({"frames": "1 10"}, "invalid range"),
        ({"chunk_size": -1}, "chunk size"),
    ],
)
def test_what_is_missing_is_said_before_anything_runs(settings: dict[str, Any], message: str) -> None:
    assert message in compiled(**settings)["error"]


@needs_node
def test_pentimento_understands_every_task() -> None:
    known = commands()
    for task in compiled(look_first=False, options="--overlay Scale --seed 3")["tasks"]:
        chosen = known["animate"].parse_args(arguments(task)[1:])
        assert chosen.resume and chosen.overlay == ["Scale"] and chosen.seed == 3


@needs_node
@needs_shot
def test_pentimento_understands_the_look() -> None:
    for task in compiled()["tasks"]:
        name, *words = arguments(task)
        commands()[name].parse_args(words)


EVALUATE = """
import json, sys
from pathlib import Path
import bpy
def abspath(path): return Path(bpy.path.abspath(str(path)))
class Settings: pass
found = []
settings = {setting["key"]: setting for setting in json.loads(sys.argv[1])}
scene = bpy.context.scene
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2])
for path, format in json.loads(sys.argv[3]):
    scene.render.filepath, scene.render.image_settings.file_format = path, format
    own = Settings()
    names = {"C": bpy.context, "bpy": bpy, "abspath": abspath, "settings": own, "Path": Path, "jobname": "job"}
    own.out, own.shot = "//painted", ""
    own.rendered = eval(settings["rendered"]["eval"], {}, names)
    answers = {key: eval(setting["eval"], {}, names) for key, setting in settings.items() if "eval" in setting}
    found.append({**answers, "blender": scene.render.frame_path(frame=7)})
print("FOUND" + json.dumps(found))
"""


@needs_node
def test_it_finds_where_blender_renders_to(run_blender: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "evaluate.py").write_text(EVALUATE)
    chosen = [("//in/s_", "OPEN_EXR"), ("/r/s_####_v2", "PNG"), ("/r/s_####.exr", "OPEN_EXR"), ("//", "OPEN_EXR"),
              ("/r/shot.exr", "OPEN_EXR"), ("/r/s_######", "JPEG")]  # fmt: skip
    settings = compiled()["type"]["settings"]
    blend = str(tmp_path / "scene.blend")
    told = run_blender(str(tmp_path / "evaluate.py"), json.dumps(settings), blend, json.dumps(chosen))
    for found in json.loads(re.search("FOUND(.*)", told)[1]):  # type: ignore[index]
        digits = re.search("#+", found["rendered_path"])
        assert digits and found["rendered_path"].replace(digits[0], "7".zfill(len(digits[0]))) == found["blender"]
        assert found["out_path"] == str(tmp_path / "painted") and found["shot_path"] == ""
        assert found["frames"] == "1-250"


# ---------------------------------------------------------------- both: what is made


@pytest.fixture(scope="module")
def brush(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_styles.brush(tmp_path_factory.mktemp("a style's home") / "brush"))


@pytest.fixture
def frames(tmp_path: Path) -> str:
    return shot(tmp_path / "it's rendered", range(1, 8))


@pytest.fixture
def whole(brush: str, frames: str, tmp_path: Path) -> dict[str, bytes]:
    """What one plain run makes"""
    run(request(frames, brush, tmp_path / "whole", colours="histogram", overlays=("Scale",)))
    return contents(tmp_path / "whole")


@needs_node
def test_flamenco_s_tasks_make_the_bytes_of_one_run(
    brush: str, frames: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    options = "--colours histogram --overlay Scale --device cpu"
    settings = {"rendered": frames, "style": brush, "out": str(tmp_path / "out"), "frames": "1-7", "chunk_size": 3}
    *chunks, check = compiled(**settings, look_first=False, options=options)["tasks"]
    for task in reversed(chunks):
        assert cli.main(arguments(task)) == 0
    name = next(iter(whole))
    (tmp_path / "out" / name).write_bytes(whole[name][:-100])  # a disk that lost the end of it
    killed = NewFile(tmp_path / "out" / name)  # a process that ends lets go of its file, and leaves it
    killed.file.close()
    assert killed.temp.exists()
    assert cli.main(arguments(check)) == 0
    assert contents(tmp_path / "out") == whole and not killed.temp.exists()


@needs_node
def test_flamenco_s_check_fails_when_a_frame_is_missing(brush: str, frames: str, tmp_path: Path) -> None:
    settings = {"rendered": frames, "style": brush, "out": str(tmp_path / "out"), "frames": "1-8", "chunk_size": 8}
    chunk, check = compiled(**settings, look_first=False)["tasks"]
    assert [cli.main(arguments(chunk)), cli.main(arguments(check))] == [1, 1]
    assert len(contents(tmp_path / "out")) == 7
    shutil.copy(tmp_path / "it's rendered" / "shot_0007.exr", tmp_path / "it's rendered" / "shot_0008.exr")
    assert cli.main(arguments(check)) == 0
    assert len(contents(tmp_path / "out")) == 8


Openjd = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def openjd(tmp_path: Path) -> Openjd:
    """openjd(*words): OpenJD's own command line, in a folder of its own; what it said"""

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "openjd", *words],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPO), "TMPDIR": str(tmp_path)},
        )

    return command


@pytest.fixture
def job(openjd: Openjd, brush: str, frames: str, tmp_path: Path) -> Openjd:
    """job(*words, **parameters): the template run to its end, over the frames"""
    program = tmp_path / "our pentimento"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m engine "$@"\n')
    program.chmod(0o755)

    def command(*words: str, **parameters: Any) -> subprocess.CompletedProcess[str]:
        given = {"FrameFolder": "it's rendered", "Frames": "1-7", "ChunkSize": 3, "Style": brush,
                 "OutFolder": "the out", "LookFirst": False, "Pentimento": str(program), **parameters}  # fmt: skip
        return openjd("run", str(OPENJD), "-p", json.dumps(given), "--step", "Check", "--run-dependencies", *words)

    return command


LOOK = ["--colours", "histogram", "--overlay", "Scale", "--device", "cpu"]


@needs_openjd
def test_openjd_finds_nothing_wrong(openjd: Openjd) -> None:
    done = openjd("check", str(OPENJD))
    assert done.returncode == 0 and "passes validation" in done.stdout, done.stdout + done.stderr


@needs_openjd
@pytest.mark.skipif(os.name == "nt", reason="its program is a script of a POSIX shell")
def test_openjd_makes_the_bytes_of_one_run(job: Openjd, whole: dict[str, bytes], tmp_path: Path) -> None:
    done = job(Options=LOOK)
    assert done.returncode == 0, done.stdout + done.stderr
    chunks = re.findall(r"Chunk\(CHUNK\[INT\]\) = (\S+)", done.stdout)
    assert len(chunks) == 3 and sorted(sum(map(cli._frames, chunks), ())) == [1, 2, 3, 4, 5, 6, 7]
    assert "0 frames made (0 a second), 7 there already, none failed" in done.stdout  # the check had nothing to do
    assert contents(tmp_path / "the out") == whole


@needs_openjd
@pytest.mark.skipif(os.name == "nt", reason="its program is a script of a POSIX shell")
def test_openjd_makes_every_third_and_fails_for_one_that_is_missing(
    job: Openjd, whole: dict[str, bytes], tmp_path: Path
) -> None:
    done = job(Options=LOOK, Frames="1-10:3", ChunkSize=4)
    assert done.returncode == 1 and "Frame 10: shot_0010.exr is missing" in done.stdout
    made = contents(tmp_path / "the out")
    assert [int(name[-8:-4]) for name in made] == [1, 4, 7] and made.items() <= whole.items()


@needs_openjd
@needs_shot
@pytest.mark.skipif(os.name == "nt", reason="its program is a script of a POSIX shell")
def test_openjd_looks_first(job: Openjd, tmp_path: Path) -> None:
    worlds.room(worlds.orbiting()).shot(tmp_path / "it's rendered", range(1, 8))  # with the passes that it takes
    done = job(LookFirst=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "the out" / "shot.json").exists()
    assert len(list((tmp_path / "the out").glob("*.exr"))) == 7


# ---------------------------------------------------------------- the guide


@pytest.mark.parametrize("line", re.findall(r"^pentimento (?:animate|shot) .*", GUIDE, re.MULTILINE))
def test_the_commands_of_the_guide_are_understood(line: str) -> None:
    name, *words = shlex.split(line.partition(" #")[0])[1:]
    if (name == "shot" or "--shot" in words) and "shot" not in commands():
        pytest.skip("this version has no pentimento shot")
    commands()[name].parse_args(words)


def test_the_guide_names_every_setting() -> None:
    for text, pattern in ((FLAMENCO, r'key: "(\w+)", label: "([^"]+)"'), (OPENJD, r"  - name: (\w+)\n    type")):
        for names in re.findall(pattern, text.read_text(encoding="utf-8")):
            name = names if isinstance(names, str) else names[1]
            assert f"*{name}*" in GUIDE or f"`{name}`" in GUIDE, name
