"""Scores and comparisons in the terminal: tables, signatures and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from multiattn.cli.options import echo
from multiattn.errors import printable
from multiattn.scoring.scale import format_score, format_unit

if TYPE_CHECKING:
    from rich.table import Table

    from multiattn.scoring.intervals import Comparison, Score
    from multiattn.scoring.results import Results


def score_table(scores: Mapping[str, Score]) -> Table:
    """Scores as papers print them, one per row; the unit shows the scale."""
    table = _table("metric", "score", "95 % interval", "unit", "examples")
    for name, score in scores.items():
        value, low, high = (
            format_score(number, score.unit) for number in (score.value, score.low, score.high)
        )
        table.add_row(name, value, f"{low} - {high}", format_unit(score.unit), str(score.count))
    return table


def group_table(results: Results) -> Table:
    """One row per group, such as a speaker, with each metric's main value and interval."""
    columns = [f"{name} [95 %]" for name in results.metrics]
    table = _table(results.grouped_by, "examples", *columns)
    for group, scores in results.groups.items():
        row = [scores[name] for name in results.metrics]
        cells = [
            f"{format_score(score.value, score.unit)} "
            f"[{format_score(score.low, score.unit)}, {format_score(score.high, score.unit)}]"
            for score in row
        ]
        table.add_row(printable(group), str(row[0].count), *cells)
    return table


def comparison_table(comparisons: Mapping[str, Comparison], better: Mapping[str, str]) -> Table:
    """Comparisons, one per row; ``better`` names the better system by each metric."""
    table = _table("metric", "A", "B", "B - A", "95 % interval", "unit", "p", "better")
    for name, comparison in comparisons.items():
        first, unit = comparison.first, comparison.first.unit
        one, other, difference, low, high = (
            format_score(number, unit)
            for number in (
                first.value,
                comparison.second.value,
                comparison.difference,
                comparison.low,
                comparison.high,
            )
        )
        p_value = f"{comparison.p_value:.4f}"
        interval = f"{low} to {high}"
        row = (one, other, difference, interval, format_unit(unit), p_value, better[name])
        table.add_row(name, *row)
    return table


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Column, Table

    folding = [Column(column, overflow="fold") for column in columns]  # never truncate a number
    return Table(*folding, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def warnings_of(scores: Iterable[Score]) -> list[str]:
    """The scores' warnings, each once, with the names of the metrics that it is about."""
    metrics: dict[str, dict[str, None]] = {}
    for score in scores:
        for warning in score.warnings:
            metrics.setdefault(warning, {})[score.signature.partition("|")[0]] = None
    return [f"{', '.join(names)}: {warning}" for warning, names in metrics.items()]


def print_table(table: Table, notes: Sequence[str]) -> None:
    """Print a table, and below it a note per line, such as a signature."""
    from multiattn.progress import plain_console

    console = plain_console()
    if not console.is_terminal:  # do not wrap lines in a file or a pipe
        console.width = 1000
    console.print(table)
    for note in notes:
        echo(note)
