"""Textures out of noise: exact tiles, borders that go on, seeds, packs, the job and its command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from PIL import Image

from engine import cli, noise, style_pack
from engine.errors import EngineError
from engine.files import open_picture
from engine.picture import Floats, whole
from engine.protocol import (
    Done,
    PictureSource,
    StyleShare,
    StylizeRequest,
    StylizeSettings,
    TextureMade,
    TextureRequest,
)
from engine.runtime import Paint, Session, Texture, is_exact, texture, tiles
from engine.stylize import stylize
from engine.texture import texture as make


@pytest.fixture
def pattern(tmp_path: Path) -> Path:
    return tiny_styles.pattern(tmp_path / "pattern")


@pytest.fixture
def session(pattern: Path) -> Session:
    return Session(style_pack.load(pattern), "cpu")


def whole_of(session: Session, height: int, width: int, paint: Paint) -> Floats:
    return texture(session, height, width, paint).read(0, 0, height, width)


# ---------------------------------------------------------------- noise


@pytest.mark.parametrize("distribution", [noise.normal, noise.uniform])
def test_noise_is_distributed_as_it_says_and_windows_agree(distribution: Any) -> None:
    whole = distribution(7, 2, -20, 5, 150, 130, None)
    assert abs(whole.mean()) < 0.02
    assert whole.std() == pytest.approx(1 if distribution is noise.normal else 3**-0.5, rel=0.02)
    assert np.array_equal(distribution(7, 2, 10, 25, 30, 40, None), whole[:, 30:60, 20:60])
    others = distribution(7, 2, -20, 5, 150, 130, None, 64), distribution(8, 2, -20, 5, 150, 130, None)
    for other in others:
        assert abs(np.corrcoef(whole.ravel(), other.ravel())[0, 1]) < 0.02
    wrapped = distribution(7, 2, 0, 0, 24, 24, (12, 8))
    assert np.array_equal(wrapped[:, :12, :8], wrapped[:, 12:, 16:])


def test_waves_are_plane_waves_of_the_length_asked_for() -> None:
    (sine, cosine) = noise.waves([(0.0, 1 / 60)], 3, 4, 0, 0, 2, 60, None)
    assert np.array_equal(sine[0], sine[1])
    assert np.allclose(sine**2 + cosine**2, 2, atol=1e-2)
    phase = np.unwrap(np.arctan2(sine[0], cosine[0]))
    assert np.allclose(np.diff(phase), 2 * np.pi * 4 / 60, atol=2e-3)
    moved = noise.waves([(0.0, 1 / 60)], 4, 4, 0, 0, 2, 60, None)
    assert not np.allclose(moved[0], sine, atol=0.1)


def test_waves_close_where_they_repeat_and_windows_agree() -> None:
    cycles = [(1 / 50, 1 / 37), (-1 / 23, 1 / 90)]
    whole = noise.waves(cycles, 5, 8, 0, 0, 40, 60, (20, 30))
    assert np.array_equal(whole[:, :20, :30], whole[:, 20:, 30:])
    assert np.array_equal(noise.waves(cycles, 5, 8, -7, 13, 19, 11, (20, 30)), np.roll(whole, 7, 1)[:, :19, 13:24])
    step = np.abs(np.diff(whole[:, :, :30], axis=2)).max()
    assert np.abs(whole[:, :, 29] - whole[:, :, 30]).max() <= step + 1e-6


# ---------------------------------------------------------------- exact tiles, borders, seeds


@pytest.mark.parametrize("wrap", [True, False])
def test_tiled_equals_untiled_bit_for_bit(session: Session, wrap: bool) -> None:
    canvas = texture(session, 160, 200, Paint(3, 1.0, wrap))
    untiled = canvas.read(0, 0, 160, 200)
    for edge in (37, 64, 111):
        for top, left, height, width in tiles(160, 200, edge):
            part = canvas.read(top, left, height, width)
            assert np.array_equal(part, untiled[:, top : top + height, left : left + width])
    assert is_exact(session)


def test_it_goes_on_over_its_borders(session: Session) -> None:
    canvas = texture(session, 96, 128, Paint(3, 1.0, True))
    inside = canvas.read(0, 0, 96, 128)
    assert np.array_equal(canvas.read(-40, -50, 96, 128), np.roll(inside, (40, 50), (1, 2)))
    # What is made beyond the border is what comes after it, not a picture put beside itself.
    assert isinstance(canvas, Texture)
    beyond = canvas.window(0, 100, 96, 60)
    assert np.array_equal(beyond[:, :, 28:], inside[:, :, :32])


@pytest.mark.parametrize("size", [(96, 128), (100, 131), (17, 300)])
def test_the_step_across_the_border_is_no_larger_than_inside(session: Session, size: tuple[int, int]) -> None:
    """Also where the size is no multiple of the stride."""
    made = whole_of(session, *size, Paint(11, 1.0, True))
    assert made.shape == (3, *size)
    for axis in (1, 2):
        inner = np.abs(np.diff(made, axis=axis)).mean((0, 3 - axis))
        seam = np.abs(np.take(made, 0, axis) - np.take(made, -1, axis)).mean()
        assert seam <= inner.max()


def test_an_endless_one_is_cut_from_one_plane_at_any_size(session: Session) -> None:
    large, small = (whole_of(session, *size, Paint(3)) for size in ((150, 170), (77, 91)))
    assert np.array_equal(large[:, :77, :91], small)


def test_a_variant_is_made_of_its_exemplar_alone(tmp_path: Path) -> None:
    """The coarse noise of one exemplar is below zero everywhere, that of the other above."""
    mixed = Session(style_pack.load(tiny_styles.patchwork(tmp_path / "patchwork")), "cpu")
    assert mixed.spec.variants == 2 and is_exact(mixed)
    noises = [Texture(mixed, 320, 320, Paint(3, variant=n))._noise("noise", (0, 0, 320, 320)) for n in (0, 1, 2)]
    assert noises[1].max() < 0 < noises[2].min() and noises[0].min() < 0 < noises[0].max()


def test_a_seed_is_a_texture(session: Session) -> None:
    one, again, other = (whole_of(session, 96, 96, Paint(seed, 1.0, True)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert np.abs(one - other).mean() > 0.2 * one.std()
    calm = whole_of(session, 96, 96, Paint(1, 1.0, True, diversity=0.0))
    assert calm.std() < one.std()


def test_a_receptive_radius_that_lies_is_found(pattern: Path, tmp_path: Path) -> None:
    pack = style_pack.load(pattern)
    lying = replace(pack, model=replace(pack.model, receptive_radius=8))
    files = {name: pack.read(name) for name in pack.files}
    assert not is_exact(Session(style_pack.write_pack(tmp_path / "lying", lying, files), "cpu"))


# ---------------------------------------------------------------- packs


def test_a_pack_comes_back_as_it_was(pattern: Path, tmp_path: Path) -> None:
    pack = style_pack.load(pattern)
    again = style_pack.import_style(style_pack.export_style(pack, tmp_path / "p.zip"), tmp_path / "styles")
    assert again.model == pack.model and again.hash == pack.hash
    assert again.model.makes_textures and again.model.inputs["noise"].waves == ((1 / 24, 0.0),)
    assert again.model.inputs["grain"].distribution == "uniform"


def test_styles_say_what_they_make(pattern: Path, tmp_path: Path) -> None:
    tiny_styles.brush(tmp_path / "brush")
    made = {style.name: style.makes for style in style_pack.installed([tmp_path])}
    assert made["Pattern"] == "textures" and made["Brush"] == "pictures"


def test_a_packs_of_pictures_says_nothing_of_textures(tmp_path: Path) -> None:
    """So its hash is what it was, and older versions can read it."""
    model = json.loads((tiny_styles.brush(tmp_path / "brush") / "style.json").read_text())["model"]
    assert not any({"waves", "distribution"} & set(item) for item in model["inputs"].values())


# ---------------------------------------------------------------- the job


def request(pack: Path, out: Path, **changes: Any) -> TextureRequest:
    return replace(TextureRequest("job", str(pack), 150, 90, str(out), (5,), device="cpu"), **changes)


def results(asked: TextureRequest) -> list[TextureMade]:
    events = list(make(asked))
    assert isinstance(events[-1], Done)
    return [event for event in events if isinstance(event, TextureMade)]


def test_a_file_for_each_seed_with_its_recipe(pattern: Path, tmp_path: Path) -> None:
    made = results(request(pattern, tmp_path / "out", seeds=(5, 6)))
    assert [Path(event.path).name for event in made] == ["pattern_150x90_seed_5.png", "pattern_150x90_seed_6.png"]
    with Image.open(made[0].path) as picture:
        assert picture.size == (150, 90) and picture.mode == "RGB"
        recipe = json.loads(picture.text["pentimento"])  # type: ignore[attr-defined]
    assert recipe == made[0].recipe
    settings = {"seed": 5, "size": [150, 90], "tileable": True, "diversity": 1.0, "variant": 0, "depth": 8}
    assert recipe["settings"] == settings
    assert recipe["texture"]["hash"] == style_pack.load(pattern).hash
    assert str(tmp_path) not in json.dumps(recipe)


def test_a_variant_has_files_and_recipes_of_its_own(tmp_path: Path) -> None:
    pack = tiny_styles.patchwork(tmp_path / "patchwork")
    made = [results(request(pack, tmp_path / "out", variant=variant))[0] for variant in (0, 1, 2)]
    names = ["patchwork_150x90_seed_5.png", "patchwork_150x90_variant_1_seed_5.png"]
    assert [Path(event.path).name for event in made[:2]] == names
    assert [event.recipe["settings"]["variant"] for event in made] == [0, 1, 2]
    assert len({Path(event.path).read_bytes() for event in made}) == 3
    with pytest.raises(EngineError, match="has 2 variants: there is no variant 3") as caught:
        results(request(pack, tmp_path / "out", variant=3))
    assert "from 1 to 2" in caught.value.fix


def test_the_file_does_not_depend_on_tiles_and_nothing_is_overwritten(pattern: Path, tmp_path: Path) -> None:
    paths = [results(request(pattern, tmp_path / "out", tile=tile))[0].path for tile in (0, 32, 50)]
    assert len(set(paths)) == 3
    assert len({Path(path).read_bytes() for path in paths}) == 1


def test_sixteen_bits_are_the_same_texture_finer(pattern: Path, tmp_path: Path) -> None:
    (fine,) = results(request(pattern, tmp_path / "out", depth=16))
    (coarse,) = results(request(pattern, tmp_path / "out"))
    ours, theirs = (whole(open_picture(Path(event.path))) for event in (fine, coarse))
    assert ours.dtype == np.uint16 and len(np.unique(ours)) > 256
    assert np.abs(ours / 257 - theirs).max() <= 0.51


def test_pixels_come_beside_the_message(pattern: Path, tmp_path: Path) -> None:
    (made,) = results(request(pattern, tmp_path / "out", deliver="pixels"))
    block = made.layer.pixels
    assert block is not None and block.shape == (90, 150, 3) and made.layer.name == "Texture"
    pixels = np.fromfile(block.path, np.uint8).reshape(block.shape)
    (file,) = results(request(pattern, tmp_path / "out"))
    assert np.array_equal(pixels, np.asarray(Image.open(file.path)))


def test_closed_on_the_way_it_leaves_nothing(pattern: Path, tmp_path: Path) -> None:
    events = make(request(pattern, tmp_path / "out", tile=32))
    for _ in range(3):
        next(events)
    events.close()  # type: ignore[attr-defined]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_large_one_is_never_held_as_floats(pattern: Path, tmp_path: Path, measured: Any) -> None:
    """4096 x 2048 would be 100 MB as floats."""
    code = f"""
from engine.texture import texture
from engine.protocol import TextureRequest
def peak(width, height, out):
    import re, pathlib
    list(texture(TextureRequest("j", {str(pattern)!r}, width, height, {str(tmp_path)!r} + out, tile=256)))
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
small = peak(256, 256, "/a")
result = peak(4096, 2048, "/b") - small
"""
    assert measured(code)["result"] < 60


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 8}, "8 x 90"),
        ({"height": 70000}, "from 16 to 65536"),
        ({"seeds": ()}, "no seed"),
        ({"seeds": (1, -1)}, "seed is -1"),
        ({"depth": 12}, "12 bits"),
        ({"diversity": 2.0}, "diversity is 2"),
        ({"tile": 4}, "too small"),
        ({"deliver": "mail"}, "mail"),
        ({"variant": 1}, "made from one exemplar: there is no variant 1"),
        ({"style": "Nowhere"}, "no style named 'Nowhere'"),
    ],
)
def test_what_cannot_be_is_refused_at_once(pattern: Path, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(EngineError) as caught:
        list(make(request(pattern, tmp_path / "out", **changes)))
    assert said in str(caught.value) and caught.value.fix
    assert not (tmp_path / "out").exists()


def test_each_kind_of_style_sends_to_the_other_command(pattern: Path, tmp_path: Path) -> None:
    brush = tiny_styles.brush(tmp_path / "brush")
    with pytest.raises(EngineError, match="paints pictures") as caught:
        list(make(request(brush, tmp_path / "out")))
    assert "pentimento stylize" in caught.value.fix
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    source, shares = PictureSource("a", str(tmp_path / "a.png")), (StyleShare(str(pattern)),)
    for settings in (StylizeSettings(shares), StylizeSettings((StyleShare(str(brush)),), palette=str(pattern))):
        with pytest.raises(EngineError, match="takes no picture") as caught:
            list(stylize(StylizeRequest("job", (source,), settings, str(tmp_path / "out"))))
        assert "pentimento texture" in caught.value.fix


# ---------------------------------------------------------------- the command


def test_the_command(pattern: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--style", str(pattern), "--size", "96x64", "--seed", "1", "2", "--out", str(tmp_path / "out")]
    assert cli.main(["texture", *arguments, "--depth", "16"]) == 0
    out = capsys.readouterr().out
    assert "Seed 1: " in out and "seed_2.png" in out
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    assert cli.main(["info", "--style", str(pattern)]) == 0
    out = capsys.readouterr().out
    assert "textures, of noise" in out and "noise (4 channels), grain (1 channels)" in out
    assert cli.main(["styles", "--folder", str(tmp_path)]) == 0
    assert "texture" in capsys.readouterr().out


def test_variants_are_listed_and_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = tiny_styles.patchwork(tmp_path / "patchwork")
    assert cli.main(["styles", "--folder", str(tmp_path)]) == 0
    assert "texture in 2 variants" in capsys.readouterr().out
    assert cli.main(["texture", "--style", str(pack), "--variant", "2", "--size", "64", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "patchwork_64x64_variant_2_seed_0.png").exists()


@pytest.mark.parametrize("size", ["64x", "axb", "-5", "64x64x64"])
def test_a_size_that_is_none_is_wrong_usage(pattern: Path, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["texture", "--style", str(pattern), f"--size={size}", "--out", "out"])
    assert "2048x1024" in capsys.readouterr().err
