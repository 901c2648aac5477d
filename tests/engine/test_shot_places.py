"""Where the camera stands, where another frame shows the same place, how objects moved: worlds with known answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import worlds

from engine.errors import EngineError
from engine.exr import ExrLayer, write_exr
from engine.motion import motion
from engine.passes import read_passes
from engine.shot.camera import Camera, fitted
from engine.shot.moves import moves
from engine.shot.surfaces import FAR, NOWHERE, Places, Pose, Surfaces, after, apply, inverse, places, surfaces

SIZE = (72, 96)
NOBODY = frozenset[int]()


def pixels_off(camera: Camera, true: Camera, points: np.ndarray) -> np.ndarray:
    """(N,): between where two cameras show points (3, N)"""
    (rows, columns), (others, other_columns) = camera.project(points), true.project(points)
    return np.hypot(rows - others, columns - other_columns)


def distances(found: Places, expected: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(N,) pixels, of what was found; places beyond the outermost pixels go to their middles"""
    height, width = found.found.shape
    rows, columns = np.clip(expected[0], 0, height - 1), np.clip(expected[1], 0, width - 1)
    return np.hypot(found.rows - rows, found.columns - columns)[found.found]


# ---------------------------------------------------------------- the camera


@pytest.fixture(scope="module")
def room() -> worlds.World:
    return worlds.room(worlds.orbiting())


def scattered(camera: Camera, size: tuple[int, int] = (200, 300)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A Position pass of points anywhere in front of a camera: (3, H, W), where there are any, and their depth"""
    random = np.random.default_rng(1)
    rows, columns = np.indices(size, np.float64)
    depth = random.uniform(2, 20, size)
    points = camera.directions(rows, columns) * depth
    eye = -np.linalg.inv(camera.matrix[:, :3]) @ camera.matrix[:, 3]
    return points + eye[:, None, None], np.ones(size, bool), depth


def test_a_camera_is_found_back() -> None:
    true = worlds.looking((3, -7, 2), (1, 0, 1), (200, 300))
    position, there, depth = scattered(true)
    found = fitted(position, there, depth)
    assert found is not None
    assert pixels_off(found, true, position.reshape(3, -1)).max() < 1e-6
    np.testing.assert_allclose(np.linalg.norm(found.matrix[2, :3]), 1)


@pytest.mark.parametrize("stored", [np.float16, np.float32])
def test_positions_as_files_hold_them(room: worlds.World, tmp_path: Path, stored: type) -> None:
    """The worst are half floats, of a metre that is a thousand of them"""
    seen = worlds.file_surfaces(room, tmp_path, 2, type_=stored)
    there = seen.objects != FAR
    off = pixels_off(seen.camera, room.camera(2), room.seen(2).position[:, there])
    assert np.median(off) < (0.15 if stored is np.float16 else 1e-4)


def test_pixels_that_show_something_else_do_not_matter() -> None:
    true = worlds.looking((0, -9, 4), (0, 0, 0), (120, 160))
    position, there, depth = scattered(true, (120, 160))
    wrong = position.copy()
    stray = np.random.default_rng(2).random(there.shape) < 0.15
    wrong[:, stray] += np.random.default_rng(3).normal(0, 2, (3, int(stray.sum())))
    wrong[:, :2, :40] = np.nan
    wrong[:, 3, :40] = np.inf
    found = fitted(wrong, there, depth)
    assert found is not None and pixels_off(found, true, position.reshape(3, -1)).max() < 0.01


def test_what_tells_of_no_camera() -> None:
    position, there, depth = scattered(worlds.looking((0, -9, 4), (0, 0, 0), (120, 160)), (120, 160))
    few = np.zeros_like(there)
    few[0, :63] = True
    noise = np.random.default_rng(0).random(position.shape)
    assert fitted(position, few, depth) is None
    assert fitted(position, np.zeros_like(there), depth) is None
    assert fitted(noise, there, depth) is None, "a panorama, a pass that is none"
    assert fitted(np.zeros_like(position), there, depth) is None
    assert fitted(np.full_like(position, np.nan), there, depth) is None
    rows, columns = np.indices(there.shape) / 40
    assert fitted(np.stack([columns, depth, rows]), there, depth) is None, "an orthographic camera"


def test_a_pixel_has_a_size() -> None:
    focal, width = 1.2, 300
    true = worlds.looking((3, -7, 2), (1, 0, 1), (200, width), focal)
    found = fitted(*scattered(true))
    assert found is not None
    np.testing.assert_allclose(found.pixel_size(np.float32([5, 10])), [5 / (focal * width), 10 / (focal * width)], 1e-5)


@pytest.mark.parametrize("stored", [np.float16, np.float32])
@pytest.mark.parametrize("ahead", [4.0, 0.001])
def test_a_flat_scene_tells_of_its_camera(tmp_path: Path, stored: type, ahead: float) -> None:
    """A floor, from the side and from straight above: many cameras would show it alike."""
    floor = worlds.Form("Floor", "plane", worlds.still(worlds.affine((0, 0, 0), (40, 40, 1))))
    world = worlds.World((floor,), lambda frame: worlds.looking((frame * 0.3, -ahead, 6), (0, 0, 0), SIZE), SIZE)
    now, then = (worlds.file_surfaces(world, tmp_path, frame, type_=stored) for frame in (0, 1))
    assert (now.objects == floor.id).all()
    np.testing.assert_allclose(now.pixel_size, world.surfaces(0).pixel_size, rtol=0.01)
    found = places(now, then, {}, {}, NOBODY)
    rows, columns = world.where(0, 1)
    inside = (rows > 0.1) & (rows < SIZE[0] - 1.1) & (columns > 0.1) & (columns < SIZE[1] - 1.1)
    assert found.found[inside].mean() > 0.99, f"{found.found[inside].mean():.3f}"
    assert np.median(distances(found, (rows, columns))) < (0.15 if stored is np.float16 else 0.01)


def test_the_sky_above_a_floor_is_followed(tmp_path: Path) -> None:
    """By the camera that the floor tells of"""

    def camera(frame: float) -> Camera:
        ahead = worlds.turned(0.05 * frame) @ np.array([0, 1, -0.1])
        return worlds.looking((0, -6, 2), np.array([0, -6, 2]) + ahead, SIZE)

    floor = worlds.Form("Floor", "plane", worlds.still(worlds.affine((0, 0, 0), (40, 40, 1))))
    world = worlds.World((floor,), camera, SIZE)
    now, then = (worlds.file_surfaces(world, tmp_path, frame) for frame in (0, 1))
    far = now.objects == FAR
    found = places(now, then, {}, {}, NOBODY)
    rows, columns = world.where(0, 1)
    assert far.sum() > 500 and found.found[far].mean() > 0.8
    assert np.median(np.hypot(found.rows - rows, found.columns - columns)[found.found & far]) < 0.02


def test_places_beyond_all_distance() -> None:
    camera = worlds.looking((3, -7, 2), (1, 0, 1), SIZE)
    rows, columns = np.indices(SIZE, np.float64)
    there, across = camera.project_far(camera.directions(rows, columns))
    np.testing.assert_allclose(there, rows, atol=1e-9)
    np.testing.assert_allclose(across, columns, atol=1e-9)


def test_nothing_behind_the_camera_is_seen() -> None:
    camera = worlds.looking((0, 0, 0), (0, 1, 0), SIZE)
    rows, columns = camera.project(np.array([[0.0, 0, 0], [5, -5, 0], [0, 0, 0]]))
    assert np.isfinite(rows[0]) and np.isnan(rows[1:]).all() and np.isnan(columns[1:]).all()


# ---------------------------------------------------------------- places


def test_still_things_are_found_where_they_are(room: worlds.World) -> None:
    now, then = room.surfaces(0), room.surfaces(5)
    found = places(now, then, {}, {}, NOBODY)
    expected = room.where(0, 5)
    assert distances(found, expected).max() < 0.01
    for form in room.forms:
        mine = visible(room, form, 0, 5)
        assert mine.sum() > 100 and found.found[mine].mean() > 0.97, form.name


def visible(world: worlds.World, form: worlds.Form, frame: int, then: int) -> np.ndarray:
    """(H, W): pixels of a form that the other frame shows, well inside of it"""
    rows, columns = world.where(frame, then)
    inside = (rows >= 1) & (rows <= world.size[0] - 2) & (columns >= 1) & (columns <= world.size[1] - 2)
    row, column = (np.where(inside, place, 1).astype(int) for place in (rows, columns))
    seen = world.seen(then)
    index = world.forms.index(form)
    around = [seen.form[row + down, column + across] == index for down in (-1, 0, 1, 2) for across in (-1, 0, 1, 2)]
    rest = np.stack([seen.rest[axis, row, column] for axis in range(3)])
    near = np.square(rest - world.seen(frame).rest).sum(axis=0) < 0.04
    return np.asarray((world.seen(frame).form == index) & inside & np.all(around, axis=0) & near)


def test_what_is_hidden_there_is_not_found(room: worlds.World) -> None:
    """Behind the box, and the other side of it: known by casting a ray"""
    now, then = room.surfaces(0), room.surfaces(12)
    found = places(now, then, {}, {}, NOBODY)
    rows, columns = (np.rint(place) for place in room.where(0, 12))
    inside = (rows >= 0) & (rows < SIZE[0]) & (columns >= 0) & (columns < SIZE[1])
    row, column = (np.where(inside, place, 0).astype(int) for place in (rows, columns))
    shown = room.seen(12).position[:, row, column]
    away = np.sqrt(np.square(shown - room.seen(0).position).sum(axis=0))
    surface = now.objects != FAR
    hidden = surface & (~inside | (away > 0.4))
    assert hidden.sum() > 300 and not found.found[hidden].any()


def test_an_object_is_never_found_on_another(room: worlds.World) -> None:
    """A picture that hangs on a wall: the same places, another object"""
    now = room.surfaces(0)
    other = now.objects.copy()
    other[20:40] = 77
    then = Surfaces(now.position, other, now.depth, now.camera)
    found = places(now, then, {}, {}, NOBODY)
    assert not found.found[20:40].any() and found.found[:20].all() and found.found[40:].all()


def test_a_frame_shows_all_of_itself(room: worlds.World, tmp_path: Path) -> None:
    """Up to its border, though rounding puts places a millionth of a pixel beyond"""
    seen = worlds.file_surfaces(room, tmp_path, 3, type_=np.float16)
    found = places(seen, seen, {}, {}, NOBODY)
    assert found.found.all()
    rows, columns = np.indices(SIZE)
    assert np.hypot(found.rows - rows, found.columns - columns).max() < 0.2, "half floats"
    assert found.rows.min() >= 0 and found.rows.max() <= SIZE[0] - 1 and found.columns.max() <= SIZE[1] - 1


def test_the_sky_turns_with_the_camera() -> None:
    """It is infinitely far away: going sideways moves nothing of it, turning does."""

    def camera(frame: float) -> Camera:
        ahead = worlds.turned(0.05 * frame) @ np.array([0, 1, 0.25])
        place = np.array([3.0 * frame, -6, 2])
        return worlds.looking(place, place + ahead, SIZE)

    world = worlds.World(worlds.room().forms, camera, SIZE)
    now, then = world.surfaces(0), world.surfaces(2)
    found = places(now, then, {}, {}, NOBODY)
    far = now.objects == FAR
    rows, columns = world.where(0, 2)
    assert found.found[far].sum() > 500
    inside = (rows >= 0) & (rows <= SIZE[0] - 1) & (columns >= 0) & (columns <= SIZE[1] - 1)
    assert np.hypot(found.rows - rows, found.columns - columns)[found.found & far & inside].max() < 0.001
    assert np.abs(columns - np.arange(SIZE[1]))[far].min() > 5
    empty = Surfaces(now.position, np.full(SIZE, NOWHERE), now.depth, now.camera)
    assert not places(empty, empty, {}, {}, NOBODY).found.any()


def moving() -> tuple[worlds.World, worlds.Form]:
    slider = worlds.sliding(0.25, 0.1)
    return worlds.room(worlds.orbiting(), slider=slider), slider


def pose(form: worlds.Form, frame: int, rest: int = 0) -> Pose:
    """By what is known of the form: back to frame 0"""
    start, now = (np.vstack([form.at(number), [0, 0, 0, 1]]) for number in (0, frame))
    return Pose(rest, (start @ np.linalg.inv(now))[:3])


def test_a_moving_object_is_followed_by_its_pose() -> None:
    world, slider = moving()
    now, then = world.surfaces(1), world.surfaces(5)
    mine = now.objects == slider.id
    unknown = places(now, then, {}, {}, NOBODY)
    assert unknown.found[mine].mean() < 0.2, "where it was, there is something else now"
    found = places(now, then, {slider.id: pose(slider, 1)}, {slider.id: pose(slider, 5)}, NOBODY)
    assert distances(found, world.where(1, 5)).max() < 0.01
    assert found.found[visible(world, slider, 1, 5)].mean() > 0.97
    assert (found.found[~mine] == unknown.found[~mine]).all()


def test_an_object_at_another_rest_is_not_found() -> None:
    world, slider = moving()
    now = world.surfaces(3)
    mine = now.objects == slider.id
    here = {slider.id: pose(slider, 3)}
    assert places(now, now, here, here, NOBODY).found[mine].all()
    for there in ({slider.id: pose(slider, 3, rest=1)}, {}):
        assert not places(now, now, here, there, NOBODY).found[mine].any()
        assert not places(now, now, there, here, NOBODY).found[mine].any()


def test_a_deforming_ball_is_followed_by_its_uv() -> None:
    blob = worlds.breathing()
    world = worlds.room(worlds.orbiting((144, 192), 0.01), (144, 192), blob=blob)
    now, then = world.surfaces(0), world.surfaces(1)
    still = {blob.id: Pose(0, np.eye(3, 4))}
    found = places(now, then, still, still, frozenset({blob.id}))
    mine = now.objects == blob.id
    rows, columns = world.where(0, 1)
    off = np.hypot(found.rows - rows, found.columns - columns)[found.found & mine]
    sides = np.abs(now.uv[0] - 0.5) < 0.25 if now.uv is not None else mine  # UV meet at the back
    inner = visible(world, blob, 0, 1) & sides
    assert found.found[inner].mean() > 0.95, f"{found.found[inner].mean():.3f}"
    assert np.median(off) < 0.01 and np.percentile(off, 95) < 0.08, f"{np.percentile(off, [50, 95, 100])}"
    rigid = places(now, then, still, still, NOBODY)
    wrong = np.hypot(rigid.rows - rows, rigid.columns - columns)[rigid.found & mine]
    assert np.median(wrong) > 5 * np.median(off), "as if it stood still"
    without = places(replace(now, uv=None), then, still, still, frozenset({blob.id}))
    assert not without.found[mine].any() and without.found[~mine].any()


@pytest.mark.parametrize("thing", [1, 2])
def test_objects_of_a_pixel_or_two(thing: int) -> None:
    """Nothing to take a slope of"""
    base = worlds.room().surfaces(0)
    objects = base.objects.copy()
    objects[10, 10 : 10 + thing] = 99
    uv = np.random.default_rng(0).random((2, *SIZE), np.float32)
    tiny = Surfaces(base.position, objects, base.depth, base.camera, uv)
    still = {99: Pose(0, np.eye(3, 4))}
    for deforming in (NOBODY, frozenset({99})):
        with np.errstate(all="raise", under="ignore"):
            found = places(tiny, tiny, still, still, deforming)
        assert np.isfinite(found.rows).all() and np.isfinite(found.columns).all()
    with np.errstate(divide="raise", over="raise"):
        most, _ = found.scales(objects)
    assert most.shape == SIZE


def test_scales_of_a_zoom() -> None:
    """A camera with twice the focal length: a pixel here is two there; turned about its axis it stays one."""
    wall = worlds.Form("Wall", "plane", worlds.still(worlds.affine((0, 0, 0), (60, 60, 1))))
    near, far = (worlds.looking((0, -0.01, 9), (0, 0, 0), SIZE, focal) for focal in (2.4, 1.2))
    zoom = worlds.World((wall,), lambda frame: near if frame else far, SIZE)
    found = places(zoom.surfaces(0), zoom.surfaces(1), {}, {}, NOBODY)
    most, least = found.scales(zoom.ids(0))
    inner = found.found & np.isfinite(most)
    assert inner.sum() > 1000
    np.testing.assert_allclose(most[inner], 2, atol=1e-3)
    np.testing.assert_allclose(least[inner], 2, atol=1e-3)
    assert np.isnan(most[~found.found]).all()
    rows, columns = np.indices(SIZE, np.float32)
    stretched = Places(rows * 3, columns * 0.5, np.ones(SIZE, bool))
    for spans, expected in zip(stretched.scales(zoom.ids(0)), (3, 0.5), strict=True):
        np.testing.assert_allclose(spans, expected, rtol=1e-5)


@pytest.mark.parametrize("step", [2, 3, 5])
def test_reduced_frames_say_the_same(room: worlds.World, step: int) -> None:
    now, then = room.surfaces(0), room.surfaces(4)
    small, other = now.reduced(step), then.reduced(step)
    first = step // 2
    np.testing.assert_array_equal(small.objects, now.objects[first::step, first::step])
    rows, columns = small.camera.project(small.position.astype(np.float64))
    there = small.objects != FAR
    row, column = np.indices(small.size)
    assert np.hypot(rows - row, columns - column)[there].max() < 1e-3, "its camera shows its own pixels where they are"
    found, full = places(small, other, {}, {}, NOBODY), places(now, then, {}, {}, NOBODY)
    whole_rows, whole_columns = (place[first::step, first::step] for place in (full.rows, full.columns))
    both = found.found & full.found[first::step, first::step]
    for place, length in zip((found.rows, found.columns), small.size, strict=True):
        both &= (place > 0) & (place < length - 1)  # at the border they go to the middles of other pixels
    assert both.mean() > 0.6
    assert np.abs(found.rows - (whole_rows - first) / step)[both].max() < 1e-3
    assert np.abs(found.columns - (whole_columns - first) / step)[both].max() < 1e-3


def test_moves_one_after_the_other() -> None:
    first = np.hstack([worlds.turned(0.7, "x"), [[1], [2], [3]]])
    second = np.hstack([worlds.turned(-1.1, "z"), [[0], [-4], [1]]])
    points = np.random.default_rng(0).random((3, 20))
    np.testing.assert_allclose(apply(after(second, first), points), apply(second, apply(first, points)), atol=1e-12)
    np.testing.assert_allclose(apply(inverse(first), apply(first, points)), points, atol=1e-12)


# ---------------------------------------------------------------- files


def test_passes_that_are_needed_are_named(room: worlds.World, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Position") as caught:
        worlds.file_surfaces(room, tmp_path, 0, passes=("Depth", "Vector"))
    assert "View Layer" in caught.value.fix
    path = room.write(tmp_path / "a.exr", 0, passes=("Depth",))
    noise = np.random.default_rng(0).random((*SIZE, 3), np.float32)
    layers = [*read_passes(path).file.layers.values(), ExrLayer.of("ViewLayer.Position", noise, tuple("XYZ"))]
    write_exr(path, layers)
    with pytest.raises(EngineError, match="where the camera stands") as caught:
        surfaces(read_passes(path))
    assert "perspective camera" in caught.value.fix


def test_nothing_that_is_broken_in_a_pass_spreads(room: worlds.World, tmp_path: Path) -> None:
    """NaN and infinity in Position, Depth and UV: their pixels are not found, all others are."""
    path = room.write(tmp_path / "a.exr", 0)
    layers = dict(read_passes(path).file.layers)
    for name, values in (("Position", "X"), ("Depth", "Z"), ("UV", "U")):
        plane = layers[f"ViewLayer.{name}"].planes[values].copy()
        plane[50, 10:20], plane[50, 20:30] = np.nan, np.inf
        layers[f"ViewLayer.{name}"] = replace(
            layers[f"ViewLayer.{name}"], planes={**layers[f"ViewLayer.{name}"].planes, values: plane}
        )
    write_exr(path, list(layers.values()))
    broken = surfaces(read_passes(path))
    now = room.surfaces(1)
    things = frozenset(np.unique(now.objects).tolist()) - {FAR}
    still = {thing: Pose(0, np.eye(3, 4)) for thing in things}
    whole = places(now, room.surfaces(0), {}, {}, NOBODY)
    found = places(now, broken, {}, {}, NOBODY)
    assert (found.found <= whole.found).all() and whole.found.sum() - found.found.sum() < 40
    for deforming in (NOBODY, things):
        back = places(broken, now, still, still, deforming)
        assert np.isfinite(back.rows).all() and np.isfinite(back.columns).all()


# ---------------------------------------------------------------- moves


def told(world: worlds.World, folder: Path, frame: int, **options: type) -> dict:
    before, now = (world.passes(folder, number, **options) for number in (frame - 1, frame))
    return moves(surfaces(before), surfaces(now), motion(before, now))


@pytest.mark.parametrize(("stored", "within"), [(np.float32, 0.002), (np.float16, 0.02)])
def test_turning_and_shifting_is_recovered(tmp_path: Path, stored: type, within: float) -> None:
    world, slider = moving()
    found = told(world, tmp_path, 2, type_=stored)
    assert found[slider.id].rigid and found[slider.id].matrix is not None
    back = after(pose(slider, 2).matrix, inverse(np.eye(3, 4)))
    true = after(inverse(pose(slider, 1).matrix), back)
    mine = world.seen(2).position[:, world.ids(2) == slider.id]
    off = np.sqrt(np.square(apply(found[slider.id].matrix, mine) - apply(true, mine)).sum(axis=0))
    assert off.max() < within, "metres"
    np.testing.assert_allclose(found[slider.id].matrix[:, :3] @ found[slider.id].matrix[:, :3].T, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("camera", [None, worlds.orbiting((144, 192))])
def test_what_stands_still_does_not_move(tmp_path: Path, camera: object) -> None:
    """Whatever the camera does"""
    world = worlds.room(camera, (144, 192))  # type: ignore[arg-type]
    found = told(world, tmp_path, 1)
    assert {form.id for form in world.forms} == set(found)
    assert all(move.matrix is None and move.rigid for move in found.values())


def test_a_breathing_ball_deforms(tmp_path: Path) -> None:
    blob = worlds.breathing()
    world = worlds.room(None, (144, 192), blob=blob, slider=worlds.sliding(0.1))
    found = told(world, tmp_path, 1)
    assert not found[blob.id].rigid
    assert all(move.rigid for thing, move in found.items() if thing != blob.id)


def test_nothing_is_told_of_what_is_hardly_seen(tmp_path: Path) -> None:
    """Twenty-nine pixels are too few, thirty are enough."""
    world = worlds.room()
    before, now = (world.passes(tmp_path, frame) for frame in (0, 1))
    way, seen = motion(before, now), surfaces(now)
    floor = np.flatnonzero((way.visible & (seen.objects == world.forms[0].id)).ravel())
    for count, expected in ((29, False), (30, True)):
        objects = seen.objects.copy()
        objects.flat[floor[:count]] = 99
        assert (99 in moves(surfaces(before), replace(seen, objects=objects), way)) is expected
