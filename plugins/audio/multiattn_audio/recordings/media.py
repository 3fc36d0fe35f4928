"""The sound of m4a, mp4, webm and other files that FFmpeg reads, through PyAV, which is optional.

Letters: L samples of one channel, C channels.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from multiattn import UserError
from multiattn_audio.recordings.completeness import check_complete

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import InputContainer

EXTRA = "multiattn-audio[media]"
# A playlist or a session description must not make FFmpeg open other files or addresses.
OPTIONS = {"protocol_whitelist": "none"}
SECONDS_OF = (3600.0, 60.0, 1.0)  # of the parts of 00:00:02.402


def can_read_media() -> bool:
    """Whether the extra is installed."""
    return find_spec("av") is not None


class MediaFile:
    """The first audio stream of a file. Raises UserError if it has none, or is damaged."""

    def __init__(self, source: Path | bytes, name: str) -> None:
        self._source = source
        self._name = name
        with self._open() as (_, stream):
            self.samplerate, self.channels = stream.sample_rate, stream.channels

    @cached_property
    def frames(self) -> int:
        """L, counted by decoding: containers state it roughly or not at all."""
        return sum(frame.samples for frame in self._decode())

    def samples(self) -> NDArray[np.float32]:
        """All samples: (L, C)."""
        blocks = [frame.to_ndarray() for frame in self._decode()]  # (C, l) each
        return np.concatenate([np.zeros((self.channels, 0), np.float32), *blocks], axis=1).T

    def _decode(self) -> Iterator[AudioFrame]:
        from av import AudioResampler

        with self._open() as (container, stream):
            convert = AudioResampler(format="fltp", rate=self.samplerate)
            end = 0.0
            for frame in container.decode(stream):
                end = max(end, (frame.time or 0.0) + frame.samples / frame.sample_rate)
                yield from convert.resample(frame)
            yield from convert.resample(None)
            check_complete(end, _stated_end(container, stream), self._name)

    @contextmanager
    def _open(self) -> Iterator[tuple[InputContainer, AudioStream]]:
        import av

        source = self._source
        try:
            with (
                io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file,
                av.open(file, "r", options=OPTIONS) as container,
            ):
                if not container.streams.audio:
                    raise UserError(
                        f"expected sound in {self._name}, got {container.format.long_name} "
                        "without any, or cut off before it; fetch it again, or remove it"
                    )
                stream = container.streams.audio[0]
                if stream.codec_context is None or not stream.sample_rate:
                    raise UserError(
                        f"expected sound in a known codec in {self._name}, got another one; "
                        "convert it to flac"
                    )
                yield container, stream
        except (av.FFmpegError, ValueError) as error:
            raise UserError(
                "expected a recording (wav, flac, ogg, mp3, NIST SPHERE, m4a, mp4, webm) in "
                f"{self._name}, got something else or a damaged one "
                f"({getattr(error, 'strerror', None) or error}); fetch it again, or convert it to "
                "flac"
            ) from error


def _stated_end(container: InputContainer, stream: AudioStream) -> float:
    """When the sound ends, in seconds, as far as the file itself says so; else 0."""
    if not container.format.name.startswith(("mov", "matroska")):
        return 0.0  # FFmpeg's own guess from the size of the file
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    tag = stream.metadata.get("DURATION", "").split(":")
    if len(tag) == len(SECONDS_OF):
        return sum(float(part) * unit for part, unit in zip(tag, SECONDS_OF, strict=True))
    alone = len(container.streams) == 1
    return (container.duration or 0) / 1e6 if alone else 0.0
