"""One run from recipe to results: train, then evaluate the validation and the test split."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from rich.console import Console

from multiattn.data.corpus import StoredMedia, open_corpus
from multiattn.data.splits import Splits
from multiattn.registry.host import Host
from multiattn.runs.build import TrainingSetup
from multiattn.runs.evaluate import check_inputs, check_splits, evaluate
from multiattn.runs.overlap import leakage_warnings
from multiattn.runs.start import RunRequest, initial_run
from multiattn.runs.system import open_system
from multiattn.runs.train import Drawer, train
from multiattn.scoring.intervals import Score
from multiattn.training.accelerator import start_accelerator

EXAMPLE_WORDS = 20  # of the example input; more would bury the command


@dataclass(frozen=True)
class RunResult:
    """Scores by split and metric, reasons to doubt them, and an input to try.

    example: arguments of ``multiattn predict``. splits: the corpus, as far as it was read.
    """

    scores: Mapping[str, Mapping[str, Score]]
    warnings: tuple[str, ...]
    example: str
    splits: Splits


def train_and_evaluate(
    request: RunRequest, host: Host, console: Console, draw: Drawer
) -> RunResult:
    """Train or continue, then score the validation and the test split with the best weights.

    draw: attention maps for the log. Raises UserError.
    """
    settings = request.settings
    corpus = open_corpus(settings.corpus, host, request.data_root)
    splits = Splits(corpus, settings)
    evaluated = tuple(dict.fromkeys((splits.names.validation, splits.names.test)))
    check_splits(splits, evaluated, settings.evaluation.group)
    warnings = cache(
        lambda: tuple(leakage_warnings(splits, evaluated, settings, host, initial_run(request)))
    )

    def look_ahead(setup: TrainingSetup) -> Iterable[str]:
        if settings.sources:
            check_inputs(splits, splits.names.test, setup.processors.readers)
        return warnings()

    accelerator = start_accelerator(settings, request.run)
    train(request, host, splits, accelerator, console, look_ahead=look_ahead, draw=draw)
    system = open_system(request.run, host)
    scores = {split: evaluate(system, split, "", splits, accelerator) for split in evaluated}
    return RunResult(scores, warnings(), _example_input(splits), splits)


def _example_input(splits: Splits) -> str:
    """The first input of the test split, as one would type it."""
    first = splits.examples(splits.names.test)[0]
    values = {source: first.fields[field] for source, field in splits.fields.sources.items()}
    quoted = {
        source: "FILE"
        if isinstance(value, StoredMedia)
        else shlex.quote(" ".join(str(value).split(" ")[:EXAMPLE_WORDS]))
        for source, value in values.items()
        if value is not None
    }
    if len(values) == 1:
        value = " ".join(quoted.values())
        return f"-- {value}" if value.lstrip("'").startswith("-") else value
    return " ".join(f"{source}={value}" for source, value in quoted.items())
