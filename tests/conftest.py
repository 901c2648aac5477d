"""What every test may use: where the shared pictures are, and pictures small enough to be quick."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # A process for each core: threads of torch for every core in each of them would wait for each other, computing.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPO = Path(__file__).resolve().parent.parent
SHARED = REPO.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with paintings, renders and sequences that stays outside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the shared pictures are not beside this checkout")
    return SHARED
