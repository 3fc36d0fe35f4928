"""A run without its steps: settings, sizes, the plan, one batch forward and back, peak memory.

Nothing is written.
"""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

import torch
from torch import nn

from multiattn.data.batch_plan import Plan, Step
from multiattn.data.corpus import open_corpus
from multiattn.data.dataset import Dataset
from multiattn.data.features.cache import values_of
from multiattn.engine.batch import memory_errors
from multiattn.recipe.loading import dump_recipe
from multiattn.registry.host import Host
from multiattn.runs.build import build
from multiattn.runs.evaluate import check_inputs, check_splits
from multiattn.runs.start import Start
from multiattn.runs.train import draw_nothing, job_of
from multiattn.training.loss import Losses
from multiattn.training.optimizer import build_optimizer
from multiattn.training.trainer import REMEDY, start_accelerator


def dry_run(start: Start, host: Host, scored: Iterable[str]) -> Iterator[str]:
    """Lines that say what a run would do, whose splits ``scored`` are evaluated at its end.

    Raises UserError for whatever would stop it.
    """
    scored, corpus = tuple(scored), open_corpus(start.settings, host, start.data_root)
    check_splits(start.settings, corpus, scored)
    accelerator = start_accelerator(start.settings, start.run)
    built = build(start, host, None)
    job_of(start, host, built, accelerator, draw_nothing)
    build_optimizer(built.model, start.settings.training)
    for split in scored:
        check_inputs(start.settings, corpus, split, built.sides.readers)
    yield dump_recipe(start.settings)
    yield from (f"{line} in {start.settings.splits.train}" for line in built.train.report.lines())
    yield from parameter_lines(built.model)
    if built.taken:
        yield f"begins with {built.taken}"
    for name, cache in built.caches.items():
        yield cache.describe(values_of(name, (built.train, built.taught, built.asked)))
    plan = Plan(built.train.costs, start.settings.training, seed=start.settings.seed)
    steps = plan.steps(0)
    yield plan_line(built.train, steps)
    largest = max(steps, key=lambda step: padded_tokens(built.train, step))
    ((_, batches),) = built.train.batches([largest])
    losses = accelerator.prepare(Losses(built.model, built.objectives))
    for batch in batches:
        if batch is not None:
            with memory_errors(batch, REMEDY):
                losses(batch.to(accelerator.device))[0].sum().backward()
            yield f"forward and back, the largest step: {batch.describe()}"
    yield f"peak memory: {peak_bytes(accelerator.device) / 2**20:.0f} MiB on {accelerator.device}"


def parameter_lines(model: nn.Module) -> Iterator[str]:
    """Parameters per part of the model, two names deep; shared ones count once."""
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        counts[".".join(name.split(".")[:2])] += parameter.numel()
    yield f"parameters: {sum(counts.values()):,}"
    yield from (f"  {part}: {count:,}" for part, count in counts.items())


def plan_line(data: Dataset, steps: list[Step]) -> str:
    """Optimiser steps of an epoch, and how much of the padded target is padding."""
    padded = sum(padded_tokens(data, step) for step in steps)
    real = int(data.costs.target.sum())
    return (
        f"plan: {len(steps)} steps per epoch, {real:,} target tokens, "
        f"{1 - real / padded:.1%} of the padded targets is padding"
    )


def padded_tokens(data: Dataset, step: Step) -> int:
    """Target tokens of a step, padded shard by shard."""
    lengths = data.costs.target
    return sum(len(shard) * int(lengths[list(shard)].max()) for shard in step.shards if shard)


def peak_bytes(device: torch.device) -> int:
    """The most memory this process has held: of the device, else of the machine."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
