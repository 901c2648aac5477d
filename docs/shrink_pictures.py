"""Makes the pictures of the guide small: at most 400 KB each, which tests/test_docs.py asks for.

    python docs/shrink_pictures.py [FILE ...]

PNGs get a palette of 256 colours, which panels hardly use up. What is still too large is saved at less quality, then
at less size. Without files: whatever is too large in docs/images. What fits already is left as it is.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

MOST = 400_000
"""Bytes of a picture: a page with five of them still opens at once."""
QUALITIES = (88, 82, 76, 70)
"""Of JPEG, from hardly seen to seen by who looks for it"""
SMALLER = 0.9
"""Of each edge, when no quality is enough"""
IMAGES = Path(__file__).with_name("images")


def shrink(path: Path) -> None:
    """Writes the picture anew in the first way that is small enough; of a PNG always with a palette."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    is_png = path.suffix == ".png"
    if not is_png and path.stat().st_size <= MOST:
        return
    packed = next(data for data in _ways(picture, is_png) if len(data) <= MOST)
    if len(packed) < path.stat().st_size:
        path.write_bytes(packed)


def _ways(picture: Image.Image, is_png: bool) -> Iterator[bytes]:
    while True:
        if is_png:
            yield _saved(picture.quantize(256, kmeans=2, dither=Image.Dither.NONE), "PNG", optimize=True)
        else:
            yield from (_saved(picture, "JPEG", quality=each, optimize=True, progressive=True) for each in QUALITIES)
        width, height = (round(edge * SMALLER) for edge in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)


def _saved(picture: Image.Image, kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the pictures of the guide small.")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    large = sorted(path for path in IMAGES.iterdir() if path.stat().st_size > MOST)
    for path in parser.parse_args().files or large:
        before = path.stat().st_size
        shrink(path)
        print(f"{path.name}: {before // 1000} KB, now {path.stat().st_size // 1000} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
