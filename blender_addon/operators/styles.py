"""Styles come and go."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"

import functools

import bpy

from .. import jobs, preferences, props
from ..engine_client import protocol
from ..translation import worded
from .base import Answer, JobOperator


class ImportStyle(JobOperator, bpy.types.Operator):
    """Add a style: a style pack (.zip) or an ONNX style model"""

    bl_idname = "pentimento.import_style"
    bl_label = "Import Style"

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default="*.zip;*.onnx", options={"HIDDEN"})
    name: bpy.props.StringProperty(name="Name", description="Empty: the name it brings", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Answer:
        if bpy.app.background:
            return super().execute(context)
        return self._report(lambda: jobs.start(self.job(context, blocking=False)))

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        requests = _import_requests(bpy.path.abspath(self.filepath), self.name)
        apply = functools.partial(_style_arrived, scene=context.scene.name)
        return jobs.Job(worded("Import Style"), requests, apply, preferences.interpreter())


def _import_requests(path: str, name: str) -> jobs.Requests:
    yield protocol.ImportStyleRequest(props.new_job(), path, str(props.library.user_styles()), name)


def _style_arrived(event: protocol.Event, scene: str) -> None:
    if isinstance(event, protocol.StyleReady):
        props.library.refresh_styles()
        if props.library.style_of(event.name):
            bpy.data.scenes[scene].pentimento.style = event.name
        elif event.name in [style.name for style in props.library.texture_styles()]:
            bpy.data.scenes[scene].pentimento_texture.style = event.name


class RefreshStyles(bpy.types.Operator):
    """Look for styles again"""

    bl_idname = "pentimento.refresh_styles"
    bl_label = "Refresh Styles"

    def execute(self, _context: bpy.types.Context) -> Answer:
        props.library.refresh_styles()
        return {"FINISHED"}


CLASSES = (
    ImportStyle,
    RefreshStyles,
)
