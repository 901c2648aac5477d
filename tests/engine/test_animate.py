"""Batches of frames: what is written, what is kept, what is made again, and what is told of those that fail."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import conftest
import pytest
import shots
import tiny_styles
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from shots import contents, done, exr_frame, failed, png_frame, request, run, shot

from engine import cli, crew, machine, painter, style_pack
from engine.animate import _Batch, _that_pay, animate, prepared
from engine.errors import EngineError
from engine.files import read_exr
from engine.ledger import FOLDER
from engine.protocol import Done, Event, FrameDone, FrameFailed, PictureSource, Progress, StylizeRequest
from engine.sequence import results, sequence
from engine.stylize import stylize

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("styles")
    made = {make.__name__: str(make(folder / make.__name__)) for make in (tiny_styles.brush, tiny_styles.guided)}
    theirs = style_pack.import_style(tiny_styles.normalised(folder / "theirs.onnx"), folder / "imported")
    return {**made, "theirs": str(theirs.source)}


@pytest.fixture
def brush(styles: dict[str, str]) -> str:
    return styles["brush"]


# ---------------------------------------------------------------- names


def test_a_pattern_finds_its_frames_and_no_others(tmp_path: Path) -> None:
    for name in ("s_0007.exr", "s_0001.exr", "s_12345.exr", "s_01234.exr", "s_001.exr", "s_0002.png", "xs_0003.exr"):
        (tmp_path / name).touch()
    (tmp_path / "s_0009.exr").mkdir()
    found = sequence(str(tmp_path / "s_####.exr"))
    assert found.there() == [1, 7, 12345]
    assert found.path(7).name == "s_0007.exr"


@pytest.mark.parametrize("pattern", ["shot.exr", "shot_##_v#.exr", "#/shot.exr"])
def test_a_pattern_says_where_the_number_is(pattern: str) -> None:
    with pytest.raises(EngineError, match="number of a frame"):
        sequence(pattern)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("shot_####.exr", "shot_wave_0007.exr"), ("####.exr", "wave_0007.exr"), ("a.##_v2.exr", "a._v2_wave_07.exr")],
)
def test_the_number_comes_last(pattern: str, expected: str) -> None:
    assert results(sequence(pattern), "wave", Path(), ".exr").path(7).name == expected


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1-4", (1, 2, 3, 4)), ("1,5,9", (1, 5, 9)), ("2-9x3,1,2", (2, 5, 8, 1)), ("0", (0,)), ("3-3", (3,))],
)
def test_frames_on_the_command_line(text: str, numbers: tuple[int, ...]) -> None:
    assert cli._frames(text) == numbers


@pytest.mark.parametrize("text", ["", "a", "4-1", "1-4x0", "-3", "1;2", "1-2-3"])
def test_no_frames_on_the_command_line(text: str) -> None:
    with pytest.raises(Exception, match="no frame"):
        cli._frames(text)


# ---------------------------------------------------------------- results


def test_an_exr_frame_is_what_stylize_writes(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 4))
    events = run(request(pattern, brush, tmp_path / "out", overlays=("Scale",)))
    assert done(events) == [1, 2, 3]
    made = contents(tmp_path / "out")
    assert list(made) == [f"shot_brush_{n:04d}.exr" for n in (1, 2, 3)]  # and no preview
    source = PictureSource("shot_0002", str(tmp_path / "shot_0002.exr"))
    asked = request(pattern, brush, tmp_path, overlays=("Scale",))
    list(stylize(StylizeRequest("j", (source,), asked.settings, str(tmp_path / "alone"))))
    assert made["shot_brush_0002.exr"] == (tmp_path / "alone" / "shot_0002_brush.exr").read_bytes()
    assert set(read_exr(tmp_path / "out" / "shot_brush_0002.exr").layers) == {
        "ViewLayer.Combined",
        "ViewLayer.Depth",
        "ViewLayer.Stylized",
        "ViewLayer.Attribution Scale",
    }


def test_a_byte_frame_is_what_stylize_writes(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 3), ".png")
    run(request(pattern, brush, tmp_path / "out"))
    source = PictureSource("shot_0002", str(tmp_path / "shot_0002.png"))
    list(stylize(StylizeRequest("j", (source,), request(pattern, brush, tmp_path).settings, str(tmp_path / "alone"))))
    assert contents(tmp_path / "out")["shot_brush_0002.png"] == (tmp_path / "alone/shot_0002_brush.png").read_bytes()


def test_overlays_of_byte_frames_are_a_sequence_of_their_own(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 3), ".png")
    asked = request(pattern, brush, tmp_path / "out", overlays=("Scale",), resume=True)
    run(asked)
    made = contents(tmp_path / "out")
    assert set(made) == {
        f"shot_brush{more}" for more in ("_0001.png", "_0002.png", "-layers_0001.exr", "-layers_0002.exr")
    }
    (tmp_path / "out" / "shot_brush-layers_0002.exr").unlink()
    assert done(run(asked)) == [2]  # a frame is done when all of it is there
    assert contents(tmp_path / "out") == made


def test_what_is_said(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 4))
    events = run(request(pattern, brush, tmp_path / "out"))
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert any(re.search(r"Frame 3 \(\d of 3, [\d.]+ frames/s, \d+ s left\)", stage) for stage in stages)
    first = next(event for event in events if isinstance(event, FrameDone))
    assert set(first.seconds) == {"read", "inference", "overlays", "write"} and first.seconds["inference"] > 0
    last = events[-1]
    assert isinstance(last, Done)
    assert {key: last.report[key] for key in ("done", "skipped", "failed", "failed_frames", "device")} == {
        "done": 3, "skipped": 0, "failed": 0, "failed_frames": [], "device": "cpu",
    }  # fmt: skip
    assert last.report["frames_per_second"] > 0


# ---------------------------------------------------------------- what holds for a shot


@pytest.mark.parametrize("name", ["shot_{:04d}", "shot_{:04d}_v2"])
@pytest.mark.parametrize("choices", [{"lock": True}, {"colours": "histogram"}])
def test_four_chunks_are_one_run(styles: dict[str, str], tmp_path: Path, name: str, choices: dict[str, Any]) -> None:
    pattern = shot(tmp_path / "in", range(3, 11), name=name)
    run(request(pattern, styles["theirs"], tmp_path / "whole", **choices))
    for start in (7, 3, 9, 5):  # also when a later chunk comes first
        run(request(pattern, styles["theirs"], tmp_path / "chunks", (start, start + 1), **choices))
    whole = contents(tmp_path / "whole")
    assert len(whole) == 8 and contents(tmp_path / "chunks") == whole


def test_the_first_frame_of_the_shot_decides(styles: dict[str, str], tmp_path: Path) -> None:
    pattern = shot(tmp_path / "in", range(1, 4))
    whole = run(request(pattern, styles["brush"], tmp_path / "a", (3,), colours="histogram"))
    (tmp_path / "in" / "shot_0001.exr").unlink()
    run(request(pattern, styles["brush"], tmp_path / "b", (3,), colours="histogram"))
    assert done(whole) == [3] and contents(tmp_path / "a") != contents(tmp_path / "b")


def test_a_first_frame_that_cannot_be_read_fails_what_needs_it(styles: dict[str, str], tmp_path: Path) -> None:
    pattern = shot(tmp_path / "in", range(1, 4))
    (tmp_path / "in" / "shot_0001.exr").write_bytes(b"")
    with pytest.raises(EngineError, match="decides for all"):
        list(animate(request(pattern, styles["brush"], tmp_path / "out", (3,), colours="histogram")))
    assert not (tmp_path / "out").exists()
    events = run(request(pattern, styles["brush"], tmp_path / "out"))
    assert done(events) == [2, 3] and list(failed(events)) == [1]


@pytest.mark.parametrize("choices", [{}, {"colours": "histogram"}])
def test_a_first_frame_of_another_size_does_not_say_what_the_others_are_like(
    brush: str, tmp_path: Path, choices: dict[str, Any]
) -> None:
    """Left over from a test"""
    pattern = shot(tmp_path, range(2, 5))
    exr_frame(tmp_path / "shot_0001.exr", 1, height=20, width=24)
    assert done(run(request(pattern, brush, tmp_path / "out", (2, 3, 4), **choices))) == [2, 3, 4]
    events = run(request(pattern, brush, tmp_path / "both", (4, 1), **choices))
    assert done(events) == [4] and "24 x 20, the shot 48 x 40" in failed(events)[1].message


# ---------------------------------------------------------------- resume


def test_nothing_is_overwritten(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 4))
    run(request(pattern, brush, tmp_path / "out", (2,)))
    before = contents(tmp_path / "out")
    with pytest.raises(EngineError, match="already there") as caught:
        list(animate(request(pattern, brush, tmp_path / "out")))
    assert "--resume" in caught.value.fix and contents(tmp_path / "out") == before


def test_resume_makes_what_is_missing_and_nothing_else(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 6))
    run(request(pattern, brush, tmp_path / "whole"))
    out = tmp_path / "out"
    run(request(pattern, brush, out, (2, 4)))
    before = {path.name: path.stat() for path in out.glob("*.exr")}
    events = run(request(pattern, brush, out, resume=True))
    assert done(events) == [1, 3, 5] and done(events, made=False) == [2, 4]
    assert all(path.stat() == before[path.name] for path in out.glob("*.exr") if path.name in before)
    assert contents(out) == contents(tmp_path / "whole")
    assert done(run(request(pattern, brush, out, resume=True))) == []


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def beheaded(path: Path) -> None:
    path.write_bytes(b"?" + path.read_bytes()[1:])


DAMAGES = (truncated, emptied, zeroed, beheaded)


def flipped(path: Path, at: float = 0.6) -> None:
    """One bit, in place, and the time of the last write set back"""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(int(times.st_size * at))
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 16]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("suffix", [".exr", ".png"])
@pytest.mark.parametrize("damage", [*DAMAGES, flipped], ids=lambda damage: damage.__name__)
def test_what_is_damaged_is_made_again(brush: str, tmp_path: Path, suffix: str, damage: Callable[[Path], None]) -> None:
    pattern = shot(tmp_path, range(1, 4), suffix)
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    run(asked)
    whole = contents(tmp_path / "out")
    damage(tmp_path / "out" / f"shot_brush_0002{suffix}")
    events = run(asked)
    assert done(events) == [2] and done(events, made=False) == [1, 3]
    after = contents(tmp_path / "out")
    assert {name: after[name] for name in whole} == whole
    left = {f"shot_brush_0002_changed{suffix}"} if damage in (beheaded, flipped) else set()
    assert set(after) - set(whole) == left, "only what surely is ours is replaced"


def test_every_flipped_bit_is_found(brush: str, tmp_path: Path) -> None:
    """In head, recipe, table and pixels"""
    pattern = shot(tmp_path, range(1, 2))
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    run(asked)
    path = tmp_path / "out" / "shot_brush_0001.exr"
    whole = path.read_bytes()
    for at in (0.001, 0.05, 0.1, 0.15, 0.2, 0.5, 0.9, 0.999):
        flipped(path, at)
        assert done(run(asked)) == [1], at
        assert path.read_bytes() == whole


@pytest.mark.parametrize("suffix", [".exr", ".png"])
def test_without_a_ledger_pixels_are_decoded(brush: str, tmp_path: Path, suffix: str) -> None:
    pattern = shot(tmp_path, range(1, 7), suffix)
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    run(asked)
    whole = contents(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / FOLDER)
    for number, damage in enumerate((truncated, emptied, zeroed), 2):
        damage(tmp_path / "out" / f"shot_brush_{number:04d}{suffix}")
    cut = (tmp_path / "out" / f"shot_brush_0002{suffix}").read_bytes()
    events = run(asked)
    aside = {f"shot_brush_0002_changed{suffix}": cut}  # nobody knows any more that it was ours
    assert done(events) == [2, 3, 4] and contents(tmp_path / "out") == {**whole, **aside}
    assert done(run(asked)) == []


def test_what_was_copied_is_known_by_its_hash(brush: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = shot(tmp_path, range(1, 4))
    run(request(pattern, brush, tmp_path / "out"))
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    monkeypatch.setattr("engine.ledger._decodes", lambda *_: pytest.fail("need not be decoded"))
    assert done(run(request(pattern, brush, tmp_path / "copy", resume=True)), made=False) == [1, 2, 3]


def test_an_artists_touch_is_put_aside_and_not_lost(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 3), ".png")
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    run(asked)
    path = tmp_path / "out" / "shot_brush_0002.png"
    made = path.read_bytes()
    repainted = png_frame(tmp_path / "other.png", 77).read_bytes()
    path.write_bytes(repainted)
    assert done(run(asked)) == [2] and path.read_bytes() == made
    assert (tmp_path / "out" / "shot_brush_0002_changed.png").read_bytes() == repainted


def packed_text(path: Path) -> None:
    """As other programs write what was said of a picture"""
    with Image.open(path) as picture:
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", "\u00e9" * 500, lang="en", zip=True)
        picture.save(path, pnginfo=texts)


def broken_text(path: Path) -> None:
    packed_text(path)
    packed = b"\0\1\0en\0\0x"
    whole = path.read_bytes()
    assert packed in whole
    path.write_bytes(whole.replace(packed, packed[:-1] + b"?"))


def under_another_suffix(path: Path, kind: str) -> None:
    with Image.open(io.BytesIO(png_frame(path.with_name("x.png"), 77).read_bytes())) as picture:
        picture.save(path, kind)
    path.with_name("x.png").unlink()


def not_utf8(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"device": "cpu"', b'"device": "c\xffu"'))


TOUCHES: list[tuple[str, Callable[[Path], None]]] = [
    (".png", packed_text),
    (".png", broken_text),
    (".png", lambda path: under_another_suffix(path, "JPEG")),
    (".exr", lambda path: under_another_suffix(path, "TIFF")),
    (".exr", not_utf8),
]


@pytest.mark.parametrize(("suffix", "touch"), TOUCHES)
def test_whatever_is_saved_over_a_result_is_put_aside(
    brush: str, tmp_path: Path, suffix: str, touch: Callable[[Path], None]
) -> None:
    """Also what we cannot read, and what is smaller"""
    pattern = shot(tmp_path, range(1, 3), suffix)
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    run(asked)
    path = tmp_path / "out" / f"shot_brush_0002{suffix}"
    made = path.read_bytes()
    touch(path)
    touched = path.read_bytes()
    assert touched != made
    assert done(run(asked)) == [2] and path.read_bytes() == made
    assert path.with_name(f"shot_brush_0002_changed{suffix}").read_bytes() == touched


def rendered_anew(path: Path, number: int) -> None:
    """With as many bytes, as raw files have"""
    size = path.stat().st_size
    (exr_frame if path.suffix == ".exr" else png_frame)(path, number)
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))


@pytest.mark.parametrize("suffix", [".exr", ".png"])
@pytest.mark.parametrize("same_size", [True, False])
def test_what_was_rendered_anew_is_made_again(brush: str, tmp_path: Path, suffix: str, same_size: bool) -> None:
    pattern = shot(tmp_path, range(1, 4), suffix)
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    frame = tmp_path / f"shot_0002{suffix}"
    frame.write_bytes(frame.read_bytes() + bytes(5000))
    run(asked)
    before = contents(tmp_path / "out")
    rendered_anew(frame, 77)
    if not same_size:
        frame.write_bytes(frame.read_bytes()[:-10])
    assert done(run(asked)) == [2]
    after = contents(tmp_path / "out")
    name = f"shot_brush_0002{suffix}"
    assert set(after) == set(before) and [one for one in after if after[one] != before[one]] == [name]
    assert done(run(asked)) == []


def test_another_shot_of_the_same_names_is_made_anew(brush: str, tmp_path: Path) -> None:
    for folder, start in (("a", 0), ("b", 50)):
        for number in (1, 2):
            png_frame(tmp_path / folder / f"shot_{number:04d}.png", start + number)
    first, second = (
        request(str(tmp_path / folder / "shot_####.png"), brush, tmp_path / "out", resume=True) for folder in "ab"
    )
    assert done(run(first)) == done(run(second)) == [1, 2]
    run(request(second.frames, brush, tmp_path / "alone"))
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_frames_that_were_copied_are_no_others(brush: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = shot(tmp_path, range(1, 4))
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    run(asked)
    for path in tmp_path.glob("shot_*.exr"):
        os.utime(path, (1e9, 1e9))
    assert done(run(asked), made=False) == [1, 2, 3]
    monkeypatch.setattr("engine.ledger._digest", lambda *_: pytest.fail("known by its times by now"))
    (tmp_path / "shot_0002.exr").unlink()
    assert done(run(request(pattern, brush, tmp_path / "out", (1, 2, 3), resume=True)), made=False) == [1, 2, 3]


def test_frames_of_another_size_are_no_look_for_results_that_nobody_noted(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 3))
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    run(asked)
    shutil.copytree(tmp_path / "out", tmp_path / "copy", ignore=shutil.ignore_patterns(FOLDER))
    shot(tmp_path, range(1, 3), height=24, width=24)
    before = contents(tmp_path / "copy")
    with pytest.raises(EngineError, match=r"source\.size"):
        list(animate(request(pattern, brush, tmp_path / "copy", resume=True)))
    assert contents(tmp_path / "copy") == before
    assert done(run(asked)) == [1, 2]


def test_another_look_is_an_error_that_says_what_differs(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 4))
    run(request(pattern, brush, tmp_path / "out", (1, 2)))
    before = contents(tmp_path / "out")
    with pytest.raises(EngineError, match=r"1 more are .*settings\.seed, settings\.stroke") as caught:
        list(animate(request(pattern, brush, tmp_path / "out", resume=True, seed=3, stroke=2.0)))
    assert caught.value.fix and contents(tmp_path / "out") == before


def test_a_file_of_somebody_else_is_never_replaced(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 3), ".png")
    (tmp_path / "out").mkdir()
    for content in (b"notes", (tmp_path / "shot_0001.png").read_bytes()):
        (tmp_path / "out" / "shot_brush_0002.png").write_bytes(content)
        with pytest.raises(EngineError, match="by another program"):
            list(animate(request(pattern, brush, tmp_path / "out", resume=True)))
        assert (tmp_path / "out" / "shot_brush_0002.png").read_bytes() == content


def test_a_file_in_place_of_the_folder_for_results(brush: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"notes")
    with pytest.raises(EngineError, match="out is a file") as caught:
        list(animate(request(shot(tmp_path, range(1, 3)), brush, tmp_path / "out")))
    assert "folder" in caught.value.fix and (tmp_path / "out").read_bytes() == b"notes"


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_no_file_stays_and_is_told_of(brush: str, tmp_path: Path, number: int) -> None:
    pattern = shot(tmp_path, range(1, 4))
    in_the_way = tmp_path / "out" / f"shot_brush_{number:04d}.exr"
    in_the_way.mkdir(parents=True)
    for resume, expected in ((False, "already there"), (True, "as a folder")):
        with pytest.raises(EngineError, match=expected):
            list(animate(request(pattern, brush, tmp_path / "out", resume=resume)))
    assert entries(tmp_path / "out") == [in_the_way]
    in_the_way.rmdir()
    in_the_way.symlink_to(tmp_path / "gone.exr")
    for resume, expected in ((False, "already there"), (True, "a link to a file that is gone")):
        with pytest.raises(EngineError, match=expected) as caught:
            list(animate(request(pattern, brush, tmp_path / "out", resume=resume)))
        assert caught.value.fix
    assert entries(tmp_path / "out") == [in_the_way]


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def test_names_that_are_no_text(brush: str, tmp_path: Path) -> None:
    name = os.fsdecode(b"sh\xff_")
    for number in (1, 2):
        png_frame(tmp_path / f"{name}{number:04d}.png", number)
    asked = request(str(tmp_path / f"{name}####.png"), brush, tmp_path / "out", resume=True)
    assert done(run(asked)) == [1, 2]
    assert done(run(asked), made=False) == [1, 2]


# ---------------------------------------------------------------- frames that fail


def test_bad_frames_are_told_and_the_others_made(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 8))
    truncated(tmp_path / "shot_0002.exr")
    emptied(tmp_path / "shot_0003.exr")
    exr_frame(tmp_path / "shot_0005.exr", 5, height=20, width=48)
    (tmp_path / "shot_0006.exr").unlink()
    png_frame(tmp_path / "shot_0007.exr", 7)
    events = run(request(pattern, brush, tmp_path / "out", range(1, 8)))
    assert done(events) == [1, 4]
    told = failed(events)
    patterns = {2: "damaged", 3: "not a PNG", 5: "48 x 20, the shot 48 x 40", 6: "missing", 7: "bytes, the shot floats"}
    assert set(told) == set(patterns)
    for number, expected in patterns.items():
        assert re.search(expected, told[number].message), told[number]
        assert told[number].fix
    assert events[-1].report["failed_frames"] == [2, 3, 5, 6, 7]  # type: ignore[union-attr]
    assert list(contents(tmp_path / "out")) == ["shot_brush_0001.exr", "shot_brush_0004.exr"]


def test_a_missing_pass_fails_its_frame_alone(styles: dict[str, str], tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 4), passes=("Normal", "Position"))
    exr_frame(tmp_path / "shot_0002.exr", 2, passes=("Normal",))
    events = run(request(pattern, styles["guided"], tmp_path / "out"))
    assert done(events) == [1, 3]
    assert "Position" in failed(events)[2].message and "View Layer" in failed(events)[2].fix


def test_frames_that_come_late_are_tried_again(brush: str, tmp_path: Path) -> None:
    """Rendered, or copied to their end, while others are painted"""
    pattern = shot(tmp_path, range(1, 6))
    whole = (tmp_path / "shot_0002.exr").read_bytes()
    truncated(tmp_path / "shot_0002.exr")
    (tmp_path / "shot_0003.exr").unlink()
    events = []
    for event in animate(request(pattern, brush, tmp_path / "out", range(1, 6))):
        events.append(event)
        if isinstance(event, FrameDone) and event.frame == 5:
            (tmp_path / "shot_0002.exr").write_bytes(whole)
            exr_frame(tmp_path / "shot_0003.exr", 3)
    assert done(events) == [1, 2, 3, 4, 5] and not failed(events)


@pytest.mark.parametrize("times", [1, 2])
def test_memory_that_is_short_once_or_always(
    brush: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    pattern = shot(tmp_path, range(1, 4))
    left = [times]

    def short(self: painter.Painting) -> Any:
        if self.opened.source.name == "shot_0002" and left[0]:
            left[0] -= 1
            raise MemoryError
        return real(self)

    real = painter.Painting.canvas
    monkeypatch.setattr(painter.Painting, "canvas", short)
    events = run(request(pattern, brush, tmp_path / "out"))
    assert done(events) == ([1, 2, 3] if times == 1 else [1, 3])
    assert [told.message for told in failed(events).values()] == ["There is not enough memory for 'shot_0002'."] * (
        times - 1
    )


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"strength": 2.0}, "strength"),
        ({"style": "no such style"}, "no such style"),
        ({"workers": -1}, "workers"),
        ({"overlays": ("Magic",)}, "Magic"),
        ({"pattern": "none_####.exr"}, "no frame"),
        ({"pattern": "nowhere/none_####.exr"}, "no folder .*nowhere"),
    ],
)
def test_what_concerns_all_frames_is_one_error_first(
    brush: str, tmp_path: Path, choices: dict[str, Any], expected: str
) -> None:
    pattern = str(tmp_path / choices.pop("pattern", Path(shot(tmp_path, range(1, 3))).name))
    asked = request(pattern, choices.pop("style", brush), tmp_path / "out", choices.pop("numbers", ()), **choices)
    with pytest.raises(EngineError, match=expected) as caught:
        list(animate(asked))
    assert caught.value.fix and not (tmp_path / "out").exists()


# ---------------------------------------------------------------- disks that refuse


def test_a_full_disk_fails_frames_and_leaves_whole_ones(brush: str, tmp_path: Path, small_disk: Path) -> None:
    pattern = shot(tmp_path, range(1, 7), height=120, width=160)
    (small_disk / "fill").write_bytes(bytes(500_000))
    asked = request(pattern, brush, small_disk, resume=True)
    events = run(asked)
    made, told = done(events), failed(events)
    assert made and told and sorted([*made, *told]) == [1, 2, 3, 4, 5, 6]
    assert all("full" in event.message and "space" in event.fix for event in told.values())
    assert not list(small_disk.glob(".pentimento-*"))
    (small_disk / "fill").unlink()
    for path in small_disk.glob("*.exr"):
        read_exr(path)
    events = run(asked)
    assert done(events, made=False) == made


def test_a_read_only_folder_is_told_first(brush: str, tmp_path: Path, read_only_disk: Path) -> None:
    pattern = shot(tmp_path, range(1, 3))
    for out in (read_only_disk, read_only_disk / "new"):
        with pytest.raises(EngineError, match="read-only"):
            list(animate(request(pattern, brush, out)))


def test_a_disk_that_becomes_read_only_fails_the_rest(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 7))
    with conftest.mounted("size=4m") as folder:
        events: list[Event] = []
        for event in animate(request(pattern, brush, folder)):
            events.append(event)
            if isinstance(event, FrameDone) and event.frame == 2:
                _read_only(folder)
        made = done(events)
        assert made[:2] == [1, 2] and len(made) < 6 and sorted([*made, *failed(events)]) == [1, 2, 3, 4, 5, 6]
        assert all("read-only" in told.message for told in failed(events).values())


def _read_only(folder: Path) -> None:
    """As soon as nothing is being written"""
    for _ in range(200):
        if subprocess.run(["mount", "-o", "remount,ro", folder], check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.01)
    pytest.fail("the disk stayed as it was")


# ---------------------------------------------------------------- pace


@pytest.mark.parametrize("slowest", ["read", "paint", "write"])
def test_stages_overlap(brush: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slowest: str) -> None:
    """Stages that wait, and hardly compute"""
    taken = {stage: 0.08 if stage == slowest else 0.05 for stage in ("read", "paint", "write")}
    places = {"read": (_Batch, "_read"), "paint": (painter.Painting, "canvas"), "write": (_Batch, "_write")}
    for stage, (owner, name) in places.items():
        monkeypatch.setattr(owner, name, _after(taken[stage], getattr(owner, name)))
    pattern = shot(tmp_path, range(1, 21), ".png", height=16, width=16)
    job = animate(request(pattern, brush, tmp_path / "out"))
    times = [time.monotonic() for event in job if isinstance(event, FrameDone)]
    pace = (times[-1] - times[4]) / (len(times) - 5)  # the first ones pass through all three
    assert pace < 0.13, "one stage after the other would take 0.18 s"


def _after(seconds: float, work: Callable[..., Any]) -> Callable[..., Any]:
    def late(*arguments: Any) -> Any:
        time.sleep(seconds)
        return work(*arguments)

    return late


# ---------------------------------------------------------------- cancelling


@pytest.mark.parametrize("after", [1, 4, 7])
def test_closing_ends_the_threads_and_leaves_no_part_of_a_file(brush: str, tmp_path: Path, after: int) -> None:
    pattern = shot(tmp_path, range(1, 20))
    job = animate(request(pattern, brush, tmp_path / "out"))
    for _ in range(after):
        next(job)
    started = time.monotonic()
    job.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("reading", "writing"))]
    assert not list(tmp_path.rglob("*.tmp"))
    for path in tmp_path.glob("out/*.exr"):
        read_exr(path)
    assert len(done(run(request(pattern, brush, tmp_path / "out", resume=True)))) >= 10


def test_no_frame_is_held_once_it_is_done(brush: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most the three at work"""
    import gc
    import weakref

    alive: list[weakref.ref[Any]] = []
    most = 0
    real = _Batch._read

    def read(self: _Batch, number: int) -> Any:
        found = real(self, number)
        alive.append(weakref.ref(found[0].file))
        return found

    monkeypatch.setattr(_Batch, "_read", read)
    pattern = shot(tmp_path, range(1, 15))
    for event in animate(request(pattern, brush, tmp_path / "out")):
        if isinstance(event, FrameDone):
            gc.collect()
            most = max(most, sum(one() is not None for one in alive))
    assert len(alive) == 14 and most <= 3


# ---------------------------------------------------------------- several processes


def test_four_workers_make_the_same_bytes(styles: dict[str, str], tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 10))
    run(request(pattern, styles["theirs"], tmp_path / "one", lock=True))
    (tmp_path / "shot_0010.exr").write_bytes(b"")
    events = run(request(pattern, styles["theirs"], tmp_path / "four", lock=True, workers=4))
    assert done(events) == list(range(1, 10)) and list(failed(events)) == [10]
    assert contents(tmp_path / "four") == contents(tmp_path / "one")
    assert events[-1].report["failed_frames"] == [10]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("frames", "cores", "gigabytes", "expected"),
    [(8, 2, 8, 2), (3, 2, 8, 1), (8, 1, 8, 1), (100, 8, 100, 8), (100, 8, 2, 2), (100, 8, 0.1, 1)],
)
def test_as_many_workers_as_pay(
    brush: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    frames: int,
    cores: int,
    gigabytes: float,
    expected: int,
) -> None:
    """One for each core, fewer for few frames or little memory"""
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "available_memory", lambda: int(gigabytes * 1e9))
    asked = request(shot(tmp_path, range(1, 2)), brush, tmp_path / "out", range(1, frames + 1))
    with pytest.raises(StopIteration) as ended:
        work = prepared(asked)
        while True:
            next(work)
    assert _that_pay(ended.value.value) == expected


def test_workers_are_chosen_and_make_the_same_bytes(
    brush: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 2)
    pattern = shot(tmp_path, range(1, 9))
    run(request(pattern, brush, tmp_path / "one"))
    events = run(request(pattern, brush, tmp_path / "chosen", workers=0))
    assert any(isinstance(event, Progress) and "2 workers paint" in event.stage for event in events)
    assert contents(tmp_path / "chosen") == contents(tmp_path / "one")


def test_a_worker_whose_frames_are_all_missing_fails_those_alone(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 4))
    (tmp_path / "shot_0002.exr").unlink()
    events = run(request(pattern, brush, tmp_path / "out", (1, 2, 3), workers=3))
    assert done(events) == [1, 3] and "missing" in failed(events)[2].message


def test_what_concerns_all_frames_is_told_before_workers_start(
    brush: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_start", lambda *_: pytest.fail("no worker is needed"))
    pattern = shot(tmp_path, range(1, 3))
    with pytest.raises(EngineError, match="none"):
        list(animate(request(pattern, "none", tmp_path / "out", workers=2)))
    run(request(pattern, brush, tmp_path / "out"))
    assert done(run(request(pattern, brush, tmp_path / "out", workers=2, resume=True)), made=False) == [1, 2]


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """deadly(condition): workers end at once where the condition holds of the `number` of the frame they read."""
    engine = Path(crew.__file__).parent

    def arm(condition: str) -> None:
        code = (
            f"import sys, os, pathlib; sys.path.insert(0, {str(engine.parent)!r})\n"
            "from engine import animate, worker\n"
            "real = animate._Batch._read\n"
            "def read(self, number):\n"
            f"    if {condition}: os._exit(9)\n"
            "    return real(self, number)\n"
            "animate._Batch._read = read\n"
            "worker.main()\n"
        )

        def start(cores: int) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

        monkeypatch.setattr(crew, "_start", start)

    yield arm


def test_a_worker_that_dies_is_replaced(brush: str, tmp_path: Path, deadly: Callable[[str], None]) -> None:
    pattern = shot(tmp_path, range(1, 8))
    once = tmp_path / "once"
    once.touch()
    deadly(f"number == 4 and (once := pathlib.Path({str(once)!r})).exists() and not once.unlink()")
    events = run(request(pattern, brush, tmp_path / "out", workers=2))
    assert not once.exists() and not failed(events)
    assert sorted([*done(events), *done(events, made=False)]) == list(range(1, 8))


def test_a_frame_that_kills_its_worker_is_found_out(brush: str, tmp_path: Path, deadly: Callable[[str], None]) -> None:
    pattern = shot(tmp_path, range(1, 8))
    deadly("number == 4")
    events = run(request(pattern, brush, tmp_path / "out", workers=2))
    assert list(failed(events)) == [4] and "ends the process" in failed(events)[4].message
    assert sorted([*done(events), *done(events, made=False)]) == [1, 2, 3, 5, 6, 7]


def test_closing_ends_the_workers(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path, range(1, 200), height=16, width=16)
    job = animate(request(pattern, brush, tmp_path / "out", workers=2))
    for event in job:
        if isinstance(event, FrameDone):
            break
    started = time.monotonic()
    job.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 2.5
    assert not list(tmp_path.rglob("*.tmp"))
    count = len(contents(tmp_path / "out"))
    time.sleep(0.2)
    assert len(contents(tmp_path / "out")) == count < 199


def test_workers_that_only_beat_can_be_cancelled(brush: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four that take long over their frames"""
    beat = (
        "import time\nfrom engine.protocol import Heartbeat, Ready, to_line\n"
        "print(to_line(Ready(0, '', {})), flush=True)\n"
        "while True: print(to_line(Heartbeat()), flush=True) or time.sleep(0.3)\n"
    )

    def start(cores: int) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-c", beat], stdin=pipe, stdout=pipe, cwd=REPO)

    monkeypatch.setattr(crew, "_start", start)
    job = animate(request(shot(tmp_path, range(1, 9)), brush, tmp_path / "out", workers=4))
    next(event for event in job if isinstance(event, Progress) and "workers paint" in event.stage)
    time.sleep(2)  # all beat
    waits = []
    for _ in range(12):
        started = time.monotonic()
        next(job)
        waits.append(time.monotonic() - started)
    job.close()  # type: ignore[attr-defined]
    assert max(waits) < 1


# ---------------------------------------------------------------- the command line


def test_the_command_line(brush: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = shot(tmp_path, range(1, 4))
    common = ["animate", pattern, "--style", brush, "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert cli.main([*common, "--frames", "1-3x2"]) == 0
    said = capsys.readouterr().out
    assert "Frame 3: " in said and "2 frames made" in said and "none failed" in said
    assert cli.main(common) == 1 and "--resume" in capsys.readouterr().err
    assert cli.main([*common, "--frames", "1-4", "--resume"]) == 1
    said = capsys.readouterr()
    assert "1 frame made" in said.out and "2 there already, 1 failed: 4" in said.out
    assert "Frame 4" in said.err and "Render it" in said.err


def test_lines_for_machines(brush: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = shot(tmp_path, range(1, 3))
    assert cli.main(["animate", pattern, "--style", brush, "--out", str(tmp_path / "out"), "--json"]) == 0
    events = [shots.from_line(line) for line in capsys.readouterr().out.splitlines()]
    assert done(events) == [1, 2] and isinstance(events[-1], Done)
    assert not [event for event in events if isinstance(event, FrameFailed)]
