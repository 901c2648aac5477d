"""Layers: which a picture has, which of them show, what they mean, what made them, and the last results."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc, attr-defined"
# ruff: noqa: RUF012

from __future__ import annotations

import time
from typing import Any

import bpy
import bpy.utils.previews

from .. import explaining, jobs, layering, masking, remaking, scene_io
from ..engine_client import looks
from ..translation import OURS, heard, overlay, worded
from .base import draw_text

ICONS = {"ORIGINAL": "IMAGE_DATA", "RESULT": "BRUSH_DATA", "OVERLAY": "OVERLAY"}
STEPS = 5
"""Colours of a range that are shown side by side"""


def image_of(context: bpy.types.Context) -> bpy.types.Image | None:
    """Whose layers are shown: in render properties those of what the compositor shows."""
    if context.space_data is not None and context.space_data.type == "PROPERTIES":
        return layering.painting_in_compositor(context.scene)
    return scene_io.image_in_view(context)


def chosen_layer(context: bpy.types.Context) -> tuple[layering.Stack | None, layering.Listed | None]:
    image = image_of(context)
    stack = layering.stack_of(image, context.scene)
    return stack, layering.chosen_of(stack, context.scene, image) if stack else None


class LayersPanel:
    """The layers of the picture in view, or of the painted render."""

    bl_label = "Layers"
    bl_translation_context = OURS
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout
        layout.use_property_split = False
        layout.use_property_decorate = False
        _draw_reading(layout, context)
        stack, chosen = chosen_layer(context)
        if stack is None or chosen is None:
            draw_text(layout, context, "No image in view has layers yet.", "INFO")
            return
        places = layering.wired(stack, context.scene)
        column = layout.box().column(align=True)
        for listed in reversed(stack.layers):  # as they lie upon each other
            _draw_row(column, context, stack, listed, chosen, places)
        _draw_compare(layout, context, stack, chosen, places)
        _draw_mixes(layout, stack, chosen, places)
        if found := layering.told(chosen, context.scene):
            _draw_overlay(layout, context, stack, chosen, found)


def _draw_reading(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What is being read, and what was amiss with it: its button has been let go long ago."""
    job, report = jobs.current(jobs.READING), jobs.last_report(jobs.READING)
    if job is not None:
        layout.label(text=job.title, translate=False, icon="SORTTIME")
    elif report is not None and report.level == "ERROR":
        for line in report.text.splitlines():
            draw_text(layout.column(align=True), context, line, "ERROR")


def _draw_row(
    column: bpy.types.UILayout,
    context: bpy.types.Context,
    stack: layering.Stack,
    listed: layering.Listed,
    chosen: layering.Listed,
    places: list[layering.Wired],
) -> None:
    row = column.row(align=True)
    _draw_name(row.row(align=True), listed, listed == chosen)
    end = row.row(align=True)
    end.alignment = "RIGHT"
    reason = heard(layering.why_not(stack, listed, places, scene_io.active_material(context)))
    eye = end.row(align=True)
    eye.enabled = not reason
    shown = layering.shows(listed, places)
    button = eye.operator("pentimento.toggle_layer", text="", icon="HIDE_OFF" if shown else "HIDE_ON", emboss=False)
    _name(button, listed).why_not = reason
    alone = layering.is_alone(listed, context, stack)
    icon = "SOLO_ON" if alone else "SOLO_OFF"
    _name(end.operator("pentimento.solo_layer", text="", icon=icon, emboss=False), listed)


def _draw_name(row: bpy.types.UILayout, listed: layering.Listed, is_chosen: bool) -> None:
    """All of the chosen one's row is a button, in the colour of what is chosen."""
    row.alignment = "EXPAND" if is_chosen else "LEFT"
    mark = {"icon": ICONS[listed.kind], "depress": is_chosen, "emboss": is_chosen}
    _name(row.operator("pentimento.choose_layer", text=_label(listed), translate=False, **mark), listed)


def _label(listed: layering.Listed) -> str:
    """An overlay's name, or of a render the word for it; other pictures and styles have names of their own"""
    if listed.kind == "OVERLAY":
        return overlay(listed.label)
    return listed.label if listed.kind == "RESULT" or listed.label == listed.image else worded(listed.label)


def _name(properties: Any, listed: layering.Listed) -> Any:
    properties.image, properties.layer = listed.image, listed.layer
    return properties


def _draw_compare(
    layout: bpy.types.UILayout,
    context: bpy.types.Context,
    stack: layering.Stack,
    chosen: layering.Listed,
    places: list[layering.Wired],
) -> None:
    """A wipe where there is an editor for it; elsewhere now the one, now the other."""
    results = list(layering.results(stack))
    if not results:
        return
    result = (
        chosen if chosen in results else next((each for each in results if layering.shows(each, places)), results[-1])
    )
    row = layout.row(align=True)
    if context.space_data is not None and context.space_data.type == "IMAGE_EDITOR":
        _name(row.operator("pentimento.compare", icon="MOD_MIRROR"), result)
    else:
        original = next((each for each in stack.layers if each.kind == "ORIGINAL"), None)
        if original is not None and places:
            alone = layering.shows(original, places)
            text = "Show Painting" if alone else "Show Original"
            button = row.operator("pentimento.toggle_layer", text=text, icon="ARROW_LEFTRIGHT", depress=alone)
            _name(button, original)
    if not chosen.layer and chosen.kind != "ORIGINAL":
        row.operator("pentimento.remove_layer", text="", icon="TRASH").image = chosen.image


def _draw_mixes(
    layout: bpy.types.UILayout, stack: layering.Stack, chosen: layering.Listed, places: list[layering.Wired]
) -> None:
    """How much of what shows does, and of the chosen layer; in each material. The sockets themselves, so that they can
    be keyed."""
    column = layout.column(align=True)
    for listed in reversed(stack.layers):
        for place in places:
            if layering.feeds(listed, place) and (listed == chosen or place.mix(listed.kind).default_value > 0):
                text = _label(listed) if len(places) == 1 else f"{_label(listed)}, {place.owner}"
                mix = place.mix(listed.kind)
                column.prop(mix, "default_value", text=text, translate=False, slider=True)


# ---------------------------------------------------------------- what an overlay means


def _draw_overlay(
    layout: bpy.types.UILayout,
    context: bpy.types.Context,
    stack: layering.Stack,
    chosen: layering.Listed,
    found: explaining.Told,
) -> None:
    box = layout.box().column(align=True)
    box.label(text=overlay(found.name), translate=False, icon="CHECKMARK" if found.faithful else "QUESTION")
    draw_text(box, context, "Certified." if found.faithful else "Indicative only.", "BLANK1")
    for line in [] if found.faithful else looks.failures(found.checks):
        draw_text(box, context, line, "BLANK1")
    draw_text(box, context, found.sentence, "BLANK1")
    _draw_legend(box, found)
    low, high = found.display
    span = {"low": f"{low:g}", "high": f"{high:g}", "unit": heard(found.unit)}
    draw_text(box, context, worded("Shown from {low} to {high}: {unit}.", **span), "BLANK1")
    _draw_masks(layout, stack, chosen, found)


def _draw_legend(box: bpy.types.UILayout, found: explaining.Told) -> None:
    """What the colours mean"""
    kind, (low, high) = layering.kind_of(found), found.display
    if kind in ("bands", "places"):
        names = found.channels if kind == "bands" else ("upper left", "upper right", "lower left", "lower right")
        colours = looks.BANDS if kind == "bands" else looks.CORNERS
        grid = box.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
        for name, colour in zip(names, colours, strict=False):
            _draw_swatch(grid, colour, name.title())
        return
    if kind == "signed":
        low, high = -max(high, -low), max(high, -low)
    row = box.row()
    row.alignment = "CENTER"
    row.label(text=f"{low:g}")
    strip = row.row(align=True)
    for colour in looks.bar(kind, STEPS):
        _draw_swatch(strip, tuple(round(255 * float(part)) for part in colour), "")
    row.label(text=f"{high:g}")


def _draw_swatch(layout: bpy.types.UILayout, colour: tuple[int, ...], name: str) -> None:
    icon = _swatch(colour)
    layout.label(text=heard(name), translate=False, **({"icon_value": icon} if icon else {}))


_swatches: Any = None


def _swatch(colour: tuple[int, ...]) -> int:
    """An icon that is one colour. There is nothing to draw in background."""
    global _swatches
    if bpy.app.background:
        return 0
    if _swatches is None:
        _swatches = bpy.utils.previews.new()
    name = "{:02x}{:02x}{:02x}".format(*colour)
    if name not in _swatches:
        preview = _swatches.new(name)
        preview.icon_size = preview.image_size = (16, 16)
        pixels = [*(part / 255 for part in colour), 1.0] * 256
        preview.icon_pixels_float, preview.image_pixels_float = pixels, pixels
    return int(_swatches[name].icon_id)


def free_swatches() -> None:
    global _swatches
    if _swatches is not None:
        bpy.utils.previews.remove(_swatches)
        _swatches = None


def _draw_masks(
    layout: bpy.types.UILayout, stack: layering.Stack, chosen: layering.Listed, found: explaining.Told
) -> None:
    """A menu for each part of the overlay: where its mask goes. A render has no places for masks."""
    column = layout.column(align=True)
    column.label(text="Use as Mask", icon="MOD_MASK")
    row = column.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
    for name, label, _ in masking.parts_of(found):
        if stack.kind == "IMAGE":
            button = row.operator_menu_enum("pentimento.use_as_mask", "target", text=worded(label), translate=False)
        else:
            button = row.operator("pentimento.use_as_mask", text=worded(label), translate=False)
            button.target = "IMAGE"
        _name(button, chosen).part = name


# ---------------------------------------------------------------- what made it


class RecipePanel:
    """What made the chosen layer, and the way to make it again."""

    bl_label = "Recipe"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout
        stack, chosen = chosen_layer(context)
        recipe = layering.recipe_of(chosen, context.scene) if chosen else {}
        if chosen is None or not recipe:
            draw_text(layout, context, "The chosen layer was not made by Pentimento.", "INFO")
            return
        layout.label(text=chosen.label, icon=ICONS[chosen.kind])
        column = layout.column(align=True)
        for label, value in remaking.lines(recipe):
            split = column.split(factor=0.4, align=True)
            name = split.row()
            name.alignment = "RIGHT"
            name.label(text=label, translate=False)
            draw_text(split.column(align=True), context, value, "NONE", share=0.58)
        for said in remaking.problems(recipe, stack, context.scene):
            draw_text(layout.column(align=True), context, said, "ERROR")
        column = layout.column(align=True)
        _name(column.operator("pentimento.use_recipe", icon="PRESET"), chosen)
        again = column.row(align=True)
        again.enabled = not (stack and stack.kind == "SEQUENCE")
        _name(again.operator("pentimento.make_again", icon="FILE_REFRESH"), chosen)


# ---------------------------------------------------------------- the last results


class HistoryPanel:
    """The last results of this file, the latest first."""

    bl_label = "History"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout
        made = layering.history()
        if not made:
            draw_text(layout, context, "Results will be listed here.", "INFO")
        for image in made:
            _draw_result(layout.box().row(), context, image)


def _draw_result(row: bpy.types.UILayout, context: bpy.types.Context, image: bpy.types.Image) -> None:
    icon = image.preview.icon_id if image.preview is not None else 0
    if icon:
        row.template_icon(icon_value=icon, scale=3.5)
    else:
        row.label(text="", icon="SEQUENCE" if image.source == "SEQUENCE" else "IMAGE_DATA")
    said = row.column(align=True)
    top = said.row(align=True)
    name = top.row(align=True)
    name.alignment = "LEFT"
    text = scene_io.original_of(image).name  # the style stands below; a name of both is cut in a sidebar
    name.operator("pentimento.show_result", text=text, emboss=False).image = image.name
    top.operator("pentimento.remove_layer", text="", icon="X", emboss=False).image = image.name
    style = said.row()
    style.enabled = False
    style.label(text=layering.style_of(image, context.scene))
    when = said.row()
    when.enabled = False
    when.label(text=_when(layering.made_at(image)))


def _when(seconds: float) -> str:
    """Today's by the hour, others by the day"""
    made, now = time.localtime(seconds), time.localtime()
    is_today = made[:3] == now[:3]
    return time.strftime("%H:%M" if is_today else "%d %b %Y, %H:%M", made) if seconds else ""


# ---------------------------------------------------------------- where they stand


class InImageEditor:
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class InViewport:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class InRender:
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"


class ImageLayersPanel(InImageEditor, LayersPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_layers"
    bl_parent_id = "PENTIMENTO_PT_image"


class ImageRecipePanel(InImageEditor, RecipePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_recipe"
    bl_parent_id = "PENTIMENTO_PT_image_layers"


class ImageHistoryPanel(InImageEditor, HistoryPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_history"
    bl_parent_id = "PENTIMENTO_PT_image_layers"


class ViewportLayersPanel(InViewport, LayersPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_layers"
    bl_parent_id = "PENTIMENTO_PT_view"


class ViewportRecipePanel(InViewport, RecipePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_recipe"
    bl_parent_id = "PENTIMENTO_PT_view_layers"


class ViewportHistoryPanel(InViewport, HistoryPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_history"
    bl_parent_id = "PENTIMENTO_PT_view_layers"


class RenderLayersPanel(InRender, LayersPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render_layers"
    bl_parent_id = "PENTIMENTO_PT_render"


class RenderRecipePanel(InRender, RecipePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render_recipe"
    bl_parent_id = "PENTIMENTO_PT_render_layers"


class RenderHistoryPanel(InRender, HistoryPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render_history"
    bl_parent_id = "PENTIMENTO_PT_render_layers"


CLASSES = (
    ImageLayersPanel,
    ImageRecipePanel,
    ImageHistoryPanel,
    ViewportLayersPanel,
    ViewportRecipePanel,
    ViewportHistoryPanel,
    RenderLayersPanel,
    RenderRecipePanel,
    RenderHistoryPanel,
)
