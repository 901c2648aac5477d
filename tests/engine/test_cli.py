"""The command line, as a person and as a program use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from PIL import Image

from engine import cli, protocol, style_pack
from engine.errors import EngineError

COMMANDS = (
    "demo",
    "styles",
    "stylize",
    "animate",
    "texture",
    "train",
    "evaluate",
    "import-style",
    "export-style",
    "info",
)
HEAVY = ("numpy", "onnxruntime", "PIL", "torch", "rich", "OpenEXR")
Pentimento = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pentimento(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Pentimento:
    """pentimento("styles", "--json") -> exit code, stdout, stderr; the user's styles lie in tmp_path/mine."""
    monkeypatch.setenv("PENTIMENTO_STYLES", str(tmp_path / "mine"))

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def brush(tmp_path: Path) -> Path:
    return tiny_styles.brush(tmp_path / "mine" / "brush")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def events(out: str) -> list[Any]:
    return [protocol.from_line(line) for line in out.splitlines()]


# ---------------------------------------------------------------- help and wrong usage


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_examples(pentimento: Pentimento, command: str) -> None:
    code, out, _ = pentimento(command, "--help")
    assert code == 0 and f"usage: pentimento {command}" in out
    assert f"\nexamples:\n  pentimento {command}" in out and "--json" in out


def test_help_lists_the_commands_and_loads_nothing_heavy() -> None:
    script = (
        "import atexit, sys; from engine.cli import main; "
        "atexit.register(lambda: print(sorted(sys.modules))); main(['--help'])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert all(command in said for command in COMMANDS)
    loaded = said.splitlines()[-1]
    assert not any(f"'{heavy}'" in loaded for heavy in HEAVY)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("paint",),
        ("stylize", "a.png"),
        ("stylize", "a.png", "--style", "S", "--out", "o", "--strength", "1.5"),
        ("stylize", "a.png", "--style", "S", "--out", "o", "--stroke", "big"),
        ("stylize", "a.png", "--style", "S", "--out", "o", "--seed", "-1"),
        ("stylize", "a.png", "--style", "S", "--out", "o", "--diversity", "2"),
        ("stylize", "a.png", "--style", "S", "--out", "o", "--follow", "2"),
        ("stylize", "a.png", "--style", "S", "--out", "o", "--device", "tpu"),
        ("train", "--style-picture", "a.jpg", "--content", "c", "--out", "o", "--budget", "soon"),
        ("train", "--style-picture", "a.jpg", "--content", "c", "--out", "o", "--set", "width"),
        ("import-style", "a.onnx", "--range", "255"),
    ],
)
def test_wrong_usage_is_2(pentimento: Pentimento, arguments: tuple[str, ...]) -> None:
    code, out, err = pentimento(*arguments)
    assert code == 2 and not out and "usage: pentimento" in err


# ---------------------------------------------------------------- styles


def test_styles_as_json_are_objects_with_a_name(pentimento: Pentimento, brush: Path) -> None:
    code, out, err = pentimento("styles", "--json")
    listed = json.loads(out)
    assert code == 0 and not err
    (mine,) = [style for style in listed if style["folder"] == str(brush)]
    assert mine["name"] == "Brush" and mine["problem"] == ""
    assert all(style["name"] for style in listed)


def test_a_broken_style_is_listed_with_its_problem(pentimento: Pentimento, brush: Path) -> None:
    with (brush / "generator.onnx").open("ab") as file:
        file.write(b"!")
    code, out, _ = pentimento("styles")
    assert code == 0 and "Brush" in out and "generator.onnx" in out


def test_info_says_size_cost_and_reach(pentimento: Pentimento, brush: Path) -> None:
    code, out, _ = pentimento("info", "--style", "Brush")
    assert code == 0
    for line in ("Parameters:", "GMAC at 1920x1080:", "Receptive field:", "Controls:", "Licence:", "Recipe:"):
        assert line in out
    reach = 2 * tiny_styles.BRUSH_RADIUS + 1
    assert f"{reach} x {reach} pixels" in out and "strength 0..1" in out
    facts = json.loads(pentimento("info", "--style", brush, "--json")[1])
    assert facts["receptive_field"] == reach and facts["licence"] == "GPL-3.0-or-later"


def test_export_and_import_again(pentimento: Pentimento, brush: Path, tmp_path: Path) -> None:
    assert pentimento("export-style", "Brush", "--out", tmp_path / "brush.zip")[0] == 0
    code, out, _ = pentimento("import-style", tmp_path / "brush.zip", "--name", "Second", "--json")
    assert code == 0 and json.loads(out)["name"] == "Second"
    names = [style["name"] for style in json.loads(pentimento("styles", "--json")[1])]
    assert {"Brush", "Second"} <= set(names)


def test_somebody_elses_model_is_imported_and_used(pentimento: Pentimento, picture: Path, tmp_path: Path) -> None:
    model = tiny_styles.bgr_255(tmp_path / "swap.onnx")
    code, out, err = pentimento("import-style", model, "--channel-order", "bgr", "--range", "0..255")
    assert code == 0, err
    assert "Imported 'Swap'" in out
    assert pentimento("stylize", picture, "--style", "Swap", "--out", tmp_path / "out")[0] == 0


def test_all_that_is_known_of_a_model_can_be_said(pentimento: Pentimento, tmp_path: Path) -> None:
    model = tiny_styles.normalised(tmp_path / "theirs.onnx")
    said = ("--range=-1..1", "--output-range", "0..255", "--normalisation", "mean", "--multiple", "32")
    code, _, err = pentimento("import-style", model, *said, "--author", "Ann", "--licence", "CC0-1.0")
    assert code == 0, err
    facts = json.loads(pentimento("info", "--style", "Theirs", "--json")[1])
    data = json.loads(Path(facts["folder"], "style.json").read_text())["model"]
    assert (facts["author"], facts["licence"], data["stride"]) == ("Ann", "CC0-1.0", 32)
    assert (data["inputs"]["image"]["range"], data["range"]) == ([-1.0, 1.0], [0.0, 255.0])
    assert data["inputs"]["image"]["mean"] == [0.485, 0.456, 0.406]


# ---------------------------------------------------------------- stylize


def test_stylize_writes_and_tells(pentimento: Pentimento, brush: Path, picture: Path, tmp_path: Path) -> None:
    code, out, err = pentimento(
        *("stylize", picture, "--style", "Brush", "--out", tmp_path / "new" / "out", "--overlay", "Scale", "Removal")
    )
    assert code == 0 and not err, "nothing is drawn on a stderr that is no terminal"
    assert "picture_brush.png" in out and "Attribution.Scale: " in out
    assert (tmp_path / "new" / "out" / "picture_brush.png").is_file()


def test_stylize_as_json_is_lines_of_events(pentimento: Pentimento, brush: Path, picture: Path, tmp_path: Path) -> None:
    code, out, _ = pentimento("stylize", picture, "--style", brush, "--out", tmp_path / "out", "--json", "--seed", "7")
    told = events(out)
    assert code == 0 and isinstance(told[-1], protocol.Done)
    (stylized,) = [event for event in told if isinstance(event, protocol.Stylized)]
    assert stylized.recipe["settings"]["seed"] == 7


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("Wave", ("Wave", 1.0, "")),
        ("Wave=.6", ("Wave", 0.6, "")),
        ("Starry Night=2", ("Starry Night", 2.0, "")),
        ("Wave=0", ("Wave", 0.0, "")),
        ("Wave@Vase", ("Wave", 1.0, "Vase")),
        ("Wave@masks/vase=old.png=.25", ("Wave", 0.25, "masks/vase=old.png")),
        ("E=mc", ("E=mc", 1.0, "")),
        ("@Vase", ("", 1.0, "Vase")),
    ],
)
def test_a_style_with_its_share_and_matte(text: str, share: tuple[str, float, str]) -> None:
    assert cli._style_share(text) == protocol.StyleShare(*share)


def test_a_path_that_is_there_is_taken_as_it_is(brush: Path, tmp_path: Path) -> None:
    odd = tmp_path / "me@work=1"
    brush.rename(odd)
    assert cli._style_share(str(odd)) == protocol.StyleShare(str(odd))
    assert cli._style_share(f"{odd}=.5") == protocol.StyleShare(str(odd), 0.5)
    assert cli._style_share(f"{odd}@Vase=.5") == protocol.StyleShare(str(odd), 0.5, "Vase")


def test_styles_are_mixed(pentimento: Pentimento, brush: Path, picture: Path, tmp_path: Path) -> None:
    choices = ("--palette", "Brush", "--diversity", ".5", "--follow", ".2", "--precision", "full", "--json")
    out = str(tmp_path / "out")
    code, said, _ = pentimento("stylize", picture, "--style", "Brush=.6", "--style", brush, *choices, "--out", out)
    (done,) = (e for e in map(protocol.from_line, said.splitlines()) if isinstance(e, protocol.Stylized))
    assert (
        code == 0
        and done.recipe["settings"]["diversity"] == 0.5
        and done.recipe["settings"]["follow"] == 0.2
        and done.recipe["palette"]["name"] == "Brush"
    )
    assert [(style["name"], style["share"]) for style in done.recipe["styles"]] == [("Brush", 1.6)]


def test_controls_are_taken_as_they_are_written(
    pentimento: Pentimento, brush: Path, picture: Path, tmp_path: Path
) -> None:
    matte = tmp_path / "a=b.png"
    matte.write_bytes(picture.read_bytes())
    choices = ("--bands", "0,.5,2", "--colours", "luma", "--strength-of", f"{matte}=.25", "--json")
    code, said, _ = pentimento("stylize", picture, "--style", "Brush", *choices, "--out", tmp_path / "out")
    (done,) = (e for e in map(protocol.from_line, said.splitlines()) if isinstance(e, protocol.Stylized))
    assert code == 0 and done.recipe["settings"]["bands"] == [0, 0.5, 2]
    assert done.recipe["settings"]["colours"] == "luma" and done.recipe["strength_of"][0]["strength"] == 0.25
    code, _, err = pentimento("stylize", picture, "--style", "Brush", "--gain", "Sun=2", "--out", tmp_path / "out")
    assert code == 1 and "There is no light 'Sun'" in err and "Diffuse" in err
    for wrong in (("--bands", "1,1"), ("--bands", "1,1,3"), ("--gain", "Diffuse"), ("--strength-of", "=.5")):
        code, _, err = pentimento("stylize", picture, "--style", "Brush", *wrong, "--out", tmp_path / "out")
        assert code == 2 and wrong[0] in err


def test_tiles_do_not_change_the_result(pentimento: Pentimento, brush: Path, picture: Path, tmp_path: Path) -> None:
    for name, tile in (("whole", "0"), ("tiled", "32")):
        assert pentimento("stylize", picture, "--style", "Brush", "--out", tmp_path / name, "--tile", tile)[0] == 0
    whole, tiled = ((tmp_path / name / "picture_brush.png").read_bytes() for name in ("whole", "tiled"))
    assert whole == tiled


def test_an_error_is_two_lines_and_1(pentimento: Pentimento, picture: Path, tmp_path: Path) -> None:
    code, out, err = pentimento("stylize", picture, "--style", "Nobody", "--out", tmp_path / "out")
    assert code == 1 and not out
    assert len(err.splitlines()) == 2 and "Nobody" in err.splitlines()[0]
    code, out, err = pentimento("stylize", picture, "--style", "Nobody", "--out", tmp_path / "out", "--json")
    failed = events(out)[-1]
    assert code == 1 and isinstance(failed, protocol.Failed) and failed.message in err and failed.fix in err


def test_one_bad_picture_does_not_stop_the_others(
    pentimento: Pentimento, brush: Path, picture: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.png"
    code, out, err = pentimento("stylize", missing, picture, "--style", "Brush", "--out", tmp_path / "out")
    assert code == 1 and "picture_brush.png" in out
    assert len(err.splitlines()) == 2 and err.startswith("missing: ")


@pytest.mark.skipif(os.name == "nt", reason="names are always Unicode there")
def test_a_name_that_is_not_utf8(brush: Path, picture: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    odd.write_bytes(picture.read_bytes())
    command = [sys.executable, "-m", "engine", "stylize", odd, "--style", brush, "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "PYTHONUTF8": "1"})
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_ctrl_c_is_no_traceback(
    pentimento: Pentimento, monkeypatch: pytest.MonkeyPatch, brush: Path, picture: Path, tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_follow", interrupted)
    code, _, err = pentimento("stylize", picture, "--style", "Brush", "--out", tmp_path / "out")
    assert code == 1 and "Cancelled" in err


def test_a_bar_is_drawn_on_a_terminal(
    pentimento: Pentimento, monkeypatch: pytest.MonkeyPatch, brush: Path, picture: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    code, out, err = pentimento("stylize", picture, "--style", "Brush", "--out", tmp_path / "out")
    assert code == 0 and "%" in err and "picture_brush.png" in out


# ---------------------------------------------------------------- train: arguments only; the loop has its own tests


def test_train_sends_only_what_was_given(pentimento: Pentimento, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = pytest.importorskip("engine.training.loop", reason="training needs torch")
    sent: list[protocol.TrainRequest] = []

    def train(request: protocol.TrainRequest, started: float) -> list[protocol.Event]:
        sent.append(request)
        skipped = protocol.SourceFailed("cli", "broken.jpg", "It is broken.", "Copy it again.")
        done = protocol.TrainStep("cli", 1, 2, {"l1": 0.5}, 3.0), protocol.StyleReady("cli", "Mine", "out/mine")
        return [skipped, *done]

    monkeypatch.setattr(loop, "train", train)
    code, out, _ = pentimento(
        *("train", "--style-picture", "a.jpg", "b.jpg", "--content", "renders", "--out", "out/mine", "--budget", "2m"),
        *("--route", "adversarial", "--resume", "--set", "batch=2", "--set", 'generator={"width": 48}'),
        *("--objective", "bce", "--r1", "1"),
    )
    assert code == 0 and "Style 'Mine' is ready" in out
    config = {"budget": 120.0, "route": "adversarial", "objective": "bce", "r1": 1.0, "batch": 2}
    config["generator"] = {"width": 48}
    assert sent == [protocol.TrainRequest("cli", ("a.jpg", "b.jpg"), "renders", "out/mine", config, resume=True)]

    pentimento("train", "--style-picture", "a.jpg=.7", "b.jpg@frame.png=.3", "--content", "c", "--out", "o")
    assert sent[1] == protocol.TrainRequest(
        "cli", ("a.jpg", "b.jpg"), "c", "o", {"weights": [0.7, 0.3]}, style_masks=("", "frame.png")
    )


Shown = Callable[[float, protocol.Event], float]
"""What the bar shows of an event, so many seconds after the one before: its share of the whole"""


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with cli._Bar() as bar:

        def show(seconds: float, event: protocol.Event) -> float:
            now[0] += seconds
            bar.tell(event)
            return bar._bars.tasks[0].completed

        yield show


def step(number: int, steps: int, left: float) -> protocol.TrainStep:
    return protocol.TrainStep("cli", number, steps, {}, left)


def test_the_bar_goes_by_the_time_where_no_number_of_steps_is_set(shown: Shown) -> None:
    """A minute and a half, of which the teacher takes half a one; the export is what the last of it is for."""
    assert shown(30.0, protocol.Progress("cli", 0.33, "The teacher paints")) == pytest.approx(0.33)
    assert shown(0.0, step(1, 0, 60.0)) == pytest.approx(0.33)
    assert shown(30.0, step(7, 0, 30.0)) == pytest.approx((0.33 + 0.97) / 2)
    assert shown(30.0, step(9, 0, 0.0)) == pytest.approx(0.97)


def test_the_bar_is_nearly_full_when_a_budget_is_nearly_used_up(shown: Shown) -> None:
    """However many steps would have been allowed."""
    shown(0.0, step(1, 100_000, 60.0))
    assert shown(58.0, step(500, 100_000, 2.0)) == pytest.approx(0.97 * 58 / 60, abs=1e-4)


def test_the_bar_never_goes_back(shown: Shown) -> None:
    told = [
        *(shown(9.0, protocol.Progress("cli", share, "The teacher paints")) for share in (0.0, 0.2, 0.35)),
        shown(1.0, protocol.Progress("cli", 0.001, "The export is rehearsed")),
        *(shown(5.0, step(number, 10, 50.0 - 5 * number)) for number in range(1, 8)),
        shown(1.0, step(8, 10, 90.0)),  # something else began to compute
        shown(9.0, step(10, 10, 0.0)),
        shown(0.0, protocol.Progress("cli", protocol.TRAINED, "Exporting the style")),
        shown(0.0, protocol.Progress("cli", 1.0, "Done")),
    ]
    assert told == sorted(told) and told[2] == 0.35 == told[3] and told[-2:] == [0.97, 1.0]


def test_the_bar_of_a_resumed_training_begins_where_the_last_one_ended(shown: Shown) -> None:
    shown(1.0, protocol.Progress("cli", 0.35, "The teacher paints"))
    assert shown(1.0, step(1600, 3200, 800.0)) == pytest.approx(0.485)
    assert shown(400.0, step(2400, 3200, 400.0)) == pytest.approx(0.97 * 0.75)


def test_a_symptom_is_told_when_it_is_found_and_not_while_it_lasts(
    pentimento: Pentimento, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = pytest.importorskip("engine.training.loop", reason="training needs torch")
    grid = protocol.Finding("grid artefact", "A grid.", "Train for longer.", "Nothing yet.")

    def train(request: protocol.TrainRequest, started: float) -> list[protocol.Event]:
        told = [(), (grid,), (grid,), (), (grid,)]
        return [protocol.Diagnosis("cli", n, {}, {}, findings, 0.1, 1.0) for n, findings in enumerate(told)]

    monkeypatch.setattr(loop, "train", train)
    command = ("train", "--style-picture", "a.jpg", "--content", "c", "--out", "o")
    words = ["Step {}, grid artefact: A grid.", "  Nothing yet. Train for longer."]
    assert pentimento(*command)[1].splitlines() == [w.format(step) for step in (1, 4) for w in words]
    assert events(pentimento(*command, "--json")[1]) == train(None, 0.0)  # type: ignore[arg-type]


NUMBERS = {
    **{"patch_distance": 1.2345, "palette": 0.05, "content_diversity": 0.8, "seed_diversity": 0.25},
    **{"critic_real": 0.5, "critic_fake": -0.5, "critic_held_out": 0.25, "r_t": 0.5, "r_v": 0.125, "gradient": 3.0},
}


def test_a_diagnosis_is_one_line_of_what_it_measured(
    pentimento: Pentimento, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Of each part of a run what there is; nothing where no step was done since the last."""
    young = {name: NUMBERS[name] for name in ("patch_distance", "seed_diversity", "gradient")}
    words = cli._Words()
    for step, losses, numbers, left in ((100, {"code": 1.0}, young, 960.0), (200, {"code": 1.0}, NUMBERS, 80.0)):
        words.tell(protocol.Diagnosis("cli", step, losses, numbers, (), 0.314, left))
    words.tell(protocol.Diagnosis("cli", 200, {}, NUMBERS, (), 7.0, 0.0))
    assert capsys.readouterr().out.splitlines() == [
        "Step 100: 0.314 s a step, 16 min left; distance 1.23, of seeds 0.25, gradient 3",
        "Step 200: 0.314 s a step, 80 s left; distance 1.23, diversity 0.8, of seeds 0.25, D(real) 0.5, D(fake) -0.5, "
        "D(held-out) 0.25, r_t 0.5, r_v 0.125, gradient 3",
    ]


def test_every_word_of_that_line_is_explained() -> None:
    diagnostics = pytest.importorskip("engine.training.diagnostics", reason="training needs torch")
    page = (Path(__file__).parents[2] / "docs" / "diagnosis.md").read_text("utf-8")
    assert set(cli.MEASURED) <= set(diagnostics.NUMBERS)
    for name, word in cli.MEASURED.items():
        assert f"| `{name}` | {word if word != name else ''}" in page


def test_ctrl_c_finishes_a_training_and_twice_ends_it(
    pentimento: Pentimento, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loop = pytest.importorskip("engine.training.loop", reason="training needs torch")
    folder, presses = tmp_path / "mine.training", 1
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored

    def train(request: protocol.TrainRequest, started: float) -> Iterator[protocol.Event]:
        for _ in range(presses):
            signal.raise_signal(signal.SIGINT)
        assert protocol.finish_file(request.out) == folder / "finish"
        yield protocol.StyleReady("cli", "Mine", request.out)

    monkeypatch.setattr(loop, "train", train)
    command = ("train", "--style-picture", "a.jpg", "--content", "c", "--out", tmp_path / "mine")
    assert pentimento(*command)[0] == 1  # nothing has begun: as anywhere else
    folder.mkdir()
    before = signal.getsignal(signal.SIGINT)
    code, out, err = pentimento(*command)
    assert code == 0 and "ready" in out and "Finishing" in err and (folder / "finish").exists()
    presses = 2
    assert pentimento(*command)[0] == 1
    assert signal.getsignal(signal.SIGINT) == before


def test_a_training_from_keyframes_names_them_their_frames_and_its_guides(
    pentimento: Pentimento, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = pytest.importorskip("engine.training.loop", reason="training needs torch")
    sent: list[protocol.TrainRequest] = []

    def train(request: protocol.TrainRequest, started: float) -> list[protocol.Event]:
        sent.append(request)
        return [protocol.Done("cli")]

    monkeypatch.setattr(loop, "train", train)
    code, _, _ = pentimento(
        *("train", "--kind", "keyframes", "--keyframe", "a_0003.png", "a_0009.png", "--mask", "a_0009_mask.png"),
        *("--frames", "shot", "--guide", "normal", "uv", "--out", "o", "--set", 'generator={"width": 32}'),
    )
    assert code == 0
    config = {"kind": "keyframes", "generator": {"width": 32, "guides": ["normal", "uv"]}}
    keyframes = ("a_0003.png", "a_0009.png")
    assert sent == [
        protocol.TrainRequest(
            "cli", (), "", "o", config, frames="shot", keyframes=keyframes, masks=("a_0009_mask.png",)
        )
    ]


def test_guides_for_a_generator_that_is_no_object_are_refused_like_any_wrong_setting(pentimento: Pentimento) -> None:
    pytest.importorskip("engine.training.loop", reason="training needs torch")
    command = ("train", "--kind", "keyframes", "--keyframe", "a.png", "--frames", "shot", "--out", "o")
    code, out, err = pentimento(*command, "--guide", "normal", "--set", "generator=3")
    assert code == 1 and not out
    assert err.splitlines()[0] == "The training setting generator cannot be 3." and "width" in err.splitlines()[1]


def test_train_without_torch_says_what_to_install(pentimento: Pentimento, monkeypatch: pytest.MonkeyPatch) -> None:
    import engine.training  # here, so that what is put back afterwards is the package others know

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(engine, "training", engine.training)
    for name in [name for name in sys.modules if name.startswith("engine.training")]:
        monkeypatch.delitem(sys.modules, name)
    code, _, err = pentimento("train", "--style-picture", "a.jpg", "--content", "c", "--out", "o")
    assert code == 1 and "torch" in err and "pip install" in err


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400)])
def test_times(text: str, seconds: float) -> None:
    assert cli._seconds(text) == seconds


def test_a_style_that_cannot_be_tiled_is_told_as_such() -> None:
    model = style_pack.ModelSpec({"image": style_pack.ModelInput(3)}, receptive_radius=None, fixed_size=(224, 320))
    pack = replace(style_pack.new_pack("Odd", model), files={model.file: "0" * 64})
    text = cli._facts_text(cli.style_facts(pack))
    assert "the whole picture" in text and "fixed, 320 x 224" in text


def test_engine_errors_outside_a_job_are_told_too(pentimento: Pentimento, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folders: object) -> None:
        raise EngineError("The disk is gone.", "Plug it in.")

    monkeypatch.setattr(style_pack, "installed", broken)
    assert pentimento("styles") == (1, "", "The disk is gone.\nPlug it in.\n")
