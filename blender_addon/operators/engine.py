"""The Python that computes: set another one up, take it away, go back to Blender's own, report about it."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"

import bpy

from .. import gallery, jobs, props, setting_up
from ..engine_client import packages
from ..translation import heard
from .base import Answer, JobOperator


class SetupOperator(JobOperator):
    """Asks first; then it runs in the background, as the window's other jobs do."""

    asked = False
    """A person has seen the question: nobody waits for the end."""

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if jobs.current(jobs.SETUP) is not None:
            cls.poll_message_set("A set-up is running")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Answer:
        if self.asked:
            return self._report(lambda: jobs.start(self.job(context, blocking=False)))
        return super().execute(context)


class SetUp(SetupOperator, bpy.types.Operator):
    """Make a Python with these packages in a folder of its own, and use it"""

    bl_idname = "pentimento.set_up"
    bl_label = "Set Up"

    kind: bpy.props.EnumProperty(
        name="For",
        description="What the environment is for",
        items=[(kind.name, kind.title, kind.about) for kind in packages.kinds()],
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if (refused := setting_up.refusal()) is not None:
            cls.poll_message_set(heard(str(refused)))
            return False
        return super().poll(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        if bpy.app.background:
            return self.execute(context)
        self.asked = True
        return context.window_manager.invoke_props_dialog(self, width=450)

    def draw(self, _context: bpy.types.Context) -> None:
        chosen = packages.KINDS[self.kind]
        column = self.layout.column(align=True)
        column.label(text=chosen.title, icon="IMPORT")
        for line in setting_up.announcement(chosen):
            column.label(text=line, translate=False, icon="BLANK1")

    def job(self, _context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return setting_up.set_up_job(packages.KINDS[self.kind])


class RemoveSetup(SetupOperator, bpy.types.Operator):
    """Remove the environment that was set up. Blender's own Python is used again"""

    bl_idname = "pentimento.remove_setup"
    bl_label = "Remove Environment"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        if bpy.app.background:
            return self.execute(context)
        self.asked = True
        return context.window_manager.invoke_confirm(self, event)

    def job(self, _context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return setting_up.remove_job()


class CancelSetUp(bpy.types.Operator):
    """Stop the set-up. What is installed stays, and Set Up goes on from there"""

    bl_idname = "pentimento.cancel_set_up"
    bl_label = "Cancel"

    def execute(self, _context: bpy.types.Context) -> Answer:
        jobs.cancel(jobs.SETUP)
        return {"FINISHED"}


class UseOwnPython(bpy.types.Operator):
    """Let Blender's own Python work again, on the processor. The other one stays where it is"""

    bl_idname = "pentimento.use_own_python"
    bl_label = "Use Blender's Own"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def execute(self, _context: bpy.types.Context) -> Answer:
        setting_up.use_blenders_own()
        return {"FINISHED"}


class CopyEngineReport(bpy.types.Operator):
    """Copy all about the Python that computes and how the last jobs ended, for a bug report"""

    bl_idname = "pentimento.copy_engine_report"
    bl_label = "Copy Report"

    def execute(self, context: bpy.types.Context) -> Answer:
        chosen = gallery.exactly(props.settings(context).style)
        context.window_manager.clipboard = "\n".join(filter(None, (setting_up.report(), chosen)))
        return {"FINISHED"}


CLASSES = (
    SetUp,
    RemoveSetup,
    CancelSetUp,
    UseOwnPython,
    CopyEngineReport,
)
