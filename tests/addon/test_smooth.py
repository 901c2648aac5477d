"""Blender goes on meanwhile: what is asked when, how much at a time, and that short answers are never old ones."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from blender import bpy, new_image, pump
from test_layers import drawn, editor, shot
from texture_sets import data_image, surface

__all__ = ["editor", "shot"]


def chosen() -> Any:
    return bpy.context.scene.pentimento_textures


def finished(work: Any) -> tuple[Any, int]:
    """What a generator returns, and in how many pieces"""
    pieces = 1
    try:
        while True:
            next(work)
            pieces += 1
    except StopIteration as end:
        return end.value, pieces


def laid(addon: Any, name: str, **use: Any) -> tuple[Any, int]:
    return finished(addon.laying.laid(name, addon.laying.Use(**{"tileable": "AUTO", "islands": True, **use})))


def triangles(mesh: Any, slot: int, uv_map: str) -> np.ndarray:
    """As Blender cuts the faces of one material, one by one"""
    mesh.calc_loop_triangles()
    uv = mesh.uv_layers[uv_map].data
    mine = [each for each in mesh.loop_triangles if each.material_index == slot]
    return np.float32([[uv[corner].uv[:] for corner in each.loops] for each in mine])


def mixed_mesh(image: Any) -> Any:
    """Triangles, quads and one dented face of eight corners, of two materials, on the second of two UV maps"""
    material = surface("Mixed", image)
    thing = bpy.data.objects["Mixed"]
    y, x = (axis.ravel() / 8 for axis in np.mgrid[0:9, 0:9])
    quads = [
        (row * 9 + column, row * 9 + column + 1, row * 9 + column + 10, row * 9 + column + 9)
        for row in range(0, 8, 2)
        for column in range(0, 8, 2)
    ]
    dented = (4, 6, 24, 42, 44, 26, 8, 80)
    faces = [quads[0][:3], quads[0][2:] + quads[0][:1], *quads[1:-1], dented]
    mesh = bpy.data.meshes.new("Faces")
    mesh.from_pydata([(a, b, 0) for a, b in zip(x, y, strict=True)], [], faces)
    corners = [corner for face in faces for corner in face]
    mesh.uv_layers.new(name="Other")
    layer = mesh.uv_layers.new(name="Wanted")
    layer.data.foreach_set("uv", np.stack((x[corners] * 0.9, y[corners] * 0.9), 1).astype(np.float32).ravel())
    mesh.materials.append(bpy.data.materials.new("Else"))
    mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", [number % 2 for number in range(len(faces))])
    thing.data = mesh
    tree = material.node_tree
    where = tree.nodes.new("ShaderNodeUVMap")
    where.uv_map = "Wanted"
    tree.links.new(where.outputs["UV"], tree.nodes["Base Color"].inputs["Vector"])
    return mesh


# ---------------------------------------------------------------- where an image is shown


def test_faces_cover_what_blender_s_triangles_cover(addon: Any, styles: Any) -> None:
    mesh, covered = mixed_mesh(new_image()), addon.texels.covered
    lies, _ = laid(addon, "Stone")
    expected = triangles(mesh, 1, "Wanted")
    assert 0 < len(expected) < len(mesh.loop_triangles)
    assert len(lies.islands.triangles) == sum(faces.count for faces in lies.islands.faces) == len(expected)
    assert np.array_equal(covered(lies.islands.triangles, (256, 256)), covered(expected, (256, 256)))
    few = [face for face in range(len(mesh.polygons)) if mesh.polygons[face].loop_total < 5]
    mesh.polygons.foreach_set("material_index", [int(face in few) for face in range(len(mesh.polygons))])
    fans = laid(addon, "Stone")[0].islands.triangles
    assert np.array_equal(covered(fans, (256, 256)), covered(triangles(mesh, 1, "Wanted"), (256, 256)))


def test_a_mesh_of_triangles_and_quads_alone_is_cut_without_blender(addon: Any, styles: Any, monkeypatch: Any) -> None:
    surface("One", new_image())
    monkeypatch.setattr(addon.laying, "_cut", None)
    lies, _ = laid(addon, "Stone")
    (faces,) = lies.islands.faces
    assert faces.triangles.shape == (2, 3, 2) and addon.texels.covered(faces.triangles, (32, 32)).all()


def test_a_shared_mesh_is_read_once_and_one_that_is_edited_not_at_all(addon: Any, styles: Any) -> None:
    surface("One", new_image())
    thing = bpy.data.objects["One"]
    for _ in range(3):
        bpy.context.scene.collection.objects.link(thing.copy())
    assert len(laid(addon, "Stone")[0].islands.faces) == 1
    bpy.ops.object.mode_set(mode="EDIT")
    assert laid(addon, "Stone")[0].islands.triangles is None, "its UV maps cannot be read: only alpha tells"
    bpy.ops.object.mode_set(mode="OBJECT")
    thing.data.uv_layers.remove(thing.data.uv_layers[0])
    assert laid(addon, "Stone")[0].islands.triangles.shape == (0, 3, 2)


def test_what_lies_in_another_way_or_nowhere(addon: Any, styles: Any) -> None:
    material = surface("One", new_image())
    assert laid(addon, "Stone", islands=False)[0] == addon.laying.Laid("AUTO")
    material.node_tree.nodes["Base Color"].projection = "BOX"
    assert laid(addon, "Stone")[0].islands.triangles is None
    new_image("Photo")
    assert laid(addon, "Photo")[0] == addon.laying.Laid("OFF"), "no material shows it"
    assert laid(addon, "Photo", tileable="ON")[0] == addon.laying.Laid("ON")


def test_islands_of_a_tile(addon: Any) -> None:
    texels = addon.texels
    places = np.float32([[0, 0], [1, 0], [0, 1], [1.5, 0.25], [1.75, 0.25], [1.5, 0.5]])
    faces = texels.Faces(np.int32([0, 3]), places, np.ones(2, bool), None)
    there = texels.Islands((faces,)).on_tile(1, 0).triangles
    assert there.tolist() == [[[0.5, 0.25], [0.75, 0.25], [0.5, 0.5]]]
    assert texels.Islands(None).on_tile(1, 0).triangles is None


# ---------------------------------------------------------------- when it is asked, and how much at a time


def test_nothing_is_read_at_the_press_of_several(addon: Any, styles: Any, monkeypatch: Any) -> None:
    for number in range(4):
        surface(f"Surface {number}", new_image(f"Stone {number}"))
    read: list[str] = []
    inner = addon.laying._read
    monkeypatch.setattr(addon.laying, "_read", lambda mesh, place: (read.append(mesh.name), inner(mesh, place))[1])
    job = addon.operators.textures.StylizeTextures.job(None, bpy.context, False)
    addon.jobs.start(job)
    assert not read
    while addon.jobs.current() is not None:
        before = len(read)
        addon.jobs._tick()
        assert len(read) <= before + 1, "one texture has one surface"
    assert sorted(read) == [f"Surface {number}" for number in range(4)]


def test_many_meshes_are_read_in_pieces(addon: Any, styles: Any, monkeypatch: Any) -> None:
    material = surface("Surface 0", new_image())
    for number in range(1, 6):
        surface(f"Surface {number}", new_image("Else"))
        bpy.data.objects[f"Surface {number}"].data.materials[0] = material
    monkeypatch.setattr(addon.jobs, "BUDGET", 0.0)
    lies, pieces = laid(addon, "Stone")
    assert pieces == 7 and len(lies.islands.triangles) == 12
    work = addon.laying.laid("Stone", addon.laying.Use("AUTO", True))
    next(work)
    bpy.data.meshes.remove(bpy.data.meshes["Surface 3"])
    assert len(finished(work)[0].islands.triangles) == 10, "one that is gone meanwhile is left out"
    monkeypatch.setattr(addon.laying, "MOST_FACES", 5)
    assert laid(addon, "Stone")[0].islands.triangles is None


# ---------------------------------------------------------------- what is asked whenever a panel is drawn


def procedural(material: Any, count: int) -> None:
    """Nodes that are to be looked at first: those of the artist's are moved behind them by being made anew."""
    for _ in range(count):
        material.node_tree.nodes.new("ShaderNodeMath")


def test_short_answers_are_right_at_once(addon: Any, styles: Any) -> None:
    problem = addon.texturing.problem
    material = surface("One", data_image("Grey"))
    tree = material.node_tree
    node = tree.nodes["Base Color"]
    assert problem(bpy.context) == addon.texturing.NO_COLOURS, "a mask, for it is numbers"
    node.image = new_image()
    assert problem(bpy.context) == ""
    tree.links.remove(node.outputs["Color"].links[0])
    assert problem(bpy.context) == addon.texturing.NO_COLOURS
    tree.links.new(node.outputs["Color"], next(n for n in tree.nodes if n.type == "BSDF_PRINCIPLED").inputs[0])
    assert problem(bpy.context) == ""
    bpy.data.objects["One"].select_set(False)
    assert problem(bpy.context) == addon.texturing.NO_COLOURS


def test_of_many_nodes_the_press_tells(addon: Any, styles: Any) -> None:
    material = surface("Bare", data_image("Grey"))
    procedural(material, addon.materials.LOOKED_AT)
    assert addon.texturing.problem(bpy.context) == "", "not looked at to the end"
    with pytest.raises(RuntimeError, match=addon.texturing.NO_COLOURS):
        bpy.ops.pentimento.stylize_textures()
    surface("One", new_image())
    assert bpy.ops.pentimento.stylize_textures() == {"FINISHED"}
    assert "Stone (Identity)" in bpy.data.images


def test_revert_and_apply_of_many_nodes(addon: Any, styles: Any) -> None:
    material = surface("Bare", data_image("Grey"))
    assert not bpy.ops.pentimento.revert_textures.poll(), "there is no group of ours"
    surface("Painted", new_image())
    bpy.ops.pentimento.stylize_textures()
    assert bpy.ops.pentimento.revert_textures.poll()
    bpy.data.objects["Painted"].select_set(False)
    assert not bpy.ops.pentimento.revert_textures.poll()
    procedural(material, 10 * addon.materials.LOOKED_AT)
    for act in (bpy.ops.pentimento.revert_textures, bpy.ops.pentimento.apply_textures):
        assert act.poll() and act() == {"CANCELLED"}
    bpy.data.objects["Painted"].select_set(True)
    assert bpy.ops.pentimento.revert_textures() == {"FINISHED"}
    assert not addon.materials.groups(bpy.data.materials["Painted"])


def test_groups_are_found_wherever_they_are(addon: Any, styles: Any) -> None:
    """Looking ends when all are found: also of a copied material, and with groups of other images on the way."""
    image = new_image()
    for name, shown in (("A", new_image("Other")), ("M", image), ("Z", image)):
        surface(name, shown)
    bpy.ops.pentimento.stylize_textures()
    bpy.data.materials["Z"].copy().name = "Zz"
    stack = addon.layering.stack_of(image, bpy.context.scene)
    for active in ("A", "M", "Z"):
        bpy.context.view_layer.objects.active = bpy.data.objects[active]
        assert [place.owner for place in addon.layering.wired(stack, bpy.context.scene)] == ["M", "Z", "Zz"]


# ---------------------------------------------------------------- what is read, packed and hashed beside Blender


class Watched:
    """Which threads a function of the add-on ran in; held up until it may go on."""

    def __init__(self, monkeypatch: Any, room: Any, name: str) -> None:
        self.ran_in: list[threading.Thread] = []
        self.may_go_on = threading.Event()
        self.inner = getattr(room, name)
        monkeypatch.setattr(room, name, self)

    def __call__(self, *given: Any) -> Any:
        self.ran_in.append(threading.current_thread())
        if threading.current_thread() is not threading.main_thread():
            assert self.may_go_on.wait(20)
        return self.inner(*given)

    @property
    def beside(self) -> bool:
        return bool(self.ran_in) and threading.main_thread() not in self.ran_in


def reading(addon: Any) -> Any:
    return addon.jobs.current(addon.jobs.READING)


def begin(addon: Any, operator: str, **given: Any) -> str:
    """As a button in a window does it"""
    import types

    kind = getattr(addon.operators.layers, operator)
    pressed = types.SimpleNamespace(**{"image": "", "layer": "", "part": "", "target": "", **given})
    return addon.operators.base.read(kind.bl_label, kind.work(pressed, bpy.context))


def until_read(addon: Any) -> Any:
    pump(addon.jobs, lambda: reading(addon) is None, 20)
    return addon.jobs.last_report(addon.jobs.READING)


def test_a_layer_of_a_file_is_read_beside_blender(addon: Any, shot: Any, editor: Any, monkeypatch: Any) -> None:
    editor.image = shot
    decoded = Watched(monkeypatch, addon.decode, "layer")
    assert begin(addon, "SoloLayer", image=shot.name, layer="Stylized") == ""
    for _ in range(3):
        addon.jobs._tick()
    assert reading(addon).title == "Show Alone" and editor.image == shot
    assert "Show Alone" in drawn(addon, "ImageLayersPanel", shot)
    decoded.may_go_on.set()
    assert until_read(addon).level == "INFO" and decoded.beside
    assert editor.image.name.endswith("Brush") and bpy.context.scene.pentimento_layers.solo
    assert begin(addon, "SoloLayer", image=shot.name, layer="Stylized") == ""
    assert reading(addon) is None and editor.image == shot, "what is there already shows at once"


def test_the_last_wish_counts(addon: Any, shot: Any, editor: Any, monkeypatch: Any) -> None:
    editor.image = shot
    decoded, known = Watched(monkeypatch, addon.decode, "layer"), set(bpy.data.images.keys())
    begin(addon, "SoloLayer", image=shot.name, layer="Stylized")
    begin(addon, "SoloLayer", image=shot.name, layer="Combined")
    decoded.may_go_on.set()
    until_read(addon)
    assert {name for name in set(bpy.data.images.keys()) if name not in known} == {editor.image.name}
    assert editor.image.name.endswith("Render")


def test_what_goes_wrong_meanwhile_is_said_in_the_panel(addon: Any, shot: Any, editor: Any, monkeypatch: Any) -> None:
    may_go_on = threading.Event()

    def damaged(*_: Any) -> None:
        may_go_on.wait(20)
        raise addon.engine_client.EngineError("The file is damaged.", "Paint it again.")

    monkeypatch.setattr(addon.decode, "layer", damaged)
    begin(addon, "SoloLayer", image=shot.name, layer="Stylized")
    may_go_on.set()
    assert until_read(addon).level == "ERROR"
    assert {"The file is damaged.", "Paint it again."} <= set(drawn(addon, "ImageLayersPanel", shot))
    with pytest.raises(addon.engine_client.EngineError, match="no layer"):
        begin(addon, "SoloLayer", image=shot.name, layer="Nothing")
    assert addon.jobs.last_report(addon.jobs.READING) is None, "the button says that itself"


def test_another_file_ends_it(addon: Any, shot: Any, editor: Any, monkeypatch: Any) -> None:
    decoded = Watched(monkeypatch, addon.decode, "layer")
    begin(addon, "SoloLayer", image=shot.name, layer="Stylized")
    bpy.ops.wm.read_homefile(use_empty=True)
    assert reading(addon) is None and not bpy.data.images
    decoded.may_go_on.set()
    addon.jobs._tick()
    assert not bpy.data.images


def test_a_mask_is_made_beside_blender(addon: Any, styles: Any, monkeypatch: Any) -> None:
    image = new_image()
    styles.style, styles.overlays = "Brush", {"Scale"}
    bpy.ops.pentimento.stylize_image(image=image.name)
    made = Watched(monkeypatch, addon.masking, "_pixels")
    begin(addon, "UseAsMask", image="Stone Attribution.Scale", part="stroke", target="NEW_STYLE")
    addon.jobs._tick()
    assert reading(addon) is not None and not styles.mixed
    made.may_go_on.set()
    assert until_read(addon).fix == "Made Stone Mask Scale Stroke" and made.beside
    assert styles.mixed[0].mask.name == "Stone Mask Scale Stroke"


def test_masks_are_looked_for_beside_blender(addon: Any, styles: Any, monkeypatch: Any) -> None:
    image, mask = new_image(), data_image("Mask")
    new_image("Other Size", (20, 20))
    styles.style, styles.mask, styles.overlays = "Brush", mask, set()
    bpy.ops.pentimento.stylize_image(image=image.name)
    styles.mask, mask.name = None, "Renamed"
    hashed = Watched(monkeypatch, addon.remaking, "_hash")
    begin(addon, "UseRecipe", image="Stone (Brush)")
    addon.jobs._tick()
    assert reading(addon) is not None and styles.mask is None
    hashed.may_go_on.set()
    assert until_read(addon).level == "INFO" and styles.mask == mask
    assert hashed.beside and len(hashed.ran_in) <= 2, "no result of ours, nothing of another size"
    hashed.may_go_on.clear()
    job = addon.operators.layers.layer_again(bpy.context, *again(addon), blocking=False)
    addon.jobs.start(job)
    hashed.may_go_on.set()
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert "Stone (Brush).001" in bpy.data.images, addon.jobs.last_report().text


def again(addon: Any) -> tuple[Any, Any, Any]:
    stack = addon.layering.stack_of(bpy.data.images["Stone"], bpy.context.scene)
    listed = next(addon.layering.results(stack))
    return stack, listed, addon.layering.recipe_of(listed, bpy.context.scene)


def test_blank_pictures_are_those_of_zeros(addon: Any) -> None:
    for height, width in ((16, 5), (37, 53), (3, 2)):
        zeros = np.zeros((height, width, 4), np.float32)
        assert addon.encode.blank_exr(height, width) == addon.encode.exr(zeros)
