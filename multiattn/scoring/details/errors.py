"""The commonest errors, and scores by groups of examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from multiattn.scoring import intervals
from multiattn.scoring.details.examples import Metrics, ScoredExample
from multiattn.scoring.intervals import Design, Score
from multiattn.scoring.matching import Examples

LENGTHS = (5, 10, 20, 40)  # words of a reference: the last of each group but the longest
MOST_GROUPS = 50  # a column with more values is no group


@dataclass(frozen=True)
class ErrorCount:
    """How often an edit occurs."""

    kind: str
    reference: str
    output: str
    count: int


@dataclass(frozen=True)
class GroupScore:
    """A metric's value for the examples that have ``value`` in a column."""

    column: str
    value: str
    metric: str
    score: Score


def common_errors(rows: Iterable[ScoredExample]) -> list[ErrorCount]:
    """Every substitution, deletion and insertion, the commonest first."""
    counts = Counter(edit for row in rows for edit in row.edits if edit.kind != "equal")
    order = sorted(counts, key=lambda edit: (-counts[edit], edit.kind, edit.reference, edit.output))
    return [ErrorCount(edit.kind, edit.reference, edit.output, counts[edit]) for edit in order]


def scores_by_group(metrics: Metrics, examples: Examples, design: Design) -> list[GroupScore]:
    """Every metric's main value by length of the first reference, and by each column."""
    drawn = replace(design, clusters=None)
    scores = []
    for column, values in _columns(examples):
        for record, metric in metrics:
            by_group = intervals.score_groups(
                record, metric, examples.systems[0].texts, examples.references, values, drawn
            )
            scores += [
                GroupScore(column, group, record.name, own[record.name])
                for group, own in sorted(by_group.items(), key=lambda pair: _natural(pair[0]))
            ]
    return scores


def _columns(examples: Examples) -> Iterator[tuple[str, Sequence[str]]]:
    yield "words in the reference", [_length(targets[0]) for targets in examples.references]
    for column in sorted({key for meta in examples.meta for key in meta}):
        values = [meta.get(column, "") for meta in examples.meta]
        different = len(set(values))
        if 1 < different <= MOST_GROUPS and different < len(values):
            yield column, values


def _length(reference: str) -> str:
    count, lowest = len(reference.split()), 0
    for highest in LENGTHS:
        if count <= highest:
            return f"{lowest}-{highest}"
        lowest = highest + 1
    return f"{lowest} or more"


def _natural(group: str) -> tuple[int, str]:
    """Numbers in their order, before and within texts."""
    digits = group.split("-")[0].split(" ")[0]
    return (int(digits), "") if digits.isdigit() and len(digits) < 10 else (10**10, group)
