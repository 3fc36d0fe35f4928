"""CIDEr-D of tokenised captions by pycocoevalcap's scorer, with document frequencies of any set.

It refuses to tokenise. The package takes the frequencies from what it scores; here they are a value
that may come from elsewhere (Rennie et al. 2017 take those of the training set). No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.cider.cider_scorer import CiderScorer, cook_refs, cook_test

ORDERS = 4
SIGMA = 6.0  # words of difference in length that the Gaussian penalty forgives

Targets = Sequence[Sequence[str]]


class Frequencies(dict[tuple[str, ...], float]):
    """n-gram -> number of examples with it; to ask for another remembers nothing."""

    def __missing__(self, ngram: tuple[str, ...]) -> float:
        return 0.0


@dataclass(frozen=True)
class Documents:
    """What CIDEr-D weighs n-grams by: in how many of ``count`` examples' references each is."""

    frequencies: Frequencies
    count: int


def documents(targets: Targets) -> Documents:
    """Count in the references of every example, cut into words at spaces."""
    scorer = CiderScorer(n=ORDERS, sigma=SIGMA)
    scorer.crefs = [cook_refs(own, ORDERS) for own in targets]
    scorer.compute_doc_freq()
    return Documents(Frequencies(scorer.document_frequency), len(targets))


def scores(words: Sequence[str], targets: Targets, known: Documents) -> NDArray[np.float64]:
    """CIDEr-D of every caption against its references: (n,), 0-10."""
    scorer = _Scorer(known)
    scorer.ctest = [cook_test(text, ORDERS) for text in words]
    scorer.crefs = [cook_refs(own, ORDERS) for own in targets]
    return np.array(scorer.compute_cider(), dtype=np.float64)


class _Scorer(CiderScorer):  # type: ignore[misc]
    """The package's scorer, which would take the size of the set from what it scores."""

    def __init__(self, known: Documents) -> None:
        self._log_count = np.log(float(known.count))
        super().__init__(n=ORDERS, sigma=SIGMA)
        self.document_frequency = known.frequencies

    @property
    def ref_len(self) -> float:
        """The log of how many documents there are in equation 1, where the frequencies are from."""
        return float(self._log_count)

    @ref_len.setter
    def ref_len(self, value: object) -> None:
        pass  # the scorer sets it twice to what it is of the scored set
