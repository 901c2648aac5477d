"""Exact tiling, noise, stroke size, borders, memory, third-party models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import machine, noise, runtime, style_pack
from engine.canvas import ArrayCanvas, PictureCanvas, border_indices
from engine.errors import EngineError
from engine.picture import Floats, Picture
from engine.resample import Resampled
from engine.runtime import OutOfMemoryError, Paint, Session, painted, tiles

REPO = Path(__file__).resolve().parent.parent.parent
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Session]:
    folder = tmp_path_factory.mktemp("styles")
    makers = (tiny_styles.identity, tiny_styles.blur, tiny_styles.brush, tiny_styles.strokes, tiny_styles.spotlight)
    packs = {maker.__name__: style_pack.load(maker(folder / maker.__name__)) for maker in makers}
    packs["lie"] = style_pack.load(tiny_styles.spotlight(folder / "lie", lie=True))
    path = tiny_styles.bgr_255(folder / "other.onnx", metadata=True)
    packs["other"] = style_pack.import_style(path, folder / "imported")
    return {name: Session(pack, "cpu") for name, pack in packs.items()}


def picture(height: int, width: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((3, height, width), dtype=np.float32)


def tiled(canvas: runtime.Canvas, edge: int) -> Floats:
    result = np.full((3, canvas.height, canvas.width), np.nan, np.float32)
    for top, left, height, width in tiles(canvas.height, canvas.width, edge):
        result[:, top : top + height, left : left + width] = canvas.read(top, left, height, width)
    return result


# ---------------------------------------------------------------- exact tiling


@QUICK
@given(
    height=st.integers(16, 200),
    width=st.integers(16, 200),
    edge=st.integers(64, 256),
    wrap=st.booleans(),
    stroke=st.sampled_from([1.0, 1.0, 0.5, 1.37, 2.0, 4.0]),
    seed=st.integers(0, 5),
)
def test_tiled_equals_untiled_bit_for_bit(
    styles: dict[str, Session], height: int, width: int, edge: int, wrap: bool, stroke: float, seed: int
) -> None:
    source = ArrayCanvas(picture(height, width, seed), wrap)
    canvas = painted(styles["brush"], source, Paint(seed, stroke, wrap))
    whole = canvas.read(0, 0, height, width)
    assert np.isfinite(whole).all()
    np.testing.assert_array_equal(tiled(canvas, edge), whole)


@QUICK
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.booleans())
def test_tiny_pictures_and_tiny_tiles(
    styles: dict[str, Session], height: int, width: int, edge: int, wrap: bool
) -> None:
    canvas = painted(styles["brush"], ArrayCanvas(picture(height, width), wrap), Paint(wrap=wrap))
    np.testing.assert_array_equal(tiled(canvas, max(edge, height // 3)), canvas.read(0, 0, height, width))


def test_windows_of_every_shape_give_the_same_bits(styles: dict[str, Session]) -> None:
    """What exact tiling needs of onnxruntime itself: no kernel depends on the window it runs in."""
    whole_canvas = painted(styles["brush"], ArrayCanvas(picture(420, 388)), Paint(3))
    whole = whole_canvas.read(0, 0, 420, 388)
    rng = np.random.default_rng(1)
    for _ in range(40):
        top, left = int(rng.integers(0, 400)), int(rng.integers(0, 370))
        height, width = int(rng.integers(1, 421 - top)), int(rng.integers(1, 389 - left))
        part = whole_canvas.read(top, left, height, width)
        np.testing.assert_array_equal(part, whole[:, top : top + height, left : left + width])


def test_exactness_is_measured_and_a_lie_is_found(styles: dict[str, Session]) -> None:
    assert runtime.is_exact(styles["brush"])
    assert runtime.is_exact(styles["identity"])
    assert not runtime.is_exact(styles["lie"])


def test_the_receptive_radius_of_the_tiny_brush_is_true(styles: dict[str, Session]) -> None:
    """Nothing changes outside it, something does not far inside it: the declared radius is no idle bound."""
    before = picture(160, 160)
    after = before.copy()
    after[:, 80, 80] = 1 - after[:, 80, 80]
    results = [painted(styles["brush"], ArrayCanvas(p), Paint()).read(0, 0, 160, 160) for p in (before, after)]
    rows, columns = np.nonzero((results[0] != results[1]).any(axis=0))
    reach = max(np.abs(rows - 80).max(), np.abs(columns - 80).max())
    assert tiny_styles.BRUSH_RADIUS / 2 <= reach <= tiny_styles.BRUSH_RADIUS


def test_the_result_does_not_depend_on_the_threads(styles: dict[str, Session], monkeypatch: pytest.MonkeyPatch) -> None:
    source = ArrayCanvas(picture(150, 170))
    two = painted(styles["brush"], source, Paint()).read(0, 0, 150, 170)
    monkeypatch.setattr(machine, "cores", lambda: 1)
    alone = Session(styles["brush"].pack, "cpu")
    np.testing.assert_array_equal(painted(alone, source, Paint()).read(0, 0, 150, 170), two)


# ---------------------------------------------------------------- borders, noise, stroke size


@pytest.mark.parametrize("stroke", [1.0, 2.0])
def test_a_tileable_texture_stays_tileable(styles: dict[str, Session], stroke: float) -> None:
    """Painting a shifted texture with shifted noise is shifting the painting: there is no border to see."""
    texture = picture(64, 96)
    canvas = painted(styles["brush"], ArrayCanvas(texture, True), Paint(stroke=stroke, wrap=True))
    around = canvas.read(-32, -48, 128, 192)
    np.testing.assert_array_equal(around[:, 32:96, 48:144], canvas.read(0, 0, 64, 96))
    np.testing.assert_array_equal(around[:, :32], around[:, 64:96])
    inner = np.abs(np.diff(around[:, 32:96, 48:144], axis=1)).mean()
    seam = np.abs(canvas.read(63, 0, 1, 96) - canvas.read(0, 0, 1, 96)).mean()
    assert seam <= 1.5 * inner


def test_a_seam_of_an_untileable_run_would_show(styles: dict[str, Session]) -> None:
    smooth = np.tile(np.sin(np.arange(96) * 2 * np.pi / 96).astype(np.float32) / 2 + 0.5, (3, 96, 1))
    wrapped = painted(styles["brush"], ArrayCanvas(smooth, True), Paint(wrap=True)).read(0, 0, 96, 96)
    plain = painted(styles["brush"], ArrayCanvas(smooth), Paint()).read(0, 0, 96, 96)
    assert not np.array_equal(wrapped[..., 0], plain[..., 0])
    np.testing.assert_array_equal(wrapped[:, 40:56, 40:56], plain[:, 40:56, 40:56])


def test_an_odd_tileable_texture_closes_too(styles: dict[str, Session]) -> None:
    canvas = painted(styles["brush"], ArrayCanvas(picture(61, 47), True), Paint(wrap=True))
    np.testing.assert_array_equal(canvas.read(0, 47, 61, 10), canvas.read(0, 0, 61, 10))


def test_noise_is_normal_seeded_and_independent() -> None:
    field = noise.normal(7, 3, -40, -40, 200, 200, None)
    assert field.dtype == np.float32 and abs(field.mean()) < 0.02 and abs(field.std() - 1) < 0.02
    flat = field.reshape(3, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(3)).max() < 0.02
    assert abs(np.corrcoef(field[0, :, :-1].ravel(), field[0, :, 1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(field[0, :-1].ravel(), field[0, 1:].ravel())[0, 1]) < 0.02
    other = noise.normal(7 + 2**26, 3, -40, -40, 200, 200, None)
    assert abs(np.corrcoef(field[0].ravel(), other[0].ravel())[0, 1]) < 0.02


def test_noise_depends_on_the_place_alone() -> None:
    whole = noise.normal(1, 2, 0, 0, 64, 64, None)
    np.testing.assert_array_equal(noise.normal(1, 2, 11, 30, 9, 21, None), whole[:, 11:20, 30:51])
    around = noise.normal(1, 2, -16, 16, 32, 16, (16, 16))
    np.testing.assert_array_equal(around[:, :16], around[:, 16:])


def test_strokes_depend_on_the_place_alone() -> None:
    field = np.random.default_rng(0).random((2, 9, 11), dtype=np.float32)
    whole = noise.strokes(field, 1, -20, -20, 64, 64, None)
    np.testing.assert_array_equal(noise.strokes(field, 1, -9, 10, 9, 21, None), whole[:, 11:20, 30:51])
    np.testing.assert_array_equal(whole[:, :9, :11], whole[:, 9:18, 11:22])  # it repeats
    around = noise.strokes(field, 1, -16, 16, 32, 16, (16, 16))
    np.testing.assert_array_equal(around[:, :16], around[:, 16:])


FIELD = np.random.default_rng(0).random((2, 9, 11), dtype=np.float32)


def turned_strokes(top: int, left: int, height: int, width: int, *rest: Any, **choices: Any) -> np.ndarray:
    flow = np.full((2, height, width), 0.7, np.float32)
    return noise.along(np.stack([FIELD, FIELD[:, ::-1]]), flow, 3, top, left, height, width, *rest, **choices)


NOISES = [partial(noise.normal, 3, 2), partial(noise.strokes, FIELD, 3), turned_strokes]


@pytest.mark.parametrize("made", NOISES)
def test_noise_that_has_moved_is_taken_from_further_on(made: Callable[..., np.ndarray]) -> None:
    """By the same everywhere it is another window; by as much as each place has moved it is the value there."""
    by, half = np.empty((2, 12, 14), np.int64), np.zeros((2, 12, 14), np.int64)
    by[0], by[1] = 5, -8
    half[:, :, 7:] = by[:, :, 7:]
    plain, further = made(-2, 3, 12, 14, None), made(3, -5, 12, 14, None)
    np.testing.assert_array_equal(made(-2, 3, 12, 14, None, moved=by), further)
    mixed = made(-2, 3, 12, 14, None, moved=half)
    np.testing.assert_array_equal(mixed[:, :, :7], plain[:, :, :7])
    np.testing.assert_array_equal(mixed[:, :, 7:], further[:, :, 7:])


@pytest.mark.parametrize("made", NOISES)
def test_noise_that_has_moved_wraps_where_the_picture_does(made: Callable[..., np.ndarray]) -> None:
    size = (18, 22)  # twice the field of strokes, which then needs no seam
    by = np.stack([np.full(size, 5), np.full(size, -8)])
    moved, plain = made(0, 0, *size, size, moved=by), made(0, 0, *size, size)
    np.testing.assert_array_equal(moved, np.roll(plain, (-5, 8), (1, 2)))


def test_steps_of_a_picture_are_told_in_cells_of_the_noise() -> None:
    steps = np.zeros((2, 20, 24), np.float32)
    steps[0], steps[1, :, 12:] = 6.4, -9.9
    cells = noise.Moved(steps).cells(0, 0, 5, 6, 4.0)
    np.testing.assert_array_equal(cells[0], 2)
    np.testing.assert_array_equal(cells[1], np.broadcast_to([0, 0, 0, -2, -2, -2], (5, 6)))
    beyond = noise.Moved(steps).cells(-2, -2, 9, 10, 4.0)
    np.testing.assert_array_equal(beyond[:, 2:7, 2:8], cells)
    np.testing.assert_array_equal(beyond[1, 0], [0, 0, 0, 0, 0, -2, -2, -2, -2, -2])


@pytest.mark.parametrize("kind", ["brush", "strokes"])
def test_tiles_of_a_picture_that_has_moved_are_exact(styles: dict[str, Session], kind: str) -> None:
    steps = np.random.default_rng(0).normal(0, 20, (2, 150, 131)).astype(np.float32)
    canvas = painted(styles[kind], ArrayCanvas(picture(150, 131)), Paint(3, moved=noise.Moved(steps)))
    np.testing.assert_array_equal(tiled(canvas, 64), canvas.read(0, 0, 150, 131))
    still = painted(styles[kind], ArrayCanvas(picture(150, 131)), Paint(3, moved=noise.Moved(steps * 0)))
    plain = painted(styles[kind], ArrayCanvas(picture(150, 131)), Paint(3))
    np.testing.assert_array_equal(still.read(0, 0, 150, 131), plain.read(0, 0, 150, 131))


def test_strokes_go_on_over_the_border_of_a_tileable_picture() -> None:
    smooth = np.sin(np.arange(40) * 2 * np.pi / 40)
    field = (smooth[:, None] + smooth)[None].astype(np.float32)  # no seam of its own
    whole = noise.strokes(field, 3, 0, 0, 57, 61, (57, 61))
    for axis in (1, 2):
        steps = np.abs(np.roll(whole, -1, axis) - whole).mean(axis=(0, 3 - axis))
        assert steps[-1] < 1.5 * steps.mean()
    assert np.abs(whole).max() < 2 * np.abs(field).max()


def test_every_seed_begins_somewhere_else_on_the_stroke_field() -> None:
    field = np.arange(60 * 60, dtype=np.float32).reshape(1, 60, 60)
    first = {float(noise.strokes(field, seed, 0, 0, 1, 1, None)[0, 0, 0]) for seed in range(100)}
    assert len(first) > 90


def test_a_stroke_field_is_read_as_its_range_says(styles: dict[str, Session]) -> None:
    session = styles["strokes"]
    assert session.strokes is not None and session.strokes.shape == (2, 5, 7)
    stored = np.frombuffer(session.pack.read("strokes.bytes"), np.uint8).reshape(2, 5, 7)
    np.testing.assert_allclose(session.strokes, stored / 255.0 * 4 - 2, atol=1e-6)


def test_tiles_of_a_style_with_strokes_are_exact(styles: dict[str, Session]) -> None:
    for wrap in (False, True):
        canvas = painted(styles["strokes"], ArrayCanvas(picture(150, 131), wrap), Paint(3, wrap=wrap))
        np.testing.assert_array_equal(tiled(canvas, 64), canvas.read(0, 0, 150, 131))


@pytest.mark.parametrize("style", ["brush", "strokes"])
def test_the_seed_changes_the_strokes(styles: dict[str, Session], style: str) -> None:
    source = ArrayCanvas(picture(64, 64))
    results = [painted(styles[style], source, Paint(seed)).read(0, 0, 64, 64) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


@pytest.mark.parametrize("stroke", [0.25, 0.5, 0.8, 1.5, 2.0, 4.0])
def test_the_stroke_size_keeps_a_smooth_picture(styles: dict[str, Session], stroke: float) -> None:
    """Through the model at another size and back: an identity style returns what is coarser than a stroke."""
    y, x = np.mgrid[0:80, 0:110].astype(np.float32)
    smooth = np.stack([np.sin(y / 25) / 2 + 0.5, np.cos(x / 30) / 2 + 0.5, (x + y) / 200])
    result = painted(styles["identity"], ArrayCanvas(smooth), Paint(stroke=stroke)).read(0, 0, 80, 110)
    assert np.abs(result - smooth)[:, 8:-8, 8:-8].max() < 0.01
    assert np.abs(result - smooth).max() < 0.06


def test_resampling_keeps_constants_and_the_mean() -> None:
    flat = ArrayCanvas(np.full((3, 37, 53), 0.3, np.float32))
    np.testing.assert_allclose(Resampled(flat, 11, 90).read(-3, -3, 20, 100), 0.3, atol=1e-6)
    noisy = ArrayCanvas(picture(64, 64), True)
    assert abs(Resampled(noisy, 16, 16).read(0, 0, 16, 16).mean() - noisy.planes.mean()) < 1e-3


@QUICK
@given(st.integers(-300, 300), st.integers(1, 80), st.integers(1, 40), st.booleans())
def test_beyond_the_border(start: int, count: int, size: int, wrap: bool) -> None:
    pixels = np.arange(size, dtype=np.uint8)[:, None, None].repeat(2, axis=1).repeat(3, axis=2)
    canvas = PictureCanvas(Picture(pixels, "data"), wrap)
    got = np.rint(canvas.read(start, 0, count, 2)[0, :, 0] * 255).astype(int)
    mode = "wrap" if wrap else "reflect"
    padded = np.pad(np.arange(size), 400, mode=mode) if size > 1 else np.zeros(801 + size, int)
    np.testing.assert_array_equal(got, padded[400 + start : 400 + start + count])
    np.testing.assert_array_equal(border_indices(start, count, size, wrap), got)


# ---------------------------------------------------------------- memory and devices


def test_tiles_get_smaller_when_memory_runs_out(styles: dict[str, Session], monkeypatch: pytest.MonkeyPatch) -> None:
    source = ArrayCanvas(picture(300, 260))
    whole = painted(styles["brush"], source, Paint()).read(0, 0, 300, 260)
    run = Session.run
    sizes: list[int] = []

    def cramped(self: Session, image: Floats, *rest: Any) -> Floats:
        if image[0, 0].size > 40_000:
            raise OutOfMemoryError("full")
        sizes.append(image[0, 0].size)
        return run(self, image, *rest)

    said: list[str] = []
    session = Session(styles["brush"].pack, "cpu", said.append)
    monkeypatch.setattr(Session, "run", cramped)
    np.testing.assert_array_equal(painted(session, source, Paint()).read(0, 0, 300, 260), whole)
    assert max(sizes) <= 40_000
    assert "memory" in said[0]


def test_when_nothing_fits_the_error_says_what_to_do(
    styles: dict[str, Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> Floats:
        raise OutOfMemoryError("full")

    monkeypatch.setattr(Session, "run", never)
    with pytest.raises(EngineError, match="memory") as caught:
        painted(styles["brush"], ArrayCanvas(picture(200, 200)), Paint()).read(0, 0, 200, 200)
    assert "stroke" in caught.value.fix


def test_the_arena_refuses_what_does_not_fit(tmp_path: Path) -> None:
    """For real: a process that may use 256 MB paints 2 megapixels in smaller tiles, with the same bits."""
    tiny_styles.brush(tmp_path / "brush", channels=32)
    script = f"""
import sys
import numpy as np
sys.path.insert(0, {str(REPO)!r})
from engine import machine, runtime, style_pack
from engine.canvas import ArrayCanvas
machine.cores = lambda: 1
machine.available_memory = lambda: 100
said = []
session = runtime.Session(style_pack.load({str(tmp_path / "brush")!r}), "cpu", said.append)
source = ArrayCanvas(np.random.default_rng(0).random((3, 1400, 1400), dtype=np.float32))
canvas = runtime.painted(session, source, runtime.Paint())
whole = canvas.read(0, 0, 1400, 1400)
assert said, "it fitted"
assert np.array_equal(whole[:, 600:700, 500:640], canvas.read(600, 500, 100, 140))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_cuda_is_an_error_where_there_is_none_and_auto_goes_on(styles: dict[str, Session]) -> None:
    pack = styles["brush"].pack
    if runtime.cuda_listed():
        assert Session(pack, "auto").device in ("cpu", "cuda")
        return
    with pytest.raises(EngineError, match="CUDA") as caught:
        Session(pack, "cuda")
    assert "cpu" in caught.value.fix
    assert Session(pack, "auto").device == "cpu"
    with pytest.raises(EngineError, match="device"):
        Session(pack, "tpu")


def test_automatic_tiles_cover_the_picture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 500 << 20)
    for height, width in ((1080, 1920), (64, 100_000), (4097, 4095), (16, 16)):
        windows = list(tiles(height, width, 0, 500))
        assert sum(h * w for _, _, h, w in windows) == height * width
        assert max(h * w for _, _, h, w in windows) <= (500 << 20) * 0.4 / 500
    monkeypatch.setattr(machine, "available_memory", lambda: 64 << 30)
    assert len(list(tiles(1080, 1920, 0, 444))) == 1


def test_a_guide_of_another_version_is_refused(tmp_path: Path) -> None:
    from onnx import helper

    spec = style_pack.ModelSpec(
        {"image": style_pack.ModelInput(3), "curvature": style_pack.ModelInput(3)}, receptive_radius=0
    )
    nodes = [helper.make_node("Add", ["image", "curvature"], ["stylized"])]
    pack = style_pack.load(tiny_styles._pack(tmp_path / "guided", "Guided", nodes, [], spec))
    with pytest.raises(EngineError, match="curvature"):
        Session(pack, "cpu")


# ---------------------------------------------------------------- models that are not local


@QUICK
@given(st.integers(1, 200), st.integers(1, 200), st.booleans(), st.sampled_from([1.0, 0.5, 2.0]))
def test_a_fixed_size_model_takes_any_picture(
    styles: dict[str, Session], height: int, width: int, wrap: bool, stroke: float
) -> None:
    source = ArrayCanvas(picture(height, width), wrap)
    canvas = painted(styles["other"], source, Paint(stroke=stroke, wrap=wrap))
    whole = canvas.read(0, 0, height, width)
    assert whole.shape == (3, height, width) and np.isfinite(whole).all()
    rows = [canvas.read(top, 0, min(23, height - top), width) for top in range(0, height, 23)]
    np.testing.assert_array_equal(np.concatenate(rows, axis=1), whole)


def test_order_and_range_of_a_third_party_model_arrive_right(styles: dict[str, Session]) -> None:
    """The tiny model swaps blue and red, and adds a tenth of the normalised picture."""
    red = np.zeros((3, 90, 90), np.float32)
    red[0] = 0.8
    result = painted(styles["other"], ArrayCanvas(red), Paint()).read(0, 0, 90, 90)
    np.testing.assert_allclose(result[2], 0.8, atol=0.01)
    np.testing.assert_allclose(result[0], 0.0, atol=0.01)


def test_tiles_of_a_fixed_size_fade_into_each_other(styles: dict[str, Session]) -> None:
    ramp = np.linspace(0, 1, 400, dtype=np.float32)[None, None, :].repeat(3, 0).repeat(70, 1)
    result = painted(styles["other"], ArrayCanvas(ramp), Paint()).read(0, 0, 70, 400)
    steps = np.abs(np.diff(result, axis=2))
    assert steps.max() < 0.05


def test_tile_starts_cover_every_pixel() -> None:
    for size in (1, 63, 64, 65, 200, 1081):
        for wrap in (False, True):
            starts = runtime.tile_starts(size, 64, wrap)
            seen = np.zeros(size, int)
            for start in starts:
                places = np.arange(start, start + 64)
                seen[places % size if wrap else places[(places >= 0) & (places < size)]] += 1
            assert (seen > 0).all()
