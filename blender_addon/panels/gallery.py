"""Styles as pictures: look around, pick one, and read what it is made of."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"
# ruff: noqa: RUF012

from __future__ import annotations

import bpy

from .. import gallery, jobs, props
from ..translation import worded
from .base import draw_text

CELL = 92
"""Width of a picture in the grid, in pixels of an interface that is not scaled"""


class GalleryPanel:
    """Styles as pictures: look around, pick one, and read what it is made of."""

    bl_label = "Gallery"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.enabled = jobs.current() is None
        chosen = props.gallery.gallery(context)
        layout.row(align=True).prop(chosen, "makes", expand=True)
        _draw_filter(layout, chosen)
        found, looked_at = gallery.shown(chosen), gallery.looked_at(context)
        if found:
            _draw_grid(layout, context, found, looked_at)
        else:
            layout.label(text="No style is like that", icon="INFO")
        if looked_at is not None:
            _draw_card(layout, context, looked_at)
        row = layout.row(align=True)
        row.operator("pentimento.import_style", icon="IMPORT")
        row.operator("pentimento.export_shown", text="", icon="EXPORT")
        row.operator("pentimento.refresh_styles", text="", icon="FILE_REFRESH")


def _draw_filter(layout: bpy.types.UILayout, chosen: props.gallery.GallerySettings) -> None:
    column = layout.column(align=True)
    row = column.row(align=True)
    row.prop(chosen, "search", text="", icon="VIEWZOOM")
    row.prop(chosen, "favourites", text="", icon="SOLO_ON" if chosen.favourites else "SOLO_OFF")
    column.prop(chosen, "folder", text="")


def _draw_grid(
    layout: bpy.types.UILayout,
    context: bpy.types.Context,
    found: tuple[props.library.Style, ...],
    looked_at: props.library.Style | None,
) -> None:
    columns = max(int(context.region.width / context.preferences.system.ui_scale / CELL), 1)
    grid = layout.grid_flow(row_major=True, columns=columns, even_columns=True, even_rows=True)
    starred = gallery.favourites()
    for style in found:
        cell = grid.column(align=True)
        cell.template_icon(icon_value=props.library.icon(style), scale=4.0)
        row = cell.row(align=True)
        pick = row.operator(
            "pentimento.choose_style", text=style.name, depress=looked_at is not None and style.name == looked_at.name
        )
        pick.name = style.name
        is_one = style.name in starred
        star = row.operator("pentimento.mark_style", text="", icon="SOLO_ON" if is_one else "SOLO_OFF")
        star.name, star.favourite = style.name, not is_one
    for _ in range(columns - len(found)):
        grid.column()  # so that one picture alone is no larger than among others


def _draw_card(layout: bpy.types.UILayout, context: bpy.types.Context, style: props.library.Style) -> None:
    box = layout.box()
    box.label(text=style.name, icon="BRUSH_DATA")
    column = box.column(align=True)
    for row in gallery.card(style):
        _draw_row(column, context, row)
    _draw_actions(box, context, style)


def _draw_row(column: bpy.types.UILayout, context: bpy.types.Context, row: gallery.Row) -> None:
    """The name to the left, what it says to the right, in as many lines as it needs."""
    split = column.split(factor=0.3)
    label = split.column(align=True)
    label.alignment = "RIGHT"
    label.label(text=worded(row.label), translate=False)
    draw_text(split.column(align=True), context, row.text, "NONE", share=0.68)


def _draw_actions(box: bpy.types.UILayout, context: bpy.types.Context, style: props.library.Style) -> None:
    row = box.row(align=True)
    row.operator("pentimento.export_style", text="Export", icon="EXPORT").name = style.name
    own = row.row(align=True)
    own.enabled = not gallery.why_fixed(style)
    own.operator("pentimento.rename_style", text="", icon="GREASEPENCIL").name = style.name
    own.operator("pentimento.move_style", text="", icon="FILE_FOLDER").name = style.name
    own.operator("pentimento.delete_style", text="", icon="TRASH").name = style.name
    if reason := gallery.why_fixed(style):
        draw_text(box.column(align=True), context, f"{reason}.", "INFO")


class ImageGalleryPanel(GalleryPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_gallery"
    bl_parent_id = "PENTIMENTO_PT_image"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportGalleryPanel(GalleryPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_gallery"
    bl_parent_id = "PENTIMENTO_PT_view"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class RenderGalleryPanel(GalleryPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render_gallery"
    bl_parent_id = "PENTIMENTO_PT_render"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"


CLASSES = (
    ImageGalleryPanel,
    ViewportGalleryPanel,
    RenderGalleryPanel,
)
