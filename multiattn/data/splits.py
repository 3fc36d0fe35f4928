"""The splits of a corpus: each is read once, however many parts of a run ask for it.

A split that the corpus lacks can be cut off the training split: ``splits: {validation: 5%}``. The
groups of its examples are ordered by a hash of their names; the test split is taken from the
beginning of that order, the validation split from its end, and the rest is trained on. So a cut is
the same on every machine, in any order of the rows, and whatever the other cut is.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from multiattn.data.corpus import BadRowError, Corpus, Example, GroupedCorpus, StoredMedia
from multiattn.data.rows import (
    BadRowPolicy,
    BadRows,
    Fields,
    Row,
    evaluation_rows,
    no_examples,
    training_rows,
)
from multiattn.errors import UserError, shown
from multiattn.recipe.settings import RecipeSettings, SplitNames

RowMaker = Callable[[Sequence[Example], str, Fields, BadRows], Sequence[Row]]
ID = "id"  # the group of an example by itself


@dataclass(frozen=True)
class Names:
    """The names under which splits are read; one that is cut off is named by its role."""

    train: str
    validation: str
    test: str

    @classmethod
    def of(cls, settings: SplitNames) -> Names:
        """The names in a recipe."""
        cut = settings.sizes

        def name(role: Literal["validation", "test"]) -> str:
            return role if role in cut else str(getattr(settings, role))

        return cls(settings.train, name("validation"), name("test"))


@dataclass(frozen=True)
class SplitContent:
    """What reading a split gave: its examples, and a sentence per row that was skipped."""

    examples: tuple[Example, ...]
    skipped: tuple[str, ...]


class Splits:
    """A corpus as one recipe sees it.

    bad_rows: what to do at a row that cannot be used; the recipe's ``training.bad_rows`` if None.
    """

    def __init__(
        self,
        corpus: Corpus,
        settings: RecipeSettings,
        bad_rows: BadRowPolicy | None = None,
    ) -> None:
        self.corpus = corpus
        self.names = Names.of(settings.splits)
        self._sizes = settings.splits.sizes
        self._group = settings.splits.group
        self.fields = Fields(
            {name: source.field for name, source in settings.sources.items()},
            settings.target.field,
        )
        self.policy = bad_rows or settings.training.bad_rows
        self._content: dict[str, SplitContent] = {}
        self._whole: dict[str, SplitContent] = {}  # before a cut

    @property
    def read(self) -> tuple[str, ...]:
        """The splits that have been read so far."""
        return tuple(self._content)

    def examples(self, split: str) -> tuple[Example, ...]:
        """The examples of a split. Raises UserError for a bad row unless these are skipped."""
        return self._read(split).examples

    def values(self, split: str, field: str) -> Iterator[Any]:
        """Every text, path or stored content of a field; examples that lack it are left out."""
        for example in self.examples(split):
            value = example.fields.get(field)
            if value is not None:
                yield from value if isinstance(value, tuple) else (value,)

    def training_rows(self, split: str) -> tuple[Sequence[Row], BadRows]:
        """A row per target text, and what was skipped. Raises UserError, also if none is left."""
        return self._rows(split, training_rows)

    def evaluation_rows(self, split: str) -> tuple[Sequence[Row], BadRows]:
        """A row per example with all its references, and what was skipped. Raises UserError."""
        return self._rows(split, evaluation_rows)

    def _rows(self, split: str, make: RowMaker) -> tuple[Sequence[Row], BadRows]:
        content = self._read(split)
        bad_rows = BadRows(self.policy, [*content.skipped])
        rows = make(content.examples, split, self.fields, bad_rows)
        if not rows:
            raise no_examples(split, bad_rows)
        return rows, bad_rows

    def require(self, split: str) -> None:
        """Raise UserError unless the corpus has the split.

        A corpus may know splits that it does not list, such as two joined by ``+``.
        """
        listed = self.corpus.splits()
        if split in (*listed, *self._sizes):
            return
        try:
            self._read_whole(split)
        except BadRowError:
            raise
        except UserError as error:
            if not listed:
                raise
            reason = str(error).partition("; ")[0]
            why = "" if shown(split) in reason else f" ({reason})"  # no reason but the name
            raise UserError(
                f"expected a split of the corpus ({', '.join(listed)}), got {shown(split)}{why}; "
                "choose one of these in the recipe or with --split, or cut one off the training "
                "split, such as --set splits.validation=5%"
            ) from error

    def notes(self, split: str) -> dict[str, Mapping[str, object]]:
        """By example id: its fields and meta values, which results can be grouped by."""
        return {example.id: {**example.fields, **example.meta} for example in self.examples(split)}

    def cut_sizes(self) -> str:
        """What a cut makes of the training split, in a sentence; empty if nothing is cut."""
        if not self._sizes:
            return ""
        sizes = {name: len(self.examples(name)) for name in (self.names.train, *self._sizes)}
        listed = ", ".join(f"{count} {name}" for name, count in sizes.items())
        by = self._group_name(self._read_whole(self.names.train).examples)
        return f"{self.names.train} is cut by {by}: {listed}"

    def _read(self, split: str) -> SplitContent:
        if split not in self._content:
            if split in self._sizes or (self._sizes and split == self.names.train):
                self._content.update(self._cut())
            else:
                self._content[split] = self._read_whole(split)
        return self._content[split]

    def _read_whole(self, split: str) -> SplitContent:
        if split not in self._whole:
            bad_rows = BadRows(self.policy)
            examples = tuple(self.corpus.examples(split, bad_rows.handler))
            self._whole[split] = SplitContent(examples, tuple(bad_rows.sentences))
        return self._whole[split]

    def _cut(self) -> dict[str, SplitContent]:
        """The training split and those cut off it. Raises UserError if it has too few groups."""
        train = self.names.train
        self.require(train)
        whole = self._read_whole(train)
        group_of = self._group_by_example(whole.examples)
        taken = cut_groups(group_of, self._sizes)
        if len(set(taken.values())) < len(self._sizes) or len(taken) == len({*group_of}):
            sizes = " and ".join(f"{size} for {role}" for role, size in self._sizes.items())
            by = self._group_name(whole.examples)
            raise UserError(
                f"expected enough examples in {train!r} to cut {sizes} off and leave some to train "
                f"on, got {len(group_of)} with {len({*group_of})} values of {by}; cut off less, or "
                "by another splits.group (id: example by example)"
            )
        parts: dict[str, list[Example]] = {train: [], **{role: [] for role in self._sizes}}
        for example, group in zip(whole.examples, group_of, strict=True):
            parts[taken.get(group, train)].append(example)
        return {
            name: SplitContent(tuple(part), whole.skipped if name == train else ())
            for name, part in parts.items()
        }

    def _group_name(self, examples: Sequence[Example]) -> str:
        """The field or note that a cut goes by. Raises UserError for an unknown one in a recipe."""
        default = self.corpus.group if isinstance(self.corpus, GroupedCorpus) else ID
        name = self._group or default
        if name == ID or any(_note(example, name) for example in examples):
            return name
        if self._group is None:
            return ID
        known = sorted({each for example in examples for each in (*example.fields, *example.meta)})
        raise UserError(
            "expected splits.group to be id, or a field or note that examples of the corpus have, "
            f"got {name!r}; choose from {', '.join(known)}"
        )

    def _group_by_example(self, examples: Sequence[Example]) -> list[str]:
        """The group of each example: its id if it belongs to no other."""
        name = self._group_name(examples)
        notes = (_note(example, name) for example in examples)
        return [
            _portable(note) if note else example.id
            for note, example in zip(notes, examples, strict=True)
        ]


def _note(example: Example, name: str) -> Any:
    return None if name == ID else example.meta.get(name) or example.fields.get(name)


def cut_groups(group_of: Iterable[str], sizes: Mapping[str, str | int]) -> dict[str, str]:
    """Which groups to cut off: the role of each group that is taken.

    group_of: the group of every example. sizes: what each role gets, as in a recipe. A role gets at
    least one group, and more until it is as close to its size as whole groups allow.
    """
    members = Counter(group_of)
    order = sorted(members, key=lambda group: hashlib.sha256(_bytes(group)).digest())
    taken: dict[str, str] = {}
    for role, size in sizes.items():
        wanted = size if isinstance(size, int) else members.total() * float(size.rstrip(" %")) / 100
        got = 0
        for group in order if role == "test" else reversed(order):
            closer = abs(got + members[group] - wanted) < abs(got - wanted)
            if group in taken or (got and not closer):
                break
            taken[group] = role
            got += members[group]
    return taken


def _portable(value: str | tuple[str, ...] | StoredMedia) -> str:
    """A value without the folders of this machine; the digest of stored content."""
    if isinstance(value, StoredMedia):
        return value.digest.hex()
    texts = (value,) if isinstance(value, str) else value
    names = (PurePath(text).name if PurePath(text).is_absolute() else text for text in texts)
    return "\n".join(names)


def _bytes(group: str) -> bytes:
    return group.encode("utf-8", "backslashreplace")
