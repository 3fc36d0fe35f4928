"""The scores of every example, the worst first, and the edits from its reference to its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from multiattn.registry import records
from multiattn.scoring.comparable_texts import comparable
from multiattn.scoring.intervals import statistics_of
from multiattn.scoring.matching import Examples
from multiattn.scoring.metric import AligningMetric, Array, Edit, Metric, References

Metrics = Sequence[tuple[records.Metric, Metric]]


@dataclass(frozen=True)
class ScoredExample:
    """An output with its own scores, which a set's score need not be the mean of.

    scores, units: by metric. edits: from its reference, of the first metric that counts some;
    else the differences of words.
    """

    id: str
    output: str
    references: tuple[str, ...]
    meta: Mapping[str, str]
    scores: Mapping[str, float]
    units: Mapping[str, str]
    edits: tuple[Edit, ...]

    def as_json(self) -> dict[str, Any]:
        """A line of ``examples.jsonl``."""
        content: dict[str, Any] = {"id": self.id, "scores": dict(self.scores), "text": self.output}
        if self.meta:
            content["meta"] = dict(self.meta)
        return {**content, "references": list(self.references)}


@dataclass(frozen=True)
class TwoOutputs:
    """The outputs of two systems for one example, with their scores by one metric."""

    id: str
    reference: str
    texts: tuple[str, str]
    values: tuple[float, float]
    unit: str


def scored_examples(metrics: Metrics, examples: Examples) -> list[ScoredExample]:
    """The outputs of the first system, by the first metric from the worst to the best."""
    texts = comparable([examples.systems[0].texts], examples.references)
    outputs, references = texts.systems[0], texts.references
    values = {
        record.name: _own_values(record, metric, statistics_of(metric, outputs, references))
        for record, metric in metrics
    }
    units = {record.name: record.unit for record, _ in metrics}
    edits = edits_of(metrics, outputs, references)
    rows = [
        ScoredExample(
            examples.ids[number],
            outputs[number],
            references[number],
            examples.meta[number],
            {name: own[number] for name, own in values.items()},
            units,
            tuple(edits[number]),
        )
        for number in range(len(outputs))
    ]
    first = metrics[0][0]
    sign = 1 if first.higher_is_better else -1
    return sorted(rows, key=lambda row: sign * row.scores[first.name])


def most_different(
    metric: tuple[records.Metric, Metric], examples: Examples, pair: tuple[int, int]
) -> list[TwoOutputs]:
    """Every example with the outputs of two systems, those that differ most in score first."""
    record, target = metric
    texts = comparable([examples.systems[n].texts for n in pair], examples.references)
    one, other = (
        _own_values(record, target, statistics_of(target, outputs, texts.references))
        for outputs in texts.systems
    )
    rows = [
        TwoOutputs(
            examples.ids[number],
            texts.references[number][0],
            (texts.systems[0][number], texts.systems[1][number]),
            (one[number], other[number]),
            record.unit,
        )
        for number in range(len(one))
    ]
    return sorted(rows, key=lambda row: -abs(row.values[1] - row.values[0]))


def edits_of(
    metrics: Metrics, outputs: Sequence[str], references: References
) -> Sequence[Sequence[Edit]]:
    """The edits of every output; see ``ScoredExample``."""
    for _, metric in metrics:
        if isinstance(metric, AligningMetric):
            return metric.edits(outputs, references)
    return [
        word_differences(targets[0], output)
        for output, targets in zip(outputs, references, strict=True)
    ]


def word_differences(reference: str, output: str) -> list[Edit]:
    """The words that two texts have in common, in order, and the others between them."""
    before, after = reference.split(), output.split()
    edits: list[Edit] = []
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        for one, other in zip_longest(before[i:j], after[k:m], fillvalue=""):
            if kind == "equal":
                edits.append(Edit("equal", one, other))
            else:
                edits.append(Edit(_kind(one, other), one, other))
    return edits


def _kind(reference: str, output: str) -> Any:
    if not output:
        return "delete"
    return "substitute" if reference else "insert"


def _own_values(record: records.Metric, metric: Metric, statistics: Array) -> list[float]:
    """The value of each example alone."""
    return [float(metric.aggregate(row, 1)[record.name]) for row in statistics]
