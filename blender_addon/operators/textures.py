"""Paint the textures of materials, and take that back or make it stay."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

import bpy

from .. import jobs, materials, texturing
from ..translation import OURS, worded
from .base import Answer, JobOperator, painting_job, view_scene

NOT_PAINTED = "Nothing of these materials is painted"


class StylizeTextures(JobOperator, bpy.types.Operator):
    """Paint these textures in the chosen style, one after the other. Results are new images in the same materials"""

    bl_idname = "pentimento.stylize_textures"
    bl_label = "Stylize Textures"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _can(cls, texturing.problem(context))

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        wanted = texturing.tasks(context)
        batch = texturing.batch(context, wanted, view_scene(context))
        several = len(wanted) > 1
        count = worded("Stylize {count} Textures", count=len(wanted))
        title = count if several else worded("Stylize {name}", name=wanted[0].image)
        return painting_job(title, batch.requests(), batch.take, blocking, goes_on=several, thing="image")


class ListTextures(bpy.types.Operator):
    """List the textures of the selected objects, with what each of them is for. Colours are ticked"""

    bl_idname = "pentimento.list_textures"
    bl_label = "List Textures"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Answer:
        if not texturing.list_slots(context):
            self.report({"WARNING"}, "No selected object has an image texture.")
        return {"FINISHED"}


class RevertTextures(bpy.types.Operator):
    """Put these materials back as they were before they were painted: our nodes go, the links between yours return"""

    bl_idname = "pentimento.revert_textures"
    bl_label = "Revert"
    bl_translation_context = OURS
    bl_options = {"REGISTER", "UNDO"}

    remove_images: bpy.props.BoolProperty(
        name="Remove Images",
        description="The painted images, too, unless something else uses them",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _can(cls, _nothing_painted(context))

    def execute(self, context: bpy.types.Context) -> Answer:
        owners = _painted(context)
        if not owners:
            self.report({"WARNING"}, worded(NOT_PAINTED))
            return {"CANCELLED"}
        shown = set().union(*map(materials.revert, owners))
        if self.remove_images:
            _remove(shown)
        jobs.redraw()
        return {"FINISHED"}


class ApplyTextures(bpy.types.Operator):
    """Let the painted images take the place of the originals in these materials. The originals stay in the file"""

    bl_idname = "pentimento.apply_textures"
    bl_label = "Apply"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _can(cls, _nothing_painted(context))

    def execute(self, context: bpy.types.Context) -> Answer:
        owners = _painted(context)
        if not owners:
            self.report({"WARNING"}, worded(NOT_PAINTED))
            return {"CANCELLED"}
        count = sum(map(materials.apply, owners))
        said = worded("1 texture applied.") if count == 1 else worded("{count} textures applied.", count=count)
        self.report({"INFO"}, said)
        jobs.redraw()
        return {"FINISHED"}


def _can(cls: type[bpy.types.Operator], problem: str) -> bool:
    """Greyed with its reason"""
    if jobs.current() is not None:
        problem = worded("Something else is being painted")
    if problem and hasattr(cls, "poll_message_set"):
        cls.poll_message_set(problem)
    return not problem


def _nothing_painted(context: bpy.types.Context) -> str:
    painted = materials.may_be_painted(texturing.scope_materials(context))
    return "" if painted else worded(NOT_PAINTED)


def _painted(context: bpy.types.Context) -> list[bpy.types.Material]:
    return [owner for owner in texturing.scope_materials(context) if materials.groups(owner)]


def _remove(images: set[bpy.types.Image]) -> None:
    """Those that only their fake user keeps"""
    for image in images:
        if image.users - image.use_fake_user == 0:
            bpy.data.images.remove(image)


CLASSES = (
    StylizeTextures,
    ListTextures,
    RevertTextures,
    ApplyTextures,
)
