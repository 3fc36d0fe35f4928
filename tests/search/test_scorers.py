"""Scorers: each against its equation, all of them in a beam against brute force."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multiattn.engine.batch import Targets
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.errors import UserError
from multiattn.recipe.settings import SearchSettings
from multiattn.search.beam import beam_search
from multiattn.search.panel import Panel
from multiattn.search.scorers import CoveragePenalty, LanguageModel, LengthReward
from multiattn.search.task import SearchTask
from multiattn.symbols import BOS, EOS, PAD, UNK

pytestmark = pytest.mark.usefixtures("double")

VOCABULARY = 6
LIMIT = 3
SENTENCES = [
    words
    for length in range(LIMIT + 1)
    for words in itertools.product(range(UNK, VOCABULARY), repeat=length)
]
MakeMemory = Callable[..., Memory]


def make_decoder(sources: Mapping[str, MemorySpec], vocabulary_size: int = VOCABULARY) -> Any:
    decoder = LSTMDecoder(vocabulary_size, sources, embedding_dim=6, hidden_dim=8)
    with torch.no_grad():  # untrained scores are nearly uniform; make them decide
        for parameter in decoder.parameters():
            parameter.mul_(4)
    return decoder.eval()


def forced(
    decoder: Any, memories: Mapping[str, Memory], row: int
) -> tuple[Tensor, Mapping[str, Tensor], Tensor]:
    """Every sentence's log-probability, where it looked (L, T, S), and its length with the end."""
    lengths = torch.tensor([len(words) + 1 for words in SENTENCES])
    padding = [[PAD] * (LIMIT - len(words)) for words in SENTENCES]
    tokens = torch.tensor(
        [[*words, EOS, *pads] for words, pads in zip(SENTENCES, padding, strict=True)]
    )
    repeated = {
        name: memory.select(torch.full((len(SENTENCES),), row)) for name, memory in memories.items()
    }
    with torch.no_grad():
        output = decoder(Targets(tokens, lengths), repeated, keep=("weights",))
    gold = tokens[output.rows, output.steps].unsqueeze(1)
    own = output.scores.log_softmax(1).gather(1, gold).squeeze(1)
    totals = torch.zeros(len(SENTENCES)).index_add(0, output.rows, own)
    return totals, output.kept["weights"], lengths


@pytest.mark.parametrize("length_penalty", [0.0, 0.7])
@pytest.mark.parametrize("weights", [(0.5, 0.3, 0.2), (1.0, -0.4, 0.0), (-0.2, 1.5, 0.1)])
def test_fusion_reward_and_coverage_find_what_brute_force_finds(
    memory_of: MakeMemory, weights: tuple[float, float, float], length_penalty: float
) -> None:
    fusion, reward, coverage = weights
    memories = {"a": memory_of([3, 1, 4], 5), "b": memory_of([2, 2, 1], 4)}
    decoder = make_decoder({"a": MemorySpec(5), "b": MemorySpec(4)})
    language = make_decoder({})
    scorers = [
        (LanguageModel(language), fusion),
        (LengthReward(), reward),
        (CoveragePenalty(), coverage),
    ]
    options = SearchSettings(beam=60, n_best=4, max_length=LIMIT, length_penalty=length_penalty)
    found = beam_search(SearchTask(decoder, memories, 3, options, scorers=scorers))
    for row, hypotheses in enumerate(found):
        totals, looks, lengths = forced(decoder, memories, row)
        spoken, _, _ = forced(language, {}, row)
        scores = (totals + fusion * spoken + reward * lengths) / lengths**length_penalty
        for name, look in looks.items():
            covered = look.sum(1).clamp(max=1)[:, memories[name].mask[row]]  # (L, S)
            scores += coverage * covered.log().sum(1)
        best = scores.topk(4)
        assert [h.tokens for h in hypotheses] == [SENTENCES[place] for place in best.indices]
        assert [h.score for h in hypotheses] == pytest.approx(best.values.tolist(), abs=1e-9)
        own = totals[best.indices].tolist()
        assert [h.log_probability for h in hypotheses] == pytest.approx(own, abs=1e-9)


def test_coverage_is_equation_14_of_wu_2016(memory_of: MakeMemory) -> None:
    memories = {"a": memory_of([3, 2], 4), "b": memory_of([2, 2], 4)}
    scorer = CoveragePenalty(source="a")
    shared, state = scorer.start(memories, {}, 2)
    steps = torch.rand(4, 2, 5, 3) * memories["a"].mask[None, :, None]  # (T, B, N, S)
    for weights in steps:
        looks = {"a": weights, "b": torch.ones(2, 5, 2)}
        additions, state = scorer.score(torch.full((2, 5), UNK), looks, state, shared)
        assert additions.shape == (2, 5, 1)
        assert not additions.any()
    price = scorer.finish(state, shared)
    for row, slots in enumerate([3, 2]):
        for hypothesis in range(5):
            expected = sum(
                math.log(min(float(steps[:, row, hypothesis, slot].sum()), 1.0))
                for slot in range(slots)
            )
            assert float(price[row, hypothesis]) == pytest.approx(expected)


def test_a_slot_that_was_never_looked_at_costs_much_and_not_everything(
    memory_of: MakeMemory,
) -> None:
    scorer = CoveragePenalty()
    shared, state = scorer.start({"a": memory_of([2], 4)}, {}, 1)
    looks = {"a": torch.tensor([[[1.0, 0.0]]])}
    _, state = scorer.score(torch.full((1, 1), UNK), looks, state, shared)
    price = scorer.finish(state, shared).item()
    assert math.isfinite(price)
    assert price < -80


def test_coverage_without_sources_costs_nothing() -> None:
    decoder = make_decoder({})
    plain = beam_search(SearchTask(decoder, {}, 1, SearchSettings(beam=2, max_length=4)))
    covered = beam_search(
        SearchTask(
            decoder, {}, 1, SearchSettings(beam=2, max_length=4), scorers=[(CoveragePenalty(), 1.0)]
        )
    )
    assert covered[0][0].tokens == plain[0][0].tokens
    assert covered[0][0].score == plain[0][0].score


def test_a_length_reward_writes_more() -> None:
    decoder = make_decoder({})
    options = SearchSettings(beam=60, max_length=LIMIT, length_penalty=0.0)
    lengths = [
        len(
            beam_search(SearchTask(decoder, {}, 1, options, scorers=[(LengthReward(), reward)]))[0][
                0
            ].tokens
        )
        for reward in (-9.0, 0.0, 9.0)
    ]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (0, LIMIT)


class Parrot:
    """A stand-in for a head's scorer: it wants what its input's head says, position by position.

    As a prefix scorer over frames would, it keeps something large per input and a place per
    hypothesis, and asks for one of the model's heads.
    """

    ceiling = 1.0

    def __init__(self) -> None:
        self.shapes: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = []

    def start(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[Any, Any]:
        wanted = heads["parrot"](memories["a"].values)  # (B, S, V)
        return wanted, torch.zeros(batch_size, 1, dtype=torch.long)

    def score(
        self, tokens: Tensor, weights: Mapping[str, Tensor], state: Tensor, shared: Tensor
    ) -> tuple[Tensor, Tensor]:
        self.shapes.append((tuple(tokens.shape), tuple(state.shape), tuple(shared.shape)))
        rows = torch.arange(len(state)).unsqueeze(1)
        return shared[rows, state], state + 1  # (B, N, V)

    def finish(self, state: Any, shared: Any) -> None:
        return None


def test_a_scorer_may_keep_one_large_value_per_input_and_use_a_head(memory_of: MakeMemory) -> None:
    memory = memory_of([5, 5, 5], VOCABULARY)
    memory.values.zero_()
    for row, word in enumerate((3, 4, 5)):
        memory.values[row, : row + 1, word] = 1.0
        memory.values[row, row + 1 :, EOS] = 1.0
    parrot, decoder = Parrot(), make_decoder({"a": MemorySpec(VOCABULARY)})
    found = beam_search(
        SearchTask(
            decoder,
            {"a": memory},
            3,
            SearchSettings(beam=4, max_length=4),
            scorers=[(parrot, 100.0)],
            heads={"parrot": nn.Identity()},
        )
    )
    assert [best.tokens for (best,) in found] == [(3,), (4, 4), (5, 5, 5)]
    for tokens, state, shared in parrot.shapes:
        assert tokens == state
        assert shared == (tokens[0], 5, VOCABULARY)


def test_a_language_model_reads_every_word_after_the_beginning() -> None:
    language = make_decoder({})
    scorer = LanguageModel(language)
    shared, state = scorer.start({}, {}, 1)
    words, total = (4, 3, 5), 0.0
    for before, token in itertools.pairwise((BOS, *words, EOS)):
        with torch.no_grad():
            additions, state = scorer.score(torch.tensor([[before]]), {}, state, shared)
        total += float(additions[0, 0, token])
    assert total == pytest.approx(float(forced(language, {}, 0)[0][SENTENCES.index(words)]))


@pytest.mark.parametrize(
    ("scorers", "ceiling"),
    [
        ([], 0.0),
        ([(LengthReward(), 0.5), (CoveragePenalty(), 2.0)], 0.5),
        ([(LengthReward(), -0.5)], math.inf),
        ([(Parrot(), 2.0), (LengthReward(), 0.0)], 2.0),
    ],
)
def test_the_panel_knows_how_much_a_token_can_add(scorers: Any, ceiling: float) -> None:
    assert Panel(make_decoder({}), scorers).ceiling == ceiling


def test_a_scorer_over_another_vocabulary_is_refused() -> None:
    other = LanguageModel(make_decoder({}, vocabulary_size=9))
    with pytest.raises(UserError, match="the decoder's 6 tokens, got one over 9; use one trained"):
        beam_search(SearchTask(make_decoder({}), {}, 1, SearchSettings(), scorers=[(other, 0.3)]))


def test_coverage_of_an_unknown_source_is_refused(memory_of: MakeMemory) -> None:
    memories = {"english": memory_of([2], 4), "photo": memory_of([2], 4)}
    with pytest.raises(UserError, match="got 'englihs'; choose one of english, photo"):
        CoveragePenalty(source="englihs").start(memories, {}, 1)
