"""Paint the frames of an animation, also after Blender's own Render Animation."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

import functools
from collections.abc import Callable

import bpy

from .. import animating, jobs, scene_io
from ..engine_client import EngineError
from ..translation import heard, worded
from .base import Answer, JobOperator, painting_job

IMPATIENCE = jobs.Limits(cancel=2.0)
"""With animations: a worker within a long step need not come to its end, for finished frames are on the disk."""


class StylizeAnimation(JobOperator, bpy.types.Operator):
    """Paint an animation in the chosen style: existing frames, or rendered now. The compositor shows the result"""

    bl_idname = "pentimento.stylize_animation"
    bl_label = "Stylize Animation"
    bl_options = {"REGISTER", "UNDO"}

    frames: bpy.props.StringProperty(
        name="Frames",
        description="Existing frames, walk_####.exr or one of them, in place of what the panel says",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if (job := jobs.current()) is not None:
            cls.poll_message_set(worded("{job} is still running", job=job.title))
        return job is None

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return animation_job(animating.plan(context.scene, self.frames), blocking)


class SwitchOnPasses(bpy.types.Operator):
    """Switch on the passes by which strokes stick, and Motion Blur off, for Blender's own Render Animation"""

    bl_idname = "pentimento.switch_on_passes"
    bl_label = "Switch On Passes"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        try:
            animating.switch_on(context.scene)
        except EngineError as error:
            self.report({"ERROR"}, heard(str(error)))
            return {"CANCELLED"}
        return {"FINISHED"}


def animation_job(plan: animating.Plan, blocking: bool) -> jobs.Job:
    """Paints an animation, and renders it before or meanwhile where that is wanted."""
    run = animating.Run()
    job = painting_job(
        worded("Stylize Animation"),
        animating.requests(plan, run, blocking),
        functools.partial(animating.take, run=run),
        blocking,
    )
    job.beside = animating.render(plan, run, blocking) if plan.as_they_finish else None
    job.limits, job.loses_nothing = IMPATIENCE, True
    job.stopped = "was cancelled. Finished frames stay; with Resume it goes on"
    return job


class Watched:
    """The render that Blender is at, or was at last. One at a time is all it does."""

    is_ours = False
    """A job has begun it; it stays ours when that is cancelled and Blender goes on to the end of a frame"""
    written: list[int] = []
    """Frames of Blender's own that are on the disk"""
    waiting: Callable[[], float | None] | None = None
    """What is to paint them, while another job is at work"""


@bpy.app.handlers.persistent
def _render_begins(*_: object) -> None:
    Watched.is_ours = scene_io.Ours.renders
    Watched.written.clear()
    jobs.release()


@bpy.app.handlers.persistent
def _frame_written(scene: bpy.types.Scene, *_: object) -> None:
    if not Watched.is_ours and scene.pentimento_animation.after_render:
        Watched.written.append(scene.frame_current)


@bpy.app.handlers.persistent
def _render_ended(scene: bpy.types.Scene, *_: object) -> None:
    """In background the render waits for us; in a window this may be its thread, where nothing of Blender is safe."""
    numbers = tuple(Watched.written)
    Watched.written.clear()
    if len(numbers) < 2:
        return  # no animation
    after = functools.partial(_after_render, scene.name, numbers)
    wait = after() if bpy.app.background else 0.1
    if wait is not None:
        _stop_waiting()
        Watched.waiting = after
        bpy.app.timers.register(after, first_interval=wait)


def _stop_waiting() -> None:
    """A timer that is left keeps Blender from ending."""
    if Watched.waiting is not None and bpy.app.timers.is_registered(Watched.waiting):
        bpy.app.timers.unregister(Watched.waiting)
    Watched.waiting = None


def _after_render(scene_name: str, numbers: tuple[int, ...]) -> float | None:
    """Paints what was written. There is no operator to report an error: it goes to the panel and the console. Returns
    in how many seconds to try again, where another job is at work."""
    if jobs.current() is not None:
        return 0.5
    if scene_name not in bpy.data.scenes:
        return None
    blocking = bpy.app.background
    try:
        job = animation_job(animating.plan_written(bpy.data.scenes[scene_name], numbers), blocking)
        (jobs.run if blocking else jobs.start)(job)
    except EngineError as error:
        jobs.refused(error)
    if blocking and (report := jobs.last_report()):
        print(f"Pentimento: {report.text}")
    jobs.redraw()
    return None


HANDLERS = {
    "render_init": _render_begins,
    "render_write": _frame_written,
    "render_complete": _render_ended,
    "render_cancel": _render_begins,
}


def watch_renders() -> None:
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)


def leave_renders() -> None:
    _stop_waiting()
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)


CLASSES = (
    StylizeAnimation,
    SwitchOnPasses,
)
