"""What overlays foretell: whose colours, how much of the style by band, light and place."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"
# ruff: noqa: RUF012

from __future__ import annotations

import bpy

from .. import jobs, props, scene_io
from ..translation import worded
from .base import draw_setting, draw_text, subject_in_view


class ControlsPanel:
    """What overlays foretell: whose colours, how much of the style by band, light and place."""

    bl_label = "Controls"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}
    paints_renders = False

    def draw_header(self, context: bpy.types.Context) -> None:
        """One that was moved is not forgotten while the panel is closed."""
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        if props.moved_controls(props.settings(context)):
            layout.operator("pentimento.reset_controls", text="", icon="LOOP_BACK", emboss=False)

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = jobs.current() is None
        chosen, is_render = props.settings(context), self.paints_renders or _shows_render(context)
        column = layout.column(align=True)
        column.enabled = not chosen.palette_name or chosen.whose_colours != "style"
        column.label(text="Whose Colours")
        column.prop(chosen, "whose_colours", text="")
        bands = layout.column(align=True)
        bands.label(text=worded("Bands"), translate=False)
        for name in props.choices.BANDS:
            draw_setting(bands, chosen, name)
        if is_render:
            _draw_lights(layout, context)
        _draw_places(layout, chosen, is_render)
        if props.can_lock(chosen):  # other styles have nothing to lock
            layout.prop(chosen, "lock")


def _shows_render(context: bpy.types.Context) -> bool:
    """Is what the editor shows a render, or a file with its passes?"""
    image = scene_io.image_in_view(context)
    if image is None or image.type in scene_io.RENDERS:
        return image is not None
    subject, _ = subject_in_view(context, image)
    return subject is not None and bool(subject.file)


def _draw_lights(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Those that the render can tell apart; one that was moved stays, so that it can be moved back."""
    chosen, has_lights = props.settings(context), context.scene.render.engine == "CYCLES"
    column = layout.column(align=True)
    column.label(text="Lights")
    for name in props.choices.GAINS.values():
        if has_lights or getattr(chosen, name) != 1:
            draw_setting(column, chosen, name)
    if not has_lights:
        draw_text(column, context, "Only Cycles tells lights apart.", "INFO")


def _draw_places(layout: bpy.types.UILayout, chosen: props.PentimentoSettings, is_render: bool) -> None:
    column = layout.column(align=True)
    column.use_property_split = False
    column.label(text="Places")
    for index, place in enumerate(chosen.places):
        row = column.row(align=True)
        if is_render:
            row.prop_search(place, "matte", bpy.data, "objects", text="", icon="OBJECT_DATA")
        else:
            row.prop(place, "mask", text="")
        row.prop(place, "strength", text="", slider=True)
        row.operator("pentimento.remove_place", text="", icon="REMOVE").index = index
    column.operator("pentimento.add_place", icon="ADD").active = is_render


class ImageControlsPanel(ControlsPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_controls"
    bl_parent_id = "PENTIMENTO_PT_image"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportControlsPanel(ControlsPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_controls"
    bl_parent_id = "PENTIMENTO_PT_view"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class RenderControlsPanel(ControlsPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render_controls"
    bl_parent_id = "PENTIMENTO_PT_render"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    paints_renders = True


CLASSES = (
    ImageControlsPanel,
    ViewportControlsPanel,
    RenderControlsPanel,
)
