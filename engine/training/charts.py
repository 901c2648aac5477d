"""Small line charts: one set of points, drawn as SVG for a page and with Pillow for a picture."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Points = Sequence[tuple[float, float]]
INK, QUIET, EDGE, GROUND = "#dcdcdc", "#a3a3a3", "#4a4a4a", "#262626"
COLOURS = ("#56b4e9", "#e69f00", "#2fbf8f", "#cc79a7", "#f0e442", "#e8743b")
"""Told apart by colour-blind eyes too (Okabe and Ito, "Color Universal Design", 2008), on a dark grey."""
MARK = "#e05252"
LEFT, RIGHT, TOP, LINE = 46, 10, 24, 15
"""Margins of a chart in pixels, and the height of a line of its legend."""
SHARP = 3
"""Pillow draws lines with steps: charts are drawn this much larger and shrunk."""


@dataclass(frozen=True)
class Chart:
    """Lines over the same axis."""

    title: str
    lines: Mapping[str, Points]
    """Points (step, value) by name, in the order of steps; at most as many lines as COLOURS"""
    logarithmic: bool = False
    span: tuple[float, float] | None = None
    """What the axis shows at least, so that a ripple does not look like a wave; not on a logarithmic one"""
    marks: Sequence[float] = ()
    """Steps at which something was found"""


@dataclass(frozen=True)
class _Layout:
    """A chart in pixels."""

    lines: list[tuple[str, str, list[tuple[float, float]]]]
    """Name, colour, points"""
    marks: list[float]
    labels: list[tuple[float, str]]
    """Height and text of what is written at the left"""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom of the field"""
    steps: tuple[str, str]


def svg(chart: Chart, width: int, height: int) -> str:
    """The chart as an <svg> element that needs nothing else."""
    found = _layout(chart, width, height)
    left, top, right, bottom = found.box
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" font-family="system-ui, sans-serif" font-size="11">',
        f"<title>{html.escape(chart.title)}</title>",
        _text(0, 14, chart.title, INK, size=13),
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="{EDGE}"/>',
    ]
    parts += [_text(left - 5, y + 4, text, QUIET, "end") for y, text in found.labels]
    parts += [_text(left, bottom + 13, found.steps[0], QUIET), _text(right, bottom + 13, found.steps[1], QUIET, "end")]
    parts += [f'<path d="M{x:.1f} {top}V{bottom}" stroke="{MARK}" stroke-dasharray="2 3"/>' for x in found.marks]
    for name, colour, points in found.lines:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round">'
            f"<title>{html.escape(name)}</title></polyline>"
        )
    for (name, colour, _), (x, y) in zip(found.lines, _legend(found, width), strict=True):
        parts += [f'<path d="M{x} {y - 4}h14" stroke="{colour}" stroke-width="2.5"/>', _text(x + 19, y, name, QUIET)]
    return "".join([*parts, "</svg>"])


def picture(chart: Chart, width: int, height: int) -> Image.Image:
    """The chart as an RGB picture."""
    found = _layout(chart, width, height)
    large = Image.new("RGB", (width * SHARP, height * SHARP), GROUND)
    draw = ImageDraw.Draw(large)

    def scaled(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x * SHARP, y * SHARP) for x, y in points]

    def text(x: float, y: float, words: str, ink: str, anchor: str = "ls", size: int = 11) -> None:
        draw.text((x * SHARP, y * SHARP), words, ink, ImageFont.load_default(size * SHARP), anchor)

    left, top, right, bottom = found.box
    text(0, 14, chart.title, INK, size=13)
    draw.line(scaled((left, top), (left, bottom), (right, bottom)), EDGE, SHARP)
    for y, label in found.labels:
        text(left - 5, y + 4, label, QUIET, "rs")
    text(left, bottom + 13, found.steps[0], QUIET)
    text(right, bottom + 13, found.steps[1], QUIET, "rs")
    for x in found.marks:
        for y in range(round(top), round(bottom), 5):
            draw.line(scaled((x, y), (x, y + 2)), MARK, SHARP)
    for (name, colour, points), (x, y) in zip(found.lines, _legend(found, width), strict=True):
        draw.line(scaled(*points), colour, round(1.6 * SHARP), joint="curve")
        draw.line(scaled((x, y - 4), (x + 14, y - 4)), colour, round(2.5 * SHARP))
        text(x + 19, y, name, QUIET)
    return large.resize((width, height), Image.Resampling.LANCZOS)


def _layout(chart: Chart, width: int, height: int) -> _Layout:
    every = [(x, y) for points in chart.lines.values() for x, y in points if not chart.logarithmic or y > 0]
    first, last = min(x for x, _ in every), max(x for x, _ in every)
    low, high = _range([*(y for _, y in every), *(chart.span or ())], chart.logarithmic)
    rows = -(-len(chart.lines) // 2)
    left, top, right, bottom = LEFT, TOP, width - RIGHT, height - 20 - rows * LINE

    def place(x: float, y: float) -> tuple[float, float]:
        value = math.log10(max(y, 1e-30)) if chart.logarithmic else y
        across = (x - first) / max(last - first, 1)
        return left + across * (right - left), bottom - (value - low) / (high - low) * (bottom - top)

    lines = [
        (name, colour, [place(x, y) for x, y in points])
        for (name, points), colour in zip(chart.lines.items(), COLOURS, strict=False)
    ]
    labels = [
        (bottom - share * (bottom - top), _number(low + share * (high - low), chart.logarithmic))
        for share in (0, 0.5, 1)
    ]
    marks = [place(step, 1)[0] for step in chart.marks if first <= step <= last]
    return _Layout(lines, marks, labels, (left, top, right, bottom), (f"step {first:g}", f"{last:g}"))


def _range(values: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    """What the axis shows: a little more than there is; a flat line lies in the middle."""
    low, high = min(values), max(values)
    if logarithmic:
        low, high = math.log10(low), math.log10(high)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return low - room, high + room


def _number(value: float, logarithmic: bool) -> str:
    return f"{10**value if logarithmic else value:.2g}"


def _legend(found: _Layout, width: int) -> list[tuple[float, float]]:
    """Where each name begins, two to a line."""
    left, _, _, bottom = found.box
    column = (width - left) / 2
    return [(left + n % 2 * column, bottom + 29 + n // 2 * LINE) for n in range(len(found.lines))]


def _text(x: float, y: float, words: str, ink: str, anchor: str = "start", size: int = 11) -> str:
    place = f'x="{x:g}" y="{y:g}" fill="{ink}" text-anchor="{anchor}" font-size="{size}"'
    return f"<text {place}>{html.escape(words)}</text>"
