"""A picture over time: seconds are where they belong, and a recording that is gone is no loss."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure

from multiattn.memory import Time
from multiattn.rendering import AttentionRecord
from multiattn_audio.rendering import AttentionOverTime, spectrogram

RATE = 16_000


def tone_at(rate, folder):
    """Two seconds, 1 kHz in the second one."""
    seconds = np.arange(2 * rate) / rate
    samples = 0.5 * np.sin(2 * np.pi * 1000 * seconds) * (seconds >= 1)
    soundfile.write(folder / "tone.wav", samples, rate)
    return str(folder / "tone.wav")


@pytest.fixture
def tone(tmp_path):
    return tone_at(RATE, tmp_path)


def drawn(value, words=("one", "two"), slots=50):
    weights = np.zeros((len(words), slots))
    weights[range(len(words)), range(len(words))] = 1.0
    record = AttentionRecord("speech", value, ("",) * slots, words, weights, Time(0.04))
    figure = Figure()
    AttentionOverTime().draw(figure, record)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return figure


def test_words_are_rows_and_slots_are_seconds(tone):
    top, below = drawn(tone).axes
    assert [label.get_text() for label in below.get_yticklabels()] == ["one", "two"]
    assert below.get_xlim() == top.get_xlim() == (0.0, 2.0)
    (weights,) = below.get_images()
    assert list(weights.get_extent()) == [0.0, 2.0, 1.5, -0.5]


@pytest.mark.parametrize("rate", [8_000, RATE])
def test_the_spectrogram_shows_the_tone_where_it_sounds(rate, tmp_path):
    decibels, seconds, kilohertz = spectrogram(tone_at(rate, tmp_path))
    assert seconds == 2.0
    assert kilohertz == rate / 2000
    frequencies, frames = decibels.shape
    loudest = decibels[:, frames * 3 // 4].argmax() * 1000 * kilohertz / (frequencies - 1)
    assert loudest == pytest.approx(1000, abs=20)
    assert decibels[:, frames // 4].max() <= -79


def test_a_recording_that_is_gone_leaves_the_words():
    (below,) = drawn("/nowhere.wav").axes
    assert below.get_xlabel() == "seconds"


def test_a_recording_too_short_for_a_spectrogram_leaves_the_words(tmp_path):
    soundfile.write(tmp_path / "short.wav", np.full(300, 0.1), RATE)
    assert len(drawn(str(tmp_path / "short.wav"), slots=1, words=("a",)).axes) == 1


def test_digital_silence_is_drawn(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    drawn(str(tmp_path / "silence.wav"))


def test_nothing_written_is_said(tone):
    assert drawn(tone, words=()).axes[1].get_title() == "nothing was written"


def test_an_hour_and_a_hundred_words_have_a_size():
    figure = drawn("/nowhere.wav", words=tuple(f"w{n}" for n in range(100)), slots=5000)
    assert max(figure.get_size_inches()) <= 40
