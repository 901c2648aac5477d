"""How to paint, under a name."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"

from pathlib import Path

import bpy

from .. import jobs, presets, props
from ..engine_client import EngineError
from ..translation import heard, worded
from .base import Answer


class LoadPreset(bpy.types.Operator):
    """Paint as this preset says"""

    bl_idname = "pentimento.load_preset"
    bl_label = "Load Preset"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    name: bpy.props.StringProperty(name="Preset", description="Its name", options={"SKIP_SAVE"})
    filepath: bpy.props.StringProperty(
        name="File", description="A preset that lies elsewhere", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        found = [preset.about for preset in presets.found() if preset.name == properties.name]
        return worded((found[0] if found else "") or str(cls.__doc__))

    def execute(self, context: bpy.types.Context) -> Answer:
        try:
            path = Path(bpy.path.abspath(self.filepath)) if self.filepath else presets.find(self.name).path
            notes = presets.load(context.scene, path)
        except EngineError as error:
            self.report({"ERROR"}, heard(str(error)))
            return {"CANCELLED"}
        if notes:
            self.report({"WARNING"}, " ".join(heard(note[0].upper() + note[1:]) for note in notes))
        jobs.redraw()
        return {"FINISHED"}


class SavePreset(bpy.types.Operator):
    """Keep how the panels are set as a preset: style, mix, controls, overlays, texture and animation"""

    bl_idname = "pentimento.save_preset"
    bl_label = "Save Preset"

    name: bpy.props.StringProperty(
        name="Name", description="Empty: the one below the list", maxlen=60, options={"SKIP_SAVE"}
    )

    def execute(self, context: bpy.types.Context) -> Answer:
        try:
            presets.save(context.scene, self.name or presets.new_name(props.gallery.gallery(context)))
        except EngineError as error:
            self.report({"ERROR"}, heard(str(error)))
            return {"CANCELLED"}
        return {"FINISHED"}


class RemovePreset(bpy.types.Operator):
    """Delete this preset of yours"""

    bl_idname = "pentimento.remove_preset"
    bl_label = "Remove Preset"

    name: bpy.props.StringProperty(name="Preset", description="Its name", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, _context: bpy.types.Context) -> Answer:
        try:
            presets.remove(self.name)
        except EngineError as error:
            self.report({"ERROR"}, heard(str(error)))
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (
    LoadPreset,
    SavePreset,
    RemovePreset,
)
