"""CIDEr-D, BLEU, ROUGE-L and METEOR as COCO's evaluation of captions has them, a row per example.

pycocoevalcap counts; its Java runs through ``java_process.py``. Nothing here draws samples, and torch is
never imported. Values keep the package's scale: 0-10 for CIDEr, 0-1 for the others.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.bleu.bleu_scorer import BleuScorer, cook_refs, cook_test
from pycocoevalcap.rouge.rouge import Rouge

from multiattn_image.captioning_metrics import cider, coco_results, meteor
from multiattn_image.captioning_metrics.ptb_tokenizer import NAME, tokenised

Statistics = NDArray[np.float64]
References = Sequence[Sequence[str]]
Words = tuple[str, ...]  # captions, tokenised
Targets = tuple[Words, ...]

ORDERS = 4
REMEMBERED = 4  # sets whose counts are kept: BLEU-1 to 4 count the same, groups ask again


class Cider:
    """CIDEr-D (Vedantam et al. 2015, section 3 and appendix), what papers call CIDEr; 0-10.

    An n-gram weighs as much as it is rare among the references of all examples that are scored:
    the same captions score differently in a larger set. Resampling and groups keep the weights of
    the whole set. Of a single example it is 0, as every n-gram is then in every example.
    """

    details_suffix = ".json"

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """The score of each example: (n, 1)."""
        return _cider(*_tokenised(hypotheses, references))

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Mean over examples."""
        return {"cider": float(sums[0] / count)}

    def signature(self) -> str:
        """Tokeniser, whose document frequencies, settings of the package, version."""
        return _cider_signature("scored-set")

    def details(self, hypotheses: Sequence[str], references: References, ids: Sequence[str]) -> str:
        """The captions in COCO's result format, for its server and other evaluators."""
        return coco_results.results(ids, hypotheses)

    def fitted(self, references: References) -> FittedCider:
        """The same metric with its document frequencies fixed on these references.

        ``references[i]`` are those of one example. As a reward it can then judge one caption.
        """
        return FittedCider(cider.documents(_tokenised((), references)[1]))


class FittedCider:
    """CIDEr-D that knows from elsewhere, such as the training set, how rare an n-gram is."""

    def __init__(self, documents: cider.Documents) -> None:
        self._documents = documents

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """The score of each example, whatever others there are: (n, 1)."""
        words, targets = _tokenised(hypotheses, references)
        return cider.scores(words, targets, self._documents)[:, None]

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Mean over examples."""
        return {"cider": float(sums[0] / count)}

    def signature(self) -> str:
        """As that of ``Cider``, with the size of the set that the frequencies are from."""
        return _cider_signature(f"fitted-on-{self._documents.count}")


class _CocoBleu:
    """Corpus BLEU (Papineni et al. 2002) of up to ``order`` words, closest reference length, 0-1.

    Not sacrebleu's: the tokeniser is COCO's, and a set without a match is near 0, not smoothed.
    """

    order: ClassVar[int]

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """Lengths of output and closest reference, n-grams of the output, matched ones: (n, 10)."""
        return _bleu_counts(*_tokenised(hypotheses, references))

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """BLEU of the summed counts."""
        return {f"coco-bleu-{self.order}": _bleu(sums, self.order)}

    def signature(self) -> str:
        """Tokeniser, how references are combined, version."""
        return _signature("reflen:closest|smooth:no")


class CocoBleu1(_CocoBleu):
    """BLEU of single words; see ``_CocoBleu``."""

    order = 1


class CocoBleu2(_CocoBleu):
    """BLEU of up to two words; see ``_CocoBleu``."""

    order = 2


class CocoBleu3(_CocoBleu):
    """BLEU of up to three words; see ``_CocoBleu``."""

    order = 3


class CocoBleu4(_CocoBleu):
    """BLEU of up to four words, what papers on captions call B-4; see ``_CocoBleu``."""

    order = 4


class CocoRougeL:
    """F-score (beta 1.2) of the longest common subsequence, as COCO's evaluation has it; 0-1.

    Best precision and best recall may be of different references, unlike rouge-score's ROUGE-L.
    """

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """The score of each example: (n, 1)."""
        return _rouge(*_tokenised(hypotheses, references))

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Mean over examples."""
        return {"coco-rouge-l": float(sums[0] / count)}

    def signature(self) -> str:
        """Tokeniser, weight of recall, how references are combined, version."""
        return _signature(f"beta:{Rouge().beta}|refs:best-precision-best-recall|mean:examples")


class Meteor:
    """METEOR 1.5 (Denkowski & Lavie 2014) for English: exact, stem, synonym, paraphrase; 0-1.

    The jar takes seconds to start and about 2 GB of memory while it counts. The value is that of
    the whole set's counts, as COCO's evaluation reports it, not a mean over examples.
    """

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """The jar's own counts against the reference it scores highest: (n, 23)."""
        return _meteor_counts(*_tokenised(hypotheses, references))

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """METEOR of the summed counts."""
        return {"meteor": meteor.score(sums)}

    def signature(self) -> str:
        """Tokeniser, language and modules of the jar, version."""
        return _signature(f"jar:{meteor.NAME}|lang:en|norm:yes|refs:best")


def _tokenised(hypotheses: Sequence[str], references: References) -> tuple[Words, Targets]:
    """Both cut by the tokeniser, in one conversation with it; tuples, so that they can be keys."""
    cut = iter(tokenised([*hypotheses, *chain.from_iterable(references)]))
    words = tuple(islice(cut, len(hypotheses)))
    return words, tuple(tuple(islice(cut, len(targets))) for targets in references)


@lru_cache(maxsize=REMEMBERED)
def _cider(words: Words, targets: Targets) -> Statistics:
    return cider.scores(words, targets, cider.documents(targets))[:, None]  # (n, 1)


@lru_cache(maxsize=REMEMBERED)
def _bleu_counts(words: Words, targets: Targets) -> Statistics:
    counted = [
        cook_test(text, cook_refs(own, n=ORDERS), n=ORDERS)
        for text, own in zip(words, targets, strict=True)
    ]
    scorer = BleuScorer(n=ORDERS)
    rows = [
        (
            row["testlen"],
            scorer._single_reflen(row["reflen"], "closest", row["testlen"]),
            *row["guess"],
            *row["correct"],
        )
        for row in counted
    ]
    return np.array(rows, dtype=np.float64)  # (n, 10)


def _bleu(sums: Statistics, order: int) -> float:
    length, reference_length, *counts = sums.tolist()
    scorer = BleuScorer(n=ORDERS)
    # the whole set as if it were one example, as the package itself adds examples up
    scorer.ctest = [
        {
            "testlen": length,
            "reflen": [reference_length],
            "guess": counts[:ORDERS],
            "correct": counts[ORDERS:],
        }
    ]
    values, _ = scorer.compute_score(option="closest")
    return float(values[order - 1])


@lru_cache(maxsize=REMEMBERED)
def _rouge(words: Words, targets: Targets) -> Statistics:
    scorer = Rouge()
    rows = [[scorer.calc_score([text], own)] for text, own in zip(words, targets, strict=True)]
    return np.array(rows, dtype=np.float64)  # (n, 1)


@lru_cache(maxsize=REMEMBERED)
def _meteor_counts(words: Words, targets: Targets) -> Statistics:
    return meteor.counts(words, targets)


def _cider_signature(frequencies: str) -> str:
    return _signature(f"df:{frequencies}|n:{cider.ORDERS}|sigma:{cider.SIGMA:g}|mean:examples")


def _signature(counted: str) -> str:
    version = importlib.metadata.version("pycocoevalcap")
    return f"case:lc|punct:no|tok:{NAME}|{counted}|version:pycocoevalcap-{version}"
