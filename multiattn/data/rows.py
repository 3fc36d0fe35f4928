"""A corpus's examples as a recipe uses them: one raw value per source, and target texts.

Opens no files and imports no torch: training a tokenizer and checking splits for overlap need rows
only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

from multiattn.data.corpus import Example
from multiattn.errors import UserError, shown

Made = TypeVar("Made")
BadRowPolicy = Literal["stop", "skip"]


@dataclass(frozen=True)
class Fields:
    """The corpus fields that a recipe uses: one per source, by source name, and the target's."""

    sources: Mapping[str, str]
    target: str


@dataclass(frozen=True)
class Row:
    """A raw value per source (None: absent) and target texts.

    A value is a text or a path, or, from Python, any other object that its reader accepts.
    A training row has one target text; an evaluation row has every reference.
    """

    id: str
    sources: Mapping[str, Any]
    targets: tuple[str, ...] = ()
    location: str = ""  # file and line in the corpus, if known
    references: tuple[str, ...] = ()  # all targets of the example, if the row has only one of them

    @property
    def description(self) -> str:
        """The row's id and location, for messages."""
        return f"example {shown(self.id)}" + (f" ({self.location})" if self.location else "")


@dataclass
class BadRows:
    """The policy for unusable rows: stop at the first, or skip each and record why."""

    policy: BadRowPolicy
    sentences: list[str] = field(default_factory=list)
    _examples: set[str] = field(default_factory=set)

    @property
    def handler(self) -> Callable[[str], None] | None:
        """The ``on_bad_row`` argument of ``Corpus.examples``."""
        return self.sentences.append if self.policy == "skip" else None

    def attempt(self, make: Callable[[], Made]) -> Made | None:
        """Return what ``make`` returns, or None for a UserError that the policy skips."""
        try:
            return make()
        except UserError as error:
            self.refuse(str(error))
            return None

    def refuse(self, sentence: str, example: str | None = None) -> None:
        """Raise a UserError, or record the skipped row (once per ``example``, if given)."""
        if self.policy == "stop":
            raise UserError(sentence)
        if example is None or example not in self._examples:
            self.sentences.append(sentence)
        if example is not None:
            self._examples.add(example)


@dataclass(frozen=True)
class SplitReport:
    """What happened to a split's examples, for the log.

    skipped: a sentence per bad row. too_long: number of rows left out, per source or target;
    longest: the longest of them, in words.
    lossy: descriptions of rows whose target is not restored by encoding and decoding.
    """

    rows: int
    skipped: tuple[str, ...] = ()
    too_long: Mapping[str, int] = field(default_factory=dict)
    longest: Mapping[str, str] = field(default_factory=dict)
    lossy: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report as text, one line per fact."""
        lines = [f"{self.rows} rows"]
        if self.skipped:
            lines.append(f"{len(self.skipped)} bad rows skipped; the first: {self.skipped[0]}")
        lines += [
            f"{count} rows left out: {side} too long; the longest, {self.longest[side]}"
            for side, count in self.too_long.items()
        ]
        if self.lossy:
            lines.append(
                f"{len(self.lossy)} targets are changed by encoding and decoding; the first: "
                f"{self.lossy[0]}"
            )
        return lines


def no_examples(split: str, bad_rows: BadRows) -> UserError:
    """The error for a split without a usable example, with the reason if all were skipped."""
    skipped = bad_rows.sentences
    got = f"bad rows alone ({skipped[0]})" if skipped else "none"
    return UserError(
        f"expected examples in the split {shown(split)}, got {got}; correct the corpus, or name "
        "another split in the recipe"
    )


def training_rows(
    examples: Sequence[Example], split: str, fields: Fields, bad_rows: BadRows
) -> list[Row]:
    """One row per target text: ``id``, or ``id#0``, ``id#1``, … where the field has several.

    Raises UserError at an example without a target, or with two values for a source.
    """

    def rows_of(example: Example) -> list[Row]:
        value, sources = _field(example, fields.target, split), _sources(example, fields, split)
        if not value:
            raise UserError(
                f"expected a target in the field {fields.target!r} of example "
                f"{shown(example.id)}, got none; add one, or set training.bad_rows=skip"
            )
        location = _location(example)
        if isinstance(value, str):
            return [Row(example.id, sources, (value,), location)]
        return [
            Row(f"{example.id}#{n}", sources, (text,), location, value)
            for n, text in enumerate(value)
        ]

    return _rows(examples, split, bad_rows, rows_of)


def evaluation_rows(
    examples: Sequence[Example], split: str, fields: Fields, bad_rows: BadRows
) -> list[Row]:
    """One row per example with every reference.

    None of the examples has one if the references are unpublished. Raises UserError at an example
    with two values for a source, and at one without a reference where others have some.
    """

    def rows_of(example: Example) -> list[Row]:
        value = _field(example, fields.target, split) or ()
        references = (value,) if isinstance(value, str) else value
        sources = _sources(example, fields, split)
        return [Row(example.id, sources, references, _location(example))]

    rows = _rows(examples, split, bad_rows, rows_of)
    scored = [row for row in rows if row.targets]
    if not scored:
        return rows
    for row in rows:
        if not row.targets:
            bad_rows.refuse(
                f"expected references for all examples of {shown(split)} or for none, got none in "
                f"the field {fields.target!r} of {row.description}; add one, or set "
                "training.bad_rows=skip"
            )
    return scored


def _rows(
    examples: Sequence[Example],
    split: str,
    bad_rows: BadRows,
    rows_of: Callable[[Example], list[Row]],
) -> list[Row]:
    rows: dict[str, Row] = {}
    for example in examples:
        for row in bad_rows.attempt(partial(rows_of, example)) or ():
            if row.id in rows:
                first = rows[row.id].location
                seen = f"first seen in {first}" if first else "seen before"
                bad_rows.refuse(
                    f"expected a different id for every example of {shown(split)}, got "
                    f"{row.description} again, {seen}; change the corpus, or set "
                    "training.bad_rows=skip"
                )
            else:
                rows[row.id] = row
    return list(rows.values())


def _sources(example: Example, fields: Fields, split: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field_name in fields.sources.items():
        value = _field(example, field_name, split)
        if isinstance(value, tuple):
            raise UserError(
                f"expected one value for source {name!r} in the field {field_name!r} of example "
                f"{shown(example.id)}, got {len(value)}; only a target may have several"
            )
        if not isinstance(value, Hashable):
            raise UserError(
                f"expected a text, a path or StoredMedia in the field {field_name!r} of example "
                f"{shown(example.id)}, got {type(value).__name__}, which has no hash; let the "
                "corpus give StoredMedia(name, load), whose load returns it"
            )
        values[name] = value
    return values


def _location(example: Example) -> str:
    file, line = example.meta.get("file"), example.meta.get("line")
    return ", ".join(part for part in (file, line and f"line {line}") if part)


def _field(example: Example, name: str, split: str) -> Any:
    if name not in example.fields:
        raise UserError(
            f"expected a field {shown(name)} in the split {shown(split)} of the corpus, got "
            f"{', '.join(example.fields)}; change `field` in the recipe, or add to the corpus what "
            "this split lacks"
        )
    return example.fields[name]
