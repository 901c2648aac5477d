"""The worker as Blender meets it: a process on pipes."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_styles
from PIL import Image

from engine import checkup, worker
from engine.protocol import (
    Cancelled,
    CancelRequest,
    Checked,
    CheckRequest,
    Done,
    EvaluateRequest,
    Event,
    Failed,
    Heartbeat,
    ImportStyleRequest,
    PictureSource,
    Progress,
    Ready,
    Request,
    StyleReady,
    Styles,
    StyleShare,
    StylesRequest,
    Stylized,
    StylizeRequest,
    StylizeSettings,
    TrainRequest,
    VotesRequest,
    from_line,
    to_line,
)

ENGINE = Path(worker.__file__).parent


class Talk:
    """A worker process and what it says."""

    def __init__(self, boot: Path = ENGINE / "boot.py", *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(boot), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.heard: queue.Queue[Event | None] = queue.Queue()
        self.printed = b""
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._drain, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.heard.put(from_line(line.decode()))
        self.heard.put(None)

    def _drain(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.printed += line

    def send(self, request: Request | str) -> None:
        assert self.process.stdin
        line = request if isinstance(request, str) else to_line(request)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def until(self, wanted: type | Callable[[Any], bool], timeout: float = 30) -> Any:
        """Everything up to the first event that fits; that event."""
        deadline = time.monotonic() + timeout
        while True:
            event = self.heard.get(timeout=max(0.01, deadline - time.monotonic()))
            assert event is not None, f"the worker is gone: {self.printed.decode()}"
            if isinstance(event, wanted) if isinstance(wanted, type) else wanted(event):
                return event

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def start() -> Iterator[Callable[..., Talk]]:
    talks: list[Talk] = []

    def new(*arguments: Any) -> Talk:
        talks.append(Talk(*arguments))
        talks[-1].until(Ready)
        return talks[-1]

    yield new
    for talk in talks:
        talk.end()


@pytest.fixture
def talk(start: Callable[..., Talk]) -> Talk:
    return start()


@pytest.fixture(scope="module")
def brush(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_styles.brush(tmp_path_factory.mktemp("styles") / "brush"))


@pytest.fixture
def source(tmp_path: Path) -> PictureSource:
    values = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "in.png")
    return PictureSource("in", str(tmp_path / "in.png"))


def stylize(job: str, brush: str, out: Path, *sources: PictureSource, **choices: Any) -> StylizeRequest:
    return StylizeRequest(job, sources, StylizeSettings((StyleShare(brush),), **{"device": "cpu", **choices}), str(out))


def long_job(job: str, brush: str, out: Path, source: PictureSource) -> StylizeRequest:
    """Seconds of work in small steps."""
    return stylize(job, brush, out, *[source] * 200, overlays=("Removal",))


# ---------------------------------------------------------------- the usual way


def test_it_says_who_it_is_and_stylizes(talk: Talk, brush: str, source: PictureSource, tmp_path: Path) -> None:
    talk.send(stylize("a", brush, tmp_path / "out", source))
    assert isinstance(talk.until(Progress), Progress)
    done = talk.until(Stylized)
    assert Path(done.path).is_file()
    assert talk.until(Done).job == "a"
    talk.send(stylize("b", brush, tmp_path / "out", source))
    assert talk.until(Done).job == "b"


def test_it_is_ready_fast_and_loads_nothing_before_it_is_asked() -> None:
    code = (
        "import sys; import engine.worker, engine.checkup, engine.style_jobs;"
        "print(sorted({'torch', 'onnxruntime', 'PIL', 'OpenEXR', 'numpy'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ENGINE.parent, capture_output=True, check=True, timeout=30)
    assert told.stdout.strip() == b"[]"


def test_it_beats_while_it_waits_and_while_it_works(
    talk: Talk, brush: str, source: PictureSource, tmp_path: Path
) -> None:
    talk.until(Heartbeat, 3)
    talk.send(long_job("a", brush, tmp_path / "out", source))
    talk.until(Progress)
    talk.until(Heartbeat, 3)


def test_small_jobs(talk: Talk, brush: str, tmp_path: Path) -> None:
    talk.send(ImportStyleRequest("i", brush, str(tmp_path / "mine"), "Copy"))
    ready = talk.until(StyleReady)
    assert ready.name == "Copy" and Path(ready.folder).parent == tmp_path / "mine"
    talk.until(Done)
    talk.send(StylesRequest("s", (str(tmp_path / "mine"),)))
    assert "Copy" in [style.name for style in talk.until(Styles).styles]
    talk.until(Done)
    talk.send(CheckRequest("c"))
    checked = talk.until(Checked)
    assert checked.problem == "" and checked.versions["onnxruntime"]


def test_training_is_offered_only_where_everything_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_missing", lambda names: ["torch"] if "torch" in names else [])
    (checked, _) = checkup.check(CheckRequest("c"))
    assert isinstance(checked, Checked) and not checked.training and checked.problem == ""
    monkeypatch.setattr(checkup, "_missing", lambda names: ["onnxruntime"])
    (checked, _) = checkup.check(CheckRequest("c"))
    assert isinstance(checked, Checked) and "onnxruntime" in checked.problem and not checked.cuda


def test_every_job_has_its_module() -> None:
    for module, _ in worker.JOBS.values():
        name = module.lstrip(".").replace(".", "/")
        assert (ENGINE / f"{name}.py").is_file() or module == ".training.loop"


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    "line", ["garbage", "{}", '{"type":"Ready"}', "[1]", '{"type":"CancelRequest"}', "\x00\xff", "9" * 10000]
)
def test_garbage_is_answered_and_nothing_else_happens(talk: Talk, line: str) -> None:
    talk.send(line)
    failed = talk.until(Failed)
    assert failed.job == "" and failed.fix
    talk.send(CheckRequest("c"))
    assert talk.until(Done).job == "c"


def test_an_error_with_a_fix_ends_the_job_not_the_worker(talk: Talk, source: PictureSource, tmp_path: Path) -> None:
    talk.send(stylize("a", "no such style", tmp_path / "out", source))
    failed = talk.until(Failed)
    assert failed.job == "a" and failed.fix and failed.report == ""
    talk.send(CheckRequest("c"))
    assert talk.until(Done).job == "c"


def test_a_second_job_is_told_to_wait(talk: Talk, brush: str, source: PictureSource, tmp_path: Path) -> None:
    talk.send(long_job("a", brush, tmp_path / "out", source))
    talk.until(Progress)
    talk.send(CheckRequest("b"))
    failed = talk.until(Failed)
    assert failed.job == "b" and "busy" in failed.message
    talk.send(CancelRequest("a"))
    assert talk.until(Cancelled).job == "a"


def test_cancel_stops_the_job_and_only_that_job(talk: Talk, brush: str, source: PictureSource, tmp_path: Path) -> None:
    talk.send(CancelRequest("nobody"))
    talk.send(long_job("a", brush, tmp_path / "out", source))
    talk.send(CancelRequest("other"))
    talk.until(Stylized)
    started = time.monotonic()
    talk.send(CancelRequest("a"))
    assert talk.until(lambda event: isinstance(event, (Cancelled, Failed, Done))) == Cancelled("a")
    assert time.monotonic() - started < 3
    assert not list((tmp_path / "out").glob(".pentimento*"))
    talk.send(CheckRequest("c"))
    assert talk.until(Done).job == "c"


def test_it_dies_with_blender_also_during_a_job(talk: Talk, brush: str, source: PictureSource, tmp_path: Path) -> None:
    talk.send(long_job("a", brush, tmp_path / "out", source))
    talk.until(Stylized)
    assert talk.process.stdin
    talk.process.stdin.close()
    talk.process.wait(3)
    assert not list((tmp_path / "out").glob(".pentimento*"))


def test_it_dies_when_nobody_listens() -> None:
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, "-I", str(ENGINE / "boot.py")], stdin=subprocess.PIPE, stdout=write)
    os.close(write)
    os.close(read)  # stdin stays open: only the pipe it speaks into is gone
    try:
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.stdin.close()  # type: ignore[union-attr]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_in_the_terminal_is_blenders(talk: Talk) -> None:
    talk.process.send_signal(signal.SIGINT)
    talk.send(CheckRequest("c"))
    assert talk.until(Done).job == "c"


@pytest.fixture
def own_engine(tmp_path: Path) -> Path:
    """A copy of the engine, under a name as in the add-on's zip, to break things in."""
    shutil.copytree(ENGINE, tmp_path / "addon" / "engine", ignore=shutil.ignore_patterns("__pycache__", "training"))
    return tmp_path / "addon" / "engine"


def test_what_libraries_print_does_not_reach_the_pipe(own_engine: Path, start: Callable[..., Talk]) -> None:
    (own_engine / "checkup.py").write_text(
        "import os\nfrom .protocol import Done\n\n\ndef check(request):\n"
        "    print('from Python')\n    os.write(1, b'from C\\n')\n    assert os.read(0, 1) == b''\n"
        "    yield Done(request.job)\n"
    )
    talk = start(own_engine / "boot.py")
    talk.send(CheckRequest("c"))
    assert talk.until(Done).job == "c"
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline and not (b"from C" in talk.printed and b"from Python" in talk.printed):
        time.sleep(0.02)
    assert b"from C" in talk.printed


def test_an_unexpected_error_is_reported_once_and_ends_the_process(
    own_engine: Path, start: Callable[..., Talk]
) -> None:
    (own_engine / "checkup.py").write_text("def check(request):\n    yield 1 / 0\n")
    talk = start(own_engine / "boot.py")
    talk.send(CheckRequest("c"))
    failed = talk.until(Failed)
    assert failed.job == "c" and "ZeroDivisionError" in failed.report and "engine" in failed.report
    assert talk.process.wait(5) == 1


def test_a_job_this_python_cannot_do_says_what_is_missing(own_engine: Path, start: Callable[..., Talk]) -> None:
    (own_engine / "training").mkdir()
    (own_engine / "training" / "__init__.py").touch()
    (own_engine / "training" / "loop.py").write_text("import torch_that_nobody_has\n")
    talk = start(own_engine / "boot.py")
    talk.send(TrainRequest("t", ("a.png",), "content", "out"))
    failed = talk.until(Failed)
    assert failed.job == "t" and "torch_that_nobody_has" in failed.message and failed.fix


def test_a_style_is_evaluated(tmp_path: Path, start: Callable[..., Talk]) -> None:
    (tmp_path / "content").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 80, 3), np.uint8)).save(tmp_path / "content/a.png")
    style = str(tiny_styles.identity(tmp_path / "identity"))
    talk = start()
    talk.send(EvaluateRequest("e", (style,), content=str(tmp_path / "content"), metrics=("structure",), device="cpu"))
    (subject,) = talk.until(Done).report["subjects"]
    assert subject["numbers"] == {"structure": pytest.approx(1)}
    talk.send(VotesRequest("v", ("votes.json",), str(tmp_path)))
    assert "key.json" in talk.until(Failed).message


def test_the_private_folder_is_seen_and_the_addon_beside_the_engine_is_not(
    own_engine: Path, start: Callable[..., Talk], tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "only_here.py").write_text("FOUND = 1\n")
    (own_engine.parent / "panels.py").write_text("raise SystemExit('imported')\n")
    (own_engine / "checkup.py").write_text(
        "import only_here\nfrom importlib.util import find_spec\nfrom .protocol import Done\n\n\n"
        "def check(request):\n    yield Done(request.job, {'panels': find_spec('panels') is not None})\n"
    )
    talk = start(own_engine / "boot.py", "--site", str(tmp_path / "site"))
    talk.send(CheckRequest("c"))
    assert talk.until(Done).report == {"panels": False}
