"""The splits of a corpus: each is read once, however many parts of a run ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from multiattn.data.corpus import BadRowError, Corpus, Example
from multiattn.data.rows import BadRowPolicy, BadRows, Fields, Row, evaluation_rows, training_rows
from multiattn.errors import UserError
from multiattn.recipe.settings import RecipeSettings


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
        self.names = settings.splits
        self.fields = Fields(
            {name: source.field for name, source in settings.sources.items()},
            settings.target.field,
        )
        self.policy = bad_rows or settings.training.bad_rows
        self._content: dict[str, SplitContent] = {}

    @property
    def read(self) -> tuple[str, ...]:
        """The splits that have been read so far."""
        return tuple(self._content)

    def examples(self, split: str) -> tuple[Example, ...]:
        """The examples of a split. Raises UserError for a bad row unless these are skipped."""
        return self._read(split).examples

    def values(self, split: str, field: str) -> Iterator[str]:
        """Every text or path of a field; examples that lack it are left out."""
        for example in self.examples(split):
            value = example.fields.get(field)
            if value is not None:
                yield from (value,) if isinstance(value, str) else value

    def training_rows(self, split: str) -> tuple[Sequence[Row], BadRows]:
        """A row per target text, and what was skipped. Raises UserError."""
        content = self._read(split)
        bad_rows = BadRows(self.policy, [*content.skipped])
        return training_rows(content.examples, split, self.fields, bad_rows), bad_rows

    def evaluation_rows(self, split: str) -> tuple[Sequence[Row], BadRows]:
        """A row per example with all its references, and what was skipped. Raises UserError."""
        content = self._read(split)
        bad_rows = BadRows(self.policy, [*content.skipped])
        return evaluation_rows(content.examples, split, self.fields, bad_rows), bad_rows

    def require(self, split: str) -> None:
        """Raise UserError unless the corpus has the split.

        A corpus may know splits that it does not list, such as two joined by ``+``.
        """
        listed = self.corpus.splits()
        if split in listed:
            return
        try:
            self.examples(split)
        except BadRowError:
            raise
        except UserError as error:
            raise UserError(
                f"expected a split of the corpus ({', '.join(listed)}), got {split!r}; "
                "choose one of these in the recipe or with --split"
            ) from error

    def notes(self, split: str) -> dict[str, Mapping[str, object]]:
        """By example id: its fields and meta values, which results can be grouped by."""
        return {example.id: {**example.fields, **example.meta} for example in self.examples(split)}

    def _read(self, split: str) -> SplitContent:
        if split not in self._content:
            bad_rows = BadRows(self.policy)
            examples = tuple(self.corpus.examples(split, bad_rows.handler))
            self._content[split] = SplitContent(examples, tuple(bad_rows.sentences))
        return self._content[split]
