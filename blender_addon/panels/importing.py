"""Somebody else's model before it is kept."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"

from __future__ import annotations

import bpy

from .. import importing, jobs, props
from ..translation import worded
from .base import draw_progress, draw_setting, draw_text


class ImportPanel:
    """What a model is taken for, and what it paints then."""

    bl_label = "Import Model"
    bl_category = "Pentimento"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return importing.checking is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        model = importing.checking
        file, waiting = model.path.name, len(model.waiting)
        said = worded("{file} ({count} more wait)", file=file, count=waiting) if waiting else file
        layout.label(text=said, translate=False, icon="FILE")
        _draw_pictures(layout, context, model)
        if model.problem is not None:
            draw_text(layout.box().column(align=True), context, str(model.problem), "ERROR")
        if jobs.current():
            draw_progress(layout, context)
        if model.found is not None:
            _draw_facts(layout, context, model.found)
        row = layout.row(align=True)
        row.scale_y = 1.5
        row.operator("pentimento.keep_import", icon="CHECKMARK")
        row.operator("pentimento.discard_import", icon="X")


def _draw_pictures(layout: bpy.types.UILayout, context: bpy.types.Context, model: importing.Checking) -> None:
    """Side by side, as large as the panel is wide; an icon is as high as it is scaled, however narrow its place."""
    if model.pictures is None:
        return
    half = context.region.width / context.preferences.system.ui_scale / 2
    scale = min(max((half - 25) / 20, 3.0), 10.0)
    grid = layout.grid_flow(row_major=True, columns=2, even_columns=True)
    for which, title in (("before", model.image or worded("Test Picture")), ("after", worded("Painted"))):
        cell = grid.column(align=True)
        cell.template_icon(icon_value=importing.icon(which), scale=scale)
        row = cell.row()
        row.alignment = "CENTER"
        row.label(text=title, translate=False)


def _draw_facts(layout: bpy.types.UILayout, context: bpy.types.Context, found: props.protocol.ModelFacts) -> None:
    chosen = props.gallery.import_settings(context)
    column = layout.column()
    for name in ("name", "author", "licence"):
        column.prop(chosen, name)
    column = layout.column()
    column.row().prop(chosen, "channel_order", expand=True)
    _draw_range(column, chosen, "value_range", "low", "high")
    _draw_range(column, chosen, "output_range", "output_low", "output_high")
    column.prop(chosen, "normalisation")
    draw_setting(column, chosen, "layout")
    size = column.column()
    size.enabled = not found.width
    size.prop(chosen, "multiple")
    size_of = {"width": found.width, "height": found.height}
    only = worded("Only {width} x {height} pixels at once: the file says so.", **size_of)
    text = only if found.width else worded("Any size: the file leaves width and height open.")
    draw_text(layout.column(align=True), context, f"{importing.how_known(found)} {text}".strip(), "INFO")
    layout.operator("pentimento.try_import", icon="FILE_REFRESH")


def _draw_range(
    column: bpy.types.UILayout, chosen: props.gallery.ImportSettings, name: str, low: str, high: str
) -> None:
    column.prop(chosen, name)
    if getattr(chosen, name) == "OTHER":
        pair = column.column(align=True)
        pair.prop(chosen, low)
        pair.prop(chosen, high)


class ImageImportPanel(ImportPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_import"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportImportPanel(ImportPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_import"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class RenderImportPanel(ImportPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render_import"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"


CLASSES = (
    ImageImportPanel,
    ViewportImportPanel,
    RenderImportPanel,
)
