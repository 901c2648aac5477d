"""Starts the worker: `python -I boot.py [--site DIR]`.

-I keeps the user's own Python settings and packages out. DIR holds the packages that only the worker may see.
The engine is loaded from beside this file by its path: nothing else of the add-on becomes importable.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description="Pentimento's worker; the add-on starts it.")
    parser.add_argument("--site", help="folder with the packages the worker imports")
    site = parser.parse_args().site
    if site:
        sys.path.insert(0, site)
    _load_engine(Path(__file__).resolve().parent)
    importlib.import_module("engine.worker").main()


def _load_engine(folder: Path) -> None:
    """Make `folder` the package `engine`, wherever it lies."""
    spec = importlib.util.spec_from_file_location(
        "engine", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise SystemExit(f"There is no engine in {folder}. Install the add-on again.")
    package = importlib.util.module_from_spec(spec)
    sys.modules["engine"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    main()
