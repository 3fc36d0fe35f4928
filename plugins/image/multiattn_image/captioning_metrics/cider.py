"""CIDEr-D of tokenised captions, by pycocoevalcap's scorer with given document frequencies.

The package takes the document frequencies from the captions it scores; here they are passed in, and
may come from another set (Rennie et al. 2017 use those of the training set). Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.cider.cider_scorer import CiderScorer, cook_refs, cook_test

MAX_ORDER = 4
SIGMA = 6.0  # standard deviation, in words, of the Gaussian penalty on length differences

References = Sequence[Sequence[str]]


class NgramCounts(dict[tuple[str, ...], float]):
    """n-gram -> number of examples with it; looking up an unseen n-gram does not store it."""

    def __missing__(self, ngram: tuple[str, ...]) -> float:
        return 0.0


@dataclass(frozen=True)
class DocumentFrequencies:
    """In how many of ``example_count`` examples' references each n-gram occurs."""

    counts: NgramCounts
    example_count: int


def document_frequencies(references: References) -> DocumentFrequencies:
    """Count n-grams in the references of every example, tokens separated by spaces."""
    scorer = CiderScorer(n=MAX_ORDER, sigma=SIGMA)
    scorer.crefs = [cook_refs(example_references, MAX_ORDER) for example_references in references]
    scorer.compute_doc_freq()
    return DocumentFrequencies(NgramCounts(scorer.document_frequency), len(references))


def settings(frequencies: str) -> str:
    """The part of a signature that names the source of the frequencies and the constants."""
    return f"df:{frequencies}|n:{MAX_ORDER}|sigma:{SIGMA:g}|mean:examples"


def cider_scores(
    hypotheses: Sequence[str], references: References, frequencies: DocumentFrequencies
) -> NDArray[np.float64]:
    """CIDEr-D of every hypothesis against its references: (n,), 0-10."""
    scorer = _FixedFrequencyScorer(frequencies)
    scorer.ctest = [cook_test(hypothesis, MAX_ORDER) for hypothesis in hypotheses]
    scorer.crefs = [cook_refs(example_references, MAX_ORDER) for example_references in references]
    return np.array(scorer.compute_cider(), dtype=np.float64)


class _FixedFrequencyScorer(CiderScorer):  # type: ignore[misc]
    """The package's scorer, which would otherwise use the size of the set that it scores."""

    def __init__(self, frequencies: DocumentFrequencies) -> None:
        self._log_example_count = np.log(float(frequencies.example_count))
        super().__init__(n=MAX_ORDER, sigma=SIGMA)
        self.document_frequency = frequencies.counts

    @property
    def ref_len(self) -> float:
        """The package's name for the log of the number of documents in equation 1."""
        return float(self._log_example_count)

    @ref_len.setter
    def ref_len(self, value: object) -> None:
        pass  # the package sets it to the log of the scored set's size
