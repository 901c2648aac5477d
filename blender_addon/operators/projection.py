"""Paint a mesh from views."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

import functools

import bpy

from .. import jobs, projecting
from ..translation import heard, worded
from .base import JobOperator, painting_job


class ProjectViews(JobOperator, bpy.types.Operator):
    """Paint the active object as cameras see it, the views made one new texture on its UV map. The original stays"""

    bl_idname = "pentimento.project_views"
    bl_label = "Paint from Views"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if (job := jobs.current()) is not None:
            cls.poll_message_set(worded("{job} is still running", job=job.title))
            return False
        if why := heard(projecting.why_not(context)):
            cls.poll_message_set(why)
        return not why

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return projection_job(projecting.plan(context), blocking)


def projection_job(plan: projecting.Plan, blocking: bool) -> jobs.Job:
    """Renders and paints the views, and puts the texture where it belongs."""
    shape: list[projecting.Shape] = []
    requests = projecting.requests(plan, shape, blocking)
    apply = functools.partial(projecting.take, chosen=plan, shape=shape)
    return painting_job(worded("Paint {name} from Views", name=plan.thing), requests, apply, blocking)


CLASSES = (ProjectViews,)
