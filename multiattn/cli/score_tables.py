"""Scores and comparisons in the terminal and for papers: tables, signatures, warnings, examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING

from multiattn.cli.options import echo
from multiattn.cli.paper_tables import TableData, as_paper_table
from multiattn.errors import printable
from multiattn.scoring.scale import format_score, format_unit

if TYPE_CHECKING:
    from multiattn.scoring.details.examples import ScoredExample, TwoOutputs
    from multiattn.scoring.intervals import Comparison, Score
    from multiattn.scoring.metric import Edit
    from multiattn.scoring.results import Results

Test = tuple[str, tuple[int, int]]  # a metric and the positions of two systems
COLOURS = {"equal": "", "substitute": "yellow", "delete": "red", "insert": "green"}


def score_table(scores: Mapping[str, Score]) -> TableData:
    """Scores as papers print them, one per row; the unit shows the scale."""
    table = TableData("metric", "score", "95 % interval", "unit", "examples")
    for name, score in scores.items():
        value, low, high = (
            format_score(number, score.unit) for number in (score.value, score.low, score.high)
        )
        table.add(name, value, f"{low} - {high}", format_unit(score.unit), str(score.count))
    return table


def group_table(results: Results) -> TableData:
    """One row per group, such as a speaker, with each metric's main value and interval."""
    columns = [f"{name} [95 %]" for name in results.metrics]
    table = TableData(results.grouped_by, "examples", *columns)
    for group, scores in results.groups.items():
        row = [scores[name] for name in results.metrics]
        table.add(printable(group), str(row[0].count), *map(with_interval, row))
    return table


def with_interval(score: Score) -> str:
    """``12.34 [11.00, 13.50]``."""
    value, low, high = (
        format_score(number, score.unit) for number in (score.value, score.low, score.high)
    )
    return f"{value} [{low}, {high}]"


def systems_table(tests: Mapping[Test, Comparison]) -> TableData:
    """The scores of several systems: a row for each, a column for each metric."""
    scores: dict[int, dict[str, Score]] = {}
    for (metric, (one, other)), comparison in tests.items():
        scores.setdefault(one, {})[metric] = comparison.first
        scores.setdefault(other, {})[metric] = comparison.second
    metrics = list(scores[0])
    units = [format_unit(scores[0][metric].unit) for metric in metrics]
    columns = [f"{metric} ({unit})" for metric, unit in zip(metrics, units, strict=True)]
    table = TableData("system", *columns)
    for system in sorted(scores):
        cells = (with_interval(scores[system][metric]) for metric in metrics)
        table.add(ascii_uppercase[system], *cells)
    return table


def comparison_table(
    tests: Mapping[Test, Comparison], corrected: Mapping[Test, float], better: Mapping[Test, str]
) -> TableData:
    """Comparisons, one per row; ``better`` names the better system of each.

    corrected: the p-values for so many tests, shown if there is more than one.
    """
    two = {pair for _, pair in tests} == {(0, 1)}
    values = ("A", "B", "B - A") if two else ("systems", "difference")
    p_values = ("p",) if len(tests) == 1 else ("p", "p (Holm)")
    table = TableData("metric", *values, "95 % interval", "unit", *p_values, "better")
    for (name, (one, other)), comparison in tests.items():
        unit = comparison.first.unit
        first, second, difference, low, high = (
            format_score(number, unit)
            for number in (
                comparison.first.value,
                comparison.second.value,
                comparison.difference,
                comparison.low,
                comparison.high,
            )
        )
        letters = f"{ascii_uppercase[other]} - {ascii_uppercase[one]}"
        shown = (first, second, difference) if two else (letters, difference)
        p_value = [comparison.p_value, corrected[name, (one, other)]][: len(p_values)]
        table.add(
            name,
            *shown,
            f"{low} to {high}",
            format_unit(unit),
            *(f"{p:.4f}" for p in p_value),
            better[name, (one, other)],
        )
    return table


def warnings_of(scores: Iterable[Score]) -> list[str]:
    """The scores' warnings, each once, with the names of the metrics that it is about."""
    metrics: dict[str, dict[str, None]] = {}
    for score in scores:
        for warning in score.warnings:
            metrics.setdefault(warning, {})[score.signature.partition("|")[0]] = None
    return [f"{', '.join(names)}: {warning}" for warning, names in metrics.items()]


def print_table(table: TableData, notes: Sequence[str], form: str | None = None) -> None:
    """Print a table, and below it a note per line, such as a signature.

    form: of a table for a paper, instead of the one for a terminal.
    """
    if form is not None:
        echo(as_paper_table(table, notes, form))
        return
    from rich import box
    from rich.table import Column, Table

    from multiattn.progress import plain_console

    columns = [Column(column, overflow="fold") for column in table.columns]  # whole numbers
    drawn = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for row in table.rows:
        drawn.add_row(*row)
    console = plain_console()
    if not console.is_terminal:  # do not wrap lines in a file or a pipe
        console.width = 1000
    console.print(drawn)
    for note in notes:
        echo(note)


def print_worst(rows: Sequence[ScoredExample]) -> None:
    """Print outputs with their scores, aligned with a reference."""
    for row in rows:
        scores = "  ".join(
            f"{name} {format_score(value, row.units[name])}" for name, value in row.scores.items()
        )
        echo(f"\n{row.id}  {scores}")
        _print_aligned(row.edits)


def print_side_by_side(rows: Sequence[TwoOutputs], letters: tuple[str, str]) -> None:
    """Print the reference and the outputs of two systems, each with its score."""
    for row in rows:
        echo(f"\n{row.id}")
        echo(f"  reference  {row.reference}")
        for letter, text, value in zip(letters, row.texts, row.values, strict=True):
            echo(f"  {letter} {format_score(value, row.unit):>8}  {text}")


def _print_aligned(edits: Sequence[Edit]) -> None:
    """A line of the reference and one of the output, errors in colour on a terminal."""
    from rich.text import Text

    from multiattn.progress import plain_console

    reference, output = Text("  reference  "), Text("  output     ")
    for edit in edits:
        width = max(len(edit.reference), len(edit.output))
        for line, word in ((reference, edit.reference), (output, edit.output)):
            shown = printable(word) if word else "*" * width
            line.append(shown.ljust(width), COLOURS[edit.kind])
            line.append(" ")
    console = plain_console()
    for line in (reference, output):
        if console.is_terminal:
            console.print(line, soft_wrap=True)
        else:
            echo(line.plain.rstrip())
