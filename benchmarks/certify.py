"""The table of docs/explain_details.md: every overlay of every style that ships, certified over twenty pictures.

    python -m benchmarks.certify --shared FOLDER [--only NAME ...] [--overlay NAME ...] [--random-weights]
    python -m benchmarks.certify --table

The pictures are the renders that no training saw, and frames of two shots with their passes. A style takes a quarter of
an hour of one processor core. Rows of styles and overlays that are not asked this time stay in the result file.
--random-weights: only what overlays share with networks that learned nothing (B5) is measured anew, in a minute.
--table asks nothing: it writes the table anew from the result file of this machine.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from engine import style_pack
from engine.certification import OF_PLACES, beside_random_styles, certify
from engine.explain.overlay import OF_A_REGION
from engine.mixing import open_styles
from engine.protocol import CertifyRequest, Done, StyleShare, StylizeSettings

from . import machine
from .train_library import HELD_OUT_SEEDS, KEYFRAME_STYLES, LIBRARY

FRAMES = ("walk/walk_0002.exr", "walk/walk_0006.exr", "walk/walk_0012.exr", "native/walk_0008_native.exr")
STYLES = Path(__file__).parent.parent / "engine" / "styles"
RESULTS = "certify"
DOCUMENT = Path(__file__).parent.parent / "docs" / "explain_details.md"
BEGIN, END = "<!-- certify table -->", "<!-- end -->"
"""In the document, around the table"""
NAMES = {
    "parts add up,": "parts add up",
    "lead over": "lead over the best control",
    "deletion: ahead of": "deletion: ahead of the best control",
}
"""Of checks whose own name goes on differently each time: certificate.KINDS"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--shared", type=Path)
    way.add_argument("--table", action="store_true")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--overlay", nargs="*", default=[], choices=OF_A_REGION, metavar="NAME")
    parser.add_argument("--random-weights", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        styles = json.loads(machine.result_file(RESULTS).read_text(encoding="utf-8"))["styles"]
        DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8"), styles), encoding="utf-8")
        return
    pictures = content(arguments.shared)
    for style in (*LIBRARY, *KEYFRAME_STYLES):
        folder = STYLES / style_pack.slug(style.name)
        if folder.exists() and (not arguments.only or style.name in arguments.only):
            if arguments.random_weights:
                print(style.name, random_weights(style.name, folder, pictures, arguments.overlay), flush=True)
                continue
            request = CertifyRequest("certify", str(folder), pictures, tuple(arguments.overlay), len(pictures), "cpu")
            (done,) = [event for event in certify(request) if isinstance(event, Done)]
            print("\n".join(done.report["say"]), flush=True)
            print(kept(style.name, done.report), flush=True)


def content(shared: Path) -> tuple[str, ...]:
    renders = sorted((shared / "content" / "renders").glob("*.jpg"))
    held_out = [path for path in renders if int(path.name[:4]) in HELD_OUT_SEEDS]
    return tuple(map(str, (*held_out, *(shared / "sequences" / frame for frame in FRAMES))))


def random_weights(name: str, folder: Path, pictures: tuple[str, ...], overlays: list[str]) -> Path:
    """B5 into the result file, in the place of what was known of it; every other row stays."""
    styles = open_styles(StylizeSettings((StyleShare(str(folder)),), device="cpu"), lambda note: None)
    asked = [one for one in OF_PLACES if not overlays or one in overlays]
    new = {row.overlay: row.to_json() for row in beside_random_styles(styles, list(map(Path, pictures)), asked)}
    file = machine.result_file(RESULTS)
    known = json.loads(file.read_text(encoding="utf-8"))["styles"]
    rows = [new.get(row["overlay"], row) if row["bar"] == "B5" else row for row in known[name]["rows"]]
    return machine.write(RESULTS, {"styles": {**known, name: {**known[name], "rows": rows}}})


def kept(name: str, report: dict[str, Any]) -> Path:
    """Into the result file of this machine, in the place of what was known of the same overlays."""
    file = machine.result_file(RESULTS)
    styles = json.loads(file.read_text(encoding="utf-8"))["styles"] if file.exists() else {}
    asked = {row["overlay"] for row in report["rows"]}
    rows = [row for row in styles.get(name, {}).get("rows", []) if row["overlay"] not in asked] + report["rows"]
    rows.sort(key=lambda row: OF_A_REGION.index(row["overlay"]))
    facts = {key: report[key] for key in ("pictures", "areas", "edge", "refused")}
    return machine.write(RESULTS, {"styles": {**styles, name: {**facts, "rows": rows}}})


# ---------------------------------------------------------------- the table


def with_table(text: str, styles: dict[str, Any]) -> str:
    """The document with the table of these styles in the place of its own."""
    before, rest = text.split(BEGIN)
    after = rest.split(END, 1)[1]
    note = "*Median (worst case), and how often the bar was met where that was not every time.*"
    return f"{before}{BEGIN}\n\n{table(styles)}\n\n{note}\n\n{END}{after}"


def table(styles: dict[str, Any]) -> str:
    """A line for every bar of every overlay, a column for every style; empty where a style was not asked."""
    found = {name: {_key(row): row for row in style["rows"]} for name, style in styles.items()}
    first = {key: row for rows in found.values() for key, row in rows.items()}
    keys = sorted(first, key=lambda key: OF_A_REGION.index(key[0]))
    lines = [f"| overlay | bar | | at | {' | '.join(found)} |", f"|---|---|---|---|{'---|' * len(found)}"]
    for overlay, bar, name in keys:
        cells = [_cell(rows.get((overlay, bar, name))) for rows in found.values()]
        at = _number(first[overlay, bar, name]["threshold"])
        lines.append(f"| {overlay} | {bar} | {NAMES.get(name, name)} | {at} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["overlay"], row["bar"], row["name"]


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    missed = "" if row["passed"] == row["count"] else f" **{row['passed']}/{row['count']}**"
    return f"{_number(row['median'])} ({_number(row['worst'])}){missed}"


def _number(value: float) -> str:
    """To two places; what would be nothing there as a power of ten: 3.1e-3"""
    if value == 0 or abs(value) >= 0.005:
        return f"{value:.2f}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}"


if __name__ == "__main__":
    main()
