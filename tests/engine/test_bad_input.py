"""Input of every sort, for either kind of style: refused with its fix before the first step, or trained on where it is
fine. What only pictures know (weights, masks, broken contents) is in test_from_pictures.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_from_pictures import damage, save, waves
from test_from_pictures import request as from_pictures
from test_keyframes import QUICK as KEYFRAMES

from engine.errors import EngineError
from engine.png import create_png
from engine.protocol import Done, SourceFailed, TrainRequest, TrainStep
from engine.training.config import KeyframesConfig, from_json
from engine.training.keyframes import FromKeyframes
from engine.training.loop import train

SIZE = (52, 70)


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    """A painting with two contents; and two frames, of which the second is painted over."""
    for phase, name in enumerate(("painting.png", "content/a.png", "content/b.png")):
        save(waves(phase), tmp_path / name)
    for phase, name in enumerate(("shot/1.png", "shot/2.png", "2_painted.png")):
        save(waves(3.0 + phase, *SIZE), tmp_path / name)
    return tmp_path


def from_keyframes(folder: Path, **changes: Any) -> TrainRequest:
    """Without guides, for frames that are no renders."""
    generator = {**KEYFRAMES["generator"], "guides": []}  # type: ignore[dict-item]
    return TrainRequest(
        "job", (), "", str(folder / "style"), {**KEYFRAMES, "generator": generator, **changes},
        frames=str(folder / "shot"), keyframes=(str(folder / "2_painted.png"),),
    )  # fmt: skip


def refused(asked: TrainRequest) -> EngineError:
    """With what is to be done about it, and before a step: nothing lies there that would have to be resumed."""
    with pytest.raises(EngineError) as caught:
        for event in train(asked):
            assert not isinstance(event, TrainStep)
    assert caught.value.fix
    assert not (Path(asked.out + ".training") / "state.safetensors").exists()
    return caught.value


# ---------------------------------------------------------------- refused


def empty(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.unlink()


def text(path: Path) -> None:
    path.write_text("a recipe for pancakes")


def tiny(path: Path) -> None:
    save(waves(0.0, 8, 8), path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: empty(folder / "shot"), "no picture"),
        (lambda folder: damage(folder / "2_painted.png"), "2_painted.png"),
        (lambda folder: text(folder / "2_painted.png"), "2_painted.png"),
        (lambda folder: tiny(folder / "2_painted.png"), "2_painted.png"),
        (lambda folder: damage(folder / "shot" / "2.png"), "2.png"),
        (lambda folder: tiny(folder / "shot" / "1.png"), "1.png"),
        (lambda folder: save(waves(0.0, 70, 52), folder / "2_painted.png"), "52 x 70 pixels, its frame 2.png 70 x 52"),
        (lambda folder: save(np.zeros((*SIZE, 4)), folder / "2_painted.png"), "transparent"),
    ],
)
def test_keyframes_that_cannot_be_used(studio: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(studio)
    assert said in refused(from_keyframes(studio)).message


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: empty(folder / "content"), "no picture in the content folder"),
        (lambda folder: (folder / "content" / "a.png").unlink(), "only one picture"),
        (lambda folder: text(folder / "content" / "a.png"), "only one picture"),
        (lambda folder: tiny(folder / "content" / "a.png"), "only one picture"),
        (lambda folder: damage(folder / "painting.png"), "painting.png"),
        (lambda folder: tiny(folder / "painting.png"), "painting.png"),
    ],
)
def test_pictures_that_cannot_be_used(studio: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(studio)
    assert said in refused(from_pictures(studio)).message


@pytest.mark.parametrize("kind", [from_pictures, from_keyframes])
def test_no_room_for_checkpoints(kind: Callable[..., TrainRequest], studio: Path, small_disk: Path) -> None:
    asked = replace(kind(studio), out=str(small_disk / "style"))
    error = refused(asked)
    assert "checkpoints" in error.message and "another disk" in error.fix


# ---------------------------------------------------------------- fine


def grey(path: Path) -> None:
    Image.open(path).convert("L").save(path)


def clear(path: Path) -> None:
    """With an alpha channel, transparent in a corner."""
    pixels = np.asarray(Image.open(path).convert("RGBA")).copy()
    pixels[:20, :20, 3] = 0
    Image.fromarray(pixels).save(path)


def deep(path: Path) -> None:
    pixels = np.asarray(Image.open(path)).astype(np.uint16) * 257
    with create_png(path, *pixels.shape, np.uint16) as png:
        png.write_rows(pixels)


@pytest.mark.parametrize("change", [grey, clear, deep])
@pytest.mark.parametrize("kind", [from_pictures, from_keyframes])
def test_every_picture_may_be_of_that_sort(
    kind: Callable[..., TrainRequest], studio: Path, change: Callable[[Path], None]
) -> None:
    for path in studio.rglob("*.png"):
        change(path)
    events = list(train(kind(studio, steps=2)))
    assert isinstance(events[-1], Done)
    assert not any(isinstance(event, SourceFailed) for event in events)


def test_where_a_keyframe_is_transparent_it_teaches_nothing(studio: Path) -> None:
    clear(studio / "2_painted.png")
    asked = from_keyframes(studio)
    config = from_json(asked.config)
    assert isinstance(config, KeyframesConfig)
    (found,) = FromKeyframes(config, asked).keyframes
    assert not found.mask[0, :20, :20].any()
    assert found.mask[0, 20:].all() and found.mask[0, :, 20:].all()
