"""Shared by the tests of recordings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def frequency_hz() -> Callable[[NDArray[np.float32], float], float]:
    """Find the highest peak of a spectrum, interpolated by a parabola through log magnitudes."""

    def find(waveform: NDArray[np.float32], sample_rate_hz: float) -> float:
        spectrum = np.log(np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))) + 1e-12)
        peak = int(spectrum.argmax())
        left, middle, right = spectrum[peak - 1 : peak + 2]
        offset = (left - right) / (2 * (left - 2 * middle + right))
        return float((peak + offset) * sample_rate_hz / len(waveform))

    return find
