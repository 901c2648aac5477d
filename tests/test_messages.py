"""docs/messages.md is what the sources say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_the_page_of_messages_is_that_of_the_sources() -> None:
    spec = importlib.util.spec_from_file_location("make_messages", DOCS / "make_messages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    assert (DOCS / "messages.md").read_text(encoding="utf-8") == module.page(), "run python docs/make_messages.py"
