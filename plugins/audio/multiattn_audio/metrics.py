"""WER and CER: jiwer's own alignments, counted per example. Nothing here draws samples.

Values are percent of the references' words or characters, as papers print them: 100 × jiwer's.
Torch is never imported.
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

from multiattn.plugins import Slot
from multiattn.scoring import Normaliser
from multiattn_audio.text_normalisers import Verbatim

Statistics = NDArray[np.float64]
References = Sequence[Sequence[str]]
Aligned = jiwer.WordOutput | jiwer.CharacterOutput
Align = Callable[[list[str], list[str]], Aligned]
NormaliserFactory = Annotated[Callable[[], Normaliser], Slot("normaliser")]

EDITS = ("substitute", "delete", "insert", "equal")  # jiwer's names, in the order of the columns
COMMONEST = 20  # errors of each kind that the alignment file lists
LINE_WIDTH = 100


class Wer:
    """Word error rate: (S + D + I) / (S + D + H) in percent, over the whole set, as jiwer counts.

    normaliser: what both texts go through first; the default compares them as they are, cut at
    spaces. Beside ``wer`` come the shares of substitutions, deletions, insertions (they add up to
    it) and hits.
    Of several references an example is compared with the one of fewest errors, the longest of
    equals (mWER: Nießen et al. 2000); a single set of references is never chosen from.
    An empty reference counts what was inserted and adds no words; where no example has any word,
    the rate is 100 × the words inserted, as in jiwer.
    """

    def __init__(self, *, normaliser: NormaliserFactory = Verbatim) -> None:
        self._normalise = normaliser()

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """Substitutions, deletions, insertions, hits against the nearest reference: (n, 4)."""
        return _statistics(jiwer.process_words, self._normalise, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Percentages of the summed reference words."""
        return _rates("wer", sums)

    def signature(self) -> str:
        """Normaliser, what is counted, how references are combined, version."""
        return _signature(self._normalise, "word")

    def details(self, hypotheses: Sequence[str], references: References, ids: Sequence[str]) -> str:
        """Every example with errors, word under word, and which errors are commonest."""
        return _details(jiwer.process_words, self._normalise, hypotheses, references, ids)


class Cer:
    """Character error rate: as ``Wer``, over characters; the space between words is one."""

    def __init__(self, *, normaliser: NormaliserFactory = Verbatim) -> None:
        self._normalise = normaliser()

    def statistics(self, hypotheses: Sequence[str], references: References) -> Statistics:
        """Substitutions, deletions, insertions, hits against the nearest reference: (n, 4)."""
        return _statistics(jiwer.process_characters, self._normalise, hypotheses, references)

    def aggregate(self, sums: Statistics, count: int) -> Mapping[str, float]:
        """Percentages of the summed reference characters."""
        return _rates("cer", sums)

    def signature(self) -> str:
        """Normaliser, what is counted, how references are combined, version."""
        return _signature(self._normalise, "character")

    def details(self, hypotheses: Sequence[str], references: References, ids: Sequence[str]) -> str:
        """Every example with errors, character under character, and the commonest errors."""
        return _details(jiwer.process_characters, self._normalise, hypotheses, references, ids)


def _statistics(
    align: Align, normalise: Normaliser, hypotheses: Sequence[str], references: References
) -> Statistics:
    _, counts = _nearest(align, normalise, hypotheses, references)
    return counts


def _nearest(
    align: Align, normalise: Normaliser, hypotheses: Sequence[str], references: References
) -> tuple[list[tuple[str, str]], Statistics]:
    """Per example its nearest reference and its output, both normalised, and the counts (n, 4)."""
    pairs = [
        (normalise(target), written)
        for written, targets in zip(map(normalise, hypotheses), references, strict=True)
        for target in targets
    ]
    spoken, written = ([pair[side] for pair in pairs] for side in (0, 1))
    counts = _counts(align(spoken, written))  # (pairs, 4)
    errors, units = counts[:, :3].sum(1), counts[:, [0, 1, 3]].sum(1)  # (pairs,)
    starts = accumulate(map(len, references), initial=0)
    chosen = [
        min(range(first, end), key=lambda pair: (errors[pair], -units[pair]))
        for first, end in pairwise(starts)
    ]
    return [pairs[pair] for pair in chosen], counts[chosen]


def _counts(aligned: Aligned) -> Statistics:
    """The alignments of jiwer as counts of each kind of edit: (n, 4)."""
    counts = np.zeros((len(aligned.alignments), len(EDITS)))
    for row, chunks in zip(counts, aligned.alignments, strict=True):
        for chunk in chunks:
            of_reference = chunk.ref_end_idx - chunk.ref_start_idx
            of_hypothesis = chunk.hyp_end_idx - chunk.hyp_start_idx
            row[EDITS.index(chunk.type)] += max(of_reference, of_hypothesis)
    return counts


def _rates(name: str, sums: Statistics) -> Mapping[str, float]:
    substitutions, deletions, insertions, hits = sums.tolist()
    units = substitutions + deletions + hits or 1.0  # jiwer's own way out without any
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
    pairs, _ = _nearest(align, normalise, hypotheses, references)
    aligned = align([target for target, _ in pairs], [written for _, written in pairs])
    shown = jiwer.visualize_alignment(aligned, line_width=LINE_WIDTH)
    named = re.sub(
        r"^=== SENTENCE (\d+) ===$",
        lambda found: f"=== {ids[int(found[1]) - 1]} ===",
        shown,
        flags=re.MULTILINE,
    )
    return f"{named}\n{jiwer.visualize_error_counts(aligned, top_k=COMMONEST)}\n"
