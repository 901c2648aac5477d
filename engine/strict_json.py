"""JSON from strangers: bounded in size and depth, no NaN, no key twice. Standard library only."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from .errors import EngineError

MAX_BYTES = 1 << 20
"""A style.json is a few kilobytes; a recipe with a long list of training pictures stays far below one megabyte."""
MAX_DEPTH = 32


def parse_object(data: bytes, what: str, fix: str, most: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object in `data`, of at most so many bytes. `what` names the file in the error, `fix` says what to do
    about it."""
    if len(data) > most:
        raise EngineError(f"{what} is larger than {most // 1024} KB.", fix)
    _check_depth(data, what, fix)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_refuse)
    except ValueError as error:  # also UnicodeDecodeError, JSONDecodeError and absurdly long integers
        raise EngineError(f"{what} is not valid JSON ({error}).", fix) from error
    if not isinstance(value, dict):
        raise EngineError(f"{what} does not hold a JSON object.", fix)
    return value


def _check_depth(data: bytes, what: str, fix: str) -> None:
    """Count brackets before parsing: the parser would recurse. Brackets inside strings only make this stricter."""
    depth = deepest = 0
    for byte in data:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    if deepest > MAX_DEPTH:
        raise EngineError(f"{what} is nested deeper than {MAX_DEPTH} levels.", fix)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
