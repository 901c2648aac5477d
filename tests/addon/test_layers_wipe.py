"""The wipe's sums, without a window; and the layers of files that it shows. docs/screenshots_inside.py drags it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender import bpy, new_image, pixels_of


def test_the_line_is_where_the_mouse_is(addon: Any) -> None:
    share_at, column_of = addon.wiping.share_at, addon.wiping.column_of
    assert share_at(150, 100, 300) == 0.25
    assert share_at(50, 100, 300) == 0 and share_at(900, 100, 300) == 1
    assert share_at(5, 7, 7) == 0.5, "a picture that is not to be seen"
    assert [column_of(share, 10) for share in (0, 0.26, 0.5, 1)] == [0, 3, 5, 10]


def test_left_of_the_line_is_the_one_right_of_it_the_other(addon: Any) -> None:
    left, right = (np.full((3, 8, 4), value, np.float32) for value in (0, 1))
    sheet, before = right.copy(), 0
    for column in (5, 2, 8, 0, 3):
        addon.wiping.move_line(sheet, (left, right), before, column)
        before = column
        assert (sheet[:, :column] == 0).all() and (sheet[:, column:] == 1).all()


@pytest.mark.parametrize("factor", [1 / 3, 0.5, 2, 3])
def test_what_is_shown_stays_where_it_is(addon: Any, factor: float) -> None:
    """Blender draws the middle of a picture at centre - offset * zoom, and cuts the offset to whole pixels when it
    zooms."""
    centre, zoom, offset = (400.0, 300.0), 0.375, (120.0, -77.0)
    middle = tuple(c - zoom * place for c, place in zip(centre, offset, strict=True))
    assert addon.wiping.offset_of(centre, middle, zoom) == pytest.approx(offset)
    new_zoom, pan = addon.wiping.zoomed(zoom, offset, factor)
    after = [c - new_zoom * (int(place) + more) for c, place, more in zip(centre, offset, pan, strict=True)]
    assert after == pytest.approx(middle)
    width = 1000
    assert new_zoom * width * factor == pytest.approx(zoom * width), "as large as before"


def test_large_pictures_are_shown_by_every_so_many_pixels(addon: Any) -> None:
    step_of = addon.wiping.step_of
    assert step_of(1920, 1000) == 1 and step_of(4096, 4096) == 3
    assert (4096 / step_of(4096, 4096)) ** 2 <= addon.wiping.MOST


@pytest.mark.parametrize("is_float", [False, True])
def test_the_picture_looks_as_its_result_does(addon: Any, styles: Any, is_float: bool) -> None:
    new_image(is_float=is_float)
    styles.style = "Brush"
    bpy.ops.pentimento.stylize_image(image="Stone")
    result = bpy.data.images["Stone (Brush)"]
    result.use_view_as_render = True
    pixels = addon.wiping._pixels(result, 1)
    display = addon.wiping._new_display(result, pixels, "Stone")
    assert display.source == "FILE", "others Blender never takes through the view transform"
    display.pixels.foreach_set(pixels.ravel())
    display.update()
    assert np.allclose(pixels_of(display)[..., :3], pixels_of(result)[..., :3], atol=1e-6)
    assert display.use_view_as_render and display.is_float == result.is_float
    assert display.colorspace_settings.name == result.colorspace_settings.name
    assert not display.use_fake_user
    found = addon.layering.stack_of(bpy.data.images["Stone"], bpy.context.scene)
    assert display.name not in [listed.image for listed in found.layers], "it is no layer"


def test_nothing_to_compare_is_said(addon: Any, styles: Any) -> None:
    new_image()
    found = addon.layering.stack_of(bpy.data.images["Stone"], bpy.context.scene)
    with pytest.raises(addon.engine_client.EngineError, match="nothing to compare"):
        addon.jobs.finish(addon.wiping.begin(bpy.context, found, found.layers[0]))
    assert addon.wiping.wipe is None
    addon.wiping.end()


# ---------------------------------------------------------------- layers of files


def test_layers_are_read_as_the_library_reads_them(addon: Any, tmp_path: Path) -> None:
    from engine.exr import ExrLayer, write_exr

    random = np.random.default_rng(3)
    planes = {
        "ViewLayer.Combined": random.random((37, 53, 4)).astype(np.float16),
        "ViewLayer.Attribution Scale": (random.random((37, 53, 3)) - 0.5).astype(np.float32),
        "ViewLayer.Depth": np.full((37, 53, 1), 1e10, np.float32),
    }
    names = {"ViewLayer.Attribution Scale": ("colour", "form", "stroke"), "ViewLayer.Depth": ("Z",)}
    layers = [
        ExrLayer(name, {channel: pixels[..., i] for i, channel in enumerate(names.get(name, "RGBA"))})
        for name, pixels in planes.items()
    ]
    file = tmp_path / "a.exr"
    write_exr(file, layers, {"pentimento": '{"seed": 1}'})
    for name, pixels in planes.items():
        short = name.partition(".")[2]
        assert np.array_equal(addon.decode.layer(file, short), pixels.astype(np.float32)), name
    assert set(addon.decode.names(file)) == set(planes)
    assert addon.shots.header(file).recipe == '{"seed": 1}'
    with pytest.raises(addon.engine_client.EngineError, match="no layer Stylized"):
        addon.decode.layer(file, "Stylized")
    whole = file.read_bytes()
    for end in (10, 200, len(whole) - 300):
        file.write_bytes(whole[:end])
        with pytest.raises(addon.engine_client.EngineError):
            addon.decode.layer(file, "Attribution Scale")
        assert addon.decode.thumbnail(file, "Attribution Scale") is None
    file.write_bytes(b"no EXR at all")
    with pytest.raises(addon.engine_client.EngineError, match="cannot be read here"):
        addon.decode.names(file)
