"""An animation as Blender sees it: which frames, what is rendered for them, what becomes of the results.

    existing frames                 look at the shot -> paint
    render, strokes that stick      render all -> look at the shot -> paint
    render, each frame anew         render, and paint what is finished meanwhile

Pixels are the worker's: here are paths and numbers. The settings of the scene are as they were once it has rendered.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="attr-defined, union-attr, arg-type"

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import bpy

from . import compat, props, scene_io, shots, switches
from .engine_client import EngineError, durations, protocol
from .translation import worded

Said = protocol.Progress | protocol.FrameFailed | None
"""What is told while Blender renders; None where there is nothing new"""
FOLLOWED_BY = {"STICK": ("Position", "Depth"), "CARRY": ("Vector", "Depth"), "ANEW": ()}
"""By what strokes do: the passes without which the engine cannot follow a surface"""
OF_STEADY_STROKES = ("Scale",)
"""Overlays that the engine has of strokes that come from other frames"""
MOVIE = "Pentimento Movie"
SHOT = "shot.json"
"""What the engine found when it looked at a shot"""


@dataclass(frozen=True)
class Plan:
    """An animation that has yet to begin. Names, not references: undo replaces what those point at."""

    scene: str
    style: str
    """What results are named after"""
    frames: Path
    """walk_####.exr"""
    numbers: tuple[int, ...]
    folder: Path
    how: protocol.StylizeSettings
    strokes: str
    """One of props.choices.STROKES, as it can be done with these frames"""
    resume: bool
    movie: bool
    view_of: str = ""
    """The scene whose view transform is matched; empty: none"""
    renders: bool = False
    """The frames are to be rendered first"""
    passes: tuple[str, ...] = ()
    """What has to be switched on for that"""
    notes: tuple[str, ...] = ()
    """What the artist should know"""

    @property
    def as_they_finish(self) -> bool:
        """Is a frame painted while Blender renders the next? Strokes that stick need all of them first."""
        return self.renders and self.strokes == "ANEW"


@dataclass(eq=False)
class Run:
    """How far an animation is."""

    rendered: list[int] = field(default_factory=list)
    """In the order in which they were finished"""
    is_rendered: bool = False
    """No frame is to come any more"""
    kept: int = 0
    """Renders that were there already"""
    painted: dict[int, str] = field(default_factory=dict)
    """The results, by frame"""
    made: int = 0
    """Results that were not there already"""
    seconds: float = 0.0
    """That the worker was at it"""


# ---------------------------------------------------------------- what it starts from


def plan(scene: bpy.types.Scene, frames: str = "") -> Plan:
    """What the panel says, checked as far as it costs nothing. frames: existing ones, in place of those it says."""
    chosen = scene.pentimento_animation
    if chosen.movie and not compat.can_write_movies():
        raise EngineError("This Blender cannot write movies.", "Switch MP4 off, or use the Blender from blender.org.")
    if frames or chosen.source == "FILES":
        pattern = _pattern(frames or chosen.frames)
        return plan_files(scene, pattern, _numbers(scene, pattern, chosen.in_range))
    return _plan_render(scene)


def plan_files(scene: bpy.types.Scene, pattern: Path, numbers: tuple[int, ...]) -> Plan:
    """Of frames that exist, but for some that may be missing."""
    strokes, note = possible_strokes(scene.pentimento_animation.strokes, pattern, numbers)
    return _plan(scene, pattern, numbers, strokes, notes=(note,) if note else ())


def plan_written(scene: bpy.types.Scene, numbers: tuple[int, ...]) -> Plan:
    """Of what Blender's own Render Animation has written."""
    first = Path(scene.render.frame_path(frame=numbers[0]))
    if first.suffix.lower() not in shots.READ_BY_THE_ENGINE:
        raise EngineError(
            f"Render Animation wrote {first.name}, which is no sequence of EXR, PNG or JPEG files.",
            "Choose OpenEXR MultiLayer in Output Properties.",
        )
    if scene_io.composites_painting(scene):
        raise EngineError(
            "The compositor shows a painting already, which is in these frames and would be painted again.",
            "Set Mix to 0 in its group, or switch Compositing off in Output > Post Processing, and render again.",
        )
    found = plan_files(scene, shots.pattern_of(first, numbers[0]), numbers)
    if not (found.movie and bpy.app.background):
        return found
    # In background this is within that render, where Blender crashes when a scene is removed.
    note = "There is no MP4 after a render in background. Stylize Animation makes one of these frames."
    return replace(found, movie=False, notes=(*found.notes, note))


def _plan_render(scene: bpy.types.Scene) -> Plan:
    chosen, render = scene.pentimento_animation, scene.render
    scene_io.check_camera(scene)
    if bpy.app.is_job_running("RENDER"):
        raise EngineError("Blender is still rendering.", "Wait until it has finished, or press Esc in its window.")
    if chosen.strokes != "ANEW" and render.engine == "BLENDER_WORKBENCH":
        raise EngineError(
            "Workbench renders no passes by which strokes could be held.",
            "Choose Cycles or EEVEE, or Strokes: Each Frame Anew.",
        )
    name = bpy.path.clean_name(scene.name)
    frames = folder_of(scene) / "frames" / f"{name}_####.exr"
    numbers = tuple(range(scene.frame_start, scene.frame_end + 1, scene.frame_step))
    found = _plan(scene, frames, numbers, chosen.strokes, renders=True)
    for path in (shots.frame_of(frames, number) for number in numbers):
        _check_render(path, found, _size(scene.render))
    if not found.resume:
        _refuse_results(found)
    return found


def _refuse_results(chosen: Plan) -> None:
    """The engine refuses them as well, but only when all is rendered. How it names a style is its own: of plain names
    it is known here."""
    look = re.sub(r"[^a-z0-9]+", "-", chosen.style.lower()).strip("-")
    begins, wanted = f"{chosen.frames.name.partition('#')[0]}{look}_", set(chosen.numbers)
    found = shots.pictures_in(chosen.folder) if chosen.folder.is_dir() else []
    there = [path for path in found if path.name.startswith(begins) and wanted & set(shots.numbers_in(path.stem)[-1:])]
    if there:
        raise EngineError(
            f"{there[0].name} is painted already.", "Switch Resume on to go on with it, or choose another folder."
        )


def _check_render(path: Path, chosen: Plan, size: tuple[int, int] | None) -> None:
    """What is there is whole and suits, or is damaged: no whole render is ever replaced. size: of the scene's."""
    if path.exists() and not chosen.resume:
        raise EngineError(
            f"{path.name} is rendered already.", "Switch Resume on to go on with it, or choose another folder."
        )
    if not shots.is_whole(path):
        return
    found = shots.header(path)
    if size not in (found.size, None):
        raise EngineError(
            f"{path.name} is rendered in {_edges(found.size)} pixels, the scene's size is {_edges(size)} now.",
            "Choose another folder for this size, or set the resolution back. Nothing is replaced.",
        )
    if missing := [name for name in FOLLOWED_BY[chosen.strokes] if name not in found.passes]:
        raise EngineError(
            f"{path.name} is rendered without the pass {', '.join(missing)}, by which strokes are held.",
            "Choose another folder to render it anew, or Strokes: Each Frame Anew. Nothing is replaced.",
        )


def _edges(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _plan(
    scene: bpy.types.Scene,
    frames: Path,
    numbers: tuple[int, ...],
    strokes: str,
    renders: bool = False,
    notes: tuple[str, ...] = (),
) -> Plan:
    chosen, look = scene.pentimento_animation, scene.pentimento
    how = props.stylize_settings(look, is_render=True)
    _check_overlays(how, strokes)
    passes: tuple[str, ...] = ()
    if renders:
        passes = _passes_off(scene, how, strokes)
        notes = (*notes, *_switched(scene, passes, strokes))
    is_float = frames.suffix.lower() == ".exr"
    return Plan(
        *(scene.name, props.look_name(look), frames, numbers, folder_of(scene), how, strokes),
        resume=chosen.resume,
        movie=chosen.movie,
        view_of=scene.name if is_float and look.colours == "DISPLAY" else "",
        renders=renders,
        passes=passes,
        notes=notes if is_float else (*notes, *_display_note(scene)),
    )


def folder_of(scene: bpy.types.Scene) -> Path:
    """Where renders and results of the scene go."""
    if scene.pentimento_animation.folder:
        return Path(bpy.path.abspath(scene.pentimento_animation.folder))
    return scene_io.results_folder() / bpy.path.clean_name(scene.name)


def switches_needed(scene: bpy.types.Scene) -> str:
    """For the panel: what is switched for the render, and back."""
    strokes = scene.pentimento_animation.strokes
    how = props.stylize_settings(scene.pentimento, is_render=True)
    return " ".join(_switched(scene, _passes_off(scene, how, strokes), strokes))


def switch_on(scene: bpy.types.Scene) -> None:
    """For Blender's own render: what a render of ours switches, to stay."""
    strokes = scene.pentimento_animation.strokes
    how = props.stylize_settings(scene.pentimento, is_render=True)
    switches.switch_on(scene, _passes_off(scene, how, strokes))
    scene.render.use_motion_blur = scene.render.use_motion_blur and strokes == "ANEW"


def _passes_off(scene: bpy.types.Scene, how: protocol.StylizeSettings, strokes: str) -> tuple[str, ...]:
    """Switches that have to be on for that look and those strokes, and are not."""
    needed = (*switches.needed(how, props.guides(scene.pentimento)), *switches.STEADY[strokes])
    return switches.missing(scene, dict.fromkeys(needed))


def _switched(scene: bpy.types.Scene, passes: tuple[str, ...], strokes: str) -> Iterator[str]:
    if passes:
        yield switches.note(passes)
    if strokes != "ANEW" and scene.render.use_motion_blur:
        yield worded(
            "Motion Blur is off while it renders: strokes follow the pass Vector, which there is only without."
        )


def _display_note(scene: bpy.types.Scene) -> Iterator[str]:
    """Frames of bytes went through a view transform when they were written."""
    if scene.view_settings.view_transform not in ("Standard", "Raw"):
        yield "These frames hold colours as they are displayed: set View Transform to Standard to see them so."


def _check_overlays(how: protocol.StylizeSettings, strokes: str) -> None:
    others = [name for name in how.overlays if name not in OF_STEADY_STROKES]
    if others and strokes != "ANEW":
        raise EngineError(
            f"The overlay {others[0]} knows nothing of strokes that come from other frames.",
            "Switch it off under Overlays, or choose Strokes: Each Frame Anew.",
        )


# ---------------------------------------------------------------- existing frames


def _pattern(frames: str) -> Path:
    """The panel's field: a pattern, or one frame of a sequence."""
    if not frames:
        raise EngineError("No frames are chosen.", "Choose any frame of the sequence under Files.")
    path = Path(bpy.path.abspath(frames))
    return path if "#" in path.name else shots.pattern_of(path)


def _numbers(scene: bpy.types.Scene, pattern: Path, in_range: bool) -> tuple[int, ...]:
    """Of the frames to paint; with gaps told where they are the scene's."""
    there = shots.frames_of(pattern)
    wanted = range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
    if not set(there) & set(wanted) if in_range else not there:
        raise EngineError(
            f"There are no frames {pattern.name} in {scene_io.shown(pattern.parent)}.",
            "Choose a frame of the sequence under Files, and look at the scene's frame range.",
        )
    return tuple(wanted) if in_range else tuple(there)


def possible_strokes(strokes: str, pattern: Path, numbers: tuple[int, ...]) -> tuple[str, str]:
    """What strokes can do with the passes of the first frame that there is, and why that is not what was chosen."""
    first = next((path for number in numbers if (path := shots.frame_of(pattern, number)).is_file()), None)
    if first is None:
        return strokes, ""
    with scene_io.artist_words(f"The frame {scene_io.shown(first)} cannot be read"):
        passes = _passes_of(first, first.stat().st_mtime_ns)
    missing = [name for name in FOLLOWED_BY[strokes] if name not in passes]
    if not missing:
        return strokes, ""
    why, lacking = "Each frame is painted anew, for {file} has no pass {passes}.", ", ".join(missing)
    return "ANEW", worded(why, file=first.name, passes=lacking)


def why_anew(scene: bpy.types.Scene) -> str:
    """For the panel: why strokes cannot do with the chosen files what they are to do. A disk is asked whether something
    has changed, and no more."""
    chosen = scene.pentimento_animation
    if chosen.source != "FILES" or not chosen.frames:
        return ""
    try:
        pattern = _pattern(chosen.frames)
        first = _first_of(pattern, pattern.parent.stat().st_mtime_ns)
        return possible_strokes(chosen.strokes, pattern, first)[1]
    except (OSError, EngineError):
        return ""  # the button says what is wrong with them


@lru_cache(maxsize=4)
def _first_of(pattern: Path, _changed: int) -> tuple[int, ...]:
    return tuple(shots.frames_of(pattern)[:1])


@lru_cache(maxsize=4)
def _passes_of(file: Path, _changed: int) -> frozenset[str]:
    return shots.header(file).passes


# ---------------------------------------------------------------- requests


def requests(
    chosen: Plan, run: Run, blocking: bool
) -> Generator[protocol.Request | protocol.Progress | protocol.FrameFailed | None, protocol.Done | None, str]:
    """Renders where that is wanted, looks at the shot, paints, and puts the results in their place."""
    with scene_io.scratch() as scratch:
        view = scene_io.gather_view(bpy.data.scenes[chosen.view_of], scratch) if chosen.view_of else None
        scene_io.writable(chosen.folder)
        if chosen.renders and not chosen.as_they_finish:
            yield from render(chosen, run, blocking)
        notes = yield from (_as_they_finish if chosen.as_they_finish else _together)(chosen, run, view)
    notes = [*chosen.notes, *_rendered_note(chosen, run), *notes, *_painted_note(chosen, run)]
    if run.painted:
        notes.append((yield from scene_io.add_sequence(run.painted, chosen.scene, chosen.style)))
    if run.painted and chosen.movie:
        notes.append((yield from _movie(chosen, run.painted, blocking)))
    return "\n".join(filter(None, notes))


Asking = Generator[protocol.Request | None, protocol.Done | None, list[str]]


def _together(chosen: Plan, run: Run, view: protocol.ViewTable | None) -> Asking:
    """All frames at once. What was not rendered is told already."""
    numbers = tuple(sorted(run.rendered)) if chosen.renders else chosen.numbers
    if not numbers:
        return []
    notes, shot = [], ""
    if chosen.strokes == "STICK":
        shot = str(chosen.folder / SHOT)
        notes = yield from _look(chosen, numbers)
    yield from _paint(chosen, run, numbers, view, shot)
    return notes


def _look(chosen: Plan, numbers: tuple[int, ...]) -> Asking:
    """At the shot. Results go by the shot.json with which they were made: one that says something else is kept, too."""
    path = chosen.folder / SHOT
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        looked = yield protocol.ShotRequest(props.new_job(), str(chosen.frames), str(part), numbers)
        with scene_io.artist_words(f"The file {scene_io.shown(path)} could not be written"):
            is_other = path.exists() and path.read_bytes() != part.read_bytes()
            kept = path.rename(_free(path, "_replaced")).name if is_other else ""
            part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return [
        *_sentences(looked),
        *([f"The shot is another than before: what {SHOT} said is in {kept}."] if kept else []),
    ]


def _free(path: Path, why: str) -> Path:
    """A name that nothing has yet, like that of `path`"""
    names = (f"{path.stem}{why}{f'.{number:03d}' * (number > 0)}{path.suffix}" for number in range(10**6))
    return next(found for name in names if not (found := path.with_name(name)).exists())


def _as_they_finish(chosen: Plan, run: Run, view: protocol.ViewTable | None) -> Asking:
    """Each time those that have been rendered while the ones before were painted."""
    taken = 0
    while True:
        numbers = tuple(run.rendered[taken:])
        taken += len(numbers)
        if numbers:
            yield from _paint(chosen, run, numbers, view)
        elif run.is_rendered:
            return []
        else:
            yield None


def _paint(
    chosen: Plan, run: Run, numbers: tuple[int, ...], view: protocol.ViewTable | None, shot: str = ""
) -> Generator[protocol.Request, protocol.Done | None, None]:
    began = time.monotonic()
    yield protocol.AnimateRequest(
        *(props.new_job(), str(chosen.frames), chosen.how, str(chosen.folder), numbers, chosen.resume),
        view=view,
        shot=shot,
        sequential=chosen.strokes == "CARRY",
        one_part=not compat.READS_PARTS,
    )
    run.seconds += time.monotonic() - began


def take(event: protocol.Event, run: Run) -> None:
    """A result is in its place on the disk."""
    if isinstance(event, protocol.FrameDone):
        run.painted[event.frame] = event.path
        run.made += event.made


def _sentences(done: protocol.Done | None) -> list[str]:
    return [str(sentence) for sentence in done.report.get("say", ())] if done else []


def _rendered_note(chosen: Plan, run: Run) -> Iterator[str]:
    if chosen.renders:
        yield f"{_frames(len(run.rendered) - run.kept)} rendered, {run.kept} there already."


def _painted_note(chosen: Plan, run: Run) -> Iterator[str]:
    pace = f" ({run.made / run.seconds:.3g} frames/s)" if run.made and run.seconds else ""
    yield f"{_frames(run.made)} painted{pace}, {len(run.painted) - run.made} there already."
    yield f"Saved in {scene_io.shown(chosen.folder)}."


# ---------------------------------------------------------------- rendering


def render(chosen: Plan, run: Run, blocking: bool) -> Generator[Said, None, None]:
    """Renders the frames that are not there yet, one by one: after Cancel none is begun. A frame that Blender cannot
    render is tried once more, then told, and the others are rendered. A finished one has all its passes."""
    try:
        todo = list(_not_rendered(chosen, run))
        scene_io.writable(chosen.frames.parent)
        with _frame_kept(chosen.scene):
            began = time.monotonic()
            for done, number in enumerate(todo):
                yield _progress(done, len(todo), time.monotonic() - began, number)
                yield from _render_frame(chosen, run, number, blocking)
    finally:
        run.is_rendered = True


def _not_rendered(chosen: Plan, run: Run) -> Iterator[int]:
    """Whole ones are kept, of which the plan knows that they suit; damaged ones are rendered again."""
    for number in chosen.numbers:
        if shots.is_whole(shots.frame_of(chosen.frames, number)):
            run.rendered.append(number)
            run.kept += 1
        else:
            yield number


def _size(render: bpy.types.RenderSettings) -> tuple[int, int] | None:
    """Width and height; None where a border is cut out, of which only Blender knows the pixels."""
    if render.use_border and render.use_crop_to_border:
        return None
    width, height = (edge * render.resolution_percentage // 100 for edge in (render.resolution_x, render.resolution_y))
    return width, height


@contextlib.contextmanager
def _frame_kept(scene: str) -> Iterator[None]:
    """In the end the scene is at the frame at which it was."""
    frame, subframe = bpy.data.scenes[scene].frame_current, bpy.data.scenes[scene].frame_subframe
    try:
        yield
    finally:
        if found := bpy.data.scenes.get(scene):
            found.frame_set(frame, subframe=subframe)


def _render_frame(chosen: Plan, run: Run, number: int, blocking: bool) -> Generator[Said, None, None]:
    path = shots.frame_of(chosen.frames, number)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    bpy.data.scenes[chosen.scene].frame_set(number)
    try:
        problem = yield from _tried(chosen, part, blocking)
        if problem:
            yield protocol.FrameFailed("", number, f"It could not be rendered ({problem}).", "Mend that, then resume.")
            return
        if not part.is_file():
            raise EngineError(
                f"The render was stopped at frame {number}.", "Start again: with Resume it goes on there."
            )
        _put_in_place(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    run.rendered.append(number)


def _tried(chosen: Plan, path: Path, blocking: bool) -> Generator[None, None, str]:
    """Renders, at most twice. Returns why it cannot be done, or nothing where there is the file, or it was stopped.

    The settings are switched for each frame: an undo between two frames puts the artist's in their place."""
    problem, steady = "", switches.without_motion_blur if chosen.strokes != "ANEW" else contextlib.nullcontext
    for _ in range(2):
        output, passes = scene_io.multilayer_output, switches.switched_on
        with scene_io.artist_words(f"What is left of a render ({scene_io.shown(path)}) cannot be removed"):
            path.unlink(missing_ok=True)  # of a Blender that was killed: where this render is stopped it is no result
        try:
            with output(chosen.scene, path), passes(chosen.scene, chosen.passes), steady(chosen.scene):
                yield from scene_io.rendering(chosen.scene, blocking)
            if shots.is_whole(path) or not path.exists():
                return ""
            problem = "its file is not whole: the disk may be full"
        except RuntimeError as error:
            problem = " ".join(str(error).removeprefix("Error: ").split())
    return problem


def _put_in_place(part: Path, path: Path) -> None:
    """On the disk before it has its name: after a power failure a frame is whole, or not there."""
    with scene_io.artist_words(f"The render {scene_io.shown(path)} could not be written"):
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)


def _progress(done: int, total: int, seconds: float, number: int) -> protocol.Progress:
    pace = (
        f", {done / seconds:.3g} frames/s, {durations.in_words((total - done) * seconds / done)} left"
        if done and seconds
        else ""
    )
    return protocol.Progress("", done / total, f"Rendering frame {number} ({done} of {total}{pace})")


def _frames(count: int) -> str:
    return f"{count} frame{'s' * (count != 1)}"


# ---------------------------------------------------------------- the movie


def _movie(chosen: Plan, files: dict[int, str], blocking: bool) -> Generator[Said, None, str]:
    """An MP4 of the results, composited in a scene of its own. Returns what became of it: the frames are finished, so
    whatever happens here is no error of theirs."""
    path = _movie_path(Path(files[min(files)]))
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    ended: list[bool] = []

    def note_end(*_: object) -> None:
        ended.append(True)

    yield protocol.Progress("", 0.0, "Writing the MP4")
    scene = _movie_scene(chosen, files, part)
    if not scene:
        return "There is no MP4: this Blender finds no painting in the results. Use Blender 4.2 or later."
    bpy.app.handlers.render_complete.append(note_end)  # which a render that was stopped does not reach
    try:
        yield from scene_io.rendering(scene, blocking, animation=True)
        if not ended:
            return "There is no MP4: it was stopped. Start again with Resume: the frames are kept."
        _put_in_place(part, path)
    except RuntimeError as error:
        return f"There is no MP4: {' '.join(str(error).split())}"
    finally:
        bpy.app.handlers.render_complete.remove(note_end)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        _remove_once_idle(scene)
    return f"{path.name} has {_frames(len(files))}."


def _movie_path(first: Path) -> Path:
    """Beside the results, called like them; nothing is overwritten."""
    return _free(first.with_name(first.stem.rstrip("0123456789").rstrip("_") + ".mp4"), "")


def _movie_scene(chosen: Plan, files: dict[int, str], path: Path) -> str:
    """A copy of the scene, with its view transform and frame rate, that shows nothing but the results. Its
    name; empty where they hold nothing that could be shown."""
    scene = bpy.data.scenes[chosen.scene].copy()
    scene.name = MOVIE
    numbers = sorted(files)
    is_float = chosen.frames.suffix.lower() == ".exr"
    tree, end = compat.new_compositor(scene)
    names = ("Stylized", "Stylized.Combined") if is_float else ("Image",)
    node, output = scene_io.new_layer_node(tree, scene_io.sequence_of(files[numbers[0]]), names)
    if output is None:
        compat.remove_scene(scene)
        return ""
    scene_io.set_frames(node, numbers[0], numbers[-1] - numbers[0] + 1)
    tree.links.new(output, end)
    scene.frame_start, scene.frame_end = numbers[0], numbers[-1]
    scene.frame_step = math.gcd(*(later - sooner for sooner, later in itertools.pairwise(numbers))) or 1
    if not is_float:
        # Bytes went through a view transform already.
        scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
        scene.view_settings.exposure, scene.view_settings.gamma = 0.0, 1.0
        scene.view_settings.use_curve_mapping = False
    _set_movie_output(scene, shots.header(Path(files[numbers[0]])).size, path)
    return scene.name


def _set_movie_output(scene: bpy.types.Scene, size: tuple[int, int], path: Path) -> None:
    """H.264 wants even edges: an odd one loses a pixel."""
    render = scene.render
    render.resolution_x, render.resolution_y = (max(edge - edge % 2, 2) for edge in size)
    render.resolution_percentage = 100
    render.use_border = render.use_stamp = render.use_sequencer = render.use_multiview = False
    render.use_compositing, render.use_file_extension, render.filepath = True, False, str(path)
    compat.write_movie(render.image_settings, render.ffmpeg)


def _remove_once_idle(name: str) -> None:
    """After Cancel Blender may still be writing."""

    def remove() -> float | None:
        if bpy.app.is_job_running("RENDER"):
            return 0.5
        if scene := bpy.data.scenes.get(name):
            compat.remove_scene(scene)
        return None

    if remove() is not None:
        bpy.app.timers.register(remove, first_interval=0.5)
