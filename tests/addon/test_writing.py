"""What timers do with Blender's data where Blender forbids to write it, as it does for ever after in 3.4 at times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="this Python has no bpy: Blender has wheels for Python 3.11 only")
FORBIDDEN = "Writing to ID classes in this context is not allowed"


@pytest.fixture
def while_forbidden() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Does something inside a poll, where Blender lets nothing be written."""
    acts: list[Callable[[], None]] = []

    class Polled(bpy.types.Operator):
        bl_idname, bl_label = "test.polled", "Polled"

        @classmethod
        def poll(cls, _context: Any) -> bool:
            for _ in range(len(acts)):
                acts.pop()()
            return True

    bpy.utils.register_class(Polled)

    def run(act: Callable[[], None]) -> None:
        acts.append(act)
        assert bpy.ops.test.polled.poll()

    yield run
    bpy.utils.unregister_class(Polled)


def test_a_timer_may_write_where_nothing_may(addon: Any, while_forbidden: Any) -> None:
    render, said = bpy.context.scene.render, []

    def write() -> None:
        render.use_motion_blur = True

    def fail() -> None:
        raise ValueError("of the act")

    def act() -> None:
        with pytest.raises(AttributeError, match=FORBIDDEN):
            write()
        addon.writing.allowed(write)
        with pytest.raises(ValueError, match="of the act"):
            addon.writing.allowed(fail)
        said.append(render.use_motion_blur)

    render.use_motion_blur = False
    while_forbidden(act)
    assert said == [True]


def test_where_a_timer_may_write_no_window_is_drawn_for_it(addon: Any, while_forbidden: Any) -> None:
    """Blender draws all of them when a property of its window manager is set: fifty times a second in a job."""
    manager, turns = bpy.context.window_manager, list[bool]()

    def look() -> None:
        turns.append(manager.pentimento_turn)

    addon.writing.allowed(look)
    assert turns == [manager.pentimento_turn]
    while_forbidden(lambda: addon.writing.allowed(look))
    assert turns[1] != turns[0]


def test_a_job_goes_on_where_nothing_may_be_written(addon: Any, while_forbidden: Any) -> None:
    """What its timer does with the scene is done."""
    render, jobs = bpy.context.scene.render, addon.jobs

    def requests() -> Iterator[None]:
        yield None
        render.use_motion_blur = True

    render.use_motion_blur = False
    jobs.start(jobs.Job("Write", requests(), lambda _event: None, addon.setting_up.interpreter()))
    assert jobs.current() is not None
    while_forbidden(jobs._tick)
    assert jobs.current() is None
    assert jobs.last_report().level == "INFO", jobs.last_report()
    assert render.use_motion_blur
