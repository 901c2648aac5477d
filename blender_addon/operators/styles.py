"""Styles come and go."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"

import functools
from pathlib import Path

import bpy

from .. import compat, gallery, importing, jobs, props, scene_io, setting_up
from ..engine_client import EngineError, protocol
from ..translation import worded
from .base import Answer, JobOperator

KNOWN = {"options": {"HIDDEN", "SKIP_SAVE"}}
"""What a script may say of a model; in a window the panel asks"""


class ImportStyle(JobOperator, bpy.types.Operator):
    """Add styles: style packs (.zip) or ONNX style models, which are tried before they are kept"""

    bl_idname = "pentimento.import_style"
    bl_label = "Import Style"

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    files: bpy.props.CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default="*.zip;*.onnx", options={"HIDDEN"})
    name: bpy.props.StringProperty(name="Name", description="Empty: the name it brings", options={"SKIP_SAVE"})
    channel_order: bpy.props.StringProperty(name="Channels", description="rgb or bgr", **KNOWN)
    value_range: bpy.props.FloatVectorProperty(
        name="Values", description="For black and white; twice 0: found out", size=2, **KNOWN
    )
    output_range: bpy.props.FloatVectorProperty(
        name="Result", description="For black and white; twice 0: the same", size=2, **KNOWN
    )
    normalisation: bpy.props.StringProperty(name="Normalise", description="none, imagenet or mean", **KNOWN)
    layout: bpy.props.StringProperty(name="Layout", description="nchw or nhwc", **KNOWN)
    multiple: bpy.props.IntProperty(name="Multiple Of", description="Of sizes; 0: 16", min=0, max=64, **KNOWN)
    author: bpy.props.StringProperty(name="Author", description="Who made the model", **KNOWN)
    licence: bpy.props.StringProperty(name="Licence", description="What others may do with it", **KNOWN)
    try_models: bpy.props.BoolProperty(
        name="Try Models", description="Show what a model paints, and keep it when that is right", **KNOWN
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        """Files that were dropped into an editor are known already."""
        self.try_models = not bpy.app.background
        if self.filepath or self.files:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Answer:
        paths = self.paths()
        models = [path for path in paths if path.suffix.lower() == ".onnx"] if self.try_models else []
        packs = [path for path in paths if path not in models]
        if models:
            importing.begin(models, scene_io.image_in_view(context))
        if packs or not models:
            run = jobs.run if bpy.app.background else jobs.start
            answer = self._report(lambda: run(self.job(context, blocking=False)))
        else:
            answer = {"FINISHED"}
        jobs.redraw()
        return answer

    def paths(self) -> list[Path]:
        """What was chosen: several files of a folder, or one"""
        several = [Path(bpy.path.abspath(self.directory), file.name) for file in self.files if file.name]
        return several or [Path(bpy.path.abspath(self.filepath))]

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        packs = [path for path in self.paths() if not (self.try_models and path.suffix.lower() == ".onnx")]
        return import_job(context, packs, self.name, self._options())

    def _options(self) -> protocol.ImportOptions:
        taken, returned = tuple(self.value_range), tuple(self.output_range)
        return protocol.ImportOptions(
            channel_order=self.channel_order,
            value_range=taken if any(taken) else None,
            output_range=returned if any(returned) else None,
            normalisation=self.normalisation,
            layout=self.layout,
            multiple=self.multiple,
            author=self.author,
            licence=self.licence,
        )


def import_job(
    context: bpy.types.Context, paths: list[Path], name: str, options: protocol.ImportOptions, kept: Path | None = None
) -> jobs.Job:
    """kept: the model that was tried before; then the next one is looked at."""
    if name and len(paths) > 1:
        raise EngineError("Several styles cannot have one name.", "Import them one by one, or leave the name empty.")
    requests = _import_requests([str(path) for path in paths], name, options)
    apply = functools.partial(_style_arrived, scene=context.scene.name, kept=kept)
    return jobs.Job(worded("Import Style"), requests, apply, setting_up.interpreter())


def _import_requests(paths: list[str], name: str, options: protocol.ImportOptions) -> jobs.Requests:
    folder = str(props.library.user_styles())
    yield protocol.ImportStyleRequest(props.new_job(), paths[0], folder, name, options, tuple(paths[1:]))


def _style_arrived(event: protocol.Event, scene: str, kept: Path | None) -> None:
    if isinstance(event, protocol.StyleReady):
        props.library.refresh_styles()
        if props.library.style_of(event.name):
            bpy.data.scenes[scene].pentimento.style = event.name
        elif event.name in [style.name for style in props.library.texture_styles()]:
            bpy.data.scenes[scene].pentimento_texture.style = event.name
        if kept is not None:
            importing.next_one(kept)


class TryImport(JobOperator, bpy.types.Operator):
    """Run the model once more on the picture in view, as these settings say"""

    bl_idname = "pentimento.try_import"
    bl_label = "Try Again"

    filepath: bpy.props.StringProperty(
        name="Model", description="For scripts: the .onnx file to begin with", options={"HIDDEN", "SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        if self.filepath:
            importing.begin([Path(bpy.path.abspath(self.filepath))], scene_io.image_in_view(context))
        if importing.checking is not None:
            importing.checking.image = importing.usable(scene_io.image_in_view(context))
        return importing.job()


class KeepImport(JobOperator, bpy.types.Operator):
    """Keep this model as a style of yours"""

    bl_idname = "pentimento.keep_import"
    bl_label = "Keep"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None and importing.checking is not None and importing.checking.facts is not None

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        chosen, path = props.gallery.import_settings(context), importing.checking.path
        return import_job(context, [path], chosen.name, props.gallery.options(chosen), kept=path)


class DiscardImport(bpy.types.Operator):
    """Leave this model. Its file stays where it is"""

    bl_idname = "pentimento.discard_import"
    bl_label = "Discard"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return importing.checking is not None

    def execute(self, _context: bpy.types.Context) -> Answer:
        if jobs.current() is not None and jobs.current().title == importing.TITLE:
            jobs.cancel()
        importing.next_one(importing.checking.path)
        jobs.redraw()
        return {"FINISHED"}


class RefreshStyles(bpy.types.Operator):
    """Look for styles again"""

    bl_idname = "pentimento.refresh_styles"
    bl_label = "Refresh Styles"

    def execute(self, _context: bpy.types.Context) -> Answer:
        props.library.refresh_styles()
        gallery.forget_favourites()  # another window of Blender may have given stars
        return {"FINISHED"}


CLASSES = (
    ImportStyle,
    TryImport,
    KeepImport,
    DiscardImport,
    RefreshStyles,
    *compat.drop_handlers("PENTIMENTO_FH_style", "Pentimento Style", ImportStyle.bl_idname, ".zip;.onnx"),
)
