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
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from . import curves, props, scene_io, shots
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
MAX_KEYFRAMES = 5
MAX_FRAMES = 8
"""Beside those that were painted over: the engine looks at no more."""
SMALLEST = 16
"""Pixels to each side that the engine wants"""
OURS = (scene_io.SOURCE, scene_io.ROLE, scene_io.RECIPE)
"""One of them every image has that we made; a texture out of noise has no source"""


# ---------------------------------------------------------------- what it starts from


@dataclass(frozen=True)
class Keyframe:
    """A frame that was painted over."""

    number: int
    image: str
    mask: str
    """Empty where everything counts"""


@dataclass(frozen=True)
class Plan:
    """A training that has yet to begin. Names, not references: undo replaces what those point at."""

    out: Path
    """The style that it will become"""
    config: dict[str, Any]
    pictures: tuple[str, ...] = ()
    """Images of the hand or the material, by name"""
    folder: str = ""
    """Where to practise, if it is a folder of the artist's"""
    images: tuple[str, ...] = ()
    """Open images to practise on, by name"""
    frames: tuple[tuple[int, Path], ...] = ()
    """To practise on, or of the shot: their numbers and files"""
    keyframes: tuple[Keyframe, ...] = ()

    @property
    def workspace(self) -> Path:
        return protocol.training_folder(str(self.out))


def plan(context: bpy.types.Context, more: dict[str, Any]) -> Plan:
    """What the panel says, checked as far as it costs nothing. more: training settings besides."""
    chosen = props.training_settings(context)
    sources = SOURCES[chosen.kind](context.scene, chosen)
    name = style_name(chosen)
    config = {**props.training_config(chosen, name), **more}
    if chosen.kind == "KEYFRAMES":
        config["generator"] = {**config.get("generator", {}), "guides": _guides(chosen)}
    return Plan(free_place(name), config, **sources)


def style_name(chosen: props.TrainingSettings) -> str:
    """The name that was given, else that of the first picture: "starry_night.jpg" -> "Starry Night"."""
    first = next((picture.image.name for picture in props.training_pictures(chosen) if picture.image), "")
    return chosen.name.strip() or Path(first).stem.replace("_", " ").title()


def free_place(name: str) -> Path:
    """Where a new style of that name goes. Raises EngineError where something lies there."""
    out = props.library.user_styles() / bpy.path.clean_name(name.lower())
    if props.library.is_installed(name) or out.exists():
        raise EngineError(f"There is a style called {name!r} already.", "Choose another name in the Training panel.")
    workspace = protocol.training_folder(str(out))
    if (workspace / REQUEST).exists() or _begun(workspace):
        raise EngineError(
            f"A training of {name!r} is unfinished.",
            "Resume or discard it in the Training panel, or choose another name.",
        )
    return out


def _from_pictures(scene: bpy.types.Scene, chosen: props.TrainingSettings) -> dict[str, Any]:
    pictures = _pictures(chosen, "style picture", "picture of the hand")
    if chosen.content == "FOLDER":
        return {"pictures": pictures, "folder": str(_folder(chosen))}
    if chosen.content == "IMAGES":
        return {"pictures": pictures, "images": tuple(_textures(pictures))}
    return {"pictures": pictures, "frames": tuple(_frames(scene))}


def _from_exemplars(_scene: bpy.types.Scene, chosen: props.TrainingSettings) -> dict[str, Any]:
    return {"pictures": _pictures(chosen, "exemplar", "picture of the material")}


def _pictures(chosen: props.TrainingSettings, what: str, which: str) -> tuple[str, ...]:
    pictures = tuple(dict.fromkeys(picture.image.name for picture in chosen.pictures if picture.image))
    if not pictures:
        raise EngineError(f"There is no {what}.", f"Add at least one {which} in the Training panel.")
    for name in pictures:
        scene_io.check(scene_io.find_image(name))
    return pictures


def _folder(chosen: props.TrainingSettings) -> Path:
    folder = Path(bpy.path.abspath(chosen.folder))
    if not chosen.folder or not folder.is_dir():
        raise EngineError(f"There is no folder {chosen.folder!r}.", "Choose a folder in the Training panel.")
    return folder


def _frames(scene: bpy.types.Scene) -> list[tuple[int, Path]]:
    """The frames to practise on, evenly chosen where they are many."""
    found = _rendered(scene, "practise on a folder or the open images")
    _refuse_one(found, "Render some more of the animation, or practise on a folder or the open images.")
    return _evenly(list(found.items()), MAX_PICTURES)


def _rendered(scene: bpy.types.Scene, instead: str) -> dict[int, Path]:
    """Number -> file of the frames that the scene has rendered."""
    numbers = range(scene.frame_start, scene.frame_end + 1)
    there = {number: path for number in numbers if (path := Path(scene.render.frame_path(frame=number))).is_file()}
    readable = {number: path for number, path in there.items() if path.suffix.lower() in shots.READ_BY_THE_ENGINE}
    if not readable:
        where = scene_io.shown(Path(scene.render.frame_path(frame=scene.frame_start)).parent)
        raise EngineError(
            f"The scene has no rendered frames in {where}{' that are PNG, JPEG or EXR' if there else ''}.",
            f"Render the animation to PNG or EXR files, or {instead}.",
        )
    return readable


def _textures(pictures: tuple[str, ...]) -> list[str]:
    """The open images that can be practised on. Numbers (normals, roughness) are no pictures."""
    found = [image.name for image in bpy.data.images if image.name not in pictures and _is_texture(image)]
    if not found:
        raise EngineError(
            "There is no open image to practise on besides the style pictures.",
            "Open some textures or photos, or practise on a folder.",
        )
    _refuse_one(found, "Open some more textures or photos, or practise on a folder.")
    return _evenly(found, MAX_PICTURES)


def _refuse_one(found: Collection[object], fix: str) -> None:
    """As the engine would, but before anything is written."""
    if len(found) == 1:
        raise EngineError(
            "There is only one picture to practise on. What is learned from one picture fits that picture alone.", fix
        )


def _is_texture(image: bpy.types.Image) -> bool:
    if any(image.get(mark) for mark in OURS) or image.colorspace_settings.is_data:
        return False
    try:
        scene_io.check(image)
    except EngineError:
        return False
    return min(image.size) >= SMALLEST


def _evenly(things: list[Any], most: int) -> list[Any]:
    """At most so many, the first and the last among them."""
    count = min(len(things), most)
    return [things[index * (len(things) - 1) // max(1, count - 1)] for index in range(count)]


# ---------------------------------------------------------------- keyframes and their shot


def _from_keyframes(scene: bpy.types.Scene, chosen: props.TrainingSettings) -> dict[str, Any]:
    keyframes = _keyframes(chosen)
    shot = _shot(scene, chosen)
    for keyframe in keyframes:
        _check_keyframe(keyframe, shot)
    frames = {
        *_evenly(list(shot.items()), MAX_FRAMES),
        *((keyframe.number, shot[keyframe.number]) for keyframe in keyframes),
    }
    for _, frame in frames:
        _check_guides(frame, _guides(chosen))
    return {"keyframes": keyframes, "frames": tuple(sorted(frames))}


def _keyframes(chosen: props.TrainingSettings) -> tuple[Keyframe, ...]:
    """Those of the panel, each of a frame of its own."""
    found = [one for one in chosen.keyframes if one.image]
    if not found:
        raise EngineError("There is no keyframe.", "Paint over a frame of the shot, and add it in the Training panel.")
    if len(found) > MAX_KEYFRAMES:
        raise EngineError(
            f"There are {len(found)} keyframes.", "Keep the five that show the most, or train a style from pictures."
        )
    names: dict[int, str] = {}
    for one in found:
        if one.number in names:
            raise EngineError(
                f"{names[one.number]!r} and {one.image.name!r} are both said to be frame {one.number}.",
                "Give each keyframe the number of the frame that it was painted over.",
            )
        names[one.number] = one.image.name
    return tuple(Keyframe(one.number, one.image.name, one.mask.name if one.mask else "") for one in found)


def _shot(scene: bpy.types.Scene, chosen: props.TrainingSettings) -> dict[int, Path]:
    """Number -> file of the frames of the shot."""
    if chosen.shot == "SCENE":
        return _rendered(scene, "choose a folder with the frames")
    folder = _folder(chosen).resolve()
    images = [image for one in chosen.keyframes for image in (one.image, one.mask) if image and image.filepath]
    painted = {Path(bpy.path.abspath(image.filepath)).resolve() for image in images}
    with scene_io.artist_words(f"The folder {scene_io.shown(folder)} cannot be read"):
        found = shots.frames_in(folder, painted)
    if not found:
        raise EngineError(
            f"There are no frames in {scene_io.shown(folder)}: PNG, JPEG or EXR files with numbers.",
            "Choose the folder that the shot was rendered to.",
        )
    return found


def _check_keyframe(keyframe: Keyframe, shot: dict[int, Path]) -> None:
    """Refuses what has no frame, or another size."""
    frame = shot.get(keyframe.number)
    if frame is None:
        raise EngineError(
            f"There is no frame {keyframe.number} for the keyframe {keyframe.image!r}.",
            f"Correct its number, or render that frame: there are {len(shot)}, from {min(shot)} to {max(shot)}.",
        )
    _check_size("keyframe", keyframe.image, frame)
    if keyframe.mask:
        _check_size("mask", keyframe.mask, frame)


def _check_size(what: str, name: str, frame: Path) -> None:
    image, size = scene_io.find_image(name), shots.header(frame).size
    scene_io.check(image)
    if image.size[:] != size:
        raise EngineError(
            f"The {what} {name!r} has {image.size[0]} x {image.size[1]} pixels, its frame {frame.name} "
            f"{size[0]} x {size[1]}.",
            "Save it in the size of the frame, neither cropped nor scaled.",
        )


def _check_guides(frame: Path, guides: list[str]) -> None:
    """Refuses guides that a frame has no passes for."""
    passes = shots.header(frame).passes if guides else ()
    missing = [
        props.choices.GUIDES[name] for name in guides if not set(props.choices.GUIDES[name].passes) & set(passes)
    ]
    if missing:
        switches = ", ".join(guide.switch for guide in missing)
        raise EngineError(
            f"The frame {frame.name} has no pass for the guides {', '.join(guide.label for guide in missing)}.",
            f"Switch them off in the Training panel. Or switch on {switches} in View Layer Properties > Passes, and "
            "render to OpenEXR MultiLayer again.",
        )


def _guides(chosen: props.TrainingSettings) -> list[str]:
    return [name for name in props.choices.GUIDES if name in chosen.guides]


def guides_there(scene: bpy.types.Scene, chosen: props.TrainingSettings) -> list[str]:
    """Those that one frame of the shot has passes for. For a panel that is drawn: a disk is asked whether
    something has changed, and no more."""
    try:
        if chosen.shot == "FOLDER":
            folder = _folder(chosen)
            file = _exr_in(folder, folder.stat().st_mtime_ns)
        else:
            number = next((one.number for one in chosen.keyframes if one.image), scene.frame_start)
            file = Path(scene.render.frame_path(frame=number))
        passes = _passes_of(file, file.stat().st_mtime_ns)
    except (OSError, EngineError):
        return []
    return [name for name, guide in props.choices.GUIDES.items() if passes.intersection(guide.passes)]


@lru_cache(maxsize=4)
def _exr_in(folder: Path, _changed: int) -> Path:
    """The first one; the folder itself, which has no passes, where there is none."""
    return next((path for path in shots.pictures_in(folder) if path.suffix.lower() == ".exr"), folder)


@lru_cache(maxsize=4)
def _passes_of(file: Path, _changed: int) -> frozenset[str]:
    return shots.header(file).passes


def guessed_number(scene: bpy.types.Scene, image: bpy.types.Image) -> int:
    """Which frame an image was painted over: as the engine finds it, by the name of the scene's frame or by the last
    number in its file's name. The current frame where that has none."""
    stem = Path(bpy.path.abspath(image.filepath)).stem if image.filepath else ""
    numbers = shots.numbers_in(stem)
    named = [n for n in numbers if f"{stem}_".startswith(f"{Path(scene.render.frame_path(frame=n)).stem}_")]
    return (named or numbers or [scene.frame_current])[-1]


SOURCES: dict[str, Callable[[bpy.types.Scene, Any], dict[str, Any]]] = {
    "PICTURES": _from_pictures,
    "KEYFRAMES": _from_keyframes,
    "TEXTURE": _from_exemplars,
}
"""By kind of style: the fields of a plan that say what it learns from, checked"""


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
    style, content = chosen.workspace / "style", chosen.workspace / "content"
    pictures = yield from scene_io.write_pictures(chosen.pictures, style)
    # Keyframes and masks are called by their numbers, as the frames are: so the engine finds what belongs together.
    keyframes = yield from _numbered({k.number: k.image for k in chosen.keyframes}, style)
    masks = yield from _numbered({k.number: k.mask for k in chosen.keyframes if k.mask}, chosen.workspace / "masks")
    yield from scene_io.write_pictures(chosen.images, content)
    for number, frame in chosen.frames:
        with scene_io.artist_words(f"The frame {scene_io.shown(frame)} cannot be copied"):
            _bring(frame, content / f"{number:04d}{frame.suffix.lower()}")
        yield
    where = chosen.folder or str(content)
    return protocol.TrainRequest(
        *(props.new_job(), tuple(pictures), where, str(chosen.out), chosen.config),
        frames=where,
        keyframes=keyframes,
        masks=masks,
    )


def _numbered(images: dict[int, str], folder: Path) -> Generator[None, None, tuple[str, ...]]:
    if not images:
        return ()
    return tuple((yield from scene_io.write_pictures(images.values(), folder, images)))


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
    folder = props.library.user_styles()
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
    numbers: dict[str, float] = field(default_factory=dict)
    """What the last diagnosis measured that steps came before"""
    seconds_per_step: float = 0.0
    seconds_left: float = 0.0


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
        _add_diagnosis(event)
    elif isinstance(event, protocol.Preview):
        _show_preview(event)
    elif isinstance(event, protocol.StyleReady):
        forget()
        props.library.refresh_styles()


def _add_diagnosis(event: protocol.Diagnosis) -> None:
    assert view is not None
    view.findings = event.findings
    if event.losses:
        view.numbers = event.numbers
        view.seconds_per_step, view.seconds_left = event.seconds_per_step, event.seconds_left


def _add_losses(event: protocol.TrainStep | protocol.Diagnosis) -> None:
    assert view is not None
    for term, value in event.losses.items():
        points = view.losses.setdefault(term, [])
        points.append((float(event.step), value))
        if len(points) > MAX_POINTS:
            del points[1::2]


def _add_step(event: protocol.TrainStep) -> None:
    assert view is not None
    view.seconds_left = event.seconds_left
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
