"""Numbered pictures: `shot_####.exr` stands for all that are called so, # by # one digit of the frame's number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .atomic import reading, shown
from .errors import EngineError
from .protocol import PictureSource


@dataclass(frozen=True)
class Sequence:
    """Files that are called alike but for their number."""

    folder: Path
    before: str
    digits: int
    """Numbers are padded with zeros to as many; longer ones are as long as they are"""
    after: str
    """With the suffix"""

    def path(self, number: int) -> Path:
        return self.folder / f"{self.before}{number:0{self.digits}d}{self.after}"

    def source(self, number: int) -> PictureSource:
        path = self.path(number)
        return PictureSource(path.stem, str(path))

    def there(self) -> list[int]:
        """The numbers of the files that there are, rising."""
        with reading(self.folder):
            if not self.folder.exists():
                raise EngineError(f"There is no folder {shown(self.folder)}.", "Check the path.")
            return sorted(self._numbers())

    def _numbers(self) -> Iterator[int]:
        name = re.compile(rf"{re.escape(self.before)}(\d{{{self.digits},}}){re.escape(self.after)}")
        for path in self.folder.iterdir():
            found = name.fullmatch(path.name)
            if found and self.path(int(found[1])).name == path.name and path.is_file():
                yield int(found[1])

    def __str__(self) -> str:
        return f"{self.before}{'#' * self.digits}{self.after}"


def sequence(pattern: str) -> Sequence:
    """`folder/shot_####.exr`. Raises EngineError where the name says no place for the number, or several."""
    path = Path(pattern)
    places = re.findall("#+", path.name)
    if len(places) != 1:
        raise EngineError(
            f"{path.name!r} does not say where the number of a frame is.",
            "Write one # for each of its digits, at one place of the name: shot_####.exr.",
        )
    before, _, after = path.name.partition(places[0])
    return Sequence(path.parent, before, len(places[0]), after)


def results(frames: Sequence, look: str, folder: Path, suffix: str) -> Sequence:
    """What the results of frames are called: the number comes last, as Blender wants it of a sequence. look: a word
    of letters, digits and dashes. `shot_####.exr` -> `shot_starry-night_####.exr`."""
    base = (frames.before + Path(frames.after).stem if Path(frames.after).suffix else frames.before).strip(" ._-")
    return Sequence(folder, f"{base}_{look}_" if base else f"{look}_", frames.digits, suffix)
