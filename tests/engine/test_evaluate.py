"""`pentimento evaluate`: from a request to numbers, a page and votes, with real tiny styles."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
import torch
from PIL import Image
from test_inception import channel_means
from test_motion import HEIGHT, WIDTH

from engine import cli, evaluate, protocol
from engine.errors import EngineError
from engine.exr import ExrLayer, write_exr
from engine.protocol import Done, EvaluateRequest, Json, Progress, VotesRequest
from engine.training.data import load_picture
from engine.training.metrics import patch_distance
from engine.training.teacher import Exemplar, Guide, TeacherConfig, paint, resize


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two styles, a painting, three contents."""
    folder = tmp_path_factory.mktemp("studio")
    (folder / "content").mkdir()
    tiny_styles.brush(folder / "brush")
    tiny_styles.identity(folder / "identity")
    y, x = np.mgrid[0:90, 0:120] / 9.0
    for name, phase in (("painting", 0.0), ("content/a", 1.0), ("content/b", 2.0), ("content/c", 4.0)):
        waves = np.stack([np.sin(3 * x + phase), np.sin(2 * y + phase * 2), np.sin(x + y + phase)], 2)
        Image.fromarray(((waves + 1) * 127).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def asked(studio: Path, *styles: str, **changes: Any) -> EvaluateRequest:
    request = EvaluateRequest(
        "job",
        styles=tuple(str(studio / style) for style in styles),
        style_picture=str(studio / "painting.png"),
        content=str(studio / "content"),
        device="cpu",
    )
    return replace(request, **changes)


def report(request: EvaluateRequest) -> Json:
    *progress, done = evaluate.evaluate(request)
    fractions = [event.fraction for event in progress if isinstance(event, Progress)]
    assert len(fractions) == len(progress) and fractions == sorted(fractions) and max(fractions) < 1
    assert isinstance(done, Done)
    assert protocol.from_line(protocol.to_line(done)) == done
    return done.report


def test_a_style_that_changes_nothing(studio: Path) -> None:
    """Keeps all structure, every content stays as far from the others as it was, and seeds change nothing."""
    (subject,) = report(asked(studio, "identity"))["subjects"]
    numbers = subject["numbers"]
    assert numbers["structure"] == pytest.approx(1) and numbers["content_diversity"] == pytest.approx(1)
    assert "seed_deviation" not in numbers
    assert [row["content"] for row in subject["rows"]] == ["a", "b", "c"]
    assert numbers["patch_distance"] == pytest.approx(np.mean([row["patch_distance"] for row in subject["rows"]]))


def test_the_painting_itself_is_nearest_to_the_painting(studio: Path, tmp_path: Path) -> None:
    Image.open(studio / "painting.png").save(tmp_path / "painting.png")
    request = asked(studio, "identity", content=str(tmp_path))
    numbers = report(request)["subjects"][0]["numbers"]
    assert numbers["patch_distance"] == pytest.approx(0, abs=1e-2) and numbers["sliced_wasserstein"] == 0
    assert "content_diversity" not in numbers, "one content has nothing to be compared with"


def test_two_styles_in_one_table(studio: Path) -> None:
    found = report(asked(studio, "identity", "brush", count=2, seeds=2))
    assert found["contents"] == ["a", "b"]
    identity, brush = found["subjects"]
    assert brush["numbers"]["seed_deviation"] > 0 and brush["numbers"]["seed_diversity"] > 0
    assert brush["numbers"]["structure"] < identity["numbers"]["structure"]
    table = found["say"]
    assert table[0].split() == ["Identity", "Brush"]
    assert any(line.startswith("Patch distance") and "smaller" in line for line in table)
    assert brush["hash"] != identity["hash"] and brush["scale"] == {"style_side": 1024, "search": 0.625}


def test_only_the_metrics_asked_for(studio: Path) -> None:
    (subject,) = report(asked(studio, "brush", metrics=("structure",), style_picture=""))["subjects"]
    assert set(subject["numbers"]) == {"structure"}


def test_the_teacher_is_asked_only_by_name(studio: Path) -> None:
    usual, taught = (report(asked(studio, "identity", count=1, metrics=m)) for m in ((), ("teacher",)))
    assert "way_closed" not in usual["subjects"][0]["numbers"]
    (row,) = taught["subjects"][0]["rows"]
    plain, teacher = row["patch_distance_colour_transfer"], row["patch_distance_teacher"]
    ours = usual["subjects"][0]["numbers"]["patch_distance"]
    assert teacher < plain and row["way_closed"] == pytest.approx((plain - ours) / (plain - teacher))


def test_the_teacher_paints_as_it_did_for_the_style(studio: Path, tmp_path: Path) -> None:
    """With the settings in the recipe: some distance of its own, and the way closed is a share of that."""
    tiny_styles.identity(tmp_path / "taught", "Taught")
    manifest = json.loads((tmp_path / "taught" / "style.json").read_text())
    teacher = {"levels": [0.5], "rounds": [1], "keys": 300, "luminance": 9.0}
    manifest["recipe"] = {
        "training": {"size": 64, "crop": 48, "critic_scales": 1, "style_side": 100, "teacher": teacher}
    }
    (tmp_path / "taught" / "style.json").write_text(json.dumps(manifest))
    (subject,) = report(asked(studio, str(tmp_path / "taught"), count=1, metrics=("teacher",)))["subjects"]
    assert subject["scale"] == {"style_side": 100, "search": 0.5}

    config = TeacherConfig(levels=(0.5,), rounds=(1,), keys=300, luminance=9.0)
    content, painting = load_picture(studio / "content" / "a.png"), load_picture(studio / "painting.png", 100)
    guide = Guide([resize(content, (128, 128))], [Exemplar(painting)], config)
    taught = paint(content, [Exemplar(painting)], guide, config, torch.Generator().manual_seed(0)).picture
    wanted = sum(patch_distance(taught, painting, 0.5)) / 2
    assert subject["rows"][0]["patch_distance_teacher"] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("others", [(), ("brush",)])
def test_a_style_that_makes_textures_paints_no_content(studio: Path, tmp_path: Path, others: tuple[str, ...]) -> None:
    tiny_styles.pattern(tmp_path / "pattern")
    with pytest.raises(EngineError, match="'Pattern' makes textures") as caught:
        next(evaluate.evaluate(asked(studio, *others, str(tmp_path / "pattern"), metrics=("structure",))))
    assert "pentimento texture" in caught.value.fix


def test_one_odd_picture_does_not_decide_the_way_closed() -> None:
    rows = [
        {"content": name, "way_closed": way, "structure": way} for name, way in (("a", 0.4), ("b", 0.6), ("c", 20.0))
    ]
    assert evaluate._typical(rows) == {"way_closed": 0.6, "structure": pytest.approx(7)}


def test_finished_pictures_are_measured_like_a_style(studio: Path, tmp_path: Path) -> None:
    """As `stylize` leaves them: overlays beside results, an EXR beside its PNG."""
    for name in ("a", "b", "c"):
        Image.open(studio / "content" / f"{name}.png").save(tmp_path / f"{name}_brush.png")
        Image.new("RGB", (120, 90)).save(tmp_path / f"{name}_brush_scale.png")
        write_exr(tmp_path / f"{name}_brush.exr", [ExrLayer.of("", np.zeros((90, 120, 3), np.float32))])
    request = asked(studio, "identity", pictures=(str(tmp_path),))
    style, pictures = report(request)["subjects"]
    assert pictures["kind"] == "pictures"
    assert pictures["numbers"]["structure"] == pytest.approx(1)
    assert pictures["numbers"]["patch_distance"] == pytest.approx(style["numbers"]["patch_distance"], rel=1e-3)
    (tmp_path / "b_brush.png").unlink()
    (tmp_path / "b_brush.exr").unlink()
    (tmp_path / "b_brush_scale.png").unlink()
    with pytest.raises(EngineError, match="no result made from b"):
        report(request)
    twins = tmp_path / "twins"
    for name in ("x/a.png", "y/a.png"):
        (twins / name).parent.mkdir(parents=True)
        Image.open(studio / "content" / "a.png").save(twins / name)
    with pytest.raises(EngineError, match="Two contents are called a"):
        report(replace(request, content=str(twins)))


def test_features_from_a_file(studio: Path, tmp_path: Path) -> None:
    path = channel_means(tmp_path / "means.onnx", logits=True)
    numbers = report(asked(studio, "identity", extractor=str(path)))["subjects"][0]["numbers"]
    assert {"fid", "kid", "inception_score", "structure"} <= set(numbers)
    plain = channel_means(tmp_path / "plain.onnx")
    numbers = report(asked(studio, "identity", extractor=str(plain)))["subjects"][0]["numbers"]
    assert "fid" in numbers and "inception_score" not in numbers
    with pytest.raises(EngineError, match="logits"):
        report(asked(studio, "identity", extractor=str(plain), metrics=("is",)))


def shot(folder: Path, frames: int = 3) -> Path:
    """Everything moves three columns to the right from frame to frame, nothing else changes."""
    folder.mkdir()
    height, width = 4 * HEIGHT, 4 * WIDTH
    scene = np.random.default_rng(0).random((height, width + 3 * frames, 3)).astype(np.float32)
    vector = np.broadcast_to(np.float32([-3, 0, -3, 0]), (height, width, 4))
    for number in range(frames):
        left = 3 * (frames - number)
        layers = [
            ExrLayer.of("ViewLayer.Combined", scene[:, left : left + width]),
            ExrLayer.of("ViewLayer.Vector", vector, tuple("XYZW")),
            ExrLayer.of("ViewLayer.IndexOB", np.ones((height, width, 1), np.float32), ("X",)),
        ]
        write_exr(folder / f"shot_{number:04}.exr", layers)
    return folder


def test_the_warp_error_of_a_moving_shot(studio: Path, tmp_path: Path) -> None:
    """A style that changes nothing sticks to the picture; one whose strokes stay on the screen does not."""
    folder = shot(tmp_path / "shot")
    request = asked(studio, "identity", "brush", content="", style_picture="", sequence=str(folder))
    identity, brush = (subject["numbers"] for subject in report(request)["subjects"])
    assert identity["warp_error"] == pytest.approx(0, abs=1e-5) and identity["warp_error_content"] < 1e-5
    assert identity["warp_visible"] == pytest.approx(1 - 3 / (4 * WIDTH))
    assert brush["warp_error"] > 0.01


def test_two_versions_of_a_style_keep_apart(studio: Path, tmp_path: Path) -> None:
    tiny_styles.brush(tmp_path / "later", seed=1)
    request = asked(studio, "brush", metrics=("structure",))
    request = replace(request, styles=(*request.styles, str(tmp_path / "later")))
    assert [subject["name"] for subject in report(request)["subjects"]] == list(request.styles)


@pytest.mark.parametrize(
    ("changes", "what", "fix"),
    [
        ({"styles": ()}, "nothing to evaluate", "--style"),
        ({"metrics": ("beauty",)}, "no metric called beauty", "patches"),
        ({"metrics": ("fid",)}, "fid cannot be measured without a feature network", "--extractor"),
        ({"metrics": ("is",)}, "is cannot be measured", "docs/evaluate.md"),
        ({"metrics": ("warp",)}, "without a shot", "--sequence"),
        ({"metrics": ("patches",), "style_picture": ""}, "without a style picture", "--style-picture"),
        ({"content": "", "style_picture": ""}, "nothing to measure", "--content"),
        ({"content": "missing"}, "does not exist", "Choose a folder"),
        ({"count": 0}, "do not fit", "at least 1"),
        ({"size": 40}, "do not fit", "72"),
        ({"size": 72}, "too small to be measured", "72"),
        ({"styles": ("Nobody",)}, "Nobody", "Choose|Did you mean"),
        ({"blind": "page"}, "compares two", "two styles"),
    ],
)
def test_what_is_missing_is_said_before_any_work(studio: Path, changes: Json, what: str, fix: str) -> None:
    with pytest.raises(EngineError, match=what) as error:
        next(evaluate.evaluate(asked(studio, "brush", **changes)))
    assert re.search(fix, error.value.fix)


def test_the_same_style_twice_is_no_comparison(studio: Path) -> None:
    with pytest.raises(EngineError, match="twice"):
        report(asked(studio, "brush", "brush"))


def test_a_shot_without_motion_is_said(studio: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_exr(tmp_path / f"{number}.exr", [ExrLayer.of("", np.ones((80, 80, 3), np.float32))])
    with pytest.raises(EngineError, match="no pass Vector"):
        report(asked(studio, "brush", metrics=("warp",), sequence=str(tmp_path)))


# ---------------------------------------------------------------- the command line and the worker


@pytest.fixture
def pentimento(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable:
    monkeypatch.setenv("PENTIMENTO_STYLES", str(tmp_path / "none"))

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = cli.main([str(argument) for argument in ("evaluate", *arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_command_prints_a_table(pentimento: Callable, studio: Path) -> None:
    code, out, err = pentimento(
        *("--style", studio / "brush", "--style-picture", studio / "painting.png"),
        *("--content", studio / "content", "--count", 1, "--seeds", 1),
    )
    assert code == 0 and not err
    assert out.splitlines()[0].split() == ["Brush"] and "Structure kept" in out


def test_the_command_makes_a_page_and_counts_its_votes(pentimento: Callable, studio: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    styles = ("--style", studio / "brush", "--style", studio / "identity")
    code, out, _ = pentimento(*styles, "--content", studio / "content", "--blind", page)
    assert code == 0 and str(page / "index.html") in out and "Patch distance" not in out
    key = json.loads((page / "key.json").read_text())
    votes = {str(n + 1): "left" if left == 1 else "right" for n, left in enumerate(key["left"])}
    (tmp_path / "votes.json").write_text(json.dumps({"page": key["page"], "votes": votes}))
    code, out, _ = pentimento("--blind", page, "--votes", tmp_path / "votes.json", "--json")
    done = protocol.from_line(out)
    assert code == 0 and done.report["wins"] == {"Brush": 0, "Identity": 3}
    content = np.asarray(Image.open(page / "pictures" / "001_content.png"))
    side = "left" if key["left"][0] == 1 else "right"
    assert (np.asarray(Image.open(page / "pictures" / f"001_{side}.png")) == content).all()
    code, _, err = pentimento(*styles, "--content", studio / "content", "--blind", page)
    assert code == 1 and "already a page" in err


def test_votes_need_no_training_packages() -> None:
    """Who only counts votes may have a Python without torch."""
    code = "import sys, engine.blind; print('torch' in sys.modules, 'onnxruntime' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "False"]


def test_requests_travel_as_lines(studio: Path) -> None:
    for request in (asked(studio, "brush", metrics=("fid",)), VotesRequest("job", ("a.json",), "page")):
        assert protocol.from_line(protocol.to_line(request)) == request
