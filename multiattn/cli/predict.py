"""`multiattn predict`: your own inputs in, a line each out. The work is `multiattn.prediction.predictor`'s."""

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
        bool, typer.Option("--json", help="A JSON object per line instead of the text.")
    ] = False,
    attention: Annotated[
        Path | None,
        typer.Option("--attention", metavar="DIR", help="Draw where the model looked."),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Take every input as text, whatever files there are.")
    ] = False,
    prefix: Annotated[str, typer.Option("--prefix", help="What outputs must begin with.")] = "",
    settings: Settings = None,
    lm: LanguageModelRun = None,
    lm_weight: LanguageModelWeight = None,
    ensemble: EnsembleRuns = None,
) -> None:
    """Write for inputs of your own, one line each."""
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
    """Keep the line of an input that is refused, so that outputs belong to inputs by number."""
    typer.echo(json.dumps({"error": str(error)}, ensure_ascii=False) if as_json else "")
    typer.echo(f"input {number}: {error}", err=True)
