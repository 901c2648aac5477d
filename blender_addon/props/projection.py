"""The artist's choices for a texture from views."""

# Blender wants properties as annotations (real ones: it does not evaluate strings).
# mypy: disable-error-code="valid-type, union-attr, attr-defined"

import bpy

CAMERAS = (
    ("AROUND", "Around It", "Cameras of our own, all around the object; they are gone when the views are rendered"),
    ("SELECTED", "Selected Cameras", "The cameras that are selected"),
    ("ALL", "All Cameras", "Every camera of the scene"),
)


class ProjectionSettings(bpy.types.PropertyGroup):
    """How a mesh is painted from views. One set per scene, saved with it."""

    cameras: bpy.props.EnumProperty(
        name="Views", description="Which cameras the object is seen by", items=CAMERAS, default="AROUND"
    )
    count: bpy.props.IntProperty(
        name="Count",
        description="How many views: one from above, one from below, the others in a ring. "
        "Fewer have fewer seams, more see further into folds",
        default=6,
        min=3,
        max=32,
    )
    view_size: bpy.props.IntProperty(
        name="View Size",
        description="Pixels of the longer side of a view. Strokes have their size in views: "
        "in larger ones they are smaller on the object",
        default=1024,
        min=64,
        max=8192,
        subtype="PIXEL",
    )
    size: bpy.props.IntProperty(
        name="Texture Size",
        description="Pixels to each side of the new texture",
        default=2048,
        min=64,
        max=16384,
        subtype="PIXEL",
    )
    margin: bpy.props.IntProperty(
        name="Margin",
        description="Pixels beyond the islands of the UV map up to which their colours go on",
        default=16,
        min=0,
        max=256,
        subtype="PIXEL",
    )
    light: bpy.props.BoolProperty(
        name="With Light",
        description="Paint the object as the scene lights it, as Cycles renders it. Light and shadow are then in the "
        "texture. Off: its colours alone, and the scene's light falls on the painting",
    )
    new_uv: bpy.props.BoolProperty(
        name="New UV Map",
        description="Make a UV map of its own for the texture (Smart UV Project), beside those that are there. "
        "Off: the map that the object's texture lies on",
    )


def settings(context: bpy.types.Context) -> ProjectionSettings:
    return context.scene.pentimento_projection


def register() -> None:
    bpy.utils.register_class(ProjectionSettings)
    bpy.types.Scene.pentimento_projection = bpy.props.PointerProperty(type=ProjectionSettings)


def unregister() -> None:
    del bpy.types.Scene.pentimento_projection
    bpy.utils.unregister_class(ProjectionSettings)
