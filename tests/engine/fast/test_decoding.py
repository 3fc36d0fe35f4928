"""The decoder made ready for search against the decoder itself."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch

from multiattn.engine.attention import Additive, Multiplicative
from multiattn.engine.attention_wrappers import Coverage, Gated, Location, MultiHead
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.fast import decoding, for_decoding
from multiattn.engine.fusion import Concat, Gate, Hierarchical
from multiattn.engine.memory import MemorySpec
from multiattn.engine.output_layer import Copy, Deep, Linear
from multiattn.engine.recurrence import Bahdanau, InputFeeding, Luong
from multiattn.engine.recurrence_variants import Adaptive, Conditional
from multiattn.engine.trees import tree_map

SPECS = {"text": MemorySpec(6, 3), "photo": MemorySpec(4)}
RECURRENCES = {
    "bahdanau": partial(Bahdanau, layers=2),
    "luong": Luong,
    "input feeding": InputFeeding,
    "conditional": Conditional,
    "adaptive": partial(Adaptive, dim=5),
}
ATTENTIONS = {
    "additive": partial(Additive, dim=5),
    "multiplicative": Multiplicative,
    "location": partial(Location, of=partial(Additive, dim=5), width=3),
    "heads": partial(MultiHead, of=partial(Additive, dim=5), heads=2),
    "coverage": partial(Coverage, of=Multiplicative),
    "gated": partial(Gated, of=partial(Additive, dim=5)),
}
FUSIONS = {
    "concat": Concat,
    "hierarchical": partial(Hierarchical, dim=5),
    "gate": partial(Gate, dim=5),
}
OUTPUTS = {"deep": Deep, "tied": partial(Linear, tied=True), "copy": Copy}


def build(
    recurrence="input feeding", attention="additive", fusion="concat", output="deep", specs=SPECS
):
    return LSTMDecoder(
        11,
        specs,
        embedding_dim=5,
        hidden_dim=6,
        recurrence=RECURRENCES[recurrence],
        attention=ATTENTIONS[attention],
        fusion=FUSIONS[fusion],
        output=OUTPUTS[output],
    ).eval()


@pytest.fixture
def memories(memory_of):
    """Three inputs, the second without a photo, the third without a text; single precision."""
    torch.manual_seed(7)
    text = memory_of([4, 2, 0], 6, summary=3)
    symbols = torch.tensor([[4, 5, 4, -1], [6, 10, -1, -1], [-1, -1, -1, -1]])
    return {
        "text": type(text)(text.values, text.mask, text.layout, text.summary, symbols),
        "photo": memory_of([2, 0, 3], 4),
    }


def searched(decoder, memories):
    """Three steps of three hypotheses, reordered in between: log-probabilities and weights."""
    words = torch.arange(4, 31).view(3, 3, 3) % 11
    shared, state = decoder.begin(memories, 3)
    state = tree_map(lambda leaf: leaf.expand(-1, 3, *leaf.shape[2:]), state)
    found = []
    for word in words:
        scores, state, weights = decoder.step(word, state, shared)
        state = tree_map(lambda leaf: leaf[:, [2, 0, 0]], state)
        found += [torch.log_softmax(scores, -1), *weights.values()]
    return found


def ready(decoder):
    made = for_decoding(decoder)
    if made is decoder:
        pytest.skip("this build of torch packs no weights")
    return made


@pytest.mark.parametrize(
    "form", list(itertools.product(RECURRENCES, ATTENTIONS, FUSIONS, OUTPUTS)), ids=", ".join
)
@torch.no_grad()
def test_a_decoder_made_ready_writes_what_the_decoder_writes(form, memories):
    decoder = build(*form)
    for found, expected in zip(
        searched(ready(decoder), memories), searched(decoder, memories), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("recurrence", RECURRENCES)
@torch.no_grad()
def test_a_language_model_made_ready_writes_what_it_writes(recurrence):
    decoder = build(recurrence, specs={})
    for found, expected in zip(searched(ready(decoder), {}), searched(decoder, {}), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_behind_a_gate_an_additive_attention_takes_no_tanh_either():
    made = ready(build(attention="gated"))
    for attention in made.recurrence.fusion.attentions.values():
        assert type(attention.attention) is decoding.ExponentialAdditive


def test_making_ready_copies_no_parameter_and_leaves_the_decoder_as_it_was():
    decoder = build()
    before = [(name, type(module)) for name, module in decoder.named_modules()]
    embedding = ready(decoder).embedding.weight
    assert embedding is decoder.embedding.weight
    assert [(name, type(module)) for name, module in decoder.named_modules()] == before


def test_what_is_not_single_precision_on_a_cpu_decodes_as_it_is(monkeypatch):
    for decoder in (build().double(), build().bfloat16(), build().to("meta")):
        assert for_decoding(decoder) is decoder
    monkeypatch.setattr(decoding, "packing_works", lambda: False)
    decoder = build()
    assert for_decoding(decoder) is decoder


@torch.no_grad()
def test_the_part_of_a_weight_that_one_of_two_sources_has_is_multiplied_as_a_whole(
    memories, monkeypatch
):
    """For a slice of columns oneDNN has only its reference loop, which took minutes per batch."""
    dense = []
    multiply = decoding.packed_linear

    def watched(rows, weight, bias=None):
        dense.append(weight.is_mkldnn or weight.is_contiguous())
        return multiply(rows, weight, bias)

    made = ready(build())
    monkeypatch.setattr(decoding, "packed_linear", watched)
    made.begin(memories, 3)
    assert len(dense) > 2
    assert all(dense)
