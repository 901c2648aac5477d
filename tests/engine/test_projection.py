"""A texture from views: known answers, told by a ray caster that shows every view exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from meshes import SIX, box, boxed, cameras, made, places_of, plane, request, texture_source, views, waves
from worlds import Form, affine, looking, still

from engine.errors import EngineError
from engine.projection.blending import Look, Shared, best_places, looked_at
from engine.projection.gone_on import gone_on
from engine.projection.job import project
from engine.projection.sight import Painted, open_sight
from engine.projection.texels import Mesh, Texels, laid_out, read_mesh, with_margin
from engine.protocol import MeshBlock, Progress, StylizeSettings
from engine.shot.camera import Camera

SIZE = (192, 192)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_styles.identity(tmp_path_factory.mktemp("styles") / "identity")


@pytest.fixture(scope="module")
def brush(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_styles.brush(tmp_path_factory.mktemp("styles") / "brush")


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A box, seen from all sides"""
    return views(tmp_path_factory.mktemp("six"), [boxed()], cameras(SIX, SIZE))


def shown(where: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    """What the texels of `where` should be (n, 3)"""
    return waves(places_of(size))[where]


def mesh_of(corners: np.ndarray) -> Mesh:
    return Mesh(corners[..., :3], corners[..., 3:6], corners[..., 6:])


# ---------------------------------------------------------------- the surface, texel by texel


def test_each_texel_of_a_plane_shows_its_place() -> None:
    texels = laid_out(mesh_of(plane()), (8, 16))
    u, v = places_of((8, 16)).reshape(2, -1)
    assert texels.covered.all()
    expected = np.stack([2 * u - 1, 2 * v - 1, 0 * u])[:, texels.index]
    assert np.allclose(texels.positions, expected, atol=1e-6)
    assert np.allclose(texels.normals, [[0], [0], [1]])
    assert np.allclose(texels.edge, np.sqrt(2 / 8 * 2 / 16))


def test_random_triangles_are_filled_as_their_edges_say() -> None:
    """Against the definition: a texel belongs to a triangle when its middle is on the inner side of all edges."""
    rng = np.random.default_rng(3)
    uv = rng.random((40, 3, 2))
    corners = np.zeros((1, 3, 8), np.float32)
    columns, rows = np.meshgrid(np.arange(50) + 0.5, np.arange(30) + 0.5)
    for corner_uv in uv:
        corners[0, :, 6:] = corner_uv
        points = corners[0, :, 6:].astype(np.float64) * [50, -30] + [0, 30]
        sides = []
        for a, b in ((0, 1), (1, 2), (2, 0)):
            (x, y), (dx, dy) = points[a], points[b] - points[a]
            sides.append(dx * (rows - y) - dy * (columns - x))
        inside = (np.stack(sides) >= 0).all(axis=0) | (np.stack(sides) <= 0).all(axis=0)
        covered = laid_out(mesh_of(corners), (30, 50)).covered if inside.any() else np.zeros((30, 50), bool)
        assert (covered == inside).all()


def test_uv_beyond_the_texture_repeat_it() -> None:
    moved = plane()
    moved[..., 6] += 3
    moved[..., 7] -= 2.5
    texels, plain = laid_out(mesh_of(moved), (8, 7)), laid_out(mesh_of(plane()), (8, 7))
    assert texels.covered.all()
    where = np.argsort(texels.index)
    expected = np.roll(plain.positions[:, np.argsort(plain.index)].reshape(3, 8, 7), 4, axis=1)
    assert np.allclose(texels.positions[:, where].reshape(3, 8, 7), expected, atol=1e-5)


def test_edges_that_triangles_share_are_no_overlap() -> None:
    """The diagonal of a square goes through the middles of its texels: they lie in both triangles."""
    texels = laid_out(mesh_of(plane()), (16, 16))
    assert len(texels) > 256 and not len(texels.overlapping())


def test_an_overlap_is_found_texel_by_texel() -> None:
    second = plane(affine((0, 0, 3)))
    second[..., 6] = 0.5 + second[..., 6] / 2  # on the right half of the first
    texels = laid_out(mesh_of(np.concatenate([plane(), second])), (16, 16))
    rows, columns = np.divmod(texels.overlapping(), 16)
    assert set(columns) == set(range(8, 16)) and set(rows) == set(range(16)) and len(rows) == 128


def test_uv_for_tiling_are_refused() -> None:
    many = plane()
    many[..., 6:] *= 40
    with pytest.raises(EngineError, match="covers the texture 1600 times"):
        laid_out(mesh_of(many), (16, 16))


def test_a_mesh_without_uv_is_refused() -> None:
    flat = plane()
    flat[..., 6:] = 0.3
    with pytest.raises(EngineError, match="covers none of the texture"):
        laid_out(mesh_of(flat), (16, 16))


def test_a_broken_mesh_is_refused(tmp_path: Path) -> None:
    plane().tofile(tmp_path / "mesh.raw")
    with pytest.raises(EngineError, match="no mesh"):
        read_mesh(MeshBlock(str(tmp_path / "mesh.raw"), 5))
    nowhere = plane()
    nowhere[0, 0, 0] = np.nan
    nowhere.tofile(tmp_path / "mesh.raw")
    with pytest.raises(EngineError, match="nowhere"):
        read_mesh(MeshBlock(str(tmp_path / "mesh.raw"), 2))
    with pytest.raises(EngineError, match=r"gone\.raw"):
        read_mesh(MeshBlock(str(tmp_path / "gone.raw"), 2))


def test_a_margin_is_as_wide_as_asked() -> None:
    covered = np.zeros((20, 20), bool)
    covered[8:12, 8:12] = True
    pixels = np.zeros((20, 20, 3), np.float32)
    pixels[covered] = [0.2, 0.4, 0.6]
    with_margin(pixels, covered, 3)
    grown = np.zeros((20, 20), bool)
    grown[5:15, 5:15] = True
    assert (pixels[grown] == np.float32([0.2, 0.4, 0.6])).all() and not pixels[~grown].any()


# ---------------------------------------------------------------- identity: the texture comes back


def test_a_box_seen_from_all_sides_gets_its_texture_back(six: Any, identity: Path, tmp_path: Path) -> None:
    texture, overlay, event = made(request(tmp_path, box(), six, identity))
    covered = overlay[..., 0] > 0
    assert covered.mean() == 0.875  # the map of the test's box leaves a tenth free
    error = np.abs(texture[covered] - shown(covered))
    assert error.mean() < 0.003 and error.max() < 0.02
    assert set(np.unique(overlay[covered][:, 0])) == {1, 2, 3, 4, 5, 6}
    assert event.layers[1].sentence == "100 % of the surface is seen by 6 views."
    assert event.layers[1].certificate and event.layers[1].certificate.faithful
    assert event.recipe["projection"]["seen"] == pytest.approx(1, abs=1e-3)


def test_strength_0_gives_any_style_the_texture_back(six: Any, brush: Path, tmp_path: Path) -> None:
    asked = request(tmp_path, box(), six, brush)
    texture, overlay, _ = made(replace(asked, settings=replace(asked.settings, strength=0.0)))
    covered = overlay[..., 0] > 0
    assert np.abs(texture[covered] - shown(covered)).max() < 0.02


def test_a_turned_and_stretched_box_gets_it_back_too(identity: Path, tmp_path: Path) -> None:
    at = affine((0.3, -0.2, 0.1), (0.8, 1.3, 1.0), 0.7)
    seen_by = cameras([(4, 3, 2), (-4, 3, 2), (-3, -4, 2), (3, -4, -2), (1, 1, 5), (1, 1, -5)], (256, 256))
    seen = views(tmp_path, [boxed(at)], seen_by, size=(256, 256))
    texture, overlay, _ = made(request(tmp_path, box(at), seen, identity))
    covered = overlay[..., 0] > 0
    error = np.abs(texture[covered] - shown(covered))
    assert error.mean() < 0.002 and np.quantile(error, 0.99) < 0.01  # the rest: pixels on edges show two faces


def test_an_orthographic_camera_counts_too(identity: Path, tmp_path: Path) -> None:
    """From so far away that a perspective camera shows what an orthographic one shows"""
    far = looking((0, 0.001, 4000), (0, 0, 0), SIZE, focal=1600)
    seen = views(tmp_path, [Form("Plane", "plane", still(affine()))], [far])
    depth = far.matrix[2] @ [0, 0, 0, 1]
    matrix = far.matrix.copy()
    matrix[:2] -= np.outer(matrix[:2] @ [0, 0, 0, 1] / depth, matrix[2])  # through the origin
    matrix[:2] /= depth
    matrix[:2, 3] += [(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2]
    matrix[2] = [0, 0, 0, 1]
    flat = replace(seen[0], matrix=tuple(matrix.ravel()))
    texture, overlay, _ = made(request(tmp_path, plane(), [flat], identity))
    covered = overlay[..., 0] > 0
    assert covered.mean() > 0.98
    assert np.abs(texture[covered] - shown(covered)).max() < 0.03


def test_turned_normals_do_not_matter(six: Any, identity: Path, tmp_path: Path) -> None:
    inside_out = box()
    inside_out[..., 3:6] *= -1
    turned, plain = (
        made(request(tmp_path / name, mesh, six, identity))[0] for name, mesh in (("a", inside_out), ("b", box()))
    )
    assert np.array_equal(turned, plain)


# ---------------------------------------------------------------- who sees what


def test_what_a_view_cannot_see_gets_nothing_of_it(six: Any, identity: Path, tmp_path: Path) -> None:
    texels = laid_out(mesh_of(box()), SIZE)
    sight = sight_of(six[0])  # from +x
    look = looked_at(sight, texels)
    assert (texels.positions[0, look.which] > 0.999).all(), "only the face that it looks at"
    face = np.flatnonzero(texels.positions[0] > 0.9999)
    assert len(look.which) > 0.98 * len(face)


def test_what_stands_before_the_mesh_hides_it(identity: Path, tmp_path: Path) -> None:
    """A small plane floats before a large one; its shadow, as a camera throws it, is not painted."""
    before = Form("Before", "plane", still(affine((0, 0, 1), (0.3, 0.3, 1))))
    camera = looking((0.01, 0, 5), (0, 0, 0), SIZE)
    seen = views(tmp_path, [Form("Plane", "plane", still(affine())), before], [camera])
    texture, overlay, event = made(request(tmp_path, plane(), seen, identity))
    hidden = (np.abs(places_of(SIZE) * 2 - 1).max(axis=0)) < 0.3 * 5 / 4 - 0.03
    around = (np.abs(places_of(SIZE) * 2 - 1).max(axis=0)) > 0.3 * 5 / 4 + 0.03
    assert not overlay[hidden].any()
    assert (overlay[around][:, 0] == 1).mean() > 0.98
    error = np.abs(texture[around] - shown(around))
    assert error.mean() < 0.004 and error.max() < 0.08  # most at the border of the frame, where colours go on
    assert event.recipe["projection"]["seen"] == pytest.approx(1 - (0.3 * 5 / 4) ** 2, abs=0.01)


def test_a_thin_wall_is_not_painted_through(identity: Path, tmp_path: Path) -> None:
    """Thinner than the tolerance of the test of places: what points away is another side."""
    at = affine((0, 0, 0), (1, 1, 0.004))
    seen = views(tmp_path, [boxed(at)], [looking((0.01, 0, 5), (0, 0, 0), SIZE)])
    texels = laid_out(mesh_of(box(at)), SIZE)
    look = looked_at(sight_of(seen[0]), texels)
    assert (texels.normals[2, look.which] > 0.9).mean() > 0.97
    assert not (texels.normals[2, look.which] < 0).any()


def test_a_place_belongs_to_the_view_that_shows_it_best(identity: Path, tmp_path: Path) -> None:
    """One from the front, one 60 degrees aslant, as far away: and one from the front, twice as far."""
    places = [(0.01, 0, 4), (4 * 0.866, 0, 2), (0.01, 0, 8)]
    seen = views(tmp_path, [Form("Plane", "plane", still(affine()))], cameras(places, SIZE))
    _, overlay, _ = made(request(tmp_path, plane(), seen, identity))
    inner = overlay[20:-20, 20:-20]
    assert (inner[..., 0] == 1).all() and inner[..., 1].min() > 0.99
    texels = laid_out(mesh_of(plane()), SIZE)
    looks = [looked_at(sight_of(view), texels) for view in seen]
    middle = np.argmin(np.square(texels.positions).sum(axis=0))
    quality, score = (
        [float(values[look.which == middle][0]) for look in looks for values in [getattr(look, name)]]
        for name in ("quality", "score")
    )
    assert quality == pytest.approx([1, 0.5, 1], abs=0.01)
    assert score[1] / score[0] == pytest.approx(0.5, abs=0.01) and score[2] / score[0] == pytest.approx(0.5, abs=0.01)


def test_where_two_show_a_place_alike_they_share_it_narrowly() -> None:
    """Strokes change hands within a fifth of what colours at large take."""
    count = 1001
    texels = Texels(
        (1, count),
        np.arange(count),
        np.zeros((3, count), np.float32),
        np.zeros((3, count), np.float32),
        np.ones(count, np.float32),
    )
    at = np.linspace(0, 1, count, dtype=np.float32)
    whole = np.arange(count)
    zero = np.zeros(count, np.float32)
    looks = tuple(Look(whole, np.ones(count, np.float32), score, zero, zero) for score in (1.5 - at, 0.5 + at))
    shared = Shared(texels, looks, (flat_view(), flat_view()))
    for shares in (shared.narrow, shared.wide):
        assert np.allclose(shares[0] + shares[1], 1, atol=1e-6)
        assert shares[0][0] > shares[0][-1] and shares[0][count // 2] == pytest.approx(0.5, abs=1e-3)
    mixed_narrow, mixed_wide = (
        ((shares[0] > 0.1) & (shares[0] < 0.9)).mean() for shares in (shared.narrow, shared.wide)
    )
    assert 0 < mixed_narrow < 0.2 * mixed_wide


def flat_view() -> Painted:
    grey = np.full((3, 64, 64), 0.5, np.float32)
    return Painted(sight_like(64), grey, grey)


def sight_like(size: int) -> Any:
    from engine.picture import Picture
    from engine.projection.sight import Sight

    camera = Camera(np.array([[64.0, 0, 32, 0], [0, 64, 32, 0], [0, 0, 1, 0]]))
    position = np.ones((3, size, size), np.float32)
    depth = np.ones((size, size), np.float32)
    return Sight("Flat", camera, position, depth, Picture(np.zeros((size, size, 3), np.float32), "linear"))


def sight_of(view: Any) -> Any:
    from engine.passes import read_passes

    return open_sight(view, read_passes(view.path), "Combined", 1.0)


# ---------------------------------------------------------------- a style that paints


def test_the_same_place_has_the_same_colour_on_both_sides_of_a_seam(six: Any, brush: Path, tmp_path: Path) -> None:
    """The UV of the box are cut at all its edges; those of this one twice more within its faces."""
    cut = box()
    cut[6:8, :, 6:] = cut[6:8, :, 6:] * [1, 0.5]  # half as high: its texels are others, its places are not
    plain, moved = (
        made(request(tmp_path / name, mesh, six, brush, width=384, height=384))
        for name, mesh in (("plain", box()), ("cut", cut))
    )
    u, v = places_of((384, 384))
    face = (u > 3.1 / 6) & (u < 3.9 / 6) & (v > 0.1) & (v < 0.4)
    rows, columns = np.nonzero(face)
    there = plain[0][rows, columns]
    # the same place on the other map: v there is half of v here
    low = 384 * (1 - (v[rows, columns] / 2)) - 0.5
    first = np.floor(low).astype(int)
    share = (low - first)[:, None]
    here = moved[0][first, columns] * (1 - share) + moved[0][first + 1, columns] * share
    assert np.abs(here - there).mean() < 0.02


def test_strokes_are_those_of_the_view(six: Any, brush: Path, tmp_path: Path) -> None:
    """A face that one view alone shows is what the style painted of that view, pixel by pixel."""
    texture, overlay, event = made(request(tmp_path, box(), six, brush))
    mine = overlay[..., 0] == 1
    assert overlay[mine][:, 1].min() > 0.999
    from engine.mixing import open_styles
    from engine.painter import Opened, Painting
    from engine.passes import read_passes
    from engine.protocol import PictureSource, StyleShare

    sight = sight_of(six[0])
    styles = open_styles(StylizeSettings((StyleShare(str(brush)),), device="cpu"), lambda _: None)
    source = PictureSource("View", path=six[0].path)
    mix = styles.over(source, sight.picture, read_passes(six[0].path))
    painted = np.clip(
        Painting(styles, Opened(source, sight.picture, sight.picture, None), mix).canvas().read(0, 0, *SIZE), 0, 1
    )
    texels = laid_out(mesh_of(box()), SIZE)
    rows, columns = sight.camera.project(texels.positions.astype(np.float64))
    inner = np.flatnonzero(mine.ravel()[texels.index] & (np.abs(texels.positions[1:]).max(axis=0) < 0.9))
    expected = painted[:, np.rint(rows[inner]).astype(int), np.rint(columns[inner]).astype(int)]
    found = texture.reshape(-1, 3)[texels.index[inner]].T
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.97
    assert event.seconds["inference"] > 0


def test_views_that_disagree_say_so(brush: Path, tmp_path: Path) -> None:
    places = [(1.5, 0, 4), (-1.5, 0, 4)]
    seen = views(tmp_path, [Form("Plane", "plane", still(affine()))], cameras(places, SIZE))
    _, _, event = made(request(tmp_path, plane(), seen, brush))
    found = event.recipe["projection"]
    assert 0.01 < found["strokes"] < 0.5 and found["colours"] < found["strokes"]
    assert "Where several see a place their strokes differ by" in event.layers[1].sentence


# ---------------------------------------------------------------- what no view sees


def test_what_no_view_sees_is_its_own_texture(six: Any, identity: Path, tmp_path: Path) -> None:
    source = texture_source(tmp_path / "flat.png", waves(places_of(SIZE)))
    texture, overlay, event = made(request(tmp_path, box(), six[:5], identity, texture=source))
    below = (places_of(SIZE)[0] > 4.06 / 6) & (places_of(SIZE)[0] < 4.94 / 6)
    assert not overlay[below].any()
    assert np.abs(texture[below] - shown(below)).max() < 0.01
    assert "83 % of the surface" in event.layers[1].sentence
    assert "painted from the texture as it lies flat" in event.layers[1].sentence


def test_that_texture_is_painted_in_the_style(six: Any, brush: Path, tmp_path: Path) -> None:
    source = texture_source(tmp_path / "flat.png", waves(places_of(SIZE)))
    texture, _, _ = made(request(tmp_path, box(), six[:5], brush, texture=source))
    below = (places_of(SIZE)[0] > 4.06 / 6) & (places_of(SIZE)[0] < 4.94 / 6)
    assert np.abs(texture[below] - shown(below)).mean() > 0.03


def test_without_a_texture_the_colours_around_go_on(identity: Path, tmp_path: Path) -> None:
    """A plane of one colour, half of it hidden"""

    def even(uv: np.ndarray) -> np.ndarray:
        return np.broadcast_to([0.2, 0.5, 0.7], (*uv.shape[1:], 3)).copy()

    before = Form("Before", "plane", still(affine((0, 0, 1), (0.3, 0.3, 1))))
    forms = [Form("Plane", "plane", still(affine())), before]
    seen = views(tmp_path, forms, [looking((0.01, 0, 5), (0, 0, 0), SIZE)], even)
    texture, _, event = made(request(tmp_path, plane(), seen, identity))
    assert np.abs(texture - [0.2, 0.5, 0.7]).max() < 0.01
    assert "painted from the colours around it" in event.layers[1].sentence


def test_overlapping_uv_are_said_and_take_the_place_that_is_seen(six: Any, identity: Path, tmp_path: Path) -> None:
    """The lower face lies on the upper one's texels; no view sees it."""
    folded = box()
    upper, lower = folded[10:12], folded[8:10]
    lower[..., 6] += 1 / 6
    texture, overlay, event = made(request(tmp_path, folded, six[:5], identity))
    mine = (places_of(SIZE)[0] > 5.06 / 6) & (places_of(SIZE)[0] < 5.94 / 6)
    assert upper[..., 6].min() == pytest.approx(lower[..., 6].min(), abs=1e-6)
    assert (overlay[mine][:, 0] == 5).all() and np.abs(texture[mine] - shown(mine)).max() < 0.02
    assert event.recipe["projection"]["overlap"] == pytest.approx(0.2, abs=0.01)
    assert "20 % of what the UV map covers shows several places of the surface alike" in event.layers[1].sentence


def test_of_several_places_the_best_seen_is_kept() -> None:
    index = np.array([5, 7, 5, 5, 9])
    texels = Texels((4, 4), index, np.zeros((3, 5), np.float32), np.zeros((3, 5), np.float32), np.ones(5, np.float32))
    quality = np.float32([0.2, 0.5, 0.9])
    look = Look(np.array([0, 1, 2]), quality, quality, quality, quality)
    kept, (found,) = best_places(texels, [look])
    assert sorted(kept.index) == [5, 7, 9] and len(kept) == 3
    assert dict(zip(kept.index[found.which], found.quality, strict=True)) == {7: np.float32(0.5), 5: np.float32(0.9)}


# ---------------------------------------------------------------- the job


def test_files_are_written_where_they_are_asked_for(six: Any, identity: Path, tmp_path: Path) -> None:
    asked = request(tmp_path, box(), six, identity, deliver="files", width=64, height=32)
    events = list(project(asked))
    event = next(event for event in events if type(event).__name__ == "Stylized")
    from engine.files import open_picture

    assert Path(event.path).name == "thing_identity_views.png"
    assert (open_picture(event.path).width, open_picture(event.path).height) == (64, 32)
    assert [layer.name for layer in event.layers] == ["Stylized", "Attribution.Views"]
    said = [event for event in events if isinstance(event, Progress)]
    assert [event.fraction for event in said] == sorted(event.fraction for event in said) and said[-1].fraction == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"views": ()}, "no view"),
        ({"width": 8}, "8 x 192"),
        ({"margin": 1000}, "margin"),
        ({"deliver": "mail"}, "mail"),
    ],
)
def test_wrong_requests_are_refused(six: Any, identity: Path, tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        list(project(request(tmp_path, box(), six, identity, **change)))


def test_a_view_without_passes_is_refused(six: Any, identity: Path, tmp_path: Path) -> None:
    texture_source(tmp_path / "flat.png", waves(places_of((32, 32))))
    plain = replace(six[0], path=str(tmp_path / "flat.png"))
    with pytest.raises(EngineError, match="'View 0' has no passes"):
        list(project(request(tmp_path, box(), [plain], identity)))
    asked = request(tmp_path, box(), six, identity)
    with pytest.raises(EngineError, match="DiffCol"):
        list(project(replace(asked, settings=replace(asked.settings, painted_pass="DiffCol"))))


def test_the_same_request_gives_the_same_texture(six: Any, brush: Path, tmp_path: Path) -> None:
    first, second = (made(request(tmp_path / name, box(), six, brush))[0] for name in "ab")
    assert np.array_equal(first, second)


@pytest.mark.parametrize("size", [(40, 56), (37, 51), (1, 9)])
def test_colours_go_on_smoothly_and_stay_where_they_are(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).random((*size, 3), np.float32)
    known = np.zeros(size, bool)
    known[:, : size[1] // 3] = True
    found = gone_on(pixels, known)
    assert np.array_equal(found[known], pixels[known])
    assert found.min() >= 0 and found[~known].max() <= pixels[known].max()
    assert found[~known].std() < pixels[known].std()
    assert not gone_on(pixels, np.zeros(size, bool)).any()
    assert np.allclose(gone_on(np.ones_like(pixels), known), 1, atol=1e-5)
