"""Half precision beside full: exported with its error, verified like every file, and never on the processor."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from engine import onnx_graph, onnx_growth, onnx_weights, style_pack
from engine.canvas import ArrayCanvas
from engine.errors import EngineError
from engine.runtime import Paint, Session, generator_file, painted
from engine.style_pack import GENERATOR, HALF, MANIFEST, ModelInput, StylePack, new_pack, write_pack
from engine.training.export import (
    HalfPrecision,
    fed,
    half_error,
    half_precision,
    half_storage,
    model_spec,
    onnx_bytes,
    parity,
    without_weights,
)
from engine.training.networks import STRIDE, Generator, GeneratorConfig

TINY = GeneratorConfig(width=8, blocks=1, dilations=(1,), noise=2, half=8, full=8)


def generator(seed: int = 0, config: GeneratorConfig = TINY) -> Generator:
    torch.manual_seed(seed)
    return Generator(config).eval()


def contents(count: int = 2) -> list[Tensor]:
    """Smooth pictures (3, 50, 70), of no multiple of the stride."""
    coarse = torch.rand(count, 3, 8, 10, generator=torch.Generator().manual_seed(3))
    return list(torch.nn.functional.interpolate(coarse, (50, 70), mode="bilinear"))


def examples(network: Generator) -> list[tuple[Tensor, ...]]:
    return [fed(network, content, None) for content in contents()]


def pack(folder: Path, network: Generator, half: bytes) -> Path:
    """A style pack of an untrained network with its model in half precision."""
    spec = model_spec(network, ModelInput(TINY.noise, scale=4), HALF)
    return write_pack(folder, new_pack("Tiny", spec), {GENERATOR: onnx_bytes(network), HALF: half}).source


@pytest.fixture
def halved(tmp_path: Path) -> Path:
    """As an export writes it."""
    network = generator().half().float()
    stored = half_storage(onnx_bytes(network))
    half = without_weights(onnx_bytes(HalfPrecision(network)), stored)
    spec = model_spec(network, ModelInput(TINY.noise, scale=4), HALF)
    return write_pack(tmp_path / "tiny", new_pack("Tiny", spec), {GENERATOR: stored, HALF: half}).source


def test_weights_stored_in_half_precision_change_nothing_else() -> None:
    """Half the size; the file is judged to cost what it did, and computes what rounded weights compute."""
    network = generator(config=GeneratorConfig())
    data = onnx_bytes(network)
    stored = half_storage(data)
    assert len(stored) < 0.53 * len(data)
    small, full = (onnx_growth.measure(onnx_graph.inspect(d), {"noise": STRIDE}) for d in (stored, data))
    assert small == full and full.macs > 0
    assert parity(network.half().float(), stored) < 1e-5


def test_the_error_is_within_its_bars_and_the_file_half_as_large() -> None:
    network = generator(config=GeneratorConfig())
    data, error = half_precision(network, examples(network))
    assert 0 < error["mean"] < 0.1 / 255 and error["mean"] < error["largest"] < 1 / 255
    assert "left_out" not in error
    assert len(data) < 0.52 * len(onnx_bytes(network)) < 420_000
    graph = onnx.load_from_string(data).graph
    assert {tensor.data_type for tensor in graph.initializer} == {onnx.TensorProto.FLOAT16}
    ends = {tensor.type.tensor_type.elem_type for tensor in (*graph.input, *graph.output)}
    assert ends == {onnx.TensorProto.FLOAT}


def test_rounded_results_are_those_of_torchs_own_half_arithmetic() -> None:
    """The measure of the error against what really computes in half, which is too slow for an export."""
    network, picture = generator(), contents(1)[0][:, :24, :32]
    noise = torch.zeros(1, 2, 6, 8)
    largest, _ = half_error(network, onnx_bytes(HalfPrecision(network)), [(picture[None], noise)])
    with torch.no_grad():
        ours, theirs = network(picture[None], noise), HalfPrecision(network)(picture[None], noise)
    assert largest == pytest.approx(float((ours.clamp(0, 1) - theirs.clamp(0, 1)).abs().max()), rel=0.5)


def test_weights_that_are_alike_are_found_one_by_one() -> None:
    network = generator()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.mul_(not name.endswith("bias"))
    data = onnx_bytes(network)
    assert onnx_graph.inspect(onnx_weights.with_weights(without_weights(data, data), data)) == onnx_graph.inspect(data)
    other = onnx_bytes(generator(1))
    assert without_weights(other, half_storage(data)) == onnx.load_from_string(other).SerializeToString()


def test_a_network_too_coarse_for_half_precision_goes_without() -> None:
    network = generator()
    with torch.no_grad():  # a bright offset and its opposite: what is left between them drowns in rounding
        network.to_full.bias += 300
        network.leave.bias -= network.leave.weight.sum((1, 2, 3)) * 300
    data, error = half_precision(network, examples(network))
    assert data == b"" and error["largest"] > 1 / 255 and "larger" in error["left_out"]


def test_another_file_shows_in_the_error() -> None:
    network = generator()
    largest, mean = half_error(network, onnx_bytes(HalfPrecision(generator(1))), examples(network)[:1])
    assert largest > 1 / 255 and mean > 0.1 / 255


def test_a_pack_names_it_and_it_belongs_to_the_look(halved: Path, tmp_path: Path) -> None:
    found = style_pack.load(halved)
    assert found.model.half == HALF and HALF in found.files
    again = style_pack.import_style(style_pack.export_style(found, tmp_path / "tiny.zip"), tmp_path / "styles")
    assert again.hash == found.hash and again.read(HALF) == found.read(HALF)
    plain = write_pack(
        tmp_path / "plain", replace(found, model=replace(found.model, half="")), {GENERATOR: found.read(GENERATOR)}
    )
    assert plain.hash != found.hash and "half" not in json.loads((plain.source / MANIFEST).read_text())["model"]


def test_only_cuda_runs_it_and_only_where_full_was_not_asked_for(halved: Path) -> None:
    spec = style_pack.load(halved).model
    assert generator_file(spec, "cuda") == HALF
    assert generator_file(spec, "cuda", "full") == GENERATOR
    assert generator_file(spec, "cpu") == generator_file(spec, "cpu", "full") == GENERATOR
    assert generator_file(replace(spec, half=""), "cuda") == GENERATOR


def test_the_processor_gives_the_same_bits_with_and_without_it(halved: Path, tmp_path: Path) -> None:
    found = style_pack.load(halved)
    bare = replace(found, model=replace(found.model, half=""))
    plain = write_pack(tmp_path / "plain", bare, {GENERATOR: found.read(GENERATOR)})
    source = ArrayCanvas(contents(1)[0].numpy())
    sessions = [Session(style, "cpu") for style in (found, plain)]
    one, two = (painted(session, source, Paint(3)).read(0, 0, 50, 70) for session in sessions)
    np.testing.assert_array_equal(one, two)
    assert [session.precision for session in sessions] == ["full", "full"]


def test_an_unknown_precision_is_an_error(halved: Path) -> None:
    with pytest.raises(EngineError, match="quarter"):
        Session(style_pack.load(halved), "cpu", precision="quarter")


# ---------------------------------------------------------------- files that do not fit


def refused(make: object, *words: str) -> None:
    with pytest.raises(EngineError) as caught:
        make() if callable(make) else style_pack.load(str(make))
    assert caught.value.fix and all(word in caught.value.message for word in words), caught.value.message


@pytest.mark.parametrize("value", ["elsewhere.onnx", GENERATOR, 7, "x" * 65])
def test_a_wrong_entry_is_refused(halved: Path, value: object) -> None:
    data = json.loads((halved / MANIFEST).read_text())
    data["model"]["half"] = value
    (halved / MANIFEST).write_text(json.dumps(data))
    refused(halved, "half")


@pytest.mark.parametrize("field", ["file", "half"])
def test_a_network_in_a_file_of_another_kind_is_refused(halved: Path, field: str) -> None:
    data = json.loads((halved / MANIFEST).read_text())
    data["model"][field] = "preview.png"
    (halved / MANIFEST).write_text(json.dumps(data))
    refused(halved, "model")


def test_a_changed_file_is_refused(halved: Path) -> None:
    (halved / HALF).write_bytes(onnx_bytes(HalfPrecision(generator(1))))
    refused(halved, HALF, "changed")


@pytest.mark.parametrize("config", [replace(TINY, width=16), replace(TINY, dilations=(2,)), replace(TINY, blocks=0)])
def test_another_network_is_refused(tmp_path: Path, config: GeneratorConfig) -> None:
    other = onnx_bytes(HalfPrecision(generator(config=config)))
    refused(lambda: pack(tmp_path / "tiny", generator(), other), "half precision")
    assert not (tmp_path / "tiny").exists()


def test_a_hostile_file_is_refused_like_any_other(tmp_path: Path) -> None:
    model = onnx.load_from_string(onnx_bytes(HalfPrecision(generator())))
    model.graph.node[0].domain = "strangers"
    refused(lambda: pack(tmp_path / "a", generator(), model.SerializeToString()), "strangers")
    model.graph.node[0].domain = ""
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    refused(lambda: pack(tmp_path / "b", generator(), model.SerializeToString()), "another file")
    refused(lambda: pack(tmp_path / "c", generator(), b"no model"))


def test_half_inputs_are_refused(tmp_path: Path) -> None:
    """Pixels go in and come out as float32, whatever is computed in between."""
    model = onnx.load_from_string(onnx_bytes(HalfPrecision(generator())))
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    refused(lambda: pack(tmp_path / "a", generator(), model.SerializeToString()), "not a float picture")


def test_the_file_runs_in_onnxruntime(halved: Path) -> None:
    found: StylePack = style_pack.load(halved)
    whole = found.network(HALF)
    assert onnx_graph.inspect(whole).parameters == onnx_graph.inspect(found.read(GENERATOR)).parameters
    (result,) = run(whole)
    assert result.shape == (1, 3, 36, 20) and result.dtype == np.float32
    assert np.array_equal(result, run(onnx_bytes(HalfPrecision(generator().half().float())))[0])


def run(model: bytes) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).random((1, 3, 36, 20), np.float32)
    made: list[np.ndarray] = session.run(None, {"image": image, "noise": np.ones((1, 2, 9, 5), np.float32)})
    return made


# ---------------------------------------------------------------- weights that are kept once


def test_a_file_without_weights_is_a_few_kilobytes_and_whole_again_with_them(halved: Path) -> None:
    found = style_pack.load(halved)
    bare, whole = found.read(HALF), found.network(HALF)
    assert not onnx.load_from_string(bare).graph.initializer and len(bare) < 8000 < len(whole)
    onnx.checker.check_model(whole)
    assert onnx_weights.with_weights(whole, found.read(GENERATOR)) == whole
    merged = onnx.load_from_string(whole)
    kept, original = merged.graph.initializer, onnx.load_from_string(found.read(GENERATOR)).graph.initializer
    assert {weight.name: weight for weight in kept} == {weight.name: weight for weight in original}
    del merged.graph.initializer[:]
    assert merged == onnx.load_from_string(bare)  # nothing else is added or lost


def test_a_weight_that_nobody_has_is_refused(halved: Path) -> None:
    found = style_pack.load(halved)
    model = onnx.load_from_string(found.read(HALF))
    model.graph.node[-1].input[0] = "nowhere"
    with pytest.raises(EngineError, match="lacks the weight 'nowhere'"):
        onnx_weights.with_weights(model.SerializeToString(), found.read(GENERATOR))


@pytest.mark.parametrize("broken", [b"", b"no model", b"\x3a\x7f\x00", b"\x3a\x00\x3a\x00"])
def test_bytes_that_are_no_model_are_refused(halved: Path, broken: bytes) -> None:
    with pytest.raises(EngineError):
        onnx_weights.with_weights(broken, style_pack.load(halved).read(GENERATOR))
