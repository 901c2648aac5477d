"""Gradients without torch: the reverse of an ONNX network, as an ONNX graph beside it.

Every operator a generator of ours is made of has its rule (vector-Jacobian product) here; nodes are reversed last to
first, and where a value was used twice its gradients add up (reverse accumulation: Griewank and Walther, "Evaluating
Derivatives", 2008, chapter 3). The weights are those of the network itself, turned over inside the graph by operators
that onnxruntime folds once when it opens the file: a gradient costs no storage but its nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..errors import EngineError
from ..style_pack import GRADIENT, REGION

_PASSED = ("Cast", "Constant")
"""Only ever make constants here"""


def with_gradient(data: bytes, inputs: Sequence[str], output: str = "stylized") -> bytes:
    """The network with one more input, REGION, and for each of `inputs` one more output of its shape: the gradient of
    sum(REGION * output) by that input. Raises EngineError for an operator it has no rule for."""
    model = onnx.load_from_string(data)
    graph = model.graph
    reverse = _Reverse(graph, inputs)
    made = next(value for value in graph.output if value.name == output)
    region = onnx.ValueInfoProto()
    region.CopyFrom(made)
    region.name = REGION
    graph.input.append(region)
    reverse.add(output, REGION)
    forward = list(graph.node)
    for node in reversed(forward):
        reverse.through(node)
    for name in inputs:
        reverse.node("Identity", [reverse.gradient(name)], GRADIENT + name)
        value = onnx.ValueInfoProto()
        value.CopyFrom(next(item for item in graph.input if item.name == name))
        value.name = GRADIENT + name
        graph.output.append(value)
    graph.node.extend(reverse.nodes)
    graph.initializer.extend(reverse.constants.values())
    result: bytes = model.SerializeToString()
    return result


class _Reverse:
    """Walks a graph backwards. What does not depend on `inputs` is a constant, and has no gradient."""

    def __init__(self, graph: onnx.GraphProto, inputs: Sequence[str]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
        for node in graph.node:  # weights may be stored in half precision: NAME.half, cast to NAME
            if node.op_type == "Cast" and node.input[0] in self._shapes:
                self._shapes[node.output[0]] = self._shapes[node.input[0]]
        self._channels = {item.name: item.type.tensor_type.shape.dim[1].dim_value for item in graph.input}
        self._parts: dict[str, list[str]] = {}
        self._moved = set(inputs)
        for node in graph.node:
            if node.op_type not in _PASSED and self._moved & set(node.input):
                self._moved |= set(node.output)
            self._channels |= dict.fromkeys(node.output, self._channels_of(node))

    def add(self, name: str, gradient: str) -> None:
        """One more way in which the value `name` counts"""
        if name in self._moved:
            self._parts.setdefault(name, []).append(gradient)

    def gradient(self, name: str) -> str:
        """All of them together"""
        parts = self._parts[name]
        while len(parts) > 1:
            parts.append(self.node("Add", [parts.pop(0), parts.pop(0)]))
        return parts[0]

    def through(self, node: onnx.NodeProto) -> None:
        """From what a node made to what it was made of"""
        if node.output[0] not in self._parts:
            return
        rule = _RULES.get(node.op_type)
        if rule is None:
            raise EngineError(
                f"A network with the operator {node.op_type} has no gradient yet.",
                "Train with one of the generators that Pentimento knows.",
            )
        rule(self, node, {a.name: helper.get_attribute_value(a) for a in node.attribute})

    def node(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Appends a node; the name of what it makes."""
        output = output or f"gradient/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def number(self, value: float) -> str:
        return self._constant(f"constant/{value:g}", np.array(value, np.float32))

    def places(self, *values: int) -> str:
        return self._constant("constant/" + ",".join(map(str, values)) + "/places", np.array(values, np.int64))

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(value, name))
        return name

    # ------------------------------------------------------------ the rules

    def convolution(self, node: onnx.NodeProto, told: dict[str, Any]) -> None:
        picture, weight = node.input[0], node.input[1]
        outputs, inputs, *kernel = self._shapes[weight]
        group, dilations, pads = told.get("group", 1), told.get("dilations", [1, 1]), told.get("pads", [0] * 4)
        gradient = self.gradient(node.output[0])
        if set(told.get("strides", [1])) != {1}:
            # Its transpose by definition. Sizes are multiples of the stride, so nothing is left over.
            names = ("group", "dilations", "pads", "strides", "kernel_shape")
            kept = {name: told[name] for name in names if name in told}
            self.add(picture, self.node("ConvTranspose", [gradient, weight], **kept))
            return
        # With stride 1 that is a convolution with the kernel turned over, which runs on faster code.
        if group == 1:
            weight = self.node("Transpose", [weight], perm=[1, 0, 2, 3])
        elif (outputs, inputs) != (group, 1):
            raise EngineError("Grouped convolutions have no gradient yet.", "Use full or depthwise ones.")
        if kernel != [1, 1]:
            weight = self._turned_over(weight)
        wide = [d * (k - 1) - p for d, k, p in zip([*dilations] * 2, kernel * 2, pads, strict=True)]
        self.add(picture, self.node("Conv", [gradient, weight], group=group, dilations=dilations, pads=wide))

    def leaky_relu(self, node: onnx.NodeProto, told: dict[str, Any]) -> None:
        gradient = self.gradient(node.output[0])
        falling = self.node("Mul", [gradient, self.number(told["alpha"])])
        rises = self.node("Greater", [node.output[0], self.number(0)])  # what it made has the sign of what it saw
        self.add(node.input[0], self.node("Where", [rises, gradient, falling]))

    def sum(self, node: onnx.NodeProto, told: dict[str, Any]) -> None:
        for name in node.input:
            self.add(name, self.gradient(node.output[0]))

    def difference(self, node: onnx.NodeProto, told: dict[str, Any]) -> None:
        gradient = self.gradient(node.output[0])
        self.add(node.input[0], gradient)
        if node.input[1] in self._moved:
            self.add(node.input[1], self.node("Neg", [gradient]))

    def product(self, node: onnx.NodeProto, told: dict[str, Any]) -> None:
        gradient = self.gradient(node.output[0])
        for name, other in (node.input, reversed(node.input)):
            if name in self._moved:
                self.add(name, self.node("Mul", [gradient, other]))

    def nearest(self, node: onnx.NodeProto, told: dict[str, Any]) -> None:
        """Twice as large: each value was shown four times. The exporter makes no other."""
        mean = self.node("AveragePool", [self.gradient(node.output[0])], kernel_shape=[2, 2], strides=[2, 2])
        self.add(node.input[0], self.node("Mul", [mean, self.number(4)]))

    def concatenation(self, node: onnx.NodeProto, told: dict[str, Any]) -> None:
        gradient, first = self.gradient(node.output[0]), 0
        for name in node.input:
            last = first + self._channels[name]
            if name in self._moved:
                ends = self.places(first), self.places(last)
                self.add(name, self.node("Slice", [gradient, *ends, self.places(1)]))
            first = last

    # ------------------------------------------------------------ shapes

    def _turned_over(self, weight: str) -> str:
        """Rows and columns of a kernel in reverse"""
        window = self.places(-1, -1), self.places(-999, -999), self.places(2, 3), self.places(-1, -1)
        return self.node("Slice", [weight, *window])

    def _channels_of(self, node: onnx.NodeProto) -> int:
        if node.op_type == "Conv":
            return int(self._shapes[node.input[1]][0])
        counts = [self._channels.get(name, 0) for name in node.input]
        return sum(counts) if node.op_type == "Concat" else max(counts, default=0)


_Rule = Callable[[_Reverse, onnx.NodeProto, dict[str, Any]], None]
_RULES: dict[str, _Rule] = {
    "Conv": _Reverse.convolution,
    "LeakyRelu": _Reverse.leaky_relu,
    "Add": _Reverse.sum,
    "Sub": _Reverse.difference,
    "Mul": _Reverse.product,
    "Resize": _Reverse.nearest,
    "Concat": _Reverse.concatenation,
}
