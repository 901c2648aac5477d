"""Masks out of overlays: what an explanation says of a picture becomes where a style paints, or how strongly.

An overlay's numbers lie in its display range; a mask is that range as grey, black for its lower end (or for nothing at
all), white for the upper one, in the size of the picture.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined, arg-type, return-value, index"

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from . import encode, explaining, layering, props, scene_io
from .engine_client import EngineError, looks
from .translation import worded

Floats = NDArray[np.float32]
Part = tuple[str, str, str]
"""What of an overlay: identifier, label, and what it is"""
Target = tuple[str, str, str]
"""Where a mask goes: identifier, label, and what that does"""

ALL = ("ALL", "All", "White where there is most of all of them together")
SIGNED = (
    ("BOTH", "Both", "White where it is far from 0, on whichever side"),
    ("ABOVE", "Above 0", "White where it is most above 0, black where it is not"),
    ("BELOW", "Below 0", "White where it is most below 0, black where it is not"),
)
AMOUNT = (("VALUE", "Amount", "White where there is most of it"),)
SURE = (("SURE", "Likeness", "White where the likeness is surest"),)


def parts_of(found: explaining.Told) -> tuple[Part, ...]:
    """What of an overlay can be a mask."""
    kind = layering.kind_of(found)
    if kind == "bands":
        return (
            *(
                (name, worded(name).title(), worded("White where there is most {name}", name=worded(name)))
                for name in found.channels
            ),
            ALL,
        )
    return {"signed": SIGNED, "amount": AMOUNT, "places": SURE}[kind]


def grey(values: Floats, found: explaining.Told, part: str) -> Floats:
    """(H, W) 0..1 of an overlay's numbers (H, W, C)."""
    kind, (low, high) = looks.kind_of(found.channels, found.display), found.display
    if kind == "places":
        return np.clip(values[..., 2], 0, 1)
    if kind == "bands":
        chosen = values[..., :3].sum(-1) if part == ALL[0] else values[..., found.channels.index(part)]
        return np.clip(chosen / high, 0, 1)
    if kind == "amount":
        return np.clip((values[..., 0] - low) / (high - low), 0, 1)
    scaled = values[..., 0] / max(high, -low)
    return np.clip({"BOTH": np.abs(scaled), "ABOVE": scaled, "BELOW": -scaled}[part], 0, 1)


def sized(values: Floats, height: int, width: int) -> Floats:
    """(H, W) in another size, between the four pixels around: overlays may be reduced, masks must fit."""
    if values.shape == (height, width):
        return values
    rows, down = _between(values.shape[0], height)
    columns, across = _between(values.shape[1], width)
    upper, lower = values[rows[0]], values[rows[1]]
    mixed = upper + down[:, None] * (lower - upper)
    left, right = mixed[:, columns[0]], mixed[:, columns[1]]
    return np.asarray(left + across[None] * (right - left), np.float32)


def _between(there: int, wanted: int) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], Floats]:
    """For each wanted place those before and after it, and how far it is from the first one."""
    place = np.clip((np.arange(wanted) + 0.5) * there / wanted - 0.5, 0, there - 1)
    first = np.floor(place).astype(np.intp)
    return (first, np.minimum(first + 1, there - 1)), (place - first).astype(np.float32)


# ---------------------------------------------------------------- where it goes


def targets(chosen: Any, paints_renders: bool) -> tuple[Target, ...]:
    """Where a mask can go. A render's styles and places go by objects: there it is an image, no more."""
    only = ("IMAGE", "New Image Only", "Make the mask, and put it nowhere")
    if paints_renders:
        return (only,)
    mixed = [(f"MIX_{place}", _style(part), "Paint this style only here") for place, part in enumerate(chosen.mixed)]
    places = [
        (f"PLACE_{number}", f"Strength {place.strength:.2f}", "This strength holds only here")
        for number, place in enumerate(chosen.places)
    ]
    return (
        ("STYLE", _style(chosen), "Paint this style only here"),
        *mixed,
        ("NEW_STYLE", "Another Style", "Mix another style in, and paint it only here"),
        *places,
        ("NEW_PLACE", "Another Strength", "Give this place a strength of its own"),
        only,
    )


def _style(part: Any) -> str:
    try:
        return props.chosen_style(part).name
    except EngineError:
        return str(part.style_name)


def put(mask: bpy.types.Image, target: str, chosen: Any) -> None:
    """Into the slot. A mask that was there stays in the .blend."""
    what, _, number = target.partition("_")
    if target == "IMAGE":
        return
    if target == "NEW_STYLE":
        slot = props.mix_another(chosen)
    elif target == "NEW_PLACE":
        slot = chosen.places.add()
    else:
        slot = {"STYLE": lambda: chosen, "MIX": lambda: chosen.mixed[int(number)]}.get(
            what, lambda: chosen.places[int(number)]
        )()
    before = slot.mask
    slot.mask = mask
    if before is not None and before.users == 0:
        before.use_fake_user = True


def make(listed: layering.Listed, part: str, scene: bpy.types.Scene) -> Generator[None, None, bpy.types.Image]:
    """A new image of the size of the picture: one grey channel of bytes, Non-Color, packed."""
    found = layering.told(listed, scene)
    if found is None:
        raise EngineError(f"{listed.label} is no overlay.", "Choose an overlay in the list.")
    picture = yield from layering.picture_of(listed, scene)
    base = scene_io.original_of(picture)
    width, height = base.size[:] if 0 not in base.size[:] else picture.size[:]
    label = next((label for name, label, _ in parts_of(found) if name == part), part)
    name = scene_io.named(base.name, f" Mask {found.name} {label}")
    pixels = yield from scene_io.in_thread(_pixels, scene_io.rows_of(picture), found, part, height, width)
    image = scene_io.empty_image(name, pixels, is_data=True)
    image[layering.MASK] = found.name
    image.colorspace_settings.name = "Non-Color"
    scene_io.fill_image(image, pixels)
    return image


def _pixels(rows: Floats, found: explaining.Told, part: str, height: int, width: int) -> scene_io.Encoded:
    """rows: (H, W, C), bottom row first. In a thread: nothing of Blender's in here."""
    values = sized(grey(rows[::-1], found, part), height, width)
    file = encode.png(np.rint(values * 255).astype(np.uint8)[..., None])
    return scene_io.Encoded(file, is_float=False, has_alpha=False)
