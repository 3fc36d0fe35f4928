"""`multiattn predict`: print one line per input; see `multiattn.prediction.predictor`.

Exit codes: 0 if every input that is not blank was decoded, 1 if some could not be, 2 if none was.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from multiattn.cli.options import (
    PATH,
    Invocation,
    draw_progress,
    echo,
    ensemble_option,
    language_model_options,
    run_argument,
    search_overrides,
    set_option,
    warn,
)
from multiattn.cli.standard_output import require_encodable
from multiattn.errors import UserError

if TYPE_CHECKING:
    from multiattn.prediction.prediction import Prediction
    from multiattn.prediction.rendering import DrawingError
    from multiattn.recipe.settings import SourceSettings
    from multiattn.registry.host import Host

SOME_FAILED = 1  # the exit code where some inputs could not be decoded


@click.command(
    epilog="With search.n_best above 1 (--set search.n_best=5), each line is one output: the "
    "input's number, the output's rank, its score and its text, separated by tabs. Exit codes: 0 "
    "if every input that is not blank was decoded, 1 if some could not be, 2 if none was."
)
@run_argument
@click.argument(
    "inputs",
    metavar="[INPUT]...",
    nargs=-1,
    help="A text, a file (media, lines of text, .jsonl, .tsv, .csv), a folder, source=value, or - "
    "for the lines of standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--attention", metavar="DIR", type=PATH, help="Save attention maps to this folder.")
@click.option("--text", is_flag=True, help="Treat every input as text, even if it names a file.")
@click.option(
    "--prefix",
    metavar="TEXT",
    default="",
    help="Text that outputs must start with; its last word may go on.",
)
@set_option
@language_model_options
@ensemble_option
@click.pass_obj
def predict(
    invocation: Invocation,
    path: Path,
    inputs: Sequence[str],
    as_json: bool,
    attention: Path | None,
    text: bool,
    prefix: str,
    settings: Sequence[str],
    lm: Path | None,
    lm_weight: float | None,
    ensemble: Sequence[Path],
) -> None:
    """Predict outputs for your own inputs, one line each; a blank line for a blank input."""
    from multiattn.prediction.inputs import InputParser, is_blank
    from multiattn.prediction.json_form import blank_as_json, error_as_json
    from multiattn.prediction.predictor import load
    from multiattn.progress import track

    draw_progress()
    host = invocation.host
    overrides = [*settings, *search_overrides(lm, lm_weight, ensemble)]
    predictor = load(path, overrides=overrides, host=host)
    wanted = predictor.sources or inputs
    sources = predictor.system.settings.sources
    parser = InputParser.of(sources, host, text, lambda line: echo(line, err=True))
    values = list(parser.parse(inputs, getattr(sys.stdin, "buffer", ()))) if wanted else [{}]
    if not values:
        raise UserError("expected at least one input, got none; give a text, a file or -")
    ranked = predictor.system.settings.search.n_best > 1 and not as_json
    blank = 0
    failed: dict[int, UserError] = {}
    outcomes = track(predictor.attempts(values, prefix=prefix), "predicting", len(values))
    attempts = zip(values, outcomes, strict=True)
    for number, (given, found) in enumerate(attempts, start=1):
        if isinstance(given, dict) and is_blank(given):
            blank += 1
            _print_nothing(number, blank_as_json(given) if as_json else None, ranked)
        elif isinstance(found, UserError):
            if len(values) == 1:
                raise found
            failed[number] = found
            _print_nothing(number, error_as_json(found) if as_json else None, ranked)
        else:
            missing = _draw(attention, number, found, sources, host) if attention else ()
            _print(number, found, as_json, ranked)
            warn(f"input {number}: {error}" for error in missing)
    _conclude(len(values), blank, failed)


def _draw(
    folder: Path,
    number: int,
    found: Prediction,
    sources: Mapping[str, SourceSettings],
    host: Host,
) -> list[DrawingError]:
    """Save the attention maps of an output; return why some could not be drawn."""
    from multiattn.prediction.rendering import Renderers, save_attention_maps

    renderers = Renderers(sources, host)
    return list(save_attention_maps(folder / f"{number:04d}", found.records(), renderers))


def _print(number: int, found: Prediction, as_json: bool, ranked: bool) -> None:
    if as_json:
        _write(json.dumps(found.as_json(), ensure_ascii=False))
    elif ranked:
        for rank, one in enumerate(found.n_best, start=1):
            _write(f"{number}\t{rank}\t{one.score:.6g}\t{one.text}")
    else:
        _write(found.text)
    for doubt in found.doubts:
        echo(f"warning: input {number}: {doubt}", err=True)


def _print_nothing(number: int, row: Mapping[str, Any] | None, ranked: bool) -> None:
    """A line for an input without an output too, so that lines match inputs by number.

    row: what to print as JSON, if JSON is wanted.
    """
    if row is not None:
        _write(json.dumps(row, ensure_ascii=False))
    else:
        echo(f"{number}\t\t\t" if ranked else "")


def _write(line: str) -> None:
    """Print a line of results as it is, or raise UserError."""
    require_encodable(line)
    echo(line)


def _conclude(inputs: int, blank: int, failed: Mapping[int, UserError]) -> None:
    """List the inputs that could not be decoded, count all, and choose the exit code."""
    for number, error in failed.items():
        echo(f"input {number}: {error}", err=True)
    decoded = inputs - blank - len(failed)
    if failed and not decoded:
        raise UserError(
            f"expected inputs that can be decoded, got {len(failed)} that cannot, listed above"
            + (f", and {blank} blank" if blank else "")
        )
    if blank or failed:
        counts = f"{decoded} decoded, {blank} blank, {len(failed)} failed"
        echo(f"{inputs} inputs: {counts}", err=True)
    if failed:
        raise click.exceptions.Exit(SOME_FAILED)
