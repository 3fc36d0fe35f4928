"""The search of fixed shape finds what the definition finds, and reads nothing back on the way.

A stand-in takes the place of CUDA graphs: it records a step by calling it, and replays it so.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from naive_search import VOCABULARY, TableDecoder, automaton, make_memory
from replaying import Replaying
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from multiattn.engine.attention import Additive
from multiattn.engine.attention_wrappers import Coverage, Gated, Location
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.output_layer import Copy
from multiattn.engine.recurrence import Luong
from multiattn.recipe.settings import SearchSettings
from multiattn.search import candidates
from multiattn.search.beam import beam_search
from multiattn.search.candidates import top_tokens_unread
from multiattn.search.ctc import CTCPrefix
from multiattn.search.fixed_shape import buckets
from multiattn.search.fixed_shape import search as fixed_search
from multiattn.search.fixed_shape.captured import _OF_DECODERS
from multiattn.search.fixed_shape.step import FixedShapeSearch
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.panel import Ensemble
from multiattn.search.sampling import sample
from multiattn.search.scorers import CoveragePenalty, LanguageModel, LengthReward
from multiattn.search.task import SearchTask
from multiattn.symbols import EOS

LENGTHS = [5, 1, 3, 6, 2, 4, 7]
HEADS = {"ctc": nn.Identity()}
pytestmark = pytest.mark.usefixtures("double")

Search = Callable[[SearchTask], list[list[Hypothesis]]]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replaying]:
    """Searches on the CPU are recorded by this stand-in, when a shape is met for a second time."""
    recorder = Replaying()
    monkeypatch.setitem(buckets.RECORDERS, "cpu", lambda: recorder)
    monkeypatch.setattr(fixed_search, "_said", set())
    yield recorder
    _OF_DECODERS.clear()


def definition(monkeypatch: pytest.MonkeyPatch, search: Search, task: SearchTask) -> Any:
    """What the search finds that is not of fixed shape."""
    with monkeypatch.context() as patch:
        patch.delitem(buckets.RECORDERS, "cpu")
        return search(task)


def drawn(task: SearchTask) -> list[list[Hypothesis]]:
    return sample(task, [torch.Generator().manual_seed(row) for row in range(task.batch_size)])


def assert_equal(found: Sequence[Sequence[Hypothesis]], expected: Any) -> None:
    tokens = [[each.tokens for each in row] for row in found]
    assert tokens == [[each.tokens for each in row] for row in expected]
    for ones, others in zip(found, expected, strict=True):
        for one, other in zip(ones, others, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-9)
            assert one.log_probability == pytest.approx(other.log_probability, abs=1e-9)
            assert one.token_log_probabilities == pytest.approx(
                other.token_log_probabilities, abs=1e-9
            )
            assert one.attention.keys() == other.attention.keys()
            for source, weights in one.attention.items():
                torch.testing.assert_close(weights, other.attention[source], rtol=0, atol=1e-9)


def lstm_decoder(seed: int = 0, words: int = 30, **options: Any) -> LSTMDecoder:
    torch.manual_seed(seed)
    sizes = {"embedding_dim": 8, "hidden_dim": 12, "attention": partial(Additive, dim=6)}
    specs = {"text": MemorySpec(VOCABULARY)}
    decoder = LSTMDecoder(words, specs, initial_state="mean", **{**sizes, **options}).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(4)  # so that outputs differ
        for module in decoder.modules():
            if isinstance(module, nn.Linear) and module.out_features == words:
                module.bias[EOS] += 3  # and end at different steps
    return decoder


def text(lengths: Sequence[int] = LENGTHS, seed: int = 0) -> dict[str, Memory]:
    memory = make_memory(lengths, seed)
    symbols = torch.arange(memory.mask.numel()).view(memory.mask.shape) % 9 - 1
    return {"text": replace(memory, symbols=symbols)}


DECODERS: dict[str, Callable[[], Any]] = {
    "input feeding": lstm_decoder,
    "luong": partial(lstm_decoder, recurrence=Luong),
    "two layers, copying": partial(lstm_decoder, recurrence=partial(Luong, layers=2), output=Copy),
    "coverage": partial(lstm_decoder, attention=partial(Coverage, of=partial(Additive, dim=6))),
    "location": partial(lstm_decoder, attention=partial(Location, filters=3, width=3)),
    "gated": partial(lstm_decoder, attention=partial(Gated, of=partial(Additive, dim=6))),
    "table": partial(TableDecoder, 4),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"beam": 1},
    "beam": {"beam": 5},
    "all of the beam": {"beam": 5, "n_best": 5, "length_penalty": 0.6},
    "plain sum": {"beam": 3, "n_best": 2, "length_penalty": 0.0},
    "long ones": {"beam": 3, "length_penalty": -0.5},
    "minimum": {"beam": 4, "n_best": 3, "min_length": 6},
    "fixed length": {"beam": 5, "min_length": 18, "max_length": 18},
    "limits": {"beam": 3, "n_best": 3, "max_length_ratio": 1.5, "min_length": 14},
    "wide": {"beam": 12, "n_best": 4},
}


SCORERS: dict[str, Callable[[], list[tuple[Any, float]]]] = {
    "length": lambda: [(LengthReward(), 0.4)],
    "coverage": lambda: [(CoveragePenalty(), 0.7), (LengthReward(), 0.2)],
    "language model": lambda: [(LanguageModel(TableDecoder(3)), 0.5)],
    "CTC": lambda: [(CTCPrefix(), 0.6)],
    "all": lambda: [
        (CTCPrefix(), 0.6),
        (LanguageModel(TableDecoder(2)), 0.3),
        (CoveragePenalty(), 0.1),
        (LengthReward(), 0.5),
    ],
}


def assert_found(
    task: SearchTask, recorder: Replaying, monkeypatch: pytest.MonkeyPatch, search: Search
) -> None:
    """A first search runs as it is, a second one is recorded, a third replayed."""
    expected = definition(monkeypatch, search, task)
    assert_equal(search(task), expected)
    assert recorder.recorded == 0
    assert_equal(search(task), expected)
    recorded, replayed = recorder.recorded, recorder.replayed
    assert 0 < recorded < replayed
    assert_equal(search(task), expected)
    assert (recorder.recorded, recorder.replayed) == (recorded, 2 * replayed)


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_it_finds_what_the_definition_finds(
    decoder: Any, options: dict[str, Any], recorder: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SearchSettings(**{"max_length": 25, **options})
    task = SearchTask(decoder(), text(), len(LENGTHS), settings)
    assert_found(task, recorder, monkeypatch, beam_search)


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("scorers", SCORERS.values(), ids=SCORERS)
def test_scorers_count_as_in_the_definition(
    scorers: Any, beam: int, recorder: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SearchSettings(beam=beam, n_best=beam, max_length=12, length_penalty=0.3)
    task = SearchTask(TableDecoder(4), text(), len(LENGTHS), settings, scorers(), heads=HEADS)
    assert_found(task, recorder, monkeypatch, beam_search)


def test_an_ensemble_is_searched_as_one_decoder(
    recorder: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = Ensemble([lstm_decoder(1), lstm_decoder(2, recurrence=Luong)])
    memories = [text(), text([2 * length for length in LENGTHS], seed=3)]
    settings = SearchSettings(beam=3, n_best=2, max_length=15)
    task = SearchTask(decoder, memories, len(LENGTHS), settings)
    assert_found(task, recorder, monkeypatch, beam_search)


@pytest.mark.parametrize(
    "cut", [{}, {"top_k": 4}, {"top_k": 20}, {"top_p": 0.7}, {"temperature": 0.5, "top_p": 0.9}]
)
def test_the_same_outputs_are_sampled(
    cut: dict[str, Any], recorder: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SearchSettings(method="sample", n_best=3, max_length=15, min_length=2, **cut)
    task = SearchTask(lstm_decoder(), text(), len(LENGTHS), settings)
    assert_found(task, recorder, monkeypatch, drawn)


@pytest.mark.parametrize("beam", [1, 5, 12])
def test_equal_scores_are_ranked_as_in_the_definition(
    beam: int, recorder: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = TableDecoder(0)
    decoder.scores.zero_()
    settings = SearchSettings(beam=beam, n_best=beam, max_length=4, min_length=2)
    task = SearchTask(decoder, {}, 2, settings)
    assert_found(task, recorder, monkeypatch, beam_search)


@pytest.mark.parametrize("beam", [1, 3])
def test_few_unfinished_inputs_move_to_a_smaller_batch(
    beam: int, recorder: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "SMALLEST_COMPACTED", 2)
    sizes: list[int] = []
    advance = FixedShapeSearch.advance

    def watched(self: FixedShapeSearch, *arguments: Any) -> None:
        sizes.append(self.size)
        advance(self, *arguments)

    monkeypatch.setattr(FixedShapeSearch, "advance", watched)
    lengths = [1] * 20 + [9, 14, 30, 60]
    settings = SearchSettings(beam=beam, n_best=beam, max_length=40, max_length_ratio=0.5)
    task = SearchTask(lstm_decoder(), text(lengths), len(lengths), settings)
    expected = definition(monkeypatch, beam_search, task)
    for _ in range(4):
        sizes.clear()
        assert_equal(beam_search(task), expected)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 32
    assert len(set(sizes)) > 1


def test_a_search_ends_one_step_after_its_last_output(recorder: Replaying) -> None:
    task = SearchTask(
        TableDecoder(4, end_bias=4.0), text(), len(LENGTHS), SearchSettings(max_length=200)
    )
    longest = max(len(best.tokens) + 1 for (best,) in beam_search(task))
    for _ in range(2):
        recorder.replayed = 0
        beam_search(task)
    assert recorder.replayed <= longest + 3


def test_batches_of_a_bucket_share_what_is_recorded(
    recorder: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, settings = lstm_decoder(), SearchSettings(beam=2, max_length=9)
    for lengths in ([5, 2, 6], [8, 7, 1, 2], [7, 8, 8]):
        task = SearchTask(decoder, text(lengths), len(lengths), settings)
        assert_equal(beam_search(task), definition(monkeypatch, beam_search, task))
    recorded = recorder.recorded
    assert recorded > 0
    for lengths in ([5, 5, 5], [1, 8, 3, 4]):
        task = SearchTask(decoder, text(lengths, seed=5), len(lengths), settings)
        assert_equal(beam_search(task), definition(monkeypatch, beam_search, task))
    assert recorder.recorded == recorded


def test_parameters_may_change_in_place(
    recorder: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = lstm_decoder()
    task = SearchTask(decoder, text(), len(LENGTHS), SearchSettings(beam=3, max_length=9))
    assert_found(task, recorder, monkeypatch, beam_search)
    recorded = recorder.recorded
    decoder.load_state_dict(lstm_decoder(seed=5).state_dict())
    assert_equal(beam_search(task), definition(monkeypatch, beam_search, task))
    assert recorder.recorded == recorded
    decoder.output.vocabulary.bias = nn.Parameter(decoder.output.vocabulary.bias * -1)
    for _ in range(2):
        assert_equal(beam_search(task), definition(monkeypatch, beam_search, task))
    assert recorder.recorded > recorded


def test_it_may_be_used_in_and_outside_of_inference_mode(recorder: Replaying) -> None:
    task = SearchTask(lstm_decoder(), text(), len(LENGTHS), SearchSettings(beam=3, max_length=9))
    expected = beam_search(task)
    for inference in (True, False, True):
        with torch.inference_mode(inference):
            assert_equal(beam_search(task), expected)
    assert recorder.replayed > 0


READS_VALUES = {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::item"}


class NothingRead(TorchDispatchMode):
    """Raises RuntimeError where a value is read or a tensor is made of Python numbers."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):  # type: ignore[no-untyped-def]
        name = function._schema.name
        if name in READS_VALUES or name == "aten::lift_fresh":
            raise RuntimeError(f"a step called {name}")
        return function(*arguments, **(options or {}))


class Watched(Replaying):
    """Rehearses and records where nothing may be read."""

    def rehearse(self, function) -> None:  # type: ignore[no-untyped-def]
        with NothingRead():
            super().rehearse(function)


@pytest.mark.parametrize("scorers", [list, *SCORERS.values()])
@pytest.mark.parametrize(
    "options",
    [
        {"beam": 1},
        {"beam": 5, "n_best": 3},
        {"beam": 12, "min_length": 3},
        {"method": "sample", "n_best": 3, "top_k": 5, "top_p": 0.9},
        {"method": "sample", "n_best": 3},
    ],
)
def test_no_step_reads_a_value_back(
    options: dict[str, Any], scorers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Watched()
    monkeypatch.setitem(buckets.RECORDERS, "cpu", lambda: recorder)
    monkeypatch.setattr(candidates, "READS_VALUES", ())
    decoder = lstm_decoder(words=VOCABULARY)
    task = SearchTask(
        decoder, text(), len(LENGTHS), SearchSettings(max_length=9, **options), scorers(), HEADS
    )
    search = drawn if options.get("method") else beam_search
    expected = search(task)
    assert_equal(search(task), expected)
    assert recorder.recorded > 1


class Reading(nn.Module):
    """A decoder whose step reads a value."""

    def __init__(self) -> None:
        super().__init__()
        self.of = TableDecoder(1)

    def begin(self, memories: Any, batch_size: int) -> Any:
        return self.of.begin(memories, batch_size)

    def step(self, tokens: Tensor, state: Any, shared: Any) -> Any:
        tokens.max().item()
        return self.of.step(tokens, state, shared)


class Growing(Reading):
    """A decoder whose state is all tokens so far."""

    def begin(self, memories: Any, batch_size: int) -> Any:
        return memories, torch.zeros(batch_size, 1, 0)

    def step(self, tokens: Tensor, state: Any, shared: Any) -> Any:
        state = torch.cat([state, tokens.unsqueeze(2).to(state)], 2)
        return state.sum(2, keepdim=True) * torch.arange(5.0) % 3, state, {}


@pytest.mark.parametrize(
    ("decoder", "options", "prefix", "reason"),
    [
        (Reading(), {}, "", "a step called aten::_local_scalar_dense"),
        (Growing(), {}, "", "the state of the decoder or of a scorer grows from step to step"),
        (TableDecoder(1), {"block_ngrams": 2}, "", "n-grams are blocked"),
        (TableDecoder(1), {}, "a", "outputs have a prefix"),
    ],
)
def test_what_cannot_be_recorded_is_searched_by_the_definition_and_said_once(
    decoder: Any,
    options: dict[str, Any],
    prefix: str,
    reason: str,
    recorder: Replaying,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(buckets.RECORDERS, "cpu", Watched)
    settings = SearchSettings(beam=2, max_length=5, **options)
    prefixes = [automaton(prefix)] * len(LENGTHS) if prefix else []
    task = SearchTask(decoder, text(), len(LENGTHS), settings, prefixes=prefixes)
    expected = definition(monkeypatch, beam_search, task)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            assert_equal(beam_search(task), expected)
    (line,) = caplog.messages
    assert line == f"search runs without CUDA graphs, which is slower: {reason}"


def test_out_of_memory_is_an_obstacle_for_its_size_only(
    recorder: Replaying, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decoder, settings = lstm_decoder(), SearchSettings(beam=2, max_length=9)
    recorder.refusal = torch.OutOfMemoryError("too little memory")
    large = SearchTask(decoder, text(), len(LENGTHS), settings)
    expected = definition(monkeypatch, beam_search, large)
    for _ in range(3):
        assert_equal(beam_search(large), expected)
    assert [record.message[-17:] for record in caplog.records] == ["too little memory"]
    recorder.refusal = None
    small = SearchTask(decoder, text([3]), 1, settings)
    assert_found(small, recorder, monkeypatch, beam_search)


def test_a_search_that_cannot_go_on_starts_again(
    recorder: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first phase is recorded, the second is not."""
    settings = SearchSettings(beam=2, min_length=4, max_length=9)
    task = SearchTask(lstm_decoder(), text(), len(LENGTHS), settings)
    expected = definition(monkeypatch, beam_search, task)
    record = recorder.record

    def once(function: Any) -> Any:
        if recorder.recorded:
            raise RuntimeError("no more")
        return record(function)

    monkeypatch.setattr(recorder, "record", once)
    for _ in range(3):
        assert_equal(beam_search(task), expected)
    assert recorder.recorded == 1
    assert recorder.replayed > 0


@pytest.mark.parametrize("count", [1, 3, 8, 9, 12, 40])
def test_the_best_tokens_are_the_same_whether_or_not_values_may_be_read(count: int) -> None:
    torch.manual_seed(count)
    scores = torch.randint(0, 4, (50, 3, 40)).double() / 7
    scores[:, :, ::3] = -math.inf
    scores[0, 0] = -math.inf
    scores[1] = 0.0
    before = scores.clone()
    values, tokens = top_tokens_unread(scores, count)
    expected, order = scores.sort(dim=2, descending=True, stable=True)
    assert torch.equal(scores, before)
    assert torch.equal(values, expected[..., :count])
    real = values > -math.inf
    assert torch.equal(tokens[real], order[..., :count][real])


def test_buckets_hold_what_they_are_for_and_waste_little() -> None:
    for inputs in range(1, 2000):
        size = buckets.batch_bucket(inputs)
        assert inputs <= size
        assert size < 2 * inputs if inputs <= 64 else size <= 1.13 * inputs
    assert len({buckets.batch_bucket(inputs) for inputs in range(1, 513)}) == 7 + 3 * 8
    assert buckets.compacted_bucket(512, 256) == 256
    assert buckets.compacted_bucket(512, 257) is None
    assert buckets.compacted_bucket(512, 1) == buckets.SMALLEST_COMPACTED
    assert buckets.compacted_bucket(buckets.SMALLEST_COMPACTED, 1) is None
