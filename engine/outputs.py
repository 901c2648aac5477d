"""Where results go: files with names of their own, or raw pixels beside the messages. Nothing is ever overwritten."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import looks
from .explain.display import Beneath, below, picture_of
from .explain.overlay import Overlay
from .files import (
    ExrFile,
    ExrLayer,
    NewFile,
    blender_name,
    create_png,
    main_layer,
    read_exr,
    unique_path,
    write_beside,
    write_exr,
    write_json,
    writing,
)
from .picture import Array, Encoding, Floats, Picture, PictureReader, result_channels, to_display
from .protocol import (
    ExplainRequest,
    Json,
    Layer,
    PictureSource,
    PixelBlock,
    ProjectRequest,
    StylizeRequest,
    TextureRequest,
)
from .style_pack import slug

if TYPE_CHECKING:
    from .painter import Opened

RECIPE = "pentimento"
"""The key of the recipe in PNG text and EXR headers"""
LAYERS = "pentimento.layers"
"""The key of what the overlays mean in EXR headers: channel names, units, sentences, certificates"""
STYLIZED, TEXTURE = "Stylized", "Texture"
_ROWS = 256


class Sheet(Protocol):
    """What a result is stored as: that of the picture it was made of, or what was asked for."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def encoding(self) -> Encoding: ...


class Output(Protocol):
    """Takes the result as bands of rows, then the overlays."""

    path: str
    """The file with the result; empty for raw pixels"""

    def write_rows(self, rows: Array) -> None: ...
    def finish(
        self, overlays: Sequence[Overlay], beneath: Floats | None = None, beside: Sequence[Picture] = ()
    ) -> tuple[Layer, ...]:
        """Put everything in place. beneath: what the overlays lie over, (H, W, 3) display-referred. beside: further
        layers of a render, named as such. Returns the layers of the event."""
        ...


@contextmanager
def opened(
    request: StylizeRequest, source: PictureSource, look: str, reader: PictureReader, recipe: Json
) -> Iterator[Output]:
    """The output that the request asks for; look: the name of the style or mix.

    Leaving with an error, or early, leaves no file of the result behind.
    """
    folder = _folder(request.folder)
    with _Placed() as placed, ExitStack() as stack:
        if request.deliver == "pixels":
            yield _Blocks(placed, stack, folder / f"{request.job}_{_stem(source)}", reader)
        elif reader.dtype.kind == "u":
            path = unique_path(folder / f"{_stem(source)}_{slug(look)}.png")
            yield _Png(placed, stack, path, reader, recipe)
        else:
            path = unique_path(folder / f"{_stem(source)}_{slug(look)}.exr")
            yield _Exr(placed, path, source, reader, recipe, one_part=request.one_part)


@contextmanager
def frame(path: Path, layers: Path, opened: Opened, recipe: Json, one_part: bool = False) -> Iterator[Output]:
    """The output of one frame of many, of which no preview is written: what is at `path` is replaced. layers: where the
    overlays of a byte picture go, their raw floats. The same holds."""
    with _Placed() as placed, ExitStack() as stack:
        if opened.sheet.dtype.kind == "u":
            yield _Png(placed, stack, path, opened.sheet, recipe, layers=layers)
        else:
            yield _Exr(placed, path, opened.source, opened.sheet, recipe, opened.file, one_part)


@contextmanager
def made(
    request: TextureRequest | ProjectRequest, name: str, sheet: Sheet, recipe: Json, layer: str = TEXTURE
) -> Iterator[Output]:
    """The output for a texture of that name; the same holds."""
    folder = _folder(request.folder)
    with _Placed() as placed, ExitStack() as stack:
        if request.deliver == "pixels":
            yield _Blocks(placed, stack, folder / f"{request.job}_{name}", sheet, layer)
        else:
            yield _Png(placed, stack, unique_path(folder / f"{name}.png"), sheet, recipe, layer)


def explained(
    request: ExplainRequest, overlays: Sequence[Overlay], beneath: Beneath, recipe: Json
) -> tuple[tuple[Layer, ...], Layer | None]:
    """Overlays alone, as the request asks for them. Files: one EXR with their raw floats, certificates and the recipe,
    a PNG of each to look at, and a report of what they say. Pixels: raw files with the floats, a legend of each, and
    what they lie over."""
    folder, stem = _folder(request.folder), _stem(request.source)
    with _Placed() as placed:
        if request.deliver == "pixels":
            return _explained_pixels(placed, folder / request.job, overlays, beneath)
        path = unique_path(folder / f"{stem}_explained.exr")
        write_exr(path, _renamed([_exr_layer(overlay, "") for overlay in overlays], None), _header(recipe, overlays))
        placed.add(path)
        _write_looks(placed, path, overlays, beneath)
        _write_report(placed, path, overlays, recipe)
        return tuple(_overlay_layer(overlay, path=str(path)) for overlay in overlays), None


def _write_report(placed: _Placed, beside: Path, overlays: Sequence[Overlay], recipe: Json) -> None:
    """What the EXR says in its header, for those who read no EXR: render_explained_report.json"""
    path = unique_path(beside.with_name(f"{beside.stem}_report.json"))
    write_json(path, {"recipe": recipe, "overlays": {overlay.name: _meaning(overlay) for overlay in overlays}})
    placed.add(path)


def _explained_pixels(
    placed: _Placed, base: Path, overlays: Sequence[Overlay], beneath: Beneath
) -> tuple[tuple[Layer, ...], Layer]:
    layers = tuple(
        _overlay_layer(
            overlay,
            pixels=_block(placed, base, np.asarray(overlay.pixels, np.float32)),
            legend=_block(placed, base, below(overlay, _seen_width(*overlay.pixels.shape[:2]))),
        )
        for overlay in overlays
    )
    under = _block(placed, base, beneath.bytes())
    return layers, Layer("Picture", ("R", "G", "B", "region"), "srgb", pixels=under)


def _seen_width(height: int, width: int) -> int:
    """Of the display picture that Blender makes of an overlay"""
    step = looks.step_of(height, width)
    return looks.enlarged_width(math.ceil(height / step), math.ceil(width / step))


def _folder(path: str) -> Path:
    folder = Path(path)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


class _Placed:
    """The files of one result that are complete. All of them stay or, when a later one fails, none does."""

    def __init__(self) -> None:
        self.paths: list[Path] = []

    def __enter__(self) -> _Placed:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for path in self.paths if kind else ():
            with suppress(OSError):  # the error that brought us here is the one to tell
                path.unlink(missing_ok=True)

    def add(self, path: Path) -> None:
        """`path` was written just now."""
        self.paths.append(path)


def _stem(source: PictureSource) -> str:
    """The source's name as a file name, without a picture's suffix and without what some system refuses."""
    name = source.name or Path(source.path).stem
    name = re.sub(r"\.(png|jpe?g|exr|tiff?|tga|bmp|hdr|webp)$", "", name, flags=re.IGNORECASE)
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(" .")
    return name[:100] or "picture"


def _described(sheet: Sheet, layer: str, **place: object) -> Layer:
    names = ("R", "G", "B", "A")[: result_channels(sheet.channels)]
    return Layer(layer, names, sheet.encoding, **place)  # type: ignore[arg-type]


def _overlay_layer(overlay: Overlay, **place: object) -> Layer:
    return Layer(
        overlay.name,
        overlay.channels,
        "data",
        sentence=overlay.sentence,
        display=overlay.display,
        unit=overlay.unit,
        bars=overlay.bars,
        certificate=overlay.certificate,
        **place,  # type: ignore[arg-type]
    )


# ---------------------------------------------------------------- raw pixels


class _Blocks:
    """Raw files in the folder of the job, for Blender to read and remove."""

    path = ""

    def __init__(self, placed: _Placed, stack: ExitStack, base: Path, sheet: Sheet, layer: str = STYLIZED) -> None:
        self.placed, self.sheet, self.layer = placed, sheet, layer
        self.base = base.with_name(re.sub(r"[^A-Za-z0-9_-]", "_", base.name)[:100])
        self.stack = stack
        self.file = unique_path(self.base.with_name(f"{self.base.name}_{layer}.raw"))
        self.new = stack.enter_context(NewFile(self.file))

    def write_rows(self, rows: Array) -> None:
        self.new.file.write(_bytes(rows))

    def finish(
        self, overlays: Sequence[Overlay], beneath: Floats | None = None, beside: Sequence[Picture] = ()
    ) -> tuple[Layer, ...]:
        blocks = [_block(self.placed, self.base, np.asarray(overlay.pixels, np.float32)) for overlay in overlays]
        passes = [_described(p, p.name, pixels=_block(self.placed, self.base, p.pixels)) for p in beside]
        self.stack.close()
        self.placed.add(self.file)
        shape = (self.sheet.height, self.sheet.width, result_channels(self.sheet.channels))
        block = PixelBlock(str(self.file), shape, str(self.sheet.dtype))
        layers = [_overlay_layer(overlay, pixels=pixels) for overlay, pixels in zip(overlays, blocks, strict=True)]
        return (_described(self.sheet, self.layer, pixels=block), *passes, *layers)


def _block(placed: _Placed, base: Path, pixels: Array) -> PixelBlock:
    """Pixels (H, W, C) as a raw file of their own whose name begins as `base`."""
    path = unique_path(base.with_name(f"{base.name}_layer.raw"))
    with NewFile(path) as new:
        new.file.write(_bytes(pixels))
    placed.add(path)
    height, width, channels = pixels.shape
    return PixelBlock(str(path), (height, width, channels), str(pixels.dtype))


def _bytes(pixels: Array) -> memoryview:
    """The pixels as they lie in memory, without a copy."""
    return np.ascontiguousarray(pixels).data.cast("B")


# ---------------------------------------------------------------- byte pictures


class _Png:
    """A PNG of the source's bit depth, written row by row; overlays as raw floats beside it, and to look at."""

    def __init__(
        self,
        placed: _Placed,
        stack: ExitStack,
        file: Path,
        sheet: Sheet,
        recipe: Json,
        layer: str = STYLIZED,
        layers: Path | None = None,
    ) -> None:
        """layers: the file of the overlays of a frame, of which there are no pictures to look at"""
        self.placed, self.sheet, self.recipe, self.stack, self.layer = placed, sheet, recipe, stack, layer
        self.file, self.path, self.layers = file, str(file), layers
        channels = result_channels(sheet.channels)
        self.slice = np.empty((_ROWS, sheet.width, channels), sheet.dtype)
        self.waiting = 0
        text = {RECIPE: json.dumps(recipe)}
        self.png = stack.enter_context(
            create_png(self.file, sheet.height, sheet.width, channels, sheet.dtype, text, sheet.encoding == "srgb")
        )

    def write_rows(self, rows: Array) -> None:
        """Handed on in slices of one height, whatever the height of a tile: how a PNG is cut into chunks depends on
        it, and the file is to be the same byte for byte."""
        for row in range(0, len(rows), _ROWS):
            part = rows[row : row + _ROWS]
            fits = min(len(part), _ROWS - self.waiting)
            self.slice[self.waiting : self.waiting + fits] = part[:fits]
            self.waiting += fits
            if self.waiting == _ROWS:
                self.png.write_rows(self.slice)
                self.slice[: len(part) - fits] = part[fits:]
                self.waiting = len(part) - fits

    def finish(
        self, overlays: Sequence[Overlay], beneath: Floats | None = None, beside: Sequence[Picture] = ()
    ) -> tuple[Layer, ...]:
        if self.waiting:
            self.png.write_rows(self.slice[: self.waiting])
        self.stack.close()
        self.placed.add(self.file)
        stylized = _described(self.sheet, self.layer, path=self.path)
        layers_beside = [self._beside(picture) for picture in beside]
        if not overlays:
            return (stylized, *layers_beside)
        path = self.layers or unique_path(self.file.with_name(f"{self.file.stem}_layers.exr"))
        layers = [_exr_layer(overlay, "") for overlay in overlays]
        write_exr(path, layers, _header(self.recipe, overlays))
        self.placed.add(path)
        if self.layers is None:
            _write_looks(self.placed, self.file, overlays, Beneath(beneath))
        return (stylized, *layers_beside, *(_overlay_layer(overlay, path=str(path)) for overlay in overlays))

    def _beside(self, picture: Picture) -> Layer:
        """A map of the same texture: a file of its own, bricks_wave_normal.png, or EXR where it is of floats."""
        stem, name = self.file.stem, slug(picture.name.rpartition(".")[2])
        is_float = picture.dtype.kind == "f"
        path = unique_path(self.file.with_name(f"{stem}_{name}{'.exr' if is_float else '.png'}"))
        if is_float:
            write_exr(path, [_exr_layer_of(picture)], {RECIPE: json.dumps(self.recipe)})
        else:
            shape = (picture.height, picture.width, picture.channels)
            with create_png(path, *shape, picture.dtype, {RECIPE: json.dumps(self.recipe)}, False) as png:
                png.write_rows(picture.pixels)
        self.placed.add(path)
        return _described(picture, picture.name, path=str(path))


def _exr_layer_of(picture: Picture) -> ExrLayer:
    """The one layer of a file"""
    return ExrLayer.of("", picture.pixels)


def _write_looks(placed: _Placed, beside: Path, overlays: Sequence[Overlay], beneath: Beneath) -> None:
    """One display picture per overlay: render_look_scale.png"""
    for overlay in overlays:
        name = slug(overlay.name.partition(".")[2])
        path = unique_path(beside.with_name(f"{beside.stem}_{name}.png"))
        pixels = picture_of(overlay, beneath)
        height, width, channels = pixels.shape
        with create_png(path, height, width, channels, pixels.dtype, {}) as png:
            png.write_rows(pixels)
        placed.add(path)


# ---------------------------------------------------------------- float pictures


class _Exr:
    """A multilayer EXR: every layer of the source untouched, ours beside them; a PNG to look at."""

    def __init__(
        self,
        placed: _Placed,
        file: Path,
        source: PictureSource,
        reader: PictureReader,
        recipe: Json,
        original: ExrFile | None = None,
        one_part: bool = False,
    ) -> None:
        """original: all that is in the source, of a frame that has no pictures to look at; None: read from its file"""
        self.placed, self.one_part = placed, one_part
        self.source, self.reader, self.recipe, self.original = source, reader, recipe, original
        self.file, self.path = file, str(file)
        self.pixels = np.empty((reader.height, reader.width, result_channels(reader.channels)), reader.dtype)
        self.filled = 0

    def write_rows(self, rows: Array) -> None:
        self.pixels[self.filled : self.filled + len(rows)] = rows
        self.filled += len(rows)

    def finish(
        self, overlays: Sequence[Overlay], beneath: Floats | None = None, beside: Sequence[Picture] = ()
    ) -> tuple[Layer, ...]:
        original = self.original or (read_exr(self.source.path, keep=True) if self.source.pixels is None else None)
        view_layer = main_layer(original).view_layer if original else ""
        ours = [ExrLayer.of(blender_name(STYLIZED, view_layer), self.pixels)]
        ours += [ExrLayer.of(blender_name(picture.name, view_layer), picture.pixels) for picture in beside]
        ours += [_exr_layer(_sized(overlay, self.reader), view_layer) for overlay in overlays]
        ours, entries = _renamed(ours, original), _header(self.recipe, overlays)
        if original is None:
            write_exr(self.file, ours, entries)
        elif self.one_part:
            write_exr(self.file, [*original.layers.values(), *ours], {**original.header, **entries})
        else:
            write_beside(self.file, original, ours, entries)
        self.placed.add(self.file)
        if self.original is None:
            self._write_preview()
            _write_looks(self.placed, self.file, overlays, Beneath(beneath))
        stylized = _described(self.reader, STYLIZED, path=self.path)
        passes = (_described(picture, picture.name, path=self.path) for picture in beside)
        return (stylized, *passes, *(_overlay_layer(overlay, path=self.path) for overlay in overlays))

    def _write_preview(self) -> None:
        height, width = self.pixels.shape[:2]
        path = unique_path(self.file.with_suffix(".png"))
        with create_png(path, height, width, 3, np.uint8, {RECIPE: json.dumps(self.recipe)}) as png:
            for top in range(0, height, _ROWS):
                rows = self.pixels[top : top + _ROWS]
                display = to_display(rows, self.reader.encoding, self.reader.alpha, self.reader.view)
                png.write_rows(np.rint(np.clip(display, 0, 1) * 255).astype(np.uint8))
        self.placed.add(path)


def _exr_layer(overlay: Overlay, view_layer: str) -> ExrLayer:
    """Always float32: what is read back equals what was computed."""
    return ExrLayer.of(blender_name(overlay.name, view_layer), overlay.pixels)


def _sized(overlay: Overlay, reader: PictureReader) -> Overlay:
    """A reduced overlay as large as its picture (nearest value): all layers of an EXR part have one size."""
    if overlay.pixels.shape[:2] == (reader.height, reader.width):
        return overlay
    height, width = overlay.pixels.shape[:2]
    rows = (np.arange(reader.height) * height) // reader.height
    columns = (np.arange(reader.width) * width) // reader.width
    return replace(overlay, pixels=overlay.pixels[rows[:, None], columns[None, :]])


def _renamed(layers: list[ExrLayer], original: ExrFile | None) -> list[ExrLayer]:
    """Ours under names that are still free: a frame may be stylized twice, and objects be called alike."""
    taken = set(original.layers) if original else set()
    renamed = []
    for layer in layers:
        renamed.append(ExrLayer(_free(layer.name, taken), layer.planes))
        taken.add(renamed[-1].name)
    return renamed


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free


def _header(recipe: Json, overlays: Sequence[Overlay]) -> dict[str, str]:
    entries = {RECIPE: json.dumps(recipe)}
    if overlays:
        entries[LAYERS] = json.dumps({overlay.name: _meaning(overlay) for overlay in overlays})
    return entries


def _meaning(overlay: Overlay) -> Json:
    return {
        "channels": list(overlay.channels),
        "display": list(overlay.display),
        "unit": overlay.unit,
        "bars": {bar.name: bar.value for bar in overlay.bars},
        "alone_gone": {bar.name: bar.alone_gone for bar in overlay.bars if bar.alone_gone is not None},
        "sentence": overlay.sentence,
        "faithful": overlay.certificate.faithful,
        "checks": [
            [check.bar, check.name, check.value, check.threshold, check.passed] for check in overlay.certificate.checks
        ],
    }


__all__ = ["LAYERS", "RECIPE", "STYLIZED", "Output", "explained", "frame", "opened"]
