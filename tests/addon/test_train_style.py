"""Training from the panel: real pictures, a real worker with torch, tiny settings."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender import FAKE_WORKER, bpy, ended, new_image, pixels_of, pump, running, waves

torch = pytest.importorskip("torch", reason="this Python has no torch: the worker that trains is this Python")

TINY = {
    "size": 64,
    "style_side": 96,
    "crop": 48,
    "critic_scales": 1,
    "pairs": 2,
    "steps": 4,
    "budget": 0.0,
    "preview_every": 2,
    "critic_width": 4,
    "device": "cpu",
    "generator": {"width": 8, "blocks": 1, "half": 4, "full": 4, "noise": 2},
    "teacher": {"levels": [0.5, 1.0], "rounds": [1, 1], "keys": 500},
}


@pytest.fixture
def chosen(addon: Any, tmp_path: Path) -> Any:
    """The panel's settings: a Python that trains, an empty folder of styles, a painting and two open textures."""
    preferences = addon.props.library.preferences()
    preferences.styles_folder, preferences.python = str(tmp_path / "mine"), sys.executable
    (tmp_path / "mine").mkdir()
    addon.training.view = None
    settings = bpy.context.scene.pentimento_training
    settings.pictures.add().image = waves("long_waves.png")
    waves("Stone", 1.0)
    waves("Light", 2.0, is_float=True)
    settings.content = "IMAGES"
    return settings


def train(**changes: Any) -> Any:
    return bpy.ops.pentimento.train(settings=json.dumps({**TINY, **changes}))


def start(addon: Any, **changes: Any) -> None:
    """As the button does: the training runs on, the operator has returned."""
    operator = addon.operators.training.Train
    plan = addon.training.plan(bpy.context, {**TINY, **changes})
    job = addon.operators.training.training_job(plan.config["name"], plan.out, addon.training.requests(plan))
    assert operator.bl_idname == "pentimento.train"
    addon.jobs.start(job)


def refused(said: str, **changes: Any) -> None:
    with pytest.raises(RuntimeError, match=said):
        train(**changes)


def test_a_style_is_trained_and_stands_in_the_picker(addon: Any, chosen: Any, tmp_path: Path) -> None:
    chosen.author, chosen.licence = "Tests", "CC0-1.0"
    before = pixels_of(bpy.data.images["Stone"]).copy()
    assert train() == {"FINISHED"}
    assert addon.jobs.last_report(addon.jobs.TRAINING).message == "Training Long Waves: done."
    style = addon.props.library.style_of("Long Waves")
    assert style.folder.parent == tmp_path / "mine"
    assert (style.author, style.licence) == ("Tests", "CC0-1.0")
    assert "Long Waves" in [item[0] for item in addon.props.library.style_items(None, None)]
    assert addon.training.unfinished() == ()

    training = addon.training
    preview, drawn = training.image_of(training.PREVIEW), training.image_of(training.CURVES)
    assert Path(preview.filepath).name == "training_sheet.png"
    assert 0 not in preview.size[:]
    assert training.view.caption == "Training sheet"
    assert {"reconstruction", "code"} <= set(training.view.losses)
    assert tuple(drawn.size) == training.CURVES_SIZE
    for image in (preview, drawn):
        assert max(image.preview.image_size) <= training.ICON
        assert np.ptp(np.array(image.preview.image_pixels_float[:])) > 0.3

    settings = bpy.context.scene.pentimento
    settings.style, settings.overlays = "Long Waves", set()
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
    assert np.abs(pixels_of(bpy.data.images["Stone (Long Waves)"]) - before).max() > 0.02


def test_open_images_are_handed_over_as_they_are(addon: Any, chosen: Any, tmp_path: Path) -> None:
    """Bytes as the stored bytes, floats as scene-linear light; numbers, results of ours and the style stay out."""
    from engine.files import open_picture

    new_image("Normals", is_data=True)
    result = new_image("Stone (Brush)")
    result[addon.scene_io.SOURCE] = "Stone"
    plan = addon.training.plan(bpy.context, TINY)
    assert set(plan.images) == {"Stone", "Light"}
    begun = addon.training.requests(plan)
    request = next(filter(None, begun))
    written = {path.suffix: path for path in Path(request.content).iterdir()}
    assert set(written) == {".png", ".exr"}
    for suffix, name in ((".png", "Stone"), (".exr", "Light")):
        reader = open_picture(written[suffix])
        pixels = reader.read(0, 0, reader.height, reader.width)
        stored = pixels_of(bpy.data.images[name])[::-1, :, :3]
        scale = 255 if suffix == ".png" else 1
        assert np.allclose(np.asarray(pixels, np.float32)[:, :, :3] / scale, stored, atol=1e-6), name


def test_the_frames_of_the_scene_are_practised_on(addon: Any, chosen: Any, tmp_path: Path) -> None:
    scene = bpy.context.scene
    scene.render.filepath, scene.frame_start, scene.frame_end = str(tmp_path / "shot_"), 1, 100
    scene.render.image_settings.file_format = "PNG"
    chosen.content = "FRAMES"
    refused("no rendered frames in")
    picture = bpy.data.images["Stone"]
    picture.filepath_raw, picture.file_format = str(tmp_path / "shot_0001.png"), "PNG"
    picture.save()
    refused("only one picture to practise on.*\\n?.*Render some more")
    (tmp_path / "other_0002.png").write_bytes((tmp_path / "shot_0001.png").read_bytes())
    for number in range(2, 101):
        shutil.copy(tmp_path / "shot_0001.png", tmp_path / f"shot_{number:04d}.png")
    plan = addon.training.plan(bpy.context, TINY)
    assert len(plan.frames) == addon.training.MAX_PICTURES
    assert [plan.frames[place][1].name for place in (0, -1)] == ["shot_0001.png", "shot_0100.png"]
    begun = addon.training.requests(plan)
    request = next(filter(None, begun))
    assert len(list(Path(request.content).iterdir())) == addon.training.MAX_PICTURES


def test_a_folder_is_practised_on_where_it_lies(addon: Any, chosen: Any, tmp_path: Path) -> None:
    chosen.content, chosen.folder = "FOLDER", str(tmp_path / "photos")
    refused("no folder")
    (tmp_path / "photos").mkdir()
    refused("There is no picture in the content folder")
    assert not list((tmp_path / "mine").iterdir()), "a training that never began leaves nothing behind"
    assert addon.training.plan(bpy.context, TINY).folder == str(tmp_path / "photos")


@pytest.mark.parametrize(("effort", "minutes"), [("QUICK", 5), ("STANDARD", 15), ("FINE", 60)])
@pytest.mark.parametrize("kind", ["PICTURES", "KEYFRAMES", "TEXTURE"])
def test_an_effort_is_a_time(addon: Any, chosen: Any, kind: str, effort: str, minutes: int) -> None:
    """The engine knows every setting; where steps are told, Standard has those of its defaults."""
    from engine.training.config import CONFIGS, from_json

    chosen.kind, chosen.effort = kind, effort
    config = from_json(addon.props.training_config(chosen, "Name"))
    assert isinstance(config, CONFIGS[kind.lower()])
    assert config.budget == 60 * minutes
    if kind == "PICTURES":
        assert config.steps == 0, "no number of steps ends it before its time is over, however fast the computer"
    elif effort == "STANDARD":
        assert config.steps == CONFIGS[kind.lower()]().steps
    assert f"At most {minutes} minutes" in addon.props.effort_of(chosen).about


def test_what_is_missing_is_said_before_anything_starts(addon: Any, chosen: Any, tmp_path: Path) -> None:
    chosen.pictures[0].image = None
    refused("no style picture.*Add at least one")
    chosen.pictures[0].image = bpy.data.images.new("Tiles", 8, 8, tiled=True)
    refused("UDIM")
    chosen.pictures[0].image = bpy.data.images["Stone"]
    for name in ("Light", "long_waves.png", "Tiles"):
        bpy.data.images.remove(bpy.data.images[name])
    refused("no open image to practise on")
    assert addon.jobs.TRAINING.slot.worker is None
    assert not list((tmp_path / "mine").iterdir())


def test_without_a_python_that_trains_it_says_what_to_do(addon: Any, chosen: Any) -> None:
    preferences = addon.props.library.preferences()
    preferences.can_train = False
    refused("cannot train: it lacks one of torch, onnx, safetensors. *\\n?.*Check Python")
    preferences.python, preferences.can_train = "", False
    refused("needs a Python with PyTorch.*\\n?.*Press Set Up in the add-on's preferences")
    assert "-m pip install" in addon.setting_up.setup_commands()
    assert " torch==" in addon.setting_up.setup_commands()


def test_pause_and_resume_on_another_day(addon: Any, chosen: Any, tmp_path: Path) -> None:
    """Another Blender finds it: the images are gone, only the folder is left."""
    start(addon, steps=100000, diagnose_every=2)
    pump(addon.jobs, lambda: addon.training.view.caption != "", 90)
    assert addon.training.view.caption == "Step 2"
    assert running(addon).fraction > 0
    assert "Step" in running(addon).stage
    assert bpy.ops.pentimento.pause_training() == {"FINISHED"}
    report = ended(addon)
    assert report.level == "WARNING"
    assert "is paused" in report.message
    assert addon.props.library.style_of("Long Waves") is None

    bpy.ops.wm.read_homefile(use_empty=True)
    (found,) = addon.training.unfinished()
    assert found.name == "Long Waves"
    # The rest of the long run is too long for a test: the request says how far it goes.
    path = tmp_path / "mine" / "long_waves.training" / addon.training.REQUEST
    path.write_text(path.read_text().replace("100000", "1"))
    addon.training.forget()
    addon.training.watch("Long Waves", Path(found.request.out))
    assert addon.training.view.losses["code"][0][0] == 2, "curves go on from what the diagnoses say"
    assert bpy.ops.pentimento.resume_training(name="Long Waves") == {"FINISHED"}
    assert addon.props.library.style_of("Long Waves")
    assert addon.training.unfinished() == ()


def test_closing_blender_keeps_the_training_where_it_is(
    addon: Any, chosen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes its add-ons down when it closes, and they their jobs."""
    monkeypatch.setattr(addon.jobs, "PARTING", 60.0)  # however busy the computer is
    start(addon, steps=100000, preview_every=100000, diagnose_every=100000)
    pump(addon.jobs, lambda: "code" in addon.training.view.losses, 90)
    addon.jobs.stop()
    assert (tmp_path / "mine" / "long_waves.training" / "state.safetensors").exists()
    assert [found.name for found in addon.training.unfinished()] == ["Long Waves"]


@pytest.fixture
def fake_worker(addon: Any, chosen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that begins and never comes to an end, for what does not need torch."""
    monkeypatch.setattr(addon.engine_client, "command", lambda _python: [sys.executable, str(FAKE_WORKER), "slow"])


def test_an_unfinished_training_is_never_overwritten(
    addon: Any, chosen: Any, tmp_path: Path, fake_worker: None
) -> None:
    start(addon)
    pump(addon.jobs, lambda: running(addon).fraction > 0, 30)
    (tmp_path / "mine" / "long_waves.training" / "config.json").write_text("{}")  # as the engine when it has begun
    bpy.ops.pentimento.pause_training()
    ended(addon)
    refused("'Long Waves' is unfinished.*\\n?.*Resume or discard")
    with pytest.raises(RuntimeError, match="no unfinished training of 'Other'"):
        bpy.ops.pentimento.discard_training(name="Other")
    assert bpy.ops.pentimento.discard_training(name="Long Waves") == {"FINISHED"}
    assert not list((tmp_path / "mine").iterdir())
    for name in ("Starry Night", "Fieldstone"):  # one for pictures, one for textures
        chosen.name = name
        refused(f"a style called {name!r} already")


def test_painting_goes_on_while_a_style_is_trained(addon: Any, chosen: Any, packs: Path) -> None:
    """In a worker of its own; neither undo nor another file ends it."""
    shutil.copytree(packs / "identity", Path(addon.props.library.preferences().styles_folder, "identity"))
    addon.props.library.refresh_styles()
    bpy.context.scene.pentimento.style = "Identity"
    start(addon, steps=100000)
    pump(addon.jobs, lambda: addon.training.view.caption != "", 90)
    with pytest.raises(RuntimeError):
        train()  # one at a time
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
    assert "Stone (Identity)" in bpy.data.images
    bpy.ops.ed.undo_push(message="one")
    bpy.context.scene.frame_current = 7
    bpy.ops.ed.undo_push(message="two")
    bpy.ops.ed.undo()
    bpy.ops.wm.read_homefile(use_empty=True)
    assert running(addon)
    step = addon.training.view.losses["code"][-1][0]
    pump(addon.jobs, lambda: addon.training.view.losses["code"][-1][0] > step, 30)
    assert addon.training.image_of(addon.training.CURVES), "shown in the file that is open now"
    addon.jobs.cancel(addon.jobs.TRAINING)
    ended(addon)


def test_the_artist_says_finish_now(addon: Any, chosen: Any) -> None:
    start(addon, steps=100000)
    pump(addon.jobs, lambda: "code" in addon.training.view.losses, 90)
    assert bpy.ops.pentimento.stop_training() == {"FINISHED"}
    assert ended(addon).level == "INFO"
    assert addon.props.library.style_of("Long Waves")
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.pentimento.stop_training()


def test_pictures_are_added_and_removed_with_undo(addon: Any, chosen: Any) -> None:
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.pentimento.add_style_picture() == {"FINISHED"}
    assert len(bpy.context.scene.pentimento_training.pictures) == 2
    bpy.ops.ed.undo_push(message="Add Style Picture")
    bpy.ops.ed.undo()
    assert len(bpy.context.scene.pentimento_training.pictures) == 1
    assert bpy.ops.pentimento.remove_style_picture(index=0) == {"FINISHED"}
    assert len(bpy.context.scene.pentimento_training.pictures) == 0


def test_files_are_opened_as_style_pictures(addon: Any, chosen: Any, tmp_path: Path) -> None:
    chosen.pictures.clear()
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(addon.encode.png(np.full((64, 64, 3), 90, np.uint8)))
    files = [{"name": "a.png"}, {"name": "b.png"}]
    for _ in range(2):  # once is enough
        assert bpy.ops.pentimento.open_style_pictures(directory=str(tmp_path), files=files) == {"FINISHED"}
    assert [picture.image.name for picture in chosen.pictures] == ["a.png", "b.png"]
    with pytest.raises(RuntimeError, match=r"gone\.png"):
        bpy.ops.pentimento.open_style_pictures(directory=str(tmp_path), files=[{"name": "gone.png"}])


@pytest.fixture
def draw_curves(addon: Any) -> Callable[..., np.ndarray]:
    return addon.training.curves.drawn


def test_a_curve_lies_where_its_numbers_say(draw_curves: Callable[..., np.ndarray]) -> None:
    red, green = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    falling = [(float(step), 1.0 - step / 100) for step in range(101)]
    late = [(float(step), 0.5) for step in range(50, 101)]
    picture = draw_curves({"a": falling, "b": late}, (red, green), 200, 100)
    assert picture.shape == (100, 200, 4)
    is_red, is_green = ((picture[:, :, :3] == colour).all(2) for colour in (red, green))
    heights = [np.flatnonzero(is_red[:, column]).mean() for column in (10, 60, 90)]
    assert heights == pytest.approx([94 - 0.44 * 10, 94 - 0.44 * 60, 94 - 0.44 * 90], abs=3), "bottom row first"
    assert not is_green[:, :95].any()
    assert is_green[:, 105:].any(0).all(), "without gaps"


def test_a_curve_of_one_number_or_none_draws_nothing(draw_curves: Callable[..., np.ndarray]) -> None:
    picture = draw_curves({"a": [(1.0, 0.5)], "b": []}, ((1.0, 0.0, 0.0),) * 2, 64, 32)
    assert np.ptp(picture[:, :, :3], axis=2).max() == 0
