"""The explain job and its command: regions, answers before certificates, files that hold what was computed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_styles
from PIL import Image

from engine import cli, mixing
from engine.errors import EngineError
from engine.explanation import explain
from engine.files import read_exr
from engine.outputs import LAYERS, RECIPE
from engine.protocol import (
    Answered,
    Done,
    Explained,
    ExplainRequest,
    PictureSource,
    Progress,
    Region,
    StyleShare,
    StylizeSettings,
    from_line,
    to_line,
)
from engine.runtime import tiles


@pytest.fixture
def asked(tmp_path: Path) -> ExplainRequest:
    """Influence on the middle of a picture of grain, by a blur whose answer is known"""
    pack = tiny_styles.explained(tiny_styles.blur(tmp_path / "blur"))
    grain = np.random.default_rng(0).integers(60, 200, (40, 60, 3), np.uint8)
    Image.fromarray(grain).save(tmp_path / "grain.png")
    settings = StylizeSettings((StyleShare(str(pack)),), overlays=("Influence",), device="cpu")
    source = PictureSource("grain", str(tmp_path / "grain.png"))
    return ExplainRequest("job", source, settings, str(tmp_path / "why"), Region(at=(30, 20)))


def explained(request: ExplainRequest) -> Explained:
    events = list(explain(request))
    assert isinstance(events[-1], Done)
    (found,) = [event for event in events if isinstance(event, Explained)]
    return found


def pixels(found: Explained, name: str) -> np.ndarray:
    """A layer's floats (H, W) as they lie in the file; Blender would not read a dot in its name."""
    layer = read_exr(found.path).layers[name]
    (plane,) = layer.planes.values()
    return plane


def test_the_answer_comes_before_its_certificate_and_both_are_in_the_file(asked: ExplainRequest) -> None:
    events = list(explain(asked))
    kinds = [type(event) for event in events]
    assert kinds.index(Answered) < kinds.index(Explained)
    (answer,) = [event for event in events if isinstance(event, Answered)]
    (found,) = [event for event in events if isinstance(event, Explained)]
    (layer,) = found.layers
    assert answer.sentence == layer.sentence and layer.certificate is not None and layer.certificate.checks
    header = read_exr(found.path).header
    meaning = json.loads(header[LAYERS])["Attribution.Influence"]
    assert [check[1] for check in meaning["checks"]] == [check.name for check in layer.certificate.checks]
    recipe = json.loads(header[RECIPE])
    assert recipe["region"] == {"at": [30, 20]} and recipe["settings"]["overlays"] == ["Influence"]
    assert str(Path(asked.folder).parent) not in json.dumps(recipe)
    assert Path(found.path).with_name("grain_explained_influence.png").exists()


def test_floats_in_the_file_are_those_of_the_kernel(asked: ExplainRequest) -> None:
    """B8 and B2 in one: what is written is what was computed, and that is known."""
    plane = pixels(explained(asked), "Attribution Influence")
    wanted = np.zeros((40, 60), np.float32)
    wanted[18:23, 28:33] = 1 / 25
    assert plane.dtype == np.float32 and np.allclose(plane, wanted, atol=1e-6)


def test_a_box_is_from_its_first_pixel_to_behind_its_last(asked: ExplainRequest) -> None:
    plane = pixels(explained(replace(asked, region=Region(box=(30, 20, 34, 22)))), "Attribution Influence")
    seen = np.argwhere(plane > 1e-6)
    assert seen.min(0).tolist() == [18, 28] and seen.max(0).tolist() == [23, 35]
    assert plane.sum() == pytest.approx(8, rel=1e-4)  # every pixel of the box is a mean of what it sees


def test_an_object_may_be_a_matte_beside_the_picture(asked: ExplainRequest, tmp_path: Path) -> None:
    matte = np.zeros((40, 60), np.uint8)
    matte[20:22, 30:34] = 255
    matte[5, 5] = 90  # covered by less than half
    Image.fromarray(matte).save(tmp_path / "vase.png")
    found = explained(replace(asked, region=Region(object=str(tmp_path / "vase.png"))))
    boxed = explained(replace(asked, region=Region(box=(30, 20, 34, 22))))
    assert np.array_equal(pixels(found, "Attribution Influence"), pixels(boxed, "Attribution Influence"))
    assert found.recipe["region"]["object"] == "vase.png" or "vase" in found.recipe["region"]["object"]


def test_the_size_is_that_in_which_the_style_sees_the_picture(asked: ExplainRequest) -> None:
    found = explained(replace(asked, settings=replace(asked.settings, stroke=2.0)))
    plane = pixels(found, "Attribution Influence")
    assert plane.shape == (20, 30) and found.recipe["overlay_size"] == [30, 20]
    assert np.argwhere(plane > 1e-6).mean(0).tolist() == [10, 15]


def test_several_overlays_come_in_one_file(asked: ExplainRequest) -> None:
    found = explained(replace(asked, settings=replace(asked.settings, overlays=("Scale", "Removal", "Influence"))))
    assert [layer.name.rpartition(".")[2] for layer in found.layers] == ["Scale", "Removal", "Influence"]
    assert set(read_exr(found.path).layers) == {f"Attribution {name}" for name in ("Scale", "Removal", "Influence")}


def test_the_result_that_overlays_look_at_is_painted_in_steps_that_are_told(
    asked: ExplainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker looks for a cancel between two events."""
    monkeypatch.setattr(mixing, "tiles", lambda height, width, *_: tiles(height, width, 20))
    request = replace(asked, settings=replace(asked.settings, overlays=("Scale", "Influence")))
    said = [event for event in explain(request) if isinstance(event, Progress)]
    painting = [event for event in said if event.stage == "Painting the result"]
    assert len(painting) == 2 * 3
    fractions = [event.fraction for event in said]
    assert fractions == sorted(fractions) and fractions[-1] <= 1


def test_a_report_says_what_the_file_says(asked: ExplainRequest) -> None:
    """For those who read no EXR"""
    found = explained(replace(asked, settings=replace(asked.settings, overlays=("Scale", "Influence"))))
    report = json.loads(Path(found.path.replace("_explained.exr", "_explained_report.json")).read_text())
    header = read_exr(found.path).header
    assert report == {"recipe": json.loads(header[RECIPE]), "overlays": json.loads(header[LAYERS])}
    influence = report["overlays"]["Attribution.Influence"]
    assert influence["checks"] and influence["sentence"] == found.layers[1].sentence


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (Region(at=(60, 10)), "60,10 is not inside the picture (60 x 40)"),
        (Region(at=(-1, 10)), "-1,10 is not inside"),
        (Region(box=(10, 10, 10, 20)), "10,10,10,20 is not inside"),
        (Region(box=(10, 10, 61, 20)), "10,10,61,20 is not inside"),
        (Region(at=(1, 1), box=(1, 1, 2, 2)), "More than one region"),
        (Region(object="Vase"), "has no Cryptomatte"),
    ],
)
def test_a_region_that_is_none_is_refused(asked: ExplainRequest, region: Region, said: str) -> None:
    refused(replace(asked, region=region), said)


def test_what_cannot_be_asked_is_refused(asked: ExplainRequest, tmp_path: Path) -> None:
    for overlays, said in (((), "Nothing is asked"), (("Horoscope",), "no overlay 'Horoscope'")):
        refused(replace(asked, settings=replace(asked.settings, overlays=overlays)), said)
    plain = StyleShare(str(tiny_styles.blur(tmp_path / "plain")))
    refused(replace(asked, settings=replace(asked.settings, styles=(plain,))), "does not bring its gradients")
    Image.new("L", (60, 40)).save(tmp_path / "black.png")
    refused(replace(asked, region=Region(object=str(tmp_path / "black.png"))), "covers no pixel")
    Image.new("RGB", (12, 40)).save(tmp_path / "tiny.png")
    refused(replace(asked, source=PictureSource("tiny", str(tmp_path / "tiny.png"))), "too small to be explained")


def test_likeness_is_asked_of_one_style_in_its_own_colours(asked: ExplainRequest) -> None:
    one, other = StyleShare("Starry Night"), StyleShare("Wheat Field")
    settings = replace(asked.settings, styles=(one,), overlays=("Provenance",))
    refused(replace(asked, settings=replace(settings, colours="luma")), "are not the style's own")
    refused(replace(asked, settings=replace(settings, palette="Wheat Field")), "are not the style's own")
    refused(replace(asked, settings=replace(settings, styles=(one, other))), "this is a mix")
    refused(replace(asked, settings=replace(settings, styles=asked.settings.styles)), "its style picture")
    unlike = replace(settings, styles=asked.settings.styles, overlays=("StyleFit",))
    refused(replace(asked, settings=unlike), "does not say what it looks like")


def refused(request: ExplainRequest, said: str) -> None:
    with pytest.raises(EngineError) as caught:
        list(explain(request))
    assert said in caught.value.message and caught.value.fix
    assert not Path(request.folder).exists()


def test_a_request_comes_back_from_its_line(asked: ExplainRequest) -> None:
    for region in (Region(), Region(at=(1, 2)), Region(box=(1, 2, 3, 4)), Region(object="Vase")):
        assert from_line(to_line(replace(asked, region=region))) == replace(asked, region=region)


def test_the_command(asked: ExplainRequest, capsys: pytest.CaptureFixture[str]) -> None:
    look = ["--style", asked.settings.styles[0].style, "--device", "cpu", "--out", asked.folder]
    command = ["explain", asked.source.path, *look, "--overlay", "Influence"]
    assert cli.main([*command, "--at", "30,20"]) == 0
    said = capsys.readouterr().out
    assert "being checked" in said and "further than 2 pixels" in said and "grain_explained.exr" in said
    assert cli.main([*command, "--box", "30,20,34,22", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines if line["type"] != "Progress"] == ["Answered", "Explained", "Done"]


@pytest.mark.parametrize(
    "wrong", [["--at", "30"], ["--at", "a,b"], ["--box", "1,2,3"], ["--at", "1,1", "--object", "A"]]
)
def test_a_region_that_cannot_be_read_is_wrong_usage(asked: ExplainRequest, wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["explain", "a.png", "--style", "A", "--overlay", "Scale", "--out", "o", *wrong])


def test_pixels_are_the_floats_of_the_file_with_a_legend_and_what_they_lie_over(asked: ExplainRequest) -> None:
    filed = explained(asked)
    found = explained(replace(asked, deliver="pixels"))
    (layer,) = found.layers
    assert found.path == layer.path == "" and layer.pixels is not None and layer.legend is not None
    floats = np.fromfile(layer.pixels.path, layer.pixels.dtype).reshape(layer.pixels.shape)
    assert np.array_equal(floats[..., 0], pixels(filed, "Attribution Influence"))
    assert layer.legend.shape[1:] == (480, 3) and layer.legend.dtype == "uint8"
    assert found.beneath is not None and found.beneath.pixels is not None and filed.beneath is None
    under = np.fromfile(found.beneath.pixels.path, np.uint8).reshape(found.beneath.pixels.shape)
    assert np.array_equal(under[..., :3], np.asarray(Image.open(asked.source.path)))
    assert np.argwhere(under[..., 3] == 255).tolist() == [[20, 30]]
    assert from_line(to_line(found)).beneath == found.beneath  # recipes hold tuples, which JSON has not


def test_an_unknown_delivery_is_refused(asked: ExplainRequest) -> None:
    with pytest.raises(EngineError, match="delivered as 'pigeon'"):
        list(explain(replace(asked, deliver="pigeon")))
