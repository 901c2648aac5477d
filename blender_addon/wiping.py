"""Two pictures in one editor: the original left of a line, a result right of it.

The picture that is shown is an image of its own, put together again while the line moves, and gone when it is left.
So Blender shows it as it shows the two others: with their colour space, the scene's view transform, its zoom and pan.
Drawn with shaders of our own it would have to be taken through the view transform there, which no Blender lets add-ons
do for every transform (the built-in shaders know sRGB alone). Only the line and the names are drawn over it.

A picture of more than MOST pixels is shown by every so many of them, zoomed as much closer, so that it can be put
together again while somebody moves the mouse.
"""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined, arg-type, index"

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from . import compat, encode, layering, scene_io
from .engine_client import EngineError

Floats = NDArray[np.float32]
COMPARED = "Compared"
"""What the picture's property `scene_io.ROLE` says"""
MOST = 2_000_000
"""Pixels that can be put together again while somebody waits"""
LINE, HANDLE, MARGIN = 1.0, 7.0, 10.0
"""Half the width of the line, of its handle, and room around names, in pixels of an interface of size 1"""
HELP = "Drag: move the line. Wheel, middle mouse button: zoom, pan. Enter, Esc: leave it"
LIGHT, DARK = (1.0, 1.0, 1.0, 0.9), (0.0, 0.0, 0.0, 0.5)


@dataclass(eq=False)
class Wipe:
    """Two pictures that are being compared. Names where undo could replace what is meant."""

    window: Any
    area: Any
    display: str
    """The image that is shown"""
    before: str
    """The image that was shown before"""
    loaded: tuple[str, ...]
    """Images of file layers that were loaded for this"""
    pictures: tuple[Floats, Floats] = field(repr=False)
    """(h, w, 4) bottom row first: what is left of the line, and right of it"""
    sheet: Floats = field(repr=False)
    """What is shown: of both"""
    names: tuple[str, str]
    step: int
    """Every how many pixels are shown"""
    drawn: Any = None
    """The handler that draws the line"""
    is_dragged: bool = False
    seen: int = 0
    """The column that the line is at in the sheet"""
    wanted: float = 0.5
    """Where it is to be, 0..1"""


wipe: Wipe | None = None
"""The one that is at work"""


# ---------------------------------------------------------------- where things are


def share_at(x: float, left: float, right: float) -> float:
    """Where a place of a region lies in a picture that goes from left to right there: 0..1"""
    return min(max((x - left) / (right - left), 0.0), 1.0) if right > left else 0.5


def column_of(share: float, width: int) -> int:
    """The first column right of the line"""
    return round(share * width)


def move_line(sheet: Floats, pictures: tuple[Floats, Floats], before: int, after: int) -> None:
    """Puts the columns between two places of the line into the sheet, and no others."""
    source = pictures[0] if after > before else pictures[1]
    columns = slice(min(before, after), max(before, after))
    sheet[:, columns] = source[:, columns]


def step_of(width: int, height: int) -> int:
    return max(1, math.ceil(math.sqrt(width * height / MOST)))


def zoomed(zoom: float, offset: tuple[float, float], factor: float) -> tuple[float, tuple[float, float]]:
    """How an editor is to show a picture with `factor` times as many pixels to each side, so that everything stays
    where it is: its new zoom, and by how much its offset has to be moved after that. offset: in pixels of the picture;
    Blender cuts it to whole ones when it zooms."""
    there = tuple(place * factor - math.trunc(place) for place in offset)
    return zoom / factor, (there[0], there[1])


def offset_of(centre: tuple[float, float], middle: tuple[float, float], zoom: float) -> tuple[float, float]:
    """How far an editor is panned, in pixels of the picture. centre: of the region; middle: where the middle of the
    picture is in it."""
    return (centre[0] - middle[0]) / zoom, (centre[1] - middle[1]) / zoom


# ---------------------------------------------------------------- from the button to the key


def begin(context: bpy.types.Context, stack: layering.Stack, listed: layering.Listed) -> scene_io.Work:
    """Layers of files are read first. Raises EngineError where there are no two pictures to compare."""
    global wipe
    original = next((other for other in stack.layers if other.kind == "ORIGINAL"), None)
    if original is None or listed.kind != "RESULT":
        raise EngineError("There is nothing to compare.", "Choose a result whose original is still there.")
    window, area, scene, known = context.window, context.area, context.scene, set(bpy.data.images.keys())
    first = (yield from layering.picture_of(original, scene)).name
    second = yield from layering.picture_of(listed, scene)
    images = [scene_io.find_image(first), second]
    for image in images:
        scene_io.check(image)
    if images[0].size[:] != images[1].size[:]:
        raise EngineError("The original has another size now than the result.", "Stylize it again.")
    step = step_of(*images[1].size[:])
    pictures = (_pixels(images[0], step), _pixels(images[1], step))
    display = _new_display(images[1], pictures[1], stack.image)
    loaded = tuple({image.name for image in images} - known)
    shown = area.spaces.active.image
    before = shown.name if shown else stack.image
    names = (original.label, listed.label)
    wipe = Wipe(window, area, display.name, before, loaded, pictures, pictures[1].copy(), names, step)
    _show(wipe, display, 1 / step)
    _fill(wipe, display)
    draw_again(wipe)
    wipe.area.header_text_set(HELP)
    wipe.drawn = bpy.types.SpaceImageEditor.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")
    return ""


def _pixels(image: bpy.types.Image, step: int) -> Floats:
    """(h, w, 4), whatever the image has"""
    rows = scene_io.rows_of(image)[step // 2 :: step, step // 2 :: step]
    if rows.shape[2] == 4:
        return np.ascontiguousarray(rows)
    whole = np.ones((*rows.shape[:2], 4), np.float32)
    whole[..., :3] = rows[..., : min(rows.shape[2], 3)] if rows.shape[2] >= 3 else rows[..., :1]
    return whole


def _new_display(like: bpy.types.Image, pixels: Floats, original: str) -> bpy.types.Image:
    """Everything that decides how Blender shows pixels is as with the result. A packed file of that size, for those of
    an image without one Blender never takes through the view transform."""
    height, width = pixels.shape[:2]
    blank = encode.blank_exr(height, width) if like.is_float else encode.png(np.zeros((height, width, 4), np.uint8))
    file = scene_io.Encoded(blank, like.is_float, has_alpha=True)
    image = scene_io.empty_image(
        scene_io.named(original, f" {COMPARED}"), file, is_data=like.colorspace_settings.is_data
    )
    image.use_fake_user = False
    image[scene_io.ROLE], image[scene_io.SOURCE] = COMPARED, original
    if not like.is_float:
        image.colorspace_settings.name = like.colorspace_settings.name
    image.alpha_mode, image.use_view_as_render = like.alpha_mode, like.use_view_as_render
    scene_io.fill_image(image, file)
    return image


def end() -> None:
    """The editor shows what it showed, and nothing is left."""
    global wipe
    if wipe is None:
        return
    ended, wipe = wipe, None
    bpy.types.SpaceImageEditor.draw_handler_remove(ended.drawn, "WINDOW")
    display, before = bpy.data.images.get(ended.display), bpy.data.images.get(ended.before)
    if _is_open(ended):
        ended.area.header_text_set(None)
    if _is_open(ended) and before is not None and _space(ended).image == display:
        _show(ended, before, ended.step)
    for name in (ended.display, *ended.loaded):
        image = bpy.data.images.get(name)
        if image is not None and (image == display or image.users == 0):
            bpy.data.images.remove(image)


def is_there(ended: Wipe, _context: bpy.types.Context) -> bool:
    """Does its editor still show it?"""
    return _is_open(ended) and ended.display in bpy.data.images and _space(ended).image is not None


def _is_open(ended: Wipe) -> bool:
    windows = bpy.context.window_manager.windows
    areas = [area for window in windows for area in window.screen.areas]
    return ended.area in areas and ended.area.type == "IMAGE_EDITOR"


def _space(ended: Wipe) -> Any:
    return ended.area.spaces.active


def _region(area: Any) -> Any:
    return next(region for region in area.regions if region.type == "WINDOW")


def _show(shown: Wipe, image: bpy.types.Image, factor: float) -> None:
    """Another picture, with `factor` times the pixels, in the place of the one before."""
    space, region = _space(shown), _region(shown.area)
    zoom, middle = space.zoom[0], region.view2d.view_to_region(0.5, 0.5, clip=False)
    space.image = image
    if factor == 1:
        return
    offset = offset_of((region.width / 2, region.height / 2), middle, zoom)
    new_zoom, pan = zoomed(zoom, offset, factor)
    with bpy.context.temp_override(window=shown.window, area=shown.area, region=region):
        bpy.ops.image.view_zoom_ratio(ratio=new_zoom)
        bpy.ops.image.view_pan(offset=pan)


# ---------------------------------------------------------------- while it moves


def is_over(moved: Wipe, x: int, y: int) -> bool:
    """Is a place of the window over the picture's region, and not over a sidebar that lies on it?"""
    under = [
        region.type
        for region in moved.area.regions
        if region.x <= x < region.x + region.width and region.y <= y < region.y + region.height
    ]
    return under == ["WINDOW"]


def move(moved: Wipe, x: int) -> None:
    """The line is wanted at this place of the window. Of several moves that Blender had no time for it tells the last
    one, so the picture may be put together here."""
    region = _region(moved.area)
    left, right = _edges(region)[:2]
    moved.wanted = share_at(x - region.x, left, right)
    draw_again(moved)
    region.tag_redraw()


def _edges(region: Any) -> tuple[float, float, float, float]:
    """Where the picture is in its region: left, right, lower, upper"""
    left, lower = region.view2d.view_to_region(0.0, 0.0, clip=False)
    right, upper = region.view2d.view_to_region(1.0, 1.0, clip=False)
    return left, right, lower, upper


def draw_again(moved: Wipe) -> None:
    """The picture, where the line has moved since."""
    display, column = bpy.data.images.get(moved.display), column_of(moved.wanted, moved.sheet.shape[1])
    if display is None or column == moved.seen:
        return
    move_line(moved.sheet, moved.pictures, moved.seen, column)
    moved.seen = column
    _fill(moved, display)


def _fill(moved: Wipe, display: bpy.types.Image) -> None:
    display.pixels.foreach_set(moved.sheet.ravel())
    display.update()


def _draw() -> None:
    """The line, its handle and the names, in the editor of the wipe alone."""
    if wipe is None or bpy.context.area != wipe.area:
        return
    region, scale = bpy.context.region, bpy.context.preferences.system.ui_scale
    left, right, lower, upper = _edges(region)
    x = left + wipe.wanted * (right - left)
    lower, upper = max(lower, 0), min(upper, region.height)
    middle = (lower + upper) / 2
    compat.draw_rectangle((x - 2 * LINE * scale, lower, x + 2 * LINE * scale, upper), DARK)
    compat.draw_rectangle((x - LINE * scale, lower, x + LINE * scale, upper), LIGHT)
    reach = HANDLE * scale
    compat.draw_triangles(
        [(x + side * far * reach, middle + up * reach) for side in (-1, 1) for far, up in ((2.2, 0), (1, 1), (1, -1))],
        LIGHT,
    )
    _draw_names(x, min(upper, region.height - _hidden(region)) - MARGIN * scale, scale, max(left, 0), right)


def _hidden(region: Any) -> float:
    """What a header lies over the upper end of the picture"""
    headers = ("HEADER", "TOOL_HEADER")
    return sum(other.height for other in wipe.area.regions if other.type in headers and other.y > region.y + 50)


def _draw_names(x: float, y: float, scale: float, left: float, right: float) -> None:
    """To each side of the line what is there, where there is room"""
    height = compat.text_size("Äg", 12 * scale)[1]  # the same for both, whichever letters they have
    for name, place in zip(wipe.names, ("left", "right"), strict=True):
        width = compat.text_size(name, 12 * scale)[0]
        start = x - MARGIN * scale - width if place == "left" else x + MARGIN * scale
        if start >= left and start + width <= right:
            pad = 4 * scale
            box = (start - pad, y - height - 2 * pad, start + width + pad, y)
            compat.draw_rectangle(box, DARK)
            compat.draw_words(name, (start, y - 0.75 * height - pad), 12 * scale, LIGHT)
