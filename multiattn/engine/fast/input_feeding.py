"""Input feeding with additive attention as one autograd function with a hand-written backward.

The reference is ``InputFeeding`` over ``Additive``, or over ``Location`` of it, ``Gated`` or not;
this computes the same function with few, large products. Three things make it fast:

- Everything that does not depend on the previous step is hoisted out of the loop: the word's part
  of the gates is one product over all tokens, and values are already multiplied by W_c. A step is
  two products.
- Scores need no tanh and keep nothing of size (n, S, A): see ``energies.py``.
- Weight gradients are one product per weight after the loop, not one per step.

Under autocast the factors of the large products are rounded to its dtype, as everywhere else; sums
over steps and the attention stay in single precision.

Letters: n rows alive at a step, M real tokens (the sum of n), H hidden, S slots, A attention width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multiattn.engine.attention import Keys
from multiattn.engine.attention_wrappers import without_gate
from multiattn.engine.fast.energies import (
    KEY_LIMIT,
    energies_of,
    known,
    known_location,
    parameters,
)
from multiattn.engine.fast.products import Factor, product
from multiattn.engine.fusion import Concat
from multiattn.engine.recurrence import InputFeeding, State


def applies(recurrence: Any, embedded: Tensor, keys: Any) -> bool:
    """Whether this path applies: one layer, one source with known scores, float32 or float64."""
    return (
        has_one_attention(recurrence)
        and embedded.dtype in KEY_LIMIT
        and all(
            known(without_gate(attention), keys.sources[source])
            for source, attention in recurrence.fusion.attentions.items()
        )
    )


def applies_to_any_keys(recurrence: Any, embedded: Tensor) -> bool:
    """Whether this path applies whatever the values of the keys are."""
    return (
        has_one_attention(recurrence)
        and embedded.dtype in KEY_LIMIT
        and all(
            known_location(without_gate(attention))
            for attention in recurrence.fusion.attentions.values()
        )
    )


def has_one_attention(recurrence: Any) -> bool:
    """Whether this is input feeding with one layer and one source."""
    return (
        type(recurrence) is InputFeeding
        and recurrence.layers == 1
        and type(recurrence.fusion) is Concat
        and len(recurrence.fusion.attentions) == 1
    )


def unroll(
    recurrence: InputFeeding, embedded: Tensor, counts: Sequence[int], state: State, keys: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """As ``unroll_step_by_step``: embedded (M, E) -> features (M, H) and weights (M, S)."""
    ((source, attention),) = recurrence.fusion.attentions.items()
    memory: Keys = keys.sources[source]
    cell: Any = recurrence.cell.cells[0]
    device, word_width = embedded.device.type, embedded.size(1)
    precision = embedded.dtype
    if torch.is_autocast_enabled(device):
        precision = torch.get_autocast_dtype(device)
    word_gates = torch.addmm(  # (M, 4H)
        cell.bias_ih + cell.bias_hh, embedded, cell.weight_ih[:, :word_width].t()
    )
    gate_weight = torch.cat([cell.weight_ih[:, word_width:], cell.weight_hh], 1)  # (4H, 2H)
    query_map, *scoring = parameters(without_gate(attention))
    gate = None if attention is without_gate(attention) else attention.gate
    maps = [query_map, recurrence.from_hidden.weight, *([] if gate is None else [gate.weight])]
    ((hidden, cell_state),) = state.layers
    leaves = (word_gates, memory.keys, memory.values, hidden.squeeze(1), cell_state.squeeze(1))
    with torch.autocast(device, enabled=False):
        features, weights = InputFeedingLoop.apply(  # type: ignore[no-untyped-call]
            *(leaf.to(embedded.dtype) for leaf in leaves),
            gate_weight,
            torch.cat(maps),  # (A + H, H), or (A + H + 1, H)
            recurrence.from_hidden.bias,
            None if gate is None else gate.bias,
            *scoring,
            memory.mask,
            tuple(counts),
            precision,
        )
    return features, {source: weights}


class Tape(NamedTuple):
    """What the forward saves for the backward, packed over steps.

    inputs (M, 2H) [fed; previous hidden], gates (M, 4H) after their nonlinearity, cells (M, H),
    hiddens (M, H), queries (M, A), features (M, H), weights (M, S), shares (M, 1), the gate β of
    each context, filled only if the attention is gated.
    """

    inputs: Tensor
    gates: Tensor
    cells: Tensor
    hiddens: Tensor
    queries: Tensor
    features: Tensor
    weights: Tensor
    shares: Tensor

    @classmethod
    def blank(cls, like: Tensor, tokens: int, hidden: int, attention: int, slots: int) -> Tape:
        widths = (2 * hidden, 4 * hidden, hidden, hidden, attention, hidden, slots, 1)
        return cls(*(like.new_empty(tokens, width) for width in widths))

    def at(self, first: int, alive: int) -> Tape:
        """Views of the rows of one step."""
        return Tape(*(leaf[first : first + alive] for leaf in self))


class InputFeedingLoop(torch.autograd.Function):
    """Features (M, H), weights (M, S) of the whole loop. Luong et al. 2015, section 3.3."""

    @staticmethod
    def forward(
        ctx: Any,
        word_gates: Tensor,
        keys: Tensor,
        values: Tensor,
        hidden: Tensor,
        cell: Tensor,
        gate_weight: Tensor,
        query_weight: Tensor,
        feature_bias: Tensor,
        share_bias: Tensor | None,
        energy: Tensor,
        convolution: Tensor | None,
        feature: Tensor | None,
        mask: Tensor,
        counts: tuple[int, ...],
        precision: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        gate_weight, query_weight = gate_weight.to(precision), query_weight.to(precision)
        gated, queried = Factor(gate_weight), Factor(query_weight)
        energies = energies_of(keys, energy, convolution, feature, len(word_gates))
        tape = Tape.blank(keys, word_gates.size(0), hidden.size(1), keys.size(2), keys.size(1))
        blocked = torch.zeros_like(mask, dtype=keys.dtype)
        blocked.masked_fill_(~mask, torch.finfo(keys.dtype).min)
        seen = mask.any(1, keepdim=True)
        share = (mask / mask.sum(1, keepdim=True).clamp(min=1)).to(keys.dtype)
        before: Tape | None = None
        first = 0
        for alive in counts:
            now = tape.at(first, alive)
            width = hidden.size(1)
            now.inputs[:, :width] = 0 if before is None else before.features[:alive]
            now.inputs[:, width:] = hidden if before is None else before.hiddens[:alive]
            last_cell = cell if before is None else before.cells[:alive]
            torch.add(word_gates[first : first + alive], gated(now.inputs), out=now.gates)
            lstm_forward(now.gates, last_cell, now.cells, now.hiddens)
            asked = queried(now.hiddens)  # (n, A + H)
            now.queries.copy_(asked[:, : keys.size(2)])
            looked = share if before is None else before.weights[:alive]
            scores = energies.scores(first, now.queries, looked)
            torch.softmax(scores.add_(blocked[:alive]), 1, out=now.weights)
            now.weights.mul_(seen[:alive])
            context = torch.bmm(now.weights.unsqueeze(1), values[:alive]).squeeze(1)
            if share_bias is not None:
                torch.sigmoid(asked[:, -1:] + share_bias, out=now.shares)
                context *= now.shares
            plain = asked[:, keys.size(2) : keys.size(2) + width]
            torch.tanh(context.add_(plain).add_(feature_bias), out=now.features)
            before, first = now, first + alive
        ctx.save_for_backward(values, cell, gate_weight, query_weight, share, *tape, *energies)
        ctx.counts, ctx.energies, ctx.gated = counts, type(energies), share_bias is not None
        return tape.features, tape.weights

    @staticmethod
    def backward(ctx: Any, d_features: Tensor, d_weights: Tensor) -> tuple[Tensor | None, ...]:
        values, cell, gate_weight, query_weight, share, *rest = ctx.saved_tensors
        tape, counts = Tape(*rest[: len(Tape._fields)]), ctx.counts
        pull = ctx.energies(*rest[len(Tape._fields) :]).backward()
        hidden_dim, width = cell.size(1), tape.queries.size(1)
        from_gates, from_queries = Factor(gate_weight.t()), Factor(query_weight.t())
        d_gates = torch.empty_like(tape.gates)
        d_asked = tape.queries.new_empty(len(tape.queries), len(query_weight))
        d_sums = d_asked[:, width : width + hidden_dim]
        d_inputs = cell.new_zeros(len(cell), 2 * hidden_dim)
        d_before = torch.zeros_like(share)
        d_cell = torch.zeros_like(cell)
        first = len(tape.features)
        for step in range(len(counts) - 1, -1, -1):
            alive = counts[step]
            first -= alive
            here, now = slice(first, first + alive), tape.at(first, alive)
            asked, d_sum = d_asked[here], d_sums[here]
            d_feature = d_features[here] + d_inputs[:alive, :hidden_dim]
            torch.mul(d_feature, 1 - now.features.square(), out=d_sum)
            d_weight = torch.bmm(values[:alive], d_sum.unsqueeze(2)).squeeze(2)
            if ctx.gated:
                share_backward(now.shares, now.weights, d_weight, asked[:, -1:])
            d_weight.add_(d_weights[here]).add_(d_before[:alive])
            d_score = softmax_backward(now.weights, d_weight)
            pulled = pull(first, now.queries, d_score, asked[:, :width])
            if pulled is not None:
                d_before[:alive] = pulled
            d_hidden = from_queries(asked).add_(d_inputs[:alive, hidden_dim:])
            last_cells = cell if step == 0 else tape.cells[first - counts[step - 1] :]
            lstm_backward(
                now.gates, last_cells[:alive], now.cells, d_hidden, d_cell[:alive], d_gates[here]
            )
            d_inputs[:alive] = from_gates(d_gates[here])
        d_contexts = d_sums * tape.shares if ctx.gated else d_sums
        d_values = values_gradient(tape.weights, d_contexts, counts, values)
        d_keys, *d_scoring = pull.gradients(looked_before(share, tape.weights, counts))
        return (
            d_gates,
            d_keys,
            d_values,
            d_inputs[:, hidden_dim:],
            d_cell,
            product(d_gates.t(), tape.inputs.to(gate_weight.dtype)),
            product(d_asked.t(), tape.hiddens.to(gate_weight.dtype)),
            d_sums.sum(0),
            d_asked[:, -1].sum(0, keepdim=True) if ctx.gated else None,
            *d_scoring,
            None,
            None,
            None,
        )


def lstm_forward(gates: Tensor, last_cell: Tensor, cell: Tensor, hidden: Tensor) -> None:
    """Apply the gates' (…, 4H) nonlinearity in place; write cell and hidden (…, H)."""
    enter, keep, candidate, show = gates.chunk(4, -1)
    gates[..., : 2 * cell.size(-1)].sigmoid_()  # input and forget gates
    candidate.tanh_()
    show.sigmoid_()
    torch.mul(enter, candidate, out=cell).addcmul_(keep, last_cell)
    torch.mul(show, torch.tanh(cell), out=hidden)


def lstm_backward(
    gates: Tensor,
    last_cell: Tensor,
    cell: Tensor,
    d_hidden: Tensor,
    d_cell: Tensor,
    d_gates: Tensor,
) -> None:
    """Write d_gates (n, 4H) before the nonlinearity; make d_cell the last cell's gradient."""
    enter, keep, candidate, show = gates.chunk(4, 1)
    d_enter, d_keep, d_candidate, d_show = d_gates.chunk(4, 1)
    squashed = torch.tanh(cell)
    torch.mul(d_hidden * squashed, show * (1 - show), out=d_show)
    d_cell.addcmul_(d_hidden * show, 1 - squashed * squashed)
    torch.mul(d_cell * candidate, enter * (1 - enter), out=d_enter)
    torch.mul(d_cell * last_cell, keep * (1 - keep), out=d_keep)
    torch.mul(d_cell * enter, 1 - candidate * candidate, out=d_candidate)
    d_cell.mul_(keep)


def softmax_backward(weights: Tensor, d_weight: Tensor) -> Tensor:
    """The gradient (n, S) of the scores from which a softmax over S gave ``weights``."""
    return weights * (d_weight - (weights * d_weight).sum(1, keepdim=True))


def share_backward(shares: Tensor, weights: Tensor, d_weight: Tensor, d_asked: Tensor) -> None:
    """Write d_asked (n, 1) before the sigmoid; scale d_weight (n, S) by the gate in place."""
    d_share = (weights * d_weight).sum(1, keepdim=True)
    torch.mul(d_share, shares * (1 - shares), out=d_asked)
    d_weight *= shares


def values_gradient(
    weights: Tensor, d_context: Tensor, counts: Sequence[int], values: Tensor
) -> Tensor:
    """Σ_t α_t ⊗ d_context_t per input, as one batched product: (B, S, H)."""
    steps, (batch_size, slots, width) = len(counts), values.shape
    all_weights = weights.new_zeros(steps, batch_size, slots)
    all_contexts = weights.new_zeros(steps, batch_size, width)
    first = 0
    for step, alive in enumerate(counts):
        all_weights[step, :alive] = weights[first : first + alive]
        all_contexts[step, :alive] = d_context[first : first + alive]
        first += alive
    return torch.bmm(all_weights.permute(1, 2, 0), all_contexts.transpose(0, 1))


def looked_before(share: Tensor, weights: Tensor, counts: Sequence[int]) -> Tensor:
    """The weights of each packed position's previous step, uniform before the first: (M, S)."""
    steps = torch.split(weights, list(counts))
    return torch.cat([share, *(last[:n] for last, n in zip(steps, counts[1:], strict=False))])
