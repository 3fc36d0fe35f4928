"""The training loop: plan -> batches -> loss -> gradient -> step, with validations in between.

Accelerate handles device, precision and distribution; the batches come from our own plan and never
go through ``prepare``.

All randomness of a step (dropout, sampling) comes from generators seeded with (seed, step,
process). A resumed run therefore repeats the original bit for bit, and random numbers drawn in a
validation do not affect training.

Letters: K objectives.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from multiattn import stop_signals
from multiattn.data.batch_plan import Plan, Step
from multiattn.data.dataset import Dataset
from multiattn.engine.batch import Batch, out_of_memory_as_user_error, target_tokens
from multiattn.engine.decoder import ScheduledSampling
from multiattn.engine.model import Model
from multiattn.errors import UserError
from multiattn.recipe.settings import RecipeSettings
from multiattn.run_folder import RunFolder
from multiattn.stop_signals import Stopped
from multiattn.training import checkpoint
from multiattn.training.accelerator import seed_generators
from multiattn.training.checkpoint import Progress
from multiattn.training.gpu_use import measure_gpu_use
from multiattn.training.log import Log
from multiattn.training.loss import Losses, Window
from multiattn.training.objectives import WeightedObjective
from multiattn.training.optimizer import (
    build_optimizer,
    learning_rate_factor,
    learning_rates,
    sampling_rate,
    set_learning_rate,
)
from multiattn.training.stop_agreement import StopAgreement

GPU_MEASURED_AT = 200  # steps
OUT_OF_MEMORY_REMEDY = (
    "lower training.batch_tokens, or raise training.accumulate to cut steps into more parts"
)


@dataclass(frozen=True)
class TrainingJob:
    """Everything that training needs.

    validate: returns metrics of the current weights by name; ``select`` ranks checkpoints.
    images: called after each validation; images by name, such as attention maps, each
        (height, width, 3).
    epoch_finished: called with the number of an epoch and the latest figures.
    """

    run: RunFolder
    settings: RecipeSettings
    model: Model
    objectives: Sequence[WeightedObjective]
    data: Dataset
    validate: Callable[[], Mapping[str, float]]
    select: str
    higher_is_better: bool
    images: Callable[[], Mapping[str, NDArray[np.uint8]]]
    epoch_finished: Callable[[int, Mapping[str, float]], None]


class Trainer:
    """Trains a model, from the newest checkpoint of the run folder, if any, to the end."""

    def __init__(
        self, job: TrainingJob, accelerator: Accelerator, open_log: Callable[[Progress], Log]
    ) -> None:
        self.job = job
        self.settings = job.settings.training
        self.accelerator = accelerator
        adam = build_optimizer(job.model, self.settings)
        restored = checkpoint.load(job.run, job.model)
        self.losses: Any
        self.losses, self.adam = accelerator.prepare(Losses(job.model, job.objectives), adam)
        self.parameters = list(self.losses.parameters())
        weights = [part.weight for part in job.objectives]
        self.weights = torch.tensor(weights, device=accelerator.device)  # (K,)
        self.window = Window([part.name for part in job.objectives], self.weights)
        self.progress = Progress()
        if restored is not None:
            self.progress, rest = restored
            self._restore(rest)
            if accelerator.is_main_process:
                checkpoint.discard_unfinished(job.run, self.progress)
        self.logged_seconds = self.progress.seconds
        self.figures: Mapping[str, float] = {}
        self.log = open_log(self.progress)

    @property
    def finished(self) -> bool:
        """Whether the number of steps or the patience is used up."""
        patience = self.settings.patience
        patient = patience is None or self.progress.waited < patience
        return self.progress.step >= self.settings.steps or not patient

    def run(self) -> None:
        """Train to the end, or until a signal asks to stop, and save a checkpoint.

        Raises UserError when memory runs out or the loss is not finite, Stopped after a signal.
        """
        with stop_signals.deferred():
            if not self.progress.reported:
                self._report()
            if not self.finished:
                self._train_to_the_end()

    def _train_to_the_end(self) -> None:
        self.job.model.train()  # for encoders that keep frozen parts in evaluation mode
        stop = StopAgreement(self.accelerator)
        clock = time.perf_counter()
        for step, batches in self._batches():
            self._take(self.progress.step + 1, batches)
            elapsed = time.perf_counter() - clock
            self.progress = replace(
                self.progress,
                step=self.progress.step + 1,
                position=step.after,
                seconds=self.progress.seconds + elapsed,
            )
            if self._due(self.settings.log_every):
                self._log_window(step.position.epoch)
            self._report(stop.signal())
            if self.finished:
                return
            clock = time.perf_counter()

    def _batches(self) -> Iterator[tuple[Step, list[Batch | None]]]:
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        seed = self.job.settings.seed
        plan = Plan(self.job.data.costs, self.settings, seed=seed, world=world)
        steps, workers = plan.follow(self.progress.position), self.settings.workers
        return self.job.data.batches(steps, rank=rank, workers=workers)

    def _take(self, number: int, batches: Sequence[Batch | None]) -> None:
        """Take a step; say once how it uses the GPU, when most shapes of batches are captured."""
        device = self.accelerator.device
        if device.type == "cuda" and number == GPU_MEASURED_AT:
            use = measure_gpu_use(partial(self._train, number, batches), device)
            self.log.write("gpu", number, use)
        else:
            self._train(number, batches)

    def _train(self, number: int, batches: Sequence[Batch | None]) -> None:
        """One optimiser step, with the gradient of Σ_k weight_k · global sum_k / global count_k."""
        seed_generators(self.job.settings.seed, "step", number, self.accelerator.process_index)
        rate = sampling_rate(self.settings.scheduled_sampling, number)
        feeding = ScheduledSampling(rate) if rate > 0 else None
        set_learning_rate(self.adam, learning_rate_factor(self.settings, number))
        # A single part returns its counts with its loss; several parts need the total beforehand.
        counts = None if self.settings.accumulate == 1 else self._declared(batches)  # (K,)
        sums, counted = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        for batch, is_last in _shards(batches, self.accelerator.num_processes):
            alone = nullcontext() if is_last else self.accelerator.no_sync(self.losses)
            with alone, out_of_memory_as_user_error(batch, OUT_OF_MEMORY_REMEDY):
                part, part_counts, counts = self._backward(batch, feeding, counts)
            sums += part
            counted += part_counts
        norm = self.accelerator.clip_grad_norm_(
            self.parameters, self.settings.clip_norm or math.inf
        )
        self.adam.step()
        self.adam.zero_grad()
        tokens = [target_tokens(batch) for batch in batches if batch is not None]
        totals = self._total(torch.cat([sums, counted, sums.new_full((1,), sum(tokens))]))
        self.window.add(totals, norm.to(sums))
        if number == 1 and counts is not None:
            self._check_counts(counts, totals[len(sums) : -1])

    def _backward(
        self, batch: Batch | None, feeding: ScheduledSampling | None, counts: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Add the gradient of a part of a step; its sums and counts, and the step's counts (K,).

        Nothing that is returned keeps the computation graph alive: a part that is captured must not
        meet gradients of another stream.
        """
        moved = None if batch is None else batch.to(self.accelerator.device)
        sums, own_counts = self.losses(moved, feeding)  # (K,), (K,)
        counts = self._total(own_counts) if counts is None else counts
        # DDP averages gradients over processes; times their number, this is the sum.
        scale = self.weights * self.accelerator.num_processes / counts.clamp(min=1)
        self.accelerator.backward((sums * scale).sum())
        return sums.detach(), own_counts, counts

    def _declared(self, batches: Sequence[Batch | None]) -> Tensor:
        """The count that each objective will be divided by in this step (K,)."""
        losses = self.accelerator.unwrap_model(self.losses)
        declared = [losses.counts(batch) for batch in batches if batch is not None]
        own = torch.tensor(declared).reshape(-1, len(self.weights)).sum(0)
        return self._total(own.to(self.accelerator.device))

    def _total(self, own: Tensor) -> Tensor:
        """The sum over all processes."""
        total: Tensor = self.accelerator.reduce(own)
        return total

    def _check_counts(self, used: Tensor, real: Tensor) -> None:
        for part, one, other in zip(self.job.objectives, used.tolist(), real.tolist(), strict=True):
            if one != other:
                raise UserError(
                    "expected an objective that knows its count in advance, as training.accumulate "
                    f"requires, got {part.name!r}, which declared {one:g} and counted {other:g}; "
                    "set training.accumulate=1"
                )

    def _report(self, signal: int = 0) -> None:
        """Do what is due after a step: validate, save a checkpoint, report an epoch.

        After a signal, or if one stops the validation, that is left to the run that continues.
        """
        ended = self.progress.position.step == 0  # the next step is the first of its epoch
        epoch = self.progress.position.epoch - ended
        validated = self._due(self.settings.validate_every)
        if signal:
            self._stop(signal)
        if validated:
            try:
                self._validate(epoch)
            except Stopped as stopped:
                self._stop(stopped.signal_number)
        self.progress = replace(self.progress, reported=True)
        if validated or self._due(self.settings.checkpoint_every):
            self._save()
        if ended:
            self.job.epoch_finished(epoch, self.figures)

    def _stop(self, signal: int) -> NoReturn:
        self.progress = replace(self.progress, reported=False)
        self._save()
        raise Stopped(signal, self.progress.step)

    def _due(self, every: int) -> bool:
        return self.progress.step % every == 0 or self.progress.step == self.settings.steps

    def _log_window(self, epoch: int) -> None:
        figures = self.window.figures()
        seconds = max(1e-9, self.progress.seconds - self.logged_seconds)
        self.logged_seconds = self.progress.seconds
        self.figures = {**self.figures, "loss": figures["loss"]}
        rates = learning_rates(self.adam, self.settings, self.progress.step)
        speed = round(self.window.tokens / seconds)
        timing = {"tokens_per_second": speed, "seconds": round(self.progress.seconds, 2)}
        values = {"epoch": epoch, **figures, **rates, **timing}
        self.log.write("training", self.progress.step, values)
        self.window.reset()

    def _validate(self, epoch: int) -> None:
        seed_generators(self.job.settings.seed, "validation", self.progress.step)
        self.job.model.eval()
        metrics = self.job.validate()
        if self.accelerator.is_main_process:
            for name, image in self.job.images().items():
                self.log.image(name, self.progress.step, image)
        self.job.model.train()
        best = checkpoint.rank_checkpoints(
            self.progress.best,
            self.progress.step,
            metrics[self.job.select],
            self.settings.average,
            self.job.higher_is_better,
        )
        better = not self.progress.best or best[0][1] != self.progress.best[0][1]
        waited = 0 if better else self.progress.waited + 1
        self.progress = replace(self.progress, best=best, waited=waited)
        self.figures = {**self.figures, **metrics}
        self.log.write("validation", self.progress.step, {"epoch": epoch, **metrics})

    def _save(self) -> None:
        self.window.figures()  # raises if training has diverged, so that such weights are not saved
        scaler = self.accelerator.scaler
        rest = {
            "optimizer": self.adam.state_dict(),
            "scaler": {} if scaler is None else scaler.state_dict(),
            "window": self.window.total,
        }
        self.progress = replace(self.progress, log_bytes=self.log.flush())
        if self.accelerator.is_main_process:
            checkpoint.save(self.job.run, self.progress, self.job.model, rest)
        self.accelerator.wait_for_everyone()

    def _restore(self, rest: Mapping[str, Any]) -> None:
        self.adam.load_state_dict(rest["optimizer"])
        if self.accelerator.scaler is not None and rest["scaler"]:
            self.accelerator.scaler.load_state_dict(rest["scaler"])
        self.window.total = rest["window"].to(self.accelerator.device)


def _shards(batches: Sequence[Batch | None], processes: int) -> Iterator[tuple[Batch | None, bool]]:
    """The batches of a step and whether each is the last, after which gradients are exchanged.

    With several processes, one without any example yields None once, to take part in the exchange.
    """
    real: list[Batch | None] = [batch for batch in batches if batch is not None]
    if not real and processes > 1:
        real = [None]
    for number, batch in enumerate(real, start=1):
        yield batch, number == len(real)
