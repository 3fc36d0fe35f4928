"""What a recipe names, built: corpus, tokenizer, readers, model; what is learned once is kept.

A tokenizer or a reader that a run folder already holds is loaded, never trained again. It refuses
to know what they learn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from multiattn.errors import UserError
from multiattn.engine.model import (Model, WeightedObjective, absent_memory, build_model, load_weights)
from multiattn.registry.host import Host
from multiattn.recipe.loading import (differences, load_recipe)
from multiattn.registry.records import Example
from multiattn.data.rows import BadRows
from multiattn.run_folder import (RunFolder, replacing)
from multiattn.search.scorers import (LanguageModel, Scorer)
from multiattn.search.beam import proposer
from multiattn.recipe.settings import (FusedLanguageModel, RecipeSettings, Target)
from multiattn.data.tokenizer import Tokenizer
from multiattn.search.writer import Writer

TARGET = ""  # no source is called so


@dataclass(frozen=True)
class Sides:
    """How texts become ids and sources tensors: the target's tokenizer, a reader per source."""

    tokenizer: Tokenizer
    readers: Mapping[str, Any]

    @property
    def specs(self) -> dict[str, Any]:
        """What each source's encoder must know."""
        return {name: reader.spec for name, reader in self.readers.items()}

    def tokenizer_of(self, side: str) -> Tokenizer | None:
        """Of a source, or TARGET; None for a reader that has none, or does not show it."""
        reader = self.readers.get(side)
        if side == TARGET or _joint(reader):
            return self.tokenizer
        found: Tokenizer | None = getattr(reader, "tokenizer", None)
        return found


@dataclass(frozen=True)
class System:
    """A trained run, opened: everything that writing needs."""

    run: RunFolder
    settings: RecipeSettings
    host: Host
    sides: Sides
    model: Model
    objectives: tuple[WeightedObjective, ...]

    def writer(self) -> Writer:
        """The model with the search of its settings, and with the runs of its ensemble.

        Raises UserError for one of these that reads or writes in another way.
        """
        others = [_member(self, RunFolder(Path(name))) for name in self.settings.search.ensemble]
        return make_writer(self.model, self.sides, self.settings, self.host, others)


def open_system(run: RunFolder, host: Host, overrides: Sequence[str] = ()) -> System:
    """Open a run with its best weights, in evaluation mode. Overrides: how to write and score.

    Raises UserError for a folder without a run, damaged files, and other overrides.
    """
    settings = load_recipe(run.require().recipe, (), host)
    if overrides:
        changed = load_recipe(run.recipe, overrides, host)
        refuse_differences(
            settings, changed, ("search", "evaluation"), f"what is evaluated of {run.path}"
        )
        settings = changed
    sides = load(settings, host, run)
    model, objectives = build_model(settings, host, sides.specs, sides.tokenizer.size)
    load_weights(model, run.weights)
    return System(run, settings, host, sides, model.eval(), objectives)


def _member(system: System, run: RunFolder) -> Model:
    """The model of another run, where it reads and writes as the system does."""
    other = open_system(run, system.host)
    differing = [
        name
        for name in sorted({*system.settings.sources, *other.settings.sources})
        if _reading(system, name) != _reading(other, name)
    ]
    if other.sides.tokenizer.vocabulary != system.sides.tokenizer.vocabulary:
        differing.append("target")
    if differing:
        raise UserError(
            f"expected runs with the sources, readers and tokens of {system.run.path} in its "
            f"ensemble, got {run.path}, where other are: {', '.join(differing)}; take runs of one "
            "recipe on one corpus, with other seeds or sizes, and as unigram tokenizers are never "
            "twice the same, give the others the target's with --tokenizer RUN"
        )
    return other.model.to(next(system.model.parameters()).device)


def _reading(system: System, name: str) -> tuple[Any, ...] | None:
    """How a source is read: settings, what its encoder is told, tokens. None without the source."""
    source, tokenizer = system.settings.sources.get(name), system.sides.tokenizer_of(name)
    if source is None:
        return None
    spec = system.sides.readers[name].spec
    return source.reader, spec, tokenizer and tokenizer.vocabulary


def make_writer(
    model: Model,
    sides: Sides,
    settings: RecipeSettings,
    host: Host,
    others: Sequence[Model] = (),
) -> Writer:
    """The model with the search, the scorers and the language model of a recipe.

    Raises UserError where one of them asks for what the model has not, before anything is encoded.
    """
    search = settings.search
    scorers = [(host.build("scorer", named), named.weight) for named in search.scorers]
    scorers += open_language_model(search.language_model, host)
    asked: list[Scorer] = [scorer for scorer, _ in scorers]
    asked += [proposer(scorers)] if search.method == "ctc" else []
    like = next(model.decoder.parameters())
    nothing = {name: absent_memory(encoder, 1, like) for name, encoder in model.encoders.items()}
    with torch.no_grad():
        for scorer in asked:
            scorer.start(nothing, dict(model.heads), 1)
    return Writer(model, sides.tokenizer, search, scorers, settings.seed, others)


def open_language_model(
    named: FusedLanguageModel | None, host: Host
) -> tuple[tuple[Scorer, float], ...]:
    """The language model that joins a search, with its weight; nothing where there is none.

    Raises UserError for a folder without a run, and for a run that has sources.
    """
    if named is None:
        return ()
    system = open_system(RunFolder(Path(named.run)), host)
    if system.settings.sources:
        raise UserError(
            f"expected a run of a recipe without sources as language model, {named.run} reads "
            f"{', '.join(system.settings.sources)}; train one with `multiattn run language-model`"
        )
    language_model = LanguageModel(system.model.decoder, system.sides.tokenizer.vocabulary)
    return ((language_model, named.weight),)


def refuse_differences(
    old: RecipeSettings, new: RecipeSettings, allowed: tuple[str, ...], what: str
) -> None:
    """Raise UserError naming every key that differs and is not ``allowed`` (or below it)."""
    keys = [
        key
        for key in differences(old, new)
        if not any(key == place or key.startswith(f"{place}.") for place in allowed)
    ]
    if keys:
        raise UserError(
            f"expected {what} to differ only in {', '.join(allowed)}, got other values of "
            f"{', '.join(keys)}; take these back, or start a new run with another --out"
        )


def open_corpus(settings: RecipeSettings, host: Host, data_root: Path) -> Any:
    """The corpus of a recipe. Raises UserError naming the folder that is missing."""
    folder = data_root / settings.corpus.folder
    if not folder.is_dir():
        raise UserError(
            f"expected the corpus in the folder {folder}, got no such folder; "
            "say with --data where corpora lie"
        )
    return host.build("corpus", settings.corpus, folder)


def learn(settings: RecipeSettings, host: Host, corpus: Any, run: RunFolder | None) -> Sides:
    """Tokenizer and readers, loaded from the run where it has them, else learned and written there.

    Without a run they are learned and forgotten (``--dry-run``).
    """
    readers = {name: host.build("reader", s.reader) for name, s in settings.sources.items()}
    values = _Values(settings, corpus)
    tokenizer = _tokenizer(settings, readers, values, run)
    for name, reader in readers.items():
        if hasattr(reader, "fit"):
            folder = None if run is None else run.source(name)
            _teach(reader, values.of(settings.sources[name].field), tokenizer, folder)
    return Sides(tokenizer, readers)


def load(settings: RecipeSettings, host: Host, run: RunFolder) -> Sides:
    """What the run learned; no corpus is needed. Raises UserError where a part is missing."""
    tokenizer = Tokenizer.load(run.tokenizer)
    readers = {name: host.build("reader", s.reader) for name, s in settings.sources.items()}
    for name, reader in readers.items():
        if hasattr(reader, "load"):
            reader.load(run.source(name), tokenizer)
    return Sides(tokenizer, readers)


class _Values:
    """The raw values of the training split, read when they are first asked for."""

    def __init__(self, settings: RecipeSettings, corpus: Any) -> None:
        self._settings = settings
        self._corpus = corpus
        self._examples: Sequence[Example] | None = None

    def of(self, field: str) -> Iterator[str]:
        """Every text or path of a field, rows without it left out."""
        if self._examples is None:
            skip = BadRows(self._settings.training.bad_rows).handler
            self._examples = self._corpus.examples(self._settings.splits.train, skip)
        for example in self._examples:
            value = example.fields.get(field)
            if value is not None:
                yield from (value,) if isinstance(value, str) else value


def _tokenizer(
    settings: RecipeSettings,
    readers: Mapping[str, Any],
    values: _Values,
    run: RunFolder | None,
) -> Tokenizer:
    if run is not None and run.tokenizer.exists():
        return Tokenizer.load(run.tokenizer)
    if settings.target.tokenizer_of is not None:
        tokenizer = _tokenizer_of(settings.target, settings.target.tokenizer_of)
    else:
        fields = [settings.target.field]
        fields += [settings.sources[name].field for name in readers if _joint(readers[name])]
        texts = (text for field in fields for text in values.of(field))
        tokenizer = Tokenizer.train(texts, settings.target.tokenizer)
    if run is None:
        return tokenizer
    tokenizer.save(run.tokenizer)
    return Tokenizer.load(run.tokenizer)  # what every later start will see


def _tokenizer_of(target: Target, run: str) -> Tokenizer:
    """Another run's tokenizer as it is, so that the two can write together."""
    tokenizer = Tokenizer.load(RunFolder(Path(run)).require().tokenizer)
    if tokenizer.settings != target.tokenizer:
        said = ", ".join(f"{key}: {value}" for key, value in tokenizer.settings)
        raise UserError(
            f"expected in target.tokenizer the settings of the tokenizer of {run}, got others; "
            f"write {{{said}}} there, or give --tokenizer {run}"
        )
    return tokenizer


def _joint(reader: Any) -> bool:
    return bool(getattr(reader, "joint", False))


def _teach(reader: Any, values: Iterator[str], tokenizer: Tokenizer, folder: Path | None) -> None:
    if folder is None or not folder.exists():
        reader.fit(values, tokenizer)
    if folder is None:
        return
    if not folder.exists():
        with replacing(folder) as beside:
            beside.mkdir()
            reader.save(beside)
    reader.load(folder, tokenizer)  # as every later start will see it
