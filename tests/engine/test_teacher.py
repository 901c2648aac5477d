"""The patch teacher: its search against brute force, its guide and its match field against known answers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.training.teacher import (
    Guide,
    PatchSpace,
    TeacherConfig,
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
    guide = Guide([style], style, QUICK)
    painting = paint(style, style, guide, QUICK, torch.Generator().manual_seed(0))
    assert float((painting.picture - style).abs().mean()) < 0.01


def test_the_match_field_tells_where_each_patch_came_from() -> None:
    """Left half dark, right half bright: dark content must be matched to columns on the left."""
    style = torch.cat([random_picture(40, 40) * 0.2, 0.8 + random_picture(40, 40) * 0.2], 2)
    content = torch.cat([torch.full((3, 40, 40), 0.1), torch.full((3, 40, 40), 0.9)], 2)
    painting = paint(content, style, Guide([content], style, QUICK), QUICK, torch.Generator().manual_seed(0))
    columns = painting.match_field[1]
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
    field = torch.stack(torch.meshgrid(*starts, indexing="ij")).to(torch.int16)
    torch.testing.assert_close(lay(field, style, (height, width), config), style)


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
    found = coherent(field, wanted, queries, keys, config)
    torch.testing.assert_close(found, wanted + torch.tensor([20, 30])[:, None, None])


@given(st.integers(8, 30), st.integers(8, 30), st.integers(1, 3), st.floats(0, 10))
@settings(max_examples=20, deadline=None)
def test_neighbours_offer_nothing_outside_the_style(height: int, width: int, step: int, coherence: float) -> None:
    keys, random = random_picture(height, width), torch.Generator().manual_seed(height)
    asked = places(9, 7, step)
    field = torch.stack([torch.randint(0, s, (9, 7), generator=random) for s in (height, width)])
    found = coherent(field, asked, torch.rand(3, 9, 7, generator=random), keys, TeacherConfig(coherence=coherence))
    assert (found >= 0).all()
    assert (found[0] < height).all()
    assert (found[1] < width).all()


def test_coherence_lays_whole_pieces_of_the_style() -> None:
    style, content = blur(random_picture(60, 80, 1), 1.0), blur(random_picture(48, 48, 2), 4.0)

    def whole(coherence: float) -> float:
        config = TeacherConfig(levels=(0.5, 1.0), rounds=(1, 2), keys=2000, stride=2, coherence=coherence)
        field = paint(
            content, style, Guide([content], style, config), config, torch.Generator().manual_seed(0)
        ).match_field
        return float(((field[1, :, 1:] - field[1, :, :-1]) == 2).float().mean())

    assert whole(1.5) > whole(0.0) + 0.1


def test_the_search_ends_below_full_scale_and_the_patches_are_sharp() -> None:
    style = random_picture(64, 72)
    config = TeacherConfig(levels=(0.5,), rounds=(2,), keys=2000, jitter=0.0)
    painting = paint(style, style, Guide([style], style, config), config, torch.Generator().manual_seed(0))
    assert painting.picture.shape == style.shape
    detail = (style[:, 1:] - style[:, :-1]).std()
    assert float((painting.picture[:, 1:] - painting.picture[:, :-1]).std()) > 0.5 * float(detail)


def test_the_guide_is_one_fixed_curve() -> None:
    """A pixel's guide depends on the pixel alone: a bright object elsewhere in the frame changes nothing."""
    style = random_picture(32, 32, 1)
    guide = Guide([random_picture(32, 32, 2), random_picture(32, 32, 3)], style, TeacherConfig())
    content = random_picture(16, 16, 4)
    brighter = content.clone()
    brighter[:, :, 8:] = 1.0
    torch.testing.assert_close(guide.of_content(content)[:, :, :8], guide.of_content(brighter)[:, :, :8])


def test_the_guide_takes_on_the_styles_luminance() -> None:
    config = TeacherConfig(luminance=1.0)
    content, style = random_picture(64, 64, 5) * 0.3, 0.5 + random_picture(64, 64, 6) * 0.5
    light = Guide([content], style, config).of_content(content)[0]
    wanted = Guide([content], style, config).of_style(style)[0]
    for share in (0.1, 0.5, 0.9):
        assert float(light.quantile(share)) == pytest.approx(float(wanted.quantile(share)), abs=0.02)


def test_same_seed_same_painting() -> None:
    style, content = random_picture(32, 40, 1), random_picture(24, 32, 2)
    guide = Guide([content], style, QUICK)
    one, two = (paint(content, style, guide, QUICK, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.picture, two.picture)
    assert torch.equal(one.match_field, two.match_field)
