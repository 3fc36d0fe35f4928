"""Everything that training needs, built from a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich.console import Console

from multiattn.data.corpus import open_corpus
from multiattn.data.dataset import Dataset
from multiattn.data.features.cache import Cache, fill_caches, open_caches
from multiattn.data.rows import BadRows, scored_rows
from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.model import Model
from multiattn.recipe.settings import RecipeSettings
from multiattn.registry.host import Host
from multiattn.run_folder import RunFolder
from multiattn.runs import processors
from multiattn.runs.processors import Sides
from multiattn.runs.start import Start
from multiattn.runs.system import build_model, check_row, open_system
from multiattn.runs.transfer import take_weights
from multiattn.training import checkpoint
from multiattn.training.objectives import Surroundings, WeightedObjective
from multiattn.training.trainer import seed_generators


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


def build(start: Start, host: Host, run: RunFolder | None, console: Console | None = None) -> Built:
    """Read the splits, learn or load both sides, build the model with the recipe's seed.

    What frozen parts give is computed and kept where a recipe wants it, if a console is there to
    say so; else inputs are read as they are.
    """
    settings = start.settings
    corpus = open_corpus(settings, host, start.data_root)
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
        taken.append(take_weights(model, sides, open_system(start.init, host)))
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
