"""Word and character error rates, from jiwer's alignments of each example. Imports no torch.

Values are in percent of the reference's words or characters, as in papers: 100 × those of jiwer.

Letters: n examples.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Annotated

import jiwer
import numpy as np
from numpy.typing import NDArray

from multiattn import Slot
from multiattn.protocols import Normaliser
from multiattn_audio.text_normalisers import VerbatimNormaliser

Statistics = NDArray[np.float64]
References = Sequence[Sequence[str]]
Aligned = jiwer.WordOutput | jiwer.CharacterOutput
Align = Callable[[list[str], list[str]], Aligned]
NormaliserFactory = Annotated[Callable[[], Normaliser], Slot("normaliser")]

EDIT_TYPES = ("substitute", "delete", "insert", "equal")  # jiwer's names, in column order
TOP_ERRORS = 20  # how many of the commonest errors of each type the details list
LINE_WIDTH = 100


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
        return _statistics(jiwer.process_words, self._normalise, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Percentages of the summed reference words."""
        return _error_rates("wer", sums)

    def signature(self) -> str:
        """Normaliser, unit, choice of reference, version of jiwer."""
        return _signature(self._normalise, "word")

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """Normalised words."""
        return [self._normalise(text).split() for text in texts]

    def details(self, hypotheses: Sequence[str], references: References, ids: Sequence[str]) -> str:
        """Align the words of every example that has errors, and list the commonest errors."""
        return _details(jiwer.process_words, self._normalise, hypotheses, references, ids)


class Cer:
    """Character error rate: as ``Wer``, over characters, including the spaces between words."""

    def __init__(self, *, normaliser: NormaliserFactory = VerbatimNormaliser) -> None:
        self._normalise = normaliser()

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """Substitutions, deletions, insertions, hits against the nearest reference: (n, 4)."""
        return _statistics(jiwer.process_characters, self._normalise, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Percentages of the summed reference characters."""
        return _error_rates("cer", sums)

    def signature(self) -> str:
        """Normaliser, unit, choice of reference, version of jiwer."""
        return _signature(self._normalise, "character")

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """Characters of the normalised words."""
        return [list("".join(self._normalise(text).split())) for text in texts]

    def details(self, hypotheses: Sequence[str], references: References, ids: Sequence[str]) -> str:
        """Align the characters of every example that has errors, and list the commonest errors."""
        return _details(jiwer.process_characters, self._normalise, hypotheses, references, ids)


def _statistics(
    align: Align, normalise: Normaliser, hypotheses: Sequence[str], references: References
) -> Statistics:
    _, counts = _nearest_references(align, normalise, hypotheses, references)
    return counts


def _nearest_references(
    align: Align, normalise: Normaliser, hypotheses: Sequence[str], references: References
) -> tuple[list[tuple[str, str]], Statistics]:
    """Pairs of nearest reference and hypothesis, both normalised, and their edit counts (n, 4)."""
    pairs = [
        (normalise(reference), hypothesis)
        for hypothesis, choices in zip(map(normalise, hypotheses), references, strict=True)
        for reference in choices
    ]
    counts = _edit_counts(_align_pairs(align, pairs))  # (pairs, 4)
    errors, units = counts[:, :3].sum(1), counts[:, [0, 1, 3]].sum(1)  # (pairs,)
    starts = accumulate(map(len, references), initial=0)
    nearest = [
        min(range(first, end), key=lambda pair: (errors[pair], -units[pair]))
        for first, end in pairwise(starts)
    ]
    return [pairs[pair] for pair in nearest], counts[nearest]


def _align_pairs(align: Align, pairs: Sequence[tuple[str, str]]) -> Aligned:
    """Align pairs of reference and hypothesis."""
    return align([reference for reference, _ in pairs], [hypothesis for _, hypothesis in pairs])


def _edit_counts(aligned: Aligned) -> Statistics:
    """How many edits of each type every alignment has: (n, 4)."""
    counts = np.zeros((len(aligned.alignments), len(EDIT_TYPES)))
    for row, chunks in zip(counts, aligned.alignments, strict=True):
        for chunk in chunks:
            reference_units = chunk.ref_end_idx - chunk.ref_start_idx
            hypothesis_units = chunk.hyp_end_idx - chunk.hyp_start_idx
            row[EDIT_TYPES.index(chunk.type)] += max(reference_units, hypothesis_units)
    return counts


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


def _signature(normalise: Normaliser, unit: str) -> str:
    version = importlib.metadata.version("jiwer")
    return f"norm:{normalise.signature()}|unit:{unit}|refs:nearest|version:jiwer-{version}"


def _details(
    align: Align,
    normalise: Normaliser,
    hypotheses: Sequence[str],
    references: References,
    ids: Sequence[str],
) -> str:
    pairs, _ = _nearest_references(align, normalise, hypotheses, references)
    aligned = _align_pairs(align, pairs)
    alignments = jiwer.visualize_alignment(aligned, line_width=LINE_WIDTH)
    with_ids = re.sub(
        r"^=== SENTENCE (\d+) ===$",
        lambda match: f"=== {ids[int(match[1]) - 1]} ===",
        alignments,
        flags=re.MULTILINE,
    )
    return f"{with_ids}\n{jiwer.visualize_error_counts(aligned, top_k=TOP_ERRORS)}\n"
