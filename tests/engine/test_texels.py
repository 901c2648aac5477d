"""What a texture's pixels tell: does it repeat, and which of them does no surface show? On real pictures, too."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
from PIL import Image

REPO = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("texels", REPO / "blender_addon" / "texels.py")
assert spec and spec.loader
texels = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = texels  # dataclasses look for their module there
spec.loader.exec_module(texels)


def waves(size: int = 128, shift: float = 0.0) -> np.ndarray:
    """Tileable where shift is 0; otherwise the last column meets another one than it should"""
    y, x = np.mgrid[0:size, 0:size] / size
    values = np.sin(2 * np.pi * (3 * x + 2 * y)) + shift * x
    return np.repeat(values[..., None] / 4 + 0.5, 3, 2).astype(np.float32)


def test_seams() -> None:
    assert texels.wraps(waves())
    assert not texels.wraps(waves(shift=0.5))
    assert not texels.wraps(waves(shift=0.5).transpose(1, 0, 2)), "both ways"
    assert not texels.wraps(np.full((64, 64, 3), 0.5, np.float32)), "even borders say nothing"
    assert texels.wraps(np.random.default_rng(0).random((64, 64, 3), np.float32)), "grain repeats anywhere"
    assert not texels.wraps(waves(8))


def test_seams_of_real_pictures(shared: Path) -> None:
    """Textures that were made to repeat, against paintings and renders, which do not."""

    def repeats(path: Path) -> bool:
        return bool(texels.wraps(np.asarray(Image.open(path).convert("RGB"), np.float32) / 255))

    textures = sorted(shared.glob("content/textures/*.jpg"))
    others = [*sorted(shared.glob("styles/*.jpg")), *sorted(shared.glob("content/renders/*.jpg"))]
    assert textures and others
    assert sum(map(repeats, textures)) >= 0.95 * len(textures)
    assert sum(map(repeats, others)) <= 0.02 * len(others)


def test_faces_cover_the_texels_they_touch() -> None:
    square = np.float32([[[0.25, 0.25], [0.75, 0.25], [0.75, 0.5]], [[0.25, 0.25], [0.75, 0.5], [0.25, 0.5]]])
    expected = np.zeros((64, 128), bool)
    expected[16:32, 32:96] = True
    mask = texels.covered(square, (64, 128))
    assert mask[expected].all()
    grown = np.zeros_like(expected)
    grown[15:33, 31:97] = True
    assert not mask[~grown].any()
    assert (texels.covered(square + np.float32((3, -2)), (64, 128)) == mask).all(), "textures repeat"
    large = texels.covered(square, (8192, 8192))
    assert large.shape == (8192, 8192)
    assert abs(large.mean() - 0.125) < 0.003


def test_the_background_of_a_baked_texture() -> None:
    square = np.float32([[[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]], [[0.0, 0.0], [0.5, 0.5], [0.0, 0.5]]])
    rows = np.zeros((64, 64, 3), np.float32)
    rows[:36, :36] = np.random.default_rng(0).random((36, 36, 3))  # four texels of margin
    rows[10:20, 10:20] = 0  # black that a face shows
    found = texels.outside(rows, square)
    expected = np.ones((64, 64), bool)
    expected[:36, :36] = False
    assert (found == expected).all()
    assert texels.outside(np.random.default_rng(0).random((64, 64, 3), np.float32), square) is None, "no background"
    assert texels.outside(rows, None) is None
    clear = np.ones((64, 64, 4), np.float32)
    clear[40:, :, 3] = 0
    assert (texels.outside(clear, None) == (clear[..., 3] == 0)).all()
