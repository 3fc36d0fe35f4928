"""One attention encoder-decoder for any input.

    predictor = multiattn.load("runs/translation")
    predictor("A dog runs .").text

These are the public names; a plugin imports from here and from ``multiattn.protocols``,
``multiattn.corpora``, ``multiattn.layers`` and ``multiattn.testing``, and from nowhere deeper.
Each is imported when it is first used: ``import multiattn`` and the records load no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiattn.data.corpus import Example, StoredMedia
    from multiattn.data.rows import Row
    from multiattn.data.tokenizer import Tokenizer
    from multiattn.engine.batch import Batch
    from multiattn.engine.decoder import DecoderOutput
    from multiattn.engine.layouts import Grid, Time, Tokens
    from multiattn.engine.memory import Memory, MemorySpec
    from multiattn.engine.recurrence import State
    from multiattn.errors import UserError
    from multiattn.prediction.attention_records import AttentionRecord
    from multiattn.prediction.long_inputs.segmenter import Segment
    from multiattn.prediction.prediction import Prediction
    from multiattn.prediction.predictor import Predictor, load
    from multiattn.prediction.word_times import Evidence, TimedWord
    from multiattn.recipe.settings import TokenizerSettings
    from multiattn.registry.hooks import hookimpl
    from multiattn.registry.host import load_host
    from multiattn.registry.records import (
        Aligner,
        Attention,
        Corpus,
        Decoder,
        Encoder,
        Fusion,
        Metric,
        Normaliser,
        Objective,
        Output,
        Reader,
        Recipe,
        Record,
        Recurrence,
        Renderer,
        Scorer,
        Segmenter,
    )
    from multiattn.registry.schema import Probability, Slot, Strict, suggestion
    from multiattn.report.page import Report
    from multiattn.scoring.metric import Edit
    from multiattn.symbols import BOS, EOS, PAD, UNK
    from multiattn.training.objectives import ObjectiveContext

    __version__: str

_HOMES = {
    "multiattn.data.corpus": ("Example", "StoredMedia"),
    "multiattn.data.rows": ("Row",),
    "multiattn.data.tokenizer": ("Tokenizer",),
    "multiattn.engine.batch": ("Batch",),
    "multiattn.engine.decoder": ("DecoderOutput",),
    "multiattn.engine.layouts": ("Grid", "Time", "Tokens"),
    "multiattn.engine.memory": ("Memory", "MemorySpec"),
    "multiattn.engine.recurrence": ("State",),
    "multiattn.errors": ("UserError",),
    "multiattn.prediction.prediction": ("Prediction",),
    "multiattn.prediction.predictor": ("Predictor", "load"),
    "multiattn.prediction.attention_records": ("AttentionRecord",),
    "multiattn.prediction.long_inputs.segmenter": ("Segment",),
    "multiattn.prediction.word_times": ("Evidence", "TimedWord"),
    "multiattn.recipe.settings": ("TokenizerSettings",),
    "multiattn.registry.hooks": ("hookimpl",),
    "multiattn.registry.host": ("load_host",),
    "multiattn.registry.records": (
        "Aligner",
        "Attention",
        "Corpus",
        "Decoder",
        "Encoder",
        "Fusion",
        "Metric",
        "Normaliser",
        "Objective",
        "Output",
        "Reader",
        "Recipe",
        "Record",
        "Recurrence",
        "Renderer",
        "Scorer",
        "Segmenter",
    ),
    "multiattn.registry.schema": ("Probability", "Slot", "Strict", "suggestion"),
    "multiattn.report.page": ("Report",),
    "multiattn.scoring.metric": ("Edit",),
    "multiattn.symbols": ("BOS", "EOS", "PAD", "UNK"),
    "multiattn.training.objectives": ("ObjectiveContext",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "UNK",
    "Aligner",
    "Attention",
    "AttentionRecord",
    "Batch",
    "Corpus",
    "Decoder",
    "DecoderOutput",
    "Edit",
    "Encoder",
    "Evidence",
    "Example",
    "Fusion",
    "Grid",
    "Memory",
    "MemorySpec",
    "Metric",
    "Normaliser",
    "Objective",
    "ObjectiveContext",
    "Output",
    "Prediction",
    "Predictor",
    "Probability",
    "Reader",
    "Recipe",
    "Record",
    "Recurrence",
    "Renderer",
    "Report",
    "Row",
    "Scorer",
    "Segment",
    "Segmenter",
    "Slot",
    "State",
    "StoredMedia",
    "Strict",
    "Time",
    "TimedWord",
    "Tokenizer",
    "TokenizerSettings",
    "Tokens",
    "UserError",
    "__version__",
    "hookimpl",
    "load",
    "load_host",
    "suggestion",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name == "__version__":
        from importlib.metadata import version

        return version("multiattn")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'multiattn' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, for completion and help."""
    return sorted({*globals(), *__all__})
