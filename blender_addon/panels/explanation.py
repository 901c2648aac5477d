"""Why a part of a result looks as it does."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"
# ruff: noqa: RUF012

from __future__ import annotations

from typing import Any

import bpy

from .. import explaining, jobs, props, scene_io
from ..engine_client import EngineError, looks, protocol
from ..translation import heard, listed, overlay, worded
from .base import draw_choices, draw_progress, draw_report, draw_setting, draw_text, subject_in_view


class ImageExplainPanel(bpy.types.Panel):
    """Why a part of the result looks as it does: what is asked, what was answered, how it is looked at."""

    bl_idname = "PENTIMENTO_PT_image_explain"
    bl_label = "Explain"
    bl_category = "Pentimento"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[assignment]
        layout.use_property_split = True
        layout.use_property_decorate = False
        image = scene_io.image_in_view(context)
        subject, problem = subject_in_view(context, image)
        _draw_question(layout, context, subject)
        if jobs.current():
            draw_progress(layout, context)
        else:
            _draw_ask(layout, context, image, problem)
            if (report := jobs.last_report()) and report.level != "INFO":
                draw_report(layout, context)
        if explaining.asking is not None:
            _draw_asking(layout, context, explaining.asking)
        else:
            _draw_answer(layout, context, image)


def _draw_question(layout: bpy.types.UILayout, context: bpy.types.Context, subject: explaining.Subject | None) -> None:
    chosen = props.explain_settings(context)
    column = layout.column()
    column.enabled = jobs.current() is None
    row = column.row(align=True)
    row.use_property_split = False
    draw_choices(row, chosen, "place")
    if chosen.place == "OBJECT":
        active = context.object
        name = active.name if active else worded("No object is active")
        column.label(text=name, translate=False, icon="OBJECT_DATA")
    elif chosen.place != "PICTURE":
        column.prop(context.space_data, "cursor_location", text="2D Cursor")
    if chosen.place == "BOX":
        column.prop(chosen, "size")
    _draw_questions(column, context, subject)


def _draw_questions(column: bpy.types.UILayout, context: bpy.types.Context, subject: explaining.Subject | None) -> None:
    """A tick for each overlay; grey where it cannot answer, and why below."""
    chosen = props.explain_settings(context)
    reasons: dict[str, list[str]] = {}
    grid = column.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
    grid.use_property_split = False
    for name in props.choices.QUESTIONS:
        tick = grid.row(align=True)
        reason = explaining.lacks(name, props.settings(context), subject)
        tick.enabled = not reason
        tick.prop_enum(chosen, "questions", name, text=overlay(name), translate=False)
        if reason:
            reasons.setdefault(reason, []).append(overlay(name))
    if subject is not None:
        for reason, names in reasons.items():
            said = worded("{questions}: {reason}.", questions=listed(names), reason=reason)
            draw_text(column.column(align=True), context, said, "INFO")


def _draw_ask(
    layout: bpy.types.UILayout, context: bpy.types.Context, image: bpy.types.Image | None, problem: EngineError | None
) -> None:
    if problem is not None:
        draw_text(layout.column(align=True), context, str(problem), "INFO")
    row = layout.row(align=True)
    row.scale_y = 1.5
    row.enabled = image is not None and problem is None
    row.operator("pentimento.explain", icon="QUESTION", text="Explain" if image else "No Image in View")
    if props.explain_settings(context).place in ("PIXEL", "BOX"):
        row.operator("pentimento.point", icon="EYEDROPPER", text="")


def _draw_asking(layout: bpy.types.UILayout, context: bpy.types.Context, asking: explaining.Asking) -> None:
    """What is known so far. How far it may be trusted is still being measured."""
    draw_text(layout.column(align=True), context, worded("About {area}", area=asking.about), "BLANK1")
    for answer in asking.answers:
        box = layout.box().column(align=True)
        draw_text(
            box,
            context,
            worded("{overlay}: {sentence}", overlay=overlay(answer.overlay), sentence=heard(answer.sentence)),
            "SORTTIME",
        )
        draw_text(box, context, "Being checked.", "BLANK1")
        _draw_bars(box, answer.bars, {})
    if asking.answers:
        said = "Answers are kept once all are checked: if this ends before, none of them is."
        draw_text(layout.column(align=True), context, said, "INFO")


def _draw_answer(layout: bpy.types.UILayout, context: bpy.types.Context, image: bpy.types.Image | None) -> None:
    answer = explaining.answer_beside(image)
    if not answer or image is None:
        return
    draw_text(layout.column(align=True), context, worded("About {area}", area=answer[0].about), "BLANK1")
    column = layout.column()
    draw_setting(column, props.explain_settings(context), "blend", slider=True)
    row = column.row(align=True)
    row.operator("pentimento.look_at", text="Picture", icon="IMAGE_DATA").image = scene_io.original_of(image).name
    row.operator("pentimento.discard_answer", text="", icon="TRASH")
    shown = str(image.get(explaining.SHOWN, ""))
    for family in dict.fromkeys(found.family for found in answer):
        _draw_family(layout, context, [found for found in answer if found.family == family], shown)


def _draw_family(
    layout: bpy.types.UILayout,
    context: bpy.types.Context,
    layers: list[explaining.Told],
    shown: str,
) -> None:
    """What an overlay says, whether it may be believed, its numbers, and buttons that show its layers."""
    found, images = layers[0], {layer.name.partition(".")[2]: layer.image for layer in layers}
    box = layout.box().column(align=True)
    row, seen = box.row(), shown in images.values()
    row.label(text=overlay(found.family), translate=False, icon="CHECKMARK" if found.faithful else "QUESTION")
    button = row.operator("pentimento.look_at", text="", icon="HIDE_OFF" if seen else "HIDE_ON", depress=seen)
    button.image = shown if seen else found.image
    draw_text(box, context, "Certified." if found.faithful else "Indicative only.", "BLANK1")
    draw_text(box, context, found.sentence, "BLANK1")
    for line in [] if found.faithful else looks.failures(found.checks):
        draw_text(box, context, line, "BLANK1")
    _draw_bars(box, found.bars, images)
    low, high = found.display
    span = {"low": f"{low:g}", "high": f"{high:g}", "unit": heard(found.unit)}
    draw_text(box, context, worded("Shown from {low} to {high}: {unit}.", **span), "BLANK1")


SHORTEST = 0.06
"""Share of its place that a bar takes at least: Blender gives what is less than a pixel wide all the place there is"""


def _draw_bars(column: bpy.types.UILayout, bars: tuple[protocol.Bar, ...], images: dict[str, str]) -> None:
    """One number below the other, the largest first; below zero to the left. A bar whose overlay has a layer of its own
    is the button that shows it."""
    largest = max((abs(bar.value) for bar in bars), default=0.0)
    signed = any(bar.value < 0 for bar in bars)
    apart = column.column()
    for bar in sorted(bars, key=lambda bar: -abs(bar.value)):
        name, rest = _parted(apart.row(align=True), 0.36)
        name.label(text=heard(bar.name), translate=False)
        length, number = _parted(rest, 0.55)
        button = _bar(length, bar.value / largest if largest else 0.0, signed)
        button.image, button.about = images.get(bar.name, ""), _tooltip(bar, largest)
        number.label(text=_number(bar.value, largest, signed), translate=False)


def _number(value: float, largest: float, signed: bool) -> str:
    """Parts of a whole in %, anything else as it is; as short as it has to be in a sidebar."""
    if largest > 1:
        return f"{value:{'+' if signed else ''}.3g}"
    percent = round(100 * value, 0 if largest >= 0.1 else 1) + 0.0  # no -0
    return f"{percent:{'+' if signed and percent else ''}g} %"


def _tooltip(bar: protocol.Bar, largest: float) -> str:
    said = f"{heard(bar.name)}: {_number(bar.value, largest, True)}"
    if bar.alone_gone is None:
        return said
    alone = _number(bar.alone_gone, largest, True)
    return worded("{said}. Taken away alone, it would change the area by {alone}", said=said, alone=alone)


def _bar(row: bpy.types.UILayout, share: float, signed: bool) -> Any:
    """A button as long as the number is large: every Blender draws those in the colour of what is chosen."""
    if not signed:
        full, _ = _parted(row, share)
        return full.operator("pentimento.look_at", text="", depress=True)
    left, right = _parted(row, 0.5)
    if share < 0:
        _, full = _parted(left, 1 + share)
        right.label(text="")
    else:
        left.label(text="")
        full, _ = _parted(right, share)
    return full.operator("pentimento.look_at", text="", depress=True)


def _parted(row: bpy.types.UILayout, share: float) -> tuple[bpy.types.UILayout, bpy.types.UILayout]:
    """A row in two; 0 would mean that Blender chooses."""
    split = row.split(factor=min(max(share, SHORTEST), 1 - SHORTEST), align=True)
    return split.row(align=True), split.row(align=True)


CLASSES = (ImageExplainPanel,)
