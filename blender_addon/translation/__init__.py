"""What the artist reads, in the artist's language: a file of this folder for each, contexts -> English -> translation.

Blender looks labels and tooltips up by itself, in its own catalogue first. What it lays out as it is given (sentences
with values in them, text that wraps) goes through `worded`. The engine knows no languages: what it says of its
progress, what overlays find, and what goes wrong is recognised by `heard`. Reports that are copied stay English.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import bpy

from .. import compat

PACKAGE = __name__.rpartition(".")[0]
LANGUAGES = {compat.SIMPLIFIED_CHINESE: ("zh_HANS.json", "zh_HANS_messages.json")}
"""By Blender's name of the language: the files in this folder, of what panels say and of what goes wrong"""
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
    "{title} was ended: the add-on was disabled.",
    "Each frame is painted anew, for {file} has no pass {passes}.",
    "There is no MP4 after a render in background. Stylize Animation makes one of these frames.",
    "There is no MP4: this Blender finds no painting in the results. Use Blender 4.2 or later.",
    "There is no MP4: it was stopped. Start again with Resume: the frames are kept.",
    "There is no MP4: {error}",
    "its file is not whole: the disk may be full",
    "The shot is another than before: what {file} said is in {kept_name}.",
    "It came with Pentimento: an update would bring it back.",
    "{file} has other maps: the relief was not wired in there.",
    "{name}: saved beside its tiles as {path}",
    "{name}: {width} x {height} pixels",
    "The compositor cannot show the layer {layer} of this file.",
    "There is no object {name} any more: the texture is not in its material.",
    "{name} has other faces now: the texture does not lie on them, and is not in its material.",
    "The material {name} has no colour that it could take: the texture is not in it.",
    "Only the faces with the material {name} are painted.",
    "The material {name} is on {other} too, which shows the new texture as well.",
    "{overlay}: {sentence} (indicative only)",
    "{overlay}: {sentence}",
    "In {pass}: {sentence}",
    "{total} frames, {count} moving objects ({done} of them deforming).",
    "Strokes are held by {count} frames: {numbers}.",
    "{share} % of what is shown is held by none and painted anew in each frame.",
    "{count} frames show next to nothing but sky and are painted alone.",
    "There is no pass Vector: strokes on objects that move are painted anew in each frame.",
    "There is no pass UV: strokes on objects that deform are painted anew in each frame.",
    "There is neither Cryptomatte nor an object index: all objects move as one.",
    "CUDA could not be started again: working on the processor instead.",
    "CUDA could not be started: working on the processor instead.",
    "Not enough memory for tiles of this size: going on with smaller ones.",
    "The first frame of the shot, {file}, decides for all others.",
    "The training ended after {total} of {done} steps: {why}.",
    "The training ended after {total} steps: {why}.",
    "all were done",
    "it was asked to finish",
    "its time was used up",
    "its score had not improved for {count} diagnoses",
    "The critic now learns at {rate} of its rate.",
    "What it sees is now turned with a chance of {chance}.",
    "The learning rates were cut to {rate} of the setting.",
    "critic wins",
    "critic memorises",
    "mode collapse",
    "stroke collapse",
    "vanishing gradient",
    "exploding gradient",
    "palette drift",
    "grid artefact",
    "no numbers",
    "without any of them",
    "with all of it blurred away",
    "everything else",
    "detail that makes it lighter",
    "detail that makes it darker",
    "unlike the style",
    "colour",
    "form",
    "stroke",
    "number of the view that paints there: {names}",
    "Yes",
    "Yes, on the processor",
    "No: {why}",
    "it lacks PyTorch or packages beside it",
    "Blender's own: {path}",
    "Another: {path}",
    "{size} GB free",
    "unknown",
    "Processor, {count} cores",
    "macOS has no CUDA",
    "no NVIDIA driver was found",
    "NVIDIA's driver sees no card",
    "{card} is there, but the onnxruntime of this Python was built for the processor",
    "CUDA could not be started: driver and libraries do not fit, or the card is full",
    "It lacks {names}.",
    "Its packages cannot be loaded: they are for another Python or computer ({error}).",
    "Checking ...",
    "Blender's own Python is in use.",
    "The style {name} is not installed: choose another style, or import this one.",
    "The texture style {name} is not installed: choose another one, or import it.",
    "This version does not know the setting {name} as it is in the preset: set it yourself.",
    "The picture {name} is not in this file: choose its {field} again.",
    "{field} has no choice {value} here: it stays as it was.",
    "Measuring frame {number}",
    "Reducing the picture for the overlays",
    "A worker ended; another goes on",
    "{count} workers paint",
    "Step {step}",
    "{total} s",
    "{total} min",
    "{total} h {done} min",
    "Frame {number}: {message}",
)
"""What jobs and the engine say, a name for whatever varies; what goes wrong stands in the file of messages"""


def worded(text: str, **values: object) -> str:
    """English text in the artist's language, its {names} replaced by the values. Unchanged where nobody translated
    it: names of things, and what is translated already."""
    found = look_up(text, OURS)
    found = look_up(text, "*") if found == text else found
    return found.format(**values) if values else found


def look_up(text: str, context: str) -> str:
    return str(bpy.app.translations.pgettext_iface(text, context))


def overlay(name: str) -> str:
    """An overlay by the name that the engine gave it: "StyleFit", or "Passes.Diffuse" for a layer of its own."""
    family, dot, rest = name.partition(".")
    return worded(JOINED.sub(" ", family)) + dot + heard(rest)


JOINED = re.compile("(?<=[a-z])(?=[A-Z])")


def listed(names: Sequence[str], are_lists: bool = False) -> str:
    """One after the other. are_lists: each may be several already"""
    between = LISTED[are_lists]
    return functools.reduce(lambda some, one: worded(between, some=some, one=one), names) if names else ""


LISTED = ("{some}, {one}", "{some}; {one}")


def heard(text: str) -> str:
    """What a job or the engine said, in the artist's language: as a whole, else sentence by sentence; unchanged where
    it is known in none."""
    return "\n".join(_heard(line) for line in text.split("\n")) if text else ""


def _heard(text: str) -> str:
    sentences, said = SENTENCE.split(text), ""
    while sentences:
        counts = range(len(sentences), 0, -1)
        known = ((count, _known(" ".join(sentences[:count]))) for count in counts)
        count, found = next(((count, found) for count, found in known if found is not None), (1, sentences[0]))
        said += (" " if said and said[-1].isascii() else "") + found
        sentences = sentences[count:]
    return said


SENTENCE = re.compile(r"(?<=[.!?]) +(?=[^a-z\s])")
INNER = {"against", "check", "how", "message", "pass", "place", "problem", "reason", "sentence", "shares"}
INNER |= {"size", "time", "what", "why"}
"""What is put in under these names is said in words, too"""
OVERLAY = "Detail|Influence|Objects|Passes|Provenance|Removal|Scale|Style ?Fit|Styles"
"""What an overlay is called"""
NUMBERS = "count|done|kept|number|step|total"
"""What is said as digits: a sentence such as "64 % of the change is colour" is not "{done} of {total}\""""


def _known(text: str) -> str | None:
    """A text that is known as a whole, in the artist's language"""
    template, values = _fit(text)
    if template:
        return worded(template, **{name: _inner(name, value) for name, value in values.items()})
    found = worded(text)
    return found if found != text else None


def _inner(name: str, value: str) -> str:
    if name == "overlay":
        return overlay(value)
    if name == "terms":
        return listed([worded(term) for term in value.split(", ")])
    return heard(value) if name.rstrip("0123456789") in INNER else value


@lru_cache(maxsize=512)
def _fit(text: str) -> tuple[str, dict[str, str]]:
    """The template that says it, of several the one with the most words of its own; and what is put in. An overlay that
    is named first goes before all others: its sentence may begin with what is put in. Remembered,
    because a panel asks whenever it is drawn."""
    for template, longest in _templates():
        if longest in text and (match := _pattern(template).fullmatch(text)):
            return template, match.groupdict()
    return "", {}


@lru_cache(maxsize=1)
def _templates() -> list[tuple[str, str]]:
    """All that may be said, in the order in which it is tried; and the longest piece of each, for a text without
    that piece is none of it."""
    files = [Path(__file__).parent / file for _, file in LANGUAGES.values()]
    known = {*HEARD, *(text for file in files for text in _contexts(file)["*"])}
    pieces = {text: re.split(r"\{\w+\}", text) for text in known}
    ordered = sorted(known, key=lambda text: (not text.startswith("{overlay}"), -sum(map(len, pieces[text])), text))
    return [(text, max(pieces[text], key=len)) for text in ordered]


@lru_cache(maxsize=512)
def _pattern(template: str) -> re.Pattern[str]:
    """What is put in ends within its sentence, unless sentences are put in at the end."""

    def group(found: re.Match[str]) -> str:
        name = found[1]
        if name in NUMBERS.split("|"):
            return rf"(?P<{name}>\d+)"
        if name == "overlay":
            return rf"(?P<overlay>{OVERLAY})"
        is_told = name in INNER and (found.end() == len(found.string) or name == "sentence")
        inside = "." if is_told else "(?![.!?] [A-Z])."
        return f"(?P<{name}>(?:{inside})+?)"

    return re.compile(re.sub(r"\\{(\w+)\\}", group, re.escape(template)))


def _contexts(file: Path) -> dict[str, dict[str, str]]:
    contexts: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))["contexts"]
    return contexts


def entries(texts: Path, messages: Path) -> dict[tuple[str, str], str]:
    """A translation as Blender wants it: (context, English) -> translation."""
    contexts = _contexts(texts)
    contexts["*"] |= _contexts(messages)["*"]
    if not compat.HAS_MEANINGS:
        contexts["*"] = {**contexts[OURS], **contexts["*"]}  # where Blender looks our properties up then
    return {(context, english): text for context, texts in contexts.items() for english, text in texts.items()}


def register() -> None:
    folder = Path(__file__).parent
    found = {language: entries(*(folder / file for file in files)) for language, files in LANGUAGES.items()}
    bpy.app.translations.register(PACKAGE, found)


def unregister() -> None:
    bpy.app.translations.unregister(PACKAGE)
