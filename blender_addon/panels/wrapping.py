"""Text in lines as wide as a panel, in any script: labels do not wrap by themselves."""

from __future__ import annotations

import re
import textwrap
import unicodedata

WIDE = re.compile("[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]")
"""Scripts that are written without spaces, in characters twice as wide as Latin letters"""
CLOSING, OPENING = "，。、；：！？）》」』】”’…％", "（《「『【“‘"  # noqa: RUF001
"""Begins no line, and ends none"""


def width(text: str) -> int:
    """In columns: a Latin letter takes one, a Chinese character two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def wrapped(text: str, columns: int) -> list[str]:
    """Lines of at most so many columns. Latin words stay whole, as they do in Chinese text; a word that is longer than
    a line is cut."""
    if not WIDE.search(text):
        return textwrap.wrap(text, columns)
    lines = [""]
    for piece in _pieces(text, columns):
        if width((lines[-1] + piece).rstrip()) > columns:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines if line.strip()]


def _pieces(text: str, columns: int) -> list[str]:
    """What no line may be broken within, with the space before it."""
    closing, opening = re.escape(CLOSING), re.escape(OPENING)
    wide = rf"\s*[{opening}]*(?![{opening}]){WIDE.pattern}[{closing}]*"
    narrow = rf"\s*[{opening}]*(?:(?!{WIDE.pattern})[^\s{opening}])+[{closing}]*"
    pieces = re.findall(rf"{wide}|{narrow}|\s*[{opening}{closing}]+", text)
    return [part for piece in pieces for part in _cut(piece, columns)]


def _cut(piece: str, columns: int) -> list[str]:
    """A word that fits into no line, such as a path"""
    return [piece] if width(piece) <= columns else textwrap.wrap(piece, max(columns // 2, 1))
