"""The patch teacher: its search against brute force, its guide and its match field against known answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.training.teacher import (
    Exemplar,
    Guide,
    Painting,
    PatchSpace,
    TeacherConfig,
    Tile,
    average,
    blur,
    coherent,
    cut,
    lay,
    nearest_both_ways,
    nearest_patches,
    paint,
    patches,
    positions,
)

QUICK = TeacherConfig(levels=(0.5, 1.0), rounds=(1, 2), keys=2000, jitter=0.0)


def random_picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def painted(
    content: torch.Tensor, *style: Exemplar, config: TeacherConfig = QUICK, seed: int = 0, **beside
) -> Painting:
    guide = Guide([content], style, config)
    return paint(content, style, guide, config, torch.Generator().manual_seed(seed), **beside)


@given(st.integers(7, 40), st.integers(7, 40), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_average_of_a_pictures_own_patches_is_the_picture(height: int, width: int, stride: int) -> None:
    picture = random_picture(height, width)
    again = average(
        patches(picture, 7, stride), (height, width), 7, *(positions(s, 7, stride) for s in picture.shape[1:])
    )
    torch.testing.assert_close(again, picture)


@given(st.integers(1, 700), st.integers(1, 2500))
@settings(max_examples=10, deadline=None)
def test_block_search_equals_brute_force(queries: int, keys: int) -> None:
    random = torch.Generator().manual_seed(queries * 3000 + keys)
    q, k = torch.rand(queries, 12, generator=random), torch.rand(keys, 12, generator=random)
    brute = torch.cdist(q, k, compute_mode="donot_use_mm_for_euclid_dist").square()
    best, served = nearest_both_ways(q, k)
    torch.testing.assert_close(best, brute.amin(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(served, brute.amin(0), atol=1e-4, rtol=1e-4)
    weighted = brute / (0.3 * brute.amin(1).median() + brute.amin(0))
    taken = weighted.gather(1, nearest_patches(q, k, 0.3)[:, None])[:, 0]
    torch.testing.assert_close(taken, weighted.amin(1), atol=1e-3, rtol=1e-3)


def test_low_completeness_uses_more_of_the_style() -> None:
    """All queries prefer one key; the normalised search still sends some elsewhere."""
    random = torch.Generator().manual_seed(0)
    keys = torch.rand(200, 8, generator=random)
    queries = keys[:1] + 0.3 * torch.rand(400, 8, generator=random)
    used = {c: nearest_patches(queries, keys, c).unique().numel() for c in (0.01, 100.0)}
    assert used[0.01] > used[100.0]


def test_a_painting_painted_from_itself_is_itself() -> None:
    style = blur(random_picture(48, 56), 1.5)
    painting = painted(style, Exemplar(style))
    assert float((painting.picture - style).abs().mean()) < 0.01


def test_the_match_field_tells_where_each_patch_came_from() -> None:
    """Left half dark, right half bright: dark content must be matched to columns on the left."""
    style = torch.cat([random_picture(40, 40) * 0.2, 0.8 + random_picture(40, 40) * 0.2], 2)
    content = torch.cat([torch.full((3, 40, 40), 0.1), torch.full((3, 40, 40), 0.9)], 2)
    columns = painted(content, Exemplar(style)).match_field[2]
    third = columns.shape[1] // 3
    assert (columns[:, :third] < 40).all()
    assert (columns[:, -third:] >= 34).all()


@given(st.integers(40, 70), st.integers(40, 70), st.sampled_from([0.5, 0.625, 1.0]), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_patches_taken_where_they_lie_make_the_painting_itself(
    height: int, width: int, scale: float, stride: int
) -> None:
    """A field that sends every patch to its own place gives back the style, at full scale, sharp."""
    style = random_picture(height, width)
    config = TeacherConfig(levels=(scale,), rounds=(1,), stride=stride)
    starts = [(positions(max(7, round(s * scale)), 7, stride) / scale).round() for s in (height, width)]
    for start, length in zip(starts, (height, width), strict=True):
        start[-1] = length - round(7 / scale)
    rows, columns = torch.meshgrid(*starts, indexing="ij")
    for tile, tiles in ((0, [style]), (1, [random_picture(50, 30, 1), style])):
        field = torch.stack([torch.full_like(rows, tile), rows, columns]).to(torch.int16)
        torch.testing.assert_close(lay(field, tiles, (height, width), config), style)


def places(rows: int, columns: int, step: int) -> torch.Tensor:
    return torch.stack(torch.meshgrid(step * torch.arange(rows), step * torch.arange(columns), indexing="ij"))


def test_all_components_keep_the_distances_of_patches() -> None:
    picture, other = random_picture(20, 24, 1), random_picture(20, 24, 2)
    known = places(14, 18, 1).flatten(1)
    space = PatchSpace(picture, 7, known, 3 * 7 * 7)
    points, others = (space.project(p).flatten(1).T for p in (picture, other))
    cuts, other_cuts = (cut(p, 7, known) for p in (picture, other))
    torch.testing.assert_close(
        (points - others).square().sum(1), (cuts - other_cuts).square().sum(1), rtol=1e-3, atol=0
    )


def test_one_right_patch_spreads_over_all_that_it_fits() -> None:
    """The queries are a piece of the style, and one of them knows from where."""
    keys = random_picture(40, 50)
    wanted = places(6, 8, 2)
    queries = keys[:, wanted[0] + 20, wanted[1] + 30]
    field = torch.zeros_like(wanted)
    field[:, 3, 3] = torch.tensor([20 + 6, 30 + 6])
    config = TeacherConfig(coherence=1.0, spread=8)
    found = coherent(field, wanted, queries, keys, torch.ones(6, 8), torch.ones(40, 50), config)
    torch.testing.assert_close(found, wanted + torch.tensor([20, 30])[:, None, None])


@given(st.integers(8, 30), st.integers(8, 30), st.integers(1, 3), st.floats(0, 10))
@settings(max_examples=20, deadline=None)
def test_neighbours_offer_nothing_outside_the_style(height: int, width: int, step: int, coherence: float) -> None:
    keys, random = random_picture(height, width), torch.Generator().manual_seed(height)
    asked = places(9, 7, step)
    field = torch.stack([torch.randint(0, s, (9, 7), generator=random) for s in (height, width)])
    config, queries = TeacherConfig(coherence=coherence), torch.rand(3, 9, 7, generator=random)
    found = coherent(field, asked, queries, keys, torch.ones(9, 7), torch.ones(height, width), config)
    assert (found >= 0).all()
    assert (found[0] < height).all()
    assert (found[1] < width).all()


def test_coherence_lays_whole_pieces_of_the_style() -> None:
    style, content = blur(random_picture(60, 80, 1), 1.0), blur(random_picture(48, 48, 2), 4.0)

    def whole(coherence: float) -> float:
        config = TeacherConfig(levels=(0.5, 1.0), rounds=(1, 2), keys=2000, stride=2, coherence=coherence)
        columns = painted(content, Exemplar(style), config=config).match_field[2]
        return float(((columns[:, 1:] - columns[:, :-1]) == 2).float().mean())

    assert whole(1.5) > whole(0.0) + 0.1


def test_the_search_ends_below_full_scale_and_the_patches_are_sharp() -> None:
    style = random_picture(64, 72)
    config = TeacherConfig(levels=(0.5,), rounds=(2,), keys=2000, jitter=0.0)
    painting = painted(style, Exemplar(style), config=config)
    assert painting.picture.shape == style.shape
    detail = (style[:, 1:] - style[:, :-1]).std()
    assert float((painting.picture[:, 1:] - painting.picture[:, :-1]).std()) > 0.5 * float(detail)


def test_the_guide_is_one_fixed_curve() -> None:
    """A pixel's guide depends on the pixel alone: a bright object elsewhere in the frame changes nothing."""
    style = random_picture(32, 32, 1)
    guide = Guide([random_picture(32, 32, 2), random_picture(32, 32, 3)], [Exemplar(style)], TeacherConfig())
    content = random_picture(16, 16, 4)
    brighter = content.clone()
    brighter[:, :, 8:] = 1.0
    torch.testing.assert_close(guide.of_content(content)[:, :, :8], guide.of_content(brighter)[:, :, :8])


def test_the_guide_takes_on_the_styles_luminance() -> None:
    config = TeacherConfig(luminance=1.0)
    content, style = random_picture(64, 64, 5) * 0.3, 0.5 + random_picture(64, 64, 6) * 0.5
    light = Guide([content], [Exemplar(style)], config).of_content(content)[0]
    wanted = Guide([content], [Exemplar(style)], config).of_style(style)[0]
    for share in (0.1, 0.5, 0.9):
        assert float(light.quantile(share)) == pytest.approx(float(wanted.quantile(share)), abs=0.02)


def test_same_seed_same_painting() -> None:
    style, content = random_picture(32, 40, 1), random_picture(24, 32, 2)
    one, two = (painted(content, Exemplar(style), seed=3) for _ in range(2))
    assert torch.equal(one.picture, two.picture)
    assert torch.equal(one.match_field, two.match_field)


def test_one_plain_picture_is_one_tile_as_it_was_given() -> None:
    painting = painted(random_picture(32, 40, 1), Exemplar(random_picture(40, 36, 2)))
    assert painting.tiles == (Tile(0, 0, False, 1.0),)
    assert painting.match_field.dtype == torch.int16
    assert (painting.match_field[0] == 0).all()


def test_the_match_field_makes_the_picture_again() -> None:
    """It is all that happened: laid once more, with the tiles it tells of, it is the painting to the bit."""
    pictures = [random_picture(60, 72, 1), random_picture(50, 50, 2)]
    config = replace(QUICK, levels=(0.5,), rounds=(2,), turns=(0, 1), mirrored=True, scales=(1.0, 0.8), tiles=16)
    painting = painted(random_picture(48, 40, 3), *map(Exemplar, pictures), config=config)
    assert len(painting.tiles) == 16 and painting.match_field[0].unique().numel() > 6
    tiles = [tile.of(pictures[tile.picture]) for tile in painting.tiles]
    assert torch.equal(lay(painting.match_field, tiles, (48, 40), config).clamp(0, 1), painting.picture)


@pytest.mark.parametrize("variant", [(0, False), (1, False), (2, True), (3, True)])
def test_a_turned_content_is_found_in_the_turned_picture(variant: tuple[int, bool]) -> None:
    style = blur(random_picture(32, 40), 1.5)
    content = Tile(0, *variant).of(style)
    config = replace(QUICK, turns=(0, 1, 2, 3), mirrored=True, keys=8000)
    painting = painted(content, Exemplar(style), config=config)
    assert float((painting.picture - content).abs().mean()) < 0.02
    taken = painting.tiles[int(painting.match_field[0].flatten().mode().values)]
    assert (taken.turn, taken.mirrored) == variant


def test_rows_and_columns_seen_as_a_tile_tell_where_its_pixels_came_from() -> None:
    style = random_picture(40, 52)
    place = torch.stack(torch.meshgrid(torch.arange(40.0), torch.arange(52.0), indexing="ij"))
    for tile in (Tile(0, 1), Tile(0, 2, True), Tile(0, 3, True)):
        row, column = tile.of(place).long()
        assert torch.equal(style[:, row, column], tile.of(style))


def test_two_pictures_are_searched_at_once() -> None:
    """Dark content is found in the dark picture, bright content in the bright one."""
    dark, bright = random_picture(40, 60, 1) * 0.4, 0.6 + random_picture(60, 44, 2) * 0.4
    content = torch.cat([random_picture(40, 40, 3) * 0.4, 0.6 + random_picture(40, 40, 4) * 0.4], 2)
    picture = painted(content, Exemplar(dark), Exemplar(bright)).match_field[0]
    third = picture.shape[1] // 3
    assert (picture[:, :third] == 0).all() and (picture[:, -third:] == 1).all()


def test_no_patch_crosses_from_one_picture_into_the_next() -> None:
    sizes = ((30, 64), (44, 40), (64, 30))
    pictures = [blur(random_picture(*size, seed), 1.0) for seed, size in enumerate(sizes)]
    config = replace(QUICK, levels=(0.5, 0.625), rounds=(2, 2))
    found = painted(random_picture(64, 64, 9), *map(Exemplar, pictures), config=config).match_field.long()
    limits = torch.tensor(sizes)[found[0]].permute(2, 0, 1) - round(7 / 0.625)
    assert (found[1:] >= 0).all() and (found[1:] <= limits).all()
    assert found[0].unique().numel() == 3


@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_a_weight_is_a_share_of_the_patches(weight: float) -> None:
    """Of two pictures of the same kind; a content of another kind prefers neither."""
    ours, theirs = (blur(random_picture(120, 120, seed), 1.0) for seed in (1, 2))
    config = TeacherConfig(levels=(1.0,), rounds=(2,), keys=3000, jitter=0.0, coherence=0.0)
    content = blur(random_picture(96, 96, 3), 1.0)
    taken = painted(content, Exemplar(ours, weight), Exemplar(theirs), config=config).match_field[0]
    assert float((taken == 0).float().mean()) == pytest.approx(weight / (weight + 1), abs=0.1)


def test_the_guide_takes_from_each_picture_what_its_weight_says() -> None:
    dark, bright = torch.full((3, 40, 40), 0.2), torch.full((3, 80, 60), 0.8)
    guide = Guide([random_picture(32, 32)], [Exemplar(dark, 3.0), Exemplar(bright)], TeacherConfig())
    assert float((guide.curve < 0.5).float().mean()) == pytest.approx(0.75, abs=0.01)


def test_lines_are_seen_as_the_grey_they_make() -> None:
    """Every fourth row is ink, on the right every second. Pixel by pixel there is nothing but black and white."""
    lines = torch.ones(3, 64, 64)
    lines[:, ::4, :32], lines[:, ::2, 32:] = 0, 0
    ramp = torch.linspace(0, 1, 64).expand(3, 64, 64)
    plain, toned = (Guide([ramp], [Exemplar(lines)], TeacherConfig(luminance=1.0, tone=tone)) for tone in (0.0, 4.0))
    assert set(plain.curve.round(decimals=3).unique().tolist()) == {0.0, 1.0}
    seen = toned.of_style(lines)[0]
    assert float(seen[8:-8, 8:20].mean()) == pytest.approx(0.75, abs=0.02)
    assert float(seen[8:-8, 44:-8].mean()) == pytest.approx(0.5, abs=0.02)
    light = toned.of_content(ramp)[0]
    assert float(light.min()) == pytest.approx(0.5, abs=0.05) and float(light.max()) == pytest.approx(0.75, abs=0.05)


@given(st.integers(0, 10**6), st.sampled_from([(1.0,), (0.5, 0.625)]), st.sampled_from([1.0, 0.7]))
@settings(max_examples=8, deadline=None)
def test_nothing_masked_is_taken(seed: int, levels: tuple[float, ...], scale: float) -> None:
    """The masked spots are red, and the painting has nothing of it: neither a patch nor a mixed border."""
    random = torch.Generator().manual_seed(seed)
    mask = torch.ones(90, 100, dtype=torch.uint8)
    for row, column in zip(*(torch.randint(0, s, (2,), generator=random).tolist() for s in mask.shape), strict=True):
        mask[row : row + 9, column : column + 5] = 0
    style = random_picture(90, 100, seed) * torch.tensor([0.0, 1.0, 1.0])[:, None, None]
    style[0, mask == 0] = 1.0
    config = replace(QUICK, levels=levels, rounds=(1,) * len(levels), turns=(0, 1), scales=(scale,))
    painting = painted(random_picture(40, 40, seed + 1), Exemplar(style, mask=mask), config=config)
    assert float(painting.picture[0].max()) == 0.0


@pytest.mark.parametrize("free", [0, 4])
def test_masks_that_leave_nothing_are_refused(free: int) -> None:
    mask = torch.zeros(40, 40, dtype=torch.uint8)
    mask[5 : 5 + free, 5:9] = 1
    with pytest.raises(EngineError, match="nothing to paint with"):
        painted(random_picture(40, 40), Exemplar(random_picture(40, 40), mask=mask))


def test_each_region_is_painted_from_its_own() -> None:
    """Although the other one would fit better: the content's left is as dark as the style's right."""
    light, dark = 0.7 + 0.3 * random_picture(40, 40, 1), 0.3 * random_picture(40, 40, 2)
    mask = torch.full((40, 80), 100, dtype=torch.uint8)
    mask[:, 40:] = 200
    regions = torch.full((40, 80), 100, dtype=torch.uint8)
    regions[:, 40:] = 190  # the nearest it has is meant
    content = torch.cat([dark, light], 2)
    config = replace(QUICK, levels=(0.625, 1.0))
    free, bound = (
        painted(content, Exemplar(torch.cat([light, dark], 2), mask=mask), config=config, regions=r).match_field[2]
        for r in (None, regions)
    )
    third = free.shape[1] // 3
    assert (free[:, :third] >= 34).all() and (bound[:, :third] < 40).all()
    assert (free[:, -third:] < 40).all() and (bound[:, -third:] >= 34).all()


def test_a_guide_that_both_have_decides() -> None:
    """Everything is equally grey; only the normals tell left from right, and they are swapped in the content."""
    style = 0.4 + 0.2 * random_picture(40, 80)
    content = torch.full((3, 40, 80), 0.5)
    normals = torch.cat([torch.full((3, 40, 40), -1.0), torch.full((3, 40, 40), 1.0)], 2)
    exemplar = Exemplar(style, guides={"Normal": normals})
    columns = painted(content, exemplar, guides={"Normal": normals.flip(2)}).match_field[2]
    third = columns.shape[1] // 3
    assert (columns[:, :third] >= 30).all() and (columns[:, -third:] < 44).all()


def test_a_guide_that_one_side_lacks_does_not_count() -> None:
    style, content = random_picture(40, 48, 1), random_picture(32, 40, 2)
    normals = {"Normal": random_picture(40, 48, 3)}
    plain = painted(content, Exemplar(style))
    assert torch.equal(painted(content, Exemplar(style, guides=normals)).picture, plain.picture)
    others = {"Normal": random_picture(32, 40, 4), "Albedo": random_picture(32, 40, 5)}
    two = [Exemplar(style, guides=normals), Exemplar(style)]
    assert torch.equal(painted(content, *two, guides=others).picture, painted(content, *two).picture)


def test_of_too_many_tiles_each_painting_draws_its_own() -> None:
    config = replace(QUICK, levels=(1.0,), rounds=(1,), tiles=2)
    exemplars = [Exemplar(random_picture(32, 32, seed)) for seed in range(5)]
    drawn = [painted(random_picture(32, 32, 9), *exemplars, config=config, seed=seed).tiles for seed in range(6)]
    assert all(len(tiles) == 2 for tiles in drawn)
    assert len({tile.picture for tiles in drawn for tile in tiles}) > 3
