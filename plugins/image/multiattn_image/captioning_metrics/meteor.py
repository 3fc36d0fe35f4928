"""METEOR 1.5: pycocoevalcap's jar aligns and counts; the score of summed counts is computed here.

The package's own class waits for the jar without a time limit, fails in locales with a decimal
comma, and looks for ``java`` on the path. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.meteor import meteor as package

from multiattn import UserError
from multiattn_image.captioning_metrics.java_process import JavaProcess, JavaProgram

Statistics = NDArray[np.float64]

JAR = Path(package.__file__).with_name(package.METEOR_JAR)
NAME = JAR.stem
PROGRAM = JavaProgram(
    jar=JAR,
    main="Meteor",
    arguments=("-", "-", "-stdio", "-l", "en", "-norm"),
    memory_mb=2048,
    seconds=600,  # it first reads 60 MB of paraphrases, which lie beside the jar
)
COUNTS = 23
LENGTHS, FUNCTION_WORDS, MATCHES, CHUNKS, MATCHED = (
    slice(0, 2),  # hypothesis, reference
    slice(2, 4),
    slice(4, 20),  # module, content or function words, hypothesis or reference
    20,
    slice(21, 23),
)

# Denkowski & Lavie 2014, table 1 (English), also the jar's defaults. ALPHA: weights of the harmonic
# mean; BETA and GAMMA: exponent and weight of fragmentation; DELTA: weight of content words.
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.20, 0.60, 0.75
MODULE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # exact, stem, synonym, paraphrase


def meteor_counts(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Statistics:
    """The jar's counts for every hypothesis and its highest-scoring reference: (n, 23).

    Lengths of both and their function words; for each module the matched content words of both and
    function words of both; chunks and matched words of both. Raises UserError where the jar fails.
    """
    lines = [
        " ||| ".join(["SCORE", *map(_remove_separator, own), _remove_separator(hypothesis)])
        for hypothesis, own in zip(hypotheses, references, strict=True)
    ]
    with JavaProcess(PROGRAM) as jar:
        answers = jar.request(lines, len(lines))
    rows = [answer.split() for answer in answers]
    for line, row in zip(lines, rows, strict=True):
        if len(row) != COUNTS:
            raise UserError(
                f"expected {COUNTS} counts of {NAME} for {line[:60]!r}, got {' '.join(row)[:60]!r};"
                " leave the example out, and report it"
            )
    counts = np.array(rows, dtype=np.float64)
    # The jar does the same when it sums: a single chunk of all words counts as no fragmentation.
    counts[_is_fully_matched(counts), CHUNKS] = 0
    return counts


def _is_fully_matched(counts: Statistics) -> NDArray[np.bool_]:
    """Which hypotheses match their whole reference in order, as a single chunk: (n,)."""
    matched = counts[:, MATCHES].reshape(-1, 4, 2, 2).sum((1, 2))  # (n, 2)
    all_matched = (matched == counts[:, LENGTHS]).all(1)
    fully_matched: NDArray[np.bool_] = all_matched & (counts[:, CHUNKS] == 1)
    return fully_matched


def meteor_score(sums: Statistics) -> float:
    """METEOR of summed counts (Denkowski & Lavie 2014, section 2), as the jar computes it.

    sums: (23,). Without a match the score is 0.
    """
    lengths, function_words = sums[LENGTHS], sums[FUNCTION_WORDS]  # (2,)
    matches = sums[MATCHES].reshape(4, 2, 2)
    if not matches.sum():
        return 0.0
    word_weights = np.array([DELTA, 1 - DELTA])  # content, function
    weighted_lengths = word_weights @ [lengths - function_words, function_words]  # (2,)
    weighted_matches = word_weights @ np.tensordot(MODULE_WEIGHTS, matches, 1)  # (2,)
    precision, recall = weighted_matches / weighted_lengths
    mean = 1 / ((1 - ALPHA) / precision + ALPHA / recall)
    fragmentation = sums[CHUNKS] / sums[MATCHED].mean()
    return float(max(0.0, mean * (1 - GAMMA * fragmentation**BETA)))


def _remove_separator(text: str) -> str:
    """Remove the jar's separator and the double space left behind, as the package does."""
    return text.replace("|||", "").replace("  ", " ")
