"""Checks that a recording is usable speech; each error is one sentence that names the recording.

The limits are settings. Their defaults leave a wide margin between every recording of AN4 and every
kind of damage that the tests construct.

Letters: L samples of one channel, C channels.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from multiattn import Strict, UserError
from multiattn_audio.recordings.decoding import Header, Samples, mix_down

Share = Annotated[float, Field(ge=0.0, le=1.0)]

FULL_SCALE = 0.9999  # just below 32767 / 32768, the largest 16-bit sample
MAX_PEAK = 2.0  # lossy codecs overshoot full scale by a little, integers stored as floats by a lot
ANALYSED_SECONDS = 10  # from the middle of a recording: enough to estimate its spectrum
WINDOW_SAMPLES = 512


class Checks(Strict):
    """The limits beyond which a recording is refused.

    shortest_seconds: by default shorter than any word.
    silent_peak: a lower peak is silence; relative to full scale, 0.001 is -60 dB.
    clipped_share: the share of samples that may be at full scale.
    noise_flatness: spectral flatness, 1 for white noise. The speech of AN4 has at most 0.50; read
        in the wrong byte order, it has at least 0.74.
    upsample: accept recordings of a lower sampling rate, whose upper spectrum will be empty.
    before_training: decode and check every recording of a split before the first step, so that a
        bad one stops the run or is skipped like any other bad row; results are cached in the run
        folder. If false, only headers are read at that point, and a recording is checked when it is
        read.
    """

    shortest_seconds: float = Field(default=0.1, ge=0.0)
    silent_peak: Share = 0.001
    clipped_share: Share = 0.02
    noise_flatness: Share = 0.65
    upsample: bool = False
    before_training: bool = True


def check_header(
    header: Header, name: str, checks: Checks, sample_rate_hz: int, max_seconds: float
) -> None:
    """Raise UserError for a recording whose header alone rules it out."""
    if header.samples == 0 or header.seconds < checks.shortest_seconds:
        raise UserError(
            f"expected at least {checks.shortest_seconds:g} seconds of sound in {name}, "
            f"got {header.seconds:g}; remove it"
        )
    if header.seconds > max_seconds:
        raise UserError(
            f"expected at most {max_seconds:g} seconds of sound in {name}, "
            f"got {header.seconds:.1f}; cut it into utterances, as predict does with "
            "--set sources.NAME.segmenter=energy, or raise the reader's max_seconds"
        )
    if header.sample_rate_hz < sample_rate_hz and not checks.upsample:
        raise UserError(
            f"expected a sampling rate of {sample_rate_hz} Hz or more in {name}, got "
            f"{header.sample_rate_hz} Hz; read everything at this rate with the reader's "
            "sample_rate_hz, or accept lower rates with checks.upsample"
        )


def check_samples(samples: Samples, sample_rate_hz: int, name: str, checks: Checks) -> None:
    """Raise UserError for samples (L, C) that cannot be intact speech."""
    non_finite = len(samples) - int(np.isfinite(samples).all(axis=1).sum())
    if non_finite:
        raise UserError(
            f"expected finite samples in {name}, got {non_finite} that are NaN or infinite; "
            "convert it again"
        )
    _check_level(samples, name, checks)
    waveform = mix_down(samples)
    peak = float(np.abs(waveform - waveform.mean()).max())
    if peak < checks.silent_peak:
        if samples.shape[1] > 1 and float(np.abs(samples).max()) >= checks.silent_peak:
            raise UserError(
                f"expected channels of {name} that add up to sound, got some that cancel each "
                "other out; keep one of them"
            )
        raise UserError(
            f"expected sound in {name}, got silence: the loudest sample is {peak:.2g} of full "
            "scale; remove it, or record it again"
        )
    flatness = spectral_flatness(waveform, sample_rate_hz)
    if flatness > checks.noise_flatness:
        raise UserError(
            f"expected speech in {name}, got what looks like white noise (spectral flatness "
            f"{flatness:.2f}, expected at most {checks.noise_flatness:g}), as samples read in the "
            "wrong byte order or width do; correct the format"
        )


def _check_level(samples: Samples, name: str, checks: Checks) -> None:
    """Raise UserError for samples (L, C) beyond full scale, or clipped at it."""
    magnitudes = np.abs(samples)
    peak = float(magnitudes.max())
    if peak > MAX_PEAK:
        raise UserError(
            f"expected samples from -1 to 1 in {name}, got up to {peak:g}; "
            "divide them by full scale"
        )
    clipped_share = float((magnitudes >= FULL_SCALE).mean())
    if clipped_share > checks.clipped_share:
        raise UserError(
            f"expected at most {checks.clipped_share:.0%} of the samples at full scale in {name}, "
            f"got {clipped_share:.0%}: it is clipped; record it again at a lower level"
        )


def spectral_flatness(waveform: Samples, sample_rate_hz: int) -> float:
    """Geometric over arithmetic mean of the power spectrum of the middle: (L,) -> at most 1.

    The spectrum is averaged over windows (Welch 1967): in a single window, the spectrum of white
    noise is far from flat.
    """
    analysed = ANALYSED_SECONDS * sample_rate_hz
    start = max(0, (len(waveform) - analysed) // 2)
    middle = waveform[start : start + analysed]
    width = min(WINDOW_SAMPLES, len(middle))
    windows = sliding_window_view(middle, width)[:: max(1, width // 2)]  # (windows, width)
    centred = windows - windows.mean(axis=1, keepdims=True)
    power = np.square(np.abs(np.fft.rfft(centred * np.hanning(width)))).mean(axis=0)
    inner = power[1:-1].astype(np.float64) + np.finfo(np.float64).tiny
    if not len(inner):
        return 0.0  # too short to have a spectrum
    return float(np.exp(np.log(inner).mean()) / inner.mean())
