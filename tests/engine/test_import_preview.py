"""Other people's models before they are kept: what they are taken for, and a look at what they paint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hostile
import numpy as np
import pytest
import tiny_styles
from onnx import helper, numpy_helper
from PIL import Image

from engine import import_onnx, style_jobs, style_pack
from engine.errors import EngineError
from engine.protocol import (
    Done,
    ExportStyleRequest,
    ImportOptions,
    ImportPreviewed,
    ImportStyleRequest,
    PictureSource,
    PixelBlock,
    PreviewImportRequest,
    StyleExported,
    StyleReady,
    from_line,
    to_line,
)
from engine.runtime import Session

RANGES = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
IMAGENET = (np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225)))


def picture(path: Path, width: int = 96, height: int = 64) -> PictureSource:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = np.stack([x / width, y / height, np.full_like(x, 0.25)], 2)
    Image.fromarray(np.rint(planes * 255).astype(np.uint8)).save(path)
    return PictureSource("Waves", path=str(path))


def look(path: Path, options: ImportOptions | None = None, source: PictureSource | None = None) -> ImportPreviewed:
    request = PreviewImportRequest("p", str(path), str(path.parent), options or ImportOptions(), source)
    events = list(style_jobs.preview_import(from_line(to_line(request))))
    assert isinstance(events[-1], Done)
    (seen,) = (event for event in events if isinstance(event, ImportPreviewed))
    assert from_line(to_line(seen)) == seen
    return seen


def pixels(block: PixelBlock) -> np.ndarray:
    return np.fromfile(block.path, block.dtype).reshape(block.shape).astype(int)


@pytest.fixture(params=[(layout, name) for layout in ("nchw", "nhwc") for name in RANGES], ids="-".join)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str, tuple[float, float]]]:
    layout, name = request.param
    yield tiny_styles.negative(tmp_path / "negative.onnx", layout, RANGES[name]), layout, RANGES[name]


def test_each_layout_and_range_paints_what_the_model_means(model: tuple[Path, str, tuple[float, float]]) -> None:
    """The artist says the range; the layout is read off the file. What comes out is the picture's negative."""
    path, layout, values = model
    seen = look(path, ImportOptions(value_range=values), picture(path.with_suffix(".png")))
    assert seen.facts.layout == layout and seen.facts.value_range == seen.facts.output_range == values
    assert seen.facts.known["layout"] == "file" and seen.facts.known["value_range"] == "chosen"
    before, after = pixels(seen.before), pixels(seen.after)
    assert before.shape == (64, 96, 3)
    assert np.abs(before + after - 255).max() <= 1


def test_what_is_kept_paints_as_its_preview(model: tuple[Path, str, tuple[float, float]], tmp_path: Path) -> None:
    path, _, values = model
    options = ImportOptions(value_range=values, author="Somebody", licence="CC0-1.0")
    request = ImportStyleRequest("i", str(path), str(tmp_path / "styles"), "Negative", options)
    (ready,) = (event for event in style_jobs.import_style(request) if isinstance(event, StyleReady))
    pack = style_pack.load(ready.folder)
    assert (pack.author, pack.licence, pack.model.range) == ("Somebody", "CC0-1.0", values)
    given = np.random.default_rng(0).random((1, 3, 32, 48)).astype(np.float32)
    assert np.abs(Session(pack, "cpu").run(given) - (1 - given)).max() < 1e-5


def test_a_wrong_range_shows(tmp_path: Path) -> None:
    """Which is what the preview is for."""
    path = tiny_styles.negative(tmp_path / "n.onnx", "nchw", (0.0, 255.0))
    source = picture(tmp_path / "p.png")
    wrong = look(path, ImportOptions(value_range=(0.0, 1.0)), source)
    assert pixels(wrong.after).min() == 255, "0 to 1 is black to it, and its negative white everywhere"


@pytest.mark.parametrize(("order", "channel"), [("rgb", 0), ("bgr", 2)])
def test_the_order_of_channels_shows(tmp_path: Path, order: str, channel: int) -> None:
    """The model puts out its first channel: that is red in RGB, blue in BGR."""
    nodes = [helper.make_node("Mul", ["x", "some"], ["y"])]
    weights = [numpy_helper.from_array(np.float32([0, 1, 1]).reshape(1, 3, 1, 1), "some")]
    shape, path = [1, 3, "h", "w"], tmp_path / "m.onnx"
    path.write_bytes(tiny_styles.model_bytes(nodes, weights, [("x", shape)], ("y", shape)))
    seen = look(path, ImportOptions(channel_order=order, value_range=(0.0, 1.0)), picture(tmp_path / "p.png"))
    expected = pixels(seen.before)
    expected[..., channel] = 0
    assert np.abs(pixels(seen.after) - expected).max() <= 1


def test_what_the_file_says_is_believed(tmp_path: Path) -> None:
    said = look(tiny_styles.bgr_255(tmp_path / "a.onnx", metadata=True)).facts
    assert (said.channel_order, said.value_range) == ("bgr", (0.0, 255.0))
    assert (said.width, said.height, said.multiple) == (64, 64, 1)
    assert {said.known[name] for name in ("channel_order", "value_range", "layout", "size")} == {"file"}
    silent = look(tiny_styles.bgr_255(tmp_path / "b.onnx")).facts
    assert (silent.channel_order, silent.value_range) == ("rgb", (0.0, 255.0))
    assert (silent.known["channel_order"], silent.known["value_range"]) == ("usual", "trial")


def test_another_range_comes_out(tmp_path: Path) -> None:
    """0..1 goes in, 0..255 comes out."""
    nodes = [helper.make_node("Mul", ["x", "bytes"], ["y"])]
    weights = [numpy_helper.from_array(np.float32(255), "bytes")]
    shape = [1, 3, "h", "w"]
    (tmp_path / "m.onnx").write_bytes(tiny_styles.model_bytes(nodes, weights, [("x", shape)], ("y", shape)))
    options = ImportOptions(value_range=(0.0, 1.0), output_range=(0.0, 255.0))
    seen = look(tmp_path / "m.onnx", options, picture(tmp_path / "p.png"))
    assert np.abs(pixels(seen.before) - pixels(seen.after)).max() <= 1


def test_normalised_colours_go_in(tmp_path: Path) -> None:
    """A model that undoes ImageNet's normalisation gives the picture back only where it is given it."""
    mean, deviation = (part.astype(np.float32).reshape(1, 3, 1, 1) for part in IMAGENET)
    nodes = [helper.make_node("Mul", ["x", "s"], ["a"]), helper.make_node("Add", ["a", "m"], ["y"])]
    weights = [numpy_helper.from_array(deviation, "s"), numpy_helper.from_array(mean, "m")]
    shape, path = [1, 3, "h", "w"], tmp_path / "m.onnx"
    path.write_bytes(tiny_styles.model_bytes(nodes, weights, [("x", shape)], ("y", shape)))
    options = ImportOptions(value_range=(0.0, 1.0), normalisation="imagenet")
    seen = look(path, options, source := picture(tmp_path / "p.png"))
    assert np.abs(pixels(seen.before) - pixels(seen.after)).max() <= 1
    assert np.abs(pixels(look(path, source=source).after) - pixels(seen.before)).max() > 20
    pack = style_pack.import_style(path, tmp_path / "styles", "", options)
    assert style_pack.load(pack.source).model.inputs["image"].mean == pytest.approx(IMAGENET[0])
    given = np.random.default_rng(0).random((1, 3, 32, 48)).astype(np.float32)
    assert np.abs(Session(pack, "cpu").run(given) - given).max() < 1e-5


def test_sizes_fit_the_models_grid(tmp_path: Path) -> None:
    """One that halves five times needs multiples of 32: the artist says so, and it runs."""
    path = tiny_styles.negative(tmp_path / "n.onnx", "nchw", (0.0, 1.0))
    seen = look(path, ImportOptions(multiple=32), picture(tmp_path / "p.png", 500, 300))
    assert seen.facts.multiple == 32 and seen.facts.known["size"] == "chosen"
    assert seen.after.shape == seen.before.shape == (154, 256, 3), "shown as wide for its height as the picture"


def test_without_a_picture_it_is_tried_on_one_of_ours(tmp_path: Path) -> None:
    seen = look(tiny_styles.negative(tmp_path / "some_look.onnx", "nhwc", (0.0, 1.0)))
    assert seen.facts.name == "Some Look" and pixels(seen.before).std() > 30


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (ImportOptions(channel_order="cmyk"), "channel order"),
        (ImportOptions(layout="nhcw"), "layout"),
        (ImportOptions(normalisation="z"), "normalisation"),
        (ImportOptions(value_range=(1.0, 0.0)), "range"),
        (ImportOptions(output_range=(0.0, float("inf"))), "range"),
        (ImportOptions(multiple=65), "multiples"),
        (ImportOptions(layout="nhwc"), "the file says that it is NCHW"),
    ],
)
def test_what_cannot_be_is_said_with_its_fix(tmp_path: Path, options: ImportOptions, word: str) -> None:
    path = tiny_styles.negative(tmp_path / "n.onnx", "nchw", (0.0, 1.0))
    with pytest.raises(EngineError, match=word) as caught:
        import_onnx.look_at(path, options)
    assert caught.value.fix


@pytest.mark.parametrize("name", sorted(name for name in hostile.MODELS if name.endswith(".onnx")))
def test_a_look_refuses_what_an_import_refuses(tmp_path: Path, name: str) -> None:
    """Whatever the artist says of it, and nothing is written."""
    hostile.MODELS[name](tmp_path / name, hostile.good_pack(tmp_path / "good"))
    (tmp_path / "out").mkdir()
    options = ImportOptions("bgr", (0.0, 1.0), (0.0, 1.0), "mean", multiple=1)
    request = PreviewImportRequest("p", str(tmp_path / name), str(tmp_path / "out"), options)
    with pytest.raises(EngineError) as caught:
        list(style_jobs.preview_import(request))
    assert caught.value.fix and list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("change", [{"mean": [0, 1]}, {"deviation": [0, 0, 0]}, {"mean": ["a", 1, 2]}])
def test_a_broken_normalisation_is_refused(tmp_path: Path, change: dict[str, list[float]]) -> None:
    import json

    pack = tiny_styles.identity(tmp_path / "a")
    data = json.loads((pack / "style.json").read_text())
    data["model"]["inputs"]["image"].update(change)
    (pack / "style.json").write_text(json.dumps(data))
    with pytest.raises(EngineError, match="three numbers"):
        style_pack.load(pack)


# ---------------------------------------------------------------- folders, and the way out


def test_styles_in_folders_are_found_one_level_deep(tmp_path: Path) -> None:
    tiny_styles.identity(tmp_path / "Client A" / "a", name="Theirs")
    tiny_styles.identity(tmp_path / "one" / "two" / "b", name="Deep")
    tiny_styles.identity(tmp_path / "run.training" / "c", name="Half Trained")
    assert style_pack.find("theirs", [tmp_path]).name == "Theirs"
    names = {info.name for info in style_pack.installed([tmp_path])}
    assert "Theirs" in names and not names & {"Deep", "Half Trained"}


def test_a_style_that_lies_in_a_folder_is_not_imported_again(tmp_path: Path) -> None:
    pack = tiny_styles.identity(tmp_path / "styles" / "Client A" / "identity")
    with pytest.raises(EngineError, match="'Client A'"):
        style_pack.import_style(pack, tmp_path / "styles")
    assert style_pack.import_style(pack, tmp_path / "styles", "Second").name == "Second"


def test_a_style_is_exported_and_comes_back(tmp_path: Path) -> None:
    pack = tiny_styles.following(tmp_path / "a")
    request = ExportStyleRequest("e", str(pack), str(tmp_path / "a.zip"))
    (told,) = (event for event in style_jobs.export_style(request) if isinstance(event, StyleExported))
    back = style_pack.import_style(told.path, tmp_path / "styles")
    assert (back.hash, dict(back.files)) == (style_pack.load(pack).hash, dict(style_pack.load(pack).files))
