"""What a metric and a normaliser are; perplexity, the core's own metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from multiattn.registry import records

PERPLEXITY = records.Metric(
    name="perplexity",
    target="multiattn.scoring.metric:Perplexity",
    summary="exp of the mean negative log-likelihood of a token, ends included",
    higher_is_better=False,
    unit="",
)


class Perplexity:
    """A metric of the model itself: per example its negative log-likelihood and its tokens."""

    def __init__(self, statistics: NDArray[np.float64]) -> None:
        self._statistics = statistics  # (n, 2)

    def statistics(self, hypotheses: Sequence[str], references: object) -> NDArray[np.float64]:
        """What was measured, whatever the texts."""
        return self._statistics

    def aggregate(self, sums: NDArray[np.float64], count: int) -> Mapping[str, float]:
        """exp(Σ negative log-likelihood / Σ tokens)."""
        return {"perplexity": math.exp(min(700.0, sums[0] / sums[1]))}

    def signature(self) -> str:
        """Per token of the run's own tokenizer."""
        return "unit:token"


Array = NDArray[np.float64]


References = Sequence[Sequence[str]]


class Metric(Protocol):
    """What the target of a ``records.Metric`` can do.

    One that can also show errors has ``details(hypotheses, references, ids) -> str``: evaluation
    writes that to ``METRIC.txt`` beside the scores, or with its ``details_suffix``, such as
    ``".json"``. One that weighs by a corpus has ``fitted(references) -> Metric``: the same with its
    weights fixed on these references (a tuple per example), as a reward is measured by.
    """

    def statistics(self, hypotheses: Sequence[str], references: References) -> NDArray[np.number]:
        """One row per example: (n, k)."""
        ...

    def aggregate(self, sums: Array, count: int) -> Mapping[str, float]:
        """Values by name, the record's among them, of rows that sum to ``sums`` (k,)."""
        ...

    def signature(self) -> str:
        """Tokeniser, normaliser, version: ``key:value`` joined by ``|``."""
        ...


class Normaliser(Protocol):
    """What the target of a ``records.Normaliser`` can do; applied twice it gives the same."""

    def __call__(self, text: str) -> str:
        """The text as a metric compares it."""
        ...

    def signature(self) -> str:
        """Name, version and settings in one word, for the metric's signature."""
        ...
