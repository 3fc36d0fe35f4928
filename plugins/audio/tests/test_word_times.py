"""Word times of constructed paths: the slots are known, so the seconds are."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from multiattn.alignment import Evidence
from multiattn.memory import Memory, Time
from multiattn.tokenizer import PAD
from multiattn_audio.word_times import WordTimes, ctc_path

SECONDS = 0.04
VOCABULARY = 8
# blank, blank, 4, 4, blank, 5, blank, blank, 5, 6, blank, blank
PATH = (0, 0, 4, 4, 0, 5, 0, 0, 5, 6, 0, 0)
TOKENS = (4, 5, 5, 6)
WORDS = (("four-five", 0, 2), ("five", 2, 3), ("six", 3, 4))


def evidence_of(emissions, tokens=TOKENS, words=WORDS, weights=None, name="ctc", others=()):
    """Log-probabilities (S, V) as a memory, under a head that passes them on."""
    slots, width = emissions.shape
    head = nn.Linear(width, width, bias=False, dtype=emissions.dtype)
    head.weight.data = torch.eye(width, dtype=emissions.dtype)
    mask = torch.ones(1, slots, dtype=torch.bool)
    memory = Memory(emissions.unsqueeze(0), mask, Time(SECONDS))
    memories = dict.fromkeys(["speech", *others], memory)
    chances = (math.log(0.5),) * len(tokens) + (-0.1,)
    return Evidence("speech", memories, {name: head}, tokens, words, chances, weights)


def emissions_of(path, share=0.9):
    """Every slot gives ``share`` to the symbol of the path, the rest evenly."""
    chances = torch.full((len(path), VOCABULARY), (1 - share) / (VOCABULARY - 1))
    chances[range(len(path)), path] = share
    return chances.log()


def test_ctc_times_are_those_of_the_path():
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
    """The most probable of all paths through the tokens, by trying every one."""

    def said(path):
        heard = [label for label, _ in itertools.groupby(path)]
        return tuple(label for label in heard if label != PAD)

    symbols = sorted({PAD, *tokens})
    paths = itertools.product(symbols, repeat=len(emissions))
    fitting = (path for path in paths if said(path) == tokens)
    return max(fitting, key=lambda path: sum(emissions[s, v].item() for s, v in enumerate(path)))


@pytest.mark.parametrize("seed", range(5))
def test_the_path_is_the_best_of_all_paths(seed):
    generator = torch.Generator().manual_seed(seed)
    emissions = torch.randn(7, VOCABULARY, generator=generator).log_softmax(-1)
    tokens = (4, 5, 5)
    slots, posteriors = ctc_path(evidence_of(emissions, tokens, ()))
    path = [PAD] * 7
    for token, own in zip(tokens, slots, strict=True):
        for slot in own:
            path[slot] = token
    assert tuple(path) == best_path(emissions, tokens)
    chosen = emissions.exp()[range(7), path]
    assert posteriors == pytest.approx(chosen.tolist(), rel=1e-5)


def test_a_word_that_was_hardly_heard_has_little_confidence():
    chances = emissions_of(PATH).exp()
    chances[9] = 0.02
    chances[9, 6] = 0.1
    chances[9, PAD] = 0.78
    confident = [word.confidence for word in WordTimes().align(evidence_of(chances.log()))]
    assert confident == pytest.approx([0.9, 0.9, 0.1], rel=1e-4)


def test_the_head_is_that_of_the_source():
    emissions = emissions_of(PATH)
    several = evidence_of(emissions, name="ctc-speech", others=["lips"])
    assert WordTimes().align(several)[0].method == "ctc"
    of_another = evidence_of(emissions, name="ctc-lips", others=["lips"], weights=looks())
    assert WordTimes().align(of_another)[0].method == "attention"


def looks():
    """(T + 1, S): where each token of PATH and the end looked."""
    weights = torch.zeros(5, len(PATH))
    weights[0, 2:4] = 0.5  # token 4
    weights[1, 5] = 1.0
    weights[2, 7:9] = torch.tensor([0.05, 0.95])  # a tail that is cut off
    weights[3, 9] = 1.0
    weights[4, 11] = 1.0
    return weights


def test_without_a_head_times_are_where_attention_was():
    given = replace(evidence_of(emissions_of(PATH), weights=looks()), heads={})
    timed = WordTimes().align(given)
    slots = [(word.start / SECONDS, word.end / SECONDS) for word in timed]
    assert slots == [pytest.approx(span) for span in ((2, 6), (8, 9), (9, 10))]
    assert {word.method for word in timed} == {"attention"}
    assert [word.confidence for word in timed] == pytest.approx([0.5] * 3)


def test_more_tokens_than_slots_are_aligned_by_attention():
    tokens = (4, 5) * 4 + (5,)  # nine tokens and a blank between two alike: ten slots
    words = tuple((f"w{place}", place, place + 1) for place in range(9))
    weights = torch.eye(10)[:, :9]
    short = evidence_of(emissions_of(PATH[:9]), tokens, words, weights)
    assert {word.method for word in WordTimes().align(short)} == {"attention"}
    enough = evidence_of(emissions_of(PATH[:10]), tokens, words, torch.eye(10))
    assert {word.method for word in WordTimes().align(enough)} == {"ctc"}


def test_nothing_said_has_no_times():
    assert not WordTimes().align(evidence_of(emissions_of(PATH), (), ()))
    given = replace(evidence_of(emissions_of(PATH)), heads={})
    assert not WordTimes().align(given)


def test_double_precision_and_inference_mode_change_nothing():
    expected = WordTimes().align(evidence_of(emissions_of(PATH)))
    with torch.inference_mode():
        found = WordTimes().align(evidence_of(emissions_of(PATH).double()))
    assert [word.as_json() for word in found] == [word.as_json() for word in expected]
