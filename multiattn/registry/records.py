"""The frozen records a plugin yields, one class per kind. Strings only: nothing here imports torch.

A record holds a component's name, a one-line summary and its location
(``target="module:Attribute"``). The target is imported when a recipe builds it, never to list it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Record:
    """A component that a recipe can name.

    Positional parameters of the target are supplied by the engine, in the order that ``supplied``
    lists; its keyword-only parameters, with types and defaults, are the user's settings.
    """

    kind: ClassVar[str]
    supplied: ClassVar[tuple[str, ...]] = ()

    name: str
    target: str
    summary: str
    paper: str = ""


@dataclass(frozen=True, kw_only=True)
class Encoder(Record):
    """``nn.Module(input_spec, *, …)``: encodes a reader's output into a ``Memory``."""

    kind: ClassVar[str] = "encoder"
    supplied: ClassVar[tuple[str, ...]] = ("input_spec",)

    consumes: str


@dataclass(frozen=True, kw_only=True)
class Reader(Record):
    """Raw value (a path, a sentence) -> array.

    produces: the kind of its arrays; ``text``, or a name that ends in ``-text``, if its values are
        texts and not files. suffixes: the file suffixes it recognises.
    """

    kind: ClassVar[str] = "reader"

    produces: str
    suffixes: tuple[str, ...] = ()

    @property
    def reads_text(self) -> bool:
        """Whether its values are texts and not files."""
        return self.produces.rpartition("-")[2] == "text"


@dataclass(frozen=True, kw_only=True)
class Corpus(Record):
    """Examples of a split from a folder; ``fields`` maps each field to the kind of its values."""

    kind: ClassVar[str] = "corpus"
    supplied: ClassVar[tuple[str, ...]] = ("folder",)

    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Attention(Record):
    """``nn.Module(query_dim, memory_dim, *, …)``: a query attends to one memory."""

    kind: ClassVar[str] = "attention"
    supplied: ClassVar[tuple[str, ...]] = ("query_dim", "memory_dim")


@dataclass(frozen=True, kw_only=True)
class Fusion(Record):
    """``nn.Module(query_dim, memories, attention, *, …)``: a query attends to several memories."""

    kind: ClassVar[str] = "fusion"
    supplied: ClassVar[tuple[str, ...]] = ("query_dim", "memories", "attention")


@dataclass(frozen=True, kw_only=True)
class Recurrence(Record):
    """How the decoder orders its cell and attention: attention before, after or between cells."""

    kind: ClassVar[str] = "recurrence"
    supplied: ClassVar[tuple[str, ...]] = ("embedding_dim", "hidden_dim", "fusion")


@dataclass(frozen=True, kw_only=True)
class Output(Record):
    """Maps the decoder's state at a step to scores over the vocabulary."""

    kind: ClassVar[str] = "output"
    supplied: ClassVar[tuple[str, ...]] = ("features_dim", "embedding")


@dataclass(frozen=True, kw_only=True)
class Decoder(Record):
    """``nn.Module(vocabulary_size, memories, *, …)`` with ``begin``, ``step`` and ``forward``."""

    kind: ClassVar[str] = "decoder"
    supplied: ClassVar[tuple[str, ...]] = ("vocabulary_size", "memories")


@dataclass(frozen=True, kw_only=True)
class Objective(Record):
    """``loss(model, batch, memories, output) -> (sum, count)``."""

    kind: ClassVar[str] = "objective"


@dataclass(frozen=True, kw_only=True)
class Scorer(Record):
    """Adds to a beam search's scores: penalties, CTC prefix scores, a language model."""

    kind: ClassVar[str] = "scorer"


@dataclass(frozen=True, kw_only=True)
class Metric(Record):
    """Scores outputs against references; its module must import without torch."""

    kind: ClassVar[str] = "metric"

    higher_is_better: bool
    unit: str


@dataclass(frozen=True, kw_only=True)
class Normaliser(Record):
    """Text -> text, applied before a metric; its name and version are in the metric's signature.

    Built from its settings, it is called with a text and has a ``signature()``.
    """

    kind: ClassVar[str] = "normaliser"


@dataclass(frozen=True, kw_only=True)
class Aligner(Record):
    """Locates each word of an output in the input, for memories of one ``layout``.

    ``align(evidence)`` returns a ``TimedWord`` per word, or nothing. If several are for one layout,
    the recipe chooses one with ``sources.NAME.aligner``.
    """

    kind: ClassVar[str] = "aligner"

    layout: str


@dataclass(frozen=True, kw_only=True)
class Segmenter(Record):
    """Cuts a long input into pieces that are decoded on their own, as a recording at its pauses.

    consumes: the kind of its values. It fits readers that produce this kind, or one whose name ends
        in ``-`` and it. A recipe chooses it with ``sources.NAME.segmenter``.
    """

    kind: ClassVar[str] = "segmenter"

    consumes: str

    def fits(self, reader: Reader) -> bool:
        """Whether it cuts the values of a reader."""
        return reader.produces == self.consumes or reader.produces.endswith(f"-{self.consumes}")


@dataclass(frozen=True, kw_only=True)
class Renderer(Record):
    """Draws one attention record over its input, for memories of one ``layout``.

    If several are for one layout, the recipe chooses one with ``sources.NAME.renderer``.
    """

    kind: ClassVar[str] = "renderer"

    layout: str


@dataclass(frozen=True, kw_only=True)
class Recipe(Record):
    """A packaged recipe: the target is a folder of YAML files, ``package:folder``."""

    kind: ClassVar[str] = "recipe"


KINDS: dict[str, type[Record]] = {
    record.kind: record
    for record in (
        Encoder,
        Reader,
        Corpus,
        Attention,
        Fusion,
        Recurrence,
        Output,
        Decoder,
        Objective,
        Scorer,
        Metric,
        Normaliser,
        Aligner,
        Segmenter,
        Renderer,
        Recipe,
    )
}


def with_checked_fields(record: Record) -> Record:
    """The record, with tuples in place of lists. Raises TypeError for a value of another type."""
    changed: dict[str, Any] = {}
    for each in fields(record):
        value = getattr(record, each.name)
        if str(each.type) == TEXTS and isinstance(value, list):
            changed[each.name] = value = tuple(value)
        wanted, fits = _TYPES[str(each.type)]
        if not fits(value):
            raise TypeError(f"expected {wanted} as {each.name} of {record!r}, got {value!r}")
    return replace(record, **changed) if changed else record


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


TEXTS = "tuple[str, ...]"
_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {  # of every field, as it is annotated
    "str": ("a string", lambda value: isinstance(value, str)),
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    TEXTS: ("a tuple of strings", lambda value: isinstance(value, tuple) and _are_texts(value)),
    "Mapping[str, str]": (
        "a mapping of strings to strings",
        lambda value: isinstance(value, Mapping) and _are_texts([*value, *value.values()]),
    ),
}
