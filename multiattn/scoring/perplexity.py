"""Perplexity, the one metric that needs the model's probabilities and no texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from multiattn.registry import records

PERPLEXITY = records.Metric(
    name="perplexity",
    target="multiattn.scoring.perplexity:Perplexity",
    summary="exp of the mean negative log-likelihood of a token, ends included",
    higher_is_better=False,
    unit="",
)


class Perplexity:
    """The model's perplexity, from each example's negative log-likelihood and token count."""

    def __init__(self, statistics: NDArray[np.float64]) -> None:
        self._statistics = statistics  # (n, 2)

    def statistics(self, hypotheses: Sequence[str], references: object) -> NDArray[np.float64]:
        """The precomputed statistics (n, 2); the texts are ignored."""
        return self._statistics

    def aggregate(self, sums: NDArray[np.float64], count: int) -> Mapping[str, float]:
        """exp(Σ negative log-likelihood / Σ tokens)."""
        return {"perplexity": math.exp(min(700.0, sums[0] / sums[1]))}

    def signature(self) -> str:
        """States that it is per token of the run's own tokenizer."""
        return "unit:token"
