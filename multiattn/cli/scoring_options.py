"""What `score` and `compare` have in common: metrics with settings, files, how to sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from multiattn.cli.options import echo, warn
from multiattn.errors import UserError, shown

if TYPE_CHECKING:
    from multiattn.registry import records
    from multiattn.registry.host import Host
    from multiattn.registry.schema import Named
    from multiattn.scoring.intervals import Design
    from multiattn.scoring.matching import Examples
    from multiattn.scoring.metric import Metric

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = "FILE"
OUTPUTS_HELP = (
    "Lines of text, JSON lines, a table, COCO results, Kaldi text, NIST trn, stm or ctm, or "
    "subtitles, plain or .gz; a run folder; or - for standard input."
)
_OPTIONS = (
    click.option(
        "--ref",
        metavar=FILE,
        multiple=True,
        help="References, in these forms or COCO annotations; repeat for several sets. Runs have "
        "their own.",
    ),
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="Set a setting of all metrics (lowercase=true) or of one (bleu.tokenize=zh).",
    ),
    click.option(
        "--format",
        "form",
        metavar="FORM",
        help="Form of the files: plain, jsonl, csv, tsv, coco, kaldi, trn, stm, ctm, srt or vtt; "
        "default: recognised.",
    ),
    click.option(
        "--ref-format",
        "reference_form",
        metavar="FORM",
        help="Form of the references, if it is another.",
    ),
    click.option(
        "--column",
        "columns",
        metavar="ROLE=NAME",
        multiple=True,
        help="The column of a table that holds the id, the text or the reference.",
    ),
    click.option(
        "--missing",
        type=click.Choice(("error", "empty", "skip")),
        default="error",
        help="What to do with a reference that a system has no output for.",
    ),
    click.option(
        "--cluster",
        metavar="NAME",
        help="Draw whole groups of examples, such as those of a speaker, in the bootstrap: a "
        "column of the files, or of meta.",
    ),
    click.option(
        "--table",
        metavar="FORM",
        help="Print the table for a paper: markdown, latex or csv.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON on the official scale."),
)


@dataclass(frozen=True)
class ScoringOptions:
    """The values of the options above."""

    ref: Sequence[str]
    settings: Sequence[str]
    form: str | None
    reference_form: str | None
    columns: Sequence[str]
    missing: Any
    cluster: str | None
    table: str | None
    as_json: bool

    def design(self, examples: Examples) -> Design:
        """How to sample these examples. Raises UserError for an unknown cluster."""
        from multiattn.scoring.intervals import Design
        from multiattn.scoring.resampling import Clusters

        name = self.cluster
        clusters = None if name is None else Clusters(name, examples.values(name))
        return Design(clusters=clusters, matching=examples.signature)

    def read(self, systems: Sequence[str]) -> Examples:
        """Read every file, with all examples in the order of the first system's."""
        from multiattn.scoring.matching import match
        from multiattn.scoring.system_outputs import read_files

        if [*systems, *self.ref].count("-") > 1:
            raise UserError(
                "expected - (standard input) once, got it twice; give a file for the other"
            )
        files = read_files(
            systems,
            self.ref,
            self.form,
            reference_form=self.reference_form,
            columns=_columns(self.columns),
        )
        examples = match(files.systems, files.references, self.missing)
        for note in files.notes:
            echo(note, err=True)
        warn(examples.notes)
        return examples


def scoring_options(command: Command) -> Command:
    """Add the options; the command takes their values by name and makes a ``ScoringOptions``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def named_metrics(host: Host, names: Sequence[str], settings: Sequence[str]) -> list[Named]:
    """Metrics by name, with settings. Raises UserError."""
    from multiattn.registry.schema import Named

    return with_settings(host, [Named(name=name) for name in names], settings)


def with_settings(host: Host, named: Sequence[Named], settings: Sequence[str]) -> list[Named]:
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


def build_metrics(host: Host, named: Sequence[Named]) -> list[tuple[records.Metric, Metric]]:
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


def metrics_of_run(host: Host, outputs: str, settings: Sequence[str]) -> list[Named]:
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
    return with_settings(host, named, settings)


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


def _columns(given: Sequence[str]) -> Mapping[str, str]:
    """Columns by role. Raises UserError for another role."""
    from multiattn.scoring.forms.columns import ROLES

    columns: dict[str, str] = {}
    for each in given:
        role, equals, name = each.partition("=")
        if role not in ROLES or not equals or not name:
            raise UserError(
                f"expected --column ROLE=NAME with one of the roles {', '.join(ROLES)}, got "
                f"{shown(each)}; write --column text=NAME"
            )
        if role in columns or name in columns.values():
            raise UserError(
                f"expected --column once for each role and column, got {shown(each)} beside "
                f"{', '.join(f'{one}={other}' for one, other in columns.items())}; leave one out"
            )
        columns[role] = name
    return columns
