"""The process that computes: check its Python, stop its job, copy what it reported."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"

import bpy

from .. import gallery, jobs, props, setting_up
from .base import Answer, JobOperator


class CheckPython(JobOperator, bpy.types.Operator):
    """Start the Python above and see what it can do"""

    bl_idname = "pentimento.check_python"
    bl_label = "Check Python"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def job(self, _context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return setting_up.check_job()


class CopySetup(bpy.types.Operator):
    """Copy the commands that make a Python for training; paste them into a terminal"""

    bl_idname = "pentimento.copy_setup"
    bl_label = "Copy Commands"

    def execute(self, context: bpy.types.Context) -> Answer:
        context.window_manager.clipboard = setting_up.setup_commands()
        return {"FINISHED"}


class Cancel(bpy.types.Operator):
    """Stop the running job. Everything stays as it was"""

    bl_idname = "pentimento.cancel"
    bl_label = "Cancel"

    def execute(self, _context: bpy.types.Context) -> Answer:
        jobs.cancel()
        return {"FINISHED"}


class CopyReport(bpy.types.Operator):
    """Copy how the last job ended, for a message or a bug report"""

    bl_idname = "pentimento.copy_report"
    bl_label = "Copy Report"

    training: bpy.props.BoolProperty(name="Of the Training", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> Answer:
        report = jobs.last_report(jobs.TRAINING if self.training else jobs.PAINTING)
        if report is None:
            return {"CANCELLED"}
        chosen = "" if self.training else gallery.exactly(props.settings(context).style)
        context.window_manager.clipboard = "\n".join(filter(None, (report.text, chosen)))
        return {"FINISHED"}


CLASSES = (
    CheckPython,
    CopySetup,
    Cancel,
    CopyReport,
)
