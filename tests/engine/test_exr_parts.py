"""Results beside renders that stay as they were compressed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import exr_parts
from engine.exr import ExrLayer, read_exr, write_beside, write_exr

NOISE = np.random.default_rng(5)
ONCE = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def layer(name: str, height: int = 40, width: int = 23, dtype: Any = np.float16, channels: str = "RGBA") -> ExrLayer:
    return ExrLayer.of(name, NOISE.random((height, width, len(channels)), np.float32).astype(dtype), tuple(channels))


def render(height: int = 40, width: int = 23) -> list[ExrLayer]:
    return [
        layer("ViewLayer.Combined", height, width),
        layer("ViewLayer.Normal", height, width, np.float32, "XYZ"),
        layer("ViewLayer.CryptoObject00", height, width, np.float32),
    ]


def written(path: Path, layers: list[ExrLayer], **more: Any) -> Path:
    write_exr(path, layers, {"Camera": "cam", **more})
    return path


def beside(source: Path, target: Path, *layers: ExrLayer, **entries: str) -> exr_parts.Part:
    """Writes; returns the first part of the result."""
    write_beside(target, read_exr(source, keep=True), layers, entries)
    return exr_parts.parts_of(target.read_bytes())[0]


def planes_of(path: Path) -> dict[str, bytes]:
    file = read_exr(path)
    return {f"{name}.{key}": plane.tobytes() for name, one in file.layers.items() for key, plane in one.planes.items()}


def multi_part(path: Path, compression: str, names: tuple[str, ...] = ("Combined", "Normal")) -> Path:
    """As Blender 5 writes it: a part for each pass, whose channels repeat its name."""
    import OpenEXR

    header = {"compression": getattr(OpenEXR, compression), "type": OpenEXR.scanlineimage}
    parts = []
    for name in names:
        pixels = NOISE.random((40, 23), np.float32).astype(np.float16)
        parts.append(
            OpenEXR.Part(dict(header), {f"ViewLayer.{name}.{key}": pixels for key in "RGB"}, f"ViewLayer.{name}")
        )
    OpenEXR.File(parts).write(str(path))
    return path


def test_what_was_there_stays_as_compressed_as_it_was(tmp_path: Path) -> None:
    source = written(tmp_path / "a.exr", render())
    first = beside(source, tmp_path / "b.exr", layer("ViewLayer.Stylized"), pentimento="{}")
    (before,) = exr_parts.parts_of(source.read_bytes())
    assert [bytes(chunk) for chunk in first.chunks] == [bytes(chunk) for chunk in before.chunks]
    before_planes, after = planes_of(source), planes_of(tmp_path / "b.exr")
    assert {name: after[name] for name in before_planes} == before_planes
    assert set(after) - set(before_planes) == {f"ViewLayer.Stylized.{channel}" for channel in "RGBA"}


def test_the_new_layer_is_what_it_was_given(tmp_path: Path) -> None:
    ours, map_ = layer("ViewLayer.Stylized"), layer("ViewLayer.Attribution Scale", dtype=np.float32, channels="RGB")
    beside(written(tmp_path / "a.exr", render()), tmp_path / "b.exr", ours, map_)
    found = read_exr(tmp_path / "b.exr").layers
    for one in (ours, map_):
        assert found[one.name].pixels().tobytes() == one.pixels().tobytes()
        assert found[one.name].pixels().dtype == one.pixels().dtype


def test_entries_are_in_the_first_header_beside_what_it_said(tmp_path: Path) -> None:
    source = written(tmp_path / "a.exr", render(), pentimento="old", Scene="Äpfel")
    beside(source, tmp_path / "b.exr", layer("ViewLayer.Stylized"), pentimento='{"seed": 1}')
    header = read_exr(tmp_path / "b.exr").parts[0].header
    assert (header["pentimento"], header["Camera"], header["Scene"]) == ('{"seed": 1}', "cam", "Äpfel")


def test_a_result_can_be_stylized_again(tmp_path: Path) -> None:
    beside(written(tmp_path / "a.exr", render()), tmp_path / "b.exr", layer("ViewLayer.Stylized"))
    beside(tmp_path / "b.exr", tmp_path / "c.exr", layer("ViewLayer.Stylized 2"))
    before, after = planes_of(tmp_path / "b.exr"), planes_of(tmp_path / "c.exr")
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 4


@pytest.mark.parametrize("compression", ["NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB"])
def test_every_compression_is_taken_over(tmp_path: Path, compression: str) -> None:
    """Lossy ones, too: what is not decoded loses nothing once more."""
    source = multi_part(tmp_path / "a.exr", f"{compression}_COMPRESSION")
    beside(source, tmp_path / "b.exr", layer("ViewLayer.Stylized"))
    parts = exr_parts.parts_of((tmp_path / "b.exr").read_bytes())
    assert [part.name for part in parts] == ["ViewLayer.Combined", "ViewLayer.Normal", "ViewLayer.Stylized"]
    assert [part.chunks for part in parts[:2]] == [part.chunks for part in exr_parts.parts_of(source.read_bytes())]
    before, after = planes_of(source), planes_of(tmp_path / "b.exr")
    assert {name: after[name] for name in before} == before


@ONCE
@given(height=st.integers(1, 70), width=st.integers(1, 40), top=st.integers(-50, 50), left=st.integers(-50, 50))
def test_windows_stay_where_they_were(tmp_path: Path, height: int, width: int, top: int, left: int) -> None:
    corners = (np.array([left, top], np.int32), np.array([left + width - 1, top + height - 1], np.int32))
    frame = (np.array([0, 0], np.int32), np.array([99, 59], np.int32))
    source = written(tmp_path / "a.exr", render(height, width), dataWindow=corners, displayWindow=frame)
    beside(source, tmp_path / "b.exr", layer("ViewLayer.Stylized", height, width))
    found = read_exr(tmp_path / "b.exr")
    assert found.window == (top, left, top + height, left + width)
    assert all(part.header["displayWindow"][1].tolist() == [99, 59] for part in found.parts)


@pytest.mark.parametrize(
    "layers",
    [
        [layer("")],
        [layer("First.Combined"), layer("Second.Combined")],
        [layer("Combined")],
    ],
    ids=["bare channels", "two view layers", "no view layer"],
)
def test_what_has_no_one_view_layer_is_one_part(tmp_path: Path, layers: list[ExrLayer]) -> None:
    """Its channels would get other names in Blender as a part of several."""
    source = written(tmp_path / "a.exr", layers)
    beside(source, tmp_path / "b.exr", layer("Stylized"), pentimento="{}")
    found = read_exr(tmp_path / "b.exr")
    assert len(found.parts) == 1 and found.header["pentimento"] == "{}"
    before, after = planes_of(source), planes_of(tmp_path / "b.exr")
    assert {name: after[name] for name in before} == before


def test_tiles_are_packed_anew(tmp_path: Path) -> None:
    import OpenEXR

    tiles = OpenEXR.TileDescription()
    tiles.xSize = tiles.ySize = 16
    header = {"type": OpenEXR.tiledimage, "tiles": tiles, "compression": OpenEXR.ZIP_COMPRESSION}
    planes = {f"ViewLayer.Combined.{key}": NOISE.random((40, 23), np.float32) for key in "RGB"}
    OpenEXR.File(header, planes).write(str(tmp_path / "a.exr"))
    with pytest.raises(exr_parts.UncopiedError):
        exr_parts.parts_of((tmp_path / "a.exr").read_bytes())
    beside(tmp_path / "a.exr", tmp_path / "b.exr", layer("ViewLayer.Stylized"))
    before, after = planes_of(tmp_path / "a.exr"), planes_of(tmp_path / "b.exr")
    assert {name: after[name] for name in before} == before


@ONCE
@given(data=st.data())
def test_a_torn_file_is_never_taken_over(tmp_path: Path, data: st.DataObject) -> None:
    """Cut anywhere, or with any byte changed: it is refused, or its chunks lie within it."""
    whole = written(tmp_path / "a.exr", render(9, 7)).read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(exr_parts.UncopiedError):
        exr_parts.parts_of(whole[:cut])
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, min(len(whole) - 1, 900)))] = data.draw(st.integers(0, 255))
    try:
        parts = exr_parts.parts_of(bytes(changed))
    except exr_parts.UncopiedError:
        return
    assert sum(len(chunk) for part in parts for chunk in part.chunks) < len(whole) * max(1, len(parts[0].chunks))


@pytest.mark.parametrize("offset", [0, 8, 2**62, 2**63, 2**64 - 1])
def test_a_chunk_that_lies_nowhere_is_not_taken_over(tmp_path: Path, offset: int) -> None:
    """As a render that was stopped leaves it: the table is there, and rows are not."""
    whole = bytearray(written(tmp_path / "a.exr", render()).read_bytes())
    table = _table(bytes(whole))
    whole[table : table + 8] = struct.pack("<Q", offset)
    with pytest.raises(exr_parts.UncopiedError):
        exr_parts.parts_of(bytes(whole))


def _table(file: bytes) -> int:
    """Where the places of chunks begin: before the first chunk, 8 bytes for each of the three"""
    (part,) = exr_parts.parts_of(file)
    return file.index(bytes(part.chunks[0])) - 8 * len(part.chunks)


def test_names_of_any_length(tmp_path: Path) -> None:
    """Beyond 31 bytes a flag has to say so."""
    name = "ViewLayer." + "A pass with a name that is much too long for its own good" * 2
    source = written(tmp_path / "a.exr", [layer("ViewLayer.Combined"), layer(name)])
    beside(
        source,
        tmp_path / "b.exr",
        layer("ViewLayer.Stylized"),
        **{"an entry whose name is longer than it need be": "1"},
    )
    assert set(read_exr(tmp_path / "b.exr").layers) == {"ViewLayer.Combined", name, "ViewLayer.Stylized"}
    assert (tmp_path / "b.exr").read_bytes()[5] & 0x04
