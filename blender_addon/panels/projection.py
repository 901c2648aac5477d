"""A mesh painted from views."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"
# ruff: noqa: RUF012

from __future__ import annotations

import bpy

from .. import jobs, projecting, props
from .base import draw_text


class ViewportProjectionPanel(bpy.types.Panel):
    """The active object, painted as cameras see it, onto its UV map."""

    bl_idname = "PENTIMENTO_PT_view_projection"
    bl_label = "Projection"
    bl_category = "Pentimento"
    bl_parent_id = "PENTIMENTO_PT_view"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[assignment]
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = jobs.current() is None
        chosen = props.projection.settings(context)
        column = layout.column()
        column.prop(chosen, "cameras")
        if chosen.cameras == "AROUND":
            column.prop(chosen, "count")
        column.prop(chosen, "view_size")
        column = layout.column()
        column.prop(chosen, "size", text="Texture")
        for name in ("margin", "new_uv", "light"):
            column.prop(chosen, name)
        layout.operator("pentimento.project_views", icon="CAMERA_DATA")
        if why := projecting.why_not(context):
            draw_text(layout.column(align=True), context, why, "INFO")


CLASSES = (ViewportProjectionPanel,)
