"""Layers: hidden, shown, compared, made into masks, made again, removed."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value, assignment"
# ruff: noqa: RUF012

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from .. import explaining, jobs, layering, laying, masking, props, remaking, scene_io, texturing, wiping
from ..engine_client import EngineError
from ..translation import OURS, heard, worded
from . import explanation, painting
from .base import Answer, JobOperator, ReadingOperator, painting_job

IMAGE = bpy.props.StringProperty(name="Image", options={"HIDDEN", "SKIP_SAVE"})
LAYER = bpy.props.StringProperty(name="Layer", description="In the image's file", options={"HIDDEN", "SKIP_SAVE"})


def found_layer(context: bpy.types.Context, image: str, layer: str) -> tuple[layering.Stack, layering.Listed]:
    """The layer and the picture that it is one of. Raises EngineError where it is not there any more."""
    stack = layering.stack_of(bpy.data.images.get(image), context.scene)
    listed = stack.find(image, layer) if stack else None
    if stack is None or listed is None:
        raise EngineError(f"There is no layer {layer or image!r} any more.", "Choose another one.")
    return stack, listed


class LayerOperator:
    """Does one thing to one layer."""

    image: IMAGE
    layer: LAYER

    def act(self, context: bpy.types.Context, stack: layering.Stack, listed: layering.Listed) -> None:
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Answer:
        report: Callable[[set[str], str], None] = self.report
        try:
            self.act(context, *found_layer(context, self.image, self.layer))
        except EngineError as error:
            report({"ERROR"}, heard(str(error)))
            return {"CANCELLED"}
        jobs.redraw()
        return {"FINISHED"}


class ChooseLayer(LayerOperator, bpy.types.Operator):
    """Tell below of this layer: what it means, and what made it"""

    bl_idname = "pentimento.choose_layer"
    bl_label = "Choose Layer"
    bl_options = {"REGISTER", "UNDO"}

    image: IMAGE
    layer: LAYER

    def act(self, context: bpy.types.Context, stack: layering.Stack, listed: layering.Listed) -> None:
        layering.choose(listed, context.scene)


class ToggleLayer(LayerOperator, bpy.types.Operator):
    """Show this layer in materials or in the compositor, or hide it. How much of it showed is remembered"""

    bl_idname = "pentimento.toggle_layer"
    bl_label = "Show or Hide Layer"
    bl_options = {"REGISTER", "UNDO"}

    image: IMAGE
    layer: LAYER
    why_not: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})
    """What the tooltip says where the button is grey"""

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        return properties.why_not or worded(str(cls.__doc__))

    def act(self, context: bpy.types.Context, stack: layering.Stack, listed: layering.Listed) -> None:
        material = scene_io.active_material(context)
        places = layering.wired(stack, context.scene)
        if reason := heard(layering.why_not(stack, listed, places, material)):
            raise EngineError(f"{reason}.", "Stylize with an object active that uses the image.")
        layering.toggle(stack, listed, context.scene, material)
        layering.choose(listed, context.scene)


class SoloLayer(ReadingOperator, bpy.types.Operator):
    """Show this layer alone in the Image Editor. Again: back to what was there"""

    bl_idname = "pentimento.solo_layer"
    bl_label = "Show Alone"
    bl_options = {"REGISTER", "UNDO"}

    image: IMAGE
    layer: LAYER

    def work(self, context: bpy.types.Context) -> jobs.Work:
        scene, (stack, listed) = context.scene.name, found_layer(context, self.image, self.layer)
        yield from layering.show_alone(stack, listed, context.scene)
        layering.choose(listed, bpy.data.scenes[scene])
        return ""


class ShowResult(bpy.types.Operator):
    """Show this result in the Image Editor, and tell of it under Layers"""

    bl_idname = "pentimento.show_result"
    bl_label = "Show Result"
    bl_options = {"REGISTER", "UNDO"}

    image: IMAGE

    def execute(self, context: bpy.types.Context) -> Answer:
        image = bpy.data.images.get(self.image)
        stack = layering.stack_of(image, context.scene)
        if image is None or stack is None:
            self.report({"ERROR"}, worded("There is no image {name} any more.", name=repr(self.image)))
            return {"CANCELLED"}
        for space in layering.editors(stack):
            space.image = image
        first = next(layering.results(stack), stack.layers[0])
        layering.choose(stack.find(image.name, "") or first, context.scene)
        return {"FINISHED"}


class RemoveLayer(bpy.types.Operator):
    """Remove this layer from the .blend, after asking. A file on the disk stays"""

    bl_idname = "pentimento.remove_layer"
    bl_label = "Remove Layer"
    bl_translation_context = OURS
    bl_options = {"REGISTER", "UNDO"}

    image: IMAGE

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> Answer:
        image = bpy.data.images.get(self.image)
        is_ours = image is not None and (scene_io.MADE in image or scene_io.OVERLAY in image)
        if image is None or not is_ours:
            self.report({"ERROR"}, worded("{name} is no layer of Pentimento's.", name=repr(self.image)))
            return {"CANCELLED"}
        layering.remove(image)
        jobs.redraw()
        return {"FINISHED"}


_items: list[masking.Target] = []
"""Blender keeps no copy of the strings of a dynamic enum: they must live as long as it shows them."""


def _targets(_operator: Any, context: bpy.types.Context | None) -> list[masking.Target]:
    """All there may be: the layer is not known yet where a menu is drawn, so a render's are refused later."""
    if context is not None:
        _items[:] = masking.targets(props.settings(context), paints_renders=False)
    return _items


class UseAsMask(ReadingOperator, bpy.types.Operator):
    """Make a grey image of this overlay, and paint a style only where it is white"""

    bl_idname = "pentimento.use_as_mask"
    bl_label = "Use as Mask"
    bl_options = {"REGISTER", "UNDO"}

    image: IMAGE
    layer: LAYER
    part: bpy.props.StringProperty(name="Part", description="What of the overlay", options={"HIDDEN", "SKIP_SAVE"})
    target: bpy.props.EnumProperty(
        name="Where", description="What the mask is for", items=_targets, options={"SKIP_SAVE"}
    )

    def work(self, context: bpy.types.Context) -> jobs.Work:
        stack, listed = found_layer(context, self.image, self.layer)
        if stack.kind != "IMAGE" and self.target != "IMAGE":
            raise EngineError(
                "A render's styles and strengths go by objects, not by masks.", "Make a New Image Only of it."
            )
        found = layering.told(listed, context.scene)
        part = self.part or (masking.parts_of(found)[0][0] if found else "")
        scene, target = context.scene.name, self.target
        mask = yield from masking.make(listed, part, context.scene)
        masking.put(mask, target, bpy.data.scenes[scene].pentimento)
        return worded("Made {name}", name=mask.name)


class UseRecipe(ReadingOperator, bpy.types.Operator):
    """Set the panel as it was when this layer was made"""

    bl_idname = "pentimento.use_recipe"
    bl_label = "Use These Settings"
    bl_options = {"REGISTER", "UNDO"}

    image: IMAGE
    layer: LAYER

    def work(self, context: bpy.types.Context) -> jobs.Work:
        stack, listed = found_layer(context, self.image, self.layer)
        return (yield from remaking.use(needed_recipe(listed, context), context.scene, original_of(stack)))


def needed_recipe(listed: layering.Listed, context: bpy.types.Context) -> remaking.Recipe:
    recipe = layering.recipe_of(listed, context.scene)
    if not recipe:
        raise EngineError(f"Nothing tells what made {listed.label}.", "Choose a layer that Pentimento has made.")
    return recipe


def original_of(stack: layering.Stack) -> bpy.types.Image | None:
    """Whose styles and places have masks; none for renders"""
    return bpy.data.images.get(stack.image) if stack.kind == "IMAGE" else None


class MakeAgain(JobOperator, bpy.types.Operator):
    """Make this layer again, by its recipe: the same pixels, as a new layer. The panel stays as it is"""

    bl_idname = "pentimento.make_again"
    bl_label = "Make It Again"
    bl_options = {"REGISTER", "UNDO"}

    image: IMAGE
    layer: LAYER

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if (job := jobs.current()) is not None:
            cls.poll_message_set(worded("{job} is still running", job=job.title))
        return job is None

    def job(self, context: bpy.types.Context, blocking: bool) -> jobs.Job:
        stack, listed = found_layer(context, self.image, self.layer)
        recipe = needed_recipe(listed, context)
        if "texture" in recipe:
            return texture_again(recipe, blocking)
        if stack.kind == "SEQUENCE":
            raise EngineError("A shot is made again as a whole.", "Use its settings, then press Stylize Animation.")
        if stack.kind == "RENDER" and listed.layer:
            return render_again(context, stack, recipe, blocking)
        return layer_again(context, stack, listed, recipe, blocking)


def texture_again(recipe: remaking.Recipe, blocking: bool) -> jobs.Job:
    style = remaking.texture_name(recipe)
    apply = functools.partial(scene_io.add_texture, style=style)
    requests = painting.texture_requests(remaking.texture_request(recipe))
    return painting_job(worded("Texture {name}", name=style), requests, apply, blocking)


def layer_again(
    context: bpy.types.Context,
    stack: layering.Stack,
    listed: layering.Listed,
    recipe: remaking.Recipe,
    blocking: bool,
) -> jobs.Job:
    """A result, with its overlays; or the overlays of an explanation, which may be that of a render."""
    if "projection" in recipe:
        raise EngineError("This was painted from views.", "Press Paint from Views again.")
    image = scene_io.find_image(stack.image)
    if "region" in recipe:
        return _explained_again(context, image, listed, recipe, blocking)
    scene_io.check(image, tiles=True)
    use = laying.use_as(context, recipe["settings"]["tileable"])
    task = texturing.Task(image.name, (scene_io.active_material(context),), use)
    batches: list[texturing.Batch] = []
    requests = _stylize_again(recipe, original_of(stack), task, _view_of(context, recipe), batches)
    title = worded("Stylize {name}", name=image.name)
    return painting_job(title, requests, lambda event: batches[0].take(event), blocking)


def _view_of(context: bpy.types.Context, recipe: remaking.Recipe) -> str:
    return context.scene.name if "view" in recipe else ""


def _stylize_again(
    recipe: remaking.Recipe,
    original: bpy.types.Image | None,
    task: texturing.Task,
    view_of: str,
    batches: list[texturing.Batch],
) -> jobs.Requests:
    """batches: takes the one that is painted, once its masks are found"""
    how, masks = yield from remaking.settings_of(recipe, original)
    batch = texturing.Batch([replace(task, masks=tuple(masks))], remaking.look_name(recipe), how, 0.0, view_of)
    batches.append(batch)
    yield from batch.requests()


def _explained_again(
    context: bpy.types.Context,
    image: bpy.types.Image,
    listed: layering.Listed,
    recipe: remaking.Recipe,
    blocking: bool,
) -> jobs.Job:
    subject = explaining.subject_of(image, context.scene)
    found = layering.told(listed, context.scene)
    about, blend = found.about if found else "", props.explain_settings(context).blend
    use = laying.use_as(context, recipe["settings"]["tileable"])
    requests = _ask_again(recipe, None if subject.file else image, subject, about, _view_of(context, recipe), use)
    apply = functools.partial(explaining.take, image=image.name, about=about, blend=blend)
    return painting_job(worded("Explain {name}", name=image.name), requests, apply, blocking)


def _ask_again(
    recipe: remaking.Recipe,
    original: bpy.types.Image | None,
    subject: explaining.Subject,
    about: str,
    view_of: str,
    use: laying.Use,
) -> jobs.Requests:
    how, masks = yield from remaking.settings_of(recipe, original)
    region = remaking.region_of(recipe)
    yield from explanation.explain_requests(subject, about, region, view_of, how, masks, use)


def render_again(
    context: bpy.types.Context, stack: layering.Stack, recipe: remaking.Recipe, blocking: bool
) -> jobs.Job:
    """Of the render that lies beside the result; it is not rendered again."""
    image = scene_io.find_image(stack.image)
    result = Path(bpy.path.abspath(image.filepath))
    source = result.with_name(f"{recipe['source']['name']}.exr")
    if not source.is_file():
        raise EngineError(
            f"The render {source.name} is not beside its painting any more.",
            "Use these settings, then press Stylize Render.",
        )
    requests = _render_again(recipe, context.scene.name, source, _view_of(context, recipe), blocking)
    apply = functools.partial(scene_io.add_render, scene=context.scene.name, style=remaking.look_name(recipe))
    return painting_job("Stylize Render", requests, apply, blocking)


def _render_again(recipe: remaking.Recipe, scene: str, source: Path, view_of: str, blocking: bool) -> jobs.Requests:
    how, _ = yield from remaking.settings_of(recipe, None)
    yield from painting.render_requests(scene, source, (), view_of, how, blocking)


class CompareLayers(LayerOperator, bpy.types.Operator):
    """Original left of a line, this result right of it. Drag the line; Enter or Esc leaves it"""

    bl_idname = "pentimento.compare"
    bl_label = "Compare"

    image: IMAGE
    layer: LAYER

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.area is None or context.area.type != "IMAGE_EDITOR":
            cls.poll_message_set("Compare in an Image Editor")
            return False
        return wiping.wipe is None

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        self.opening = self._open(context)
        answer = self._go_on(context)
        if answer == {"RUNNING_MODAL"}:
            manager = context.window_manager
            self.timer = manager.event_timer_add(jobs.INTERVAL, window=context.window) if self.opening else None
            manager.modal_handler_add(self)
        return answer

    def _open(self, context: bpy.types.Context) -> scene_io.Work:
        stack, listed = found_layer(context, self.image, self.layer)
        return (yield from wiping.begin(context, stack, listed))

    def _go_on(self, context: bpy.types.Context) -> Answer:
        """Reads what is compared, a piece at a time; layers of files are large."""
        context.window.cursor_modal_set("WAIT")
        try:
            next(self.opening)
            return {"RUNNING_MODAL"}
        except StopIteration:
            self.opening = None
            context.window.cursor_modal_set("MOVE_X")
            return {"RUNNING_MODAL"}
        except EngineError as error:
            report: Callable[[set[str], str], None] = self.report
            report({"ERROR"}, heard(str(error)))
            context.window.cursor_modal_restore()
            return {"CANCELLED"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        answer = self._opened(context, event) if self.opening else self._compared(context, event)
        if self.timer is not None and (answer & {"FINISHED", "CANCELLED"} or not self.opening):
            context.window_manager.event_timer_remove(self.timer)
            self.timer = None
        return answer

    def _opened(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        if event.type == "ESC":
            self.opening.close()
            return self._leave(context)
        return self._go_on(context) if event.type == "TIMER" else {"PASS_THROUGH"}

    def _compared(self, context: bpy.types.Context, event: bpy.types.Event) -> Answer:
        wipe = wiping.wipe
        if wipe is None or not wiping.is_there(wipe, context):
            return self._leave(context)
        if event.type in LEAVING and event.value == "PRESS":
            return self._leave(context)
        if event.type == "LEFTMOUSE":
            wipe.is_dragged = event.value == "PRESS" and wiping.is_over(wipe, event.mouse_x, event.mouse_y)
        if event.type in ("LEFTMOUSE", "MOUSEMOVE") and wipe.is_dragged:
            wiping.move(wipe, event.mouse_x)
        return {"RUNNING_MODAL"} if event.type not in PASSED_ON else {"PASS_THROUGH"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender closes, or another file is opened."""
        self._leave(context)

    def _leave(self, context: bpy.types.Context) -> Answer:
        wiping.end()
        context.window.cursor_modal_restore()
        return {"FINISHED"}


LEAVING = {"ESC", "RET", "NUMPAD_ENTER", "RIGHTMOUSE"}
PASSED_ON = {"MIDDLEMOUSE", "WHEELUPMOUSE", "WHEELDOWNMOUSE", "TRACKPADPAN", "TRACKPADZOOM", "TIMER", "HOME"}
"""Zoom and pan as ever"""

CLASSES = (
    ChooseLayer,
    ToggleLayer,
    SoloLayer,
    ShowResult,
    RemoveLayer,
    UseAsMask,
    UseRecipe,
    MakeAgain,
    CompareLayers,
)
