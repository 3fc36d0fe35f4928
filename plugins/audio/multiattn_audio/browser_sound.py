"""A recording as a browser plays and shows it. Imports no torch.

Letters: F frequencies, N frames of a spectrogram.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import soundfile
from matplotlib.image import imsave
from numpy.typing import NDArray

from multiattn_audio.recordings.decoding import decode, mix_down, read_header
from multiattn_audio.recordings.formats import RawFormat
from multiattn_audio.recordings.resampling import resample

PLAYED_HZ = 16_000
MOST_ROWS, MOST_COLUMNS = 128, 1_600  # of the spectrogram's pixels


def browser_sound(value: Any, decibels: NDArray[np.float64]) -> dict[str, Any]:
    """The recording as MP3, mono, and its spectrogram as PNG, both as data URIs.

    decibels: (F, N), relative to the maximum. Raises UserError for a recording that cannot be read.
    """
    rate = read_header(value, RawFormat()).sample_rate_hz
    samples = mix_down(decode(value, RawFormat()))
    sound, picture = io.BytesIO(), io.BytesIO()
    soundfile.write(sound, resample(samples, rate, PLAYED_HZ), PLAYED_HZ, format="MP3")
    imsave(picture, _shrunk(decibels), format="png", cmap="Greys", origin="lower")
    return {
        "kind": "sound",
        "src": _data_uri("audio/mpeg", sound),
        "seconds": round(len(samples) / rate, 3),
        "spectrogram": _data_uri("image/png", picture),
    }


def _shrunk(decibels: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most so many pixels: the mean of those that fall together."""
    for axis, most in enumerate((MOST_ROWS, MOST_COLUMNS)):
        size = decibels.shape[axis]
        if size > most:
            edges = np.arange(most) * size // most
            counts = np.diff([*edges, size])
            sums = np.add.reduceat(decibels, edges, axis=axis)
            decibels = sums / (counts[:, None] if axis == 0 else counts)
    return decibels


def _data_uri(kind: str, content: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
