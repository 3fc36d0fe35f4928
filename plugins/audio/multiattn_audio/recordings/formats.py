"""The format of recordings without a header."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from multiattn import Strict


class RawFormat(Strict):
    """The format of ``.raw`` files: samples without a header, channels interleaved."""

    sample_rate_hz: PositiveInt = 16_000
    sample: Literal["int8", "int16", "int24", "int32", "float32", "float64", "ulaw", "alaw"] = (
        "int16"
    )
    byte_order: Literal["little", "big"] = "little"
    channels: PositiveInt = 1
