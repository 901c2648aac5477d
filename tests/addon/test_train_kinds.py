"""Training from keyframes, and of textures, from the panel: real renders, a real worker with torch, tiny settings."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender import bpy, ended, new_image, new_scene, pixels_of, pump, running, waves
from test_panels import draw

trains = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="this Python has no torch: the worker that trains is this Python"
)

SIZE = (72, 56)
TINY = {"batch": 2, "critic_scales": 1, "critic_width": 4, "steps": 4, "budget": 0.0, "preview_every": 2}
TINY |= {"r1_every": 2, "device": "cpu"}
NET = {"width": 8, "blocks": 1, "half": 4, "full": 4, "noise": 2}
SHOT = {**TINY, "crop": 48, "warm_up": 0.5, "generator": NET}
MATERIAL = {**TINY, "size": 64, "crop": 48, "style_side": 112, "patch_scales": 2, "directions": 8, "warm_up": 0.5}
MATERIAL |= {"generator": {**NET, "grain": 2, "eighth": 8, "quarter": 8, "distribution": "normal"}}


@pytest.fixture(scope="session")
def rendered(_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of a shot, with the passes of every guide, as this Blender writes them."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene, folder = new_scene(SIZE), tmp_path_factory.mktemp("shot")
    for name in ("diffuse_color", "normal", "z", "position", "uv"):
        setattr(scene.view_layers[0], f"use_pass_{name}", True)
    render_to(folder)
    bpy.ops.render.render(animation=True)
    return folder


def render_to(folder: Path) -> None:
    scene = bpy.context.scene
    if hasattr(scene.render.image_settings, "media_type"):
        scene.render.image_settings.media_type = "MULTI_LAYER_IMAGE"
    scene.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    scene.render.filepath, scene.frame_start, scene.frame_end = str(folder / "walk_"), 7, 9


@pytest.fixture
def chosen(addon: Any, rendered: Path, tmp_path: Path) -> Any:
    """The panel's settings: a Python that trains, no style, and a keyframe of the rendered shot's frame 8."""
    preferences = addon.props.library.preferences()
    preferences.styles_folder, preferences.python = str(tmp_path / "mine"), sys.executable
    preferences.can_train = True  # what is refused, and what is drawn, needs no torch
    (tmp_path / "mine").mkdir()
    addon.training.view = None
    render_to(rendered)
    settings = bpy.context.scene.pentimento_training
    settings.kind = "KEYFRAMES"
    add(settings, 8)
    return settings


def add(settings: Any, number: int, size: tuple[int, int] = SIZE) -> Any:
    """A painted keyframe without a file."""
    keyframe = settings.keyframes.add()
    keyframe.image, keyframe.number = new_image(f"Painted {number}", size), number
    return keyframe


def plan(addon: Any, config: dict[str, Any] = SHOT) -> Any:
    return addon.training.plan(bpy.context, config)


def start(addon: Any, config: dict[str, Any]) -> None:
    """As the button does: the training runs on, the operator has returned."""
    begun = plan(addon, config)
    job = addon.operators.training.training_job(begun.config["name"], begun.out, addon.training.requests(begun))
    addon.jobs.start(job)


def refused(said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.pentimento.train(settings=json.dumps(SHOT))


# ---------------------------------------------------------------- keyframes


@trains
def test_a_painted_frame_becomes_a_style_that_paints_the_shot(addon: Any, chosen: Any, rendered: Path) -> None:
    """Paused and resumed on the way; its guides are read from the frame that is painted."""
    chosen.keyframes[0].mask = new_image("Mask", SIZE)
    chosen.guides, chosen.name = {"normal", "uv"}, "My Walk"
    start(addon, {**SHOT, "steps": 100000})
    pump(addon.jobs, lambda: addon.training.view.caption != "", 90)
    assert {"reconstruction"} <= set(addon.training.view.losses)
    assert bpy.ops.pentimento.pause_training() == {"FINISHED"}
    assert "is paused" in ended(addon).message
    bpy.ops.wm.read_homefile(use_empty=True)
    (found,) = addon.training.unfinished()
    assert found.name == "My Walk"
    before = addon.training.view.losses["reconstruction"][-1][0]
    addon.jobs.start(
        addon.operators.training.training_job(
            found.name, Path(found.request.out), addon.training.resume_requests(found)
        )
    )
    pump(addon.jobs, lambda: addon.training.view.losses.get("reconstruction", [(0, 0)])[-1][0] > before, 90)
    assert bpy.ops.pentimento.stop_training() == {"FINISHED"}
    assert ended(addon).level == "INFO"
    assert "My Walk" in [item[0] for item in addon.props.library.style_items(None, None)]
    assert 0 not in addon.training.image_of(addon.training.PREVIEW).size[:]

    settings = bpy.context.scene.pentimento
    settings.style, settings.overlays = "My Walk", set()
    new_scene(SIZE)
    frame = shutil.copy(rendered / "walk_0009.exr", addon.props.library.user_styles().parent)
    assert bpy.ops.pentimento.stylize_render(filepath=frame) == {"FINISHED"}


@trains
def test_what_the_engine_is_asked_for(addon: Any, chosen: Any) -> None:
    """Keyframes, masks and frames are called by their numbers, so the engine pairs them; every frame is its own."""
    from engine.training.config import from_json
    from engine.training.keyframes import MOST, PRACTICE, paired

    assert (addon.training.MAX_KEYFRAMES, addon.training.MAX_FRAMES) == (MOST, PRACTICE)
    chosen.keyframes[0].mask = new_image("Mask", SIZE)
    add(chosen, 9)
    chosen.guides = {"uv", "albedo"}
    begun = addon.training.requests(plan(addon))
    request = next(filter(None, begun))
    frames = sorted(Path(request.frames).iterdir())
    assert [frame.name for frame in frames] == ["0007.exr", "0008.exr", "0009.exr"]
    assert {frame.stem: picture.name for frame, picture in paired(request.keyframes, frames, "keyframe").items()} == {
        "0008": "0008.png",
        "0009": "0009.png",
    }
    assert [frame.stem for frame in paired(request.masks, frames, "mask")] == ["0008"]
    config = from_json(request.config)
    assert config.kind == "keyframes" and config.generator.guides == ("albedo", "uv") and config.generator.width == 8


def test_of_a_long_shot_the_ends_and_the_painted_frames_are_taken(addon: Any, chosen: Any, tmp_path: Path) -> None:
    for number in range(101, 301):
        (tmp_path / f"walk_{number:04d}.png").write_bytes(addon.encode.png(np.zeros((SIZE[1], SIZE[0], 3), np.uint8)))
    chosen.shot, chosen.folder, chosen.keyframes[0].number = "FOLDER", str(tmp_path), 202
    numbers = [number for number, _ in plan(addon).frames]
    assert len(numbers) == addon.training.MAX_FRAMES + 1
    assert {101, 202, 300} <= set(numbers)


def test_keyframes_that_cannot_be_are_refused_at_once(addon: Any, chosen: Any, tmp_path: Path) -> None:
    keyframe = chosen.keyframes[0]
    keyframe.number = 12
    refused(r"no frame 12 for the keyframe 'Painted 8'.*\n?.*there are 3, from 7 to 9")
    keyframe.number = 8
    keyframe.mask = new_image("Small Mask", (48, 32))
    refused(r"mask 'Small Mask' has 48 x 32 pixels, its frame walk_0008.exr 72 x 56.*\n?.*neither cropped nor scaled")
    keyframe.mask = None
    add(chosen, 8)
    refused(r"'Painted 8' and 'Painted 8.001' are both said to be frame 8")
    chosen.keyframes[1].number, chosen.keyframes[1].image = 9, new_image("Cropped", (64, 56))
    refused("keyframe 'Cropped' has 64 x 56 pixels, its frame walk_0009.exr 72 x 56")
    for number in range(4):
        add(chosen, number)
    refused(r"There are 6 keyframes.*\n?.*Keep the five")
    chosen.keyframes.clear()
    refused("There is no keyframe.*Paint over a frame")
    assert addon.jobs.TRAINING.slot.worker is None
    assert not list((tmp_path / "mine").iterdir())


def test_a_shot_that_cannot_be_is_refused_at_once(addon: Any, chosen: Any, tmp_path: Path) -> None:
    bpy.context.scene.render.filepath = str(tmp_path / "nothing_")
    refused("no rendered frames in.*choose a folder with the frames")
    chosen.shot, chosen.folder = "FOLDER", str(tmp_path)
    refused("no frames in")
    png = addon.encode.png(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    (tmp_path / "walk_8.png").write_bytes(png)
    chosen.guides = {"normal", "depth"}
    refused(r"walk_8.png has no pass for the guides Normal, Depth.*\n?.*Data > Normal, Data > Z")
    (tmp_path / "run_08.png").write_bytes(png)
    refused(r"run_08.png and walk_8.png both have the number 8.*\n?.*one shot in the folder")
    for name in ("run_08.png", "walk_8.png"):
        (tmp_path / name).write_bytes(png[:20])
    (tmp_path / "run_08.png").unlink()
    refused("walk_8.png is damaged")


def test_a_painted_frame_may_lie_among_the_frames(addon: Any, chosen: Any, tmp_path: Path) -> None:
    """As another file, or as the frame's own that was painted over in Blender and not saved."""
    png = addon.encode.png(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    for name in ("walk_0008.png", "walk_0008_painted.png", "walk_0009.png", "cover.png"):
        (tmp_path / name).write_bytes(png)
    chosen.shot, chosen.folder = "FOLDER", str(tmp_path)
    for painted in ("walk_0008_painted.png", "walk_0008.png"):
        chosen.keyframes[0].image = bpy.data.images.load(str(tmp_path / painted))
        if painted == "walk_0008.png":
            (tmp_path / "walk_0008_painted.png").unlink()
        assert [(number, path.name) for number, path in plan(addon).frames] == [
            (8, "walk_0008.png"),
            (9, "walk_0009.png"),
        ]


@pytest.mark.parametrize(
    ("file", "number"),
    [
        ("walk_0008_painted.png", 8),
        ("walk_0008_v2.png", 8),  # by the frame's name, not by the last number
        ("mine_v2_0009.png", 9),
        ("20261127123456_9.png", 9),
        ("painted.png", 5),  # the current frame
        ("", 5),
    ],
)
def test_the_number_is_guessed(addon: Any, chosen: Any, file: str, number: int, tmp_path: Path) -> None:
    bpy.context.scene.frame_current = 5
    image = new_image("Other 3", SIZE)
    image.filepath_raw = file and str(tmp_path / file)
    assert addon.training.guessed_number(bpy.context.scene, image) == number


def test_opened_keyframes_bring_their_numbers(addon: Any, chosen: Any, tmp_path: Path) -> None:
    chosen.keyframes.clear()
    for name in ("walk_0007_mine.png", "walk_0009_mine.png"):
        (tmp_path / name).write_bytes(addon.encode.png(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)))
    files = [{"name": "walk_0007_mine.png"}, {"name": "walk_0009_mine.png"}]
    for _ in range(2):  # once is enough
        assert bpy.ops.pentimento.open_style_pictures(directory=str(tmp_path), files=files) == {"FINISHED"}
    assert [keyframe.number for keyframe in chosen.keyframes] == [7, 9]
    assert len(chosen.pictures) == 0, "each kind has a list of its own"
    assert addon.training.style_name(chosen) == "Walk 0007 Mine"
    assert bpy.ops.pentimento.remove_style_picture(index=0) == {"FINISHED"}
    bpy.context.scene.frame_current = 8
    assert bpy.ops.pentimento.add_style_picture() == {"FINISHED"}
    assert [keyframe.number for keyframe in chosen.keyframes] == [9, 8]


# ---------------------------------------------------------------- guides


def test_the_panel_offers_the_guides_that_the_frames_have(
    addon: Any, chosen: Any, rendered: Path, tmp_path: Path
) -> None:
    from engine.guides import GUIDES

    assert addon.training.guides_there(bpy.context.scene, chosen) == list(GUIDES)
    said = draw(addon, "ImageTrainingPanel").split()
    assert {"kind", "number", "mask", "shot", "guides", "effort"} <= set(said) and "content" not in said
    assert "Painted 8" in draw(addon, "ImageTrainingPanel")
    chosen.shot, chosen.folder = "FOLDER", str(rendered)
    assert addon.training.guides_there(bpy.context.scene, chosen) == list(GUIDES)
    (tmp_path / "frames").mkdir()
    chosen.folder = str(tmp_path / "frames")
    assert addon.training.guides_there(bpy.context.scene, chosen) == []
    assert "guides" not in draw(addon, "ViewportTrainingPanel").split()
    chosen.guides = {"uv"}
    assert "guides" in draw(addon, "ViewportTrainingPanel").split(), "what is on can be switched off"
    chosen.keyframes.clear()
    assert "No Keyframe" in draw(addon, "ViewportTrainingPanel")


def test_guides_are_those_of_the_engine(addon: Any, styles: Any) -> None:
    from engine.guides import GUIDES
    from engine.passes import canonical

    assert list(addon.props.choices.GUIDES) == list(GUIDES)
    for name, guide in GUIDES.items():
        ours = addon.props.choices.GUIDES[name]
        assert {canonical(one) for one in ours.passes} == {guide.source} and ours.switch == guide.switch


# ---------------------------------------------------------------- headers


@pytest.fixture
def header(addon: Any) -> Callable[[Path], Any]:
    return addon.training.shots.header


def test_a_header_says_what_the_engine_reads(header: Callable[[Path], Any], rendered: Path, tmp_path: Path) -> None:
    from PIL import Image

    from engine.files import open_picture
    from engine.passes import canonical, painted_passes

    picture = Image.fromarray(np.zeros((37, 61, 3), np.uint8))
    for name, options in {"a.png": {}, "a.jpg": {}, "b.jpeg": {"progressive": True}}.items():
        picture.save(tmp_path / name, **options)
    start = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "padded.jpg").write_bytes(start[:2] + b"\xff\xff" + start[2:])  # a mark may be
    for file in (*tmp_path.iterdir(), rendered / "walk_0008.exr"):
        reader, found = open_picture(file), header(file)
        assert found.size == (reader.width, reader.height), file.name
        assert {canonical(name) for name in found.passes} == set(painted_passes(file) or ())


def test_passes_of_one_part_are_found(header: Callable[[Path], Any], tmp_path: Path) -> None:
    """As Blender 4 writes them, and as files without view layers are."""
    from engine.exr import ExrLayer, write_exr

    plane = np.zeros((20, 30), np.float16)
    layers = [ExrLayer("ViewLayer.DiffCol", dict.fromkeys("RGB", plane)), ExrLayer("UV", dict.fromkeys("UV", plane))]
    write_exr(tmp_path / "one.exr", [*layers, ExrLayer("", dict.fromkeys("RGB", plane))])
    assert header(tmp_path / "one.exr") == type(header(tmp_path / "one.exr"))((30, 20), frozenset({"DiffCol", "UV"}))


@pytest.mark.parametrize("kept", [0, 3, 6, 20, 60, 200])
def test_a_broken_header_is_said(
    header: Callable[[Path], Any], addon: Any, rendered: Path, tmp_path: Path, kept: int
) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "whole.jpg")
    for file in (rendered / "walk_0008.exr", tmp_path / "whole.jpg"):
        (tmp_path / "broken").write_bytes(file.read_bytes()[: min(kept, 100) if file.suffix == ".jpg" else kept])
        with pytest.raises(addon.engine_client.EngineError, match="broken is damaged"):
            header(tmp_path / "broken")
    with pytest.raises(addon.engine_client.EngineError, match=r"gone\.png cannot be read"):
        header(tmp_path / "gone.png")


# ---------------------------------------------------------------- textures


@trains
def test_a_material_is_trained_and_new_texture_makes_it(addon: Any, chosen: Any) -> None:
    chosen.kind = "TEXTURE"
    assert "No Exemplar" in draw(addon, "ImageTrainingPanel")
    refused("There is no exemplar.*picture of the material")
    chosen.pictures.add().image = waves("old_stone.png")
    said = draw(addon, "ImageTrainingPanel")
    assert "Train Old Stone" in said and not {"content", "shot", "guides", "folder"} & set(said.split())
    assert bpy.ops.pentimento.train(settings=json.dumps(MATERIAL)) == {"FINISHED"}
    assert "Old Stone" in [style.name for style in addon.props.library.texture_styles()]
    assert addon.props.library.style_of("Old Stone") is None, "it paints no pictures"
    assert addon.training.unfinished() == () and running(addon) is None
    assert {"patches"} <= set(addon.training.view.losses)
    settings = bpy.context.scene.pentimento_texture
    settings.style, settings.width, settings.height = "Old Stone", 64, 48
    assert bpy.ops.pentimento.new_texture() == {"FINISHED"}
    assert pixels_of(bpy.data.images["Old Stone 0"])[:, :, :3].std() > 0.01
