"""The job: views of a mesh in, its texture out."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from .. import outputs
from ..canvas import Canvas, PictureCanvas
from ..errors import EngineError
from ..explain.certificate import completeness
from ..explain.overlay import Overlay
from ..mixing import Styles, open_styles
from ..outputs import STYLIZED
from ..painter import Clock, Opened, Painting
from ..passes import painted_passes
from ..picture import Floats
from ..protocol import CameraView, Certificate, Done, Event, Json, PictureSource, Progress, ProjectRequest, Stylized
from ..style_pack import slug
from ..stylize import check_delivery, check_overlays, check_settings
from ..texture import LARGEST, SMALLEST, Sheet
from .blending import Disagreement, Shared, best_places, looked_at
from .filling import SHOT, Filling, around, given
from .sight import Painted, open_sight
from .texels import laid_out, read_mesh, with_margin

OVERLAY = "Attribution.Views"
_STAGES = ("read", "inference", "blend", "write")
_ROWS = 256


def project(request: ProjectRequest) -> Iterator[Event]:
    """Paint the views and make them one texture. Yields Progress, a Stylized with the texture and Attribution.Views,
    and Done."""
    _check(request)
    notes: list[str] = []
    yield Progress(request.job, 0.0, "Opening the style")
    # A view has borders, whatever the texture does at its own.
    work = _Work(request, open_styles(replace(request.settings, tileable=False), notes.append), notes)
    yield from work.run()
    yield Done(request.job, work.report)


def _check(request: ProjectRequest) -> None:
    """Checks that cost nothing come first."""
    settings = request.settings
    if not request.views:
        raise EngineError("There is no view to paint.", "Choose at least one camera.")
    if not all(SMALLEST <= size <= LARGEST for size in (request.width, request.height)):
        raise EngineError(
            f"A texture cannot be {request.width} x {request.height} pixels.",
            f"Choose a width and a height from {SMALLEST} to {LARGEST}.",
        )
    if not 0 <= request.margin <= 256:
        raise EngineError(f"The margin is {request.margin} pixels.", "Choose 0 to 256.")
    check_settings(settings)
    check_overlays(settings, ())
    check_delivery(request.deliver)
    if any(share.matte for share in settings.styles) or settings.strength_of or settings.gains:
        raise EngineError(
            "Masks, places and lights of their own are not for views of a mesh.",
            "Remove them under Mixing and Controls, or stylize the texture as it lies flat.",
        )


@dataclass
class _Work:
    """One texture on its way through the job."""

    request: ProjectRequest
    styles: Styles
    notes: list[str]
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_STAGES, 0.0))
    report: Json = field(default_factory=dict)
    recipe: Json = field(default_factory=dict)

    def run(self) -> Iterator[Event]:
        request = self.request
        yield self._say(0.0, "Laying the surface out")
        with Clock(self.seconds, "blend"):
            texels = laid_out(read_mesh(request.mesh), (request.height, request.width))
            overlap = len(texels.overlapping()) / max(int(texels.covered.sum()), 1)
        views, looks = [], []
        for number, view in enumerate(request.views):
            painted = yield from self._painted(number, view)
            with Clock(self.seconds, "blend"):
                looks.append(looked_at(painted.sight, texels))
            views.append(painted)
        with Clock(self.seconds, "blend"):
            shared = Shared(*best_places(texels, looks), tuple(views))
        pixels = yield from self._blended(shared)
        overlay = self._overlay(shared, overlap)
        yield from self._delivered(pixels, overlay)

    def _painted(self, number: int, view: CameraView) -> Generator[Event, None, Painted]:
        """A view, read and painted."""
        count = len(self.request.views)
        with Clock(self.seconds, "read"):
            passes = painted_passes(view.path)
            if passes is None:
                raise EngineError(f"The view {view.name!r} has no passes.", "Render it to OpenEXR MultiLayer.")
            sight = open_sight(view, passes, self.request.settings.painted_pass, self.styles.settings.stroke)
            source = PictureSource(f"{self.request.name}: {view.name}", path=view.path)
            mix = self.styles.over(source, sight.picture, passes, SHOT)
        painting = Painting(self.styles, Opened(source, sight.picture, sight.picture, passes), mix)
        self.recipe = self.recipe or painting.recipe()
        before = PictureCanvas(sight.picture).read(0, 0, *sight.size)
        after = np.empty_like(before)
        windows = list(mix.tiles(*sight.size, self.styles.paint, self.styles.settings.tile))
        for index, window in enumerate(windows):
            with Clock(self.seconds, "inference"):
                _paint(painting.canvas(), window, after)
            yield self._say(0.7 * (number + (index + 1) / len(windows)) / count, f"Painting {view.name}")
        after = before + np.float32(painting.strength) * (after - before)
        return Painted(sight, before, after)

    def _blended(self, shared: Shared) -> Generator[Event, None, Floats]:
        """The texture, (H, W, 3) 0..1 display-referred."""
        total, before = (np.zeros((3, len(shared.texels)), np.float32) for _ in range(2))
        for number, view in enumerate(shared.views):
            with Clock(self.seconds, "blend"):
                which, strokes = shared.strokes_of(number)
                total[:, which] += strokes + shared.change_of(number)
                before[:, which] += shared.before_of(number)
            yield self._say(0.7 + 0.15 * (number + 1) / len(shared.views), f"Projecting {view.sight.name}")
        pixels = yield from self._filled(shared, before)
        with Clock(self.seconds, "blend"):
            flat, index, seen = pixels.reshape(-1, 3), shared.texels.index, shared.seen[:, None]
            flat[index] += seen * (np.clip(total, 0, 1).T - flat[index])
            with_margin(pixels, shared.texels.covered, self.request.margin)
        return pixels

    def _filled(self, shared: Shared, before: Floats) -> Generator[Event, None, Floats]:
        """(H, W, 3) 0..1: what shows where no view sees the surface. before: (3, N), its colours where one does."""
        texture = self.request.texture
        with Clock(self.seconds, "blend"):
            flat = around(shared, before) if texture is None else given(texture, shared.texels.size)
        started = time.perf_counter()
        for done in Filling(self.styles, shared, f"{self.request.name}: flat").painting(flat):
            yield self._say(0.85 + 0.1 * done, "Painting what no view sees")
        self.seconds["inference"] += time.perf_counter() - started
        return flat

    def _overlay(self, shared: Shared, overlap: float) -> Overlay:
        """Which view painted each texel: its number, counted from 1 (0: none), and its share of the strokes there."""
        texels, names = shared.texels, [view.sight.name for view in shared.views]
        number, share, total = (np.zeros(len(texels), np.float32) for _ in range(3))
        for place, look in enumerate(shared.looks, 1):
            mine = shared.narrow[place - 1] * shared.seen[look.which]
            total[look.which] += mine
            better = mine > share[look.which]
            number[look.which[better]], share[look.which[better]] = place, mine[better]
        parts = np.stack([total, 1 - shared.seen], axis=1)
        pixels = np.zeros((texels.size[0] * texels.size[1], 2), np.float32)
        pixels[texels.index] = np.stack([number, share], axis=1)
        seen = float((shared.seen * np.square(texels.edge)).sum() / np.square(texels.edge).sum())
        agree = shared.disagreement()
        self.report |= {"seen": seen, "overlap": overlap, **({} if agree is None else vars(agree))}
        return Overlay(
            OVERLAY,
            ("view", "share"),
            pixels.reshape(*texels.size, 2),
            _sentence(len(names), seen, overlap, agree, self.request.texture is not None),
            (0.0, float(len(names))),
            Certificate((completeness(parts, np.ones(len(texels))),)),
            unit="number of the view that paints there: "
            + ", ".join(f"{place} {name}" for place, name in enumerate(names, 1)),
        )

    def _delivered(self, pixels: Floats, overlay: Overlay) -> Iterator[Event]:
        request, sheet = self.request, Sheet(self.request.height, self.request.width, np.dtype(np.uint8))
        yield self._say(0.96, "Writing")
        made = self._recipe()
        name = f"{slug(request.name)}_{slug(self.styles.name)}_views"
        with Clock(self.seconds, "write"), outputs.made(request, name, sheet, made, STYLIZED) as output:
            for top in range(0, sheet.height, _ROWS):
                output.write_rows(np.rint(np.clip(pixels[top : top + _ROWS], 0, 1) * 255).astype(np.uint8))
            layers = output.finish([overlay], pixels)
        yield self._say(1.0, "Done")
        yield Stylized(request.job, request.name, layers, output.path, dict(self.seconds), made)

    def _recipe(self) -> Json:
        request = self.request
        views = [{"name": view.name, "matrix": list(view.matrix)} for view in request.views]
        size = [request.width, request.height]
        texture = request.texture.name if request.texture else ""
        return self.recipe | {
            "projection": {"views": views, "size": size, "margin": request.margin, "texture": texture, **self.report}
        }

    def _say(self, fraction: float, stage: str) -> Progress:
        return Progress(self.request.job, fraction, self.notes.pop(0) if self.notes else stage)


def _paint(canvas: Canvas, window: tuple[int, int, int, int], result: Floats) -> None:
    top, left, height, width = window
    result[:, top : top + height, left : left + width] = np.clip(canvas.read(*window), 0, 1)


def _sentence(views: int, seen: float, overlap: float, agree: Disagreement | None, has_texture: bool) -> str:
    """The overlay in plain words"""
    said = [f"{_percent(seen)} of the surface is seen by {views} view{'s' * (views != 1)}"]
    if seen < 0.9995:
        rest = "the texture as it lies flat" if has_texture else "the colours around it"
        said[0] += f"; the rest is painted from {rest}"
    if agree is not None:
        said.append(
            f"Where several see a place their strokes differ by {_percent(agree.strokes)}, their colours at large by "
            f"{_percent(agree.colours)}"
        )
    if overlap > 0.0005:
        said.append(f"{_percent(overlap)} of what the UV map covers shows several places of the surface alike")
    return ". ".join(said) + "."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"
