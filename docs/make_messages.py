"""Write docs/messages.md: every message that Pentimento can give, and what to do, read from the sources.

    python docs/make_messages.py

A message is made where an `EngineError` is: its first argument says what happened, its second what to do. What is put
in only when it happens is slanted.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PAGE = REPO / "docs" / "messages.md"
TOPICS = {
    "Pictures and files": "picture files exr png png_reader atomic strict_json outputs scene_io encode sequence",
    "Styles": "style_pack pack_files import_onnx onnx_graph onnx_lock runtime style_jobs library gallery presets",
    "Painting": "stylize controls mixing painter mattes view props looks operators",
    "Textures": "texture texturing textures relief tileable udim projection projecting",
    "Renders and their passes": "passes painted_pass guides switches",
    "Animations": "animate animating crew shot steady scan record surfaces flicker motion shots ledger",
    "Explanations and layers": "explain explanation explaining certification layering layers",
    "Training": "training keyframes evaluate blind",
    "The program itself": "",
}
"""Heading -> modules or folders; what is named nowhere belongs to the last"""
OWN_WORDS = 2
"""A message with fewer words of its own only hands another one on"""
HEAD = """# Messages

What Pentimento says when something does not go, and the one thing to do then. Search this page for a part of the
message: what is *slanted* is put in when it happens, a name or a number. Every message in Blender's panel has
a button *Copy Report*; a report that begins with "Pentimento met a problem it did not expect" is worth sending to us.

This page is made from the sources by `docs/make_messages.py`; what to do when there is no message stands in
[troubleshooting](troubleshooting.md).
"""


@dataclass(frozen=True, order=True)
class Told:
    """A message and its fix."""

    message: str
    fix: str


def page() -> str:
    """The whole page."""
    by_topic: dict[str, set[Told]] = {topic: set() for topic in TOPICS}
    for folder in ("engine", "blender_addon"):
        for path in sorted((REPO / folder).rglob("*.py")):
            by_topic[_topic(path)].update(messages(path))
    parts = [HEAD]
    for topic, found in by_topic.items():
        rows = [f"| {_cell(one.message)} | {_cell(one.fix)} |" for one in sorted(found)]
        parts.append("\n".join([f"## {topic}", "", "| message | what to do |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def messages(path: Path) -> Iterator[Told]:
    """Those of a source file whose words stand in it: a message that is handed on is told where it is made."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {
        target.id: line.value.value
        for line in tree.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
        for target in line.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "EngineError" and len(node.args) == 2:
            for message in _wordings(node.args[0], texts):
                if len(re.sub(r"\*.*?\*", "", message).split()) >= OWN_WORDS:
                    yield Told(message, " Or: ".join(filter(None, _wordings(node.args[1], texts))))


def _wordings(node: ast.expr, texts: dict[str, str]) -> list[str]:
    """What an expression can say: one wording, or one for each side of an if."""
    if isinstance(node, ast.IfExp):
        return [*_wordings(node.body, texts), *_wordings(node.orelse, texts)]
    return [_text(node, texts)]


def _text(node: ast.expr, texts: dict[str, str]) -> str:
    """The words of an expression, and a slanted name for what is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value or "")
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value, texts) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, texts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, texts) + _text(node.right, texts)
    if isinstance(node, ast.Name) and node.id in texts:
        return texts[node.id]
    return f"*{_called(node)}*"


def _called(node: ast.expr) -> str:
    """One word for what is put in: the last name in the expression that says something."""
    names = [
        found.attr if isinstance(found, ast.Attribute) else found.id
        for found in ast.walk(node)
        if isinstance(found, (ast.Attribute, ast.Name))
    ]
    dull = {"self", "shown", "str", "len", "join", "repr", "map", "max", "min", "sorted", "or", "path", "name"}
    word = next((name for name in names if name not in dull), names[0] if names else "...")
    return word.strip("_").replace("_", " ").lower()


def _topic(path: Path) -> str:
    words = {path.stem, *(part.name for part in path.parents if part != REPO and REPO in part.parents)}
    for topic, modules in TOPICS.items():
        if words & set(modules.split()):
            return topic
    return list(TOPICS)[-1]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
