"""BLEU, chrF and TER: the counts of sacrebleu, one row per example, and its scale, 0-100.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from multiattn_text.sacrebleu_tokenizers import BleuTokenizer, explain_missing_packages

Statistics = NDArray[np.float64]
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
        with explain_missing_packages(tokenize):
            self._scorer = BLEU(
                tokenize=tokenize,
                lowercase=lowercase,
                smooth_method=smooth_method,
                smooth_value=smooth_value,
                force=tokenize == "none",  # do not warn about tokenised text that is intended
            )

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

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """As the chosen tokeniser cuts them."""
        return [self._scorer.tokenizer(text).split() for text in texts]

    def warnings(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Sequence[str]:
        """BLEU is 0 without a 4-gram in the outputs, however good they are."""
        order = self._scorer.max_ngram_order
        longest = max(map(len, self.tokens(hypotheses)))
        if longest >= order:
            return ()
        return (
            f"no output has {order} tokens, so there is no {order}-gram to match and BLEU is 0, "
            "however good the outputs are; score longer texts, or with another metric, such as "
            "chrf",
        )


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

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """The characters other than spaces."""
        return [list("".join(text.split())) for text in texts]


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

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """The words between which edits are counted."""
        return [self._scorer._preprocess_segment(text).split() for text in texts]


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
