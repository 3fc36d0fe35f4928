"""Alignments of outputs with their nearest references, by jiwer. Imports no torch.

Letters: n examples.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise, zip_longest
from typing import Annotated, Literal

import jiwer
import numpy as np
from numpy.typing import NDArray

from multiattn import Edit, Slot
from multiattn.protocols import Normaliser

Statistics = NDArray[np.float64]
References = Sequence[Sequence[str]]
Aligned = jiwer.WordOutput | jiwer.CharacterOutput
Align = Callable[[list[str], list[str]], Aligned]
NormaliserFactory = Annotated[Callable[[], Normaliser], Slot("normaliser")]

EDIT_TYPES = ("substitute", "delete", "insert", "equal")  # jiwer's names, in column order
TOP_ERRORS = 20  # how many of the commonest errors of each type the details list
LINE_WIDTH = 100
_KINDS: Mapping[str, Literal["equal", "substitute", "delete", "insert"]] = {
    "equal": "equal",
    "substitute": "substitute",
    "delete": "delete",
    "insert": "insert",
}


def statistics_of(
    align: Align, normalise: Normaliser, hypotheses: Sequence[str], references: References
) -> Statistics:
    """Substitutions, deletions, insertions, hits against the nearest reference: (n, 4)."""
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


def signature_of(normalise: Normaliser, unit: str) -> str:
    """Normaliser, unit, choice of reference, version of jiwer."""
    version = importlib.metadata.version("jiwer")
    return f"norm:{normalise.signature()}|unit:{unit}|refs:nearest|version:jiwer-{version}"


def details_of(
    align: Align,
    normalise: Normaliser,
    hypotheses: Sequence[str],
    references: References,
    ids: Sequence[str],
) -> str:
    """Alignments of every example that has errors, and the commonest errors."""
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


def edits_of(
    align: Align, normalise: Normaliser, hypotheses: Sequence[str], references: References
) -> list[list[Edit]]:
    """The edits from the nearest reference to each output, unit by unit."""
    pairs, _ = _nearest_references(align, normalise, hypotheses, references)
    aligned = _align_pairs(align, pairs)
    rows = zip(aligned.references, aligned.hypotheses, aligned.alignments, strict=True)
    return [
        [edit for chunk in chunks for edit in _edits(reference, hypothesis, chunk)]
        for reference, hypothesis, chunks in rows
    ]


def _edits(
    reference: Sequence[str], hypothesis: Sequence[str], chunk: jiwer.AlignmentChunk
) -> Iterator[Edit]:
    before = reference[chunk.ref_start_idx : chunk.ref_end_idx]
    after = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
    for one, other in zip_longest(before, after, fillvalue=""):
        yield Edit(_KINDS[chunk.type], one, other)
