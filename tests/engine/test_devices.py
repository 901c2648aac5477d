"""Which device computes, and that a fallback to the processor is said. Cards are stood in for: none is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import tiny_styles

from engine import checkup, runtime
from engine.protocol import (
    Checked,
    CheckRequest,
    Done,
    PictureSource,
    Progress,
    StyleShare,
    StylizeRequest,
    StylizeSettings,
)
from engine.stylize import stylize

CARD = checkup.Cards((checkup.Card("NVIDIA Test 4090", 24 << 30),))


def checked() -> Checked:
    found, done = checkup.check(CheckRequest("c"))
    assert isinstance(found, Checked) and isinstance(done, Done)
    return found


def test_a_card_is_named_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_cards", lambda: CARD)
    monkeypatch.setattr(runtime, "cuda_listed", lambda: True)
    monkeypatch.setattr(runtime, "cuda_starts", lambda: True)
    found = checked()
    assert found.cuda and found.card == "NVIDIA Test 4090"
    assert (found.device.name, found.device.memory, found.device.why) == ("NVIDIA Test 4090", 24 << 30, "")
    assert found.python == sys.executable and found.device.free > 0


@pytest.mark.parametrize(
    ("cards", "listed", "starts", "why"),
    [
        (checkup.Cards((), "no NVIDIA driver was found"), True, True, "no NVIDIA driver"),
        (CARD, False, True, "NVIDIA Test 4090 is there, but the onnxruntime of this Python"),
        (CARD, True, False, "could not be started"),
    ],
)
def test_why_it_is_the_processor(
    cards: checkup.Cards, listed: bool, starts: bool, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "_cards", lambda: cards)
    monkeypatch.setattr(runtime, "cuda_listed", lambda: listed)
    monkeypatch.setattr(runtime, "cuda_starts", lambda: starts)
    found = checked()
    assert not found.cuda and why in found.device.why and "core" in found.device.name
    assert found.device.memory == 0


def test_packages_for_another_python_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are there, and do not load."""
    (tmp_path / "OpenEXR.py").write_text("raise ImportError('wrong ELF class: ELFCLASS32')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "OpenEXR", raising=False)
    found = checked()
    assert "cannot be loaded" in found.problem and "ELFCLASS32" in found.problem
    assert not found.cuda and not found.training


def test_pytorch_says_what_it_was_built_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('nobody imports it for that')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    for line, cuda in (("cuda: Optional[str] = '13.0'", True), ("cuda: Optional[str] = None", False)):
        (package / "version.py").write_text(f"__version__ = '2.13.0'\n{line}\nhip: Optional[str] = None\n")
        assert checkup.torch_has_cuda() is cuda


def test_the_smallest_model_is_one() -> None:
    session = ort.InferenceSession(runtime._PROBE, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.array([-2.0], np.float32)})[0] == 2.0


def test_a_fallback_is_in_the_jobs_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime was built for CUDA, and no session starts there."""
    tiny_styles.brush(tmp_path / "brush")
    from PIL import Image

    Image.new("RGB", (32, 32), (90, 20, 10)).save(tmp_path / "a.png")
    settings = StylizeSettings((StyleShare(str(tmp_path / "brush")),))
    request = StylizeRequest("s", (PictureSource("a", str(tmp_path / "a.png")),), settings, str(tmp_path / "out"))
    *_, done = stylize(request)
    assert isinstance(done, Done) and done.report == {"done": 1, "failed": 0, "device": "cpu"}

    monkeypatch.setattr(runtime, "cuda_listed", lambda: True)
    monkeypatch.setattr(runtime, "_cuda_session", lambda data: None)
    *events, done = stylize(request)
    assert isinstance(done, Done) and done.report["device"] == "cpu"
    assert done.report["fell_back"] == "CUDA could not be started: working on the processor instead."
    assert done.report["fell_back"] in {event.stage for event in events if isinstance(event, Progress)}


def test_a_training_says_what_it_left_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from engine.training import loop

    monkeypatch.setattr(loop, "card_unused", lambda: "NVIDIA Test 4090")
    monkeypatch.setattr(torch.version, "cuda", None)
    said = loop._fell_back("auto", torch.device("cpu"))
    assert said == "NVIDIA Test 4090 was not used: this Python's PyTorch was built for the processor."
    assert loop._fell_back("cpu", torch.device("cpu")) == "", "it was asked for"
    monkeypatch.setattr(loop, "card_unused", lambda: "")
    assert loop._fell_back("auto", torch.device("cpu")) == ""
