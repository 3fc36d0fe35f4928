"""What a recipe names, built: corpus, tokenizer, readers, model; what is learned once is kept.

A tokenizer or a reader that a run folder already holds is loaded, never trained again. It refuses
to know what they learn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiattn.data.corpus import Example
from multiattn.data.rows import BadRows
from multiattn.data.tokenizer import Tokenizer
from multiattn.errors import UserError
from multiattn.files import replacing
from multiattn.recipe.settings import RecipeSettings, Target
from multiattn.registry.host import Host
from multiattn.run_folder import RunFolder

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
