"""Attention maps over time, with and without a readable recording."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure

from multiattn import AttentionRecord, Time
from multiattn_audio.rendering import AttentionOverTime, spectrogram

RATE = 16_000


def write_tone(rate, folder):
    """Write a second of silence and a second of a 1 kHz tone."""
    seconds = np.arange(2 * rate) / rate
    samples = 0.5 * np.sin(2 * np.pi * 1000 * seconds) * (seconds >= 1)
    soundfile.write(folder / "tone.wav", samples, rate)
    return str(folder / "tone.wav")


@pytest.fixture
def tone(tmp_path):
    return write_tone(RATE, tmp_path)


def draw(value, words=("one", "two"), slots=50):
    weights = np.zeros((len(words), slots))
    weights[range(len(words)), range(len(words))] = 1.0
    record = AttentionRecord("speech", value, ("",) * slots, words, weights, Time(0.04))
    figure = Figure()
    AttentionOverTime().draw(figure, record)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return figure


def test_words_are_rows_and_slots_are_seconds(tone):
    top, below = draw(tone).axes
    assert [label.get_text() for label in below.get_yticklabels()] == ["one", "two"]
    assert below.get_xlim() == top.get_xlim() == (0.0, 2.0)
    (weights,) = below.get_images()
    assert list(weights.get_extent()) == [0.0, 2.0, 1.5, -0.5]


@pytest.mark.parametrize("rate", [8_000, RATE])
def test_the_spectrogram_shows_the_tone_at_its_time_and_frequency(rate, tmp_path):
    decibels, seconds, kilohertz = spectrogram(write_tone(rate, tmp_path))
    assert seconds == 2.0
    assert kilohertz == rate / 2000
    frequencies, frames = decibels.shape
    loudest = decibels[:, frames * 3 // 4].argmax() * 1000 * kilohertz / (frequencies - 1)
    assert loudest == pytest.approx(1000, abs=20)
    assert decibels[:, frames // 4].max() <= -79


def test_without_the_recording_only_the_words_are_drawn():
    (below,) = draw("/nowhere.wav").axes
    assert below.get_xlabel() == "seconds"


def test_for_too_short_a_recording_only_the_words_are_drawn(tmp_path):
    soundfile.write(tmp_path / "short.wav", np.full(300, 0.1), RATE)
    assert len(draw(str(tmp_path / "short.wav"), slots=1, words=("a",)).axes) == 1


def test_digital_silence_is_drawn(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    draw(str(tmp_path / "silence.wav"))


def test_an_empty_output_is_labelled(tone):
    assert draw(tone, words=()).axes[1].get_title() == "empty output"


def test_the_size_of_the_figure_is_limited():
    figure = draw("/nowhere.wav", words=tuple(f"w{n}" for n in range(100)), slots=5000)
    assert max(figure.get_size_inches()) <= 40
