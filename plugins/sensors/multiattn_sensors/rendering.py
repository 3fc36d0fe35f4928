"""Draws attention over a series. Imports no torch.

Letters: L samples, C channels, W words.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multiattn import AttentionRecord, UserError
from multiattn_sensors.series_files import read_series


class AttentionOverSeries:
    """A strip per word: the channels as lines, shaded in the seconds to which the word attends.

    Each channel is drawn around its median, all on the same scale.
    """

    def draw(self, figure: Figure, record: AttentionRecord) -> None:
        """Draw into an empty figure: wider for longer series, taller for more words."""
        words, slots = record.weights.shape
        seconds = slots * record.layout.samples_per_slot / record.layout.sample_rate_hz
        figure.set_size_inches(min(24.0, max(8.0, seconds)), min(40.0, 1.2 + 0.6 * max(1, words)))
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot(xlim=(0.0, seconds), ylim=(max(1, words) - 0.5, -0.5))
        axes.set_xlabel("seconds", fontsize=8)
        axes.set_yticks(range(words), record.words, fontsize=9, parse_math=False)
        axes.tick_params(labelsize=8, length=2)
        if words:
            extent = (0.0, seconds, words - 0.5, -0.5)
            axes.imshow(record.weights, cmap="Oranges", vmin=0.0, aspect="auto", extent=extent)
        else:
            axes.set_title("empty output", fontsize=9)
        _draw_channels(axes, record, strips=max(1, words))


def _draw_channels(axes: Axes, record: AttentionRecord, strips: int) -> None:
    """Draw the series once per strip; nothing if its file can no longer be read."""
    rate = record.layout.sample_rate_hz
    try:
        names, samples = read_series(record.value, record.layout.channels, rate)
    except UserError:
        return
    lines = samples - np.median(samples, 0)  # (L, C)
    lines *= -0.45 / max(float(np.abs(lines).max()), np.finfo(float).tiny)  # the y axis points down
    seconds = (np.arange(len(lines)) + 0.5) / rate
    for strip in range(strips):
        axes.set_prop_cycle(None)
        drawn = axes.plot(seconds, strip + lines, linewidth=0.7)
    axes.legend(drawn, names, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7)
