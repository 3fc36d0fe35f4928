"""Everything that training needs, built from a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rich.console import Console

from multiattn.data.dataset import Dataset
from multiattn.data.features.cache import FeatureCache, fill_caches, open_caches
from multiattn.data.splits import Names, Splits
from multiattn.data.step_costs import outlier_warnings
from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.model import Model, PretrainedEncoder
from multiattn.recipe.by_layout import aligner_of, renderer_of
from multiattn.recipe.settings import RecipeSettings, SourceSettings
from multiattn.registry.host import Host
from multiattn.run_folder import RunFolder
from multiattn.runs.processors import Processors, fit_processors
from multiattn.runs.start import RunRequest
from multiattn.runs.system import build_model, check_row, open_system
from multiattn.runs.transfer import transfer_weights
from multiattn.training import checkpoint
from multiattn.training.accelerator import seed_generators
from multiattn.training.objectives import (
    ObjectiveContext,
    PreparedObjective,
    WeightedObjective,
)


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that a recipe names, ready to train.

    loss_data: the validation split with targets, for loss and perplexity.
    decode_data: the same split to be decoded and scored.
    initial_weights: where the first weights came from, in words; empty if drawn at random.
    caches: feature caches of frozen encoders, by source.
    """

    processors: Processors
    model: Model
    objectives: tuple[WeightedObjective, ...]
    train: Dataset
    loss_data: Dataset
    decode_data: Dataset
    initial_weights: str
    caches: Mapping[str, FeatureCache]

    def outlier_warnings(self, names: Names) -> Iterator[str]:
        """Sentences about examples so long that they may take most of the memory or the time."""
        yield from outlier_warnings(self.train.costs, names.train, bounded=True)
        yield from outlier_warnings(self.loss_data.costs, names.validation, bounded=False)


def build_training(
    request: RunRequest,
    host: Host,
    splits: Splits,
    run: RunFolder | None,
    console: Console | None = None,
) -> TrainingSetup:
    """Fit or load tokenizer and readers, read the data, build the model with the recipe's seed.

    run: where what is learned is kept; None to forget it. Without a console (a dry run) no feature
    cache is filled or used. Raises UserError.
    """
    settings = request.settings
    processors = fit_processors(
        settings.sources, settings.target, host, splits, run, request.data_root
    )
    readers, tokenizer = processors.readers, processors.tokenizer
    seed_generators(settings.seed, "weights")
    model, objectives = build_model(settings, host, processors.specs, tokenizer.size)
    initial_weights = _load_initial_weights(request, host, run, model, processors)
    caches = open_caches(settings.sources, host, dict(model.encoders.items()), readers)
    if console is not None:
        readers = {**readers, **{name: cache.feature_reader() for name, cache in caches.items()}}
    check, limit = partial(check_row, model, objectives), settings.training.validation_limit
    train = Dataset.training(splits, readers, tokenizer, settings.training, settings.seed)
    loss_data = Dataset.validation(splits, splits.names.validation, readers, tokenizer)
    _prepare_objectives(objectives, settings, host, splits, tokenizer)
    data = (
        train.drop_refused(check, splits.policy),
        loss_data.drop_refused(check, splits.policy).first(limit),
        Dataset.evaluation(splits, splits.names.validation, readers).first(limit),
    )
    if console is not None:
        data = fill_caches(caches, data, settings.search.batch_size, splits.policy, console)
    _check_layouts(model, settings.sources, data[-1], host)
    return TrainingSetup(processors, model, objectives, *data, initial_weights, caches)


def _check_layouts(
    model: Model, sources: Mapping[str, SourceSettings], data: Dataset, host: Host
) -> None:
    """Raise UserError for a renderer or an aligner of a layout other than its source's.

    One input of a source tells its layout; only sources for which the recipe chooses are encoded.
    """
    was_training = model.training
    for name, source in sources.items():
        row = next((row for row in data.rows if row.sources[name] is not None), None)
        if row is None or not (source.renderer or source.aligner):
            continue
        batch = data.collate([row])
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            layout = model.eval().encode(batch.sources, batch.size)[name].layout.kind
        if source.renderer is not None:
            renderer_of(name, source, layout, host)
        if source.aligner is not None:
            aligner_of(name, source, layout, host)
    model.train(was_training)


def _load_initial_weights(
    request: RunRequest, host: Host, run: RunFolder | None, model: Model, processors: Processors
) -> str:
    """Load pretrained weights and those of ``--init``; say from where. Raises UserError.

    A run that continues has all weights in its checkpoint.
    """
    if run is not None and run.has_checkpoint:
        if any(source.cache for source in request.settings.sources.values()):
            checkpoint.load(run, model)  # the key of a feature cache depends on the weights
        return ""
    encoders: dict[str, Any] = dict(model.encoders.items())
    origins = [
        encoder.start_from(request.data_root)
        for encoder in encoders.values()
        if isinstance(encoder, PretrainedEncoder)
    ]
    if request.init is not None:
        origins.append(transfer_weights(model, processors, open_system(request.init, host)))
    return "; ".join(filter(None, origins))


def _prepare_objectives(
    objectives: Sequence[WeightedObjective],
    settings: RecipeSettings,
    host: Host,
    splits: Splits,
    tokenizer: Tokenizer,
) -> None:
    """Give objectives that need it the training references and the recipe's search."""
    pairs = zip(settings.objectives, objectives, strict=True)
    prepared = [
        (named, weighted.objective)
        for named, weighted in pairs
        if isinstance(weighted.objective, PreparedObjective)
    ]
    if not prepared:
        return
    rows, _ = splits.evaluation_rows(splits.names.train)
    references = tuple(row.targets for row in rows if row.targets)
    for named, objective in prepared:
        objective.prepare(ObjectiveContext(named, settings.search, host, tokenizer, references))
