"""Everything that differs between Blender versions, and nothing else. Callers never ask for a version."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="attr-defined, union-attr, arg-type, return-value"

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

BEFORE_4_0 = bpy.app.version < (4, 0, 0)
BEFORE_5_0 = bpy.app.version < (5, 0, 0)
SIMPLIFIED_CHINESE = "zh_CN" if BEFORE_4_0 else "zh_HANS"
"""As Blender calls the language"""
RELATIVE_PATH = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()
"""Options of a property with a path that may begin with //, beside the default ones: since 4.5 it has to say so"""


READS_PARTS = not BEFORE_4_0
"""Are layers found in EXR files of several parts?"""


def kept_folder(name: str) -> Path:
    """A folder for what is the artist's: it outlives the add-on. Blender empties the place of an extension with it."""
    return Path(bpy.utils.user_resource("DATAFILES", path=f"pentimento/{name}", create=True))


def user_folder(package: str, name: str) -> Path:
    """A folder of ours that outlives updates and goes with the add-on. Since 4.2 extensions have a place for that."""
    try:
        return Path(bpy.utils.extension_path_user(package, path=name, create=True))
    except (AttributeError, ValueError):
        return kept_folder(name)  # before 4.2, or installed as a legacy add-on


def former_folder(package: str, name: str) -> Path | None:
    """Where what is kept now lay in earlier versions of the add-on; nothing is made. None: it lay where it lies now."""
    try:
        return Path(bpy.utils.extension_path_user(package, path=name))
    except (AttributeError, ValueError):
        return None


def may_go_online() -> bool:
    """Has the artist allowed it? Before 4.2 nobody asks that: whoever wants to download has to."""
    return bool(getattr(bpy.app, "online_access", True))


def draw_online_access(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The switch itself, where there is one."""
    if hasattr(context.preferences.system, "use_online_access"):
        layout.prop(context.preferences.system, "use_online_access")


HAS_MEANINGS = "translation_context" in str(bpy.props.EnumProperty.__doc__)
"""Can a property say that its words mean something else than Blender's? 4.2 can, 3.4 cannot"""


def meaning(context: str) -> dict[str, Any]:
    """Options of a property whose words are to be looked up in a context of ours."""
    return {"translation_context": context} if HAS_MEANINGS else {}


def calculate_normals(mesh: bpy.types.Mesh) -> None:
    """Those of its corners; since 4.1 they are always there."""
    if hasattr(mesh, "calc_normals_split"):
        mesh.calc_normals_split()


def uv_places(layer: bpy.types.MeshUVLoopLayer, count: int) -> NDArray[np.float32]:
    """(count, 2) of all corners. Since 3.5 they lie as they are wanted: a hundred times faster."""
    places = np.empty(2 * count, np.float32)
    if hasattr(layer, "uv"):
        layer.uv.foreach_get("vector", places)
    else:
        layer.data.foreach_get("uv", places)
    return places.reshape(-1, 2)


def face_slots(mesh: bpy.types.Mesh) -> NDArray[np.int32]:
    """(faces,) the material slot of each. They have been an attribute since 3.4, which is there unless all are 0."""
    slots = np.zeros(len(mesh.polygons), np.int32)
    if "material_index" in mesh.attributes:
        mesh.attributes["material_index"].data.foreach_get("value", slots)
    return slots


def progress(layout: bpy.types.UILayout, fraction: float, number: int) -> None:
    """A bar, one of those that `register_bars` has made."""
    if not BEFORE_4_0:
        layout.progress(factor=fraction, text=f"{fraction:.0%}", translate=False)
        return
    manager, name, percent = bpy.context.window_manager, f"pentimento_bar_{number}", round(100 * fraction)
    if getattr(manager, name) != percent:
        setattr(manager, name, percent)  # of all data, what belongs to the window may be written while it is drawn
    row = layout.row()
    row.enabled = False
    row.prop(manager, name, text="", slider=True)


def register_bars(count: int) -> None:
    """What `progress` draws before 4.0, which has no bars: sliders that nobody can move. Without a getter: where a
    button calls one while a render is in Python, 3.4 may forbid for ever after to write what is not the window's."""
    for number in range(count if BEFORE_4_0 else 0):
        slider = bpy.props.IntProperty(
            name="Progress", description="How far it is", subtype="PERCENTAGE", min=0, max=100, options={"SKIP_SAVE"}
        )
        setattr(bpy.types.WindowManager, f"pentimento_bar_{number}", slider)


def unregister_bars() -> None:
    for name in [name for name in vars(bpy.types.WindowManager) if name.startswith("pentimento_bar_")]:
        delattr(bpy.types.WindowManager, name)


def drop_handlers(name: str, label: str, operator: str, extensions: str) -> tuple[Any, ...]:
    """A class that lets files be dropped into the editors of ours; none before 4.1, which had no such thing."""
    if not hasattr(bpy.types, "FileHandler"):
        return ()
    facts = {"bl_idname": name, "bl_label": label, "bl_import_operator": operator, "bl_file_extensions": extensions}
    return (type(name, (bpy.types.FileHandler,), {**facts, "poll_drop": classmethod(_takes_files)}),)


def _takes_files(_cls: type, context: bpy.types.Context) -> bool:
    return context.area is not None and context.area.type in ("VIEW_3D", "IMAGE_EDITOR")


def save_copy(image: Any, path: str) -> None:
    """Saves the pixels to another file than the image's own; the image stays unsaved where it was. Before 4.3 a path
    alone says that it is a copy, and the image counts as saved then: its pixels, put back, say that it is not."""
    if "save_copy" in image.bl_rna.functions["save"].parameters:
        image.save(filepath=path, save_copy=True)
        return
    was_dirty = image.is_dirty
    image.save(filepath=path)
    if was_dirty and not image.is_dirty:
        image.pixels[0] = image.pixels[0]


# ---------------------------------------------------------------- drawing over an editor: in a window only

Point = tuple[float, float]
Colour = tuple[float, float, float, float]


def draw_triangles(corners: list[Point], colour: Colour) -> None:
    """Three corners each, in pixels of the region."""
    import gpu
    from gpu_extras.batch import batch_for_shader

    shader = gpu.shader.from_builtin("2D_UNIFORM_COLOR" if BEFORE_4_0 else "UNIFORM_COLOR")
    gpu.state.blend_set("ALPHA")
    shader.bind()
    shader.uniform_float("color", colour)
    batch_for_shader(shader, "TRIS", {"pos": corners}).draw(shader)
    gpu.state.blend_set("NONE")


def draw_rectangle(edges: tuple[float, float, float, float], colour: Colour) -> None:
    """Left, lower, right and upper edge"""
    left, lower, right, upper = edges
    corners = [(left, lower), (right, lower), (right, upper), (left, lower), (right, upper), (left, upper)]
    draw_triangles(corners, colour)


def label_width(context: bpy.types.Context, text: str) -> float:
    """Pixels that a label with this text takes in panels. In a window only"""
    points: float = context.preferences.ui_styles[0].widget.points
    return text_size(text, points * context.preferences.system.ui_scale)[0]


def text_size(text: str, size: float) -> Point:
    """Width and height in pixels"""
    import blf

    _set_size(size)
    return blf.dimensions(0, text)


def draw_words(text: str, place: Point, size: float, colour: Colour) -> None:
    """place: of its lower left corner"""
    import blf

    _set_size(size)
    blf.color(0, *colour)
    blf.position(0, *place, 0)
    blf.draw(0, text)


def _set_size(size: float) -> None:
    import blf

    if BEFORE_4_0:
        blf.size(0, size, 72)  # type: ignore[call-arg]
    else:
        blf.size(0, size)


# ---------------------------------------------------------------- nodes


@dataclass(frozen=True)
class Mix:
    """The sockets of a node that mixes two colours."""

    factor: bpy.types.NodeSocket
    a: bpy.types.NodeSocket
    b: bpy.types.NodeSocket
    result: bpy.types.NodeSocket


def new_mix(tree: bpy.types.NodeTree, blend: str) -> Mix:
    """A colour mix node. The compositor of 4.x has one of its own; everywhere else it is the shader node."""
    if tree.bl_idname == "CompositorNodeTree" and BEFORE_5_0:
        node: Any = tree.nodes.new("CompositorNodeMixRGB")
        node.blend_type = blend
        return Mix(node.inputs[0], node.inputs[1], node.inputs[2], node.outputs[0])
    node = tree.nodes.new("ShaderNodeMix")
    node.data_type, node.blend_type = "RGBA", blend
    by_name = {socket.identifier: socket for socket in (*node.inputs, *node.outputs)}
    return Mix(by_name["Factor_Float"], by_name["A_Color"], by_name["B_Color"], by_name["Result_Color"])


def new_colour_node(tree: bpy.types.NodeTree, kind: str) -> Any:
    """A Math, ValToRGB (colour ramp), Gamma or SeparateColor node. Since 5.0 the compositor has all but the last from
    shaders."""
    shared = tree.bl_idname == "ShaderNodeTree" or (not BEFORE_5_0 and kind != "SeparateColor")
    return tree.nodes.new(f"{'ShaderNode' if shared else 'CompositorNode'}{kind}")


def has_group_socket(tree: bpy.types.NodeTree, name: str) -> bool:
    """Is there an input of that name on the outside of a node group?"""
    return name in (tree.inputs if BEFORE_4_0 else tree.interface.items_tree)


def new_group_socket(tree: bpy.types.NodeTree, name: str, kind: str, output: bool = False) -> Any:
    """A socket on the outside of a node group."""
    if BEFORE_4_0:
        return (tree.outputs if output else tree.inputs).new(kind, name)
    return tree.interface.new_socket(name, in_out="OUTPUT" if output else "INPUT", socket_type=kind)


def compositor(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The scene's compositor tree; made, with the render shown unchanged, where there is none."""
    if BEFORE_5_0:
        if not scene.use_nodes:
            scene.use_nodes = True
        return scene.node_tree
    if scene.compositing_node_group is None:
        scene.compositing_node_group = _plain_compositor()
    return scene.compositing_node_group


def compositor_there(scene: bpy.types.Scene) -> bpy.types.NodeTree | None:
    """The scene's compositor tree, if it has one that is used."""
    if BEFORE_5_0:
        return scene.node_tree if scene.use_nodes else None
    return scene.compositing_node_group


def new_compositor(scene: bpy.types.Scene) -> tuple[bpy.types.NodeTree, bpy.types.NodeSocket]:
    """An empty compositor tree for a scene of ours, and the socket that what it shows goes into. Since 5.0 the tree is
    a datablock of its own, which outlives the scene."""
    if BEFORE_5_0:
        scene.use_nodes = True
        scene.node_tree.nodes.clear()
        return scene.node_tree, scene.node_tree.nodes.new("CompositorNodeComposite").inputs["Image"]
    tree = bpy.data.node_groups.new(scene.name, "CompositorNodeTree")
    new_group_socket(tree, "Image", "NodeSocketColor", output=True)
    scene.compositing_node_group = tree
    return tree, tree.nodes.new("NodeGroupOutput").inputs["Image"]


def remove_scene(scene: bpy.types.Scene) -> None:
    """A scene of ours, with the compositor that `new_compositor` made."""
    tree = None if BEFORE_5_0 else scene.compositing_node_group
    bpy.data.scenes.remove(scene)
    if tree is not None:
        bpy.data.node_groups.remove(tree)


def _plain_compositor() -> bpy.types.NodeTree:
    tree = bpy.data.node_groups.new("Compositing Nodes", "CompositorNodeTree")
    new_group_socket(tree, "Image", "NodeSocketColor", output=True)
    render, end = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("NodeGroupOutput")
    end.location.x = 600
    tree.links.new(render.outputs["Image"], end.inputs["Image"])
    return tree


# ---------------------------------------------------------------- rendering


def write_multilayer(settings: bpy.types.ImageFormatSettings) -> None:
    """Chooses multilayer EXR. Since 5.0 the kind of media has to be chosen before the format."""
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER"


def can_write_movies() -> bool:
    """Some distributions build Blender without FFmpeg."""
    return bool(bpy.app.ffmpeg.supported)


def write_movie(settings: bpy.types.ImageFormatSettings, ffmpeg: bpy.types.FFmpegSettings) -> None:
    """Chooses an MP4 that plays everywhere."""
    if hasattr(settings, "media_type"):
        settings.media_type = "VIDEO"
    settings.file_format = "FFMPEG"
    settings.color_mode = "RGB"
    if hasattr(settings, "color_management"):
        settings.color_management = "FOLLOW_SCENE"
    ffmpeg.format, ffmpeg.codec, ffmpeg.audio_codec = "MPEG4", "H264", "NONE"
    ffmpeg.constant_rate_factor, ffmpeg.ffmpeg_preset = "HIGH", "GOOD"


def write_view(settings: bpy.types.ImageFormatSettings) -> None:
    """Chooses 16-bit RGB PNG as the scene's own view transform shows it, whatever files are given otherwise."""
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format = "PNG"
    settings.color_mode, settings.color_depth, settings.compression = "RGB", "16", 15
    if hasattr(settings, "color_management"):
        settings.color_management = "FOLLOW_SCENE"


def format_fields(settings: bpy.types.ImageFormatSettings) -> tuple[str, ...]:
    """What the two above may change, in the order in which it has to be put back."""
    fields = ("media_type", "file_format", "color_mode", "color_depth", "exr_codec", "compression", "color_management")
    return tuple(name for name in fields if hasattr(settings, name))
