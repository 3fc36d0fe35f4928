"""`multiattn predict`: print one line per input; see `multiattn.prediction.predictor`.

Exit codes: 0 if every input that is not blank was decoded, 1 if some could not be, 2 if none was.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

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
from multiattn.cli.prediction_output import Output, OutputFolder, StandardOutput, Tally
from multiattn.errors import UserError

if TYPE_CHECKING:
    from multiattn.prediction.batches import Arriving
    from multiattn.prediction.forms.table import Form
    from multiattn.prediction.input_files import Input
    from multiattn.prediction.inputs import InputParser
    from multiattn.prediction.prediction import Prediction
    from multiattn.prediction.predictor import Predictor
    from multiattn.prediction.rendering import DrawingError
    from multiattn.registry.host import Host


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
@click.option(
    "--as",
    "form",
    metavar="FORM",
    default="text",
    help="Form of the outputs: text, json or html; with times srt, vtt, ctm, stm or textgrid.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --as json.")
@click.option("--out", metavar="DIR", type=PATH, help="Write a file for each input to a folder.")
@click.option("--attention", metavar="DIR", type=PATH, help="Save attention maps to this folder.")
@click.option("--text", is_flag=True, help="Treat every input as text, even if it names a file.")
@click.option(
    "--document",
    is_flag=True,
    help="Treat a file of text as one input, whose sentences may run over several lines.",
)
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
    form: str,
    as_json: bool,
    out: Path | None,
    attention: Path | None,
    text: bool,
    document: bool,
    prefix: str,
    settings: Sequence[str],
    lm: Path | None,
    lm_weight: float | None,
    ensemble: Sequence[Path],
) -> None:
    """Predict outputs for your own inputs, one line each; a blank line for a blank input."""
    from multiattn.prediction.forms.table import form_named
    from multiattn.prediction.inputs import InputParser
    from multiattn.prediction.predictor import load
    from multiattn.progress import progress_bar

    draw_progress()
    host = invocation.host
    chosen = form_named("json" if as_json else form)
    overrides = [*settings, *search_overrides(lm, lm_weight, ensemble)]
    predictor = load(path, overrides=overrides, host=host)
    parser = InputParser.of(
        predictor.system.settings.sources,
        host,
        as_text=text,
        as_document=document,
        notify=lambda line: echo(line, err=True),
    )
    values = _inputs(parser, inputs)
    count = len(values) if isinstance(values, list) else None
    output, tally = _output(predictor, chosen, out, count), Tally()
    with progress_bar("predicting", count) as bar, closing(output):
        for number, given, outcome in _outcomes(predictor, values, prefix):
            if count == 1 and isinstance(outcome, UserError):
                raise outcome
            undrawn: list[DrawingError] = []
            if attention and outcome and not isinstance(outcome, UserError):
                undrawn = _draw(attention / f"{number:04d}", outcome, predictor, host)
            tally.add(number, _put(output, number, given, outcome, alone=count == 1))
            warn(f"input {number}: {error}" for error in undrawn)
            bar.advance()
    tally.conclude()


def _inputs(parser: InputParser, arguments: Sequence[str]) -> list[Input] | Arriving[Input]:
    """The inputs; those of standard input as they arrive. Raises UserError if there are none."""
    from multiattn.prediction.batches import Arriving
    from multiattn.prediction.inputs import STANDARD_INPUT

    if not parser.readers and not arguments:
        return [{}]
    parsed = parser.parse(arguments, getattr(sys.stdin, "buffer", ()))
    if STANDARD_INPUT not in arguments or parser.as_text:
        values = list(parsed)
        if values:
            return values
    elif (first := next(parsed, None)) is not None:
        return Arriving(chain([first], parsed))
    raise UserError("expected at least one input, got none; give a text, a file or -")


def _output(predictor: Predictor, form: Form, out: Path | None, count: int | None) -> Output:
    """Where to write. Raises UserError for several inputs in a form that fills a file."""
    from multiattn.prediction.forms.table import RANKED, TEXT

    search = predictor.system.settings.search
    chosen = RANKED if form is TEXT and search.n_best > 1 else form
    if out is not None:
        about = {"run": predictor.system.run.path.name, "search": search.model_dump(mode="json")}
        return OutputFolder(out, chosen, about)
    if count != 1 and not form.lines:
        raise UserError(
            f"expected one input, as {form.name} fills a file, got several; give --out DIR, where "
            "each has a file of its own"
        )
    return StandardOutput(chosen)


def _outcomes(
    predictor: Predictor, values: list[Input] | Arriving[Input], prefix: str
) -> Iterator[tuple[int, Input, Prediction | UserError | None]]:
    """The inputs, numbered, with what came of them: None for a blank one."""
    from multiattn.prediction.inputs import is_blank

    taken: deque[Input] = deque(values) if isinstance(values, list) else values.taken
    for number, outcome in enumerate(predictor.attempts(values, prefix=prefix), start=1):
        given = taken.popleft()
        yield number, given, None if is_blank(given) else outcome


def _put(
    output: Output,
    number: int,
    given: Input,
    outcome: Prediction | UserError | None,
    *,
    alone: bool,
) -> Prediction | UserError | None:
    """Write what came of an input; return it, or the error of an output without such a form."""
    from multiattn.prediction.forms.timed import UntimedError

    try:
        output.put(number, given, outcome)
    except UntimedError as error:
        if alone:
            raise
        output.put(number, given, error)
        return error
    if outcome is not None and not isinstance(outcome, UserError):
        warn(f"input {number}: {doubt}" for doubt in outcome.doubts)
    return outcome


def _draw(
    folder: Path, prediction: Prediction, predictor: Predictor, host: Host
) -> list[DrawingError]:
    """Save the attention maps of an output, or of its pieces; return why some are not drawn."""
    from multiattn.prediction.rendering import Renderers, save_attention_maps

    renderers = Renderers(predictor.system.settings.sources, host)
    if not prediction.pieces:
        return list(save_attention_maps(folder, prediction.records(), renderers))
    return [
        error
        for number, piece in enumerate(prediction.pieces, start=1)
        for error in save_attention_maps(
            folder / f"{number:04d}", piece.prediction.records(), renderers
        )
    ]
