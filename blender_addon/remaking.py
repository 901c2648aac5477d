"""Recipes: what made a layer, in words; whether it can be made again here; and how.

A recipe goes with every result (docs: engine.recipe). It names styles with their hashes, not where they lie, and masks
by what is in them: both are looked for among what is installed and open here.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined, arg-type, index"

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from . import encode, layering, props, scene_io
from .engine_client import EngineError, protocol
from .translation import listed, worded

Recipe = dict[str, Any]
HOW = {
    "strength": "Strength",
    "stroke": "Stroke Size",
    "follow": "Forms",
    "seed": "Seed",
    "diversity": "Diversity",
}
USUAL = {"diversity": 1.0, "follow": 1.0, "stroke": 1.0}
"""Not worth a line"""


# ---------------------------------------------------------------- in words


def lines(recipe: Recipe) -> list[tuple[str, str]]:
    """What made a layer, as label and value, as short as it can be said."""
    how = recipe.get("settings", {})
    found = [("Style", _styles(recipe))]
    if "palette" in recipe:
        found.append(("Palette", str(recipe["palette"]["name"])))
    found += [(label, _number(how[key])) for key, label in HOW.items() if key in how and how[key] != USUAL.get(key)]
    found += [
        (worded("Strength: {place}", place=_matte(each)), _number(each["strength"]))
        for each in recipe.get("strength_of", ())
    ]
    found += list(_more(recipe, how))
    return [(worded(label), value) for label, value in found if value]


def _more(recipe: Recipe, how: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is usually as it was at first"""
    if how.get("bands", [1, 1, 1]) != [1, 1, 1]:
        names = ("colour", "form", "stroke")
        yield (
            "Bands",
            listed([f"{worded(name)} {_number(band)}" for name, band in zip(names, how["bands"], strict=False)]),
        )
    if how.get("colours", "style") != "style":
        yield "Whose Colours", worded(str(how["colours"]).title())
    yield "Lights", listed([f"{worded(light)} {_number(gain)}" for light, gain in how.get("gains", {}).items()])
    if how.get("painted_pass", "Combined") != "Combined":
        yield "Pass", str(how["painted_pass"])
    yield "Tileable", worded("Yes") if how.get("tileable") else ""
    yield "Size", " x ".join(str(edge) for edge in how.get("size", ()))
    yield "View", str(recipe.get("view", {}).get("name", ""))
    yield "Asked About", _region(recipe.get("region", {}))
    yield "Device", str(recipe.get("device", "")).upper()
    yield "Pentimento", str(recipe.get("versions", {}).get("engine", ""))


def _styles(recipe: Recipe) -> str:
    styles = styles_of(recipe)
    if len(styles) < 2:
        return "".join(f"{style['name']}{_where(style)}" for style in styles)
    whole = sum(style.get("share", 1.0) for style in styles) or 1.0
    return listed([f"{style['name']} {100 * style.get('share', 1.0) / whole:.0f} %{_where(style)}" for style in styles])


def styles_of(recipe: Recipe) -> list[dict[str, Any]]:
    """With their hashes; the one style of a texture, too"""
    return [*recipe.get("styles", ()), *([recipe["texture"]] if "texture" in recipe else [])]


def _where(style: dict[str, Any]) -> str:
    return f" ({_matte(style)})" if "matte" in style else ""


def _matte(part: dict[str, Any]) -> str:
    """Of a render the object or material, of an image that there is a mask"""
    matte = part.get("matte", {})
    return worded("by a mask") if "sha256" in matte else "".join(str(name) for name in matte.values())


def _region(region: dict[str, Any]) -> str:
    if "at" in region:
        return worded("pixel {x}, {y}", x=region["at"][0], y=region["at"][1])
    if "box" in region:
        left, top, right, bottom = region["box"]
        size = {"width": right - left, "height": bottom - top}
        return worded("box of {width} x {height} at {x}, {y}", **size, x=left, y=top)
    return str(region.get("object", ""))


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# ---------------------------------------------------------------- can it be made again?


def problems(recipe: Recipe, stack: layering.Stack | None, scene: bpy.types.Scene) -> list[str]:
    """Why what comes out would not be the same, in whole sentences."""
    found = [said for style in _all_styles(recipe) if (said := _style_problem(style))]
    image = bpy.data.images.get(stack.image) if stack else None
    size = recipe.get("source", {}).get("size")
    if stack and stack.kind == "IMAGE" and image is not None and size and list(image.size[:]) != list(size):
        found.append(
            worded("{image} was {width} x {height} pixels then.", image=image.name, width=size[0], height=size[1])
        )
    view = recipe.get("view", {}).get("name", "")
    if view and view != scene_io.view_name(scene):
        found.append(worded("The scene's view transform was {view} then.", view=view))
    return found


def _all_styles(recipe: Recipe) -> list[dict[str, Any]]:
    return [*styles_of(recipe), *([recipe["palette"]] if "palette" in recipe else [])]


def _style_problem(named: dict[str, Any]) -> str:
    name = str(named.get("name", ""))
    style = _installed(named)
    if style is None:
        return worded("The style {name} is not installed.", name=name)
    if props.library.hash_of(style) != named.get("hash"):
        return worded("The style {name} is another one now than when this was painted.", name=name)
    return ""


# ---------------------------------------------------------------- how it was made


def settings_of(
    recipe: Recipe, image: bpy.types.Image | None
) -> Generator[None, None, tuple[protocol.StylizeSettings, list[str]]]:
    """As the engine takes them, and the name of each style's mask or nothing. image: the original, among whose likes
    masks are looked for; None: a render, whose styles and places go by objects.

    Raises EngineError where a style or a mask is not there any more.
    """
    is_render, folders = image is None, [_folder(part) for part in recipe["styles"]]
    masks = yield from _masks(recipe, image)
    how, styles, mask_names = recipe["settings"], [], []
    for part, folder in zip(recipe["styles"], folders, strict=True):
        matte = _mask_of(part, masks) if "matte" in part else ""
        styles.append(protocol.StyleShare(folder, float(part["share"]), matte if is_render else ""))
        mask_names.append("" if is_render else matte)
    return protocol.StylizeSettings(
        styles=tuple(styles),
        palette=_folder(recipe["palette"]) if "palette" in recipe else "",
        strength_of=tuple(
            protocol.MatteStrength(_mask_of(place, masks), float(place["strength"]))
            for place in recipe.get("strength_of", ())
        ),
        bands=(how["bands"][0], how["bands"][1], how["bands"][2]),
        gains=tuple(protocol.LightGain(light, gain) for light, gain in how["gains"].items()),
        overlays=tuple(how["overlays"]),
        device=recipe["device"] if recipe["device"] in ("cpu", "cuda") else "auto",
        precision="full" if all(part.get("precision") == "full" for part in recipe["styles"]) else "auto",
        **{name: how[name] for name in (*HOW, "colours", "tileable", "lock", "painted_pass")},
    ), mask_names


def _folder(named: dict[str, Any]) -> str:
    return str(_needed(named).folder)


def _needed(named: dict[str, Any]) -> props.library.Style:
    style = _installed(named)
    if style is None:
        raise EngineError(f"The style {named['name']!r} is not installed.", "Import it, then make the layer again.")
    return style


def _installed(named: dict[str, Any]) -> props.library.Style | None:
    return props.library.style_painted_with(str(named.get("name", "")), str(named.get("hash", "")))


def _mask_of(part: dict[str, Any], masks: dict[str, str]) -> str:
    """The image's name, or that of the object. masks: see _masks"""
    matte = part["matte"]
    if "sha256" not in matte:
        return "".join(str(name) for name in matte.values())
    if matte["sha256"] not in masks:
        raise EngineError(
            "A mask of this layer is not there any more, or has been painted on.",
            "Choose masks in Mixing, then stylize.",
        )
    return masks[matte["sha256"]]


def _masks(recipe: Recipe, image: bpy.types.Image | None) -> Generator[None, None, dict[str, str]]:
    """By the hash of its file the name of each mask of a recipe: among the images that are open, by what is in them,
    whatever they are called now. Pixels are packed and hashed in a thread, until all masks are found."""
    parts = [*recipe["styles"], *recipe.get("strength_of", ())]
    wanted = {part["matte"]["sha256"] for part in parts if "sha256" in part.get("matte", {})}
    found: dict[str, str] = {}
    size = image.size[:] if image is not None else None
    names = [other.name for other in bpy.data.images if other != image] if size and wanted else []
    for name in names:
        other = bpy.data.images.get(name)
        if wanted <= found.keys():
            break
        if other is not None and _could_be_mask(other) and other.size[:] == size:
            found[(yield from scene_io.in_thread(_hash, *_as_written(other)))] = name
    return found


def _could_be_mask(image: bpy.types.Image) -> bool:
    """Asked before its size, for which Blender reads a file. UV_TEST is what it calls an image that is not saved."""
    is_plain = image.source in ("FILE", "GENERATED") and image.type in ("IMAGE", "UV_TEST")
    return is_plain and not image.get(scene_io.SOURCE)


def _as_written(image: bpy.types.Image) -> tuple[NDArray[np.float32], bool]:
    """The pixels of a mask as they go to the worker; are they floats?"""
    channels = 3 if image.alpha_mode in ("NONE", "CHANNEL_PACKED") else None
    return scene_io.rows_of(image)[::-1, :, :channels], image.is_float


def _hash(rows: NDArray[np.float32], is_float: bool) -> str:
    """In a thread: nothing of Blender's in here."""
    return hashlib.sha256(encode.exr(rows) if is_float else encode.png(scene_io.as_bytes(rows))).hexdigest()


def region_of(recipe: Recipe) -> protocol.Region:
    """What an overlay was asked about"""
    region = recipe.get("region", {})
    at, box = region.get("at"), region.get("box")
    return protocol.Region(
        (at[0], at[1]) if at else None, (box[0], box[1], box[2], box[3]) if box else None, region.get("object", "")
    )


def look_name(recipe: Recipe) -> str:
    """What results are named after, as props.look_name does: by the names that styles have now. Raises EngineError
    where one is not there any more."""
    names = ", ".join(dict.fromkeys(_needed(style).name for style in recipe["styles"]))
    return f"{names} in {_needed(recipe['palette']).name}" if "palette" in recipe else names


def texture_name(recipe: Recipe) -> str:
    """The same of a texture"""
    return _needed(recipe["texture"]).name


# ---------------------------------------------------------------- into the panel


def use(recipe: Recipe, scene: bpy.types.Scene, image: bpy.types.Image | None) -> scene_io.Work:
    """The panel as it was when the layer was made. image: see settings_of. Raises EngineError, and changes nothing,
    where a style or a mask is not there any more."""
    if "texture" in recipe:
        _use_texture(recipe, scene.pentimento_texture)
        return ""
    name, is_render = scene.name, image is None
    how, masks = yield from settings_of(recipe, image)
    _use_settings(recipe, how, masks, bpy.data.scenes[name].pentimento, is_render)
    return ""


def _use_settings(
    recipe: Recipe, how: protocol.StylizeSettings, masks: list[str], chosen: Any, is_render: bool
) -> None:
    by_folder = {str(style.folder): style.name for style in props.library.styles()}
    while len(chosen.mixed):
        chosen.mixed.remove(0)
    parts = [chosen, *(chosen.mixed.add() for _ in how.styles[1:])]
    for part, share, mask in zip(parts, how.styles, masks, strict=True):
        part.style_name, part.share, part.matte = by_folder[share.style], share.share, share.matte
        part.mask = bpy.data.images.get(mask) if mask else None
    chosen.palette_name = by_folder.get(how.palette, "")
    for name in (*HOW, "lock", "painted_pass", "device"):
        setattr(chosen, name, getattr(how, name))
    chosen.tileable = "ON" if how.tileable else "OFF"
    chosen.whose_colours = how.colours
    chosen.band_colour, chosen.band_form, chosen.band_stroke = how.bands
    gains = {gain.light: gain.gain for gain in how.gains}
    for light, name in props.choices.GAINS.items():
        setattr(chosen, name, gains.get(light, 1.0))
    _use_places(chosen, how, is_render)
    if "region" not in recipe:  # an explanation's overlays were asked, not chosen
        chosen.overlays = set(how.overlays) & {name for name, *_ in props.choices.OVERLAYS}
    if recipe.get("source", {}).get("encoding") == "linear":
        chosen.colours = "DISPLAY" if "view" in recipe else "SCENE"


def _use_places(chosen: Any, how: protocol.StylizeSettings, is_render: bool) -> None:
    chosen.places.clear()
    for place in how.strength_of:
        added = chosen.places.add()
        added.strength = place.strength
        if is_render:
            added.matte = place.matte
        else:
            added.mask = bpy.data.images.get(place.matte)


def _use_texture(recipe: Recipe, chosen: Any) -> None:
    style, how = _needed(recipe["texture"]), recipe["settings"]
    chosen.style_name, chosen.seed, chosen.variant = style.name, how["seed"], how["variant"]
    chosen.width, chosen.height = how["size"]


def texture_request(recipe: Recipe) -> protocol.TextureRequest:
    """Without the folder: there is none before the job begins."""
    how = recipe["settings"]
    return protocol.TextureRequest(
        *(props.new_job(), _folder(recipe["texture"]), how["size"][0], how["size"][1], ""),
        seeds=(how["seed"],),
        tileable=how["tileable"],
        diversity=how["diversity"],
        variant=how["variant"],
        depth=how["depth"],
        deliver="pixels",
        device=recipe["device"] if recipe["device"] in ("cpu", "cuda") else "auto",
    )
