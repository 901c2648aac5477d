"""What README.md promises to whoever comes by: two lines that do everything, and commands that exist."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from engine import cli

REPO = Path(__file__).resolve().parent.parent
README = (REPO / "README.md").read_text(encoding="utf-8")
CI = (REPO / ".ci" / "run").read_text(encoding="utf-8")
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


@pytest.mark.parametrize(
    "line", [line for block in BLOCKS for line in block.splitlines() if line.startswith("pentimento ")]
)
def test_its_commands_are_understood(line: str) -> None:
    words = line.partition(" #")[0].replace("frame_*.exr", "frame_1.exr frame_2.exr").split()
    cli._parser().parse_args(words[1:])


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (REPO / target).exists(), target
