"""Places with a strength of their own, and everything back as it was."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

import bpy

from .. import props
from .base import Answer


class AddPlace(bpy.types.Operator):
    """Give a place a strength of its own"""

    bl_idname = "pentimento.add_place"
    bl_label = "Add Place"
    bl_options = {"REGISTER", "UNDO"}

    active: bpy.props.BoolProperty(
        name="Active Object", description="The place is the active object", options={"SKIP_SAVE"}
    )

    def execute(self, context: bpy.types.Context) -> Answer:
        chosen = props.settings(context)
        added, active = chosen.places.add(), context.object if self.active else None
        if active is not None and active.name not in [place.matte for place in chosen.places]:
            added.matte = active.name
        return {"FINISHED"}


class RemovePlace(bpy.types.Operator):
    """Let this place be as strong as the rest"""

    bl_idname = "pentimento.remove_place"
    bl_label = "Remove Place"
    bl_options = {"REGISTER", "UNDO"}

    index: bpy.props.IntProperty(min=0, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> Answer:
        props.settings(context).places.remove(self.index)
        return {"FINISHED"}


class ResetControls(bpy.types.Operator):
    """Set all controls back, so that the picture is painted as the style does"""

    bl_idname = "pentimento.reset_controls"
    bl_label = "Reset Controls"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        props.reset_controls(props.settings(context))
        return {"FINISHED"}


CLASSES = (
    AddPlace,
    RemovePlace,
    ResetControls,
)
