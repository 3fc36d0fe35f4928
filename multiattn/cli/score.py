"""`multiattn score` and `multiattn compare`: any system's outputs against references.

Files are read in `multiattn.scoring.system_outputs` and scores computed in
`multiattn.scoring.intervals`; here are the options and the JSON output.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from multiattn.cli.options import Invocation, draw_progress, echo, warn
from multiattn.cli.score_tables import comparison_table, print_table, score_table, warnings_of
from multiattn.errors import UserError, shown

if TYPE_CHECKING:
    from multiattn.registry import records
    from multiattn.registry.host import Host
    from multiattn.registry.schema import Named
    from multiattn.scoring.forms.contents import SystemOutputs
    from multiattn.scoring.intervals import Comparison, Score
    from multiattn.scoring.metric import Metric

SIGNIFICANT = 0.05

FILE = "FILE"
OUTPUTS_HELP = (
    "Lines of text, JSON lines, COCO results, Kaldi text or NIST trn, plain or .gz; a run folder; "
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
    help="Set a setting of all metrics (lowercase=true) or of one (bleu.tokenize=zh).",
)
format_option = click.option(
    "--format",
    "form",
    metavar="FORM",
    help="Form of the files: plain, jsonl, coco, kaldi or trn; default: recognised.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on the official scale instead."
)


@click.command()
@click.argument("metric", metavar="METRIC...", nargs=-1, required=True, help="bleu, rouge-l, …")
@click.option("--hyp", metavar=FILE, required=True, help=OUTPUTS_HELP)
@ref_option
@set_option
@format_option
@json_option
@click.pass_obj
def score(
    invocation: Invocation,
    metric: Sequence[str],
    hyp: str,
    ref: Sequence[str],
    settings: Sequence[str],
    form: str | None,
    as_json: bool,
) -> None:
    """Score a system's outputs, with a 95 % confidence interval and a signature."""
    from multiattn.scoring import intervals

    draw_progress()
    metrics = _metrics(invocation.host, _named(invocation.host, metric, settings))
    (outputs,), references = _read([hyp], ref, form)
    scores: dict[str, Score] = {}
    for record, target in metrics:
        scores |= intervals.score(record, target, outputs.texts, references)
    if as_json:
        _print_json(scores)
    else:
        print_table(score_table(scores), sorted({each.signature for each in scores.values()}))
    warn(warnings_of(scores.values()))


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
@format_option
@json_option
@click.pass_obj
def compare(
    invocation: Invocation,
    first: str,
    second: str,
    ref: Sequence[str],
    metric: Sequence[str],
    settings: Sequence[str],
    form: str | None,
    as_json: bool,
) -> None:
    """Test whether two systems differ, by paired bootstrap and approximate randomisation."""
    from multiattn.scoring import intervals

    draw_progress()
    host = invocation.host
    named = _named(host, metric, settings) if metric else _metrics_of_run(host, first, settings)
    metrics = _metrics(host, named)
    (one, other), references = _read([first, second], ref, form)
    comparisons = {
        record.name: intervals.compare(record, target, one.texts, other.texts, references)
        for record, target in metrics
    }
    if as_json:
        _print_json(comparisons)
    else:
        better = {record.name: _better(record, comparisons[record.name]) for record, _ in metrics}
        signatures = [comparison.signature for comparison in comparisons.values()]
        systems = [f"A {one.name}", f"B {other.name}"]
        print_table(comparison_table(comparisons, better), [*systems, *signatures])
    warn(warnings_of(each for both in comparisons.values() for each in (both.first, both.second)))


def _better(record: records.Metric, comparison: Comparison) -> str:
    if comparison.p_value >= SIGNIFICANT:
        return "neither"
    return "B" if (comparison.difference > 0) == record.higher_is_better else "A"


def _print_json(results: Mapping[str, Score] | Mapping[str, Comparison]) -> None:
    from multiattn.scoring.intervals import as_plain_data

    plain = {name: as_plain_data(result) for name, result in results.items()}
    echo(json.dumps(plain, indent=2, ensure_ascii=False))


def _read(
    systems: Sequence[str], references: Sequence[str], form: str | None
) -> tuple[list[SystemOutputs], Sequence[tuple[str, ...]]]:
    """Read every file, with all examples in the order of the first system's."""
    from multiattn.scoring.system_outputs import align_by_id, read_files

    sources = [*systems, *references]
    if sources.count("-") > 1:
        raise UserError("expected - (standard input) once, got it twice; give a file for the other")
    files = read_files(systems, references, form)
    first, *others = files.systems
    ordered = [first, *(align_by_id(first, other) for other in others)]
    texts = [align_by_id(first, targets).texts for targets in files.references]
    for note in files.notes:
        echo(note, err=True)
    if texts:
        sets = zip(*texts, strict=True)
        return ordered, [tuple(chain.from_iterable(of_example)) for of_example in sets]
    if first.references is None:
        raise UserError(f"expected --ref, as {first.name} has no references, got none; give one")
    return ordered, first.references


def _named(host: Host, names: Sequence[str], settings: Sequence[str]) -> list[Named]:
    from multiattn.registry.schema import Named

    return _with_settings(host, [Named(name=name) for name in names], settings)


def _with_settings(host: Host, named: Sequence[Named], settings: Sequence[str]) -> list[Named]:
    """Metrics with ``SETTING=VALUE``, for all of them, and ``METRIC.SETTING=VALUE``, for one."""
    for_all: dict[str, Any] = {}
    for_one: dict[str, dict[str, Any]] = {item.name.rpartition("/")[2]: {} for item in named}
    for key, value in _parse_settings(settings).items():
        metric, dot, setting = key.partition(".")
        if not dot:
            for_all[key] = value
        elif metric in for_one:
            for_one[metric][setting] = value
        else:
            raise UserError(
                f"expected --set METRIC.SETTING=VALUE for {' or '.join(for_one)}, got {key!r}; "
                "name a metric that is scored"
            )
    _require_common(host, named, for_all)
    return [
        item.model_validate(
            {
                **item.settings,
                **for_all,
                **for_one[item.name.rpartition("/")[2]],
                "name": item.name,
            }
        )
        for item in named
    ]


def _require_common(host: Host, named: Sequence[Named], keys: Iterable[str]) -> None:
    """Raise UserError for a setting that some of the metrics have and others lack."""
    from multiattn.registry.schema import settings_of

    for key in keys:
        has = {item.name: key in settings_of(host.target("metric", item.name)) for item in named}
        if len({*has.values()}) > 1:
            lacking = ", ".join(name for name in has if not has[name])
            having = " and ".join(f"--set {name}.{key}=…" for name in has if has[name])
            raise UserError(
                f"expected a setting of all metrics, got {key!r}, which {lacking} lacks; "
                f"write {having}"
            )


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
    return _with_settings(host, named, settings)


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
