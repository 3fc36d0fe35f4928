"""The share of outputs that equal a reference. Imports no torch, as scoring works without it.

Change the rows of ``statistics`` and how ``aggregate`` turns their sum into values; intervals and
paired tests follow from the rows.

Protocol: ``multiattn.protocols.Metric``. In a recipe: ``evaluation: {metrics: [my-plugin]}``.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


class MyPluginMetric:
    """Keyword-only parameters are the settings of a recipe, checked against their types."""

    def __init__(self, *, lowercase: bool = False) -> None:
        self.lowercase = lowercase

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        """One row per example, 1 if correct: (n, 1)."""
        rows = [
            [float(self._plain(one) in map(self._plain, others))]
            for one, others in zip(hypotheses, references, strict=True)
        ]
        return np.array(rows)

    def aggregate(self, sums: NDArray[np.float64], count: int) -> Mapping[str, float]:
        """Turn summed rows into values; one of them must have the record's name."""
        return {"my-plugin": float(sums[0]) / count}

    def signature(self) -> str:
        """Name everything that the value depends on."""
        return f"my-plugin|lowercase:{'yes' if self.lowercase else 'no'}|version:1"

    def _plain(self, text: str) -> str:
        return text.lower() if self.lowercase else text
