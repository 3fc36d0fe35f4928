"""File suffixes of recordings, and the format of headerless ones."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from multiattn import Strict

RAW_SUFFIX = ".raw"
MEDIA_SUFFIXES = (".m4a", ".mp4", ".webm", ".aac")  # read by FFmpeg
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".sph", RAW_SUFFIX, *MEDIA_SUFFIXES)


class RawFormat(Strict):
    """The format of ``.raw`` files: samples without a header, channels interleaved."""

    sample_rate_hz: PositiveInt = 16_000
    sample: Literal["int8", "int16", "int24", "int32", "float32", "float64", "ulaw", "alaw"] = (
        "int16"
    )
    byte_order: Literal["little", "big"] = "little"
    channels: PositiveInt = 1
