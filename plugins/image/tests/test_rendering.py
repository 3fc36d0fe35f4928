"""A picture per word: lit where the model looked, and a picture that is gone is no loss."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from multiattn.engine.layouts import Grid
from multiattn.prediction.rendering import AttentionRecord
from multiattn_image.rendering import SIDE, OverPicture, lit, square_picture


def drawn(value, words=("a", "dog")):
    """Each word looks at the next of 2 × 3 cells."""
    weights = np.eye(len(words), 6)
    record = AttentionRecord("photo", value, (), words, weights, Grid(2, 3))
    figure = Figure()
    OverPicture().draw(figure, record)
    figure.savefig(io.BytesIO(), format="png", dpi=20)
    return figure


def shown(axes):
    (image,) = axes.get_images()
    return np.asarray(image.get_array()).astype(int)


def test_the_picture_comes_first_and_then_a_panel_per_word(scene):
    axes = drawn(scene()).axes
    assert [each.get_title() for each in axes] == ["", "a", "dog"]
    assert np.array_equal(shown(axes[0]), square_picture(scene()))


def test_a_cell_is_lit_where_it_is_in_the_picture():
    """Each of 2 × 3 cells: the brightest third of a half is its own, the picture is white."""
    white = np.full((50, 50, 3), 255, np.uint8)
    panels = drawn(white, words=tuple("abcdef")).axes[1:]
    for cell, axes in enumerate(panels[:6]):
        row, column = divmod(cell, 3)
        light = shown(axes)[:, :, 0].reshape(2, SIDE // 2, SIDE)
        means = [[part.mean() for part in np.array_split(half, 3, axis=1)] for half in light]
        assert np.unravel_index(np.argmax(means), (2, 3)) == (row, column)
        assert np.asarray(means).max() > 3 * np.asarray(means).min()


def test_the_panels_show_the_middle_that_the_reader_keeps(scene):
    """A picture three times as wide as high, its middle third blue."""
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40, 2] = 255
    assert (square_picture(wide)[:, :, 2] >= 250)[:, 8:-8].all()


def test_light_is_all_there_is_at_a_words_strongest_cell_and_none_where_it_did_not_look():
    for weight in (1.0, 0.8):
        (light,) = lit(np.array([[weight, 0, 0, 0]]), 2, 2)
        assert light[SIDE // 4, SIDE // 4] == pytest.approx(1.0, abs=0.1)
        assert light[SIDE * 3 // 4, SIDE * 3 // 4] == pytest.approx(0.0, abs=0.02)


def test_looking_everywhere_is_never_bright():
    (light,) = lit(np.full((1, 196), 1 / 196), 14, 14)
    assert np.allclose(light, 1 / 3)


def test_words_are_no_formulas(scene):
    titles = [axes.get_title() for axes in drawn(scene(), words=("$x^$", "a_b")).axes]
    assert titles == ["", "$x^$", "a_b"]


@pytest.mark.parametrize("value", ["/nowhere.jpg", b"no picture"])
def test_a_picture_that_is_gone_leaves_where_was_looked(value):
    axes = drawn(value).axes
    assert shown(axes[1]).max() > 2 * shown(axes[1]).min()


def test_nothing_written_is_said(scene):
    (axes,) = drawn(scene(), words=()).axes
    assert axes.get_title() == "nothing was written"


@pytest.mark.parametrize("words", [1, 5, 6, 7, 400])
def test_every_word_has_its_panel_and_the_page_an_end(words, monkeypatch):
    monkeypatch.setattr("multiattn_image.rendering.SIDE", 16)
    record_words = tuple(f"w{n}" for n in range(words))
    weights = np.full((words, 4), 0.25)
    figure = Figure()
    record = AttentionRecord("photo", "/nowhere.jpg", (), record_words, weights, Grid(2, 2))
    OverPicture().draw(figure, record)
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == list(record_words)
    assert max(figure.get_size_inches()) <= 40
