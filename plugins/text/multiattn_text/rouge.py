"""ROUGE-1, 2 and L: the scores of rouge-score for each example, 0-1. Imports no torch."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from multiattn_text.sacrebleu_tokenizers import SacrebleuTokenizer

Statistics = NDArray[np.float64]
References = Sequence[Sequence[str]]
RougeTokenizer = Literal["rouge-score", "13a", "intl", "none", "char", "zh", "ja-mecab", "ko-mecab"]

STEMMED_FROM = 4  # letters; rouge-score leaves shorter words as they are


class _Rouge:
    """F, precision and recall against the reference with the highest F, averaged over examples.

    stemmer: Porter stemming, as in ``ROUGE-1.5.5.pl -m`` and most published summarization work.
    tokenize: rouge-score's own drops every letter but a-z; those of sacrebleu keep the letters of
    all scripts, without punctuation. All lower-case the text, and ``none`` only cuts at spaces.
    Raises UserError where a tokeniser lacks its package.
    """

    name: ClassVar[str]
    kind: ClassVar[str]  # rouge-score's name

    def __init__(self, stemmer: bool, tokenize: RougeTokenizer) -> None:
        # imported here because nltk takes over a second to import and BLEU does not need it
        from nltk.stem.porter import PorterStemmer
        from rouge_score.rouge_scorer import RougeScorer
        from rouge_score.tokenizers import DefaultTokenizer

        self._stem = PorterStemmer().stem if stemmer else None
        self._sacrebleu = None if tokenize == "rouge-score" else SacrebleuTokenizer(tokenize)
        self._unstemmed = self._sacrebleu or DefaultTokenizer(use_stemmer=False)
        own = None if self._sacrebleu is None else self
        self._scorer = RougeScorer([self.kind], use_stemmer=stemmer, tokenizer=own)

    def tokenize(self, text: str) -> list[str]:
        """Tokens by sacrebleu, stemmed; the name is that of rouge-score's tokenisers."""
        tokens: list[str] = self._unstemmed.tokenize(text)
        if self._stem is None:
            return tokens
        return [self._stem(token) if len(token) >= STEMMED_FROM else token for token in tokens]

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """F, precision and recall against the reference with the highest F: (n, 3)."""
        rows: list[Any] = [
            self._scorer.score_multi(targets, hypothesis)[self.kind]
            for hypothesis, targets in zip(hypotheses, references, strict=True)
        ]
        return np.array([(row.fmeasure, row.precision, row.recall) for row in rows])  # (n, 3)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Means over examples; the metric's own name is the F-score."""
        f_score, precision, recall = (sums / count).tolist()
        return {
            self.name: f_score,
            f"{self.name}-precision": precision,
            f"{self.name}-recall": recall,
        }

    def signature(self) -> str:
        """Stemming, tokenisation, how references and examples are combined, versions."""
        stem = "no" if self._stem is None else f"porter-nltk-{importlib.metadata.version('nltk')}"
        version = importlib.metadata.version("rouge-score")
        combined = f"refs:best-f|mean:examples|version:{version}"
        if self._sacrebleu is None:
            return f"case:lc|stem:{stem}|tok:rouge-score|{combined}"
        return f"{self._sacrebleu.signature()}|stem:{stem}|{combined}"

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """Words before stemming."""
        return [self._unstemmed.tokenize(text) for text in texts]


class Rouge1(_Rouge):
    """ROUGE-1 (Lin 2004): words in common; see ``_Rouge`` for the settings."""

    name = "rouge-1"
    kind = "rouge1"

    def __init__(self, *, stemmer: bool = True, tokenize: RougeTokenizer = "rouge-score") -> None:
        super().__init__(stemmer, tokenize)


class Rouge2(_Rouge):
    """ROUGE-2 (Lin 2004): word pairs in common; see ``_Rouge`` for the settings."""

    name = "rouge-2"
    kind = "rouge2"

    def __init__(self, *, stemmer: bool = True, tokenize: RougeTokenizer = "rouge-score") -> None:
        super().__init__(stemmer, tokenize)

    def warnings(self, hypotheses: Sequence[str], references: References) -> Sequence[str]:
        """An example whose references are single words has no pair to match."""
        longest = [max(map(len, self.tokens(targets))) for targets in references]
        single = longest.count(1)
        if not single:
            return ()
        return (
            f"{single} of {len(references)} examples have references of one word, without a pair "
            "to match, and score 0, however good the outputs are; use rouge-1 or rouge-l",
        )


class RougeLsum(_Rouge):
    """ROUGE-Lsum (Lin 2004, section 3.2): longest common subsequences of sentences, united.

    Sentences are lines: those of a summary must stand on lines of their own, as rouge-score's
    ``rougeLsum`` expects. See ``_Rouge`` for the settings.
    """

    name = "rouge-lsum"
    kind = "rougeLsum"

    def __init__(self, *, stemmer: bool = True, tokenize: RougeTokenizer = "rouge-score") -> None:
        super().__init__(stemmer, tokenize)

    def warnings(self, hypotheses: Sequence[str], references: References) -> Sequence[str]:
        """Where no text has two lines, this is rouge-l."""
        texts = [*hypotheses, *(text for targets in references for text in targets)]
        if any("\n" in text.strip() for text in texts):
            return ()
        return (
            "no text has two lines, and sentences are lines, so that the value is that of rouge-l; "
            "give JSON lines or a table with each sentence on a line of its own",
        )


class RougeL(_Rouge):
    """ROUGE-L (Lin 2004): longest common subsequence; see ``_Rouge`` for the settings.

    Not the ROUGE-L of the COCO captioning evaluation.
    """

    name = "rouge-l"
    kind = "rougeL"

    def __init__(self, *, stemmer: bool = True, tokenize: RougeTokenizer = "rouge-score") -> None:
        super().__init__(stemmer, tokenize)
