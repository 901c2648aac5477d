"""Styles that have learned nothing: what an overlay says of them, it says of no style (B5)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..onnx_graph import fields as fields_of
from ..onnx_graph import part_of, reading, text_of
from ..onnx_weights import GRAPH, NODE, WEIGHT, graph_of, kept, name_of, parts_of, written
from ..style_pack import StylePack

_KIND, _FLOATS, _RAW = 2, 4, 9
"""Fields of a weight: the type of its values, and the two places where it may keep them"""
_FLOATING = {1: "<f4", 10: "<f2"}
"""The types that are drawn anew, by their numbers in ONNX: float32 and float16"""
_LEARNED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Redrawn(StylePack):
    """A style as if it had learned nothing: the same network, fed alike, with random weights. Never on disk."""

    seed: int = 0

    @classmethod
    def of(cls, pack: StylePack, seed: int) -> Redrawn:
        return cls(**{item.name: getattr(pack, item.name) for item in fields(pack)}, seed=seed)

    def read(self, name: str) -> bytes:
        data = super().read(name)
        return redrawn(data, self.seed) if name in (self.model.file, self.model.half) else data


@reading()
def redrawn(network: bytes, seed: int) -> bytes:
    """`network` with other weights: those of convolutions and matrix products drawn anew from a normal distribution of
    mean 0, as strong (in root mean square) as the tensor they replace. What an overlay says of it, it says of no style.

    Not with the tensor's own mean: how much light a layer passes on, and with which sign, is learned, too."""
    rng = np.random.default_rng(seed)
    parts = list(parts_of(graph_of(network)))
    learned = _learned([part for number, part in parts if number == NODE])
    graph = b"".join(
        written(number, _drawn(part, rng) if number == WEIGHT and name_of(part, 8) in learned else part)
        for number, part in parts
    )
    others = [kept(*one) for one in fields_of(memoryview(network)) if one[0] != GRAPH]
    return b"".join([*others, written(GRAPH, graph)])


def _learned(nodes: list[memoryview]) -> set[str]:
    """The weights that a network learned, also where it keeps them in half precision and casts them."""
    learned: set[str] = set()
    for node in reversed(nodes):
        ends = [(end, text_of(value)) for end, wire, value in fields_of(node) if end in (1, 2, 4) and wire == 2]
        taken = [name for end, name in ends if end == 1]
        kind = next((name for end, name in ends if end == 4), "")
        if kind in _LEARNED:
            learned.update(taken)  # the first is what flows through it, no weight
        elif kind == "Cast" and learned.intersection(name for end, name in ends if end == 2):
            learned.update(taken)
    return learned


def _drawn(weight: memoryview, rng: np.random.Generator) -> bytes:
    kind = next((value for number, _, value in fields_of(weight) if number == _KIND), 0)
    dtype = _FLOATING.get(kind) if isinstance(kind, int) else None
    if dtype is None:
        return bytes(weight)
    changed = []
    for number, wire, value in fields_of(weight):
        if number in (_FLOATS, _RAW) and wire == 2:
            old = np.frombuffer(part_of(value), dtype)
            new = rng.normal(0, np.sqrt(np.square(old, dtype=np.float64).mean()), old.size)
            changed.append(written(number, new.astype(dtype).tobytes()))
        else:
            changed.append(kept(number, wire, value))
    return b"".join(changed)
