"""Image textures painted here, pixel by pixel. Needs bpy for the datablock only."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray


def new_image(name: str, pixels: NDArray[Any]) -> Any:
    """An 8-bit image datablock from (H, W, 3) display-referred 0..1, row 0 at the top; packed, so that it is saved."""
    height, width = pixels.shape[:2]
    image: Any = bpy.data.images.new(name, width, height)
    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., :3] = pixels[::-1]
    image.pixels.foreach_set(rgba.ravel())
    image.update()
    image.pack()
    return image


def tablecloth(edge: int = 512) -> NDArray[Any]:
    """Printed linen, (edge, edge, 3) display-referred 0..1: stripes and flowers. Wraps in both directions."""
    y, x = np.mgrid[0:edge, 0:edge] / edge
    cloth = np.empty((edge, edge, 3))
    cloth[:] = (0.93, 0.89, 0.80)
    _paint(cloth, np.abs(x - 0.5) > 0.36, (0.74, 0.17, 0.15))
    _paint(cloth, np.abs(np.abs(x - 0.5) - 0.325) < 0.012, (0.16, 0.30, 0.55))
    for middle in (0.25, 0.75):
        _flower(cloth, x - 0.5, y - middle)
    threads = 0.5 + 0.5 * np.sin(2 * np.pi * 96 * x) * np.sin(2 * np.pi * 96 * y)
    return cloth * (0.93 + 0.07 * threads[..., None])


def _flower(cloth: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> None:
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    for turn in (0.9, 4.0):
        leaf = np.hypot(
            (x * np.cos(turn) + y * np.sin(turn) - 0.145) / 0.06, (y * np.cos(turn) - x * np.sin(turn)) / 0.022
        )
        _paint(cloth, leaf < 1, (0.30, 0.48, 0.27))
    _paint(cloth, radius < 0.105 * (0.72 + 0.28 * np.cos(6 * angle)), (0.20, 0.36, 0.66))
    _paint(cloth, radius < 0.032, (0.95, 0.74, 0.22))


def _paint(cloth: NDArray[Any], where: NDArray[Any], colour: tuple[float, float, float]) -> None:
    cloth[where] = colour
