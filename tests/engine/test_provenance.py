"""Provenance: known places are found, repeated ones are not claimed, and the teacher's own match field agrees."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from engine import style_pack
from engine.errors import EngineError
from engine.explain import provenance
from engine.explain.overlay import Overlay
from engine.explain.provenance import PATCH, STEP, Reference
from engine.picture import Floats

SCALE = 0.5


def finished(work: Generator[float | Overlay, None, Overlay]) -> Overlay:
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Overlay = end.value
            return result


def blotches(seed: int, height: int = 96, width: int = 128) -> Floats:
    """A picture of which no place is like another."""
    rng = np.random.default_rng(seed)
    small = rng.random((3, height // 4, width // 4)).astype(np.float32)
    large = small.repeat(4, 1).repeat(4, 2)
    return provenance.softened(provenance.softened(large, 1), 2)


@pytest.fixture(scope="module")
def places() -> Reference:
    return Reference([blotches(1)], SCALE)


def shown(picture: Floats) -> Floats:
    """At the size of results"""
    return picture.repeat(2, 1).repeat(2, 2)


@pytest.mark.parametrize(("noise", "bar"), [(0.2, 0.99), (0.4, 0.95)])
def test_permuted_patches_under_noise_are_found_where_they_were(places: Reference, noise: float, bar: float) -> None:
    picture = places.pictures[0]
    rng = np.random.default_rng(0)
    down, across = (range(0, edge - PATCH + 1, PATCH) for edge in picture.shape[1:])
    tiles = [(y, x) for y in down for x in across]
    moved = picture.copy()
    order = rng.permutation(len(tiles))
    for (y, x), (from_y, from_x) in zip(tiles, (tiles[n] for n in order), strict=True):
        moved[:, y : y + PATCH, x : x + PATCH] = picture[:, from_y : from_y + PATCH, from_x : from_x + PATCH]
    moved = moved + rng.normal(0, noise * places.deviation, moved.shape).astype(np.float32)
    queries = np.stack([provenance.patches(moved[:, y : y + PATCH, x : x + PATCH], 1)[0, 0] for y, x in tiles])
    found = provenance.joined(list(places.find(queries)))
    truth = np.array([tiles[n] for n in order]) + PATCH / 2
    hits = (np.abs(found.row - truth[:, 0]) <= PATCH) & (np.abs(found.column - truth[:, 1]) <= PATCH)
    assert hits.mean() >= bar


def test_a_planted_part_of_the_style_picture_is_found_to_a_step(places: Reference) -> None:
    """Alone among strangers, in the middle of a result twice as large"""
    result = shown(blotches(2))
    result[:, 60:120, 80:160] = shown(places.pictures[0])[:, 20:80, 100:180]
    region = np.zeros(result.shape[1:], bool)
    region[80:100, 104:136] = True
    overlay = finished(provenance.provenance(places, result, region, False))
    u, v, confidence = overlay.pixels[region].T
    rows, columns = np.nonzero(region)
    height, width = (2 * edge for edge in places.pictures[0].shape[1:])
    assert np.abs(v * height - (rows - 40 + 0.5)).max() <= STEP / SCALE / 2 + 1
    assert np.abs(u * width - (columns + 20 + 0.5)).max() <= STEP / SCALE / 2 + 1
    assert confidence.min() > 0.2  # half a step beside the grid of patches
    assert overlay.bars[0].name == "top centre"
    assert not overlay.pixels[~region].any()
    assert overlay.beside is not None
    picture = places.pictures[0].transpose(1, 2, 0)
    kept = np.abs(overlay.beside - picture).max(axis=2) < 0.15  # in colour where those strokes lie
    assert kept[22:28, 64:74].mean() > 0.9
    assert kept[60:].mean() < 0.1
    assert overlay.certificate.faithful, overlay.certificate.checks


def test_repeated_patches_have_no_confidence() -> None:
    tile = blotches(3, 24, 24)
    wall = Reference([np.tile(tile, (1, 4, 5))], SCALE)
    overlay = finished(provenance.provenance(wall, shown(wall.pictures[0]), np.ones((192, 240), bool), False))
    inner = overlay.pixels[48:-48, 48:-48, 2]
    assert np.median(inner) < 0.05


def test_a_wall_of_one_colour_points_nowhere() -> None:
    flat = Reference([np.full((3, 64, 64), 0.5, np.float32)], SCALE)
    overlay = finished(
        provenance.provenance(flat, np.full((3, 64, 64), 0.5, np.float32), np.ones((64, 64), bool), False)
    )
    assert flat.chance == 0
    assert overlay.bars == ()
    assert "no place" in overlay.sentence
    assert not overlay.certificate.faithful


def test_patches_from_elsewhere_are_hardly_ever_surer_than_chance(places: Reference) -> None:
    def surer(picture: Floats) -> float:
        queries = provenance.patches(picture, 3).reshape(-1, 3 * PATCH * PATCH)
        return float((provenance.joined(list(places.find(queries))).confidence > places.chance).mean())

    rng = np.random.default_rng(7)
    own = places.pictures[0] + rng.normal(0, 0.2 * places.deviation, places.pictures[0].shape).astype(np.float32)
    assert surer(own) > 0.8
    assert surer(blotches(8)) < 0.05
    assert 0 < places.chance < 0.5


def test_only_what_is_surer_than_chance_has_mass(places: Reference) -> None:
    """A result of two halves: a part of the style picture, and nothing of it"""
    result = np.concatenate([shown(places.pictures[0])[:, :, :128], shown(blotches(8))[:, :, :128]], axis=2)
    overlay = next(
        step
        for step in provenance.provenance(places, result, np.ones(result.shape[1:], bool), False)
        if isinstance(step, Overlay)
    )
    picture = places.pictures[0]
    left = [float(provenance.mass(overlay, picture, chance=by)[:, :64].sum()) for by in (0.0, places.chance)]
    assert left[0] < 0.97 < 0.99 < left[1]
    assert provenance.mass(overlay, picture, chance=places.chance).sum() == pytest.approx(1, abs=1e-4)
    assert not provenance.mass(overlay, picture, chance=1.0).any()


def test_of_several_pictures_the_right_one_is_named() -> None:
    both = Reference([blotches(4), blotches(5, 64, 64)], SCALE)
    region = np.ones((96, 96), bool)
    overlay = finished(provenance.provenance(both, shown(both.pictures[1])[:, :96, :96], region, False))
    assert overlay.channels == ("u", "v", "confidence", "picture")
    assert overlay.pixels[16:-16, 16:-16, 3].mean() > 0.99
    assert overlay.bars[0].name.startswith("picture 2")
    masses = [float(provenance.mass(overlay, picture, n).sum()) for n, picture in enumerate(both.pictures)]
    assert masses[1] > 0.95
    assert sum(masses) == pytest.approx(1, abs=1e-4)


def test_a_tileable_result_is_seen_across_its_seam(places: Reference) -> None:
    result = np.roll(shown(places.pictures[0]), (40, 40), (1, 2))
    region = np.zeros(result.shape[1:], bool)
    region[:, :2] = True  # at the seam, which in the style picture is none
    seen = finished(provenance.provenance(places, result, region, True)).pixels[60:150, :2, 2]
    cut = finished(provenance.provenance(places, result, region, False)).pixels[60:150, :2, 2]
    assert seen.mean() > 1.5 * cut.mean()


def test_a_style_without_pictures_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="does not bring its style picture") as problem:
        provenance.need_pictures(style_pack.find("Fieldstone"))
    assert problem.value.fix


@pytest.mark.parametrize("name", ["Starry Night", "Painted Keyframe"])
def test_styles_that_ship_hold_a_small_picture(name: str) -> None:
    pack = style_pack.find(name)
    places = provenance.reference(pack)
    assert max(places.pictures[0].shape[1:]) <= 512
    assert provenance.planted(places, 0.2, np.random.default_rng(0)) >= 0.99
