"""A training as Blender sees it: what it starts from, what it shows while it runs, and where an unfinished one lies.

Beside the style that it will become, `<styles>/<name>`, lies the folder `<name>.training`: the pictures as they were
when it began, the request, and what the engine needs to go on. So a training goes on after a pause, another file or
another day, whatever has become of the .blend.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="attr-defined, arg-type, union-attr, index, call-overload"

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from . import curves, props, scene_io
from .engine_client import EngineError, protocol

REQUEST = "request.json"
"""In the folder of a training: the request that began it, as the worker reads it."""
PREVIEW, CURVES = "Training Preview", "Training Curves"
"""The two images of ours, and what their property `scene_io.ROLE` says"""
CURVES_SIZE = (512, 384)
MAX_POINTS = 1000
"""Of a curve. Each second brings one more, and drawing must not take longer and longer: then every other one goes."""
ICON = 320
"""Pixels of an image's long side as the panel shows it"""
MAX_PICTURES = 64
"""Frames or textures to practise on: the teacher paints as many pictures, each from another one."""
SMALLEST = 16
"""Pixels to each side that the engine wants"""
READ_BY_THE_ENGINE = {".png", ".jpg", ".jpeg", ".exr"}


# ---------------------------------------------------------------- what it starts from


@dataclass(frozen=True)
class Plan:
    """A training that has yet to begin. Names, not references: undo replaces what those point at."""

    out: Path
    """The style that it will become"""
    pictures: tuple[str, ...]
    """Images of the hand, by name"""
    folder: str
    """Where to practise, if it is a folder of the artist's"""
    frames: tuple[Path, ...]
    images: tuple[str, ...]
    config: dict[str, Any]

    @property
    def workspace(self) -> Path:
        return protocol.training_folder(str(self.out))


def plan(context: bpy.types.Context, more: dict[str, Any]) -> Plan:
    """What the panel says, checked as far as it costs nothing. more: training settings besides."""
    chosen = props.training_settings(context)
    pictures = tuple(dict.fromkeys(picture.image.name for picture in chosen.pictures if picture.image))
    if not pictures:
        raise EngineError("There is no style picture.", "Add at least one picture of the hand in the Training panel.")
    for name in pictures:
        scene_io.check(scene_io.find_image(name))
    name = style_name(chosen)
    return Plan(
        free_place(name),
        pictures,
        _folder(chosen) if chosen.content == "FOLDER" else "",
        tuple(_frames(context.scene)) if chosen.content == "FRAMES" else (),
        tuple(_textures(pictures)) if chosen.content == "IMAGES" else (),
        {**props.training_config(chosen, name), **more},
    )


def style_name(chosen: props.TrainingSettings) -> str:
    """The name that was given, else that of the first picture: "starry_night.jpg" -> "Starry Night"."""
    first = next((picture.image.name for picture in chosen.pictures if picture.image), "")
    return chosen.name.strip() or Path(first).stem.replace("_", " ").title()


def free_place(name: str) -> Path:
    """Where a new style of that name goes. Raises EngineError where something lies there."""
    out = props.user_styles() / bpy.path.clean_name(name.lower())
    if props.style_of(name) or out.exists():
        raise EngineError(f"There is a style called {name!r} already.", "Choose another name in the Training panel.")
    workspace = protocol.training_folder(str(out))
    if (workspace / REQUEST).exists() or _begun(workspace):
        raise EngineError(
            f"A training of {name!r} is unfinished.",
            "Resume or discard it in the Training panel, or choose another name.",
        )
    return out


def _folder(chosen: props.TrainingSettings) -> str:
    folder = bpy.path.abspath(chosen.folder)
    if not chosen.folder or not Path(folder).is_dir():
        raise EngineError(f"There is no folder {chosen.folder!r} to practise on.", "Choose a folder with pictures.")
    return folder


def _frames(scene: bpy.types.Scene) -> list[Path]:
    """The frames that the scene has rendered, evenly chosen where they are many."""
    numbers = range(scene.frame_start, scene.frame_end + 1)
    there = [path for number in numbers if (path := Path(scene.render.frame_path(frame=number))).is_file()]
    readable = [path for path in there if path.suffix.lower() in READ_BY_THE_ENGINE]
    if not readable:
        where = scene_io.shown(Path(scene.render.frame_path(frame=scene.frame_start)).parent)
        raise EngineError(
            f"The scene has no rendered frames in {where}{' that are PNG, JPEG or EXR' if there else ''}.",
            "Render the animation to PNG or EXR files, or practise on a folder or the open images.",
        )
    _refuse_one(readable, "Render some more of the animation, or practise on a folder or the open images.")
    return _evenly(readable)


def _textures(pictures: tuple[str, ...]) -> list[str]:
    """The open images that can be practised on. Numbers (normals, roughness) are no pictures."""
    found = [image.name for image in bpy.data.images if image.name not in pictures and _is_texture(image)]
    if not found:
        raise EngineError(
            "There is no open image to practise on besides the style pictures.",
            "Open some textures or photos, or practise on a folder.",
        )
    _refuse_one(found, "Open some more textures or photos, or practise on a folder.")
    return _evenly(found)


def _refuse_one(found: Sequence[object], fix: str) -> None:
    """As the engine would, but before anything is written."""
    if len(found) == 1:
        raise EngineError(
            "There is only one picture to practise on. What is learned from one picture fits that picture alone.", fix
        )


def _is_texture(image: bpy.types.Image) -> bool:
    if image.get(scene_io.SOURCE) or image.get(scene_io.ROLE) or image.colorspace_settings.is_data:
        return False
    try:
        scene_io.check(image)
    except EngineError:
        return False
    return min(image.size) >= SMALLEST


def _evenly(things: list[Any]) -> list[Any]:
    count = min(len(things), MAX_PICTURES)
    return [things[index * len(things) // count] for index in range(count)]


# ---------------------------------------------------------------- requests


def requests(chosen: Plan) -> Generator[protocol.Request | None, None, None]:
    """Gathers the pictures, then asks for the training. Leaves nothing behind where the engine did not begin it."""
    try:
        request = yield from _gathered(chosen)
        with scene_io.artist_words("The training cannot be written"):
            (chosen.workspace / REQUEST).write_text(protocol.to_line(request), encoding="ascii")
        yield request
    finally:
        if not _begun(chosen.workspace):
            shutil.rmtree(chosen.workspace, ignore_errors=True)
        forget()


def _gathered(chosen: Plan) -> Generator[None, None, protocol.TrainRequest]:
    content = chosen.workspace / "content"
    pictures = yield from scene_io.write_pictures(chosen.pictures, chosen.workspace / "style")
    yield from scene_io.write_pictures(chosen.images, content)
    for number, frame in enumerate(chosen.frames):
        with scene_io.artist_words(f"The frame {scene_io.shown(frame)} cannot be copied"):
            _bring(frame, content / f"{number:03d}{frame.suffix.lower()}")
        yield
    where = chosen.folder or str(content)
    return protocol.TrainRequest(props.new_job(), tuple(pictures), where, str(chosen.out), chosen.config)


def _bring(file: Path, target: Path) -> None:
    """As a second name of the file, which takes no space; where that cannot be, as a copy."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def resume_requests(unfinished: Unfinished) -> Generator[protocol.Request | None, None, None]:
    begun = _begun(protocol.training_folder(unfinished.request.out))
    try:
        yield replace(unfinished.request, job=props.new_job(), resume=begun)
    finally:
        forget()


def _begun(workspace: Path) -> bool:
    """Has the engine found everything in order, and written down with what it began?"""
    return (workspace / "config.json").exists()


def finish_now(request: protocol.TrainRequest) -> None:
    """Tells a running training to end with what there is."""
    with scene_io.artist_words("The training cannot be told to finish"):
        protocol.finish_file(request.out).touch()


# ---------------------------------------------------------------- unfinished ones


@dataclass(frozen=True)
class Unfinished:
    """A training that was paused, or lost its Blender or its power."""

    name: str
    request: protocol.TrainRequest


_unfinished: tuple[Path, tuple[Unfinished, ...]] | None = None
"""The folder that was looked at, and what lay there: a panel that is drawn must not wait for a disk."""


def unfinished() -> tuple[Unfinished, ...]:
    global _unfinished
    folder = props.user_styles()
    if _unfinished is None or _unfinished[0] != folder:
        places = sorted(folder.glob(f"*.training/{REQUEST}"))
        _unfinished = folder, tuple(found for place in places if (found := _read(place)))
    return _unfinished[1]


def forget() -> None:
    """Looks at the folder again: a training began, ended or was discarded."""
    global _unfinished
    _unfinished = None


def _read(path: Path) -> Unfinished | None:
    """None where the style is there already, or the request is none of this version's."""
    try:
        request = protocol.from_line(path.read_text(encoding="ascii"))
    except (OSError, ValueError, EngineError):
        return None
    if not isinstance(request, protocol.TrainRequest) or Path(request.out).exists():
        return None
    return Unfinished(str(request.config.get("name", "")), request)


def find_unfinished(name: str) -> Unfinished:
    found = next((one for one in unfinished() if one.name == name), None)
    if found is None:
        raise EngineError(f"There is no unfinished training of {name!r}.", "Start a new one.")
    return found


def discard(found: Unfinished) -> None:
    forget()
    with scene_io.artist_words("The training cannot be removed"):
        shutil.rmtree(protocol.training_folder(found.request.out))


# ---------------------------------------------------------------- what it shows


@dataclass
class View:
    """What the panel shows of the training that runs, or ran last."""

    name: str
    losses: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """(step, value) of each term"""
    caption: str = ""
    """Of the preview picture; empty before the first"""
    findings: tuple[protocol.Finding, ...] = ()
    """What the last diagnosis found wrong"""


view: View | None = None


def watch(name: str, out: Path) -> None:
    """A training begins, or goes on: its curves go on too, from what they were before a pause."""
    global view
    view = View(name)
    history = protocol.training_folder(str(out)) / "history.jsonl"
    # A curve is no reason not to train: a line that was cut off ends it.
    with contextlib.suppress(OSError, ValueError, EngineError):
        for line in history.read_text(encoding="utf-8").splitlines():
            _add_losses(protocol.from_line(line))


def take(event: protocol.Event) -> None:
    """What the worker says, into Blender."""
    if isinstance(event, protocol.TrainStep):
        _add_step(event)
    elif isinstance(event, protocol.Diagnosis):
        _add_findings(event)
    elif isinstance(event, protocol.Preview):
        _show_preview(event)
    elif isinstance(event, protocol.StyleReady):
        forget()
        props.refresh_styles()


def _add_findings(event: protocol.Diagnosis) -> None:
    assert view is not None
    view.findings = event.findings


def _add_losses(event: protocol.TrainStep | protocol.Diagnosis) -> None:
    assert view is not None
    for term, value in event.losses.items():
        points = view.losses.setdefault(term, [])
        points.append((float(event.step), value))
        if len(points) > MAX_POINTS:
            del points[1::2]


def _add_step(event: protocol.TrainStep) -> None:
    assert view is not None
    _add_losses(event)
    width, height = CURVES_SIZE
    image = image_of(CURVES) or _new_image(CURVES, width, height)
    pixels = curves.drawn(view.losses, colours(), width, height)
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    _set_icon(image, pixels)


def colours() -> list[curves.Colour]:
    """Of the curves: those of the theme's collection icons, with which the panel names them."""
    return [tuple(colour.color) for colour in bpy.context.preferences.themes[0].collection_color]


def _show_preview(event: protocol.Preview) -> None:
    assert view is not None
    view.caption = event.caption
    image = image_of(PREVIEW) or _new_image(PREVIEW, 1, 1)
    image.source, image.filepath = "FILE", event.path
    image.reload()
    if 0 not in image.size[:]:
        _set_icon(image, scene_io.rows_of(image))


def image_of(role: str) -> bpy.types.Image | None:
    return next((image for image in bpy.data.images if image.get(scene_io.ROLE) == role), None)


def _new_image(role: str, width: int, height: int) -> bpy.types.Image:
    image = bpy.data.images.new(role, width, height)
    image[scene_io.ROLE] = role
    return image


def _set_icon(image: bpy.types.Image, pixels: NDArray[np.float32]) -> None:
    """The image as its own icon, which is how a panel can show it. pixels: (H, W, 3 | 4), bottom row first."""
    step = -(-max(pixels.shape[:2]) // ICON)
    small = np.ones((*pixels[::step, ::step].shape[:2], 4), np.float32)
    small[:, :, :3] = pixels[::step, ::step, :3]
    icon = image.preview_ensure()
    icon.image_size = (small.shape[1], small.shape[0])
    icon.image_pixels_float.foreach_set(small.ravel())
