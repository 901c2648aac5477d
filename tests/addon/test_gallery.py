"""The gallery: looking around changes nothing, picking, stars, folders; export and import."""

from __future__ import annotations

import hashlib
import json
import types
from pathlib import Path
from typing import Any

import pytest
import tiny_styles
from blender import bpy
from test_panels import draw


@pytest.fixture
def mine(addon: Any, tmp_path: Path) -> Path:
    """A folder of the artist's own: two styles, one in the folder of a client, a texture, a training at work."""
    folder = tmp_path / "mine"
    tiny_styles.identity(folder / "identity")
    tiny_styles.brush(folder / "Client A" / "brush")
    tiny_styles.pattern(folder / "pattern")
    tiny_styles.identity(folder / "run.training" / "style", name="Half Trained")
    addon.props.library.preferences().styles_folder = str(folder)
    bpy.context.scene.pentimento.style = "Identity"
    addon.gallery._favourites_file().unlink(missing_ok=True)
    addon.gallery.forget_favourites()
    return folder


def shown(addon: Any) -> set[str]:
    return {style.name for style in addon.gallery.shown(chosen(addon))}


def chosen(addon: Any) -> Any:
    return addon.props.gallery.gallery(bpy.context)


def test_styles_in_folders_are_found(addon: Any, mine: Path) -> None:
    assert {"Identity", "Brush"} <= shown(addon)
    assert "Half Trained" not in shown(addon)
    assert addon.props.gallery.folders() == ("Client A",)
    chosen(addon).makes = "TEXTURES"
    assert "Pattern" in shown(addon) and "Identity" not in shown(addon)


@pytest.mark.parametrize(
    ("words", "expected"),
    [("brush", {"Brush"}), ("TESTS ident", {"Identity"}), ("client", {"Brush"}), ("xyzzy", set())],
)
def test_search_looks_at_name_author_and_folder(addon: Any, mine: Path, words: str, expected: set[str]) -> None:
    chosen(addon).search = words
    assert shown(addon) == expected


def test_what_is_not_shown_stays_chosen(addon: Any, mine: Path) -> None:
    """In the picker, in the mix and in the request."""
    bpy.ops.pentimento.choose_style(name="Brush")
    before = addon.props.stylize_settings(bpy.context.scene.pentimento, is_render=False)
    for change in ({"search": "identity"}, {"search": "xyzzy"}, {"favourites": True}, {"folder": "SHIPPED"}):
        for name, value in change.items():
            setattr(chosen(addon), name, value)
        assert "Brush" not in shown(addon)
        assert bpy.context.scene.pentimento.style == "Brush"
        assert addon.gallery.looked_at(bpy.context).name == "Brush", "its card stays as well"
        assert addon.props.stylize_settings(bpy.context.scene.pentimento, is_render=False) == before
        chosen(addon).property_unset("search")
    bpy.ops.pentimento.choose_style(name="Identity")
    assert bpy.context.scene.pentimento.style == "Identity", "one that is not shown can be chosen by a script"


def test_a_texture_is_chosen_where_textures_are(addon: Any, mine: Path) -> None:
    bpy.ops.pentimento.choose_style(name="Pattern")
    assert bpy.context.scene.pentimento_texture.style == "Pattern"
    assert bpy.context.scene.pentimento.style == "Identity"
    with pytest.raises(RuntimeError, match="no style 'Gone'"):
        bpy.ops.pentimento.choose_style(name="Gone")


def test_the_strings_of_folders_stay_alive(addon: Any, mine: Path) -> None:
    """Blender keeps pointers to them: the same list with the same strings must be given as long as nothing changes."""
    items = addon.props.gallery._items
    first = items(None, None)
    texts = [id(text) for item in first for text in item[:3]]
    assert items(None, None) is first and [id(text) for item in first for text in item[:3]] == texts
    chosen(addon).folder = "/Client A"
    assert chosen(addon).folder == "/Client A" and shown(addon) == {"Brush"}
    bpy.ops.pentimento.move_style(name="Brush", folder="")
    assert chosen(addon).folder == "ALL", "a folder that is gone shows all"


def test_favourites_hold_for_every_file(addon: Any, mine: Path, tmp_path: Path) -> None:
    bpy.ops.pentimento.mark_style(name="Brush")
    chosen(addon).favourites = True
    assert shown(addon) == {"Brush"}
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    addon.gallery.forget_favourites()  # as another Blender would read them
    assert addon.gallery.favourites() == {"Brush"}
    bpy.ops.pentimento.mark_style(name="Brush", favourite=False)
    addon.gallery.forget_favourites()
    assert addon.gallery.favourites() == frozenset()


@pytest.mark.parametrize("text", ["{", "3", '[1, null, "Brush"]'])
def test_a_broken_list_of_favourites_is_no_error(addon: Any, mine: Path, text: str) -> None:
    addon.gallery._favourites_file().write_text(text)
    addon.gallery.forget_favourites()
    assert addon.gallery.favourites() <= {"Brush"}
    bpy.ops.pentimento.mark_style(name="Identity")
    assert "Identity" in json.loads(addon.gallery._favourites_file().read_text())


# ---------------------------------------------------------------- the artist's own


def test_a_style_is_moved_to_a_folder_and_back(addon: Any, mine: Path) -> None:
    before = hashes(mine / "identity")
    bpy.ops.pentimento.move_style(name="Identity", folder="Client B")
    assert hashes(mine / "Client B" / "identity") == before
    assert addon.props.gallery.folders() == ("Client A", "Client B")
    assert bpy.context.scene.pentimento.style == "Identity"
    bpy.ops.pentimento.move_style(name="Identity", folder="")
    assert not (mine / "Client B").exists(), "an empty folder goes with its last style"


@pytest.mark.parametrize("folder", ["../out", "a/b", "pattern", "x.training", ".hidden", "a" * 61])
def test_folders_stay_among_the_styles(addon: Any, mine: Path, folder: str) -> None:
    before = sorted(mine.parent.rglob("*"))
    with pytest.raises(RuntimeError):
        bpy.ops.pentimento.move_style(name="Identity", folder=folder)
    assert sorted(mine.parent.rglob("*")) == before


def test_a_name_is_changed_everywhere(addon: Any, mine: Path) -> None:
    scene = bpy.context.scene
    bpy.ops.pentimento.add_style()
    scene.pentimento.mixed[0].style_name, scene.pentimento.palette_name = "Identity", "Identity"
    bpy.ops.pentimento.mark_style(name="Identity")
    look = addon.props.stylize_settings(scene.pentimento, is_render=False)
    bpy.ops.pentimento.rename_style(name="Identity", new_name="Glass")
    assert (scene.pentimento.style, scene.pentimento.mixed[0].style, scene.pentimento.palette) == ("Glass",) * 3
    assert addon.props.stylize_settings(scene.pentimento, is_render=False) == look, "the folder is as it was"
    assert addon.gallery.favourites() == {"Glass"}
    for name in ("Brush", "", "a\nb"):
        with pytest.raises(RuntimeError):
            bpy.ops.pentimento.rename_style(name="Glass", new_name=name)


def test_a_style_of_the_artists_own_is_deleted(addon: Any, mine: Path) -> None:
    bpy.ops.pentimento.delete_style(name="Brush")
    assert not (mine / "Client A").exists() and "Brush" not in shown(addon)


@pytest.mark.parametrize("act", ["delete_style", "rename_style", "move_style"])
def test_shipped_ones_stay_and_it_is_said_why(addon: Any, mine: Path, act: str) -> None:
    style = next(style for style in addon.props.library.all_styles() if style.ships)
    more = {"rename_style": {"new_name": "X"}, "move_style": {"folder": "X"}}.get(act, {})
    with pytest.raises(RuntimeError, match="came with Pentimento"):
        getattr(bpy.ops.pentimento, act)(name=style.name, **more)
    assert (style.folder / "style.json").is_file()
    bpy.ops.pentimento.choose_style(name=next(s.name for s in addon.props.library.styles() if s.ships))
    assert "came with Pentimento" in draw(addon, "ImageGalleryPanel").replace("  ", " ")


# ---------------------------------------------------------------- export and import


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_what_is_exported_comes_back_the_same(addon: Any, mine: Path, tmp_path: Path) -> None:
    before = hashes(mine / "Client A" / "brush")
    assert bpy.ops.pentimento.export_style(name="Brush", filepath=str(tmp_path / "shared")) == {"FINISHED"}
    bpy.ops.pentimento.delete_style(name="Brush")
    assert bpy.ops.pentimento.import_style(filepath=str(tmp_path / "shared.zip")) == {"FINISHED"}
    assert hashes(mine / "brush") == before
    assert bpy.context.scene.pentimento.style == "Brush"


def test_several_files_come_in_at_once(addon: Any, mine: Path, tmp_path: Path) -> None:
    """One of them is broken: it is told, and the others are there."""
    for name in ("Brush", "Pattern"):
        bpy.ops.pentimento.export_style(name=name, filepath=str(tmp_path / f"{name}.zip"))
        bpy.ops.pentimento.delete_style(name=name)
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    files = [{"name": name} for name in ("Brush.zip", "broken.zip", "Pattern.zip")]
    assert bpy.ops.pentimento.import_style(directory=str(tmp_path), files=files) == {"FINISHED"}
    assert "broken.zip" in addon.jobs.last_report().fix
    names = {style.name for style in addon.props.library.all_styles()}
    assert {"Brush", "Pattern"} <= names
    with pytest.raises(RuntimeError, match="one name"):
        bpy.ops.pentimento.import_style(directory=str(tmp_path), files=files, name="All")


def test_all_that_is_shown_is_exported_at_once(addon: Any, mine: Path, tmp_path: Path) -> None:
    chosen(addon).search = "tests"
    (tmp_path / "out").mkdir()
    assert bpy.ops.pentimento.export_shown(directory=str(tmp_path / "out")) == {"FINISHED"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"Brush.zip", "Identity.zip"}
    with pytest.raises(RuntimeError, match="already a file"):
        bpy.ops.pentimento.export_shown(directory=str(tmp_path / "out"))


def test_a_style_in_a_folder_is_not_imported_twice(addon: Any, mine: Path, tmp_path: Path) -> None:
    bpy.ops.pentimento.export_style(name="Brush", filepath=str(tmp_path / "b.zip"))
    with pytest.raises(RuntimeError, match="Client A"):
        bpy.ops.pentimento.import_style(filepath=str(tmp_path / "b.zip"))


def test_files_can_be_dropped_where_blender_lets_them(addon: Any) -> None:
    handlers = [cls for cls in addon.operators.styles.CLASSES if cls.__name__ == "PENTIMENTO_FH_style"]
    assert len(handlers) == (bpy.app.version >= (4, 1, 0))
    for handler in handlers:
        assert handler.is_registered and handler.bl_import_operator == "pentimento.import_style"
        assert handler.bl_file_extensions == ".zip;.onnx"
        for area, takes in (("VIEW_3D", True), ("IMAGE_EDITOR", True), ("TEXT_EDITOR", False)):
            context = types.SimpleNamespace(area=types.SimpleNamespace(type=area))
            assert handler.poll_drop(context) == takes
        assert not handler.poll_drop(types.SimpleNamespace(area=None))


def test_what_was_dropped_comes_in_without_a_file_browser(addon: Any, mine: Path, tmp_path: Path) -> None:
    """A drop calls the button with its files."""
    bpy.ops.pentimento.export_style(name="Brush", filepath=str(tmp_path / "b.zip"))
    bpy.ops.pentimento.delete_style(name="Brush")
    dropped = {"directory": str(tmp_path), "files": [{"name": "b.zip"}]}
    assert bpy.ops.pentimento.import_style("INVOKE_DEFAULT", **dropped) == {"FINISHED"}
    assert (mine / "brush").is_dir()


# ---------------------------------------------------------------- the panel


@pytest.mark.parametrize("panel", ["ImageGalleryPanel", "ViewportGalleryPanel", "RenderGalleryPanel"])
def test_the_gallery_draws_a_card(addon: Any, mine: Path, panel: str) -> None:
    said = draw(addon, panel).replace("  ", " ")
    assert said.count("pentimento.choose_style") == said.count("pentimento.mark_style") >= 2
    assert {"search", "favourites", "folder", "pentimento.export_style", "pentimento.delete_style"} <= set(said.split())
    assert "Licence" in said and "no seams" in said
    chosen(addon).makes = "TEXTURES"
    assert "Pattern" in draw(addon, panel)
    chosen(addon).makes, chosen(addon).search = "PICTURES", "xyzzy"
    assert "No style is like that" in draw(addon, panel)


def test_the_card_says_what_a_style_is_made_of(addon: Any, mine: Path, tmp_path: Path) -> None:
    tiny_styles.guided(mine / "guided")
    tiny_styles.bgr_255(tmp_path / "mosaic.onnx")
    bpy.ops.pentimento.import_style(filepath=str(tmp_path / "mosaic.onnx"), name="Mosaic", licence="CC0-1.0")
    cards = {style.name: card(addon, style) for style in addon.props.library.all_styles()}
    assert cards["Guided"]["Guides"] == "Normal, Position"
    assert cards["Mosaic"]["Made By"] == "Another program: mosaic.onnx"
    assert cards["Mosaic"]["Size"] == "Only 64 x 64 pixels at once" and cards["Mosaic"]["Licence"] == "CC0-1.0"
    assert cards["Mosaic"]["Cannot"] == "Influence, Detail, Provenance, Style Fit"
    shipped = cards["Starry Night"]
    assert "Cannot" not in shipped and shipped["Explains"].count(",") == 8
    assert shipped["Made By"] == "Learned from pictures, 3200 steps"
    assert shipped["Size"] == "Any, and large pictures show no seams"
    exact = addon.gallery.exactly("Starry Night")
    assert exact == "Style Starry Night: 197219 weights, sees 185 pixels", "for a bug report"
    assert addon.gallery.exactly("Mosaic").endswith("only [64, 64]") and not addon.gallery.exactly("Gone")
    assert cards["Brush"]["Folder"] == "Client A"
    assert cards["Terrazzo"]["Made By"].startswith("Learned from a material")


def card(addon: Any, style: Any) -> dict[str, str]:
    return {row.label: row.text for row in addon.gallery.card(style)}
