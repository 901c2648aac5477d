"""Real Blender (the `bpy` module) with the add-on installed from the zip that ships, in a private profile.

One process has one Blender version: run this folder with the Python of each (see .ci/run). Nothing here waits for ever:
the whole process ends after twenty minutes with a traceback of where it stood.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO), str(REPO / "tests"), str(REPO / "tests" / "engine"), str(Path(__file__).parent)]

HAVE_BPY = importlib.util.find_spec("bpy") is not None
PROFILE = Path(tempfile.mkdtemp(prefix="pentimento_profile_"))
if HAVE_BPY:
    # Before bpy is imported for the first time: no file of the machine's own Blender is read or written.
    os.environ["BLENDER_USER_RESOURCES"] = str(PROFILE)
PACKAGE = "bl_ext.user_default.pentimento"


def pytest_configure(config: pytest.Config) -> None:
    faulthandler.dump_traceback_later(1200, exit=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    faulthandler.cancel_dump_traceback_later()
    shutil.rmtree(PROFILE, ignore_errors=True)


@pytest.fixture(scope="session")
def addon_zip() -> Path:
    return build()


def build() -> Path:
    """The zip that ships, made from these sources."""
    import build_addon

    return build_addon.build()


def install(addon_zip: Path) -> None:
    """Into the private profile, not enabled."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=str(addon_zip), repo="user_default", enable_on_install=False)


@pytest.fixture(scope="session")
def _installed(addon_zip: Path) -> Iterator[None]:
    import bpy

    install(addon_zip)
    yield
    bpy.ops.preferences.addon_disable(module=PACKAGE)


class Addon:
    """The modules of the installed add-on."""

    def __getattr__(self, name: str) -> ModuleType:
        return sys.modules[f"{PACKAGE}.{name}"]


@pytest.fixture
def addon(_installed: None) -> Iterator[Addon]:
    """An empty file in factory settings with the add-on enabled, as on the first day."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module=PACKAGE)
    modules = Addon()
    yield modules
    modules.jobs.stop()
    for lane in modules.jobs.LANES:
        lane.report = None
    assert not bpy.app.timers.is_registered(modules.jobs._tick)


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two tiny real styles: Identity gives the picture back, Brush changes it."""
    import tiny_styles

    folder = tmp_path_factory.mktemp("styles")
    tiny_styles.identity(folder / "identity")
    tiny_styles.brush(folder / "brush")
    return folder


@pytest.fixture
def styles(addon: Addon, packs: Path) -> Any:
    """The scene's settings, with the tiny styles to choose from and Identity chosen."""
    import bpy

    addon.props.library.preferences().styles_folder = str(packs)
    settings = bpy.context.scene.pentimento
    settings.style, settings.overlays = "Identity", set()
    return settings
