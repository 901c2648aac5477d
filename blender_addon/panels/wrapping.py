"""Text in lines as wide as a panel, in any script: labels do not wrap by themselves."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

WIDE = re.compile("[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]")
"""Scripts that are written without spaces, in characters twice as wide as Latin letters"""
CLOSING, OPENING = "，。、；：！？）》」』】”’…％", "（《「『【“‘"  # noqa: RUF001
"""Begins no line, and ends none"""
AFTER_CLOSING = re.compile("(?<=[，。、；：！？）]) +")  # noqa: RUF001
"""Between two sentences, the second of which was put behind the first: a full-width mark has its space within"""


def width(text: str) -> int:
    """In columns: a Latin letter takes one, a Chinese character two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def wrapped(text: str, room: float, measure: Callable[[str], float] = width) -> list[str]:
    """Lines of at most so much room, in what `measure` counts. Latin words stay whole, as they do in Chinese text; a
    word that is longer than a line is cut."""
    lines = [""]
    for piece in _pieces(AFTER_CLOSING.sub("", " ".join(text.split())), room, measure):
        if measure((lines[-1] + piece).rstrip()) > room:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines if line.strip()]


def _pieces(text: str, room: float, measure: Callable[[str], float]) -> list[str]:
    """What no line may be broken within, with the space before it."""
    closing, opening = re.escape(CLOSING), re.escape(OPENING)
    wide = rf"\s*[{opening}]*(?![{opening}]){WIDE.pattern}[{closing}]*"
    narrow = rf"\s*[{opening}]*(?:(?!{WIDE.pattern})[^\s{opening}])+(?: %)?[{closing}]*"
    pieces = re.findall(rf"{wide}|{narrow}|\s*[{opening}{closing}]+", text)
    return [part for piece in pieces for part in _cut(piece, room, measure)]


def _cut(piece: str, room: float, measure: Callable[[str], float]) -> list[str]:
    """A word that fits into no line, such as a path, in pieces that do"""
    if measure(piece.strip()) <= room:
        return [piece]
    parts = [""]
    for character in piece.strip():
        if parts[-1] and measure(parts[-1] + character) > room:
            parts.append("")
        parts[-1] += character
    return [" " * piece.startswith(" ") + parts[0], *parts[1:]]
