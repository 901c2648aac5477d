"""Baked textures: the background around islands runs into no stroke, and stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_styles

from engine.errors import EngineError
from engine.islands import filled
from engine.picture import Picture
from engine.protocol import PictureSource, PixelBlock, StyleShare, Stylized, StylizeRequest, StylizeSettings
from engine.stylize import stylize


def baked(background: float) -> tuple[np.ndarray, np.ndarray]:
    """An island of even grey in a corner of a texture, and where there is background"""
    outside = np.ones((64, 80), bool)
    outside[:40, :48] = False
    pixels = np.full((64, 80, 3), background * 255, np.uint8)
    pixels[~outside] = 150
    return pixels, outside


def test_the_background_becomes_what_is_nearest() -> None:
    pixels, outside = baked(0.0)
    pixels[:40, 24:48] = (10, 200, 60)
    full = filled(Picture(pixels, "srgb"), outside).pixels
    assert (full[~outside] == pixels[~outside]).all()
    assert (full[:40, 50] == (10, 200, 60)).all()
    assert (full[42, :16] == 150).all()
    assert (full[outside].max(axis=1) > 50).all(), "nothing is black"
    floats = np.where(outside[..., None], np.nan, pixels / np.float32(255)).astype(np.float32)
    assert np.isfinite(filled(Picture(floats, "linear"), outside).pixels).all(), "background may be anything"


@pytest.mark.parametrize("background", [0.0, 1.0])
def test_an_island_is_painted_as_if_there_were_no_background(tmp_path: Path, background: float) -> None:
    """A blur of an even island is that island, up to its very edge; the background comes back texel for texel."""
    pixels, outside = baked(background)
    blocks = []
    for name, values in (("texture", pixels), ("outside", np.uint8(outside)[..., None])):
        (tmp_path / name).write_bytes(values.tobytes())
        blocks.append(PixelBlock(str(tmp_path / name), values.shape, "uint8"))
    after = []
    for mask in (None, blocks[1]):
        source = PictureSource("texture", pixels=blocks[0], encoding="srgb", alpha="none", outside=mask)
        settings = StylizeSettings((StyleShare(str(tiny_styles.blur(tmp_path / f"blur{mask is None}"))),), device="cpu")
        events = stylize(StylizeRequest("job", (source,), settings, str(tmp_path), "pixels"))
        layer = next(event for event in events if isinstance(event, Stylized)).layers[0]
        after.append(np.fromfile(layer.pixels.path, np.uint8).reshape(layer.pixels.shape))
    assert (after[1] == pixels).all()
    assert (after[0][39, :46] != 150).all(), "without it, the background runs in"


def test_a_background_of_another_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(32 * 32 * 3))
    (tmp_path / "mask").write_bytes(bytes(16))
    block, mask = (
        PixelBlock(str(tmp_path / "raw"), (32, 32, 3), "uint8"),
        PixelBlock(str(tmp_path / "mask"), (4, 4, 1), "uint8"),
    )
    source = PictureSource("texture", pixels=block, encoding="srgb", alpha="none", outside=mask)
    settings = StylizeSettings((StyleShare(str(tiny_styles.identity(tmp_path / "identity"))),), device="cpu")
    with pytest.raises(EngineError, match="has not its size"):
        list(stylize(StylizeRequest("job", (source,), settings, str(tmp_path), "pixels")))
