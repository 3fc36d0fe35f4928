"""Conformance checks of attentions: stateless, real slots only, inputs independent of each other.

Letters: B batch, N queries, S slots, C context width.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from multiattn.engine.memory import Memory
from multiattn.engine.trees import tree_map
from multiattn.registry.host import Component, Host
from multiattn.testing.fixtures import (
    WIDTH,
    Subject,
    build,
    expect,
    expect_close,
    expect_gradients,
    expect_round_trip,
    memory_of,
    padded,
    select,
    single,
)

LENGTHS = (5, 3, 0, 4)
STEPS = 3


def attention_of(host: Host, row: Component, seed: int = 0) -> Any:
    """Build the attention between a query and a memory of the same width."""
    return build(host, "attention", row.full_name, WIDTH, WIDTH, seed=seed)


def queries_of(batch_size: int) -> Tensor:
    """Queries (B, STEPS, Q)."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(batch_size, STEPS, WIDTH, generator=generator, dtype=torch.float64)


def attend_in_sequence(attention: Any, memory: Memory, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Attend once per query, in sequence: contexts (B, STEPS, C), weights (B, STEPS, S)."""
    keys, history = attention.prepare(memory), None
    contexts, weights = [], []
    for query in queries.unbind(1):
        context, weight, history = attention(query.unsqueeze(1), keys, history)
        contexts.append(context)
        weights.append(weight)
    return torch.cat(contexts, 1), torch.cat(weights, 1)


def padding_changes_no_context(host: Host, row: Component) -> None:
    """Padded slots have no influence, however many there are."""
    attention, memory, queries = attention_of(host, row), memory_of(LENGTHS), queries_of(4)
    contexts, weights = attend_in_sequence(attention, memory, queries)
    more_contexts, more_weights = attend_in_sequence(attention, padded(memory, 3), queries)
    expect_close(more_contexts, contexts, "expected padding to change no context")
    expect_close(more_weights[..., :-3], weights, "expected padding to change no weight")
    expect(not more_weights[..., -3:].any(), "expected weights of exactly 0 on padding")


def batch_order_changes_no_context(host: Host, row: Component) -> None:
    """Each input is attended to independently."""
    attention, memory, queries = attention_of(host, row), memory_of(LENGTHS), queries_of(4)
    order = [2, 0, 3, 1]
    wanted = select(attend_in_sequence(attention, memory, queries), order)
    actual = attend_in_sequence(attention, select(memory, order), queries[order])
    for one, other in zip(actual, wanted, strict=True):
        expect_close(one, other, "expected outputs to be reordered like their inputs")


def batching_changes_no_context(host: Host, row: Component) -> None:
    """The other inputs of a batch and their lengths do not matter."""
    attention, memory, queries = attention_of(host, row), memory_of(LENGTHS), queries_of(4)
    contexts, weights = attend_in_sequence(attention, memory, queries)
    for index, length in enumerate(LENGTHS):
        context, weight = attend_in_sequence(attention, single(memory, index), queries[[index]])
        expect_close(context[0], contexts[index], "expected the same context in a batch as alone")
        expect_close(
            weight[0, :, :length],
            weights[index, :, :length],
            "expected the same weights in a batch as alone",
        )


def weights_sum_to_one_over_real_slots(host: Host, row: Component) -> None:
    """Weights are exactly 0 elsewhere; an input without real slots gets weights and context 0."""
    attention, memory = attention_of(host, row), memory_of(LENGTHS)
    contexts, weights = attend_in_sequence(attention, memory, queries_of(4))
    sums = memory.mask.any(1, keepdim=True).double().expand(-1, STEPS)
    expect_close(weights.sum(2), sums, "expected weights that sum to 1 over the real slots")
    expect(bool((weights >= 0).all()), "expected no negative weight")
    outside = weights.masked_select(~memory.mask.unsqueeze(1))
    expect(not outside.any(), "expected weights of exactly 0 on slots that are not real")
    absent = LENGTHS.index(0)
    expect(not contexts[absent].any(), "expected a context of 0 if no slot is real")


def parallel_queries_are_independent(host: Host, row: Component) -> None:
    """N hypotheses of an input share its keys but do not affect each other."""
    attention, memory, queries = attention_of(host, row), memory_of(LENGTHS), queries_of(4)
    keys = attention.prepare(memory)
    together, weights, _ = attention(queries, keys, None)
    for index in range(STEPS):
        context, weight, _ = attention(queries[:, [index]], keys, None)
        expect_close(together[:, [index]], context, "expected queries not to affect each other")
        expect_close(weights[:, [index]], weight, "expected queries not to affect each other")


def indexing_a_history_equals_recomputing_it(host: Host, row: Component) -> None:
    """Hypotheses are reordered by plain indexing of the attention's history."""
    attention, memory, queries = attention_of(host, row), memory_of(LENGTHS), queries_of(4)
    keys, order = attention.prepare(memory), [2, 0, 0]
    _, _, history = attention(queries, keys, None)
    _, _, recomputed = attention(queries[:, order], keys, None)
    indexed = tree_map(lambda leaf: leaf[:, order], history)
    wanted, _, _ = attention(queries, keys, recomputed)
    actual, _, _ = attention(queries, keys, indexed)
    expect_close(actual, wanted, "expected an indexed history to equal a recomputed one")


def projected_values_give_projected_contexts(host: Host, row: Component) -> None:
    """A linear map of the context may be applied to the values once per input instead."""
    attention, memory, queries = attention_of(host, row), memory_of(LENGTHS), queries_of(4)
    contexts, _ = attend_in_sequence(attention, memory, queries)
    projection = torch.randn(5, contexts.size(2), dtype=torch.float64)
    context, _, _ = attention(queries[:, :1], attention.prepare(memory, projection), None)
    wanted = contexts[:, :1] @ projection.T  # (B, 1, 5)
    expect_close(context, wanted, "expected prepare to multiply values by value_projection")


def context_has_the_declared_width(host: Host, row: Component) -> None:
    """``context_dim`` is correct; decoders are built from it."""
    attention = attention_of(host, row)
    contexts, _ = attend_in_sequence(attention, memory_of(LENGTHS), queries_of(4))
    declared = attention.context_dim
    expect(contexts.size(2) == declared, f"expected context_dim {declared}, got {contexts.size(2)}")


def every_attention_parameter_gets_a_gradient(host: Host, row: Component) -> None:
    """Checked after a few steps, because the first does not use every parameter."""
    expect_gradients(_subject(host, row))


def attention_state_dict_is_complete(host: Host, row: Component) -> None:
    """Another instance computes the same after loading the state dict."""
    expect_round_trip(_subject(host, row))


def _subject(host: Host, row: Component) -> Subject:
    memory, queries = memory_of(LENGTHS), queries_of(4)
    return Subject(
        attention_of(host, row),
        functools.partial(attention_of, host, row, seed=1),
        lambda attention: attend_in_sequence(attention, memory, queries),
    )


CHECKS = (
    padding_changes_no_context,
    batch_order_changes_no_context,
    batching_changes_no_context,
    weights_sum_to_one_over_real_slots,
    parallel_queries_are_independent,
    indexing_a_history_equals_recomputing_it,
    projected_values_give_projected_contexts,
    context_has_the_declared_width,
    every_attention_parameter_gets_a_gradient,
    attention_state_dict_is_complete,
)
