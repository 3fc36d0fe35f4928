"""The metric ``keyword-recall``: how many of a list's names or terms come through. No torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multiattn import UserError
from multiattn.corpora import FileLine, decode_line, read_lines

DIGEST_LETTERS = 8


class KeywordRecall:
    """The keywords of a reference that its output has too, over the whole set.

    A keyword counts as often as it occurs, between words or punctuation and not within a word; of
    keywords within each other the longest counts. With several references, the one with the highest
    recall counts.

    keywords: a file with a name or a term on each line. lowercase: ignore case.
    Raises UserError for a file without any, or one that cannot be read.
    """

    def __init__(self, *, keywords: str, lowercase: bool = True) -> None:
        self._lowercase = lowercase
        listed = _listed(Path(keywords))
        self._keywords = sorted({self._folded(each) for each in listed}, key=lambda k: (-len(k), k))
        choices = "|".join(map(re.escape, self._keywords))
        self._pattern = re.compile(rf"(?<!\w)(?:{choices})(?!\w)")

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        """Keywords found in both, in the reference and in the output: (n, 3)."""
        pairs = zip(hypotheses, references, strict=True)
        return np.array([self._best(text, targets) for text, targets in pairs], dtype=np.float64)

    def aggregate(self, sums: NDArray[np.float64], count: int) -> Mapping[str, float]:
        """Recall, and precision; 1 where there is nothing to recall or to be right about."""
        both, in_reference, in_output = sums.tolist()
        return {
            "keyword-recall": both / in_reference if in_reference else 1.0,
            "keyword-recall-precision": both / in_output if in_output else 1.0,
        }

    def signature(self) -> str:
        """The number of keywords and a digest of their list, case, references."""
        digest = sha256("\n".join(self._keywords).encode()).hexdigest()[:DIGEST_LETTERS]
        case = "lc" if self._lowercase else "mixed"
        return f"keywords:{len(self._keywords)}-{digest}|case:{case}|refs:best"

    def warnings(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Sequence[str]:
        """Without a keyword in the references there is nothing to recall."""
        if any(self._counts(text) for targets in references for text in targets):
            return ()
        return (
            "no reference has a keyword of the list, so there is nothing to recall and the value "
            "is 1; give a list of what the references name",
        )

    def _best(self, output: str, references: Sequence[str]) -> tuple[int, int, int]:
        written = self._counts(output)
        counts = []
        for reference in references:
            wanted = self._counts(reference)
            counts.append(((written & wanted).total(), wanted.total(), written.total()))
        return max(counts, key=lambda row: (row[0] / row[1] if row[1] else 1.0, row[1]))

    def _counts(self, text: str) -> Counter[str]:
        return Counter(self._pattern.findall(self._folded(text)))

    def _folded(self, text: str) -> str:
        text = " ".join(text.split())
        return text.lower() if self._lowercase else text


def _listed(file: Path) -> list[str]:
    lines = [
        decode_line(raw, FileLine(file, number)).strip()
        for number, raw in enumerate(read_lines(file), start=1)
    ]
    keywords = [line for line in lines if line]
    if not keywords:
        raise UserError(f"expected a keyword on a line of {file}, got none; give some")
    return keywords
