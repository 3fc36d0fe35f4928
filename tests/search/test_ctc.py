"""CTC in the search, against all its paths, the published algorithm as a loop, and torch's loss."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from naive_search import (
    VOCABULARY,
    WORDS,
    TableDecoder,
    all_sentences,
    alone,
    assert_same,
    automaton,
    follow,
    make_memory,
    naive_beam,
    text_of,
)
from torch import Tensor, nn

from multiattn.engine.attention_wrappers import Location
from multiattn.engine.batch import Targets
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.layouts import Tokens
from multiattn.engine.memory import Memory, MemorySpec, length_mask
from multiattn.engine.trees import tree_map
from multiattn.errors import UserError
from multiattn.recipe.settings import SearchSettings
from multiattn.search.beam import beam_search
from multiattn.search.ctc import TINY, CTCPrefix
from multiattn.search.ctc_search import Rescoring, ctc_search
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.scorers import LanguageModel, LengthReward
from multiattn.search.task import SearchTask
from multiattn.symbols import BOS, EOS, PAD, UNK

pytestmark = pytest.mark.usefixtures("double")

HEADS: Mapping[str, nn.Module] = {"ctc": nn.Identity()}  # the memory says its scores itself


def spoken(lengths: Sequence[int], symbols: int, sharpness: float = 1.0) -> Memory:
    mask = length_mask(torch.tensor(lengths), max(lengths))
    values = torch.randn(*mask.shape, symbols) * sharpness
    return Memory(values * mask.unsqueeze(2), mask, Tokens())


def additions(memory: Memory, words: Sequence[int]) -> Tensor:
    """What CTC adds after each prefix of ``words``, the empty and the whole one too: (T, B, V)."""
    scorer, batch_size = CTCPrefix(), len(memory.mask)
    shared, state = scorer.start({"sound": memory}, HEADS, batch_size)
    found = []
    for token in (BOS, *words):
        scores, state = scorer.score(torch.full((batch_size, 1), token), {}, state, shared)
        found.append(scores[:, 0])
    return torch.stack(found)


def total(memory: Memory, words: Sequence[int], last: int) -> Tensor:
    """The sum of additions of ``words`` and then ``last``, (B,)."""
    steps = additions(memory, words)
    return sum(
        (scores[:, token] for scores, token in zip(steps, (*words, last), strict=True)),
        torch.zeros(len(memory.mask)),
    )


def collapsed(path: Sequence[int]) -> tuple[int, ...]:
    """Graves et al. 2006, section 3.1: repeats are one, then blanks go."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != PAD)


def test_prefix_scores_are_the_sum_over_all_paths() -> None:
    symbols, lengths = 5, [4, 2, 1]
    memory = spoken(lengths, symbols, 2.0)
    for row, length in enumerate(lengths):
        shares = memory.values[row, :length].softmax(1).tolist()
        outputs: dict[tuple[int, ...], float] = {}
        for path in itertools.product(range(symbols), repeat=length):
            share = math.prod(slot[symbol] for slot, symbol in zip(shares, path, strict=True))
            outputs[collapsed(path)] = outputs.get(collapsed(path), 0.0) + share
        for words in all_words(range(UNK, symbols), length - 1):
            for token in range(UNK, symbols):
                begun = (*words, token)
                share = sum(p for said, p in outputs.items() if said[: len(begun)] == begun)
                if share:
                    found = float(total(memory, words, token)[row])
                    assert found == pytest.approx(math.log(share), abs=1e-9)
            if words in outputs:
                found = float(total(memory, words, EOS)[row])
                assert found == pytest.approx(math.log(outputs[words]), abs=1e-9)


def all_words(symbols: Sequence[int], longest: int) -> list[tuple[int, ...]]:
    return [
        words
        for length in range(longest + 1)
        for words in itertools.product(symbols, repeat=length)
    ]


def plus(*logs: float) -> float:
    """log Σ exp."""
    peak = max(logs)
    if peak == -math.inf:
        return peak
    return peak + math.log(math.fsum(math.exp(log - peak) for log in logs))


class Loop:
    """Watanabe et al. 2017, algorithm 2, line by line, for one input: log-probabilities (S, V)."""

    def __init__(self, heard: list[list[float]]) -> None:
        self.heard = heard
        self.paths = cache(self._paths)

    def _paths(self, words: tuple[int, ...]) -> tuple[list[float], list[float], float]:
        """Per slot γn and γb of ``words``, and Ψ; the empty ones begin with all blank."""
        slots = len(self.heard)
        if not words:
            blank = list(itertools.accumulate(slot[PAD] for slot in self.heard))
            return [-math.inf] * slots, blank, 0.0
        before, token = words[:-1], words[-1]
        old_word, old_blank, _ = self.paths(before)
        word = [self.heard[0][token] if not before else -math.inf]
        blank, prefix = [-math.inf], word[0]
        for t in range(1, slots):
            repeats = bool(before) and before[-1] == token
            reached = plus(old_blank[t - 1], -math.inf if repeats else old_word[t - 1])
            word.append(plus(word[t - 1], reached) + self.heard[t][token])
            blank.append(plus(blank[t - 1], word[t - 1]) + self.heard[t][PAD])
            prefix = plus(prefix, reached + self.heard[t][token])
        return word, blank, prefix

    def __call__(self, words: tuple[int, ...], token: int) -> float:
        word, blank, prefix = self.paths(words)
        after = plus(word[-1], blank[-1]) if token == EOS else self.paths((*words, token))[2]
        return after - prefix if after > -math.inf else math.log(TINY) * (len(self.heard) + 1)


def loop_of(memory: Memory, row: int) -> Loop:
    return Loop(memory.values[row, memory.mask[row]].log_softmax(1).tolist())


def test_additions_are_those_of_the_published_loop() -> None:
    memory = spoken([40, 23, 9], VOCABULARY, 3.0)
    words = (3, 4, 4, 6, 3, 3, 5, 6)
    steps = additions(memory, words)
    for row in range(3):
        loop = loop_of(memory, row)
        for place, scores in enumerate(steps):
            for token in (EOS, *WORDS):
                expected = loop(words[:place], token)
                assert float(scores[row, token]) == pytest.approx(expected, abs=1e-9)


def test_an_output_s_additions_sum_to_minus_its_ctc_loss() -> None:
    memory = spoken([300, 120], 30, 4.0)
    words = torch.randint(UNK, 30, (40,)).tolist()
    loss = F.ctc_loss(
        memory.values.log_softmax(2).transpose(0, 1),
        torch.tensor([words, words]),
        memory.mask.sum(1),
        torch.tensor([40, 40]),
        reduction="none",
    )
    torch.testing.assert_close(total(memory, words, EOS), -loss, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sharpness", [0.1, 5.0, 60.0])
def test_long_inputs_and_improbable_tokens_have_scores(sharpness: float) -> None:
    memory = spoken([1500, 700], 12, sharpness)
    words = torch.randint(UNK, 12, (150,)).tolist()
    steps = additions(memory, words)
    assert steps.isfinite().all()
    assert float(steps.max()) <= 0.0
    loop = loop_of(memory, 1)
    for place in (0, 1, 75, 150):
        for token in (EOS, 3, words[place - 1]):
            expected = loop(tuple(words[:place]), token)
            assert float(steps[place, 1, token]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_what_the_slots_cannot_hold_costs_much_and_not_everything() -> None:
    memory = spoken([2, 5], VOCABULARY)
    steps = additions(memory, (3, 3))
    worst = math.log(TINY) * 3  # two slots, each with its least likely symbol, are better
    assert float(steps[1, 0, 3]) == worst  # a blank must be between: three slots
    assert (steps[2, 0, [EOS, 4]] == worst).all()  # whatever follows is no better
    assert float(steps[1, 1, 3]) > -50


def test_scores_that_are_not_numbers_are_said_to_be_so() -> None:
    memory = spoken([4], VOCABULARY)
    memory.values[:] = math.nan
    scorers = [(CTCPrefix(), 1.0)]
    with pytest.raises(UserError, match="not numbers"):
        beam_search(
            SearchTask(
                TableDecoder(1),
                {"sound": memory},
                1,
                SearchSettings(),
                scorers=scorers,
                heads=HEADS,
            )
        )


def test_an_input_without_the_source_is_not_judged() -> None:
    assert not additions(spoken([3, 0], VOCABULARY), (3, 4))[:, 1].any()


def test_padding_and_company_change_no_addition() -> None:
    memory = spoken([30, 7, 1], VOCABULARY, 2.0)
    together = additions(memory, (3, 5, 5, 4))
    for row in range(3):
        (single,) = alone({"sound": memory}, row).values()
        torch.testing.assert_close(
            additions(single, (3, 5, 5, 4))[:, 0], together[:, row], rtol=1e-12, atol=1e-12
        )


def test_hypotheses_side_by_side_are_reordered_by_indexing() -> None:
    memory, scorer = spoken([12, 8], VOCABULARY), CTCPrefix()
    shared, state = scorer.start({"sound": memory}, HEADS, 2)
    _, state = scorer.score(torch.full((2, 1), BOS), {}, state, shared)
    state = tree_map(lambda leaf: leaf[:, [0, 0]], state)
    _, state = scorer.score(torch.tensor([[3, 4], [5, 3]]), {}, state, shared)
    state = tree_map(lambda leaf: leaf[:, [1, 0]], state)
    found, _ = scorer.score(torch.tensor([[4, 3], [6, 6]]), {}, state, shared)
    written = [[(4, 4), (3, 3)], [(3, 6), (5, 6)]]
    for row, hypotheses in enumerate(written):
        for place, words in enumerate(hypotheses):
            torch.testing.assert_close(found[row, place], additions(memory, words)[2, row])


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("weight", [0.5, 2.0])
@pytest.mark.parametrize("beam", [3, 60])
def test_ctc_joins_as_in_the_naive_beam(beam: int, weight: float, length_penalty: float) -> None:
    memories = {"sound": make_memory([6, 3, 1], 5), "photo": make_memory([2, 4, 3], 6)}
    decoder, heads = TableDecoder(5), {"ctc-sound": nn.Identity()}
    options = SearchSettings(beam=beam, n_best=3, max_length=6, length_penalty=length_penalty)
    scorers = [(CTCPrefix(source="sound"), weight)]
    found = beam_search(SearchTask(decoder, memories, 3, options, scorers=scorers, heads=heads))
    for row, hypotheses in enumerate(found):
        loop = loop_of(memories["sound"], row)
        following = follow(decoder, alone(memories, row))

        def extra(words: tuple[int, ...], token: int, loop: Loop = loop) -> float:
            return weight * loop(words, token)

        assert_same(hypotheses, naive_beam(following, 6, options, "", extra))


def lstm(**keywords: Any) -> LSTMDecoder:
    specs = {"sound": MemorySpec(VOCABULARY)}
    decoder = LSTMDecoder(VOCABULARY, specs, embedding_dim=8, hidden_dim=10, **keywords)
    with torch.no_grad():  # untrained scores are nearly uniform; make them decide
        for parameter in decoder.parameters():
            parameter.mul_(3)
    return decoder.eval()


def decode(method: str, decoder: Any, memory: Memory) -> list[list[Any]]:
    beam, way = {"greedy": (1, "beam"), "beam": (4, "beam"), "ctc": (4, "ctc")}[method]
    options = SearchSettings(
        method=way, beam=beam, n_best=min(beam, 2), max_length=9, length_penalty=0.0
    )
    search: Callable[..., Any] = ctc_search if method == "ctc" else beam_search
    scorers = [(CTCPrefix(), 0.7), (LanguageModel(TableDecoder(3)), 0.2)]
    found: list[list[Any]] = search(
        SearchTask(decoder, {"sound": memory}, len(memory.mask), options, scorers, HEADS)
    )
    return found


@pytest.mark.parametrize("method", ["greedy", "beam", "ctc"])
@pytest.mark.parametrize("window", [0, 2])
def test_a_batch_of_recordings_is_its_recordings_one_by_one(method: str, window: int) -> None:
    def attention(query_dim: int, memory_dim: int) -> Location:
        return Location(query_dim, memory_dim, filters=3, width=5, window=window)

    decoder = lstm(attention=attention)
    memory = spoken([3, 17, 1, 9, 26, 5], VOCABULARY, 2.0)
    together = decode(method, decoder, memory)
    for row, hypotheses in enumerate(together):
        (single,) = decode(method, decoder, alone({"sound": memory}, row)["sound"])
        assert [h.tokens for h in single] == [h.tokens for h in hypotheses]
        for one, other in zip(single, hypotheses, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-9)
            torch.testing.assert_close(one.attention["sound"], other.attention["sound"])


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_rescoring_all_that_can_be_said_is_brute_force(length_penalty: float) -> None:
    memories, decoder = {"sound": make_memory([5, 2, 3], 4)}, TableDecoder(4)
    options = SearchSettings(
        method="ctc", beam=100, max_length=3, length_penalty=length_penalty, n_best=4
    )
    scorers = [(CTCPrefix(), 0.6), (LengthReward(), 0.3)]
    found = ctc_search(SearchTask(decoder, memories, 3, options, scorers=scorers, heads=HEADS))
    for row, hypotheses in enumerate(found):
        following, loop = follow(decoder, alone(memories, row)), loop_of(memories["sound"], row)
        scored = []
        for words in all_sentences(3):
            score = sum(
                following(words[:at]).log_probabilities[token] + 0.6 * loop(words[:at], token) + 0.3
                for at, token in enumerate((*words, EOS))
            )
            scored.append((score / (len(words) + 1) ** length_penalty, words))
        best = sorted(scored, reverse=True)[:4]
        assert [hypothesis.tokens for hypothesis in hypotheses] == [words for _, words in best]
        assert [h.score for h in hypotheses] == pytest.approx([score for score, _ in best])


def test_what_the_head_proposes_is_what_it_finds_likeliest() -> None:
    """The decoder has no voice in it: only in the order of what was found."""
    memories, limit = {"sound": make_memory([6, 4], 9)}, 3
    options = SearchSettings(method="ctc", beam=5, n_best=5, max_length=limit, length_penalty=0.0)
    for seed in (1, 2):
        found = ctc_search(SearchTask(TableDecoder(seed), memories, 2, options, heads=HEADS))
        for row, hypotheses in enumerate(found):
            loop = loop_of(memories["sound"], row)
            likely = {
                words: sum(loop(words[:at], token) for at, token in enumerate((*words, EOS)))
                for words in all_sentences(limit)
            }
            proposed = beam_search(SearchTask(Silent(loop), {}, 1, options))
            assert {h.tokens for h in hypotheses} == {h.tokens for h in proposed[0]}
            assert max(likely, key=likely.__getitem__) in {h.tokens for h in hypotheses}
            assert hypotheses[0].score == max(h.score for h in hypotheses)


class Silent:
    """The loop as a decoder of its own, for one input: an independent way to the head's beam."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    def begin(self, memories: object, batch_size: int) -> tuple[None, Any]:
        return None, torch.zeros(1, 1, 0, dtype=torch.long)

    def step(self, tokens: Tensor, state: Tensor, shared: None) -> tuple[Tensor, Tensor, Any]:
        written = torch.cat([state, tokens.unsqueeze(2)], 2)
        rows = [
            [self.loop(tuple(words[1:]), token) for token in (EOS, *WORDS)]
            for words in written[0].tolist()
        ]
        scores = torch.full((1, len(rows), VOCABULARY), -math.inf)
        scores[0, :, EOS:] = torch.tensor(rows)
        return scores, written, {}


def test_a_rescored_hypothesis_brings_what_teacher_forcing_gives() -> None:
    decoder, memory = lstm(), spoken([7, 4, 11], VOCABULARY, 2.0)
    for row, hypotheses in enumerate(decode("ctc", decoder, memory)):
        for hypothesis in hypotheses:
            tokens = torch.tensor([[*hypothesis.tokens, EOS]])
            single = alone({"sound": memory}, row)
            targets = Targets(tokens, torch.tensor([tokens.shape[1]]))
            with torch.no_grad():
                output = decoder(targets, single, keep=("weights",))
            likely = output.scores.log_softmax(1).gather(1, tokens.T).squeeze(1)
            assert hypothesis.token_log_probabilities == pytest.approx(likely.tolist(), abs=1e-9)
            torch.testing.assert_close(
                hypothesis.attention["sound"], output.kept["weights"]["sound"][0]
            )


def test_rules_hold_for_what_the_head_proposes_and_inputs_may_differ_in_number() -> None:
    memories = {"sound": make_memory([5, 5, 5], 2)}
    options = SearchSettings(method="ctc", beam=4, n_best=4, max_length=2, min_length=1)
    prefixes = ["", "a ab", "a"]
    automata = [automaton(prefix) for prefix in prefixes]
    found = ctc_search(
        SearchTask(TableDecoder(1), memories, 3, options, heads=HEADS, prefixes=automata)
    )
    assert [len(hypotheses) for hypotheses in found] == [4, 1, 4]
    for prefix, hypotheses in zip(prefixes, found, strict=True):
        for hypothesis in hypotheses:
            assert text_of(hypothesis.tokens).startswith(prefix)
            assert 1 <= len(hypothesis.tokens) <= 2


def test_given_words_keep_their_places_whoever_ends_first() -> None:
    def hypothesis(score: float, *tokens: int) -> Hypothesis:
        return Hypothesis(tokens, score, score, (), {})

    found = [
        [hypothesis(-1.0, 3), hypothesis(-2.0, 4, 5, 6)],
        [hypothesis(-3.0), hypothesis(-4.0, 5, 5), hypothesis(-5.0, 6)],
    ]
    given = Rescoring.of(found, 0.5, torch.zeros(()))
    assert given.width == 3
    assert given.earned.tolist() == [[-1.0, -0.5, 0.0], [-2.0, -2.5, -1.5]]
    assert given.tokens.tolist() == [
        [[4, 5, 6, EOS], [3, EOS, PAD, PAD], [PAD] * 4],
        [[5, 5, EOS, PAD], [6, EOS, PAD, PAD], [EOS, PAD, PAD, PAD]],
    ]


@pytest.mark.parametrize("search", [beam_search, ctc_search])
def test_a_model_without_the_head_is_refused(search: Callable[..., Any]) -> None:
    memories = {"sound": make_memory([3])}
    with pytest.raises(UserError, match="needs the head 'ctc' in the model, got no heads; train"):
        search(SearchTask(TableDecoder(1), memories, 1, SearchSettings(), [(CTCPrefix(), 1.0)]))


def test_an_unknown_source_is_refused_and_one_must_be_named_among_several() -> None:
    memories = {"sound": make_memory([3]), "photo": make_memory([2])}
    with pytest.raises(UserError, match="got 'speech'; choose one of sound, photo"):
        CTCPrefix(source="speech").start(memories, HEADS, 1)
    with pytest.raises(UserError, match="needs the name of one source, got None"):
        CTCPrefix().start(memories, HEADS, 1)
    with pytest.raises(UserError, match="the head 'ctc-photo' in the model, got ctc-sound"):
        CTCPrefix(source="photo").start(memories, {"ctc-sound": nn.Identity()}, 1)
