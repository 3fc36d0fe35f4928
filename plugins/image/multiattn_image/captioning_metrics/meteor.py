"""METEOR 1.5: pycocoevalcap's jar aligns and counts; the value of summed counts is computed here.

It refuses to tokenise. The package's own class waits for the jar for ever, fails where numbers
have a decimal comma, and takes its ``java`` from the path. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.meteor import meteor as package

from multiattn.errors import UserError
from multiattn_image.captioning_metrics.java_process import Program, Running

Statistics = NDArray[np.float64]

JAR = Path(package.__file__).with_name(package.METEOR_JAR)
NAME = JAR.stem
PROGRAM = Program(
    jar=JAR,
    main="Meteor",
    arguments=("-", "-", "-stdio", "-l", "en", "-norm"),
    memory_mb=2048,
    seconds=600,  # it reads 60 MB of paraphrases first, which lie beside the jar
)
COUNTS = 23
LENGTHS, FUNCTION_WORDS, MATCHES, CHUNKS, MATCHED = (
    slice(0, 2),  # output, reference
    slice(2, 4),
    slice(4, 20),  # module, content or function words, output or reference
    20,
    slice(21, 23),
)

# Denkowski & Lavie 2014, table 1 (English), also in the jar: harmonic mean, exponent and weight of
# fragmentation, content words; then exact, stem, synonym, paraphrase
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.20, 0.60, 0.75
MODULES = np.array([1.0, 0.6, 0.8, 0.6])


def counts(words: Sequence[str], targets: Sequence[Sequence[str]]) -> Statistics:
    """What the jar counts of every caption and the reference it scores best with: (n, 23).

    Lengths of both and their function words; for each module matched content words of both and
    function words of both; chunks and matched words of both. Raises UserError where the jar fails.
    """
    lines = [
        " ||| ".join(["SCORE", *map(_plain, own), _plain(text)])
        for text, own in zip(words, targets, strict=True)
    ]
    with Running(PROGRAM) as jar:
        answers = jar.ask(lines, len(lines))
    rows = [answer.split() for answer in answers]
    for line, row in zip(lines, rows, strict=True):
        if len(row) != COUNTS:
            raise UserError(
                f"expected {COUNTS} counts of {NAME} for {line[:60]!r}, got {' '.join(row)[:60]!r};"
                " leave the example out, and report it"
            )
    found = np.array(rows, dtype=np.float64)
    # what the jar does as it adds up: one chunk that is the whole of both is no fragment
    found[_whole(found), CHUNKS] = 0
    return found


def _whole(rows: Statistics) -> NDArray[np.bool_]:
    """Which rows are of a caption all of whose words match all of the reference in order: (n,)."""
    matched = rows[:, MATCHES].reshape(-1, 4, 2, 2).sum((1, 2))  # (n, 2)
    whole: NDArray[np.bool_] = (matched == rows[:, LENGTHS]).all(1) & (rows[:, CHUNKS] == 1)
    return whole


def score(sums: Statistics) -> float:
    """METEOR of summed counts (Denkowski & Lavie 2014, section 2), as the jar computes it.

    sums: (23,). Without a match it is 0.
    """
    lengths, function_words = sums[LENGTHS], sums[FUNCTION_WORDS]  # (2,)
    modules = sums[MATCHES].reshape(4, 2, 2)
    if not modules.sum():
        return 0.0
    kinds = np.array([DELTA, 1 - DELTA])  # content, function
    weighted_lengths = kinds @ [lengths - function_words, function_words]  # (2,)
    weighted_matches = kinds @ np.tensordot(MODULES, modules, 1)  # (2,)
    precision, recall = weighted_matches / weighted_lengths
    mean = 1 / ((1 - ALPHA) / precision + ALPHA / recall)
    fragmentation = sums[CHUNKS] / sums[MATCHED].mean()
    return float(max(0.0, mean * (1 - GAMMA * fragmentation**BETA)))


def _plain(text: str) -> str:
    """Without the jar's separator; the package joins what stood around it, so does this."""
    return text.replace("|||", "").replace("  ", " ")
