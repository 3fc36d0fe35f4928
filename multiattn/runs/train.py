"""Train a run, or continue it: open its folder, build what the recipe names, start the loop.

The loop itself is ``training/trainer.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from rich.console import Console

from multiattn.data.splits import Splits
from multiattn.data.text_forms import form_warnings
from multiattn.errors import printable
from multiattn.registry.host import Host
from multiattn.runs.build import TrainingSetup, build_training
from multiattn.runs.log import (
    Display,
    OnFieldScale,
    RunLog,
    display_for,
    full_disk_as_user_error,
)
from multiattn.runs.processors import with_unicode_of
from multiattn.runs.source_sizes import source_sizes
from multiattn.runs.start import (
    RunRequest,
    open_run_folder,
    record_run,
    record_versions,
    trained_with,
)
from multiattn.runs.system import System, make_generator
from multiattn.runs.validation import Validation
from multiattn.scoring.evaluator import Evaluator, metric_units
from multiattn.training.checkpoint import Progress
from multiattn.training.log import Log, LogValues, NoLog
from multiattn.training.loss import Losses
from multiattn.training.objectives import SkippingObjective, WeightedObjective
from multiattn.training.trainer import Trainer, TrainingJob

# A system, one example's inputs and a device -> images (height, width, 3) by name, for the log.
Drawer = Callable[[System, Mapping[str, Any], torch.device], Mapping[str, NDArray[np.uint8]]]


def draw_nothing(
    system: System, inputs: Mapping[str, Any], device: torch.device
) -> Mapping[str, NDArray[np.uint8]]:
    """A ``Drawer`` for callers that want no images in the log."""
    return {}


def train(
    request: RunRequest,
    host: Host,
    splits: Splits,
    accelerator: Accelerator,
    console: Console,
    *,
    look_ahead: Callable[[TrainingSetup], Iterable[str]] = lambda setup: (),
    draw: Drawer = draw_nothing,
) -> Progress:
    """Train, continue, or find that nothing is left to do. Raises UserError.

    look_ahead: checks what comes after training; its warnings are printed before the first step.
    draw: images that are logged after each validation.
    """
    main = accelerator.is_main_process
    request = replace(request, settings=with_unicode_of(request.settings, request.run))
    with request.run.locked() if main else nullcontext(), full_disk_as_user_error(request.run):
        with accelerator.main_process_first():
            if main:
                open_run_folder(request, host)
            setup = build_training(request, host, splits, request.run, console)
            if main:
                _record(request, host, setup)
                for warning in chain(_data_warnings(setup, splits), look_ahead(setup)):
                    _warn(console, warning)
        job = training_job(request, host, setup, accelerator, draw)
        units = metric_units(request.settings.evaluation, host)

        def display(done: int) -> Display:
            steps = request.settings.training.steps
            return OnFieldScale(display_for(console, steps, done, job.select), units)

        trainer = Trainer(
            job,
            accelerator,
            lambda progress: _open_log(request, setup, progress, accelerator, display),
        )
        if main and trainer.finished:
            with_what = trained_with(request.run, host)
            _say(console, f"trained already with {with_what}; use another --out to train anew")
        elif main:
            record_versions(request.run, host)
        host.run_started(request.run.path)
        try:
            trainer.run()
            for weighted in setup.objectives:
                _report_skipped(weighted, trainer, console)
        finally:
            trainer.log.close()
        host.run_finished(request.run.path, trainer.figures)
    return trainer.progress


def _record(request: RunRequest, host: Host, setup: TrainingSetup) -> None:
    rows = {"train": setup.train.rows, "validation": setup.loss_data.rows}
    record_run(request, host, rows, source_sizes(setup.train.costs, setup.model))


def _data_warnings(setup: TrainingSetup, splits: Splits) -> Iterable[str]:
    tokenizers = setup.processors.tokenizers(splits.fields)
    return [*setup.outlier_warnings(splits.names), *form_warnings(splits, tokenizers)]


def _report_skipped(weighted: WeightedObjective, trainer: Trainer, console: Console) -> None:
    """Print and log the examples that this process left out of an objective."""
    objective = weighted.objective
    skipped = objective.bad_rows.sentences if isinstance(objective, SkippingObjective) else []
    if skipped:
        values: LogValues = {
            "objective": weighted.name,
            "examples": len(skipped),
            "first": skipped[0],
        }
        trainer.log.write("skipped", trainer.progress.step, values)
        _warn(
            console,
            f"{len(skipped)} examples were left out of {weighted.name}; the first: {skipped[0]}",
        )


def _warn(console: Console, warning: str) -> None:
    _say(console, f"warning: {warning}")


def _say(console: Console, line: str) -> None:
    console.print(printable(line), markup=False, emoji=False, soft_wrap=True)


def training_job(
    request: RunRequest, host: Host, setup: TrainingSetup, accelerator: Accelerator, draw: Drawer
) -> TrainingJob:
    """What a trainer needs to know of a run. Raises UserError for an impossible search."""
    settings = request.settings
    evaluator = Evaluator(settings.evaluation, host)
    generator = None
    if settings.sources:
        generator = make_generator(
            setup.model, setup.processors, settings.search, settings.seed, host
        )
    select = settings.evaluation.select
    if select is None:
        metrics = settings.evaluation.metrics if settings.sources else ()
        select = metrics[0].name.rpartition("/")[2] if metrics else "perplexity"
    return TrainingJob(
        run=request.run,
        settings=settings,
        model=setup.model,
        objectives=setup.objectives,
        data=setup.train,
        validate=Validation(
            Losses(setup.model, setup.objectives),
            setup.loss_data,
            setup.decode_data,
            generator,
            evaluator,
            accelerator,
            settings.search.batch_size,
        ),
        select=select,
        higher_is_better=evaluator.higher_is_better(select),
        images=partial(_images, request, host, setup, accelerator, draw),
        epoch_finished=lambda epoch, figures: host.epoch_finished(request.run.path, epoch, figures),
    )


def _images(
    request: RunRequest, host: Host, setup: TrainingSetup, accelerator: Accelerator, draw: Drawer
) -> Mapping[str, NDArray[np.uint8]]:
    """Images of the first validation example; none for a language model."""
    settings = request.settings
    if not settings.sources:
        return {}
    system = System(request.run, settings, host, setup.processors, setup.model, setup.objectives)
    return draw(system, setup.decode_data.rows[0].sources, accelerator.device)


def _open_log(
    request: RunRequest,
    setup: TrainingSetup,
    progress: Progress,
    accelerator: Accelerator,
    display: Callable[[int], Display],
) -> Log:
    """The log as it was at the last checkpoint; TensorBoard drops what came after that."""
    if not accelerator.is_main_process:
        return NoLog()
    purge = {"tensorboard": {"purge_step": progress.step + 1}}
    accelerator.init_trackers("tensorboard", init_kwargs=purge)
    tracker = accelerator.get_tracker("tensorboard")
    log = RunLog(request.run, progress.log_bytes, tracker, display(progress.step))
    if progress.step == 0:
        device, processes = accelerator.device.type, accelerator.num_processes
        log.write("start", 0, {"device": device, "processes": processes})
        for split, data in (("train", setup.train), ("validation", setup.loss_data)):
            log.write("data", 0, {"split": split, "found": "; ".join(data.report.lines())})
        if setup.initial_weights:
            log.write("init", 0, {"taken": setup.initial_weights})
    return log
