"""Textures of materials: which ones, how they lie on surfaces, and the way back."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc, override"
# ruff: noqa: RUF012

from __future__ import annotations

from typing import Any

import bpy

from .. import jobs, props, texturing
from ..translation import worded
from .base import draw_setting, draw_text

ICONS = {"Base Color": "COLOR", "Normal": "NORMALS_FACE", "Unused": "BLANK1"}


class SlotList(bpy.types.UIList):
    """The textures of materials, each with a tick."""

    bl_idname = "PENTIMENTO_UL_textures"

    def draw_item(
        self,
        _context: bpy.types.Context,
        layout: bpy.types.UILayout,
        _data: Any,
        slot: Any,
        _icon: Any,
        _active_data: Any,
        _active_property: Any,
    ) -> None:
        row = layout.row(align=True)
        row.use_property_split = False
        row.prop(slot, "use", text="")
        row.label(text=slot.image, translate=False, icon=ICONS.get(slot.role, "TEXTURE"))


class TexturesPanel:
    """Textures of materials: which ones, how they lie on surfaces, and the way back."""

    bl_label = "Textures"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = jobs.current() is None
        more = props.textures_settings(context)
        draw_setting(layout, more, "scope")
        if more.scope == "SLOTS":
            _draw_slots(layout, more)
        column = layout.column()
        column.prop(more, "margin", text="Margin")
        column.prop(more, "relief")
        row = column.row()
        row.enabled = more.relief
        row.prop(more, "relief_strength", text=worded("Thickness"), translate=False)
        problem = texturing.problem(context)
        big = layout.column()
        big.scale_y = 1.5
        big.enabled = not problem
        big.operator("pentimento.stylize_textures", icon="MATERIAL")
        if problem:
            draw_text(layout, context, problem, "INFO")
        row = layout.row(align=True)
        row.operator("pentimento.revert_textures", icon="LOOP_BACK")
        row.operator("pentimento.revert_textures", text="", icon="TRASH").remove_images = True
        row.operator("pentimento.apply_textures", icon="CHECKMARK")


def _draw_slots(layout: bpy.types.UILayout, more: props.TexturesSettings) -> None:
    layout.template_list("PENTIMENTO_UL_textures", "", more, "slots", more, "slot", rows=4)
    if 0 <= more.slot < len(more.slots):
        slot = more.slots[more.slot]
        column = layout.column(align=True)
        column.label(text=slot.role, icon=ICONS.get(slot.role, "TEXTURE"))
        column.label(text=slot.material, translate=False, icon="MATERIAL")
    layout.operator("pentimento.list_textures", icon="FILE_REFRESH")


class ImageTexturesPanel(TexturesPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_textures"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_parent_id = "PENTIMENTO_PT_image"


class ViewportTexturesPanel(TexturesPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_textures"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_parent_id = "PENTIMENTO_PT_view"


CLASSES = (
    SlotList,
    ImageTexturesPanel,
    ViewportTexturesPanel,
)
