"""Every fusion against loops over sources and units; sources that are absent."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from multiattn.engine.attention import Additive, Multiplicative
from multiattn.engine.attention_wrappers import Coverage, Location, MultiHead
from multiattn.engine.fusion import Concat, Gate, Hierarchical, NoSource
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.trees import tree_map

pytestmark = pytest.mark.usefixtures("double")

QUERY = 4
SPECS = {"text": MemorySpec(6), "photo": MemorySpec(4), "sound": MemorySpec(2)}
FUSIONS = {
    "concat": Concat,
    "hierarchical": partial(Hierarchical, dim=5),
    "gate": partial(Gate, dim=5),
}
ATTENTIONS = {
    "additive": partial(Additive, dim=5),
    "coverage": partial(Coverage, of=Multiplicative),
    "two heads of location": partial(
        MultiHead, of=partial(Location, of=Multiplicative, filters=2, width=3), heads=2
    ),
}
every_fusion = pytest.mark.parametrize("fusion", FUSIONS.values(), ids=FUSIONS)
every_attention = pytest.mark.parametrize("attention", ATTENTIONS.values(), ids=ATTENTIONS)


@pytest.fixture
def memories(memory_of) -> dict[str, Memory]:
    """Four inputs: all sources, one without a photo, one with sound alone, one with nothing."""
    return {
        "text": memory_of([3, 2, 0, 0], 6),
        "photo": memory_of([2, 0, 0, 0], 4),
        "sound": memory_of([1, 4, 2, 0], 2),
    }


@pytest.fixture
def queries() -> list[Tensor]:
    """Two steps of three queries per input."""
    return list(torch.randn(2, 4, 3, QUERY))


def look_in_turn(fused, memories, queries, projection=None):
    """Contexts and weights per source of one look after another."""
    keys, history = fused.prepare(memories, projection), None
    contexts, weights = [], []
    for query in queries:
        context, weight, history = fused(query, keys, history)
        contexts.append(context)
        weights.append(weight)
    return torch.stack(contexts), {
        name: torch.stack([weight[name] for weight in weights]) for name in memories
    }


def look_at_each(fused, memories, queries):
    """Per step the contexts of every source's own attention, asked directly."""
    keys = {name: fused.attentions[name].prepare(memory) for name, memory in memories.items()}
    histories = dict.fromkeys(memories)
    for query in queries:
        contexts = {}
        for name, attention in fused.attentions.items():
            contexts[name], _, histories[name] = attention(query, keys[name], histories[name])
        yield query, contexts


def softmax(scores: dict[str, float]) -> dict[str, float]:
    total = sum(math.exp(score) for score in scores.values())
    return {name: math.exp(score) / total for name, score in scores.items()}


def concatenated(fused, query, contexts, present):
    vectors = dict(zip(contexts, fused.absent, strict=True))
    return torch.cat([contexts[name] if name in present else vectors[name] for name in contexts])


def attended(fused, query, contexts, present):
    """Libovický & Helcl 2017, equations 8-10, over the sources that are there."""
    scores = {}
    for name in present:
        inner = fused.query.weight @ query + fused.key[name].weight @ contexts[name]
        scores[name] = float(fused.energy @ torch.tanh(inner))
    total = torch.zeros(fused.dim)
    for name, share in softmax(scores).items():
        total += share * (fused.value[name].weight @ contexts[name])
    return total


def gated(fused, query, contexts, present):
    """Unit by unit: a softmax over the sources that are there chooses among their values."""
    value, energy = {}, {}
    for name in present:
        both = fused.value[name].weight @ contexts[name]
        value[name], energy[name] = both[: fused.dim], both[fused.dim :]
    total = torch.zeros(fused.dim)
    for unit in range(fused.dim):
        asked = {name: fused.query[name](query)[unit] for name in present}
        shares = softmax({name: float(asked[name] + energy[name][unit]) for name in present})
        total[unit] = sum(share * value[name][unit] for name, share in shares.items())
    return total


LOOPS = {"concat": concatenated, "hierarchical": attended, "gate": gated}


@every_attention
@pytest.mark.parametrize("kind", FUSIONS)
@torch.no_grad()
def test_a_fusion_is_its_loop_over_the_sources_that_are_there(kind, attention, memories, queries):
    fused, loop = FUSIONS[kind](QUERY, SPECS, attention), LOOPS[kind]
    found, _ = look_in_turn(fused, memories, queries)
    assert found.shape == (2, 4, 3, fused.context_dim)
    for step, (query, contexts) in enumerate(look_at_each(fused, memories, queries)):
        for row in range(4):
            present = [name for name, memory in memories.items() if memory.mask[row].any()]
            for place in range(3):
                alone = {name: context[row, place] for name, context in contexts.items()}
                expected = loop(fused, query[row, place], alone, present)
                torch.testing.assert_close(found[step, row, place], expected, rtol=1e-9, atol=1e-12)


@every_fusion
@every_attention
def test_a_projection_folded_into_the_values_is_one_applied_to_the_context(
    fusion, attention, memories, queries
):
    fused = fusion(QUERY, SPECS, attention)
    projection = torch.randn(7, fused.context_dim)
    contexts, weights = look_in_turn(fused, memories, queries)
    folded, folded_weights = look_in_turn(fused, memories, queries, projection)
    torch.testing.assert_close(folded, contexts @ projection.T, rtol=1e-9, atol=1e-12)
    for name in memories:
        torch.testing.assert_close(folded_weights[name], weights[name], rtol=1e-9, atol=1e-12)


@every_fusion
@every_attention
def test_one_source_may_be_all_there_is(fusion, attention, memories, queries):
    fused = fusion(QUERY, {"text": SPECS["text"]}, attention)
    alone = {"text": memories["text"]}
    projection = torch.randn(7, fused.context_dim)
    contexts, _ = look_in_turn(fused, alone, queries)
    folded, _ = look_in_turn(fused, alone, queries, projection)
    torch.testing.assert_close(folded, contexts @ projection.T, rtol=1e-9, atol=1e-12)
    assert not contexts[:, 2:].any()


def test_concat_of_one_source_is_the_attention_itself(memories, queries):
    fused = Concat(QUERY, {"text": SPECS["text"]}, ATTENTIONS["additive"])
    contexts, _ = look_in_turn(fused, {"text": memories["text"]}, queries)
    (attention,) = fused.attentions.values()
    for step, query in enumerate(queries):
        expected, _, _ = attention(query, attention.prepare(memories["text"]), None)
        assert torch.equal(contexts[step], expected)
    assert len(fused.absent) == 0


@every_fusion
@every_attention
def test_what_lies_in_an_absent_source_does_not_matter(fusion, attention, memories, queries):
    fused = fusion(QUERY, SPECS, attention)
    contexts, _ = look_in_turn(fused, memories, queries)
    garbage = {
        name: Memory(
            memory.values.masked_fill(~memory.mask.any(1)[:, None, None], 17.0),
            memory.mask,
            memory.layout,
        )
        for name, memory in memories.items()
    }
    found, weights = look_in_turn(fused, garbage, queries)
    torch.testing.assert_close(found, contexts, rtol=1e-9, atol=1e-12)
    assert not weights["photo"][:, 1:].any()


@every_fusion
def test_the_order_in_which_memories_are_named_does_not_matter(fusion, memories, queries):
    fused = fusion(QUERY, SPECS, ATTENTIONS["additive"])
    contexts, _ = look_in_turn(fused, memories, queries)
    backwards = {name: memories[name] for name in reversed(memories)}
    found, _ = look_in_turn(fused, backwards, queries)
    torch.testing.assert_close(found, contexts, rtol=1e-9, atol=1e-12)


@every_fusion
@every_attention
def test_many_queries_at_once_are_one_at_a_time(fusion, attention, memories, queries):
    fused = fusion(QUERY, SPECS, attention)
    contexts, _ = look_in_turn(fused, memories, queries)
    for place in range(3):
        alone, _ = look_in_turn(fused, memories, [query[:, place : place + 1] for query in queries])
        torch.testing.assert_close(alone, contexts[:, :, place : place + 1], rtol=1e-9, atol=1e-12)


@every_fusion
@every_attention
def test_a_batch_is_its_inputs_one_by_one_and_padding_changes_nothing(
    fusion, attention, memories, queries
):
    fused = fusion(QUERY, SPECS, attention)
    contexts, _ = look_in_turn(fused, memories, queries)
    for row in range(4):
        alone = {}
        for name, memory in memories.items():
            slots = max(int(memory.mask[row].sum()), 1)
            alone[name] = Memory(
                memory.values[row : row + 1, :slots],
                memory.mask[row : row + 1, :slots],
                memory.layout,
            )
        found, _ = look_in_turn(fused, alone, [query[row : row + 1] for query in queries])
        torch.testing.assert_close(found, contexts[:, row : row + 1], rtol=1e-9, atol=1e-12)


@every_fusion
@every_attention
@pytest.mark.parametrize("folded", [False, True])
def test_keys_and_history_are_reordered_by_indexing(fusion, attention, folded, memories, queries):
    fused, order = fusion(QUERY, SPECS, attention), torch.tensor([2, 0, 0])
    keys = fused.prepare(memories, torch.randn(7, fused.context_dim) if folded else None)
    _, _, history = fused(queries[0], keys, None)
    context, weights, _ = fused(queries[1], keys, history)
    chosen, chosen_weights, _ = fused(
        queries[1][order], *tree_map(lambda leaf: leaf[order], (keys, history))
    )
    torch.testing.assert_close(chosen, context[order], rtol=1e-9, atol=1e-12)
    for name in memories:
        torch.testing.assert_close(
            chosen_weights[name], weights[name][order], rtol=1e-9, atol=1e-12
        )


@every_fusion
@every_attention
def test_every_parameter_of_a_fusion_gets_a_finite_gradient(fusion, attention, memories, queries):
    fused = fusion(QUERY, SPECS, attention)
    contexts, _ = look_in_turn(fused, memories, queries)
    contexts.square().sum().backward()
    for name, parameter in fused.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
        assert parameter.grad.isfinite().all(), name


@every_fusion
def test_no_source_at_all_gives_a_context_without_nan(fusion, memories, queries):
    fused = fusion(QUERY, SPECS, ATTENTIONS["additive"])
    contexts, weights = look_in_turn(fused, memories, queries)
    assert contexts[:, 3].isfinite().all()
    assert not any(leaf[:, 3].any() for leaf in weights.values())
    if not isinstance(fused, Concat):
        assert not contexts[:, 3].any()


@every_fusion
def test_a_fusion_of_recurrent_attentions_is_recurrent(fusion):
    assert not fusion(QUERY, SPECS, ATTENTIONS["additive"]).recurrent
    assert fusion(QUERY, SPECS, ATTENTIONS["coverage"]).recurrent


@every_fusion
def test_single_precision_matches_double(fusion, memories, queries):
    fused = fusion(QUERY, SPECS, ATTENTIONS["coverage"])
    contexts, _ = look_in_turn(fused, memories, queries)
    single = tree_map(lambda leaf: leaf.float() if leaf.is_floating_point() else leaf, memories)
    found, _ = look_in_turn(fused.float(), single, [query.float() for query in queries])
    torch.testing.assert_close(found.double(), contexts, rtol=1e-5, atol=1e-5)


@every_fusion
def test_bfloat16_runs(fusion, memories, queries):
    fused = fusion(QUERY, SPECS, ATTENTIONS["coverage"]).bfloat16()
    narrow = tree_map(lambda leaf: leaf.bfloat16() if leaf.is_floating_point() else leaf, memories)
    contexts, _ = look_in_turn(fused, narrow, [query.bfloat16() for query in queries])
    assert contexts.isfinite().all()


def test_without_sources_the_context_is_zeros_of_the_width_that_follows(queries):
    fused: nn.Module = NoSource()
    for projection, width in [(None, 0), (torch.randn(7, 0), 7)]:
        context, weights, history = fused(queries[0], fused.prepare({}, projection), None)
        assert context.shape == (4, 3, width)
        assert not context.any()
        assert (weights, history) == ({}, None)
