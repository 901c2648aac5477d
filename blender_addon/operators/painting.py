"""Paint an image or a render, or make a texture out of noise."""

# Blender wants properties as annotations (real ones: it does not evaluate strings), and no stub knows all its classes.
# mypy: disable-error-code="valid-type, union-attr, attr-defined, misc, override, arg-type, return-value"
# ruff: noqa: RUF012

import functools
from dataclasses import replace
from pathlib import Path

import bpy

from .. import jobs, props, scene_io, switches, texturing
from ..engine_client import EngineError, protocol
from ..translation import worded
from .base import JobOperator, painting_job, view_scene


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
    return painting_job(worded("Texture {name}", name=style.name), texture_requests(request), apply, blocking)


def texture_requests(request: protocol.TextureRequest) -> jobs.Requests:
    with scene_io.scratch() as folder:
        yield replace(request, folder=folder)


def image_job(context: bpy.types.Context, name: str, blocking: bool) -> jobs.Job:
    """Paints the image of that name, or the one in view."""
    image = scene_io.original_of(scene_io.find_image(name) if name else scene_io.active_image(context))
    task = texturing.task(context, image, [scene_io.active_material(context)])
    batch = texturing.batch(context, [task], view_scene(context))
    return painting_job(worded("Stylize {name}", name=image.name), batch.requests(), batch.take, blocking)


def render_job(context: bpy.types.Context, filepath: str, blocking: bool) -> jobs.Job:
    """Paints the EXR, or a new render of the current frame."""
    chosen, scene = props.settings(context), context.scene.name
    style = props.look_name(chosen)
    given = Path(bpy.path.abspath(filepath)) if filepath else None
    how = props.stylize_settings(chosen, is_render=True)
    passes = switches.missing(context.scene, switches.needed(how, props.guides(chosen))) if given is None else ()
    requests = render_requests(scene, given, passes, view_scene(context), how, blocking)
    note = switches.note(passes)
    apply = functools.partial(scene_io.add_render, scene=scene, style=style, note=note)
    return painting_job(worded("Stylize Render"), requests, apply, blocking)


def render_requests(
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
        yield props.stylize_request(source, how, str(path.parent), "files", scene_io.view_table(view_of, folder))


CLASSES = (
    StylizeImage,
    StylizeRender,
    NewTexture,
)
