"""What a metric and a normaliser are; perplexity, the core's own metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class Metric(Protocol):
    """What the target of a ``Metric`` record is. Its module must import without torch."""

    def statistics(self, hypotheses: Sequence[str], references: References) -> NDArray[np.number]:
        """One row per example: (n, k)."""
        ...

    def aggregate(self, sums: Array, count: int) -> Mapping[str, float]:
        """Values by name, the record's among them, of rows that sum to ``sums`` (k,)."""
        ...

    def signature(self) -> str:
        """Tokeniser, normaliser, version: ``key:value`` joined by ``|``."""
        ...


@runtime_checkable
class DetailedMetric(Protocol):
    """A metric that can show the errors of single examples."""

    def details(self, hypotheses: Sequence[str], references: References, ids: Sequence[str]) -> str:
        """The content of ``METRIC.txt`` beside the scores."""
        ...


@runtime_checkable
class NamesDetailsFile(Protocol):
    """A ``DetailedMetric`` whose details are no plain text: ``details_suffix`` is ``.json``, say."""

    details_suffix: str


@runtime_checkable
class CorpusWeightedMetric(Protocol):
    """A metric that weighs words by how frequent they are in a corpus."""

    def fitted(self, references: References) -> Metric:
        """The same metric with its weights fixed on these references, as for a reward."""
        ...


@runtime_checkable
class Normaliser(Protocol):
    """What the target of a ``Normaliser`` record is; applying it twice equals applying it once."""

    def __call__(self, text: str) -> str:
        """The text as a metric compares it."""
        ...

    def signature(self) -> str:
        """Name, version and settings in one word, for the metric's signature."""
        ...
