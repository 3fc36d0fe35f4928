"""Every recurrence against a transcription of its equations in torch.nn.functional alone."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiattn.engine.attention import Additive
from multiattn.engine.fusion import Concat, Gate, Hierarchical, NoSource
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.recurrence import Bahdanau, InputFeeding, LSTMStack, Luong
from multiattn.engine.recurrence_variants import Adaptive, Conditional
from multiattn.engine.trees import tree_map

pytestmark = pytest.mark.usefixtures("double")

EMBEDDING, HIDDEN, WIDTH = 3, 4, 6
FORMS = {
    "bahdanau": Bahdanau,
    "bahdanau, two layers": partial(Bahdanau, layers=2),
    "luong": Luong,
    "luong, two layers": partial(Luong, layers=2),
    "input feeding": InputFeeding,
    "input feeding, two layers": partial(InputFeeding, layers=2),
    "conditional": Conditional,
    "adaptive": partial(Adaptive, dim=7),
    "adaptive, two layers": partial(Adaptive, dim=7, layers=2),
}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def with_attention(query_dim: int) -> Concat:
    return Concat(query_dim, {"text": MemorySpec(WIDTH)}, partial(Additive, dim=5))


def without_source(query_dim: int) -> NoSource:
    return NoSource()


def start(layers: int, batch_size: int = 2):
    return tuple(tuple(torch.randn(2, batch_size, 1, HIDDEN)) for _ in range(layers))


def run(recurrence, words: Tensor, memories: dict[str, Memory], layers):
    """Words (T, B, N, E) -> features (T, B, N, F)."""
    keys, state = recurrence.prepare(memories), recurrence.begin(layers)
    features = []
    for word in words:
        feature, state, _ = recurrence(word, state, keys)
        features.append(feature)
    return torch.stack(features)


def cell_step(cell, inputs: Tensor, hidden: Tensor, memory_cell: Tensor) -> tuple[Tensor, Tensor]:
    """Hochreiter & Schmidhuber 1997 with a forget gate, in the order i, f, g, o."""
    gates = F.linear(inputs, cell.weight_ih, cell.bias_ih)
    gates = gates + F.linear(hidden, cell.weight_hh, cell.bias_hh)
    enter, keep, candidate, show = gates.chunk(4, -1)
    memory_cell = F.sigmoid(keep) * memory_cell + F.sigmoid(enter) * F.tanh(candidate)
    return F.sigmoid(show) * F.tanh(memory_cell), memory_cell


def stack_step(stack, inputs: Tensor, layers: list[tuple[Tensor, Tensor]]):
    """One step of all layers; the new states and, as the last one's hidden, the output."""
    after = []
    for cell, (hidden, memory_cell) in zip(stack.cells, layers, strict=True):
        inputs, memory_cell = cell_step(cell, inputs, hidden, memory_cell)
        after.append((inputs, memory_cell))
    return inputs, after


def attend(recurrence, query: Tensor, memory: Memory | None) -> Tensor:
    """Bahdanau 2015, A.1.2, on a memory without padding: (B, H) -> (B, D)."""
    if memory is None:
        return query[:, :0]
    (attention,) = recurrence.fusion.attentions.values()
    asked = F.linear(query, attention.query.weight).unsqueeze(1)
    keys = F.linear(memory.values, attention.key.weight, attention.key.bias)
    scores = F.linear(F.tanh(asked + keys), attention.energy.unsqueeze(0)).squeeze(2)
    return (F.softmax(scores, 1).unsqueeze(2) * memory.values).sum(1)


def attentional_vector(recurrence, hidden: Tensor, memory: Memory | None) -> Tensor:
    """tanh(W_c c_t + W_h h_t): Luong et al. 2015, equation 5, with a bias."""
    context = attend(recurrence, hidden, memory)
    return F.tanh(
        F.linear(context, recurrence.from_context)
        + F.linear(hidden, recurrence.from_hidden.weight, recurrence.from_hidden.bias)
    )


def sentinel(recurrence, word: Tensor, before: Tensor, memory_cell: Tensor) -> Tensor:
    """Lu et al. 2017, equations 9-10, with a bias."""
    by_word = F.linear(word, recurrence.gate_of_word.weight, recurrence.gate_of_word.bias)
    by_state = F.linear(before, recurrence.gate_of_hidden.weight)
    return F.sigmoid(by_word + by_state) * F.tanh(memory_cell)


def sentinel_share(recurrence, hidden: Tensor, known: Tensor, context: Tensor) -> Tensor:
    """β (B, 1): the first of a softmax over two scores, that of the sentinel and of the context."""
    asked = F.linear(hidden, recurrence.query.weight, recurrence.query.bias)
    scores = [
        F.tanh(asked + key) @ recurrence.energy
        for key in (
            F.linear(known, recurrence.key_of_sentinel.weight),
            F.linear(context, recurrence.key_of_context),
        )
    ]
    return (scores[0].exp() / (scores[0].exp() + scores[1].exp())).unsqueeze(1)


def transcribed(recurrence, words: Tensor, memory: Memory | None, layers) -> Tensor:
    """Words (T, B, E) -> features (T, B, F), equation by equation."""
    layers = [tuple(leaf.squeeze(1) for leaf in layer) for layer in layers]
    fed = torch.zeros_like(layers[-1][0])
    features = []
    for word in words:
        match recurrence:
            case Bahdanau():
                context = attend(recurrence, layers[-1][0], memory)
                hidden, layers = stack_step(recurrence.cell, torch.cat([word, context], -1), layers)
                features.append(torch.cat([hidden, context], -1))
            case Luong():
                hidden, layers = stack_step(recurrence.cell, word, layers)
                features.append(attentional_vector(recurrence, hidden, memory))
            case InputFeeding():
                hidden, layers = stack_step(recurrence.cell, torch.cat([word, fed], -1), layers)
                fed = attentional_vector(recurrence, hidden, memory)
                features.append(fed)
            case Conditional():
                query, layers = stack_step(recurrence.reads_word, word, layers)
                context = attend(recurrence, query, memory)
                hidden, layers = stack_step(recurrence.reads_context, context, layers)
                features.append(torch.cat([hidden, context], -1))
            case Adaptive():
                before = layers[-1][0]
                hidden, layers = stack_step(recurrence.cell, word, layers)
                known = sentinel(recurrence, word, before, layers[-1][1])
                context = attend(recurrence, hidden, memory)
                share = sentinel_share(recurrence, hidden, known, context)
                seen = F.linear(context, recurrence.from_context)
                features.append(share * known + (1 - share) * seen + hidden)
    return torch.stack(features)


@pytest.mark.parametrize("layers", [1, 2, 3])
@torch.no_grad()
def test_a_stack_of_cells_is_the_library_lstm_step_by_step(layers):
    stack, lstm = LSTMStack(EMBEDDING, HIDDEN, layers), nn.LSTM(EMBEDDING, HIDDEN, layers)
    for depth, cell in enumerate(stack.cells):
        for name, parameter in cell.named_parameters():
            getattr(lstm, f"{name}_l{depth}").copy_(parameter)
    words, hidden = torch.randn(5, 6, EMBEDDING), torch.randn(2, layers, 6, HIDDEN)
    expected, (last_hidden, last_cell) = lstm(words, (hidden[0], hidden[1]))
    state = tuple(
        (hidden[0, depth].view(2, 3, HIDDEN), hidden[1, depth].view(2, 3, HIDDEN))
        for depth in range(layers)
    )
    for step, word in enumerate(words):
        output, state = stack(word.view(2, 3, EMBEDDING), state)
        torch.testing.assert_close(output.flatten(0, 1), expected[step], rtol=1e-9, atol=1e-12)
    for depth, (top, memory_cell) in enumerate(state):
        torch.testing.assert_close(top.flatten(0, 1), last_hidden[depth], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(
            memory_cell.flatten(0, 1), last_cell[depth], rtol=1e-9, atol=1e-12
        )


@every_form
@pytest.mark.parametrize("sources", ["one source", "language model"])
def test_a_recurrence_is_its_equations(form, sources, memory_of):
    memory = memory_of([5, 5], WIDTH) if sources == "one source" else None
    fusion = without_source if memory is None else with_attention
    recurrence = form(EMBEDDING, HIDDEN, fusion)
    words, layers = torch.randn(4, 2, EMBEDDING), start(recurrence.layers)
    found = run(recurrence, words.unsqueeze(2), {} if memory is None else {"text": memory}, layers)
    assert found.shape[-1] == recurrence.features_dim
    expected = transcribed(recurrence, words, memory, layers)
    torch.testing.assert_close(found.squeeze(2), expected, rtol=1e-9, atol=1e-12)


@every_form
def test_many_hypotheses_at_once_are_one_at_a_time(form, memory_of):
    recurrence, memories = form(EMBEDDING, HIDDEN, with_attention), {"text": memory_of([5, 2], 6)}
    words, layers = torch.randn(4, 2, 3, EMBEDDING), start(recurrence.layers)
    spread = tuple(tuple(leaf.expand(-1, 3, -1) for leaf in layer) for layer in layers)
    together = run(recurrence, words, memories, spread)
    for place in range(3):
        alone = run(recurrence, words[:, :, place : place + 1], memories, layers)
        torch.testing.assert_close(alone, together[:, :, place : place + 1], rtol=1e-9, atol=1e-12)


@every_form
def test_a_state_keeps_its_shape_from_step_to_step(form, memory_of):
    recurrence, memories = form(EMBEDDING, HIDDEN, with_attention), {"text": memory_of([5, 2], 6)}
    keys, state = recurrence.prepare(memories), recurrence.begin(start(recurrence.layers))
    _, after, weights = recurrence(torch.randn(2, 1, EMBEDDING), state, keys)
    assert len(after.layers) == recurrence.layers
    for old, new in zip(state.layers, after.layers, strict=True):
        assert [leaf.shape for leaf in old] == [leaf.shape for leaf in new]
    assert (after.fed is None) == (state.fed is None)
    assert weights["text"].shape == (2, 1, 5)


@pytest.mark.parametrize("fusion", [Concat, Gate, Hierarchical])
def test_the_weights_of_every_source_leave_what_the_sentinel_takes(fusion, memory_of):
    specs = {"text": MemorySpec(WIDTH), "photo": MemorySpec(WIDTH)}
    recurrence = Adaptive(
        EMBEDDING, HIDDEN, lambda query: fusion(query, specs, partial(Additive, dim=5)), dim=7
    )
    memories = {"text": memory_of([5, 2], WIDTH), "photo": memory_of([3, 0], WIDTH)}
    keys, state = recurrence.prepare(memories), recurrence.begin(start(1))
    word = torch.randn(2, 3, EMBEDDING)
    state = tree_map(lambda leaf: leaf.expand(-1, 3, -1), state)
    features, after, weights = recurrence(word, state, keys)
    hidden, ((_, memory_cell),) = after.layers[0][0], after.layers
    known = sentinel(recurrence, word, state.layers[0][0], memory_cell)
    joined, plain, _ = recurrence.fusion(hidden, keys, None)
    taken = weights["text"].sum(2)  # 1 - β
    assert ((taken > 0) & (taken < 1)).all()
    torch.testing.assert_close(weights["photo"][0].sum(1), taken[0])
    assert not weights["photo"][1].any()
    for name, leaf in weights.items():
        torch.testing.assert_close(leaf, plain[name] * taken.unsqueeze(2))
    mixture = (1 - taken).unsqueeze(2) * known + taken.unsqueeze(2) * joined[..., :HIDDEN]
    torch.testing.assert_close(features, mixture + hidden)


def test_luong_looks_for_all_steps_at_once_as_for_each_in_turn(memory_of):
    recurrence = Luong(EMBEDDING, HIDDEN, with_attention)
    keys, hidden = recurrence.prepare({"text": memory_of([5, 2], 6)}), torch.randn(2, 7, HIDDEN)
    together, weights, _ = recurrence.attend(hidden, keys, None)
    for step in range(7):
        alone, weight, _ = recurrence.attend(hidden[:, step : step + 1], keys, None)
        torch.testing.assert_close(alone, together[:, step : step + 1], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(
            weight["text"], weights["text"][:, step : step + 1], rtol=1e-9, atol=1e-12
        )


@every_form
@pytest.mark.parametrize("fusion", [with_attention, without_source])
def test_every_parameter_that_learns_gets_a_gradient(form, fusion, memory_of):
    recurrence = form(EMBEDDING, HIDDEN, fusion)
    memories = {"text": memory_of([5, 2], WIDTH)} if fusion is with_attention else {}
    words = torch.randn(3, 2, 1, EMBEDDING)
    run(recurrence, words, memories, start(recurrence.layers)).square().sum().backward()
    for name, parameter in recurrence.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.any() or not parameter.numel(), name
