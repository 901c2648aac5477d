"""The picture files that results are packed as: read back by other people's libraries, value by value."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender import bpy  # noqa: F401 - skips where there is no Blender

SIZES = ((1, 1), (1, 7), (7, 1), (16, 5), (17, 33), (64, 48))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png(addon: Any, size: tuple[int, int], channels: int) -> None:
    from PIL import Image

    rows = np.random.default_rng(1).integers(0, 256, (*size, channels), np.uint8)
    back = np.asarray(Image.open(io.BytesIO(addon.encode.png(rows))))
    assert np.array_equal(back.reshape(rows.shape), rows)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_exr(addon: Any, size: tuple[int, int], channels: int, smooth: bool, tmp_path: Path) -> None:
    import OpenEXR

    rows = np.random.default_rng(1).normal(0, 1000, (*size, channels)).astype(np.float32)
    if smooth:
        rows = np.cumsum(np.ones_like(rows), axis=0, dtype=np.float32)
    path = tmp_path / "a.exr"
    path.write_bytes(addon.encode.exr(rows))
    back = OpenEXR.File(str(path), separate_channels=True).channels()
    for number, name in enumerate("RGBA" if channels == 4 else "RGB"):
        assert np.array_equal(back[name].pixels, rows[:, :, min(number, channels - 1)]), name


def test_halves_are_written_as_floats(addon: Any, tmp_path: Path) -> None:
    import OpenEXR

    rows = np.random.default_rng(1).random((20, 20, 3)).astype(np.float16)
    (tmp_path / "a.exr").write_bytes(addon.encode.exr(rows))
    back = OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True).channels()
    assert np.array_equal(back["G"].pixels, rows[:, :, 1].astype(np.float32))
