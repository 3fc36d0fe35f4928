"""A run from its recipe to its end: make or continue the folder, build everything, train, evaluate.

It refuses to know how a step is made (``training.py``) and how a command is spelled (``cli/``).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from accelerate import Accelerator
from matplotlib.figure import Figure
from rich.console import Console

from multiattn.training import checkpoint
from multiattn.runs import processors
from multiattn.training.checkpoint import Progress
from multiattn.data.dataset import Dataset
from multiattn.runs.start import (Start, describe, enter, origin)
from multiattn.runs.evaluate import (Validation, check_inputs, check_splits, evaluate)
from multiattn.data.features.cache import (Cache, fill_caches, open_caches)
from multiattn.scoring.evaluator import Judge
from multiattn.training.loss import Losses
from multiattn.engine.model import (Model, WeightedObjective, build_model, check_row)
from multiattn.training.objectives import Surroundings
from multiattn.runs.overlap import doubts_of
from multiattn.registry.host import Host
from multiattn.prediction.predictor import Predictor
from multiattn.runs.processors import Sides
from multiattn.prediction.rendering import figure_of
from multiattn.data.rows import (BadRows, scored_rows)
from multiattn.run_folder import RunFolder
from multiattn.runs.log import (Log, NoLog, RunLog, display_for)
from multiattn.scoring.intervals import Score
from multiattn.recipe.settings import RecipeSettings
from multiattn.data.tokenizer import Tokenizer
from multiattn.training.trainer import (Job, Trainer, seed_generators, start_accelerator)
from multiattn.runs.transfer import take_weights

HINT_WORDS = 20  # of a first input to try; more would hide the command


@dataclass(frozen=True)
class Built:
    """Everything that a recipe names, ready to train.

    taken: the weights it began with, in words; caches: what is kept of frozen parts, by source.
    """

    sides: Sides
    model: Model
    objectives: tuple[WeightedObjective, ...]
    train: Dataset
    taught: Dataset
    asked: Dataset
    taken: str
    caches: Mapping[str, Cache]


def train(
    start: Start,
    host: Host,
    accelerator: Accelerator,
    console: Console,
    look_ahead: Callable[[Built], Iterable[str]] = lambda built: (),
) -> Progress:
    """Train, or continue, or find that nothing is left to do. Raises UserError.

    look_ahead: gives warnings about what comes after training, to be said before the first step.
    """
    main = accelerator.is_main_process
    with start.run.locked() if main else nullcontext():
        with accelerator.main_process_first():
            if main:
                enter(start, host)
            built = build(start, host, start.run, console)
            if main:
                describe(start, host, {"train": built.train.rows, "validation": built.taught.rows})
                for doubt in look_ahead(built):
                    console.print(f"warning: {doubt}", markup=False, soft_wrap=True)
        trainer = Trainer(
            job_of(start, host, built, accelerator),
            accelerator,
            lambda progress: _open_log(start, built, progress, accelerator, console),
        )
        host.run_started(start.run.path)
        try:
            trainer.run()
            for part in built.objectives:
                _note_skipped(part, trainer, console)
        finally:
            trainer.log.close()
        host.run_finished(start.run.path, trainer.figures)
    return trainer.progress


def _note_skipped(part: WeightedObjective, trainer: Trainer, console: Console) -> None:
    """Say what this process met that an objective could not use, and log it."""
    skipped = getattr(part.objective, "bad_rows", BadRows("skip")).sentences
    if skipped:
        found = {"objective": part.name, "examples": len(skipped), "first": skipped[0]}
        trainer.log.write("skipped", trainer.progress.step, found)
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
    splits = tuple(dict.fromkeys((start.settings.splits.validation, start.settings.splits.test)))
    corpus = processors.open_corpus(start.settings, host, start.data_root)
    check_splits(start.settings, corpus, splits)
    doubts = cache(lambda: tuple(doubts_of(start.settings, host, corpus, splits, origin(start))))

    def look_ahead(built: Built) -> Iterable[str]:
        check_inputs(start.settings, corpus, start.settings.splits.test, built.sides.readers)
        return doubts()

    accelerator = start_accelerator(start.settings, start.run)
    train(start, host, accelerator, console, look_ahead)
    system = processors.open_system(start.run, host)
    scores = {split: evaluate(system, split, "", start.data_root, accelerator) for split in splits}
    return Finished(scores, doubts(), _example(start.settings, corpus))


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


def build(start: Start, host: Host, run: RunFolder | None, console: Console | None = None) -> Built:
    """Read the splits, learn or load both sides, build the model with the recipe's seed.

    What frozen parts give is computed and kept where a recipe wants it, if a console is there to
    say so; else inputs are read as they are.
    """
    settings = start.settings
    corpus = processors.open_corpus(settings, host, start.data_root)
    sides = processors.learn(settings, host, corpus, run)
    readers, tokenizer = sides.readers, sides.tokenizer
    validation = settings.splits.validation
    seed_generators(settings.seed, "weights")
    model, objectives = build_model(settings, host, sides.specs, tokenizer.size)
    taken = _take_first_weights(start, host, run, model, sides)
    caches = open_caches(settings, host, dict(model.encoders.items()), readers)
    if console is not None:
        readers = {**readers, **{name: cache.stored() for name, cache in caches.items()}}
    limit = settings.training.validation_limit
    check = partial(check_row, model, objectives)
    train = Dataset.training(corpus, settings.splits.train, settings, readers, tokenizer)
    taught = Dataset.validation(corpus, validation, settings, readers, tokenizer)
    _prepare_objectives(objectives, settings, host, corpus, tokenizer)
    data = (
        train.checked(check, settings),
        taught.checked(check, settings).first(limit),
        Dataset.evaluation(corpus, validation, settings, readers).first(limit),
    )
    if console is not None:
        data = fill_caches(caches, data, settings, console)
    return Built(sides, model, objectives, *data, taken, caches)


def _take_first_weights(
    start: Start, host: Host, run: RunFolder | None, model: Model, sides: Sides
) -> str:
    """Give the model what it begins with; says what. Raises UserError.

    A run that continues has all of it in its checkpoint.
    """
    if run is not None and run.has_checkpoint:
        if any(source.cache for source in start.settings.sources.values()):
            checkpoint.load(run, model)  # features are kept under the weights that give them
        return ""
    encoders: dict[str, Any] = dict(model.encoders.items())
    taken = [
        encoder.start_from(start.data_root)
        for encoder in encoders.values()
        if hasattr(encoder, "start_from")
    ]
    if start.init is not None:
        taken.append(take_weights(model, sides, processors.open_system(start.init, host)))
    return "; ".join(filter(None, taken))


def _prepare_objectives(
    objectives: Sequence[WeightedObjective],
    settings: RecipeSettings,
    host: Host,
    corpus: Any,
    tokenizer: Tokenizer,
) -> None:
    """Tell the objectives that ask what they cannot know from their settings."""
    pairs = zip(settings.objectives, objectives, strict=True)
    asking = [
        (named, part.objective) for named, part in pairs if hasattr(part.objective, "prepare")
    ]
    if not asking:
        return
    rows = scored_rows(corpus, settings.splits.train, settings, BadRows("skip"))
    references = tuple(row.targets for row in rows if row.targets)
    for named, objective in asking:
        objective.prepare(Surroundings(named, settings.search, host, tokenizer, references))


def job_of(start: Start, host: Host, built: Built, accelerator: Accelerator) -> Job:
    """What a trainer needs to know of a run. Raises UserError where the search cannot be."""
    settings = start.settings
    judge = Judge(settings.evaluation, host)
    writer = None
    if settings.sources:
        writer = processors.make_writer(built.model, built.sides, settings, host)
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
    system = processors.System(
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
