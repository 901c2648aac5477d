"""Shots of tiny frames, for the tests of batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.animate import animate
from engine.files import ExrLayer, create_png, write_exr
from engine.protocol import (
    AnimateRequest,
    Event,
    FrameDone,
    FrameFailed,
    Progress,
    StyleShare,
    StylizeSettings,
    from_line,
    to_line,
)

HEIGHT, WIDTH = 40, 48


def values(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(height, width, 4) float16: a ramp that brightens from frame to frame, with grain, opaque"""
    grain = np.random.default_rng(number).random((height, width, 3), dtype=np.float32)
    ramp = np.linspace(0.1, 0.4, width, dtype=np.float32)[None, :, None] * (1 + 0.05 * number)
    return np.concatenate([ramp + 0.2 * grain, np.ones((height, width, 1), np.float32)], 2).astype(np.float16)


def exr_frame(path: Path, number: int, passes: tuple[str, ...] = (), **size: int) -> Path:
    """Combined and Depth of a render, and passes of three channels"""
    combined = values(number, **size)
    layers = [
        ExrLayer.of("ViewLayer.Combined", combined),
        ExrLayer.of("ViewLayer.Depth", combined[..., :1].astype(np.float32), ("Z",)),
        *(ExrLayer.of(f"ViewLayer.{name}", combined[..., :3].astype(np.float32), ("X", "Y", "Z")) for name in passes),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_exr(path, layers, {})
    return path


def png_frame(path: Path, number: int, **size: int) -> Path:
    pixels = np.rint(np.clip(values(number, **size)[..., :3].astype(np.float32), 0, 1) * 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with create_png(path, *pixels.shape, pixels.dtype) as png:
        png.write_rows(pixels)
    return path


def shot(folder: Path, numbers: range, suffix: str = ".exr", name: str = "shot_{:04d}", **options: Any) -> str:
    """The frames, and the pattern that stands for them"""
    make = exr_frame if suffix == ".exr" else png_frame
    for number in numbers:
        make(folder / f"{name.format(number)}{suffix}", number, **options)
    return str(folder / (name.replace("{:04d}", "####") + suffix))


def request(pattern: str, style: str, out: Path, numbers: Any = (), **choices: Any) -> AnimateRequest:
    options = {key: choices.pop(key) for key in ("resume", "workers") if key in choices}
    settings = StylizeSettings((StyleShare(style),), **{"device": "cpu", **choices})
    return AnimateRequest("job-1", pattern, settings, str(out), tuple(numbers), **{"workers": 1, **options})


def run(asked: AnimateRequest) -> list[Event]:
    """All events; every one must survive the way through a pipe, and progress never goes back."""
    events = list(animate(asked))
    assert [from_line(to_line(event)) for event in events] == events
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions) and 0 <= fractions[0] <= fractions[-1] <= 1
    return events


def done(events: list[Event], made: bool = True) -> list[int]:
    return sorted(event.frame for event in events if isinstance(event, FrameDone) and event.made is made)


def failed(events: list[Event]) -> dict[int, FrameFailed]:
    return {event.frame: event for event in events if isinstance(event, FrameFailed)}


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without those that begin with a dot"""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}
