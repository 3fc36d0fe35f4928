"""`multiattn score` and `multiattn compare`: any system's outputs against references.

Files are read in `multiattn.scoring.system_outputs` and scores computed in
`multiattn.scoring.intervals`; here are the options, tables and JSON output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from multiattn.cli.options import Invocation, draw_progress, echo
from multiattn.errors import UserError, printable, shown
from multiattn.scoring.scale import format_score, format_unit

if TYPE_CHECKING:
    from rich.table import Table

    from multiattn.registry import records
    from multiattn.registry.host import Host
    from multiattn.registry.schema import Named
    from multiattn.scoring.intervals import Comparison, Score
    from multiattn.scoring.metric import Metric
    from multiattn.scoring.results import Results
    from multiattn.scoring.system_outputs import SystemOutputs

SIGNIFICANT = 0.05

FILE = "FILE"
OUTPUTS_HELP = (
    "File with one output per line, .jsonl or COCO results (.json), plain or .gz; a run folder; "
    "or - for standard input."
)
ref_option = click.option(
    "--ref",
    metavar=FILE,
    multiple=True,
    help="References, or COCO annotations (.json); repeat for several sets. Runs have their own.",
)
set_option = click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set a metric setting, such as tokenize=none.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on the official scale instead."
)


@click.command()
@click.argument("metric", metavar="METRIC...", nargs=-1, required=True, help="bleu, rouge-l, …")
@click.option("--hyp", metavar=FILE, required=True, help=OUTPUTS_HELP)
@ref_option
@set_option
@json_option
@click.pass_obj
def score(
    invocation: Invocation,
    metric: Sequence[str],
    hyp: str,
    ref: Sequence[str],
    settings: Sequence[str],
    as_json: bool,
) -> None:
    """Score a system's outputs, with a 95 % confidence interval and a signature."""
    from multiattn.scoring import intervals

    draw_progress()
    metrics = _metrics(invocation.host, _named(metric, settings))
    (outputs,), references = _read([hyp], ref)
    scores: dict[str, Score] = {}
    for record, target in metrics:
        scores |= intervals.score(record, target, outputs.texts, references)
    if as_json:
        _print_json(scores)
    else:
        _print(score_table(scores), sorted({each.signature for each in scores.values()}))


@click.command()
@click.argument("first", metavar="A", help=OUTPUTS_HELP)
@click.argument("second", metavar="B", help="The other system's outputs, in any of these forms.")
@ref_option
@click.option(
    "--metric",
    metavar="METRIC",
    multiple=True,
    help="May be repeated; default: the recipe's, if A is a run.",
)
@set_option
@json_option
@click.pass_obj
def compare(
    invocation: Invocation,
    first: str,
    second: str,
    ref: Sequence[str],
    metric: Sequence[str],
    settings: Sequence[str],
    as_json: bool,
) -> None:
    """Test whether two systems differ, by paired bootstrap and approximate randomisation."""
    from multiattn.scoring import intervals

    draw_progress()
    host = invocation.host
    named = _named(metric, settings) if metric else _metrics_of_run(host, first, settings)
    metrics = _metrics(host, named)
    (one, other), references = _read([first, second], ref)
    comparisons = {
        record.name: intervals.compare(record, target, one.texts, other.texts, references)
        for record, target in metrics
    }
    if as_json:
        _print_json(comparisons)
        return
    better = {record.name: _better(record, comparisons[record.name]) for record, _ in metrics}
    signatures = [comparison.signature for comparison in comparisons.values()]
    _print(comparison_table(comparisons, better), [f"A {one.name}", f"B {other.name}", *signatures])


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


def _better(record: records.Metric, comparison: Comparison) -> str:
    if comparison.p_value >= SIGNIFICANT:
        return "neither"
    return "B" if (comparison.difference > 0) == record.higher_is_better else "A"


def _print(table: Table, notes: Sequence[str]) -> None:
    from multiattn.progress import plain_console

    console = plain_console()
    if not console.is_terminal:  # do not wrap lines in a file or a pipe
        console.width = 1000
    console.print(table)
    for note in notes:
        echo(note)


def _print_json(results: Mapping[str, Score] | Mapping[str, Comparison]) -> None:
    plain = {name: asdict(result) for name, result in results.items()}
    echo(json.dumps(plain, indent=2, ensure_ascii=False))


def _read(
    systems: Sequence[str], references: Sequence[str]
) -> tuple[list[SystemOutputs], Sequence[tuple[str, ...]]]:
    """Read every file, with all examples in the order of the first system's."""
    from multiattn.scoring.system_outputs import align_by_id, read_outputs, read_references

    sources = [*systems, *references]
    if sources.count("-") > 1:
        raise UserError("expected - (standard input) once, got it twice; give a file for the other")
    first, *others = map(read_outputs, systems)
    ordered = [first, *(align_by_id(first, other) for other in others)]
    texts = [align_by_id(first, read_references(source)).texts for source in references]
    if texts:
        sets = zip(*texts, strict=True)
        return ordered, [tuple(chain.from_iterable(of_example)) for of_example in sets]
    if first.references is None:
        raise UserError(f"expected --ref, as {first.name} has no references, got none; give one")
    return ordered, first.references


def _named(names: Sequence[str], settings: Sequence[str]) -> list[Named]:
    from multiattn.registry.schema import Named

    values = _parse_settings(settings)
    return [Named.model_validate({**values, "name": name}) for name in names]


def _parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    from multiattn.recipe import yamlfile

    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            raise UserError(f"expected --set key=value, got {shown(setting)}; write tokenize=none")
        values[key] = yamlfile.parse(text, f"--set {key}").value
    return values


def _metrics_of_run(host: Host, outputs: str, settings: Sequence[str]) -> list[Named]:
    """The metrics, with settings, in the recipe of the run that these outputs are from."""
    from multiattn.run_folder import RunFolder
    from multiattn.scoring.system_outputs import hypotheses_file

    run = RunFolder(hypotheses_file(Path(outputs)).absolute().parent.parent.parent)
    named = _evaluated_by(run.recipe) if run.exists() else ()
    if not named:
        known = ", ".join(sorted(row.record.name for row in host.records("metric")))
        raise UserError(
            f"expected --metric, as {outputs} belongs to no run that names any, got none; "
            f"choose from {known}"
        )
    values = _parse_settings(settings)
    return [item.model_copy(update=values) for item in named]


def _evaluated_by(recipe: Path) -> Sequence[Named]:
    # validate the schema only: checking components would import the model's, and torch with them
    from pydantic import ValidationError

    from multiattn.recipe import yamlfile
    from multiattn.recipe.settings import RecipeSettings

    try:
        tree = yamlfile.parse(recipe.read_text("utf-8"), str(recipe)).value
        return RecipeSettings.model_validate(tree).evaluation.metrics
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise UserError(
            f"expected the recipe of a run in {recipe}, got one that cannot be read; "
            "name the metrics with --metric"
        ) from error


def _metrics(host: Host, named: Sequence[Named]) -> list[tuple[records.Metric, Metric]]:
    """Build the metrics, reporting all mistakes in names and settings at once."""
    from multiattn.registry import records

    mistakes = [each for item in named for each in host.mistakes("metric", item, item.name)]
    if mistakes:
        raise UserError("\n".join(map(str, mistakes)))
    metrics = []
    for item in named:
        record = host.find("metric", item.name).record
        assert isinstance(record, records.Metric)  # noqa: S101
        metrics.append((record, host.build("metric", item)))
    return metrics
