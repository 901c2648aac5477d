"""What the add-on and the engine may say when something does not go, read from the sources, as a translation has it.

A text is a template: what is put in only when it happens has a name in braces. Where a text comes in by an argument,
the calls of its function are looked at.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
MAKES = {
    "EngineError": (0, 1),
    "FrameFailed": (2, 3),
    "SourceFailed": (2, 3),
    "Failed": (1, 2),
    "Missed": (1,),
    "Finding": (1, 2),
    "Check": (1,),
    "at_least": (1,),
}
"""Calls that say something, and which of their arguments do"""
RETURN = {
    *(
        ("explain." + name, "_sentence")
        for name in ("removal", "scale", "provenance", "style_fit", "influence", "detail")
    ),
    ("explain.players", "said"),
    ("looks", "failures"),
    ("looks", "_failure"),
    ("training.trainer", "made_smaller"),
    ("training.trainer", "make_room"),
    ("training.trainer", "_size"),
    ("training.loop", "_fell_back"),
    ("projection.job", "_sentence"),
    ("engine_client", "_how"),
    ("pip_errors", "_missing"),
    ("pip_errors", "explain"),
    ("training.diagnostics", "_roll_back"),
}
"""Functions that answer what is said: module and name"""
SAID = {"UNIT", "_REASONS", "KNOWN"}
"""Constants of the engine whose texts are said"""
TERMINAL_ONLY = {"blind", "certification", "cli", "demo", "evaluate", "flicker", "inception", "measure"}
"""Modules that nothing in Blender asks for"""
SPOKEN = {"what", "which", "why", "how", "instead", "done", "doing", "has", "found", "reason", "problem", "said", "at"}
SPOKEN |= {"needs", "told", "wanted", "other", "word", "beside", "against", "vertical", "horizontal", "rest"}
ASIDE = {"place"}
"""What is put in under these names is said in words, too: in variants of the text, or looked up by itself"""
OPAQUE = {"wrong"}
"""Functions whose reasons are for whoever writes style packs by hand: they name entries of style.json"""
DEEP = 5
"""Steps from a name to what it may be"""
MOST = 24
"""Variants of a text that are texts of their own; where there are more, what is put in is looked up by itself"""

Where = tuple[Path, ast.AST | None]


@dataclass
class Sources:
    """All sources, and who calls what in them."""

    phrases: list[list[str | ast.expr]] = field(default_factory=list)
    """What is put into texts and is said in words, too"""
    trees: dict[Path, ast.Module] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    calls: dict[str, list[tuple[Path, ast.Call]]] = field(default_factory=lambda: defaultdict(list))
    functions: dict[str, list[tuple[Path, ast.FunctionDef]]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def read(cls) -> Sources:
        found = cls()
        for path in sorted(path for folder in ("engine", "blender_addon") for path in (REPO / folder).rglob("*.py")):
            tree = found.trees[path] = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                found.parents.update((child, node) for child in ast.iter_child_nodes(node))
                if isinstance(node, ast.Call):
                    found.calls[_name(node.func)].append((path, node))
                if isinstance(node, ast.FunctionDef):
                    found.functions[node.name].append((path, node))
        return found

    # ------------------------------------------------------------ what a piece of source may say

    def wordings(self, path: Path, node: ast.expr, deep: int = DEEP) -> Iterator[list[str | ast.expr]]:
        """Texts that an expression may be: pieces of text, and expressions for what is put in."""
        if isinstance(node, ast.Constant):
            yield [str(node.value or "")]
        elif isinstance(node, ast.IfExp):
            yield from itertools.chain(self.wordings(path, node.body, deep), self.wordings(path, node.orelse, deep))
        elif isinstance(node, ast.JoinedStr):
            yield from self._joined(path, [self._part(path, part, deep) for part in node.values])
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = [list(self.wordings(path, side, deep)) for side in (node.left, node.right)]
            yield from self._joined(path, sides)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Tuple):
            for value in node.value.elts:
                yield from self.wordings(path, value, deep)
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                yield from self.wordings(path, value, deep)
        elif deep and (meant := list(self._meant(path, node))):
            for where, other in meant:
                yield from self.wordings(where, other, deep - 1)
        else:
            yield [node]

    def _part(self, path: Path, part: ast.expr, deep: int) -> list[list[str | ast.expr]]:
        """A piece of an f-string: what is put in has a name, unless it is one of a few texts."""
        if not isinstance(part, ast.FormattedValue):
            return list(self.wordings(path, part, deep))
        if isinstance(part.value, ast.IfExp) or _is_text(part.value):
            return list(self.wordings(path, part.value, deep))
        if _is_plural(part.value):
            return [[part.value.left.value], [""]]
        if _called(part.value) not in SPOKEN | ASIDE:
            return [[part.value]]
        found = [one for one in self.wordings(path, part.value, deep) if one != [part.value]]
        words = [one for one in found if any(isinstance(piece, str) for piece in one)]
        if words and len(words) == len(found) and len(words) <= MOST and _called(part.value) not in ASIDE:
            return words
        self.phrases += words  # looked up by themselves
        return [[part.value]]

    @staticmethod
    def _joined(_path: Path, parts: list[list[list[str | ast.expr]]]) -> Iterator[list[str | ast.expr]]:
        for chosen in itertools.product(*parts):
            yield [piece for pieces in chosen for piece in pieces]

    def _meant(self, path: Path, node: ast.expr) -> Iterator[tuple[Path, ast.expr]]:
        """What a name stands for: what is assigned to it there, what its function is called with, what a function
        returns."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for where, function in self.functions.get(node.func.id, ()):
                if where == path:
                    yield from ((where, one.value) for one in ast.walk(function) if _returns_text(one))
        if not isinstance(node, ast.Name):
            return
        inside = self._function_of(node)
        for scope in filter(None, (inside, self.trees[path])):
            if assigned := list(_assigned(scope, node.id)):
                yield from ((path, value) for value in assigned)
                return
        if inside is not None:
            yield from self._given(path, inside, node.id)

    def _function_of(self, node: ast.AST) -> ast.FunctionDef | None:
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, ast.FunctionDef):
                return node
        return None

    def _given(self, where: Path, function: ast.FunctionDef, name: str) -> Iterator[tuple[Path, ast.expr]]:
        names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        keywords = [argument.arg for argument in function.args.kwonlyargs]
        if name not in names + keywords or function.name in OPAQUE:
            return
        place = names.index(name) - (names[0] in ("self", "cls")) if name in names else -1
        calls = self.calls.get(function.name, ())
        for path, call in (pair for pair in calls if pair[0] == where or not function.name.startswith("_")):
            if 0 <= place < len(call.args):
                yield path, call.args[place]
            yield from ((path, word.value) for word in call.keywords if word.arg == name)


def _name(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, (ast.Constant, ast.JoinedStr))


def _is_plural(node: ast.expr) -> bool:
    """'s' * (count > 1)"""
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and isinstance(_text_in(node.left), str)


def _text_in(node: ast.expr) -> object:
    return getattr(node, "value", None) if isinstance(node, ast.Constant) else None


def _returns_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Return) and node.value is not None


def _assigned(scope: ast.AST, name: str) -> Iterator[ast.expr]:
    for node in scope.body if isinstance(scope, ast.Module) else ast.walk(scope):
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and target.id == name:
                    yield node.value
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = zip(target.elts, node.value.elts, strict=False)
                    yield from (value for part, value in pairs if getattr(part, "id", "") == name)


# ---------------------------------------------------------------- templates


def templates() -> dict[str, str]:
    """Template -> the file that says it, of all that Blender may show."""
    sources, found = Sources.read(), {}
    for name, places in MAKES.items():
        for path, call in sources.calls[name]:
            if path.stem not in TERMINAL_ONLY:
                for place in places:
                    for pieces in sources.wordings(path, call.args[place]) if place < len(call.args) else ():
                        found.setdefault(template(pieces), f"{path.stem}, line {call.lineno}")
    for path, node in (*_returned(sources), *_constants(sources)):
        for pieces in sources.wordings(path, node):
            found.setdefault(template(pieces), f"{path.stem}, line {node.lineno}")
    for pieces in sources.phrases:
        found.setdefault(template(pieces), "a part of others")
    return {text: where for text, where in found.items() if _says_something(text)}


def _says_something(text: str) -> bool:
    """More than what is put in: "{key} in {folder}" would fit half of all sentences"""
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\{\w+\}", "", text))
    return len(words) > 1 or (bool(words) and (text[-1] in ".:" or "{" not in text))


def _returned(sources: Sources) -> Iterator[tuple[Path, ast.expr]]:
    for module, name in RETURN:
        for path, function in sources.functions[name]:
            if path.with_suffix("").as_posix().endswith("/" + module.replace(".", "/")):
                for node in (node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value):
                    texts = node.elts if isinstance(node, (ast.Tuple, ast.List)) else [node]
                    yield from ((path, text) for text in texts)


def _constants(sources: Sources) -> Iterator[tuple[Path, ast.expr]]:
    for path, tree in sources.trees.items():
        for name in SAID if "engine" in path.parts else ():
            for value in _assigned(tree, name):
                tuples = [node.elts for node in ast.walk(value) if isinstance(node, ast.Tuple)]
                texts = [text for parts in tuples for text in (parts[1:] if len(parts) == 3 else parts)] or [value]
                yield from ((path, text) for text in texts if _is_text(text))


def template(pieces: list[str | ast.expr]) -> str:
    names: list[str] = []
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
        else:
            name = _called(piece)
            names.append(name)
            text += f"{{{name}{names.count(name) if names.count(name) > 1 else ''}}}"
    return text


DULL = {"self", "shown", "str", "len", "join", "repr", "map", "max", "min", "sorted", "or", "path", "name", "list"}


def _called(node: ast.expr) -> str:
    """One word for what is put in: the last name in the expression that says something."""
    names = [name for part in ast.walk(node) if (name := _name(part))]  # type: ignore[arg-type]
    word = next((name for name in names if name not in DULL), names[0] if names else "value")
    return word.strip("_").lower()
