"""Word and character error rates. Imports no torch.

Values are in percent of the reference's words or characters, as in papers: 100 × those of jiwer.

Letters: n examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jiwer

from multiattn import Edit
from multiattn_audio.metrics.alignments import (
    NormaliserFactory,
    References,
    Statistics,
    details_of,
    edits_of,
    signature_of,
    statistics_of,
)
from multiattn_audio.text_normalisers import VerbatimNormaliser


class Wer:
    """Word error rate: (S + D + I) / (S + D + H) in percent, over the whole set, as jiwer counts.

    normaliser: applied to both texts first; by default they are only split at spaces.

    Besides ``wer``, the shares of substitutions, deletions and insertions, which add up to it, and
    of hits are reported. With several references, each example is compared with the one that gives
    the fewest errors, and with the longest of these if there is a tie (mWER: Nießen et al. 2000).
    An empty reference adds its insertions and no words; if no reference has a word, the rate is
    100 × the number of inserted words, as in jiwer.
    """

    def __init__(self, *, normaliser: NormaliserFactory = VerbatimNormaliser) -> None:
        self._normalise = normaliser()

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """Substitutions, deletions, insertions, hits against the nearest reference: (n, 4)."""
        return statistics_of(jiwer.process_words, self._normalise, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Percentages of the summed reference words."""
        return _error_rates("wer", sums)

    def signature(self) -> str:
        """Normaliser, unit, choice of reference, version of jiwer."""
        return signature_of(self._normalise, "word")

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """Normalised words."""
        return [self._normalise(text).split() for text in texts]

    def details(self, hypotheses: Sequence[str], references: References, ids: Sequence[str]) -> str:
        """Align the words of every example that has errors, and list the commonest errors."""
        return details_of(jiwer.process_words, self._normalise, hypotheses, references, ids)

    def edits(self, hypotheses: Sequence[str], references: References) -> list[list[Edit]]:
        """The edits of the normalised words."""
        return edits_of(jiwer.process_words, self._normalise, hypotheses, references)


class Cer:
    """Character error rate: as ``Wer``, over characters, including the spaces between words."""

    def __init__(self, *, normaliser: NormaliserFactory = VerbatimNormaliser) -> None:
        self._normalise = normaliser()

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """Substitutions, deletions, insertions, hits against the nearest reference: (n, 4)."""
        return statistics_of(jiwer.process_characters, self._normalise, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Percentages of the summed reference characters."""
        return _error_rates("cer", sums)

    def signature(self) -> str:
        """Normaliser, unit, choice of reference, version of jiwer."""
        return signature_of(self._normalise, "character")

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """Characters of the normalised words."""
        return [list("".join(self._normalise(text).split())) for text in texts]

    def details(self, hypotheses: Sequence[str], references: References, ids: Sequence[str]) -> str:
        """Align the characters of every example that has errors, and list the commonest errors."""
        return details_of(jiwer.process_characters, self._normalise, hypotheses, references, ids)

    def edits(self, hypotheses: Sequence[str], references: References) -> list[list[Edit]]:
        """The edits of the normalised characters."""
        return edits_of(jiwer.process_characters, self._normalise, hypotheses, references)


def _error_rates(name: str, sums: Statistics) -> Mapping[str, float]:
    substitutions, deletions, insertions, hits = sums.tolist()
    units = substitutions + deletions + hits or 1.0  # without any unit jiwer divides by 1
    return {
        name: 100 * ((substitutions + deletions + insertions) / units),
        f"{name}-substitutions": 100 * (substitutions / units),
        f"{name}-deletions": 100 * (deletions / units),
        f"{name}-insertions": 100 * (insertions / units),
        f"{name}-hits": 100 * (hits / units),
    }
