"""The frames of a shot."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"
# ruff: noqa: RUF012

from __future__ import annotations

import bpy

from .. import animating, compat, jobs, props
from ..engine_client import EngineError
from ..translation import worded
from .base import draw_setting, draw_text


class AnimationPanel:
    """The frames of a shot: which, what strokes do from one to the next, where results go."""

    bl_label = "Animation"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = jobs.current() is None
        chosen = props.animation_settings(context)
        column = layout.column()
        column.row(align=True).prop(chosen, "source", expand=True)
        if chosen.source == "FILES":
            column.prop(chosen, "frames")
            column.prop(chosen, "in_range")
        _draw_strokes(layout, context)
        column = layout.column()
        column.prop(chosen, "folder")
        column.prop(chosen, "resume")
        _draw_movie(layout, context)
        big = layout.column()
        big.scale_y = 1.5
        big.operator("pentimento.stylize_animation", icon="RENDER_ANIMATION")
        _draw_said(layout, context)
        _draw_after_render(layout, context)


def _draw_strokes(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Grey, with the reason, where the chosen frames do not let strokes stick."""
    chosen = props.animation_settings(context)
    reason = animating.why_anew(context.scene)
    row = layout.row()
    row.enabled = not reason
    draw_setting(row, chosen, "strokes")
    if reason:
        draw_text(layout.column(align=True), context, reason, "INFO")


def _draw_movie(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    row = layout.row()
    row.enabled = compat.can_write_movies()
    row.prop(props.animation_settings(context), "movie")
    if not compat.can_write_movies():
        draw_text(layout.column(align=True), context, "This Blender cannot write movies.", "INFO")


def _draw_said(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Which frames, and what is switched for them."""
    scene, chosen = context.scene, props.animation_settings(context)
    if chosen.source == "FILES":
        return
    frames = worded("Frames {first} to {last}.", first=scene.frame_start, last=scene.frame_end)
    draw_text(layout.column(align=True), context, f"{frames} {_animation_switches(context)}", "INFO")


def _animation_switches(context: bpy.types.Context) -> str:
    if not props.library.styles() or props.missing_style(props.settings(context)):
        return ""
    try:
        return animating.switches_needed(context.scene)
    except EngineError as error:
        return error.message


def _draw_after_render(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    chosen = props.animation_settings(context)
    column = layout.column()
    column.use_property_split = False
    column.prop(chosen, "after_render")
    if chosen.after_render and _animation_switches(context):
        column.operator("pentimento.switch_on_passes", icon="RENDERLAYERS")


class ImageAnimationPanel(AnimationPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_animation"
    bl_parent_id = "PENTIMENTO_PT_image"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportAnimationPanel(AnimationPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_animation"
    bl_parent_id = "PENTIMENTO_PT_view"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class RenderAnimationPanel(AnimationPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render_animation"
    bl_parent_id = "PENTIMENTO_PT_render"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"


CLASSES = (
    ImageAnimationPanel,
    ViewportAnimationPanel,
    RenderAnimationPanel,
)
