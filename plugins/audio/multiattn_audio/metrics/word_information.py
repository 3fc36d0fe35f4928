"""Measures of recognised words besides the error rate (Morris et al. 2004). Imports no torch.

Unlike the error rate, they never exceed 100 %. With S, D, I, H the substitutions, deletions,
insertions and hits of the whole set:

- match error rate: (S + D + I) / (S + D + I + H)
- word information preserved: H / (S + D + H) · H / (S + I + H)
- word information lost: 1 - word information preserved

Values are 100 × those of jiwer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import jiwer

from multiattn_audio.metrics.alignments import (
    NormaliserFactory,
    References,
    Statistics,
    signature_of,
    statistics_of,
)
from multiattn_audio.text_normalisers import VerbatimNormaliser


class _WordMeasure:
    """A ratio of summed counts of words.

    normaliser: applied to both texts first; by default they are only split at spaces. With several
    references, the nearest one counts, as for ``Wer``.
    """

    name: ClassVar[str]

    def __init__(self, *, normaliser: NormaliserFactory = VerbatimNormaliser) -> None:
        self._normalise = normaliser()

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """Substitutions, deletions, insertions, hits against the nearest reference: (n, 4)."""
        return statistics_of(jiwer.process_words, self._normalise, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """The ratio in percent."""
        return {self.name: 100 * self._ratio(sums.tolist())}

    def _ratio(self, counts: Sequence[float]) -> float:
        """The measure, from substitutions, deletions, insertions and hits."""
        raise NotImplementedError

    def signature(self) -> str:
        """Normaliser, unit, choice of reference, version of jiwer."""
        return signature_of(self._normalise, "word")

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """Normalised words."""
        return [self._normalise(text).split() for text in texts]


class Mer(_WordMeasure):
    """Match error rate: the share of all matched or unmatched words that is wrong."""

    name = "mer"

    def _ratio(self, counts: Sequence[float]) -> float:
        errors, hits = sum(counts[:3]), counts[3]
        return errors / (errors + hits) if errors else 0.0


class Wip(_WordMeasure):
    """Word information preserved."""

    name = "wip"

    def _ratio(self, counts: Sequence[float]) -> float:
        substitutions, deletions, insertions, hits = counts
        if not substitutions + deletions + insertions:
            return 1.0
        if not hits:
            return 0.0
        found = hits / (substitutions + deletions + hits)
        right = hits / (substitutions + insertions + hits)
        return found * right


class Wil(Wip):
    """Word information lost."""

    name = "wil"

    def _ratio(self, counts: Sequence[float]) -> float:
        return 1 - super()._ratio(counts)
