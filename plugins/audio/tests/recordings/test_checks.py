"""Checks of recordings: each kind of damage gives one sentence that names the recording."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io.wavfile
import scipy.signal
import scipy.stats

from multiattn import UserError
from multiattn_audio.recordings.checks import Checks, check_header, check_samples, spectral_flatness
from multiattn_audio.recordings.decoding import Header, decode
from multiattn_audio.recordings.formats import RawFormat

RAW = RawFormat()


def noise():
    return np.random.default_rng(0).normal(0, 0.1, (16_000, 1)).astype(np.float32)


def swap_bytes(samples):
    return np.float32(np.int16(samples * 32767).byteswap() / 32768)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda samples: samples * np.nan, "16000 that are NaN"),
        (
            lambda samples: np.where(np.arange(len(samples))[:, None] == 7, np.inf, samples),
            "got 1 ",
        ),
        (lambda samples: samples * 0, "silence"),
        (lambda samples: samples * 0 + 0.3, "silence"),
        (lambda samples: samples * 1e-4, "silence"),
        (lambda samples: np.hstack([samples, -samples]), "cancel each other out"),
        (lambda samples: (samples * 20).clip(-1, 1), "clipped"),
        (lambda samples: samples * 32767, "divide them by full scale"),
        (swap_bytes, "white noise"),
        (lambda samples: noise(), "white noise"),
    ],
)
def test_damaged_samples_are_refused(voice, damage, sentence):
    samples = voice()[:, None]
    check_samples(samples, 16_000, "a.wav", Checks())
    with pytest.raises(UserError, match=sentence) as caught:
        check_samples(np.float32(damage(samples)), 16_000, "a.wav", Checks())
    assert "a.wav" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (Header(0, 16_000, 1), "at least 0.1 seconds of sound in a.wav, got 0;"),
        (Header(1_599, 16_000, 1), "at least 0.1 seconds"),
        (Header(3600 * 16_000, 16_000, 1), r"at most 60 seconds .* got 3600\.0; cut it"),
        (Header(8_000, 8_000, 1), "rate of 16000 Hz or more in a.wav, got 8000 Hz;"),
    ],
)
def test_headers_are_refused_before_decoding(header, sentence):
    with pytest.raises(UserError, match=sentence):
        check_header(header, "a.wav", Checks(), 16_000, 60.0)


def test_limits_are_settings():
    check_header(Header(800, 8_000, 1), "a", Checks(upsample=True), 16_000, 60.0)
    check_header(Header(800, 16_000, 1), "a", Checks(shortest_seconds=0.01), 16_000, 60.0)
    check_samples(noise(), 16_000, "a", Checks(noise_flatness=1.0))
    for length in (2, 3, 20):
        check_samples(
            noise()[:length], 16_000, "a", Checks(shortest_seconds=0.0, noise_flatness=1.0)
        )
    with pytest.raises(UserError, match="at least 0 seconds"):
        check_header(Header(0, 16_000, 1), "a", Checks(shortest_seconds=0.0), 16_000, 60.0)


def test_spectral_flatness_equals_that_of_scipys_welch_spectrum(voice):
    samples = voice(25.0) + np.random.default_rng(0).normal(0, 0.01, 400_000).astype(np.float32)
    middle = samples[120_000:280_000]
    _, power = scipy.signal.welch(middle, 16_000, nperseg=512, window=np.hanning(512))
    expected = scipy.stats.gmean(power[1:-1]) / power[1:-1].mean()
    assert spectral_flatness(samples, 16_000) == pytest.approx(expected, rel=1e-4)


def test_white_noise_is_flat_and_a_tone_is_not(voice):
    assert spectral_flatness(noise()[:, 0], 16_000) == pytest.approx(1.0, abs=0.05)
    assert spectral_flatness(voice(), 16_000) < 0.01


def test_an4_passes_except_in_the_wrong_byte_order(real_corpus):
    paths = sorted(real_corpus("an4").glob("audio/*/*.flac"))
    assert len(paths) == 948
    for path in paths[::7]:
        samples = decode(path, RAW)
        check_samples(samples, 16_000, str(path), Checks())
        with pytest.raises(UserError, match="white noise"):
            check_samples(swap_bytes(samples), 16_000, str(path), Checks())
