"""Headers and samples of recordings.

libsndfile reads wav, flac, ogg, mp3, NIST SPHERE and its other formats, and headerless samples if
the file name ends in .raw. What it does not know goes to ``media.py``.

Letters: L samples of one channel, C channels.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from multiattn import StoredMedia, UserError
from multiattn_audio.recordings.completeness import check_complete, with_pad_bytes
from multiattn_audio.recordings.formats import RawFormat
from multiattn_audio.recordings.media import EXTRA, MediaFile, can_read_media
from multiattn_audio.recordings.suffixes import RAW_SUFFIX

Samples = NDArray[np.float32]

MAX_CHANNELS = 64  # if there are more, the array is probably transposed
UNKNOWN_FORMAT = 1  # libsndfile's error code

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

    samples: (L,) or (L, C), floating point in [-1, 1], or integers that use the full range of
        their type.
    """

    samples: NDArray[Any]
    sample_rate_hz: int

    def __repr__(self) -> str:
        """Show the shape instead of the samples."""
        return f"Sound({np.shape(self.samples)}, {self.sample_rate_hz} Hz)"


WholeRecording = str | Path | bytes | Sound | StoredMedia


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A stretch of a recording, from ``start`` to ``end`` in seconds, decoded when it is read."""

    recording: WholeRecording
    start: float
    end: float

    def __str__(self) -> str:
        return f"{recording_name(self.recording)}, {self.start:.2f}-{self.end:.2f} s"


Recording = WholeRecording | Excerpt


@dataclass(frozen=True)
class Header:
    """What is known before decoding; ``samples`` is L, their number per channel."""

    samples: int
    sample_rate_hz: int
    channels: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.sample_rate_hz


def recording_name(recording: Recording) -> str:
    """The name of a recording in error messages."""
    if isinstance(recording, bytes):
        return f"the {len(recording)} bytes given"
    if isinstance(recording, Sound):
        return f"the array given, {recording}"
    return str(recording)


def read_header(recording: Recording, raw: RawFormat) -> Header:
    """Read the header only. Raises UserError for a recording that is missing or unreadable."""
    if isinstance(recording, Excerpt):
        whole = read_header(recording.recording, raw)
        return replace(whole, samples=len(_span(recording, whole)))
    content = _loaded(recording)
    if isinstance(content, Sound):
        samples = _as_two_dimensional(content)
        return Header(len(samples), content.sample_rate_hz, samples.shape[1])
    with _open_recording(content, raw, recording_name(recording)) as file:
        return Header(file.frames, file.samplerate, file.channels)


def decode(recording: Recording, raw: RawFormat) -> Samples:
    """Decode all samples of all channels, full scale at ±1: (L, C).

    Raises UserError for a recording that is missing, unreadable, or noticeably shorter than its
    header says.
    """
    if isinstance(recording, Excerpt):
        return _decode_excerpt(recording, raw)
    content, name = _loaded(recording), recording_name(recording)
    if isinstance(content, Sound):
        return _to_full_scale(_as_two_dimensional(content))
    with _open_recording(content, raw, name) as file:
        if isinstance(file, MediaFile):
            return file.samples()
        samples: Samples = file.read(dtype="float32", always_2d=True)  # (L, C)
        # libsndfile guesses the length of MP3 in a WAV from the size of the whole file
        if file.format == "MP3" or not file.subtype.startswith("MPEG"):
            rate = file.samplerate
            check_complete(len(samples) / rate, file.frames / rate, name)
    return samples


def blocks(recording: Recording, raw: RawFormat, samples: int) -> Iterator[Samples]:
    """All samples of all channels, (L, C), ``samples`` at a time. Raises as ``decode``."""
    content = None if isinstance(recording, Excerpt) else _loaded(recording)
    if isinstance(content, str | Path | bytes):
        with _open_recording(content, raw, recording_name(recording)) as file:
            if isinstance(file, soundfile.SoundFile):
                yield from file.blocks(samples, dtype="float32", always_2d=True)
                return
    whole = decode(recording, raw)
    yield from (whole[first : first + samples] for first in range(0, len(whole), samples))


def can_seek(recording: WholeRecording, raw: RawFormat) -> bool:
    """Whether a stretch of it is decoded without what is before."""
    content = _loaded(recording)
    if isinstance(content, Sound):
        return True
    with _open_recording(content, raw, recording_name(recording)) as file:
        return isinstance(file, soundfile.SoundFile) and bool(file.seekable())


def _span(excerpt: Excerpt, header: Header) -> range:
    """The samples of an excerpt, as far as the recording has them."""
    first, last = (round(at * header.sample_rate_hz) for at in (excerpt.start, excerpt.end))
    return range(max(0, first), max(0, min(last, header.samples)))


def _decode_excerpt(excerpt: Excerpt, raw: RawFormat) -> Samples:
    content = _loaded(excerpt.recording)
    if isinstance(content, Sound):
        columns = _as_two_dimensional(content)
        span = _span(excerpt, Header(len(columns), content.sample_rate_hz, columns.shape[1]))
        return _to_full_scale(columns[span.start : span.stop])
    with _open_recording(content, raw, str(excerpt)) as file:
        span = _span(excerpt, Header(file.frames, file.samplerate, file.channels))
        if isinstance(file, MediaFile):
            return file.samples()[span.start : span.stop]
        file.seek(span.start)
        samples: Samples = file.read(len(span), dtype="float32", always_2d=True)
    return samples


def mix_down(samples: Samples) -> Samples:
    """The mean of the channels: (L, C) -> (L,)."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)


def _loaded(recording: WholeRecording) -> str | Path | bytes | Sound:
    """What a dataset stores; any other recording unchanged."""
    content: str | Path | bytes | Sound
    content = recording.load() if isinstance(recording, StoredMedia) else recording
    return content


@contextmanager
def _open_recording(
    recording: str | Path | bytes, raw: RawFormat, name: str
) -> Iterator[soundfile.SoundFile | MediaFile]:
    """Open a file or bytes with libsndfile or, failing that, FFmpeg; errors become UserErrors."""
    if not isinstance(recording, str | Path | bytes):
        raise UserError(
            "expected a path, bytes or Sound(samples, sample_rate_hz), got "
            f"{type(recording).__name__}; an array alone has no sampling rate"
        )
    source = recording if isinstance(recording, bytes) else Path(recording)
    options: dict[str, Any] = {}
    if isinstance(source, Path):
        _check_readable(source)
        options = _raw_options(raw) if source.suffix.lower() == RAW_SUFFIX else {}
    try:
        file = _open_known(source, options)
        if file is None:
            yield MediaFile(source, name)
            return
        with file:
            _check_whole(file, name)
            yield file
    except soundfile.LibsndfileError as error:
        media = "" if can_read_media() else f", or install {EXTRA} to read m4a, mp4, webm and more"
        raise UserError(
            f"expected a recording (wav, flac, ogg, mp3, NIST SPHERE) in {name}, got something "
            f"else or a damaged one ({error.error_string.rstrip('.')}); fetch it again, or convert "
            f"it to flac{media}"
        ) from error


def _open_known(source: Path | bytes, options: dict[str, Any]) -> soundfile.SoundFile | None:
    """Open a source with libsndfile; None if it has another format and FFmpeg is there to try."""
    try:
        return soundfile.SoundFile(
            io.BytesIO(source) if isinstance(source, bytes) else source, **options
        )
    except soundfile.LibsndfileError as error:
        if error.code == UNKNOWN_FORMAT and can_read_media():
            return None
        content = source if isinstance(source, bytes) else source.read_bytes()
        mended = with_pad_bytes(content) if content[8:12] == b"WAVE" else None
        if mended is None:
            raise
        return soundfile.SoundFile(io.BytesIO(mended))


def _check_readable(path: Path) -> None:
    """Raise UserError for a file that cannot be read or is empty."""
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UserError(
            f"expected a recording in {path}, cannot read it ({error.strerror}); check the path"
        ) from error
    if empty:
        raise UserError(f"expected a recording in {path}, got an empty file; fetch it again")


def _raw_options(raw: RawFormat) -> dict[str, Any]:
    return {
        "format": "RAW",
        "samplerate": raw.sample_rate_hz,
        "channels": raw.channels,
        "subtype": SUBTYPES[raw.sample],
        "endian": raw.byte_order.upper(),
    }


def _check_whole(file: soundfile.SoundFile, name: str) -> None:
    """Raise UserError for a wav or aiff that is cut off: libsndfile mentions it only in its log."""
    log: str = file.extra_info
    match = re.search(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    # A writer that cannot seek back leaves a placeholder, a length that no file has.
    if match and int(match[2]) < int(match[1]) < 0x7FFF_0000:
        frame_bytes = int(match[2]) / file.frames if file.frames else 2 * file.channels
        got, stated = (int(size) / frame_bytes / file.samplerate for size in match.group(2, 1))
        check_complete(got, stated, name)


def _as_two_dimensional(sound: Sound) -> NDArray[Any]:
    """The samples of an array as (L, C). Raises UserError if they cannot be a recording."""
    samples = np.asarray(sound.samples)
    columns = samples[:, None] if samples.ndim == 1 else samples
    shape_fits = columns.ndim == 2 and 0 < columns.shape[1] <= MAX_CHANNELS
    rate = sound.sample_rate_hz
    if not isinstance(rate, Real) or rate <= 0 or not shape_fits or samples.dtype.kind not in "fiu":
        raise UserError(
            "expected an array of samples (L,) or (L, channels) and a sampling rate in Hz, got "
            f"{samples.shape} of {samples.dtype} and {rate!r}; transpose or convert "
            "it"
        )
    return columns


def _to_full_scale(samples: NDArray[Any]) -> Samples:
    """Scale integers by the range of their type to numbers in [-1, 1)."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    half_range = 2.0 ** (8 * samples.dtype.itemsize - 1)
    midpoint = half_range if samples.dtype.kind == "u" else 0.0
    return ((samples - midpoint) / half_range).astype(np.float32)
