"""Pictures in and out of files, and what happens when a disk refuses."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from engine import files, png, png_reader
from engine.atomic import NewFile
from engine.errors import EngineError
from engine.exr import ExrLayer
from engine.files import (
    blender_name,
    create_png,
    open_picture,
    open_source,
    read_exr,
    unique_path,
    write_exr,
    write_json,
    write_text,
)
from engine.picture import whole
from engine.protocol import PictureSource

ONCE = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
NOISE = np.random.default_rng(7)


def noise(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    return NOISE.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def write_png(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    with create_png(path, *pixels.shape, pixels.dtype, **options) as writer:
        writer.write_rows(pixels)
    return path


# ---------------------------------------------------------------- PNG: our writer


@ONCE
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.integers(1, 4),
    dtype=st.sampled_from(["uint8", "uint16"]),
    bands=st.lists(st.integers(1, 9), max_size=6),
    seed=st.integers(0, 99),
)
def test_png_round_trip(
    tmp_path: Path, height: int, width: int, channels: int, dtype: str, bands: list[int], seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype)
    with create_png(tmp_path / "p.png", height, width, channels, dtype) as writer:
        for top, bottom in zip([0, *np.cumsum(bands)], [*np.cumsum(bands), height], strict=True):
            writer.write_rows(pixels[top:bottom])
    found = open_picture(tmp_path / "p.png")
    assert (found.height, found.width, found.channels, found.dtype) == (*pixels.shape, np.dtype(dtype))
    assert (found.encoding, found.alpha) == ("srgb", "straight" if channels in (2, 4) else "none")
    assert np.array_equal(whole(found), pixels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pillow_reads_what_we_write(tmp_path: Path, channels: int) -> None:
    pixels = noise((30, 41, channels))
    with Image.open(write_png(tmp_path / "p.png", pixels)) as image:
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


@pytest.mark.parametrize(("channels", "mode"), [(3, "RGB"), (4, "RGBA")])
def test_both_bytes_of_16_bit_values_are_where_pillow_looks(tmp_path: Path, channels: int, mode: str) -> None:
    """Pillow keeps one byte of two; told that the file is little-endian it shows the other one."""
    pixels = noise((20, 31, channels), "uint16")
    path = write_png(tmp_path / "p.png", pixels)
    for order, part in (("B", pixels >> 8), ("L", pixels & 255)):
        with Image.open(path) as image:
            image.tile = [tile._replace(args=f"{mode};16{order}") for tile in image.tile]
            assert np.array_equal(np.asarray(image), part)


def test_texts_are_in_the_file(tmp_path: Path) -> None:
    texts = {"recipe": json.dumps({"seed": 1}), "artist": "Käthe 北斎", "empty": ""}
    with Image.open(write_png(tmp_path / "p.png", noise((2, 2, 3)), text=texts)) as image:
        assert isinstance(image, Image.Image)
        assert {key: image.info[key] for key in texts} == texts
        assert image.info["srgb"] == 0
    with Image.open(write_png(tmp_path / "d.png", noise((2, 2, 3)), srgb=False)) as image:
        assert "srgb" not in image.info


@pytest.mark.parametrize("text", [{"": "x"}, {"k" * 80: "x"}, {"k": "a\x00b"}, {"k\x00": "x"}])
def test_texts_that_would_break_the_file_are_refused(tmp_path: Path, text: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="text in a PNG"):
        create_png(tmp_path / "p.png", 1, 1, 3, "uint8", text)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 4, 5), (4, 4, 0)])
def test_impossible_pngs_are_refused(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no PNG"):
        create_png(tmp_path / "p.png", *shape, "uint8")
    with pytest.raises(ValueError, match="no PNG"):
        create_png(tmp_path / "p.png", 4, 4, 3, "float32")
    assert not list(tmp_path.iterdir())


def test_rows_must_fit_and_be_complete(tmp_path: Path) -> None:
    for rows in (noise((1, 3, 3)), noise((1, 4, 3), "uint16"), noise((5, 4, 3))):
        with (
            pytest.raises(ValueError, match="do not continue"),
            create_png(tmp_path / "p.png", 4, 4, 3, "u1") as writer,
        ):
            writer.write_rows(rows)
    with pytest.raises(ValueError, match="1 of 4 rows"), create_png(tmp_path / "p.png", 4, 4, 3, "u1") as writer:
        writer.write_rows(noise((1, 4, 3)))
    assert not list(tmp_path.iterdir())


def test_writing_takes_bands_not_pictures(measured: Any, tmp_path: Path) -> None:
    """4096 x 4096 RGB16 (100 MB) goes through in a fraction of its size."""
    code = f"""
import numpy as np
from engine.files import create_png
band = np.zeros((64, 4096, 3), np.uint16) + np.arange(4096, dtype=np.uint16)[:, None]
with create_png({str(tmp_path / "p.png")!r}, 4096, 4096, 3, "uint16") as writer:
    for _ in range(64):
        writer.write_rows(band)
result = 0
"""
    assert measured(code)["peak_mb"] < 110


# ---------------------------------------------------------------- PNG: our reader


def plain_unfilter(rows: np.ndarray, filters: list[int], pixel: int) -> np.ndarray:
    """The PNG specification, byte by byte."""
    result = np.zeros_like(rows)
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            a = int(result[y, x - pixel]) if x >= pixel else 0
            b = int(result[y - 1, x]) if y else 0
            c = int(result[y - 1, x - pixel]) if y and x >= pixel else 0
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            guess = (0, a, b, (a + b) // 2, nearest)[filters[y]]
            result[y, x] = (int(rows[y, x]) + guess) % 256
    return result


@settings(deadline=None, max_examples=40)
@given(
    width=st.integers(1, 9),
    filters=st.lists(st.integers(0, 4), min_size=1, max_size=9),
    pixel=st.sampled_from([1, 2, 3, 4, 6, 8]),
    split=st.integers(0, 9),
    seed=st.integers(0, 999),
)
def test_row_filters_are_undone_as_specified(width: int, filters: list[int], pixel: int, split: int, seed: int) -> None:
    """Also when the rows come in two bands."""
    rows = np.random.default_rng(seed).integers(0, 256, (len(filters), width * pixel), np.uint8)
    kinds, split = np.array(filters, np.uint8), min(split, len(filters))
    above, bands = np.zeros(width * pixel, np.uint8), []
    for part in (np.s_[:split], np.s_[split:]):
        if len(kinds[part]):
            bands.append(png_reader.unfilter(rows[part], kinds[part], above, pixel))
            above = bands[-1][-1]
    assert np.array_equal(np.concatenate(bands), plain_unfilter(rows, filters, pixel))


def test_unknown_filters_are_refused(tmp_path: Path) -> None:
    rows = b"\x05" + bytes(6)
    with pytest.raises(EngineError, match="damaged"):
        whole(open_picture(handmade(tmp_path / "p.png", 1, 1, 16, 2, zlib.compress(rows))))


def handmade(
    path: Path, width: int, height: int, depth: int, kind: int, data: bytes, extra: bytes = b"", interlace: int = 0
) -> Path:
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)
    chunks = [(b"IHDR", head), *([(b"tRNS", extra)] if extra else []), (b"IDAT", data), (b"IEND", b"")]
    path.write_bytes(png.SIGNATURE + b"".join(png._chunk(name, body) for name, body in chunks))
    return path


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_the_streaming_reader_agrees_with_pillow(tmp_path: Path, mode: str) -> None:
    """Pillow's encoder mixes all filters on a smooth picture."""
    y, x = np.mgrid[0:120, 0:90]
    smooth = np.stack([x + y, x * 2, y * 2, 255 - x], axis=2).astype(np.uint8)
    Image.fromarray(smooth).convert(mode).save(tmp_path / "p.png")
    streamed = png_reader.open_streamed(tmp_path / "p.png", png.read_index(tmp_path / "p.png"))
    expected = whole(open_picture(tmp_path / "p.png"))
    assert np.array_equal(whole(streamed), expected)
    assert np.array_equal(streamed.read(50, 20, 30, 40), expected[50:80, 20:60])


def test_bands_are_read_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_reader, "_BAND_BYTES", 4000)
    monkeypatch.setattr(png_reader, "_BANDS_KEPT", 2)
    pixels = noise((100, 50, 3), "uint16")
    found = open_picture(write_png(tmp_path / "p.png", pixels))
    for top, height in ((90, 10), (0, 5), (40, 30), (13, 1), (0, 100), (95, 5)):
        assert np.array_equal(found.read(top, 7, height, 20), pixels[top : top + height, 7:27])


def test_transparent_colour_becomes_alpha(tmp_path: Path) -> None:
    for depth, dtype in ((8, "uint8"), (16, "uint16")):
        pixels = np.array([[[1, 2, 3], [200, 2, 3]]], dtype)
        data = zlib.compress(b"\x00" + pixels.astype(pixels.dtype.newbyteorder(">")).tobytes())
        path = handmade(tmp_path / "p.png", 2, 1, depth, 2, data, struct.pack(">3H", 200, 2, 3))
        top = np.iinfo(dtype).max
        for found in (open_picture(path), png_reader.open_streamed(path, png.read_index(path))):
            assert found.alpha == "straight"
            assert whole(found)[0].tolist() == [[1, 2, 3, top], [200, 2, 3, 0]]


def test_short_transparent_colour_is_refused(tmp_path: Path) -> None:
    path = handmade(tmp_path / "p.png", 1, 1, 16, 2, zlib.compress(bytes(7)), b"\x00\x01")
    with pytest.raises(EngineError, match="damaged"):
        open_picture(path)


def test_interlaced_16_bit_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = handmade(tmp_path / "p.png", 1, 1, 16, 2, zlib.compress(bytes(7)), interlace=1)
    with pytest.raises(EngineError, match="interlaced") as caught:
        open_picture(path)
    assert "without interlacing" in caught.value.fix


# ---------------------------------------------------------------- 8 bits through Pillow


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 2), ("P", 3), ("RGB", 3), ("RGBA", 4)])
def test_png_modes(tmp_path: Path, mode: str, channels: int) -> None:
    image = Image.fromarray(noise((20, 30, 3 if mode == "P" else 4))).convert(mode)
    image.save(tmp_path / "p.png")
    found = open_picture(tmp_path / "p.png")
    plain = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    assert (found.channels, str(found.dtype), found.name) == (channels, "uint8", "p")
    assert np.array_equal(whole(found), np.asarray(image.convert(plain)).reshape(20, 30, channels))


def test_palette_with_transparency_has_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(noise((20, 30, 3))).convert("P")
    image.save(tmp_path / "p.png", transparency=3)
    found = open_picture(tmp_path / "p.png")
    assert (found.channels, found.alpha) == (4, "straight")
    assert np.array_equal(whole(found)[..., 3] == 0, np.asarray(image) == 3)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("CMYK", 3)])
def test_jpeg_modes(tmp_path: Path, mode: str, channels: int) -> None:
    Image.fromarray(noise((20, 30, 3))).convert(mode).save(tmp_path / "p.jpg", quality=95)
    found = open_picture(tmp_path / "p.jpg")
    with Image.open(tmp_path / "p.jpg") as image:
        expected = np.asarray(image if mode == "L" else image.convert("RGB")).reshape(20, 30, channels)
    assert (found.channels, found.alpha, found.encoding) == (channels, "none", "srgb")
    assert np.array_equal(whole(found), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_photographs_stand_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"p.{suffix}"
    Image.fromarray(noise((16, 24, 3))).save(path, exif=exif)
    found = open_picture(path)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(whole(found), upright)
    assert np.array_equal(found.read(3, 5, 7, 9), upright[3:10, 5:14])


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(noise((4, 4, 3))).save(tmp_path / "p.exr", format="PNG")
    assert open_picture(tmp_path / "p.exr").channels == 3


@pytest.mark.parametrize(
    "content", [b"", b"x", b"GIF89a" + bytes(100), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"v/1\x01"]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.png").write_bytes(content)
    with pytest.raises(EngineError) as caught:
        open_picture(tmp_path / "p.png")
    assert caught.value.fix


def test_a_request_says_what_the_pixels_mean(tmp_path: Path) -> None:
    path = str(write_png(tmp_path / "normal.png", noise((4, 4, 4))))
    found = open_source(PictureSource("Wall normal", path, encoding="data", alpha="premultiplied"))
    assert (found.name, found.encoding, found.alpha) == ("Wall normal", "data", "premultiplied")
    auto = open_source(PictureSource("Wall", path))
    assert (auto.encoding, auto.alpha) == ("srgb", "straight")
    opaque = str(write_png(tmp_path / "p.png", noise((4, 4, 3))))
    assert open_source(PictureSource("x", opaque, alpha="premultiplied")).alpha == "none"


@pytest.mark.parametrize("name", ["p.png", "p16.png", "p.jpg", "p.exr"])
def test_cut_off_files_are_errors_at_every_length(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("jpg"):
        Image.fromarray(noise((40, 40, 3))).save(path)
    elif name.endswith("exr"):
        write_exr(path, [ExrLayer.of("", NOISE.random((40, 40, 3), np.float32))])
    else:
        write_png(path, noise((40, 40, 3), "uint16" if "16" in name else "uint8"))
    content = path.read_bytes()
    for keep in (9, 30, 200, len(content) // 2, len(content) - 20):
        path.write_bytes(content[:keep])
        with pytest.raises(EngineError, match=r"damaged|not a PNG") as caught:
            whole(open_picture(path))
        assert caught.value.fix


@ONCE
@given(name=st.sampled_from(["png", "jpg", "exr"]), seed=st.integers(0, 10**6))
def test_damaged_files_are_errors_or_pictures_never_crashes(tmp_path: Path, name: str, seed: int) -> None:
    pixels, path = np.zeros((12, 10, 3), np.uint16), tmp_path / f"p.{name}"
    if name == "jpg":
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    elif name == "exr":
        write_exr(path, [ExrLayer.of("V.Combined", pixels.astype(np.float32))])
    else:
        write_png(path, pixels)
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for place in rng.integers(0, len(content), 4):
        content[place] = rng.integers(0, 256)
    path.write_bytes(content)
    try:
        found = open_picture(path)
        assert found.read(0, 0, 1, 1).shape == (1, 1, found.channels)
    except EngineError as error:
        assert error.fix


HOSTILE = """
import struct, time, zlib
from pathlib import Path
from engine import png
from engine.errors import EngineError
from engine.files import open_picture
from engine.picture import whole
base = Path({folder!r})

def head(width, height, depth=8):
    data = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    body = [(b"IHDR", data), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return png.SIGNATURE + b"".join(png._chunk(*chunk) for chunk in body)

def windowed(width, height):
    content = (base / "small.exr").read_bytes()
    place = content.index(b"dataWindow\\0box2i\\0") + 21
    return content[:place] + struct.pack("<4i", 0, 0, width - 1, height - 1) + content[place + 16:]

def jpeg(width, height):
    content = (base / "small.jpg").read_bytes()
    place = content.index(b"\\xff\\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4:]

files = dict(
    png_huge=head(10**6, 10**6), png_16k=head(16384, 16384), png_16bit=head(16384, 16384, 16),
    png_wide=head(2**31 - 1, 1),
    exr_huge=windowed(10**6, 10**6), exr_16k=windowed(16384, 16384), exr_wide=windowed(2**30, 1),
    exr_none=windowed(0, 0),
    jpg_huge=jpeg(65500, 65500), jpg_16k=jpeg(16384, 16384),
    chunks=png.SIGNATURE + bytes(12) * 3_000_000,
)
result = {{}}
for name, content in files.items():
    (base / name).write_bytes(content)
    start = time.perf_counter()
    try:
        whole(open_picture(base / name))
        result[name] = "opened"
    except EngineError as error:
        result[name] = time.perf_counter() - start
    (base / name).unlink()
del files, content
"""


def test_hostile_files_cost_next_to_nothing(tmp_path: Path, measured: Any) -> None:
    """At most a second and 256 MB, whatever a header claims."""
    write_exr(tmp_path / "small.exr", [ExrLayer.of("", np.zeros((4, 4, 3), np.float32))])
    Image.fromarray(noise((16, 16, 3))).save(tmp_path / "small.jpg")
    found = measured(HOSTILE.format(folder=str(tmp_path)))
    assert all(isinstance(seconds, float) and seconds < 1 for seconds in found["result"].values()), found
    assert found["peak_mb"] < 256


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "height"), [("uint8", 16384), ("uint16", 4096)])
def test_a_16k_texture_is_read_in_windows(tmp_path: Path, measured: Any, dtype: str, height: int) -> None:
    band = np.zeros((256, 16384, 3), dtype) + np.arange(16384, dtype=np.uint16).astype(dtype)[:, None]
    with create_png(tmp_path / "p.png", height, 16384, 3, dtype) as writer:
        for _ in range(height // 256):
            writer.write_rows(band)
    code = f"""
from engine.files import open_picture
picture = open_picture({str(tmp_path / "p.png")!r})
result = [int(picture.read(top, left, 2048, 2048)[5, 7, 1]) for top in (0, {height // 2}) for left in (0, 4096)]
"""
    found = measured(code)
    assert found["result"] == [int(band[0, left + 7, 0]) for _ in range(2) for left in (0, 4096)]
    assert found["peak_mb"] < 700


# ---------------------------------------------------------------- OpenEXR


def planes(height: int = 9, width: int = 12) -> list[ExrLayer]:
    colour = NOISE.random((height, width, 4), np.float32)
    return [
        ExrLayer.of("ViewLayer.Combined", colour.astype(np.float16)),
        ExrLayer.of("ViewLayer.Normal", colour[..., :3], ("X", "Y", "Z")),
        ExrLayer.of("ViewLayer.Depth", colour[..., :1], ("Z",)),
        ExrLayer("ViewLayer.Ids", {"X": noise((height, width), "uint32")}),
        ExrLayer.of(blender_name("Attribution.Scale"), colour[..., :3]),
    ]


def same_layers(found: dict[str, ExrLayer], expected: list[ExrLayer]) -> bool:
    """Names, channels, types and bits."""
    return set(found) == {layer.name for layer in expected} and all(
        found[layer.name].channels == layer.channels
        and found[layer.name].planes[channel].dtype == plane.dtype
        and found[layer.name].planes[channel].tobytes() == plane.tobytes()
        for layer in expected
        for channel, plane in layer.planes.items()
    )


def test_exr_round_trip_keeps_every_bit_and_type(tmp_path: Path) -> None:
    layers = planes()
    layers[0].planes["R"][0, :3] = [np.nan, np.inf, -0.0]
    write_exr(tmp_path / "p.exr", layers, {"recipe": '{"seed": 1}', "Camera": "Käthe"})
    found = read_exr(tmp_path / "p.exr")
    assert same_layers(found.layers, layers)
    assert (found.header["recipe"], found.header["Camera"]) == ('{"seed": 1}', "Käthe")
    assert str(found.parts[0].header["compression"]) == "Compression.ZIP_COMPRESSION"


@ONCE
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    top=st.integers(-50, 50),
    left=st.integers(-50, 50),
    dtype=st.sampled_from(["float16", "float32"]),
)
def test_exr_windows_round_trip(tmp_path: Path, height: int, width: int, top: int, left: int, dtype: str) -> None:
    """Crop regions and overscan: the picture stays where it was in the frame."""
    layer = ExrLayer.of("V.Combined", NOISE.random((height, width, 4), np.float32).astype(dtype))
    header = {
        "dataWindow": (np.array([left, top], np.int32), np.array([left + width - 1, top + height - 1], np.int32)),
        "displayWindow": (np.array([0, 0], np.int32), np.array([99, 59], np.int32)),
    }
    write_exr(tmp_path / "p.exr", [layer], header)
    first = read_exr(tmp_path / "p.exr")
    write_exr(tmp_path / "q.exr", list(first.layers.values()), first.header)
    for found in (first, read_exr(tmp_path / "q.exr")):
        assert found.window == (top, left, top + height, left + width)
        assert found.parts[0].header["displayWindow"][1].tolist() == [99, 59]
        assert same_layers(found.layers, [layer])


def test_a_window_of_another_size_is_forgotten(tmp_path: Path) -> None:
    write_exr(tmp_path / "p.exr", planes(9, 12))
    header = read_exr(tmp_path / "p.exr").header
    write_exr(tmp_path / "q.exr", planes(5, 6), header)
    assert read_exr(tmp_path / "q.exr").window == (0, 0, 5, 6)


def test_parts_become_layers(tmp_path: Path) -> None:
    """As Nuke writes them: one part per layer with bare channel names, windows of different size."""
    import OpenEXR

    def part(name: str, top: int, left: int, value: float) -> Any:
        window = (np.array([left, top], np.int32), np.array([left + 3, top + 2], np.int32))
        frame = (np.array([0, 0], np.int32), np.array([19, 9], np.int32))
        header = {"dataWindow": window, "displayWindow": frame, "type": OpenEXR.scanlineimage, f"from {name}": name}
        return OpenEXR.Part(header, {channel: np.full((3, 4), value, np.float32) for channel in "RGB"}, name)

    OpenEXR.File([part("beauty", 0, 0, 1), part("glow", 2, 5, 2)]).write(str(tmp_path / "p.exr"))
    found = read_exr(tmp_path / "p.exr")
    assert list(found.layers) == ["beauty", "glow"]
    assert found.window == (0, 0, 5, 9)
    glow = found.layers["glow"].pixels()
    assert glow.shape == (5, 9, 3)
    assert (glow[2:, 5:] == 2).all() and glow.sum() == 2 * 12 * 3
    assert found.header["from glow"] == "glow"
    write_exr(tmp_path / "q.exr", list(found.layers.values()), found.header)
    assert same_layers(read_exr(tmp_path / "q.exr").layers, list(found.layers.values()))


def test_views_into_arrays_are_written_as_they_look(tmp_path: Path) -> None:
    """OpenEXR takes strided memory for contiguous and writes garbage."""
    pixels = NOISE.random((8, 10, 3), np.float32)
    write_exr(tmp_path / "p.exr", [ExrLayer.of("A", pixels[::-1, ::2])])
    assert np.array_equal(read_exr(tmp_path / "p.exr").layers["A"].pixels(), pixels[::-1, ::2])


@pytest.mark.parametrize(
    ("names", "expected", "alpha"),
    [
        (["R", "G", "B", "A"], "RGBA", "premultiplied"),
        (["A.R", "A.G", "A.B", "V.Combined.R", "V.Combined.G", "V.Combined.B"], "V.Combined", "none"),
        (["V.Depth.Z", "V.Normal.X", "r", "g", "b"], "rgb", "none"),
        (["V.Depth.Z", "V.Emit.B", "V.Emit.G", "V.Emit.R"], "V.Emit", "none"),
        (["Y"], "Y", "none"),
    ],
)
def test_the_picture_in_an_exr_is_the_one_an_artist_means(
    tmp_path: Path, names: list[str], expected: str, alpha: str
) -> None:
    grouped: dict[str, dict[str, np.ndarray]] = {}
    for number, name in enumerate(names):
        layer, _, channel = name.rpartition(".")
        grouped.setdefault(layer, {})[channel] = np.full((3, 4), number, np.float16)
    write_exr(tmp_path / "p.exr", [ExrLayer(layer, found) for layer, found in grouped.items()])
    found = open_picture(tmp_path / "p.exr")
    wanted = [names.index(n) for n in names if n.startswith(expected + ".")] or [names.index(c) for c in expected]
    assert sorted(found.read(0, 0, 1, 1)[0, 0].tolist()) == sorted(wanted)
    assert (found.encoding, found.alpha, str(found.dtype)) == ("linear", alpha, "float16")


def test_an_exr_without_colour_is_refused(tmp_path: Path) -> None:
    write_exr(tmp_path / "p.exr", [ExrLayer.of("V.Depth", np.zeros((2, 2, 1), np.float32), ("Z",))])
    with pytest.raises(EngineError, match="no colour"):
        open_picture(tmp_path / "p.exr")


def test_types_are_mixed_into_float(tmp_path: Path) -> None:
    colour = {
        "R": np.ones((2, 2), np.float16),
        "G": np.full((2, 2), 1 / 3, np.float32),
        "B": np.ones((2, 2), np.float16),
    }
    write_exr(tmp_path / "p.exr", [ExrLayer("", colour)])
    found = open_picture(tmp_path / "p.exr")
    assert found.dtype == np.float32 and whole(found)[0, 0, 1] == np.float32(1 / 3)


def test_two_channels_of_one_name_are_refused(tmp_path: Path) -> None:
    layer = ExrLayer.of("A", np.zeros((2, 2, 3), np.float32))
    with pytest.raises(ValueError, match=r"two channels are called A\.R"):
        write_exr(tmp_path / "p.exr", [layer, layer])
    with pytest.raises(ValueError, match="one size"):
        write_exr(tmp_path / "p.exr", [layer, ExrLayer.of("B", np.zeros((2, 3, 3), np.float32))])


def test_headers_that_are_not_utf8_are_refused_with_a_way_out(tmp_path: Path) -> None:
    write_exr(tmp_path / "p.exr", planes(), {"Camera": "XXXX"})
    content = (tmp_path / "p.exr").read_bytes()
    (tmp_path / "p.exr").write_bytes(content.replace(b"XXXX", b"K\xe4th"))
    with pytest.raises(EngineError, match="not UTF-8"):
        read_exr(tmp_path / "p.exr")


def test_real_renders_come_back_untouched(tmp_path: Path, shared: Path) -> None:
    source = read_exr(shared / "sequences/native/walk_0008_native.exr")
    extra = ExrLayer.of(blender_name("Stylized"), np.zeros((source.height, source.width, 3), np.float16))
    write_exr(tmp_path / "p.exr", [*source.layers.values(), extra], {**source.header, "recipe": "{}"})
    found = read_exr(tmp_path / "p.exr")
    assert same_layers(found.layers, [*source.layers.values(), extra])
    manifest = "cryptomatte/542cafa/manifest"
    assert found.header[manifest] == source.header[manifest]
    assert set(found.header) == {*source.header, "recipe"}


LOAD = """
import json, sys
import bpy
tree = bpy.data.node_groups.new("t", "CompositorNodeTree")
node = tree.nodes.new("CompositorNodeImage")
node.image = bpy.data.images.load(sys.argv[-1])
node.image.pixels
outputs = [[output.name, output.type] for output in node.outputs if output.enabled]
print("FOUND" + json.dumps([node.image.type, node.layer if node.has_layers else "", outputs]))
"""


def loaded(run_blender: Callable[..., str], path: Path) -> tuple[str, str, dict[str, str]]:
    said = run_blender("-c", LOAD, str(path))
    kind, layer, outputs = json.loads(said.rpartition("FOUND")[2].splitlines()[0])
    return kind, layer, dict(outputs)


def test_blender_shows_one_output_per_layer(tmp_path: Path, run_blender: Callable[..., str]) -> None:
    layers = [*planes(36, 64), ExrLayer.of(blender_name("Attribution.Removal"), np.zeros((36, 64, 1), np.float32))]
    write_exr(tmp_path / "p.exr", layers)
    kind, layer, outputs = loaded(run_blender, tmp_path / "p.exr")
    assert (kind, layer) == ("MULTILAYER", "ViewLayer")
    assert outputs["Attribution Scale"] == "RGBA" and outputs["Attribution Removal"] == "VALUE"
    assert {"Combined", "Alpha", "Normal", "Depth"} <= set(outputs)


def test_blender_shows_our_layers_beside_its_own_passes(
    tmp_path: Path, render: Callable[..., Path], run_blender: Callable[..., str]
) -> None:
    """A multi-part render of 5.x goes through one part and keeps all passes."""
    source = read_exr(render())
    stylized = ExrLayer.of(blender_name("Stylized"), np.zeros((source.height, source.width, 4), np.float16))
    write_exr(tmp_path / "p.exr", [*source.layers.values(), stylized], source.header)
    _, _, before = loaded(run_blender, render())
    kind, layer, after = loaded(run_blender, tmp_path / "p.exr")
    assert (kind, layer) == ("MULTILAYER", "ViewLayer")
    assert after == {**before, "Stylized": "RGBA"}


def test_blender_shows_our_layers_beside_bare_channels(tmp_path: Path, run_blender: Callable[..., str]) -> None:
    bare = ExrLayer.of("", NOISE.random((36, 64, 4), np.float32))
    ours = ExrLayer.of(blender_name("Attribution.Scale", ""), NOISE.random((36, 64, 3), np.float32))
    write_exr(tmp_path / "p.exr", [bare, ours])
    kind, _, outputs = loaded(run_blender, tmp_path / "p.exr")
    assert kind == "MULTILAYER" and {"Combined", "Attribution Scale"} <= set(outputs)


# ---------------------------------------------------------------- disks that refuse


def write_all(folder: Path, name: str) -> list[Callable[[], Any]]:
    """Every kind of file we write, each too large for a disk of one megabyte."""
    pixels = NOISE.integers(0, 65536, (1000, 600, 3), np.uint16)
    return [
        lambda: write_png(folder / f"{name}.png", pixels),
        lambda: write_exr(folder / f"{name}.exr", [ExrLayer.of("A", NOISE.random((600, 600, 3), np.float32))]),
        lambda: write_text(folder / f"{name}.txt", "x" * 2**21),
        lambda: write_json(folder / f"{name}.json", ["x" * 2**21]),
    ]


def test_a_full_disk_is_said_and_nothing_stays(small_disk: Path) -> None:
    (small_disk / "out.png").write_text("mine")
    for write in write_all(small_disk, "out"):
        with pytest.raises(EngineError, match="disk is full") as caught:
            write()
        assert "space" in caught.value.fix
    assert [path.name for path in small_disk.iterdir()] == ["out.png"]
    assert (small_disk / "out.png").read_text() == "mine"


def test_a_read_only_disk_is_said(read_only_disk: Path) -> None:
    for write in write_all(read_only_disk, "out"):
        with pytest.raises(EngineError, match="read-only") as caught:
            write()
        assert caught.value.fix
    with pytest.raises(EngineError, match="read-only"):
        write_text(read_only_disk / "old.txt", "new")
    assert (read_only_disk / "old.txt").read_text() == "old"


def test_a_locked_folder_is_said(locked_folder: Path) -> None:
    for write in write_all(locked_folder, "out"):
        with pytest.raises(EngineError, match="not allowed"):
            write()
    with pytest.raises(EngineError, match="could not be read: access is not allowed"):
        open_picture(locked_folder / "secret.png")


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    for write in write_all(tmp_path / "gone", "out"):
        with pytest.raises(EngineError, match="there is no folder"):
            write()
    with pytest.raises(EngineError, match="There is no file"):
        open_picture(tmp_path / "gone.png")


def test_folders_and_files_in_each_others_place_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "p.png", tmp_path / "folder", tmp_path / ("n" * 300), Path("\x00")):
        with pytest.raises(EngineError):
            write_text(path, "new")
        with pytest.raises(EngineError):
            open_picture(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_names_that_are_not_utf8_work(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"Bl\xfcte")
    folder.mkdir()
    pixels = noise((6, 5, 3), "uint16")
    exr = ExrLayer.of("V.Combined", NOISE.random((6, 5, 3), np.float32))
    name = os.fsdecode(b"\xff\xfe")
    write_png(folder / f"{name}.png", pixels)
    write_png(folder / f"{name}8.png", noise((6, 5, 3)))
    write_exr(folder / f"{name}.exr", [exr])
    write_json(folder / f"{name}.json", {"a": 1})
    assert np.array_equal(whole(open_picture(folder / f"{name}.png")), pixels)
    assert open_picture(folder / f"{name}8.png").channels == 3
    assert same_layers(read_exr(folder / f"{name}.exr").layers, [exr])
    with pytest.raises(EngineError) as caught:
        open_picture(folder / f"{name}.json")
    caught.value.message.encode("utf-8")


def test_an_error_between_the_rows_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_text("mine")
    with pytest.raises(RuntimeError), create_png(tmp_path / "p.png", 4, 4, 3, "uint8") as writer:
        writer.write_rows(noise((2, 4, 3)))
        raise RuntimeError("the artist pressed Escape")
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"]
    assert (tmp_path / "p.png").read_text() == "mine"


def test_nothing_has_the_final_name_before_it_is_whole(tmp_path: Path) -> None:
    with NewFile(tmp_path / "p.txt") as new:
        new.file.write(b"half")
        new.file.flush()
        assert not (tmp_path / "p.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["p.txt"]


def test_a_failed_rename_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(self: Path, target: Path) -> None:
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(Path, "replace", locked)
    with pytest.raises(EngineError, match="not allowed"):
        write_text(tmp_path / "p.txt", "x")
    assert not list(tmp_path.iterdir())


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 255), "x")
    assert (tmp_path / ("n" * 255)).read_text() == "x"


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "p.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def test_unique_paths_never_exist(tmp_path: Path) -> None:
    wanted = tmp_path / "rock_starry.png"
    assert unique_path(wanted) == wanted
    wanted.touch()
    (tmp_path / "rock_starry_2.png").symlink_to(tmp_path / "nowhere")
    assert unique_path(wanted) == tmp_path / "rock_starry_3.png"
    assert unique_path(tmp_path / "gone" / "p.png") == tmp_path / "gone" / "p.png"


def test_everything_named_at_the_door_is_there() -> None:
    assert all(hasattr(files, name) for name in files.__all__)
