"""Stylize Animation: existing frames, or rendered ones; what is there afterwards, and every setting as it was."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender import bpy, compositor_of, layers_of, new_scene, pixels_of, pump, wiring
from test_panels import draw
from test_stylize_pass_render import switches_of

NUMBERS = (3, 4, 5)
SWITCHED = "off again: Position; Z; Vector; UV; Cryptomatte: Object."


@pytest.fixture
def shot(addon: Any, styles: Any, tmp_path: Path) -> Any:
    """A cube that turns before a camera, frames 3 to 5, saved, with motion blur and no pass but Combined"""
    scene = new_scene((64, 36))
    scene.frame_start, scene.frame_end, scene.frame_current = 3, 5, 1
    scene.render.use_motion_blur = True
    cube = bpy.data.objects["Cube"]
    for number in NUMBERS:
        cube.location.x, cube.rotation_euler = (number - 4) / 4, (0.6, 0.4 + number / 20, 0.3)
        cube.keyframe_insert("location", frame=number)
        cube.keyframe_insert("rotation_euler", frame=number)
    for switch in switches_of(scene):
        owner = scene.view_layers[0].cycles if switch.startswith("volume_") else scene.view_layers[0]
        setattr(owner, f"use_pass_{switch}", switch == "combined")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return scene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where results go when nothing else is said"""
    return tmp_path / "pentimento" / "Scene"


def stylize(**arguments: Any) -> None:
    assert bpy.ops.pentimento.stylize_animation(**arguments) == {"FINISHED"}


def results(folder: Path, style: str = "identity") -> list[Path]:
    return sorted(folder.glob(f"*_{style}_????.*"))


def names(folder: Path, style: str = "identity") -> list[str]:
    return [path.name for path in results(folder, style)]


def settings_of(scene: Any) -> dict[str, Any]:
    """All that a render of ours may change"""
    render, image = scene.render, scene.render.image_settings
    kept = {name: getattr(render, name) for name in ("filepath", "use_motion_blur", "use_compositing", "use_sequencer")}
    frame = {"frame": scene.frame_current, "format": image.file_format, "depth": image.color_depth}
    return {**switches_of(scene), **kept, **frame}


def render_frames(scene: Any, folder: Path, *, multilayer: bool = True) -> None:
    """What an artist has rendered before: EXR with the passes of strokes that stick, or PNG."""
    layer, image = scene.view_layers[0], scene.render.image_settings
    for switch in ("position", "z", "vector", "uv", "cryptomatte_object"):
        setattr(layer, f"use_pass_{switch}", multilayer)
    scene.render.use_motion_blur = False
    if hasattr(image, "media_type"):
        image.media_type = "MULTI_LAYER_IMAGE" if multilayer else "IMAGE"
    image.file_format = "OPEN_EXR_MULTILAYER" if multilayer else "PNG"
    image.color_depth = "16" if multilayer else "8"
    scene.render.filepath = str(folder / "walk_")
    bpy.ops.render.render(animation=True)


# ---------------------------------------------------------------- render and paint


def test_strokes_that_stick(addon: Any, shot: Any, folder: Path) -> None:
    before = settings_of(shot)
    stylize()
    assert names(folder) == [f"Scene_identity_{number:04d}.exr" for number in NUMBERS]
    for number in NUMBERS:
        after, source = layers_of(folder / f"Scene_identity_{number:04d}.exr"), layers_of(frame(folder, number))
        assert all(np.array_equal(after[name], pixels, equal_nan=True) for name, pixels in source.items())
        assert any("Stylized" in name for name in after)
        assert any("Vector" in name for name in source) and any("CryptoObject00" in name for name in source)
    assert "frames" in json.loads((folder / "shot.json").read_text())
    assert settings_of(shot) == before
    said = addon.jobs.last_report().fix
    assert SWITCHED in said and "Motion Blur is off" in said
    assert "3 frames rendered, 0 there already." in said and "3 frames painted (" in said


def frame(folder: Path, number: int) -> Path:
    return folder / "frames" / f"Scene_{number:04d}.exr"


def test_strokes_carried_on_need_no_position(addon: Any, shot: Any, folder: Path) -> None:
    shot.pentimento_animation.strokes = "CARRY"
    stylize()
    assert len(results(folder)) == 3
    assert "off again: Z; Vector; Cryptomatte: Object." in addon.jobs.last_report().fix
    assert not any("Position" in name for name in layers_of(frame(folder, 3)))


class Slow:
    """Blender as it renders in its window: it comes to an end of frame 5 only when `until` is true."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, addon: Any, until: Callable[[], bool]) -> None:
        self.render, self.until = addon.scene_io.rendering, until
        monkeypatch.setattr(addon.scene_io, "rendering", self.rendering)

    def rendering(self, scene: str, blocking: bool, animation: bool = False) -> Iterator[None]:
        while bpy.data.scenes[scene].frame_current == 5 and not self.until():
            yield
        yield from self.render(scene, blocking, animation)


def test_frames_are_painted_while_others_are_rendered(
    addon: Any, shot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot.pentimento_animation.strokes, before = "ANEW", settings_of(shot)
    Slow(monkeypatch, addon, until=lambda: len(results(folder)) == 2)
    addon.jobs.start(addon.operators.animation.animation_job(addon.animating.plan(shot), blocking=True))
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert len(results(folder)) == 3
    assert settings_of(shot) == before
    assert "Motion Blur" not in addon.jobs.last_report().fix


def test_progress_says_how_fast_and_how_long(addon: Any, shot: Any) -> None:
    shot.frame_end = 12
    stages: list[str] = []
    drawn: list[str] = []
    addon.jobs.start(addon.operators.animation.animation_job(addon.animating.plan(shot), blocking=True))

    def ended() -> bool:
        job = addon.jobs.current()
        stages.append(job.stage if job else "")
        if job and "left" in job.stage:
            drawn.append(draw(addon, "RenderPanel"))
        return job is None

    pump(addon.jobs, ended, 60)
    rendering = [stage for stage in stages if stage.startswith("Rendering frame") and "frames/s" in stage]
    painting = [stage for stage in stages if re.match(r"Frame |\d workers paint", stage) and "frames/s" in stage]
    assert rendering and painting and all("left" in stage for stage in (*rendering, *painting))
    assert drawn and all("frames/s" in panel and "left" in panel for panel in drawn)


# ---------------------------------------------------------------- what the artist gets


def test_the_compositor_shows_each_frame(addon: Any, shot: Any, styles: Any, folder: Path, tmp_path: Path) -> None:
    styles.style = "Brush"
    stylize()
    links = wiring(compositor_of(shot))
    assert "Render Layers.Image -> Pentimento Layers.Original" in links
    assert "Pentimento Stylized.Stylized -> Pentimento Layers.Stylized" in links
    node = next(node for node in compositor_of(shot).nodes if node.label == "Pentimento Stylized")
    assert node.image.source == "SEQUENCE" and (node.frame_start, node.frame_duration) == (3, 3)
    assert node.image.colorspace_settings.name != "Non-Color"
    image = shot.render.image_settings
    if hasattr(image, "media_type"):
        image.media_type = "IMAGE"
    image.file_format, image.color_depth = "OPEN_EXR", "32"
    shot.render.filepath = str(tmp_path / "composite_")
    bpy.ops.render.render(animation=True)
    for number in NUMBERS:
        composite = layers_of(tmp_path / f"composite_{number:04d}.exr")
        painted = layers_of(folder / f"Scene_brush_{number:04d}.exr")
        for channel in "RGB":
            (expected,) = (pixels for name, pixels in painted.items() if name.endswith(f"Stylized.{channel}"))
            assert np.allclose(composite[channel], expected.astype(np.float32), rtol=2e-3, atol=2e-3), (number, channel)


def test_again_it_is_the_same_image(shot: Any) -> None:
    stylize()
    before, images = wiring(compositor_of(shot)), len(bpy.data.images)
    stylize()
    assert wiring(compositor_of(shot)) == before and len(bpy.data.images) == images


def test_an_image_of_the_artist_stays(shot: Any, folder: Path) -> None:
    stylize()
    for image in list(bpy.data.images):
        bpy.data.images.remove(image)
    mine = bpy.data.images.load(str(results(folder)[0]))
    stylize()
    assert mine.source == "FILE" and not mine.use_fake_user


@pytest.mark.parametrize("multilayer", [True, False])
def test_an_mp4_through_blender(addon: Any, shot: Any, tmp_path: Path, folder: Path, multilayer: bool) -> None:
    render_frames(shot, tmp_path, multilayer=multilayer)
    shot.pentimento_animation.movie = True
    before, scenes, groups = settings_of(shot), len(bpy.data.scenes), len(bpy.data.node_groups)
    stylize(frames=str(tmp_path / "walk_0003.exr" if multilayer else tmp_path / "walk_0003.png"))
    clip = bpy.data.movieclips.load(str(folder / "walk_identity.mp4"))
    assert (clip.frame_duration, *clip.size) == (3, 64, 36)
    assert "walk_identity.mp4 has 3 frames." in addon.jobs.last_report().fix
    assert settings_of(shot) == before and len(bpy.data.scenes) == scenes
    assert len(bpy.data.node_groups) - groups <= 2, "the movie's own tree is gone"  # ours, and in 5.0 the compositor
    stylize(frames=str(tmp_path / f"walk_0003{'.exr' if multilayer else '.png'}"))
    assert (folder / "walk_identity.001.mp4").exists(), "nothing is overwritten"


@pytest.mark.parametrize("multilayer", [True, False])
def test_the_mp4_shows_what_the_scene_shows(shot: Any, tmp_path: Path, folder: Path, multilayer: bool) -> None:
    """The view transform comes once to scene-linear frames, and not again to frames of bytes."""
    shot.view_settings.view_transform, shot.view_settings.exposure = "AgX", 0.5
    render_frames(shot, tmp_path, multilayer=multilayer)
    shot.pentimento_animation.movie = True
    stylize(frames=str(tmp_path / f"walk_####{'.exr' if multilayer else '.png'}"))
    if multilayer:
        render_frames(shot, tmp_path / "composite", multilayer=False)  # what the compositor shows of the results
    expected = bpy.data.images.load(str((tmp_path / "composite" if multilayer else tmp_path) / "walk_0003.png"))
    movie = bpy.data.images.load(str(folder / "walk_identity.mp4"))
    assert np.abs(pixels_of(movie) - pixels_of(expected))[:, :, :3].mean() < 0.03
    assert pixels_of(expected)[:, :, :3].std() > 0.1


def test_without_ffmpeg_no_mp4(addon: Any, shot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shot.pentimento_animation.movie = True
    monkeypatch.setattr(addon.compat, "can_write_movies", lambda: False)
    with pytest.raises(RuntimeError, match=r"cannot write movies.*\n?.*Switch MP4 off"):
        bpy.ops.pentimento.stylize_animation()
    assert not folder.exists()
    assert "cannot write movies" in draw(addon, "RenderAnimationPanel")


# ---------------------------------------------------------------- existing frames


def test_existing_frames(addon: Any, shot: Any, tmp_path: Path, folder: Path) -> None:
    render_frames(shot, tmp_path)
    chosen = shot.pentimento_animation
    chosen.source, chosen.frames = "FILES", str(tmp_path / "walk_0004.exr")
    assert chosen.frames == str(tmp_path / "walk_####.exr")
    stylize()
    assert names(folder) == [f"walk_identity_{number:04d}.exr" for number in NUMBERS]
    assert (folder / "shot.json").exists()
    assert "Switched on" not in addon.jobs.last_report().fix


def test_frames_of_bytes(addon: Any, shot: Any, tmp_path: Path, folder: Path) -> None:
    """PNG have no passes: each is painted anew, and the sequence keeps its colours."""
    render_frames(shot, tmp_path, multilayer=False)
    chosen = shot.pentimento_animation
    chosen.source, chosen.frames = "FILES", str(tmp_path / "walk_0003.png")
    panel = draw(addon, "RenderAnimationPanel").replace("  ", " ")
    assert "Each frame is painted anew" in panel
    stylize()
    assert names(folder) == [f"walk_identity_{number:04d}.png" for number in NUMBERS]
    said = addon.jobs.last_report().fix
    assert "walk_0003.png has no pass Position, Depth" in said and "set View Transform to Standard" in said
    node = next(node for node in compositor_of(shot).nodes if node.label == "Pentimento Stylized")
    assert node.image.source == "SEQUENCE" and node.image.colorspace_settings.name == "sRGB"
    assert "Pentimento Stylized.Image -> Pentimento Layers.Stylized" in wiring(compositor_of(shot))


@pytest.mark.parametrize("strokes", ["STICK", "ANEW"])
def test_a_missing_frame_is_told_and_the_others_are_done(
    addon: Any, shot: Any, tmp_path: Path, folder: Path, strokes: str
) -> None:
    render_frames(shot, tmp_path)
    (tmp_path / "walk_0004.exr").unlink()
    chosen = shot.pentimento_animation
    chosen.source, chosen.frames, chosen.in_range = "FILES", str(tmp_path / "walk_####.exr"), True
    chosen.strokes = strokes
    stylize()
    assert names(folder) == ["walk_identity_0003.exr", "walk_identity_0005.exr"]
    report = addon.jobs.last_report()
    assert report.level == "WARNING" and "done but for 1 frame" in report.message
    (line,) = (line for line in report.fix.splitlines() if line.startswith("Frame 4: "))
    assert "walk_0004.exr" in line and "." in line.split("walk_0004.exr")[1].strip()


def test_all_files_there_are_or_the_frame_range(shot: Any, tmp_path: Path, folder: Path) -> None:
    render_frames(shot, tmp_path)
    chosen = shot.pentimento_animation
    chosen.source, chosen.frames, chosen.strokes = "FILES", str(tmp_path / "walk_####.exr"), "ANEW"
    shot.frame_start, shot.frame_end = 4, 4
    chosen.in_range = True
    stylize()
    assert names(folder) == ["walk_identity_0004.exr"]
    chosen.in_range = False
    stylize()
    assert len(results(folder)) == 3


def test_what_is_no_sequence_is_refused(shot: Any, tmp_path: Path) -> None:
    for frames, message in (
        ("", "No frames are chosen"),
        (str(tmp_path / "walk.exr"), "no number of a frame"),
        (str(tmp_path / "walk_####.exr"), "There are no frames walk_####.exr"),
        (str(tmp_path / "nowhere" / "walk_####.exr"), "cannot be read"),
    ):
        shot.pentimento_animation.source, shot.pentimento_animation.frames = "FILES", frames
        with pytest.raises(RuntimeError, match=message):
            bpy.ops.pentimento.stylize_animation()


@pytest.mark.parametrize(
    ("files", "picked", "pattern"),
    [
        (["walk_0008_v2.exr", "walk_0009_v2.exr"], "walk_0008_v2.exr", "walk_####_v2.exr"),
        (["shot02_0008.exr", "shot02_0009.exr"], "shot02_0009.exr", "shot02_####.exr"),
        (["a8.png", "a9.png", "a10.png"], "a10.png", "a#.png"),
        ([], "take3_0001.exr", "take3_####.exr"),
    ],
)
def test_the_number_is_what_differs(addon: Any, tmp_path: Path, files: list[str], picked: str, pattern: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    found = addon.shots.pattern_of(tmp_path / picked)
    assert found == tmp_path / pattern
    numbers = addon.shots.frames_of(found)
    assert [addon.shots.frame_of(found, number).name for number in numbers] == sorted(files, key=len)


# ---------------------------------------------------------------- going on


def test_resume_makes_nothing_anew_and_heals_what_is_damaged(addon: Any, shot: Any, folder: Path) -> None:
    stylize()
    files = [*results(folder), *(folder / "frames").iterdir()]
    whole = {path: path.read_bytes() for path in files}
    times = {path: path.stat().st_mtime_ns for path in files}
    stylize()
    assert {path: path.stat().st_mtime_ns for path in files} == times
    assert "0 frames rendered, 3 there already." in addon.jobs.last_report().fix
    assert "0 frames painted, 3 there already." in addon.jobs.last_report().fix
    cut, lost = results(folder)[1], frame(folder, 5)
    cut.write_bytes(whole[cut][:-200])
    lost.write_bytes(whole[lost][:-100])
    shot.render.use_stamp_note, shot.render.stamp_note_text = True, "again"  # else it may be the same to the byte
    stylize()
    assert "1 frame rendered, 2 there already." in addon.jobs.last_report().fix
    assert "2 frames painted (" in addon.jobs.last_report().fix  # of the frame that was rendered anew as well
    assert cut.read_bytes() == whole[cut]
    assert layers_of(lost)
    changed = {path for path in files if path.stat().st_mtime_ns != times[path]}
    assert changed == {cut, lost, results(folder)[2]}


def test_without_resume_nothing_is_overwritten(shot: Any, folder: Path) -> None:
    stylize()
    shot.pentimento_animation.resume = False
    with pytest.raises(RuntimeError, match="is rendered already"):
        bpy.ops.pentimento.stylize_animation()
    with pytest.raises(RuntimeError, match="already there"):
        bpy.ops.pentimento.stylize_animation(frames=str(frame(folder, 3)))


def test_results_that_are_there_are_found_before_rendering(shot: Any, styles: Any, folder: Path) -> None:
    """Nights of rendering, and then an error that could have been told at once"""
    stylize()
    for path in (folder / "frames").iterdir():
        path.unlink()
    shot.pentimento_animation.resume = False
    with pytest.raises(RuntimeError, match=r"Scene_identity_0003\.exr is painted already"):
        bpy.ops.pentimento.stylize_animation()
    assert not list((folder / "frames").iterdir())
    styles.style = "Brush"
    stylize()
    assert len(results(folder)) == len(results(folder, "brush")) == 3


def test_a_folder_of_the_artist(shot: Any, tmp_path: Path) -> None:
    shot.pentimento_animation.folder = "//mine/"
    stylize()
    assert len(results(tmp_path / "mine")) == 3


def test_renders_of_another_size_are_never_replaced(addon: Any, shot: Any, tmp_path: Path, folder: Path) -> None:
    """A try-out at half the size, in the folder of the finished film."""
    shot.pentimento_animation.strokes = "ANEW"
    stylize()
    before = {path: path.read_bytes() for path in folder.rglob("*.exr")}
    shot.render.resolution_percentage = 50
    with pytest.raises(RuntimeError, match=r"in 64 x 36 pixels, the scene's size is 32 x 18(.|\n)*another folder"):
        bpy.ops.pentimento.stylize_animation()
    assert {path: path.read_bytes() for path in folder.rglob("*.exr")} == before and len(before) == 6
    shot.pentimento_animation.folder = "//half/"
    stylize()
    assert "3 frames rendered, 0 there already." in addon.jobs.last_report().fix
    assert next(iter(layers_of(frame(tmp_path / "half", 3)).values())).shape[:2] == (18, 32)


def test_renders_that_lack_passes_are_never_replaced(addon: Any, shot: Any, folder: Path) -> None:
    shot.pentimento_animation.strokes = "ANEW"
    stylize()
    before = {path: path.read_bytes() for path in folder.rglob("*.exr")}
    shot.pentimento_animation.strokes = "STICK"
    with pytest.raises(RuntimeError, match="without the pass Position, Depth"):
        bpy.ops.pentimento.stylize_animation()
    assert {path: path.read_bytes() for path in folder.rglob("*.exr")} == before and len(before) == 6
    shot.pentimento_animation.strokes = "ANEW"
    stylize()
    assert "0 frames rendered, 3 there already." in addon.jobs.last_report().fix


def test_a_shot_that_changed_is_painted_by_its_new_look(addon: Any, shot: Any, folder: Path) -> None:
    stylize()
    before, painted = (folder / "shot.json").read_bytes(), {path.name: path.read_bytes() for path in results(folder)}
    for path in (folder / "frames").iterdir():
        path.unlink()
    shot.camera.location.z = 5
    stylize()
    assert {path.name for path in results(folder)} == painted.keys()
    assert all(path.read_bytes() != painted[path.name] for path in results(folder))
    assert (folder / "shot_replaced.json").read_bytes() == before != (folder / "shot.json").read_bytes()
    assert sorted(path.name for path in folder.glob("*shot*")) == ["shot.json", "shot_replaced.json"]


def test_a_shot_that_grows(addon: Any, shot: Any, folder: Path) -> None:
    """Frames keep their results where the shot says the same of them; the others are made again."""
    shot.frame_end = 4
    stylize()
    before = (folder / "shot.json").read_bytes()
    shot.frame_end = 5
    stylize()
    assert len(results(folder)) == 3 and (folder / "shot_replaced.json").read_bytes() == before


# ---------------------------------------------------------------- however it ends


def test_cancel_while_painting(addon: Any, shot: Any, tmp_path: Path, folder: Path) -> None:
    shot.frame_end = 42
    render_frames(shot, tmp_path)
    plan = addon.animating.plan(shot, str(tmp_path / "walk_####.exr"))
    addon.jobs.start(addon.operators.animation.animation_job(plan, blocking=True))
    pump(addon.jobs, lambda: bool(results(folder)), 60)
    addon.jobs.cancel()
    assert pump(addon.jobs, lambda: addon.jobs.current() is None, 10) < 2
    made = len(results(folder))
    assert 1 <= made < 40 and "with Resume it goes on" in addon.jobs.last_report().message
    stylize(frames=str(tmp_path / "walk_####.exr"))
    assert f"{40 - made} frames painted" in addon.jobs.last_report().fix and len(results(folder)) == 40


def test_a_worker_that_cannot_be_cancelled_loses_nothing(addon: Any, shot: Any, tmp_path: Path, folder: Path) -> None:
    """The real one, in the middle of real work, deaf because it is stopped."""
    shot.frame_end = 42
    render_frames(shot, tmp_path)
    plan = addon.animating.plan(shot, str(tmp_path / "walk_####.exr"))
    addon.jobs.start(addon.operators.animation.animation_job(plan, blocking=True))
    pump(addon.jobs, lambda: len(results(folder)) > 2, 60)
    os.kill(addon.jobs.PAINTING.slot.worker.pid, signal.SIGSTOP)
    addon.jobs.cancel()
    assert pump(addon.jobs, lambda: addon.jobs.current() is None, 10) < 2.5
    report, made = addon.jobs.last_report(), len(results(folder))
    assert report.level == "WARNING" and "with Resume it goes on" in report.message and not report.details
    assert not addon.jobs.PAINTING.slot.worker and 2 < made <= 40  # those that it has set to work go on until it goes
    stylize(frames=str(tmp_path / "walk_####.exr"))
    assert f"{made} there already" in addon.jobs.last_report().fix and len(results(folder)) == 40


def test_cancel_while_blender_renders_in_its_window(
    addon: Any, shot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot.pentimento_animation.strokes, before = "ANEW", settings_of(shot)
    Slow(monkeypatch, addon, until=lambda: False)
    addon.jobs.start(addon.operators.animation.animation_job(addon.animating.plan(shot), blocking=True))
    pump(addon.jobs, lambda: len(results(folder)) == 2, 60)
    assert settings_of(shot) != before
    addon.jobs.cancel()
    assert pump(addon.jobs, lambda: addon.jobs.current() is None, 10) < 2
    assert settings_of(shot) == before and len(results(folder)) == 2
    monkeypatch.undo()
    stylize()
    assert "1 frame painted (" in addon.jobs.last_report().fix and len(results(folder)) == 3


def test_cancel_while_rendering(addon: Any, shot: Any, folder: Path) -> None:
    shot.frame_end, before = 60, settings_of(shot)
    addon.jobs.start(addon.operators.animation.animation_job(addon.animating.plan(shot), blocking=True))
    pump(addon.jobs, lambda: frame(folder, 4).exists(), 60)
    assert shot.frame_current in (4, 5)
    addon.jobs.cancel()
    start = time.monotonic()
    pump(addon.jobs, lambda: addon.jobs.current() is None, 10)
    assert time.monotonic() - start < 2
    assert settings_of(shot) == before and not results(folder)


def test_a_killed_worker_loses_nothing_that_is_finished(addon: Any, shot: Any, tmp_path: Path, folder: Path) -> None:
    shot.frame_end = 42
    render_frames(shot, tmp_path)
    plan = addon.animating.plan(shot, str(tmp_path / "walk_####.exr"))
    addon.jobs.start(addon.operators.animation.animation_job(plan, blocking=True))
    pump(addon.jobs, lambda: len(results(folder)) > 2, 60)
    os.kill(addon.jobs.PAINTING.slot.worker.pid, signal.SIGTERM)
    pump(addon.jobs, lambda: addon.jobs.current() is None, 10)
    assert addon.jobs.last_report().level == "ERROR" and "engine stopped" in addon.jobs.last_report().message
    made = len(results(folder))
    assert 2 < made < 40
    stylize(frames=str(tmp_path / "walk_####.exr"))
    assert f"{made} there already" in addon.jobs.last_report().fix and len(results(folder)) == 40


@pytest.mark.parametrize("strokes", ["STICK", "ANEW"])
def test_settings_are_as_they_were_after_an_error(
    addon: Any, shot: Any, monkeypatch: pytest.MonkeyPatch, strokes: str
) -> None:
    shot.pentimento_animation.strokes, before = strokes, settings_of(shot)
    monkeypatch.setattr(addon.engine_client, "command", lambda _python: ["/nowhere/python"])
    with pytest.raises(RuntimeError, match="could not be started"):
        bpy.ops.pentimento.stylize_animation()
    assert settings_of(shot) == before and addon.jobs.current() is None


@pytest.fixture
def unwilling(addon: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Blender cannot render frame 4. What it tried"""
    tried: list[int] = []
    render = addon.scene_io.rendering

    def rendering(scene: str, blocking: bool, animation: bool = False) -> Iterator[None]:
        tried.append(bpy.data.scenes[scene].frame_current)
        if tried[-1] == 4:
            raise RuntimeError("Error: Out of memory\n")
        return render(scene, blocking, animation)

    monkeypatch.setattr(addon.scene_io, "rendering", rendering)
    return tried


@pytest.mark.parametrize("strokes", ["STICK", "ANEW"])
def test_a_frame_that_cannot_be_rendered(
    addon: Any, shot: Any, folder: Path, unwilling: list[int], strokes: str
) -> None:
    shot.pentimento_animation.strokes, before = strokes, settings_of(shot)
    stylize()
    assert unwilling == [3, 4, 4, 5], "it is tried once more"
    assert names(folder) == ["Scene_identity_0003.exr", "Scene_identity_0005.exr"]
    assert "Frame 4: It could not be rendered (Out of memory)." in addon.jobs.last_report().fix
    assert settings_of(shot) == before


def test_a_render_that_is_stopped(addon: Any, shot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Esc: Blender writes no file, and says nothing."""
    before = settings_of(shot)
    monkeypatch.setattr(addon.scene_io, "rendering", lambda *_, **__: iter(()))
    with pytest.raises(RuntimeError, match="stopped at frame 3"):
        bpy.ops.pentimento.stylize_animation()
    assert settings_of(shot) == before and not results(folder)


def test_what_a_killed_blender_left_is_no_render(
    addon: Any, shot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed between writing and the name: that may have been another scene."""
    shot.frame_end = 3
    stylize()
    old = frame(folder, 3).rename(frame(folder, 3).with_name(".Scene_0003.part.exr"))
    monkeypatch.setattr(addon.scene_io, "rendering", lambda *_, **__: iter(()))
    with pytest.raises(RuntimeError, match="stopped at frame 3"):
        bpy.ops.pentimento.stylize_animation()
    assert not frame(folder, 3).exists() and not old.exists()


def test_an_undo_meanwhile_does_no_harm(addon: Any, shot: Any, folder: Path) -> None:
    """Scenes are found by their names: what a reference points at is gone after an undo."""
    bpy.ops.ed.undo_push(message="before")
    before = settings_of(shot)
    addon.jobs.start(addon.operators.animation.animation_job(addon.animating.plan(shot), blocking=True))
    pump(addon.jobs, lambda: frame(folder, 3).exists(), 60)
    bpy.ops.ed.undo_push(message="meanwhile")
    bpy.ops.ed.undo()
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert len(results(folder)) == 3
    now = settings_of(bpy.context.scene)
    assert {name for name in now if now[name] != before[name]} == set()


# ---------------------------------------------------------------- what is refused


def test_what_cannot_go_well_is_said_at_once(shot: Any, styles: Any, folder: Path) -> None:
    styles.overlays = {"Removal"}
    with pytest.raises(RuntimeError, match="Removal knows nothing of strokes"):
        bpy.ops.pentimento.stylize_animation()
    styles.overlays = {"Scale"}
    shot.render.engine = "BLENDER_WORKBENCH"
    with pytest.raises(RuntimeError, match="Workbench renders no passes"):
        bpy.ops.pentimento.stylize_animation()
    shot.render.engine, shot.camera = "CYCLES", None
    with pytest.raises(RuntimeError, match="no camera"):
        bpy.ops.pentimento.stylize_animation()
    assert not folder.exists()


# ---------------------------------------------------------------- after Blender's own Render Animation


@pytest.mark.parametrize("multilayer", [True, False])
def test_after_render_animation(addon: Any, shot: Any, tmp_path: Path, folder: Path, multilayer: bool) -> None:
    """As in `blender -b shot.blend -a`: the results are there when the render returns."""
    shot.pentimento_animation.after_render = shot.pentimento_animation.movie = True
    render_frames(shot, tmp_path, multilayer=multilayer)
    assert len(results(folder)) == 3
    assert "no MP4 after a render in background" in addon.jobs.last_report().fix
    assert names(folder)[0] == f"walk_identity_0003{'.exr' if multilayer else '.png'}"
    assert addon.jobs.last_report().level == "INFO"
    assert (folder / "shot.json").exists() == multilayer


def test_after_render_animation_to_a_movie(addon: Any, shot: Any, tmp_path: Path, folder: Path) -> None:
    """There is nothing to paint, and the render is not disturbed."""
    shot.pentimento_animation.after_render = True
    addon.compat.write_movie(shot.render.image_settings, shot.render.ffmpeg)
    shot.render.filepath = str(tmp_path / "walk_")
    bpy.ops.render.render(animation=True)
    assert "no sequence of EXR, PNG or JPEG" in addon.jobs.last_report().message
    assert list(tmp_path.glob("walk_*.m*")) and not folder.exists()


def test_a_painting_is_not_painted_again(addon: Any, shot: Any, tmp_path: Path, folder: Path) -> None:
    """The compositor shows it once the first animation is painted."""
    stylize()
    shot.pentimento_animation.after_render = True
    render_frames(shot, tmp_path)
    assert "would be painted again" in addon.jobs.last_report().message
    next(node for node in compositor_of(shot).nodes if node.label == "Pentimento Layers").inputs[
        "Mix"
    ].default_value = 0
    shot.render.use_compositing = False
    render_frames(shot, tmp_path)
    assert len([name for name in names(folder) if name.startswith("walk")]) == 3


def test_other_renders_start_nothing(addon: Any, shot: Any, tmp_path: Path, folder: Path) -> None:
    render_frames(shot, tmp_path)
    assert not folder.exists(), "it was not asked for"
    shot.pentimento_animation.after_render = True
    shot.render.filepath = str(tmp_path / "still.exr")
    bpy.ops.render.render(write_still=True)
    assert addon.jobs.last_report() is None and not folder.exists()
    stylize()
    assert len(results(folder)) == 3
    assert not results(folder / "frames"), "a render of ours is none of Blender's own"


def test_after_render_animation_while_another_job_runs(
    addon: Any, shot: Any, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is noted all the same, and painted when the other job has ended."""
    asked: list[tuple[str, tuple[int, ...]]] = []
    after = addon.operators.animation._after_render
    monkeypatch.setattr(addon.operators.animation, "_after_render", lambda *what: asked.append(what))
    render_frames(shot, tmp_path)
    plan = addon.animating.plan(shot, str(tmp_path / "walk_####.exr"))
    addon.jobs.start(addon.operators.animation.animation_job(plan, blocking=True))
    shot.pentimento_animation.after_render = True
    shot.pentimento_animation.folder = "//second/"
    render_frames(shot, tmp_path / "own")
    assert asked == [("Scene", NUMBERS)] and after(*asked[0]) == 0.5 and not results(tmp_path / "second")
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    shot.render.use_compositing = False  # which shows the first painting now
    assert after(*asked[0]) is None
    assert len(results(folder)) == len(results(tmp_path / "second")) == 3


def test_a_render_of_ours_is_none_of_blenders_own(addon: Any, shot: Any, folder: Path) -> None:
    """Also the movie, which is an animation in one render, of a scene that says the same as the artist's."""
    shot.pentimento_animation.after_render = shot.pentimento_animation.movie = True
    stylize()
    assert (folder / "Scene_identity.mp4").exists()
    assert addon.operators.animation.Watched.is_ours and not addon.operators.animation.Watched.written
    render_frames(shot, folder / "own", multilayer=False)
    assert not addon.operators.animation.Watched.is_ours


def test_passes_for_blenders_own_render(addon: Any, shot: Any) -> None:
    shot.pentimento_animation.after_render = True
    assert "pentimento.switch_on_passes" in draw(addon, "RenderAnimationPanel")
    assert bpy.ops.pentimento.switch_on_passes() == {"FINISHED"}
    on = {switch for switch, value in switches_of(shot).items() if value}
    assert on == {"combined", "position", "z", "vector", "uv", "cryptomatte_object"}
    assert not shot.render.use_motion_blur
    assert "pentimento.switch_on_passes" not in draw(addon, "RenderAnimationPanel")


# ---------------------------------------------------------------- the panel


@pytest.mark.parametrize("panel", ["ImageAnimationPanel", "ViewportAnimationPanel", "RenderAnimationPanel"])
def test_the_panel(addon: Any, shot: Any, panel: str) -> None:
    said = draw(addon, panel).replace("  ", " ")
    assert "pentimento.stylize_animation" in said and "Frames 3 to 5." in said and "Position;" in said
    assert "frames" not in said.split()
    shot.pentimento_animation.source = "FILES"
    assert {"frames", "in_range", "strokes", "resume", "movie", "folder"} <= set(draw(addon, panel).split())


def test_everything_has_a_tooltip(addon: Any, shot: Any) -> None:
    fields = shot.pentimento_animation.bl_rna.properties
    own = [field for field in fields if field.identifier not in ("rna_type", "name")]
    assert len(own) == 8 and all(field.description for field in own)
    for field in own:
        assert all(item.description for item in getattr(field, "enum_items", ()))
    for operator in (bpy.ops.pentimento.stylize_animation, bpy.ops.pentimento.switch_on_passes):
        assert operator.get_rna_type().description


def test_while_it_runs_the_button_is_grey(addon: Any, shot: Any) -> None:
    addon.jobs.start(addon.operators.animation.animation_job(addon.animating.plan(shot), blocking=True))
    assert not bpy.ops.pentimento.stylize_animation.poll()
    addon.jobs.cancel()
    pump(addon.jobs, lambda: addon.jobs.current() is None, 10)


def test_the_header_tells_whether_a_render_is_whole(addon: Any, shot: Any, folder: Path, tmp_path: Path) -> None:
    shot.frame_end = 3
    stylize()
    whole, cut = frame(folder, 3).read_bytes(), tmp_path / "cut.exr"
    assert addon.shots.is_whole(frame(folder, 3)) and addon.shots.is_whole(results(folder)[0])
    for length in (*range(0, len(whole), 97), len(whole) - 1):
        cut.write_bytes(whole[:length])
        assert not addon.shots.is_whole(cut), length
    cut.write_bytes(b"no picture at all" * 100)
    assert not addon.shots.is_whole(cut)


def test_of_many_failed_frames_the_first_are_told(addon: Any) -> None:
    failed = {number: f"Frame {number}: no" for number in range(30, 0, -1)}
    told = addon.jobs._failures(failed, "frame")
    assert told[:10] == [f"Frame {number}: no" for number in range(1, 11)]
    assert told[10:] == [f"Also frames {', '.join(map(str, range(11, 31)))}."]
