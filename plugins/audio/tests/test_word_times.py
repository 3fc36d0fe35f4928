"""Word times for constructed CTC paths and attention weights, whose slots are known."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from multiattn import PAD, Evidence, Memory, Time
from multiattn_audio.word_times import WordTimes, ctc_path

SECONDS = 0.04
VOCABULARY = 8
# blank, blank, 4, 4, blank, 5, blank, blank, 5, 6, blank, blank
PATH = (0, 0, 4, 4, 0, 5, 0, 0, 5, 6, 0, 0)
TOKENS = (4, 5, 5, 6)
WORDS = (("four-five", 0, 2), ("five", 2, 3), ("six", 3, 4))


def evidence_of(emissions, tokens=TOKENS, words=WORDS, weights=None, name="ctc", other_sources=()):
    """Use log-probabilities (S, V) as memory values, with an identity matrix as CTC head."""
    slots, width = emissions.shape
    head = nn.Linear(width, width, bias=False, dtype=emissions.dtype)
    head.weight.data = torch.eye(width, dtype=emissions.dtype)
    mask = torch.ones(1, slots, dtype=torch.bool)
    memory = Memory(emissions.unsqueeze(0), mask, Time(SECONDS))
    memories = dict.fromkeys(["speech", *other_sources], memory)
    log_probabilities = (math.log(0.5),) * len(tokens) + (-0.1,)
    return Evidence("speech", memories, {name: head}, tokens, words, log_probabilities, weights)


def emissions_of(path, share=0.9):
    """Give ``share`` of every slot to the path's symbol and spread the rest evenly."""
    probabilities = torch.full((len(path), VOCABULARY), (1 - share) / (VOCABULARY - 1))
    probabilities[range(len(path)), path] = share
    return probabilities.log()


def test_ctc_times_are_those_of_the_best_path():
    timed = WordTimes().align(evidence_of(emissions_of(PATH)))
    assert [(word.word, word.method) for word in timed] == [
        ("four-five", "ctc"),
        ("five", "ctc"),
        ("six", "ctc"),
    ]
    slots = [(word.start / SECONDS, word.end / SECONDS) for word in timed]
    assert slots == [pytest.approx(span) for span in ((2, 6), (8, 9), (9, 10))]
    assert [word.confidence for word in timed] == pytest.approx([0.9] * 3, rel=1e-5)


def best_path(emissions, tokens):
    """Find the most probable path through the tokens by exhaustive search."""

    def collapse(path):
        merged = [label for label, _ in itertools.groupby(path)]
        return tuple(label for label in merged if label != PAD)

    symbols = sorted({PAD, *tokens})
    paths = itertools.product(symbols, repeat=len(emissions))
    matching = (path for path in paths if collapse(path) == tokens)
    return max(matching, key=lambda path: sum(emissions[s, v].item() for s, v in enumerate(path)))


@pytest.mark.parametrize("seed", range(5))
def test_the_path_is_the_most_probable_one(seed):
    generator = torch.Generator().manual_seed(seed)
    emissions = torch.randn(7, VOCABULARY, generator=generator).log_softmax(-1)
    tokens = (4, 5, 5)
    slots, posteriors = ctc_path(evidence_of(emissions, tokens, ()))
    path = [PAD] * 7
    for token, token_slots in zip(tokens, slots, strict=True):
        for slot in token_slots:
            path[slot] = token
    assert tuple(path) == best_path(emissions, tokens)
    expected = emissions.exp()[range(7), path]
    assert posteriors == pytest.approx(expected.tolist(), rel=1e-5)


def test_an_improbable_word_has_low_confidence():
    probabilities = emissions_of(PATH).exp()
    probabilities[9] = 0.02
    probabilities[9, 6] = 0.1
    probabilities[9, PAD] = 0.78
    confidences = [word.confidence for word in WordTimes().align(evidence_of(probabilities.log()))]
    assert confidences == pytest.approx([0.9, 0.9, 0.1], rel=1e-4)


def test_only_the_head_of_the_source_is_used():
    emissions = emissions_of(PATH)
    own_head = evidence_of(emissions, name="ctc-speech", other_sources=["lips"])
    assert WordTimes().align(own_head)[0].method == "ctc"
    other_head = evidence_of(
        emissions, name="ctc-lips", other_sources=["lips"], weights=attention_weights()
    )
    assert WordTimes().align(other_head)[0].method == "attention"


def attention_weights():
    """Attention weights (T + 1, S) of the tokens of PATH and of the end."""
    weights = torch.zeros(5, len(PATH))
    weights[0, 2:4] = 0.5  # token 4
    weights[1, 5] = 1.0
    weights[2, 7:9] = torch.tensor([0.05, 0.95])  # a tail that is cut off
    weights[3, 9] = 1.0
    weights[4, 11] = 1.0
    return weights


def test_without_a_head_times_come_from_attention():
    without_head = replace(evidence_of(emissions_of(PATH), weights=attention_weights()), heads={})
    timed = WordTimes().align(without_head)
    slots = [(word.start / SECONDS, word.end / SECONDS) for word in timed]
    assert slots == [pytest.approx(span) for span in ((2, 6), (8, 9), (9, 10))]
    assert {word.method for word in timed} == {"attention"}
    assert [word.confidence for word in timed] == pytest.approx([0.5] * 3)


def test_more_tokens_than_slots_are_aligned_by_attention():
    tokens = (4, 5) * 4 + (5,)  # nine tokens and a blank between two equal ones: ten slots
    words = tuple((f"w{index}", index, index + 1) for index in range(9))
    weights = torch.eye(10)[:, :9]
    short = evidence_of(emissions_of(PATH[:9]), tokens, words, weights)
    assert {word.method for word in WordTimes().align(short)} == {"attention"}
    enough = evidence_of(emissions_of(PATH[:10]), tokens, words, torch.eye(10))
    assert {word.method for word in WordTimes().align(enough)} == {"ctc"}


def test_without_words_or_head_and_attention_there_are_no_times():
    assert not WordTimes().align(evidence_of(emissions_of(PATH), (), ()))
    without_head = replace(evidence_of(emissions_of(PATH)), heads={})
    assert not WordTimes().align(without_head)


def test_double_precision_and_inference_mode_change_nothing():
    expected = WordTimes().align(evidence_of(emissions_of(PATH)))
    with torch.inference_mode():
        timed = WordTimes().align(evidence_of(emissions_of(PATH).double()))
    assert [word.as_json() for word in timed] == [word.as_json() for word in expected]
