"""The artist's choices in the scene, the styles to choose from, and the requests both make."""

# Blender wants properties as annotations (real ones: it does not evaluate strings).
# mypy: disable-error-code="valid-type, union-attr, attr-defined"

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from . import compat
from .engine_client import STYLES, EngineError, protocol

PACKAGE = __package__ or "pentimento"
OVERLAYS = (
    ("Scale", "Scale", "Where the change comes from: colour, form or brush stroke"),
    (
        "Removal",
        "Removal",
        "How much each part of the picture contributes: it is removed and the result measured again",
    ),
)

COLOURS = (
    (
        "SCENE",
        "Scene",
        "Paint the scene's own light, lamps as bright as they are; the view transform tones the painting afterwards",
    ),
    (
        "DISPLAY",
        "Match Display",
        "Paint what the view transform shows: the painting's colours show as they were painted, or as near as it can",
    ),
)


# ---------------------------------------------------------------- styles


@dataclass(frozen=True)
class Style:
    """A style as the picker shows it. Only names are read here; the worker verifies the pack before it is used."""

    name: str
    folder: Path
    author: str = ""
    licence: str = ""

    @property
    def preview(self) -> Path:
        return self.folder / "preview.png"


_styles: tuple[Style, ...] | None = None
_items: list[tuple[str, str, str, int, int]] = []
"""Blender keeps no copy of the strings of a dynamic enum: they must live as long as it shows them."""
_previews: Any = None


def user_styles() -> Path:
    """The folder that imported and trained styles go into."""
    chosen = preferences().styles_folder
    return Path(bpy.path.abspath(chosen)) if chosen else compat.user_folder(PACKAGE, "styles")


def styles() -> tuple[Style, ...]:
    """All installed styles by name; one of the artist's own hides a shipped one of the same name."""
    global _styles
    if _styles is None:
        found = {style.name: style for folder in (STYLES, user_styles()) for style in _styles_in(folder)}
        _styles = tuple(sorted(found.values(), key=lambda style: style.name.lower()))
    return _styles


def refresh_styles() -> None:
    """Looks at the folders again, after an import, a training or a change of the folder."""
    global _styles
    _styles = None
    _items.clear()
    free_previews()


def free_previews() -> None:
    global _previews
    if _previews is not None:
        bpy.utils.previews.remove(_previews)
        _previews = None


def _styles_in(folder: Path) -> list[Style]:
    try:
        return [style for pack in sorted(folder.iterdir()) if (style := _style(pack))]
    except OSError:
        return []


def _style(pack: Path) -> Style | None:
    """The style in a folder, or None where there is none that could be shown."""
    try:
        data = json.loads((pack / "style.json").read_text(encoding="utf-8"))
        return Style(str(data["name"]), pack, str(data.get("author", "")), str(data.get("licence", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def style_items(_settings: Any, _context: Any) -> list[tuple[str, str, str, int, int]]:
    if not _items:
        _items.extend(_item(style, number) for number, style in enumerate(styles()))
    return _items


def _item(style: Style, number: int) -> tuple[str, str, str, int, int]:
    about = " · ".join(part for part in (style.author, style.licence) if part)
    return style.name, style.name, about, _icon(style), number


def _get_style(chosen: Any) -> int:
    """The place of the chosen style in the list; the first where none was chosen yet."""
    names = [style.name for style in styles()]
    return names.index(chosen.style_name) if chosen.style_name in names else 0


def _set_style(chosen: Any, number: int) -> None:
    chosen.style_name = styles()[number].name


def _icon(style: Style) -> int:
    """The preview picture, loaded by Blender when it first draws it. There is nothing to draw in background."""
    global _previews
    if bpy.app.background or not style.preview.is_file():
        return 0
    if _previews is None:
        _previews = bpy.utils.previews.new()
    if style.name not in _previews:
        _previews.load(style.name, str(style.preview), "IMAGE")
    return _previews[style.name].icon_id


def style_of(name: str) -> Style | None:
    return next((style for style in styles() if style.name == name), None)


# ---------------------------------------------------------------- settings


class PentimentoSettings(bpy.types.PropertyGroup):
    """How to paint. One set per scene, saved with it."""

    style_name: bpy.props.StringProperty(options={"HIDDEN"})
    """What the file keeps: a name stays right when styles come and go, a place in a list does not."""
    style: bpy.props.EnumProperty(
        name="Style", description="The hand to paint with", items=style_items, get=_get_style, set=_set_style
    )
    strength: bpy.props.FloatProperty(
        name="Strength",
        description="0 leaves the picture as it is, 1 paints it fully",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    stroke: bpy.props.FloatProperty(
        name="Stroke Size",
        description="2 paints with strokes twice as large, 0.5 with strokes half as large",
        default=1.0,
        min=0.25,
        max=4.0,
        step=5,
    )
    seed: bpy.props.IntProperty(name="Seed", description="Another seed paints with other strokes", default=0, min=0)
    # Match Display, by looking at the three styles: under AgX, Scene greys the palette and leaves what is bright
    # unpainted; under Standard the two look alike.
    colours: bpy.props.EnumProperty(
        name="Colours",
        description="How renders and float images come before the style; byte textures are painted as they are",
        items=COLOURS,
        default="DISPLAY",
    )
    tileable: bpy.props.BoolProperty(
        name="Tileable",
        description="The texture repeats: paint across its borders so that no seam appears",
        default=False,
    )
    overlays: bpy.props.EnumProperty(
        name="Overlays",
        description="Pictures beside the result that explain it, each with its measured faithfulness",
        items=OVERLAYS,
        options={"ENUM_FLAG"},
        default={"Scale"},
    )
    device: bpy.props.EnumProperty(
        name="Device",
        description="What computes",
        items=(
            ("auto", "Automatic", "The graphics card where the chosen Python can use it, else the processor"),
            ("cpu", "CPU", "The processor"),
            ("cuda", "CUDA", "An NVIDIA graphics card; needs a Python with CUDA in the add-on's preferences"),
        ),
        default="auto",
    )


def settings(context: bpy.types.Context) -> PentimentoSettings:
    return context.scene.pentimento


def preferences() -> Any:
    return bpy.context.preferences.addons[PACKAGE].preferences


# ---------------------------------------------------------------- requests


def new_job() -> str:
    return uuid.uuid4().hex


def missing_style(chosen: PentimentoSettings) -> str:
    """The name of a style that the file asks for and that is not installed here."""
    return "" if not chosen.style_name or style_of(chosen.style_name) else chosen.style_name


def chosen_style(chosen: PentimentoSettings) -> Style:
    if not styles():
        raise EngineError("No style is installed.", "Import a style in the Pentimento panel.")
    if missing := missing_style(chosen):
        raise EngineError(f"The style {missing!r} is not installed.", "Choose another style, or import this one.")
    return styles()[_get_style(chosen)]


def stylize_settings(chosen: PentimentoSettings, tileable: bool) -> protocol.StylizeSettings:
    """The panel as plain values. Names go by their order, so that the same choice gives the same recipe."""
    return protocol.StylizeSettings(
        styles=(protocol.StyleShare(str(chosen_style(chosen).folder)),),
        strength=chosen.strength,
        seed=chosen.seed,
        stroke=chosen.stroke,
        tileable=tileable,
        overlays=tuple(name for name, *_ in OVERLAYS if name in chosen.overlays),
        device=chosen.device,
    )


def stylize_request(
    source: protocol.PictureSource,
    how: protocol.StylizeSettings,
    folder: str,
    deliver: str,
    view: protocol.ViewTable | None = None,
) -> protocol.StylizeRequest:
    return protocol.StylizeRequest(new_job(), (source,), how, folder, deliver, view)


# ---------------------------------------------------------------- registration


def register() -> None:
    bpy.utils.register_class(PentimentoSettings)
    bpy.types.Scene.pentimento = bpy.props.PointerProperty(type=PentimentoSettings)


def unregister() -> None:
    del bpy.types.Scene.pentimento
    bpy.utils.unregister_class(PentimentoSettings)
    refresh_styles()
