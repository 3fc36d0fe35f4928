"""`multiattn run`, `train`, `evaluate` and `report`: parse options and print the outcome.

The work is done in `multiattn.runs.train`, `multiattn.runs.evaluate` and `multiattn.report.page`.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from multiattn.cli.options import (
    PATH,
    Invocation,
    data_option,
    draw_progress,
    dry_run_option,
    echo,
    ensemble_option,
    language_model_options,
    recipe_argument,
    recipe_options,
    run_argument,
    search_overrides,
    set_option,
    warn,
)

if TYPE_CHECKING:
    from rich.console import Console

    from multiattn.registry.host import Host
    from multiattn.run_folder import RunFolder
    from multiattn.runs.start import RunRequest
    from multiattn.stop_signals import Stopped

T = TypeVar("T")


@click.command()
@recipe_argument
@recipe_options
@language_model_options
@dry_run_option
@click.pass_obj
def run(
    invocation: Invocation,
    recipe: str,
    data: Path | None,
    out: Path | None,
    seed: int | None,
    settings: Sequence[str],
    init: Path | None,
    tokenizer: Path | None,
    lm: Path | None,
    lm_weight: float | None,
    dry_run: bool,
) -> None:
    """Train (or resume), evaluate, and show how to use the trained model."""
    host = invocation.host
    overrides = [*_given(settings, seed, tokenizer), *search_overrides(lm, lm_weight)]
    start = _start(recipe, overrides, host, data, out, init)
    if dry_run:
        _dry_run(start, host, scores_test=True)
        return
    from multiattn.prediction.predictor import attention_images
    from multiattn.report.page import write_report
    from multiattn.runs.run import train_and_evaluate

    finished = _continuable(lambda: train_and_evaluate(start, host, _console(), attention_images))
    if not _is_first_process():
        return
    for split in finished.scores:
        _print_results(split, start.run.results(split))
    write_report([start.run], host, start.run.report, finished.splits)
    warn(finished.warnings)
    echo(f"results: {start.run.path / 'results'}")
    echo(f"report: {start.run.report}")
    echo(f"try your own input: multiattn predict {_quoted(start.run)} {finished.example}")


@click.command()
@recipe_argument
@recipe_options
@dry_run_option
@click.pass_obj
def train(
    invocation: Invocation,
    recipe: str,
    data: Path | None,
    out: Path | None,
    seed: int | None,
    settings: Sequence[str],
    init: Path | None,
    tokenizer: Path | None,
    dry_run: bool,
) -> None:
    """Train (or resume) without evaluating; use `multiattn evaluate` afterwards."""
    host = invocation.host
    start = _start(recipe, _given(settings, seed, tokenizer), host, data, out, init)
    if dry_run:
        _dry_run(start, host, scores_test=False)
        return
    from multiattn.data.corpus import open_corpus
    from multiattn.data.splits import Splits
    from multiattn.prediction.predictor import attention_images
    from multiattn.runs.train import train as train_run
    from multiattn.training.accelerator import start_accelerator

    accelerator = start_accelerator(start.settings, start.run)
    corpus = open_corpus(start.settings.corpus, host, start.data_root)
    splits = Splits(corpus, start.settings)
    progress = _continuable(
        lambda: train_run(start, host, splits, accelerator, _console(), draw=attention_images)
    )
    if accelerator.is_main_process:
        evaluate_it = f"multiattn evaluate {_quoted(start.run)}"
        echo(f"finished at step {progress.step}; next: {evaluate_it}")


@click.command()
@run_argument
@click.option("--split", help="Split to evaluate; default: the recipe's test split.")
@click.option("--name", metavar="TAG", default="", help="Write to results/SPLIT@TAG.")
@data_option
@set_option
@language_model_options
@ensemble_option
@click.pass_obj
def evaluate(
    invocation: Invocation,
    path: Path,
    split: str | None,
    name: str,
    data: Path | None,
    settings: Sequence[str],
    lm: Path | None,
    lm_weight: float | None,
    ensemble: Sequence[Path],
) -> None:
    """Decode a split and score the outputs; results with other settings are kept separately."""
    from multiattn.data.corpus import open_corpus
    from multiattn.data.splits import Splits
    from multiattn.run_folder import RunFolder
    from multiattn.runs.evaluate import evaluate as evaluate_split
    from multiattn.runs.overlap import leakage_warnings
    from multiattn.runs.system import open_system
    from multiattn.training.accelerator import start_accelerator

    draw_progress()
    folder = RunFolder(path)
    overrides = [*settings, *search_overrides(lm, lm_weight, ensemble)]
    system = open_system(folder, invocation.host, overrides)
    accelerator = start_accelerator(system.settings, folder)
    start = folder.read_start()
    corpus = open_corpus(system.settings.corpus, system.host, data or start["data"])
    splits = Splits(corpus, system.settings)
    split = split or splits.names.test
    evaluate_split(system, split, name, splits, accelerator)
    if accelerator.is_main_process:
        _print_results(split, folder.results(split, name))
        warn(leakage_warnings(splits, (split,), system.settings, system.host, start["init"]))
        echo(f"results: {folder.results(split, name)}")


@click.command()
@click.argument("paths", metavar="RUN...", type=PATH, nargs=-1, required=True, help="Run folders.")
@click.option(
    "--out",
    metavar="FILE",
    type=PATH,
    help="Default: RUN/report.html, or report.html for several runs.",
)
@click.option(
    "--example",
    "wanted",
    metavar="ID",
    multiple=True,
    help="Show this example of the test split too. May be repeated.",
)
@click.pass_obj
def report(
    invocation: Invocation, paths: Sequence[Path], out: Path | None, wanted: Sequence[str]
) -> None:
    """Write an HTML page with scores, errors, curves and examples of one or more runs."""
    from multiattn.report.page import write_report
    from multiattn.run_folder import RunFolder

    draw_progress()
    runs = [RunFolder(path) for path in paths]
    file = out or (runs[0].report if len(runs) == 1 else Path("report.html"))
    write_report(runs, invocation.host, file, wanted=wanted)
    echo(f"report: {file}")


def _given(settings: Sequence[str], seed: int | None, tokenizer: Path | None) -> list[str]:
    """The recipe overrides that a new run's options are short for."""
    import json

    overrides = list(settings)
    if seed is not None:
        overrides.append(f"seed={seed}")
    if tokenizer is not None:
        from multiattn.data.tokenizer import Tokenizer
        from multiattn.run_folder import RunFolder

        other = Tokenizer.load(RunFolder(tokenizer).require().tokenizer).settings
        overrides.append(f"target.tokenizer={json.dumps(other.model_dump(mode='json'))}")
        overrides.append(f"target.tokenizer_of={json.dumps(str(tokenizer), ensure_ascii=False)}")
    return overrides


def _start(
    recipe: str,
    overrides: list[str],
    host: Host,
    data: Path | None,
    out: Path | None,
    init: Path | None,
) -> RunRequest:
    from multiattn.recipe.loading import load_recipe, shipped

    checked = load_recipe(recipe, overrides, host)  # before anything that imports torch
    draw_progress()
    from multiattn.run_folder import RunFolder
    from multiattn.runs.start import RunRequest

    return RunRequest(
        recipe=recipe,
        settings=checked,
        run=RunFolder(out) if out else RunFolder.default(recipe),
        data_root=data or shipped("data"),
        init=None if init is None else RunFolder(init),
    )


def _continuable(work: Callable[[], T]) -> T:
    """On an interrupt or a signal to stop, say that the run can be resumed.

    The exit code is 128 and the number of the signal, as shells expect.
    """
    from multiattn import stop_signals

    with stop_signals.heeded():
        try:
            return work()
        except KeyboardInterrupt:
            echo("interrupted; the same command continues from the last checkpoint", err=True)
            raise click.exceptions.Exit(128 + signal.SIGINT) from None
        except stop_signals.Stopped as stopped:
            if os.environ.get("RANK", "0") == "0":
                echo(_stopped(stopped), err=True)
            raise click.exceptions.Exit(128 + stopped.signal_number) from None


def _stopped(stopped: Stopped) -> str:
    name, step = signal.Signals(stopped.signal_number).name, stopped.step
    if step is None:
        return f"stopped by {name}; the same command continues from the last checkpoint"
    return f"stopped by {name} after step {step}; the same command continues from this step"


def _dry_run(start: RunRequest, host: Host, *, scores_test: bool) -> None:
    from multiattn.data.splits import Names
    from multiattn.runs.dry_run import dry_run

    names = Names.of(start.settings.splits)
    scored = (names.validation, names.test) if scores_test else (names.validation,)
    for line in dry_run(start, host, scored):
        echo(line)


def _print_results(split: str, folder: Path) -> None:
    from multiattn.cli.score_tables import group_table, print_table, score_table, warnings_of
    from multiattn.scoring.results import Results, worst_readings

    results = Results.read(folder)
    echo(f"{split}:")
    print_table(score_table(results.scores), [])
    if results.groups:
        print_table(group_table(results), [])
    for signature in sorted({score.signature for score in results.scores.values()}):
        echo(signature)
    for source, reading in results.attention.items():
        values = ", ".join(f"{name} {value:g}" for name, value in reading.items())
        echo(f"attention to {source}: {values}")
    for line in worst_readings(folder):
        echo(line)
    warn(warnings_of(results.scores.values()))


def _console() -> Console:
    from multiattn.progress import plain_console

    return plain_console()


def _quoted(run: RunFolder) -> str:
    """The path of a run as one writes it in a shell."""
    return shlex.quote(str(run.path))


def _is_first_process() -> bool:
    from accelerate import PartialState

    return bool(PartialState().is_main_process)
