"""A folder of details: examples, errors, groups, and a page of aligned texts.

examples.csv, examples.jsonl   every output with its own scores, the worst first
errors.csv                     substitutions, deletions and insertions, the commonest first
groups.csv                     scores by length and by each column of the files
METRIC.txt                     what a metric itself says of the examples, if it does
examples.html                  the texts, aligned and in colour
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from multiattn.errors import UserError
from multiattn.files import atomic_replace
from multiattn.scoring.comparable_texts import comparable
from multiattn.scoring.details.errors import common_errors, scores_by_group
from multiattn.scoring.details.examples import Metrics, ScoredExample
from multiattn.scoring.details.page import page
from multiattn.scoring.evaluator import details_suffix
from multiattn.scoring.intervals import Design
from multiattn.scoring.matching import Examples
from multiattn.scoring.metric import DetailedMetric


def write_details(
    folder: Path,
    rows: Sequence[ScoredExample],
    metrics: Metrics,
    examples: Examples,
    design: Design,
) -> None:
    """Write the whole folder or nothing. Raises UserError for one that exists."""
    if folder.exists():
        raise UserError(
            f"expected a new folder after --details, got {folder}, which exists; choose another"
        )
    files = {
        "examples.csv": _examples(rows),
        "examples.jsonl": _json_lines(row.as_json() for row in rows),
        "errors.csv": _errors(rows),
        "groups.csv": _groups(metrics, examples, design),
        "examples.html": page(rows),
        **_of_metrics(metrics, examples),
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_replace(folder) as beside:
            beside.mkdir()
            for name, text in files.items():
                (beside / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"expected to write {folder}, got {error.strerror or error}; choose another folder"
        ) from error


def _examples(rows: Sequence[ScoredExample]) -> str:
    metrics = list(rows[0].scores)
    columns = sorted({key for row in rows for key in row.meta})
    return _table(
        ["id", *metrics, "output", "reference", *columns],
        (
            [
                row.id,
                *(row.scores[name] for name in metrics),
                row.output,
                row.references[0],
                *(row.meta.get(column, "") for column in columns),
            ]
            for row in rows
        ),
    )


def _errors(rows: Sequence[ScoredExample]) -> str:
    errors = common_errors(rows)
    return _table(
        ["kind", "reference", "output", "count"],
        ([each.kind, each.reference, each.output, each.count] for each in errors),
    )


def _groups(metrics: Metrics, examples: Examples, design: Design) -> str:
    groups = scores_by_group(metrics, examples, design)
    return _table(
        ["column", "value", "examples", "metric", "score", "low", "high", "unit"],
        (
            [
                each.column,
                each.value,
                each.score.count,
                each.metric,
                each.score.value,
                each.score.low,
                each.score.high,
                each.score.unit,
            ]
            for each in groups
        ),
    )


def _of_metrics(metrics: Metrics, examples: Examples) -> dict[str, str]:
    texts = comparable([examples.systems[0].texts], examples.references)
    return {
        f"{record.name}{details_suffix(metric)}": metric.details(
            texts.systems[0], texts.references, examples.ids
        )
        for record, metric in metrics
        if isinstance(metric, DetailedMetric)
    }


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()


def _json_lines(rows: Iterable[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
