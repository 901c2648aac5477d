"""Pentimento: painted looks for textures and renders, by small GAN styles that explain themselves.

Sources of the extension (Blender 4.2 and later); `bl_info` lets the same sources install as a legacy add-on.
"""

from __future__ import annotations

from . import explaining, importing, jobs, keeping, operators, panels, preferences, props, translation, wiping, writing

bl_info = {
    "name": "Pentimento",
    "author": "The Pentimento project",
    "version": (0, 1, 0),
    "blender": (3, 4, 0),
    "location": "Image Editor and 3D Viewport > Sidebar > Pentimento; Properties > Render > Pentimento",
    "description": "Painted looks for textures and renders: small GAN styles that explain themselves",
    "category": "Paint",
}

ROOMS = (translation, writing, props, explaining, preferences, importing, operators, panels, keeping)


def register() -> None:
    for room in ROOMS:
        room.register()


def unregister() -> None:
    jobs.stop()
    wiping.end()
    for room in reversed(ROOMS):
        room.unregister()
