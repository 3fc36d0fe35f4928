"""Attention maps over an image: one copy per word, bright where the model attended.

Imports no torch.

Letters: W words, S grid cells.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from multiattn import AttentionRecord, UserError
from multiattn_image.image_files import centre_square, decode_image

PANEL_SIZE = 224  # pixels a side
BROWSER_SIZE = 640  # pixels of the longer side
COLUMNS = 6
MIN_BRIGHTNESS = 0.25  # of the image where the model did not attend
MAX_HEIGHT = 40.0  # inches; more words get smaller panels


class ImageOverlay:
    """Draws the image as the reader crops it, then a panel per word with the weights over it."""

    def draw(self, figure: Figure, record: AttentionRecord) -> None:
        """Fill an empty figure with rows of six panels."""
        panel_count = 1 + len(record.words)
        columns = min(COLUMNS, panel_count)
        rows = math.ceil(panel_count / columns)
        side = min(1.7, MAX_HEIGHT / (1.15 * rows))
        figure.set_size_inches(max(2.6, side * columns), 1.15 * side * rows)
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
        image_axes, *word_axes = figure.subplots(rows, columns, squeeze=False).flat
        image = panel_image(record.value)
        _draw_panel(image_axes, image, "" if record.words else "empty output")
        brightness = brightness_maps(record.weights, record.layout.height, record.layout.width)
        for axes, word, word_brightness in zip(word_axes, record.words, brightness, strict=False):
            _draw_panel(axes, _shade(image, word_brightness), word)
        for axes in word_axes[len(record.words) :]:
            axes.set_axis_off()

    def media(self, record: AttentionRecord) -> Mapping[str, Any]:
        """The image for the viewer. Raises UserError if it can no longer be read."""
        return browser_image(record.value)


def browser_image(value: Any) -> dict[str, Any]:
    """The whole image as a JPEG of at most BROWSER_SIZE pixels, and the square the reader crops.

    Raises UserError for an image that cannot be read.
    """
    image = decode_image(value)
    image.thumbnail((BROWSER_SIZE, BROWSER_SIZE), PIL.Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=82, optimize=True)
    width, height = image.size
    side = min(width, height)
    return {
        "kind": "image",
        "src": "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode(),
        "width": width,
        "height": height,
        "seen": [(width - side) / 2, (height - side) / 2, side, side],
    }


def panel_image(value: Any) -> NDArray[np.uint8]:
    """The centre square of the image (PANEL_SIZE, PANEL_SIZE, 3); plain grey if unreadable."""
    try:
        return np.asarray(centre_square(decode_image(value), PANEL_SIZE))
    except UserError:
        return np.full((PANEL_SIZE, PANEL_SIZE, 3), 200, dtype=np.uint8)


def brightness_maps(
    weights: NDArray[np.floating[Any]], height: int, width: int
) -> NDArray[np.float32]:
    """Attention weights (W, S) to brightness per pixel in [0, 1]: (W, PANEL_SIZE, PANEL_SIZE).

    A cell's weight applies at its centre; between centres the brightness is interpolated. A word's
    strongest cell gets 1, unless its weight is below three times the uniform weight.
    """
    strongest = weights.max(axis=1, keepdims=True, initial=3 / (height * width))  # (W, 1)
    cells = (weights / strongest).astype(np.float32).reshape(-1, height, width)
    size, bicubic = (PANEL_SIZE, PANEL_SIZE), PIL.Image.Resampling.BICUBIC
    resized = (PIL.Image.fromarray(word_cells).resize(size, bicubic) for word_cells in cells)
    brightness = [np.clip(np.asarray(image), 0.0, 1.0) for image in resized]
    return np.array(brightness, dtype=np.float32).reshape(-1, *size)


def _shade(image: NDArray[np.uint8], brightness: NDArray[np.float32]) -> NDArray[np.uint8]:
    factor = MIN_BRIGHTNESS + (1 - MIN_BRIGHTNESS) * brightness[:, :, None]
    shaded: NDArray[np.uint8] = np.rint(image * factor).astype(np.uint8)
    return shaded


def _draw_panel(axes: Axes, image: NDArray[np.uint8], title: str) -> None:
    axes.imshow(image)
    axes.set_axis_off()
    # a word may contain $, which matplotlib would parse as a formula
    axes.set_title(title, fontsize=9, pad=2, parse_math=False)
