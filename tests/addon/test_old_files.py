"""Files that were saved before a setting got another kind: what they said then still holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from blender import bpy

SAVE = """
import os, sys, bpy

class Settings(bpy.types.PropertyGroup):
    tileable: bpy.props.BoolProperty()
    seed: bpy.props.IntProperty()

bpy.utils.register_class(Settings)
bpy.types.Scene.pentimento = bpy.props.PointerProperty(type=Settings)
chosen = bpy.context.scene.pentimento
chosen.seed = 7
if sys.argv[-1] != "untouched":
    chosen.tileable = sys.argv[-1] == "on"
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-2])
sys.stdout.flush()
os._exit(0)
"""
"""As the add-on was when Tileable was a tick"""


@pytest.mark.parametrize(("then", "now"), [("on", "ON"), ("off", "OFF"), ("untouched", "AUTO")])
def test_tileable_was_a_tick_once(addon: Any, tmp_path: Path, then: str, now: str) -> None:
    """The choices have the numbers that the tick had, so both of its states are read as what they were. A tick that
    nobody touched was not saved, as today's default is not: such a file cannot be told from a new one."""
    file = tmp_path / "old.blend"
    command = [sys.executable, "-c", SAVE, str(file), then]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    bpy.ops.wm.open_mainfile(filepath=str(file))
    chosen = bpy.context.scene.pentimento
    assert (chosen.tileable, chosen.seed) == (now, 7)
