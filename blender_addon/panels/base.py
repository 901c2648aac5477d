"""What several panels draw: text that wraps, a bar of progress, a report."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import bpy

from .. import compat, explaining, jobs
from ..engine_client import EngineError
from ..translation import heard, worded
from .wrapping import wrapped


def draw_progress(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    job = jobs.current()
    assert job is not None
    column = layout.column()
    draw_bar(column, context, job)
    row = column.row()
    row.enabled = not job.cancelling
    row.operator("pentimento.cancel", icon="CANCEL")


def draw_bar(
    column: bpy.types.UILayout, context: bpy.types.Context, job: jobs.Job, more_of: Callable[[str], str] = heard
) -> None:
    """What is done, how far it is, and at what: below the bar, which has no room for words in a sidebar. What is in
    brackets (how many, how fast, how long) has lines of its own. more_of: how that is worded"""
    draw_text(column.column(align=True), context, job.title, "NONE")
    compat.progress(column, job.fraction, jobs.LANES.index(job.lane))
    stage, _, more = job.stage.partition(" (")
    said = column.column(align=True)
    draw_text(said, context, heard(stage), "NONE")
    if more:
        draw_text(said, context, more_of(more.rstrip(")")), "NONE")


def subject_in_view(
    context: bpy.types.Context, image: bpy.types.Image | None
) -> tuple[explaining.Subject | None, EngineError | None]:
    """What the editor's picture asks about, else why there is nothing to ask."""
    try:
        return (explaining.subject_of(image, context.scene), None) if image is not None else (None, None)
    except EngineError as error:
        return None, error


def draw_setting(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, name: str, **how: Any) -> None:
    """A property by its name in the artist's language. Blender 3.4 looks that up among its own words, whatever it means
    there: one whose name is among them is drawn by this."""
    label = settings.bl_rna.properties[name].name
    layout.prop(settings, name, text=worded(label), translate=False, **how)


def draw_choices(row: bpy.types.UILayout, settings: bpy.types.PropertyGroup, name: str) -> None:
    """All of them beside each other, or below, in the same way"""
    for item in settings.bl_rna.properties[name].enum_items_static:  # type: ignore[attr-defined]
        row.prop_enum(settings, name, item.identifier, text=worded(item.name), translate=False)


LABELS = 0.4
"""Share of the width that Blender gives to names of properties"""


def draw_ticks(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, name: str) -> None:
    """A choice of several, below each other, in the same way; as Blender draws it where that says the same"""
    label = settings.bl_rna.properties[name].name
    if compat.HAS_MEANINGS or worded(label) == label:
        layout.prop(settings, name)
        return
    split = layout.split(factor=LABELS)
    left = split.column()
    left.alignment = "RIGHT"
    left.label(text=worded(label), translate=False)
    ticks = split.column(align=True)
    ticks.use_property_split = False
    draw_choices(ticks, settings, name)


RAN_ON = {"cpu": "Ran on the processor", "cuda": "Ran on the graphics card (CUDA)"}
ICONS = {"INFO": "CHECKMARK", "WARNING": "INFO", "ERROR": "ERROR"}


def draw_report(layout: bpy.types.UILayout, context: bpy.types.Context, lane: jobs.Lane = jobs.PAINTING) -> None:
    report = jobs.last_report(lane)
    if report is None:
        return
    box = layout.box().column(align=True)
    draw_text(box, context, heard(report.message), ICONS[report.level])
    for line in report.fix.splitlines():
        draw_text(box, context, heard(line), "BLANK1")
    if report.device:
        box.label(text=worded(RAN_ON.get(report.device, report.device)), translate=False, icon="BLANK1")
    if lane is jobs.SETUP:
        box.operator("pentimento.copy_engine_report", icon="COPYDOWN")
    else:
        box.operator("pentimento.copy_report", icon="COPYDOWN").training = lane is jobs.TRAINING


EDGES, TABS, ICON, NARROWEST = 62, 14, 26, 80
"""Pixels, of an interface that is not scaled, that a line of text cannot have: margins of a region, a panel and a box
in it; the tabs of a sidebar, whose margins are narrower; an icon. The last one: what a line has at least"""
LETTER = 7
"""Pixels of a Latin letter where there is no font to measure it with"""


def icon_scale(context: bpy.types.Context) -> float:
    """How large an icon is drawn that is as wide as the panel: icons are squares, and what is higher than wide leaves
    room above and below."""
    scale, region = context.preferences.system.ui_scale, context.region
    width = region.width / scale - EDGES - TABS * (region.type == "UI")
    return min(max(width / 20, 3.0), 10.0)  # an icon of scale 1 is 20 pixels high


def draw_text(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str, share: float = 1.0) -> None:
    """Text in as many lines as the width of the panel needs: labels do not wrap by themselves. share: how much of the
    width there is."""
    said = heard(text)
    scale, region = context.preferences.system.ui_scale, context.region
    outside = EDGES + TABS * (region.type == "UI")
    room = max((region.width / scale - outside) * share - ICON * (icon != "NONE"), NARROWEST)
    if bpy.app.background:
        lines = wrapped(said, room // LETTER)
    else:
        lines = wrapped(said, room * scale, functools.partial(compat.label_width, context))
    for number, line in enumerate(lines):
        layout.label(text=line, icon=icon if number == 0 or icon == "NONE" else "BLANK1", translate=False)
