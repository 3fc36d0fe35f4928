"""Attention maps over time: seconds from left to right, a row per word, below a spectrogram.

Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib import mlab
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from multiattn import AttentionRecord, UserError
from multiattn_audio.browser_sound import browser_sound
from multiattn_audio.recordings.decoding import decode, mix_down, read_header
from multiattn_audio.recordings.formats import RawFormat

WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.01  # as in the encoder's filterbank
DYNAMIC_RANGE_DB = 80.0  # anything weaker, relative to the maximum, is drawn as silence


class AttentionOverTime:
    """A heat map of words over seconds, below a spectrogram if the recording can still be read."""

    def draw(self, figure: Figure, record: AttentionRecord) -> None:
        """Fill an empty figure: wider for longer recordings, taller for more words."""
        words, slots = record.weights.shape
        seconds = slots * record.layout.seconds_per_slot
        recording = spectrogram(record.value)
        spectrogram_height = 0.0 if recording is None else 1.4
        height = 0.9 + 0.24 * max(1, words)
        width = min(24.0, max(6.0, 1.6 + 1.2 * seconds))
        figure.set_size_inches(width, min(40.0, spectrogram_height + height))
        figure.set_layout_engine("constrained")
        if recording is None:
            axes = figure.add_subplot()
        else:
            ratios = {"height_ratios": [spectrogram_height, height]}
            top, axes = figure.subplots(2, 1, sharex=True, gridspec_kw=ratios)
            _draw_spectrogram(top, recording)
        _draw_weights(axes, record, seconds)

    def media(self, record: AttentionRecord) -> Mapping[str, Any] | None:
        """The recording for the viewer; None if it is too short for a spectrogram or unreadable."""
        shown = spectrogram(record.value)
        return None if shown is None else browser_sound(record.value, shown.decibels)


class Spectrogram(NamedTuple):
    """Decibels relative to the maximum (frequencies, frames), duration, highest frequency."""

    decibels: NDArray[np.float64]
    seconds: float
    kilohertz: float


def spectrogram(value: Any) -> Spectrogram | None:
    """Compute a spectrogram at the recording's own sampling rate.

    None if the recording cannot be read or is shorter than two windows.
    """
    try:
        rate = read_header(value, RawFormat()).sample_rate_hz
        samples = mix_down(decode(value, RawFormat())).astype(np.float64)
    except UserError:
        return None
    window, hop = round(WINDOW_SECONDS * rate), round(HOP_SECONDS * rate)
    if len(samples) < 2 * window:
        return None
    power: NDArray[np.float64] = np.asarray(
        mlab.specgram(samples, NFFT=window, Fs=rate, noverlap=window - hop)[0]
    )
    strongest = max(float(power.max()), np.finfo(np.float64).tiny)
    floor = 10 ** (-DYNAMIC_RANGE_DB / 10)
    decibels = 10 * np.log10(np.maximum(power / strongest, floor))
    return Spectrogram(decibels, len(samples) / rate, rate / 2000)


def _draw_spectrogram(axes: Axes, image: Spectrogram) -> None:
    extent = (0.0, image.seconds, 0.0, image.kilohertz)
    axes.imshow(image.decibels, cmap="Greys", aspect="auto", origin="lower", extent=extent)
    axes.set_ylabel("kHz", fontsize=8)
    axes.tick_params(labelsize=8, labelbottom=False, length=2)


def _draw_weights(axes: Axes, record: AttentionRecord, seconds: float) -> None:
    words = len(record.words)
    axes.set_xlabel("seconds", fontsize=8)
    axes.tick_params(labelsize=8, length=2)
    axes.set_xlim(0.0, seconds)
    if not words:
        axes.set_yticks([])
        axes.set_title("empty output", fontsize=9)
        return
    # Black is the largest weight, but uniform weights stay pale.
    darkest = max(float(record.weights.max()), 8 / record.weights.shape[1])
    extent = (0.0, seconds, words - 0.5, -0.5)
    axes.imshow(
        record.weights,
        cmap="Greys",
        vmin=0.0,
        vmax=darkest,
        aspect="auto",
        interpolation="nearest",
        extent=extent,
    )
    size = max(4, min(9, math.floor(500 / words)))
    axes.set_yticks(range(words), record.words, fontsize=size, parse_math=False)
