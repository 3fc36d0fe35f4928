"""Conformance checks of corpora: what is listed, read twice, and declared by the record.

A corpus is tested on the tiny one that its ``example_folder`` writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import SkipTest

from multiattn.data.corpus import Corpus, Example, ExampleCorpus, GroupedCorpus
from multiattn.errors import UserError
from multiattn.registry.host import Component, Host
from multiattn.testing.fixtures import build, expect

BY_ID = "id"  # the group of a corpus whose every example is one of its own
NO_VALUES = (Path, int, float)  # neither texts nor media


@dataclass(frozen=True)
class CorpusExample:
    """A tiny corpus. splits: the examples of each split, read once."""

    corpus: Corpus
    splits: Mapping[str, Sequence[Example]]


@contextmanager
def example_corpus(host: Host, row: Component) -> Iterator[CorpusExample]:
    """Write a tiny corpus and open it. Raises SkipTest for one that cannot be written."""
    target = host.target("corpus", row.full_name)
    if not isinstance(target, ExampleCorpus):
        raise SkipTest(
            "no example is known; give the corpus a static method `example_folder(folder)`, see "
            "multiattn.protocols.ExampleCorpus"
        )
    with TemporaryDirectory(prefix="multiattn-check-") as name:
        folder = Path(name) / "corpus"
        folder.mkdir()
        settings = target.example_folder(folder) or {}
        corpus = build(host, "corpus", row.full_name, folder, **settings)
        names = corpus.splits()
        expect(
            not isinstance(names, str) and bool(names) and all(isinstance(n, str) for n in names),
            f"expected the names of the splits of the example, got {names!r}",
        )
        yield CorpusExample(corpus, {name: _read(corpus, name) for name in names})


def _read(corpus: Corpus, split: str) -> list[Example]:
    examples = list(corpus.examples(split))
    expect(bool(examples), f"expected examples in the split {split!r}, got none")
    for example in examples:
        expect(isinstance(example, Example), f"expected multiattn.Example, got {example!r}")
    return examples


def ids_differ(host: Host, row: Component) -> None:
    """Every example of a split has an id of its own, a text."""
    with example_corpus(host, row) as example:
        for split, examples in example.splits.items():
            counts = Counter(each.id for each in examples)
            twice = [name for name, count in counts.items() if count > 1]
            expect(
                not twice, f"expected a different id for every example of {split!r}, got {twice}"
            )
            wrong = [name for name in counts if not (isinstance(name, str) and name.strip())]
            expect(not wrong, f"expected a text as the id of every example, got {wrong}")


def fields_are_those_of_the_record(host: Host, row: Component) -> None:
    """Each example has every field that the record declares, None where it lacks it, and no more.

    A record without fields leaves them to the recipe.
    """
    declared = _declared(row)
    with example_corpus(host, row) as example:
        for split, examples in example.splits.items():
            for each in examples:
                expect(
                    not declared or set(each.fields) == set(declared),
                    f"expected the fields {sorted(declared)} that the record declares, got "
                    f"{sorted(each.fields)} in example {each.id!r} of {split!r}; change the "
                    "record's `fields`, or the examples",
                )


def values_are_of_the_declared_kind(host: Host, row: Component) -> None:
    """Texts are texts, and other values are paths of files that exist, or decoded media."""
    declared = _declared(row)
    with example_corpus(host, row) as example:
        for each in (each for examples in example.splits.values() for each in examples):
            for field, value in each.fields.items():
                values = value if isinstance(value, tuple) else (value,)
                wrong = [one for one in values if one is not None and not _is(one, declared, field)]
                wanted = _wanted(declared.get(field))
                expect(
                    not wrong,
                    f"expected {wanted} in the field {field!r} of example {each.id!r}, got "
                    f"{wrong[:1]!r}",
                )


def _declared(row: Component) -> Mapping[str, str]:
    declared: Mapping[str, str] = getattr(row.record, "fields", {})
    return declared


def _wanted(kind: str | None) -> str:
    if kind is None:
        return "a text, a path as a text, or decoded media"
    return "a text" if kind == "text" else f"the path of a file ({kind})"


def _is(value: Any, declared: Mapping[str, str], field: str) -> bool:
    kind = declared.get(field)
    if kind is None:
        return not isinstance(value, NO_VALUES)
    if kind == "text":
        return isinstance(value, str) and not _is_file(value)
    if isinstance(value, str):
        return _is_file(value)
    return not isinstance(value, NO_VALUES)


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_absolute() and Path(value).is_file()
    except (OSError, ValueError):  # too long for a path, or with a null
        return False


def a_split_can_be_read_again(host: Host, row: Component) -> None:
    """A sequence, the same at every read, whatever was read in between."""
    with example_corpus(host, row) as example:
        for split, first in example.splits.items():
            examples = example.corpus.examples(split)
            expect(
                isinstance(examples, Sequence),
                f"expected the examples of {split!r} as a sequence, such as a list, got "
                f"{type(examples).__name__}",
            )
            again = list(examples)
            expect(
                _same(again, first),
                f"expected the same examples of {split!r} at every read, got {len(again)} after "
                f"{len(first)}, or others; keep nothing of a reading on self",
            )


def _same(one: Sequence[Example], other: Sequence[Example]) -> bool:
    """The same ids and texts, in the same order; decoded media are not compared."""

    def plain(example: Example) -> tuple[str, dict[str, Any]]:
        values = example.fields.items()
        return example.id, {key: value for key, value in values if isinstance(value, str | tuple)}

    return list(map(plain, one)) == list(map(plain, other))


def an_unknown_split_raises_a_user_error(host: Host, row: Component) -> None:
    """``run`` then says which splits there are."""
    with example_corpus(host, row) as example:
        try:
            list(example.corpus.examples("no-such-split"))
        except UserError:
            return
        except Exception as error:
            raise AssertionError(
                "expected multiattn.UserError for a split that does not exist, got "
                f"{type(error).__name__}: {error}"
            ) from error
        raise AssertionError("expected multiattn.UserError for a split that does not exist")


def groups_are_a_field_or_a_note(host: Host, row: Component) -> None:
    """``group``, if there is one, names a field or a note of the examples."""
    with example_corpus(host, row) as example:
        if not isinstance(example.corpus, GroupedCorpus):
            return
        group = example.corpus.group
        known = {BY_ID} | {
            name
            for examples in example.splits.values()
            for each in examples
            for name in (*each.fields, *each.meta)
        }
        expect(group in known, f"expected group to be one of {sorted(known)}, got {group!r}")


CHECKS = (
    ids_differ,
    fields_are_those_of_the_record,
    values_are_of_the_declared_kind,
    a_split_can_be_read_again,
    an_unknown_split_raises_a_user_error,
    groups_are_a_field_or_a_note,
)
