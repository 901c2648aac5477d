"""What the buttons do: a file for each thing that artists do."""

from __future__ import annotations

import bpy

from . import (
    animation,
    controls,
    engine,
    explanation,
    gallery,
    layers,
    mixing,
    painting,
    presets,
    projection,
    styles,
    textures,
    training,
    worker,
)

CLASSES = tuple(
    cls
    for room in (
        painting,
        projection,
        textures,
        animation,
        explanation,
        layers,
        styles,
        gallery,
        presets,
        mixing,
        controls,
        training,
        worker,
        engine,
    )
    for cls in room.CLASSES
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    animation.watch_renders()


def unregister() -> None:
    animation.leave_renders()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
