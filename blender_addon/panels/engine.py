"""The Python that computes, and how another one is set up: drawn in the preferences and where training wants one."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"

from __future__ import annotations

from typing import Any

import bpy

from .. import compat, jobs, setting_up
from ..translation import heard, worded
from .base import draw_bar, draw_report, draw_text


def draw_python(layout: bpy.types.UILayout, context: bpy.types.Context, preferences: Any) -> None:
    """Which Python it is, what it can do, and a field for another one."""
    box = layout.box().column()
    box.label(text="Engine", icon="SETTINGS")
    _draw_rows(box, setting_up.facts())
    if setting_up.checked is None:
        said = preferences.verdict or "Check it to see device, memory and what it can do."
        draw_text(box.column(align=True), context, said, "ERROR" if preferences.verdict else "INFO")
    elif setting_up.checked.problem:
        draw_text(box.column(align=True), context, setting_up.checked.problem, "ERROR")
    _draw_packages(box, preferences)
    row = box.row(align=True)
    row.operator("pentimento.check_python", icon="FILE_REFRESH")
    row.operator("pentimento.copy_engine_report", icon="COPYDOWN")
    box.prop(preferences, "python", text="Other Python")
    if preferences.python:
        box.operator("pentimento.use_own_python", icon="LOOP_BACK")


def _draw_rows(layout: bpy.types.UILayout, rows: list[tuple[str, str]]) -> None:
    """Names on the right of the left part, as in front of properties."""
    column = layout.column(align=True)
    for name, value in rows:
        split = column.split(factor=0.4)
        left = split.row()
        left.alignment = "RIGHT"
        left.label(text=worded(name), translate=False)
        split.label(text=heard(value), translate=False)


def _draw_packages(layout: bpy.types.UILayout, preferences: Any) -> None:
    if not (rows := setting_up.installed()):
        return
    _draw_toggle(layout, preferences, "shows_packages")
    if preferences.shows_packages:
        _draw_rows(layout, rows)


def _draw_toggle(layout: bpy.types.UILayout, preferences: Any, name: str) -> None:
    row = layout.row()
    row.use_property_split = False
    row.alignment = "LEFT"
    icon = "DISCLOSURE_TRI_DOWN" if getattr(preferences, name) else "DISCLOSURE_TRI_RIGHT"
    row.prop(preferences, name, icon=icon, emboss=False)


def draw_set_up(layout: bpy.types.UILayout, context: bpy.types.Context, preferences: Any) -> None:
    """The choice, what it costs, and the button; the bar while it runs; how it ended."""
    box = layout.box().column()
    box.label(text="Set Up CUDA and Training", icon="IMPORT")
    if jobs.current(jobs.SETUP) is None:
        row = box.row(align=True)
        row.use_property_split = False
        row.prop(preferences, "setup_kind", expand=True)
        column = box.column(align=True)
        for number, line in enumerate(setting_up.announcement(setting_up.kind())):
            draw_text(column, context, line, "BLANK1" if number else "INFO")
        _draw_options(box, preferences)
    draw_button(box, context, preferences.setup_kind)
    if jobs.current(jobs.SETUP) is None and setting_up.made():
        box.operator("pentimento.remove_setup", icon="TRASH")


def _draw_options(layout: bpy.types.UILayout, preferences: Any) -> None:
    _draw_toggle(layout, preferences, "shows_options")
    if preferences.shows_options:
        for name in ("setup_folder", "setup_wheels", "setup_index"):
            layout.prop(preferences, name)


def draw_button(layout: bpy.types.UILayout, context: bpy.types.Context, kind: str) -> None:
    """Set Up, greyed with the reason; what is said while it runs; how the last one ended."""
    if (job := jobs.current(jobs.SETUP)) is not None:
        _draw_running(layout, context, job)
        return
    if (refused := setting_up.refusal()) is not None:
        draw_text(layout.column(align=True), context, str(refused), "ERROR")
        compat.draw_online_access(layout, context)
    big = layout.column()
    big.scale_y = 1.5
    text = AGAIN.get(setting_up.made(kind), TITLES[kind])
    big.operator("pentimento.set_up", icon="IMPORT", text=worded(text), translate=False).kind = kind
    draw_report(layout, context, jobs.SETUP)


TITLES = {
    "training": "Set Up Training",
    "cuda": "Set Up CUDA",
    "cuda-training": "Set Up CUDA + Training",
}
"""Plain words, for they are translated, and few: a sidebar is narrow"""
AGAIN = {"unfinished": "Go On with Set-Up", "ready": "Set Up Again"}


def _draw_running(layout: bpy.types.UILayout, context: bpy.types.Context, job: jobs.Job) -> None:
    column = layout.column()
    draw_bar(column, context, job, lambda which: worded("Package {which}", which=heard(which)))
    row = column.row()
    row.enabled = not job.cancelling
    row.operator("pentimento.cancel_set_up", icon="CANCEL")
