"""Ask why a part of a result looks as it does, and look at the answer."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from .. import explaining, jobs, laying, props, scene_io
from ..engine_client import protocol
from ..translation import worded
from .base import Answer, JobOperator, ReadingOperator, painting_job, view_scene


class Explain(JobOperator, bpy.types.Operator):
    """Ask why this part of the result looks as it does. The answer stands below, its overlays are new images"""

    bl_idname = "pentimento.explain"
    bl_label = "Explain"
    bl_options = {"REGISTER", "UNDO"}

    image: bpy.props.StringProperty(name="Image", description="Empty: the image in view", options={"SKIP_SAVE"})
    at: bpy.props.IntVectorProperty(
        name="Pixel",
        description="For scripts: x from the left and y from the top, instead of the 2D cursor",
        size=2,
        default=(-1, -1),
        options={"HIDDEN", "SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        at = (self.at[0], self.at[1]) if self.at[0] >= 0 else None
        return explain_job(context, self.image, at, blocking)


class PointAtPicture(bpy.types.Operator):
    """Click into the picture: the 2D cursor goes there, and that place is explained"""

    bl_idname = "pentimento.point"
    bl_label = "Point at the Picture"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return jobs.current() is None and context.area is not None and context.area.type == "IMAGE_EDITOR"

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        context.window.cursor_modal_set("EYEDROPPER")
        context.area.header_text_set(worded("Click what is to be explained. Esc: leave it"))
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        if event.type in {"RIGHTMOUSE", "ESC"}:
            return self._leave(context, {"CANCELLED"})
        if event.type != "LEFTMOUSE" or event.value != "PRESS":
            return {"PASS_THROUGH"}  # zoom and pan as ever
        region = _picture_region(context.area, event.mouse_x, event.mouse_y)
        if region is None:
            return self._leave(context, {"CANCELLED"})
        place: Any = region.view2d.region_to_view(event.mouse_x - region.x, event.mouse_y - region.y)
        explaining.put_cursor(context.space_data, *place)
        self._leave(context, {"FINISHED"})
        bpy.ops.pentimento.explain("INVOKE_DEFAULT")
        return {"FINISHED"}

    def _leave(self, context: bpy.types.Context, answer: Answer) -> Answer:
        context.window.cursor_modal_restore()
        context.area.header_text_set(None)
        return answer


def _picture_region(area: bpy.types.Area, x: int, y: int) -> bpy.types.Region | None:
    """The region that shows the picture, where that is what lies under the mouse: a sidebar may lie over it."""
    under = [
        region
        for region in area.regions
        if region.x <= x < region.x + region.width and region.y <= y < region.y + region.height
    ]
    return under[0] if [region.type for region in under] == ["WINDOW"] else None


class LookAt(ReadingOperator, bpy.types.Operator):
    """Show this overlay over the picture, with its legend"""

    bl_idname = "pentimento.look_at"
    bl_label = "Look at It"
    bl_options = {"REGISTER", "UNDO"}

    image: bpy.props.StringProperty(options={"SKIP_SAVE"})
    about: bpy.props.StringProperty(description="What the tooltip says", options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        return properties.about or worded(str(cls.__doc__))

    def work(self, context: bpy.types.Context) -> jobs.Work:
        if not self.image:
            return ""  # a number without a layer of its own
        image = scene_io.find_image(self.image)
        return (yield from explaining.look_at(image, props.explain_settings(context).blend))


class DiscardAnswer(bpy.types.Operator):
    """Throw this answer away, with its overlays and the picture that shows them"""

    bl_idname = "pentimento.discard_answer"
    bl_label = "Discard Answer"
    bl_options = {"REGISTER", "UNDO"}

    image: bpy.props.StringProperty(name="Image", description="Empty: the image in view", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> Answer:
        image = bpy.data.images.get(self.image) if self.image else scene_io.image_in_view(context)
        if image is None:
            return {"CANCELLED"}
        explaining.discard(image)
        return {"FINISHED"}


def explain_job(context: bpy.types.Context, name: str, at: tuple[int, int] | None, blocking: bool) -> jobs.Job:
    """Asks about the image of that name, or the one in view. at: a pixel instead of the 2D cursor."""
    image = scene_io.find_image(name) if name else scene_io.active_image(context)
    subject = explaining.subject_of(image, context.scene)
    region, area = explaining.region_of(context, subject, at)
    chosen, is_render = props.settings(context), bool(subject.file)
    look = props.look_name(chosen)
    about = worded("{area} of {image} in {style}", area=area, image=subject.image, style=look)
    asked = explaining.questions(context, subject)
    how = replace(props.stylize_settings(chosen, is_render), overlays=asked)
    masks = [] if is_render else scene_io.masks_of(chosen, scene_io.find_image(subject.image))
    requests = explain_requests(subject, about, region, view_scene(context), how, masks, laying.use_of(context))
    blend = props.explain_settings(context).blend
    apply = functools.partial(explaining.take, image=subject.image, about=about, blend=blend)
    return painting_job(worded("Explain {name}", name=subject.image), requests, apply, blocking)


def explain_requests(
    subject: explaining.Subject,
    about: str,
    region: protocol.Region,
    view_of: str,
    how: protocol.StylizeSettings,
    masks: list[str],
    use: laying.Use,
) -> jobs.Requests:
    explaining.begin(subject.image, about)
    try:
        with scene_io.scratch() as folder:
            if subject.file:
                source = protocol.PictureSource(Path(subject.file).stem, path=subject.file)
            else:
                how = yield from scene_io.with_masks(how, masks, folder)
                lies = yield from laying.laid(subject.image, use)
                gathered = yield from scene_io.gather(scene_io.find_image(subject.image), folder, lies.islands)
                source, how = gathered.source, replace(how, tileable=lies.repeats([gathered]))
            is_light = bool(subject.file) or source.encoding == "linear"
            view = scene_io.view_table(view_of, folder) if is_light else None
            yield protocol.ExplainRequest(props.new_job(), source, how, folder, region, view, "pixels")
    finally:
        explaining.end()


CLASSES = (
    Explain,
    PointAtPicture,
    LookAt,
    DiscardAnswer,
)
