"""The layers of a picture as Blender has them: which there are, which of them show, what they mean.

A picture is an image of the artist's, or the file of a painted render, or the frames of a shot. Its layers are images
that name it as their source, and the layers of its file. Nothing is kept of them anywhere else: what is listed is read
off the datablocks and off headers whenever a panel is drawn, so that it is saved with the file and goes with an undo.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined, arg-type, index, operator"

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import bpy

from . import compat, decode, encode, explaining, scene_io, shots
from .engine_client import EngineError, looks, protocol

Kind = Literal["ORIGINAL", "RESULT", "OVERLAY"]

KEPT = "pentimento_kept"
"""Custom property of a group: what its mixes were before a layer was hidden, by socket"""
LOADED = "pentimento_loaded"
"""Custom property of an image that shows one layer of a file: which, and of when the file was"""
MASK = "pentimento_mask"
"""Custom property of a mask: the overlay that it was made of"""
REMEMBERED = 12
"""Results in the history: as many as can be looked over"""


@dataclass(frozen=True)
class Listed:
    """A layer as the list shows it. Names, not references: undo replaces what those point at."""

    image: str
    """The datablock that it is, or in whose file it is"""
    layer: str
    """Its name in that file; empty where it is an image of its own"""
    kind: Kind
    label: str


@dataclass(frozen=True)
class Stack:
    """A picture with its layers."""

    kind: Literal["IMAGE", "RENDER", "SEQUENCE"]
    image: str
    """The original, or the image that stands for the file"""
    layers: tuple[Listed, ...]
    """The original, results, overlays; each kind in the order in which they came"""

    def find(self, image: str, layer: str) -> Listed | None:
        return next((listed for listed in self.layers if (listed.image, listed.layer) == (image, layer)), None)


# ---------------------------------------------------------------- which there are


def stack_of(image: bpy.types.Image | None, scene: bpy.types.Scene) -> Stack | None:
    """The layers of what an editor shows: a layer stands for its picture, Blender's render for the painting that the
    compositor shows. None where there is no picture."""
    if image is not None and image.type in scene_io.RENDERS:
        image = painting_in_compositor(scene)
    if image is None:
        return None
    name = str(image.get(scene_io.SOURCE, "")) or image.name
    original = bpy.data.images.get(name)
    beside = _beside(name)
    if original is not None and (file := file_of(original, scene)) and (inside := _inside(original, file)):
        kind: Literal["RENDER", "SEQUENCE"] = "SEQUENCE" if original.get(scene_io.SEQUENCE) else "RENDER"
        return Stack(kind, name, (*inside, *beside))
    first: list[Listed] = [Listed(name, "", "ORIGINAL", name)] if original is not None else []
    return Stack("IMAGE", name, (*first, *beside))


def painting_in_compositor(scene: bpy.types.Scene) -> bpy.types.Image | None:
    """What the compositor shows of ours"""
    for group in scene_io.groups_of(compat.compositor_there(scene)):
        for link in group.inputs["Stylized"].links:
            if getattr(link.from_node, "image", None) is not None:
                return link.from_node.image
    return None


def _beside(name: str) -> list[Listed]:
    """Images that were made of the one of that name: results, then overlays."""
    found = [image for image in bpy.data.images if image.get(scene_io.SOURCE) == name and _is_layer(image)]
    found.sort(key=lambda image: (scene_io.OVERLAY in image, float(image.get(scene_io.MADE, 0.0)), image.name))
    return [
        Listed(image.name, "", "OVERLAY" if scene_io.OVERLAY in image else "RESULT", _label(image.name, name))
        for image in found
    ]


def _is_layer(image: bpy.types.Image) -> bool:
    """Pictures that only display others are none, nor are relief maps: in the place of colours they would be wrong"""
    return not any(name in image for name in (scene_io.ROLE, scene_io.RELIEF, LOADED))


def _label(name: str, original: str) -> str:
    """What tells a layer from the others, of `Stone (Brush).001` and `Stone Attribution.Scale`; all of it where the
    artist has renamed it."""
    rest = name.removeprefix(original).strip()
    if rest == name or not rest:
        return name
    if rest.startswith("("):
        style, _, number = rest[1:].rpartition(")")
        return style + number
    return rest.removeprefix("Attribution.")


def file_of(image: bpy.types.Image, scene: bpy.types.Scene) -> Path | None:
    """The EXR with the layers of an image; of a sequence that of the scene's frame, else its first."""
    if image.source not in ("FILE", "SEQUENCE") or image.packed_file is not None:
        return None
    path = Path(bpy.path.abspath(image.filepath))
    if path.suffix.lower() != ".exr":
        return None
    if image.source == "SEQUENCE" and (now := _frame_beside(path, scene.frame_current)).is_file():
        return now
    return path if path.is_file() else None


def _frame_beside(path: Path, number: int) -> Path:
    """walk_0001.exr, 8 -> walk_0008.exr"""
    stem = path.stem.rstrip("0123456789")
    return path.with_name(f"{stem}{number:0{len(path.stem) - len(stem)}d}{path.suffix}")


def _inside(image: bpy.types.Image, file: Path) -> list[Listed]:
    """The layers of a file of ours; none of another one. No pixel is decoded."""
    try:
        passes = header(file).passes
    except EngineError:
        return []
    ours = sorted((name for name in passes if name.startswith(("Stylized", "Attribution "))), key=_place)
    if not ours:
        return []
    first = Listed(image.name, "Combined" if "Combined" in passes else "", "ORIGINAL", "Render")
    return [first, *(_listed_inside(image.name, name, _styles_in(file)) for name in ours)]


def _place(name: str) -> tuple[bool, str]:
    return not name.startswith("Stylized"), name


def _listed_inside(image: str, name: str, style: str) -> Listed:
    if name.startswith("Attribution "):
        return Listed(image, name, "OVERLAY", name.removeprefix("Attribution ").replace(" ", "."))
    return Listed(image, name, "RESULT", style + name.removeprefix("Stylized") or name)


def _styles_in(file: Path) -> str:
    """What a result is called in a list"""
    return ", ".join(
        dict.fromkeys(str(style.get("name", "")) for style in _json(header(file).recipe).get("styles", ()))
    )


def header(file: Path) -> shots.Header:
    with scene_io.artist_words(f"{file.name} cannot be read"):
        return _header(str(file), file.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _header(file: str, _changed: int) -> shots.Header:
    """Remembered, because a panel asks whenever it is drawn."""
    return shots.header(Path(file))


def _json(text: str) -> dict[str, Any]:
    """Empty where somebody edited it."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# ---------------------------------------------------------------- what one is


def recipe_of(listed: Listed, scene: bpy.types.Scene) -> dict[str, Any]:
    """What made a layer; empty where nobody knows."""
    image = bpy.data.images.get(listed.image)
    if image is None or (listed.kind == "ORIGINAL" and listed.layer):
        return {}
    file = file_of(image, scene) if listed.layer else None
    try:
        return _json(header(file).recipe if file else str(image.get(scene_io.RECIPE, "")))
    except EngineError:
        return {}


def told(listed: Listed, scene: bpy.types.Scene) -> explaining.Told | None:
    """What an overlay says; None of other layers."""
    image = bpy.data.images.get(listed.image)
    if image is None or listed.kind != "OVERLAY":
        return None
    if not listed.layer:
        return explaining.told(image)
    file = file_of(image, scene)
    try:
        return _told(listed, _json(header(file).meanings)) if file else None
    except EngineError:
        return None


def _told(listed: Listed, meanings: dict[str, Any]) -> explaining.Told | None:
    """As a file's header tells. A layer of a file that was painted twice is `Attribution Scale 2`."""
    named = {name.replace(".", " "): meaning for name, meaning in meanings.items()}
    meaning = named.get(listed.layer) or named.get(listed.layer.rstrip("0123456789").rstrip())
    try:
        low, high = meaning["display"]
        alone = meaning.get("alone_gone", {})
        return explaining.Told(
            listed.image,
            listed.label,
            tuple(meaning["channels"]),
            str(meaning["sentence"]),
            str(meaning["unit"]),
            (float(low), float(high)),
            tuple(protocol.Bar(name, value, alone.get(name)) for name, value in meaning["bars"].items()),
            tuple(protocol.Check(*check) for check in meaning["checks"]),
            about="",
            answer=0,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def kind_of(found: explaining.Told) -> looks.Kind:
    return looks.kind_of(found.channels, found.display)


# ---------------------------------------------------------------- where they show


@dataclass(frozen=True, eq=False)
class Wired:
    """A node group of ours behind a picture. For the moment only: it holds references."""

    owner: str
    """The material or the scene"""
    tree: Any
    group: Any

    def mix(self, kind: Kind) -> Any:
        """The socket that says how much of such a layer shows"""
        return self.group.inputs[scene_io.MIXES[SOCKETS[kind]]]


SOCKETS: dict[Kind, str] = {"RESULT": "Stylized", "OVERLAY": "Overlay"}


def wired(stack: Stack, scene: bpy.types.Scene) -> list[Wired]:
    """Every group behind the picture: in materials, or in the scene's compositor."""
    if stack.kind != "IMAGE":
        tree = compat.compositor_there(scene)
        return [Wired(scene.name, tree, group) for group in scene_io.groups_of(tree)]
    found = [place for place in _in_materials() if _original_of(place.group) == stack.image]
    return sorted(found, key=lambda place: place.owner)


def _in_materials() -> Iterator[Wired]:
    """Every group in materials of the artist's. Panels ask whenever they are drawn: the active material is looked at
    first, and none any more once there are as many as our groups have users."""
    ours = [tree for tree in bpy.data.node_groups if tree.bl_idname == "ShaderNodeTree" and scene_io.is_group(tree)]
    left = sum(tree.users - tree.use_fake_user for tree in ours)
    first = bpy.data.materials.get(scene_io.active_material(bpy.context))
    for owner in (*filter(None, [first]), *(other for other in bpy.data.materials if other != first)):
        if left <= 0:
            return
        groups = scene_io.groups_of(owner.node_tree)
        left -= len(groups)
        if owner.library is None:
            yield from (Wired(owner.name, owner.node_tree, group) for group in groups)


def _original_of(group: bpy.types.Node) -> str:
    return next((_image_of(link) for link in group.inputs["Original"].links), "")


def _image_of(link: bpy.types.NodeLink) -> str:
    image = getattr(link.from_node, "image", None)
    return image.name if image is not None else ""


def feeds(listed: Listed, place: Wired) -> bool:
    """Is it this layer that the group is fed?"""
    socket = SOCKETS.get(listed.kind)
    if socket is None:
        return False
    return any(
        _image_of(link) == listed.image and _is_output(link.from_socket.name, listed.layer)
        for link in place.group.inputs[socket].links
    )


def _is_output(output: str, layer: str) -> bool:
    """The output of an image node for a layer; in an EXR a dot separates layer and channel, and may be a space there.
    In a file without view layers the layer is the node's and the output is Combined."""
    return not layer or output.replace(" ", ".") == layer.replace(" ", ".") or output == "Combined"


def shows(listed: Listed, places: list[Wired]) -> bool:
    """Does it show anywhere? The original does where nothing lies over it."""
    if listed.kind == "ORIGINAL":
        return all(place.mix(kind).default_value == 0 for place in places for kind in SOCKETS)
    return any(feeds(listed, place) and place.mix(listed.kind).default_value > 0 for place in places)


def why_not(stack: Stack, listed: Listed, places: list[Wired], material: str) -> str:
    """Why there is nothing to hide or show; empty where there is."""
    if places or (listed.kind == "RESULT" and (stack.kind != "IMAGE" or _can_wire(stack, material))):
        return ""
    where = "the compositor shows no painting" if stack.kind != "IMAGE" else f"no material has layers of {stack.image}"
    return f"Nothing to show it in: {where}"


def _can_wire(stack: Stack, material: str) -> bool:
    owner = bpy.data.materials.get(material)
    tree = owner.node_tree if owner is not None and owner.library is None else None
    return tree is not None and any(
        node.type == "TEX_IMAGE" and node.image is not None and node.image.name == stack.image
        for node in tree.nodes
        if not node.get(scene_io.ROLE)
    )


def toggle(stack: Stack, listed: Listed, scene: bpy.types.Scene, material: str) -> None:
    """Hides a layer that shows, shows one that does not. How much of it showed before is remembered."""
    places = wired(stack, scene)
    if listed.kind == "ORIGINAL":
        _toggle_original(places, shows(listed, places))
    elif shows(listed, places):
        for place in places:
            _hide(place, listed.kind)
    elif places:
        for place in places:
            _show(stack, listed, place, scene)
    else:
        _wire(stack, listed, scene, material)


def _toggle_original(places: list[Wired], alone: bool) -> None:
    for place in places:
        for kind in SOCKETS:
            if alone:
                _unhide(place, kind, usual=1.0 if kind == "RESULT" else 0.0)
            else:
                _hide(place, kind)


def _hide(place: Wired, kind: Kind) -> None:
    socket = place.mix(kind)
    place.group[f"{KEPT}_{SOCKETS[kind]}"] = socket.default_value
    socket.default_value = 0.0


def _unhide(place: Wired, kind: Kind, usual: float = 1.0) -> None:
    socket = place.mix(kind)
    if socket.default_value == 0:
        socket.default_value = float(place.group.get(f"{KEPT}_{SOCKETS[kind]}", 0.0)) or usual


def _show(stack: Stack, listed: Listed, place: Wired, scene: bpy.types.Scene) -> None:
    if not feeds(listed, place) and (problem := _feed(listed, place, scene)):
        raise EngineError(problem, "Choose another layer.")
    _unhide(place, listed.kind)


def _feed(listed: Listed, place: Wired, scene: bpy.types.Scene) -> str:
    """Into the group. Returns what went wrong."""
    image, found = scene_io.find_image(listed.image), told(listed, scene)
    if listed.layer:
        names = (listed.layer, f"{listed.layer}.Combined")
        problem = scene_io.show_file_layer(place.tree, place.group, SOCKETS[listed.kind], image, names)
        if found and not problem:
            scene_io.set_range(place.group, found.display, kind_of(found))
        return problem
    layer = scene_io.Overlay(image, found.display, kind_of(found)) if found else image
    if place.tree.bl_idname == "ShaderNodeTree":
        scene_io.show_texture(place.tree, place.group, layer)
    elif isinstance(layer, scene_io.Overlay):
        scene_io.show_overlay_image(place.tree, place.group, layer)
    return "" if feeds(listed, place) else f"The layers of {place.owner} cannot show {listed.label}."


def _wire(stack: Stack, listed: Listed, scene: bpy.types.Scene, material: str) -> None:
    """Where no group is yet: as Stylize does it."""
    if stack.kind == "IMAGE":
        owner, image = bpy.data.materials[material], scene_io.find_image(stack.image)
        scene_io.wire_material(owner, image, scene_io.find_image(listed.image), None)
    elif problem := scene_io.wire_compositor(scene, scene_io.find_image(listed.image), None):
        raise EngineError(problem, "Feed render layers into the compositor's output.")


# ---------------------------------------------------------------- alone in the editor


def picture_of(listed: Listed, scene: bpy.types.Scene) -> Generator[None, None, bpy.types.Image]:
    """The image that shows a layer; of a file's layer one that is loaded now, and goes when nobody looks at it."""
    image = scene_io.find_image(listed.image)
    if not listed.layer and not (listed.kind == "ORIGINAL" and file_of(image, scene) and _inside_any(image, scene)):
        return image
    file = file_of(image, scene)
    if file is None:
        raise EngineError(f"The file of {listed.image} is not there.", "Find it with File > External Data.")
    stamp = f"{listed.layer}|{file.name}|{file.stat().st_mtime_ns}"
    loaded = [other for other in bpy.data.images if other.get(scene_io.SOURCE) == image.name and other.get(LOADED)]
    there = next((other for other in loaded if other[LOADED] == stamp), None)
    return there or (yield from _load(listed, file, stamp, told(listed, scene)))


def _inside_any(image: bpy.types.Image, scene: bpy.types.Scene) -> bool:
    file = file_of(image, scene)
    return file is not None and bool(_inside(image, file))


def _load(
    listed: Listed, file: Path, stamp: str, found: explaining.Told | None
) -> Generator[None, None, bpy.types.Image]:
    pixels = yield from scene_io.in_thread(_alone, file, listed.layer)
    image = scene_io.find_image(listed.image)
    new = scene_io.empty_image(scene_io.named(image.name, f" {listed.label}"), pixels, is_data=found is not None)
    new.use_fake_user = False
    new[scene_io.SOURCE], new[LOADED] = image.name, stamp
    if found is not None:
        explaining.describe(new, found)
    new.alpha_mode = "CHANNEL_PACKED" if found is not None else "PREMUL"
    scene_io.fill_image(new, pixels)
    new.use_view_as_render = found is None
    return new


def _alone(file: Path, layer: str) -> scene_io.Encoded:
    """A layer of a file as a file of its own. In a thread: nothing of Blender's in here."""
    rows = decode.layer(file, layer)
    return scene_io.Encoded(encode.exr(rows), is_float=True, has_alpha=rows.shape[2] == 4)


def shown_in_editor(image: bpy.types.Image | None) -> tuple[str, str]:
    """Image and layer of what an Image Editor shows; of a picture that displays an overlay, that one's."""
    if image is None:
        return "", ""
    shown = bpy.data.images.get(str(image.get(explaining.SHOWN, ""))) or image
    if LOADED in shown:
        return str(shown.get(scene_io.SOURCE, "")), str(shown[LOADED]).partition("|")[0]
    return shown.name, ""


def editors(stack: Stack) -> list[Any]:
    """The Image Editors that show a layer of the picture; where none does, all there are."""
    windows = bpy.context.window_manager.windows
    spaces = [area.spaces.active for window in windows for area in window.screen.areas if area.type == "IMAGE_EDITOR"]
    return [space for space in spaces if _belongs(space.image, stack)] or spaces[:1]


def _belongs(image: bpy.types.Image | None, stack: Stack) -> bool:
    if image is None:
        return False
    if image.type in scene_io.RENDERS:
        return stack.kind != "IMAGE"
    return stack.image in (image.name, image.get(scene_io.SOURCE))


def show_alone(stack: Stack, listed: Listed, scene: bpy.types.Scene) -> scene_io.Work:
    """Shows a layer in the editors of its picture; when it is shown alone already, what they showed before."""
    chosen, spaces, name = scene.pentimento_layers, editors(stack), scene.name
    if not spaces:
        raise EngineError("No Image Editor is open.", "Open one, then show the layer there.")
    key = _key(listed)
    if chosen.solo == key and chosen.before in bpy.data.images:
        for space in spaces:
            space.image = bpy.data.images[chosen.before]
        chosen.solo = chosen.before = ""
        return ""
    if not chosen.solo or chosen.before not in bpy.data.images:
        chosen.before = spaces[0].image.name if spaces[0].image is not None else ""
    yield from _show_in_editors(stack, listed, scene)
    bpy.data.scenes[name].pentimento_layers.solo = key
    return ""


def _show_in_editors(stack: Stack, listed: Listed, scene: bpy.types.Scene) -> scene_io.Work:
    """An overlay in its colours, with its legend; anything else as it is."""
    blend = scene.pentimento_explain.blend
    image = yield from picture_of(listed, scene)
    for space in editors(stack):
        space.image = image
    if explaining.told(image) is not None:
        yield from explaining.show(image, blend)
    return ""


def is_alone(listed: Listed, context: bpy.types.Context, stack: Stack) -> bool:
    """Is it shown alone, in one of the editors of its picture?"""
    chosen = context.scene.pentimento_layers
    if chosen.solo != _key(listed):
        return False
    shown = [shown_in_editor(space.image) for space in editors(stack)]
    return (listed.image, listed.layer) in shown


def _key(listed: Listed) -> str:
    return f"{listed.image}\n{listed.layer}"


# ---------------------------------------------------------------- the one that is chosen


def choose(listed: Listed, scene: bpy.types.Scene) -> None:
    scene.pentimento_layers.active = _key(listed)


def chosen_of(stack: Stack, scene: bpy.types.Scene, image: bpy.types.Image | None) -> Listed | None:
    """The layer that the panel tells of: the chosen one, else what the editor shows, else the latest result."""
    keys = {_key(listed): listed for listed in stack.layers}
    if found := keys.get(scene.pentimento_layers.active):
        return found
    shown = stack.find(*shown_in_editor(image))
    results = [listed for listed in stack.layers if listed.kind == "RESULT"]
    if shown is not None and shown.kind != "ORIGINAL":
        return shown
    return next(iter([*results[-1:], *stack.layers]), None)


# ---------------------------------------------------------------- the history


def history() -> list[bpy.types.Image]:
    """The last results of this file, the latest first. What the artist has deleted is not among them."""
    made = [image for image in bpy.data.images if scene_io.MADE in image]
    return sorted(made, key=_made, reverse=True)[:REMEMBERED]


def _made(image: bpy.types.Image) -> float:
    made = image[scene_io.MADE]
    return float(made) if isinstance(made, (int, float)) else 0.0


def made_at(image: bpy.types.Image) -> float:
    """Seconds since 1970; 0 where somebody edited it"""
    return _made(image)


def style_of(image: bpy.types.Image, scene: bpy.types.Scene) -> str:
    """Of a result, by its recipe"""
    file = file_of(image, scene) if scene_io.RECIPE not in image else None
    try:
        recipe = _json(header(file).recipe if file else str(image.get(scene_io.RECIPE, "")))
    except EngineError:
        return ""
    styles = [*recipe.get("styles", ()), *([recipe["texture"]] if "texture" in recipe else [])]
    return ", ".join(dict.fromkeys(str(style.get("name", "")) for style in styles))


def remove(image: bpy.types.Image) -> None:
    """Takes a layer out of the .blend; a file on the disk stays. Editors show the picture again that it was made of."""
    original = bpy.data.images.get(str(image.get(scene_io.SOURCE, "")))
    scene_io.unfeed([image])
    display = [other for other in bpy.data.images if other.get(explaining.SHOWN) == image.name]
    loaded = [other for other in bpy.data.images if other.get(LOADED) and other.get(scene_io.SOURCE) == image.name]
    gone = [image, *display, *loaded]
    if original is not None:
        scene_io.show_in(lambda shown: shown in gone, original)
    for other in gone:
        bpy.data.images.remove(other)


def results(stack: Stack) -> Iterator[Listed]:
    return (listed for listed in stack.layers if listed.kind == "RESULT")
