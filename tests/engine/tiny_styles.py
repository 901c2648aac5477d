"""Real style packs with tiny networks, made in milliseconds: for every test that needs a style.

Each maker writes a verified pack into `folder` and returns its path:

    identity(folder)            output = input, receptive radius 0
    brush(folder)               noise on the grid of 4, strided, dilated and resize convolutions, activations
    strokes(folder)             the same network, its noise from a stroke field of 5x7 cells
    following(folder)           the same, with strokes that follow forms
    guided(folder)              told normal and position beside the picture
    pattern(folder)             a texture: coarse noise with a wave, grain, no picture
    patchwork(folder)           the same, its noise quilted of what was read off a dark and a bright exemplar
    flat(folder, name, colour)  one colour everywhere: where that ends up shows what becomes of a painted colour
    blur(folder)                a fixed linear 5x5 average: known answers for overlays
    spotlight(folder)           divides by the brightest pixel of the frame: statistics, declared (radius None)
    spotlight(folder, lie=True) the same, but style.json claims a receptive radius of 8
    normalised(path)            not a pack: a third-party ONNX file of any size, instance norms, strided and back
    negative(path, layout, values)  not a pack: a third-party ONNX file, every colour as its opposite
    halved(folder, network)     a generator of ours (`lively`), weights in half precision, with its gradients
    explained(pack)             any of them made of convolutions and sums, with its gradients
    bgr_255(path)               not a pack: a third-party ONNX file, BGR, 0..255, fixed size, instance norm
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from engine.style_pack import (
    EXPLAIN,
    GENERATOR,
    PREVIEW,
    ModelInput,
    ModelSpec,
    StrokeField,
    StylePack,
    TurnedStrokes,
    load,
    new_pack,
    write_pack,
)

OPSET = 17
BRUSH_RADIUS = 36
"""Of `brush`, in pixels; test_runtime measures it."""
PATTERN_RADIUS = 26
"""Of `pattern`"""


def identity(folder: Path, name: str = "Identity") -> Path:
    nodes = [helper.make_node("Identity", ["image"], ["stylized"])]
    return _pack(folder, name, nodes, [], ModelSpec({"image": ModelInput(3)}, receptive_radius=0))


def lively(config: Any, seed: int = 0) -> Any:
    """A generator of ours (torch) with no residual branch small and no bias zero, its weights rounded to half."""
    import torch  # which Blender's Python lacks

    from engine.training.networks import Generator

    torch.manual_seed(seed)
    network = Generator(config)
    for weight in network.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return network.half().float().eval()


def halved(folder: Path, network: Any) -> StylePack:
    """It as a style: weights stored in half precision, and gradients that borrow them."""
    from engine.training import export

    data = export.half_storage(export.onnx_bytes(network))
    pack = new_pack("Tiny", export.model_spec(network, ModelInput(network.config.noise, scale=4)))
    return write_pack(folder, pack, {GENERATOR: data, EXPLAIN: export.explain_bytes(data)})


def explained(pack: Path) -> Path:
    """The same with its gradients: see training.gradient_graph for what it may be made of."""
    from engine.training.gradient_graph import with_gradient  # needs torch's neighbours, which Blender's Python lacks

    found = load(pack)
    files = {name: found.read(name) for name in found.files}
    told = [name for name in found.model.inputs if name != "noise"]
    write_pack(pack, found, {**files, EXPLAIN: with_gradient(files[GENERATOR], told)}, replace_old=True)
    return pack


def flat(folder: Path, name: str, colour: Sequence[float]) -> Path:
    nodes = [
        helper.make_node("Mul", ["image", "zero"], ["black"]),
        helper.make_node("Add", ["black", "colour"], ["stylized"]),
    ]
    weights = [
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(np.array(colour, np.float32).reshape(1, 3, 1, 1), "colour"),
    ]
    return _pack(folder, name, nodes, weights, ModelSpec({"image": ModelInput(3)}, receptive_radius=0))


def blur(folder: Path, name: str = "Blur") -> Path:
    """Each channel averaged over 5x5 pixels (zero padding, which only the border of the extended picture sees)."""
    kernel = np.full((3, 1, 5, 5), 1 / 25, np.float32)
    nodes = [helper.make_node("Conv", ["image", "k"], ["stylized"], kernel_shape=[5, 5], pads=[2] * 4, group=3)]
    weights = [numpy_helper.from_array(kernel, "k")]
    return _pack(folder, name, nodes, weights, ModelSpec({"image": ModelInput(3)}, receptive_radius=2))


def strokes(folder: Path, name: str = "Strokes") -> Path:
    field = StrokeField("strokes.bytes", 5, 7)
    item = ModelInput(2, scale=4, range=(-2.0, 2.0), strokes=field)
    stored = np.random.default_rng(4).integers(0, 256, 2 * 5 * 7, np.uint8).tobytes()
    return brush(folder, name, noise=item, files={field.file: stored})


def following(folder: Path, name: str = "Following") -> Path:
    """The same with strokes in four directions, of 6x5 cells each: they follow forms."""
    field, turned = StrokeField("strokes.bytes", 5, 7), TurnedStrokes("turned.bytes", 4, 6, 5)
    item = ModelInput(2, scale=4, range=(-2.0, 2.0), strokes=field, turned=turned)
    random = np.random.default_rng(4)
    files = {
        field.file: random.integers(0, 256, 2 * 5 * 7, np.uint8).tobytes(),
        turned.file: random.integers(0, 256, 4 * 2 * 6 * 5, np.uint8).tobytes(),
    }
    return brush(folder, name, noise=item, files=files)


def brush(
    folder: Path,
    name: str = "Brush",
    channels: int = 8,
    seed: int = 0,
    noise: ModelInput | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Everything a local generator is made of: stride 4, dilation, noise, nearest and linear upsampling."""
    noise = noise or ModelInput(2, scale=4)
    net = _Net(seed)
    net.conv("image", 3, channels, "a", kernel=4, stride=2, pad=1)
    net.conv("a", channels, channels, "b", kernel=4, stride=2, pad=1)
    net.conv("noise", noise.channels, channels, "n", kernel=1, act="")
    net.node("Add", ["b", "n"], "c")
    net.conv("c", channels, channels, "d", dilation=2)
    net.conv("d", channels, channels, "e", act="Tanh")
    net.double("e", "f", "nearest")
    net.conv("f", channels, channels, "g", act="Sigmoid")
    net.double("g", "h", "linear")
    net.conv("h", channels, 3, "i", act="Tanh")
    net.node("Add", ["i", "image"], "stylized")
    spec = ModelSpec({"image": ModelInput(3), "noise": noise}, stride=4, receptive_radius=BRUSH_RADIUS)
    return _pack(folder, name, net.nodes, net.weights, spec, files)


def guided(folder: Path, name: str = "Guided") -> Path:
    """Told what is there, and painting with noise that sticks to it."""
    net = _Net(5)
    for index, source in enumerate(("image", "normal", "position")):
        net.conv(source, 3, 8, f"a{index}", kernel=4, stride=2, pad=1)
    net.node("Add", ["a0", "a1"], "b")
    net.node("Add", ["b", "a2"], "c")
    net.conv("c", 8, 8, "d", act="Tanh")
    net.double("d", "e", "nearest")
    net.conv("e", 8, 3, "stylized", act="")
    inputs = {key: ModelInput(3) for key in ("image", "normal", "position")}
    return _pack(folder, name, net.nodes, net.weights, ModelSpec(inputs, stride=2, receptive_radius=10))


def pattern(folder: Path, name: str = "Pattern", waves: Sequence[tuple[float, float]] = ((1 / 24, 0.0),)) -> Path:
    """Noise on the grid of 8, drawn up in two steps, grain on the grid of 2."""
    inputs = {
        "noise": ModelInput(2 + 2 * len(waves), scale=8, waves=tuple(waves)),
        "grain": ModelInput(1, scale=2, distribution="uniform"),
    }
    return _texture(folder, name, inputs)


def patchwork(folder: Path, name: str = "Patchwork") -> Path:
    """The coarse table has 6 rows of low numbers and 9 of high ones, none of them between."""
    parts, columns, random = (6, 9), 8, np.random.default_rng(3)
    rows = [
        random.integers(low, low + 90, (2, count, columns), np.uint8)
        for low, count in zip((0, 165), parts, strict=True)
    ]
    coarse, grain = StrokeField("noise.bytes", 15, columns, parts), StrokeField("grain.bytes", 60, 4 * columns)
    inputs = {
        "noise": ModelInput(2, scale=8, range=(-2.0, 2.0), strokes=coarse, distribution="quilted"),
        "grain": ModelInput(1, scale=2, range=(-1.0, 1.0), strokes=grain, distribution="quilted"),
    }
    files = {
        coarse.file: np.concatenate(rows, 1).tobytes(),
        grain.file: random.integers(0, 256, (1, 60, 4 * columns), np.uint8).tobytes(),
    }
    return _texture(folder, name, inputs, files)


def _texture(
    folder: Path, name: str, inputs: Mapping[str, ModelInput], files: Mapping[str, bytes] | None = None
) -> Path:
    channels, net = inputs["noise"].channels, _Net(7)
    net.conv("noise", channels, 8, "a")
    net.double("a", "b", "nearest")
    net.conv("b", 8, 8, "c", act="Tanh")
    net.double("c", "d", "nearest")
    net.conv("grain", 1, 8, "e", kernel=1, act="")
    net.node("Add", ["d", "e"], "f")
    net.double("f", "g", "linear")
    net.conv("g", 8, 3, "stylized", act="Sigmoid")
    spec = ModelSpec(inputs, stride=8, receptive_radius=PATTERN_RADIUS)
    return _pack(folder, name, net.nodes, net.weights, spec, files)


def spotlight(folder: Path, name: str = "Spotlight", lie: bool = False) -> Path:
    """One bright object anywhere darkens the whole frame: what a local style must not do."""
    nodes = [
        helper.make_node("GlobalMaxPool", ["image"], ["brightest"]),
        helper.make_node("Div", ["image", "brightest"], ["stylized"]),
    ]
    return _pack(folder, name, nodes, [], ModelSpec({"image": ModelInput(3)}, receptive_radius=8 if lie else None))


def guided_spotlight(folder: Path, name: str = "Guided Spotlight") -> Path:
    """The same, where it is the brightest of the picture and a guide together."""
    nodes = [
        helper.make_node("Max", ["image", "normal"], ["both"]),
        helper.make_node("GlobalMaxPool", ["both"], ["brightest"]),
        helper.make_node("Div", ["image", "brightest"], ["stylized"]),
    ]
    return _pack(folder, name, nodes, [], ModelSpec({"image": ModelInput(3), "normal": ModelInput(3)}))


def bgr_255(path: Path, size: Sequence[int] = (64, 64), metadata: bool = False) -> Path:
    """A style as other people share them: input 0..255, BGR, one size only, statistics over the frame.

    It paints blue pixels red: channel 0 (blue) of the input goes to channel 2 (red) of the output.
    """
    swap = np.zeros((3, 3, 1, 1), np.float32)
    swap[2, 0] = swap[1, 1] = swap[0, 2] = 1
    nodes = [
        helper.make_node("Conv", ["picture", "swap"], ["swapped"], kernel_shape=[1, 1]),
        helper.make_node("InstanceNormalization", ["swapped", "scale", "mean"], ["normal"]),
        helper.make_node("Mul", ["normal", "tenth"], ["hint"]),
        helper.make_node("Add", ["swapped", "hint"], ["painted"]),
    ]
    weights = [
        numpy_helper.from_array(swap, "swap"),
        numpy_helper.from_array(np.full(3, 200, np.float32), "scale"),
        numpy_helper.from_array(np.zeros(3, np.float32), "mean"),
        numpy_helper.from_array(np.float32(0.1), "tenth"),
    ]
    shape = [1, 3, *size]
    data = model_bytes(nodes, weights, [("picture", shape)], ("painted", shape), metadata=metadata)
    path.write_bytes(data)
    return path


def negative(path: Path, layout: str, values: tuple[float, float], sides: Sequence[int | str] = ("h", "w")) -> Path:
    """A model that paints every colour as its opposite, in the layout and range of values given."""
    low, high = values
    nodes = [helper.make_node("Clip", ["x", "low", "high"], ["a"]), helper.make_node("Sub", ["sum", "a"], ["y"])]
    numbers = {"low": low, "high": high, "sum": low + high}
    weights = [numpy_helper.from_array(np.float32(value), name) for name, value in numbers.items()]
    shape = [1, 3, *sides] if layout == "nchw" else [1, *sides, 3]
    path.write_bytes(model_bytes(nodes, weights, [("x", shape)], ("y", shape)))
    return path


def normalised(path: Path, more: Sequence[onnx.NodeProto] = ()) -> Path:
    """A transformer network as other people share them, in small. more: nodes from `last` to `painted`."""
    net = _Net(7)
    for number, (source, inputs, stride) in enumerate((("picture", 3, 1), ("n0", 6, 2), ("n1", 6, 2), ("n2", 6, 1))):
        net.conv(source, inputs, 6, f"c{number}", stride=stride, act="")
        net.weights.append(numpy_helper.from_array(net.rng.random(6).astype(np.float32) + 0.5, f"scale{number}"))
        net.weights.append(numpy_helper.from_array(net.rng.standard_normal(6).astype(np.float32), f"offset{number}"))
        norm = [f"c{number}", f"scale{number}", f"offset{number}"]
        net.node("InstanceNormalization", norm, f"r{number}", epsilon=1e-3)
        net.node("Relu", [f"r{number}"], f"n{number}")
    net.double("n3", "d0", "nearest")
    net.double("d0", "d1", "linear")
    net.conv("d1", 6, 3, "last", kernel=5, act="")
    nodes = [*net.nodes, *(more or [helper.make_node("Sigmoid", ["last"], ["painted"])])]
    sides: list[int | str] = ["batch", 3, "height", "width"]
    path.write_bytes(model_bytes(nodes, net.weights, [("picture", sides)], ("painted", sides)))
    return path


def model_bytes(
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto],
    inputs: Sequence[tuple[str, Sequence[int | str]]],
    output: tuple[str, Sequence[int | str]],
    opset: int = OPSET,
    metadata: bool = False,
) -> bytes:
    """A float model as the bytes of an .onnx file."""
    graph = helper.make_graph(
        list(nodes),
        "style",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in inputs],
        [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, list(output[1]))],
        list(weights),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if metadata:
        helper.set_model_props(model, {"Image.BitmapPixelFormat": "Bgr8"})
    return model.SerializeToString()


def preview_png(size: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (180, 120, 60)).save(buffer, "PNG")
    return buffer.getvalue()


class _Net:
    """Collects nodes and small random weights."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: list[str], output: str, **attributes: object) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def conv(
        self,
        source: str,
        inputs: int,
        outputs: int,
        output: str,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        pad: int | None = None,
        act: str = "LeakyRelu",
    ) -> None:
        weight = self.rng.standard_normal((outputs, inputs, kernel, kernel)) / np.sqrt(inputs * kernel**2)
        bias = self.rng.standard_normal(outputs) * 0.1
        self.weights.append(numpy_helper.from_array(weight.astype(np.float32), f"{output}_w"))
        self.weights.append(numpy_helper.from_array(bias.astype(np.float32), f"{output}_b"))
        pads = [dilation * (kernel // 2) if pad is None else pad] * 4
        self.node(
            "Conv",
            [source, f"{output}_w", f"{output}_b"],
            f"{output}_raw" if act else output,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            dilations=[dilation] * 2,
            pads=pads,
        )
        if act:
            self.node(act, [f"{output}_raw"], output)

    def double(self, source: str, output: str, mode: str) -> None:
        self.weights.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), f"{output}_scales"))
        extra = {"nearest_mode": "floor"} if mode == "nearest" else {}
        self.node(
            "Resize",
            [source, "", f"{output}_scales"],
            output,
            mode=mode,
            coordinate_transformation_mode="asymmetric" if mode == "nearest" else "half_pixel",
            **extra,
        )


def _pack(
    folder: Path,
    name: str,
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto],
    spec: ModelSpec,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    inputs: list[tuple[str, list[int | str]]] = []
    for key, item in spec.inputs.items():
        inputs.append((key, [1, item.channels, f"{key}_height", f"{key}_width"]))
    data = model_bytes(nodes, weights, inputs, (spec.output, [1, 3, "height", "width"]))
    pack = new_pack(name, spec, author="tests", licence="GPL-3.0-or-later", recipe={"made": "by tiny_styles"})
    write_pack(folder, pack, {GENERATOR: data, PREVIEW: preview_png(), **(files or {})})
    return folder
