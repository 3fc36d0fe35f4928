"""Images for the tests of the image plugin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import PIL.Image
import pytest


@pytest.fixture
def scene() -> Callable[..., PIL.Image.Image]:
    """Make a smooth image whose four corners have different colours."""

    def make(width: int = 40, height: int = 40) -> PIL.Image.Image:
        across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
        colours = np.stack([across, down, 255 - (across + down) / 2], axis=2)
        return PIL.Image.fromarray(colours.astype(np.uint8))

    return make
