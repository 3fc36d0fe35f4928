"""Attention over a picture: once per word, the picture is lit where the model looked.

It refuses to know how the weights came about, and imports no torch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from multiattn.errors import UserError
from multiattn.rendering import AttentionRecord
from multiattn_image.image_files import centre_square, decode

SIDE = 224  # pixels of a panel
COLUMNS = 6
DARK = 0.25  # how bright the picture is where nobody looks
HIGHEST = 40.0  # inches: what has more words gets smaller panels


class OverPicture:
    """The picture, then a panel per word: what the reader keeps of it, bright where looked at."""

    def draw(self, figure: Figure, record: AttentionRecord) -> None:
        """Fill an empty figure, a row of panels for every six."""
        panels = 1 + len(record.words)
        columns = min(COLUMNS, panels)
        rows = math.ceil(panels / columns)
        side = min(1.7, HIGHEST / (1.15 * rows))
        figure.set_size_inches(max(2.6, side * columns), 1.15 * side * rows)
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
        first, *others = figure.subplots(rows, columns, squeeze=False).flat
        picture = square_picture(record.value)
        _show(first, picture, "" if record.words else "nothing was written")
        light = lit(record.weights, record.layout.height, record.layout.width)  # (W, H, W)
        for axes, word, shares in zip(others, record.words, light, strict=False):
            _show(axes, _shaded(picture, shares), word)
        for axes in others[len(record.words) :]:
            axes.set_axis_off()


def square_picture(value: Any) -> NDArray[np.uint8]:
    """The middle of the picture (SIDE, SIDE, 3), as a reader keeps it; grey where it is gone."""
    try:
        return np.asarray(centre_square(decode(value), SIDE))
    except UserError:
        return np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)


def lit(weights: NDArray[np.floating[Any]], height: int, width: int) -> NDArray[np.float32]:
    """Weights (W, S) over a grid's cells -> how bright each pixel is, 0 to 1: (W, SIDE, SIDE).

    A cell's weight stands at its middle, and between the middles it changes smoothly. A word's
    strongest cell is 1, unless even that is hardly more than looking everywhere.
    """
    strongest = weights.max(axis=1, keepdims=True, initial=3 / (height * width))  # (W, 1)
    cells = (weights / strongest).astype(np.float32).reshape(-1, height, width)
    smooth = PIL.Image.Resampling.BICUBIC
    images = (PIL.Image.fromarray(shares).resize((SIDE, SIDE), smooth) for shares in cells)
    light = [np.clip(np.asarray(image), 0.0, 1.0) for image in images]
    return np.array(light, dtype=np.float32).reshape(-1, SIDE, SIDE)


def _shaded(picture: NDArray[np.uint8], light: NDArray[np.float32]) -> NDArray[np.uint8]:
    brightness = DARK + (1 - DARK) * light[:, :, None]  # (SIDE, SIDE, 1)
    shaded: NDArray[np.uint8] = np.rint(picture * brightness).astype(np.uint8)
    return shaded


def _show(axes: Axes, picture: NDArray[np.uint8], title: str) -> None:
    axes.imshow(picture)
    axes.set_axis_off()
    # a word is no formula, whatever stands in it
    axes.set_title(title, fontsize=9, pad=2, parse_math=False)
