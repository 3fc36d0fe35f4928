"""Shared by the tests of all plugins."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def real_corpus() -> Callable[[str], Path]:
    """Folder of a real corpus by its name; the test is skipped where there is none."""

    def find(name: str) -> Path:
        folder = Path(os.environ.get("MULTIATTN_DATA") or SHARED) / name
        if not folder.is_dir():
            pytest.skip(f"no {name} in {folder.parent}; set MULTIATTN_DATA to the corpora's folder")
        return folder

    return find
