"""The padded path of a GPU, run on a CPU: the same scores, weights and gradients as packed rows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from replaying import Replaying
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from multiattn.engine.attention import Additive, Dot, Multiplicative, ScaledDot
from multiattn.engine.attention_wrappers import Coverage, Gated, Location, MultiHead
from multiattn.engine.batch import Targets, rounded_up
from multiattn.engine.bilstm import bidirectional, final_states, length_mask, one_direction
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.fast.gpu.graphs import Captured
from multiattn.engine.fast.gpu.padded import encode_batch, padded_memory
from multiattn.engine.fusion import Concat, Gate, Hierarchical
from multiattn.engine.layouts import Grid, Tokens
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.output_layer import Copy, Deep, Linear
from multiattn.engine.recurrence import Bahdanau, InputFeeding, Luong
from multiattn.engine.recurrence_variants import Adaptive, Conditional
from multiattn.engine.trees import tree_map

pytestmark = pytest.mark.usefixtures("double")

VOCABULARY, HIDDEN = 11, 6
SPECS = {"text": MemorySpec(6, 3), "photo": MemorySpec(4)}
additive = partial(Additive, dim=5)
RECURRENCES = {
    "bahdanau": partial(Bahdanau, layers=2),
    "luong": partial(Luong, layers=2),
    "input feeding": InputFeeding,
    "conditional": Conditional,
    "adaptive": partial(Adaptive, dim=5),
}
ATTENTIONS = {
    "additive": additive,
    "multiplicative": Multiplicative,
    "scaled dot": partial(ScaledDot, dim=4),
    "location": partial(Location, of=additive, filters=2, width=3),
    "gated": partial(Gated, of=additive),
    "two heads of coverage": partial(MultiHead, of=partial(Coverage, of=Multiplicative), heads=2),
}
OUTPUTS = {"linear": Linear, "copy": partial(Copy, of=partial(Deep, tied=True))}


@pytest.fixture
def memories(memory_of):
    """Three inputs; the second lacks the photo."""
    return {"text": memory_of([5, 2, 3], 6, summary=3), "photo": memory_of([1, 0, 3], 4)}


def build(recurrence, attention, fusion=Concat, output=Linear, sources=("text", "photo")):
    specs = {name: SPECS[name] for name in sources}
    return LSTMDecoder(
        VOCABULARY,
        specs,
        embedding_dim=4,
        hidden_dim=HIDDEN,
        recurrence=recurrence,
        attention=attention,
        fusion=fusion,
        output=output,
    )


def results(decoder, targets, memories):
    """Scores, weights, and the gradients of parameters and memories."""
    output = decoder(targets, memories, keep=("weights",))
    loss = (output.scores.log_softmax(-1) ** 2).sum()
    for name, weights in output.kept["weights"].items():
        loss = loss + (weights * torch.linspace(1, 2, weights.shape[2])).sum()
        assert weights.shape[:2] == targets.tokens.shape, name
    leaves = [leaf for leaf in decoder.parameters() if leaf.requires_grad]
    leaves += [memory.values for memory in memories.values()]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [output.scores, *output.kept["weights"].values(), *gradients]


def assert_same(decoder, targets, memories) -> None:
    """Three calls: as it is, recorded, replayed."""
    for memory in memories.values():
        memory.values.requires_grad_()
    expected = results(decoder, targets, memories)
    decoder.captured = Captured("the decoder", Replaying())
    for _ in range(3):
        for one, other in zip(results(decoder, targets, memories), expected, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
    assert len(decoder.captured.recordings) == 1


@pytest.mark.parametrize("attention", ATTENTIONS.values(), ids=ATTENTIONS)
@pytest.mark.parametrize("recurrence", RECURRENCES.values(), ids=RECURRENCES)
def test_every_recurrence_and_attention_gives_what_packed_rows_give(
    recurrence, attention, memories, targets_of
):
    targets = targets_of([4, 5, 6], [7], [8, 4, 9, 5])
    text = {"text": memories["text"]}
    assert_same(build(recurrence, attention, sources=("text",)), targets, text)


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.parametrize("fusion", [Concat, partial(Hierarchical, dim=5), partial(Gate, dim=5)])
def test_several_sources_and_copies_give_what_packed_rows_give(
    fusion, output, memories, targets_of
):
    targets = targets_of([4, 5, 6], [7], [8, 4, 9, 5])
    assert_same(build(InputFeeding, additive, fusion, output), targets, memories)


def test_a_language_model_is_padded_too(targets_of):
    targets = targets_of([4, 5, 6], [7], [8, 4, 9, 5])
    assert_same(build(Luong, additive, sources=()), targets, {})


class Encoder(nn.Module):
    """A bidirectional LSTM that counts its shapes; ``seen`` may be a buffer."""

    def __init__(self, *, stateful: bool = False) -> None:
        super().__init__()
        self.ahead, self.back = one_direction(3, 2), one_direction(3, 2)
        self.shapes = []
        if stateful:
            self.register_buffer("seen", torch.zeros(()))

    def forward(self, inputs, lengths):
        self.shapes.append(tuple(inputs.shape[:2]))
        values = bidirectional(inputs, lengths, self.ahead, self.back)
        mask = length_mask(lengths, inputs.shape[1])
        return Memory(values, mask, Tokens(), final_states(values, lengths))


@pytest.mark.parametrize(
    ("stateful", "any_length", "shape"),
    [(False, True, (4, 8)), (False, False, (4, 5)), (True, True, (3, 8)), (True, False, (3, 5))],
)
def test_rounding_up_changes_no_memory_and_no_gradient(stateful, any_length, shape):
    encoder, lengths = Encoder(stateful=stateful), torch.tensor([5, 2, 3])
    inputs = torch.randn(3, 5, 3)
    expected = encoder(inputs, lengths)
    learning = list(encoder.parameters())
    tug = torch.randn_like(expected.values)
    gradients = torch.autograd.grad((expected.values * tug).sum(), learning)
    captured = Captured("the encoder", Replaying())
    for _ in range(3):
        memory = encode_batch(
            encoder, captured, encoder, inputs, lengths, part="all", any_length=any_length
        )
        assert not memory.mask[:, 5:].any()
        torch.testing.assert_close(memory.values[:, :5], expected.values)
        torch.testing.assert_close(memory.summary, expected.summary)
        found = torch.autograd.grad((memory.values[:, :5] * tug).sum(), learning)
        torch.testing.assert_close(found, gradients)
    assert set(encoder.shapes[1:]) == {shape}


def test_lengths_of_a_bucket_are_at_most_an_eighth_longer_above_32():
    for length in range(1, 2000):
        bucket = rounded_up(length)
        assert bucket >= length
        assert bucket % 4 == 0
        assert rounded_up(bucket) == bucket
        assert bucket - length < 4 or bucket <= 1.125 * length + 1
    assert len({rounded_up(length) for length in range(1, 1025)}) == 48


def test_a_grid_keeps_its_slots(memories):
    seen = []

    class Watching(Dot):
        def prepare(self, memory, value_projection=None):
            seen.append(memory.mask.shape)
            return super().prepare(memory, value_projection)

    decoder = build(Luong, lambda *_: Watching(HIDDEN, HIDDEN), sources=("text",))
    decoder.captured = Captured("the decoder", Replaying())
    targets = Targets(torch.tensor([[4, 2], [2, 0], [5, 2]]), torch.tensor([2, 1, 2]))
    memory = memories["text"]
    for layout in (memory.layout, Grid(1, 5)):
        decoder(targets, {"text": type(memory)(memory.values, memory.mask, layout, memory.summary)})
    assert seen == [(4, 8), (4, 5)]


@pytest.mark.parametrize("attention", ATTENTIONS.values(), ids=ATTENTIONS)
@pytest.mark.parametrize("recurrence", RECURRENCES.values(), ids=RECURRENCES)
def test_nothing_is_read_back_from_the_device(recurrence, attention, memories, targets_of):
    decoder = build(recurrence, attention, sources=("text",))
    decoder.captured = Captured("the decoder", Replaying())
    targets = targets_of([4, 5, 6], [7], [8, 4, 9, 5]).packed()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = partial(tree_map, mode.from_tensor)
        output = decoder(fake(targets), fake({"text": memories["text"]}))
        assert output.scores.shape == (len(targets.packing.rows), VOCABULARY)


def test_a_padded_memory_gains_masked_slots_and_rows_and_keeps_the_rest(memory_of):
    memory = with_symbols(memory_of([4, 1], 2, summary=3))
    padded = padded_memory(memory, 3, 6)
    assert padded.values.shape == (3, 6, 2)
    for leaf, whole, filling in [
        (padded.values, memory.values, 0),
        (padded.mask, memory.mask, False),
        (padded.symbols, memory.symbols, -1),
    ]:
        assert torch.equal(leaf[:2, :4], whole)
        assert (leaf[2] == filling).all()
        assert (leaf[:, 4:] == filling).all()
    assert torch.equal(padded.summary[:2], memory.summary)
    assert not padded.summary[2].any()


def test_a_memory_that_is_large_enough_is_not_padded(memory_of):
    memory = with_symbols(memory_of([4, 1], 2))
    assert padded_memory(memory, 2, 4) is memory


def with_symbols(memory: Memory) -> Memory:
    return replace(memory, symbols=torch.arange(memory.mask.numel()).view_as(memory.mask))
