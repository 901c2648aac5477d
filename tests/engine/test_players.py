"""Attribution.Passes and .Objects on renders whose answer is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_styles

from engine import outputs
from engine.errors import EngineError
from engine.explain.display import Beneath
from engine.explain.overlay import Overlay
from engine.explanation import explain
from engine.exr import ExrLayer, read_exr, write_exr
from engine.passes import name_hash
from engine.protocol import Certificate, Explained, ExplainRequest, PictureSource, Region, StyleShare, StylizeSettings

HEIGHT, WIDTH = 32, 48


def layer(name: str, *colour: float, where: slice = slice(None)) -> ExrLayer:
    plane = np.zeros((HEIGHT, WIDTH, len(colour)), np.float32)
    plane[:, where] = colour
    return ExrLayer.of(f"ViewLayer.{name}", plane)


def render(path: Path) -> None:
    """Left a matt wall, right a lamp that shines by itself; two objects in a Cryptomatte."""
    left, right = slice(0, 24), slice(24, None)
    combined = (
        layer("Combined", 0.2, 0.2, 0.2, where=left).pixels() + layer("Combined", 0.5, 0.5, 0.5, where=right).pixels()
    )
    ids = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    for name, where in (("Wall", left), ("Lamp", right)):
        ids[:, where, 0] = np.array([name_hash(name)], np.uint32).view(np.float32)[0]
        ids[:, where, 1] = 1
    crypto = {channel: ids[..., n] for n, channel in enumerate("RGBA")}
    manifest = json.dumps({name: f"{name_hash(name):08x}" for name in ("Wall", "Lamp", "Hidden")})
    key = "cryptomatte/1234567"
    header = {f"{key}/name": "ViewLayer.CryptoObject", f"{key}/manifest": manifest}
    header |= {f"{key}/hash": "MurmurHash3_32", f"{key}/conversion": "uint32_to_float32"}
    layers = [
        ExrLayer.of("ViewLayer.Combined", combined),
        layer("DiffCol", 0.4, 0.4, 0.4, where=left),
        layer("DiffDir", 0.5, 0.5, 0.5, where=left),
        layer("DiffInd", 0.0, 0.0, 0.0),
        layer("Emit", 0.5, 0.5, 0.5, where=right),
        ExrLayer("ViewLayer.CryptoObject00", crypto),
    ]
    write_exr(path, layers, header)


@pytest.fixture
def asked(tmp_path: Path) -> ExplainRequest:
    pack = tiny_styles.identity(tmp_path / "identity")
    render(tmp_path / "frame.exr")
    settings = StylizeSettings((StyleShare(str(pack)),), overlays=("Passes",), device="cpu")
    return ExplainRequest("job", PictureSource("frame", str(tmp_path / "frame.exr")), settings, str(tmp_path / "why"))


def explained(request: ExplainRequest) -> Explained:
    (found,) = [event for event in explain(request) if isinstance(event, Explained)]
    return found


def plane(found: Explained, name: str) -> np.ndarray:
    (values,) = read_exr(found.path).layers[name].planes.values()
    return values


def test_each_light_gets_what_it_gives(asked: ExplainRequest) -> None:
    found = explained(asked)
    told, _ = found.layers
    assert [layer.name for layer in found.layers] == ["Attribution.Passes.Diffuse", "Attribution.Passes.Emission"]
    diffuse, emission = (plane(found, name) for name in ("Attribution Passes Diffuse", "Attribution Passes Emission"))
    assert told.certificate is not None and Path(found.path).with_name("frame_explained_passes-diffuse.png").exists()
    srgb = [1.055 * value ** (1 / 2.4) - 0.055 for value in (0.2, 0.5)]
    assert np.allclose(diffuse[:, :24], srgb[0], atol=1e-3) and np.allclose(diffuse[:, 24:], 0, atol=1e-6)
    assert np.allclose(emission[:, 24:], srgb[1], atol=1e-3) and np.allclose(emission[:, :24], 0, atol=1e-6)
    assert told.certificate.faithful, told.certificate


def test_a_region_asks_for_its_own_light_alone(asked: ExplainRequest) -> None:
    told, _ = explained(replace(asked, region=Region(box=(30, 4, 40, 12)))).layers
    assert told.sentence == "This area is 73.5 % of white lighter than without any of them: Emission +73.5."


def test_objects_share_what_they_cover(asked: ExplainRequest, tmp_path: Path) -> None:
    """What covers the area is what it is made of: blurred away the lamp takes some of the wall's grey."""
    objects = replace(asked, settings=replace(asked.settings, overlays=("Objects",)), region=Region(at=(40, 10)))
    found = explained(objects)
    assert {layer.channels[0] for layer in found.layers} == {"Lamp", "everything else"}  # the wall is out of reach
    lamp, rest = (plane(found, f"Attribution Objects {name}")[10, 40] for name in ("Lamp", "everything else"))
    assert abs(lamp) > 0.01 and rest == 0
    certificate = found.layers[0].certificate
    assert certificate is not None and certificate.checks[0].passed  # exact, whatever else holds


def test_a_light_without_its_colour_says_which_pass_is_missing(asked: ExplainRequest, tmp_path: Path) -> None:
    layers = list(read_exr(tmp_path / "frame.exr").layers.values())
    write_exr(tmp_path / "frame.exr", [*layers, layer("GlossDir", 0.1, 0.1, 0.1)])
    with pytest.raises(EngineError, match="has no pass GlossCol"):
        list(explain(asked))


def test_a_question_that_cannot_be_answered_is_refused_before_the_others_are(asked: ExplainRequest) -> None:
    both = replace(asked, settings=replace(asked.settings, overlays=("Scale", "Influence")))
    with pytest.raises(EngineError, match="does not bring its gradients"):
        list(explain(both))
    assert not Path(asked.folder).exists()


def test_objects_that_are_called_alike_become_layers_of_their_own(tmp_path: Path) -> None:
    pixels = np.zeros((4, 5, 2), np.float32)
    both = Overlay("Attribution.Objects", ("Cube.001", "Cube 001"), pixels, "", (-1, 1), Certificate(()), True)
    request = ExplainRequest("job", PictureSource("a"), StylizeSettings(()), str(tmp_path))
    layers, _ = outputs.explained(request, both.layers(), Beneath(np.zeros((4, 5, 3), np.float32)), {})
    assert len(layers) == 2 and len(read_exr(layers[0].path).layers) == 2


def test_a_picture_without_passes_says_what_to_do(asked: ExplainRequest, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (48, 32), (90, 90, 90)).save(tmp_path / "plain.png")
    plain = replace(asked, source=PictureSource("plain", str(tmp_path / "plain.png")))
    with pytest.raises(EngineError, match="has no passes") as caught:
        list(explain(plain))
    assert "OpenEXR" in caught.value.fix
    write_exr(tmp_path / "bare.exr", [layer("Combined", 0.2, 0.2, 0.2)])
    with pytest.raises(EngineError, match="DiffCol"):
        list(explain(replace(asked, source=PictureSource("bare", str(tmp_path / "bare.exr")))))
