"""The list of styles that are mixed."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

import bpy

from .. import props
from .base import Answer


class AddStyle(bpy.types.Operator):
    """Mix another style in"""

    bl_idname = "pentimento.add_style"
    bl_label = "Add Style"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        props.mix_another(props.settings(context))
        return {"FINISHED"}


class RemoveStyle(bpy.types.Operator):
    """Take this style out of the mix"""

    bl_idname = "pentimento.remove_style"
    bl_label = "Remove Style"
    bl_options = {"REGISTER", "UNDO"}

    index: bpy.props.IntProperty(min=0, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> Answer:
        props.settings(context).mixed.remove(self.index)
        return {"FINISHED"}


CLASSES = (
    AddStyle,
    RemoveStyle,
)
