"""The metric ``masked-recall``: how many of the masked words were translated. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from multiattn_text.masked_words import MASKED_WORDS, WORD_LIST_VERSION


class MaskedRecall:
    """Recall of the German words that translate masked English words, 0-1.

    The tokens of the reference that are in the word list are counted, whether or not the English
    was masked there. A counted token is matched if the output still has an unmatched word for the
    same concept, in any form or synonym on its line of the list. Texts are lowercased and split at
    spaces, so they should be tokenised. With several references, the one with the highest recall
    counts.
    """

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        """Matched and counted words of every example: (n, 2)."""
        pairs = zip(hypotheses, references, strict=True)
        counts = [_best_counts(hypothesis, targets) for hypothesis, targets in pairs]
        return np.array(counts, dtype=np.float64)

    def aggregate(self, sums: NDArray[np.float64], count: int) -> Mapping[str, float]:
        """Matched words divided by counted words; 0 if none were counted."""
        matched, counted = sums.tolist()
        return {"masked-recall": matched / counted if counted else 0.0}

    def signature(self) -> str:
        """Version of the word list, what counts as a match, tokenisation, references."""
        return f"words:multi30k-{WORD_LIST_VERSION}|match:thing|case:lc|tok:none|refs:best"

    def warnings(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Sequence[str]:
        """Without a listed word in the references there is nothing to recall."""
        if self.statistics(hypotheses, references)[:, 1].any():
            return ()
        return (
            "no reference has a word of the list of masked words, so there is nothing to recall "
            "and the value is 0; score the corpus multi30k-masked, tokenised and in German",
        )


def _best_counts(hypothesis: str, references: Sequence[str]) -> tuple[int, int]:
    """Matched and counted words against the reference with the highest recall."""
    output_concepts = MASKED_WORDS.count_concepts(hypothesis)
    counts = []
    for reference in references:
        reference_concepts = MASKED_WORDS.count_concepts(reference)
        common = reference_concepts & output_concepts
        counts.append((common.total(), reference_concepts.total()))
    return max(counts, key=lambda row: (row[0] / row[1] if row[1] else 0.0, row[1]))
