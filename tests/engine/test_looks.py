"""Overlays to look at: maps that are even for the eye, lines around where most of it is, legends that say it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine import looks
from engine.explain import display
from engine.explain.display import Beneath
from engine.explain.overlay import Overlay
from engine.protocol import Bar, Certificate, Check

PASSED, FAILED = Check("B3", "r", 1.0, 0.9, True), Check("B3", "R2", 0.25, 0.7, False)


def lightness(colours: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB 0..1"""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    y = linear @ looks.LUMINANCE
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


def overlay_of(values: np.ndarray, check: Check = PASSED, name: str = "Removal") -> Overlay:
    certificate = Certificate((check,))
    return Overlay(f"Attribution.{name}", ("luminance",), values, "Said.", (-1.0, 1.0), certificate, unit="light")


def test_amounts_get_lighter_in_even_steps() -> None:
    light = lightness(np.array(looks.CIVIDIS) / 255)
    assert np.allclose(np.diff(light), np.diff(light).mean(), atol=1.5)


def test_signs_are_alike_in_lightness_and_zero_is_neutral() -> None:
    light = lightness(np.array(looks.DIVERGING) / 255)
    assert np.allclose(light, light[::-1], atol=8) and light.argmax() == 2
    values = np.array([-2, -1, 0, 1, 2], np.float32).reshape(1, 5, 1)
    shown = looks.over(values, ("luminance",), (-1, 1))[0].astype(int)
    assert np.ptp(shown[2]) < 4 and (shown[0] == shown[1]).all() and (shown[3] == shown[4]).all()
    assert shown[0][2] > shown[0][0] and shown[4][0] > shown[4][2]


@pytest.mark.parametrize("stops", [looks.BANDS, looks.CORNERS])
def test_parts_and_places_differ_in_hue_not_in_lightness(stops: tuple[tuple[int, int, int], ...]) -> None:
    light = lightness(np.array(stops) / 255)
    assert np.ptp(light) < 17


def test_the_picture_beneath_is_faint_and_grey() -> None:
    beneath = np.zeros((8, 8, 3), np.float32)
    beneath[:, 4:] = (0.1, 0.9, 0.3)
    shown = looks.over(np.zeros((8, 8, 1), np.float32), ("luminance",), (-1, 1), beneath).astype(int)
    step = shown[0, 7] - shown[0, 0]
    assert np.ptp(step) <= 1 and 20 < step.mean() < 60


def test_scale_shows_the_largest_part_and_white_where_nothing_changed() -> None:
    values = np.array([[[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [-0.1, 0, 0]]], np.float32)
    shown = looks.over(values, ("colour", "form", "stroke"), (0, 0.5))[0].astype(int)
    assert np.ptp(shown[0]) == 0 and (shown[4] == shown[0]).all()
    for n, hue in enumerate(looks.BANDS):
        wanted = (1 - looks.PICTURE) * np.array(hue) + looks.PICTURE * 127.5
        assert np.allclose(shown[n + 1], wanted, atol=1)


def test_unsure_places_stay_white() -> None:
    values = np.zeros((1, 3, 3), np.float32)
    values[0, :, 2] = (0, 0.5, 1)
    shown = looks.over(values, ("u", "v", "confidence"), (0, 1))[0].astype(int)
    assert np.ptp(shown[0]) == 0 and np.ptp(shown[2]) > np.ptp(shown[1]) > 0


def test_beyond_the_area_an_amount_is_not_0_but_not_asked() -> None:
    region = np.zeros((30, 40), bool)
    region[10:20, 10:20] = True
    shown = looks.over(np.zeros((30, 40, 1), np.float32), ("unlike",), (0, 3), region=region).astype(int)
    assert shown[15, 15].mean() < 80 and shown[0, 0].min() > 200


def test_isolines_hold_the_mass_that_they_say() -> None:
    y, x = np.mgrid[0:200, 0:240].astype(np.float32)
    values = np.exp(-((x - 100) ** 2 + (y - 90) ** 2) / (2 * 20**2))
    distance = np.hypot(x - 100, y - 90)
    for share, line in zip(looks.MASSES, looks.isolines(values), strict=True):
        radius = 20 * np.sqrt(-2 * np.log(1 - share))  # of a round Gaussian
        assert np.allclose(distance[line], radius, atol=3.5), share


def test_where_nothing_is_told_there_is_no_line() -> None:
    assert looks.isolines(np.zeros((20, 30), np.float32)) == []


def test_the_area_is_outlined_and_the_whole_picture_is_not() -> None:
    values, region = np.zeros((20, 30, 1), np.float32), np.zeros((20, 30), bool)
    plain = looks.over(values, ("luminance",), (-1, 1))
    region[5:10, 6:16] = True
    outlined = looks.over(values, ("luminance",), (-1, 1), region=region)
    changed = (outlined != plain).any(axis=-1)
    assert changed[4:11, 5:17].any() and not changed[:3].any() and not changed[7, 9]
    assert (looks.over(values, ("luminance",), (-1, 1), region=np.ones_like(region)) == plain).all()


def test_a_failed_certificate_is_hatched() -> None:
    values = np.zeros((48, 600, 1), np.float32)
    sound, failed = (display.picture_of(overlay_of(values, check))[:48] for check in (PASSED, FAILED))
    assert len(np.unique(sound)) < 4
    assert 0.1 < (failed[..., 0] < 190).mean() < 0.3


def test_small_pictures_are_enlarged_so_that_their_legend_can_be_read() -> None:
    values = np.zeros((20, 100, 1), np.float32)
    shown = display.picture_of(overlay_of(values))
    assert shown.shape[1] == 500 and shown.shape[0] > 100
    assert (shown[:100] == shown[0, 0]).all() and not (shown[100:] == shown[0, 0]).all()


@pytest.mark.parametrize("size", [(1500, 16), (10_000, 16), (2500, 300), (16, 1500), (4000, 481), (1, 1), (700, 479)])
def test_no_display_picture_of_a_small_overlay_is_huge(size: tuple[int, int]) -> None:
    """16 x 1500 pixels became 480 x 45,000. Legends keep their width; the picture stands narrower above them."""
    values = np.zeros((*size, 1), np.float32)
    values[size[0] // 2 :] = 1
    larger = looks.enlarged(values)
    times = larger.shape[0] // size[0]
    assert larger.shape[:2] == (times * size[0], times * size[1]) and times >= 1
    shown = display.picture_of(overlay_of(values))
    assert shown.shape[1] == looks.enlarged_width(*size) >= looks.NARROWEST
    assert larger.size <= max(2 * looks.MOST, values.size) and len(shown) < len(larger) + 400
    plain = looks.over(larger, ("luminance",), (-1, 1))
    beside = (shown.shape[1] - larger.shape[1]) // 2
    assert (shown[: len(larger), beside : beside + larger.shape[1]] == plain).all()
    assert (shown[: len(larger), :beside] == looks.GROUND).all()


def test_what_is_wide_enough_is_not_framed() -> None:
    shown = np.zeros((20, looks.NARROWEST, 3), np.uint8)
    assert looks.framed(shown) is shown


def test_a_legend_says_which_bars_failed_in_words_and_numbers() -> None:
    assert looks.failures((PASSED,)) == []
    assert looks.failures((PASSED, FAILED)) == ["B3, R2: 0.25, at least 0.7 wanted."]
    large = Check("B1", "parts add up to the whole", 0.5, 1e-5, False)
    assert looks.failures((large,)) == ["B1, parts add up to the whole: 0.5, at most 1e-05 wanted."]
    assert looks.failures(()) == ["Nothing was measured."]
    unknown = (replace(FAILED, value=float("nan")), replace(large, value=float("nan")))
    assert looks.failures(unknown) == [
        "B3, R2: not a number, 0.7 wanted.",
        "B1, parts add up to the whole: not a number, 1e-05 wanted.",
    ]
    values = np.zeros((48, 600, 1), np.float32)
    sound, failed = (display.legend(overlay_of(values, check), 600) for check in (PASSED, FAILED))
    assert len(failed) > len(sound) > 60


def test_every_kind_of_overlay_has_a_legend_of_the_width_of_its_picture() -> None:
    one = overlay_of(np.zeros((48, 640, 1), np.float32))
    bands = replace(one, channels=("colour", "form", "stroke"), bars=(Bar("colour", 0.7), Bar("form", 0.3)))
    places = replace(one, channels=("u", "v", "confidence"))
    amount = replace(one, display=(0.0, 1.0))
    long_name = replace(one, name="Attribution.Objects." + "Suzanne " * 30)
    for overlay in (one, bands, places, amount, long_name):
        strip = display.legend(overlay, 640)
        assert strip.shape[1:] == (640, 3) and strip.dtype == np.uint8 and 60 < len(strip) < 400
        assert strip.std() > 10


def test_what_overlays_lie_over_says_where_the_area_is() -> None:
    picture = np.full((6, 8, 3), 0.5, np.float32)
    region = np.zeros((6, 8), bool)
    region[2, 3] = True
    stored = Beneath(picture, region).bytes()
    assert stored.shape == (6, 8, 4) and (stored[..., :3] == 128).all()
    assert np.argwhere(stored[..., 3] == 255).tolist() == [[2, 3]]
    assert (Beneath(picture).bytes()[..., 3] == 255).all()
