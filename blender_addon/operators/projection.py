"""Paint a mesh from views."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

import functools

import bpy

from .. import jobs, projecting
from .base import JobOperator, painting_job


class ProjectViews(JobOperator, bpy.types.Operator):
    """Paint the active object as several cameras see it, and make the views one texture on its UV map. The result is a
    new image; the original stays"""

    bl_idname = "pentimento.project_views"
    bl_label = "Paint from Views"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if (job := jobs.current()) is not None:
            cls.poll_message_set(f"{job.title} is still running")
            return False
        if why := projecting.why_not(context):
            cls.poll_message_set(why)
        return not why

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return projection_job(projecting.plan(context), blocking)


def projection_job(plan: projecting.Plan, blocking: bool) -> jobs.Job:
    """Renders and paints the views, and puts the texture where it belongs."""
    shape: list[projecting.Shape] = []
    requests = projecting.requests(plan, shape, blocking)
    apply = functools.partial(projecting.take, chosen=plan, shape=shape)
    return painting_job(f"Paint {plan.thing} from Views", requests, apply, blocking)


CLASSES = (ProjectViews,)
