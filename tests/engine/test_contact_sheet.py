"""Contact sheets: every picture in its place, captions readable, nothing cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.contact_sheet import Cell, Look, contact_sheet, save_jpeg, save_png, to_image
from engine.errors import EngineError

LOOK = Look(width=100, height=60, gap=10, text=12)


def flat(colour: tuple[int, int, int], width: int = 100, height: int = 60) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def test_cells_stand_in_rows_and_columns() -> None:
    sheet = contact_sheet([[Cell(flat((200, 0, 0))), Cell(None), Cell(flat((0, 200, 0)))]], look=LOOK)
    assert sheet.size == (10 + 3 * 110, 10 + 60 + 10)
    assert sheet.getpixel((60, 40)) == (200, 0, 0)
    assert sheet.getpixel((170, 40)) == LOOK.background
    assert sheet.getpixel((280, 40)) == (0, 200, 0)


def test_a_long_caption_is_wrapped_and_makes_room() -> None:
    short = contact_sheet([[Cell(flat((9, 9, 9)), "one")]], look=LOOK)
    long = contact_sheet([[Cell(flat((9, 9, 9)), "one two three four five six seven eight nine ten")]], look=LOOK)
    assert long.height > short.height + 2 * LOOK.text
    assert np.asarray(long)[-2 * LOOK.text :].max() > 200, "the last line is written"


@pytest.mark.parametrize("size", [(400, 60), (20, 300), (1, 1)])
def test_pictures_keep_their_shape(size: tuple[int, int]) -> None:
    sheet = np.asarray(contact_sheet([[Cell(flat((250, 0, 0), *size))]], look=LOOK)).astype(int)
    rows, columns = np.where(sheet[..., 0] - sheet[..., 1] > 100)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert width <= LOOK.width and height <= LOOK.height
    assert abs(width * size[1] - height * size[0]) <= max(size) * 1.5


def test_floats_grey_and_alpha_can_be_shown() -> None:
    assert to_image(np.full((4, 4, 3), 1.5)).getpixel((0, 0)) == (255, 255, 255)
    assert to_image(np.full((4, 4, 3), np.nan)).getpixel((0, 0)) == (0, 0, 0)
    assert to_image(np.full((4, 4, 1), 0.5)).getpixel((0, 0)) == (128, 128, 128)
    empty = np.zeros((4, 4, 4), np.uint8)
    assert to_image(empty).getpixel((0, 0)) == (128, 128, 128), "transparent shows the neutral ground"


def test_it_is_saved_and_read_again(tmp_path: Path) -> None:
    sheet = contact_sheet([[Cell(flat((10, 20, 30)), "caption")]], "Title", LOOK)
    save_png(sheet, tmp_path / "sheet.png")
    save_jpeg(sheet, tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.png") as stored:
        assert np.array_equal(np.asarray(stored), np.asarray(sheet))
    again = contact_sheet([[Cell(tmp_path / "sheet.jpg")]], look=LOOK)
    assert again.size[0] == 120
    with pytest.raises(EngineError):
        to_image(tmp_path / "missing.png")
