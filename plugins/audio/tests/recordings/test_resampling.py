"""Resampling against librosa, and sines that keep their frequency."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from multiattn_audio.recordings.resampling import resample, resampled_length


@pytest.mark.parametrize("source_hz", [48_000, 44_100, 22_050, 8_000, 17_600.0])
def test_a_sine_keeps_its_frequency(source_hz, frequency_hz):
    times = np.arange(int(source_hz)) / source_hz
    sine = np.float32(0.5 * np.sin(2 * np.pi * 1_000 * times))
    resampled = resample(sine, source_hz, 16_000)
    assert len(resampled) == resampled_length(len(sine), source_hz, 16_000) == 16_000
    assert frequency_hz(resampled, 16_000) == pytest.approx(1_000, abs=0.1)
    assert np.abs(resampled[2_000:-2_000]).max() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("source_hz", [48_000, 44_100, 8_000])
def test_resampling_equals_librosas(voice, source_hz):
    samples = voice(0.7313, source_hz)
    expected = librosa.resample(samples, orig_sr=source_hz, target_sr=16_000, res_type="soxr_hq")
    resampled = resample(samples, source_hz, 16_000)
    assert resampled.shape == expected.shape
    assert np.abs(resampled - expected).max() < 1e-6


def test_frequencies_above_half_the_new_rate_do_not_alias():
    times = np.arange(48_000) / 48_000
    high_tone = np.float32(np.sin(2 * np.pi * 11_000 * times))
    assert np.abs(resample(high_tone, 48_000, 16_000)[1_000:-1_000]).max() < 1e-4
