"""What is the artist's, moved out of the extension's own folder, in which earlier versions kept it: Blender empties
that folder with the extension. Nothing is overwritten: what is in its new place already stays where it was.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined"

from __future__ import annotations

import contextlib
import errno
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from . import compat, gallery, props

FOLDERS = ("styles", "gallery", "renders")
LOOK_AGAIN = 0.5
"""Seconds between two looks at whether a thread is done"""

Move = tuple[Path, Path]
"""From where, and to where"""


def move() -> None:
    """Moves what earlier versions kept. On one disk that is a matter of names and done at once; what has to be copied
    to another disk goes on in a thread."""
    far = [pair for name in FOLDERS for pair in _move(name)]
    _look_again()
    if far:
        thread = threading.Thread(target=_carry, args=(far,), name="pentimento keep")
        thread.start()
        bpy.app.timers.register(lambda: _wait_for(thread), first_interval=LOOK_AGAIN, persistent=True)


def _move(name: str) -> list[Move]:
    """Returns what lies on another disk than its new place."""
    former = compat.former_folder(props.library.PACKAGE, name)
    if former is None or not former.is_dir():
        return []
    kept = compat.kept_folder(name)
    far = [pair for pair in _pairs(former, kept) if not _renamed(*pair)]
    _tidy(former)
    return far


def _pairs(former: Path, kept: Path) -> Iterator[Move]:
    """What has a free place. A folder of styles that is there already takes those that it lacks."""
    for old in sorted(former.iterdir()):
        new = kept / old.name
        if not new.exists():
            yield old, new
        elif kept.name == "styles" and _holds_styles(old) and _holds_styles(new):
            yield from ((style, new / style.name) for style in sorted(old.iterdir()) if not (new / style.name).exists())


def _holds_styles(folder: Path) -> bool:
    return folder.is_dir() and folder.suffix != ".training" and not (folder / "style.json").exists()


def _renamed(old: Path, new: Path) -> bool:
    """False where it has to be copied; what the system refuses stays where it is, and is tried again another day."""
    try:
        old.rename(new)
    except OSError as error:
        return error.errno != errno.EXDEV
    return True


def _tidy(former: Path) -> None:
    """Folders that are empty now"""
    for folder in (*(one for one in former.iterdir() if one.is_dir()), former):
        with contextlib.suppress(OSError):  # something is in it
            folder.rmdir()


# ---------------------------------------------------------------- to another disk


def _carry(far: list[Move]) -> None:
    """In a thread: nothing of Blender's in here. Whole things only have their names; the old one goes at last."""
    for old, new in far:
        part = new.with_name(f".pentimento-{new.name}")
        with contextlib.suppress(OSError, shutil.Error):  # the disk is full, or it is locked: it stays where it is
            _remove(part)
            (shutil.copytree if old.is_dir() else shutil.copy2)(old, part)
            if not new.exists():
                part.rename(new)
                _remove(old)
        _remove(part)
    for former in {old.parent for old, _ in far}:
        with contextlib.suppress(OSError):
            former.rmdir()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _wait_for(thread: threading.Thread) -> float | None:
    """A timer"""
    if thread.is_alive():
        return LOOK_AGAIN
    _look_again()
    return None


def _look_again() -> None:
    """What was read before everything was in its place"""
    props.library.refresh_styles()
    gallery.forget_favourites()


# ---------------------------------------------------------------- files that still name the old place


@bpy.app.handlers.persistent
def _find_images(*_: Any) -> None:
    """What a file painted before it was saved for the first time lies among the renders: where it is not in its old
    place any more, the image gets the path that it has now."""
    former = compat.former_folder(props.library.PACKAGE, "renders")
    if former is None:
        return
    for image in bpy.data.images:
        path = Path(bpy.path.abspath(image.filepath))
        if image.filepath and path.is_relative_to(former) and not path.exists():
            now = compat.kept_folder("renders") / path.relative_to(former)
            image.filepath = str(now) if now.exists() else image.filepath


def register() -> None:
    move()
    bpy.app.handlers.load_post.append(_find_images)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_find_images)
