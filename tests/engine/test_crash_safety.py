"""Batches that are killed: nothing half-written under a final name, nothing done twice, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import shots
import tiny_styles
from shots import contents, done, failed, request, run, shot

from benchmarks import crashes
from engine import atomic
from engine.atomic import NewFile, remove_leftovers
from engine.errors import EngineError

REPO = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="forks, signals and locks of POSIX")


@posix
@pytest.mark.slow
def test_twenty_kills_cost_nothing_that_was_done(tmp_path: Path) -> None:
    found = crashes.trial(tmp_path, crashes.tiny_style(tmp_path / "brush"), kills=20, frames=60, seed=1)
    assert found["kills"] >= 15
    assert found["corrupt_files"] == found["finished_made_again"] == found["leftovers"] == 0
    assert found["same_bytes_as_undisturbed"]
    assert found["painted"] - found["frames"] <= found["kills"] and found["painted_in_vain_most"] <= 2


# ---------------------------------------------------------------- what killed processes leave


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is writing a file `slow.png` into tmp_path."""
    code = (
        "import sys; from engine.atomic import NewFile\n"
        f"with NewFile({str(tmp_path / 'slow.png')!r}) as new:\n"
        "    new.file.write(b'half'); new.file.flush(); print('writing', flush=True); sys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPO
    )
    assert process.stdout and process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


def test_what_a_process_still_writes_stays(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    remove_leftovers(tmp_path)
    assert len(list(tmp_path.glob("*.tmp"))) == 1
    writer.communicate("go on\n")
    assert [path.name for path in tmp_path.iterdir()] == ["slow.png"]


def test_what_we_write_ourselves_stays(tmp_path: Path) -> None:
    with NewFile(tmp_path / "ours.png") as new:
        new.file.write(b"half")
        remove_leftovers(tmp_path)
    assert (tmp_path / "ours.png").read_bytes() == b"half"


@posix
def test_what_a_killed_process_left_goes(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(list(tmp_path.glob("*.tmp"))) == 1
    (tmp_path / "shot.png").write_bytes(b"result")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["shot.png"]


def test_what_another_computer_left_goes_by_its_age(tmp_path: Path) -> None:
    """Its locks may not be seen from here."""
    fresh, old = (tmp_path / f".pentimento-{mark}-0123456789ab.tmp" for mark in ("other1", "other2"))
    for path in (fresh, old):
        path.touch()
    os.utime(old, times=(time.time() - 90_000,) * 2)
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [fresh]


def test_where_there_are_no_locks_all_goes_by_its_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, where a file is closed before it gets its name"""
    monkeypatch.setattr(atomic, "fcntl", None)
    fresh, old = (tmp_path / f".pentimento-{atomic._HERE}-{number}123456789ab.tmp" for number in (0, 1))
    for path in (fresh, old):
        path.touch()
    os.utime(old, times=(time.time() - 90_000,) * 2)
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [fresh]


@posix
def test_a_file_taken_for_a_leftover_before_it_was_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, taken = atomic.fcntl.flock, []

    def late(file: object, how: int) -> None:
        if not taken:  # another process was quicker, once
            taken.extend(tmp_path.glob("*.tmp"))
            taken[0].unlink()
        lock(file, how)  # type: ignore[arg-type]

    monkeypatch.setattr(atomic.fcntl, "flock", late)
    atomic.write_text(tmp_path / "a.txt", "a")
    assert taken and [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_disk_without_locks_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    if atomic.fcntl is not None:
        monkeypatch.setattr(atomic.fcntl, "flock", refuse)
    leftover = tmp_path / f".pentimento-{atomic._HERE}-0123456789ab.tmp"
    leftover.touch()
    atomic.write_text(tmp_path / "a.txt", "a")
    remove_leftovers(tmp_path)
    assert leftover.exists() or os.name == "nt"
    assert (tmp_path / "a.txt").read_text() == "a"


# ---------------------------------------------------------------- many in one folder


@pytest.fixture(scope="module")
def brush(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_styles.brush(tmp_path_factory.mktemp("styles") / "brush"))


def command(pattern: str, style: str, out: Path, *more: str) -> list[str]:
    common = [sys.executable, "-m", "engine", "animate", pattern, "--style", style, "--out", str(out), "--json"]
    return [*common, "--device", "cpu", "--resume", *more]


def test_chunks_of_a_farm_share_a_folder(brush: str, tmp_path: Path) -> None:
    """Three at once, which overlap: what two of them make is the same."""
    pattern = shot(tmp_path / "in", range(1, 13))
    run(request(pattern, brush, tmp_path / "whole"))
    chunks = [
        subprocess.Popen(command(pattern, brush, tmp_path / "out", "--frames", numbers), stdout=-3, cwd=REPO)
        for numbers in ("1-6", "4-9", "2-12x2,9-12")
    ]
    assert [chunk.wait(60) for chunk in chunks] == [0, 0, 0]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not list(tmp_path.rglob("*.tmp"))


@posix
def test_a_killed_crew_ends_with_its_head(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path / "in", range(1, 120))
    run(request(pattern, brush, tmp_path / "whole"))
    head = subprocess.Popen(
        command(pattern, brush, tmp_path / "out", "--workers", "2"), stdout=subprocess.PIPE, cwd=REPO, text=True
    )
    assert head.stdout
    next(line for line in head.stdout if "FrameDone" in line)
    workers = Path(f"/proc/{head.pid}/task/{head.pid}/children")
    pids = workers.read_text().split() if workers.exists() else []
    head.kill()
    head.communicate()
    deadline = time.monotonic() + 5
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "workers go on without their head"
        time.sleep(0.05)
    before = contents(tmp_path / "out")
    assert len(before) < 119 and before.items() <= contents(tmp_path / "whole").items()
    events = run(request(pattern, brush, tmp_path / "out", resume=True))
    assert not failed(events) and len(done(events, made=False)) >= len(before)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not list(tmp_path.rglob("*.tmp"))


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ---------------------------------------------------------------- ledgers


def test_torn_lines_in_a_ledger_are_passed_over(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path / "in", range(1, 4))
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    run(asked)
    (ledger,) = (tmp_path / "out" / ".pentimento").iterdir()
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"\xff\xfe[1\n" + b"[]\n{}\nnull\n" + b"".join(lines[:2]) + lines[2][:20])
    assert done(run(asked), made=False) == [1, 2, 3]


def test_a_ledger_that_cannot_be_written_is_no_error(brush: str, tmp_path: Path) -> None:
    pattern = shot(tmp_path / "in", range(1, 4))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".pentimento").write_text("in the way")
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    assert done(run(asked)) == [1, 2, 3] and done(run(asked), made=False) == [1, 2, 3]


def test_a_result_that_may_not_be_read_is_not_taken_for_damage(
    brush: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = shot(tmp_path / "in", range(1, 3))
    asked = request(pattern, brush, tmp_path / "out", resume=True)
    run(asked)
    before = contents(tmp_path / "out")
    real = Path.open

    def refuse(self: Path, *arguments: object, **options: object) -> object:
        if self.name == "shot_brush_0002.exr":
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(EngineError, match="not allowed"):
            list(shots.animate(asked))
    assert contents(tmp_path / "out") == before
