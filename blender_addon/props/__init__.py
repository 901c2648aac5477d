"""The artist's choices in the scene, and the requests they make with the styles of the library."""

# Blender wants properties as annotations (real ones: it does not evaluate strings).
# mypy: disable-error-code="valid-type, union-attr, attr-defined"

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from .. import compat, shots
from ..engine_client import EngineError, protocol
from ..translation import OURS
from . import choices, gallery, layers, library, projection
from .textures import TextureSlot, TexturesSettings

# ---------------------------------------------------------------- settings


class StyleChoice:
    """A style: how much of it, and where."""

    style_name: bpy.props.StringProperty(options={"HIDDEN"})
    """What the file keeps: a name stays right when styles come and go, a place in a list does not."""
    style: bpy.props.EnumProperty(
        name="Style",
        description="The hand to paint with",
        **compat.meaning(OURS),
        items=library.style_items,
        get=library.get_style,
        set=library.set_style,
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
        **compat.meaning(OURS),
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
        **compat.meaning(OURS),
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
        **compat.meaning(OURS),
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
        **compat.meaning(OURS),
        items=choices.WHOSE_COLOURS,
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
        **compat.meaning(OURS),
        items=library.palette_items,
        get=library.get_palette,
        set=library.set_palette,
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
        **compat.meaning(OURS),
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    follow: bpy.props.FloatProperty(
        name="Forms",
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
        items=choices.COLOURS,
        default="DISPLAY",
    )
    painted_pass: bpy.props.EnumProperty(
        name="Pass",
        description="What is painted of a render, which is then put together again with it",
        **compat.meaning(OURS),
        items=choices.PASSES,
        default="Combined",
    )
    tileable: bpy.props.EnumProperty(
        name="Tileable",
        description="The texture repeats: paint across its borders so that no seam appears",
        items=choices.TILEABLE,
        default="AUTO",
    )
    overlays: bpy.props.EnumProperty(
        name="Overlays",
        description="Pictures beside the result that explain it, each with its measured faithfulness",
        **compat.meaning(OURS),
        items=choices.OVERLAYS,
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

    place: bpy.props.EnumProperty(
        name="About",
        description="What to ask about",
        **compat.meaning(OURS),
        items=choices.PLACES,
        default="PIXEL",
    )
    size: bpy.props.IntProperty(
        name="Box Size", description="Pixels to each side of the box", default=64, min=1, max=16384, subtype="PIXEL"
    )
    questions: bpy.props.EnumProperty(
        name="Ask",
        description="What to ask",
        **compat.meaning(OURS),
        items=tuple((name, asked.label or name, asked.about) for name, asked in choices.QUESTIONS.items()),
        options={"ENUM_FLAG"},
        default={"Influence", "Removal", "Scale"},
    )
    blend: bpy.props.FloatProperty(
        name="Overlay",
        description="How much of the overlay shows over the picture",
        **compat.meaning(OURS),
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
        name="Frames", description="Which frames to paint", items=choices.FRAME_SOURCES, default="RENDER"
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
        name="Strokes",
        description="What strokes do from frame to frame",
        **compat.meaning(OURS),
        items=choices.STROKES,
        default="STICK",
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
        **compat.meaning(OURS),
        items=library.texture_style_items,
        get=library.get_texture_style,
        set=library.set_texture_style,
    )
    width: bpy.props.IntProperty(name="Width", description="In pixels", default=1024, min=16, max=16384)
    height: bpy.props.IntProperty(name="Height", description="In pixels", default=1024, min=16, max=16384)
    variant: bpy.props.IntProperty(
        name="Variant",
        description="Like one of the pictures the style was made from; 0: like all of them, mixed",
        **compat.meaning(OURS),
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
        name="Kind of Style",
        description="What it learns from, and what it can do",
        items=choices.KINDS,
        default="PICTURES",
    )
    pictures: bpy.props.CollectionProperty(type=StylePicture)
    keyframes: bpy.props.CollectionProperty(type=Keyframe)
    shot: bpy.props.EnumProperty(
        name="Frames", description="The shot that the keyframes are taken from", items=choices.SHOTS, default="SCENE"
    )
    guides: bpy.props.EnumProperty(
        name="Guides",
        description="Render passes that tell the style more of a frame than its colours",
        **compat.meaning(OURS),
        items=tuple((name, guide.label, guide.about) for name, guide in choices.GUIDES.items()),
        options={"ENUM_FLAG"},
        default=set(),
    )
    content: bpy.props.EnumProperty(
        name="Practise On",
        description="What the style is practised on: the more like your own pictures, the better",
        items=choices.CONTENTS,
        default="FRAMES",
    )
    folder: bpy.props.StringProperty(
        name="Folder", description="Renders, photos or textures; the frames of a shot", subtype="DIR_PATH"
    )
    effort: bpy.props.EnumProperty(
        name="Effort",
        description="How long to train",
        items=choices.EFFORT_NAMES,
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


def effort_of(chosen: TrainingSettings) -> choices.Effort:
    return choices.EFFORTS[chosen.kind][chosen.effort]


def settings(context: bpy.types.Context) -> PentimentoSettings:
    return context.scene.pentimento


def texture_settings(context: bpy.types.Context) -> TextureSettings:
    return context.scene.pentimento_texture


def textures_settings(context: bpy.types.Context) -> TexturesSettings:
    return context.scene.pentimento_textures


def explain_settings(context: bpy.types.Context) -> ExplainSettings:
    return context.scene.pentimento_explain


def animation_settings(context: bpy.types.Context) -> AnimationSettings:
    return context.scene.pentimento_animation


def training_settings(context: bpy.types.Context) -> TrainingSettings:
    return context.scene.pentimento_training


# ---------------------------------------------------------------- requests


def new_job() -> str:
    return uuid.uuid4().hex


def missing_style(chosen: StyleChoice) -> str:
    """The name of a style that the file asks for and that is not installed here."""
    return "" if not chosen.style_name or library.style_of(chosen.style_name) else chosen.style_name


def chosen_style(chosen: StyleChoice) -> library.Style:
    if not library.styles():
        raise EngineError("No style is installed.", "Import a style in the Pentimento panel.")
    if missing := missing_style(chosen):
        raise EngineError(f"The style {missing!r} is not installed.", "Choose another style, or import this one.")
    return library.styles()[library.get_style(chosen)]


def chosen_texture_style(chosen: TextureSettings) -> library.Style:
    found = library.texture_styles()
    if not found:
        raise EngineError("No texture style is installed.", "Import one in the New Texture panel.")
    if chosen.style_name and chosen.style_name not in [style.name for style in found]:
        raise EngineError(
            f"The texture style {chosen.style_name!r} is not installed.", "Choose another one, or import this one."
        )
    return found[library.get_texture_style(chosen)]


def has_variants(chosen: TextureSettings) -> bool:
    return bool(library.texture_styles()[library.get_texture_style(chosen)].variants)


def chosen_palette(chosen: PentimentoSettings) -> library.Style | None:
    """The style whose colours the others take; None where they keep their own."""
    if chosen.palette_name and not library.style_of(chosen.palette_name):
        raise EngineError(
            f"The style {chosen.palette_name!r}, whose palette was chosen, is not installed.",
            "Choose another palette, or import this style.",
        )
    return library.style_of(chosen.palette_name)


def all_styles(chosen: PentimentoSettings) -> tuple[StyleChoice, ...]:
    """The styles of the mix; the one in the picker is the first."""
    return (chosen, *chosen.mixed)


def mix_another(chosen: PentimentoSettings) -> Any:
    """One more style in the mix: the first that is not in it."""
    used = {chosen_style(part).name for part in all_styles(chosen)} if library.styles() else set()
    added = chosen.mixed.add()
    added.style_name = next((style.name for style in library.styles() if style.name not in used), "")
    return added


def places(chosen: PentimentoSettings, is_render: bool) -> tuple[Place, ...]:
    """Those of a render that have an object, those of a texture that have a mask: others are not filled in yet."""
    return tuple(place for place in chosen.places if (place.matte if is_render else place.mask))


def light_of(painted_pass: str) -> str:
    """The light of choices.GAINS that a pass belongs to, which their first letters tell; empty for Combined"""
    return next(
        (light for light in choices.GAINS if painted_pass != "Combined" and light.startswith(painted_pass[:3])), ""
    )


def guides(chosen: PentimentoSettings) -> tuple[str, ...]:
    """What the styles are told of a render beside its colours"""
    used = [*map(chosen_style, all_styles(chosen)), *filter(None, [chosen_palette(chosen)])]
    return tuple(name for name in choices.GUIDES if any(name in style.guides for style in used))


def can_lock(chosen: PentimentoSettings) -> bool:
    """Is any of the styles made by another program? Others have nothing to lock."""
    used = [library.styles()[library.get_style(part)] for part in all_styles(chosen)] if library.styles() else []
    palette = library.style_of(chosen.palette_name)
    return any(style.third_party for style in (*used, *([palette] if palette else [])))


def has_gradients(chosen: PentimentoSettings) -> bool:
    """Does the engine know a gradient of what is painted like this? Not through bands, nor through kept colours."""
    return chosen.whose_colours == "style" and all(getattr(chosen, name) == 1 for name in choices.BANDS)


def moved_controls(chosen: PentimentoSettings) -> bool:
    """Is any control not where it was at first?"""
    return bool(chosen.places) or any(
        getattr(chosen, name) != chosen.bl_rna.properties[name].default
        for name in ("whose_colours", *choices.BANDS, *choices.GAINS.values(), "lock")
    )


def reset_controls(chosen: PentimentoSettings) -> None:
    chosen.places.clear()
    for name in ("whose_colours", *choices.BANDS, *choices.GAINS.values(), "lock"):
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
        tileable=chosen.tileable == "ON" and not is_render,
        lock=chosen.lock and can_lock(chosen),
        overlays=tuple(name for name, *_ in choices.OVERLAYS if name in chosen.overlays),
        device=chosen.device,
    )


def _gains(chosen: PentimentoSettings) -> tuple[protocol.LightGain, ...]:
    """Of the lights that were turned up or down"""
    found = {light: getattr(chosen, name) for light, name in choices.GAINS.items()}
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
    one_part = not compat.READS_PARTS
    return protocol.StylizeRequest(new_job(), (source,), how, folder, deliver, view, one_part)


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
    TextureSlot,
    TexturesSettings,
    StylePicture,
    Keyframe,
    TrainingSettings,
    *layers.CLASSES,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.pentimento = bpy.props.PointerProperty(type=PentimentoSettings)
    bpy.types.Scene.pentimento_explain = bpy.props.PointerProperty(type=ExplainSettings)
    bpy.types.Scene.pentimento_animation = bpy.props.PointerProperty(type=AnimationSettings)
    bpy.types.Scene.pentimento_texture = bpy.props.PointerProperty(type=TextureSettings)
    bpy.types.Scene.pentimento_textures = bpy.props.PointerProperty(type=TexturesSettings)
    bpy.types.Scene.pentimento_training = bpy.props.PointerProperty(type=TrainingSettings)
    bpy.types.Scene.pentimento_layers = bpy.props.PointerProperty(type=layers.LayersSettings)
    projection.register()
    gallery.register()


def unregister() -> None:
    gallery.unregister()
    projection.unregister()
    del bpy.types.Scene.pentimento_layers
    del bpy.types.Scene.pentimento_training
    del bpy.types.Scene.pentimento_textures
    del bpy.types.Scene.pentimento_texture
    del bpy.types.Scene.pentimento_animation
    del bpy.types.Scene.pentimento_explain
    del bpy.types.Scene.pentimento
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    library.refresh_styles()
    library.free_pictures()
