"""Choose styles by looking, mark them, put them in order, give them away."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

from collections.abc import Callable
from pathlib import Path

import bpy

from .. import gallery, jobs, props, setting_up
from ..engine_client import EngineError, protocol
from ..translation import worded
from .base import Answer, JobOperator


class StyleOperator(JobOperator):
    """Does something at once with a style by its name."""

    name: bpy.props.StringProperty(name="Style", description="Its name", options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def _do(self, act: Callable[[], None]) -> Answer:
        answer = self._report(act)
        jobs.redraw()
        return answer


class ChooseStyle(StyleOperator, bpy.types.Operator):
    """Paint with this style"""

    bl_idname = "pentimento.choose_style"
    bl_label = "Choose Style"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        found = [style for style in props.library.all_styles() if style.name == properties.name]
        return ". ".join(part for style in found for part in (style.author, style.licence) if part) or worded(
            str(cls.__doc__)
        )

    def execute(self, context: bpy.types.Context) -> Answer:
        return self._do(lambda: gallery.choose(context.scene, gallery.find(self.name)))


class MarkStyle(StyleOperator, bpy.types.Operator):
    """Give this style a star, or take it away: favourites are the same in every file"""

    bl_idname = "pentimento.mark_style"
    bl_label = "Favourite"

    favourite: bpy.props.BoolProperty(name="Favourite", default=True, options={"SKIP_SAVE"})

    def execute(self, _context: bpy.types.Context) -> Answer:
        return self._do(lambda: gallery.set_favourite(gallery.find(self.name).name, self.favourite))


class RenameStyle(StyleOperator, bpy.types.Operator):
    """Call this style something else. What it paints does not change"""

    bl_idname = "pentimento.rename_style"
    bl_label = "Rename Style"

    new_name: bpy.props.StringProperty(name="Name", description="Its new name", maxlen=80, options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        self.new_name = self.name
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, _context: bpy.types.Context) -> Answer:
        return self._do(lambda: gallery.rename(self.name, self.new_name))


def _suggested(_operator: bpy.types.Operator, _context: bpy.types.Context, text: str) -> list[str]:
    return [name for name in props.gallery.folders() if text.casefold() in name.casefold()]


class MoveStyle(StyleOperator, bpy.types.Operator):
    """Put this style into a folder: one that is there, or a new one"""

    bl_idname = "pentimento.move_style"
    bl_label = "Move to Folder"

    folder: bpy.props.StringProperty(
        name="Folder",
        description="The folder it goes into, such as the name of a client. Empty: out of any folder",
        search=_suggested,
        search_options={"SUGGESTION"},
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        self.folder = next((style.group for style in props.library.all_styles() if style.name == self.name), "")
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, _context: bpy.types.Context) -> Answer:
        return self._do(lambda: gallery.move(self.name, self.folder))


class RemoveInstalledStyle(StyleOperator, bpy.types.Operator):
    """Delete this style of yours from the disk. What was painted with it stays"""

    bl_idname = "pentimento.delete_style"
    bl_label = "Delete Style"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, _context: bpy.types.Context) -> Answer:
        return self._do(lambda: gallery.remove(self.name))


class ExportStyle(StyleOperator, bpy.types.Operator):
    """Write this style as one .zip, to keep or to share"""

    bl_idname = "pentimento.export_style"
    bl_label = "Export Style"

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_glob: bpy.props.StringProperty(default="*.zip", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        self.filepath = f"{bpy.path.clean_name(self.name)}.zip"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Answer:
        run = jobs.run if bpy.app.background else jobs.start
        return self._report(lambda: run(self.job(context, blocking=False)))

    def job(self, _context: bpy.types.Context, blocking: bool) -> jobs.Job:
        style, path = gallery.find(self.name), Path(bpy.path.abspath(self.filepath))
        if path.suffix.lower() != ".zip":
            path = path.with_name(f"{path.name}.zip")
            if path.exists():  # the file browser has asked about another name
                raise EngineError(f"{path.name} is there already.", "Choose another name, or that file itself.")
        return export_job(
            worded("Export {name}", name=style.name),
            {str(style.folder): str(path)},
            worded("It lies in {path}.", path=path),
        )


class ExportShown(JobOperator, bpy.types.Operator):
    """Write every style that the gallery shows as a .zip of its own into a folder"""

    bl_idname = "pentimento.export_shown"
    bl_label = "Export Shown Styles"

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return jobs.current() is None

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Answer:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Answer:
        run = jobs.run if bpy.app.background else jobs.start
        return self._report(lambda: run(self.job(context, blocking=False)))

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        folder = Path(bpy.path.abspath(self.directory))
        paths = {
            str(style.folder): str(folder / f"{bpy.path.clean_name(style.name)}.zip")
            for style in gallery.shown(props.gallery.gallery(context))
        }
        if taken := [path for path in paths.values() if Path(path).exists()]:
            raise EngineError(f"There is already a file {taken[0]}.", "Choose an empty folder.")
        said = worded("{count} styles lie in {folder}.", count=len(paths), folder=folder)
        return export_job(worded("Export Styles"), paths, said)


def export_job(title: str, paths: dict[str, str], said: str) -> jobs.Job:
    """paths: the .zip of each style's folder"""
    return jobs.Job(title, _export_requests(paths, said), lambda _event: None, setting_up.interpreter())


def _export_requests(paths: dict[str, str], said: str) -> jobs.Requests:
    for style, path in paths.items():
        yield protocol.ExportStyleRequest(props.new_job(), style, path)
    return said


CLASSES = (
    ChooseStyle,
    MarkStyle,
    RenameStyle,
    MoveStyle,
    RemoveInstalledStyle,
    ExportStyle,
    ExportShown,
)
