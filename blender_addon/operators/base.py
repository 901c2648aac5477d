"""What every button that starts a job does. `execute` blocks until the result is there; `invoke` returns at once."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"

import functools
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from .. import jobs, preferences, props, scene_io
from ..engine_client import EngineError, protocol
from ..translation import heard

Answer = set[str]


class JobOperator:
    """Runs the job that `job` describes: blocking or in the background, with the same outcome."""

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Answer:
        return self._report(lambda: jobs.run(self.job(context, blocking=True)))

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        if bpy.app.background:
            return self.execute(context)  # no timer would ever carry the job on
        return self._report(lambda: jobs.start(self.job(context, blocking=False)))

    def _report(self, act: Callable[[], jobs.Report | None]) -> Answer:
        report: Callable[[set[str], str], None] = self.report
        try:
            ended = act()
        except EngineError as error:
            report({"ERROR"}, str(error))
            return {"CANCELLED"}
        finally:
            jobs.redraw()
        if ended:
            report({ended.level}, heard(ended.message))
        return {"FINISHED"} if ended is None or ended.has_result else {"CANCELLED"}


def view_scene(context: bpy.types.Context) -> str:
    """The scene whose view transform the painting is to match; none when it is to paint the scene's own light."""
    return context.scene.name if props.settings(context).colours == "DISPLAY" else ""


def painting_job(
    title: str, requests: jobs.Requests, apply: Callable[[Any], jobs.Work | None], blocking: bool
) -> jobs.Job:
    on_end = None if blocking else functools.partial(_remember, title)
    return jobs.Job(title, requests, apply, preferences.interpreter(), on_end)


def _remember(title: str, report: jobs.Report) -> None:
    """An undo step of its own for what came in while the artist went on working."""
    if report.has_result:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.ed.undo_push(message=title)


def with_masks(
    how: protocol.StylizeSettings, masks: list[str], folder: str
) -> Generator[None, None, protocol.StylizeSettings]:
    """Each style and place with the file of its mask, written into the folder. masks: names of images, or nothing, for
    the styles; places have theirs."""
    names = [*filter(None, masks), *(place.matte for place in how.strength_of)]
    files = iter((yield from scene_io.write_pictures(names, Path(folder, "masks"))))
    parts = [replace(part, matte=next(files) if mask else "") for part, mask in zip(how.styles, masks, strict=True)]
    places = [replace(place, matte=next(files)) for place in how.strength_of]
    return replace(how, styles=tuple(parts), strength_of=tuple(places))


def view_table(scene: str, folder: str) -> protocol.ViewTable | None:
    return scene_io.gather_view(bpy.data.scenes[scene], folder) if scene else None
