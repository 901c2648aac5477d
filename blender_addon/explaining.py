"""An explanation as Blender sees it: what can be asked of a picture, what was answered, and how that is looked at.

An answer is a set of images beside the picture: each overlay's raw floats, with what they mean as custom properties,
and what they lie over. One more image, the display picture, shows one of them in colours over the picture in grey, with
its legend; it is drawn again when another one is chosen or the slider moves. Nothing is kept anywhere else, so an
answer is saved with the file and goes with an undo.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="attr-defined, arg-type, union-attr, index, call-overload"

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from . import compat, encode, props, scene_io, shots
from .engine_client import EngineError, looks, protocol
from .translation import worded

ASKED, DISPLAY = "Asked", "Display"
"""The two kinds of images of ours beside the overlays, and what their property `scene_io.ROLE` says"""
ANSWER = "pentimento_answer"
"""Custom property of an answer's images: which answer they belong to, later ones by larger numbers"""
ABOUT = "pentimento_about"
"""Custom property of an overlay's image: the area that was asked about, in words"""
BENEATH = "pentimento_beneath"
"""Custom property of an overlay's image: the name of the image that it lies over"""
LEGEND = "pentimento_legend"
"""Custom property of an overlay's image: its legend, RGB bytes, compressed; its size beside it"""
SHOWN = "pentimento_shown"
"""Custom property of a display picture: the name of the overlay's image that it shows"""
STRIP = "pentimento_strip"
"""Custom property of a display picture: the share of its height that is legend"""

Work = Generator[None, None, str]
Bytes = NDArray[np.uint8]


# ---------------------------------------------------------------- what can be asked about


@dataclass(frozen=True)
class Subject:
    """A picture whose result can be asked about."""

    image: str
    """The name of the image that answers stand beside"""
    size: tuple[int, int]
    """Width and height in pixels"""
    file: str = ""
    """Of a render with passes; empty: the pixels of the image itself"""
    passes: frozenset[str] = frozenset()
    """Of that file, as the Blender that wrote it names them"""


def subject_of(image: bpy.types.Image, scene: bpy.types.Scene) -> Subject:
    """What is asked about where an editor shows `image`: a result or an overlay of ours stands for what it was made of,
    Blender's render for the painting that the compositor shows. Raises EngineError where there is nothing to ask."""
    image = scene_io.original_of(image)
    if image.type in scene_io.RENDERS:
        image = _painted_render(scene)
    file = _render_file(image)
    if file is not None:
        found = _header(str(file), file.stat().st_mtime_ns)
        if found.passes or image.type == "MULTILAYER":
            return Subject(image.name, found.size, str(file), found.passes)
    scene_io.check(image)
    return Subject(image.name, (image.size[0], image.size[1]))


def _painted_render(scene: bpy.types.Scene) -> bpy.types.Image:
    tree = compat.compositor_there(scene)
    painted = (
        node.image for node in (tree.nodes if tree else ()) if node.get(scene_io.ROLE) == "Stylized" and node.image
    )
    image = next(painted, None)
    if image is None:
        raise EngineError(
            "Blender keeps no pixels of a render result.", "Press Stylize Render first, then ask about its painting."
        )
    return image


def _render_file(image: bpy.types.Image) -> Path | None:
    """The EXR that an image is read from, where it is one"""
    if image.source != "FILE" or image.packed_file is not None:
        return None
    path = Path(bpy.path.abspath(image.filepath))
    return path if path.suffix.lower() == ".exr" and path.is_file() else None


@lru_cache(maxsize=16)
def _header(file: str, _changed: int) -> shots.Header:
    """Remembered, because a panel asks whenever it is drawn."""
    return shots.header(Path(file))


# ---------------------------------------------------------------- the area


def region_of(context: bpy.types.Context, subject: Subject, at: tuple[int, int] | None) -> tuple[protocol.Region, str]:
    """The area that the panel asks about, and in words. at: a pixel instead of the 2D cursor, x from the left and y
    from the top."""
    chosen = props.explain_settings(context)
    if chosen.place == "PICTURE":
        return protocol.Region(), worded("the whole picture")
    if chosen.place == "OBJECT":
        name = _active_object(context, subject)
        return protocol.Region(object=name), worded("the object {name}", name=name)
    x, y = _inside(at, subject) if at is not None else _pointed_at(context.space_data, subject)
    if chosen.place == "PIXEL":
        return protocol.Region(at=(x, y)), worded("the pixel {x}, {y}", x=x, y=y)
    left, top = x - chosen.size // 2, y - chosen.size // 2
    right, bottom = min(subject.size[0], left + chosen.size), min(subject.size[1], top + chosen.size)
    box = (max(0, left), max(0, top), right, bottom)
    size = {"width": box[2] - box[0], "height": box[3] - box[1]}
    return protocol.Region(box=box), worded("a box of {width} x {height} pixels around {x}, {y}", **size, x=x, y=y)


def _active_object(context: bpy.types.Context, subject: Subject) -> str:
    if reason := NEEDS["objects"](props.settings(context), subject):
        raise EngineError(f"Nothing tells which pixels are an object's: {reason}.", "Ask about a box instead.")
    active = context.object
    if active is None:
        raise EngineError("No object is active.", "Click one in the 3D Viewport or the Outliner, then ask again.")
    return active.name


def _pointed_at(space: Any, subject: Subject) -> tuple[int, int]:
    """The pixel under an Image Editor's 2D cursor, which goes from 0 to 1, or in pixels where the editor says so."""
    if space is None or space.type != "IMAGE_EDITOR":
        raise EngineError("There is no 2D cursor here.", "Ask in an Image Editor, or about an object.")
    across, up = space.cursor_location
    if space.uv_editor.show_pixel_coords:
        width, height = space.image.size[:] if space.image and 0 not in space.image.size[:] else subject.size
        across, up = across / width, up / height
    strip = float(space.image.get(STRIP, 0.0)) if space.image else 0.0
    return _inside(place_of(across, up, strip, subject.size), subject)


def put_cursor(space: Any, across: float, up: float) -> None:
    """An Image Editor's 2D cursor to a place of its picture, 0..1 from the lower left corner."""
    if space.uv_editor.show_pixel_coords and space.image and 0 not in space.image.size[:]:
        across, up = across * space.image.size[0], up * space.image.size[1]
    space.cursor_location = across, up


def place_of(across: float, up: float, strip: float, size: tuple[int, int]) -> tuple[int, int]:
    """The pixel of a picture, x from the left and y from the top, at a place of an editor that shows it: 0..1 each,
    from the lower left corner. strip: the share of what is shown that is a legend below the picture."""
    width, height = size
    up = (up - strip) / (1 - strip)
    x, y = int(np.floor(across * width)), int(np.floor((1 - up) * height))
    # The right and the upper edge belong to the pixels before them.
    return x - (across == 1), y + (up == 0) * -1


def _inside(at: tuple[int, int], subject: Subject) -> tuple[int, int]:
    if not (0 <= at[0] < subject.size[0] and 0 <= at[1] < subject.size[1]):
        raise EngineError(
            f"The point {at[0]}, {at[1]} is not inside the picture ({subject.size[0]} x {subject.size[1]}).",
            "Press Point at the Picture and click into it.",
        )
    return at


# ---------------------------------------------------------------- the questions

LIGHTS = (
    frozenset({"Combined", "DiffCol", "DiffDir", "DiffInd"}),
    frozenset({"Combined", "Diffuse Color", "Diffuse Direct", "Diffuse Indirect"}),
)
"""What lights are told apart by, as Blender 4 and Blender 5 name it"""


BROUGHT = {"gradients": "gradients", "pictures": "style picture", "fit": "measure of its style picture"}
"""What overlays need of a style: by the name in the library, in words"""
MADE_ELSEWHERE = "the style {style} was made by another program and brings no {what}"
TOO_OLD = "the style {style} brings no {what}: it is of an older version"
SWITCH_ON_LIGHTS = "switch on Diffuse: Direct, Indirect and Color in View Layer Properties > Passes and render again"
SWITCH_ON_OBJECTS = "switch on Cryptomatte: Object in View Layer Properties > Passes and render again"


def _no_gradients(chosen: Any, _subject: Subject | None) -> str:
    for style in map(props.chosen_style, _parts(chosen)):
        if reason := _not_brought(style, "gradients"):
            return reason
    if not props.has_gradients(chosen):
        return worded("not with bands, nor with the colours of the picture")
    return worded("not in the colours of another style") if props.chosen_palette(chosen) else ""


def _no_pictures(chosen: Any, subject: Subject | None) -> str:
    how = props.stylize_settings(chosen, is_render=bool(subject and subject.file))
    if how.palette:
        return worded("not in the colours of another style")
    if how.colours != "style":
        return worded("not in the colours of the picture")
    return _not_alone(chosen, "pictures")


def _no_fit(chosen: Any, _subject: Subject | None) -> str:
    return _not_alone(chosen, "fit")


def _not_alone(chosen: Any, what: str) -> str:
    """Why this is not one style, whatever its places, that brings it"""
    used = {style.folder: style for style in map(props.chosen_style, _parts(chosen))}
    if len(used) > 1:
        return worded("they ask about one style, and this is a mix")
    return next((_not_brought(style, what) for style in used.values()), "")


def _not_brought(style: props.library.Style, what: str) -> str:
    if what in style.brings:
        return ""
    if style.third_party:
        return worded(MADE_ELSEWHERE, style=style.name, what=worded(BROUGHT[what]))
    return worded(TOO_OLD, style=style.name, what=worded(BROUGHT[what]))


def _parts(chosen: Any) -> list[Any]:
    """The styles that paint: the engine leaves out those of a mix without a share."""
    return [part for part in props.all_styles(chosen) if not chosen.mixed or part.share > 0]


def _no_lights(chosen: Any, subject: Subject | None) -> str:
    if subject is None or not subject.file:
        return worded("this is no render with passes")
    if chosen.painted_pass != "Combined":
        return worded("of the render only {name} is painted", name=chosen.painted_pass)
    if not any(wanted <= subject.passes for wanted in LIGHTS):
        return worded(SWITCH_ON_LIGHTS)
    return ""


def _no_objects(_chosen: Any, subject: Subject | None) -> str:
    if subject is None or not subject.file:
        return worded("this is no render with passes")
    if not any(name.startswith("CryptoObject") for name in subject.passes):
        return worded(SWITCH_ON_OBJECTS)
    return ""


def _no_mix(chosen: Any, subject: Subject | None) -> str:
    """The engine tells one style in two places apart, but not twice in the same one."""
    in_render = bool(subject and subject.file)
    places = [part.matte if in_render else part.mask and part.mask.name for part in _parts(chosen)]
    folders = [props.chosen_style(part).folder for part in _parts(chosen)]
    return (
        "" if len(set(zip(folders, places, strict=True))) > 1 else worded("there is one style only; Mixing adds others")
    )


NEEDS: dict[str, Callable[[Any, Subject | None], str]] = {
    "gradients": _no_gradients,
    "pictures": _no_pictures,
    "fit": _no_fit,
    "lights": _no_lights,
    "objects": _no_objects,
    "mix": _no_mix,
    "": lambda _chosen, _subject: "",
}
"""What questions need: why it is not there, for how the panel paints and a picture; empty where it is"""


def lacks(name: str, chosen: Any, subject: Subject | None) -> str:
    """Why an overlay cannot answer here, in words that go on a sentence; empty where it can."""
    try:
        return NEEDS[props.choices.QUESTIONS[name].needs](chosen, subject)
    except EngineError as error:  # a style that is not installed
        return error.message.rstrip(".")


def questions(context: bpy.types.Context, subject: Subject) -> tuple[str, ...]:
    """The overlays that are ticked and can answer. Raises EngineError where there is none."""
    chosen, ticked = props.settings(context), props.explain_settings(context).questions
    reasons = {name: lacks(name, chosen, subject) for name in props.choices.QUESTIONS if name in ticked}
    asked = tuple(name for name, reason in reasons.items() if not reason)
    if not asked:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise EngineError("Nothing is asked that can be answered here." + (f" {why}." if why else ""), "Tick Scale.")
    return asked


# ---------------------------------------------------------------- while it is answered


@dataclass
class Asking:
    """What the panel shows of the explanation that runs."""

    image: str
    about: str
    answers: list[protocol.Answered] = field(default_factory=list)
    """Said already, and being checked"""


asking: Asking | None = None


def begin(image: str, about: str) -> None:
    global asking
    asking = Asking(image, about)


def end() -> None:
    """Answers that were not checked to the end are not kept: nobody would know how far to trust them."""
    global asking
    asking = None


def take(event: protocol.Event, image: str, about: str, blend: float) -> Work | None:
    """What the worker says, into Blender: new images beside the one named `image`."""
    if isinstance(event, protocol.Answered) and asking is not None:
        asking.answers.append(event)
    return _add(event, image, about, blend) if isinstance(event, protocol.Explained) else None


def _add(event: protocol.Explained, image: str, about: str, blend: float) -> Work:
    assert event.beneath is not None  # it was asked for as pixels
    number = 1 + max((int(other.get(ANSWER, 0)) for other in bpy.data.images), default=0)
    recipe = json.dumps(event.recipe, sort_keys=True)
    with ThreadPoolExecutor(max_workers=1) as thread:
        under = thread.submit(scene_io.encoded, event.beneath)
        files = [(layer, thread.submit(_file_and_legend, layer)) for layer in event.layers]
        while not under.done():
            yield
        beneath = _new_beneath(under.result(), scene_io.find_image(image))
        beneath[ANSWER] = number
        added = []
        for layer, file in files:
            while not file.done():
                yield
            pixels, legend = file.result()
            added.append(scene_io.new_image(layer, pixels, scene_io.find_image(image), ""))
            _describe(added[-1], layer, legend, beneath.name)
            added[-1][ANSWER], added[-1][ABOUT], added[-1][scene_io.RECIPE] = number, about, recipe
        first = told(added[0])
        assert first is not None
        drawn = thread.submit(_drawn_from_files, first, event.layers[0], event.beneath, blend)
        while not drawn.done():
            yield
    _show_drawn(added[0], *drawn.result(), beside_renders=True)
    scene_io.feed_overlay(scene_io.find_image(image), _shown(added[0]))
    return "\n".join(dict.fromkeys(_say(found) for found in map(told, added) if found))


def _file_and_legend(layer: protocol.Layer) -> tuple[scene_io.Encoded, tuple[bytes, tuple[int, int]]]:
    """In a thread: nothing of Blender's in here."""
    assert layer.legend is not None
    with scene_io.artist_words("The legend could not be read"):
        stored = Path(layer.legend.path).read_bytes()
    return scene_io.encoded(layer), (zlib.compress(stored), layer.legend.shape[:2])


def _new_beneath(pixels: scene_io.Encoded, original: bpy.types.Image) -> bpy.types.Image:
    image = scene_io.empty_image(scene_io.named(original.name, f" {ASKED}"), pixels, is_data=False)
    image[scene_io.ROLE], image[scene_io.SOURCE] = ASKED, original.name
    image.alpha_mode = "CHANNEL_PACKED"  # the fourth channel is the area, no transparency
    scene_io.fill_image(image, pixels)
    return image


def _describe(
    image: bpy.types.Image, layer: protocol.Layer, legend: tuple[bytes, tuple[int, int]], beneath: str
) -> None:
    scene_io.describe_overlay(image, layer)
    image[BENEATH], image[LEGEND], image[f"{LEGEND}_size"] = beneath, legend[0], list(legend[1])


# ---------------------------------------------------------------- what was answered


@dataclass(frozen=True)
class Told:
    """An overlay as its image tells of it."""

    image: str
    name: str
    channels: tuple[str, ...]
    sentence: str
    unit: str
    display: tuple[float, float]
    bars: tuple[protocol.Bar, ...]
    checks: tuple[protocol.Check, ...]
    about: str
    answer: int

    @property
    def family(self) -> str:
        """Passes, of Passes.Diffuse"""
        return self.name.partition(".")[0]

    @property
    def faithful(self) -> bool:
        return protocol.Certificate(self.checks).faithful


def told(image: bpy.types.Image) -> Told | None:
    """None where an image is no overlay of ours, or somebody edited what it tells."""
    try:
        low, high = image["pentimento_display"]
        return Told(
            image.name,
            str(image[scene_io.OVERLAY]),
            tuple(json.loads(image["pentimento_channels"])),
            str(image["pentimento_sentence"]),
            str(image["pentimento_unit"]),
            (float(low), float(high)),
            tuple(protocol.Bar(*bar) for bar in json.loads(image["pentimento_bars"])),
            tuple(protocol.Check(*check) for check in json.loads(image["pentimento_certificate"])),
            str(image.get(ABOUT, "")),
            int(image.get(ANSWER, 0)),
        )
    except (KeyError, TypeError, ValueError):
        return None


def describe(image: bpy.types.Image, found: Told) -> None:
    """The other way round: an image tells of what was found out elsewhere."""
    layer = protocol.Layer(
        f"Attribution.{found.name}",
        found.channels,
        "data",
        sentence=found.sentence,
        display=found.display,
        unit=found.unit,
        bars=found.bars,
        certificate=protocol.Certificate(found.checks),
    )
    scene_io.describe_overlay(image, layer)


def answer_beside(image: bpy.types.Image | None) -> list[Told]:
    """The overlays of the answer that the image belongs to or shows, else of the latest one beside it."""
    if image is None:
        return []
    shown = bpy.data.images.get(str(image.get(SHOWN, ""))) or image
    original = str(shown.get(scene_io.SOURCE, "")) or shown.name
    beside = [other for other in bpy.data.images if other.get(scene_io.SOURCE) == original and other.get(ANSWER)]
    number = int(shown.get(ANSWER, 0)) or max((int(other[ANSWER]) for other in beside), default=0)
    answer = [found for other in beside if other[ANSWER] == number and (found := told(other))]
    order = {name: place for place, name in enumerate(props.choices.QUESTIONS)}
    return sorted(answer, key=lambda found: order.get(found.family, len(order)))


def _say(found: Told) -> str:
    return f"{found.family}: {found.sentence}{'' if found.faithful else ' (indicative only)'}"


def discard(image: bpy.types.Image) -> None:
    """Throws away the answer that the image belongs to or shows; editors show the picture again."""
    gone = answer_beside(image)
    display = _display_of(scene_io.original_of(image))
    if gone and display:
        scene_io.show_in(lambda shown: shown == display, scene_io.original_of(image))
        bpy.data.images.remove(display)
    ours = [other for other in bpy.data.images if gone and other.get(ANSWER) == gone[0].answer]
    scene_io.unfeed(ours)
    for other in ours:
        bpy.data.images.remove(other)


# ---------------------------------------------------------------- how it is looked at


@dataclass(frozen=True, eq=False)
class _Plan:
    """All that a display picture is drawn from, without anything of Blender's"""

    values: NDArray[np.float32]
    found: Told
    beneath: NDArray[np.float32] | None
    """(H, W, 4): the picture, and the area as 1 in the fourth channel"""
    legend: Bytes | None


@dataclass(frozen=True, eq=False)
class _Sheets:
    """What a display picture is blended from, as large as it is shown: a few megabytes, whatever the picture's size"""

    overlay: Bytes
    """(h, w, 3), top row first: all of the overlay"""
    picture: Bytes | None
    """(h, w, 3): nothing of it"""
    legend: Bytes | None
    """(l, w, 3)"""

    @property
    def strip(self) -> float:
        """The share of the height that is legend"""
        return 0.0 if self.legend is None else len(self.legend) / (len(self.overlay) + len(self.legend))

    def blended(self, blend: float) -> Bytes:
        """(h + l, w, 3), top row first"""
        shown = self.overlay
        if self.picture is not None and blend < 1:
            mixed = np.float32(blend) * shown + np.float32(1 - blend) * self.picture
            shown = np.rint(mixed).astype(np.uint8)
        return shown if self.legend is None else np.concatenate((shown, self.legend))


_remembered: dict[tuple[str, int], _Sheets] = {}
"""Of the overlays that were shown last, by image and answer, so that a step of the slider reads and draws nothing
again. Only as good as the file that was open then: see _forget."""


def look_at(image: bpy.types.Image, blend: float) -> Work:
    """Shows an overlay in its display picture and in our node groups; any other image as it is."""
    if told(image) is None:
        display = _display_of(scene_io.original_of(image))
        scene_io.show_in(lambda shown: shown is not None and shown == display, image)
        return ""
    name = image.name
    yield from show(image, blend)
    image = scene_io.find_image(name)
    scene_io.feed_overlay(scene_io.original_of(image), _shown(image))
    return ""


def show(image: bpy.types.Image, blend: float) -> Work:
    """An overlay in its display picture, and nowhere else"""
    name = image.name
    sheets, file = yield from scene_io.in_thread(_drawn_and_packed, _plan(image), blend)
    _show_drawn(scene_io.find_image(name), sheets, file, beside_renders=False)
    return ""


def redraw(blend: float) -> None:
    """The display pictures that can be seen, with another share of overlay."""
    for display, sheets in _sheets_seen():
        _fill_display(display, sheets, encode.png(sheets.blended(blend)))


def _sheets_seen() -> list[tuple[bpy.types.Image, _Sheets]]:
    """The display pictures that can be seen, and what they are blended from; of others it is not remembered longer."""
    seen: dict[bpy.types.Image, tuple[tuple[str, int], _Sheets]] = {}
    for display in _displays_seen():
        image = bpy.data.images.get(str(display.get(SHOWN, "")))
        if image is not None and told(image):
            seen[display] = _key(image), _remembered.get(_key(image)) or _drawn(_plan(image))
    _remembered.clear()
    _remembered.update(seen.values())
    return [(display, sheets) for display, (_, sheets) in seen.items()]


def _key(image: bpy.types.Image) -> tuple[str, int]:
    return image.name, int(image.get(ANSWER, 0))


@bpy.app.handlers.persistent
def _forget(*_: object) -> None:
    """After another file, an undo or a redo images may be others by the same names."""
    _remembered.clear()


def _displays_seen() -> list[bpy.types.Image]:
    seen = [area.spaces.active.image for area in _image_editors()]
    return [image for image in dict.fromkeys(seen) if image is not None and image.get(scene_io.ROLE) == DISPLAY]


def _image_editors() -> list[bpy.types.Area]:
    areas = [area for window in bpy.context.window_manager.windows for area in window.screen.areas]
    return [area for area in areas if area.type == "IMAGE_EDITOR"]


def _shown(image: bpy.types.Image) -> scene_io.Overlay:
    found = told(image)
    assert found is not None
    return scene_io.Overlay(image, found.display, looks.kind_of(found.channels, found.display))


def _plan(image: bpy.types.Image) -> _Plan:
    found = told(image)
    assert found is not None
    beneath = bpy.data.images.get(str(image.get(BENEATH, "")))
    step = looks.step_of(image.size[1], image.size[0])
    values = scene_io.rows_of(image)[::-1][::step, ::step, : len(found.channels)]
    under = scene_io.rows_of(beneath)[::-1][::step, ::step] if beneath is not None else None
    fits = under is not None and under.shape[:2] == values.shape[:2]
    return _Plan(values, found, under if fits else None, _legend(image))


def _legend(image: bpy.types.Image) -> Bytes | None:
    try:
        height, width = image[f"{LEGEND}_size"]
        return np.frombuffer(zlib.decompress(image[LEGEND]), np.uint8).reshape(height, width, 3)
    except (KeyError, TypeError, ValueError, zlib.error):
        return None  # edited, or an overlay that came with a result


def _drawn(plan: _Plan) -> _Sheets:
    """In a thread: nothing of Blender's in here."""
    found, under = plan.found, None if plan.beneath is None else looks.enlarged(plan.beneath)
    shown = looks.framed(
        looks.over(
            looks.enlarged(plan.values),
            found.channels,
            found.display,
            None if under is None else under[..., :3],
            None if under is None else under[..., 3] > 0.5,
            lines=found.name in looks.MASS_OF,
            faithful=found.faithful,
        )
    )
    picture = None if under is None else looks.framed(np.rint(255 * under[..., :3]).astype(np.uint8))
    fits = plan.legend is not None and plan.legend.shape[1] == shown.shape[1]
    return _Sheets(shown, picture, plan.legend if fits else None)


def _drawn_and_packed(plan: _Plan, blend: float) -> tuple[_Sheets, bytes]:
    """What is shown as a PNG file, too. In a thread: nothing of Blender's in here."""
    sheets = _drawn(plan)
    return sheets, encode.png(sheets.blended(blend))


def _drawn_from_files(
    found: Told, layer: protocol.Layer, beneath: protocol.Layer, blend: float
) -> tuple[_Sheets, bytes]:
    """The same for a layer as it has just come. In a thread: nothing of Blender's in here."""
    under = _stored(beneath.pixels).astype(np.float32) / 255
    return _drawn_and_packed(_Plan(_stored(layer.pixels), found, under, _stored(layer.legend, whole=True)), blend)


def _stored(block: protocol.PixelBlock | None, whole: bool = False) -> NDArray[Any]:
    """Pixels beside a message; not the whole: as many of them as a display picture shows."""
    assert block is not None
    step = 1 if whole else looks.step_of(block.shape[0], block.shape[1])
    with scene_io.artist_words("The answer could not be read"):
        return np.array(np.memmap(block.path, block.dtype, "r", shape=block.shape)[::step, ::step])


def _show_drawn(image: bpy.types.Image, sheets: _Sheets, file: bytes, beside_renders: bool) -> None:
    """In the editors that showed the picture, a result or an overlay of it. beside_renders: also in those that show
    Blender's render, where the picture is one."""
    original = scene_io.original_of(image)
    display = _display_of(original) or _new_display(original)
    display[SHOWN] = image.name
    _remembered[_key(image)] = sheets
    _fill_display(display, sheets, file)
    of_render = beside_renders and _render_file(original) is not None

    def wanted(shown: bpy.types.Image | None) -> bool:
        if shown is None:
            return False
        return scene_io.original_of(shown) == original or (of_render and shown.type in scene_io.RENDERS)

    scene_io.show_in(wanted, display)


def _display_of(original: bpy.types.Image) -> bpy.types.Image | None:
    ours = (image for image in bpy.data.images if image.get(scene_io.ROLE) == DISPLAY)
    return next((image for image in ours if image.get(scene_io.SOURCE) == original.name), None)


def _new_display(original: bpy.types.Image) -> bpy.types.Image:
    display = bpy.data.images.new(scene_io.named(original.name, " Explained"), 1, 1)
    display[scene_io.ROLE], display[scene_io.SOURCE] = DISPLAY, original.name
    display.use_fake_user = True
    return display


def _fill_display(display: bpy.types.Image, sheets: _Sheets, file: bytes) -> None:
    """Packed, so that it is there when the file is opened again. file: a PNG of what is blended from the sheets"""
    display.pack(data=file, data_len=len(file))
    display.source = "FILE"
    display.buffers_free()  # what it showed before
    display.update()  # reads the new file, for every editor that shows it
    display[STRIP] = sheets.strip
    for area in _image_editors():
        area.tag_redraw()


# ---------------------------------------------------------------- the slider

STEP, REST = 0.03, 0.4
"""Seconds: moves of the slider within STEP make one step, and after REST without a move it has come to rest"""


@dataclass
class _Slider:
    """The slider while it moves."""

    wanted: float | None = None
    """The share of overlay that it was moved to and that nobody has seen yet"""
    seen: float = 1.0
    """The one that can be seen"""
    rests: float = 0.0
    """When it will have come to rest, on the clock of time.monotonic"""


_slider = _Slider()


def slide(blend: float) -> None:
    """The slider was moved. In a window a timer draws: events come faster than pictures can be written."""
    if bpy.app.background:
        redraw(blend)  # timers never fire
        return
    _slider.wanted = blend
    if not bpy.app.timers.is_registered(_step):
        bpy.app.timers.register(_step, first_interval=STEP)


def _step() -> float | None:
    """The timer: pixels alone as long as the slider moves, and when it rests the file that is saved with the scene."""
    if _slider.wanted is not None:
        _slider.seen, _slider.wanted = _slider.wanted, None
        for display, sheets in _sheets_seen():
            _write_pixels(display, sheets.blended(_slider.seen)[::-1])
        _slider.rests = time.monotonic() + REST
    elif time.monotonic() >= _slider.rests:
        redraw(_slider.seen)
        return None
    return STEP


def _write_pixels(display: bpy.types.Image, shown: Bytes) -> None:
    """shown: (h, w, 3), bottom row first"""
    if display.size[:] != (shown.shape[1], shown.shape[0]):
        return  # somebody changed its size: it is as it should be when the slider rests
    rows = np.ones((*shown.shape[:2], 4), np.float32)
    np.divide(shown, 255, out=rows[..., :3])
    display.pixels.foreach_set(rows.ravel())
    display.update()
    for area in _image_editors():
        area.tag_redraw()


FORGETTING = ("load_post", "undo_post", "redo_post")


def register() -> None:
    props.on_blend = slide
    for name in FORGETTING:
        getattr(bpy.app.handlers, name).append(_forget)


def unregister() -> None:
    props.on_blend = None
    for name in FORGETTING:
        if _forget in getattr(bpy.app.handlers, name):
            getattr(bpy.app.handlers, name).remove(_forget)
    if bpy.app.timers.is_registered(_step):
        bpy.app.timers.unregister(_step)
    _forget()
    end()
