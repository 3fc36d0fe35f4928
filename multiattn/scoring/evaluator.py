"""Evaluate a model's outputs with the metrics of its recipe and with its own perplexity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multiattn.errors import UserError, shown
from multiattn.recipe.settings import EvaluationSettings
from multiattn.scoring import intervals
from multiattn.scoring.comparable_texts import comparable
from multiattn.scoring.intervals import Score
from multiattn.scoring.metric import DetailedMetric, NamesDetailsFile, References


@dataclass(frozen=True)
class DecodedExample:
    """The model's hypotheses for one example, best first, with the references.

    readings: how the first reads each source, each with ``as_json``.
    """

    id: str
    texts: tuple[str, ...]
    scores: tuple[float, ...]
    references: tuple[str, ...]
    readings: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """One line of ``hypotheses.jsonl``; ``n_best`` only if there are several hypotheses."""
        line: dict[str, Any] = {"id": self.id, "text": self.texts[0], "score": self.scores[0]}
        if len(self.texts) > 1:
            line["n_best"] = [
                {"text": text, "score": score}
                for text, score in zip(self.texts, self.scores, strict=True)
            ]
        if self.readings:
            line["attention"] = {name: each.as_json() for name, each in self.readings.items()}
        return {**line, "references": list(self.references)}


def metric_units(settings: EvaluationSettings, host: Any) -> dict[str, str]:
    """The unit of every metric of a recipe, by its name."""
    found = [host.find("metric", named.name).record for named in settings.metrics]
    return {record.name: record.unit for record in found}


class Evaluator:
    """The metrics of a recipe, ready to use."""

    def __init__(self, settings: EvaluationSettings, host: Any) -> None:
        self._metrics = [
            (host.find("metric", named.name).record, host.build("metric", named))
            for named in settings.metrics
        ]

    @property
    def metrics(self) -> Sequence[tuple[Any, Any]]:
        """Their records and what is built from them, in the order of the recipe."""
        return self._metrics

    def higher_is_better(self, name: str) -> bool:
        """Whether higher is better for ``name``. Raises UserError if the recipe lacks it."""
        known = {record.name: record.higher_is_better for record, _ in self._metrics}
        known |= {"loss": False, "perplexity": False}
        if name not in known:
            raise UserError(
                f"expected evaluation.select to be one of {', '.join(known)}, got {shown(name)}; "
                "add it to evaluation.metrics or select another"
            )
        return bool(known[name])

    def values(self, written: Sequence[DecodedExample]) -> dict[str, float]:
        """Every value of the metrics, without intervals."""
        hypotheses, references = self._comparable_texts(written)
        values: dict[str, float] = {}
        for _, metric in self._metrics:
            statistics = np.asarray(metric.statistics(hypotheses, references), dtype=np.float64)
            values |= metric.aggregate(statistics.sum(axis=0), len(written))
        return {name: float(value) for name, value in values.items()}

    def scores(self, written: Sequence[DecodedExample]) -> dict[str, Score]:
        """Every value of the metrics, with signature and interval."""
        hypotheses, references = self._texts(written)
        scores: dict[str, Score] = {}
        for record, metric in self._metrics:
            scores |= intervals.score(record, metric, hypotheses, references)
        return scores

    def groups(
        self, written: Sequence[DecodedExample], groups: Sequence[str]
    ) -> dict[str, dict[str, Score]]:
        """Every value for each group separately; ``groups[i]`` is the group of example i."""
        hypotheses, references = self._texts(written)
        scores: dict[str, dict[str, Score]] = {group: {} for group in sorted(set(groups))}
        for record, metric in self._metrics:
            by_group = intervals.score_groups(record, metric, hypotheses, references, groups)
            for group, values in by_group.items():
                scores[group] |= values
        return scores

    def error_details(self, written: Sequence[DecodedExample]) -> dict[str, str]:
        """Per-example error details by file name, from the metrics that provide them."""
        hypotheses, references = self._comparable_texts(written)
        ids = [row.id for row in written]
        return {
            f"{record.name}{details_suffix(metric)}": metric.details(hypotheses, references, ids)
            for record, metric in self._metrics
            if isinstance(metric, DetailedMetric)
        }

    def _comparable_texts(self, written: Sequence[DecodedExample]) -> tuple[list[str], References]:
        hypotheses, references = self._texts(written)
        texts = comparable([hypotheses], references)
        return texts.systems[0], texts.references

    def _texts(self, written: Sequence[DecodedExample]) -> tuple[list[str], list[list[str]]]:
        return [row.texts[0] for row in written], [list(row.references) for row in written]


def details_suffix(metric: DetailedMetric) -> str:
    """The suffix of the file of a metric's details."""
    return metric.details_suffix if isinstance(metric, NamesDetailsFile) else ".txt"
