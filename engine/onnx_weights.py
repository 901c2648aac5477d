"""Networks that share weights: a style keeps them once, in its generator, and the networks beside it go without.

A file without weights names them; before it is inspected or run they are put into it. So what is judged and what is run
is a whole model, whatever a file leaves out.
"""

from __future__ import annotations

from .onnx_graph import fields, part_of, reading, refused, text_of

GRAPH, NODE, WEIGHT, INPUT = 7, 1, 5, 11
"""Fields of ONNX's messages: of the model its graph, of a graph its nodes, weights and inputs"""


@reading()
def with_weights(network: bytes, beside: bytes) -> bytes:
    """`network` with those weights of the model `beside` that it names and does not have.

    Raises EngineError for a weight that neither has. Both are to be inspected (onnx_graph) by whoever runs them.
    """
    lacking = _lacking(graph_of(network))
    if not lacking:
        return network
    weights = {name_of(part, 8): part for number, part in parts_of(graph_of(beside)) if number == WEIGHT}
    if strangers := [name for name in lacking if name not in weights]:
        raise refused(f"lacks the weight {strangers[0]!r:.100}")
    graph = bytes(graph_of(network)) + b"".join(written(WEIGHT, weights[name]) for name in lacking)
    # A message may hold its fields in any order.
    others = [kept(*one) for one in fields(memoryview(network)) if one[0] != GRAPH]
    return b"".join([*others, written(GRAPH, graph)])


def graph_of(model: bytes) -> memoryview:
    graphs = [part_of(value) for number, _, value in fields(memoryview(model)) if number == GRAPH]
    if len(graphs) != 1:
        raise refused("holds no graph, or several")
    return graphs[0]


def _lacking(graph: memoryview) -> list[str]:
    """What nodes use and nothing in the graph brings, in the order of use."""
    brought, used = {""}, []
    for number, part in parts_of(graph):
        if number == NODE:
            ends = [(end, text_of(value)) for end, _, value in fields(part) if end in (1, 2)]
            used += [name for end, name in ends if end == 1]
            brought |= {name for end, name in ends if end == 2}
        elif number in (WEIGHT, INPUT):
            brought.add(name_of(part, 8 if number == WEIGHT else 1))
    return list(dict.fromkeys(name for name in used if name not in brought))


def parts_of(message: memoryview) -> list[tuple[int, memoryview]]:
    return [(number, part_of(value)) for number, wire, value in fields(message) if wire == 2]


def name_of(message: memoryview, field: int) -> str:
    return next((text_of(value) for number, _, value in fields(message) if number == field), "")


def kept(number: int, wire: int, value: int | memoryview) -> bytes:
    """A field as it was."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return written(number, value) if wire == 2 else varint(number << 3 | wire) + bytes(value)


def written(number: int, part: bytes | memoryview) -> bytes:
    return varint(number << 3 | 2) + varint(len(part)) + bytes(part)


def varint(value: int) -> bytes:
    """Seven bits to a byte, the lowest first"""
    coded = bytearray()
    while value > 0x7F:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*coded, value])
