"""The guide: every page is found, has a picture, and names what is really there."""

from __future__ import annotations

import ast
import os
import re
from functools import cache
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
DOCS = REPO / "docs"
IMAGES = DOCS / "images"
PAGES = sorted(DOCS.glob("*.md"))
ELSEWHERE = (REPO / "README.md", REPO / "benchmarks" / "README.md")
"""Pages outside the guide that show its pictures and link to it"""
MOST = 400_000
"""Bytes of a picture; docs/shrink_pictures.py makes larger ones fit"""
GUIDE = (
    *("install", "first_image", "materials", "passes", "animation", "training", "keyframes", "textures"),
    *("explain", "controls", "troubleshooting"),
)
"""Pages for artists: what is **bold** in them stands in Blender"""
GENERATED = ("messages",)
"""Made from the sources: no picture, no bold labels"""
BLENDERS = """
Edit Preferences Add-ons Get Extensions Install from Disk Image Open Save As Editor 3D Viewport Render Properties
Animation Result View Transform Standard Color Space Non-Color sRGB Material Preview Rendered Texture Management
Uninstall
"""
"""Words of Blender's own menus that the guide names"""
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")


def text(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def targets(page: Path) -> list[str]:
    """What it links to and shows in this repository; a * stands for several pictures."""
    found = [target for _, target in LINK.findall(text(page)) if "://" not in target]
    return found + re.findall(r"\bdocs/images/[\w*.-]+\w", text(page))


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def resolved(page: Path, target: str) -> set[Path]:
    """The files that a target stands for."""
    if target.startswith("#"):
        return {page}
    base = REPO if target.startswith("docs/images/") else page.parent
    path = Path(os.path.normpath(base / target.partition("#")[0]))
    return set(path.parent.glob(path.name)) if "*" in target else {path} if path.exists() else set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_in_the_index_and_begins_with_what_it_gives(page: Path) -> None:
    if page.name == "README.md":
        return
    assert f"]({page.name})" in text(DOCS / "README.md")
    if page.stem not in GENERATED:
        lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line]
        assert lines[1].startswith("At the end of this page"), lines[1]
        assert any(mark for mark, _ in LINK.findall("\n".join(lines[:8]))), "no picture near the top"
        assert re.match(r"(Next page:|Back to) \[", lines[-1]), lines[-1]


@pytest.mark.parametrize("page", [*PAGES, *ELSEWHERE], ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for target in targets(page):
        found = resolved(page, target)
        assert found, target
        if "#" in target and target.partition("#")[0].endswith((".md", "")):
            assert target.partition("#")[2] in anchors(found.pop()), target


def test_the_order_of_the_day_is_that_of_the_index() -> None:
    """Who follows "next page" from the first one comes through all of them."""
    index = text(DOCS / "README.md").partition("For whoever wants to know more")[0]
    listed = re.findall(r"^\| \[[^\]]*\]\(([\w.]+)\)", index, re.MULTILINE)
    walked, page = [], "README.md"
    while match := re.search(r"^Next page: \[[^\]]*\]\(([\w.]+)\)", text(DOCS / page), re.MULTILINE):
        page = match[1]
        walked.append(page)
    assert walked == listed


def test_every_picture_is_used() -> None:
    pages = (*PAGES, *ELSEWHERE)
    used = {found for page in pages for target in targets(page) for found in resolved(page, target)}
    assert not set(IMAGES.iterdir()) - used


@pytest.mark.parametrize("picture", sorted(IMAGES.iterdir()), ids=lambda picture: picture.name)
def test_a_picture_is_small(picture: Path) -> None:
    assert picture.stat().st_size <= MOST, "run python docs/shrink_pictures.py"


@cache
def labels() -> set[str]:
    """Every text in the add-on's sources."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (REPO / "blender_addon").rglob("*.py"))
    constants = (node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {text.strip() for text in constants if isinstance(text, str)}


@pytest.mark.parametrize("name", GUIDE)
def test_what_is_bold_stands_in_blender(name: str) -> None:
    """A part at a time of **Edit > Preferences**; whole sentences are no labels."""
    known, blenders = labels(), set(BLENDERS.split())
    for bold in re.findall(r"\*\*(.+?)\*\*", text(DOCS / f"{name}.md"), re.DOTALL):
        if bold.endswith((".", "?")):
            continue
        for part in " ".join(bold.split()).split(" > "):
            assert part in known or set(part.split()) <= blenders, part
