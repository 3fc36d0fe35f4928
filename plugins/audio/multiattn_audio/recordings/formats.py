"""Which files are recordings, and what a file without a header has to be told. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from multiattn.settings import Strict

RAW_SUFFIX = ".raw"
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".sph", RAW_SUFFIX)


class RawFormat(Strict):
    """What a ``.raw`` file does not say itself: headerless samples, channel by channel in turn."""

    sample_rate_hz: PositiveInt = 16_000
    sample: Literal["int8", "int16", "int24", "int32", "float32", "float64", "ulaw", "alaw"] = (
        "int16"
    )
    byte_order: Literal["little", "big"] = "little"
    channels: PositiveInt = 1
