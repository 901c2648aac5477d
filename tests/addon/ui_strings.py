"""Every text of the add-on that an artist can read, as Blender or we look it up, and which have no translation.

    python tests/addon/ui_strings.py [--language zh_HANS]

Installs the add-on as the tests do and prints what a translation lacks, as JSON to be filled in and merged into
blender_addon/translation/. Exit code 1 when anything is missing.

Two sources: what is registered (names, tooltips, choices: Blender itself says in which context it looks them up), and
the sources themselves (labels, `worded`, choices that are made when they are shown).
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
ADDON = REPO / "blender_addon"
DEFAULT, OPERATOR, OURS = "*", "Operator", "Pentimento"
"""Contexts: what has none of its own, buttons, words that mean something else in Blender"""

LABELS = {
    **dict.fromkeys(("label", "prop", "prop_enum", "prop_search", "menu", "popover", "progress"), DEFAULT),
    **dict.fromkeys(("operator", "operator_menu_enum", "operator_enum"), OPERATOR),
    **dict.fromkeys(("column", "row", "box", "template_list"), DEFAULT),
}
"""Functions of a layout, and the context in which Blender looks up their `text` or `heading`"""
SPOKEN = {"worded": 0, "draw_text": 2, "poll_message_set": 0, "report": 1, "Row": 0}
"""Functions that take a text that artists read: which argument it is"""
SPOKEN_IN = {"poll_message_set": DEFAULT, "report": DEFAULT}
"""Those where Blender looks it up; with the others we do"""
TABLES = {"HEARD", "MEASURED", "EFFORTS", "TITLES", "AGAIN", "LEARNED", "HOW", "FOUND_OUT", "RAN_ON", "TERMS", "LISTED"}
"""Constants whose texts are looked up one by one, where no call names them"""
SOCKETS = {"COLOUR_SOCKETS", "NUMBER_SOCKETS"}
"""Constants with names that nodes show: Blender looks them up"""
ROWS = {"facts", "_answers", "lines", "_more"}
"""Functions that give names beside values: those are looked up"""
PARTS = {"ALL", "SIGNED", "AMOUNT", "SURE"}
CHOICES = {"_PLACES", "targets", *PARTS}
"""Constants and functions that choices are put together from when they are shown; names of parts are looked up by us"""


@dataclass(frozen=True, order=True)
class Text:
    """One text, as it is looked up."""

    context: str
    english: str
    where: str
    """For whoever looks for it: file and line, or class and property"""
    is_tooltip: bool = False
    is_worded: bool = False
    """Looked up by us: in our own context first, then in the default one"""

    @property
    def contexts(self) -> tuple[str, ...]:
        """Where a translation of it may stand"""
        return (OURS, DEFAULT) if self.is_worded else (self.context,)


# ---------------------------------------------------------------- what is registered


def registered(package: str) -> Iterator[Text]:
    """Of all classes of the add-on that Blender knows. package: its name in sys.modules."""
    import bpy

    modules = [module for name, module in sys.modules.items() if name.startswith(package)]
    every = {thing for module in modules for thing in vars(module).values() if isinstance(thing, type)}
    ours = [cls for cls in every if cls.__module__.startswith(package) and getattr(cls, "is_registered", False)]
    for cls in sorted(ours, key=lambda cls: cls.__name__):
        if issubclass(cls, bpy.types.Operator):
            yield from _of_operator(cls)
        elif issubclass(cls, (bpy.types.Panel, bpy.types.Menu)):
            yield from _of_panel(cls)
        else:
            yield from _of_properties(cls, cls.bl_rna)


def _of_operator(cls: Any) -> Iterator[Text]:
    import bpy

    module, name = cls.bl_idname.split(".")
    rna = getattr(getattr(bpy.ops, module), name).get_rna_type()
    yield Text(rna.translation_context, rna.name, cls.__name__)
    yield Text(DEFAULT, rna.description, cls.__name__, True)
    yield from _of_properties(cls, rna)


def _of_panel(cls: Any) -> Iterator[Text]:
    context = getattr(cls, "bl_translation_context", DEFAULT)
    for name, is_tooltip in (("bl_label", False), ("bl_description", True)):
        if text := getattr(cls, name, ""):
            yield Text(DEFAULT if is_tooltip else context, text, cls.__name__, is_tooltip)


def _of_properties(cls: Any, rna: Any) -> Iterator[Text]:
    """Names and tooltips as they are declared: for a property `name` Blender answers with that of every datablock."""
    declared = {name: one for base in cls.__mro__ for name, one in getattr(base, "__annotations__", {}).items()}
    for name in sorted(set(declared) & set(rna.properties.keys())):
        found, where, words = rna.properties[name], f"{cls.__name__}.{name}", declared[name].keywords
        if found.is_hidden:
            continue
        yield Text(found.translation_context, words.get("name", ""), where)
        yield Text(DEFAULT, words.get("description", ""), where, True)
        for item in found.enum_items_static if found.type == "ENUM" else ():
            yield Text(found.translation_context, item.name, where)
            yield Text(DEFAULT, item.description, where, True)


# ---------------------------------------------------------------- what stands in the sources


def written(folder: Path = ADDON) -> Iterator[Text]:
    """Of all source files"""
    sources = sources_of(folder)
    chosen_from = {name: context for source in sources for name, context in source.choices()}
    for source in sources:
        yield from source.texts()
        yield from source.pieces_of_choices()
        yield from source.made_when_shown(chosen_from)


def shipped(folder: Path = ADDON / "shipped_presets") -> Iterator[Text]:
    """Names of presets that ship, and what they are about"""
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        yield from (Text(DEFAULT, data[key], path.name, is_worded=True) for key in ("name", "about"))


def sources_of(folder: Path) -> list[Source]:
    return [Source(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(folder.rglob("*.py"))]


def put_together(folder: Path = ADDON) -> Iterator[str]:
    """Where a label or a sentence is put together from words and values: nothing can look that up."""
    for source in sources_of(folder):
        for _, node in source.spoken():
            for part in source.parts(node):
                if isinstance(part, ast.BinOp) or (isinstance(part, ast.JoinedStr) and _has_words(part)):
                    yield f"{source.path.name}, line {part.lineno}: {ast.unparse(part)}"


def _has_words(node: ast.JoinedStr) -> bool:
    return any(re.search(r"[A-Za-z]", part.value) for part in node.values if isinstance(part, ast.Constant))


class Source:
    """A source file, and where in it something is said."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        self.path, self.tree = path, tree
        self.assigned: dict[str, list[ast.expr]] = defaultdict(list)
        """By name: all that is assigned to it, anywhere in the file"""
        for node in ast.walk(tree):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
                for target in targets:
                    if isinstance(target, ast.Name):
                        self.assigned[target.id].append(node.value)

    def texts(self) -> Iterator[Text]:
        said = [*self.spoken(), *(("", node) for name in TABLES for node in self.assigned[name]), *self.rows()]
        said += [(DEFAULT, node) for name in SOCKETS for node in self.assigned[name]]
        for context, node in said:
            for part in self.parts(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    where = f"{self.path.name}, line {part.lineno}"
                    yield Text(context or DEFAULT, part.value, where, is_worded=not context)

    def rows(self) -> Iterator[tuple[str, ast.expr]]:
        functions = (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef) and node.name in ROWS)
        for node in (node for function in functions for node in ast.walk(function)):
            if isinstance(node, ast.Tuple) and len(node.elts) == 2:
                yield "", node.elts[0]

    def pieces_of_choices(self) -> Iterator[Text]:
        """Name and tooltip of each, which come last"""
        functions = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]
        places = [
            *((name, node) for name in CHOICES for node in self.assigned[name]),
            *(("", node) for node in functions),
        ]
        for name, place in places:
            if isinstance(place, ast.FunctionDef) and place.name not in CHOICES:
                continue
            for node in (node for node in ast.walk(place) if isinstance(node, ast.Tuple) and len(node.elts) == 3):
                where = f"{self.path.name}, line {node.lineno}"
                for number, part in enumerate(node.elts[1:]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield Text(DEFAULT, part.value, where, bool(number), name in PARTS and not number)

    def spoken(self) -> Iterator[tuple[str, ast.expr]]:
        """Context and text of every call that shows one. No context: `worded` looks it up."""
        for call in (node for node in ast.walk(self.tree) if isinstance(node, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in LABELS and isinstance(call.func, ast.Attribute):
                yield from ((LABELS[name], word.value) for word in call.keywords if word.arg in ("text", "heading"))
            if name in SPOKEN and len(call.args) > SPOKEN[name]:
                yield SPOKEN_IN.get(name, ""), call.args[SPOKEN[name]]

    def parts(self, node: ast.expr, deep: int = 3) -> Iterator[ast.expr]:
        """What a text may be: both branches of a choice, all that is assigned to a name, all values of a table."""
        inner: list[ast.expr | None] = []
        if isinstance(node, ast.IfExp):
            inner = [node.body, node.orelse]
        elif isinstance(node, (ast.Tuple, ast.List, ast.Dict, ast.BoolOp)):
            inner = list(getattr(node, "values", None) or getattr(node, "elts", ()))
        elif isinstance(node, ast.Subscript):
            inner = [node.value]
        elif isinstance(node, ast.Name) and deep:
            inner = list(self.assigned.get(node.id, ()))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Effort":
            inner = list(node.args)
        else:
            yield node
        for one in inner:
            if one is not None:
                yield from self.parts(one, deep - isinstance(node, ast.Name))

    def choices(self) -> Iterator[tuple[str, str]]:
        """Names of functions that give choices when they are shown, `items=style_items`, and in which context."""
        for call in (node for node in ast.walk(self.tree) if isinstance(node, ast.Call)):
            words = {word.arg: word.value for word in call.keywords}
            name = getattr(words.get("items"), "attr", getattr(words.get("items"), "id", ""))
            if name:
                yield name, OURS if "OURS" in ast.unparse(call) else DEFAULT

    def made_when_shown(self, chosen_from: dict[str, str]) -> Iterator[Text]:
        """Names and tooltips of choices that a function gives. chosen_from: such functions and their contexts"""
        functions = (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef))
        for function in (function for function in functions if function.name in chosen_from):
            for node in (node for node in ast.walk(function) if isinstance(node, ast.Tuple)):
                texts = [part.value for part in node.elts if isinstance(part, ast.Constant)]
                texts = [text for text in texts if isinstance(text, str)]
                if len(texts) >= 3:
                    where = f"{self.path.name}, line {node.lineno}"
                    yield Text(chosen_from[function.name], texts[1], where)
                    yield Text(DEFAULT, texts[2], where, True)


# ---------------------------------------------------------------- all of it, and what is missing


def every(package: str) -> list[Text]:
    """All texts with words in them, each once."""
    found: dict[tuple[object, ...], Text] = {}
    for text in (*registered(package), *written(), *shipped()):
        if re.search(r"[A-Za-z]{2}|\{\w+\}", text.english):
            found.setdefault((text.context, text.english, text.is_tooltip, text.is_worded), text)
    return sorted(found.values())


def missing(texts: list[Text], translated: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """What has no translation, as it goes into the file."""
    lacking: dict[str, dict[str, str]] = defaultdict(dict)
    for text in texts:
        if not any(text.english in translated.get(context, {}) for context in text.contexts):
            lacking[text.context][text.english] = ""
    return dict(lacking)


def translation(language: str) -> dict[str, dict[str, str]]:
    """Context -> English -> translation"""
    file = ADDON / "translation" / f"{language}.json"
    contexts: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))["contexts"]
    return contexts


def main() -> int:
    parser = argparse.ArgumentParser(description="List what a translation lacks.")
    parser.add_argument("--language", default="zh_HANS")
    chosen = parser.parse_args()
    conftest: Any = importlib.import_module("conftest")
    conftest.install(conftest.build())
    import bpy

    bpy.ops.preferences.addon_enable(module=conftest.PACKAGE)
    lacking = missing(every(conftest.PACKAGE), translation(chosen.language))
    print(json.dumps(lacking, ensure_ascii=False, indent=2))
    shutil.rmtree(conftest.PROFILE, ignore_errors=True)
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
