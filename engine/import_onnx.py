"""Other people's style models: looked at, tried once, and wrapped into a style pack.

What an ONNX file does not say (colour order, range of values) is taken from its metadata, from a trial on a test
picture, or from the artist, who has the last word. Such a style is never promised to be local.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from . import onnx_graph, onnx_growth, runtime, style_pack
from .atomic import reading
from .errors import EngineError
from .files import open_source
from .onnx_graph import GraphSummary, TensorInfo
from .picture import Floats
from .protocol import ImportOptions, ModelFacts, PictureSource
from .resample import reduced
from .style_pack import GENERATOR, ModelInput, ModelSpec, StylePack

Range = tuple[float, float]
SHOWN = 256
"""Longest side of the picture that a look at a model shows"""
_TRIAL = 256
"""Edge of the test picture where the model takes any size."""
_FIX = "Choose a style model that takes one RGB picture and returns one of the same size."


NORMALISATIONS = {
    "none": ((), ()),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "mean": ((0.485, 0.456, 0.406), ()),
}
"""Mean and deviation of red, green and blue, in 0..1: what torchvision's networks are fed, and what Caffe's are"""
MAX_MULTIPLE = 64


@dataclass(frozen=True)
class Model:
    """Somebody else's model that was looked at and tried: what a style pack needs of it."""

    name: str
    """What its file is called"""
    data: bytes
    graph: GraphSummary
    spec: ModelSpec
    trial: _Trial
    author: str
    licence: str
    known: Mapping[str, str]
    """See ModelFacts"""


def look_at(source: Path, options: ImportOptions) -> Model:
    """Everything about the .onnx file. Raises EngineError when it is no style."""
    _check(options)
    data, graph = _inspected(source)
    growth = onnx_growth.measure(graph)
    spec = _spec(graph, options)
    spec = replace(spec, parameters=graph.parameters, macs_per_pixel=growth.macs)
    trial = _Trial(data, spec)
    spec = _with_range(spec, trial, options, graph.metadata)
    author = options.author or _line(graph.metadata.get("author", ""))
    licence = options.licence or _line(graph.metadata.get("license", "") or graph.metadata.get("licence", ""))
    known = _known(graph, options)
    return Model(source.name, data, graph, spec, trial, author, licence, known)


def import_model(source: Path, folder: Path, name: str, options: ImportOptions) -> StylePack:
    """Wrap the .onnx file as a style in `folder`. Raises EngineError, and leaves nothing, when it is no style."""
    model = look_at(source, options)
    digest = hashlib.sha256(model.data).hexdigest()
    pack = style_pack.new_pack(
        name or _title(source),
        model.spec,
        author=model.author,
        licence=model.licence,
        kind="third-party",
        recipe={"imported": {"file": model.name, "sha256": digest, "opset": model.graph.opset}},
    )
    files = {GENERATOR: model.data, style_pack.PREVIEW: _preview(model.trial, model.spec)}
    return style_pack.write_pack(style_pack.place_for(pack.name, folder), pack, files)


def facts(model: Model) -> ModelFacts:
    """What the model is taken for."""
    spec, image = model.spec, model.spec.inputs["image"]
    height, width = spec.fixed_size or (0, 0)
    names = {norms: name for name, norms in NORMALISATIONS.items()}
    return ModelFacts(
        name=_title(Path(model.name)),
        author=model.author,
        licence=model.licence,
        channel_order=image.order.lower(),
        value_range=image.range,
        output_range=spec.range,
        normalisation=names[image.mean, image.deviation],
        layout=image.layout.lower(),
        multiple=spec.stride,
        width=width,
        height=height,
        parameters=model.graph.parameters,
        opset=model.graph.opset,
        known=dict(model.known),
    )


def tried(model: Model, source: PictureSource | None) -> tuple[np.ndarray, np.ndarray]:
    """A small picture, and what the model makes of it: sRGB bytes (h, w, 3), at most SHOWN to each side."""
    reader = open_source(source) if source else None
    height, width = (reader.height, reader.width) if reader else (SHOWN * 3 // 4, SHOWN)
    shown = _within(height, width, SHOWN)
    size = model.spec.fixed_size or _on_grid(shown, model.spec.stride)
    planes = reduced(reader, size, wrap=False) if reader else trial_picture(*size)
    before, after = (_bytes(of, shown) for of in (planes, model.trial.painted(planes[None], model.spec)[0]))
    return before, after


def _within(height: int, width: int, longest: int) -> tuple[int, int]:
    """The size of a picture of at most so many pixels to each side, as wide for its height"""
    scale = min(1.0, longest / max(height, width))
    return max(16, round(height * scale)), max(16, round(width * scale))


def _on_grid(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    height, width = (max(1, round(side / multiple)) * multiple for side in size)
    return height, width


def _bytes(planes: Floats, size: tuple[int, int]) -> np.ndarray:
    """Planes (3, h, w) 0..1 as bytes of the size (height, width)"""
    pixels = np.rint(np.clip(planes, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image if image.size == size[::-1] else image.resize(size[::-1], Image.Resampling.LANCZOS))


def _check(options: ImportOptions) -> None:
    """What can be wrong with what the artist says, before the file is read."""
    wrong: dict[str, tuple[str, tuple[str, ...]]] = {
        "channel order": (options.channel_order.upper(), ("RGB", "BGR")),
        "layout": (options.layout.upper(), ("NCHW", "NHWC")),
        "normalisation": (options.normalisation, tuple(NORMALISATIONS)),
    }
    for what, (value, allowed) in wrong.items():
        if value and value not in allowed:
            choices = " or ".join(allowed).lower()
            raise EngineError(f"There is no {what} {value.lower()!r}.", f"Choose {choices}.")
    if not 0 <= options.multiple <= MAX_MULTIPLE:
        raise EngineError(f"Sizes cannot be multiples of {options.multiple}.", f"Choose 1 to {MAX_MULTIPLE}.")
    for values in (options.value_range, options.output_range):
        if values and not (math.isfinite(values[0]) and math.isfinite(values[1]) and values[0] < values[1]):
            raise EngineError(f"{values[0]:g}..{values[1]:g} is not a range of values.", "Write it like 0..255.")


def _known(graph: GraphSummary, options: ImportOptions) -> dict[str, str]:
    """How each fact is known: see ModelFacts"""
    says, shape = graph.metadata, graph.inputs[0].shape
    has_layout = shape is not None and 3 in (shape[1], shape[3])
    found = {
        "channel_order": (options.channel_order, "file" if "Image.BitmapPixelFormat" in says else "usual"),
        "value_range": (options.value_range, "file" if _said_range(says) else "trial"),
        "output_range": (options.output_range, "usual"),
        "normalisation": (options.normalisation, "usual"),
        "layout": (options.layout, "file" if has_layout else "usual"),
        "size": (options.multiple, "file" if shape is not None and all(shape[1:]) else "usual"),
    }
    return {name: "chosen" if chosen else otherwise for name, (chosen, otherwise) in found.items()}


def _inspected(source: Path) -> tuple[bytes, GraphSummary]:
    """The file's bytes and what they would do."""
    with reading(source):
        if not 0 < source.stat().st_size <= onnx_graph.MAX_BYTES:
            raise EngineError(f"{source.name!r} is empty or larger than {onnx_graph.MAX_BYTES >> 20} MB.", _FIX)
        data = source.read_bytes()
    return data, onnx_graph.inspect(data)


# ---------------------------------------------------------------- what the file says


def _spec(graph: GraphSummary, options: ImportOptions) -> ModelSpec:
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise EngineError(f"The model takes {len(graph.inputs)} inputs and returns {len(graph.outputs)} results.", _FIX)
    taken, returned = graph.inputs[0], graph.outputs[0]
    layout = options.layout.upper() or _layout(taken)
    size = _size(taken, layout)
    order = _order(graph.metadata, options)
    mean, deviation = NORMALISATIONS[options.normalisation or "none"]
    image = ModelInput(3, order, layout, tensor=taken.name, mean=mean, deviation=deviation)
    return ModelSpec(
        {"image": image},
        output=returned.name,
        order=order,
        layout=options.layout.upper() or _layout(returned, layout),
        fixed_size=size,
        # Four halvings and back: whatever the model's own grid is, sizes on a grid of 16 fit it.
        stride=1 if size else options.multiple or 16,
        receptive_radius=None,
    )


def _layout(tensor: TensorInfo, default: str = "NCHW") -> str:
    shape = tensor.shape
    if tensor.dtype != onnx_graph.FLOAT or (shape is not None and len(shape) != 4):
        raise EngineError(f"{tensor.name[:60]!r} of the model is not a float picture.", _FIX)
    if shape is None or (shape[1] != 3 and shape[3] != 3):
        return default
    return "NCHW" if shape[1] == 3 else "NHWC"


def _size(tensor: TensorInfo, layout: str) -> tuple[int, int] | None:
    if tensor.shape is None:
        return None
    batch, channels = tensor.shape[0], tensor.shape[1 if layout == "NCHW" else 3]
    height, width = tensor.shape[2:] if layout == "NCHW" else tensor.shape[1:3]
    other = "NHWC" if layout == "NCHW" else "NCHW"
    if channels != 3 and tensor.shape[3 if layout == "NCHW" else 1] == 3:
        raise EngineError(f"The layout is not {layout}: the file says that it is {other}.", f"Choose {other}.")
    if batch > 1 or channels not in (0, 3):
        raise EngineError(f"The model takes {batch or 1} pictures of {channels} channels at once.", _FIX)
    if not height or not width:
        return None
    if not (16 <= height <= 4096 and 16 <= width <= 4096 and height * width <= 1 << 22):
        raise EngineError(f"The model only takes pictures of {width} x {height} pixels.", _FIX)
    return height, width


def _order(metadata: Mapping[str, str], options: ImportOptions) -> str:
    """The artist, else Windows ML's metadata, else RGB: nothing in the numbers tells red from blue."""
    if options.channel_order:
        return options.channel_order.upper()
    return "BGR" if metadata.get("Image.BitmapPixelFormat", "").lower().startswith("bgr") else "RGB"


def _title(source: Path) -> str:
    return _line(source.stem.replace("_", " ").strip().title())[:80] or "Imported"


def _line(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:200]


# ---------------------------------------------------------------- what a trial says


class _Trial:
    """The model run on one test picture at a time, in its own values."""

    def __init__(self, data: bytes, spec: ModelSpec) -> None:
        self.spec = spec
        self.session = runtime.open_untrusted(data)
        self.height, self.width = spec.fixed_size or (_TRIAL, _TRIAL)
        self.results: dict[Range, Floats] = {}

    def run(self, value_range: Range) -> Floats:
        """The test picture given in `value_range` -> the result in the model's own values, (3, H, W), its order."""
        if value_range not in self.results:
            planes = trial_picture(self.height, self.width)[None]
            self.results[value_range] = self._run(planes, replace(self.spec.inputs["image"], range=value_range))[0]
        return self.results[value_range]

    def painted(self, planes: Floats, spec: ModelSpec) -> Floats:
        """(1, 3, h, w) display-referred 0..1 -> the same of the result, not clamped"""
        return runtime.from_model(self._run(planes, spec.inputs["image"]), spec, planar=True)

    def _run(self, planes: Floats, image: ModelInput) -> Floats:
        feed = runtime.to_model(planes, image)
        (result,) = runtime.run_untrusted(self.session, {image.tensor: feed}, [self.spec.output])
        planar = result.transpose(0, 3, 1, 2) if result.ndim == 4 and self.spec.layout == "NHWC" else result
        if planar.shape != planes.shape:
            raise EngineError(f"The model returned {result.shape} for a picture of {planes.shape}.", _FIX)
        if not np.isfinite(planar).all():
            raise EngineError("The model returned values that are no numbers.", _FIX)
        return np.asarray(planar, np.float32)


def _with_range(spec: ModelSpec, trial: _Trial, options: ImportOptions, metadata: Mapping[str, str]) -> ModelSpec:
    values = options.value_range or _detected(trial, metadata)
    trial.run(values)
    image = replace(spec.inputs["image"], range=values)
    return replace(spec, inputs={"image": image}, range=options.output_range or values)


def _said_range(metadata: Mapping[str, str]) -> Range | None:
    """What Windows ML's metadata say. They mean 0..255 unless they say otherwise."""
    nominal = metadata.get("Image.NominalPixelRange", "").lower()
    if nominal.startswith("nominalrange_0_255") or (not nominal and "Image.BitmapPixelFormat" in metadata):
        return 0.0, 255.0
    return {"normalized_0_1": (0.0, 1.0), "normalized_1_1": (-1.0, 1.0)}.get(nominal)


def _detected(trial: _Trial, metadata: Mapping[str, str]) -> Range:
    """The range of values, judged by what comes out; models return what they take, in all families in use.

    A model for 0..255 ends in an offset of that size and shows it even when it is given 0..1; one that ends in tanh
    goes clearly below 0. The rest takes 0..1.
    """
    if said := _said_range(metadata):
        return said
    if np.quantile(trial.run((0.0, 1.0)), 0.99) > 4:
        return 0.0, 255.0
    if np.quantile(trial.run((-1.0, 1.0)), 0.01) < -0.2:
        return -1.0, 1.0
    return 0.0, 1.0


def trial_picture(height: int, width: int) -> Floats:
    """A picture with light, dark, edges and colour, (3, H, W) 0..1: a sky, a sun, hills and a chequered ground."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height, x / width
    sky = np.stack([0.35 + 0.4 * y, 0.5 + 0.35 * y, 0.85 - 0.1 * y])
    sun = np.clip(1.3 - 14 * np.hypot(x - 0.7, y - 0.25), 0, 1)
    hills = y > 0.62 + 0.08 * np.sin(9 * x) + 0.04 * np.sin(23 * x + 1)
    chequer = 0.5 + 0.5 * np.sign(np.sin(40 * x / (y + 0.2)) * np.sin(60 * y * y))
    ground = np.stack([0.15 + 0.25 * chequer, 0.3 + 0.2 * chequer, 0.1 + 0.1 * chequer])
    picture = np.where(hills, ground, sky * (1 - sun) + np.array([1.0, 0.95, 0.7])[:, None, None] * sun)
    return np.ascontiguousarray(np.clip(picture, 0, 1), np.float32)


def _preview(trial: _Trial, spec: ModelSpec) -> bytes:
    """The painted test picture as PNG, at most 256 pixels wide."""
    result = runtime.from_model(trial.run(spec.inputs["image"].range)[None], spec, planar=True)[0]
    pixels = np.rint(np.clip(result, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((256, 256))
    image.save(buffer, "PNG")
    return buffer.getvalue()
