"""What a search does with hypotheses: when they end, when inputs leave, what they may not say."""

from __future__ import annotations

import math

import pytest
import torch
from naive_search import (
    CODES,
    TableDecoder,
    assert_same,
    automaton,
    follow,
    make_memory,
    naive_beam,
    text_of,
)

from multiattn.errors import UserError
from multiattn.recipe.settings import SearchSettings
from multiattn.search.beam import beam_search
from multiattn.search.sampling import sample
from multiattn.search.task import SearchTask
from multiattn.symbols import BOS, EOS, UNK


@pytest.mark.parametrize("beam", [1, 4])
def test_finished_inputs_leave_the_batch_at_once(beam: int) -> None:
    decoder = TableDecoder(4)
    memories = {"source": make_memory([1, 2, 3, 4, 2, 1])}
    found = beam_search(
        SearchTask(decoder, memories, 6, SearchSettings(beam=beam, n_best=beam, max_length=20))
    )
    sizes = [shape[0] for shape in decoder.seen]
    longest = [max(len(h.tokens) for h in hypotheses) + 1 for hypotheses in found]
    assert len(set(longest)) > 1
    assert sizes == [sum(last > step for last in longest) for step in range(max(longest))]


def test_the_beam_is_as_wide_as_what_has_not_ended() -> None:
    decoder = TableDecoder(4, end_bias=-1.0)
    beam_search(
        SearchTask(decoder, {}, 1, SearchSettings(beam=4, n_best=4, max_length=20, min_length=1))
    )
    widths = [shape[1] for shape in decoder.seen]
    assert widths[:2] == [1, 4]
    assert widths[1:] == sorted(widths[1:], reverse=True)
    assert widths[-1] < 4


def test_nothing_is_written_that_could_not_be_kept() -> None:
    decoder = TableDecoder(6, end_bias=6.0)
    plain = SearchSettings(beam=4, max_length=50, length_penalty=0.0)
    (short,) = beam_search(SearchTask(decoder, {}, 1, plain))
    assert len(decoder.seen) == 1
    assert_same(short, naive_beam(follow(decoder, {}), 50, plain))


@pytest.mark.parametrize(
    ("length_penalty", "ending", "words"),
    [(1.0, 0.7, 9), (-1.0, 0.1, 1)],  # the mean favours the long one, its opposite the short one
)
def test_a_hypothesis_that_may_still_win_is_followed(
    length_penalty: float, ending: float, words: int
) -> None:
    """The end is first in the race, but the best output is ``words`` words that follow for sure."""
    decoder = TableDecoder(0)
    decoder.scores[:] = -50.0
    code = BOS + 1
    decoder.scores[code, [EOS, UNK]] = torch.tensor([ending, 1 - ending]).double().log()
    for _ in range(words):
        code = (code * 31 + UNK + 1) % CODES
        decoder.scores[code, UNK] = 0.0
    decoder.scores[code, [EOS, UNK]] = torch.tensor([0.0, -50.0]).double()
    options = SearchSettings(beam=2, max_length=40, length_penalty=length_penalty)
    ((best,),) = beam_search(SearchTask(decoder, {}, 1, options))
    assert best.tokens == (UNK,) * words
    assert best.score == pytest.approx(math.log(1 - ending) / (words + 1) ** length_penalty)


def test_a_limit_is_of_the_input_and_not_of_its_padding() -> None:
    decoder = TableDecoder(1, end_bias=-50.0)
    memories = {"short": make_memory([1, 1, 1]), "long": make_memory([2, 8, 5])}
    found = beam_search(
        SearchTask(
            decoder, memories, 3, SearchSettings(beam=2, max_length=17, max_length_ratio=1.25)
        )
    )
    assert [len(best.tokens) for (best,) in found] == [12, 17, 16]


@pytest.mark.parametrize("method", ["beam", "sample"])
def test_lengths_stay_between_their_limits(method: str) -> None:
    options = SearchSettings(beam=4, n_best=4, min_length=2, max_length=3)
    generators = [torch.Generator().manual_seed(row) for row in range(8)]
    memories = {"source": make_memory([2] * 8)}
    found = (
        beam_search(SearchTask(TableDecoder(1), memories, 8, options))
        if method == "beam"
        else sample(SearchTask(TableDecoder(1), memories, 8, options), generators)
    )
    assert {len(h.tokens) for hypotheses in found for h in hypotheses} == {2, 3}


@pytest.mark.parametrize("method", ["beam", "sample"])
def test_every_output_begins_with_its_prefix(method: str) -> None:
    prefixes = ["", "a ", "ab ab ab", "aa"]
    memories = {"source": make_memory([1, 2, 3, 2])}
    options = SearchSettings(
        beam=3, n_best=3, block_ngrams=1, max_length=2
    )  # neither holds in a prefix
    generators = [torch.Generator().manual_seed(row) for row in range(4)]
    automata = [automaton(prefix) for prefix in prefixes]
    task = SearchTask(TableDecoder(1), memories, 4, options, prefixes=automata)
    found = beam_search(task) if method == "beam" else sample(task, generators)
    for prefix, hypotheses in zip(prefixes, found, strict=True):
        for hypothesis in hypotheses:
            assert text_of(hypothesis.tokens).startswith(prefix)
            assert len(hypothesis.tokens) <= (3 if prefix == "ab ab ab" else 2)


@pytest.mark.parametrize(
    ("options", "prefixes", "message"),
    [
        (SearchSettings(), ["a"], "expected a prefix for each of 2 inputs, got 1"),
        (SearchSettings(), ["a", "a ba a"], "no pieces of its vocabulary spell 'ba'; leave that"),
        (
            SearchSettings(block_ngrams=1, min_length=9),
            [],
            "got none for number 0; min_length, block_ngrams",
        ),
    ],
)
def test_what_cannot_be_searched_is_said_in_a_sentence(
    options: SearchSettings, prefixes: list[str], message: str
) -> None:
    def search() -> None:
        automata = [automaton(prefix) for prefix in prefixes]
        beam_search(SearchTask(TableDecoder(1), {}, 2, options, prefixes=automata))

    with pytest.raises(UserError, match=message):
        search()


def test_scores_that_are_not_numbers_are_said_to_be_so() -> None:
    decoder = TableDecoder(1)
    decoder.scores[:] = math.nan
    with pytest.raises(UserError, match="not numbers"):
        beam_search(SearchTask(decoder, {}, 1, SearchSettings(max_length=3)))
