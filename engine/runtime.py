"""Styles at work: onnxruntime sessions, exact tiling, memory fallback.

Tiling. Every result pixel is computed from a window that reaches at least one receptive radius beyond it, aligned to
the stride on the picture's absolute grid. Does onnxruntime then give the same bits for windows of different shape?
Measured with onnxruntime 1.32 on x86-64 (AVX-512), see tests/engine/test_runtime.py:
  * with graph optimisation ALL convolutions run on the blocked (NCHWc) kernels, which sum every output pixel in one
    fixed order. No difference in any of 7,000 windows of 1..240 px, for 1x1 to 9x9 kernels, grouped, depthwise and
    dilated, nearest and linear upsampling, channel means, all usual activations, 1 and 2 threads, batches;
  * with EXTENDED or less they run as matrix products, and those cut the sum over input channels differently when the
    result has fewer than about 64 pixels: differences of 1e-6.
So the optimisation level is part of the promise, and no window is smaller than MIN_WINDOW (processors without
blocked kernels get their margin that way). `is_exact` measures it for one style; training runs it at export.
"""

from __future__ import annotations

import copy
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import onnxruntime as ort

from . import forms, guides, machine, noise, onnx_graph, onnx_growth, onnx_lock
from .canvas import ArrayCanvas, Canvas, beyond_border, border_indices
from .errors import EngineError
from .picture import Array, Floats
from .quilting import Quilt
from .resample import Resampled
from .style_pack import EXPLAIN, GRADIENT, MAX_CHANNELS, NOISES, REGION, ModelInput, ModelSpec, StylePack, scales

MIN_WINDOW = 64
"""Smallest edge of a window the model runs on, in pixels."""
BORDER = 16
"""Pixels of mirrored picture beyond a border that is not wrapped. Beyond them the model's own padding takes over.
A full halo there would cost 14 % at 1920x1080 and nobody sees the difference; the rule is the same for every tile."""
WINDOW_BYTES = 1_100_000_000
"""Working memory of the largest window by default: a network of 45 GMAC runs a 1920x1080 picture as one (0.9 GB)."""
TILE_BYTES = 800_000_000
"""The same once a picture needs several tiles: a large texture takes memory of its own beside them."""
TENSORS_ALIVE = 4
"""Working memory divided by the largest tensor: measured 3.9 for our generator, 3 to 4 for residual networks."""
FREE_SIZE = 1024
"""Tile edge for models that are neither local nor of fixed size."""
TRIAL_SECONDS = 60
"""A style for pictures paints its trial in seconds, on any machine."""
_DEVICES = ("auto", "cpu", "cuda")
_PRECISIONS = ("auto", "full")


class OutOfMemoryError(Exception):
    """The model did not fit; the caller tries smaller windows."""


# ---------------------------------------------------------------- sessions


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a style took from the whole frame of one picture."""

    of: str
    """Name of the picture"""
    values: Mapping[str, Floats]
    """By the names of the network's tensors: two numbers per channel of a normalisation, 6 KB of 15 of them"""


class Session:
    """A style's network, ready to run on planes of display-referred colour."""

    locked_to = ""
    """The picture whose statistics it has, whatever it paints"""

    def __init__(
        self,
        pack: StylePack,
        device: str = "auto",
        note: Callable[[str], None] | None = None,
        precision: str = "auto",
    ) -> None:
        """device: auto | cpu | cuda. precision: auto | full, see `generator_file`.

        note: told in the artist's words when auto had to fall back, and of what else the artist should know.
        """
        self.pack = pack
        self.spec: ModelSpec = pack.model
        self.note = note or (lambda text: None)
        self.fell_back = ""
        """Why it is the processor that paints, where CUDA was to be expected"""
        _check_inputs(pack)
        data = pack.network(pack.model.file)
        self._session, self.device = _open(pack, device, self._fall_back, precision)
        self.precision = "full" if generator_file(self.spec, self.device, precision) == self.spec.file else "half"
        """half | full"""
        self.bytes_per_pixel = (
            60 + 4 * TENSORS_ALIVE * onnx_growth.measure(onnx_graph.inspect(data), scales(pack.model)).elements
        )
        tables = {name: _fields(pack, item) for name, item in self.spec.inputs.items() if item.strokes}
        self.quilts = _quilts(self.spec, tables)
        self.strokes, self.turned = tables.get("noise"), _turned(pack)
        self._tensors = {key: item.tensor or key for key, item in self.spec.inputs.items()}

    def _fall_back(self, why: str) -> None:
        self.fell_back = why
        self.note(why)

    def ran_on(self) -> dict[str, str]:
        """For the report of a job: the device; and why it is not the one to be expected, where it is not"""
        return {"device": self.device, **({"fell_back": self.fell_back} if self.fell_back else {})}

    def _again(self, data: bytes) -> ort.InferenceSession:
        """Another network on the device of this one"""
        session = _cuda_session(data) if self.device == "cuda" else None
        if session is None and self.device == "cuda":
            self._fall_back("CUDA could not be started again: working on the processor instead.")
        return session or ort.InferenceSession(data, _options(), providers=["CPUExecutionProvider"])

    def run(self, image: Floats, noise_map: Floats | None = None, told: Mapping[str, Floats] | None = None) -> Floats:
        """(N, 3, h, w) display-referred 0..1, noise (N, C, h/scale, w/scale) when the style takes it, and what its
        guides tell, (N, C, h, w) by their names -> (N, 3, h, w) display-referred, not clamped."""
        return self._result(self._feeds(image, noise_map, told or {}), image.shape)

    def _feeds(self, image: Floats, noise_map: Floats | None, told: Mapping[str, Floats]) -> dict[str, Floats]:
        feeds = {self._tensors["image"]: to_model(image, self.spec.inputs["image"])}
        feeds |= {self._tensors[name]: np.ascontiguousarray(values) for name, values in told.items()}
        return feeds if noise_map is None else {**feeds, self._tensors["noise"]: noise_map}

    def gradient(self, image: Floats, noise_map: Floats | None, told: Mapping[str, Floats], region: Floats) -> Floats:
        """Of sum(region * result) by the picture, both (N, 3, h, w) and the rest as for `run`; the result is not
        clamped. Raises EngineError for a style that does not bring its gradients."""
        feeds = {**self._feeds(image, noise_map, told), REGION: np.ascontiguousarray(region)}
        try:
            found: Floats = self._reverse.run([GRADIENT + "image"], feeds)[0]
        except (*_FAIL, MemoryError) as error:
            raise _reason(error, self.pack) from error
        if found.shape != image.shape or not np.isfinite(found.sum(dtype=np.float32)):
            raise EngineError(
                f"{EXPLAIN} of the style {self.pack.name!r} gives no gradient of the picture.", "Train the style again."
            )
        return found

    def need_gradients(self) -> None:
        """Raises EngineError for a style that does not bring its gradients."""
        if not self.pack.explains:
            why = "it is of an older version" if self.pack.kind == "pentimento" else "it was made by another program"
            raise EngineError(
                f"The style {self.pack.name!r} does not bring its gradients: {why}.",
                "Choose overlays that only run styles forwards (Removal, Scale, Styles, Passes, Objects), or a style "
                "trained with Pentimento.",
            )

    @cached_property
    def _reverse(self) -> ort.InferenceSession:
        """The style's network gone through backwards"""
        self.need_gradients()
        return self._again(self.pack.network(EXPLAIN))

    def reference_size(self, height: int, width: int, stroke: float) -> tuple[int, int]:
        """Height and width in which a picture of that size is looked at as a whole: as the model sees it, and no larger
        than one run of it."""
        tall, wide = self.spec.fixed_size or (FREE_SIZE, FREE_SIZE)
        room = 7 / 8 if self.spec.fixed_size else 1.0  # as tile_starts leaves around a picture in one tile
        shrink = min(1 / stroke, room * tall / height, room * wide / width)
        return max(1, round(height * shrink)), max(1, round(width * shrink))

    def statistics(
        self, planes: Floats, paint: Paint, name: str, passes: Mapping[str, Array] | None = None
    ) -> Statistics:
        """What the style takes from the whole frame, of one whole picture: planes (3, h, w) 0..1 in `reference_size`.
        name: what the picture is called. passes: of its render, (H, W, C) by their names, for styles with guides.

        Raises EngineError for a style whose statistics cannot be locked, and where memory is short.
        """
        guides.need(self.guides, passes, f"The style {self.pack.name!r}", name)
        network = self._lockable()
        tall, wide = self.spec.fixed_size or (
            max(MIN_WINDOW, -(-size // self.spec.stride) * self.spec.stride) for size in planes.shape[1:]
        )
        window = ((planes.shape[1] - tall) // 2, (planes.shape[2] - wide) // 2, tall, wide)
        source = ArrayCanvas(planes, paint.wrap)
        told = {guide: _told(guide, passes or {}, paint, *planes.shape[1:]) for guide in self.guides}
        feeds = self._feeds(source.read(*window)[None], noise_for(self, paint, window, source), _at(told, window))
        try:
            asked = ort.InferenceSession(onnx_lock.telling(network), _options(), providers=["CPUExecutionProvider"])
            found = asked.run(list(network.asked), feeds)
        except (*_FAIL, MemoryError) as error:
            raise _refusal(error, self.pack) from error
        return Statistics(name, dict(zip(network.asked, found, strict=True)))

    def locked(self, statistics: Statistics) -> Session:
        """The same style with these statistics for good, in full precision. Raises EngineError where memory is
        short."""
        network = self._lockable()
        other = copy.copy(self)
        try:
            other._session = other._again(onnx_lock.locked(network, statistics.values))
        except (*_FAIL, MemoryError) as error:
            raise _refusal(error, self.pack) from error
        other.precision = "full"  # made of the full file, on CUDA too
        other.spec = replace(self.spec, receptive_radius=onnx_lock.radius(network, self.spec.stride))
        other.locked_to = statistics.of
        return other

    def _lockable(self) -> onnx_lock.Lockable:
        return onnx_lock.lockable(self.pack.network(self.spec.file), self.spec.layout == "NHWC")

    def make(self, noises: Mapping[str, Floats]) -> Floats:
        """Of a texture style: noise maps (N, C, h/scale, w/scale) by their names -> (N, 3, h, w) display-referred, not
        clamped."""
        count, _, rows, columns = noises["noise"].shape
        scale = self.spec.inputs["noise"].scale
        feeds = {self._tensors[name]: np.ascontiguousarray(values) for name, values in noises.items()}
        return self._result(feeds, (count, 3, rows * scale, columns * scale))

    def _result(self, feeds: dict[str, Floats], shape: tuple[int, ...]) -> Floats:
        """What the model makes of its inputs, checked to be pictures of that shape."""
        try:
            result = self._session.run([self.spec.output], feeds)[0]
        except (*_FAIL, MemoryError) as error:
            raise _reason(error, self.pack) from error
        result = from_model(result, self.spec)
        if result.shape != shape:
            raise EngineError(
                f"The style {self.pack.name!r} returned {result.shape} for {shape}.",
                "It cannot be used: ask its author for a model whose result has the size of its input.",
            )
        if not np.isfinite(result.sum(dtype=np.float32)):
            raise EngineError(
                f"The style {self.pack.name!r} returned values that are no numbers.", "Train or import it again."
            )
        return result

    @property
    def guides(self) -> tuple[str, ...]:
        """Names in guides.GUIDES of what the style is told beside the picture."""
        return tuple(name for name in self.spec.inputs if name in guides.GUIDES)

    @property
    def noise_channels(self) -> int:
        """0 when the style takes no noise"""
        item = self.spec.inputs.get("noise")
        return item.channels if item else 0


def _quilts(spec: ModelSpec, tables: Mapping[str, Floats]) -> tuple[Quilt, ...]:
    """What the noise of a texture style is laid of, where it is quilted: by variants, of all of them first."""
    coarse = spec.inputs["noise"].strokes if spec.makes_textures else None
    if coarse is None:
        return ()
    whole = Quilt(tables, coarse.parts)
    return whole, *(whole.part(number + 1) for number in range(spec.variants))


def _fields(pack: StylePack, item: ModelInput) -> Floats:
    """The noise that a style brings for an input (channels, rows, columns)."""
    assert item.strokes is not None
    return _table(pack, item, item.strokes.file).reshape(item.channels, item.strokes.rows, item.strokes.columns)


def _turned(pack: StylePack) -> Floats | None:
    """Its strokes by their directions (turns, channels, rows, columns), where it has such."""
    item = pack.model.inputs.get("noise")
    if item is None or item.turned is None:
        return None
    turned = item.turned
    return _table(pack, item, turned.file).reshape(turned.turns, item.channels, turned.rows, turned.columns)


def _table(pack: StylePack, item: ModelInput, file: str) -> Floats:
    stored = np.frombuffer(pack.read(file), np.uint8)
    low, high = item.range
    values: Floats = (low + stored.astype(np.float32) * np.float32((high - low) / 255)).astype(np.float32)
    return values


def _check_inputs(pack: StylePack) -> None:
    for name, item in pack.model.inputs.items():
        known = guides.GUIDES.get(name)
        plain = known and (item.channels, item.layout, item.scale) == (known.channels, "NCHW", 1)
        if name not in ("image", *(NOISES if pack.model.makes_textures else NOISES[:1])) and not plain:
            raise EngineError(
                f"The style {pack.name!r} wants to be told {name!r}, which this version does not know.",
                "Update Pentimento, or choose another style.",
            )


_STATES = ort.capi.onnxruntime_pybind11_state
_FAIL = tuple(
    getattr(_STATES, name)
    for name in (
        "Fail",
        "RuntimeException",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NotImplemented",
        "NoSuchFile",
        "EPFail",
    )
    if hasattr(_STATES, name)
)


def _reason(error: BaseException, pack: StylePack) -> Exception:
    text = str(error)
    if isinstance(error, MemoryError) or any(sign in text for sign in _NO_MEMORY):
        return OutOfMemoryError(text[:300])
    return EngineError(
        f"The style {pack.name!r} could not be run ({text.splitlines()[0][:200]}).",
        "Import or train the style again; if it came from somebody else, ask for another export.",
    )


def _refusal(error: BaseException, pack: StylePack) -> Exception:
    """The same where no smaller window can be tried."""
    reason = _reason(error, pack)
    return _too_large(pack) if isinstance(reason, OutOfMemoryError) else reason


_NO_MEMORY = (
    "Available memory",
    "Failed to allocate memory",
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "CUDA failure 2",
)


def generator_file(spec: ModelSpec, device: str, precision: str = "auto") -> str:
    """The file of the style that runs on a device (cpu | cuda). precision: auto | full.

    Auto takes half precision on CUDA where the style has it, never on the processor: results there stay the same bits.
    """
    return spec.half if spec.half and device == "cuda" and precision == "auto" else spec.file


def _open(
    pack: StylePack, device: str, note: Callable[[str], None], precision: str
) -> tuple[ort.InferenceSession, str]:
    if device not in _DEVICES:
        raise EngineError(f"There is no device {device!r}.", "Choose auto, cpu or cuda.")
    if precision not in _PRECISIONS:
        raise EngineError(f"There is no precision {precision!r}.", "Choose auto or full.")
    if device != "cpu" and cuda_listed():
        session = _cuda_session(pack.network(generator_file(pack.model, "cuda", precision)))
        if session:
            return session, "cuda"
        if device == "auto":
            note("CUDA could not be started: working on the processor instead.")
    if device == "cuda":
        raise EngineError(
            "This Python cannot use CUDA.",
            "Choose device auto or cpu, or enter a Python with onnxruntime-gpu in the preferences.",
        )
    try:
        data = pack.network(generator_file(pack.model, "cpu", precision))
        return ort.InferenceSession(data, _options(), providers=["CPUExecutionProvider"]), "cpu"
    except (*_FAIL, MemoryError) as error:
        raise _refusal(error, pack) from error


def cuda_listed() -> bool:
    """This onnxruntime was built for CUDA (whether a device is there shows when a session starts)."""
    return "CUDAExecutionProvider" in ort.get_available_providers()


def cuda_starts() -> bool:
    """Does a session start on the card, with the driver and libraries that are there?"""
    return _cuda_session(_PROBE) is not None


_PROBE = (
    b'\x08\x08:2\n\x0b\n\x01x\x12\x01y"\x03Abs\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
"""The smallest model: y = |x| of one number"""


def _cuda_session(data: bytes) -> ort.InferenceSession | None:
    """A session on the first CUDA device, or None. TF32 would cost the 1/255 that is promised."""
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # finds the CUDA libraries that torch or pip brought
    settings = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
    try:
        session = ort.InferenceSession(
            data, _options(), providers=[("CUDAExecutionProvider", settings), "CPUExecutionProvider"]
        )
    except _FAIL:
        return None
    return session if session.get_providers()[0] == "CUDAExecutionProvider" else None


def _options() -> ort.SessionOptions:
    """Measured on two cores at 1920x1080: a memory pattern per window shape doubles the peak (1060 MB against 600 MB)
    and wins nothing; spinning threads take the processor from Blender while they wait."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = machine.cores()
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if _limited_arena():
        options.add_session_config_entry("session.use_env_allocators", "1")
    return options


@cache
def _limited_arena() -> bool:
    """One arena for the process that refuses to grow beyond 70 % of what was free when it started.

    Linux hands out memory it does not have and then kills the process; a refusal we can answer with smaller tiles.
    """
    limit = max(256 << 20, min(int(machine.available_memory() * 0.7), 1 << 40))
    info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(info, ort.OrtArenaCfg({"max_mem": limit, "arena_extend_strategy": 1}))
    return True


def open_untrusted(data: bytes) -> ort.InferenceSession:
    """A session for a first trial of somebody else's model: nothing is computed in advance."""
    options = _options()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except (*_FAIL, MemoryError) as error:
        raise _unusable(error) from error


def run_untrusted(session: ort.InferenceSession, feeds: dict[str, Floats], outputs: Sequence[str]) -> list[Floats]:
    """One run of at most TRIAL_SECONDS."""
    run_options = ort.RunOptions()
    timer = threading.Timer(TRIAL_SECONDS, setattr, (run_options, "terminate", True))
    timer.start()
    try:
        return session.run(list(outputs), feeds, run_options)
    except (*_FAIL, MemoryError) as error:
        raise _unusable(error) from error
    finally:
        timer.cancel()


def _unusable(error: BaseException) -> EngineError:
    return EngineError(
        f"The model cannot be run ({' '.join(str(error).split())[:300]}).",
        "Ask its author for an export that runs in onnxruntime.",
    )


def to_model(image: Floats, item: ModelInput) -> Floats:
    """(N, 3, h, w) display-referred 0..1 in the order, layout and values the model takes."""
    for step, values in ((np.subtract, item.mean), (np.divide, item.deviation)):
        image = step(image, np.array(values, np.float32).reshape(1, 3, 1, 1)) if values else image
    result = image[:, ::-1] if item.order == "BGR" else image
    low, high = item.range
    if (low, high) != (0.0, 1.0):
        result = result * np.float32(high - low) + np.float32(low)
    return np.ascontiguousarray(result.transpose(0, 2, 3, 1) if item.layout == "NHWC" else result)


def from_model(result: Floats, spec: ModelSpec, planar: bool = False) -> Floats:
    """What the model returned as (N, 3, h, w) display-referred RGB. planar: it is in planes already."""
    if spec.layout == "NHWC" and not planar:
        result = result.transpose(0, 3, 1, 2)
    low, high = spec.range
    if (low, high) != (0.0, 1.0):
        result = (result - np.float32(low)) / np.float32(high - low)
    return result[:, ::-1] if spec.order == "BGR" else result


# ---------------------------------------------------------------- painted canvases


@dataclass(frozen=True)
class Paint:
    """How one picture is painted."""

    seed: int = 0
    stroke: float = 1.0
    """2 paints with strokes twice as large: the model sees the picture at half its size"""
    wrap: bool = False
    """The picture is tileable"""
    diversity: float = 1.0
    """Strength of the noise: 0 paints without, 1 as the style was trained"""
    follow: float = 1.0
    """How far strokes follow the forms of the picture: 0 as the painter laid them .. 1"""
    variant: int = 0
    """Of a texture: see TextureRequest"""
    seen_at: float = 1.0
    """The picture was reduced to the size in which this stroke size shows it: passes were not, and are seen so, too"""
    moved: noise.Moved | None = None
    """Of a shot, so that strokes move on with what they are painted on"""


def painted(
    session: Session,
    source: Canvas,
    paint: Paint,
    passes: Mapping[str, Array] | None = None,
    followed: Canvas | None = None,
) -> Canvas:
    """The stylized picture as a canvas of the same size: display-referred, not clamped, any window on demand.

    `source` wraps when `paint.wrap` is set. passes: of the render that `source` shows, (H, W, C) by their names, for
    styles with guides; `source` may be reduced. followed: the picture, of the same size, whose forms strokes
    follow, where it is not the source itself.
    """
    guides.need(session.guides, passes, f"The style {session.pack.name!r}", "this picture")
    height, width = inner_size(session.spec, source.height, source.width, paint)
    small = _sized(source, height, width)
    told = {name: _told(name, passes or {}, paint, height, width) for name in session.guides}
    kind = Local if session.spec.local else Blended
    result: Canvas = kind(session, small, paint, told, small if followed is None else _sized(followed, height, width))
    return result if small is source else Resampled(result, source.height, source.width)


def _told(name: str, passes: Mapping[str, Array], paint: Paint, height: int, width: int) -> Canvas:
    """A guide in the size the model sees."""
    planes = guides.planes(name, passes, paint.seed, paint.stroke * paint.seen_at)
    return _sized(ArrayCanvas(planes, paint.wrap), height, width)


def _sized(canvas: Canvas, height: int, width: int) -> Canvas:
    return canvas if (height, width) == (canvas.height, canvas.width) else Resampled(canvas, height, width)


def _at(told: Mapping[str, Canvas], window: tuple[int, int, int, int]) -> dict[str, Floats]:
    """What guides tell of a window, (1, C, h, w) each."""
    return {name: canvas.read(*window)[None] for name, canvas in told.items()}


def inner_size(spec: ModelSpec, height: int, width: int, paint: Paint) -> tuple[int, int]:
    """The size the model sees. A tileable picture becomes a multiple of the stride, or the grid would not close."""
    step = spec.stride if paint.wrap else 1
    return (
        max(1, round(height / paint.stroke / step)) * step,
        max(1, round(width / paint.stroke / step)) * step,
    )


class _Windows(ABC):
    """A local style at work, one window after the other, each as large as memory allows."""

    def __init__(self, session: Session, height: int, width: int, paint: Paint) -> None:
        self.session, self.height, self.width, self.paint = session, height, width, paint
        stride, radius = session.spec.stride, session.spec.receptive_radius or 0
        self.halo = -(-radius // stride) * stride
        self._largest = 1 << 62

    @abstractmethod
    def window(self, top: int, left: int, height: int, width: int) -> Floats:
        """One run of the model, (3, height, width)."""

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        return beyond_border(self._inside, self.height, self.width, self.paint.wrap, (top, left, height, width), axis=1)

    def _inside(self, top: int, left: int, height: int, width: int) -> Floats:
        """A window within the border; in halves where it does not fit into memory."""
        if height * width > self._largest:
            return self._halves(top, left, height, width)
        try:
            return self.window(top, left, height, width)
        except OutOfMemoryError as error:
            if height * width <= MIN_WINDOW**2:
                raise _too_large(self.session.pack) from error
            self._largest = height * width // 2
            self.session.note("Not enough memory for tiles of this size: going on with smaller ones.")
            return self._halves(top, left, height, width)

    def _halves(self, top: int, left: int, height: int, width: int) -> Floats:
        if height >= width:
            half = height // 2
            parts = [self._inside(top, left, half, width), self._inside(top + half, left, height - half, width)]
            return np.concatenate(parts, axis=1)
        half = width // 2
        parts = [self._inside(top, left, height, half), self._inside(top, left + half, height, width - half)]
        return np.concatenate(parts, axis=2)

    def _wanted(self, start: int, count: int) -> tuple[int, int]:
        """First and last position that results at start .. start + count can see, on the stride's grid."""
        stride = self.session.spec.stride
        return (start // stride) * stride - self.halo, -(-(start + count) // stride) * stride + self.halo

    def _endless(self, start: int, count: int) -> tuple[int, int]:
        """The window of the model (start, size) for these results where there is no border."""
        (low, high), stride = self._wanted(start, count), self.session.spec.stride
        missing = max(0, MIN_WINDOW - (high - low))
        return low, high - low + -(-missing // stride) * stride


class Local(_Windows):
    """A local style on a canvas: exact in any window."""

    def __init__(
        self, session: Session, source: Canvas, paint: Paint, told: Mapping[str, Canvas], followed: Canvas
    ) -> None:
        """told: by its guides; followed: whose forms strokes follow. Both as large as the source."""
        super().__init__(session, source.height, source.width, paint)
        self.source, self.told, self.followed = source, told, followed

    def window(self, top: int, left: int, height: int, width: int) -> Floats:
        """One run of the model, (3, height, width)."""
        (y, tall), (x, wide) = self.span(top, height, 0), self.span(left, width, 1)
        image = self.source.read(y, x, tall, wide)
        result = self.session.run(image[None], self.noise(y, x, tall, wide), _at(self.told, (y, x, tall, wide)))[0]
        return result[:, top - y : top - y + height, left - x : left - x + width]

    def pulled(self, weights: Floats, top: int, left: int, onto: Floats) -> None:
        """Adds to `onto` (3, H, W) the gradient of sum(weights * result) by the source, where the weights (3, h, w) lie
        from (top, left) on and are 0 elsewhere. What was seen beyond the border is of the pixels mirrored there."""
        _, height, width = weights.shape
        (y, tall), (x, wide) = self.span(top, height, 0), self.span(left, width, 1)
        region = np.zeros((1, 3, tall, wide), np.float32)
        region[0, :, top - y : top - y + height, left - x : left - x + width] = weights
        window = (y, x, tall, wide)
        image = self.source.read(*window)[None]
        gradient = self.session.gradient(image, self.noise(*window), _at(self.told, window), region)[0]
        rows, columns = (
            border_indices(start, count, size, self.paint.wrap)
            for start, count, size in ((y, tall, self.height), (x, wide, self.width))
        )
        places = (slice(None), rows[:, None], columns[None, :])
        np.add.at(onto, places, gradient)  # type: ignore[arg-type]  # its stub forgot slices

    def span(self, start: int, count: int, axis: int) -> tuple[int, int]:
        """The window of the model (start, size) that gives result pixels start .. start + count along an axis.

        axis: 0 rows, 1 columns.
        """
        if self.paint.wrap:
            return self._endless(start, count)
        stride = self.session.spec.stride
        low, high = self._wanted(start, count)
        first, last = self._border(axis)
        low, high = max(low, first), min(high, last)
        if high - low < MIN_WINDOW:
            high = min(last, low + -(-MIN_WINDOW // stride) * stride)
            low = max(first, high - -(-MIN_WINDOW // stride) * stride)
        return low, high - low

    def _border(self, axis: int) -> tuple[int, int]:
        """Where the extended picture starts and ends: a few mirrored pixels around it, on the stride's grid."""
        stride = self.session.spec.stride
        border = -(-min(BORDER, self.halo) // stride) * stride
        last = -(-((self.height, self.width)[axis] + border) // stride) * stride
        return -border, max(last, -(-MIN_WINDOW // stride) * stride - border)

    def noise(self, top: int, left: int, height: int, width: int) -> Floats | None:
        """The noise map (1, C, h/scale, w/scale) of a window of the model."""
        return noise_for(self.session, self.paint, (top, left, height, width), self.followed)


class Followed(ArrayCanvas):
    """A picture whose forms strokes follow while others are painted, again and again: strokes are laid once."""

    _MOST = 256
    """Windows: a question about a picture comes back to the same few"""

    def __init__(self, planes: Floats, wrap: bool = False) -> None:
        super().__init__(planes, wrap)
        self._laid: dict[tuple[Session, Paint, tuple[int, int, int, int]], Floats] = {}

    def noise(self, session: Session, paint: Paint, window: tuple[int, int, int, int]) -> Floats:
        """See noise_for."""
        key = (session, paint, window)
        if key not in self._laid:
            if len(self._laid) >= self._MOST:
                self._laid.clear()
            self._laid[key] = _laid(session, paint, window, self)
        return self._laid[key]


def noise_for(session: Session, paint: Paint, window: tuple[int, int, int, int], picture: Canvas) -> Floats | None:
    """The noise map (1, C, h/scale, w/scale) for a window (top, left, height, width) of a picture, or None without
    noise input."""
    if not session.noise_channels:
        return None
    if isinstance(picture, Followed):
        return picture.noise(session, paint, window)
    return _laid(session, paint, window, picture)


def _laid(session: Session, paint: Paint, window: tuple[int, int, int, int], picture: Canvas) -> Floats:
    item = session.spec.inputs["noise"]
    size = (picture.height, picture.width)
    period = (max(1, size[0] // item.scale), max(1, size[1] // item.scale)) if paint.wrap else None
    top, left, height, width = (value // item.scale for value in window)
    cells = (top, left, height, width)
    moved = paint.moved.cells(*cells, paint.stroke * item.scale) if paint.moved else None
    if session.strokes is None:
        values = noise.normal(paint.seed, item.channels, *cells, period, moved=moved)
    else:
        values = noise.strokes(session.strokes, paint.seed, *cells, period, moved)
        if session.turned is not None and paint.follow:
            flow = forms.flow(picture, cells, paint.wrap)
            turned = noise.along(session.turned, flow, paint.seed, *cells, period, moved)
            values = noise.following(values, turned, flow, paint.follow)
    result: Floats = values[None] * np.float32(paint.diversity)
    return result


class Texture(_Windows):
    """A texture of a style that takes nothing but noise: any window of an endless plane, or of one that wraps."""

    def window(self, top: int, left: int, height: int, width: int) -> Floats:
        """One run of the model, (3, height, width)."""
        (y, tall), (x, wide) = self._endless(top, height), self._endless(left, width)
        result = self.session.make({name: self._noise(name, (y, x, tall, wide)) for name in self.session.spec.inputs})
        return result[0, :, top - y : top - y + height, left - x : left - x + width]

    def _noise(self, name: str, window: tuple[int, int, int, int]) -> Floats:
        """The map (1, C, h/scale, w/scale) of one of its noises: random channels first, then its waves."""
        item, seed = self.session.spec.inputs[name], self.paint.seed
        top, left, height, width = (value // item.scale for value in window)
        period = (self.height // item.scale, self.width // item.scale) if self.paint.wrap else None
        if self.session.quilts:
            made = self.session.quilts[self.paint.variant].laid(name, seed, top, left, height, width, period)
            return made[None] * np.float32(self.paint.diversity)
        random = noise.uniform if item.distribution == "uniform" else noise.normal
        first = NOISES.index(name) * MAX_CHANNELS
        values = random(seed, item.channels - 2 * len(item.waves), top, left, height, width, period, first)
        values *= np.float32(self.paint.diversity)
        waves = noise.waves(item.waves, seed, item.scale, top, left, height, width, period)
        return np.concatenate([values, waves])[None]


def texture(session: Session, height: int, width: int, paint: Paint) -> Canvas:
    """A texture as a canvas: display-referred, not clamped, any window on demand.

    One that wraps is made in the nearest size that is a multiple of the style's stride, and resampled to the size asked
    for where that is none: it wraps exactly in either case. One that does not is cut from an endless plane.
    """
    inner = inner_size(session.spec, height, width, paint)
    made = Texture(session, *inner, paint)
    return made if inner == (height, width) else Resampled(made, height, width)


class Blended:
    """A style with statistics over the frame, or of one fixed size: overlapping tiles, faded into each other.

    Not exact: what a tile looks like depends on where it lies. The tiles lie at fixed places of the picture,
    so at least the result does not depend on how it is read.
    """

    def __init__(
        self, session: Session, source: Canvas, paint: Paint, told: Mapping[str, Canvas], followed: Canvas
    ) -> None:
        self.session, self.source, self.paint, self.told, self.followed = session, source, paint, told, followed
        self.height, self.width = source.height, source.width
        self.tile = session.spec.fixed_size or (self._edge(self.height), self._edge(self.width))
        self.rows = tile_starts(self.height, self.tile[0], paint.wrap)
        self.columns = tile_starts(self.width, self.tile[1], paint.wrap)
        self._tiles: dict[tuple[int, int], Floats] = {}

    def _edge(self, size: int) -> int:
        stride = self.session.spec.stride
        return -(-max(MIN_WINDOW, min(size, FREE_SIZE)) // stride) * stride

    def read(self, top: int, left: int, height: int, width: int) -> Floats:
        return beyond_border(self._inside, self.height, self.width, self.paint.wrap, (top, left, height, width), axis=1)

    def _inside(self, top: int, left: int, height: int, width: int) -> Floats:
        rows = self._weights(self.rows, self.tile[0], self.height, top, height)
        columns = self._weights(self.columns, self.tile[1], self.width, left, width)
        total = np.zeros((3, height, width), np.float32)
        for (y, row_places), row_weights in rows:
            for (x, column_places), column_weights in columns:
                tile = self._tile(y, x)
                weight = row_weights[:, None] * column_weights[None, :]
                part = tile[:, row_places[1][:, None], column_places[1][None, :]]
                total[:, row_places[0][:, None], column_places[0][None, :]] += part * weight
        self._forget(min((y for (y, _), _ in rows), default=0))
        return total

    def _weights(
        self, starts: list[int], tile: int, size: int, first: int, count: int
    ) -> list[tuple[tuple[int, tuple[np.ndarray, np.ndarray]], np.ndarray]]:
        """For each tile along an axis that touches first .. first + count: (start, (places in the window, places in
        the tile)) and its share there. The shares of all tiles at a place sum to 1."""
        places = np.arange(first, first + count)
        distances = [self._offset(places, start, size) for start in starts]
        ramp = max(1, tile // 6)
        raw = [np.clip(np.minimum(d + 0.5, tile - d - 0.5) / ramp, 0, 1) * ((d >= 0) & (d < tile)) for d in distances]
        total = np.sum(raw, axis=0)
        result = []
        for start, distance, weight in zip(starts, distances, raw, strict=True):
            here = np.flatnonzero(weight > 0)
            if len(here):
                share = (weight[here] / total[here]).astype(np.float32)
                result.append(((start, (here, distance[here])), share))
        return result

    def _offset(self, places: np.ndarray, start: int, size: int) -> np.ndarray:
        return (places - start) % size if self.paint.wrap and len(self.rows) + len(self.columns) > 2 else places - start

    def _tile(self, top: int, left: int) -> Floats:
        if (top, left) not in self._tiles:
            window = (top, left, *self.tile)
            noise_map = noise_for(self.session, self.paint, window, self.followed)
            told = _at(self.told, window)
            try:
                self._tiles[top, left] = self.session.run(self.source.read(*window)[None], noise_map, told)[0]
            except OutOfMemoryError as error:
                raise _too_large(self.session.pack) from error
        return self._tiles[top, left]

    def _forget(self, first_row: int) -> None:
        """Pictures are read from top to bottom: tiles above the last read are not needed again."""
        for key in [key for key in self._tiles if key[0] < first_row]:
            del self._tiles[key]


def tile_starts(size: int, tile: int, wrap: bool) -> list[int]:
    """Where tiles of one size lie along an axis, overlapping by at least a sixth of their edge.

    The first and last reach a little beyond the border (mirrored there): models of this kind pad with black, and
    their outermost pixels show it.
    """
    overlap = max(1, tile // 6)
    margin = tile // 16
    if size + 2 * margin <= tile:
        return [-((tile - size) // 2)]
    if wrap:
        count = math.ceil(size / (tile - overlap))
        return [i * size // count for i in range(count)]
    count = max(2, math.ceil((size + 2 * margin - overlap) / (tile - overlap)))
    return [round(i * (size + 2 * margin - tile) / (count - 1)) - margin for i in range(count)]


def _too_large(pack: StylePack) -> EngineError:
    return EngineError(
        f"There is not enough memory to run the style {pack.name!r}.",
        "Close other programs, or choose a larger stroke size: the model then works on a smaller picture.",
    )


# ---------------------------------------------------------------- tiles


def tiles(
    height: int, width: int, edge: int, bytes_per_pixel: float = 500, around: int = 0
) -> Iterator[tuple[int, int, int, int]]:
    """Windows (top, left, height, width) that cover a picture, row by row. edge: 0 chooses by the memory at hand, where
    a tile needs `around` pixels more to each side."""
    tall, wide = (edge, edge) if edge else _automatic(height, width, bytes_per_pixel, around)
    for top in range(0, height, tall):
        for left in range(0, width, wide):
            yield top, left, min(tall, height - top), min(wide, width - left)


def _automatic(height: int, width: int, bytes_per_pixel: float, around: int) -> tuple[int, int]:
    """The whole picture if it fits, else even tiles as square as can be: halos are paid along edges. What lies around a
    tile takes of its memory, but never more than three quarters: tiles no larger than a corner would take forever."""
    memory = int(machine.available_memory() * 0.4)
    if height * width * bytes_per_pixel <= min(WINDOW_BYTES, memory):
        return height, width
    pixels = max(MIN_WINDOW**2, int(min(TILE_BYTES, memory) / bytes_per_pixel))
    if around:
        pixels = max(MIN_WINDOW, 2 * around, math.isqrt(pixels) - 2 * around) ** 2
    across = -(-width // min(width, math.isqrt(pixels)))
    wide = -(-width // across)
    down = -(-height // max(1, pixels // wide))
    return -(-height // down), wide


# ---------------------------------------------------------------- checks


def is_exact(session: Session, size: int = 192, seed: int = 0) -> bool:
    """Does this style give the same bits tiled and untiled on this machine? Measured on a random picture.

    False also for a style whose receptive radius is larger than its pack says.
    """
    rng = np.random.default_rng(seed)
    if session.spec.makes_textures:
        canvas = texture(session, size + 5, size + 11, Paint(seed=seed))
    else:
        source = ArrayCanvas(rng.random((3, size + 5, size + 11), dtype=np.float32))
        passes = {
            guides.GUIDES[name].source: rng.random((source.height, source.width, 3), np.float32)
            for name in session.guides
        }
        canvas = painted(session, source, Paint(seed=seed), passes)
    whole = canvas.read(0, 0, canvas.height, canvas.width)
    parts = np.empty_like(whole)
    for top, left, height, width in tiles(canvas.height, canvas.width, 52):
        parts[:, top : top + height, left : left + width] = canvas.read(top, left, height, width)
    return bool(np.array_equal(whole, parts))
