"""The artist's choices in the scene, the styles to choose from, and the requests both make."""

# Blender wants properties as annotations (real ones: it does not evaluate strings).
# mypy: disable-error-code="valid-type, union-attr, attr-defined"

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from . import compat, shots
from .engine_client import STYLES, EngineError, protocol

PACKAGE = __package__ or "pentimento"
OVERLAYS = (
    ("Scale", "Scale", "Where the change comes from: colour, form or brush stroke"),
    (
        "Removal",
        "Removal",
        "How much each part of the picture contributes: it is removed and the result measured again",
    ),
)


@dataclass(frozen=True)
class Question:
    """An overlay that can be asked about a part of a result."""

    about: str
    """The artist's question, for the tooltip"""
    needs: str = ""
    """What it cannot do without, one of explaining.NEEDS; empty: nothing"""
    label: str = ""
    """Where it is not called by its name"""


QUESTIONS = {
    "Influence": Question("What could change this spot, and by how much?", "gradients"),
    "Passes": Question("How much comes from which light of the render?", "lights"),
    "Objects": Question("How much comes from which object of the render?", "objects"),
    "Styles": Question("How much comes from which style of the mix?", "mix"),
    "Removal": Question("What would change if this part of the picture were not there?"),
    "Detail": Question("Which detail of the picture made this, against a blurred picture?", "gradients"),
    "Provenance": Question("Which place of the style picture does this stroke resemble?", "pictures"),
    "StyleFit": Question("Where does the result not look like the style?", "fit", "Style Fit"),
    "Scale": Question("What did the style change: colour, form or strokes?"),
}
"""By the engine's names, in the order in which they are offered"""

PLACES = (
    ("PIXEL", "Pixel", "The pixel under the 2D cursor"),
    ("BOX", "Box", "A box around the 2D cursor"),
    ("OBJECT", "Object", "All that the render shows of the active object, by its Cryptomatte"),
    ("PICTURE", "Picture", "The whole picture"),
)


COLOURS = (
    (
        "SCENE",
        "Scene",
        "Paint the scene's own light, lamps as bright as they are; the view transform tones the painting afterwards",
    ),
    (
        "DISPLAY",
        "Match Display",
        "Paint what the view transform shows: the painting's colours show as they were painted, or as near as it can",
    ),
)


WHOSE_COLOURS = (
    ("style", "Style", "Those that the style paints"),
    ("luma", "Luma", "The picture's, in the light and dark of the style; steady in animations"),
    ("histogram", "Histogram", "The style's, brought to the mean and spread of the picture's, in each render anew"),
)
"""Named as the engine and the command line name them"""

BANDS = ("band_colour", "band_form", "band_stroke")
GAINS = {
    "Diffuse": "gain_diffuse",
    "Glossy": "gain_glossy",
    "Transmission": "gain_transmission",
    "Volume": "gain_volume",
    "Emission": "gain_emission",
    "Environment": "gain_environment",
}
"""The engine's lights, and the property that turns each up or down"""


PASSES = (
    ("Combined", "Combined", "The whole render, light and all"),
    ("DiffCol", "Diffuse Color", "The colours of surfaces: light and shadow on them stay as Blender rendered them"),
    ("DiffDir", "Diffuse Direct", "Light that comes straight to matt surfaces: their colours stay as they are"),
    ("DiffInd", "Diffuse Indirect", "Light that other surfaces throw on matt ones: their colours stay as they are"),
    ("GlossCol", "Glossy Color", "The tint of what mirrors: what it mirrors stays as it is"),
    ("GlossDir", "Glossy Direct", "Highlights of lamps"),
    ("GlossInd", "Glossy Indirect", "What mirrors show of their surroundings"),
    ("TransCol", "Transmission Color", "The tint of glass and water: what is seen through it stays as it is"),
    ("TransDir", "Transmission Direct", "Light of lamps through glass and water"),
    ("TransInd", "Transmission Indirect", "What is seen through glass and water"),
    ("VolumeDir", "Volume Direct", "Light that comes straight to smoke and fog"),
    ("VolumeInd", "Volume Indirect", "Light that is thrown about in smoke and fog"),
    ("Emit", "Emission", "What shines by itself"),
    ("Env", "Environment", "The sky behind everything, alone"),
)
"""Named as the engine and the command line name them. What Combined is made of, it is put together again with"""


CONTENTS = (
    ("FRAMES", "This Scene's Frames", "What the scene has rendered: the files of its output path, up to 64 of them"),
    ("FOLDER", "Folder", "All pictures in a folder and the folders in it"),
    ("IMAGES", "Open Images", "Every texture that is open in this file, without the style pictures and our results"),
)


FRAME_SOURCES = (
    ("RENDER", "Render", "Render the scene's frame range with the passes that are needed, then paint it"),
    ("FILES", "Existing", "Paint frames that have been rendered already"),
)

STROKES = (
    ("STICK", "Stick", "Strokes stick to what they are painted on. The whole shot is looked at first"),
    ("CARRY", "Carry On", "Strokes are carried on from each frame to the next, in order; for frames without Position"),
    (
        "ANEW",
        "Each Frame Anew",
        "Every frame is painted alone: strokes change from frame to frame, as in hand-drawn films",
    ),
)


SHOTS = (
    ("SCENE", "This Scene's Frames", "What the scene has rendered: the files of its output path"),
    ("FOLDER", "Folder", "The numbered pictures in a folder: one shot"),
)

KINDS = (
    ("PICTURES", "From Pictures", "Learn the hand of a painting, or of a few: the style paints anything"),
    ("KEYFRAMES", "From Keyframes", "Learn from frames of a shot that you have painted over: the rest follows"),
    ("TEXTURE", "Texture", "Learn a material from a picture of it: New Texture makes as much of it as you want"),
)


@dataclass(frozen=True)
class Guide:
    """What a style from keyframes may be told beside a frame: the engine's guide of the same name."""

    label: str
    passes: tuple[str, ...]
    """The pass it is made from, as Blender 4 and Blender 5 name it"""
    switch: str
    """Where to switch that on, below View Layer Properties > Passes"""
    about: str


GUIDES = {
    "albedo": Guide(
        "Albedo",
        ("DiffCol", "Diffuse Color"),
        "Light > Diffuse: Color",
        "Colour without light: what is a shadow, and what is dark paint",
    ),
    "normal": Guide(
        "Normal", ("Normal",), "Data > Normal", "Where a surface faces: strokes that follow forms and light"
    ),
    "depth": Guide("Depth", ("Depth",), "Data > Z", "What is near, and what is far"),
    "position": Guide(
        "Position", ("Position",), "Data > Position", "Strokes stick to objects that stand still while the camera moves"
    ),
    "uv": Guide("UV", ("UV",), "Data > UV", "Strokes stick to objects that move, turn or deform; they need a UV map"),
}


@dataclass(frozen=True)
class Effort:
    """How long to train a style of one kind."""

    budget: float
    """Seconds for everything, the style included that stands at the end"""
    steps: int
    """More it never does; 0: as many as the time allows"""
    preview_every: int
    about: str
    """What to expect"""


EFFORT_NAMES = (
    ("QUICK", "Quick", "At most 5 minutes"),
    ("STANDARD", "Standard", "At most 15 minutes"),
    ("FINE", "Fine", "At most 60 minutes"),
)
EFFORTS = {
    # A third of the time at most goes to the teacher's pictures (435 s for all), then .31 s on one processor core to
    # each step in the first three quarters of what is left and .54 s in the last: 500, 1,600, 8,600.
    "PICTURES": {
        "QUICK": Effort(
            300,
            0,
            50,
            "At most 5 minutes. About 500 steps on one processor core: palette and soft strokes, "
            "enough to see whether a painting suits.",
        ),
        "STANDARD": Effort(
            900,
            0,
            100,
            "At most 15 minutes. About 1,500 steps on one processor core: whole strokes.",
        ),
        "FINE": Effort(
            3600,
            0,
            250,
            "At most 60 minutes. About 8,500 steps on one processor core: sharper strokes, clearer forms.",
        ),
    },
    # .06 s of one processor core to each of the first four fifths of the steps and .08 s to the last.
    "KEYFRAMES": {
        "QUICK": Effort(
            300,
            600,
            50,
            "At most 5 minutes; 600 steps take 40 seconds of one processor core: colours and forms in their place, "
            "soft strokes.",
        ),
        "STANDARD": Effort(
            900,
            2000,
            100,
            "At most 15 minutes; 2,000 steps take two to three minutes of one processor core: your strokes, "
            "a little softer.",
        ),
        "FINE": Effort(3600, 10000, 250, "At most 60 minutes; 10,000 steps, five times as many as Standard."),
    },
    # .20 s of one processor core to each of the first half of the steps and .31 s to the rest.
    "TEXTURE": {
        "QUICK": Effort(
            300,
            420,
            50,
            "At most 5 minutes; 420 steps take two minutes of one processor core: the material, a little soft.",
        ),
        "STANDARD": Effort(
            900,
            2400,
            100,
            "At most 15 minutes; 2,400 steps take ten and a half minutes of one processor core: finer grain.",
        ),
        "FINE": Effort(3600, 9600, 250, "At most 60 minutes; 9,600 steps, four times as many as Standard."),
    },
}
"""By kind of style. The times are the same for all, the steps are what a kind makes of them."""


# ---------------------------------------------------------------- styles


@dataclass(frozen=True)
class Style:
    """A style as the picker shows it. Only names are read here; the worker verifies the pack before it is used."""

    name: str
    folder: Path
    author: str = ""
    licence: str = ""
    makes_textures: bool = False
    """Of noise alone: it paints no picture."""
    variants: int = 0
    """Exemplars of a texture of which it can be made alone"""
    brings: frozenset[str] = frozenset()
    """What overlays need of it: gradients, pictures (what it was made of), fit (what is usual in them)"""
    third_party: bool = False
    """Made by another program"""
    guides: frozenset[str] = frozenset()
    """Those of GUIDES that it is told beside the colours of a render"""

    @property
    def preview(self) -> Path:
        return self.folder / "preview.png"


_styles: tuple[Style, ...] | None = None
_items: list[tuple[str, str, str, int, int]] = []
"""Blender keeps no copy of the strings of a dynamic enum: they must live as long as it shows them."""
_palette_items: list[tuple[str, str, str, int, int]] = []
_texture_items: list[tuple[str, str, str, int, int]] = []
_previews: Any = None


def user_styles() -> Path:
    """The folder that imported and trained styles go into."""
    chosen = preferences().styles_folder
    return Path(bpy.path.abspath(chosen)) if chosen else compat.user_folder(PACKAGE, "styles")


def styles() -> tuple[Style, ...]:
    """The installed styles that paint pictures, by name."""
    return tuple(style for style in _installed() if not style.makes_textures)


def texture_styles() -> tuple[Style, ...]:
    """Those that make textures"""
    return tuple(style for style in _installed() if style.makes_textures)


def _installed() -> tuple[Style, ...]:
    """All styles by name; one of the artist's own hides a shipped one of the same name."""
    global _styles
    if _styles is None:
        found = {style.name: style for folder in (STYLES, user_styles()) for style in _styles_in(folder)}
        _styles = tuple(sorted(found.values(), key=lambda style: style.name.lower()))
    return _styles


def refresh_styles() -> None:
    """Looks at the folders again, after an import, a training or a change of the folder."""
    global _styles
    _styles = None
    _items.clear()
    _palette_items.clear()
    _texture_items.clear()
    free_previews()


def free_previews() -> None:
    global _previews
    if _previews is not None:
        bpy.utils.previews.remove(_previews)
        _previews = None


def _styles_in(folder: Path) -> list[Style]:
    try:
        return [style for pack in sorted(folder.iterdir()) if (style := _style(pack))]
    except OSError:
        return []


def _style(pack: Path) -> Style | None:
    """The style in a folder, or None where there is none that could be shown."""
    try:
        data = json.loads((pack / "style.json").read_text(encoding="utf-8"))
        inputs = data.get("model", {}).get("inputs", {})
        author, licence = str(data.get("author", "")), str(data.get("licence", ""))
        makes_textures = bool(inputs) and "image" not in inputs
        variants = len((inputs["noise"].get("strokes") or {}).get("parts", ())) if makes_textures else 0
        foreign, guides = data.get("kind") == "third-party", frozenset(set(GUIDES) & set(inputs))
        return Style(str(data["name"]), pack, author, licence, makes_textures, variants, _brings(data), foreign, guides)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _brings(data: dict[str, Any]) -> frozenset[str]:
    files = data.get("files", {})
    has = {
        "gradients": "explain.onnx" in files,
        "pictures": bool(data.get("pictures")),
        "fit": "fit.bytes" in files,
    }
    return frozenset(name for name, there in has.items() if there)


def style_items(_settings: Any, _context: Any) -> list[tuple[str, str, str, int, int]]:
    if not _items:
        _items.extend(_item(style, number) for number, style in enumerate(styles()))
    return _items


def _item(style: Style, number: int) -> tuple[str, str, str, int, int]:
    about = " · ".join(part for part in (style.author, style.licence) if part)
    return style.name, style.name, about, _icon(style), number


def _get_style(chosen: Any) -> int:
    """The place of the chosen style in the list; the first where none was chosen yet."""
    names = [style.name for style in styles()]
    return names.index(chosen.style_name) if chosen.style_name in names else 0


def _set_style(chosen: Any, number: int) -> None:
    chosen.style_name = styles()[number].name


def palette_items(_settings: Any, _context: Any) -> list[tuple[str, str, str, int, int]]:
    """Their own colours first, then every style."""
    if not _palette_items:
        _palette_items.append(("OWN", "Its Own", "Every style keeps the colours of its painting", 0, 0))
        _palette_items.extend(_item(style, number) for number, style in enumerate(styles(), 1))
    return _palette_items


def _get_palette(chosen: Any) -> int:
    names = [style.name for style in styles()]
    return 1 + names.index(chosen.palette_name) if chosen.palette_name in names else 0


def _set_palette(chosen: Any, number: int) -> None:
    chosen.palette_name = styles()[number - 1].name if number else ""


def texture_style_items(_settings: Any, _context: Any) -> list[tuple[str, str, str, int, int]]:
    if not _texture_items:
        _texture_items.extend(_item(style, number) for number, style in enumerate(texture_styles()))
    return _texture_items


def _get_texture_style(chosen: Any) -> int:
    names = [style.name for style in texture_styles()]
    return names.index(chosen.style_name) if chosen.style_name in names else 0


def _set_texture_style(chosen: Any, number: int) -> None:
    chosen.style_name = texture_styles()[number].name


def _icon(style: Style) -> int:
    """The preview picture, loaded by Blender when it first draws it. There is nothing to draw in background."""
    global _previews
    if bpy.app.background or not style.preview.is_file():
        return 0
    if _previews is None:
        _previews = bpy.utils.previews.new()
    if style.name not in _previews:
        _previews.load(style.name, str(style.preview), "IMAGE")
    return _previews[style.name].icon_id


def is_installed(name: str) -> bool:
    """Is there any style of that name, for pictures or for textures?"""
    return any(style.name == name for style in _installed())


def style_of(name: str) -> Style | None:
    return next((style for style in styles() if style.name == name), None)


# ---------------------------------------------------------------- settings


class StyleChoice:
    """A style: how much of it, and where."""

    style_name: bpy.props.StringProperty(options={"HIDDEN"})
    """What the file keeps: a name stays right when styles come and go, a place in a list does not."""
    style: bpy.props.EnumProperty(
        name="Style", description="The hand to paint with", items=style_items, get=_get_style, set=_set_style
    )
    share: bpy.props.FloatProperty(
        name="Share",
        description="How much of this style: only the ratio to the other shares in the same place matters",
        default=0.5,
        min=0.01,
        max=1.0,
        subtype="FACTOR",
    )
    matte: bpy.props.StringProperty(
        name="Object",
        description="Paint only this object, found by the render's Cryptomatte. "
        "Empty: wherever no other style has an object of its own",
    )
    mask: bpy.props.PointerProperty(
        name="Mask",
        description="Paint only where this picture is white; it has the size of the texture. "
        "Empty: wherever no other style has a mask of its own",
        type=bpy.types.Image,
    )


class MixedStyle(StyleChoice, bpy.types.PropertyGroup):
    """A further style of a mix."""


class Place(bpy.types.PropertyGroup):
    """Where the style shows as strongly as nowhere else."""

    matte: bpy.props.StringProperty(
        name="Object", description="The object whose strength this is, found by the render's Cryptomatte"
    )
    mask: bpy.props.PointerProperty(
        name="Mask",
        description="The strength holds where this picture is white; it has the size of the texture",
        type=bpy.types.Image,
    )
    strength: bpy.props.FloatProperty(
        name="Strength",
        description="How strongly the style shows here, in place of Strength; "
        "of what Attribution.Removal and Attribution.Objects say of its surroundings, this much is left",
        default=0.5,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )


def _band(name: str, what: str) -> Any:
    return bpy.props.FloatProperty(
        name=name,
        description=f"How much of the change of {what} shows: 0 nothing, 1 as painted, 2 twice; "
        "Attribution.Scale says what this will move",
        default=1.0,
        min=0.0,
        max=2.0,
        subtype="FACTOR",
    )


def _gain(light: str, what: str) -> Any:
    return bpy.props.FloatProperty(
        name=light,
        description=f"How bright {what} is when the render is painted: 0 off, 1 as rendered; "
        "Attribution.Passes says what it gives to the result",
        default=1.0,
        min=0.0,
        max=4.0,
        subtype="FACTOR",
    )


class Controls:
    """What an overlay foretells before it is moved: docs/controls.md."""

    whose_colours: bpy.props.EnumProperty(
        name="Whose Colours",
        description="Whose colours the result has, without a palette; "
        "what Attribution.Removal says of light and dark holds with the picture's, too",
        items=WHOSE_COLOURS,
        default="style",
    )
    band_colour: _band("Colour", "colours")
    band_form: _band("Form", "forms")
    band_stroke: _band("Stroke", "strokes")
    gain_diffuse: _gain("Diffuse", "light on matt surfaces")
    gain_glossy: _gain("Glossy", "what surfaces mirror")
    gain_transmission: _gain("Transmission", "light through glass and water")
    gain_volume: _gain("Volume", "light in smoke and fog")
    gain_emission: _gain("Emission", "what shines by itself")
    gain_environment: _gain("Environment", "the sky behind everything")
    places: bpy.props.CollectionProperty(type=Place)
    lock: bpy.props.BoolProperty(
        name="Lock",
        description="Styles of other programs see the statistics of the whole picture in every tile, so that what "
        "Attribution.Removal says comes from afar vanishes; those of Pentimento look at what is near and need no lock",
        default=False,
    )


class PentimentoSettings(StyleChoice, Controls, bpy.types.PropertyGroup):
    """How to paint. One set per scene, saved with it. The style it chooses is the first of a mix."""

    mixed: bpy.props.CollectionProperty(type=MixedStyle)
    palette_name: bpy.props.StringProperty(options={"HIDDEN"})
    palette: bpy.props.EnumProperty(
        name="Palette",
        description="Whose colours the strokes take",
        items=palette_items,
        get=_get_palette,
        set=_set_palette,
    )
    diversity: bpy.props.FloatProperty(
        name="Diversity",
        description="How much strokes vary from place to place and from seed to seed: 0 not at all, 1 as trained",
        default=1.0,
        min=0.0,
        max=1.5,
        subtype="FACTOR",
    )
    strength: bpy.props.FloatProperty(
        name="Strength",
        description="0 leaves the picture as it is, 1 paints it fully",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    follow: bpy.props.FloatProperty(
        name="Follow Forms",
        description="Which way strokes run: 0 as the painter laid them, 1 along the forms of the picture",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    stroke: bpy.props.FloatProperty(
        name="Stroke Size",
        description="2 paints with strokes twice as large, 0.5 with strokes half as large",
        default=1.0,
        min=0.25,
        max=4.0,
        step=5,
    )
    seed: bpy.props.IntProperty(name="Seed", description="Another seed paints with other strokes", default=0, min=0)
    # Match Display, by looking at the three styles: under AgX, Scene greys the palette and leaves what is bright
    # unpainted; under Standard the two look alike.
    colours: bpy.props.EnumProperty(
        name="Colours",
        description="How renders and float images come before the style; byte textures are painted as they are",
        items=COLOURS,
        default="DISPLAY",
    )
    painted_pass: bpy.props.EnumProperty(
        name="Pass",
        description="What is painted of a render, which is then put together again with it",
        items=PASSES,
        default="Combined",
    )
    tileable: bpy.props.BoolProperty(
        name="Tileable",
        description="The texture repeats: paint across its borders so that no seam appears",
        default=False,
    )
    overlays: bpy.props.EnumProperty(
        name="Overlays",
        description="Pictures beside the result that explain it, each with its measured faithfulness",
        items=OVERLAYS,
        options={"ENUM_FLAG"},
        default={"Scale"},
    )
    device: bpy.props.EnumProperty(
        name="Device",
        description="What computes",
        items=(
            ("auto", "Automatic", "The graphics card where the chosen Python can use it, else the processor"),
            ("cpu", "CPU", "The processor"),
            ("cuda", "CUDA", "An NVIDIA graphics card; needs a Python with CUDA in the add-on's preferences"),
        ),
        default="auto",
    )


on_blend: Callable[[float], None] | None = None
"""Draws display pictures again: explaining puts it here, as this room knows none of those above it."""


def _blend_changed(chosen: Any, _context: Any) -> None:
    if on_blend is not None:
        on_blend(chosen.blend)


class ExplainSettings(bpy.types.PropertyGroup):
    """What to ask. One set per scene, saved with it."""

    place: bpy.props.EnumProperty(name="About", description="What to ask about", items=PLACES, default="PIXEL")
    size: bpy.props.IntProperty(
        name="Box Size", description="Pixels to each side of the box", default=64, min=1, max=16384, subtype="PIXEL"
    )
    questions: bpy.props.EnumProperty(
        name="Ask",
        description="What to ask",
        items=tuple((name, asked.label or name, asked.about) for name, asked in QUESTIONS.items()),
        options={"ENUM_FLAG"},
        default={"Influence", "Removal", "Scale"},
    )
    blend: bpy.props.FloatProperty(
        name="Overlay",
        description="How much of the overlay shows over the picture",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        update=_blend_changed,
    )


def _make_pattern(chosen: Any, _context: Any) -> None:
    """A frame that was picked stands for its sequence: `walk_0008.exr` becomes `walk_####.exr`."""
    if chosen.frames and "#" not in Path(chosen.frames).name:
        try:
            name = shots.pattern_of(Path(bpy.path.abspath(chosen.frames))).name
        except EngineError:
            return  # it stays as it is, and Stylize Animation says what is wrong with it
        chosen.frames = chosen.frames[: len(chosen.frames) - len(bpy.path.basename(chosen.frames))] + name


class AnimationSettings(bpy.types.PropertyGroup):
    """How an animation is painted. One set per scene, saved with it."""

    source: bpy.props.EnumProperty(
        name="Frames", description="Which frames to paint", items=FRAME_SOURCES, default="RENDER"
    )
    frames: bpy.props.StringProperty(
        name="Files",
        description="Choose any frame of a sequence, EXR with its passes or PNG: its number becomes ####",
        subtype="FILE_PATH",
        options=compat.RELATIVE_PATH,
        update=_make_pattern,
    )
    in_range: bpy.props.BoolProperty(
        name="Scene Range Only",
        description="Paint the frames of the scene's frame range, and tell which of them are missing. "
        "Off: all files that there are",
    )
    strokes: bpy.props.EnumProperty(
        name="Strokes", description="What strokes do from frame to frame", items=STROKES, default="STICK"
    )
    folder: bpy.props.StringProperty(
        name="Folder",
        description="Where renders and results go. Empty: //pentimento/ beside the .blend, a folder for each scene",
        subtype="DIR_PATH",
        options=compat.RELATIVE_PATH,
    )
    resume: bpy.props.BoolProperty(
        name="Resume",
        description="Keep the frames that are finished and whole, rendered ones too, and make only the others. "
        "Off: nothing may be there yet, for nothing is overwritten",
        default=True,
    )
    movie: bpy.props.BoolProperty(
        name="MP4", description="Make a movie of the painted frames, too, as the scene's view transform shows them"
    )
    after_render: bpy.props.BoolProperty(
        name="After Render Animation",
        description="When Blender's own Render Animation has ended, in a window or on a farm, paint the frames that it "
        "wrote: EXR or PNG, with the passes that are switched on",
    )


class TextureSettings(bpy.types.PropertyGroup):
    """The texture to make. One set per scene, saved with it."""

    style_name: bpy.props.StringProperty(options={"HIDDEN"})
    style: bpy.props.EnumProperty(
        name="Style",
        description="The material",
        items=texture_style_items,
        get=_get_texture_style,
        set=_set_texture_style,
    )
    width: bpy.props.IntProperty(name="Width", description="In pixels", default=1024, min=16, max=16384)
    height: bpy.props.IntProperty(name="Height", description="In pixels", default=1024, min=16, max=16384)
    variant: bpy.props.IntProperty(
        name="Variant",
        description="Like one of the pictures the style was made from; 0: like all of them, mixed",
        min=0,
    )
    seed: bpy.props.IntProperty(name="Seed", description="Another seed, another piece of the material", min=0)


class StylePicture(bpy.types.PropertyGroup):
    """One picture of the hand, or of the material, that is wanted."""

    image: bpy.props.PointerProperty(
        name="Style Picture", description="A picture of the hand, or of the material", type=bpy.types.Image
    )


class Keyframe(bpy.types.PropertyGroup):
    """A frame of a shot that was painted over."""

    image: bpy.props.PointerProperty(
        name="Keyframe", description="A frame of the shot, painted over in its own size", type=bpy.types.Image
    )
    mask: bpy.props.PointerProperty(
        name="Mask",
        description="As large, white where the painting counts. Empty: everywhere",
        type=bpy.types.Image,
    )
    number: bpy.props.IntProperty(name="Frame", description="Which frame of the shot was painted over", default=1)


class TrainingSettings(bpy.types.PropertyGroup):
    """What to train a style from. One set per scene, saved with it."""

    kind: bpy.props.EnumProperty(
        name="Kind of Style", description="What it learns from, and what it can do", items=KINDS, default="PICTURES"
    )
    pictures: bpy.props.CollectionProperty(type=StylePicture)
    keyframes: bpy.props.CollectionProperty(type=Keyframe)
    shot: bpy.props.EnumProperty(
        name="Frames", description="The shot that the keyframes are taken from", items=SHOTS, default="SCENE"
    )
    guides: bpy.props.EnumProperty(
        name="Guides",
        description="Render passes that tell the style more of a frame than its colours",
        items=tuple((name, guide.label, guide.about) for name, guide in GUIDES.items()),
        options={"ENUM_FLAG"},
        default=set(),
    )
    content: bpy.props.EnumProperty(
        name="Practise On",
        description="What the style is practised on: the more like your own pictures, the better",
        items=CONTENTS,
        default="FRAMES",
    )
    folder: bpy.props.StringProperty(
        name="Folder", description="Renders, photos or textures; the frames of a shot", subtype="DIR_PATH"
    )
    effort: bpy.props.EnumProperty(
        name="Effort",
        description="How long to train",
        items=EFFORT_NAMES,
        default="STANDARD",
    )
    name: bpy.props.StringProperty(
        name="Name", description="What the style is called. Empty: the name of its first picture", maxlen=60
    )
    author: bpy.props.StringProperty(name="Author", description="Who painted the pictures, and who trained the style")
    licence: bpy.props.StringProperty(
        name="Licence", description="Of the pictures: what others may do with the style, such as CC0-1.0"
    )


def training_pictures(chosen: TrainingSettings) -> Any:
    """What a style of the chosen kind learns from: things with an `image`."""
    return chosen.keyframes if chosen.kind == "KEYFRAMES" else chosen.pictures


def effort_of(chosen: TrainingSettings) -> Effort:
    return EFFORTS[chosen.kind][chosen.effort]


def settings(context: bpy.types.Context) -> PentimentoSettings:
    return context.scene.pentimento


def texture_settings(context: bpy.types.Context) -> TextureSettings:
    return context.scene.pentimento_texture


def explain_settings(context: bpy.types.Context) -> ExplainSettings:
    return context.scene.pentimento_explain


def animation_settings(context: bpy.types.Context) -> AnimationSettings:
    return context.scene.pentimento_animation


def training_settings(context: bpy.types.Context) -> TrainingSettings:
    return context.scene.pentimento_training


def preferences() -> Any:
    return bpy.context.preferences.addons[PACKAGE].preferences


# ---------------------------------------------------------------- requests


def new_job() -> str:
    return uuid.uuid4().hex


def missing_style(chosen: StyleChoice) -> str:
    """The name of a style that the file asks for and that is not installed here."""
    return "" if not chosen.style_name or style_of(chosen.style_name) else chosen.style_name


def chosen_style(chosen: StyleChoice) -> Style:
    if not styles():
        raise EngineError("No style is installed.", "Import a style in the Pentimento panel.")
    if missing := missing_style(chosen):
        raise EngineError(f"The style {missing!r} is not installed.", "Choose another style, or import this one.")
    return styles()[_get_style(chosen)]


def chosen_texture_style(chosen: TextureSettings) -> Style:
    found = texture_styles()
    if not found:
        raise EngineError("No texture style is installed.", "Import one in the Texture panel.")
    if chosen.style_name and chosen.style_name not in [style.name for style in found]:
        raise EngineError(
            f"The texture style {chosen.style_name!r} is not installed.", "Choose another one, or import this one."
        )
    return found[_get_texture_style(chosen)]


def has_variants(chosen: TextureSettings) -> bool:
    return bool(texture_styles()[_get_texture_style(chosen)].variants)


def chosen_palette(chosen: PentimentoSettings) -> Style | None:
    """The style whose colours the others take; None where they keep their own."""
    if chosen.palette_name and not style_of(chosen.palette_name):
        raise EngineError(
            f"The style {chosen.palette_name!r}, whose palette was chosen, is not installed.",
            "Choose another palette, or import this style.",
        )
    return style_of(chosen.palette_name)


def all_styles(chosen: PentimentoSettings) -> tuple[StyleChoice, ...]:
    """The styles of the mix; the one in the picker is the first."""
    return (chosen, *chosen.mixed)


def places(chosen: PentimentoSettings, is_render: bool) -> tuple[Place, ...]:
    """Those of a render that have an object, those of a texture that have a mask: others are not filled in yet."""
    return tuple(place for place in chosen.places if (place.matte if is_render else place.mask))


def light_of(painted_pass: str) -> str:
    """The light of GAINS that a pass belongs to, which their first letters tell; empty for Combined"""
    return next((light for light in GAINS if painted_pass != "Combined" and light.startswith(painted_pass[:3])), "")


def guides(chosen: PentimentoSettings) -> tuple[str, ...]:
    """What the styles are told of a render beside its colours"""
    used = [*map(chosen_style, all_styles(chosen)), *filter(None, [chosen_palette(chosen)])]
    return tuple(name for name in GUIDES if any(name in style.guides for style in used))


def can_lock(chosen: PentimentoSettings) -> bool:
    """Is any of the styles made by another program? Others have nothing to lock."""
    used = [styles()[_get_style(part)] for part in all_styles(chosen)] if styles() else []
    palette = style_of(chosen.palette_name)
    return any(style.third_party for style in (*used, *([palette] if palette else [])))


def has_gradients(chosen: PentimentoSettings) -> bool:
    """Does the engine know a gradient of what is painted like this? Not through bands, nor through kept colours."""
    return chosen.whose_colours == "style" and all(getattr(chosen, name) == 1 for name in BANDS)


def moved_controls(chosen: PentimentoSettings) -> bool:
    """Is any control not where it was at first?"""
    return bool(chosen.places) or any(
        getattr(chosen, name) != chosen.bl_rna.properties[name].default
        for name in ("whose_colours", *BANDS, *GAINS.values(), "lock")
    )


def reset_controls(chosen: PentimentoSettings) -> None:
    chosen.places.clear()
    for name in ("whose_colours", *BANDS, *GAINS.values(), "lock"):
        chosen.property_unset(name)


def look_name(chosen: PentimentoSettings) -> str:
    """What results are named after, as the engine names them: `Starry Night, Metzinger in Wheat Field`."""
    names = ", ".join(dict.fromkeys(chosen_style(part).name for part in all_styles(chosen)))
    palette = chosen_palette(chosen)
    return f"{names} in {palette.name}" if palette else names


def stylize_settings(chosen: PentimentoSettings, is_render: bool) -> protocol.StylizeSettings:
    """The panel as plain values. Names go by their order, so that the same choice gives the same recipe.

    A render's styles and places name their objects; the masks of a texture are pictures that have yet to be written,
    and its places have their names.
    """
    palette = chosen_palette(chosen)
    if palette and chosen.whose_colours != "style":
        raise EngineError(
            "A result cannot have the colours of a palette and of the picture.",
            "Choose Mixing > Palette: Its Own, or Controls > Whose Colours: Style.",
        )
    return protocol.StylizeSettings(
        styles=tuple(_share(part, part.matte if is_render else "", chosen) for part in all_styles(chosen)),
        palette=str(palette.folder) if palette else "",
        strength=chosen.strength,
        strength_of=tuple(
            protocol.MatteStrength(place.matte if is_render else place.mask.name, place.strength)
            for place in places(chosen, is_render)
        ),
        bands=(chosen.band_colour, chosen.band_form, chosen.band_stroke),
        colours=chosen.whose_colours,
        gains=_gains(chosen) if is_render else (),
        painted_pass=chosen.painted_pass if is_render else "Combined",
        seed=chosen.seed,
        diversity=chosen.diversity,
        follow=chosen.follow,
        stroke=chosen.stroke,
        tileable=chosen.tileable and not is_render,
        lock=chosen.lock and can_lock(chosen),
        overlays=tuple(name for name, *_ in OVERLAYS if name in chosen.overlays),
        device=chosen.device,
    )


def _gains(chosen: PentimentoSettings) -> tuple[protocol.LightGain, ...]:
    """Of the lights that were turned up or down"""
    found = {light: getattr(chosen, name) for light, name in GAINS.items()}
    return tuple(protocol.LightGain(light, gain) for light, gain in found.items() if gain != 1)


def training_config(chosen: TrainingSettings, name: str) -> dict[str, Any]:
    """The settings of the training that the panel knows."""
    effort = effort_of(chosen)
    return {
        "kind": chosen.kind.lower(),
        "name": name,
        "author": chosen.author,
        "licence": chosen.licence,
        "budget": effort.budget,
        "steps": effort.steps,
        "preview_every": effort.preview_every,
    }


def _share(part: StyleChoice, matte: str, chosen: PentimentoSettings) -> protocol.StyleShare:
    """A style alone is all there is, whatever its share was in a mix."""
    return protocol.StyleShare(str(chosen_style(part).folder), part.share if chosen.mixed else 1.0, matte)


def stylize_request(
    source: protocol.PictureSource,
    how: protocol.StylizeSettings,
    folder: str,
    deliver: str,
    view: protocol.ViewTable | None = None,
) -> protocol.StylizeRequest:
    return protocol.StylizeRequest(new_job(), (source,), how, folder, deliver, view)


def texture_request(chosen: TextureSettings, device: str) -> protocol.TextureRequest:
    """Without the folder: there is none before the job begins."""
    style = chosen_texture_style(chosen)
    return protocol.TextureRequest(
        *(new_job(), str(style.folder), chosen.width, chosen.height, ""),
        seeds=(chosen.seed,),
        variant=chosen.variant if style.variants else 0,
        deliver="pixels",
        device=device,
    )


# ---------------------------------------------------------------- registration


CLASSES = (
    MixedStyle,
    Place,
    PentimentoSettings,
    ExplainSettings,
    AnimationSettings,
    TextureSettings,
    StylePicture,
    Keyframe,
    TrainingSettings,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.pentimento = bpy.props.PointerProperty(type=PentimentoSettings)
    bpy.types.Scene.pentimento_explain = bpy.props.PointerProperty(type=ExplainSettings)
    bpy.types.Scene.pentimento_animation = bpy.props.PointerProperty(type=AnimationSettings)
    bpy.types.Scene.pentimento_texture = bpy.props.PointerProperty(type=TextureSettings)
    bpy.types.Scene.pentimento_training = bpy.props.PointerProperty(type=TrainingSettings)


def unregister() -> None:
    del bpy.types.Scene.pentimento_training
    del bpy.types.Scene.pentimento_texture
    del bpy.types.Scene.pentimento_animation
    del bpy.types.Scene.pentimento_explain
    del bpy.types.Scene.pentimento
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    refresh_styles()
