"""What the artist sees, in the editors where the pictures are: a file for each panel."""

from __future__ import annotations

import bpy

from .. import compat, jobs
from . import (
    animation,
    controls,
    explanation,
    gallery,
    importing,
    layers,
    mixing,
    new_texture,
    painting,
    presets,
    projection,
    textures,
    training,
)

CLASSES = tuple(
    cls
    for room in (
        presets,
        importing,
        painting,
        layers,
        textures,
        gallery,
        controls,
        mixing,
        projection,
        animation,
        explanation,
        new_texture,
        training,
    )
    for cls in room.CLASSES
)


def register() -> None:
    compat.register_bars(len(jobs.LANES))
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    layers.free_swatches()
    compat.unregister_bars()
