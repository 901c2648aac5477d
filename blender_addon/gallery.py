"""The gallery behind its panel: favourites, what is shown, the card of a style, and styles renamed, moved, removed."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined"

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from . import compat, props
from .engine_client import EngineError
from .props.library import Style
from .translation import listed, overlay, worded

# ---------------------------------------------------------------- favourites

_favourites: frozenset[str] | None = None


def favourites() -> frozenset[str]:
    """Names of the styles with a star: the artist's, in every file."""
    global _favourites
    if _favourites is None:
        _favourites = _read_favourites()
    return _favourites


def set_favourite(name: str, is_one: bool) -> None:
    """Raises EngineError where the list cannot be written."""
    global _favourites
    with _writing("The list of favourites"):  # what cannot be read now is not replaced
        others = _stored() - {name}  # as another window of Blender may have left it
    _favourites = others | {name} if is_one else others
    with _writing("The list of favourites"):
        _write(_favourites_file(), json.dumps(sorted(_favourites), indent=1))


def forget_favourites() -> None:
    """They are read again when they are asked for."""
    global _favourites
    _favourites = None


def _favourites_file() -> Path:
    return compat.kept_folder("gallery") / "favourites.json"


def _read_favourites() -> frozenset[str]:
    try:
        return _stored()
    except OSError:
        return frozenset()


def _stored() -> frozenset[str]:
    """Raises OSError where there is a list that cannot be read. One that is damaged holds none."""
    try:
        found = json.loads(_favourites_file().read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return frozenset()
    return frozenset(name for name in found if isinstance(name, str)) if isinstance(found, list) else frozenset()


# ---------------------------------------------------------------- what is shown


def shown(chosen: props.gallery.GallerySettings) -> tuple[Style, ...]:
    """The styles that the gallery shows, by name. It changes nothing about which one is chosen."""
    words = chosen.search.casefold().split()
    kind = [style for style in props.library.all_styles() if style.makes_textures == (chosen.makes == "TEXTURES")]
    return tuple(
        style
        for style in kind
        if _lies_in(style, chosen.folder)
        and (not chosen.favourites or style.name in favourites())
        and all(word in f"{style.name} {style.author} {style.group}".casefold() for word in words)
    )


def _lies_in(style: Style, folder: str) -> bool:
    if folder == props.gallery.OWN:
        return not style.ships and not style.group
    return {props.gallery.ALL: True, props.gallery.SHIPPED: style.ships}.get(folder, f"/{style.group}" == folder)


def looked_at(context: bpy.types.Context) -> Style | None:
    """The style whose card is shown: the chosen one of the kind that the gallery shows."""
    of_textures = props.gallery.gallery(context).makes == "TEXTURES"
    try:
        if of_textures:
            return props.chosen_texture_style(props.texture_settings(context))
        return props.chosen_style(props.settings(context))
    except EngineError:  # not installed: the main panel says so
        return None


def choose(scene: bpy.types.Scene, style: Style) -> None:
    """As the picker of its panel would."""
    settings = scene.pentimento_texture if style.makes_textures else scene.pentimento
    settings.style = style.name


def find(name: str) -> Style:
    """Any style by its name. Raises EngineError where there is none."""
    found = next((style for style in props.library.all_styles() if style.name == name), None)
    if found is None:
        raise EngineError(f"There is no style {name!r}.", "Press Refresh in the gallery.")
    return found


# ---------------------------------------------------------------- the card


@dataclass(frozen=True)
class Row:
    label: str
    """English: the panel looks it up, as Blender would"""
    text: str


LEARNED = {
    "pictures": "Learned from pictures",
    "keyframes": "Learned from keyframes",
    "texture": "Learned from a material",
}
_cards: dict[tuple[str, int], dict[str, Any]] = {}
"""What style.json says, by its path and when it was written: a panel is drawn many times a second"""


def card(style: Style) -> tuple[Row, ...]:
    """What a style is made of, and what it can tell: as many lines as it has something to say."""
    path = style.folder / "style.json"
    try:
        key = str(path), path.stat().st_mtime_ns
        if key not in _cards:
            _cards[key] = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_card(style, _cards[key]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return (Row("Problem", worded("This style cannot be read")),)


def _card(style: Style, data: dict[str, Any]) -> Iterator[Row]:
    model, training = data["model"], data["recipe"].get("training", {})
    yield Row("Author", style.author or worded("Not said"))
    yield Row("Licence", style.licence or worded("Not said"))
    if style.third_party:
        file = data["recipe"].get("imported", {}).get("file") or worded("an ONNX model")
        yield Row("Made By", worded("Another program: {file}", file=file))
    else:
        yield Row("Made By", _made_by(training, data))
    if style.group:
        yield Row("Folder", style.group)
    if not style.makes_textures:
        guides = [worded(props.choices.GUIDES[name].label) for name in sorted(style.guides)]
        yield Row("Guides", listed(guides) or worded("None"))
    yield Row("Size", _sizes(model))
    yield from _answers(style)


def _made_by(training: dict[str, Any], data: dict[str, Any]) -> str:
    count = len(data.get("pictures", ()))
    steps = data["recipe"].get("steps")
    parts = [worded(LEARNED.get(training.get("kind", ""), "Pentimento"))]
    parts += [worded("{count} of them", count=count)] if count > 1 else []
    parts += [worded("{count} steps", count=steps)] if steps else []
    return listed(parts)


def _sizes(model: dict[str, Any]) -> str:
    """Of pictures: what comes of large ones, which are painted in pieces"""
    if size := model["fixed_size"]:
        return worded("Only {width} x {height} pixels at once", width=size[1], height=size[0])
    if model["receptive_radius"] is None:
        return worded("Any, but large pictures can show seams")
    return worded("Any, and large pictures show no seams")


def exactly(name: str) -> str:
    """A line in English of what only a bug report wants to know of a style; empty where there is no such style."""
    style = props.library.style_of(name)
    if style is None:
        return ""
    try:
        model = json.loads((style.folder / "style.json").read_text(encoding="utf-8"))["model"]
        radius, size = model["receptive_radius"], model["fixed_size"]
        sees = "the whole picture" if radius is None else f"{2 * radius + 1} pixels"
        return f"Style {name}: {model['parameters']} weights, sees {sees}" + (f", only {size}" if size else "")
    except (OSError, ValueError, KeyError, TypeError):
        return f"Style {name}: cannot be read"


def _answers(style: Style) -> Iterator[Row]:
    """The overlays that it can answer: what depends on the picture (lights, objects, a mix) it never lacks."""
    if style.makes_textures:
        yield Row("Variants", str(style.variants) if style.variants else worded("None"))
        return
    own = {"gradients", "pictures", "fit"}
    questions = props.choices.QUESTIONS.items()
    can = {name: asked.needs not in own or asked.needs in style.brings for name, asked in questions}
    labels = {name: overlay(name) for name, _ in questions}
    yield Row("Explains", listed([labels[name] for name, able in can.items() if able]))
    if not all(can.values()):
        yield Row("Cannot", listed([labels[name] for name, able in can.items() if not able]))


# ---------------------------------------------------------------- the artist's own styles


def why_fixed(style: Style) -> str:
    """Why a style can be neither renamed nor moved nor removed; empty where it can."""
    return "It came with Pentimento: an update would bring it back" if style.ships else ""


def _own(name: str) -> Style:
    style = find(name)
    if reason := why_fixed(style):
        raise EngineError(f"{name} stays as it is. {reason}.", "Export it and import it under another name.")
    return style


def rename(name: str, new: str) -> None:
    """Also in every scene of this file, and among favourites. What it paints does not change."""
    style, new = _own(name), new.strip()
    if not new or len(new) > 80 or not new.isprintable():
        raise EngineError(f"A style cannot be called {new!r}.", "Choose a name of 1 to 80 letters.")
    if new != name and props.library.is_installed(new):
        raise EngineError(f"There is already a style {new!r}.", "Choose another name.")
    path = style.folder / "style.json"
    with _writing(f"The style {name!r}"):
        data = json.loads(path.read_text(encoding="utf-8"))
        _write(path, json.dumps({**data, "name": new}, indent=2) + "\n")
    props.library.refresh_styles()
    _rename_in_scenes(name, new)
    if name in favourites():
        set_favourite(name, False)
        set_favourite(new, True)


def _rename_in_scenes(name: str, new: str) -> None:
    for scene in bpy.data.scenes:
        for part in (*props.all_styles(scene.pentimento), scene.pentimento_texture):
            part.style_name = new if part.style_name == name else part.style_name
        if scene.pentimento.palette_name == name:
            scene.pentimento.palette_name = new


def move(name: str, folder: str) -> None:
    """Into a folder among the artist's styles, made where it is not there; empty: out of any."""
    style, folder = _own(name), folder.strip()
    _check_folder(folder)
    target = Path(props.library.user_styles(), folder, style.folder.name)
    if target == style.folder:
        return
    if target.exists():
        raise EngineError(f"There is already a style in {target.name!r} of that folder.", "Choose another folder.")
    with _writing(f"The folder {folder!r}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        style.folder.rename(target)
    _tidy(style)
    props.library.refresh_styles()


def _check_folder(name: str) -> None:
    bad = set(name) & set('/\\:*?"<>|') or name.startswith(".") or name.endswith((".", ".training"))
    if bad or len(name) > 60 or not name.isprintable():
        raise EngineError(f"A folder cannot be called {name!r}.", "Use letters, digits and spaces.")
    if (props.library.user_styles() / name / "style.json").exists():
        raise EngineError(f"{name!r} is a style, not a folder of styles.", "Choose another name.")


def remove(name: str) -> None:
    """Deletes its files. A result that was painted with it stays."""
    style = _own(name)
    with _writing(f"The style {name!r}"):
        shutil.rmtree(style.folder)
    _tidy(style)
    if name in favourites() and not props.library.is_installed(name):
        set_favourite(name, False)
    props.library.refresh_styles()


def _tidy(style: Style) -> None:
    """The folder that it lay in goes with its last style."""
    if style.group:
        with contextlib.suppress(OSError):  # something is in it
            style.folder.parent.rmdir()


def _write(path: Path, text: str) -> None:
    """Beside its place first: there is always a whole file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".pentimento-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(what: str) -> Iterator[None]:
    """The system's refusals in the artist's words"""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EngineError(
            f"{what} cannot be changed ({reason}).", "Check that the disk is not full and the folder can be written."
        ) from error
