"""What every button that starts a job does. `execute` blocks until the result is there; `invoke` returns at once."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"

import functools
from collections.abc import Callable
from typing import Any

import bpy

from .. import jobs, props, setting_up
from ..engine_client import EngineError
from ..translation import heard, worded

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
            report({"ERROR"}, heard(str(error)))
            return {"CANCELLED"}
        finally:
            jobs.redraw()
        if ended:
            report({ended.level}, heard(ended.message))
        return {"FINISHED"} if ended is None or ended.has_result else {"CANCELLED"}


class ReadingOperator:
    """Does in pieces what takes a moment and needs no engine. `work` reads the operator's properties before its first
    yield: later there is no operator any more."""

    def work(self, context: bpy.types.Context) -> jobs.Work:
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Answer:
        return self._report(lambda: jobs.finish(self.work(context)))

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        if bpy.app.background:
            return self.execute(context)  # no timer would ever carry it on
        return self._report(lambda: read(self.bl_label, self.work(context)))

    def _report(self, act: Callable[[], str]) -> Answer:
        report: Callable[[set[str], str], None] = self.report
        try:
            said = act()
        except EngineError as error:
            report({"ERROR"}, heard(str(error)))
            return {"CANCELLED"}
        finally:
            jobs.redraw()
        if said:
            report({"INFO"}, heard(said))
        return {"FINISHED"}


def read(title: str, work: jobs.Work) -> str:
    """Begins the work, in place of one that is still at it, and returns. Of one that is done at once what the artist
    should know; another one makes an undo step of its own when it is."""
    jobs.drop(jobs.READING)
    job = jobs.Job(worded(title), work, lambda _: None, setting_up.interpreter(), lane=jobs.READING, delivered=True)
    try:
        jobs.start(job)
    except EngineError:
        jobs.forget_report(jobs.READING)  # the operator says it
        raise
    if jobs.current(jobs.READING) is job:
        job.on_end = functools.partial(_remember, title)
        return ""
    report = jobs.last_report(jobs.READING)
    return report.fix if report else ""


def view_scene(context: bpy.types.Context) -> str:
    """The scene whose view transform the painting is to match; none when it is to paint the scene's own light."""
    return context.scene.name if props.settings(context).colours == "DISPLAY" else ""


def painting_job(
    title: str, requests: jobs.Requests, apply: Callable[[Any], jobs.Work | None], blocking: bool, **more: Any
) -> jobs.Job:
    """more: what else the job says of itself"""
    on_end = None if blocking else functools.partial(_remember, title)
    return jobs.Job(title, requests, apply, setting_up.interpreter(), on_end, **more)


def _remember(title: str, report: jobs.Report) -> None:
    """An undo step of its own for what came in while the artist went on working."""
    if report.has_result:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.ed.undo_push(message=title)
