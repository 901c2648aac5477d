"""Engine set-up as an artist meets it: what works and on which device; another Python made, used, taken away again.
The environments are real, of wheels made here: no network is needed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blender import bpy, new_image, new_scene, pump
from conftest import PACKAGE
from test_panels import Layout
from wheels import wheels


def modules_of(addon: Any, folder: Path) -> Path:
    """What paints, of the add-on's own packages; without their names and versions, which pip would take."""
    folder.mkdir()
    for part in addon.engine_client.PRIVATE_PACKAGES.iterdir():
        if part.suffix != ".dist-info":
            (folder / part.name).symlink_to(part)
    return folder


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others may look into too; into pytest's own only its user may."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def setup(addon: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The preferences, with wheels for all kinds and a folder to make environments in. What paints is real."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    packages = addon.engine_client.packages
    preferences = addon.props.library.preferences()
    pins = tuple(dict.fromkeys(pin for kind in packages.KINDS.values() for pin in kind.pins))
    preferences.setup_wheels = str(wheels(place / "wheels", pins, modules_of(addon, place / "modules")))
    preferences.setup_folder = str(place / "made")
    preferences.setup_kind = "training"
    addon.setting_up.checked = None  # what another test has found out
    yield preferences
    preferences.python = ""
    addon.setting_up.checked = None


class System:
    """Blender's own, with the scale of a window: without one it is 0."""

    ui_scale = 1.0

    def __getattr__(self, name: str) -> Any:
        return getattr(bpy.context.preferences.system, name)


def text_of(addon: Any, draw: str, *more: Any) -> str:
    """What a part of the preferences shows."""
    said: list[str] = []
    context = types.SimpleNamespace(
        region=types.SimpleNamespace(width=900, type="WINDOW"), preferences=types.SimpleNamespace(system=System())
    )
    getattr(addon.panels.engine, draw)(Layout(said), context, *more)
    return " ".join(said).replace("  ", " ")


def begin(addon: Any, kind: str = "training") -> None:
    """As the button does after its question."""
    addon.jobs.start(addon.setting_up.set_up_job(addon.engine_client.packages.KINDS[kind]))


def ended(addon: Any, seconds: float = 120) -> Any:
    pump(addon.jobs, lambda: addon.jobs.current(addon.jobs.SETUP) is None, seconds)
    return addon.jobs.last_report(addon.jobs.SETUP)


# ---------------------------------------------------------------- what works


def test_the_preferences_say_what_works_and_why(addon: Any, setup: Any) -> None:
    assert "Check it to see" in text_of(addon, "draw_python", setup)
    assert bpy.ops.pentimento.check_python() == {"FINISHED"}
    facts = dict(addon.setting_up.facts())
    assert facts["Python"].startswith("Blender's own: ")
    assert facts["Version"] == "{}.{}.{}".format(*sys.version_info[:3])
    assert "cores" in facts["Device"] and facts["Stylize"] == "Yes"
    assert facts["Memory"].endswith("GB free")
    assert facts["CUDA"].startswith("No: "), "the packages of the zip are for the processor"
    assert facts["Train"].startswith("Yes, on the processor" if addon.setting_up.checked.training else "No: it lacks")
    setup.shows_packages = True
    said = text_of(addon, "draw_python", setup)
    assert "onnxruntime" in said and facts["CUDA"] in said
    assert "pentimento.copy_engine_report" in said


def test_the_report_holds_all_and_nothing_private(addon: Any, setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bpy.ops.pentimento.check_python()
    monkeypatch.setattr(Path, "home", lambda: Path("/home/somebody"))
    details = "Looking in indexes: https://me:secret@packages.invalid/simple, /home/somebody/wheels"
    addon.jobs.SETUP.report = addon.jobs.Report("ERROR", "It broke.", "Mend it.", details)
    assert bpy.ops.pentimento.copy_engine_report() == {"FINISHED"}
    said = addon.setting_up.report()
    assert f"Blender {bpy.app.version_string}" in said and "numpy" in said and "It broke. " in said.replace("\n", " ")
    assert "secret" not in said and "somebody" not in said and "~/wheels" in said
    addon.jobs.SETUP.report = None


# ---------------------------------------------------------------- set up


def test_set_up_checks_uses_and_removes(addon: Any, styles: Any, setup: Any, place: Path) -> None:
    """PyTorch's wheel is an empty shell: it is looked for, not imported. What paints is real, and paints."""
    said = text_of(addon, "draw_set_up", setup)
    assert "Set Up Training" in said and "from the folder of wheels" in said
    assert bpy.ops.pentimento.set_up(kind="training") == {"FINISHED"}
    report = addon.jobs.last_report(addon.jobs.SETUP)
    assert report.level == "INFO" and "train styles" in report.fix and "in use now" in report.fix
    assert Path(setup.python) == addon.setting_up.python_of(addon.setting_up.folder())
    assert Path(setup.python).is_relative_to(place / "made")
    assert setup.can_train and setup.verdict.startswith("Can stylize and train styles")
    assert addon.setting_up.training_interpreter().python == setup.python
    assert addon.jobs.SETUP.slot.worker is None, "the worker of the set-up holds no memory"
    assert dict(addon.setting_up.facts())["Python"].startswith("Another: ")
    new_image()
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
    assert addon.jobs.PAINTING.slot.worker.interpreter.python == setup.python

    assert bpy.ops.pentimento.use_own_python() == {"FINISHED"}
    assert setup.python == "" and addon.setting_up.made() == "ready"
    start = time.monotonic()
    assert bpy.ops.pentimento.set_up(kind="training") == {"FINISHED"}
    print(f"put to use again in {time.monotonic() - start:.1f} s")
    assert setup.can_train

    said = text_of(addon, "draw_set_up", setup)
    assert "pentimento.remove_setup" in said and "It is set up" in said and "Set Up Again" in said
    setup.setup_kind = "cuda"
    said = text_of(addon, "draw_set_up", setup)
    assert "Replaces what is there: Training on the Processor." in said and "Set Up CUDA" in said
    assert bpy.ops.pentimento.remove_setup() == {"FINISHED"}
    assert setup.python == "" and not setup.verdict and not setup.can_train, "what is gone cannot train"
    assert "Train" not in dict(addon.setting_up.facts())
    assert not list((place / "made").glob("*/*"))
    assert addon.setting_up.made() == ""


def test_while_it_runs_it_is_seen_cancelled_and_gone_on_with(addon: Any, setup: Any) -> None:
    styles = bpy.context.scene.pentimento
    begin(addon)
    jobs = addon.jobs
    pump(jobs, lambda: "(3 of 9" in jobs.current(jobs.SETUP).stage, 120)
    said = text_of(addon, "draw_set_up", setup)
    assert "onnxscript 0.7.2" in said and "3 of 9" in said and "pentimento.cancel_set_up" in said
    assert jobs.current() is None, "painting goes on meanwhile"
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.pentimento.set_up(kind="cuda")
    spent = []
    for _ in range(30):
        start = time.perf_counter()
        jobs._tick()
        spent.append(time.perf_counter() - start)
    assert sorted(spent)[27] < 0.02, "the window stays at hand"
    bpy.ops.wm.read_homefile(use_empty=True)
    assert jobs.current(jobs.SETUP) is not None, "it has nothing to do with the file"
    assert styles is not None
    bpy.ops.pentimento.cancel_set_up()
    report = ended(addon, 12)
    assert report.level == "WARNING" and "goes on where it stopped" in report.message
    assert addon.setting_up.made() == "unfinished" and setup.python == ""
    assert "Go On with Set-Up" in text_of(addon, "draw_set_up", setup)
    begin(addon)
    first = []
    pump(jobs, lambda: first.append(jobs.current(jobs.SETUP).stage) or "of 9" in first[-1], 60)
    assert not any("(1 of 9" in stage for stage in first), "what was installed stays"
    jobs.cancel(jobs.SETUP)
    ended(addon, 12)


def test_a_failure_has_words_a_fix_and_pips_own_words_to_copy(addon: Any, setup: Any) -> None:
    next(Path(setup.setup_wheels).glob("torch-*")).unlink()
    with pytest.raises(RuntimeError, match=r"no torch==2\.13\.0 for Python"):
        bpy.ops.pentimento.set_up(kind="training")
    report = addon.jobs.last_report(addon.jobs.SETUP)
    assert "pip download" in report.fix
    assert "No matching distribution found for torch" in report.details
    assert "No matching distribution found for torch" in addon.setting_up.report()
    said = text_of(addon, "draw_set_up", setup)
    assert "The folder of wheels has no torch" in said and "pentimento.copy_engine_report" in said
    assert setup.python == ""


def test_an_environment_that_cannot_train_is_not_entered(addon: Any, setup: Any) -> None:
    """All was installed, but what a package should bring is not there."""
    protocol, answers = addon.engine_client.protocol, []
    job = addon.setting_up._setup_job("Set Up", "")
    steps = addon.setting_up._set_up(job, protocol.EnvironmentRequest("e", "made", "training"), answers)
    assert isinstance(next(steps), protocol.EnvironmentRequest)
    answers.append(protocol.EnvironmentReady("e", "made", "made/bin/python"))
    assert isinstance(steps.send(protocol.Done("e")), protocol.CheckRequest)
    assert job.interpreter.python == "made/bin/python", "the new Python is asked itself"
    answers.append(protocol.Checked("c", False, False, {}))
    with pytest.raises(addon.engine_client.EngineError, match="it cannot be used: it cannot train"):
        steps.send(protocol.Done("c"))
    assert setup.python == ""


def test_cuda_that_is_not_there_is_said(addon: Any, setup: Any) -> None:
    """Packages for CUDA on a computer without a card: it works, and says on what."""
    bpy.ops.pentimento.check_python()
    if addon.setting_up.checked.card:
        pytest.skip("this computer has a card")
    assert bpy.ops.pentimento.set_up(kind="cuda") == {"FINISHED"}
    report = addon.jobs.last_report(addon.jobs.SETUP)
    assert "It works on the processor: " in report.fix and "NVIDIA" in report.fix
    assert not setup.can_train


def test_without_permission_nothing_is_downloaded(addon: Any, setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    setup.setup_wheels = ""
    if hasattr(bpy.app, "online_access"):
        bpy.context.preferences.system.use_online_access = False
        assert not bpy.app.online_access
    else:
        monkeypatch.setattr(addon.compat, "may_go_online", lambda: False)
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.pentimento.set_up(kind="training")
    with pytest.raises(addon.engine_client.EngineError, match="may not go online") as raised:
        begin(addon)
    assert "Allow Online Access" in raised.value.fix and "wheels" in raised.value.fix
    said = text_of(addon, "draw_set_up", setup)
    assert "Allow Online Access" in said and "use_online_access" in said
    assert not Path(setup.setup_folder).exists()


def test_what_it_costs_is_said_beforehand(addon: Any, setup: Any) -> None:
    setup.setup_wheels = ""
    for kind in addon.engine_client.packages.kinds():
        size = addon.engine_client.packages.size(kind.name)
        said = " ".join(addon.setting_up.announcement(kind))
        assert f"about {size.download:.1f} GB" in said and f"about {size.installed:.1f} GB" in said


def test_an_environment_at_work_is_not_touched(addon: Any, setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = types.SimpleNamespace(
        interpreter=addon.engine_client.Interpreter(str(addon.setting_up.python_of(addon.setting_up.folder())))
    )
    slot = types.SimpleNamespace(worker=worker, stop=lambda: None, release=lambda: None)
    monkeypatch.setattr(addon.jobs.TRAINING, "slot", slot)
    monkeypatch.setattr(addon.jobs.TRAINING, "job", types.SimpleNamespace(title="Training Own Hand"))
    with pytest.raises(addon.engine_client.EngineError, match="Training Own Hand is using the environment"):
        addon.setting_up.remove_job()
    monkeypatch.undo()


def test_training_leads_to_the_button(addon: Any, setup: Any) -> None:
    import test_panels

    setup.can_train = False
    said = test_panels.draw(addon, "ImageTrainingPanel")
    assert "Set Up Training" in said
    assert "pentimento.set_up" in said and "pentimento.copy_setup" in said


# ---------------------------------------------------------------- programs that cannot run (complaints 4, 6, 8)


@pytest.mark.skipif(os.name != "posix", reason="modes and magic numbers of POSIX")
@pytest.mark.parametrize(
    ("content", "mode", "fix"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(12) + b"\xff\xff" + bytes(60), 0o755, "another kind of processor"),
        (b"#!/bin/sh\nexit 1\n", 0o644, "quarantine"),
    ],
    ids=["another processor", "not allowed"],
)
def test_a_program_that_the_system_does_not_start(
    addon: Any, setup: Any, tmp_path: Path, content: bytes, mode: int, fix: str
) -> None:
    python = tmp_path / "python"
    python.write_bytes(content)
    python.chmod(mode)
    setup.python = str(python)
    assert "could not be started" in setup.verdict
    assert fix in setup.verdict


def test_an_environment_whose_blender_is_gone_is_said(addon: Any, setup: Any, tmp_path: Path) -> None:
    gone = tmp_path / "bin" / "python"
    gone.parent.mkdir()
    gone.symlink_to("/nowhere/blender/python")
    setup.python = str(gone)
    assert "could not be started" in setup.verdict and addon.setting_up.checked is None


# ---------------------------------------------------------------- devices


def test_a_fallback_to_the_processor_is_said(addon: Any, styles: Any) -> None:
    """As the worker reports it where CUDA was there and did not start."""
    jobs, protocol = addon.jobs, addon.engine_client.protocol
    job = jobs.Job("Stylize Stone", iter(()), lambda event: None, addon.setting_up.interpreter())
    job.request, job.delivered = protocol.CheckRequest("c"), True
    said = "CUDA could not be started: working on the processor instead."
    jobs._hear(job, protocol.Done("c", {"device": "cpu", "fell_back": said}))
    assert (job.device, job.notes) == ("cpu", [said])
    assert said in jobs._ending(job, job.answer).fix


def test_the_panel_says_which_device_painted(addon: Any, styles: Any) -> None:
    import test_panels

    stone = new_image()
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
    assert addon.jobs.last_report().device == "cpu"
    assert "Ran on the processor" in test_panels.draw(addon, "ImageEditorPanel", stone)


# ---------------------------------------------------------------- memory while Blender renders


def test_a_render_of_blenders_own_gets_the_memory(addon: Any, styles: Any) -> None:
    """The idle worker is gone before the first sample, and the next job starts another."""
    new_image()
    new_scene()
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
    pid = addon.jobs.PAINTING.slot.worker.pid
    status = Path(f"/proc/{pid}/statm")
    held = int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if status.is_file() else 0
    bpy.ops.render.render()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    print(f"given back: {held / 1e6:.0f} MB")
    assert bpy.ops.pentimento.stylize_image(image="Stone") == {"FINISHED"}
    assert addon.jobs.PAINTING.slot.worker.pid != pid


def test_a_job_that_renders_and_paints_keeps_its_worker(addon: Any, styles: Any, tmp_path: Path) -> None:
    """Three frames are rendered and painted in turns by one worker."""
    scene = new_scene()
    scene.frame_start, scene.frame_end = 1, 3
    chosen = scene.pentimento_animation
    chosen.folder, chosen.strokes = str(tmp_path / "out"), "ANEW"
    started: list[int] = []
    before = addon.engine_client.Worker.__init__

    def counted(worker: Any, interpreter: Any) -> None:
        before(worker, interpreter)
        started.append(worker.pid)

    addon.jobs.PAINTING.slot.stop()
    addon.engine_client.Worker.__init__ = counted
    try:
        assert bpy.ops.pentimento.stylize_animation() == {"FINISHED"}
    finally:
        addon.engine_client.Worker.__init__ = before
    assert len(started) == 1


def test_a_busy_worker_is_never_released(addon: Any, styles: Any) -> None:
    new_image(size=(512, 512))
    addon.jobs.start(addon.operators.painting.image_job(bpy.context, "Stone", blocking=False))
    pump(addon.jobs, lambda: addon.jobs.current().request is not None, 20)
    addon.jobs.release()
    addon.jobs.PAINTING.slot.release()  # also where the handler has looked a moment too early
    pump(addon.jobs, lambda: addon.jobs.current() is None, 60)
    assert addon.jobs.last_report().level == "INFO"


# ---------------------------------------------------------------- places (complaints 2, 3)


READ_ONLY_ADDON = """
import os, sys
import bpy, addon_utils
bpy.ops.wm.read_factory_settings(use_empty=True)
addon_utils.enable(sys.argv[1], default_set=True)
preferences = bpy.context.preferences.addons[sys.argv[1]].preferences
preferences.setup_wheels, preferences.setup_folder = sys.argv[2:4]
engine_client = sys.modules[sys.argv[1] + ".engine_client"]
python = engine_client.Interpreter(sys.argv[4], engine_client.PRIVATE_PACKAGES.as_posix())
# That of the tests lies where only root may look.
sys.modules[sys.argv[1] + ".setting_up"].blender_python = lambda: python
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    print("ANSWER", bpy.ops.pentimento.set_up(kind="cuda"))
except RuntimeError as error:
    print("REFUSED", error, sys.modules[sys.argv[1] + ".setting_up"].report())
"""


SYSTEM_PYTHON = "/usr/bin/python3"


def can_make_environments(python: str) -> bool:
    ask = "import sys, venv, ensurepip; print(sys.version_info[:2])"
    if not Path(python).is_file():
        return False
    answer = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, timeout=60, check=False)
    return answer.stdout.strip() == str(sys.version_info[:2])


@pytest.mark.skipif(os.name != "posix", reason="modes of folders are a matter of POSIX")
@pytest.mark.parametrize("writable", [True, False], ids=["add-on read-only", "folder read-only"])
def test_as_a_user_without_rights(addon: Any, setup: Any, place: Path, writable: bool) -> None:
    """Program Files, a Blender of the Store: only the set-up's own folder has to be writable."""
    from test_install import in_fresh_blender

    python, profile = SYSTEM_PYTHON, Path(os.environ["BLENDER_USER_RESOURCES"])
    if not can_make_environments(python):
        pytest.skip(f"there is no {python} with venv and pip, of the Python that Blender has")
    (place / "made").mkdir()
    (place / "made").chmod(0o777 if writable else 0o555)
    mode = stat.S_IMODE(profile.stat().st_mode)
    profile.chmod(0o755)
    try:
        answer = in_fresh_blender(READ_ONLY_ADDON, PACKAGE, setup.setup_wheels, setup.setup_folder, python)
    finally:
        profile.chmod(mode)
    if writable:
        assert "ANSWER {'FINISHED'}" in answer.stdout, answer.stdout + answer.stderr
    else:
        assert "cannot be written" in answer.stdout, answer.stdout + answer.stderr
        assert "Choose another folder" in answer.stdout
