"""The main job on real files with real tiny styles."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from PIL import Image

from engine import painter, png_reader
from engine.errors import EngineError
from engine.explain.removal import CERTIFICATE_TILES
from engine.files import ExrLayer, create_png, open_picture, read_exr, write_exr
from engine.protocol import (
    Done,
    Event,
    PictureSource,
    PixelBlock,
    Progress,
    SourceFailed,
    StyleShare,
    Stylized,
    StylizeRequest,
    StylizeSettings,
    to_line,
)
from engine.stylize import stylize


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("styles")
    return {make.__name__: str(make(folder / make.__name__)) for make in (tiny_styles.identity, tiny_styles.brush)}


def pixels(height: int, width: int, channels: int = 3, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Smooth noise of the whole range."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 8 + 2, width // 8 + 2, channels), dtype=np.float32)
    fine = np.kron(coarse, np.ones((8, 8, 1), np.float32))[:height, :width]
    values = np.clip(fine + 0.1 * rng.standard_normal(fine.shape, dtype=np.float32), 0, 1)
    if dtype.startswith("u"):
        return np.rint(values * np.iinfo(dtype).max).astype(dtype)
    return values.astype(dtype)


def write_png(path: Path, values: np.ndarray) -> Path:
    height, width, channels = values.shape
    with create_png(path, height, width, channels, values.dtype) as png:
        png.write_rows(values)
    return path


def request(
    style: str, out: Path, *sources: Path | PictureSource, deliver: str = "files", **choices: Any
) -> StylizeRequest:
    pictures = tuple(s if isinstance(s, PictureSource) else PictureSource(s.stem, str(s)) for s in sources)
    styles = choices.pop("styles", (StyleShare(style),))
    settings = StylizeSettings(styles, **{"device": "cpu", **choices})
    return StylizeRequest("job-1", pictures, settings, str(out), deliver)


def run(asked: StylizeRequest) -> list[Event]:
    """All events; every one must survive the way through a pipe."""
    events = list(stylize(asked))
    for event in events:
        to_line(event)
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions) and 0 <= fractions[0] <= fractions[-1] <= 1
    assert isinstance(events[-1], Done)
    return events


def result(asked: StylizeRequest) -> Stylized:
    (found,) = [event for event in run(asked) if isinstance(event, Stylized)]
    return found


def read(path: str) -> np.ndarray:
    reader = open_picture(path)
    return reader.read(0, 0, reader.height, reader.width)


# ---------------------------------------------------------------- identity: nothing is lost on the way


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("overlays", [(), ("Scale",)])
def test_identity_gives_every_byte_back(
    styles: dict[str, str], tmp_path: Path, dtype: str, channels: int, overlays: tuple[str, ...]
) -> None:
    before = pixels(37, 53, channels, dtype)
    path = write_png(tmp_path / "in.png", before)
    after = read(result(request(styles["identity"], tmp_path / "out", path, overlays=overlays)).path)
    colour = before[..., :3] if channels >= 3 else before[..., :1].repeat(3, axis=2)
    np.testing.assert_array_equal(after[..., :3], colour)
    assert after.dtype == before.dtype
    if channels in (2, 4):
        np.testing.assert_array_equal(after[..., 3], before[..., -1])


def test_identity_gives_a_jpeg_back(styles: dict[str, str], tmp_path: Path) -> None:
    Image.fromarray(pixels(40, 60)).save(tmp_path / "in.jpg", quality=95)
    done = result(request(styles["identity"], tmp_path / "out", tmp_path / "in.jpg"))
    assert Path(done.path).name == "in_identity.png"
    np.testing.assert_array_equal(read(done.path), np.asarray(Image.open(tmp_path / "in.jpg")))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_identity_keeps_highlights_and_negative_values(styles: dict[str, str], tmp_path: Path, dtype: str) -> None:
    before = (pixels(33, 47, 4, "float32") * 12 - 0.5).astype(dtype)
    before[..., 3] = np.linspace(0, 1, 47, dtype=dtype)[None]
    before[..., :3] *= before[..., 3:]
    write_exr(tmp_path / "in.exr", [ExrLayer.of("", before)], {})
    after = read(result(request(styles["identity"], tmp_path / "out", tmp_path / "in.exr")).path)
    np.testing.assert_array_equal(after[..., 3], before[..., 3])
    wrong = np.abs(after.astype(np.float64) - before.astype(np.float64))
    assert (wrong <= np.maximum(1e-3 * np.abs(before.astype(np.float64)), 1e-4)).all()


def test_strength_zero_is_the_picture_and_half_lies_between(styles: dict[str, str], tmp_path: Path) -> None:
    before = pixels(64, 64)
    path = write_png(tmp_path / "in.png", before)
    results = {
        strength: read(result(request(styles["brush"], tmp_path / "out", path, strength=strength)).path).astype(int)
        for strength in (0.0, 0.5, 1.0)
    }
    np.testing.assert_array_equal(results[0.0], before)
    assert np.abs(results[0.5] - (results[0.0] + results[1.0]) / 2).max() <= 1
    assert not np.array_equal(results[1.0], before)


# ---------------------------------------------------------------- tiles, wrapping


@pytest.mark.parametrize("choices", [{}, {"tileable": True}, {"stroke": 2.0}, {"strength": 0.4, "seed": 9}])
def test_the_tile_size_does_not_change_a_byte(styles: dict[str, str], tmp_path: Path, choices: dict[str, Any]) -> None:
    path = write_png(tmp_path / "in.png", pixels(301, 277, 4))
    whole = result(request(styles["brush"], tmp_path / "out", path, **choices))
    tiled = result(request(styles["brush"], tmp_path / "out", path, tile=64, **choices))
    assert Path(whole.path).read_bytes() == Path(tiled.path).read_bytes()  # the recipe inside is the same, too
    assert whole.recipe == tiled.recipe


def test_large_files_are_the_same_byte_for_byte_too(styles: dict[str, str], tmp_path: Path) -> None:
    """Large enough for a PNG of several chunks; 700 is no multiple of anything."""
    path = write_png(tmp_path / "in.png", pixels(1300, 1100))
    paths = [result(request(styles["identity"], tmp_path / "out", path, tile=tile)).path for tile in (0, 256, 700)]
    whole, *tiled = (Path(path).read_bytes() for path in paths)
    assert whole.count(b"IDAT") > 2 and all(other == whole for other in tiled)


def test_a_tileable_result_wraps(styles: dict[str, str], tmp_path: Path) -> None:
    y, x = np.mgrid[0:128, 0:128] * (2 * np.pi / 128)
    texture = np.stack([np.sin(x), np.cos(y), np.sin(x + 2 * y)], axis=2) * 100 + 128
    path = write_png(tmp_path / "in.png", texture.astype(np.uint8))
    after = read(result(request(styles["brush"], tmp_path / "out", path, tileable=True)).path).astype(int)
    for axis in (0, 1):
        inner = np.abs(np.diff(after, axis=axis)).mean(axis=(1 - axis, 2))
        seam = np.abs(np.take(after, 0, axis) - np.take(after, -1, axis)).mean()
        assert seam <= inner.max()


# ---------------------------------------------------------------- files, recipes, names


def test_the_recipe_makes_the_result_again_and_names_no_place(styles: dict[str, str], tmp_path: Path) -> None:
    path = write_png(tmp_path / "in.png", pixels(40, 40))
    done = result(request(styles["brush"], tmp_path / "out", path, seed=7, stroke=1.5))
    text = Image.open(done.path).info["pentimento"]
    recipe = json.loads(text)
    assert recipe == done.recipe
    assert recipe["settings"]["seed"] == 7 and recipe["settings"]["stroke"] == 1.5
    assert len(recipe["styles"][0]["hash"]) == 64 and recipe["versions"]["onnxruntime"]
    assert str(tmp_path) not in text
    again = result(request(styles["brush"], tmp_path / "out", path, seed=7, stroke=1.5))
    assert again.path != done.path and Path(again.path).read_bytes() == Path(done.path).read_bytes()


def test_nothing_is_overwritten(styles: dict[str, str], tmp_path: Path) -> None:
    path = write_png(tmp_path / "in.png", pixels(20, 20))
    paths = [result(request(styles["identity"], tmp_path, path)).path for _ in range(3)]
    assert [Path(p).name for p in paths] == ["in_identity.png", "in_identity_2.png", "in_identity_3.png"]


def test_bytes_with_overlays_make_four_files(styles: dict[str, str], tmp_path: Path) -> None:
    path = write_png(tmp_path / "in.png", pixels(48, 64))
    done = result(request(styles["brush"], tmp_path / "out", path, overlays=("Scale", "Removal")))
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["in_brush.png", "in_brush_layers.exr", "in_brush_removal.png", "in_brush_scale.png"]
    assert [layer.name for layer in done.layers] == ["Stylized", "Attribution.Scale", "Attribution.Removal"]
    assert all(layer.path and layer.certificate and layer.sentence for layer in done.layers[1:])
    layers = read_exr(tmp_path / "out" / "in_brush_layers.exr")
    meaning = json.loads(layers.header["pentimento.layers"])
    assert meaning["Attribution.Scale"]["channels"] == ["colour", "form", "stroke"]
    assert all(plane.dtype == np.float32 for layer in layers.layers.values() for plane in layer.planes.values())


def test_an_exr_keeps_every_pass_and_gains_layers(styles: dict[str, str], tmp_path: Path) -> None:
    combined, depth = pixels(40, 56, 4, "float16"), pixels(40, 56, 1, "float32") * 1e4
    ids = (pixels(40, 56, 1, "uint16") * 70000).astype(np.uint32)
    source = [
        ExrLayer.of("ViewLayer.Combined", combined),
        ExrLayer.of("ViewLayer.Depth", depth, ("Z",)),
        ExrLayer.of("ViewLayer.Ids", ids, ("X",)),
    ]
    write_exr(tmp_path / "in.exr", source, {"cryptomatte/1234567/manifest": '{"Cube":"3f800000"}'})
    done = result(request(styles["brush"], tmp_path / "out", tmp_path / "in.exr", overlays=("Scale", "Removal")))
    before, after = read_exr(tmp_path / "in.exr"), read_exr(done.path)
    for name, layer in before.layers.items():
        for channel, plane in layer.planes.items():
            np.testing.assert_array_equal(after.layers[name].planes[channel], plane)
            assert after.layers[name].planes[channel].dtype == plane.dtype
    added = set(after.layers) - set(before.layers)
    assert added == {"ViewLayer.Stylized", "ViewLayer.Attribution Scale", "ViewLayer.Attribution Removal"}
    assert after.header["cryptomatte/1234567/manifest"] == '{"Cube":"3f800000"}'
    assert json.loads(after.header["pentimento"]) == done.recipe
    assert after.layers["ViewLayer.Stylized"].planes["R"].dtype == np.float16
    assert (tmp_path / "out" / "in_brush.png").is_file()


def test_a_frame_can_be_stylized_twice(styles: dict[str, str], tmp_path: Path) -> None:
    write_exr(tmp_path / "in.exr", [ExrLayer.of("ViewLayer.Combined", pixels(20, 20, 4, "float16"))], {})
    first = result(request(styles["brush"], tmp_path / "out", tmp_path / "in.exr"))
    second = result(request(styles["brush"], tmp_path / "out", Path(first.path), seed=1))
    assert {"ViewLayer.Stylized", "ViewLayer.Stylized 2"} <= set(read_exr(second.path).layers)


def test_names_from_blender_become_safe_file_names(styles: dict[str, str], tmp_path: Path) -> None:
    path = write_png(tmp_path / "in.png", pixels(20, 20))
    source = PictureSource("wall/old: brick?.PNG", str(path))
    done = result(request(styles["identity"], tmp_path / "out", source))
    assert Path(done.path).name == "wall_old_ brick__identity.png"


# ---------------------------------------------------------------- pixels beside the messages


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_pixels_in_pixels_out(styles: dict[str, str], tmp_path: Path, dtype: str) -> None:
    before = pixels(45, 31, 4, dtype)
    (tmp_path / "in.raw").write_bytes(before.tobytes())
    source = PictureSource(
        "Wall.001", pixels=PixelBlock(str(tmp_path / "in.raw"), (45, 31, 4), dtype), encoding="srgb", alpha="straight"
    )
    asked = request(styles["identity"], tmp_path / "out", source, deliver="pixels", overlays=("Scale",))
    done = result(asked)
    stylized, scale = done.layers
    assert done.path == "" and stylized.pixels and scale.pixels
    after = np.fromfile(stylized.pixels.path, stylized.pixels.dtype).reshape(stylized.pixels.shape)
    np.testing.assert_allclose(after, before, atol=1e-6)
    overlay = np.fromfile(scale.pixels.path, np.float32).reshape(scale.pixels.shape)
    assert overlay.shape == (45, 31, 3) and np.abs(overlay).max() < 1e-5
    assert all(p.parent == tmp_path / "out" for p in (tmp_path / "out").rglob("*"))


# ---------------------------------------------------------------- several sources, errors, cancel


def test_one_broken_source_does_not_stop_the_others(styles: dict[str, str], tmp_path: Path) -> None:
    good = [write_png(tmp_path / f"{n}.png", pixels(20, 30, seed=n)) for n in (1, 3)]
    broken = tmp_path / "2.png"
    broken.write_bytes(good[0].read_bytes()[:100])
    events = run(request(styles["brush"], tmp_path / "out", good[0], broken, tmp_path / "none.png", good[1]))
    assert [e.source for e in events if isinstance(e, Stylized)] == ["1", "3"]
    failed = [e for e in events if isinstance(e, SourceFailed)]
    assert [e.source for e in failed] == ["2", "none"] and all(e.fix for e in failed)
    last = events[-1]
    assert isinstance(last, Done) and last.report == {"done": 2, "failed": 2, "device": "cpu"}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["1_brush.png", "3_brush.png"]


def test_a_broken_source_alone_fails_the_job(styles: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(EngineError):
        list(stylize(request(styles["brush"], tmp_path / "out", tmp_path / "none.png")))


@pytest.mark.parametrize(
    "choices",
    [
        {"strength": 1.5},
        {"strength": float("nan")},
        {"stroke": 0.1},
        {"seed": -1},
        {"tile": 3},
        {"overlays": ("Magic",)},
        {"style": "no such style"},
        {"device": "abacus"},
    ],
)
def test_wrong_settings_are_errors_with_a_fix(styles: dict[str, str], tmp_path: Path, choices: dict[str, Any]) -> None:
    path = write_png(tmp_path / "in.png", pixels(20, 20))
    asked = request(choices.pop("style", styles["brush"]), tmp_path / "out", path, **choices)
    with pytest.raises(EngineError) as caught:
        list(stylize(asked))
    assert caught.value.fix and not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (16, 16), (17, 31)])
def test_pictures_of_any_size(styles: dict[str, str], tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_png(tmp_path / "in.png", pixels(*size))
    for tileable in (False, True):
        done = result(request(styles["brush"], tmp_path / "out", path, tileable=tileable))
        assert read(done.path).shape == (*size, 3)


def test_a_picture_too_small_to_explain_says_so(styles: dict[str, str], tmp_path: Path) -> None:
    path = write_png(tmp_path / "in.png", pixels(1, 1))
    with pytest.raises(EngineError, match="too small"):
        list(stylize(request(styles["brush"], tmp_path / "out", path, overlays=("Scale",))))


def test_stopping_half_way_leaves_nothing(styles: dict[str, str], tmp_path: Path) -> None:
    path = write_png(tmp_path / "in.png", pixels(200, 200))
    job = stylize(request(styles["brush"], tmp_path / "out", path, tile=64))
    for event in job:
        if isinstance(event, Progress) and event.fraction > 0.4:
            break
    assert list((tmp_path / "out").iterdir())  # something is on its way
    job.close()  # type: ignore[attr-defined]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("suffix", "deliver"), [(".exr", "files"), (".png", "files"), (".png", "pixels")])
def test_a_result_is_whole_or_not_there_whichever_file_the_disk_is_too_small_for(
    styles: dict[str, str], tmp_path: Path, small_disk: Path, suffix: str, deliver: str
) -> None:
    source = tmp_path / f"noise{suffix}"
    if suffix == ".exr":
        write_exr(source, [ExrLayer.of("", pixels(100, 100, dtype="float16"), ("R", "G", "B"))])
    else:
        write_png(source, pixels(100, 100))
    choices: dict[str, Any] = {"deliver": deliver, "overlays": ("Scale",)}
    result(request(styles["brush"], tmp_path / "out", source, **choices))
    blocks = [-(-path.stat().st_size // 4096) for path in (tmp_path / "out").iterdir()]
    assert len(blocks) >= 2
    for room in range(sum(blocks)):  # every amount of room that is too little
        fill = small_disk / "fill"
        fill.write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * 4096 - room * 4096))
        with pytest.raises(EngineError, match="space"):
            run(request(styles["brush"], small_disk, source, **choices))
        assert [path.name for path in small_disk.iterdir()] == ["fill"]
        fill.unlink()


def test_a_damaged_row_deep_in_a_file_leaves_nothing(
    styles: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(png_reader, "_BAND_BYTES", 20_000)  # or all rows would be decoded before any is written
    path = write_png(tmp_path / "in.png", pixels(200, 120, 3, "uint16"))
    data = bytearray(path.read_bytes())
    at = data.index(b"IDAT")
    size = struct.unpack(">I", data[at - 4 : at])[0]
    body = zlib.decompress(bytes(data[at + 4 : at + 4 + size]))[: 120 * 721]
    chunk = b"IDAT" + zlib.compress(body)
    tail = data[at + 8 + size :]
    length, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(bytes(data[: at - 4]) + length + chunk + check + tail)
    with pytest.raises(EngineError):
        list(stylize(request(styles["brush"], tmp_path / "out", path, tile=32)))
    assert list((tmp_path / "out").iterdir()) == []


# ---------------------------------------------------------------- large pictures


def test_overlays_of_large_pictures_are_reduced_and_say_so(
    styles: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painter, "OVERLAY_PIXELS", 64 * 48)
    path = write_png(tmp_path / "in.png", pixels(96, 128))
    done = result(request(styles["brush"], tmp_path / "out", path, overlays=("Scale", "Removal")))
    assert done.recipe["overlay_size"] == [64, 48]
    layers = read_exr(tmp_path / "out" / "in_brush_layers.exr")
    assert (layers.height, layers.width) == (48, 64)
    assert read(done.path).shape == (96, 128, 3)
    write_exr(tmp_path / "in.exr", [ExrLayer.of("ViewLayer.Combined", pixels(96, 128, 4, "float16"))], {})
    done = result(request(styles["brush"], tmp_path / "out", tmp_path / "in.exr", overlays=("Scale",)))
    assert read_exr(done.path).layers["ViewLayer.Attribution Scale"].planes["R"].shape == (96, 128)


def test_removal_has_a_value_per_tile(styles: dict[str, str], tmp_path: Path) -> None:
    path = write_png(tmp_path / "in.png", pixels(64, 64))
    done = result(request(styles["brush"], tmp_path / "out", path, overlays=("Removal",)))
    values = read_exr(done.layers[1].path).layers["Attribution Removal"].pixels()
    assert values.shape == (64, 64, 1) and len(np.unique(values)) > CERTIFICATE_TILES
    assert len(np.unique(values[:4, :4])) == 1
