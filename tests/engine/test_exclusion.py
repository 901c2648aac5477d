"""An area of the style picture that is excluded teaches nothing, and Provenance says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import cli
from engine.errors import EngineError
from engine.explain import provenance
from engine.explain.overlay import Overlay
from engine.explain.provenance import Reference
from engine.protocol import TrainRequest
from engine.training.config import PicturesConfig, from_json
from engine.training.pictures import style_pictures, without
from engine.training.teacher import Exemplar, Guide, TeacherConfig, paint, resize


def flat(height: int = 60, width: int = 100) -> Exemplar:
    return Exemplar(torch.zeros(3, height, width))


def test_areas_are_masked_to_the_pixel_they_touch() -> None:
    mask = without(flat(), (0.1, 0.25, 0.305, 0.5)).mask
    assert mask is not None
    wanted = np.ones((60, 100), np.uint8)
    wanted[15:30, 10:31] = 0
    assert np.array_equal(mask.numpy(), wanted)


def test_they_add_to_the_mask_and_leave_the_exemplar_as_it_was() -> None:
    dark = torch.ones(60, 100, dtype=torch.uint8)
    dark[:10] = 0
    exemplar = Exemplar(torch.zeros(3, 60, 100), mask=dark)
    both = without(exemplar, (0, 0.5, 1, 1, 0, 0, 0.1, 1)).mask
    assert both is not None and both.sum() == 20 * 90
    assert dark.sum() == 50 * 100
    assert without(exemplar, ()) is exemplar


def test_only_the_first_style_picture_loses_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (128, 128)).save(tmp_path / f"{name}.png")
    request = TrainRequest("job", (str(tmp_path / "a.png"), str(tmp_path / "b.png")), "", "")
    first, second = style_pictures(request, PicturesConfig(excluded=(0, 0, 0.25, 1)), 64)
    assert first.mask is not None and not first.mask[:, :32].any()
    assert second.mask is None


def test_what_leaves_no_crop_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (128, 128)).save(tmp_path / "a.png")
    request = TrainRequest("job", (str(tmp_path / "a.png"),), "", "")
    with pytest.raises(EngineError, match="holds no crop of 64"):
        style_pictures(request, PicturesConfig(excluded=(0, 0, 1, 0.6)), 64)


@pytest.mark.parametrize("numbers", [[0.1, 0.1, 0.5], [0.5, 0, 0.1, 1], [0, 0, 2, 1], [0, 0, "x", 1]])
def test_numbers_that_make_no_area_are_refused(numbers: list[object]) -> None:
    with pytest.raises(EngineError, match="excluded must be"):
        from_json({"excluded": numbers})


def test_the_command_takes_areas() -> None:
    arguments = cli._parser().parse_args(
        ["train", "--style-picture", "a.png", "--out", "o", "--exclude", "0,.1,0.5,1", "--exclude", "0,0,.2,.2"]
    )
    assert cli._config(arguments)["excluded"] == [0, 0.1, 0.5, 1, 0, 0, 0.2, 0.2]
    with pytest.raises(SystemExit):
        cli._parser().parse_args(["train", "--style-picture", "a.png", "--out", "o", "--exclude", "0,1,2"])


def test_the_likeness_to_an_excluded_area_falls_by_four_fifths() -> None:
    """Of what the teacher paints, whose strokes come from the very places; the student repeats it. What is surer than
    chance is gone."""
    rng = np.random.default_rng(0)
    style = torch.from_numpy(strokes(rng))
    content = resize(torch.from_numpy(rng.random((3, 8, 8), np.float32)), (96, 96)).clamp(0, 1)
    config = TeacherConfig(levels=(0.5, 1.0), rounds=(2, 2), tiles=1)
    region = np.ones((96, 96), bool)
    places = Reference([style.numpy()], 1.0)

    def masses(excluded: tuple[float, ...]) -> list[float]:
        exemplar = without(Exemplar(style), excluded)
        guide = Guide([content], [exemplar], config)
        painted = paint(content, [exemplar], guide, config, torch.Generator().manual_seed(0)).picture
        overlay = first(provenance.provenance(places, painted.numpy(), region, False))
        return [float(provenance.mass(overlay, style.numpy(), chance=by)[:, :64].sum()) for by in (0.0, places.chance)]

    before, after = masses(()), masses((0, 0, 0.5, 1))
    assert min(before) > 0.2
    assert after[0] <= 0.2 * before[0]
    assert after[1] <= 0.02 * before[1]


def strokes(rng: np.random.Generator) -> np.ndarray:
    """(3, 96, 128): patches of which none is like another"""
    small = rng.random((3, 24, 32)).astype(np.float32)
    return provenance.softened(provenance.softened(small.repeat(4, 1).repeat(4, 2), 1), 2)


def first(work: object) -> Overlay:
    return next(step for step in work if isinstance(step, Overlay))  # type: ignore[attr-defined]
