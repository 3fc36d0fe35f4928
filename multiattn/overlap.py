"""What a split shares with the training split, which its scores should not be trusted to measure.

An example is shared if all its sources and targets are; a photograph or a recording if its file is.
A sentence that comes twice with different translations is no fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from multiattn import records
from multiattn.plugins import Host
from multiattn.records import Example
from multiattn.rows import BadRows
from multiattn.settings import RecipeSettings


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
        count = sum(_values(example, fields) in known for example in scored)
        if count:
            yield f"{count} of {len(scored)} {what} of {split} are in {settings.splits.train} too"


def _values(example: Example, fields: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(example.fields[field] for field in fields)
