"""Attention maps: a panel per word, bright where the model attended, even without the image."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure

from multiattn import AttentionRecord, Grid
from multiattn_image.rendering import (
    MIN_BRIGHTNESS,
    PANEL_SIZE,
    ImageOverlay,
    brightness_maps,
    panel_image,
)


def draw_figure(value, words=("a", "dog")):
    """Each word attends to the next of 2 × 3 cells."""
    weights = np.eye(len(words), 6)
    record = AttentionRecord("photo", value, (), words, weights, Grid(2, 3))
    figure = Figure()
    ImageOverlay().draw(figure, record)
    figure.savefig(io.BytesIO(), format="png", dpi=20)
    return figure


def pixels(axes):
    (image,) = axes.get_images()
    return np.asarray(image.get_array()).astype(int)


def test_the_image_is_followed_by_a_panel_per_word(scene):
    axes = draw_figure(scene()).axes
    assert [panel.get_title() for panel in axes] == ["", "a", "dog"]
    assert np.array_equal(pixels(axes[0]), panel_image(scene()))


def test_the_brightest_area_is_at_the_cells_position():
    """A white image and 2 × 3 cells: of all thirds of both halves, the cell's own is brightest."""
    white = np.full((50, 50, 3), 255, np.uint8)
    panels = draw_figure(white, words=tuple("abcdef")).axes[1:]
    for cell, axes in enumerate(panels[:6]):
        row, column = divmod(cell, 3)
        brightness = pixels(axes)[:, :, 0].reshape(2, PANEL_SIZE // 2, PANEL_SIZE)
        means = [[third.mean() for third in np.array_split(half, 3, axis=1)] for half in brightness]
        assert np.unravel_index(np.argmax(means), (2, 3)) == (row, column)
        assert np.asarray(means).max() > 3 * np.asarray(means).min()


def test_the_whole_image_is_shown_and_the_square_that_the_reader_keeps_is_marked():
    """A white image three times as wide as high: only its middle third can be bright."""
    figure = draw_figure(np.full((20, 60, 3), 255, np.uint8), words=("a",))
    whole, panel = (pixels(axes)[:, :, 0] for axes in figure.axes[:2])
    assert whole.shape == panel.shape == (75, 224)
    (frame,) = figure.axes[0].patches
    assert (frame.get_x(), frame.get_width()) == ((224 - 75) // 2, 74)
    outside = np.concatenate([panel[:, :73], panel[:, 151:]], axis=1)
    assert outside.max() == round(255 * MIN_BRIGHTNESS)
    assert panel[:, 74:149].max() > 3 * outside.max()


@pytest.mark.parametrize("shape", [(40, 40), (20, 60), (60, 20)])
def test_labels_do_not_overlap(shape):
    words = ("incomprehensibilities", "of", "Donaudampfschifffahrtsgesellschaft") * 3
    figure = draw_figure(np.full((*shape, 3), 255, np.uint8), words=words)
    figure.savefig(io.BytesIO(), format="png")
    titles = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
    for one, other in itertools.combinations(titles, 2):
        assert not one.overlaps(other)


def test_brightness_is_full_at_the_strongest_cell_and_zero_at_unattended_ones():
    for weight in (1.0, 0.8):
        (brightness,) = brightness_maps(np.array([[weight, 0, 0, 0]]), 2, 2)
        assert brightness[PANEL_SIZE // 4, PANEL_SIZE // 4] == pytest.approx(1.0, abs=0.1)
        assert brightness[PANEL_SIZE * 3 // 4, PANEL_SIZE * 3 // 4] == pytest.approx(0.0, abs=0.02)


def test_uniform_attention_is_not_bright():
    (brightness,) = brightness_maps(np.full((1, 196), 1 / 196), 14, 14)
    assert np.allclose(brightness, 1 / 3)


def test_words_are_not_parsed_as_formulas(scene):
    titles = [axes.get_title() for axes in draw_figure(scene(), words=("$x^$", "a_b")).axes]
    assert titles == ["", "$x^$", "a_b"]


@pytest.mark.parametrize("value", ["/nowhere.jpg", b"not an image"])
def test_an_unreadable_image_is_replaced_by_plain_grey(value):
    axes = draw_figure(value).axes
    assert pixels(axes[1]).max() > 2 * pixels(axes[1]).min()


def test_an_output_without_words_is_labelled(scene):
    (axes,) = draw_figure(scene(), words=()).axes
    assert axes.get_title() == "empty output"


@pytest.mark.parametrize("word_count", [1, 5, 6, 7, 400])
def test_every_word_has_a_panel_and_the_figure_a_size_limit(word_count, monkeypatch):
    monkeypatch.setattr("multiattn_image.rendering.PANEL_SIZE", 16)
    words = tuple(f"w{n}" for n in range(word_count))
    weights = np.full((word_count, 4), 0.25)
    figure = Figure()
    record = AttentionRecord("photo", "/nowhere.jpg", (), words, weights, Grid(2, 2))
    ImageOverlay().draw(figure, record)
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == list(words)
    assert max(figure.get_size_inches()) <= 40
