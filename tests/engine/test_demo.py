"""`pentimento demo`, both ways: through real Blender, and with the sample frames that ship."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_styles
from PIL import Image

from engine import demo
from engine.demo import SAMPLES, DemoSettings
from engine.errors import EngineError
from engine.files import read_exr
from engine.passes import matte, read_passes
from engine.protocol import Done, Preview, Progress

HAVE_BPY = importlib.util.find_spec("bpy") is not None


@pytest.fixture
def styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two tiny styles instead of those that ship, and a texture, which has no frame to paint: the demo is tested, not
    the styles."""
    monkeypatch.setattr(demo.style_pack, "installed", only_in := _installed_in(tmp_path / "styles"))
    assert len(only_in([tmp_path / "styles"])) == 3
    return tmp_path / "styles"


def _installed_in(folder: Path) -> Any:
    folder.mkdir()
    tiny_styles.blur(folder / "blur")
    tiny_styles.brush(folder / "brush")
    tiny_styles.pattern(folder / "pattern")
    installed = demo.style_pack.installed
    return lambda folders: [info for info in installed(folders) if Path(info.folder).parent == folder]


def run(settings: DemoSettings) -> dict[str, Any]:
    """The demo's report; checks what it says on the way."""
    events = list(demo.demo("job", settings))
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any(isinstance(event, Preview) for event in events)
    assert isinstance(events[-1], Done)
    report: dict[str, Any] = json.loads((settings.out / "report.json").read_text())
    assert events[-1].report.items() >= report.items()
    return report


def check_folder(out: Path, frames: int) -> None:
    for frame in range(1, frames + 1):
        layers = read_exr(out / f"layers_{frame:04d}.exr").layers
        for name in ("Combined", "Stylized", "Attribution Scale", "Attribution Removal"):
            assert f"ViewLayer.{name}" in layers
        for kind in ("render", "stylized", "scale", "removal"):
            assert (out / f"{kind}_{frame:04d}.png").is_file()
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 1000


def test_the_sample_frames(tmp_path: Path, styles: Path) -> None:
    out = tmp_path / "out"
    report = run(DemoSettings(out, styles=styles, blender=False))
    check_folder(out, frames=2)
    assert report["styles"] == ["Blur", "Brush"] and report["device"] == "cpu"
    assert [(other["frame"], other["style"]) for other in report["other_styles"]] == [(1, "Brush")]
    certificates = report["frames"][0]["certificates"]
    assert certificates["Attribution.Scale"]["faithful"]
    assert {"bar", "name", "value", "threshold", "passed"} == set(certificates["Attribution.Removal"]["checks"][0])
    assert str(tmp_path) not in (out / "report.json").read_text(), "a report can be shared"


def test_a_second_run_replaces_the_first(tmp_path: Path, styles: Path) -> None:
    settings = DemoSettings(tmp_path / "out", frames=1, styles=styles, blender=False)
    run(settings)
    names = sorted(path.name for path in (tmp_path / "out").rglob("*"))
    run(settings)
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == names


@pytest.mark.skipif(not HAVE_BPY, reason="this Python has no bpy")
def test_through_real_blender(tmp_path: Path, styles: Path) -> None:
    """The zip is built and installed, the scene rendered, the buttons pressed: small, but nothing is left out."""
    out = tmp_path / "out"
    report = run(DemoSettings(out, frames=1, width=96, height=54, samples=1, styles=styles))
    check_folder(out, frames=1)
    blender = report["blender"]
    assert report["way"] == f"Blender {blender['blender']}" and len(blender["zip_sha256"]) == 64
    pressed = [(press["operator"], press["style"], press["answer"]) for press in blender["pressed"]]
    assert pressed == [
        ("pentimento.stylize_render", "Blur", ["FINISHED"]),
        ("pentimento.stylize_render", "Brush", ["FINISHED"]),
        ("pentimento.stylize_image", "Blur", ["FINISHED"]),
    ]
    assert report["frames"][0]["size"] == [96, 54]
    before, after = ((out / f"texture_{name}.png").read_bytes() for name in ("before", "after"))
    assert before != after


def test_without_bpy_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    assert "no bpy" in demo._why_no_blender(DemoSettings(tmp_path))


def test_a_program_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(EngineError, match="no such oven"):
        list(demo._lines([sys.executable, "-c", "raise SystemExit('no such oven')"]))


def test_a_program_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0.5)
    with pytest.raises(EngineError, match="code -9"):
        list(demo._lines([sys.executable, "-c", "import time; time.sleep(60)"]))


def test_the_samples_are_small_and_whole() -> None:
    samples = sorted(SAMPLES.glob("*.exr"))
    assert len(samples) == 2
    assert sum(path.stat().st_size for path in samples) <= 1_500_000
    for path in samples:
        passes = read_passes(path)
        assert {"Combined", "DiffCol", "Normal", "Depth", "Vector", "Position", "UV", "IndexOB"} <= set(passes)
        assert matte(passes, "Jug").sum() > 1000
