"""How large a model's tensors get, worked out on paper: per pixel of its input, without running it.

A file of a hundred bytes can ask for a terabyte (a tile operator, a padding of a million pixels, a tensor joined with
itself thirty times). This follows resolution and channels through the graph, coarsely and from above, and refuses
what no style needs. The same figures tell how much memory a style wants and how many multiply-adds a pixel costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .onnx_graph import GraphSummary, Node, TensorInfo, refused

MAX_ELEMENTS = 4096
"""Values per picture pixel in one tensor. CycleGAN's generator has 64, the widest style networks 256."""
MAX_PADDING = 4096
"""Pixels of border that all paddings of a model add together."""
MAX_FROM_NOTHING = 1 << 22
"""Values of a tensor made from its size alone."""


@dataclass(frozen=True)
class _Tensor:
    """A tensor's size per picture pixel."""

    elements: float
    """All its values, divided by the pixels of the picture"""
    channels: float

    @property
    def density(self) -> float:
        """Positions per picture pixel: 1/16 on a grid of 4"""
        return self.elements / max(1.0, self.channels)


@dataclass(frozen=True)
class Growth:
    """What a model costs per pixel of its picture."""

    elements: float
    """Values of its largest tensor"""
    macs: float
    """Multiply-adds in convolutions"""


def measure(graph: GraphSummary, scales: Mapping[str, int] | None = None) -> Growth:
    """Follow the picture through the graph. Raises EngineError where a tensor gets absurdly large.

    scales: how many times smaller than the picture an input is, by tensor name; 1 where not named.
    """
    graph = replace(graph, shapes=_of_weights(graph))
    tensors = {tensor.name: _input(tensor, (scales or {}).get(tensor.name, 1)) for tensor in graph.inputs}
    padding = macs = largest = 0.0
    for node in graph.nodes:
        _check_constants(node, graph)
        padding += _padding(node, graph)
        result = _result(node, tensors, graph)
        macs += _macs(node, tensors, result, graph)
        largest = max(largest, result.elements)
        for name in node.outputs:
            tensors[name] = result
        if not result.elements <= MAX_ELEMENTS or padding > MAX_PADDING:
            raise refused("would fill the memory: it makes tensors of absurd size")
    return Growth(largest, macs)


def _of_weights(graph: GraphSummary) -> dict[str, tuple[int, ...]]:
    """Also of those that are cast, transposed or turned over before their use: stored in half precision, or gone
    through backwards."""
    shapes = dict(graph.shapes)
    for node in graph.nodes:
        weight = shapes.get(node.inputs[0], ()) if node.inputs else ()
        if node.operator == "Transpose" and len(order := node.numbers.get("perm", ())) == len(weight):
            weight = tuple(weight[int(axis)] for axis in order if 0 <= axis < len(weight))
        elif node.operator not in ("Cast", "Slice"):
            continue
        if weight:
            shapes |= dict.fromkeys(node.outputs, weight)
    return shapes


def _input(tensor: TensorInfo, scale: int) -> _Tensor:
    channels = tensor.shape[1] if tensor.shape and len(tensor.shape) == 4 and 0 < tensor.shape[1] <= 64 else 3
    return _Tensor(channels / scale**2, channels)


def _result(node: Node, tensors: dict[str, _Tensor], graph: GraphSummary) -> _Tensor:
    """The size after a node; what is not known to change it passes on the largest of its inputs."""
    inputs = [tensors[name] for name in node.inputs if name in tensors]
    if not inputs:
        return _Tensor(0.0, 0.0)
    elements = max(tensor.elements for tensor in inputs)
    channels = max(tensor.channels for tensor in inputs)
    weight = graph.shapes.get(node.inputs[1], ()) if len(node.inputs) > 1 else ()
    area = math.prod(node.numbers.get("strides", (1, 1))) or 1
    if node.operator in ("Conv", "ConvTranspose") and len(weight) > 1:
        return _convolved(node, inputs[0], weight, area)
    if node.operator in ("MaxPool", "AveragePool", "LpPool"):
        return _Tensor(elements / area, channels)
    if node.operator.startswith("Global"):
        return _Tensor(0.0, channels)
    if node.operator == "Concat":
        return _Tensor(sum(tensor.elements for tensor in inputs), sum(tensor.channels for tensor in inputs))
    if node.operator in ("Resize", "Upsample", "Tile"):
        return _Tensor(elements * _scale(node, graph), channels)
    return _Tensor(elements, channels)


def _convolved(node: Node, before: _Tensor, weight: tuple[int, ...], area: float) -> _Tensor:
    """The weight knows the channels, so the density follows even after reshapes this does not understand."""
    group = _first(node, "group", 1)
    if node.operator == "Conv":
        entering, leaving, growth = weight[1] * group, float(weight[0]), 1 / area
    else:
        entering, leaving, growth = weight[0], weight[1] * group, area
    return _Tensor(before.elements / max(1, entering) * growth * leaving, leaving)


def _scale(node: Node, graph: GraphSummary) -> float:
    """How many times more values: the product of all scales or repeats. Sizes known only when running count as 1."""
    place = 2 if node.operator == "Resize" else 1  # Resize: x, region of interest, scales
    factors = [node.numbers.get("scales", ())]
    factors += [graph.constants.get(name, ()) for name in node.inputs[place : place + 1]]
    return math.prod(abs(value) for values in factors for value in values if value)


def _first(node: Node, name: str, default: float) -> float:
    return (node.numbers.get(name) or (default,))[0]


def _padding(node: Node, graph: GraphSummary) -> float:
    """Pixels of border a node adds to each axis at most."""
    pads = [*node.numbers.get("pads", ()), *node.numbers.get("output_padding", ())]
    if node.operator == "Pad" and len(node.inputs) > 1:
        pads += graph.constants.get(node.inputs[1], ())
    total = sum(value for value in pads if value > 0)
    if node.operator in ("Conv", "MaxPool", "AveragePool", "LpPool"):
        weight = graph.shapes.get(node.inputs[1], ()) if len(node.inputs) > 1 else ()
        kernel = node.numbers.get("kernel_shape", weight[2:])
        reach = [a * (b - 1) for a, b in zip(node.numbers.get("dilations", (1, 1)), kernel, strict=False)]
        total -= sum(reach)
    return max(0.0, total)


def _macs(node: Node, tensors: dict[str, _Tensor], result: _Tensor, graph: GraphSummary) -> float:
    if node.operator not in ("Conv", "ConvTranspose") or len(node.inputs) < 2:
        return 0.0
    weight = graph.shapes.get(node.inputs[1], (0,))
    if node.operator == "Conv":
        return math.prod(weight) * result.density
    before = tensors.get(node.inputs[0], _Tensor(0.0, 0.0))
    return math.prod(weight) * before.elements / max(1, weight[0])


def _check_constants(node: Node, graph: GraphSummary) -> None:
    """Sizes written into the file: what a node makes from nothing, and sizes no picture has."""
    if node.operator in ("ConstantOfShape", "Expand", "Range", "Resize", "Upsample"):
        for name in node.inputs[:1] if node.operator == "ConstantOfShape" else node.inputs[1:]:
            sizes = [abs(value) for value in graph.constants.get(name, ()) if value]
            if not math.prod(sizes) <= MAX_FROM_NOTHING or (node.operator == "Range" and max(sizes, default=0) > 1e6):
                raise refused("would fill the memory: it makes tensors of absurd size")
    if any(not abs(value) <= MAX_PADDING for name in _SIZES for value in node.numbers.get(name, ())):
        raise refused("has a convolution or scale of absurd size")


_SIZES = (
    "pads",
    "strides",
    "dilations",
    "kernel_shape",
    "output_padding",
    "output_shape",
    "scales",
    "blocksize",
    "group",
)
