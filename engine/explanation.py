"""The explain job: why does this part of a result look as it does?

The result itself is not written: whoever asks has seen it. A picture is explained in the size in which the style sees
it (stroke size 2: half as large), so that every overlay speaks of what the network was shown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator

import numpy as np

from . import machine, outputs
from .errors import EngineError
from .explain.families import overlay
from .explain.influence import check_gradients
from .explain.overlay import OF_A_REGION, Overlay
from .explain.players import of_objects, of_passes, shares
from .explain.removal import Look
from .files import open_source, open_view, shown
from .mixing import open_matte, open_styles
from .passes import Passes, painted_passes
from .picture import Floats, PictureReader
from .protocol import Answered, Done, Event, Explained, ExplainRequest, Json, Progress, Region, StylizeSettings
from .resample import Resampled
from .runtime import Paint, inner_size
from .style_pack import ModelSpec
from .stylize import OVERLAY_PIXELS, check_overlays, check_settings, no_memory, reduced

COVERED = 0.5
"""Of a pixel by a matte, from which on it is part of the region"""


def explain(request: ExplainRequest) -> Iterator[Event]:
    """See `_explain`. What does not fit into memory is an EngineError."""
    try:
        yield from _explain(request)
    except MemoryError as error:
        raise no_memory(request.source) from error


def _explain(request: ExplainRequest) -> Iterator[Event]:
    """Ask every overlay. Yields Progress, an Answered for each that is answered before it is certified, Explained, and
    Done."""
    began = time.monotonic()
    settings = request.settings
    check_settings(settings)
    check_overlays(settings, OF_A_REGION)
    if not settings.overlays:
        raise EngineError("Nothing is asked.", "Name at least one overlay: " + ", ".join(OF_A_REGION) + ".")
    notes: list[str] = []
    yield Progress(request.job, 0.0, "Opening the style")
    styles = open_styles(settings, notes.append)
    reader = open_source(request.source, open_view(request.view) if request.view else None)
    mix = styles.over(request.source, reader, settings.tileable)
    size = explained_size(reader, settings, mix.sessions[0].spec)
    region = region_of(request, reader, size)
    chosen = Paint(settings.seed, 1.0, settings.tileable, settings.diversity, settings.follow, seen_at=settings.stroke)
    look = Look(mix, chosen, settings.strength)
    _check_answerable(request, look)
    before = reduced(reader, size, settings.tileable)
    after = look.result(before) if {"Removal", "Scale"} & set(settings.overlays) else before
    found: list[Overlay] = []
    names = tuple(dict.fromkeys(settings.overlays))
    for number, name in enumerate(names):
        share = number / len(names), 1 / len(names)
        work = _asked(request, name, look, (before, after), region, reader)
        found += (yield from _ask(request, name, work, share, began)).layers()
        while notes:
            yield Progress(request.job, share[0] + share[1], notes.pop(0))
    recipe = _recipe(request, mix.recipe(), reader, size, styles.first.device)
    layers = outputs.explained(request.folder, request.source, found, recipe)
    yield Explained(request.job, request.source.name, layers, layers[0].path, time.monotonic() - began, recipe)
    yield Done(request.job, {"device": styles.first.device})


def _check_answerable(request: ExplainRequest, look: Look) -> None:
    """Before the first overlay is computed: can all be?"""
    names = request.settings.overlays
    if "Influence" in names:
        check_gradients(look)
    if {"Passes", "Objects"} & set(names):
        _passes(request)


def _asked(
    request: ExplainRequest,
    name: str,
    look: Look,
    pictures: tuple[Floats, Floats],
    region: np.ndarray | None,
    reader: PictureReader,
) -> Generator[float | Overlay, None, Overlay]:
    """The overlay of a name at work on a picture and its result."""
    before, after = pictures
    if name not in ("Passes", "Objects"):
        return overlay(name, look, before, after, region)
    passes, wrap = _passes(request), request.settings.tileable
    size = (before.shape[1], before.shape[2])
    area = np.ones(size, bool) if region is None else region
    if name == "Passes":
        return shares(name, of_passes(passes, reader, size, wrap), look, area)
    reach = look.reach(*size)
    players = of_objects(passes, before, area, max(size) if reach is None else reach, wrap)
    return shares(name, players, look, area)


def _passes(request: ExplainRequest) -> Passes:
    source = request.source
    found = painted_passes(source.path) if source.pixels is None else None
    if found is None:
        raise EngineError(
            f"{shown(source.name)!r} has no passes.",
            "Ask Influence or Removal, or give the render as OpenEXR MultiLayer.",
        )
    return found


def _ask(
    request: ExplainRequest,
    name: str,
    work: Generator[float | Overlay, None, Overlay],
    share: tuple[float, float],
    began: float,
) -> Generator[Event, None, Overlay]:
    """One overlay. share: where in the whole job it begins, and how much of it it is."""
    yield Progress(request.job, share[0], f"Asking {name}")
    answered = False
    while True:
        try:
            step = next(work)
        except StopIteration as finished:
            found: Overlay = finished.value
            return found
        if isinstance(step, float):
            stage = f"Checking {name}" if answered else f"Asking {name}"
            yield Progress(request.job, share[0] + share[1] * step, stage)
        else:
            answered = True
            yield Answered(request.job, name, step.sentence, time.monotonic() - began)


def explained_size(reader: PictureReader, settings: StylizeSettings, spec: ModelSpec) -> tuple[int, int]:
    """Height and width in which a picture is explained: as the style sees it, and no larger than overlays get."""
    if min(reader.height, reader.width) < 16:
        raise EngineError(
            f"{shown(reader.name)!r} is too small to be explained ({reader.width} x {reader.height}).",
            "Use a picture of at least 16 x 16 pixels.",
        )
    stroke, wrap = settings.stroke, settings.tileable
    seen = inner_size(spec, reader.height, reader.width, Paint(stroke=stroke, wrap=wrap))
    if seen[0] * seen[1] > OVERLAY_PIXELS:
        stroke *= (seen[0] * seen[1] / OVERLAY_PIXELS) ** 0.5
        seen = inner_size(spec, reader.height, reader.width, Paint(stroke=stroke, wrap=wrap))
    return max(16, seen[0]), max(16, seen[1])


# ---------------------------------------------------------------- the region


def region_of(request: ExplainRequest, reader: PictureReader, size: tuple[int, int]) -> np.ndarray | None:
    """The region as a mask (height, width) bool in the size of the explanation; None: the whole picture."""
    region = request.region
    if (region.at is not None) + (region.box is not None) + bool(region.object) > 1:
        raise EngineError("More than one region is asked about.", "Give a point, a box or an object.")
    if region.object:
        return _of_object(request, reader, size)
    if region.at is not None:
        x, y = region.at
        region = Region(box=(x, y, x + 1, y + 1))
    return None if region.box is None else _of_box(region.box, reader, size)


def _of_box(box: tuple[int, int, int, int], reader: PictureReader, size: tuple[int, int]) -> np.ndarray:
    left, top, right, bottom = box
    if not (0 <= left < right <= reader.width and 0 <= top < bottom <= reader.height):
        place = f"{left},{top}" if (right, bottom) == (left + 1, top + 1) else ",".join(map(str, box))
        raise EngineError(
            f"{place} is not inside the picture ({reader.width} x {reader.height}).",
            f"Choose x from 0 to {reader.width - 1} and y from 0 to {reader.height - 1}, a box from its first pixel to "
            "the one behind its last.",
        )
    mask = np.zeros(size, bool)
    rows = slice(top * size[0] // reader.height, math.ceil(bottom * size[0] / reader.height))
    mask[rows, left * size[1] // reader.width : math.ceil(right * size[1] / reader.width)] = True
    return mask


def _of_object(request: ExplainRequest, reader: PictureReader, size: tuple[int, int]) -> np.ndarray:
    source, name = request.source, request.region.object
    passes = painted_passes(source.path) if source.pixels is None else None
    plane = open_matte(name, passes, reader, request.settings.tileable).plane
    same = (plane.height, plane.width) == size
    cover: np.ndarray = (plane if same else Resampled(plane, *size)).read(0, 0, *size)[0]
    if not (cover >= COVERED).any():
        raise EngineError(
            f"{name!r} covers no pixel of {shown(reader.name)!r} by half.", "Choose an object that can be seen."
        )
    return cover >= COVERED


def _recipe(request: ExplainRequest, styles: Json, reader: PictureReader, size: tuple[int, int], device: str) -> Json:
    """What was asked of what: no clock, no host, no path."""
    chosen, region = request.settings, request.region
    asked = {"at": region.at, "box": region.box, "object": shown(region.object) if region.object else None}
    names = ("strength", "seed", "stroke", "diversity", "follow", "tileable")
    return {
        **styles,
        "settings": {**{name: getattr(chosen, name) for name in names}, "overlays": list(chosen.overlays)},
        "region": {name: value for name, value in asked.items() if value},
        "overlay_size": [size[1], size[0]],
        "source": {
            "name": shown(request.source.name),
            "size": [reader.width, reader.height],
            "encoding": reader.encoding,
            "alpha": reader.alpha,
        },
        **({"view": {"name": shown(reader.view.name), "hash": reader.view.hash}} if reader.view is not None else {}),
        "device": device,
        "versions": {name: version for name, version in machine.versions().items() if name in _VERSIONS},
    }


_VERSIONS = ("engine", "numpy", "onnxruntime", "onnxruntime-gpu")
