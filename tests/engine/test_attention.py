"""Every attention against a loop over inputs, queries and slots written from its paper."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from multiattn.engine.attention import Additive, Dot, Multiplicative, ScaledDot, masked_softmax
from multiattn.engine.attention_wrappers import Coverage, Gated, Location, MultiHead
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.layouts import Tokens
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.recurrence import Bahdanau, InputFeeding
from multiattn.engine.trees import tree_map
from multiattn.errors import UserError

pytestmark = pytest.mark.usefixtures("double")

WIDTH = 6  # of query and memory alike, so that dot takes part
CONTENT = {
    "additive": partial(Additive, dim=5),
    "multiplicative": Multiplicative,
    "dot": Dot,
    "scaled-dot": partial(ScaledDot, dim=5),
}
LOCATION = {
    f"location of {name}": partial(Location, of=of, filters=3, width=5)
    for name, of in CONTENT.items()
}
COVERAGE = {f"coverage of {name}": partial(Coverage, of=of) for name, of in CONTENT.items()}
HEADS = {
    f"two heads of {name}": partial(MultiHead, of=of, heads=2)
    for name, of in {
        "scaled-dot": CONTENT["scaled-dot"],
        "location of multiplicative": LOCATION["location of multiplicative"],
        "coverage of additive": COVERAGE["coverage of additive"],
        "three heads of additive": partial(MultiHead, of=CONTENT["additive"], heads=3),
    }.items()
}
GATED = {
    f"gated {name}": partial(Gated, of=of)
    for name, of in {
        "additive": CONTENT["additive"],
        "location of dot": LOCATION["location of dot"],
        "heads of dot": partial(MultiHead, of=Dot, heads=2),
    }.items()
}
HEADS["two gated heads"] = partial(MultiHead, of=GATED["gated additive"], heads=2)
ALL = CONTENT | LOCATION | COVERAGE | HEADS | GATED
every_attention = pytest.mark.parametrize("factory", ALL.values(), ids=ALL)


def content_score(attention, query: Tensor, slot: Tensor, offset: Tensor | float) -> float:
    """One query, one slot: Bahdanau A.1.2; Luong general and dot; Vaswani equation 1."""
    match attention:
        case Additive():
            inner = attention.query.weight @ query + attention.key.weight @ slot
            inner = inner + attention.key.bias + offset
            terms = zip(attention.energy.tolist(), inner.tolist(), strict=True)
            return sum(weight * math.tanh(unit) for weight, unit in terms)
        case Multiplicative():
            return float(query @ (attention.key.weight @ slot + offset))
        case Dot():
            return float(query @ (slot + offset))
        case ScaledDot():
            asked = attention.query.weight @ query
            return float(asked @ (attention.key.weight @ slot + offset)) / math.sqrt(len(asked))
    raise NotImplementedError(type(attention))


def first_history(attention, mask: list[bool]):
    """What is remembered before the first step, for one query: a number per slot, per head."""
    match attention:
        case Location():
            return [real / max(sum(mask), 1) for real in mask]
        case Coverage():
            return [0.0 for _ in mask]
        case MultiHead():
            return [first_history(head, mask) for head in attention.attentions]
        case Gated():
            return first_history(attention.attention, mask)
    return None


def location_offset(attention: Location, before: list[float], slot: int) -> Tensor:
    """U f_s, f = F * α_{t-1} (Chorowski equation 8), zeros beyond both ends."""
    filters = attention.convolution.weight.squeeze(1).tolist()
    half = len(filters[0]) // 2
    found = [
        sum(
            weight * before[slot + place - half]
            for place, weight in enumerate(taps)
            if 0 <= slot + place - half < len(before)
        )
        for taps in filters
    ]
    return attention.feature.weight @ torch.tensor(found)


def scores_of(attention, query: Tensor, slots: Tensor, before) -> list[float]:
    """A score per slot, padded ones too."""
    match attention:
        case Location():
            return [
                content_score(
                    attention.content, query, slot, location_offset(attention, before, place)
                )
                for place, slot in enumerate(slots)
            ]
        case Coverage():
            return [
                content_score(
                    attention.content, query, slot, attention.feature.weight[:, 0] * before[place]
                )
                for place, slot in enumerate(slots)
            ]
    return [content_score(attention, query, slot, 0.0) for slot in slots]


def look_once(attention, query: Tensor, slots: Tensor, mask: list[bool], before):
    """One query at one input: context, weights and what is remembered, in plain loops."""
    if isinstance(attention, Gated):  # Xu 2015, 4.2.1
        context, weights, after = look_once(attention.attention, query, slots, mask, before)
        asked = float(attention.gate.weight[0] @ query) + float(attention.gate.bias)
        return context / (1 + math.exp(-asked)), weights, after
    if isinstance(attention, MultiHead):
        heads, weights, after = [], [], []
        for head, value, history in zip(attention.attentions, attention.value, before, strict=True):
            _, head_weights, head_after = look_once(head, query, slots, mask, history)
            projected = (value.weight @ slot for slot in slots)
            if isinstance(head, MultiHead | Gated):  # its context is linear in what it looks at
                context = value.weight @ look_once(head, query, slots, mask, history)[0]
            else:
                context = sum(
                    weight * slot for weight, slot in zip(head_weights, projected, strict=True)
                )
            heads.append(context)
            weights.append(head_weights)
            after.append(head_after)
        output = torch.cat([part.weight for part in attention.output], 1)
        mean = [sum(column) / len(column) for column in zip(*weights, strict=True)]
        return output @ torch.cat(heads), mean, after
    scores = scores_of(attention, query, slots, before)
    shares = [math.exp(score) if real else 0.0 for score, real in zip(scores, mask, strict=True)]
    weights = [share / sum(shares) if any(mask) else 0.0 for share in shares]
    context = sum(weight * slot for weight, slot in zip(weights, slots, strict=True))
    after = None
    if isinstance(attention, Location):
        after = weights
    elif isinstance(attention, Coverage):
        after = [old + new for old, new in zip(before, weights, strict=True)]
    return context, weights, after


def look_in_turn(attention, memory: Memory, queries: list[Tensor]):
    """Contexts and weights of one look after another: what a decoder does."""
    keys, history = attention.prepare(memory), None
    contexts, weights = [], []
    for query in queries:
        context, weight, history = attention(query, keys, history)
        contexts.append(context)
        weights.append(weight)
    return torch.stack(contexts), torch.stack(weights)


@pytest.fixture
def holed_memory() -> Memory:
    """Four inputs: full, with a hole, padded, and one with nothing to look at."""
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    return Memory(torch.randn(4, 4, WIDTH) * mask.unsqueeze(-1), mask, Tokens())


@pytest.fixture
def queries() -> list[Tensor]:
    """Three steps of three queries per input."""
    return list(torch.randn(3, 4, 3, WIDTH))


@every_attention
@torch.no_grad()
def test_an_attention_is_its_loop(factory, holed_memory, queries):
    attention = factory(WIDTH, WIDTH)
    contexts, weights = look_in_turn(attention, holed_memory, queries)
    for row, mask in enumerate(holed_memory.mask.tolist()):
        for place in range(3):
            before = first_history(attention, mask)
            for step, query in enumerate(queries):
                context, expected, before = look_once(
                    attention, query[row, place], holed_memory.values[row], mask, before
                )
                torch.testing.assert_close(
                    weights[step, row, place], torch.tensor(expected), rtol=1e-9, atol=1e-12
                )
                torch.testing.assert_close(
                    contexts[step, row, place], context, rtol=1e-9, atol=1e-12
                )


@every_attention
def test_weights_sum_to_one_and_are_exactly_zero_on_padding(factory, holed_memory, queries):
    _, weights = look_in_turn(factory(WIDTH, WIDTH), holed_memory, queries)
    assert not weights.masked_select(~holed_memory.mask.unsqueeze(1)).any()
    torch.testing.assert_close(weights[:, :3].sum(-1), torch.ones(3, 3, 3))


@every_attention
def test_an_input_without_slots_has_no_weight_no_context_and_no_gradient(
    factory, holed_memory, queries
):
    attention = factory(WIDTH, WIDTH)
    holed_memory.values.requires_grad_()
    contexts, weights = look_in_turn(attention, holed_memory, queries)
    assert not weights[:, 3].any()
    assert not contexts[:, 3].any()
    (contexts.square().sum() + weights.square().sum()).backward()
    assert not holed_memory.values.grad[3].any()
    for parameter in attention.parameters():
        assert parameter.grad.isfinite().all()


@every_attention
def test_a_projection_folded_into_the_values_is_one_applied_to_the_context(
    factory, holed_memory, queries
):
    attention, projection = factory(WIDTH, WIDTH), torch.randn(7, WIDTH)
    keys, folded = attention.prepare(holed_memory), attention.prepare(holed_memory, projection)
    history = folded_history = None
    for query in queries:
        context, weights, history = attention(query, keys, history)
        folded_context, folded_weights, folded_history = attention(query, folded, folded_history)
        torch.testing.assert_close(folded_context, context @ projection.T, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(folded_weights, weights, rtol=1e-9, atol=1e-12)


@every_attention
def test_many_queries_at_once_are_one_at_a_time(factory, holed_memory, queries):
    attention = factory(WIDTH, WIDTH)
    contexts, weights = look_in_turn(attention, holed_memory, queries)
    for place in range(3):
        alone = [query[:, place : place + 1] for query in queries]
        context, weight = look_in_turn(attention, holed_memory, alone)
        torch.testing.assert_close(context, contexts[:, :, place : place + 1], rtol=1e-9, atol=0)
        torch.testing.assert_close(weight, weights[:, :, place : place + 1], rtol=1e-9, atol=0)


@every_attention
def test_padding_a_memory_changes_nothing(factory, holed_memory, queries):
    attention = factory(WIDTH, WIDTH)
    contexts, weights = look_in_turn(attention, holed_memory, queries)
    padded = Memory(
        nn.functional.pad(holed_memory.values, (0, 0, 0, 3)),
        nn.functional.pad(holed_memory.mask, (0, 3)),
        Tokens(),
    )
    padded_contexts, padded_weights = look_in_turn(attention, padded, queries)
    torch.testing.assert_close(padded_contexts, contexts, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(padded_weights[..., :4], weights, rtol=1e-9, atol=1e-12)


@every_attention
def test_keys_and_history_are_reordered_by_indexing(factory, holed_memory, queries):
    attention, order = factory(WIDTH, WIDTH), torch.tensor([3, 1, 1])
    keys = attention.prepare(holed_memory)
    _, _, history = attention(queries[0], keys, None)
    context, weights, _ = attention(queries[1], keys, history)
    chosen, chosen_weights, _ = attention(
        queries[1][order], *tree_map(lambda leaf: leaf[order], (keys, history))
    )
    torch.testing.assert_close(chosen, context[order], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(chosen_weights, weights[order], rtol=1e-9, atol=1e-12)


@every_attention
def test_keys_are_held_once_per_input_whatever_the_number_of_queries(factory, holed_memory):
    keys = factory(WIDTH, WIDTH).prepare(holed_memory)
    shapes: list[torch.Size] = []
    tree_map(lambda leaf: shapes.append(leaf.shape), keys)
    assert {shape[0] for shape in shapes} == {4}


@every_attention
def test_an_attention_is_recurrent_if_an_earlier_look_changes_a_later_one(
    factory, holed_memory, queries
):
    attention = factory(WIDTH, WIDTH)
    contexts, _ = look_in_turn(attention, holed_memory, queries)
    at_once, _ = look_in_turn(attention, holed_memory, [torch.cat(queries, 1)])
    in_turn = torch.cat(list(contexts), 1)
    assert attention.recurrent != torch.allclose(at_once[0], in_turn, rtol=1e-9, atol=1e-12)


@every_attention
def test_every_parameter_and_every_real_slot_gets_a_gradient(factory, holed_memory, queries):
    attention = factory(WIDTH, WIDTH)
    holed_memory.values.requires_grad_()
    contexts, _ = look_in_turn(attention, holed_memory, queries)
    contexts.square().sum().backward()
    assert holed_memory.values.grad[holed_memory.mask].all()
    for name, parameter in attention.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@every_attention
def test_single_precision_matches_double(factory, holed_memory, queries):
    attention = factory(WIDTH, WIDTH)
    contexts, weights = look_in_turn(attention, holed_memory, queries)
    single = tree_map(lambda leaf: leaf.float() if leaf.is_floating_point() else leaf, holed_memory)
    narrow, narrow_weights = look_in_turn(
        attention.float(), single, [query.float() for query in queries]
    )
    torch.testing.assert_close(narrow.double(), contexts, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(narrow_weights.double(), weights, rtol=1e-5, atol=1e-6)


@every_attention
def test_bfloat16_runs(factory, holed_memory, queries):
    attention = factory(WIDTH, WIDTH).bfloat16()
    narrow = tree_map(
        lambda leaf: leaf.bfloat16() if leaf.is_floating_point() else leaf, holed_memory
    )
    contexts, weights = look_in_turn(attention, narrow, [query.bfloat16() for query in queries])
    assert contexts.isfinite().all()
    assert not weights.masked_select(~narrow.mask.unsqueeze(1)).any()


def test_scores_of_any_size_give_finite_weights():
    scores = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], dtype=torch.float32)
    weights = masked_softmax(scores, torch.tensor([[True, True, True], [True, True, False]]))
    assert weights.tolist() == [[1, 0, 0], [0.5, 0.5, 0]]


def test_dot_refuses_widths_that_differ():
    with pytest.raises(UserError, match=r"query of 4 and a memory of 6; use 'multiplicative'"):
        Dot(4, 6)


def test_location_refuses_an_even_width():
    with pytest.raises(UserError, match="odd width, got 4"):
        Location(WIDTH, WIDTH, width=4)


def windowed(window: int) -> Location:
    """The same weights whatever the window; queries that make sharp looks."""
    torch.manual_seed(3)
    attention = Location(WIDTH, WIDTH, of=partial(ScaledDot, dim=5), filters=3, width=5)
    attention.window = window
    return attention.eval()


def look_twice(attention: Location, memory: Memory, queries: Tensor, before: Tensor) -> Tensor:
    """Weights of a look that follows one that went to ``before`` (B, N, S)."""
    _, weights, _ = attention(queries, attention.prepare(memory), before)
    return weights


@torch.no_grad()
def test_a_window_around_the_median_is_all_that_is_seen_out_of_training(memory_of):
    lengths, slots = [9, 5, 0], 9
    memory = memory_of(lengths, WIDTH)
    queries = torch.randn(3, 2, WIDTH)
    before = torch.rand(3, 2, slots) ** 4 * memory.mask.unsqueeze(1)
    before = before / before.sum(2, keepdim=True).clamp(min=1e-9)
    whole = look_twice(windowed(0), memory, queries, before)
    for window in (1, 3, 8):
        found = look_twice(windowed(window), memory, queries, before)
        for row, length in enumerate(lengths):
            for query in range(2):
                median, reached = 0, 0.0
                for slot in range(length):
                    reached += float(before[row, query, slot])
                    if reached >= 0.5:
                        median = slot
                        break
                expected = [
                    float(whole[row, query, slot]) if abs(slot - median) <= window else 0.0
                    for slot in range(slots)
                ]
                mass = sum(expected) or 1.0
                assert found[row, query].tolist() == pytest.approx(
                    [share / mass for share in expected], abs=1e-12
                )


@torch.no_grad()
def test_a_window_that_covers_all_and_training_change_nothing(memory_of):
    memory, queries = memory_of([9, 5, 0], WIDTH), list(torch.randn(4, 3, 2, WIDTH))
    for one, other in zip(
        look_in_turn(windowed(0), memory, queries),
        look_in_turn(windowed(8), memory, queries),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    for one, other in zip(
        look_in_turn(windowed(0), memory, queries),
        look_in_turn(windowed(1).train(), memory, queries),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    first = windowed(1)(queries[0], windowed(1).prepare(memory), None)[1]
    torch.testing.assert_close(first, look_in_turn(windowed(0), memory, queries)[1][0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("recurrence", [Bahdanau, InputFeeding])
def test_a_windowed_decoder_is_stepped_as_it_is_forced(recurrence, dtype, memory_of, targets_of):
    """No faster way may forget the window."""
    looks = {}
    for window in (0, 1):
        torch.manual_seed(5)
        attention = partial(Location, filters=3, width=5, window=window)
        decoder = LSTMDecoder(
            9, {"a": MemorySpec(WIDTH)}, hidden_dim=8, attention=attention, recurrence=recurrence
        )
        decoder.to(dtype).eval()
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.mul_(3)
        torch.manual_seed(6)
        memories = {"a": memory_of([12, 7], WIDTH)}
        memories = tree_map(
            lambda leaf: leaf.to(dtype) if leaf.is_floating_point() else leaf, memories
        )
        targets = targets_of([3, 4, 5], [6, 7, 8])
        with torch.no_grad():
            forced = decoder(targets, memories, keep=("weights",)).kept["weights"]["a"]
            shared, state = decoder.begin(memories, 2)
            for step in range(4):
                token = targets.inputs()[:, step : step + 1]
                _, state, weights = decoder.step(token, state, shared)
                torch.testing.assert_close(weights["a"][:, 0], forced[:, step])
        looks[window] = forced
    assert not torch.allclose(looks[0], looks[1])


@pytest.mark.parametrize("extension", [Location, Coverage])
@pytest.mark.parametrize("of", [partial(MultiHead, heads=2), Gated], ids=["MultiHead", "Gated"])
def test_what_extends_scores_refuses_an_attention_without_them(extension, of):
    with pytest.raises(UserError, match=r"got (MultiHead|Gated); use additive"):
        extension(WIDTH, WIDTH, of=of)


def test_a_gate_scales_the_context_and_leaves_the_weights(holed_memory, queries):
    attention = Gated(WIDTH, WIDTH, of=CONTENT["additive"])
    gated, weights, _ = attention(queries[0], attention.prepare(holed_memory), None)
    plain = attention.attention
    context, plain_weights, _ = plain(queries[0], plain.prepare(holed_memory), None)
    shares = gated / context
    torch.testing.assert_close(shares[:3], shares[:3, :, :1].expand(-1, -1, WIDTH))
    assert 0 < shares[:3].min() < shares[:3].max() < 1
    assert torch.equal(weights, plain_weights)


def test_multi_head_refuses_heads_that_do_not_divide_the_memory():
    with pytest.raises(UserError, match="width 6 into equal heads, got 4 heads"):
        MultiHead(WIDTH, WIDTH, heads=4)
