"""The frozen records a plugin yields, one class per kind. Strings only: nothing here imports torch.

A record says what a thing is called, in one line what it does, and where it lives
(``target="module:Attribute"``). The target is imported when a recipe builds it, never to list it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Record:
    """Anything that a recipe can name.

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
    """``nn.Module(input_spec, *, …)``: what a reader produces goes in, a ``Memory`` comes out."""

    kind: ClassVar[str] = "encoder"
    supplied: ClassVar[tuple[str, ...]] = ("input_spec",)

    consumes: str


@dataclass(frozen=True, kw_only=True)
class Reader(Record):
    """Raw value (a path, a sentence) -> tensor. ``suffixes`` are the file names it recognises."""

    kind: ClassVar[str] = "reader"

    produces: str
    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Corpus(Record):
    """Examples of a split from a folder; ``fields`` maps each field to what it holds."""

    kind: ClassVar[str] = "corpus"
    supplied: ClassVar[tuple[str, ...]] = ("folder",)

    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Attention(Record):
    """``nn.Module(query_dim, memory_dim, *, …)``: a query looks at one memory."""

    kind: ClassVar[str] = "attention"
    supplied: ClassVar[tuple[str, ...]] = ("query_dim", "memory_dim")


@dataclass(frozen=True, kw_only=True)
class Fusion(Record):
    """``nn.Module(query_dim, memories, attention, *, …)``: a query looks at several memories."""

    kind: ClassVar[str] = "fusion"
    supplied: ClassVar[tuple[str, ...]] = ("query_dim", "memories", "attention")


@dataclass(frozen=True, kw_only=True)
class Recurrence(Record):
    """How cell and attention are chained in the decoder: before, after, between."""

    kind: ClassVar[str] = "recurrence"
    supplied: ClassVar[tuple[str, ...]] = ("embedding_dim", "hidden_dim", "fusion")


@dataclass(frozen=True, kw_only=True)
class Output(Record):
    """From what the decoder knows at a step to scores over the vocabulary."""

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
    """What may join a beam: penalties, CTC prefix scores, a language model."""

    kind: ClassVar[str] = "scorer"


@dataclass(frozen=True, kw_only=True)
class Metric(Record):
    """Scores of outputs against references; its module must import without torch."""

    kind: ClassVar[str] = "metric"

    higher_is_better: bool
    unit: str


@dataclass(frozen=True, kw_only=True)
class Normaliser(Record):
    """Text -> text, before a metric counts; named and versioned in the metric's signature.

    Built from its settings, it is called with a text and has a ``signature()``.
    """

    kind: ClassVar[str] = "normaliser"


@dataclass(frozen=True, kw_only=True)
class Aligner(Record):
    """Says where in its input each word of an output was, for memories of one ``layout``.

    Built without settings: ``align(evidence)`` gives a ``TimedWord`` per word, or nothing.
    """

    kind: ClassVar[str] = "aligner"

    layout: str


@dataclass(frozen=True, kw_only=True)
class Renderer(Record):
    """Draws one attention record over its input, for memories of one ``layout``."""

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
        Renderer,
        Recipe,
    )
}
