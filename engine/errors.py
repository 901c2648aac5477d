"""The one error type an artist meets. Standard library only."""

from __future__ import annotations


class EngineError(Exception):
    """Something the artist can act on.

    message: what happened, in the artist's words.
    fix:     the one thing to do about it, as an imperative sentence.
    """

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}"
