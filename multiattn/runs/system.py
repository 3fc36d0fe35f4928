"""Build a model from a recipe, and open a trained run for decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from multiattn.data.rows import BadRows, Row
from multiattn.engine.memory import MemorySpec
from multiattn.engine.model import Model, SlotCountingEncoder, absent_memory
from multiattn.errors import UserError, shown
from multiattn.recipe.loading import load_recipe, refuse_differences
from multiattn.recipe.settings import (
    PREDICTION_KEYS,
    FusedLanguageModel,
    RecipeSettings,
    SearchSettings,
)
from multiattn.registry.host import Host
from multiattn.run_folder import RunFolder
from multiattn.runs.processors import Processors, load_processors
from multiattn.search.ctc_search import ctc_proposer
from multiattn.search.scorers import LanguageModel, PreparedScorer, Scorer
from multiattn.search.sequence_generator import SequenceGenerator
from multiattn.training.objectives import (
    SelectiveObjective,
    SkippingObjective,
    WeightedObjective,
)
from multiattn.training.weights import load_weights


def build_model(
    settings: RecipeSettings, host: Host, specs: Mapping[str, Any], vocabulary_size: int
) -> tuple[Model, tuple[WeightedObjective, ...]]:
    """The model and the objectives of a recipe.

    specs: what each source's encoder must know about its input (``reader.spec``). Raises UserError.
    """
    for name in settings.sources:
        if hasattr(nn.ModuleDict(), name):
            raise UserError(
                f"expected a source name that PyTorch does not reserve, got {shown(name)}; "
                "rename it"
            )
    encoders: dict[str, Any] = {
        name: host.build("encoder", source.encoder, specs[name])
        for name, source in settings.sources.items()
    }
    memories = {name: MemorySpec.of(encoder) for name, encoder in encoders.items()}
    decoder: Any = host.build("decoder", settings.decoder, vocabulary_size, memories)
    objectives, heads = [], {}
    for named in settings.objectives:
        objective: Any = host.build("objective", named)
        heads.update(objective.heads(vocabulary_size, memories))
        if isinstance(objective, SkippingObjective):
            objective.bad_rows = BadRows(settings.training.bad_rows)
        objectives.append(WeightedObjective(named.name, named.weight, objective))
    return Model(encoders, decoder, heads), tuple(objectives)


def check_row(
    model: Model,
    objectives: Sequence[WeightedObjective],
    row: Row,
    ids: Sequence[int],
    sizes: Mapping[str, int],
) -> None:
    """Raise UserError if an objective that checks rows before training cannot use this one.

    ids: of its target, without EOS. sizes: as the readers measured them, 0 for an absent source.
    """
    encoders: dict[str, Any] = dict(model.encoders.items())
    slots = {
        name: encoder.slots(sizes[name])
        for name, encoder in encoders.items()
        if isinstance(encoder, SlotCountingEncoder) and sizes[name]
    }
    for part in objectives:
        if isinstance(part.objective, SelectiveObjective):
            part.objective.check(row, ids, slots)


@dataclass(frozen=True)
class System:
    """An opened trained run: everything that decoding needs.

    digest: SHA-256 of the file that the weights were read from; empty while they are trained.
    """

    run: RunFolder
    settings: RecipeSettings
    host: Host
    processors: Processors
    model: Model
    objectives: tuple[WeightedObjective, ...]
    digest: str = ""

    def generator(self) -> SequenceGenerator:
        """A generator for the model, with its search settings and the models of its ensemble.

        Raises UserError for an ensemble run with other sources, readers or target tokens.
        """
        others = [
            _ensemble_member(self, RunFolder(Path(name))) for name in self.settings.search.ensemble
        ]
        search, seed = self.settings.search, self.settings.seed
        return make_generator(self.model, self.processors, search, seed, self.host, others)


def open_system(run: RunFolder, host: Host, overrides: Sequence[str] = ()) -> System:
    """Open a run with its best weights, in evaluation mode.

    overrides: of the sections ``search`` and ``evaluation``, and of a source's renderer and
    aligner. Raises UserError for a folder without a run, damaged files, and any other override.
    """
    settings = load_recipe(run.require().recipe, (), host)
    if overrides:
        changed = load_recipe(run.recipe, overrides, host)
        refuse_differences(
            settings,
            changed,
            ("search", "evaluation", *PREDICTION_KEYS),
            f"the evaluation of {run.path}",
        )
        settings = changed
    processors = load_processors(settings.sources, host, run)
    model, objectives = build_model(settings, host, processors.specs, processors.tokenizer.size)
    digest = load_weights(model, run.weights)
    return System(run, settings, host, processors, model.eval(), objectives, digest)


def _ensemble_member(system: System, run: RunFolder) -> Model:
    """The model of another run. Raises UserError unless its inputs and tokens are the system's."""
    other = open_system(run, system.host)
    differing = [
        name
        for name in sorted({*system.settings.sources, *other.settings.sources})
        if _reading_key(system, name) != _reading_key(other, name)
    ]
    if other.processors.tokenizer.vocabulary != system.processors.tokenizer.vocabulary:
        differing.append("target")
    if differing:
        raise UserError(
            f"expected runs with the sources, readers and tokens of {system.run.path} in its "
            f"ensemble, got {run.path}, which differs in {', '.join(differing)}; use runs of one "
            "recipe on one corpus with other seeds or sizes, and share a unigram tokenizer with "
            "--tokenizer RUN, because no two are trained alike"
        )
    return other.model.to(next(system.model.parameters()).device)


def _reading_key(system: System, name: str) -> tuple[Any, ...] | None:
    """How a source is read: reader settings, spec, vocabulary. None if there is no such source."""
    source, tokenizer = system.settings.sources.get(name), system.processors.tokenizer_of(name)
    if source is None:
        return None
    spec = system.processors.readers[name].spec
    return source.reader, spec, tokenizer and tokenizer.vocabulary


def make_generator(
    model: Model,
    processors: Processors,
    search: SearchSettings,
    seed: int,
    host: Host,
    others: Sequence[Model] = (),
) -> SequenceGenerator:
    """A generator for the model, with the search, scorers and language model of a recipe.

    Raises UserError, before anything is encoded, if a scorer needs something the model lacks.
    """
    scorers = [(host.build("scorer", named), named.weight) for named in search.scorers]
    for scorer, _ in scorers:
        if isinstance(scorer, PreparedScorer):
            scorer.prepare(processors.tokenizer)
    scorers += open_language_model(search.language_model, host)
    asked: list[Scorer] = [scorer for scorer, _ in scorers]
    asked += [ctc_proposer(scorers)] if search.method == "ctc" else []
    like = next(model.decoder.parameters())
    nothing = {name: absent_memory(encoder, 1, like) for name, encoder in model.encoders.items()}
    with torch.no_grad():
        for scorer in asked:
            scorer.start(nothing, dict(model.heads), 1)
    return SequenceGenerator(model, processors.tokenizer, search, scorers, seed, others)


def open_language_model(
    named: FusedLanguageModel | None, host: Host
) -> tuple[tuple[Scorer, float], ...]:
    """The language model of a search with its weight; empty if the search has none.

    Raises UserError for a folder without a run, and for a run that has sources.
    """
    if named is None:
        return ()
    system = open_system(RunFolder(Path(named.run)), host)
    if system.settings.sources:
        raise UserError(
            f"expected a run without sources as the language model, got {named.run}, which reads "
            f"{', '.join(system.settings.sources)}; train one with `multiattn run language-model`"
        )
    language_model = LanguageModel(system.model.decoder, system.processors.tokenizer.vocabulary)
    return ((language_model, named.weight),)
