"""The explain job: why does this part of a result look as it does?

The result itself is not written: whoever asks has seen it. A picture is explained in the size in which the style sees
it (stroke size 2: half as large), so that every overlay speaks of what the network was shown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np

from . import controls, outputs, painted_pass, recipe
from .errors import EngineError
from .explain.display import Beneath
from .explain.families import OF_RENDERS, OF_RESULTS, Subject, check, overlay
from .explain.overlay import OF_A_REGION, Overlay, told
from .explain.removal import Look
from .files import open_source, open_view, shown
from .islands import islands
from .mattes import open_matte
from .mixing import open_styles
from .painter import OVERLAY_PIXELS, no_memory
from .passes import Passes, painted_passes
from .picture import Picture, PictureReader
from .protocol import Answered, Done, Event, Explained, ExplainRequest, Json, Progress, Region, StylizeSettings
from .resample import Resampled, reduced
from .runtime import Paint, inner_size
from .style_pack import ModelSpec
from .stylize import check_delivery, check_overlays, check_settings

PAINTED = 0.1
"""Of the progress, for the result itself"""
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
    check_delivery(request.deliver)
    check_settings(settings)
    check_overlays(settings, OF_A_REGION)
    if not settings.overlays:
        raise EngineError("Nothing is asked.", "Name at least one overlay: " + ", ".join(OF_A_REGION) + ".")
    notes: list[str] = []
    yield Progress(request.job, 0.0, "Opening the style")
    styles = open_styles(settings, notes.append)
    reader = open_source(request.source, open_view(request.view) if request.view else None)
    around = islands(request.source, reader) if isinstance(reader, Picture) else None
    reader = around.picture if around else reader
    asks = styles.asks_passes or bool(request.region.object) or bool(set(OF_RENDERS) & set(settings.overlays))
    passes = painted_passes(request.source.path) if asks and request.source.pixels is None else None
    reader = controls.gained(reader, passes, settings.gains)
    chosen_pass = painted_pass.chosen(reader, passes, settings)
    reader = chosen_pass.picture if chosen_pass else reader
    mix = styles.over(request.source, reader, passes)
    size = explained_size(reader, settings, mix.sessions[0].spec)
    region = region_of(request, reader, size, passes)
    chosen = Paint(settings.seed, 1.0, settings.tileable, settings.diversity, settings.follow, seen_at=settings.stroke)
    look = Look(mix, chosen, controls.left_strength(settings))
    before = reduced(reader, size, settings.tileable)
    subject = Subject(look, before, before, region, reader, passes, settings.gains, settings.painted_pass)
    names = tuple(dict.fromkeys(settings.overlays))
    for name in names:
        check(name, subject)
    asked = 0.0
    if set(OF_RESULTS) & set(names):
        asked = PAINTED
        painting = look.result_in_steps(before)
        after = yield from told(painting, lambda done: [Progress(request.job, PAINTED * done, "Painting the result")])
        subject = replace(subject, after=after)
    found: list[Overlay] = []
    for number, name in enumerate(names):
        share = asked + (1 - asked) * number / len(names), (1 - asked) / len(names)
        found += (yield from _ask(request, name, subject, share, began)).layers()
        while notes:
            yield Progress(request.job, share[0] + share[1], notes.pop(0))
    made = _recipe(request, mix.recipe(), reader, size, styles.first.device)
    under = Beneath(before.transpose(1, 2, 0), region)
    layers, beneath = outputs.explained(request, found, under, made)
    seconds = time.monotonic() - began
    yield Explained(request.job, request.source.name, layers, layers[0].path, seconds, made, beneath)
    yield Done(request.job, styles.first.ran_on())


def _ask(
    request: ExplainRequest, name: str, subject: Subject, share: tuple[float, float], began: float
) -> Generator[Event, None, Overlay]:
    """One overlay. share: where in the whole job it begins, and how much of it it is."""
    stage = f"Asking {name}"

    def say(step: float | Overlay) -> Iterator[Event]:
        nonlocal stage
        if isinstance(step, float):
            yield Progress(request.job, share[0] + share[1] * step, stage)
        else:
            stage = f"Checking {name}"
            yield Answered(request.job, name, step.sentence, time.monotonic() - began, step.unit, step.bars)

    yield from say(0.0)
    return (yield from told(overlay(name, subject), say))


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


def region_of(
    request: ExplainRequest, reader: PictureReader, size: tuple[int, int], passes: Passes | None
) -> np.ndarray | None:
    """The region as a mask (height, width) bool in the size of the explanation; None: the whole picture."""
    region = request.region
    if (region.at is not None) + (region.box is not None) + bool(region.object) > 1:
        raise EngineError("More than one region is asked about.", "Give a point, a box or an object.")
    if region.object:
        return _of_object(request, reader, size, passes)
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


def _of_object(
    request: ExplainRequest, reader: PictureReader, size: tuple[int, int], passes: Passes | None
) -> np.ndarray:
    name = request.region.object
    plane = open_matte(name, passes, reader, request.settings.tileable).plane
    same = (plane.height, plane.width) == size
    cover: np.ndarray = (plane if same else Resampled(plane, *size)).read(0, 0, *size)[0]
    if not (cover >= COVERED).any():
        raise EngineError(
            f"{name!r} covers no pixel of {shown(reader.name)!r} by half.", "Choose an object that can be seen."
        )
    return cover >= COVERED


def _recipe(request: ExplainRequest, styles: Json, reader: PictureReader, size: tuple[int, int], device: str) -> Json:
    """What was asked of what"""
    region = request.region
    asked = {"at": region.at, "box": region.box, "object": shown(region.object) if region.object else None}
    return {
        **recipe.of_picture(styles, request.settings, request.source.name, reader, device),
        "region": {name: value for name, value in asked.items() if value},
        "overlay_size": [size[1], size[0]],
    }
