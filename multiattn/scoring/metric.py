"""The protocols of metrics and normalisers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
References = Sequence[Sequence[str]]


@runtime_checkable
class Metric(Protocol):
    """The target of a ``Metric`` record. Its module must import without torch."""

    def statistics(self, hypotheses: Sequence[str], references: References) -> NDArray[np.number]:
        """One row of statistics per example: (n, k)."""
        ...

    def aggregate(self, sums: Array, count: int) -> Mapping[str, float]:
        """Values by name, including the record's name, from summed rows ``sums`` (k,)."""
        ...

    def signature(self) -> str:
        """Tokeniser, normaliser, version: ``key:value`` joined by ``|``."""
        ...


@runtime_checkable
class DetailedMetric(Protocol):
    """A metric that provides per-example error details."""

    def details(self, hypotheses: Sequence[str], references: References, ids: Sequence[str]) -> str:
        """The content of ``METRIC.txt`` beside the scores."""
        ...


@dataclass(frozen=True)
class Edit:
    """A step from a reference to an output: units that correspond; one is empty if it is alone."""

    kind: Literal["equal", "substitute", "delete", "insert"]
    reference: str
    output: str


@runtime_checkable
class AligningMetric(Protocol):
    """A metric that counts edits, and shows which."""

    def edits(self, hypotheses: Sequence[str], references: References) -> Sequence[Sequence[Edit]]:
        """The edits of each output, against the reference that the metric counts."""
        ...


@runtime_checkable
class NamesDetailsFile(Protocol):
    """A ``DetailedMetric`` whose details are not plain text; ``details_suffix``: e.g. ``.json``."""

    details_suffix: str


@runtime_checkable
class CorpusWeightedMetric(Protocol):
    """A metric that weights words by their frequency in a corpus."""

    def fitted(self, references: References) -> Metric:
        """The same metric with its weights fixed on these references, as for a reward."""
        ...


@runtime_checkable
class TokenizingMetric(Protocol):
    """A metric that compares tokens; a warning says where they are not those of the texts."""

    def tokens(self, texts: Sequence[str]) -> Sequence[Sequence[str]]:
        """The tokens of each text, before any stemming."""
        ...


@runtime_checkable
class WarningMetric(Protocol):
    """A metric that is undefined, or means little, on some texts."""

    def warnings(self, hypotheses: Sequence[str], references: References) -> Sequence[str]:
        """What makes its value doubtful on these texts and what to do, a sentence each."""
        ...


@runtime_checkable
class Normaliser(Protocol):
    """The target of a ``Normaliser`` record; applying it twice equals applying it once."""

    def __call__(self, text: str) -> str:
        """The normalised text that a metric compares."""
        ...

    def signature(self) -> str:
        """Name, version and settings in one word, for the metric's signature."""
        ...
