"""From trained networks to a style pack: ONNX with a parity check, preview, recipe, and what explanations will need."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .. import __version__
from ..errors import EngineError
from ..explain.style_fit import Fit
from ..guides import GUIDES
from ..pack_files import MAX_STYLE_PICTURE, MIN_STYLE_PICTURE
from ..protocol import Json
from ..runtime import Session, is_exact
from ..style_pack import (
    EXPLAIN,
    FIT,
    GENERATOR,
    HALF,
    MAX_PICTURES,
    PREVIEW,
    ModelInput,
    ModelSpec,
    StrokeField,
    StylePack,
    StylePicture,
    new_pack,
    write_pack,
)
from .config import to_json
from .data import Pair, to_bytes, to_float
from .gradient_graph import with_gradient
from .networks import (
    COARSE,
    STRIDE,
    Generator,
    GeneratorConfig,
    TextureGenerator,
    TextureGeneratorConfig,
    macs_per_pixel,
    parameters,
    receptive_radius,
)
from .strokes import Strokes
from .teacher import resize
from .trainer import Trainer

G = TypeVar("G", Generator, TextureGenerator)
PARITY = 1e-4
"""Largest difference allowed between onnxruntime and torch, in display-referred values (1/255 is .004)."""
PARITY_SIZES = ((64, 64), (100, 172), (36, 16))
HALF_LARGEST, HALF_MEAN = 1 / 255, 0.1 / 255
"""Largest and mean difference allowed between half and full precision on real pictures, in display-referred values."""
HALF_PICTURES = 4
HALF_SIDE = 256
"""Half precision is measured on squares of this side at most: its error does not grow with the picture."""
KEPT_PAIRS = 1
"""Teacher pairs kept with their match field, as ground truth for provenance: more would not fit into 2.5 MB."""
TRAINING = "training.safetensors"
REDUCED = 0.5
"""Largest scale of style pictures in packs: what provenance compares at, where half as many pixels to each side show
strokes as well and cost a sixteenth"""
QUALITY = 85
"""Of the JPEG, without subsampled colours: 60 to 120 KB of a painting"""


def export(
    out: Path,
    trainer: Trainer,
    sample: Tensor,
    pairs: Sequence[Pair] = (),
    held_out: Json | None = None,
    strokes: Strokes | None = None,
    made_of: MadeOf | None = None,
) -> StylePack:
    """Write the style pack `out`; `sample` is the content its preview shows: (3, H, W) 0..1, its guides below;
    `held_out` says in the recipe what was kept from training; `made_of` what overlays compare results with.

    Without `strokes` the style paints with plain noise.

    Raises EngineError when onnxruntime and torch disagree.
    """
    averages = {name: copy.deepcopy(network).cpu().eval() for name, network in trainer.averages.items()}
    generator = averages.pop("generator")
    assert isinstance(generator, Generator)
    noise = ModelInput(generator.config.noise, scale=STRIDE)
    files = {TRAINING: kept_for_explanations(averages, trainer.critic, pairs)}
    if strokes:
        noise, tables = strokes.packed()
        files |= tables
    contents = [sample, *(to_float(pair.content) for pair in pairs)]
    examples = [fed(generator, content[:, :HALF_SIDE, :HALF_SIDE].cpu(), strokes) for content in contents]
    generator, made, facts = _in_both_precisions(generator, examples)
    files |= made
    files[EXPLAIN] = explain_bytes(files[GENERATOR])
    files[PREVIEW] = png(stylized(generator, sample, strokes))
    spec = model_spec(generator, noise, HALF if HALF in files else "")
    told, reduced = style_pictures(made_of.pictures) if made_of else ((), {})
    fit = made_of.fit() if made_of else None
    if fit:
        files[FIT] = fit.to_bytes()
    return _written(out, trainer, spec, {**files, **reduced}, {"held_out": held_out or {}, **facts}, pictures=told)


def export_texture(out: Path, trainer: Trainer, tables: Mapping[str, Tensor], parts: tuple[int, ...] = ()) -> StylePack:
    """Write the style pack `out` of a texture; the same holds. tables: what its noises are quilted of, by their names;
    parts: see StrokeField."""
    config: TextureGeneratorConfig = trainer.config.generator  # type: ignore[assignment]
    generator = TextureGenerator(config)
    generator.load_state_dict(trainer.averages["generator"].state_dict())
    example = config.example(HALF_SIDE, HALF_SIDE, torch.Generator().manual_seed(0))
    generator, files, facts = _in_both_precisions(generator.eval(), [example])
    files |= {TRAINING: kept_for_explanations({}, trainer.critic, []), PREVIEW: png(trainer.preview()["seeds"][0])}
    spec = texture_spec(generator, HALF if HALF in files else "")
    inputs = dict(spec.inputs)
    for name, table in tables.items():
        own = parts if name == "noise" else ()
        inputs[name], files[f"{name}.bytes"] = _quilted(inputs[name], f"{name}.bytes", table.cpu(), own)
    spec = replace(spec, inputs=inputs)
    return _written(out, trainer, spec, files, facts, controls={"seed": (0.0, 2147483647.0)})


@dataclass(frozen=True)
class MadeOf:
    """What a style was made of, at the size of training: planes (3, h, w) 0..1, and masks (h, w): 0 where nothing was
    learned from; None: all was."""

    pictures: Sequence[tuple[Tensor, Tensor | None]]
    taught: Sequence[tuple[Tensor, Tensor | None]]
    """What was trained on of each"""
    held_out: Sequence[Tensor] = ()
    """What was not"""

    def fit(self) -> Fit | None:
        """What is usual in them; how much is still usual is judged by what was held out, where anything was. None where
        masks leave too little to tell."""
        masks = [torch.ones(picture.shape[1:]) if mask is None else mask for picture, mask in self.taught]
        pictures = [picture for picture, _ in self.taught]
        return Fit.of(*([plane.cpu().numpy() for plane in planes] for planes in (pictures, self.held_out, masks)))


def style_pictures(
    pictures: Sequence[tuple[Tensor, Tensor | None]],
) -> tuple[tuple[StylePicture, ...], dict[str, bytes]]:
    """The first of them as a pack holds them, all at one scale, grey where nothing was learned from, and their files.
    One that would be too narrow is left out."""
    pictures = pictures[:MAX_PICTURES]
    scale = min([REDUCED, *(MAX_STYLE_PICTURE / max(picture.shape[1:]) for picture, _ in pictures)])
    files: dict[str, bytes] = {}
    for picture, mask in pictures:
        size = tuple(int(edge * scale) for edge in picture.shape[1:])
        if min(size) < MIN_STYLE_PICTURE:
            continue
        shown = picture if mask is None else torch.where(mask > 0, picture, torch.full_like(picture, 0.5))
        file = io.BytesIO()
        small = to_bytes(resize(shown, size)).permute(1, 2, 0).numpy()
        Image.fromarray(small).save(file, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
        files[f"picture_{len(files)}.jpg"] = file.getvalue()
    return tuple(StylePicture(name, scale) for name in files), files


def _in_both_precisions(generator: G, examples: Sequence[tuple[Tensor, ...]]) -> tuple[G, dict[str, bytes], Json]:
    """The generator as its style will have it, its files, and for the recipe how far each is from it. Where half
    precision will do, its weights are rounded to it in both files."""
    files: dict[str, bytes] = {}
    half, error = half_precision(generator, examples)
    if half:
        generator = generator.half().float()
        files[GENERATOR] = half_storage(onnx_bytes(generator))
        files[HALF] = without_weights(half, files[GENERATOR])
    else:
        files[GENERATOR] = onnx_bytes(generator)
    return generator, files, {"parity": parity(generator, files[GENERATOR]), "half": error}


def _quilted(item: ModelInput, file: str, table: Tensor, parts: tuple[int, ...]) -> tuple[ModelInput, bytes]:
    """The input with its table (channels, rows, columns) as bytes in a file of that name."""
    limit, stored = in_bytes(table)
    field = StrokeField(file, table.shape[1], table.shape[2], parts)
    return replace(item, range=(-limit, limit), strokes=field), stored.numpy().tobytes()


def in_bytes(table: Tensor) -> tuple[float, Tensor]:
    """A table as it is stored: 0 and 255 stand for the limit below and above 0."""
    limit = float(table.abs().max())
    return limit, ((table / limit + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def as_stored(table: Tensor) -> Tensor:
    """What is read of it again."""
    limit, stored = in_bytes(table)
    return stored.float() * (2 * limit / 255) - limit


def _written(
    out: Path, trainer: Trainer, spec: ModelSpec, files: Mapping[str, bytes], recipe: Json, **more: Any
) -> StylePack:
    """The pack in its place, tried on this machine."""
    config = trainer.config
    recipe = {
        "training": to_json(config),
        "asked": {} if config == trainer.asked else {"batch": trainer.asked.batch, "crop": trainer.asked.crop},
        "steps": trainer.steps_done,
        **recipe,
        "versions": {"engine": __version__, "torch": torch.__version__.split("+")[0]},
    }
    pack = new_pack(
        config.name, spec, author=config.author, licence=config.licence, created=date.today().isoformat(),
        recipe=recipe, **more,
    )  # fmt: skip
    written = write_pack(out, pack, files, replace_old=True)
    if not is_exact(Session(written, "cpu")):
        raise EngineError(
            "Tiles of the exported style differ from the whole picture.",
            "Report this with the processor you have: the style sees further than its network should.",
        )
    return written


def model_spec(generator: Generator, noise: ModelInput, half: str = "") -> ModelSpec:
    config = generator.config
    guides = {name: ModelInput(GUIDES[name].channels) for name in config.guides}
    return ModelSpec(
        inputs={"image": ModelInput(3), "noise": noise, **guides},
        stride=STRIDE,
        receptive_radius=receptive_radius(config),
        parameters=parameters(generator),
        macs_per_pixel=macs_per_pixel(config),
        half=half,
    )


def texture_spec(generator: TextureGenerator, half: str = "") -> ModelSpec:
    config = generator.config
    told = config.distribution
    return ModelSpec(
        inputs={
            "noise": ModelInput(config.channels, scale=COARSE, distribution=told, waves=config.waves),
            "grain": ModelInput(config.grain, scale=STRIDE, distribution=told),
        },
        stride=COARSE,
        receptive_radius=receptive_radius(config),
        parameters=parameters(generator),
        macs_per_pixel=macs_per_pixel(config),
        half=half,
    )


def onnx_bytes(generator: nn.Module) -> bytes:
    """The generator as an ONNX model: the inputs its config names, of any size; output stylized.

    The tracing exporter: for a network without branches it gives the same graph as the newer one, which takes ten times
    as long (dynamo=True, torch 2.13).
    """
    file = io.BytesIO()
    config: GeneratorConfig = generator.config  # type: ignore[assignment]
    example = config.example(64, 96, torch.Generator().manual_seed(0))
    cells = {"noise": {2: "rows", 3: "columns"}, "grain": {2: "grain_rows", 3: "grain_columns"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # said of the tracing exporter at every call
        torch.onnx.export(
            generator.eval(),
            example,
            file,  # type: ignore[arg-type]  # the tracing exporter writes into files as well
            dynamo=False,
            opset_version=18,
            input_names=list(config.inputs),
            output_names=["stylized"],
            dynamic_axes={name: cells.get(name, {2: "height", 3: "width"}) for name in (*config.inputs, "stylized")},
        )
    return file.getvalue()


def parity(generator: Generator | TextureGenerator, data: bytes) -> float:
    """Largest difference between torch and onnxruntime (CPU) over three sizes. Raises EngineError above PARITY."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    random = torch.Generator().manual_seed(0)
    worst = 0.0
    for size in PARITY_SIZES:
        height, width = (-(-edge // generator.config.stride) * generator.config.stride for edge in size)
        example = generator.config.example(height, width, random)
        with torch.no_grad():
            ours = generator(*example).numpy()
        (theirs,) = session.run(None, _named(generator.config, example))
        worst = max(worst, float(np.abs(ours - theirs).max()))
    if not worst <= PARITY:
        raise EngineError(
            f"The exported style differs from the trained one by {worst:.2g} (allowed: {PARITY:.0e}).",
            "Train again with torch 2.13.0, the version exports are tested with.",
        )
    return worst


def explain_bytes(generator: bytes) -> bytes:
    """The graph of gradients by the picture, for a generator's ONNX file, whose weights it takes."""
    return without_weights(with_gradient(generator, ["image"]), generator)


def _named(config: GeneratorConfig, inputs: Sequence[Tensor]) -> dict[str, Any]:
    """What onnxruntime takes for what the generator takes."""
    return {name: value.numpy() for name, value in zip(config.inputs, inputs, strict=True)}


def half_storage(data: bytes) -> bytes:
    """The same ONNX model with its weights stored in half precision, `NAME.half` cast to NAME: half the size. It still
    computes in float32; a session casts once, when it is made. What rounding does is part of what half_error measures.
    """
    model = onnx.load_from_string(data)
    casts = []
    for weight in model.graph.initializer:
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{weight.name}.half")
        casts.append(helper.make_node("Cast", [half.name], [weight.name], to=TensorProto.FLOAT))
        weight.CopyFrom(half)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    stored: bytes = model.SerializeToString()
    return stored


def without_weights(data: bytes, beside: bytes) -> bytes:
    """The ONNX model without the weights that the model `beside` has as well, the same bits under whatever name: see
    onnx_weights.py, which puts them back."""
    model = onnx.load_from_string(data)
    known: dict[tuple[Any, ...], list[str]] = {}
    for weight in onnx.load_from_string(beside).graph.initializer:
        known.setdefault(_essence(weight), []).append(weight.name)
    named: dict[str, str] = {}
    own = []
    for weight in model.graph.initializer:
        alike = known.get(_essence(weight))
        if alike:
            named[weight.name] = alike.pop(0)  # one for each: biases may all be zero
        else:
            own.append(weight)
    del model.graph.initializer[:]
    model.graph.initializer.extend(own)
    for node in model.graph.node:
        node.input[:] = [named.get(name, name) for name in node.input]
    left: bytes = model.SerializeToString()
    return left


def _essence(weight: onnx.TensorProto) -> tuple[Any, ...]:
    return weight.data_type, tuple(weight.dims), numpy_helper.to_array(weight).tobytes()


class HalfPrecision(nn.Module):
    """A generator with weights and arithmetic in half precision; inputs and output stay float32."""

    def __init__(self, generator: Generator | TextureGenerator) -> None:
        super().__init__()
        self.config: GeneratorConfig = generator.config
        self.inner = copy.deepcopy(generator).half()

    def forward(self, *inputs: Tensor) -> Tensor:
        result: Tensor = self.inner(*(value.half() for value in inputs))
        return result.float()


def half_precision(
    generator: Generator | TextureGenerator, examples: Sequence[tuple[Tensor, ...]]
) -> tuple[bytes, Json]:
    """The generator as an ONNX model in half precision, and its error for the recipe.

    Empty where the error on `examples`, each all that the generator takes, is larger than allowed; the recipe then says
    so.
    """
    data = onnx_bytes(HalfPrecision(generator))
    largest, mean = half_error(generator, data, examples[:HALF_PICTURES])
    error: Json = {"largest": largest, "mean": mean}
    if largest <= HALF_LARGEST and mean <= HALF_MEAN:
        return data, error
    return b"", {**error, "left_out": "the error is larger than 1/255 at most or .1/255 on average"}


def half_error(
    generator: Generator | TextureGenerator, data: bytes, examples: Sequence[tuple[Tensor, ...]]
) -> tuple[float, float]:
    """Largest and mean difference that half precision makes in results, in display-referred values.

    The larger of two: of the file `data` in onnxruntime, which on a processor computes in float between the rounded
    weights, and of the network with every single result rounded to half, as a graphics card computes it.
    """
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    coarse = copy.deepcopy(generator).half().float()
    errors = []
    for inputs in examples:
        with torch.no_grad():
            full = generator(*inputs).clamp(0, 1)
            with _HalfResults():
                rounded = coarse(*inputs).clamp(0, 1)
        (ran,) = session.run(None, _named(generator.config, inputs))
        errors += [(full - rounded).abs(), (full - torch.from_numpy(ran).clamp(0, 1)).abs()]
    return max(float(e.max()) for e in errors), max(float(e.mean()) for e in errors)


class _HalfResults(TorchFunctionMode):
    """Rounds the result of every operation to half precision and goes on in float32: sums inside an operation stay
    exact, as in the matrix units of a graphics card. torch's own half convolution takes 10 s a picture on a processor,
    and gives the same error (.2 to .4 of 1/255 at most on Starry Night)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return result.half().float() if isinstance(result, Tensor) and result.dtype == torch.float32 else result


def kept_for_explanations(networks: Mapping[str, nn.Module], critic: nn.Module, pairs: Sequence[Pair]) -> bytes:
    """Networks in 8 bits (see in_8_bits; not the generator: its weights are in its ONNX file, by the same names); a
    content with the teacher's match field and the tiles it tells of (see Pair).

    Content and match field as bytes of pictures without loss: WebP, and PNG of 16 bits, its three planes below each
    other. With the default critic .7 MB.
    """
    kept: dict[str, Tensor] = {}
    for name, module in {**networks, "critic": critic}.items():
        for key, value in module.state_dict().items():
            kept |= {f"{name}/{key}{part}": stored for part, stored in in_8_bits(value.detach().cpu()).items()}
    for index, pair in enumerate(pairs[:KEPT_PAIRS]):
        kept[f"content_webp/{index}"], kept[f"match_field_png/{index}"] = pair.packed
        kept[f"tiles/{index}"] = pair.tiles
    return save({name: value.contiguous() for name, value in kept.items()})


def in_8_bits(weight: Tensor) -> dict[str, Tensor]:
    """What is stored of a weight, by what is appended to its name: of a convolution int8 and the float32 step
    of each output channel (`.step`, to be multiplied with), of all else fp16.

    On Starry Night's critic logits moved by 1 to 4 % of their deviation: too little for a map of where it does not look
    like the style, which is calibrated on what is stored.
    """
    if weight.ndim != 4:
        return {"": weight.half()}
    step = weight.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12) / 127
    return {"": (weight / step).round().to(torch.int8), ".step": step}


def stylized(generator: Generator, content: Tensor, strokes: Strokes | None = None) -> Tensor:
    """A content (3, H, W) 0..1, with its guides below -> (3, H, W) 0..1: borders are reflected up to the stride.

    strokes: None paints with plain noise.
    """
    _, height, width = content.shape
    with torch.no_grad():
        result: Tensor = generator(*fed(generator, content, strokes))
    return result[0, :, :height, :width].clamp(0, 1)


def fed(generator: Generator, content: Tensor, strokes: Strokes | None) -> tuple[Tensor, ...]:
    """What the generator takes for a content (3 and the channels of its guides, H, W): picture (1, 3, H', W'), noise
    and guides, on the processor."""
    _, height, width = content.shape
    padded = nn.functional.pad(content[None], (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
    if strokes is None:
        size = (generator.config.noise, *(edge // STRIDE for edge in padded.shape[2:]))
        noise = torch.randn(size, generator=torch.Generator().manual_seed(0))
    else:
        noise = strokes.over(padded[0, :3].cpu())
    image, *guides = padded.cpu().split([3, *(GUIDES[name].channels for name in generator.config.guides)], 1)
    return image, noise[None], *guides


def png(picture: Tensor) -> bytes:
    """(3, H, W) 0..1 -> an 8-bit PNG."""
    file = io.BytesIO()
    Image.fromarray(to_bytes(picture).permute(1, 2, 0).numpy()).save(file, "PNG", optimize=True)
    return file.getvalue()
