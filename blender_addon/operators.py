"""What the buttons do. `execute` blocks until the result is there; `invoke` starts the job and returns."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type"
# ruff: noqa: RUF012

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from . import jobs, preferences, props, scene_io
from .engine_client import EngineError, protocol

Answer = set[str]


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
        return {"FINISHED"} if ended is None or ended.level == "INFO" else {"CANCELLED"}


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


def image_job(context: bpy.types.Context, name: str, blocking: bool) -> jobs.Job:
    """Paints the image of that name, or the one in view."""
    image = scene_io.original_of(scene_io.find_image(name) if name else scene_io.active_image(context))
    scene_io.check(image)
    chosen = props.settings(context)
    style = props.chosen_style(chosen).name
    requests = _image_requests(image.name, _view_scene(context), props.stylize_settings(chosen, chosen.tileable))
    material = scene_io.active_material(context)
    apply = functools.partial(scene_io.add_layers, image=image.name, material=material, style=style)
    return _job(f"Stylize {image.name}", requests, apply, blocking)


def render_job(context: bpy.types.Context, filepath: str, blocking: bool) -> jobs.Job:
    """Paints the EXR, or a new render of the current frame."""
    chosen, scene = props.settings(context), context.scene.name
    style = props.chosen_style(chosen).name
    given = Path(bpy.path.abspath(filepath)) if filepath else None
    how = props.stylize_settings(chosen, tileable=False)
    requests = _render_requests(scene, given, _view_scene(context), how, blocking)
    return _job("Stylize Render", requests, functools.partial(scene_io.add_render, scene=scene, style=style), blocking)


def _view_scene(context: bpy.types.Context) -> str:
    """The scene whose view transform the painting is to match; none when it is to paint the scene's own light."""
    return context.scene.name if props.settings(context).colours == "DISPLAY" else ""


def _job(title: str, requests: jobs.Requests, apply: Callable[[Any], jobs.Work | None], blocking: bool) -> jobs.Job:
    on_end = None if blocking else functools.partial(_remember, title)
    return jobs.Job(title, requests, apply, preferences.interpreter(), on_end)


def _remember(title: str, report: jobs.Report) -> None:
    """An undo step of its own for what came in while the artist went on working."""
    if report.level == "INFO":
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.ed.undo_push(message=title)


def _image_requests(image: str, view_of: str, how: protocol.StylizeSettings) -> jobs.Requests:
    with _scratch() as folder:
        source = scene_io.gather(scene_io.find_image(image), folder)
        view = _view(view_of, folder) if source.encoding == "linear" else None
        yield props.stylize_request(source, how, folder, "pixels", view)


def _view(scene: str, folder: str) -> protocol.ViewTable | None:
    return scene_io.gather_view(bpy.data.scenes[scene], folder) if scene else None


def _render_requests(
    scene: str, given: Path | None, view_of: str, how: protocol.StylizeSettings, blocking: bool
) -> jobs.Requests:
    path = scene_io.render_path(bpy.data.scenes[scene])
    if given is None:
        for _ in scene_io.render(scene, path, blocking):
            yield None
    elif not given.is_file():
        raise EngineError(f"There is no file {given}.", "Choose an EXR that Blender has rendered.")
    render = given or path
    source = protocol.PictureSource(render.stem, path=str(render))
    with _scratch() as folder:
        yield props.stylize_request(source, how, str(path.parent), "files", _view(view_of, folder))


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for pixels that goes when the job ends."""
    try:
        return tempfile.TemporaryDirectory(prefix="pentimento_", dir=bpy.app.tempdir, ignore_cleanup_errors=True)
    except OSError as error:
        raise EngineError(
            f"The folder for temporary files cannot be used ({error.strerror}).",
            "Choose another one in Preferences > File Paths > Temporary Files.",
        ) from error


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


class CheckPython(JobOperator, bpy.types.Operator):
    """Start the Python above and see what it can do"""

    bl_idname = "pentimento.check_python"
    bl_label = "Check Python"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def job(self, _context: bpy.types.Context, blocking: bool) -> jobs.Job:
        return preferences.check_job()


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

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.last_report() is not None

    def execute(self, context: bpy.types.Context) -> Answer:
        report = jobs.last_report()
        if report is not None:
            context.window_manager.clipboard = report.text
        return {"FINISHED"}


class RefreshStyles(bpy.types.Operator):
    """Look for styles again"""

    bl_idname = "pentimento.refresh_styles"
    bl_label = "Refresh Styles"

    def execute(self, _context: bpy.types.Context) -> Answer:
        props.refresh_styles()
        return {"FINISHED"}


CLASSES = (StylizeImage, StylizeRender, ImportStyle, CheckPython, Cancel, CopyReport, RefreshStyles)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
