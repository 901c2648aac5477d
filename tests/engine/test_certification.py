"""The certify job: every overlay of a style, over pictures and areas, in one table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_styles
from PIL import Image

from benchmarks.certify import DOCUMENT, table, with_table
from benchmarks.machine import RESULTS
from engine.certification import BOXES, Row, beside_random_styles, certify
from engine.errors import EngineError
from engine.mixing import open_styles
from engine.protocol import CertifyRequest, Check, Done, Progress, SourceFailed, StyleShare, StylizeSettings


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(3):
        pixels = np.random.default_rng(number).random((6, 8, 3)).repeat(8, 0).repeat(8, 1)
        Image.fromarray((255 * pixels).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_styles.explained(tiny_styles.blur(tmp_path_factory.mktemp("styles") / "blur"))


def request(style: Path, pictures: Path, *overlays: str) -> CertifyRequest:
    return CertifyRequest("job", str(style), (str(pictures),), overlays, 2, "cpu")


def test_every_bar_of_every_overlay_is_counted(style: Path, pictures: Path) -> None:
    events = list(certify(request(style, pictures, "Influence", "Scale", "Passes", "Provenance")))
    done = events[-1]
    assert isinstance(done, Done)
    assert any(isinstance(event, Progress) and 0 < event.fraction < 1 for event in events)
    report = done.report
    rows = {(row["overlay"], row["bar"], row["name"]): row for row in report["rows"]}
    assert report["pictures"] == ["0.png", "1.png"]
    areas = 2 * len(BOXES)
    complete = rows["Scale", "B1", "parts add up to the whole"]
    assert (complete["count"], complete["passed"]) == (areas, areas)
    assert complete["median"] <= complete["worst"] <= complete["threshold"]
    foretold = rows["Influence", "B3", "R2, 10 % removed"]
    assert foretold["count"] == areas and foretold["worst"] <= foretold["median"]
    assert rows["Influence", "B3", "lead over"]["count"] == areas  # whoever the rival was
    assert {name for overlay, name, _ in rows if overlay == "Influence"} == {"B3", "B5", "B6"}
    assert "does not bring its style picture" in report["refused"]["Provenance"]
    assert "Passes" not in report["refused"]  # of the pictures, not of the style
    assert any("R2, 10 % removed" in line for line in report["say"])


def test_b5_alone_is_what_the_whole_table_says_of_it(style: Path, pictures: Path) -> None:
    whole = list(certify(request(style, pictures, "Removal")))[-1]
    assert isinstance(whole, Done)
    styles = open_styles(StylizeSettings((StyleShare(str(style)),), device="cpu"), lambda _: None)
    (alone,) = beside_random_styles(styles, sorted(pictures.iterdir()), ["Removal"])
    assert alone.to_json() in whole.report["rows"]
    assert (alone.bar, len(alone.checks)) == ("B5", 1)


def test_a_broken_picture_is_told_and_left_out(tmp_path: Path, style: Path, pictures: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes((pictures / "0.png").read_bytes()[:60])
    asked = CertifyRequest("job", str(style), (str(pictures), str(broken)), ("Scale",), 9, "cpu")
    events = list(certify(asked))
    (failed,) = [event for event in events if isinstance(event, SourceFailed)]
    assert failed.source == "broken.png" and failed.fix
    done = events[-1]
    assert isinstance(done, Done)
    assert len(done.report["pictures"]) == 3


def test_what_cannot_be_asked_is_refused_with_a_fix(tmp_path: Path, style: Path, pictures: Path) -> None:
    with pytest.raises(EngineError, match="no overlay 'Nonsense'"):
        list(certify(request(style, pictures, "Nonsense")))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(EngineError, match="only 0 pictures"):
        list(certify(request(style, empty)))


def row(bar: str, values: tuple[float, ...], threshold: float, small_is_good: bool) -> Row:
    met = [value <= threshold if small_is_good else value >= threshold for value in values]
    return Row("Detail", bar, "r", tuple(Check(bar, "r", v, threshold, m) for v, m in zip(values, met, strict=True)))


def test_worst_is_the_largest_where_small_is_good() -> None:
    small, large = row("B5", (0.1, 0.2, 0.5), 0.3, True), row("B3", (0.95, 0.8, 1.0), 0.9, False)
    assert (small.worst, large.worst) == (0.5, 0.8)
    assert (small.passed, small.median) == (2, 0.2)
    assert row("B6", (0.95, 0.2, 0.99, 0.1), 0.9, False).worst == 0.1  # as many pass as would the other way round


def test_the_command_prints_the_table(style: Path, pictures: Path) -> None:
    command = [sys.executable, "-m", "engine", "certify", "--style", str(style), "--content", str(pictures)]
    asked = [*command, "--pictures", "2", "--overlay", "Scale"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "parts add up to the whole" in said and "6/6" in said
    lines = subprocess.run([*asked, "--json"], capture_output=True, text=True, check=True, timeout=120).stdout
    assert json.loads(lines.splitlines()[-1])["report"]["rows"][0]["passed"] == 6


def test_the_table_of_the_document_is_the_measured_one() -> None:
    """Nobody types numbers."""
    document = DOCUMENT.read_text(encoding="utf-8")
    files = [json.loads(file.read_text(encoding="utf-8")) for file in RESULTS.glob("certify_*.json")]
    assert document in [with_table(document, file["styles"]) for file in files]


def test_a_table_says_what_was_missed_and_leaves_what_was_not_asked_empty() -> None:
    small, large = row("B5", (0.1, 0.004, 0.5), 0.3, True), row("B3", (1.0, 0.8), 1e-5, False)
    of_both, of_one = {"rows": [small.to_json(), large.to_json()]}, {"rows": [small.to_json()]}
    assert table({"Both": of_both, "One": of_one}).splitlines()[2:] == [
        "| Detail | B5 | r | 0.30 | 0.10 (0.50) **2/3** | 0.10 (0.50) **2/3** |",
        "| Detail | B3 | r | 1.0e-5 | 0.90 (0.80) |  |",
    ]
