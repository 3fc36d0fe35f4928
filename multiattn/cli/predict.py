"""`multiattn predict`: print one line per input; see `multiattn.prediction.predictor`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from multiattn.cli.options import (
    EnsembleRuns,
    LanguageModelRun,
    LanguageModelWeight,
    RunPath,
    Settings,
    search_overrides,
)
from multiattn.errors import UserError


def predict(
    context: typer.Context,
    path: RunPath,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help="A text, a file, a folder, source=value, or - for the lines of standard input.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line instead of text.")
    ] = False,
    attention: Annotated[
        Path | None,
        typer.Option("--attention", metavar="DIR", help="Save attention maps to this folder."),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Treat every input as text, even if it names a file.")
    ] = False,
    prefix: Annotated[
        str, typer.Option("--prefix", help="Text that outputs must start with.")
    ] = "",
    settings: Settings = None,
    lm: LanguageModelRun = None,
    lm_weight: LanguageModelWeight = None,
    ensemble: EnsembleRuns = None,
) -> None:
    """Predict outputs for your own inputs, one line each."""
    from multiattn.prediction.inputs import InputParser
    from multiattn.prediction.predictor import load
    from multiattn.prediction.rendering import save_attention_maps

    host = context.obj.host
    overrides = [*(settings or ()), *search_overrides(lm, lm_weight, ensemble)]
    predictor = load(path, overrides=overrides, host=host)
    wanted = predictor.sources or inputs
    parser = InputParser.of(predictor.system.settings, host, text)
    values = list(parser.parse(inputs or (), getattr(sys.stdin, "buffer", ()))) if wanted else [{}]
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
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False) if as_json else found.text)
        for doubt in found.doubts:
            typer.echo(f"warning: input {number}: {doubt}", err=True)
        if attention is not None:
            save_attention_maps(attention / f"{number:04d}", found.records(), host)
    if refused:
        raise UserError(
            f"expected {len(values)} inputs that can be read, got {refused} that cannot, named "
            "above; the outputs of the others are written"
        )


def _refuse(number: int, error: UserError, as_json: bool) -> None:
    """Print a line for an invalid input too, so that outputs match inputs by line number."""
    typer.echo(json.dumps({"error": str(error)}, ensure_ascii=False) if as_json else "")
    typer.echo(f"input {number}: {error}", err=True)
