"""Presets: how to paint, under a name. All that the panels ask, without what belongs to one file or one computer.

Blender's own presets are Python that it runs, and know no lists. Ours are JSON: places and mixed styles come along, and
a preset of a stranger can do nothing but set what the panels can set.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined"

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from . import props
from .engine_client import EngineError

SHIPPED = Path(__file__).resolve().parent / "shipped_presets"
FORMAT = 1
MAX_BYTES = 1 << 20
MAX_ITEMS = 64
"""Of one list: mixed styles, places"""
SECTIONS = {
    "look": ("pentimento", {"style", "palette", "device"}),
    "texture": ("pentimento_texture", {"style"}),
    "animation": ("pentimento_animation", {"source", "frames", "folder", "after_render"}),
}
"""Parts of a preset: the scene's settings of each, and what stays out. The first two are kept by their names; what
computes is the computer's, files are the file's, and what starts by itself the artist alone switches on."""
_ALWAYS_OUT = {"rna_type", "name", "style"}
KINDS: dict[str, type | tuple[type, ...]] = {"BOOLEAN": bool, "INT": int, "FLOAT": (int, float), "STRING": str}
"""What Blender calls a property, and what stands for it in JSON"""


@dataclass(frozen=True)
class Preset:
    """A preset that lies on this computer."""

    name: str
    about: str
    path: Path

    @property
    def ships(self) -> bool:
        return self.path.parent == SHIPPED


def own_folder() -> Path:
    """Among the presets of Blender's user"""
    return Path(bpy.utils.user_resource("SCRIPTS", path="presets/pentimento", create=True))


def found() -> tuple[Preset, ...]:
    """Those that ship, then the artist's; one of the artist's hides a shipped one of the same name."""
    by_name = {preset.name: preset for folder in (SHIPPED, own_folder()) for preset in _in(folder)}
    return tuple(sorted(by_name.values(), key=lambda preset: (not preset.ships, preset.name.casefold())))


def _in(folder: Path) -> Iterator[Preset]:
    for path in sorted(folder.glob("*.json")):
        try:
            data = _read(path)
        except EngineError:
            continue  # not shown: what it is, loading it would say
        yield Preset(str(data["name"]), str(data.get("about", "")), path)


def find(name: str) -> Preset:
    preset = next((preset for preset in found() if preset.name == name), None)
    if preset is None:
        raise EngineError(f"There is no preset {name!r}.", "Choose one of the list.")
    return preset


# ---------------------------------------------------------------- save


def save(scene: bpy.types.Scene, name: str) -> Path:
    """All that the panels say now; an older preset of the artist's of that name is replaced."""
    name = name.strip()
    if not name or not name.isprintable():
        raise EngineError("A preset needs a name.", "Enter one below the list.")
    settings = {section: _plain(getattr(scene, group), out) for section, (group, out) in SECTIONS.items()}
    data = {"pentimento_preset": FORMAT, "name": name, "about": "", "settings": settings}
    older = next((preset.path for preset in _in(own_folder()) if preset.name == name), None)
    path = older or _free(own_folder() / f"{bpy.path.clean_name(name)}.json")
    try:
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise EngineError(
            f"The preset cannot be written ({error.strerror}).", "Check that the disk is not full."
        ) from error
    return path


def new_name(chosen: props.gallery.GallerySettings) -> str:
    """What the field below the list says. The name that stands there at first is nobody's choice: where it is taken,
    the next free one, numbered as Blender does."""
    name, taken = chosen.preset_name, {preset.name for preset in found()}
    if name != chosen.bl_rna.properties["preset_name"].default or name not in taken:
        return name
    return next(free for number in itertools.count(1) if (free := f"{name}.{number:03d}") not in taken)


def _free(path: Path) -> Path:
    """Names that differ may be the same as names of files."""
    number, free = 2, path
    while free.exists():
        free, number = path.with_stem(f"{path.stem} {number}"), number + 1
    return free


def remove(name: str) -> None:
    preset = find(name)
    if preset.ships:
        raise EngineError(f"The preset {name!r} came with Pentimento.", "Save one of your own under its name instead.")
    preset.path.unlink(missing_ok=True)


def _plain(group: bpy.types.PropertyGroup, out: set[str]) -> dict[str, Any]:
    """The settings of a group as JSON, by their names"""
    return {prop.identifier: _value(group, prop) for prop in _settings(group, out)}


def _settings(group: bpy.types.PropertyGroup, out: set[str]) -> list[bpy.types.Property]:
    return [prop for prop in group.bl_rna.properties if prop.identifier not in _ALWAYS_OUT | out]


def _value(group: bpy.types.PropertyGroup, prop: Any) -> Any:
    value = getattr(group, prop.identifier)
    if prop.type == "COLLECTION":
        return [_plain(item, set()) for item in value]
    if prop.type == "POINTER":
        return _plain(value, set()) if isinstance(value, bpy.types.PropertyGroup) else (value.name if value else "")
    if prop.type == "ENUM" and prop.is_enum_flag:
        return sorted(value)
    return list(value) if getattr(prop, "is_array", False) else value


# ---------------------------------------------------------------- load


def load(scene: bpy.types.Scene, path: Path) -> list[str]:
    """Sets what the preset says and leaves the rest. Returns what could not be as it says, each with what to do."""
    notes: list[str] = []
    for section, values in _read(path)["settings"].items():
        if section in SECTIONS and isinstance(values, dict):
            group, out = SECTIONS[section]
            _apply(getattr(scene, group), values, out, notes)
    return list(dict.fromkeys([*_missing_styles(scene), *notes]))


def _missing_styles(scene: bpy.types.Scene) -> Iterator[str]:
    chosen = scene.pentimento
    named = [part.style_name for part in props.all_styles(chosen)] + [chosen.palette_name]
    for name in named:
        if name and not props.library.style_of(name):
            yield f"The style {name!r} is not installed: choose another style, or import this one."
    texture = scene.pentimento_texture.style_name
    if texture and not props.library.is_installed(texture):
        yield f"The texture style {texture!r} is not installed: choose another one, or import it."


def _read(path: Path) -> dict[str, Any]:
    """The preset in a file: nothing is run. Raises EngineError for what is none."""
    fix = "Choose a .json that Pentimento has saved as a preset."
    try:
        if path.stat().st_size > MAX_BYTES:
            raise EngineError(f"{path.name!r} is no preset: it is larger than {MAX_BYTES >> 20} MB.", fix)
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        good = data["pentimento_preset"] == FORMAT and isinstance(data["name"], str)
        good = good and isinstance(data["settings"], dict)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise EngineError(f"{path.name!r} is no preset.", fix) from error
    if not good:
        raise EngineError(f"{path.name!r} is a preset of another version.", "Update the add-on, or save it again.")
    return data


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _apply(group: bpy.types.PropertyGroup, values: dict[str, Any], out: set[str], notes: list[str]) -> None:
    known = {prop.identifier: prop for prop in _settings(group, out)}
    for name, value in values.items():
        if name not in known or not _fits(known[name], value):
            notes.append(
                f"This version does not know the setting {str(name)[:40]!r} as it is in the preset: set it yourself."
            )
        elif known[name].type == "COLLECTION":
            _fill(getattr(group, name), value, notes)
        elif known[name].type == "POINTER":
            _point(group, known[name], value, notes)
        else:
            _set(group, known[name], value, notes)


def _fits(prop: Any, value: Any) -> bool:
    """Is it of the kind that the setting takes?"""
    if prop.type == "COLLECTION":
        return isinstance(value, list) and len(value) <= MAX_ITEMS and all(isinstance(item, dict) for item in value)
    if prop.type == "POINTER":
        return isinstance(value, (str, dict))
    if prop.type == "ENUM":
        return isinstance(value, list if prop.is_enum_flag else str)
    items = value if getattr(prop, "is_array", False) and isinstance(value, list) else [value]
    is_kind = all(isinstance(item, KINDS[prop.type]) for item in items)
    return is_kind and (prop.type == "BOOLEAN" or not any(isinstance(item, bool) for item in items))


def _fill(collection: Any, items: list[dict[str, Any]], notes: list[str]) -> None:
    collection.clear()
    for values in items:
        _apply(collection.add(), values, set(), notes)


def _point(group: bpy.types.PropertyGroup, prop: Any, value: str | dict[str, Any], notes: list[str]) -> None:
    """A picture by its name, where this file has it; settings in settings"""
    if isinstance(value, dict):
        if isinstance(getattr(group, prop.identifier), bpy.types.PropertyGroup):
            _apply(getattr(group, prop.identifier), value, set(), notes)
        return
    if prop.fixed_type.identifier != "Image":
        return
    setattr(group, prop.identifier, bpy.data.images.get(value))
    if value and value not in bpy.data.images:
        notes.append(f"The picture {value!r} is not in this file: choose its {prop.name.lower()} again.")


def _set(group: bpy.types.PropertyGroup, prop: Any, value: Any, notes: list[str]) -> None:
    """Blender keeps numbers within their limits itself"""
    try:
        setattr(group, prop.identifier, set(value) if isinstance(value, list) and prop.type == "ENUM" else value)
    except (TypeError, ValueError, OverflowError):
        notes.append(f"{prop.name} has no choice {str(value)[:60]!r} here: it stays as it was.")
