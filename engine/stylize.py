"""The main job: pictures in, stylized layers and the overlays that explain them out. How: see painter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import controls, outputs, painted_pass, relief
from .errors import EngineError
from .explain.overlay import OF_A_RESULT
from .files import open_view
from .mixing import Styles, check_styles, open_styles
from .painter import STAGES, Clock, Painting, check_large_enough, no_memory, opened
from .protocol import Done, Event, PictureSource, Progress, SourceFailed, Stylized, StylizeRequest, StylizeSettings
from .view import View


def stylize(request: StylizeRequest) -> Iterator[Event]:
    """Stylize every source. One that fails is told and the next one follows; alone it fails the job."""
    _check(request)
    notes: list[str] = []
    yield Progress(request.job, 0.0, "Opening the style")
    styles = open_styles(request.settings, notes.append)
    view = open_view(request.view) if request.view else None
    done = 0
    for number, source in enumerate(request.sources):
        work = _Work(request, styles, source, view, number, notes)
        try:
            yield from work.run()
            done += 1
        except (EngineError, MemoryError) as error:
            problem = error if isinstance(error, EngineError) else no_memory(source)
            if len(request.sources) == 1:
                raise problem from error
            yield SourceFailed(request.job, source.name, problem.message, problem.fix)
    yield Done(request.job, {"done": done, "failed": len(request.sources) - done, **styles.first.ran_on()})


def _check(request: StylizeRequest) -> None:
    """Checks that cost nothing come first."""
    if not request.sources:
        raise EngineError("There is no picture to stylize.", "Choose at least one picture.")
    check_settings(request.settings)
    check_overlays(request.settings, OF_A_RESULT)
    check_delivery(request.deliver)
    relief.check(request)


def check_delivery(deliver: str) -> None:
    if deliver not in ("files", "pixels"):
        raise EngineError(f"Results cannot be delivered as {deliver!r}.", "Ask for files or pixels.")


def check_settings(settings: StylizeSettings) -> None:
    """All but the overlays"""
    check_styles(settings.styles)
    if not 0 <= settings.diversity <= 1.5:
        raise EngineError(f"The diversity is {settings.diversity:g}.", "Choose a diversity from 0 to 1.5.")
    if not 0 <= settings.follow <= 1:
        raise EngineError(f"Strokes cannot follow forms by {settings.follow:g}.", "Choose a number from 0 to 1.")
    if not 0 <= settings.strength <= 1:
        raise EngineError(f"The strength is {settings.strength:g}.", "Choose a strength from 0 to 1.")
    controls.check(settings)
    painted_pass.check(settings)
    if not 0.25 <= settings.stroke <= 4:
        raise EngineError(f"The stroke size is {settings.stroke:g}.", "Choose a stroke size from 0.25 to 4.")
    if not 0 <= settings.seed < 2**31:
        raise EngineError(f"The seed is {settings.seed}.", "Choose a seed from 0 to 2147483647.")
    if settings.tile and settings.tile < 16:
        raise EngineError(f"Tiles of {settings.tile} pixels are too small.", "Choose 16 or more, or 0 for automatic.")


def check_overlays(settings: StylizeSettings, known: Sequence[str]) -> None:
    for name in settings.overlays:
        if name not in known:
            raise EngineError(f"There is no overlay {name!r} here.", "Choose among: " + ", ".join(known) + ".")


@dataclass
class _Work:
    """One source on its way through the job."""

    request: StylizeRequest
    styles: Styles
    source: PictureSource
    view: View | None
    number: int
    notes: list[str]

    def run(self) -> Iterator[Event]:
        """Open, paint, explain, deliver."""
        yield self._progress(0.0, "Reading")
        seconds = dict.fromkeys(STAGES, 0.0)
        with Clock(seconds, "read"):
            found = opened(self.styles, self.source, self.view)
            check_large_enough(self.request.settings, found)
            mix = self.styles.over(self.source, found.reader, found.passes)
            maps = relief.opened(self.request, self.number, found)
        painting = Painting(self.styles, found, mix, self._progress, self.notes, seconds)
        made = painting.recipe()
        if maps:
            made["relief"] = maps.recipe()
        with outputs.opened(self.request, self.source, self.styles.name, found.sheet, made) as opened_:
            output = found.into(opened_)
            output = maps.into(output) if maps else output
            overlays, beneath = yield from painting.work(painting.canvas(), output)
            yield self._progress(0.98, "Writing")
            with Clock(seconds, "write"):
                layers = output.finish(overlays, beneath)
        yield self._progress(1.0, "Done")
        yield Stylized(self.request.job, self.source.name, layers, output.path, dict(seconds), made)

    def _progress(self, fraction: float, stage: str) -> Progress:
        return Progress(self.request.job, (self.number + fraction) / len(self.request.sources), stage)
