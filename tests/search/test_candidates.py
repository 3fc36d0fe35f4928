"""Which words come next: the best, ties decided, or drawn as often as they should."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings, strategies
from naive_search import VOCABULARY, WORDS, TableDecoder

from multiattn.recipe.settings import SearchSettings
from multiattn.search.beam import beam_search
from multiattn.search.candidates import top_tokens
from multiattn.search.panel import StepScores
from multiattn.search.sampling import SampledCandidates, sample
from multiattn.search.task import SearchTask
from multiattn.symbols import BOS, EOS, UNK


def test_equal_scores_go_to_the_lowest_tokens() -> None:
    decoder = TableDecoder(0)
    decoder.scores.zero_()
    (hypotheses,) = beam_search(
        SearchTask(decoder, {}, 1, SearchSettings(beam=3, n_best=3, max_length=2, min_length=2))
    )
    assert [h.tokens for h in hypotheses] == [(UNK, UNK), (UNK, UNK + 1), (UNK, UNK + 2)]


@settings(max_examples=100, deadline=None)
@given(
    rows=strategies.lists(
        strategies.lists(
            strategies.sampled_from([-math.inf, 0.0, 1.0, 1.5]), min_size=9, max_size=9
        ),
        min_size=1,
        max_size=4,
    ),
    count=strategies.integers(1, 12),
)
def test_top_tokens_are_those_of_a_stable_sort(rows: list[list[float]], count: int) -> None:
    values, tokens = top_tokens(torch.tensor([rows]), count)
    for row, row_values, row_tokens in zip(
        rows, values[0].tolist(), tokens[0].tolist(), strict=True
    ):
        order = sorted(range(9), key=lambda token: -row[token])[:count]
        expected = [row[token] for token in order]
        assert row_values == expected
        real = sum(value > -math.inf for value in expected)
        assert row_tokens[:real] == order[:real]


def drawn_shares(options: SearchSettings) -> tuple[list[float], list[float]]:
    """How often each token was drawn first, of 4,000, and the decoder's scores."""
    decoder = TableDecoder(8)
    options = options.model_copy(update={"n_best": 4_000, "max_length": 1})
    (hypotheses,) = sample(SearchTask(decoder, {}, 1, options), [torch.Generator().manual_seed(1)])
    counts = [0] * VOCABULARY
    for hypothesis in hypotheses:
        counts[hypothesis.tokens[0] if hypothesis.tokens else EOS] += 1
    scores = decoder.step(torch.tensor([[BOS]]), *reversed(decoder.begin({}, 1)))[0]
    return [count / 4_000 for count in counts], scores[0, 0].tolist()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("top_k", [0, 3])
@pytest.mark.parametrize("top_p", [1.0, 0.6])
def test_words_are_drawn_as_often_as_they_should(
    temperature: float, top_k: int, top_p: float
) -> None:
    options = SearchSettings(method="sample", temperature=temperature, top_k=top_k, top_p=top_p)
    shares, scores = drawn_shares(options)
    chances = {token: math.exp(scores[token] / temperature) for token in [EOS, *WORDS]}
    ranked = sorted(chances, key=chances.__getitem__, reverse=True)[: top_k or None]
    whole, kept, mass = sum(chances[token] for token in ranked), [], 0.0
    for token in ranked:
        if mass < top_p:
            kept.append(token)
            mass += chances[token] / whole
    whole = sum(chances[token] for token in kept)
    expected = [chances[token] / whole if token in kept else 0.0 for token in range(VOCABULARY)]
    assert shares == pytest.approx(expected, abs=0.03)
    assert [share > 0 for share in shares] == [chance > 0 for chance in expected]


@pytest.mark.parametrize("noise", [0.0, 1 - 2**-24])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_extreme_noise_still_draws_what_may_be_drawn(noise: float, top_p: float) -> None:
    worth = torch.full((1, 500, 9), -math.inf)
    worth[..., 3:6] = torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    options = SearchSettings(method="sample", top_p=top_p)
    drawn = SampledCandidates(options, torch.full((1, 2, 500), noise))
    scored = StepScores(worth, worth, None, {})
    choice = drawn.choose(scored, torch.zeros(1, 500), torch.zeros(1, dtype=torch.long), step=1)
    assert choice.totals.isfinite().all()
