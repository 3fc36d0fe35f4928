"""A search in plain Python, and a decoder that is a table: what search is compared with.

The naive beam keeps lists of hypotheses, computes each from the start and never stops early.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from multiattn import BOS, EOS, UNK, Memory, Tokens
from multiattn.layers import length_mask
from multiattn.recipe.settings import SearchSettings
from multiattn.search.constraints import Pieces, PrefixAutomaton

VOCABULARY = 7  # two symbols that are never chosen, the end, four words
WORDS = range(UNK, VOCABULARY)
SPELLINGS = ("", "", "", "<unk>", " ", "a", " ab")  # of every token
CODES = 101


class TableDecoder:
    """Looks everything up: a hash of all words so far finds a row of scores and of attention.

    Real slots add their values to the scores, so that inputs differ. There is no matrix product,
    so that a row's result is the same to the bit in any batch.
    """

    def __init__(self, seed: int, end_bias: float = 0.0, sharpness: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.scores = torch.randn(CODES, VOCABULARY, generator=generator).double() * sharpness
        self.looks = torch.randn(CODES, 16, generator=generator).double()
        self.scores[:, EOS] += end_bias
        self.seen: list[tuple[int, ...]] = []  # the shape of tokens at each step

    def begin(self, memories: Mapping[str, Memory], batch_size: int) -> tuple[Any, Any]:
        state = (
            torch.zeros(batch_size, 1, dtype=torch.long),
            None,
            self.scores.new_zeros(batch_size, 1),
        )
        return {name: (memory.values, memory.mask) for name, memory in memories.items()}, state

    def step(
        self, tokens: Tensor, state: Any, shared: Any
    ) -> tuple[Tensor, Any, dict[str, Tensor]]:
        self.seen.append(tuple(tokens.shape))
        code = (state[0] * 31 + tokens + 1) % CODES  # (B, N)
        scores, weights = self.scores[code], {}
        for name, (values, mask) in shared.items():
            looks = self.looks[code][..., : mask.shape[1]].masked_fill(~mask[:, None], -math.inf)
            weights[name] = looks.softmax(2).nan_to_num()  # (B, N, S)
            for slot in range(mask.shape[1]):
                scores = scores + weights[name][..., slot, None] * values[:, None, slot]
        return scores, (code, None, state[2]), weights


def make_memory(lengths: Sequence[int], seed: int = 0) -> Memory:
    generator = torch.Generator().manual_seed(seed)
    mask = length_mask(torch.tensor(lengths), max(lengths))
    values = torch.randn(*mask.shape, VOCABULARY, generator=generator, dtype=torch.double)
    return Memory(values * mask.unsqueeze(2), mask, Tokens())


def alone(memories: Mapping[str, Memory], row: int) -> dict[str, Memory]:
    """One input of a batch, without its padding."""
    singles = {}
    for name, memory in memories.items():
        real = memory.mask[row]
        values, mask = memory.values[row, real].unsqueeze(0), memory.mask[row, real].unsqueeze(0)
        singles[name] = Memory(values, mask, memory.layout)
    return singles


@dataclass
class Step:
    """What comes after some words: log-probabilities, and where was looked."""

    log_probabilities: list[float]
    weights: dict[str, list[float]]


Following = Callable[[tuple[int, ...]], Step]


def follow(decoder: Any, memories: Any) -> Following:
    """One input's distribution of the next word, computed from the start every time."""

    @functools.cache
    def following(words: tuple[int, ...]) -> Step:
        shared, state = decoder.begin(memories, 1)
        for token in (BOS, *words):
            scores, state, weights = decoder.step(torch.tensor([[token]]), state, shared)
        looks = {name: leaf[0, 0].tolist() for name, leaf in weights.items()}
        return Step(scores[0, 0].log_softmax(0).tolist(), looks)

    return following


@dataclass
class Found:
    """A hypothesis of the naive search."""

    words: tuple[int, ...]
    score: float
    log_probability: float


def automaton(prefix: str) -> PrefixAutomaton | None:
    return PrefixAutomaton(Pieces(SPELLINGS), prefix) if prefix else None


def begins(words: tuple[int, ...], prefix: str) -> bool:
    """Whether the text of these words begins with the prefix; the unknown word spells nothing."""
    known = words[: words.index(UNK)] if UNK in words else words
    return text_of(known).startswith(prefix)


def text_of(words: Sequence[int]) -> str:
    return " ".join("".join(SPELLINGS[word] for word in words).split())


@functools.cache
def spelled_within(words: tuple[int, ...], prefix: str, tokens: int) -> bool:
    """Whether so many more tokens can make a text that begins with the prefix."""
    if begins(words, prefix):
        return True
    if not tokens or not prefix.startswith(text_of(words)):
        return False
    return any(spelled_within((*words, word), prefix, tokens - 1) for word in WORDS)


def allowed(words: tuple[int, ...], prefix: str, limit: int, options: SearchSettings) -> list[int]:
    """Which tokens may follow these words."""
    if not begins(words, prefix):
        left = limit - len(words) - 1
        return [word for word in WORDS if spelled_within((*words, word), prefix, left)]
    if len(words) >= limit:
        return [EOS]
    order = options.block_ngrams
    grams = {words[i : i + order] for i in range(len(words) - order + 1)} if order else set()
    good = [word for word in WORDS if (*words, word)[-order:] not in grams]
    return good if len(words) < options.min_length else [EOS, *good]


def nothing_extra(words: tuple[int, ...], token: int) -> float:
    return 0.0


def no_final(words: tuple[int, ...]) -> float:
    return 0.0


def naive_beam(
    following: Following,
    limit: int,
    options: SearchSettings,
    prefix: str = "",
    extra: Callable[[tuple[int, ...], int], float] = nothing_extra,
    final: Callable[[tuple[int, ...]], float] = no_final,
) -> list[Found]:
    """A list of hypotheses, all continuations of all of them, sorted; never stopped early."""
    limit = next(n for n in itertools.count(limit) if spelled_within((), prefix, n))
    alive, places, done = [((), 0.0, 0.0)], options.beam, []
    while alive:
        candidates = []
        for rank, (words, total, log_probability) in enumerate(alive):
            step = following(words)
            for token in allowed(words, prefix, limit, options):
                own = step.log_probabilities[token]
                reached = total + own + extra(words, token)
                candidates.append((-reached, rank, token, words, log_probability + own))
        alive, kept = [], sorted(candidates)[:places]
        for loss, _, token, words, log_probability in kept:
            if token == EOS:
                score = -loss / (len(words) + 1) ** options.length_penalty + final(words)
                done.append(Found(words, score, log_probability))
                places -= 1
            else:
                alive.append(((*words, token), -loss, log_probability))
    return sorted(done, key=lambda found: -found.score)[: options.n_best]


def assert_same(found: Sequence[Any], expected: Sequence[Found]) -> None:
    assert [hypothesis.tokens for hypothesis in found] == [naive.words for naive in expected]
    for hypothesis, naive in zip(found, expected, strict=True):
        assert hypothesis.score == pytest.approx(naive.score, abs=1e-9)
        assert hypothesis.log_probability == pytest.approx(naive.log_probability, abs=1e-9)
        assert sum(hypothesis.token_log_probabilities) == pytest.approx(naive.log_probability)


def all_sentences(limit: int) -> list[tuple[int, ...]]:
    return [
        words for length in range(limit + 1) for words in itertools.product(WORDS, repeat=length)
    ]
