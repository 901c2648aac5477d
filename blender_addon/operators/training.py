"""Train a style: its pictures, start, pause, finish."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

import json
from pathlib import Path

import bpy

from .. import jobs, props, scene_io, setting_up, training
from ..engine_client import protocol
from ..translation import heard, worded
from .base import Answer, JobOperator


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
                self.report({"ERROR"}, heard(str(error)))
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


def training_job(name: str, out: Path, requests: jobs.Requests) -> jobs.Job:
    python = setting_up.training_interpreter()
    training.watch(name, out)
    return jobs.Job(
        worded("Training {name}", name=name),
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
        setting_up.training_interpreter()
        plan = training.plan(context, json.loads(self.settings or "{}"))
        return training_job(plan.config["name"], plan.out, training.requests(plan))


class ResumeTraining(TrainingOperator, bpy.types.Operator):
    """Go on with this training where it stopped"""

    bl_idname = "pentimento.resume_training"
    bl_label = "Resume"

    name: bpy.props.StringProperty(options={"SKIP_SAVE"})

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        found = training.find_unfinished(self.name)
        return training_job(found.name, Path(found.request.out), training.resume_requests(found))


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
            self.report({"WARNING"}, worded("Open an Image Editor beside this one."))
            return {"CANCELLED"}
        editor.spaces.active.image = image
        return {"FINISHED"}


CLASSES = (
    AddStylePicture,
    OpenStylePictures,
    RemoveStylePicture,
    Train,
    ResumeTraining,
    PauseTraining,
    StopTraining,
    DiscardTraining,
    ShowTraining,
)
