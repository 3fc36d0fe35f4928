"""Shared by the audio plugin's tests: a synthetic voice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def voice() -> Callable[..., NDArray[np.float32]]:
    """Make a vowel-like sound: a fundamental with weaker overtones, its loudness modulated."""

    def make(
        seconds: float = 1.0, sample_rate_hz: int = 16_000, pitch_hz: float = 120.0
    ) -> NDArray[np.float32]:
        times = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
        tones = [np.sin(2 * np.pi * pitch_hz * n * times) / n**2 for n in range(1, 20)]
        loudness = 0.2 * (1.2 + np.sin(2 * np.pi * 3 * times))
        return np.float32(loudness * np.sum(tones, axis=0))

    return make
