"""Gradients as ONNX graphs, against torch's own and against what happens when a pixel is moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_styles
import torch
from onnx import TensorProto, helper, numpy_helper

from engine import onnx_graph
from engine.errors import EngineError
from engine.style_pack import GRADIENT, REGION
from engine.training.export import half_storage, onnx_bytes
from engine.training.gradient_graph import with_gradient
from engine.training.networks import GeneratorConfig, receptive_radius

SHAPES = {
    "separable": GeneratorConfig(width=16, blocks=2, dilations=(1, 2), noise=2, half=8, full=8),
    "dense": GeneratorConfig("dense", width=8, blocks=2, dilations=(1, 4), noise=2, half=8, full=8),
    "skip": GeneratorConfig("dense", width=8, blocks=1, dilations=(1,), noise=2, half=8, full=8, skip=True),
    "guided": GeneratorConfig("dense", 8, 1, (1,), 2, 8, 8, skip=True, guides=("normal", "depth")),
}
SIZES = ((64, 64), (100, 172), (36, 16))


def session(model: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_torchs_gradient_at_any_size(shape: str) -> None:
    """B7: one graph at three sizes, relative to the largest gradient."""
    config, network = SHAPES[shape], tiny_styles.lively(SHAPES[shape])
    told = [name for name in config.inputs if name != "noise"]
    model = with_gradient(half_storage(onnx_bytes(network)), told)
    onnx.checker.check_model(model)
    run = session(model)
    for height, width in SIZES:
        random = torch.Generator().manual_seed(height)
        fed = [value.requires_grad_() for value in config.example(height, width, random)]
        region = torch.randn(1, 3, height, width, generator=random)
        result = network(*fed)
        (result * region).sum().backward()  # type: ignore[no-untyped-call]
        feeds = {name: value.detach().numpy() for name, value in zip(config.inputs, fed, strict=True)}
        painted, *gradients = run.run(
            ["stylized", *(GRADIENT + name for name in told)], {**feeds, REGION: region.numpy()}
        )
        assert np.abs(painted - result.detach().numpy()).max() < 1e-4
        for name, ours in zip(told, gradients, strict=True):
            wanted = fed[config.inputs.index(name)].grad
            assert wanted is not None and ours.shape == tuple(wanted.shape)
            # Where a unit is all but 0, one may see it rising and the other falling, and what it sees counts otherwise:
            # the few values around it differ, and by little.
            off = np.abs(ours - wanted.numpy()) / float(wanted.abs().max())
            assert np.quantile(off, 0.95) <= 1e-5 and off.max() <= 0.02


def test_nothing_outside_the_receptive_field_counts_at_all() -> None:
    config = SHAPES["separable"]
    reach, run = receptive_radius(config), session(with_gradient(onnx_bytes(tiny_styles.lively(config)), ["image"]))
    edge, place = 2 * reach + 120, reach + 61
    image, noise = config.example(edge, edge, torch.Generator().manual_seed(2))
    region = np.zeros((1, 3, edge, edge), np.float32)
    region[0, 1, place, place] = 1
    (gradient,) = run.run([GRADIENT + "image"], {"image": image.numpy(), "noise": noise.numpy(), REGION: region})
    outside = np.abs(np.arange(edge) - place) > reach
    assert not gradient[:, :, outside].any() and not gradient[:, :, :, outside].any()
    assert gradient[:, :, place - 3 : place + 4, place - 3 : place + 4].all()


def test_it_foretells_what_moving_a_pixel_does() -> None:
    config = SHAPES["dense"]
    run = session(with_gradient(onnx_bytes(tiny_styles.lively(config)), ["image"]))
    image, noise = (value.numpy() for value in config.example(32, 32, torch.Generator().manual_seed(3)))
    region = np.ones((1, 3, 32, 32), np.float32)
    result, gradient = run.run(["stylized", GRADIENT + "image"], {"image": image, "noise": noise, REGION: region})
    step = np.random.default_rng(0).standard_normal(image.shape).astype(np.float32) * 1e-4
    moved, _ = run.run(["stylized", GRADIENT + "image"], {"image": image + step, "noise": noise, REGION: region})
    happened = float((moved.astype(np.float64) - result).sum())
    assert float((gradient.astype(np.float64) * step).sum()) == pytest.approx(happened, rel=0.02)


def graph(nodes: Sequence[onnx.NodeProto], weights: Sequence[onnx.TensorProto] = ()) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "h", "w"]) for name in ("image", "stylized")]
    made = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], list(weights))
    model: bytes = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return model


def test_what_is_used_twice_counts_twice() -> None:
    """x * x - 3 * (x - x * c): 2x - 3 + 3c by hand."""
    weights = [numpy_helper.from_array(np.float32(value), name) for name, value in (("three", 3), ("c", 0.25))]
    nodes = [
        helper.make_node("Mul", ["image", "image"], ["square"]),
        helper.make_node("Mul", ["image", "c"], ["part"]),
        helper.make_node("Sub", ["image", "part"], ["rest"]),
        helper.make_node("Mul", ["three", "rest"], ["thrice"]),
        helper.make_node("Sub", ["square", "thrice"], ["stylized"]),
    ]
    x = np.random.default_rng(1).random((1, 3, 4, 5), np.float32)
    region = np.float32(0.5) * np.ones_like(x)
    (gradient,) = session(with_gradient(graph(nodes, weights), ["image"])).run(
        [GRADIENT + "image"], {"image": x, REGION: region}
    )
    assert np.allclose(gradient, 0.5 * (2 * x - 3 + 0.75), atol=1e-6)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (helper.make_node("Softmax", ["image"], ["stylized"]), "operator Softmax"),
        (
            helper.make_node(
                "Conv", ["image", "w"], ["stylized"], group=3, dilations=[1, 1], pads=[0] * 4, strides=[1, 1]
            ),
            "Grouped",
        ),
    ],
)
def test_what_it_has_no_rule_for_is_refused(node: onnx.NodeProto, said: str) -> None:
    weight = numpy_helper.from_array(np.ones((6, 1, 1, 1), np.float32), "w")
    with pytest.raises(EngineError, match=said):
        with_gradient(graph([node], [weight]), ["image"])


def test_a_gradient_costs_no_storage_but_its_nodes() -> None:
    data = half_storage(onnx_bytes(tiny_styles.lively(GeneratorConfig())))
    model = with_gradient(data, ["image"])
    assert len(model) - len(data) < 9000
    assert onnx_graph.inspect(model).parameters < onnx_graph.inspect(data).parameters + 64
