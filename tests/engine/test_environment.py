"""A Python of our own, really made by venv and pip, from wheels made here; interrupted, refused, and gone on with."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wheels import wheel, wheels

from engine import environment, packages, pip_errors
from engine.errors import EngineError
from engine.protocol import (
    Done,
    EnvironmentReady,
    EnvironmentRequest,
    Event,
    Failed,
    Progress,
    RemoveEnvironmentRequest,
    from_line,
    to_line,
)

REPO = Path(__file__).resolve().parents[2]
PINS = ("alpha==1.0", "beta==2.0", "gamma==3.0")
CLOSED = "http://127.0.0.1:9"
"""An address on this computer where nobody listens"""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of three small packages, quick to install."""
    monkeypatch.setitem(packages.KINDS, "small", packages.Kind("small", "Small", "", PINS))
    monkeypatch.setitem(packages.SIZES[sys.platform], "small", packages.Size(0.0001, 0.0001))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels(tmp_path_factory.mktemp("wheels"), PINS)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Puts a Python with pip and without a package somewhere: to make one anew takes seconds."""
    made = tmp_path_factory.mktemp("begun") / "p"
    subprocess.run([sys.executable, "-m", "venv", str(made)], check=True, timeout=300)
    environment.State("small", f"{sys.version_info.major}.{sys.version_info.minor}").write(made)
    return lambda folder: Path(shutil.copytree(made, folder, symlinks=True))


Begun = Callable[[Path], Path]


def asked(folder: Path, store: Path | str = "", index: str = "") -> EnvironmentRequest:
    return EnvironmentRequest("e", str(folder), "small", str(store), index)


def modules_of(folder: Path) -> list[str]:
    """Of ours, those that the environment can import"""
    ask = f"import importlib.util as u; print([n for n in {[p.partition('==')[0] for p in PINS]} if u.find_spec(n)])"
    python = environment.python_of(folder)
    answer = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, check=True, timeout=60)
    return list(json.loads(answer.stdout.replace("'", '"')))


def test_an_environment_is_made_and_said_step_by_step(tmp_path: Path, store: Path) -> None:
    folder = tmp_path / "my python"
    *events, ready, done = environment.make(asked(folder, store))
    assert isinstance(ready, EnvironmentReady) and isinstance(done, Done)
    assert Path(ready.python) == environment.python_of(folder)
    assert modules_of(folder) == ["alpha", "beta", "gamma"]
    said = [event for event in events if isinstance(event, Progress)]
    assert [event.fraction for event in said] == sorted(event.fraction for event in said)
    assert "Installing beta 2.0 (2 of 3)" in {event.stage for event in said}
    left = {part.name for part in folder.iterdir()}
    assert "temporary" not in left and "downloads" not in left

    start = time.monotonic()
    *_, last = environment.make(asked(folder))  # nothing is left to install: no wheels, and no network either
    assert isinstance(last, Done)
    print(f"an environment that is there is looked at in {time.monotonic() - start:.1f} s")


def until(events: Iterator[Event], stage: str) -> None:
    for event in events:
        assert not isinstance(event, Failed), event
        if isinstance(event, Progress) and stage in event.stage:
            return
    raise AssertionError(f"{stage} was never said")


def test_cancelled_it_goes_on_where_it_stopped(tmp_path: Path, store: Path, begun: Begun) -> None:
    events = environment.make(asked(begun(tmp_path / "p"), store))
    until(events, "beta")
    events.close()  # type: ignore[attr-defined]  # a job is a generator
    state = environment.State.of(tmp_path / "p")
    assert state and state.done == ["alpha==1.0"] and not state.ready
    assert not (tmp_path / "p" / "temporary").exists()
    stages = [event.stage for event in environment.make(asked(tmp_path / "p", store)) if isinstance(event, Progress)]
    assert not any("alpha" in stage for stage in stages)
    assert modules_of(tmp_path / "p") == ["alpha", "beta", "gamma"]


def pips_in(folder: Path) -> list[int]:
    """Processes that run pip for the environment"""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line and b"install" in line:
            found.append(int(process.parent.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_killed_in_the_middle_no_pip_stays_and_halves_are_made_anew(tmp_path: Path) -> None:
    """The worker is killed as no program expects it, while pip unpacks."""
    folder, kind = tmp_path / "p", packages.KINDS["training"]
    store = wheels(tmp_path / "wheels", kind.pins)
    boot = [sys.executable, "-I", str(REPO / "engine" / "boot.py")]
    worker = subprocess.Popen(boot, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert worker.stdin and worker.stdout
    worker.stdin.write(to_line(EnvironmentRequest("e", str(folder), "training", str(store))).encode() + b"\n")
    worker.stdin.flush()
    for line in worker.stdout:
        event = from_line(line.decode())
        assert not isinstance(event, Failed), event
        if isinstance(event, Progress) and "onnxscript" in event.stage and pips_in(folder):
            break
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    end = time.monotonic() + 5
    while pips_in(folder) and time.monotonic() < end:
        time.sleep(0.05)
    assert not pips_in(folder)
    state = environment.State.of(folder)
    assert state and state.done == list(kind.pins[:2])
    half = environment._site(folder) / "onnxscript-0.7.2.dist-info"
    half.mkdir(exist_ok=True)
    (half / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxscript\nVersion: 0.7.2\n")
    (half / "INSTALLER").unlink(missing_ok=True)
    *_, last = environment.make(EnvironmentRequest("e", str(folder), "training", str(store)))
    assert isinstance(last, Done)
    assert (half / "RECORD").is_file()
    assert (environment._site(folder) / "onnxscript" / "__init__.py").is_file()


def test_another_kind_begins_anew(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list(environment.make(asked(tmp_path / "p", store)))
    other = packages.Kind("other", "Other", "", PINS[1:])
    monkeypatch.setitem(packages.KINDS, "other", other)
    list(environment.make(EnvironmentRequest("e", str(tmp_path / "p"), "other", str(store))))
    assert modules_of(tmp_path / "p") == ["beta", "gamma"]


@pytest.mark.skipif(os.name != "posix", reason="a link is how POSIX's venv finds its Python")
def test_one_whose_blender_has_moved_is_mended_without_installing(tmp_path: Path, store: Path, begun: Begun) -> None:
    folder = begun(tmp_path / "p")
    list(environment.make(asked(folder, store)))
    for link in (folder / "bin").glob("python*"):
        link.unlink()
        link.symlink_to("/nowhere/blender/python")
    *_, last = environment.make(asked(folder))
    assert isinstance(last, Done)
    assert modules_of(folder) == ["alpha", "beta", "gamma"]


# ---------------------------------------------------------------- what goes wrong, as pip really says it


def failure(request: EnvironmentRequest) -> Failed:
    *_, last = environment.make(request)
    assert isinstance(last, Failed), last
    print(f"{last.message} {last.fix}")
    assert last.fix and last.report, "the raw words of pip are in the report"
    return last


def test_a_wheel_that_is_missing(tmp_path: Path, begun: Begun) -> None:
    said = failure(asked(begun(tmp_path / "p"), wheels(tmp_path / "wheels", PINS[:1])))
    assert "The folder of wheels has no beta==2.0 for Python 3." in said.message
    assert "pip download" in said.fix


def test_a_wheel_that_another_one_needs(tmp_path: Path, begun: Begun) -> None:
    wheel(tmp_path / "wheels", PINS[0], needs=("gamma",))
    assert "has no gamma==3.0 for" in failure(asked(begun(tmp_path / "p"), tmp_path / "wheels")).message
    wheel(tmp_path / "wheels", PINS[0], needs=("delta>2",))
    assert "has no delta>2 for" in failure(asked(tmp_path / "p", tmp_path / "wheels")).message


def test_a_wheel_for_another_python(tmp_path: Path, begun: Begun) -> None:
    made = wheel(tmp_path / "wheels", PINS[0])
    made.rename(made.with_name("alpha-1.0-cp27-cp27m-win32.whl"))
    assert "has no alpha==1.0 for Python 3." in failure(asked(begun(tmp_path / "p"), tmp_path / "wheels")).message


def test_a_wheel_that_is_damaged(tmp_path: Path, begun: Begun) -> None:
    made = wheel(tmp_path / "wheels", PINS[0])
    made.write_bytes(made.read_bytes()[:200])
    said = failure(asked(begun(tmp_path / "p"), tmp_path / "wheels"))
    assert "damaged" in said.message
    wheels(tmp_path / "wheels", PINS)
    *_, last = environment.make(asked(tmp_path / "p", tmp_path / "wheels"))
    assert isinstance(last, Done), "once it is whole the set-up goes on"


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip asks an address on this computer where nobody listens, once, whatever the machine is set up for."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{CLOSED}/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "2")


def test_no_network(tmp_path: Path, no_index: None, begun: Begun) -> None:
    said = failure(asked(begun(tmp_path / "p")))
    assert "could not be reached" in said.message
    assert "wheels" in said.fix


def test_a_proxy_that_is_not_there(
    tmp_path: Path, no_index: None, monkeypatch: pytest.MonkeyPatch, begun: Begun
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.invalid/simple")
    monkeypatch.setenv("HTTPS_PROXY", CLOSED)
    said = failure(asked(begun(tmp_path / "p")))
    assert "proxy" in said.message


def test_an_index_without_the_package(
    tmp_path: Path, no_index: None, monkeypatch: pytest.MonkeyPatch, begun: Begun
) -> None:
    (tmp_path / "simple" / "alpha").mkdir(parents=True)
    (tmp_path / "simple" / "alpha" / "index.html").write_text("<html></html>")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    assert "The package index has no alpha==1.0" in failure(asked(begun(tmp_path / "p"))).message


def test_a_further_index_is_used(tmp_path: Path, no_index: None, monkeypatch: pytest.MonkeyPatch, begun: Begun) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    for pin in PINS:
        folder = tmp_path / "simple" / pin.partition("==")[0]
        made = wheel(folder, pin)
        (folder / "index.html").write_text(f'<a href="{made.name}">{made.name}</a>')
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple" / "none").as_uri())
    *_, last = environment.make(asked(begun(tmp_path / "p"), index=(tmp_path / "simple").as_uri()))
    assert isinstance(last, Done), last


@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_a_full_disk(tmp_path: Path, small_disk: Path, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: refused without a try. In the middle: as the system says it, and the rest goes on where there is room."""
    store = wheels(tmp_path / "wheels", PINS)
    if when == "before":
        monkeypatch.setitem(packages.SIZES[sys.platform], "small", packages.Size(5.0, 5.0))
        with pytest.raises(EngineError, match=r"the set-up needs about 10\.0 GB"):
            list(environment.make(asked(small_disk / "p")))
    else:
        assert "disk is full" in failure(asked(small_disk / "p", store)).message


def test_a_folder_that_cannot_be_written(locked_folder: Path) -> None:
    with pytest.raises(EngineError, match="cannot be written") as raised:
        list(environment.make(asked(locked_folder / "p")))
    assert "Choose another folder" in raised.value.fix


def test_temporary_files_never_lie_in_the_systems_place(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It need not exist, or allow anything."""
    monkeypatch.setenv("TMPDIR", "/nowhere/at/all")
    *_, last = environment.make(asked(tmp_path / "p", store))
    assert isinstance(last, Done), last


def test_somebody_elses_folder_is_left_alone(tmp_path: Path, store: Path) -> None:
    (tmp_path / "novel.txt").write_text("Once upon a time")
    with pytest.raises(EngineError, match="holds other things"):
        list(environment.make(asked(tmp_path, store)))
    with pytest.raises(EngineError, match="is no environment"):
        list(environment.remove(RemoveEnvironmentRequest("r", str(tmp_path))))
    assert (tmp_path / "novel.txt").read_text() == "Once upon a time"


def test_it_is_removed_as_a_whole(tmp_path: Path, store: Path, begun: Begun) -> None:
    list(environment.make(asked(begun(tmp_path / "p"), store)))
    (environment._site(tmp_path / "p") / "alpha" / "__init__.py").chmod(0o444)
    *_, last = environment.remove(RemoveEnvironmentRequest("r", str(tmp_path / "p")))
    assert isinstance(last, Done)
    assert list((tmp_path / "p").glob("*")) == []


def test_no_wheels_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no wheels"):
        list(environment.make(asked(tmp_path / "p", tmp_path)))


def test_pip_that_falls_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "STALLED", 0.5)
    (tmp_path / "temporary").mkdir()
    log: list[str] = []
    with pytest.raises(environment.PipError):
        list(environment._run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, log))
    assert "quarter of an hour" in pip_errors.explain("Nothing for 900 s: given up.", False)[0]


def test_what_only_other_systems_say() -> None:
    """Words of Windows and macOS; what these systems really say could not be tried here."""
    for said, word in {
        "OSError: [WinError 32] The process cannot access it: being used by another process": "virus scanner",
        "OSError: [Errno 2] No such file\nHINT: ... does not have Windows Long Path support enabled.": "long",
        "PermissionError: [WinError 5] Access is denied: 'C:\\\\Program Files'": "not allowed",
        "OSError: [WinError 225] Operation did not complete because the file contains a virus": "virus scanner",
        "OSError: [Errno 8] Exec format error: 'p/bin/python'": "another kind of processor",
        "OSError: [WinError 193] %1 is not a valid Win32 application": "another kind of processor",
        "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))": "certificate",
    }.items():
        message, fix = pip_errors.explain(said, False)
        assert word in message and fix, said


def test_windows_paths_are_measured_beforehand() -> None:
    roaming = "C:/Users/someone/AppData/Roaming/Blender Foundation/Blender/4.2"
    deep = Path(roaming, "extensions/.user/user_default/pentimento")
    with pytest.raises(EngineError, match="too long"):
        environment.check_length(deep, "win32", long_paths=False)
    environment.check_length(deep, "win32", long_paths=True)
    environment.check_length(Path("C:/Users/someone/AppData/Local/Pentimento/py311"), "win32", long_paths=False)


def test_pins_are_what_pyproject_asks_for() -> None:
    """One version of each package, in the ranges of pyproject.toml, and none of the extras is missing."""
    packaging = pytest.importorskip("packaging.requirements")
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for asked_for, pins in (
        (project["dependencies"], packages.STYLIZE),
        (extras["train"], packages.TRAIN),
        (extras["cuda"], packages.CUDA),
    ):
        pinned = {packages.name_of(pin): pin.partition("==")[2] for pin in pins}
        wanted = {found.name: found.specifier for found in map(packaging.Requirement, asked_for)}
        wanted.pop("rich", None)
        assert set(pinned) == set(wanted), "rich is the command line's"
        assert all(version in wanted[name] for name, version in pinned.items())
    tested = next(line for line in extras["test"] if line.startswith("torch=="))
    assert tested in packages.TRAIN, "what the tests train with is what artists get"


def test_every_kind_installs_one_onnxruntime_and_has_a_size() -> None:
    for sizes in packages.SIZES.values():
        assert set(sizes) - {"small"} <= set(packages.KINDS)
    for name, kind in packages.KINDS.items():
        if name != "small":
            assert len([pin for pin in kind.pins if pin.startswith("onnxruntime")]) == 1
            assert ("torch==" in " ".join(kind.pins)) == ("training" in name)


def test_the_module_loads_nothing_but_the_standard_library() -> None:
    assert importlib.util.find_spec("engine.environment")
    source = (REPO / "engine" / "environment.py").read_text() + (REPO / "engine" / "packages.py").read_text()
    assert not re.search(r"https?://", source), "no host is named: pip's own configuration holds"
