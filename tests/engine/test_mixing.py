"""Several styles in one picture: shares, mattes, palettes, and how much strokes vary."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import mixing, palette, style_pack
from engine.canvas import ArrayCanvas, PictureCanvas
from engine.errors import EngineError
from engine.files import ExrLayer, create_png, open_picture, read_exr, write_exr
from engine.mixing import Matte, Mix, Part, alone
from engine.passes import matte, read_passes
from engine.picture import Floats, encode
from engine.protocol import (
    Done,
    Event,
    PictureSource,
    PixelBlock,
    Progress,
    StyleShare,
    Stylized,
    StylizeRequest,
    StylizeSettings,
    from_line,
    to_line,
)
from engine.runtime import Paint, Session, painted, tiles
from engine.stylize import stylize

SAMPLE = Path(mixing.__file__).parent / "samples" / "still_life_0001.exr"
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("styles")
    made = {maker.__name__: maker(folder / maker.__name__) for maker in (tiny_styles.brush, tiny_styles.spotlight)}
    made["strokes"] = tiny_styles.strokes(folder / "strokes", "Other")
    made["red"] = tiny_styles.flat(folder / "red", "Red", (1, 0, 0))
    made["blue"] = tiny_styles.flat(folder / "blue", "Blue", (0, 0, 1))
    return {name: str(path) for name, path in made.items()}


@pytest.fixture(scope="module")
def sessions(folders: dict[str, str]) -> dict[str, Session]:
    return {name: Session(style_pack.load(path), "cpu") for name, path in folders.items()}


def picture(height: int, width: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((3, height, width), dtype=np.float32)


def plane(values: np.ndarray, name: str = "matte", wrap: bool = False) -> Matte:
    """A matte from coverage (h, w)."""
    return Matte(name, ArrayCanvas(values.astype(np.float32)[None], wrap), {"picture": name})


def whole(mix: Mix, source: Floats, paint: Paint = Paint()) -> Floats:  # noqa: B008 (frozen)
    return mix.painted(ArrayCanvas(source, paint.wrap), paint).read(0, 0, *source.shape[1:])


def lone(session: Session, source: Floats, paint: Paint = Paint()) -> Floats:  # noqa: B008 (frozen)
    return np.clip(whole(alone(session), source, paint), 0, 1)


def write_png(path: Path, values: np.ndarray) -> Path:
    height, width, channels = values.shape
    with create_png(path, height, width, channels, values.dtype) as png:
        png.write_rows(values)
    return path


def asked(out: Path, source: Path | PictureSource, *styles: StyleShare, **choices: Any) -> StylizeRequest:
    found = source if isinstance(source, PictureSource) else PictureSource(source.stem, str(source))
    return StylizeRequest("job", (found,), StylizeSettings(styles, **{"device": "cpu", **choices}), str(out))


def result(request: StylizeRequest) -> Stylized:
    assert from_line(to_line(request)) == request
    events: list[Event] = list(stylize(request))
    assert isinstance(events[-1], Done) and all(from_line(to_line(event)) == event for event in events)
    (found,) = [event for event in events if isinstance(event, Stylized)]
    return found


def read(path: str) -> np.ndarray:
    reader = open_picture(path)
    return reader.read(0, 0, reader.height, reader.width)


# ---------------------------------------------------------------- shares


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    coarse = np.random.default_rng(5).integers(0, 256, (12, 14, 3), np.uint8)
    return write_png(tmp_path / "photo.png", coarse.repeat(8, axis=0).repeat(8, axis=1)[:90, :107])


def test_one_share_is_the_style_alone_bit_for_bit(folders: dict[str, str], photo: Path, tmp_path: Path) -> None:
    brush = folders["brush"]
    mixes = [(StyleShare(brush),), (StyleShare(brush, 0.3),), (StyleShare(brush, 0.5), StyleShare(brush, 0.5))]
    mixes += [(StyleShare(brush), StyleShare(folders["strokes"], 0.0))]
    found = [read(result(asked(tmp_path / "out", photo, *mix)).path) for mix in mixes]
    alone_ = painted(Session(style_pack.load(brush), "cpu"), PictureCanvas(open_picture(photo)), Paint())
    values = np.rint(np.clip(alone_.read(0, 0, 90, 107), 0, 1) * np.float32(255)).astype(np.uint8)
    for pixels in found:
        np.testing.assert_array_equal(pixels, values.transpose(1, 2, 0))


def test_a_mix_is_the_mean_of_what_each_style_paints(sessions: dict[str, Session]) -> None:
    source = picture(70, 90)
    parts = (Part(sessions["brush"], 3), Part(sessions["strokes"], 1))
    one, two = (lone(part.session, source) for part in parts)
    np.testing.assert_allclose(whole(Mix(parts), source), 0.75 * one + 0.25 * two, atol=1e-6)
    halves = (Part(sessions["brush"], 0.5), Part(sessions["brush"], 0.5))
    np.testing.assert_array_equal(whole(Mix(halves), source), one)


@QUICK
@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 100))
def test_only_the_ratio_of_shares_matters(sessions: dict[str, Session], one: float, two: float, factor: float) -> None:
    source = picture(24, 24)
    mixes = [Mix((Part(sessions["red"], one * f), Part(sessions["blue"], two * f))) for f in (1.0, factor)]
    first, second = (whole(mix, source) for mix in mixes)
    np.testing.assert_allclose(first, second, atol=1e-6)
    np.testing.assert_allclose(first[0], one / (one + two), atol=1e-6)


@QUICK
@given(
    edge=st.integers(20, 90),
    wrap=st.booleans(),
    stroke=st.sampled_from([1.0, 0.5, 1.37, 2.0]),
    seed=st.integers(0, 3),
    colours=st.booleans(),
)
def test_tiled_equals_untiled_bit_for_bit(
    sessions: dict[str, Session], edge: int, wrap: bool, stroke: float, seed: int, colours: bool
) -> None:
    """With shares, a soft matte and a palette at once."""
    soft = plane(np.clip(picture(101, 117, 8)[0] * 3 - 1, 0, 1), wrap=wrap)
    parts = (Part(sessions["brush"]), Part(sessions["strokes"], 0.7), Part(sessions["strokes"], matte=soft))
    mix = Mix(parts, sessions["brush"] if colours else None)
    canvas = mix.painted(ArrayCanvas(picture(101, 117, seed), wrap), Paint(seed, stroke, wrap, 0.8))
    at_once = canvas.read(0, 0, 101, 117)
    parted = np.full_like(at_once, np.nan)
    for top, left, height, width in tiles(101, 117, edge):
        parted[:, top : top + height, left : left + width] = canvas.read(top, left, height, width)
    np.testing.assert_array_equal(parted, at_once)


@pytest.mark.parametrize("colours", [False, True])
def test_a_tileable_mix_wraps(sessions: dict[str, Session], colours: bool) -> None:
    """The same texture cut elsewhere gives the same result cut elsewhere. No noise: it begins at the first pixel."""
    source, cover = picture(64, 96), picture(64, 96, 2)[0]
    paint = Paint(0, 1.0, wrap=True, diversity=0.0)

    def mixed(shift: int) -> Floats:
        moved = plane(np.roll(cover, shift, (0, 1)), wrap=True)
        parts = (Part(sessions["brush"]), Part(sessions["strokes"], matte=moved))
        mix = Mix(parts, sessions["strokes"] if colours else None)
        return whole(mix, np.roll(source, shift, (1, 2)), paint)

    np.testing.assert_array_equal(np.roll(mixed(0), 20, (1, 2)), mixed(20))


def test_styles_pass_one_tile_after_another(sessions: dict[str, Session], monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps a 16K texture small: no style is asked for more than a tile and its surroundings."""
    largest = 0
    run = Session.run

    def watched(self: Session, image: Floats, *rest: Any) -> Floats:
        nonlocal largest
        largest = max(largest, image[0, 0].size)
        return run(self, image, *rest)

    monkeypatch.setattr(Session, "run", watched)
    mix = Mix((Part(sessions["brush"]), Part(sessions["strokes"])), sessions["brush"])
    canvas = mix.painted(ArrayCanvas(picture(500, 500)), Paint())
    for window in tiles(500, 500, 100):
        canvas.read(*window)
    around = 2 * (palette.reach(1.0) + tiny_styles.BRUSH_RADIUS + 4)
    assert largest <= (100 + around) ** 2


# ---------------------------------------------------------------- mattes


def test_a_matte_of_one_everywhere_is_that_style(sessions: dict[str, Session]) -> None:
    source = picture(60, 60)
    parts = (Part(sessions["brush"]), Part(sessions["strokes"], matte=plane(np.ones((60, 60)))))
    np.testing.assert_array_equal(whole(Mix(parts), source), lone(sessions["strokes"], source))
    nowhere = (Part(sessions["brush"]), Part(sessions["strokes"], matte=plane(np.zeros((60, 60)))))
    np.testing.assert_array_equal(whole(Mix(nowhere), source), lone(sessions["brush"], source))


def test_halves_are_each_style_and_a_soft_edge_stays_soft(sessions: dict[str, Session]) -> None:
    source = picture(64, 100)
    cover = np.clip((np.arange(100) - 40) / 20, 0, 1)[None].repeat(64, 0)
    parts = (Part(sessions["brush"]), Part(sessions["strokes"], matte=plane(cover)))
    mixed, (left, right) = whole(Mix(parts), source), (lone(part.session, source) for part in parts)
    np.testing.assert_array_equal(mixed[..., :41], left[..., :41])
    np.testing.assert_array_equal(mixed[..., 60:], right[..., 60:])
    np.testing.assert_allclose(mixed[..., 50], (left[..., 50] + right[..., 50]) / 2, atol=1e-6)


def test_what_no_matte_covers_stays_as_it_is(sessions: dict[str, Session]) -> None:
    source, cover = picture(40, 40), np.zeros((40, 40))
    cover[:, 20:] = 1
    for colours in (None, sessions["blue"]):
        mixed = whole(Mix((Part(sessions["brush"], 0.2, plane(cover)),), colours), source)
        np.testing.assert_array_equal(mixed[..., :20], source[..., :20])
        assert not np.array_equal(mixed[..., 20:], source[..., 20:])


def test_what_styles_see_in_place_of_a_picture_is_not_what_stays_of_it(sessions: dict[str, Session]) -> None:
    source, other = picture(40, 60), picture(40, 60, 1)
    left = np.zeros((40, 60))
    left[:, :30] = 1
    mix = Mix((Part(sessions["brush"], 1.0, plane(left)),))
    made = mix.painted(ArrayCanvas(source), Paint(), seen=ArrayCanvas(other)).read(0, 0, 40, 60)
    np.testing.assert_array_equal(made[:, :, 30:], source[:, :, 30:])
    np.testing.assert_allclose(made[:, :, :30], lone(sessions["brush"], other)[:, :, :30], atol=1e-6)


def test_overlapping_mattes_divide_their_place_by_coverage(sessions: dict[str, Session]) -> None:
    source = picture(20, 20)
    one, two = plane(np.full((20, 20), 0.9), "one"), plane(np.full((20, 20), 0.3), "two")
    mixed = whole(Mix((Part(sessions["red"], 5, one), Part(sessions["blue"], 1, two))), source)
    np.testing.assert_allclose(mixed[:, 0, 0], (0.75, 0, 0.25), atol=1e-6)
    inside = whole(Mix((Part(sessions["red"], 3, one), Part(sessions["blue"], 1, one))), source)
    np.testing.assert_allclose(inside[0] - 0.1 * source[0], 0.9 * 0.75, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_file_is_a_matte(folders: dict[str, str], photo: Path, tmp_path: Path, channels: int) -> None:
    """Red where it is white, the picture where it is black, half of each where it is grey."""
    cover = np.zeros((90, 107, channels), np.uint8)
    cover[:, 40:70], cover[:, 70:] = 127, 255
    write_png(tmp_path / "where to paint.png", cover)
    share = StyleShare(folders["red"], matte=str(tmp_path / "where to paint.png"))
    done = result(asked(tmp_path / "out", photo, share))
    before, after = read(str(photo)).astype(float), read(done.path).astype(float)
    np.testing.assert_array_equal(after[:, :40], before[:, :40])
    np.testing.assert_array_equal(after[:, 70:], np.broadcast_to((255, 0, 0), (90, 37, 3)))
    share_of_red = 127 / 255
    mixed = before[:, 40:70] * (1 - share_of_red) + np.array((255, 0, 0)) * share_of_red
    assert np.abs(after[:, 40:70] - mixed).max() <= 0.51
    (style,) = done.recipe["styles"]
    assert style["matte"]["picture"] == "where to paint.png" and len(style["matte"]["sha256"]) == 64
    assert str(tmp_path) not in json.dumps(done.recipe)


def test_a_real_cryptomatte_says_where_each_style_paints(folders: dict[str, str], tmp_path: Path) -> None:
    passes = read_passes(SAMPLE)
    jug = matte(passes, "Jug")
    styles = (StyleShare(folders["red"], matte="Jug"), StyleShare(folders["blue"]))
    done = result(asked(tmp_path / "out", SAMPLE, *styles))
    painted_ = read_exr(done.path).layers["ViewLayer.Stylized"].pixels().astype(np.float32)
    inside, soft = jug == 1, (jug > 0.3) & (jug < 0.7)
    assert inside.sum() > 1000 and soft.sum() > 50
    pure = (encode(passes["Combined"].astype(np.float32)[..., :3]) <= 1).all(axis=2)  # highlights are added back
    assert np.abs(painted_[inside & pure][:, :3] - (1, 0, 0)).max() < 1e-3
    assert np.abs(painted_[(jug == 0) & pure][:, :3] - (0, 0, 1)).max() < 1e-3
    display = encode(painted_[soft & pure][:, :3])
    np.testing.assert_allclose(display[:, 0], jug[soft & pure], atol=2e-3)
    assert done.recipe["styles"][0]["matte"] == {"CryptoObject": "Jug"} and "matte" not in done.recipe["styles"][1]
    assert Path(done.path).name == "still_life_0001_red-blue.exr"


def test_cryptomattes_of_every_shared_render_kind_are_found(shared: Path, folders: dict[str, str]) -> None:
    for path in sorted((shared / "sequences").glob("*/*.exr"))[:3]:
        passes = read_passes(path)
        name = max(passes.objects(), key=lambda each: float(matte(passes, each).sum()))
        found = mixing.open_matte(name, passes, open_picture(path), False)
        np.testing.assert_array_equal(found.plane.read(0, 0, passes.height, passes.width)[0], matte(passes, name))


def test_an_unknown_matte_names_those_there_are(folders: dict[str, str], photo: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Jugg") as caught:
        result(asked(tmp_path / "out", SAMPLE, StyleShare(folders["red"], matte="Jugg")))
    assert "Jug" in caught.value.fix and "Table" in caught.value.fix
    with pytest.raises(EngineError, match="no picture file 'Jug'") as caught:
        result(asked(tmp_path / "out", photo, StyleShare(folders["red"], matte="Jug")))
    assert "Cryptomatte" in caught.value.fix
    block = PixelBlock(str(tmp_path / "raw"), (20, 20, 3), "uint8")
    (tmp_path / "raw").write_bytes(bytes(1200))
    pixels = PictureSource("Wall", pixels=block, encoding="srgb", alpha="none")
    with pytest.raises(EngineError, match="'Wall' has no Cryptomatte"):
        result(asked(tmp_path / "out", pixels, StyleShare(folders["red"], matte="Jug")))
    assert not (tmp_path / "out").exists()


def test_a_matte_of_another_size_is_an_error(folders: dict[str, str], photo: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "m.png", np.zeros((89, 107, 1), np.uint8))
    with pytest.raises(EngineError, match="107 x 89, the picture 107 x 90") as caught:
        result(asked(tmp_path / "out", photo, StyleShare(folders["red"], matte=str(tmp_path / "m.png"))))
    assert "size" in caught.value.fix


def test_an_object_comes_before_a_file_of_its_name(
    folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "Jug", np.zeros((180, 320, 1), np.uint8))
    found = mixing.open_matte("Jug", read_passes(SAMPLE), open_picture(SAMPLE), False)
    assert found.described == {"CryptoObject": "Jug"}


def test_a_render_without_cryptomatte_takes_a_picture(folders: dict[str, str], tmp_path: Path) -> None:
    write_exr(tmp_path / "in.exr", [ExrLayer.of("", picture(30, 40).transpose(1, 2, 0))], {})
    write_png(tmp_path / "m.png", np.full((30, 40, 1), 255, np.uint8))
    done = result(
        asked(tmp_path / "out", tmp_path / "in.exr", StyleShare(folders["blue"], matte=str(tmp_path / "m.png")))
    )
    stylized = read_exr(done.path).layers["Stylized"].pixels()
    np.testing.assert_allclose(stylized[..., 2], 1, atol=1e-5)


# ---------------------------------------------------------------- palettes


def test_a_palette_of_its_own_keeps_every_light_and_dark() -> None:
    paint = np.clip(picture(90, 90) * 0.6 + 0.2, 0, 1)
    reach = palette.reach(1.0)
    again = palette.recoloured(paint, paint, 1.0)
    light = np.tensordot((0.2126, 0.7152, 0.0722), paint, axes=1)[reach:-reach, reach:-reach]
    np.testing.assert_allclose(np.tensordot((0.2126, 0.7152, 0.0722), again, axes=1), light, atol=2e-4)


def test_strokes_follow_the_first_and_colours_the_second_style() -> None:
    """Vertical grey strokes, and a picture whose lights are yellow and whose darks are blue, in horizontal strokes."""
    size, reach = 120, palette.reach(1.0)
    waves = (0.5 + 0.3 * np.sin(np.arange(size) * 0.9)).astype(np.float32)
    strokes = np.broadcast_to(waves, (3, size, size)).copy()
    blue, yellow = np.array((0.1, 0.1, 0.6)), np.array((0.9, 0.8, 0.2))
    rows = ((waves - 0.2) / 0.6)[:, None, None]
    colours = np.broadcast_to(blue + rows * (yellow - blue), (size, size, 3)).transpose(2, 0, 1).astype(np.float32)
    made = palette.recoloured(strokes, colours, 1.0)
    assert np.abs(np.diff(made, axis=1)).max() < 0.02 < np.abs(np.diff(made, axis=2)).max()
    crest, trough = made[:, 30, waves[reach:-reach].argmax()], made[:, 30, waves[reach:-reach].argmin()]
    np.testing.assert_allclose(crest, yellow, atol=0.1)
    np.testing.assert_allclose(trough, blue, atol=0.1)


def test_a_flat_palette_gives_its_colour() -> None:
    flat = np.broadcast_to(np.array((0.7, 0.2, 0.1), np.float32)[:, None, None], (3, 90, 90)).copy()
    made = palette.recoloured(picture(90, 90) * 0.1 + 0.4, flat, 1.0)
    np.testing.assert_allclose(made.mean(axis=(1, 2)), (0.7, 0.2, 0.1), atol=5e-3)
    colour = made - np.tensordot((0.2126, 0.7152, 0.0722), made, axes=1)
    assert colour.std(axis=(1, 2)).max() < 1e-3


@pytest.mark.parametrize("stroke", [1.0, 2.0])
def test_a_result_sees_no_further_than_it_says(sessions: dict[str, Session], stroke: float) -> None:
    mix, paint = Mix((Part(sessions["brush"]),), sessions["strokes"]), Paint(stroke=stroke)
    before = picture(420, 420)
    after = before.copy()
    after[:, 210, 210] = 1 - after[:, 210, 210]
    rows, columns = np.nonzero((whole(mix, before, paint) != whole(mix, after, paint)).any(axis=0))
    reach = mix.reach(420, 420, paint)
    assert reach and palette.reach(stroke) / 2 < max(np.abs(rows - 210).max(), np.abs(columns - 210).max()) <= reach


def test_the_colours_of_a_palette_are_computed_once(
    sessions: dict[str, Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    run = Session.run
    monkeypatch.setattr(Session, "run", lambda self, *a: (names.append(self.pack.name), run(self, *a))[1])
    whole(Mix((Part(sessions["brush"]), Part(sessions["red"])), sessions["strokes"]), picture(40, 40))
    assert sorted(names) == ["Brush", "Other", "Red"]


def test_a_palette_is_named_in_the_recipe_and_the_file(folders: dict[str, str], photo: Path, tmp_path: Path) -> None:
    done = result(asked(tmp_path / "out", photo, StyleShare(folders["brush"]), palette=folders["blue"]))
    blue = style_pack.load(folders["blue"])
    assert done.recipe["palette"] == {"name": "Blue", "hash": blue.hash, "precision": "full"}
    assert Path(done.path).name == "photo_brush-in-blue.png"
    after = read(done.path).astype(float).mean(axis=(0, 1))
    assert after[2] > 2 * max(after[:2])


# ---------------------------------------------------------------- diversity


@pytest.mark.parametrize("style", ["brush", "strokes"])
def test_more_diversity_is_more_variation_over_seeds(sessions: dict[str, Session], style: str) -> None:
    source = picture(64, 64)

    def variation(diversity: float) -> float:
        seeds = [lone(sessions[style], source, Paint(seed, diversity=diversity)) for seed in range(5)]
        return float(np.ptp(seeds, axis=0).mean())

    found = [variation(diversity) for diversity in (0, 0.25, 0.5, 0.75, 1, 1.5)]
    assert found[0] == 0 and all(low < high for low, high in pairwise(found))


def test_a_shipped_style_varies_with_its_diversity() -> None:
    shipped = [style for style in style_pack.installed() if style.makes == "pictures"]
    session = Session(style_pack.load(shipped[0].folder), "cpu")
    source = np.clip(picture(96, 96) * 0.2 + 0.4, 0, 1)

    def variation(diversity: float) -> float:
        seeds = [lone(session, source, Paint(seed, diversity=diversity)) for seed in range(4)]
        return float(np.ptp(seeds, axis=0).mean())

    found = [variation(diversity) for diversity in (0, 0.5, 1, 1.5)]
    assert found[0] == 0 and all(low < high for low, high in pairwise(found))


def test_full_diversity_is_the_style_as_it_was_trained(sessions: dict[str, Session]) -> None:
    source = picture(50, 50)
    session = sessions["strokes"]
    noise = painted(session, ArrayCanvas(source), Paint(3)).read(0, 0, 50, 50)
    np.testing.assert_array_equal(whole(alone(session), source, Paint(3, diversity=1.0)), noise)


# ---------------------------------------------------------------- overlays, settings


def test_overlays_explain_the_mixed_result(folders: dict[str, str], tmp_path: Path) -> None:
    """Also on a picture reduced for them, with its matte."""
    styles = (
        StyleShare(folders["brush"], matte="Jug"),
        StyleShare(folders["strokes"], 0.5),
        StyleShare(folders["red"]),
    )
    done = result(asked(tmp_path / "out", SAMPLE, *styles, overlays=("Scale", "Removal")))
    layers = read_exr(done.path).layers
    removal = layers["ViewLayer.Attribution Removal"].pixels()
    assert np.isfinite(removal).all() and removal.std() > 0
    assert [layer.name for layer in done.layers] == ["Stylized", "Attribution.Scale", "Attribution.Removal"]
    assert all(layer.certificate and layer.sentence for layer in done.layers[1:])


def test_removal_knows_where_a_matte_paints(sessions: dict[str, Session]) -> None:
    """Where a style of one colour paints, nothing of the picture matters; elsewhere the picture itself does."""
    from engine.explain.removal import Grid, Look, _effects

    cover = np.zeros((64, 64))
    cover[:, 32:] = 1
    look = Look(Mix((Part(sessions["red"], matte=plane(cover)),)), Paint())
    before = picture(64, 64)
    before[:, :32] *= 0.3
    grid = Grid.over(64, 64, 4)
    work = _effects(look, grid, before, look.result(before), None)
    while True:
        try:
            next(work)
        except StopIteration as finished:
            effects = np.abs(finished.value.reshape(4, 4))
            break
    assert effects[:, 2:].max() == 0 < effects[:, :2].min()


def test_statistics_over_the_frame_reach_everywhere(sessions: dict[str, Session]) -> None:
    mix = Mix((Part(sessions["brush"]), Part(sessions["spotlight"])))
    assert mix.reach(64, 64, Paint()) is None
    assert alone(sessions["brush"]).reach(64, 64, Paint()) == tiny_styles.BRUSH_RADIUS


@pytest.mark.parametrize(
    ("styles", "choices"),
    [
        ((), {}),
        ((("brush", 0.0),), {}),
        ((("brush", -1.0), ("red", 2.0)), {}),
        ((("brush", float("nan")), ("red", 1.0)), {}),
        ((("brush", float("inf")),), {}),
        ((("brush", 1.0),), {"diversity": 1.6}),
        ((("brush", 1.0),), {"diversity": float("nan")}),
        ((("brush", 1.0),), {"palette": "no such style"}),
        ((("brush", 1.0),), {"precision": "double"}),
    ],
)
def test_wrong_mixes_are_errors_with_a_fix(
    folders: dict[str, str], photo: Path, tmp_path: Path, styles: tuple[tuple[str, float], ...], choices: dict[str, Any]
) -> None:
    shares = tuple(StyleShare(folders[name], share) for name, share in styles)
    with pytest.raises(EngineError) as caught:
        list(stylize(asked(tmp_path / "out", photo, *shares, **choices)))
    assert caught.value.fix and not (tmp_path / "out").exists()


def test_progress_goes_on_while_several_styles_paint(folders: dict[str, str], photo: Path, tmp_path: Path) -> None:
    events = list(
        stylize(asked(tmp_path / "out", photo, StyleShare(folders["brush"]), StyleShare(folders["red"]), tile=40))
    )
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions) and len(set(fractions)) > 6
