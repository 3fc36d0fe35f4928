"""Conformance checks of renderers and aligners."""

from __future__ import annotations

import io
from dataclasses import replace
from unittest import SkipTest

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from multiattn.engine.layouts import Grid, Layout, Time, Tokens
from multiattn.prediction.attention_records import AttentionRecord
from multiattn.prediction.word_times import Evidence
from multiattn.registry.host import Component, Host
from multiattn.testing.fixtures import VOCABULARY, WIDTH, build, expect, memory_of
from multiattn.testing.objectives import SLOTS

LAYOUTS: dict[str, Layout] = {"tokens": Tokens(), "grid": Grid(3, 4), "time": Time(0.04)}


WORDS = (("one", 0, 1), ("two", 1, 3))  # words of three tokens


def _layout(row: Component) -> Layout:
    kind = getattr(row.record, "layout", "")
    if kind not in LAYOUTS:
        raise SkipTest(f"the suite has no example of the layout {kind!r}")
    return LAYOUTS[kind]


def _weights() -> Tensor:
    """(T + 1, S): three tokens and the end attend to one slot each, from left to right."""
    return torch.eye(SLOTS[0])[[1, 4, 6, 11]]


def aligner_times_every_word(host: Host, row: Component) -> None:
    """Times are ordered, within the input, with a confidence; with and without a CTC head."""
    memory = replace(memory_of(SLOTS[:1]), layout=_layout(row))
    heads = nn.ModuleDict({"ctc": nn.Linear(WIDTH, VOCABULARY).double()})
    aligner = build(host, "aligner", row.full_name)
    for known in ({}, dict(heads.items())):
        evidence = Evidence(
            "source", {"source": memory}, known, (4, 5, 5), WORDS, (-0.1,) * 4, _weights()
        )
        with torch.inference_mode():
            timed = aligner.align(evidence)
        words = [word.word for word in timed]
        expect(words in ([], ["one", "two"]), f"expected a time for every word, got {words}")
        for word in timed:
            expect(0 <= word.start < word.end, f"expected start before end, got {word}")
            expect(0 <= word.confidence <= 1, f"expected a confidence of 0 to 1, got {word}")
        starts = [word.start for word in timed]
        expect(starts == sorted(starts), f"expected words in order of their start, got {timed}")
    wordless = Evidence("source", {"source": memory}, {}, (), (), (-0.1,), _weights()[:1])
    expect(not aligner.align(wordless), "expected no times for an output without words")


def renderer_draws_every_record(host: Host, row: Component) -> None:
    """It draws words or none, even if the input file is gone; words are not parsed as formulas."""
    renderer = build(host, "renderer", row.full_name)
    labels = ("$x^$", *(f"slot{number}" for number in range(1, SLOTS[0])))
    for words in (("one", "two", "$y^$"), ()):
        weights = _weights()[: len(words)].numpy()
        record = AttentionRecord("source", "nowhere", labels, words, weights, _layout(row))
        figure = Figure()
        renderer.draw(figure, record)
        figure.savefig(io.BytesIO(), format="png")
        expect(bool(figure.axes), "expected something drawn, got an empty figure")


ALIGNER_CHECKS = (aligner_times_every_word,)


RENDERER_CHECKS = (renderer_draws_every_record,)
