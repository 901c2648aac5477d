"""What an ONNX file would do, read from its bytes without onnx or onnxruntime and without running it.

ONNX is a protocol buffer. This reads just enough of the wire format (https://protobuf.dev/programming-guides/encoding)
to refuse what a style may not contain: data outside the file, operators of strangers, loops, huge or deep graphs,
constants that would blow up in memory. Every length is checked against what is left, nothing is copied but names.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from .errors import EngineError

MAX_BYTES = 100 << 20
"""The largest style network in common use (CycleGAN, 11 M parameters) is 45 MB."""
MAX_NODES = 3000
MAX_INITIALIZERS = 3000
MAX_DEPTH = 3
"""Subgraphs (an `If`) inside subgraphs."""
MAX_PARAMETERS = 50_000_000
SMALL = 64
"""Values of a constant worth reading: sizes and pads are never longer."""
OPSETS = range(7, 27)
"""Older ones onnxruntime does not read, newer ones are unknown to this version."""
FLOAT = 1
INT64 = 7

# Everything a feed-forward image network is made of. A list of what is allowed, because operators that are
# not needed here (loops, random numbers, strings, optional values) are only ways to surprise.
_OPERATORS = """
Abs Add Affine And ArgMax ArgMin AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat Constant
ConstantOfShape Conv ConvTranspose Cos Crop DepthToSpace Div Dropout Elu Equal Erf Exp Expand Flatten Floor
Gather GatherElements Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample
GroupNormalization HardSigmoid HardSwish Identity If ImageScaler InstanceNormalization LayerNormalization
LeakyRelu Less LessOrEqual Log LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min
Mish Mod Mul Neg Not Or PRelu Pad Pow RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean
ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round Selu Shape Sigmoid Sign Sin Size
Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tanh ThresholdedRelu Tile
Transpose Unsqueeze Upsample Where
"""
OPERATORS = frozenset(_OPERATORS.split())
_FIX = "Ask the author for a plain ONNX export of the style (operator sets 7 to 26, weights inside the file)."


@dataclass(frozen=True)
class TensorInfo:
    """A graph input or output. A size of 0 means any."""

    name: str
    dtype: int
    """ONNX's number for the element type: 1 is float32"""
    shape: tuple[int, ...] | None
    """None when the file does not say."""


@dataclass(frozen=True)
class Node:
    """One operation, without its weights."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[str, tuple[float, ...]]
    """Numeric attributes: strides, pads, scales, ..."""


@dataclass(frozen=True)
class GraphSummary:
    """The facts of a model that a style pack needs."""

    inputs: tuple[TensorInfo, ...]
    """Without those that are initializers (files before IR version 4 list weights as inputs)."""
    outputs: tuple[TensorInfo, ...]
    opset: int
    nodes: tuple[Node, ...]
    """Of the graph and everything nested in it, in file order: inputs before their use"""
    parameters: int
    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    """Of the weights"""
    constants: Mapping[str, tuple[float, ...]]
    """Values of the small ones (at most 64): sizes, scales, pads"""


@dataclass
class _Graph:
    inputs: list[TensorInfo] = field(default_factory=list)
    outputs: list[TensorInfo] = field(default_factory=list)
    initializers: set[str] = field(default_factory=set)


@dataclass
class _Totals:
    """Collected over the graph and everything nested in it."""

    nodes: list[Node] = field(default_factory=list)
    initializers: int = 0
    parameters: int = 0
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    constants: dict[str, tuple[float, ...]] = field(default_factory=dict)


def inspect(data: memoryview | bytes) -> GraphSummary:
    """Read and judge the model in `data`. Raises EngineError where a style may not look like this."""
    if len(data) > MAX_BYTES:
        raise refused(f"is larger than {MAX_BYTES >> 20} MB")
    with reading():
        return _model(memoryview(data).cast("B"))


@contextmanager
def reading() -> Iterator[None]:
    """Bytes that are no ONNX file are an EngineError."""
    try:
        yield
    except (struct.error, UnicodeDecodeError, _BrokenError) as error:
        raise EngineError(
            f"The file is not a readable ONNX model ({error}).", "Download or export the model again."
        ) from error


class _BrokenError(Exception):
    """The bytes are not a protocol buffer."""


def refused(why: str) -> EngineError:
    """An error for a model that can be read but may not be run."""
    return EngineError(f"The ONNX model {why}.", _FIX)


# ---------------------------------------------------------------- the wire format


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for i in range(10):  # 64 bits in groups of seven
        if at + i >= len(data):
            raise _BrokenError("it ends in the middle of a number")
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + i + 1
    raise _BrokenError("a number has more than ten bytes")


def fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """(field number, wire type, value) of one message; a value is a number or a window into the data."""
    at = 0
    value: int | memoryview
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = _cut(data, at, size), at + size
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = _cut(data, at, size), at + size
        else:
            raise _BrokenError(f"unknown wire type {wire}")
        if key >> 3 == 0:
            raise _BrokenError("field number 0")
        yield key >> 3, wire, value


def _cut(data: memoryview, at: int, size: int) -> memoryview:
    if size > len(data) - at:
        raise _BrokenError("a part is longer than the file")
    return data[at : at + size]


def part_of(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _BrokenError("a number where a part should be")
    return value


def text_of(value: int | memoryview) -> str:
    data = part_of(value)
    if len(data) > 4096:
        raise refused("has a name longer than 4096 characters")
    return bytes(data).decode("utf-8")


def _number(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise _BrokenError("a part where a number should be")
    return value - (1 << 64) if value >> 63 else value


def _numbers(wire: int, value: int | memoryview, limit: int) -> list[int]:
    """A repeated integer field, packed or one by one."""
    if wire == 0:
        return [_number(value)]
    data, at, result = part_of(value), 0, []
    while at < len(data):
        number, at = _varint(data, at)
        result.append(_number(number))
        if len(result) > limit:
            raise refused(f"lists more than {limit} sizes for one tensor")
    return result


# ---------------------------------------------------------------- ONNX messages (field numbers from onnx.proto)


def _model(data: memoryview) -> GraphSummary:
    graphs: list[_Graph] = []
    opsets: dict[str, int] = {}
    metadata: dict[str, str] = {}
    totals = _Totals()
    for number, _, value in fields(data):
        if number == 7:
            if graphs:
                raise refused("holds two graphs")
            graphs.append(_graph(part_of(value), totals, 0))
        elif number == 8:
            domain, version = _opset(part_of(value))
            opsets[domain] = version
        elif number == 14 and len(metadata) < 64:
            key, text = _pair(part_of(value))
            metadata[key] = text
        elif number in (20, 25):
            raise refused("holds training information or functions of its own")
    return _judge(graphs, opsets, metadata, totals)


def _judge(graphs: list[_Graph], opsets: dict[str, int], metadata: dict[str, str], totals: _Totals) -> GraphSummary:
    strangers = sorted(set(opsets) - {"", "ai.onnx"})
    if strangers:
        raise refused(f"needs operators of its own ({', '.join(strangers)[:200]})")
    opset = max(opsets.values(), default=0)
    if opset not in OPSETS:
        raise refused(f"uses operator set {opset}")
    if not graphs or not totals.nodes:
        raise refused("holds no graph")
    graph = graphs[0]
    inputs = tuple(tensor for tensor in graph.inputs if tensor.name not in graph.initializers)
    return GraphSummary(
        inputs,
        tuple(graph.outputs),
        opset,
        tuple(totals.nodes),
        totals.parameters,
        metadata,
        totals.shapes,
        totals.constants,
    )


def _graph(data: memoryview, totals: _Totals, depth: int) -> _Graph:
    if depth > MAX_DEPTH:
        raise refused(f"nests graphs deeper than {MAX_DEPTH} levels")
    graph = _Graph()
    for number, _, value in fields(data):
        if number == 1:
            _node(part_of(value), totals, depth)
        elif number == 5:
            graph.initializers.add(_tensor(part_of(value), totals))
        elif number == 11:
            graph.inputs.append(_value_info(part_of(value)))
        elif number == 12:
            graph.outputs.append(_value_info(part_of(value)))
        elif number == 15:
            raise refused("holds sparse weights")
    return graph


def _node(data: memoryview, totals: _Totals, depth: int) -> None:
    if len(totals.nodes) >= MAX_NODES:
        raise refused(f"has more than {MAX_NODES} nodes")
    operator = domain = ""
    names: dict[int, list[str]] = {1: [], 2: []}
    attributes: list[memoryview] = []
    for number, _, value in fields(data):
        if number in names:
            names[number].append(text_of(value))
            if len(names[number]) > MAX_NODES:
                raise refused("has a node with thousands of connections")
        elif number == 4:
            operator = text_of(value)
        elif number == 5:
            attributes.append(part_of(value))
        elif number == 7:
            domain = text_of(value)
    if domain not in ("", "ai.onnx") or operator not in OPERATORS:
        raise refused(f"uses the operator {(domain + '.' if domain else '') + operator!r:.120}")
    if len(attributes) > 64:
        raise refused("has a node with more than 64 attributes")
    constant = names[2][0] if operator == "Constant" and names[2] else ""
    numbers = dict(_attribute(attribute, totals, depth, constant) for attribute in attributes)
    totals.nodes.append(Node(operator, tuple(names[1]), tuple(names[2]), numbers))


def _attribute(data: memoryview, totals: _Totals, depth: int, constant: str) -> tuple[str, tuple[float, ...]]:
    """Name and numbers of an attribute; judges the graphs and tensors in it.

    `constant` is the name of the tensor when the attribute is a Constant's value.
    """
    name, numbers = "", []
    for number, wire, value in fields(data):
        if number == 1:
            name = text_of(value)
        elif number in (2, 7):
            numbers.extend(_floats(value))
        elif number in (3, 8):
            numbers.extend(_numbers(wire, value, 4096))
        elif number in (6, 11):
            _graph(part_of(value), totals, depth + 1)
        elif number in (5, 10):
            _tensor(part_of(value), totals, constant)
        elif number in (22, 23):
            raise refused("holds sparse weights")
        if len(numbers) > 4096:
            raise refused("has an attribute with thousands of numbers")
    if constant and numbers and len(numbers) <= SMALL:
        totals.constants[constant] = tuple(numbers)
    return name, tuple(numbers)


def _floats(value: int | memoryview) -> list[float]:
    data = part_of(value)
    if len(data) % 4 or len(data) > 4 * 4096:
        raise refused("has an attribute with thousands of numbers")
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def _tensor(data: memoryview, totals: _Totals, constant: str = "") -> str:
    """Count one tensor, refuse what lies outside the file, remember small constants. Returns its name."""
    totals.initializers += 1
    if totals.initializers > MAX_INITIALIZERS:
        raise refused(f"has more than {MAX_INITIALIZERS} weight tensors")
    dims: list[int] = []
    name, dtype = "", 0
    raw: memoryview | None = None
    listed: list[float] = []
    for number, wire, value in fields(data):
        if number == 1:
            dims.extend(_numbers(wire, value, 16))
        elif number == 2:
            dtype = _number(value)
        elif number == 4 and wire == 2 and len(part_of(value)) <= 4 * SMALL:
            listed.extend(_floats(value))
        elif number == 7 and (wire == 0 or len(part_of(value)) <= 10 * SMALL):
            listed.extend(_numbers(wire, value, 10 * SMALL))
        elif number == 8:
            name = text_of(value)
        elif number == 9:
            raw = part_of(value)
        elif number == 13 or (number == 14 and _number(value) != 0):
            raise refused("keeps weights in another file")
    if len(dims) > 8 or any(dim < 0 for dim in dims):
        raise refused("has a weight tensor of impossible shape")
    totals.parameters += math.prod(dims)
    if totals.parameters > MAX_PARAMETERS:
        raise refused(f"has more than {MAX_PARAMETERS // 1_000_000} million parameters")
    totals.shapes[constant or name] = tuple(dims)
    if math.prod(dims) <= SMALL:
        totals.constants[constant or name] = tuple(listed) if raw is None else _raw_values(dtype, math.prod(dims), raw)
    return name


def _raw_values(dtype: int, count: int, raw: memoryview) -> tuple[float, ...]:
    formats = {FLOAT: ("f", 4), INT64: ("q", 8)}
    if dtype not in formats:
        return ()
    code, size = formats[dtype]
    if len(raw) != count * size:
        raise refused("has a weight tensor of impossible shape")
    return struct.unpack(f"<{count}{code}", raw)


def _opset(data: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for number, _, value in fields(data):
        if number == 1:
            domain = text_of(value)
        elif number == 2:
            version = _number(value)
    return domain, version


def _pair(data: memoryview) -> tuple[str, str]:
    texts = {number: text_of(value) for number, _, value in fields(data) if number in (1, 2)}
    return texts.get(1, ""), texts.get(2, "")


def _value_info(data: memoryview) -> TensorInfo:
    name, dtype = "", 0
    shape: tuple[int, ...] | None = None
    for number, _, value in fields(data):
        if number == 1:
            name = text_of(value)
        elif number == 2:
            dtype, shape = _tensor_type(part_of(value))
    return TensorInfo(name, dtype, shape)


def _tensor_type(data: memoryview) -> tuple[int, tuple[int, ...] | None]:
    """TypeProto -> element type and shape. Anything but a tensor gives type 0."""
    dtype, shape = 0, None
    for number, _, value in fields(data):
        if number != 1:
            continue
        for inner, _, item in fields(part_of(value)):
            if inner == 1:
                dtype = _number(item)
            elif inner == 2:
                shape = tuple(_dim(part_of(dim)) for n, _, dim in fields(part_of(item)) if n == 1)
    return dtype, shape


def _dim(data: memoryview) -> int:
    """A fixed size, or 0 when the dimension has only a name."""
    for number, _, value in fields(data):
        if number == 1:
            return max(0, _number(value))
    return 0
