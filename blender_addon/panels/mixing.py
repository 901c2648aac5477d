"""Several styles in one picture."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"
# ruff: noqa: RUF012

from __future__ import annotations

import bpy

from .. import jobs, props
from ..translation import worded


class MixingPanel:
    """Several styles in one picture, whose colours they take, how much they vary."""

    bl_label = "Mixing"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}
    paints_renders = False

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.enabled = jobs.current() is None
        chosen = props.settings(context)
        for number, part in enumerate(props.all_styles(chosen)):
            _draw_part(layout, part, number - 1, bool(chosen.mixed), self.paints_renders)
        layout.operator("pentimento.add_style", icon="ADD")
        column = layout.column(align=True)
        column.label(text=worded("Palette"), translate=False)
        column.prop(chosen, "palette", text="")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(chosen, "diversity")


def _draw_part(
    layout: bpy.types.UILayout, part: props.StyleChoice, index: int, is_mix: bool, paints_renders: bool
) -> None:
    """One style: how much of it, and where. The first is the one in the picker; it stays."""
    column = layout.box().column(align=True)
    row = column.row(align=True)
    row.prop(part, "style", text="")
    if index >= 0:
        row.operator("pentimento.remove_style", text="", icon="X").index = index
    column = column.column(align=True)
    column.use_property_split = True
    column.use_property_decorate = False
    if is_mix:
        column.prop(part, "share", slider=True)
    if paints_renders:
        column.prop_search(part, "matte", bpy.data, "objects", icon="OBJECT_DATA")
    else:
        column.prop(part, "mask")


class ImageMixingPanel(MixingPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_mixing"
    bl_parent_id = "PENTIMENTO_PT_image"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportMixingPanel(MixingPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_mixing"
    bl_parent_id = "PENTIMENTO_PT_view"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class RenderMixingPanel(MixingPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render_mixing"
    bl_parent_id = "PENTIMENTO_PT_render"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    paints_renders = True


CLASSES = (
    ImageMixingPanel,
    ViewportMixingPanel,
    RenderMixingPanel,
)
