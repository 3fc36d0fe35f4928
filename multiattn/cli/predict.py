"""`multiattn predict`: print one line per input; see `multiattn.prediction.predictor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from multiattn.cli.options import (
    PATH,
    Invocation,
    ensemble_option,
    language_model_options,
    run_argument,
    search_overrides,
    set_option,
)
from multiattn.errors import UserError


@click.command()
@run_argument
@click.argument(
    "inputs",
    metavar="[INPUT]...",
    nargs=-1,
    help="A text, a file, a folder, source=value, or - for the lines of standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--attention", metavar="DIR", type=PATH, help="Save attention maps to this folder.")
@click.option("--text", is_flag=True, help="Treat every input as text, even if it names a file.")
@click.option("--prefix", metavar="TEXT", default="", help="Text that outputs must start with.")
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
    """Predict outputs for your own inputs, one line each."""
    from multiattn.prediction.inputs import InputParser
    from multiattn.prediction.predictor import load

    host = invocation.host
    overrides = [*settings, *search_overrides(lm, lm_weight, ensemble)]
    predictor = load(path, overrides=overrides, host=host)
    wanted = predictor.sources or inputs
    parser = InputParser.of(predictor.system.settings.sources, host, text)
    values = list(parser.parse(inputs, getattr(sys.stdin, "buffer", ()))) if wanted else [{}]
    if not values:
        raise UserError("expected at least one input, got none; give a text, a file or -")
    refused = 0
    for number, found in enumerate(predictor.attempts(values, prefix=prefix), start=1):
        if isinstance(found, UserError):
            if len(values) == 1:
                raise found
            refused += 1
            _refuse(number, found, as_json)
            continue
        click.echo(json.dumps(found.as_json(), ensure_ascii=False) if as_json else found.text)
        for doubt in found.doubts:
            click.echo(f"warning: input {number}: {doubt}", err=True)
        if attention is not None:
            from multiattn.prediction.rendering import save_attention_maps

            save_attention_maps(attention / f"{number:04d}", found.records(), host)
    if refused:
        raise UserError(
            f"expected {len(values)} inputs that can be decoded, got {refused} that cannot, listed "
            "above; the outputs of the others were printed"
        )


def _refuse(number: int, error: UserError, as_json: bool) -> None:
    """Print a line for an invalid input too, so that outputs match inputs by line number."""
    click.echo(json.dumps({"error": str(error)}, ensure_ascii=False) if as_json else "")
    click.echo(f"input {number}: {error}", err=True)
