"""What can be wrong with a recording, in one sentence that names it. It opens no file. No torch.

The limits are settings. Their defaults leave room on both sides: every recording of AN4 and every
kind of damage that the tests construct is far from them.

Letters: L samples of one channel, C channels.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from multiattn.errors import UserError
from multiattn.settings import Strict
from multiattn_audio.recordings.decoding import Header, Samples, mix_down

Share = Annotated[float, Field(ge=0.0, le=1.0)]

FULL_SCALE = 0.9999  # 32767 / 32768 and above
TOO_LOUD = 2.0  # lossy codecs overshoot full scale by a little, integers stored as floats by a lot
LISTENED_SECONDS = 10  # of a recording's middle: enough to tell its spectrum
WINDOW = 512


class Checks(Strict):
    """From where on a recording is refused.

    shortest_seconds: less than a word lasts.
    silent_peak: full scale is 1; 0.001 is 60 dB below it.
    clipped_share: of its samples at full scale.
    noise_flatness: spectral flatness, 1 for white noise. Speech of AN4 has at most 0.50, the same
        read in the wrong byte order at least 0.74.
    upsample: take recordings of a lower sampling rate, whose upper spectrum will be empty.
    before_training: decode and check every recording of a split before the first step, so that a
        bad one is stopped at or skipped like any bad row; what was found good is remembered in the
        run. Without it only headers are read then, and a recording is checked when its turn comes.
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
    """Raise UserError for a recording that need not be decoded to be refused."""
    if header.samples == 0 or header.seconds < checks.shortest_seconds:
        raise UserError(
            f"expected at least {checks.shortest_seconds:g} seconds of sound in {name}, "
            f"got {header.seconds:g}; remove it"
        )
    if header.seconds > max_seconds:
        raise UserError(
            f"expected at most {max_seconds:g} seconds of sound in {name}, "
            f"got {header.seconds:.1f}; cut it into utterances, or raise the reader's max_seconds"
        )
    if header.sample_rate_hz < sample_rate_hz and not checks.upsample:
        raise UserError(
            f"expected a sampling rate of {sample_rate_hz} Hz or more in {name}, got "
            f"{header.sample_rate_hz} Hz; read everything at this rate with the reader's "
            "sample_rate_hz, or take it as it is with checks.upsample"
        )


def check_samples(samples: Samples, sample_rate_hz: int, name: str, checks: Checks) -> None:
    """Raise UserError for samples (L, C) that cannot be a sound recording of someone speaking."""
    broken = len(samples) - int(np.isfinite(samples).all(axis=1).sum())
    if broken:
        raise UserError(
            f"expected numbers as the samples of {name}, got {broken} that are NaN or infinite; "
            "convert it again"
        )
    _check_level(samples, name, checks)
    waveform = mix_down(samples)
    loudest = float(np.abs(waveform - waveform.mean()).max())
    if loudest < checks.silent_peak:
        if samples.shape[1] > 1 and float(np.abs(samples).max()) >= checks.silent_peak:
            raise UserError(
                f"expected channels of {name} that add up to sound, got some that cancel each "
                "other out; keep one of them"
            )
        raise UserError(
            f"expected sound in {name}, got silence: the loudest sample is {loudest:.2g} of full "
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
    magnitudes = np.abs(samples)
    peak = float(magnitudes.max())
    if peak > TOO_LOUD:
        raise UserError(
            f"expected samples from -1 to 1 in {name}, got up to {peak:g}; "
            "divide them by full scale"
        )
    share = float((magnitudes >= FULL_SCALE).mean())
    if share > checks.clipped_share:
        raise UserError(
            f"expected at most {checks.clipped_share:.0%} of the samples at full scale in {name}, "
            f"got {share:.0%}: it is clipped; record it again at a lower level"
        )


def spectral_flatness(waveform: Samples, sample_rate_hz: int) -> float:
    """Geometric over arithmetic mean of the power spectrum of the middle: (L,) -> 1 at most.

    The spectrum is a mean over windows (Welch 1967): a single one of white noise is far from flat.
    """
    listened = LISTENED_SECONDS * sample_rate_hz
    start = max(0, (len(waveform) - listened) // 2)
    middle = waveform[start : start + listened]
    width = min(WINDOW, len(middle))
    frames = sliding_window_view(middle, width)[:: max(1, width // 2)]  # (windows, width)
    centred = frames - frames.mean(axis=1, keepdims=True)
    power = np.square(np.abs(np.fft.rfft(centred * np.hanning(width)))).mean(axis=0)
    inner = power[1:-1].astype(np.float64) + np.finfo(np.float64).tiny
    if not len(inner):
        return 0.0  # too short to have a spectrum
    return float(np.exp(np.log(inner).mean()) / inner.mean())
