"""Leakage: examples or files of an evaluated split that training has seen.

An example is shared if all its sources and targets are; a photograph or a recording if its file is,
or if its content is where a dataset stores it.
A sentence that occurs twice with different translations is no leak.
"""

from __future__ import annotations

import filecmp
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from multiattn.data.corpus import Example, StoredMedia, media_fields, media_sources, open_corpus
from multiattn.data.splits import Splits
from multiattn.errors import UserError
from multiattn.recipe.loading import load_recipe
from multiattn.recipe.settings import RecipeSettings
from multiattn.registry.host import Host
from multiattn.run_folder import RunFolder


def leakage_warnings(
    splits: Splits,
    evaluated: Iterable[str],
    settings: RecipeSettings,
    host: Host,
    initial_run: str | None,
) -> Iterator[str]:
    """What of the evaluated splits was seen in training, in sentences.

    initial_run: the folder of the run whose weights this one began with.
    """
    evaluated = tuple(dict.fromkeys(evaluated))
    media = media_sources(settings.sources, host)
    for split in evaluated:
        yield from shared_with_training(splits, split, media)
    fields = media_fields(settings.corpus.name, host)
    yield from shared_with_ancestors(splits, evaluated, fields, host, initial_run)


def shared_with_training(splits: Splits, split: str, media: Iterable[str]) -> Iterator[str]:
    """A sentence for the examples, and for the files of each media source, that are shared."""
    train, fields = splits.names.train, splits.fields
    compared = {"examples": (fields.target, *fields.sources.values())}
    for source in media:
        compared[f"files of the source {source!r}"] = (fields.sources[source],)
    for what, names in compared.items():
        seen = {_values(example, names) for example in splits.examples(train)}
        values = [_values(example, names) for example in splits.examples(split)]
        count = sum(each in seen for each in values if any(each))
        if count:
            yield f"{count} of {len(values)} {what} of {split} are also in {train}"


def shared_with_ancestors(
    splits: Splits,
    evaluated: Iterable[str],
    fields: Collection[str],
    host: Host,
    initial_run: str | None,
) -> Iterator[str]:
    """A sentence per split and run that gave weights to this one and was trained on its files.

    fields: those that hold files. Files are the same if name and content are, wherever they lie,
    and stored media if their content is. A run, or a corpus, that is no longer there is reported
    and passed over.
    """
    if initial_run is None:
        return
    files_of = {split: _files(splits.examples(split), fields) for split in evaluated}
    for path in _ancestors(initial_run):
        try:
            training_files = _training_files(RunFolder(path), host)
        except UserError as error:
            yield f"cannot check what the weights from {path} were trained on: {error}"
            continue
        for split, files in files_of.items():
            count = sum(_contains(training_files, file) for file in files)
            if count:
                yield (
                    f"{count} of {len(files)} files of {split} were in the training data of "
                    f"{path}, whose weights this run started from"
                )


def _ancestors(folder: str) -> Iterator[Path]:
    """The run of that folder, the one that it was started from, and so on."""
    seen: set[Path] = set()
    parent: str | None = folder
    while parent is not None and (path := Path(parent).resolve()) not in seen:
        seen.add(path)
        yield path
        run = RunFolder(path)
        parent = run.read_start().get("init") if run.start.exists() else None


def _training_files(run: RunFolder, host: Host) -> dict[str | StoredMedia, list[Path]]:
    """The files of a run's training split by name; stored media as keys without any."""
    settings = load_recipe(run.require().recipe, (), host)
    corpus = open_corpus(settings.corpus, host, run.read_start()["data"])
    splits = Splits(corpus, settings, bad_rows="skip")
    examples = splits.examples(splits.names.train)
    files: dict[str | StoredMedia, list[Path]] = {}
    for file in _files(examples, media_fields(settings.corpus.name, host)):
        if isinstance(file, StoredMedia):
            files[file] = []
        else:
            files.setdefault(file.name, []).append(file)
    return files


def _files(examples: Iterable[Example], fields: Collection[str]) -> list[Path | StoredMedia]:
    """Every file that the examples name in these fields, and their stored media."""
    values = (item for example in examples for item in example.fields.items())
    return [
        value if isinstance(value, StoredMedia) else Path(value)
        for name, value in values
        if isinstance(value, StoredMedia) or (name in fields and isinstance(value, str))
    ]


def _contains(files: Mapping[str | StoredMedia, list[Path]], file: Path | StoredMedia) -> bool:
    """Whether the file is among them, itself or as a copy."""
    if isinstance(file, StoredMedia):
        return file in files
    return any(
        other == file
        or (other.is_file() and file.is_file() and filecmp.cmp(other, file, shallow=False))
        for other in files.get(file.name, ())
    )


def _values(example: Example, fields: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(example.fields[field] for field in fields)
