"""What several panels draw: text that wraps, a bar of progress, a report."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"

from __future__ import annotations

import bpy

from .. import compat, explaining, jobs
from ..engine_client import EngineError
from ..translation import heard, worded
from .wrapping import wrapped


def draw_progress(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What is in brackets (how many, how fast, how long) stands below: a bar has room for a few words."""
    job = jobs.current()
    assert job is not None
    column = layout.column()
    column.label(text=job.title, translate=False)
    stage, _, more = job.stage.partition(" (")
    compat.progress(column, job.fraction, heard(stage))
    if more:
        draw_text(column.column(align=True), context, heard(more.rstrip(")")), "BLANK1")
    row = column.row()
    row.enabled = not job.cancelling
    row.operator("pentimento.cancel", icon="CANCEL")


def subject_in_view(
    context: bpy.types.Context, image: bpy.types.Image | None
) -> tuple[explaining.Subject | None, EngineError | None]:
    """What the editor's picture asks about, else why there is nothing to ask."""
    try:
        return (explaining.subject_of(image, context.scene), None) if image is not None else (None, None)
    except EngineError as error:
        return None, error


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


def draw_text(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str, share: float = 1.0) -> None:
    """Text in as many lines as the width of the panel needs: labels do not wrap by themselves. share: how much of the
    width there is."""
    scale = context.preferences.system.ui_scale
    characters = max(int((context.region.width / scale * share - 62 * (icon != "NONE")) / 7), 16)
    for number, line in enumerate(wrapped(heard(text), characters)):
        layout.label(text=line, icon=icon if number == 0 or icon == "NONE" else "BLANK1", translate=False)
