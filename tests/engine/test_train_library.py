"""The list of styles that ship: what it asks for can be trained."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import teacher
from benchmarks.materials import MATERIALS
from benchmarks.train_library import (
    KEYFRAME_STYLES,
    LIBRARY,
    TEXTURE_STYLES,
    LibraryStyle,
    TextureStyle,
    keyframe_request,
    picture_request,
    texture_request,
)
from engine import style_pack
from engine.files import open_picture
from engine.protocol import TrainRequest
from engine.style_pack import MANIFEST, slug
from engine.training.config import PicturesConfig, TextureConfig, from_json, to_json

SHIPPED = sorted(path.parent for path in Path(style_pack.__file__).parent.glob(f"styles/*/{MANIFEST}"))


def test_ten_styles_have_names_of_their_own() -> None:
    names = [style.name for style in (*LIBRARY, *KEYFRAME_STYLES, *TEXTURE_STYLES)]
    assert len({slug(name) for name in names}) == len(names) >= 10


@pytest.mark.parametrize("style", LIBRARY, ids=lambda style: style.name)
def test_the_settings_of_a_style_are_known(style: LibraryStyle) -> None:
    config = from_json({"name": style.name, "style_side": style.side, **style.settings})
    assert isinstance(config, PicturesConfig) and 700 <= config.style_side <= 1280


def test_an_exemplar_is_drawn_where_its_style_is_trained(tmp_path: Path) -> None:
    style = next(style for style in LIBRARY if style.picture == "risograph")
    asked = picture_request(style, tmp_path, Namespace(shared=tmp_path, work=tmp_path, set=["steps=7"]))
    assert open_picture(Path(asked.style_pictures[0])).width == 1280
    assert asked.config["teacher"] == style.settings["teacher"] and asked.config["steps"] == 7
    assert asked.config["licence"] == "CC0-1.0"


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_style_would_be_trained_again_as_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for material in MATERIALS:  # what they are drawn with takes a while, and tells nothing of settings
        monkeypatch.setitem(MATERIALS, material, lambda: np.zeros((64, 64, 3), np.uint8))
    recipe = json.loads((folder / MANIFEST).read_text())["recipe"]["training"]
    del recipe["device"]  # of the machine, not of the style
    config = json.loads(json.dumps(to_json(from_json(asked_again(recipe["name"], tmp_path).config))))
    assert of(recipe, config) == recipe


def asked_again(name: str, folder: Path) -> TrainRequest:
    """What train_library would ask for, with a blue picture for whatever lies in the shared folder."""
    arguments = Namespace(shared=folder, work=folder, set=[])
    (folder / "styles").mkdir()
    for path in ("styles/starry_night.jpg", "walk_0008_painted.png"):
        Image.new("RGB", (1024, 640), "blue").save(folder / path)
    for style in LIBRARY:
        if style.name == name:
            return picture_request(style, folder, arguments)
    for texture in TEXTURE_STYLES:
        if texture.name == name:
            return texture_request(texture, arguments)
    (painted,) = (style for style in KEYFRAME_STYLES if style.name == name)
    return keyframe_request(painted, arguments)


def of(recipe: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The settings that a recipe tells, which grow with every version, as another config has them."""
    return {key: of(value, config[key]) if isinstance(value, dict) else config[key] for key, value in recipe.items()}


def test_the_teacher_is_timed_on_exemplars_of_our_own_too(tmp_path: Path) -> None:
    """A fifth of the size: what it costs there is not asked for here."""
    style = replace(next(style for style in LIBRARY if style.picture == "risograph"), side=160)
    asked = Namespace(shared=tmp_path, rounds=1)
    row = teacher.measured([style], torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)), asked)
    assert row["style"] == "Risograph" and row["seconds"] > 0


@pytest.mark.parametrize("style", TEXTURE_STYLES, ids=lambda style: style.name)
def test_the_exemplar_of_a_texture_is_there_at_the_scale_of_training(style: TextureStyle, tmp_path: Path) -> None:
    (tmp_path / "styles").mkdir()
    Image.new("RGB", (1024, 640), "blue").save(tmp_path / "styles" / "starry_night.jpg")
    asked = texture_request(style, Namespace(shared=tmp_path, work=tmp_path, set=[]))
    config = from_json(asked.config)
    assert isinstance(config, TextureConfig)
    pictures = [open_picture(Path(path)) for path in asked.style_pictures]
    assert max(max(picture.width, picture.height) for picture in pictures) == config.style_side
