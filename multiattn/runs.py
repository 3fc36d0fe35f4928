"""A run from its recipe to its end: make or continue the folder, build everything, train, evaluate.

It refuses to know how a step is made (``training.py``) and how a command is spelled (``cli/``).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from accelerate import Accelerator
from matplotlib.figure import Figure
from rich.console import Console

from multiattn import preparation
from multiattn.checkpoint import Progress
from multiattn.data import Dataset
from multiattn.entering import Start, describe, enter
from multiattn.evaluation import Judge, Validation, evaluate
from multiattn.losses import Losses
from multiattn.model import Model, WeightedObjective, build_model
from multiattn.overlap import shared_with_training
from multiattn.plugins import Host
from multiattn.predictor import Predictor
from multiattn.preparation import Sides
from multiattn.rendering import figure_of
from multiattn.rows import BadRows
from multiattn.runfolder import RunFolder
from multiattn.runlog import Log, NoLog, RunLog, display_for
from multiattn.scoring import Score
from multiattn.settings import RecipeSettings
from multiattn.training import Job, Trainer, seed_generators, start_accelerator
from multiattn.transfer import take_weights

HINT_WORDS = 20  # of a first input to try; more would hide the command


@dataclass(frozen=True)
class Built:
    """Everything that a recipe names, ready to train; ``taken``: what --init gave, in words."""

    sides: Sides
    model: Model
    objectives: tuple[WeightedObjective, ...]
    train: Dataset
    taught: Dataset
    asked: Dataset
    taken: str


def train(start: Start, host: Host, accelerator: Accelerator, console: Console) -> Progress:
    """Train, or continue, or find that nothing is left to do. Raises UserError."""
    main = accelerator.is_main_process
    with start.run.locked() if main else nullcontext():
        with accelerator.main_process_first():
            if main:
                enter(start, host)
            built = build(start, host, start.run)
            if main:
                describe(start, host)
        trainer = Trainer(
            _job(start, host, built, accelerator),
            accelerator,
            lambda progress: _open_log(start, built, progress, accelerator, console),
        )
        host.run_started(start.run.path)
        try:
            trainer.run()
        finally:
            trainer.log.close()
        host.run_finished(start.run.path, trainer.figures)
    for part in built.objectives:
        _tell_skipped(part, console)
    return trainer.progress


def _tell_skipped(part: WeightedObjective, console: Console) -> None:
    """Say what this process met that an objective could not use."""
    skipped = getattr(part.objective, "bad_rows", BadRows("skip")).sentences
    if skipped:
        console.print(
            f"warning: {len(skipped)} examples were left out of {part.name}; the first: "
            f"{skipped[0]}",
            markup=False,
        )


@dataclass(frozen=True)
class Finished:
    """Scores by split and metric, what casts doubt on them, and an input to try.

    example: arguments of ``multiattn predict``.
    """

    scores: Mapping[str, Mapping[str, Score]]
    doubts: tuple[str, ...]
    example: str


def train_and_evaluate(start: Start, host: Host, console: Console) -> Finished:
    """Train or continue; then score the validation and the test split with the best weights."""
    accelerator = start_accelerator(start.settings, start.run)
    train(start, host, accelerator, console)
    system = preparation.open_system(start.run, host)
    splits = start.settings.splits
    scores = {
        split: evaluate(system, split, "", start.data_root, accelerator)
        for split in dict.fromkeys((splits.validation, splits.test))
    }
    corpus = preparation.open_corpus(start.settings, host, start.data_root)
    doubts = [
        doubt
        for split in scores
        for doubt in shared_with_training(start.settings, host, corpus, split)
    ]
    return Finished(scores, tuple(doubts), _example(start.settings, corpus))


def _example(settings: RecipeSettings, corpus: Any) -> str:
    """The first input of the test split, as one would type it."""
    first = corpus.examples(settings.splits.test, BadRows(settings.training.bad_rows).handler)[0]
    values = {name: first.fields[source.field] for name, source in settings.sources.items()}
    quoted = {
        name: shlex.quote(" ".join(str(value).split(" ")[:HINT_WORDS]))
        for name, value in values.items()
        if value is not None
    }
    if len(values) == 1:
        return " ".join(quoted.values())
    return " ".join(f"{name}={value}" for name, value in quoted.items())


def build(start: Start, host: Host, run: RunFolder | None) -> Built:
    """Read the splits, learn or load both sides, build the model with the recipe's seed."""
    settings = start.settings
    corpus = preparation.open_corpus(settings, host, start.data_root)
    sides = preparation.learn(settings, host, corpus, run)
    readers, tokenizer = sides.readers, sides.tokenizer
    validation = settings.splits.validation
    seed_generators(settings.seed, "weights")
    model, objectives = build_model(settings, host, sides.specs, tokenizer.size)
    taken = ""
    if start.init is not None and not (run and run.has_checkpoint):
        taken = take_weights(model, sides, preparation.open_system(start.init, host))
    limit = settings.training.validation_limit
    return Built(
        sides,
        model,
        objectives,
        Dataset.training(corpus, settings.splits.train, settings, readers, tokenizer),
        Dataset.validation(corpus, validation, settings, readers, tokenizer).first(limit),
        Dataset.evaluation(corpus, validation, settings, readers).first(limit),
        taken,
    )


def _job(start: Start, host: Host, built: Built, accelerator: Accelerator) -> Job:
    settings = start.settings
    judge = Judge(settings.evaluation, host)
    writer = None
    if settings.sources:
        writer = preparation.make_writer(built.model, built.sides, settings, host)
    select = settings.evaluation.select
    if select is None:
        named = settings.evaluation.metrics if settings.sources else ()
        select = named[0].name.rpartition("/")[2] if named else "perplexity"
    return Job(
        run=start.run,
        settings=settings,
        model=built.model,
        objectives=built.objectives,
        data=built.train,
        validate=Validation(
            Losses(built.model, built.objectives),
            built.taught,
            built.asked,
            writer,
            judge,
            accelerator,
            settings.search.batch_size,
        ),
        select=select,
        higher_is_better=judge.higher_is_better(select),
        pictures=partial(_pictures, start, host, built, accelerator),
        epoch_finished=lambda epoch, figures: host.epoch_finished(start.run.path, epoch, figures),
    )


def _pictures(
    start: Start, host: Host, built: Built, accelerator: Accelerator
) -> dict[str, Figure]:
    """Where the model looks now in the first example of the validation split."""
    if not start.settings.sources:
        return {}
    system = preparation.System(
        start.run, start.settings, host, built.sides, built.model, built.objectives
    )
    prediction = Predictor(system, accelerator.device)(built.asked.rows[0].sources)
    return {
        f"attention/{record.source}": figure_of(record, host) for record in prediction.records()
    }


def _open_log(
    start: Start, built: Built, progress: Progress, accelerator: Accelerator, console: Console
) -> Log:
    """The log where a checkpoint left it; TensorBoard forgets what came after that."""
    if not accelerator.is_main_process:
        return NoLog()
    purge = {"tensorboard": {"purge_step": progress.step + 1}}
    accelerator.init_trackers("tensorboard", init_kwargs=purge)
    display = display_for(console, start.settings.training.steps, progress.step)
    tracker = accelerator.get_tracker("tensorboard")
    opened = RunLog(start.run, progress.log_bytes, tracker, display)
    if progress.step == 0:
        device, processes = accelerator.device.type, accelerator.num_processes
        opened.write("start", 0, {"device": device, "processes": processes})
        for split, data in (("train", built.train), ("validation", built.taught)):
            opened.write("data", 0, {"split": split, "found": "; ".join(data.report.lines())})
        if built.taken:
            opened.write("init", 0, {"taken": built.taken})
    return opened
