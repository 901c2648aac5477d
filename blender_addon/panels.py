"""What the artist sees: painting, mixing and training, in the editors where the pictures are."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"
# ruff: noqa: RUF012

from __future__ import annotations

import json
import textwrap
from typing import Any

import bpy

from . import animating, compat, explaining, jobs, props, scene_io, switches, training
from .engine_client import EngineError, looks, protocol


class PentimentoPanel:
    """The controls. Where they stand decides what the button paints."""

    bl_label = "Pentimento"
    bl_category = "Pentimento"
    paints_renders = False

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        _draw_style(layout, context)
        _draw_controls(layout, context, self.paints_renders)
        if jobs.current():
            _draw_progress(layout, context)
        else:
            self.draw_button(layout, context)
            _draw_report(layout, context)

    def draw_button(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        raise NotImplementedError


class ImagePanel(PentimentoPanel):
    bl_order = 0

    def draw_button(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        image = scene_io.image_in_view(context)
        if image is not None and image.type in scene_io.RENDERS:
            _draw_render_button(layout, context)
            return
        big = layout.column()
        big.scale_y = 1.5
        big.enabled = image is not None
        text = f"Stylize {scene_io.original_of(image).name}" if image else "No Image in View"
        big.operator("pentimento.stylize_image", icon="BRUSH_DATA", text=text)
        if image is not None:
            _draw_findings(layout, context, image)


class ImageEditorPanel(ImagePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportPanel(ImagePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class RenderPanel(PentimentoPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    bl_options = {"DEFAULT_CLOSED"}
    paints_renders = True

    def draw_button(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        _draw_render_button(layout, context)


def _draw_render_button(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    big = layout.column()
    big.scale_y = 1.5
    big.operator("pentimento.stylize_render", icon="RENDER_STILL")
    if said := _switches(context):
        _draw_text(layout.column(align=True), context, said, "INFO")


def _switches(context: bpy.types.Context) -> str:
    """Which passes the render will have beside those of the view layer, or why it cannot have them."""
    chosen = props.settings(context)
    try:
        wanted = switches.needed(props.stylize_settings(chosen, is_render=True), props.guides(chosen))
        off = switches.missing(context.scene, wanted)
    except EngineError as error:
        return error.message if props.styles() and not props.missing_style(chosen) else ""
    return f"Switched on for this render, and off again: {switches.said(off)}." if off else ""


def _draw_style(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    chosen = props.settings(context)
    if not props.styles():
        layout.label(text="No style is installed", icon="INFO")
        layout.operator("pentimento.import_style", icon="IMPORT")
        return
    layout.template_icon_view(chosen, "style", show_labels=True, scale=6.0, scale_popup=5.0)
    row = layout.row(align=True)
    row.prop(chosen, "style", text="")
    row.operator("pentimento.import_style", text="", icon="IMPORT")
    if missing := props.missing_style(chosen):
        _draw_text(layout, context, f"The style {missing} is not installed.", "ERROR")


def _draw_controls(layout: bpy.types.UILayout, context: bpy.types.Context, paints_renders: bool) -> None:
    chosen = props.settings(context)
    column = layout.column()
    column.enabled = jobs.current() is None
    column.prop(chosen, "strength")
    column.prop(chosen, "stroke")
    column.prop(chosen, "follow")
    column.prop(chosen, "seed")
    if paints_renders or _shows_result(context):
        column.prop(chosen, "painted_pass")
    if paints_renders or _paints_light(context):
        column.prop(chosen, "colours")
    if not paints_renders:
        column.prop(chosen, "tileable")
    column.prop(chosen, "overlays")
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


def _draw_progress(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What is in brackets (how many, how fast, how long) stands below: a bar has room for a few words."""
    job = jobs.current()
    assert job is not None
    column = layout.column()
    column.label(text=job.title)
    stage, _, more = job.stage.partition(" (")
    compat.progress(column, job.fraction, stage)
    if more:
        _draw_text(column.column(align=True), context, more.rstrip(")"), "BLANK1")
    row = column.row()
    row.enabled = not job.cancelling
    row.operator("pentimento.cancel", icon="CANCEL")


# ---------------------------------------------------------------- controls


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
        bands.label(text="Bands")
        for name in props.BANDS:
            bands.prop(chosen, name)
        if is_render:
            _draw_lights(layout, context)
        _draw_places(layout, chosen, is_render)
        row = layout.row()
        row.enabled = props.can_lock(chosen)
        row.prop(chosen, "lock")


def _shows_render(context: bpy.types.Context) -> bool:
    """Is what the editor shows a render, or a file with its passes?"""
    image = scene_io.image_in_view(context)
    if image is None or image.type in scene_io.RENDERS:
        return image is not None
    subject, _ = _subject(context, image)
    return subject is not None and bool(subject.file)


def _draw_lights(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Those that the render can tell apart; one that was moved stays, so that it can be moved back."""
    chosen, has_lights = props.settings(context), context.scene.render.engine == "CYCLES"
    column = layout.column(align=True)
    column.label(text="Lights")
    for name in props.GAINS.values():
        if has_lights or getattr(chosen, name) != 1:
            column.prop(chosen, name)
    if not has_lights:
        _draw_text(column, context, "Only Cycles tells lights apart.", "INFO")


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


# ---------------------------------------------------------------- mixing


class MixingPanel:
    """Several styles in one picture, whose colours they take, how much they vary."""

    bl_label = "Mixing"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}
    paints_renders = False

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.enabled = jobs.current() is None
        chosen = props.settings(context)
        for number, part in enumerate(props.all_styles(chosen)):
            _draw_part(layout, part, number - 1, bool(chosen.mixed), self.paints_renders)
        layout.operator("pentimento.add_style", icon="ADD")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(chosen, "palette")
        column.prop(chosen, "diversity")


def _draw_part(
    layout: bpy.types.UILayout, part: props.StyleChoice, index: int, is_mix: bool, paints_renders: bool
) -> None:
    """One style: how much of it, and where. The first is the one in the picker; it stays."""
    column = layout.box().column(align=True)
    row = column.row(align=True)
    row.prop(part, "style", text="")
    if index >= 0:
        row.operator("pentimento.remove_style", text="", icon="X").index = index
    if is_mix:
        column.prop(part, "share", slider=True)
    if paints_renders:
        column.prop_search(part, "matte", bpy.data, "objects", icon="OBJECT_DATA")
    else:
        column.prop(part, "mask")


class ImageMixingPanel(MixingPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_mixing"
    bl_parent_id = "PENTIMENTO_PT_image"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportMixingPanel(MixingPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_mixing"
    bl_parent_id = "PENTIMENTO_PT_view"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class RenderMixingPanel(MixingPanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_render_mixing"
    bl_parent_id = "PENTIMENTO_PT_render"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    paints_renders = True


# ---------------------------------------------------------------- animations


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
    row.prop(chosen, "strokes")
    if reason:
        _draw_text(layout.column(align=True), context, reason, "INFO")


def _draw_movie(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    row = layout.row()
    row.enabled = compat.can_write_movies()
    row.prop(props.animation_settings(context), "movie")
    if not compat.can_write_movies():
        _draw_text(layout.column(align=True), context, "This Blender cannot write movies.", "INFO")


def _draw_said(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Which frames, and what is switched for them."""
    scene, chosen = context.scene, props.animation_settings(context)
    if chosen.source == "FILES":
        return
    said = f"Frames {scene.frame_start} to {scene.frame_end}. {_animation_switches(context)}"
    _draw_text(layout.column(align=True), context, said, "INFO")


def _animation_switches(context: bpy.types.Context) -> str:
    if not props.styles() or props.missing_style(props.settings(context)):
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


# ---------------------------------------------------------------- explaining


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
        subject, problem = _subject(context, image)
        _draw_question(layout, context, subject)
        if jobs.current():
            _draw_progress(layout, context)
        else:
            _draw_ask(layout, context, image, problem)
            if (report := jobs.last_report()) and report.level != "INFO":
                _draw_report(layout, context)
        if explaining.asking is not None:
            _draw_asking(layout, context, explaining.asking)
        else:
            _draw_answer(layout, context, image)


def _subject(
    context: bpy.types.Context, image: bpy.types.Image | None
) -> tuple[explaining.Subject | None, EngineError | None]:
    """What the editor's picture asks about, else why there is nothing to ask."""
    try:
        return (explaining.subject_of(image, context.scene), None) if image is not None else (None, None)
    except EngineError as error:
        return None, error


def _draw_question(layout: bpy.types.UILayout, context: bpy.types.Context, subject: explaining.Subject | None) -> None:
    chosen = props.explain_settings(context)
    column = layout.column()
    column.enabled = jobs.current() is None
    row = column.row(align=True)
    row.use_property_split = False
    row.prop(chosen, "place", expand=True)
    if chosen.place == "OBJECT":
        active = context.object
        column.label(text=active.name if active else "No object is active", icon="OBJECT_DATA")
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
    for name in props.QUESTIONS:
        tick = grid.row(align=True)
        reason = explaining.lacks(name, props.settings(context), subject)
        tick.enabled = not reason
        tick.prop_enum(chosen, "questions", name)
        if reason:
            reasons.setdefault(reason, []).append(props.QUESTIONS[name].label or name)
    if subject is not None:
        for reason, names in reasons.items():
            _draw_text(column.column(align=True), context, f"{', '.join(names)}: {reason}.", "INFO")


def _draw_ask(
    layout: bpy.types.UILayout, context: bpy.types.Context, image: bpy.types.Image | None, problem: EngineError | None
) -> None:
    if problem is not None:
        _draw_text(layout.column(align=True), context, str(problem), "INFO")
    row = layout.row(align=True)
    row.scale_y = 1.5
    row.enabled = image is not None and problem is None
    row.operator("pentimento.explain", icon="QUESTION", text="Explain" if image else "No Image in View")
    if props.explain_settings(context).place in ("PIXEL", "BOX"):
        row.operator("pentimento.point", icon="EYEDROPPER", text="")


def _draw_asking(layout: bpy.types.UILayout, context: bpy.types.Context, asking: explaining.Asking) -> None:
    """What is known so far. How far it may be trusted is still being measured."""
    _draw_text(layout.column(align=True), context, f"About {asking.about}", "BLANK1")
    for answer in asking.answers:
        box = layout.box().column(align=True)
        _draw_text(box, context, f"{answer.overlay}: {answer.sentence}", "SORTTIME")
        _draw_text(box, context, "Being checked.", "BLANK1")
        _draw_bars(box, answer.bars, {})
    if asking.answers:
        said = "Answers are kept once all are checked: if this ends before, none of them is."
        _draw_text(layout.column(align=True), context, said, "INFO")


def _draw_answer(layout: bpy.types.UILayout, context: bpy.types.Context, image: bpy.types.Image | None) -> None:
    answer = explaining.answer_beside(image)
    if not answer or image is None:
        return
    _draw_text(layout.column(align=True), context, f"About {answer[0].about}", "BLANK1")
    column = layout.column()
    column.prop(props.explain_settings(context), "blend", slider=True)
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
    row.label(text=found.family, icon="CHECKMARK" if found.faithful else "QUESTION")
    button = row.operator("pentimento.look_at", text="", icon="HIDE_OFF" if seen else "HIDE_ON", depress=seen)
    button.image = shown if seen else found.image
    _draw_text(box, context, "Certified." if found.faithful else "Indicative only.", "BLANK1")
    _draw_text(box, context, found.sentence, "BLANK1")
    for line in [] if found.faithful else looks.failures(found.checks):
        _draw_text(box, context, line, "BLANK1")
    _draw_bars(box, found.bars, images)
    low, high = found.display
    _draw_text(box, context, f"Shown from {low:g} to {high:g}: {found.unit}.", "BLANK1")


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
        name.label(text=bar.name)
        length, number = _parted(rest, 0.55)
        button = _bar(length, bar.value / largest if largest else 0.0, signed)
        button.image, button.about = images.get(bar.name, ""), _tooltip(bar, largest)
        number.label(text=_number(bar.value, largest, signed))


def _number(value: float, largest: float, signed: bool) -> str:
    """Parts of a whole in %, anything else as it is; as short as it has to be in a sidebar."""
    if largest > 1:
        return f"{value:{'+' if signed else ''}.3g}"
    percent = round(100 * value, 0 if largest >= 0.1 else 1) + 0.0  # no -0
    return f"{percent:{'+' if signed and percent else ''}g} %"


def _tooltip(bar: protocol.Bar, largest: float) -> str:
    said = f"{bar.name}: {_number(bar.value, largest, True)}"
    if bar.alone_gone is None:
        return said
    return f"{said}. Taken away alone, it would change the area by {_number(bar.alone_gone, largest, True)}"


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


# ---------------------------------------------------------------- textures


class TexturePanel:
    """A material out of noise: which, how large, which piece of it."""

    bl_label = "Texture"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        if not props.texture_styles():
            layout.label(text="No texture style is installed", icon="INFO")
            layout.operator("pentimento.import_style", icon="IMPORT")
            return
        layout.enabled = jobs.current() is None
        chosen = props.texture_settings(context)
        column = layout.column()
        for name in ("style", *(["variant"] if props.has_variants(chosen) else []), "width", "height", "seed"):
            column.prop(chosen, name)
        layout.operator("pentimento.new_texture", icon="TEXTURE")


class ImageTexturePanel(TexturePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_texture"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportTexturePanel(TexturePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_texture"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


# ---------------------------------------------------------------- training


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
            _draw_running(layout)
        elif not props.preferences().can_train:
            _draw_setup(layout, context)
            return
        else:
            _draw_unfinished(layout, context)
            _draw_training(layout, context)
            _draw_report(layout, context, jobs.TRAINING)
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
        return props.preferences().can_train

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


def _draw_setup(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What is missing before anything can be trained, in the order in which to do it."""
    has_python = bool(props.preferences().python)
    said = "The Python in the preferences cannot train" if has_python else "Training needs a Python with PyTorch"
    column = layout.column(align=True)
    _draw_text(column, context, f"{said}. Blender's own has none.", "INFO")
    _draw_text(column, context, "1. Copy the commands that make one, and paste them into a terminal.", "BLANK1")
    column.operator("pentimento.copy_setup", icon="COPYDOWN")
    _draw_text(column, context, "2. Enter the path they print in the preferences.", "BLANK1")
    column.operator("preferences.addon_show", icon="PREFERENCES", text="Open Preferences").module = props.PACKAGE
    if has_python:
        _draw_text(column, context, "3. Is everything installed? Then check it again.", "BLANK1")
        column.operator("pentimento.check_python", icon="CHECKMARK")


def _draw_unfinished(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    for found in training.unfinished():
        box = layout.box().column(align=True)
        _draw_text(box, context, f"{found.name} is unfinished.", "PAUSE")
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
    _draw_text(layout.column(align=True), context, props.effort_of(chosen).about, "TIME")
    layout.prop(chosen, "name")
    big = layout.column()
    big.scale_y = 1.5
    big.enabled = any(picture.image for picture in props.training_pictures(chosen))
    name = training.style_name(chosen)
    text = f"Train {name}" if name else f"No {LEARNED_FROM[chosen.kind]}"
    big.operator("pentimento.train", icon="BRUSH_DATA", text=text)


LEARNED_FROM = {"PICTURES": "Style Picture", "KEYFRAMES": "Keyframe", "TEXTURE": "Exemplar"}


def _draw_pictures(layout: bpy.types.UILayout, chosen: props.TrainingSettings) -> None:
    """What it learns from, one below the other; a keyframe with its number and its mask."""
    layout.label(text=f"{LEARNED_FROM[chosen.kind]}s")
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
    shown = [name for name in props.GUIDES if name in there or name in chosen.guides]
    if shown:
        layout.label(text="Guides")
        grid = layout.grid_flow(row_major=True, columns=3, even_columns=True, align=True)
        grid.use_property_split = False
        for name in shown:
            grid.prop_enum(chosen, "guides", name)


def _draw_running(layout: bpy.types.UILayout) -> None:
    job = jobs.current(jobs.TRAINING)
    assert job is not None
    column = layout.column()
    column.label(text=job.title)
    compat.progress(column, job.fraction, job.stage)
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
        _draw_text(box, context, f"{found.symptom.capitalize()}: {found.evidence}", "ERROR")
        _draw_text(box, context, f"{found.done} {found.advice}".strip(), "BLANK1")
    _draw_image(layout, training.PREVIEW, f"{seen.name}, {seen.caption}" if seen.caption else "")
    _draw_image(layout, training.CURVES, "Losses" if seen.losses else "")
    names = layout.column(align=True)
    for number, (term, points) in enumerate(seen.losses.items(), 1):
        names.label(text=f"{term} {points[-1][1]:.3g}", icon=f"COLLECTION_COLOR_{min(number, 8):02d}")
    if seen.numbers:
        _draw_numbers(layout.box().column(align=True), seen)


MEASURED = {
    "patch_distance": ("Distance to Style", "{:.2f}"),
    "content_diversity": ("Diversity", "{:.0%}"),
    "seed_diversity": ("Diversity of Seeds", "{:.0%}"),
}
"""Numbers of a diagnosis that say something to an artist: their names and how they are written"""


def _draw_numbers(column: bpy.types.UILayout, seen: training.View) -> None:
    rows = {name: form.format(seen.numbers[key]) for key, (name, form) in MEASURED.items() if key in seen.numbers}
    rows["Seconds per Step"] = f"{seen.seconds_per_step:.3g}"
    if jobs.current(jobs.TRAINING) is not None:
        rows["Time Left"] = jobs.duration(seen.seconds_left)
    for name, value in rows.items():
        row = column.row()
        row.label(text=name)
        row.label(text=value)


def _draw_image(layout: bpy.types.UILayout, role: str, title: str) -> None:
    """One of the two images, as large as a panel shows it; nothing before it is there."""
    image = training.image_of(role)
    if image is None or image.preview is None or not title:
        return
    row = layout.row()
    row.label(text=title)
    row.operator("pentimento.show_training", text="", icon="FULLSCREEN_ENTER").image = role
    layout.template_icon(icon_value=image.preview.icon_id, scale=10)


# ---------------------------------------------------------------- text


ICONS = {"INFO": "CHECKMARK", "WARNING": "INFO", "ERROR": "ERROR"}


def _draw_report(layout: bpy.types.UILayout, context: bpy.types.Context, lane: jobs.Lane = jobs.PAINTING) -> None:
    report = jobs.last_report(lane)
    if report is None:
        return
    box = layout.box().column(align=True)
    _draw_text(box, context, report.message, ICONS[report.level])
    for line in report.fix.splitlines():
        _draw_text(box, context, line, "BLANK1")
    box.operator("pentimento.copy_report", icon="COPYDOWN").training = lane is jobs.TRAINING


def _draw_findings(layout: bpy.types.UILayout, context: bpy.types.Context, image: bpy.types.Image) -> None:
    """What the overlays of this result say, unless the report below says it."""
    report = jobs.last_report()
    for found in _findings(image):
        if report and found["sentence"] in report.fix:
            continue
        box = layout.box().column(align=True)
        mark = "CHECKMARK" if found["faithful"] else "QUESTION"
        _draw_text(box, context, f"{found['name']}: {found['sentence']}", mark)
        if not found["faithful"]:
            _draw_text(box, context, "Indicative only: its measured faithfulness is too low.", "BLANK1")


def _findings(image: bpy.types.Image) -> list[dict[str, Any]]:
    try:
        return json.loads(image.get(scene_io.OVERLAYS, "[]"))
    except ValueError:
        return []  # a property that somebody edited


def _draw_text(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str) -> None:
    """Text in as many lines as the width of the panel needs: labels do not wrap by themselves."""
    scale = context.preferences.system.ui_scale
    characters = max(int((context.region.width / scale - 62) / 7), 16)
    for number, line in enumerate(textwrap.wrap(text, characters)):
        layout.label(text=line, icon=icon if number == 0 else "BLANK1")


CLASSES = (
    ImageEditorPanel,
    ViewportPanel,
    RenderPanel,
    ImageControlsPanel,
    ViewportControlsPanel,
    RenderControlsPanel,
    ImageMixingPanel,
    ViewportMixingPanel,
    RenderMixingPanel,
    ImageAnimationPanel,
    ViewportAnimationPanel,
    RenderAnimationPanel,
    ImageExplainPanel,
    ImageTexturePanel,
    ViewportTexturePanel,
    ImageTrainingPanel,
    ViewportTrainingPanel,
    ImageSignaturePanel,
    ViewportSignaturePanel,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
