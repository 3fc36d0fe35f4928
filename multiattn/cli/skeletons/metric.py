"""The share of outputs that equal a reference. No torch here: scoring works without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


class Example:
    """Keyword-only parameters are the settings that a recipe may give, checked by their types."""

    def __init__(self, *, lowercase: bool = False) -> None:
        self.lowercase = lowercase

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        """Count per example what is right: (n, 1). Intervals and tests are made of these rows."""
        rows = [
            [float(self._plain(one) in map(self._plain, others))]
            for one, others in zip(hypotheses, references, strict=True)
        ]
        return np.array(rows)

    def aggregate(self, sums: NDArray[np.float64], count: int) -> Mapping[str, float]:
        """Turn summed rows into values; one of them has the record's name."""
        return {"example": float(sums[0]) / count}

    def signature(self) -> str:
        """Say all that the value depends on."""
        return f"example|lowercase:{'yes' if self.lowercase else 'no'}|version:1"

    def _plain(self, text: str) -> str:
        return text.lower() if self.lowercase else text
