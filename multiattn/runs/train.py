"""A run from its recipe to its end: make or continue the folder, build everything, train, evaluate.

It refuses to know how a step is made (``training.py``) and how a command is spelled (``cli/``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from rich.console import Console

from multiattn.data.rows import BadRows
from multiattn.registry.host import Host
from multiattn.runs.build import Built, build
from multiattn.runs.log import RunLog, display_for
from multiattn.runs.start import Start, describe, enter
from multiattn.runs.system import System, make_writer
from multiattn.runs.validation import Validation
from multiattn.scoring.evaluator import Judge
from multiattn.training.checkpoint import Progress
from multiattn.training.loss import Losses
from multiattn.training.objectives import WeightedObjective
from multiattn.training.trainer import Job, Log, NoLog, Trainer

# A system and one example's inputs -> images (height, width, 3) by name, for the log.
Drawer = Callable[[System, Mapping[str, Any], torch.device], Mapping[str, NDArray[np.uint8]]]


def draw_nothing(
    system: System, inputs: Mapping[str, Any], device: torch.device
) -> Mapping[str, NDArray[np.uint8]]:
    """A ``Drawer`` for callers that want no images in the log."""
    return {}


def train(
    start: Start,
    host: Host,
    accelerator: Accelerator,
    console: Console,
    *,
    look_ahead: Callable[[Built], Iterable[str]] = lambda built: (),
    draw: Drawer = draw_nothing,
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
            job_of(start, host, built, accelerator, draw),
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


def job_of(start: Start, host: Host, built: Built, accelerator: Accelerator, draw: Drawer) -> Job:
    """What a trainer needs to know of a run. Raises UserError where the search cannot be."""
    settings = start.settings
    judge = Judge(settings.evaluation, host)
    writer = None
    if settings.sources:
        writer = make_writer(built.model, built.sides, settings, host)
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
        images=partial(_images, start, host, built, accelerator, draw),
        epoch_finished=lambda epoch, figures: host.epoch_finished(start.run.path, epoch, figures),
    )


def _images(
    start: Start, host: Host, built: Built, accelerator: Accelerator, draw: Drawer
) -> Mapping[str, NDArray[np.uint8]]:
    if not start.settings.sources:
        return {}
    system = System(start.run, start.settings, host, built.sides, built.model, built.objectives)
    return draw(system, built.asked.rows[0].sources, accelerator.device)


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
