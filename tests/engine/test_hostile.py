"""Every hostile file is refused: with a reason and a fix, within a second and 256 MB, leaving nothing anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent.parent
SECONDS = 1.0
GROWTH = 256 << 20
_PROBE = '''
"""Run each path of a list through the product; one JSON line each. Linux measures the memory, others the rest."""
import json, os, resource, sys, time
from pathlib import Path

sys.path.insert(0, sys.argv[1])
target = Path(sys.argv[2])
from engine import files, import_onnx, machine, runtime, style_pack
from engine.errors import EngineError

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # libraries may print
machine.cores = lambda: 1
runtime._limited_arena()
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024


def attempt(path):
    if path.suffix in (".png", ".exr", ".jpg"):
        reader = files.open_picture(path)
        for top in range(0, reader.height, 256):
            reader.read(top, 0, min(256, reader.height - top), reader.width)
    else:
        style_pack.import_style(path, target)


for line in sys.stdin:
    path = Path(json.loads(line))
    Path("/proc/self/clear_refs").write_text("5")  # starts the measurement of the peak anew
    before, started = resident(), time.perf_counter()
    told = {"name": path.name, "message": "", "fix": ""}
    try:
        attempt(path)
    except EngineError as error:
        told.update(message=error.message, fix=error.fix)
    told.update(seconds=time.perf_counter() - started, growth=peak() - before)
    print(json.dumps(told), file=answers, flush=True)
'''


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")
def test_everything_hostile_is_refused_fast_small_and_without_a_trace(tmp_path: Path) -> None:
    corpus, target, elsewhere = tmp_path / "corpus", tmp_path / "styles", tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = TESTS / "hostile.py"
    subprocess.run([sys.executable, str(script), str(corpus)], check=True, capture_output=True, timeout=120)
    paths = sorted(path for path in corpus.iterdir() if not path.name.startswith(".."))
    assert len(paths) >= 100
    before = tree(tmp_path)
    told = probe(paths, target, elsewhere)
    assert [t["name"] for t in told] == [path.name for path in paths]
    problems = [f"{t['name']}: {why}" for t in told if (why := complaint(t))]
    assert not problems, "\n".join(problems)
    after = tree(tmp_path)
    assert {path for path in after - before if path != target} == set()


def probe(paths: list[Path], target: Path, where: Path) -> list[dict[str, Any]]:
    """One process for all of them: its imports do not count."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, str(TESTS.parent), str(target)],
        input="".join(json.dumps(str(path)) + "\n" for path in paths),
        capture_output=True,
        text=True,
        cwd=where,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def complaint(told: dict[str, Any]) -> str:
    if not told["message"] or not told["fix"]:
        return "was accepted"
    if told["seconds"] > SECONDS:
        return f"took {told['seconds']:.2f} s"
    if told["growth"] > GROWTH:
        return f"took {told['growth'] >> 20} MB"
    return ""


def tree(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "corpus" not in path.relative_to(folder).parts[:1]}
