"""Build a run's tokenizer and readers: fit them once, then load them from the run folder.

A tokenizer or reader that the run folder already holds is loaded, never fitted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiattn.data.collation import (
    FittedReader,
    JointReader,
    ObjectReader,
    PretrainedReader,
    TokenizingReader,
)
from multiattn.data.corpus import StoredMedia
from multiattn.data.rows import Fields
from multiattn.data.splits import Splits
from multiattn.data.tokenizer import Tokenizer
from multiattn.errors import UserError, shown
from multiattn.files import atomic_replace, damage_as_user_error
from multiattn.recipe.settings import RecipeSettings, SourceSettings, TargetSettings
from multiattn.registry.host import Host
from multiattn.run_folder import RunFolder

TARGET = ""  # not a valid source name


@dataclass(frozen=True)
class Processors:
    """The target's tokenizer, which makes ids of texts, and a reader per source, for tensors."""

    tokenizer: Tokenizer
    readers: Mapping[str, Any]

    @property
    def specs(self) -> dict[str, Any]:
        """What each source's encoder must know about its input."""
        return {name: reader.spec for name, reader in self.readers.items()}

    def tokenizer_of(self, side: str) -> Tokenizer | None:
        """The tokenizer of a source or TARGET; None if the reader has, or exposes, none."""
        reader = self.readers.get(side)
        if side == TARGET or _is_joint(reader):
            return self.tokenizer
        return reader.tokenizer if isinstance(reader, TokenizingReader) else None

    def tokenizers(self, fields: Fields) -> dict[str, Tokenizer]:
        """The tokenizer of each text field of the corpus."""
        found = {field: self.tokenizer_of(name) for name, field in fields.sources.items()}
        found[fields.target] = self.tokenizer
        return {field: each for field, each in found.items() if each is not None}


def with_unicode_of(settings: RecipeSettings, run: RunFolder) -> RecipeSettings:
    """The settings with the Unicode form of the target's tokenizer, if there already is one.

    That is the run's or the one it reuses. A form that the recipe states stays.
    """
    target = settings.target
    if not run.tokenizer.exists() and target.tokenizer_of is not None:
        run = RunFolder(Path(target.tokenizer_of)).require()
    if "unicode" in target.tokenizer.model_fields_set or not run.tokenizer.exists():
        return settings
    form = {"unicode": Tokenizer.load(run.tokenizer).settings.unicode}
    tokenizer = target.tokenizer.model_copy(update=form)
    target = target.model_copy(update={"tokenizer": tokenizer})
    return settings.model_copy(update={"target": target})


def fit_processors(
    sources: Mapping[str, SourceSettings],
    target: TargetSettings,
    host: Host,
    splits: Splits,
    run: RunFolder | None,
    data_root: Path = Path(),
) -> Processors:
    """Tokenizer and readers, loaded from the run folder, or fitted and written there.

    Without a run they are fitted but not written (``--dry-run``). data_root: where pretrained
    readers look for their model.
    """
    readers = _build_readers(sources, host)
    _check_values(readers, splits)
    if run is not None:
        run.check_fitted()
    tokenizer = _tokenizer(target, readers, splits, run)
    for name, reader in readers.items():
        if isinstance(reader, PretrainedReader):
            reader.start_from(data_root)
        if isinstance(reader, FittedReader):
            folder = None if run is None else run.source(name)
            _fit_reader(
                reader,
                splits.values(splits.names.train, splits.fields.sources[name]),
                tokenizer,
                folder,
            )
    return Processors(tokenizer, readers)


def load_processors(
    sources: Mapping[str, SourceSettings], host: Host, run: RunFolder
) -> Processors:
    """Load them from the run; no corpus is needed. Raises UserError if a part is missing."""
    run.check_fitted()
    tokenizer = Tokenizer.load(run.tokenizer)
    readers = _build_readers(sources, host)
    for name, reader in readers.items():
        if isinstance(reader, FittedReader):
            _load_reader(reader, run.source(name), tokenizer)
    return Processors(tokenizer, readers)


def _build_readers(sources: Mapping[str, SourceSettings], host: Host) -> dict[str, Any]:
    return {name: host.build("reader", source.reader) for name, source in sources.items()}


def _check_values(readers: Mapping[str, Any], splits: Splits) -> None:
    """Raise UserError if stored media are the target, or go to a reader that does not take them."""
    takes = {
        f"source {shown(name)}": (splits.fields.sources[name], _accepts_stored_media(reader))
        for name, reader in readers.items()
    }
    takes["target"] = (splits.fields.target, False)
    for what, (field, accepts) in takes.items():
        first = next(splits.values(splits.names.train, field), None)
        if isinstance(first, StoredMedia) and not accepts:
            raise UserError(
                f"expected texts for the {what}, got images or recordings in the field "
                f"{shown(field)} of the corpus; correct `field` or the reader in the recipe"
            )


def _accepts_stored_media(reader: Any) -> bool:
    return isinstance(reader, ObjectReader) and StoredMedia in reader.accepts


def _tokenizer(
    target: TargetSettings,
    readers: Mapping[str, Any],
    splits: Splits,
    run: RunFolder | None,
) -> Tokenizer:
    if run is not None and run.tokenizer.exists():
        return Tokenizer.load(run.tokenizer)
    if target.tokenizer_of is not None:
        tokenizer = _tokenizer_of(target, target.tokenizer_of)
    else:
        fields = [target.field]
        fields += [splits.fields.sources[name] for name in readers if _is_joint(readers[name])]
        train = splits.names.train
        texts = (text for field in fields for text in splits.values(train, field))
        tokenizer = Tokenizer.train(texts, target.tokenizer)
    if run is None:
        return tokenizer
    tokenizer.save(run.tokenizer)
    return Tokenizer.load(run.tokenizer)  # as every resumed run loads it


def _tokenizer_of(target: TargetSettings, run: str) -> Tokenizer:
    """Another run's tokenizer, unchanged, so that the two runs can form an ensemble."""
    tokenizer = Tokenizer.load(RunFolder(Path(run)).require().tokenizer)
    if tokenizer.settings != target.tokenizer:
        said = ", ".join(f"{key}: {value}" for key, value in tokenizer.settings)
        raise UserError(
            f"expected target.tokenizer to have the settings of the tokenizer of {run}, got "
            f"others; write {{{said}}} there, or use --tokenizer {run}"
        )
    return tokenizer


def _is_joint(reader: Any) -> bool:
    return isinstance(reader, JointReader) and reader.joint


def _fit_reader(
    reader: Any, values: Iterator[str], tokenizer: Tokenizer, folder: Path | None
) -> None:
    if folder is None or not folder.exists():
        reader.fit(values, tokenizer)
    if folder is None:
        return
    if not folder.exists():
        with atomic_replace(folder) as beside:
            beside.mkdir()
            reader.save(beside)
    _load_reader(reader, folder, tokenizer)  # as every resumed run loads it


def _load_reader(reader: Any, folder: Path, tokenizer: Tokenizer) -> None:
    with damage_as_user_error(folder, "what a reader learned in training"):
        reader.load(folder, tokenizer)
