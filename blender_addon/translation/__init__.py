"""What the artist reads, in the artist's language: a file of this folder for each, contexts -> English -> translation.

Blender looks labels and tooltips up by itself, in its own catalogue first. What it lays out as it is given (sentences
with values in them, text that wraps) goes through `worded`. The engine knows no languages: what it says of its progress
is recognised by `heard`. Its errors and what overlays find stay English.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

import bpy

from .. import compat

PACKAGE = __name__.rpartition(".")[0]
LANGUAGES = {compat.SIMPLIFIED_CHINESE: "zh_HANS.json"}
"""By Blender's name of the language: the file in this folder"""
OURS = "Pentimento"
"""The context of words that mean something else in Blender: its catalogue has Scale as what one does to an object"""

HEARD = (
    "{title}: done.",
    "{title}: done but for {count} frames.",
    "{title}: done but for 1 frame.",
    "{title} failed.",
    "{title} was cancelled.",
    "{title} was cancelled. Finished frames stay; with Resume it goes on.",
    "{title} was cancelled. Set Up goes on where it stopped.",
    "{title} was cancelled. Some of it is left: remove it again.",
    "{title} is paused: Resume goes on where it stopped.",
    "{title} was interrupted.",
    "{title} was ended: another file was opened.",
    "Pentimento made a mistake.",
    "Your picture is as it was. Copy the report and send it to us.",
    "Saved in {folder}.",
    "Saved {path}.",
    "The compositor shows this painting in every frame; set Mix to 0 in its group to see the render.",
    "The compositor uses no render layers, so the result was loaded but not wired.",
    "1 frame rendered, {kept} there already.",
    "{count} frames rendered, {kept} there already.",
    "1 frame painted ({pace} frames/s), {kept} there already.",
    "{count} frames painted ({pace} frames/s), {kept} there already.",
    "1 frame painted, {kept} there already.",
    "{count} frames painted, {kept} there already.",
    "{file} has 1 frame.",
    "{file} has {count} frames.",
    "These frames hold colours as they are displayed: set View Transform to Standard to see them so.",
    "Starting",
    "Cancelling",
    "Opening the style",
    "Reading",
    "Writing",
    "Frame {number}",
    "Frame {number} once more, for those after it",
    "Reading frame {number}",
    "Writing frame {number}",
    "Rendering frame {number}",
    "Rendering {name}",
    "Looking at frame {number}",
    "Looking at what is there",
    "Looking at the style",
    "Choosing the frames that hold the strokes",
    "Writing the MP4",
    "Painting the result",
    "Painting it in that size",
    "Painting what no view sees",
    "Painting {name}",
    "Laying the surface out",
    "Projecting {name}",
    "Explaining {name}: {overlay}",
    "Asking {overlay}",
    "Checking what it can do",
    "Checking {overlay}",
    "Checking",
    "Making a Python of its own",
    "Making {name}",
    "Removing",
    "Looking for {name}",
    "Downloading {name}",
    "Installing {name}",
    "Looking at the model",
    "Trying it",
    "Packing the style",
    "{done} of {total}, {pace} frames/s, {time} left",
    "{done} of {total}",
    "The teacher looks at the pictures",
    "The teacher paints picture {done} of at most {total}",
    "The teacher paints picture {done}/{total}",
    "The export is rehearsed, to know how long it takes",
    "Exporting the style and checking it against the training network",
    "Step {step}, {time} left",
)
"""What jobs and the engine say, a name for whatever varies; of two that fit, the first is meant"""


def worded(text: str, **values: object) -> str:
    """English text in the artist's language, its {names} replaced by the values. Unchanged where nobody translated
    it: names of things, and what is translated already."""
    found = look_up(text, OURS)
    found = look_up(text, "*") if found == text else found
    return found.format(**values) if values else found


def look_up(text: str, context: str) -> str:
    return str(bpy.app.translations.pgettext_iface(text, context))


def heard(text: str) -> str:
    """What a job or the engine said, in the artist's language; unchanged where it is none of HEARD."""
    fits = ((template, pattern.fullmatch(text)) for template, pattern in _patterns().items())
    template, match = next(((template, match) for template, match in fits if match), ("", None))
    if match is None:
        return text
    values = match.groupdict()
    return worded(template, **{name: worded(value) if name == "overlay" else value for name, value in values.items()})


NUMBERS = "count|done|kept|number|step|total"
"""What is said as digits: a sentence such as "64 % of the change is colour" is none of HEARD"""


@lru_cache(maxsize=1)
def _patterns() -> dict[str, re.Pattern[str]]:
    return {text: _pattern(text) for text in HEARD}


def _pattern(template: str) -> re.Pattern[str]:
    digits = re.sub(rf"\\{{({NUMBERS})\\}}", r"(?P<\1>\\d+)", re.escape(template))
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", digits))


def entries(file: Path) -> dict[tuple[str, str], str]:
    """A translation as Blender wants it: (context, English) -> translation."""
    contexts = json.loads(file.read_text(encoding="utf-8"))["contexts"]
    if not compat.HAS_MEANINGS:
        contexts["*"] = {**contexts[OURS], **contexts["*"]}  # where Blender looks our properties up then
    return {(context, english): text for context, texts in contexts.items() for english, text in texts.items()}


def register() -> None:
    folder = Path(__file__).parent
    found = {language: entries(folder / file) for language, file in LANGUAGES.items()}
    bpy.app.translations.register(PACKAGE, found)


def unregister() -> None:
    bpy.app.translations.unregister(PACKAGE)
