"""What a split's outputs say of the errors: the commonest, by group, and text by text.

Everything comes from ``hypotheses.jsonl``, so it needs neither the corpus nor the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiattn.recipe.settings import RecipeSettings
from multiattn.registry import records
from multiattn.registry.host import Host
from multiattn.scoring.details.errors import ErrorCount, GroupScore, common_errors, scores_by_group
from multiattn.scoring.details.examples import ScoredExample, scored_examples
from multiattn.scoring.evaluator import Evaluator
from multiattn.scoring.forms.contents import SystemOutputs
from multiattn.scoring.intervals import Design
from multiattn.scoring.matching import Examples
from multiattn.scoring.metric import Metric

MOST_ERRORS = 20
MOST_LISTED = 300  # outputs; of more, some in even distances between the worst and the best
RESAMPLES = 200  # of the intervals of groups

Named = tuple[records.Metric, Metric]


@dataclass(frozen=True)
class Outputs:
    """A split's outputs by their main metric, the worst first.

    shown: those that the page lists. errors: the commonest, unless examples have several
    references. weakest: of each column of ``groups`` the group with the worst score.
    """

    metric: str
    count: int
    shown: tuple[ScoredExample, ...]
    errors: tuple[ErrorCount, ...]
    groups: Mapping[str, Sequence[GroupScore]]
    order: tuple[str, ...]
    weakest: tuple[GroupScore, ...]


def read_outputs(folder: Path, name: str) -> Examples:
    """The outputs of a results folder, called ``name``."""
    lines = (folder / "hypotheses.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    meta = tuple(row.get("meta", {}) for row in rows)
    references = tuple(tuple(row["references"]) for row in rows)
    system = SystemOutputs(
        name, tuple(row["text"] for row in rows), tuple(row["id"] for row in rows), references, meta
    )
    return Examples((system,), references, meta)


def metric_of(settings: RecipeSettings, host: Host, value: str) -> Named | None:
    """The recipe's metric that gives a value, such as ``rouge-1-recall``; None if none does."""
    named = [
        (record, metric)
        for record, metric in Evaluator(settings.evaluation, host).metrics
        if value == record.name or value.startswith(f"{record.name}-")
    ]
    return max(named, key=lambda pair: len(pair[0].name), default=None)


def outputs_of(examples: Examples, metric: Named) -> Outputs:
    """What a report shows of a split's outputs."""
    rows = scored_examples([metric], examples)
    groups: dict[str, list[GroupScore]] = {}
    for score in scores_by_group([metric], examples, Design(resamples=RESAMPLES)):
        groups.setdefault(score.column, []).append(score)
    return Outputs(
        metric[0].name,
        len(rows),
        tuple(_spread(rows, MOST_LISTED)),
        tuple(common_errors(rows)[:MOST_ERRORS]) if _has_one_text(examples) else (),
        groups,
        tuple(row.id for row in rows),
        tuple(_weakest(groups, metric[0])),
    )


def _weakest(
    groups: Mapping[str, Sequence[GroupScore]], metric: records.Metric
) -> Iterator[GroupScore]:
    sign = 1 if metric.higher_is_better else -1
    for scores in groups.values():
        if len(scores) > 1:
            yield min(scores, key=lambda each: sign * each.score.value)


def _has_one_text(examples: Examples) -> bool:
    """Whether there is one right text for each example, from which an output differs by errors."""
    return all(len(own) == 1 for own in examples.references)


def _spread(rows: Sequence[ScoredExample], most: int) -> Sequence[ScoredExample]:
    """At most so many, in even distances, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return [rows[round(index * (len(rows) - 1) / (most - 1))] for index in range(most)]
