"""Search on a GPU: the CPU's hypotheses, by graphs and by the definition, in any batch."""

from __future__ import annotations

import gc
import logging
from functools import partial

import pytest
import torch
from torch import nn

from multiattn.engine.attention import Additive
from multiattn.engine.attention_wrappers import Coverage, Gated, Location, MultiHead
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.memory import MemorySpec
from multiattn.engine.output_layer import Copy, Linear
from multiattn.engine.recurrence import Bahdanau, InputFeeding, Luong
from multiattn.engine.recurrence_variants import Adaptive, Conditional
from multiattn.engine.trees import tree_map
from multiattn.recipe.settings import SearchSettings
from multiattn.search import candidates
from multiattn.search.beam import beam_search
from multiattn.search.candidates import top_tokens
from multiattn.search.ctc import CTCPrefix
from multiattn.search.fixed_shape import buckets
from multiattn.search.fixed_shape import search as fixed_search
from multiattn.search.fixed_shape.captured import _OF_DECODERS
from multiattn.search.panel import Ensemble
from multiattn.search.sampling import sample
from multiattn.search.scorers import CoveragePenalty, LanguageModel, LengthReward
from multiattn.search.task import SearchTask
from multiattn.symbols import EOS

WORDS, LENGTHS = 300, [11, 3, 7, 1, 9, 18, 2, 26]
additive = partial(Additive, dim=32)


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    """Obstacles are said anew in every test."""
    monkeypatch.setattr(fixed_search, "_said", set())


def make_decoder(seed=1, sources=True, **options):
    torch.manual_seed(seed)
    specs = {"text": MemorySpec(48, 16)} if sources else {}
    sizes = {"embedding_dim": 32, "hidden_dim": 48, "attention": additive}
    decoder = LSTMDecoder(WORDS, specs, **{**sizes, **options}).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(3)  # so that outputs differ
        for module in decoder.modules():
            if isinstance(module, nn.Linear) and module.out_features == WORDS:
                module.bias[EOS] += 4  # and end at different steps
    return decoder


def searches(search, decoder, memories, settings, scorers=list, heads=None):
    """The CPU's hypotheses, those of three searches on the GPU, and how many graphs there are then.

    decoder: an ``Ensemble`` for a tuple of memories.
    """
    heads = nn.ModuleDict(heads or {})
    first = memories if isinstance(memories, dict) else memories[0]

    def run(memories, scorers):
        size = len(first["text"].mask)
        return search(SearchTask(decoder, memories, size, settings, scorers, dict(heads)))

    expected = run(memories, scorers())
    decoders = getattr(decoder, "decoders", [decoder])
    for module in (*decoders, heads):
        module.cuda()
    there, on_gpu = tree_map(lambda leaf: leaf.cuda(), memories), scorers()
    found = [run(there, on_gpu) for _ in range(3)]
    recorded = _OF_DECODERS[decoders[0]].searches.values()
    return expected, found, sum(len(search._replays) for search in recorded)


def assert_same(found, expected, tolerance=1e-8):
    assert [[each.tokens for each in row] for row in found] == [
        [each.tokens for each in row] for row in expected
    ]
    for ones, others in zip(found, expected, strict=True):
        for one, other in zip(ones, others, strict=True):
            assert one.score == pytest.approx(other.score, abs=tolerance)
            assert one.log_probability == pytest.approx(other.log_probability, abs=10 * tolerance)
            assert one.attention.keys() == other.attention.keys()
            for source, weights in one.attention.items():
                assert not weights.is_cuda
                torch.testing.assert_close(
                    weights, other.attention[source], rtol=0, atol=10 * tolerance
                )


def assert_replayed(expected, found, recorded, caplog):
    """The searches agree, and the last one was a replay."""
    assert caplog.messages == []
    assert recorded > 0
    for each in found:
        assert_same(each, expected)


def drawn(task):
    return sample(task, [torch.Generator().manual_seed(row) for row in range(task.batch_size)])


DECODERS = {
    "input feeding": {},
    "two layers": {"recurrence": partial(InputFeeding, layers=2)},
    "luong": {"recurrence": Luong},
    "bahdanau": {"recurrence": Bahdanau},
    "conditional": {"recurrence": Conditional},
    "adaptive": {"recurrence": partial(Adaptive, dim=32)},
    "location": {"attention": partial(Location, of=additive, filters=4, width=7)},
    "coverage": {"attention": partial(Coverage, of=additive)},
    "gated": {"attention": partial(Gated, of=additive)},
    "heads": {"attention": partial(MultiHead, of=additive, heads=2)},
    "copying": {"output": Copy},
    "tied": {"output": partial(Linear, tied=True)},
}
SETTINGS = {
    "greedy": {"beam": 1},
    "beam": {"beam": 5, "n_best": 3},
    "plain sum": {"beam": 4, "n_best": 4, "length_penalty": 0.0},
    "minimum": {"beam": 3, "min_length": 8, "max_length_ratio": 0.5},
    "fixed length": {"beam": 5, "min_length": 20, "max_length": 20},
    "wide": {"beam": 12, "n_best": 2, "length_penalty": 0.6},
}


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("kind", "options"),
    [(kind, "beam") for kind in DECODERS] + [("location", options) for options in SETTINGS],
)
def test_graphs_find_the_cpus_hypotheses(kind, options, memory_of, caplog):
    settings = SearchSettings(**{"max_length": 30, **SETTINGS[options]})
    memories = {"text": memory_of(LENGTHS, 48, summary=16)}
    decoder = make_decoder(**DECODERS[kind])
    assert_replayed(*searches(beam_search, decoder, memories, settings), caplog)


SCORERS = {
    "length": lambda: [(LengthReward(), 0.4)],
    "coverage": lambda: [(CoveragePenalty(), 0.7)],
    "language model": lambda: [(LanguageModel(make_decoder(3, sources=False)), 0.4)],
    "CTC": lambda: [(CTCPrefix(), 0.6), (LengthReward(), 0.5)],
}


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("scorers", SCORERS.values(), ids=SCORERS)
def test_scorers_are_captured(scorers, beam, memory_of, caplog):
    memories = {"text": memory_of(LENGTHS, 48, summary=16)}
    settings = SearchSettings(beam=beam, n_best=beam, max_length=15)
    heads = {"ctc": nn.Linear(48, WORDS)}
    found = searches(beam_search, make_decoder(), memories, settings, scorers, heads)
    assert_replayed(*found, caplog)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("cut", [{}, {"top_k": 5}, {"top_k": 30, "top_p": 0.8}, {"top_p": 0.9}])
def test_the_cpus_samples_are_drawn(cut, memory_of, caplog):
    memories = {"text": memory_of(LENGTHS, 48, summary=16)}
    settings = SearchSettings(method="sample", n_best=3, max_length=15, **cut)
    assert_replayed(*searches(drawn, make_decoder(), memories, settings), caplog)


@pytest.mark.usefixtures("double")
def test_an_ensemble_is_captured(memory_of, caplog):
    decoder = Ensemble([make_decoder(1), make_decoder(2, recurrence=Luong)])
    memories = tuple({"text": memory_of(lengths, 48, summary=16)} for lengths in (LENGTHS,) * 2)
    settings = SearchSettings(beam=3, n_best=2, max_length=15)
    assert_replayed(*searches(beam_search, decoder, memories, settings), caplog)


@pytest.mark.usefixtures("double")
def test_few_unfinished_inputs_move_to_a_smaller_batch(memory_of, monkeypatch, caplog):
    monkeypatch.setattr(buckets, "SMALLEST_COMPACTED", 2)
    memories = {"text": memory_of([1] * 40 + [9, 14, 30, 60], 48, summary=16)}
    decoder = make_decoder()
    settings = SearchSettings(beam=3, n_best=3, max_length=40, max_length_ratio=0.5)
    assert_replayed(*searches(beam_search, decoder, memories, settings), caplog)
    assert len({search.size for search in _OF_DECODERS[decoder].searches.values()}) > 1


@pytest.mark.parametrize("beam", [1, 5])
def test_graphs_and_the_definition_agree_in_single_precision(beam, memory_of, monkeypatch, caplog):
    torch.manual_seed(3)
    decoder, settings = make_decoder().cuda(), SearchSettings(beam=beam, n_best=beam, max_length=30)
    memories = {"text": tree_map(lambda leaf: leaf.cuda(), memory_of(LENGTHS, 48, summary=16))}
    task = SearchTask(decoder, memories, len(LENGTHS), settings)
    with monkeypatch.context() as patch:
        patch.delitem(buckets.RECORDERS, "cuda")
        expected = beam_search(task)
    for _ in range(3):
        assert_same(beam_search(task), expected, 1e-4)
    assert caplog.messages == []


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("beam", [1, 5])
def test_an_output_does_not_depend_on_its_batch(beam, memory_of):
    decoder = make_decoder().cuda()
    memory = tree_map(lambda leaf: leaf.cuda(), memory_of(LENGTHS * 9, 48, summary=16))
    settings = SearchSettings(beam=beam, n_best=beam, max_length=30)

    def search(rows):
        given = {"text": memory.select(torch.tensor(rows).cuda())}
        return beam_search(SearchTask(decoder, given, len(rows), settings))

    together = [search(list(range(72))) for _ in range(3)][-1]
    for rows in ([5], [5], [5], [70, 1, 33], [1, 33, 70, 8], [33, 2, 1]):
        assert_same(search(rows), [together[row] for row in rows])


class Reading(nn.Module):
    """A decoder whose step reads a value."""

    def __init__(self, of):
        super().__init__()
        self.of = of

    def begin(self, memories, batch_size):
        return self.of.begin(memories, batch_size)

    def step(self, tokens, state, shared):
        tokens.max().item()
        return self.of.step(tokens, state, shared)


@pytest.mark.usefixtures("double")
def test_what_reads_a_value_is_searched_by_the_definition_and_said_once(memory_of, caplog):
    memories = {"text": memory_of(LENGTHS, 48, summary=16)}
    settings = SearchSettings(beam=3, max_length=15)
    with caplog.at_level(logging.WARNING):
        decoder = Reading(make_decoder())
        expected, found, recorded = searches(beam_search, decoder, memories, settings)
    assert recorded == 0
    for each in found:
        assert_same(each, expected)
    (line,) = caplog.messages
    assert "search runs without CUDA graphs, which is slower: " in line
    caplog.clear()  # and the device is as usable as before
    assert_replayed(*searches(beam_search, make_decoder(), memories, settings), caplog)


@pytest.mark.parametrize("count", [1, 3, 8, 9, 50])
def test_tied_scores_go_to_the_lowest_tokens(count, monkeypatch):
    torch.manual_seed(count)
    scores = torch.randint(0, 6, (70, 5, 8000)) / 7
    expected = top_tokens(scores, count)
    assert "cuda" not in candidates.READS_VALUES
    for one, other in zip(top_tokens(scores.cuda(), count), expected, strict=True):
        assert torch.equal(one.cpu(), other)


def test_a_decoders_graphs_go_with_it(memory_of):
    memories = {"text": tree_map(lambda leaf: leaf.cuda(), memory_of(LENGTHS, 48, summary=16))}
    before = len(_OF_DECODERS)
    decoder = make_decoder().cuda()
    for _ in range(3):
        beam_search(SearchTask(decoder, memories, len(LENGTHS), SearchSettings(max_length=9)))
    assert len(_OF_DECODERS) == before + 1
    del decoder
    gc.collect()
    assert len(_OF_DECODERS) == before
