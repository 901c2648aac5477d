"""Quilted noise: pieces of tables that fit, the same from every window."""

from __future__ import annotations

import numpy as np
import pytest

from engine import quilting
from engine.picture import Floats
from engine.quilting import OVERLAP, Axis, Quilt, _covering
from engine.style_pack import PIECE

Period = tuple[int, int] | None


def random_quilt(times: int = 1, rows: int = 12, columns: int = 15, channels: int = 2) -> Quilt:
    random = np.random.default_rng(0)
    return Quilt(
        {
            "noise": random.standard_normal((channels, rows, columns)).astype(np.float32),
            "grain": random.standard_normal((channels, rows * times, columns * times)).astype(np.float32),
        }
    )


@pytest.mark.parametrize("period", [None, (20, 28), (40, 24), (5, 7), (2, 3), (1, 9), (6, 13)])
@pytest.mark.parametrize("times", [1, 4])
def test_it_repeats_where_it_should_and_windows_agree(period: Period, times: int) -> None:
    quilt = random_quilt(times)
    fine = period and (period[0] * times, period[1] * times)
    whole = quilt.laid("grain", 3, -11, 5, 70, 80, fine)
    assert np.array_equal(quilt.laid("grain", 3, 2, 14, 21, 17, fine), whole[:, 13:34, 9:26])
    assert np.array_equal(quilt.laid("grain", 3, 40, 60, 1, 1, fine), whole[:, 51:52, 55:56])
    assert whole.std() == pytest.approx(1, abs=0.2)
    if fine:
        twice = quilt.laid("grain", 3, 0, 0, 2 * fine[0], 2 * fine[1], fine)
        assert np.array_equal(twice[:, : fine[0], : fine[1]], twice[:, fine[0] :, fine[1] :])


def numbered(rows: int, columns: int) -> Floats:
    """A table whose every cell holds its own number"""
    return np.arange(rows * columns, dtype=np.float32).reshape(1, rows, columns) / 64


def test_two_grids_show_the_same_pieces() -> None:
    """Inside a piece the table comes over as it is; both tables hold the number of their coarse cell."""
    number = numbered(12, 15)
    quilt = Quilt({"noise": number, "grain": number.repeat(4, 1).repeat(4, 2)})
    coarse, fine = quilt.laid("noise", 5, 0, 0, 40, 40, None), quilt.laid("grain", 5, 0, 0, 160, 160, None)
    inside = np.isin(fine[0, 1::4, 2::4], number)
    assert 0.3 < inside.mean() < 0.99
    assert np.array_equal(fine[0, 1::4, 2::4][inside], coarse[0][inside])


def test_seeds_differ_and_every_place_of_the_table_is_used() -> None:
    number = numbered(8, 9)
    quilt = Quilt({"noise": number})
    first, second = (quilt.laid("noise", seed, 0, 0, 240, 240, (240, 240)) for seed in (1, 2))
    assert not np.array_equal(first, second)
    # But for its rim, which is only there to be compared.
    assert np.isin(number[:, 1:-1, 1:-1], first).all()


def test_fitted_pieces_are_in_step_with_their_neighbours() -> None:
    """In a checked pattern no cell is as its neighbour; where pieces meet out of step, two are."""
    rows, columns = np.indices((24, 24))
    table = ((rows + columns) % 2).astype(np.float32)[None]
    fitted, loose = Quilt({"noise": table}), Quilt({"noise": table})
    loose._fitted = lambda rows, columns, chosen, *_: chosen[rows, columns]  # type: ignore[method-assign]
    seams = [broken(quilt.laid("noise", 7, 0, 0, 160, 160, (160, 160))) for quilt in (fitted, loose)]
    assert seams[0] < 0.6 * seams[1]


def broken(laid: Floats) -> int:
    """How many neighbours are the same"""
    return sum(int((np.diff(laid, axis=axis) == 0).sum()) for axis in (1, 2))


def test_a_fitted_piece_is_the_best_there_is() -> None:
    """Against a search by hand, at one piece of the second round, whose four neighbours are free."""
    quilt = random_quilt(rows=10, columns=11)
    axes = [Axis(None), Axis(None)]
    rows, columns = quilt._places(4, axes, [0, 0], [3, 3])
    codes = np.rint(quilt.tables["noise"] * 16)

    def piece(row: int, column: int) -> Floats:
        return codes[:, row : row + PIECE, column : column + PIECE]

    def cost(candidate: Floats) -> float:
        total, near, far = 0.0, slice(0, OVERLAP), slice(PIECE - OVERLAP, PIECE)
        for i, j in ((0, 0), (0, 2), (2, 0), (2, 2)):
            other = piece(rows[i, j], columns[i, j])
            mine = candidate[:, near if i == 0 else far, near if j == 0 else far]
            total += float(np.square(mine - other[:, far if i == 0 else near, far if j == 0 else near]).sum())
        return total

    every = [cost(piece(r, c)) for r in range(5) for c in range(6)]
    assert cost(piece(rows[1, 1], columns[1, 1])) == min(every)


def test_which_piece_lies_where_does_not_depend_on_the_window() -> None:
    quilt, axes = random_quilt(), [Axis(None), Axis(48)]
    rows, columns = quilt._places(1, axes, [-9, -5], [20, 30])
    for top, left in ((-9, -5), (0, 0), (4, 11)):
        some = quilt._places(1, axes, [top, left], [3, 4])
        assert np.array_equal(some[0], rows[top + 9 : top + 12, left + 5 : left + 9])
        assert np.array_equal(some[1], columns[top + 9 : top + 12, left + 5 : left + 9])


def test_a_large_table_is_sought_at_evenly_chosen_places() -> None:
    quilt = Quilt({"noise": np.random.default_rng(0).standard_normal((1, 200, 300)).astype(np.float32)})
    assert len(quilt._pieces) <= 4096
    assert quilt._sought[0].max() >= 190 and set(np.unique(quilt._sought[1] // 60)) == {0, 1, 2, 3, 4}
    assert quilt.laid("noise", 0, 0, 0, 32, 32, (32, 32)).shape == (1, 32, 32)


@pytest.mark.parametrize("period", [None, *range(1, 40)])
def test_no_cell_is_without_a_piece_and_none_is_asked_in_vain(period: int | None) -> None:
    found = _covering(np.arange(-50, 50), 4, Axis(period))
    weights = np.stack([weight for _, _, weight in found])
    assert np.allclose(np.square(weights).sum(0), 1, atol=1e-6)
    if period is None or (period > 4 and period % 4 == 0):  # elsewhere pieces lie unevenly
        assert (weights > 0).any(1).all()


def test_many_pieces_are_fitted_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = random_quilt().laid("noise", 3, 0, 0, 60, 70, None)
    monkeypatch.setattr(quilting, "AT_ONCE", 7)
    assert np.array_equal(random_quilt().laid("noise", 3, 0, 0, 60, 70, None), whole)


def test_no_piece_is_taken_across_two_parts() -> None:
    """Every part has a sign of its own; a piece of both would show a step inside."""
    sign = np.repeat(np.float32([-1, 1, 2]), [7, 9, 6])[None, :, None] * np.ones((1, 22, 8), np.float32)
    quilt = Quilt({"noise": sign}, (7, 9, 6))
    for row in quilt._sought[0]:
        assert np.ptp(sign[0, row : row + PIECE, 0]) == 0
    assert set(np.unique(sign[0, quilt._sought[0], 0])) == {-1, 1, 2}
    assert len(Quilt({"noise": sign})._sought[0]) > len(quilt._sought[0]) == (2 + 4 + 1) * 3
    parts = [quilt.part(number).laid("noise", 5, 0, 0, 30, 30, (30, 30)) for number in (1, 2, 3)]
    # Where pieces overlap the squares of their weights add up to 1, so what they show is as strong or stronger.
    assert [np.sign(part).mean() for part in parts] == [-1, 1, 1]
    assert [float(np.abs(part).min()) for part in parts] == pytest.approx([1, 1, 2])
