"""The small jobs around styles: list them, bring one in, look at one first, give one away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from . import style_pack
from .errors import EngineError
from .protocol import (
    Done,
    Event,
    ExportStyleRequest,
    ImportPreviewed,
    ImportStyleRequest,
    PixelBlock,
    PreviewImportRequest,
    Progress,
    SourceFailed,
    StyleExported,
    StyleReady,
    Styles,
    StylesRequest,
)

if TYPE_CHECKING:  # an idle worker has loaded nothing
    import numpy as np


def styles(request: StylesRequest) -> Iterator[Event]:
    """The styles that ship, the user's and those in the request's folders."""
    yield Styles(request.job, tuple(style_pack.installed(request.folders)))
    yield Done(request.job)


def import_style(request: ImportStyleRequest) -> Iterator[Event]:
    """Bring style packs or somebody else's model into the request's folder."""
    paths = (request.path, *request.more)
    for number, path in enumerate(paths):
        yield Progress(request.job, (number + 0.1) / len(paths), "Looking at the style")
        try:
            pack = style_pack.import_style(path, request.folder, request.name * (number == 0), request.options)
        except EngineError as error:
            if len(paths) == 1:
                raise
            yield SourceFailed(request.job, Path(path).name, f"{Path(path).name}: {error.message}", error.fix)
        else:
            yield StyleReady(request.job, pack.name, str(pack.source))
    yield Done(request.job)


def preview_import(request: PreviewImportRequest) -> Iterator[Event]:
    """Try somebody else's model on a small picture."""
    from . import import_onnx  # needs onnxruntime: only for other people's models

    yield Progress(request.job, 0.1, "Looking at the model")
    model = import_onnx.look_at(Path(request.path), request.options)
    yield Progress(request.job, 0.5, "Trying it")
    begun = time.perf_counter()
    before, after = import_onnx.tried(model, request.source)
    seconds = time.perf_counter() - begun
    shown = _block(Path(request.folder, "before.raw"), before), _block(Path(request.folder, "after.raw"), after)
    yield ImportPreviewed(request.job, import_onnx.facts(model), *shown, seconds)
    yield Done(request.job)


def _block(path: Path, pixels: np.ndarray) -> PixelBlock:
    """Bytes (h, w, 3) as a raw file"""
    from .atomic import writing

    with writing(path):
        path.write_bytes(pixels.tobytes())
    height, width, channels = pixels.shape
    return PixelBlock(str(path), (height, width, channels), "uint8")


def export_style(request: ExportStyleRequest) -> Iterator[Event]:
    """Write a style as one .zip."""
    yield Progress(request.job, 0.1, "Packing the style")
    pack = style_pack.find(request.style)
    yield StyleExported(request.job, pack.name, str(style_pack.export_style(pack, request.path)))
    yield Done(request.job)
