"""A run from its recipe to its end: make or continue the folder, build everything, train, evaluate.

It refuses to know how a step is made (``training.py``) and how a command is spelled (``cli/``).
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from rich.console import Console

from multiattn import preparation
from multiattn.checkpoint import Progress
from multiattn.data import Dataset
from multiattn.errors import UserError
from multiattn.evaluation import Judge, Validation, evaluate
from multiattn.losses import Losses
from multiattn.model import Model, WeightedObjective, build_model
from multiattn.plugins import Host
from multiattn.preparation import Sides
from multiattn.recipe import dump_recipe, load_recipe
from multiattn.runfolder import RunFolder, versions, write_bytes, write_json
from multiattn.runlog import Log, NoLog, RunLog, display_for
from multiattn.scoring import Score
from multiattn.settings import RecipeSettings
from multiattn.training import Job, Trainer, seed_generators, start_accelerator
from multiattn.transfer import take_weights

# What a run that continues may change: limits, patience, logging.
CHANGEABLE = (
    "summary",
    "training.steps",
    "training.patience",
    "training.workers",
    "training.log_every",
    "training.checkpoint_every",
)


@dataclass(frozen=True)
class Start:
    """What the user asked for.

    recipe: as it was called. data_root: where corpora lie. init: a run to take weights from.
    """

    recipe: str
    settings: RecipeSettings
    run: RunFolder
    data_root: Path
    init: RunFolder | None = None


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
                _enter(start, host)
            built = build(start, host, start.run)
            if main:
                _describe(start, host)
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
    return trainer.progress


@dataclass(frozen=True)
class Finished:
    """Scores by split and metric, and an input to try: arguments of ``multiattn predict``."""

    scores: Mapping[str, Mapping[str, Score]]
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
    return Finished(scores, _example(system, start.data_root))


def _example(system: preparation.System, data_root: Path) -> str:
    """The first input of the test split, as one would type it."""
    settings = system.settings
    corpus = preparation.open_corpus(settings, system.host, data_root)
    first = corpus.examples(settings.splits.test)[0]
    values = {name: first.fields[source.field] for name, source in settings.sources.items()}
    if len(values) == 1:
        return shlex.quote(str(*values.values()))
    present = {name: value for name, value in values.items() if value is not None}
    return " ".join(f"{name}={shlex.quote(str(value))}" for name, value in present.items())


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
        epoch_finished=lambda epoch, figures: host.epoch_finished(start.run.path, epoch, figures),
    )


def _open_log(
    start: Start, built: Built, progress: Progress, accelerator: Accelerator, console: Console
) -> Log:
    """The log where a checkpoint left it; TensorBoard forgets what came after that."""
    if not accelerator.is_main_process:
        return NoLog()
    purge = {"tensorboard": {"purge_step": progress.step + 1}}
    accelerator.init_trackers("tensorboard", init_kwargs=purge)
    display = display_for(console, start.settings.training.steps)
    tracker = accelerator.get_tracker("tensorboard")
    opened = RunLog(start.run, progress.log_bytes, tracker, display)
    if progress.step == 0:
        for split, data in (("train", built.train), ("validation", built.taught)):
            opened.write("data", 0, {"split": split, "found": "; ".join(data.report.lines())})
        if built.taken:
            opened.write("init", 0, {"taken": built.taken})
    return opened


def _enter(start: Start, host: Host) -> None:
    """Make the folder, or check that the run in it is this one. Raises UserError."""
    run = start.run
    if run.exists():
        _check_continues(start, load_recipe(run.recipe, (), host))
    elif run.path.exists() and any(not file.name.startswith(".") for file in run.path.iterdir()):
        raise UserError(
            f"expected a run folder, a new or an empty one, got {run.path} with other files; "
            "choose another --out"
        )
    else:
        write_bytes(run.recipe, dump_recipe(start.settings).encode())


def _describe(start: Start, host: Host) -> None:
    """Say in the folder what runs there, now that everything it names has been found."""
    run, init = start.run, _init_path(start)
    if init is None and run.start.exists():
        init = run.started().get("init")
    write_bytes(run.recipe, dump_recipe(start.settings).encode())
    started = {"recipe": start.recipe, "data": str(start.data_root.resolve()), "init": init}
    write_json(run.start, started)
    write_json(run.versions, versions({plugin.found.distribution for plugin in host.plugins}))


def _check_continues(start: Start, old: RecipeSettings) -> None:
    run = start.run
    if not run.has_checkpoint and not run.weights.exists():
        if old != start.settings:  # it ended before anything was learned but these
            for folder in (run.tokenizer.parent, run.source("").parent):
                shutil.rmtree(folder, ignore_errors=True)
            write_bytes(run.recipe, dump_recipe(start.settings).encode())
        return
    what = f"a run that continues in {run.path}"
    preparation.refuse_differences(old, start.settings, CHANGEABLE, what)
    if not run.has_checkpoint:
        raise UserError(
            f"expected a checkpoint in {run.checkpoints} to continue from, got none; "
            "restore it, or start a new run with another --out"
        )
    if start.init is not None and _init_path(start) != run.started().get("init"):
        raise UserError(
            f"expected --init only with a new run, got {run.path}, which began without it; "
            "leave --init out to continue it, or start a new run with another --out"
        )


def _init_path(start: Start) -> str | None:
    return None if start.init is None else str(start.init.path.resolve())
