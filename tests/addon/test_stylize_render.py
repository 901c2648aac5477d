"""Stylize Render: a multilayer EXR beside the .blend, in front of the compositor, and every setting as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender import bpy, compositor_of, layers_of, new_scene, wiring


@pytest.fixture
def shot(addon: Any, styles: Any, tmp_path: Path) -> Any:
    scene = new_scene()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return scene


def stylize(**arguments: Any) -> None:
    assert bpy.ops.pentimento.stylize_render(**arguments) == {"FINISHED"}


def results(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "pentimento").glob("*.exr") if "dentity" in path.name)


def test_the_result_has_the_passes_the_painting_and_the_overlays(shot: Any, styles: Any, tmp_path: Path) -> None:
    shot.view_layers[0].use_pass_diffuse_color = True
    shot.view_layers[0].use_pass_vector = True
    styles.overlays = {"Scale", "Removal"}
    stylize()
    (result,) = results(tmp_path)
    (source,) = (path for path in (tmp_path / "pentimento").glob("*.exr") if path != result)
    after, before = layers_of(result), layers_of(source)
    for name, pixels in before.items():
        assert np.array_equal(after[name], pixels, equal_nan=True), name
    for layer in ("Stylized", "Attribution Scale", "Attribution Removal"):
        assert any(layer in name for name in set(after) - set(before)), layer


def test_the_compositor_shows_it(shot: Any, styles: Any) -> None:
    styles.overlays = {"Scale"}
    stylize()
    links = wiring(compositor_of(shot))
    assert "Render Layers.Image -> Pentimento Layers.Original" in links
    assert "Pentimento Stylized.Stylized -> Pentimento Layers.Stylized" in links
    assert "Pentimento Overlay.Attribution Scale -> Pentimento Layers.Overlay" in links
    assert not any(link.startswith("Render Layers.Image -> ") and "Original" not in link for link in links)
    assert any(link.startswith("Pentimento Layers.Result -> ") for link in links)


def test_again_replaces_the_images_and_never_stacks(shot: Any, styles: Any, tmp_path: Path) -> None:
    styles.overlays = {"Scale"}
    stylize()
    before = wiring(compositor_of(shot))
    stylize()
    assert wiring(compositor_of(shot)) == before
    assert len(results(tmp_path)) == 2, "nothing is overwritten"
    painted = next(node for node in compositor_of(shot).nodes if node.label == "Pentimento Stylized")
    assert Path(painted.image.filepath).name == max(results(tmp_path), key=lambda path: path.stat().st_mtime).name
    assert painted.outputs["Stylized"].is_linked


def test_an_existing_compositor_stays(shot: Any, styles: Any) -> None:
    shot.use_nodes = True
    if bpy.app.version >= (5, 0, 0):
        tree = bpy.data.node_groups.new("Mine", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        shot.compositing_node_group, end = tree, tree.nodes.new("NodeGroupOutput")
    else:
        tree = shot.node_tree
        tree.nodes.clear()
        end = tree.nodes.new("CompositorNodeComposite")
    render, blur = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("CompositorNodeBlur")
    tree.links.new(render.outputs["Image"], blur.inputs["Image"])
    tree.links.new(blur.outputs["Image"], end.inputs["Image"])
    stylize()
    links = wiring(tree)
    assert "Pentimento Layers.Result -> Blur.Image" in links
    assert f"Blur.Image -> {end.name}.Image" in links
    assert compositor_of(shot) == tree


def test_rendering_through_the_group(shot: Any, styles: Any, tmp_path: Path) -> None:
    """Mix 1 gives the painting, Mix 0 the render, in what Blender writes as the composite."""
    styles.style = "Brush"
    stylize()
    (result,) = (path for path in (tmp_path / "pentimento").glob("*rush*.exr"))
    layers = layers_of(result)
    group = next(node for node in compositor_of(shot).nodes if node.label == "Pentimento Layers")
    settings = shot.render.image_settings
    for mix, layer in ((1.0, "Stylized"), (0.0, "Combined")):
        group.inputs["Mix"].default_value = mix
        settings.file_format, settings.color_depth = "OPEN_EXR", "32"
        shot.render.filepath = str(tmp_path / f"composite_{mix}.exr")
        bpy.ops.render.render(write_still=True)
        composite = layers_of(tmp_path / f"composite_{mix}.exr")
        for channel in "RGB":
            (expected,) = (pixels for name, pixels in layers.items() if name.endswith(f"{layer}.{channel}"))
            assert np.allclose(composite[channel], expected.astype(np.float32), rtol=2e-3, atol=2e-3), (layer, channel)


def test_an_overlay_is_coloured_by_the_group(shot: Any, styles: Any, tmp_path: Path, addon: Any) -> None:
    """Overlay Mix 1 gives the hues of what was changed, as much of each as its share is of the display range."""
    styles.style, styles.overlays = "Brush", {"Scale"}
    stylize()
    (result,) = (path for path in (tmp_path / "pentimento").glob("*rush*.exr"))
    group = next(node for node in compositor_of(shot).nodes if node.label == "Pentimento Layers")
    assert group.inputs["Overlay Bands"].default_value == 1
    group.inputs["Overlay Mix"].default_value = 1.0
    settings = shot.render.image_settings
    settings.file_format, settings.color_depth = "OPEN_EXR", "32"
    shot.render.filepath = str(tmp_path / "composite.exr")
    bpy.ops.render.render(write_still=True)
    composite = layers_of(tmp_path / "composite.exr")
    expected = np.stack([composite[channel] for channel in "RGB"], axis=-1)
    looks, linear = addon.engine_client.looks, addon.scene_io._linear
    colour = np.array(linear((int(255 * looks.PAPER),) * 3)[:3])
    for channel, hue in zip("RGB", looks.BANDS, strict=True):
        (plane,) = (
            pixels for name, pixels in layers_of(result).items() if name.endswith(f"Attribution Scale.{channel}")
        )
        share = np.clip(plane / 0.5, 0, 1)[..., None]
        colour = colour + share * (np.array(linear(hue)[:3]) - colour)
    assert np.allclose(expected, colour, atol=5e-3)


SETTINGS = ("filepath", "use_file_extension", "use_compositing", "use_sequencer")
FORMAT = ("file_format", "color_mode", "color_depth", "quality")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "OPEN_EXR", "OPEN_EXR_MULTILAYER"])
def test_every_setting_is_as_it_was(shot: Any, file_format: str) -> None:
    image = shot.render.image_settings
    if hasattr(image, "media_type"):
        image.media_type = "MULTI_LAYER_IMAGE" if "MULTI" in file_format else "IMAGE"
    image.file_format = file_format
    image.color_mode = "RGB"
    image.quality = 71
    shot.render.filepath, shot.render.use_compositing = "//renders/final_####", False
    before = [getattr(shot.render, name) for name in SETTINGS] + [getattr(image, name) for name in FORMAT]
    stylize()
    assert before == [getattr(shot.render, name) for name in SETTINGS] + [getattr(image, name) for name in FORMAT]


def test_settings_are_as_they_were_after_an_error_too(shot: Any, monkeypatch: pytest.MonkeyPatch, addon: Any) -> None:
    before = shot.render.filepath
    monkeypatch.setattr(addon.engine_client, "command", lambda _python: ["/nowhere/python"])
    with pytest.raises(RuntimeError, match="could not be started"):
        stylize()
    assert shot.render.filepath == before


def test_a_given_render_is_painted_without_rendering(shot: Any, tmp_path: Path) -> None:
    stylize()
    (result,) = results(tmp_path)
    (source,) = (path for path in (tmp_path / "pentimento").glob("*.exr") if path != result)
    given = source.rename(tmp_path / "given.exr")
    before = given.read_bytes()
    shot.camera = None
    stylize(filepath=str(given))
    assert any("given" in path.name for path in results(tmp_path))
    assert given.read_bytes() == before


def test_a_render_with_bare_channels_is_wired_too(shot: Any, tmp_path: Path) -> None:
    """As other programs write them: R, G, B, A and no layer names."""
    import OpenEXR

    pixels = np.random.default_rng(1).random((32, 48, 4), np.float32)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGBA": pixels}).write(str(tmp_path / "bare.exr"))
    stylize(filepath=str(tmp_path / "bare.exr"))
    assert "Pentimento Stylized.Stylized -> Pentimento Layers.Stylized" in wiring(compositor_of(shot))


def test_what_cannot_be_painted_is_refused(shot: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="There is no file"):
        stylize(filepath=str(tmp_path / "nowhere.exr"))
    broken = tmp_path / "broken.exr"
    broken.write_bytes(b"\x76\x2f\x31\x01" + b"\0" * 40)
    with pytest.raises(RuntimeError):
        stylize(filepath=str(broken))
    shot.camera = None
    with pytest.raises(RuntimeError, match="no camera"):
        stylize()


def test_a_truncated_render_is_refused_and_nothing_is_left(shot: Any, tmp_path: Path, addon: Any) -> None:
    stylize()
    (result,) = results(tmp_path)
    whole = result.read_bytes()
    broken = tmp_path / "cut.exr"
    broken.write_bytes(whole[: len(whole) // 2])
    there = set((tmp_path / "pentimento").iterdir())
    with pytest.raises(RuntimeError):
        stylize(filepath=str(broken))
    assert addon.jobs.last_report().fix
    assert set((tmp_path / "pentimento").iterdir()) == there


def test_without_a_file_of_its_own_the_result_goes_to_a_folder_of_ours(addon: Any, styles: Any) -> None:
    new_scene()
    stylize()
    assert "renders" in addon.jobs.last_report().fix


def test_undo_takes_the_wiring_away(shot: Any) -> None:
    bpy.ops.ed.undo_push(message="before")
    stylize()
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    tree = compositor_of(bpy.context.scene)
    assert tree is None or not any(node.label.startswith("Pentimento") for node in tree.nodes)
