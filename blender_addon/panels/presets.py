"""The list of presets behind the button in the header, as Blender's own panels have it."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"

from __future__ import annotations

import bpy

from .. import presets, props
from ..translation import worded


class PresetsPanel(bpy.types.Panel):
    """Ways to paint, under their names."""

    bl_idname = "PENTIMENTO_PT_presets"
    bl_label = "Pentimento Presets"
    bl_space_type = "PROPERTIES"
    bl_region_type = "HEADER"

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[assignment]
        layout.emboss = "PULLDOWN_MENU"
        layout.operator_context = "EXEC_DEFAULT"
        column = layout.column(align=True)
        for preset in presets.found():
            row = column.row(align=True)
            text = worded(preset.name) if preset.ships else preset.name
            row.operator("pentimento.load_preset", text=text, translate=False).name = preset.name
            if not preset.ships:
                remove = row.row(align=True)
                remove.operator_context = "INVOKE_DEFAULT"
                remove.operator("pentimento.remove_preset", text="", icon="REMOVE").name = preset.name
        layout.separator()
        row = layout.row(align=True)
        row.prop(props.gallery.gallery(context), "preset_name", text="")
        row.operator("pentimento.save_preset", text="", icon="ADD")


def draw_presets(layout: bpy.types.UILayout) -> None:
    """The button in a panel's header"""
    layout.emboss = "NONE"
    layout.popover(panel=PresetsPanel.bl_idname, icon="PRESET", text="")


CLASSES = (PresetsPanel,)
