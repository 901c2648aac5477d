"""The textures of whole materials: which are painted, what each of them is for, and the way back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender import FAKE_WORKER, bpy, new_image, pixels_of, pump
from test_panels import draw
from texture_sets import data_image, normal_map, state, surface, tile_files


def stylize() -> None:
    assert bpy.ops.pentimento.stylize_textures() == {"FINISHED"}


def painted(style: str = "Identity") -> set[str]:
    return {image.name for image in bpy.data.images if image.name.endswith(f" ({style})")}


def chosen() -> Any:
    return bpy.context.scene.pentimento_textures


def pbr_set(name: str = "Brick") -> tuple[Any, dict[str, Any]]:
    maps = {role: data_image(f"{name} {role}") for role in ("Roughness", "Metallic", "Height", "AO")}
    maps["Normal"] = normal_map(f"{name} Normal")
    return surface(name, new_image(f"{name} Color"), **maps), maps


# ---------------------------------------------------------------- what each texture is for


def test_roles_are_found_by_what_textures_reach(addon: Any, styles: Any) -> None:
    material, _ = pbr_set()
    found = {node.name: role for node, role in addon.materials.textures(material)}
    assert found == {
        "Base Color": "Base Color",
        "Roughness": "Roughness",
        "Metallic": "Metallic",
        "Height": "Height",
        "Normal": "Normal",
        "AO": "Mask",
    }
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    packed, apart = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeSeparateColor")
    packed.image = data_image("ORM")
    tree.links.new(packed.outputs["Color"], apart.inputs[0])
    tree.links.new(apart.outputs[1], shader.inputs["Roughness"])
    tree.links.new(apart.outputs[2], shader.inputs["Metallic"])
    assert addon.materials.role_of(packed) == "Metallic, Roughness"
    mask, mix = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeMix")
    mask.image, mix.data_type = new_image("Dirt Mask"), "RGBA"
    tree.links.new(mask.outputs["Color"], mix.inputs["Factor"])
    tree.links.new(mix.outputs["Result"], shader.inputs["Base Color"])
    assert addon.materials.role_of(mask) == "Mask"
    lonely = tree.nodes.new("ShaderNodeTexImage")
    lonely.image = mask.image
    assert addon.materials.role_of(lonely) == "Unused"


def test_roles_are_found_through_groups_and_an_occlusion_map_by_its_name(addon: Any, styles: Any) -> None:
    material = surface("Wall", new_image("wall_color"), AO=new_image("wall_ao"))
    assert {node.name: role for node, role in addon.materials.textures(material)} == {
        "Base Color": "Base Color",
        "AO": "Ambient Occlusion",
    }
    group = bpy.data.node_groups.new("Artist", "ShaderNodeTree")
    addon.compat.new_group_socket(group, "In", "NodeSocketColor")
    addon.compat.new_group_socket(group, "Out", "NodeSocketColor", output=True)
    start, end = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    bright = group.nodes.new("ShaderNodeBrightContrast")
    group.links.new(start.outputs[0], bright.inputs[0])
    group.links.new(bright.outputs[0], end.inputs[0])
    tree = material.node_tree
    node, texture = tree.nodes.new("ShaderNodeGroup"), tree.nodes.new("ShaderNodeTexImage")
    node.node_tree, texture.image = group, new_image("Through")
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    tree.links.new(texture.outputs["Color"], node.inputs[0])
    tree.links.new(node.outputs[0], shader.inputs["Roughness"])
    assert addon.materials.role_of(texture) == "Roughness"


def test_of_a_set_the_colours_are_painted_and_the_numbers_left_alone(addon: Any, styles: Any) -> None:
    material, maps = pbr_set()
    before = {image.name: (pixels_of(image).copy(), image.colorspace_settings.name) for image in maps.values()}
    styles.style = "Brush"
    stylize()
    assert painted("Brush") == {"Brick Color (Brush)"}
    for image in maps.values():
        assert (pixels_of(image) == before[image.name][0]).all()
        assert image.colorspace_settings.name == before[image.name][1] == "Non-Color"
    assert {node.name: node.image.name for node, _ in addon.materials.textures(material)} == {
        "Base Color": "Brick Color",
        **{role: image.name for role, image in maps.items()},
    }


# ---------------------------------------------------------------- which textures


def test_all_images_of_the_selected_objects(addon: Any, styles: Any) -> None:
    """One that several materials share is painted once and wired in each; what is not selected stays as it is."""
    shared = new_image("Shared")
    owners = [surface("One", shared), surface("Two", shared), surface("Three", new_image("Own"))]
    surface("Far", new_image("Far"))
    bpy.context.object.select_set(False)
    stylize()
    assert painted() == {"Shared (Identity)", "Own (Identity)"}
    for material in owners:
        (group,) = addon.materials.groups(material)
        assert group.inputs["Stylized"].links[0].from_node.image.name.endswith("(Identity)")
    assert not addon.materials.groups(bpy.data.materials["Far"])


def test_ticked_textures(addon: Any, styles: Any) -> None:
    pbr_set()
    chosen().scope = "SLOTS"
    assert bpy.ops.pentimento.list_textures() == {"FINISHED"}
    slots = chosen().slots
    assert {slot.image for slot in slots if slot.use} == {"Brick Color"}
    assert {slot.role for slot in slots} == {"Base Color", "Roughness", "Metallic", "Height", "Mask", "Normal"}
    for slot in slots:
        slot.use = slot.role == "Metallic"
    bpy.ops.pentimento.list_textures()
    assert {slot.image for slot in chosen().slots if slot.use} == {"Brick Metallic"}, "ticks stay"
    stylize()
    assert painted() == {"Brick Metallic (Identity)"}
    assert bpy.data.images["Brick Metallic (Identity)"].colorspace_settings.is_data


def test_greyed_with_a_reason(addon: Any, styles: Any) -> None:
    for scope, said in (
        ("SELECTED", "No selected object has a colour texture"),
        ("SLOTS", "No texture is ticked"),
        ("ACTIVE", "There is no image in view"),
    ):
        chosen().scope = scope
        assert not bpy.ops.pentimento.stylize_textures.poll()
        assert said in draw(addon, "ViewportTexturesPanel")
        assert said in draw(addon, "ImageTexturesPanel")
    assert not bpy.ops.pentimento.revert_textures.poll()
    assert not bpy.ops.pentimento.apply_textures.poll()
    surface("One", new_image())
    assert "There is no image in view" not in draw(addon, "ViewportTexturesPanel")
    stylize()
    assert bpy.ops.pentimento.revert_textures.poll()


# ---------------------------------------------------------------- one job for all of them


def three() -> list[Any]:
    """The second cannot be painted: its file is gone."""
    lost = bpy.data.images.new("Lost", 8, 8)
    lost.source, lost.filepath = "FILE", "//nowhere.png"
    return [surface("One", new_image("First")), surface("Two", lost), surface("Three", new_image("Third"))]


def test_one_that_fails_is_told_and_the_others_go_on(addon: Any, styles: Any) -> None:
    three()
    assert bpy.ops.pentimento.stylize_textures() == {"FINISHED"}
    report = addon.jobs.last_report()
    assert (report.level, report.message) == ("WARNING", "Stylize 3 Textures: done but for 1 image.")
    assert "Lost: 'Lost' has no pixels." in report.fix
    assert painted() == {"First (Identity)", "Third (Identity)"}
    assert not addon.materials.groups(bpy.data.materials["Two"])


def test_one_that_the_engine_refuses_is_told_too(addon: Any, styles: Any) -> None:
    styles.style, styles.overlays = "Brush", {"Scale"}
    surface("One", new_image("First"))
    surface("Two", new_image("Tiny", size=(8, 8)))
    surface("Three", new_image("Third"))
    assert bpy.ops.pentimento.stylize_textures() == {"FINISHED"}
    assert "Tiny: 'Tiny' is too small to be explained" in addon.jobs.last_report().fix
    assert painted("Brush") == {"First (Brush)", "Third (Brush)"}


def test_when_all_fail_nothing_is_done(addon: Any, styles: Any) -> None:
    styles.overlays = {"Scale"}
    for name in ("One", "Two"):
        surface(name, new_image(name, size=(8, 8)))
    with pytest.raises(RuntimeError, match="Stylize 2 Textures failed"):
        bpy.ops.pentimento.stylize_textures()


def test_the_panel_says_how_far_it_is(addon: Any, styles: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addon.engine_client, "command", lambda _python: [sys.executable, str(FAKE_WORKER), "slow"])
    for name in ("One", "Two", "Three", "Four"):
        surface(name, new_image(f"Stone {name}"))
    bpy.ops.pentimento.stylize_textures.poll()
    start(addon)
    pump(addon.jobs, lambda: "Painting" in addon.jobs.current().stage, 10)
    job = addon.jobs.current()
    assert job.title == "Stylize 4 Textures"
    assert job.stage.startswith("Stone One 1 of 4 (Painting")
    assert job.fraction == pytest.approx(0.25 / 4, abs=0.001)
    addon.jobs.stop()


def start(addon: Any) -> None:
    """As the button does in a window"""
    operator = addon.operators.textures.StylizeTextures
    addon.jobs.start(operator.job(None, bpy.context, blocking=False))


def test_cancel_keeps_what_is_finished(addon: Any, styles: Any) -> None:
    owners = [surface(name, new_image(f"Stone {name}")) for name in ("One", "Two", "Three")]
    for image in bpy.data.images:
        image.pack()
    bpy.ops.ed.undo_push(message="before")
    start(addon)
    pump(addon.jobs, lambda: bool(painted()), 30)
    addon.jobs.cancel()
    pump(addon.jobs, lambda: addon.jobs.current() is None, 30)
    report = addon.jobs.last_report()
    assert (report.level, report.message) == ("WARNING", "Stylize 3 Textures was cancelled.")
    assert painted() >= {"Stone One (Identity)"} and len(painted()) < 3
    assert addon.materials.groups(owners[0])
    bpy.ops.ed.undo()
    assert not painted(), "what is finished is one step to undo"


# ---------------------------------------------------------------- back, or for good


def test_revert_puts_the_material_back_exactly(addon: Any, styles: Any) -> None:
    material, _ = pbr_set()
    other = surface("Other", new_image("Other Color"), Roughness=data_image("Other Roughness"))
    before = state(material), state(other)
    styles.style, styles.overlays = "Brush", {"Scale"}
    stylize()
    assert state(material) != before[0]
    assert bpy.ops.pentimento.revert_textures() == {"FINISHED"}
    assert (state(material), state(other)) == before
    assert painted("Brush") == {"Brick Color (Brush)", "Other Color (Brush)"}, "the images are kept"
    assert not [tree for tree in bpy.data.node_groups if tree.name.startswith("Pentimento")]


def test_revert_removes_the_images_where_it_says_so(addon: Any, styles: Any) -> None:
    material, _ = pbr_set()
    styles.overlays = {"Scale"}
    names = set(bpy.data.images.keys())
    stylize()
    bpy.ops.pentimento.revert_textures(remove_images=True)
    assert set(bpy.data.images.keys()) == names
    stylize()
    surface("Else", bpy.data.images["Brick Color (Identity)"])
    chosen().scope = "ACTIVE"
    bpy.context.view_layer.objects.active = bpy.data.objects["Brick"]
    bpy.ops.pentimento.revert_textures(remove_images=True)
    assert "Brick Color (Identity)" in bpy.data.images, "something else uses it"
    assert not addon.materials.groups(material)


def test_apply_puts_the_painted_image_in_place(addon: Any, styles: Any) -> None:
    material, _ = pbr_set()
    before = state(material)
    styles.style = "Brush"
    stylize()
    assert bpy.ops.pentimento.apply_textures() == {"FINISHED"}
    after = state(material)
    assert after[1:] == before[1:], "links and values are the artist's"
    changed = {node[0]: node[4] for node in after[0] - before[0]}
    assert changed == {"Base Color": "Brick Color (Brush)"}
    assert bpy.data.images["Brick Color"].use_fake_user, "the original stays in the file"
    styles.style = "Identity"
    stylize()
    assert "Brick Color (Brush) (Identity)" in bpy.data.images, "from now on it is a texture of its own"


def test_both_can_be_undone(addon: Any, styles: Any) -> None:
    material, _ = pbr_set()
    material.use_fake_user = True
    for image in bpy.data.images:
        image.pack()
    styles.style = "Brush"
    stylize()
    before = state(bpy.data.materials["Brick"])
    bpy.ops.ed.undo_push(message="painted")
    for button in (bpy.ops.pentimento.revert_textures, bpy.ops.pentimento.apply_textures):
        button()
        bpy.ops.ed.undo_push(message="button")  # the window does this after an operator; the module has none
        assert state(bpy.data.materials["Brick"]) != before
        bpy.ops.ed.undo()
        assert state(bpy.data.materials["Brick"]) == before


def test_the_job_in_the_background_is_one_step_to_undo(addon: Any, styles: Any) -> None:
    for name in ("One", "Two"):
        surface(name, new_image(f"Stone {name}")).use_fake_user = True
    for image in bpy.data.images:
        image.pack()
    before = [state(bpy.data.materials[name]) for name in ("One", "Two")]
    bpy.ops.ed.undo_push(message="before")
    start(addon)
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert len(painted()) == 2
    bpy.ops.ed.undo()
    assert not painted()
    assert [state(bpy.data.materials[name]) for name in ("One", "Two")] == before


def test_saved_and_opened_it_can_be_reverted(addon: Any, styles: Any, tmp_path: Path) -> None:
    material, _ = pbr_set()
    for image in bpy.data.images:
        image.pack()
    before = state(material)
    styles.style, styles.overlays, chosen().relief = "Brush", {"Scale"}, True
    stylize()
    painted_state = state(material)
    names = [image.name for image in bpy.data.images if addon.scene_io.RECIPE in image]
    pixels = {name: pixels_of(bpy.data.images[name]).copy() for name in names}
    assert len(names) == 4, "painting, overlay, normal, roughness"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    material = bpy.data.materials["Brick"]
    assert state(material) == painted_state
    for name in names:
        assert (pixels_of(bpy.data.images[name]) == pixels[name]).all(), name
        assert addon.scene_io.RECIPE in bpy.data.images[name]
    assert bpy.ops.pentimento.revert_textures() == {"FINISHED"}
    assert state(material) == before


# ---------------------------------------------------------------- relief


def test_relief_is_laid_upon_the_maps_of_the_material(addon: Any, styles: Any) -> None:
    material, maps = pbr_set()
    before = state(material), {name: pixels_of(image).copy() for name, image in maps.items()}
    chosen().relief = True
    stylize()
    for role in ("Normal", "Roughness"):
        result = bpy.data.images[f"Brick Color {role} (Identity)"]
        assert (pixels_of(result) == before[1][role]).all(), "no strokes: byte for byte as it was"
        assert result.colorspace_settings.name == "Non-Color"
    assert len(addon.materials.groups(material)) == 3
    styles.style = "Brush"
    stylize()
    assert len(addon.materials.groups(material)) == 3, "again replaces"
    normal = pixels_of(bpy.data.images["Brick Color Normal (Brush)"])[..., :3] * 2 - 1
    assert np.abs(np.sqrt((normal**2).sum(2)) - 1).max() < 0.02
    assert np.abs(normal - (before[1]["Normal"][..., :3] * 2 - 1)).max() > 0.05
    assert all((pixels_of(image) == before[1][name]).all() for name, image in maps.items())
    bpy.ops.pentimento.revert_textures()
    assert state(material) == before[0]


def test_relief_maps_are_no_layers_over_colours(addon: Any, styles: Any) -> None:
    pbr_set()
    chosen().relief = True
    stylize()
    found = addon.layering.stack_of(bpy.data.images["Brick Color"], bpy.context.scene)
    assert [(listed.kind, listed.image) for listed in found.layers] == [
        ("ORIGINAL", "Brick Color"),
        ("RESULT", "Brick Color (Identity)"),
    ]
    normal = bpy.data.images["Brick Color Normal (Identity)"]
    assert normal[addon.scene_io.RELIEF] == "Normal" and addon.layering.stack_of(normal, bpy.context.scene) == found


@pytest.mark.parametrize("bump", [False, True])
def test_where_there_is_no_map_one_is_wired_in(addon: Any, styles: Any, bump: bool) -> None:
    more = {"Height": data_image("Height")} if bump else {}
    material = surface("Plain", new_image("Color"), **more)
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.8
    before = state(material)
    chosen().relief, styles.style = True, "Brush"
    for _ in range(2):
        stylize()
    assert len(addon.materials.groups(material)) == 3
    node = shader.inputs["Normal"].links[0].from_node
    node = node.inputs["Normal"].links[0].from_node if bump else node
    assert node.type == "NORMAL_MAP"
    group = node.inputs["Color"].links[0].from_node
    assert tuple(group.inputs["Original"].default_value) == (0.5, 0.5, 1.0, 1.0)
    rough = pixels_of(shader.inputs["Roughness"].links[0].from_node.inputs["Stylized"].links[0].from_node.image)
    assert abs(rough[..., :3].mean() - 0.8) < 0.02 and rough[..., :3].std() > 0.005
    bpy.ops.pentimento.revert_textures()
    assert state(material) == before
    stylize()
    bpy.ops.pentimento.apply_textures()
    node = shader.inputs["Normal"].links[0].from_node
    node = node.inputs["Normal"].links[0].from_node if bump else node
    assert node.inputs["Color"].links[0].from_node.image.name == "Color Normal (Brush).002"
    assert shader.inputs["Roughness"].links[0].from_node.image.name == "Color Roughness (Brush).002"
    assert not [node for node in material.node_tree.nodes if node.get(addon.scene_io.ROLE)]


def test_maps_that_cannot_be_made_anew_stay(addon: Any, styles: Any) -> None:
    """Roughness that is computed by nodes, a normal map that lies elsewhere on the surface"""
    material = surface("Odd", new_image("Color"), Normal=normal_map("Odd Normal"))
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    tree.links.new(tree.nodes.new("ShaderNodeTexNoise").outputs[0], shader.inputs["Roughness"])
    where = tree.nodes.new("ShaderNodeTexCoord")
    tree.links.new(where.outputs["Object"], tree.nodes["Normal"].inputs["Vector"])
    chosen().relief, styles.style = True, "Brush"
    stylize()
    assert len(addon.materials.groups(material)) == 1
    assert painted("Brush") == {"Color (Brush)"}


def test_relief_of_tiles(addon: Any, styles: Any, tmp_path: Path) -> None:
    material = surface("Thing", tile_files(addon, tmp_path / "wood", (1001, 1002)))
    before = state(material)
    chosen().relief, styles.style = True, "Brush"
    stylize()
    assert {path.name for path in (tmp_path / "wood").iterdir() if "brush" in path.name} == {
        f"wood_brush{name}.{number}.png" for name in ("", "_normal", "_roughness") for number in (1001, 1002)
    }
    normal = bpy.data.images["wood.1001.png Normal (Brush)"]
    assert normal.source == "TILED" and normal.colorspace_settings.name == "Non-Color"
    assert normal[addon.scene_io.RELIEF] == "Normal"
    bpy.ops.pentimento.revert_textures()
    assert state(material) == before


# ---------------------------------------------------------------- panels


def test_the_panels_draw(addon: Any, styles: Any) -> None:
    pbr_set()
    for panel in ("ImageTexturesPanel", "ViewportTexturesPanel"):
        said = draw(addon, panel)
        for wanted in ("scope", "margin", "relief", "relief_strength"):
            assert wanted in said.split()
        for button in ("stylize_textures", "revert_textures", "apply_textures"):
            assert f"pentimento.{button}" in said
    chosen().scope = "SLOTS"
    assert "pentimento.list_textures" in draw(addon, "ViewportTexturesPanel")
