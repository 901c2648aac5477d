"""What the artist looks for among the styles, and what somebody else's model is taken for before it is kept.

Both belong to the window, not to the file: nothing of them is saved.
"""

# Blender wants properties as annotations (real ones: it does not evaluate strings).
# mypy: disable-error-code="valid-type, union-attr, attr-defined"

from collections.abc import Callable
from typing import Any

import bpy

from .. import compat
from ..engine_client import protocol
from ..translation import OURS
from . import choices, library

# ---------------------------------------------------------------- the gallery

ALL, SHIPPED, OWN = "ALL", "SHIPPED", "OWN"
_PLACES = (
    (ALL, "All Folders", "Every style that is installed"),
    (SHIPPED, "Shipped", "Those that came with Pentimento"),
    (OWN, "Mine", "Your own that lie in no folder"),
)
_folder_items: list[tuple[str, str, str, str, int]] = []
"""Blender keeps no copy of the strings of a dynamic enum: they must live as long as it shows them."""


def folders() -> tuple[str, ...]:
    """The folders that the artist's own styles lie in"""
    return tuple(sorted({style.group for style in library.all_styles() if style.group}, key=str.casefold))


def _items(_settings: Any, _context: Any) -> list[tuple[str, str, str, str, int]]:
    plain = [(*place, "NONE") for place in _PLACES]
    groups = [(f"/{name}", name, f"Styles in the folder {name}", "FILE_FOLDER") for name in folders()]
    found = [(*item, number) for number, item in enumerate([*plain, *groups])]
    if found != _folder_items:
        _folder_items[:] = found
    return _folder_items


def _get_folder(chosen: Any) -> int:
    """All of them where the chosen folder is gone"""
    keys = [item[0] for item in _items(None, None)]
    return keys.index(chosen.folder_key) if chosen.folder_key in keys else 0


def _set_folder(chosen: Any, number: int) -> None:
    chosen.folder_key = _items(None, None)[number][0]


class GallerySettings(bpy.types.PropertyGroup):
    """What is shown. A style that is not shown stays chosen."""

    makes: bpy.props.EnumProperty(
        name="Show",
        description="What the styles make",
        items=(
            ("PICTURES", "Pictures", "Styles that paint pictures"),
            ("TEXTURES", "Textures", "Styles that make textures out of noise"),
        ),
    )
    search: bpy.props.StringProperty(
        name="Search",
        description="Show the styles whose name, author or folder has these words in it",
        options={"TEXTEDIT_UPDATE", "SKIP_SAVE"},
    )
    favourites: bpy.props.BoolProperty(
        name="Favourites", description="Show only those with a star", options={"SKIP_SAVE"}
    )
    folder_key: bpy.props.StringProperty(options={"HIDDEN"})
    folder: bpy.props.EnumProperty(
        name="Folder", description="Where the styles lie", items=_items, get=_get_folder, set=_set_folder
    )
    preset_name: bpy.props.StringProperty(
        name="Name", description="What the new preset is called", default="New Preset", maxlen=60
    )


# ---------------------------------------------------------------- somebody else's model

on_change: Callable[[], None] | None = None
"""Tries the model again: importing puts it here, as this room knows none of those above it."""


def _changed(_settings: Any, _context: Any) -> None:
    if on_change is not None:
        on_change()


class ImportSettings(bpy.types.PropertyGroup):
    """What a model is taken for. Filled with what was found out, then the artist's."""

    name: bpy.props.StringProperty(name="Name", description="What the style is called", maxlen=80)
    author: bpy.props.StringProperty(name="Author", description="Who made the model", maxlen=200)
    licence: bpy.props.StringProperty(
        name="Licence", description="What others may do with it, such as CC0-1.0", maxlen=200
    )
    channel_order: bpy.props.EnumProperty(
        name="Channels",
        description="In which order it takes and returns red, green and blue; wrong, red turns blue",
        items=choices.CHANNEL_ORDERS,
        update=_changed,
    )
    value_range: bpy.props.EnumProperty(
        name="Values",
        description="The numbers that it takes for black and white",
        items=choices.VALUE_RANGES,
        update=_changed,
    )
    low: bpy.props.FloatProperty(name="Black", description="The number for black", update=_changed)
    high: bpy.props.FloatProperty(name="White", description="The number for white", default=1.0, update=_changed)
    output_range: bpy.props.EnumProperty(
        name="Result",
        description="The numbers that it returns for black and white",
        items=(("SAME", "Same", "The numbers that it takes"), *choices.VALUE_RANGES),
        update=_changed,
    )
    output_low: bpy.props.FloatProperty(name="Black", description="The number for black", update=_changed)
    output_high: bpy.props.FloatProperty(name="White", description="The number for white", default=1.0, update=_changed)
    normalisation: bpy.props.EnumProperty(
        name="Normalise",
        description="What is taken off the colours before the model sees them; wrong, contrast is off",
        items=choices.NORMALISATIONS,
        update=_changed,
    )
    layout: bpy.props.EnumProperty(
        name="Layout",
        description="How its numbers lie; wrong, the model cannot be run or stripes appear",
        **compat.meaning(OURS),
        items=choices.LAYOUTS,
        update=_changed,
    )
    multiple: bpy.props.IntProperty(
        name="Multiple Of",
        description="Width and height have to be multiples of this; most models do with 4 to 32",
        default=16,
        min=1,
        max=64,
        subtype="PIXEL",
        update=_changed,
    )


def options(chosen: ImportSettings) -> protocol.ImportOptions:
    """The panel as plain values: all of them said."""
    taken = _range(chosen.value_range, chosen.low, chosen.high)
    same = chosen.output_range == "SAME"
    return protocol.ImportOptions(
        channel_order=chosen.channel_order.lower(),
        value_range=taken,
        output_range=None if same else _range(chosen.output_range, chosen.output_low, chosen.output_high),
        normalisation=chosen.normalisation.lower(),
        layout=chosen.layout.lower(),
        multiple=chosen.multiple,
        author=chosen.author,
        licence=chosen.licence,
    )


def _range(name: str, low: float, high: float) -> tuple[float, float]:
    return choices.RANGES.get(name, (low, high))


def fill(chosen: ImportSettings, facts: protocol.ModelFacts) -> None:
    """What was found out, as the panel shows it."""
    names = {values: name for name, values in choices.RANGES.items()}
    chosen.name, chosen.author, chosen.licence = facts.name, facts.author, facts.licence
    chosen.channel_order, chosen.layout = facts.channel_order.upper(), facts.layout.upper()
    chosen.normalisation, chosen.multiple = facts.normalisation.upper(), facts.multiple
    chosen.value_range = names.get(facts.value_range, "OTHER")
    chosen.low, chosen.high = facts.value_range
    same = facts.output_range == facts.value_range
    chosen.output_range = "SAME" if same else names.get(facts.output_range, "OTHER")
    chosen.output_low, chosen.output_high = facts.output_range


# ---------------------------------------------------------------- registration

CLASSES = (GallerySettings, ImportSettings)


def gallery(context: bpy.types.Context) -> GallerySettings:
    return context.window_manager.pentimento_gallery


def import_settings(context: bpy.types.Context) -> ImportSettings:
    return context.window_manager.pentimento_import


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.WindowManager.pentimento_gallery = bpy.props.PointerProperty(type=GallerySettings)
    bpy.types.WindowManager.pentimento_import = bpy.props.PointerProperty(type=ImportSettings)


def unregister() -> None:
    del bpy.types.WindowManager.pentimento_import
    del bpy.types.WindowManager.pentimento_gallery
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
