"""Choices that hold for every file: which Python computes, how another one is set up, and where the artist's own styles
are."""

# Blender wants properties as annotations (real ones: it does not evaluate strings).
# mypy: disable-error-code="valid-type, union-attr"

from typing import Any

import bpy

from . import props, setting_up
from .engine_client import packages
from .panels import engine
from .translation import worded


def _python_changed(_preferences: Any, _context: Any) -> None:
    if not setting_up.entering:
        setting_up.check()


def _styles_folder_changed(_preferences: Any, _context: Any) -> None:
    props.library.refresh_styles()


class PentimentoPreferences(bpy.types.AddonPreferences):
    bl_idname = props.library.PACKAGE

    python: bpy.props.StringProperty(
        name="Python",
        description="A Python of your own with PyTorch or onnxruntime-gpu. Empty: Blender's own, on the processor",
        subtype="FILE_PATH",
        update=_python_changed,
    )
    verdict: bpy.props.StringProperty(name="What this Python can do", options={"SKIP_SAVE"})
    can_train: bpy.props.BoolProperty(name="Can train", description="What the last check found", options={"HIDDEN"})
    setup_kind: bpy.props.EnumProperty(
        name="Set Up",
        description="What the environment is for",
        items=[(kind.name, kind.title, kind.about) for kind in packages.kinds()],
    )
    setup_folder: bpy.props.StringProperty(
        name="Folder",
        description="Where the environment is made. Empty: a folder of the add-on's own",
        subtype="DIR_PATH",
    )
    setup_wheels: bpy.props.StringProperty(
        name="Wheels",
        description="A folder of wheels, for a computer without a network: then nothing is downloaded",
        subtype="DIR_PATH",
    )
    setup_index: bpy.props.StringProperty(
        name="Package Index",
        description="Address of a package index besides the one that pip is set up for, such as PyTorch's for CUDA",
    )
    shows_options: bpy.props.BoolProperty(
        name="Options", description="Show folder, wheels and package index", options={"SKIP_SAVE"}
    )
    shows_packages: bpy.props.BoolProperty(
        name="Packages", description="Show the packages of this Python and their versions", options={"SKIP_SAVE"}
    )
    styles_folder: bpy.props.StringProperty(
        name="Styles Folder",
        description="Where imported and trained styles are kept. Empty: a folder of the add-on's own",
        subtype="DIR_PATH",
        update=_styles_folder_changed,
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        engine.draw_python(layout, context, self)
        engine.draw_set_up(layout, context, self)
        box = layout.box().column()
        box.label(text=worded("Styles"), translate=False, icon="BRUSHES_ALL")
        box.prop(self, "styles_folder")
        box.operator("pentimento.import_style", icon="IMPORT")


def register() -> None:
    bpy.utils.register_class(PentimentoPreferences)


def unregister() -> None:
    bpy.utils.unregister_class(PentimentoPreferences)
