"""Networks with their statistics locked: those of one picture in place of whatever a tile happens to show.

Many style networks of other people normalise by the mean and variance of all they see (InstanceNormalization, Ulyanov,
Vedaldi and Lempitsky 2016), so every pixel changes every other, tiles differ and frames flicker. Here the file's bytes
are edited, without onnx: once so that the network also tells its statistics, and then so that they are constants. A
normalisation becomes a BatchNormalization, which takes the same scale, offset and epsilon, and is told mean and
variance; a mean, maximum or the like over the frame becomes a weight. What is left is local, and how far it sees
follows from its convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import EngineError
from .onnx_graph import FLOAT, GraphSummary, Node, fields, inspect, part_of, reading, text_of
from .onnx_weights import GRAPH, NODE, WEIGHT, graph_of, kept, varint, written
from .picture import Floats

_OUTPUT = 12
"""Field of a graph: its results"""
_NORM = "InstanceNormalization"
_POOLS = ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
_REDUCTIONS = tuple(f"Reduce{what}" for what in ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"))
_OTHERS = ("MeanVarianceNormalization", "LayerNormalization", "GroupNormalization", "LpNormalization", "If")
"""What looks at the whole frame, or may, and is not taken apart here"""


@dataclass(frozen=True)
class Lockable:
    """A network and what it asks of the whole frame."""

    data: bytes
    graph: GraphSummary
    norms: tuple[str, ...]
    """Outputs of its normalisations"""
    wholes: tuple[str, ...]
    """Other tensors that are of the whole frame"""

    @property
    def asked(self) -> tuple[str, ...]:
        """What `telling` returns, in this order: mean and variance of each norm, then the wholes"""
        return (*(name for norm in self.norms for name in _told(norm)), *self.wholes)


def _told(norm: str) -> tuple[str, str]:
    return f"pentimento.mean.{norm}", f"pentimento.variance.{norm}"


def lockable(data: bytes, planes_last: bool = False) -> Lockable:
    """planes_last: pictures are NHWC. Raises EngineError where not all that is of the whole frame can be locked, and
    for a network that has nothing of it."""
    graph = inspect(data)
    norms = tuple(node.outputs[0] for node in graph.nodes if node.operator == _NORM)
    wholes = tuple(node.outputs[0] for node in graph.nodes if _is_whole(node, graph, planes_last))
    if strangers := sorted({node.operator for node in graph.nodes} & set(_OTHERS)):
        raise _refused(f"it uses {', '.join(strangers)}")
    if not norms and not wholes:
        raise _refused("it has no statistics that are known here")
    return Lockable(data, graph, norms, wholes)


def _refused(why: str) -> EngineError:
    return EngineError(f"The statistics of this style cannot be locked: {why}.", "Switch the lock off for it.")


def _is_whole(node: Node, graph: GraphSummary, planes_last: bool) -> bool:
    if node.operator in _POOLS:
        return True
    if node.operator not in _REDUCTIONS:
        return False
    axes = node.numbers.get("axes") or (graph.constants.get(node.inputs[1], ()) if len(node.inputs) > 1 else ())
    along = {int(axis) % 4 for axis in axes} or {0, 1, 2, 3}
    frame = {1, 2} if planes_last else {2, 3}
    if along & frame and not frame <= along:
        raise _refused(f"its {node.operator} is of rows or columns alone")
    return frame <= along


# ---------------------------------------------------------------- the two edits


@reading()
def telling(network: Lockable) -> bytes:
    """The network that also returns `asked`."""
    inputs = {node.outputs[0]: node.inputs[0] for node in network.graph.nodes if node.operator == _NORM}
    added = b""
    for norm in network.norms:
        mean, variance = _told(norm)
        away, square = f"pentimento.away.{norm}", f"pentimento.square.{norm}"
        for operator, taken, made in (
            ("GlobalAveragePool", (inputs[norm],), mean),
            ("Sub", (inputs[norm], mean), away),
            ("Mul", (away, away), square),
            ("GlobalAveragePool", (square,), variance),
        ):
            added += written(NODE, _node(operator, taken, made))
    added += b"".join(written(_OUTPUT, _value(name)) for name in network.asked)
    return _with_graph(network.data, bytes(graph_of(network.data)) + added)


@reading()
def locked(network: Lockable, found: Mapping[str, Floats]) -> bytes:
    """The network with what `telling` returned, by its names, for good."""
    parts = []
    for number, wire, value in fields(graph_of(network.data)):
        outputs = [text_of(text) for end, _, text in fields(part_of(value)) if end == 2] if number == NODE else []
        if number == NODE and outputs[:1] and outputs[0] in network.norms:
            parts.append(written(NODE, _batch_norm(part_of(value), outputs[0])))
        elif number != NODE or not outputs or outputs[0] not in network.wholes:
            parts.append(kept(number, wire, value))
    for norm in network.norms:
        parts += [written(WEIGHT, _tensor(name, found[name].reshape(-1))) for name in _told(norm)]
    parts += [written(WEIGHT, _tensor(name, found[name])) for name in network.wholes]
    return _with_graph(network.data, b"".join(parts))


def _with_graph(model: bytes, graph: bytes) -> bytes:
    others = [kept(*one) for one in fields(memoryview(model)) if one[0] != GRAPH]
    return b"".join([*others, written(GRAPH, graph)])


def _batch_norm(norm: memoryview, name: str) -> bytes:
    """The same node with mean and variance as inputs behind scale and offset; epsilon is called epsilon in both."""
    same = [kept(*one) for one in fields(norm) if one[0] != 4]
    told = [written(1, text.encode()) for text in _told(name)]
    return b"".join([*same, *told, written(4, b"BatchNormalization")])


def _node(operator: str, inputs: tuple[str, ...], output: str) -> bytes:
    ends = b"".join(written(1, name.encode()) for name in inputs) + written(2, output.encode())
    return ends + written(4, operator.encode())


def _value(name: str) -> bytes:
    """A result of floats, of whatever shape"""
    tensor_type = varint(1 << 3) + varint(FLOAT)
    return written(1, name.encode()) + written(2, written(1, tensor_type))


def _tensor(name: str, values: Floats) -> bytes:
    dims = b"".join(varint(1 << 3) + varint(size) for size in values.shape)
    return dims + varint(2 << 3) + varint(FLOAT) + written(8, name.encode()) + written(9, values.tobytes())


# ---------------------------------------------------------------- how far it sees

_OF_A_PLACE = """
Abs Add Affine BatchNormalization Cast Celu Clip Div Dropout Elu Erf Exp Gelu HardSigmoid HardSwish Identity ImageScaler
LeakyRelu Max Mean Min Mish Mul Neg PRelu Pow Reciprocal Relu Selu Sigmoid Sign Softplus Softsign Sqrt Sub Sum Swish
Tanh ThresholdedRelu
"""
_POINTWISE = frozenset(_OF_A_PLACE.split())
"""Operators whose result at a place is of that place alone"""


@dataclass(frozen=True)
class _Sight:
    """Place i of a tensor sees pixels i * step + low .. i * step + high of the picture, along either axis."""

    step: float = 1.0
    low: float = 0.0
    high: float = 0.0


def radius(network: Lockable, stride: int) -> int | None:
    """How far to each side, in pixels, a result sees once the statistics are locked. None where the graph does not
    tell, and where tiles at multiples of `stride` would lie differently on its grids."""
    sights = {tensor.name: _Sight() for tensor in network.graph.inputs}
    for node in network.graph.nodes:
        seen = [sights[name] for name in node.inputs if name in sights]
        if not seen or node.outputs[0] in network.wholes:
            continue  # made of weights
        after = _through(node, seen, network)
        if after is None or stride % max(1, after.step):
            return None
        sights[node.outputs[0]] = after
    (result,) = (sights.get(tensor.name) for tensor in network.graph.outputs)
    if result is None or result.step != 1:
        return None
    return math.ceil(max(-result.low, result.high))


def _through(node: Node, seen: list[_Sight], network: Lockable) -> _Sight | None:
    """What a node's result sees; None for a node that is not known here."""
    before = _Sight(seen[0].step, min(one.low for one in seen), max(one.high for one in seen))
    if any(one.step != before.step for one in seen) or {"auto_pad", "output_shape"} & set(node.numbers):
        return None
    if node.operator in (*_POINTWISE, _NORM) or (node.operator == "Concat" and node.numbers.get("axis") == (1,)):
        return before
    if node.operator in ("Conv", "MaxPool", "AveragePool", "ConvTranspose"):
        return _convolved(node, before, network.graph)
    if node.operator == "Pad":
        return _padded(node, before, network.graph)
    if node.operator in ("Resize", "Upsample"):
        return _enlarged(node, before, network.graph)
    return None


def _convolved(node: Node, before: _Sight, graph: GraphSummary) -> _Sight | None:
    weight = graph.shapes.get(node.inputs[1], ()) if len(node.inputs) > 1 else ()
    kernel = node.numbers.get("kernel_shape") or weight[2:] or (1, 1)
    wide = max(node.numbers.get("dilations") or (1,)) * (max(kernel) - 1)
    first = (node.numbers.get("pads") or (0, 0))[:2]
    strides = node.numbers.get("strides") or (1, 1)
    if len(strides) != 2 or strides[0] != strides[1]:
        return None
    if node.operator == "ConvTranspose":
        step = before.step / strides[0]
        return _Sight(step, before.low + (min(first) - wide) * step, before.high + max(first) * step)
    step = before.step
    return _Sight(step * strides[0], before.low - max(first) * step, before.high + (wide - min(first)) * step)


def _padded(node: Node, before: _Sight, graph: GraphSummary) -> _Sight | None:
    amounts = node.numbers.get("pads") or graph.constants.get((*node.inputs, "")[1], ())
    if len(amounts) != 8:
        return None
    low, high = min(amounts[2:4]) * before.step, max(amounts[2:4]) * before.step
    return _Sight(before.step, before.low - high, before.high - low)


def _enlarged(node: Node, before: _Sight, graph: GraphSummary) -> _Sight | None:
    place = 2 if node.operator == "Resize" else 1  # Resize: x, region of interest, scales
    scales = node.numbers.get("scales") or graph.constants.get((*node.inputs, "", "")[place], ())
    if len(scales) != 4 or scales[2] != scales[3] or scales[2] < 1:
        return None
    around = 2 * before.step  # cubic looks at two neighbours
    return _Sight(before.step / scales[2], before.low - around, before.high + around)
