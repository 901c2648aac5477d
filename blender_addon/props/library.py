"""The installed styles, as pickers show them. Only names are read: the worker verifies a pack before it is used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from .. import compat
from ..engine_client import STYLES
from .choices import GUIDES

PACKAGE = (__package__ or "pentimento.props").rpartition(".")[0]


def preferences() -> Any:
    chosen: Any = bpy.context.preferences
    return chosen.addons[PACKAGE].preferences


@dataclass(frozen=True)
class Style:
    """A style as the picker shows it. Only names are read here; the worker verifies the pack before it is used."""

    name: str
    folder: Path
    author: str = ""
    licence: str = ""
    makes_textures: bool = False
    """Of noise alone: it paints no picture."""
    variants: int = 0
    """Exemplars of a texture of which it can be made alone"""
    brings: frozenset[str] = frozenset()
    """What overlays need of it: gradients, pictures (what it was made of), fit (what is usual in them)"""
    third_party: bool = False
    """Made by another program"""
    guides: frozenset[str] = frozenset()
    """Those of GUIDES that it is told beside the colours of a render"""
    group: str = ""
    """The folder in the artist's folder of styles that it lies in; empty: in none"""

    @property
    def ships(self) -> bool:
        """Came with the add-on"""
        return self.folder.parent == STYLES

    @property
    def preview(self) -> Path:
        return self.folder / "preview.png"


_styles: tuple[Style, ...] | None = None
_items: list[tuple[str, str, str, int, int]] = []
"""Blender keeps no copy of the strings of a dynamic enum: they must live as long as it shows them."""
_palette_items: list[tuple[str, str, str, int, int]] = []
_texture_items: list[tuple[str, str, str, int, int]] = []
_previews: Any = None
"""Pictures of styles, kept until the add-on is switched off. Blender loads them in a job, when it first draws them; one
that is freed before its job ends was seen to be freed twice (3.4), and the heap was broken."""


def user_styles() -> Path:
    """The folder that imported and trained styles go into."""
    chosen = preferences().styles_folder
    return Path(bpy.path.abspath(chosen)) if chosen else compat.kept_folder("styles")


def styles() -> tuple[Style, ...]:
    """The installed styles that paint pictures, by name."""
    return tuple(style for style in _installed() if not style.makes_textures)


def texture_styles() -> tuple[Style, ...]:
    """Those that make textures"""
    return tuple(style for style in _installed() if style.makes_textures)


def _installed() -> tuple[Style, ...]:
    """All styles by name; one of the artist's own hides a shipped one of the same name."""
    global _styles
    if _styles is None:
        found = {style.name: style for folder in (STYLES, *_own_folders()) for style in _styles_in(folder)}
        _styles = tuple(sorted(found.values(), key=lambda style: style.name.lower()))
    return _styles


def _own_folders() -> tuple[Path, ...]:
    """The artist's folder of styles and, before it, the folders in it that are no styles: what lies at the top hides
    what lies deeper. A training keeps its state in a folder of its own beside its style."""
    own = user_styles()
    try:
        inside = sorted(entry for entry in own.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return (own,)
    no_groups = (entry.name.startswith(".") or entry.suffix == ".training" for entry in inside)
    groups = [entry for entry, other in zip(inside, no_groups, strict=True) if not other]
    return (*(group for group in groups if not (group / "style.json").exists()), own)


def all_styles() -> tuple[Style, ...]:
    """For pictures and for textures, by name"""
    return _installed()


def refresh_styles() -> None:
    """Looks at the folders again, after an import, a training or a change of the folder."""
    global _styles
    _styles = None
    _items.clear()
    _palette_items.clear()
    _texture_items.clear()


def free_pictures() -> None:
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
        inputs = data.get("model", {}).get("inputs", {})
        author, licence = str(data.get("author", "")), str(data.get("licence", ""))
        makes_textures = bool(inputs) and "image" not in inputs
        variants = len((inputs["noise"].get("strokes") or {}).get("parts", ())) if makes_textures else 0
        foreign, guides = data.get("kind") == "third-party", frozenset(set(GUIDES) & set(inputs))
        about = (author, licence, makes_textures, variants, _brings(data), foreign, guides, _group(pack))
        return Style(str(data["name"]), pack, *about)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _group(pack: Path) -> str:
    return "" if pack.parent in (STYLES, user_styles()) else pack.parent.name


def _brings(data: dict[str, Any]) -> frozenset[str]:
    files = data.get("files", {})
    has = {
        "gradients": "explain.onnx" in files,
        "pictures": bool(data.get("pictures")),
        "fit": "fit.bytes" in files,
    }
    return frozenset(name for name, there in has.items() if there)


def style_items(_settings: Any, _context: Any) -> list[tuple[str, str, str, int, int]]:
    if not _items:
        _items.extend(_item(style, number) for number, style in enumerate(styles()))
    return _items


def _item(style: Style, number: int) -> tuple[str, str, str, int, int]:
    about = " · ".join(part for part in (style.author, style.licence) if part)
    return style.name, style.name, about, icon(style), number


def get_style(chosen: Any) -> int:
    """The place of the chosen style in the list; the first where none was chosen yet."""
    names = [style.name for style in styles()]
    return names.index(chosen.style_name) if chosen.style_name in names else 0


def set_style(chosen: Any, number: int) -> None:
    chosen.style_name = styles()[number].name


def palette_items(_settings: Any, _context: Any) -> list[tuple[str, str, str, int, int]]:
    """Their own colours first, then every style."""
    if not _palette_items:
        _palette_items.append(("OWN", "Its Own", "Every style keeps the colours of its painting", 0, 0))
        _palette_items.extend(_item(style, number) for number, style in enumerate(styles(), 1))
    return _palette_items


def get_palette(chosen: Any) -> int:
    names = [style.name for style in styles()]
    return 1 + names.index(chosen.palette_name) if chosen.palette_name in names else 0


def set_palette(chosen: Any, number: int) -> None:
    chosen.palette_name = styles()[number - 1].name if number else ""


def texture_style_items(_settings: Any, _context: Any) -> list[tuple[str, str, str, int, int]]:
    if not _texture_items:
        _texture_items.extend(_item(style, number) for number, style in enumerate(texture_styles()))
    return _texture_items


def get_texture_style(chosen: Any) -> int:
    names = [style.name for style in texture_styles()]
    return names.index(chosen.style_name) if chosen.style_name in names else 0


def set_texture_style(chosen: Any, number: int) -> None:
    chosen.style_name = texture_styles()[number].name


def icon(style: Style) -> int:
    """The preview picture, loaded by Blender when it first draws it. There is nothing to draw in background."""
    return 0 if bpy.app.background else picture_of(style.preview)


def picture_of(file: Path) -> int:
    """The number of an icon; 0 where there is no such file. One that was written anew has another one."""
    global _previews
    try:
        name = f"{file} {file.stat().st_mtime_ns}"
    except OSError:
        return 0
    if _previews is None:
        _previews = bpy.utils.previews.new()
    if name not in _previews:
        _previews.load(name, str(file), "IMAGE")
    return int(_previews[name].icon_id)


def is_installed(name: str) -> bool:
    """Is there any style of that name, for pictures or for textures?"""
    return any(style.name == name for style in _installed())


def style_named(name: str) -> Style | None:
    """Of those for pictures and those for textures"""
    return next((style for style in _installed() if style.name == name), None)


def style_painted_with(name: str, hash_: str) -> Style | None:
    """The style that a recipe names: by its hash, for it may have another name now; else the one of that name."""
    named = style_named(name)
    if not hash_ or (named is not None and hash_of(named) == hash_):
        return named
    return next((style for style in _installed() if hash_of(style) == hash_), named)


def hash_of(style: Style) -> str:
    """What its look depends on, as recipes say it (engine.style_pack.StylePack.hash); empty where it cannot be read.
    The words of the file are taken as they are: the engine refuses a style.json with others."""
    file = style.folder / "style.json"
    try:
        return _hash(str(file), file.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


@lru_cache(maxsize=1024)
def _hash(file: str, _changed: int) -> str:
    """Remembered, because a panel asks whenever it is drawn, and where a style was renamed it asks of all."""
    data = json.loads(Path(file).read_text(encoding="utf-8"))
    model, files = data["model"], data["files"]
    tables = [item[kind] for item in model["inputs"].values() for kind in ("strokes", "turned") if item.get(kind)]
    fed = [files[table["file"]] for table in tables] + ([files[model["half"]]] if model.get("half") else [])
    return hashlib.sha256(json.dumps([model, files[model["file"]], *fed], sort_keys=True).encode()).hexdigest()


def style_of(name: str) -> Style | None:
    return next((style for style in styles() if style.name == name), None)
