"""What the Layers panel remembers. What the layers are, it reads off the images."""

# Blender wants properties as annotations (real ones: it does not evaluate strings).
# mypy: disable-error-code="valid-type, attr-defined"

import bpy


class LayersSettings(bpy.types.PropertyGroup):
    """Which layer is chosen. One set per scene, saved with it. A layer is the name of its image and, in the next line,
    that of a layer in the image's file."""

    active: bpy.props.StringProperty(options={"HIDDEN"})
    """The layer that the panel tells of"""
    solo: bpy.props.StringProperty(options={"HIDDEN"})
    """The layer that is shown alone"""
    before: bpy.props.StringProperty(options={"HIDDEN"})
    """The name of the image that was shown before that"""


CLASSES = (LayersSettings,)
