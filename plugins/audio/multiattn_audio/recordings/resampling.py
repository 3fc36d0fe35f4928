"""Converting a waveform to another sampling rate.

Letters: L samples.
"""

from __future__ import annotations

import math

import numpy as np
import soxr

from multiattn_audio.recordings.decoding import Samples


def resampled_length(length: int, source_hz: float, target_hz: float) -> int:
    """How many samples ``resample`` makes of ``length``, rounded up so that nothing is cut off."""
    return math.ceil(round(length * target_hz / source_hz, 6))


def resample(waveform: Samples, source_hz: float, target_hz: float) -> Samples:
    """Band-limited interpolation by soxr's high-quality recipe: (L,) -> (L',)."""
    if source_hz == target_hz:
        return waveform
    length = resampled_length(len(waveform), source_hz, target_hz)
    resampled: Samples = soxr.resample(waveform, source_hz, target_hz, quality="HQ")
    # soxr rounds to the nearest length, so the last sample may be missing.
    return np.pad(resampled[:length], (0, max(0, length - len(resampled))))
