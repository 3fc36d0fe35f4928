"""`multiattn compare`: whether systems differ by more than chance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import click

from multiattn.cli.options import Invocation, draw_progress, echo, warn
from multiattn.cli.score_tables import (
    comparison_table,
    print_side_by_side,
    print_table,
    systems_table,
    warnings_of,
)
from multiattn.cli.scoring_options import (
    OUTPUTS_HELP,
    ScoringOptions,
    build_metrics,
    metrics_of_run,
    named_metrics,
    scoring_options,
)
from multiattn.errors import UserError

if TYPE_CHECKING:
    from multiattn.registry import records
    from multiattn.scoring.intervals import Comparison

SIGNIFICANT = 0.05
Pair = tuple[int, int]  # positions of two systems
Tests = Mapping[tuple[str, Pair], "Comparison"]  # by metric and pair


@click.command()
@click.argument("systems", metavar="A B...", nargs=-1, required=True, help=OUTPUTS_HELP)
@click.option(
    "--metric",
    metavar="METRIC",
    multiple=True,
    help="May be repeated; default: the recipe's, if A is a run.",
)
@scoring_options
@click.option(
    "--examples",
    "shown",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Print the N examples on which two systems differ most, side by side.",
)
@click.pass_obj
def compare(
    invocation: Invocation,
    /,
    systems: Sequence[str],
    metric: Sequence[str],
    shown: int,
    **options: Any,
) -> None:
    """Test whether systems differ, by paired bootstrap and approximate randomisation."""
    from multiattn.scoring import intervals
    from multiattn.scoring.details.examples import most_different
    from multiattn.scoring.resampling import holm

    draw_progress()
    if not 1 < len(systems) <= len(ascii_uppercase):
        raise UserError(
            f"expected 2 to {len(ascii_uppercase)} systems to compare, got {len(systems)}; "
            "name the outputs of each"
        )
    given = ScoringOptions(**options)
    host = invocation.host
    named = (
        named_metrics(host, metric, given.settings)
        if metric
        else metrics_of_run(host, systems[0], given.settings)
    )
    metrics = build_metrics(host, named)
    examples = given.read(systems)
    design = given.design(examples)
    texts = [system.texts for system in examples.systems]
    tests: dict[tuple[str, Pair], Comparison] = {
        (record.name, pair): comparison
        for record, target in metrics
        for pair, comparison in intervals.compare(
            record, target, texts, examples.references, design
        ).items()
    }
    corrected = dict(zip(tests, holm([each.p_value for each in tests.values()]), strict=True))
    if given.as_json:
        echo(json.dumps(_as_json(tests, corrected, len(systems)), indent=2, ensure_ascii=False))
    else:
        _print(tests, corrected, [record for record, _ in metrics], examples.systems, given.table)
    if shown:
        for pair in dict.fromkeys(pair for _, pair in tests):
            print_side_by_side(most_different(metrics[0], examples, pair)[:shown], _letters(pair))
    warn(warnings_of(each for both in tests.values() for each in (both.first, both.second)))


def _print(
    tests: Tests,
    corrected: Mapping[tuple[str, Pair], float],
    metrics: Sequence[records.Metric],
    systems: Sequence[Any],
    form: str | None,
) -> None:
    signatures = list(dict.fromkeys(each.signature for each in tests.values()))
    names = [f"{ascii_uppercase[n]} {system.name}" for n, system in enumerate(systems)]
    better = {
        (record.name, pair): _better(record, tests[record.name, pair], p_value, pair)
        for record in metrics
        for (name, pair), p_value in corrected.items()
        if name == record.name
    }
    if len(systems) > 2:
        print_table(systems_table(tests), names, form)
        names = []
    print_table(comparison_table(tests, corrected, better), [*names, *signatures], form)


def _better(record: records.Metric, comparison: Comparison, p_value: float, pair: Pair) -> str:
    if p_value >= SIGNIFICANT:
        return "neither"
    return _letters(pair)[(comparison.difference > 0) == record.higher_is_better]


def _letters(pair: Pair) -> tuple[str, str]:
    return ascii_uppercase[pair[0]], ascii_uppercase[pair[1]]


def _as_json(
    tests: Tests, corrected: Mapping[tuple[str, Pair], float], systems: int
) -> dict[str, Any]:
    """Two systems: a comparison by metric. More: a list of them, with the letters of both."""
    from multiattn.scoring.intervals import as_plain_data

    plain: dict[str, Any] = {}
    for (name, pair), comparison in tests.items():
        content = as_plain_data(comparison)
        if len(tests) > 1:
            content["p_value_holm"] = corrected[name, pair]
        if systems == 2:
            plain[name] = content
        else:
            plain.setdefault(name, []).append({"systems": list(_letters(pair)), **content})
    return plain
