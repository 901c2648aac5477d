"""Pictures and their way to what a model sees and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.errors import EngineError
from engine.picture import (
    HALF_MAX,
    Picture,
    coverage,
    decode,
    encode,
    from_block,
    from_display,
    result_channels,
    split,
    to_display,
    whole,
)
from engine.protocol import PictureSource, PixelBlock

SIZES = st.tuples(st.integers(1, 7), st.integers(1, 9), st.integers(1, 4))
ENCODINGS = st.sampled_from(["srgb", "linear", "data"])
ALPHAS = st.sampled_from(["none", "straight", "premultiplied"])


def identity(pixels: np.ndarray, encoding: Any, alpha: Any) -> np.ndarray:
    """What a model that changes nothing makes of a picture."""
    inside, beyond = split(to_display(pixels, encoding, alpha))
    return from_display(inside + beyond, pixels, encoding, alpha)


def as_result(pixels: np.ndarray) -> np.ndarray:
    """The picture with its grey spread to RGB, as results have it."""
    count = pixels.shape[2]
    colour = pixels[..., :3] if count >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    return np.concatenate([colour, pixels[..., -1:]], axis=2) if count in (2, 4) else colour


def assert_close(result: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-3 relative or 1e-4 absolute; what is not finite must be the very same."""
    with np.errstate(invalid="ignore"):
        close = np.abs(result.astype(np.float64) - expected) <= np.maximum(1e-4, 1e-3 * np.abs(expected))
    same = (result == expected) | (np.isnan(result) & np.isnan(expected))
    assert (close | same).all()


# ---------------------------------------------------------------- identity


@settings(deadline=None, max_examples=60)
@given(pixels=hnp.arrays(st.sampled_from([np.uint8, np.uint16]), SIZES), encoding=ENCODINGS, alpha=ALPHAS)
def test_integers_come_back_exactly(pixels: np.ndarray, encoding: Any, alpha: Any) -> None:
    assert np.array_equal(identity(pixels, encoding, alpha), as_result(pixels))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("encoding", ["srgb", "linear", "data"])
def test_every_integer_value_comes_back_exactly(dtype: str, encoding: Any) -> None:
    values = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 256, 1)
    assert np.array_equal(identity(values, encoding, "none"), as_result(values))


@pytest.mark.parametrize("encoding", ["srgb", "linear", "data"])
def test_every_half_float_comes_back_exactly(encoding: Any) -> None:
    """All 65536 of them: denormals, infinities and NaNs with their payload (-0 may become 0)."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).reshape(256, 256, 1)
    result = identity(halves, encoding, "none")[..., :1].copy()
    same_bits = result.view(np.uint16) == halves.view(np.uint16)
    assert (same_bits | (result == halves)).all()


@settings(deadline=None, max_examples=150)
@given(
    pixels=hnp.arrays(
        st.shared(st.sampled_from([np.float16, np.float32]), key="dtype"),
        SIZES,
        elements=st.shared(st.sampled_from([np.float16, np.float32]), key="dtype").flatmap(
            lambda dtype: st.floats(width=16 if dtype is np.float16 else 32)
        ),
    ),
    encoding=ENCODINGS,
    alpha=ALPHAS,
)
def test_floats_come_back_whatever_they_are(pixels: np.ndarray, encoding: Any, alpha: Any) -> None:
    result = identity(pixels, encoding, alpha)
    assert result.dtype == pixels.dtype
    assert_close(result, as_result(pixels))


@settings(deadline=None, max_examples=60)
@given(
    pixels=hnp.arrays(np.float32, (3, 5, 4), elements=st.floats(0, 50, width=32)),
    alpha=st.sampled_from([0.0, 1e-6, 0.01, 0.5, 1.0]),
)
def test_premultiplied_renders_come_back(pixels: np.ndarray, alpha: float) -> None:
    """Opaque, soft edges, and light that has colour without alpha."""
    pixels[..., 3] = alpha
    assert_close(identity(pixels, "linear", "premultiplied"), pixels)


def test_alpha_bits_are_untouched() -> None:
    pixels = np.zeros((1, 4, 4), np.float32)
    pixels[0, :, 3] = [np.nan, -0.0, 1e-42, 7.5]
    result = from_display(np.full((1, 4, 3), 0.3, np.float32), pixels, "linear", "premultiplied")
    assert np.array_equal(result[..., 3].view(np.uint32), pixels[..., 3].view(np.uint32))


def test_broken_values_stay_and_are_hidden_from_the_model() -> None:
    pixels = np.array([[[np.nan, 0.5, 0.25], [np.inf, -np.inf, 1.0]]], np.float32)
    display = to_display(pixels, "linear", "none")
    assert np.isfinite(display).all()
    result = from_display(np.full_like(display, 0.5), pixels, "linear", "none")
    assert np.isnan(result[0, 0, 0]) and result[0, 1, 0] == np.inf and result[0, 1, 1] == -np.inf
    assert np.isfinite(result[0, 0, 1:]).all() and np.isfinite(result[0, 1, 2])


# ---------------------------------------------------------------- the curve


def test_below_one_the_curve_is_srgb() -> None:
    linear = np.array([0, 0.001, 0.0031308, 0.18, 0.5, 1], np.float32)
    expected = [0, 0.01292, 0.0404499, 0.4613561, 0.7353570, 1]
    assert np.allclose(encode(linear), expected, atol=1e-6)


def test_the_shoulder_is_smooth_at_one_and_keeps_growing() -> None:
    step = 1e-3
    below, at, above = (float(encode(np.array([value], np.float32))[0]) for value in (1 - step, 1.0, 1 + step))
    assert at == pytest.approx(1, abs=1e-7)
    assert (above - at) == pytest.approx(at - below, rel=5e-3)
    wide = encode(np.geomspace(1e-6, 3e38, 20000).astype(np.float32))
    assert (np.diff(wide) > 0).all()


def test_the_curve_is_odd() -> None:
    linear = np.geomspace(1e-6, HALF_MAX, 5000).astype(np.float32)
    assert np.array_equal(encode(-linear), -encode(linear))
    assert np.array_equal(decode(-linear[linear < 6]), -decode(linear[linear < 6]))


def test_the_curve_inverts_up_to_the_largest_half() -> None:
    linear = np.concatenate([np.linspace(0, 4, 100001), np.geomspace(1e-9, HALF_MAX, 100001)]).astype(np.float32)
    assert np.allclose(decode(encode(linear)), linear, rtol=1e-5, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.float32, (2, 3, 3), elements=st.floats(-60, 60, width=32)))
def test_split_loses_nothing(display: np.ndarray) -> None:
    inside, beyond = split(display)
    assert inside.min() >= 0 and inside.max() <= 1
    assert np.array_equal(inside + beyond, display)


# ---------------------------------------------------------------- what the model sees


def test_bytes_are_seen_as_stored() -> None:
    pixels = np.array([[[0, 51, 255]]], np.uint8)
    assert np.allclose(to_display(pixels, "srgb", "none"), [[[0, 0.2, 1]]], atol=1e-7)
    assert np.array_equal(to_display(pixels, "data", "none"), to_display(pixels, "srgb", "none"))


def test_soft_edges_are_seen_in_their_true_colour() -> None:
    full = np.array([[[0.6, 0.2, 0.1, 1.0]]], np.float32)
    for alpha in (0.7, 0.25, 0.02):
        edge = full * np.float32(alpha)
        seen = to_display(edge, "linear", "premultiplied")
        assert np.allclose(seen, to_display(full, "linear", "premultiplied"), atol=1e-5)


def test_empty_pixels_stay_empty() -> None:
    """A model that paints the black of an empty film must not put light into it."""
    empty = np.zeros((2, 2, 4), np.float16)
    result = from_display(np.full((2, 2, 3), 0.8, np.float32), empty, "linear", "premultiplied")
    assert not result.any()


def test_a_faint_glow_stays_faint() -> None:
    glow = np.array([[[0.01, 0.005, 0.0, 0.0]]], np.float32)
    result = from_display(np.ones((1, 1, 3), np.float32), glow, "linear", "premultiplied")
    assert result[..., :3].max() == pytest.approx(0.01, rel=1e-3)


def test_coverage_is_alpha_where_the_colour_fits_below_it() -> None:
    pixels = np.array([[[0.2, 0.1, 0.0, 0.5], [0.9, 0, 0, 0.5], [0, 0, 0, 0], [9, 0, 0, 1]]], np.float32)
    assert np.allclose(coverage(pixels)[..., 0], [[0.5, 0.9, 0, 1]])


def test_grey_becomes_colour() -> None:
    assert [result_channels(count) for count in (1, 2, 3, 4)] == [3, 4, 3, 4]
    grey = np.full((2, 2, 2), 100, np.uint8)
    result = from_display(np.tile(np.float32([1, 0, 0.5]), (2, 2, 1)), grey, "srgb", "straight")
    assert result[0, 0].tolist() == [255, 0, 128, 100]


def test_results_are_clamped_to_what_the_type_can_hold() -> None:
    display = np.array([[[-3.0, 50.0, np.nan]]], np.float32)
    assert from_display(display, np.zeros((1, 1, 3), np.uint8), "srgb", "none").tolist() == [[[0, 255, 0]]]
    half = from_display(np.full((1, 1, 3), 50, np.float32), np.zeros((1, 1, 3), np.float16), "linear", "none")
    assert half.max() == HALF_MAX


# ---------------------------------------------------------------- Picture and windows


@settings(deadline=None, max_examples=40)
@given(data=st.data(), shape=SIZES)
def test_windows_are_the_array(data: st.DataObject, shape: tuple[int, int, int]) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    picture = Picture(pixels, "linear", "none", "x")
    top, left = data.draw(st.integers(0, shape[0] - 1)), data.draw(st.integers(0, shape[1] - 1))
    height, width = data.draw(st.integers(1, shape[0] - top)), data.draw(st.integers(1, shape[1] - left))
    assert np.array_equal(picture.read(top, left, height, width), pixels[top : top + height, left : left + width])
    assert (picture.height, picture.width, picture.channels) == shape


@pytest.mark.parametrize("window", [(-1, 0, 2, 2), (0, 0, 5, 2), (0, 3, 1, 2), (0, 0, 0, 1), (0, 0, 1, -1)])
def test_windows_outside_are_refused(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="not inside"):
        Picture(np.zeros((4, 4, 3), np.uint8), "srgb").read(*window)


def test_impossible_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 1\.\.4\)"):
        Picture(np.zeros((4, 4), np.uint8), "srgb")
    with pytest.raises(ValueError, match="float64"):
        Picture(np.zeros((4, 4, 3)), "srgb")
    with pytest.raises(ValueError, match="auto"):
        Picture(np.zeros((4, 4, 3), np.uint8), "auto")  # type: ignore[arg-type]


# ---------------------------------------------------------------- pixels beside a message


def block(path: Path, pixels: np.ndarray) -> PixelBlock:
    path.write_bytes(pixels.tobytes())
    height, width, channels = pixels.shape
    return PixelBlock(str(path), (height, width, channels), str(pixels.dtype))


def test_pixels_beside_a_message_are_mapped(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).random((5, 7, 4), np.float32)
    source = PictureSource("Rock", pixels=block(tmp_path / "p", pixels), encoding="linear", alpha="premultiplied")
    picture = from_block(source)
    assert (picture.name, picture.encoding, picture.alpha) == ("Rock", "linear", "premultiplied")
    assert np.array_equal(whole(picture), pixels)
    assert np.array_equal(identity(picture.read(1, 2, 3, 4), "srgb", "straight")[..., 3], pixels[1:4, 2:6, 3])


def test_alpha_of_three_channels_needs_no_word(tmp_path: Path) -> None:
    source = PictureSource("x", pixels=block(tmp_path / "p", np.zeros((2, 2, 3), np.uint8)), encoding="srgb")
    assert from_block(source).alpha == "none"


@pytest.mark.parametrize(
    ("shape", "dtype", "encoding", "alpha"),
    [
        ((2, 2, 5), "uint8", "srgb", "none"),
        ((2, 3, 4), "uint8", "srgb", "straight"),
        ((2, 2, 4), "float64", "linear", "straight"),
        ((2, 2, 4), "nonsense", "linear", "straight"),
        ((-2, -2, 4), "uint8", "srgb", "straight"),
        ((2, 2, 4), "uint8", "auto", "straight"),
        ((2, 2, 4), "uint8", "srgb", "auto"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(
    tmp_path: Path, shape: tuple[int, int, int], dtype: str, encoding: str, alpha: str
) -> None:
    (tmp_path / "p").write_bytes(bytes(16))
    source = PictureSource("x", "", PixelBlock(str(tmp_path / "p"), shape, dtype), encoding, alpha)
    with pytest.raises(EngineError, match="could not be handed over"):
        from_block(source)


def test_missing_blocks_are_refused(tmp_path: Path) -> None:
    gone = PictureSource("x", "", PixelBlock(str(tmp_path / "gone"), (1, 1, 1), "uint8"), "srgb", "none")
    with pytest.raises(EngineError):
        from_block(gone)
    with pytest.raises(EngineError, match="without pixels"):
        from_block(PictureSource("x"))


@settings(deadline=None, max_examples=60)
@given(
    top=st.integers(0, 40),
    left=st.integers(0, 40),
    height=st.integers(1, 23),
    width=st.integers(1, 23),
    dtype=st.sampled_from([np.float16, np.float32]),
    alpha=ALPHAS,
)
def test_a_window_is_converted_as_in_the_whole(
    top: int, left: int, height: int, width: int, dtype: Any, alpha: Any
) -> None:
    """Bit for bit, whatever its size and place: tiled must equal untiled."""
    pixels = np.random.default_rng(3).normal(1, 2, (64, 64, 4)).astype(dtype)
    pixels[:32, :, 3] = 1  # opaque: such windows take a quicker way
    window = np.s_[top : top + height, left : left + width]
    display = to_display(pixels, "linear", alpha)
    assert np.array_equal(to_display(pixels[window], "linear", alpha), display[window])
    back = from_display(display, pixels, "linear", alpha)
    assert np.array_equal(from_display(display[window], pixels[window], "linear", alpha), back[window])
