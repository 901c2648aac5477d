"""Materials out of noise."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, arg-type, misc"
# ruff: noqa: RUF012

from __future__ import annotations

import bpy

from .. import jobs, props
from .base import draw_setting


class TexturePanel:
    """A material out of noise: which, how large, which piece of it."""

    bl_label = "New Texture"
    bl_category = "Pentimento"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        if not props.library.texture_styles():
            layout.label(text="No texture style is installed", icon="INFO")
            layout.operator("pentimento.import_style", icon="IMPORT")
            return
        layout.enabled = jobs.current() is None
        chosen = props.texture_settings(context)
        column = layout.column()
        for name in ("style", *(["variant"] if props.has_variants(chosen) else []), "width", "height", "seed"):
            draw_setting(column, chosen, name)
        layout.operator("pentimento.new_texture", icon="TEXTURE")


class ImageTexturePanel(TexturePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_image_texture"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"


class ViewportTexturePanel(TexturePanel, bpy.types.Panel):
    bl_idname = "PENTIMENTO_PT_view_texture"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


CLASSES = (
    ImageTexturePanel,
    ViewportTexturePanel,
)
