"""Pictures to test with: planes (3, H, W) of 72 x 96 pixels."""

from __future__ import annotations

import numpy as np

SIZE = (72, 96)


def noise(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """White, 0..1: no stroke of it is anywhere again"""
    return np.random.default_rng(seed).random((3, *size), np.float32)


def even(value: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.full((3, *size), value, np.float32)


_ROWS, _COLUMNS = np.indices(SIZE, np.float32) / 12
TONED = np.stack([np.sin(_ROWS), np.sin(_COLUMNS + 1), np.cos(_ROWS + _COLUMNS)]).astype(np.float32) * 0.2 + 0.4
"""In many tones, none of them finer than light may change"""
