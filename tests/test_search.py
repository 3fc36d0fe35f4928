"""Search against brute force, against a naive beam in plain Python, and against itself."""

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies
from torch import Tensor

from multiattn.choosing import Drawn, top_tokens
from multiattn.decoder import LSTMDecoder, Targets
from multiattn.errors import UserError
from multiattn.memory import Memory, MemorySpec, Tokens, length_mask
from multiattn.scorers import CoveragePenalty, LanguageModel, LengthReward, Scored
from multiattn.search import Ensemble, beam_search, sample
from multiattn.settings import Search
from multiattn.tokenizer import BOS, EOS, PAD, UNK

VOCABULARY = 7  # two symbols that are never chosen, the end, four words
WORDS = range(UNK, VOCABULARY)
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


def allowed(
    words: tuple[int, ...], prefix: Sequence[int], limit: int, options: Search
) -> list[int]:
    """Which tokens may follow these words."""
    if len(words) < len(prefix):
        return [prefix[len(words)]]
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
    options: Search,
    prefix: Sequence[int] = (),
    extra: Callable[[tuple[int, ...], int], float] = nothing_extra,
    final: Callable[[tuple[int, ...]], float] = no_final,
) -> list[Found]:
    """A list of hypotheses, all continuations of all of them, sorted; never stopped early."""
    limit = max(limit, len(prefix))
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


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 0.6, -0.5])
def test_a_beam_that_holds_everything_is_brute_force(length_penalty: float) -> None:
    memories = {"source": make_memory([2, 3])}
    decoder = TableDecoder(1)
    options = Search(beam=400, n_best=5, max_length=4, length_penalty=length_penalty)
    found = beam_search(decoder, memories, 2, options)
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


search_options = strategies.builds(
    Search,
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
        strategies.lists(strategies.sampled_from(WORDS), max_size=4), min_size=4, max_size=4
    ),
)
def test_a_beam_is_what_the_naive_one_finds(
    seed: int, sharpness: float, lengths: list[int], options: Search, prefixes: list[list[int]]
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
    if not all(expected):  # one word never twice, and too many asked for
        with pytest.raises(UserError, match="got none for number"):
            beam_search(decoder, memories, batch_size, options, prefixes=prefixes[:batch_size])
        return
    found = beam_search(decoder, memories, batch_size, options, prefixes=prefixes[:batch_size])
    for hypotheses, naive in zip(found, expected, strict=True):
        assert_same(hypotheses, naive)


@settings(max_examples=25, deadline=None)
@given(
    seed=strategies.integers(0, 10**6),
    weights=strategies.tuples(*[strategies.floats(-1, 2).map(lambda w: round(w, 2))] * 3),
    options=search_options,
)
def test_weighted_scorers_join_as_in_the_naive_beam(
    seed: int, weights: tuple[float, float, float], options: Search
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
    found = beam_search(decoder, memories, 3, options, scorers=scorers)
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
        assert_same(hypotheses, naive_beam(following, limit, options, (), extra, final))


def test_a_beam_of_one_takes_the_likeliest_word_every_time() -> None:
    memories = {"source": make_memory([2, 4, 1, 3])}
    decoder = TableDecoder(3)
    found = beam_search(decoder, memories, 4, Search(beam=1, max_length=12))
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
    options = Search(beam=4, n_best=3, max_length=9, max_length_ratio=0.5)
    if method == "greedy":
        options = Search(beam=1, max_length=9)
    if method == "sample":
        seeds = [torch.Generator().manual_seed(100 + row) for row in rows]
        return sample(decoder, memories, len(rows), options, seeds)
    return beam_search(decoder, memories, len(rows), options)


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


def test_the_lstm_decoder_under_a_wide_beam_is_brute_force() -> None:
    memories, decoder = lstm_memories(), lstm()
    found = beam_search(decoder, memories, 5, Search(beam=100, max_length=3, length_penalty=0.0))
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
    first, second = beam_search(TableDecoder(2), memories, 2, Search(max_length=4))
    assert first[0].attention["a"].shape[1] == 3
    assert second[0].attention["a"].shape == (len(second[0].tokens) + 1, 0)


@pytest.mark.parametrize("beam", [1, 4])
def test_finished_inputs_leave_the_batch_at_once(beam: int) -> None:
    decoder = TableDecoder(4)
    memories = {"source": make_memory([1, 2, 3, 4, 2, 1])}
    found = beam_search(decoder, memories, 6, Search(beam=beam, n_best=beam, max_length=20))
    sizes = [shape[0] for shape in decoder.seen]
    longest = [max(len(h.tokens) for h in hypotheses) + 1 for hypotheses in found]
    assert len(set(longest)) > 1
    assert sizes == [sum(last > step for last in longest) for step in range(max(longest))]


def test_the_beam_is_as_wide_as_what_has_not_ended() -> None:
    decoder = TableDecoder(4, end_bias=-1.0)
    beam_search(decoder, {}, 1, Search(beam=4, n_best=4, max_length=20, min_length=1))
    widths = [shape[1] for shape in decoder.seen]
    assert widths[:2] == [1, 4]
    assert widths[1:] == sorted(widths[1:], reverse=True)
    assert widths[-1] < 4


def test_nothing_is_written_that_could_not_be_kept() -> None:
    decoder = TableDecoder(6, end_bias=6.0)
    plain = Search(beam=4, max_length=50, length_penalty=0.0)
    (short,) = beam_search(decoder, {}, 1, plain)
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
    options = Search(beam=2, max_length=40, length_penalty=length_penalty)
    ((best,),) = beam_search(decoder, {}, 1, options)
    assert best.tokens == (UNK,) * words
    assert best.score == pytest.approx(math.log(1 - ending) / (words + 1) ** length_penalty)


def test_equal_scores_go_to_the_lowest_tokens() -> None:
    decoder = TableDecoder(0)
    decoder.scores.zero_()
    (hypotheses,) = beam_search(
        decoder, {}, 1, Search(beam=3, n_best=3, max_length=2, min_length=2)
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


def test_a_limit_is_of_the_input_and_not_of_its_padding() -> None:
    decoder = TableDecoder(1, end_bias=-50.0)
    memories = {"short": make_memory([1, 1, 1]), "long": make_memory([2, 8, 5])}
    found = beam_search(decoder, memories, 3, Search(beam=2, max_length=17, max_length_ratio=1.25))
    assert [len(best.tokens) for (best,) in found] == [12, 17, 16]


@pytest.mark.parametrize("method", ["beam", "sample"])
def test_lengths_stay_between_their_limits(method: str) -> None:
    options = Search(beam=4, n_best=4, min_length=2, max_length=3)
    generators = [torch.Generator().manual_seed(row) for row in range(8)]
    memories = {"source": make_memory([2] * 8)}
    found = (
        beam_search(TableDecoder(1), memories, 8, options)
        if method == "beam"
        else sample(TableDecoder(1), memories, 8, options, generators)
    )
    assert {len(h.tokens) for hypotheses in found for h in hypotheses} == {2, 3}


@pytest.mark.parametrize("method", ["beam", "sample"])
def test_every_output_begins_with_its_prefix(method: str) -> None:
    prefixes = [[], [4], [6, 6, 6], [3, 5]]
    memories = {"source": make_memory([1, 2, 3, 2])}
    options = Search(beam=3, n_best=3, block_ngrams=1, max_length=2)  # neither holds in a prefix
    generators = [torch.Generator().manual_seed(row) for row in range(4)]
    found = (
        beam_search(TableDecoder(1), memories, 4, options, prefixes=prefixes)
        if method == "beam"
        else sample(TableDecoder(1), memories, 4, options, generators, prefixes=prefixes)
    )
    for prefix, hypotheses in zip(prefixes, found, strict=True):
        for hypothesis in hypotheses:
            assert list(hypothesis.tokens[: len(prefix)]) == prefix
            assert len(hypothesis.tokens) <= max(2, len(prefix))


def test_an_ensemble_averages_probabilities() -> None:
    first, second = lstm(), TableDecoder(9)
    memories = [lstm_memories(), {"a": make_memory([2, 2, 1, 3, 1], 9)}]
    options = Search(beam=3, n_best=2, max_length=6)
    found = beam_search(Ensemble([first, second]), memories, 5, options)
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
    options = Search(beam=3, max_length=6)
    twice = beam_search(Ensemble([decoder, decoder]), [memories, memories], 5, options)
    once = beam_search(decoder, memories, 5, options)
    assert [best.tokens for (best,) in twice] == [best.tokens for (best,) in once]


def drawn_shares(options: Search, prefix: Sequence[int] = ()) -> tuple[list[float], list[float]]:
    """How often each token was drawn first, of 4,000, and the decoder's scores."""
    decoder = TableDecoder(8)
    options = options.model_copy(update={"n_best": 4_000, "max_length": 1})
    (hypotheses,) = sample(decoder, {}, 1, options, [torch.Generator().manual_seed(1)])
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
    shares, scores = drawn_shares(Search(temperature=temperature, top_k=top_k, top_p=top_p))
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
    drawn = Drawn(Search(top_p=top_p), torch.full((1, 2, 500), noise))
    scored = Scored(worth, worth, None, {})
    choice = drawn.choose(scored, torch.zeros(1, 500), torch.zeros(1, dtype=torch.long), step=1)
    assert choice.totals.isfinite().all()


def test_the_same_generators_draw_the_same_and_others_do_not() -> None:
    memories = {"source": make_memory([2, 2])}
    options = Search(n_best=2, max_length=12)

    def draw(*seeds: int) -> list[list[tuple[int, ...]]]:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        found = sample(TableDecoder(1, end_bias=-2.0), memories, 2, options, generators)
        return [[h.tokens for h in hypotheses] for hypotheses in found]

    assert draw(1, 2) == draw(1, 2)
    assert draw(1, 2) != draw(3, 4)
    assert draw(1, 2)[0] == draw(1, 4)[0]


def test_search_leaves_no_gradients_behind() -> None:
    decoder = lstm().requires_grad_()
    ((best,), *_) = beam_search(decoder, lstm_memories(), 5, Search(max_length=3))
    assert not best.attention["a"].requires_grad


def test_half_precision_scores_are_summed_in_single() -> None:
    decoder = TableDecoder(1)
    decoder.scores = decoder.scores.bfloat16()
    ((best,),) = beam_search(decoder, {}, 1, Search(beam=2, max_length=5))
    decoder.scores = decoder.scores.float()
    following = follow(decoder, {})
    expected = [
        following(best.tokens[:at]).log_probabilities[token]
        for at, token in enumerate((*best.tokens, EOS))
    ]
    assert best.token_log_probabilities == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "prefixes", "message"),
    [
        (Search(beam=2, n_best=3), [], "expected n_best of at most beam, 2, got 3; widen the beam"),
        (Search(), [[4]], "expected a prefix for each of 2 inputs, got 1"),
        (Search(), [[4], [EOS]], "expected words in a forced prefix"),
        (
            Search(block_ngrams=1, min_length=9),
            [],
            "got none for number 0; min_length, block_ngrams",
        ),
    ],
)
def test_what_cannot_be_searched_is_said_in_a_sentence(
    options: Search, prefixes: list[list[int]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        beam_search(TableDecoder(1), {}, 2, options, prefixes=prefixes)


def test_scores_that_are_not_numbers_are_said_to_be_so() -> None:
    decoder = TableDecoder(1)
    decoder.scores[:] = math.nan
    with pytest.raises(UserError, match="not numbers"):
        beam_search(decoder, {}, 1, Search(max_length=3))
