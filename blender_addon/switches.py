"""The render passes that a stylization needs: which they are, switched on for one render, and put back."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined, arg-type"

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from . import props
from .engine_client import EngineError, protocol
from .translation import listed, worded

LIGHT_PASSES = {
    "Diffuse": ("diffuse_direct", "diffuse_indirect", "diffuse_color"),
    "Glossy": ("glossy_direct", "glossy_indirect", "glossy_color"),
    "Transmission": ("transmission_direct", "transmission_indirect", "transmission_color"),
    "Volume": ("volume_direct", "volume_indirect"),
    "Emission": ("emit",),
    "Environment": ("environment",),
}
"""By light: its switches, as scripts call them after `use_pass_`"""
_LIGHTS = {switch for switches in LIGHT_PASSES.values() for switch in switches}
_GUIDES = {"albedo": "diffuse_color", "normal": "normal", "depth": "z", "position": "position", "uv": "uv"}
"""By what a style is guided: the switch of the pass it is made from"""
STEADY = {
    "STICK": ("position", "z", "vector", "uv", "cryptomatte_object"),
    "CARRY": ("z", "vector", "cryptomatte_object"),
    "ANEW": (),
}
"""By what strokes do from frame to frame (choices.STROKES): the switches of the passes by which the engine follows
surfaces. UV are for what deforms; moves are read off Vector and Position"""
_LABELS = {"emit": "Emission", "environment": "Environment", "z": "Z", "uv": "UV"}
"""Switches that Blender calls otherwise than scripts do"""


def needed(how: protocol.StylizeSettings, guides: Iterable[str]) -> tuple[str, ...]:
    """The switches that a render must have on to be painted like this. guides: what its styles are guided by.

    Raises EngineError where an object with a style or strength of its own is no more.
    """
    lights = [light for light in (props.light_of(how.painted_pass),) if light]
    lights += ["Diffuse", *(gain.light for gain in how.gains)] if how.gains else []
    wanted = [switch for light in lights for switch in LIGHT_PASSES[light]]
    wanted += [_GUIDES[guide] for guide in guides]
    wanted += [_cryptomatte(part.matte) for part in (*how.styles, *how.strength_of) if part.matte]
    return tuple(dict.fromkeys(wanted))


def _cryptomatte(name: str) -> str:
    if name in bpy.data.objects:
        return "cryptomatte_object"
    if name in bpy.data.materials:
        return "cryptomatte_material"
    raise EngineError(f"There is no object {name!r} any more.", "Choose another one in Controls or in Mixing.")


def missing(scene: bpy.types.Scene, wanted: Iterable[str]) -> tuple[str, ...]:
    """Those that are off. Raises EngineError where the scene's render engine has no such passes."""
    wanted = tuple(wanted)
    if scene.render.engine != "CYCLES" and _LIGHTS & set(wanted) - {"diffuse_color"}:
        raise EngineError(
            "Only Cycles renders every pass that lights are made of.",
            "Choose Cycles in Render Properties, or set Pass to Combined and the lights in Controls to 1.",
        )
    return tuple(switch for switch in wanted if not all(_is_on(layer, switch) for layer in _rendered(scene)))


def said(switches: Iterable[str]) -> str:
    """As Blender's panel calls them: `Diffuse: Direct, Indirect; Cryptomatte: Object`"""
    groups: dict[str, list[str]] = {}
    for switch in switches:
        family, _, part = switch.partition("_")
        name = worded(_LABELS.get(switch, family.title()))
        groups.setdefault(name, []).extend([worded(part.title())] if part else [])
    found = groups.items()
    said = [worded("{family}: {parts}", family=name, parts=listed(parts)) if parts else name for name, parts in found]
    return listed(said, are_lists=True)


def note(switches: Iterable[str]) -> str:
    """What the artist should know of them; nothing where there are none."""
    names = said(switches)
    return worded("Switched on for this render, and off again: {passes}.", passes=names) if names else ""


def switch_on(scene: bpy.types.Scene, switches: Iterable[str]) -> None:
    """The scene renders these passes from now on."""
    for switch in switches:
        for layer in _rendered(scene):
            _set(scene.name, layer.name, switch, True)


@contextmanager
def without_motion_blur(scene_name: str) -> Iterator[None]:
    """Cycles renders no Vector with it; then it is as it was."""
    kept = bpy.data.scenes[scene_name].render.use_motion_blur
    try:
        bpy.data.scenes[scene_name].render.use_motion_blur = False
        yield
    finally:
        if scene := bpy.data.scenes.get(scene_name):
            scene.render.use_motion_blur = kept


@contextmanager
def switched_on(scene_name: str, switches: Iterable[str]) -> Iterator[None]:
    """The scene renders these passes, too; then its switches are as they were."""
    layers = _rendered(bpy.data.scenes[scene_name])
    kept = [(layer.name, switch, _is_on(layer, switch)) for layer in layers for switch in switches]
    try:
        for layer, switch, _ in kept:
            _set(scene_name, layer, switch, True)
        yield
    finally:
        for layer, switch, was in kept:
            _set(scene_name, layer, switch, was)


def _set(scene: str, layer: str, switch: str, value: bool) -> None:
    """By names: while it rendered, an undo may have replaced the scene, or taken the view layer away."""
    found = scene in bpy.data.scenes and bpy.data.scenes[scene].view_layers.get(layer)
    if found:
        setattr(_owner(found, switch), f"use_pass_{switch}", value)


def _rendered(scene: bpy.types.Scene) -> list[bpy.types.ViewLayer]:
    return [layer for layer in scene.view_layers if layer.use]


def _is_on(layer: bpy.types.ViewLayer, switch: str) -> bool:
    return bool(getattr(_owner(layer, switch), f"use_pass_{switch}"))


def _owner(layer: bpy.types.ViewLayer, switch: str) -> Any:
    """Passes of volumes are settings of Cycles."""
    return layer.cycles if switch.startswith("volume_") else layer
