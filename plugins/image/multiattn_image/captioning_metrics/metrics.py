"""CIDEr-D, BLEU, ROUGE-L and METEOR as in COCO's caption evaluation, with statistics per example.

pycocoevalcap computes the counts; its Java programs run through ``java_process.py``. Values keep
the package's scale: 0-10 for CIDEr, 0-1 for the others. Imports no torch.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.bleu.bleu_scorer import BleuScorer, cook_refs, cook_test
from pycocoevalcap.rouge.rouge import Rouge

from multiattn_image.captioning_metrics import cider, meteor
from multiattn_image.captioning_metrics.cider_arrays import scored_set
from multiattn_image.captioning_metrics.coco_results import coco_results
from multiattn_image.captioning_metrics.frequency_files import read_frequencies
from multiattn_image.captioning_metrics.tokenizers import Tokenizer, TokenizerName, make_tokenizer

Statistics = NDArray[np.float64]
References = Sequence[Sequence[str]]
TokenisedHypotheses = tuple[str, ...]  # tokens separated by spaces
TokenisedReferences = tuple[tuple[str, ...], ...]

MAX_ORDER = 4
CACHE_SIZE = 4  # sets of captions: BLEU-1 to 4 share their counts, and groups score a set again


class _CocoMetric:
    """The tokeniser, which all of them let a recipe choose.

    tokenize: by default COCO's own, for English (``ptb``). Those of sacrebleu are for languages
    that it does not cut well. All lower-case the captions and, except ``none``, which only cuts
    at spaces, leave punctuation out. Raises UserError where a tokeniser lacks its package.
    """

    def __init__(self, tokenize: TokenizerName) -> None:
        self._tokenizer = make_tokenizer(tokenize)

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """As the chosen tokeniser cuts them."""
        return [text.split() for text in self._tokenizer.tokenise(texts)]

    def _tokenise_all(
        self, hypotheses: Sequence[str], references: References
    ) -> tuple[TokenisedHypotheses, TokenisedReferences]:
        """Tokenise both in one request; the results are tuples so that they can be cache keys."""
        captions = iter(self._tokenizer.tokenise([*hypotheses, *chain.from_iterable(references)]))
        tokenised_hypotheses = tuple(islice(captions, len(hypotheses)))
        return tokenised_hypotheses, tuple(tuple(islice(captions, len(own))) for own in references)

    def _signature(self, settings: str) -> str:
        version = importlib.metadata.version("pycocoevalcap")
        return f"{self._tokenizer.signature}|{settings}|version:pycocoevalcap-{version}"


class Cider(_CocoMetric):
    """CIDEr-D (Vedantam et al. 2015, section 3 and appendix), what papers call CIDEr; 0-10.

    An n-gram weighs more the rarer it is among the references of all scored examples, so the same
    captions score differently in a larger set. Resampling and groups keep the weights of the whole
    set. A single example scores 0, because every n-gram then occurs in every example.

    frequencies: a file to take the weights from, such as of a whole corpus: COCO's annotations
        (.json), JSON lines with ``references``, or saved document frequencies
        (``save_frequencies``, or the pickles of the authors' code). Raises UserError for one that
        cannot be read.
    """

    details_suffix = ".json"

    def __init__(self, *, tokenize: TokenizerName = "ptb", frequencies: str | None = None) -> None:
        super().__init__(tokenize)
        self._source = "scored-set"
        self._frequencies: cider.DocumentFrequencies | None = None
        if frequencies is not None:
            self._frequencies, self._source = read_frequencies(Path(frequencies), self._tokenizer)

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """The score of each example: (n, 1)."""
        tokenised = self._tokenise_all(hypotheses, references)
        if self._frequencies is not None:
            return cider.cider_scores(*tokenised, self._frequencies)[:, None]
        return _scored_set(*tokenised)[0][:, None]

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Mean over examples."""
        return {"cider": float(sums[0] / count)}

    def signature(self) -> str:
        """Tokeniser, source of the document frequencies, the package's settings and version."""
        return self._signature(cider.settings(self._source))

    def warnings(self, hypotheses: Sequence[str], references: References) -> Sequence[str]:
        """An example of which every n-gram occurs in all examples scores 0 whatever the output."""
        if self._frequencies is not None:
            return ()
        _, without = _scored_set(*self._tokenise_all(hypotheses, references))
        if not without:
            return ()
        return (
            f"every n-gram of {without} of {len(references)} examples occurs in all of them, so "
            "its weight is log 1 = 0 and these score 0, however good the outputs are; score them "
            "within a larger set, which gives other document frequencies",
        )

    def details(self, hypotheses: Sequence[str], references: References, ids: Sequence[str]) -> str:
        """The captions in COCO's result format, for its server and other evaluators."""
        return coco_results(ids, hypotheses)

    def fitted(self, references: References) -> FittedCider:
        """The same metric with its document frequencies fixed to those of these references.

        ``references[i]`` belong to one example. As a reward it can then score a single caption.
        """
        _, tokenised_references = self._tokenise_all((), references)
        return FittedCider(cider.document_frequencies(tokenised_references), self._tokenizer)


class FittedCider(_CocoMetric):
    """CIDEr-D with document frequencies from another set, such as the training set."""

    def __init__(self, frequencies: cider.DocumentFrequencies, chosen: Tokenizer) -> None:
        self._tokenizer = chosen
        self._frequencies = frequencies

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """The score of each example, independent of the rest of the set: (n, 1)."""
        tokenised = self._tokenise_all(hypotheses, references)
        return cider.cider_scores(*tokenised, self._frequencies)[:, None]

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Mean over examples."""
        return {"cider": float(sums[0] / count)}

    def signature(self) -> str:
        """As that of ``Cider``, with the size of the set that the frequencies come from."""
        return self._signature(cider.settings(f"fitted-on-{self._frequencies.example_count}"))


class _CocoBleu(_CocoMetric):
    """Corpus BLEU (Papineni et al. 2002) of n-grams up to ``order``, closest reference length, 0-1.

    Unlike sacrebleu it uses COCO's tokeniser, and a set without a match is near 0, not smoothed.
    """

    order: ClassVar[int]

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """Lengths of hypothesis and closest reference, total and matched n-grams: (n, 10)."""
        return _bleu_counts(*self._tokenise_all(hypotheses, references))

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """BLEU of the summed counts."""
        return {f"coco-bleu-{self.order}": _bleu_score(sums, self.order)}

    def signature(self) -> str:
        """Tokeniser, choice of the reference length, smoothing, version."""
        return self._signature("reflen:closest|smooth:no")

    def warnings(self, hypotheses: Sequence[str], references: References) -> Sequence[str]:
        """Without an n-gram of the highest order in the outputs it is 0, however good they are."""
        if max(map(len, self.tokens(hypotheses))) >= self.order:
            return ()
        return (
            f"no output has as many as {self.order} tokens, so no {self.order}-gram can match and "
            "it is 0, however good the outputs are; score longer captions, or with a lower order",
        )


class CocoBleu1(_CocoBleu):
    """BLEU of unigrams; see ``_CocoBleu``."""

    order = 1

    def __init__(self, *, tokenize: TokenizerName = "ptb") -> None:
        super().__init__(tokenize)


class CocoBleu2(_CocoBleu):
    """BLEU of n-grams up to bigrams; see ``_CocoBleu``."""

    order = 2

    def __init__(self, *, tokenize: TokenizerName = "ptb") -> None:
        super().__init__(tokenize)


class CocoBleu3(_CocoBleu):
    """BLEU of n-grams up to trigrams; see ``_CocoBleu``."""

    order = 3

    def __init__(self, *, tokenize: TokenizerName = "ptb") -> None:
        super().__init__(tokenize)


class CocoBleu4(_CocoBleu):
    """BLEU of n-grams up to 4-grams, B-4 in papers on captioning; see ``_CocoBleu``."""

    order = 4

    def __init__(self, *, tokenize: TokenizerName = "ptb") -> None:
        super().__init__(tokenize)


class CocoRougeL(_CocoMetric):
    """F-score (beta 1.2) of the longest common subsequence, as in COCO's evaluation; 0-1.

    The best precision and best recall may come from different references, unlike rouge-score's.
    """

    def __init__(self, *, tokenize: TokenizerName = "ptb") -> None:
        super().__init__(tokenize)

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """The score of each example: (n, 1)."""
        return _rouge_scores(*self._tokenise_all(hypotheses, references))

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Mean over examples."""
        return {"coco-rouge-l": float(sums[0] / count)}

    def signature(self) -> str:
        """Tokeniser, weight of recall, how references are combined, version."""
        return self._signature(f"beta:{Rouge().beta}|refs:best-precision-best-recall|mean:examples")


class Meteor(_CocoMetric):
    """METEOR 1.5 (Denkowski & Lavie 2014) for English: exact, stem, synonym, paraphrase; 0-1.

    The jar takes seconds to start and about 2 GB of memory. The score is that of the whole set's
    summed counts, as COCO's evaluation reports it, not a mean over examples.
    """

    def __init__(self, *, tokenize: TokenizerName = "ptb") -> None:
        super().__init__(tokenize)

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """The jar's own counts against the reference with the highest score: (n, 23)."""
        return _meteor_counts(*self._tokenise_all(hypotheses, references))

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """METEOR of the summed counts."""
        return {"meteor": meteor.meteor_score(sums)}

    def signature(self) -> str:
        """Tokeniser, the jar's version, language and normalisation, package version."""
        return self._signature(f"jar:{meteor.NAME}|lang:en|norm:yes|refs:best")


@lru_cache(maxsize=CACHE_SIZE)
def _scored_set(
    hypotheses: TokenisedHypotheses, references: TokenisedReferences
) -> tuple[NDArray[np.float64], int]:
    return scored_set(hypotheses, references)


@lru_cache(maxsize=CACHE_SIZE)
def _bleu_counts(hypotheses: TokenisedHypotheses, references: TokenisedReferences) -> Statistics:
    counts = [
        cook_test(hypothesis, cook_refs(own, n=MAX_ORDER), n=MAX_ORDER)
        for hypothesis, own in zip(hypotheses, references, strict=True)
    ]
    scorer = BleuScorer(n=MAX_ORDER)
    rows = [
        (
            example["testlen"],
            scorer._single_reflen(example["reflen"], "closest", example["testlen"]),
            *example["guess"],
            *example["correct"],
        )
        for example in counts
    ]
    return np.array(rows, dtype=np.float64)  # (n, 10)


def _bleu_score(sums: Statistics, order: int) -> float:
    length, reference_length, *counts = sums.tolist()
    scorer = BleuScorer(n=MAX_ORDER)
    # the set's sums as those of one example, because the package itself sums over examples
    scorer.ctest = [
        {
            "testlen": length,
            "reflen": [reference_length],
            "guess": counts[:MAX_ORDER],
            "correct": counts[MAX_ORDER:],
        }
    ]
    scores, _ = scorer.compute_score(option="closest")
    return float(scores[order - 1])


@lru_cache(maxsize=CACHE_SIZE)
def _rouge_scores(hypotheses: TokenisedHypotheses, references: TokenisedReferences) -> Statistics:
    scorer = Rouge()
    rows = [
        [scorer.calc_score([hypothesis], own)]
        for hypothesis, own in zip(hypotheses, references, strict=True)
    ]
    return np.array(rows, dtype=np.float64)  # (n, 1)


@lru_cache(maxsize=CACHE_SIZE)
def _meteor_counts(hypotheses: TokenisedHypotheses, references: TokenisedReferences) -> Statistics:
    return meteor.meteor_counts(hypotheses, references)
