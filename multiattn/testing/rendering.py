"""Conformance checks of renderers and aligners."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from unittest import SkipTest

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from multiattn.engine.layouts import Grid, Layout, Time, Tokens
from multiattn.engine.memory import Memory
from multiattn.prediction.attention_records import AttentionRecord
from multiattn.prediction.word_times import Evidence
from multiattn.registry.host import Component, Host
from multiattn.testing.encoders import encoder_of, example_of
from multiattn.testing.fixtures import VOCABULARY, build, expect, memory_of, single
from multiattn.testing.objectives import SLOTS

LAYOUTS: dict[str, Layout] = {layout.kind: layout for layout in (Tokens(), Grid(3, 4), Time(0.04))}
WORDS = (("one", 0, 1), ("two", 1, 3))  # words of three tokens


def example_memory(host: Host, row: Component) -> Memory:
    """A memory of one input, in the layout that the renderer or aligner is for.

    It is that of an encoder of the same distribution, or a random one in a layout of the core, or
    that of any other encoder. Raises SkipTest if no encoder gives the layout.
    """
    kind = getattr(row.record, "layout", "")
    encoders = host.records("encoder")
    own = [each for each in encoders if each.distribution == row.distribution]
    unusable: list[str] = []
    memory = _first_with_layout(kind, host, own, unusable)
    if memory is None and kind in LAYOUTS:
        return replace(memory_of(SLOTS[:1]), layout=LAYOUTS[kind])
    if memory is None:
        others = [each for each in encoders if each not in own]
        memory = _first_with_layout(kind, host, others, unusable)
    if memory is None:
        reason = f", and {' and '.join(unusable)} cannot be tried" if unusable else ""
        raise SkipTest(f"no encoder gives a memory of the layout {kind!r}{reason}")
    return memory


def _first_with_layout(
    kind: str, host: Host, encoders: Sequence[Component], unusable: list[str]
) -> Memory | None:
    """The memory of the first of these encoders that gives it; failing ones are noted."""
    for row in encoders:
        try:
            encoder = encoder_of(host, row)
            with torch.no_grad():
                memory: Memory = encoder(*example_of(encoder))
            if memory.layout.kind == kind:
                return single(memory, 0)
        except Exception:  # reported by the encoder's own checks
            unusable.append(row.full_name)
    return None


def _weights(slots: int) -> Tensor:
    """(T + 1, S): three tokens and the end attend to one slot each, from left to right."""
    return torch.eye(slots)[[place * (slots - 1) // 3 for place in range(4)]]


def aligner_times_every_word(host: Host, row: Component) -> None:
    """Times are ordered, within the input, with a confidence; with and without a CTC head."""
    memory = example_memory(host, row)
    weights = _weights(memory.mask.size(1))
    heads = nn.ModuleDict({"ctc": nn.Linear(memory.values.size(2), VOCABULARY).double()})
    aligner = build(host, "aligner", row.full_name)
    for known in ({}, dict(heads.items())):
        evidence = Evidence(
            "source", {"source": memory}, known, (4, 5, 5), WORDS, (-0.1,) * 4, weights
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
    wordless = Evidence("source", {"source": memory}, {}, (), (), (-0.1,), weights[:1])
    expect(not aligner.align(wordless), "expected no times for an output without words")


def renderer_draws_every_record(host: Host, row: Component) -> None:
    """It draws words or none, even if the input file is gone; words are not parsed as formulas."""
    renderer = build(host, "renderer", row.full_name)
    memory = example_memory(host, row)
    slots = memory.mask.size(1)
    labels = ("$x^$", *(f"slot{number}" for number in range(1, slots)))
    for words in (("one", "two", "$y^$"), ()):
        weights = _weights(slots)[: len(words)].numpy()
        record = AttentionRecord("source", "nowhere", labels, words, weights, memory.layout)
        figure = Figure()
        renderer.draw(figure, record)
        figure.savefig(io.BytesIO(), format="png")
        expect(bool(figure.axes), "expected something drawn, got an empty figure")


ALIGNER_CHECKS = (aligner_times_every_word,)


RENDERER_CHECKS = (renderer_draws_every_record,)
