"""Attention over a series, with and without a readable file."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from multiattn import AttentionRecord
from multiattn_sensors.encoder import SeriesLayout
from multiattn_sensors.rendering import AttentionOverSeries

LAYOUT = SeriesLayout(4, 10.0, ("x", "y"))


@pytest.fixture
def series(tmp_path):
    """Two seconds: a step of height 1 in x, a step of 2 in y, around different means."""
    time = np.arange(20)
    np.save(tmp_path / "a.npy", np.column_stack([5.0 + (time >= 15), -3.0 + 2.0 * (time >= 15)]))
    return str(tmp_path / "a.npy")


def draw(value, words=("one", "$x^$"), slots=5, *, saved=True):
    weights = np.zeros((len(words), slots))
    weights[range(len(words)), range(len(words))] = 1.0
    figure = Figure()
    record = AttentionRecord("motion", value, (), tuple(words), weights, LAYOUT)
    AttentionOverSeries().draw(figure, record)
    if saved:
        figure.savefig(io.BytesIO(), format="png")
    (axes,) = figure.axes
    return axes


def test_words_are_strips_and_slots_are_seconds(series):
    axes = draw(series)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "$x^$"]
    assert axes.get_xlim() == (0.0, 2.0)
    assert axes.get_ylim() == (1.5, -0.5)
    (shading,) = axes.get_images()
    assert list(shading.get_extent()) == [0.0, 2.0, 1.5, -0.5]


def test_each_strip_has_every_channel_around_its_median_on_one_scale(series):
    axes = draw(series)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["x", "y"]
    assert len(axes.get_lines()) == 4
    for strip, (x, y) in enumerate([axes.get_lines()[:2], axes.get_lines()[2:]]):
        assert x.get_xdata()[[0, -1]].tolist() == pytest.approx([0.05, 1.95])
        heights = [strip - line.get_ydata()[[0, -1]] for line in (x, y)]
        assert heights[0].tolist() == pytest.approx([0.0, 0.225])
        assert heights[1].tolist() == pytest.approx([0.0, 0.45])


def test_without_the_file_only_the_shading_is_drawn():
    axes = draw("/nowhere.npy")
    assert not axes.get_lines()
    assert len(axes.get_images()) == 1


def test_an_empty_output_is_labelled_and_its_series_drawn(series):
    axes = draw(series, words=())
    assert axes.get_title() == "empty output"
    assert len(axes.get_lines()) == 2


def test_the_size_of_the_figure_is_limited():
    figure = draw("/nowhere.npy", [f"w{n}" for n in range(100)], slots=5000, saved=False).figure
    assert max(figure.get_size_inches()) <= 40
