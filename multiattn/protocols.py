"""The protocols of components, required and optional, kind by kind.

The target of a record satisfies the required protocol of its kind; one that also satisfies an
optional protocol is used accordingly. All are runtime-checkable. ``multiattn.protocols.Reader`` is
the protocol, ``multiattn.Reader`` the record. Each is imported when it is first used: a metric's
module may import its protocol without torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiattn.data.collation import (
        CachedFeatures,
        DeterministicReader,
        ExampleReader,
        FittedReader,
        JointReader,
        ObjectReader,
        PretrainedReader,
        Reader,
        TokenizingReader,
    )
    from multiattn.data.corpus import Corpus, ExampleCorpus, GroupedCorpus
    from multiattn.engine.attention import Attention, ContentAttention
    from multiattn.engine.fusion import Fusion
    from multiattn.engine.layouts import Layout
    from multiattn.engine.model import (
        AnyLengthEncoder,
        Encoder,
        FeatureEncoder,
        FrontendEncoder,
        PretrainedEncoder,
        SelectsFeatureSettings,
        SequenceFeatureEncoder,
        SlotCountingEncoder,
        SummarisingEncoder,
    )
    from multiattn.engine.output_layer import Output
    from multiattn.engine.recurrence import Recurrence
    from multiattn.prediction.long_inputs.segmenter import Segmenter
    from multiattn.prediction.rendering import MediaRenderer, Renderer
    from multiattn.prediction.word_times import Aligner
    from multiattn.scoring.metric import (
        AligningMetric,
        CorpusWeightedMetric,
        DetailedMetric,
        Metric,
        NamesDetailsFile,
        Normaliser,
        TokenizingMetric,
        WarningMetric,
    )
    from multiattn.search.scorers import Decoder, PreparedScorer, Scorer, VocabularyScorer
    from multiattn.training.objectives import (
        CountedObjective,
        Objective,
        OutputFreeObjective,
        PreparedObjective,
        SelectiveObjective,
        SkippingObjective,
    )

# kind -> module of its protocols, the one that it must satisfy, those that it may satisfy.
_BY_KIND: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "encoder": (
        "engine.model",
        "Encoder",
        (
            "SummarisingEncoder",
            "SlotCountingEncoder",
            "AnyLengthEncoder",
            "FrontendEncoder",
            "PretrainedEncoder",
            "FeatureEncoder",
            "SequenceFeatureEncoder",
            "SelectsFeatureSettings",
        ),
    ),
    "reader": (
        "data.collation",
        "Reader",
        (
            "FittedReader",
            "PretrainedReader",
            "DeterministicReader",
            "TokenizingReader",
            "JointReader",
            "ObjectReader",
            "CachedFeatures",
            "ExampleReader",
        ),
    ),
    "corpus": ("data.corpus", "Corpus", ("GroupedCorpus", "ExampleCorpus")),
    "attention": ("engine.attention", "Attention", ("ContentAttention",)),
    "fusion": ("engine.fusion", "Fusion", ()),
    "recurrence": ("engine.recurrence", "Recurrence", ()),
    "output": ("engine.output_layer", "Output", ()),
    "decoder": ("search.scorers", "Decoder", ()),
    "objective": (
        "training.objectives",
        "Objective",
        (
            "CountedObjective",
            "SelectiveObjective",
            "SkippingObjective",
            "PreparedObjective",
            "OutputFreeObjective",
        ),
    ),
    "scorer": ("search.scorers", "Scorer", ("PreparedScorer", "VocabularyScorer")),
    "metric": (
        "scoring.metric",
        "Metric",
        (
            "DetailedMetric",
            "AligningMetric",
            "NamesDetailsFile",
            "CorpusWeightedMetric",
            "TokenizingMetric",
            "WarningMetric",
        ),
    ),
    "normaliser": ("scoring.metric", "Normaliser", ()),
    "aligner": ("prediction.word_times", "Aligner", ()),
    "segmenter": ("prediction.long_inputs.segmenter", "Segmenter", ()),
    "renderer": ("prediction.rendering", "Renderer", ("MediaRenderer",)),
}

_MODULE_OF = {
    name: f"multiattn.{module}"
    for module, required, optional in _BY_KIND.values()
    for name in (required, *optional)
} | {"Layout": "multiattn.engine.layouts"}

__all__ = [
    "Aligner",
    "AligningMetric",
    "AnyLengthEncoder",
    "Attention",
    "CachedFeatures",
    "ContentAttention",
    "Corpus",
    "CorpusWeightedMetric",
    "CountedObjective",
    "Decoder",
    "DetailedMetric",
    "DeterministicReader",
    "Encoder",
    "ExampleCorpus",
    "ExampleReader",
    "FeatureEncoder",
    "FittedReader",
    "FrontendEncoder",
    "Fusion",
    "GroupedCorpus",
    "JointReader",
    "Layout",
    "MediaRenderer",
    "Metric",
    "NamesDetailsFile",
    "Normaliser",
    "ObjectReader",
    "Objective",
    "Output",
    "OutputFreeObjective",
    "PreparedObjective",
    "PreparedScorer",
    "PretrainedEncoder",
    "PretrainedReader",
    "Reader",
    "Recurrence",
    "Renderer",
    "Scorer",
    "Segmenter",
    "SelectiveObjective",
    "SelectsFeatureSettings",
    "SequenceFeatureEncoder",
    "SkippingObjective",
    "SlotCountingEncoder",
    "SummarisingEncoder",
    "TokenizingMetric",
    "TokenizingReader",
    "VocabularyScorer",
    "WarningMetric",
    "optional_protocols",
    "required_protocol",
]


def required_protocol(kind: str) -> Any:
    """The protocol that every component of a kind satisfies; None for a recipe."""
    return __getattr__(_BY_KIND[kind][1]) if kind in _BY_KIND else None


def optional_protocols(kind: str) -> tuple[Any, ...]:
    """The protocols that a component of a kind may also satisfy."""
    return tuple(map(__getattr__, _BY_KIND[kind][2])) if kind in _BY_KIND else ()


def __getattr__(name: str) -> Any:
    """Import a protocol when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'multiattn.protocols' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    """The protocols, for completion and help."""
    return sorted({*globals(), *__all__})
