"""Painting one pass of a render, and the render put together again with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from PIL import Image

from engine import cli, painted_pass
from engine.errors import EngineError
from engine.explanation import explain
from engine.exr import ExrLayer, read_exr, write_exr
from engine.files import create_png, open_picture
from engine.passes import PARTS, TERMS, Passes, canonical, matte, read_passes, replace_pass, weight
from engine.protocol import (
    ExplainRequest,
    LightGain,
    MatteStrength,
    PictureSource,
    StyleShare,
    Stylized,
    StylizeRequest,
    StylizeSettings,
    ViewTable,
    from_line,
    to_line,
)
from engine.stylize import stylize

Render = Callable[..., Path]
HALF = 2.0**-11
"""Half a step between neighbouring half floats, of the value: what storing one costs"""
LEAST = 2.0**-15
"""The same below the smallest normal half, where steps no longer shrink"""
COLOURS = [colour for colour, _ in TERMS if colour]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("styles")
    made = {maker.__name__: str(maker(folder / maker.__name__)) for maker in (tiny_styles.identity, tiny_styles.brush)}
    made["red"] = str(tiny_styles.flat(folder / "red", "Red", (0.8, 0.1, 0.1)))
    made["blue"] = str(tiny_styles.flat(folder / "blue", "Blue", (0.1, 0.2, 0.9)))
    return made


@pytest.fixture(scope="module")
def five(render: Render) -> Path:
    """A 64 x 36 render of Blender 5, one part for each pass under its new name, in float."""
    return render()


@pytest.fixture(scope="module")
def four(five: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as Blender 4 stores it: one part, short names, colours in half."""
    passes, path = read_passes(five), tmp_path_factory.mktemp("four") / "four.exr"
    layers = [
        ExrLayer(
            f"ViewLayer.{name}", _halved(passes, name) if name in ("Combined", *PARTS) else passes.layer(name).planes
        )
        for name in passes
    ]
    write_exr(path, layers, passes.file.header)
    return path


def _halved(passes: Passes, name: str) -> dict[str, np.ndarray]:
    return {channel: plane.astype(np.float16) for channel, plane in passes.layer(name).planes.items()}


def settings(*styles: str, **choices: Any) -> StylizeSettings:
    return StylizeSettings(tuple(StyleShare(style) for style in styles), **{"device": "cpu", **choices})


def request(source: Path, out: Path, chosen: StylizeSettings, **delivery: Any) -> StylizeRequest:
    return StylizeRequest("job", (PictureSource(source.stem, str(source)),), chosen, str(out), **delivery)


def stylized(asked: StylizeRequest) -> Stylized:
    assert from_line(to_line(asked)) == asked
    (found,) = [event for event in stylize(asked) if isinstance(event, Stylized)]
    assert from_line(to_line(found)) == found
    return found


def layer(event: Stylized, name: str) -> np.ndarray:
    """A layer of the result's file, by its name there"""
    return read_passes(event.path)[name].astype(np.float32)


def paint(source: Path, out: Path, *styles: str, **choices: Any) -> np.ndarray:
    """Combined with the painted pass"""
    return layer(stylized(request(source, out, settings(*styles, **choices))), "Stylized")


def worst(result: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference in halves of a half float's step: 1 is what rounding to half costs"""
    expected = expected.astype(np.float32)
    return float((np.abs(result - expected) / np.maximum(np.abs(expected) * HALF, LEAST * HALF)).max())


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("version", ["four", "five"])
def test_an_identity_gives_combined_back(
    name: str, version: str, request: pytest.FixtureRequest, folders: dict[str, str], tmp_path: Path
) -> None:
    source = request.getfixturevalue(version)
    result = paint(source, tmp_path, folders["identity"], painted_pass=name)
    assert worst(result, read_passes(source)["Combined"]) <= 1


def test_an_identity_gives_a_denoised_and_transparent_render_back(
    render: Render, folders: dict[str, str], tmp_path: Path
) -> None:
    """What the denoiser did is in none of the passes, and the sky of Env not in Combined: both stay as they are."""
    source = render(denoise=True, transparent=True, depth="16")
    for name in ("DiffCol", "GlossDir", "Env"):
        result = paint(source, tmp_path / name, folders["identity"], painted_pass=name)
        assert worst(result, read_passes(source)["Combined"]) <= 1


def test_an_identity_through_a_view_transform_gives_combined_back(
    five: Path, folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Light is painted as the view transform shows it, surface colours as they are."""
    seen: dict[str, bool] = {}
    chosen = painted_pass.chosen

    def watched(*given: Any) -> Any:
        found = chosen(*given)
        seen[found.name] = found.picture.view is not None
        return found

    monkeypatch.setattr(painted_pass, "chosen", watched)
    for name in ("DiffCol", "DiffDir", "Emit"):
        asked = request(five, tmp_path / name, settings(folders["identity"], painted_pass=name), view=table(tmp_path))
        assert worst(layer(stylized(asked), "Stylized"), read_passes(five)["Combined"]) <= 1
    assert seen == {"DiffCol": False, "DiffDir": True, "Emit": True}


def table(folder: Path) -> ViewTable:
    """A view transform that only bends: x / (x + 1)"""
    values = (0.0, *(2.0**stop for stop in range(-10, 8)))
    axis = np.array([value / (value + 1) for value in values])
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(len(axis), -1, 3)
    path = folder / "view.png"
    with create_png(path, *cube.shape[:2], 3, np.dtype(np.uint16)) as png:
        png.write_rows(np.rint(cube * 65535).astype(np.uint16))
    return ViewTable("Bent", str(path), values)


# ---------------------------------------------------------------- what a painted pass changes


@pytest.mark.parametrize("name", ["DiffCol", "GlossDir", "TransInd", "Emit"])
def test_combined_changes_by_the_change_of_the_pass_times_its_weight(
    name: str, five: Path, folders: dict[str, str], tmp_path: Path
) -> None:
    passes = read_passes(five)
    event = stylized(request(five, tmp_path, settings(folders["brush"], painted_pass=name)))
    painted, result = layer(event, f"Stylized {name}"), layer(event, "Stylized")
    assert np.abs(painted - passes[name]).max() > 0.05
    assert np.allclose(result, replace_pass(passes, name, painted), rtol=1e-5, atol=1e-5)
    assert [found.name for found in event.layers] == ["Stylized", f"Stylized.{name}"]
    assert {found.encoding for found in event.layers} == {"linear"}


def test_a_painted_diffuse_colour_is_lit_as_blender_lit_it(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    """Combined - light * DiffCol + light * painted, and nothing where no such light falls"""
    passes = read_passes(five)
    event = stylized(request(five, tmp_path, settings(folders["red"], painted_pass="DiffCol")))
    painted, result = layer(event, "Stylized DiffCol"), layer(event, "Stylized")
    assert np.allclose(painted[solid(five, "DiffCol")], decoded((0.8, 0.1, 0.1)), atol=1e-5)
    light = passes["DiffDir"] + passes["DiffInd"]
    expected = passes["Combined"][..., :3] + light * (painted - passes["DiffCol"])
    assert np.allclose(result[..., :3], expected, rtol=1e-5, atol=1e-5)
    dark = (light == 0).all(axis=2)
    assert dark.sum() > 100 and np.array_equal(result[dark], passes["Combined"][dark])
    assert np.array_equal(result[..., 3], passes["Combined"][..., 3])


def solid(path: Path, name: str = "DiffCol") -> np.ndarray:
    """Pixels (H, W) that are full of what a pass holds"""
    found = painted_pass.chosen(open_picture(path), read_passes(path), settings("any", painted_pass=name))
    assert found is not None
    return (found.cover == 1) & (found.picture.pixels == found.stored).all(axis=2)


def test_an_edge_is_painted_as_much_as_there_is_of_it(tmp_path: Path, folders: dict[str, str]) -> None:
    """Half of a pixel is a grey wall, half is sky: the wall is painted as beside it, and half of that is here. Black
    neither bleeds into what the style sees nor is painted."""
    wall = np.full((20, 24, 3), 0.5, np.float32)
    wall[:, 12], wall[:, 13:] = 0.25, 0
    light = np.where(wall > 0, np.float32(0.8), np.float32(0))
    source = small_render(tmp_path / "wall.exr", DiffCol=wall, DiffDir=light, DiffInd=0.0, Combined=0.9)
    event = stylized(request(source, tmp_path, settings(folders["red"], painted_pass="DiffCol")))
    painted, red = layer(event, "Stylized DiffCol"), decoded((0.8, 0.1, 0.1))
    for columns, share in ((np.s_[:12], 1), (np.s_[12:13], 0.5), (np.s_[13:], 0)):
        assert np.allclose(painted[:, columns], share * red, atol=1e-5)
        assert np.allclose(layer(event, "Stylized")[:, columns], 0.9 + 0.8 * share * (red - 0.5), atol=1e-5)
    seen = painted_pass.chosen(open_picture(source), read_passes(source), settings("any", painted_pass="DiffCol"))
    assert seen is not None and np.allclose(seen.picture.pixels, 0.5, atol=1e-4)


def decoded(display: tuple[float, ...]) -> np.ndarray:
    values = np.array(display)
    return np.where(values < 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def test_where_there_is_no_light_of_its_own_none_is_painted(
    five: Path, folders: dict[str, str], tmp_path: Path
) -> None:
    """Emit is black but for the lamp: that black wants no paint. A shadow does: DiffDir is painted there."""
    passes = read_passes(five)
    event = stylized(request(five, tmp_path, settings(folders["red"], painted_pass="Emit")))
    black = (passes["Emit"] == 0).all(axis=2)
    assert 0.5 < black.mean() < 1
    assert not layer(event, "Stylized Emit")[black].any()
    assert np.array_equal(layer(event, "Stylized")[black], passes["Combined"][black])
    full = solid(five, "Emit")
    assert full.any() and (layer(event, "Stylized")[full] != passes["Combined"][full]).any(axis=1).all()
    event = stylized(request(five, tmp_path, settings(folders["red"], painted_pass="DiffDir")))
    shadow = (passes["DiffDir"] == 0).all(axis=2) & passes["DiffCol"].any(axis=2)
    assert shadow.any() and (layer(event, "Stylized DiffDir")[shadow][:, 0] > 0.5).all()


def test_both_versions_give_the_same(four: Path, five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    results = []
    for source, name in ((four, "DiffCol"), (five, "Diffuse Color")):
        event = stylized(request(source, tmp_path / source.stem, settings(folders["red"], painted_pass=name)))
        assert event.recipe["settings"]["painted_pass"] == "DiffCol"
        assert json.loads(read_exr(event.path).header["pentimento"]) == event.recipe
        results.append(layer(event, "Stylized"))
    assert np.allclose(*results, rtol=2e-3, atol=2e-3)


def test_above_one_a_colour_stays(tmp_path: Path, folders: dict[str, str]) -> None:
    """The clamp of what a style sees takes nothing away: a DiffCol of 3 is painted like one of 1, and 2 are added."""
    source = small_render(tmp_path / "bright.exr", DiffCol=3.0)
    passes = read_passes(source)
    assert worst(paint(source, tmp_path, folders["identity"], painted_pass="DiffCol"), passes["Combined"]) <= 1
    event = stylized(request(source, tmp_path, settings(folders["red"], painted_pass="DiffCol")))
    assert (layer(event, "Stylized DiffCol")[..., 0] > 1).all()


def test_what_is_not_finite_changes_nothing(tmp_path: Path, folders: dict[str, str]) -> None:
    """A firefly that is no number: the pixel stays as it was, its neighbours are painted."""
    spots = np.full((20, 24, 3), 0.5, np.float32)
    spots[3, 4], spots[5, 6], spots[7, 8] = np.nan, np.inf, -np.inf
    for name in ("DiffCol", "DiffDir"):
        source = small_render(tmp_path / f"{name}.exr", **{name: spots})
        before, after = read_passes(source)["Combined"], paint(source, tmp_path, folders["red"], painted_pass=name)
        assert np.isfinite(after).all()
        same = (before == after).all(axis=2)
        assert [tuple(place) for place in np.argwhere(same)] == [(3, 4), (5, 6), (7, 8)]


def small_render(path: Path, dtype: Any = np.float32, **given: Any) -> Path:
    """24 x 20 pixels with the passes of Diffuse, every value .5 but those given"""
    values = {"Combined": 0.5, "DiffCol": 0.5, "DiffDir": 0.5, "DiffInd": 0.5} | given
    layers = [
        ExrLayer.of(f"ViewLayer.{name}", np.broadcast_to(np.asarray(value, dtype), (20, 24, 3)).copy())
        for name, value in values.items()
    ]
    write_exr(path, layers)
    return path


# ---------------------------------------------------------------- with everything else


def test_tiles_give_the_same_bytes(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    chosen = {"painted_pass": "DiffCol", "bands": (1.0, 0.5, 1.5), "colours": "luma", "seed": 3}
    chosen |= {"strength_of": (MatteStrength("Suzanne", 0.4),), "gains": (LightGain("Diffuse", 1.5),)}
    files = [
        Path(stylized(request(five, tmp_path / str(tile), settings(folders["brush"], tile=tile, **chosen))).path)
        for tile in (0, 16, 24)
    ]
    assert len({file.read_bytes() for file in files}) == 1


def test_a_gain_counts_where_the_render_is_put_together(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    """Lights up by half: the style sees the same DiffCol, and it is lit by half as much again."""
    passes, gains = read_passes(five), (LightGain("Diffuse", 1.5), LightGain("Glossy", 0.0))
    event = stylized(request(five, tmp_path, settings(folders["brush"], painted_pass="DiffCol", gains=gains)))
    plain = stylized(request(five, tmp_path, settings(folders["brush"], painted_pass="DiffCol")))
    painted = layer(event, "Stylized DiffCol")
    assert np.array_equal(painted, layer(plain, "Stylized DiffCol"))
    light, gloss = passes["DiffDir"] + passes["DiffInd"], passes["GlossDir"] + passes["GlossInd"]
    expected = passes["Combined"][..., :3] - passes["GlossCol"] * gloss
    expected = expected + 1.5 * light * painted - light * passes["DiffCol"]
    assert np.allclose(layer(event, "Stylized")[..., :3], expected, rtol=1e-4, atol=1e-4)


def test_a_matte_has_soft_edges(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    """Where it covers a pixel by half, the painted pass is half its style and half the pass, as the eye sees it."""
    passes = read_passes(five)
    share = StyleShare(folders["red"], matte="Suzanne")
    chosen = StylizeSettings((share,), painted_pass="DiffCol", device="cpu")
    found = display(layer(stylized(request(five, tmp_path, chosen)), "Stylized DiffCol"))
    cover = matte(passes, "Suzanne")[..., None]
    assert ((cover > 0.05) & (cover < 0.95)).sum() > 20
    expected, full = cover * np.float32((0.8, 0.1, 0.1)) + (1 - cover) * display(passes["DiffCol"]), solid(five)
    assert ((cover > 0.05) & (cover < 0.95))[full].sum() > 10
    assert np.allclose(found[full], expected[full], atol=1e-5)


def test_each_object_has_its_style_and_strength(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    passes = read_passes(five)
    chosen = StylizeSettings(
        (StyleShare(folders["red"], matte="Suzanne"), StyleShare(folders["blue"], matte="Floor")),
        painted_pass="DiffCol",
        strength_of=(MatteStrength("Floor", 0.25),),
        device="cpu",
    )
    found, before = (
        display(layer(stylized(request(five, tmp_path, chosen)), "Stylized DiffCol")),
        display(passes["DiffCol"]),
    )
    monkey, floor = (
        (matte(passes, name, kind) == 1) & solid(five)
        for name, kind in (("Suzanne", "CryptoObject"), ("Floor", "CryptoMaterial"))
    )
    assert monkey.sum() > 20 and floor.sum() > 100
    assert np.allclose(found[monkey], (0.8, 0.1, 0.1), atol=1e-5)
    assert np.allclose(found[floor], 0.25 * np.float32((0.1, 0.2, 0.9)) + 0.75 * before[floor], atol=1e-5)
    elsewhere = (matte(passes, "Suzanne") == 0) & (matte(passes, "Floor", "CryptoMaterial") == 0)
    assert np.allclose(found[elsewhere], before[elsewhere], atol=1e-5)


def display(linear: np.ndarray) -> np.ndarray:
    """The sRGB curve, of values from 0 to 1"""
    values = linear.astype(np.float64)
    return np.where(values < 0.0031308, values * 12.92, 1.055 * np.maximum(values, 1e-9) ** (1 / 2.4) - 0.055)


def test_a_picture_as_a_mask_works_too(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    mask = np.zeros((36, 64), np.uint8)
    mask[:, :32] = 255
    Image.fromarray(mask).save(tmp_path / "left.png")
    passes, share = read_passes(five), StyleShare(folders["red"], matte=str(tmp_path / "left.png"))
    chosen = StylizeSettings((share,), painted_pass="DiffCol", device="cpu")
    found = layer(stylized(request(five, tmp_path, chosen)), "Stylized DiffCol")
    there = solid(five)[:, :32]
    assert np.allclose(found[:, :32][there], decoded((0.8, 0.1, 0.1)), atol=1e-5)
    assert np.allclose(found[:, 32:], passes["DiffCol"][:, 32:], atol=1e-5)


def test_pixels_come_without_a_file(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    chosen = settings(folders["brush"], painted_pass="DiffCol", overlays=("Scale",))
    event = stylized(request(five, tmp_path / "pixels", chosen, deliver="pixels"))
    files = stylized(request(five, tmp_path / "files", chosen))
    assert [found.name for found in event.layers] == ["Stylized", "Stylized.DiffCol", "Attribution.Scale"]
    for found in event.layers[:2]:
        assert found.pixels is not None
        raw = np.fromfile(found.pixels.path, found.pixels.dtype).reshape(found.pixels.shape)
        assert np.array_equal(raw, layer(files, found.name.replace(".", " ")))


# ---------------------------------------------------------------- overlays


def test_overlays_speak_of_the_painted_pass(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    chosen = settings(folders["brush"], painted_pass="Diffuse Color", overlays=("Scale", "Removal"))
    event = stylized(request(five, tmp_path, chosen))
    said = [found.sentence for found in event.layers if found.name.startswith("Attribution.")]
    assert len(said) == 2 and all(sentence.startswith("In DiffCol: ") for sentence in said)
    change = display(layer(event, "Stylized DiffCol")) - display(read_passes(five)["DiffCol"])
    scale, full = read_passes(event.path)["Attribution Scale"].sum(axis=2), solid(five)
    assert np.allclose(scale[full], np.sqrt((change**2).sum(axis=2))[full], atol=1e-4)
    explained = ExplainRequest("job", PictureSource("five", str(five)), chosen, str(tmp_path))
    (answer,) = [found for found in explain(explained) if hasattr(found, "beneath")]
    assert [found.sentence for found in answer.layers] == said
    assert answer.recipe["settings"]["painted_pass"] == "DiffCol"


def test_passes_are_not_asked_where_one_is_painted(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    chosen = settings(folders["brush"], painted_pass="DiffCol", overlays=("Passes",))
    with pytest.raises(EngineError, match="only DiffCol is painted") as caught:
        list(explain(ExplainRequest("job", PictureSource("five", str(five)), chosen, str(tmp_path))))
    assert "paint Combined" in caught.value.fix


# ---------------------------------------------------------------- what cannot be


def test_what_is_missing_is_named_with_its_switch(shared: Path, folders: dict[str, str], tmp_path: Path) -> None:
    frame = shared / "sequences/native/walk_0008_native.exr"
    for name, missing, switch in (
        ("DiffCol", "DiffDir, DiffInd", "Light > Diffuse: Direct, Light > Diffuse: Indirect in"),
        ("Emit", "Emit", "Light > Other: Emission in"),
        ("Glossy Direct", "GlossCol, GlossDir, GlossInd", "Light > Glossy: Color"),
    ):
        with pytest.raises(EngineError, match=f"no pass {missing}") as caught:
            paint(frame, tmp_path, folders["identity"], painted_pass=name)
        assert switch in caught.value.fix and "View Layer Properties > Passes" in caught.value.fix


def test_a_pass_that_combined_is_not_made_of_is_refused(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    for name in ("Normal", "Depth", "diffcol", "", "CryptoObject00"):
        with pytest.raises(EngineError, match="cannot be painted") as caught:
            paint(five, tmp_path, folders["identity"], painted_pass=name)
        assert "DiffCol" in caught.value.fix and "Combined" in caught.value.fix


def test_a_picture_without_passes_is_refused(folders: dict[str, str], tmp_path: Path) -> None:
    Image.new("RGB", (32, 24)).save(tmp_path / "photo.png")
    with pytest.raises(EngineError, match="has no passes, so DiffCol cannot be painted") as caught:
        paint(tmp_path / "photo.png", tmp_path, folders["identity"], painted_pass="DiffCol")
    assert "MultiLayer" in caught.value.fix
    assert paint_combined(tmp_path, folders).layers[0].name == "Stylized"


def paint_combined(folder: Path, folders: dict[str, str]) -> Stylized:
    return stylized(request(folder / "photo.png", folder, settings(folders["identity"], painted_pass="Combined")))


def test_a_pass_without_colours_is_refused(folders: dict[str, str], tmp_path: Path) -> None:
    source = small_render(tmp_path / "grey.exr")
    layers = [found for name, found in read_exr(source).layers.items() if "DiffCol" not in name]
    write_exr(source, [*layers, ExrLayer("ViewLayer.DiffCol", {"X": np.ones((20, 24), np.float32)})])
    with pytest.raises(EngineError, match=r"DiffCol of .* has no colours"):
        paint(source, tmp_path, folders["identity"], painted_pass="DiffCol")


def test_nothing_is_left_of_what_failed(five: Path, folders: dict[str, str], tmp_path: Path) -> None:
    """Cancelled in the middle"""
    job = stylize(request(five, tmp_path / "out", settings(folders["brush"], painted_pass="DiffCol", tile=16)))
    for event in job:
        if "Painting" in getattr(event, "stage", ""):
            break
    job.close()
    assert not list((tmp_path / "out").iterdir())


# ---------------------------------------------------------------- the command line


def test_from_the_command_line(five: Path, folders: dict[str, str], tmp_path: Path, capsys: Any) -> None:
    look = ["--style", folders["red"], "--out", str(tmp_path), "--device", "cpu"]
    assert cli.main(["stylize", str(five), "--pass", "Diffuse Color", *look]) == 0
    (result,) = tmp_path.glob("*.exr")
    assert "Stylized DiffCol" in read_passes(result)
    assert cli.main(["stylize", str(five), "--pass", "Mist", *look]) == 1
    assert "Choose among: Combined, DiffCol" in capsys.readouterr().err


def test_weights_are_those_of_the_sum(five: Path) -> None:
    """Combined is what each of its passes weighs, each of its terms counted once: colour times weight."""
    passes = read_passes(five)
    total = np.zeros((passes.height, passes.width, 3), np.float32)
    for colour, lights in TERMS:
        for name in (colour,) if colour else lights:
            total += weight(passes, name) * passes[name]
    assert np.allclose(total, passes["Combined"][..., :3], rtol=1e-4, atol=1e-4)
    assert all(canonical(name) == name for name in COLOURS)
