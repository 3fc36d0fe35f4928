"""`multiattn score`: any system's outputs against references.

Files are read in `multiattn.scoring.system_outputs` and scores computed in
`multiattn.scoring.intervals`; here are the options and what is printed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from multiattn.cli.options import PATH, Invocation, draw_progress, echo, warn
from multiattn.cli.score_tables import print_table, print_worst, score_table, warnings_of
from multiattn.cli.scoring_options import (
    FILE,
    OUTPUTS_HELP,
    ScoringOptions,
    build_metrics,
    named_metrics,
    scoring_options,
)

if TYPE_CHECKING:
    from multiattn.scoring.intervals import Score


@click.command()
@click.argument("metric", metavar="METRIC...", nargs=-1, required=True, help="bleu, rouge-l, …")
@click.option("--hyp", metavar=FILE, required=True, help=OUTPUTS_HELP)
@scoring_options
@click.option(
    "--worst",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Print the N worst outputs, aligned with a reference.",
)
@click.option(
    "--details",
    metavar="DIR",
    type=PATH,
    help="Write to a new folder: every example's scores, the commonest errors, scores by length "
    "and by each column, and aligned texts in colour.",
)
@click.pass_obj
def score(
    invocation: Invocation,
    /,
    metric: Sequence[str],
    hyp: str,
    worst: int,
    details: Path | None,
    **options: Any,
) -> None:
    """Score a system's outputs, with a 95 % confidence interval and a signature."""
    from multiattn.scoring import intervals
    from multiattn.scoring.details.examples import scored_examples
    from multiattn.scoring.details.folder import write_details

    draw_progress()
    given = ScoringOptions(**options)
    host = invocation.host
    metrics = build_metrics(host, named_metrics(host, metric, given.settings))
    examples = given.read([hyp])
    design = given.design(examples)
    texts = examples.systems[0].texts
    scores: dict[str, Score] = {}
    for record, target in metrics:
        scores |= intervals.score(record, target, texts, examples.references, design)
    signatures = sorted({each.signature for each in scores.values()})
    if given.as_json:
        plain = {name: intervals.as_plain_data(each) for name, each in scores.items()}
        echo(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        print_table(score_table(scores), signatures, given.table)
    if worst or details is not None:
        rows = scored_examples(metrics, examples)
        print_worst(rows[:worst])
        if details is not None:
            write_details(details, rows, metrics, examples, design)
            echo(f"wrote {details}", err=True)
    warn(warnings_of(scores.values()))
