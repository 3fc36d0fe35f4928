"""BLEU, chrF, TER and ROUGE: the counts of the official scorers, one row per example.

sacrebleu and rouge-score do all the counting, and values keep their scales: 0-100 for sacrebleu,
0-1 for rouge-score. Imports no torch.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from multiattn import UserError

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

Statistics = NDArray[np.float64]
BleuTokenizer = Literal[
    "13a", "intl", "none", "char", "zh", "ja-mecab", "ko-mecab", "flores101", "flores200"
]
Smoothing = Literal["exp", "floor", "add-k", "none"]


class Bleu:
    """Corpus BLEU (Papineni et al. 2002) as sacrebleu computes it (Post 2018), 0-100.

    ``tokenize="none"`` scores text that is already tokenised. Raises UserError when the tokeniser
    needs a package or a download that is missing.
    """

    def __init__(
        self,
        *,
        tokenize: BleuTokenizer = "13a",
        lowercase: bool = False,
        smooth_method: Smoothing = "exp",
        smooth_value: PositiveFloat | None = None,
    ) -> None:
        try:
            self._scorer = BLEU(
                tokenize=tokenize,
                lowercase=lowercase,
                smooth_method=smooth_method,
                smooth_value=smooth_value,
                force=tokenize == "none",  # do not warn about tokenised text that is intended
            )
        except (ImportError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"expected all that BLEU's tokeniser {tokenize!r} needs, got: {reason}; "
                "install it or choose another tokenize, such as 13a"
            ) from error

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Statistics:
        """Lengths of hypothesis and closest reference, matched and total n-grams: (n, 10)."""
        return _sentence_statistics(self._scorer, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """BLEU of the summed counts."""
        return {"bleu": _score(self._scorer, sums)}

    def signature(self) -> str:
        """The signature of sacrebleu without the number of references."""
        return _signature(self._scorer)


class Chrf:
    """Character n-gram F-score (Popović 2015), 0-100; ``word_order=2`` is chrF++ (Popović 2017)."""

    def __init__(
        self,
        *,
        char_order: PositiveInt = 6,
        word_order: NonNegativeInt = 0,
        beta: PositiveInt = 2,
        lowercase: bool = False,
        whitespace: bool = False,
        eps_smoothing: bool = False,
    ) -> None:
        self._scorer = CHRF(
            char_order=char_order,
            word_order=word_order,
            beta=beta,
            lowercase=lowercase,
            whitespace=whitespace,
            eps_smoothing=eps_smoothing,
        )

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Statistics:
        """N-grams of hypothesis, best reference, and both, per order: (n, 3 · orders)."""
        return _sentence_statistics(self._scorer, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """ChrF of the summed counts."""
        return {"chrf": _score(self._scorer, sums)}

    def signature(self) -> str:
        """As for BLEU, with beta where it is not 2, which sacrebleu leaves out."""
        beta = self._scorer.beta
        return _signature(self._scorer) if beta == 2 else f"beta:{beta}|{_signature(self._scorer)}"


class Ter:
    """Translation edit rate (Snover et al. 2006): edits per 100 reference words."""

    def __init__(
        self,
        *,
        case_sensitive: bool = False,
        normalized: bool = False,
        no_punct: bool = False,
        asian_support: bool = False,
    ) -> None:
        self._scorer = TER(
            case_sensitive=case_sensitive,
            normalized=normalized,
            no_punct=no_punct,
            asian_support=asian_support,
        )

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Statistics:
        """Fewest edits to any reference and the mean reference length: (n, 2)."""
        return _sentence_statistics(self._scorer, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """TER of the summed edits."""
        return {"ter": _score(self._scorer, sums)}

    def signature(self) -> str:
        """The signature of sacrebleu without the number of references."""
        return _signature(self._scorer)


class Rouge1:
    """ROUGE-1 (Lin 2004): words in common; mean F, precision and recall over examples, 0-1.

    stemmer: Porter stemming, as in ``ROUGE-1.5.5.pl -m`` and most published summarization work.
    """

    def __init__(self, *, stemmer: bool = True) -> None:
        self._stemmer = stemmer
        self._scorer = _rouge_scorer("rouge1", stemmer)

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Statistics:
        """F, precision and recall against the reference with the highest F: (n, 3)."""
        return _rouge_statistics(self._scorer, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Means over examples; ``rouge-1`` is the F-score."""
        return _rouge_means("rouge-1", sums, count)

    def signature(self) -> str:
        """Stemming, tokenisation, how references and examples are combined, versions."""
        return _rouge_signature(self._stemmer)


class Rouge2:
    """ROUGE-2 (Lin 2004): word pairs in common; otherwise as ``Rouge1``."""

    def __init__(self, *, stemmer: bool = True) -> None:
        self._stemmer = stemmer
        self._scorer = _rouge_scorer("rouge2", stemmer)

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Statistics:
        """F, precision and recall against the reference with the highest F: (n, 3)."""
        return _rouge_statistics(self._scorer, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Means over examples; ``rouge-2`` is the F-score."""
        return _rouge_means("rouge-2", sums, count)

    def signature(self) -> str:
        """Stemming, tokenisation, how references and examples are combined, versions."""
        return _rouge_signature(self._stemmer)


class RougeL:
    """ROUGE-L (Lin 2004): longest common subsequence; otherwise as ``Rouge1``.

    Not the ROUGE-L of the COCO captioning evaluation.
    """

    def __init__(self, *, stemmer: bool = True) -> None:
        self._stemmer = stemmer
        self._scorer = _rouge_scorer("rougeL", stemmer)

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Statistics:
        """F, precision and recall against the reference with the highest F: (n, 3)."""
        return _rouge_statistics(self._scorer, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Means over examples; ``rouge-l`` is the F-score."""
        return _rouge_means("rouge-l", sums, count)

    def signature(self) -> str:
        """Stemming, tokenisation, how references and examples are combined, versions."""
        return _rouge_signature(self._stemmer)


def _sentence_statistics(
    scorer: BLEU | CHRF | TER, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> Statistics:
    # sacrebleu expects one stream per reference; None marks an example with fewer references
    streams = list(zip_longest(*references))
    counts = scorer._extract_corpus_statistics(hypotheses, streams)
    return np.array(counts, dtype=np.float64)  # (n, k)


def _score(scorer: BLEU | CHRF | TER, sums: Statistics) -> float:
    # a list, because sacrebleu's add-k smoothing adds to slices of its argument
    return float(scorer._compute_score_from_stats(sums.tolist()).score)


def _signature(scorer: BLEU | CHRF | TER) -> str:
    scorer.num_refs = 1  # sacrebleu gives no signature before it has seen references
    signature = scorer.get_signature()
    signature.update("nrefs", None)
    return str(signature.format())


def _rouge_scorer(kind: str, stemmer: bool) -> RougeScorer:
    # imported here because it imports nltk, which takes over a second and is not needed for BLEU
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], use_stemmer=stemmer)


def _rouge_statistics(
    scorer: RougeScorer, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> Statistics:
    (kind,) = scorer.rouge_types
    rows: list[Any] = [
        scorer.score_multi(targets, hypothesis)[kind]
        for hypothesis, targets in zip(hypotheses, references, strict=True)
    ]
    return np.array([(row.fmeasure, row.precision, row.recall) for row in rows])  # (n, 3)


def _rouge_means(name: str, sums: Statistics, count: int) -> Mapping[str, float]:
    f_score, precision, recall = (sums / count).tolist()
    return {name: f_score, f"{name}-precision": precision, f"{name}-recall": recall}


def _rouge_signature(stemmer: bool) -> str:
    stem = f"porter-nltk-{importlib.metadata.version('nltk')}" if stemmer else "no"
    version = importlib.metadata.version("rouge-score")
    return f"case:lc|stem:{stem}|tok:rouge-score|refs:best-f|mean:examples|version:{version}"
