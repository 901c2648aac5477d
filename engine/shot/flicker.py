"""How much of a result does not stick to what it is painted on, frame by frame: the flicker meter.

The warp error (motion.warp_error) of the results, beside that of the frames they were made of: light that truly moves
is no flicker. It reads results with their passes in them, as `animate` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..atomic import writing
from ..errors import EngineError
from ..exr import ExrLayer, read_exr, write_exr
from ..motion import Motion, motion, warp_error
from ..outputs import STYLIZED
from ..passes import COMBINED, Passes, fullest_of, passes_of
from ..picture import Floats, to_display
from ..protocol import Done, Event, FlickerRequest, FrameDone, FrameFailed, Json, Progress
from ..sequence import results, sequence

LAYER = "Flicker"


@dataclass(frozen=True, eq=False)
class Measured:
    """Of one frame beside the one before it."""

    number: int
    result: float
    """Mean warp error over the visible pixels, display-referred, the length over RGB"""
    source: float
    """The same of the frames themselves"""
    visible: float
    """Share of the frame that both show"""


def flicker(request: FlickerRequest) -> Iterator[Event]:
    """Measure a run of results. With a folder, writes a layer for each frame: how far each pixel is from where its
    surface was in the frame before (R: result, G: source, B: what the result is more; 0 where that was not in view).

    Yields Progress, FrameDone where a layer is written, FrameFailed, and Done with the numbers."""
    frames = sequence(request.frames)
    numbers = frames.there()
    if len(numbers) < 2:
        raise EngineError(f"There are not two frames {frames} in {frames.folder}.", "Check the path.")
    _check_free(request, numbers)
    found: list[Measured] = []
    before: tuple[int, _Result] | None = None
    for index, number in enumerate(numbers):
        yield Progress(request.job, index / len(numbers), f"Measuring frame {number}")
        try:
            now = _opened(frames.path(number))
            if before is not None and before[0] == number - 1:
                way = motion(before[1].passes, now.passes)
                maps = [_map(before[1].shown[name], now.shown[name], way) for name in (STYLIZED, COMBINED)]
                found.append(_measured(number, maps, way))
                if request.folder:
                    yield FrameDone(request.job, number, _write(request, number, maps), {})
            before = number, now
        except EngineError as error:
            before = None
            yield FrameFailed(request.job, number, error.message, error.fix)
    yield Done(request.job, _report(found))


def _check_free(request: FlickerRequest, numbers: list[int]) -> None:
    """Nothing is overwritten."""
    there = [path for number in numbers if request.folder and (path := _layer(request, number)).exists()]
    if there:
        raise EngineError(f"{there[0].name} is there already.", "Choose another folder, or delete it.")


def _layer(request: FlickerRequest, number: int) -> Path:
    return results(sequence(request.frames), "flicker", Path(request.folder), ".exr").path(number)


def _measured(number: int, maps: list[Floats], way: Motion) -> Measured:
    result, source = (float(one[way.visible].mean()) if way.visible.any() else 0.0 for one in maps)
    return Measured(number, result, source, float(way.visible.mean()))


@dataclass(frozen=True, eq=False)
class _Result:
    """A frame that animate has written."""

    passes: Passes
    """Of the render"""
    shown: Passes
    """The result and what it was made of: beside the passes, or beside the compositor's picture"""


def _opened(path: Path) -> _Result:
    file = read_exr(path)
    found = _Result(fullest_of(file, path), passes_of(file, path))
    found.passes.need("Vector")
    found.shown.need(COMBINED)
    if STYLIZED not in found.shown:
        raise EngineError(f"{path.name} is no result of Pentimento.", "Choose what animate has written.")
    return found


def _map(before: Floats, now: Floats, way: Motion) -> Floats:
    """(H, W): the warp error of each pixel, 0 where there is none."""
    then, here = (
        np.clip(to_display(planes[..., :3].astype(np.float32), "linear", "none"), 0, 1).transpose(2, 0, 1)
        for planes in (before, now)
    )
    errors = np.zeros(way.visible.shape, np.float32)
    errors[way.visible] = warp_error(then, here, way)
    return errors


def _write(request: FlickerRequest, number: int, maps: list[Floats]) -> str:
    folder = Path(request.folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = _layer(request, number)
    result, source = maps
    write_exr(path, [ExrLayer(LAYER, {"R": result, "G": source, "B": np.maximum(result - source, 0)})])
    return str(path)


def _report(found: list[Measured]) -> Json:
    if not found:
        return {"say": ["No two frames follow each other: nothing was measured."]}
    result, source = (float(np.mean([getattr(one, name) for one in found])) for name in ("result", "source"))
    worst = max(found, key=lambda one: one.result - one.source)
    times = f": {result / source:.2f} times" if source > 1e-4 else ""
    said = [
        f"Flicker {result:.4f}, of the frames themselves {source:.4f}{times}.",
        f"Worst at frame {worst.number}: {worst.result:.4f}, {worst.source:.4f} itself.",
    ]
    each = {str(one.number): [round(one.result, 5), round(one.source, 5), round(one.visible, 4)] for one in found}
    return {"result": round(result, 5), "source": round(source, 5), "frames": each, "say": said}
