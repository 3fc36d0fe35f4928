"""What a split shares with what was learned from, so that its scores say too much.

An example is shared if all its sources and targets are; a photograph or a recording if its file is.
A sentence that comes twice with different translations is no fault.
"""

from __future__ import annotations

import filecmp
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from multiattn.data.corpus import Example, open_corpus
from multiattn.data.rows import BadRows
from multiattn.errors import UserError
from multiattn.recipe.loading import load_recipe
from multiattn.recipe.settings import RecipeSettings
from multiattn.registry import records
from multiattn.registry.host import Host
from multiattn.run_folder import RunFolder


def doubts_of(
    settings: RecipeSettings, host: Host, corpus: Any, splits: Sequence[str], origin: str | None
) -> Iterator[str]:
    """What the scores of these splits say too much about, in sentences.

    origin: the folder of the run whose weights this one begins with.
    """
    for split in splits:
        yield from shared_with_training(settings, host, corpus, split)
    yield from shared_with_ancestors(origin, settings, host, corpus, splits)


def shared_with_training(
    settings: RecipeSettings, host: Host, corpus: Any, split: str
) -> Iterator[str]:
    """A sentence per kind of thing that ``split`` shares with the training split."""
    skip = BadRows(settings.training.bad_rows).handler
    train = corpus.examples(settings.splits.train, skip)
    scored = corpus.examples(split, skip)
    whole = (settings.target.field, *(source.field for source in settings.sources.values()))
    questions = {"examples": whole}
    for name, source in settings.sources.items():
        record = host.find("reader", source.reader.name).record
        if isinstance(record, records.Reader) and record.produces != "text":
            questions[f"files of the source {name!r}"] = (source.field,)
    for what, fields in questions.items():
        known = {_values(example, fields) for example in train}
        asked = [_values(example, fields) for example in scored]
        count = sum(values in known for values in asked if any(values))
        if count:
            yield f"{count} of {len(asked)} {what} of {split} are in {settings.splits.train} too"


def shared_with_ancestors(
    origin: str | None, settings: RecipeSettings, host: Host, corpus: Any, splits: Iterable[str]
) -> Iterator[str]:
    """A sentence per run that gave a run its first weights, and split of which it knew files.

    origin: the folder of the run whose weights it begins with; settings, corpus: its own.
    Files are those of any field that the corpus's record does not call text, asked for by the
    recipe or not. They are the same if name and content are, wherever they lie. A run, or the
    corpus it learned from, that is no longer there is passed over with a sentence.
    """
    if origin is None:
        return
    skip = BadRows(settings.training.bad_rows).handler
    scored = {
        split: _files(settings, host, corpus.examples(split, skip))
        for split in dict.fromkeys(splits)
    }
    for path in _ancestors(origin):
        try:
            known = _learned_from(RunFolder(path), host)
        except UserError as error:
            yield f"what the weights from {path} learned from cannot be looked at: {error}"
            continue
        for split, files in scored.items():
            count = sum(_holds(known, file) for file in files)
            if count:
                yield (
                    f"{count} of {len(files)} files of {split} were learned from in {path}, whose "
                    "weights this run began with"
                )


def _ancestors(folder: str | None) -> Iterator[Path]:
    """The run of that folder, the one that it was started from, and so on."""
    seen: set[Path] = set()
    while folder is not None and (path := Path(folder).resolve()) not in seen:
        seen.add(path)
        yield path
        run = RunFolder(path)
        folder = run.started().get("init") if run.start.exists() else None


def _learned_from(run: RunFolder, host: Host) -> dict[str, list[Path]]:
    """The files of a run's training split, by name."""
    settings = load_recipe(run.require().recipe, (), host)
    corpus = open_corpus(settings, host, run.started()["data"])
    known: dict[str, list[Path]] = {}
    for file in _files(settings, host, corpus.examples(settings.splits.train, [].append)):
        known.setdefault(file.name, []).append(file)
    return known


def _files(settings: RecipeSettings, host: Host, examples: Sequence[Example]) -> list[Path]:
    """Every file that the examples name."""
    record = host.find("corpus", settings.corpus.name).record
    assert isinstance(record, records.Corpus)  # noqa: S101
    fields = [name for name, kind in record.fields.items() if kind != "text"]
    values = [example.fields.get(name) for example in examples for name in fields]
    return [Path(value) for value in values if isinstance(value, str)]


def _holds(known: dict[str, list[Path]], file: Path) -> bool:
    """Whether the file is among the known ones, there or as a copy."""
    return any(
        other == file
        or (other.is_file() and file.is_file() and filecmp.cmp(other, file, shallow=False))
        for other in known.get(file.name, ())
    )


def _values(example: Example, fields: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(example.fields[field] for field in fields)
