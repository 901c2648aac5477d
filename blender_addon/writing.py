"""Where a timer may write Blender's data.

Blender forbids it while panels are drawn, with one flag for all of its threads: whoever is called in Python keeps what
the flag was, sets it, and puts it back. It was seen to stay set for the rest of a session, in 3.4 within a dozen frames
of a render: probably when a panel is being drawn as Cycles' thread begins a frame, and the two put it back in the wrong
order. Callbacks of properties may write nevertheless; timers may not, but for what belongs to the window manager. So a
property of that one has a callback, which does what a timer wants done. Only then: Blender draws all of its windows
again whenever such a property is set.
"""

# Blender's stubs know no properties of ours.
# mypy: disable-error-code="union-attr, attr-defined"

from __future__ import annotations

from collections.abc import Callable

import bpy

_waiting: list[Callable[[], None]] = []
_raised: list[BaseException] = []


def allowed(act: Callable[[], None]) -> None:
    """Does it at once, and raises what it raises."""
    if _may_write():
        act()
        return
    manager = bpy.context.window_manager
    _waiting.append(act)
    manager.pentimento_turn = not manager.pentimento_turn
    if _raised:
        raise _raised.pop()


def _may_write() -> bool:
    """Asked by writing what is there already, to a setting of which Blender tells nobody."""
    tools = bpy.data.scenes[0].tool_settings
    try:
        tools.uv_sculpt_lock_borders = tools.uv_sculpt_lock_borders
    except AttributeError:
        return False
    return True


def _turned(_self: object, _context: object) -> None:
    try:
        _waiting.pop()()
    except BaseException as error:  # noqa: BLE001 - Blender would print it and go on: `allowed` raises it
        _raised.append(error)


def register() -> None:
    bpy.types.WindowManager.pentimento_turn = bpy.props.BoolProperty(options={"HIDDEN", "SKIP_SAVE"}, update=_turned)


def unregister() -> None:
    del bpy.types.WindowManager.pentimento_turn
