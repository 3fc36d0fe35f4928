"""The JSON form of a prediction: one object per input. Imports no torch.

``format`` is its version. An input that was decoded has ``Prediction.as_json``, a blank one the
same keys with an empty text and no score, and one that could not be decoded ``error``, a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMAT = 1


def blank_as_json(inputs: Mapping[str, str]) -> dict[str, Any]:
    """A blank input, of which nothing is decoded."""
    scores = {"score": None, "log_probability": None}
    return {"format": FORMAT, "input": dict(inputs), "text": "", **scores, "tokens": []}


def error_as_json(error: Exception) -> dict[str, Any]:
    """An input that could not be decoded."""
    return {"format": FORMAT, "error": str(error)}
