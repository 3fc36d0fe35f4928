"""Tokens that CTC finds and an output lacks."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from multiattn.engine.layouts import Time
from multiattn.engine.memory import Memory
from multiattn.search.diagnostics.skipped import CTCOutput, Skipped, ctc_outputs, skipped_stretch
from multiattn.symbols import PAD

HEARD = CTCOutput(tuple(range(10, 20)), tuple(range(0, 40, 4)))  # a token in every fourth slot


def test_the_greedy_output_merges_repeats_drops_blanks_and_ignores_padding():
    torch.manual_seed(3)
    slots = (7, 0, 20)
    mask = torch.arange(20) < torch.tensor(slots).unsqueeze(1)
    values = torch.randn(3, 20, 4)
    memory = Memory(values, mask, Time(0.04))
    head = nn.Identity()
    outputs = ctc_outputs({"speech": memory}, {"ctc": head})["speech"]
    for row, output in enumerate(outputs):
        symbols = values[row, : slots[row]].argmax(1).tolist()
        merged = [
            next(each)[::-1]
            for _, each in itertools.groupby(enumerate(symbols), key=lambda pair: pair[1])
        ]
        spoken = [(token, slot) for token, slot in merged if token != PAD]
        assert list(zip(output.tokens, output.slots, strict=True)) == spoken
    assert outputs[2].tokens


def test_a_head_that_learns_reads_memories_of_inference():
    with torch.inference_mode():
        memory = Memory(torch.randn(1, 5, 4), torch.ones(1, 5, dtype=torch.bool), Time(0.04))
    (output,) = ctc_outputs({"speech": memory}, {"ctc": nn.Linear(4, 6)})["speech"]
    assert len(output.tokens) == len(output.slots) <= 5


def test_a_model_without_a_head_has_no_ctc_output():
    memory = Memory(torch.zeros(1, 2, 4), torch.ones(1, 2, dtype=torch.bool), Time(0.04))
    assert ctc_outputs({"speech": memory}, {}) == {}


@pytest.mark.parametrize(("start", "end"), [(0, 4), (3, 8), (5, 10), (0, 10)])
def test_tokens_that_are_lacking_in_a_row_are_placed(start, end):
    kept = [*HEARD.tokens[:start], *HEARD.tokens[end:]]
    assert skipped_stretch(HEARD, kept) == Skipped(end - start, range(4 * start, 4 * (end - 1) + 1))


def test_the_longest_of_two_stretches_counts():
    heard = CTCOutput(tuple(range(10, 30)), tuple(range(20)))
    kept = [token for token in heard.tokens if token not in range(11, 15) and token < 23]
    assert skipped_stretch(heard, kept) == Skipped(7, range(13, 20))


@pytest.mark.parametrize(
    "output",
    [
        HEARD.tokens,
        [*HEARD.tokens[:3], *HEARD.tokens[6:]],  # three are lacking
        [*HEARD.tokens[:3], 5, 6, 7, 8, *HEARD.tokens[7:]],  # misheard
        [*HEARD.tokens, 10, 11],  # more than CTC finds
    ],
)
def test_what_is_misheard_or_nearly_complete_is_not_skipped(output):
    assert skipped_stretch(HEARD, output) == Skipped()
