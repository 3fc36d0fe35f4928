"""Recordings as samples: headers, decoding, mix-down, resampling. It judges nothing it hears.

Everything is read by libsndfile: wav, flac, ogg, mp3, NIST SPHERE and its other formats, and
headerless samples where the file's name ends in .raw. No torch.

Letters: L samples of one channel, C channels.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from multiattn.errors import UserError
from multiattn_audio.recordings.formats import RAW_SUFFIX, RawFormat

Samples = NDArray[np.float32]

MOST_CHANNELS = 64  # more "channels" than that are time, and the array lies on its side

SUBTYPES = {
    "int8": "PCM_S8",
    "int16": "PCM_16",
    "int24": "PCM_24",
    "int32": "PCM_32",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "ulaw": "ULAW",
    "alaw": "ALAW",
}


@dataclass(frozen=True, eq=False, repr=False)
class Sound:
    """A recording that is already decoded.

    samples: (L,) or (L, C); floating point in [-1, 1], or integers over the range of their type.
    """

    samples: NDArray[Any]
    sample_rate_hz: int

    def __repr__(self) -> str:
        """Its shape: nobody reads the samples."""
        return f"Sound({np.shape(self.samples)}, {self.sample_rate_hz} Hz)"


Recording = str | Path | bytes | Sound


@dataclass(frozen=True)
class Header:
    """What a recording says of itself before it is decoded: L, its rate, C."""

    samples: int
    sample_rate_hz: int
    channels: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / self.sample_rate_hz


def name_of(recording: Recording) -> str:
    """What an error calls it."""
    if isinstance(recording, bytes):
        return f"the {len(recording)} bytes given"
    if isinstance(recording, Sound):
        return f"the array given, {recording}"
    return str(recording)


def read_header(recording: Recording, raw: RawFormat) -> Header:
    """Look without decoding. Raises UserError for what is missing or is no recording."""
    if isinstance(recording, Sound):
        samples = _two_dimensional(recording)
        return Header(len(samples), recording.sample_rate_hz, samples.shape[1])
    with _opened(recording, raw) as file:
        return Header(file.frames, file.samplerate, file.channels)


def decode(recording: Recording, raw: RawFormat) -> Samples:
    """All samples of all channels, full scale at ±1: (L, C).

    Raises UserError for what is missing, is no recording, or is not there as far as it says.
    """
    if isinstance(recording, Sound):
        return _scaled(_two_dimensional(recording))
    with _opened(recording, raw) as file:
        samples: Samples = file.read(dtype="float32", always_2d=True)  # (L, C)
        expected = file.frames
    if len(samples) < expected:
        raise UserError(
            f"expected {expected} samples in {name_of(recording)}, as many as its header says, got "
            f"{len(samples)}: it is cut off or damaged; fetch it again"
        )
    return samples


def mix_down(samples: Samples) -> Samples:
    """The mean of the channels: (L, C) -> (L,)."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)


def resampled_length(length: int, source_hz: float, target_hz: float) -> int:
    """How many samples ``resample`` makes of ``length``: no sound is lost, so rounded up."""
    return math.ceil(round(length * target_hz / source_hz, 6))


def resample(waveform: Samples, source_hz: float, target_hz: float) -> Samples:
    """Band-limited interpolation by soxr's high quality recipe: (L,) -> (L',)."""
    if source_hz == target_hz:
        return waveform
    length = resampled_length(len(waveform), source_hz, target_hz)
    made: Samples = soxr.resample(waveform, source_hz, target_hz, quality="HQ")
    # soxr rounds to the nearest length: a last sample may be missing.
    return np.pad(made[:length], (0, max(0, length - len(made))))


@contextmanager
def _opened(recording: str | Path | bytes, raw: RawFormat) -> Iterator[soundfile.SoundFile]:
    """A file or bytes as libsndfile sees them; its errors are ours."""
    if not isinstance(recording, str | Path | bytes):
        raise UserError(
            "expected a path, bytes or Sound(samples, sample_rate_hz), got "
            f"{type(recording).__name__}; an array alone does not say its sampling rate"
        )
    name = name_of(recording)
    settings: dict[str, Any] = {}
    if isinstance(recording, bytes):
        source: object = io.BytesIO(recording)
    else:
        source = _readable(Path(recording))
        settings = _told(raw) if Path(recording).suffix.lower() == RAW_SUFFIX else {}
    try:
        with soundfile.SoundFile(source, **settings) as file:
            _refuse_cut_off(file.extra_info, name)
            yield file
    except soundfile.LibsndfileError as error:
        raise UserError(
            f"expected a recording (wav, flac, ogg, mp3, NIST SPHERE) in {name}, got something "
            f"else or a damaged one ({error.error_string.rstrip('.')}); fetch it again, or convert "
            "it to flac"
        ) from error


def _readable(path: Path) -> Path:
    """A file with something in it."""
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UserError(
            f"expected a recording in {path}, cannot read it ({error.strerror}); check the path"
        ) from error
    if empty:
        raise UserError(f"expected a recording in {path}, got an empty file; fetch it again")
    return path


def _told(raw: RawFormat) -> dict[str, Any]:
    return {
        "format": "RAW",
        "samplerate": raw.sample_rate_hz,
        "channels": raw.channels,
        "subtype": SUBTYPES[raw.sample],
        "endian": raw.byte_order.upper(),
    }


def _refuse_cut_off(log: str, name: str) -> None:
    """Where a wav or an aiff is shorter than it says, libsndfile only notes it down."""
    found = re.search(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    # A writer that cannot seek back leaves a length that no file has.
    if found and int(found[2]) < int(found[1]) < 0x7FFF_0000:
        raise UserError(
            f"expected {found[1]} bytes of samples in {name}, as its header says, got {found[2]}: "
            "it is cut off; fetch it again"
        )


def _two_dimensional(sound: Sound) -> NDArray[Any]:
    """The samples of an array as (L, C). Raises UserError for what cannot be a recording."""
    samples = np.asarray(sound.samples)
    columns = samples[:, None] if samples.ndim == 1 else samples
    fits = columns.ndim == 2 and 0 < columns.shape[1] <= MOST_CHANNELS
    rate = sound.sample_rate_hz
    if not isinstance(rate, Real) or rate <= 0 or not fits or samples.dtype.kind not in "fiu":
        raise UserError(
            "expected an array of samples (L,) or (L, channels) and a sampling rate in Hz, got "
            f"{samples.shape} of {samples.dtype} and {rate!r}; transpose or convert "
            "it"
        )
    return columns


def _scaled(samples: NDArray[Any]) -> Samples:
    """Integers over the range of their type as numbers in [-1, 1)."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    half_range = 2.0 ** (8 * samples.dtype.itemsize - 1)
    middle = half_range if samples.dtype.kind == "u" else 0.0
    return ((samples - middle) / half_range).astype(np.float32)
