"""Do overlays stay on what they speak of from frame to frame (B6)? Two frames of a shot, one warped onto the other.

    python -m benchmarks.overlay_frames --shared FOLDER [--only NAME ...]

The correlation of every full-frame overlay with itself one frame earlier, brought along by Blender's Vector pass, over
the pixels that both frames show; beside it that of the results' luminance. Strokes of a style without guides lie still
while things move, so an overlay that speaks of strokes moves as little as they do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from engine import style_pack
from engine.certification import subject_of
from engine.explain.certificate import correlation
from engine.explain.families import Subject, overlay
from engine.explain.removal import LUMINANCE
from engine.mixing import open_styles
from engine.motion import Motion, bilinear, motion
from engine.picture import Floats
from engine.protocol import StyleShare, StylizeSettings

from . import machine
from .train_library import KEYFRAME_STYLES, LIBRARY

STYLES = Path(__file__).parent.parent / "engine" / "styles"
SHOT, FRAMES = "walk", (8, 9)
ASKED = ("Scale", "StyleFit", "Influence", "Removal")
EDGE = 384


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="no result file is written then")
    arguments = parser.parse_args()
    rows = {}
    for style in (*LIBRARY, *KEYFRAME_STYLES):
        folder = STYLES / style_pack.slug(style.name)
        if folder.exists() and (not arguments.only or style.name in arguments.only):
            rows[style.name] = measured(folder, arguments.shared / "sequences" / SHOT)
            print(style.name, rows[style.name], flush=True)
    if not arguments.only:
        print(machine.write("overlay_frames", {"shot": SHOT, "frames": FRAMES, "styles": rows}))


def measured(style: Path, shot: Path) -> dict[str, float]:
    """Correlations by overlay; of Scale, of its strongest band"""
    styles = open_styles(StylizeSettings((StyleShare(str(style)),), device="cpu"), lambda note: None)
    before, now = (subject_of(styles, shot / f"{shot.name}_{frame:04d}.exr", EDGE) for frame in FRAMES)
    assert before.passes is not None and now.passes is not None  # they are renders
    way = motion(before.passes, now.passes)
    found = {name: followed(answer(name, before), answer(name, now), way) for name in ASKED}
    earlier, later = (np.tensordot(LUMINANCE, subject.after, axes=1)[..., None] for subject in (before, now))
    return {"result": followed(earlier, later, way), **found}


def answer(name: str, subject: Subject) -> Floats:
    """(H, W, C)"""
    work, last = overlay(name, subject), None
    while last is None:
        try:
            step = next(work)
            last = None if isinstance(step, float) else step
        except StopIteration as end:
            last = end.value
    return last.pixels


def followed(before: Floats, now: Floats, way: Motion) -> float:
    """Of the channel that has most to say"""
    channel = int(np.abs(now).mean(axis=(0, 1)).argmax())
    there = bilinear(before[None, ..., channel], way.rows[way.visible], way.columns[way.visible])[0]
    return round(correlation(there, now[..., channel][way.visible]), 3)


if __name__ == "__main__":
    main()
