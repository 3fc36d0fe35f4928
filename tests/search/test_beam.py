"""Search against brute force, against a naive beam in plain Python, and against itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies
from naive_search import (
    VOCABULARY,
    WORDS,
    Following,
    Step,
    TableDecoder,
    all_sentences,
    alone,
    assert_same,
    automaton,
    begins,
    follow,
    make_memory,
    naive_beam,
)
from pydantic import ValidationError

from multiattn.engine.attention_wrappers import Gated
from multiattn.engine.batch import Targets
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.recurrence_variants import Adaptive
from multiattn.errors import UserError
from multiattn.recipe.settings import SearchSettings
from multiattn.search.beam import beam_search
from multiattn.search.panel import Ensemble
from multiattn.search.sampling import sample
from multiattn.search.scorers import CoveragePenalty, LanguageModel, LengthReward
from multiattn.search.task import SearchTask
from multiattn.symbols import EOS, PAD


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 0.6, -0.5])
def test_a_beam_that_holds_everything_is_brute_force(length_penalty: float) -> None:
    memories = {"source": make_memory([2, 3])}
    decoder = TableDecoder(1)
    options = SearchSettings(beam=400, n_best=5, max_length=4, length_penalty=length_penalty)
    found = beam_search(SearchTask(decoder, memories, 2, options))
    for row, hypotheses in enumerate(found):
        following = follow(decoder, alone(memories, row))
        scored = []
        for words in all_sentences(4):
            total = sum(
                following(words[:at]).log_probabilities[token]
                for at, token in enumerate((*words, EOS))
            )
            scored.append((total / (len(words) + 1) ** length_penalty, words))
        best = sorted(scored, reverse=True)[:5]
        assert [hypothesis.tokens for hypothesis in hypotheses] == [words for _, words in best]
        assert [h.score for h in hypotheses] == pytest.approx([score for score, _ in best])


@pytest.mark.parametrize("prefix", ["a", "a ", "ab", "a a", "aa"])
def test_the_best_output_is_the_best_of_all_whose_text_begins_with_the_prefix(prefix: str) -> None:
    decoder = TableDecoder(5)
    options = SearchSettings(beam=400, n_best=5, max_length=4)
    (found,) = beam_search(SearchTask(decoder, {}, 1, options, prefixes=[automaton(prefix)]))
    following, scored = follow(decoder, {}), []
    for words in all_sentences(4):
        if begins(words, prefix):
            tokens = enumerate((*words, EOS))
            total = sum(following(words[:at]).log_probabilities[token] for at, token in tokens)
            scored.append((total / (len(words) + 1), words))
    assert len({words[0] for _, words in scored}) > 1
    best = sorted(scored, reverse=True)[:5]
    assert [hypothesis.tokens for hypothesis in found] == [words for _, words in best]
    assert [h.score for h in found] == pytest.approx([score for score, _ in best])


search_options = strategies.builds(
    SearchSettings,
    beam=strategies.integers(2, 6),
    n_best=strategies.integers(1, 2),
    max_length=strategies.integers(1, 9),
    max_length_ratio=strategies.sampled_from([None, 0.1, 1.0]),
    min_length=strategies.integers(0, 4),
    length_penalty=strategies.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0]),
    block_ngrams=strategies.integers(0, 3),
)


@settings(max_examples=40, deadline=None)
@given(
    seed=strategies.integers(0, 10**6),
    sharpness=strategies.sampled_from([1.0, 4.0]),
    lengths=strategies.lists(strategies.integers(1, 4), min_size=1, max_size=4),
    options=search_options,
    prefixes=strategies.lists(
        strategies.sampled_from(["", "a", "a ", "ab", "aa", "ab a", "a ab", "aaa ab a"]),
        min_size=4,
        max_size=4,
    ),
)
def test_a_beam_is_what_the_naive_one_finds(
    seed: int,
    sharpness: float,
    lengths: list[int],
    options: SearchSettings,
    prefixes: list[str],
) -> None:
    memories, batch_size = {"source": make_memory(lengths, seed)}, len(lengths)
    decoder = TableDecoder(seed, sharpness=sharpness)
    expected = []
    for row, length in enumerate(lengths):
        limit = options.max_length
        if options.max_length_ratio is not None:
            limit = min(limit, int(length * options.max_length_ratio) + 10)
        following = follow(decoder, alone(memories, row))
        expected.append(naive_beam(following, limit, options, prefixes[row]))
    automata = [automaton(prefix) for prefix in prefixes[:batch_size]]
    task = SearchTask(decoder, memories, batch_size, options, prefixes=automata)
    if not all(expected):  # one word never twice, and too many asked for
        with pytest.raises(UserError, match="got none for number"):
            beam_search(task)
        return
    found = beam_search(task)
    for hypotheses, naive in zip(found, expected, strict=True):
        assert_same(hypotheses, naive)


@settings(max_examples=25, deadline=None)
@given(
    seed=strategies.integers(0, 10**6),
    weights=strategies.tuples(*[strategies.floats(-1, 2).map(lambda w: round(w, 2))] * 3),
    options=search_options,
)
def test_weighted_scorers_join_as_in_the_naive_beam(
    seed: int, weights: tuple[float, float, float], options: SearchSettings
) -> None:
    options = options.model_copy(update={"block_ngrams": 0})
    fusion, reward, coverage = weights
    memories = {"a": make_memory([3, 1, 2], seed), "b": make_memory([1, 4, 2], seed + 1)}
    decoder, language = TableDecoder(seed), TableDecoder(seed + 1)
    scorers = [
        (LanguageModel(language), fusion),
        (LengthReward(), reward),
        (CoveragePenalty(source="a"), coverage),
    ]
    found = beam_search(SearchTask(decoder, memories, 3, options, scorers=scorers))
    spoken = follow(language, {})
    for row, hypotheses in enumerate(found):
        following = follow(decoder, alone(memories, row))

        def extra(words: tuple[int, ...], token: int) -> float:
            return fusion * spoken(words).log_probabilities[token] + reward

        def final(words: tuple[int, ...], following: Following = following) -> float:
            looks = [following(words[:at]).weights["a"] for at in range(len(words) + 1)]
            covered = [min(sum(column), 1.0) for column in zip(*looks, strict=True)]
            return coverage * sum(math.log(share) for share in covered)

        longest = max(int(memory.mask[row].sum()) for memory in memories.values())
        limit = options.max_length
        if options.max_length_ratio is not None:
            limit = min(limit, int(longest * options.max_length_ratio) + 10)
        assert_same(hypotheses, naive_beam(following, limit, options, "", extra, final))


def test_a_beam_of_one_takes_the_likeliest_word_every_time() -> None:
    memories = {"source": make_memory([2, 4, 1, 3])}
    decoder = TableDecoder(3)
    found = beam_search(SearchTask(decoder, memories, 4, SearchSettings(beam=1, max_length=12)))
    for row, (hypothesis,) in enumerate(found):
        following, words = follow(decoder, alone(memories, row)), ()
        while len(words) < 12:
            likely = following(words).log_probabilities
            token = max([EOS, *WORDS], key=likely.__getitem__)
            if token == EOS:
                break
            words = (*words, token)
        assert hypothesis.tokens == words


def lstm(**keywords: Any) -> LSTMDecoder:
    torch.manual_seed(5)
    specs = {"a": MemorySpec(VOCABULARY), "b": MemorySpec(VOCABULARY)}
    decoder = LSTMDecoder(VOCABULARY, specs, embedding_dim=8, hidden_dim=10, **keywords)
    with torch.no_grad():  # untrained scores are nearly uniform; make them decide
        for parameter in decoder.parameters():
            parameter.mul_(4)
    return decoder.double().eval()


def lstm_memories() -> dict[str, Memory]:
    return {"a": make_memory([3, 5, 1, 2, 4], 7), "b": make_memory([2, 1, 6, 3, 3], 8)}


def decoded(method: str, decoder: Any, memories: Any, rows: Sequence[int]) -> list[list[Any]]:
    options = SearchSettings(beam=4, n_best=3, max_length=9, max_length_ratio=0.5)
    if method == "greedy":
        options = SearchSettings(beam=1, max_length=9)
    if method == "sample":
        seeds = [torch.Generator().manual_seed(100 + row) for row in rows]
        return sample(SearchTask(decoder, memories, len(rows), options), seeds)
    return beam_search(SearchTask(decoder, memories, len(rows), options))


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
@pytest.mark.parametrize("kind", ["table", "lstm"])
def test_an_input_is_decoded_alone_as_in_a_batch(method: str, kind: str) -> None:
    memories = lstm_memories()
    decoder = TableDecoder(11) if kind == "table" else lstm()
    together = decoded(method, decoder, memories, range(5))
    for row in range(5):
        (single,) = decoded(method, decoder, alone(memories, row), [row])
        assert [h.tokens for h in single] == [h.tokens for h in together[row]]
        for one, other in zip(single, together[row], strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-9)
            for name in memories:
                torch.testing.assert_close(one.attention[name], other.attention[name])
    backwards = {name: memory.select(torch.arange(4, -1, -1)) for name, memory in memories.items()}
    reversed_outputs = decoded(method, decoder, backwards, range(4, -1, -1))[::-1]
    tokens = [[h.tokens for h in hypotheses] for hypotheses in together]
    assert [[h.tokens for h in hypotheses] for hypotheses in reversed_outputs] == tokens


@pytest.mark.parametrize("parts", [{}, {"attention": Gated}, {"recurrence": Adaptive}], ids=str)
def test_the_lstm_decoder_under_a_wide_beam_is_brute_force(parts: dict[str, Any]) -> None:
    memories, decoder = lstm_memories(), lstm(**parts)
    found = beam_search(
        SearchTask(decoder, memories, 5, SearchSettings(beam=100, max_length=3, length_penalty=0.0))
    )
    sentences = all_sentences(3)
    padded = torch.tensor([[*words, EOS] + [PAD] * (3 - len(words)) for words in sentences])
    targets = Targets(padded, torch.tensor([len(words) + 1 for words in sentences]))
    for row, (best,) in enumerate(found):
        repeated = {
            name: memory.select(torch.full((len(sentences),), row))
            for name, memory in memories.items()
        }
        with torch.no_grad():
            output = decoder(targets, repeated)
        gold = padded[output.rows, output.steps]
        own = output.scores.log_softmax(1).gather(1, gold[:, None]).squeeze(1)
        totals = torch.zeros(len(sentences), dtype=own.dtype).index_add(0, output.rows, own)
        assert best.tokens == sentences[int(totals.argmax())]
        assert best.score == pytest.approx(float(totals.max()), abs=1e-9)


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_attention_is_that_of_teacher_forcing_along_the_output(method: str) -> None:
    memories, decoder = lstm_memories(), lstm()
    for row, hypotheses in enumerate(decoded(method, decoder, memories, range(5))):
        for hypothesis in hypotheses:
            tokens = torch.tensor([[*hypothesis.tokens, EOS]])
            targets = Targets(tokens, torch.tensor([tokens.shape[1]]))
            with torch.no_grad():
                output = decoder(targets, alone(memories, row), keep=("weights",))
            for name, memory in memories.items():
                recorded = hypothesis.attention[name]
                assert recorded.shape == (tokens.shape[1], int(memory.mask[row].sum()))
                torch.testing.assert_close(recorded, output.kept["weights"][name][0])
            likely = output.scores.log_softmax(1).gather(1, tokens.T).squeeze(1)
            assert hypothesis.token_log_probabilities == pytest.approx(likely.tolist(), abs=1e-9)
            assert hypothesis.log_probability == pytest.approx(float(likely.sum()), abs=1e-9)


def test_a_source_that_an_input_lacks_has_no_attention() -> None:
    memories = {"a": make_memory([3, 2])}
    memories["a"].mask[1] = False
    first, second = beam_search(
        SearchTask(TableDecoder(2), memories, 2, SearchSettings(max_length=4))
    )
    assert first[0].attention["a"].shape[1] == 3
    assert second[0].attention["a"].shape == (len(second[0].tokens) + 1, 0)


def test_an_ensemble_averages_probabilities() -> None:
    first, second = lstm(), TableDecoder(9)
    memories = [lstm_memories(), {"a": make_memory([2, 2, 1, 3, 1], 9)}]
    options = SearchSettings(beam=3, n_best=2, max_length=6)
    found = beam_search(SearchTask(Ensemble([first, second]), memories, 5, options))
    for row, hypotheses in enumerate(found):
        members = [
            follow(decoder, alone(seen, row))
            for decoder, seen in zip((first, second), memories, strict=True)
        ]

        def averaged(words: tuple[int, ...], members: list[Following] = members) -> Step:
            with torch.no_grad():
                steps = [member(words) for member in members]
            pairs = zip(*(step.log_probabilities for step in steps), strict=True)
            mean = [math.log((math.exp(one) + math.exp(two)) / 2) for one, two in pairs]
            return Step(mean, steps[0].weights)

        assert_same(hypotheses, naive_beam(averaged, 6, options))
        for hypothesis in hypotheses:
            words = hypothesis.tokens
            looks = [averaged(words[:at]).weights["a"] for at in range(len(words) + 1)]
            torch.testing.assert_close(
                hypothesis.attention["a"], torch.tensor(looks, dtype=torch.double)
            )


def test_an_ensemble_of_one_decoder_twice_is_that_decoder() -> None:
    memories, decoder = lstm_memories(), lstm()
    options = SearchSettings(beam=3, max_length=6)
    twice = beam_search(SearchTask(Ensemble([decoder, decoder]), [memories, memories], 5, options))
    once = beam_search(SearchTask(decoder, memories, 5, options))
    assert [best.tokens for (best,) in twice] == [best.tokens for (best,) in once]


def test_the_same_generators_draw_the_same_and_others_do_not() -> None:
    memories = {"source": make_memory([2, 2])}
    options = SearchSettings(n_best=2, max_length=12)

    def draw(*seeds: int) -> list[list[tuple[int, ...]]]:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        found = sample(SearchTask(TableDecoder(1, end_bias=-2.0), memories, 2, options), generators)
        return [[h.tokens for h in hypotheses] for hypotheses in found]

    assert draw(1, 2) == draw(1, 2)
    assert draw(1, 2) != draw(3, 4)
    assert draw(1, 2)[0] == draw(1, 4)[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"beam": 2, "n_best": 3}, "at most 2, the beam"),
        ({"beam": 2, "n_best": 3, "method": "ctc"}, "at most 2, the beam"),
        ({"temperature": 0.7}, "1.0 with method 'beam' .or method: sample"),
        ({"top_k": 4}, "0 with method 'beam'"),
        ({"top_p": 0.9, "method": "ctc"}, "1.0 with method 'ctc'"),
    ],
)
def test_settings_that_a_method_would_ignore_are_refused(
    options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        SearchSettings(**options)
    whole = SearchSettings(method="sample", beam=1, n_best=3, temperature=0.7, top_k=4, top_p=0.9)
    assert SearchSettings(**whole.model_dump()) == whole
    assert SearchSettings(**SearchSettings().model_dump()) == SearchSettings()


def test_search_leaves_no_gradients_behind() -> None:
    decoder = lstm().requires_grad_()
    ((best,), *_) = beam_search(
        SearchTask(decoder, lstm_memories(), 5, SearchSettings(max_length=3))
    )
    assert not best.attention["a"].requires_grad


def test_half_precision_scores_are_summed_in_single() -> None:
    decoder = TableDecoder(1)
    decoder.scores = decoder.scores.bfloat16()
    ((best,),) = beam_search(SearchTask(decoder, {}, 1, SearchSettings(beam=2, max_length=5)))
    decoder.scores = decoder.scores.float()
    following = follow(decoder, {})
    expected = [
        following(best.tokens[:at]).log_probabilities[token]
        for at, token in enumerate((*best.tokens, EOS))
    ]
    assert best.token_log_probabilities == pytest.approx(expected, abs=1e-5)
