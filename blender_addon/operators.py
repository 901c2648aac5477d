"""What the buttons do. `execute` blocks until the result is there; `invoke` starts the job and returns."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

import functools
import json
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from . import animating, explaining, jobs, preferences, props, scene_io, switches, training
from .engine_client import EngineError, protocol

Answer = set[str]
IMPATIENCE = jobs.Limits(cancel=2.0)
"""With animations: a worker within a long step need not come to its end, for finished frames are on the disk."""


class JobOperator:
    """Runs the job that `job` describes: blocking or in the background, with the same outcome."""

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Answer:
        return self._report(lambda: jobs.run(self.job(context, blocking=True)))

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        if bpy.app.background:
            return self.execute(context)  # no timer would ever carry the job on
        return self._report(lambda: jobs.start(self.job(context, blocking=False)))

    def _report(self, act: Callable[[], jobs.Report | None]) -> Answer:
        report: Callable[[set[str], str], None] = self.report
        try:
            ended = act()
        except EngineError as error:
            report({"ERROR"}, str(error))
            return {"CANCELLED"}
        finally:
            jobs.redraw()
        if ended:
            report({ended.level}, ended.message)
        return {"FINISHED"} if ended is None or ended.has_result else {"CANCELLED"}


class StylizeImage(JobOperator, bpy.types.Operator):
    """Paint this image in the chosen style. The result is a new image; the original stays"""

    bl_idname = "pentimento.stylize_image"
    bl_label = "Stylize Image"
    bl_options = {"REGISTER", "UNDO"}

    image: bpy.props.StringProperty(name="Image", description="Empty: the image in view", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return image_job(context, self.image, blocking)


class StylizeRender(JobOperator, bpy.types.Operator):
    """Render this frame and paint it in the chosen style. The result is a multilayer EXR, shown by the compositor"""

    bl_idname = "pentimento.stylize_render"
    bl_label = "Stylize Render"
    bl_options = {"REGISTER", "UNDO"}

    filepath: bpy.props.StringProperty(
        name="Render", description="An EXR to paint instead of a new render", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return render_job(context, self.filepath, blocking)


class StylizeAnimation(JobOperator, bpy.types.Operator):
    """Paint the frames of an animation in the chosen style: existing ones, or rendered now. The result is a sequence,
    shown by the compositor"""

    bl_idname = "pentimento.stylize_animation"
    bl_label = "Stylize Animation"
    bl_options = {"REGISTER", "UNDO"}

    frames: bpy.props.StringProperty(
        name="Frames",
        description="Existing frames, walk_####.exr or one of them, in place of what the panel says",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if (job := jobs.current()) is not None:
            cls.poll_message_set(f"{job.title} is still running")
        return job is None

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return animation_job(animating.plan(context.scene, self.frames), blocking)


class SwitchOnPasses(bpy.types.Operator):
    """Switch on the passes by which strokes stick, and Motion Blur off, for Blender's own Render Animation"""

    bl_idname = "pentimento.switch_on_passes"
    bl_label = "Switch On Passes"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        try:
            animating.switch_on(context.scene)
        except EngineError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


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
        context.area.header_text_set("Click what is to be explained. Esc: leave it")
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


class LookAt(bpy.types.Operator):
    """Show this overlay over the picture, with its legend"""

    bl_idname = "pentimento.look_at"
    bl_label = "Look at It"
    bl_options = {"REGISTER", "UNDO"}

    image: bpy.props.StringProperty(options={"SKIP_SAVE"})
    about: bpy.props.StringProperty(description="What the tooltip says", options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        return properties.about or str(cls.__doc__)

    def execute(self, context: bpy.types.Context) -> Answer:
        image = bpy.data.images.get(self.image)
        if image is None and not self.image:
            return {"CANCELLED"}  # a number without a layer of its own
        if image is None:
            self.report({"ERROR"}, f"There is no image {self.image!r} any more.")
            return {"CANCELLED"}
        explaining.look_at(image, props.explain_settings(context).blend)
        return {"FINISHED"}


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


class NewTexture(JobOperator, bpy.types.Operator):
    """Make a new image of this material that tiles: every seed is another piece of it"""

    bl_idname = "pentimento.new_texture"
    bl_label = "New Texture"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return texture_job(context, blocking)


def texture_job(context: bpy.types.Context, blocking: bool) -> jobs.Job:
    """Makes the texture that the panel asks for."""
    chosen = props.texture_settings(context)
    style = props.chosen_texture_style(chosen)
    request = props.texture_request(chosen, props.settings(context).device)
    apply = functools.partial(scene_io.add_texture, style=style.name)
    return _job(f"Texture {style.name}", _texture_requests(request), apply, blocking)


def _texture_requests(request: protocol.TextureRequest) -> jobs.Requests:
    with scene_io.scratch() as folder:
        yield replace(request, folder=folder)


def image_job(context: bpy.types.Context, name: str, blocking: bool) -> jobs.Job:
    """Paints the image of that name, or the one in view."""
    image = scene_io.original_of(scene_io.find_image(name) if name else scene_io.active_image(context))
    scene_io.check(image)
    chosen = props.settings(context)
    style = props.look_name(chosen)
    masks = scene_io.masks_of(chosen, image)
    how = props.stylize_settings(chosen, is_render=False)
    requests = _image_requests(image.name, _view_scene(context), how, masks)
    material = scene_io.active_material(context)
    apply = functools.partial(scene_io.add_layers, image=image.name, material=material, style=style)
    return _job(f"Stylize {image.name}", requests, apply, blocking)


def explain_job(context: bpy.types.Context, name: str, at: tuple[int, int] | None, blocking: bool) -> jobs.Job:
    """Asks about the image of that name, or the one in view. at: a pixel instead of the 2D cursor."""
    image = scene_io.find_image(name) if name else scene_io.active_image(context)
    subject = explaining.subject_of(image, context.scene)
    region, area = explaining.region_of(context, subject, at)
    chosen, is_render = props.settings(context), bool(subject.file)
    about = f"{area} of {subject.image} in {props.look_name(chosen)}"
    asked = explaining.questions(context, subject)
    how = replace(props.stylize_settings(chosen, is_render), overlays=asked)
    masks = [] if is_render else scene_io.masks_of(chosen, scene_io.find_image(subject.image))
    requests = _explain_requests(subject, about, region, _view_scene(context), how, masks)
    blend = props.explain_settings(context).blend
    apply = functools.partial(explaining.take, image=subject.image, about=about, blend=blend)
    return _job(f"Explain {subject.image}", requests, apply, blocking)


def render_job(context: bpy.types.Context, filepath: str, blocking: bool) -> jobs.Job:
    """Paints the EXR, or a new render of the current frame."""
    chosen, scene = props.settings(context), context.scene.name
    style = props.look_name(chosen)
    given = Path(bpy.path.abspath(filepath)) if filepath else None
    how = props.stylize_settings(chosen, is_render=True)
    passes = switches.missing(context.scene, switches.needed(how, props.guides(chosen))) if given is None else ()
    requests = _render_requests(scene, given, passes, _view_scene(context), how, blocking)
    note = f"Switched on for this render, and off again: {switches.said(passes)}." if passes else ""
    apply = functools.partial(scene_io.add_render, scene=scene, style=style, note=note)
    return _job("Stylize Render", requests, apply, blocking)


def animation_job(plan: animating.Plan, blocking: bool) -> jobs.Job:
    """Paints an animation, and renders it before or meanwhile where that is wanted."""
    run = animating.Run()
    job = _job(
        "Stylize Animation",
        animating.requests(plan, run, blocking),
        functools.partial(animating.take, run=run),
        blocking,
    )
    job.beside = animating.render(plan, run, blocking) if plan.as_they_finish else None
    job.limits, job.loses_nothing = IMPATIENCE, True
    job.stopped = "was cancelled. Finished frames stay; with Resume it goes on"
    return job


def _view_scene(context: bpy.types.Context) -> str:
    """The scene whose view transform the painting is to match; none when it is to paint the scene's own light."""
    return context.scene.name if props.settings(context).colours == "DISPLAY" else ""


def _job(title: str, requests: jobs.Requests, apply: Callable[[Any], jobs.Work | None], blocking: bool) -> jobs.Job:
    on_end = None if blocking else functools.partial(_remember, title)
    return jobs.Job(title, requests, apply, preferences.interpreter(), on_end)


def _remember(title: str, report: jobs.Report) -> None:
    """An undo step of its own for what came in while the artist went on working."""
    if report.has_result:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.ed.undo_push(message=title)


def _image_requests(image: str, view_of: str, how: protocol.StylizeSettings, masks: list[str]) -> jobs.Requests:
    with scene_io.scratch() as folder:
        how = yield from _with_masks(how, masks, folder)
        source = scene_io.gather(scene_io.find_image(image), folder)
        view = _view(view_of, folder) if source.encoding == "linear" else None
        yield props.stylize_request(source, how, folder, "pixels", view)


def _with_masks(
    how: protocol.StylizeSettings, masks: list[str], folder: str
) -> Generator[None, None, protocol.StylizeSettings]:
    """Each style and place with the file of its mask, written into the folder. masks: names of images, or nothing, for
    the styles; places have theirs."""
    names = [*filter(None, masks), *(place.matte for place in how.strength_of)]
    files = iter((yield from scene_io.write_pictures(names, Path(folder, "masks"))))
    parts = [replace(part, matte=next(files) if mask else "") for part, mask in zip(how.styles, masks, strict=True)]
    places = [replace(place, matte=next(files)) for place in how.strength_of]
    return replace(how, styles=tuple(parts), strength_of=tuple(places))


def _explain_requests(
    subject: explaining.Subject,
    about: str,
    region: protocol.Region,
    view_of: str,
    how: protocol.StylizeSettings,
    masks: list[str],
) -> jobs.Requests:
    explaining.begin(subject.image, about)
    try:
        with scene_io.scratch() as folder:
            if subject.file:
                source = protocol.PictureSource(Path(subject.file).stem, path=subject.file)
            else:
                how = yield from _with_masks(how, masks, folder)
                source = scene_io.gather(scene_io.find_image(subject.image), folder)
            is_light = bool(subject.file) or source.encoding == "linear"
            view = _view(view_of, folder) if is_light else None
            yield protocol.ExplainRequest(props.new_job(), source, how, folder, region, view, "pixels")
    finally:
        explaining.end()


def _view(scene: str, folder: str) -> protocol.ViewTable | None:
    return scene_io.gather_view(bpy.data.scenes[scene], folder) if scene else None


def _render_requests(
    scene: str,
    given: Path | None,
    passes: tuple[str, ...],
    view_of: str,
    how: protocol.StylizeSettings,
    blocking: bool,
) -> jobs.Requests:
    path = scene_io.render_path(bpy.data.scenes[scene])
    if given is None:
        for _ in scene_io.render(scene, path, passes, blocking):
            yield None
    elif not given.is_file():
        raise EngineError(f"There is no file {given}.", "Choose an EXR that Blender has rendered.")
    render = given or path
    source = protocol.PictureSource(render.stem, path=str(render))
    with scene_io.scratch() as folder:
        yield props.stylize_request(source, how, str(path.parent), "files", _view(view_of, folder))


# ---------------------------------------------------------------- after Blender's own Render Animation


class Watched:
    """The render that Blender is at, or was at last. One at a time is all it does."""

    is_ours = False
    """A job has begun it; it stays ours when that is cancelled and Blender goes on to the end of a frame"""
    written: list[int] = []
    """Frames of Blender's own that are on the disk"""
    waiting: Callable[[], float | None] | None = None
    """What is to paint them, while another job is at work"""


@bpy.app.handlers.persistent
def _render_begins(*_: object) -> None:
    Watched.is_ours = scene_io.Ours.renders
    Watched.written.clear()


@bpy.app.handlers.persistent
def _frame_written(scene: bpy.types.Scene, *_: object) -> None:
    if not Watched.is_ours and scene.pentimento_animation.after_render:
        Watched.written.append(scene.frame_current)


@bpy.app.handlers.persistent
def _render_ended(scene: bpy.types.Scene, *_: object) -> None:
    """In background the render waits for us; in a window this may be its thread, where nothing of Blender is safe."""
    numbers = tuple(Watched.written)
    Watched.written.clear()
    if len(numbers) < 2:
        return  # no animation
    after = functools.partial(_after_render, scene.name, numbers)
    wait = after() if bpy.app.background else 0.1
    if wait is not None:
        _stop_waiting()
        Watched.waiting = after
        bpy.app.timers.register(after, first_interval=wait)


def _stop_waiting() -> None:
    """A timer that is left keeps Blender from ending."""
    if Watched.waiting is not None and bpy.app.timers.is_registered(Watched.waiting):
        bpy.app.timers.unregister(Watched.waiting)
    Watched.waiting = None


def _after_render(scene_name: str, numbers: tuple[int, ...]) -> float | None:
    """Paints what was written. There is no operator to report an error: it goes to the panel and the console. Returns
    in how many seconds to try again, where another job is at work."""
    if jobs.current() is not None:
        return 0.5
    if scene_name not in bpy.data.scenes:
        return None
    blocking = bpy.app.background
    try:
        job = animation_job(animating.plan_written(bpy.data.scenes[scene_name], numbers), blocking)
        (jobs.run if blocking else jobs.start)(job)
    except EngineError as error:
        jobs.refused(error)
    if blocking and (report := jobs.last_report()):
        print(f"Pentimento: {report.text}")
    jobs.redraw()
    return None


HANDLERS = {
    "render_init": _render_begins,
    "render_write": _frame_written,
    "render_complete": _render_ended,
    "render_cancel": _render_begins,
}


class ImportStyle(JobOperator, bpy.types.Operator):
    """Add a style: a style pack (.zip) or an ONNX style model"""

    bl_idname = "pentimento.import_style"
    bl_label = "Import Style"

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default="*.zip;*.onnx", options={"HIDDEN"})
    name: bpy.props.StringProperty(name="Name", description="Empty: the name it brings", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Answer:
        if bpy.app.background:
            return super().execute(context)
        return self._report(lambda: jobs.start(self.job(context, blocking=False)))

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        requests = _import_requests(bpy.path.abspath(self.filepath), self.name)
        apply = functools.partial(_style_arrived, scene=context.scene.name)
        return jobs.Job("Import Style", requests, apply, preferences.interpreter())


def _import_requests(path: str, name: str) -> jobs.Requests:
    yield protocol.ImportStyleRequest(props.new_job(), path, str(props.user_styles()), name)


def _style_arrived(event: protocol.Event, scene: str) -> None:
    if isinstance(event, protocol.StyleReady):
        props.refresh_styles()
        if props.style_of(event.name):
            bpy.data.scenes[scene].pentimento.style = event.name
        elif event.name in [style.name for style in props.texture_styles()]:
            bpy.data.scenes[scene].pentimento_texture.style = event.name


class CheckPython(JobOperator, bpy.types.Operator):
    """Start the Python above and see what it can do"""

    bl_idname = "pentimento.check_python"
    bl_label = "Check Python"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def job(self, _context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return preferences.check_job()


# ---------------------------------------------------------------- mixing


class AddStyle(bpy.types.Operator):
    """Mix another style in"""

    bl_idname = "pentimento.add_style"
    bl_label = "Add Style"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        chosen = props.settings(context)
        used = {props.chosen_style(part).name for part in props.all_styles(chosen)} if props.styles() else set()
        unused = (style.name for style in props.styles() if style.name not in used)
        chosen.mixed.add().style_name = next(unused, "")
        return {"FINISHED"}


class RemoveStyle(bpy.types.Operator):
    """Take this style out of the mix"""

    bl_idname = "pentimento.remove_style"
    bl_label = "Remove Style"
    bl_options = {"REGISTER", "UNDO"}

    index: bpy.props.IntProperty(min=0, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> Answer:
        props.settings(context).mixed.remove(self.index)
        return {"FINISHED"}


# ---------------------------------------------------------------- controls


class AddPlace(bpy.types.Operator):
    """Give a place a strength of its own"""

    bl_idname = "pentimento.add_place"
    bl_label = "Add Place"
    bl_options = {"REGISTER", "UNDO"}

    active: bpy.props.BoolProperty(
        name="Active Object", description="The place is the active object", options={"SKIP_SAVE"}
    )

    def execute(self, context: bpy.types.Context) -> Answer:
        chosen = props.settings(context)
        added, active = chosen.places.add(), context.object if self.active else None
        if active is not None and active.name not in [place.matte for place in chosen.places]:
            added.matte = active.name
        return {"FINISHED"}


class RemovePlace(bpy.types.Operator):
    """Let this place be as strong as the rest"""

    bl_idname = "pentimento.remove_place"
    bl_label = "Remove Place"
    bl_options = {"REGISTER", "UNDO"}

    index: bpy.props.IntProperty(min=0, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> Answer:
        props.settings(context).places.remove(self.index)
        return {"FINISHED"}


class ResetControls(bpy.types.Operator):
    """Set all controls back, so that the picture is painted as the style does"""

    bl_idname = "pentimento.reset_controls"
    bl_label = "Reset Controls"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        props.reset_controls(props.settings(context))
        return {"FINISHED"}


# ---------------------------------------------------------------- training


class AddStylePicture(bpy.types.Operator):
    """Add a picture to learn the style from: the image in view, or one to be chosen in the list"""

    bl_idname = "pentimento.add_style_picture"
    bl_label = "Add Style Picture"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        seen = scene_io.image_in_view(context)
        fits = seen is not None and seen.type not in scene_io.RENDERS and not seen.get(scene_io.ROLE)
        _add_picture(context, seen if fits and seen not in _known_pictures(context) else None)
        return {"FINISHED"}


def _known_pictures(context: bpy.types.Context) -> list[bpy.types.Image | None]:
    return [picture.image for picture in props.training_pictures(props.training_settings(context))]


def _add_picture(context: bpy.types.Context, image: bpy.types.Image | None) -> None:
    """To what the style is to be learned from; a keyframe with the number of its frame."""
    chosen = props.training_settings(context)
    added = props.training_pictures(chosen).add()
    added.image = image
    if chosen.kind == "KEYFRAMES":
        added.number = training.guessed_number(context.scene, image) if image else context.scene.frame_current


class OpenStylePictures(bpy.types.Operator):
    """Open pictures to learn the style from"""

    bl_idname = "pentimento.open_style_pictures"
    bl_label = "Open Style Pictures"
    bl_options = {"REGISTER", "UNDO"}

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    files: bpy.props.CollectionProperty(type=bpy.types.OperatorFileListElement, options={"SKIP_SAVE"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Answer:
        for file in self.files:
            try:
                image = bpy.data.images.load(str(Path(self.directory, file.name)), check_existing=True)
            except RuntimeError as error:  # says which file, and what is wrong with it
                self.report({"ERROR"}, str(error))
                return {"CANCELLED"}
            if image not in _known_pictures(context):
                _add_picture(context, image)
        return {"FINISHED"}


class RemoveStylePicture(bpy.types.Operator):
    """Leave this picture out"""

    bl_idname = "pentimento.remove_style_picture"
    bl_label = "Remove Style Picture"
    bl_options = {"REGISTER", "UNDO"}

    index: bpy.props.IntProperty(min=0, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> Answer:
        props.training_pictures(props.training_settings(context)).remove(self.index)
        return {"FINISHED"}


class TrainingOperator(JobOperator):
    """Trains in a lane and a worker of its own, so that painting goes on meanwhile."""

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current(jobs.TRAINING) is None


PATIENCE = jobs.Limits(silence=60.0, cancel=60.0)
"""One picture of the teacher takes up to half a minute on a busy computer; only then does it hear of a wish to stop."""


def _training_job(name: str, out: Path, requests: jobs.Requests) -> jobs.Job:
    python = preferences.training_interpreter()
    training.watch(name, out)
    return jobs.Job(
        f"Training {name}",
        requests,
        training.take,
        python,
        limits=PATIENCE,
        lane=jobs.TRAINING,
        stopped="is paused: Resume goes on where it stopped",
        outlives_file=True,
    )


class Train(TrainingOperator, bpy.types.Operator):
    """Train a style from these pictures. You can go on working, and pause it at any time"""

    bl_idname = "pentimento.train"
    bl_label = "Train"

    settings: bpy.props.StringProperty(
        name="Settings", description="For scripts: more training settings, as JSON", options={"HIDDEN", "SKIP_SAVE"}
    )

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        preferences.training_interpreter()
        plan = training.plan(context, json.loads(self.settings or "{}"))
        return _training_job(plan.config["name"], plan.out, training.requests(plan))


class ResumeTraining(TrainingOperator, bpy.types.Operator):
    """Go on with this training where it stopped"""

    bl_idname = "pentimento.resume_training"
    bl_label = "Resume"

    name: bpy.props.StringProperty(options={"SKIP_SAVE"})

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        found = training.find_unfinished(self.name)
        return _training_job(found.name, Path(found.request.out), training.resume_requests(found))


class PauseTraining(bpy.types.Operator):
    """Stop for now. Everything is kept; Resume goes on, today or another day"""

    bl_idname = "pentimento.pause_training"
    bl_label = "Pause"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return _training_request() is not None

    def execute(self, _context: bpy.types.Context) -> Answer:
        jobs.cancel(jobs.TRAINING)
        return {"FINISHED"}


class StopTraining(bpy.types.Operator):
    """Finish now: the style is made from what has been learned so far"""

    bl_idname = "pentimento.stop_training"
    bl_label = "Stop"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return _training_request() is not None

    def execute(self, _context: bpy.types.Context) -> Answer:
        request = _training_request()
        if request is not None:
            training.finish_now(request)
        return {"FINISHED"}


def _training_request() -> protocol.TrainRequest | None:
    job = jobs.current(jobs.TRAINING)
    return job.request if job and isinstance(job.request, protocol.TrainRequest) else None


class DiscardTraining(JobOperator, bpy.types.Operator):
    """Throw this unfinished training away"""

    bl_idname = "pentimento.discard_training"
    bl_label = "Discard"

    name: bpy.props.StringProperty(options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current(jobs.TRAINING) is None

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, _context: bpy.types.Context) -> Answer:
        return self._report(lambda: training.discard(training.find_unfinished(self.name)))


class ShowTraining(bpy.types.Operator):
    """Show it large in an Image Editor"""

    bl_idname = "pentimento.show_training"
    bl_label = "Show in Image Editor"

    image: bpy.props.StringProperty(options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> Answer:
        areas = [context.area, *context.screen.areas] if context.screen else []
        editor = next((area for area in areas if area and area.type == "IMAGE_EDITOR"), None)
        image = training.image_of(self.image)
        if editor is None or image is None:
            self.report({"WARNING"}, "Open an Image Editor beside this one.")
            return {"CANCELLED"}
        editor.spaces.active.image = image
        return {"FINISHED"}


class CopySetup(bpy.types.Operator):
    """Copy the commands that make a Python for training; paste them into a terminal"""

    bl_idname = "pentimento.copy_setup"
    bl_label = "Copy Commands"

    def execute(self, context: bpy.types.Context) -> Answer:
        context.window_manager.clipboard = preferences.setup_commands()
        return {"FINISHED"}


# ---------------------------------------------------------------- the rest


class Cancel(bpy.types.Operator):
    """Stop the running job. Everything stays as it was"""

    bl_idname = "pentimento.cancel"
    bl_label = "Cancel"

    def execute(self, _context: bpy.types.Context) -> Answer:
        jobs.cancel()
        return {"FINISHED"}


class CopyReport(bpy.types.Operator):
    """Copy how the last job ended, for a message or a bug report"""

    bl_idname = "pentimento.copy_report"
    bl_label = "Copy Report"

    training: bpy.props.BoolProperty(name="Of the Training", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> Answer:
        report = jobs.last_report(jobs.TRAINING if self.training else jobs.PAINTING)
        if report is None:
            return {"CANCELLED"}
        context.window_manager.clipboard = report.text
        return {"FINISHED"}


class RefreshStyles(bpy.types.Operator):
    """Look for styles again"""

    bl_idname = "pentimento.refresh_styles"
    bl_label = "Refresh Styles"

    def execute(self, _context: bpy.types.Context) -> Answer:
        props.refresh_styles()
        return {"FINISHED"}


CLASSES = (
    StylizeImage,
    StylizeRender,
    StylizeAnimation,
    SwitchOnPasses,
    Explain,
    PointAtPicture,
    LookAt,
    DiscardAnswer,
    NewTexture,
    ImportStyle,
    CheckPython,
    AddStyle,
    RemoveStyle,
    AddPlace,
    RemovePlace,
    ResetControls,
    AddStylePicture,
    OpenStylePictures,
    RemoveStylePicture,
    Train,
    ResumeTraining,
    PauseTraining,
    StopTraining,
    DiscardTraining,
    ShowTraining,
    CopySetup,
    Cancel,
    CopyReport,
    RefreshStyles,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    _stop_waiting()
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
