"""What the image plugin's tests share: real corpora, if there are any, and pictures to write."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def real_corpus() -> Callable[[str], Path]:
    """Folder of a real corpus by its name; the test is skipped where there is none."""

    def find(name: str) -> Path:
        folder = Path(os.environ.get("MULTIATTN_DATA") or ROOT.parent / "shared" / "data") / name
        if not folder.is_dir():
            pytest.skip(f"no {name} in {folder.parent}; set MULTIATTN_DATA to where corpora lie")
        return folder

    return find


@pytest.fixture
def scene() -> Callable[..., PIL.Image.Image]:
    """Make a smooth picture whose four corners have different colours."""

    def make(width: int = 40, height: int = 40) -> PIL.Image.Image:
        across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
        colours = np.stack([across, down, 255 - (across + down) / 2], axis=2)
        return PIL.Image.fromarray(colours.astype(np.uint8))

    return make
