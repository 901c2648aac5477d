"""What README.md promises to whoever comes by: two lines that do everything, and commands that exist (so in docs)."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from engine import cli

REPO = Path(__file__).resolve().parent.parent
README = (REPO / "README.md").read_text(encoding="utf-8")
CI = (REPO / ".ci" / "run").read_text(encoding="utf-8")
PAGES = (REPO / "README.md", *sorted((REPO / "docs").glob("*.md")))
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
DEMO = "python3 -m venv .venv && .venv/bin/pip install -e '.[demo]' && .venv/bin/pentimento demo --out demo"
TESTS = "python3 -m venv .venv-test && .venv-test/bin/pip install -e '.[test]' && .venv-test/bin/python -m pytest"


@pytest.mark.parametrize("line", [DEMO, TESTS])
def test_the_two_commands_are_one_line_each(line: str) -> None:
    assert f"{line}\n" in BLOCKS, "alone in its block, to be copied as it stands"


def test_ci_runs_the_line_of_the_readme() -> None:
    pattern = re.search(r"grep '(\^[^']+)' README.md", CI)
    assert pattern
    assert re.findall(pattern[1] + ".*", README, re.MULTILINE) == [TESTS]


def test_ci_is_a_script_that_bash_can_read() -> None:
    assert (REPO / ".ci" / "run").stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(REPO / ".ci" / "run")], check=True)


def test_the_extras_it_names_exist() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {extra for group in re.findall(r"'\.\[([a-z,]+)\]'", README) for extra in group.split(",")}
    assert named <= set(project["optional-dependencies"])


def test_the_libraries_are_those_that_ci_installs() -> None:
    (line,) = [block for block in BLOCKS if "apt-get install" in block]
    listed = re.search(r"LIBRARIES=\((.*?)\)", CI)
    assert listed and set(listed[1].split()) <= set(line.split())


def commands(page: Path) -> list[str]:
    """The lines of a page that call the program."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("pentimento ")]


@pytest.mark.parametrize("line", dict.fromkeys(line for page in PAGES for line in commands(page)))
def test_commands_are_understood(line: str) -> None:
    words = shlex.split(line.replace("*", "1"), comments=True)
    cli._parser().parse_args(words[1:])


def test_five_commands_are_enough_for_the_first_page_and_all_are_on_their_own() -> None:
    assert len(commands(REPO / "README.md")) == 5
    told = {line.split()[1] for line in commands(REPO / "docs" / "command_line.md")}
    (known,) = (action.choices for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert told == set(known)


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README):
        assert (REPO / target).exists(), target
