"""Attention maps over an image: a copy for each word, bright where the model looked.

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
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from multiattn import AttentionRecord, UserError
from multiattn_image.image_files import decode_image

PANEL_SIZE = 224  # pixels of the longer side
PANEL_INCHES, LEAST_INCHES, TITLE_INCHES = 1.7, 0.9, 0.25
LETTER_WIDTH = 0.62  # of a letter, in sizes of the type
SMALLEST_TITLE = 3.0  # points
BROWSER_SIZE = 640  # pixels of the longer side
COLUMNS = 6
MIN_BRIGHTNESS = 0.25  # of the image where the model did not attend
MAX_HEIGHT = 40.0  # inches; more words get smaller panels


class ImageOverlay:
    """Draws the whole image with the square that the reader crops, then a panel for each word."""

    def draw(self, figure: Figure, record: AttentionRecord) -> None:
        """Fill an empty figure with rows of up to six panels in the image's proportions."""
        image = panel_image(record.value)
        height, width = image.shape[:2]
        panel_count = 1 + len(record.words)
        columns = min(COLUMNS, panel_count)
        rows = math.ceil(panel_count / columns)
        across = max(LEAST_INCHES, PANEL_INCHES * width / PANEL_SIZE)
        down = PANEL_INCHES * height / PANEL_SIZE + TITLE_INCHES
        shrink = min(1.0, MAX_HEIGHT / (rows * down))
        figure.set_size_inches(max(2.6, shrink * columns * across), shrink * rows * down)
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
        image_axes, *word_axes = figure.subplots(rows, columns, squeeze=False).flat
        points = 72 * shrink * across
        _draw_panel(image_axes, image, "" if record.words else "empty output", points)
        left, top, side = _square(width, height)
        frame = Rectangle((left, top), side - 1, side - 1, fill=False, ec="white", ls="--", lw=1)
        image_axes.add_patch(frame)
        brightness = brightness_maps(record.weights, record.layout.height, record.layout.width)
        for axes, word, own in zip(word_axes, record.words, brightness, strict=False):
            _draw_panel(axes, _shade(image, own), word, points)
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
    """The image (H, W, 3), its longer side PANEL_SIZE; plain grey if unreadable."""
    try:
        image = decode_image(value)
    except UserError:
        return np.full((PANEL_SIZE, PANEL_SIZE, 3), 200, dtype=np.uint8)
    scale = PANEL_SIZE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, PIL.Image.Resampling.LANCZOS))


def _square(width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side of the square in the centre, in pixels."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


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
    """The image as bright as its word looked at it; dim outside of the square.

    brightness: (PANEL_SIZE, PANEL_SIZE), over the square.
    """
    height, width = image.shape[:2]
    left, top, side = _square(width, height)
    resized = PIL.Image.fromarray(brightness).resize((side, side), PIL.Image.Resampling.BILINEAR)
    shares = np.zeros((height, width, 1), dtype=np.float32)
    shares[top : top + side, left : left + side, 0] = np.asarray(resized)
    factor = MIN_BRIGHTNESS + (1 - MIN_BRIGHTNESS) * shares
    shaded: NDArray[np.uint8] = np.rint(image * factor).astype(np.uint8)
    return shaded


def _draw_panel(axes: Axes, image: NDArray[np.uint8], title: str, points: float) -> None:
    """Draw a panel that is so many points wide; a long title is written smaller."""
    axes.imshow(image)
    axes.set_axis_off()
    size = max(SMALLEST_TITLE, min(9.0, points / max(1.0, LETTER_WIDTH * len(title))))
    # a word may contain $, which matplotlib would parse as a formula
    axes.set_title(title, fontsize=size, pad=2, parse_math=False)
