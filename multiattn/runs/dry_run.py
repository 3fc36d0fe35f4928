"""Dry run: settings, sizes, plan, one forward and backward pass, peak memory. Writes nothing."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import nn

from multiattn.data.batch_plan import Costs, Plan, Step
from multiattn.data.corpus import open_corpus
from multiattn.data.dataset import Dataset
from multiattn.data.features.cache import source_values
from multiattn.data.splits import Splits
from multiattn.data.step_costs import batch_shapes, costliest_steps, padded_size
from multiattn.data.text_forms import form_warnings
from multiattn.engine.batch import out_of_memory_as_user_error
from multiattn.recipe.loading import dump_recipe
from multiattn.registry.host import Host
from multiattn.runs.build import build_training
from multiattn.runs.evaluate import check_inputs, check_splits
from multiattn.runs.processors import with_unicode_of
from multiattn.runs.start import RunRequest
from multiattn.runs.train import draw_nothing, training_job
from multiattn.training.accelerator import start_accelerator
from multiattn.training.loss import Losses
from multiattn.training.optimizer import build_optimizer
from multiattn.training.trainer import OUT_OF_MEMORY_REMEDY


def dry_run(request: RunRequest, host: Host, evaluated: Iterable[str]) -> Iterator[str]:
    """Lines that describe what a run would do. evaluated: the splits that it scores at its end.

    Raises UserError for any mistake that would stop the run.
    """
    request = replace(request, settings=with_unicode_of(request.settings, request.run))
    settings, evaluated = request.settings, tuple(evaluated)
    splits = Splits(open_corpus(settings.corpus, host, request.data_root), settings)
    check_splits(splits, evaluated, settings.evaluation.group)
    accelerator = start_accelerator(settings, request.run)
    setup = build_training(request, host, splits, None)
    training_job(request, host, setup, accelerator, draw_nothing)
    build_optimizer(setup.model, settings.training)
    for split in evaluated if settings.sources else ():
        check_inputs(splits, split, setup.processors.readers)
    yield dump_recipe(settings)
    yield from filter(None, [splits.cut_sizes()])
    yield from (f"{splits.names.train}: {line}" for line in setup.train.report.lines())
    tokenizers = setup.processors.tokenizers(splits.fields)
    yield from (f"warning: {each}" for each in form_warnings(splits, tokenizers))
    yield from parameter_lines(setup.model)
    if setup.initial_weights:
        yield f"starts with {setup.initial_weights}"
    for name, cache in setup.caches.items():
        data = (setup.train, setup.loss_data, setup.decode_data)
        yield cache.describe(source_values(name, data))
    yield from (f"warning: {warning}" for warning in setup.outlier_warnings(splits.names))
    steps = Plan(setup.train.costs, settings.training, seed=settings.seed).steps(0)
    yield plan_line(setup.train, steps)
    yield from device_lines(accelerator.device, setup.train.costs, steps)
    costliest = costliest_steps(setup.train.costs, steps)
    losses = accelerator.prepare(Losses(setup.model, setup.objectives))
    passes = 3 if accelerator.device.type == "cuda" else 1  # as it is, captured, replayed
    for step, batches in setup.train.batches(costliest):
        for batch in batches:
            if batch is not None:
                with out_of_memory_as_user_error(batch, OUT_OF_MEMORY_REMEDY):
                    for _ in range(passes):
                        losses(batch.to(accelerator.device))[0].sum().backward()
                size = f"largest step by {costliest[step]}"
                yield f"forward and backward pass, {size}: {batch.describe()}"
        losses.zero_grad()
    yield f"peak memory: {peak_bytes(accelerator.device) / 2**20:.0f} MiB on {accelerator.device}"


def parameter_lines(model: nn.Module) -> Iterator[str]:
    """Parameter counts per part of the model, two levels deep; shared ones count once."""
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        counts[".".join(name.split(".")[:2])] += parameter.numel()
    yield f"parameters: {sum(counts.values()):,}"
    yield from (f"  {part}: {count:,}" for part, count in counts.items())


def plan_line(data: Dataset, steps: list[Step]) -> str:
    """The optimiser steps of an epoch, and the share of padding in the padded targets."""
    padded = sum(padded_size(data.costs, step, "target") for step in steps)
    real = int(data.costs.target.sum())
    return (
        f"plan: {len(steps)} steps per epoch, {real:,} target tokens, "
        f"{1 - real / padded:.1%} of the padded target tokens are padding"
    )


def device_lines(device: torch.device, costs: Costs, steps: list[Step]) -> Iterator[str]:
    """A GPU and its memory, and the shapes of an epoch's batches, each of which becomes a graph.

    About as many: an encoder may round other lengths up than the reader measures.
    """
    if device.type != "cuda":
        return
    properties = torch.cuda.get_device_properties(device)
    yield f"device: {properties.name} with {properties.total_memory / 2**30:.0f} GiB"
    shapes = batch_shapes(costs, steps)
    common = ", ".join(
        f"{' × '.join(map(str, shape))} ({count})" for shape, count in shapes.most_common(3)
    )
    sides = " × ".join(["examples", "target", *costs.sources])
    yield f"CUDA graphs: about {len(shapes)} shapes of batches in an epoch ({sides}, rounded up)"
    yield f"  the most common: {common}"


def peak_bytes(device: torch.device) -> int:
    """The peak memory of this process in bytes: on a CUDA device, otherwise in main memory."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))  # the memory of graphs included
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
