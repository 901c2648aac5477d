"""The small jobs around styles: list them, bring one in."""

from __future__ import annotations

from collections.abc import Iterator

from . import style_pack
from .protocol import Done, Event, ImportStyleRequest, Progress, StyleReady, Styles, StylesRequest


def styles(request: StylesRequest) -> Iterator[Event]:
    """The styles that ship, the user's and those in the request's folders."""
    yield Styles(request.job, tuple(style_pack.installed(request.folders)))
    yield Done(request.job)


def import_style(request: ImportStyleRequest) -> Iterator[Event]:
    """Bring a style pack or somebody else's model into the request's folder."""
    yield Progress(request.job, 0.1, "Looking at the style")
    pack = style_pack.import_style(request.path, request.folder, request.name)
    yield StyleReady(request.job, pack.name, str(pack.source))
    yield Done(request.job)
