"""Which textures to paint, and how they lie on surfaces."""

# Blender wants properties as annotations (real ones: it does not evaluate strings).
# mypy: disable-error-code="valid-type"

import bpy

from .. import compat
from ..translation import OURS
from . import choices


class TextureSlot(bpy.types.PropertyGroup):
    """A texture of a material. Names, not pointers: a list is no user of what it lists."""

    material: bpy.props.StringProperty()
    image: bpy.props.StringProperty()
    role: bpy.props.StringProperty()
    use: bpy.props.BoolProperty(name="Paint", description="Paint this texture", default=False, **compat.meaning(OURS))


class TexturesSettings(bpy.types.PropertyGroup):
    """One set per scene, saved with it."""

    scope: bpy.props.EnumProperty(
        name="Paint",
        description="Which textures to paint",
        items=choices.TEXTURE_SCOPES,
        default="SELECTED",
        **compat.meaning(OURS),
    )
    slots: bpy.props.CollectionProperty(type=TextureSlot)
    slot: bpy.props.IntProperty(options={"HIDDEN"})
    """The line of the list that is selected"""
    margin: bpy.props.EnumProperty(
        name="Bake Margin",
        description="What becomes of the background around the islands of a baked texture",
        items=choices.MARGINS,
        default="AUTO",
    )
    relief: bpy.props.BoolProperty(
        name="Relief",
        description="Make normal and roughness maps from the strokes, upon those that the material has, so that light "
        "sees the paint. Off: they stay as they are",
        default=False,
    )
    relief_strength: bpy.props.FloatProperty(
        name="Strength",
        description="How thick the paint lies: 0 flat, 1 as paint, 2 twice as steep",
        **compat.meaning(OURS),
        default=1.0,
        min=0.0,
        max=2.0,
        subtype="FACTOR",
    )
