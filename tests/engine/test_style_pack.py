"""Style packs: what is verified, found, imported and written."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_styles
from onnx import helper, numpy_helper
from PIL import Image

from engine import forms, import_onnx, onnx_graph, onnx_growth, style_pack
from engine.errors import EngineError
from engine.explain.provenance import reference
from engine.files import planes_of
from engine.protocol import ImportOptions
from engine.style_pack import FIT, FIT_NUMBERS, GENERATOR, MANIFEST, ModelInput, ModelSpec, StylePicture, write_pack


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the user's folder of styles."""
    monkeypatch.setenv("PENTIMENTO_STYLES", str(tmp_path / "styles"))
    (tmp_path / "styles").mkdir()
    return tmp_path / "styles"


def edit(pack: Path, **changes: object) -> None:
    data = json.loads((pack / MANIFEST).read_text())
    data.update(changes)
    (pack / MANIFEST).write_text(json.dumps(data))


def refused(path: Path | str, *words: str) -> None:
    with pytest.raises(EngineError) as caught:
        style_pack.load(path)
    assert caught.value.fix
    assert all(word in caught.value.message for word in words), caught.value.message


# ---------------------------------------------------------------- loading


def test_a_pack_says_what_its_model_needs(folder: Path) -> None:
    pack = style_pack.load(tiny_styles.brush(folder / "brush"))
    assert (pack.name, pack.author, pack.kind) == ("Brush", "tests", "pentimento")
    assert pack.model.stride == 4
    assert pack.model.inputs["noise"] == ModelInput(2, scale=4, tensor="noise")
    assert pack.model.receptive_radius == tiny_styles.BRUSH_RADIUS
    assert pack.controls["stroke"] == (0.25, 4.0)
    assert Path(pack.preview).is_file()


def test_the_bytes_that_were_verified_are_the_bytes_that_are_read(folder: Path) -> None:
    pack = style_pack.load(tiny_styles.identity(folder / "a"))
    assert hashlib.sha256(pack.read(GENERATOR)).hexdigest() == pack.files[GENERATOR]
    (folder / "a" / GENERATOR).write_bytes(b"other")
    with pytest.raises(EngineError, match="changed"):
        pack.read(GENERATOR)


def test_the_hash_is_the_look(folder: Path) -> None:
    one = style_pack.load(tiny_styles.brush(folder / "one"))
    renamed = style_pack.load(tiny_styles.brush(folder / "two", name="Other name"))
    other = style_pack.load(tiny_styles.brush(folder / "three", seed=1))
    assert one.hash == renamed.hash != other.hash


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"schema": 2}, "another version"),
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"kind": "magic"}, "kind"),
        ({"files": {}}, "model.file"),
        ({"files": {"../a.onnx": "0" * 64}}, "unsafe"),
        ({"files": {GENERATOR: "no"}}, "characters"),
        ({"controls": {"strength": [1, 0]}}, "strength"),
        ({"recipe": []}, "recipe"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_manifest_is_refused(folder: Path, change: dict[str, object], word: str) -> None:
    edit(tiny_styles.identity(folder / "a"), **change)
    refused(folder / "a", word)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stride", 0),
        ("stride", True),
        ("stride", 6),
        ("receptive_radius", -1),
        ("receptive_radius", 10**6),
        ("range", [0, float("1e300")]),
        ("fixed_size", [4, 4]),
        ("order", "RGBA"),
        ("output", "elsewhere"),
        ("inputs", {}),
        ("macs_per_pixel", "many"),
    ],
)
def test_a_wrong_model_entry_is_refused(folder: Path, key: str, value: object) -> None:
    pack = tiny_styles.brush(folder / "a")
    model = json.loads((pack / MANIFEST).read_text())["model"]
    edit(pack, model={**model, key: value})
    refused(pack)


@pytest.mark.parametrize(
    "strokes",
    [
        {"file": "strokes.bytes", "rows": 5, "columns": 8},
        {"file": "strokes.bytes", "rows": 0, "columns": 7},
        {"file": "strokes.bytes", "rows": 10**6, "columns": 7},
        {"file": "elsewhere.bytes", "rows": 5, "columns": 7},
        {"file": "strokes.bytes", "rows": 5, "columns": 7, "more": 1},
        {"file": "strokes.bytes", "rows": 5, "columns": 7, "parts": [6]},
        {"file": "strokes.bytes", "rows": 5, "columns": 7, "parts": [2, 3]},
        {"file": "strokes.bytes", "rows": 5, "columns": 7, "parts": ["5"]},
        {"rows": 5, "columns": 7},
        [5, 7],
        None,
    ],
)
def test_a_wrong_stroke_field_is_refused(folder: Path, strokes: object) -> None:
    pack = tiny_styles.strokes(folder / "a")
    model = json.loads((pack / MANIFEST).read_text())["model"]
    model["inputs"]["noise"]["strokes"] = strokes
    edit(pack, model=model)
    refused(pack)


@pytest.mark.parametrize(
    "turned",
    [
        {"file": "turned.bytes", "turns": 4, "rows": 6, "columns": 6},
        {"file": "turned.bytes", "turns": 1, "rows": 24, "columns": 5},
        {"file": "turned.bytes", "turns": 10**6, "rows": 6, "columns": 5},
        {"file": "turned.bytes", "turns": 4, "rows": 10**6, "columns": 5},
        {"file": "strokes.bytes", "turns": 4, "rows": 6, "columns": 5},
        {"file": "elsewhere.bytes", "turns": 4, "rows": 6, "columns": 5},
        {"file": "turned.bytes", "turns": 4, "rows": 6, "columns": 5, "more": 1},
        [4, 6, 5],
    ],
)
def test_wrong_turned_strokes_are_refused(folder: Path, turned: object) -> None:
    pack = tiny_styles.following(folder / "a")
    model = json.loads((pack / MANIFEST).read_text())["model"]
    model["inputs"]["noise"]["turned"] = turned
    edit(pack, model=model)
    refused(pack)


def test_only_strokes_can_be_turned_and_in_cells_of_forms(folder: Path) -> None:
    for number, (key, value, word) in enumerate([("strokes", None, "no strokes"), ("scale", 2, "cells of 4")]):
        pack = tiny_styles.following(folder / str(number))
        model = json.loads((pack / MANIFEST).read_text())["model"]
        model["inputs"]["noise"][key] = value
        if value is None:
            del model["inputs"]["noise"][key]
        edit(pack, model=model)
        refused(pack, word)
    assert style_pack._CELL == forms.CELL


def test_all_noises_of_a_texture_are_quilted_or_none(folder: Path) -> None:
    pack = tiny_styles.pattern(folder / "a", waves=())
    model = json.loads((pack / MANIFEST).read_text())["model"]
    table = {"file": "noise.bytes", "rows": 8, "columns": 8}
    model["inputs"]["noise"] |= {"distribution": "quilted", "strokes": table}
    (pack / "noise.bytes").write_bytes(bytes(2 * 8 * 8))
    files = json.loads((pack / MANIFEST).read_text())["files"]
    edit(pack, model=model, files={**files, "noise.bytes": hashlib.sha256(bytes(2 * 8 * 8)).hexdigest()})
    refused(pack, "either all noises of a texture are quilted, or none")


def test_only_noise_has_strokes(folder: Path) -> None:
    pack = tiny_styles.strokes(folder / "a")
    model = json.loads((pack / MANIFEST).read_text())["model"]
    model["inputs"]["image"]["strokes"] = model["inputs"]["noise"].pop("strokes")
    edit(pack, model=model)
    refused(pack, "only noise")


def test_another_stroke_field_is_another_look(folder: Path) -> None:
    one, two = (style_pack.load(tiny_styles.strokes(folder / name)) for name in "ab")
    assert one.hash == two.hash
    files = {name: two.read(name) for name in two.files}
    files["strokes.bytes"] = bytes(70)
    assert style_pack.write_pack(folder / "c", two, files).hash != one.hash


def test_a_stroke_field_travels_with_its_style(folder: Path, tmp_path: Path) -> None:
    pack = style_pack.load(tiny_styles.strokes(folder / "a"))
    again = style_pack.import_style(style_pack.export_style(pack, tmp_path / "a.zip"), tmp_path / "other")
    assert again.hash == pack.hash and again.read("strokes.bytes") == pack.read("strokes.bytes")


def test_files_are_what_the_manifest_says(folder: Path) -> None:
    pack = tiny_styles.identity(folder / "changed")
    (pack / "preview.png").write_bytes(tiny_styles.preview_png(17))
    refused(pack, "preview.png", "changed")
    pack = tiny_styles.identity(folder / "missing")
    (pack / "preview.png").unlink()
    refused(pack, "preview.png")
    pack = tiny_styles.identity(folder / "extra")
    (pack / "run_me.py").write_text("print()")
    refused(pack, "run_me.py")


def test_what_a_desktop_leaves_in_folders_does_no_harm(folder: Path) -> None:
    pack = tiny_styles.identity(folder / "a")
    (pack / ".DS_Store").write_bytes(b"x")
    assert style_pack.load(pack).name == "Identity"


def test_a_missing_pack_is_an_error_with_a_fix(folder: Path) -> None:
    refused(folder / "nothing")
    refused(folder / "nothing.zip")
    refused(folder)


# ---------------------------------------------------------------- finding


def test_styles_are_found_by_name_folder_and_path(folder: Path) -> None:
    tiny_styles.brush(folder / "my-brush", name="Große Welle")
    assert style_pack.find("große welle").name == "Große Welle"
    assert style_pack.find("my-brush").name == "Große Welle"
    assert style_pack.find(str(folder / "my-brush")).name == "Große Welle"


def test_more_folders_can_be_given(folder: Path, tmp_path: Path) -> None:
    tiny_styles.identity(tmp_path / "elsewhere" / "plain")
    assert style_pack.find("Identity", [tmp_path / "elsewhere"]).name == "Identity"
    assert "Identity" in [info.name for info in style_pack.installed([tmp_path / "elsewhere"])]


def test_an_unknown_name_gets_a_suggestion(folder: Path) -> None:
    tiny_styles.brush(folder / "a", name="Starry Night")
    with pytest.raises(EngineError) as caught:
        style_pack.find("Stary Night")
    assert "Starry Night" in caught.value.fix


def test_a_broken_style_is_listed_with_its_problem(folder: Path) -> None:
    edit(tiny_styles.identity(folder / "a"), kind="magic")
    (folder / "b").mkdir()
    (folder / "b" / MANIFEST).write_text("{")
    problems = {info.folder: info.problem for info in style_pack.installed() if str(folder) in info.folder}
    assert len(problems) == 2 and all(problems.values())


# ---------------------------------------------------------------- sharing


def test_a_zip_goes_round_and_is_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    pack = style_pack.load(tiny_styles.brush(folder / "a"))
    first = style_pack.export_style(pack, tmp_path / "a.zip").read_bytes()
    assert style_pack.export_style(pack, tmp_path / "b.zip").read_bytes() == first
    zipped = style_pack.load(tmp_path / "a.zip")
    assert zipped.hash == pack.hash and zipped.read(GENERATOR) == pack.read(GENERATOR)
    imported = style_pack.import_style(tmp_path / "a.zip", tmp_path / "new", "Mine")
    assert imported.name == "Mine" and imported.source == tmp_path / "new" / "mine"
    assert imported.hash == pack.hash


def test_a_zip_without_a_folder_inside_is_fine(folder: Path, tmp_path: Path) -> None:
    pack = tiny_styles.identity(folder / "a")
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for file in pack.iterdir():
            archive.write(file, file.name)
        archive.writestr("__MACOSX/._style.json", b"droppings")
    assert style_pack.load(tmp_path / "flat.zip").name == "Identity"


def test_import_never_overwrites(folder: Path, tmp_path: Path) -> None:
    pack = tiny_styles.identity(tmp_path / "a")
    style_pack.import_style(pack, folder)
    before = (folder / "identity" / MANIFEST).read_bytes()
    with pytest.raises(EngineError, match="already"):
        style_pack.import_style(pack, folder)
    assert (folder / "identity" / MANIFEST).read_bytes() == before


def test_a_pack_that_does_not_verify_leaves_nothing(folder: Path) -> None:
    pack = style_pack.new_pack("Bad", ModelSpec({"image": ModelInput(3)}))
    with pytest.raises(EngineError):
        style_pack.write_pack(folder / "bad", pack, {GENERATOR: b"no model"})
    assert list(folder.iterdir()) == []


def test_writing_again_replaces_the_old_pack_as_a_whole(folder: Path) -> None:
    old = style_pack.load(tiny_styles.brush(folder / "a"))
    data = (tiny_styles.brush(folder / "b", seed=5) / GENERATOR).read_bytes()
    style_pack.write_pack(folder / "a", old, {GENERATOR: data}, replace_old=True)
    new = style_pack.load(folder / "a")
    assert new.read(GENERATOR) == data and set(new.files) == {GENERATOR}
    assert sorted(p.name for p in folder.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "expected"), [("Starry Night!", "starry-night"), ("  ", None), ("日本", None), ("../x", "x")]
)
def test_folder_names_are_plain(name: str, expected: str | None) -> None:
    result = style_pack.slug(name)
    assert result == expected or (expected is None and result.startswith("style-"))


# ---------------------------------------------------------------- other people's models


def test_a_third_party_model_is_wrapped(tmp_path: Path) -> None:
    path = tiny_styles.bgr_255(tmp_path / "some_look.onnx", metadata=True)
    pack = style_pack.import_style(path, tmp_path / "styles")
    image = pack.model.inputs["image"]
    assert (pack.name, pack.kind) == ("Some Look", "third-party")
    assert (image.order, image.range, image.tensor) == ("BGR", (0.0, 255.0), "picture")
    assert pack.model.fixed_size == (64, 64) and pack.model.receptive_radius is None
    assert pack.recipe["imported"]["file"] == "some_look.onnx"
    assert Path(pack.preview).is_file()


def test_the_artist_has_the_last_word(tmp_path: Path) -> None:
    path = tiny_styles.bgr_255(tmp_path / "a.onnx", metadata=True)
    known = ImportOptions(channel_order="rgb", value_range=(-1.0, 1.0), layout="nchw")
    pack = style_pack.import_style(path, tmp_path / "styles", "Mine", known)
    assert pack.model.order == "RGB" and pack.model.range == (-1.0, 1.0)
    with pytest.raises(EngineError, match="channel order"):
        style_pack.import_style(path, tmp_path / "styles", "Other", ImportOptions(channel_order="cmyk"))


@pytest.mark.parametrize(("last", "expected"), [("Tanh", (-1.0, 1.0)), ("Sigmoid", (0.0, 1.0)), ("Big", (0.0, 255.0))])
def test_the_range_of_values_is_found_out(tmp_path: Path, last: str, expected: tuple[float, float]) -> None:
    """A model that ends in tanh, in a sigmoid, or in an offset and factor for bytes."""
    weights = [numpy_helper.from_array(np.float32(v), n) for n, v in (("two", 2), ("half", 127))]
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["a"]),
        helper.make_node(last if last != "Big" else "Tanh", ["a"], ["b"]),
    ]
    if last == "Big":
        nodes += [helper.make_node("Mul", ["b", "half"], ["c"]), helper.make_node("Add", ["c", "half"], ["y"])]
    else:
        nodes.append(helper.make_node("Identity", ["b"], ["y"]))
    shape = [1, 3, "h", "w"]
    (tmp_path / "m.onnx").write_bytes(tiny_styles.model_bytes(nodes, weights, [("x", shape)], ("y", shape)))
    pack = style_pack.import_style(tmp_path / "m.onnx", tmp_path / "styles")
    assert pack.model.range == expected and pack.model.fixed_size is None


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["y"])]
    shape = [1, 3, "h", "w"]
    (tmp_path / "m.onnx").write_bytes(tiny_styles.model_bytes(nodes, [], [("x", shape)], ("y", shape)))
    with pytest.raises(EngineError, match="returned"):
        style_pack.import_style(tmp_path / "m.onnx", tmp_path / "styles")
    assert not (tmp_path / "styles").exists() or not list((tmp_path / "styles").iterdir())


def test_the_mosaic_model_is_understood_without_running_it(shared: Path) -> None:
    data = (shared / "third_party" / "fns_mosaic.onnx").read_bytes()
    graph = onnx_graph.inspect(data)
    model = onnx.load_from_string(data)
    assert graph.opset == 7 and len(graph.nodes) == len(model.graph.node)
    assert graph.inputs[0].shape == (0, 3, 720, 720)
    assert graph.metadata["Image.BitmapPixelFormat"] == "Bgr8"
    assert graph.parameters == sum(int(np.prod(t.dims)) for t in model.graph.initializer)


@pytest.mark.slow
def test_the_mosaic_model_is_imported(shared: Path, tmp_path: Path) -> None:
    pack = style_pack.import_style(shared / "third_party" / "fns_mosaic.onnx", tmp_path)
    assert pack.model.order == "BGR" and pack.model.range == (0.0, 255.0)
    assert pack.model.fixed_size == (720, 720) and pack.author == "Justin Johnson"


# ---------------------------------------------------------------- the graph on paper


def test_the_graph_is_read_as_the_onnx_package_reads_it(folder: Path) -> None:
    data = (tiny_styles.brush(folder / "a") / GENERATOR).read_bytes()
    graph, model = onnx_graph.inspect(data), onnx.load_from_string(data)
    assert [node.operator for node in graph.nodes] == [node.op_type for node in model.graph.node]
    assert [node.inputs for node in graph.nodes] == [tuple(node.input) for node in model.graph.node]
    assert graph.shapes == {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    assert graph.constants["f_scales"] == (1, 1, 2, 2)


def test_multiply_adds_are_counted_on_paper(folder: Path) -> None:
    data = (tiny_styles.brush(folder / "a") / GENERATOR).read_bytes()
    growth = onnx_growth.measure(onnx_graph.inspect(data), {"noise": 4})
    by_hand = 3 * 8 * 16 / 4 + 8 * 8 * 16 / 16 + 2 * 8 / 16 + 2 * 8 * 8 * 9 / 16 + 8 * 8 * 9 / 4 + 8 * 3 * 9
    assert growth.macs == pytest.approx(by_hand)
    assert growth.elements == 8.0  # channels on the picture's own grid after the last doubling


def test_truncated_models_are_errors_at_every_length(folder: Path) -> None:
    data = (tiny_styles.brush(folder / "a") / GENERATOR).read_bytes()
    for length in range(0, len(data), 97):
        try:
            onnx_graph.inspect(data[:length])
        except EngineError as error:
            assert error.fix
        else:
            pytest.fail(f"{length} of {len(data)} bytes were accepted")


def test_random_damage_never_raises_anything_else(folder: Path) -> None:
    data = bytearray((tiny_styles.brush(folder / "a") / GENERATOR).read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            broken[place] = int(rng.integers(0, 256))
        try:
            onnx_growth.measure(onnx_graph.inspect(bytes(broken)))
        except EngineError as error:
            assert error.message and error.fix


def test_the_trial_picture_has_light_dark_and_colour() -> None:
    picture = import_onnx.trial_picture(64, 96)
    assert picture.shape == (3, 64, 96) and picture.min() >= 0 and picture.max() <= 1
    assert picture.std() > 0.15


# ---------------------------------------------------------------- what a style was made of


def jpeg(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 60, 30)).save(file, "JPEG")
    return file.getvalue()


def made_of(tmp_path: Path, picture: bytes, scale: float = 0.5, fit: bytes = b"") -> style_pack.StylePack:
    """A tiny style with a style picture, and numbers of what is usual in it"""
    pack = style_pack.load(tiny_styles.brush(tmp_path / "brush"))
    files = {name: pack.read(name) for name in pack.files} | {"picture_0.jpg": picture} | ({FIT: fit} if fit else {})
    told = replace(pack, pictures=(StylePicture("picture_0.jpg", scale),))
    return write_pack(tmp_path / "made", told, files)


def test_a_style_picture_comes_back_as_planes(tmp_path: Path) -> None:
    pack = made_of(tmp_path, jpeg(64, 40))
    (picture,) = reference(pack).pictures
    assert picture.shape == (3, 40, 64)
    assert np.abs(picture.mean(axis=(1, 2)) * 255 - [90, 60, 30]).max() < 3
    again = style_pack.load(style_pack.export_style(pack, tmp_path / "made.zip"))
    assert again.pictures == pack.pictures == (StylePicture("picture_0.jpg", 0.5),)


@pytest.mark.parametrize("size", [(513, 40), (64, 8), (4096, 4096)])
def test_style_pictures_of_other_sizes_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(EngineError, match="14 to 512"):
        made_of(tmp_path, jpeg(*size))


def test_a_forged_size_behind_the_true_one_is_not_believed(tmp_path: Path) -> None:
    """Markers without a length, which a decoder skips, must not lead past the header that counts."""
    large, small = jpeg(2500, 2500), jpeg(64, 64)
    forged = large[:2] + b"\xff\xd0" + large[2:]
    forged += bytes(2 + 0xFFE0 - len(forged)) + small[2:] if len(forged) < 0xFFE0 else small
    with pytest.raises(EngineError, match="14 to 512"):
        made_of(tmp_path, forged)
    with pytest.raises(EngineError, match="larger than 512"):
        planes_of(large, "picture_0.jpg", 512)


def test_what_is_no_jpeg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="JPEG"):
        made_of(tmp_path, b"\x89PNG\r\n\x1a\n" + bytes(64))


@pytest.mark.parametrize("broken", ["nan", "inf", "usual", "short"])
def test_numbers_that_say_nothing_are_refused(tmp_path: Path, broken: str) -> None:
    numbers = np.ones(FIT_NUMBERS + FIT_NUMBERS**2 + 1, "<f4")
    if broken in ("nan", "inf"):
        numbers[7] = float(broken)
    elif broken == "usual":
        numbers[-1] = 0
    data = numbers.tobytes()[: -4 if broken == "short" else None]
    with pytest.raises(EngineError, match=r"fit\.bytes of the style .* is broken"):
        made_of(tmp_path, jpeg(64, 64), fit=data)


def test_style_pictures_have_one_scale(tmp_path: Path) -> None:
    pack = made_of(tmp_path, jpeg(64, 64))
    data = json.loads((pack.source / "style.json").read_text())
    data["pictures"] = [{"file": "picture_0.jpg", "scale": scale} for scale in (0.5, 0.25)]
    (pack.source / "style.json").write_text(json.dumps(data))
    with pytest.raises(EngineError, match="one scale"):
        style_pack.load(pack.source)
