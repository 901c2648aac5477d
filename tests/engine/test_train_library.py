"""The list of styles that ship: what it asks for can be trained."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.train_library import LIBRARY, LibraryStyle, picture_request
from engine.files import open_picture
from engine.style_pack import slug
from engine.training.config import PicturesConfig, from_json


def test_ten_styles_have_names_of_their_own() -> None:
    assert len({slug(style.name) for style in LIBRARY}) == len(LIBRARY) >= 10


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
