"""The main panel: which style, how, and the button that paints."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"
# ruff: noqa: RUF012

from __future__ import annotations

import json
from typing import Any

import bpy

from .. import jobs, materials, props, scene_io, switches
from ..engine_client import EngineError
from ..translation import heard, overlay, worded
from .base import draw_progress, draw_report, draw_setting, draw_text, draw_ticks
from .presets import draw_presets


class PentimentoPanel:
    """The controls. Where they stand decides what the button paints."""

    bl_label = "Pentimento"
    bl_category = "Pentimento"
    paints_renders = False

    def draw_header_preset(self, _context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        draw_presets(layout)

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        _draw_style(layout, context)
        _draw_controls(layout, context, self.paints_renders)
        if jobs.current():
            draw_progress(layout, context)
        else:
            self.draw_button(layout, context)
            draw_report(layout, context)

    def draw_button(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        raise NotImplementedError


class ImageEditorPanel(PentimentoPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_order = 0

    def draw_button(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        image = scene_io.image_in_view(context)
        if image is not None and image.type in scene_io.RENDERS:
            draw_render_button(layout, context)
            return
        _draw_image_button(layout, context, image, worded("No Image in View"))


class ViewportPanel(PentimentoPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_order = 0

    def draw_button(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        image = scene_io.image_in_view(context)
        _draw_image_button(layout, context, image, worded("No Image Texture"))
        if image is None:
            draw_text(layout.column(align=True), context, NO_TEXTURE, "INFO")
        elif _is_hidden(context):
            draw_text(layout.column(align=True), context, HIDDEN, "INFO")
            row = layout.row()
            row.use_property_split = False  # its name stands on the button, not beside it
            row.prop_enum(context.space_data.shading, "type", "MATERIAL")


NO_TEXTURE = "Select an object whose material has an Image Texture. Projection paints one that has none."
HIDDEN = "This viewport shows no textures. The painting is seen in:"


def _draw_image_button(
    layout: bpy.types.UILayout, context: bpy.types.Context, image: bpy.types.Image | None, nothing: str
) -> None:
    """nothing: what the button says, translated, while there is nothing to paint"""
    big = layout.column()
    big.scale_y = 1.5
    big.enabled = image is not None
    text = worded("Stylize {name}", name=scene_io.original_of(image).name) if image else nothing
    big.operator("pentimento.stylize_image", icon="BRUSH_DATA", text=text, translate=False)
    if image is not None:
        _draw_findings(layout, context, image)


def _is_hidden(context: bpy.types.Context) -> bool:
    """Does the object wear a painting that this viewport does not show, because it shows no materials?"""
    material = bpy.data.materials.get(scene_io.active_material(context))
    shading = context.space_data.shading.type
    return material is not None and shading in ("WIREFRAME", "SOLID") and bool(materials.groups(material))


class RenderPanel(PentimentoPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    bl_options = {"DEFAULT_CLOSED"}
    paints_renders = True

    def draw_button(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        draw_render_button(layout, context)


def draw_render_button(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    big = layout.column()
    big.scale_y = 1.5
    big.operator("pentimento.stylize_render", icon="RENDER_STILL")
    if said := _switches(context):
        draw_text(layout.column(align=True), context, said, "INFO")


def _switches(context: bpy.types.Context) -> str:
    """Which passes the render will have beside those of the view layer, or why it cannot have them."""
    chosen = props.settings(context)
    try:
        wanted = switches.needed(props.stylize_settings(chosen, is_render=True), props.guides(chosen))
        off = switches.missing(context.scene, wanted)
    except EngineError as error:
        return error.message if props.library.styles() and not props.missing_style(chosen) else ""
    return switches.note(off)


def _draw_style(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    chosen = props.settings(context)
    if not props.library.styles():
        layout.label(text="No style is installed", icon="INFO")
        layout.operator("pentimento.import_style", icon="IMPORT")
        return
    layout.template_icon_view(chosen, "style", show_labels=True, scale=6.0, scale_popup=5.0)
    row = layout.row(align=True)
    row.prop(chosen, "style", text="")
    row.operator("pentimento.import_style", text="", icon="IMPORT")
    if missing := props.missing_style(chosen):
        draw_text(layout, context, worded("The style {name} is not installed.", name=missing), "ERROR")


def _draw_controls(layout: bpy.types.UILayout, context: bpy.types.Context, paints_renders: bool) -> None:
    chosen = props.settings(context)
    column = layout.column()
    column.enabled = jobs.current() is None
    draw_setting(column, chosen, "strength")
    column.prop(chosen, "stroke")
    column.prop(chosen, "follow")
    column.prop(chosen, "seed")
    if paints_renders or _shows_result(context):
        draw_setting(column, chosen, "painted_pass")
    if paints_renders or _paints_light(context):
        column.prop(chosen, "colours")
    if not paints_renders:
        column.prop(chosen, "tileable")
    draw_ticks(column, chosen, "overlays")
    column.prop(chosen, "device")


def _shows_result(context: bpy.types.Context) -> bool:
    """Does the editor show Blender's render, so that the button paints one?"""
    image = scene_io.image_in_view(context)
    return image is not None and image.type in scene_io.RENDERS


def _paints_light(context: bpy.types.Context) -> bool:
    """Is the image in view scene-linear? Bytes and data are painted as they are, without a view transform."""
    image = scene_io.image_in_view(context)
    if image is None or image.type in scene_io.RENDERS:
        return image is not None
    return scene_io.is_linear(scene_io.original_of(image))


def _draw_findings(layout: bpy.types.UILayout, context: bpy.types.Context, image: bpy.types.Image) -> None:
    """What the overlays of this result say, unless the report below says it."""
    report = jobs.last_report()
    for found in _findings(image):
        if report and found["sentence"] in report.fix:
            continue
        box = layout.box().column(align=True)
        mark = "CHECKMARK" if found["faithful"] else "QUESTION"
        draw_text(
            box,
            context,
            worded("{overlay}: {sentence}", overlay=overlay(found["name"]), sentence=heard(found["sentence"])),
            mark,
        )
        if not found["faithful"]:
            draw_text(box, context, "Indicative only: its measured faithfulness is too low.", "BLANK1")


def _findings(image: bpy.types.Image) -> list[dict[str, Any]]:
    try:
        return json.loads(image.get(scene_io.OVERLAYS, "[]"))
    except ValueError:
        return []  # a property that somebody edited


CLASSES = (
    ImageEditorPanel,
    ViewportPanel,
    RenderPanel,
)
