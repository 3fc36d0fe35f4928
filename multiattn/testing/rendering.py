"""Conformance checks of renderers and aligners."""

from __future__ import annotations

import io
from dataclasses import replace
from unittest import SkipTest

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from multiattn.engine.layouts import Grid, Layout, Time, Tokens
from multiattn.prediction.rendering import AttentionRecord
from multiattn.prediction.word_times import Evidence
from multiattn.registry.host import Component, Host
from multiattn.testing.fixtures import VOCABULARY, WIDTH, build, expect, memory_of
from multiattn.testing.objectives import SLOTS

LAYOUTS: dict[str, Layout] = {"tokens": Tokens(), "grid": Grid(3, 4), "time": Time(0.04)}


SPELLED = (("one", 0, 1), ("two", 1, 3))  # words of three tokens


def _layout(row: Component) -> Layout:
    kind = getattr(row.record, "layout", "")
    if kind not in LAYOUTS:
        raise SkipTest(f"no memory of the layout {kind!r} can be made here")
    return LAYOUTS[kind]


def _looks() -> Tensor:
    """(T + 1, S): three tokens and the end attend to one slot each, from left to right."""
    return torch.eye(SLOTS[0])[[1, 4, 6, 11]]


def an_aligner_gives_every_word_its_time(host: Host, row: Component) -> None:
    """Times are ordered, within the input, with a confidence; with and without a CTC head."""
    memory = replace(memory_of(SLOTS[:1]), layout=_layout(row))
    heads = nn.ModuleDict({"ctc": nn.Linear(WIDTH, VOCABULARY).double()})
    aligner = build(host, "aligner", row.full_name)
    for known in ({}, dict(heads.items())):
        evidence = Evidence(
            "source", {"source": memory}, known, (4, 5, 5), SPELLED, (-0.1,) * 4, _looks()
        )
        with torch.inference_mode():
            timed = aligner.align(evidence)
        words = [word.word for word in timed]
        expect(words in ([], ["one", "two"]), f"expected a time for every word, got {words}")
        for word in timed:
            expect(0 <= word.start < word.end, f"expected start before end, got {word}")
            expect(0 <= word.confidence <= 1, f"expected a confidence of 0 to 1, got {word}")
        starts = [word.start for word in timed]
        expect(starts == sorted(starts), f"expected words in their order, got {timed}")
    silent = Evidence("source", {"source": memory}, {}, (), (), (-0.1,), _looks()[:1])
    expect(not aligner.align(silent), "expected no times where there are no words")


def a_renderer_draws_what_it_is_given(host: Host, row: Component) -> None:
    """It draws words or none, even if the input file is gone; words are not parsed as formulas."""
    renderer = build(host, "renderer", row.full_name)
    labels = ("$x^$", *(f"slot{number}" for number in range(1, SLOTS[0])))
    for words in (("one", "two", "$y^$"), ()):
        weights = _looks()[: len(words)].numpy()
        record = AttentionRecord("source", "nowhere", labels, words, weights, _layout(row))
        figure = Figure()
        renderer.draw(figure, record)
        figure.savefig(io.BytesIO(), format="png")
        expect(bool(figure.axes), "expected something drawn, got an empty figure")


ALIGNER_CHECKS = (an_aligner_gives_every_word_its_time,)


RENDERER_CHECKS = (a_renderer_draws_what_it_is_given,)
