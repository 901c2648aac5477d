"""A style of one's own."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"
# ruff: noqa: RUF012

from __future__ import annotations

import bpy

from .. import jobs, props, setting_up, training
from ..engine_client import durations
from ..translation import heard, worded
from . import engine
from .base import draw_bar, draw_report, draw_text, icon_scale


class TrainingPanel:
    """A style of one's own: what it learns from, how long, and what it can do so far."""

    bl_label = "Training"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        if jobs.current(jobs.TRAINING):
            _draw_running(layout, context)
        elif not props.library.preferences().can_train:
            _draw_setup(layout, context)
            return
        else:
            _draw_unfinished(layout, context)
            _draw_training(layout, context)
            draw_report(layout, context, jobs.TRAINING)
        _draw_view(layout, context)


class ImageTrainingPanel(TrainingPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_training"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportTrainingPanel(TrainingPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_training"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class SignaturePanel:
    """Whose work it is."""

    bl_label = "Author and Licence"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return props.library.preferences().can_train

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = jobs.current(jobs.TRAINING) is None
        layout.prop(props.training_settings(context), "author")
        layout.prop(props.training_settings(context), "licence")


class ImageSignaturePanel(SignaturePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_signature"
    bl_parent_id = "PENTIMENTO_PT_image_training"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportSignaturePanel(SignaturePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_signature"
    bl_parent_id = "PENTIMENTO_PT_view_training"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


UNFIT_PYTHON = "The Python in the preferences cannot train. Blender's own has none."
NO_PYTHON = "Training needs PyTorch, which Blender lacks. This button fetches it, into a folder of its own."


def _draw_setup(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What is missing before anything can be trained: a button; by hand where that is not wanted."""
    has_python = bool(props.library.preferences().python)
    column = layout.column(align=True)
    draw_text(column, context, UNFIT_PYTHON if has_python else NO_PYTHON, "INFO")
    engine.draw_button(layout, context, setting_up.kind_for_training())
    column = layout.column(align=True)
    draw_text(column, context, "Or by hand: copy commands for a terminal, and enter the path they print.", "BLANK1")
    column.operator("pentimento.copy_setup", icon="COPYDOWN")
    column.operator(
        "preferences.addon_show", icon="PREFERENCES", text="Open Preferences"
    ).module = props.library.PACKAGE
    if has_python:
        column.operator("pentimento.check_python", icon="CHECKMARK")


def _draw_unfinished(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    for found in training.unfinished():
        box = layout.box().column(align=True)
        draw_text(box, context, worded("{name} is unfinished.", name=found.name), "PAUSE")
        row = box.row(align=True)
        row.operator("pentimento.resume_training", icon="PLAY").name = found.name
        row.operator("pentimento.discard_training", icon="TRASH", text="").name = found.name


def _draw_training(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    chosen = props.training_settings(context)
    wide = layout.column()
    wide.use_property_split = False
    wide.prop(chosen, "kind", text="")
    _draw_pictures(layout, chosen)
    if chosen.kind == "PICTURES":
        _draw_place(layout, chosen, "content")
    elif chosen.kind == "KEYFRAMES":
        _draw_place(layout, chosen, "shot")
        _draw_guides(layout, chosen, training.guides_there(context.scene, chosen))
    row = layout.row(align=True)
    row.use_property_split = False
    row.prop(chosen, "effort", expand=True)
    draw_text(layout.column(align=True), context, props.effort_of(chosen).about, "TIME")
    layout.prop(chosen, "name")
    big = layout.column()
    big.scale_y = 1.5
    big.enabled = any(picture.image for picture in props.training_pictures(chosen))
    name = training.style_name(chosen)
    text = worded("Train {name}", name=name) if name else worded(LEARNED_FROM[chosen.kind][1])
    big.operator("pentimento.train", icon="BRUSH_DATA", text=text, translate=False)


LEARNED_FROM = {
    "PICTURES": ("Style Pictures", "No Style Picture"),
    "KEYFRAMES": ("Keyframes", "No Keyframe"),
    "TEXTURE": ("Exemplars", "No Exemplar"),
}
"""By kind of style: what they are called, and what is said where there is none"""


def _draw_pictures(layout: bpy.types.UILayout, chosen: props.TrainingSettings) -> None:
    """What it learns from, one below the other; a keyframe with its number and its mask."""
    layout.label(text=LEARNED_FROM[chosen.kind][0])
    column = layout.column(align=True)
    for index, picture in enumerate(props.training_pictures(chosen)):
        row = column.row(align=True)
        row.prop(picture, "image", text="")
        row.operator("pentimento.remove_style_picture", text="", icon="REMOVE").index = index
        if chosen.kind == "KEYFRAMES":
            column.prop(picture, "number")
            column.prop(picture, "mask")
            column.separator()
    row = column.row(align=True)
    row.operator("pentimento.add_style_picture", icon="ADD", text="Add")
    row.operator("pentimento.open_style_pictures", icon="FILE_FOLDER", text="Open")


def _draw_place(layout: bpy.types.UILayout, chosen: props.TrainingSettings, place: str) -> None:
    layout.prop(chosen, place)
    if getattr(chosen, place) == "FOLDER":
        layout.prop(chosen, "folder")


def _draw_guides(layout: bpy.types.UILayout, chosen: props.TrainingSettings, there: list[str]) -> None:
    """Those that the frames have passes for; one that was switched on stays, so that it can be switched off."""
    shown = [name for name in props.choices.GUIDES if name in there or name in chosen.guides]
    if shown:
        layout.label(text=worded("Guides"), translate=False)
        grid = layout.grid_flow(row_major=True, columns=3, even_columns=True, align=True)
        grid.use_property_split = False
        for name in shown:
            grid.prop_enum(chosen, "guides", name, text=worded(props.choices.GUIDES[name].label), translate=False)


def _draw_running(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    job = jobs.current(jobs.TRAINING)
    assert job is not None
    column = layout.column()
    draw_bar(column, context, job)
    row = column.row(align=True)
    row.enabled = not job.cancelling
    row.operator("pentimento.pause_training", icon="PAUSE")
    stop = row.row()
    stop.enabled = bool(training.view and training.view.losses)  # before the first step there is nothing to finish
    stop.operator("pentimento.stop_training", icon="CHECKMARK", text="Finish Now")


def _draw_view(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What the training that runs, or ran last, can do, and its curves in the colours of their names."""
    seen = training.view
    if seen is None:
        return
    for found in seen.findings:
        box = layout.box().column(align=True)
        draw_text(box, context, f"{heard(found.symptom).capitalize()}: {heard(found.evidence)}", "ERROR")
        draw_text(box, context, f"{found.done} {found.advice}".strip(), "BLANK1")
    caption = worded("{name}, {caption}", name=seen.name, caption=heard(seen.caption)) if seen.caption else ""
    _draw_image(layout, context, training.PREVIEW, caption)
    _draw_image(layout, context, training.CURVES, worded("Losses") if seen.losses else "")
    names = layout.column(align=True)
    for number, (term, points) in enumerate(seen.losses.items(), 1):
        names.label(
            text=f"{worded(term)} {points[-1][1]:.3g}", translate=False, icon=f"COLLECTION_COLOR_{min(number, 8):02d}"
        )
    if seen.numbers:
        _draw_numbers(layout.box().column(align=True), seen)


TERMS = (
    "reconstruction",
    "coarse",
    "code",
    "latent",
    "structure",
    "patches",
    "steadiness",
    "frame_difference",
    "critic",
    "adversarial",
    "features",
)
"""What the losses are called that add up to what is learned from, as in a training's settings"""
MEASURED = {
    "patch_distance": ("Distance to Style", "{:.2f}"),
    "content_diversity": ("Diversity", "{:.0%}"),
    "seed_diversity": ("Diversity of Seeds", "{:.0%}"),
}
"""Numbers of a diagnosis that say something to an artist: their names and how they are written"""


def _draw_numbers(column: bpy.types.UILayout, seen: training.View) -> None:
    there = {key: shown for key, shown in MEASURED.items() if key in seen.numbers}
    rows = {worded(name): form.format(seen.numbers[key]) for key, (name, form) in there.items()}
    rows[worded("Seconds per Step")] = f"{seen.seconds_per_step:.3g}"
    if jobs.current(jobs.TRAINING) is not None:
        rows[worded("Time Left")] = heard(durations.in_words(seen.seconds_left))
    for name, value in rows.items():
        row = column.split(factor=0.7)
        row.label(text=name, translate=False)
        row.label(text=value, translate=False)


def _draw_image(layout: bpy.types.UILayout, context: bpy.types.Context, role: str, title: str) -> None:
    """One of the two images, as large as a panel shows it; nothing before it is there."""
    image = training.image_of(role)
    if image is None or image.preview is None or not title:
        return
    row = layout.row()
    row.label(text=title, translate=False)
    row.operator("pentimento.show_training", text="", icon="FULLSCREEN_ENTER").image = role
    layout.template_icon(icon_value=image.preview.icon_id, scale=icon_scale(context))


CLASSES = (
    ImageTrainingPanel,
    ViewportTrainingPanel,
    ImageSignaturePanel,
    ViewportSignaturePanel,
)
